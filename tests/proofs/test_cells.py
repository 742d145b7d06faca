"""Core, decrease, grids and cells on loops whose basin is known by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from lipctrl.errors import LipctrlError
from lipctrl.intervals.functions import clip
from lipctrl.intervals.interval import Interval
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.plants.model import Model
from lipctrl.proofs.cells import CertifiedSet
from lipctrl.proofs.closed_loop import ClosedLoop
from lipctrl.proofs.core import contraction, final_ball, final_stages, prove_core, spectral_norms
from lipctrl.proofs.decrease import growth, prove_decrease
from lipctrl.proofs.ellipsoid import Ellipsoid, ball_cells
from lipctrl.proofs.grid import TWO_PI, Grid

ORIGIN = Interval(np.zeros(2))


class Line(Model):
    """x+ = 1.1 x + clip(u, +-limit) + cubic x^3, beside a second state that decays by itself."""

    n_states, n_actions, n_observations, dt = 2, 1, 2, 1.0
    periods = np.zeros(2)
    state_low, state_high = np.array([-4.0, -4.0]), np.array([4.0, 4.0])
    action_low, action_high = np.array([-np.inf]), np.array([np.inf])

    def __init__(self, limit: float, cubic: float = 0.0) -> None:
        self.limit, self.cubic = limit, cubic

    def step(self, x: Sequence[Any], u: Sequence[Any]) -> tuple[Any, ...]:
        first = 1.1 * x[0] + clip(u[0], -self.limit, self.limit)
        return (first + self.cubic * x[0] ** 3 if self.cubic else first), 0.5 * x[1]

    def observe(self, x: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(x)


class Turn(Model):
    """An angle that halves its distance to 0 within (-2, 2) and stays beyond; of period 2 pi."""

    n_states, n_actions, n_observations, dt = 2, 1, 1, 1.0
    periods = np.array([2 * np.pi, 0.0])
    state_low, state_high = np.array([-np.pi, -1.0]), np.array([np.pi, 1.0])
    action_low, action_high = np.array([-np.inf]), np.array([np.inf])

    def step(self, x: Sequence[Any], u: Sequence[Any]) -> tuple[Any, ...]:
        return x[0] + 1.0 + u[0], 0.5 * x[1]

    def observe(self, x: Sequence[Any]) -> tuple[Any, ...]:
        return (x[1],)


def saturated() -> ClosedLoop:
    """Rests at 0; x = 2 and -2 (1.1 x - .2 = x) are saddles, everything beyond diverges."""
    return ClosedLoop(Line(0.2), Network([Affine([[-0.6, 0.0]])]))


def cubic() -> ClosedLoop:
    """.2 x + x^3 for |x| <= 2.2: rests at 0, diverges from beyond sqrt(.8) = .8944."""
    return ClosedLoop(Line(2.0, 1.0), Network([Affine([[-0.9, 0.0]])]))


def ball(radius: float, T: np.ndarray | None = None) -> Ellipsoid:
    return Ellipsoid(np.zeros(2), np.eye(2) if T is None else T, radius)


def test_spectral_norms_are_upper_bounds_and_close() -> None:
    A = np.random.default_rng(0).standard_normal((200, 3, 3)) * np.exp(np.linspace(-80, 80, 200))[:, None, None]
    exact = np.linalg.norm(A, 2, axis=(1, 2))
    bound = spectral_norms(A)
    assert np.all(bound >= exact * (1 - 1e-15)) and np.all(bound <= exact * (1 + 1e-9))
    assert spectral_norms(np.full((1, 2, 2), np.nan))[0] == np.inf


def test_core_ends_where_the_slope_reaches_one() -> None:
    """d/dx (.2 x + x^3) = .2 + 3 x^2 < 1 for |x| < .5164."""
    loop = cubic()
    assert prove_core(loop, ball(0.5), ORIGIN, 64) is not None
    assert prove_core(loop, ball(0.53), ORIGIN, 64) is None
    assert contraction(loop, ball(0.4), 0.0, 64)[0] >= 0.2 + 3 * 0.16


def test_core_is_smaller_by_the_size_of_the_equilibrium_box() -> None:
    core = prove_core(cubic(), ball(0.4), Interval(np.full(2, -1e-3), np.full(2, 1e-3)))
    assert core is not None and core.radius < 0.4 - np.sqrt(2) * 0.999e-3


def test_no_core_for_an_unstable_equilibrium() -> None:
    assert prove_core(ClosedLoop(Line(0.2), Network([Affine([[0.0, 0.0]])])), ball(0.01), ORIGIN) is None


def test_errors_of_the_action_leave_a_final_ball() -> None:
    """x+ = .2 x + d, |d| <= .01, ends in |x| <= .01 / .8 (beside .5 y, whose rate decides here: .01 / .5)."""
    linear = ClosedLoop(Line(2.0), Network([Affine([[-0.9, 0.0]])]), 0.01)
    stages = final_stages(linear, ball(0.3), ORIGIN)
    final = final_ball(ball(0.3), ORIGIN, stages)
    assert stages[-1].push >= 0.01 and stages[-1].rate >= 0.5
    assert 0.01 / 0.8 <= final.radius <= 1.05 * 0.02
    assert prove_core(linear, ball(0.015), ORIGIN) is None
    assert final_stages(cubic(), ball(0.3), ORIGIN) == ()
    assert final_ball(ball(0.3), ORIGIN, ()).radius < 1e-12
    robust = _fill(linear, ball(0.3), 6)
    assert 0.5 < robust.grids[0].marked.mean() <= 1.0


def test_decrease_reaches_the_saddle_and_not_beyond() -> None:
    loop = saturated()
    answer = prove_decrease(loop, ball(3.0, np.diag([1.0, 0.2])), ball(0.1))
    assert answer.proved is not None
    assert 1.95 < answer.proved.radius < 2.0
    assert len(answer.violations) > 0


def test_a_function_that_grows_is_not_proved() -> None:
    """V with strong coupling grows along the slow direction, near the inner set already."""
    T = np.array([[1.0, 3.0], [0.0, 0.05]])
    answer = prove_decrease(cubic(), ball(0.8, T), ball(1e-3), max_cells=5000)
    assert answer.proved is None or answer.proved.radius < 0.8


def test_growth_bounds_samples() -> None:
    loop = cubic()
    shape = ball(1.0, np.array([[1.0, 0.4], [0.2, 2.0]]))
    S, _ = shape.inverse()
    centers, half_widths = ball_cells(2, 0.9, 12)
    x = shape.points(S, centers, half_widths)
    for steps in (1, 3):
        bound = growth(shape.coordinates(x), shape.coordinates(loop.advance(x, steps)))
        rng = np.random.default_rng(1)
        for _ in range(50):
            z = centers + half_widths * np.clip(rng.uniform(-1.2, 1.2, centers.shape), -1, 1)
            start = z @ S.T
            after = start
            for _ in range(steps):
                after = loop.model.advance(after, loop.network(after))
            assert np.all(np.sum((after @ shape.T.T) ** 2 - (start @ shape.T.T) ** 2, axis=1) <= bound + 1e-13)


def test_ball_cells_cover_the_ball() -> None:
    centers, half_widths = ball_cells(2, 1.0, 7)
    rng = np.random.default_rng(2)
    angle = rng.uniform(0, 2 * np.pi, 2000)
    points = np.sqrt(rng.random(2000))[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    inside = np.all(np.abs(points[:, None] - centers) <= half_widths, axis=2)
    assert np.all(inside.any(axis=1))


def test_ellipsoid_contains_boxes_by_their_corners() -> None:
    shape = Ellipsoid(np.array([1.0, -2.0]), np.array([[2.0, 1.0], [0.0, 1.0]]), 1.0)
    rng = np.random.default_rng(3)
    lower = shape.center + rng.uniform(-1, 1, (500, 2))
    upper = lower + rng.uniform(0, 0.3, (500, 2))
    corners = np.stack([np.stack([a[:, 0], b[:, 1]], 1) for a in (lower, upper) for b in (lower, upper)])
    exact = np.linalg.norm((corners - shape.center) @ shape.T.T, axis=2).max(axis=0)
    claimed = shape.contains_boxes(lower, upper)
    assert np.array_equal(claimed, exact <= 1.0) and claimed.any() and not claimed.all()
    assert not shape.contains_boxes(np.full((1, 2), -np.inf), np.full((1, 2), np.inf))[0]


def test_grid_covers_exactly_what_is_marked() -> None:
    grid = Grid.around([-1.0, 0.0], [1.0, 3.0], [False, False], 4)
    rng = np.random.default_rng(4)
    marked = rng.random((16, 16)) < 0.9
    grid.mark(np.stack(np.nonzero(marked), axis=1))
    lower = rng.uniform([-1.2, -0.2], [1.0, 3.0], (3000, 2))
    upper = lower + rng.uniform(0, 0.5, (3000, 2))
    claimed = grid.covers(grid.ranges(lower, upper))
    assert claimed.any() and not claimed.all()
    for box in range(3000):
        points = lower[box] + (upper[box] - lower[box]) * rng.random((60, 2))
        inside = np.all((points >= grid.low) & (points < grid.high), axis=1)
        index = np.clip(((points - grid.low) / grid.cell).astype(int), 0, 15)
        truth = inside & marked[tuple(index.T)]
        assert truth.all() or not claimed[box]
    grid.refine()
    assert np.array_equal(claimed, grid.covers(grid.ranges(lower, upper))) or grid.marked.mean() > marked.mean() - 1e-9


def test_grid_edges_are_exact_and_points_on_them_belong_to_a_cell() -> None:
    grid = Grid.around([-np.pi, -8.0], [np.pi, 8.0], [True, False], 10)
    index = np.array([[0, 0], [1023, 1023], [517, 3]])
    lower, upper = grid.boxes(index)
    assert np.array_equal(lower[1:] + grid.cell, upper[1:]) and upper[1, 1] == 8.0
    assert grid.low[0] <= -np.pi and grid.high[0] >= np.pi
    grid.mark(grid.unmarked())
    assert grid.covers(grid.ranges(lower, upper)).all()
    assert not grid.covers(grid.ranges(np.array([[0.0, 7.0]]), np.array([[0.1, np.nextafter(8.0, 9.0)]])))[0]


def test_angles_wrap_without_a_gap() -> None:
    """A box around pi, written as it is, or one or many turns further: all need the cells on both ends."""
    for turns in (0, 1, -1, 7, -1000):
        grid = Grid.around([-np.pi, -1.0], [np.pi, 1.0], [True, False], 6)
        box = np.array([[np.pi - 0.05 + turns * 2 * np.pi, -0.5]]), np.array([[np.pi + 0.05 + turns * 2 * np.pi, 0.5]])
        grid.mark(np.array([[i, j] for i in (0, 62, 63) for j in range(64)]))
        assert grid.covers(grid.ranges(*box))[0]
        grid = Grid.around([-np.pi, -1.0], [np.pi, 1.0], [True, False], 6)
        grid.mark(np.array([[i, j] for i in (62, 63) for j in range(64)]))
        assert not grid.covers(grid.ranges(*box))[0]
    grid.mark(grid.unmarked())
    assert not grid.covers(grid.ranges(np.array([[-10.0, 0.0]]), np.array([[10.0, 0.5]])))[0]
    assert TWO_PI[0] < TWO_PI[1]
    with pytest.raises(LipctrlError, match="2 pi"):
        Grid(np.array([-3.0, 0.0]), np.array([6.0, 1.0]), np.array([True, False]), 4)


def test_grid_refuses_edges_that_round() -> None:
    with pytest.raises(LipctrlError, match="power of two"):
        Grid(np.array([0.1, 0.0]), np.array([1.0, 1.0]), np.array([False, False]), 3)


def _fill(loop: ClosedLoop, seed: Ellipsoid, level: int, keep: tuple[int, ...] = (1, 2, 5)) -> CertifiedSet:
    proved = CertifiedSet(loop, [seed])
    model = loop.model
    place = proved.add_grid(Grid.around(model.state_low, model.state_high, model.periods > 0, level))
    proved.cover(place)
    waiting = proved.fly(place, proved.grids[place].unmarked(), keep)
    while (added := proved.grow(waiting)).any():
        waiting = waiting.take(~added)
    return proved


@pytest.mark.parametrize(("loop", "boundary"), [(saturated(), 2.0), (cubic(), np.sqrt(0.8))])
def test_cells_fill_the_known_basin_and_nothing_else(loop: ClosedLoop, boundary: float) -> None:
    proved = _fill(loop, ball(0.1), 8)
    grid = proved.grids[0]
    lower, upper = grid.boxes(np.stack(np.nonzero(grid.marked), axis=1))
    assert upper[:, 0].max() <= boundary and lower[:, 0].min() >= -boundary
    area = len(lower) * np.prod(grid.cell)
    assert area >= 0.95 * 2 * boundary * 8.0
    count = sum(len(record.index) for record in proved.records)
    assert count == grid.marked.sum()
    assert [record.rank for record in proved.records] == list(range(1, len(proved.records) + 1))


def test_every_record_holds_when_replayed_in_order() -> None:
    """Rank by rank, samples of each cell's image lie in the ellipsoid or in cells of lower rank."""
    loop = saturated()
    proved = _fill(loop, ball(0.1), 6)
    grid = Grid(proved.grids[0].low, proved.grids[0].width, proved.grids[0].angles, 6)
    rng = np.random.default_rng(5)
    for record in proved.records:
        lower, upper = grid.boxes(record.index)
        for _ in range(20):
            x = lower + (upper - lower) * np.clip(rng.uniform(-0.1, 1.1, lower.shape), 0, 1)
            for _ in range(record.steps):
                x = loop.model.advance(x, loop.network(x))
            known = grid.covers(grid.ranges(x, x)) | (np.linalg.norm(x, axis=1) <= 0.1)
            assert known.all()
        grid.mark(record.index)


