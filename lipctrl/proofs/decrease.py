"""A quadratic function proved to decrease on the nonlinear loop F, by branch and bound.

Theorem. Let every trajectory from each of the sets `inner` converge to x*, and V(x) = |T (x - center)|^2. Suppose that
for every x with V(x) <= c outside them there is a j <= k such that

    V(F^j(x)) < V(x),   or   F^j(x) lies in one of `inner`,

shown by finitely many closed cells, each with one j, and an upper bound below zero of V(F^j(x)) - V(x). Then every
trajectory from {V <= c} converges to x*: as long as it does not meet `inner`, it returns to {V <= c} within k steps,
with V smaller by at least the smallest of the margins. With k = 1 it never leaves {V <= c} before.

Cells are boxes of z with x = center + S z, S near T^-1, so that V = |TSz|^2 is |z|^2 up to |TS - I|. On a cell both
z and T (F^j(x) - center) are affine forms in the same symbols e, so that the difference is one quadratic in e:

    const + l'e + e'Qe,   at most   const + sum_i max over e_i of (l_i e_i + Q_ii e_i^2) + sum of abs(Q_ij), i != j.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lipctrl.intervals.affine import AffineForm
from lipctrl.intervals.rounding import norm_up
from lipctrl.proofs.closed_loop import ClosedLoop, State
from lipctrl.proofs.ellipsoid import Ellipsoid, ball_cells, smallest

Array = NDArray[np.float64]

_CHUNK = 1024
_CLEAR, _DEEP = 0.03, 0.2
"""A clear fall of V, and how deeply in an inner set an image should lie: more steps are not looked at."""
_BEND_SAMPLES, _LEAST_BEND = 200, 0.1
_PARTS = 4
"""The box of uncertain parameters is cut into about so many."""


@dataclass
class Decrease:
    """What a branch and bound proved: the ellipsoid (None: nothing), and states where V truly grows."""

    proved: Ellipsoid | None
    cells: int
    complete: bool = True
    violations: list[Array] = field(default_factory=list)


def prove_decrease(
    loop: ClosedLoop,
    ball: Ellipsoid,
    inner: Ellipsoid | Sequence[Ellipsoid],
    steps: int = 1,
    max_cells: int = 60_000,
    deadline: float = np.inf,
    splits: int = 24,
    tolerance: float = 1e-3,
) -> Decrease:
    """The largest radius, at most that of `ball`, for which V is proved to decrease outside `inner`.

    Cells above 1 - `tolerance` times the level are given up when no others are left.
    """
    inner = [inner] if isinstance(inner, Ellipsoid) else list(inner)
    S, error = ball.inverse()
    slack = 1.0 + 4.0 * error + 2.0**-40
    level = ball.radius * ball.radius
    centers, half_widths = ball_cells(loop.n, ball.radius * slack, splits)
    result, used, bends = Decrease(None, 0), 0, _bends(loop, ball, S)
    while len(centers):
        lowest = smallest(centers, half_widths) / (slack * slack)
        kept = lowest < level
        centers, half_widths, lowest = centers[kept], half_widths[kept], lowest[kept]
        if used and len(lowest) and lowest.min() > (1.0 - tolerance) * level:
            level = float(lowest.min())
            break
        if used + len(centers) > max_cells or time.perf_counter() > deadline:
            if len(lowest):
                level, result.complete = min(level, float(lowest.min())), False
            break
        used += len(centers)
        left = np.ones(len(centers), dtype=bool)
        plan = Plan.of(loop, ball, inner, S, centers, steps)
        order = np.argsort(plan.steps, kind="stable")
        for start in range(0, len(centers), _CHUNK):
            some = order[start : start + _CHUNK]
            for part in loop.parts(_PARTS):
                some = some[decreases(part, ball, inner, S, error, centers[some], half_widths[some], plan.take(some))]
            left[some] = False
        bad = centers[left & (plan.steps == 0) & (plan.start < 0)]
        centers, half_widths = centers[left], half_widths[left]
        if len(bad):
            bad = descend(loop, ball, inner, S, bad, float(half_widths.max()), steps)
            least = float(np.min(np.sum(bad**2, axis=1)))
            level = min(level, least * (1.0 - tolerance))
            result.violations.append(ball.center + bad @ S.T)
        centers, half_widths = _split(centers, half_widths, bends)
    result.cells = used
    # a little smaller: at a level where V just falls, another program would need very small cells
    radius = float(np.nextafter(np.sqrt(level) * (1.0 - 2.0**-10), 0.0))
    if radius > 0:
        result.proved = Ellipsoid(ball.center, ball.T, radius)
    return result


@dataclass
class Plan:
    """What to prove of each cell, guessed from its centre in floating point.

    Attributes
    ----------
    start : array of int, shape (N,)
        The inner set that holds the centre; -1: none.
    steps : array of int, shape (N,)
        After how many steps to look; 0: V grows and no inner set is reached.
    target : array of int, shape (N,)
        The inner set that the image is to lie in; -1: V is to fall.
    """

    start: NDArray[np.int64]
    steps: NDArray[np.int64]
    target: NDArray[np.int64]

    @staticmethod
    def of(
        loop: ClosedLoop,
        ball: Ellipsoid,
        inner: Sequence[Ellipsoid],
        S: Array,
        z: Array,
        steps: int,
        eps: float = 0.0,
    ) -> Plan:
        """The first step after which V fell clearly or an inner set was entered deeply; else that of the best margin.

        V must fall by the factor 1 - eps at least, or the image lie as deeply in the set. (The boundary of an inner set
        is a poor target: of cells that land just inside it, all that is proved is their halves.)
        """
        x = ball.center + z @ S.T
        depth, holder = _depths(inner, x)
        plan = Plan(np.where(depth >= 0.0, holder, -1), np.zeros(len(x), dtype=np.int64), np.full(len(x), -1))
        value = np.sum(z * z, axis=1)
        best, moving = np.zeros(len(x)), np.arange(len(x))
        for count in range(1, steps + 1):
            x = _worst(loop, ball, x)
            with np.errstate(all="ignore"):
                falls = 1.0 - np.sum(((x - ball.center) @ ball.T.T) ** 2, axis=1) / value[moving]
                margin, target = np.where(falls > eps, falls / _CLEAR, 0.0), np.full(len(x), -1)
            if count > 1:
                depth, holder = _depths(inner, x)
                deeper = (margin < 1.0) & (depth > eps) & (depth / _DEEP > margin)
                margin, target = np.where(deeper, depth / _DEEP, margin), np.where(deeper, holder, target)
            better = margin > best[moving]
            some = moving[better]
            plan.steps[some], plan.target[some], best[some] = count, target[better], margin[better]
            left = (margin < 1.0) & np.all(np.isfinite(x), axis=1)
            moving, x = moving[left], x[left]
            if not len(moving):
                break
        return plan

    def take(self, some: NDArray[np.int64]) -> Plan:
        return Plan(self.start[some], self.steps[some], self.target[some])


def _worst(loop: ClosedLoop, ball: Ellipsoid, x: Array) -> Array:
    """The next states, in floating point; of those at the extreme parameters the one of the largest V."""
    if not loop.model.uncertain:
        return loop.simulate(x)
    images = np.stack(loop.samples(x))
    worst = np.argmax(np.sum(((images - ball.center) @ ball.T.T) ** 2, axis=2), axis=0)
    return np.asarray(images[worst, np.arange(len(x))])


def _depths(inner: Sequence[Ellipsoid], x: Array) -> tuple[Array, NDArray[np.int64]]:
    """1 - |T (x - center)|^2 / radius^2 of the inner set that holds each state most deeply, and which that is."""
    depth, holder = np.full(len(x), -np.inf), np.full(len(x), -1)
    with np.errstate(all="ignore"):
        for place, e in enumerate(inner):
            own = 1.0 - np.sum(((x - e.center) @ e.T.T) ** 2, axis=1) / e.radius**2
            deeper = own > depth
            depth[deeper], holder[deeper] = own[deeper], place
    return depth, holder


def decreases(
    loop: ClosedLoop,
    ball: Ellipsoid,
    inner: Sequence[Ellipsoid],
    S: Array,
    error: float,
    centers: Array,
    half_widths: Array,
    plan: Plan,
) -> NDArray[np.bool_]:
    """Whether on each cell of z the plan is proved, or the cell lies in an inner set."""
    x = ball.points(S, centers, half_widths)
    done = np.zeros(len(centers), dtype=bool)
    _mark_inside(done, inner, x, plan.start, np.arange(len(done)))
    left = np.nonzero(~done & (plan.steps > 0))[0]
    forms, count = tuple(form[left] for form in x), 0
    while len(left):
        forms, count = loop.follow(forms, count), count + 1
        due = plan.steps[left] == count
        if due.any():
            some, landed = left[due], tuple(form[due] for form in forms)
            _mark_inside(done, inner, landed, plan.target[some], some)
            falls = plan.target[some] < 0
            some, landed = some[falls], tuple(form[falls] for form in landed)
            # T (x - center) = z + (T S - I) z
            rest = norm_up(np.abs(centers[some]) + half_widths[some], axis=1) * (error * (1 + 2.0**-40))
            z = AffineForm.cells(centers[some], half_widths[some])
            old = tuple(AffineForm(form.center, form.generators, rest) for form in z)
            done[some] = growth(old, ball.coordinates(landed)) < 0.0
            left, forms = left[~due], tuple(form[~due] for form in forms)
    return done


def _mark_inside(
    done: NDArray[np.bool_],
    inner: Sequence[Ellipsoid],
    forms: State,
    holder: NDArray[np.int64],
    place: NDArray[np.int64],
) -> None:
    """Mark the cells, numbered `place`, whose forms lie in the inner set that is meant for them."""
    for i in np.unique(holder[holder >= 0]):
        some = np.nonzero(holder == i)[0]
        done[place[some]] |= inner[i].size(tuple(form[some] for form in forms)) <= inner[i].radius


def growth(old: State, new: State) -> Array:
    """An upper bound of |new|^2 - |old|^2 on each cell, where both are forms in the same symbols."""
    count = max(len(form.generators) for form in (*old, *new))
    cells = len(old[0].center)
    const, total, linear = np.zeros(cells), np.zeros(cells), np.zeros((count, cells))
    Q = np.zeros((count, count, cells))
    with np.errstate(all="ignore"):
        for forms, sign in ((new, 1.0), (old, -1.0)):
            for form in forms:
                a, r = form.center, form.radius
                g = form.generators
                k = len(g)
                size = np.abs(a) + np.abs(g).sum(axis=0)
                const += sign * a * a + 2.0 * size * r + r * r
                linear[:k] += 2.0 * sign * a * g
                Q[:k, :k] += sign * g[:, None] * g[None, :]
                total += (size + r) ** 2
        diagonal = Q[np.arange(count), np.arange(count)]
        reach = np.abs(linear)
        curved = (diagonal < 0) & (reach <= -2.0 * diagonal)
        best = np.where(curved, reach**2 / np.where(curved, -4.0 * diagonal, 1.0), reach + diagonal)
        cross = np.abs(Q).sum(axis=(0, 1)) - np.abs(diagonal).sum(axis=0)
        # a few hundred roundings, each relative to a part of `total`
        bound = const + best.sum(axis=0) + cross + 2.0**-42 * total + 2.0**-900
    return np.asarray(np.where(np.isnan(bound), np.inf, bound))


def descend(
    loop: ClosedLoop,
    ball: Ellipsoid,
    inner: Sequence[Ellipsoid],
    S: Array,
    z: Array,
    reach: float,
    steps: int,
    eps: float = 0.0,
) -> Array:
    """States outside `inner` where V does not fall, followed at random to lower values of V (a search, no proof)."""
    rng = np.random.default_rng(0)
    for _ in range(25):
        z = z[np.argsort(np.sum(z * z, axis=1))[:200]]
        trial = np.repeat(z[:20], 25, axis=0)
        trial = (trial + reach * rng.standard_normal(trial.shape)) * (1.0 - 0.01 * rng.random((len(trial), 1)))
        plan = Plan.of(loop, ball, inner, S, trial, steps, eps)
        z, reach = np.vstack([z, trial[(plan.steps == 0) & (plan.start < 0)]]), 0.85 * reach
    return z


def _bends(loop: ClosedLoop, ball: Ellipsoid, S: Array) -> Array:
    """How much T F bends along each axis of z: mean second differences, and a share of the largest at least."""
    n = loop.n
    rng = np.random.default_rng(0)
    z = rng.standard_normal((_BEND_SAMPLES, n))
    z *= ball.radius * rng.random((len(z), 1)) / np.linalg.norm(z, axis=1, keepdims=True)
    step = 0.2 * ball.radius

    def image(z: Array) -> Array:
        return np.asarray(loop.simulate(ball.center + z @ S.T) @ ball.T.T)

    middle = 2.0 * image(z)
    bends = [np.linalg.norm(image(z + e) + image(z - e) - middle, axis=1).mean() for e in step * np.eye(n)]
    largest = np.max(bends)
    return np.maximum(bends, _LEAST_BEND * largest) if np.isfinite(largest) and largest > 0 else np.ones(n)


def _split(centers: Array, half_widths: Array, bends: Array) -> tuple[Array, Array]:
    """Halve every cell along each axis (two states) or along that where the loop bends most (more)."""
    n = centers.shape[1]
    axes = range(n) if n <= 2 else [None]
    for axis in axes:
        place = np.argmax(half_widths**2 * bends, axis=1) if axis is None else np.full(len(centers), axis)
        shift = np.zeros_like(half_widths)
        row = np.arange(len(centers))
        shift[row, place] = 0.5 * half_widths[row, place]
        smaller = half_widths - shift
        # the halves overlap by the roundings of their centres
        smaller[row, place] = smaller[row, place] * (1.0 + 2.0**-50) + 2.0**-50 * np.abs(centers[row, place])
        centers = np.concatenate([centers - shift, centers + shift])
        half_widths = np.concatenate([smaller, smaller])
    return centers, half_widths
