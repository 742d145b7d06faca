"""The parts of the core, on maps whose derivatives are known and matrices whose norms are a short calculation."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lipctrl.intervals.functions import clip, exp, sin, sqrt
from lipctrl.intervals.interval import Interval
from lipctrl.proofs import core
from lipctrl.proofs.core import (
    Stage,
    _norms,
    _stage,
    contraction,
    final_ball,
    final_stages,
    prove_core,
    reach,
    spectral_norms,
)
from lipctrl.proofs.ellipsoid import Ellipsoid
from tests.proofs.maps_for_tests import linear, loop_of

CLOSE = 1 + 1e-9
POINT = Interval(np.zeros(2))


def ball(radius: float, T: Any = None, n: int = 2) -> Ellipsoid:
    return Ellipsoid(np.zeros(n), np.eye(n) if T is None else np.asarray(T, dtype=float), radius)


def box(half: float) -> Interval:
    return Interval(np.full(2, -half), np.full(2, half))


def line(f: Any, **options: Any) -> Any:
    return loop_of(f, 1, **options)


@pytest.mark.parametrize("T", [np.eye(2), np.diag([2.0, 0.5]), [[1.0, 0.5], [0.0, 1.0]]])
def test_of_a_linear_map_the_rate_is_the_norm(T: Any) -> None:
    """|T A T^-1|_2, from above and to a billionth."""
    A = np.array([[0.25, 0.125], [-0.125, 0.5]])
    exact = np.linalg.norm(np.asarray(T) @ A @ np.linalg.inv(T), 2)
    rate, push = contraction(linear(A), ball(1.0, T), 0.25, 5)
    assert exact * (1 - 1e-15) <= rate <= exact * CLOSE and push == 0.0


def test_of_a_cube_the_rate_is_that_at_the_end_of_the_ball() -> None:
    """3 x^2 at radius + offset, whatever the number of cells: the last cell ends there."""
    for radius, offset, splits in ((0.4, 0.0, 3), (0.3, 0.125, 7), (0.25, 0.25, 64)):
        rate, _ = contraction(line(lambda x: (x**3,)), ball(radius, n=1), offset, splits)
        assert 3 * (radius + offset) ** 2 <= rate <= 3 * (radius + offset) ** 2 * CLOSE


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_no_cell_is_left_out(sign: float) -> None:
    """The largest slope, .3 e^R, lies at one end of more cells than are treated at once."""
    loop = loop_of(lambda x, y: (0.3 * exp(sign * x), 0.0 * y))
    rate, _ = contraction(loop, ball(0.5), 0.0, 40)
    assert 0.3 * np.exp(0.5) <= rate <= 0.3 * np.exp(0.5) * 1.05


@pytest.mark.parametrize("ends", [(0.2, 0.8), (-0.8, 0.2), (-0.8, -0.7)])
def test_the_worst_parameter_counts(ends: tuple[float, float]) -> None:
    rate, _ = contraction(line(lambda x, r: (r * x,), rate=ends), ball(1.0, n=1), 0.0, 3)
    assert 0.8 <= rate <= 0.8 * CLOSE


def test_a_rate_of_one_is_none() -> None:
    assert contraction(line(lambda x: (x,)), ball(1.0, n=1), 0.0, 3) == (np.inf, np.inf)
    assert contraction(line(lambda x: (x**3,)), ball(0.58, n=1), 0.0, 9) == (np.inf, np.inf)
    assert contraction(line(lambda x: (0.999 * x,)), ball(1.0, n=1), 0.0, 3)[0] < 0.9991


def test_the_worst_cell_of_the_worst_part_counts_and_a_little_more(monkeypatch: pytest.MonkeyPatch) -> None:
    found = iter([([0.25, 0.5, 0.125], [3.0, 1.0, 2.0]), ([0.375, 0.25, 0.25], [2.0, 4.0, 1.0])] * 9)
    monkeypatch.setattr(core, "_norms", lambda *_: tuple(map(np.array, next(found))))
    for error in (0.0, 0.125):
        monkeypatch.setattr(Ellipsoid, "inverse", lambda self, e=error: (np.linalg.inv(self.T), e))
        rate, push = contraction(line(lambda x, r: (r * x,), rate=(0.1, 0.2)), ball(1.0, n=1), 0.0, 3)
        assert 0.5 * (1 + 2 * error) < rate <= 0.5 * (1 + 2 * error) * CLOSE and push == 4.0


def test_the_error_of_the_inverse_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """|T S - I| <= .01: the ball reaches 1 / .99 further in z, and |(T S)^-1| <= 1 / .99."""
    monkeypatch.setattr(Ellipsoid, "inverse", lambda self: (np.linalg.inv(self.T), 0.01))
    assert 0.5 / 0.99 <= contraction(line(lambda x: (0.5 * x,)), ball(1.0, n=1), 0.0, 3)[0] <= 0.5 * 1.021
    rate, _ = contraction(line(lambda x: (x**3,)), ball(0.25, n=1), 0.125, 3)
    assert 3 * (0.375 / 0.99) ** 2 / 0.99 <= rate <= 3 * (0.375 * 1.041) ** 2 * 1.021


@pytest.mark.parametrize(("T", "size"), [(np.eye(2), 1.0), ([[2.0, 0.0], [1.0, 1.0]], np.sqrt(5.0))])
def test_errors_of_the_action_push_by_their_column(T: Any, size: float) -> None:
    """The action enters the first state: |T e_1| times the error."""
    _, push = contraction(loop_of(lambda x, y: (0.3 * x, 0.2 * y), error=0.01), ball(1.0, T), 0.0, 3)
    assert 0.01 * size * (1 - 1e-15) <= push <= 0.01 * size * CLOSE


# -------------------------------------------------------------------------------------------------- norms of Jacobians


def norms(
    Fx: Any, Rx: Any, Fu: Any, Ru: Any, middle: Any, radius: Any, errors: Any, T: Any, S: Any
) -> tuple[float, float]:
    def interval(mid: Any, rad: Any) -> Interval:
        mid, rad = np.asarray(mid, dtype=float)[..., None], np.asarray(rad, dtype=float)[..., None]
        return Interval(mid - rad, mid + rad)

    parts = (np.asarray(part, dtype=float)[None] for part in (middle, radius, errors))
    found = interval(Fx, Rx), interval(Fu, Ru), *parts
    loop: Any = SimpleNamespace(derivatives=lambda x, seeds: found, disturbed=True)
    total, pushed = _norms(loop, np.asarray(T, dtype=float), np.asarray(S, dtype=float), ())
    return float(total[0]), float(pushed[0])


ZERO = np.zeros((2, 2))


def test_norms_by_hand() -> None:
    """|T (Fx S + Fu middle)|, the Frobenius norm of |T| (Rx |S| + Ru (|middle| + radius)), and |T Fu| |radius|."""
    one, none = np.ones((2, 1)), np.zeros((1, 2))
    total, _ = norms(np.diag([0.5, 0.25]), ZERO, 0 * one, 0 * one, none, none, [0.0], np.eye(2), np.eye(2))
    assert 0.5 <= total <= 0.5 * CLOSE
    # Frobenius norm of [[1, 2], [2, 4]] is 5; binary fractions, so that centre and radius are exact
    total, _ = norms(ZERO, [[1, 2], [2, 4]], 0 * one, 0 * one, none, none, [0.0], np.eye(2), np.eye(2))
    assert 5 <= total <= 5 * CLOSE
    # |T| Rx |S| = [[0, 3/2], [0, 1]] [[1, 0], [2, 1]], whatever the signs
    ones = [[0, 1], [0, 0.5]], [[1, -1], [0, 2]], [[1, 0], [-2, 1]]
    total, _ = norms(ZERO, ones[0], 0 * one, 0 * one, none, none, [0.0], ones[1], ones[2])
    exact = np.linalg.norm([[3.0, 1.5], [2.0, 1.0]])
    assert exact <= total <= exact * CLOSE
    # Fu = (3, 4)', rows of the radius (5, 12): 5 * 13, and centre Fu middle of norm 5 * |(1, 0)|
    total, _ = norms(ZERO, ZERO, [[3], [4]], 0 * one, [[1, 0]], [[5, 12]], [0.0], np.eye(2), np.eye(2))
    assert 70 <= total <= 70 * CLOSE
    # two actions: each its column times its row: 1 * 5 + 2 * 10
    total, _ = norms(ZERO, ZERO, [[1, 0], [0, 2]], ZERO, ZERO, [[3, 4], [6, 8]], [0, 0], np.eye(2), np.eye(2))
    assert 25 <= total <= 25 * CLOSE
    # Ru (|middle| + radius) = (1, 2)' (|-1| + 2, 3 + 1) = [[3, 4], [6, 8]]: sqrt(125)
    total, _ = norms(ZERO, ZERO, 0 * one, [[1], [2]], [[-1, 3]], [[2, 1]], [0.0], np.eye(2), np.eye(2))
    assert np.sqrt(125) * (1 - 1e-15) <= total <= np.sqrt(125) * CLOSE
    # both at once: [[3, 4], [6, 8]] and [[1, 0], [2, 0]]
    total, _ = norms(ZERO, [[1, 0], [2, 0]], 0 * one, [[1], [2]], [[-1, 3]], [[2, 1]], [0.0], np.eye(2), np.eye(2))
    assert np.sqrt(4**2 + 4**2 + 8**2 + 8**2) * (1 - 1e-15) <= total <= np.sqrt(160) * CLOSE
    # a radius that is as small as the roundings of a centre of 1 - 1
    total, _ = norms(np.eye(2), 2.0**-43 * np.eye(2), -np.eye(2), ZERO, np.eye(2), ZERO, [0, 0], np.eye(2), np.eye(2))
    assert total >= 2.0**-43 * np.sqrt(2)
    # what is left of 1 - 1 + 2^-47
    _, pushed = norms(ZERO, ZERO, [[1], [2.0**-47 - 1]], 0 * one, none, none, [1.0], [[1, 1], [0, 0]], np.eye(2))
    assert pushed >= 2.0**-47
    # Fx S = [[1, 0], [0, 1]] less Fu middle = the same: nothing is left
    total, _ = norms(np.eye(2), ZERO, -np.eye(2), ZERO, np.eye(2), ZERO, [0, 0], np.eye(2), np.eye(2))
    assert 0 <= total <= 1e-9


def test_norms_of_nothing_and_of_what_underflows() -> None:
    none = np.zeros((1, 2))
    for size in (0.0, 5e-324, 2.0**-900, 2.0**-600):
        for F, R in ((np.full((2, 2), size), ZERO), (ZERO, np.full((2, 2), size))):
            total, pushed = norms(F, R, np.zeros((2, 1)), np.zeros((2, 1)), none, none, [0.0], np.eye(2), np.eye(2))
            assert total >= 2 * size and pushed >= 0.0
        assert spectral_norms(np.full((1, 2, 2), size))[0] >= 2 * size


def test_pushes_by_hand() -> None:
    """sum_i (|T Fu_i| + | |T| Ru_i |) a_i: (5 + 5) 2 + (13 + 0) 1 for T = I."""
    none = np.zeros((2, 2))
    _, pushed = norms(ZERO, ZERO, [[3, 5], [4, 12]], [[4, 0], [3, 0]], none, none, [2, 1], np.eye(2), np.eye(2))
    assert 33 <= pushed <= 33 * CLOSE
    # T = [[1, -1], [0, 1]]: T (1, 1)' = (0, 1)', |T| (1, 1)' = (2, 1)'
    _, pushed = norms(ZERO, ZERO, [[1], [1]], [[1], [1]], none[:1], none[:1], [1], [[1, -1], [0, 1]], np.eye(2))
    assert 1 + np.sqrt(5) <= pushed <= (1 + np.sqrt(5)) * CLOSE


def test_norms_of_what_is_not_known_are_infinite() -> None:
    none = np.zeros((1, 2))
    for bad in (np.nan, np.inf):
        found = norms(ZERO, ZERO, [[1], [1]], [[0], [0]], none, [[bad, 0]], [bad], np.eye(2), np.eye(2))
        assert found == (np.inf, np.inf)


@pytest.mark.parametrize("seed", range(20))
def test_norms_where_almost_everything_cancels(seed: int) -> None:
    """T times F is a rounding error of its parts: the bound is that of the exact numbers, in fractions."""
    rng = np.random.default_rng(seed)
    a = 1 + rng.random(2)
    T = np.array([[a[1], -a[0]], [0.0, 2.0**-60]])  # (T a)_1 = 0 up to the rounding of two products
    F = np.stack([a, a], axis=1) * (1 + 2.0**-52 * rng.integers(-3, 4, (2, 2)))
    exact = [sum(Fraction(float(t)) * Fraction(float(f)) for t, f in zip(T[0], F[:, j], strict=True)) for j in (0, 1)]
    none = np.zeros((1, 2))
    total, _ = norms(F, ZERO, np.zeros((2, 1)), np.zeros((2, 1)), none, none, [0.0], T, np.eye(2))
    assert Fraction(total) ** 2 >= exact[0] ** 2 + exact[1] ** 2
    total, pushed = norms(ZERO, ZERO, F[:, :1], np.zeros((2, 1)), none, [[1, 0]], [1.0], T, np.eye(2))
    assert Fraction(total) ** 2 >= exact[0] ** 2 and Fraction(pushed) ** 2 >= exact[0] ** 2


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_norms_count_the_roundings_of_three_products(n: int) -> None:
    """Of B = A A', of V'V - I and of B - V diag(lam) V': 64 n^3 u each, under the root, and 2^-40 of the whole."""
    each = 64 * n**3 * 2.0**-53
    counted = (float(spectral_norms(np.eye(n)[None])[0]) / (1 + 2.0**-40)) ** 2 - 1
    assert 2.99 * each <= counted <= 3.01 * each + 1e-15
    assert spectral_norms(np.zeros((1, n, n)))[0] < 1e-250


