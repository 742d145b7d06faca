"""From a solver's suggestion to proved numbers, for theorems that bound one scalar (rho, gamma^2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from lipctrl.errors import SolverFailure
from lipctrl.lmi.feasible import inside
from lipctrl.lmi.lmi import LMI, Values
from lipctrl.lmi.solvers import Solution, solve
from lipctrl.proofs.definiteness import taken
from lipctrl.proofs.verify import Pending, Remainder, prove_but

Array = NDArray[np.float64]

#: slack given to every layer (`lipctrl.lmi.feasible.inside`), in the order tried, until one is no better
SLACKS = (0.0, 1e-10, 1e-8)
#: what the scalar may lose relative to the suggestion before more slack is tried
LITTLE = 1e-8
#: shares of the closed-form feasible point that are mixed into the suggestion, tried after these
SHARES = (1e-9, 1e-6, 1e-3, 0.1, 1.0)


def suggest(lmi: LMI, solver: str = "auto", **options: Any) -> Solution:
    """What the solver says or, where it breaks down, the closed-form start of `lmi`, with the reason in its note."""
    try:
        return solve(lmi, solver, **options)
    except SolverFailure as error:
        if lmi.start is None:
            raise
        note = f"closed form instead of {solver}: {error.message}"
        return Solution(lmi.start, np.nan, -np.inf, "feasible", 0, "none", note=note)


def prove_least(lmi: LMI, values: Values, scalar: str) -> dict[str, Array] | None:
    """Numbers near `values` at which `lmi` is proved, with `scalar` as small as the others allow, or None.

    `scalar` must enter the first inequality as a `Scaled` term with a diagonal matrix. Multipliers below their bound
    are moved to it; the scalar is inflated by 1e-12 * 16^k until the proof succeeds; where the multipliers themselves
    do not do, they are moved inside a little, and then a little of `lmi.start` is mixed in.
    """
    if lmi.start is None:
        return None
    suggested = {v.name: np.nan_to_num(np.asarray(values[v.name], dtype=np.float64)) for v in lmi.variables}
    best: _Trial | None = None
    for slack in SLACKS:
        trial = _trial(lmi, inside(lmi.inequalities[0], suggested, slack), scalar)
        if best is not None and (trial is None or trial.least >= best.least):
            break
        best = trial
        if best is not None and best.least <= float(suggested[scalar][0]) * (1 + LITTLE):
            break
    if best is not None and (proved := best.proved()) is not None:
        return proved
    for share in SHARES:
        mixed = {name: (1 - share) * value + share * np.asarray(lmi.start[name]) for name, value in suggested.items()}
        trial = _trial(lmi, mixed, scalar)
        if trial is not None and (proved := trial.proved()) is not None:
            return proved
    return None


@dataclass(frozen=True)
class _Trial:
    """Numbers that are proved but for `scalar`, the least of it by floating point, and the scale of its rounding."""

    values: dict[str, Array]
    scalar: str
    pending: Pending
    least: float
    rounding: float

    def proved(self) -> dict[str, Array] | None:
        inflated = [self.least * (1 + 1e-12 * 16.0**k) for k in range(9)]
        inflated += [self.least + self.rounding * 4.0**k for k in range(3)]
        found = next((candidate for candidate in inflated if self.pending.holds(candidate)), None)
        return None if found is None else {**self.values, self.scalar: np.array([found])}


def _trial(lmi: LMI, values: Values, scalar: str) -> _Trial | None:
    bounded = {
        v.name: np.asarray(values[v.name] if v.lower is None else np.maximum(values[v.name], v.lower))
        for v in lmi.variables
    }
    pending = prove_but(lmi, bounded, scalar)
    if pending is None:
        return None
    with np.errstate(all="ignore"):
        estimate = _least(pending.remainders[0], float(bounded[scalar].item()))
    return None if estimate is None else _Trial(bounded, scalar, pending, *estimate)


def _least(remainder: Remainder, near: float) -> tuple[float, float] | None:
    """The least s with [X + s S, N; N', R] > 0, S diagonal, by floating point: lambda_max of S^-1/2 (N R^-1 N' - X)
    S^-1/2, and the scale of its rounding.

    What the proof takes from the diagonal is taken from X and R before, as it is at s = `near`.
    """
    M = remainder.constant.mid.copy()
    supply = np.zeros(len(M)) if remainder.slope is None else np.diagonal(remainder.slope.mid)
    inside = supply > 0
    whole = remainder.at(near)
    if np.all(np.diagonal(whole.mid) > 0):
        M[np.diag_indices(len(M))] -= taken(whole.mid, whole.rad)
    root = np.sqrt(supply[inside])
    X, N, R = M[np.ix_(inside, inside)], M[np.ix_(inside, ~inside)], M[np.ix_(~inside, ~inside)]
    if not (np.all(np.isfinite(M)) and np.all(np.diag(R) > 0)):
        return None
    try:
        scale = 1 / np.sqrt(np.diag(R))
        half = solve_triangular(np.linalg.cholesky(R * scale[:, None] * scale), (N * scale).T, lower=True)
    except np.linalg.LinAlgError:
        return None
    Q = (half.T @ half - X) / np.outer(root, root)
    if not np.all(np.isfinite(Q)):
        return None
    least = max(float(np.linalg.eigvalsh((Q + Q.T) / 2)[-1]), float(np.abs(Q).max()) * 1e-12, 1e-300)
    return least, len(M) * (float(remainder.constant.radius.max()) + 2.0**-1000) / float(root.min()) ** 2
