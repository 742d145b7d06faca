"""The factor and the inverse of M, block tridiagonal, from the output side.

With S_k = c T_k W_k and Q_l = G:

    D_k = T_k - Q_k,  J_k = D_k^-1 S_k,  Q_k-1 = S_k' J_k - W_k' (c^2 - 1) T_k W_k,  D_0 = rho I - Q_0
    M > 0 iff every D_k > 0              M = U D U' with unit block upper bidiagonal U, U_k-1,k = -J_k'
    P = M^-1:  P_00 = D_0^-1,  P_kj = J_k P_k-1,j (j < k),  P_kk = D_k^-1 + P_k,k-1 J_k'

Given t, the least rho is lambda_max(Q_0). Where the outputs are few, G = Z'Z and D_l^-1 = T^-1 + V'V with V = K Z T^-1,
K' K = (I - Z T^-1 Z')^-1 (Woodbury), so that Q_l-1 = W'TW + (VS)'(VS): the last layer costs almost nothing.
"""

from __future__ import annotations

import numpy as np

from lipctrl.lmi.lmi import Array
from lipctrl.lmi.solvers.kernels import Mirror, accumulate, cholesky_in_place, routines
from lipctrl.lmi.solvers.normal_form import Feedforward, block_slices
from lipctrl.lmi.solvers.steps import step_by_lanczos


