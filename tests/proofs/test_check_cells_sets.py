"""Ellipsoids, cores and the decrease of V in the checker of cells, whose answer is a short calculation."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lipctrl.proofs import check_cells as cc
from lipctrl.proofs.check_cells import Form, Rejected
from tests.proofs.cells_for_tests import (
    CLOSE,
    ZERO_POLICY,
    boxed,
    cubic,
    ellipsoid,
    ends,
    hexed,
    loop,
    program,
    stage,
)


@pytest.fixture(autouse=True)
def gives_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, limit in (("MAX_COVER", 1000), ("MAX_PARTS", 200), ("MAX_PARAMETER_PARTS", 24)):
        monkeypatch.setattr(cc, name, limit)


# ------------------------------------------------------------------------------------------------------------ ellipsoid


def test_ellipsoids_that_are_none_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    good = {"center": hexed([0.0, 0.0]), "T": hexed(np.eye(2)), "radius": (1.0).hex()}
    assert cc.Ellipsoid(good, 2, set()).radius == 1.0 and cc.Ellipsoid(good | {"steps": 1}, 2, {"steps"}).gap < 1e-250
    for change in (
        {"radius": (0.0).hex()},
        {"radius": (-1.0).hex()},
        {"radius": (2.0**-401).hex()},
        {"radius": (2.0**401).hex()},
        {"T": hexed([[1, 1], [1, 1]])},
        {"steps": 1},
        {"center": hexed([0.0])},
        {"T": hexed([[1.0]])},
        {"T": hexed([[1e-320, 0.0], [0.0, 1.0]])},
    ):
        with pytest.raises(Rejected):
            cc.Ellipsoid(good | change, 2, set())
    assert ellipsoid(2.0**-400).gap < 1e-250 and ellipsoid(2.0**400).gap < 1e-250
    some = [np.random.default_rng(seed).standard_normal((2, 2)) for seed in range(12)]
    for T in ([[3.0]], [[0.1]], [[1.0, 1.0], [0.0, 3.0]], np.diag([3.0, 5.0, 7.0]), *some):
        one = ellipsoid(1.0, np.zeros(len(T)), T)
        n = len(T)
        rows, cols = np.asarray(T), one.S
        exact = sum(
            abs(sum(Fraction(float(rows[i, k])) * Fraction(float(cols[k, j])) for k in range(n)) - (i == j))
            for i in range(n)
            for j in range(n)
        )
        assert exact <= Fraction(one.gap) <= exact * (1 + Fraction(1, 2**39)) + Fraction(1, 2**890)

    for wrong, flat in ((1e-7, False), (1.1e-6, True), (0.5, True)):  # an inverse that is none
        monkeypatch.setattr(np.linalg, "inv", lambda T, wrong=wrong: np.eye(2) + np.diag([wrong, 0.0]))
        if flat:
            with pytest.raises(Rejected, match="too flat"):
                cc.Ellipsoid(good, 2, set())
        else:
            assert cc.Ellipsoid(good, 2, set()).gap >= wrong


@pytest.mark.parametrize("T", [np.eye(2), [[2.0, 1.0], [0.0, 1.0]], [[0.6, 0.8], [-0.8, 0.6]]])
def test_what_an_ellipsoid_holds(T: Any) -> None:
    """Boxes by their farthest corner, in few symbols exactly, to a part in 1e9."""
    T, center = np.asarray(T), np.array([1.0, -2.0])
    lower, upper = center - np.array([0.25, 0.5]), center + np.array([0.5, 0.125])
    farthest = max(float(np.linalg.norm(T @ (np.array(c) - center))) for c in product(*zip(lower, upper, strict=True)))
    for hair, inside in ((CLOSE, True), (1 / CLOSE, False)):
        assert bool(ellipsoid(farthest * hair, center, T).holds(boxed(lower, upper))[0]) is inside
    found = ellipsoid(1.0, center, T).coordinates(boxed(center + 1, center + 1))
    assert [ends(f)[0] for f in found] == pytest.approx((T @ [1, 1]).tolist())
    back = ellipsoid(1.0, center, T).points(np.array([[0.5, 0.25]]), np.array([[0.0, 0.0]]))
    assert [float(f.c[0]) for f in back] == pytest.approx((center + np.linalg.solve(T, [0.5, 0.25])).tolist())


def test_what_an_ellipsoid_holds_of_many_symbols_and_radii() -> None:
    """More than six: sqrt(|c|^2 + 2 sum |G'c| + sum |G'G|) + |r|; eight along one line reach 3 + 8 / 4 = 5."""
    G = np.zeros((8, 2))
    G[:, 0] = 0.25
    for count, size in ((8, 5.0), (6, 4.5), (7, 4.75)):
        x = [Form(np.array([c]), G[:count, i, None], np.zeros(1)) for i, c in enumerate((3.0, 0.0))]
        for hair, inside in ((CLOSE, True), (1 / CLOSE, False)):
            assert bool(ellipsoid(size * hair).holds(x)[0]) is inside
    turned = [Form(np.array([3.0]), np.zeros((8, 1)), np.zeros(1)), Form(np.zeros(1), G[:, :1], np.zeros(1))]
    assert ellipsoid(np.sqrt(13) * CLOSE).holds(turned)[0] and not ellipsoid(np.sqrt(13) / CLOSE).holds(turned)[0]
    rest = [
        Form(np.array([3.0]), np.zeros((0, 1)), np.array([3.0])),
        Form(np.array([4.0]), np.zeros((0, 1)), np.array([4.0])),
    ]
    assert ellipsoid(10 * CLOSE).holds(rest)[0] and not ellipsoid(10 / CLOSE).holds(rest)[0]
    for bad in (np.nan, np.inf):
        assert not ellipsoid(2.0**400).holds([Form(np.array([bad]), np.zeros((0, 1)), np.zeros(1))] * 2)[0]


@pytest.mark.parametrize("seed", range(12))
def test_a_point_outside_by_less_than_roundings_is_not_held(seed: int) -> None:
    """T x is a rounding error of its parts: the radius is a millionth below |T x| in fractions."""
    rng = np.random.default_rng(seed)
    a = 1 + rng.random(2)
    x = a * (1 + 2.0**-51 * rng.integers(-4, 5, 2))
    first = abs(Fraction(a[1]) * Fraction(x[0]) - Fraction(a[0]) * Fraction(x[1]))
    flat = SimpleNamespace(
        center=np.zeros(2), T=np.array([[a[1], -a[0]], [0.0, 0.0]]), radius=float(first) * (1 - 1e-6)
    )
    flat.coordinates = lambda forms: cc.Ellipsoid.coordinates(flat, forms)
    assert not cc.Ellipsoid.holds(flat, boxed(x, x))[0]


@pytest.mark.parametrize("reach", [0.75, 3.0])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_cover_leaves_no_point_of_the_ball(n: int, reach: float) -> None:
    """Also after cells were halved: every point lies in a cell that was proved; cells are halved where they bend."""
    proved: list[tuple[np.ndarray, np.ndarray]] = []

    def prove(centers: np.ndarray, halves: np.ndarray) -> np.ndarray:
        good = (
            np.linalg.norm(centers, axis=1) > 0.5 * reach
            if halves[0, 0] > 0.07 * reach
            else np.ones(len(centers), dtype=bool)
        )
        proved.append((centers[good], halves[good]))
        return good

    used = cc._cover(n, reach, 20, prove, "x")
    centers, halves = (np.concatenate(part) for part in zip(*proved, strict=True))
    assert used >= len(centers)
    rng = np.random.default_rng(n)
    z = rng.standard_normal((400, n))
    z *= reach * rng.random((400, 1)) ** (1 / n) / np.linalg.norm(z, axis=1, keepdims=True)
    z[:n], z[n : 2 * n] = reach * np.eye(n), -reach * np.eye(n)
    z[2 * n] = 0.0
    assert np.all((np.abs(z[:, None] - centers) <= halves).all(axis=2).any(axis=1))
    # all cells on a line through 0 join, in fractions
    line = sorted(
        (Fraction(float(c[0])), Fraction(float(h[0])))
        for c, h in zip(centers, halves, strict=True)
        if np.all(np.abs(c[1:] - 0.01 * reach) <= h[1:])
    )
    reached = line[0][0] + line[0][1]
    assert line[0][0] - line[0][1] <= -Fraction(0.98 * reach)
    for c, h in line[1:]:
        assert c - h <= reached
        reached = max(reached, c + h)
    assert reached >= Fraction(0.98 * reach)


def test_a_cover_gives_up_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    never = lambda centers, halves: np.zeros(len(centers), dtype=bool)  # noqa: E731
    with pytest.raises(Rejected, match="what: not proved after"):
        cc._cover(1, 1.0, 10, never, "what")
    monkeypatch.setattr(cc, "MAX_COVER", 200)
    with pytest.raises(Rejected):
        cc._cover(1, 1.0, 30, lambda c, h: np.ones(len(c), dtype=bool), "x")
    monkeypatch.setattr(cc, "MAX_COVER", 256)
    assert cc._cover(1, 1.0, 30, lambda c, h: np.ones(len(c), dtype=bool), "x") == 256
    assert cc._cover(1, 1.0, 8, lambda c, h: np.ones(len(c), dtype=bool), "x") == 256
    with pytest.raises(Rejected):
        cc._cover(1, 1.0, 7, lambda c, h: np.ones(len(c), dtype=bool), "x")
    monkeypatch.setattr(cc._clock, "deadline", 0.0)
    with pytest.raises(Rejected, match="time limit"):
        cc._cover(1, 1.0, 30, lambda c, h: np.ones(len(c), dtype=bool), "x")


def test_covers_are_halved_along_the_side_that_bends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cc, "MAX_COVER", 9000)
    sizes: list[tuple[float, float]] = []

    def prove(centers: np.ndarray, halves: np.ndarray) -> np.ndarray:
        sizes.append((float(halves[0, 0]), float(halves[0, 1])))
        return np.full(len(centers), len(sizes) > 2)

    cc._cover(2, 1.0, 20, prove, "x", np.array([1.0, 100.0]))
    assert sizes[0] == pytest.approx((1 / 16, 1 / 16)) and sizes[1] == pytest.approx((1 / 16, 1 / 32))
    assert sizes[-1] == pytest.approx((1 / 16, 1 / 64))


# ----------------------------------------------------------------------------------------------------------------- core


@pytest.mark.parametrize("n", [1, 2, 3])
def test_spectral_norms_of_forms(n: int) -> None:
    """That of the centre, and the norms of the columns of the rest, summed over the symbols; from above and close."""
    rng = np.random.default_rng(n)
    C, G, R = rng.standard_normal((n, n)), rng.standard_normal((2, n, n)), rng.random((n, n))
    A = [[Form(C[i, j, None], G[:, i, j, None], R[i, j, None]) for j in range(n)] for i in range(n)]
    rest = np.linalg.norm(sum(np.linalg.norm(part, axis=0) for part in (*G, R)))
    found = float(cc._spectral(A)[0])
    exact = np.linalg.norm(C, 2)
    assert exact + rest <= found * (1 + 1e-15) and found <= (exact + rest) * (1 + 1e-7)
    point = [[Form.constant(float(C[i, j]), 1) for j in range(n)] for i in range(n)]
    assert exact * (1 + 1e-13) <= cc._spectral(point)[0] <= exact * (1 + 1e-7)
    for bad in (np.nan, np.inf):
        A[0][0] = Form(np.array([bad]), np.zeros((0, 1)), np.zeros(1))
        assert cc._spectral(A)[0] == np.inf
    A[0][0] = Form(np.zeros(1), np.zeros((0, 1)), np.array([np.nan]))
    assert cc._spectral(A)[0] == np.inf


@pytest.mark.parametrize(
    "C", [[[3.0, 1.0], [0.0, 2.0]], [[3.0, 0.0], [1.0, 2.0]], [[1.0, 0.0], [1.0, 0.0]], [[1.0, 1.0], [0.0, 0.0]]]
)
def test_spectral_norms_do_not_believe_the_singular_vectors(C: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    C = np.array(C)
    A = [[Form.constant(float(v), 1) for v in row] for row in C]
    true = np.linalg.norm(C, 2)
    good = np.linalg.svd(C[None])
    turn = np.array([[[0.6, -0.8], [0.8, 0.6]]])
    for left, right in (
        (np.eye(2)[None], np.eye(2)[None]),
        (turn, np.eye(2)[None]),
        (0.9 * good[0], good[2]),
        (good[0], good[2] * 0.5),
        (good[0] * (1 - 1e-4), good[2]),
        (good[0], good[2] * (1 - 1e-4)),
    ):
        monkeypatch.setattr(np.linalg, "svd", lambda _, left=left, right=right: (left, good[1], right))
        assert cc._spectral(A)[0] >= true


def test_norms_of_vectors_of_forms() -> None:
    """|(3 + 1, 4 + 8)| = 13 - no: (4, 12) has norm sqrt(160); the larger end in size counts."""
    x = [
        Form(np.array([-3.0]), np.array([[1.0]]), np.zeros(1)),
        Form(np.array([4.0]), np.zeros((0, 1)), np.array([8.0])),
    ]
    assert np.sqrt(160) <= cc._norm_up(x) <= np.sqrt(160) * CLOSE
    assert cc._norms_up(x).shape == (1,)


@pytest.mark.parametrize("size", [5e-324, 2.0**-900, 2.0**-600, 2.0**-537])
def test_squares_that_underflow_are_not_taken_for_nothing(size: float) -> None:
    """Norms of vectors and matrices of forms, deviations from rest, the box around a set."""
    point = [Form(np.array([size]), np.zeros((0, 1)), np.zeros(1)), Form(np.zeros(1), np.zeros((0, 1)), np.zeros(1))]
    rest = [Form(np.zeros(1), np.zeros((0, 1)), np.array([size])), point[1]]
    assert cc._norm_up(point) >= size and cc._norm_up(rest) >= size
    assert cc._spectral([point, rest])[0] >= size and cc._spectral([[rest[0]]])[0] >= size
    G = np.array([[size]])
    assert cc.Deviation((np.zeros(1), np.zeros(1)), cc.Near(G), G, np.zeros(1)).reach()[0] >= size
    if size > 2.0**-800:
        thin = ellipsoid(2.0**400, T=np.diag([1.0, 1.0]) / size)
        assert min(cc._half_widths(thin, 2.0**400)) >= size * 2.0**400
        half = 0.9 * size * 2.0**400
        with pytest.raises(Rejected, match="leaves the limits"):
            cc._limits_text({"lower": hexed([-half] * 2), "upper": hexed([half] * 2)}, [thin], True)


def core_of(
    line: cc.Loop, radius: float, half: float = 1e-6, stages: Any = (), **shape: Any
) -> tuple[int, float | None]:
    return cc.prove_core(line, ellipsoid(radius, **shape), np.full(2, -half), np.full(2, half), list(stages))


def test_a_core_contracts() -> None:
    """3 x^2 < 1 within .577, about every x* of the box, hence with room for it twice."""
    assert core_of(cubic(), 0.5)[1] is None
    for radius, half in ((0.6, 1e-6), (0.5, 0.04)):
        with pytest.raises(Rejected, match="contract"):
            core_of(cubic(), radius, half)
    core_of(cubic(), 0.4, 0.04)  # .4 + 2 sqrt(2) .04 = .513
    core_of(loop(0.999, 0.5), 1.0)
    for a in (1.0, -1.001):
        with pytest.raises(Rejected, match="contract"):
            core_of(loop(a, 0.5), 1.0)
    with pytest.raises(Rejected, match="hold the equilibrium"):
        core_of(loop(0.5, 0.5), 0.1, 0.08)
    with pytest.raises(Rejected, match="contract"):  # |T M T^-1| of [0.9 0; 0 .1] in skew coordinates is above 1
        core_of(loop(0.9, 0.1), 1.0, T=np.array([[1.0, 2.0], [0.0, 1.0]]))
    core_of(loop(0.9, 0.1), 1.0, T=np.array([[1.0, 0.25], [0.0, 1.0]]))
    core_of(loop(0.5, 0.25, parameters=[(0.5, 1.9)]), 1.0)
    with pytest.raises(Rejected):
        core_of(loop(0.5, 0.25, parameters=[(0.5, 2.1)]), 1.0)


def test_final_balls_hold_what_is_pushed() -> None:
    """x / 2 + d, |d| <= 1/8: rate above 1/2, push above 1/8, push < (1 - rate) radius, within the ball before."""
    line = loop(0.5, 0.25, 0.125)
    good = stage(0.501, 0.1251, 0.2508)
    used, last = core_of(line, 0.5, stages=[good])
    assert last == 0.2508 and used > 0
    used_two, last = core_of(line, 0.5, stages=[stage(0.501, 0.1251, 0.4), good])
    assert last == 0.2508 and used_two > used
    for stages in (
        [stage(0.499, 0.1251, 0.2508)],
        [stage(0.501, 0.1249, 0.2508)],
        [stage(0.501, 0.1251, 0.2507)],
        [stage(0.501, 0.1251, 0.51)],
        [good, stage(0.501, 0.1251, 0.26)],
        [stage(1.0, 0.1251, 0.4)],
        [stage(-0.1, 0.1251, 0.4)],
        [stage(0.501, 0.0, 0.4)],
        [],
        [good] * 9,
        [good | {"x": 1}],
    ):
        with pytest.raises(Rejected):
            core_of(line, 0.5, stages=stages)
    with pytest.raises(Rejected, match="belong together"):
        core_of(loop(0.5, 0.25), 0.5, stages=[good])
    # each stage needs its rate on the ball of the one before only: 3 x^2 on .3 is .27
    pushed = cubic()
    pushed.error, pushed.disturbed = 0.05, True
    core_of(pushed, 0.5, stages=[stage(0.76, 0.051, 0.3), stage(0.28, 0.051, 0.1)])
    with pytest.raises(Rejected, match="contract"):
        core_of(pushed, 0.5, stages=[stage(0.74, 0.051, 0.3)])
    with pytest.raises(Rejected, match="contract"):
        core_of(pushed, 0.5, stages=[stage(0.76, 0.051, 0.3), stage(0.26, 0.051, 0.1)])


# ------------------------------------------------------------------------------------------------------------- decrease


@pytest.mark.parametrize(
    ("new", "center", "half", "largest"),
    [
        ([(0.0, [0.0], 0.0)], 0.0, 0.5, "0"),
        ([(0.0, [0.0], 0.0)], 0.25, 0.5, "0"),
        ([(0.0, [0.0], 0.0)], 1.0, 0.5, "-1/4"),
        ([(0.0, [0.0], 0.0)], 1.25, 1.0, "-1/16"),
        ([(0.0, [0.0], 0.0)], -1.25, 1.0, "-1/16"),
        ([(0.0, [1.0, 1.0], 0.0)], 0.0, 0.0, "4"),
        ([(1.0, [1.0, -2.0], 0.0)], 0.0, 0.0, "16"),
        ([(1.0, [0.5], 0.25)], 0.0, 0.0, "49/16"),
        ([(1.0, [0.5], 0.0)], 2.0, 1.0, "-3/4"),  # (1 + e/2)^2 - (2 + e)^2 = -3 (1 + e/2)^2: at e = -1
    ],
)
def test_growth_by_hand(new: Any, center: float, half: float, largest: str) -> None:
    """const + sum max(|l| e + Q e^2) + sum |Q_ij|, to a billionth, from above by 2^-40 of the squares."""
    forms = [Form(np.array([c]), np.array(G)[:, None], np.array([r])) for c, G, r in new]
    found = float(cc._growth(forms, np.array([[center]]), np.array([[half]]), 0.0)[0])
    exact = float(Fraction(largest))
    squares = sum((abs(c) + sum(map(abs, G)) + r) ** 2 for c, G, r in new) + (abs(center) + half) ** 2
    assert exact + 2.0**-41 * squares <= found <= exact + 2.0**-39 * squares + 1e-250
    wide = float(cc._growth(forms, np.array([[center]]), np.array([[half]]), 0.01)[0])
    # |T S z| >= (1 - gap) |z|: the square is smaller by 2 gap |z|^2 at most
    assert (
        found + 0.02 * (abs(center) + half) ** 2 <= wide + 1e-15 <= found + 0.0301 * (abs(center) + half) ** 2 + 1e-12
    )


def test_growth_of_two_states_takes_each_with_its_own_symbol() -> None:
    new = [Form(np.zeros(1), np.zeros((2, 1)), np.zeros(1))] * 2
    found = float(cc._growth(new, np.array([[3.0, 4.0]]), np.array([[1.0, 2.0]]), 0.0)[0])
    assert found == pytest.approx(-(2.0**2) - 2.0**2, rel=1e-9)
    same = boxed([2.0, 2.0], [4.0, 6.0])
    assert 0 < cc._growth(same, np.array([[3.0, 4.0]]), np.array([[1.0, 2.0]]), 0.0)[0] < 1e-10
    assert (
        not cc._growth(
            [Form(np.array([np.nan]), np.zeros((0, 1)), np.zeros(1))], np.ones((1, 1)), np.ones((1, 1)), 0.0
        )[0]
        < 0
    )


def decrease(line: cc.Loop, radius: float, steps: int, inner: float | None, **shape: Any) -> int:
    before = [] if inner is None else [ellipsoid(inner)]
    return cc.prove_decrease(line, ellipsoid(radius, **shape), steps, before)


def test_v_falls_outside_the_sets_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """x^3 within 1; x / 2 everywhere but at 0, which a set must hold; [0 2; .1 0] after two steps."""
    assert decrease(loop(0.5, 0.25), 1.0, 1, 0.1) > 100
    decrease(cubic(), 0.9, 1, 0.1)
    for line, radius, steps, inner in (
        (cubic(), 1.1, 1, 0.1),
        (loop(0.5, 0.25), 1.0, 1, None),
        (loop(1.0, 0.25), 1.0, 1, 0.1),
        (loop(1.01, 0.25), 1.0, 2, 0.1),
    ):
        with pytest.raises(Rejected, match="does not decrease"):
            decrease(line, radius, steps, inner)
    swap = program(3, [2.0, 0.1], [["mul", 1, 3], ["mul", 0, 4], ["add", 5, 2]], [7, 6])
    turning = cc.Loop(
        ZERO_POLICY, {"name": "s", "dt": (1.0).hex(), "step": swap, "observe": program(2, [], [], [0, 1])}, 2
    )
    decrease(turning, 1.0, 2, 0.1)
    with pytest.raises(Rejected):
        decrease(turning, 1.0, 1, 0.1)
    decrease(loop(0.5, 0.25, parameters=[(0.5, 1.9)]), 1.0, 1, 0.1)
    with pytest.raises(Rejected):
        decrease(loop(0.5, 0.25, parameters=[(0.5, 2.02)]), 1.0, 1, 0.1)
    decrease(loop(0.5, 0.25, 0.125), 1.0, 1, 0.3)
    with pytest.raises(Rejected):  # V of (x / 2 + d)^2 may grow below 1/4
        decrease(loop(0.5, 0.25, 0.125), 1.0, 1, 0.2)
    # the edge of a set that lies deep in another is no edge
    cc.prove_decrease(loop(0.5, 0.25, 0.125), ellipsoid(1.0), 1, [ellipsoid(0.3), ellipsoid(0.1, (0.1, 0.0))])
    # in the coordinates of the set: V = |T x|^2
    decrease(loop(0.9, 0.1), 1.0, 1, 0.1, T=np.array([[1.0, 0.1], [0.0, 1.0]]))
    with pytest.raises(Rejected):
        decrease(loop(0.9, 0.1), 1.0, 1, 0.1, T=np.array([[1.0, 3.0], [0.0, 1.0]]))


def test_sets_that_seem_to_hold_points_and_routes() -> None:
    sets = [ellipsoid(1.0), ellipsoid(0.5, (3.0, 0.0)), ellipsoid(2.0, T=np.diag([1.0, 4.0]))]
    x = [np.array([0.5, 3.4, 1.5, 9.0, 0.0, 2.0]), np.array([0.0, 0.0, 0.0, 0.0, 0.9, 0.0])]
    which, depth = cc._deepest(x, sets)
    assert which.tolist() == [2, 1, 2, 2, 0, 2]  # (0, .9): .19 deep in the first, V = 12.96 of 4 in the last
    assert depth[[0, 1, 2, 3]] == pytest.approx([1 - 0.25 / 4, 1 - 0.16 / 0.25, 1 - 2.25 / 4, 1 - 81 / 4])
    done = np.zeros(4, dtype=bool)
    forms = [
        Form(np.array([0.5, 5.0, 3.1]), np.zeros((0, 3)), np.zeros(3)),
        Form(np.zeros(3), np.zeros((0, 3)), np.zeros(3)),
    ]
    cc._hold(done, np.array([3, 2, 0]), np.array([0, 0, 1]), forms, sets)
    assert done.tolist() == [True, False, False, True]
    cc._hold(done, np.array([1, 2, 0]), np.array([-1, -1, -1]), forms, sets)
    assert done.tolist() == [True, False, False, True]

    def route(line: cc.Loop, x: list[float], steps: int, before: Any = ()) -> tuple[int, int]:
        points = [np.array([v]) for v in x]
        when, where = cc._route(line, ellipsoid(1.0), list(before), points, np.array([x]), steps)
        return int(when[0]), int(where[0])

    assert route(loop(0.5, 0.25), [1.0, 0.0], 1) == (1, -1) == route(loop(2.0, 0.25), [1.0, 0.0], 1)
    assert route(loop(0.5, 0.25), [1.0, 0.0], 4) == (1, -1)
    assert route(loop(2.0, 0.25), [1.0, 0.0], 4) == (0, -1)
    assert route(loop(np.sqrt(0.98), 0.25), [1.0, 0.0], 4) == (2, -1)  # .98, then .9604 < .97
    assert route(loop(np.sqrt(0.999), 0.25), [1.0, 0.0], 3) == (3, -1)  # never clear: the smallest
    assert route(loop(2.0, 0.25), [1.0, 0.0], 4, [ellipsoid(0.1, (7.0, 0.0)), ellipsoid(0.1, (4.0, 0.0))]) == (2, 1)
    assert route(loop(2.0, 0.25), [1.0, 0.0], 1, [ellipsoid(0.1, (2.0, 0.0))]) == (1, -1)
    assert route(loop(2.0, 0.25), [1.0, 0.0], 2, [ellipsoid(0.1, (2.0, 0.0))]) == (1, 0)
    assert route(loop(2.0, 0.25), [1.0, 0.0], 2, [ellipsoid(0.1, (2.101, 0.0))]) == (0, -1)
    # 2 and 4 in a set: the first 1 - (1.4 / 1.5)^2 = .13 deep, the second is more so
    assert route(loop(2.0, 0.25), [1.0, 0.0], 2, [ellipsoid(1.5, (3.4, 0.0))]) == (2, 0)


def test_bends_guide_where_cells_are_halved() -> None:
    """x^3 + u and y / 4: second differences of x alone; no axis below a tenth."""
    bends = cc._bends(cubic(), ellipsoid(1.0, (1.0, 0.0)))
    assert bends[1] == pytest.approx(0.1 * bends[0]) and bends[0] == pytest.approx(6 * 0.04, rel=0.2)
    assert cc._bends(loop(0.0, 0.0), ellipsoid(1.0)).tolist() == [1.0, 1.0]
    wide = cc._bends(cubic(), ellipsoid(2.0, (1.0, 0.0), np.diag([2.0, 1.0])))
    assert wide[0] == pytest.approx(2 * 6 * 0.04, rel=0.3)


def test_spectral_norms_of_numbers_do_not_believe_the_singular_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """U = V = sqrt(1 - s): |C| = |D| / (1 - s), above |D| (1 + s) by s^2; where U'U is far from I nothing is known."""
    for s, known in ((9e-4, True), (1.1e-3, False), (0.5, False)):
        side = np.full((1, 1, 1), np.sqrt(1 - s))
        for left, right in ((side, side), (side, np.ones((1, 1, 1))), (np.ones((1, 1, 1)), side)):
            monkeypatch.setattr(np.linalg, "svd", lambda C, left=left, right=right: (left, None, right))
            found = float(cc._spectral([[Form.constant(3.0, 1)]])[0])
            assert (3.0 <= found <= 3.01) if known else found == np.inf


