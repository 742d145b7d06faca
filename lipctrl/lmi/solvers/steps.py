"""How far one may go: the largest step with A + step D >= 0, from the smallest eigenvalue of R^-T D R^-1, A = R'R."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy.linalg import cholesky, lapack, solve_triangular

from lipctrl.lmi.solvers.kernels import routines

Array = NDArray[np.float64]

LARGEST_STEP = 10.0
#: up to this order the eigenvalue is computed directly
SMALL = 70
#: up to this order the operator of the Lanczos process is formed as a matrix
DENSE = 100
#: Lanczos may settle on an interior eigenvalue first
LEAST_STEPS = 10


def step_to_boundary(A: Array, D: Array, steps: int = 30) -> float:
    """A step with A + step D positive definite up to the accuracy of Lanczos; at most `LARGEST_STEP`."""
    R = cholesky(A, lower=False, check_finite=False)
    if len(A) <= SMALL:
        return step_by_matrix(_congruence(R, D), steps, steps)

    def apply(v: Array) -> Array:
        w = solve_triangular(R, v, check_finite=False)
        return solve_triangular(R, D @ w, trans="T", check_finite=False)

    return step_by_lanczos(apply, len(A), steps)


def step_by_lanczos(
    apply: Callable[[Array], Array],
    order: int,
    steps: int = 30,
    *,
    least: int = LEAST_STEPS,
    accuracy: float = 0.01,
    dtype: DTypeLike = np.float64,
) -> float:
    """The step for an operator v -> R^-T D R^-1 v.

    The smallest Ritz value is moved by the norm of its residual to the safe side; the iteration ends when that norm is
    below `accuracy` relative to it, after at least `least` and at most `steps` products.
    """
    steps = min(steps, order)
    least = min(least, steps)
    basis = np.empty((steps, order), dtype)
    basis[0] = _start(order)
    diagonal, beside = np.zeros(steps), np.zeros(steps)
    smallest, smallest_norm = 0.0, 50 * float(np.finfo(dtype).eps)
    for count in range(1, steps + 1):
        w = apply(basis[count - 1])
        Q = basis[:count]
        components = Q @ w
        diagonal[count - 1] = components[-1]
        w = w - components @ Q
        w -= (Q @ w) @ Q
        norm = float(np.sqrt(w @ w))
        ended = count == steps or not norm > smallest_norm
        if ended or (count >= least and (count - least) % 3 == 0):
            theta, vectors, _ = lapack.dstev(diagonal[:count], beside[: max(count - 1, 1)])
            error = norm * abs(float(vectors[-1, 0]))
            smallest = float(theta[0]) - error
            if ended or error <= accuracy * abs(float(theta[0])):
                break
        beside[count - 1] = norm
        np.divide(w, norm, out=basis[count])
    return step_of(smallest)


def step_by_matrix(A: Array, steps: int, least: int) -> float:
    """The step for A = R^-T D R^-1 itself, where that is small enough to be formed; A may be overwritten."""
    if len(A) > SMALL:
        return step_by_lanczos(A.__matmul__, len(A), steps, least=least, dtype=A.dtype)
    smallest, *_, info = routines(A.dtype).syevr(A.T, compute_v=0, range="I", il=1, iu=1, lower=1, overwrite_a=1)
    return step_of(float(smallest[0])) if info == 0 else 0.0


@lru_cache(maxsize=64)
def _start(order: int) -> Array:
    start = np.random.default_rng(0).standard_normal(order)
    return start / np.linalg.norm(start)


def step_of(smallest: float) -> float:
    """The step to where 1 + step smallest = 0, at most `LARGEST_STEP`; zero for NaN."""
    if not np.isfinite(smallest):
        return 0.0
    return LARGEST_STEP if smallest >= -1 / LARGEST_STEP else -1 / smallest


def _congruence(R: Array, D: Array) -> Array:
    half = solve_triangular(R, D, trans="T", check_finite=False)
    full = solve_triangular(R, half.T, trans="T", check_finite=False)
    return (full + full.T) / 2
