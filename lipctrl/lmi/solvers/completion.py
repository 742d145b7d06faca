"""Block-tridiagonal algebra: the factor and inverse of M, and the max-determinant completion of Y.

M from the output side, with S_k = c T_k W_k, Q_l = G:

    D_k = T_k - Q_k,  J_k = D_k^-1 S_k,  Q_k-1 = S_k' J_k - W_k' (c^2 - 1) T_k W_k,  D_0 = rho I - Q_0
    M > 0 iff every D_k > 0              M = U D U' with unit block upper bidiagonal U, U_k-1,k = -J_k'
    P = M^-1:  P_00 = D_0^-1,  P_kj = J_k P_k-1,j (j < k),  P_kk = D_k^-1 + P_k,k-1 J_k'

Given t, the least rho is lambda_max(Q_0). Of Y only the block-tridiagonal part meets the data. It has a positive
completion iff its cliques (blocks k-1, k) are positive definite; the completion of largest determinant has
Y_kj = Y_k,k-1 Y_k-1,k-1^-1 Y_k-1,j for j < k-1.
Reference: Grone, Johnson, Sa, Wolkowicz, Linear Algebra Appl. 58 (1984).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import numpy as np
from scipy.linalg import blas, lapack

from lipctrl.lmi.lmi import Array
from lipctrl.lmi.solvers.chain_form import Chain, block_slices
from lipctrl.lmi.solvers.steps import SMALL, step_by_lanczos, step_of


def accumulate(out: Array, A: Array, B: Array) -> None:
    """out += A B in place, all of them C-contiguous or (A, B) transposes of such."""
    left, right = (B.T, 0) if B.flags.c_contiguous else (B, 1), (A.T, 0) if A.flags.c_contiguous else (A, 1)
    blas.dgemm(1.0, left[0], right[0], 1.0, out.T, left[1], right[1], overwrite_c=1)


def cholesky_in_place(A: Array) -> bool:
    """Lower Cholesky factor of a C-contiguous array over its lower triangle; False if it is not positive definite."""
    _, info = lapack.dpotrf(A.T, lower=0, clean=0, overwrite_a=1)
    return bool(info == 0) and isfinite(A.trace())


class Mirror:
    """Copies lower triangles onto upper ones; masks are kept per order."""

    def __init__(self) -> None:
        self.masks: dict[int, Array] = {}

    def __call__(self, A: Array) -> None:
        n = len(A)
        if n not in self.masks:
            self.masks[n] = np.triu(np.ones((n, n), dtype=bool), 1)
        np.copyto(A, A.T, where=self.masks[n])


class Factor:
    """The factor of M(rho, t), kept in the same memory from one iterate to the next."""

    def __init__(self, chain: Chain) -> None:
        self.chain, sizes = chain, chain.sizes
        self.blocks = block_slices(sizes)
        self.parts = block_slices(sizes[1:])
        self.chol = [np.zeros((n, n)) for n in sizes]
        self.inverse = [np.zeros((n, n)) for n in sizes]
        self.J = [np.zeros_like(W) for W in chain.W]
        self.Q = [np.zeros((n, n)) for n in sizes]
        self.plain = [bool(np.all(c == 1)) for c in chain.c]
        self.mirror = Mirror()
        self.buffer = np.empty((max(sizes), sum(sizes)))
        self.least_rho = np.inf

    def update(self, rho: float, t: Array) -> bool:
        """Factor M(rho, t); False (and no usable factor) if it is not positive definite. Sets `least_rho`."""
        chain = self.chain
        if not (np.all(np.isfinite(t)) and np.isfinite(rho)):
            return False
        Q = chain.G
        for k in range(chain.depth, 0, -1):
            W, c, part = chain.W[k - 1], chain.c[k - 1], t[self.parts[k - 1]]
            if not self._invert(k, Q, part):
                return False
            R, J = self.chol[k].T, self.J[k - 1]
            # half of the solution makes Q backward stable, however nearly singular D is
            half = np.multiply((c * part)[:, None], W, out=J)
            blas.dtrsm(1.0, R, half.T, side=1, lower=0, overwrite_b=1)
            Q = np.matmul(half.T, half, out=self.Q[k - 1])
            blas.dtrsm(1.0, R, half.T, side=1, lower=0, trans_a=1, overwrite_b=1)
            if not self.plain[k - 1]:
                Q -= W.T @ (((c**2 - 1) * part)[:, None] * W)
        self.least_rho = float(np.linalg.eigvalsh(Q)[-1])
        return self._invert(0, Q, np.full(len(Q), rho))

    def _invert(self, k: int, Q: Array, diagonal: Array) -> bool:
        D, inverse = self.chol[k], self.inverse[k]
        np.negative(Q, out=D)
        np.einsum("ii->i", D)[:] += diagonal
        if not cholesky_in_place(D):
            return False
        inverse[:] = D
        _, info = lapack.dpotri(inverse.T, lower=0, overwrite_c=1)
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
            row = self.buffer[: b.stop - b.start, : Z.shape[1]]
            np.matmul(self.inverse[k], Z[b], out=row)
            Z[b] = row
            if k:
                accumulate(Z[b], self.J[k - 1], Z[blocks[k - 1]])

    def step(self, drho: float, d: Array, steps: int, least: int) -> float:
        """Step to the boundary from M along dM: Lanczos on R^-T U^-1 dM U^-T R^-1, D = R'R block by block."""
        blocks, depth = self.blocks, self.chain.depth
        R = [chol.T for chol in self.chol]
        diagonal = np.concatenate([np.full(blocks[0].stop, drho), d])
        weights = [d[part] for part in self.parts]
        scaled = [(weight * c)[:, None] * W for weight, c, W in zip(weights, self.chain.c, self.chain.W, strict=True)]

        def congruence(v: Array) -> Array:
            x = [blas.dtrsv(R[0], v[blocks[0]], lower=0)]
            for k in range(1, depth + 1):
                x.append(blas.dtrsv(R[k], v[blocks[k]], lower=0))
                x[k] += self.J[k - 1] @ x[k - 1]
            y = np.concatenate(x)
            y *= diagonal
            for k in range(1, depth + 1):
                y[blocks[k]] -= scaled[k - 1] @ x[k - 1]
                y[blocks[k - 1]] -= x[k] @ scaled[k - 1]
                if not self.plain[k - 1]:
                    W, c = self.chain.W[k - 1], self.chain.c[k - 1]
                    y[blocks[k - 1]] += ((c**2 - 1) * weights[k - 1] * (W @ x[k - 1])) @ W
            for k in range(depth, -1, -1):
                b = blocks[k]
                if k:
                    y[blocks[k - 1]] += y[b] @ self.J[k - 1]
                y[b] = blas.dtrsv(R[k], y[b], lower=0, trans=1)
            return y

        return step_by_lanczos(congruence, blocks[-1].stop, steps, least=least)


