"""Balls of matrices contain every exact result, and products that are exact have no radius."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipctrl.errors import LipctrlError
from lipctrl.intervals.ball import Ball
from lipctrl.intervals.rounding import ETA, U

LAW = settings(max_examples=100, deadline=None, derandomize=True)
SEEDS = st.integers(0, 2**32 - 1)


def exact(matrix: np.ndarray) -> np.ndarray:
    return np.vectorize(Fraction, otypes=[object])(matrix)


def member(ball: Ball, rng: np.random.Generator) -> np.ndarray:
    """A rational matrix at the very edge of the ball."""
    sign = np.where(rng.random(ball.shape) < 0.5, -1, 1)
    return exact(ball.mid) + sign * exact(ball.radius)


def holds(ball: Ball, truth: np.ndarray) -> bool:
    return bool(np.all(abs(truth - exact(ball.mid)) <= exact(ball.radius)))


def random_ball(rng: np.random.Generator, shape: tuple[int, ...], fuzzy: bool) -> Ball:
    mid = np.ldexp(rng.normal(size=shape), rng.integers(-30, 30, shape))
    mid[rng.random(shape) < 0.2] = 0.0
    return Ball(mid, np.abs(rng.normal(size=shape)) * 1e-3 * (rng.random(shape) < 0.7) if fuzzy else None)


@LAW
@given(SEEDS, st.booleans(), st.booleans())
def test_operations_contain_those_of_the_members(seed: int, fuzzy_a: bool, fuzzy_b: bool) -> None:
    rng = np.random.default_rng(seed)
    a, b = random_ball(rng, (3, 4), fuzzy_a), random_ball(rng, (3, 4), fuzzy_b)
    c = random_ball(rng, (4, 2), fuzzy_b)
    x, y, z = member(a, rng), member(b, rng), member(c, rng)
    assert holds(a + b, x + y)
    assert holds(a - b, x - y)
    assert holds(-a, -x)
    assert holds(a * b, x * y)
    assert holds(a * 0.1, x * Fraction(0.1))
    assert holds(a @ c, x @ z)
    assert holds(a.T, x.T)
    assert holds(a[1:, ::2], x[1:, ::2])
    assert holds(Ball.block([[a, b], [b, a]]), np.block([[x, y], [y, x]]))
    assert np.all(abs(x) <= exact(a.upper_abs()))
    assert np.all((exact(a.lower) <= x) & (x <= exact(a.upper)))
    left = random_ball(rng, (3, 3), fuzzy_a).mid
    assert holds(left @ a, exact(left) @ x)
    assert holds(1.0 - a, 1 - x)


@pytest.mark.parametrize("k", [1, 3, 50])
def test_the_bound_of_a_matrix_product_is_the_one_of_the_theorem(k: int) -> None:
    """|fl(AB) - AB| <= gamma_{k+2} |A||B| + (k+2) eta; random products err far less, whatever the constant."""
    rng = np.random.default_rng(k)
    a, b = rng.normal(size=(3, k)), rng.normal(size=(k, 3))
    if k == 1:
        b = np.vstack([b, b])
        a = np.hstack([a, a])
    product = Ball(a) @ Ball(b)
    n = a.shape[1]
    gamma = (n + 2) * Fraction(U) / (1 - (n + 2) * Fraction(U))
    bound = gamma * (abs(exact(a)) @ abs(exact(b))) + (n + 2) * Fraction(ETA)
    assert np.all(exact(product.radius) >= bound)
    assert np.all(exact(product.radius) <= bound * (1 + Fraction(1, 10**9)))


def test_the_radius_of_fuzzy_factors_is_sharp() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(4, 5)), rng.normal(size=(5, 4))
    product = Ball(a, 0.01) @ Ball(b, 0.02)
    best = 0.01 * (np.abs(b) + 0.02).sum(axis=0) + 0.02 * np.abs(a).sum(axis=1)[:, None]
    assert np.all(product.radius >= best * (1 - 1e-15))
    assert np.all(product.radius <= best * (1 + 1e-12))


def test_underflow_of_the_bound_itself_is_covered() -> None:
    a, b = np.full((2, 3), 1e300), np.full((3, 2), 1.1e-310)
    a[0, 0], b[0, 0] = 1.234e300, 1.7e-310
    assert holds(Ball(a) @ Ball(b), exact(a) @ exact(b))
    tiny = np.full((2, 2), 1e-170)
    assert holds(Ball(tiny) @ Ball(tiny), exact(tiny) @ exact(tiny))
    assert holds(Ball(tiny) * tiny, exact(tiny) * exact(tiny))
    fuzzy = Ball(np.full((2, 2), 1e-200), np.full((2, 2), 1e-200))
    corner = exact(fuzzy.mid) + exact(fuzzy.radius)
    assert holds(fuzzy @ fuzzy, corner @ corner)
    assert holds(fuzzy * fuzzy, corner * corner)


def test_exact_products_have_no_radius() -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(size=(6, 5))
    selector = np.eye(6)[[3, 1, 1]]
    slopes = rng.integers(1, 2**28, 6) * 2.0**-20
    single = rng.normal(size=(6, 5)).astype(np.float32).astype(np.float64)  # 24 bits times 29 bits fit 53
    for product in (
        Ball(np.eye(6)) @ a,
        Ball(a) @ np.eye(5),
        Ball(selector) @ a,
        Ball(a) @ np.diag(2.0 ** np.arange(-2, 3)),
        Ball(np.zeros((2, 6))) @ a,
        Ball(a) * 0.5,
        Ball(np.diag(slopes)) @ single,
        Ball(single) * slopes[:, None],
        Ball(a) + 0.0,
        Ball(np.ones((2, 2))) + Ball(np.ones((2, 2))),
    ):
        assert product.is_exact
        assert product.rad is None
    assert np.array_equal((Ball(selector) @ a).mid, a[[3, 1, 1]])
    assert not (Ball(a) * 0.1).is_exact
    assert not (Ball(a) @ a.T).is_exact


def test_a_sum_or_product_knows_its_rounding_error_exactly() -> None:
    total = Ball(np.array([1.0])) + np.array([2.0**-60])
    assert total.mid[0] == 1.0
    assert total.radius[0] == 2.0**-60
    product = Ball(np.array([1.0 + 2.0**-30])) * (1.0 + 2.0**-30)
    assert product.radius[0] == 2.0**-60


def test_symmetric_part_holds_the_symmetric_members() -> None:
    rng = np.random.default_rng(2)
    a = rng.normal(size=(4, 4))
    a = a + a.T
    ball = Ball(a + 1e-9 * rng.normal(size=(4, 4)), 1e-8).symmetric()
    assert np.array_equal(ball.mid, ball.mid.T)
    assert np.array_equal(ball.radius, ball.radius.T)
    assert ball.contains(a)


def test_between_contains_both_ends() -> None:
    ball = Ball.between([0.1, -1.0, 3.0], [0.7, 1e-20, 3.0])
    assert np.all(ball.lower <= [0.1, -1.0, 3.0])
    assert np.all(ball.upper >= [0.7, 1e-20, 3.0])
    assert ball.radius[2] == 0.0
    assert not Ball.between([-np.inf], [np.inf]).finite


def test_overflow_is_seen() -> None:
    assert not (Ball(np.full((2, 2), 1e200)) @ np.full((2, 2), 1e200)).finite
    assert not (Ball(np.array([1e308])) + 1e308).finite
    assert not (Ball(np.array([1e200])) * 1e200).finite
    assert not Ball(np.array([np.nan])).finite
    assert Ball(np.ones((2, 2)), 1.0).finite


@pytest.mark.parametrize("radius", [-1e-300, np.nan])
def test_a_radius_that_is_none_is_refused(radius: float) -> None:
    with pytest.raises(LipctrlError, match="radius"):
        Ball(np.ones(2), [0.0, radius])


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(LipctrlError, match="multiply"):
        Ball(np.ones((2, 3))) @ np.ones((2, 3))
