"""All equilibria of a loop, against those that are known by hand or found by scanning."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq

from lipctrl import load_policy
from lipctrl.intervals.interval import Interval
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.plants.models.pendulum import Pendulum
from lipctrl.proofs import rest_states
from lipctrl.proofs.closed_loop import ClosedLoop
from lipctrl.proofs.grid import Grid
from lipctrl.proofs.rest_states import RestStates, find_rest_states

POLICIES = Path(__file__).resolve().parents[2] / "policies"
ANGLES = np.array([True, False])


def _all(network: Network, level: int = 6) -> RestStates:
    grid = Grid.around([-np.pi, -8.0], [np.pi, 8.0], ANGLES, level)
    return find_rest_states(ClosedLoop(Pendulum(), network), *grid.boxes(grid.unmarked()), ANGLES)


def _scanned(network: Network) -> list[float]:
    """Angles in [-pi, pi) at which a resting pendulum is not accelerated: 15 sin(angle) + 3 u = 0."""

    def pull(angle: float) -> float:
        y = np.array([np.cos(angle), np.sin(angle), 0.0])
        return float(15 * np.sin(angle) + 3 * np.clip(network(y)[0], -2, 2))

    grid = np.linspace(-np.pi, np.pi, 20_001)
    values = [pull(angle) for angle in grid]
    return [
        brentq(pull, a, b, xtol=1e-13)
        for a, b, p, q in zip(grid, grid[1:], values, values[1:], strict=False)
        if p * q <= 0
    ]


@pytest.mark.parametrize("name", ["pendulum-ppo", "pendulum-sac"])
def test_exactly_the_equilibria_that_scanning_finds(name: str) -> None:
    network = load_policy(POLICIES / name).network
    found, scanned = _all(network), _scanned(network)
    assert found.complete
    angles = np.sort([(box.mid[0] + np.pi) % (2 * np.pi) - np.pi for box in found.proved])
    assert angles == pytest.approx(np.sort(scanned), abs=1e-6)
    assert all(abs(box.mid[1]) < 1e-9 and box.rad.max() < 1e-6 for box in found.proved)


def test_an_undriven_pendulum_rests_upright_and_hanging() -> None:
    found = _all(Network([Affine([[0.0, 0.0, 0.0]])]))
    assert found.complete and len(found.proved) == 2
    assert sorted(abs(box.mid[0]) for box in found.proved) == pytest.approx([0.0, np.pi], abs=1e-9)


def test_full_torque_leaves_the_two_angles_where_it_balances_gravity() -> None:
    """15 sin(angle) = -6."""
    found = _all(Network([Affine([[0.0, 0.0, 0.0]], [2.0])]))
    assert found.complete
    assert sorted(np.sin(box.mid[0]) for box in found.proved) == pytest.approx([-0.4, -0.4], abs=1e-9)


def test_a_line_of_equilibria_stays_in_doubt() -> None:
    """Torque that cancels gravity near upright: every angle there is an equilibrium."""
    cancels = Network([Affine([[0.0, -5.0, 0.0]]), Elementwise("hardtanh", 1, low=-2.0, high=2.0)])
    grid = Grid.around([-0.1, -0.5], [0.1, 0.5], [False, False], 3)
    cells = grid.boxes(grid.unmarked())
    found = find_rest_states(ClosedLoop(Pendulum(), cancels), *cells, ANGLES, max_cells=1000)
    assert not found.complete and not found.proved
    lower = np.min([low for low, _ in found.doubtful], axis=0)
    upper = np.max([high for _, high in found.doubtful], axis=0)
    assert lower[0] <= -0.1 and upper[0] >= 0.1 and lower[1] < 0 < upper[1]


# --------------------------------------------------------------------------------------------------------- part by part

TURN = 2 * np.pi


class Moves:
    """x+ = a x + b, state by state."""

    def __init__(self, a: Any, b: Any) -> None:
        self.a, self.b = a, b

    def step(self, x: Any) -> list[Any]:
        return [float(a) * form + float(b) for form, a, b in zip(x, self.a, self.b, strict=True)]


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_what_moves_rests_nowhere_unless_by_whole_turns(side: float) -> None:
    """A cell is excluded if some state moves to one side on all of it, an angle by less than a turn."""
    low = np.array([[0.0, 0.0], [1.0, 0.0], [-2.0, 0.0], [2.0, 1.0], [-3.0, -1.0]])
    high = low + np.array([1.0, 1.0])
    if side < 0:
        low, high = -high, -low

    def excluded(a: Any, b: Any, angles: Any) -> list[bool]:
        loop: Any = Moves(a, side * np.array(b))
        return rest_states._excluded(loop, low, high, np.array(angles)).tolist()

    def doubtful(a: Any, b: Any, angles: Any) -> list[bool]:
        """The same from the ends of each cell."""
        out = []
        for lower, upper in zip(low, high, strict=True):
            away = False
            for k in range(2):
                ends = sorted((a[k] - 1) * x + side * b[k] for x in (lower[k], upper[k]))
                limit = TURN if angles[k] else np.inf
                away |= bool((ends[0] > 0 and ends[1] < limit) or (ends[1] < 0 and ends[0] > -limit))
            out.append(away)
        return out

    for a in ([1.0, 1.0], [1.5, 1.0], [1.0, 0.25], [3.0, 1.5], [-1.0, 1.0]):
        for b in ([0.0, 0.0], [0.125, 0.0], [0.0, 0.25], [3.0, 0.0], [6.28, 0.0], [6.29, 0.0], [6.25, -0.75]):
            for angles in ([True, False], [False, False], [False, True], [True, True]):
                assert excluded(a, b, angles) == doubtful(a, b, angles), (a, b, angles)
    # touching zero at an end of the cell is no proof
    assert excluded([2.0, 1.0], [0.0, 0.0], [False, False])[0] is False
    many = np.repeat(low, 1700, axis=0), np.repeat(high, 1700, axis=0)
    loop: Any = Moves([1.5, 1.0], [0.0, 0.0])
    found = rest_states._excluded(loop, *many, np.array([False, False]))
    assert found.tolist() == np.repeat(excluded([1.5, 1.0], [0.0, 0.0], [False, False]), 1700).tolist()


def test_cells_lie_in_a_box_if_all_their_ends_do() -> None:
    rng = np.random.default_rng(0)
    lower = rng.integers(-4, 3, (300, 2)).astype(float)
    upper = lower + rng.integers(1, 3, (300, 2))
    boxes = [
        Interval(np.array([-3.0, -2.0]), np.array([1.0, 2.0])),
        Interval(np.array([0.0, -4.0]), np.array([4.0, 0.0])),
    ]
    brute = [any(all(box.lo[k] <= a[k] and b[k] <= box.hi[k] for k in range(2)) for box in boxes)
             for a, b in zip(lower, upper, strict=True)]  # fmt: skip
    assert rest_states._within(boxes, lower, upper).tolist() == brute and 10 < sum(brute) < 290
    assert not rest_states._within([], lower, upper).any()


@pytest.mark.parametrize("end", [0, 1])
def test_a_cell_with_one_end_in_a_box_is_looked_at_further(monkeypatch: pytest.MonkeyPatch, end: int) -> None:
    """The box of a proved equilibrium holds one corner of the cell: the other end may hold another equilibrium."""
    corners = np.array([[0.0, 0.0], [1.0, 3.0]])
    wide = Interval(corners[end] - [0.25, 0.5], corners[end] + [0.25, 0.5])

    def another(loop: Any, lower: Any, upper: Any, proved: list[Interval], boxes: list[Interval]) -> bool:
        if not boxes:
            boxes.append(wide)
            proved.append(wide)
        return len(boxes) < 2 and len(lower) < 1

    monkeypatch.setattr(rest_states, "_another", another)
    monkeypatch.setattr(rest_states, "_excluded", lambda loop, lower, upper, angles: np.zeros(len(lower), dtype=bool))
    loop: Any = None
    found = find_rest_states(loop, corners[:1], corners[1:], np.array([False, False]), max_cells=400)
    assert len(found.proved) == 1 and not found.complete
    rest = np.random.default_rng(0).uniform(*corners, (200, 2))
    rest = rest[~((wide.lo <= rest) & (rest <= wide.hi)).all(axis=1)]
    assert all(any(np.all((a <= x) & (x <= b)) for a, b in found.doubtful) for x in rest)


def test_cells_are_halved_along_their_longest_side() -> None:
    lower, upper = np.array([[0.0, 0.0], [4.0, 1.0]]), np.array([[1.0, 4.0], [5.0, 5.0]])
    low, high = rest_states._halves(lower, upper)
    assert low.tolist() == [[0, 0], [4, 1], [0, 2], [4, 3]] and high.tolist() == [[1, 2], [5, 3], [1, 4], [5, 5]]
    none = np.zeros((0, 2))
    assert all(len(part) == 0 for part in rest_states._halves(none, none + 1))
    assert lower.tolist() == [[0, 0], [4, 1]] and upper.tolist() == [[1, 4], [5, 5]]


def test_a_state_and_its_copy_after_a_full_turn_are_one() -> None:
    def box(x: float, y: float, radius: float) -> Interval:
        return Interval(np.array([x - radius, y - radius]), np.array([x + radius, y + radius]))

    def kept(places: list[tuple[float, float]], angles: list[bool], radius: float = 0.1) -> list[int]:
        small = [box(x, y, 1e-9) for x, y in places]
        found = rest_states._once(small, [box(x, y, radius) for x, y in places], np.array(angles))
        return [next(i for i, b in enumerate(small) if b is one) for one in found]

    places = [(0.5, 0.0), (0.5 + TURN, 0.0), (0.5 - TURN, 0.0), (0.5 + 2 * TURN, 0.0), (0.5, TURN), (0.6 + TURN, 0.5)]
    assert kept(places, [True, False]) == [0, 3, 4, 5]
    assert kept(places, [False, False]) == [0, 1, 2, 3, 4, 5]
    assert kept(places, [False, True]) == [0, 1, 2, 3, 5]
    assert kept(places[:3], [True, False], 1e-10) == [0, 1, 2]
    assert kept([(0.5, 0.0), (0.5 + TURN / 2, 0.0), (0.5 + TURN / 2, 0.0)], [True, False]) == [0, 1, 2]
    # of two angles both may have turned, but not one by itself here
    assert kept([(0.0, 0.0), (TURN, TURN)], [True, True]) == [0]


def test_a_box_is_added_for_an_equilibrium_nearby_that_is_proved_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    lower, upper = np.array([[0.0, 0.0], [8.0, 0.0]]), np.array([[1.0, 1.0], [9.0, 1.0]])
    small, large = Interval(np.zeros(2), np.ones(2)), Interval(-np.ones(2), 2 * np.ones(2))
    loop: Any = SimpleNamespace(model=None, network=None)
    found: list[Any] = []

    def tried(newton: Any, proofs: Any, wide: list[Interval]) -> tuple[bool, int, int]:
        proved: list[Interval] = []
        asked = iter(proofs)
        monkeypatch.setattr(rest_states, "newton", lambda model, network, x: newton)
        monkeypatch.setattr(rest_states, "prove_equilibrium", lambda *given: found.append(given[2:]) or next(asked))
        before = len(wide)
        done = rest_states._another(loop, lower, upper, proved, wide)
        return done, len(proved), len(wide) - before

    yes = SimpleNamespace(x=small), SimpleNamespace(x=large)
    at = np.array([0.5, 0.5])
    assert tried(at, yes, []) == (True, 1, 1)
    assert len(found) == 2 and len(found[0]) == 1 and found[1][1] == rest_states.WIDE
    assert tried(None, yes, []) == (False, 0, 0)
    assert tried(at, [None, None, None, None], []) == (False, 0, 0)
    assert tried(at, [yes[0], None, yes[0], None], []) == (False, 0, 0)
    assert tried(at, yes, [Interval(np.array([0.25, 0.5]), np.array([0.5, 0.75]))]) == (False, 0, 0)
    assert tried(at, yes, [Interval(np.array([0.25, 0.6]), np.array([0.5, 0.75]))]) == (True, 1, 1)
    assert tried(np.array([99.0, 0.5]), yes, []) == (False, 0, 0)
    assert (
        all(0 < width < 1 for width in rest_states.WIDE) and tuple(sorted(rest_states.WIDE))[::-1] == rest_states.WIDE
    )
