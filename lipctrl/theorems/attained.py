"""A lower bound of the Lipschitz constant that is attained: |f(x) - f(y)| / |x - y| of a pair of points, rounded down.

A Jacobian is only used to find the pair; at a kink it is no bound.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lipctrl.intervals.rounding import add_down, add_up
from lipctrl.networks.enclosure import InputSet, evaluate
from lipctrl.networks.network import Affine, Elementwise, Network

Array = NDArray[np.float64]


LARGEST_BATCH = 2**22
"""Entries of the Jacobians that are formed at once."""
LARGEST_SEARCH = 2**26
"""Entries of the Jacobians of one round; fewer points are tried in wider networks, but at least 32."""


@dataclass(frozen=True)
class Pair:
    """Two points and a proved lower bound of the slope between them."""

    x: Array
    y: Array
    slope: float


def attained_slope(network: Network, inputs: InputSet | None = None, *, samples: int = 512, rounds: int = 6) -> Pair:
    """Search a pair of steep slope, in the box of `inputs` if given, and bound its slope from below.

    Parameters
    ----------
    network : Network
    inputs : InputSet, optional
        Only its centre and box are used.
    samples, rounds : int
        Random points (at most; fewer in very wide networks), and rounds of local improvement. The seed is fixed.
    """
    rng = np.random.default_rng(0)
    n = network.n_in
    samples = min(samples, max(32, LARGEST_SEARCH // _jacobian_entries(network)))
    if inputs is None:
        first = next((layer for layer in network.layers if isinstance(layer, Affine)), Affine(np.eye(n)))
        center = np.linalg.lstsq(first.W, -first.b, rcond=None)[0]
        spread = np.maximum(1.0, np.abs(center))
        low, high = np.full(n, -np.inf), np.full(n, np.inf)
    else:
        center, spread = inputs.center, np.maximum(inputs.box, 0.0)
        low, high = add_up(center, -spread), add_down(center, spread)
    points = np.concatenate(
        [center[None], center + spread * rng.standard_normal((samples, n)) * 10.0 ** rng.uniform(-2, 0.7, (samples, 1))]
    )
    points = np.clip(points, low, high)
    best: tuple[float, Array, Array] = (0.0, points[0], points[0])
    width = float(np.max(spread))
    for turn in range(rounds):
        gain, direction = _steepest(network, points)
        order = np.argsort(-gain)[:24]
        for i in order[:6]:
            step = 1e-4 * max(width, 1e-12) * direction[i]
            x, y = np.clip(points[i] + step, low, high), np.clip(points[i] - step, low, high)
            slope = _slope(network, x, y)
            if slope > best[0]:
                best = (slope, x, y)
        radius = width * 0.3 ** (turn + 1)
        near = points[order][rng.integers(len(order), size=samples)]
        points = np.clip(np.concatenate([points[order], near + radius * rng.standard_normal((samples, n))]), low, high)
    _, x, y = best
    return Pair(x, y, slope_lower(network, x, y))


def _slope(network: Network, x: Array, y: Array) -> float:
    distance = float(np.linalg.norm(x - y))
    return float(np.linalg.norm(network(x) - network(y))) / distance if distance > 0 else 0.0


def _steepest(network: Network, points: Array) -> tuple[Array, Array]:
    """Largest singular value and right singular vector of the Jacobian at each point."""
    at_once = max(1, LARGEST_BATCH // _jacobian_entries(network))
    parts = [_steepest_of(network, points[k : k + at_once]) for k in range(0, len(points), at_once)]
    return np.concatenate([gain for gain, _ in parts]), np.concatenate([direction for _, direction in parts])


def _jacobian_entries(network: Network) -> int:
    widest = max((layer.n for layer in network.layers if isinstance(layer, Elementwise)), default=1)
    return max(widest, network.n_out) * network.n_in


def _steepest_of(network: Network, points: Array) -> tuple[Array, Array]:
    J = np.broadcast_to(np.eye(network.n_in), (len(points), network.n_in, network.n_in))
    x = points
    with np.errstate(over="ignore", invalid="ignore"):
        for layer in network.layers:
            if isinstance(layer, Affine):
                J = layer.W @ J
            else:
                J = layer.activation.derivative(x)[:, :, None] * J
            x = layer(x)
    J = np.where(np.all(np.isfinite(J), axis=(1, 2), keepdims=True), J, 0.0)
    _, s, Vt = np.linalg.svd(J, full_matrices=False)
    return s[:, 0], Vt[:, 0, :]


def slope_lower(network: Network, x: Array, y: Array) -> float:
    """A proved lower bound of |f(x) - f(y)| / |x - y|; 0 if the points coincide or rounding hides the difference."""
    difference = evaluate(network, x) - evaluate(network, y)
    smallest = np.maximum(np.maximum(difference.lo, -difference.hi), 0.0)
    rise, run = _norm(smallest), _norm(x - y)
    if not (2.0**-1000 <= rise < np.inf and 2.0**-1000 <= run < np.inf):
        return 0.0
    # relative errors: n squares, n sums, a square root, the differences x - y, a quotient
    slack = 2 * (len(x) + len(smallest) + 8) * 2.0**-52
    slope = rise / run * (1 - slack)
    return slope if 2.0**-1000 <= slope < np.inf else 0.0


def _norm(v: Array) -> float:
    """Euclidean norm, scaled by a power of two: squares of the largest entries neither overflow nor vanish."""
    exponent = np.frexp(np.max(np.abs(v), initial=0.0))[1]
    return float(np.ldexp(np.linalg.norm(np.ldexp(v, -exponent)), exponent))
