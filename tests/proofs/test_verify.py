"""What a proof of an LMI needs, each part in turn left out of an LMI that holds otherwise."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipctrl.errors import LipctrlError
from lipctrl.intervals.ball import Ball
from lipctrl.lmi.lmi import LMI, Congruence, Factor, MatrixInequality, Multiplier, Scaled, Variable, gram, selector
from lipctrl.proofs import chordal
from lipctrl.proofs.verify import Remainder, holds, prove_but

ONE = Ball.exact(np.eye(1))
S = Variable("s", 1, lower=1.0)
CERTAIN = MatrixInequality("1 > 0", (1,), (), ONE)


def above(level: float) -> MatrixInequality:
    """s > level."""
    return MatrixInequality("s > level", (1,), (Scaled("s", ONE),), Ball.exact(np.array([[-level]])))


@pytest.mark.parametrize("wrong", [[1.0, -1.0], [-1.0, 1.0], [np.nan, 1.0], [np.inf, 1.0], [-1.0, -1.0]])
def test_every_entry_within_its_bound(wrong):
    lmi = LMI((Variable("y", 2, lower=0.0),), (CERTAIN,))
    assert holds(lmi, {"y": np.array([0.0, 1.0])})
    assert not holds(lmi, {"y": np.array(wrong)})


def test_matrices_are_symmetric():
    lmi = LMI((Variable("P", 2, symmetric=True),), (CERTAIN,))
    assert holds(lmi, {"P": np.array([[1.0, 2.0], [2.0, 1.0]])})
    assert not holds(lmi, {"P": np.array([[1.0, 2.0], [0.0, 1.0]])})


def test_the_open_scalar_is_within_its_bound():
    pending = prove_but(LMI((S,), (above(0.0),)), {}, "s")
    assert pending.holds(1.0) and not any(pending.holds(s) for s in (0.5, np.nan, np.inf))


def test_every_inequality_holds():
    lmi = LMI((S,), (above(1.5), above(4.0)))
    pending = prove_but(lmi, {}, "s")
    for s in (1.0, 2.0, 4.0, 4.5):
        assert pending.holds(s) == holds(lmi, {"s": np.array([s])}) == (s > 4)


def test_an_inequality_without_the_scalar_is_proved_at_once():
    E = selector(0, 1)
    positive = MatrixInequality("P > 0", (1,), (Congruence("P", E, E, 0.5),))
    lmi = LMI((S, Variable("P", 1, symmetric=True)), (above(1.0), positive))
    assert prove_but(lmi, {"P": np.array([[1.0]])}, "s") is not None
    assert prove_but(lmi, {"P": np.array([[-1.0]])}, "s") is None
    assert prove_but(lmi, {"P": np.array([[0.0]])}, "s") is None


def test_the_block_of_the_scalar_is_never_eliminated(monkeypatch):
    """[1 .5 .; .5 1 .5; . .5 s] > 0 if and only if s > 1/3."""
    monkeypatch.setattr(chordal, "OVERHEAD", 0)
    constant = np.array([[1.0, 0.5, 0.0], [0.5, 1.0, 0.5], [0.0, 0.5, 0.0]])
    supply = Scaled("s", gram(selector(2, 1), (1, 1, 1)))
    lmi = LMI((Variable("s", 1),), (MatrixInequality("M > 0", (1, 1, 1), (supply,), Ball.exact(constant)),))
    pending = prove_but(lmi, {}, "s")
    for s in (0.0, 0.33, 0.34, 1.0):
        assert pending.holds(s) == holds(lmi, {"s": np.array([s])}) == (s > 1 / 3)


@pytest.mark.parametrize("blocks", [(0, 2), (2, 0), (2,), (1, 2)])
@pytest.mark.parametrize("form", ["factor", "matrix", "two factors"])
def test_no_block_of_the_scalar_is_eliminated(monkeypatch, blocks, form):
    """I - s v v' > 0 if and only if s |v|^2 < 1, v = 1, 2 in some of three blocks; I - s diag(v)^2: s max v_i^2 < 1."""
    monkeypatch.setattr(chordal, "OVERHEAD", 0)
    v = Factor(1, {block: ONE * (1.0 + place) for place, block in enumerate(blocks)})
    row = v.dense((1, 1, 1))
    supplies = {
        "factor": [-gram(v, (1, 1, 1))],
        "matrix": [Ball.exact(-row.T @ row)],
        "two factors": [-gram(Factor(1, {block: part}), (1, 1, 1)) for block, part in v.blocks.items()],
    }[form]
    terms = tuple(Scaled("s", S) for S in supplies)
    lmi = LMI((Variable("s", 1),), (MatrixInequality("M > 0", (1, 1, 1), terms, Ball.exact(np.eye(3))),))
    pending, limit = prove_but(lmi, {}, "s"), 1 / (row.max() ** 2 if form == "two factors" else np.sum(row**2))
    for s in (-1.0, 0.0, 0.99 * limit, 1.01 * limit, 0.9, 2.0):
        assert pending.holds(s) == holds(lmi, {"s": np.array([s])}) == (s < limit)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    density=st.sampled_from([0.0, 0.2, 1.0]),
    s=st.floats(allow_nan=False, allow_infinity=False),
    fuzzy=st.tuples(st.booleans(), st.booleans()),
)
def test_the_open_scalar_changes_what_it_multiplies_and_nothing_else(seed, density, s, fuzzy):
    """As computed over the whole matrix: the same centre, no larger radius, and every corner inside."""
    rng = np.random.default_rng(seed)
    M, S = rng.standard_normal((2, 5, 5))
    present = rng.random((5, 5)) < density
    constant = Ball(M, 1e-3 * np.abs(M) if fuzzy[0] else None)
    slope = Ball(S * present, 1e-3 * rng.random((5, 5)) * present if fuzzy[1] else None)
    with np.errstate(all="ignore"):
        found, whole = Remainder(constant, slope).at(s), constant + slope * s
    assert np.array_equal(found.mid, whole.mid) and np.all(found.radius <= whole.radius)
    assert np.array_equal(found.radius[~present], constant.radius[~present]) and np.array_equal(constant.mid, M)
    if found.finite:
        for i, j in np.ndindex(5, 5):
            own, steep = Fraction(constant.radius[i, j]), Fraction(slope.radius[i, j])
            off = Fraction(M[i, j]) + Fraction(slope.mid[i, j]) * Fraction(s) - Fraction(found.mid[i, j])
            assert abs(off) + own + steep * abs(Fraction(s)) <= Fraction(found.radius[i, j])


