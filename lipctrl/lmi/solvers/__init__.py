"""Solvers of an LMI. They only guess; `lipctrl.proofs` proves."""

from __future__ import annotations

import time
from dataclasses import replace
from numbers import Real

import numpy as np

from lipctrl.errors import LipctrlError, MemoryLimitError, SolverError
from lipctrl.lmi.lmi import LMI, Values
from lipctrl.lmi.solvers.solution import Solution, attempt

__all__ = ["SOLVERS", "Solution", "check_limits", "solve"]

SOLVERS = ("auto", "low_rank", "barrier", "clarabel", "scs", "mosek")

#: neurons of one hidden layer beyond which the method made for it is the faster one
WIDE = 1500


def solve(
    lmi: LMI,
    solver: str = "auto",
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
    solver : {"auto", "low_rank", "barrier", "clarabel", "scs", "mosek"}
        "low_rank" sweeps low-rank dual signals through the network: the fastest for LipSDP, and for nothing else.
        "barrier" is the structured interior-point method of this package, for every LMI. "auto" is "low_rank" for
        LipSDP, and "barrier" for the rest, for very wide single layers, and where the gap is not reached otherwise.
        The others go through CVXPY.
    gap : float
        Relative duality gap at which to stop (for "scs": its tolerance).
    time_limit : float, optional
        Seconds, counted between iterations; then the best feasible iterate is returned, with status "feasible", and
        if there was no time for any, the start of `lmi`. The solvers of CVXPY know their own limits: what they return
        then may be infeasible.
    memory_limit : float, optional
        Bytes. What "low_rank" (with few columns) and "barrier" need is forecast before it is allocated; "auto" does
        with the former. The solvers of CVXPY have no such limit.
    warm : Solution, optional
        Of a similar problem, by "auto" or "low_rank", for these and "barrier". Taken if most neurons are the same and
        it is not far (`Solution.start` says so); it changes the number of iterations, not what is returned.

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
    allowed = np.inf if memory_limit is None else memory_limit
    if solver == "auto":
        return _auto(lmi, gap, time_limit, allowed, warm)
    if solver == "low_rank":
        from lipctrl.lmi.solvers import low_rank

        return low_rank.solve(lmi, gap=gap, time_limit=time_limit, memory_limit=allowed, warm=_kept(warm))
    if solver == "barrier":
        return _from_signals(lmi, gap, time_limit, allowed, warm)
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


def _auto(lmi: LMI, gap: float, time_limit: float | None, memory_limit: float, warm: Solution | None) -> Solution:
    """Low-rank signals; where they do not reach the gap, an interior-point method from near them."""
    from lipctrl.lmi.solvers import feedforward, low_rank

    found = feedforward.recognise(lmi)
    if found is None or (found.form.depth == 1 and found.form.sizes[1] > WIDE):
        return _from_signals(lmi, gap, time_limit, memory_limit, warm)
    began = time.perf_counter()
    first = low_rank.solve(
        lmi, gap=gap, time_limit=time_limit, memory_limit=memory_limit, warm=_kept(warm), recognised=found
    )
    left = None if time_limit is None else began + time_limit - time.perf_counter()
    if first.status == "optimal" or (left is not None and left <= 0 and np.isfinite(first.objective)):
        return first
    try:
        second = _from_signals(lmi, gap, None if left is None else max(left, 0.0), memory_limit, first)
    except MemoryLimitError:
        if not np.isfinite(first.objective):
            raise
        return first
    return _better(replace(second, start=first.start, kept=first.kept), first, gap)


def _from_signals(
    lmi: LMI, gap: float, time_limit: float | None, memory_limit: float, warm: Solution | None
) -> Solution:
    """An interior-point method; with a warm start from near the central path, where low-rank signals lead."""
    from lipctrl.lmi.solvers import feedforward, low_rank
    from lipctrl.lmi.solvers.warm import carried

    if warm is None:
        return _interior_point(lmi, gap, time_limit, memory_limit, None)
    began = time.perf_counter()
    found = feedforward.recognise(lmi)
    signals, words = (None, "cold (no LipSDP)") if found is None else carried(_kept(warm), found)
    known = None
    if found is not None and signals is not None:
        known = low_rank.central(found.form, signals, None if time_limit is None else began + time_limit)
        words = words if known is not None else "cold (the warm start is too far)"
    start = None if found is None or known is None else (found.values(*known[:2]), known[2])

    def left() -> float | None:
        return None if time_limit is None else max(began + time_limit - time.perf_counter(), 0.0)

    solution = replace(_interior_point(lmi, gap, left(), memory_limit, start), start=words, kept=warm.kept)
    if start is None or solution.status != "inaccurate":
        return solution
    second = _interior_point(lmi, gap, left(), memory_limit, None)
    words = f"cold (the warm start failed after {solution.iterations} iterations)"
    return _better(replace(second, start=words), solution, gap)


def _kept(warm: Solution | None) -> object:
    """What a solution keeps for a warm start; of another method, the solution itself, so that it is refused."""
    return warm if warm is None or warm.kept is None else warm.kept


def _better(second: Solution, first: Solution, gap: float) -> Solution:
    """The second solution, with the better bounds of the two."""
    best = min(second, first, key=lambda each: each.objective)
    out = replace(second, values=best.values, objective=best.objective, lower=max(second.lower, first.lower))
    return replace(out, status="optimal") if out.gap <= gap else out


def _interior_point(
    lmi: LMI, gap: float, time_limit: float | None, memory_limit: float, known: tuple[Values, float] | None
) -> Solution:
    """The method for the structure of `lmi`, from its own start or from a known point and lower bound."""
    from lipctrl.lmi.solvers import barrier, chain, one_layer

    start, lower = known or (None, -np.inf)
    needed = []
    if (parts := one_layer.applies(lmi)) is not None:
        needed.append(one_layer.forecast(lmi, parts))
        if needed[-1] <= memory_limit:
            return one_layer.solve(lmi, parts, gap=gap, time_limit=time_limit, start=start, lower=lower)
    if (found := chain.recognise(lmi)) is not None:
        needed.append(chain.forecast(found))
        if needed[-1] <= memory_limit:
            return chain.solve(lmi, gap=gap, recognised=found, time_limit=time_limit, start=start, lower=lower)
    else:
        needed.append(barrier.forecast(lmi))
        if needed[-1] <= memory_limit:
            return barrier.solve(lmi, gap=gap, time_limit=time_limit, start=start, lower=lower)
    raise MemoryLimitError(
        f"The interior-point method needs {min(needed) / 1e6:.3g} MB; {memory_limit / 1e6:.3g} MB are allowed.",
        "Allow more memory, or use solver='low_rank' for LipSDP.",
    )
