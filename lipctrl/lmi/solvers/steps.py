"""How far one may go: the largest step with A + step D >= 0."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, eigh_tridiagonal, solve_triangular

Array = NDArray[np.float64]

LARGEST_STEP = 10.0
#: up to this order the eigenvalue is computed densely
SMALL = 40
#: Lanczos may settle on an interior eigenvalue first
LEAST_STEPS = 10


def step_to_boundary(A: Array, D: Array, steps: int = 30) -> float:
    """A step with A + step D positive definite up to the accuracy of Lanczos; at most `LARGEST_STEP`.

    The smallest eigenvalue of R^-T D R^-1 (A = R'R) by Lanczos, moved by the norm of the residual to the safe side.
    """
    R = cholesky(A, lower=False, check_finite=False)
    n = len(A)

    def apply(v: Array) -> Array:
        w = solve_triangular(R, v, check_finite=False)
        return solve_triangular(R, D @ w, trans="T", check_finite=False)

    if n <= SMALL:
        smallest = float(np.linalg.eigvalsh(_congruence(R, D))[0])
        return LARGEST_STEP if smallest >= -1 / LARGEST_STEP else -1 / smallest
    rng = np.random.default_rng(0)
    q = rng.standard_normal(n)
    q /= np.linalg.norm(q)
    basis = [q]
    alpha: list[float] = []
    beta: list[float] = []
    smallest = 0.0
    for count in range(1, steps + 1):
        w = apply(basis[-1])
        alpha.append(float(basis[-1] @ w))
        Q = np.array(basis)
        w -= Q.T @ (Q @ w)
        w -= Q.T @ (Q @ w)
        norm = float(np.linalg.norm(w))
        theta, vector = eigh_tridiagonal(alpha, beta, select="i", select_range=(0, 0))
        error = norm * abs(float(vector[-1, 0]))
        smallest = float(theta[0]) - error
        if (count >= LEAST_STEPS and error <= 0.01 * abs(float(theta[0]))) or norm < 1e-14:
            break
        beta.append(norm)
        basis.append(w / norm)
    if smallest >= -1 / LARGEST_STEP:
        return LARGEST_STEP
    return -1 / smallest


def _congruence(R: Array, D: Array) -> Array:
    half = solve_triangular(R, D, trans="T", check_finite=False)
    full = solve_triangular(R, half.T, trans="T", check_finite=False)
    return (full + full.T) / 2
