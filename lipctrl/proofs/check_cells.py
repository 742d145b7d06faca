"""The independent checker of regions of attraction proved by cells: one file, standard library and numpy.

    python -I check_cells.py FILE        exit code 0 accepted, 1 rejected, 2 unreadable

It believes nothing that the file says about itself and imports nothing of lipctrl. From the numbers in the file it
proves again: that the loop has exactly one equilibrium x* in the stated box; that it contracts in the core; that V of
each ellipsoid decreases outside the sets before it; that the image of every cell lies in cells of lower rank or in an
ellipsoid; and that the loop is unchanged by full turns of its angles. Then it prints the claim that follows. The
format is described in FORMAT-cells.md. Bottom up: affine forms, programs, networks, the loop, the steps of the proof,
claims, files.

Why the rounded arithmetic proves something. Numbers are IEEE binary64, rounded to nearest (tested at the start), with
u = 2^-53. A Form stands for the numbers c + G e + d, |e_j| <= 1, |d| <= r, and in [lo, hi]. Each coefficient is a sum
of at most four rounded products or sums, so that its error is below 8 u times `size`, the sum of the absolute values
of all parts; 8 u size goes into r. Radii are sums and products of non-negative numbers with at most 5000 roundings
each, relative to themselves: _up multiplies by 1 + 2^-36 and adds 2^-900, which also covers underflow (each at most
2^-1074) and the rounding of the error terms. Matrix products of inner dimension n have errors of at most gamma_n
|X||W| in whatever order a BLAS adds, with or without fused operations, gamma_n = n u / (1 - n u); n <= 4096, and
_gamma below is 2 n u. sin, cos, tanh, exp, log1p, sqrt and arctan of numpy and erf of math are trusted to 4 units in
the last place (2^-50 relatively); 2^-48 is added. Overflow gives an infinity or NaN, which makes a range the whole
line, or NaN as what may be undefined does, and proves nothing:
every decisive comparison is of the kind that NaN fails. Small decisions (the equilibrium, inverses) are exact
fractions.
"""

from __future__ import annotations

import base64
import copy
import gzip
import hashlib
import itertools
import json
import math
import re
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from decimal import ROUND_FLOOR, Context
from fractions import Fraction
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

Array = Any
U, LIBM, TINY, LOST = 2.0**-53, 2.0**-48, 2.0**-900, 2.0**-1022
TURN = (6.283185307179586, 6.283185307179587)  # neighbouring doubles around 2 pi
MAX_BYTES, MAX_WIDTH, MAX_GRID, MAX_CELLS, MAX_STEPS = 32 * 2**20, 4096, 2**26, 5_000_000, 1000
MAX_DEPTH, CHUNK, NARROW, UNMARKED = 8, 2048, 4, 2**31 - 1
MAX_COVER, MAX_PARTS, MAX_SECONDS = 1_000_000, 500_000, 600.0
MAX_PARAMETER_PARTS, HALVINGS = 1024, 4
U32, SMALL32, LARGEST32 = 2.0**-24, 2.0**-126, 2.0**126
FIRST_LEVEL, CORNERS = (8, 4, 3, 2, 2, 1), 6
MAX_STATES, PIECES = 32, 1024
LEAST, MOST = 2.0**-400, 2.0**400  # radii, whose squares are numbers
NARROWEST, WIDEST = 2.0**-100, 2.0**100  # sides of grids and domains, whose products are


class Unreadable(Exception):
    """The file is no certificate of this version at all."""


class Rejected(Exception):
    """The file is readable, but does not prove a claim."""


class _Clock:
    deadline = math.inf

    def tick(self) -> None:
        if time.monotonic() > self.deadline:
            _reject("the time limit is over before everything is proved")


_clock = _Clock()


def _reject(reason: str) -> NoReturn:
    raise Rejected(reason)


def _need(condition: Any, reason: str) -> None:
    if not bool(condition):
        _reject(reason)


# ------------------------------------------------------------------------------------------------------- affine forms


def _up(radius: Array) -> Array:
    return radius * (1.0 + 2.0**-36) + TINY


def _norms(x: Any, axis: int) -> Array:
    """Euclidean norms up to rounding: what is lost where squares underflow is added."""
    return np.sqrt(np.sum(np.square(x), axis=axis)) + 2.0**-500


def _gamma(n: int) -> float:
    return 2.0 * n * U


class Form:
    """Numbers c + G e + d, |e_j| <= 1, |d| <= r, that lie in [lo, hi] as well: one for each cell (last axis).

    Where an operation may be undefined (1 / 0, the root of a negative number) c is NaN, and so is all that follows.
    """

    __array_ufunc__ = None

    def __init__(self, c: Array, G: Array, r: Array, lo: Array = -np.inf, hi: Array = np.inf) -> None:
        self.c, self.G, self.r, self.lo, self.hi = c, G, r, lo, hi

    @staticmethod
    def constant(value: float, cells: int) -> Form:
        return Form(np.full(cells, value), np.zeros((0, cells)), np.zeros(cells))

    def reach(self) -> Array:
        """At least |x - c|."""
        return _up(np.abs(self.G).sum(axis=0) + self.r)

    def range(self) -> tuple[Array, Array]:
        reach = self.reach()
        slack = 4.0 * U * (np.abs(self.c) + reach) + TINY
        lo, hi = (self.c - reach) - slack, (self.c + reach) + slack
        known = np.isfinite(lo) & np.isfinite(hi)
        far = np.where(np.isnan(self.c), np.nan, np.inf)
        return np.maximum(np.where(known, lo, -far), self.lo), np.minimum(np.where(known, hi, far), self.hi)

    def __neg__(self) -> Form:
        return Form(-self.c, -self.G, self.r, -np.asarray(self.hi), -np.asarray(self.lo))

    def __add__(self, other: Form) -> Form:
        A, B = _aligned(self.G, other.G)
        size = np.abs(self.c) + np.abs(other.c) + np.abs(A).sum(axis=0) + np.abs(B).sum(axis=0)
        return Form(self.c + other.c, A + B, _up(self.r + other.r + 8 * U * size))

    def __sub__(self, other: Form) -> Form:
        return self + (-other)

    def __mul__(self, other: Form) -> Form:
        A, B = _aligned(self.G, other.G)
        A, B = A * other.c, B * self.c
        c = self.c * other.c
        size = np.abs(c) + np.abs(A).sum(axis=0) + np.abs(B).sum(axis=0)
        r = np.abs(self.c) * other.r + np.abs(other.c) * self.r + self.reach() * other.reach()
        return Form(c, A + B, _up(r + 8 * U * size))

    def times(self, factor: float) -> Form:
        c, G = self.c * factor, self.G * factor
        return Form(c, G, _up(abs(factor) * self.r + 8 * U * (np.abs(c) + np.abs(G).sum(axis=0))))

    def line(self, slope: Array, shift: Array, error: Array, lo: Array = -np.inf, hi: Array = np.inf) -> Form:
        """phi(x), if |phi(v) - slope v - shift| <= error on the range, and phi in [lo, hi]."""
        c, G = slope * self.c, slope * self.G
        size = np.abs(c) + np.abs(shift) + np.abs(G).sum(axis=0)
        found = Form(c + shift, G, _up(np.abs(slope) * self.r + error + 8 * U * size), lo, hi)
        return found.at_large(~np.isfinite(error) & ~np.isnan(self.c))

    def about(self, slope: Array, value: Array, error: Array, lo: Array = -np.inf, hi: Array = np.inf) -> Form:
        """phi(x), if |phi(c + d) - value - slope d| <= error."""
        G = slope * self.G
        size = np.abs(value) + np.abs(G).sum(axis=0)
        found = Form(value, G, _up(np.abs(slope) * self.r + error + 8 * U * size), lo, hi)
        return found.at_large(~np.isfinite(error) & ~np.isnan(self.c))

    def at_large(self, lost: Array) -> Form:
        """Where no line was found, anything between lo and hi."""
        if not lost.any():
            return self
        middle = np.where(np.isfinite(self.hi - self.lo), 0.5 * self.lo + 0.5 * self.hi, np.clip(0.0, self.lo, self.hi))
        c, G = np.where(lost, middle, self.c), np.where(lost, 0.0, self.G)
        r = np.where(lost, _up(np.maximum(self.hi - middle, middle - self.lo)), self.r)
        return Form(c, G, r, self.lo, self.hi)

    def square(self) -> Form:
        half = 0.5 * self.reach() ** 2
        c, G = self.c**2 + half, 2.0 * self.c * self.G
        size = np.abs(c) + np.abs(G).sum(axis=0)
        return Form(c, G, _up(2.0 * np.abs(self.c) * self.r + half + 8 * U * size), 0.0)

    def circular(self, value: Array, slope: Array) -> Form:
        """sin or cos, phi'' = -phi: phi(c + d) = phi(c) + phi'(c) d - phi(xi) d^2 / 2, |phi(xi) - phi(c)| <= |d|."""
        reach = self.reach()
        half = _up(0.5 * reach**2)
        most = half * np.clip(value + reach + LIBM, 0.0, 1.0)
        least = half * np.clip(value - reach - LIBM, -1.0, 0.0)
        error = 0.5 * (most - least) + LIBM * (1.0 + reach + half)
        return self.about(slope, value - 0.5 * (most + least), error, -1.0, 1.0)

    def by_derivative(self, function: Callable[[Array], Array], slopes: Callable[[Array, Array], Any]) -> Form:
        """phi(c) + phi'(xi) d for increasing or decreasing phi, `slopes` bounding phi' between two arguments."""
        lo, hi = self.range()
        lo, hi = np.minimum(lo, self.c), np.maximum(hi, self.c)
        least, most = slopes(lo, hi)
        slope, value = 0.5 * (least + most), function(self.c)
        reach, ends = self.reach(), np.sort(np.stack([function(lo), function(hi)]), axis=0)
        error = 0.5 * (most - least) * reach + LIBM * (np.abs(value) + (np.abs(least) + np.abs(most)) * reach)
        error = error + TINY * reach  # slopes that underflow
        ends = np.where(np.isnan(ends).any(axis=0), np.array([[-np.inf], [np.inf]]), ends)
        slack = LIBM * np.abs(ends) + TINY
        return self.about(slope, value, error, ends[0] - slack[0], ends[1] + slack[1])

    def at_least(self, low: float) -> Form:
        lo, hi = self.range()
        return self.line(*_above(lo, hi, low), np.maximum(lo, low), np.maximum(hi, low))

    def own_symbol(self, place: int) -> Form:
        """The same numbers, with the radius as coefficient of symbol number `place`, which nothing else uses yet."""
        G = np.zeros((place + 1, len(self.c)))
        G[: len(self.G)] = self.G
        G[place] = self.r
        return Form(self.c, G, np.zeros(len(self.c)), self.lo, self.hi)

    def take(self, kept: Array) -> Form:
        lo, hi = np.broadcast_to(self.lo, self.c.shape)[kept], np.broadcast_to(self.hi, self.c.shape)[kept]
        return Form(self.c[kept], self.G[:, kept], self.r[kept], lo, hi)


def _aligned(A: Array, B: Array) -> tuple[Array, Array]:
    """The same symbols in both."""
    count = max(len(A), len(B))
    return _padded(A, count), _padded(B, count)


def _padded(A: Array, count: int) -> Array:
    return A if len(A) == count else np.concatenate([A, np.zeros((count - len(A), *A.shape[1:]))])


def _above(lo: Array, hi: Array, low: Array) -> tuple[Array, Array, Array]:
    """A line for max(v, low): convex, so the line's distance is greatest at the ends and at the kink."""
    crossing = (lo < low) & (low < hi)
    slope = np.where(crossing, (hi - low) / np.where(crossing, hi - lo, 1.0), np.where(lo >= low, 1.0, 0.0))
    most = np.maximum(np.maximum(lo, low) - slope * lo, np.maximum(hi, low) - slope * hi)
    least = np.where(crossing, low - slope * low, np.minimum(most, np.maximum(lo, low) - slope * lo))
    least = np.where(crossing, least, np.minimum(least, np.maximum(hi, low) - slope * hi))
    error = 0.5 * (most - least) + 8 * U * (np.abs(lo) + np.abs(hi) + np.abs(low))
    return slope, 0.5 * (most + least), error


def _tanh_line(lo: Array, hi: Array) -> tuple[Array, Array, Array]:
    """A line of the slope of the chord for tanh."""
    left, right = np.tanh(lo), np.tanh(hi)
    width = hi - lo
    wide = width > 1e-5
    slope = np.where(wide, (right - left) / np.where(wide, width, 1.0), 1.0 - left * left)
    slope = np.clip(slope, 0.0, 1.0)
    turn = np.arctanh(np.minimum(np.sqrt(1.0 - slope), 1.0 - 2.0**-52))
    top = _tanh_over(lo, hi, slope, turn, left, right)
    bottom = -_tanh_over(-hi, -lo, slope, turn, -right, -left)
    error = 0.5 * (top - bottom) + LIBM * (1.0 + np.abs(lo) + np.abs(hi) + np.abs(turn))
    return slope, 0.5 * (top + bottom), error


def _tanh_over(lo: Array, hi: Array, slope: Array, turn: Array, left: Array, right: Array) -> Array:
    """At least tanh v - slope v on [lo, hi]: convex below 0, so greatest at an end; above 0 under any tangent."""
    from_zero = np.clip(lo, 0.0, None)
    point = np.clip(turn, from_zero, np.maximum(hi, from_zero))
    value = np.tanh(point)
    tilt = (1.0 - value * value) - slope
    tangent = value - slope * point + np.maximum(tilt * (from_zero - point), tilt * (hi - point))
    ends = np.maximum(left - slope * lo, right - slope * hi)
    return np.where(hi > 0, np.maximum(ends, tangent), ends)


# ----------------------------------------------------------------------------------------------------------- programs


class Number:
    """A form together with forms of its derivatives by k variables (none: a plain number)."""

    def __init__(self, value: Form, by: Sequence[Form] = ()) -> None:
        self.value, self.by = value, list(by)

    def chain(self, value: Form, slope: Callable[[], Form]) -> Number:
        if not self.by:
            return Number(value)
        factor = slope()
        return Number(value, [part * factor for part in self.by])


def _inverse(x: Form) -> Form:
    lo, hi = x.range()
    clear = Form(np.where((lo > 0) | (hi < 0), x.c, np.nan), x.G, x.r, lo, hi)
    clear = clear.at_large((clear.c < lo) | (hi < clear.c))  # else 0 may lie between c and the range
    return clear.by_derivative(lambda v: 1.0 / v, lambda a, b: _ordered(-1.0 / (a * a), -1.0 / (b * b)))


def _ordered(a: Array, b: Array) -> tuple[Array, Array]:
    return np.minimum(a, b), np.maximum(a, b)


def _sqrt(x: Form) -> Form:
    lo, hi = x.range()
    defined = Form(np.where(lo >= 0, x.c, np.nan), x.G, x.r, lo, hi)
    return defined.by_derivative(np.sqrt, lambda a, b: (0.5 / np.sqrt(b), 0.5 / np.sqrt(a)))


def _exp(x: Form) -> Form:
    return x.by_derivative(np.exp, lambda a, b: (np.exp(a), np.exp(b)))


def _arctan(x: Form) -> Form:
    def slopes(a: Array, b: Array) -> tuple[Array, Array]:
        far, near = np.maximum(np.abs(a), np.abs(b)), np.where((a < 0) & (b > 0), 0.0, np.minimum(abs(a), abs(b)))
        return 1.0 / (1.0 + far * far), 1.0 / (1.0 + near * near)

    return x.by_derivative(np.arctan, slopes)


