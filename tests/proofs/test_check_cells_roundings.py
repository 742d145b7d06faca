"""What the checker of cells leaves for roundings and for the library: with units so large that each can be told.

U is 2^-10 and LIBM 0, or the other way round, so that every radius is what is written, by hand, beside it.
"""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import flint
import numpy as np
import pytest

from lipctrl.proofs import check_cells as cc
from lipctrl.proofs.check_cells import Deviation, Form, Near, Number
from tests.proofs.cells_for_tests import affine, ellipsoid, grid, hexed, loop
from tests.proofs.test_check_cells_forms import RULES, arb, form, layer, parts, random_form, up
from tests.proofs.test_check_cells_sectors import Recorded

LARGE = 2.0**-10
CLOSE = 1 + 1e-8


@pytest.fixture
def units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rounding is 2^-10, the library is exact."""
    monkeypatch.setattr(cc, "U", LARGE)
    monkeypatch.setattr(cc, "LIBM", 0.0)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library is trusted to 2^-10 only, sums and products are exact."""
    monkeypatch.setattr(cc, "U", 0.0)
    monkeypatch.setattr(cc, "LIBM", LARGE)


def at(*values: float) -> np.ndarray:
    return np.array(values)


def first(x: Any) -> float:
    return float(np.ravel(x)[0])


# --------------------------------------------------------------------------------------------------------------- forms


@pytest.mark.parametrize("name", RULES)
def test_eight_units_of_all_that_is_added(name: str, units: None) -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        run, rules = RULES[name]
        a, b = random_form(rng, 3, seed % 3 == 0), random_form(rng, 2, seed % 2 == 0)
        (_, _, r), size = rules(parts(a, 3), parts(b, 3))
        low, high = up(r + 8 * Fraction(LARGE) * size)
        assert low * (1 - Fraction(1, 10**12)) <= parts(run(a, b), 3)[2] <= high * (1 + Fraction(1, 10**9))


def test_four_units_of_a_range(units: None) -> None:
    lo, hi = form(3.0, [0.5], 0.25).range()
    assert first(lo) == pytest.approx(2.25 - 4 * LARGE * 3.75, rel=1e-9)
    assert first(hi) == pytest.approx(3.75 + 4 * LARGE * 3.75, rel=1e-9)
    assert cc._up(1.0) == 1 + 2.0**-36
    deviation = Deviation((at(-2.0), at(0.5)), Near(np.zeros((1, 2))), np.array([[3.0, 4.0]]), at(1.0))
    lo, hi = deviation.range()
    assert first(lo) == pytest.approx(-8 - 4 * LARGE * 8, rel=1e-9)
    assert first(hi) == pytest.approx(6.5 + 4 * LARGE * 8, rel=1e-9)


@pytest.mark.parametrize("value", [0.25, -0.25, 0.9, -0.9, 0.0])
@pytest.mark.parametrize("R", [0.125, 0.5, 2.0])
def test_sines_of_a_library_that_errs(value: float, R: float, library: None) -> None:
    found = form(0.3, [R]).circular(at(value), at(0.5))
    half = R * R / 2
    most, least = half * min(max(value + R + LARGE, 0), 1), half * max(min(value - R - LARGE, 0), -1)
    assert found.c[0] == pytest.approx(value - (most + least) / 2, rel=1e-9, abs=1e-10)
    assert found.r[0] == pytest.approx((most - least) / 2 + LARGE * (1 + R + half), rel=1e-9)


@pytest.mark.parametrize("center", [5.0, -5.0])
def test_both_ends_of_an_increasing_or_decreasing_function(center: float, library: None) -> None:
    """Each is moved by what it may be wrong itself."""
    x = form(center, [0.5])
    ends = [center - 0.5, center + 0.5]
    for found, values in ((cc._exp(x), np.exp(ends)), (cc._inverse(x), 1 / at(*ends)[::-1])):
        assert first(found.lo) == pytest.approx(values[0] - LARGE * abs(values[0]), rel=1e-9)
        assert first(found.hi) == pytest.approx(values[1] + LARGE * abs(values[1]), rel=1e-9)


