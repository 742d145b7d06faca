"""Affine forms of numbers, vectorised over cells: enclosures that remember which errors are the same.

An :class:`AffineForm` of shape S stands, entry by entry, for the numbers

    c + sum_j G_j e_j + d,    |e_j| <= 1,  |d| <= r,

where the symbols e_1, ..., e_g are shared by all forms of one computation (for each cell its own) and d is not. Sums
and differences cancel what is common; a nonlinear function becomes a line plus an error of second order in the width
of the cell. Every rounding error goes into r, by |fl(a op b) - (a op b)| <= u |fl(a op b)| + eta.

A form may also carry an interval that is known to contain the number (the range of clip, sin, cos): `range` intersects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lipctrl.errors import LipctrlError
from lipctrl.intervals import relaxations, rounding
from lipctrl.intervals.dual import Dual
from lipctrl.intervals.interval import Interval
from lipctrl.intervals.rounding import U

Array = NDArray[np.float64]

_GROW = 1.0 + 2.0**-40
"""Covers up to 2^11 roundings of a sum of non-negative radii."""
_TINY = 2.0**-1000
"""Covers underflow in up to 2^20 products."""


class AffineForm:
    """The numbers c + G'e + d with |e|_inf <= 1 and |d| <= r, entry by entry, for arrays of any shape S.

    Parameters
    ----------
    center : array_like, shape S
    generators : array_like, shape (g, *S), optional
        Coefficients of the shared symbols; none by default.
    radius : array_like, shape S, optional
        Entries >= 0; zero by default.
    known : Interval, optional
        An interval known to contain the numbers, too.

    Notes
    -----
    Overflow gives an infinite or NaN center or radius, which :meth:`range` turns into the whole line. Where an
    operation may be undefined (1 / 0, the root of a negative number) the center is NaN, and so are those of all that is
    computed from it: nothing is known of that, not even `known`.
    """

    __array_ufunc__ = None
    __slots__ = ("center", "generators", "known", "radius")

    def __init__(
        self,
        center: ArrayLike,
        generators: ArrayLike | None = None,
        radius: ArrayLike | None = None,
        known: Interval | None = None,
    ) -> None:
        self.center = np.asarray(center, dtype=np.float64)
        shape = self.center.shape
        self.generators = np.zeros((0, *shape)) if generators is None else np.asarray(generators, dtype=np.float64)
        self.radius = np.zeros(shape) if radius is None else np.asarray(radius, dtype=np.float64)
        self.known = known
        if self.generators.shape[1:] != shape or self.radius.shape != shape:
            raise LipctrlError(
                f"An affine form of shape {shape} needs generators (g, *shape) and a radius of that shape, given "
                f"{self.generators.shape} and {self.radius.shape}."
            )

    @staticmethod
    def cells(centers: Array, half_widths: Array) -> tuple[AffineForm, ...]:
        """The coordinates of boxes, shape (N, n) each: n forms of shape (N,), each with a symbol of its own."""
        centers, half_widths = np.asarray(centers, dtype=np.float64), np.asarray(half_widths, dtype=np.float64)
        n = centers.shape[1]
        generators = np.zeros((n, n, len(centers)))
        generators[np.arange(n), np.arange(n)] = half_widths.T
        return tuple(AffineForm(centers[:, i], generators[i]) for i in range(n))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.center.shape

    @property
    def deviation(self) -> Array:
        """An upper bound of abs(x - center)."""
        return _sum(_total(self.generators), self.radius)

    def range(self) -> Interval:
        """An interval around all values; the whole line where nothing is known."""
        with np.errstate(all="ignore"):
            reach = _sum(self.deviation, 2.0 * U * np.abs(self.center))
            lower, upper = self.center - reach, self.center + reach
        lower = np.where(np.isnan(lower) | (lower == np.inf), -np.inf, lower)
        upper = np.where(np.isnan(upper) | (upper == -np.inf), np.inf, upper)
        if self.known is not None:
            lower, upper = np.fmax(lower, self.known.lo), np.fmin(upper, self.known.hi)
            lower, upper = np.minimum(lower, self.known.hi), np.maximum(upper, self.known.lo)
        undefined = np.isnan(self.center)
        return Interval(np.where(undefined, -np.inf, lower), np.where(undefined, np.inf, upper))

    def __neg__(self) -> AffineForm:
        return AffineForm(-self.center, -self.generators, self.radius, None if self.known is None else -self.known)

    def __pos__(self) -> AffineForm:
        return self

    def __add__(self, other: Any) -> AffineForm:
        if not isinstance(other, AffineForm | Interval | Dual):
            return self._shifted(np.asarray(other, dtype=np.float64))
        other = _lift(other)
        with np.errstate(all="ignore"):
            center = self.center + other.center
            generators = _added(self.generators, other.generators, center.shape)
            radius = _sum(self.radius + other.radius, U * _size(center, generators))
        return AffineForm(center, generators, np.broadcast_to(radius, center.shape))

    __radd__ = __add__

    def __sub__(self, other: Any) -> AffineForm:
        return self + (-other)

    def __rsub__(self, other: Any) -> AffineForm:
        return (-self) + other

    def __mul__(self, other: Any) -> AffineForm:
        if not isinstance(other, AffineForm | Interval | Dual):
            return self._scaled(np.asarray(other, dtype=np.float64))
        other = _lift(other)
        with np.errstate(all="ignore"):
            center = self.center * other.center
            left = _spread(self.generators, center.shape) * other.center
            right = _spread(other.generators, center.shape) * self.center
            generators = _added(left, right, center.shape)
            rounded = _size(center, generators) + _total(left) + _total(right)
            both = self.deviation * other.deviation
            mixed = np.abs(self.center) * other.radius + np.abs(other.center) * self.radius
            radius = _sum(both + mixed, 2.0 * U * rounded)
        return AffineForm(center, generators, np.broadcast_to(radius, center.shape))

    def _shifted(self, constant: Array) -> AffineForm:
        with np.errstate(all="ignore"):
            center = self.center + constant
            radius = _sum(self.radius, U * np.abs(center))
        return AffineForm(center, _spread(self.generators, center.shape), radius)

    def _scaled(self, factor: Array) -> AffineForm:
        with np.errstate(all="ignore"):
            center = self.center * factor
            generators = _spread(self.generators, center.shape) * factor
            radius = _sum(self.radius * np.abs(factor), U * _size(center, generators))
        return AffineForm(center, generators, radius)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> AffineForm:
        if isinstance(other, AffineForm | Interval):
            return self * _lift(other).reciprocal()
        divisor = np.asarray(other, dtype=np.float64)
        divisor = np.where(divisor == 0.0, np.nan, divisor)
        with np.errstate(all="ignore"):
            center, generators = self.center / divisor, self.generators / divisor
            radius = _sum(self.radius / np.abs(divisor), 2.0 * U * _size(center, generators))
        return AffineForm(center, generators, radius)

    def __rtruediv__(self, other: Any) -> AffineForm:
        return self.reciprocal() * other

    def __pow__(self, exponent: int) -> AffineForm:
        if not isinstance(exponent, int) or exponent < 0:
            raise LipctrlError(f"Powers of affine forms need an integer exponent >= 0, given {exponent!r}.")
        if exponent == 0:
            return AffineForm(np.ones(self.shape))
        half = (self ** (exponent // 2)).square() if exponent > 1 else None
        if half is None:
            return self
        return half * self if exponent % 2 else half

    def line(self, lam: Array, mu: Array, delta: Array, known: Interval | None = None) -> AffineForm:
        """An enclosure of phi(x) when |phi(v) - lam v - mu| <= delta on the range; without delta, all of `known`."""
        with np.errstate(all="ignore"):
            scaled = lam * self.center
            lost = ~np.isfinite(delta) & ~np.isnan(self.center)
            if known is not None and np.any(lost):
                lam, scaled = np.where(lost, 0.0, lam), np.where(lost, 0.0, scaled)
                mu, delta = np.where(lost, known.mid, mu), np.where(lost, known.rad, delta)
            center, generators = scaled + mu, self.generators * lam
            rounded = _size(center, generators) + np.abs(scaled)
            radius = _sum(np.abs(lam) * self.radius + delta, 2.0 * U * rounded)
        return AffineForm(center, generators, radius, known)

    def square(self) -> AffineForm:
        """x * x: (c + d)^2 = c^2 + 2 c d + [0, deviation^2]."""
        with np.errstate(all="ignore"):
            half = 0.5 * _sum(self.deviation**2)
            double = 2.0 * self.center
            center = self.center**2 + half
            generators = double * self.generators
            radius = _sum(np.abs(double) * self.radius + half, 4.0 * U * _size(center, generators))
        return AffineForm(center, generators, radius)

    def clip(self, low: ArrayLike, high: ArrayLike) -> AffineForm:
        """min(max(x, low), high)."""
        reach = self.range()
        return self.line(*relaxations.clip_line(reach.lo, reach.hi, low, high), reach.clip(low, high))

    def sin(self) -> AffineForm:
        return self._circular(rounding.sin, rounding.cos, 1.0)

    def cos(self) -> AffineForm:
        return self._circular(rounding.cos, rounding.sin, -1.0)

    def _circular(self, function: Callable[..., Any], other: Callable[..., Any], sign: float) -> AffineForm:
        """phi(c + d) = phi(c) + phi'(c) d + phi''(xi) d^2 / 2 with phi'' = -phi, which is 1-Lipschitz."""
        (value_lo, value_hi), (slope_lo, slope_hi) = function(self.center), other(self.center)
        with np.errstate(all="ignore"):
            reach = self.deviation
            square = 0.5 * _sum(reach * reach)
            bend_lo = np.maximum(-value_hi - reach - 4.0 * U * (1.0 + reach), -1.0)
            bend_hi = np.minimum(-value_lo + reach + 4.0 * U * (1.0 + reach), 1.0)
            rest_lo, rest_hi = np.minimum(bend_lo, 0.0) * square, np.maximum(bend_hi, 0.0) * square
            lam = sign * 0.5 * (slope_lo + slope_hi)
            value = 0.5 * (value_lo + value_hi)
            shift = 0.5 * (rest_lo + rest_hi)
            delta = 0.5 * (rest_hi - rest_lo) + 0.5 * (value_hi - value_lo) + 0.5 * (slope_hi - slope_lo) * reach
            delta = delta + 8.0 * U * (np.abs(value) + np.abs(rest_lo) + np.abs(rest_hi) + reach)
        result = self._about_center(lam, value + shift, delta)
        result.known = Interval(np.full(self.shape, -1.0), np.full(self.shape, 1.0))
        return result

    def _about_center(self, lam: Array, value: Array, delta: Array) -> AffineForm:
        """An enclosure of phi(x) when |phi(c + d) - value - lam d| <= delta for every deviation d."""
        with np.errstate(all="ignore"):
            generators = self.generators * lam
            radius = _sum(np.abs(lam) * self.radius + delta, 2.0 * U * _size(value, generators))
        return AffineForm(value, generators, radius)

    def tanh(self) -> AffineForm:
        reach = self.range()
        return self.line(*relaxations.tanh_line(reach.lo, reach.hi), Interval(reach.lo, reach.hi).tanh())

    def exp(self) -> AffineForm:
        return self._by_derivative(lambda x: x.exp(), lambda x: x.exp())

    def arctan(self) -> AffineForm:
        return self._by_derivative(lambda x: x.arctan(), lambda x: 1.0 / (1.0 + x.square()))

    def sqrt(self) -> AffineForm:
        """The square root, undefined where a number may be negative."""
        defined = self._where(self.range().lo >= 0.0)
        return defined._by_derivative(lambda x: x.sqrt(), lambda x: 0.5 / x.sqrt())

    def reciprocal(self) -> AffineForm:
        """1 / x, undefined where x may be 0."""
        reach = self.range()
        defined = self._where((reach.lo > 0.0) | (reach.hi < 0.0))
        return defined._by_derivative(lambda x: 1.0 / x, lambda x: -1.0 / x.square())

    def _where(self, defined: NDArray[np.bool_]) -> AffineForm:
        return AffineForm(np.where(defined, self.center, np.nan), self.generators, self.radius, self.known)

    def __abs__(self) -> AffineForm:
        return self.clip(0.0, np.inf) - self.clip(-np.inf, 0.0)

    def _by_derivative(
        self, function: Callable[[Interval], Interval], derivative: Callable[[Interval], Interval]
    ) -> AffineForm:
        """phi(c + d) = phi(c) + phi'(xi) d, with phi' bounded on the range; where c lies outside it, its interval."""
        reach = self.range()
        inside = (reach.lo <= self.center) & (self.center <= reach.hi)
        middle = np.where(inside, self.center, reach.mid)
        value, slope = function(Interval(middle)), derivative(reach)
        known = function(reach)
        lam, bend = slope.mid, slope.rad
        with np.errstate(all="ignore"):
            delta = value.rad + bend * self.deviation + 4.0 * U * np.abs(value.mid)
        usable = inside & np.isfinite(lam) & np.isfinite(bend)
        lam = np.where(usable, lam, 0.0)
        middle = np.where(usable, value.mid, np.where(np.isnan(self.center), np.nan, known.mid))
        result = self._about_center(lam, middle, np.where(usable, delta, known.rad))
        result.known = known
        return result

    def with_own_symbol(self) -> AffineForm:
        """The same form with its radius as coefficient of a new symbol (appended), so that it can cancel later."""
        generators = np.concatenate([self.generators, self.radius[None]])
        return AffineForm(self.center, generators, np.zeros(self.shape), self.known)

    def __getitem__(self, index: Any) -> AffineForm:
        where = index if isinstance(index, tuple) else (index,)
        known = None if self.known is None else self.known[index]
        return AffineForm(self.center[index], self.generators[(slice(None), *where)], self.radius[index], known)

    def __repr__(self) -> str:
        return f"AffineForm(shape {self.shape}, {len(self.generators)} symbols)"


