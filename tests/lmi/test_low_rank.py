"""The low-rank dual ascent: by optimality conditions of the LMI, against other solvers, and where it gets stuck."""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from lipctrl.errors import MemoryLimitError, SolverError
from lipctrl.intervals.ball import Ball
from lipctrl.lmi.lmi import LMI, Multiplier
from lipctrl.lmi.solvers import barrier, feedforward, low_rank, solve
from lipctrl.lmi.solvers.ascent import Ascent
from lipctrl.lmi.solvers.dyads import Dyads, Layout
from lipctrl.lmi.solvers.elimination import least_rho
from lipctrl.lmi.solvers.normal_form import block_slices
from lipctrl.networks.enclosure import InputSet
from lipctrl.networks.network import Affine, Network
from lipctrl.theorems import lipschitz
from tests.lmi.test_chain import KNOWN, MIXED, ROBUST, mixed_network, of_weights
from tests.networks_for_tests import random_network


def stated(network: Network, method: str = "neuron", box: float | None = None, shift: float = 0.0) -> LMI:
    """On a box around a point that is not the origin, so that some ReLUs are linear there."""
    center = np.linspace(0.9, -0.7, network.n_in)
    inputs = None if box is None else InputSet.from_box(center, np.full(network.n_in, box))
    K = np.full((network.n_out, network.n_in), shift) if shift else None
    return lipschitz.state(network, inputs, method=method, shift=K).lmi


#: chains, layers that are reached over, outputs that depend on the input, and everything at once
CASES = {
    "relu": ((3, 8, 7, 2), ("relu",), "neuron", None, 0.0),
    "mixed": ((5, 6, 5, 6, 4, 2), MIXED, "neuron", None, 0.0),
    "mixed, layer": ((5, 6, 5, 6, 4, 2), MIXED, "layer", None, 0.0),
    "one hidden layer": ((3, 9, 2), ("silu",), "neuron", None, 0.0),
    "many inputs and outputs": ((12, 6, 5, 8), ("relu",), "layer", None, 0.0),
    "one input": ((1, 5, 5, 1), ("sigmoid",), "neuron", None, 0.0),
    "tanh on a box": ((4, 8, 7, 6, 2), ("tanh",), "neuron", 0.3, 0.0),
    "relu on a box": ((3, 14, 12, 10, 2), ("relu",), "neuron", 0.2, 0.0),
    "relu on a box, layer": ((3, 14, 12, 2), ("relu",), "layer", 0.2, 0.0),
    "shifted": ((3, 8, 7, 2), ("gelu",), "neuron", None, 0.3),
    "leaky on a box, shifted": ((3, 12, 10, 2), ("leaky_relu", "gelu"), "neuron", 0.2, -0.4),
    "linear first layer, shifted": ((3, 6, 6, 2), ("identity", "tanh"), "neuron", None, 0.2),
}


def case(name: str, seed: int = 1) -> LMI:
    sizes, kinds, method, box, shift = CASES[name]
    return stated(mixed_network(sizes, kinds, seed), method, box, shift)


@pytest.mark.parametrize("name", CASES)
def test_optimality_recomputed_from_the_lmi_that_was_stated(name):
    """M > 0 at the multipliers; Y = Z Z' from the signals solves the dual equations; both values, and their gap."""
    lmi = case(name)
    solution = solve(lmi, "low_rank", gap=1e-8)
    assert solution.status == "optimal" and 0 <= solution.gap <= 1e-8
    M = lmi.inequalities[0].evaluate({**solution.values, "rho": solution.values["rho"] * (1 + 1e-10)}).mid
    root = np.sqrt(np.diag(M))
    assert np.linalg.eigvalsh(M / np.outer(root, root))[0] > -1e-14

    form = feedforward.recognise(lmi).form
    blocks = block_slices(form.sizes)
    Z = [solution.kept.signals[blocks[0]]]
    for W, c, own in zip(form.W, form.c, blocks[1:], strict=True):
        Z.append(c[:, None] * sum(w @ Z[j] for j, w in W.items()) + solution.kept.signals[own])
    stacked = np.concatenate(Z)
    Y, layout = stacked @ stacked.T, Layout(lmi)
    raw = Dyads(lmi.inequalities[0], layout)
    sums = raw.adjoint(Y)
    assert sums[layout.start["rho"]] == pytest.approx(1.0, rel=1e-12)
    assert np.abs(sums[layout.lower == 0]).max() < 1e-11 * np.abs(Y).max()
    assert -np.vdot(raw.constant, Y) == pytest.approx(solution.lower, rel=1e-9)
    assert -np.vdot(raw.constant, Y) >= solution.lower


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_the_interior_point_method_and_clarabel(name):
    lmi = case(name, 2)
    ours, other = solve(lmi, "low_rank", gap=1e-8), barrier.solve(lmi, gap=1e-8)
    assert ours.objective == pytest.approx(other.objective, rel=3e-8)
    assert solve(lmi, "clarabel", gap=1e-9).objective == pytest.approx(ours.objective, rel=1e-5)


