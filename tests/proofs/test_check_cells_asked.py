"""What the stages of the checker of cells ask of each other: on which ball, for which bound, at equality."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from lipctrl.proofs import check_cells as cc
from lipctrl.proofs.check_cells import Form, Number, Rejected
from tests.proofs.cells_for_tests import CLOSE, boxed, cubic, ellipsoid, ends, hexed, loop, same_loop, stage

SHAPE = np.array([[2.0, 1.0], [0.0, 0.5]])
LOWER, UPPER = np.array([-0.01, 0.02]), np.array([0.03, 0.05])


def farthest(center: Any, lower: Any, upper: Any, T: Any = SHAPE) -> float:
    """The greatest abs(T (x - center)) on a box."""
    return max(
        float(np.linalg.norm(T @ (np.array(corner) - center)))
        for corner in itertools.product(*zip(lower, upper, strict=True))
    )


class Asked:
    """Remembers what it was called with."""

    def __init__(self, answer: Any) -> None:
        self.answer, self.calls = answer, list[tuple[Any, ...]]()

    def __call__(self, *given: Any) -> Any:
        self.calls.append(given)
        return self.answer


# ----------------------------------------------------------------------------------------------------------------- core


def test_the_core_is_asked_about_every_equilibrium(monkeypatch: pytest.MonkeyPatch) -> None:
    """x* at most d from the centre: the ball about x* that holds the core has R = radius + d, and lies in R + d."""
    asked = Asked(7)
    monkeypatch.setattr(cc, "_contracts", asked)
    center = np.array([0.02, 0.01])
    away = farthest(center, LOWER, UPPER)
    core = ellipsoid(0.5, center, SHAPE)
    given: Any = core, LOWER, UPPER
    assert cc.prove_core(loop(0.5, 0.25), *given, []) == (7, None)
    assert 0.5 + 2 * away <= asked.calls[0][2] <= (0.5 + 2 * away) * CLOSE and asked.calls[0][3] is None
    pushed = loop(0.5, 0.25, 0.125)
    asked.calls.clear()
    stages = [stage(0.75, 0.0625, 0.4), stage(0.5, 0.0625, 0.25)]
    assert cc.prove_core(pushed, *given, stages) == (14, 0.25)
    assert 0.5 + 2 * away <= asked.calls[0][2] <= (0.5 + 2 * away) * CLOSE
    assert 0.4 + away <= asked.calls[1][2] <= (0.4 + away) * CLOSE
    assert [call[3] for call in asked.calls] == [(0.75, 0.0625), (0.5, 0.0625)]
    R = float(cc._up(0.5 + cc._norm_up(core.coordinates(boxed(LOWER, UPPER)))))
    assert cc.prove_core(pushed, *given, [stage(0.5, 0.0625, R)]) == (7, R)
    for wrong in (
        [stage(0.5, 0.0625, float(np.nextafter(R, 9)))],
        [stage(0.75, 0.0625, 0.25)],
        [stage(1.0, 0.0625, 0.25)],
        [stage(0.5, 0.0625, 0.25), stage(0.5, 0.0625, 0.2500001)],
        [stage(1.5, -0.25, 0.25)],
        [stage(1.5, 0.0625, -0.25)],
    ):
        with pytest.raises(Rejected, match="final ball"):
            cc.prove_core(pushed, *given, wrong)
    eight = [stage(0.5, 0.0625, 0.4)] * 8
    assert cc.prove_core(pushed, *given, eight)[0] == 56
    monkeypatch.setattr(cc, "_norm_up", lambda _: 0.5)
    with pytest.raises(Rejected, match="hold the equilibrium"):
        cc.prove_core(pushed, *given, eight)


def test_a_cover_reaches_all_of_the_ball_however_far_s_is_from_the_inverse(monkeypatch: pytest.MonkeyPatch) -> None:
    """abs(T S z) >= (1 - gap) abs(z), and 1 / (1 - 1/2) = 1 + 2 / 2."""
    asked = Asked(3)
    monkeypatch.setattr(cc, "_cover", asked)
    one = ellipsoid(1.5, (0.5, -1.0), SHAPE)
    one.gap = 0.5
    assert cc._contracts(loop(0.5, 0.25), one, 0.75, None) == 3
    assert cc.prove_decrease(loop(0.5, 0.25), one, 1, []) == 3
    for (n, reach, *_), exact in zip(asked.calls, (1.5, 3.0), strict=True):
        assert n == 2 and exact <= reach <= exact * CLOSE
    one.gap = 0.0
    cc._contracts(loop(0.5, 0.25), one, 0.75, None)
    assert asked.calls[-1][1] > 0.75
    narrow = ellipsoid(1.5, (0.5, -1.0), SHAPE)
    narrow.gap = 0.5
    found = np.array(cc._half_widths(narrow, 0.25))
    exact = 2 * 0.25 * np.linalg.norm(np.linalg.inv(SHAPE), axis=1)
    assert np.all(exact * (1 - 1e-15) <= found) and np.all(found <= exact * CLOSE)


def test_limits_hold_an_ellipsoid_however_far_s_is_from_the_inverse() -> None:
    one = ellipsoid(1.5, (0.5, -1.0), SHAPE)
    one.gap = 0.5
    half = 2 * 1.5 * np.linalg.norm(np.linalg.inv(SHAPE), axis=1)
    for i, side, hair in itertools.product((0, 1), (-1, 1), (CLOSE, 1 / CLOSE)):
        room = half * 2
        room[i] = half[i] * hair
        lower, upper = one.center - (room if side < 0 else half * 2), one.center + (room if side > 0 else half * 2)
        fields = {"lower": hexed(lower), "upper": hexed(upper)}
        if hair > 1:
            assert "within the limits" in cc._limits_text(fields, [one], True)
        else:
            with pytest.raises(Rejected, match="leaves the limits"):
                cc._limits_text(fields, [one], True)
    with pytest.raises(Rejected, match="leaves the limits"):
        cc._limits_text(fields, [ellipsoid(0.001, (0.5, -1.0)), one], True)


def proved_at(line: cc.Loop, core: cc.Ellipsoid, limits: Any, monkeypatch: pytest.MonkeyPatch) -> bool:
    """What is proved on one cell, the point 0."""
    asked = Asked(0)
    monkeypatch.setattr(cc, "_cover", asked)
    cc._contracts(line, core, 1.0, limits)
    return bool(asked.calls[0][3](np.zeros((1, 2)), np.zeros((1, 2)))[0])


def test_rates_and_pushes_in_the_coordinates_of_the_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """T M T^-1 for M = diag(.45, .25) and abs(T (1, 0)) / 8, times 1 + 2 gap = 2 for the rate."""
    line = loop(0.45, 0.25, 0.125)
    rate = float(np.linalg.norm(SHAPE @ np.diag([0.45, 0.25]) @ np.linalg.inv(SHAPE), 2))
    push = 0.125 * float(np.linalg.norm(SHAPE[:, 0]))
    for gap, factor in ((0.0, 1.0), (0.5, 2.0)):
        core = ellipsoid(1.0, T=SHAPE)
        core.gap = gap
        for a, b in itertools.product((CLOSE, 1 / CLOSE), repeat=2):
            limits = factor * rate * a, push * b
            assert proved_at(line, core, limits, monkeypatch) is (a > 1 and b > 1)
    for at, proved in ((1 / CLOSE, True), (CLOSE, False)):  # without errors of the action: below 1
        core.gap = (at / rate - 1) / 2
        assert proved_at(loop(0.45, 0.25), core, None, monkeypatch) is proved
    monkeypatch.setattr(cc, "_up", lambda x: x)
    monkeypatch.setattr(cc, "_spectral", lambda A: np.ones(1))
    core.gap = 0.0
    assert not proved_at(line, core, None, monkeypatch) and not proved_at(line, core, (1.0, 9.0), monkeypatch)
    monkeypatch.setattr(cc, "_norms_up", lambda z: np.ones(1))
    assert not proved_at(line, core, (2.0, 1.0), monkeypatch) and proved_at(line, core, (2.0, 1.1), monkeypatch)


def test_pushes_of_several_actions_are_added(monkeypatch: pytest.MonkeyPatch) -> None:
    """x+ = x / 4 + u_1 - 2 u_3, y+ = y / 4 + 3 u_2 of errors 1/8 each: 1/8 + 3/8 + 2/8."""
    zero = {"type": "affine", "W": hexed(np.zeros((3, 2))), "b": hexed(np.zeros(3))}
    code: list[list[Any]] = [
        ["mul", 0, 5], ["mul", 1, 5], ["mul", 3, 7], ["mul", 4, 6],
        ["add", 8, 2], ["sub", 12, 11], ["add", 9, 10],
    ]  # fmt: skip
    step = {"inputs": 5, "constants": hexed([0.25, 2.0, 3.0]), "code": code, "outputs": [13, 14]}
    observe = {"inputs": 2, "constants": [], "code": [], "outputs": [0, 1]}
    line = cc.Loop(
        {"layers": [zero]}, {"name": "m", "dt": (1.0).hex(), "step": step, "observe": observe}, 2, 0.125, False
    )
    for hair, proved in ((CLOSE, True), (1 / CLOSE, False)):
        assert proved_at(line, ellipsoid(1.0), (0.3, 0.75 * hair), monkeypatch) is proved
    after = line.step([Number(f) for f in boxed([1, 1], [1, 1])])
    assert ends(after[0].value) == pytest.approx((0.25 - 0.375, 0.25 + 0.375))
    assert ends(after[1].value) == pytest.approx((0.25 - 0.375, 0.25 + 0.375))


# ------------------------------------------------------------------------------------------------------------- decrease


def test_cells_beyond_the_radius_need_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """abs(T S z) >= (1 - gap) abs(z): of a cell [a, a + 2 h] along each axis, from gap 1/2 beyond twice the radius."""
    for gap, edge in ((0.0, 1.5), (0.5, 3.0)):
        asked = Asked(0)
        monkeypatch.setattr(cc, "_cover", asked)
        one = ellipsoid(1.5)
        one.gap = gap
        cc.prove_decrease(loop(2.0, 2.0), one, 1, [])
        prove = asked.calls[0][3]
        for hair, proved in ((CLOSE, True), (1 / CLOSE, False)):
            for near in ([edge, 0.0], [0.0, -edge], [-0.6 * edge, 0.8 * edge]):
                near_corner, half = np.array(near) * hair, np.array([0.125, 0.25])
                centers = near_corner + np.sign(near_corner) * half
                halves = np.where(near_corner == 0, 0.5, half)
                assert bool(prove(centers[None], halves[None])[0]) is proved
        asked.calls.clear()


def test_v_must_fall_by_what_the_gap_may_hide() -> None:
    """abs(new)^2 - (1 - gap)^2 abs(z)^2, from above, for gaps up to 1/3."""
    point = [Form.constant(0.5, 1), Form.constant(0.25, 1)]
    z, none = np.array([[1.0, -2.0]]), np.zeros((1, 2))
    for gap in (0.0, 0.01, 0.1, 1 / 3):
        exact = 0.3125 - (1 - gap) ** 2 * 5.0
        found = float(cc._growth(point, z, none, gap)[0])
        assert exact <= found <= exact + 1.0 * gap * 5 + 5 * gap**2 + 1e-11


def test_cells_are_not_left_out_by_a_rounding_of_their_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Points whose computed norm is above the radius, and whose norm in fractions is not."""
    asked = Asked(0)
    monkeypatch.setattr(cc, "_cover", asked)
    line, met = same_loop(6, 2.0), 0
    rng = np.random.default_rng(0)
    for _ in range(400):
        z = rng.standard_normal(6)
        radius = float(np.nextafter(np.sqrt(np.sum(z**2)), 0))
        if sum(Fraction(v) ** 2 for v in z) <= Fraction(radius) ** 2:
            met += 1
            cc.prove_decrease(line, ellipsoid(radius, np.zeros(6)), 1, [])
            assert not asked.calls[-1][3](z[None], np.zeros((1, 6)))[0]
    assert met > 1


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("seed", range(4))
def test_growth_is_its_formula_at_every_scale(seed: int, scale: float) -> None:
    """Three states, five symbols, some of them in one form only: a + sum max (l e + q e^2) + sum |Q_ij|."""
    rng = np.random.default_rng(seed)
    n, k, cells = 3, 5, 4
    A, G, R = rng.standard_normal((n, cells)), rng.standard_normal((n, k, cells)), 0.1 * rng.random((n, cells))
    G[1, 3:] = 0.0
    z, h = rng.standard_normal((cells, n)), rng.random((cells, n))
    new = [Form(scale * A[i], scale * G[i, : 3 if i == 1 else k], scale * R[i]) for i in range(n)]
    found = cc._growth(new, scale * z, scale * h, 0.0)
    for cell in range(cells):
        Q = G[:, :, cell].T @ G[:, :, cell]
        Q[:n, :n] -= np.diag(h[cell] ** 2)
        slope = 2 * G[:, :, cell].T @ A[:, cell]
        slope[:n] -= 2 * z[cell] * h[cell]
        e = np.linspace(-1, 1, 20001)[:, None]
        along = (slope * e + np.diag(Q) * e**2).max(axis=0).sum()
        mixed = np.abs(Q).sum() - np.abs(np.diag(Q)).sum()
        far = np.abs(A[:, cell]) + np.abs(G[:, :, cell]).sum(axis=1)
        rest = (2 * far * R[:, cell] + R[:, cell] ** 2).sum()
        exact = (A[:, cell] ** 2).sum() - (z[cell] ** 2).sum() + along + mixed + rest
        assert found[cell] / scale**2 == pytest.approx(exact, rel=1e-7, abs=1e-7)


