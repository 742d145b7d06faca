"""Primal-dual interior-point method on an LMI (HKM direction, Mehrotra predictor-corrector).

    minimise c'y  s.t.  S_k = M_k(y) > 0,  s = y - lower > 0
    dual:  maximise -sum <C_k, Y_k> + lower'z  s.t.  sum_k A_k*(Y_k) + z = c,  Y_k >= 0,  z >= 0

Every iterate has M_k(y) > 0 (a Cholesky factorisation is the test), so that it can be stopped at any time.
Reference: Helmberg, Rendl, Vanderbei, Wolkowicz, SIAM J. Optim. 6 (1996); Mehrotra, SIAM J. Optim. 2 (1992).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve, lapack

from lipctrl.errors import SolverError, SolverFailure
from lipctrl.lmi.lmi import LMI, Array, Congruence, Multiplier, Scaled, Values
from lipctrl.lmi.solvers.dyads import Dyads, Layout
from lipctrl.lmi.solvers.kernels import is_definite
from lipctrl.lmi.solvers.solution import Solution
from lipctrl.lmi.solvers.steps import step_to_boundary

Stop = Callable[[Mapping[str, Array], float], bool]


@dataclass
class _Iterate:
    y: Array
    z: Array
    Y: list[Array]


def solve(
    lmi: LMI,
    *,
    gap: float = 1e-7,
    max_iterations: int = 100,
    start: Values | None = None,
    lower: float = -np.inf,
    stop: Stop | None = None,
    time_limit: float | None = None,
) -> Solution:
    """Minimise the objective of `lmi` from a strictly feasible start.

    Parameters
    ----------
    lmi : LMI
    gap : float
        Relative duality gap at which to stop.
    max_iterations : int
    start : mapping, optional
        Strictly feasible values; `lmi.start` by default.
    lower : float
        A lower bound that is known.
    stop : callable, optional
        Called with the values of each iterate and the best dual value; the method ends when it returns True.
    time_limit : float, optional
        Seconds, counted between iterations.

    Raises
    ------
    SolverError
        If the start is missing or not strictly feasible.
    """
    deadline = None if time_limit is None else time.perf_counter() + time_limit
    return _Barrier(lmi, gap, max_iterations, start or lmi.start, stop, deadline).run(lower)


def forecast(lmi: LMI) -> int:
    """Bytes that :func:`solve` needs at most: dense matrices over signals, dyads and variables."""
    variables = sum(v.n_scalars for v in lmi.variables)
    total = 12.0 * variables**2
    for inequality in lmi.inequalities:
        N, dyads = inequality.order, 0
        for term in inequality.terms:
            dyads += term.A.rows if isinstance(term, Multiplier) else 0
            dyads += term.F.rows**2 if isinstance(term, Congruence) else 0
        total += 24 * N * N + 10 * N * dyads + 6 * dyads**2 + 2 * variables * dyads
    return int(8 * total)


class _Barrier:
    def __init__(
        self,
        lmi: LMI,
        gap: float,
        max_iterations: int,
        start: Values | None,
        stop: Stop | None,
        deadline: float | None = None,
    ) -> None:
        if start is None:
            raise SolverError("The interior-point method needs a strictly feasible start.", "Use solver='clarabel'.")
        self.layout = Layout(lmi)
        self.blocks = [Dyads(inequality, self.layout) for inequality in lmi.inequalities]
        self.gap, self.max_iterations, self.stop, self.deadline = gap, max_iterations, stop, deadline
        self.cost, self.lower = self.layout.cost, self.layout.lower
        self.bounded = np.isfinite(self.lower)
        free = np.flatnonzero(~self.bounded)
        self.only = int(free[0]) if len(free) == 1 else None
        scalars = {
            term.variable for inequality in lmi.inequalities for term in inequality.terms if isinstance(term, Scaled)
        }
        self.is_gain = self.only is not None and any(self.layout.start[name] == self.only for name in scalars)
        self.degree = sum(block.order for block in self.blocks) + int(self.bounded.sum())
        y = self.layout.flatten(start)
        if self.slacks(y) is None:
            raise SolverFailure("The start is not strictly feasible.", "Give a start with every inequality strict.")
        for block in self.blocks:
            block.rescale(1 / np.sqrt(np.diag(block.constant + block.linear(y))))
        self.best = y
        self.point = self.start_dual(y)

    def slacks(self, y: Array) -> list[Array] | None:
        """M_k(y) if all are positive definite and the bounds hold strictly, else None."""
        if not (np.all(np.isfinite(y)) and np.all(y[self.bounded] > self.lower[self.bounded])):
            return None
        matrices = self.matrices(y)
        return matrices if all(is_definite(matrix) for matrix in matrices) else None

    def start_dual(self, y: Array) -> _Iterate:
        """Y = mu M^-1, z = mu / s (dual infeasible, which does no harm).

        mu is such that the equation of rho or gamma^2 holds, if that alone is free; else by the size of the objective.
        """
        inverse = [_inverse(matrix) for matrix in self.matrices(y)]
        s = np.where(self.bounded, y - self.lower, 1.0)
        mu = 0.1 * max(abs(float(self.cost @ y)), 1e-3) / self.degree
        if self.only is not None and self.is_gain:
            mu = float(self.cost[self.only] / self.dual_sum(inverse)[self.only])
        return _Iterate(y, np.where(self.bounded, mu / s, 0.0), [mu * X for X in inverse])

    def matrices(self, y: Array) -> list[Array]:
        return [block.constant + block.linear(y) for block in self.blocks]

    def complementarity(self, S: list[Array], s: Array, point: _Iterate) -> float:
        """sum <M_k, Y_k> + s'z."""
        total = sum(float(np.vdot(a, b)) for a, b in zip(S, point.Y, strict=True))
        return total + float(s[self.bounded] @ point.z[self.bounded])

    def run(self, lower: float = -np.inf) -> Solution:
        status, best_value = "inaccurate", float(self.cost @ self.best)
        iterations = 0
        while iterations < self.max_iterations:
            iterations += 1
            point = self.point
            S = self.matrices(point.y)
            s = np.where(self.bounded, point.y - self.lower, 1.0)
            primal = float(self.cost @ point.y)
            if primal < best_value:
                best_value, self.best = primal, point.y
            residual = self.cost - self.dual_sum(point.Y) - point.z
            infeasibility = float(np.abs(residual) @ np.maximum(1.0, np.abs(point.y)))
            dual = self.dual_value(point) - infeasibility
            scale = max(abs(best_value), np.finfo(float).tiny)
            exact = self.scaled_value(point)
            if exact is not None:
                lower = max(lower, exact)
            elif infeasibility < 1e-6 * max(1.0, abs(primal)):
                lower = max(lower, dual)
            if best_value - lower <= self.gap * scale:
                status = "optimal"
                break
            if self.deadline is not None and time.perf_counter() > self.deadline:
                status, iterations = "feasible", iterations - 1
                break
            if self.stop is not None and self.stop(self.layout.unflatten(point.y), lower):
                self.best, status = point.y, "feasible"
                break
            try:
                if not self.advance(point, S, s):
                    break
            except (LinAlgError, ValueError):
                break
        return Solution(
            self.layout.unflatten(self.best), float(self.cost @ self.best), lower, status, iterations, "barrier"
        )

    def dual_sum(self, Y: list[Array]) -> Array:
        return np.sum([block.adjoint(M) for block, M in zip(self.blocks, Y, strict=True)], axis=0)

    def dual_value(self, point: _Iterate) -> float:
        value = -sum(float(np.vdot(block.constant, M)) for block, M in zip(self.blocks, point.Y, strict=True))
        return value + float(self.lower[self.bounded] @ point.z[self.bounded])

    def scaled_value(self, point: _Iterate) -> float | None:
        """A dual value without residual: where one variable alone is free, Y is scaled to it, and z is what is left.

        -inf if that z is not positive, None if more variables are free: there the residual is estimated.
        """
        if self.only is None:
            return None
        sums = self.dual_sum(point.Y)
        scale = float(self.cost[self.only] / sums[self.only])
        z = (self.cost - scale * sums)[self.bounded]
        if not (scale > 0 and np.all(z >= 0)):
            return -np.inf
        value = -scale * sum(float(np.vdot(block.constant, M)) for block, M in zip(self.blocks, point.Y, strict=True))
        value += float(self.lower[self.bounded] @ z)
        return value - 1e-12 * abs(value)

    def advance(self, point: _Iterate, S: list[Array], s: Array) -> bool:
        """One predictor-corrector step; False when no progress is possible."""
        X = [_inverse(matrix) for matrix in S]
        mu = self.complementarity(S, s, point) / self.degree
        if not mu > 0:
            raise LinAlgError("Rounding has made <M, Y> negative.")
        H = np.sum([b.hessian(x, m) for b, x, m in zip(self.blocks, X, point.Y, strict=True)], axis=0)
        H[np.diag_indices_from(H)] += point.z / s
        newton = _Newton(H)
        barrier_gradient = self.dual_sum(X) + np.where(self.bounded, 1 / s, 0.0)

        # predictor: sigma = 0
        dy_a = newton.solve(-self.cost)
        dS_a = [block.linear(dy_a) for block in self.blocks]
        dz_a = np.where(self.bounded, -point.z - point.z * dy_a / s, 0.0)
        dY_a = [-m - _sym(x @ d @ m) for x, d, m in zip(X, dS_a, point.Y, strict=True)]
        a1 = self.primal_step(S, dS_a, s, dy_a)
        a2 = self.dual_step(point, dY_a, dz_a)
        a_min = min(a1, a2)
        mu_a = (
            sum(float(np.vdot(a + a1 * da, b + a2 * db)) for a, da, b, db in zip(S, dS_a, point.Y, dY_a, strict=True))
            + float((s + a1 * np.where(self.bounded, dy_a, 0.0)) @ (point.z + a2 * dz_a))
        ) / self.degree
        sigma = float(np.clip((max(mu_a, 0.0) / mu) ** (1 + a_min**2), 1e-6, 0.8))
        if a_min < 0.1:
            sigma = max(sigma, 0.5)

        # corrector: second-order terms, only where the predictor moved
        second = [np.zeros_like(m) for m in point.Y]
        second_z = np.zeros_like(point.z)
        if a_min > 0.05:
            second = [_sym(db @ da @ x) for db, da, x in zip(dY_a, dS_a, X, strict=True)]
            second_z = np.where(self.bounded, dz_a * dy_a / s, 0.0)
        dy = newton.solve(sigma * mu * barrier_gradient - self.cost - self.dual_sum(second) - second_z)
        dS = [block.linear(dy) for block in self.blocks]
        dz = np.where(self.bounded, sigma * mu / s - point.z - point.z * dy / s - second_z, 0.0)
        dY = [sigma * mu * x - m - _sym(x @ d @ m) - c for x, m, d, c in zip(X, point.Y, dS, second, strict=True)]
        reach = min(0.995, max(0.9, 1 - 3 * sigma))
        a1 = min(1.0, reach * self.primal_step(S, dS, s, dy))
        a2 = min(1.0, reach * self.dual_step(point, dY, dz))
        for _ in range(30):
            if self.slacks(point.y + a1 * dy) is not None:
                break
            a1 *= 0.8
        else:
            return False
        for _ in range(30):
            if all(is_definite(m + a2 * d) for m, d in zip(point.Y, dY, strict=True)):
                break
            a2 *= 0.8
        else:
            a2 = 0.0
        if max(a1, a2) < 1e-8:
            return False
        self.point = _Iterate(
            point.y + a1 * dy, point.z + a2 * dz, [_sym(m + a2 * d) for m, d in zip(point.Y, dY, strict=True)]
        )
        return True

    def primal_step(self, S: list[Array], dS: list[Array], s: Array, dy: Array) -> float:
        step = min(step_to_boundary(a, d) for a, d in zip(S, dS, strict=True))
        return min(step, _ratio(s[self.bounded], dy[self.bounded]))

    def dual_step(self, point: _Iterate, dY: list[Array], dz: Array) -> float:
        step = min(step_to_boundary(a, d) for a, d in zip(point.Y, dY, strict=True))
        return min(step, _ratio(point.z[self.bounded], dz[self.bounded]))