class Factor:
    """The factor of M(rho, t), kept in the same memory from one iterate to the next."""

    def __init__(self, chain: Feedforward) -> None:
        self.chain, sizes, dtype = chain, chain.sizes, chain.G.dtype
        self.lib = routines(dtype)
        self.blocks = block_slices(sizes)
        self.parts = block_slices(sizes[1:])
        self.chol = [np.zeros((n, n), dtype) for n in sizes]
        self.inverse = [np.zeros((n, n), dtype) for n in sizes]
        self.J = [np.zeros_like(W) for W in chain.weights]
        self.Q = [np.zeros((n, n), dtype) for n in sizes]
        self.mirror = Mirror()
        self.buffer = np.empty((max(sizes), sum(sizes)), dtype)
        self.least_rho = np.inf
        #: V with D_l^-1 = T^-1 + V'V, where the outputs are few; Z is C
        self.Z = chain.output if 4 * len(chain.output) <= sizes[-1] else None
        self.V = np.zeros((0, sizes[-1]), dtype)
        self.last_t = np.ones(sizes[-1], dtype)

    def update(self, rho: float, t: Array) -> bool:
        """Factor M(rho, t); False (and no usable factor) if it is not positive definite. Sets `least_rho`."""
        chain = self.chain
        if not (np.all(np.isfinite(t)) and np.isfinite(rho)):
            return False
        Q = chain.G
        for k in range(chain.depth, 0, -1):
            W, c, part = chain.weights[k - 1], chain.c[k - 1], t[self.parts[k - 1]]
            if k == chain.depth and self.Z is not None:
                if not (self._factor(k, Q, part) and self._invert_last(self.Z, W, c, part)):
                    return False
                Q = self.Q[k - 1]
                continue
            if not (self._factor(k, Q, part) and self._invert(k)):
                return False
            R, J = self.chol[k].T, self.J[k - 1]
            # half of the solution makes Q backward stable, however nearly singular D is
            half = np.multiply((c * part)[:, None], W, out=J)
            self.lib.trsm(1.0, R, half.T, side=1, lower=0, overwrite_b=1)
            Q = np.matmul(half.T, half, out=self.Q[k - 1])
            self.lib.trsm(1.0, R, half.T, side=1, lower=0, trans_a=1, overwrite_b=1)
            if not chain.plain[k - 1]:
                Q -= W.T @ (((c**2 - 1) * part)[:, None] * W)
        self.least_rho = float(np.linalg.eigvalsh(Q)[-1])
        return self._factor(0, Q, np.full(len(Q), rho, Q.dtype)) and self._invert(0)

    def _factor(self, k: int, Q: Array, diagonal: Array) -> bool:
        D = self.chol[k]
        np.negative(Q, out=D)
        np.einsum("ii->i", D)[:] += diagonal
        return cholesky_in_place(D)

    def _invert_last(self, Z: Array, W: Array, c: Array, t: Array) -> bool:
        """D_l^-1, J_l and Q_l-1 = W'TW + (VS)'(VS) by the identity of Sherman, Morrison and Woodbury."""
        scaled = Z / t
        small = np.eye(len(Z), dtype=Z.dtype) - scaled @ Z.T
        if not cholesky_in_place(small):
            return False
        self.V = np.ascontiguousarray(self.lib.trsm(1.0, small.T, scaled.T, side=1, lower=0).T)
        self.last_t = t
        inverse, J, Q = self.inverse[-1], self.J[-1], self.Q[-2]
        np.matmul(self.V.T, self.V, out=inverse)
        np.einsum("ii->i", inverse)[:] += 1 / t
        VS = self.V @ np.multiply((c * t)[:, None], W, out=J)
        root = np.multiply(np.sqrt(t)[:, None], W, out=J)
        np.matmul(root.T, root, out=Q)
        Q += VS.T @ VS
        np.multiply(c[:, None], W, out=J)
        accumulate(J, self.V.T, VS)
        return True

    def _invert(self, k: int) -> bool:
        inverse = self.inverse[k]
        inverse[:] = self.chol[k]
        _, info = self.lib.potri(inverse.T, lower=0, overwrite_c=1)
        self.mirror(inverse)
        return bool(info == 0)

    def full_inverse(self, P: Array) -> None:
        """P = M^-1 as a full matrix."""
        blocks = self.blocks
        P[blocks[0], blocks[0]] = self.inverse[0]
        for k in range(1, len(blocks)):
            b, done = blocks[k], slice(0, blocks[k].start)
            J = self.J[k - 1]
            np.matmul(J, P[blocks[k - 1], done], out=P[b, done])
            P[done, b] = P[b, done].T
            np.matmul(P[b, blocks[k - 1]], J.T, out=P[b, b])
            P[b, b] += self.inverse[k]
            self.mirror(P[b, b])

    def apply_inverse(self, Z: Array) -> None:
        """Z <- M^-1 Z in place, two sweeps over block rows."""
        blocks = self.blocks
        for k in range(len(blocks) - 1, 0, -1):
            accumulate(Z[blocks[k - 1]], self.J[k - 1].T, Z[blocks[k]])
        for k, b in enumerate(blocks):
            if k == self.chain.depth and self.Z is not None:
                VZ = self.V @ Z[b]
                Z[b] /= self.last_t[:, None]
                accumulate(Z[b], self.V.T, VZ)
            else:
                row = self.buffer[: b.stop - b.start, : Z.shape[1]]
                np.matmul(self.inverse[k], Z[b], out=row)
                Z[b] = row
            if k:
                accumulate(Z[b], self.J[k - 1], Z[blocks[k - 1]])

    def step(self, drho: float, d: Array, steps: int, least: int) -> float:
        """Step to the boundary from M along dM: Lanczos on R^-T U^-1 dM U^-T R^-1, D = R'R block by block."""
        chain, blocks, depth, trsv = self.chain, self.blocks, self.chain.depth, self.lib.trsv
        R = [chol.T for chol in self.chol]
        diagonal = np.concatenate([np.full(blocks[0].stop, drho, d.dtype), d])
        weights = [d[part] for part in self.parts]
        scaled = [(weight * c)[:, None] * W for weight, c, W in zip(weights, chain.c, chain.weights, strict=True)]

        def congruence(v: Array) -> Array:
            x = [trsv(R[0], v[blocks[0]], lower=0)]
            for k in range(1, depth + 1):
                x.append(trsv(R[k], v[blocks[k]], lower=0))
                x[k] += self.J[k - 1] @ x[k - 1]
            y = np.concatenate(x)
            y *= diagonal
            for k in range(1, depth + 1):
                y[blocks[k]] -= scaled[k - 1] @ x[k - 1]
                y[blocks[k - 1]] -= x[k] @ scaled[k - 1]
                if not chain.plain[k - 1]:
                    W, c = chain.weights[k - 1], chain.c[k - 1]
                    y[blocks[k - 1]] += ((c**2 - 1) * weights[k - 1] * (W @ x[k - 1])) @ W
            for k in range(depth, -1, -1):
                b = blocks[k]
                if k:
                    y[blocks[k - 1]] += y[b] @ self.J[k - 1]
                y[b] = trsv(R[k], y[b], lower=0, trans=1)
            return y

        return step_by_lanczos(congruence, blocks[-1].stop, steps, least=least, dtype=d.dtype)