class Cliques:
    """The block-tridiagonal part of Y, tested and completed clique by clique."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.blocks = block_slices(sizes)
        orders = [a + b for a, b in zip(sizes[:-1], sizes[1:], strict=True)]
        self.value = [np.zeros((n, n)) for n in orders]
        self.chol = [np.zeros((n, n)) for n in orders]
        self.direction = [np.zeros((n, n)) for n in orders]
        self.scratch = np.empty(max(orders) ** 2)
        self.mirror = Mirror()
        #: the clique that bound the last step comes first
        self.order = list(range(len(orders)))

    def spans(self) -> list[slice]:
        return [slice(a.start, b.stop) for a, b in zip(self.blocks[:-1], self.blocks[1:], strict=True)]

    def update(self, Y: Array) -> bool:
        """Factor every clique of Y (lower triangles); False if one is not positive definite."""
        for k, span in enumerate(self.spans()):
            self.chol[k][:] = Y[span, span]
            if not cholesky_in_place(self.chol[k]):
                return False
        for k, span in enumerate(self.spans()):
            self.value[k][:] = Y[span, span]
        return True

    def step(self, dY: Array, steps: int, least: int, cap: float) -> float:
        """Step to the boundary of the completable matrices along dY, at most `cap`; binding cliques are tried first."""
        spans = self.spans()
        bound = cap
        for position, k in enumerate(list(self.order)):
            D = self.direction[k]
            D[:] = dY[spans[k], spans[k]]
            if position and self._inside(k, bound):
                continue
            step = self._step(k, steps, least)
            if step < bound:
                bound = step
                self.order.remove(k)
                self.order.insert(0, k)
        return bound

    def _inside(self, k: int, step: float) -> bool:
        D = self.direction[k]
        trial = np.multiply(D, step, out=self.scratch[: D.size].reshape(D.shape))
        trial += self.value[k]
        return cholesky_in_place(trial)

    def _step(self, k: int, steps: int, least: int) -> float:
        R, D = self.chol[k].T, self.direction[k].T
        n = len(R)
        if n <= SMALL:
            self.mirror(self.direction[k])
            half = blas.dtrsm(1.0, R, self.direction[k], lower=0, trans_a=1)
            full = blas.dtrsm(1.0, R, half.T, lower=0, trans_a=1)
            return step_of(float(np.linalg.eigvalsh((full + full.T) / 2)[0]))

        def congruence(v: Array) -> Array:
            w = blas.dsymv(1.0, D, blas.dtrsv(R, v, lower=0), lower=0)
            return blas.dtrsv(R, w, lower=0, trans=1, overwrite_x=1)

        return step_by_lanczos(congruence, n, steps, least=least)

    def complete(self, Y: Array) -> None:
        """Fill Y outside its block-tridiagonal part, and its upper triangle."""
        blocks = self.blocks
        for k in range(1, len(blocks)):
            b, before = blocks[k], blocks[k - 1]
            done = slice(0, before.start)
            if done.stop:
                n = before.stop - before.start
                L = self.chol[k - 1]
                gain = blas.dtrsm(1.0, L[:n, :n].T, L[n:, :n].T, lower=0).T
                np.matmul(gain, Y[before, done], out=Y[b, done])
                Y[done, b] = Y[b, done].T
            Y[before, b] = Y[b, before].T
        for b in blocks:
            self.mirror(Y[b, b])
