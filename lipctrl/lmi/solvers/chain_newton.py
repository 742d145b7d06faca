"""The linear map t -> dM(t) of a chain, its adjoint F, and the Schur complement, from block products.

With a symmetric X over all blocks, F = V X (row panels W_k X_k-1,:) and K = V X V' give everything per neuron:

    p'Xp = X_ii - 2 c F_ii + c^2 K_ii            F_i(X) = p_i'X p_i - v_i'X v_i = X_ii - 2 c F_ii + (c^2 - 1) K_ii
    p_i'X v_j = F_ji - c_i K_ij                  p_i'X p_j = X_ij - c_i F_ij - c_j (p_i'X v_j)
    (dM X)_k = d_k (X - c F)_k + W_k+1' [d (c^2 - 1) F - d c X]_k+1
    H_ij = tr((pp' - vv')_i P (pp' - vv')_j Y) = (pPp)(pYp) - (pPv)(pYv) - (vPp)(vYp) + (vPv)(vYv)

V is never stored. With shared multipliers H and F are summed within each layer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import LinAlgError

from lipctrl.lmi.lmi import Array
from lipctrl.lmi.solvers.kernels import accumulate, routines
from lipctrl.lmi.solvers.normal_form import Feedforward, block_slices

#: elements of the pieces in which Hadamard products are formed, so that they stay in the cache
PIECE = 1 << 14


class Products:
    """Block products of one chain, with their workspaces."""

    def __init__(self, chain: Feedforward) -> None:
        self.chain, sizes, dtype = chain, chain.sizes, chain.G.dtype
        self.blocks, self.parts = block_slices(sizes), block_slices(sizes[1:])
        self.first, self.order = sizes[0], sum(sizes)
        self.n = self.order - self.first
        self.c = np.concatenate(chain.c)
        self.plain = all(chain.plain)
        widest = max(sizes[1:])
        self.K = [np.empty((widest, self.n), dtype) for _ in range(2)]
        self.pieces = np.empty((9, PIECE + 2 * self.n), dtype)
        self.panel = np.empty((self.n, self.order), dtype)
        self.starts = np.array([part.start for part in self.parts])
        self.counts = np.array(sizes[1:])
        self.unknowns = 1 + (chain.depth if chain.shared else self.n)

    def gather(self, values: Array) -> Array:
        """Sums within layers if multipliers are shared."""
        return np.add.reduceat(values, self.starts) if self.chain.shared else values

    def spread(self, values: Array) -> Array:
        """The transpose of `gather`."""
        return np.repeat(values, self.counts) if self.chain.shared else values

    def panels(self, X: Array, out: Array) -> None:
        """out = V X, shape (n, N)."""
        for W, part, before in zip(self.chain.weights, self.parts, self.blocks[:-1], strict=True):
            np.matmul(W, X[before], out=out[part])

    def adjoint(self, X: Array, F: Array) -> Array:
        """F_i(X) per neuron; F = V X. Only the block-tridiagonal part of X is used."""
        out = np.diagonal(X)[self.first :] - 2 * self.c * np.diagonal(F[:, self.first :])
        if not self.plain:
            for W, part, before in zip(self.chain.weights, self.parts, self.blocks[:-1], strict=True):
                out[part] += (self.c[part] ** 2 - 1) * np.einsum("ij,ij->i", F[part, before], W)
        return out

    def direction(self, drho: float, d: Array, X: Array, F: Array, out: Array) -> None:
        """out = dM X."""
        column = d[:, None]
        head = out[self.first :]
        if self.plain:
            np.subtract(X[self.first :], F, out=head)
        else:
            np.multiply(F, -self.c[:, None], out=head)
            head += X[self.first :]
        head *= column
        np.multiply(X[: self.first], drho, out=out[: self.first])
        for k, (W, part) in enumerate(zip(self.chain.weights, self.parts, strict=True)):
            if self.chain.plain[k]:
                accumulate(out[self.blocks[k]], (-d[part, None] * W).T, X[self.blocks[k + 1]])
                continue
            c = self.c[part]
            row = np.multiply(F[part], ((c**2 - 1) * d[part])[:, None])
            row -= (c * d[part])[:, None] * X[self.blocks[k + 1]]
            accumulate(out[self.blocks[k]], W.T, row)

    def second_order(self, P: Array, FP: Array, Z: Array) -> Array:
        """F_i(sym(P Z)) per neuron, for Z = dM dY, without forming P Z."""
        ZV = self.panel
        for W, part, before in zip(self.chain.weights, self.parts, self.blocks[:-1], strict=True):
            np.matmul(W, Z[:, before].T, out=ZV[part])
        c = self.c
        out = -c * np.einsum("ij,ij->i", P[self.first :], ZV)
        if not self.plain:
            out += (c**2 - 1) * np.einsum("ij,ij->i", FP, ZV)
        np.copyto(ZV, Z[:, self.first :].T)
        out += np.einsum("ij,ij->i", P[self.first :], ZV)
        out -= c * np.einsum("ij,ij->i", FP, ZV)
        return out

    def schur(self, P: Array, FP: Array, Y: Array, FY: Array, H: Array) -> None:
        """Lower triangle of H, unknowns (rho, t)."""
        first = self.first
        H[0, 0] = np.vdot(P[:first, :first], Y[:first, :first])
        c = self.c[:, None]
        pP, pY = P[first:, :first] - c * FP[:, :first], Y[first:, :first] - c * FY[:, :first]
        column = np.einsum("ij,ij->i", pP, pY) - np.einsum("ij,ij->i", FP[:, :first], FY[:, :first])
        H[1:, 0] = self.gather(column)
        shared = self.chain.shared
        for k, part in enumerate(self.parts):
            width = part.stop
            K = [buffer[: part.stop - part.start, :width] for buffer in self.K]
            for F, out in zip((FP, FY), K, strict=True):
                for j in range(k + 1):
                    np.matmul(F[part, self.blocks[j]], self.chain.weights[j].T, out=out[:, self.parts[j]])
            rows = max(1, PIECE // width)
            for low in range(part.start, part.stop, rows):
                some = slice(low, min(low + rows, part.stop))
                own = slice(low - part.start, some.stop - part.start)
                out = self._hadamard(P, FP, K[0][own], Y, FY, K[1][own], some, width)
                if shared:
                    H[1 + k, 1 : k + 2] += np.add.reduceat(out.sum(axis=0), self.starts[: k + 1])
                else:
                    H[1 + some.start : 1 + some.stop, 1 : 1 + width] = out

    def _hadamard(
        self, P: Array, FP: Array, KP: Array, Y: Array, FY: Array, KY: Array, rows: slice, width: int
    ) -> Array:
        first = self.first
        height = rows.stop - rows.start
        piece = self.pieces[:, : height * width].reshape(9, height, width)
        ci, cj = self.c[rows, None], self.c[:width]
        block = slice(first + rows.start, first + rows.stop)
        for (X, F, K), (both, left, right, own) in zip(
            ((P, FP, KP), (Y, FY, KY)), (piece[0:4], piece[4:8]), strict=True
        ):
            # left = p_i X v_j, right = v_i X p_j, both = p_i X p_j
            row = F[rows, first : first + width]
            np.copyto(left, F[:width, block].T)
            if self.plain:
                left -= K
                np.subtract(row, K, out=right)
                np.subtract(X[block, first : first + width], row, out=both)
                both -= left
            else:
                left -= np.multiply(K, ci, out=own)
                np.subtract(row, np.multiply(K, cj, out=own), out=right)
                np.subtract(X[block, first : first + width], np.multiply(row, ci, out=own), out=both)
                both -= np.multiply(left, cj, out=own)
        out, term = piece[8], piece[3]
        np.multiply(piece[0], piece[4], out=out)
        out -= np.multiply(piece[1], piece[5], out=term)
        out -= np.multiply(piece[2], piece[6], out=term)
        out += np.multiply(KP, KY, out=term)
        return out


class Schur:
    """Cholesky of the Jacobi-scaled Schur complement (lower triangle given), with one step of iterative refinement."""

    def __init__(self, order: int, dtype: np.dtype[Any]) -> None:
        self.lib, self.eps = routines(dtype), float(np.finfo(dtype).eps)
        self.H, self.chol = np.zeros((order, order), dtype), np.zeros((order, order), dtype)
        self.scale = np.ones(order, dtype)

    def factor(self) -> None:
        """Scale and factor `H`; a ridge is added only where rounding has made it indefinite."""
        self.scale = 1 / np.sqrt(np.maximum(np.diagonal(self.H), np.finfo(self.H.dtype).tiny))
        self.H *= self.scale[:, None]
        self.H *= self.scale
        ridge = 0.0
        while True:
            self.chol[:] = self.H
            np.einsum("ii->i", self.chol)[:] += ridge
            _, info = self.lib.potrf(self.chol.T, lower=0, clean=0, overwrite_a=1)
            if info == 0 and np.all(np.isfinite(np.diagonal(self.chol))):
                return
            ridge = max(50 * self.eps, 10 * ridge)
            if ridge > 1e-2:
                raise LinAlgError("The Schur complement is not positive definite.")

    def solve(self, rhs: Array) -> Array:
        b = rhs * self.scale
        d, _ = self.lib.potrs(self.chol.T, b, lower=0)
        d = d.reshape(-1)
        correction, _ = self.lib.potrs(self.chol.T, b - self.lib.symv(1.0, self.H.T, d, lower=0), lower=0)
        return (d + correction.reshape(-1)) * self.scale