def _tanh(x: Form) -> Form:
    lo, hi = x.range()
    return x.line(*_tanh_line(lo, hi), np.tanh(lo) - LIBM, np.tanh(hi) + LIBM)


def _step_at(x: Form, low: float) -> Form:
    """The derivatives (Clarke's) of max(x, low)."""
    lo, hi = x.range()
    left, right = np.where(lo > low, 1.0, 0.0), np.where(hi < low, 0.0, 1.0)
    return Form(0.5 * (left + right), np.zeros((0, len(lo))), 0.5 * (right - left))


def _one(x: Form) -> Form:
    return Form.constant(1.0, len(x.c))


def _product(a: Number, b: Number) -> Number:
    return Number(a.value * b.value, [p * b.value + q * a.value for p, q in zip(a.by, b.by, strict=True)])


UNARY: dict[str, Callable[[Number], Number]] = {
    "neg": lambda a: Number(-a.value, [-part for part in a.by]),
    "square": lambda a: a.chain(a.value.square(), lambda: a.value.times(2.0)),
    "sqrt": lambda a: a.chain(_sqrt(a.value), lambda: _inverse(_sqrt(a.value)).times(0.5)),
    "exp": lambda a: a.chain(_exp(a.value), lambda: _exp(a.value)),
    "tanh": lambda a: a.chain(_tanh(a.value), lambda: _one(a.value) - _tanh(a.value).square()),
    "arctan": lambda a: a.chain(_arctan(a.value), lambda: _inverse(_one(a.value) + a.value.square())),
    "sin": lambda a: a.chain(_sin(a.value), lambda: _cos(a.value)),
    "cos": lambda a: a.chain(_cos(a.value), lambda: -_sin(a.value)),
    "abs": lambda a: a.chain(
        a.value.at_least(0.0).times(2.0) - a.value, lambda: _step_at(a.value, 0.0).times(2.0) - _one(a.value)
    ),
}
BINARY: dict[str, Callable[[Number, Number], Number]] = {
    "add": lambda a, b: Number(a.value + b.value, [p + q for p, q in zip(a.by, b.by, strict=True)]),
    "sub": lambda a, b: Number(a.value - b.value, [p - q for p, q in zip(a.by, b.by, strict=True)]),
    "mul": _product,
    "div": lambda a, b: _product(a, b.chain(_inverse(b.value), lambda: -_inverse(b.value).square())),
}
LIMITS: dict[str, Callable[[Number, float], Number]] = {
    "at_least": lambda a, low: a.chain(a.value.at_least(low), lambda: _step_at(a.value, low)),
    "at_most": lambda a, high: a.chain(-((-a.value).at_least(-high)), lambda: _step_at(-a.value, -high)),
}


def _sin(x: Form) -> Form:
    return x.circular(np.sin(x.c), np.cos(x.c))


def _cos(x: Form) -> Form:
    return x.circular(np.cos(x.c), -np.sin(x.c))


class Program:
    """A straight-line program of the file."""

    def __init__(self, fields: Any, inputs: int, outputs: int | None, what: str) -> None:
        fields = _fields(fields, {"inputs", "constants", "code", "outputs"}, what)
        _need(_count(fields["inputs"]) == inputs, f"{what} takes the wrong number of inputs")
        self.inputs, self.constants = inputs, [float(value) for value in _vector(fields["constants"], None)]
        _need(isinstance(fields["code"], list) and len(fields["code"]) <= MAX_WIDTH, f"{what} has no code")
        self.code: list[tuple[str, list[int]]] = []
        ready = inputs + len(self.constants)
        for line in fields["code"]:
            _need(isinstance(line, list) and line and isinstance(line[0], str), f"{what} has a strange instruction")
            name, places = line[0], [_count(place) for place in line[1:]]
            known = len(places) == 1 if name in UNARY else len(places) == 2 and (name in BINARY or name in LIMITS)
            _need(known and all(place < ready for place in places), f"{what} has a strange instruction {name[:20]!r}")
            _need(name not in LIMITS or self._is_constant(places[1]), f"{what} clips to a limit that is not constant")
            self.code.append((name, places))
            ready += 1
        self.outputs = [_count(place) for place in _list(fields["outputs"], what)]
        _need(self.outputs and all(place < ready for place in self.outputs), f"{what} has strange outputs")
        _need(outputs is None or len(self.outputs) == outputs, f"{what} gives the wrong number of outputs")

    def _is_constant(self, place: int) -> bool:
        return self.inputs <= place < self.inputs + len(self.constants)

    def __call__(self, values: Sequence[Number]) -> list[Number]:
        cells, k = len(values[0].value.c), len(values[0].by)
        zero = Form.constant(0.0, cells)
        numbers = list(values) + [Number(Form.constant(c, cells), [zero] * k) for c in self.constants]
        for name, places in self.code:
            operands = [numbers[place] for place in places]
            if name in UNARY:
                numbers.append(UNARY[name](operands[0]))
            elif name in BINARY:
                numbers.append(BINARY[name](*operands))
            else:
                numbers.append(LIMITS[name](operands[0], self.constants[places[1] - self.inputs]))
        return [numbers[place] for place in self.outputs]

    def turns(self, angle: int) -> list[int | None]:
        """By how many turns each output moves if one input moves by a full turn; None: not known."""
        moved: list[int | None] = [int(place == angle) for place in range(self.inputs)]
        moved += [0] * len(self.constants)
        for name, places in self.code:
            parts = [moved[place] for place in places]
            result: int | None = None
            if all(part == 0 for part in parts) or (name in ("sin", "cos") and parts[0] is not None):
                result = 0
            elif parts[0] is not None and name == "neg":
                result = -parts[0]
            elif parts[0] is not None and parts[-1] is not None and name in ("add", "sub"):
                result = parts[0] + parts[1] if name == "add" else parts[0] - parts[1]  # type: ignore[operator]
            moved.append(result)
        return [moved[place] for place in self.outputs]


# ------------------------------------------------------------------------------------------------------------ network


class Layer:
    """An affine map W x + b (kind "affine") or a scalar nonlinearity."""

    def __init__(self, fields: Any) -> None:
        _need(isinstance(fields, dict), "a layer is no object")
        self.kind = fields.get("type")
        if self.kind == "affine":
            _fields(fields, {"type", "W", "b"}, "a layer")
            self.W = _matrix(fields["W"], None, None)
            self.n_out, self.n_in = self.W.shape
            self.b = _vector(fields["b"], self.n_out)
            self.size_W = np.ascontiguousarray(np.abs(self.W).T)
            return
        _need(self.kind in KINDS, f"this checker does not know the layer {str(self.kind)[:20]!r}")
        names = KINDS[self.kind]
        _fields(fields, {"type", "n", *names}, "a layer")
        self.n_in = self.n_out = _count(fields["n"])
        limits = self.kind == "hardtanh"
        self.parameters = {name: _vector(fields[name], self.n_in, name if limits else None) for name in names}
        if limits:
            _need(np.all(self.parameters["low"] <= self.parameters["high"]), "a layer clips to an empty interval")
        _need(np.all(self.parameters.get("beta", 1.0) > 0), "softplus needs beta > 0")

    def line(self, lo: Array, hi: Array) -> tuple[Array, Array, Array]:
        """slope, shift, error with |phi(v) - slope v - shift| <= error on [lo, hi]."""
        if self.kind == "tanh":
            return _tanh_line(lo, hi)
        if self.kind == "sigmoid":  # (1 + tanh(v / 2)) / 2
            slope, shift, error = _tanh_line(0.5 * lo, 0.5 * hi)
            return 0.25 * slope, 0.5 + 0.5 * shift, 0.5 * error + LIBM
        if self.kind == "relu":
            return _above(lo, hi, 0.0)
        if self.kind == "leaky_relu":  # a v + (1 - a) max(v, 0)
            a = self.parameters["negative_slope"]
            slope, shift, error = _above(lo, hi, 0.0)
            more = LIBM * (1.0 + np.abs(a)) * (np.abs(lo) + np.abs(hi))
            return a + (1.0 - a) * slope, (1.0 - a) * shift, np.abs(1.0 - a) * error + more
        if self.kind == "hardtanh":
            return _clip_line(lo, hi, self.parameters["low"], self.parameters["high"])
        if self.kind in CURVED:
            return self._curved_line(lo, hi)
        return np.ones_like(lo), np.zeros_like(lo), np.zeros_like(lo)

    def _curved_line(self, lo: Array, hi: Array) -> tuple[Array, Array, Array]:
        """phi(v) - s v lies between the line through its ends, and that line minus phi'' (v - lo)(hi - v) / 2."""
        left, right = self.values(lo), self.values(hi)
        width = hi - lo
        slope = np.where(width > 0, (right - left) / np.where(width > 0, width, 1.0), 0.0)
        ends = [left - slope * lo, right - slope * hi]
        if self.kind == "elu":  # a kink at 0, where phi = 0; straight above
            crossing = (lo < 0) & (hi > 0)
            ends.append(np.where(crossing, 0.0, ends[0]))
            width = np.where(crossing, lo, width)
        least, most = self.bends(lo, hi)
        eighth = _up(0.125 * width * width)
        top = np.maximum.reduce(ends) - np.minimum(least, 0.0) * eighth
        bottom = np.minimum.reduce(ends) - np.maximum(most, 0.0) * eighth
        size = 1.0 + np.abs(left) + np.abs(right) + (1.0 + np.abs(slope)) * (np.abs(lo) + np.abs(hi))
        size = self.unit * size + (np.abs(least) + np.abs(most)) * eighth
        return slope, 0.5 * (top + bottom), 0.5 * (top - bottom) + 2 * LIBM * size

    @property
    def unit(self) -> Array:
        """By how much more than 1 + abs(v) a value is to be counted for roundings."""
        return 1.0 + np.abs(self.parameters.get("alpha", 0.0)) + 1.0 / self.parameters.get("beta", np.inf)

    def values(self, v: Array) -> Array:
        """phi(v) up to LIBM unit (1 + abs(v)), for the kinds in CURVED."""
        if self.kind == "elu":
            return np.maximum(v, 0.0) + self.parameters["alpha"] * (np.exp(np.minimum(v, 0.0)) - 1.0)
        if self.kind == "softplus":
            b = self.parameters["beta"]
            return np.maximum(v, 0.0) + np.log1p(np.exp(-b * np.abs(v))) / b
        return v * (_normal(v) if self.kind == "gelu" else _logistic(v))

    def bends(self, lo: Array, hi: Array) -> tuple[Array, Array]:
        """Bounds of phi'' on [lo, hi], of elu on the part below 0."""
        near = np.where((lo < 0) & (hi > 0), 0.0, np.minimum(np.abs(lo), np.abs(hi)))
        far = np.maximum(np.abs(lo), np.abs(hi))
        if self.kind == "elu":
            a = self.parameters["alpha"]
            least, most = _ordered(*(a * np.exp(np.minimum(v, 0.0)) for v in (lo, hi)))
            least, most = np.where(lo >= 0, 0.0, least), np.where(lo >= 0, 0.0, most)
        elif self.kind == "softplus":
            b = self.parameters["beta"]
            least, most = (b * _bell(b * v) for v in (far, near))
        else:  # bell(v) g(v), both even, and falling with abs(v)
            if self.kind == "silu":
                bells, factors = [_bell(v) for v in (far, near)], [2.0 - v * np.tanh(0.5 * v) for v in (far, near)]
            else:
                bells, factors = [_density(v) for v in (far, near)], [2.0 - v * v for v in (far, near)]
            least = np.where(factors[0] >= 0, bells[0], bells[1]) * factors[0]
            most = np.where(factors[1] >= 0, bells[1], bells[0]) * factors[1]
        slack = 2.0**-40 * self.unit * (1.0 + self.parameters.get("beta", 1.0)) * (1.0 + np.abs(least) + np.abs(most))
        return least - slack, most + slack

    def _curved_slopes(self, lo: Array, hi: Array) -> tuple[Array, Array]:
        """Bounds of phi' on [lo, hi]: monotone, or from the middle by phi''."""
        if self.kind == "softplus":
            b = self.parameters["beta"]
            least, most = (_logistic(b * v) for v in (lo, hi))
            least = least - least * (LIBM + 2 * U * np.abs(b * lo)) - TINY  # b v is rounded; the least numbers, too
            most = most + most * (LIBM + 2 * U * np.abs(b * hi)) + TINY
            return np.fmax(least, 0.0), np.fmin(most, 1.0)
        if self.kind == "elu":
            below = _ordered(*(self.parameters["alpha"] * np.exp(np.minimum(v, 0.0)) for v in (lo, hi)))
            slack = LIBM * np.abs(self.parameters["alpha"])
            least, most = np.where(lo > 0, 1.0, below[0] - slack), np.where(lo > 0, 1.0, below[1] + slack)
            return np.where(hi < 0, least, np.minimum(least, 1.0)), np.where(hi < 0, most, np.maximum(most, 1.0))
        middle = 0.5 * lo + 0.5 * hi
        if self.kind == "gelu":
            slope, limits = _normal(middle) + middle * _density(middle), (-0.1289041451851549, 1.1289041451851549)
        else:
            slope, limits = _logistic(middle) + middle * _bell(middle), (-0.09983932012886697, 1.099839320128867)
        bends = self.bends(lo, hi)
        reach = _up(np.maximum(np.abs(bends[0]), np.abs(bends[1])) * 0.5 * (hi - lo))
        reach = reach + 4 * LIBM * (1.0 + np.abs(middle))
        reach = np.where(np.isnan(reach), np.inf, reach)
        slope = np.where(np.isnan(slope), 0.0, slope)
        return np.maximum(slope - reach, limits[0]), np.minimum(slope + reach, limits[1])

    def wrong(self, lo: Array, hi: Array, error: Array) -> Array:
        """At least |float32 output - phi(x)| for x in [lo, hi], if the float32 input is off by at most `error`."""
        size = _up(np.maximum(np.abs(lo), np.abs(hi)) + error)
        if self.kind == "affine":
            count = np.count_nonzero(self.W, axis=1)
            gamma = np.where(count > 1, (count + 3) * U32 / (1 - (count + 3) * U32), 9 * U32)
            heard = np.where(count > 1, size @ self.size_W, np.maximum(size, 1.0) @ self.size_W) + np.abs(self.b)
            unit = (count == 1) & (self.W.max(axis=1) == 1.0) & (self.b == 0.0)
            with np.errstate(invalid="ignore"):  # an infinite size
                lost = size @ np.where(self.size_W < SMALL32, self.size_W, 0.0)  # subnormal weights, whole
            rounded = np.where(unit, 0.0, _up(_up(gamma * _up(heard)) + (2 * count + 9) * SMALL32 + lost))
            result = _up(_up(error @ self.size_W) + rounded)
            held = np.all(self.size_W < LARGEST32, axis=0)
            result = np.where(held & (_up(heard) < LARGEST32), result, np.inf)
            size = np.max(size, axis=-1, keepdims=True)
        elif self.kind in CURVED:
            _reject(f"nothing is known of {self.kind} in float32")
        else:
            least, most = self.slopes(lo - _up(error), hi + _up(error))
            result = _up(np.maximum(np.abs(least), np.abs(most)) * error)
            if self.kind in ("tanh", "sigmoid"):
                result = _up(result + 2.0**-22)
            elif self.kind == "leaky_relu":
                steep = np.abs(self.parameters["negative_slope"])
                result = _up(result + np.where(steep < SMALL32, 1.0, 3 * U32) * steep * size + SMALL32)
                result = np.where(steep < LARGEST32, result, np.inf)
            elif self.kind == "hardtanh":
                result = _up(result + np.maximum(*(_moved(self.parameters[side]) for side in ("low", "high"))))
        return _finite_or_inf(np.where(size < LARGEST32, result, np.inf))

    def slopes(self, lo: Array, hi: Array) -> tuple[Array, Array]:
        """Bounds of the derivatives (Clarke's) on [lo, hi]."""
        if self.kind in ("tanh", "sigmoid"):
            scale, top = (0.5, 0.25) if self.kind == "sigmoid" else (1.0, 1.0)
            near = np.where((lo < 0) & (hi > 0), 0.0, np.minimum(np.abs(lo), np.abs(hi)))
            far = np.maximum(np.abs(lo), np.abs(hi))
            least, most = (top * (1.0 - np.tanh(scale * v) ** 2) for v in (far, near))
            return np.maximum(least - 4 * LIBM, 0.0), np.minimum(most + 4 * LIBM, top)
        if self.kind in ("relu", "leaky_relu"):
            a = self.parameters.get("negative_slope", 0.0)
            return _ordered(np.where(lo > 0, 1.0, a), np.where(hi < 0, a, 1.0))
        if self.kind == "hardtanh":
            low, high = self.parameters["low"], self.parameters["high"]
            flat = (hi < low) | (lo > high)
            return np.where((lo > low) & (hi < high), 1.0, 0.0), np.where(flat, 0.0, 1.0)
        if self.kind in CURVED:
            return self._curved_slopes(lo, hi)
        return np.ones_like(lo), np.ones_like(lo)


