"""The arithmetic of the checker of cells, part by part: in exact fractions, and by formulas worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import flint
import numpy as np
import pytest

from lipctrl.proofs import check_cells as cc
from lipctrl.proofs.check_cells import Form, Number
from tests.proofs.cells_for_tests import affine, hexed, packed, program

U = Fraction(1, 2**53)
Exact = tuple[Fraction, list[Fraction], Fraction]


def F(x: Any) -> Fraction:
    return Fraction(float(x))


def form(c: Any, G: Sequence[Any] = (), r: Any = 0.0, lo: float = -np.inf, hi: float = np.inf) -> Form:
    """One cell."""
    return Form(np.array([float(c)]), np.array(G, dtype=float).reshape(-1, 1), np.array([float(r)]), lo, hi)


def parts(x: Form, count: int) -> Exact:
    return F(x.c[0]), [F(g) for g in x.G[:, 0]] + [Fraction(0)] * (count - len(x.G)), F(x.r[0])


def up(x: Fraction) -> tuple[Fraction, Fraction]:
    """What a radius may be for a bound x: above it, by 2^-36 of it and 2^-900."""
    return x, x * (1 + Fraction(1, 2**35)) + Fraction(1, 2**890)


def assert_radius(x: Form, bound: Fraction) -> None:
    low, high = up(bound)
    assert low <= F(x.r[0]) <= high, (float(x.r[0]), float(bound))


def random_form(rng: np.random.Generator, count: int, point: bool = False) -> Form:
    scale = 10.0 ** rng.uniform(-4, 4, 2 + count)
    size = 0.0 if point else 1.0
    return form(scale[0] * rng.standard_normal(), size * scale[2:] * rng.standard_normal(count), size * scale[1])


def total(values: Sequence[Fraction]) -> Fraction:
    return sum(map(abs, values), Fraction(0))


RULES: dict[str, tuple[Callable[[Form, Form], Form], Callable[[Exact, Exact], tuple[Exact, Fraction]]]] = {}


def rule(name: str, run: Callable[[Form, Form], Form]) -> Any:
    def add(exact: Any) -> Any:
        RULES[name] = run, exact
        return exact

    return add


def reach(a: Exact) -> Fraction:
    return total(a[1]) + a[2]


@rule("+", lambda a, b: a + b)
def _(a: Exact, b: Exact) -> tuple[Exact, Fraction]:
    G = [x + y for x, y in zip(a[1], b[1], strict=True)]
    return (a[0] + b[0], G, a[2] + b[2]), abs(a[0]) + abs(b[0]) + total(a[1]) + total(b[1])


@rule("-", lambda a, b: a - b)
def _(a: Exact, b: Exact) -> tuple[Exact, Fraction]:
    G = [x - y for x, y in zip(a[1], b[1], strict=True)]
    return (a[0] - b[0], G, a[2] + b[2]), abs(a[0]) + abs(b[0]) + total(a[1]) + total(b[1])


@rule("*", lambda a, b: a * b)
def _(a: Exact, b: Exact) -> tuple[Exact, Fraction]:
    """c d + (c H + d G) e, and what is left: |c| s + |d| r + the product of the reaches."""
    A, B = [x * b[0] for x in a[1]], [y * a[0] for y in b[1]]
    r = abs(a[0]) * b[2] + abs(b[0]) * a[2] + reach(a) * reach(b)
    return (a[0] * b[0], [x + y for x, y in zip(A, B, strict=True)], r), abs(a[0] * b[0]) + total(A) + total(B)


@rule("times", lambda a, b: a.times(-0.3))
def _(a: Exact, b: Exact) -> tuple[Exact, Fraction]:
    k = F(-0.3)
    G = [k * g for g in a[1]]
    return (k * a[0], G, abs(k) * a[2]), abs(k * a[0]) + total(G)


@rule("square", lambda a, b: a.square())
def _(a: Exact, b: Exact) -> tuple[Exact, Fraction]:
    """(c + d)^2 = c^2 + R^2 / 2 + 2 c d up to R^2 / 2, |d| <= R."""
    half = reach(a) ** 2 / 2
    G = [2 * a[0] * g for g in a[1]]
    return (a[0] ** 2 + half, G, 2 * abs(a[0]) * a[2] + half), a[0] ** 2 + half + total(G)


ARRAY = np.array([-0.7])


@rule("line", lambda a, b: a.line(ARRAY, np.array([3.3]), np.array([0.01])))
def _(a: Exact, b: Exact) -> tuple[Exact, Fraction]:
    k, t, e = F(-0.7), F(3.3), F(0.01)
    G = [k * g for g in a[1]]
    return (k * a[0] + t, G, abs(k) * a[2] + e), abs(k * a[0]) + abs(t) + total(G)


@rule("about", lambda a, b: a.about(ARRAY, np.array([-3.3]), np.array([0.01])))
def _(a: Exact, b: Exact) -> tuple[Exact, Fraction]:
    k, t, e = F(-0.7), F(-3.3), F(0.01)
    G = [k * g for g in a[1]]
    return (t, G, abs(k) * a[2] + e), abs(t) + total(G)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("seed", range(12))
def test_each_rule_is_its_formula_with_eight_units_for_roundings(name: str, seed: int) -> None:
    """The radius is what the formula says, the error of centre and coefficients against the exact ones is within it."""
    rng = np.random.default_rng(seed)
    run, rules = RULES[name]
    a, b = random_form(rng, 3, seed % 3 == 0), random_form(rng, 2, seed % 4 == 0)
    (center, G, r), size = rules(parts(a, 3), parts(b, 3))
    found = run(a, b)
    exact = parts(found, 3)
    slack = r / 10**9 if name in ("square", "*") else Fraction(0)  # their reaches are rounded up
    low, high = up(r + 8 * U * size)
    assert low <= exact[2] <= high + slack
    wrong = abs(exact[0] - center) + total([x - y for x, y in zip(exact[1], G, strict=True)])
    if name != "square":
        assert wrong + r <= exact[2]
        lo, hi = (F(end[0]) for end in found.range())  # nothing else is known
        assert lo <= center - total(G) - r and center + total(G) + r <= hi


@pytest.mark.parametrize("name", RULES)
def test_each_rule_holds_at_every_corner(name: str) -> None:
    """phi(x) itself, at extreme and inner symbols, differs from the linear part by at most the radius."""
    phi: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
        "+": lambda x, y: x + y,
        "-": lambda x, y: x - y,
        "*": lambda x, y: x * y,
        "square": lambda x, y: x * x,
        "times": lambda x, y: F(-0.3) * x,
        "line": lambda x, y: F(-0.7) * x + F(3.3),
    }
    rng = np.random.default_rng(7)
    for _ in range(10):
        a, b = random_form(rng, 2), random_form(rng, 2)
        run, _rules = RULES[name]
        c, G, r = parts(run(a, b), 2)
        A, B = parts(a, 2), parts(b, 2)
        for e in product((-1, Fraction(1, 3), 1), repeat=2):
            for d, s in product((-1, 1), repeat=2):
                x = A[0] + sum(g * v for g, v in zip(A[1], e, strict=True)) + d * A[2]
                y = B[0] + sum(g * v for g, v in zip(B[1], e, strict=True)) + s * B[2]
                if name == "about":
                    value = F(-3.3) + F(-0.7) * (x - A[0])
                else:
                    value = phi[name](x, y)
                assert abs(value - c - sum(g * v for g, v in zip(G, e, strict=True))) <= r


def test_ranges_and_limits() -> None:
    """c +- (sum |G| + r), a little more, cut by what is known; negated with its limits; the whole line for
    infinity, NaN for what may be undefined."""
    x = form(1.0, [0.25, -0.5], 0.125)
    low, high = up(F(0.875))
    assert low <= F(x.reach()[0]) <= high
    lo, hi = (F(end[0]) for end in x.range())
    assert F(0.125) - F(1e-9) <= lo <= F(0.125) and F(1.875) <= hi <= F(1.875) + F(1e-9)
    tight = form(0.1, [], 0.0)
    lo, hi = (F(end[0]) for end in tight.range())
    assert F(0.1) - 10 * U <= lo < F(0.1) < hi <= F(0.1) + 10 * U
    cut = form(1.0, [0.25, -0.5], 0.125, 0.5, 1.5)
    assert [float(end[0]) for end in cut.range()] == [0.5, 1.5]
    assert [float(end[0]) for end in (-cut).range()] == [-1.5, -0.5] and (-cut).c[0] == -1.0
    assert (-cut).G[:, 0].tolist() == [-0.25, 0.5] and (-cut).r[0] == 0.125
    for bad in (form(1.0, [np.inf]), form(1.0, [], np.nan), form(np.inf)):
        assert [float(end[0]) for end in bad.range()] == [-np.inf, np.inf]
    assert [float(end[0]) for end in form(1.0, [], np.nan, -1.0, 2.0).range()] == [-1.0, 2.0]
    for undefined in (form(np.nan), form(np.nan, [], 0.0, -1.0, 2.0)):
        assert np.isnan(undefined.range()).all()
    both = Form(
        np.array([1.0, 2.0, 3.0]), np.array([[0.5, 0.25, 0.1]]), np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.5, -1])
    )
    some = both.take(np.array([False, True, True]))
    assert (some.c.tolist(), some.G.tolist(), some.r.tolist()) == ([2.0, 3.0], [[0.25, 0.1]], [1.0, 2.0])
    assert (some.lo.tolist(), some.hi.tolist()) == ([1.5, -1.0], [np.inf, np.inf])
    own = both.own_symbol(2)
    assert own.G.tolist() == [[0.5, 0.25, 0.1], [0, 0, 0], [0.0, 1.0, 2.0]] and own.r.tolist() == [0.0] * 3
    assert np.array_equal(own.lo, both.lo) and own.c.tolist() == both.c.tolist()
    assert Form.constant(0.5, 2).c.tolist() == [0.5, 0.5] and Form.constant(0.5, 2).G.shape == (0, 2)
    assert (cc._up(0.0), cc._gamma(3)) == (2.0**-900, 6 * 2.0**-53)


# ------------------------------------------------------------------------------------------------- functions of a form


def arb(x: Any) -> flint.arb:
    return flint.arb(float(x))


Real = Callable[[flint.arb], flint.arb]
CURVES: dict[str, tuple[Callable[[Number], Number], Real, Real]] = {
    "sin": (cc.UNARY["sin"], lambda v: v.sin(), lambda v: v.cos()),
    "cos": (cc.UNARY["cos"], lambda v: v.cos(), lambda v: -v.sin()),
    "exp": (cc.UNARY["exp"], lambda v: v.exp(), lambda v: v.exp()),
    "tanh": (cc.UNARY["tanh"], lambda v: v.tanh(), lambda v: 1 - v.tanh() ** 2),
    "arctan": (cc.UNARY["arctan"], lambda v: v.atan(), lambda v: 1 / (1 + v * v)),
    "square": (cc.UNARY["square"], lambda v: v * v, lambda v: 2 * v),
    "neg": (cc.UNARY["neg"], lambda v: -v, lambda v: flint.arb(-1)),
    "sqrt": (
        lambda x: cc.UNARY["sqrt"](Number(x.value + form(9.0), x.by)),
        lambda v: (v + 9).sqrt(),
        lambda v: 1 / (2 * (v + 9).sqrt()),
    ),
    "div": (
        lambda x: cc.BINARY["div"](Number(form(1.5), [form(0.0)]), Number(x.value + form(9.0), x.by)),
        lambda v: arb(1.5) / (v + 9),
        lambda v: arb(-1.5) / (v + 9) ** 2,
    ),
    "div -": (
        lambda x: cc.BINARY["div"](x, Number(x.value - form(9.0), x.by)),
        lambda v: v / (v - 9),
        lambda v: -9 / (v - 9) ** 2,
    ),
    "mul": (lambda x: cc.BINARY["mul"](x, cc.UNARY["sin"](x)), lambda v: v * v.sin(), lambda v: v.sin() + v * v.cos()),
    "add": (lambda x: cc.BINARY["add"](x, cc.UNARY["square"](x)), lambda v: v + v * v, lambda v: 1 + 2 * v),
    "sub": (lambda x: cc.BINARY["sub"](x, cc.UNARY["square"](x)), lambda v: v - v * v, lambda v: 1 - 2 * v),
}
#: bound of half the second and of the third derivative on [-7, 7]: the radius is of second order
BENDS = {"exp": 1e3, "div": 1.0, "div -": 5.0, "mul": 9.0, "sqrt": 1.0}


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("center", [-6.5, -3.2, -1.5, -0.001, 0.0, 0.7, 1.6, 3.1, 4.75, 6.25])
def test_functions_and_derivatives_to_two_hundred_bits(
    name: str, center: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At both ends and inside of cells from a point to a width of 1; the radius is of second order in the width."""
    monkeypatch.setattr(flint.ctx, "prec", 200)
    run, phi, slope = CURVES[name]
    for half in (0.0, 1e-9, 1e-3, 0.05, 0.5):
        x = Number(form(center, [half]), [form(1.0)])
        after = run(x)
        for share in (-1.0, -0.5, -0.25, 0.0, 0.125, 0.75, 1.0):
            v = arb(center) + arb(share) * arb(half)
            for found, true in ((after.value, phi(v)), (after.by[0], slope(v))):
                gap = abs(true - arb(found.c[0]) - (arb(share) * arb(found.G[0, 0]) if len(found.G) else 0))
                assert gap <= arb(found.r[0]), (half, share)
                lo, hi = found.range()
                assert arb(lo[0]) <= true <= arb(hi[0])
        size = 10 * BENDS.get(name, 1.0)
        assert after.value.r[0] <= size * half**2 + 1e-11 * BENDS.get(name, 1.0)
        assert after.by[0].r[0] <= 4 * size * (half**2 + (half if name not in ("sin", "cos") else 0)) + 1e-10 * size