@pytest.mark.parametrize(("sizes", "optimum"), KNOWN.items())
def test_known_optima(sizes, optimum):
    solution = solve(stated(random_network(sizes)), "low_rank", gap=2e-8)
    assert np.sqrt(solution.objective) == pytest.approx(optimum, rel=2e-8)
    assert np.sqrt(solution.lower) == pytest.approx(optimum, rel=2e-8)


def test_random_networks_badly_scaled_ones_included_all_reach_the_gap():
    """Six shapes, twenty seeds, every third with rows scaled by exp(N(0, 1.5)); few sweeps for most."""
    sweeps = []
    for sizes in ROBUST:
        for seed in range(20):
            network = mixed_network(sizes, ("relu",), seed, spread=0.0 if seed % 3 else 1.5)
            solution = solve(stated(network), gap=1e-6)
            assert solution.status == "optimal" and 0 <= solution.gap <= 1e-6, (sizes, seed)
            sweeps.append(solution.iterations if solution.solver == "low_rank" else np.inf)
    assert np.median(sweeps) <= 60


@pytest.mark.parametrize("name", CASES)
def test_the_least_rho_is_where_the_matrix_of_the_lmi_ceases_to_be_definite(name):
    lmi = case(name)
    found = feedforward.recognise(lmi)
    rng = np.random.default_rng(0)
    t = np.exp(rng.uniform(3.0, 4.0, sum(found.form.sizes[1:])))
    if found.form.shared:
        t = np.concatenate([np.full(n, rng.uniform(20.0, 50.0)) for n in found.form.sizes[1:]])
    for k, part in enumerate(block_slices(found.form.sizes[1:])):
        t[part] *= 30.0 ** (found.form.depth - k)
    rho = least_rho(found.form, t)
    assert np.isfinite(rho)
    least = [
        np.linalg.eigvalsh(lmi.inequalities[0].evaluate(found.values(rho * (1 + e), t)).mid)[0] for e in (1e-6, -1e-6)
    ]
    assert least[0] > 0 > least[1]
    assert least_rho(found.form, 1e-9 * t) == np.inf
    assert least_rho(found.form, np.where(np.arange(len(t)) == 0, np.nan, t)) == np.inf


def test_a_fixed_point_that_is_no_optimum_gets_more_columns(monkeypatch):
    """From one column the ascent ends below the optimum; the upper bound says so, and columns are added."""
    lmi = stated(random_network((4, 30, 30, 20, 5), seed=3))
    form = feedforward.recognise(lmi).form
    optimum = barrier.solve(lmi, gap=1e-8)
    start = np.random.default_rng(0).standard_normal((sum(form.sizes), 1))
    monkeypatch.setattr(low_rank, "FAR", np.inf)
    found = low_rank.maximise(form, gap=1e-7, start=start)
    assert found.status == "optimal" and found.signals.shape[1] > 1
    assert found.rho == pytest.approx(optimum.objective, rel=2e-7)
    stuck = low_rank.maximise(form, gap=1e-7, start=start, most=1)
    assert stuck.status == "feasible"
    assert stuck.lower < optimum.objective * (1 - 1e-4) and stuck.rho > optimum.objective * (1 - 1e-7)


def test_where_the_signals_get_stuck_the_interior_point_method_goes_on_from_near_them(monkeypatch):
    """The gap is reached all the same, in fewer iterations than from the start in closed form."""
    lmi = stated(random_network((4, 30, 30, 20, 5), seed=3))
    optimum = solve(lmi, "barrier", gap=1e-8)
    healthy = low_rank.maximise
    monkeypatch.setattr(low_rank, "maximise", lambda form, **options: healthy(form, **options, max_sweeps=20))
    first = solve(lmi, "low_rank", gap=1e-8)
    assert first.status == "feasible"
    found = solve(lmi, gap=1e-8)
    assert found.status == "optimal" and found.solver == "chain"
    assert found.objective == pytest.approx(optimum.objective, rel=2e-8)
    assert found.iterations < optimum.iterations


def test_an_ascent_that_breaks_down_leaves_the_work_to_the_interior_point_method(monkeypatch):
    lmi = stated(random_network((3, 8, 7, 2)))
    optimum = solve(lmi, "barrier", gap=1e-8)
    monkeypatch.setattr(low_rank, "least_rho", lambda form, t: np.inf)
    found = solve(lmi, gap=1e-8)
    assert found.status == "optimal" and found.objective == pytest.approx(optimum.objective, rel=2e-8)
    monkeypatch.setattr(Ascent, "sweep", lambda self, x: (np.nan, x, x, np.full(len(self.t), np.nan)))
    again = solve(lmi, gap=1e-8)
    assert again.objective == pytest.approx(optimum.objective, rel=2e-8)


