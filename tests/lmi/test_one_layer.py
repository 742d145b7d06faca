"""One hidden layer: the reduced inequality against the one that was stated, and the method that rests on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipctrl.lmi.lmi import LMI
from lipctrl.lmi.one_layer import OneLayer, one_layer
from lipctrl.lmi.solvers import barrier, solve
from lipctrl.lmi.solvers import one_layer as method
from lipctrl.lmi.solvers.one_layer_form import reduce
from lipctrl.lmi.solvers.one_layer_newton import Newton
from lipctrl.lmi.solvers.solution import Solution
from lipctrl.networks.enclosure import InputSet
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.proofs.verify import holds
from lipctrl.results import Trust
from lipctrl.theorems import lipschitz
from tests.networks_for_tests import random_network

#: LipSDP-Neuron optima of the random networks, computed elsewhere
KNOWN = {
    (10, 500, 10): 8.139263963,
    (10, 1000, 10): 10.994421495,
    (10, 3000, 10): 17.63827,
    (10, 10000, 10): 31.10937,
    (1, 100000, 1): 202.2029,
}
KINDS = ("relu", "gelu", "elu", "leaky_relu", "sigmoid")


def parts_of(lmi: LMI) -> OneLayer:
    parts = method.applies(lmi)
    assert parts is not None
    return parts


def network_of(W0: np.ndarray, W1: np.ndarray, kind: str = "relu") -> Network:
    return Network([Affine(W0), Elementwise(kind, len(W0)), Affine(W1)])


def hard_network(seed: int) -> Network:
    """Random widths and kinds; every few seeds rows and columns of all magnitudes, dead and duplicated neurons."""
    rng = np.random.default_rng(seed)
    n_in, n, n_out = int(rng.integers(1, 9)), int(2 ** rng.uniform(0, 6)), int(rng.integers(1, 6))
    W0, W1 = rng.standard_normal((n, n_in)), rng.standard_normal((n_out, n))
    if seed % 2:
        W0 *= np.exp(rng.normal(0, 2, n))[:, None]
        W1 *= np.exp(rng.normal(0, 2, n))
    if seed % 3 == 0:
        W0[rng.random(n) < 0.2] = 0
        W1[:, rng.random(n) < 0.2] = 0
    if seed % 5 == 0 and n > 1:
        W0[1], W1[:, 1] = W0[0], W1[:, 0]
    if seed % 7 == 0:
        W0, W1 = W0 * 1e-30, W1 * 1e20
    return network_of(W0, W1, KINDS[seed % len(KINDS)])


def check_optimal(lmi: LMI, solution: Solution, gap: float) -> None:
    """Feasible by the eigenvalues of the matrix that was stated, and no better than the dual value."""
    assert solution.status == "optimal"
    assert solution.lower <= solution.objective * (1 + 1e-12)
    assert solution.gap <= gap
    M = lmi.inequalities[0].evaluate(solution.values).mid
    root = np.sqrt(np.diag(M))
    assert np.linalg.eigvalsh(M / np.outer(root, root))[0] > -1e-13
    assert all(np.all(np.asarray(value) > 0) for value in solution.values.values())


@pytest.mark.parametrize(("sizes", "optimum"), KNOWN.items())
def test_known_optima(sizes, optimum):
    lmi = lipschitz.state(random_network(sizes)).lmi
    solution = solve(lmi, "barrier", gap=1e-6)
    assert solution.status == "optimal" and solution.iterations <= 12
    assert np.sqrt(solution.objective) == pytest.approx(optimum, rel=1e-6)
    assert np.sqrt(solution.lower) == pytest.approx(optimum, rel=1e-6)
    assert holds(lmi, {**solution.values, "rho": solution.values["rho"] * (1 + 1e-8)})


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("kind", "name"), [("gelu", "neuron"), ("elu", "neuron"), ("silu", "layer")])
def test_agrees_with_the_general_method_and_with_clarabel(seed, kind, name):
    lmi = lipschitz.state(random_network((3, 14, 2), kind, seed), method=name).lmi
    ours = solve(lmi, "barrier", gap=1e-8)
    check_optimal(lmi, ours, 1e-8)
    assert barrier.solve(lmi, gap=1e-7).objective == pytest.approx(ours.objective, rel=1e-6)
    assert solve(lmi, "clarabel", gap=1e-9).objective == pytest.approx(ours.objective, rel=1e-5)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(seed=st.integers(0, 99999), name=st.sampled_from(["neuron", "layer"]), box=st.sampled_from([None, None, 0.5]))
def test_random_networks_are_solved(seed, name, box):
    """Neurons of all magnitudes, dead, duplicated; all kinds: to 1e-6 in at most 30 iterations, feasibly."""
    network = hard_network(seed)
    inputs = None if box is None else InputSet.from_box(np.zeros(network.n_in), np.full(network.n_in, box))
    lmi = lipschitz.state(network, inputs, method=name).lmi
    parts = method.applies(lmi)
    if parts is None:  # every neuron linear on the box
        return
    solution = method.solve(lmi, parts, gap=1e-6)
    assert solution.iterations <= 30
    if solution.lower > 0:
        check_optimal(lmi, solution, 1e-6)


def test_dead_duplicated_and_zero_neurons_have_the_bound_of_what_is_left():
    W0 = np.array([[1.0, 2.0], [1.0, 2.0], [0.0, 0.0], [3.0, -1.0]])
    lmi = lipschitz.state(network_of(W0, np.array([[1.0, 1.0, 5.0, 0.0]]))).lmi
    solution = solve(lmi, "barrier", gap=1e-9)
    assert np.sqrt(solution.objective) == pytest.approx(2 * np.sqrt(5), rel=1e-9)
    assert holds(lmi, {**solution.values, "rho": solution.values["rho"] * (1 + 1e-9)})


def test_the_zero_network_has_the_bound_zero():
    solution = solve(lipschitz.state(network_of(np.zeros((3, 2)), np.zeros((1, 3)))).lmi)
    assert solution.status == "optimal" and solution.lower == 0 and 0 < solution.objective < 1e-200


def test_wide_sides_are_reduced_without_loss():
    """More inputs and outputs than neurons: an isometry on either side changes nothing."""
    rng = np.random.default_rng(1)
    W0, W1 = rng.standard_normal((6, 4)), rng.standard_normal((3, 6))
    left, right = np.linalg.qr(rng.standard_normal((40, 3)))[0], np.linalg.qr(rng.standard_normal((30, 4)))[0]
    plain = solve(lipschitz.state(network_of(W0, W1, "gelu")).lmi, "barrier", gap=1e-9).objective
    lmi = lipschitz.state(network_of(W0 @ right.T, left @ W1, "gelu")).lmi
    wide = solve(lmi, "barrier", gap=1e-9)
    assert wide.objective == pytest.approx(plain, rel=1e-8)
    check_optimal(lmi, wide, 1e-8)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 9999))
def test_bounds_and_newton_system_of_the_reduced_problem(seed):
    """Any t bounds from above, any Y from below; both ways solve the same system, and its operators are adjoint."""
    rng = np.random.default_rng(seed)
    problem, _ = reduce(parts_of(lipschitz.state(random_network((2, 25, 2), "gelu", seed)).lmi), 25)
    optimum = solve(lipschitz.state(random_network((2, 25, 2), "gelu", seed)).lmi, "barrier", gap=1e-9).objective
    _, scaling = reduce(parts_of(lipschitz.state(random_network((2, 25, 2), "gelu", seed)).lmi), 25)
    G = rng.standard_normal((4, 4))
    lower, _ = problem.dual(problem.normalised(G @ G.T))
    t = np.exp(0.3 * rng.normal(size=25))
    assert scaling.lower(lower) <= optimum <= problem.least(t) * scaling.rho * (1 + 1e-9)
    kappa = np.exp(rng.normal(size=25))
    newton = Newton(problem, G, t, kappa)
    assert newton.features
    C = G + G.T
    X = newton.solve(C)
    assert np.allclose(X + newton.adjoint(kappa * newton.contract(X)), C, atol=1e-8)
    y = rng.normal(size=25)
    assert np.vdot(newton.adjoint(y), C) == pytest.approx(y @ newton.contract(C))
    newton.features, newton.root = False, np.sqrt(kappa)
    newton.H = np.eye(25) + newton.gram() * np.outer(newton.root, newton.root)
    newton.factor = (np.linalg.cholesky(newton.H), True)
    assert np.allclose(newton.solve(C), X, atol=1e-7 * np.abs(C).max())


def test_an_inequality_of_another_form_is_left_alone():
    deep = lipschitz.state(random_network((2, 5, 5, 2))).lmi
    assert one_layer(deep.inequalities[0]) is None and method.applies(deep) is None
    assert method.applies(lipschitz.state(Network([Affine(np.eye(2))])).lmi) is None


def test_only_multipliers_on_the_signals_themselves_are_eliminated():
    inequality = lipschitz.state(random_network((2, 5, 2))).lmi.inequalities[0]
    supply, term = inequality.terms
    assert one_layer(inequality) is not None
    for A in (term.A.scale_rows(np.full(5, 2.0)), term.A.take(np.array([1, 0, 2, 3, 4]))):
        assert one_layer(replace(inequality, terms=(supply, replace(term, A=A)))) is None


def test_a_wide_network_is_proved_in_little_memory():
    """The matrix of 10-10000-10 alone would be 800 MB; its largest array here is that of the weights."""
    import tracemalloc

    network = random_network((10, 10000, 10))
    tracemalloc.start()
    statement = lipschitz.state(network)
    solution = solve(statement.lmi, "barrier", gap=1e-6)
    values = lipschitz.conclude(statement, solution.values)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert values is not None
    assert 31.1093 <= np.sqrt(values["rho"][0]) <= 31.1094
    assert peak < 100e6


def test_a_wide_layer_is_no_reason_to_fall_back_to_the_product():
    bound = lipschitz.lipschitz(random_network((3, 2500, 2)), gap=1e-6)
    assert bound.method == "neuron" and bound.trust is Trust.PROVED
    assert bound.lower <= bound.upper < 0.9 * bound.product and bound.sdp_gap < 1e-6


@pytest.mark.parametrize("name", ["neuron", "layer"])
@pytest.mark.parametrize("kind", ["relu", "gelu"])
def test_the_lower_bound_recomputed_from_the_parts_of_the_inequality(kind, name):
    """<K(rho, t), Y> >= 0 for the Y of the last iterate, minimised over t > 0, in the units of the LMI itself."""
    lmi = lipschitz.state(random_network((3, 20, 2), kind), method=name).lmi
    parts = parts_of(lmi)
    problem, scaling = reduce(parts, lmi.variable(parts.variable).size)
    run = method._Run(problem, 1e-8)
    while not run.converged():
        assert run.advance()
    scale = np.concatenate([np.ones(2), np.full(3, 1 / np.sqrt(scaling.rho))])
    Y = run.point.Y * scale[:, None] * scale
    assert np.linalg.eigvalsh(Y)[0] > 0
    Yo, Yod, Yd = Y[:2, :2], Y[:2, 2:], Y[2:, 2:]
    Y_norm = float(np.trace(Yd))
    D, N, Z1 = parts.difference.mid, parts.coupling.mid, parts.Z1.mid
    enters, leaves = np.einsum("ij,jk,ik->i", D, Yd, D), np.einsum("ji,jk,ki->i", Z1, Yo, Z1)
    if name == "layer":
        enters, leaves = enters.sum(keepdims=True), leaves.sum(keepdims=True)
    lower = (np.sqrt(enters * leaves).sum() - 2 * np.vdot(Yod, N) - np.trace(Yo)) / Y_norm
    optimum = barrier.solve(lmi, gap=1e-9)
    assert lower <= optimum.objective
    assert lower == pytest.approx(optimum.objective, rel=1e-7)
    assert scaling.lower(run.lower) == pytest.approx(lower, rel=1e-7)
