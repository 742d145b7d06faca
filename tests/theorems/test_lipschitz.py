"""Laws of Lipschitz bounds, known optima, known faults of other tools, and attained lower bounds."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st

from lipctrl.errors import LipctrlError, NetworkError
from lipctrl.intervals.interval import Interval
from lipctrl.networks.enclosure import InputSet
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.results import Trust
from lipctrl.theorems import attained
from lipctrl.theorems import lipschitz as theorem
from lipctrl.theorems.attained import attained_slope, slope_lower
from lipctrl.theorems.lipschitz import box_region, lipschitz
from lipctrl.theorems.spectral import product_bound
from tests.networks_for_tests import random_network

KINDS = ("relu", "tanh", "sigmoid", "leaky_relu", "elu", "gelu", "silu", "softplus", "hardtanh", "identity")


def kind_network(kind: str, sizes: tuple[int, ...], seed: int) -> Network:
    layers = list(random_network(sizes, "relu", seed).layers)
    parameters = {"low": -0.5, "high": 0.7} if kind == "hardtanh" else {"alpha": 2.0} if kind == "elu" else {}
    return Network([Elementwise(kind, e.n, **parameters) if isinstance(e, Elementwise) else e for e in layers])


@pytest.mark.parametrize(("sizes", "optimum"), [((2, 64, 64, 1), 8.681751957), ((17, 64, 64, 6), 6.533000443)])
def test_published_random_networks(sizes, optimum):
    bound = lipschitz(random_network(sizes))
    assert bound.trust is Trust.PROVED
    assert optimum * (1 - 1e-9) <= bound.upper <= optimum * (1 + 1e-5)
    assert bound.sdp_lower <= optimum * (1 + 1e-9)
    assert bound.lower <= bound.upper <= bound.product


def test_product_of_spectral_norms_of_the_published_network():
    assert lipschitz(random_network((2, 64, 64, 1)), method="product").upper == pytest.approx(31.201, abs=1e-3)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(kind=st.sampled_from(KINDS), depth=st.integers(1, 3), seed=st.integers(0, 999))
def test_neuron_below_layer_below_product_and_above_what_is_attained(kind, depth, seed):
    network = kind_network(kind, (2, *[5] * depth, 2), seed)
    neuron, layer = lipschitz(network, "neuron"), lipschitz(network, "layer")
    assert neuron.sdp_lower <= layer.upper * (1 + 1e-9)
    assert layer.sdp_lower <= layer.product * (1 + 1e-9)
    assert neuron.lower <= neuron.upper
    assert neuron.upper <= layer.upper * (1 + 1e-5)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 999), width=st.sampled_from([0.0, 0.01, 0.3, 2.0]))
def test_a_larger_region_never_gives_a_smaller_bound(kind, seed, width):
    network = kind_network(kind, (2, 6, 4, 1), seed)
    center = np.random.default_rng(seed).standard_normal(2)
    inner = lipschitz(network, "local", (center - width, center + width))
    outer = lipschitz(network, "local", (center - 2 * width - 0.1, center + 3 * width + 0.1))
    assert inner.sdp_lower <= outer.upper * (1 + 1e-6)
    assert outer.upper <= lipschitz(network).upper * (1 + 1e-5)
    assert inner.lower <= inner.upper


@settings(max_examples=10, deadline=None, derandomize=True)
@given(seed=st.integers(0, 999))
def test_invariance_under_permutation_and_rescaling_of_relus(seed):
    rng = np.random.default_rng(seed)
    network = random_network((3, 8, 6, 2), "relu", seed)
    W0, r1, W1, r2, W2 = network.layers
    order, scale = rng.permutation(8), 2.0 ** rng.integers(-3, 4, 8)
    changed = Network(
        [Affine(scale[:, None] * W0.W[order], scale * W0.b[order]), r1, Affine(W1.W[:, order] / scale, W1.b), r2, W2]
    )
    a, b = lipschitz(network, gap=1e-8), lipschitz(changed, gap=1e-8)
    assert a.upper == pytest.approx(b.upper, rel=1e-6)


def test_sampled_slopes_never_exceed_a_local_bound():
    network = random_network((2, 16, 16, 2), "tanh", 5)
    low, high = np.array([-0.4, 0.1]), np.array([0.2, 0.9])
    bound = lipschitz(network, "local", (low, high))
    rng = np.random.default_rng(0)
    x, y = rng.uniform(low, high, (2, 20000, 2))
    slopes = np.linalg.norm(network(x) - network(y), axis=1) / np.linalg.norm(x - y, axis=1)
    assert slopes.max() <= bound.upper
    assert bound.lower <= bound.upper <= lipschitz(network).upper


def test_one_linear_layer_is_its_spectral_norm():
    W = np.array([[3.0, 0.0], [4.0, 5.0]])
    bound = lipschitz(Network([Affine(W)]))
    assert bound.upper == pytest.approx(np.linalg.norm(W, 2), rel=1e-9)
    assert bound.lower == pytest.approx(np.linalg.norm(W, 2), rel=1e-6)


def test_dead_duplicated_and_zero_neurons():
    W0 = np.array([[1.0, 2.0], [1.0, 2.0], [0.0, 0.0], [3.0, -1.0]])
    W1 = np.array([[1.0, 1.0, 5.0, 0.0]])
    bound = lipschitz(Network([Affine(W0), Elementwise("relu", 4), Affine(W1)]))
    assert bound.upper == pytest.approx(2 * np.sqrt(5), rel=1e-6)


def test_complex_numbers_are_refused_where_their_imaginary_part_would_be_lost():
    with pytest.raises(NetworkError, match="complex"):
        Elementwise("leaky_relu", 1, negative_slope=np.array([1 + 2j]))
    with pytest.raises(NetworkError, match="region is"):
        lipschitz(Network([Affine([[1.0]])]), region=(np.array([1 + 1j]), np.array([2.0])))


def test_no_bound_is_nan():
    """A norm of 2.4e308 overflows, and the slope 0 behind it does not make the product a number."""
    flat = Network([Affine([[1.7e308, 1.7e308]]), Elementwise("hardtanh", 1, low=0.0, high=0.0)])
    assert lipschitz(flat, method="product").upper >= 0.0
    assert lipschitz(Network([Elementwise("leaky_relu", 1, negative_slope=-1e308)])).upper >= 1e308


def test_the_zero_network_has_a_bound():
    bound = lipschitz(Network([Affine(np.zeros((2, 3))), Elementwise("tanh", 2), Affine(np.zeros((1, 2)))]))
    assert 0 <= bound.lower <= bound.upper < 1e-3


def test_coupled_multipliers_of_lipsdp_network_are_not_offered():
    """Counter-examples to the coupled mode: it claims 1.000 where 2.828 is attained, and 4.65e-6 where 1 is."""
    first = Network([Affine([[2, 2], [1, 2], [-1, -1]]), Elementwise("relu", 3), Affine([[1, -1, 0]])])
    second = Network([Affine([[1], [1]], [1, -1]), Elementwise("relu", 2), Affine([[1, -1]])])
    assert lipschitz(first).lower >= 2.82 and lipschitz(first).upper >= 2 * np.sqrt(2)
    assert lipschitz(second).lower >= 0.999 and lipschitz(second).upper >= 1
    with pytest.raises(LipctrlError, match="Choose one of"):
        lipschitz(first, method="network")


@pytest.mark.parametrize(
    ("kind", "attained", "parameters"), [("gelu", 1.1289, {}), ("silu", 1.0998, {}), ("elu", 2.0, {"alpha": 2.0})]
)
def test_slopes_beyond_one_are_counted(kind, attained, parameters):
    """Tools that take every activation as [0, 1] claim 1 here; the largest derivative is attained and larger."""
    network = Network([Affine([[1.0]]), Elementwise(kind, 1, **parameters), Affine([[1.0]])])
    bound = lipschitz(network)
    assert bound.lower >= 0.999 * attained
    assert bound.upper == pytest.approx(attained, rel=1e-3)


def test_a_jacobian_at_a_kink_is_no_lower_bound():
    """relu(x) - relu(-x) = x: the mask (1, 1) at zero would give 2, the truth is 1."""
    network = Network([Affine([[1.0], [-1.0]]), Elementwise("relu", 2), Affine([[1.0, -1.0]])])
    assert lipschitz(network).lower <= 1.0


def test_a_pair_lies_in_its_box_exactly():
    """Half a unit in the last place beyond the box a policy may be as steep as it likes."""
    rng = np.random.default_rng(0)
    for _ in range(30):
        box = InputSet.from_box(rng.uniform(-1, 1, 1), rng.uniform(0, 1, 1))
        pair = attained_slope(Network([Elementwise("softplus", 1)]), box, samples=8, rounds=2)
        for point in (pair.x, pair.y):
            assert abs(Fraction(float(point[0])) - Fraction(float(box.center[0]))) <= Fraction(float(box.box[0]))


def test_slope_of_a_pair_is_rounded_down():
    network = Network([Affine([[1 / 3]])])
    assert slope_lower(network, np.array([3.0]), np.array([0.0])) <= 1 / 3
    assert slope_lower(network, np.array([1.0]), np.array([1.0])) == 0.0
    pair = attained_slope(random_network((4, 9, 2)))
    assert pair.slope > 0


@pytest.mark.parametrize("size", [1.7e-162, 2e-162, 3e-161, 1e-310, 1e-200, 1e200])
@pytest.mark.parametrize("gain", [1.7, 3e-5, 1e-300, 1e100])
def test_slope_where_squares_vanish_or_overflow(size, gain):
    """|x - y|^2 is subnormal, zero or infinite in floating point, or |f(x) - f(y)|^2 is."""
    found = slope_lower(Network([Affine([[gain]])]), np.array([size]), np.array([-size]))
    assert 0.0 <= found <= gain
    if 1e-250 < size * gain < 1e250 and size > 1e-250:
        assert found >= gain * (1 - 1e-12)


def test_slope_of_many_outputs_is_rounded_down():
    """The square of |W| in fractions: the roundings of a sum of eighty squares are allowed for."""
    rng = np.random.default_rng(0)
    for n, m, whole in ((1, 80, False), (80, 1, False), (3, 40, False), *[(2, 3, True)] * 20):
        W = rng.integers(-9, 10, (m, n)) if whole else rng.standard_normal((m, n))
        x, y = rng.integers(-9, 10, (2, n)) + np.array([[0.5], [0.0]]) if whole else rng.standard_normal((2, n))
        d = [Fraction(float(a)) - Fraction(float(b)) for a, b in zip(x, y, strict=True)]
        image = [sum(Fraction(float(w)) * v for w, v in zip(row, d, strict=True)) for row in W]
        found = Fraction(slope_lower(Network([Affine(W)]), x, y))
        square = sum(v**2 for v in image) / sum(v**2 for v in d)
        assert square * (1 - Fraction(1, 10**10)) <= found**2 <= square


@pytest.mark.parametrize(
    ("ends", "least"),
    [((1.0, 3.0), 1.0), ((-3.0, -1.0), 1.0), ((-1.0, 5.0), 0.0), ((-5.0, 1.0), 0.0), ((0.0, 2.0), 0.0)],
)
def test_slope_of_what_is_known_between_two_numbers(monkeypatch, ends, least):
    """f(x) - f(y) in an interval: its least absolute value, none if it holds 0."""
    values = iter([Interval(*(np.array([end]) for end in ends)), Interval(np.zeros(1))])
    monkeypatch.setattr(attained, "evaluate", lambda network, x: next(values))
    found = attained.slope_lower(Network([Affine([[1.0]])]), np.array([2.0]), np.array([0.0]))
    assert least / 2 * (1 - 1e-12) <= found <= least / 2


TINY = 2.0**-1074


@pytest.mark.parametrize(
    ("rise", "run"),
    [
        ([5 * TINY], [TINY, TINY]),  # sqrt(2) of the smallest numbers rounds to one
        ([2.0**-990], [TINY, TINY]),
        ([TINY] * 3, [TINY]),  # and sqrt(3) to two
        ([TINY] * 3, [1.0]),
        ([TINY] * 3, [2.0**-990]),
        ([2.0**-999], [3 * 2.0**70]),
        ([1.7 * 2.0**-990], [3 * 2.0**80]),
        ([1e300], [1e-300]),
        ([1.0], [2.0**-999]),
    ],
)
def test_no_slope_where_digits_are_lost(monkeypatch, rise, run):
    """Lower than the slope in fractions, or 0."""
    values = iter([Interval(np.array(rise)), Interval(np.zeros(len(rise)))])
    monkeypatch.setattr(attained, "evaluate", lambda network, x: next(values))
    found = attained.slope_lower(Network([Affine(np.ones((1, 1)))]), np.array(run), np.zeros(len(run)))
    assert 0.0 <= found < np.inf
    squares = [sum(Fraction(v) ** 2 for v in part) for part in (rise, run)]
    assert Fraction(found) ** 2 <= squares[0] / squares[1]


def test_slopes_of_thirds_are_rounded_down(monkeypatch):
    for k in range(1, 60):
        values = iter([Interval(np.array([float(k)])), Interval(np.zeros(1))])
        monkeypatch.setattr(attained, "evaluate", lambda network, x, values=values: next(values))
        found = attained.slope_lower(Network([Affine([[1.0]])]), np.array([3.0]), np.array([0.0]))
        assert Fraction(found) <= Fraction(k, 3) <= Fraction(found) * (1 + Fraction(1, 10**12))


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, None])
def test_boxes_that_are_none_are_refused(side, place, bad):
    region = [np.array([-1.0, 0.1]), np.array([1.0, 0.3])]
    region[side][place] = region[1 - side][place] + (0.5 if side == 0 else -0.5) if bad is None else bad
    with pytest.raises(NetworkError, match="finite sides"):
        box_region(tuple(region), 2)


def test_sides_of_another_shape_are_named():
    with pytest.raises(NetworkError, match=r"sides of shape \(2,\) and \(3,\), expected \(2,\)"):
        box_region((np.zeros(2), np.ones(3)), 2)
    with pytest.raises(NetworkError, match=r"sides of shape \(3,\) and \(2,\), expected \(2,\)"):
        box_region((np.zeros(3), np.ones(2)), 2)


def test_a_box_is_held_by_its_input_set():
    """Center less half width and more, in fractions; a side of no width stays a number."""
    rng = np.random.default_rng(1)
    for _ in range(50):
        low, high = np.sort(10.0 ** rng.uniform(-3, 6) * rng.standard_normal((2, 3)), axis=0)
        high[2] = low[2]
        inputs = box_region((low, high), 3)
        for c, w, a, b in zip(inputs.center, inputs.box, low, high, strict=True):
            assert Fraction(float(c)) - Fraction(float(w)) <= Fraction(float(a))
            assert Fraction(float(b)) <= Fraction(float(c)) + Fraction(float(w))
            assert w <= (b - a) / 2 + 1e-14 * max(abs(a), abs(b))
        assert inputs.box[2] == 0.0


def test_residual_with_shift_and_weights():
    """The bound of D_u (pi - K) D_y^-1 for a linear policy is the spectral norm."""
    W, K = np.array([[1.0, 2.0], [0.5, -1.0]]), np.array([[0.5, 1.0], [0.0, 1.0]])
    weight_u, weight_y = np.array([2.0, 0.5]), np.array([1.0, 4.0])
    statement = theorem.state(Network([Affine(W)]), shift=K, output_weight=weight_u, input_weight=weight_y)
    values = theorem.conclude(statement, statement.lmi.start)
    expected = np.linalg.norm(weight_u[:, None] * (W - K) / weight_y, 2)
    assert np.sqrt(values["rho"][0]) == pytest.approx(expected, rel=1e-9)


def test_solvers_that_lie_still_give_a_true_bound():
    network = random_network((2, 8, 8, 1))
    statement = theorem.state(network)
    truth = lipschitz(network).lower
    for lie in (0.0, -1.0, np.nan, np.inf, 1e-300, 1e300):
        values = {name: np.full_like(value, lie) for name, value in statement.lmi.start.items()}
        proved = theorem.conclude(statement, values)
        assert proved is not None
        assert np.sqrt(proved["rho"][0]) >= truth


def test_bad_regions_are_refused():
    network = random_network((2, 4, 1))
    for region in (([0], [1]), ([0, 0], [-1, 1]), ([0, np.nan], [1, 1]), 3):
        with pytest.raises(NetworkError, match="region"):
            lipschitz(network, region=region)
    with pytest.raises(LipctrlError, match="needs a region"):
        lipschitz(network, method="local")


def published(path, weights="weights"):
    """Weights of a published .mat file as a ReLU network without biases (slopes in [0, 1] are all that matters)."""
    cells = [np.asarray(w, dtype=float) for w in scipy.io.loadmat(path)[weights].ravel()]
    layers: list[Affine | Elementwise] = []
    for k, W in enumerate(cells):
        layers += [Affine(W)] + ([Elementwise("relu", W.shape[0])] if k < len(cells) - 1 else [])
    return Network(layers)


@pytest.mark.parametrize(
    ("file", "neuron"), [("lipsdp/random_weights.mat", 36.48223), ("cas_lrj/mnist_fnn_tanh_20.mat", 37.42835)]
)
def test_published_weights(benchmarks, file, neuron):
    bound = lipschitz(published(benchmarks / file), "neuron")
    assert bound.upper == pytest.approx(neuron, abs=6e-5)
    assert bound.sdp_lower == pytest.approx(neuron, abs=6e-5)


def test_published_layer_bound(benchmarks):
    bound = lipschitz(published(benchmarks / "lipsdp/random_weights.mat"), "layer")
    assert bound.upper == pytest.approx(39.839, abs=6e-4)


@pytest.mark.parametrize("seed", range(10))
def test_the_product_of_norms_is_rounded_up(seed):
    """Of scalar layers |w_1 ... w_l| times the steepest slopes, in fractions; the largest of both ends counts."""
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.5, 2.0, 4) * rng.choice([-1, 1], 4)
    network = Network([part for w in weights for part in (Affine([[w]]), Elementwise("tanh", 1))][:-1])
    slopes = [(-1.7, 0.3), (0.1, 0.9), (-0.2, 1.1)]
    bounds = [SimpleNamespace(slope_lower=np.array([a]), slope_upper=np.array([b])) for a, b in slopes]
    true = Fraction(1)
    for factor in (*map(abs, weights), 1.7, 0.9, 1.1):
        true *= Fraction(float(factor))
    assert true <= Fraction(product_bound(network, bounds)) <= true * (1 + Fraction(1, 10**13))


def test_the_steepest_neuron_of_a_layer_counts():
    network = Network([Affine(np.eye(2)), Elementwise("tanh", 2), Affine([[3.0, 4.0]])])
    for lower, upper, steepest in (([0.0, 0.0], [0.3, 1.25], 1.25), ([-1.5, 0.0], [0.3, 1.25], 1.5)):
        bounds = [SimpleNamespace(slope_lower=np.array(lower), slope_upper=np.array(upper))]
        assert 5 * steepest <= product_bound(network, bounds) <= 5 * steepest * (1 + 1e-12)
