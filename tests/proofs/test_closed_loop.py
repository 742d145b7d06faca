"""Enclosures of the loop on maps where the image of a cell is known exactly."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from lipctrl.errors import LoopError
from lipctrl.intervals.affine import AffineForm, stack
from lipctrl.intervals.functions import absolute, sin, sqrt
from lipctrl.intervals.interval import Interval
from lipctrl.networks.float32 import Float32Error
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.proofs.closed_loop import ClosedLoop, _collapsed, _dual, _oriented, _padded, box_forms, pieces
from tests.proofs.maps_for_tests import Map, linear, loop_of

TANH = Network([Affine([[1.0, 0.5]]), Elementwise("tanh", 1), Affine([[0.5]])])


def ends(form: AffineForm) -> tuple[float, float]:
    return float(form.range().lo[0]), float(form.range().hi[0])


def encloses(found: tuple[float, float], low: float, high: float, slack: float = 1e-12) -> bool:
    return low - slack <= found[0] <= low and high <= found[1] <= high + slack


def cell(*sides: tuple[float, float]) -> tuple[AffineForm, ...]:
    lower, upper = np.array([sides]).transpose(2, 0, 1)
    return box_forms(lower, upper)


def test_errors_that_are_none_are_refused() -> None:
    model, policy = Map(lambda x, y: (x, y)), TANH
    for bad in (np.nan, np.inf, -np.inf, -1e-300):
        with pytest.raises(LoopError, match="error of an action"):
            ClosedLoop(model, policy, bad)
    with pytest.raises(LoopError, match="arithmetic"):
        ClosedLoop(model, policy, 0.0, "exact")
    assert not ClosedLoop(model, policy).disturbed
    assert ClosedLoop(model, policy, 1e-300).disturbed and ClosedLoop(model, policy, 0.0, "float32").disturbed


def test_symbols_of_a_cell_and_of_its_parameters_stay() -> None:
    loop = loop_of(lambda x, y, r: (r * x, y), rate=(1.0, 2.0))
    assert (loop.n, loop.kept, linear(np.eye(3)).kept) == (2, 3, 3)
    after = loop.step(cell((1.0, 1.5), (0.0, 0.0)))
    assert [len(form.generators) for form in after] == [4, 4]  # the cell's two, the parameter's, the action's
    # (1.25 + .25 e_1)(1.5 + .5 e_3): the product of two symbols goes into the radius or a range
    np.testing.assert_allclose(after[0].generators[[0, 2], 0], [0.375, 0.625], rtol=1e-12)
    assert encloses(ends(loop.step(cell((1.0, 1.0), (0.0, 0.0)))[0]), 1.0, 2.0)
    # the same parameter at both steps: r (3 - r) - r ... is followed with one symbol, r^2 in [1, 4]
    twice = loop.advance(cell((1.0, 1.0), (0.0, 0.0)), 2)
    assert twice[0].range().lo[0] <= 1.0 and 4.0 <= twice[0].range().hi[0] <= 4.3
    assert twice[0].generators[2, 0] > 1.4


@pytest.mark.parametrize("ends_", [(0.1, 0.7), (-1e-3, 1e9), (-3.0, -3.0), (0.3, np.nextafter(0.3, 1)),
                                   (np.nextafter(0.3, 1), np.nextafter(np.nextafter(0.3, 1), 1))])  # fmt: skip
def test_the_forms_of_parameters_contain_their_intervals(ends_: tuple[float, float]) -> None:
    """In fractions, for each cell its own."""
    loop = loop_of(lambda x, y, r: (r * x, y), rate=(0.0, 1.0)).among(*(np.array([[end, end]]) for end in ends_))
    rate = loop.plant(2).rate
    for k in range(2):
        c, g = Fraction(float(rate.center[k])), Fraction(float(rate.generators[2, k]))
        low, high = map(Fraction, ends_)
        assert c - g <= low <= high <= c + g and 2 * g <= (high - low) * (1 + Fraction(1, 10**9)) + abs(
            c
        ) / 2**50 + Fraction(1, 2**1000)
        assert not np.any(np.delete(rate.generators, 2, axis=0)) and not np.any(rate.radius)


def test_pieces_cover_a_box() -> None:
    """At most about `count`, equal, from end to end; a box without sides is one piece."""
    low, high = pieces(np.array([0.0, 10.0]), np.array([1.0, 14.0]), 4)
    assert low.tolist() == [[0, 10], [0, 12], [0.5, 10], [0.5, 12]]
    assert high.tolist() == [[0.5, 12], [0.5, 14], [1, 12], [1, 14]]
    for count, expected in ((1, 1), (3, 1), (4, 4), (8, 4), (9, 9)):
        assert len(pieces(np.zeros(2), np.ones(2), count)[0]) == expected
    low, high = pieces(np.array([0.1]), np.array([0.7]), 3)
    assert low[0, 0] == 0.1 and high[-1, 0] == 0.7 and np.array_equal(low[1:], high[:-1]) and len(low) == 3
    assert [side.shape for side in pieces(np.zeros(0), np.zeros(0), 5)] == [(1, 0), (1, 0)]
    assert len(pieces(np.zeros(1), np.ones(1), 0)[0]) == 1
    parts = list(loop_of(lambda x, y, r: (r * x, y), rate=(0.0, 1.0)).parts(2))
    assert [(float(p.low[0, 0]), float(p.high[0, 0])) for p in parts] == [(0.0, 0.5), (0.5, 1.0)]
    assert len(list(linear(np.eye(2)).parts(9))) == 1


def test_errors_of_the_action_widen_every_step() -> None:
    """x+ = x / 2 + d: .25 after one step, .25 + .125 after two, and so on, to both sides."""
    loop = loop_of(lambda x, y: (0.5 * x, 0.5 * y), error=0.25)
    start = cell((1.0, 2.0), (0.0, 1.0))
    for steps, spread in ((1, 0.25), (2, 0.375), (3, 0.4375)):
        after = loop.advance(start, steps)
        assert encloses(ends(after[0]), 2.0**-steps - spread, 2 * 2.0**-steps + spread, 1e-9)
        assert encloses(ends(after[1]), 0.0, 2.0**-steps, 1e-9)
    errors = loop.action_errors(AffineForm(np.zeros((3, 2))))
    assert errors.tolist() == [[0.25]] * 3
    assert loop.largest_rounding(np.zeros((1, 2)), np.ones((1, 2))) == 0.0


def test_errors_of_float32_are_added_to_those_of_the_action() -> None:
    exact, single = (ClosedLoop(Map(lambda x, y: (0.0 * x, y)), TANH, 0.25, kind) for kind in ("real", "float32"))
    lower, upper = np.array([[-1.0, -1.0], [2.0, 3.0]]), np.array([[1.0, 1.0], [2.5, 3.5]])
    y = stack(box_forms(lower, upper), (2,))
    rounding = Float32Error(single.enclosure)(y)
    assert np.all(rounding > 1e-9) and np.all(rounding < 1e-5)
    np.testing.assert_allclose(single.action_errors(y), 0.25 + rounding, rtol=1e-9)
    assert np.all(single.action_errors(y) >= 0.25 + rounding)
    assert single.largest_rounding(lower, upper) == rounding.max()
    for loop in (exact, single):
        reach = loop.step(box_forms(lower, upper))[0].range()
        inside = 0.5 * np.tanh(1.5)
        assert reach.lo[0] <= -inside - 0.25 and inside + 0.25 <= reach.hi[0] <= inside + 0.25 + 0.5


def test_constants_and_components_without_symbols_are_forms() -> None:
    loop = loop_of(lambda x, y: (x, 0.75))
    after = loop.step(cell((1.0, 2.0), (0.0, 1.0)))
    assert ends(after[1]) == pytest.approx((0.75, 0.75)) and len(after[1].generators) == len(after[0].generators)
    padded = _padded(AffineForm(np.ones(3), np.full((2, 3), 0.5), np.full(3, 0.25)), 4)
    assert padded.generators[:, 0].tolist() == [0.5, 0.5, 0.0, 0.0] and padded.radius.tolist() == [0.25] * 3
    constant = _dual(0.75, 3, (2,))
    assert constant.value.lo.tolist() == [0.75] * 2 == constant.value.hi.tolist() and not constant.grad.mag.any()
    assert constant.grad.shape == (3, 2)


@pytest.mark.parametrize("A", [[[0.5, 0.25], [-0.25, 0.75]], [[0.0, 1.0], [-1.0, 0.0]]])
def test_images_of_linear_maps_step_after_step(A: Any) -> None:
    """The box around A^k of a box, to a part in 1e8 (rectangles in between), with the others dropped on demand."""
    A = np.asarray(A)
    lower, upper = np.array([[1.0, -1.0], [0.5, 0.5], [-3.0, 2.0]]), np.array([[1.5, 1.0], [0.5, 0.5], [-1.0, 2.25]])
    flight = linear(A).flight(lower, upper)
    found, kept, power = next(flight), np.arange(3), A
    for steps in range(1, 5):
        center, half = 0.5 * (lower + upper)[kept] @ power.T, 0.5 * (upper - lower)[kept] @ np.abs(power).T
        assert np.all(found[0] <= center - half) and np.all(center + half <= found[1])
        if steps <= 2:
            np.testing.assert_allclose(found, [center - half, center + half], atol=1e-7)
        drop = np.array([True, steps != 2, True])[: len(kept)]
        kept, power = kept[drop], A @ power
        found = flight.send(drop)
    assert kept.tolist() == [0, 2]


def test_states_in_floating_point() -> None:
    loop = loop_of(lambda x, y, r: (r * x, y + 1.0), rate=(1.0, 3.0))
    x = np.array([[1.0, 0.0], [2.0, 5.0]])
    assert loop.simulate(x).tolist() == [[2.0, 1.0], [4.0, 6.0]] and loop.simulate(x, 2)[0].tolist() == [4.0, 2.0]
    assert sorted(float(after[0, 0]) for after in loop.samples(x, 2)) == [1.0, 4.0, 9.0]
    assert loop.simulate(x, 0).tolist() == x.tolist()
    assert sorted(float(after[0, 0]) for after in loop.samples(x)) == [1.0, 2.0, 3.0]


class Two(Map):
    """x+ = p x, y+ = q y."""

    parameters = ("p", "q")

    def __init__(self, p: Any, q: Any) -> None:
        super().__init__(lambda x, y: (self.p * x, self.q * y))
        self.p, self.q = self._read("p", p), self._read("q", q)

    def step(self, x: Any, u: Any) -> tuple[Any, ...]:
        return self.p * x[0] + u[0], self.q * x[1]


def test_each_parameter_has_a_symbol_of_its_own() -> None:
    loop = ClosedLoop(Two((1.0, 2.0), (-4.0, -3.0)), Network([Affine(np.zeros((1, 2)))]))
    plant = loop.plant(1)
    assert (loop.kept, loop.low.tolist(), loop.high.tolist()) == (4, [[1.0], [-4.0]], [[2.0], [-3.0]])
    assert np.nonzero(plant.p.generators[:, 0])[0].tolist() == [2] and np.nonzero(plant.q.generators[:, 0])[
        0
    ].tolist() == [3]
    after = loop.step(cell((1.0, 1.0), (1.0, 1.0)))
    assert encloses(ends(after[0]), 1.0, 2.0) and encloses(ends(after[1]), -4.0, -3.0)


def test_what_is_known_of_a_state_stays_with_it() -> None:
    """Turned and collapsed forms keep the interval of their own state."""
    known = Interval(np.array([0.5]), np.array([2.0])), Interval(np.array([-3.0]), np.array([0.0]))
    x = tuple(
        AffineForm(np.array([c]), np.array([[1.0]]), np.zeros(1), k) for c, k in zip((1.0, -1.0), known, strict=True)
    )
    turned = _oriented(x)
    assert turned is not None
    for forms in (turned, _collapsed(x, 1)):
        assert [form.known for form in forms] == list(known)


def test_derivatives_of_uncertain_loops_hold_for_every_parameter() -> None:
    """d/dx of r sin x + u on [0, 1], r in [1, 2]: cos 1 to 2; du/dz of tanh(x + y / 2) / 2; error of the action."""
    model = Map(lambda x, y, r: (r * sin(x), 0.25 * y + 0.0 * r), rate=(1.0, 2.0))
    loop = ClosedLoop(model, TANH, 0.125)
    seeds = np.array([[2.0, 0.0], [0.0, 4.0]])
    by_state, by_action, middle, radius, errors = loop.derivatives(cell((0.0, 1.0), (0.0, 0.0)), seeds)
    assert by_state.lo[0, 0, 0] <= np.cos(1.0) and 2.0 <= by_state.hi[0, 0, 0] <= 2.0 + 1e-9
    assert by_state.lo[0, 0, 0] >= np.cos(1.0) - 1e-9
    assert by_state.mid[1, 1, 0] == pytest.approx(0.25) and by_state.mag[[0, 1], [1, 0], 0].max() < 1e-12
    assert by_action.mid[:, 0, 0].tolist() == pytest.approx([1.0, 0.0], abs=1e-12)
    slopes = 0.5 * (1 - np.tanh(1.0) ** 2), 0.5
    for k, scale in ((0, 2.0), (1, 2.0)):  # W S = (1 * 2, .5 * 4)
        low, high = middle[0, 0, k] - radius[0, 0, k], middle[0, 0, k] + radius[0, 0, k]
        assert low <= scale * slopes[0] and scale * slopes[1] <= high <= scale * slopes[1] * 1.01
        assert low >= scale * slopes[0] - 0.02
    assert errors.tolist() == [[0.125]]


def test_sets_of_one_point_stay_points() -> None:
    """Collapsed and turned: nothing but underflow is added to a point."""
    point = tuple(AffineForm(np.array([c]), np.zeros((3, 1))) for c in (1.0, -2.0))
    for form in _collapsed(point, 2):
        assert 0 < form.generators.sum() <= 2.0**-890
    turned = _oriented(point)
    assert turned is not None
    for form, c in zip(turned, (1.0, -2.0), strict=True):
        assert form.center[0] == c and 0 < form.radius[0] <= 2.0**-890 and np.abs(form.generators).max() <= 2.0**-890


@pytest.mark.parametrize("r", [5e-324, 2.0**-1000, 2.0**-900, 2.0**-899])
def test_what_underflows_is_not_taken_for_nothing(r: float) -> None:
    """Two states within r of nothing: collapsed, and turned."""
    x = tuple(AffineForm(np.zeros(1), np.zeros((2, 1)), np.array([r])) for _ in range(2))
    turned = _oriented(x)
    assert turned is not None
    for form in (*_collapsed(x, 2), *turned):
        assert np.abs(form.generators).sum() + form.radius[0] >= r and np.all(form.generators >= 0)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e180])
def test_thin_sets_lie_in_their_rectangles(seed: int, scale: float) -> None:
    """Generators that are parallel up to rounding, or beyond what can be normed, in fractions."""
    rng = np.random.default_rng(seed)
    direction = rng.standard_normal(2)
    G = scale * direction[:, None] * rng.uniform(-1, 1, 3)
    x = tuple(AffineForm(np.zeros(1), G[i][:, None], np.zeros(1)) for i in range(2))
    box = _oriented(x)
    assert box is not None
    (a0, b0), (a1, b1) = ([Fraction(float(v)) for v in form.generators[:, 0]] for form in box)
    slack = [Fraction(float(form.radius[0])) for form in box]
    det = a0 * b1 - b0 * a1
    assert det != 0
    for p, q in ((b1 / det, -b0 / det), (-a1 / det, a0 / det)):
        reach = sum(abs(p * Fraction(float(g)) + q * Fraction(float(h))) for g, h in zip(G[0], G[1], strict=True))
        assert reach <= 1 + abs(p) * slack[0] + abs(q) * slack[1]
    if scale == 1.0:
        longest = np.linalg.norm(G, axis=0).sum()
        assert max(abs(a0), abs(a1)) <= longest * (1 + 1e-9) and abs(det) <= 1e-13 * longest**2


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("tilt", [2.0**-47, 2.0**-48, 2.0**-49, 2.0**-51, 2.0**-53, 1.0])
def test_sets_that_are_almost_lines_lie_in_their_rectangles(seed: int, tilt: float) -> None:
    """Generators along one axis, or none, moved a few units to the side: in fractions, and no radius is below 0."""
    rng = np.random.default_rng(seed)
    G = np.stack([tilt * rng.uniform(-1, 1, 7), rng.uniform(-1, 1, 7)])
    if seed % 4 > 1:
        turn = rng.uniform(0, 2 * np.pi)
        G = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ G
    G, r = G[:: -1 if seed % 2 else 1], tilt * rng.uniform(0, 0.1, 2) * (seed % 3)
    box = _oriented(tuple(AffineForm(np.zeros(1), G[i][:, None], r[i : i + 1]) for i in range(2)))
    assert box is not None
    (a0, b0), (a1, b1) = ([Fraction(float(v)) for v in form.generators[:, 0]] for form in box)
    slack = [Fraction(float(form.radius[0])) for form in box]
    assert min(slack) >= 0
    # one zonotope lies in another if it does in the directions across its sides
    for p, q in ((a1, -a0), (b1, -b0), (Fraction(1), Fraction(0)), (Fraction(0), Fraction(1))):
        reach = sum(abs(p * Fraction(float(g)) + q * Fraction(float(h))) for g, h in zip(G[0], G[1], strict=True))
        reach += abs(p) * Fraction(float(r[0])) + abs(q) * Fraction(float(r[1]))
        room = abs(p * a0 + q * a1) + abs(p * b0 + q * b1) + abs(p) * slack[0] + abs(q) * slack[1]
        assert reach <= room


def test_radii_of_rectangles_are_not_below_zero() -> None:
    """Also of sets that are wider across their longest generator than along it."""
    G = np.array([[1.0, *[0.0] * 9], [0.0, *[0.9] * 9]])
    for order in (1, -1):
        box = _oriented(tuple(AffineForm(np.zeros(1), row[:, None], np.zeros(1)) for row in G[::order]))
        assert box is not None and all(2.0**-52 < form.radius[0] < 2.0**-40 for form in box)


def test_sets_with_infinite_parts_have_no_rectangle_that_is_small() -> None:
    for bad in (np.inf, np.nan):
        x = (AffineForm(np.zeros(1), np.array([[bad]])), AffineForm(np.zeros(1), np.array([[1.0]])))
        with np.errstate(all="ignore"):
            box = _oriented(x)
        assert box is not None
        assert not np.isfinite(box[0].range().lo[0])


def test_a_state_that_is_undefined_in_part_is_undefined() -> None:
    """x+ = sqrt(y + 1/2), y+ = 3/10 |y|, z+ = z / 2: two steps from y = -3/4 all would be defined again."""
    line = loop_of(lambda x, y, z: (sqrt(y + 0.5), 0.3 * absolute(y), 0.5 * z), 3)
    line.model.observe = lambda x: (x[1], x[2], x[2])  # type: ignore[method-assign]
    flight = line.flight(np.array([[0.0, -0.8, 0.0], [0.0, 0.2, 0.0]]), np.array([[0.1, -0.7, 0.0], [0.1, 0.3, 0.0]]))
    next(flight)
    lower, upper = next(flight)
    assert np.all(lower[0] == -np.inf) and np.all(upper[0] == np.inf)
    assert np.all(np.isfinite(lower[1])) and lower[1, 1] <= 0.018 <= 0.027 <= upper[1, 1] <= 0.0271
