"""Primal-dual interior-point method (HKM, Mehrotra) on the normal form of a chain.

    minimise rho  s.t.  M(rho, t) > 0         maximise <G, Y_ll>  s.t.  tr Y_00 = 1,  F(Y) = 0,  Y >= 0

Per iteration, with P = M^-1, mu = <M, Y>/N and f the unit vector of rho:

    predictor    H d_a = -f                        dY_a = -Y - sym(P dM_a Y)
    corrector    H d = sigma mu F(P) - f - F(C)    dY = sigma mu P - Y - sym(P dM Y) - C,  C = sym(P dM_a dY_a)

Every iterate (`chain_iterate`) has M > 0 and bounds the optimum from above, so that the method can be stopped at any
time. The first iterates of larger chains are computed in single precision, at half the cost.
References: Helmberg, Rendl, Vanderbei, Wolkowicz, SIAM J. Optim. 6 (1996); Mehrotra, SIAM J. Optim. 2 (1992).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.linalg import LinAlgError

from lipctrl.errors import SolverError
from lipctrl.lmi.lmi import Array
from lipctrl.lmi.solvers.chain_iterate import Iterate
from lipctrl.lmi.solvers.chain_newton import PIECE
from lipctrl.lmi.solvers.normal_form import Feedforward

#: steps without an improvement of the gap by a hundredth after which rounding has the last word
PATIENCE = 6
#: relative <M, Y> up to which iterates are computed in single precision, which has its limit at about 1e-4
SINGLE = 1e-2
SINGLE_ITERATIONS = 30
#: orders below which single precision is not faster
SMALLEST_SINGLE = 200


def forecast(sizes: Sequence[int], shared: bool) -> int:
    """Bytes that :func:`minimise` needs at most: mostly matrices over all signals."""
    N, n = sum(sizes), sum(sizes[1:])
    cliques = sum((a + b) ** 2 for a, b in pairwise(sizes))
    blocks = sum(a * (a + b) for a, b in pairwise((*sizes, 0)))
    unknowns = 1 + (len(sizes) - 1 if shared else n)
    passing = 9 * (PIECE + 2 * n) + max(a + b for a, b in pairwise(sizes)) ** 2 + 2 * max(sizes) * N + 40 * N
    return 8 * (9 * N * N + 5 * n * N + 2 * unknowns**2 + 3 * cliques + 4 * blocks + passing)


@dataclass(frozen=True)
class Outcome:
    """The best iterate, the best dual value, and how it ended."""

    rho: float
    t: Array
    lower: float
    status: str
    iterations: int


def minimise(
    chain: Feedforward,
    *,
    gap: float,
    max_iterations: int,
    start: tuple[float, Array] | None = None,
    lower: float = -np.inf,
    stop: Callable[[float, Array, float], bool] | None = None,
    deadline: float | None = None,
) -> Outcome:
    """Run the method; `start` is a strictly feasible (rho, t), by default (1.5, 1); `lower` a known bound.

    Raises
    ------
    SolverError
        If the start is not strictly feasible.
    """
    cold = (1.5, np.ones(sum(chain.sizes[1:])))
    status, iterations = "feasible", 0
    if start is None and stop is None and sum(chain.sizes) >= SMALLEST_SINGLE:
        state, iterations = _in_single_precision(chain, cold, gap, max_iterations, deadline)
    else:
        state = Iterate(chain, *(start or cold))
    state.lower = max(state.lower, lower)
    idle, least_gap = 0, np.inf
    while True:
        if state.upper - state.lower <= gap * state.upper:
            status = "optimal"
            break
        if iterations == max_iterations:
            break
        if stop is not None and stop(state.upper, state.best, state.lower):
            break
        if deadline is not None and time.perf_counter() > deadline:
            break
        try:
            if not state.advance():
                status = "inaccurate"
                break
        except (LinAlgError, ValueError):
            status = "inaccurate"
            break
        iterations += 1
        idle = 0 if not np.isfinite(least_gap) or state.upper - state.lower < 0.99 * least_gap else idle + 1
        least_gap = min(least_gap, state.upper - state.lower)
        if idle == PATIENCE:
            status = "inaccurate"
            break
    if not np.isfinite(state.lower):
        state.lower = state.few_columns()
    return Outcome(state.upper, state.best, state.lower, status, iterations)


def _in_single_precision(
    chain: Feedforward, cold: tuple[float, Array], gap: float, max_iterations: int, deadline: float | None
) -> tuple[Iterate, int]:
    """The iterate that single precision reaches, in double precision, and the number of iterations."""
    state = Iterate(chain.astype(np.float32), *cold)
    iterations, idle, least, upper = 0, 0, np.inf, np.inf
    while iterations < min(max_iterations, SINGLE_ITERATIONS) and idle < 3 and least > max(SINGLE, gap):
        if deadline is not None and time.perf_counter() > deadline:
            break
        try:
            if not state.advance():
                break
        except (LinAlgError, ValueError):
            break
        iterations += 1
        stalled = np.isfinite(least) and state.complementarity >= 0.9 * least and state.upper >= 0.99 * upper
        idle = idle + 1 if stalled else 0
        least, upper = min(least, state.complementarity), state.upper
    rho, t, Y = state.rho, state.t.astype(np.float64), state.Y.astype(np.float64)
    del state
    for share in (0.0, 1e-6, 1e-4, 1e-2, 1.0):
        try:
            point = (rho + share * (cold[0] - rho), t + share * (cold[1] - t))
            return Iterate(chain, *point, Y if share < 1 else None), iterations
        except SolverError:
            continue
    raise SolverError("The closed-form start of the network is not feasible.", "Use method='product'.")