def _logistic(v: Array) -> Array:
    """1 / (1 + exp(-v))."""
    small = np.exp(-np.abs(v))
    return np.where(v >= 0, 1.0, small) / (1.0 + small)


def _bell(v: Array) -> Array:
    """The derivative of the logistic function."""
    small = np.exp(-np.abs(v))
    return small / (1.0 + small) ** 2


def _density(v: Array) -> Array:
    """The derivative of the normal distribution function."""
    return 0.3989422804014327 * np.exp(-0.5 * np.minimum(v * v, 1400.0))


_NODES = np.arange(-640, 641) / 64.0
_AT_NODES = np.array([0.5 * (1.0 + math.erf(node / math.sqrt(2.0))) for node in _NODES])


def _normal(v: Array) -> Array:
    """The normal distribution function up to 2^-50, by Taylor's formula from the nearest node.

    Its seventh derivative is He_6(v) density(v), below 6 in size; 6 / 7! 2^-49 < 2^-58. Beyond 10 it is 0 or 1 up to
    1e-23. Derivatives: (-1)^(k - 1) He_(k-1)(v) density(v).
    """
    safe = np.where(np.isnan(v), 0.0, np.clip(v, -10.0, 10.0))
    place = np.rint(safe * 64.0).astype(np.int64)
    x = place / 64.0
    d = safe - x
    hermite, total, power = [np.ones_like(x), x], np.zeros_like(x), np.ones_like(x)
    for k in range(1, 7):
        power = power * d / k
        total = total + (-1.0) ** (k - 1) * hermite[k - 1] * power
        hermite.append(x * hermite[k] - k * hermite[k - 1])
    return np.where(np.isnan(v), np.nan, _AT_NODES[place + 640] + _density(x) * total)


def _finite_or_inf(error: Array) -> Array:
    return np.where(np.isnan(error), np.inf, error)


KINDS: dict[str, tuple[str, ...]] = {
    "identity": (),
    "relu": (),
    "leaky_relu": ("negative_slope",),
    "tanh": (),
    "sigmoid": (),
    "hardtanh": ("low", "high"),
    "elu": ("alpha",),
    "softplus": ("beta",),
    "gelu": (),
    "silu": (),
}
CURVED = ("elu", "softplus", "gelu", "silu")


def _moved(limit: Array) -> Array:
    """By how much float32 moves a limit: a subnormal one may be flushed, one beyond its range is never reached."""
    near = np.where(np.abs(limit) < LARGEST32, limit, 0.0)
    return np.where(np.abs(near) < SMALL32, np.abs(near), np.abs(near.astype(np.float32) - near))


def _clip_line(lo: Array, hi: Array, low: Array, high: Array) -> tuple[Array, Array, Array]:
    """A line for min(max(v, low), high): piecewise linear, so the distance is greatest at an end or a kink."""
    left, right = np.clip(lo, low, high), np.clip(hi, low, high)
    width = hi - lo
    slope = np.where(width > 0, (right - left) / np.where(width > 0, width, 1.0), 0.0)
    slope = np.where((lo >= low) & (hi <= high), 1.0, slope)
    points = np.stack([lo, hi, np.clip(low, lo, hi), np.clip(high, lo, hi)])
    gaps = np.clip(points, low, high) - slope * points
    most, least = gaps.max(axis=0), gaps.min(axis=0)
    return (
        slope,
        0.5 * (most + least),
        0.5 * (most - least) + 8 * U * (np.abs(lo) + np.abs(hi) + np.abs(gaps).max(axis=0)),
    )


class Network:
    """The policy of the file. Cells travel as arrays (1 + symbols, cells, channels): centre, then coefficients."""

    def __init__(self, fields: Any, float32: bool) -> None:
        self.float32 = float32
        fields = _fields(fields, {"layers"}, "the network")
        self.layers = [Layer(layer) for layer in _list(fields["layers"], "the network")]
        _need(self.layers, "the network has no layers")
        for before, after in zip(self.layers[:-1], self.layers[1:], strict=True):
            _need(before.n_out == after.n_in, "neighbouring layers have different sizes")
        self.n_in, self.n_out = self.layers[0].n_in, self.layers[-1].n_out
        _need(max(max(layer.n_in, layer.n_out) for layer in self.layers) <= MAX_WIDTH, "a layer is too wide")

    def sha256(self) -> str:
        digest = hashlib.sha256()
        for layer in self.layers:
            if layer.kind == "affine":
                digest.update(f"affine {layer.n_out} {layer.n_in}\n".encode())
                digest.update(layer.W.astype(">f8").tobytes() + layer.b.astype(">f8").tobytes())
            else:
                digest.update(f"{layer.kind} {layer.n_in}\n".encode())
                for name, value in sorted(layer.parameters.items()):
                    digest.update(f"{name}\n".encode() + value.astype(">f8").tobytes())
        return digest.hexdigest()

    def __call__(self, inputs: Sequence[Form]) -> tuple[list[Form], list[tuple[Array, Array]], Array]:
        """The action on every cell, the range of the input of each nonlinearity, and the errors of float32."""
        count = max(len(form.G) for form in inputs)
        X = np.stack([np.concatenate([form.c[None], _padded(form.G, count)]) for form in inputs], axis=-1)
        r = np.stack([form.r for form in inputs], axis=-1)
        source, passed, ranges = (X, r), list[tuple[Any, ...]](), list[tuple[Array, Array]]()
        known: tuple[Array, Array] = (np.full(r.shape, -np.inf), np.full(r.shape, np.inf))
        size = _up(np.abs(X).sum(axis=0) + r)
        wrong = _up(U32 * (1 + 2.0**-8) * size + 2.0**-48 * (1 + size) + SMALL32)
        for layer in self.layers:
            size = _up(np.abs(X).sum(axis=0) + r)
            if self.float32:
                ends = Form(X[0], X[1:], r, *known).range()
                wrong = layer.wrong(*ends, wrong)
            if layer.kind == "affine":
                heard = _up(size @ layer.size_W + np.abs(layer.b))
                error = _gamma(layer.n_in + 2) * heard
                r = _up(r @ layer.size_W + error)
                X = X @ layer.W.T
                X[0] = X[0] + layer.b
                passed.append(("affine", layer, heard, size))
                known = (np.full(r.shape, -np.inf), np.full(r.shape, np.inf))
                if layer.n_out <= NARROW:
                    X, r = _substituted(passed, source)
                    source, passed = (X, r), []
            else:
                lo, hi = Form(X[0], X[1:], r, *known).range()
                ranges.append((lo, hi))
                slope, shift, error = layer.line(lo, hi)
                reach = np.maximum(np.abs(lo), np.abs(hi))
                passed.append(("line", slope, shift, error, reach))
                X, r = X * slope, _up(np.abs(slope) * r + error + 8 * U * (np.abs(slope) * size + np.abs(shift)))
                X[0] = X[0] + shift
                known = _values(layer, lo, hi)
        actions = [Form(X[0, :, i], X[1:, :, i], r[:, i], known[0][:, i], known[1][:, i]) for i in range(self.n_out)]
        if not self.float32:
            return actions, ranges, np.zeros(r.shape)
        size = np.stack([np.max(np.abs(form.range()), axis=0) for form in actions], axis=-1)
        return actions, ranges, _finite_or_inf(_up(wrong + 2 * U32 * (size + wrong)))

    def derivatives(self, ranges: Sequence[tuple[Array, Array]], by: Sequence[Sequence[Form]]) -> tuple[Array, Array]:
        """Middle and radius (cells, outputs, k) of the derivatives, from those of the inputs."""
        ends = [[part.range() for part in row] for row in by]
        lo = np.stack([np.stack([e[0] for e in row], axis=-1) for row in ends], axis=1)
        hi = np.stack([np.stack([e[1] for e in row], axis=-1) for row in ends], axis=1)
        middle = 0.5 * (lo + hi)
        radius = _up(np.maximum(hi - middle, middle - lo))
        left = iter(ranges)
        for layer in self.layers:
            if layer.kind == "affine":
                radius = _up(np.abs(layer.W) @ (radius + _gamma(layer.n_in + 2) * np.abs(middle)))
                middle = layer.W @ middle
            else:
                least, most = layer.slopes(*next(left))
                centre = (0.5 * (least + most))[..., None]
                spread = _up(np.maximum(most - centre[..., 0], centre[..., 0] - least))[..., None]
                radius = _up((np.abs(centre) + spread) * radius + (spread + 4 * U * np.abs(centre)) * np.abs(middle))
                middle = centre * middle
        return middle, radius


def _values(layer: Layer, lo: Array, hi: Array) -> tuple[Array, Array]:
    """Bounds of phi on [lo, hi] that a form may lack."""
    if layer.kind == "hardtanh":
        limits = layer.parameters["low"], layer.parameters["high"]
        return np.clip(lo, *limits), np.clip(hi, *limits)
    if layer.kind == "tanh":
        return np.tanh(lo) - LIBM, np.tanh(hi) + LIBM
    return np.full(lo.shape, -np.inf), np.full(hi.shape, np.inf)


def _substituted(passed: Sequence[tuple[Any, ...]], source: tuple[Array, Array]) -> tuple[Array, Array]:
    """The outputs of layers as one affine map of their inputs: the lines are put into one another from the end.

    Always: output = v h + beta + error with |error| <= eps, h being the signal at the current place. What underflows in
    v is small, but h may be large: LOST for each operation, times |h|.
    """
    X, r = source
    size = _up(np.abs(X).sum(axis=0) + r)
    images, radii = [], []
    for output in range(passed[-1][1].n_out):
        v = np.zeros((1, passed[-1][1].n_out))
        v[0, output] = 1.0
        beta, eps = np.zeros(len(r)), np.zeros(len(r))
        for step in reversed(passed):
            if step[0] == "affine":
                _, layer, heard, size_h = step
                eps = eps + _gamma(layer.n_out + 4) * (np.sum(np.abs(v) * heard, axis=1) + np.abs(beta))
                eps = eps + 2 * layer.n_out * LOST * np.sum(size_h, axis=1)
                beta = beta + v @ layer.b
                v = v @ layer.W
            else:
                _, slope, shift, error, reach = step
                parts = np.abs(slope) * reach + np.abs(shift)
                width = v.shape[1]
                eps = eps + np.sum(np.abs(v) * (error + _gamma(width + 4) * parts), axis=1)
                eps = eps + _gamma(width + 4) * np.abs(beta) + LOST * np.sum(reach, axis=1)
                beta = beta + np.sum(v * shift, axis=1)
                v = v * slope
        image = np.sum(v * X, axis=2)
        spread = np.sum(np.abs(v) * (r + _gamma(v.shape[1] + 4) * size), axis=1)
        image[0] = image[0] + beta
        images.append(image)
        radii.append(_up(spread + eps + 8 * U * np.abs(beta)))
    return np.stack(images, axis=-1), np.stack(radii, axis=-1)


# ------------------------------------------------------------------------------------------------------------ the loop


class Loop:
    """x+ = step(x, pi(observe(x)))."""

    def __init__(self, network: Any, model: Any, n: int, error: float = 0.0, float32: bool = False) -> None:
        self.n, self.network, self.error = n, Network(network, float32), error
        self.disturbed = error > 0 or float32
        m = self.network.n_out
        names = {"name", "dt", "step", "observe"}
        names |= {"parameters"} if isinstance(model, dict) and "parameters" in model else set()
        model = _fields(model, names, "the model")
        self.names, self.box = _parameters(model.get("parameters", []))
        q = len(self.box)
        self.step_program = Program(model["step"], n + m + q, n, "step")
        self.observe_program = Program(model["observe"], n + q, self.network.n_in, "observe")
        _need(_number(model["dt"]) > 0, "only sampled models are covered")

    def part(self, box: Array, disturbed: bool = True) -> Loop:
        """The same loop on a part of the parameters' box, or that of the exact actions."""
        other = copy.copy(self)
        other.box, other.disturbed = box, self.disturbed and disturbed
        return other

    @property
    def kept(self) -> int:
        """Symbols that mean the same at every step: of the cell, and of each parameter."""
        return self.n + len(self.box)

    def step(self, x: Sequence[Number], pushed: bool = False) -> list[Number]:
        """The next state for all errors of the actions; with `pushed` also its change by them, as more derivatives."""
        cells, k, m = len(x[0].value.c), len(x[0].by), self.network.n_out if pushed else 0
        zero = Form.constant(0.0, cells)
        x = [Number(number.value, [*number.by, *[zero] * m]) for number in x]
        given = [Number(form, [zero] * (k + m)) for form in self._given(cells)]
        y = self.observe_program([*x, *given])
        actions, ranges, wrong = self.network([part.value for part in y])
        place = max(self.kept, *(len(form.G) for form in [*actions, *(number.value for number in x)]))
        numbers = []
        if k:
            middle, radius = self.network.derivatives(ranges, [part.by[:k] for part in y])
        for i, action in enumerate(actions):
            reach = _up(self.error + wrong[:, i])
            if self.disturbed:
                lo, hi = np.nextafter(action.lo - reach, -np.inf), np.nextafter(action.hi + reach, np.inf)
                action = Form(action.c, action.G, _up(action.r + reach), lo, hi)
            value, by = action.own_symbol(place), []
            place += 1
            for j in range(k):
                by.append(Form(middle[:, i, j], np.zeros((0, len(middle))), radius[:, i, j]).own_symbol(place))
                place += 1
            errors = Form(np.zeros(cells), np.zeros((0, cells)), reach).own_symbol(place)
            place += m > 0
            numbers.append(Number(value, [*by, *(errors if i == j else zero for j in range(m))]))
        return self.step_program([*x, *numbers, *given])

    def _given(self, cells: int) -> list[Form]:
        """The parameters, each with a symbol of its own."""
        forms = []
        for i, (low, high) in enumerate(self.box):
            center = 0.5 * low + 0.5 * high
            half = np.nextafter(max(high - center, center - low), np.inf)
            G = np.zeros((self.kept, cells))
            G[self.n + i] = half
            forms.append(Form(np.full(cells, center), G, np.zeros(cells), low, high))
        return forms

    def is_periodic(self, angle: int) -> bool:
        """Whether a full turn of a state turns the next state alone, and is not observed."""
        seen, after = self.observe_program.turns(angle), self.step_program.turns(angle)
        return all(part == 0 for part in seen) and all(part == int(i == angle) for i, part in enumerate(after))


