"""What a scalar nonlinearity must tell about itself, and the piecewise linear ones.

Nothing else is needed to prove ranges, slopes, sectors and relaxations: bounds of phi and of its one-sided derivatives
at single points, and the few places between which phi and phi' are monotone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lipctrl.intervals import rounding
from lipctrl.intervals.interval import Interval, enclosing

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
Parameters = Mapping[str, Array]


class Special(NamedTuple):
    """A point known to lie in [lo, hi], and bounds of phi or phi' there (per channel, or for all)."""

    lo: ArrayLike
    hi: ArrayLike
    bounds: Interval

    def inside(self, x: Interval) -> Bools:
        """Whether the point may lie strictly inside x."""
        return np.asarray((np.asarray(self.lo) < x.hi) & (np.asarray(self.hi) > x.lo))


class Kind:
    """One family of scalar functions phi; `p` holds the parameters of each channel, arrays that broadcast to x."""

    name: str
    defaults: ClassVar[Mapping[str, float]] = {}
    piecewise_linear: bool = False
    tail: float = rounding.HUGE
    """Beyond +-tail phi and phi' are monotone."""

    def check(self, p: Parameters) -> str | None:
        """Say what is wrong with the parameters, in words, or return None."""
        return None

    def odd(self, p: Parameters) -> bool:
        """Whether phi(-x) = -phi(x) in every channel."""
        return False

    def value(self, x: Array, p: Parameters) -> Array:
        """phi(x) in floating point."""
        raise NotImplementedError

    def derivative(self, x: Array, p: Parameters) -> Array:
        """phi'(x) in floating point, the right-hand slope at a kink."""
        raise NotImplementedError

    def point(self, x: Array, p: Parameters) -> Interval:
        """Proved bounds of phi at finite points."""
        raise NotImplementedError

    def slope(self, x: Array, p: Parameters, right: bool) -> Interval:
        """Proved bounds of the right-hand or left-hand derivative at finite points."""
        raise NotImplementedError

    def limits(self, p: Parameters) -> tuple[ArrayLike, ArrayLike]:
        """phi at -inf and inf, possibly infinite."""
        raise NotImplementedError

    def slope_limits(self, p: Parameters) -> tuple[ArrayLike, ArrayLike]:
        """phi' at -inf and inf."""
        raise NotImplementedError

    def extrema(self, p: Parameters) -> list[Special]:
        """The local extrema of phi: between neighbours phi is monotone."""
        return []

    def turning_points(self, p: Parameters) -> list[Special]:
        """Where phi' jumps or has a local extremum: between neighbours phi' is continuous and monotone."""
        return []

    def kinks(self, p: Parameters) -> list[Array]:
        """The points without derivative, NaN for channels that have none."""
        return []

    def scale(self, p: Parameters) -> ArrayLike:
        """Length over which phi' changes."""
        return 1.0

    def at(self, x: Array, p: Parameters) -> Interval:
        """Proved bounds of phi at points, +-inf included (the limit)."""
        low, high = self.limits(p)
        bounds = self.point(np.clip(x, -self.tail if np.all(np.isfinite(low)) else -rounding.HUGE, rounding.HUGE), p)
        bounds = _hull_where((x < -self.tail) | (x == -np.inf), bounds, low)
        bounds = _hull_where(x == np.inf, bounds, high)
        whole = _hull(low, high, self.extrema(p))
        return Interval(np.maximum(bounds.lo, whole.lo), np.minimum(bounds.hi, whole.hi))

    def slope_at(self, x: Array, p: Parameters, right: bool) -> Interval:
        """Proved bounds of a one-sided derivative at points, +-inf included (the limit)."""
        low, high = self.slope_limits(p)
        bounds = self.slope(np.clip(x, -self.tail, self.tail), p, right)
        bounds = _hull_where((x < -self.tail) | (x == -np.inf), bounds, low)
        bounds = _hull_where((x > self.tail) | (x == np.inf), bounds, high)
        whole = _hull(low, high, self.turning_points(p))
        return Interval(np.maximum(bounds.lo, whole.lo), np.minimum(bounds.hi, whole.hi))

    def enclose(self, x: Interval, p: Parameters) -> Interval:
        """The range of phi on intervals."""
        return _with(self.at(x.lo, p).hull(self.at(x.hi, p)), x, self.extrema(p))

    def slope_range(self, x: Interval, p: Parameters) -> Interval:
        """All slopes of phi restricted to intervals (its secants and Clarke derivatives)."""
        ends = self.slope_at(x.lo, p, right=True).hull(self.slope_at(x.hi, p, right=False))
        return _with(ends, x, self.turning_points(p))


def _hull_where(mask: Bools, bounds: Interval, value: ArrayLike) -> Interval:
    if not np.any(mask):
        return bounds
    return Interval(
        np.where(mask, np.minimum(bounds.lo, value), bounds.lo), np.where(mask, np.maximum(bounds.hi, value), bounds.hi)
    )


def _with(bounds: Interval, x: Interval, points: list[Special]) -> Interval:
    """Bounds at the ends of x joined with those of the points inside."""
    lo, hi = bounds.lo, bounds.hi
    for point in points:
        inside = point.inside(x)
        lo = np.where(inside, np.minimum(lo, point.bounds.lo), lo)
        hi = np.where(inside, np.maximum(hi, point.bounds.hi), hi)
    return Interval(lo, hi)


