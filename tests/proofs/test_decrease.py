"""The parts of the branch and bound, each on maps and forms whose answer is a short calculation."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from lipctrl.intervals.affine import AffineForm
from lipctrl.proofs import decrease
from lipctrl.proofs.decrease import (
    Plan,
    _bends,
    _depths,
    _mark_inside,
    _split,
    _worst,
    decreases,
    descend,
    growth,
    prove_decrease,
)
from lipctrl.proofs.ellipsoid import Ellipsoid
from tests.proofs.maps_for_tests import linear, loop_of

ONE = np.array([1])


def form(center: float, generators: Sequence[float], radius: float = 0.0) -> AffineForm:
    return AffineForm(np.array([center]), np.array(generators, dtype=float)[:, None], np.array([radius]))


def ball(radius: float, center: Sequence[float] = (0.0, 0.0), T: Any = None) -> Ellipsoid:
    return Ellipsoid(np.array(center), np.eye(len(center)) if T is None else np.asarray(T), radius)


# --------------------------------------------------------------------------------------------------------------- growth


@pytest.mark.parametrize(
    ("old", "new", "largest"),
    [
        ([form(0, [0.5])], [form(0, [0.0])], "0"),  # -e^2 / 4 at e = 0: at the ends it is less
        ([form(0, [2.0])], [form(0, [1.0])], "0"),
        ([form(1, [0.5])], [form(0, [0.0])], "-1/4"),  # -(1 + e/2)^2 at e = -1
        ([form(0.625, [1.0])], [form(0, [0.0])], "0"),  # the vertex of the parabola is inside, at e = -5/8
        ([form(0.25, [0.5])], [form(0, [0.0])], "0"),
        ([form(1.25, [1.0])], [form(0, [0.0])], "-1/16"),  # and outside, at -5/4, though within -3/2
        ([form(0, [0.0])], [form(0, [1, 1])], "4"),  # (e1 + e2)^2
        ([form(0, [0.0])], [form(1, [1, -2])], "16"),
        ([form(0, [1, 1])], [form(0, [0.0])], "2"),  # true 0: every product of two symbols counts as its absolute value
        ([form(0, [0.0])], [form(1, [0.5], 0.25)], "49/16"),  # (1 + 1/2 + 1/4)^2
        ([form(1, [0.5], 0.25)], [form(0, [0.0])], "9/16"),  # -1/4 + 2 (3/2)/4 + 1/16
        ([form(3, [1])], [form(1, [3, 1])], "27"),  # -9 + 1 + |6 - 6| + 9 - 1 + 1 + 6 + 2 * 10: by parts below
    ],
)
def test_growth_by_hand(old: list[AffineForm], new: list[AffineForm], largest: str) -> None:
    """const + sum max(|l| e + Q e^2) + sum |Q_ij|, to a billionth, and above it by a margin for roundings."""
    if largest == "27":  # const -8, l = (2 * 3 - 6, 2) = (0, 2), Q = [[8, 3], [3, 1]]: -8 + 8 + (2 + 1) + 6
        largest = "9"
    total = sum(
        (abs(Fraction(float(f.center[0]))) + sum(map(abs, map(Fraction, f.generators[:, 0].tolist())))
         + Fraction(float(f.radius[0]))) ** 2 for f in (*old, *new)
    )  # fmt: skip
    over = Fraction(float(growth(tuple(old), tuple(new))[0])) - Fraction(largest)
    assert total / 2**44 <= over <= total / 2**40


def test_growth_is_above_the_roundings_of_a_radius_as_large_as_the_centre() -> None:
    """(2 a)^2 of |x - a| <= a, in fractions, whatever is rounded."""
    rng = np.random.default_rng(0)
    a, none = rng.uniform(0.1, 1.0, 2000), np.zeros((1, 2000))
    for scale in (1.0, 2.0**60, 2.0**-60):
        found = growth((AffineForm(0 * a, none),), (AffineForm(scale * a, none, scale * a),)) / scale**2
        over = [Fraction(float(v)) - 4 * Fraction(float(c)) ** 2 for v, c in zip(found, a, strict=True)]
        assert all(0 <= v < Fraction(1, 10**11) for v in over)
    assert np.all(growth((AffineForm(0 * a, none),), (AffineForm(0 * a, none),)) > 0)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_growth_of_what_is_not_finite_is_unbounded(broken: float) -> None:
    good = form(1.0, [0.5])
    for bad in (form(broken, [0.5]), form(1.0, [broken]), form(1.0, [0.5], broken)):
        assert growth((bad,), (good,))[0] == np.inf
        assert growth((good,), (bad,))[0] == np.inf


# ---------------------------------------------------------------------------------------------------------------- cells


@pytest.mark.parametrize("n", [1, 2, 3])
def test_no_point_is_lost_between_halves_of_wide_cells(n: int) -> None:
    """The shared edge, in fractions, where the half width is far above the centre and its last bits are odd."""
    rng = np.random.default_rng(n)
    half = rng.uniform(0.5, 1.0, (200, n))
    centers = half * rng.uniform(-1, 1, (200, n)) * 2.0**-9
    small, widths = _split(centers, half, np.ones(n))
    for axis in range(n if n <= 2 else 0):
        for k in range(200):
            own = {(float(small[i, axis]), float(widths[i, axis])) for i in range(k, len(small), 200)}
            (c, g), (d, h) = sorted((Fraction(a), Fraction(b)) for a, b in own)
            middle, reach = Fraction(float(centers[k, axis])), Fraction(float(half[k, axis]))
            assert c - g <= middle - reach and c + g >= d - h and d + h >= middle + reach
    if n > 2:
        assert len(small) == 400
        for k in range(200):
            axis = int(np.argmax(half[k]))
            (c, g), (d, h) = sorted(
                (Fraction(float(small[i, axis])), Fraction(float(widths[i, axis]))) for i in (k, k + 200)
            )
            middle, reach = Fraction(float(centers[k, axis])), Fraction(float(half[k, axis]))
            assert c - g <= middle - reach and c + g >= d - h and d + h >= middle + reach
            rest = [i for i in range(n) if i != axis]
            assert np.array_equal(widths[k, rest], half[k, rest]) and np.array_equal(small[k, rest], centers[k, rest])


def plan(steps: int = 1, start: int = -1, target: int = -1) -> Plan:
    return Plan(start * ONE, steps * ONE, target * ONE)


def falls(
    factor: float, cell: tuple[float, float], plan: Plan, error: float = 0.0, inner: Any = (), T: Any = None
) -> bool:
    """Whether the plan is proved for x+ = factor x on a cell of z, both sides `cell`."""
    shape = ball(1.0, T=T)
    S, _ = shape.inverse()
    center, half = (np.full((1, 2), v) for v in cell)
    return bool(decreases(linear(factor * np.eye(2)), shape, list(inner), S, error, center, half, plan)[0])


def test_a_cell_falls_if_the_map_contracts_and_not_if_it_expands() -> None:
    """Also in the coordinates of a matrix, where |T x| counts."""
    for T in (None, [[2.0, 1.0], [0.0, 0.5]]):
        assert falls(0.999, (0.5, 1e-4), plan(), T=T)
        assert not falls(1.0, (0.5, 1e-4), plan(), T=T)
        assert not falls(1.001, (0.5, 1e-4), plan(), T=T)
        assert not falls(0.999, (0.5, 1e-4), plan(steps=0), T=T)
        assert falls(0.999, (0.5, 1e-4), plan(steps=3), T=T) and not falls(1.001, (0.5, 1e-4), plan(steps=3), T=T)
    assert not falls(0.5, (0.0, 0.1), plan())  # at the centre V does not fall


def test_each_cell_falls_after_its_own_number_of_steps() -> None:
    """A = [0 4; 1/8 0]: V of (x, 0) falls at once and after two steps, of (0, y) after two alone."""
    shape, S = ball(1.0), np.eye(2)
    centers = np.array([[0.5, 0.0], [0.0, 0.5], [0.5, 0.0], [0.0, 0.5]])
    wanted = Plan(np.full(4, -1), np.array([1, 1, 2, 2]), np.full(4, -1))
    done = decreases(linear([[0, 4], [0.125, 0]]), shape, [], S, 0.0, centers, np.full((4, 2), 1e-3), wanted)
    assert done.tolist() == [True, False, True, True]
    again = Plan(np.full(4, -1), np.array([2, 2, 1, 1]), np.full(4, -1))
    done = decreases(linear([[0, 4], [0.125, 0]]), shape, [], S, 0.0, centers, np.full((4, 2), 1e-3), again)
    assert done.tolist() == [True, True, True, False]


def test_the_error_of_the_inverse_counts_against_the_fall() -> None:
    """V = |z + (T S - I) z|^2 is as small as (1 - error)^2 |z|^2: with error .1, .85 falls and .95 may not."""
    for factor, error, proved in ((0.95, 0.0, True), (0.95, 0.1, False), (0.79, 0.1, True), (0.95, 0.01, True)):
        assert falls(factor, (0.5, 1e-4), plan(), error) is proved
    assert falls(0.95, (-0.5, 1e-4), plan(), 0.01) and not falls(0.95, (-0.5, 1e-4), plan(), 0.1)


def test_a_cell_or_its_image_in_an_inner_set() -> None:
    """The map grows: only the inner set helps, the one that is meant, at the step that is meant, and to a hair."""
    corner = float(np.hypot(0.501, 0.501))
    for hair, inside in ((1 + 1e-9, True), (1 - 1e-9, False)):
        assert falls(1.1, (0.5, 1e-3), plan(start=0), inner=[ball(corner * hair)]) is inside
        assert falls(1.1, (0.5, 1e-3), plan(target=0), inner=[ball(1.1 * corner * hair)]) is inside
        assert falls(1.1, (0.5, 1e-3), plan(steps=2, target=0), inner=[ball(1.21 * corner * hair)]) is inside
        assert falls(1.1, (0.5, 1e-3), plan(start=1), inner=[ball(1e-9), ball(corner * hair)]) is inside
    assert not falls(1.1, (0.5, 1e-3), plan(), inner=[ball(9.0)])  # not what was planned
    assert not falls(1.1, (0.5, 1e-3), plan(start=0), inner=[ball(1e-9), ball(9.0)])
    assert not falls(0.9, (0.5, 1e-3), plan(target=0), inner=[ball(1e-9)])  # planned to land, not to fall
    assert falls(1.1, (0.5, 1e-3), plan(steps=0, start=0), inner=[ball(9.0)])


def test_forms_are_marked_where_they_belong() -> None:
    done = np.zeros(4, dtype=bool)
    forms = tuple(AffineForm(np.array([0.5, 0.5, 5.0]), np.full((1, 3), 0.1)) for _ in range(2))
    _mark_inside(done, [ball(1.0), ball(0.1)], forms, np.array([0, 1, 0]), np.array([3, 2, 1]))
    assert done.tolist() == [False, False, False, True]
    _mark_inside(done, [ball(9.0), ball(9.0)], forms, np.array([-1, -1, 1]), np.array([0, 2, 1]))
    assert done.tolist() == [False, True, False, True]  # what was marked stays


# ---------------------------------------------------------------------------------------------------------------- plans


def planned(A: Any, x: Any, steps: int, inner: Sequence[Ellipsoid] = (), eps: float = 0.0) -> tuple[int, int, int]:
    found = Plan.of(linear(A), ball(1.0), inner, np.eye(2), np.array([x], dtype=float), steps, eps)
    return int(found.start[0]), int(found.steps[0]), int(found.target[0])


TURN = [[0.0, -1.0], [1.0, 0.0]]


def test_plans_of_linear_maps() -> None:
    """(start, steps, target) of a state, in exact arithmetic."""
    assert planned(0.5 * np.eye(2), (1, 0), 3) == (-1, 1, -1)
    assert planned(1.1 * np.eye(2), (1, 0), 3) == (-1, 0, -1)
    assert planned(np.eye(2), (1, 0), 3) == (-1, 0, -1)  # V stays: nothing falls
    assert planned([[0, 2], [0.1, 0]], (0, 1), 3) == (-1, 2, -1)  # 4, then .04
    assert planned([[0, 2], [0.1, 0]], (0, 1), 1) == (-1, 0, -1)
    assert planned([[0, 2], [0.1, 0]], (1, 0), 3) == (-1, 1, -1)  # .01 at once, though .04 follows
    # .98, .96: the first is not clear, below .97 is
    assert planned(np.sqrt(0.98) * np.eye(2), (1, 0), 4) == (-1, 2, -1)
    assert planned(np.sqrt(0.96) * np.eye(2), (1, 0), 4) == (-1, 1, -1)
    # never clear: the smallest counts
    assert planned(np.sqrt(0.999) * np.eye(2), (1, 0), 4) == (-1, 4, -1)
    # V must fall by eps
    assert planned(np.sqrt(0.98) * np.eye(2), (1, 0), 1, eps=0.01) == (-1, 1, -1)
    assert planned(np.sqrt(0.98) * np.eye(2), (1, 0), 1, eps=0.03) == (-1, 0, -1)


def test_plans_with_inner_sets() -> None:
    """A quarter turn; the set lies on the way. The one step of the first image is not looked at for sets."""
    on_the_way = [ball(1e-3, (7.0, 7.0)), ball(0.1, (0.0, 1.5))]
    assert planned(TURN, (0, -1.5), 1, on_the_way) == (-1, 0, -1)
    assert planned(TURN, (0, -1.5), 5, on_the_way) == (-1, 2, 1)
    assert planned(TURN, (0, 1.5), 5, on_the_way) == (1, 4, 1)
    assert planned(TURN, (0, -1.597), 5, on_the_way) == (-1, 2, 1)
    assert planned(TURN, (0, -1.599), 5, on_the_way) == (-1, 2, 1) and planned(TURN, (0, -1.601), 5, on_the_way)[1] == 0
    assert planned(TURN, (0, -1.599), 5, on_the_way, eps=0.02) == (-1, 0, -1)  # 1 - .99^2 < .02
    assert planned(TURN, (0, 1.599), 1, on_the_way)[0] == 1 and planned(TURN, (0, 1.601), 1, on_the_way)[0] == -1
    both = Plan.of(linear(TURN), ball(1.0), on_the_way, np.eye(2), np.array([[0, -1.5], [3, 3], [0.0, 1.5]]), 2)
    assert (both.start.tolist(), both.steps.tolist(), both.target.tolist()) == ([-1, -1, 1], [2, 0, 0], [1, -1, -1])
    part = both.take(np.array([0, 2]))
    assert (part.start.tolist(), part.steps.tolist(), part.target.tolist()) == ([-1, 1], [2, 0], [1, -1])
    # an eighth of a turn: the third image lies in the set, but not deeply, 1 - (1.148 / 1.2)^2 = .085; the fourth does
    eighth = np.array([[1.0, -1.0], [1.0, 1.0]]) / np.sqrt(2.0)
    assert planned(eighth, (0, -1.5), 3, [ball(1.2, (0.0, 1.5))]) == (-1, 3, 0)
    assert planned(eighth, (0, -1.5), 5, [ball(1.2, (0.0, 1.5))]) == (-1, 4, 0)
    # what falls clearly at the second step is not sent to a set
    shrink = 0.9 * np.array(TURN)
    assert planned(shrink @ np.diag([1.0, 1.2]), (0, -1.5), 5, [ball(9.0)]) == (0, 2, -1)


def test_states_that_overflow_are_left_alone() -> None:
    assert planned(1e200 * np.eye(2), (1, 1), 5) == (-1, 0, -1)


def test_of_the_sets_that_hold_a_state_that_which_holds_it_most_deeply_is_named() -> None:
    """Depth: 1 - |T (x - center)|^2 / radius^2."""
    sets = [ball(1.0), ball(2.0, T=np.diag([1.0, 4.0])), ball(0.5, (3.0, 0.0))]
    x = np.array([[0.5, 0.0], [0.0, 0.75], [1.5, 0.0], [3.25, 0.0], [9.0, 0.0], [0.0, 0.25]])
    depth, holder = _depths(sets, x)
    assert holder.tolist() == [1, 0, 1, 2, 1, 0]
    assert depth.tolist() == [1 - 1 / 16, 1 - 9 / 16, 1 - 9 / 16, 0.75, 1 - 81 / 4, 1 - 1 / 16]
    assert _depths([], x)[1].tolist() == 6 * [-1]


def test_of_uncertain_loops_the_worst_image_counts() -> None:
    """x+ = r x, r in [-3, 2]: the image farthest from the centre, 2."""
    shape = ball(1.0, (2.0, 0.0))
    loop = loop_of(lambda x, y, r: (r * x, 0.5 * y), rate=(-3.0, 2.0))
    x = np.array([[2.0, 1.0], [-2.0, 1.0]])
    assert _worst(loop, shape, x).tolist() == [[-6.0, 0.5], [-4.0, 0.5]]
    assert _worst(loop_of(lambda x, y, r: (r * x, 0.5 * y), rate=2.0), shape, x).tolist() == [[4.0, 0.5], [-4.0, 0.5]]
    one = loop_of(lambda x, y, r: (r * x, 0.1 * y), rate=(0.8, 1.1))
    none = prove_decrease(one, ball(1.0), ball(0.1), max_cells=2000).proved
    assert none is None or none.radius <= 0.1
    fine = prove_decrease(loop_of(lambda x, y, r: (r * x, 0.1 * y), rate=(0.5, 0.8)), ball(1.0), ball(0.1))
    assert fine.proved is not None and fine.complete


# --------------------------------------------------------------------------------------------------------------- search


def bistable(x: Any, y: Any) -> tuple[Any, Any]:
    """x+ = x^3 rests at 0 and +-1: V = x^2 falls for |x| < 1 alone."""
    return x**3, 0.1 * y


def test_the_search_goes_down_to_the_edge() -> None:
    """States beyond 1, where V grows, lead to others just beyond 1 and to none inside."""
    start = np.array([[1.5, 0.0], [1.6, 0.2]])
    found = descend(loop_of(bistable), ball(1.0), [], np.eye(2), start, 0.2, 1)
    assert np.all(np.abs(found[:, 0]) > 1.0)
    sizes = np.linalg.norm(found, axis=1)
    assert sizes.min() < 1.05 and len(found) > 100
    assert np.all(descend(loop_of(bistable), ball(1.0), [ball(1.3)], np.eye(2), start, 0.2, 1)[:, 0] ** 2 > 1.69 - 0.64)
    held = descend(loop_of(bistable), ball(1.0), [ball(1.3)], np.eye(2), start, 0.2, 1)
    assert np.linalg.norm(held, axis=1).min() > 1.3
    # V must fall by a half: it does for x^2 < .707
    eager = descend(loop_of(bistable), ball(1.0), [], np.eye(2), start, 0.2, 1, eps=0.5)
    assert 0.84 < np.abs(eager[:, 0]).min() < 0.9


def test_bends_are_mean_second_differences() -> None:
    """Of x^2: (z + s)^2 + (z - s)^2 - 2 z^2 = 2 s^2, s a fifth of the radius; T counts; no axis below a tenth."""
    for radius, T in ((1.0, np.eye(2)), (2.0, np.diag([4.0, 1.0]))):
        shape = ball(radius, T=T)
        S = np.linalg.inv(T)
        bends = _bends(loop_of(lambda x, y: (x**2, 0.5 * y)), shape, S)
        expected = T[0, 0] * 2 * (0.2 * radius * S[0, 0]) ** 2
        np.testing.assert_allclose(bends, [expected, 0.1 * expected], rtol=1e-9)
    np.testing.assert_array_equal(_bends(linear(np.zeros((2, 2))), ball(1.0), np.eye(2)), [1.0, 1.0])
    away = _bends(loop_of(lambda x, y: (x**3, 0.0 * y)), ball(1.0, (1.0, 0.0)), np.eye(2))  # 6 x s^2, x = 1 on average
    assert away[0] == pytest.approx(6 * 0.04, rel=0.1)


def edge(loop: Any, **options: Any) -> decrease.Decrease:
    return prove_decrease(loop, ball(3.0, T=np.diag([1.0, 0.2])), ball(0.1), **options)


def test_the_level_ends_where_v_ceases_to_fall() -> None:
    """At |x| = 1, whatever the radius that is asked for; all of it where V falls throughout."""
    found = edge(loop_of(bistable))
    assert found.proved is not None and found.complete
    assert 0.99 < found.proved.radius < 1.0
    assert all(np.all(np.abs(x[:, 0]) >= 1.0) for x in found.violations) and found.violations
    aside = loop_of(lambda x, y: (1.0 + (x - 1.0) * (x - 0.5), 0.5 * y - 1.0))
    found = prove_decrease(aside, ball(1.0, (1.0, -2.0)), ball(0.1, (1.0, -2.0)))
    assert len(found.violations)
    for x in found.violations:
        after = aside.simulate(x) - [1.0, -2.0]
        assert np.all(np.sum(after**2, axis=1) >= np.sum((x - [1.0, -2.0]) ** 2, axis=1))
    whole = edge(linear(0.5 * np.eye(2)))
    assert whole.proved is not None and whole.complete and not whole.violations
    assert 3.0 * (1 - 2.0**-9) < whole.proved.radius < 3.0 * (1 - 2.0**-11)
    np.testing.assert_array_equal(whole.proved.center, [0, 0])
    np.testing.assert_array_equal(whole.proved.T, np.diag([1.0, 0.2]))
    assert 24**2 * 0.7 < whole.cells < 2000


def test_nothing_beyond_what_was_looked_at() -> None:
    """A limit on cells or time: only what had been proved by then counts, and that is said."""
    none = edge(linear(0.5 * np.eye(2)), max_cells=10)
    assert none.proved is None and not none.complete and none.cells == 0
    late = edge(linear(0.5 * np.eye(2)), deadline=-1.0)
    assert late.proved is None and not late.complete
    full = edge(loop_of(bistable))
    some = edge(loop_of(bistable), max_cells=full.cells - 1)
    assert not some.complete and some.cells < full.cells and (some.proved is None or some.proved.radius < 1.0)
    grows = prove_decrease(linear(1.01 * np.eye(2)), ball(1.0), ball(0.1), max_cells=3000)
    assert grows.proved is None or grows.proved.radius <= 0.1


def test_several_steps_and_several_inner_sets() -> None:
    """[0 2; .1 0]: V grows over one step somewhere, and falls over two everywhere."""
    loop = linear([[0, 2], [0.1, 0]])
    one = prove_decrease(loop, ball(1.0), ball(0.1), steps=1, max_cells=3000)
    assert one.proved is None or one.proved.radius <= 0.11
    two = prove_decrease(loop, ball(1.0), [ball(0.05), ball(0.1)], steps=2, max_cells=3000)
    assert two.complete and two.proved is not None and two.proved.radius > 0.99


def test_the_error_of_the_inverse_counts_against_the_level(monkeypatch: pytest.MonkeyPatch) -> None:
    """If T S is known to 1 % only, the cells reach 1 % further and their V may be 2 % less."""
    monkeypatch.setattr(Ellipsoid, "inverse", lambda self: (np.linalg.inv(self.T), 0.01))
    found = edge(loop_of(bistable))
    assert found.proved is not None and 0.9 < found.proved.radius < 1 / 1.01
    monkeypatch.undo()
    asked: list[float] = []
    original = decrease.ball_cells
    monkeypatch.setattr(decrease, "ball_cells", lambda n, r, k: asked.append(r) or original(n, r, k))
    edge(linear(0.5 * np.eye(2)))
    monkeypatch.setattr(Ellipsoid, "inverse", lambda self: (np.linalg.inv(self.T), 0.01))
    edge(linear(0.5 * np.eye(2)))
    assert 3.0 * (1 + 2.0**-41) <= asked[0] <= 3.0 * (1 + 2.0**-39) and asked[1] >= 3.0 / 0.99


def test_what_is_added_for_the_error_of_the_inverse_is_rounded_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """error |z| at the farthest corner of each cell, in fractions; and a growth of zero is no fall."""
    rng = np.random.default_rng(0)
    centers, half, error = rng.standard_normal((300, 2)), rng.uniform(0.01, 1, (300, 2)), 0.01
    given: list[Any] = []
    monkeypatch.setattr(decrease, "growth", lambda old, new: given.append(old) or np.zeros(len(old[0].center)))
    plans = Plan(np.full(300, -1), np.ones(300, dtype=int), np.full(300, -1))
    assert not decreases(linear(0.1 * np.eye(2)), ball(9.0), [], np.eye(2), error, centers, half, plans).any()
    for k in range(300):
        square = sum(
            (abs(Fraction(float(c))) + Fraction(float(h))) ** 2 for c, h in zip(centers[k], half[k], strict=True)
        )
        for old in given[0]:
            assert Fraction(error) ** 2 * square <= Fraction(float(old.radius[k])) ** 2 <= square * Fraction(1.0001e-4)


def test_the_level_ends_below_the_lowest_cell_that_is_not_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those with a centre beyond .9 never are, at first [11/12, 1] and the like: the search ends below 11/12."""
    loop = linear(0.5 * np.eye(2))
    monkeypatch.setattr(decrease, "decreases", lambda *data: np.abs(data[5][:, 0]) < 0.9)
    for options in ({"tolerance": 0.3}, {"max_cells": 700}, {"max_cells": 3000}):
        found = prove_decrease(loop, ball(1.0), [], **options)
        assert found.proved is not None and 0.8 < found.proved.radius < 11 / 12
        assert found.complete is ("tolerance" in options)


