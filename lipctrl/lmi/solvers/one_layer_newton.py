"""The Newton system of the reduced inequality: X + sum kappa_i F_i <F_i, X> = C, F_i = G' diag(u u'/t, -t w w') G.

Two ways, whichever has the lower order:

    by features   svec(X) = (I + P' B P)^-1 svec(C),  B = sum kappa s s', s = svec of the two blocks, P the map of G
    by neurons    X = C - F* (1/kappa + F F*)^-1 F C,  F F* = products of Gram matrices, entry by entry
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from lipctrl.lmi.lmi import Array
from lipctrl.lmi.solvers.one_layer_form import Reduced

CHUNK = 2048
"""Neurons whose products are formed together, so that they stay in the cache."""


class Newton:
    """The system at one point; `solve` as often as needed."""

    def __init__(self, problem: Reduced, G: Array, t: Array, kappa: Array) -> None:
        self.problem, self.G, self.t, self.kappa = problem, G, t, kappa
        m, width = problem.m, problem.p - problem.m
        self.features = (m * (m + 1) + width * (width + 1)) // 2 <= problem.n
        if self.features:
            self.pairs = np.triu_indices(problem.p)
            self.weight = _weights(self.pairs)
            P = np.vstack([_congruence(G[:m], self.pairs), _congruence(G[m:], self.pairs)])
            H = P.T @ (self.moments() @ P)
        else:
            self.root = np.sqrt(kappa)
            H = self.gram() * self.root[:, None] * self.root
        H[np.diag_indices_from(H)] += 1.0
        self.H, self.factor = H, _factor(H)

    def moments(self) -> Array:
        """sum kappa s s' with s = (svec(u u') / t, -t svec(w w')), the neurons taken in chunks."""
        problem = self.problem
        quarter = np.sqrt(np.sqrt(self.kappa) / self.t)
        U, W = problem.U * quarter, problem.W * (quarter * self.t)
        weight = np.concatenate([_weights(np.triu_indices(len(U))), -_weights(np.triu_indices(len(W)))])
        B = np.zeros((len(weight), len(weight)))
        work = np.empty((len(weight), CHUNK))
        for begin in range(0, problem.n, CHUNK):
            rows = work[:, : min(CHUNK, problem.n - begin)]
            place = 0
            for part in (U[:, begin : begin + CHUNK], W[:, begin : begin + CHUNK]):
                for i in range(len(part)):
                    np.multiply(part[i], part[i:], out=rows[place : place + len(part) - i])
                    place += len(part) - i
            B += rows @ rows.T
        return B * weight[:, None] * weight

    def gram(self) -> Array:
        """<F_i, F_j>."""
        problem, m = self.problem, self.problem.m
        if problem.shared:
            F = self.adjoint(np.ones(problem.n))
            return np.full((problem.n, problem.n), float(np.vdot(F, F)))
        gu, gw = self.G[:m].T @ (problem.U / np.sqrt(self.t)), self.G[m:].T @ (problem.W * np.sqrt(self.t))
        out = (gu.T @ gu) ** 2
        out += (gw.T @ gw) ** 2
        cross = (gu.T @ gw) ** 2
        out -= cross
        out -= cross.T
        return out

    def adjoint(self, y: Array) -> Array:
        """sum y_i F_i."""
        m = self.problem.m
        uu, ww = self.problem.sums(y / self.t, y * self.t)
        return self.G[:m].T @ uu @ self.G[:m] - self.G[m:].T @ ww @ self.G[m:]

    def curvature(self, dx: Array) -> Array:
        """What K changes by beyond its linear part: -sum dx_i^2/2 G' diag(u u'/t, t w w') G."""
        m, y = self.problem.m, dx**2 / 2
        uu, ww = self.problem.sums(y / self.t, y * self.t)
        return -(self.G[:m].T @ uu @ self.G[:m]) - self.G[m:].T @ ww @ self.G[m:]

    def contract(self, X: Array) -> Array:
        """<F_i, X>."""
        a, b = self.problem.squares(self.G @ X @ self.G.T)
        return a / self.t - b * self.t

    def solve(self, C: Array) -> Array:
        """X, with one step of iterative refinement."""
        if self.features:
            flat = C[self.pairs] * self.weight
            x = cho_solve(self.factor, flat)
            x += cho_solve(self.factor, flat - self.H @ x)
            X = np.zeros_like(C)
            X[self.pairs] = x / self.weight
            return X + np.triu(X, 1).T
        X = self._by_neurons(C)
        return X + self._by_neurons(C - X - self.adjoint(self.kappa * self.contract(X)))

    def _by_neurons(self, C: Array) -> Array:
        if self.problem.n == 0:
            return C
        return C - self.adjoint(self.root * cho_solve(self.factor, self.root * self.contract(C)))


Pairs = tuple[NDArray[np.intp], ...]


def _weights(pairs: Pairs) -> Array:
    """sqrt 2 off the diagonal, 1 on it: what makes svec an isometry."""
    return np.where(pairs[0] == pairs[1], 1.0, np.sqrt(2.0))


def _congruence(rows: Array, pairs: Pairs) -> Array:
    """The matrix that takes svec(S) to svec(rows' S rows)."""
    own = np.triu_indices(len(rows))
    left, right = rows[own[0]], rows[own[1]]
    out = left[:, pairs[0]] * right[:, pairs[1]] + left[:, pairs[1]] * right[:, pairs[0]]
    return out * (_weights(own)[:, None] * _weights(pairs)) / 2


def _factor(H: Array) -> tuple[Array, bool]:
    ridge = 0.0
    while True:
        try:
            return cho_factor(H + ridge * np.eye(len(H)), check_finite=False) if len(H) else (H, True)
        except LinAlgError:
            ridge = max(1e-14 * float(np.max(np.diag(H))), 10 * ridge)
            if not np.isfinite(ridge) or ridge > 1e-2 * float(np.max(np.diag(H))):
                raise
