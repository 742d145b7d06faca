"""Directed rounding against rational and arbitrary-precision truth."""

from __future__ import annotations

import ctypes
import platform
from fractions import Fraction

import numpy as np
import pytest
from flint import arb, ctx
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lipctrl.errors import LipctrlError
from lipctrl.intervals import rounding

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
OPERATIONS = {
    "add": (rounding.add, lambda a, b: a + b),
    "multiply": (rounding.multiply, lambda a, b: a * b),
    "divide": (rounding.divide, lambda a, b: a / b),
}


def at_most(lower: float, truth: Fraction) -> bool:
    return lower == -np.inf or Fraction(float(lower)) <= truth


def at_least(upper: float, truth: Fraction) -> bool:
    return upper == np.inf or truth <= Fraction(float(upper))


@pytest.mark.parametrize("name", OPERATIONS)
@settings(max_examples=150, deadline=None, derandomize=True)
@given(a=FLOATS, b=FLOATS)
@example(a=1.0, b=2.0**-53)
@example(a=0.1, b=-3.0)
@example(a=5e-324, b=0.5)
@example(a=1e308, b=1e308)
@example(a=-1e-200, b=1e-200)
def test_directed_operations_bracket_the_exact_result(name: str, a: float, b: float) -> None:
    operation, exact = OPERATIONS[name]
    if name == "divide" and b == 0.0:
        assert np.all(np.isnan(rounding.divide(a, b)[0]))
        return
    lower, upper = operation(a, b)
    truth = exact(Fraction(a), Fraction(b))
    assert at_most(lower, truth)
    assert at_least(upper, truth)
    assert upper <= rounding.up(rounding.up(lower))  # at most two neighbours apart
    if name == "add":
        assert (rounding.add_down(a, b), rounding.add_up(a, b)) == (lower, upper)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(a=FLOATS, k=st.integers(-1074, 1023), sign=st.sampled_from([-1.0, 1.0]))
@example(a=3 * 5e-324, k=-1, sign=1.0)
@example(a=5e-324, k=-1, sign=-1.0)
@example(a=1e308, k=10, sign=1.0)
def test_powers_of_two_round_only_out_of_range(a: float, k: int, sign: float) -> None:
    b = sign * 2.0**k
    p, e = rounding.two_product(a, b)
    truth = Fraction(a) * Fraction(b)
    assert e == 0.0 if np.isfinite(p) and Fraction(float(p)) == truth else np.isnan(e)
    many, errors = rounding.two_product([a, a], [b, b])
    assert np.all(many == p) and np.all(np.isnan(errors) | (errors == e))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(a=st.integers(-(2**26), 2**26), b=st.integers(-(2**26), 2**26), k=st.integers(-400, 400))
def test_what_fits_a_double_stays_exact(a: int, b: int, k: int) -> None:
    x = np.ldexp(float(a), k)
    for lower, upper in (rounding.add(x, np.ldexp(float(b), k)), rounding.multiply(x, float(b))):
        assert lower == upper
    if b != 0:
        lower, upper = rounding.divide(x * b, float(b))
        assert lower == upper == x
    assert rounding.sqrt(float(a) * a) == (abs(a), abs(a))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(a=st.floats(min_value=0.0, allow_infinity=False))
@example(a=5e-324)
@example(a=2.0)
def test_square_root(a: float) -> None:
    lower, upper = rounding.sqrt(a)
    assert lower >= 0.0
    assert Fraction(float(lower)) ** 2 <= Fraction(a) <= Fraction(float(upper)) ** 2
    assert upper <= rounding.up(rounding.up(lower))


def test_zero_absorbs_infinity_but_not_nan() -> None:
    assert rounding.multiply(0.0, np.inf) == (0.0, 0.0)
    assert np.isnan(rounding.multiply(0.0, np.nan)[0])
    assert np.isnan(rounding.add(np.nan, 1.0)[1])


@pytest.mark.parametrize("k", [0, 1, 2, 7, 100, 1000, 10**6, 2**39])
def test_gamma_is_above_its_formula_and_close(k: int) -> None:
    u = Fraction(1, 2**53)
    exact = k * u / (1 - k * u)
    assert exact <= Fraction(rounding.gamma(k)) <= exact * (1 + 4 * u)


@pytest.mark.parametrize("mode", [0x400, 0x800, 0xC00], ids=["down", "up", "zero"])
@pytest.mark.skipif(platform.machine() != "x86_64" or platform.system() != "Linux", reason="codes of x86 glibc")
def test_other_rounding_modes_are_refused(mode: int) -> None:
    libm = ctypes.CDLL("libm.so.6")
    rounding.check_rounding_mode()
    libm.fesetround(mode)
    try:
        with pytest.raises(LipctrlError, match="round to nearest"):
            rounding.check_rounding_mode()
    finally:
        libm.fesetround(0)
    rounding.check_rounding_mode()


