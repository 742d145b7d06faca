"""Networks as chains of layers: values, Jacobians, canonical form, refusals."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipctrl.errors import NetworkError
from lipctrl.intervals.dual import Dual
from lipctrl.intervals.interval import Interval
from lipctrl.networks.activation import ACTIVATIONS
from lipctrl.networks.enclosure import InputSet, evaluate, layer_bounds
from lipctrl.networks.network import Affine, Elementwise, Network

LAW = settings(max_examples=25, deadline=None, derandomize=True)


def policy(seed: int, kinds: tuple[str, ...], width: int = 5, n_in: int = 2, n_out: int = 1) -> Network:
    rng = np.random.default_rng(seed)
    layers: list[Affine | Elementwise] = [Elementwise("hardtanh", n_in, low=-10.0, high=10.0)]
    sizes = [n_in] + [width] * len(kinds)
    for kind, before, after in zip(kinds, sizes, sizes[1:], strict=False):
        layers += [Affine(rng.normal(size=(after, before)), rng.normal(size=after)), Elementwise(kind, after)]
    layers += [Affine(rng.normal(size=(n_out, width)), rng.normal(size=n_out)), Elementwise("tanh", n_out)]
    layers += [Affine(2.0 * np.eye(n_out)), Elementwise("hardtanh", n_out, low=-2.0, high=2.0)]
    return Network(layers)


def test_value_of_a_small_network_by_hand() -> None:
    """W2 relu(W1 x + b1) + b2 at (1, 2): relu(-1, 6) = (0, 6), 3 * 6 - 1 = 17."""
    network = Network([Affine([[1, -1], [2, 2]], [0, 0]), Elementwise("relu", 2), Affine([[5, 3]], [-1])])
    assert network([1.0, 2.0]) == 17.0
    np.testing.assert_array_equal(network.jacobian([1.0, 2.0]), [[6.0, 6.0]])
    np.testing.assert_array_equal(network(np.ones((3, 4, 2))).shape, (3, 4, 1))


@LAW
@given(st.integers(0, 2**32 - 1), st.sampled_from(sorted(ACTIVATIONS)), st.sampled_from(sorted(ACTIVATIONS)))
def test_jacobian_is_the_derivative_and_inside_that_of_a_box(seed: int, one: str, two: str) -> None:
    network = policy(seed, (one, two))
    rng = np.random.default_rng(seed)
    x, step = rng.normal(size=2), 1e-6 * rng.normal(size=2)
    difference = network(x + step) - network(x - step)
    box = Interval(np.minimum(x - step, x + step), np.maximum(x - step, x + step))
    point = Dual(box, Interval(np.eye(2)))
    for layer in network.layers:
        if isinstance(layer, Affine):
            point = Dual(layer.W @ point.value + layer.b, point.grad @ layer.W.T)
        else:
            point = layer.activation(point)
    assert np.all(point.value.contains(network(x)))
    bound = Interval(2 * step) @ point.grad
    assert np.all((bound.lo - 1e-14 <= difference) & (difference <= bound.hi + 1e-14))
    if np.all(point.grad.width < 1e-3):  # no kink nearby
        assert np.all(Interval(point.grad.lo - 1e-9, point.grad.hi + 1e-9).contains(network.jacobian(x).T))


@LAW
@given(st.integers(0, 2**32 - 1), st.sampled_from(sorted(ACTIVATIONS)), st.floats(1e-6, 2.0))
def test_enclosures_of_every_layer_contain_sampled_runs(seed: int, kind: str, size: float) -> None:
    network = policy(seed, (kind, "tanh", kind), width=6)
    rng = np.random.default_rng(seed)
    center = rng.normal(size=2)
    generators = np.array([[size, 0.3 * size], [0.0, size]])
    inputs = InputSet(center, generators, np.array([0.0, 0.1 * size]), np.zeros(2))
    directions = rng.normal(size=(300, 2))
    directions /= np.maximum(1.0, np.linalg.norm(directions, axis=1, keepdims=True) / 0.9999)
    x = center + directions @ generators.T + rng.uniform(-1, 1, (300, 1)) * [0.0, 0.0999 * size]
    affine, elementwise = network.alternating()
    slack = 1e-11  # the samples are rounded
    v_star = center
    for map_, layer, slope, sector in zip(
        affine, elementwise, layer_bounds(network, inputs), layer_bounds(network, inputs, "sector"), strict=False
    ):
        v, v_star = map_(x), map_(v_star)
        phi, phi_star = layer(v), layer(v_star)
        assert slope.range is not None
        assert slope.relaxation is not None
        assert np.all((slope.range.lo - slack <= v) & (v <= slope.range.hi + slack))
        lam, mu, delta = slope.relaxation
        assert np.all(np.abs(phi - lam * v - mu) <= delta + slack)
        for bounds, rise, run in ((slope, phi[1:] - phi[:-1], v[1:] - v[:-1]), (sector, phi - phi_star, v - v_star)):
            low, high = bounds.slope_lower * run, bounds.slope_upper * run
            assert np.all((np.minimum(low, high) - slack <= rise) & (rise <= np.maximum(low, high) + slack))
        x, v_star = phi, phi_star


def test_point_enclosure_contains_the_exact_value() -> None:
    network = Network([Affine([[0.1, 0.7]], [1e-3]), Elementwise("leaky_relu", 1), Affine([[0.3]], [0.1])])
    x = np.array([0.123, -1.7])
    v = Fraction(0.1) * Fraction(0.123) + Fraction(0.7) * Fraction(-1.7) + Fraction(1e-3)
    truth = Fraction(0.3) * Fraction(0.01) * v + Fraction(0.1)
    box = evaluate(network, x)
    assert Fraction(box.lo[0]) <= truth <= Fraction(box.hi[0])
    assert box.width[0] < 1e-15


def test_alternating_is_the_same_map_with_identities_put_in() -> None:
    network = Network(
        [
            Elementwise("tanh", 2),
            Elementwise("relu", 2),
            Affine(np.ones((3, 2))),
            Affine(np.ones((1, 3))),
            Elementwise("elu", 1),
        ]
    )
    affine, elementwise = network.alternating()
    assert len(affine) == len(elementwise) + 1
    assert [layer.kind for layer in elementwise] == ["tanh", "relu", "identity", "elu"]
    x = np.array([0.3, -0.4])
    y = affine[0](x)
    for layer, map_ in zip(elementwise, affine[1:], strict=True):
        y = map_(layer(y))
    np.testing.assert_array_equal(y, network(x))


def test_canonical_form_and_its_hash() -> None:
    network = policy(3, ("tanh",))
    layers = network.to_dict()["layers"]
    assert layers[1]["type"] == "affine"
    assert float.fromhex(layers[1]["W"][0][1]) == network.layers[1].W[0, 1]  # type: ignore[union-attr]
    assert layers[0] == {
        "type": "hardtanh",
        "n": 2,
        "low": ["-0x1.4000000000000p+3"] * 2,
        "high": ["0x1.4000000000000p+3"] * 2,
    }
    assert network.sha256 == policy(3, ("tanh",)).sha256
    assert network.sha256 != policy(3, ("relu",)).sha256
    assert network.sha256 != policy(4, ("tanh",)).sha256
    wide = Network([Elementwise("hardtanh", 2, low=-10.0, high=11.0)])
    assert wide.sha256 != Network([Elementwise("hardtanh", 2, low=-10.0, high=10.0)]).sha256


def test_layers_are_frozen_and_single_precision_widens_exactly() -> None:
    weight = np.array([[0.1]], dtype=np.float32)
    layer = Affine(weight)
    assert layer.W[0, 0] == float(weight[0, 0]) != 0.1
    weight[0, 0] = 7.0
    assert layer.W[0, 0] != 7.0
    with pytest.raises(ValueError, match="read-only"):
        layer.W[0, 0] = 1.0


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Affine([[1.0, np.nan]]), "NaN"),
        (lambda: Affine([[np.inf]]), "infinite"),
        (lambda: Affine([[1.0]], [1.0, 2.0]), "1 rows"),
        (lambda: Affine([[1.0]], [np.nan]), "bias"),
        (lambda: Affine([["a"]]), "numbers"),
        (lambda: Affine(np.zeros((2, 2, 2))), "dimensions"),
        (lambda: Elementwise("relu", 0), "at least one channel"),
        (lambda: Network([]), "at least one layer"),
        (lambda: Network([np.tanh]), "Unknown layer"),
        (lambda: Network([type("Twice", (Affine,), {"__call__": lambda self, x: 2 * x})(np.eye(2))]), "layer Twice"),
        (lambda: Affine(np.array([[1.0 + 2.0j]])), "complex"),
        (lambda: Network([Affine([[1.0, 2.0]]), Elementwise("tanh", 2)]), "takes 2"),
        (lambda: Network([Affine([[1.0, 2.0]])])([1.0]), "2 entries"),
    ],
)
def test_what_does_not_fit_is_refused(build: object, words: str) -> None:
    with pytest.raises(NetworkError, match=words):
        build()  # type: ignore[operator]
