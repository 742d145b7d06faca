"""LipSDP of very large chains by a first-order method: a bound at any time, and no promise of the optimum.

With x = log t and D_k = T_k - Q_k the Schur complements from the output side (normal form of `chain_form`),

    Q_l = G,    Q_k-1 = W_k' (c T D^-1 T c - (c^2 - 1) T) W_k,    rho(x) = lambda_max(Q_0)

whenever all D_k > 0: every x met gives a bound. L-BFGS runs on log (sum lambda_i^q)^(1/q) of the eigenvalues of Q_0, q
rising, which tends to log rho. Its gradient costs next to nothing: with Q_0 v = lambda v, F_0 = v sqrt(weight) and
H = W F_k-1,

    J = D^-1 T c H = F_k,    d/dt_i = sum over columns of 2 c_i J_i H_i - J_i^2 - (c_i^2 - 1) H_i^2

so one evaluation is one Cholesky factorisation, one triangular solve and one product per layer, 7/3 n^3 in all.
Reference: Nocedal, Wright, Numerical Optimization, 2nd ed., Algorithm 7.4.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cholesky, eigh, solve_triangular

from lipctrl.errors import MemoryLimitError, SolverError
from lipctrl.lmi.lmi import LMI, Array
from lipctrl.lmi.solvers import chain
from lipctrl.lmi.solvers.chain_form import Chain, block_slices
from lipctrl.lmi.solvers.signals import dual_value, feasible_signals
from lipctrl.lmi.solvers.solution import Solution

#: exponents q of the smoothing, and the progress per iteration of log rho at which the next one is due
EXPONENTS = (20.0, 100.0, 500.0, 3e3, 2e4)
PROGRESS = 2e-5
MEMORY = 20
"""Pairs that L-BFGS keeps."""
MARGIN = 1e-10
"""By which rho exceeds the computed eigenvalue."""
DEFAULT_SECONDS = 60.0


def forecast(problem: Chain) -> int:
    """Bytes that :func:`solve` needs at most, the weights apart: a factor per layer and a few squares in passing."""
    sizes = problem.sizes
    return 8 * (sum(n * n for n in sizes) + 6 * max(sizes) ** 2 + (2 * MEMORY + 10) * sum(sizes))


def solve(
    lmi: LMI,
    *,
    time_limit: float | None = None,
    memory_limit: float | None = None,
    tolerance: float = 1e-7,
    recognised: chain.Recognised | None = None,
) -> Solution:
    """A feasible point of LipSDP of a chain of layers, improved until the time is up or nothing improves.

    Parameters
    ----------
    lmi : LMI
    time_limit : float, optional
        Seconds, a minute by default.
    memory_limit : float, optional
        Bytes that may be used.
    tolerance : float
        Relative progress of rho in ten iterations below which the method ends, and the gap at which it is "optimal".
    recognised : Recognised, optional
        What `chain.recognise` returned for `lmi`.

    Returns
    -------
    Solution
        `lower` is the value of a feasible dual point (`signals`), whose gap is seldom small.

    Raises
    ------
    MemoryLimitError
        If more memory would be needed than allowed.
    SolverError
        If `lmi` is not of this structure.
    """
    deadline = time.perf_counter() + (DEFAULT_SECONDS if time_limit is None else time_limit)
    found = recognised or chain.recognise(lmi)
    if found is None:
        raise SolverError(
            "The LMI is not LipSDP of a plain chain of layers, or that of a constant.", "Use solver='barrier'."
        )
    reduction = found.reduction
    needed = forecast(reduction.chain)
    if memory_limit is not None and needed > memory_limit:
        raise MemoryLimitError(
            f"{sum(reduction.chain.sizes)} signals need {needed / 1e6:.3g} MB; {memory_limit / 1e6:.3g} MB allowed.",
            "Use method='product', or allow more memory.",
        )
    problem = _Problem(reduction.chain)
    best, iterations = _minimise(problem, deadline, tolerance)
    rho, multipliers = reduction.original(best.rho * (1 + MARGIN), np.exp(np.concatenate(list(problem.parts(best.x)))))
    values = {found.rho: np.array([rho])} | dict(zip(found.layers, multipliers, strict=True))
    lower = reduction.rho_factor * problem.lower(best.x)
    status = "optimal" if rho - lower <= tolerance * rho else "feasible"
    return Solution(values, rho, lower, status, iterations, "anytime")


@dataclass(frozen=True)
class _Point:
    """x with rho(x), the smoothed logarithm of rho and its gradient."""

    x: Array
    rho: float
    value: float
    gradient: Array


class _Problem:
    def __init__(self, problem: Chain) -> None:
        self.chain = problem
        self.layers = [
            slice(s.start - problem.sizes[0], s.stop - problem.sizes[0]) for s in block_slices(problem.sizes)
        ]
        self.n = problem.depth if problem.shared else self.layers[-1].stop

    def evaluate(self, x: Array, exponent: float) -> _Point | None:
        """None where some D_k is not positive definite."""
        problem = self.chain
        t = [np.exp(part) for part in self.parts(x)]
        backward = self._backward(t)
        if backward is None:
            return None
        factors, eigenvalues, vectors = backward
        rho = float(eigenvalues[-1])
        powers = (np.maximum(eigenvalues, 0.0) / rho) ** exponent
        smooth = float(np.log(rho) + np.log(powers.sum()) / exponent)
        kept = powers > 1e-12
        share = powers[kept] / powers.sum()
        F = vectors[:, kept] * np.sqrt(share / eigenvalues[kept])
        gradient: list[Array] = []
        for W, c, weights, L in zip(problem.W, problem.c, t, factors, strict=True):
            H = W @ F
            F = _response(L, c, weights, H)
            slope = np.sum(2 * c[:, None] * F * H - F * F - (c * c - 1)[:, None] * H * H, axis=1)
            gradient.append(slope * weights)
        if problem.shared:
            gradient = [np.array([part.sum()]) for part in gradient]
        return _Point(x, rho, smooth, np.concatenate(gradient))

    def lower(self, x: Array) -> float:
        """The largest of the dual values of the signals that x answers to, for some numbers of eigenvectors of Q_0."""
        t = [np.exp(part) for part in self.parts(x)]
        backward = self._backward(t)
        if backward is None:
            return 0.0
        factors, eigenvalues, vectors = backward
        best = 0.0
        for exponent in (*EXPONENTS, np.inf):
            powers = (np.maximum(eigenvalues, 0.0) / eigenvalues[-1]) ** exponent
            F = first = vectors * np.sqrt(powers)
            directions = []
            for W, c, weights, L in zip(self.chain.W, self.chain.c, t, factors, strict=True):
                H = W @ F
                F = _response(L, c, weights, H)
                directions.append(F - c[:, None] * H)
            best = max(best, dual_value(self.chain, feasible_signals(self.chain, first, directions)))
        return best

    def _backward(self, t: list[Array]) -> tuple[list[Array], Array, Array] | None:
        """Cholesky factors of D_1..D_l, eigenvalues and eigenvectors of Q_0."""
        problem = self.chain
        factors: list[Array] = []
        Q = problem.G
        for W, c, weights in zip(reversed(problem.W), reversed(problem.c), reversed(t), strict=True):
            try:
                L = cholesky(np.diag(weights) - Q, lower=True, overwrite_a=True)
            except (LinAlgError, ValueError):
                return None
            half = solve_triangular(L, (c * weights)[:, None] * W, lower=True, overwrite_b=True, check_finite=False)
            Q = half.T @ half
            if np.any(c * c != 1.0):
                Q -= (W * ((c * c - 1) * weights)[:, None]).T @ W
            factors.append(L)
        eigenvalues, vectors = eigh(Q)
        rho = float(eigenvalues[-1])
        return (factors[::-1], eigenvalues, vectors) if np.isfinite(rho) and rho > 0 else None

    def parts(self, x: Array) -> Iterator[Array]:
        for k, c in enumerate(self.chain.c):
            yield np.full(len(c), x[k]) if self.chain.shared else x[self.layers[k + 1]]


def _response(L: Array, c: Array, t: Array, H: Array) -> Array:
    """J = D^-1 T c H."""
    F = solve_triangular(L, (c * t)[:, None] * H, lower=True, check_finite=False)
    return np.asarray(solve_triangular(L, F, lower=True, trans="T", check_finite=False))


def _minimise(problem: _Problem, deadline: float, tolerance: float) -> tuple[_Point, int]:
    """The best point met, and the number of iterations."""
    iterations = 0
    best = problem.evaluate(np.zeros(problem.n), EXPONENTS[0])
    if best is None:
        raise SolverError("The closed-form start of the network is not feasible.", "Use method='product'.")
    for exponent in EXPONENTS:
        point = problem.evaluate(best.x, exponent)
        if point is None:
            break
        pairs: list[tuple[Array, Array]] = []
        history = [point.value]
        longest, last = 0.3, exponent == EXPONENTS[-1]
        while time.perf_counter() < deadline:
            following = _step(problem, point, exponent, pairs, longest, deadline)
            if following is None:
                if not pairs:
                    break
                pairs.clear()
                longest = 0.3
                continue
            iterations += 1
            longest = min(1.0, 2 * float(np.abs(following.x - point.x).max()))
            s, y = following.x - point.x, following.gradient - point.gradient
            if s @ y > 1e-10 * np.linalg.norm(s) * np.linalg.norm(y):
                pairs.append((s, y))
                del pairs[:-MEMORY]
            point = following
            if point.rho < best.rho:
                best = point
            history.append(point.value)
            if len(history) > 10 and history[-11] - history[-1] < 10 * (tolerance / 10 if last else PROGRESS):
                break
    return best, iterations


def _step(
    problem: _Problem,
    point: _Point,
    exponent: float,
    pairs: list[tuple[Array, Array]],
    longest: float,
    deadline: float,
) -> _Point | None:
    """One step of L-BFGS, shortened until it is feasible and descends; None if none does."""
    direction = -_two_loops(point.gradient, pairs)
    slope = float(direction @ point.gradient)
    if not slope < 0:
        return None
    a = min(1.0 if pairs else np.inf, longest / float(np.abs(direction).max()))
    for _ in range(20):
        trial = problem.evaluate(point.x + a * direction, exponent)
        if trial is not None and trial.value <= point.value + 1e-4 * a * slope:
            return trial
        if time.perf_counter() >= deadline:
            return None
        a *= 0.4
    return None


def _two_loops(gradient: Array, pairs: list[tuple[Array, Array]]) -> Array:
    """The inverse Hessian's approximation times the gradient."""
    q = gradient.copy()
    alphas = []
    for s, y in reversed(pairs):
        alpha = float(s @ q) / float(s @ y)
        alphas.append(alpha)
        q -= alpha * y
    if pairs:
        s, y = pairs[-1]
        q *= float(s @ y) / float(y @ y)
    for (s, y), alpha in zip(pairs, reversed(alphas), strict=True):
        q += (alpha - float(y @ q) / float(s @ y)) * s
    return q
