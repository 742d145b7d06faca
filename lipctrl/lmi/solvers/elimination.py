"""Elimination of the layers of a network from the output side, and its least rho at given multipliers.

With Q_ij = (C'C)_ij to begin with and D = T_k - Q_kk > 0, layer k = l, ..., 1 leaves

    S_j = c T W_kj + Q_kj        Q_ij += S_i' D^-1 S_j - W_ki' (c^2 - 1) T W_kj        (i, j < k)

and rho = lambda_max(Q_00) (normal form of `normal_form`). While Q is still C'C with few rows, D^-1 comes from
I - C_k T^-1 C_k' (Woodbury). What an interior-point method needs on top, D_k^-1 and J_k, `chain_factor` keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations_with_replacement

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_triangular

from lipctrl.lmi.lmi import Array
from lipctrl.lmi.solvers.normal_form import Blocks, Feedforward, block_slices

Symmetric = dict[tuple[int, int], Array]
"""Blocks (i, j), i <= j."""


def least_rho(form: Feedforward, t: Array) -> float:
    """The least rho for which M(rho, t) >= 0; inf if there is none."""
    if not np.all(np.isfinite(t)):
        return np.inf
    Q: Symmetric = {}
    factored = True
    parts = block_slices(form.sizes[1:])
    for k in range(form.depth, 0, -1):
        W, c, part = form.W[k - 1], form.c[k - 1], t[parts[k - 1]]
        try:
            if factored and (k not in form.C or 2 * len(form.C[k]) < len(part)):
                if k in form.C:
                    factored = False
                    Q = _products({j: C for j, C in form.C.items() if j < k}, {})
                Q = _reduced(Q, W, c, part, k, _first_rows(W, c, part, form.C, k))
            else:
                if factored:
                    factored = False
                    Q = _products(form.C, Q)
                Q = eliminated(Q, W, c, part, k)
        except LinAlgError:
            return np.inf
    rest = Q.get((0, 0))
    if rest is None or not np.all(np.isfinite(rest)):
        return np.inf
    return float(np.linalg.eigvalsh((rest + rest.T) / 2)[-1])


def eliminated(Q: Mapping[tuple[int, int], Array], W: Blocks, c: Array, t: Array, k: int) -> Symmetric:
    """Q without layer k, which has rows W, centres c and multipliers t.

    Raises
    ------
    LinAlgError
        If D is not positive definite.
    """
    return _reduced(Q, W, c, t, k, [_rows(W, c, t, Q, k)])


def _reduced(
    Q: Mapping[tuple[int, int], Array], W: Blocks, c: Array, t: Array, k: int, halves: list[Blocks]
) -> Symmetric:
    """Q on the blocks before k, with S' D^-1 S as the sum of the Gram matrices of `halves`."""
    out = {key: value for key, value in Q.items() if key[1] < k}
    for half in halves:
        out = _products(half, out)
    if np.any(c != 1):
        out = _products(W, out, -(c**2 - 1) * t)
    return out


def _products(rows: Blocks, into: Symmetric, weight: Array | None = None) -> Symmetric:
    """Q_ij + rows_i' weight rows_j for i <= j."""
    for i, j in combinations_with_replacement(sorted(rows), 2):
        left = rows[i] if weight is None else weight[:, None] * rows[i]
        product = left.T @ rows[j]
        into[i, j] = into[i, j] + product if (i, j) in into else product
    return into


def _rows(W: Blocks, c: Array, t: Array, Q: Mapping[tuple[int, int], Array], k: int) -> Blocks:
    """L^-1 S_j with D = L L'."""
    D = np.diag(t)
    if (k, k) in Q:
        D = D - Q[k, k]
    L = cholesky(D, lower=True, overwrite_a=True, check_finite=False)
    before = {j for j in range(k) if j in W or (j, k) in Q}
    S = {j: np.zeros((len(t), W[j].shape[1] if j in W else len(Q[j, k]))) for j in before}
    for j, rows in S.items():
        if j in W:
            rows += (c * t)[:, None] * W[j]
        if (j, k) in Q:
            rows += Q[j, k].T
    return {j: solve_triangular(L, rows, lower=True, check_finite=False) for j, rows in S.items()}


def _first_rows(W: Blocks, c: Array, t: Array, C: Blocks, k: int) -> list[Blocks]:
    """X_j = T^-1/2 S_j and E X_j: S' D^-1 S = X'X + (EX)'(EX) with E = L^-1 B, B = C_k T^-1/2, L L' = I - B B'."""
    if not np.all(t > 0):
        raise LinAlgError("A multiplier is not positive.")
    root = np.sqrt(t)
    X = {j: (c * root)[:, None] * V for j, V in W.items()}
    if k not in C:
        return [X]
    B = C[k] / root
    for j in C:
        if j < k:
            X[j] = X[j] + B.T @ C[j] if j in X else B.T @ C[j]
    L = cholesky(np.eye(len(B)) - B @ B.T, lower=True, check_finite=False)
    E = solve_triangular(L, B, lower=True, check_finite=False)
    return [X, {j: E @ rows for j, rows in X.items()}]
