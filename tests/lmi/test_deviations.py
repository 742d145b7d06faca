"""Deviations from rest under the operations, at the worst case of every part; numbers with few bits, so exactly."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lipctrl.errors import LipctrlError
from lipctrl.intervals.ball import Ball
from lipctrl.intervals.interval import Interval
from lipctrl.lmi.blocks import dense
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


def fractions(values: np.ndarray) -> list[Fraction]:
    return [Fraction(float(v)) for v in np.ravel(values)]


def holds_beyond(bound: Fraction, known: Fraction, rest: list[Fraction]) -> bool:
    """Whether known + |rest|_2 <= bound."""
    return bound >= known and (bound - known) ** 2 >= sum(v**2 for v in rest)


NUMBER = st.one_of(st.sampled_from([0.0, 1.0, -1.0, 2.0**-600, -(2.0**-600), 1 + 2.0**-52]), st.floats(-4.0, 4.0))
SIZE = NUMBER.map(abs)
END = st.one_of(
    st.sampled_from([0.0, 1.0, 1 + 2.0**-52, -1.0, -1 - 2.0**-52]), st.floats(0.001, 4.0), st.floats(-4.0, -0.001)
)
T = 2.0**-600


@settings(max_examples=100, deadline=None)
@given(END, END, NUMBER, st.tuples(NUMBER, NUMBER), SIZE, SIZE)
@example(1.0, 3.0, 1.0, (1.0, 2.0), 0.0, 0.0)
@example(1.0, 1 + 2.0**-52, T, (0.0, 0.0), T, 0.0)
@example(-1.0, -1 + 2.0**-53, 0.0, (0.0, 0.0), 0.0, 0.0)
def test_a_channel_covers_its_sector_and_what_its_line_leaves_out(
    a: float, b: float, slope: float, g: tuple[float, float], r: float, error: float
) -> None:
    """In fractions: [lo, hi] in middle +- half, |line| r + error + |line G - G_w| <= r_w; and little more than that."""
    lo, hi = sorted((a, b))
    channels, v = Channels(2), deviation((0.0, 0.0), [*g], r)
    w = channels.add(v, Interval(np.array([lo]), np.array([hi])), np.array([slope]), np.array([error]), v.rest)
    line = Fraction(slope)
    lost = [line * x - y for x, y in zip(fractions(v.G), fractions(w.G), strict=True)]
    assert holds_beyond(*fractions(w.r), abs(line) * Fraction(r) + Fraction(error), lost)
    assert w.r[0] <= (abs(slope) * (r + 1e-15 * np.hypot(*g)) + error) * CLOSE + 1e-140
    around = dense(w.rows.blocks[0])
    assert around.is_exact and around.mid[0, 1] == 0.0
    middle = Fraction(float(around.mid[0, 0]))
    half = fractions(dense(w.rows.blocks[1]).mid)[0] if lo < hi else Fraction(0)
    assert middle - half <= Fraction(lo) <= Fraction(hi) <= middle + half
    assert half <= (Fraction(hi) - Fraction(lo)) / 2 + Fraction(1e-15 * max(abs(lo), abs(hi)) + 1e-300)


def test_the_error_of_a_gain_in_fractions(monkeypatch: pytest.MonkeyPatch) -> None:
    """|g - line| |dv| <= error at either end of the gain, for the largest deviations."""
    errors: list[np.ndarray] = []
    monkeypatch.setattr(Channels, "add", lambda self, v, sector, line, error, rest: errors.extend([line, error]))
    rng = np.random.default_rng(6)
    for _ in range(50):
        v, ends = (
            deviation((0.0, 0.0), [0.0, rng.uniform(0.1, 4.0)], rng.uniform(0.0, 4.0)),
            np.sort(rng.normal(size=2)),
        )
        Channels(2)._gain(Interval(ends[:1], ends[1:]), v, v.rest)
        (line,), (error,) = (fractions(each) for each in errors[-2:])
        largest = fractions(v.G)[1] + fractions(v.r)[0]
        assert error >= max(abs(end - line) for end in fractions(ends)) * largest


@settings(max_examples=60, deadline=None)
@given(*(st.tuples(*[kind] * 6) for kind in (NUMBER, SIZE, NUMBER)), st.tuples(SIZE, SIZE, SIZE))
@example((1.0, 0.0, 0.0, 0.0, 1.0, 0.0), (0.0,) * 6, (1.0,) * 6, (0.0,) * 3)
@example((0.0,) * 6, (2.0**-985,) * 6, (0.0,) * 6, (1.0,) * 3)
@example((0.0, 1.0, 0.1, T, T, T), (T, 0.0, T, 0.0, T, 0.1), (0.1, 0.7, 0.3, T, T, T), (T, 0.3, T))
def test_linear_maps_in_fractions(
    mid: tuple[float, ...], rad: tuple[float, ...], g: tuple[float, ...], r: tuple[float, ...]
) -> None:
    """Of two rows of three numbers: |M| r + |M G - G'| <= r' for each M at the ends of the ball."""
    ball = Ball(np.reshape(mid, (2, 3)), np.reshape(rad, (2, 3)))
    parts = [deviation((0.0, 0.0), [*g[2 * i : 2 * i + 2]], r[i]) for i in range(3)]
    inputs = stack(parts)
    moved = inputs.affine(ball, np.zeros(2))
    columns, d = [fractions(inputs.G[:, j]) for j in range(2)], fractions(inputs.r)
    for i in range(2):
        for signs in product((-1, 1), repeat=3):
            row = [m + s * e for m, e, s in zip(fractions(ball.mid[i]), fractions(ball.radius[i]), signs, strict=True)]
            lost = [
                sum(m * x for m, x in zip(row, column, strict=True)) - Fraction(float(moved.G[i, j]))
                for j, column in enumerate(columns)
            ]
            assert holds_beyond(Fraction(float(moved.r[i])), sum(abs(m) * x for m, x in zip(row, d, strict=True)), lost)


@settings(max_examples=60, deadline=None)
@given(st.tuples(NUMBER, NUMBER), SIZE)
@example((T, T), T)
def test_the_reach_in_fractions(g: tuple[float, float], r: float) -> None:
    v = deviation((0.0, 0.0), [*g], r)
    assert holds_beyond(*fractions(v.reach), Fraction(r), fractions(v.G))


@pytest.mark.parametrize("which", ["lo", "hi", "error"])
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_a_channel_without_bounds_is_refused(which: str, place: int, bad: float) -> None:
    parts = {"lo": np.full(2, -1.0), "hi": np.ones(2), "error": np.zeros(2)}
    x = stack(Channels(2).states(Interval(np.zeros(2)), np.eye(2)))
    Channels(2).add(x, Interval(parts["lo"], parts["hi"]), np.ones(2), parts["error"], x.rest)
    parts[which][place] = -bad if which == "lo" else bad
    channels = Channels(2)
    with np.errstate(all="ignore"), pytest.raises(LipctrlError, match=r"not bounded|no NaN"):
        channels.add(x, Interval(parts["lo"], parts["hi"]), np.ones(2), parts["error"], x.rest)
    assert not channels.blocks


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_a_gain_has_room_for_other_roundings(size: float) -> None:
    """A part in 2^30 or so of the larger end, on either side."""
    channels, v = Channels(2), deviation((1.0, 1.0), [3.0, 4.0], 2.0)
    channels._gain(Interval(np.array([-2.0 * size]), np.array([size])), v, v.rest)
    ((sector, _),) = channels.blocks
    for room in (-2.0 * size - sector.lo[0], sector.hi[0] - size):
        assert 2.0**-32 <= room / (2.0 * size) <= 2.0**-28


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
            for pair in ([x, other], [other, x]) if operation == "mul" else ([x, other],):
                channels.blocks.clear()
                out = channels._instruction(operation, pair)
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


def test_what_is_stacked_may_lack_blocks_of_the_others() -> None:
    """Two rows over (e, w_1) and three over w_2: a row of zeros each, of the block's own width."""
    G, rest = np.arange(10.0).reshape(5, 2), Interval(np.arange(5.0))
    blocks = {0: np.arange(6.0).reshape(2, 3), 1: np.array([[7.0], [8.0]]), 2: np.arange(12.0).reshape(3, 4)}
    first = Deviation(rest[:2], Factor(2, {k: Ball.exact(blocks[k]) for k in (0, 1)}), G[:2], np.ones(2), PARAMETER)
    second = Deviation(rest[2:], Factor(3, {2: Ball.exact(blocks[2])}), G[2:], np.zeros(3), STATE)
    for parts, kind in (([first, second], STATE), ([first, first], PARAMETER), ([second, first], STATE)):
        both = stack(parts)
        alone = [part.rows.dense((3, 1, 4)) for part in parts]
        assert np.array_equal(both.rows.dense((3, 1, 4)), np.vstack(alone)) and both.kind == kind
        assert both.rows.rows == sum(len(rows) for rows in alone) == len(both.r) == len(both.rest.lo)
