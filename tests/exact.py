"""Truth in rational numbers, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np

Rows = list[list[Fraction]]


def exactly_definite(matrix: Sequence[Sequence[float | Fraction]] | np.ndarray) -> bool:
    """Positive definiteness by elimination."""
    M = [[Fraction(x) for x in row] for row in matrix]
    for k in range(len(M)):
        if M[k][k] <= 0:
            return False
        for i in range(k + 1, len(M)):
            ratio = M[i][k] / M[k][k]
            if ratio:
                for j in range(k, len(M)):
                    M[i][j] -= ratio * M[k][j]
    return True


def exact_lipsdp(
    weights: Sequence[np.ndarray], slopes: tuple[float, float], multipliers: Sequence[np.ndarray], rho: float
) -> Rows:
    """The inequality of LipSDP from its definition; all neurons have the same slopes."""
    sizes = [W.shape[1] for W in weights]
    starts = [sum(sizes[:k]) for k in range(len(sizes) + 1)]
    alpha, beta = (Fraction(slope) for slope in slopes)
    size = starts[-1]
    M = [[Fraction(rho) if i == j and i < sizes[0] else Fraction(0) for j in range(size)] for i in range(size)]

    def add(left: dict[int, Fraction], right: dict[int, Fraction], factor: Fraction) -> None:
        for i, x in left.items():
            for j, y in right.items():
                M[i][j] += factor * x * y

    for k, (before, here) in enumerate(pairwise(starts[:-1])):
        for i, (row, t) in enumerate(zip(weights[k], multipliers[k], strict=True)):
            v = {before + j: Fraction(x) for j, x in enumerate(row) if x}
            a = {here + i: Fraction(1)} | {j: -alpha * x for j, x in v.items()}
            b = {here + i: Fraction(1)} | {j: -beta * x for j, x in v.items()}
            add(a, b, Fraction(t))
            add(b, a, Fraction(t))
    for row in weights[-1]:
        z = {starts[-2] + j: Fraction(x) for j, x in enumerate(row)}
        add(z, z, Fraction(-1))
    return M
