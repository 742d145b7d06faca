"""The block-tridiagonal part of the dual matrix Y, and its completion of largest determinant.

Of Y only the block-tridiagonal part meets the data. It has a positive completion iff its cliques (blocks k-1, k) are
positive definite; the completion of largest determinant has Y_kj = Y_k,k-1 Y_k-1,k-1^-1 Y_k-1,j for j < k-1.
Reference: Grone, Johnson, Sa, Wolkowicz, Linear Algebra Appl. 58 (1984).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lipctrl.lmi.lmi import Array
from lipctrl.lmi.solvers.kernels import Mirror, cholesky_in_place, routines
from lipctrl.lmi.solvers.normal_form import block_slices
from lipctrl.lmi.solvers.steps import DENSE, step_by_lanczos, step_by_matrix


class Cliques:
    """The block-tridiagonal part of Y, tested and completed clique by clique."""

    def __init__(self, sizes: Sequence[int], dtype: np.dtype[Any]) -> None:
        self.lib = routines(dtype)
        self.blocks = block_slices(sizes)
        orders = [a + b for a, b in zip(sizes[:-1], sizes[1:], strict=True)]
        self.value = [np.zeros((n, n), dtype) for n in orders]
        self.chol = [np.zeros((n, n), dtype) for n in orders]
        self.direction = [np.zeros((n, n), dtype) for n in orders]
        self.scratch = np.empty(max(orders) ** 2, dtype)
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
        if n <= DENSE:
            self.mirror(self.direction[k])
            half = self.lib.trsm(1.0, R, D, lower=0, trans_a=1)
            return step_by_matrix(self.lib.trsm(1.0, R, half, side=1, lower=0, overwrite_b=1), steps, least)

        def congruence(v: Array) -> Array:
            w = self.lib.symv(1.0, D, self.lib.trsv(R, v, lower=0), lower=0)
            return self.lib.trsv(R, w, lower=0, trans=1, overwrite_x=1)

        return step_by_lanczos(congruence, n, steps, least=least, dtype=D.dtype)

    def complete(self, Y: Array) -> None:
        """Fill Y outside its block-tridiagonal part, and its upper triangle."""
        blocks = self.blocks
        for k in range(1, len(blocks)):
            b, before = blocks[k], blocks[k - 1]
            done = slice(0, before.start)
            if done.stop:
                n = before.stop - before.start
                L = self.chol[k - 1]
                gain = self.lib.trsm(1.0, L[:n, :n].T, L[n:, :n].T, lower=0).T
                np.matmul(gain, Y[before, done], out=Y[b, done])
                Y[done, b] = Y[b, done].T
            Y[before, b] = Y[b, before].T
        for b in blocks:
            self.mirror(Y[b, b])
