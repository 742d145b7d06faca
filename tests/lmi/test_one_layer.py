"""One hidden layer: the reduced inequality against the one that was stated, and the method that rests on it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipctrl.intervals.ball import Ball
from lipctrl.lmi.lmi import LMI
from lipctrl.lmi.one_layer import OneLayer, definite_form, one_layer
from lipctrl.lmi.solvers import barrier, solve
from lipctrl.lmi.solvers import one_layer as method
from lipctrl.lmi.solvers.one_layer_form import reduce
from lipctrl.lmi.solvers.one_layer_newton import Newton
from lipctrl.lmi.solvers.solution import Solution
from lipctrl.networks.enclosure import InputSet
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.proofs.definiteness import is_positive_definite
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


def exactly_definite(M: list[list[Fraction]]) -> bool:
    """Positive definiteness by elimination in rational numbers."""
    M = [row[:] for row in M]
    for k in range(len(M)):
        if M[k][k] <= 0:
            return False
        for i in range(k + 1, len(M)):
            ratio = M[i][k] / M[k][k]
            for j in range(k, len(M)):
                M[i][j] -= ratio * M[k][j]
    return True


def exact_matrix(W0: np.ndarray, W1: np.ndarray, slopes: tuple[float, float], t: np.ndarray, rho: float):
    """The inequality of LipSDP in rational numbers, from its definition; all neurons have the same slopes."""
    n, n_in = W0.shape
    alpha, beta = (Fraction(slope) for slope in slopes)
    W0, W1 = [[Fraction(x) for x in row] for row in W0], [[Fraction(x) for x in row] for row in W1]
    size = n_in + n
    M = [[Fraction(rho) if i == j and i < n_in else Fraction(0) for j in range(size)] for i in range(size)]
    for k in range(n):
        unit = [Fraction(int(i == k)) for i in range(n)]
        a, b = [-alpha * x for x in W0[k]] + unit, [-beta * x for x in W0[k]] + unit
        for i in range(size):
            for j in range(size):
                M[i][j] += Fraction(t[k]) * (a[i] * b[j] + b[i] * a[j])
    for row in W1:
        z = [Fraction(0)] * n_in + row
        for i in range(n_in, size):
            for j in range(n_in, size):
                M[i][j] -= z[i] * z[j]
    return M


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 9999), box=st.sampled_from([None, 0.3]), shifted=st.booleans())
def test_the_reduced_matrix_is_the_schur_complement(seed, box, shifted):
    """Against the stated matrix: with [M + z'z, z'; z, I] and the hidden layer eliminated, K is what remains."""
    rng = np.random.default_rng(seed)
    network = random_network((3, 9, 2), KINDS[seed % len(KINDS)], seed)
    inputs = None if box is None else InputSet.from_box(np.zeros(3), np.full(3, box))
    weights = {"output_weight": np.exp(rng.normal(size=2)), "input_weight": np.exp(rng.normal(size=3))}
    statement = lipschitz.state(network, inputs, shift=rng.standard_normal((2, 3)) if shifted else None, **weights)
    inequality = statement.lmi.inequalities[0]
    parts = one_layer(inequality)
    if parts is None:  # every neuron linear on the box
        assert sum(statement.signals.sizes[1:]) == 0
        return
    values = {"rho": np.array([3.0]), parts.variable: np.exp(rng.normal(size=parts.Z1.shape[1]))}
    M, z = inequality.evaluate(values).mid, inequality.constant.factor.dense(inequality.sizes)
    big = np.block([[M + z.T @ z, z.T], [z, np.eye(len(z))]])
    hidden = np.zeros(len(big), dtype=bool)
    hidden[3 : len(M)] = True
    keep = ~hidden
    expected = big[np.ix_(keep, keep)] - big[np.ix_(keep, hidden)] @ np.linalg.solve(
        big[np.ix_(hidden, hidden)], big[np.ix_(hidden, keep)]
    )
    K = parts.reduced(values)
    assert np.array_equal(K.mid, K.mid.T)
    assert np.allclose(K.mid, expected, atol=1e-11 * np.abs(expected).max())
    assert K.radius.max() < 1e-11 * np.abs(expected).max()


@settings(max_examples=150, deadline=None, derandomize=True)
@given(seed=st.integers(0, 99999), digits=st.integers(4, 18), slopes=st.sampled_from([(0.0, 1.0), (-0.13, 1.13)]))
def test_no_false_proofs_near_singular(seed, digits, slopes):
    """rho a hair above or below the least one: proved only if true in rational numbers; proved if clearly true."""
    rng = np.random.default_rng(seed)
    n_in, n, n_out = int(rng.integers(1, 3)), int(rng.integers(2, 5)), int(rng.integers(1, 3))
    W0 = rng.standard_normal((n, n_in)) * np.exp(rng.normal(0, 1.5, (n, 1)))
    W1 = rng.standard_normal((n_out, n))
    t = (1.0 + rng.random(n)) * np.linalg.norm(W1, 2) ** 2
    statement = lipschitz.state(network_of(W0, W1))
    lmi = statement.lmi
    term = lmi.inequalities[0].terms[1]
    v = -term.B.blocks[0]
    A, B = -(v * slopes[0]), -(v * slopes[1])
    parts = OneLayer("T1", parts_of(lmi).supplies, A, B, parts_of(lmi).Z0, parts_of(lmi).Z1)
    K = parts.reduced({"rho": np.zeros(1), "T1": t}).mid
    least = np.linalg.eigvalsh(K[:n_in, n_in:] @ np.linalg.solve(K[n_in:, n_in:], K[n_in:, :n_in]) - K[:n_in, :n_in])[
        -1
    ]
    rho = least * (1 + rng.choice([-1, 1]) * 10.0**-digits)
    ball = parts.reduced({"rho": np.array([rho]), "T1": t})
    proved = is_positive_definite(ball.mid, ball.radius)
    true = exactly_definite(exact_matrix(W0, W1, slopes, t, rho))
    assert true or not proved
    if digits < 10:
        assert proved == (rho > least)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 99999))
def test_the_ball_encloses_the_exact_matrix(seed):
    """Against rational numbers, small integers among them: there nothing but 1/t is rounded."""
    rng = np.random.default_rng(seed)
    n_in, n, n_out = (int(k) for k in rng.integers(1, 4, 3))
    draw = rng.standard_normal if seed % 2 else lambda shape: rng.integers(-1, 2, shape).astype(float)
    A, B, Z0, Z1 = draw((n, n_in)), draw((n, n_in)), draw((n_out, n_in)), draw((n_out, n))
    t, rho = rng.integers(1, 8, n) / 1.0, 3.0
    parts = OneLayer("T1", (("rho", Ball(np.eye(n_in))),), *(Ball(M) for M in (A, B, Z0, Z1)))
    K = parts.reduced({"rho": np.array([rho]), "T1": t})

    def total(*factors):
        return sum((np.prod([Fraction(x) for x in row]) for row in zip(*factors, strict=True)), Fraction(0))

    half = Fraction(1, 2)
    for i in range(n_in):
        for j in range(n_in):
            exact = Fraction(rho) * (i == j) - half * total(t, A[:, i] - B[:, i], A[:, j] - B[:, j])
            if seed % 2 == 0:  # else the differences above are rounded themselves
                assert abs(exact - Fraction(K.mid[i, j])) <= Fraction(K.radius[i, j])
    for i in range(n_out):
        for j in range(n_out):
            exact = Fraction(int(i == j)) - half * total([1 / Fraction(x) for x in t], Z1[i], Z1[j])
            assert abs(exact - Fraction(K.mid[n_in + i, n_in + j])) <= Fraction(K.radius[n_in + i, n_in + j])
        for j in range(n_in):
            exact = Fraction(Z0[i, j]) - half * (total(Z1[i], A[:, j]) + total(Z1[i], B[:, j]))
            assert abs(exact - Fraction(K.mid[n_in + i, j])) <= Fraction(K.radius[n_in + i, j])


def test_negative_multipliers_are_refused_though_the_reduced_matrix_is_definite():
    network = network_of(np.array([[1.0]]), np.array([[1.0]]))
    inequality = lipschitz.state(network).lmi.inequalities[0]
    values = {"rho": np.array([9.0]), "T1": np.array([-1.0])}
    assert not exactly_definite(exact_matrix(np.eye(1), np.eye(1), (0.0, 1.0), values["T1"], 9.0))
    assert one_layer(inequality).reduced(values) is None


@pytest.mark.parametrize("kind", ["relu", "gelu"])
def test_holds_is_the_same_through_either_matrix(kind):
    """At the solution, around it, with a multiplier that is zero or negative: as the stated matrix decides."""
    lmi = lipschitz.state(random_network((2, 40, 2), kind)).lmi
    inequality = lmi.inequalities[0]
    values = dict(solve(lmi, gap=1e-6).values)
    form = definite_form(inequality, values)
    assert form is not None and form[1] is not None and len(form[0].mid) == 4
    for factor in (0.5, 1 - 1e-6, 1 - 1e-9, 1 + 1e-9, 1 + 1e-6, 2.0, -1.0, np.nan):
        trial = {**values, "rho": values["rho"] * factor}
        M = inequality.evaluate(trial)
        assert holds(lmi, trial) == is_positive_definite(M.mid, M.radius) == (factor > 1)
    for entry in (0.0, -1.0, 1e-320, np.inf):
        t = values["T1"].copy()
        t[3] = entry
        assert not holds(lmi, {"rho": values["rho"] * 2, "T1": t})


@pytest.mark.parametrize(("sizes", "optimum"), KNOWN.items())
def test_known_optima(sizes, optimum):
    lmi = lipschitz.state(random_network(sizes)).lmi
    solution = solve(lmi, gap=1e-6)
    assert solution.status == "optimal" and solution.iterations <= 12
    assert np.sqrt(solution.objective) == pytest.approx(optimum, rel=1e-6)
    assert np.sqrt(solution.lower) == pytest.approx(optimum, rel=1e-6)
    assert holds(lmi, {**solution.values, "rho": solution.values["rho"] * (1 + 1e-8)})


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("kind", "name"), [("gelu", "neuron"), ("elu", "neuron"), ("silu", "layer")])
def test_agrees_with_the_general_method_and_with_clarabel(seed, kind, name):
    lmi = lipschitz.state(random_network((3, 14, 2), kind, seed), method=name).lmi
    ours = solve(lmi, gap=1e-8)
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
    solution = solve(lmi, gap=1e-9)
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
    plain = solve(lipschitz.state(network_of(W0, W1, "gelu")).lmi, gap=1e-9).objective
    lmi = lipschitz.state(network_of(W0 @ right.T, left @ W1, "gelu")).lmi
    wide = solve(lmi, gap=1e-9)
    assert wide.objective == pytest.approx(plain, rel=1e-8)
    check_optimal(lmi, wide, 1e-8)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 9999))
def test_bounds_and_newton_system_of_the_reduced_problem(seed):
    """Any t bounds from above, any Y from below; both ways solve the same system, and its operators are adjoint."""
    rng = np.random.default_rng(seed)
    problem, _ = reduce(parts_of(lipschitz.state(random_network((2, 25, 2), "gelu", seed)).lmi), 25)
    optimum = solve(lipschitz.state(random_network((2, 25, 2), "gelu", seed)).lmi, gap=1e-9).objective
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
    solution = solve(statement.lmi, gap=1e-6)
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