def test_norms_do_not_believe_the_eigenvectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever V and lam are: the bound stays above the norm."""
    A = np.array([[[3.0, 1.0], [0.0, 2.0]]])
    true = np.linalg.norm(A[0], 2)
    B = A[0] @ A[0].T / 9.0
    for lam, V in (
        (np.zeros((1, 2)), np.eye(2)[None]),
        (np.diag(B)[None], np.eye(2)[None]),
        (np.linalg.eigvalsh(B)[None], 0.5 * np.linalg.eigh(B)[1][None]),
        (np.linalg.eigvalsh(B)[None] * 4, 0.5 * np.linalg.eigh(B)[1][None]),
        (np.linalg.eigvalsh(B)[None] / 4, 2.0 * np.linalg.eigh(B)[1][None]),
        (-np.linalg.eigvalsh(B)[None], np.linalg.eigh(B)[1][None]),
        (np.linalg.eigvalsh(B)[None], np.array([[[0.0, 1.0], [1.0, 0.1]]])),
    ):
        monkeypatch.setattr(np.linalg, "eigh", lambda _, lam=lam, V=V: (lam, V))
        assert spectral_norms(A)[0] >= true


# -------------------------------------------------------------------------------------------------------- core and ends


def test_the_core_is_the_ball_less_the_reach_of_the_equilibrium() -> None:
    """radius + reach of the equilibrium <= radius of the ball, in fractions."""
    loop = linear(0.5 * np.eye(2))
    for radius in (0.3, 0.7, 1.0):
        for half in (1e-3, 2.0**-10, 0.1):
            found = prove_core(loop, ball(radius), box(half), 3)
            assert found is not None
            assert Fraction(found.radius) + Fraction(reach(ball(radius), box(half))) <= Fraction(radius)
            assert found.radius >= radius - np.sqrt(2) * half * CLOSE
    exact = prove_core(loop, ball(1.0), POINT, 3)
    assert exact is not None and exact.radius < 1.0
    assert prove_core(loop, ball(0.1), box(0.08), 3) is None
    assert prove_core(loop, ball(0.3), box(0.12), 3) is None  # less .17: it would not hold every x*
    assert prove_core(linear(np.eye(2)), ball(0.1), POINT, 3) is None
    # the cube contracts within .577: the ball about every x* of the box must be inside
    cube = loop_of(lambda x, y: (x**3, 0.5 * y))
    assert prove_core(cube, ball(0.55), box(1e-3), 60) is not None
    assert prove_core(cube, ball(0.55), box(0.03), 60) is None


def test_reach_is_that_of_the_farthest_corner() -> None:
    """|T (.001, .001)| with T = diag(3, 4), and with a part of another sign."""
    for T, exact in ((np.diag([3.0, 4.0]), 5e-3), (np.array([[3.0, -1.0], [0.0, 3.0]]), 5e-3)):
        found = reach(Ellipsoid(np.zeros(2), T, 1.0), box(1e-3))
        assert exact <= found <= exact * CLOSE


def disturbed(f: Any, error: float) -> Any:
    return loop_of(f, error=error)


def test_a_stage_by_hand() -> None:
    """.5 and .01 with 2 % of room: rate .51, push .0102, radius .0102 / .49; it must fit into the ball."""
    loop = disturbed(lambda x, y: (0.5 * x, 0.1 * y), 0.01)
    stage = _stage(loop, ball(0.3), 0.0, 3)
    assert stage is not None
    np.testing.assert_allclose([stage.rate, stage.push, stage.radius], [0.51, 0.0102, 0.0102 / 0.49], rtol=1e-9)
    assert Fraction(stage.push) < (1 - Fraction(stage.rate)) * Fraction(stage.radius)
    assert _stage(loop, ball(0.02082), 0.0, 3) is not None and _stage(loop, ball(0.02081), 0.0, 3) is None
    assert _stage(linear(0.5 * np.eye(2)), ball(0.3), 0.0, 3) == Stage(pytest.approx(0.5), 0.0, 0.0)
    assert _stage(linear(np.eye(2)), ball(0.3), 0.0, 3) is None
    assert _stage(linear(0.5 * np.eye(2)), ball(1.0, [[1.0, 1.0], [1.0, 1.0 + 1e-13]]), 0.0, 3) is None


@pytest.mark.parametrize("push", [0.0, 5e-324, 2.0**-1000, 2.0**-900])
def test_a_push_that_underflows_is_not_taken_for_nothing(monkeypatch: pytest.MonkeyPatch, push: float) -> None:
    monkeypatch.setattr(core, "contraction", lambda *given: (0.5, push))
    stage = _stage(disturbed(lambda x, y: (0.5 * x, 0.1 * y), 0.01), ball(0.3), 0.0, 3)
    assert stage is not None and stage.push >= push
    assert Fraction(stage.push) < (1 - Fraction(stage.rate)) * Fraction(stage.radius)


def test_the_first_stage_is_proved_on_a_ball_about_every_equilibrium(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its radius is at least that of the core and the reach of the equilibrium, in fractions."""
    seen: list[Ellipsoid] = []
    monkeypatch.setattr(core, "_stage", lambda loop, ball, *_: seen.append(ball))
    for half in (1e-3, 0.0007, 0.3):
        final_stages(disturbed(lambda x, y: (0.5 * x, 0.1 * y), 0.01), ball(0.7), box(half), 3)
        assert Fraction(seen[-1].radius) >= Fraction(0.7) + Fraction(reach(ball(0.7), box(half)))