def test_nothing_is_proved_without_a_seed_or_for_a_loop_that_only_turns() -> None:
    proved = CertifiedSet(saturated(), [])
    place = proved.add_grid(Grid.around([-4.0, -4.0], [4.0, 4.0], [False, False], 5))
    assert proved.cover(place) == 0
    assert len(proved.fly(place, proved.grids[place].unmarked(), (1, 3)).index) == 1024
    assert not proved.grids[place].marked.any()


def test_flights_contain_the_trajectories_even_where_bounds_are_attained() -> None:
    """x+ = 1.1 x + 2 relu(x) on [-1, 1]: the line of relu meets its error at both ends and at the kink."""
    network = Network([Affine([[1.0, 0.0], [0.0, 1.0]]), Elementwise("relu", 2), Affine([[2.0, 0.0]])])
    loop = ClosedLoop(Line(100.0), network)
    lower, upper = np.array([[-1.0, -1.0], [-3.0, 0.0]]), np.array([[1.0, 1.0], [0.5, 2.0]])
    flight = loop.flight(lower, upper)
    share = np.linspace(0, 1, 201)[:, None, None]
    x = lower + (upper - lower) * share
    low, high = next(flight)
    for _ in range(5):
        x = loop.model.advance(x, network(x))
        assert np.all((low <= x + 1e-12) & (x - 1e-12 <= high))
        low, high = flight.send(np.array([True, True]))
    low, high = flight.send(np.array([False, True]))
    assert low.shape == (1, 2)


