"""Solvers of an LMI. They only guess; `lipctrl.proofs` proves."""

from __future__ import annotations

from lipctrl.errors import SolverError
from lipctrl.lmi.lmi import LMI
from lipctrl.lmi.solvers.solution import Solution

SOLVERS = ("barrier", "anytime", "clarabel", "scs", "mosek")


def solve(lmi: LMI, solver: str = "barrier", *, gap: float = 1e-7) -> Solution:
    """Minimise the objective of `lmi`.

    Parameters
    ----------
    lmi : LMI
        With a strictly feasible start, for "barrier".
    solver : {"barrier", "anytime", "clarabel", "scs", "mosek"}
        "barrier" is the structured interior-point method of this package, "anytime" a first-order method for a minute
        on networks too large for it, the others go through CVXPY.
    gap : float
        Relative duality gap (for "scs": its tolerance).

    Raises
    ------
    SolverError
        For an unknown or unavailable solver, or one that returns nothing usable.
    """
    if solver == "barrier":
        from lipctrl.lmi.solvers import barrier, chain, one_layer

        if (parts := one_layer.applies(lmi)) is not None:
            return one_layer.solve(lmi, parts, gap=gap)
        structure = chain.recognise(lmi)
        if structure is not None:
            return chain.solve(lmi, gap=gap, recognised=structure)
        return barrier.solve(lmi, gap=gap)
    if solver == "anytime":
        from lipctrl.lmi.solvers import anytime

        return anytime.solve(lmi)
    if solver in SOLVERS:
        from lipctrl.lmi.solvers import cvxpy

        return cvxpy.solve(lmi, solver, gap=gap)
    raise SolverError(f"Unknown solver {solver!r}.", f"Choose one of {', '.join(SOLVERS)}.")