def test_second_order_parts_of_sines_by_hand() -> None:
    """-phi d^2 / 2 with phi within [value - R, value + R] and [-1, 1]: half of its range, moved by its middle."""
    for value, slope in ((0.5, 0.25), (0.95, -0.1), (-0.5, 0.3), (-0.95, 0.2), (0.0, 1.0)):
        for R in (0.125, 0.25, 1.0):
            found = form(7.0, [R]).circular(np.array([value]), np.array([slope]))
            most, least = min(max(value + R, 0.0), 1.0) * R * R / 2, max(min(value - R, 0.0), -1.0) * R * R / 2
            assert found.c[0] == pytest.approx(value - (most + least) / 2, rel=1e-9, abs=1e-9)
            assert found.G[0, 0] == slope * R and (found.lo, found.hi) == (-1.0, 1.0)
            assert (most - least) / 2 <= found.r[0] <= (most - least) / 2 * (1 + 1e-9) + 1e-13


def test_reciprocals_and_roots_across_zero_are_not_known() -> None:
    for x in (form(0.5, [1.0]), form(0.0), form(0.5, [0.5])):
        lo, hi = cc._inverse(x).range()
        assert not (np.isfinite(lo[0]) and np.isfinite(hi[0]))
    lo, hi = cc._inverse(form(-2.0, [1.0])).range()
    assert -1.001 <= lo[0] <= -1.0 and -1 / 3 <= hi[0] <= -0.333
    with np.errstate(all="ignore"):
        lo, hi = cc._sqrt(form(0.5, [1.0])).range()
    assert not (np.isfinite(lo[0]) and lo[0] > 0)


