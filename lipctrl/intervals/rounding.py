"""Directed rounding in binary64, and everything that the proofs assume about the machine.

Assumptions
-----------
1. Additions, subtractions, multiplications, divisions and square roots of numpy are those of IEEE 754 binary64,
   rounded to nearest, ties to even, with gradual underflow, and numpy does not contract two ufuncs into one
   instruction. :func:`check_rounding_mode` tests it at run time.
2. A matrix product of the BLAS is computed by multiplications and additions of binary64 in any order, with or
   without fused operations; no Strassen. Flush to zero inside the BLAS is covered (:data:`TINY`).
3. exp, expm1, log1p, tanh, arctan of numpy err by at most :data:`LIBM_ULPS` units in the last place of the result,
   sin and cos by as much for abs(x) <= 1 and by as many units in the last place of 1 elsewhere, and scipy's ndtr
   (the normal distribution function) by at most ``LIBM_ULPS + 2 x**2`` units for x >= -37: it rounds x / sqrt(2) and
   its square, and errors of 4 + 1.21 x**2 units were seen.
   Tested against arbitrary precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from lipctrl.errors import LipctrlError

Array = NDArray[np.float64]

U = 2.0**-53
"""Unit roundoff of binary64."""
ETA = 2.0**-1074
"""Smallest positive number."""
TINY = 2.0**-1022
"""Smallest positive normal number, the underflow unit that survives flush to zero."""
HUGE = float(np.finfo(np.float64).max)
"""Largest finite number."""
LIBM_ULPS = 4.0
"""Assumed error of the elementary functions in units in the last place (see the head of this file)."""

_SPLIT = 2.0**27 + 1.0


def check_rounding_mode() -> None:
    """Refuse to prove anything unless this thread rounds to nearest, ties to even, with gradual underflow.

    Raises
    ------
    LipctrlError
        If another mode is set.
    """
    one, tiny = np.array([1.0]), np.array([TINY])
    nearest = (one + 2.0**-60 == one) & (one - 2.0**-60 == one)
    even = (one + U == one) & ((one + 2 * U) + U == one + 4 * U)
    gradual = (tiny * 0.5 == 2.0**-1023) & (np.array([ETA]) * 1.0 > 0.0) & (np.array([ETA]) + 0.0 > 0.0)
    if not np.all(nearest & even & gradual):
        raise LipctrlError(
            "The processor does not round to nearest with gradual underflow, so nothing can be proved.",
            "Some library has set another mode (flush to zero): run lipctrl in a process of its own.",
        )


def up(x: ArrayLike) -> Array:
    """The next float64 above x."""
    with np.errstate(all="ignore"):
        return np.asarray(np.nextafter(x, np.inf))


def down(x: ArrayLike) -> Array:
    """The next float64 below x."""
    with np.errstate(all="ignore"):
        return np.asarray(np.nextafter(x, -np.inf))


def gamma(k: int) -> float:
    """An upper bound of k u / (1 - k u), the relative error of k roundings (Higham, Lemma 3.1)."""
    if not 0 <= k < 2**40:
        raise LipctrlError(f"gamma is meant for 0 <= k < 2^40, given {k}.")
    return 0.0 if k == 0 else float(up(k * U / float(down(1.0 - k * U))))


def two_sum(a: ArrayLike, b: ArrayLike) -> tuple[Array, Array]:
    """s = fl(a + b) and the exact error e = a + b - s; NaN if s is not finite (Knuth)."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    with np.errstate(all="ignore"):
        s = a + b
        v = s - a
        return s, (a - (s - v)) + (b - v)


