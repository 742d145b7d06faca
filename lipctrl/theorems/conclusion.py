"""From a solver's suggestion to proved numbers, for theorems that bound one scalar (rho, gamma^2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lipctrl.lmi.lmi import LMI, Scaled, Values
from lipctrl.lmi.one_layer import definite_form
from lipctrl.proofs.verify import holds

Array = NDArray[np.float64]

#: shares of the closed-form feasible point that are mixed into the suggestion, in the order tried
SHARES = (0.0, 1e-9, 1e-6, 1e-3, 0.1, 1.0)


def prove_least(lmi: LMI, values: Values, scalar: str) -> dict[str, Array] | None:
    """Numbers near `values` at which `lmi` is proved, with `scalar` as small as the others allow, or None.

    `scalar` must enter the first inequality as a `Scaled` term with a diagonal matrix. Multipliers below their bound
    are moved to it; the scalar is inflated by 1e-12 * 16^k until the proof succeeds; where the multipliers themselves
    do not do, a little of `lmi.start` is mixed in.
    """
    start = lmi.start
    if start is None:
        return None
    for share in SHARES:
        trial: dict[str, Array] = {}
        for variable in lmi.variables:
            suggested = np.nan_to_num(np.asarray(values[variable.name], dtype=np.float64))
            mixed = (1 - share) * suggested + share * np.asarray(start[variable.name])
            trial[variable.name] = mixed if variable.lower is None else np.maximum(mixed, variable.lower)
        with np.errstate(all="ignore"):
            estimate = _least(lmi, trial, scalar)
        if estimate is None:
            continue
        least, rounding = estimate
        inflated = [least * (1 + 1e-12 * 16.0**k) for k in range(9)] + [least + rounding * 4.0**k for k in range(3)]
        for candidate in inflated:
            trial[scalar] = np.array([candidate])
            if holds(lmi, trial):
                return trial
    return None


def _least(lmi: LMI, values: Values, scalar: str) -> tuple[float, float] | None:
    """lambda_max of S^-1/2 (N R^-1 N' - X) S^-1/2 for M = [X + s S, N; N', R], and the scale of its rounding.

    M is the matrix of the inequality, or the smaller one that is definite with it.
    """
    inequality = lmi.inequalities[0]
    form = definite_form(inequality, {**values, scalar: np.zeros(1)})
    if form is None:
        return None
    ball, parts = form
    M = ball.mid
    supply = np.zeros(len(M))
    if parts is None:
        supply += np.diag(next(t.S.mid for t in inequality.terms if isinstance(t, Scaled) and t.variable == scalar))
    else:
        diagonal = np.diag(dict(parts.supplies)[scalar].mid)
        supply[: len(diagonal)] = diagonal
    inside = supply > 0
    root = np.sqrt(supply[inside])
    X, N, R = M[np.ix_(inside, inside)], M[np.ix_(inside, ~inside)], M[np.ix_(~inside, ~inside)]
    if not np.all(np.diag(R) > 0):
        return None
    try:
        scale = 1 / np.sqrt(np.diag(R))
        half = np.linalg.solve(np.linalg.cholesky(R * scale[:, None] * scale), (N * scale).T)
    except np.linalg.LinAlgError:
        return None
    Q = (half.T @ half - X) / np.outer(root, root)
    if not np.all(np.isfinite(Q)):
        return None
    least = max(float(np.linalg.eigvalsh((Q + Q.T) / 2)[-1]), float(np.abs(Q).max()) * 1e-12, 1e-300)
    return least, len(M) * (float(ball.radius.max()) + 2.0**-1000) / float(root.min()) ** 2
