"""Blocks of a factor: a dense ball, or a selector that costs one number per row instead of a row of the identity.

And symmetric matrices by their blocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lipctrl.intervals.ball import Ball

Array = NDArray[np.float64]
Index = NDArray[np.intp]


@dataclass(frozen=True)
class Selector:
    """A matrix with at most one nonzero in each row and column: entry k is `values[k]` at (`rows[k]`, `columns[k]`).

    Attributes
    ----------
    shape : (int, int)
    rows, columns : array of int
        Each without repetition, `rows` ascending.
    values : Ball
        Shape (len(rows),).
    """

    shape: tuple[int, int]
    rows: Index
    columns: Index
    values: Ball

    @staticmethod
    def identity(size: int, index: Index | None = None) -> Selector:
        """The identity of the given size, or those of its rows that `index` names (each at most once)."""
        columns = np.arange(size) if index is None else np.asarray(index, dtype=np.intp)
        return Selector((len(columns), size), np.arange(len(columns)), columns, Ball.exact(np.ones(len(columns))))

    @staticmethod
    def placing(index: Index, rows: int) -> Selector:
        """The matrix with ones at (index[k], k): spreads len(index) numbers over `rows` places."""
        return Selector((rows, len(index)), np.asarray(index), np.arange(len(index)), Ball.exact(np.ones(len(index))))

    @property
    def ball(self) -> Ball:
        """The matrix as a dense ball."""
        mid, rad = np.zeros(self.shape), None
        mid[self.rows, self.columns] = self.values.mid
        if not self.values.is_exact:
            rad = np.zeros(self.shape)
            rad[self.rows, self.columns] = self.values.radius
        return Ball(mid, rad)

    @property
    def mid(self) -> Array:
        return self.ball.mid

    @property
    def is_identity(self) -> bool:
        """Whether it is exactly the identity."""
        numbers = np.arange(self.shape[0])
        return bool(
            self.shape[0] == self.shape[1]
            and np.array_equal(self.rows, numbers)
            and np.array_equal(self.columns, numbers)
            and self.values.is_exact
            and np.all(self.values.mid == 1.0)
        )

    def __neg__(self) -> Selector:
        return Selector(self.shape, self.rows, self.columns, -self.values)

    def __getitem__(self, index: Index) -> Selector:
        place = np.full(self.shape[0], -1)
        place[self.rows] = np.arange(len(self.rows))
        found = place[index]
        present = np.flatnonzero(found >= 0)
        found = found[present]
        return Selector((len(index), self.shape[1]), present, self.columns[found], self.values[found])


Block = Ball | Selector


def dense(block: Block) -> Ball:
    """The block as a ball."""
    return block.ball if isinstance(block, Selector) else block


def rows_scaled(block: Block, scale: Array) -> Block:
    """diag(scale) @ block."""
    if isinstance(block, Selector):
        return Selector(block.shape, block.rows, block.columns, block.values * scale[block.rows])
    return block * Ball.exact(scale[:, None])


def premultiplied(matrix: Ball, block: Block) -> Ball:
    """matrix @ block."""
    if isinstance(block, Selector):
        return _spread(matrix[:, block.rows] * block.values, block.columns, block.shape[1])
    return matrix @ block


def transposed_product(left: Block, right: Block) -> Ball:
    """left' @ right."""
    if isinstance(left, Selector) and isinstance(right, Selector):
        _, i, j = np.intersect1d(left.rows, right.rows, assume_unique=True, return_indices=True)
        place = (left.columns[i], right.columns[j])
        product = left.values[i] * right.values[j]
        mid, rad = np.zeros((2, left.shape[1], right.shape[1]))
        mid[place], rad[place] = product.mid, product.radius
        return Ball(mid, rad)
    if isinstance(right, Selector):
        return premultiplied(dense(left).T, right)
    if isinstance(left, Selector):
        return transposed_product(right, left).T
    return left.T @ right


def _spread(columns: Ball, place: Index, width: int) -> Ball:
    """The matrix of the given width whose columns `place` are `columns`, the others zero."""
    if len(place) == width and np.array_equal(place, np.arange(width)):
        return columns
    mid, rad = np.zeros((columns.shape[0], width)), None
    mid[:, place] = columns.mid
    if not columns.is_exact:
        rad = np.zeros_like(mid)
        rad[:, place] = columns.radius
    return Ball(mid, rad)


@dataclass(frozen=True)
class SymmetricBlocks:
    """A symmetric matrix over blocks of the given sizes by its nonzero blocks (i, j), i <= j."""

    sizes: tuple[int, ...]
    blocks: Mapping[tuple[int, int], Ball]

    def dense(self, index: Sequence[int] | None = None) -> Ball:
        """The matrix as a ball, or that part of it in the rows and columns of some blocks (ascending)."""
        index = range(len(self.sizes)) if index is None else index
        starts = np.concatenate([[0], np.cumsum([self.sizes[k] for k in index])])
        places = {k: slice(a, b) for k, a, b in zip(index, starts[:-1], starts[1:], strict=True)}
        mid = np.zeros((starts[-1], starts[-1]))
        rad = np.zeros_like(mid) if any(block.rad is not None for block in self.blocks.values()) else None
        for (i, j), block in self.blocks.items():
            if i in places and j in places:
                mid[places[j], places[i]] = block.mid.T
                mid[places[i], places[j]] = block.mid
                if rad is not None and block.rad is not None:
                    rad[places[j], places[i]] = block.rad.T
                    rad[places[i], places[j]] = block.rad
        return Ball(mid, rad)