def two_product(a: ArrayLike, b: ArrayLike) -> tuple[Array, Array]:
    """p = fl(a * b) and the exact error e = a * b - p; NaN where underflow or overflow spoil e (Dekker, Veltkamp).

    A zero factor gives p = e = 0, also against infinity. A power of two that is a scalar rounds what p / b does not
    give back.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    with np.errstate(all="ignore"):
        p = np.asarray(a * b)
        if b.ndim == 0 and abs(math.frexp(b)[0]) == 0.5:
            return p, np.where(p / b - a == 0.0, 0.0, np.nan)
        size = np.abs(p)
        known = (size >= 2.0**-960) & (size <= 2.0**1000)
        (a_high, a_low), (b_high, b_low) = _split(a), _split(b)
        e = a_low * b_low - (((p - a_high * b_high) - a_low * b_high) - a_high * b_low)
        if np.all(known):
            return p, e
        zero = ((a == 0.0) & ~np.isnan(b)) | ((b == 0.0) & ~np.isnan(a))
        return np.where(zero, 0.0, p), np.where(zero, 0.0, np.where(known, e, np.nan))


def _split(a: Array) -> tuple[Array, Array]:
    """a as the sum of two numbers of 26 bits."""
    t = _SPLIT * a
    high = t - (t - a)
    return high, a - high


def _directed(value: Array, error: Array) -> tuple[Array, Array]:
    """Neighbours of fl = value around the truth value + error; only the sign of error counts, NaN is unknown."""
    return _below(value, error), _above(value, error)


def _below(value: Array, error: Array) -> Array:
    return np.where(error >= 0.0, value, down(value))


def _above(value: Array, error: Array) -> Array:
    return np.where(error <= 0.0, value, up(value))


def add(a: ArrayLike, b: ArrayLike) -> tuple[Array, Array]:
    """a + b rounded down and up (exact sums stay exact)."""
    return _directed(*two_sum(a, b))


def add_down(a: ArrayLike, b: ArrayLike) -> Array:
    """a + b rounded down."""
    return _below(*two_sum(a, b))


def add_up(a: ArrayLike, b: ArrayLike) -> Array:
    """a + b rounded up."""
    return _above(*two_sum(a, b))


def multiply(a: ArrayLike, b: ArrayLike) -> tuple[Array, Array]:
    """a * b rounded down and up (exact products stay exact); 0 * inf = 0."""
    return _directed(*two_product(a, b))


def divide(a: ArrayLike, b: ArrayLike) -> tuple[Array, Array]:
    """a / b rounded down and up; NaN for b = 0."""
    a, b = np.broadcast_arrays(np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64))
    with np.errstate(all="ignore"):
        q = np.where(b == 0.0, np.nan, a / b)
        p, e = two_product(q, b)
        error = ((a - p) - e) * np.sign(b)
        error = np.where(np.abs(q) >= 2.0**-900, error, np.nan)
        error = np.where((a == 0.0) & np.isfinite(q), 0.0, error)
    return _directed(q, error)


def sqrt(a: ArrayLike) -> tuple[Array, Array]:
    """The square root rounded down and up; NaN for a < 0."""
    a = np.asarray(a, dtype=np.float64)
    with np.errstate(all="ignore"):
        s = np.sqrt(a)
        p, e = two_product(s, s)
        error = np.where(a == 0.0, 0.0, (a - p) - e)
    low, high = _directed(s, error)
    return np.maximum(low, 0.0), high


def norm_up(x: ArrayLike, axis: int | tuple[int, ...]) -> Array:
    """At least the Euclidean norm along some axes; zero only of what is zero.

    Of k squares each may lose 2^-1075 to underflow, the root of their sum sqrt(k) 2^-537.
    """
    x = np.asarray(x, dtype=np.float64)
    with np.errstate(all="ignore"):
        squares = np.sum(x * x, axis=axis)
        count = x.size // max(squares.size, 1)
        return np.asarray(np.sqrt(squares) * (1.0 + (count + 4) * U) + 2.0**-500 * np.any(x, axis=axis))


def widen(value: Array, ulps: ArrayLike = LIBM_ULPS) -> tuple[Array, Array]:
    """Bounds of a number known to `ulps` units in the last place of its computed `value`."""
    ulps = np.asarray(ulps, dtype=np.float64)
    with np.errstate(all="ignore"):
        margin = np.abs(value) * (2.0 * U * (1.0 + 8.0 * U)) * ulps + 8.0 * ETA * ulps
        return down(value - margin), up(value + margin)


def _bounded(
    function: Callable[[Array], Array],
    x: ArrayLike,
    low: float = -np.inf,
    high: float = np.inf,
    fixed: float | None = 0.0,
) -> tuple[Array, Array]:
    """Bounds of an elementary function whose range is [low, high] and whose value at 0 is exactly `fixed`."""
    x = np.asarray(x, dtype=np.float64)
    with np.errstate(all="ignore"):
        value = np.asarray(function(x), dtype=np.float64)
    lower, upper = widen(value)
    lower = np.where(value == np.inf, np.where(x == np.inf, high, HUGE), lower)
    lower, upper = np.clip(lower, low, high), np.clip(upper, low, high)
    if fixed is not None:
        lower, upper = np.where(x == 0.0, fixed, lower), np.where(x == 0.0, fixed, upper)
    return lower, upper


def exp(x: ArrayLike) -> tuple[Array, Array]:
    """Bounds of exp(x)."""
    return _bounded(np.exp, x, low=0.0, fixed=1.0)


def expm1(x: ArrayLike) -> tuple[Array, Array]:
    """Bounds of exp(x) - 1."""
    return _bounded(np.expm1, x, low=-1.0)


def log1p(x: ArrayLike) -> tuple[Array, Array]:
    """Bounds of log(1 + x), x >= 0."""
    return _bounded(np.log1p, x)


def tanh(x: ArrayLike) -> tuple[Array, Array]:
    """Bounds of tanh(x)."""
    return _bounded(np.tanh, x, -1.0, 1.0)


def arctan(x: ArrayLike) -> tuple[Array, Array]:
    """Bounds of arctan(x)."""
    return _bounded(np.arctan, x)


def sin(x: ArrayLike) -> tuple[Array, Array]:
    """Bounds of sin(x); [-1, 1] at infinity."""
    return _circular(np.sin, x, 0.0)


def cos(x: ArrayLike) -> tuple[Array, Array]:
    """Bounds of cos(x); [-1, 1] at infinity."""
    return _circular(np.cos, x, 1.0)


def _circular(function: Callable[[Array], Array], x: ArrayLike, fixed: float) -> tuple[Array, Array]:
    x = np.asarray(x, dtype=np.float64)
    with np.errstate(all="ignore"):
        value = np.asarray(function(x), dtype=np.float64)
        margin = np.where(np.abs(x) <= 1.0, np.abs(value), 1.0) * (2.0 * U * LIBM_ULPS) + 8.0 * LIBM_ULPS * ETA
        lower, upper = np.fmax(down(value - margin), -1.0), np.fmin(up(value + margin), 1.0)
    nan = np.isnan(x)
    lower, upper = np.where(x == 0.0, fixed, lower), np.where(x == 0.0, fixed, upper)
    return np.where(nan, np.nan, lower), np.where(nan, np.nan, upper)


def ndtr(x: ArrayLike) -> tuple[Array, Array]:
    """Bounds of the normal distribution function; [0, 6e-300] below -37, where scipy's underflows."""
    x = np.asarray(x, dtype=np.float64)
    lower, upper = widen(np.asarray(special.ndtr(x)), LIBM_ULPS + 2.0 * np.clip(x, -37.0, 0.0) ** 2)
    lower, upper = np.where(x < -37.0, 0.0, lower), np.where(x < -37.0, 6e-300, upper)
    return np.clip(lower, 0.0, 1.0), np.clip(upper, 0.0, 1.0)
