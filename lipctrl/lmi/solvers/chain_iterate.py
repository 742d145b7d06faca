"""An iterate of the primal-dual method for chains (`chain_method`): one predictor-corrector step, and its bounds.

Every iterate has M > 0, and the upper bound is the least rho for its t. Once a full dual step has been made,
Y_ii := 2 c F_ii - (c^2 - 1) K_ii keeps F(Y) = 0 to the last digit; the Cholesky factors of its cliques then make
<G, Y_ll>/tr Y_00 a lower bound up to rounding. A far better one, with or without F(Y) = 0, are `signals` in the
directions of the largest eigenvectors of Y: on the central path N - r eigenvalues are of the size of mu, which
costs Y that much of its value, while its optimum has the few columns r that remain.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgError

from lipctrl.errors import SolverFailure
from lipctrl.lmi.lmi import Array
from lipctrl.lmi.solvers.chain_factor import Factor
from lipctrl.lmi.solvers.chain_newton import Products, Schur
from lipctrl.lmi.solvers.completion import Cliques
from lipctrl.lmi.solvers.kernels import cholesky_in_place
from lipctrl.lmi.solvers.normal_form import Feedforward
from lipctrl.lmi.solvers.signals import MARGIN, feasible_signals
from lipctrl.lmi.solvers.steps import DENSE, step_by_matrix

#: Lanczos steps for the length of the predictor, which only decides how much to centre
PREDICTOR_STEPS = 5
#: relative <M, Y> from which on few columns of Y are looked at; how many, and numbers of them that are tried
NEARLY, COLUMNS, TRUNCATIONS = 0.1, 16, 3
#: change of the diagonal of Y, relative to its largest entry, up to which it is repaired
REPAIRABLE = 1e-6


class Iterate:
    """An iterate (rho, t, Y) with the factors of M and Y, and the best bounds seen; in the precision of the chain."""

    def __init__(self, chain: Feedforward, rho: float, t: Array, Y: Array | None = None) -> None:
        self.chain, self.products = chain, Products(chain)
        products = self.products
        self.order, self.first = products.order, products.first
        self.last = products.blocks[-1]
        dtype = chain.G.dtype
        self.rho, self.t = rho, np.array(t, dtype)
        self.factor, self.cliques = Factor(chain), Cliques(chain.sizes, dtype)
        if not self.factor.update(rho, self.t):
            raise SolverFailure("The start is not strictly feasible.", "Leave it out, or move it into the interior.")
        self.schur = Schur(products.unknowns, dtype)
        self.P, self.Y, self.X, self.dY = (np.zeros((self.order, self.order), dtype) for _ in range(4))
        self.FP, self.FY, self.FdY = (np.zeros((products.n, self.order), dtype) for _ in range(3))
        if self.order <= DENSE:
            self.triangle = np.tri(self.order, dtype=dtype)
            self.root, self.dM, self.Froot = np.zeros_like(self.P), np.zeros_like(self.P), np.zeros_like(self.FP)
        self.upper, self.best, self.lower = np.inf, self.t, -np.inf
        self.complementarity = np.inf
        self.basis = np.random.default_rng(0).standard_normal((self.order, min(COLUMNS, self.order))).astype(dtype)
        self.keep_best()
        self.invert()
        np.multiply(self.P, 1 / np.trace(self.P[: self.first, : self.first]), out=self.Y)
        if Y is None or not self.cliques.update(Y):
            self.cliques.update(self.Y)
        else:
            self.Y[:] = Y
        self.cliques.complete(self.Y)

    def few_columns(self) -> float:
        """The best dual value of signals with the directions of some of the largest eigenvectors of Y.

        The eigenvectors are those of Y on a subspace to which each iterate adds one step of the power method.
        """
        try:
            self.basis = np.linalg.qr(self.Y @ self.basis)[0]
            image = self.Y @ self.basis
            values, turn = np.linalg.eigh(self.basis.T @ image)
            values, turn = values[::-1], turn[:, ::-1]
            if not values[-1] > 0:
                return -np.inf
            gaps = values[1:] / values[:-1]
            counts = {1 + int(place) for place in np.argsort(gaps)[:TRUNCATIONS]} | {len(values)}
            columns = image @ (turn / np.sqrt(values))
            return max(self._value_of(columns[:, :count]) for count in counts)
        except (LinAlgError, ValueError):
            return -np.inf

    def _value_of(self, Z: Array) -> float:
        parts = [Z[block] for block in self.products.blocks]
        layers = zip(self.chain.weights, self.chain.c, parts, parts[1:], strict=False)
        directions = [own - c[:, None] * (W @ before) for W, c, before, own in layers]
        return feasible_signals(self.chain, np.concatenate([parts[0], *directions])).value * (1 - MARGIN)

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
        if self.chain.shared:
            schur.H[:] = 0
        products.schur(P, FP, Y, FY, schur.H)
        schur.factor()
        FofY, FofP = self.adjoint(Y, FY), self.adjoint(P, FP)
        cost = np.zeros_like(schur.scale)
        cost[0] = 1.0
        y = self.unknowns(self.rho, self.t)
        product = float(y @ FofY) - self.supply(Y)
        if not product > 0:
            raise LinAlgError("Rounding has made <M, Y> negative.")
        mu = product / self.order
        feasible = float(np.abs(cost - FofY).max()) < REPAIRABLE**0.5
        self.complementarity = product / self.rho if feasible else np.inf

        # predictor: sigma = 0
        d_a = schur.solve(-cost)
        drho_a, dt_a = self.split(d_a)
        products.direction(drho_a, dt_a, Y, FY, X)
        factor.apply_inverse(X)
        np.add(X, X.T, out=dY)
        dY *= -0.5
        dY -= Y
        a1 = min(1.0, self.primal_step(drho_a, dt_a, PREDICTOR_STEPS, PREDICTOR_STEPS))
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
        a1 = min(1.0, reach * self.primal_step(drho, dt, 25, 10))
        a2 = min(1.0, reach * self.cliques.step(dY, 25, 10, 1 / reach))
        return self.move(a1, drho, dt, a2)

    def primal_step(self, drho: float, dt: Array, steps: int, least: int) -> float:
        """Step to the boundary from M along dM; for small orders from L'dM L with P = L L'."""
        if self.order > DENSE:
            return self.factor.step(drho, dt, steps, least)
        self.products.direction(drho, dt, self.root, self.Froot, self.dM)
        return step_by_matrix(self.root.T @ self.dM, steps, least)

    def invert(self) -> None:
        """P = M^-1, and its Cholesky factor where the step lengths want it."""
        self.factor.full_inverse(self.P)
        if self.order <= DENSE:
            np.multiply(self.P, self.triangle, out=self.root)
            if not cholesky_in_place(self.root):
                raise LinAlgError("The inverse of M is not positive definite.")
            self.products.panels(self.root, self.Froot)

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
        if self.complementarity <= NEARLY and self.chain.G.dtype == np.float64:
            self.lower = max(self.lower, self.few_columns())
        self.invert()
        return max(a1, a2) > 1e-8

    def repair(self, Y: Array) -> bool:
        """Make F(Y) = 0 by the diagonal, if it nearly is; the block-tridiagonal part is enough."""
        products, c = self.products, self.products.c
        shifts: list[Array] = []
        for k, (W, part) in enumerate(zip(self.chain.weights, products.parts, strict=True)):
            own, before = products.blocks[k + 1], products.blocks[k]
            ci = c[part]
            diagonal = np.einsum("ii->i", Y[own, own])
            wanted = 2 * ci * np.einsum("ij,ij->i", W, Y[own, before])
            if not self.chain.plain[k]:
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
        return np.concatenate([np.array([trace], X.dtype), self.products.gather(self.products.adjoint(X, F))])

    def unknowns(self, rho: float, t: Array) -> Array:
        starts = self.products.starts
        return np.concatenate([np.array([rho], t.dtype), t[starts] if self.chain.shared else t])

    def split(self, d: Array) -> tuple[float, Array]:
        return float(d[0]), self.products.spread(d[1:])
