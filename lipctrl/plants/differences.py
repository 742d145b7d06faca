"""Derivatives by central differences, and a look for kinks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Function = Callable[[Array], Array]

DOUBLE = 2.0**-53
SINGLE = 2.0**-24


def differentiate(function: Function, x: Array, resolution: float = DOUBLE) -> tuple[Array, NDArray[np.bool_]]:
    """Jacobian of a function at x by five-point differences, and where it seems to have a kink.

    Parameters
    ----------
    function : callable
        From arrays of shape (k, n) to arrays of shape (k, q), row by row.
    x : ndarray, shape (n,)
    resolution : float
        Relative rounding error of the function's values: `DOUBLE` or `SINGLE`.

    Returns
    -------
    jacobian : ndarray, shape (q, n)
    kink : ndarray of bool, shape (n,)
        Whether the one-sided slopes along x_i differ by more than one per cent.

    Notes
    -----
    Two widths are tried. The five-point formula errs by h^4/30 times the fifth derivative and by about
    1.5 resolution / h, so the best h is of the order resolution^(1/5). Where the two widths disagree (a kink close by),
    the narrow one holds. Steps are powers of two, hence exact.
    """
    wide = _steps(resolution**0.2, x)
    narrow = _steps(resolution**0.3, x)
    columns, kinks = [], []
    for i in range(x.size):
        unit = np.zeros_like(x)
        unit[i] = 1.0
        coarse, _ = _five_points(function, x, unit, wide[i])
        fine, jump = _five_points(function, x, unit, narrow[i])
        scale = 1 + np.abs(fine)
        smooth = np.all(np.abs(coarse - fine) <= 1e3 * resolution / narrow[i] * scale)
        columns.append(coarse if smooth else fine)
        kinks.append(not np.all(jump <= 1e-2 * scale))
    return np.stack(columns, axis=-1), np.array(kinks)


def _steps(relative: float, x: Array) -> Array:
    return np.asarray(np.exp2(np.round(np.log2(relative * np.maximum(1.0, np.abs(x))))), dtype=np.float64)


def _five_points(function: Function, x: Array, unit: Array, step: float) -> tuple[Array, Array]:
    values = function(x + step * np.arange(-2, 3)[:, None] * unit)
    far_left, left, here, right, far_right = values
    slope = (8 * (right - left) - (far_right - far_left)) / (12 * step)
    forward = (4 * right - 3 * here - far_right) / (2 * step)
    backward = (3 * here + far_left - 4 * left) / (2 * step)
    return slope, np.abs(forward - backward)
