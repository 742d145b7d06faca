"""Deviations from rest under the operations, at the worst case of every part; numbers with few bits, so exactly."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from lipctrl.errors import LipctrlError
from lipctrl.intervals.ball import Ball
from lipctrl.intervals.interval import Interval
from lipctrl.lmi.deviations import CONSTANT, PARAMETER, STATE, Channels, Deviation, stack
from lipctrl.lmi.lmi import Factor, selector

CLOSE = 1 + 1e-9


def deviation(rest: tuple[float, float], G: list[float], r: float, kind: int = STATE) -> Deviation:
    return Deviation(
        Interval(*(np.array([v]) for v in rest)), selector(0, 2, np.array([0])), np.array([G]), np.array([r]), kind
    )


def corners(*sides: float) -> np.ndarray:
    return np.array(list(product((-1.0, 1.0), repeat=len(sides)))) * sides


Z = np.array([[0.6, 0.8], [-0.6, 0.8], [0.6, -0.8], [1.0, 0.0], [0.0, -1.0]])


def test_reach_and_range_by_hand() -> None:
    """|(3, 4)| + 2 = 7; of a constant 0."""
    v = deviation((1.0, 2.0), [3.0, 4.0], 2.0)
    assert 7 <= v.reach[0] <= 7 * CLOSE
    assert -6 * CLOSE <= v.range.lo[0] <= -6 and 9 <= v.range.hi[0] <= 9 * CLOSE
    constant = deviation((1.0, 2.0), [0.0, 0.0], 0.0, CONSTANT)
    assert constant.reach[0] == 0 and (constant.range.lo[0], constant.range.hi[0]) == (1.0, 2.0)
    assert deviation((1.0, 2.0), [0.0, 0.0], 0.0).reach[0] > 0


@pytest.mark.parametrize("radius", [0.0, 0.25])
@pytest.mark.parametrize("r", [0.0, 0.5])
def test_linear_maps_hold_every_matrix_of_the_ball(radius: float, r: float) -> None:
    """M (G z + d) lies in {G' z + d'}, M q* + shift in the rest, for M and d at their ends; and no more than that."""
    inputs = stack([deviation((1.0, 1.5), [2.0, -1.0], r), deviation((-3.0, -2.0), [0.5, 4.0], 0.5 * r)])
    M, rad, shift = np.array([[2.0, -3.0]]), np.array([[radius, 2 * radius]]), np.array([0.25])
    moved = inputs.affine(Ball(M, rad), shift)
    assert np.array_equal(moved.rows.dense((2,)), [[2.0 - 3.0, 0.0]])
    rests, worst = [], 0.0
    for signs in corners(radius, 2 * radius):
        for star in product((1.0, 1.5), (-3.0, -2.0)):
            rests.append(float((M[0] + signs) @ star + shift[0]))
        for d in corners(r, 0.5 * r):
            error = (M[0] + signs) @ (inputs.G @ Z.T + d[:, None]) - moved.G[0] @ Z.T
            worst = max(worst, float(np.abs(error).max()))
    assert moved.rest.lo[0] <= min(rests) and max(rests) <= moved.rest.hi[0]
    spare = 4 * radius + 1e-9
    assert moved.rest.lo[0] >= min(rests) - spare and moved.rest.hi[0] <= max(rests) + spare
    bound = np.linalg.norm(rad @ np.abs(inputs.G)) + (np.abs(M) + rad) @ inputs.r
    assert worst * (1 - 1e-15) <= moved.r[0] <= bound[0] * CLOSE + 1e-12
    given = inputs.affine(Ball(M, rad), shift, Interval(np.array([7.0])))
    assert given.rest.lo[0] == 7.0 and inputs.affine(Ball.exact(np.zeros((1, 2))), shift).r[0] == 0.0


@pytest.mark.parametrize("gain", [(1.0, 3.0), (-3.0, -1.0), (-1.0, 2.0), (2.0, 2.0)])
def test_a_gain_in_an_interval_is_a_channel(gain: tuple[float, float]) -> None:
    """w = g dv: its sector holds g, and |w - middle dv| is at most half the width times |dv|."""
    channels, v = Channels(2), deviation((1.0, 1.0), [3.0, 4.0], 2.0)
    w = channels._gain(Interval(*(np.array([g]) for g in gain)), v, Interval(np.array([5.0])))
    ((sector, line),) = channels.blocks
    assert sector.lo[0] <= gain[0] <= gain[0] + 1e-8 and gain[1] <= sector.hi[0] <= gain[1] + 1e-8
    assert sector.lo[0] >= gain[0] - 1e-8 and line[0] == pytest.approx(sum(gain) / 2) and w.rest.lo[0] == 5.0
    for g in gain:
        for z in (*Z, np.array([0.6, 0.8])):
            for d in (-2.0, 2.0):
                assert abs(g * (v.G[0] @ z + d) - w.G[0] @ z) <= w.r[0]
    half = (gain[1] - gain[0]) / 2
    assert w.r[0] <= (half * 7 + abs(sum(gain) / 2) * 2) * CLOSE + 1e-9
    assert (channels.sizes, w.kind) == ([1], STATE)


def test_the_roundings_of_a_line_and_of_a_map_count() -> None:
    """.1 (.3, .7) in fractions."""
    v, zero = deviation((1.0, 1.0), [0.3, 0.7], 0.0), np.zeros(1)
    line = Channels(2).add(v, Interval(zero, np.ones(1)), np.array([0.1]), zero, v.rest)
    for found in (line, v.affine(Ball.exact(np.array([[0.1]])), zero)):
        errors = [Fraction(0.1) * Fraction(g) - Fraction(float(h)) for g, h in zip([0.3, 0.7], found.G[0], strict=True)]
        assert any(errors) and sum(e**2 for e in errors) <= Fraction(float(found.r[0])) ** 2


def test_channels_are_placed_one_after_the_other_and_straight_ones_are_no_signals() -> None:
    """s = dv for a sector of no width; else w = middle dv + half s over the signals so far."""
    channels = Channels(2)
    x = stack(channels.states(Interval(np.zeros(2)), np.eye(2)))
    first = channels.add(x, Interval(np.array([0.5, 2.0]), np.array([1.5, 2.0])), np.ones(2), np.zeros(2), x.rest)
    second = channels.add(first, Interval(np.full(2, -1.0), np.full(2, 3.0)), np.ones(2), np.full(2, 0.5), x.rest)
    signals = channels.signals(second.rows)
    assert signals.sizes == (2, 1, 2) and [list(k) for k in signals.nonlinear] == [[0], [0, 1]]
    xi = np.array([2.0, 3.0, 0.5, -1.0, 0.25])  # e; s_1; s_2, s_3
    w = np.array([2.0 + 0.5 * 0.5, 2.0 * 3.0])
    assert np.allclose(first.rows.dense(signals.sizes) @ xi, w, rtol=1e-12)
    assert np.allclose(second.rows.dense(signals.sizes) @ xi, w + 2.0 * xi[3:], rtol=1e-12)
    assert np.allclose(signals.A[1].dense(signals.sizes) @ xi, xi[3:] + w, rtol=1e-12)
    assert np.allclose(signals.B[1].dense(signals.sizes) @ xi, xi[3:] - w, rtol=1e-12)
    assert np.all(second.r >= 0.5) and np.all(second.r <= 0.5 + first.r + 1e-9)


def test_kinds_of_products_and_quotients() -> None:
    """Constants scale; parameters and states make channels, one each; the rest is known."""
    x = deviation((2.0, 2.0), [0.5, 0.0], 0.0)
    for kind, count in ((CONSTANT, 0), (PARAMETER, 1), (STATE, 1)):
        for operation, value in (("mul", 8.0), ("div", 0.5)):
            channels = Channels(2)
            spread = (4.0, 4.0)
            other = channels.given(Interval(*(np.array([v]) for v in spread)), kind) if kind < STATE else deviation(
                spread, [0.0, 1.0], 0.0
            )  # fmt: skip
            for given in ([x, other], [other, x]) if operation == "mul" else ([x, other],):
                channels.blocks.clear()
                out = channels._instruction(operation, given)
                assert len(channels.blocks) == count and out.kind == STATE
                assert out.rest.lo[0] <= value <= out.rest.hi[0] and out.rest.width[0] < 1e-12
                for z in Z:
                    a = 2.0 + x.G[0] @ z
                    b = 4.0 + (z[1] if kind == STATE else 0.0)
                    true = (a * b if operation == "mul" else a / b) - value
                    assert abs(true - out.G[0] @ z) <= out.r[0] + 1e-15


@pytest.mark.parametrize(("operation", "signs"), [("add", (1.0, 1.0)), ("sub", (1.0, -1.0)), ("neg", (-1.0,))])
def test_sums_and_signs_are_linear(operation: str, signs: tuple[float, ...]) -> None:
    channels, given = Channels(2), [deviation((2.0, 2.5), [0.5, 0.0], 0.25), deviation((4.0, 4.5), [1.0, 3.0], 0.5)]
    out = channels._instruction(operation, given[: len(signs)])
    row = sum(s * np.array(part.rows.dense((2,))) for s, part in zip(signs, given, strict=False))
    assert not channels.blocks and np.array_equal(out.rows.dense((2,)), row)
    assert np.array_equal(out.G, sum(s * part.G for s, part in zip(signs, given, strict=False)))
    assert out.r[0] == pytest.approx(sum(part.r[0] for part in given[: len(signs)]), rel=1e-9)
    ends = [sum(s * v for s, v in zip(signs, pair, strict=False)) for pair in product((2.0, 2.5), (4.0, 4.5))]
    assert (out.rest.lo[0], out.rest.hi[0]) == (min(ends), max(ends))


@pytest.mark.parametrize("divisor", [(0.0, 1.0), (-1.0, 0.0), (-1.0, 1.0), (0.25, 1.0), (-1.0, -0.25)])
def test_a_divisor_that_may_vanish_is_refused(divisor: tuple[float, float]) -> None:
    a, b = deviation((2.0, 2.0), [0.5, 0.0], 0.0), deviation(divisor, [0.0, 0.0], 0.0, PARAMETER)
    b = Deviation(b.rest, b.rows, np.array([[0.0, 0.3]]), b.r, STATE)
    with np.errstate(all="ignore"), pytest.raises(LipctrlError):
        Channels(2)._quotient(a, b, Interval(np.array([2.0])))
    for gain in ((1.0, np.inf), (-np.inf, 1.0), (np.nan, 1.0)):
        with pytest.raises(LipctrlError), np.errstate(all="ignore"):
            Channels(2)._gain(Interval(*(np.array([g]) for g in gain)), a, a.rest)


def test_rows_of_what_is_stacked() -> None:
    parts = [deviation((0.0, 1.0), [1.0, 2.0], 3.0, PARAMETER), deviation((2.0, 3.0), [4.0, 5.0], 6.0)]
    both = stack([Deviation(parts[0].rest, Factor(1, {}), parts[0].G, parts[0].r, PARAMETER), parts[1]])
    assert np.array_equal(both.rows.dense((2,)), [[0.0, 0.0], [1.0, 0.0]]) and both.rows.rows == 2
    assert both.G.tolist() == [[1.0, 2.0], [4.0, 5.0]] and both.r.tolist() == [3.0, 6.0] and both.kind == STATE
    assert (both.rest.lo.tolist(), both.rest.hi.tolist()) == ([0.0, 2.0], [1.0, 3.0])
