"""How far one may go: the largest step with A + step D >= 0, from the smallest eigenvalue of R^-T D R^-1, A = R'R."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular

Array = NDArray[np.float64]

LARGEST_STEP = 10.0
#: up to this order the eigenvalue is computed densely
SMALL = 40
#: Lanczos may settle on an interior eigenvalue first
LEAST_STEPS = 10


def step_to_boundary(A: Array, D: Array, steps: int = 30) -> float:
    """A step with A + step D positive definite up to the accuracy of Lanczos; at most `LARGEST_STEP`."""
    R = cholesky(A, lower=False, check_finite=False)
    if len(A) <= SMALL:
        return step_of(float(np.linalg.eigvalsh(_congruence(R, D))[0]))

    def apply(v: Array) -> Array:
        w = solve_triangular(R, v, check_finite=False)
        return solve_triangular(R, D @ w, trans="T", check_finite=False)

    return step_by_lanczos(apply, len(A), steps)


def step_by_lanczos(
    apply: Callable[[Array], Array], order: int, steps: int = 30, *, least: int = LEAST_STEPS, accuracy: float = 0.01
) -> float:
    """The step for an operator v -> R^-T D R^-1 v.

    The smallest Ritz value is moved by the norm of its residual to the safe side; the iteration ends when that norm is
    below `accuracy` relative to it, after at least `least` and at most `steps` products.
    """
    steps = min(steps, order)
    least = min(least, steps)
    basis = np.empty((steps, order))
    basis[0] = _start(order)
    tridiagonal = np.zeros((steps, steps))
    smallest = 0.0
    for count in range(1, steps + 1):
        w = apply(basis[count - 1])
        tridiagonal[count - 1, count - 1] = basis[count - 1] @ w
        Q = basis[:count]
        w = w - (Q @ w) @ Q
        w -= (Q @ w) @ Q
        norm = float(np.sqrt(w @ w))
        ended = count == steps or not norm > 1e-14
        if ended or (count >= least and (count - least) % 3 == 0):
            theta, vectors = np.linalg.eigh(tridiagonal[:count, :count])
            error = norm * abs(float(vectors[-1, 0]))
            smallest = float(theta[0]) - error
            if ended or error <= accuracy * abs(float(theta[0])):
                break
        tridiagonal[count - 1, count] = tridiagonal[count, count - 1] = norm
        basis[count] = w / norm
    return step_of(smallest)


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
