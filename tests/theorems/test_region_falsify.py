"""Where trajectories end, on maps whose fate is known; and a proof that is made to lie is caught by the simulation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lipctrl import load_policy
from lipctrl.errors import LipctrlError
from lipctrl.intervals.functions import clip
from lipctrl.networks.network import Affine, Network
from lipctrl.plants.model import Model
from lipctrl.plants.models.pendulum import Pendulum
from lipctrl.proofs.closed_loop import ClosedLoop, box_forms
from lipctrl.proofs.ellipsoid import Ellipsoid
from lipctrl.proofs.grid import Grid
from lipctrl.theorems.region import confront, find_region
from lipctrl.theorems.region_falsify import (
    CYCLE,
    ESCAPE,
    OTHER,
    REST,
    UNDECIDED,
    describe,
    ends_elsewhere,
    fates,
    find_failures,
    follow,
    simulate_domain,
    trajectory,
)

POLICIES = Path(__file__).resolve().parents[2] / "policies"
NO_ANGLES = np.array([False, False])


class Map(Model):
    """x+ = equations(x), whatever the action."""

    n_states, n_actions, n_observations, dt = 2, 1, 2, 1.0
    periods = np.zeros(2)
    state_low, state_high = np.array([-3.0, -3.0]), np.array([3.0, 3.0])
    action_low, action_high = np.array([-np.inf]), np.array([np.inf])

    def __init__(self, equations: Callable[..., tuple[Any, Any]]) -> None:
        self.equations = equations

    def step(self, x: Sequence[Any], u: Sequence[Any]) -> tuple[Any, ...]:
        return self.equations(*x)

    def observe(self, x: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(x)


def _loop(equations: Callable[..., tuple[Any, Any]]) -> ClosedLoop:
    return ClosedLoop(Map(equations), Network([Affine([[0.0, 0.0]])]))


C, S = np.cos(1.0), np.sin(1.0)


@pytest.mark.parametrize(
    ("equations", "kind", "length", "words"),
    [
        (lambda x, y: (0.5 * x + 1.0, 0.5 * y), REST, 1, "rests at (2, 0)"),
        (lambda x, y: (-x, 0.5 * y), CYCLE, 2, "cycle of 2 steps within [-1, 1]"),
        (lambda x, y: (2.0 * x, y), ESCAPE, 0, "leaves every bound"),
        (lambda x, y: (C * x - S * y, S * x + C * y), OTHER, 601, "keeps moving, within [-1"),
    ],
)
def test_fates(equations: Callable[..., tuple[Any, Any]], kind: str, length: int, words: str) -> None:
    loop = _loop(equations)
    ((found, orbit),) = fates(loop, NO_ANGLES, np.array([[1.0, 0.0]]))
    assert (found, len(orbit)) == (kind, length)
    path = trajectory(loop, np.array([1.0, 0.0]))
    assert path[0] == pytest.approx([1.0, 0.0]) and np.all(np.isfinite(path))
    assert words in describe(path, found, orbit) and "from (1, 0)" in describe(path, found, orbit)


def test_turning_round_and_round_is_a_cycle_of_the_angle() -> None:
    turning = _loop(lambda x, y: (x + 2 * np.pi / 7, 0.5 * y))
    ((kind, orbit),) = fates(turning, np.array([True, False]), np.array([[0.3, 0.0]]))
    assert kind == CYCLE and len(orbit) == 7
    ((kind, orbit),) = fates(turning, NO_ANGLES, np.array([[0.3, 0.0]]), steps=100)
    assert kind == UNDECIDED


def test_a_start_far_away_that_comes_back_is_no_escape() -> None:
    """The second state is clipped in the first step, as the pendulum's speed is; then all contracts."""
    loop = _loop(lambda x, y: (0.5 * x, 0.5 * clip(y, -8.0, 8.0)))
    core = Ellipsoid(np.zeros(2), np.eye(2), 0.1)
    low, high = np.array([-0.1, -1e13]), np.array([0.1, 1e13])
    simulation = simulate_domain(loop, core, low, high, NO_ANGLES, per_axis=8)
    assert np.all(simulation.converging) and find_failures(loop, core, NO_ANGLES, simulation) == ()
    ((kind, orbit),) = fates(loop, NO_ANGLES, np.array([[0.05, -9e12]]))
    assert kind == REST and np.allclose(orbit, 0)
    assert len(trajectory(loop, np.array([0.05, -9e12]), steps=50)) == 51


def test_a_trajectory_that_is_still_on_its_way_refutes_nothing() -> None:
    """Saturated, at most 1 a step: from 1e5 it takes longer than anyone follows. In one step from 1e13 it is halved."""
    slow = _loop(lambda x, y: (x - clip(0.5 * x, -1.0, 1.0), 0.5 * y))
    ((kind, _),) = fates(slow, NO_ANGLES, np.array([[1e5, 0.0]]))
    assert kind == UNDECIDED
    core = Ellipsoid(np.zeros(2), np.eye(2), 0.1)
    low, high = np.array([-1e5, -1.0]), np.array([1e5, 1.0])
    simulation = simulate_domain(slow, core, low, high, NO_ANGLES, per_axis=8)
    assert not np.all(simulation.converging) and find_failures(slow, core, NO_ANGLES, simulation) == ()
    arrival, _, _ = follow(_loop(lambda x, y: (0.5 * x, 0.5 * y)), core, NO_ANGLES, np.array([[1e13, 0.0]]), 1000)
    assert np.isfinite(arrival[0])