FUNCTIONS = {
    "exp": arb.exp,
    "expm1": arb.expm1,
    "log1p": arb.log1p,
    "tanh": arb.tanh,
    "arctan": arb.atan,
    "sin": arb.sin,
    "cos": arb.cos,
    "ndtr": lambda x: (-(x / arb(2).sqrt())).erfc() / 2,
}


def difficult_points(name: str) -> np.ndarray:
    rng = np.random.default_rng(8)
    points = np.concatenate(
        [
            rng.normal(size=600) * 10.0 ** rng.integers(-5, 4, 600),
            rng.normal(size=100) * 10.0 ** rng.uniform(-310, 300, 100),
            np.arange(-40, 41) * (np.pi / 2),  # next to the zeros of sin and cos
            np.arange(1, 30) * 1e5 * np.pi,
            [0.0, -0.0, 5e-324, -5e-324, 1e-308, 709.78, 709.79, -745.13, -745.14, -37.0, -37.1, -38.5, -39.0, 1e22],
            [6381956970095103 * 2.0**797],  # the double closest to a multiple of pi / 2 (Muller)
        ]
    )
    if name == "log1p":
        points = np.abs(points)
    return points[np.abs(points) < 1e4] if name in ("exp", "expm1", "ndtr") else points


@pytest.mark.parametrize("name", FUNCTIONS)
def test_elementary_functions_contain_the_truth(name: str) -> None:
    points = difficult_points(name)
    lower, upper = getattr(rounding, name)(points)
    for x, low, high in zip(points, lower, upper, strict=True):
        ctx.prec = 200 if abs(x) < 1e15 else 1400
        try:
            truth = FUNCTIONS[name](arb(float(x)))
            assert low <= high
            assert not truth < arb(float(low)), x
            assert not truth > arb(float(high)), x
        finally:
            ctx.prec = 53


@pytest.mark.parametrize("name", ["exp", "expm1", "log1p", "tanh", "arctan", "sin", "cos"])
def test_the_library_errs_by_less_than_half_of_what_is_assumed(name: str) -> None:
    points = difficult_points(name)
    points = points[(np.abs(points) > 1e-290) & (np.abs(points) < 700)]
    computed = getattr(np, name)(points)
    ctx.prec = 200
    try:
        for x, y in zip(points, computed, strict=True):
            unit = 1.0 if name in ("sin", "cos") and abs(x) > 1 else abs(y)
            error = abs(FUNCTIONS[name](arb(float(x))) - arb(float(y)))
            assert error < arb(float(unit)) * 2.0**-52 * (rounding.LIBM_ULPS / 2) + arb(2.0**-1070), x
    finally:
        ctx.prec = 53


def test_limits_and_fixed_points_of_elementary_functions() -> None:
    assert rounding.exp(0.0) == (1.0, 1.0)
    assert rounding.tanh(0.0) == (0.0, 0.0)
    assert rounding.sin(0.0) == (0.0, 0.0)
    assert rounding.cos(0.0) == (1.0, 1.0)
    assert rounding.sin(np.inf) == (-1.0, 1.0)
    assert rounding.exp(-np.inf)[0] == 0.0
    assert rounding.exp(800.0)[0] == rounding.HUGE
    assert rounding.exp(800.0)[1] == np.inf
    assert rounding.tanh(1e9)[1] == 1.0
    for function in (rounding.exp, rounding.tanh, rounding.sin, rounding.ndtr):
        assert np.all(np.isnan(function(np.nan)))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.floats(-1e150, 1e150), min_size=1, max_size=12), st.integers(-1074, 0))
def test_norms_are_bounded_from_above_and_closely(values: list[float], exponent: int) -> None:
    """Also where the squares underflow; zero only of zero."""
    x = np.ldexp(np.array(values) / max(map(abs, values), default=1.0) if any(values) else np.array(values), exponent)
    square = sum((Fraction(float(v)) ** 2 for v in x), Fraction(0))
    bound = Fraction(float(rounding.norm_up(x, axis=0)))
    assert square <= bound**2 and (bound == 0) == (not np.any(x))
    assert max(bound - Fraction(1, 2**499), Fraction(0)) ** 2 <= square * (1 + Fraction(len(x) + 10, 2**52))


def test_norms_along_axes() -> None:
    x = np.array([[[3.0, 4.0], [0.0, 0.0]], [[5.0, 12.0], [-8.0, 6.0]]])
    assert rounding.norm_up(x, axis=2) == pytest.approx(np.array([[5.0, 0.0], [13.0, 10.0]]), rel=1e-14)
    assert rounding.norm_up(x, axis=(1, 2)) == pytest.approx(np.sqrt([25.0, 269.0]), rel=1e-14)
    assert np.isnan(rounding.norm_up([1.0, np.nan], axis=0)) and rounding.norm_up([1.0, -np.inf], axis=0) == np.inf
    assert rounding.norm_up(np.zeros((0, 2)), axis=0).tolist() == [0.0, 0.0]
