"""Warm starts: half the iterations, the same optimum, and the start in closed form where they are of no use."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipctrl.lmi.solvers import barrier, chain, one_layer, solve, warm
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


@pytest.mark.parametrize("size", [0.0, 1e-3, 1e-2])
@pytest.mark.parametrize("kind", ["relu", "gelu"])
def test_checkpoints_take_half_the_iterations(size, kind):
    network, cold, warmed, previous = random_network((3, 24, 24, 2), kind), [], [], None
    for step in range(5):
        lmi = stated(network)
        reference, solution = solve(lmi, gap=1e-7), solve(lmi, gap=1e-7, warm=previous)
        assert solution.status == "optimal" and 0 <= solution.gap <= 1e-7
        assert solution.objective == pytest.approx(reference.objective, rel=2e-7)
        if previous is not None:
            assert solution.start == "warm"
            cold.append(reference.iterations)
            warmed.append(solution.iterations)
        previous, network = solution, moved(network, size, step)
    assert np.median(warmed) <= 0.5 * np.median(cold)


@pytest.mark.parametrize("size", [1e-3, 1e-2])
@pytest.mark.parametrize("kind", ["relu", "gelu"])
def test_checkpoints_of_one_hidden_layer(size, kind):
    """There is less to save: about seven iterations become five."""
    network, cold, warmed, previous = random_network((3, 60, 2), kind), [], [], None
    for step in range(5):
        lmi = stated(network)
        reference, solution = solve(lmi, gap=1e-7), solve(lmi, gap=1e-7, warm=previous)
        assert solution.status == "optimal"
        assert solution.objective == pytest.approx(reference.objective, rel=2e-7)
        if previous is not None:
            assert solution.start == "warm"
            cold.append(reference.iterations)
            warmed.append(solution.iterations)
        previous, network = solution, moved(network, size, step)
    assert np.median(warmed) <= 0.8 * np.median(cold)


def test_growing_and_shrinking_regions():
    network, boxes = random_network((3, 24, 24, 2), "tanh"), 0.2 * 1.1 ** np.arange(5)
    for order in (boxes, boxes[::-1]):
        previous, ratios = None, []
        for half in order:
            lmi = stated(network, half=half)
            reference, solution = solve(lmi, gap=1e-7), solve(lmi, gap=1e-7, warm=previous)
            assert solution.objective == pytest.approx(reference.objective, rel=2e-7)
            if previous is not None:
                ratios.append(solution.iterations / reference.iterations)
            previous = solution
        assert np.median(ratios) <= 0.65


@pytest.mark.parametrize("method", ["neuron", "layer"])
def test_regions_on_which_other_neurons_are_linear(method):
    """ReLU layers: the sizes of the program change from region to region, the neurons are matched by their numbers."""
    network, cold, warmed, sizes, previous = random_network((3, 30, 30, 2)), [], [], set(), None
    center, halves = np.array([0.5, -0.3, 0.8]), 0.1 * 1.1 ** np.arange(8)
    for half in [*halves, *halves[-2::-1]]:
        lmi = lipschitz.state(network, InputSet.from_box(center, np.full(3, half)), method=method).lmi
        sizes.add(lmi.inequalities[0].sizes)
        reference, solution = solve(lmi, gap=1e-7), solve(lmi, gap=1e-7, warm=previous)
        assert solution.status == "optimal"
        assert solution.objective == pytest.approx(reference.objective, rel=2e-7)
        assert solution.lower <= reference.objective
        if previous is not None:
            assert solution.start == "warm" or "other neurons" in solution.start or "far" in solution.start
            if solution.start == "warm":
                cold.append(reference.iterations)
                warmed.append(solution.iterations)
        previous = solution
    assert len(sizes) > 4
    assert len(warmed) > 5
    assert np.median(warmed) < 0.8 * np.median(cold)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 9999),
    size=st.sampled_from([0.0, 0.03, 0.3, 3.0]),
    sizes=st.sampled_from([(3, 8, 7, 2), (9, 5, 5, 1), (2, 6, 1), (2, 4, 4, 4, 2)]),
    method=st.sampled_from(["neuron", "layer"]),
    shifted=st.booleans(),
)
def test_a_warm_start_never_changes_what_is_returned(seed, size, sizes, method, shifted):
    """However far the network has moved, whatever method: the optimum is that of the cold start."""
    K = 0.2 * np.ones((sizes[-1], sizes[0])) if shifted else None
    first = random_network(sizes, ("relu", "gelu")[seed % 2], seed)
    first, second = (lipschitz.state(n, method=method, shift=K).lmi for n in (first, moved(first, size, seed + 1)))
    cold, warmed = solve(second, gap=1e-6), solve(second, gap=1e-6, warm=solve(first, gap=1e-6))
    assert warmed.status == cold.status == "optimal"
    assert warmed.objective == pytest.approx(cold.objective, rel=3e-6)
    assert warmed.lower <= cold.objective * (1 + 1e-9)
    assert cold.lower <= warmed.objective * (1 + 1e-9)


@pytest.mark.parametrize("kind", ["relu", "gelu", "leaky_relu"])
@pytest.mark.parametrize("method", ["neuron", "layer"])
def test_what_is_carried_over_is_feasible_on_both_sides(kind, method):
    old, new = random_network((4, 9, 8, 2), kind), moved(random_network((4, 9, 8, 2), kind), 0.03)
    kept = solve(stated(old, method)).kept
    found = chain.recognise(stated(new, method))
    rho, t, Y = warm.carry(kept, found.reduction, found.neurons)
    state = Iterate(found.reduction.chain, rho, t)
    assert np.trace(Y[:4, :4]) == pytest.approx(1.0)
    assert np.abs(state.adjoint(Y, _panels(state, Y))[1:]).max() < 1e-10 * np.abs(Y).max()
    assert np.linalg.eigvalsh(Y)[0] > 0
    optimum = solve(stated(new, method), gap=1e-9).objective / found.reduction.rho_factor
    assert state.supply(Y) <= optimum <= state.factor.least_rho


def _panels(state, Y):
    F = np.empty((state.products.n, state.order))
    state.products.panels(Y, F)
    return F


def test_a_warm_start_of_another_shape_is_reported_and_not_taken():
    lmi = stated(random_network((3, 8, 7, 2)))
    cold = solve(lmi)
    for other, words in [
        (stated(random_network((3, 8, 20, 2))), "layers of (3, 8, 20), not (3, 8, 7)"),
        (stated(random_network((3, 8, 6, 2))), "too far"),
        (stated(random_network((3, 8, 7, 2)), "layer"), "LipSDP-Layer"),
        (stated(random_network((3, 40, 2))), "another method"),
    ]:
        again = solve(lmi, warm=solve(other))
        assert words in again.start and again.start.startswith("cold")
        assert again.objective == cold.objective and again.iterations == cold.iterations
    assert "another method" in solve(lmi, warm=solve(lmi, "anytime", time_limit=0.0)).start


def test_a_far_warm_start_is_not_taken_and_a_damaged_one_does_no_harm():
    lmi = stated(random_network((3, 8, 7, 2)))
    cold = solve(lmi)
    far = solve(stated(random_network((3, 8, 7, 2), seed=5)))
    assert "too far" in solve(lmi, warm=far).start
    kept = cold.kept
    for damaged in (
        replace(kept, t=np.full_like(kept.t, np.nan)),
        replace(kept, Y=-kept.Y),
        replace(kept, t=-kept.t),
        replace(kept, rho=-1.0),
    ):
        again = solve(lmi, warm=replace(cold, kept=damaged))
        assert again.status == "optimal"
        assert again.objective == pytest.approx(cold.objective, rel=2e-7)


@pytest.mark.parametrize("route", ["chain", "general", "wide"])
def test_a_warm_start_that_breaks_down_gives_way_to_the_cold_one(monkeypatch, route):
    """The first run fails after two iterations: the second is cold, and nothing that was reached is lost."""
    routes = {"chain": Iterate, "general": barrier._Barrier, "wide": one_layer._Run}
    module, name = routes[route], "advance"
    K = 0.1 * np.ones((2, 3)) if route == "general" else None
    lmi = lipschitz.state(random_network((3, 20, 2) if route == "wide" else (3, 8, 7, 2)), shift=K).lmi
    cold, start = solve(lmi, gap=1e-7), solve(lmi, gap=1e-7, time_limit=0.0)
    healthy, calls = getattr(module, name), []

    def failing(self, *arguments):
        calls.append(1)
        return len(calls) != 3 and healthy(self, *arguments)

    monkeypatch.setattr(module, name, failing)
    again = solve(lmi, gap=1e-7, warm=cold)
    assert "failed after" in again.start and again.status == "optimal"
    assert again.objective <= cold.objective and again.lower >= cold.lower * (1 - 1e-12)
    calls.clear()
    monkeypatch.setattr(chain.time, "perf_counter", _clock(calls))
    late = solve(lmi, gap=1e-7, warm=cold, time_limit=1.0)
    assert late.status == "feasible" and late.objective < 0.9 * start.objective


def _clock(calls):
    """Time is up as soon as three steps were made."""
    return lambda: 0.0 if len(calls) < 3 else 1e3