class _Newton:
    """Cholesky of the Jacobi-scaled Schur complement, with one step of iterative refinement."""

    def __init__(self, H: Array) -> None:
        self.scale = 1 / np.sqrt(np.maximum(np.diag(H), np.finfo(float).tiny))
        self.H = H * self.scale[:, None] * self.scale
        ridge = 0.0
        while True:
            try:
                self.factor = cho_factor(self.H + ridge * np.eye(len(H)))
                return
            except LinAlgError:
                ridge = max(1e-14, 10 * ridge)
                if ridge > 1e-2:
                    raise

    def solve(self, rhs: Array) -> Array:
        b = rhs * self.scale
        d = cho_solve(self.factor, b)
        d += cho_solve(self.factor, b - self.H @ d)
        return d * self.scale


def _sym(M: Array) -> Array:
    return (M + M.T) / 2


def _inverse(M: Array) -> Array:
    factor, info = lapack.dpotrf(M.T, lower=1, clean=1)
    if info != 0:
        raise LinAlgError("not positive definite")
    inverse, info = lapack.dpotri(factor, lower=1, overwrite_c=1)
    if info != 0:
        raise LinAlgError("singular")
    return np.tril(inverse) + np.tril(inverse, -1).T


def _ratio(value: Array, direction: Array) -> float:
    falling = direction < 0
    return float(np.min(-value[falling] / direction[falling], initial=10.0))
