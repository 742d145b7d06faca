"""The structured method for chains: against other solvers, by optimality conditions, by laws, and on hard inputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import loadmat

from lipctrl.errors import SolverError
from lipctrl.lmi.lmi import LMI
from lipctrl.lmi.solvers import barrier, chain, chain_method, solve
from lipctrl.lmi.solvers.chain_factor import Factor
from lipctrl.lmi.solvers.chain_iterate import Iterate
from lipctrl.lmi.solvers.chain_method import minimise
from lipctrl.lmi.solvers.chain_newton import Products
from lipctrl.lmi.solvers.completion import Cliques
from lipctrl.lmi.solvers.dyads import Dyads, Layout
from lipctrl.lmi.solvers.normal_form import Feedforward
from lipctrl.lmi.solvers.presolve import presolve
from lipctrl.lmi.solvers.solution import Solution
from lipctrl.networks.enclosure import InputSet
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.theorems import lipschitz
from tests.networks_for_tests import random_network

#: LipSDP-Neuron optima of the random networks (relative gap below 1e-8), computed elsewhere
KNOWN = {(2, 64, 64, 1): 8.681751957, (17, 64, 64, 6): 6.533000443, (10, *[128] * 5, 10): 81.123121982}
MIXED = ("gelu", "leaky_relu", "tanh", "silu", "elu")


def mixed_network(sizes: Sequence[int], kinds: Sequence[str], seed: int = 0, spread: float = 0.0) -> Network:
    """Random layers of different kinds; rows scaled by exp(N(0, spread))."""
    rng = np.random.default_rng(seed)
    layers: list[Affine | Elementwise] = []
    for k, (n_in, n_out) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        W = rng.standard_normal((n_out, n_in)) * np.sqrt(2 / n_in)
        layers += [
            Affine(W * np.exp(spread * rng.standard_normal(n_out))[:, None]),
            Elementwise(kinds[k % len(kinds)], n_out),
        ]
    return Network(layers[:-1])


def of_weights(*weights: np.ndarray) -> Network:
    layers: list[Affine | Elementwise] = []
    for W in weights:
        layers += [Affine(W), Elementwise("relu", len(W))]
    return Network(layers[:-1])


def weights_of(network: Network) -> list[np.ndarray]:
    return [layer.W.copy() for layer in network.layers if isinstance(layer, Affine)]


def stated(network: Network, method: str = "neuron", box: float | None = None) -> LMI:
    inputs = None if box is None else InputSet.from_box(np.zeros(network.n_in), np.full(network.n_in, box))
    return lipschitz.state(network, inputs, method=method).lmi


def lip(network: Network, method: str = "neuron", gap: float = 1e-8) -> float:
    solution = chain.solve(stated(network, method), gap=gap)
    check_feasible(stated(network, method), solution)
    assert solution.status == "optimal"
    return float(np.sqrt(solution.objective))


def check_feasible(lmi: LMI, solution: Solution) -> None:
    """M > 0 at the returned numbers, by eigenvalues of the original matrix scaled to a unit diagonal."""
    M = lmi.inequalities[0].evaluate(solution.values).mid
    root = np.sqrt(np.diag(M))
    assert np.linalg.eigvalsh(M / np.outer(root, root))[0] > 0
    assert solution.lower <= solution.objective


@pytest.mark.parametrize(
    ("sizes", "kinds", "method", "box"),
    [
        ((3, 8, 7, 2), ("gelu", "leaky_relu"), "neuron", None),
        ((3, 8, 7, 2), ("gelu", "elu", "silu"), "layer", None),
        ((5, 6, 6, 6, 6, 2), MIXED, "neuron", None),
        ((5, 6, 5, 6, 4, 2), MIXED, "layer", None),
        ((12, 6, 5, 8), ("relu",), "layer", None),
        ((3, 9, 2), ("silu",), "neuron", None),
        ((1, 5, 5, 1), ("sigmoid",), "neuron", None),
        ((4, 8, 7, 6, 5, 2), ("tanh",), "neuron", 0.3),
        ((4, 8, 7, 6, 5, 2), ("gelu",), "neuron", 0.1),
        ((4, 8, 7, 6, 5, 2), ("tanh",), "layer", 0.3),
    ],
)
def test_agrees_with_the_general_method_and_clarabel(sizes, kinds, method, box):
    lmi = stated(mixed_network(sizes, kinds, 1), method, box)
    ours = chain.solve(lmi, gap=1e-8)
    general, clarabel = barrier.solve(lmi, gap=1e-8), solve(lmi, "clarabel", gap=1e-9)
    check_feasible(lmi, ours)
    assert ours.status == "optimal"
    assert ours.objective == pytest.approx(general.objective, rel=2e-8)
    assert ours.objective == pytest.approx(clarabel.objective, rel=1e-6)
    assert general.lower * (1 - 1e-12) <= ours.objective
    assert ours.lower <= general.objective
    assert ours.lower == pytest.approx(ours.objective, rel=1.1e-8)


@pytest.mark.parametrize("sizes", KNOWN)
def test_known_optima(sizes):
    solution = chain.solve(stated(random_network(sizes)), gap=2e-8)
    assert solution.status == "optimal"
    assert np.sqrt(solution.objective) == pytest.approx(KNOWN[sizes], rel=1.5e-8)
    assert np.sqrt(solution.lower) == pytest.approx(KNOWN[sizes], rel=1.5e-8)


@pytest.mark.parametrize(
    ("sizes", "kinds", "shared"),
    [
        ((3, 5, 6, 2), ("relu",), False),
        ((2, 4, 3, 5, 2), MIXED, False),
        ((2, 4, 9, 2), MIXED, False),
        ((3, 4, 3, 2), MIXED, True),
    ],
)
def test_products_are_those_of_the_raw_matrices(sizes, kinds, shared):
    """dM, its adjoint, the Schur complement, M^-1 and the second-order term, from dense matrices A_j."""
    structure = chain.recognise(stated(mixed_network(sizes, kinds), "layer" if shared else "neuron"))
    assert structure is not None
    form = structure.reduction.chain
    products, n0 = Products(form), form.sizes[0]
    order, rng = products.order, np.random.default_rng(0)
    matrices = [np.diag(np.r_[np.ones(n0), np.zeros(order - n0)])]
    for W, c, own, before in zip(form.weights, form.c, products.blocks[1:], products.blocks[:-1], strict=True):
        v = np.zeros((len(W), order))
        v[:, before] = W
        p = np.eye(order)[own] - c[:, None] * v
        each = np.einsum("ni,nj->nij", p, p) - np.einsum("ni,nj->nij", v, v)
        matrices += [each.sum(axis=0)] if shared else list(each)
    P, Y, Z = (X @ X.T for X in rng.standard_normal((3, order, order)))
    FP, FY = np.empty((2, products.n, order))
    products.panels(P, FP)
    products.panels(Y, FY)
    adjoint = products.gather(products.adjoint(Y, FY))
    assert np.allclose(adjoint, [np.vdot(A, Y) for A in matrices[1:]])
    H = np.zeros((products.unknowns, products.unknowns))
    products.schur(P, FP, Y, FY, H)
    assert np.allclose(np.tril(H), np.tril([[np.trace(A @ P @ B @ Y) for B in matrices] for A in matrices]))
    d = rng.standard_normal(products.unknowns)
    dM = np.tensordot(d, matrices, 1)
    out = np.empty((order, order))
    products.direction(d[0], products.spread(d[1:]), Y, FY, out)
    assert np.allclose(out, dM @ Y)
    second = products.gather(products.second_order(P, FP, Z))
    assert np.allclose(second, [np.vdot(A, P @ Z) for A in matrices[1:]])

    rho, t = 1.5, np.ones(products.n)
    G = np.zeros((order, order))
    G[products.blocks[-1], products.blocks[-1]] = form.G
    M = 0.5 * matrices[0] + np.sum(matrices, axis=0) - G
    factor = Factor(form)
    assert factor.update(rho, t)
    factor.full_inverse(out)
    assert np.allclose(out @ M, np.eye(order), atol=1e-8)
    X = Z.copy()
    factor.apply_inverse(X)
    assert np.allclose(M @ X, Z, atol=1e-8)
    step = factor.step(d[0], products.spread(d[1:]), 60, 60)
    least = np.linalg.eigvals(np.linalg.solve(M, dM)).real.min()
    assert step == pytest.approx(10.0 if least > -0.1 else -1 / least, rel=1e-6)
    assert factor.update(factor.least_rho * (1 + 1e-9), t)
    assert not factor.update(factor.least_rho * (1 - 1e-9), t)


def test_completion_has_a_block_tridiagonal_inverse():
    """The law of the completion of largest determinant (Grone et al. 1984)."""
    sizes = (2, 3, 4, 2, 3)
    cliques, rng = Cliques(sizes, np.dtype(np.float64)), np.random.default_rng(0)
    order = sum(sizes)
    Y = (lambda X: X @ X.T)(rng.standard_normal((order, order)))
    given_part = np.zeros((order, order), dtype=bool)
    for span in cliques.spans():
        given_part[span, span] = True
    partial = np.where(given_part, Y, np.nan)
    assert cliques.update(partial)
    cliques.complete(partial)
    assert np.allclose(partial[given_part], Y[given_part])
    assert np.linalg.eigvalsh(partial)[0] > 0
    inverse = np.linalg.inv(partial)
    assert np.abs(inverse[~given_part]).max() < 1e-9 * np.abs(inverse).max()
    D = (lambda X: X + X.T)(rng.standard_normal((order, order)))
    exact = min(-1 / np.linalg.eigvals(np.linalg.solve(Y[s, s], D[s, s])).real.min() for s in cliques.spans())
    assert cliques.step(D, 25, 10, 10.0) == pytest.approx(min(exact, 10.0), rel=1e-6)


@pytest.mark.parametrize("method", ["neuron", "layer"])
def test_optimality_recomputed_from_the_raw_matrices(method):
    """Primal and dual feasibility and the gap, from the matrices of the normal form and of the LMI itself."""
    lmi = stated(mixed_network((3, 6, 5, 4, 2), MIXED, 3), method)
    structure = chain.recognise(lmi)
    assert structure is not None
    reduction = structure.reduction
    state = Iterate(reduction.chain, 1.5, np.ones(15))
    for _ in range(30):
        if state.upper - state.supply(state.Y) / np.trace(state.Y[:3, :3]) < 1e-9 * state.upper:
            break
        assert state.advance()
    # back to the original coordinates by the congruence of the presolve (three inputs: no orthogonal factor)
    scale = np.exp(-np.concatenate([np.full(3, reduction.log_rho), *reduction.log_t]) / 2)
    Y = state.Y * np.outer(scale, scale)
    layout = Layout(lmi)
    raw = Dyads(lmi.inequalities[0], layout)
    Y /= np.trace(Y[:3, :3])
    assert np.linalg.eigvalsh(state.Y)[0] > 0
    multipliers = raw.adjoint(Y)[layout.lower == 0]
    assert np.abs(multipliers * layout.flatten(lmi.start)[layout.lower == 0]).max() < 1e-10 * lmi.start["rho"][0]
    solution = chain.solve(lmi, gap=1e-9)
    check_feasible(lmi, solution)
    assert -np.vdot(raw.constant, Y) == pytest.approx(solution.objective, rel=2e-9)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), depth=st.integers(1, 4), spread=st.sampled_from([0.0, 1.5]))
def test_laws(seed, depth, spread):
    """Permuting or rescaling neurons, rotating inputs or outputs changes nothing; scaling outputs scales the bound."""
    rng = np.random.default_rng(seed)
    sizes = (int(rng.integers(1, 9)), *rng.integers(2, 9, depth), int(rng.integers(1, 9)))
    weights = weights_of(mixed_network(sizes, ("relu",), seed, spread))
    reference = lip(of_weights(*weights))
    k = int(rng.integers(depth))
    permuted = [W.copy() for W in weights]
    order = rng.permutation(sizes[k + 1])
    permuted[k], permuted[k + 1] = permuted[k][order], permuted[k + 1][:, order]
    assert lip(of_weights(*permuted)) == pytest.approx(reference, rel=2e-8)
    scale = np.exp(rng.standard_normal(sizes[k + 1]))
    rescaled = [W.copy() for W in weights]
    rescaled[k], rescaled[k + 1] = rescaled[k] * scale[:, None], rescaled[k + 1] / scale
    assert lip(of_weights(*rescaled)) == pytest.approx(reference, rel=2e-8)
    rotated = [W.copy() for W in weights]
    rotated[0] = rotated[0] @ np.linalg.qr(rng.standard_normal((sizes[0], sizes[0])))[0]
    rotated[-1] = 1e3 * np.linalg.qr(rng.standard_normal((sizes[-1], sizes[-1])))[0] @ rotated[-1]
    assert lip(of_weights(*rotated)) == pytest.approx(1e3 * reference, rel=2e-8)
    assert np.linalg.norm(np.linalg.multi_dot(weights[::-1]), 2) / 2**depth <= reference


def test_dead_and_zero_neurons_change_nothing_and_their_multipliers_are_feasible():
    W = weights_of(random_network((3, 5, 4, 2)))
    reference = lip(of_weights(*W))
    nothing_enters = [np.vstack([W[0], np.zeros((2, 3))]), np.hstack([W[1], np.ones((4, 2))]), W[2]]
    assert lip(of_weights(*nothing_enters)) == pytest.approx(reference, rel=2e-8)
    nothing_leaves = [np.vstack([W[0], np.ones((1, 3))]), np.hstack([W[1], np.zeros((4, 1))]), W[2]]
    assert lip(of_weights(*nothing_leaves)) == pytest.approx(reference, rel=2e-8)
    # the new neuron of layer 1 feeds only one of layer 2 that feeds nothing, and a zero neuron feeds the live ones
    second = np.zeros((5, 7))
    second[:4, :5], second[4, 5], second[:4, 6] = W[1], 3.0, 1.0
    chained = [np.vstack([W[0], np.ones((1, 3)), np.zeros((1, 3))]), second, np.hstack([W[2], np.zeros((2, 1))])]
    assert lip(of_weights(*chained)) == pytest.approx(reference, rel=2e-8)


def test_a_duplicated_neuron_with_half_the_outgoing_weight_changes_nothing():
    W = weights_of(random_network((3, 5, 4, 2)))
    twice = [np.vstack([W[0], W[0][:1]]), np.hstack([W[1], W[1][:, :1] / 2]), W[2]]
    twice[1][:, 0] /= 2
    assert lip(of_weights(*twice)) == pytest.approx(lip(of_weights(*W)), rel=2e-8)


def test_layer_is_weaker_than_neuron_and_counts_zero_neurons():
    W = weights_of(random_network((3, 5, 4, 2)))
    padded = of_weights(np.vstack([W[0], np.zeros((1, 3))]), np.hstack([W[1], np.ones((4, 1))]), W[2])
    network = of_weights(*W)
    assert lip(network) <= lip(network, "layer") <= lip(padded, "layer") * (1 + 1e-8)


def test_one_neuron_per_layer_is_the_product():
    """A chain of scalars a, b, c with ReLU has the bound |a b c|."""
    network = of_weights(np.array([[2.0]]), np.array([[-3.0]]), np.array([[0.5]]))
    assert lip(network) == pytest.approx(3.0, rel=1e-8)


def test_identical_spectra_give_the_product_of_norms():
    """Orthogonal weights: nothing beats the product of the norms, attained where all slopes are 1."""
    rng = np.random.default_rng(0)
    Q = [np.linalg.qr(rng.standard_normal((4, 4)))[0] for _ in range(4)]
    assert lip(of_weights(*(2 * q for q in Q))) == pytest.approx(16.0, rel=1e-7)


ROBUST = [(2, 64, 64, 1), (3, 32, 32, 1), (17, 64, 64, 6), (4, 16, 16, 16, 16, 2), (10, 40, 3), (49, 20, 20, 20, 10)]


@pytest.mark.parametrize("single", [False, True])
def test_random_networks_badly_scaled_ones_included_all_reach_the_gap(single, monkeypatch):
    """Six shapes, twenty seeds, every third with rows scaled by exp(N(0, 1.5)); single precision first, or not."""
    monkeypatch.setattr(chain_method, "SMALLEST_SINGLE", 0 if single else np.inf)
    iterations = []
    for sizes in ROBUST:
        for seed in range(20):
            network = mixed_network(sizes, ("relu",), seed, spread=0.0 if seed % 3 else 1.5)
            solution = chain.solve(stated(network), gap=1e-6)
            assert solution.status == "optimal", (sizes, seed)
            assert 0 <= solution.gap <= 1e-6, (sizes, seed)
            iterations.append(solution.iterations)
    assert np.median(iterations) <= 13
    assert max(iterations) <= 30


def test_inputs_of_any_scale_behind_a_clip_layer_are_solved():
    """Normalisers divide by deviations down to 1e-4: what little enters has multipliers without bound."""
    rng = np.random.default_rng(0)
    scale = np.where(np.arange(40) % 2, 1e4, 1.0) * np.exp(rng.standard_normal(40))
    W = [
        np.diag(scale),
        rng.standard_normal((12, 40)) / 6,
        rng.standard_normal((8, 12)) / 3,
        rng.standard_normal((2, 8)),
    ]
    lmi = stated(of_weights(*W))
    solution = chain.solve(lmi, gap=1e-6)
    check_feasible(lmi, solution)
    assert solution.status == "optimal"
    assert solution.iterations <= 30


def test_what_single_precision_leaves_behind_is_never_taken_as_it_is(monkeypatch):
    """Whatever point it ends at, the iterate in double precision is feasible and reaches the optimum."""
    lmi = stated(random_network((3, 12, 12, 2)))
    optimum = chain.solve(lmi, gap=1e-9).objective
    monkeypatch.setattr(chain_method, "SMALLEST_SINGLE", 0)
    proper = Iterate.advance
    for spoil in (lambda s: s.t.fill(1e-3), lambda s: s.Y.fill(-1.0), lambda s: setattr(s, "rho", -1.0), None):

        def advance(state, spoil=spoil):
            if state.t.dtype == np.float64:
                return proper(state)
            if spoil is not None:
                spoil(state)
            return False

        with monkeypatch.context() as patch:
            patch.setattr(Iterate, "advance", advance)
            solution = chain.solve(lmi, gap=1e-9)
        check_feasible(lmi, solution)
        assert solution.status == "optimal"
        assert solution.objective == pytest.approx(optimum, rel=2e-9)


def test_depth_neither_overflows_nor_stalls():
    """Thirty-one layers, each shrunk by 1e-4: the bound shrinks by 1e-124, its square by 1e-248."""
    W = weights_of(random_network((3, *[4] * 30, 2)))
    reference, small = (chain.solve(stated(of_weights(*(s * w for w in W))), gap=1e-6) for s in (1.0, 1e-4))
    assert reference.status == small.status == "optimal"
    assert small.objective == pytest.approx(reference.objective * 1e-4 ** (2 * len(W)), rel=3e-6)


def test_the_best_iterate_is_kept_at_every_limit():
    lmi = stated(random_network((3, 12, 12, 2)))
    optimum = chain.solve(lmi, gap=1e-9).objective
    previous = np.inf
    for count in (0, 1, 3, 6):
        limited = chain.solve(lmi, gap=1e-9, max_iterations=count)
        check_feasible(lmi, limited)
        assert limited.status == "feasible"
        assert limited.iterations == count
        assert optimum * (1 - 1e-9) <= limited.objective <= previous
        assert limited.lower <= optimum * (1 + 1e-9)
        previous = limited.objective
    late = chain.solve(lmi, gap=1e-9, time_limit=0.0)
    assert late.status == "feasible"
    assert late.iterations == 0
    check_feasible(lmi, late)
    # what rounding forbids: the best of it is returned, and said to be inaccurate
    beyond = chain.solve(lmi, gap=1e-18)
    assert beyond.status == "inaccurate"
    assert beyond.objective == pytest.approx(optimum, rel=2e-9)
    check_feasible(lmi, beyond)


def test_stop_sees_feasible_values_and_true_bounds():
    lmi = stated(random_network((3, 12, 12, 2)))
    optimum = chain.solve(lmi, gap=1e-9).objective
    seen: list[float] = []

    def stop(values, lower):
        assert lower <= optimum * (1 + 1e-9)
        assert np.linalg.eigvalsh(lmi.inequalities[0].evaluate(values).mid)[0] > 0
        seen.append(float(values["rho"][0]))
        return seen[-1] < 1.01 * optimum

    stopped = chain.solve(lmi, gap=1e-9, stop=stop)
    assert stopped.status == "feasible"
    assert stopped.objective == seen[-1] < 1.01 * optimum
    assert len(seen) == stopped.iterations + 1


def test_a_start_is_taken_in_the_variables_of_the_lmi():
    lmi = stated(random_network((9, 6, 5, 2)))
    solution = chain.solve(lmi, gap=1e-8)
    again = chain.solve(lmi, gap=1e-8, start={**solution.values, "rho": 1.01 * solution.values["rho"]})
    assert again.objective == pytest.approx(solution.objective, rel=2e-8)
    with pytest.raises(SolverError, match="strictly feasible"):
        chain.solve(lmi, start={**solution.values, "rho": 0.9 * solution.values["rho"]})


def test_what_is_not_a_chain_is_left_to_the_general_method():
    network = random_network((3, 6, 5, 2))
    shifted = lipschitz.state(network, shift=np.ones((2, 3))).lmi
    no_hidden = stated(Network([Affine(np.array([[3.0, 0.0], [0.0, 1.0]]))]))
    partly_linear = stated(
        Network(
            [
                *network.layers[:1],
                Elementwise("leaky_relu", 6, negative_slope=np.r_[1.0, np.zeros(5)]),
                *network.layers[2:],
            ]
        )
    )
    constant = stated(of_weights(np.zeros((4, 3)), np.ones((2, 4))))
    for lmi in (shifted, no_hidden, partly_linear, constant):
        assert chain.recognise(lmi) is None
        with pytest.raises(SolverError, match="barrier"):
            chain.solve(lmi)
    assert solve(no_hidden, "barrier").objective == pytest.approx(9.0, rel=1e-6)
    assert solve(shifted, "barrier").solver == "barrier"
    assert solve(stated(network), "barrier").solver == "chain"


def test_a_layer_linear_on_the_region_is_passed_through():
    """A clip layer that cannot saturate on the box disappears; the bound is that of the network without it."""
    W = weights_of(random_network((3, 6, 5, 2)))
    layers = [Affine(np.eye(3)), Elementwise("hardtanh", 3, low=-9.0, high=9.0), Affine(W[0]), Elementwise("relu", 6)]
    layers += [Affine(W[1]), Elementwise("relu", 5), Affine(W[2])]
    inputs = InputSet.from_box(np.zeros(3), np.ones(3))
    lmi, plain = (lipschitz.state(n, inputs).lmi for n in (Network(layers), Network(layers[2:])))
    assert chain.recognise(lmi) is not None
    assert chain.solve(lmi, gap=1e-8).objective == pytest.approx(chain.solve(plain, gap=1e-8).objective, rel=3e-8)


def test_weights_of_inputs_and_outputs():
    network = random_network((9, 6, 5, 2))
    weight_u, weight_y = np.array([2.0, 0.5]), np.linspace(0.5, 3.0, 9)
    weighted = lipschitz.state(network, output_weight=weight_u, input_weight=weight_y).lmi
    W = weights_of(network)
    equivalent = of_weights(W[0] / weight_y, W[1], weight_u[:, None] * W[2])
    assert np.sqrt(chain.solve(weighted, gap=1e-8).objective) == pytest.approx(lip(equivalent), rel=2e-8)


def test_start_in_closed_form_is_feasible_for_slopes_of_every_kind():
    for seed, kinds in enumerate([("relu",), ("gelu",), MIXED, ("leaky_relu",)]):
        for method in ("neuron", "layer"):
            structure = chain.recognise(stated(mixed_network((4, 7, 6, 5, 2), kinds, seed), method))
            assert structure is not None
            form = structure.reduction.chain
            assert Factor(form).update(1 + 1e-12, np.ones(18))


def test_presolve_and_minimise_need_no_lmi():
    """[0, 1] slopes, W_1 = W_2 = I: the normal form has half weights; the optimum of two identities is 1."""
    eye = np.eye(3)
    reduction = presolve(Feedforward.chain((eye / 2, eye / 2), (np.ones(3), np.ones(3)), eye, False))
    assert reduction is not None
    outcome = minimise(reduction.chain, gap=1e-8, max_iterations=50)
    rho, _ = reduction.original(outcome.rho, outcome.t)
    assert rho == pytest.approx(1.0, rel=1e-7)


#: file, activation, LipSDP-Neuron optimum as reproduced to all printed digits
PUBLISHED = [
    ("lipsdp/random_weights.mat", "relu", 36.48223),
    ("lipsdp/mnist_weights.mat", "relu", 24.36635),
    ("cas_lrj/mnist_fnn_tanh_20.mat", "tanh", 37.42835),
    ("cas_lrj/mnist_fnn_sigmoid_30_20.mat", "sigmoid", 63.69481),
    ("cas_lrj/0caffeprototxt_AI2_MNIST_FNN_1_testNetworkB.mat", "relu", 23.92827),
]


@pytest.mark.parametrize(("file", "kind", "optimum"), PUBLISHED)
def test_published_networks(benchmarks, file, kind, optimum):
    layers: list[Affine | Elementwise] = []
    for W in loadmat(benchmarks / file)["weights"][0]:
        layers += [Affine(np.array(W, dtype=float)), Elementwise(kind, len(W))]
    solution = chain.solve(stated(Network(layers[:-1])), gap=2e-8)
    assert solution.status == "optimal"
    assert np.sqrt(solution.objective) == pytest.approx(optimum, rel=2e-7)
    assert np.sqrt(solution.lower) == pytest.approx(optimum, rel=2e-7)


@pytest.mark.parametrize("shared", [False, True])
def test_few_columns_of_an_iterate_bound_the_optimum_far_better_than_the_iterate_itself(shared):
    """After a few iterations: below the optimum always, and nearer than <G, Y_ll>."""
    structure = chain.recognise(
        stated(mixed_network((4, 12, 10, 3), ("gelu", "relu")), "layer" if shared else "neuron")
    )
    form = structure.reduction.chain
    optimum = minimise(form, gap=1e-10, max_iterations=100)
    state = Iterate(form, 1.5, np.ones(22))
    for count in range(1, 10):
        assert state.advance()
        few = state.few_columns()
        assert few <= optimum.rho * (1 + 1e-12)
        own = state.supply(state.Y) / np.trace(state.Y[:4, :4])
        if count >= 6:
            assert optimum.lower - few < 0.2 * (optimum.rho - own)