@pytest.mark.parametrize("low", [0.0, 0.75, -0.5])
def test_limits_from_below_and_above(low: float) -> None:
    """max(v, low) and min(v, low) with Clarke's slopes, on both sides, across and at the kink; in fractions."""
    for c, g in ((2.0, 0.25), (-2.0, 0.25), (low, 0.5), (low + 0.25, 0.25), (low - 0.25, 0.25), (low + 0.1, 0.75)):
        x = Number(form(c, [g]), [form(1.0)])
        for found, phi, sign in ((cc.LIMITS["at_least"](x, low), max, 1), (cc.LIMITS["at_most"](x, low), min, -1)):
            C, (G,), r = parts(found.value, 1)
            for share in (-1, -0.5, 0, 0.25, 1):
                v = F(c) + F(share) * F(g)
                assert abs(phi(v, F(low)) - C - G * F(share)) <= r
                lo, hi = found.value.range()
                assert F(lo[0]) <= phi(v, F(low)) <= F(hi[0])
                ends = phi(F(c) - F(g), F(low)), phi(F(c) + F(g), F(low))
                assert F(lo[0]) >= ends[0] - F(1e-9) and F(hi[0]) <= ends[1] + F(1e-9)
            ends = [F(c) - F(g) - F(low), F(c) + F(g) - F(low)]
            crossing = ends[0] < 0 < ends[1]
            # the chord of a kink errs by half of the distance of kink and chord
            least = -ends[0] * ends[1] / (ends[1] - ends[0]) / 2 if crossing else Fraction(0)
            assert r <= least * (1 + F(1e-8)) + F(1e-8) * F(g)
            slopes = [F(end[0]) for end in found.by[0].range()]
            above, below = (1, 0) if sign > 0 else (0, 1)
            wanted = [below] * (ends[0] < F(1e-12)) + [above] * (ends[1] > -F(1e-12))
            assert slopes[0] <= min(wanted) and max(wanted) <= slopes[1]
            assert slopes[1] - slopes[0] <= max(wanted) - min(wanted) + F(1e-9)
    x = Number(form(0.25, [1.0]), [form(1.0)])
    lo, hi = cc.UNARY["abs"](x).value.range()
    assert lo[0] <= 0.0 and 1.25 <= hi[0] <= 1.6
    slopes = cc.UNARY["abs"](x).by[0].range()
    assert slopes[0][0] == pytest.approx(-1.0) and slopes[1][0] == pytest.approx(1.0)
    assert [
        float(e[0]) for e in cc.UNARY["abs"](Number(form(-3.0, [1.0]), [form(1.0)])).by[0].range()
    ] == pytest.approx([-1.0, -1.0])
    plain = cc.UNARY["sin"](Number(form(1.0)))
    assert plain.by == []


