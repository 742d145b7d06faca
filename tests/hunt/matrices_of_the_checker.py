"""The matrix inequalities that the independent checker rebuilds from a certificate, as exact fractions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any
from unittest import mock

from lipctrl.proofs import check as checker

Exact = list[list[Fraction]]


def rebuilt(certificate: dict[str, Any], *, eliminate: bool = False) -> dict[str, Exact]:
    """Every matrix of which the checker asks positive definiteness, by its words; none is tested.

    Without `eliminate` the last layer stays in, as the theorem has it.
    """
    found: dict[str, Exact] = {}

    def record(self: checker.Symmetric, what: str) -> None:
        found[what] = full(*self.lower())

    def record_last(lower: list[list[int]], exponent: int, radius: list[list[int]] | None = None) -> bool:
        found["last"] = full(lower, exponent)
        if radius is not None:
            found["radius"] = [[Fraction(x) * Fraction(2) ** exponent for x in row] for row in radius]
        return True

    def keep(self: checker.Layer, inequality: checker.Symmetric, z: dict[int, checker.Matrix]) -> None:
        self.add(inequality)
        inequality.add_gram(z, {j: -block for j, block in z.items()})

    with (
        mock.patch.object(checker.Layer, "eliminate", checker.Layer.eliminate if eliminate else keep),
        mock.patch.object(checker.Symmetric, "prove_positive", record),
        mock.patch.object(checker, "positive_definite", record_last),
    ):
        checker._derive({"format": "lipctrl-certificate", "version": 1, **certificate}, certificate["theorem"])
    return found


def full(lower: list[list[int]], exponent: int) -> Exact:
    """The whole of a matrix whose rows are given from their first entry that is not zero to the diagonal."""
    unit = Fraction(2) ** exponent
    rows = [[0] * (i + 1 - len(row)) + row for i, row in enumerate(lower)]
    return [[unit * rows[max(i, j)][min(i, j)] for j in range(len(rows))] for i in range(len(rows))]
