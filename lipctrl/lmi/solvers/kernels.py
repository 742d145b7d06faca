"""Dense kernels on C-contiguous arrays in place: LAPACK sees their transposes, so no copy is made."""

from __future__ import annotations

from math import isfinite

import numpy as np
from scipy.linalg import blas, lapack

from lipctrl.lmi.lmi import Array


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
