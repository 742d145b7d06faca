"""Linear matrix inequalities as data: what is optimised, proved and written down is this and nothing else.

    minimise    sum_j c_j y_j
    subject to  M_k(y) = C_k + sum of terms > 0    for each matrix inequality k
                y_j >= lower_j                     where a variable has a scalar bound

Three kinds of term:

    Multiplier   sum_i y_i (a_i b_i' + b_i a_i')       rank two; rows a_i, b_i of two factors
    Congruence   weight (F' P G + G' P F)              a symmetric matrix variable between two factors
    Scaled       y S                                   a scalar times a symmetric matrix
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lipctrl.intervals.ball import Ball
from lipctrl.lmi.blocks import Block, Selector, SymmetricBlocks, dense, premultiplied, rows_scaled, transposed_product

Array = NDArray[np.float64]
Values = Mapping[str, Array]


@dataclass(frozen=True)
class Variable:
    """A named vector variable, or the symmetric matrix variable of order `size`.

    `lower` is the scalar lower bound of every entry of a vector (None: free). `labels` are the numbers of the neurons
    that it weighs; they match the entries of similar problems with each other, and mean nothing else.
    """

    name: str
    size: int
    symmetric: bool = False
    lower: float | None = None
    labels: tuple[int, ...] | None = None

    @property
    def n_scalars(self) -> int:
        return self.size * (self.size + 1) // 2 if self.symmetric else self.size


@dataclass(frozen=True)
class Factor:
    """A matrix with `rows` rows over the signals of an inequality, kept as its nonzero blocks {block: rows x width}."""

    rows: int
    blocks: Mapping[int, Block]

    def dense(self, sizes: tuple[int, ...]) -> Array:
        """Midpoints over the first len(sizes) blocks as one array, shape (rows, sum(sizes))."""
        starts = np.concatenate([[0], np.cumsum(sizes)])
        out = np.zeros((self.rows, int(starts[-1])))
        for block, part in self.blocks.items():
            if block < len(sizes):
                out[:, starts[block] : starts[block + 1]] = part.mid
        return out

    def __add__(self, other: Factor) -> Factor:
        blocks = dict(self.blocks)
        for block, part in other.blocks.items():
            blocks[block] = dense(blocks[block]) + dense(part) if block in blocks else part
        return Factor(self.rows, blocks)

    def __neg__(self) -> Factor:
        return Factor(self.rows, {block: -part for block, part in self.blocks.items()})

    def premultiply(self, matrix: Ball) -> Factor:
        """matrix @ factor."""
        return Factor(matrix.shape[0], {block: premultiplied(matrix, part) for block, part in self.blocks.items()})

    def scale_rows(self, scale: Array) -> Factor:
        """diag(scale) @ factor."""
        scale = np.asarray(scale, dtype=np.float64)
        return Factor(self.rows, {block: rows_scaled(part, scale) for block, part in self.blocks.items()})

    def take(self, index: NDArray[np.intp]) -> Factor:
        """The rows of the given numbers, each at most once."""
        return Factor(len(index), {block: part[index] for block, part in self.blocks.items()})


def selector(block: int, size: int, index: NDArray[np.intp] | None = None) -> Factor:
    """Rows of the identity on one block."""
    return Factor(size if index is None else len(index), {block: Selector.identity(size, index)})


@dataclass(frozen=True)
class Gram:
    """sign * factor' factor over blocks of the given sizes, kept as its factor; the square matrix is made on demand."""

    factor: Factor
    sizes: tuple[int, ...]
    sign: float = 1.0

    @cached_property
    def ball(self) -> Ball:
        """The matrix, its midpoint exactly symmetric."""
        half = Half(self.sizes)
        half.add(self, Ball.exact(np.array(0.5)))
        return half.symmetric_sum().dense()

    @property
    def mid(self) -> Array:
        return self.ball.mid

    def __neg__(self) -> Gram:
        return Gram(self.factor, self.sizes, -self.sign)


def gram(factor: Factor, sizes: tuple[int, ...]) -> Gram:
    """factor' factor."""
    return Gram(factor, sizes)


@dataclass(frozen=True)
class Multiplier:
    """sum_i y_i (a_i b_i' + b_i a_i'); a variable of size one is shared by all rows."""

    variable: str
    A: Factor
    B: Factor


