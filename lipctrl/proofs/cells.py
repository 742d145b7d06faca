"""Proved backward reachability on cells: a growing set of states from which every trajectory converges.

Theorem. Let every trajectory from each of the ellipsoids converge to x* (modulo full turns of angles). Number the cells
by rank. If for each cell there is a number of steps k >= 0 such that the image of the cell under k steps lies in the
union of one ellipsoid, or of cells of lower rank, then every trajectory from every cell converges to x*.
Proof: by induction on the rank.

Only :class:`CertifiedSet` adds cells, and only after it has enclosed their images itself. The images are widened by
:data:`SLACK` first, so that another program with other roundings can repeat the proof.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lipctrl.errors import LipctrlError
from lipctrl.proofs.closed_loop import ClosedLoop
from lipctrl.proofs.ellipsoid import Ellipsoid
from lipctrl.proofs.grid import Bools, Grid, Integers, Ranges, join

Array = NDArray[np.float64]

SLACK = 2.0**-33
"""Images are widened by this part of the grid's box."""


@dataclass(frozen=True)
class Images:
    """Cells of one grid and level, and where they go; made by :meth:`CertifiedSet.fly`.

    Attributes
    ----------
    index : array of int, shape (N, n)
    steps : tuple of int
    ranges : tuple of Ranges
        For each number of steps, the image as cells of the grid.
    """

    grid: int
    level: int
    steps: tuple[int, ...]
    index: Integers
    ranges: tuple[Ranges, ...]

    def take(self, kept: Bools) -> Images:
        ranges = tuple(part.take(kept) for part in self.ranges)
        return Images(self.grid, self.level, self.steps, self.index[kept], ranges)

    @staticmethod
    def join(parts: Sequence[Images]) -> list[Images]:
        """The same images in as few objects as can be: one for each grid, level and tuple of steps."""
        groups: dict[tuple[int, int, tuple[int, ...]], list[Images]] = {}
        for part in parts:
            if len(part.index):
                groups.setdefault((part.grid, part.level, part.steps), []).append(part)
        return [Images(*key, *_joined(group)) if len(group) > 1 else group[0] for key, group in groups.items()]


@dataclass(frozen=True)
class Record:
    """Cells that were added together: all of one grid, level, rank and number of steps."""

    grid: int
    level: int
    rank: int
    steps: int
    index: Integers


def _joined(parts: Sequence[Images]) -> tuple[Integers, tuple[Ranges, ...]]:
    ranges = zip(*(part.ranges for part in parts), strict=True)
    return np.concatenate([part.index for part in parts]), tuple(join(same) for same in ranges)


