"""Where trajectories end, on maps whose fate is known; and a proof that is made to lie is caught by the simulation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lipctrl import load_policy
from lipctrl.errors import LipctrlError
from lipctrl.networks.network import Affine, Network
from lipctrl.plants.model import Model
from lipctrl.plants.models.pendulum import Pendulum
from lipctrl.proofs.closed_loop import ClosedLoop, box_forms
from lipctrl.proofs.grid import Grid
from lipctrl.theorems.region import find_region
from lipctrl.theorems.region_falsify import CYCLE, ESCAPE, OTHER, REST, describe, fates, trajectory

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
    assert kind == OTHER


def test_a_false_proof_is_contradicted_by_the_simulation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weak gains do not swing the pendulum up: if every image counted as covered, simulation would say no."""
    monkeypatch.setattr(Grid, "covers", lambda grid, ranges: np.ones(len(ranges.inside), dtype=bool))
    with pytest.raises(LipctrlError, match="contradicts the simulation"):
        find_region(Pendulum(), Network([Affine([[0.0, -20.0, -4.0]])]), np.zeros(2), time_limit=20.0, last_level=6)


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
