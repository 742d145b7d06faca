"""Dense kernels on C-contiguous arrays in place, in double or single precision.

LAPACK sees the transposes of the arrays, so that no copy is made.
"""

from __future__ import annotations

from functools import lru_cache
from math import isfinite
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy.linalg import blas, lapack

from lipctrl.lmi.lmi import Array


@lru_cache
def routines(dtype: np.dtype[Any]) -> SimpleNamespace:
    """What of BLAS and LAPACK is used here, under its name without the letter of the precision."""
    letter = {"float64": "d", "float32": "s"}[dtype.name]
    found = {name: getattr(blas, letter + name) for name in ("gemm", "symv", "trsm", "trsv")}
    found |= {name: getattr(lapack, letter + name) for name in ("potrf", "potri", "potrs", "pstrf", "syevr")}
    return SimpleNamespace(**found)


def accumulate(out: Array, A: Array, B: Array) -> None:
    """out += A B in place, all of them C-contiguous or (A, B) transposes of such."""
    left, right = (B.T, 0) if B.flags.c_contiguous else (B, 1), (A.T, 0) if A.flags.c_contiguous else (A, 1)
    routines(out.dtype).gemm(1.0, left[0], right[0], 1.0, out.T, left[1], right[1], overwrite_c=1)


def cholesky_in_place(A: Array) -> bool:
    """Lower Cholesky factor of a C-contiguous array over its lower triangle; False if it is not positive definite."""
    _, info = routines(A.dtype).potrf(A.T, lower=0, clean=0, overwrite_a=1)
    return bool(info == 0) and isfinite(A.trace())


def is_definite(M: Array) -> bool:
    """Whether a Cholesky factorisation in floating point succeeds."""
    return bool(np.all(np.isfinite(M))) and cholesky_in_place(np.array(M, order="C"))


class Mirror:
    """Copies lower triangles onto upper ones; masks are kept per order."""

    def __init__(self) -> None:
        self.masks: dict[int, Array] = {}

    def __call__(self, A: Array) -> None:
        n = len(A)
        if n not in self.masks:
            self.masks[n] = np.triu(np.ones((n, n), dtype=bool), 1)
        np.copyto(A, A.T, where=self.masks[n])