def _hull(low: ArrayLike, high: ArrayLike, points: list[Special]) -> Interval:
    lo, hi = np.minimum(low, high), np.maximum(low, high)
    for point in points:
        lo, hi = np.minimum(lo, point.bounds.lo), np.maximum(hi, point.bounds.hi)
    return enclosing(lo, hi)


def between(a: ArrayLike, b: ArrayLike) -> Interval:
    """The interval with ends a and b in either order."""
    return Interval(np.minimum(a, b), np.maximum(a, b))


class Identity(Kind):
    """x."""

    name = "identity"
    piecewise_linear = True

    def odd(self, p: Parameters) -> bool:
        return True

    def value(self, x: Array, p: Parameters) -> Array:
        return x + 0.0

    def derivative(self, x: Array, p: Parameters) -> Array:
        return np.ones_like(x)

    def point(self, x: Array, p: Parameters) -> Interval:
        return Interval(x)

    def slope(self, x: Array, p: Parameters, right: bool) -> Interval:
        return Interval(np.ones_like(x))

    def limits(self, p: Parameters) -> tuple[ArrayLike, ArrayLike]:
        return -np.inf, np.inf

    def slope_limits(self, p: Parameters) -> tuple[ArrayLike, ArrayLike]:
        return 1.0, 1.0


class LeakyReLU(Kind):
    """x for x >= 0, negative_slope * x below."""

    name = "leaky_relu"
    defaults: ClassVar = {"negative_slope": 0.01}
    piecewise_linear = True

    def negative_slope(self, p: Parameters) -> ArrayLike:
        return p["negative_slope"]

    def odd(self, p: Parameters) -> bool:
        return bool(np.all(np.asarray(self.negative_slope(p)) == 1.0))

    def value(self, x: Array, p: Parameters) -> Array:
        return np.where(x >= 0.0, x, self.negative_slope(p) * np.minimum(x, 0.0))

    def derivative(self, x: Array, p: Parameters) -> Array:
        return np.where(x >= 0.0, 1.0, self.negative_slope(p))

    def point(self, x: Array, p: Parameters) -> Interval:
        lo, hi = rounding.multiply(self.negative_slope(p), np.minimum(x, 0.0))
        return Interval(np.where(x >= 0.0, x, lo), np.where(x >= 0.0, x, hi))

    def slope(self, x: Array, p: Parameters, right: bool) -> Interval:
        return Interval(np.where(x >= 0.0 if right else x > 0.0, 1.0, self.negative_slope(p)))

    def limits(self, p: Parameters) -> tuple[ArrayLike, ArrayLike]:
        slope = np.asarray(self.negative_slope(p))
        return np.where(slope > 0.0, -np.inf, np.where(slope < 0.0, np.inf, 0.0)), np.inf

    def slope_limits(self, p: Parameters) -> tuple[ArrayLike, ArrayLike]:
        return self.negative_slope(p), 1.0

    def extrema(self, p: Parameters) -> list[Special]:
        return [Special(0.0, 0.0, Interval(0.0))]

    def turning_points(self, p: Parameters) -> list[Special]:
        return [Special(0.0, 0.0, between(self.negative_slope(p), 1.0))]

    def kinks(self, p: Parameters) -> list[Array]:
        return [np.where(np.asarray(self.negative_slope(p)) != 1.0, 0.0, np.nan)]


class ReLU(LeakyReLU):
    """max(x, 0)."""

    name = "relu"
    defaults: ClassVar = {}

    def negative_slope(self, p: Parameters) -> ArrayLike:
        return 0.0


class Hardtanh(Kind):
    """min(max(x, low), high): saturation, clip. Either limit may be infinite."""

    name = "hardtanh"
    defaults: ClassVar = {"low": -1.0, "high": 1.0}
    piecewise_linear = True

    def check(self, p: Parameters) -> str | None:
        if not np.all(p["low"] <= p["high"]):
            return "hardtanh needs low <= high"
        if np.any(p["low"] == np.inf) or np.any(p["high"] == -np.inf):
            return "hardtanh needs low < inf and high > -inf"
        return None

    def odd(self, p: Parameters) -> bool:
        return bool(np.all(p["low"] == -p["high"]))

    def value(self, x: Array, p: Parameters) -> Array:
        return np.clip(x, p["low"], p["high"])

    def derivative(self, x: Array, p: Parameters) -> Array:
        return np.where((x >= p["low"]) & (x < p["high"]), 1.0, 0.0)

    def point(self, x: Array, p: Parameters) -> Interval:
        return Interval(np.clip(x, p["low"], p["high"]))

    def slope(self, x: Array, p: Parameters, right: bool) -> Interval:
        low, high = p["low"], p["high"]
        return Interval(np.where((x >= low) & (x < high) if right else (x > low) & (x <= high), 1.0, 0.0))

    def limits(self, p: Parameters) -> tuple[ArrayLike, ArrayLike]:
        return p["low"], p["high"]

    def slope_limits(self, p: Parameters) -> tuple[ArrayLike, ArrayLike]:
        return np.where(p["low"] == -np.inf, 1.0, 0.0), np.where(p["high"] == np.inf, 1.0, 0.0)

    def turning_points(self, p: Parameters) -> list[Special]:
        jump = Interval(np.zeros_like(p["low"]), np.where(p["low"] < p["high"], 1.0, 0.0))
        return [Special(p["low"], p["low"], jump), Special(p["high"], p["high"], jump)]

    def kinks(self, p: Parameters) -> list[Array]:
        return [np.where(np.isfinite(end) & (p["low"] < p["high"]), end, np.nan) for end in (p["low"], p["high"])]
