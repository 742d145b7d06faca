"""Matrices known up to an entrywise radius, for linear matrix inequalities that round somewhere.

A :class:`Ball` is the set {X : abs(X - mid) <= rad}. Every operation encloses the exact result. A matrix product
costs two BLAS calls for exact factors and three otherwise, by |fl(AB) - AB| <= gamma_{k+2} |A||B| + (k+2) tiny
(Higham, Accuracy and Stability, 3.5); sums and elementwise products carry their exact rounding error, so that what
happens to be exact keeps radius zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lipctrl.errors import LipctrlError
from lipctrl.intervals.rounding import ETA, TINY, U, add_down, add_up, gamma, two_product, two_sum

Array = NDArray[np.float64]

_GUARD = 1.0 + 16.0 * U
"""Covers up to a dozen roundings of a non-negative radius."""


class Ball:
    """The matrices within `rad` of `mid`, entry by entry.

    Parameters
    ----------
    mid : array_like
        Centre, any shape.
    rad : array_like, optional
        Radius >= 0, broadcast to the shape of `mid`. None or all zero: `mid` is exact.

    Raises
    ------
    LipctrlError
        For a radius that is negative or NaN.

    Notes
    -----
    Overflow gives an infinite or NaN centre or radius; whoever proves something from a ball asks for `finite`.
    """

    __array_ufunc__ = None
    __slots__ = ("mid", "rad")
    mid: Array
    rad: Array | None

    def __init__(self, mid: ArrayLike, rad: ArrayLike | None = None) -> None:
        self.mid = np.asarray(mid, dtype=np.float64)
        self.rad = None
        if rad is not None:
            radius = np.broadcast_to(np.asarray(rad, dtype=np.float64), self.mid.shape)
            if not np.all(radius >= 0.0):
                raise LipctrlError("The radius of a ball must be >= 0 everywhere, given a negative number or NaN.")
            self.rad = radius if np.any(radius) else None

    @classmethod
    def exact(cls, matrix: ArrayLike | Ball) -> Ball:
        """The ball of radius zero; a ball is returned as it is."""
        return matrix if isinstance(matrix, Ball) else cls(matrix)

    @classmethod
    def between(cls, lower: ArrayLike, upper: ArrayLike) -> Ball:
        """The smallest ball around all matrices between two, entry by entry."""
        lower, upper = np.asarray(lower, dtype=np.float64), np.asarray(upper, dtype=np.float64)
        with np.errstate(all="ignore"):
            mid = 0.5 * lower + 0.5 * upper
        return _ball(mid, np.maximum(add_up(upper, -mid), add_up(mid, -lower)))

    @classmethod
    def block(cls, rows: Sequence[Sequence[ArrayLike | Ball]]) -> Ball:
        """The block matrix of balls and arrays, like ``numpy.block``."""
        balls = [[cls.exact(entry) for entry in row] for row in rows]
        mid = np.block([[ball.mid for ball in row] for row in balls])
        if all(ball.rad is None for row in balls for ball in row):
            return cls(mid)
        return cls(mid, np.block([[ball.radius for ball in row] for row in balls]))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.mid.shape

    @property
    def radius(self) -> Array:
        """The radius as an array, zero for an exact matrix."""
        return np.zeros(self.shape) if self.rad is None else self.rad

    @property
    def is_exact(self) -> bool:
        """Whether the ball holds a single matrix."""
        return self.rad is None

    @property
    def finite(self) -> bool:
        """Whether every entry of centre and radius is finite."""
        return bool(np.all(np.isfinite(self.mid)) and (self.rad is None or np.all(np.isfinite(self.rad))))

    @property
    def T(self) -> Ball:
        return _ball(self.mid.T, None if self.rad is None else self.rad.T)

    @property
    def lower(self) -> Array:
        return self.mid if self.rad is None else add_down(self.mid, -self.rad)

    @property
    def upper(self) -> Array:
        return self.mid if self.rad is None else add_up(self.mid, self.rad)

    def upper_abs(self) -> Array:
        """An upper bound of abs(X) for every X in the ball."""
        return np.abs(self.mid) if self.rad is None else add_up(np.abs(self.mid), self.rad)

    def symmetric(self) -> Ball:
        """A ball with symmetric centre and radius around all symmetric matrices of this one."""
        return (self + self.T) * 0.5

    def contains(self, matrix: ArrayLike) -> bool:
        """Whether a matrix of float64 is inside, entry by entry."""
        matrix = np.asarray(matrix, dtype=np.float64)
        return bool(np.all((self.lower <= matrix) & (matrix <= self.upper)))

    def __getitem__(self, index: Any) -> Ball:
        return _ball(self.mid[index], None if self.rad is None else self.rad[index])

    def __neg__(self) -> Ball:
        return _ball(-self.mid, self.rad)

    def __add__(self, other: ArrayLike | Ball) -> Ball:
        other = Ball.exact(other)
        mid, error = two_sum(self.mid, other.mid)
        return _ball(mid, _total(np.abs(error), self.rad, other.rad))

    __radd__ = __add__

    def __sub__(self, other: ArrayLike | Ball) -> Ball:
        return self + (-Ball.exact(other))

    def __rsub__(self, other: ArrayLike | Ball) -> Ball:
        return (-self) + other

    def __mul__(self, other: ArrayLike | Ball) -> Ball:
        """Elementwise product with a scalar, an array or a ball."""
        other = Ball.exact(other)
        mid, error = two_product(self.mid, other.mid)
        unknown, error = np.isnan(error), np.abs(error)
        if np.any(unknown):
            error = np.where(unknown, U * np.abs(mid) + TINY, error)
        one = None if other.rad is None else _up(np.abs(self.mid) * other.rad, other.rad, np.abs(self.mid))
        two = None if self.rad is None else _up(self.rad * other.upper_abs(), self.rad, other.upper_abs())
        return _ball(mid, _total(error, one, two))

    __rmul__ = __mul__

    def __matmul__(self, other: ArrayLike | Ball) -> Ball:
        return _matmul(self, Ball.exact(other))

    def __rmatmul__(self, other: ArrayLike | Ball) -> Ball:
        return _matmul(Ball.exact(other), self)

    def __repr__(self) -> str:
        largest = 0.0 if self.rad is None else float(np.max(self.rad))
        return f"Ball(shape {self.shape}, radius <= {largest:.3g})"


def _ball(mid: Array, rad: Array | None) -> Ball:
    """A ball whose radius is already checked; a NaN radius (overflow) becomes infinite."""
    ball = Ball.__new__(Ball)
    ball.mid = np.asarray(mid)
    ball.rad = None
    if rad is not None and np.any(rad):
        rad = np.broadcast_to(rad, ball.mid.shape)
        ball.rad = np.where(np.isnan(rad), np.inf, rad) if np.any(np.isnan(rad)) else rad
    return ball


def _up(product: Array, a: Array, b: Array) -> Array:
    """fl(a * b) for a, b >= 0 made an upper bound; exactly zero if a factor is."""
    return np.where((a == 0.0) | (b == 0.0), 0.0, product * _GUARD + TINY)


def _total(*radii: Array | None) -> Array | None:
    """The sum of at most a few radii, rounded up; None if all are zero."""
    given = [radius for radius in radii if radius is not None and np.any(radius)]
    if len(given) < 2:
        return given[0] if given else None
    with np.errstate(all="ignore"):
        return np.asarray(sum(given[1:], given[0]) * _GUARD)


def _matmul(a: Ball, b: Ball) -> Ball:
    if a.mid.ndim not in (1, 2) or b.mid.ndim not in (1, 2) or a.shape[-1] != b.shape[0]:
        raise LipctrlError(f"Cannot multiply matrices of shape {a.shape} and {b.shape}.")
    monomial = _monomial_rows(a)
    if monomial is not None:
        index, value = monomial
        return (b[index] * value[:, None]) if b.mid.ndim == 2 else b[index] * value
    monomial = _monomial_rows(b.T)
    if monomial is not None:
        index, value = monomial
        return a[..., index] * value
    k = a.shape[-1]
    with np.errstate(all="ignore"):
        mid = a.mid @ b.mid
        size_a, size_b = np.abs(a.mid), np.abs(b.mid)
        rounding = size_b * (gamma(k + 2) * _GUARD) + ETA
        rad = size_a @ (rounding if b.rad is None else (rounding + b.rad) * _GUARD)
        if a.rad is not None:
            rad = rad + a.rad @ (size_b if b.rad is None else (size_b + b.rad) * _GUARD)
        # The radii are sums of non-negative numbers, off by a relative gamma_{k+2} and by 2 (k+2) underflows each.
        rad = rad * (1.0 + 4.0 * gamma(k + 4)) + 8.0 * (k + 2) * TINY
    return _ball(mid, rad)


def _monomial_rows(a: Ball) -> tuple[NDArray[np.intp], Array] | None:
    """Place and value of the only entry in each row (selectors, diagonal matrices), if there is at most one."""
    if a.rad is not None or a.mid.ndim != 2 or a.mid.shape[1] == 0:
        return None
    present = a.mid != 0.0
    if np.count_nonzero(present) > a.shape[0] or np.any(np.count_nonzero(present, axis=1) > 1):
        return None
    index = np.argmax(present, axis=1)
    return index, a.mid[np.arange(a.shape[0]), index]
