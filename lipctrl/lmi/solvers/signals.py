"""Dual points of a chain that are feasible by construction: signals that run through its layers.

With rows Z_k (one per signal of block k) and V_k = W_k Z_k-1, P_k = Z_k - c V_k, the matrix Y = Z Z' satisfies

    tr Y_00 = |Z_0|^2          F_i(Y) = p_i'Y p_i - v_i'Y v_i = |P_i|^2 - |V_i|^2

so that Y is feasible if |Z_0| = 1 and |P_i| = |V_i| for every neuron (in common: for every layer), whatever the
directions of the rows of P. Then |Z_l' G Z_l| bounds the optimum from below.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lipctrl.lmi.lmi import Array
from lipctrl.lmi.solvers.chain_form import Chain

#: relative margin for the rounding of a dual value
MARGIN = 1e-12


def feasible_signals(chain: Chain, first: Array, directions: Sequence[Array]) -> list[Array]:
    """Rows Z_0..Z_l of a feasible dual point.

    Parameters
    ----------
    chain : Chain
    first : array, shape (n_0, r)
        Z_0 up to a factor.
    directions : sequence of arrays, shape (n_k, r)
        P_k up to factors; a zero row stands for that of V_k.
    """
    Z = [first / np.linalg.norm(first)]
    for W, c, direction in zip(chain.W, chain.c, directions, strict=True):
        V = W @ Z[-1]
        P = np.where(np.any(direction != 0, axis=1)[:, None], direction, V)
        p, v = np.einsum("ij,ij->i", P, P), np.einsum("ij,ij->i", V, V)
        ratio = np.full(len(p), v.sum() / p.sum()) if chain.shared else v / np.where(p > 0, p, 1.0)
        Z.append(c[:, None] * V + np.sqrt(ratio)[:, None] * P)
    return Z


def dual_value(chain: Chain, Z: Sequence[Array]) -> float:
    """<G, Y_ll>, less a margin for rounding."""
    return float(np.vdot(chain.G @ Z[-1], Z[-1])) * (1 - MARGIN)
