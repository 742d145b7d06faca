"""How far the float32 evaluation of a policy can be from the real function of its weights, on cells of observations.

The evaluation that is meant, u = 2^-24:

    observation     y_i becomes a float32 number, off by at most u (1 + 2^-8) |y_i| + 2^-48 (1 + |y_i|) + 2^-126
    affine layer    weights and biases rounded to float32 (if they are not), products and sums rounded, in any order,
                    with or without fused operations, subnormal numbers flushed or not
    unit row        x_j itself, exact
    row of one      W_ij x_j + b_i, or (x_j - mean) / std, or low + (x_j + 1) / 2 (high - low), in float32 or better
    tanh, sigmoid   off by at most 2^-22, with the rounding of (x + 1) - 1 where an action is unscaled to [-1, 1]
    relu, clip      exact, with limits rounded to float32, or flushed below 2^-126; leaky_relu two roundings
    action          one more rounding to float32 where the environment uses it: 2 u |u_i|

A row of k > 1 non-zero weights is a sum of k + 1 terms, each rounded at most k + 3 times, so that its error is at most
gamma (|W||x| + |b|) with gamma = (k + 3) u / (1 - (k + 3) u) (Higham, Accuracy and Stability of Numerical Algorithms,
2002, section 3.1), x being the computed input. A row of one weight has at most 9 u (|W_ij| max(|x_j|, 1) + |b_i|).
Weights below 2^-126 (subnormal, perhaps flushed) may be lost whole, |W_ij| |x_j|; of weights from 2^126 nothing is
said.
Errors are carried on by |W| and by the largest slopes near the cell; on a region also by Lipschitz constants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lipctrl.errors import NetworkError
from lipctrl.intervals import rounding
from lipctrl.intervals.affine import AffineForm
from lipctrl.intervals.interval import Interval
from lipctrl.networks.affine_enclosure import AffineEnclosure
from lipctrl.networks.enclosure import InputSet, LayerBounds
from lipctrl.networks.network import Affine, Elementwise, Network

Array = NDArray[np.float64]
Rows = tuple[Array, Array, Array]

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
            error = _of_observation(size)
            for layer, before in zip(self.enclosure.network.layers, ranges, strict=False):
                size = before.mag + error
                if isinstance(layer, Affine):
                    error = _affine(layer, self._rows[id(layer)], size, error)
                else:
                    near = Interval(before.lo - error - U32 * error, before.hi + error + U32 * error)
                    error = _rounded(layer, layer.activation.slope_range(near).mag * error, size)
            error = _of_action(ranges[-1].mag, error)
        return np.where(np.isnan(error), np.inf, error)


@dataclass(frozen=True)
class RegionError:
    """Errors of the float32 evaluation on a set, layer by layer.

    Attributes
    ----------
    total : array, shape (n_out,)
        Bounds of |float32 evaluation - pi(y)| before the action's own rounding, carried on by |W| and the largest
        slopes on all of R.
    made : list of arrays
        Of what each affine layer and the nonlinearity before it (the first: the observation) add, at its output.
    boxes : list of Interval
        What each nonlinearity can see in either evaluation.
    size : array, shape (n_out,)
        Of the action.
    """

    total: Array
    made: list[Array]
    boxes: list[Interval]
    size: Array

    def action(self, tails: Sequence[float] | None = None) -> Array:
        """The bounds of the action's error, shape (n_out,); `tails` are Lipschitz constants on `boxes` of what follows.

        pi_f32 - pi is the sum over k of G_k(v^_k) - G_k(v~_k), G_k the exact map behind layer k, v^_k its computed
        input and v~_k the exact image of the computed input of the layer before: |v^_k - v~_k| <= made_k.
        """
        error = self.total
        if tails is not None:
            through = sum(lip * float(np.linalg.norm(own)) for lip, own in zip(tails, self.made, strict=False))
            error = np.minimum(error, (through + self.made[-1]) * _GROW + _TINY)
        error = _of_action(self.size, error)
        return np.where(np.isnan(error), np.inf, error)


def region_error(network: Network, bounds: Sequence[LayerBounds], inputs: InputSet) -> RegionError | None:
    """Bounds for every y of a set on which `bounds` hold; None where nothing is stated."""
    affine, elementwise = network.alternating()
    size = inputs.zonotope().range().mag[None]
    with np.errstate(all="ignore"):
        error = own = _of_observation(size)
        made, boxes = [], []
        for map_, layer, layer_bounds in zip(affine, elementwise, bounds, strict=False):
            if layer.kind not in KINDS or layer_bounds.range is None:
                return None
            error, own = (_affine(map_, _row_factors(map_), size + error, part) for part in (error, own))
            phi, reach = layer.activation, layer_bounds.range
            made.append(own[0])
            wider = _GROW * error[0]
            boxes.append(Interval(rounding.down(reach.lo - wider), rounding.up(reach.hi + wider)))
            far = reach.mag[None] + error
            own = _rounded(layer, np.zeros_like(error), far)
            error = _rounded(layer, phi.slope_bounds().mag * error, far)
            size = phi.enclose(reach).mag[None]
        error, own = (_affine(affine[-1], _row_factors(affine[-1]), size + error, part) for part in (error, own))
        size = size @ np.abs(affine[-1].W).T * _GROW + np.abs(affine[-1].b)
    return RegionError(error[0], [*made, own[0]], boxes, size[0])


def _of_observation(size: Array) -> Array:
    error = (size * (U32 * (1 + 2.0**-8)) + 2.0**-48 * (1 + size) + SMALL) * _GROW
    return np.asarray(np.where(size < LARGEST, error, np.inf))


def _of_action(size: Array, error: Array) -> Array:
    return (error + 2 * U32 * (size + error)) * _GROW + _TINY


def _affine(layer: Affine, rows: Rows, size: Array, error: Array) -> Array:
    """The error behind an affine layer, its computed inputs being at most `size`, off by at most `error`."""
    factor, least, small = rows
    weights = np.abs(layer.W).T
    heard = np.where(least > 0, np.maximum(size, 1.0) @ weights, size @ weights) + np.abs(layer.b)
    lost = size @ np.where(weights < SMALL, weights, 0.0)
    total = (error @ weights + factor * heard * _GROW + small + lost) * _GROW
    known = (heard < LARGEST) & np.all(size < LARGEST, axis=1, keepdims=True) & np.all(weights < LARGEST, axis=0)
    return np.asarray(np.where(known, total, np.inf))


def _row_factors(layer: Affine) -> Rows:
    """For each row: gamma, whether it has one weight (or none), and the error by underflow."""
    count = np.count_nonzero(layer.W, axis=1)
    roundings = (count + 3) * U32
    gamma = np.where(count > 1, roundings / (1 - roundings), 9 * U32) * _GROW
    unit = (count == 1) & (layer.W.max(axis=1) == 1.0) & (layer.b == 0.0)
    small = np.where(unit, 0.0, (2 * count + 9) * SMALL)
    return np.where(unit, 0.0, gamma), (count <= 1).astype(np.float64), small


def _rounded(layer: Elementwise, carried: Array, size: Array) -> Array:
    """The error behind a nonlinearity that carries on so much, its computed inputs being at most `size`."""
    phi = layer.activation
    if layer.kind in ("tanh", "sigmoid"):
        carried = carried + FUNCTION
    elif layer.kind == "leaky_relu":
        slope = np.abs(phi.parameters["negative_slope"])
        carried = carried + np.where(slope < SMALL, 1.0, 3 * U32) * slope * size * _GROW + SMALL
        carried = np.where(slope < LARGEST, carried, np.inf)
    elif layer.kind == "hardtanh":
        carried = carried + np.max([_moved(phi.parameters[side]) for side in ("low", "high")], axis=0)
    return np.asarray(np.where(np.all(size < LARGEST, axis=1, keepdims=True), carried * _GROW, np.inf))


def _moved(limit: Array) -> Array:
    """By how much float32 moves limits: subnormal ones may be flushed, those beyond its range are never reached."""
    near = np.where(np.abs(limit) < LARGEST, limit, 0.0)
    return np.where(np.abs(near) < SMALL, np.abs(near), np.abs(near.astype(np.float32) - near))