def test_a_lying_ascent_is_found_out_by_its_bounds(monkeypatch):
    """Multipliers that are too small give no upper bound, signals too large no lower one: never "optimal"."""
    lmi = stated(random_network((3, 8, 7, 2)))
    optimum = solve(lmi, "barrier", gap=1e-8)
    healthy = Ascent.sweep

    def lying(self, x):
        value, current, image, t = healthy(self, x)
        return value, current, image, 0.9 * t

    monkeypatch.setattr(Ascent, "sweep", lying)
    solution = solve(lmi, "low_rank", gap=1e-8)
    assert solution.status == "feasible" and solution.objective >= optimum.objective * (1 - 1e-9)


def test_dead_neurons_and_zero_networks():
    """A neuron without input, one without output, duplicates: the bound of what is left; a constant has the bound 0."""
    W = [layer.W for layer in random_network((3, 8, 7, 2)).layers if isinstance(layer, Affine)]
    padded = of_weights(
        np.vstack([W[0], np.zeros((1, 3)), np.ones((1, 3))]),
        np.hstack([W[1], np.ones((7, 1)), np.zeros((7, 1))]),
        W[2],
    )
    plain, dead = (solve(stated(network), gap=1e-8) for network in (of_weights(*W), padded))
    assert dead.objective == pytest.approx(plain.objective, rel=3e-8)
    assert solve(stated(of_weights(np.zeros((4, 3)), np.ones((2, 4))))).objective < 1e-9


def test_limits():
    lmi = stated(random_network((10, 60, 60, 60, 10)))
    optimum = solve(lmi, gap=1e-8)
    for limit in (0.0, 1e-3, 0.02):
        early = solve(lmi, "low_rank", gap=1e-8, time_limit=limit)
        assert early.lower <= optimum.objective * (1 + 1e-9) and early.objective >= optimum.lower
    assert optimum.status == "optimal"
    with pytest.raises(MemoryLimitError, match="Allow more"):
        solve(lmi, "low_rank", memory_limit=1000)
    with pytest.raises(SolverError, match="auto"):
        solve(stated(Network([Affine(np.eye(2))])), "low_rank")


@pytest.mark.parametrize("name", ["relu", "relu on a box", "shifted"])
def test_the_forecast_of_memory_covers_what_is_taken(name, monkeypatch):
    _, kinds, method, box, shift = CASES[name]
    lmi = stated(mixed_network((5, 120, 90, 4), kinds), method, box, shift)
    form = feedforward.recognise(lmi).form
    start = np.random.default_rng(0).standard_normal((sum(form.sizes), low_rank.MOST))
    monkeypatch.setattr(low_rank, "FAR", np.inf)
    tracemalloc.start()
    low_rank.maximise(form, gap=1e-9, start=start, max_sweeps=40)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= low_rank.forecast(form) <= 5 * peak


def test_a_point_near_the_central_path_is_strictly_feasible_and_near():
    lmi = stated(random_network((5, 20, 20, 3)))
    found = feedforward.recognise(lmi)
    optimum = solve(lmi, gap=1e-9).objective
    rho, t, lower = low_rank.central(found.form, None, None)
    assert optimum * (1 - 1e-6) < lower <= optimum * (1 + 1e-9)
    M = lmi.inequalities[0].evaluate(found.values(rho, t)).mid
    assert np.linalg.eigvalsh(M)[0] > 0
    assert optimum < rho < 1.1 * optimum
    late = low_rank.central(found.form, None, time.perf_counter() - 1.0)
    assert late is None or late[0] > optimum > late[2]


def test_parallel_rows_are_asked_for_on_every_block():
    """A layer whose lower and upper rows are not multiples of each other on an earlier block is not recognised."""
    lmi = case("leaky on a box, shifted")
    inequality = lmi.inequalities[0]
    place = next(
        k for k, term in enumerate(inequality.terms) if isinstance(term, Multiplier) and len(term.A.blocks) > 2
    )
    term = inequality.terms[place]
    far = min(term.B.blocks)
    bent = {**term.B.blocks, far: Ball.exact(term.B.blocks[far].mid + np.eye(*term.B.blocks[far].mid.shape))}
    terms = list(inequality.terms)
    terms[place] = replace(term, B=replace(term.B, blocks=bent))
    assert feedforward.recognise(lmi) is not None
    assert feedforward.recognise(replace(lmi, inequalities=(replace(inequality, terms=tuple(terms)),))) is None


def test_networks_whose_layers_are_reached_over_are_forms_of_their_own():
    form = feedforward.recognise(case("relu on a box")).form
    assert not form.is_chain and any(len(W) > 1 for W in form.W)
    assert feedforward.recognise(case("relu")).form.is_chain
    assert set(feedforward.recognise(case("shifted")).form.C) == {0, 2}
