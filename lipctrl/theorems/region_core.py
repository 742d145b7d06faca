"""The search for a large core: shapes from the linearised loop, radius by bisection. It proves nothing itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_discrete_lyapunov

from lipctrl.intervals.interval import Interval
from lipctrl.proofs.closed_loop import ClosedLoop
from lipctrl.proofs.core import contraction, prove_core, reach
from lipctrl.proofs.ellipsoid import Ellipsoid

Array = NDArray[np.float64]

_FAR, _ENDLESS = 2.0**3, 2.0**40
"""How many times as large as the box of states a core may be, and how large where there is no box."""


def find_core(
    loop: ClosedLoop, center: Array, equilibrium: Interval, splits: int = 16, like: Ellipsoid | None = None
) -> Ellipsoid | None:
    """The largest proved core over a family of shapes, or of the shape of another one; None if there is none."""
    if like is not None:
        core = _largest(loop, replace(like, center=center), equilibrium, splits)
        if core is not None and core.volume > 0.3 * like.volume:
            return core
    best: Ellipsoid | None = None
    for T in shapes(loop, center):
        unit = Ellipsoid(center, T, 1.0)
        least = max(_least(loop, unit, equilibrium), 4.0 * reach(unit, equilibrium))
        start = max(1e-2, least) if best is None else 1.05 * best.radius * _ratio(best.T, T)
        if not np.isfinite(least):
            continue
        ball = Ellipsoid(center, T, start)
        if best is not None and prove_core(loop, ball, equilibrium, splits) is None:
            continue
        core = _largest(loop, ball, equilibrium, splits)
        if core is not None and (best is None or core.volume > best.volume):
            best = core
    return best


def shapes(loop: ClosedLoop, center: Array) -> list[Array]:
    """T with T'T = P, P a Lyapunov matrix of the linearised loop for a faster decay and several weights.

    Rotated so that the quadratic form of the linear loop is diagonal in z = T (x - center).
    """
    M, gain = linear_loop(loop, center)
    rho = float(np.max(np.abs(np.linalg.eigvals(M))))
    if not rho < 1:
        return []
    n, size = len(center), max(float(np.linalg.norm(gain)), 1e-12)
    found = []
    for share in (0.35, 0.7):
        gamma = rho + (1 - rho) * share
        for weight in (1e-3, 3e-2, 1.0):
            Q = gain.T @ gain / size**2 + weight * np.eye(n)
            P = solve_discrete_lyapunov(M.T / gamma, Q)
            found.append(rotated(np.linalg.cholesky(0.5 * (P + P.T)).T, M))
    return found


def linear_loop(loop: ClosedLoop, center: Array) -> tuple[Array, Array]:
    """The Jacobian of the loop at a state, and du/dx."""
    model, network = loop.model, loop.network
    y = model.outputs(center)
    A, B, C = model.derivatives(center, network(y))
    gain = network.jacobian(y) @ C
    return A + B @ gain, gain


def rotated(T: Array, M: Array) -> Array:
    """U'T with U the eigenvectors of J'J, J = T M T^-1: z'J'Jz becomes diagonal."""
    J = T @ M @ np.linalg.inv(T)
    _, U = np.linalg.eigh(J.T @ J)
    return np.asarray(U.T @ T)


def _most(loop: ClosedLoop, ball: Ellipsoid) -> float:
    """The radius at which the set leaves the box of states far behind: loops that are linear know no end.

    Beyond, other programs lose to rounding what they need for a proof, and nothing of use is gained.
    """
    side = loop.model.state_high - loop.model.state_low
    size = np.where(np.isfinite(side) & (side > 0), _FAR * side, _ENDLESS)
    return float(np.min(size / replace(ball, radius=1.0).half_widths))


def _ratio(old: Array, new: Array) -> float:
    """Radius in the new shape with the same volume."""
    return float(abs(np.linalg.det(new) / np.linalg.det(old)) ** (1 / len(old)))


def _least(loop: ClosedLoop, ball: Ellipsoid, equilibrium: Interval) -> float:
    """A radius from which it may be worth to look for larger ones; inf if the loop does not contract in this shape."""
    if not (loop.disturbed or loop.model.uncertain):
        return 0.0
    offset = reach(ball, equilibrium)
    rate, push = contraction(loop, replace(ball, radius=2.0 * offset + 1e-6), offset, 4)
    return 3.0 * offset + 1.5 * push / (1.0 - rate) if rate < 1 else np.inf


def _largest(loop: ClosedLoop, ball: Ellipsoid, equilibrium: Interval, splits: int) -> Ellipsoid | None:
    good: Ellipsoid | None = None
    bad: float | None = None
    most = _most(loop, ball)
    radius = min(ball.radius, most)
    for _ in range(16):
        core = prove_core(loop, Ellipsoid(ball.center, ball.T, radius), equilibrium, splits)
        if core is not None:
            good = core
        else:
            bad = radius
        if good is not None and bad is not None:
            if bad < 1.1 * good.radius:
                break
            radius = float(np.sqrt(good.radius * bad))
        else:
            if bad is None and radius == most:
                break
            radius = min(4.0 * radius, most) if bad is None else 0.25 * radius
    return good
