"""Matrices at the edge of definiteness against exact integer arithmetic: what is proved is true."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from lipctrl.proofs import check as checker
from lipctrl.proofs import definiteness
from lipctrl.proofs.definiteness import is_positive_definite
from tests.hunt.tally import Tally
from tests.proofs.test_definiteness import (
    denormal,
    exactly_definite,
    graded,
    integer_gram,
    large_shift,
    one_ulp,
    passes_plain_cholesky,
    rank_deficient,
    symmetrised,
)


def singular(rng: np.random.Generator, n: int) -> np.ndarray:
    """Exactly singular, scaled by powers of two."""
    factor = rng.integers(-4, 5, (n, n - 1)).astype(float)
    grading = np.ldexp(1.0, rng.integers(-300, 300, n))
    return factor @ factor.T * grading[:, None] * grading


def at_the_shift(rng: np.random.Generator, n: int) -> np.ndarray:
    """The smallest eigenvalue is -2 to 3 times Rump's constant c: where the proof changes from no to yes."""
    gram = symmetrised(rank_deficient(rng, n))
    c = definiteness.shift(gram + np.diag(np.full(n, 1e-300)))
    return gram - np.eye(n) * (np.linalg.eigvalsh(gram)[0] - rng.uniform(-2, 3) * c)


def arrow(rng: np.random.Generator, n: int) -> np.ndarray:
    """Small columns before a big one, absorbed one by one; the last pivot is a few roundings from zero."""
    matrix = np.eye(n)
    column = np.ldexp(rng.uniform(0.5, 1, n - 1), int(rng.integers(-30, -24)))
    matrix[-1, :-1] = matrix[:-1, -1] = column
    matrix[-1, -1] = column @ column * (1 + rng.uniform(-3, 3) * 2.0**-52)
    return matrix


FAMILIES = (graded, rank_deficient, one_ulp, denormal, integer_gram, large_shift, singular, at_the_shift, arrow)


def study(count: int, seed: int = 0, largest: int = 9) -> Tally:
    """The test in floating point."""
    rng, tally = np.random.default_rng(seed), Tally("definiteness in floating point")
    with tally.clock():
        for k in range(count):
            n = int(rng.integers(2, largest)) if k % 500 else int(rng.integers(largest, 63))
            matrix = symmetrised(FAMILIES[k % len(FAMILIES)](rng, n))
            tally.tried += 1
            if is_positive_definite(matrix):
                tally.count("proved")
                if not exactly_definite(matrix):
                    tally.fail(f"{FAMILIES[k % len(FAMILIES)].__name__} {matrix.tolist()}")
            elif k % 10 == 0 and passes_plain_cholesky(matrix) and not exactly_definite(matrix):
                tally.count("indefinite, but taken by plain Cholesky (every tenth asked)")
    return tally


def exact_study(count: int, seed: int = 0) -> Tally:
    """The exact checker's own routine: it decides both ways, up to its 239 bits."""
    rng, tally = np.random.default_rng(seed), Tally("definiteness in the exact checker")
    with tally.clock():
        for k in range(count):
            matrix = symmetrised(FAMILIES[k % len(FAMILIES)](rng, int(rng.integers(2, 8))))
            exact = checker.Matrix.of(matrix.tolist(), len(matrix))
            tally.tried += 1
            proved = checker.positive_definite([row[: i + 1] for i, row in enumerate(exact.rows)], exact.exponent)
            truth = exactly_definite(matrix)
            tally.count("proved", proved)
            tally.count("definite, but not proved", truth and not proved)
            if proved and not truth:
                tally.fail(f"{matrix.tolist()}")
            if is_positive_definite(matrix) and not proved:
                tally.fail(f"proved in process, refused by the checker: {matrix.tolist()}")
    return tally


def test_no_false_proof_in_ten_thousand_near_singular_matrices() -> None:
    tally = study(10_000)
    assert not tally.failures
    assert tally.met["proved"] > 1000  # the hunt meets matrices on both sides
    assert tally.met["indefinite, but taken by plain Cholesky (every tenth asked)"] > 20


def test_no_false_proof_of_the_exact_checker() -> None:
    tally = exact_study(2_000)
    assert not tally.failures
    assert 500 < tally.met["proved"] < 1900
    assert tally.met["definite, but not proved"] == 0


@pytest.mark.parametrize("n", [1, 2, 5, 31, 62])
def test_the_shift_is_that_of_the_theorem(n: int) -> None:
    """c >= (n+3)u/(1-(n+3)u) trace + 4 n eta (2(n+3) + max) in Fractions, up to n = 62, by at most 1e-12 of it."""
    rng, u, eta = np.random.default_rng(n), Fraction(1, 2**53), Fraction(1, 2**1022)
    for scale in (1.0, 2.0**-500, 2.0**500, 2.0**-1000):
        diagonal = rng.uniform(0, 1, n) * scale
        entries = [Fraction(float(x)) for x in diagonal]
        g = (n + 3) * u / (1 - (n + 3) * u)
        exact = g * sum(entries) + 4 * n * eta * (2 * (n + 3) + max(entries))
        assert exact <= Fraction(definiteness.shift(np.diag(diagonal))) <= exact * (1 + Fraction(1, 10**12))
