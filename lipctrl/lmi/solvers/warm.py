"""Warm starts of chains: an iterate of one network carried over to a similar one.

The dual matrix: the directions of its signals (`signals`) are kept, and scaled to the new network from its inputs to
its outputs. What results is exactly feasible and definite: it bounds the new optimum from below at once. The
multipliers change inversely to the rows v_i, and are raised from the output side until every D_k = T_k - Q_k > 0. The
method mixes mu M^-1 into the dual matrix, so that the start is well centred, and keeps an iterate not too near to the
boundary. Neurons that were linear on the region before take a direction of their own. Where the networks differ too
much the start in closed form is nearer, and taken.
References: Yildirim, Wright, SIAM J. Optim. 12 (2002); Skajaa, Andersen, Ye, Math. Program. Comput. 5 (2013).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError

from lipctrl.lmi.lmi import Array
from lipctrl.lmi.solvers.chain_form import Chain, block_slices
from lipctrl.lmi.solvers.presolve import Reduction, eliminate
from lipctrl.lmi.solvers.signals import directions_of, dual_value, feasible_signals

#: relative raises of the multipliers per layer, of which the one with the least rho is taken
RAISES = (0.03, 0.1, 0.3)
#: rho of the start in closed form, and how much smaller the gap of another start must be
COLD, NEARER = 1.5, 0.5


Labels = NDArray[np.intp]
Neurons = dict[str, Labels]


@dataclass(frozen=True)
class Kept:
    """An iterate (rho, t, Y) in the scaled variables of a reduction, whose layers have these neurons."""

    reduction: Reduction
    neurons: Neurons
    rho: float
    t: Array
    Y: Array


def carry(kept: object, reduction: Reduction, neurons: Neurons) -> tuple[float, Array, Array] | str:
    """A start (rho, t, Y) for `reduction` in its scaled variables, or why there is none."""
    if not isinstance(kept, Kept):
        return "the warm start is of another method"
    old, new = kept.reduction.chain, reduction.chain
    if old.shared != new.shared:
        return "the warm start is of LipSDP-" + ("Layer" if old.shared else "Neuron")
    if kept.neurons.keys() != neurons.keys() or old.sizes[0] != new.sizes[0]:
        return f"the warm start has layers of {old.sizes}, not {new.sizes}"
    #: for each neuron its place in the old layer, or -1
    places = [_places(kept.neurons[name], labels) for name, labels in neurons.items()]
    if any(
        2 * np.count_nonzero(place >= 0) < max(len(place), n) for place, n in zip(places, old.sizes[1:], strict=True)
    ):
        return f"the warm start has layers of {old.sizes}, not {new.sizes}"
    try:
        Z = feasible_signals(new, *_matched(*directions_of(old, kept.Y), places))
        t = np.concatenate(_multipliers(kept, reduction, places))
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


def _places(old: Labels, new: Labels) -> Labels:
    where = {label: place for place, label in enumerate(old.tolist())}
    return np.array([where.get(label, -1) for label in new.tolist()], dtype=np.intp)


def _matched(first: Array, directions: list[Array], places: list[Labels]) -> tuple[Array, list[Array]]:
    """Directions of the new neurons' signals: those of the old, and a dimension of its own for each that is new."""
    extra = sum(int(np.count_nonzero(place < 0)) for place in places)
    wide = first.shape[1]
    out = []
    for P, place in zip(directions, places, strict=True):
        rows = np.zeros((len(place), wide + extra))
        rows[place >= 0, : P.shape[1]] = P[place[place >= 0]]
        fresh = np.flatnonzero(place < 0)
        rows[fresh, wide : wide + len(fresh)] = np.eye(len(fresh))
        wide += len(fresh)
        extra -= len(fresh)
        out.append(rows)
    return np.pad(first, ((0, 0), (0, wide - first.shape[1]))), out


def _multipliers(kept: Kept, reduction: Reduction, places: list[Labels]) -> list[Array]:
    """The old multipliers, inversely as the norms of the rows v_i grew; for neurons that are new, their median."""
    old, shared = kept.reduction, reduction.chain.shared
    parts = block_slices(old.chain.sizes[1:])
    out = []
    for k, (part, place) in enumerate(zip(parts, places, strict=True)):
        here, there = reduction.log_t[k][reduction.live[k]], old.log_t[k][old.live[k]]
        a, b = _squares(old, k), _squares(reduction, k)
        both = place >= 0
        growth = np.full(int(both.sum()), b.sum() / a.sum()) if shared else b[both] / a[place[both]]
        t = np.empty(len(place))
        t[both] = kept.t[part][place[both]] * np.exp(there[place[both]] - here[both]) / np.sqrt(growth)
        t[~both] = np.median(t[both])
        out.append(t)
    return out


def _squares(reduction: Reduction, k: int) -> Array:
    """Squared norms of the rows v_i of a layer before scaling."""
    own = reduction.log_t[k][reduction.live[k]]
    before = np.array(reduction.log_rho) if k == 0 else reduction.log_t[k - 1][reduction.live[k - 1]]
    return np.asarray((np.square(reduction.chain.W[k]) * np.exp(before - own[:, None])).sum(axis=1))


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
