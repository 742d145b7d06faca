"""Proved ranges and slopes of every neuron of a network, on all of R^n or on a convex set of inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lipctrl.errors import NetworkError
from lipctrl.intervals.interval import Interval
from lipctrl.intervals.zonotope import Zonotope
from lipctrl.networks.activation import Activation
from lipctrl.networks.network import Affine, Network

Array = NDArray[np.float64]
Mode = Literal["slope", "sector"]

ROOM = 2.0**-200
"""Left beside all ranges for checkers whose own rounding has a smallest unit (proofs/FORMAT.md)."""


@dataclass(frozen=True)
class InputSet:
    """The convex set {center + G z + diag(h) e : |z|_2 <= 1, |e|_inf <= 1} of network inputs.

    Attributes
    ----------
    center : array, shape (n,)
    ball_generators : array, shape (n, g)
        G; g may be 0.
    box : array, shape (n,)
        Half-widths h >= 0.
    radius : array, shape (n,)
        How far the true set may lie from this one (rounding of G); enclosed, not part of the description.
    """

    center: Array
    ball_generators: Array
    box: Array
    radius: Array

    @staticmethod
    def from_box(center: Array, half_width: Array) -> InputSet:
        center = np.asarray(center, dtype=np.float64)
        half_width = np.asarray(half_width, dtype=np.float64)
        if center.shape != half_width.shape or not np.all(np.isfinite(half_width)) or np.any(half_width < 0):
            raise NetworkError(
                f"A region of observations needs finite half-widths >= 0 of shape {center.shape}, given {half_width}."
            )
        return InputSet(center, np.zeros((len(center), 0)), half_width, np.zeros(len(center)))

    def zonotope(self) -> Zonotope:
        return Zonotope(self.center, self.ball_generators, np.diag(self.box), self.radius)


@dataclass(frozen=True)
class LayerBounds:
    """What is proved of one elementwise layer.

    Attributes
    ----------
    activation : Activation
    slope_lower, slope_upper : array, shape (n,)
        Every secant slope (mode "slope") or every secant through v* (mode "sector") lies between.
    range : Interval or None
        Pre-activations on the input set; None for all of R.
    center : Interval or None
        Enclosure of the pre-activations v* at the centre of the input set.
    relaxation : tuple of arrays or None
        (lam, mu, delta) with |phi(v) - lam v - mu| <= delta on the range.
    """

    activation: Activation
    slope_lower: Array
    slope_upper: Array
    range: Interval | None = None
    center: Interval | None = None
    relaxation: tuple[Array, Array, Array] | None = None


def layer_bounds(network: Network, inputs: InputSet | None = None, mode: Mode = "slope") -> list[LayerBounds]:
    """Bounds of every elementwise layer of `network.alternating()`.

    Parameters
    ----------
    network : Network
    inputs : InputSet, optional
        None means all of R^n, where the slopes are the global ones of each activation.
    mode : {"slope", "sector"}
        Incremental slopes, or secants through the pre-activation at the centre of `inputs`.
    """
    affine, elementwise = network.alternating()
    if inputs is None:
        globally = [layer.activation.slope_bounds() for layer in elementwise]
        return [
            LayerBounds(layer.activation, slope.lo, slope.hi)
            for layer, slope in zip(elementwise, globally, strict=True)
        ]
    form, point = inputs.zonotope(), _point(Interval(inputs.center, inputs.center))
    bounds: list[LayerBounds] = []
    for map_, layer in zip(affine, elementwise, strict=False):
        phi = layer.activation
        form, point = form.affine(map_.W, map_.b), point.affine(map_.W, map_.b)
        center = _roomy(point.range())
        reach = _roomy(form.range()).hull(center)
        slope = phi.slope_range(reach) if mode == "slope" else phi.sector(reach, center)
        lam, mu, delta = phi.linear_relaxation(reach)
        bounds.append(LayerBounds(phi, slope.lo, slope.hi, reach, center, (lam, mu, delta)))
        form, point = form.elementwise(lam, mu, delta), _point(phi.enclose(center))
    return bounds


def _roomy(x: Interval) -> Interval:
    return Interval(x.lo - ROOM, x.hi + ROOM)


def evaluate(network: Network, observation: Array) -> Interval:
    """Enclosure of the exact value of the network at one observation of doubles."""
    point = _point(Interval(observation, observation))
    for layer in network.layers:
        if isinstance(layer, Affine):
            point = point.affine(layer.W, layer.b)
        else:
            point = _point(layer.activation.enclose(point.range()))
    return point.range()


def _point(value: Interval) -> Zonotope:
    """An interval vector as a form without generators."""
    none = np.zeros((len(value.lo), 0))
    return Zonotope(value.mid, none, none, value.rad)
