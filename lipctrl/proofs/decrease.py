"""A quadratic function proved to decrease on the nonlinear loop F, by branch and bound.

Theorem. Let every trajectory from the set `inner` converge to x*, and V(x) = |T (x - center)|^2. If V(F^k(x)) < V(x)
for every x with V(x) <= c outside `inner`, shown by finitely many closed cells with an upper bound below zero, then
every trajectory from {V <= c} converges to x*: F^k maps {V <= c} outside `inner` into {V <= c} and decreases V by at
least the smallest of the margins, so that it enters `inner` after finitely many blocks of k steps.

On a cell both x and F^k(x) are affine forms in the same symbols e, so that the difference is one quadratic in e:

    const + l'e + e'Qe,   at most   const + sum_j max over e_j of (l_j e_j + Q_jj e_j^2) + sum of abs(Q_ij), i != j.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lipctrl.proofs.closed_loop import ClosedLoop, State
from lipctrl.proofs.ellipsoid import Ellipsoid, ball_cells, smallest

Array = NDArray[np.float64]


@dataclass
class Decrease:
    """What a branch and bound proved: the ellipsoid (None: nothing), and states where V truly grows."""

    proved: Ellipsoid | None
    cells: int
    violations: list[Array] = field(default_factory=list)


def prove_decrease(
    loop: ClosedLoop,
    ball: Ellipsoid,
    inner: Ellipsoid,
    steps: int = 1,
    max_cells: int = 60_000,
    deadline: float = np.inf,
    splits: int = 24,
) -> Decrease:
    """The largest radius, at most that of `ball`, for which V is proved to decrease outside `inner`."""
    S, error = ball.inverse()
    slack = 1.0 + 4.0 * error + 2.0**-40
    level = ball.radius * ball.radius
    centers, half_widths = ball_cells(loop.n, ball.radius * slack, splits)
    result, used = Decrease(None, 0), 0
    while len(centers):
        lowest = smallest(centers, half_widths) / (slack * slack)
        kept = lowest < level
        centers, half_widths, lowest = centers[kept], half_widths[kept], lowest[kept]
        if used + len(centers) > max_cells or time.perf_counter() > deadline:
            if len(lowest):
                level = min(level, float(lowest.min()))
            break
        used += len(centers)
        bound, hot = np.full(len(centers), np.inf), np.zeros(len(centers), dtype=bool)
        for start in range(0, len(centers), 1024):
            part = slice(start, start + 1024)
            x = ball.points(S, centers[part], half_widths[part])
            done = inner.size(x) <= inner.radius
            bound[part] = np.where(done, -np.inf, growth(ball, x, loop.advance(x, steps)))
        left = ~(bound < 0.0)
        centers, half_widths = centers[left], half_widths[left]
        hot = _grows(loop, ball, inner, S, centers, steps)
        if hot.any():
            level = min(level, float(np.min(np.sum(centers[hot] ** 2, axis=1))) * (1.0 - 1e-6))
            result.violations.append(ball.center + centers[hot] @ S.T)
        centers, half_widths = _split(centers, half_widths)
    result.cells = used
    radius = float(np.nextafter(np.sqrt(max(level, 0.0)) * (1.0 - 2.0**-40), 0.0))
    if radius > 0:
        result.proved = Ellipsoid(ball.center, ball.T, radius)
    return result


def growth(ball: Ellipsoid, x: State, after: State) -> Array:
    """An upper bound of V(after) - V(x) on each cell, where both are forms in the same symbols."""
    old, new = ball.coordinates(x), ball.coordinates(after)
    count = max(len(form.generators) for form in (*old, *new))
    cells = len(old[0].center)
    const, total, linear = np.zeros(cells), np.zeros(cells), np.zeros((count, cells))
    Q = np.zeros((count, count, cells))
    with np.errstate(all="ignore"):
        for forms, sign in ((new, 1.0), (old, -1.0)):
            for form in forms:
                a, r = form.center, form.radius
                g = np.zeros((count, cells))
                g[: len(form.generators)] = form.generators
                size = np.abs(a) + np.abs(g).sum(axis=0)
                const = const + sign * a * a + 2.0 * size * r + r * r
                linear = linear + 2.0 * sign * a * g
                Q += sign * g[:, None] * g[None, :]
                total = total + (size + r) ** 2
        diagonal = Q[np.arange(count), np.arange(count)]
        reach = np.abs(linear)
        curved = (diagonal < 0) & (reach <= -2.0 * diagonal)
        best = np.where(curved, reach**2 / np.where(curved, -4.0 * diagonal, 1.0), reach + diagonal)
        cross = np.abs(Q).sum(axis=(0, 1)) - np.abs(diagonal).sum(axis=0)
        # a few hundred roundings, each relative to a part of `total`
        bound = const + best.sum(axis=0) + cross + 2.0**-42 * total + 2.0**-900
    return np.asarray(np.where(np.isnan(bound), np.inf, bound))


def _grows(loop: ClosedLoop, ball: Ellipsoid, inner: Ellipsoid, S: Array, z: Array, steps: int) -> NDArray[np.bool_]:
    """Whether V grows from the centre of a cell, outside `inner`, in floating point (a hint, no proof)."""
    x = ball.center + z @ S.T
    after = x
    for _ in range(steps):
        after = loop.model.advance(after, loop.network(loop.model.outputs(after)))
    value = np.sum(((after - ball.center) @ ball.T.T) ** 2, axis=1)
    outside = np.sum(((x - inner.center) @ inner.T.T) ** 2, axis=1) > inner.radius**2
    return np.asarray(outside & ~(value < np.sum(z * z, axis=1)))


def _split(centers: Array, half_widths: Array) -> tuple[Array, Array]:
    """Halve every cell along each axis (two states) or along its longest one (more)."""
    n = centers.shape[1]
    axes = range(n) if n <= 2 else [None]
    for axis in axes:
        place = np.argmax(half_widths, axis=1) if axis is None else np.full(len(centers), axis)
        shift = np.zeros_like(half_widths)
        row = np.arange(len(centers))
        shift[row, place] = 0.5 * half_widths[row, place]
        smaller = half_widths - shift
        # the halves overlap by the roundings of their centres
        smaller[row, place] = smaller[row, place] * (1.0 + 2.0**-50) + 2.0**-50 * np.abs(centers[row, place])
        centers = np.concatenate([centers - shift, centers + shift])
        half_widths = np.concatenate([smaller, smaller])
    return centers, half_widths