def test_growth_counts_roundings_by_the_squares_of_what_is_added() -> None:
    """A point that does not move, at any distance: 2^-40 of the sum of both squares."""
    for size in (1e-6, 1.0, 1e6):
        found = float(cc._growth(boxed([size], [size]), np.array([[size]]), np.zeros((1, 1)), 0.0)[0])
        assert 2 * 2.0**-40 * size**2 <= found * (1 + 1e-9) and found <= 2.1 * 2.0**-40 * size**2
        found = float(
            cc._growth(
                [Form(np.zeros(1), np.zeros((0, 1)), np.array([size]))], np.zeros((1, 1)), np.zeros((1, 1)), 0.0
            )[0]
        )
        assert found == pytest.approx(size**2, rel=1e-9) and found >= size**2 * (1 + 2.0**-41)
        found = float(cc._growth(boxed([0.0], [0.0]), np.array([[0.0]]), np.array([[size]]), 0.0)[0])
        assert 2.0**-41 * size**2 <= found <= 1.01 * 2.0**-40 * size**2


@pytest.mark.parametrize("center", [2.0**30 + 1 / 3, -(2.0**30) - 1 / 3, 1e-9, 0.0])
def test_limits_are_compared_with_what_the_ellipsoid_reaches_in_fractions(center: float) -> None:
    one = ellipsoid(1 + 1e-10, (center, center))
    for side in (-1, 1):
        true = Fraction(center) + side * Fraction(one.radius)
        edge = float(true)
        for k in range(-6, 7):
            end = edge + k * float(np.spacing(edge))
            far = [center - 5, center - 5], [center + 5, center + 5]
            far[side > 0][1] = end
            try:
                cc._limits_text({"lower": hexed(far[0]), "upper": hexed(far[1])}, [one], True)
            except Rejected:
                continue
            assert side * Fraction(end) >= side * true
    near = {"lower": hexed([center - 1.001 - 1e-6] * 2), "upper": hexed([center + 1.001 + 1e-6] * 2)}
    assert cc._limits_text(near, [one], True)


