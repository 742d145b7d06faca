"""The shape of the next level set, from samples of the nonlinear loop. A search: it proves nothing.

With x = center + S z, images z+ of a sample z after 1, 2, 4, ... steps, and a shape P, the level set {z'Pz <= c} is
free of sampled violations if z+'P z+ < (1 - eps) z'Pz for one image of every sample in it that meets no inner set. With
the monomials of degree two, m(z), and z'Pz = p'm(z), a whole population of shapes is scored by two matrix products.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lipctrl.plants.model import Model
from lipctrl.proofs.closed_loop import ClosedLoop
from lipctrl.proofs.decrease import Plan, descend
from lipctrl.proofs.ellipsoid import Ellipsoid
from lipctrl.theorems.cma import cma

Array = NDArray[np.float64]

_SAMPLES, _SAMPLES_BEYOND = {2: (4_000, 10_000)}, (12_000, 30_000)
"""States that a shape is chosen by, and fresh ones that it is tested by, by dimension."""
_ROUNDS = 6


@dataclass(frozen=True, eq=False)
class Wish:
    """What the level set should be.

    Attributes
    ----------
    low, high : array, shape (n,), or None
        It must stay in this box.
    corners : array, shape (k, n), or None
        It should contain these states before its volume counts.
    targets : array, shape (k, n), or None
        It should contain many of these, instead of volume.
    """

    low: Array | None = None
    high: Array | None = None
    corners: Array | None = None
    targets: Array | None = None


def candidate(
    loop: ClosedLoop,
    inner: Sequence[Ellipsoid],
    steps: int,
    eps: float,
    wish: Wish,
    extra: Array,
    rng: np.random.Generator,
) -> tuple[Ellipsoid | None, Array]:
    """A level set in which V falls by the factor 1 - eps on samples, and states found where it did not.

    Parameters
    ----------
    inner : sequence of Ellipsoid
        V need not fall there; the search starts from the largest of them.
    extra : array, shape (k, n)
        Samples to use as well: earlier violations.
    """
    start = max(inner, key=lambda e: e.volume)
    reach, failed = 3.0 * start.radius, np.zeros((0, loop.n))
    best: Ellipsoid | None = None
    few, many = _SAMPLES.get(loop.n, _SAMPLES_BEYOND)
    for _ in range(_ROUNDS):
        x = np.vstack([_samples(rng, start, reach, few), extra, failed])
        shape = _best_shape(loop, start, inner, x, steps, eps, reach, wish, rng)
        if shape is None:
            return best, failed
        # fresh samples, followed downhill
        S = np.asarray(np.linalg.inv(shape.T), dtype=np.float64)
        z = (_samples(rng, shape, shape.radius, many) - shape.center) @ shape.T.T
        plan = Plan.of(loop, shape, inner, S, z, steps, 0.5 * eps)
        bad = (plan.steps == 0) & (plan.start < 0)
        if not bad.any():
            return shape, failed
        z = descend(loop, shape, inner, S, z[bad], 0.05 * shape.radius, steps, 0.5 * eps)
        lowest = float(np.sqrt(np.min(np.sum(z**2, axis=1))))
        failed = np.vstack([failed, shape.center + z @ S.T])
        checked = replace(shape, radius=0.99 * lowest)
        if best is None or checked.volume > best.volume:
            best = checked
        if lowest > 0.95 * shape.radius:
            break
    return best, failed


def _samples(rng: np.random.Generator, about: Ellipsoid, reach: float, count: int) -> Array:
    """States with |T (x - center)| <= reach: half log-uniform over three decades, others uniform or at the edge."""
    n = len(about.center)
    direction = rng.standard_normal((count, n))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    kind = rng.random(count)
    radius = np.where(kind < 0.5, np.exp(rng.uniform(np.log(1e-3), 0.0, count)), rng.uniform(0.1, 1.0, count)) * reach
    radius = np.where(kind > 0.85, np.minimum(about.radius * rng.uniform(0.98, 1.3, count), reach), radius)
    return np.asarray(about.center + (direction * radius[:, None]) @ np.linalg.inv(about.T).T)


def _flights(
    loop: ClosedLoop, about: Ellipsoid, x: Array, inner: Sequence[Ellipsoid], steps: int, eps: float
) -> tuple[Array, list[Array]]:
    """T (x - center), and T (F^j(x) - center) for j = 1, 2, 4, ..., of the samples that meet no inner set till then.

    At the nominal and the extreme parameters. To meet a set an image must lie in it with the margin eps.
    """
    deep = [replace(e, radius=e.radius * float(np.sqrt(1.0 - eps))) for e in inner]
    parts = [_flight(loop, plant, about, x[~covered(inner, x)], deep, steps) for plant in loop.model.extremes()]
    images = [np.vstack(same) for same in zip(*(images for _, images in parts), strict=True)]
    return np.vstack([start for start, _ in parts]), images


def _flight(
    loop: ClosedLoop, plant: Model, about: Ellipsoid, x: Array, inner: Sequence[Ellipsoid], steps: int
) -> tuple[Array, list[Array]]:
    start, count = x, 0
    images: list[Array] = []
    while count < steps:
        for _ in range(max(count, 1)):
            x = loop.simulate(x, 1, plant)
            free = np.all(np.abs(x) < 1e9, axis=1)
            if count:
                free &= ~covered(inner, x)
            x, start, images = x[free], start[free], [image[free] for image in images]
        count = max(1, 2 * count)
        images.append((x - about.center) @ about.T.T)
    return (start - about.center) @ about.T.T, images


def covered(sets: Sequence[Ellipsoid], x: Array) -> NDArray[np.bool_]:
    """Whether states, shape (N, n), lie in one of the ellipsoids (floating point at its edge)."""
    inside = np.zeros(len(x), dtype=bool)
    with np.errstate(all="ignore"):
        for e in sets:
            inside |= np.sum(((x - e.center) @ e.T.T) ** 2, axis=1) <= e.radius**2
    return inside


def _best_shape(
    loop: ClosedLoop,
    start: Ellipsoid,
    inner: Sequence[Ellipsoid],
    x: Array,
    steps: int,
    eps: float,
    reach: float,
    wish: Wish,
    rng: np.random.Generator,
) -> Ellipsoid | None:
    """The greatest volume over shapes P = R'R, R triangular of determinant 1, in the coordinates of `start`."""
    before, images = _flights(loop, start, x, inner, steps, eps)
    n = len(start.center)
    i, j = np.triu_indices(n)
    weight = np.where(i == j, 1.0, 2.0)
    old = (before[:, i] * before[:, j] * weight).T
    drops = [(z[:, i] * z[:, j] * weight).T - (1.0 - eps) * old for z in images]
    diagonal, S = np.arange(n), np.linalg.inv(start.T)
    walls = corners = targets = None
    if wish.low is not None and wish.high is not None:
        walls = np.minimum(start.center - wish.low, wish.high - start.center)
    if wish.corners is not None:
        z = (wish.corners - start.center) @ start.T.T
        corners = (z[:, i] * z[:, j] * weight).T
    if wish.targets is not None:
        z = (wish.targets - start.center) @ start.T.T
        targets = (z[:, i] * z[:, j] * weight).T

    def matrices(p: Array) -> Array:
        R = np.zeros((len(p), n, n))
        R[:, i, j] = p
        logs = R[:, diagonal, diagonal]
        R[:, diagonal, diagonal] = np.exp(logs - logs.mean(axis=1, keepdims=True))
        return R

    def levels(p: Array) -> tuple[Array, Array]:
        R = matrices(p)
        P = np.swapaxes(R, 1, 2) @ R
        q = P[:, i, j]
        grows = np.logical_and.reduce([q @ drop >= 0.0 for drop in drops])
        level = np.where(grows, q @ old, np.inf).min(axis=1, initial=np.inf)
        level = np.minimum(level, reach**2 * np.linalg.eigvalsh(P)[:, 0])  # where the samples are
        if walls is not None:
            widths = np.diagonal(S @ np.linalg.inv(P) @ S.T, axis1=1, axis2=2)
            level = np.minimum(level, np.min(walls**2 / widths, axis=1))
        return level, q

    def score(p: Array) -> Array:
        level, q = levels(p)
        value = np.log(np.maximum(level, 1e-300))
        if corners is not None:
            value = value + 10.0 * np.minimum(value - np.log(np.max(q @ corners, axis=1)), 0.0)
        if targets is not None:
            value = 0.1 * value + np.log(1.0 + (q @ targets <= level[:, None]).sum(axis=1))
        return np.asarray(value)

    best, _ = cma(score, np.zeros(len(i)), 0.12, rng)
    level = float(levels(best[None])[0][0])
    if not level > 0:
        return None
    return Ellipsoid(start.center, matrices(best[None])[0] @ start.T, float(np.sqrt(0.99 * level)))
