"""The independent checker of certificates: one file, the standard library alone, exact arithmetic.

    python -I -S check.py FILE        exit code 0 accepted, 1 rejected, 2 unreadable

It believes nothing that the file says about itself. From the numbers in the file it rebuilds every matrix exactly
(integers times a power of two), proves definiteness exactly, proves the bounds on the activations with enclosures of
60 decimal digits, and prints the claim that follows. The format is described in FORMAT.md, which is meant to be enough
to write another checker. Bottom up: numbers, matrices, definiteness, activations, ranges, the reduced network,
theorems, claims, files.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import re
import struct
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, DivisionByZero, InvalidOperation
from fractions import Fraction
from functools import lru_cache
from operator import mul
from pathlib import Path
from typing import Any, NoReturn

VERSION = 1
MAX_BYTES = 32 * 2**20
MAX_DEPTH = 24
MAX_WIDTH = 2**17
MAX_IDENTITY = 4096
MAX_WORK = 10**9  # multiplications, about; an inequality of order 1000 never needs more
MAX_SECONDS = 600.0


class Unreadable(Exception):
    """The file is no certificate of this version at all."""


class Rejected(Exception):
    """The file is readable, but does not prove a claim."""


_deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)


def _reject(reason: str) -> NoReturn:
    raise Rejected(reason)


def _tick() -> None:
    if time.monotonic() > _deadline.get():
        _reject("the time limit is over before everything is proved")


# --------------------------------------------------------------------------------------------------------- matrices


class Matrix:
    """The exact matrix `rows` * 2**`exponent`, rows being lists of integers."""

    __slots__ = ("cols", "exponent", "rows")

    def __init__(self, rows: list[list[int]], cols: int, exponent: int = 0) -> None:
        self.rows = rows
        self.cols = cols
        self.exponent = exponent

    @staticmethod
    def of(rows: Sequence[Sequence[float]], cols: int) -> Matrix:
        """The doubles of a file, exactly."""
        ratios = [[x.as_integer_ratio() for x in row] for row in rows]
        shift = max((q.bit_length() for row in ratios for _, q in row), default=1) - 1
        return Matrix([[p << (shift + 1 - q.bit_length()) for p, q in row] for row in ratios], cols, -shift).short()

    @staticmethod
    def exact(values: Sequence[Fraction]) -> Matrix:
        """A row of dyadic fractions."""
        shift = max((x.denominator.bit_length() for x in values), default=1) - 1
        return Matrix([[(x.numerator << shift) // x.denominator for x in values]], len(values), -shift)

    @staticmethod
    def eye(n: int) -> Matrix:
        if n > MAX_IDENTITY:
            _reject(f"an identity of order {n}; this checker stops at {MAX_IDENTITY}")
        return Matrix([[int(i == j) for j in range(n)] for i in range(n)], n)

    @staticmethod
    def diagonal(values: Sequence[Fraction]) -> Matrix:
        return Matrix.eye(len(values)).scale_rows(Matrix.exact(values))

    def short(self) -> Matrix:
        """The same matrix with common factors of two moved into the exponent."""
        every = 0
        for row in self.rows:
            for x in row:
                every |= x
        if not every:
            return Matrix(self.rows, self.cols)
        zeros = (every & -every).bit_length() - 1
        if zeros > 0:
            return Matrix([[x >> zeros for x in row] for row in self.rows], self.cols, self.exponent + zeros)
        return self

    @property
    def T(self) -> Matrix:
        return Matrix([[row[j] for row in self.rows] for j in range(self.cols)], len(self.rows), self.exponent)

    def at(self, exponent: int) -> list[list[int]]:
        """The integers over a smaller exponent."""
        shift = self.exponent - exponent
        return [[x << shift for x in row] for row in self.rows] if shift else self.rows

    def __matmul__(self, other: Matrix) -> Matrix:
        if self.cols != len(other.rows):
            _reject(f"matrices of {self.cols} columns and {len(other.rows)} rows cannot be multiplied")
        columns = other.T.rows
        rows = []
        for row in self.rows:
            _tick()
            used = [j for j, x in enumerate(row) if x]
            if 8 * len(used) < len(row):
                out = [0] * other.cols
                for j in used:
                    x = row[j]
                    out = [o + x * y for o, y in zip(out, other.rows[j], strict=True)]
                rows.append(out)
            else:
                rows.append([sum(map(mul, row, column)) for column in columns])
        return Matrix(rows, other.cols, self.exponent + other.exponent).short()

    def __add__(self, other: Matrix) -> Matrix:
        if (len(self.rows), self.cols) != (len(other.rows), other.cols):
            _reject("matrices of different shapes cannot be added")
        low = min(self.exponent, other.exponent)
        pairs = zip(self.at(low), other.at(low), strict=True)
        return Matrix([[x + y for x, y in zip(a, b, strict=True)] for a, b in pairs], self.cols, low)

    def __neg__(self) -> Matrix:
        return Matrix([[-x for x in row] for row in self.rows], self.cols, self.exponent)

    def __sub__(self, other: Matrix) -> Matrix:
        return self + -other

    def __abs__(self) -> Matrix:
        return Matrix([[abs(x) for x in row] for row in self.rows], self.cols, self.exponent)

    def scale_rows(self, weights: Matrix) -> Matrix:
        """diag(weights) @ self, the weights being one row."""
        rows = [[w * x for x in row] for w, row in zip(weights.rows[0], self.rows, strict=True)]
        return Matrix(rows, self.cols, self.exponent + weights.exponent).short()

    def twice(self) -> Matrix:
        return Matrix(self.rows, self.cols, self.exponent + 1)

    def take_rows(self, index: Sequence[int]) -> Matrix:
        return Matrix([self.rows[i] for i in index], self.cols, self.exponent)

    def take_columns(self, index: Sequence[int]) -> Matrix:
        return Matrix([[row[j] for j in index] for row in self.rows], len(index), self.exponent)

    def is_zero(self) -> bool:
        return not any(x for row in self.rows for x in row)


class Symmetric:
    """A symmetric matrix over stacked blocks, added up from its lower blocks (i, j), i >= j."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.sizes = list(sizes)
        self.blocks: dict[tuple[int, int], Matrix] = {}

    def add(self, i: int, j: int, block: Matrix) -> None:
        """Add `block` at (i, j), and its transpose at (j, i) if i != j."""
        if i < j:
            i, j, block = j, i, block.T
        if (len(block.rows), block.cols) != (self.sizes[i], self.sizes[j]):
            _reject("a block of the wrong shape")
        self.blocks[i, j] = self.blocks[i, j] + block if (i, j) in self.blocks else block

    def add_gram(self, left: dict[int, Matrix], right: dict[int, Matrix]) -> None:
        """Add left' right, a product known to be symmetric."""
        for i, a in left.items():
            for j, b in right.items():
                if j <= i:
                    self.add(i, j, a.T @ b)

    def lower(self) -> tuple[list[list[int]], int]:
        """Rows of the lower triangle over one exponent, each from its first entry that is not zero."""
        exponent = min((block.exponent for block in self.blocks.values()), default=0)
        rows: list[list[int]] = []
        for i, size in enumerate(self.sizes):
            first = min((j for k, j in self.blocks if k == i), default=i)
            strip: list[list[int]] = [[] for _ in range(size)]
            for j in range(first, i + 1):
                block = self.blocks.get((i, j))
                part = block.at(exponent) if block else [[0] * self.sizes[j]] * size
                for row, piece in zip(strip, part, strict=True):
                    row.extend(piece)
            for k, row in enumerate(strip):
                end = len(row) - size + k
                rows.append(row[next((c for c in range(end) if row[c]), end) : end + 1])
        return rows, exponent

    def prove_positive(self, what: str) -> None:
        lower, exponent = self.lower()
        _limit(what, sum(self.sizes), sum(len(row) ** 2 for row in lower))
        if not positive_definite(lower, exponent):
            _reject(f"{what} is not proved positive definite")


def _limit(what: str, order: int, work: int) -> None:
    if work > MAX_WORK:
        _reject(f"{what} has order {order} and would take about {work:.1e} multiplications; this checker stops at 1e9")