def test_a_scalar_multiplies_matrices_of_numbers_only():
    """In a multiplier it would be taken for zero."""
    E = selector(0, 1)
    for term in (Multiplier("s", E, E), Congruence("s", E, E)):
        for terms in ((term,), (term, Scaled("s", ONE))):
            lmi = LMI((S,), (MatrixInequality("M > 0", (1,), terms, ONE),))
            with pytest.raises(LipctrlError, match="s multiplies no matrix of numbers alone"):
                prove_but(lmi, {}, "s")


@pytest.mark.parametrize("wrong", [0, 2])
def test_what_is_not_definite_whatever_the_scalar_is_no_proof(monkeypatch, wrong):
    """Of diag(1, 1, 1) + s e_1 e_1', one entry -1: eliminated (the last) or left with the scalar (the first)."""
    monkeypatch.setattr(chordal, "OVERHEAD", 0)
    constant = np.diag(np.where(np.arange(3) == wrong, -1.0, 1.0))
    supply = Scaled("s", gram(Factor(1, {0: ONE}), (1, 1, 1)))
    lmi = LMI((Variable("s", 1),), (MatrixInequality("M > 0", (1, 1, 1), (supply,), Ball.exact(constant)),))
    pending = prove_but(lmi, {}, "s")
    assert pending is None if wrong else not pending.holds(0.5) and pending.holds(2.0)


@pytest.mark.parametrize("s", [1.0, 2.0])
def test_radii_count(s):
    """1 +- 2, and s (1 +- 1/2) - 3/4."""
    uncertain = MatrixInequality("constant", (1,), (), Ball(np.eye(1), np.array([[2.0]])))
    assert not holds(LMI((), (uncertain,)), {})
    slope = Scaled("s", Ball(np.eye(1), np.array([[0.5]])))
    lmi = LMI((S,), (MatrixInequality("slope", (1,), (slope,), Ball.exact(np.array([[-0.75]]))),))
    assert prove_but(lmi, {}, "s").holds(s) == holds(lmi, {"s": np.array([s])}) == (s == 2.0)
