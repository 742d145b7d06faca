"""Activations: values, ranges, slopes, sectors and relaxations against arbitrary precision, theory and literature."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
import pytest
from flint import arb, ctx
from hypothesis import given, settings
from hypothesis import strategies as st

from lipctrl.errors import NetworkError
from lipctrl.intervals.interval import Interval
from lipctrl.networks import secants, smooth
from lipctrl.networks.activation import ACTIVATIONS, Activation, activation

LAW = settings(max_examples=20, deadline=None, derandomize=True)
INF = np.inf

CASES: list[tuple[str, dict[str, float]]] = [
    ("identity", {}),
    ("relu", {}),
    ("leaky_relu", {}),
    ("leaky_relu", {"negative_slope": -0.3}),
    ("leaky_relu", {"negative_slope": 1.7}),
    ("elu", {}),
    ("elu", {"alpha": 1.7}),
    ("elu", {"alpha": -0.4}),
    ("gelu", {}),
    ("silu", {}),
    ("softplus", {}),
    ("softplus", {"beta": 3.1}),
    ("tanh", {}),
    ("sigmoid", {}),
    ("hardtanh", {}),
    ("hardtanh", {"low": -0.7, "high": 1.3}),
    ("hardtanh", {"low": -INF, "high": 0.3}),
    ("hardtanh", {"low": 0.3, "high": 0.3}),
]
NAMES = [f"{kind}{parameters or ''}" for kind, parameters in CASES]
MONOTONE_UNIT = ("identity", "relu", "softplus", "tanh", "sigmoid", "hardtanh")


def _normal(x: arb) -> arb:
    return (-(x / arb(2).sqrt())).erfc() / 2


def _clip(x: arb, p: dict[str, float]) -> arb:
    low, high = p.get("low", -1.0), p.get("high", 1.0)
    return arb(low) if float(x) < low else arb(high) if float(x) > high else x


TRUTH: dict[str, Callable[[arb, dict[str, float]], arb]] = {
    "identity": lambda x, p: x,
    "relu": lambda x, p: x if x > 0 else arb(0),
    "leaky_relu": lambda x, p: x if x > 0 else x * arb(p.get("negative_slope", 0.01)),
    "elu": lambda x, p: x if x > 0 else arb(p.get("alpha", 1.0)) * x.expm1(),
    "gelu": lambda x, p: x * _normal(x),
    "silu": lambda x, p: x / (1 + (-x).exp()),
    "softplus": lambda x, p: (x * arb(p.get("beta", 1.0))).exp().log1p() / arb(p.get("beta", 1.0)),
    "tanh": lambda x, p: x.tanh(),
    "sigmoid": lambda x, p: 1 / (1 + (-x).exp()),
    "hardtanh": _clip,
}


@pytest.fixture(autouse=True)
def _precision() -> Iterator[None]:
    ctx.prec = 240
    yield
    ctx.prec = 53


def inside(lo: float, truth: arb, hi: float) -> bool:
    """Not provably outside, at 240 bits."""
    return not (np.isfinite(lo) and truth < arb(float(lo))) and not (np.isfinite(hi) and truth > arb(float(hi)))


def random_ranges(rng: np.random.Generator, n: int) -> tuple[Interval, np.ndarray]:
    """Ranges of all sizes, some with ends at 0, and a point of each."""
    scale = 10.0 ** rng.uniform(-7, 2, n)
    center = rng.normal(size=n) * 10.0 ** rng.uniform(-2, 1.3, n) * rng.choice([0, 1], n, p=[0.1, 0.9])
    lo, hi = center - scale * rng.random(n), center + scale * rng.random(n)
    side = rng.random(n)
    lo, hi = np.where(side < 0.08, 0.0, lo), np.where(side > 0.92, 0.0, hi)
    lo, hi = np.minimum(lo, hi), np.maximum(lo, hi)
    return Interval(lo, hi), np.clip(lo + (hi - lo) * rng.random(n), lo, hi)


def points_of(x: Interval, rng: np.random.Generator, count: int) -> np.ndarray:
    share = rng.random((count, *x.shape))
    share[0], share[1] = 0.0, 1.0
    return np.clip(x.lo + share * (x.hi - x.lo), x.lo, x.hi)


@pytest.mark.parametrize(("kind", "parameters"), CASES, ids=NAMES)
@pytest.mark.parametrize("seed", [1, 2])
def test_everything_proved_contains_the_truth(kind: str, parameters: dict[str, float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 40
    phi = activation(kind, n, **parameters)
    x, star = random_ranges(rng, n)
    spread = np.minimum(star - x.lo, x.hi - star) * rng.choice([0.0, 1e-9, 0.3], n)
    about = Interval(np.maximum(star - spread, x.lo), np.minimum(star + spread, x.hi))
    values, slopes, sector, bounds = phi.enclose(x), phi.slope_range(x), phi.sector(x, about), phi.slope_bounds()
    lam, mu, delta = phi.linear_relaxation(x)
    assert np.all(slopes.contains(sector))
    assert np.all(bounds.contains(slopes))
    points, stars = points_of(x, rng, 5), points_of(about, rng, 5)
    for i in range(n):
        v = [arb(float(a)) for a in points[:, i]]
        f = [TRUTH[kind](a, parameters) for a in v]
        w = [arb(float(a)) for a in stars[:, i]]
        g = [TRUTH[kind](a, parameters) for a in w]
        for a, b in zip(v, f, strict=True):
            assert inside(values.lo[i], b, values.hi[i])
            assert not abs(b - arb(lam[i]) * a - arb(mu[i])) > arb(delta[i])
        for j in range(5):
            if points[j, i] != points[j - 1, i]:
                assert inside(slopes.lo[i], (f[j] - f[j - 1]) / (v[j] - v[j - 1]), slopes.hi[i])
            for k in range(5):
                if points[j, i] != stars[k, i]:
                    secant = (f[j] - g[k]) / (v[j] - w[k])
                    assert inside(sector.lo[i], secant, sector.hi[i]), (x[i], about[i], points[j, i], stars[k, i])


@pytest.mark.parametrize(("kind", "parameters"), CASES, ids=NAMES)
@pytest.mark.parametrize("size", [0.3, 2.0, 20.0])
def test_bounds_are_tight(kind: str, parameters: dict[str, float], size: float) -> None:
    """Within 3e-3 of dense sampling; the grid itself explains most of the difference."""
    rng = np.random.default_rng(11)
    n = 25
    phi = activation(kind, n, **parameters)
    star = np.clip(rng.normal(size=n), -2.5, 2.5)
    x = Interval(star - size * rng.uniform(0.1, 1, n), star + size * rng.uniform(0.1, 1, n))
    v = np.concatenate(
        [np.linspace(x.lo, x.hi, 8001), *(np.broadcast_to(np.clip(k, x.lo, x.hi), (1, n)) for k in _kinks(phi))]
    )
    v = np.sort(v, axis=0)
    f = phi.value(v)
    close = np.abs(v - star) < 1e-4 * size
    with np.errstate(all="ignore"):
        sampled_secants = np.where(close, np.nan, (f - phi.value(star)) / (v - star))
        slopes = np.diff(f, axis=0) / np.diff(v, axis=0)
    slopes[np.diff(v, axis=0) < 1e-9] = np.nan
    for proved, sampled in ((phi.sector(x, Interval(star)), sampled_secants), (phi.slope_range(x), slopes)):
        assert np.all(proved.hi - np.nanmax(sampled, axis=0) < 3e-3)
        assert np.all(np.nanmin(sampled, axis=0) - proved.lo < 3e-3)
    values = phi.enclose(x)
    assert np.all(values.hi - f.max(axis=0) < 1e-6)
    assert np.all(f.min(axis=0) - values.lo < 1e-6)
    lam, mu, delta = phi.linear_relaxation(x)
    attained = np.abs(f - lam * v - mu).max(axis=0)
    assert np.all(delta <= attained * (1 + 1e-4) + 1e-13)
    chord = (f[-1] - f[0]) / (x.hi - x.lo)
    rest = f - chord * v
    assert np.all(
        delta <= 0.5 * (rest.max(axis=0) - rest.min(axis=0)) * (1 + 1e-4) + 1e-13
    )  # never worse than the chord


def _kinks(phi: Activation) -> list[np.ndarray]:
    kinks = ACTIVATIONS[phi.kind].kinks(phi.parameters)
    return [np.where(np.isnan(kink), 0.0, kink) for kink in kinks]


@pytest.mark.parametrize(("kind", "parameters"), CASES, ids=NAMES)
def test_bounds_on_unbounded_ranges(kind: str, parameters: dict[str, float]) -> None:
    phi = activation(kind, 3, **parameters)
    x = Interval([-INF, -INF, -1.0], [INF, 0.5, INF])
    star = np.array([0.3, -1.0, 2.0])
    sector, values = phi.sector(x, Interval(star)), phi.enclose(x)
    far = np.concatenate([np.linspace(-30, 30, 2001), [-1e6, -1e3, 1e3, 1e6, -300.5, 300.5, -700.0, 700.0, -37.5]])
    for i in range(3):
        v = far[(far >= x.lo[i]) & (far <= x.hi[i]) & (np.abs(far - star[i]) > 1e-3)]
        one = activation(kind, 1, **parameters)
        f = one.value(v[:, None])[:, 0]
        slopes = (f - one.value(star[i])) / (v - star[i])
        assert np.all((sector.lo[i] - 1e-12 <= slopes) & (slopes <= sector.hi[i] + 1e-12))
        assert sector.hi[i] - slopes.max() < 2e-2
        assert slopes.min() - sector.lo[i] < 2e-2
        assert np.all((values.lo[i] <= f + 1e-15) & (f - 1e-15 <= values.hi[i]))
        extreme = np.array([-1e300, -1e30, 1e30, 1e300])
        extreme = extreme[(extreme > x.lo[i]) & (extreme < x.hi[i])]
        slopes = (one.value(extreme[:, None])[:, 0] - one.value(star[i])) / (extreme - star[i])
        slack = 1e-15 * np.abs(slopes)
        assert np.all((sector.lo[i] - slack <= slopes) & (slopes <= sector.hi[i] + slack))
    lam, mu, delta = phi.linear_relaxation(x)
    assert np.all(np.isfinite(lam) & np.isfinite(mu))
    grid = np.clip(np.linspace(-30, 30, 1001)[:, None], x.lo, x.hi)
    assert np.all(np.abs(phi.value(grid) - lam * grid - mu) <= delta + 1e-12)


def test_the_steepest_secant_may_end_inside() -> None:
    """tanh about v* = 1 on [-2, 4]: ends .575 and .079, tangent .420, maximum .816."""
    sector = activation("tanh", 1).sector(Interval([-2.0], [4.0]), Interval([1.0]))
    assert sector.hi[0] == pytest.approx(0.816, abs=5e-4)
    assert sector.lo[0] == pytest.approx((np.tanh(4) - np.tanh(1)) / 3, rel=1e-10)
    assert sector.lo[0] <= (np.tanh(4) - np.tanh(1)) / 3 + 1e-16


def test_global_slopes_of_theory_and_literature() -> None:
    """GELU and SiLU by their printed extreme slopes, the others exactly."""
    known = {
        "identity": (1.0, 1.0),
        "relu": (0.0, 1.0),
        "leaky_relu": (0.01, 1.0),
        "elu": (0.0, 1.0),
        "softplus": (0.0, 1.0),
        "tanh": (0.0, 1.0),
        "sigmoid": (0.0, 0.25),
        "hardtanh": (0.0, 1.0),
    }
    for kind, slopes in known.items():
        bounds = activation(kind, 1).slope_bounds()
        assert (bounds.lo[0], bounds.hi[0]) == slopes, kind
    for kind, low, high in (("gelu", -0.128904, 1.128904), ("silu", -0.099839, 1.099839)):
        bounds = activation(kind, 1).slope_bounds()
        assert bounds.lo[0] == pytest.approx(low, abs=1e-6)
        assert bounds.hi[0] == pytest.approx(high, abs=1e-6)
    for alpha, slopes in ((2.0, (0.0, 2.0)), (0.5, (0.0, 1.0)), (-0.5, (-0.5, 1.0))):
        bounds = activation("elu", 1, alpha=alpha).slope_bounds()
        assert (bounds.lo[0], bounds.hi[0]) == slopes
    bounds = activation("leaky_relu", 1, negative_slope=-2.0).slope_bounds()
    assert (bounds.lo[0], bounds.hi[0]) == (-2.0, 1.0)
    bounds = activation("hardtanh", 2, low=[-INF, 1.0], high=[INF, 1.0]).slope_bounds()
    assert (bounds.lo[0], bounds.hi[0]) == (1.0, 1.0)
    assert (bounds.lo[1], bounds.hi[1]) == (0.0, 0.0)


def test_turning_points_of_gelu_and_silu_are_where_the_second_derivative_changes_sign() -> None:
    def silu_curvature(x: arb) -> arb:
        return 2 - x * (x / 2).tanh()

    def silu_slope(x: arb) -> arb:
        s = 1 / (1 + (-x).exp())
        return s + x * s * (1 - s)

    def gelu_slope(x: arb) -> arb:
        return _normal(x) + x * (-x * x / 2).exp() / (2 * arb.pi()).sqrt()

    low, high = (arb(v) for v in smooth.SQRT_TWO)
    assert low * low < 2
    assert high * high > 2
    low, high = (arb(v) for v in smooth.SILU_TURNING)
    assert silu_curvature(low) > 0
    assert silu_curvature(high) < 0
    for slope, special, maximum, minimum, point in (
        (gelu_slope, smooth.GELU_MINIMUM, smooth.GELU_SLOPE_MAXIMUM, smooth.GELU_SLOPE_MINIMUM, arb(2).sqrt()),
        (silu_slope, smooth.SILU_MINIMUM, smooth.SILU_SLOPE_MAXIMUM, smooth.SILU_SLOPE_MINIMUM, low),
    ):
        assert slope(arb(special.lo)) < 0  # type: ignore[arg-type]
        assert slope(arb(special.hi)) > 0  # type: ignore[arg-type]
        # at a stationary point the value at a neighbouring double is off by 1e-32 only
        assert arb(float(maximum.lo)) < slope(point) < arb(float(maximum.hi))
        assert arb(float(minimum.lo)) < slope(-point) < arb(float(minimum.hi))
    for kind, special in (("gelu", smooth.GELU_MINIMUM), ("silu", smooth.SILU_MINIMUM)):
        assert arb(float(special.bounds.lo)) < TRUTH[kind](arb(special.lo), {}) < arb(float(special.bounds.hi))  # type: ignore[arg-type]
    assert abs(silu_slope(low) - silu_slope(high)) < arb(1e-30)


@pytest.mark.parametrize("kind", MONOTONE_UNIT)
def test_slopes_of_monotone_activations_stay_between_zero_and_one(kind: str) -> None:
    rng = np.random.default_rng(0)
    phi = activation(kind, 400)
    x, star = random_ranges(rng, 400)
    for slopes in (phi.slope_range(x), phi.sector(x, Interval(star))):
        assert np.all((slopes.lo >= 0.0) & (slopes.hi <= 1.0))


def test_ranges_do_not_leave_the_range_of_the_activation() -> None:
    x = Interval([-800.0, -40.0, -1.5, -0.7, 0.0, 30.0], [-700.0, -30.0, -0.5, 0.7, 40.0, 800.0])
    for kind, low, high in (
        ("tanh", -1.0, 1.0),
        ("sigmoid", 0.0, 1.0),
        ("softplus", 0.0, INF),
        ("elu", -1.0, INF),
        ("gelu", smooth.GELU_MINIMUM.bounds.lo, INF),
        ("silu", smooth.SILU_MINIMUM.bounds.lo, INF),
    ):
        values = activation(kind, 6).enclose(x)
        assert np.all((values.lo >= low) & (values.hi <= high)), kind


def test_rounding_never_pulls_a_line_through_the_graph() -> None:
    """On a linear piece the lines above may lie nowhere below both bounds they are made of, in exact arithmetic."""
    rng = np.random.default_rng(4)
    m, n = 1.7, 2000
    start = -rng.random(n) - 0.1
    stop = start * (1.0 - rng.random(n) * 0.9)
    phi = activation("leaky_relu", n, negative_slope=m)
    graph = secants._graph(ACTIVATIONS["leaky_relu"], phi.parameters, start, stop)
    for i in range(n):
        rise = Fraction(m) * (Fraction(stop[i]) - Fraction(start[i]))
        first, last = (Fraction(float(end.hi[i])) for end in (graph.first, graph.last))
        assert Fraction(float(graph.above[0][i])) >= min(first, last - rise)
        assert Fraction(float(graph.above[1][i])) >= min(first + rise, last)
        first, last = (Fraction(float(end.lo[i])) for end in (graph.first, graph.last))
        assert Fraction(float(graph.below[0][i])) <= max(first, last - rise)
        assert Fraction(float(graph.below[1][i])) <= max(first + rise, last)


def test_linear_pieces_are_exact() -> None:
    x = Interval([0.0, 0.1, -3.0, -3.0], [3.0, 0.7, 0.0, -0.1])
    star = Interval([0.0, 0.3, -1.0, -0.1])
    slopes = np.array([1.0, 1.0, 0.0, 0.0])
    for kind, expected in (("identity", np.ones(4)), ("relu", slopes), ("leaky_relu", np.where(slopes == 1, 1, 0.01))):
        phi = activation(kind, 4)
        lam, mu, delta = phi.linear_relaxation(x)
        for bounds in (phi.slope_range(x), phi.sector(x, star)):
            np.testing.assert_array_equal(bounds.lo, expected)
            np.testing.assert_array_equal(bounds.hi, expected)
        np.testing.assert_array_equal(lam, expected)
        np.testing.assert_array_equal(mu, 0.0)
        np.testing.assert_array_equal(delta, 0.0)


def test_saturation_is_exact_inside_and_outside() -> None:
    phi = activation("hardtanh", 4, low=-0.3, high=0.7)
    x = Interval([-0.3, -0.1, 0.7, -9.0], [0.7, 0.2, INF, -0.3])
    star = Interval([0.0, 0.2, 0.7, -1.0])
    lam, mu, delta = phi.linear_relaxation(x)
    for bounds in (phi.slope_range(x), phi.sector(x, star)):
        np.testing.assert_array_equal(bounds.lo, [1.0, 1.0, 0.0, 0.0])
        np.testing.assert_array_equal(bounds.hi, [1.0, 1.0, 0.0, 0.0])
    np.testing.assert_array_equal(lam, [1.0, 1.0, 0.0, 0.0])
    np.testing.assert_array_equal(mu, [0.0, 0.0, 0.7, -0.3])
    np.testing.assert_array_equal(delta, 0.0)


def test_relu_across_the_kink_has_the_triangle_relaxation() -> None:
    lam, mu, delta = activation("relu", 1).linear_relaxation(Interval([-1.0], [3.0]))
    assert lam[0] == pytest.approx(0.75, rel=1e-12)
    assert mu[0] == pytest.approx(0.375, rel=1e-9)
    assert delta[0] == pytest.approx(0.375, rel=1e-9)
    assert delta[0] >= 0.375


def test_the_relaxation_of_a_chain_of_bends_beats_the_chord() -> None:
    """Chebyshev: the best line for tanh on [-a, a] leaves half of what the chord leaves, up to a few per cent."""
    phi, x = activation("tanh", 1), Interval([-1.0], [1.0])
    _, _, delta = phi.linear_relaxation(x)
    v = np.linspace(-1, 1, 100001)
    chord = np.abs(np.tanh(v) - np.tanh(1.0) * v).max()
    assert 0.45 * chord < delta[0] < chord
    best = min(np.abs(np.tanh(v) - lam * v).max() for lam in np.linspace(0.7, 1.0, 301))
    assert delta[0] < best * 1.01


def test_kinks() -> None:
    x = Interval([-1.0, 0.0, 0.1, -2.0], [1.0, 0.0, 2.0, -1.0])
    for kind, parameters, expected in (
        ("relu", {}, [True, True, False, False]),
        ("leaky_relu", {}, [True, True, False, False]),
        ("leaky_relu", {"negative_slope": 1.0}, [False] * 4),
        ("elu", {}, [False] * 4),
        ("elu", {"alpha": [1.0, 2.0, 2.0, 2.0]}, [False, True, False, False]),
        ("hardtanh", {}, [True, False, True, True]),
        ("hardtanh", {"low": -INF, "high": 1.5}, [False, False, True, False]),
        ("hardtanh", {"low": 0.5, "high": 0.5}, [False] * 4),
        ("tanh", {}, [False] * 4),
        ("gelu", {}, [False] * 4),
    ):
        assert activation(kind, 4, **parameters).kinks_in(x).tolist() == expected, (kind, parameters)
    everything = Interval(np.full(2, -INF), np.full(2, INF))
    assert activation("hardtanh", 2, low=-INF, high=INF).kinks_in(everything).tolist() == [False, False]


@pytest.mark.parametrize(("kind", "parameters"), CASES, ids=NAMES)
@LAW
@given(steps=st.integers(-30 * 2**20, 30 * 2**20))
def test_values_and_derivatives_in_floating_point(kind: str, parameters: dict[str, float], steps: int) -> None:
    x = steps / 2**20
    phi = activation(kind, 1, **parameters)
    ctx.prec = 240
    truth = TRUTH[kind](arb(x), parameters)
    assert abs(float(phi.value([x])[0]) - float(truth)) <= 1e-14 * (1.0 + abs(float(truth)))
    h = arb(2) ** -90
    slope = (TRUTH[kind](arb(x) + h, parameters) - truth) / h  # from the right
    assert float(phi.derivative([x])[0]) == pytest.approx(float(slope), abs=1e-12)


@pytest.mark.sb3
def test_values_and_derivatives_equal_those_of_torch() -> None:
    torch = pytest.importorskip("torch")
    modules = {
        "relu": torch.nn.ReLU(),
        "leaky_relu": torch.nn.LeakyReLU(),
        "elu": torch.nn.ELU(),
        "gelu": torch.nn.GELU(),
        "silu": torch.nn.SiLU(),
        "softplus": torch.nn.Softplus(),
        "tanh": torch.nn.Tanh(),
        "sigmoid": torch.nn.Sigmoid(),
        "hardtanh": torch.nn.Hardtanh(),
        "identity": torch.nn.Identity(),
    }
    assert set(modules) == set(ACTIVATIONS)
    points = np.linspace(-40.3, 40.1, 2001)
    for kind, module in modules.items():
        x = torch.tensor(points, dtype=torch.float64, requires_grad=True)
        y = module(x)
        y.sum().backward()
        phi = activation(kind, points.size)
        np.testing.assert_allclose(phi.value(points), y.detach().numpy(), atol=2.1e-9, rtol=1e-13)
        np.testing.assert_allclose(phi.derivative(points), x.grad.numpy(), atol=2.1e-9, rtol=1e-13)


def test_channels_and_parameters() -> None:
    phi = activation("hardtanh", 3, low=[-1.0, -2.0, -3.0], high=4.0)
    np.testing.assert_array_equal(phi.value([[-9.0, -9.0, 9.0]]), [[-1.0, -2.0, 4.0]])
    part = phi.take([2, 0])
    assert part.n == 2
    np.testing.assert_array_equal(part.parameters["low"], [-3.0, -1.0])
    assert phi.take(np.array([False, True, False])).parameters["low"].tolist() == [-2.0]
    with pytest.raises(ValueError, match="read-only"):
        phi.parameters["low"][0] = 0.0
    x, star = Interval([-2.5, -2.5, -2.5], [5.0, 5.0, 5.0]), Interval([0.0, 0.0, 0.0])
    together, apart = phi.sector(x, star), [phi.take([i]).sector(x[[i]], star[[i]]) for i in range(3)]
    np.testing.assert_array_equal(together.lo, [one.lo[0] for one in apart])
    np.testing.assert_array_equal(together.hi, [one.hi[0] for one in apart])


def test_batches_of_ranges() -> None:
    phi = activation("tanh", 2)
    x = Interval(np.array([[-1.0, 0.0], [0.5, -2.0]]), np.array([[1.0, 2.0], [1.0, 3.0]]))
    star = Interval(np.array([[0.1, 0.1], [0.6, 0.6]]))
    for batch, rows in (
        (phi.slope_range(x), [phi.slope_range(x[i]) for i in range(2)]),
        (phi.sector(x, star), [phi.sector(x[i], star[i]) for i in range(2)]),
    ):
        np.testing.assert_allclose(batch.lo, [row.lo for row in rows], rtol=1e-3)
        np.testing.assert_allclose(batch.hi, [row.hi for row in rows], rtol=1e-3)
    assert phi.linear_relaxation(x)[2].shape == (2, 2)


def test_odd() -> None:
    assert activation("tanh", 1).odd
    assert activation("identity", 1).odd
    assert activation("hardtanh", 2, low=-2.0, high=2.0).odd
    assert activation("leaky_relu", 1, negative_slope=1.0).odd
    for kind, parameters in (("relu", {}), ("hardtanh", {"high": 2.0}), ("elu", {}), ("gelu", {}), ("sigmoid", {})):
        assert not activation(kind, 1, **parameters).odd


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: activation("swish", 1), "Unknown activation"),
        (lambda: activation("relu", 1, alpha=1.0), "no parameter alpha"),
        (lambda: activation("elu", 2, alpha=[1.0, np.nan]), "NaN"),
        (lambda: activation("elu", 1, alpha=np.inf), "infinite"),
        (lambda: activation("elu", 2, alpha=[1.0, 1.0, 1.0]), "2 numbers"),
        (lambda: activation("elu", 1, alpha="one"), "number"),
        (lambda: activation("softplus", 1, beta=0.0), "positive"),
        (lambda: activation("hardtanh", 1, low=1.0, high=0.0), "low <= high"),
        (lambda: activation("hardtanh", 1, low=np.nan), "NaN"),
        (lambda: activation("hardtanh", 1, low=np.inf, high=np.inf), "low < inf"),
        (lambda: activation("tanh", 2).enclose(Interval([0.0], [1.0])), "2 channels"),
        (lambda: activation("tanh", 1).sector(Interval([0.0], [1.0]), Interval([-INF], [0.0])), "bounded centre"),
    ],
)
def test_what_is_no_activation_is_refused(build: Callable[[], object], words: str) -> None:
    with pytest.raises(NetworkError, match=words):
        build()


def test_a_point_gives_something_sound() -> None:
    """No secant exists; at a kink both slopes, elsewhere the derivative."""
    relu = activation("relu", 3)
    x = Interval([0.0, 1.0, -1.0])
    for bounds in (relu.slope_range(x), relu.sector(x, x)):
        np.testing.assert_array_equal(bounds.lo, [0.0, 1.0, 0.0])
        np.testing.assert_array_equal(bounds.hi, [1.0, 1.0, 0.0])
    tanh = activation("tanh", 1).slope_range(Interval([0.5]))
    assert tanh.contains(1 - np.tanh(0.5) ** 2)
    assert tanh.width[0] < 1e-14
    lam, mu, delta = activation("tanh", 1).linear_relaxation(Interval([0.5]))
    assert abs(np.tanh(0.5) - lam[0] * 0.5 - mu[0]) <= delta[0] < 1e-14
