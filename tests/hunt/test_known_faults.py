"""Known faults of other tools, each with what the house says instead."""

from __future__ import annotations

import control
import numpy as np
import pytest

from lipctrl.lmi.solvers import solve
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.plants.plant import Plant
from lipctrl.proofs.verify import holds
from lipctrl.theorems import lipschitz as theorem
from lipctrl.theorems.hinf import hinf_norm
from lipctrl.theorems.lipschitz import lipschitz
from tests.networks_for_tests import random_network


@pytest.mark.parametrize(
    ("network", "claimed", "truth"),
    [
        (([[2, 2], [1, 2], [-1, -1]], [0, 0, 0], [[1, -1, 0]]), 1.0, np.sqrt(8)),
        (([[1], [1]], [1, -1], [[1, -1]]), 4.65e-6, 1.0),
    ],
    ids=["planar", "step"],
)
def test_lipsdp_network_claims_less_than_is_attained(network, claimed: float, truth: float) -> None:
    """Couplings between neurons (LipSDP-Network): the claim is below a slope that two points attain."""
    W0, b0, W1 = network
    bound = lipschitz(Network([Affine(W0, b0), Elementwise("relu", len(W0)), Affine(W1)]))
    assert claimed < truth * (1 - 1e-9) <= bound.upper
    assert claimed < bound.lower


@pytest.mark.parametrize(
    ("kind", "parameters", "attained"), [("gelu", {}, 1.1289), ("silu", {}, 1.0998), ("elu", {"alpha": 2.0}, 2.0)]
)
def test_eclipse_takes_slopes_for_at_most_one(kind: str, parameters: dict, attained: float) -> None:
    """eclipse-nn 0.1.7 says 1.0 of the activation alone; twice in a row it is further off."""
    layers = [Affine([[1.0]]), Elementwise(kind, 1, **parameters), Affine([[1.0]])]
    bound = lipschitz(Network(layers))
    assert attained - 1e-3 < bound.lower <= bound.upper < attained + 1e-3
    twice = lipschitz(Network([*layers[:2], *layers]))
    assert twice.upper >= twice.lower > 1.0
    # a shift of the input between them reaches the steepest part of both: slope squared
    assert lipschitz(Network([*layers[:2], Affine([[3.0]], [2.0]), *layers[1:]])).upper > 3 * attained


def test_system_norm_of_an_unstable_plant_is_a_number_elsewhere_and_none_here() -> None:
    unstable = control.ss([[1.2]], [[1.0]], [[1.0]], 0, 1.0)
    assert hinf_norm(Plant.from_control(unstable)) is None
    continuous = control.ss([[0.1]], [[1.0]], [[1.0]], 0)
    assert hinf_norm(Plant.from_control(continuous)) is None
    # what the other tool says of it is finite: |1 / (s - .1)| peaks at 10
    assert np.isfinite(control.system_norm(continuous, "inf", print_warning=False))


def test_system_norm_errs_low_and_the_bound_does_not() -> None:
    """2 x 3 with feedthrough: the peak over a grid is below the proved bound."""
    rng = np.random.default_rng(4)
    A = rng.standard_normal((3, 3))
    A *= 0.9 / np.abs(np.linalg.eigvals(A)).max()
    system = control.ss(A, rng.standard_normal((3, 2)), rng.standard_normal((3, 3)), rng.standard_normal((3, 2)), 1.0)
    z = np.exp(1j * np.linspace(0, np.pi, 2000))
    gains = [np.linalg.norm(system.C @ np.linalg.solve(s * np.eye(3) - A, system.B) + system.D, 2) for s in z]
    bound = hinf_norm(Plant.from_control(system))
    assert bound is not None and max(gains) <= bound.upper <= max(gains) * 1.001


def test_optimal_multipliers_of_cvxpy_are_infeasible_as_they_stand() -> None:
    """As returned, the numbers of most solved problems do not satisfy it; the proved bound is a little above."""
    infeasible = 0
    for seed in range(4):
        statement = theorem.state(random_network((2, 4, 3, 1), "relu", seed))
        solution = solve(statement.lmi, "clarabel")
        assert solution.status == "optimal"
        infeasible += not holds(statement.lmi, solution.values)
        proved = theorem.conclude(statement, solution.values)
        assert proved is not None and holds(statement.lmi, proved)
        assert proved["rho"][0] <= solution.values["rho"][0] * (1 + 1e-4)
    assert infeasible >= 3