def _parameters(fields: Any) -> tuple[list[str], Array]:
    """Names and box, shape (q, 2), of the uncertain parameters."""
    names, ends = [], []
    for part in _list(fields, "the parameters"):
        part = _fields(part, {"name", "lower", "upper"}, "a parameter")
        _need(isinstance(part["name"], str) and part["name"].isidentifier(), "a parameter has no name")
        names.append(part["name"][:40])
        _need(names[-1] not in names[:-1], "two parameters have one name")
        ends.append([_number(part["lower"]), _number(part["upper"])])
        _need(ends[-1][0] <= ends[-1][1], "a parameter has an empty interval")
    _need(len(ends) <= 8, "too many parameters")
    return names, np.array(ends, dtype=np.float64).reshape(-1, 2)


def _halves(box: Array, whole: Array) -> list[Array]:
    """A box of parameters in two parts, across the side that is widest relative to the whole box."""
    axis = int(np.argmax((box[:, 1] - box[:, 0]) / np.maximum(whole[:, 1] - whole[:, 0], TINY)))
    parts = [box.copy(), box.copy()]
    parts[0][axis, 1] = parts[1][axis, 0] = 0.5 * box[axis, 0] + 0.5 * box[axis, 1]
    return parts


def _for_all(loop: Loop, cells: int, holds: Callable[[Loop, Array], Array]) -> Array:
    """Whether something holds on each cell for all parameters: on every part of a coarse or a finer partition."""
    good, boxes = np.zeros(cells, dtype=bool), [loop.box]
    for _ in range(HALVINGS if len(loop.box) else 1):
        fine = ~good
        for box in boxes:
            left = np.nonzero(fine)[0]
            if len(left):
                fine[left] = holds(loop.part(box), left)
        good |= fine
        if good.all() or not len(loop.box):
            break
        boxes = [quarter for box in boxes for half in _halves(box, loop.box) for quarter in _halves(half, loop.box)]
    return good


def _collapsed(x: Sequence[Form], kept: int) -> list[Form]:
    """The same sets with the first symbols and one symbol for the rest of each state."""
    forms = []
    for i, form in enumerate(x):
        G = np.zeros((kept + len(x), len(form.c)))
        G[: min(kept, len(form.G))] = form.G[:kept]
        G[kept + i] = _up(np.abs(form.G[kept:]).sum(axis=0) + form.r)
        forms.append(Form(form.c, G, np.zeros(len(form.c)), form.lo, form.hi))
    return forms


def _advanced(loop: Loop, x: Sequence[Form], steps: int) -> list[Form]:
    forms = list(x)
    for count in range(steps):
        after = loop.step([Number(f) for f in (_collapsed(forms, loop.kept) if count else forms)])
        # a state of which one number may be undefined is none, whatever the next step reads
        undefined = np.isnan([number.value.c for number in after]).any(axis=0)
        forms = [Form(np.where(undefined, np.nan, f.c), f.G, f.r, f.lo, f.hi) for f in (n.value for n in after)]
    return forms


def _boxes(centers: Array, halves: Array) -> list[Form]:
    """Cells, shape (N, n) each, with one symbol per axis."""
    forms = []
    for i in range(centers.shape[1]):
        G = np.zeros((centers.shape[1], len(centers)))
        G[i] = halves[:, i]
        forms.append(Form(centers[:, i], G, np.zeros(len(centers))))
    return forms


def _box_between(lower: Array, upper: Array) -> list[Form]:
    center = 0.5 * lower + 0.5 * upper
    return _boxes(center, np.nextafter(np.maximum(upper - center, center - lower), np.inf))


# -------------------------------------------------------------------------------------------------------- equilibrium


def prove_equilibrium(loop: Loop, lower: Array, upper: Array) -> None:
    """Exactly one zero of g(x) = F(x) - x in the box, for each value of the parameters: part by part of their box."""
    boxes = [loop.box]
    for _ in range(MAX_PARAMETER_PARTS):
        box = boxes.pop()
        if not _has_one_zero(loop.part(box, disturbed=False), lower, upper):
            _need(len(box), "the box is not proved to hold exactly one equilibrium")
            boxes += _halves(box, loop.box)
        if not boxes:
            return
    _reject("the box is not proved to hold exactly one equilibrium for each value of the parameters")


def _has_one_zero(loop: Loop, lower: Array, upper: Array) -> bool:
    """Krawczyk: c - Y g(c) + (I - Y G)(X - c) in the interior of X proves one zero of g in X.

    Y g(c) and I - Y G are forms, in which what is uncertain in several entries cancels.
    """
    n = loop.n
    middle = 0.5 * (lower + upper)
    zero, one = Form.constant(0.0, 1), Form.constant(1.0, 1)
    at = [number.value for number in loop.step([Number(form) for form in _boxes(middle[None], np.zeros((1, n)))])]
    seeds = [[one if i == j else zero for j in range(n)] for i in range(n)]
    x = [Number(form, by) for form, by in zip(_box_between(lower[None], upper[None]), seeds, strict=True)]
    over = loop.step(x)
    if not all(_finite(form) for form in [*at, *(part for number in over for part in number.by)]):
        return False
    g = [form - Form.constant(float(c), 1) for form, c in zip(at, middle, strict=True)]
    G = [[over[i].by[j] - seeds[i][j] for j in range(n)] for i in range(n)]
    try:
        Y = np.linalg.inv(np.array([[float(G[i][j].c[0]) for j in range(n)] for i in range(n)]))
    except np.linalg.LinAlgError:
        return False
    if not np.isfinite(Y).all():
        return False
    lo, hi = ([Fraction(float(value)) for value in part] for part in (lower, upper))
    c = [Fraction(float(value)) for value in middle]
    for i in range(n):
        step = _sum([g[k].times(float(Y[i, k])) for k in range(n)])
        row = [seeds[i][j] - _sum([G[k][j].times(float(Y[i, k])) for k in range(n)]) for j in range(n)]
        if not all(_finite(form) for form in [step, *row]):
            return False
        ends = [Fraction(float(end[0])) for end in step.range()]
        least, most = c[i] - ends[1], c[i] - ends[0]
        for j, entry in enumerate(row):
            spread = sorted(Fraction(float(p[0])) * q for p in entry.range() for q in (lo[j] - c[j], hi[j] - c[j]))
            least, most = least + spread[0], most + spread[-1]
        if not (lo[i] < least and most < hi[i]):
            return False
    return True


def _finite(form: Form) -> bool:
    return bool(all(np.isfinite(end).all() for end in form.range()))


# ---------------------------------------------------------------------------------------------------------- ellipsoids


class Ellipsoid:
    """{x : |T (x - center)| <= radius}, and S near T^-1 with |T S - I| <= gap, proved."""

    def __init__(self, fields: Any, n: int, extra: set[str]) -> None:
        fields = _fields(fields, {"center", "T", "radius", *extra}, "an ellipsoid")
        self.center, self.T = _vector(fields["center"], n), _matrix(fields["T"], n, n)
        self.radius = _number(fields["radius"])
        _need(LEAST <= self.radius <= MOST, "the radius of an ellipsoid is not between 2^-400 and 2^400")
        try:
            self.S = np.linalg.inv(self.T)
        except np.linalg.LinAlgError:
            _reject("an ellipsoid is flat")
        _need(np.isfinite(self.S).all(), "an ellipsoid is flat")
        T, S = ([[Fraction(float(v)) for v in row] for row in part] for part in (self.T, self.S))
        total = Fraction(0)
        for i in range(n):
            for j in range(n):
                total += abs(sum((T[i][k] * S[k][j] for k in range(n)), Fraction(-int(i == j))))
        _need(total < Fraction(1, 10**6), "an ellipsoid is too flat")
        self.gap = float(total) * (1 + 2.0**-40) + TINY

    def coordinates(self, x: Sequence[Form]) -> list[Form]:
        """T (x - center)."""
        away = [form - Form.constant(float(c), len(form.c)) for form, c in zip(x, self.center, strict=True)]
        return [_sum([part.times(float(t)) for t, part in zip(row, away, strict=True)]) for row in self.T]

    def holds(self, x: Sequence[Form]) -> Array:
        """Whether every point of each cell lies inside: the corners of its zonotope do, or a bound over all of it."""
        z = self.coordinates(x)
        count = len(z[0].G)
        C, G = np.stack([form.c for form in z]), np.stack([form.G for form in z])
        rest = _norms([form.r for form in z], 0)
        size = np.sum([np.abs(form.c) + np.abs(form.G).sum(axis=0) for form in z], axis=0)
        if count <= CORNERS:
            worst = np.zeros(len(rest))
            for signs in range(2**count):
                sign = np.array([1.0 if signs >> j & 1 else -1.0 for j in range(count)])
                worst = np.maximum(worst, _norms(C + sign @ G, 0))
        else:  # |C + G e|^2 <= |C|^2 + 2 sum |G'C| + sum |G'G|
            slope, gram = np.einsum("ikc,ic->kc", G, C), np.einsum("ikc,ilc->klc", G, G)
            worst = np.sum(C**2, axis=0) + 2.0 * np.abs(slope).sum(axis=0) + np.abs(gram).sum(axis=(0, 1))
            worst = np.sqrt(worst + 2.0**-40 * size**2) + 2.0**-500
        return _up(worst + rest + 8 * (count + 2) * U * size) <= self.radius

    def points(self, centers: Array, halves: Array) -> list[Form]:
        """center + S z for cells of z."""
        z = _boxes(centers, halves)
        return [
            _sum([part.times(float(s)) for s, part in zip(row, z, strict=True)]) + Form.constant(float(c), len(centers))
            for row, c in zip(self.S, self.center, strict=True)
        ]


def _sum(forms: Sequence[Form]) -> Form:
    total = forms[0]
    for form in forms[1:]:
        total = total + form
    return total


def _cover(
    n: int, reach: float, deep: int, prove: Callable[[Array, Array], Array], what: str, bends: Array | None = None
) -> int:
    """Prove something on cells that cover the ball |z| <= reach; those where it fails are halved along their longest
    axis, squared and weighted by `bends`. Returns how many.

    Cells are boxes of integers at level L_i: z_i in reach 2^(1 - L_i) [k, k+1] - reach; their forms are a bit larger.
    """
    levels, used = np.full(n, FIRST_LEVEL[n - 1]), 0
    weights = np.ones(n) if bends is None else bends
    places = np.stack(np.meshgrid(*[np.arange(2**level) for level in levels], indexing="ij"), axis=-1).reshape(-1, n)
    while len(places):
        _clock.tick()
        width = reach * 2.0 ** (1 - levels)
        centers = (places + (0.5 - 2.0 ** (levels - 1))) * width
        halves = np.broadcast_to(0.5 * width * (1 + 2.0**-40) + 2.0**-50 * reach, centers.shape)
        near = np.sum(np.maximum(np.abs(centers) - halves, 0.0) ** 2, axis=1) * (1 - 2.0**-40) <= reach * reach
        places, centers, halves = places[near], centers[near], halves[near]
        used += len(places)
        turn = int(np.argmax(width**2 * weights))
        _need(levels[turn] <= deep and used <= MAX_COVER, f"{what}: not proved after {used} cells")
        left = []
        for start in range(0, len(places), CHUNK):
            _clock.tick()
            part = slice(start, start + CHUNK)
            left.append(places[part][~prove(centers[part], halves[part])])
        if left:
            places = np.concatenate(left)
            places[:, turn] *= 2
            places = np.concatenate([places, places + np.eye(n, dtype=places.dtype)[turn]])
            levels[turn] += 1
    return used


def _children(places: Array) -> Array:
    n = places.shape[1]
    corners = np.stack(np.meshgrid(*[np.arange(2)] * n, indexing="ij"), axis=-1).reshape(-1, n)
    return (2 * places[:, None, :] + corners).reshape(-1, n)


def prove_core(loop: Loop, core: Ellipsoid, lower: Array, upper: Array, stages: Any) -> tuple[int, float | None]:
    """|T M T^-1| < 1 for all Jacobians M on the ball about each x* that holds the core (mean value theorem).

    With errors |d| <= a of the action, |T (F_d(x) - x*)| <= rate |T (x - x*)| + push on a ball of radius R that
    push <= (1 - rate) R keeps invariant: from it every trajectory enters the ball of radius push / (1 - rate) < radius
    and stays. Each stage proves it on the ball of the one before. Returns how many cells, and the last radius.
    """
    offset = _offset(core, lower, upper)
    R, used = _up(core.radius + offset), 0
    _need(loop.disturbed == bool(stages) and len(stages) <= 8, "errors of the action and a final ball belong together")
    if not loop.disturbed:
        return _contracts(loop, core, R + offset, None), None
    for fields in stages:
        fields = _fields(fields, {"rate", "push", "radius"}, "a stage of the final ball")
        rate, push, radius = (Fraction(_number(fields[name])) for name in ("rate", "push", "radius"))
        _need(0 <= rate < 1 and 0 < push < (1 - rate) * radius, "a final ball is not invariant")
        _need(radius <= Fraction(float(R)), "a final ball is larger than what it is entered from")
        used += _contracts(loop, core, _up(R + offset), (float(rate), float(push)))
        R = float(radius)
    return used, R


def _offset(core: Ellipsoid, lower: Array, upper: Array) -> float:
    """At least |T (x* - center)|, less than the radius."""
    offset = _norm_up(core.coordinates(_box_between(lower[None], upper[None])))
    _need(offset < core.radius, "the core does not hold the equilibrium")
    return offset


def _contracts(loop: Loop, core: Ellipsoid, reach: float, limits: tuple[float, float] | None) -> int:
    """The bounds on {|T (x - center)| <= reach} for all parameters; without errors of the action the rate alone."""
    n, m = loop.n, loop.network.n_out
    rate, push = limits or (1.0, math.inf)

    def prove(centers: Array, halves: Array) -> Array:
        x = core.points(centers, halves)

        def holds(part: Loop, left: Array) -> Array:
            seeds = [[Form.constant(float(core.S[i, j]), len(left)) for j in range(n)] for i in range(n)]
            start = [Number(form.take(left), by) for form, by in zip(x, seeds, strict=True)]
            after = part.step(start, limits is not None)
            A = [[_sum([after[k].by[j].times(float(row[k])) for k in range(n)]) for j in range(n)] for row in core.T]
            # T M T^-1 = (T M S)(T S)^-1 and |(T S)^-1| <= 1 / (1 - gap)
            good = _up(_spectral(A) * (1.0 + 2.0 * core.gap)) < rate
            if limits is not None:
                columns = [
                    _norms_up([_sum([after[k].by[n + j].times(float(row[k])) for k in range(n)]) for row in core.T])
                    for j in range(m)
                ]
                good &= _up(np.sum(columns, axis=0)) < push
            return good

        return _for_all(loop, len(centers), holds)

    return _cover(n, reach * (1.0 + 2.0 * core.gap + 2.0**-40), 14, prove, "the core does not contract")


def _norms_up(z: Sequence[Form]) -> Array:
    """At least the Euclidean norm of vectors of forms."""
    return _up(_norms([np.max(np.abs(form.range()), axis=0) for form in z], 0))


def _norm_up(z: Sequence[Form]) -> float:
    return float(_norms_up(z)[0])