def test_images_may_wrap_around() -> None:
    """theta + 1 reaches the seed at 0 from everywhere, across pi."""
    loop = ClosedLoop(Turn(), Network([Affine([[0.0]])]))
    proved = _fill(loop, Ellipsoid(np.zeros(2), np.diag([1.0, 0.3]), 0.6), 7, (1, 2, 3, 4, 5, 6, 7))
    assert proved.grids[0].marked.all()


def test_images_of_another_level_are_refused() -> None:
    proved = CertifiedSet(saturated(), [ball(0.1)])
    place = proved.add_grid(Grid.around([-4.0, -4.0], [4.0, 4.0], [False, False], 4))
    waiting = proved.fly(place, proved.grids[place].unmarked(), (1,))
    proved.grids[place].refine()
    with pytest.raises(LipctrlError, match="level"):
        proved.grow(waiting)


@pytest.mark.parametrize(("n", "level"), [(1, 7), (2, 6), (3, 4)])
@pytest.mark.parametrize("table", [1, 3, 9])
def test_covers_finds_every_unmarked_cell(n: int, level: int, table: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lipctrl.proofs.grid._TABLE", table)
    monkeypatch.setattr("lipctrl.proofs.grid._LINES", 50)
    rng = np.random.default_rng(level)
    grid = Grid(np.zeros(n), np.ones(n), np.zeros(n, dtype=bool), level - 1)
    marks = rng.random(grid.marked.shape) < 0.5
    grid.mark(np.stack(np.nonzero(marks), axis=1))
    grid.refine()
    marks = np.kron(marks, np.ones((2,) * n)) > 0
    cell = 2.0**-level
    for share in (0.6, 0.9, 0.99):
        marks |= rng.random(marks.shape) < share
        grid.mark(np.stack(np.nonzero(marks & ~grid.marked), axis=1))
        assert np.array_equal(grid.unmarked(), np.stack(np.nonzero(~marks), axis=1))
        first, last = np.sort(rng.integers(0, 2**level, (2, 300, n)), axis=0)
        last[:150] = np.minimum(first[:150] + rng.integers(0, 4, (150, n)), 2**level - 1)
        covered = grid.covers(grid.ranges((first + 0.25) * cell, (last + 0.5) * cell))
        boxes = [tuple(map(slice, a, b + 1)) for a, b in zip(first, last, strict=True)]
        assert covered.tolist() == [bool(marks[box].all()) for box in boxes]
