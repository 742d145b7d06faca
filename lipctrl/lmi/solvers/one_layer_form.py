"""The reduced inequality of one hidden layer in floating point, scaled to a good start, with its two bounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lipctrl.lmi.lmi import Array
from lipctrl.lmi.one_layer import OneLayer

NEGLIGIBLE = 1e-13
"""Share of the inequality that is left to all neurons without incoming or outgoing weights together."""
COMMON_FACTORS = np.concatenate([1 + np.geomspace(1e-3, 1, 10), np.geomspace(2.5, 100, 5)])


@dataclass(frozen=True)
class Reduced:
    """K(rho, t) = [2I - sum u u'/t, 2N; 2N', 2 rho I - sum t w w'], u and w the columns of U and W.

    Attributes
    ----------
    U : array, shape (m, neurons)
    W : array, shape (p - m, neurons)
    N : array, shape (m, p - m)
    shared : bool
        One multiplier for all neurons (LipSDP-Layer); otherwise one each.
    """

    U: Array
    W: Array
    N: Array
    shared: bool

    @property
    def m(self) -> int:
        return len(self.U)

    @property
    def p(self) -> int:
        return len(self.U) + len(self.W)

    @property
    def n(self) -> int:
        """Number of multipliers."""
        return min(1, self.U.shape[1]) if self.shared else self.U.shape[1]

    def sums(self, per_u: Array, per_w: Array) -> tuple[Array, Array]:
        """sum per_u u u' and sum per_w w w', given one number per multiplier."""
        return (self.U * per_u) @ self.U.T, (self.W * per_w) @ self.W.T

    def squares(self, Y: Array) -> tuple[Array, Array]:
        """u'Y11 u and w'Y22 w, one number per multiplier."""
        a = np.einsum("ij,ij->j", Y[: self.m, : self.m] @ self.U, self.U)
        b = np.einsum("ij,ij->j", Y[self.m :, self.m :] @ self.W, self.W)
        return (np.array([a.sum()])[: self.n], np.array([b.sum()])[: self.n]) if self.shared else (a, b)

    def matrix(self, t: Array, rho: float) -> Array:
        """K(rho, t)."""
        uu, ww = self.sums(1 / t, t)
        K = np.block([[2 * np.eye(self.m) - uu, 2 * self.N], [2 * self.N.T, 2 * rho * np.eye(len(ww)) - ww]])
        return (K + K.T) / 2

    def least(self, t: Array) -> float:
        """The least rho with K(rho, t) >= 0, infinite where the upper block is not definite."""
        with np.errstate(all="ignore"):
            uu, ww = self.sums(1 / t, t)
        return _least(uu, ww, self.N)

    def dual(self, Y: Array) -> tuple[float, Array]:
        """A lower bound of the optimum from Y > 0 with 2 tr Y22 = 1, and the multipliers that attain it."""
        a, b = (np.maximum(value, 1e-300) for value in self.squares(Y))
        root, trace = 2 * float(np.sum(np.sqrt(a * b))), 2 * float(np.trace(Y[: self.m, : self.m]))
        coupling = 4 * float(np.vdot(Y[: self.m, self.m :], self.N))
        rounding = 1e-15 * (root + trace + abs(coupling))
        return root - trace - coupling - rounding, np.sqrt(a / b)

    def normalised(self, Y: Array) -> Array:
        """Y scaled to 2 tr Y22 = 1, exactly symmetric."""
        return (Y + Y.T) / (4 * float(np.trace(Y[self.m :, self.m :])))


@dataclass(frozen=True)
class Scaling:
    """From the reduced and scaled problem, where t = 1 is feasible with rho = 1, back to the LMI that was stated."""

    full: Reduced
    live: NDArray[np.intp]
    idle: Array
    factor: Array
    rho: float

    def multipliers(self, t: Array) -> Array:
        out = self.idle.copy()
        out[self.live] = self.factor * t
        return out

    def upper(self, multipliers: Array) -> float:
        """A rho with which these multipliers are strictly feasible."""
        return max(self.full.least(multipliers) * (1 + 1e-11), 1e-300)

    def lower(self, value: float) -> float:
        return value * self.rho


def reduce(parts: OneLayer, n_multipliers: int) -> tuple[Reduced, Scaling]:
    """The problem without idle neurons and superfluous inputs or outputs, scaled by its start.

    The start is t = 1 or t = |u| / |w|, whichever gives the smaller rho, each times the best common factor.
    """
    root = 1 / np.sqrt(np.diag(parts.supplies[0][1].mid))
    U = np.ascontiguousarray(parts.Z1.mid)
    W = np.ascontiguousarray((parts.A.mid - parts.B.mid).T * root[:, None])
    N = parts.coupling.mid * root
    U, W, N = _narrowed(U, W, N)
    size_u, size_w = np.sqrt(np.einsum("ij,ij->j", U, U)), np.sqrt(np.einsum("ij,ij->j", W, W))
    shared = n_multipliers == 1
    full = Reduced(U, W, N, shared)
    if shared:
        live = np.arange(min(full.n, int(np.any(size_u) and np.any(size_w))))
        kept = np.arange(U.shape[1]) if len(live) else live
    else:
        live = kept = np.flatnonzero(size_u * size_w > 0)
    U, W = U[:, kept], W[:, kept]
    factor, rho = _start(Reduced(U, W, N, shared), size_u[kept], size_w[kept])
    idle = _idle(size_u, size_w, rho, shared)
    scale = 1.0 if rho == 0.0 else np.sqrt(rho)
    scaled = Reduced(U / np.sqrt(factor), W * (np.sqrt(factor) / scale), N / scale, shared)
    return scaled, Scaling(full, live, idle, factor, scale**2)


def _narrowed(U: Array, W: Array, N: Array) -> tuple[Array, Array, Array]:
    """Orthogonal changes of outputs and inputs that leave no more of them than there are vectors to hold."""
    m, n = U.shape
    if m > n:
        stacked = np.linalg.qr(np.hstack([U, N])).R
        U, N = stacked[:, :n], stacked[:, n:]
    if len(W) > n:
        stacked = np.linalg.qr(np.hstack([W, N.T])).R
        W, N = stacked[:, :n], np.ascontiguousarray(stacked[:, n:].T)
    return U, W, N


def _start(problem: Reduced, size_u: Array, size_w: Array) -> tuple[Array, float]:
    """Feasible multipliers and their rho."""
    if problem.n == 0:
        return np.ones(0), problem.least(np.ones(0))
    shapes = [np.ones(1)] if problem.shared else [size_u / size_w, np.ones(problem.n)]
    best = (shapes[0], np.inf)
    for shape in shapes:
        uu, ww = problem.sums(1 / shape, shape)
        smallest = float(np.linalg.eigvalsh(uu)[-1]) / 2
        for common in smallest * COMMON_FACTORS:
            rho = _least(uu / common, ww * common, problem.N)
            if rho < best[1]:
                best = (shape * common, rho)
    return best


def _idle(size_u: Array, size_w: Array, rho: float, shared: bool) -> Array:
    """Multipliers for neurons without weights: so large or small that the inequality hardly changes."""
    if shared:
        return np.ones(1)
    count = len(size_u)
    with np.errstate(all="ignore"):
        large = np.where(size_u > 0, size_u**2 * count / NEGLIGIBLE, 1.0)
        small = np.where(size_w > 0, NEGLIGIBLE * max(rho, 1e-290) / (size_w**2 * count), 1.0)
    return np.where(size_w > 0, small, large)


def _least(uu: Array, ww: Array, N: Array) -> float:
    """lambda_max(ww + 4 N' (2I - uu)^-1 N) / 2, infinite where 2I - uu is not definite."""
    if not (np.all(np.isfinite(uu)) and np.all(np.isfinite(ww))):
        return np.inf
    try:
        chol = np.linalg.cholesky(2 * np.eye(len(uu)) - uu)
    except np.linalg.LinAlgError:
        return np.inf
    half = np.linalg.solve(chol, 2 * N)
    return max(float(np.linalg.eigvalsh(ww + half.T @ half)[-1]) / 2, 0.0)
