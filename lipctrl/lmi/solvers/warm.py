"""Warm starts of chains: an iterate of one network carried over to a similar one.

The dual matrix: the directions of its signals (`signals`) are kept, and scaled to the new network from its inputs to
its outputs. What results is exactly feasible and definite: it bounds the new optimum from below at once. The
multipliers change inversely to the rows v_i, and are raised from the output side until every D_k = T_k - Q_k > 0. The
method mixes mu M^-1 into the dual matrix, so that the start is well centred, and keeps an iterate not too near to the
boundary. Sizes must agree; where the networks differ too much the start in closed form is nearer, and taken.
References: Yildirim, Wright, SIAM J. Optim. 12 (2002); Skajaa, Andersen, Ye, Math. Program. Comput. 5 (2013).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError

from lipctrl.lmi.lmi import Array
from lipctrl.lmi.solvers.chain_form import Chain, block_slices
from lipctrl.lmi.solvers.presolve import Reduction, eliminate
from lipctrl.lmi.solvers.signals import directions_of, dual_value, feasible_signals

#: relative raises of the multipliers per layer, of which the one with the least rho is taken
RAISES = (0.03, 0.1, 0.3)
#: rho of the start in closed form, and how much smaller the gap of another start must be
COLD, NEARER = 1.5, 0.5


@dataclass(frozen=True)
class Kept:
    """An iterate (rho, t, Y) in the scaled variables of a reduction."""

    reduction: Reduction
    rho: float
    t: Array
    Y: Array


def carry(kept: object, reduction: Reduction) -> tuple[float, Array, Array] | str:
    """A start (rho, t, Y) for `reduction` in its scaled variables, or why there is none."""
    if not isinstance(kept, Kept):
        return "the warm start is of another method"
    old, new = kept.reduction.chain, reduction.chain
    if old.shared != new.shared:
        return "the warm start is of LipSDP-" + ("Layer" if old.shared else "Neuron")
    if old.sizes != new.sizes:
        return f"the warm start has layers of {old.sizes}, not {new.sizes}"
    try:
        Z = feasible_signals(new, *directions_of(old, kept.Y))
        t = kept.t * np.exp(_logs(kept.reduction) - _logs(reduction)) / _growth(kept.reduction, reduction)
        rho = kept.rho * float(np.exp(kept.reduction.log_rho - reduction.log_rho))
        if not (np.all(t > 0) and rho > 0):
            return "the warm start is no iterate"
        trials = [_raised(new, rho, t, share) for share in RAISES]
    except (LinAlgError, ValueError):
        return "the warm start is too far"
    best = min(trials, key=lambda trial: trial[0])
    lower = dual_value(new, Z)
    if not best[0] - lower < NEARER * (COLD - lower):
        return "the warm start is too far"
    stacked = np.concatenate(Z)
    return *best, stacked @ stacked.T


def _logs(reduction: Reduction) -> Array:
    return np.concatenate([s[index] for s, index in zip(reduction.log_t, reduction.live, strict=True)])


def _growth(old: Reduction, new: Reduction) -> Array:
    """Ratio of the norms of the rows v_i; in common, of the layers."""
    parts = []
    for a, b in zip(_sizes(old), _sizes(new), strict=True):
        ratio = np.sqrt(b / a)
        parts.append(np.full(len(a), np.sqrt(b.sum() / a.sum())) if new.chain.shared else ratio)
    return np.concatenate(parts)


def _sizes(reduction: Reduction) -> list[Array]:
    """Squared norms of the rows v_i before scaling."""
    logs = [np.full(reduction.chain.sizes[0], reduction.log_rho)]
    logs += [s[index] for s, index in zip(reduction.log_t, reduction.live, strict=True)]
    return [
        np.square(W) @ np.exp(before) * np.exp(-own)
        for W, own, before in zip(reduction.chain.W, logs[1:], logs[:-1], strict=True)
    ]


def _raised(chain: Chain, rho: float, t: Array, share: float) -> tuple[float, Array]:
    """(rho, t) with M > 0: multipliers raised by 1 + share per layer, and by more where D_k asks for it."""
    Q, out, factor = chain.G, [], 1.0
    parts = block_slices(chain.sizes[1:])
    for W, c, part in zip(reversed(chain.W), reversed(chain.c), reversed(parts), strict=True):
        factor *= 1 + share
        own = t[part] * factor
        root = 1 / np.sqrt(own)
        largest = float(np.linalg.eigvalsh(Q * root[:, None] * root)[-1])
        own = own * max(1.0, (1 + share) * largest)
        out.append(own)
        Q = eliminate(Q, W, c, own)
    least = float(np.linalg.eigvalsh(Q)[-1])
    return max(rho * factor, least * (1 + share)), np.concatenate(out[::-1])
