"""The first-order method: exact gradients, a bound whenever it stops, and near the optimum where that is known."""

from __future__ import annotations

import time

import numpy as np
import pytest

from lipctrl.errors import MemoryLimitError, SolverError
from lipctrl.lmi.solvers import anytime, chain, solve
from lipctrl.networks.enclosure import InputSet
from lipctrl.proofs.verify import holds
from lipctrl.theorems import lipschitz
from tests.networks_for_tests import random_network


@pytest.mark.parametrize(
    ("sizes", "kind", "method"),
    [((3, 8, 7, 2), "gelu", "neuron"), ((3, 8, 7, 2), "relu", "layer"), ((2, 6, 1), "silu", "neuron")],
)
def test_gradient_against_differences(sizes, kind, method):
    found = chain.recognise(lipschitz.state(random_network(sizes, kind), method=method).lmi)
    problem = anytime._Problem(found.reduction.chain)
    rng = np.random.default_rng(0)
    x, d = 0.05 * rng.normal(size=problem.n), rng.normal(size=problem.n)
    point = problem.evaluate(x, 20.0)
    ahead, behind = (problem.evaluate(x + h * d, 20.0).value for h in (1e-5, -1e-5))
    assert (ahead - behind) / 2e-5 == pytest.approx(point.gradient @ d, rel=1e-6)
    assert np.log(point.rho) <= point.value <= np.log(point.rho) + np.log(sizes[0]) / 20


@pytest.mark.parametrize(("sizes", "optimum"), [((17, 64, 64, 6), 6.533000443), ((2, 64, 64, 1), 8.681751957)])
def test_near_the_known_optimum_and_never_below(sizes, optimum):
    statement = lipschitz.state(random_network(sizes))
    solution = solve(statement.lmi, "anytime")
    assert optimum <= np.sqrt(solution.objective) <= 1.03 * optimum
    proved = lipschitz.conclude(statement, solution.values)
    assert proved is not None and proved["rho"][0] <= solution.objective * (1 + 1e-4)


def test_a_bound_however_little_time_there_is():
    lmi = lipschitz.state(random_network((4, 50, 50, 50, 2), "gelu")).lmi
    optimum = chain.solve(lmi, gap=1e-7)
    objectives = []
    for limit in (0.0, 0.05, 1.0):
        began = time.perf_counter()
        solution = anytime.solve(lmi, time_limit=limit)
        assert time.perf_counter() - began < limit + 1.0
        assert solution.status == "feasible"
        assert 0 < solution.lower <= optimum.objective
        assert holds(lmi, {**solution.values, "rho": solution.values["rho"] * (1 + 1e-8)})
        objectives.append(solution.objective)
    assert objectives[2] < objectives[0] <= float(lmi.start["rho"][0])


@pytest.mark.parametrize(("kind", "box"), [("relu", None), ("gelu", None), ("tanh", 0.3)])
def test_shared_multipliers_reach_the_optimum_from_both_sides(kind, box):
    inputs = None if box is None else InputSet.from_box(np.zeros(3), np.full(3, box))
    lmi = lipschitz.state(random_network((3, 14, 12, 2), kind), inputs, method="layer").lmi
    solution, optimum = anytime.solve(lmi, tolerance=1e-6), chain.solve(lmi, gap=1e-8)
    assert solution.status == "optimal"
    assert solution.objective == pytest.approx(optimum.objective, rel=2e-6)
    assert solution.lower == pytest.approx(optimum.objective, rel=2e-6)


def test_memory_is_forecast_before_it_is_taken():
    lmi = lipschitz.state(random_network((2, 40, 30, 1))).lmi
    with pytest.raises(MemoryLimitError, match="MB allowed"):
        anytime.solve(lmi, memory_limit=1000.0)
    with pytest.raises(SolverError, match="plain chain"):
        anytime.solve(lipschitz.state(random_network((2, 4, 1)), shift=np.ones((1, 2))).lmi)