def test_what_is_nowhere_and_what_is_anywhere() -> None:
    """1 / x and the root down to 0; tanh and max of all numbers; a square is not below 0."""
    with np.errstate(all="ignore"):
        for lo, hi in ((0.0, 1.0), (-1.0, 0.0)):
            assert np.isnan(cc._inverse(form((lo + hi) / 2, [0.5], 0.0, lo, hi)).c[0])
        lo, hi = cc._sqrt(form(0.5, [0.5], 0.0, 0.0, 1.0)).range()
        assert -1e-9 <= first(lo) <= 0 and 1 <= first(hi) <= CLOSE
        any_tanh = cc._tanh(form(1.0, [0.5], np.inf))
        assert abs(any_tanh.c[0]) <= 1e-9 and not any_tanh.G.any() and 1 <= any_tanh.r[0] <= CLOSE
        some = form(1.0, [0.5], np.inf, -np.inf, 7.0).at_least(3.0)
        assert some.c[0] == pytest.approx(5.0) and not some.G.any() and 2 <= some.r[0] <= 2 * CLOSE
    lo, hi = form(0.25, [1.0]).square().range()
    assert first(lo) == 0.0 and first(hi) >= 1.5625


# --------------------------------------------------------------------------------------------------------------- lines


@pytest.mark.parametrize(
    ("lo", "hi", "low", "spread"),
    [(-3, 5, 1, 1.0), (-7, 0.5, 0.25, 7.25 * 0.25 / 7.5 / 2), (2, 9, -1.5, 0), (-8, -4, 1, 0), (-1, 4, -0.5, 0.225)],
)
def test_lines_for_limits(lo: float, hi: float, low: float, spread: float, units: None) -> None:
    """Half of the distance of the kink from the chord, and eight units of all three numbers."""
    _, _, error = cc._above(at(lo), at(hi), low)
    assert error[0] == pytest.approx(spread + 8 * LARGE * (abs(lo) + abs(hi) + abs(low)), rel=1e-12)


@pytest.mark.parametrize(
    ("lo", "hi", "half", "most"),
    [(-3.0, 2.0, 0.46875, 0.5625), (-0.25, 0.5, 0.0, 0.0), (1.0, 7.0, 0.0, 0.75), (-9.0, 0.25, None, None)],
)
def test_lines_for_clips(lo: float, hi: float, half: float | None, most: float | None, units: None) -> None:
    """From -1/2 to 3/4; the gaps between function and line through 0 at ends and kinks, by hand."""
    slope, _, error = cc._clip_line(at(lo), at(hi), at(-0.5), at(0.75))
    if half is None or most is None:
        points = [lo, hi, -0.5]
        gaps = [min(max(v, -0.5), 0.75) - slope[0] * v for v in points]
        half, most = (max(gaps) - min(gaps)) / 2, max(map(abs, gaps))
    assert error[0] == pytest.approx(half + 8 * LARGE * (abs(lo) + abs(hi) + most), rel=1e-12)


