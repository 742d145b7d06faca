"""How far the float32 evaluation of a policy can be from the real function of its weights, on cells of observations.

The evaluation that is meant, u = 2^-24:

    observation     y_i becomes a float32 number, off by at most u (1 + 2^-8) |y_i| + 2^-48 (1 + |y_i|) + 2^-126
    affine layer    weights and biases rounded to float32 (if they are not), products and sums rounded, in any order,
                    with or without fused operations, subnormal numbers flushed or not
    row of one      W_ij x_j + b_i, or (x_j - mean) / std, or low + (x_j + 1) / 2 (high - low), in float32 or better
    tanh, sigmoid   off by at most 2^-22
    relu, clip      exact, with limits rounded to float32; leaky_relu two roundings
    action          one more rounding to float32 where the environment uses it: 2 u |u_i|

A row of k > 1 non-zero weights is a sum of k + 1 terms, each rounded at most k + 3 times, so that its error is at most
gamma (|W||x| + |b|) with gamma = (k + 3) u / (1 - (k + 3) u) (Higham, Accuracy and Stability of Numerical Algorithms,
2002, section 3.1), x being the computed input. A row of one weight has at most 9 u (|W_ij| max(|x_j|, 1) + |b_i|).
Errors are carried on by |W| and by the largest slopes near the cell.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lipctrl.errors import NetworkError
from lipctrl.intervals.affine import AffineForm
from lipctrl.intervals.interval import Interval
from lipctrl.networks.affine_enclosure import AffineEnclosure
from lipctrl.networks.network import Affine, Elementwise

Array = NDArray[np.float64]

U32, SMALL, FUNCTION, LARGEST = 2.0**-24, 2.0**-126, 2.0**-22, 2.0**126
KINDS = ("identity", "relu", "leaky_relu", "tanh", "sigmoid", "hardtanh")
_GROW, _TINY = 1.0 + 2.0**-36, 2.0**-900


class Float32Error:
    """Bounds of |float32 evaluation - pi(y)| for every y of each cell.

    Parameters
    ----------
    enclosure : AffineEnclosure
        Of the policy.

    Raises
    ------
    NetworkError
        For a nonlinearity whose error in float32 is not stated above.
    """

    def __init__(self, enclosure: AffineEnclosure) -> None:
        for layer in enclosure.network.layers:
            if isinstance(layer, Elementwise) and layer.kind not in KINDS:
                raise NetworkError(
                    f"Nothing is stated about the float32 evaluation of {layer.kind}.",
                    f"Ask for real arithmetic; float32 is covered for {', '.join(KINDS)}.",
                )
        self.enclosure = enclosure
        self._rows = {id(layer): _row_factors(layer) for layer in enclosure.network.layers if isinstance(layer, Affine)}

    def __call__(self, y: AffineForm) -> Array:
        """The bounds, shape (N, n_out), for forms of shape (N, n_in); inf where nothing is known."""
        ranges = [y.range(), *self.enclosure.ranges(y)]
        size = ranges[0].mag
        with np.errstate(all="ignore"):
            error = (size * (U32 * (1 + 2.0**-8)) + 2.0**-48 * (1 + size) + SMALL) * _GROW
            for layer, before in zip(self.enclosure.network.layers, ranges, strict=False):
                small = np.all(before.mag + error < LARGEST, axis=1, keepdims=True)
                if isinstance(layer, Affine):
                    error = self._affine(layer, before.mag + error, error)
                else:
                    error = _elementwise(layer, before, error)
                error = np.where(small, error, np.inf)
            error = (error + 2 * U32 * (ranges[-1].mag + error)) * _GROW + _TINY
        return np.where(np.isnan(error), np.inf, error)

    def _affine(self, layer: Affine, size: Array, error: Array) -> Array:
        factor, least, small = self._rows[id(layer)]
        weights = np.abs(layer.W).T
        heard = np.where(least > 0, np.maximum(size, 1.0) @ weights, size @ weights) + np.abs(layer.b)
        total = (error @ weights + factor * heard * _GROW + small) * _GROW
        return np.asarray(np.where(heard < LARGEST, total, np.inf))


def _row_factors(layer: Affine) -> tuple[Array, Array, Array]:
    """For each row: gamma, whether it has one weight (or none), and the error by underflow."""
    count = np.count_nonzero(layer.W, axis=1)
    roundings = (count + 3) * U32
    gamma = np.where(count > 1, roundings / (1 - roundings), 9 * U32) * _GROW
    return gamma, (count <= 1).astype(np.float64), (2 * count + 9) * SMALL


def _elementwise(layer: Elementwise, before: Interval, error: Array) -> Array:
    phi = layer.activation
    near = Interval(before.lo - error - U32 * error, before.hi + error + U32 * error)
    carried = phi.slope_range(near).mag * error
    if layer.kind in ("tanh", "sigmoid"):
        carried = carried + FUNCTION
    elif layer.kind == "leaky_relu":
        carried = carried + 3 * U32 * np.abs(phi.parameters["negative_slope"]) * near.mag + SMALL
    elif layer.kind == "hardtanh":
        carried = carried + np.max([_moved(phi.parameters[side]) for side in ("low", "high")], axis=0)
    return carried * _GROW


def _moved(limit: Array) -> Array:
    """By how much rounding to float32 moves limits; those beyond its range are never reached."""
    within = np.abs(limit) < LARGEST
    return np.where(within, np.abs(np.where(within, limit, 0.0).astype(np.float32) - limit), 0.0)
