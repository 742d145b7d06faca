"""Primal-dual interior-point method (HKM, Mehrotra) on the normal form of a chain.

    minimise rho  s.t.  M(rho, t) > 0         maximise <G, Y_ll>  s.t.  tr Y_00 = 1,  F(Y) = 0,  Y >= 0

Per iteration, with P = M^-1, mu = <M, Y>/N and f the unit vector of rho:

    predictor    H d_a = -f                        dY_a = -Y - sym(P dM_a Y)
    corrector    H d = sigma mu F(P) - f - F(C)    dY = sigma mu P - Y - sym(P dM Y) - C,  C = sym(P dM_a dY_a)

Every iterate has M > 0, so that it can be stopped at any time, and the upper bound is the least rho for its t. Once a
full dual step has been made, Y_ii := 2 c F_ii - (c^2 - 1) K_ii keeps F(Y) = 0 to the last digit; the Cholesky factors
of its cliques then make <G, Y_ll>/tr Y_00 a lower bound up to rounding.
References: Helmberg, Rendl, Vanderbei, Wolkowicz, SIAM J. Optim. 6 (1996); Mehrotra, SIAM J. Optim. 2 (1992).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError

from lipctrl.errors import SolverError
from lipctrl.lmi.lmi import Array
from lipctrl.lmi.solvers.chain_factor import Factor
from lipctrl.lmi.solvers.chain_form import Chain
from lipctrl.lmi.solvers.chain_newton import Products, Schur
from lipctrl.lmi.solvers.completion import Cliques

#: relative distance that the returned rho keeps from the boundary
MARGIN = 1e-12
#: Lanczos steps for the length of the predictor, which only decides how much to centre
PREDICTOR_STEPS = 5
#: steps without an improvement of the gap by a hundredth after which rounding has the last word
PATIENCE = 6
#: change of the diagonal of Y, relative to its largest entry, up to which it is repaired
REPAIRABLE = 1e-6


@dataclass(frozen=True)
class Outcome:
    """The best iterate, the best dual value, and how it ended."""

    rho: float
    t: Array
    lower: float
    status: str
    iterations: int


def minimise(
    chain: Chain,
    *,
    gap: float,
    max_iterations: int,
    start: tuple[float, Array] | None = None,
    stop: Callable[[float, Array, float], bool] | None = None,
    deadline: float | None = None,
) -> Outcome:
    """Run the method; `start` is a strictly feasible (rho, t), by default (1.5, 1).

    Raises
    ------
    SolverError
        If the start is not strictly feasible.
    """
    state = _State(chain, *(start or (1.5, np.ones(sum(chain.sizes[1:])))))
    status = "feasible"
    iterations, idle, least_gap = 0, 0, np.inf
    while True:
        if state.upper - state.lower <= gap * state.upper:
            status = "optimal"
            break
        if iterations == max_iterations:
            break
        if stop is not None and stop(state.upper, state.best, state.lower):
            break
        if deadline is not None and time.perf_counter() > deadline:
            break
        try:
            if not state.advance():
                status = "inaccurate"
                break
        except (LinAlgError, ValueError):
            status = "inaccurate"
            break
        iterations += 1
        idle = 0 if not np.isfinite(least_gap) or state.upper - state.lower < 0.99 * least_gap else idle + 1
        least_gap = min(least_gap, state.upper - state.lower)
        if idle == PATIENCE:
            status = "inaccurate"
            break
    return Outcome(state.upper, state.best, state.lower, status, iterations)


class _State:
    """An iterate (rho, t, Y) with the factors of M and Y, and the best bounds seen."""

    def __init__(self, chain: Chain, rho: float, t: Array) -> None:
        self.chain, self.products = chain, Products(chain)
        products = self.products
        self.order, self.first = products.order, products.first
        self.last = products.blocks[-1]
        self.rho, self.t = rho, np.array(t, dtype=np.float64)
        self.factor, self.cliques = Factor(chain), Cliques(chain.sizes)
        if not self.factor.update(rho, self.t):
            raise SolverError("The start is not strictly feasible.", "Leave it out, or move it into the interior.")
        self.schur = Schur(products.unknowns)
        self.P, self.Y, self.X, self.dY = (np.zeros((self.order, self.order)) for _ in range(4))
        self.FP, self.FY, self.FdY = (np.zeros((products.n, self.order)) for _ in range(3))
        self.upper, self.best, self.lower = np.inf, self.t, -np.inf
        self.keep_best()
        self.factor.full_inverse(self.P)
        np.multiply(self.P, 0.1 * rho / self.order, out=self.Y)
        self.cliques.update(self.Y)
        self.cliques.complete(self.Y)
        self.dual_feasible = False

    def keep_best(self) -> None:
        """The least rho for the present t, if it is the best so far."""
        value = self.factor.least_rho * (1 + MARGIN)
        if value < self.upper:
            self.upper, self.best = value, self.t.copy()

    def advance(self) -> bool:
        """One predictor-corrector step; False when no progress is possible."""
        products, factor, schur = self.products, self.factor, self.schur
        P, Y, X, dY, FP, FY = self.P, self.Y, self.X, self.dY, self.FP, self.FY
        products.panels(P, FP)
        products.panels(Y, FY)
        schur.H[:] = 0 if self.chain.shared else schur.H
        products.schur(P, FP, Y, FY, schur.H)
        schur.factor()
        FofY, FofP = self.adjoint(Y, FY), self.adjoint(P, FP)
        cost = np.zeros(products.unknowns)
        cost[0] = 1.0
        y = self.unknowns(self.rho, self.t)
        product = float(y @ FofY) - self.supply(Y)
        mu = product / self.order

        # predictor: sigma = 0
        d_a = schur.solve(-cost)
        drho_a, dt_a = self.split(d_a)
        products.direction(drho_a, dt_a, Y, FY, X)
        factor.apply_inverse(X)
        np.add(X, X.T, out=dY)
        dY *= -0.5
        dY -= Y
        a1 = min(1.0, factor.step(drho_a, dt_a, PREDICTOR_STEPS, PREDICTOR_STEPS))
        a2 = self.cliques.step(dY, PREDICTOR_STEPS, PREDICTOR_STEPS, 1.0)
        a_min = min(a1, a2)
        residual = cost - FofY
        change = a1 * (d_a @ FofY) + a2 * (y @ residual - self.supply(dY)) + a1 * a2 * (d_a @ residual)
        sigma = float(np.clip((max(product + float(change), 0.0) / product) ** (1 + a_min**2), 1e-6, 0.8))
        if a_min < 0.1:
            sigma = max(sigma, 0.5)

        # corrector: second-order terms, only where the predictor moved
        rhs = sigma * mu * FofP - cost
        corrected = a_min > 0.05
        if corrected:
            products.panels(dY, self.FdY)
            products.direction(drho_a, dt_a, dY, self.FdY, X)
            second = products.gather(products.second_order(P, FP, X))
            rhs[1:] -= second
            rhs[0] -= np.vdot(P[: self.first], X[:, : self.first].T)
        d = schur.solve(rhs)
        drho, dt = self.split(d)
        if corrected:
            products.direction(drho, dt, Y, FY, dY)
            X += dY
        else:
            products.direction(drho, dt, Y, FY, X)
        factor.apply_inverse(X)
        np.add(X, X.T, out=dY)
        dY *= -0.5
        dY -= Y
        P *= sigma * mu
        dY += P

        reach = min(0.995, max(0.9, 1 - 3 * sigma))
        a1 = min(1.0, reach * factor.step(drho, dt, 25, 10))
        a2 = min(1.0, reach * self.cliques.step(dY, 25, 10, 1 / reach))
        return self.move(a1, drho, dt, a2)

    def move(self, a1: float, drho: float, dt: Array, a2: float) -> bool:
        """Take the steps, shortened until Cholesky factorisations succeed."""
        for _ in range(30):
            if self.factor.update(self.rho + a1 * drho, self.t + a1 * dt):
                break
            a1 *= 0.8
        else:
            return False
        self.rho, self.t = self.rho + a1 * drho, self.t + a1 * dt
        self.keep_best()
        trial = self.X
        exact = True
        for _ in range(40):
            np.multiply(self.dY, a2, out=trial)
            trial += self.Y
            repaired = exact and self.repair(trial)
            if self.cliques.update(trial):
                break
            exact = not repaired
            if exact:
                a2 *= 0.8
        else:
            return False
        self.X, self.Y = self.Y, trial
        self.cliques.complete(self.Y)
        if repaired:
            trace = float(np.trace(self.Y[: self.first, : self.first]))
            self.lower = max(self.lower, self.supply(self.Y) / trace * (1 - MARGIN))
        self.factor.full_inverse(self.P)
        return max(a1, a2) > 1e-8

    def repair(self, Y: Array) -> bool:
        """Make F(Y) = 0 by the diagonal, if it nearly is; the block-tridiagonal part is enough."""
        products, c = self.products, self.products.c
        shifts: list[Array] = []
        for k, (W, part) in enumerate(zip(self.chain.W, products.parts, strict=True)):
            own, before = products.blocks[k + 1], products.blocks[k]
            ci = c[part]
            diagonal = np.einsum("ii->i", Y[own, own])
            wanted = 2 * ci * np.einsum("ij,ij->i", W, Y[own, before])
            if np.any(ci != 1):
                previous = Y[before, before].copy()
                if shifts:
                    np.einsum("ii->i", previous)[:] += shifts[-1]
                wanted -= (ci**2 - 1) * np.einsum("ij,ij->i", W @ previous, W)
            shift = wanted - diagonal
            if self.chain.shared:
                shift = np.full(len(shift), shift.mean())
            if not float(np.abs(shift).max()) <= REPAIRABLE * float(diagonal.max()):
                return False
            shifts.append(shift)
        np.einsum("ii->i", Y)[self.first :] += np.concatenate(shifts)
        return True

    def supply(self, Y: Array) -> float:
        """<G, Y_ll>."""
        return float(np.vdot(self.chain.G, Y[self.last, self.last]))

    def adjoint(self, X: Array, F: Array) -> Array:
        """<A_j, X> for all unknowns (rho, t)."""
        trace = float(np.trace(X[: self.first, : self.first]))
        return np.concatenate([[trace], self.products.gather(self.products.adjoint(X, F))])

    def unknowns(self, rho: float, t: Array) -> Array:
        starts = self.products.starts
        return np.concatenate([[rho], t[starts] if self.chain.shared else t])

    def split(self, d: Array) -> tuple[float, Array]:
        return float(d[0]), self.products.spread(d[1:])
