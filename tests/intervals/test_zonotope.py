"""Zonotopes contain the images of their points, and remember which errors are the same."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipctrl.errors import LipctrlError
from lipctrl.intervals.interval import Interval
from lipctrl.intervals.zonotope import Zonotope

LAW = settings(max_examples=60, deadline=None, derandomize=True)


def exact(array: np.ndarray) -> np.ndarray:
    return np.vectorize(Fraction, otypes=[object])(array)


def rational_point(form: Zonotope, rng: np.random.Generator) -> np.ndarray:
    """An exact member: a rational unit vector (3/5, 4/5, 0, ...), signs for the box, radii at their ends."""
    g, h = form.ball_generators.shape[1], form.box_generators.shape[1]
    ball = np.array([Fraction(0)] * g, dtype=object)
    if g >= 2:
        one, two = rng.choice(g, 2, replace=False)
        ball[one], ball[two] = Fraction(3, 5), Fraction(-4, 5)
    signs = [
        np.array([Fraction(int(s)) for s in rng.choice([-1, 1], size)], dtype=object) for size in (h, len(form.center))
    ]
    x = exact(form.center) + signs[1] * exact(form.radius)
    if g:
        x = x + exact(form.ball_generators) @ ball
    return x + exact(form.box_generators) @ signs[0] if h else x


def random_form(rng: np.random.Generator, n: int) -> Zonotope:
    g, h = int(rng.choice([0, 2, 4])), int(rng.integers(0, 4))
    scale = 10.0 ** rng.integers(-8, 8)
    return Zonotope(
        rng.normal(size=n), scale * rng.normal(size=(n, g)), rng.normal(size=(n, h)), rng.random(n) * rng.integers(0, 2)
    )


def contains(box: Interval, x: np.ndarray) -> bool:
    return bool(np.all((exact(box.lo) <= x) & (x <= exact(box.hi))))


@LAW
@given(st.integers(0, 2**32 - 1))
def test_images_contain_the_images_of_points(seed: int) -> None:
    rng = np.random.default_rng(seed)
    form = random_form(rng, 3)
    x = rational_point(form, rng)
    assert contains(form.range(), x)
    W, b = rng.normal(size=(4, 3)), rng.normal(size=4)
    y = exact(W) @ x + exact(b)
    image = form.affine(W, b)
    assert contains(image.range(), y)
    lam, mu, delta = rng.normal(size=4), rng.normal(size=4), rng.random(4)
    z = exact(lam) * y + exact(mu) + exact(delta)
    assert contains(image.elementwise(lam, mu, delta).range(), z)


def test_ranges_are_norms_of_rows() -> None:
    """Rows (3, 4) of the ball give 5, rows (1, -2) of the box give 3."""
    form = Zonotope(np.array([1.0]), np.array([[3.0, 4.0]]), np.array([[1.0, -2.0]]), np.array([0.5]))
    box = form.range()
    assert box.lo[0] == pytest.approx(-7.5, rel=1e-8)
    assert box.hi[0] == pytest.approx(9.5, rel=1e-8)
    assert box.lo[0] <= -7.5
    assert box.hi[0] >= 9.5


def test_common_errors_cancel() -> None:
    """x - x = 0, which intervals cannot see."""
    form = Zonotope(np.array([2.0, 1.0]), np.zeros((2, 0)), np.eye(2), np.zeros(2))
    twice = form.affine(np.array([[1.0, 1.0], [1.0, 1.0]]), np.zeros(2))
    difference = twice.affine(np.array([[1.0, -1.0]]), np.zeros(1)).range()
    assert abs(difference.lo[0]) < 1e-12
    assert abs(difference.hi[0]) < 1e-12


def test_a_point_stays_a_point_through_exact_maps() -> None:
    none = np.zeros((2, 0))
    form = Zonotope(np.array([1.0, 2.0]), none, none, np.zeros(2))
    box = form.affine(np.array([[1.0, 0.0], [0.0, 2.0]]), np.zeros(2)).range()
    assert np.array_equal(box.lo, [1.0, 4.0])
    assert np.array_equal(box.hi, [1.0, 4.0])


def test_neither_underflow_nor_nan_shrinks_a_radius() -> None:
    none = np.zeros((1, 0))
    tiny = Zonotope(np.zeros(1), none, none, np.array([1e-200]))
    assert tiny.elementwise(np.array([1e-200]), np.zeros(1), np.zeros(1)).radius[0] > 0.0
    endless = Zonotope(np.zeros(2), np.zeros((2, 0)), np.zeros((2, 0)), np.array([np.inf, 1.0]))
    image = endless.affine(np.array([[0.0, 1.0], [1.0, 1.0]]), np.zeros(2))
    assert np.all(image.radius >= 1.0)
    assert image.range().hi[1] == np.inf
    small = Zonotope(np.zeros(1), np.array([[1e-200, 1e-200]]), none, np.zeros(1))
    assert small.range().hi[0] >= 1.41e-200


def test_forms_that_do_not_fit_are_refused() -> None:
    none = np.zeros((2, 0))
    for radius in (np.array([-1.0, 0.0]), np.array([np.nan, 0.0]), np.zeros(3)):
        with pytest.raises(LipctrlError):
            Zonotope(np.zeros(2), none, none, radius)
