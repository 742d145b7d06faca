"""Derivative numbers against complex steps, differences and the mean value theorem."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipctrl.errors import LipctrlError
from lipctrl.intervals import functions
from lipctrl.intervals.dual import Dual, jacobian
from lipctrl.intervals.functions import absolute, arctan, clip, cos, exp, sin, sqrt, square, tanh
from lipctrl.intervals.interval import Interval

LAW = settings(max_examples=60, deadline=None, derandomize=True)


def smooth(x: Any, y: Any) -> tuple[Any, ...]:
    """Every operation once, on an open set where all are smooth."""
    return (
        sin(x) * cos(y) - tanh(x * y) / 2.0 + 3.0,
        exp(-x) / (2.0 + square(y)) - x**3,
        1.0 / (3.0 + y) + 0.1 * x - (1.0 - y) ** 2,
        sqrt(2.0 + x) * arctan(y) + x,
    )


def kinked(x: Any, y: Any) -> tuple[Any, ...]:
    return clip(x + y, -0.5, 0.7) * y, absolute(x) + clip(y, -np.inf, 0.1)


@LAW
@given(st.floats(-1, 1), st.floats(-1, 1))
def test_derivatives_equal_complex_steps(x: float, y: float) -> None:
    ours = jacobian(smooth(*Dual.variables([x, y])))
    h = 1e-40
    np_functions = {name: getattr(np, name) for name in ("sin", "cos", "tanh", "exp", "sqrt", "square", "arctan")}
    by_x = [np.imag(v) / h for v in _with_numpy(smooth, np_functions)(complex(x, h), complex(y))]
    by_y = [np.imag(v) / h for v in _with_numpy(smooth, np_functions)(complex(x), complex(y, h))]
    np.testing.assert_allclose(ours, np.stack([by_x, by_y], axis=1), rtol=1e-13, atol=1e-14)


def _with_numpy(function: Callable[..., Any], names: dict[str, Any]) -> Callable[..., Any]:
    return type(function)(function.__code__, {**function.__globals__, **names})


@pytest.mark.parametrize("function", [smooth, kinked])
@LAW
@given(data=st.data())
def test_the_mean_value_theorem_holds_on_boxes(function: Callable[..., Any], data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    lo = rng.uniform(-1, 1, 2)
    hi = np.minimum(lo + rng.random(2) * rng.choice([1e-6, 0.1, 1.0]), 1.0)
    box = [Interval(lo[i], hi[i]) for i in range(2)]
    outputs = function(*Dual.variables(box))
    slopes = jacobian(outputs)
    one, two = lo + (hi - lo) * rng.random(2), lo + (hi - lo) * rng.random(2)
    for index, (f, g) in enumerate(zip(function(*one), function(*two), strict=True)):
        assert outputs[index].value.contains(f)
        bound = slopes[index] @ Interval(two - one)
        assert bound.lo - 1e-15 <= g - f <= bound.hi + 1e-15


def test_batches_of_components() -> None:
    x = np.linspace(-1, 1, 7)
    batch = jacobian(smooth(*Dual.variables([x, x])))
    assert batch.shape == (4, 2, 7)
    np.testing.assert_allclose(batch[:, :, 2], jacobian(smooth(*Dual.variables([x[2], x[2]]))), rtol=1e-14)


def test_slopes_at_a_kink() -> None:
    """From the right for floats; both for an interval that touches the kink, even at its end."""
    (x,) = Dual.variables([0.5])
    assert clip(x, -0.5, 0.5).grad[0] == 0.0
    assert clip(x, 0.5, 1.0).grad[0] == 1.0
    for low, high, slope in [
        (0.0, 0.5, (0, 1)),
        (0.0, 0.4, (1, 1)),
        (0.5, 0.6, (0, 1)),
        (0.6, 0.7, (0, 0)),
        (-2, 2, (0, 1)),
    ]:
        (x,) = Dual.variables([Interval(low, high)])
        grad = clip(x, -0.5, 0.5).grad
        assert (grad.lo[0], grad.hi[0]) == slope
    (x,) = Dual.variables([Interval(0.0, 1.0)])
    assert (absolute(x).grad.lo[0], absolute(x).grad.hi[0]) == (-1.0, 1.0)


def test_functions_run_on_every_kind_of_number() -> None:
    for name in ("sin", "cos", "exp", "tanh", "arctan", "sqrt", "square", "absolute"):
        function = getattr(functions, name)
        value = function(0.3)
        assert value == pytest.approx(getattr(np, name)(0.3), rel=1e-15)
        assert function(Interval(0.3)).contains(value)
        assert function(Dual.variables([0.3])[0]).value == value
        np.testing.assert_array_equal(function(np.array([0.3, 0.3])), [value, value])


def test_powers() -> None:
    (x,) = Dual.variables([2.0])
    assert (x**3).grad[0] == 12.0
    assert (x**0).grad[0] == 0.0
    with pytest.raises(LipctrlError, match="exponent"):
        x**-1


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y: 0.0 * sqrt(x) + y,
        lambda x, y: sqrt(x) * 0.0 + y,
        lambda x, y: sqrt(x) * (y - y) + x,
        lambda x, y: clip(clip(1.0 / x, -1.0, 1.0), 2.0, 3.0) + y,
        lambda x, y: clip(sin(sqrt(x)), 2.0, 3.0) + y,
        lambda x, y: (0.0 * sqrt(x)) ** 0 * y,
        lambda x, y: clip(tanh(1.0 / (y - y)), 2.0, 3.0) / (3.0 + y),
    ],
)
def test_what_may_be_undefined_has_no_derivatives(function: Callable[..., Any]) -> None:
    """Of x in [-1, 1] the root and the reciprocal; nothing times 0, and no limit, brings a number back."""
    box = [Interval(-1.0, 1.0), Interval(0.0, 0.5)]
    (slopes,) = jacobian([function(*Dual.variables(box))])
    assert np.all(slopes.lo == -np.inf) and np.all(slopes.hi == np.inf)