def _spectral(A: Sequence[Sequence[Form]]) -> Array:
    """At least the spectral norm of matrices of forms: that of the centre, and Frobenius' of the rest."""
    n = len(A)
    count = max(len(entry.G) for row in A for entry in row)
    parts = np.array([[np.concatenate([e.c[None], _padded(e.G, count), e.r[None]]) for e in row] for row in A])
    C = np.moveaxis(parts[:, :, 0], -1, 0)
    finite = np.isfinite(parts).all(axis=(0, 1, 2))
    C = np.where(finite[:, None, None], C, 0.0)
    left, _, right = np.linalg.svd(C)
    # D = U' C V' for any U, V: |C| <= |D| / (smin(U) smin(V)), smin^2 >= 1 - |U'U - I|
    D = np.swapaxes(left, 1, 2) @ C @ np.swapaxes(right, 1, 2)
    size = n**4 * 8 * U * np.max(np.abs(C), axis=(1, 2))
    norm = np.sqrt(np.max(np.abs(D).sum(axis=1), axis=1) * np.max(np.abs(D).sum(axis=2), axis=1)) + n * size
    skew = np.maximum(*(np.abs(np.swapaxes(V, 1, 2) @ V - np.eye(n)).sum(axis=(1, 2)) for V in (left, right)))
    centre = norm * (1.0 + 2.0 * (skew + n**4 * 8 * U))
    columns = _norms(parts[:, :, 1:], 0).sum(axis=1)
    rest = _norms(columns, 0)
    return np.where(finite & (skew < 1e-3), _up(centre + rest), np.inf)


def prove_decrease(loop: Loop, outer: Ellipsoid, steps: int, before: Sequence[Ellipsoid]) -> int:
    """Wherever V(x) <= radius^2 outside the sets before, V = |T (x - center)|^2: for a j <= steps, V(F^j(x)) < V(x), or
    F^j(x) lies in one of these sets. Which, is tried as the centre of a cell suggests in floating point."""

    def prove(centers: Array, halves: Array) -> Array:
        # |T (x - center)| = |T S z| >= (1 - gap) |z|
        lowest = np.sqrt(np.sum(np.maximum(np.abs(centers) - halves, 0.0) ** 2, axis=1)) * (1.0 - outer.gap - 2.0**-40)
        done = lowest > outer.radius
        x = outer.points(centers, halves)
        which, depth = _deepest([form.c for form in x], before)
        _hold(done, np.arange(len(done)), np.where(depth >= 0.0, which, -1), x, before)
        left = np.nonzero(~done)[0]
        when, where = _route(loop, outer, before, [form.c[left] for form in x], centers[left], steps)
        start = [form.take(left) for form in x]

        def falls(part: Loop, some: Array) -> Array:
            """Whether the plan is proved on the cells of `left` numbered `some`, for a part of the parameters."""
            good, rest = np.zeros(len(left), dtype=bool), some[when[some] > 0]
            forms, count = [form.take(rest) for form in start], 0
            while len(rest):
                forms, count = _advanced(part, _collapsed(forms, loop.kept) if count else forms, 1), count + 1
                due = when[rest] == count
                if due.any():
                    landed = [form.take(due) for form in forms]
                    here, to = rest[due], where[rest[due]]
                    _hold(good, here, to, landed, before)
                    here, landed = here[to < 0], [form.take(to < 0) for form in landed]
                    cells = left[here]
                    growth = _growth(outer.coordinates(landed), centers[cells], halves[cells], outer.gap)
                    good[here] |= growth < 0.0
                    rest, forms = rest[~due], [form.take(~due) for form in forms]
            return good[some]

        done[left] = _for_all(loop, len(left), falls)
        return done

    reach = outer.radius * (1.0 + 2.0 * outer.gap + 2.0**-40)
    return _cover(loop.n, reach, 32, prove, "V does not decrease", _bends(loop, outer))


def _bends(loop: Loop, outer: Ellipsoid) -> Array:
    """How much the loop bends along each axis of z, by second differences in floating point: a guide, no proof."""
    n, points = loop.n, np.random.default_rng(1).uniform(-1.0, 1.0, (96, loop.n)) * outer.radius / math.sqrt(loop.n)
    step = 0.2 * outer.radius

    def image(z: Array) -> Array:
        x = outer.center[:, None] + outer.S @ z.T
        after = loop.step([Number(Form(row, np.zeros((0, len(row))), np.zeros(len(row)))) for row in x])
        return outer.T @ np.stack([number.value.c for number in after])

    middle = 2.0 * image(points)
    bends = [np.sqrt(np.sum((image(points + e) + image(points - e) - middle) ** 2, 0)).mean() for e in step * np.eye(n)]
    most = float(np.max(bends))
    return np.maximum(bends, 0.1 * most) if 0.0 < most < math.inf else np.ones(n)


def _deepest(x: Sequence[Array], sets: Sequence[Ellipsoid]) -> tuple[Array, Array]:
    """The set that seems to hold each point most deeply: its number, and 1 - abs(T (x - center))^2 / radius^2."""
    which, depth = np.full(len(x[0]), -1), np.full(len(x[0]), -np.inf)
    for i, one in enumerate(sets):
        inside = 1.0 - np.sum((one.T @ (np.stack(x) - one.center[:, None])) ** 2, axis=0) / one.radius**2
        which, depth = np.where(inside > depth, i, which), np.maximum(inside, depth)
    return which, depth


def _hold(done: Array, places: Array, holder: Array, forms: Sequence[Form], sets: Sequence[Ellipsoid]) -> None:
    """Mark the cells, numbered `places`, whose forms are proved to lie in the set that seems to hold them."""
    for i in np.unique(holder[holder >= 0]):
        some = np.nonzero(holder == i)[0]
        done[places[some]] |= sets[i].holds([form.take(some) for form in forms])


def _route(
    loop: Loop, outer: Ellipsoid, before: Sequence[Ellipsoid], x: Sequence[Array], z: Array, steps: int
) -> tuple[Array, Array]:
    """For each point: after how many steps V has clearly fallen (-1) or which set is entered deeply, else the best."""
    when, where = np.ones(len(z), dtype=np.int64), np.full(len(z), -1)
    if steps == 1 or not len(z):
        return when, where
    when[:] = 0
    value = np.sum(z * z, axis=1)
    best, moving = np.zeros(len(z)), np.arange(len(z))
    for count in range(1, steps + 1):
        empty = [Form(c, np.zeros((0, len(c))), np.zeros(len(c))) for c in x]
        x = [number.value.c for number in loop.step([Number(form) for form in empty])]
        after = np.sum((outer.T @ (np.stack(x) - outer.center[:, None])) ** 2, axis=0)
        room = 1.0 - after / np.maximum(value[moving], TINY)
        which, depth = _deepest(x, before)
        score, deep = room / 0.03, depth / 0.2
        enters = (score < 1.0) & (deep > score)
        score, goal = np.where(enters, deep, score), np.where(enters, which, -1)
        better = score > best[moving]
        chosen = moving[better]
        when[chosen], where[chosen], best[chosen] = count, goal[better], score[better]
        on = (score < 1.0) & np.isfinite(room)
        moving, x = moving[on], [c[on] for c in x]
        if not len(moving):
            break
    return when, where


def _growth(new: Sequence[Form], centers: Array, halves: Array, gap: float) -> Array:
    """At least |new|^2 - |T S z|^2 for z = centers + halves e, |TS - I| <= gap: one quadratic a + l'e + e'Qe.

    At most a + sum_j max of (l_j e_j + Q_jj e_j^2) + sum of |Q_ij|, i != j. Each part of the sums is rounded a few
    hundred times at most: 2^-40 relative to `size`, the squares of all reaches, is more than enough.
    """
    k, n = max(len(halves.T), *(len(form.G) for form in new)), len(new)
    A, R = np.stack([form.c for form in new]), np.stack([form.r for form in new])
    G = np.stack([_padded(form.G, k) for form in new])
    reach = np.abs(A) + np.abs(G).sum(axis=1)
    far = np.sum((np.abs(centers) + halves) ** 2, axis=1)
    size = np.sum((reach + R) ** 2, axis=0) + far
    Q = np.einsum("ikc,ilc->klc", G, G)
    slope = 2.0 * np.einsum("ic,ikc->kc", A, G)
    for i in range(n):
        Q[i, i] -= halves[:, i] ** 2
        slope[i] -= 2.0 * centers[:, i] * halves[:, i]
    square, slope = np.einsum("kkc->kc", Q), np.abs(slope)
    peak = (square < 0) & (slope <= -2.0 * square)
    along = np.where(peak, slope**2 / np.where(peak, -4.0 * square, 1.0), slope + square)
    mixed = np.abs(Q).sum(axis=(0, 1)) - np.abs(square).sum(axis=0)
    rest = np.sum(2.0 * reach * R + R**2, axis=0)
    start = np.sum(A**2, axis=0) - np.sum(centers**2, axis=1)
    return start + along.sum(axis=0) + mixed + rest + 3.0 * gap * far + 2.0**-40 * size + TINY


# ------------------------------------------------------------------------------------------------------------- sectors