def positive_definite(lower: list[list[int]], exponent: int, radius: list[list[int]] | None = None) -> bool:
    """Prove that every symmetric X with |X - A| <= radius * 2**exponent is positive definite.

    A is given by the rows of its lower triangle times 2**exponent, each from its first entry that is not zero to the
    diagonal; `radius` is a full matrix of integers. The proof: with D a diagonal of powers of two, integers L and c > 0
    are found for which the symmetric E = D A D - c I - L L' is computed exactly and every absolute row sum of E (plus
    that of D radius D) is < c. So D X D = L L' + (c I + E + ...), the bracket being strictly diagonally dominant. Row i
    of L starts where that of A does, and before that E is zero. False means "not proved".
    """
    shifts = []
    for row in lower:
        if row[-1] <= 0:
            return False
        shifts.append(-((row[-1].bit_length() + exponent + 1) // 2))
    return any(_factor(lower, exponent, shifts, bits, radius) for bits in (59, 119, 239))


def _shift(x: int, by: int) -> int:
    """floor(x * 2**by)."""
    return x << by if by >= 0 else x >> -by


def _factor(
    lower: list[list[int]], exponent: int, shifts: list[int], bits: int, radius: list[list[int]] | None
) -> bool:
    """Cholesky in integers, in units of 4**-bits; L in units of 2**-bits, so that the remainders ARE the residual."""
    n = len(lower)
    slack = [n] * n  # the floor of D A D is off by less than one unit in each entry
    if radius is not None:
        for i in range(n):
            slack[i] += sum(_shift(radius[i][j], exponent + shifts[i] + shifts[j] + 2 * bits) + 1 for j in range(n))
    c = ((2 * n + 4) << bits) + max(slack, default=0)
    factor: list[list[int]] = []
    for i in range(n):
        _tick()
        offset = exponent + shifts[i] + 2 * bits
        row: list[int] = []
        first = i + 1 - len(lower[i])
        for j, entry in enumerate(lower[i][:-1], first):
            done = factor[j]
            ahead = first - (j + 1 - len(done))  # columns that row j of L has before row i, or row i before row j
            both = map(mul, row, done[ahead:]) if ahead > 0 else map(mul, row[-ahead:], done)
            q, r = divmod(_shift(entry, offset + shifts[j]) - sum(both), done[-1])
            row.append(q)
            slack[i] += r
            slack[j] += r
        pivot = _shift(lower[i][-1], offset + shifts[i]) - c - sum(map(mul, row, row))
        if pivot <= 0:
            return False
        q = math.isqrt(pivot)
        row.append(q)
        slack[i] += pivot - q * q
        factor.append(row)
    return all(total < c for total in slack)  # true by the choice of c; it is the theorem's hypothesis, so it is tested


# ------------------------------------------------------------------------------------------------- elementary functions

Range = tuple[Fraction, Fraction]
ZERO, ONE, HALF = Fraction(0), Fraction(1), Fraction(1, 2)
DIGITS = 60
RANGE = 5000  # of decimal exponents: a neighbour of zero must stay cheap as a fraction
_TRAPS = [InvalidOperation, DivisionByZero]
_DOWN = Context(prec=DIGITS, rounding=ROUND_FLOOR, Emin=-RANGE, Emax=RANGE, traps=_TRAPS)
_UP = Context(prec=DIGITS, rounding=ROUND_CEILING, Emin=-RANGE, Emax=RANGE, traps=_TRAPS)
_TINY = Fraction(1, 2**2800)
FAR = 30  # from there on the normal distribution by Mills' ratio


def _decimals(x: Fraction, down: Context = _DOWN, up: Context = _UP) -> tuple[Decimal, Decimal]:
    p, q = Decimal(x.numerator), Decimal(x.denominator)
    return down.divide(p, q), up.divide(p, q)


def _exponential(x: Fraction, down: Context = _DOWN, up: Context = _UP) -> tuple[Decimal, Decimal]:
    """Decimal's exp is correctly rounded, so one unit either way encloses."""
    low, high = _decimals(x, down, up)
    return down.next_minus(down.exp(low)), up.next_plus(up.exp(high))


@lru_cache(maxsize=4096)
def _exp(x: Fraction) -> Range:
    """Enclosure of exp(x), x <= 0."""
    if x == 0:
        return ONE, ONE
    if x < -2000:
        return ZERO, _TINY
    low, high = _exponential(x)
    return Fraction(low), min(Fraction(high), ONE)


def _expm1(x: Fraction) -> Range:
    """Enclosure of exp(x) - 1, x <= 0; x <= exp(x) - 1 <= x + x^2/2 keeps the digits of a small x."""
    if -x < Fraction(1, 2**100):
        return x, x + x * x / 2
    return _add(_exp(x), (-ONE, -ONE))


def _log1p(x: Range) -> Range:
    """Enclosure of log(1 + x), 0 <= x <= 1; x - x^2/2 <= log(1 + x) <= x keeps the digits of a small x."""
    if x[1] < Fraction(1, 2**100):
        return x[0] - x[0] ** 2 / 2, x[1]
    low, high = _decimals(1 + x[0])[0], _decimals(1 + x[1])[1]
    return max(Fraction(_DOWN.next_minus(_DOWN.ln(low))), ZERO), Fraction(_UP.next_plus(_UP.ln(high)))


def _sqrt(x: Range) -> Range:
    low, high = (_decimals(end) for end in x)
    return Fraction(_DOWN.next_minus(_DOWN.sqrt(low[0]))), Fraction(_UP.next_plus(_UP.sqrt(high[1])))


def _add(x: Range, y: Range) -> Range:
    return x[0] + y[0], x[1] + y[1]


def _times(k: Fraction, x: Range) -> Range:
    return (k * x[0], k * x[1]) if k >= 0 else (k * x[1], k * x[0])


def _product(x: Range, y: Range) -> Range:
    every = [a * b for a in x for b in y]
    return min(every), max(every)


def _hull(ranges: Iterable[Range]) -> Range:
    every = list(ranges)
    return min(r[0] for r in every), max(r[1] for r in every)


def _sigmoid(x: Fraction) -> Range:
    low, high = _exp(-abs(x))
    return (low / (1 + low), high / (1 + high)) if x < 0 else (1 / (1 + high), 1 / (1 + low))


def _sigmoid_slope(x: Fraction) -> Range:
    """E / (1 + E)^2, E = exp(-|x|), increasing in E <= 1."""
    low, high = _exp(-abs(x))
    return low / (1 + low) ** 2, high / (1 + high) ** 2


def _tanh(x: Fraction) -> Range:
    """-sign(x) M / (2 + M), M = exp(-2 |x|) - 1; M / (2 + M) increases in M > -2."""
    low, high = _expm1(-2 * abs(x))
    low, high = low / (2 + low), high / (2 + high)
    return (-high, -low) if x >= 0 else (low, high)


@lru_cache(maxsize=1)
def _root_two_pi() -> Range:
    low, high = _pi(DIGITS + 5)
    return _sqrt((2 * low, 2 * high))


def _density(x: Fraction) -> Range:
    """exp(-x^2/2) / sqrt(2 pi)."""
    low, high = _exp(-x * x / 2)
    root = _root_two_pi()
    return low / root[1], high / root[0]


def _distribution(x: Fraction) -> Range:
    """The normal distribution function, to about 60 digits also in the lower tail.

    Phi(x) = 1/2 + density(x) (x + x^3/3 + x^5/(3 5) + ...); far out by Mills' ratio.
    """
    t = abs(x)
    if t > FAR:
        low, high = _product(_density(x), _mills(t))
    elif t == 0:
        return HALF, HALF
    else:
        low, high = _lower_tail(t)
    return (1 - high, 1 - low) if x > 0 else (low, high)


def _mills(t: Fraction) -> Range:
    """Phi(-t) / density(t) = 1/t - 1/t^3 + 3/t^5 - 15/t^7 + ..., t > 30: partial sums lie on either side in turn.

    Integrated by parts, the remainder after n terms is (-1)^n (2n - 1)!! times an integral of a positive function.
    """
    total, term = ZERO, 1 / t
    for odd in range(1, 21, 2):  # ten terms, the last one negative
        total, term = total + term, -odd * term / t**2
    return total, total + term


def _series(x: Decimal, digits: int, context: Context) -> Decimal:
    """x + x^3/3 + x^5/(3 5) + ... until terms are below 10^-digits of the sum; rounded up, with a bound of the rest."""
    square = context.multiply(x, x)
    term, total, odd = x, x, 1
    while term > total.scaleb(-digits, context) or 3 * square > odd + 2:
        odd += 2
        term = context.divide(context.multiply(term, square), Decimal(odd))
        total = context.add(total, term)
    # here each later term is at most about a third of the one before it, so the rest is less than the last term
    return context.add(total, term) if context.rounding == ROUND_CEILING else total


@lru_cache(maxsize=4096)
def _lower_tail(t: Fraction) -> Range:
    """Phi(-t), 0 < t <= FAR, with enough more digits to survive the subtraction."""
    digits = DIGITS + 10 + int(t * t / 4)
    down = Context(prec=digits, rounding=ROUND_FLOOR, Emin=-RANGE, Emax=RANGE, traps=_TRAPS)
    up = Context(prec=digits, rounding=ROUND_CEILING, Emin=-RANGE, Emax=RANGE, traps=_TRAPS)
    start = _decimals(t, down, up)
    series = _series(start[0], digits, down), _series(start[1], digits, up)
    exp = _exponential(-t * t / 2, down, up)
    turn = [_decimals(2 * pi, down, up) for pi in _pi(digits + 5)]
    root = down.next_minus(down.sqrt(turn[0][0])), up.next_plus(up.sqrt(turn[1][1]))
    below, above = (
        HALF - Fraction(e) * Fraction(s) / Fraction(r)
        for e, s, r in ((exp[1], series[1], root[0]), (exp[0], series[0], root[1]))
    )
    return max(below, ZERO), above


@lru_cache(maxsize=512)
def _pi(digits: int) -> Range:
    """Machin: pi = 16 arctan(1/5) - 4 arctan(1/239), in integers; each floor is off by at most one unit."""
    unit = 10 ** (digits + 10)

    def arctan(inverse: int) -> int:
        power = total = unit // inverse
        sign, odd = 1, 1
        while power:
            power //= inverse * inverse
            sign, odd = -sign, odd + 2
            total += sign * (power // odd)
        return total

    value = 16 * arctan(5) - 4 * arctan(239)
    error = 100 * digits + 10000  # fewer than digits + 10 terms, each off by less than 3 units, times 20
    return Fraction(value - error, unit), Fraction(value + error, unit)


# ---------------------------------------------------------------------------------------------------------- activations

Scalar = Callable[[Fraction], Range]


@dataclass(frozen=True)
class Segment:
    """An interval on which phi is convex (1), concave (-1), affine (0), or only |phi''| <= 1 is known (None)."""

    left: Fraction | None
    right: Fraction | None
    shape: int | None
    value: Scalar
    slope: Scalar

    def slopes(self, a: Fraction, b: Fraction) -> Range:
        """All values of phi' on [a, b], part of the segment: phi' is monotone where the shape is known."""
        if self.shape == 0:
            return self.slope(a)
        if self.shape is None:
            return _add(self.slope(a), (a - b, b - a))
        return _hull((self.slope(a), self.slope(b)))


@dataclass(frozen=True)
class Activation:
    """phi as segments that cover the line; limits of its slope at both ends; values on R if bounded; kinks."""

    segments: tuple[Segment, ...]
    tails: tuple[Fraction, Fraction]
    image: Range | None = None
    kinks: tuple[Fraction, ...] = ()

    def parts(self, lo: Fraction, hi: Fraction) -> Iterator[tuple[Segment, Fraction, Fraction]]:
        """The segments within [lo, hi] in order; for a single point also those that it only touches."""
        for segment in self.segments:
            a = lo if segment.left is None else max(lo, segment.left)
            b = hi if segment.right is None else min(hi, segment.right)
            if a < b or (a == b and lo == hi):
                yield segment, a, b

    def value(self, x: Fraction) -> Range:
        return next(segment.value(x) for segment, _, _ in self.parts(x, x))

    def slopes(self, lo: Fraction, hi: Fraction) -> Range:
        """Every secant slope between points of [lo, hi]; at a single point every one-sided slope."""
        return _hull(segment.slopes(a, b) for segment, a, b in self.parts(lo, hi))

    def slopes_everywhere(self) -> Range:
        found = []
        for segment in self.segments:
            if segment.shape == 0:
                found.append(segment.slope(ZERO))
                continue
            if segment.left is not None and segment.right is not None:
                found.append(segment.slopes(segment.left, segment.right))
                continue
            for end, tail in ((segment.left, self.tails[0]), (segment.right, self.tails[1])):
                found.append((tail, tail) if end is None else segment.slope(end))
        return _hull(found)

    def value_near(self, lo: Fraction, hi: Fraction) -> Range:
        """An enclosure of phi on [lo, hi] that is tight when the interval is tiny."""
        slopes = self.slopes(lo, hi)
        steep = max(abs(slopes[0]), abs(slopes[1])) * (hi - lo)
        return _add(self.value(lo), (-steep, steep))

    def value_on(self, lo: Fraction, hi: Fraction) -> Range:
        """A tight enclosure of phi on [lo, hi]."""
        low, high = [], []
        for segment, a, b in self.parts(lo, hi):
            value, slope, shape = segment.value, segment.slope, segment.shape
            low.append(_minimum(value, slope, a, b, shape, None))
            flipped = None if shape is None else -shape
            high.append(-_minimum(_negative(value), _negative(slope), a, b, flipped, None))
        return min(low), max(high)


def _negative(f: Scalar) -> Scalar:
    def g(x: Fraction) -> Range:
        low, high = f(x)
        return -high, -low

    return g


def _minimum(
    f: Scalar, slope: Scalar, a: Fraction, b: Fraction, shape: int | None, target: Fraction | None = None
) -> Fraction:
    """A lower bound of f on [a, b], of the given shape; with a target, as good as it takes to decide f >= target.

    Concave: the lower end. Convex: tangents at both ends of a bracket of the stationary point, found by false
    position. Unknown shape: the mean value theorem with |f''| <= 1.
    """
    at_a, at_b, width = f(a), f(b), b - a
    if shape is None:
        return at_a[0] + min(ZERO, slope(a)[0] - width) * width
    if shape <= ZERO:
        return min(at_a[0], at_b[0])
    slope_a, slope_b = slope(a), slope(b)
    if slope_a[0] >= ZERO:
        return at_a[0]
    if slope_b[1] <= ZERO:
        return at_b[0]
    weight_a, weight_b = float(-slope_a[0]), float(slope_b[1])
    bound = None
    for _ in range(200):
        _tick()
        width = b - a
        from_a, from_b = at_a[0] + min(slope_a[0], ZERO) * width, at_b[0] - max(slope_b[1], ZERO) * width
        bound = max(from_a, from_b) if bound is None else max(bound, from_a, from_b)
        reached = min(at_a[1], at_b[1])
        if (reached - bound <= abs(bound) / 2**100) if target is None else (bound >= target or reached < target):
            break
        part = weight_a / (weight_a + weight_b) if weight_a + weight_b > 0 else 0.5
        middle = Fraction(float(a) + part * float(width))
        if not a < middle < b:
            middle = (a + b) / 2
        at, along = f(middle), slope(middle)
        if along[1] <= ZERO:
            a, at_a, slope_a = middle, at, along
            weight_a, weight_b = float(-along[0]), weight_b / 2
        elif along[0] >= ZERO:
            b, at_b, slope_b = middle, at, along
            weight_a, weight_b = weight_a / 2, float(along[1])
        else:
            return max(bound, at[0] - max(-along[0], along[1]) * width)
    return ZERO if bound is None else bound


def _constant(value: Fraction) -> Scalar:
    return lambda x: (value, value)


def _affine(left: Fraction | None, right: Fraction | None, slope: Fraction, offset: Fraction = ZERO) -> Segment:
    def value(x: Fraction) -> Range:
        y = slope * x + offset
        return y, y

    return Segment(left, right, 0, value, _constant(slope))


PARAMETERS = {"leaky_relu": ("negative_slope",), "elu": ("alpha",), "softplus": ("beta",), "hardtanh": ("low", "high")}
KINDS = ("identity", "relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "tanh", "sigmoid", "hardtanh")


@lru_cache(maxsize=65536)
def activation(kind: str, parameters: tuple[float, ...] = ()) -> Activation:
    """The scalar function of FORMAT.md, parameters in the order of PARAMETERS."""
    if kind == "identity":
        return Activation((_affine(None, None, ONE),), (ONE, ONE))
    if kind in ("relu", "leaky_relu"):
        below = Fraction(*parameters) if parameters else ZERO
        return Activation((_affine(None, ZERO, below), _affine(ZERO, None, ONE)), (below, ONE), None, (ZERO,))
    if kind == "hardtanh":
        return _hardtanh(*parameters)
    if kind == "elu":
        return _elu(Fraction(*parameters))
    if kind == "softplus":
        return _softplus(Fraction(*parameters))
    if kind == "tanh":
        return _sigmoidal(_tanh, lambda x: _times(Fraction(4), _sigmoid_slope(2 * x)), -ONE)
    if kind == "sigmoid":
        return _sigmoidal(_sigmoid, _sigmoid_slope, ZERO)
    if kind == "silu":
        return _swish(*_silu_inflection(), _silu, _silu_slope)
    if kind == "gelu":
        root = math.isqrt(2 << 320)
        return _swish(Fraction(root, 1 << 160), Fraction(root + 1, 1 << 160), _gelu, _gelu_slope)
    _reject(f"unknown activation {kind!r}")


def _hardtanh(low: float, high: float) -> Activation:
    if not low <= high or low == math.inf or high == -math.inf:
        _reject("hardtanh needs low <= high, low < inf, high > -inf")
    left = None if low == -math.inf else Fraction(low)
    right = None if high == math.inf else Fraction(high)
    segments = []
    if left is not None:
        segments.append(_affine(None, left, ZERO, left))
    if low < high:
        segments.append(_affine(left, right, ONE))
    if right is not None:
        segments.append(_affine(right, None, ZERO, right))
    image = None if left is None or right is None else (left, right)
    kinks = tuple(end for end in (left, right) if end is not None)
    return Activation(tuple(segments), (ONE if left is None else ZERO, ONE if right is None else ZERO), image, kinks)


def _elu(alpha: Fraction) -> Activation:
    if alpha == 0:
        return activation("relu")

    def slope(x: Fraction) -> Range:
        return _times(alpha, _exp(x))

    def value(x: Fraction) -> Range:
        return _times(alpha, _expm1(x))

    below = Segment(None, ZERO, 1 if alpha > 0 else -1, value, slope)
    return Activation((below, _affine(ZERO, None, ONE)), (ZERO, ONE), None, () if alpha == 1 else (ZERO,))


def _softplus(beta: Fraction) -> Activation:
    if beta <= 0:
        _reject("softplus needs beta > 0")

    def value(x: Fraction) -> Range:
        return _add(_times(1 / beta, _log1p(_exp(-abs(beta * x)))), (max(x, ZERO), max(x, ZERO)))

    return Activation((Segment(None, None, 1, value, lambda x: _sigmoid(beta * x)),), (ZERO, ONE))


def _sigmoidal(value: Scalar, slope: Scalar, low: Fraction) -> Activation:
    """Convex below 0, concave above, between `low` and 1."""
    segments = Segment(None, ZERO, 1, value, slope), Segment(ZERO, None, -1, value, slope)
    return Activation(segments, (ZERO, ZERO), (low, ONE))


def _swish(low: Fraction, high: Fraction, value: Scalar, slope: Scalar) -> Activation:
    """phi'' has its two zeros in +-[low, high]: convex between, concave outside; |phi''| <= 1 everywhere."""
    ends: list[tuple[Fraction | None, Fraction | None, int | None]] = [
        (None, -high, -1), (-high, -low, None), (-low, low, 1), (low, high, None), (high, None, -1)
    ]  # fmt: skip
    return Activation(tuple(Segment(a, b, shape, value, slope) for a, b, shape in ends), (ZERO, ONE))


def _silu(x: Fraction) -> Range:
    return _times(x, _sigmoid(x))


def _silu_slope(x: Fraction) -> Range:
    """s + x s (1 - s), s = sigmoid(x); for x < 0 the same as E (1 + x + E) / (1 + E)^2, E = exp(x)."""
    if x >= 0:
        return _add(_sigmoid(x), _times(x, _sigmoid_slope(x)))
    return _product(_sigmoid_slope(x), _add((1 + x, 1 + x), _exp(x)))


@lru_cache(maxsize=1)
def _silu_inflection() -> Range:
    """The zero of x tanh(x/2) - 2, which increases: phi'' = s (1 - s) (2 - x tanh(x/2))."""
    low, high = Fraction(2), Fraction(3)
    while high - low > Fraction(1, 2**160):
        middle = (low + high) / 2
        value = _times(middle, _tanh(middle / 2))
        if value[1] < 2:
            low = middle
        elif value[0] > 2:
            high = middle
        else:
            break
    return low, high


def _gelu(x: Fraction) -> Range:
    return _times(x, _distribution(x))


def _gelu_slope(x: Fraction) -> Range:
    if x < -FAR:
        return _product(_density(x), _add(_mills(-x), (x, x)))
    return _add(_distribution(x), _times(x, _density(x)))


def prove_slopes(phi: Activation, bounds: Range | None, alpha: Fraction, beta: Fraction) -> bool:
    """Every secant slope of phi on the interval (None: on R) lies in [alpha, beta]."""
    low, high = phi.slopes_everywhere() if bounds is None else phi.slopes(*bounds)
    return alpha <= low and high <= beta


def prove_relaxation(phi: Activation, bounds: Range, lam: Fraction, mu: Fraction, delta: Fraction) -> bool:
    """|phi(v) - lam v - mu| <= delta for every v in the interval, each side being convex or concave in pieces."""
    for segment, a, b in phi.parts(*bounds):
        for sign in (1, -1):

            def gap(x: Fraction, sign: int = sign, value: Scalar = segment.value) -> Range:
                return _add(_times(Fraction(sign), value(x)), (delta - sign * (lam * x + mu),) * 2)

            def along(x: Fraction, sign: int = sign, slope: Scalar = segment.slope) -> Range:
                return _add(_times(Fraction(sign), slope(x)), (-sign * lam,) * 2)

            shape = None if segment.shape is None else sign * segment.shape
            if _minimum(gap, along, a, b, shape, ZERO) < 0:
                return False
    return True


def prove_sector(phi: Activation, bounds: Range, about: Range, alpha: Fraction, beta: Fraction) -> bool:
    """(phi(v) - phi(v*)) / (v - v*) lies in [alpha, beta] for every v in `bounds` and every v* in `about`.

    Within `about` by slopes. Outwards from there, gap = +-(kappa (v - v*) - (phi(v) - phi(v*))) >= 0 is carried from
    segment to segment: it holds at the near end; it stays where gap does not decrease outwards; else it is bounded
    below, being convex or concave.
    """
    low, high = phi.slopes(*about)
    if not (alpha <= low and high <= beta):
        return False
    star, (left, right), (bottom, top) = phi.value_near(*about), about, bounds
    for kappa, upper in ((beta, 1), (alpha, -1)):
        for outwards in (True, False):
            parts = list(phi.parts(right, top) if outwards else phi.parts(bottom, left))
            for segment, a, b in parts if outwards else reversed(parts):
                if a == b:
                    continue
                slopes = segment.slopes(a, b)
                if upper * kappa >= max(upper * slopes[0], upper * slopes[1]):
                    continue
                sign = upper if outwards else -upper

                def gap(x: Fraction, sign: int = sign, kappa: Fraction = kappa, value: Scalar = segment.value) -> Range:
                    now = value(x)
                    linear = sorted((kappa * (x - left), kappa * (x - right)))
                    inside = linear[0] - now[1] + star[0], linear[1] - now[0] + star[1]
                    return _times(Fraction(sign), inside)

                def along(
                    x: Fraction, sign: int = sign, kappa: Fraction = kappa, slope: Scalar = segment.slope
                ) -> Range:
                    now = slope(x)
                    return _times(Fraction(sign), (kappa - now[1], kappa - now[0]))

                if segment.shape is None or sign * segment.shape < 0:
                    lowest = _minimum(gap, along, a, b, None if segment.shape is None else 1, ZERO)
                else:
                    lowest = gap(b if outwards else a)[0]
                if lowest < 0:
                    return False
    return True


# -------------------------------------------------------------------------------------------- ranges of pre-activations

GRID = 256  # forms live on multiples of 2**-GRID, every rounding counted in the radius


def _floor(x: Fraction) -> int:
    return (x.numerator << GRID) // x.denominator


def _ceil(x: Fraction) -> int:
    return -((-x.numerator << GRID) // x.denominator)


def _cut(x: int, by: int) -> tuple[int, int]:
    """floor(x 2**by), and the units by which this may be too small (0 or 1)."""
    y = _shift(x, by)
    return y, int(by < 0 and y << -by != x)


@dataclass(frozen=True)
class Form:
    """The set {center + ball z + box e + d : |z|_2 <= 1, |e|_inf <= 1, |d_i| <= radius_i}, in units of the grid."""

    center: list[int]
    ball: list[list[int]]
    box: list[list[int]]
    radius: list[int]

    @staticmethod
    def of(center: Sequence[Fraction], ball: Matrix, box: Sequence[Fraction]) -> Form:
        """The input set of a certificate."""
        n = len(center)
        middle = [_floor(x) for x in center]
        cut = [[_cut(x, ball.exponent + GRID) for x in row] for row in ball.rows]
        radius = [
            int(_ceil(x) != m) + sum(error for _, error in row) for x, m, row in zip(center, middle, cut, strict=True)
        ]
        half = [[_ceil(h) if i == j else 0 for j in range(n)] for i, h in enumerate(box)] if any(box) else [[]] * n
        return Form(middle, [[x for x, _ in row] for row in cut], half, radius)

    @staticmethod
    def around(ranges: Sequence[Range]) -> Form:
        """A box of enclosed values."""
        ends = [(_floor(low), _ceil(high)) for low, high in ranges]
        center = [(low + high) >> 1 for low, high in ends]
        none: list[list[int]] = [[]] * len(ends)
        return Form(center, none, none, [high - c for (_, high), c in zip(ends, center, strict=True)])

    def affine(self, weight: Matrix, bias: Sequence[Fraction]) -> Form:
        """The image under x -> weight x + bias."""
        by = weight.exponent
        ball_columns = list(zip(*self.ball, strict=True))
        box_columns = list(zip(*self.box, strict=True))
        center, ball, box, radius = [], [], [], []
        for row, offset in zip(weight.rows, bias, strict=True):
            _tick()
            middle, lost = _cut(sum(map(mul, row, self.center)), by)
            shift = _floor(offset)
            balls = [_cut(sum(map(mul, row, column)), by) for column in ball_columns]
            boxes = [_cut(sum(map(mul, row, column)), by) for column in box_columns]
            spread = -_shift(-sum(abs(w) * r for w, r in zip(row, self.radius, strict=True)), by)
            lost += int(_ceil(offset) != shift) + sum(e for _, e in balls) + sum(e for _, e in boxes)
            center.append(middle + shift)
            ball.append([x for x, _ in balls])
            box.append([x for x, _ in boxes])
            radius.append(spread + lost)
        return Form(center, ball, box, radius)

    def relax(self, relaxation: Sequence[tuple[Fraction, Fraction, Fraction]]) -> Form:
        """Row by row lam v + mu +- delta."""
        center, ball, box, radius = [], [], [], []
        for i, (lam, mu, delta) in enumerate(relaxation):
            p, by = lam.numerator, 1 - lam.denominator.bit_length()
            middle, lost = _cut(p * self.center[i], by)
            shift = _floor(mu)
            balls = [_cut(p * x, by) for x in self.ball[i]]
            boxes = [_cut(p * x, by) for x in self.box[i]]
            lost += int(_ceil(mu) != shift) + sum(e for _, e in balls) + sum(e for _, e in boxes)
            center.append(middle + shift)
            ball.append([x for x, _ in balls])
            box.append([x for x, _ in boxes])
            radius.append(-_shift(-abs(p) * self.radius[i], by) + _ceil(delta) + lost)
        return Form(center, ball, box, radius)

    def range(self, i: int) -> Range:
        """Enclosure of coordinate i."""
        square = sum(map(mul, self.ball[i], self.ball[i]))
        root = math.isqrt(square)
        reach = root + int(root * root != square) + sum(map(abs, self.box[i])) + self.radius[i]
        unit = 1 << GRID
        return Fraction(self.center[i] - reach, unit), Fraction(self.center[i] + reach, unit)


@dataclass(frozen=True)
class Network:
    """The chain W_0, phi_1, W_1, ..., phi_l, W_l of a certificate."""

    weights: list[Matrix]
    biases: list[list[Fraction]]
    activations: list[list[Activation]]
    sha256: str
    kinds: list[str]

    @property
    def n_in(self) -> int:
        return self.weights[0].cols

    @property
    def n_out(self) -> int:
        return len(self.weights[-1].rows)


@dataclass(frozen=True)
class LayerBounds:
    """What the file says of one elementwise layer."""

    ranges: list[Range] | None
    slopes: list[Range]
    relaxation: list[tuple[Fraction, Fraction, Fraction]] | None


def prove_bounds(network: Network, layers: Sequence[LayerBounds], form: Form | None, point: Form | None = None) -> None:
    """Prove every range, slope and relaxation from the set `form` (None: all of R^n).

    Without `point` the slopes are those of all secants; with the centre as `point`, of secants through the
    pre-activations there.
    """
    for k, (phis, layer) in enumerate(zip(network.activations, layers, strict=True)):
        where = f"layer {k + 1}"
        form = form.affine(network.weights[k], network.biases[k]) if form else None
        point = point.affine(network.weights[k], network.biases[k]) if point else None
        if layer.ranges is None and layer.relaxation is not None:
            _reject(f"{where}: a relaxation without a range")
        if layer.ranges is not None and form is None:
            _reject(f"{where}: a range is claimed, but the layer sees all of R^n")
        for i, phi in enumerate(phis):
            _tick()
            neuron = f"{where}, neuron {i + 1}"
            bounds = None if layer.ranges is None else layer.ranges[i]
            alpha, beta = layer.slopes[i]
            if bounds is not None and form is not None:
                low, high = form.range(i)
                if not (bounds[0] <= low and high <= bounds[1]):
                    _reject(f"{neuron}: the range does not hold on the region")
            if bounds is not None and point is not None:
                if not prove_sector(phi, bounds, point.range(i), alpha, beta):
                    _reject(f"{neuron}: the sector is not proved")
            elif not prove_slopes(phi, bounds, alpha, beta):
                _reject(f"{neuron}: the slope range is not proved")
            if (
                bounds is not None
                and layer.relaxation is not None
                and not prove_relaxation(phi, bounds, *layer.relaxation[i])
            ):
                _reject(f"{neuron}: the relaxation is not proved")
        form = _through(form, phis, layer)
        if point is not None:
            point = Form.around([phi.value_near(*point.range(i)) for i, phi in enumerate(phis)])


def _through(form: Form | None, phis: Sequence[Activation], layer: LayerBounds) -> Form | None:
    """The set behind an elementwise layer."""
    if form is not None and layer.relaxation is not None:
        return form.relax(layer.relaxation)
    if layer.ranges is not None:
        return Form.around([phi.value_on(*bounds) for phi, bounds in zip(phis, layer.ranges, strict=True)])
    images = [phi.image for phi in phis if phi.image is not None]
    return Form.around(images) if len(images) == len(phis) else None


def jacobian(network: Network, y: Sequence[Fraction]) -> tuple[Matrix, Matrix]:
    """Midpoint and radius of the Jacobian at y, both (n_out, n_in) in units of the grid; refuses kinks."""
    point = Form.of(y, Matrix([[] for _ in y], 0), [ZERO] * len(y))
    middle, radius = Matrix.eye(network.n_in).at(-GRID), [[0] * network.n_in for _ in range(network.n_in)]
    for k, weight in enumerate(network.weights):
        point = point.affine(weight, network.biases[k])
        middle, radius = _interval_product(weight, middle, radius)
        if k == len(network.activations):
            break
        values = []
        for i, phi in enumerate(network.activations[k]):
            low, high = point.range(i)
            if any(low <= kink <= high for kink in phi.kinks):
                _reject(f"layer {k + 1}, neuron {i + 1}: the policy has a kink at the equilibrium")
            slope = phi.slopes(low, high)
            bottom, top = _floor(slope[0]), _ceil(slope[1])
            half = (top - bottom + 1) >> 1
            center = bottom + half
            new = [(center * x) >> GRID for x in middle[i]]
            radius[i] = [
                ((abs(center) * r + half * (abs(x) + r)) >> GRID) + 2 for x, r in zip(middle[i], radius[i], strict=True)
            ]
            middle[i] = new
            values.append(phi.value_near(low, high))
        point = Form.around(values)
    return Matrix(middle, network.n_in, -GRID), Matrix(radius, network.n_in, -GRID)


def _interval_product(
    weight: Matrix, middle: list[list[int]], radius: list[list[int]]
) -> tuple[list[list[int]], list[list[int]]]:
    by = weight.exponent
    centers, radii = list(zip(*middle, strict=True)), list(zip(*radius, strict=True))
    new, spread = [], []
    for row in weight.rows:
        _tick()
        size = [abs(w) for w in row]
        new.append([_shift(sum(map(mul, row, column)), by) for column in centers])
        spread.append([-_shift(-sum(map(mul, size, column)), by) + 1 for column in radii])
    return new, spread


# --------------------------------------------------------------------------------------------------- reading the fields

_HEX = re.compile(r"-?0x([01])(?:\.([0-9a-f]{1,13}))?p([+-]?[0-9]{1,4})")


def _number(value: Any, where: str) -> float:
    """A finite double written in C99 hexadecimal; nothing is rounded in reading it."""
    match = _HEX.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        given = repr(value[:40]) if isinstance(value, str) else type(value).__name__
        _reject(f"{where}: {given} is not a finite double in hexadecimal, such as '0x1.8p+1'")
    lead, digits, exponent = match[1], match[2] or "", int(match[3])
    if not (-1022 <= exponent <= 1023 if lead == "1" else exponent == -1022 or not digits.strip("0")):
        _reject(f"{where}: {value!r} is not a double in its usual form")
    return float.fromhex(value)


def _list(value: Any, n: int | None, where: str) -> list[Any]:
    if not isinstance(value, list) or (n is not None and len(value) != n):
        _reject(f"{where}: expected a list" + ("" if n is None else f" of {n} entries"))
    return value


def _vector(value: Any, n: int | None, where: str) -> list[float]:
    return [_number(x, where) for x in _list(value, n, where)]


def _rows(value: Any, rows: int | None, cols: int | None, where: str) -> list[list[float]]:
    table = [_vector(row, cols, where) for row in _list(value, rows, where)]
    if not table or any(len(row) != len(table[0]) for row in table):
        _reject(f"{where}: expected a matrix with rows of one length")
    return table


def _matrix(value: Any, rows: int | None, cols: int | None, where: str) -> Matrix:
    table = _rows(value, rows, cols, where)
    return Matrix.of(table, len(table[0]))


def _symmetric(value: Any, n: int, where: str) -> Matrix:
    matrix = _matrix(value, n, n, where)
    if matrix.rows != matrix.T.rows:
        _reject(f"{where} is not symmetric")
    return matrix


def _positive(value: Any, where: str) -> float:
    number = _number(value, where)
    if not number > 0:
        _reject(f"{where} must be positive")
    return number


def _weights(value: Any, n: int, where: str) -> list[Fraction]:
    """Positive weights; null means ones."""
    if value is None:
        return [ONE] * n
    return [Fraction(_positive(x, where)) for x in _list(value, n, where)]


def _object(value: Any, required: Sequence[str], optional: Sequence[str], where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        _reject(f"{where}: expected an object")
    missing = [key for key in required if key not in value]
    unknown = [key for key in value if key not in required and key not in optional]
    if missing or unknown:
        _reject(f"{where}: missing {missing}, unknown {[key[:40] for key in unknown[:8]]}")
    return value


def _fractions(values: Iterable[float]) -> list[Fraction]:
    return [Fraction(x) for x in values]


def _packed(values: Iterable[float]) -> bytes:
    every = list(values)
    return struct.pack(f">{len(every)}d", *every)


def read_network(value: Any) -> Network:
    """The canonical chain, with identities between neighbours of one type and at the ends."""
    layers = _list(_object(value, ("layers",), (), "network")["layers"], None, "network.layers")
    if not layers:
        _reject("network: no layers")
    digest = hashlib.sha256()
    weights: list[Matrix] = []
    biases: list[list[Fraction]] = []
    activations: list[list[Activation]] = []
    kinds: list[str] = []
    width: int | None = None

    def identity_map(n: int) -> None:
        weights.append(Matrix.eye(n))
        biases.append([ZERO] * n)

    for position, layer in enumerate(layers):
        where = f"network.layers[{position}]"
        kind = layer.get("type") if isinstance(layer, dict) else None
        if kind == "affine":
            _object(layer, ("type", "W", "b"), (), where)
            rows = _rows(layer["W"], None, width, f"{where}.W")
            bias = _vector(layer["b"], len(rows), f"{where}.b")
            if not rows[0] or max(len(rows), len(rows[0])) > MAX_WIDTH:
                _reject(f"{where}: a width outside 1..{MAX_WIDTH}")
            digest.update(f"affine {len(rows)} {len(rows[0])}\n".encode())
            digest.update(_packed(x for row in rows for x in row) + _packed(bias))
            if len(weights) > len(activations):
                activations.append([activation("identity")] * len(rows[0]))
                kinds.append("identity")
            weights.append(Matrix.of(rows, len(rows[0])))
            biases.append(_fractions(bias))
            width = len(rows)
        elif kind in KINDS:
            n, columns = _read_parameters(layer, str(kind), width, where)
            digest.update(f"{kind} {n}\n".encode())
            for name in sorted(columns):
                digest.update(f"{name}\n".encode() + _packed(columns[name]))
            if len(weights) == len(activations):
                identity_map(n)
            order = [columns[name] for name in PARAMETERS.get(str(kind), ())]
            activations.append([activation(str(kind), tuple(column[i] for column in order)) for i in range(n)])
            kinds.append(str(kind))
            width = n
        else:
            _reject(f"{where}: type is neither affine nor one of {', '.join(KINDS)}")
    if len(weights) == len(activations):
        identity_map(len(activations[-1]))
    return Network(weights, biases, activations, digest.hexdigest(), kinds)


def _read_parameters(
    layer: dict[str, Any], kind: str, width: int | None, where: str
) -> tuple[int, dict[str, list[float]]]:
    names = PARAMETERS.get(kind, ())
    _object(layer, ("type", "n", *names), (), where)
    n = layer["n"]
    if type(n) is not int or not 1 <= n <= MAX_WIDTH or (width is not None and n != width):
        _reject(f"{where}.n: expected {width or 'a count'}, at most {MAX_WIDTH}")
    columns = {}
    for name in names:
        column = []
        for x in _list(layer[name], n, f"{where}.{name}"):
            infinite = kind == "hardtanh" and x == {"low": "-inf", "high": "inf"}[name]
            column.append(float(x) if infinite else _number(x, f"{where}.{name}"))
        columns[name] = column
    return n, columns


@dataclass(frozen=True)
class Plant:
    """A, B, C, D, the time step (0: continuous) and the operating point."""

    A: Matrix
    B: Matrix
    C: Matrix
    D: Matrix
    dt: float
    x0: list[float]
    y0: list[float]
    sha256: str

    @property
    def n_states(self) -> int:
        return self.A.cols

    @property
    def n_in(self) -> int:
        return self.B.cols

    @property
    def n_out(self) -> int:
        return len(self.C.rows)


def read_plant(value: Any) -> Plant:
    fields = _object(value, ("A", "B", "C", "D", "dt", "x0", "y0", "u0"), (), "plant")
    A = _rows(fields["A"], None, None, "plant.A")
    n = len(A)
    B = _rows(fields["B"], n, None, "plant.B")
    C = _rows(fields["C"], None, n, "plant.C")
    m, p = len(B[0]), len(C)
    D = _rows(fields["D"], p, m, "plant.D")
    if len(A[0]) != n or m < 1:
        _reject("plant: A must be square and B have a column")
    dt = _number(fields["dt"], "plant.dt")
    if dt < 0:
        _reject("plant.dt is negative")
    x0, y0 = _vector(fields["x0"], n, "plant.x0"), _vector(fields["y0"], p, "plant.y0")
    u0 = _vector(fields["u0"], m, "plant.u0")
    packed = b"".join(_packed(x for row in M for x in row) for M in (A, B, C, D))
    packed = f"plant {n} {m} {p}\n".encode() + packed + _packed([dt, *x0, *y0, *u0])
    digest = hashlib.sha256(packed).hexdigest()
    return Plant(Matrix.of(A, n), Matrix.of(B, m), Matrix.of(C, n), Matrix.of(D, m), dt, x0, y0, digest)


@dataclass(frozen=True)
class InputSet:
    """{center + ball z + diag(box) e : |z|_2 <= 1, |e|_inf <= 1}."""

    center: list[float]
    ball: list[list[float]]
    box: list[float]

    def form(self) -> Form:
        ball = Matrix.of(self.ball, len(self.ball[0]))
        return Form.of(_fractions(self.center), ball, _fractions(self.box))

    def words(self) -> str:
        text = f"observations y with |y_i - center_i| <= box_i, center = {self.center}, box = {self.box}"
        if self.ball[0]:
            text = f"observations center + G z + diag(box) e, |z|_2 <= 1, |e|_inf <= 1, center = {self.center}, "
            text += f"G = {self.ball}, box = {self.box}"
        return text if len(self.center) <= 12 else f"{len(self.center)}-dimensional input set of the file"


def read_input_set(value: Any, n: int) -> InputSet | None:
    if value is None:
        return None
    fields = _object(value, ("center", "ball_generators", "box"), (), "input_set")
    box = _vector(fields["box"], n, "input_set.box")
    if any(h < 0 for h in box):
        _reject("input_set.box has a negative entry")
    ball = _rows(fields["ball_generators"], n, None, "input_set.ball_generators")
    return InputSet(_vector(fields["center"], n, "input_set.center"), ball, box)


def read_bounds(value: Any, network: Network) -> list[LayerBounds]:
    layers = []
    for k, entry in enumerate(_list(value, len(network.activations), "bounds")):
        where, n = f"bounds[{k}]", len(network.activations[k])
        fields = _object(entry, ("range", "slope", "relaxation"), (), where)
        tables = {}
        for name, width in (("range", 2), ("slope", 2), ("relaxation", 3)):
            if fields[name] is None and name != "slope":
                continue
            tables[name] = [_fractions(row) for row in _rows(fields[name], n, width, f"{where}.{name}")]
        for name in ("range", "slope"):
            if any(low > high for low, high in tables.get(name, ())):
                _reject(f"{where}.{name}: a lower end above the upper one")
        ranges = [(a, b) for a, b in tables["range"]] if "range" in tables else None
        relaxation = [(a, b, c) for a, b, c in tables["relaxation"]] if "relaxation" in tables else None
        layers.append(LayerBounds(ranges, [(a, b) for a, b in tables["slope"]], relaxation))
    return layers


def read_multipliers(value: Any, network: Network) -> list[list[Fraction]]:
    table = []
    for k, entry in enumerate(_list(value, len(network.activations), "multipliers")):
        row = _fractions(_vector(entry, len(network.activations[k]), f"multipliers[{k}]"))
        if any(t < 0 for t in row):
            _reject(f"multipliers[{k}]: a negative multiplier")
        table.append(row)
    return table


# ------------------------------------------------------------------------------------------------------------- theorems


@dataclass(frozen=True)
class Layer:
    """The neurons of layer `block` whose slopes alpha < beta: inputs v over earlier blocks, multipliers t."""

    block: int
    inputs: dict[int, Matrix]
    t: list[Fraction]
    slopes: list[Range]

    def times(self, weight: Callable[[Fraction, Fraction, Fraction], Fraction]) -> Matrix:
        """The row of weight(t, alpha, beta)."""
        return Matrix.exact([weight(t, *slope) for t, slope in zip(self.t, self.slopes, strict=True)])

    def add_square(self, inequality: Symmetric, weights: Matrix) -> None:
        """Add v' diag(weights) v."""
        if not weights.is_zero():
            inequality.add_gram(self.inputs, {j: v.scale_rows(weights) for j, v in self.inputs.items()})

    def add(self, inequality: Symmetric) -> None:
        """Add sum_i t_i (a_i b_i' + b_i a_i') with a = e - alpha v, b = e - beta v:

        a b' + b a' = 2 e e' - (alpha + beta)(e v' + v e') + 2 alpha beta v v'.
        """
        inequality.add(self.block, self.block, Matrix.diagonal([2 * t for t in self.t]))
        sums = self.times(lambda t, alpha, beta: t * (alpha + beta))
        for j, v in self.inputs.items():
            inequality.add(self.block, j, -v.scale_rows(sums))
        self.add_square(inequality, self.times(lambda t, alpha, beta: 2 * t * alpha * beta))

    def eliminate(self, inequality: Symmetric, z: dict[int, Matrix]) -> None:
        """Add what this layer, the last one, and -z'z leave for the earlier blocks and the outputs y, put in its place.

        M > 0 if and only if t > 0 and K > 0 (FORMAT.md). 1 / t is rounded up, which only makes K smaller.
        """
        if not all(t > 0 for t in self.t):
            _reject(f"layer {self.block}: a multiplier is not positive")
        own, half = z[self.block].T, Fraction(1, 2)
        n = own.cols
        inequality.sizes[self.block] = n
        middle = own.scale_rows(self.times(lambda t, alpha, beta: half * (alpha + beta))).T
        for j, v in self.inputs.items():
            inequality.add(self.block, j, middle @ v)
        for j, part in z.items():
            if j != self.block:
                inequality.add(self.block, j, part)
        inverses = self.times(lambda t, alpha, beta: -half * _inverse_upper(t))
        inequality.add(self.block, self.block, Matrix.eye(n) + own.T @ own.scale_rows(inverses))
        self.add_square(inequality, self.times(lambda t, alpha, beta: -half * t * (beta - alpha) ** 2))


def _inverse_upper(t: Fraction) -> Fraction:
    """1 / t rounded up to a dyadic number, by less than 2**-78 of it."""
    bits = max(t.numerator.bit_length() - t.denominator.bit_length() + 80, 0)
    return Fraction(-(-(t.denominator << bits) // t.numerator), 1 << bits)


def reduce_network(
    network: Network, bounds: Sequence[LayerBounds], multipliers: Sequence[Sequence[Fraction]], base: Matrix
) -> tuple[list[Layer], dict[int, Matrix]]:
    """The layers with nonlinear neurons, and the output rows z, the network's input being `base` on block 0.

    Block k holds the neurons of layer k whose slopes alpha < beta; the others are exactly alpha times their input.
    """
    signals = {0: network.weights[0] @ base}
    layers = []
    for k, layer in enumerate(bounds, 1):
        curved = [i for i, (alpha, beta) in enumerate(layer.slopes) if alpha != beta]
        straight = [i for i, (alpha, beta) in enumerate(layer.slopes) if alpha == beta != 0]
        weight = network.weights[k]
        following = {}
        if curved:
            inputs = {j: rows.take_rows(curved) for j, rows in signals.items()}
            layers.append(Layer(k, inputs, [multipliers[k - 1][i] for i in curved], [layer.slopes[i] for i in curved]))
            following[k] = weight.take_columns(curved)
        if straight:
            slopes = Matrix.exact([layer.slopes[i][0] for i in straight])
            for j, rows in signals.items():
                following[j] = weight.take_columns(straight) @ rows.take_rows(straight).scale_rows(slopes)
        signals = following
    return layers, signals


def _sizes(first: int, bounds: Sequence[LayerBounds]) -> list[int]:
    return [first] + [sum(alpha != beta for alpha, beta in layer.slopes) for layer in bounds]


LIPSCHITZ = ("input_set", "bounds", "multipliers", "rho", "shift", "output_weight", "input_weight", "upper")
HINF = ("shift", "output_weight", "input_weight", "P", "gamma")


@dataclass(frozen=True)
class Scaling:
    """The shift K (n_u, n_y), or None for zero, and the diagonals D_u, D_y."""

    shift: Matrix | None
    output_weight: list[Fraction]
    input_weight: list[Fraction]

    def same(self, other: Scaling) -> bool:
        if (self.shift is None) != (other.shift is None):
            return (self.shift or other.shift or Matrix([], 0)).is_zero() and self._weights(other)
        equal = self.shift is None or other.shift is None or (self.shift - other.shift).is_zero()
        return equal and self._weights(other)

    def _weights(self, other: Scaling) -> bool:
        return self.output_weight == other.output_weight and self.input_weight == other.input_weight


def read_scaling(fields: dict[str, Any], n_u: int, n_y: int) -> Scaling:
    shift = None if fields["shift"] is None else _matrix(fields["shift"], n_u, n_y, "shift")
    return Scaling(
        shift,
        _weights(fields["output_weight"], n_u, "output_weight"),
        _weights(fields["input_weight"], n_y, "input_weight"),
    )


def prove_lipschitz(fields: dict[str, Any], network: Network) -> tuple[float, Scaling, InputSet | None]:
    """Theorem "lipschitz": returns the proved bound and what it is about."""
    scaling = read_scaling(fields, network.n_out, network.n_in)
    region = read_input_set(fields["input_set"], network.n_in)
    bounds = read_bounds(fields["bounds"], network)
    multipliers = read_multipliers(fields["multipliers"], network)
    rho, upper = Fraction(_positive(fields["rho"], "rho")), _positive(fields["upper"], "upper")
    if Fraction(upper) ** 2 < rho:
        _reject("upper is below the square root of rho")
    inequality = Symmetric(_sizes(network.n_in, bounds))
    _check_chain(inequality.sizes, network.n_out)
    prove_bounds(network, bounds, region.form() if region else None)
    layers, rows = reduce_network(network, bounds, multipliers, Matrix.eye(network.n_in))
    if scaling.shift is not None:
        rows[0] = rows[0] - scaling.shift if 0 in rows else -scaling.shift
    output_weight = Matrix.exact(scaling.output_weight)
    z = {j: block.scale_rows(output_weight) for j, block in rows.items()}
    inequality.add(0, 0, Matrix.diagonal([rho * w * w for w in scaling.input_weight]))
    for layer in layers[:-1]:
        layer.add(inequality)
    if layers and layers[-1].block in z and network.n_out < len(layers[-1].t):
        layers[-1].eliminate(inequality, z)
    else:
        for layer in layers[-1:]:
            layer.add(inequality)
        inequality.add_gram(z, {j: -block for j, block in z.items()})
    inequality.prove_positive("the Lipschitz inequality")
    return upper, scaling, region


def _check_chain(sizes: Sequence[int], n_out: int | None = None) -> None:
    """Refuse a chain of layers that would take too long; with `n_out` the last of them may be eliminated."""
    chain = [size for size in sizes if size]
    before = [0, *chain]
    work = 0
    if n_out is not None and len(chain) > 1 and n_out < chain[-1]:
        work = chain[-1] * (chain[-2] + n_out) ** 2
        chain[-1] = n_out
    work += sum(n * (n + m) ** 2 for m, n in zip(before, chain, strict=False))
    _limit("the matrix inequality", sum(sizes), work)


def prove_positive(matrix: Matrix, what: str) -> None:
    inequality = Symmetric([matrix.cols])
    inequality.add(0, 0, matrix)
    inequality.prove_positive(what)


def prove_hinf(fields: dict[str, Any], plant: Plant) -> tuple[float, Scaling, Matrix]:
    """Theorem "hinf_norm": returns gamma, the shift and scaling, and P."""
    scaling = read_scaling(fields, plant.n_in, plant.n_out)
    P = _symmetric(fields["P"], plant.n_states, "P")
    gamma = _positive(fields["gamma"], "gamma")
    A, B, C, D = plant.A, plant.B, plant.C, plant.D
    if scaling.shift is not None:
        _no_feedthrough(plant)
        A = A + B @ scaling.shift @ C
    weight = Matrix.exact([w * w for w in scaling.input_weight])
    outputs, through = C.scale_rows(weight), D.scale_rows(weight)
    inequality = Symmetric([plant.n_states, plant.n_in])
    inequality.add(1, 1, Matrix.diagonal([Fraction(gamma) ** 2 * w * w for w in scaling.output_weight]))
    inequality.add(1, 1, -(D.T @ through))
    inequality.add(0, 0, -(C.T @ outputs))
    inequality.add(1, 0, -(D.T @ outputs))
    if plant.dt:
        inequality.add(0, 0, P - A.T @ P @ A)
        inequality.add(1, 0, -(B.T @ P @ A))
        inequality.add(1, 1, -(B.T @ P @ B))
    else:
        inequality.add(0, 0, -(A.T @ P + P @ A))
        inequality.add(1, 0, -(B.T @ P))
    prove_positive(P, "P")
    inequality.prove_positive("the bounded-real inequality")
    return gamma, scaling, P


def _no_feedthrough(plant: Plant) -> None:
    if not plant.D.is_zero():
        _reject("D must be zero here")


def _check_sizes(plant: Plant, network: Network) -> None:
    if (network.n_in, network.n_out) != (plant.n_out, plant.n_in):
        _reject(
            f"the network maps {network.n_in} to {network.n_out} entries, "
            f"the plant has {plant.n_out} outputs and {plant.n_in} inputs"
        )


def prove_small_gain(fields: dict[str, Any], network: Network, plant: Plant) -> tuple[float | None, Matrix, str]:
    """Theorem "small_gain": returns the level (None: global), P, and the two factors in words."""
    _check_sizes(plant, network)
    _no_feedthrough(plant)
    lipschitz = _object(fields["lipschitz"], LIPSCHITZ, (), "lipschitz")
    hinf = _object(fields["hinf"], HINF, (), "hinf")
    gamma, of_plant, P = prove_hinf(hinf, plant)
    level = None if fields["level"] is None else _positive(fields["level"], "level")
    region = read_input_set(lipschitz["input_set"], network.n_in)
    if (region is None) != (level is None):
        _reject("level and lipschitz.input_set must both be null (global) or both be given")
    if region is not None and level is not None:
        if region.center != plant.y0 or region.ball[0]:
            _reject("the input set must be a box about y0")
        for i, half in enumerate(region.box):
            row = plant.C.take_rows([i])
            if not row.is_zero():
                square = Matrix.exact([Fraction(level)] * plant.n_states)
                face = _scaled(P, Fraction(half) ** 2) - (row.T @ row).scale_rows(square)
                prove_positive(face, f"the inclusion of the region between the faces of observation {i + 1}")
    upper, of_network, _ = prove_lipschitz(lipschitz, network)
    if not of_network.same(of_plant):
        _reject("the two parts have different shifts or weights")
    if Fraction(gamma) * Fraction(upper) > 1:
        _reject("the product of the two gains is above 1")
    return level, P, f"gain of the plant {gamma!r} times that of the policy {upper!r} is at most 1"


def _scaled(matrix: Matrix, factor: Fraction) -> Matrix:
    return matrix.scale_rows(Matrix.exact([factor] * len(matrix.rows)))


def float32_errors(
    network: Network, bounds: Sequence[LayerBounds], form: Form, tails: Sequence[Any] | None = None
) -> list[Fraction]:
    """How far the float32 evaluation of FORMAT.md can be from pi on the set `form`, for each action.

    Errors are carried on by |W| and slopes; with `tails` those made by layer k, put together at its output, by proved
    Lipschitz constants of the layers that follow it, on a box of all that these can see (FORMAT.md).
    """
    u, tiny, one = Fraction(1, 2**24), Fraction(1, 2**126), Fraction(1)
    sizes = [max(map(abs, form.range(i))) for i in range(network.n_in)]
    errors = [u * (1 + Fraction(1, 256)) * s + Fraction(1, 2**48) * (1 + s) + tiny for s in sizes]
    made, through = list(errors), ZERO
    if tails is not None:
        _list(tails, len(bounds), "tails")
    for k, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        scale, after, own = Fraction(2) ** weight.exponent, [], []
        for row, b in zip(weight.rows, bias, strict=True):
            _tick()
            used = [(abs(w) * scale, sizes[j] + errors[j], j) for j, w in enumerate(row) if w]
            heard = sum((w * (max(s, one) if len(used) == 1 else s) for w, s, _ in used), abs(b))
            if not all(s < 2**126 for s in (*sizes, heard, *(w for w, _, _ in used))):
                _reject("the float32 evaluation may overflow")
            rounded = ZERO
            if not (len(used) == 1 and sum(row) * scale == 1 and b == 0):
                roundings = (len(used) + 3) * u
                gamma = roundings / (1 - roundings) if len(used) > 1 else 9 * u
                lost = sum((w * s for w, s, _ in used if w < tiny), ZERO)  # a subnormal weight, whole
                rounded = gamma * heard + (2 * len(used) + 9) * tiny + lost
            after.append(sum((w * errors[j] for w, _, j in used), rounded))
            own.append(sum((w * made[j] for w, _, j in used), rounded))
        errors, made = (
            [Fraction(-(-(e.numerator << 200) // e.denominator), 1 << 200) for e in x] for x in (after, own)
        )
        if k == len(bounds):
            sizes = [
                sum((abs(w) * scale * s for w, s in zip(r, sizes, strict=True)), abs(b))
                for r, b in zip(weight.rows, bias, strict=True)
            ]
            break
        kind, phis, ranges = network.kinds[k], network.activations[k], bounds[k].ranges
        if kind not in FLOAT32_KINDS or ranges is None:
            _reject(f"layer {k + 1}: nothing is stated about its float32 evaluation")
        if tails is not None:
            boxes = [(low - e, high + e) for (low, high), e in zip(ranges, errors, strict=True)]
            through += _tail(network, k, boxes, tails[k]) * _sqrt((sum((e * e for e in made), ZERO),) * 2)[1]
        reach = [max(map(abs, ends)) + e for ends, e in zip(ranges, errors, strict=True)]
        steep: list[Fraction] = [max(abs(a), abs(b)) for a, b in (phi.slopes_everywhere() for phi in phis)]
        made = [_float32_rounding(kind, phi, r) for phi, r in zip(phis, reach, strict=True)]
        errors = [s * e + r for s, e, r in zip(steep, errors, made, strict=True)]
        sizes = [max(map(abs, phi.value_on(*ends))) for phi, ends in zip(phis, ranges, strict=True)]
    if tails is not None:
        errors = [min(e, through + m) for e, m in zip(errors, made, strict=True)]
    return [e + 2 * u * (s + e) for e, s in zip(errors, sizes, strict=True)]


def _tail(network: Network, k: int, boxes: Sequence[Range], fields: Any) -> Fraction:
    """A Lipschitz constant, on a box that contains `boxes`, of what follows the inputs of layer k + 1."""
    n = len(boxes)
    rest = Network(
        [Matrix.eye(n), *network.weights[k + 1 :]], [[ZERO] * n, *network.biases[k + 1 :]],
        network.activations[k:], "", network.kinds[k:],
    )  # fmt: skip
    upper, scaling, region = prove_lipschitz(_object(fields, LIPSCHITZ, (), f"tails[{k}]"), rest)
    plain = scaling.shift is None and all(w == 1 for w in (*scaling.output_weight, *scaling.input_weight))
    if region is None or not plain:
        _reject(f"tails[{k}]: expected the plain bound on a box")
    for (low, high), c, h in zip(boxes, region.center, region.box, strict=True):
        if not (Fraction(c) - Fraction(h) <= low and high <= Fraction(c) + Fraction(h)):
            _reject(f"tails[{k}]: the box does not hold what the layer can see")
    return Fraction(upper)


FLOAT32_KINDS = ("identity", "relu", "leaky_relu", "tanh", "sigmoid", "hardtanh")


def _float32_rounding(kind: str, phi: Activation, size: Fraction) -> Fraction:
    if kind in ("tanh", "sigmoid"):
        return Fraction(1, 2**22)
    if kind == "leaky_relu":
        slope, tiny = abs(phi.tails[0]), Fraction(1, 2**126)
        if slope >= 2**126:
            _reject("the float32 evaluation may overflow")
        return (3 * Fraction(1, 2**24) if slope >= tiny else ONE) * slope * size + tiny
    if kind == "hardtanh":
        return max((_moved(limit) for limit in phi.kinks), default=ZERO)
    return ZERO


def _moved(limit: Fraction) -> Fraction:
    """By how much float32 moves a limit: one below 2^-126 may be flushed, one beyond 2^126 is not reached."""
    if abs(limit) >= 2**126:
        return ZERO
    single = Fraction(struct.unpack("f", struct.pack("f", float(limit)))[0])
    return abs(limit - single) if abs(limit) >= Fraction(1, 2**126) else abs(limit)


@dataclass(frozen=True)
class Disturbance:
    """Errors of the actions: the stated ones, those of float32 if any, and the level radius^2 at which all end."""

    stated: float
    rounding: list[Fraction] | None
    radius: float


def prove_disturbed(
    value: Any, level: float | None, P: Matrix, plant: Plant, errors: Callable[[Any], list[Fraction]]
) -> tuple[Disturbance, Fraction]:
    """The final level and the decay eta: with |d_i| <= d, |B d|_P < eta radius / 2 and radius^2 <= level.

    sqrt(V+) <= sqrt(1 - eta) sqrt(V) + |B d|_P, sampled, and sqrt(1 - eta) <= 1 - eta / 2; in continuous time
    d/dt sqrt(V) <= -eta / 2 sqrt(V) + |B d|_P.
    """
    fields = _object(value, ("action_error", "arithmetic", "decay", "radius"), ("tails",), "disturbed")
    stated = _number(fields["action_error"], "disturbed.action_error")
    decay, radius = _positive(fields["decay"], "decay"), _positive(fields["radius"], "radius")
    if fields["arithmetic"] not in ("real", "float32") or stated < 0 or (plant.dt and decay >= 1):
        _reject("disturbed: a strange arithmetic, error or decay")
    if "tails" in fields and fields["arithmetic"] != "float32":
        _reject("disturbed: tails without float32")
    if level is None:
        _reject("disturbed: a global claim has no level to stay in")
    tails = fields.get("tails")
    rounding = errors(tails) if fields["arithmetic"] == "float32" else None
    each = [Fraction(stated) + e for e in rounding or [ZERO] * plant.n_in]
    gram = plant.B.T @ P @ plant.B
    scale = Fraction(2) ** gram.exponent
    push = sum(
        abs(g) * scale * a * b for row, a in zip(gram.rows, each, strict=True) for g, b in zip(row, each, strict=True)
    )
    eta, r = Fraction(decay), Fraction(radius)
    if not (push < (eta * r / 2) ** 2 and r * r <= Fraction(level)):
        _reject("disturbed: the final level is not proved")
    return Disturbance(stated, rounding, radius), eta


def prove_lyapunov(
    fields: dict[str, Any], network: Network, plant: Plant, disturbed: Any = None
) -> tuple[float | None, Matrix, Disturbance | None]:
    """Theorem "lyapunov": returns the level (None: global), P, and how errors of the actions end."""
    _check_sizes(plant, network)
    _no_feedthrough(plant)
    n = plant.n_states
    P = _symmetric(fields["P"], n, "P")
    bounds = read_bounds(fields["bounds"], network)
    multipliers = read_multipliers(fields["multipliers"], network)
    level = None if fields["level"] is None else _positive(fields["level"], "level")
    inequality = Symmetric(_sizes(n, bounds))
    _check_chain(inequality.sizes)
    prove_positive(P, "P")
    center = _fractions(plant.y0)
    point = Form.of(center, Matrix([[] for _ in center], 0), [ZERO] * len(center))
    form = None
    if (level is None) != (fields["generators"] is None):
        _reject("level and generators must both be null (global) or both be given")
    if level is not None:
        G = _matrix(fields["generators"], n, n, "generators")
        prove_positive(G.T @ P @ G - Matrix.diagonal([Fraction(level)] * n), "the inclusion of the region")
        form = Form.of(center, plant.C @ G, [ZERO] * len(center))
    prove_bounds(network, bounds, form, point)
    layers, rows = reduce_network(network, bounds, multipliers, plant.C)
    for layer in layers:
        layer.add(inequality)
    following = {j: plant.B @ block for j, block in rows.items()}
    following[0] = following[0] + plant.A if 0 in following else plant.A
    found = None
    if disturbed is not None:
        found, eta = prove_disturbed(
            disturbed, level, P, plant, lambda tails: float32_errors(network, bounds, _known(form), tails)
        )
        inequality.add(0, 0, _scaled(P, -eta))
    if plant.dt:
        inequality.add(0, 0, P)
        _minus_gram_weighted(inequality, following, P)
    else:
        for j, block in following.items():
            product = -(P @ block)
            inequality.add(0, j, product + product.T if j == 0 else product)
    inequality.prove_positive("the Lyapunov inequality")
    return level, P, found


def _known(form: Form | None) -> Form:
    return form if form is not None else _reject("the set of observations is not bounded")


def _minus_gram_weighted(inequality: Symmetric, rows: dict[int, Matrix], P: Matrix) -> None:
    inequality.add_gram(rows, {j: -(P @ block) for j, block in rows.items()})


def prove_instability(fields: dict[str, Any], network: Network, plant: Plant) -> None:
    """Theorem "instability"."""
    _check_sizes(plant, network)
    _no_feedthrough(plant)
    n = plant.n_states
    P = _symmetric(fields["P"], n, "P")
    x = Matrix.of([_vector(fields["direction"], n, "direction")], n)
    if not (x @ P @ x.T).rows[0][0] < 0:
        _reject("direction' P direction is not negative")
    gain, spread = jacobian(network, _fractions(plant.y0))
    M = plant.A + plant.B @ gain @ plant.C
    R = abs(plant.B) @ spread @ abs(plant.C)
    size = abs(P)
    if plant.dt:
        matrix = P - M.T @ P @ M
        radius = abs(M).T @ size @ R + R.T @ size @ abs(M) + R.T @ size @ R
    else:
        matrix = -(M.T @ P + P @ M)
        radius = R.T @ size + size @ R
    low = min(matrix.exponent, radius.exponent)
    lower = [row[: i + 1] for i, row in enumerate(matrix.at(low))]
    if not positive_definite(lower, low, radius.at(low)):
        _reject("the instability inequality is not proved positive definite")


# --------------------------------------------------------------------------------------------------------------- claims


@dataclass(frozen=True)
class Result:
    """What became of a file.

    Attributes
    ----------
    accepted : bool
        True only if the claim is proved.
    claim : str
        The claim that the checker derived, in words; empty if none.
    reason : str
        Why the file is not accepted; empty if it is.
    theorem : str or None
        The theorem that the file names.
    readable : bool
        False if the file is no certificate of this version at all.
    """

    accepted: bool
    claim: str
    reason: str
    theorem: str | None = None
    readable: bool = True


THEOREMS = {
    "lipschitz": LIPSCHITZ,
    "hinf_norm": HINF,
    "small_gain": ("lipschitz", "hinf", "level"),
    "lyapunov": ("P", "level", "generators", "bounds", "multipliers"),
    "instability": ("P", "direction"),
}
WORDS = ("claim", "assumptions", "information")
DIGESTS = ("network_sha256", "plant_sha256", "policy_sha256")


def _disturbed_words(found: Disturbance) -> list[str]:
    allowed = f"With every action wrong by at most {found.stated!r} at each time"
    if found.rounding is not None:
        most = max(map(float, found.rounding))
        allowed += f", and by its float32 evaluation (FORMAT.md), at most {most * 1.01:.3g}"  # three digits, not below
    return [
        f"{allowed}: every trajectory of the linear loop that starts in the region stays in it, comes to "
        f"{{x : (x - x0)' P (x - x0) <= {found.radius!r}^2}} and stays there."
    ]


def _about_policy(network: Network, policy: str | None, arithmetic: str = "real") -> list[str]:
    trusted = f"That the policy file with sha256 {policy} holds this network is trusted, not checked."
    return [
        f"pi is the network with sha256 {network.sha256} (layers: {', '.join(network.kinds) or 'affine'}), "
        f"the deterministic action, in {arithmetic} arithmetic.",
        trusted if policy else "No policy file is named; that any file holds this network is not checked.",
    ]


def _about_plant(plant: Plant) -> list[str]:
    step = f"sampled, dt = {plant.dt!r}" if plant.dt else "continuous time"
    lines = [
        f"The plant has sha256 {plant.sha256}: {plant.n_states} states, {plant.n_in} inputs, {plant.n_out} outputs, "
        f"{step}, x0 = {plant.x0}, y0 = {plant.y0}.",
        "Linear model only: nothing is said of what the linear plant leaves out.",
    ]
    if not plant.dt:
        lines.append("A continuous-time certificate, not the sampled policy.")
    return lines


def _loop_words(plant: Plant) -> str:
    ahead = "x+ = x0 +" if plant.dt else "dx/dt ="
    return f"{ahead} A (x - x0) + B (pi(y0 + C (x - x0)) - pi(y0))"


def _norms(scaling: Scaling) -> tuple[str, str]:
    """The names of the weighted norms on actions and on observations."""
    action = "" if all(w == 1 for w in scaling.output_weight) else "D_u "
    observation = "" if all(w == 1 for w in scaling.input_weight) else "D_y "
    return action, observation


def _scaling_words(scaling: Scaling) -> list[str]:
    lines = []
    if scaling.shift is not None:
        lines.append(f"K = {_floats(scaling.shift)}.")
    for name, weights in (("D_u", scaling.output_weight), ("D_y", scaling.input_weight)):
        if any(w != 1 for w in weights):
            lines.append(f"{name} = diag({[float(w) for w in weights]}).")
    return lines


def _floats(matrix: Matrix) -> list[list[float]]:
    scale = Fraction(2) ** matrix.exponent
    return [[float(x * scale) for x in row] for row in matrix.rows]


def _region_words(level: float | None, P: Matrix, n: int) -> list[str]:
    if level is None:
        return ["Global: from every initial state."]
    lines = [f"The region is {{x : (x - x0)' P (x - x0) <= {level!r}}}, invariant under the loop."]
    if n <= 6:
        lines.append(f"P = {_floats(P)}.")
    volume = _volume(level, P, n)
    if volume:
        lines.append(f"Its volume is about {volume:.6g} (information, computed in floating point).")
    return lines


def _volume(level: float, P: Matrix, n: int) -> float | None:
    """Volume of {e : e' P e <= level}, for information."""
    try:
        scale = Fraction(2) ** P.exponent
        rows = [[x * scale / Fraction(level) for x in row] for row in P.rows]
        log_determinant = 0.0
        if n > 40:
            return None
        for i in range(n):
            log_determinant += math.log(rows[i][i])
            for k in range(i + 1, n):
                factor = rows[k][i] / rows[i][i]
                rows[k] = [Fraction(float(a - factor * b)) for a, b in zip(rows[k], rows[i], strict=True)]
        return math.exp(n / 2 * math.log(math.pi) - math.lgamma(n / 2 + 1) - log_determinant / 2)
    except (ArithmeticError, ValueError):
        return None


def _derive(certificate: dict[str, Any], theorem: str) -> str:
    """Prove the certificate and say what it proves."""
    own = THEOREMS[theorem]
    needs_network, needs_plant = theorem != "hinf_norm", theorem != "lipschitz"
    required = ["format", "version", "theorem", *own]
    required += ["network"] * needs_network + ["plant"] * needs_plant
    optional = [*WORDS, *DIGESTS] + ["network"] * (not needs_network) + ["plant"] * (not needs_plant)
    optional += ["disturbed"] * (theorem == "lyapunov")
    _object(certificate, required, optional, "certificate")
    network = read_network(certificate["network"]) if certificate.get("network") is not None else None
    plant = read_plant(certificate["plant"]) if certificate.get("plant") is not None else None
    digests = {key: certificate.get(key) for key in DIGESTS}
    for key, digest in digests.items():
        if digest is not None and not (isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest)):
            _reject(f"{key} is not a sha256 in 64 lower-case hexadecimal digits")
    for key, thing in (("network_sha256", network), ("plant_sha256", plant)):
        if digests[key] is not None and (thing is None or thing.sha256 != digests[key]):
            _reject(f"{key} is not that of the {key.split('_')[0]} in the file")
    fields = {key: certificate[key] for key in own}
    policy = digests["policy_sha256"]
    if theorem == "lipschitz" and network is not None:
        return "\n".join(_lipschitz_words(*prove_lipschitz(fields, network)) + _about_policy(network, policy))
    if theorem == "hinf_norm" and plant is not None:
        gamma, scaling, _ = prove_hinf(fields, plant)
        return "\n".join(_hinf_words(gamma, scaling) + _about_plant(plant))
    if network is None or plant is None:
        _reject("network or plant is null")
    if theorem == "small_gain":
        level, P, product = prove_small_gain(fields, network, plant)
        words = [f"Small gain: the {product}."]
    elif theorem == "lyapunov":
        level, P, found = prove_lyapunov(fields, network, plant, certificate.get("disturbed"))
        words = ["Lyapunov with sectors:"]
        if found is not None:
            words += [*_disturbed_words(found), *_region_words(level, P, plant.n_states), *_about_plant(plant)]
            return "\n".join(words + _about_policy(network, policy, "real" if found.rounding is None else "float32"))
    else:
        prove_instability(fields, network, plant)
        words = [f"The equilibrium x0 of {_loop_words(plant)} is unstable."]
        return "\n".join(words + _about_plant(plant) + _about_policy(network, policy))
    start = "" if level is None else " that starts in the region"
    words.append(f"Every trajectory of {_loop_words(plant)}{start} converges exponentially to x0.")
    words += _region_words(level, P, plant.n_states)
    return "\n".join(words + _about_plant(plant) + _about_policy(network, policy))


def _lipschitz_words(upper: float, scaling: Scaling, region: InputSet | None) -> list[str]:
    action, observation = _norms(scaling)
    rest = "r(x) = pi(x) - K x" if scaling.shift is not None else "pi"
    name = "r" if scaling.shift is not None else "pi"
    where = "all observations x, y" if region is None else f"all x, y in the {region.words()}"
    left = f"|{action}({name}(x) - {name}(y))|" if action else f"|{name}(x) - {name}(y)|"
    line = f"Lipschitz bound: {left} <= {upper!r} |{f'{observation}(x - y)' if observation else 'x - y'}| for {where}"
    line += f", where {rest}" if name == "r" else ""
    return [line + "; Euclidean norms.", *_scaling_words(scaling)]


def _hinf_words(gamma: float, scaling: Scaling) -> list[str]:
    action, observation = _norms(scaling)
    system = f"{observation}G{' D_u^-1' if action else ''}"
    shifted = ", G being the plant with u = K C x + w closed" if scaling.shift is not None else ""
    line = f"H-infinity norm: ||{system}||_inf < {gamma!r} from input to output{shifted}; it is exponentially stable."
    return [line, *_scaling_words(scaling)]


# ---------------------------------------------------------------------------------------------------------------- files


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Unreadable("a key occurs twice in one object")
    return fields


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise Unreadable(f"the number {text[:40]} overflows")
    return value


def _no_constant(text: str) -> NoReturn:
    raise Unreadable(f"{text} is not allowed")


def read(path: str | Path) -> dict[str, Any]:
    """The JSON object of a certificate, plain or gzip.

    Raises
    ------
    Unreadable
        If it is missing, too large, too deep, not JSON, has duplicate keys, or is not of this format and version.
    """
    try:
        with open(path, "rb") as stream:
            zipped = stream.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if zipped else open(path, "rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise Unreadable(f"cannot read the file: {error}") from None
    if len(data) > MAX_BYTES:
        raise Unreadable(f"the file is larger than {MAX_BYTES} bytes")
    try:
        value = json.loads(
            data.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_float=_finite, parse_constant=_no_constant
        )
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"not JSON: {str(error)[:200]}") from None
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for thing in level
            if isinstance(thing, dict | list)
            for child in (thing.values() if isinstance(thing, dict) else thing)
        ]
    if level:
        raise Unreadable(f"nested deeper than {MAX_DEPTH} levels")
    if not isinstance(value, dict) or value.get("format") != "lipctrl-certificate":
        raise Unreadable("not a lipctrl certificate")
    if type(value.get("version")) is not int or value["version"] != VERSION:
        raise Unreadable(f"this checker reads version {VERSION} alone")
    return value


def check(path: str | Path, seconds: float = MAX_SECONDS) -> Result:
    """Check a certificate file.

    Parameters
    ----------
    path : str or Path
        A JSON file, or the same compressed by gzip.
    seconds : float
        Time limit; a certificate that is not proved within it is rejected.
    """
    try:
        certificate = read(path)
    except Unreadable as error:
        return Result(False, "", str(error), None, False)
    except Exception as error:
        return Result(False, "", f"cannot read the file: {type(error).__name__}", None, False)
    theorem = certificate.get("theorem")
    if not isinstance(theorem, str) or theorem not in THEOREMS:
        return Result(False, "", f"the theorem is not one of {', '.join(THEOREMS)}")
    token = _deadline.set(time.monotonic() + seconds)
    try:
        return Result(True, _derive(certificate, theorem), "", theorem)
    except Rejected as error:
        return Result(False, "", str(error), theorem)
    except Exception as error:
        return Result(False, "", f"the check failed: {type(error).__name__}", theorem)
    finally:
        _deadline.reset(token)


def main(arguments: Sequence[str]) -> int:
    """Command line: one file; 0 accepted, 1 rejected, 2 unreadable."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print("usage: python -I -S check.py FILE", file=sys.stderr)
        return 2
    result = check(arguments[0])
    if result.accepted:
        print(f"ACCEPTED ({result.theorem})\n{result.claim}")
        return 0
    reason = result.reason.encode("ascii", "backslashreplace").decode()
    print(f"{'REJECTED' if result.readable else 'UNREADABLE'}: {reason}")
    return 1 if result.readable else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
