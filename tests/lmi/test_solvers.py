"""Solvers are tested by optimality conditions, against known optima, and against each other."""

from __future__ import annotations

import numpy as np
import pytest

from lipctrl.errors import SolverError
from lipctrl.intervals.ball import Ball
from lipctrl.lmi.lmi import LMI, Congruence, Factor, MatrixInequality, Scaled, Variable, selector
from lipctrl.lmi.solvers import barrier, solve
from lipctrl.lmi.solvers.dyads import Dyads, Layout
from lipctrl.lmi.solvers.steps import step_to_boundary
from lipctrl.plants.plant import Plant
from lipctrl.theorems import hinf, lipschitz
from tests.networks_for_tests import random_network

#: LipSDP-Neuron optima of the random networks (relative gap below 1e-8), computed elsewhere
KNOWN = {(2, 64, 64, 1): 8.681751957, (17, 64, 64, 6): 6.533000443}


def small_problem() -> LMI:
    """A bounded-real problem: a matrix variable, a scaled matrix and two inequalities."""
    rng = np.random.default_rng(3)
    A = rng.standard_normal((3, 3))
    A *= 0.8 / np.abs(np.linalg.eigvals(A)).max()
    return hinf.state(Plant(A, rng.standard_normal((3, 2)), rng.standard_normal((2, 3)), dt=0.1)).lmi


@pytest.mark.parametrize("lmi", [small_problem(), lipschitz.state(random_network((2, 5, 4, 2), "tanh")).lmi])
def test_dyads_state_the_inequality_they_are_made_of(lmi):
    """Evaluated, differentiated and contracted, the dyads give what the LMI's own evaluation gives."""
    rng = np.random.default_rng(0)
    layout = Layout(lmi)
    y = rng.standard_normal(layout.size)
    assert np.allclose(layout.flatten(layout.unflatten(y)), y)
    for inequality in lmi.inequalities:
        dyads = Dyads(inequality, layout)
        expected = inequality.evaluate(layout.unflatten(y)).mid
        assert np.allclose(dyads.constant + dyads.linear(y), expected, atol=1e-12)
        X, Y = (M @ M.T for M in rng.standard_normal((2, dyads.order, dyads.order)))
        basis = [dyads.linear(e) for e in np.eye(layout.size)]
        assert np.allclose(dyads.adjoint(Y), [np.vdot(A, Y) for A in basis])
        hessian = np.array([[np.trace(A @ X @ B @ Y) for B in basis] for A in basis])
        assert np.allclose(dyads.hessian(X, Y), (hessian + hessian.T) / 2, rtol=1e-10, atol=1e-8)


@pytest.mark.parametrize("sizes", KNOWN)
def test_known_optima(sizes):
    solution = solve(lipschitz.state(random_network(sizes)).lmi, gap=1e-8)
    assert solution.status == "optimal"
    assert np.sqrt(solution.objective) == pytest.approx(KNOWN[sizes], rel=1e-7)
    assert np.sqrt(solution.lower) == pytest.approx(KNOWN[sizes], rel=1e-7)
    assert solution.lower <= solution.objective


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_clarabel(seed):
    statement = lipschitz.state(random_network((3, 7, 6, 2), "relu", seed))
    ours, theirs = solve(statement.lmi, gap=1e-8), solve(statement.lmi, "clarabel", gap=1e-9)
    assert ours.objective == pytest.approx(theirs.objective, rel=2e-6)
    assert ours.lower <= theirs.objective * (1 + 1e-6)
    assert theirs.lower == pytest.approx(theirs.objective, rel=1e-5)


def test_optimality_conditions_recomputed():
    """Primal feasible, dual feasible up to rounding, no gap: recomputed from the raw matrices of the LMI."""
    lmi = lipschitz.state(random_network((3, 8, 8, 2))).lmi
    run = barrier._Barrier(lmi, 1e-8, 60, lmi.start, None)
    solution = run.run()
    M = lmi.inequalities[0].evaluate(solution.values).mid
    assert np.linalg.eigvalsh(M)[0] > 0
    scale = run.blocks[0].scale
    Y = run.point.Y[0] * np.outer(scale, scale)
    assert np.linalg.eigvalsh(Y)[0] > 0
    layout = Layout(lmi)
    raw = Dyads(lmi.inequalities[0], layout)
    slack = layout.cost - raw.adjoint(Y)
    assert np.all(slack[layout.lower == 0] > -1e-8)
    assert -np.vdot(raw.constant, Y) == pytest.approx(solution.objective, rel=1e-7)


@pytest.mark.parametrize("n", [3, 30, 90])
def test_step_to_boundary_stays_inside(n):
    rng = np.random.default_rng(n)
    for _ in range(5):
        Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
        A = (Q * 10.0 ** rng.uniform(-6, 0, n)) @ Q.T
        half = np.linalg.cholesky((A + A.T) / 2)
        D = half @ (lambda E: E + E.T)(rng.standard_normal((n, n))) @ half.T
        exact = -1 / np.linalg.eigvals(np.linalg.solve(A, D)).real.min()
        step = step_to_boundary((A + A.T) / 2, (D + D.T) / 2)
        assert 0.95 * exact <= step <= exact * (1 + 1e-6)


def test_a_start_outside_is_refused_with_advice():
    P = Variable("P", 1, symmetric=True)
    identity = selector(0, 1)
    lmi = LMI(
        (P,), (MatrixInequality("P > 1", (1,), (Congruence("P", identity, identity, 0.5),), Ball.exact([[-1.0]])),)
    )
    with pytest.raises(SolverError, match="strictly feasible"):
        barrier.solve(lmi, start={"P": np.array([[0.5]])})
    with pytest.raises(SolverError, match="strictly feasible"):
        barrier.solve(lmi)


def test_unknown_and_missing_solvers_give_advice():
    lmi = small_problem()
    with pytest.raises(SolverError, match="Choose one of"):
        solve(lmi, "sedumi")
    import cvxpy

    if "MOSEK" not in cvxpy.installed_solvers():
        with pytest.raises(SolverError, match="licence"):
            solve(lmi, "mosek")


def test_scaled_and_congruence_terms_against_a_closed_form():
    """min g s.t. [g - 1, 2; 2, g - 4] > 0 has the optimum 5 (the largest eigenvalue of [[1, -2], [-2, 4]])."""
    g = Variable("g", 1)
    inequality = MatrixInequality(
        "eig", (2,), (Scaled("g", Ball.exact(np.eye(2))),), Ball.exact([[-1.0, 2.0], [2.0, -4.0]])
    )
    lmi = LMI((g,), (inequality,), {"g": np.ones(1)}, {"g": np.array([10.0])})
    assert solve(lmi, gap=1e-9).objective == pytest.approx(5.0, rel=1e-8)
    assert solve(lmi, "scs", gap=1e-8).objective == pytest.approx(5.0, rel=1e-5)


def test_factor_algebra():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 3, 2))
    left, right = Factor(3, {0: Ball.exact(a)}), Factor(3, {0: Ball.exact(b), 1: Ball.exact(a)})
    sizes = (2, 2)
    assert np.allclose((left + -right).dense(sizes), np.hstack([a - b, -a]))
    assert np.allclose(right.scale_rows(np.arange(3.0)).dense(sizes), np.arange(3.0)[:, None] * np.hstack([b, a]))
    assert np.allclose(right.premultiply(Ball.exact(a.T)).dense(sizes), a.T @ np.hstack([b, a]))
