"""Dual points that are feasible by construction: signals that run through the layers of a network.

With rows Z_k (one per signal of block k), V_k = sum_j W_kj Z_j and P_k = Z_k - c V_k, the matrix Y = Z Z' satisfies

    tr Y_00 = |Z_0|^2          p_i'Y p_i - v_i'Y v_i = |P_i|^2 - |V_i|^2

so that Y is feasible if |Z_0| = 1 and |P_i| = |V_i| for every neuron (in common: for every layer), whatever the
directions of the rows of P. Then |U|^2, U = sum_j C_j Z_j, bounds the optimum from below.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from lipctrl.lmi.lmi import Array
from lipctrl.lmi.solvers.normal_form import Feedforward

#: relative margin of both bounds for rounding
MARGIN = 1e-12


@dataclass(frozen=True)
class Signals:
    """A feasible dual point.

    Attributes
    ----------
    rows : array, shape (n_0 + ... + n_l, r)
        (Z_0, P_1, ..., P_l).
    Z : list of arrays, shape (n_k, r)
    V : list of arrays, shape (n_k, r), of layers 1..l
    entering : list of arrays, shape (n_k,)
        |V_i|^2.
    output : array, shape (m, r)
        U.
    """

    rows: Array
    Z: list[Array]
    V: list[Array]
    entering: list[Array]
    output: Array

    @property
    def value(self) -> float:
        """|U|^2."""
        return float(np.vdot(self.output, self.output))


def feasible_signals(form: Feedforward, directions: Array) -> Signals:
    """The feasible point in given directions, rows (Z_0, P_1, ..., P_l) up to factors; zero stands for that of V_k."""
    rows = np.empty_like(directions)
    first = directions[form.blocks[0]]
    Z, V, entering = [first / np.linalg.norm(first)], [], []
    rows[form.blocks[0]] = Z[0]
    for W, c, plain, block in zip(form.W, form.c, form.plain, form.blocks[1:], strict=True):
        own = total(part @ Z[j] for j, part in W.items())
        P, v = directions[block], np.einsum("ij,ij->i", own, own)
        p = np.einsum("ij,ij->i", P, P)
        if not np.all(p > 0):
            P = np.where((p > 0)[:, None], P, own)
            p = np.where(p > 0, p, np.where(v > 0, v, 1.0))
        factor = np.full(len(p), np.sqrt(v.sum() / p.sum())) if form.shared else np.sqrt(v / p)
        P = np.multiply(factor[:, None], P, out=rows[block])
        Z.append(P + own if plain else P + c[:, None] * own)
        V.append(own)
        entering.append(v)
    return Signals(rows, Z, V, entering, total(C @ Z[j] for j, C in form.C.items()))


def total(parts: Iterable[Array]) -> Array:
    """The sum of one array or more."""
    first, *others = parts
    return sum(others, first)
