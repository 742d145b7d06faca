"""Phase one: a strictly feasible point of an LMI, or the news that there is none.

    minimise s  s.t.  M_k(y) + s W_k > 0,  s > -1,   W_k = diag |M_k(guess)|

stops as soon as s < 0 (the point is feasible) or the dual value is positive (no point is).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from lipctrl.errors import SolverError
from lipctrl.intervals.ball import Ball
from lipctrl.lmi.lmi import LMI, Array, Scaled, Values, Variable
from lipctrl.lmi.solvers import barrier
from lipctrl.lmi.solvers.solution import attempt

SLACK = "phase-one slack"


def feasible_point(lmi: LMI, guess: Values, *, max_iterations: int = 60) -> dict[str, Array] | None:
    """Values with every inequality of `lmi` strict, found from `guess` (scalar bounds strict there), or None."""
    inequalities = []
    worst = 0.0
    for inequality in lmi.inequalities:
        M = inequality.evaluate(guess).mid
        weight = np.maximum(np.abs(np.diag(M)), 1e-12 * max(float(np.abs(M).max()), 1e-300))
        scale = 1 / np.sqrt(weight)
        worst = max(worst, -float(np.linalg.eigvalsh(M * scale[:, None] * scale)[0]))
        term = Scaled(SLACK, Ball.exact(np.diag(weight)))
        inequalities.append(replace(inequality, terms=(*inequality.terms, term)))
    if worst < 0:
        return {name: np.asarray(value, dtype=np.float64) for name, value in guess.items()}
    phase_one = LMI((*lmi.variables, Variable(SLACK, 1, lower=-1.0)), tuple(inequalities), {SLACK: np.ones(1)})
    start = {**guess, SLACK: np.array([1.5 * worst + 0.1])}

    def decided(values: Mapping[str, Array], lower: float) -> bool:
        return float(values[SLACK][0]) < 0 or lower > 0

    try:
        solution = attempt(barrier.solve, phase_one, gap=1e-6, max_iterations=max_iterations, start=start, stop=decided)
    except SolverError:
        return None
    values = dict(solution.values)
    if float(values.pop(SLACK)[0]) >= 0:
        return None
    return values