def test_against_a_proof_speak_only_starts_that_end_elsewhere() -> None:
    """x+ = x/2 + 3 clip(x, -1, 1)/4 rests in 0 and in +- 3/2; that from 1e5 by steps of 1 is on its way for long."""
    core = Ellipsoid(np.zeros(2), np.eye(2), 0.1)
    starts = np.array([[0.05, 0.0], [0.2, 0.0], [0.0, 5.0], [-7.0, 0.0], [1e5, 0.0]])
    two = _loop(lambda x, y: (0.5 * x + 0.75 * clip(x, -1.0, 1.0), 0.5 * y))
    assert np.array_equal(ends_elsewhere(two, core, NO_ANGLES, starts), starts[[1, 3, 4]])
    slow = _loop(lambda x, y: (x - clip(0.5 * x, -1.0, 1.0), 0.5 * y))
    assert not len(ends_elsewhere(slow, core, NO_ANGLES, starts))


def test_between_parameters_that_end_full_turns_apart_one_does_not_converge() -> None:
    """A heavy pendulum falls back where a light one passes; nearer to the value between it hesitates longer."""
    network = load_policy(POLICIES / "pendulum-ppo").network
    angles, ball = np.array([True, False]), Ellipsoid(np.array([0.0166, 0.0]), np.eye(2), 0.1)
    ends = {"m": (0.95, 1.05), "l": (0.95, 1.05)}
    loop = ClosedLoop(Pendulum().with_uncertain(ends), network)
    simulation = simulate_domain(loop, ball, *(loop.model.state_low, loop.model.state_high), angles, per_axis=16)
    assert simulation.turns is not None and simulation.turns.shape == (5, 256, 2)
    assert 0.3 < simulation.apart.mean() < 0.5
    assert np.array_equal(simulation.converging, ~simulation.apart)

    def arrive(size: float) -> tuple[float, float]:
        plant = ClosedLoop(Pendulum(mass=size, length=size), network)
        arrival, _, turns = follow(plant, ball, angles, start[None], 2000)
        return float(arrival[0]), float(turns[0, 0])

    lightest, heaviest = simulation.turns[1, :, 0], simulation.turns[-1, :, 0]
    start = simulation.starts[np.flatnonzero(lightest != heaviest)[0]]
    low, high, longest = 0.95, 1.05, max(arrive(0.95)[0], arrive(1.05)[0])
    for _ in range(48):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if arrive(middle)[1] == arrive(low)[1] else (low, middle)
    assert arrive(low)[1] != arrive(high)[1]
    assert min(arrive(low)[0], arrive(high)[0]) > longest + 40
    region: Any = SimpleNamespace(
        simulation=simulation, others=(), core=ball, contains=lambda x: np.zeros(len(x), bool)
    )
    confront(region, loop, angles)
    region.contains = lambda x: np.all(x == start, axis=1)
    with pytest.raises(LipctrlError, match="contradicts the simulation"):
        confront(region, loop, angles)


def test_a_far_angle_is_no_escape() -> None:
    turning = _loop(lambda x, y: (x, 0.5 * y + 1.0))
    turning.model.periods = np.array([2 * np.pi, 0.0])
    ((kind, _),) = fates(turning, np.array([True, False]), np.array([[1e10, 0.0]]))
    assert kind == REST and len(trajectory(turning, np.array([1e10, 0.0]), steps=20)) == 21


def test_a_false_proof_is_contradicted_by_the_simulation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weak gains do not swing the pendulum up: if every image counted as covered, simulation would say no."""
    monkeypatch.setattr(Grid, "covers", lambda grid, ranges: np.ones(len(ranges.inside), dtype=bool))
    with pytest.raises(LipctrlError, match="contradicts the simulation"):
        find_region(Pendulum(), Network([Affine([[0.0, -20.0, -4.0]])]), np.zeros(2), time_limit=5.0, last_level=6)


@pytest.mark.parametrize("steps", [1, 4])
def test_forms_of_the_loop_contain_random_points(steps: int) -> None:
    """20000 points of 1000 cells of all sizes: at its place in the cell, the state is within the form's radius."""
    loop = ClosedLoop(Pendulum(), load_policy(POLICIES / "pendulum-sac").network)
    rng = np.random.default_rng(0)
    half = 2.0 ** -rng.uniform(4, 14, (1000, 1)) * np.array([np.pi, 8.0])
    center = rng.uniform([-np.pi, -8], [np.pi, 8], (1000, 2))
    x = box_forms(center - half, center + half)
    after = loop.advance(x, steps)
    for _ in range(20):
        e = np.clip(rng.uniform(-1.2, 1.2, center.shape), -1, 1)
        end = loop.simulate(np.clip(center + e * half, center - half, center + half), steps)
        for i, form in enumerate(after):
            error = np.abs(end[:, i] - form.center - np.einsum("nk,kn->n", e, form.generators[:2]))
            assert np.all(error <= form.radius + np.abs(form.generators[2:]).sum(axis=0) + 1e-12)