# --------------------------------------------------------------------------------------------------------------- lines


def worst_gap(phi: Callable[[np.ndarray], np.ndarray], lo: float, hi: float, slope: float) -> tuple[float, float]:
    """Least and largest phi(v) - slope v on a fine mesh."""
    v = np.clip(np.append(np.linspace(lo, hi, 4001), [0.0, -0.5, 0.75]), lo, hi)
    gap = phi(v) - slope * v
    return float(gap.min()), float(gap.max())


RANGES = [
    (-3.0, -1.0),
    (-1.0, 0.0),
    (-0.5, 2.0),
    (0.0, 1.0),
    (0.25, 3.0),
    (-4.0, 4.0),
    (-1e-3, 2e-3),
    (5.0, 30.0),
    (-30.0, 2.0),
    (0.5, 0.5),
    (-0.25, -0.25),
    (1.0, 1.0 + 1e-6),
    (-2.0, 0.5),
    (0.75, 0.8),
]
LAYERS: dict[str, tuple[dict[str, Any], Callable[[np.ndarray], np.ndarray], float]] = {
    "relu": ({}, lambda v: np.maximum(v, 0), 1.0001),
    "leaky_relu": ({"negative_slope": 0.25}, lambda v: np.where(v > 0, v, 0.25 * v), 1.0001),
    "leaky_relu -": ({"negative_slope": -0.5}, lambda v: np.where(v > 0, v, -0.5 * v), 1.0001),
    "hardtanh": ({"low": -0.5, "high": 0.75}, lambda v: np.clip(v, -0.5, 0.75), 1.0001),
    "tanh": ({}, np.tanh, 1.7),
    "sigmoid": ({}, lambda v: 1 / (1 + np.exp(-v)), 1.7),
    "identity": ({}, lambda v: v, 1.0001),
}


def layer(kind: str, parameters: dict[str, Any], n: int = 1) -> Any:
    fields = {name: [float(value).hex()] * n for name, value in parameters.items()}
    return cc.Layer({"type": kind.split()[0], "n": n, **fields})


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(("lo", "hi"), RANGES)
def test_lines_of_layers_bound_and_are_good(kind: str, lo: float, hi: float) -> None:
    """|phi(v) - slope v - shift| <= error: true, and at most the given factor above half the spread along the line."""
    parameters, phi, factor = LAYERS[kind]
    slope, shift, error = (
        float(part[0, 0]) for part in layer(kind, parameters).line(np.array([[lo]]), np.array([[hi]]))
    )
    least, most = worst_gap(phi, lo, hi, slope)
    assert shift - error <= least + 1e-15 and most - 1e-15 <= shift + error
    assert error <= factor * (most - least) / 2 + 2e-12 * (1 + abs(lo) + abs(hi))
    chord = (phi(np.array(hi)) - phi(np.array(lo))) / (hi - lo) if hi > lo else None
    if chord is not None and hi - lo > 1e-5:
        assert slope == pytest.approx(float(chord), abs=1e-9)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(("lo", "hi"), RANGES)
def test_slopes_of_layers_bound_and_are_good(kind: str, lo: float, hi: float) -> None:
    """Of the derivatives on the range, Clarke's at kinks: the least and the largest."""
    parameters, _, _ = LAYERS[kind]
    exact: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "tanh": lambda v: 1 - np.tanh(v) ** 2,
        "sigmoid": lambda v: np.exp(-np.abs(v)) / (1 + np.exp(-np.abs(v))) ** 2,
        "identity": np.ones_like,
    }
    least, most = (float(part[0, 0]) for part in layer(kind, parameters).slopes(np.array([[lo]]), np.array([[hi]])))
    if kind in exact:
        values = exact[kind](np.append(np.linspace(lo, hi, 2001), np.clip(0.0, lo, hi)))
    else:
        left = {"leaky_relu": 0.25, "leaky_relu -": -0.5}.get(kind, 0.0)
        pieces = [(-np.inf, 0.0, left), (0.0, np.inf, 1.0)]
        if kind == "hardtanh":
            pieces = [(-np.inf, -0.5, 0.0), (-0.5, 0.75, 1.0), (0.75, np.inf, 0.0)]
        values = np.array([slope for a, b, slope in pieces if lo <= b and a <= hi])
    assert least <= values.min() + 1e-15 and values.max() - 1e-15 <= most
    assert values.min() - 1e-9 <= least and most <= values.max() + 1e-9


