"""LMIs as data, against the formulas at their head written out with dense matrices of small integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lipctrl.intervals.ball import Ball
from lipctrl.lmi.blocks import Selector
from lipctrl.lmi.lmi import (
    LMI,
    Congruence,
    Factor,
    Gram,
    MatrixInequality,
    Multiplier,
    Scaled,
    Variable,
    gram,
    selector,
)
from lipctrl.proofs.verify import holds

SIZES = (2, 0, 3, 1)
STARTS = np.concatenate([[0], np.cumsum(SIZES)])


def integers(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(-3, 4, shape).astype(float)


def factor(rng: np.random.Generator, rows: int) -> Factor:
    """Some blocks are missing, one is a selector with values."""
    blocks: dict[int, Any] = {k: Ball.exact(integers(rng, rows, SIZES[k])) for k in range(4) if rng.random() < 0.6}
    index = rng.permutation(3)[: min(rows, 3)]
    values = Ball.exact(integers(rng, len(index)))
    blocks[2] = Selector((rows, 3), np.sort(rng.permutation(rows)[: len(index)]), index, values)
    return Factor(rows, blocks)


def symmetric(rng: np.random.Generator, n: int) -> np.ndarray:
    A = integers(rng, n, n)
    return A + A.T


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("weight", [1.0, 2.0, -0.5, 0.0])
def test_every_term_is_its_formula(seed: int, weight: float) -> None:
    rng = np.random.default_rng(seed)
    A, B, F, G, Z = (factor(rng, rows) for rows in (4, 4, 2, 2, 3))
    P, t, shared, s = symmetric(rng, 2), integers(rng, 4), integers(rng, 1), integers(rng, 1)
    S, C = symmetric(rng, 6), symmetric(rng, 6)
    a, b, f, g, z = (part.dense(SIZES) for part in (A, B, F, G, Z))
    supply, sign = (Ball.exact(S), 1.0) if seed % 2 else (-gram(Z, SIZES), -1.0)
    terms = (Multiplier("t", A, B), Multiplier("shared", B, A), Congruence("P", F, G, weight), Scaled("s", supply))
    expected = (a.T * t) @ b + (b.T * t) @ a + shared * (b.T @ a + a.T @ b) + weight * (f.T @ P @ g + g.T @ P @ f)
    expected = expected + s * (S if seed % 2 else sign * z.T @ z)
    for constant, extra in ((None, 0.0), (Ball.exact(C), C), (gram(Z, SIZES), z.T @ z), (-gram(Z, SIZES), -z.T @ z)):
        inequality = MatrixInequality("M", SIZES, terms, constant)
        found = inequality.evaluate({"t": t, "shared": shared, "P": P, "s": s})
        assert inequality.order == 6 and np.array_equal(found.mid, found.mid.T)
        assert np.array_equal(found.mid, expected + extra) and np.max(found.radius) < 1e-12


@pytest.mark.parametrize("seed", range(10))
def test_radii_of_factors_and_supplies_are_enclosed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mids = [integers(rng, 2, 2) for _ in range(5)]
    mids[4] = mids[4] + mids[4].T
    rads = [rng.uniform(0, 0.1, (2, 2)) * (rng.random() < 0.6) for _ in mids]
    rads[4] = rads[4] + rads[4].T
    A, B, F, G = (Factor(2, {0: Ball(m, r)}) for m, r in zip(mids[:4], rads[:4], strict=True))
    values = {"t": rng.standard_normal(2), "P": symmetric(rng, 2), "s": rng.standard_normal(1)}
    terms = (Multiplier("t", A, B), Congruence("P", F, G, 0.5), Scaled("s", Ball(mids[4], rads[4])))
    found = MatrixInequality("M", (2,), terms).evaluate(values)
    for _ in range(50):
        a, b, f, g = (m + r * rng.choice([-1, 1], (2, 2)) for m, r in zip(mids[:4], rads[:4], strict=True))
        signs = rng.choice([-1.0, 1.0], (2, 2))
        S = mids[4] + rads[4] * np.where(np.tri(2) > 0, signs, signs.T)
        half = (a.T * values["t"]) @ b + 0.5 * f.T @ values["P"] @ g
        truth = half + half.T + values["s"] * S
        assert np.all(np.abs(found.mid - truth) <= found.radius + 1e-13)
    assert np.max(found.radius) <= 60 * max(map(np.max, rads)) + 1e-13


@pytest.mark.parametrize(("i", "j"), [(0, 2), (2, 0), (3, 3)])
def test_a_term_between_two_blocks_alone(i: int, j: int) -> None:
    """Above the diagonal, below it, on it."""
    rng = np.random.default_rng(i)
    A, B = (Factor(2, {k: Ball.exact(integers(rng, 2, SIZES[k]))}) for k in (i, j))
    a, b, P = A.dense(SIZES), B.dense(SIZES), symmetric(rng, 2)
    half = a.T @ P @ b
    found = MatrixInequality("M", SIZES, (Congruence("P", A, B),)).evaluate({"P": P})
    assert np.array_equal(found.mid, half + half.T)


def test_what_is_zero_up_to_a_radius_is_not_zero() -> None:
    """[1 0; 0 1] with 2 off the diagonal, as a constant and as a supply."""
    uncertain = Ball(np.eye(2), np.array([[0.0, 2.0], [2.0, 0.0]]))
    for terms, constant in (((), uncertain), ((Scaled("s", uncertain),), None)):
        found = MatrixInequality("M", (1, 1), terms, constant).evaluate({"s": np.ones(1)})
        assert found.radius[0, 1] >= 2.0 and found.radius[1, 0] >= 2.0 and np.array_equal(found.mid, np.eye(2))
        assert not holds(LMI((Variable("s", 1),), (MatrixInequality("M", (1, 1), terms, constant),)), {"s": np.ones(1)})


def test_sums_and_rows_of_factors() -> None:
    rng = np.random.default_rng(3)
    F, G, M = factor(rng, 3), factor(rng, 3), integers(rng, 2, 3)
    f, g = F.dense(SIZES), G.dense(SIZES)
    assert np.array_equal((F + G).dense(SIZES), f + g) and np.array_equal((-F).dense(SIZES), -f)
    assert np.array_equal(F.premultiply(Ball.exact(M)).dense(SIZES), M @ f) and F.premultiply(Ball.exact(M)).rows == 2
    scale, index = integers(rng, 3), np.array([2, 0])
    assert np.array_equal(F.scale_rows(scale).dense(SIZES), scale[:, None] * f)
    assert np.array_equal(F.take(index).dense(SIZES), f[index]) and F.take(index).rows == 2
    assert np.array_equal(F.dense(SIZES[:2]), f[:, :2])
    assert np.array_equal(selector(0, 2).dense(SIZES), np.eye(2, 6))
    assert np.array_equal(selector(2, 3, np.array([2, 1])).dense(SIZES), np.eye(6)[[4, 3]])
    assert isinstance(-gram(F, SIZES), Gram) and np.array_equal((-gram(F, SIZES)).mid, -f.T @ f)


def test_how_many_scalars_a_variable_has() -> None:
    assert Variable("t", 3).n_scalars == 3 and Variable("P", 3, symmetric=True).n_scalars == 6
    lmi = LMI((Variable("t", 3), Variable("P", 4)), ())
    assert lmi.variable("P").size == 4 and lmi.variable("t").size == 3