class Near:
    """The matrices within `rad` of `mid`, entry by entry."""

    def __init__(self, mid: Array, rad: Array | None = None) -> None:
        self.mid, self.rad = mid, np.zeros(mid.shape) if rad is None else rad

    def __matmul__(self, other: Near) -> Near:
        size = np.abs(other.mid)
        rad = np.abs(self.mid) @ _up(other.rad + _gamma(len(size) + 2) * size) + self.rad @ (size + other.rad)
        return Near(self.mid @ other.mid, _up(rad))

    def __add__(self, other: Near) -> Near:
        mid = self.mid + other.mid
        return Near(mid, _up(self.rad + other.rad + 2 * U * np.abs(mid)))

    def __neg__(self) -> Near:
        return Near(-self.mid, self.rad)

    def scaled(self, factors: Array) -> Near:
        """diag(factors) times the matrix."""
        mid = factors[:, None] * self.mid
        return Near(mid, _up(np.abs(factors[:, None]) * self.rad + 2 * U * np.abs(mid)))

    @property
    def T(self) -> Near:
        return Near(self.mid.T, self.rad.T)

    def definite(self) -> bool:
        """Whether every symmetric matrix in this set is positive definite.

        With D diagonal of powers of two, A = D mid D has a diagonal near 1. For any R and c: if each row sum of
        |A - c I - R R'| plus the scaled radii is below c, then A + E > R R' >= 0 for all |E| <= the radii (Gershgorin).
        """
        n, diagonal = len(self.mid), np.diagonal(self.mid)
        if not (np.isfinite(self.mid).all() and np.isfinite(self.rad).all() and (diagonal > 0).all()):
            return False
        scale = np.ldexp(1.0, -np.frexp(diagonal)[1] // 2)
        A, rad = self.mid * np.outer(scale, scale), _up(self.rad * np.outer(scale, scale))
        rad = _up(rad + np.abs(A - A.T))
        A = np.tril(A) + np.tril(A, -1).T
        c = float(8 * n * (n + 2) * U + 4 * rad.sum(axis=1).max())
        try:
            R = np.linalg.cholesky(A - c * np.eye(n))
        except np.linalg.LinAlgError:
            return False
        rest = np.abs((A - c * np.eye(n)) - R @ R.T) + _gamma(n + 4) * (
            np.abs(A) + c * np.eye(n) + np.abs(R) @ np.abs(R).T
        )
        return bool(np.max(_up(_up(rest + rad).sum(axis=1))) < c)


CONSTANT, PARAMETER, STATE = range(3)


class Deviation:
    """Quantities q_i of the loop about their values at rest, which lie in [lo, hi]: q - q* = rows (e, w_1, w_2, ...),

    and in {G z + d : |z| <= 1, |d| <= r}."""

    def __init__(self, rest: tuple[Array, Array], rows: Near, G: Array, r: Array, kind: int = STATE) -> None:
        self.lo, self.hi = rest
        self.rows, self.G, self.r, self.kind = rows, G, r, kind

    def reach(self) -> Array:
        return _up(_norms(self.G, 1) + self.r)

    def range(self) -> tuple[Array, Array]:
        reach = self.reach()
        slack = 4.0 * U * (np.maximum(np.abs(self.lo), np.abs(self.hi)) + reach)
        return self.lo - reach - slack, self.hi + reach + slack

    def moved(self, matrix: Near, rest: tuple[Array, Array]) -> Deviation:
        """matrix times the deviations."""
        G = matrix @ Near(self.G)
        r = _up((np.abs(matrix.mid) + matrix.rad) @ self.r + _norms(G.rad, 1))
        return Deviation(rest, matrix @ self.rows, G.mid, r, self.kind)


class Sectors:
    """Lyapunov's theorem for the nonlinear loop: each nonlinear operation of policy and equations is a signal w, in a
    stated sector about the equilibrium, (w - alpha dv)(w - beta dv) <= 0, on {|T (x - x*)| <= radius}.

    With w = middle dv + half s, |s| <= |dv|: if over all signals e'Pe - e+'P e+ + sum of t_i (a_i b_i' + b_i a_i') > 0,
    a_i = s_i - dv_i, b_i = s_i + dv_i, t_i >= 0, P = T'T, then e'Pe falls in the ellipsoid until e = x - x* vanishes.
    """

    def __init__(self, loop: Loop, blocks: Any, core: Ellipsoid, radius: float) -> None:
        self.loop, self.core = loop, core
        self.radius = float(_up(_up(radius) * (1.0 + 2.0 * core.gap)))
        self.blocks = [_matrix(block, None, 4) for block in _list(blocks, "the sectors")]
        self.width = loop.n + sum(len(block) for block in self.blocks)
        _need(self.width <= MAX_WIDTH, "too many channels")
        self.used, self.place = 0, loop.n
        self.kept = np.zeros(self.width, dtype=bool)
        self.kept[: loop.n] = True
        self.total = Near(np.zeros((self.width, self.width)))

    def prove(self, lower: Array, upper: Array) -> int:
        """For every equilibrium between two corners; returns the number of channels."""
        n, loop = self.loop.n, self.loop
        rest = [Number(form) for form in _box_between(lower[None], upper[None])]
        given = [Number(form) for form in loop._given(1)]
        G = np.abs(self.radius) * self.core.S
        rounding = _up(2 * U * _norms(G, 1))
        x = [self._one(form, self._unit(i), G[i], rounding[i], STATE) for i, form in enumerate(rest)]
        p = [self._one(form, np.zeros(self.width), np.zeros(n), 0.0, PARAMETER) for form in given]
        observed, y = self._program(loop.observe_program, [*rest, *given], [*x, *p])
        actions, ranges, _ = loop.network([number.value for number in observed])
        u = self._network(_stack(y), ranges)
        numbers = [Number(action) for action in actions]
        parts = [
            Deviation(_ends(number), Near(u.rows.mid[i : i + 1], u.rows.rad[i : i + 1]), u.G[i : i + 1], u.r[i : i + 1])
            for i, number in enumerate(numbers)
        ]
        _, after = self._program(loop.step_program, [*rest, *numbers, *given], [*x, *parts, *p])
        _need(self.used == len(self.blocks), "there are more sectors than nonlinear operations")
        P = Near(self.core.T.T.copy()) @ Near(self.core.T)
        E, F = Near(np.eye(n, self.width)), _stack(after).rows
        matrix = (E.T @ (P @ E)) + -(F.T @ (P @ F)) + (self.total + self.total.T)
        kept = np.ix_(self.kept, self.kept)
        proved = Near(matrix.mid[kept], matrix.rad[kept]).definite()
        _need(proved, "the Lyapunov function is not proved to decrease by the sectors")
        return int(self.kept.sum()) - n

    def _unit(self, place: int) -> Array:
        row = np.zeros(self.width)
        row[place] = 1.0
        return row

    def _one(self, rest: Number, row: Array, G: Array, r: float, kind: int) -> Deviation:
        return Deviation(_ends(rest), Near(row[None]), G[None], np.array([r]), kind)

    def _program(
        self, program: Program, rest: Sequence[Number], given: Sequence[Deviation]
    ) -> tuple[list[Number], list[Deviation]]:
        """Values at rest and deviations of the outputs."""
        numbers, parts = list(rest), list(given)
        for value in program.constants:
            numbers.append(Number(Form.constant(value, 1)))
            parts.append(self._one(numbers[-1], np.zeros(self.width), np.zeros(self.loop.n), 0.0, CONSTANT))
        for name, places in program.code:
            operands = [numbers[place] for place in places]
            limit = program.constants[places[1] - program.inputs] if name in LIMITS else 0.0
            if name in UNARY:
                numbers.append(UNARY[name](operands[0]))
            elif name in BINARY:
                numbers.append(BINARY[name](*operands))
            else:
                numbers.append(LIMITS[name](operands[0], limit))
            parts.append(self._instruction(name, [parts[place] for place in places], limit, _ends(numbers[-1])))
        return [numbers[place] for place in program.outputs], [parts[place] for place in program.outputs]

    def _instruction(self, name: str, given: Sequence[Deviation], limit: float, rest: tuple[Array, Array]) -> Deviation:
        kind = max(part.kind for part in given)
        if kind < STATE:
            return Deviation(rest, Near(np.zeros((1, self.width))), np.zeros((1, self.loop.n)), np.zeros(1), kind)
        if name in _SIGNS:
            return _stack(given).moved(Near(np.array([_SIGNS[name]])), rest)
        if name == "mul":
            a, b = sorted(given, key=lambda part: part.kind)
            return self._product(a, b, rest)
        if name == "div":
            return self._quotient(given[0], given[1], rest)
        v = given[0]
        return self._signal(v, lambda line: _secants(_SLOPES[name](limit), v.lo, v.hi, v.reach(), line), rest)

    def _product(self, a: Deviation, b: Deviation, rest: tuple[Array, Array]) -> Deviation:
        """a b - a* b* = b* da + a db; a is known if it does not depend on the state."""
        if a.kind == CONSTANT:
            return b.moved(_interval(a.lo, a.hi), rest)
        w = self._gain(*a.range(), b, rest)
        if a.kind == PARAMETER:
            return w
        return _stack([a.moved(_interval(b.lo, b.hi), rest), w]).moved(Near(np.ones((1, 2))), rest)

    def _quotient(self, a: Deviation, b: Deviation, rest: tuple[Array, Array]) -> Deviation:
        """a / b - a* / b* = (da - (a* / b*) db) / b."""
        lo, hi = b.range()
        _need(lo[0] > 0 or hi[0] < 0, "a divisor may be zero on the ellipsoid")
        low, high = (1.0 / hi) * (1 - 4 * U * np.sign(hi)), (1.0 / lo) * (1 + 4 * U * np.sign(lo))
        if b.kind == CONSTANT:
            return a.moved(_interval(low, high), rest)
        q = _interval(*rest)
        v = _stack([a, b]).moved(Near(np.hstack([np.ones((1, 1)), -q.mid]), np.hstack([np.zeros((1, 1)), q.rad])), rest)
        return self._gain(low, high, v, rest)

    def _gain(self, low: Array, high: Array, v: Deviation, rest: tuple[Array, Array]) -> Deviation:
        """w = g dv, g between two numbers."""

        def bounds(line: Array) -> tuple[Array, Array, Array]:
            return low, high, _up(np.maximum(np.abs(high - line), np.abs(line - low)) * v.reach())

        return self._signal(v, bounds, rest)

    def _network(self, y: Deviation, ranges: Sequence[tuple[Array, Array]]) -> Deviation:
        left, v = iter(ranges), y
        for layer in self.loop.network.layers:
            if layer.kind == "affine":
                v = v.moved(Near(layer.W), (v.lo, v.hi))
                continue
            lo, hi = (end[0] for end in next(left))
            v = Deviation((lo, hi), v.rows, v.G, v.r)
            reach = v.reach()

            def bounds(line: Array, layer: Layer = layer, v: Deviation = v, reach: Array = reach) -> Any:
                return _secants(layer.slopes, v.lo, v.hi, reach, line)

            v = self._signal(v, bounds, (lo, hi))
        return v

    def _signal(
        self, v: Deviation, bounds: Callable[[Array], tuple[Array, Array, Array]], rest: tuple[Array, Array]
    ) -> Deviation:
        """The next group of signals, driven by v: its stated sectors hold, and its lines are as good as they are."""
        _need(self.used < len(self.blocks), "there are fewer sectors than nonlinear operations")
        block = self.blocks[self.used]
        _need(len(block) == len(v.r), "a group of sectors has the wrong size")
        alpha, beta, line, t = block.T
        _need(np.all(alpha <= beta) and np.all(t >= 0), "a sector is empty, or a multiplier negative")
        low, high, error = bounds(line)
        _need(np.all(np.isfinite(error)), "an operation is not bounded on the ellipsoid")
        holds = np.all(alpha <= low) and np.all(high <= beta)
        _need(holds, f"the sectors of group {self.used} do not hold on the ellipsoid")
        places = self.place + np.arange(len(block))
        self.used, self.place = self.used + 1, self.place + len(block)
        straight = alpha == beta
        own = Near(np.zeros((len(block), self.width)))
        own.mid[np.arange(len(block)), places] = 1.0
        # w = middle dv + half s with |s| <= |dv|
        middle = np.where(straight, alpha, 0.5 * alpha + 0.5 * beta)
        half = np.where(straight, 0.0, np.nextafter(np.maximum(beta - middle, middle - alpha), np.inf))
        self.total = self.total + (own + -v.rows).T @ (own + v.rows).scaled(np.where(straight, 0.0, t))
        self.kept[places] = ~straight
        rows = v.rows.scaled(middle) + own.scaled(half)
        G = line[:, None] * v.G
        r = _up(np.abs(line) * v.r + 2 * U * _norms(G, 1) + error)
        return Deviation(rest, rows, G, r)


_SIGNS = {"add": (1.0, 1.0), "sub": (1.0, -1.0), "neg": (-1.0,)}


def _ends(number: Number) -> tuple[Array, Array]:
    return number.value.range()


def _interval(lo: Array, hi: Array) -> Near:
    mid = 0.5 * lo + 0.5 * hi
    return Near(mid[None], _up(np.maximum(hi - mid, mid - lo) + 2 * U * np.abs(mid))[None])


def _stack(parts: Sequence[Deviation]) -> Deviation:
    lo, hi, G, r = (np.concatenate([getattr(part, name) for part in parts]) for name in ("lo", "hi", "G", "r"))
    rows = Near(np.vstack([part.rows.mid for part in parts]), np.vstack([part.rows.rad for part in parts]))
    return Deviation((lo, hi), rows, G, r)


def _secants(slopes: Callable[[Array, Array], Any], lo: Array, hi: Array, reach: Array, line: Array) -> Any:
    """Bounds of (phi(v + d) - phi(v)) / d for v in [lo, hi] and |d| <= reach, and of |phi(v + d) - phi(v) - line d|.

    phi(v + d) - phi(v) is the integral of the slopes between. On pieces of equal length with bounds of the slopes, the
    mean up to a point within a piece lies between those up to its ends; so does the integral of phi' - line.
    """
    length = _up(reach / PIECES)
    edges = np.arange(PIECES + 1)[:, None] * length
    slack = 8 * U * (np.maximum(np.abs(lo), np.abs(hi)) + edges[-1])
    starts = np.stack([lo + edges[:-1], lo - edges[1:]]) - slack
    stops = np.stack([hi + edges[1:], hi - edges[:-1]]) + slack
    least, most = (np.broadcast_to(part, starts.shape) for part in slopes(starts, stops))
    count = np.arange(1, PIECES + 1)[:, None]
    size = 2.0**-40 * np.maximum(np.abs(least), np.abs(most)).max(axis=(0, 1))
    low = (np.cumsum(least, axis=1) / count).min(axis=(0, 1)) - size
    high = (np.cumsum(most, axis=1) / count).max(axis=(0, 1)) + size
    floor, top = least.min(axis=(0, 1)), most.max(axis=(0, 1))
    above = np.cumsum(most - line, axis=1).max(axis=(0, 1))
    below = np.cumsum(least - line, axis=1).min(axis=(0, 1))
    error = _up((np.maximum(above, -below) + PIECES * (size + 2.0**-40 * np.abs(line))) * length)
    exact = (floor == top) & (floor == line)
    return np.maximum(low, floor), np.minimum(high, top), np.where(exact, 0.0, error)


def _cosine(v: Array, half: Array) -> tuple[Array, Array]:
    """Bounds of cos within `half` of v."""
    value, away = np.cos(v), np.abs(np.sin(v)) * half + 0.5 * half * half
    slack = LIBM * (1.0 + half)
    return np.maximum(value - away - slack, -1.0), np.minimum(value + away + slack, 1.0)


def _turned(lo: Array, hi: Array, shift: float) -> tuple[Array, Array]:
    """Bounds of cos(v + shift) on [lo, hi]."""
    middle = 0.5 * (lo + hi)
    half = np.maximum(hi - middle, middle - lo) + 16 * U * (1.0 + np.maximum(np.abs(lo), np.abs(hi)))
    return _cosine(middle + shift, half)


def _padded_slopes(least: Array, most: Array) -> tuple[Array, Array]:
    return least - LIBM * np.abs(least) - TINY, most + LIBM * np.abs(most) + TINY


def _near_far(lo: Array, hi: Array) -> tuple[Array, Array]:
    """The least and the greatest absolute values."""
    near = np.where((lo < 0) & (hi > 0), 0.0, np.minimum(np.abs(lo), np.abs(hi)))
    return near, np.maximum(np.abs(lo), np.abs(hi))


def _arctan_slopes(lo: Array, hi: Array) -> tuple[Array, Array]:
    near, far = _near_far(lo, hi)
    return _padded_slopes(1.0 / (1.0 + far * far), 1.0 / (1.0 + near * near))


def _tanh_slopes(lo: Array, hi: Array) -> tuple[Array, Array]:
    near, far = _near_far(lo, hi)
    return 1.0 - np.tanh(far) ** 2 - 4 * LIBM, np.minimum(1.0 - np.tanh(near) ** 2 + 4 * LIBM, 1.0)


Slopes = Callable[[Array, Array], tuple[Array, Array]]
_SLOPES: dict[
    str, Callable[[float], Slopes]
] = {  # bounds of the derivative on an interval; the limit of a clip is given
    "sin": lambda limit: lambda lo, hi: _turned(lo, hi, 0.0),
    "cos": lambda limit: lambda lo, hi: _turned(lo, hi, 0.5 * math.pi),
    "square": lambda limit: lambda lo, hi: (2.0 * lo, 2.0 * hi),
    "sqrt": lambda limit: lambda lo, hi: _padded_slopes(0.5 / np.sqrt(hi), 0.5 / np.sqrt(lo)),
    "exp": lambda limit: lambda lo, hi: _padded_slopes(np.exp(lo), np.exp(hi)),
    "tanh": lambda limit: _tanh_slopes,
    "arctan": lambda limit: _arctan_slopes,
    "abs": lambda limit: lambda lo, hi: (np.where(lo > 0, 1.0, -1.0), np.where(hi < 0, -1.0, 1.0)),
    "at_least": lambda limit: lambda lo, hi: (np.where(lo > limit, 1.0, 0.0), np.where(hi < limit, 0.0, 1.0)),
    "at_most": lambda limit: lambda lo, hi: (np.where(hi < limit, 1.0, 0.0), np.where(lo > limit, 0.0, 1.0)),
}


# --------------------------------------------------------------------------------------------------------------- cells


class Grid:
    """Cells low + i width / 2^level; `rank` is the number of the record that holds a cell, at the present level."""

    def __init__(self, fields: Any, n: int) -> None:
        fields = _fields(fields, {"low", "width", "angles"}, "a grid")
        self.low, self.width = _vector(fields["low"], n), _vector(fields["width"], n)
        self.angles = _list(fields["angles"], "a grid")
        _need(len(self.angles) == n and all(type(flag) is bool for flag in self.angles), "a grid has strange angles")
        _need_sides(self.width, "a grid")
        self.high = self.low + self.width
        self.level, self.rank = 0, np.full((1,) * n, UNMARKED, dtype=np.int32)

    def refine(self, level: int) -> None:
        n = len(self.low)
        _need(self.level <= level <= MAX_GRID.bit_length(), "the levels of a grid fall, or are too many")
        _need(2 ** (level * n) <= MAX_GRID, "a grid has too many cells for this checker")
        for low, width in zip(self.low, self.width, strict=True):
            ends = [Fraction(float(low)), Fraction(float(width))]
            unit = Fraction(1, max(end.denominator for end in ends) * 2 ** (level + MAX_DEPTH))
            _need((abs(ends[0]) + ends[1]) / unit < 2**52, "the edges of a grid are not exact numbers")
        for axis in range(n):
            self.rank = np.repeat(self.rank, 2 ** (level - self.level), axis=axis)
        self.level = level

    def covers(self, lower: Array, upper: Array, below: Array) -> Array:
        """Whether the boxes, shape (N, n), lie in cells of ranks less than `below`."""
        covered = np.isfinite(lower).all(axis=1) & np.isfinite(upper).all(axis=1) & np.all(lower <= upper, axis=1)
        rows = np.nonzero(covered)[0]
        lower, upper = lower[rows], upper[rows]
        for axis in np.nonzero(self.angles)[0]:
            rows, lower, upper = self._wrapped(rows, lower, upper, int(axis))
        inside = np.all((lower >= self.low) & (upper <= self.high), axis=1)
        covered[rows[~inside]] = False
        rows, lower, upper = rows[inside], lower[inside], upper[inside]
        cell, last = self.width / 2**self.level, 2**self.level - 1
        first = np.clip(np.floor((lower - self.low) / cell), 0, last).astype(np.int64)
        end = np.clip(np.ceil((upper - self.low) / cell) - 1, 0, last).astype(np.int64)
        first = np.clip(first - (self.low + first * cell > lower), 0, last)  # the edges are exact
        end = np.clip(np.maximum(end + (self.low + (end + 1) * cell < upper), first), 0, last)
        counts = np.prod(end - first + 1, axis=1)
        covered[rows[counts > 2**20]] = False
        kept = np.nonzero(covered[rows])[0]
        while len(kept):
            _clock.tick()
            some = kept[: max(1, int(np.searchsorted(np.cumsum(counts[kept]), 2**22)))]
            kept = kept[len(some) :]
            covered[rows[some][~self._full(first[some], end[some], counts[some], below[rows[some]])]] = False
        return covered

    def _full(self, first: Array, end: Array, counts: Array, below: Array) -> Array:
        """Whether all cells between two corners have ranks below."""
        owner = np.repeat(np.arange(len(counts)), counts)
        rest = np.arange(len(owner))  # as many numbers in a row as a box has cells: each once, modulo its sides
        place = np.zeros(len(owner), dtype=np.int64)
        stride = 1
        for axis in reversed(range(first.shape[1])):
            size = (end[:, axis] - first[:, axis] + 1)[owner]
            place += (first[owner, axis] + rest % size) * stride
            rest //= size
            stride <<= self.level
        bad = self.rank.reshape(-1)[place] >= below[owner]
        return np.bincount(owner[bad], minlength=len(counts)) == 0

    def _wrapped(self, rows: Array, lower: Array, upper: Array, axis: int) -> tuple[Array, Array, Array]:
        """Boxes moved by full turns into the grid's box along an angle; those across its end become two."""
        turns = np.clip(np.floor((lower[:, axis] - self.low[axis]) / TURN[0]), -1e6, 1e6)
        least, most = np.sort([turns * TURN[0], turns * TURN[1]], axis=0)
        least, most = np.nextafter(least, -np.inf), np.nextafter(most, np.inf)
        a = np.where(turns == 0, lower[:, axis], np.nextafter(lower[:, axis] - most, -np.inf))
        b = np.where(turns == 0, upper[:, axis], np.nextafter(upper[:, axis] - least, np.inf))
        lower, upper = lower.copy(), upper.copy()
        lower[:, axis], upper[:, axis] = a, b
        over = np.nonzero(b > self.high[axis])[0]
        second_lower, second_upper = lower[over], upper[over]
        second_lower[:, axis] = np.nextafter(self.high[axis] - TURN[1], -np.inf)
        second_upper[:, axis] = np.nextafter(second_upper[:, axis] - TURN[0], np.inf)
        upper[over, axis] = self.high[axis]
        second = (np.append(rows, rows[over]), np.vstack([lower, second_lower]), np.vstack([upper, second_upper]))
        return second

    def volume(self, lower: Array, upper: Array) -> float:
        """Of the marked cells between two corners, rounded down."""
        total = (self.rank != UNMARKED).astype(np.float64)
        for low, cell, a, b in zip(self.low, self.width / 2**self.level, lower, upper, strict=True):
            edges = np.clip(low + np.arange(2**self.level + 1) * cell, a, b)
            total = np.tensordot(np.diff(edges), total, axes=1)
        return float(total) * (1.0 - 2.0**-32)


def _need_sides(widths: Array, what: str) -> None:
    """Volumes below the least double would round to anything."""
    _need(np.all(widths > 0), f"{what} is empty")
    _need(np.all((widths >= NARROWEST) & (widths <= WIDEST)), f"a side of {what} is not between 2^-100 and 2^100")


class Record:
    """Cells of one grid, level and number of steps; its rank is its place in the file."""

    def __init__(self, fields: Any, rank: int, grids: int) -> None:
        numbers = [_count(value) for value in _list(fields, "a record")]
        _need(len(numbers) == 4 and numbers[0] < grids and numbers[2] <= MAX_STEPS, "a strange record")
        self.grid, self.level, self.steps, self.size = numbers
        _need(self.level <= 32, "a strange record")
        self.rank = rank


def _unpacked(text: Any, sizes: Sequence[int]) -> list[Array]:
    total = sum(sizes)
    _need(isinstance(text, str) and total <= MAX_CELLS, "the cells are missing or too many")
    try:
        stream = zlib.decompressobj()
        data = stream.decompress(base64.b64decode(text, validate=True), 4 * total + 1)
    except (ValueError, zlib.error):
        _reject("the cells cannot be read")
    _need(len(data) == 4 * total and stream.eof and not stream.unused_data, "the cells have the wrong size")
    joined = np.ascontiguousarray(np.frombuffer(data, dtype=np.uint8).reshape(4, total).T).view("<u4")[:, 0]
    parts = np.split(joined.astype(np.int64), np.cumsum(sizes)[:-1]) if sizes else []
    return [np.cumsum(part) for part in parts]


class Region:
    """The growing set: ellipsoids, then cells by rank."""

    ranks = 0

    def __init__(self, loop: Loop, ellipsoids: Sequence[Ellipsoid], grids: Sequence[Grid]) -> None:
        self.loop, self.ellipsoids, self.grids = loop, ellipsoids, grids
        self.images = 0

    def within(self, loop: Loop) -> Region:
        """The same set for a part of the parameters, to grow by itself."""
        other = Region(loop, self.ellipsoids, [copy.copy(grid) for grid in self.grids])
        other.ranks = self.ranks
        return other

    def grow(self, fields: Any, cells: Any) -> int:
        """Prove records, ranked after those that are there; returns how many cells."""
        lines = _list(fields, "the records")
        records = [Record(line, self.ranks + place, len(self.grids)) for place, line in enumerate(lines)]
        places = _unpacked(cells, [record.size for record in records])
        for start, end in _runs(records):
            self.add(records[start:end], places[start:end])
        self.ranks += len(records)
        return sum(record.size for record in records)

    def add(self, records: Sequence[Record], places: Sequence[Array]) -> None:
        """Prove records of one grid and level, one after the other in rank."""
        n, level, grid = self.loop.n, records[0].level, self.grids[records[0].grid]
        grid.refine(level)
        flat = np.concatenate(places)
        _need(np.all((flat >= 0) & (flat < 2 ** (level * n))), "a cell lies outside its grid")
        rank = np.repeat([record.rank for record in records], [record.size for record in records]).astype(np.int64)
        steps = np.repeat([record.steps for record in records], [record.size for record in records])
        marks = grid.rank.reshape(-1).copy()
        _need(np.all(marks[flat] == UNMARKED) and len(np.unique(flat)) == len(flat), "a cell is recorded twice")
        marks[flat] = rank
        grid.rank = marks.reshape(grid.rank.shape)
        index = np.stack([(flat >> (level * (n - 1 - axis))) & (2**level - 1) for axis in range(n)], axis=1)
        for depth in range(MAX_DEPTH):
            if not len(index):
                return
            failed = ~self._arrive(grid, level + depth, index, steps, rank)
            rank, steps = (np.repeat(part[failed], 2**n) for part in (rank, steps))
            index = _children(index[failed])
            _need(len(index) <= MAX_PARTS, "too many images are not covered by cells of lower rank")
        _need(not len(index), "the image of a cell is not covered by cells of lower rank")

    def _arrive(self, grid: Grid, level: int, index: Array, steps: Array, rank: Array) -> Array:
        """Whether parts of cells arrive in cells of lower rank, or in an ellipsoid, after their number of steps."""
        lower = grid.low + index * (grid.width / 2**level)
        upper = grid.low + (index + 1) * (grid.width / 2**level)

        def arrive(part: Loop, left: Array) -> Array:
            return self._land(part, lower[left], upper[left], steps[left], rank[left])

        return _for_all(self.loop, len(index), arrive)

    def _land(self, loop: Loop, lower: Array, upper: Array, steps: Array, rank: Array) -> Array:
        arrived = np.zeros(len(steps), dtype=bool)
        order = np.argsort(steps, kind="stable")
        for start in range(0, len(order), CHUNK):
            _clock.tick()
            some = order[start : start + CHUNK]
            forms, count = _box_between(lower[some], upper[some]), 0
            while len(some):
                due = steps[some] == count
                if due.any():
                    landed = [form.take(due) for form in forms]
                    low, high = lower[some[due]], upper[some[due]]
                    if count:
                        low, high = (np.stack(ends, axis=1) for ends in zip(*(f.range() for f in landed), strict=True))
                    arrived[some[due]] = self._covered(landed, low, high, rank[some[due]])
                    rest = ~due
                    some, forms = some[rest], [form.take(rest) for form in forms]
                    if not len(some):
                        break
                self.images += len(some)
                forms = _advanced(loop, _collapsed(forms, loop.kept) if count else forms, 1)
                count += 1
        return arrived

    def _covered(self, forms: Sequence[Form], lower: Array, upper: Array, rank: Array) -> Array:
        covered = np.zeros(len(rank), dtype=bool)
        for grid in self.grids:
            left = np.nonzero(~covered)[0]
            covered[left] = grid.covers(lower[left], upper[left], rank[left])
        for ellipsoid in self.ellipsoids:
            left = np.nonzero(~covered)[0]
            if len(left):
                covered[left] = ellipsoid.holds([form.take(left) for form in forms])
        return covered


# ----------------------------------------------------------------------------------------------------- fields and files


def _fields(value: Any, names: set[str], what: str) -> dict[str, Any]:
    _need(isinstance(value, dict), f"{what} is no object")
    _need(set(value) == names, f"{what} has missing or unknown fields")
    return dict(value)


def _list(value: Any, what: str) -> list[Any]:
    _need(isinstance(value, list), f"{what} is no list")
    return list(value)


def _count(value: Any) -> int:
    _need(type(value) is int and 0 <= value < 2**31, "a count is no small integer")
    return int(value)


_HEX = re.compile(r"-?0x([01])(?:\.([0-9a-f]{1,13}))?p([+-]?[0-9]{1,4})")


def _number(value: Any, limit: str | None = None) -> float:
    """A finite double as FORMAT.md writes it: nothing is rounded in reading it."""
    if limit is not None and value == {"low": "-inf", "high": "inf"}[limit]:
        return -math.inf if limit == "low" else math.inf
    found = _HEX.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        _reject("a number is no hexadecimal double")
    exponent = int(found[3])
    usual = -1022 <= exponent <= 1023 if found[1] == "1" else exponent == -1022 or not (found[2] or "").strip("0")
    _need(usual, "a number is no double")
    return float.fromhex(value)


def _vector(value: Any, size: int | None, limit: str | None = None) -> Array:
    vector = np.array([_number(entry, limit) for entry in _list(value, "a vector")], dtype=np.float64)
    _need(size is None or len(vector) == size, "a vector has the wrong size")
    return vector


def _matrix(value: Any, rows: int | None, cols: int | None) -> Array:
    entries = [_vector(row, cols) for row in _list(value, "a matrix")]
    _need(entries and (rows is None or len(entries) == rows), "a matrix has the wrong size")
    _need(len({len(row) for row in entries}) == 1 and len(entries[0]) > 0, "a matrix has rows of different sizes")
    return np.stack(entries)


_PART = {"equilibrium", "core", "ellipsoids", "grids", "records", "cells"}
_REQUIRED = {"format", "version", "theorem", "network", "model", "domain"}
_OPTIONAL = {"action_error", "arithmetic", "network_sha256", "policy_sha256", "claim", "assumptions", "information"}
_OPTIONAL_ALONE = {"limits", "box"}


class Proof:
    """What was proved for one part of the box of parameters: the grid of the domain with its marks, and figures."""

    def __init__(self, loop: Loop, fields: dict[str, Any], names: set[str], which: Any) -> None:
        _need(_PART <= set(fields) - names <= _PART | {"final", "sectors"}, "missing or unknown fields")
        n = loop.n
        box = _fields(fields["equilibrium"], {"lower", "upper"}, "the equilibrium")
        self.lower, self.upper = _vector(box["lower"], n), _vector(box["upper"], n)
        _need(np.all(self.lower < self.upper), "the equilibrium's box is empty")
        grids = [Grid(grid, n) for grid in _list(fields["grids"], "the grids")]
        self.angles = [any(grid.angles[i] for grid in grids) for i in range(n)]
        for i in range(n):
            _need(not self.angles[i] or loop.is_periodic(i), "the loop is not unchanged by full turns of an angle")
        prove_equilibrium(loop, self.lower, self.upper)
        core = Ellipsoid(fields["core"], n, set())
        stages = _list(fields.get("final", []), "the final balls")
        self.channels, ball = 0, None
        by_cells = "sectors" not in fields or fields["ellipsoids"] or grids
        _need(n <= len(FIRST_LEVEL) or not by_cells, "too many states for cells")
        if "sectors" in fields:
            _need("parameters" not in names, "a part has sectors: they hold for all parameters at once")
            _need(not (loop.disturbed or stages), "sectors are about exact actions")
            radius = _up(core.radius + _offset(core, self.lower, self.upper))
            self.core_cells, self.channels = (
                0,
                Sectors(loop, fields["sectors"], core, radius).prove(self.lower, self.upper),
            )
        else:
            self.core_cells, ball = prove_core(loop, core, self.lower, self.upper, stages)
        self.ends = None if ball is None else _half_widths(core, ball)
        ellipsoids, self.ellipsoid_cells, one_step = [core], 0, True
        for shape in _list(fields["ellipsoids"], "the ellipsoids"):
            ellipsoid = Ellipsoid(shape, n, {"steps"})
            steps = _count(shape["steps"])
            _need(1 <= steps <= MAX_STEPS, "a strange number of steps")
            one_step = one_step and steps == 1
            self.ellipsoid_cells += prove_decrease(loop, ellipsoid, steps, ellipsoids)
            ellipsoids.append(ellipsoid)
        self.sets, self.ellipsoids = ellipsoids, len(ellipsoids) - 1
        self.region = Region(loop, ellipsoids, grids)
        self.cells = self.region.grow(fields["records"], fields["cells"])
        self.ranks, self.images = self.region.ranks, self.region.images
        self.stays = one_step and not self.ranks
        self.which: int | None = None
        if self.ranks or which is not None:
            self.which = _count(which)
            _need(self.which < len(grids), "the domain has no grid")

    @property
    def grid(self) -> Grid | None:
        return None if self.which is None else self.region.grids[self.which]

    def within(self, box: Array, fields: dict[str, Any]) -> Proof:
        """All this holds for a part of the parameters, too; more cells are proved for them."""
        inside = np.all(self.region.loop.box[:, 0] <= box[:, 0]) and np.all(box[:, 1] <= self.region.loop.box[:, 1])
        _need(inside, "a part does not lie within the one it names")
        _need(self.which is not None, "cells without a domain")
        other = copy.copy(self)
        other.core_cells, other.ellipsoids, other.ellipsoid_cells = 0, 0, 0
        other.region = self.region.within(self.region.loop.part(box))
        other.cells = other.region.grow(fields["records"], fields["cells"])
        other.ranks, other.images = other.region.ranks - self.region.ranks, other.region.images
        return other


def derive(certificate: dict[str, Any]) -> str:
    """Prove everything and state the claim."""
    names = set(certificate)
    alone = "parts" not in names
    allowed = _PART | {"final", "sectors"} | _OPTIONAL_ALONE if alone else {"parts"}
    _need(_REQUIRED <= names <= _REQUIRED | _OPTIONAL | allowed, "missing or unknown fields")
    error = _number(certificate["action_error"]) if "action_error" in certificate else 0.0
    _need(error >= 0, "the error of the action is negative")
    arithmetic = certificate.get("arithmetic", "real")
    _need(arithmetic in ("real", "float32"), "a strange arithmetic")
    step = certificate["model"].get("step") if isinstance(certificate["model"], dict) else None
    n = len(_list(step.get("outputs") if isinstance(step, dict) else None, "step"))
    _need(1 <= n <= MAX_STATES, "a strange number of states")
    loop = Loop(certificate["network"], certificate["model"], n, error, arithmetic == "float32")
    digest = loop.network.sha256()
    _need(certificate.get("network_sha256") in (None, digest), "the digest of the network differs")
    fields, domain = certificate["domain"], None
    if fields is not None:
        wanted = {"lower", "upper", "volume"} | ({"grid"} if alone else set())
        fields = _fields(fields, wanted, "the domain")
    if alone:
        which = None if fields is None else fields["grid"]
        proofs = [Proof(loop, certificate, _REQUIRED | _OPTIONAL | _OPTIONAL_ALONE, which)]
        final = [(proofs[0], 1.0)]
    else:
        _need(fields is not None, "parts have cells in common, in a domain: there is none")
        proofs, final = _parts(loop, _list(certificate["parts"], "the parts"))
    grids = [proof.grid for proof, _ in final if proof.grid is not None]
    _need(len(grids) == (0 if fields is None else len(final)), "cells without a domain")
    more = list[str]()
    if fields is not None:
        low, high = _vector(fields["lower"], n), _vector(fields["upper"], n)
        _need_sides(high - low, "the domain")
        if not alone:
            more.append(
                _each_text(
                    [(grid.volume(low, high), part[1]) for grid, part in zip(grids, final, strict=True)],
                    float(np.prod(high - low)),
                    _fate(loop),
                )
            )
        common = _in_common(grids)
        volume = common.volume(low, high)
        if common.covers(low[None], high[None], np.array([UNMARKED]))[0]:
            more.append(f"Every state of this domain {_fate(loop)}.")
        _need(0 <= _number(fields["volume"]) <= volume, "the claimed volume is greater than that of the cells")
        domain = low, high, volume
    policy = certificate.get("policy_sha256")
    _need(policy is None or (isinstance(policy, str) and re.fullmatch("[0-9a-f]{64}", policy)), "a strange digest")
    more += _further(certificate, proofs[0], domain is None)
    return _words(loop, proofs, len(final), domain, (digest, policy), more)


def _fate(loop: Loop) -> str:
    return "arrives there" if loop.disturbed else "converges"


def _each_text(parts: Sequence[tuple[float, float]], whole: float, fate: str) -> str:
    """What each value of the parameters has by itself, from the volumes of parts and their shares of the box."""
    whole *= 1 + 2.0**-32
    least = min(volume for volume, _ in parts) / whole
    pairs = sum(volume * share for volume, share in parts) / whole
    numbers = [math.floor(1e6 * value * (1 - 2.0**-32)) / 1e4 for value in (least, pairs)]
    return (
        f"For each value of the parameters by itself, at least {numbers[0]:.4f} % of the domain {fate};\n"
        f"of all pairs of a state and a value, at least {numbers[1]:.4f} %."
    )


def _further(certificate: dict[str, Any], proof: Proof, only_ellipsoids: bool) -> list[str]:
    """Where states on the way stay, and whether a box lies inside: sentences."""
    core, lines = proof.sets[0], list[str]()
    if "limits" in certificate:
        widened = copy.copy(core)
        offset = _offset(core, proof.lower, proof.upper)
        widened.radius = float(_up(core.radius + 2.0 * offset))
        lines.append(_limits_text(certificate["limits"], [widened, *proof.sets], proof.stays))
    if "box" in certificate:
        lines.append(_box_text(certificate["box"], proof.sets))
    if lines:
        return lines
    if only_ellipsoids and proof.stays:
        return ["States on the way stay in the ellipsoids (the core widened about x*)."]
    return ["States on the way may leave the domain."]


def _parts(loop: Loop, parts: list[Any]) -> tuple[list[Proof], list[tuple[Proof, float]]]:
    """All parts of the box of parameters, each proved by itself or within one before, and the innermost, which cover
    it, each with a share of the box: of what no other of them has."""
    _need(len(loop.box) and 0 < len(parts) <= MAX_PARAMETER_PARTS, "parts of a box of parameters that does not exist")
    boxes, outer = list[Array](), set[int]()
    for place, fields in enumerate(parts):
        inner = isinstance(fields, dict) and "within" in fields
        names = {"parameters", "records", "cells"} if inner else {"parameters", "grid"}
        _need(isinstance(fields, dict) and names <= set(fields), "a part is no object")
        boxes.append(_matrix(fields["parameters"], len(loop.box), 2))
        _need(np.all(boxes[-1][:, 0] <= boxes[-1][:, 1]), "a part has an empty interval")
        if inner:
            _fields(fields, {"within", *names}, "a part")
            _need(_count(fields["within"]) < place, "a part lies within one that comes later")
            outer.add(fields["within"])
    innermost = [place for place in range(len(parts)) if place not in outer]
    shares = _shares(loop.box, [boxes[place] for place in innermost])
    proofs = list[Proof]()
    for fields, box in zip(parts, boxes, strict=True):
        if "within" in fields:
            proofs.append(proofs[fields["within"]].within(box, fields))
        else:
            proofs.append(Proof(loop.part(box), fields, {"parameters", "grid"}, fields["grid"]))
    return proofs, [(proofs[place], share) for place, share in zip(innermost, shares, strict=True)]


def _shares(whole: Array, boxes: Sequence[Array]) -> list[float]:
    """The share of a box that each of some boxes has and none before it, rounded down; together they cover it."""
    edges = [
        sorted({*side, *(v for box in boxes for v in box[i] if side[0] < v < side[1])}) for i, side in enumerate(whole)
    ]
    sides = [np.array([*itertools.pairwise(side)] or [(side[0], side[0])]) for side in edges]
    _need(math.prod(len(side) for side in sides) <= 2**16, "too many parts")
    owner = np.full([len(side) for side in sides], -1)
    for place, box in enumerate(boxes):
        inside = [(low <= side[:, 0]) & (side[:, 1] <= high) for side, (low, high) in zip(sides, box, strict=True)]
        free = np.ix_(*inside)
        owner[free] = np.where(owner[free] < 0, place, owner[free])
    _need(np.all(owner >= 0), "the parts do not cover the box of parameters")
    volume = np.ones(())
    for side, (low, high) in zip(sides, whole, strict=True):
        volume = np.multiply.outer(volume, (side[:, 1] - side[:, 0]) / (high - low) if low < high else np.ones(1))
    total = np.bincount(owner.reshape(-1), volume.reshape(-1), len(boxes)) * (1.0 - 2.0**-32)
    return [float(share) for share in total]


def _in_common(grids: Sequence[Grid]) -> Grid:
    """The cells that are marked in all of some grids of one box."""
    first = copy.copy(grids[0])
    first.refine(max(grid.level for grid in grids))
    for grid in grids:
        _need(
            np.array_equal(grid.low, first.low) and np.array_equal(grid.width, first.width), "the domain has two grids"
        )
        same = copy.copy(grid)
        same.refine(first.level)
        first.rank = np.maximum(first.rank, same.rank)  # UNMARKED is the largest number
    return first


def _limits_text(fields: Any, ellipsoids: Sequence[Ellipsoid], stays: bool) -> str:
    """The ellipsoids lie in the box in which the equations hold; V falls at every step, so trajectories stay there.

    The core contracts about x*, from where it lies in one widened by twice the distance of x* from its centre.
    """
    fields = _fields(fields, {"lower", "upper"}, "the limits")
    n = len(ellipsoids[0].center)
    lower, upper = _vector(fields["lower"], n, "low"), _vector(fields["upper"], n, "high")
    _need(stays, "limits need ellipsoids of one step, and no cells")
    for one in ellipsoids:
        # |e_i| <= |row i of T^-1| radius, T^-1 = S (T S)^-1 and |(T S)^-1| <= 1 / (1 - gap)
        reach = _up(_norms(one.S, 1) * (1.0 + 2.0 * one.gap) * one.radius)
        slack = 4.0 * U * (np.abs(one.center) + reach)
        inside = np.all((one.center - reach) - slack >= lower) and np.all((one.center + reach) + slack <= upper)
        _need(inside, "an ellipsoid leaves the limits of the model")
    where = f"within the limits {_box_name(lower, upper)} of the equations"
    return f"States on the way stay in the ellipsoids (the core widened about x*), {where}."


def _box_text(fields: Any, ellipsoids: Sequence[Ellipsoid]) -> str:
    fields = _fields(fields, {"lower", "upper"}, "the box")
    n = len(ellipsoids[0].center)
    lower, upper = _vector(fields["lower"], n), _vector(fields["upper"], n)
    _need(np.all(lower <= upper), "the box is empty")
    box = _box_between(lower[None], upper[None])
    _need(any(one.holds(box)[0] for one in ellipsoids), "no ellipsoid holds the box")
    return f"The whole box {_box_name(lower, upper)} is certified."


def _box_name(lower: Array, upper: Array) -> str:
    return " x ".join(f"[{a!r}, {b!r}]" for a, b in zip(lower.tolist(), upper.tolist(), strict=True))


def _ball_volume(ellipsoid: Ellipsoid) -> float:
    """pi^(n/2) / (n/2)! radius^n / |det T|, rounded down."""
    n = len(ellipsoid.center)
    rows = [[Fraction(float(value)) for value in row] for row in ellipsoid.T]
    det = Fraction(1)
    for i in range(n):
        place = max(range(i, n), key=lambda k: abs(rows[k][i]))
        rows[i], rows[place] = rows[place], rows[i]
        det *= rows[i][i]
        for k in range(i + 1, n):
            factor = rows[k][i] / rows[i][i]
            rows[k] = [a - factor * b for a, b in zip(rows[k], rows[i], strict=True)]
    unit = Fraction(2) if n % 2 else Fraction(1)
    for k in range(3 if n % 2 else 2, n + 1, 2):
        unit *= Fraction(3.141592653589793) * 2 / k
    volume = float(unit * Fraction(ellipsoid.radius) ** n / abs(det)) * (1.0 - 2.0**-40)
    return volume if volume > TINY else 0.0  # the least numbers are rounded to anything


def _half_widths(core: Ellipsoid, radius: float) -> list[float]:
    """At least |x_i| wherever |T x| <= radius: the rows of T^-1 = S (T S)^-1, |(T S)^-1| <= 1 / (1 - gap)."""
    return [float(value) for value in _up(_norms(core.S, 1) * (1.0 + 2.0 * core.gap) * radius)]


def _runs(records: Sequence[Record]) -> Iterator[tuple[int, int]]:
    """Neighbouring records of one grid and level."""
    start = 0
    for end in range(1, len(records) + 1):
        same = end < len(records) and (records[end].grid, records[end].level) == (
            records[start].grid,
            records[start].level,
        )
        if not same:
            yield start, end
            start = end


def _words(loop: Loop, proofs: Sequence[Proof], parts: int, domain: Any, digests: Any, more: Sequence[str]) -> str:
    lower, upper = (np.array([getattr(proof, side) for proof in proofs]) for side in ("lower", "upper"))
    home = _box_name(lower.min(axis=0), upper.max(axis=0))
    turned = [f"x{i + 1}" for i in range(loop.n) if any(proof.angles[i] for proof in proofs)]
    turns = " modulo 2 pi in " + ", ".join(turned) if turned else ""
    if domain is None:
        sets = proofs[0].sets
        largest = max(_ball_volume(one) for one in sets)
        what = f"Region of attraction: {len(sets)} ellipsoids, the largest of volume {_below_text(largest)} or more."
    else:
        low, high, volume = domain
        share = math.floor(1e6 * volume / (float(np.prod(high - low)) * (1 + 2.0**-32))) / 1e4
        what = f"Region of attraction: at least {share:.4f} % of {_box_name(low, high)} (volume {_below_text(volume)})."
    disturbed = f"each action wrong by at most {loop.error!r} at each step" if loop.error else "no disturbance"
    arithmetic = "real arithmetic (no float32)"
    if loop.network.float32:
        arithmetic = "the policy evaluated in float32 as FORMAT-cells.md states it (the plant in real arithmetic)"
        disturbed = disturbed.replace("no disturbance", "no other disturbance")
    arrives = "converges to x*"
    ends = [proof.ends for proof in proofs if proof.ends is not None]
    if ends:
        sides = ", ".join(_above_text(float(value)) for value in np.max(ends, axis=0))
        arrives = "enters {|x_i - x*_i| <= (" + sides + ")} and stays there"
    sources = "cells and ellipsoids" if domain is not None else "ellipsoids"
    start, only = f"the certified {sources}", "the only equilibrium in the box"
    for_all = []
    if len(loop.box):
        inside = zip(loop.names, loop.box.tolist(), strict=True)
        words = ", ".join(f"{name} in [{a!r}, {b!r}]" for name, (a, b) in inside)
        for_all = [f"For each constant value of the parameters {words}, with its own x*:"]
    if parts > 1:
        start, only = f"the cells certified in all of {parts} parts", "an equilibrium in the box"
    counts = [sum(getattr(proof, name) for proof in proofs) for name in _FIGURES]
    core = f"the core with {counts.pop(0)} cells"
    if channels := sum(proof.channels for proof in proofs):
        core = f"the core by sectors ({channels} nonlinear operations as sector-bounded channels)"
    return "\n".join(
        [
            what,
            *for_all,
            f"Every trajectory of the loop from {start} {arrives}{turns},",
            f"{only} {home}.",
            "The loop is x+ = step(x, pi(observe(x))) with the equations and the policy pi as written in the file:",
            f"the exact nonlinear model, {arithmetic}, the deterministic action, {disturbed}.",
            *more,
            f"Proved: {core}; " + "{} ellipsoids with {} cells; {} cells in {} ranks with {} images.".format(*counts),
            f"Digest of the network: {digests[0]}.",
            "Trusted, not checked: that the equations are those of the environment, and that the policy's file"
            f"{'' if digests[1] is None else ' ' + digests[1]} means this network.",
        ]
    )


_FIGURES = ("core_cells", "ellipsoids", "ellipsoid_cells", "cells", "ranks", "images")


def _above_text(value: float) -> str:
    """Three digits, rounded up."""
    text = f"{value:.2e}"
    return text if float(text) >= value else f"{value * 1.01:.2e}"


def _below_text(value: float) -> str:
    """Nine digits, rounded down; of a value >= 0."""
    return f"{float(Context(prec=9, rounding=ROUND_FLOOR).create_decimal_from_float(value)):.9g}"


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Unreadable("a key occurs twice in one object")
    return fields


def _decimal(text: str) -> float:
    """A decimal number, which only fields that are ignored may hold."""
    value = float(text)
    if not math.isfinite(value):
        raise Unreadable(f"the number {text[:40]} overflows")
    return value


def _no_constant(text: str) -> NoReturn:
    raise Unreadable(f"{text[:40]} is not allowed")


def read(path: str | Path) -> dict[str, Any]:
    """The JSON object of a certificate, plain or gzip.

    Raises
    ------
    Unreadable
        If it is missing, too large, not JSON, has duplicate keys, or is not of this format, version and theorem.
    """
    try:
        with open(path, "rb") as stream:
            zipped = stream.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if zipped else open(path, "rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise Unreadable(f"the file is larger than {MAX_BYTES} bytes")
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_no_duplicates,
            parse_float=_decimal,
            parse_constant=_no_constant,
        )
    except (OSError, EOFError, ValueError, RecursionError, zlib.error) as error:
        raise Unreadable(f"cannot read the file: {str(error)[:200]}") from None
    if not isinstance(value, dict) or value.get("format") != "lipctrl-certificate":
        raise Unreadable("not a lipctrl certificate")
    if type(value.get("version")) is not int or value["version"] != 1:
        raise Unreadable("this checker reads version 1 alone")
    if value.get("theorem") != "region_of_attraction":
        raise Unreadable("this checker reads the theorem region_of_attraction alone")
    return value


def _rounds_to_nearest() -> bool:
    one, tiny = np.float64(1.0), np.float64(U)
    return bool(one + tiny == 1.0 and -one - tiny == -1.0 and one + 1.5 * tiny > 1.0 and np.float64(5e-324) > 0)


def check(path: str | Path, seconds: float = MAX_SECONDS) -> tuple[int, str]:
    """The exit code (0 accepted, 1 rejected, 2 unreadable), and the claim or the reason."""
    try:
        certificate = read(path)
    except Unreadable as error:
        return 2, str(error)
    except Exception as error:
        return 2, f"cannot read the file: {type(error).__name__}"
    _clock.deadline = time.monotonic() + seconds
    try:
        with np.errstate(all="ignore"):
            _need(_rounds_to_nearest(), "this machine does not round to nearest")
            return 0, derive(certificate)
    except Rejected as error:
        return 1, str(error)
    except Exception as error:
        return 1, f"the check failed: {type(error).__name__}"
    finally:
        _clock.deadline = math.inf


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print("usage: python -I check_cells.py FILE", file=sys.stderr)
        return 2
    code, text = check(arguments[0])
    if code == 0:
        print(f"ACCEPTED (region_of_attraction)\n{text}")
    else:
        print(f"{'REJECTED' if code == 1 else 'UNREADABLE'}: {text.encode('ascii', 'backslashreplace').decode()}")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