def test_stages_shrink_until_it_is_not_worth_it() -> None:
    """A linear loop has one; where the rate falls with the ball there are more, each a tenth smaller, four at most."""
    flat = disturbed(lambda x, y: (0.5 * x, 0.1 * y), 0.01)
    assert len(final_stages(flat, ball(0.3), POINT, 3)) == 1
    assert final_stages(linear(0.5 * np.eye(2)), ball(0.3), POINT, 3) == ()
    cube = disturbed(lambda x, y: (3.0 * x**3, 0.1 * y), 0.02)
    stages = final_stages(cube, ball(0.3), POINT, 30)
    assert 2 <= len(stages) <= 4
    for before, after in zip(stages, stages[1:], strict=False):
        assert after.radius <= 0.9 * before.radius and after.rate < before.rate
    # each stage proves its rate on the ball of the one before
    for R, stage in zip((0.3, *(s.radius for s in stages)), stages, strict=False):
        assert 9 * R**2 <= stage.rate <= 9 * R**2 * 1.03 + 0.02
        assert 0.0204 <= stage.push <= 0.02041
    slow = disturbed(lambda x, y: (1.9 * sin(x) * sin(x) * x, 0.1 * y), 1e-4)
    assert 2 <= len(final_stages(slow, ball(0.4), POINT, 20)) <= 4