@pytest.mark.parametrize(("lo", "hi"), [(-3.0, 0.5), (0.25, 4.0), (-1.0, -0.125), (2.0, 2.5)])
def test_lines_of_a_library_that_errs(lo: float, hi: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """tanh and logistic, and the sloping side of a kink, by how much the error grows with LIBM."""

    def growth(one: Any) -> float:
        errors = []
        for trust in (0.0, LARGE):
            monkeypatch.setattr(cc, "LIBM", trust)
            errors.append(first(one.line(np.array([[lo]]), np.array([[hi]]))[2]))
        return (errors[1] - errors[0]) / LARGE

    chord = (math.tanh(hi) - math.tanh(lo)) / (hi - lo)
    turn = math.atanh(math.sqrt(1 - chord))
    assert growth(layer("tanh", {})) == pytest.approx(1 + abs(lo) + abs(hi) + turn, rel=1e-9)
    chord = 2 * (math.tanh(hi / 2) - math.tanh(lo / 2)) / (hi - lo)
    turn = math.atanh(math.sqrt(1 - chord))
    assert growth(layer("sigmoid", {})) == pytest.approx((1 + (abs(lo) + abs(hi)) / 2 + turn) / 2 + 1, rel=1e-9)
    for a in (0.25, -1.5):
        size = (1 + abs(a)) * (abs(lo) + abs(hi))
        assert growth(layer("leaky_relu", {"negative_slope": a})) == pytest.approx(size, rel=1e-9)


CURVED = {"elu": ({"alpha": -0.75}, 1.75), "softplus": ({"beta": 2.5}, 1.4), "gelu": ({}, 1.0), "silu": ({}, 1.0)}


@pytest.mark.parametrize("kind", CURVED)
@pytest.mark.parametrize(("lo", "hi"), [(-3.0, 0.5), (0.25, 4.0), (-7.0, -0.125), (0.0, 8.0), (-6.0, -5.0)])
def test_lines_of_smooth_neurons_of_a_library_that_errs(
    kind: str, lo: float, hi: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice what values, products with the slope and the second-order part may be wrong by; true of wrong values."""
    parameters, unit = CURVED[kind]
    one, ends = layer(kind, parameters), (np.array([[lo]]), np.array([[hi]]))
    left, right = (first(one.values(end)) for end in ends)
    least, most = (first(bend) for bend in one.bends(*ends))
    width = lo if kind == "elu" and lo < 0 < hi else hi - lo
    found = []
    for trust in (0.0, LARGE):
        monkeypatch.setattr(cc, "LIBM", trust)
        found.append([first(part) for part in one.line(*ends)])
    slope = found[0][0]
    size = unit * (1 + abs(left) + abs(right) + (1 + abs(slope)) * (abs(lo) + abs(hi)))
    size += (abs(least) + abs(most)) * width**2 / 8
    assert found[1][2] - found[0][2] == pytest.approx(2 * LARGE * size, rel=1e-9)
    exact = type(one).values
    for signs in itertools.product((-1, 1), repeat=2):
        wrong = iter(signs)

        def values(self: Any, v: np.ndarray, wrong: Any = wrong) -> np.ndarray:
            return exact(self, v) + next(wrong) * LARGE * unit * (1 + np.abs(v))

        monkeypatch.setattr(cc.Layer, "values", values)
        slope, shift, error = (first(part) for part in one.line(*ends))
        monkeypatch.setattr(cc.Layer, "values", exact)
        v = np.linspace(lo, hi, 101)
        assert np.all(np.abs(one.values(v) - slope * v - shift) <= error)


def test_slopes_of_a_library_that_errs(monkeypatch: pytest.MonkeyPatch) -> None:
    """By how much the bounds move apart with LIBM, where nothing cuts them off."""

    def growth(one: Any, lo: float, hi: float) -> tuple[float, float]:
        bounds = []
        for trust in (0.0, LARGE):
            monkeypatch.setattr(cc, "LIBM", trust)
            bounds.append([first(end) for end in one.slopes(np.array([[lo]]), np.array([[hi]]))])
        return (bounds[0][0] - bounds[1][0]) / LARGE, (bounds[1][1] - bounds[0][1]) / LARGE

    for kind in ("tanh", "sigmoid"):
        assert growth(layer(kind, {}), 1.0, 2.0) == pytest.approx((4, 4), rel=1e-9)
    low, high = (1 / (1 + math.exp(-2.5 * v)) for v in (-0.5, 0.75))
    assert growth(layer("softplus", {"beta": 2.5}), -0.5, 0.75) == pytest.approx((low, high), rel=1e-9)
    assert growth(layer("elu", {"alpha": -0.75}), -2.0, -0.5) == pytest.approx((0.75, 0.75), rel=1e-9)
    assert growth(layer("elu", {"alpha": 3.0}), -2.0, 0.5) == pytest.approx((3.0, 3.0), rel=1e-9)
    for kind, middle in itertools.product(("gelu", "silu"), (-0.3, 0.3)):
        moved = 4 * (1 + abs(middle))
        assert growth(layer(kind, {}), middle - 0.01, middle + 0.01) == pytest.approx((moved, moved), rel=1e-9)


def test_two_units_of_the_argument_of_a_softplus(units: None) -> None:
    """beta v is rounded, and what the logistic function makes of it is wrong by as much relative to itself."""
    one = layer("softplus", {"beta": 2.5})
    low, high = (1 / (1 + math.exp(-2.5 * v)) for v in (-0.5, 0.75))
    bounds = [first(end) for end in one.slopes(np.array([[-0.5]]), np.array([[0.75]]))]
    assert bounds == pytest.approx([low * (1 - 2 * LARGE * 1.25), high * (1 + 2 * LARGE * 1.875)], rel=1e-12)
    far = [first(end) for end in one.slopes(np.array([[-1e3]]), np.array([[1e3]]))]
    assert far == [0.0, 1.0]


def test_the_normal_distribution_function_half_way_between_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the last of six terms is 2^-50 it is needed for 2^-51."""
    monkeypatch.setattr(flint.ctx, "prec", 200)
    v = (np.arange(-320, 320) + 0.5) / 64
    for x, found in zip(v, cc._normal(v), strict=True):
        assert abs((1 + (arb(x) / flint.arb(2).sqrt()).erf()) / 2 - arb(found)) <= 2.0**-51


# ------------------------------------------------------------------------------------------------------------- networks


@pytest.mark.parametrize("y", [0.0, 1.0, -1000.0, 1e-3])
def test_errors_of_an_observation_in_float32(y: float) -> None:
    """u (1 + 2^-8) |y| + 2^-48 (1 + |y|) + 2^-126, and once more what the action is read with."""
    policy = cc.Network({"layers": [{"type": "identity", "n": 1}]}, True)
    u = 2.0**-24
    e = u * (1 + 2.0**-8) * abs(y) + 2.0**-48 * (1 + abs(y))
    assert first(policy([form(y)])[2]) == pytest.approx(e + 2 * u * (abs(y) + e), rel=1e-10)


def test_derivatives_of_layers_by_hand(units: None) -> None:
    """abs(W) (r + gamma abs(m)), gamma = 2 (n + 2) u; the slope between two numbers, four units of its middle."""
    W, m, r = np.array([[1.0, -2.0], [0.5, 3.0], [-1.0, 0.25]]), at(0.25, -1.5), at(0.375, 0.125)
    seeds = [[form(a, [], 2 * b, a - b, a + b)] for a, b in zip(m, r, strict=True)]
    middle, radius = cc.Network({"layers": [affine(W)]}, False).derivatives([], seeds)
    assert middle[0, :, 0] == pytest.approx(W @ m)
    assert radius[0, :, 0] == pytest.approx(np.abs(W) @ (r + 8 * LARGE * np.abs(m)), rel=1e-9)
    clip = {"type": "hardtanh", "n": 2, "low": hexed([-1.0] * 2), "high": hexed([1.0] * 2)}
    ranges = [(np.array([[-0.5, -2.0]]), np.array([[0.5, 0.5]]))]  # slopes 1, and 0 to 1
    middle, radius = cc.Network({"layers": [clip]}, False).derivatives(ranges, seeds)
    assert middle[0, :, 0] == pytest.approx([0.25, -0.75])
    exact = [0.375 + 4 * LARGE * 0.25, 1.0 * 0.125 + (0.5 + 4 * LARGE * 0.5) * 1.5]
    assert radius[0, :, 0] == pytest.approx(exact, rel=1e-9)


def test_sums_of_a_wide_layer_and_the_lines_after_it(units: None) -> None:
    """2 (n + 2) units of what is heard; then eight of what is passed on, abs(slope) times it and the shift."""
    W, b = np.array([[1.0, -2.0], [0.5, 3.0], [-1.0, 0.25], [0.0, 1.0], [2.0, 2.0]]), at(1.0, -0.5, 0.25, 0.0, -2.0)
    x = [form(0.5, [0.25, 0.125], 0.0625), form(-2.0, [0.5], 0.25)]
    size = at(0.5 + 0.375 + 0.0625, 2.0 + 0.5 + 0.25)
    heard = np.abs(W) @ size + np.abs(b)
    r = np.abs(W) @ at(0.0625, 0.25) + 8 * LARGE * heard
    actions, _, _ = cc.Network({"layers": [affine(W, b)]}, False)(x)
    assert [first(action.r) for action in actions] == pytest.approx(r, rel=1e-9)
    lines = {"type": "leaky_relu", "n": 5, "negative_slope": hexed([0.5] * 5)}
    policy = cc.Network({"layers": [affine(W, b), lines]}, False)
    slope, shift, error = at(0.5, 0.75, 1.0, 0.5, 2.0), at(0.25, -1.0, 0.0, 3.0, -0.5), at(0.125, 0.0, 1.0, 2.0, 0.5)
    policy.layers[1].line = lambda lo, hi: (slope[None], shift[None], error[None])  # type: ignore[method-assign]
    reach = np.abs(W @ at(0.5, -2.0) + b) + np.abs(W @ np.array([[0.25, 0.125], [0.5, 0.0]])).sum(axis=1) + r
    exact = slope * r + error + 8 * LARGE * (slope * reach + np.abs(shift))
    actions, _, _ = policy(x)
    assert [first(action.r) for action in actions] == pytest.approx(exact, rel=1e-9)


def test_layers_put_into_one_another_by_hand(units: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """y = V (s (W x + b) + t) + c from the end, gamma(n) = 2 n u of what each step adds up, and what underflows in v
    times what it meets: twice for each output of a layer, once for a slope."""
    assert np.finfo(np.float64).tiny == cc.LOST  # of a machine that flushes to zero
    lost = 2.0**-12
    monkeypatch.setattr(cc, "LOST", lost)

    def gamma(n: int) -> float:
        return 2 * n * LARGE

    x, G, r = at(0.5, -2.0), np.array([[0.25, 0.5], [0.125, 0.0]]), at(0.0625, 0.25)
    W, b = np.array([[1.0, -2.0], [0.5, 3.0], [-1.0, 0.25]]), at(1.0, -0.5, 0.25)
    slope, shift, error, reach = at(0.5, -0.25, 1.0), at(0.25, -1.0, 0.5), at(0.125, 0.5, 0.0), at(3.0, 2.0, 1.0)
    V, c = np.array([[2.0, -1.0, 0.5]]), at(-0.75)
    heard, heard_last, met, met_last = at(7.0, 8.0, 2.0), at(11.0), at(1.5, 3.0), at(0.75, 2.0, 5.0)
    passed = [
        ("affine", cc.Layer(affine(W, b)), heard[None], met[None]),
        ("line", slope[None], shift[None], error[None], reach[None]),
        ("affine", cc.Layer(affine(V, c)), heard_last[None], met_last[None]),
    ]
    X = np.concatenate([x[None], G])[:, None]
    image, radius = cc._substituted(passed, (X, r[None]))
    size, v = np.abs(x) + np.abs(G).sum(axis=0) + r, V[0]
    eps = gamma(5) * heard_last[0] + 2 * 1 * lost * met_last.sum() + lost * reach.sum()
    eps += np.abs(v) @ (error + gamma(7) * (np.abs(slope) * reach + np.abs(shift))) + gamma(7) * abs(c[0])
    beta, v = c[0] + v @ shift, v * slope
    eps += gamma(7) * (np.abs(v) @ heard + abs(beta)) + 2 * 3 * lost * met.sum()
    beta, v = beta + v @ b, v @ W
    assert image[:, 0, 0] == pytest.approx([v @ x + beta, *(G @ v)], rel=1e-12)
    exact = np.abs(v) @ (r + gamma(6) * size) + eps + 8 * LARGE * abs(beta)
    assert radius[0, 0] == pytest.approx(exact, rel=1e-9)


# ----------------------------------------------------------------------------------------------------------------- sets


@pytest.mark.parametrize("diagonal", [[3.0, 1.0], [1.0, 5.0, 2.0], [0.5]])
def test_spectral_norms_leave_for_roundings(diagonal: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """n^5 8 u of the largest entry, then 2 n^4 8 u of it all, beside the norm of the centre."""
    monkeypatch.setattr(cc, "U", 2.0**-20)
    n, unit = len(diagonal), 8 * 2.0**-20
    A = [[Form.constant(diagonal[i] if i == j else 0.0, 1) for j in range(n)] for i in range(n)]
    exact = (max(diagonal) + n**5 * unit * max(diagonal)) * (1 + 2 * n**4 * unit)
    assert first(cc._spectral(A)) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("count", [0, 1, 4, 6, 7, 9])
def test_what_an_ellipsoid_leaves_for_roundings(count: int, units: None) -> None:
    """8 (k + 2) units of the sum of all, beside the farthest corner, or its bound for many symbols, and the radii."""
    rng = np.random.default_rng(count)
    C, G, r = rng.standard_normal(3), rng.standard_normal((3, count)), rng.random(3)
    x = [Form(at(C[i]), G[i][:, None], at(r[i])) for i in range(3)]
    if count <= 6:
        far = max(np.linalg.norm(C + G @ signs) for signs in itertools.product((-1.0, 1.0), repeat=count))
    else:
        far = math.sqrt(C @ C + 2 * np.abs(G.T @ C).sum() + np.abs(G.T @ G).sum())
    size = np.abs(C).sum() + np.abs(G).sum()
    radius = far + np.linalg.norm(r) + 8 * (count + 2) * LARGE * size
    for hair, inside in ((CLOSE, True), (1 / CLOSE, False)):
        one = SimpleNamespace(coordinates=lambda forms: forms, radius=radius * hair)
        assert bool(cc.Ellipsoid.holds(one, x)[0]) is inside  # type: ignore[arg-type]


def test_an_exact_inverse_has_no_gap_below_zero() -> None:
    for T in (np.eye(2), [[0.5]], np.diag([4.0, 0.25, 1.0])):
        assert 0 <= ellipsoid(1.0, np.zeros(len(T)), T).gap <= 2.0**-890


@pytest.mark.parametrize("center", [1.0, -1.0, 0.25])
def test_limits_leave_four_units(center: float, units: None) -> None:
    one = ellipsoid(1.0, (center, center))
    far = abs(center) + 1
    lower, upper = center - 1 - 4 * LARGE * far, center + 1 + 4 * LARGE * far
    for hair, inside in ((1e-8, True), (-1e-8, False)):
        for sides in ((lower - hair, 9.0), (-9.0, upper + hair)):
            fields = {"lower": hexed([sides[0]] * 2), "upper": hexed([sides[1]] * 2)}
            if inside:
                assert "within the limits" in cc._limits_text(fields, [one], True)
            else:
                with pytest.raises(cc.Rejected, match="leaves the limits"):
                    cc._limits_text(fields, [one], True)


# -------------------------------------------------------------------------------------------------------------- sectors


def test_matrices_leave_two_units(units: None) -> None:
    A, B = np.array([[3.0, -1.0]]), np.array([[-1.0, 0.5]])
    rad = np.array([[0.25, 0.125]])
    assert (Near(A, rad) + Near(B, rad)).rad == pytest.approx(2 * rad + 2 * LARGE * np.abs(A + B), rel=1e-9)
    scaled = Near(A, rad).scaled(at(-0.5)).rad
    assert scaled == pytest.approx(0.5 * rad + 2 * LARGE * 0.5 * np.abs(A), rel=1e-9)
    assert cc._interval(at(1.0), at(2.0)).rad == pytest.approx(0.5 + 2 * LARGE * 1.5, rel=1e-9)
    assert cc._interval(at(-2.0), at(-1.0)).rad == pytest.approx(0.5 + 2 * LARGE * 1.5, rel=1e-9)
    product = (Near(np.ones((1, 3)), np.full((1, 3), 0.5)) @ Near(np.full((3, 1), -2.0), np.full((3, 1), 0.25))).rad
    assert product == pytest.approx(3 * (0.25 + 10 * LARGE * 2) + 1.5 * 2.25, rel=1e-9)


@pytest.mark.parametrize(("lo", "hi", "low", "high"), [(2, 4, -1, 1), (-4, -2, 1, -1)])
def test_four_units_of_an_inverse(lo: float, hi: float, low: int, high: int, units: None) -> None:
    sectors = Recorded()
    b = _Between((at(float(lo)), at(float(hi))), Near(np.zeros((1, 6))), np.array([[0.5, 0.0]]), at(0.0))
    a = _Between((at(1.0), at(1.0)), Near(np.zeros((1, 6))), np.array([[0.25, 0.0]]), at(0.0))
    sectors._quotient(a, b, (at(0.25), at(0.5)))
    found = [first(part) for part in sectors.last[:2]]
    assert found == pytest.approx([(1 + 4 * LARGE * low) / hi, (1 + 4 * LARGE * high) / lo], rel=1e-12)


def test_eight_units_of_the_ends_of_pieces(units: None) -> None:
    seen = []

    def slopes(starts: np.ndarray, stops: np.ndarray) -> Any:
        seen.append((starts, stops))
        return 0 * starts, 0 * stops + 1

    cc._secants(slopes, at(-2.0), at(3.0), at(1.0), at(0.0))
    slack, ((starts, stops),) = 8 * LARGE * 4, seen
    assert [first(starts[0, 0]), first(starts[1, -1])] == pytest.approx([-2 - slack, -3 - slack], rel=1e-9)
    assert [first(stops[0, -1]), first(stops[1, 0])] == pytest.approx([4 + slack, 3 + slack], rel=1e-9)


def test_two_units_of_a_line_and_of_the_ellipsoid(units: None) -> None:
    sectors = Recorded(0.5)
    v = Deviation((at(0.0), at(0.0)), Near(np.zeros((1, 6))), np.array([[3.0, 4.0]]), at(0.25))
    out = sectors._signal(v, lambda line: (line, line, 0 * line + 0.125), (at(0.0), at(0.0)))
    assert out.r[0] == pytest.approx(0.125 + 2 * LARGE * 2.5 + 0.125, rel=1e-9)
    met = []

    class Met(cc.Sectors):
        def _program(self, program: Any, rest: Any, given: Any) -> Any:
            met.append(given)
            return super()._program(program, rest, given)

    T = np.array([[2.0, 0.0], [-1.0, 0.5]])  # T^-1 = [.5 0; 1 2]
    line = loop(0.125, 0.125)
    assert Met(line, [], ellipsoid(1.0, T=T), 1.5).prove(at(-1e-9, -1e-9), at(1e-9, 1e-9)) == 0
    exact = [2 * LARGE * 1.5 * np.linalg.norm(row) for row in np.linalg.inv(T)]
    assert [first(part.r) for part in met[0][:2]] == pytest.approx(exact, rel=1e-9)


def test_slopes_of_operations_of_a_library_that_errs(library: None) -> None:
    """Four times what it is trusted to for a square, once for others; nothing above the greatest slope of tanh."""
    low, high = (first(end) for end in cc._SLOPES["tanh"](0.0)(at(0.5), at(1.0)))
    assert low == pytest.approx(1 - math.tanh(1) ** 2 - 4 * LARGE, rel=1e-12)
    assert high == pytest.approx(1 - math.tanh(0.5) ** 2 + 4 * LARGE, rel=1e-12)
    assert first(cc._SLOPES["tanh"](0.0)(at(-0.5), at(1.0))[1]) == 1.0
    for name, values in (("exp", np.exp([0.5, 1.0])), ("arctan", at(0.5, 0.8)), ("sqrt", 0.5 / np.sqrt([1.0, 0.5]))):
        low, high = (first(end) for end in cc._SLOPES[name](0.0)(at(0.5), at(1.0)))
        assert [low, high] == pytest.approx([values[0] * (1 - LARGE), values[1] * (1 + LARGE)], rel=1e-12)


@pytest.mark.parametrize(("gamma", "proved"), [(0.09, True), (0.1, False)])
def test_roundings_of_a_proof_of_definiteness(gamma: float, proved: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A = I / 4, c = 1 / 16, row sums of the radii 1 / 64: gamma (A + c + R R') = gamma / 2 below 3 / 64."""
    monkeypatch.setattr(cc, "_gamma", lambda n: gamma)
    monkeypatch.setattr(cc, "U", 0.0)
    assert Near(np.eye(2), np.full((2, 2), 1 / 32)).definite() is proved


@pytest.mark.parametrize(("rest", "proved"), [(0.045, True), (0.049, False)])
def test_residual_and_radii_are_added(rest: float, proved: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """c = 1 / 16 = .0625, row sums of the radii 1 / 64: a factor that leaves less than 3 / 64 = .0469, or more."""
    monkeypatch.setattr(np.linalg, "cholesky", lambda A: np.sqrt(0.25 - 1 / 16 - rest) * np.eye(2))
    assert Near(np.eye(2), np.full((2, 2), 1 / 32)).definite() is proved


def test_stacked_deviations_keep_their_values_at_rest() -> None:
    parts = [Deviation((at(a), at(b)), Near(np.zeros((1, 2))), np.zeros((1, 2)), at(0.0)) for a, b in ((1, 2), (3, 5))]
    both = cc._stack(parts)
    assert both.lo.tolist() == [1, 3] and both.hi.tolist() == [2, 5]


class _Between(Deviation):
    def range(self) -> Any:
        return self.lo, self.hi


def test_a_divisor_that_touches_zero() -> None:
    for lo, hi in ((0.0, 1.0), (-1.0, 0.0)):
        b = _Between((at(lo), at(hi)), Near(np.zeros((1, 2))), np.zeros((1, 2)), at(0.0))
        with pytest.raises(cc.Rejected, match="divisor"), np.errstate(all="ignore"):
            cc.Sectors._quotient(SimpleNamespace(), b, b, (at(0.0), at(1.0)))  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [1.0, 1e9])
def test_roundings_of_slopes_that_differ(size: float) -> None:
    """0 or c on each piece: their mean in fractions, where the least of both slopes is 0."""
    rng = np.random.default_rng(0)
    for c in size * rng.random(8):
        top = np.where(rng.random(cc.PIECES) < 0.5, c, c / 3)
        top[0] = 0.0

        def slopes(starts: np.ndarray, stops: np.ndarray, top: np.ndarray = top) -> Any:
            return 0 * starts, top[None, :, None] + 0 * starts

        exact = max(
            total / count for count, total in enumerate(itertools.accumulate(Fraction(float(v)) for v in top), 1)
        )
        given = [at(v) for v in (0.5, 0.5, 1.0, 0.0)]
        assert exact <= Fraction(float(cc._secants(slopes, *given)[1][0]))
        low, _, _ = cc._secants(lambda a, b, s=slopes: [-part for part in s(a, b)[::-1]], *given)
        assert Fraction(float(low[0])) <= -exact


def test_roundings_of_a_line_are_counted_by_slope_and_line() -> None:
    """Slopes one unit above the line: 1024 times 2^-40 of both."""
    for line in (1.0, -3.0):
        near = float(np.nextafter(line, 9))
        _, _, error = cc._secants(lambda a, b, s=near: (s + 0 * a, s + 0 * a), *(at(v) for v in (0.5, 0.5, 1.0, line)))
        assert error[0] == pytest.approx(2 * 2.0**-40 * abs(line), rel=1e-2)


@pytest.mark.parametrize(("v", "half"), [(0.3, 0.5), (-2.0, 0.9), (1.3, 0.25)])
def test_bounds_of_cosines_of_a_library_that_errs(v: float, half: float, library: None) -> None:
    low, high = (first(end) for end in cc._cosine(at(v), at(half)))
    away = abs(math.sin(v)) * half + half * half / 2 + LARGE * (1 + half)
    assert low == pytest.approx(max(math.cos(v) - away, -1), rel=1e-12)
    assert high == pytest.approx(min(math.cos(v) + away, 1), rel=1e-12)


@pytest.mark.parametrize(("lo", "hi"), [(0.25, 0.5), (-3.0, 0.5), (-0.25, 0.125)])
def test_sixteen_units_of_an_angle(lo: float, hi: float, units: None) -> None:
    middle, half = (lo + hi) / 2, (hi - lo) / 2 + 16 * LARGE * (1 + max(abs(lo), abs(hi)))
    away = abs(math.sin(middle + 1)) * half + half * half / 2
    low, high = (first(end) for end in cc._turned(at(lo), at(hi), 1.0))
    assert low == pytest.approx(max(math.cos(middle + 1) - away, -1), rel=1e-12)
    assert high == pytest.approx(min(math.cos(middle + 1) + away, 1), rel=1e-12)


@pytest.mark.parametrize("shift", [0.0, 0.5 * math.pi])
def test_cosines_of_large_angles(shift: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sum and shift are rounded by units of the angle: bounds at both ends and between, to 200 bits."""
    monkeypatch.setattr(flint.ctx, "prec", 200)
    turn = flint.arb(0) if shift == 0 else flint.arb.pi() / 2
    for v in 10.0 ** np.random.default_rng(0).uniform(0, 12, 60) * np.random.default_rng(1).choice([-1, 1], 60):
        for width in (0.0, 1e-9, 1e-3):
            lo, hi = v, v + width
            low, high = (first(end) for end in cc._turned(at(lo), at(hi), shift))
            for x in (lo, hi):
                assert arb(low) <= (arb(x) + turn).cos() <= arb(high)
            assert high - low <= 2 * (hi - lo) + 80 * cc.U * abs(v) + 1e-12


# --------------------------------------------------------------------------------------------------------- cells, parts


@pytest.mark.parametrize("rank", [1, 10**6])
def test_a_cell_that_nobody_marked_is_of_no_lower_rank(rank: int) -> None:
    """.45 [-1, -1/2]^2 lies in the next cell on the diagonal, which counts once it is marked."""
    assert np.iinfo(np.int32).max == cc.UNMARKED
    for marked in (False, True):
        cells = grid([-1.0, -1.0], [2.0, 2.0], [False, False], 2)
        cells.rank[1, 1] = 0 if marked else cc.UNMARKED
        set_ = cc.Region(loop(0.45, 0.45), [], [cells])
        given: Any = [cc.Record([0, 2, 1, 1], rank, 1)], [np.array([0])]
        if marked:
            set_.add(*given)
            continue
        with pytest.raises(cc.Rejected, match="not covered"):
            set_.add(*given)


def test_the_normal_distribution_function_far_out() -> None:
    """0 and 1 beyond 9, in the end, too."""
    v = at(9.5, 10.0, 10.25, 10.5, 11.0, 40.0, 1e9, np.inf)
    assert np.all(np.abs(cc._normal(v) - 1) <= 2.0**-52) and np.all(np.abs(cc._normal(-v)) <= 2.0**-60)
    assert np.isnan(cc._normal(at(np.nan))).all()


# ------------------------------------------------------------------------------------------------- parts of parameters


def test_the_side_that_is_widest_of_the_whole_is_halved() -> None:
    for box, whole, axis in (
        ([[0, 1], [10, 10.5]], [[0, 2], [10, 10.5]], 1),
        ([[10, 11], [0, 0.5]], [[10, 12], [0, 0.5]], 1),
        ([[3, 4], [-1, 1]], [[3, 4], [-2, 2]], 0),
    ):
        parts = cc._halves(np.array(box, dtype=float), np.array(whole, dtype=float))
        middle = sum(box[axis]) / 2
        assert parts[0][axis].tolist() == [box[axis][0], middle] and parts[1][axis].tolist() == [middle, box[axis][1]]
        assert all(part[1 - axis].tolist() == box[1 - axis] for part in parts)


def test_numbers_have_no_errors_of_their_own() -> None:
    """What is not asked for is not there: an action is exact unless an error is stated."""
    step = {"inputs": 2, "constants": [], "code": [], "outputs": [0]}
    fields = {"name": "m", "dt": (1.0).hex(), "step": step, "observe": step | {"inputs": 1}}
    line = cc.Loop({"layers": [affine([[0.0]])]}, fields, 1)
    assert line.error == 0.0 and not line.disturbed
    assert [first(end) for end in line.step([Number(form(2.0))])[0].value.range()] == pytest.approx([2.0, 2.0])
