"""Limits of time and memory, breakdowns, dual points by construction: always a feasible point and a lower bound."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from lipctrl.errors import LipctrlError, MemoryLimitError, SolverError
from lipctrl.lmi.lmi import LMI
from lipctrl.lmi.solvers import barrier, chain, chain_method, feedforward, low_rank, one_layer, solve
from lipctrl.lmi.solvers.chain_newton import Schur
from lipctrl.lmi.solvers.dyads import Dyads, Layout
from lipctrl.lmi.solvers.signals import feasible_signals
from lipctrl.networks.enclosure import InputSet
from lipctrl.theorems import lipschitz
from tests.networks_for_tests import random_network

DEEP, WIDE = (3, 14, 12, 2), (3, 40, 2)


def stated(sizes=DEEP, kind="relu", method="neuron", box=None, shift=False) -> LMI:
    inputs = None if box is None else InputSet.from_box(np.zeros(sizes[0]), np.full(sizes[0], box))
    K = 0.1 * np.ones((sizes[-1], sizes[0])) if shift else None
    return lipschitz.state(random_network(sizes, kind), inputs, method=method, shift=K).lmi


def check_feasible(lmi: LMI, values) -> None:
    M = lmi.inequalities[0].evaluate(values).mid
    root = np.sqrt(np.diag(M))
    assert np.linalg.eigvalsh(M / np.outer(root, root))[0] > -1e-13
    assert all(np.all(values[v.name] > 0) for v in lmi.variables if v.lower is not None)


#: LMIs that go to the method for chains, the one for one hidden layer, and the general one
ROUTES = {"chain": {}, "layer": {"method": "layer"}, "wide": {"sizes": WIDE}, "general": {"shift": True}}


@pytest.mark.parametrize("route", ROUTES)
def test_no_time_gives_the_start_and_a_little_time_no_less(route):
    lmi = stated(**ROUTES[route])
    optimum = solve(lmi, gap=1e-8)
    for limit in (0.0, 1e-6, 0.005):
        early = solve(lmi, gap=1e-8, time_limit=limit)
        check_feasible(lmi, early.values)
        assert early.status in (("feasible",) if limit < 1e-3 else ("feasible", "optimal"))
        assert early.lower <= optimum.objective * (1 + 1e-9)
        assert optimum.lower <= early.objective <= float(lmi.start["rho"][0])
        if route in ("chain", "layer"):
            assert early.lower > 0
    assert solve(lmi, gap=1e-8, time_limit=1e3).status == "optimal"


@pytest.mark.parametrize("solver", ["clarabel", "scs"])
def test_other_solvers_get_the_limit_and_the_start_stands_in_for_no_numbers(solver):
    lmi = stated((3, 20, 20, 2))
    early = solve(lmi, solver, gap=1e-9, time_limit=0.0)
    if early.note:
        assert early.status == "feasible"
        check_feasible(lmi, early.values)
    assert early.status != "optimal"
    assert solve(stated(), solver, gap=1e-5, time_limit=1e3, memory_limit=1e9).note.endswith("limit of memory")


@pytest.mark.parametrize("route", ROUTES)
def test_the_forecast_of_memory_covers_what_is_taken(route):
    sizes = {"wide": (5, 400, 3), "general": (4, 40, 30, 2)}.get(route, (6, 90, 70, 4))
    lmi = stated(**{**ROUTES[route], "sizes": sizes})
    if route == "wide":
        parts = one_layer.applies(lmi)
        needed, run = one_layer.forecast(lmi, parts), lambda: one_layer.solve(lmi, parts, max_iterations=3)
    elif route == "general":
        needed, run = barrier.forecast(lmi), lambda: barrier.solve(lmi, max_iterations=3)
    else:
        found = chain.recognise(lmi)
        needed, run = chain.forecast(found), lambda: chain.solve(lmi, max_iterations=3, recognised=found)
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= needed <= 5 * peak


def test_too_little_memory_is_made_do_with_and_then_refused():
    lmi = stated()
    large = chain.forecast(chain.recognise(lmi))
    assert solve(lmi, "barrier", memory_limit=large).solver == "chain"
    with pytest.raises(MemoryLimitError, match="low_rank"):
        solve(lmi, "barrier", memory_limit=large - 1)
    form = feedforward.recognise(lmi).form
    small = low_rank.forecast(form, 8)
    assert small < low_rank.forecast(form) < large
    for solver in ("auto", "low_rank"):
        fewest = solve(lmi, solver, memory_limit=small)
        assert fewest.kept.signals.shape[1] <= 8 and fewest.solver == "low_rank"
        check_feasible(lmi, {**fewest.values, "rho": fewest.values["rho"] * (1 + 1e-9)})
        with pytest.raises(MemoryLimitError, match="Allow more"):
            solve(lmi, solver, memory_limit=small - 1)
    with pytest.raises(MemoryLimitError, match="Allow more"):
        solve(stated(shift=True), memory_limit=0)
    assert solve(stated(WIDE), "barrier", memory_limit=1e9).solver == "barrier"


@pytest.mark.parametrize("limits", [{"gap": 0.0}, {"gap": np.nan}, {"time_limit": -1}, {"memory_limit": np.nan}])
def test_limits_that_are_none_are_refused(limits):
    with pytest.raises(LipctrlError, match=next(iter(limits))):
        solve(stated(), **limits)


@pytest.mark.parametrize("count", [0, 3, 7])
@pytest.mark.parametrize("method", ["neuron", "layer"])
def test_a_breakdown_returns_the_best_iterate(monkeypatch, count, method):
    """The Schur complement fails after some iterations: what was reached until then is returned, with a lower bound."""
    lmi = stated(method=method)
    optimum = chain.solve(lmi, gap=1e-9).objective
    healthy, calls = Schur.factor, []

    def failing(self) -> None:
        calls.append(1)
        if len(calls) > count:
            raise np.linalg.LinAlgError("injected")
        healthy(self)

    monkeypatch.setattr(Schur, "factor", failing)
    broken = solve(lmi, "barrier", gap=1e-9)
    monkeypatch.undo()
    assert broken.status == "inaccurate" and broken.iterations == count
    check_feasible(lmi, broken.values)
    assert 0 < broken.lower <= optimum * (1 + 1e-9)
    assert broken.objective == chain.solve(lmi, gap=1e-9, max_iterations=count).objective >= optimum * (1 - 1e-9)


@pytest.mark.parametrize("kind", ["relu", "gelu"])
@pytest.mark.parametrize("shared", [False, True])
def test_signals_are_dual_feasible_for_the_lmi_itself(kind, shared):
    """Random signals, scaled: residual and value recomputed from the matrices of the LMI."""
    lmi = stated((2, 6, 5, 3), kind, "layer" if shared else "neuron")
    reduction = chain.recognise(lmi).reduction
    form, rng = reduction.chain, np.random.default_rng(0)
    signals = feasible_signals(form, rng.standard_normal((13, 4)))
    scale = np.exp(-np.concatenate([np.full(2, reduction.log_rho), *reduction.log_t]) / 2)
    stacked = np.concatenate(signals.Z) * scale[:, None]
    Y = stacked @ stacked.T / np.exp(-reduction.log_rho)
    layout = Layout(lmi)
    raw = Dyads(lmi.inequalities[0], layout)
    sums = raw.adjoint(Y)
    assert sums[layout.start["rho"]] == pytest.approx(1.0, rel=1e-12)
    assert np.abs(sums[layout.lower == 0]).max() < 1e-11 * np.abs(Y).max()
    lower = reduction.rho_factor * signals.value
    assert lower == pytest.approx(-np.vdot(raw.constant, Y), rel=1e-10)
    assert lower <= solve(lmi, gap=1e-8).objective


@pytest.mark.parametrize("method", ["neuron", "layer"])
@pytest.mark.parametrize("kind", ["relu", "gelu"])
def test_the_general_method_scales_its_dual_matrix_to_feasibility(kind, method):
    """A lower bound from any Y > 0: tr Y_00 = 1 after scaling, and the rest of the multipliers' equations positive."""
    lmi = stated(kind=kind, method=method, shift=True)
    run = barrier._Barrier(lmi, 1e-8, 60, lmi.start, None)
    solution = run.run()
    assert solution.status == "optimal" and solution.gap <= 1e-8
    scale = run.blocks[0].scale
    Y = run.point.Y[0] * np.outer(scale, scale)
    layout = Layout(lmi)
    raw = Dyads(lmi.inequalities[0], layout)
    Y /= raw.adjoint(Y)[layout.start["rho"]]
    assert np.linalg.eigvalsh(Y)[0] > 0
    assert np.all(raw.adjoint(Y)[layout.lower == 0] <= 0)
    assert -np.vdot(raw.constant, Y) == pytest.approx(solution.lower, rel=1e-8)