def test_stages_begin_with_the_ball_that_holds_the_core_about_every_equilibrium() -> None:
    cube = disturbed(lambda x, y: (x**3, 0.1 * y), 1e-3)
    inner, wide = ball(0.4), box(0.03)
    offset = np.sqrt(2) * 0.03
    (first, *_) = final_stages(cube, inner, wide, 40)
    assert 3 * (0.4 + 2 * offset) ** 2 <= first.rate
    assert final_stages(cube, inner, box(0.07), 40) == ()  # .4 + 2 sqrt(2) .07 = .598 > .577


def test_the_final_ball_holds_that_of_the_last_stage_about_every_equilibrium() -> None:
    stages = (Stage(0.5, 0.1, 0.3), Stage(0.4, 0.1, 0.2))
    found = final_ball(ball(1.0), box(0.05), stages)
    assert 0.2 + np.sqrt(2) * 0.05 <= found.radius <= (0.2 + np.sqrt(2) * 0.05) * CLOSE
    none = final_ball(ball(1.0), box(0.05), ())
    assert np.sqrt(2) * 0.05 <= none.radius <= np.sqrt(2) * 0.05 * CLOSE


def test_the_cells_reach_beyond_the_ball_by_a_margin_for_roundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """radius + offset, and 2^-40 of it."""
    asked: list[float] = []
    original = core.ball_cells
    monkeypatch.setattr(core, "ball_cells", lambda n, r, k: asked.append(r) or original(n, r, k))
    contraction(linear(0.5 * np.eye(2)), ball(0.5), 0.25, 3)
    assert 0.75 * (1 + 2.0**-41) <= asked[0] <= 0.75 * (1 + 2.0**-39)