@pytest.mark.parametrize(
    ("lo", "hi"), [(-2.0, -0.5), (-0.5, -0.5), (0.75, 0.75), (-0.5, 0.75), (-0.4, 0.7), (0.75, 3.0)]
)
def test_slopes_at_the_ends_of_a_clip(lo: float, hi: float) -> None:
    """At a kink both slopes count; only strictly within is it 1, only strictly beyond 0."""
    least, most = layer("hardtanh", {"low": -0.5, "high": 0.75}).slopes(np.array([[lo]]), np.array([[hi]]))
    inside, outside = lo > -0.5 and hi < 0.75, hi < -0.5 or lo > 0.75
    assert (float(least[0, 0]), float(most[0, 0])) == (1.0 if inside else 0.0, 0.0 if outside else 1.0)


def test_slopes_at_the_kink_of_a_relu() -> None:
    for a, kind, parameters in ((0.0, "relu", {}), (0.25, "leaky_relu", {"negative_slope": 0.25})):
        for lo, hi, expected in ((0.0, 1.0, (a, 1.0)), (-1.0, 0.0, (a, 1.0)), (1e-9, 1.0, (1, 1)), (-1, -1e-9, (a, a))):
            least, most = layer(kind, parameters).slopes(np.array([[lo]]), np.array([[hi]]))
            assert (float(least[0, 0]), float(most[0, 0])) == expected
    least, most = layer("leaky_relu", {"negative_slope": 1.5}).slopes(np.array([[-1.0]]), np.array([[1.0]]))
    assert (float(least[0, 0]), float(most[0, 0])) == (1.0, 1.5)


def test_values_that_layers_cannot_leave() -> None:
    lo, hi = np.array([[-2.0, 0.5]]), np.array([[0.0, 3.0]])
    low, high = cc._values(layer("hardtanh", {"low": -0.5, "high": 0.75}, 2), lo, hi)
    assert (low.tolist(), high.tolist()) == ([[-0.5, 0.5]], [[0.0, 0.75]])
    low, high = cc._values(layer("tanh", {}, 2), lo, hi)
    assert np.all(low < np.tanh(lo)) and np.all(high > np.tanh(hi)) and np.abs(high - np.tanh(hi)).max() < 1e-14
    low, high = cc._values(layer("relu", {}, 2), lo, hi)
    assert np.all(low == -np.inf) and np.all(high == np.inf)


# ------------------------------------------------------------------------------------------------------------- float32


def test_errors_in_float32_by_hand() -> None:
    """The table of FORMAT-cells.md, u = 2^-24, for inputs off by e = 2^-20 in [-1, 3]."""
    u, tiny, e = 2.0**-24, 2.0**-126, 2.0**-20
    lo, hi, error = np.array([[-1.0, 0.5]]), np.array([[3.0, 0.75]]), np.array([[e, e]])
    W, b = np.array([[0.5, 2.0], [0.0, 3.0], [1.0, 0.0], [0.0, 0.0]]), np.array([1.0, 0.25, 0.0, 5.0])
    affine = cc.Layer(
        {"type": "affine", "W": [[float(w).hex() for w in row] for row in W], "b": [float(v).hex() for v in b]}
    )
    gamma = 5 * u / (1 - 5 * u)
    h = np.array([3 + e, 0.75 + e])
    expected = [
        2.5 * e + gamma * (0.5 * h[0] + 2 * h[1] + 1) + 13 * tiny,
        3 * e + 9 * u * (3 * 1.0 + 0.25) + 11 * tiny,
        e,
        9 * u * 5 + 9 * tiny,
    ]
    found = affine.wrong(lo, hi, error)[0]
    assert np.all(found >= np.array(expected) * (1 - 1e-15)) and np.all(found <= np.array(expected) * (1 + 1e-9))
    cases: list[tuple[str, dict[str, Any], list[float]]] = [
        ("relu", {}, [e, e]),
        ("identity", {}, [e, e]),
        ("tanh", {}, [e + 2.0**-22, (1 - np.tanh(0.5 - e) ** 2) * e + 2.0**-22]),
        ("sigmoid", {}, [0.25 * e + 2.0**-22, 0.2350037122015945 * e + 2.0**-22]),
        ("leaky_relu", {"negative_slope": -2.0}, [2 * e + 6 * u * h[0] + tiny, e + 6 * u * h[1] + tiny]),
        ("hardtanh", {"low": 0.6, "high": 2.0}, [e + float(np.float64(np.float32(0.6)) - 0.6)] * 2),
        ("hardtanh", {"low": -1.0, "high": 0.1}, [e + float(np.float64(np.float32(0.1)) - 0.1), 2.0**-30]),
    ]
    for kind, parameters, values in cases:
        found = layer(kind, parameters, 2).wrong(lo, hi, error)[0]
        low = np.array(values) if kind != "hardtanh" or parameters["high"] == 2.0 else np.array([values[0], 1.4e-9])
        assert np.all(found >= low * (1 - 1e-7)) and np.all(found[:1] <= low[:1] * (1 + 1e-6))
    for kind in ("gelu", "elu", "silu", "softplus"):
        parameters = {"elu": {"alpha": 1.0}, "softplus": {"beta": 1.0}}.get(kind, {})
        with pytest.raises(cc.Rejected, match="nothing is known"):
            layer(kind, parameters, 2).wrong(lo, hi, error)
    for wide in (2.0**126, np.inf, np.nan):
        assert layer("relu", {}, 2).wrong(lo, np.array([[wide, 1.0]]), error)[0].tolist()[0] == np.inf
        assert affine.wrong(lo, np.array([[wide, 1.0]]), error)[0, 0] == np.inf
    assert layer("relu", {}, 2).wrong(lo, np.array([[2.0**125, 1.0]]), error)[0, 0] == pytest.approx(e)
    assert cc._moved(np.array([2.0**127, 0.1, np.inf, 1.0])).tolist() == [
        0.0,
        abs(float(np.float32(0.1)) - 0.1),
        0.0,
        0.0,
    ]
    assert cc._finite_or_inf(np.array([np.nan, 1.0])).tolist() == [np.inf, 1.0]


