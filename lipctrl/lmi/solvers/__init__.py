"""Solvers of an LMI. They only guess; `lipctrl.proofs` proves."""

from __future__ import annotations

from dataclasses import replace
from numbers import Real

import numpy as np

from lipctrl.errors import LipctrlError, MemoryLimitError, SolverError
from lipctrl.lmi.lmi import LMI
from lipctrl.lmi.solvers.solution import Solution, attempt

__all__ = ["SOLVERS", "Solution", "check_limits", "solve"]

SOLVERS = ("barrier", "anytime", "clarabel", "scs", "mosek")


def solve(
    lmi: LMI,
    solver: str = "barrier",
    *,
    gap: float = 1e-7,
    time_limit: float | None = None,
    memory_limit: float | None = None,
    warm: Solution | None = None,
) -> Solution:
    """Minimise the objective of `lmi`.

    Parameters
    ----------
    lmi : LMI
        With a strictly feasible start, for "barrier".
    solver : {"barrier", "anytime", "clarabel", "scs", "mosek"}
        "barrier" is the structured interior-point method of this package, "anytime" a first-order method for a minute
        on networks too large for it, the others go through CVXPY.
    gap : float
        Relative duality gap at which to stop (for "scs": its tolerance; for "anytime": relative progress).
    time_limit : float, optional
        Seconds, counted between iterations; then the best feasible iterate is returned, with status "feasible", and
        if there was no time for any, the start of `lmi`. The solvers of CVXPY know their own limits: what they return
        then may be infeasible.
    memory_limit : float, optional
        Bytes. What "barrier" needs is forecast before it is allocated; if that is too much, LipSDP goes to "anytime".
        The solvers of CVXPY have no such limit.
    warm : Solution, optional
        Of a similar problem, by "barrier". Taken if sizes agree and it is nearer than the start in closed form
        (`Solution.start` says so); it changes the number of iterations, not what is returned.

    Raises
    ------
    MemoryLimitError
        If no method does with `memory_limit`.
    SolverError
        For an unknown or unavailable solver; SolverFailure for one that breaks down or returns nothing usable.
    """
    check_limits(gap, time_limit, memory_limit)
    return attempt(_solved, lmi, solver, gap, time_limit, memory_limit, warm)


def _solved(
    lmi: LMI, solver: str, gap: float, time_limit: float | None, memory_limit: float | None, warm: Solution | None
) -> Solution:
    if solver == "barrier":
        return _interior_point(lmi, gap, time_limit, np.inf if memory_limit is None else memory_limit, warm)
    if solver == "anytime":
        from lipctrl.lmi.solvers import anytime

        return anytime.solve(lmi, time_limit=time_limit, memory_limit=memory_limit, tolerance=gap)
    if solver in SOLVERS:
        from lipctrl.lmi.solvers import cvxpy

        found = cvxpy.solve(lmi, solver, gap=gap, time_limit=time_limit)
        return found if memory_limit is None else replace(found, note=f"{solver} knows no limit of memory")
    raise SolverError(f"Unknown solver {solver!r}.", f"Choose one of {', '.join(SOLVERS)}.")


def check_limits(gap: float, time_limit: float | None, memory_limit: float | None) -> None:
    """Refuse what is no number, or negative, or a gap that is not positive."""
    if not (_is_number(gap) and 0 < gap < np.inf):
        raise LipctrlError(f"gap is {gap!r}.", "Give a relative gap, such as 1e-6.")
    for name, limit in (("time_limit", time_limit), ("memory_limit", memory_limit)):
        if not (limit is None or (_is_number(limit) and limit >= 0)):
            unit = "seconds" if name == "time_limit" else "bytes"
            raise LipctrlError(f"{name} is {limit!r}.", f"Give a number of {unit}, 0 or more, or leave it out.")


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


def _interior_point(
    lmi: LMI, gap: float, time_limit: float | None, memory_limit: float, warm: Solution | None
) -> Solution:
    from lipctrl.lmi.solvers import anytime, barrier, chain, one_layer

    kept = warm if warm is None or warm.kept is None else warm.kept
    needed = []
    if (parts := one_layer.applies(lmi)) is not None:
        needed.append(one_layer.forecast(lmi, parts))
        if needed[-1] <= memory_limit:
            return one_layer.solve(lmi, parts, gap=gap, time_limit=time_limit, warm=kept)
    if (found := chain.recognise(lmi)) is not None:
        needed.append(chain.forecast(found))
        if needed[-1] <= memory_limit:
            return chain.solve(lmi, gap=gap, recognised=found, time_limit=time_limit, warm=kept)
        solution = anytime.solve(lmi, time_limit=time_limit, memory_limit=memory_limit, tolerance=gap, recognised=found)
        return replace(solution, note=f"first-order method: the other would need {min(needed) / 1e6:.3g} MB")
    needed.append(barrier.forecast(lmi))
    if needed[-1] > memory_limit:
        raise MemoryLimitError(
            f"The interior-point method needs {min(needed) / 1e6:.3g} MB; {memory_limit / 1e6:.3g} MB are allowed.",
            "Allow more memory.",
        )
    return barrier.solve(lmi, gap=gap, time_limit=time_limit, warm=kept)