def test_boxes_and_parameters_have_forms_that_hold_their_ends() -> None:
    """c - g <= low and high <= c + g in fractions, and hardly more."""
    rng = np.random.default_rng(0)
    line = loop(0.5, 0.25, parameters=[(0.0, 1.0)])
    for _ in range(300):
        low, high = np.sort(rng.choice([0.0, 1.0, 1e9, -3.0]) + rng.standard_normal(2) * 10.0 ** rng.integers(-9, 3))
        for form in (boxed([low], [high])[0], line.part(np.array([[low, high]]))._given(1)[0]):
            c, g = Fraction(float(form.c[0])), Fraction(float(np.abs(form.G).sum()))
            assert c - g <= Fraction(low) and Fraction(high) <= c + g
            assert 2 * g <= (Fraction(high) - Fraction(low)) * (1 + Fraction(1, 10**9)) + Fraction(
                abs(high) + abs(low)
            ) / 2**50 + Fraction(1, 10**300)


def test_cells_that_should_enter_a_set_do_not_stand_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of x / 2: V falls everywhere but near 0; what is to enter a set that it misses is not proved by the others."""
    asked = Asked(0)
    monkeypatch.setattr(cc, "_cover", asked)
    for where in ([0, -1], [-1, 0], [-1, -1], [1, -1], [0, 1]):
        monkeypatch.setattr(cc, "_route", lambda *given, where=where: (np.ones(2, dtype=np.int64), np.array(where)))
        sets = [ellipsoid(0.01), ellipsoid(0.01, (0.0, 0.5))]
        cc.prove_decrease(loop(0.5, 0.5), ellipsoid(1.0), 2, sets)
        centers, halves = np.array([[0.6, 0.0], [0.0, -0.7]]), np.full((2, 2), 0.01)
        assert asked.calls[-1][3](centers, halves).tolist() == [place < 0 for place in where]


def test_nothing_falls_where_nothing_moves() -> None:
    assert cc._growth(boxed([0.0], [0.0])[:1], np.zeros((1, 1)), np.zeros((1, 1)), 0.0)[0] > 0
    point = [Form.constant(0.0, 1)]
    assert cc._growth(point, np.zeros((1, 1)), np.zeros((1, 1)), 0.0)[0] > 0


def test_each_cell_is_judged_by_its_own_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of x^3: from .3 V falls in one step, from 1.2 never; planned for one step and for two, in either order."""
    asked = Asked(0)
    monkeypatch.setattr(cc, "_cover", asked)
    centers, halves = np.array([[0.3, 0.0], [1.2, 0.0], [0.5, 0.0]]), np.full((3, 2), 0.01)
    for when in ([1, 2, 1], [2, 1, 1], [1, 2, 2], [2, 2, 1], [1, 1, 1], [0, 1, 2]):
        monkeypatch.setattr(cc, "_route", lambda *given, when=when: (np.array(when), np.full(3, -1)))
        cc.prove_decrease(cubic(), ellipsoid(2.0), 2, [])
        assert asked.calls[-1][3](centers, halves).tolist() == [when[0] > 0, False, when[2] > 0]
        monkeypatch.setattr(cc, "_route", lambda *given, when=when: (np.array(when[:2]), np.full(2, -1)))
        cc.prove_decrease(cubic(), ellipsoid(2.0), 2, [])
        assert asked.calls[-1][3](centers[:2], halves[:2]).tolist() == [when[0] > 0, False]


def test_growth_counts_roundings_of_radii() -> None:
    """(1 + d)^2 with abs(d) <= 1: 4, and 2^-40 of it."""
    found = float(
        cc._growth([Form(np.ones(1), np.zeros((0, 1)), np.ones(1))], np.zeros((1, 1)), np.zeros((1, 1)), 0.0)[0]
    )
    assert 4 * (1 + 2.0**-40) * (1 - 2.0**-50) <= found <= 4 * (1 + 2.0**-39)
