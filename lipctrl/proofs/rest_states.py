"""All states of a set of cells in which the closed loop rests, by excluding cells and Krawczyk's operator.

A cell holds no equilibrium if the enclosure of F(x) - x on it contains no zero (of an angle: no full turn). Cells where
it does are halved until each lies in a box that is proved to hold exactly one equilibrium, or is too small.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lipctrl.intervals.interval import Interval
from lipctrl.plants.resting import newton
from lipctrl.proofs.closed_loop import ClosedLoop, box_forms
from lipctrl.proofs.equilibrium import prove_equilibrium
from lipctrl.proofs.grid import TWO_PI

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

MAX_DEPTH = 60
WIDE = (1e-3, 1e-4, 1e-6, 1e-8)
"""Half widths of the boxes that exclude cells: the largest that works."""


@dataclass(frozen=True)
class RestStates:
    """Boxes with exactly one equilibrium each, and the cells that are left in doubt, as boxes (lower, upper).

    Every equilibrium in the cells searched lies in one of these, modulo full turns of angles.
    """

    proved: tuple[Interval, ...]
    doubtful: tuple[tuple[Array, Array], ...]

    @property
    def complete(self) -> bool:
        """Whether no doubt is left."""
        return not self.doubtful


def find_rest_states(
    loop: ClosedLoop,
    lower: Array,
    upper: Array,
    angles: Bools,
    deadline: float = np.inf,
    max_cells: int = 60_000,
) -> RestStates:
    """All equilibria in cells between `lower` and `upper`, shape (N, n).

    Parameters
    ----------
    loop : ClosedLoop
        Without errors of the action.
    lower, upper : array, shape (N, n)
    angles : array of bool, shape (n,)
        States that full turns leave alone: moving on by whole turns counts as rest.
    deadline : float
        Time of `time.perf_counter` after which all cells that are left count as doubtful.
    max_cells : int
        Likewise, after so many cells.
    """
    proved: list[Interval] = []
    wide: list[Interval] = []
    depth, used = 0, 0
    while len(lower):
        used += len(lower)
        if depth > MAX_DEPTH or used > max_cells or time.perf_counter() > deadline:
            return RestStates(_once(proved, wide, angles), tuple(zip(lower, upper, strict=True)))
        left = ~_excluded(loop, lower, upper, angles)
        lower, upper = lower[left], upper[left]
        for _ in range(8):  # a box for a cell, until the cells lie in boxes or yield none
            left = ~_within(wide, lower, upper)
            lower, upper = lower[left], upper[left]
            if not len(lower) or not _another(loop, lower, upper, proved, wide):
                break
        lower, upper = _halves(lower, upper)
        depth += 1
    return RestStates(_once(proved, wide, angles), ())


def _excluded(loop: ClosedLoop, lower: Array, upper: Array, angles: Bools) -> Bools:
    excluded = np.zeros(len(lower), dtype=bool)
    for start in range(0, len(lower), 4096):
        part = slice(start, start + 4096)
        x = box_forms(lower[part], upper[part])
        for before, after, angle in zip(x, loop.step(x), angles, strict=True):
            moved = (after - before).range()
            away = (moved.lo > 0) & (moved.hi < (TWO_PI[0] if angle else np.inf))
            away |= (moved.hi < 0) & (moved.lo > (-TWO_PI[0] if angle else -np.inf))
            excluded[part] |= away
    return excluded


def _within(boxes: list[Interval], lower: Array, upper: Array) -> Bools:
    inside = np.zeros(len(lower), dtype=bool)
    for box in boxes:
        inside |= np.all((box.lo <= lower) & (upper <= box.hi), axis=1)
    return inside


def _another(loop: ClosedLoop, lower: Array, upper: Array, proved: list[Interval], wide: list[Interval]) -> bool:
    """Try to add a box around an equilibrium near one of the cells: a small one, and a wide one around it."""
    middle = 0.5 * (lower + upper)
    size = np.linalg.norm(upper - lower, axis=1)
    for place in np.unique(np.linspace(0, len(middle) - 1, 5).astype(int)):
        found = newton(loop.model, loop.network, middle[place])
        if found is None or np.linalg.norm(found - middle[place]) > 8 * size[place]:
            continue
        if any(np.all((box.lo <= found) & (found <= box.hi)) for box in wide):
            continue
        small = prove_equilibrium(loop.model, loop.network, found)
        large = None if small is None else prove_equilibrium(loop.model, loop.network, found, WIDE)
        if small is not None and large is not None:
            proved.append(small.x)
            wide.append(large.x)
            return True
    return False


def _once(proved: list[Interval], wide: list[Interval], angles: Bools) -> tuple[Interval, ...]:
    """Each rest state once: without those that are another one after a full turn, where that holds exactly one."""
    kept: list[int] = []
    turn = Interval(*TWO_PI)
    for i, box in enumerate(proved):
        turned = [box + np.where(angles, sign, 0.0) * turn for sign in (-1.0, 1.0)] if np.any(angles) else []
        if not any(np.all(wide[k].contains_in_interior(other)) for k in kept for other in turned):
            kept.append(i)
    return tuple(proved[i] for i in kept)


def _halves(lower: Array, upper: Array) -> tuple[Array, Array]:
    """Every cell cut in two along its longest side, relative to the others of the first cell."""
    if not len(lower):
        return lower, upper
    middle = 0.5 * (lower + upper)
    axis = int(np.argmax(upper[0] - lower[0]))
    first, second = upper.copy(), lower.copy()
    first[:, axis] = second[:, axis] = middle[:, axis]
    return np.concatenate([lower, second]), np.concatenate([first, upper])
