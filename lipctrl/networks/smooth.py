"""The smooth scalar nonlinearities (and elu, smooth but for its kink)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from lipctrl.intervals import rounding
from lipctrl.intervals.interval import Interval, enclosing
from lipctrl.intervals.rounding import ETA, U
from lipctrl.networks.kinds import Array, Kind, Parameters, Special, between

SQRT_TWO = (1.414213562373095, 1.4142135623730951)
ONE_OVER_SQRT_TWO_PI = 0.3989422804014327

GELU_MINIMUM = Special(-0.7517915246935645, -0.7517915246935644, Interval(-0.16997120747990369, -0.16997120747990366))
GELU_SLOPE_MAXIMUM = Interval(1.1289041451851547, 1.128904145185155)
GELU_SLOPE_MINIMUM = Interval(-0.1289041451851548, -0.12890414518515478)

SILU_MINIMUM = Special(-1.278464542761074, -1.2784645427610737, Interval(-0.2784645427610738, -0.27846454276107374))
SILU_TURNING = (2.3993572805154675, 2.399357280515468)
SILU_SLOPE_MAXIMUM = Interval(1.0998393201288668, 1.099839320128867)
SILU_SLOPE_MINIMUM = Interval(-0.09983932012886693, -0.09983932012886691)


def _within(value: Array, size: Array, ulps: float | Array) -> Interval:
    """`value` up to `ulps` units in the last place of `size`, and a few underflows."""
    with np.errstate(all="ignore"):
        margin = np.abs(size) * (2.0 * U) * ulps + np.abs(value) * (4.0 * U) + 100.0 * ETA
        return enclosing(value - margin, value + margin)


def _sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)) within 8 ulps: 4 of exp, which the map e -> e / (1 + e) does not enlarge, 2 operations."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0.0, 1.0, e) / (1.0 + e)


def _bell(x: Array) -> Array:
    """sigmoid(x) sigmoid(-x) = e / (1 + e)^2 within 8 ulps: 4 of exp, which the map does not enlarge, 4 operations."""
    e = np.exp(-np.abs(x))
    return e / np.square(1.0 + e)


class Smooth(Kind):
    """A differentiable nonlinearity: one derivative from both sides."""

    def slope(self, x: Array, p: Parameters, right: bool) -> Interval:
        return self.tangent(x, p)

    def tangent(self, x: Array, p: Parameters) -> Interval:
        """Proved bounds of phi' at finite points."""
        raise NotImplementedError


class Tanh(Smooth):
    """The hyperbolic tangent; phi'(x) = 4 sigmoid(2x) sigmoid(-2x) has its maximum 1 at 0."""

    name = "tanh"
    tail = 300.0

    def odd(self, p: Parameters) -> bool:
        return True

    def value(self, x: Array, p: Parameters) -> Array:
        return np.tanh(x)

    def derivative(self, x: Array, p: Parameters) -> Array:
        return 4.0 * special.expit(2.0 * x) * special.expit(-2.0 * x)

    def point(self, x: Array, p: Parameters) -> Interval:
        return Interval(x).tanh()

    def tangent(self, x: Array, p: Parameters) -> Interval:
        slope = 4.0 * _bell(2.0 * x)
        return _within(slope, slope, 8.0)

    def limits(self, p: Parameters) -> tuple[ArrayLike, ArrayLike]:
        return -1.0, 1.0

    def slope_limits(self, p: Parameters) -> tuple[ArrayLike, ArrayLike]:
        return 0.0, 0.0

    def turning_points(self, p: Parameters) -> list[Special]:
        return [Special(0.0, 0.0, Interval(1.0))]


class Sigmoid(Smooth):
    """1 / (1 + exp(-x)); phi'(x) = sigmoid(x) sigmoid(-x) has its maximum 1/4 at 0."""

    name = "sigmoid"
    tail = 600.0

    def value(self, x: Array, p: Parameters) -> Array:
        return special.expit(x)

    def derivative(self, x: Array, p: Parameters) -> Array:
        return special.expit(x) * special.expit(-x)

    def point(self, x: Array, p: Parameters) -> Interval:
        value = _sigmoid(x)
        return _within(value, value, 8.0)

    def tangent(self, x: Array, p: Parameters) -> Interval:
        slope = _bell(x)
        return _within(slope, slope, 8.0)

    def limits(self, p: Parameters) -> tuple[ArrayLike, ArrayLike]:
        return 0.0, 1.0

    def slope_limits(self, p: Parameters) -> tuple[ArrayLike, ArrayLike]:
        return 0.0, 0.0

    def turning_points(self, p: Parameters) -> list[Special]:
        return [Special(0.0, 0.0, Interval(0.25))]


class Softplus(Smooth):
    """log(1 + exp(beta x)) / beta, whose derivative sigmoid(beta x) is monotone.

    The exact function; torch switches to x where beta x > 20, which differs by less than 2.1e-9 / beta.
    """

    name = "softplus"
    defaults: ClassVar = {"beta": 1.0}

    def check(self, p: Parameters) -> str | None:
        return None if np.all(p["beta"] > 0.0) else "beta of softplus must be positive"

    def value(self, x: Array, p: Parameters) -> Array:
        return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(p["beta"] * x))) / p["beta"]

    def derivative(self, x: Array, p: Parameters) -> Array:
        return special.expit(p["beta"] * x)

    def point(self, x: Array, p: Parameters) -> Interval:
        small = (-enclosing(*rounding.multiply(p["beta"], np.abs(x)))).exp()
        logarithm = Interval(rounding.log1p(small.lo)[0], rounding.log1p(small.hi)[1])
        return np.maximum(x, 0.0) + logarithm / p["beta"]

    def tangent(self, x: Array, p: Parameters) -> Interval:
        low, high = (_sigmoid(end) for end in rounding.multiply(p["beta"], x))
        return _within(low, low, 8.0).hull(_within(high, high, 8.0))

    def limits(self, p: Parameters) -> tuple[ArrayLike, ArrayLike]:
        return 0.0, np.inf

    def slope_limits(self, p: Parameters) -> tuple[ArrayLike, ArrayLike]:
        return 0.0, 1.0

    def scale(self, p: Parameters) -> ArrayLike:
        return 1.0 / p["beta"]