def test_every_cell_of_the_ball_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some thousand cells, in whatever portions."""
    seen: list[float] = []
    original = core._norms

    def record(loop: Any, T: Any, S: Any, x: Any) -> Any:
        seen.extend(zip(x[0].center.tolist(), x[1].center.tolist(), strict=True))
        return original(loop, T, S, x)

    monkeypatch.setattr(core, "_norms", record)
    contraction(linear(0.5 * np.eye(2)), ball(0.5), 0.0, 55)
    wanted = core.ball_cells(2, 0.5, 55)[0]
    assert len(wanted) > 2100 and np.allclose(sorted(seen), sorted(wanted.tolist()), rtol=0, atol=1e-9)


@pytest.mark.parametrize("seed", range(40))
def test_norms_where_the_policy_cancels_the_state(seed: int) -> None:
    """Fx S + Fu middle is a rounding error of its two parts: the bound is that of the exact numbers."""
    rng = np.random.default_rng(seed)
    Fx, Fu = np.diag(1 + rng.random(2)), 1 + rng.random((2, 1))
    middle = np.zeros((1, 2))
    middle[0, 0] = -Fx[0, 0] / Fu[0, 0]
    Fx[1, 0] = -Fu[1, 0] * middle[0, 0]
    scale = 2.0**-70  # of the column that does not cancel
    Fx[:, 1] *= scale
    column = [Fraction(float(Fx[i, 0])) + Fraction(float(Fu[i, 0])) * Fraction(float(middle[0, 0])) for i in (0, 1)]
    none = np.zeros((1, 2))
    total, _ = norms(Fx, ZERO, Fu, np.zeros((2, 1)), middle, none, [0.0], np.eye(2), np.eye(2))
    assert Fraction(total) ** 2 >= column[0] ** 2 + column[1] ** 2


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_of_a_matrix_that_is_not_finite_the_norm_is_infinite(bad: float) -> None:
    matrices = np.tile(np.eye(2), (5, 1, 1))
    for k, place in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        matrices[(k, *place)] = bad
    found = spectral_norms(matrices)
    assert np.all(found[:4] == np.inf) and 1 <= found[4] <= CLOSE


@pytest.mark.parametrize("undefined", [sqrt, lambda v: clip(clip(1.0 / v, -1.0, 1.0), 2.0, 3.0) - 2.0])
def test_no_core_where_the_map_is_undefined(undefined: Any) -> None:
    """x+ = x / 2 + 0 phi(x + 1/2), phi undefined below 0, or at 0."""
    loop = loop_of(lambda x: (0.5 * x + 0.0 * undefined(x + 0.5),), 1)
    assert prove_core(loop, ball(0.25, n=1), Interval(np.zeros(1))) is not None
    assert prove_core(loop, ball(1.0, n=1), Interval(np.zeros(1))) is None
