"""The enclosure of networks over cells: points, exact rounding, derivatives, tightness."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from lipctrl.errors import NetworkError
from lipctrl.intervals.affine import AffineForm, stack
from lipctrl.networks.activation import ACTIVATIONS
from lipctrl.networks.affine_enclosure import AffineEnclosure
from lipctrl.networks.network import Affine, Elementwise, Network


def _network(kind: str, widths: tuple[int, ...], seed: int = 0) -> Network:
    rng = np.random.default_rng(seed)
    layers: list[Affine | Elementwise] = []
    for n_in, n_out in zip(widths, widths[1:], strict=False):
        weight = rng.standard_normal((n_out, n_in)) * np.sqrt(2 / n_in)
        layers += [Affine(weight, 0.3 * rng.standard_normal(n_out)), Elementwise(kind, n_out)]
    return Network(layers[:-1])


def _cells(n: int, count: int, width: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.uniform(-2, 2, (count, n)), width * rng.uniform(0.2, 1, (count, n))


@pytest.mark.parametrize("width", [0.3, 1e-3])
@pytest.mark.parametrize("kind", sorted(ACTIVATIONS))
@pytest.mark.parametrize("widths", [(2, 16, 16, 1), (3, 12, 6), (2, 2)])
def test_no_point_outside(kind: str, widths: tuple[int, ...], width: float) -> None:
    network = _network(kind, widths)
    centers, half_widths = _cells(widths[0], 60, width)
    y = stack(AffineForm.cells(centers, half_widths), (60,))
    reach = AffineEnclosure(network)(y).range()
    rng = np.random.default_rng(2)
    for _ in range(100):
        point = centers + half_widths * np.clip(rng.uniform(-1.3, 1.3, centers.shape), -1, 1)
        value = network(point)
        slack = 1e-14 * (1 + np.abs(value))
        assert np.all((reach.lo - slack <= value) & (value <= reach.hi + slack))


def test_wider_sets_may_stand_in_for_the_ranges() -> None:
    network = _network("tanh", (2, 32, 32, 1))
    centers, half_widths = _cells(2, 50, 1e-2)
    y = stack(AffineForm.cells(centers, half_widths), (50,))
    wide = stack(AffineForm.cells(centers, 2 * half_widths), (50,))
    enclosure = AffineEnclosure(network)
    own, other = enclosure(y).range(), enclosure(y, wide).range()
    rng = np.random.default_rng(3)
    for _ in range(50):
        value = network(centers + half_widths * rng.uniform(-1, 1, centers.shape))
        assert np.all(other.contains(value))
    assert np.median(other.width / own.width) < 1.5
    assert np.mean(other.width > own.width) > 0.5


def test_rounding_of_a_linear_network_is_enclosed_exactly() -> None:
    """Sums that cancel to twelve digits, against rationals."""
    rng = np.random.default_rng(4)
    W = rng.standard_normal((40, 3)) * 1e6
    v = rng.standard_normal((1, 40))
    v[0, -1] = -(v[0, :-1] @ W[:-1, 0]) / W[-1, 0]
    network = Network([Affine(W, rng.standard_normal(40)), Elementwise("identity", 40), Affine(v, [0.1])])
    centers = rng.standard_normal((20, 3))
    reach = AffineEnclosure(network)(AffineForm(centers)).range()
    first, last = network.layers[0], network.layers[2]
    for i, point in enumerate(centers):
        hidden = [
            sum((Fraction(w) * Fraction(x) for w, x in zip(row, point, strict=True)), Fraction(b))
            for row, b in zip(first.W.tolist(), first.b.tolist(), strict=True)
        ]
        exact = sum((Fraction(w) * h for w, h in zip(last.W[0].tolist(), hidden, strict=True)), Fraction(0.1))
        assert Fraction(float(reach.lo[i, 0])) <= exact <= Fraction(float(reach.hi[i, 0]))
        assert reach.width[i, 0] < 1e-3


def test_radii_reach_every_neuron_with_their_whole_weight() -> None:
    """max of W (c + d) over |d| <= r is W c + |W| r, attained."""
    network = _network("tanh", (3, 8, 8, 1))
    rng = np.random.default_rng(6)
    center, radius = rng.standard_normal((1, 3)), rng.random((1, 3))
    first = AffineEnclosure(network).pre_activations(AffineForm(center, None, radius))[0]
    W, b = network.layers[0].W, network.layers[0].b
    top = center @ W.T + b + radius @ np.abs(W).T
    assert np.all(first.hi >= top - 1e-15) and np.all(first.hi <= top + 1e-9)


def test_error_of_two_tanh_layers_is_of_second_order() -> None:
    enclosure = AffineEnclosure(_network("tanh", (2, 64, 64, 1)))
    centers, _ = _cells(2, 200, 1.0)
    radius = [
        np.median(enclosure(stack(AffineForm.cells(centers, np.full_like(centers, h)), (200,))).radius)
        for h in (1e-2, 1e-3)
    ]
    assert radius[1] < 0.015 * radius[0]


@pytest.mark.parametrize("kind", ["tanh", "relu", "softplus"])
def test_derivatives_lie_inside(kind: str) -> None:
    network = _network(kind, (2, 16, 16, 2))
    centers, half_widths = _cells(2, 40, 0.1)
    y = stack(AffineForm.cells(centers, half_widths), (40,))
    seeds = np.array([[1.0, 2.0], [0.5, -1.0]])
    middle, radius = AffineEnclosure(network).jacobian(
        y, np.broadcast_to(seeds, (40, 2, 2)).copy(), np.zeros((40, 2, 2))
    )
    rng = np.random.default_rng(5)
    for _ in range(20):
        points = centers + half_widths * rng.uniform(-1, 1, centers.shape)
        for i, point in enumerate(points):
            assert np.all(np.abs(network.jacobian(point) @ seeds - middle[i]) <= radius[i] + 1e-13)


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(NetworkError, match="observations"):
        AffineEnclosure(_network("tanh", (2, 4, 1)))(AffineForm(np.zeros((5, 3))))


@pytest.mark.parametrize(
    ("kind", "weights", "value"),
    [
        ("relu", (2.0**1000, 2.0**-600, 2.0**-500), 2.0**-99),
        ("leaky_relu", (-(2.0**1000), 1.0, 2.0**-1073), -(2.0**-74)),
    ],
)
def test_weights_that_underflow_together_are_not_dropped(
    kind: str, weights: tuple[float, float, float], value: float
) -> None:
    """u = 2^-100 relu(x), and 2^-75 x / 4 for x > 0: put into one another from the end, the small weights are 0."""
    large, middle, small = weights
    phi = Elementwise(kind, 5, negative_slope=np.full(5, 0.25)) if kind == "leaky_relu" else Elementwise(kind, 5)
    layers = [Affine(np.full((5, 1), large)), phi, Affine(middle * np.eye(5)), phi, Affine(small * np.eye(1, 5))]
    network = Network(layers if middle != 1.0 else [*layers[:2], layers[-1]])
    reach = AffineEnclosure(network)(stack(AffineForm.cells(np.full((1, 1), 2.0), np.zeros((1, 1))), (1,))).range()
    assert network(np.array([2.0]))[0] == value
    assert reach.lo[0, 0] <= value <= reach.hi[0, 0]