def test_layers_that_are_none_are_rejected() -> None:
    good = {"type": "affine", "W": [["0x1p+0".replace("1p", "1.0p")]], "b": ["0x1.0p+0"]}
    assert cc.Layer(good).n_out == 1
    one = ["0x1.0p+0"]
    for bad in (
        [],
        {},
        {"type": "affine", "W": [one]},
        good | {"n": 1},
        good | {"b": one * 2},
        {"type": "cube", "n": 1},
        {"type": "relu"},
        {"type": "relu", "n": -1},
        {"type": "relu", "n": 1, "alpha": one},
        {"type": "elu", "n": 1},
        {"type": "elu", "n": 2, "alpha": one},
        {"type": "softplus", "n": 1, "beta": ["0x0.0p+0"]},
        {"type": "softplus", "n": 1, "beta": ["-0x1.0p+0"]},
        {"type": "hardtanh", "n": 1, "low": ["0x1.8p+0"], "high": one},
    ):
        with pytest.raises(cc.Rejected):
            cc.Layer(bad)
    flat = cc.Layer({"type": "hardtanh", "n": 1, "low": one, "high": one})
    assert flat.n_in == flat.n_out == 1
    open_ = cc.Layer({"type": "hardtanh", "n": 1, "low": ["-inf"], "high": ["inf"]})
    assert open_.parameters["low"][0] == -np.inf and open_.parameters["high"][0] == np.inf
    with pytest.raises(cc.Rejected):
        cc.Layer({"type": "hardtanh", "n": 1, "low": ["inf"], "high": ["inf"]})


# ----------------------------------------------------------------------------------------------------- smooth functions

SMOOTH: dict[str, tuple[dict[str, Any], Callable[[flint.arb], flint.arb]]] = {
    "elu": ({"alpha": 0.75}, lambda v: v if v > 0 else arb(0.75) * (v.exp() - 1)),
    "softplus": ({"beta": 2.5}, lambda v: (1 + (arb(2.5) * v).exp()).log() / arb(2.5)),
    "gelu": ({}, lambda v: v * (1 + (v / flint.arb(2).sqrt()).erf()) / 2),
    "silu": ({}, lambda v: v / (1 + (-v).exp())),
}


def difference(phi: Callable[[flint.arb], flint.arb], v: float, order: int) -> float:
    """The first or second derivative, by central differences in 300 bits."""
    h, x = flint.arb(2) ** -60, arb(v)
    if order == 1:
        return float((phi(x + h) - phi(x - h)) / (2 * h))
    return float((phi(x + h) - 2 * phi(x) + phi(x - h)) / h**2)


@pytest.mark.parametrize("kind", SMOOTH)
def test_values_and_bends_of_smooth_functions(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """phi to its stated accuracy, phi' and phi'' between their bounds, which are near for narrow ranges."""
    monkeypatch.setattr(flint.ctx, "prec", 300)
    parameters, phi = SMOOTH[kind]
    one = layer(kind, parameters)
    for v in (-9.5, -3.0, -1.25, -0.4, -1e-3, 1e-3, 0.5, 1.0, 1.5, 2.3, 7.0):
        at = np.array([[v]])
        assert abs(arb(one.values(at)[0, 0]) - phi(arb(v))) <= cc.LIBM * float(np.ravel(one.unit)[0]) * (1 + abs(v))
        bend, steep = difference(phi, v, 2), difference(phi, v, 1)
        for half in (0.0, 0.01, 0.3, 2.0):
            lo, hi = at - half, at + half
            least, most = (float(part[0, 0]) for part in one.bends(lo, hi))
            if kind != "elu" or v < 0:
                assert least <= bend <= most
                inner = [difference(phi, w, 2) for w in np.linspace(v - half, v + half, 9) if kind != "elu" or w < 0]
                assert least <= min(inner) + 1e-12 and max(inner) - 1e-12 <= most
            if half <= 0.01:
                assert most - least <= 20 * half + 1e-10
            lower, upper = (float(part[0, 0]) for part in one.slopes(lo, hi))
            assert lower - 1e-15 <= steep <= upper + 1e-15
            assert upper - lower <= (6.0 * half + 1e-12 if kind != "elu" else 1.1)
            slope, shift, error = (float(part[0, 0]) for part in one.line(lo, hi))
            for w in np.linspace(v - half, v + half, 9):
                assert lower - 1e-15 <= difference(phi, w, 1) <= upper + 1e-15
                assert abs(phi(arb(w)) - arb(slope) * arb(w) - arb(shift)) <= arb(error)
            assert half > 0.3 or kind == "elu" or error <= 1.5 * half**2 + 1e-12 * (1 + abs(v))
    limits = {"gelu": (-0.13, 1.13), "silu": (-0.1, 1.1), "softplus": (0.0, 1.0), "elu": (0.0, 1.0)}[kind]
    lower, upper = (float(part[0, 0]) for part in one.slopes(np.array([[-50.0]]), np.array([[60.0]])))
    assert limits[0] - 1e-12 <= lower <= 1e-9 and 1.0 <= upper <= limits[1] + 1e-12


def test_elementary_parts_of_smooth_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flint.ctx, "prec", 200)
    for v in (-800.0, -30.0, -2.5, -1e-9, 0.0, 0.3, 5.0, 700.0):
        x, at = arb(v), np.array([v])
        logistic = 1 / (1 + (-x).exp())
        density = (-x * x / 2).exp() / (2 * flint.arb.pi()).sqrt()
        assert abs(arb(cc._logistic(at)[0]) - logistic) <= 1e-15
        assert abs(arb(cc._bell(at)[0]) - logistic * (1 - logistic)) <= 1e-15
        assert abs(arb(cc._density(at)[0]) - density) <= 1e-15
    assert math.isclose(float(cc._AT_NODES[640]), 0.5) and len(cc._NODES) == 1281


