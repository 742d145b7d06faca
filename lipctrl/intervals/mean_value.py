"""Secants of scalar functions about a point, as means of their slopes.

    phi(v* + d) - phi(v*) = integral of phi'(v* + s) ds from 0 to d

for every Lipschitz phi. With bounds of phi' on pieces of equal length the secant to the end of a piece lies between the
means of the bounds so far, and one to a point within a piece between those to its ends.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lipctrl.errors import LipctrlError
from lipctrl.intervals.interval import Interval

Array = NDArray[np.float64]

PIECES = 128
"""On each side of v*."""
_ROUNDED = 2.0**-40
_WIDER = 2.0**-7
"""Share of a sector's width that is added on each side, for programs with other pieces."""


def sector_and_line(
    slopes: Callable[[Interval], Interval], about: Interval, reach: Array
) -> tuple[Interval, Array, Array]:
    """Bounds of all secants from v* in `about` to v* + d, |d| <= reach, and a line close to phi there.

    Parameters
    ----------
    slopes : callable
        Bounds of phi' (Clarke's, at kinks) on intervals of shape (..., m).
    about : Interval, shape (m,)
        Bounded.
    reach : array, shape (m,)
        Finite, >= 0.

    Returns
    -------
    sector : Interval, shape (m,)
        One number where phi is affine on the whole range.
    line, error : array, shape (m,)
        |phi(v* + d) - phi(v*) - line d| <= error.
    """
    if not (np.all(np.isfinite(reach)) and np.all(np.isfinite(about.lo) & np.isfinite(about.hi))):
        raise LipctrlError("A sector needs a bounded centre and a bounded range.")
    length = reach / PIECES * (1.0 + _ROUNDED)
    edges = np.arange(PIECES + 1)[:, None] * length
    slack = 2.0**-50 * (np.abs(about.mag) + edges[-1])
    right = Interval(about.lo + edges[:-1] - slack, about.hi + edges[1:] + slack)
    left = Interval(about.lo - edges[1:] - slack, about.hi - edges[:-1] + slack)
    each = slopes(Interval(np.stack([right.lo, left.lo]), np.stack([right.hi, left.hi])))
    count = np.arange(1, PIECES + 1)[:, None]
    low = (np.cumsum(each.lo, axis=1) / count).min(axis=(0, 1))
    high = (np.cumsum(each.hi, axis=1) / count).max(axis=(0, 1))
    least, most = each.lo.min(axis=(0, 1)), each.hi.max(axis=(0, 1))
    affine = least == most
    rounded = 4.0 * _ROUNDED * np.maximum(np.abs(least), np.abs(most))
    spread = rounded + _WIDER * (high - low)
    # no secant is beyond all slopes
    low, high = np.maximum(low - spread, least - rounded), np.minimum(high + spread, most + rounded)
    sector = Interval(np.where(affine, least, low), np.where(affine, most, high))
    lines = [low + share * (high - low) for share in (0.35, 0.5, 0.6, 0.7, 0.8)]
    errors = np.stack([_error(each, line, length) for line in lines])
    best = np.argmin(errors, axis=0)
    chosen = np.arange(len(best))
    line, error = np.stack(lines)[best, chosen], errors[best, chosen]
    return sector, np.where(affine, least, line), np.where(affine, 0.0, error)


def _error(each: Interval, line: Array, length: Array) -> Array:
    """At least |integral of (phi' - line)| up to any point of the range."""
    above = np.cumsum(each.hi - line, axis=1).max(axis=(0, 1), initial=0.0)
    below = np.cumsum(each.lo - line, axis=1).min(axis=(0, 1), initial=0.0)
    size = PIECES * (np.abs(each.mag).max(axis=(0, 1)) + np.abs(line))
    return np.asarray((np.maximum(above, -below) + _ROUNDED * size) * length * (1.0 + _ROUNDED))
