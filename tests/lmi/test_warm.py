"""Warm starts: fewer sweeps and half the interior-point iterations, the same optimum; of no use, they are not taken."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipctrl.lmi.solvers import barrier, feedforward, one_layer, solve, warm
from lipctrl.lmi.solvers.chain_iterate import Iterate
from lipctrl.networks.enclosure import InputSet
from lipctrl.networks.network import Affine, Network
from lipctrl.theorems import lipschitz
from tests.networks_for_tests import random_network


def moved(network: Network, size: float, seed: int = 0) -> Network:
    """Weights changed by Gaussian updates of the given relative size."""
    rng = np.random.default_rng(seed)
    layers = [
        Affine(f.W + size * np.sqrt(np.mean(f.W**2)) * rng.standard_normal(f.W.shape), f.b)
        if isinstance(f, Affine)
        else f
        for f in network.layers
    ]
    return Network(layers)


def stated(network: Network, method: str = "neuron", half: float | None = None):
    inputs = None if half is None else InputSet.from_box(np.zeros(network.n_in), np.full(network.n_in, half))
    return lipschitz.state(network, inputs, method=method).lmi


def sequence(networks, boxes=None, method="neuron"):
    """LMIs of networks, or of one on boxes around a point where some ReLUs are linear."""
    if boxes is None:
        return [lipschitz.state(network, method=method).lmi for network in networks]
    center = np.linspace(0.5, -0.3, networks.n_in)
    inputs = [InputSet.from_box(center, np.full(networks.n_in, half)) for half in boxes]
    return [lipschitz.state(networks, each, method=method).lmi for each in inputs]


def updates(kind, size, sizes=(3, 24, 24, 2)):
    networks = [random_network(sizes, kind)]
    for step in range(5):
        networks.append(moved(networks[-1], size, step))
    return networks


def updated(kind, size):
    return sequence(updates(kind, size))


SEQUENCES = {
    **{f"{kind}, {size}": partial(updated, kind, size) for kind in ("relu", "gelu") for size in (1e-3, 1e-2, 3e-2)},
    "one hidden layer": lambda: sequence(updates("gelu", 1e-2, (3, 60, 2))),
    "tanh regions": lambda: sequence(random_network((3, 24, 24, 2), "tanh"), 0.2 * 1.25 ** np.arange(6)),
    "relu regions": lambda: sequence(random_network((3, 30, 30, 2)), 0.1 * 1.1 ** np.arange(8)),
    "relu regions, back": lambda: sequence(random_network((3, 30, 30, 2)), 0.1 * 1.1 ** np.arange(8)[::-1]),
    "relu regions, layer": lambda: sequence(random_network((3, 30, 30, 2)), 0.1 * 1.1 ** np.arange(8), "layer"),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_the_interior_point_method_takes_half_the_iterations(name):
    """From near the central path, where the signals of the last network lead, against the start in closed form."""
    cold, warmed, previous = [], [], None
    for lmi in SEQUENCES[name]():
        reference = solve(lmi, "barrier", gap=1e-7)
        if previous is not None:
            solution = solve(lmi, "barrier", gap=1e-7, warm=previous)
            assert solution.start == "warm" and solution.status == "optimal"
            assert solution.objective == pytest.approx(reference.objective, rel=2e-7)
            assert solution.lower <= reference.objective
            cold.append(reference.iterations)
            warmed.append(solution.iterations)
        previous = solve(lmi, gap=1e-7, warm=previous)
        assert previous.solver == "low_rank" and previous.status == "optimal"
        assert previous.objective == pytest.approx(reference.objective, rel=2e-7)
    assert np.median(np.array(warmed) / np.array(cold)) <= 0.5


@pytest.mark.parametrize("name", SEQUENCES)
def test_the_ascent_takes_fewer_sweeps(name):
    cold, warmed, previous = [], [], None
    for lmi in SEQUENCES[name]():
        reference, solution = solve(lmi, gap=1e-7), solve(lmi, gap=1e-7, warm=previous)
        if previous is not None and solution.start == "warm":
            cold.append(reference.iterations)
            warmed.append(solution.iterations)
        previous = solution
    assert len(warmed) >= 3
    assert np.median(np.array(warmed) / np.array(cold)) < 1.0


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 9999),
    size=st.sampled_from([0.0, 0.03, 0.3, 3.0]),
    sizes=st.sampled_from([(3, 8, 7, 2), (9, 5, 5, 1), (2, 6, 1), (2, 4, 4, 4, 2)]),
    method=st.sampled_from(["neuron", "layer"]),
    shifted=st.booleans(),
    solver=st.sampled_from(["auto", "barrier"]),
)
def test_a_warm_start_never_changes_what_is_returned(seed, size, sizes, method, shifted, solver):
    """However far the network has moved, whatever method: the optimum is that of the cold start."""
    K = 0.2 * np.ones((sizes[-1], sizes[0])) if shifted else None
    first = random_network(sizes, ("relu", "gelu")[seed % 2], seed)
    first, second = (lipschitz.state(n, method=method, shift=K).lmi for n in (first, moved(first, size, seed + 1)))
    cold, warmed = solve(second, solver, gap=1e-6), solve(second, solver, gap=1e-6, warm=solve(first, gap=1e-6))
    assert warmed.status == cold.status == "optimal"
    assert warmed.objective == pytest.approx(cold.objective, rel=3e-6)
    assert warmed.lower <= cold.objective * (1 + 1e-9)
    assert cold.lower <= warmed.objective * (1 + 1e-9)


def test_neurons_are_matched_by_their_numbers():
    """The signals of a permuted layer are the permuted signals; a neuron that was linear before begins at zero."""
    lmi = stated(random_network((3, 8, 7, 2)))
    first = solve(lmi, gap=1e-8)
    found, order = feedforward.recognise(lmi), np.random.default_rng(0).permutation(8)
    labels = (found.labels[0][order], found.labels[1])
    carried, _ = warm.carried(first.kept, replace(found, labels=labels))
    assert np.array_equal(carried[3:11], first.kept.signals[3:11][order])
    assert np.array_equal(carried[11:], first.kept.signals[11:]) and np.array_equal(carried[:3], first.kept.signals[:3])
    others, _ = warm.carried(first.kept, replace(found, labels=(np.array([0, 1, 2, 3, 4, 5, 6, 99]), found.labels[1])))
    assert not np.any(others[10]) and np.all(np.any(others[:10], axis=1))


def test_a_warm_start_of_another_shape_is_reported_and_not_taken():
    lmi = stated(random_network((3, 8, 7, 2)))
    for solver in ("auto", "barrier"):
        cold = solve(lmi, solver)
        for other, words in [
            (stated(random_network((3, 8, 20, 2))), "layers of (3, 8, 20), not (3, 8, 7)"),
            (stated(random_network((2, 8, 7, 2))), "layers of (2, 8, 7), not (3, 8, 7)"),
            (stated(random_network((3, 40, 2))), "layers of (3, 40), not (3, 8, 7)"),
        ]:
            again = solve(lmi, solver, warm=solve(other))
            assert words in again.start and again.start.startswith("cold")
            assert again.objective == cold.objective and again.iterations == cold.iterations
        assert "another method" in solve(lmi, solver, warm=solve(lmi, "scs")).start


def test_a_far_or_damaged_warm_start_does_no_harm():
    lmi = stated(random_network((3, 8, 7, 2)))
    cold = solve(lmi)
    far = replace(cold.kept, signals=np.random.default_rng(0).standard_normal(cold.kept.signals.shape))
    assert "too far" in solve(lmi, warm=replace(cold, kept=far)).start
    for damaged in (np.full_like(cold.kept.signals, np.nan), 0 * cold.kept.signals, 1e200 * cold.kept.signals):
        for solver in ("auto", "barrier"):
            again = solve(lmi, solver, warm=replace(cold, kept=replace(cold.kept, signals=damaged)))
            assert again.status == "optimal"
            assert again.objective == pytest.approx(cold.objective, rel=2e-7)


@pytest.mark.parametrize("route", ["chain", "general", "wide"])
def test_a_warm_start_that_breaks_down_gives_way_to_the_cold_one(monkeypatch, route):
    """The first run fails at once: the second is cold, and nothing that was reached is lost."""
    routes = {"chain": Iterate, "general": barrier._Barrier, "wide": one_layer._Run}
    K = 0.1 * np.ones((2, 3)) if route == "general" else None
    network = random_network((3, 20, 2) if route == "wide" else (3, 8, 7, 2))
    before, lmi = (lipschitz.state(each, shift=K).lmi for each in (moved(network, 1e-2), network))
    cold, kept = solve(lmi, "barrier", gap=1e-9), solve(before, gap=1e-7)
    healthy, calls = routes[route].advance, []

    def failing(self, *arguments):
        calls.append(1)
        return len(calls) != 1 and healthy(self, *arguments)

    monkeypatch.setattr(routes[route], "advance", failing)
    again = solve(lmi, "barrier", gap=1e-9, warm=kept)
    assert "failed after" in again.start and again.status == "optimal"
    assert again.objective <= cold.objective * (1 + 1e-12) and again.lower >= cold.lower * (1 - 1e-12)
