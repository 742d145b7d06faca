"""The same LMI through CVXPY, for cross-checks and for users' own solvers (Clarabel, SCS, MOSEK)."""

from __future__ import annotations

from typing import Any

import numpy as np

from lipctrl.errors import SolverError
from lipctrl.lmi.lmi import LMI, Congruence, MatrixInequality, Multiplier
from lipctrl.lmi.solvers.solution import Solution

#: shortest time limit that is handed on: some solvers take 0 for none
LEAST_SECONDS = 1e-3


def solve(lmi: LMI, solver: str, *, gap: float = 1e-7, time_limit: float | None = None) -> Solution:
    """Model `lmi` in CVXPY and call `solver`; the values it returns may be slightly infeasible.

    `time_limit` is handed to the solver as its own (seconds, without CVXPY's modelling). Where it then returns no
    numbers, the start of `lmi` is returned instead.

    Raises
    ------
    SolverError
        If the solver is not installed, has no licence, or returns no numbers.
    """
    import cvxpy as cp

    name = solver.upper()
    if name not in cp.installed_solvers():
        advice = "pip install 'lipctrl[mosek]' and set up a licence" if name == "MOSEK" else f"pip install {solver}"
        raise SolverError(f"The solver {name} is not installed.", f"{advice}, or use solver='barrier'.")
    unknown = {
        v.name: cp.Variable((v.size, v.size), symmetric=True) if v.symmetric else cp.Variable(v.size)
        for v in lmi.variables
    }
    constraints = [unknown[v.name] >= v.lower for v in lmi.variables if v.lower is not None]
    constraints += [_matrix(inequality, unknown) >> 0 for inequality in lmi.inequalities]
    objective = sum(cp.sum(cp.multiply(weight, unknown[key])) for key, weight in lmi.objective.items())
    problem = cp.Problem(cp.Minimize(objective), constraints)
    every: dict[str, dict[str, Any]] = {
        "CLARABEL": {"tol_gap_rel": gap, "tol_gap_abs": gap},
        "SCS": {"eps_abs": gap, "eps_rel": gap, "max_iters": 20_000},
        "MOSEK": {"mosek_params": {"MSK_DPAR_INTPNT_CO_TOL_REL_GAP": gap}},
    }
    options = every[name]
    if time_limit is not None:
        limit = max(time_limit, LEAST_SECONDS)
        if name == "MOSEK":
            options["mosek_params"]["MSK_DPAR_OPTIMIZER_MAX_TIME"] = limit
        else:
            options["time_limit" if name == "CLARABEL" else "time_limit_secs"] = limit
    try:
        problem.solve(solver=name, **options)
    except Exception as error:  # the back ends raise their own types, licence trouble included
        raise SolverError(
            f"{name} failed: {type(error).__name__}: {error}.", "Use solver='barrier', which needs no licence."
        ) from error
    if any(variable.value is None for variable in unknown.values()):
        if time_limit is not None and lmi.start is not None:
            return _start_of(lmi, solver, problem.status)
        raise SolverError(f"{name} returned no numbers (status {problem.status!r}).", "Use solver='barrier'.")
    values = {
        v.name: _symmetric(unknown[v.name].value) if v.symmetric else np.asarray(unknown[v.name].value, dtype=float)
        for v in lmi.variables
    }
    status = {"optimal": "optimal", "infeasible": "infeasible"}.get(problem.status, "inaccurate")
    value = float(problem.value)
    iterations = int(problem.solver_stats.num_iters or 0)
    # what a solver leaves of its dual when it is stopped is far from feasible
    lower = _dual_value(lmi, problem, constraints) if status == "optimal" else -np.inf
    return Solution(values, value, lower, status, iterations, solver)


def _start_of(lmi: LMI, solver: str, status: str) -> Solution:
    values = {name: np.asarray(value, dtype=np.float64) for name, value in (lmi.start or {}).items()}
    objective = float(sum(np.vdot(weight, values[name]) for name, weight in lmi.objective.items()))
    note = f"{solver} returned no numbers in its time (status {status!r}): the start in closed form"
    return Solution(values, objective, -np.inf, "feasible", 0, solver, note=note)


def _matrix(inequality: MatrixInequality, unknown: dict[str, Any]) -> Any:
    import cvxpy as cp

    total: Any = np.zeros((inequality.order, inequality.order))
    if inequality.constant is not None:
        total = total + inequality.constant.mid
    for term in inequality.terms:
        variable = unknown[term.variable]
        if isinstance(term, Multiplier):
            a, b = term.A.dense(inequality.sizes), term.B.dense(inequality.sizes)
            weights = variable if variable.size == term.A.rows else variable[0] * np.ones(term.A.rows)
            half = a.T @ cp.diag(weights) @ b
            total = total + half + half.T
        elif isinstance(term, Congruence):
            half = term.F.dense(inequality.sizes).T @ variable @ term.G.dense(inequality.sizes)
            total = total + term.weight * (half + half.T)
        else:
            total = total + variable[0] * term.S.mid
    return total


def _symmetric(value: Any) -> Any:
    return (value + value.T) / 2


def _dual_value(lmi: LMI, problem: Any, constraints: list[Any]) -> float:
    """-sum <C_k, Y_k> + lower'z from the solver's multipliers."""
    bounds = [v for v in lmi.variables if v.lower is not None]
    duals = [constraint.dual_value for constraint in constraints]
    if any(dual is None for dual in duals):
        return -np.inf
    value = sum(float(v.lower or 0.0) * float(np.sum(z)) for v, z in zip(bounds, duals, strict=False))
    for inequality, Y in zip(lmi.inequalities, duals[len(bounds) :], strict=True):
        if inequality.constant is not None:
            value -= float(np.vdot(inequality.constant.mid, _symmetric(Y)))
    return value