@pytest.mark.parametrize("name", ["exp", "arctan", "sqrt", "div", "div -", "tanh", "sin", "cos", "square"])
def test_functions_of_what_is_known_to_lie_beside_the_centre(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """1 +- 1/2 that lies in a part of it, above or below the centre or on both sides: true of each such point."""
    monkeypatch.setattr(flint.ctx, "prec", 200)
    run, phi, _ = CURVES[name]
    for center in (1.0, -1.0):
        for low, high in ((1.2, 1.5), (0.5, 0.8), (0.9, 1.4), (0.5, 1.0), (1.0, 1.25), (1.45, 1.5), (0.5, 0.55)):
            a, b = (low, high) if center > 0 else (-high, -low)
            found = run(Number(form(center, [0.5], 0.0, a, b), [form(1.0)])).value
            for share in np.linspace(0, 1, 9):
                x = a + share * (b - a)
                e = (x - center) / 0.5
                linear = arb(found.c[0]) + (arb(found.G[0, 0]) * arb(e) if len(found.G) else 0)
                assert abs(phi(arb(center) + arb(0.5) * arb(e)) - linear) <= arb(found.r[0]) + arb(1e-15), (a, b, x)
                lo, hi = found.range()
                assert arb(lo[0]) - arb(1e-15) <= phi(arb(x)) <= arb(hi[0]) + arb(1e-15)


def test_absolute_values_in_fractions() -> None:
    """With Clarke's slopes: on both sides, across and at the kink."""
    for c, g in (
        (2.0, 0.25),
        (-2.0, 0.25),
        (0.0, 0.5),
        (0.25, 0.25),
        (-0.25, 0.25),
        (0.1, 0.75),
        (-0.2, 0.3),
        (0.5, 0.75),
    ):
        found = cc.UNARY["abs"](Number(form(c, [g]), [form(1.0)]))
        C, (G,), r = parts(found.value, 1)
        for share in (-1, -0.5, 0, 0.25, 1):
            v = F(c) + F(share) * F(g)
            assert abs(abs(v) - C - G * F(share)) <= r
        crossing = abs(c) < g
        # twice the distance of the kink from the chord, half of it
        bound = (F(g) ** 2 - F(c) ** 2) / (2 * F(g)) if crossing else Fraction(0)
        assert r <= bound * (1 + F(1e-8)) + F(1e-8) * F(g)
        slopes = [float(end[0]) for end in found.by[0].range()]
        wanted = [-1.0] * (c - g <= 0) + [1.0] * (c + g >= 0)
        assert slopes[0] <= min(wanted) and max(wanted) <= slopes[1]
        assert slopes == pytest.approx([min(wanted), max(wanted)], abs=1e-9)


def test_slopes_of_limits_at_the_kink() -> None:
    """Both, where a range ends at the limit; one beyond it."""
    for lo, hi, wanted in ((0.75, 1.5, (0, 1)), (0.5, 0.75, (0, 1)), (0.7501, 1.5, (1, 1)), (0.5, 0.7499, (0, 0))):
        found = cc._step_at(form(1.0, [0.5], 0.0, lo, hi), 0.75).range()
        assert [float(end[0]) for end in found] == pytest.approx(wanted, abs=1e-10)
        assert found[0][0] <= wanted[0] and wanted[1] <= found[1][0]


def test_large_values_are_rounded_outward(monkeypatch: pytest.MonkeyPatch) -> None:
    """exp from 20 to 60 and of points: the ends of what is known of it."""
    monkeypatch.setattr(flint.ctx, "prec", 200)
    for v in np.random.default_rng(0).uniform(20, 60, 40):
        for half in (0.0, 1.0):
            lo, hi = cc._exp(form(v, [half])).range()
            assert arb(lo[0]) <= (arb(v) - arb(half)).exp() and (arb(v) + arb(half)).exp() <= arb(hi[0])
            assert lo[0] >= np.exp(v - half) * (1 - 1e-9) and hi[0] <= np.exp(v + half) * (1 + 1e-9)


def test_what_has_no_line_lies_between_its_ends() -> None:
    """The middle of two ends, or an end, and as far as the other; the rest as it was."""
    nan, inf = np.nan, np.inf
    lo, hi = np.array([-1.0, 2.0, -inf, -3.0, 0.25]), np.array([3.0, inf, -5.0, inf, 0.5])
    given = Form(np.array([nan, nan, nan, nan, 0.375]), np.ones((2, 5)), np.array([nan, nan, nan, nan, 0.125]), lo, hi)
    found = given.at_large(np.array([True] * 4 + [False]))
    assert found.c[[0, 4]].tolist() == [1.0, 0.375] and found.G.tolist() == [[0, 0, 0, 0, 1]] * 2
    assert 2.0 <= found.r[0] <= 2.0 * (1 + 1e-9) and found.r[1:4].tolist() == [inf] * 3 and found.r[4] == 0.125
    assert np.isfinite(found.c).all() and found.lo is lo and found.hi is hi
    assert given.at_large(np.zeros(5, dtype=bool)) is given
    for a, b in ((0.1, 0.3), (-0.7, 0.1), (1e9, 1e9 + 0.1)):
        one = form(np.nan, [1.0], 0.0, a, b).at_large(np.array([True]))
        assert F(one.c[0]) - F(one.r[0]) <= F(a) and F(b) <= F(one.c[0]) + F(one.r[0]) and not one.G.any()


def test_slopes_that_underflow_leave_a_rest() -> None:
    """1 / x about 1e200: its slope is no number but 0, its change 1e-200."""
    for sign in (1, -1):
        x = form(sign * 1e200, [0.5e200])
        with np.errstate(all="ignore"):
            c, (g,), r = parts(cc._inverse(x), 1)
        for share in (-1, 1):
            assert abs(1 / (F(sign * 1e200) + share * F(0.5e200)) - c - share * g) <= r


def test_what_is_trusted_of_a_library_is_left_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """With 2^-10 in place of 2^-48: of the value at the centre, and of both ends."""
    monkeypatch.setattr(cc, "LIBM", 2.0**-10)
    found = cc._exp(form(5.0))
    assert np.exp(5) * 2.0**-10 <= found.r[0] <= np.exp(5) * 2.0**-10 * (1 + 1e-9) + 1e-9
    lo, hi = (float(np.ravel(end)[0]) for end in (found.lo, found.hi))
    assert lo == pytest.approx(np.exp(5) * (1 - 2.0**-10), rel=1e-9)
    assert hi == pytest.approx(np.exp(5) * (1 + 2.0**-10), rel=1e-9)
    wide = cc._exp(form(5.0, [0.5]))
    slopes = np.exp(4.5), np.exp(5.5)
    exact = (slopes[1] - slopes[0]) / 2 * 0.5 + 2.0**-10 * (np.exp(5) + sum(slopes) * 0.5)
    assert wide.r[0] == pytest.approx(exact, rel=1e-9)
    turned = cc._sin(form(1.0, [0.5]))
    half = 0.125
    most, least = half * min(np.sin(1) + 0.5 + 2.0**-10, 1), half * max(min(np.sin(1) - 0.5 - 2.0**-10, 0), -1)
    assert turned.r[0] == pytest.approx((most - least) / 2 + 2.0**-10 * (1 + 0.5 + half), rel=1e-9)


def test_roundings_of_products_with_points_are_counted() -> None:
    """Eight units of |c d| + |d G|, where no radius covers them."""
    for c, g, d in ((0.3, 7e5, -1.1), (1e-3, -0.7, 0.1), (5.0, 1e-9, 3e4)):
        for found in (form(c, [g]) * form(d), form(d) * form(c, [g])):
            size = abs(F(found.c[0])) + abs(F(g) * F(d))
            low, high = up(8 * U * size)
            assert low * (1 - F(1e-12)) <= F(found.r[0]) <= high * (1 + F(1e-6)) + abs(F(g)) * Fraction(1, 2**890)


def test_values_that_underflow_and_roots_of_part_of_a_range(monkeypatch: pytest.MonkeyPatch) -> None:
    """exp(-800) is above 0; the root of [-1/2, 3/2] is nothing, and what tanh, or a limit, makes of it, neither."""
    monkeypatch.setattr(flint.ctx, "prec", 200)
    lo, hi = cc._exp(form(-800.0)).range()
    assert arb(lo[0]) <= arb(-800).exp() <= arb(hi[0]) and lo[0] >= -(2.0**-800) and hi[0] <= 2.0**-800
    with np.errstate(all="ignore"):
        root = cc._sqrt(form(0.5, [1.0]))
        for found in (root, cc._tanh(root), root.at_least(1.0), cc._sin(root), cc._inverse(form(0.5, [1.0]))):
            assert np.isnan(found.c[0])


def test_a_reciprocal_of_a_range_that_does_not_hold_the_centre() -> None:
    """At least 1/100 of what may be -1 to 1 but is about -1: the line's centre is below 0, the range is above."""
    x = form(-1.0, [0.0], 2.0, -1.0, 1.0).at_least(0.01)
    assert x.c[0] < 0 < x.range()[0][0] <= 0.01
    for sign in (1, -1):
        found = cc._inverse(x if sign > 0 else -x)
        lo, hi = np.sort([sign * float(np.ravel(end)[0]) for end in found.range()])
        assert 0.99 <= lo <= 1.0 and 100.0 <= hi <= 101.0
    x = form(-1.0, [0.0], 2.0, -1.0, 1.0).at_least(-0.01)
    assert x.c[0] < x.range()[0][0] < 0 < x.range()[1][0]
    with np.errstate(all="ignore"):
        assert np.isnan(cc._inverse(x).range()).all()


def test_no_cell_passes_a_pole_between_centre_and_range() -> None:
    """x+ = 3/2 + (x - 3/2) / 16 + max(1 / max(sin x, 1/1000), 64) - 64: from -1 to about 940."""
    code = [["sin", 0], ["at_least", 7, 4], ["div", 2, 8], ["at_least", 9, 5], ["sub", 10, 5]]
    code += [["mul", 0, 3], ["add", 12, 6], ["add", 13, 11], ["add", 14, 1]]
    step = program(2, [1.0, 1 / 16, 0.001, 64.0, 1.5 - 1.5 / 16], code, [15])
    certificate = {
        "network": {"layers": [affine([[0.0]])]},
        "model": {"name": "pole", "dt": (1.0).hex(), "step": step, "observe": program(1, [], [], [0])},
        "equilibrium": {"lower": hexed([1.49]), "upper": hexed([1.51])},
        "core": {"center": hexed([1.5]), "T": hexed([[1.0]]), "radius": (0.5).hex()},
        "ellipsoids": [],
        "grids": [{"low": hexed([-4.75]), "width": hexed([6.5]), "angles": [False]}],
        "records": [[0, 0, 1, 1]],
        "cells": packed([0]),
        "domain": {"grid": 0, "lower": hexed([-4.75]), "upper": hexed([1.75]), "volume": (6.0).hex()},
    }
    certificate |= {"format": "lipctrl-certificate", "version": 1, "theorem": "region_of_attraction"}
    with np.errstate(all="ignore"), pytest.raises(cc.Rejected, match="not covered"):
        cc.derive(certificate)
    inside = {"grids": [{"low": hexed([1.0]), "width": hexed([1.0]), "angles": [False]}]}
    inside["domain"] = {"grid": 0, "lower": hexed([1.0]), "upper": hexed([2.0]), "volume": (0.9).hex()}
    with np.errstate(all="ignore"):
        assert "Every state of this domain converges." in cc.derive(certificate | inside)
