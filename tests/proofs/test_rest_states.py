"""All equilibria of a loop, against those that are known by hand or found by scanning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import brentq

from lipctrl import load_policy
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.plants.models.pendulum import Pendulum
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
