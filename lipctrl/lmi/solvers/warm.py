"""Warm starts: the signals of one network carried over to a similar one, neuron by neuron."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lipctrl.lmi.lmi import Array
from lipctrl.lmi.solvers.feedforward import Recognised
from lipctrl.lmi.solvers.normal_form import block_slices


@dataclass(frozen=True)
class Kept:
    """Signals (Z_0, P_1, ..., P_l) of `low_rank` and what their rows belong to."""

    owner: Recognised
    signals: Array


def carried(kept: object, found: Recognised) -> tuple[Array | None, str]:
    """Rows for `found` in the order of its signals, zero for neurons that were linear before; and what to say of it."""
    if kept is None:
        return None, "cold"
    rows = _rows(kept, found)
    return (None, f"cold ({rows})") if isinstance(rows, str) else (rows, "warm")


def _rows(kept: object, found: Recognised) -> Array | str:
    if not isinstance(kept, Kept):
        return "the warm start is of another method"
    old, new = kept.owner.form.sizes, found.form.sizes
    words = f"the warm start has layers of {old}, not {new}"
    if kept.owner.layers != found.layers or old[0] != new[0]:
        return words
    out = np.zeros((sum(new), kept.signals.shape[1]))
    for k, (there, here) in enumerate(zip(block_slices(old), block_slices(new), strict=True)):
        rows = kept.signals[there]
        if k == 0:
            out[here] = rows
            continue
        where = {label: place for place, label in enumerate(kept.owner.labels[k - 1].tolist())}
        places = np.array([where.get(label, -1) for label in found.labels[k - 1].tolist()])
        known = places >= 0
        if 2 * np.count_nonzero(known) < max(len(known), len(rows)):
            return words
        out[here][known] = rows[places[known]]
    return out