def test_many_cells_at_once_are_many_cells() -> None:
    """Three different ones, in few and in many symbols, with radii: as each by itself."""
    rng = np.random.default_rng(0)
    for count in (2, 6, 7, 9):
        forms = [Form(rng.normal(0, 1, 3), rng.normal(0, 0.3, (count, 3)), 0.2 * rng.random(3)) for _ in range(2)]
        alone = [[form.take(np.arange(3) == k) for form in forms] for k in range(3)]
        T, center = np.array([[0.6, 0.8], [-0.8, 0.6]]), (0.25, -0.5)
        sizes = []
        for k in range(3):
            low, high = 0.0, 50.0
            for _ in range(50):
                middle = (low + high) / 2
                held = bool(ellipsoid(middle, center, T).holds(alone[k])[0])
                low, high = (low, middle) if held else (middle, high)
            sizes.append(high)
        for k in range(3):
            for hair in (1 + 1e-9, 1 - 1e-9):
                one = ellipsoid(sizes[k] * hair, center, T)
                assert one.holds(forms).tolist() == [bool(one.holds(part)[0]) for part in alone]
        for k, part in enumerate(alone):
            c = T @ [float(f.c[0]) - m for f, m in zip(part, center, strict=True)]
            G = T @ np.stack([f.G[:, 0] for f in part])
            r = np.abs(T) @ [float(f.r[0]) for f in part]
            worst = np.linalg.norm(c + np.array(list(product((-1, 1), repeat=count))) @ G.T, axis=1).max()
            if count > cc.CORNERS:
                worst = np.sqrt(c @ c + 2 * np.abs(G.T @ c).sum() + np.abs(G.T @ G).sum())
            assert sizes[k] == pytest.approx(worst + np.linalg.norm(r), rel=1e-8)
            top = [float(f.range()[1][0]) for f in ellipsoid(1.0, center, T).coordinates(part)]
            assert np.allclose(top, c + np.abs(G).sum(axis=1) + r)