class ELU(Kind):
    """x for x >= 0, alpha (exp(x) - 1) below."""

    name = "elu"
    defaults: ClassVar = {"alpha": 1.0}

    def value(self, x: Array, p: Parameters) -> Array:
        return np.where(x >= 0.0, x, p["alpha"] * np.expm1(np.minimum(x, 0.0)))

    def derivative(self, x: Array, p: Parameters) -> Array:
        return np.where(x >= 0.0, 1.0, p["alpha"] * np.exp(np.minimum(x, 0.0)))

    def point(self, x: Array, p: Parameters) -> Interval:
        negative = p["alpha"] * Interval(*rounding.expm1(np.minimum(x, 0.0)))
        return Interval(np.where(x >= 0.0, x, negative.lo), np.where(x >= 0.0, x, negative.hi))

    def slope(self, x: Array, p: Parameters, right: bool) -> Interval:
        negative = p["alpha"] * Interval(*rounding.exp(np.minimum(x, 0.0)))
        linear = x >= 0.0 if right else x > 0.0
        return Interval(np.where(linear, 1.0, negative.lo), np.where(linear, 1.0, negative.hi))

    def limits(self, p: Parameters) -> tuple[ArrayLike, ArrayLike]:
        return -p["alpha"], np.inf

    def slope_limits(self, p: Parameters) -> tuple[ArrayLike, ArrayLike]:
        return 0.0, 1.0

    def extrema(self, p: Parameters) -> list[Special]:
        return [Special(0.0, 0.0, Interval(0.0))]

    def turning_points(self, p: Parameters) -> list[Special]:
        return [Special(0.0, 0.0, between(p["alpha"], 1.0))]

    def kinks(self, p: Parameters) -> list[Array]:
        return [np.where(p["alpha"] != 1.0, 0.0, np.nan)]


class GELU(Smooth):
    """x Phi(x), Phi the normal distribution function (the exact form, not the tanh approximation).

    phi'(x) = Phi(x) + x Phi'(x) and phi''(x) = Phi'(x) (2 - x^2).
    """

    name = "gelu"
    tail = 37.0

    def value(self, x: Array, p: Parameters) -> Array:
        return x * special.ndtr(x)

    def derivative(self, x: Array, p: Parameters) -> Array:
        return special.ndtr(x) + x * np.exp(-0.5 * x * x) / np.sqrt(2.0 * np.pi)

    def point(self, x: Array, p: Parameters) -> Interval:
        low, high = rounding.ndtr(x)
        return _within(x * low, x * low, 1.0).hull(_within(x * high, x * high, 1.0))

    def tangent(self, x: Array, p: Parameters) -> Interval:
        low, high = rounding.ndtr(x)
        rise = x * np.exp(-0.5 * np.square(x)) * ONE_OVER_SQRT_TWO_PI
        ulps = 8.0 + np.square(x)  # of the exponent, whose relative error is u, of exp, and of three operations
        return _within(low + rise, rise, ulps).hull(_within(high + rise, rise, ulps))

    def limits(self, p: Parameters) -> tuple[ArrayLike, ArrayLike]:
        return 0.0, np.inf

    def slope_limits(self, p: Parameters) -> tuple[ArrayLike, ArrayLike]:
        return 0.0, 1.0

    def extrema(self, p: Parameters) -> list[Special]:
        return [GELU_MINIMUM]

    def turning_points(self, p: Parameters) -> list[Special]:
        low, high = SQRT_TWO
        return [Special(-high, -low, GELU_SLOPE_MINIMUM), Special(low, high, GELU_SLOPE_MAXIMUM)]


class SiLU(Smooth):
    """x sigmoid(x), also called swish; phi''(x) = sigmoid(x) sigmoid(-x) (2 - x tanh(x / 2))."""

    name = "silu"
    tail = 600.0

    def value(self, x: Array, p: Parameters) -> Array:
        return x * special.expit(x)

    def derivative(self, x: Array, p: Parameters) -> Array:
        return special.expit(x) * (1.0 + x * special.expit(-x))

    def point(self, x: Array, p: Parameters) -> Interval:
        value = x * _sigmoid(x)
        return _within(value, value, 9.0)

    def tangent(self, x: Array, p: Parameters) -> Interval:
        s, rise = _sigmoid(x), x * _bell(x)
        return _within(s + rise, s + np.abs(rise), 10.0)

    def limits(self, p: Parameters) -> tuple[ArrayLike, ArrayLike]:
        return 0.0, np.inf

    def slope_limits(self, p: Parameters) -> tuple[ArrayLike, ArrayLike]:
        return 0.0, 1.0

    def extrema(self, p: Parameters) -> list[Special]:
        return [SILU_MINIMUM]

    def turning_points(self, p: Parameters) -> list[Special]:
        low, high = SILU_TURNING
        return [Special(-high, -low, SILU_SLOPE_MINIMUM), Special(low, high, SILU_SLOPE_MAXIMUM)]
