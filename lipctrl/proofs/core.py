"""A proved core: an ellipsoid about the equilibrium in which the nonlinear loop contracts.

Theorem. Let the loop F have an equilibrium x* in the box X*, and let every (Clarke) Jacobian M of F on
{|T (x - x*)| <= R} satisfy |T M T^-1|_2 <= q < 1. Then |T (F(x) - x*)| <= q |T (x - x*)| there (mean value theorem:
F(x) - x* = M (x - x*), M in the convex hull of the Jacobians on the segment): every trajectory converges to x*.

With errors |d_i| <= a_i of the actions, |T (F_d(x) - x*)| <= q |T (x - x*)| + p, where p bounds the sum of the norms of
the columns of T df/du times a_i: the ball of radius R stays invariant if q R + p <= R, and every trajectory in it ends
in the ball of radius p / (1 - q).

The ball is covered by cells; the norm is convex, so each cell's Jacobians are bounded by centre and radius, without
vertices. Proved for every x* in X*, hence on {|T (x - center)| <= R - max |T (x* - center)|}.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from lipctrl.errors import LipctrlError
from lipctrl.intervals.affine import AffineForm
from lipctrl.intervals.interval import Interval
from lipctrl.intervals.rounding import norm_up
from lipctrl.proofs.closed_loop import ClosedLoop, box_forms
from lipctrl.proofs.ellipsoid import Ellipsoid, ball_cells

Array = NDArray[np.float64]

_GROW, _TINY = 1.0 + 2.0**-36, 2.0**-900
PARTS, MORE_PARTS = 4, 16
"""The box of uncertain parameters is cut into about so many, in more than two states."""


@dataclass(frozen=True)
class Stage:
    """|T (F_d(x) - x*)| <= rate |T (x - x*)| + push on a ball of radius R >= radius > push / (1 - rate).

    Trajectories from that ball enter the one of `radius` about x* and stay there.
    """

    rate: float
    push: float
    radius: float


def prove_core(loop: ClosedLoop, ball: Ellipsoid, equilibrium: Interval, splits: int = 20) -> Ellipsoid | None:
    """A slightly smaller ellipsoid from which every trajectory is proved to converge to the equilibrium; None if not.

    With errors of the action: to stay in a slightly larger one, and to end in a small ball, see :func:`final_stages`.

    Parameters
    ----------
    loop : ClosedLoop
    ball : Ellipsoid
    equilibrium : Interval, shape (n,)
        X*, with a proof that it contains exactly one equilibrium (for each value of the uncertain parameters).
    splits : int
        Cells per axis.
    """
    offset = reach(ball, equilibrium)
    core = replace(ball, radius=float(np.nextafter(ball.radius - offset, -np.inf)))
    if not core.radius > 1.01 * offset:  # it is to hold every x*, for another program, too
        return None
    stage = _stage(loop, ball, offset, splits)
    return None if stage is None else core


def final_stages(loop: ClosedLoop, core: Ellipsoid, equilibrium: Interval, splits: int = 20) -> tuple[Stage, ...]:
    """How trajectories from a core end for every error of the action: in smaller and smaller balls about x*."""
    offset = reach(core, equilibrium)
    ball = replace(core, radius=(core.radius + offset) * _GROW)
    stages: list[Stage] = []
    while loop.disturbed and len(stages) < 4:
        stage = _stage(loop, ball, offset, splits)
        if stage is None or (stages and stage.radius > 0.9 * stages[-1].radius):
            break
        stages.append(stage)
        ball = replace(core, radius=stage.radius)
    return tuple(stages)


def final_ball(core: Ellipsoid, equilibrium: Interval, stages: Sequence[Stage]) -> Ellipsoid:
    """Where trajectories from the core end, whatever x* in X* is; without errors of the action X* alone."""
    radius = stages[-1].radius if stages else 0.0
    return replace(core, radius=(radius + reach(core, equilibrium)) * _GROW)


def reach(ball: Ellipsoid, equilibrium: Interval) -> float:
    """At least |T (x* - center)| for every x* in X*."""
    return float(ball.size(box_forms(equilibrium.lo[None], equilibrium.hi[None]))[0])


def _stage(loop: ClosedLoop, ball: Ellipsoid, offset: float, splits: int) -> Stage | None:
    """The contraction on the ball about each x*, with a little room for the roundings of other programs."""
    try:
        rate, push = contraction(loop, ball, offset, splits)
    except LipctrlError:
        return None
    if not rate < 1.0:
        return None
    if not loop.disturbed:
        return Stage(rate, 0.0, 0.0)
    rate = rate + 0.02 * (1.0 - rate)
    push = max(1.02 * push + _TINY, 0.5 * (1.0 - rate) * offset)  # balls far below X* prove no more
    radius = push / float(np.nextafter(1.0 - rate, 0.0)) * _GROW
    return Stage(rate, push, radius) if radius <= ball.radius else None


def contraction(loop: ClosedLoop, ball: Ellipsoid, offset: float, splits: int) -> tuple[float, float]:
    """Upper bounds over {|T (x - x0)| <= radius}, for every x0 with |T (x0 - center)| <= offset.

    Returns
    -------
    rate : float
        Of |T M T^-1|_2 over all Jacobians M; inf if it is not below 1.
    push : float
        Of |T (f(x, u + d) - f(x, u))| over all errors d of the action.
    """
    S, error = ball.inverse()
    distance = (ball.radius + offset) * (1.0 + 4.0 * error + 2.0**-40)
    centers, half_widths = ball_cells(loop.n, distance, splits)
    rate, push = 0.0, 0.0
    for part, start in product(loop.parts(PARTS if loop.n <= 2 else MORE_PARTS), range(0, len(centers), 1024)):
        cells = slice(start, start + 1024)
        norms, pushed = _norms(part, ball.T, S, ball.points(S, centers[cells], half_widths[cells]))
        # T M T^-1 = (T M S)(T S)^-1
        rate = max(rate, float(np.max(norms)) * (1.0 + 2.0 * error) * _GROW)
        push = max(push, float(np.max(pushed)))
        if not rate < 1.0:
            return np.inf, np.inf
    return rate, push


def _norms(loop: ClosedLoop, T: Array, S: Array, x: tuple[AffineForm, ...]) -> tuple[Array, Array]:
    """Upper bounds of |T M S|_2 for the Jacobians M of the loop on each cell, and of |T (f(x, u + d) - f(x, u))|."""
    by_state, by_action, middle, radius, errors = loop.derivatives(x, S)
    with np.errstate(all="ignore"):
        Fx, Rx = np.moveaxis(by_state.mid, -1, 0), np.moveaxis(by_state.rad, -1, 0)
        Fu, Ru = np.moveaxis(by_action.mid, -1, 0), np.moveaxis(by_action.rad, -1, 0)
        center = T @ (Fx @ S + Fu @ middle)
        absolute = np.abs(Fx) @ np.abs(S) + np.abs(Fu) @ np.abs(middle)
        entrywise = np.abs(T) @ (Rx @ np.abs(S) + Ru @ (np.abs(middle) + radius) + 2.0**-44 * absolute)
        # the columns of T Fu times the rows of the radius, one product for each action
        columns = norm_up(np.abs(T @ Fu) + 2.0**-48 * (np.abs(T) @ np.abs(Fu)), axis=1)
        rows = norm_up(radius, axis=2)
        total = (
            spectral_norms(center) + norm_up(entrywise, axis=(1, 2)) + np.sum(columns * rows, axis=1)
        ) * _GROW + _TINY
        spread = norm_up(np.abs(T) @ Ru, axis=1)
        pushed = np.sum((columns + spread) * errors, axis=1) * _GROW + _TINY * loop.disturbed
    return np.where(np.isnan(total), np.inf, total), np.where(np.isnan(pushed), np.inf, pushed)


def spectral_norms(A: Array) -> Array:
    """Upper bounds of |A|_2 for many small matrices, shape (N, n, n).

    With B = A A' and computed eigenvectors V: |B| <= max|lam| |V|^2 + |B - V diag(lam) V'|, for any V and lam.
    """
    with np.errstate(all="ignore"):
        finite = np.all(np.isfinite(A), axis=(1, 2))
        safe = np.where(finite[:, None, None], A, 0.0)
        scale = np.max(np.abs(safe), axis=(1, 2)) + _TINY
        safe = safe / scale[:, None, None]
        B = safe @ np.swapaxes(safe, 1, 2)
        lam, V = np.linalg.eigh(B)
        turned = np.swapaxes(V, 1, 2)
        n = A.shape[1]
        rounding = 64.0 * n * n * 2.0**-53 * n
        skew = norm_up(turned @ V - np.eye(n), axis=(1, 2)) + rounding
        rest = norm_up(B - (V * lam[:, None, :]) @ turned, axis=(1, 2)) + rounding
        top = np.sqrt(np.max(np.abs(lam), axis=1) * (1.0 + skew) + rest + rounding) * scale * (1.0 + 2.0**-40)
    return np.where(finite, top, np.inf)