@pytest.mark.parametrize(
    ("name", "true"),
    [("_arctan", lambda v: 1 / (1 + v * v)), ("_exp", np.exp), ("_sqrt", lambda v: 0.5 / np.sqrt(v))],
)
def test_slopes_between_two_arguments(name: str, true: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The least and the greatest derivative, of arctan with 0 between or not."""
    monkeypatch.setattr(Form, "by_derivative", lambda self, function, slopes: slopes)
    slopes = getattr(cc, name)(Form.constant(2.0, 1))
    for lo, hi in (
        (-0.5, 0.25),
        (-0.25, 0.5),
        (0.25, 2.0),
        (-2.0, -0.25),
        (-3.0, 0.5),
        (0.0, 1.0),
        (-1.0, 0.0),
        (1.0, 1.0),
    ):
        a, b = (lo + 3.5, hi + 3.5) if name == "_sqrt" else (lo, hi)
        least, most = (float(part[0]) for part in slopes(np.array([a]), np.array([b])))
        values = true(np.append(np.linspace(a, b, 101), np.clip(0.0, a, b)))
        assert least == pytest.approx(values.min(), rel=1e-14) and most == pytest.approx(values.max(), rel=1e-14)


def test_forms_of_different_symbols_are_held_together() -> None:
    """(3 + e_1, 4 + e_2 - e_3) reaches (4, 6)."""
    x = [
        Form(np.array([3.0]), np.array([[1.0]]), np.zeros(1)),
        Form(np.array([4.0]), np.array([[0.0], [1.0], [-1.0]]), np.zeros(1)),
    ]
    for hair, inside in ((CLOSE, True), (1 / CLOSE, False)):
        assert bool(ellipsoid(np.hypot(4, 6) * hair).holds(x)[0]) is inside
        assert bool(ellipsoid(np.hypot(4, 6) * hair).holds(x[::-1])[0]) is inside


@pytest.mark.parametrize("reach", [0.1, 0.7, 3.0, 7e9 / 3])
def test_cells_of_a_deep_cover_join(reach: float) -> None:
    """Those about .77 reach, halved 25 times: in fractions, one begins before the other ends, and no gap is left."""
    point, cells = 0.77 * reach, list[tuple[Fraction, Fraction]]()

    def prove(centers: np.ndarray, halves: np.ndarray) -> np.ndarray:
        good = (np.abs(centers[:, 0] - point) > 3 * halves[:, 0]) | (halves[:, 0] < 2.0**-25 * reach)
        cells.extend((Fraction(c), Fraction(h)) for c, h in zip(centers[good, 0], halves[good, 0], strict=True))
        return np.asarray(good)

    cc._cover(1, reach, 30, prove, "x")
    cells.sort()
    assert min(h for _, h in cells) < Fraction(reach) / 2**24
    reached = cells[0][0] + cells[0][1]
    assert cells[0][0] - cells[0][1] <= -Fraction(reach)
    for c, h in cells[1:]:
        assert c - h <= reached
        reached = max(reached, c + h)
    assert reached >= Fraction(reach)
