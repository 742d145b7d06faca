"""Definiteness of a large sparse matrix through small dense ones: its blocks are eliminated, the last ones first.

Theorem. Let M be symmetric over blocks, and C_1, ..., C_r symmetric matrices, C_j in the rows and columns of the blocks
K_j, every block in some K_j. If every C_j > 0 and M is their sum, each padded with zeros, then M > 0.
Proof. x'Mx is the sum of x_j' C_j x_j, x_j being x on K_j; it is >= 0, and zero only if every x_j is, that is x.

For a chordal M that is positive definite such a sum exists (Agler, Helton, McCullough, Rodman, Linear Algebra Appl.
107, 1988, Theorem 2.3), and Gaussian elimination finds it. With F the last blocks, N their coupling to the blocks B
before (a layer to the one before, for a network), and any symmetric X,

    M = [ R, N; N', F ] on (B, F), plus the rest,    C = [ X, N; N', F ],    M - C on what is left: R - X in place of R

and so on; what is left at the end is the last C. M - C is enclosed, so that X may come from anywhere. It is taken as
the Schur complement N F^-1 N' in floating point and a small share of its diagonal, without which C is singular. What M
loses by these shares is what the proof costs of a bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cholesky, solve_triangular

from lipctrl.intervals.ball import Ball
from lipctrl.intervals.rounding import U
from lipctrl.lmi.blocks import SymmetricBlocks
from lipctrl.proofs.definiteness import is_positive_definite

Array = NDArray[np.float64]

OVERHEAD = 100
"""Order by which a clique is dearer than its cube says."""
LARGEST_SHARE = 0.1
"""Of the diagonal of X, beyond which a clique is given up."""


def reduced(matrix: SymmetricBlocks, keep: int = 1) -> SymmetricBlocks | None:
    """The part of a matrix in its first blocks, at least `keep` of them, less what the others take.

    If it is positive definite, so is the whole: the cliques of the other blocks are proved here. None: one was not.
    """
    sizes = matrix.sizes
    *cliques, (root, _) = elimination(sizes, [(i, j) for i, j in matrix.blocks if sizes[i] and sizes[j]], keep)
    blocks = dict(matrix.blocks)
    for group, boundary in cliques:
        starts = np.concatenate([[0], np.cumsum([sizes[k] for k in boundary], dtype=int)])
        X = _separator(SymmetricBlocks(sizes, blocks).dense([*boundary, *group]), int(starts[-1]))
        if X is None:
            return None
        parts = {k: slice(a, b) for k, a, b in zip(boundary, starts[:-1], starts[1:], strict=True)}
        for i, j in combinations_with_replacement(boundary, 2):
            part = X[parts[i], parts[j]]
            blocks[i, j] = blocks[i, j] - part if (i, j) in blocks else Ball.exact(-part)
    return SymmetricBlocks(sizes[: root.stop], {key: block for key, block in blocks.items() if key[1] in root})


def elimination(sizes: Sequence[int], coupled: Iterable[tuple[int, int]], keep: int) -> list[tuple[range, list[int]]]:
    """Groups of blocks from the last to the first, each with the earlier blocks that it is coupled to when it goes.

    The last group is the root, blocks 0, ..., keep - 1 in it. Neighbouring groups are joined where that is cheaper.
    """
    before: list[set[int]] = [set() for _ in sizes]
    for i, j in coupled:
        before[max(i, j)] |= {min(i, j)} - {max(i, j)}
    for k in reversed(range(len(sizes))):
        if before[k]:
            parent = max(before[k])
            before[parent] |= before[k] - {parent}

    def cost(group: range) -> int:
        boundary = set().union(*(before[k] for k in group)).difference(group)
        return (OVERHEAD + sum(sizes[k] for k in (*group, *boundary))) ** 3

    groups = [range(len(sizes) - 1, len(sizes))]
    for k in reversed(range(len(sizes) - 1)):
        last, single = groups[-1], range(k, k + 1)
        joined = range(k, last.stop)
        if k + 1 < keep or cost(joined) <= cost(last) + cost(single):
            groups[-1] = joined
        else:
            groups.append(single)
    return [(group, sorted(set().union(*(before[k] for k in group)).difference(group))) for group in groups]


def _separator(clique: Ball, n: int) -> Array | None:
    """X of order n with C = [X, N; N', F] > 0 proved, or None."""
    mid, rad = clique.mid.copy(), clique.rad
    if rad is not None:
        rad = rad.copy()
        rad[:n, :n] = 0.0
    F, N = mid[n:, n:], mid[:n, n:]
    if not (np.all(np.isfinite(mid)) and np.all(np.diagonal(F) > 0)):
        return None
    root = np.sqrt(np.diagonal(F))
    try:
        factor = cholesky(F / np.outer(root, root), lower=True, overwrite_a=True)
    except LinAlgError:
        return None
    half = solve_triangular(factor, (N / root).T, lower=True)
    size = np.linalg.norm(half, axis=0)
    size = np.where(size > 0, size, np.sqrt(np.maximum(np.diagonal(mid)[:n], 0)))  # an input without effect
    size = np.where(size > 0, size, np.max(size, initial=0.0) or 1.0)
    half /= size
    root = np.concatenate([size, root])
    lost = 2.0 * len(mid) ** 2 * U + (0.0 if rad is None else float(np.max(np.sum(rad / root, axis=1) / root)))
    share = 4 * lost * (1 + _squared_norm(factor, half))
    schur, outer = half.T @ half, np.outer(size, size)
    while share < LARGEST_SHARE:
        X = np.tril(schur + share * np.eye(n)) * outer
        mid[:n, :n] = X + np.tril(X, -1).T
        if is_positive_definite(mid, rad):
            return mid[:n, :n]
        share *= 8
    return None


def _squared_norm(factor: Array, half: Array) -> float:
    """About |factor'^-1 half|_2^2, by the power method."""
    x = np.ones(half.shape[1])
    norm = 1.0
    for _ in range(6):
        y = solve_triangular(factor, half @ (x / max(float(np.linalg.norm(x)), 1e-300)), lower=True, trans="T")
        x = half.T @ solve_triangular(factor, y, lower=True)
        norm = float(y @ y)
    return norm
