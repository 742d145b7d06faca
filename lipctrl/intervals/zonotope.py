"""Affine forms of vectors: sets that keep track of which errors are the same.

A :class:`Zonotope` is {c + G z + H e + d : |z|_2 <= 1, |e|_inf <= 1, |d_i| <= r_i}. Affine maps act exactly up to
rounding, which goes into r; a nonlinearity is replaced by a line and an error, which goes into r too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lipctrl.errors import LipctrlError
from lipctrl.intervals.ball import Ball
from lipctrl.intervals.interval import Interval

Array = NDArray[np.float64]

#: covers the roundings of a sum of squares, its root, and of row sums, for up to 2^20 terms
_INFLATE = 1 + 2.0**-30
_TINY = 2.0**-1000


@dataclass(frozen=True)
class Zonotope:
    """{center + ball_generators z + box_generators e + d : |z|_2 <= 1, |e|_inf <= 1, |d| <= radius}.

    Parameters
    ----------
    center : array, shape (n,)
    ball_generators : array, shape (n, g)
    box_generators : array, shape (n, h)
    radius : array, shape (n,)
        Entries >= 0.
    """

    center: Array
    ball_generators: Array
    box_generators: Array
    radius: Array

    def __post_init__(self) -> None:
        n = len(self.center)
        shapes = (self.ball_generators.shape[:1], self.box_generators.shape[:1], self.radius.shape)
        if shapes != ((n,), (n,), (n,)) or not np.all(self.radius >= 0):
            raise LipctrlError(f"A form of {n} entries needs as many rows of generators and radii >= 0.")

    @property
    def _width(self) -> int:
        return self.ball_generators.shape[1]

    def affine(self, W: Array, b: Array) -> Zonotope:
        """The image under x -> W x + b."""
        weight = Ball.exact(W)
        centre = weight @ self.center + b
        generators = np.hstack([self.ball_generators, self.box_generators])
        moved = weight @ Ball.exact(generators)
        spread = (Ball.exact(np.abs(W)) @ self.radius).upper
        radius = _sum_upper(centre.radius, moved.radius.sum(axis=1), spread)
        return Zonotope(centre.mid, moved.mid[:, : self._width], moved.mid[:, self._width :], radius)

    def elementwise(self, lam: Array, mu: Array, delta: Array) -> Zonotope:
        """An enclosure of {phi(x)} when |phi_i(x_i) - lam_i x_i - mu_i| <= delta_i on the range."""
        column = Ball.exact(lam[:, None])
        centre = Ball.exact(self.center) * lam + mu
        ball, box = column * self.ball_generators, column * self.box_generators
        spread = (Ball.exact(np.abs(lam)) * self.radius).upper
        radius = _sum_upper(centre.radius, ball.radius.sum(axis=1), box.radius.sum(axis=1), spread, delta)
        return Zonotope(centre.mid, ball.mid, box.mid, radius)

    def range(self) -> Interval:
        """The smallest box around the set, up to rounding."""
        largest = np.max(np.abs(self.ball_generators), axis=1, initial=0.0)
        unit = self.ball_generators / np.where(largest > 0, largest, 1.0)[:, None]
        ball = largest * np.sqrt(np.sum(unit**2, axis=1))
        reach = _sum_upper(ball, np.sum(np.abs(self.box_generators), axis=1), self.radius)
        lower, upper = self.center - reach, self.center + reach
        still = reach == 0
        return Interval(
            np.where(still, lower, np.nextafter(lower, -np.inf)), np.where(still, upper, np.nextafter(upper, np.inf))
        )


def _sum_upper(*parts: Array) -> Array:
    """An upper bound of the sum of non-negative arrays, zero only where all of them are, infinite for NaN."""
    total = np.sum(parts, axis=0)
    return np.where(total == 0, 0.0, np.where(np.isnan(total), np.inf, total * _INFLATE + _TINY))