def linear_map(W: Array, x: Sequence[AffineForm], shift: Array | None = None) -> tuple[AffineForm, ...]:
    """W (x - shift) for a matrix W, shape (k, n), and n forms of shape (N,), by matrix products.

    |fl(W v) - W v| <= gamma_n |W||v| for each column v of centers and coefficients, in whatever order a BLAS adds.
    """
    count = max(len(form.generators) for form in x)
    X = np.zeros((1 + count, len(x), *x[0].shape))
    radius = np.empty(X.shape[1:])
    for i, form in enumerate(x):
        X[0, i] = form.center if shift is None else form.center - shift[i]
        X[1 : 1 + len(form.generators), i] = form.generators
        radius[i] = form.radius
    with np.errstate(all="ignore"):
        size = _total(X)
        image = W @ X
        radius = np.abs(W) @ (radius + rounding.gamma(len(x) + 4) * size) * _GROW + _TINY
    return tuple(AffineForm(image[0, i], image[1:, i], radius[i]) for i in range(len(W)))


def stack(forms: Sequence[AffineForm | ArrayLike], shape: tuple[int, ...]) -> AffineForm:
    """Join forms (or constants) of one shape along a new last axis, with a common set of symbols."""
    lifted = [_lift(form) for form in forms]
    count = max(len(form.generators) for form in lifted)
    center = np.stack([np.broadcast_to(form.center, shape) for form in lifted], axis=-1)
    radius = np.stack([np.broadcast_to(form.radius, shape) for form in lifted], axis=-1)
    generators = np.zeros((count, *center.shape))
    for place, form in enumerate(lifted):
        generators[: len(form.generators), ..., place] = _spread(form.generators, shape)
    return AffineForm(center, generators, radius)