@dataclass(frozen=True)
class Congruence:
    """weight (F' P G + G' P F), P symmetric; weight is a power of two with sign."""

    variable: str
    F: Factor
    G: Factor
    weight: float = 1.0


@dataclass(frozen=True)
class Scaled:
    """y S for a scalar variable and a given symmetric S."""

    variable: str
    S: Ball | Gram


Term = Multiplier | Congruence | Scaled


@dataclass(frozen=True)
class MatrixInequality:
    """constant + terms > 0 over signals stacked in blocks of the given sizes."""

    name: str
    sizes: tuple[int, ...]
    terms: tuple[Term, ...]
    constant: Ball | Gram | None = None

    @property
    def order(self) -> int:
        return sum(self.sizes)

    def evaluate(self, values: Values) -> Ball:
        """The matrix at given numbers, every rounding error enclosed; its midpoint is exactly symmetric."""
        return self.evaluate_blocks(values).dense()

    def evaluate_blocks(self, values: Values) -> SymmetricBlocks:
        """The same, as its nonzero blocks."""
        half = Half(self.sizes)
        if self.constant is not None:
            half.add(self.constant, Ball.exact(np.array(0.5)))
        for term in self.terms:
            half.add_term(term, np.asarray(values[term.variable], dtype=np.float64))
        return half.symmetric_sum()


class Half:
    """A matrix H by its nonzero blocks; H + H' is the matrix of an inequality."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        self.sizes = sizes
        self.starts = np.concatenate([[0], np.cumsum(sizes)])
        self.blocks: dict[tuple[int, int], Ball] = {}

    def add_product(self, left: Factor, right: Factor, weight: float | Ball) -> None:
        """weight left' right."""
        for i, a in left.blocks.items():
            for j, b in right.blocks.items():
                part = transposed_product(a, b)
                self.add_block(i, j, part if isinstance(weight, float) and weight == 1.0 else part * weight)

    def add_term(self, term: Term, value: Array) -> None:
        """Half of a term at a given number."""
        if isinstance(term, Multiplier):
            self.add_product(term.A.scale_rows(np.broadcast_to(value, (term.A.rows,))), term.B, 1.0)
        elif isinstance(term, Congruence):
            self.add_product(term.F, term.G.premultiply(Ball.exact(value)), term.weight)
        else:
            self.add(term.S, Ball.exact(value.reshape(())) * 0.5)

    def add(self, matrix: Ball | Gram, weight: Ball) -> None:
        """weight times a symmetric matrix."""
        if isinstance(matrix, Gram):
            self.add_product(matrix.factor, matrix.factor, weight * matrix.sign)
            return
        for i, rows in enumerate(self._slices()):
            for j, columns in enumerate(self._slices()):
                part = matrix[rows, columns]
                if np.any(part.mid) or part.rad is not None:
                    self.add_block(i, j, part * weight)

    def symmetric_sum(self) -> SymmetricBlocks:
        """H + H', its midpoint exactly symmetric."""
        blocks: dict[tuple[int, int], Ball] = {}
        for i, j in {(min(key), max(key)) for key in self.blocks}:
            upper, lower = self.blocks.get((i, j)), self.blocks.get((j, i))
            if upper is None:
                blocks[i, j] = self.blocks[j, i].T
            else:
                blocks[i, j] = upper if lower is None else upper + lower.T
        return SymmetricBlocks(self.sizes, blocks)

    def _slices(self) -> list[slice]:
        return [slice(a, b) for a, b in pairwise(self.starts)]

    def add_block(self, i: int, j: int, part: Ball) -> None:
        self.blocks[i, j] = self.blocks[i, j] + part if (i, j) in self.blocks else part


@dataclass(frozen=True)
class LMI:
    """Matrix inequalities over shared named variables, and a linear objective to minimise.

    `objective` maps a variable to coefficients: an array like the variable, for a symmetric one the matrix H of <H, P>.
    `start` is a strictly feasible point where theory gives one in closed form.
    """

    variables: tuple[Variable, ...]
    inequalities: tuple[MatrixInequality, ...]
    objective: Mapping[str, Array] = field(default_factory=dict)
    start: Values | None = None

    def variable(self, name: str) -> Variable:
        return next(variable for variable in self.variables if variable.name == name)
