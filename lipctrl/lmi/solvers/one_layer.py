"""LipSDP of a network with one hidden layer, near-linear in its width: a primal-dual method on the reduced inequality.

With rows u_i = Z1 e_i and w_i of (A - B) S^-1/2 (`lipctrl.lmi.one_layer`), t = exp(x), and both sides doubled:

    minimise rho  s.t.  K(rho, t) = [2I - sum u u'/t, 2N; 2N', 2 rho I - sum t w w'] > 0
    dual:  2 tr Y22 = 1,  a_i / t_i = b_i t_i   with  a_i = u'Y11 u, b_i = w'Y22 w

Every Y >= 0 bounds the optimum from below, and every t from above (`lipctrl.lmi.solvers.one_layer_form`):

    sum 2 sqrt(a_i b_i) - 2 tr Y11 - 4 <Y12, N>  <=  rho*  <=  lambda_max(sum t w w' + 4 N'(2I - sum u u'/t)^-1 N) / 2

so the gap is rigorous at any iterate, up to the rounding of these sums. The Newton system of Nesterov and Todd reads,
in the scaled unknown X = G^-1 dY G^-T (K = LL', Y = RR', R'L = V1 D V2', G = L^-T V2 D^1/2: G'KG = G^-1 Y G^-T = D),

    X + sum kappa_i F_i (<F_i, X> + r_i) + 2 drho E = C,    2 <E, X> = 1 - 2 tr Y22,
    dx_i = kappa_i (<F_i, X> + r_i),   kappa_i = 1 / (a_i/t_i + b_i t_i),   r_i = a_i/t_i - b_i t_i

where F_i = G' diag(u u'/t, -t w w') G, E = G' diag(0, I) G (`lipctrl.lmi.solvers.one_layer_newton`). Mehrotra's
corrector also takes what K curves by along the predictor, -sum dx^2/2 G' diag(u u'/t, t w w') G: without it the steps
are short and the iterations two to four times as many.
Reference: Nesterov, Todd, SIAM J. Optim. 8 (1998); Mehrotra, SIAM J. Optim. 2 (1992).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_triangular

from lipctrl.lmi.lmi import LMI, Array, Values
from lipctrl.lmi.one_layer import OneLayer, one_layer
from lipctrl.lmi.solvers.kernels import is_definite
from lipctrl.lmi.solvers.one_layer_form import Reduced, reduce
from lipctrl.lmi.solvers.one_layer_newton import CHUNK, Newton
from lipctrl.lmi.solvers.solution import Solution

LARGEST_CHANGE = 3.0
"""Of the logarithm of a multiplier, in one iteration."""


def applies(lmi: LMI) -> OneLayer | None:
    """The parts of `lmi` if it is LipSDP of one hidden layer: minimise rho, S diagonal and positive, T >= 0."""
    if len(lmi.inequalities) != 1 or len(lmi.objective) != 1:
        return None
    parts = one_layer(lmi.inequalities[0])
    if parts is None or len(parts.supplies) != 1 or {v.name for v in lmi.variables} != {parts.variable, "rho"}:
        return None
    name, supply = parts.supplies[0]
    bounds = {v.name: v.lower for v in lmi.variables}
    diagonal = np.diag(supply.mid)
    if name != "rho" or name not in lmi.objective or bounds[parts.variable] != 0.0 or bounds["rho"] is not None:
        return None
    diagonally_positive = np.array_equal(supply.mid, np.diag(diagonal)) and np.all(diagonal > 0)
    return parts if diagonally_positive and np.all(lmi.objective[name] == 1) else None


def forecast(lmi: LMI, parts: OneLayer) -> int:
    """Bytes that :func:`solve` needs at most, the weights apart."""
    (m, n), width = parts.Z1.shape, parts.Z0.shape[1]
    p = m + width
    features = (m * (m + 1) + width * (width + 1)) // 2
    if features <= lmi.variable(parts.variable).size:
        system = 6 * features**2 + 3 * features * (CHUNK + p * (p + 1) // 2)
    else:
        system = 8 * n * n
    return 8 * (system + 12 * n * p + 40 * p * p + 40 * n)


def solve(
    lmi: LMI,
    parts: OneLayer,
    *,
    gap: float = 1e-7,
    max_iterations: int = 60,
    start: Values | None = None,
    lower: float = -np.inf,
    time_limit: float | None = None,
) -> Solution:
    """Minimise rho.

    `parts` is what :func:`applies` gave, `start` strictly feasible (by default in closed form), `lower` a known bound.
    """
    deadline = np.inf if time_limit is None else time.perf_counter() + time_limit
    problem, scaling = reduce(parts, lmi.variable(parts.variable).size)
    point = None
    if start is not None:
        t = np.asarray(start[parts.variable], dtype=np.float64)[scaling.live] / scaling.factor
        point = (t, float(np.asarray(start["rho"]).reshape(())) / scaling.rho)
    run = _Run(problem, gap, point)
    run.lower = max(run.lower, lower / scaling.rho)
    status, iterations = run.until(max_iterations, deadline)
    multipliers = scaling.multipliers(run.best)
    rho = scaling.upper(multipliers)
    values = {"rho": np.array([rho]), parts.variable: multipliers}
    return Solution(values, rho, scaling.lower(run.lower), status, iterations, "barrier")


@dataclass
class _Point:
    x: Array
    rho: float
    Y: Array


class _Run:
    """The iteration: `best` multipliers with bound `upper`, and the best dual value `lower`."""

    def __init__(self, problem: Reduced, gap: float, start: tuple[Array, float] | None = None) -> None:
        self.problem, self.gap = problem, gap
        self.best = np.ones(problem.n)
        self.upper, self.lower = problem.least(self.best), 0.0
        t, rho = start or (self.best, 1.5 * self.upper)
        Y = np.asarray(np.linalg.inv(problem.matrix(t, rho)) if rho > 0 else np.eye(problem.p))
        self.point = _Point(np.log(t), rho, problem.normalised(Y))
        if rho > 0:
            self.evaluate()

    def until(self, max_iterations: int, deadline: float) -> tuple[str, int]:
        """Status, and number of iterations."""
        iterations = 0
        while not self.converged():
            if iterations == max_iterations:
                return "inaccurate", iterations
            if time.perf_counter() > deadline:
                return "feasible", iterations
            iterations += 1
            try:
                if not self.advance():
                    break
            except (LinAlgError, ValueError):
                break
        return "optimal" if self.converged() else "inaccurate", iterations

    def converged(self) -> bool:
        """Whether the gap is reached; a zero network has nothing to be found."""
        return self.upper - self.lower <= 0.95 * self.gap * self.upper

    def evaluate(self) -> None:
        """Both bounds at the current point; the dual matrix suggests multipliers of its own."""
        problem, point = self.problem, self.point
        lower, suggested = problem.dual(point.Y)
        self.lower = max(self.lower, lower)
        for t in (np.exp(point.x), suggested):
            value = problem.least(t)
            if value < self.upper:
                self.upper, self.best = value, t

    def advance(self) -> bool:
        """One predictor-corrector step; False when no progress is possible."""
        problem, point = self.problem, self.point
        p, m = problem.p, problem.m
        t = np.exp(point.x)
        K = problem.matrix(t, point.rho)
        L, R = cholesky(K, lower=True), cholesky(point.Y, lower=True)
        _, D, Vt = np.linalg.svd(R.T @ L)
        G = solve_triangular(L, Vt.T * np.sqrt(D), trans="T", lower=True)
        E = G[m:].T @ G[m:]
        mu = float(D @ D) / p
        a, b = problem.squares(point.Y)
        au, bw = a / t, b * t
        kappa, residual = 1 / (au + bw), au - bw
        newton = Newton(problem, G, t, kappa)
        xE, pull = newton.solve(E), newton.adjoint(kappa * residual)
        trace = 1 - 2 * float(np.trace(point.Y[m:, m:]))
        denominator = 4 * float(np.vdot(E, xE))

        def direction(C: Array) -> tuple[Array, float, Array, Array]:
            x1 = newton.solve(C - pull)
            drho = (2 * float(np.vdot(E, x1)) - trace) / denominator
            X = x1 - 2 * drho * xE
            dx = kappa * (newton.contract(X) + residual)
            return dx, drho, X, C - X

        dx_a, _, dY_a, dK_a = direction(-np.diag(D))
        a1, a2 = _reach(D, dK_a), _reach(D, dY_a)
        a1 = min(1.0, a1, LARGEST_CHANGE / max(float(np.abs(dx_a).max(initial=0.0)), 1e-300))
        a2 = min(1.0, a2)
        mu_a = float(np.vdot(np.diag(D) + a1 * dK_a, np.diag(D) + a2 * dY_a)) / p
        a_min = min(a1, a2)
        sigma = float(np.clip((max(mu_a, 0.0) / mu) ** (1 + a_min**2), 1e-6, 0.8))
        if a_min < 0.1:
            sigma = max(sigma, 0.5)
        C, curvature = np.diag(sigma * mu / D - D), np.zeros_like(dY_a)
        if a_min > 0.05:
            second = dY_a @ dK_a
            C -= (second + second.T) / (D[:, None] + D)
            curvature = newton.curvature(dx_a)
        dx, drho, dY, dK = direction(C - curvature)
        dK += curvature
        reach = min(0.995, max(0.9, 1 - 3 * sigma))
        a1, a2 = min(1.0, reach * _reach(D, dK)), min(1.0, reach * _reach(D, dY))
        a1 = min(a1, LARGEST_CHANGE / max(float(np.abs(dx).max(initial=0.0)), 1e-300))
        back = G @ dY @ G.T
        step = self.primal_step(a1, dx, drho)
        dual = _definite_step(point.Y, (back + back.T) / 2, a2)
        if step is None or dual is None:
            return False
        x, rho, a1 = step
        self.point = _Point(x, rho, problem.normalised(dual[0]))
        before = (self.upper, self.lower)
        self.evaluate()
        return max(a1, dual[1]) > 1e-6 or (self.upper, self.lower) != before

    def primal_step(self, a: float, dx: Array, drho: float) -> tuple[Array, float, float] | None:
        for _ in range(40):
            x, rho = self.point.x + a * dx, self.point.rho + a * drho
            if is_definite(self.problem.matrix(np.exp(x), rho)):
                return x, rho, a
            a *= 0.8
        return None


def _reach(D: Array, direction: Array) -> float:
    root = 1 / np.sqrt(D)
    smallest = float(np.linalg.eigvalsh(direction * root[:, None] * root)[0])
    return 10.0 if smallest > -0.1 else -1 / smallest


def _definite_step(Y: Array, direction: Array, a: float) -> tuple[Array, float] | None:
    for _ in range(40):
        if is_definite(Y + a * direction):
            return Y + a * direction, a
        a *= 0.8
    return None