def test_mosek_without_licence_or_package_gives_advice(monkeypatch):
    import cvxpy

    lmi = stated((2, 4, 1))

    def unlicensed(self, *args, **options):
        assert options["mosek_params"]["MSK_DPAR_OPTIMIZER_MAX_TIME"] == 3.0
        raise RuntimeError("rescode.err_missing_license_file(1008): License cannot be located")

    monkeypatch.setattr(cvxpy, "installed_solvers", lambda: ["CLARABEL", "MOSEK"])
    monkeypatch.setattr(cvxpy.Problem, "solve", unlicensed)
    with pytest.raises(SolverError, match=r"MOSEK failed.*License.*barrier.*needs no licence"):
        solve(lmi, "mosek", time_limit=3.0)
    monkeypatch.setattr(cvxpy, "installed_solvers", lambda: ["CLARABEL"])
    with pytest.raises(SolverError, match=r"not installed.*licence.*barrier"):
        solve(lmi, "mosek")


def test_the_chain_method_takes_no_more_than_it_says():
    """The forecast is for the sizes that are left after the reductions."""
    form = chain.recognise(stated((50, 6, 5, 2))).reduction.chain
    assert form.sizes[0] == 6
    assert chain_method.forecast(form.sizes, False) < chain_method.forecast((50, 6, 5), False)
