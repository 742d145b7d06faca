"""A chain of level sets of quadratic Lyapunov functions in n dimensions, each proved by branch and bound.

Repeat: search a shape (theorems/level_shape.py), prove it (proofs/decrease.py) outside the core and the sets before,
and let what is proved join them. A margin eps (V must fall by the factor 1 - eps on the samples) keeps the branch and
bound short: no shape has more than 1 - rho^2k of the linear loop after k steps, and with far less no branch and bound
ends. When one step gives no larger level, V may fall after any of four, and levels for what is left are sought, too.
The search proves nothing itself.

The coordinates z = T (x - center) are rotated so that the linear loop's quadratic form is diagonal in z
(:func:`lipctrl.theorems.region_core.rotated`): its maximum over a box of z is then exact, and cells pay for the
nonlinearity alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lipctrl.plants.model import Model
from lipctrl.proofs.closed_loop import ClosedLoop
from lipctrl.proofs.decrease import prove_decrease
from lipctrl.proofs.ellipsoid import MOST, Ellipsoid
from lipctrl.theorems.level_shape import Wish, candidate, covered
from lipctrl.theorems.region_core import linear_loop, rotated

Array = NDArray[np.float64]

_KEPT, _GROWTH, _TARGETS, _PATIENCE = 4_000, 1.05, 4_000, 2
_MORE = 4
"""When one step gives no larger level, V may fall after any of so many, of twice as many, ...: two give little."""
_SHARES = {2: (0.05, 0.015, 0.005)}
_SHARES_BEYOND = (0.15, 0.07, 0.03)
"""eps as a share of the linear loop's 1 - rho^2k, by dimension: large first, for the chain's first links."""
_SPLITS = {1: 32, 2: 16, 3: 6, 4: 4, 5: 3}
"""Cells per axis to start with, by dimension."""


@dataclass(frozen=True, eq=False)
class Level(Ellipsoid):
    """An ellipsoid in which V is proved to fall within `steps` steps, outside the core and the levels before.

    Attributes
    ----------
    steps : int
    cells : int
        Of the branch and bound.
    seconds : float
        Search and proof, of processor time.
    """

    steps: int = 1
    cells: int = 0
    seconds: float = 0.0


def find_levels(
    loop: ClosedLoop,
    core: Ellipsoid,
    *,
    deadline: float,
    wish: Wish = Wish(),  # noqa: B008
    max_steps: int = 8,
    max_cells: int = 400_000,
    tolerance: float = 0.01,
    seed: int = 0,
    progress: Callable[[Level], None] | None = None,
) -> list[Level]:
    """A chain of proved levels, in the order of their proofs.

    Parameters
    ----------
    deadline : float
        On the clock of `time.perf_counter`.
    wish : Wish
    max_steps : int
        The largest k of V(F^k(x)) < V(x): 1, then 4, 8, 16, ...; 0: one step, for the largest level alone.
    max_cells : int
        For one level.
    tolerance : float
        What share of a level may be given up for a shorter proof.
    """
    M, _ = linear_loop(loop, core.center)
    chain: list[Level] = []
    rng = np.random.default_rng(seed)

    def grow(steps: int, wish: Wish, enough: Callable[[Ellipsoid], bool]) -> None:
        """Add levels as long as the search finds such that are worth it."""
        most = 1.0 - float(np.max(np.abs(np.linalg.eigvals(M)))) ** (2 * steps)
        shares = _SHARES.get(loop.n, _SHARES_BEYOND)
        extra, share = np.zeros((0, loop.n)), 0
        while share < len(shares) and time.perf_counter() < deadline:
            began = time.process_time()
            inner = [core, *chain]
            wanted, failed = candidate(loop, inner, steps, shares[share] * most, wish, extra, rng)
            extra = np.vstack([extra, failed])[-_KEPT:]
            if wanted is None or not (enough(wanted) and wanted.radius < MOST / 2):  # linear loops know no end
                share += 1
                continue
            wanted = replace(wanted, T=rotated(wanted.T, M))
            splits = _SPLITS.get(loop.n, 2)
            answer = prove_decrease(loop, wanted, inner, steps, max_cells, deadline, splits, tolerance)
            extra = np.vstack([extra, *answer.violations])[-_KEPT:]
            proved = answer.proved
            worth = proved is not None and enough(proved)
            share += not worth
            if proved is None or not (worth or proved.volume > largest().volume):
                continue
            took = time.process_time() - began
            chain.append(Level(proved.center, proved.T, proved.radius, steps, answer.cells, took))
            if progress is not None:
                progress(chain[-1])

    def largest() -> Ellipsoid:
        return max((core, *chain), key=lambda e: e.volume)

    def larger(ellipsoid: Ellipsoid) -> bool:
        return ellipsoid.volume > _GROWTH * largest().volume

    def nearer(ellipsoid: Ellipsoid) -> bool:
        """Holds more of the corners' rays from the centre."""
        before, now = max(_held(e, wish.corners) for e in (core, *chain)), _held(ellipsoid, wish.corners)
        return now > _GROWTH * before or now >= 1.0 > before

    if wish.corners is not None:
        grow(1, wish, nearer)
        wish = replace(wish, corners=None)
    grow(1, wish, larger)
    steps = min(_MORE, max_steps)
    while 0 < steps <= max_steps and chain and time.perf_counter() < deadline:
        if steps > 1:
            grow(steps, wish, larger)
        half = largest().half_widths
        targets = largest().center + half * rng.uniform(-1.0, 1.0, (_TARGETS, loop.n))
        targets = targets[converges(loop, [core, *chain], targets, 20.0 * half)]
        for _ in range(_PATIENCE):
            left = targets[~covered(chain, targets)]
            if len(left):
                grow(steps, replace(wish, targets=left), _Worth(chain, left, len(targets)))
        steps *= 2
    return chain


def _held(ellipsoid: Ellipsoid, corners: Array | None) -> float:
    """By how much the corners, shape (k, n), may be moved away from the centre until one leaves; 1: all lie inside."""
    if corners is None:
        return 1.0
    away = np.max(np.linalg.norm((corners - ellipsoid.center) @ ellipsoid.T.T, axis=1))
    return min(1.0, float(ellipsoid.radius / away))


@dataclass
class _Worth:
    """Whether an ellipsoid covers one in a hundred of the states that the chain leaves uncovered."""

    chain: Sequence[Ellipsoid]
    left: Array
    whole: int

    def __call__(self, ellipsoid: Ellipsoid) -> bool:
        fresh = self.left[~covered(self.chain, self.left)]
        return bool(np.sum(covered([ellipsoid], fresh)) > 0.01 * self.whole)


def converges(
    loop: ClosedLoop, sets: Sequence[Ellipsoid], x: Array, far: Array, steps: int = 2000, plant: Model | None = None
) -> NDArray[np.bool_]:
    """Whether simulated states arrive in one of the sets within so many steps, and without going `far` from the
    first."""
    arrived, moving = np.zeros(len(x), dtype=bool), np.arange(len(x))
    for _ in range(steps // 10):
        x = loop.simulate(x, 10, plant)
        inside = covered(sets, x)
        left = ~inside & np.all(np.abs(x - sets[0].center) < far, axis=1)
        arrived[moving[inside]] = True
        moving, x = moving[left], x[left]
    return arrived