def test_growth_inside_the_inner_set_alone_is_no_violation() -> None:
    """x (1.35 - x^2) grows for |x| < .592, within the inner set of radius .6, also in cells that reach out of it."""
    loop = loop_of(lambda x, y: (x * (1.35 - x * x), 0.1 * y))
    found = prove_decrease(loop, ball(1.0), ball(0.6))
    assert found.proved is not None and found.complete and not found.violations and found.proved.radius > 0.99


def test_a_cell_is_left_unless_it_is_proved_for_every_parameter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells are proved in portions and for parts of the parameters: all that none of them refuses, and no other."""
    asked: list[Any] = []

    def some(*data: Any) -> Any:
        loop, centers = data[0], data[5]
        asked.append((float(loop.low[0, 0]), len(centers)))
        return np.abs(centers[:, 0]) < (0.5 if loop.low[0, 0] < 0.5 else 0.8)

    monkeypatch.setattr(decrease, "decreases", some)
    loop = loop_of(lambda x, y, r: (0.1 * r * x, 0.1 * y), rate=(0.0, 1.0))
    found = prove_decrease(loop, ball(1.0), [], splits=60, tolerance=0.8)
    assert found.proved is not None and 0.45 < found.proved.radius < 0.5 + 1 / 60
    first = [count for low, count in asked[: 4 * 3] if low == 0.0]
    assert sum(first) == found.cells > 2048 and max(first) == 1024
