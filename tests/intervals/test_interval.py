"""Intervals contain every exact result, and stay exact where they can."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from flint import arb, ctx
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lipctrl.errors import LipctrlError
from lipctrl.intervals.interval import PI_LOWER, PI_UPPER, Interval

MODERATE = st.floats(-1e6, 1e6, allow_nan=False)
WILD = st.floats(allow_nan=False, allow_infinity=False)
LAW = settings(max_examples=120, deadline=None, derandomize=True)


@st.composite
def interval_and_point(draw: st.DrawFn, numbers: st.SearchStrategy[float] = WILD) -> tuple[Interval, float]:
    low, point, high = sorted(draw(st.lists(numbers, min_size=3, max_size=3)))
    return Interval(low, high), point


def holds(x: Interval, truth: Fraction) -> bool:
    low = x.lo == -np.inf or Fraction(float(x.lo)) <= truth
    high = x.hi == np.inf or truth <= Fraction(float(x.hi))
    return bool(low and high)


@LAW
@given(interval_and_point(), interval_and_point())
def test_arithmetic_contains_the_exact_result(one: tuple[Interval, float], two: tuple[Interval, float]) -> None:
    (x, p), (y, q) = one, two
    a, b = Fraction(p), Fraction(q)
    assert holds(x + y, a + b)
    assert holds(x - y, a - b)
    assert holds(x * y, a * b)
    assert holds(-x, -a)
    assert holds(abs(x), abs(a))
    assert holds(x.square(), a * a)
    assert holds(x**3, a**3)
    assert holds(x**4, a**4)
    assert holds(x.maximum(y), max(a, b))
    assert holds(x.minimum(y), min(a, b))
    assert holds(x.hull(y), a)
    assert holds(2.5 - x, Fraction(5, 2) - a)
    if b != 0:
        assert holds(x / y, a / b)
    if p != 0:
        assert holds(1.0 / x, 1 / a)


@LAW
@given(interval_and_point())
def test_mid_rad_width_mag(one: tuple[Interval, float]) -> None:
    x, p = one
    assert x.contains(x.mid)
    assert abs(Fraction(p) - Fraction(float(x.mid))) <= (Fraction(float(x.rad)) if np.isfinite(x.rad) else 10**400)
    assert x.mig <= abs(p) <= x.mag
    assert x.width == np.inf or Fraction(float(x.width)) >= Fraction(float(x.hi)) - Fraction(float(x.lo))


@pytest.mark.parametrize("name", ["sin", "cos", "exp", "tanh", "arctan", "sqrt"])
@LAW
@given(data=st.data())
def test_functions_contain_the_truth(name: str, data: st.DataObject) -> None:
    bound = 50.0 if name in ("sin", "cos", "exp") else 1e6
    low = 0.0 if name == "sqrt" else -bound
    x, p = data.draw(interval_and_point(st.floats(low, bound, allow_subnormal=True)))
    result = getattr(x, name)()
    ctx.prec = 150
    try:
        truth = getattr(arb, "atan" if name == "arctan" else name)(arb(p))
        assert not (truth < arb(float(result.lo)))
        assert not (truth > arb(float(result.hi)))
    finally:
        ctx.prec = 53


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_ranges_of_sine_and_cosine_are_attained(name: str) -> None:
    rng = np.random.default_rng(3)
    lo = rng.uniform(-30, 30, 400)
    hi = lo + rng.uniform(0, 8, 400) * rng.random(400) ** 3
    result = getattr(Interval(lo, hi), name)()
    values = getattr(np, name)(np.linspace(lo, hi, 4001))
    assert np.all(result.lo <= values.min(axis=0))
    assert np.all(values.max(axis=0) <= result.hi)
    assert np.all(values.min(axis=0) - result.lo < 3e-6)  # the grid misses an extremum by (h/2)^2 / 2
    assert np.all(result.hi - values.max(axis=0) < 3e-6)


def test_sine_of_what_is_not_known_is_everything() -> None:
    for x in (Interval(-np.inf, np.inf), Interval(1e300), Interval(0.0, 7.0), Interval(3.0, np.inf)):
        assert (x.sin().lo, x.sin().hi) == (-1.0, 1.0)
        assert (x.cos().lo, x.cos().hi) == (-1.0, 1.0)


def test_pi_lies_between_its_neighbours() -> None:
    ctx.prec = 150
    try:
        assert arb(PI_LOWER) < arb.pi()
        assert arb.pi() < arb(PI_UPPER)
    finally:
        ctx.prec = 53
    assert np.nextafter(PI_LOWER, np.inf) == PI_UPPER


def test_exact_results_stay_exact() -> None:
    x = Interval([-0.1, 0.3], [0.2, 0.7])
    for same in (x + 0.0, 1.0 * x, x - Interval(0.0), x / 1.0, x.clip(-1.0, 1.0)):
        assert np.array_equal(same.lo, x.lo)
        assert np.array_equal(same.hi, x.hi)
    nothing = 0.0 * Interval(-np.inf, np.inf)
    assert (nothing.lo, nothing.hi) == (0.0, 0.0)
    point = np.eye(2)[::-1] @ Interval(x.lo)
    assert np.array_equal(point.lo, x.lo[::-1])
    assert np.array_equal(point.hi, x.lo[::-1])
    halves = x * 0.25
    assert np.array_equal(halves.lo, x.lo * 0.25)
    square = Interval(-2.0, 1.0).square()
    assert (square.lo, square.hi) == (0.0, 4.0)


def test_division_by_zero_is_the_whole_line() -> None:
    for divisor in (Interval(0.0, 1.0), Interval(-1.0, 0.0), Interval(-1.0, 1.0), Interval(0.0)):
        quotient = Interval(1.0, 2.0) / divisor
        assert (quotient.lo, quotient.hi) == (-np.inf, np.inf)


def test_overflow_is_unbounded_not_nan() -> None:
    big = Interval(1e308)
    assert (big * 10.0).hi == np.inf
    assert np.isfinite((big * 10.0).lo)
    whole = big * 10.0 - big * 10.0
    assert (whole.lo, whole.hi) == (-np.inf, np.inf)
    ratio = Interval(1.0, np.inf) / Interval(1.0, np.inf)
    assert ratio.lo <= 0.0
    assert ratio.hi == np.inf
    product = Interval([1.0, -np.inf], [2.0, np.inf]) @ np.array([1.0, 1.0])
    assert (product.lo, product.hi) == (-np.inf, np.inf)


@pytest.mark.parametrize(("lo", "hi"), [(np.nan, 1.0), (0.0, np.nan), (1.0, 0.0), (np.inf, np.inf), (-np.inf, -np.inf)])
def test_what_is_no_interval_is_refused(lo: float, hi: float) -> None:
    with pytest.raises(LipctrlError):
        Interval([0.0, lo], [1.0, hi])


def test_refusals() -> None:
    with pytest.raises(LipctrlError, match="in common"):
        Interval(0.0, 1.0).intersect(Interval(2.0, 3.0))
    with pytest.raises(LipctrlError, match="exponent"):
        Interval(1.0) ** -1


def test_nan_is_contained_nowhere() -> None:
    assert not Interval(-np.inf, np.inf).contains(np.nan)
    assert not Interval(0.0, 1.0).contains_in_interior(1.0)
    assert Interval(0.0, 1.0).contains(1.0)


@LAW
@given(st.integers(0, 2**32 - 1), st.booleans(), st.booleans())
def test_matrix_products_contain_products_of_members(seed: int, left: bool, right: bool) -> None:
    rng = np.random.default_rng(seed)
    a, b = (np.ldexp(rng.normal(size=shape), rng.integers(-60, 60)) for shape in ((3, 4), (4, 2)))
    radius_a, radius_b = rng.random(a.shape) * np.abs(a) * left, rng.random(b.shape) * np.abs(b) * right
    x, y = Interval(a - radius_a, a + radius_a), Interval(b - radius_b, b + radius_b)
    member_a = np.where(rng.random(a.shape) < 0.5, x.lo, x.hi)
    member_b = np.where(rng.random(b.shape) < 0.5, y.lo, y.hi)
    result = (x if left else a) @ (y if right else b)
    if not left and not right:
        assume(False)
    for i in range(3):
        for j in range(2):
            truth = sum(Fraction(member_a[i, k]) * Fraction(member_b[k, j]) for k in range(4))
            assert Fraction(result.lo[i, j]) <= truth <= Fraction(result.hi[i, j])


def test_shapes() -> None:
    x = Interval(np.zeros((2, 3)), np.ones((2, 3)))
    assert x[0].shape == (3,)
    assert x.T.shape == (3, 2)
    assert x.reshape(6).shape == (6,)
    assert len(x) == 2
    assert x.ndim == 2
    total = x.sum(axis=1)
    assert np.array_equal(total.hi, [3.0, 3.0])
    assert np.array_equal(total.lo, [0.0, 0.0])
    assert Interval.stack([x[0], 5.0 * np.ones(3)]).hi[1, 2] == 5.0
