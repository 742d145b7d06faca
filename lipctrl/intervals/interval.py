"""Arrays of closed intervals with outward rounding.

Every operation returns an enclosure of the exact results over all points of its arguments. Exact results stay exact
(0 + x, 1 * x, sums and products that fit a double). What cannot be bounded becomes the whole line, never NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lipctrl.errors import LipctrlError
from lipctrl.intervals import rounding
from lipctrl.intervals.ball import Ball

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
Pair = tuple[Array, Array]

PI_LOWER, PI_UPPER = 3.141592653589793, 3.1415926535897936
"""Neighbouring doubles around pi."""


class Interval:
    """The points between `lo` and `hi`, entry by entry, for arrays of any shape.

    Parameters
    ----------
    lo, hi : array_like
        End points, lo <= hi, possibly infinite (lo < inf, hi > -inf). Without `hi`, the single point `lo`.

    Raises
    ------
    LipctrlError
        For a NaN, or lo > hi anywhere.

    Notes
    -----
    Comparisons are not overloaded, since "a < b" has two meanings: use :meth:`contains` or the end points.
    """

    __array_ufunc__ = None
    __slots__ = ("hi", "lo")
    lo: Array
    hi: Array

    def __init__(self, lo: ArrayLike, hi: ArrayLike | None = None) -> None:
        lower = np.asarray(lo, dtype=np.float64)
        upper = lower if hi is None else np.asarray(hi, dtype=np.float64)
        self.lo, self.hi = (lower, lower) if hi is None else np.broadcast_arrays(lower, upper)
        if not np.all((self.lo <= self.hi) & (self.lo < np.inf) & (self.hi > -np.inf)):
            raise LipctrlError(f"An interval needs lo <= hi and no NaN, given lo = {lower}, hi = {upper}.")

    @classmethod
    def exact(cls, value: ArrayLike | Interval) -> Interval:
        """The interval of a single point; an interval is returned as it is."""
        return value if isinstance(value, Interval) else cls(value)

    @classmethod
    def stack(cls, entries: Sequence[ArrayLike | Interval], axis: int = 0) -> Interval:
        """Join intervals or arrays of one shape along a new axis."""
        parts = [cls.exact(entry) for entry in entries]
        return cls(np.stack([part.lo for part in parts], axis), np.stack([part.hi for part in parts], axis))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.lo.shape

    @property
    def ndim(self) -> int:
        return self.lo.ndim

    @property
    def T(self) -> Interval:
        return Interval(self.lo.T, self.hi.T)

    @property
    def mid(self) -> Array:
        """A point inside, close to the middle (0 if an end is infinite)."""
        with np.errstate(all="ignore"):
            middle = np.clip(0.5 * self.lo + 0.5 * self.hi, self.lo, self.hi)
        finite = np.isfinite(self.lo) & np.isfinite(self.hi)
        return np.where(finite, middle, np.clip(0.0, self.lo, self.hi))

    @property
    def rad(self) -> Array:
        """An upper bound of the distance of any point from `mid`."""
        mid = self.mid
        return np.maximum(rounding.add_up(self.hi, -mid), rounding.add_up(mid, -self.lo))

    @property
    def width(self) -> Array:
        """hi - lo, rounded up."""
        return rounding.add_up(self.hi, -self.lo)

    @property
    def mag(self) -> Array:
        """The largest absolute value."""
        return np.maximum(np.abs(self.lo), np.abs(self.hi))

    @property
    def mig(self) -> Array:
        """The smallest absolute value."""
        return np.maximum(np.maximum(self.lo, -self.hi), 0.0)

    def contains(self, other: ArrayLike | Interval) -> Bools:
        """Entry by entry: whether the point or interval `other` lies inside (NaN does not)."""
        lo, hi = _ends(other)
        return np.asarray((self.lo <= lo) & (hi <= self.hi))

    def contains_in_interior(self, other: ArrayLike | Interval) -> Bools:
        """Entry by entry: whether `other` lies strictly between `lo` and `hi`."""
        lo, hi = _ends(other)
        return np.asarray((self.lo < lo) & (hi < self.hi))

    def hull(self, other: ArrayLike | Interval) -> Interval:
        """The smallest interval around both."""
        other = Interval.exact(other)
        return Interval(np.minimum(self.lo, other.lo), np.maximum(self.hi, other.hi))

    def intersect(self, other: ArrayLike | Interval) -> Interval:
        """The common points.

        Raises
        ------
        LipctrlError
            If there are none somewhere.
        """
        other = Interval.exact(other)
        lo, hi = np.maximum(self.lo, other.lo), np.minimum(self.hi, other.hi)
        if not np.all(lo <= hi):
            raise LipctrlError("The intervals have no point in common.")
        return Interval(lo, hi)

    def __getitem__(self, index: Any) -> Interval:
        return Interval(self.lo[index], self.hi[index])

    def __len__(self) -> int:
        return len(self.lo)

    def reshape(self, *shape: int) -> Interval:
        return Interval(self.lo.reshape(*shape), self.hi.reshape(*shape))

    def sum(self, axis: int = 0) -> Interval:
        """The sum along one axis, added in order."""
        lo, hi = np.moveaxis(self.lo, axis, 0), np.moveaxis(self.hi, axis, 0)
        total = Interval(np.zeros(lo.shape[1:]))
        for low, high in zip(lo, hi, strict=True):
            total = total + Interval(low, high)
        return total

    def __neg__(self) -> Interval:
        return Interval(-self.hi, -self.lo)

    def __pos__(self) -> Interval:
        return self

    def __add__(self, other: ArrayLike | Interval) -> Interval:
        other = Interval.exact(other)
        return enclosing(rounding.add_down(self.lo, other.lo), rounding.add_up(self.hi, other.hi))

    __radd__ = __add__

    def __sub__(self, other: ArrayLike | Interval) -> Interval:
        return self + (-Interval.exact(other))

    def __rsub__(self, other: ArrayLike | Interval) -> Interval:
        return (-self) + other

    def __mul__(self, other: ArrayLike | Interval) -> Interval:
        return _corners(rounding.multiply, self, Interval.exact(other))

    __rmul__ = __mul__

    def __truediv__(self, other: ArrayLike | Interval) -> Interval:
        """The quotient; the whole line where the divisor may be 0."""
        other = Interval.exact(other)
        quotient = _corners(rounding.divide, self, other)
        zero = (other.lo <= 0.0) & (other.hi >= 0.0)
        return Interval(np.where(zero, -np.inf, quotient.lo), np.where(zero, np.inf, quotient.hi))

    def __rtruediv__(self, other: ArrayLike | Interval) -> Interval:
        return Interval.exact(other) / self

    def __pow__(self, exponent: int) -> Interval:
        if not isinstance(exponent, int) or exponent < 0:
            raise LipctrlError(f"Powers of intervals need an integer exponent >= 0, given {exponent!r}.")
        base, result = self, Interval(np.ones(self.shape))
        if exponent % 2 == 0:
            base, exponent = self.square(), exponent // 2
        for _ in range(exponent):
            result = result * base
        return result

    def __matmul__(self, other: ArrayLike | Interval) -> Interval:
        """Matrix product of one or two dimensions, by midpoint and radius."""
        return _product(_as_ball(self), _as_ball(other))

    def __rmatmul__(self, other: ArrayLike | Interval) -> Interval:
        return _product(_as_ball(other), _as_ball(self))

    def __abs__(self) -> Interval:
        return Interval(self.mig, self.mag)

    def square(self) -> Interval:
        """x * x with both factors the same point."""
        return enclosing(rounding.multiply(self.mig, self.mig)[0], rounding.multiply(self.mag, self.mag)[1])

    def maximum(self, other: ArrayLike | Interval) -> Interval:
        lo, hi = _ends(other)
        return Interval(np.maximum(self.lo, lo), np.maximum(self.hi, hi))

    def minimum(self, other: ArrayLike | Interval) -> Interval:
        lo, hi = _ends(other)
        return Interval(np.minimum(self.lo, lo), np.minimum(self.hi, hi))

    def clip(self, low: ArrayLike | Interval, high: ArrayLike | Interval) -> Interval:
        """min(max(x, low), high); a limit may be infinite."""
        return self.maximum(low).minimum(high)

    def sqrt(self) -> Interval:
        """The square root; the whole line where a number may be negative."""
        root = enclosing(rounding.sqrt(np.maximum(self.lo, 0.0))[0], rounding.sqrt(np.maximum(self.hi, 0.0))[1])
        negative = self.lo < 0.0
        return Interval(np.where(negative, -np.inf, root.lo), np.where(negative, np.inf, root.hi))

    def exp(self) -> Interval:
        return self._increasing(rounding.exp)

    def tanh(self) -> Interval:
        return self._increasing(rounding.tanh)

    def arctan(self) -> Interval:
        return self._increasing(rounding.arctan)

    def sin(self) -> Interval:
        return _circular(self, rounding.sin, 0.5)

    def cos(self) -> Interval:
        return _circular(self, rounding.cos, 0.0)

    def _increasing(self, function: Callable[[Array], Pair]) -> Interval:
        lower, upper = function(self.lo)
        return enclosing(lower, upper if self.hi is self.lo else function(self.hi)[1])

    def __repr__(self) -> str:
        return f"Interval({self.lo}, {self.hi})"


def enclosing(lo: ArrayLike, hi: ArrayLike) -> Interval:
    """The interval between two computed bounds; a bound that is NaN becomes infinite."""
    lo, hi = np.asarray(lo, dtype=np.float64), np.asarray(hi, dtype=np.float64)
    lower = np.where(np.isnan(lo), -np.inf, np.minimum(lo, rounding.HUGE))
    upper = np.where(np.isnan(hi), np.inf, np.maximum(hi, -rounding.HUGE))
    return Interval(lower, upper)


def _ends(value: ArrayLike | Interval) -> Pair:
    if isinstance(value, Interval):
        return value.lo, value.hi
    point = np.asarray(value, dtype=np.float64)
    return point, point


def _corners(operation: Callable[[Array, Array], Pair], a: Interval, b: Interval) -> Interval:
    """Hull of an operation, monotone in each argument, over the corners (four, or fewer for a single point)."""
    left = [a.lo] if a.hi is a.lo else [a.lo, a.hi]
    right = [b.lo] if b.hi is b.lo else [b.lo, b.hi]
    corners = [operation(x, y) for x in left for y in right]
    lower, upper = corners[0]
    for low, high in corners[1:]:
        lower, upper = np.minimum(lower, low), np.maximum(upper, high)
    return enclosing(lower, upper)


def _as_ball(value: ArrayLike | Interval) -> Ball:
    return Ball.between(value.lo, value.hi) if isinstance(value, Interval) else Ball.exact(value)


def _product(a: Ball, b: Ball) -> Interval:
    product = a @ b
    return enclosing(product.lower, product.upper)


def _circular(x: Interval, function: Callable[[Array], Pair], shift: float) -> Interval:
    """Range of a cosine-like function with extrema (-1)^k at (k + shift) pi."""
    turns = x / Interval(PI_LOWER, PI_UPPER) - shift
    first, last = np.ceil(turns.lo), np.floor(turns.hi)
    (low_left, high_left), (low_right, high_right) = function(x.lo), function(x.hi)
    lower, upper = np.minimum(low_left, low_right), np.maximum(high_left, high_right)
    with np.errstate(all="ignore"):
        several, one, even = last > first, last == first, np.remainder(first, 2.0) == 0.0
    upper = np.where(several | (one & even), 1.0, upper)
    lower = np.where(several | (one & ~even), -1.0, lower)
    return enclosing(lower, upper)
