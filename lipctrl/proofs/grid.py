"""A grid of cells over a box, some of them marked; asks whether whole boxes lie in marked cells.

The edges low + i width / 2^level are exact doubles. States that are angles are wrapped by enclosures of 2 pi: the box
overlaps itself a little, since no double equals pi.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lipctrl.errors import LipctrlError

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]

_BITS = 12
MAX_LEVEL = 16
_TABLE = 10
"""Level of the table of sums, at most; what it cannot decide is looked up among the unmarked cells."""
_LINES = 2**21
TWO_PI = (6.283185307179586, 6.283185307179587)
"""Neighbouring doubles around 2 pi."""


@dataclass(frozen=True)
class Ranges:
    """Boxes as ranges of cells, ends included, in up to two pieces where an angle wraps.

    Attributes
    ----------
    inside : array of bool, shape (N,)
        Whether the box lies in the grid's box at all (angles wrapped).
    first, last : array of int, shape (N, n)
    again : array of int, shape (M,)
        The boxes that have a second piece, `first_again`, `last_again`, shape (M, n).
    """

    inside: Bools
    first: Integers
    last: Integers
    again: Integers
    first_again: Integers
    last_again: Integers

    def take(self, kept: Bools) -> Ranges:
        place = np.cumsum(kept) - 1
        stays = kept[self.again]
        return Ranges(
            self.inside[kept],
            self.first[kept],
            self.last[kept],
            place[self.again[stays]],
            self.first_again[stays],
            self.last_again[stays],
        )


def join(parts: Sequence[Ranges]) -> Ranges:
    """The ranges of several sets of boxes, one after the other."""
    starts = np.cumsum([0, *(len(part.inside) for part in parts[:-1])])
    return Ranges(
        np.concatenate([part.inside for part in parts]),
        np.concatenate([part.first for part in parts]),
        np.concatenate([part.last for part in parts]),
        np.concatenate([part.again + start for part, start in zip(parts, starts, strict=True)]),
        np.concatenate([part.first_again for part in parts]),
        np.concatenate([part.last_again for part in parts]),
    )


class Grid:
    """Cells of a box, 2^level along each axis.

    Parameters
    ----------
    low, width : array, shape (n,)
        Exact corner and size, as made by :meth:`around`.
    angles : array of bool, shape (n,)
        States that repeat after 2 pi; the box must be a little wider than that.
    level : int
    """

    def __init__(self, low: Array, width: Array, angles: Bools, level: int) -> None:
        self.low, self.width, self.angles = np.asarray(low), np.asarray(width), np.asarray(angles, dtype=bool)
        self.high = self.low + self.width
        self.level = level
        if not np.all(self.width > 2.0**-900):
            raise LipctrlError(f"The box of a grid is {self.width} wide, too little for its cells to be exact doubles.")
        quantum = np.ldexp(1.0, np.frexp(self.width)[1] - _BITS - 1)
        units = np.stack([self.low / quantum, self.width / quantum])
        if not (np.all(units == np.rint(units)) and np.all(np.abs(units) < 2.0 ** (52 - MAX_LEVEL))):
            raise LipctrlError("The corners of a grid must be multiples of a common power of two.")
        if not 0 <= level <= MAX_LEVEL:
            raise LipctrlError(f"A grid has a level between 0 and {MAX_LEVEL}, given {level}.")
        overlap = np.nextafter(self.high - TWO_PI[1], -np.inf) >= self.low
        if not np.all(overlap | ~self.angles):
            raise LipctrlError("The box of an angle must be a little wider than 2 pi.")
        self.marked = np.zeros((2**level,) * self.n, dtype=bool)
        self._sums: Integers | None = None
        self._unmarked: Integers | None = None

    @classmethod
    def around(cls, lower: ArrayLike, upper: ArrayLike, angles: ArrayLike, level: int) -> Grid:
        """A grid whose box contains the given one."""
        lower, upper = np.asarray(lower, dtype=np.float64), np.asarray(upper, dtype=np.float64)
        quantum = np.ldexp(1.0, np.frexp(upper - lower)[1] - _BITS + 1)
        low = np.floor(lower / quantum) * quantum
        return cls(low, np.ceil((upper - low) / quantum) * quantum, np.asarray(angles), level)

    def copy(self) -> Grid:
        """The same cells, marked alike."""
        other = Grid(self.low, self.width, self.angles, self.level)
        other.marked[...] = self.marked
        return other

    def forget(self) -> None:
        """Free the tables that `covers` makes when it needs them."""
        self._sums = self._unmarked = None

    @property
    def n(self) -> int:
        return len(self.low)

    @property
    def count(self) -> int:
        """Cells along each axis."""
        return 2**self.level

    @property
    def cell(self) -> Array:
        """The size of a cell, exact."""
        return self.width / self.count

    def boxes(self, index: Integers) -> tuple[Array, Array]:
        """Corners of cells, shape (N, n); exact."""
        lower = self.low + index * self.cell
        return lower, lower + self.cell

    def unmarked(self) -> Integers:
        """Indices of all unmarked cells, shape (N, n)."""
        return np.stack(np.unravel_index(self._places(), self.marked.shape), axis=1)

    def unmarked_boxes(self, level: int) -> tuple[Array, Array]:
        """Corners, shape (N, n), of cells of a level, at most the present one, that together hold all unmarked ones."""
        level = min(level, self.level)
        size = 2 ** (self.level - level)
        blocks = self.marked.reshape([part for _ in range(self.n) for part in (2**level, size)])
        index = np.stack(np.nonzero(~blocks.all(axis=tuple(range(1, 2 * self.n, 2)))), axis=1)
        cell = self.cell * size
        return self.low + index * cell, self.low + (index + 1) * cell

    def marked_at(self, level: int) -> Bools:
        """The marks of the parts of the cells at a finer level."""
        marked = self.marked
        for axis in range(self.n):
            marked = np.repeat(marked, 2 ** (level - self.level), axis=axis)
        return marked

    def mark(self, index: Integers) -> None:
        self.marked[tuple(index.T)] = True
        self._sums = None
        if self._unmarked is not None:
            self._unmarked = self._unmarked[~self.marked.reshape(-1)[self._unmarked]]

    def refine(self) -> None:
        """Split every cell; the parts of a marked cell are marked."""
        if self.level == MAX_LEVEL:
            raise LipctrlError("The grid cannot be refined further.")
        self.marked = self.marked_at(self.level + 1)
        self.level += 1
        self._sums = self._unmarked = None

    def ranges(self, lower: Array, upper: Array) -> Ranges:
        """The cells that boxes, shape (N, n), touch (a common edge counts for the upper neighbour only)."""
        lower, upper = np.array(lower), np.array(upper)
        with np.errstate(all="ignore"):
            for axis in np.nonzero(self.angles)[0]:
                turns = np.floor((lower[:, axis] - self.low[axis]) / TWO_PI[0])
                turns = np.where(np.abs(turns) < 2.0**20, turns, 0.0)
                ends = np.stack([turns * TWO_PI[0], turns * TWO_PI[1]])
                shift_lo = np.where(turns == 0, 0.0, np.nextafter(ends.min(axis=0), -np.inf))
                shift_hi = np.where(turns == 0, 0.0, np.nextafter(ends.max(axis=0), np.inf))
                lower[:, axis] = _down(lower[:, axis] - shift_hi, turns)
                upper[:, axis] = _up(upper[:, axis] - shift_lo, turns)
            again = np.nonzero(np.any((upper > self.high) & self.angles, axis=1))[0]
            second_lower, second_upper = lower[again], upper[again]
            for axis in np.nonzero(self.angles)[0]:
                beyond = second_upper[:, axis] > self.high[axis]
                second_lower[beyond, axis] = np.nextafter(self.high[axis] - TWO_PI[1], -np.inf)
                second_upper[beyond, axis] = np.nextafter(second_upper[beyond, axis] - TWO_PI[0], np.inf)
            upper = np.where(self.angles, np.minimum(upper, self.high), upper)
            inside = np.all((lower >= self.low) & (upper <= self.high) & (lower <= upper), axis=1)
            fits = np.all((second_lower >= self.low) & (second_upper <= self.high), axis=1)
            inside[again[~fits]] = False
        if np.count_nonzero(self.angles) > 1:  # a box that wraps in two angles would need four pieces
            inside[again] = False
        again, second_lower, second_upper = again[fits], second_lower[fits], second_upper[fits]
        return Ranges(
            inside,
            self._index(lower, inside),
            self._index(upper, inside),
            again,
            self._index(second_lower, inside[again]),
            self._index(second_upper, inside[again]),
        )

    def _index(self, x: Array, valid: Bools) -> Integers:
        """The cell of each point; exact, since the cell's edges are.

        From x >= low + k cell follows fl(x - low) >= k cell and fl((x - low) / cell) >= k: never too low, and in the
        same way too high by one at most.
        """
        safe = np.where(valid[:, None], x, self.low)
        index = np.minimum(np.floor((safe - self.low) / self.cell).astype(np.int64), self.count - 1)
        return np.where(self.low + index * self.cell > safe, index - 1, index)

    def may_cover(self, lower: Array, upper: Array) -> Bools:
        """False only where `covers` would be (without angles: boxes that leave the grid's box)."""
        if self.angles.any():
            return np.ones(len(lower), dtype=bool)
        return np.asarray(np.all((lower >= self.low) & (upper <= self.high), axis=1))

    def covers(self, ranges: Ranges) -> Bools:
        """Whether every cell in the ranges is marked."""
        covered = ranges.inside & self._full(ranges.first, ranges.last)
        if len(ranges.again):
            covered[ranges.again] &= self._full(ranges.first_again, ranges.last_again)
        return covered

    def _full(self, first: Integers, last: Integers) -> Bools:
        """Whether no cell between two corners is unmarked: by blocks of cells, then one by one where needed."""
        shift = max(self.level - _TABLE, 0)
        full = self._left_in_blocks(first >> shift, last >> shift) == 0
        if shift:
            inner_first, inner_last = -(-first >> shift), (last + 1 >> shift) - 1
            some = np.all(inner_first <= inner_last, axis=1) & ~full
            open_ = ~full
            open_[some] = self._left_in_blocks(inner_first[some], inner_last[some]) == 0
            full[open_] = self._none_left(first[open_], last[open_])
        return np.asarray(full)

    def _left_in_blocks(self, first: Integers, last: Integers) -> Integers:
        """How many cells are unmarked in blocks between two corners."""
        sums = self._table()
        total = np.zeros(len(first), dtype=np.int64)
        strides = np.array(sums.strides) // sums.itemsize
        flat = sums.ravel()
        for corner in range(2**self.n):
            bits = [corner >> axis & 1 for axis in range(self.n)]
            place = sum((last[:, axis] + 1 if bit else first[:, axis]) * strides[axis] for axis, bit in enumerate(bits))
            sign = (-1) ** (self.n - sum(bits))
            total += sign * flat[place]
        return total

    def _none_left(self, first: Integers, last: Integers) -> Bools:
        """Whether no cell between two corners is unmarked: line by line along the last axis, among sorted numbers."""
        places, size = self._places(), last - first + 1
        lines = np.prod(size[:, :-1], axis=1)
        none = np.zeros(len(first), dtype=bool)
        start = 0
        while start < len(first):
            end = max(start + 1, int(np.searchsorted(np.cumsum(lines[start:]), _LINES)) + start)
            part = slice(start, end)
            owner = np.repeat(np.arange(end - start), lines[part])
            rest = np.arange(len(owner)) - np.repeat(np.cumsum(lines[part]) - lines[part], lines[part])
            line, stride = np.zeros(len(owner), dtype=np.int64), self.count
            for axis in reversed(range(self.n - 1)):
                along = size[part, axis][owner]
                line += (first[part, axis][owner] + rest % along) * stride
                rest, stride = rest // along, stride * self.count
            before = np.searchsorted(places, line + first[part, -1][owner])
            until = np.searchsorted(places, line + last[part, -1][owner], side="right")
            none[part] = np.bincount(owner[until > before], minlength=end - start) == 0
            start = end
        return none

    def _places(self) -> Integers:
        """The numbers of the unmarked cells, the last axis counting fastest, ascending."""
        if self._unmarked is None:
            self._unmarked = np.flatnonzero(~self.marked)
        return self._unmarked

    def _table(self) -> Integers:
        """Sums of unmarked cells in the blocks before each corner."""
        if self._sums is None:
            shift = max(self.level - _TABLE, 0)
            blocks = (self.count >> shift,) * self.n
            if shift:
                block = tuple(part >> shift for part in np.unravel_index(self._places(), self.marked.shape))
                left = np.bincount(np.ravel_multi_index(block, blocks), minlength=int(np.prod(blocks))).reshape(blocks)
            else:
                left = ~self.marked
            sums = np.zeros(tuple(size + 1 for size in blocks), dtype=np.int64)
            inner = sums[(slice(1, None),) * self.n]
            inner[...] = left
            for axis in range(self.n):
                np.cumsum(inner, axis=axis, out=inner)
            self._sums = sums
        return self._sums


def _down(x: Array, turns: Array) -> Array:
    return np.where(turns == 0, x, np.nextafter(x, -np.inf))


def _up(x: Array, turns: Array) -> Array:
    return np.where(turns == 0, x, np.nextafter(x, np.inf))
