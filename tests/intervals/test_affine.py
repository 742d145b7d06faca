"""Affine forms enclose: random points of random cells, exact rationals where rounding is the point."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from lipctrl.errors import LipctrlError
from lipctrl.intervals import functions, relaxations
from lipctrl.intervals.affine import AffineForm, stack
from lipctrl.intervals.interval import Interval

CELLS = 2000


def _cells(seed: int, low: float = -3.0, high: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    centers = rng.uniform(low, high, (CELLS, 2))
    return centers, np.exp(rng.uniform(np.log(1e-7), np.log(0.5), (CELLS, 2)))


def _points(centers: np.ndarray, half_widths: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Points of the cells, many on edges and corners; shape (2, count, CELLS)."""
    e = np.clip(np.random.default_rng(seed).uniform(-1.3, 1.3, (count, *centers.shape)), -1.0, 1.0)
    return np.moveaxis(centers + half_widths * e, -1, 0)


def _excess(form: AffineForm, values: np.ndarray) -> float:
    """How far values lie outside, relative to their size; a few ulps are the fault of the values."""
    reach = form.range()
    outside = np.maximum(reach.lo - values, values - reach.hi)
    return float(np.max(outside / (1.0 + np.abs(values))))


EXPRESSIONS = {
    "sum": lambda x, y: 0.3 * x - y + 2.0 - (x - 1.5),
    "product": lambda x, y: x * y * 0.7 - x * x,
    "power": lambda x, y: x**3 - 2.0 * y**2 + x**0,
    "quotient": lambda x, y: x / (y + 4.0) + 1.0 / (x * x + 1.0) - y / 3.0,
    "sin": lambda x, y: functions.sin(x) * functions.cos(y) + functions.cos(3.0 * x),
    "tanh": lambda x, y: functions.tanh(2.0 * x - y) + functions.arctan(y),
    "exp": lambda x, y: functions.exp(0.5 * x) - functions.sqrt(y + 4.0),
    "clip": lambda x, y: functions.clip(x + y, -1.0, 0.5) * functions.absolute(x),
    "square": lambda x, y: functions.square(x - y),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_no_point_outside(name: str) -> None:
    centers, half_widths = _cells(1)
    x, y = AffineForm.cells(centers, half_widths)
    form = EXPRESSIONS[name](x, y)
    assert _excess(form, EXPRESSIONS[name](*_points(centers, half_widths, 60, 2))) <= 4e-15


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_error_is_of_second_order(name: str) -> None:
    """Halving the cells quarters what the enclosure adds to the linear part (away from kinks: in the median)."""
    centers, _ = _cells(3)
    excess = []
    for width in (2e-3, 1e-3):
        form = EXPRESSIONS[name](*AffineForm.cells(centers, np.full_like(centers, width)))
        excess.append(float(np.quantile(form.radius, 0.4)))
    assert excess[1] <= 0.3 * excess[0] + 1e-14


def test_what_is_common_cancels() -> None:
    centers, half_widths = _cells(4)
    x, y = AffineForm.cells(centers, half_widths)
    assert np.all((x + y - x - y).range().mag <= 1e-14)
    promoted = AffineForm(x.center, x.generators, np.full(CELLS, 0.5)).with_own_symbol()
    assert np.all((promoted - promoted).range().mag <= 1e-14)
    assert np.all((promoted - x).range().mag >= 0.5)


def test_rounding_is_enclosed_exactly() -> None:
    """(0.1 + 1e17) - 1e17 + 0.1 * 0.1, in rationals."""
    form = ((AffineForm(np.array([0.1])) + 1e17) - 1e17) + AffineForm(np.array([0.1])) * 0.1
    exact = Fraction(0.1) + Fraction(0.1) ** 2
    reach = form.range()
    assert Fraction(float(reach.lo[0])) <= exact <= Fraction(float(reach.hi[0]))
    assert float(form.center[0]) != exact


def test_products_underflow_soundly() -> None:
    form = AffineForm(np.array([1e-200])) * AffineForm(np.array([1e-200]))
    assert form.range().hi[0] > 0.0


def test_nothing_known_is_the_whole_line() -> None:
    with np.errstate(all="ignore"):
        reach = (AffineForm(np.array([1e300, 1.0])) * 1e300).range()
    assert reach.lo[0] == -np.inf and reach.hi[0] == np.inf and reach.contains([0.0, 1e300])[1]
    clipped = (AffineForm(np.array([0.0]), None, np.array([np.inf]))).clip(-2.0, 2.0)
    assert clipped.range().lo[0] == -2.0 and clipped.range().hi[0] == 2.0


def test_known_ranges_are_kept() -> None:
    x = AffineForm(np.array([7.9]), np.array([[0.5]]))
    assert x.clip(-8.0, 8.0).range().hi[0] == 8.0
    assert functions.sin(AffineForm(np.array([1.5]), np.array([[0.5]]))).range().hi[0] <= 1.0


def test_intervals_are_forms_with_a_radius() -> None:
    reach = (AffineForm(np.array([2.0]), np.array([[1.0]])) * Interval(2.0, 3.0)).range()
    assert reach.lo[0] <= 2.0 and reach.hi[0] >= 9.0 and reach.hi[0] < 10.1


def test_stacking_pads_symbols() -> None:
    x, y = AffineForm.cells(np.zeros((3, 2)), np.ones((3, 2)))
    joined = stack([x, 1.0, x + y], (3,))
    assert joined.shape == (3, 3) and len(joined.generators) == 2
    assert np.array_equal(joined.generators[:, 0], [[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    with pytest.raises(LipctrlError, match="affine form"):
        AffineForm(np.zeros(3), np.zeros((2, 4)))


LINES = {
    "tanh": (relaxations.tanh_line, lambda v: np.tanh(v)),
    "relu": (relaxations.relu_line, lambda v: np.maximum(v, 0)),
    "clip": (lambda l, u: relaxations.clip_line(l, u, -1.0, 0.5), lambda v: np.clip(v, -1.0, 0.5)),  # noqa: E741
}


def _intervals(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    middle = rng.choice([0.0, 0.5, -1.0], count) + rng.standard_normal(count) * np.exp(rng.uniform(-12, 3, count))
    width = np.exp(rng.uniform(-30, 4, count)) * (rng.random(count) < 0.95)
    return middle - width, middle + width


@pytest.mark.parametrize("name", LINES)
def test_lines_hold_in_extended_precision(name: str) -> None:
    line, phi = LINES[name]
    lower, upper = _intervals(20_000)
    lam, mu, delta = (part.astype(np.longdouble) for part in line(lower, upper))
    for share in (0.0, 1.0, 0.5, *np.random.default_rng(6).random(60)):
        v = np.clip(lower + (upper - lower) * share, lower, upper).astype(np.longdouble)
        assert np.all(np.abs(phi(v) - lam * v - mu) <= delta)
    # the steepest remainder of tanh is where its slope is lam
    if name == "tanh":
        w = np.arctanh(np.sqrt(1 - lam))
        for v in (w, -w):
            inside = (v >= lower) & (v <= upper)
            assert np.all(np.abs(phi(v) - lam * v - mu)[inside] <= delta[inside])


@pytest.mark.parametrize("name", LINES)
def test_lines_are_close_to_the_best(name: str) -> None:
    """Against the chord's remainder on a fine grid, which no line with that slope beats."""
    line, phi = LINES[name]
    lower, upper = _intervals(2000)
    wide = (upper - lower > 1e-3) & (upper - lower < 5.0) & (np.abs(upper) < 8.0) & (np.abs(lower) < 8.0)
    lower, upper = lower[wide], upper[wide]
    lam, _, delta = line(lower, upper)
    grid = lower + (upper - lower) * np.linspace(0, 1, 401)[:, None]
    chord = (phi(upper) - phi(lower)) / (upper - lower)
    rest = phi(grid) - chord * grid
    best = 0.5 * (rest.max(axis=0) - rest.min(axis=0))
    assert np.all(delta <= 1.05 * best + 1e-12 * (1.0 + np.abs(lower) + np.abs(upper)))
    assert np.all((lam >= 0.0) & (lam <= 1.0))


def test_a_clip_to_limits_in_the_wrong_order_gives_the_upper_one() -> None:
    """min(max(x, 2), 1) = 1 for every x, as numpy has it."""
    for center in (-3.0, 1.5, 4.0):
        form = AffineForm(np.array([center]), np.full((1, 1), 0.25)).clip(2.0, 1.0)
        assert np.clip(center, 2.0, 1.0) == 1.0
        assert abs(form.center[0] - 1.0) + form.deviation[0] <= 1e-12
