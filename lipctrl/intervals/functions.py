"""Elementary functions of any kind of number: floats, arrays, intervals, affine forms, and derivative numbers.

A plant's equations written with these functions and + - * / run on all of them. At a kink the derivative of a float is
that from the right; that of an interval encloses both sides.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lipctrl.intervals.affine import AffineForm
from lipctrl.intervals.dual import Dual
from lipctrl.intervals.interval import Interval


def sin(x: Any) -> Any:
    if isinstance(x, Dual):
        return x.chain(sin(x.value), cos(x.value))
    return x.sin() if isinstance(x, Interval | AffineForm) else np.sin(x)


def cos(x: Any) -> Any:
    if isinstance(x, Dual):
        return x.chain(cos(x.value), -sin(x.value))
    return x.cos() if isinstance(x, Interval | AffineForm) else np.cos(x)


def exp(x: Any) -> Any:
    if isinstance(x, Dual):
        value = exp(x.value)
        return x.chain(value, value)
    return x.exp() if isinstance(x, Interval | AffineForm) else np.exp(x)


def tanh(x: Any) -> Any:
    if isinstance(x, Dual):
        value = tanh(x.value)
        return x.chain(value, 1.0 - square(value))
    return x.tanh() if isinstance(x, Interval | AffineForm) else np.tanh(x)


def arctan(x: Any) -> Any:
    if isinstance(x, Dual):
        return x.chain(arctan(x.value), 1.0 / (1.0 + square(x.value)))
    return x.arctan() if isinstance(x, Interval | AffineForm) else np.arctan(x)


def sqrt(x: Any) -> Any:
    if isinstance(x, Dual):
        value = sqrt(x.value)
        return x.chain(value, 0.5 / value)
    return x.sqrt() if isinstance(x, Interval | AffineForm) else np.sqrt(x)


def square(x: Any) -> Any:
    """x * x, without counting x twice in an interval."""
    if isinstance(x, Dual):
        return x.chain(square(x.value), 2.0 * x.value)
    return x.square() if isinstance(x, Interval | AffineForm) else np.square(x)


def absolute(x: Any) -> Any:
    if isinstance(x, Dual):
        return x.chain(absolute(x.value), 2.0 * _indicator(x.value, 0.0, np.inf) - 1.0)
    return abs(x)


def clip(x: Any, low: Any, high: Any) -> Any:
    """min(max(x, low), high), low <= high; limits that are no floats or arrays through max(x - low, 0) + low."""
    if not _plain(low):
        return clip(clip(x - low, 0.0, np.inf) + low, -np.inf, high)
    if not _plain(high):
        return clip(clip(x, low, np.inf) - high, -np.inf, 0.0) + high
    if isinstance(x, Dual):
        return x.chain(clip(x.value, low, high), _indicator(x.value, low, high))
    return x.clip(low, high) if isinstance(x, Interval | AffineForm) else np.clip(x, low, high)


def _plain(limit: Any) -> bool:
    return isinstance(limit, int | float | np.number | np.ndarray)


def _indicator(x: Any, low: Any, high: Any) -> Any:
    """The derivative of clip: 1 between the limits, 0 outside; on an interval that touches a limit, both."""
    if isinstance(x, Interval):
        inside, outside = (low < x.lo) & (x.hi < high), (x.hi < low) | (high < x.lo)
        return Interval(np.where(inside, 1.0, 0.0), np.where(outside, 0.0, 1.0))
    return np.where((low <= x) & (x < high), 1.0, 0.0)
