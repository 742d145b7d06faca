"""LipSDP by low-rank dual ascent (`ascent`), with bounds from both sides.

Every sweep bounds the optimum from below. The multipliers of a sweep, raised a little where D_k > 0 asks for it, bound
it from above (`elimination.least_rho`), and the gap says whether a fixed point is the optimum; one that is not gets
more columns. A sweep costs r products with the weights, an upper bound one elimination; no matrix over all signals is
formed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from lipctrl.errors import MemoryLimitError, SolverError
from lipctrl.lmi.lmi import LMI, Array
from lipctrl.lmi.solvers.anderson import MEMORY
from lipctrl.lmi.solvers.ascent import Ascent
from lipctrl.lmi.solvers.elimination import least_rho
from lipctrl.lmi.solvers.feedforward import Recognised, recognise
from lipctrl.lmi.solvers.normal_form import Feedforward
from lipctrl.lmi.solvers.signals import MARGIN
from lipctrl.lmi.solvers.solution import Solution
from lipctrl.lmi.solvers.warm import Kept, carried

#: columns at first, by the number of signals, how many are added at once, and the most
RANKS, MORE, MOST = ((150, 8), (3000, 16), (np.inf, 24)), 8, 64
#: residuals at which the gap is looked at first, and below which rounding has the last word
FIRST_LOOK, LEAST = 1e-4, 1e-12
#: a gap so many times the residual belongs to another fixed point than the optimum
STUCK = 1e3
#: what multipliers are raised by: first in units of the residual, at least, and at most
RAISED, LEAST_RAISED, MOST_RAISED = 0.1, 1e-13, 0.2
#: a start with a larger residual is worse than a random one
FAR = 0.3
#: near the central path: residual of the signals, and what rho and the multipliers are raised by in units of it
CENTRAL, INSIDE = 1e-5, 10.0


@dataclass(frozen=True)
class Outcome:
    """Both bounds, the multipliers of the upper one (rho = inf: none), the signals (Z_0, P), and how it ended."""

    rho: float
    t: Array
    lower: float
    signals: Array
    status: str
    sweeps: int
    warm: bool


def solve(
    lmi: LMI,
    *,
    gap: float = 1e-7,
    time_limit: float | None = None,
    memory_limit: float = np.inf,
    warm: object = None,
    recognised: Recognised | None = None,
) -> Solution:
    """Minimise the objective of a LipSDP of a feedforward network.

    Parameters
    ----------
    lmi : LMI
    gap : float
        Relative duality gap at which to stop.
    time_limit : float, optional
        Seconds.
    memory_limit : float
        Bytes; it limits the number of columns.
    warm : object, optional
        `Solution.kept` of a similar problem.
    recognised : Recognised, optional
        What `feedforward.recognise` returned for `lmi`.

    Raises
    ------
    SolverError
        If `lmi` is not of this structure.
    MemoryLimitError
    """
    deadline = None if time_limit is None else time.perf_counter() + time_limit
    found = recognised or recognise(lmi)
    if found is None:
        raise SolverError("The LMI is not LipSDP of a feedforward network.", "Use solver='auto' or 'barrier'.")
    signals, words = carried(warm, found)
    least = _rank(sum(found.form.sizes)) if signals is None else signals.shape[1]
    most = next((r for r in range(max(MOST, least), least - 1, -1) if forecast(found.form, r) <= memory_limit), 0)
    if not most:
        raise MemoryLimitError(
            f"The low-rank method needs {forecast(found.form, least) / 1e6:.3g} MB; "
            f"{memory_limit / 1e6:.3g} MB are allowed.",
            "Allow more memory.",
        )
    outcome = maximise(found.form, gap=gap, start=signals, deadline=deadline, most=most)
    if signals is not None and not outcome.warm:
        words = "cold (the warm start is too far)"
    kept = Kept(found, outcome.signals)
    values = found.values(outcome.rho, outcome.t)
    return Solution(values, outcome.rho, outcome.lower, outcome.status, outcome.sweeps, "low_rank", words, kept=kept)


def maximise(
    form: Feedforward,
    *,
    gap: float,
    start: Array | None = None,
    deadline: float | None = None,
    max_sweeps: int = 1500,
    most: int = MOST,
) -> Outcome:
    """Sweep until upper and lower bound agree to the relative `gap`.

    Parameters
    ----------
    form : Feedforward
    gap : float
    start : array, shape (n_0 + ... + n_l, r), optional
        Rows (Z_0, P_1, ..., P_l) up to factors, zero where unknown; by default, and if it is far away, random ones.
    deadline : float, optional
        Of `time.perf_counter`.
    max_sweeps : int
    most : int
        Columns.
    """
    rng = np.random.default_rng(0)
    ascent, warm = _begin(form, start, rng)
    upper, best = np.inf, ascent.t
    first = max(FIRST_LOOK, 0.3 * gap)
    look, status = first, "feasible"
    while True:
        ended = ascent.run(look, deadline, max_sweeps)
        rho, t = _upper_bound(ascent)
        if rho < upper:
            upper, best = rho, t
        if upper - ascent.lower <= gap * upper < np.inf:
            status = "optimal"
            break
        if ended or ascent.residual <= LEAST:
            break
        found = rho / ascent.value - 1
        if found <= STUCK * ascent.residual:
            look = max(LEAST, ascent.residual * float(np.clip(0.3 * gap / found, 1e-3, 0.3)))
            continue
        more = min(MORE, min(most, sum(form.sizes)) - ascent.current.shape[1])
        if more <= 0:
            break
        ascent.widen(rng, more)
        look = first
    return Outcome(upper * (1 + MARGIN), best, ascent.lower * (1 - MARGIN), ascent.current, status, ascent.sweeps, warm)


def central(
    form: Feedforward, start: Array | None, deadline: float | None, max_sweeps: int = 500
) -> tuple[float, Array, float] | None:
    """A strictly feasible (rho, t) near the central path, for an interior-point method, and a lower bound; or None."""
    ascent, _ = _begin(form, start, np.random.default_rng(0))
    ascent.run(CENTRAL, deadline, max_sweeps)
    share = INSIDE * ascent.residual
    while share < MOST_RAISED:
        t = ascent.raised(share)
        rho = (1 + share) * least_rho(form, t)
        if np.isfinite(rho):
            return rho, t, ascent.lower * (1 - MARGIN)
        share *= 3
    return None


def forecast(form: Feedforward, columns: int = MOST) -> int:
    """Bytes that :func:`maximise` needs at most, the weights apart."""
    order, widest = sum(form.sizes), max(form.sizes)
    over = max(sum(form.sizes[j] for j in W) for W in form.W)
    return 8 * ((2 * MEMORY + 12) * columns * order + 4 * (widest + over) ** 2)


def _begin(form: Feedforward, start: Array | None, rng: np.random.Generator) -> tuple[Ascent, bool]:
    """The ascent, and whether it is from `start`."""
    order = sum(form.sizes)
    if start is not None:
        ascent = Ascent(form, start)
        ascent.advance()
        if ascent.residual <= FAR:
            return ascent, True
    return Ascent(form, rng.standard_normal((order, _rank(order)))), False


def _rank(order: int) -> int:
    """Columns at first."""
    return min(order, next(rank for most, rank in RANKS if order <= most))


def _upper_bound(ascent: Ascent) -> tuple[float, Array]:
    """The best bound from the present multipliers, raised by a share about the residual, and by ten times more."""
    best = (np.inf, ascent.t)
    share = max(RAISED * ascent.residual, LEAST_RAISED)
    while share < MOST_RAISED:
        t = ascent.raised(share)
        rho = least_rho(ascent.form, t)
        if rho >= best[0] and np.isfinite(best[0]):
            break
        best = min(best, (rho, t), key=lambda each: each[0])
        share *= 10
    return best