class CertifiedSet:
    """The union of ellipsoids and cells from which every trajectory is proved to converge.

    Parameters
    ----------
    loop : ClosedLoop
    ellipsoids : sequence of Ellipsoid
        Each proved (core, decrease).

    Attributes
    ----------
    outer : CertifiedSet or None
        The set of a box of parameters that holds this one's, whose ellipsoids and first records these are.
    """

    def __init__(self, loop: ClosedLoop, ellipsoids: Sequence[Ellipsoid]) -> None:
        self.loop, self.ellipsoids = loop, list(ellipsoids)
        self.outer: CertifiedSet | None = None
        self.inherited = 0
        self.grids: list[Grid] = []
        self.records: list[Record] = []
        self.rank = 0
        self.steps_enclosed = 0

    def add_grid(self, grid: Grid) -> int:
        if grid.marked.any():
            raise LipctrlError("A grid starts without marked cells.")
        self.grids.append(grid)
        return len(self.grids) - 1

    @classmethod
    def common(cls, sets: Sequence[CertifiedSet]) -> CertifiedSet:
        """The cells that the last grids of several sets, grids of one box, have in common; without records."""
        grids = [part.grids[-1] for part in sets]
        finest = max(grids, key=lambda grid: grid.level)
        if not all(np.array_equal(g.low, finest.low) and np.array_equal(g.width, finest.width) for g in grids):
            raise LipctrlError("Cells in common need grids of one box.")
        result, grid = cls(sets[0].loop, []), Grid(finest.low, finest.width, finest.angles, finest.level)
        grid.marked[...] = np.logical_and.reduce([part.marked_at(finest.level) for part in grids])
        result.grids.append(grid)
        return result

    def within(self, loop: ClosedLoop) -> CertifiedSet:
        """The same set, to be enlarged for a loop whose parameters lie in a part of the box of this one's."""
        same = (loop.network is self.loop.network, loop.action_error == self.loop.action_error)
        inside = np.all(self.loop.low <= loop.low) and np.all(loop.high <= self.loop.high)
        if not (all(same) and loop.arithmetic == self.loop.arithmetic and inside and self.grids):
            raise LipctrlError("What is proved for some parameters holds for a part of their box, of the same loop.")
        part = CertifiedSet(loop, self.ellipsoids)
        part.outer, part.rank, part.inherited = self, self.rank, len(self.records)
        part.grids, part.records = [grid.copy() for grid in self.grids], list(self.records)
        return part

    @property
    def own_records(self) -> list[Record]:
        """Those that were not proved for the outer set."""
        return self.records[self.inherited :]

    def add_ellipsoid(self, ellipsoid: Ellipsoid) -> None:
        """Add a set that proofs/core.py or proofs/decrease.py has proved."""
        self.ellipsoids.append(ellipsoid)

    def cover(self, place: int) -> int:
        """Add the unmarked cells of a grid that lie in an ellipsoid or in the other grids' cells; returns how many."""
        grid = self.grids[place]
        index = grid.unmarked()
        found = self._elsewhere(place, *grid.boxes(index))
        self._add(place, index[found], 0)
        return int(np.count_nonzero(found))

    def fly(self, place: int, index: Integers, keep: Sequence[int]) -> Images:
        """Follow unmarked cells for keep[-1] steps and add those whose image lies in the set; returns the others.

        A cell is added at the first step at which its image lies in the cells that were marked at the start of the
        call, in an ellipsoid or in another grid. For the others, the images after `keep` steps are returned.
        """
        grid = self.grids[place]
        flight = self.loop.flight(*grid.boxes(index))
        active = np.arange(len(index))
        lower, upper = next(flight)
        seen: list[tuple[int, NDArray[np.intp], Ranges]] = []
        caught: list[tuple[int, NDArray[np.intp]]] = []
        for count in itertools.count(1):
            self.steps_enclosed += len(active)
            lower, upper = self._widened(grid, lower, upper)
            ranges = grid.ranges(lower, upper)
            inside = grid.covers(ranges)
            inside[~inside] = self._elsewhere(place, lower[~inside], upper[~inside])
            caught.append((count, active[inside]))
            active = active[~inside]
            if count in keep:
                seen.append((count, active, ranges.take(~inside)))
            if not len(active) or count == keep[-1]:
                break
            lower, upper = flight.send(~inside)
        kept = [ranges.take(np.isin(cells, active)) for _, cells, ranges in seen]
        for count, cells in caught:
            self._add(place, index[cells], count)
        return Images(place, grid.level, tuple(count for count, _, _ in seen), index[active], tuple(kept))

    def _elsewhere(self, place: int, lower: Array, upper: Array) -> Bools:
        """Whether boxes lie in an ellipsoid, or in the marked cells of another grid."""
        found = np.zeros(len(lower), dtype=bool)
        for ellipsoid in self.ellipsoids:
            half = ellipsoid.half_widths
            near = np.all((lower >= ellipsoid.center - half) & (upper <= ellipsoid.center + half), axis=1)
            near = np.nonzero(near & ~found)[0]
            found[near] = ellipsoid.contains_boxes(lower[near], upper[near])
        for other, grid in enumerate(self.grids):
            left = np.nonzero(~found)[0]
            if other != place and len(left):
                near = left[grid.may_cover(lower[left], upper[left])]
                if len(near):
                    found[near] = grid.covers(grid.ranges(lower[near], upper[near]))
        return found

    def _widened(self, grid: Grid, lower: Array, upper: Array) -> tuple[Array, Array]:
        """Images with slack, but not across an edge of the grid's box that they respect (a speed at its limit)."""
        slack = SLACK * grid.width
        with np.errstate(all="ignore"):
            low = np.where(~grid.angles & (lower >= grid.low), grid.low, -np.inf)
            high = np.where(~grid.angles & (upper <= grid.high), grid.high, np.inf)
            return np.maximum(lower - slack, low), np.minimum(upper + slack, high)

    def grow(self, images: Images) -> Bools:
        """Add every cell whose image lies in the marked cells of its own grid as they are now; returns which."""
        grid = self.grids[images.grid]
        if images.level != grid.level:
            raise LipctrlError("The images belong to another level of the grid.")
        added = np.zeros(len(images.index), dtype=bool)
        caught = []
        for steps, ranges in zip(images.steps, images.ranges, strict=True):
            left = np.nonzero(~added)[0]
            new = left[grid.covers(ranges.take(~added))]
            caught.append((steps, new))
            added[new] = True
        for steps, new in caught:
            self._add(images.grid, images.index[new], steps)
        return added

    def _add(self, place: int, index: Integers, steps: int) -> None:
        if len(index):
            self.rank += 1
            self.records.append(Record(place, self.grids[place].level, self.rank, steps, index))
            self.grids[place].mark(index)