def _lift(value: Any) -> AffineForm:
    if isinstance(value, AffineForm):
        return value
    if isinstance(value, Interval):
        return AffineForm(value.mid, None, value.rad)
    if isinstance(value, Dual):
        raise LipctrlError("Affine forms and derivative numbers do not mix.")
    return AffineForm(value)


def _sum(*parts: Array) -> Array:
    """An upper bound of a sum of radii."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return np.asarray(total * _GROW + _TINY)


def _size(center: Array, generators: Array) -> Array:
    return np.abs(center) + _total(generators)


def _total(generators: Array) -> Array:
    total = np.zeros(generators.shape[1:])
    for generator in generators:
        total += np.abs(generator)
    return total


def _spread(generators: Array, shape: tuple[int, ...]) -> Array:
    """The generators of a form that is broadcast to `shape`."""
    missing = len(shape) - (generators.ndim - 1)
    aligned = generators.reshape(len(generators), *(1,) * missing, *generators.shape[1:])
    return np.broadcast_to(aligned, (len(generators), *shape))


def _added(a: Array, b: Array, shape: tuple[int, ...]) -> Array:
    """The sum of two sets of generators; a missing symbol has coefficient zero."""
    if len(a) < len(b):
        a, b = b, a
    total = np.array(_spread(a, shape))
    if len(b):
        total[: len(b)] += _spread(b, shape)
    return total
