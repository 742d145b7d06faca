"""Strictly feasible points of LipSDP: one in closed form, for any slopes and any linear shift, and one near any point.

Write c = (alpha + beta)/2, r = (beta - alpha)/2 per neuron and w~ = w - c v. Then 2 (w - alpha v)(w - beta v) = 2
w~^2 - 2 r^2 v^2,
and for a quadratic form Q in (earlier signals, w~_k), with 2 t_k > lambda_max of its last block, the Schur complement

    Q  <-  Q_ee + Q_ew (2 t_k I - Q_ww)^-1 Q_we + 2 t_k v_k' r^2 v_k

is what is left for the earlier layers; at the end rho > lambda_max(D_y^-1 Q D_y^-1). For slopes [0, 1] this is the
recursion
t_i = product of squared spectral norms of all later layers, tightened.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lipctrl.lmi.lmi import Factor, MatrixInequality, Multiplier, Values
from lipctrl.lmi.multipliers import Signals

Array = NDArray[np.float64]


def feasible_multipliers(
    signals: Signals, output: Array, input_weight: Array, inflation: float = 2.0
) -> tuple[list[float], float]:
    """Scalars t_1, ..., t_l and rho with M(rho, t) > 0.

    Parameters
    ----------
    signals : Signals
    output : array, shape (n_z, sum of signals.sizes)
        The weighted output whose gain is bounded.
    input_weight : array, shape (n_d,)
    inflation : float
        Factor > 1 by which t_k and rho exceed what is needed. Near 1 the point is close to the boundary of the cone,
        and an interior-point method that starts there takes twice the iterations on trained networks, or fails.

    Returns
    -------
    multipliers : list of float, 0 for layers without nonlinear neurons
    rho : float
    """
    sizes = signals.sizes
    starts = np.concatenate([[0], np.cumsum(sizes)])
    spans = [np.arange(a, b) for a, b in pairwise(starts)]
    #: Q lies on some blocks, of which few go back behind the last layer
    blocks = [j for j, span in enumerate(spans) if np.any(output[:, span])]
    Q: Array | None = None
    floor = 1e-12 * float(np.max(np.sum(output**2, axis=0))) or 1e-24
    multipliers = [0.0] * (len(sizes) - 1)
    for k in range(len(sizes) - 1, 0, -1):
        if sizes[k] == 0:
            continue
        A, B = signals.A[k - 1], signals.B[k - 1]
        before = sorted({j for j in (0, *blocks, *A.blocks, *B.blocks) if j < k and sizes[j]})
        a, b = _rows(A, before, sizes), _rows(B, before, sizes)
        cv, rv = -(a + b) / 2, (a - b) / 2
        if Q is None:
            # Q = Z'Z with few rows: (2 t I - Zw'Zw)^-1 through the small matrix I - Zw Zw' / 2t
            Zw = output[:, spans[k]]
            Ze = output[:, np.concatenate([spans[j] for j in before])] + Zw @ cv
            small = Zw @ Zw.T
            t = inflation * max(float(np.linalg.eigvalsh(small)[-1]), floor)
            Q = Ze.T @ np.linalg.solve(np.eye(len(small)) - small / (2 * t), Ze) + 2 * t * rv.T @ rv
        else:
            Q = _spread(Q, blocks, [*before, k], sizes)
            e, w = slice(0, len(Q) - sizes[k]), slice(len(Q) - sizes[k], len(Q))
            t = inflation * max(float(np.linalg.eigvalsh(Q[w, w])[-1]), floor)
            Q = _absorb(*_centred(Q, e, w, cv), Q[w, w], rv, t)
        Q = (Q + Q.T) / 2
        blocks = before
        multipliers[k - 1] = t
    if Q is None:
        Q = output.T @ output
    weighted = Q / np.outer(input_weight, input_weight)
    rho = inflation * max(float(np.linalg.eigvalsh(weighted)[-1]), 0.0)
    return multipliers, max(rho, 1e-6 * float(np.abs(weighted).max()), floor)


def _rows(factor: Factor, blocks: Sequence[int], sizes: Sequence[int]) -> Array:
    """Midpoints of a factor over some blocks."""
    return np.hstack(
        [factor.blocks[j].mid if j in factor.blocks else np.zeros((factor.rows, sizes[j])) for j in blocks]
    )


def _spread(Q: Array, old: Sequence[int], new: Sequence[int], sizes: Sequence[int]) -> Array:
    """Q on the blocks `old` as a matrix on the blocks `new`, which are more."""
    starts = dict(zip(new, np.cumsum([0, *(sizes[j] for j in new)]), strict=False))
    place = np.concatenate([np.arange(starts[j], starts[j] + sizes[j]) for j in old])
    out = np.zeros((sum(sizes[j] for j in new),) * 2)
    out[np.ix_(place, place)] = Q
    return out


def inside(inequality: MatrixInequality, values: Values, share: float) -> dict[str, Array]:
    """Multipliers of layer k times (1 + share)^(l + 1 - k), at which every layer has a slack of about that share.

    Let D_k = T_k - Q_k be the Schur complements from the output side, Q_k-1 = W'(c T D^-1 T c - (c^2 - 1) T) W
    (`lipctrl.lmi.solvers.normal_form`). Where they are positive definite at T, and s = 1 + share, those at T_k
    s^(l+1-k) are at least s^(l-k) (share T_k + D_k): by induction Q_k grows by at most s^(l-k), for (s T - Q)^-1 s <=
    (T - Q)^-1. So rho grows by the factor s^l. An optimal point has no slack, hence none that survives rounding.
    """
    terms = [term for term in inequality.terms if isinstance(term, Multiplier)]
    terms.sort(key=lambda term: max(term.A.blocks, default=0), reverse=True)
    out = {name: np.asarray(value, dtype=np.float64) for name, value in values.items()}
    with np.errstate(over="ignore"):
        for k, term in enumerate(terms, 1):
            out[term.variable] = np.asarray(values[term.variable]) * (1 + share) ** k
    return out


def balanced_multipliers(signals: Signals, Q: Array) -> list[float]:
    """Scalars t_1, ..., t_l for a loop, where Q is V+ - V over all signals; a start that need not be feasible.

    For each layer 2 t - q = |Q_ew| / |r v|, q = lambda_max(Q_ww), balances the two terms of the Schur complement.
    """
    sizes = signals.sizes
    starts = np.concatenate([[0], np.cumsum(sizes)])
    multipliers = [0.0] * (len(sizes) - 1)
    floor = 1e-12 * float(np.abs(Q).max()) or 1e-24
    for k in range(len(sizes) - 1, 0, -1):
        if sizes[k] == 0:
            continue
        e, w = slice(0, starts[k]), slice(starts[k], starts[k + 1])
        a, b = signals.A[k - 1].dense(sizes[:k]), signals.B[k - 1].dense(sizes[:k])
        cv, rv = -(a + b) / 2, (a - b) / 2
        Qew, Qee = _centred(Q, e, w, cv)
        coupling, spread = float(np.linalg.norm(Qew.T @ Qew, 2)) ** 0.5, float(np.linalg.norm(rv @ rv.T, 2)) ** 0.5
        q = max(float(np.linalg.eigvalsh(Q[w, w])[-1]), 0.0)
        t = (q + max(coupling / max(spread, 1e-300), 0.1 * q, floor)) / 2
        Q = _absorb(Qew, Qee, Q[w, w], rv, t)
        Q = (Q + Q.T) / 2
        multipliers[k - 1] = t
    return multipliers


def _centred(Q: Array, e: slice, w: slice, cv: Array) -> tuple[Array, Array]:
    """The blocks (e, w~) and (e, e) of Q after w = w~ + c v."""
    Qew = Q[e, w] + cv.T @ Q[w, w]
    return Qew, Q[e, e] + cv.T @ Q[w, e] + Qew @ cv


def _absorb(Qew: Array, Qee: Array, Qww: Array, rv: Array, t: float) -> Array:
    """What is left for the earlier signals: Q_ee + Q_ew (2t - Q_ww)^-1 Q_we + 2t v' r^2 v."""
    return Qee + Qew @ np.linalg.solve(2 * t * np.eye(len(Qww)) - Qww, Qew.T) + 2 * t * rv.T @ rv
