"""What a proof of an LMI needs, each part in turn left out of an LMI that holds otherwise."""

from __future__ import annotations

import numpy as np
import pytest

from lipctrl.intervals.ball import Ball
from lipctrl.lmi.lmi import LMI, Congruence, Factor, MatrixInequality, Scaled, Variable, gram, selector
from lipctrl.proofs import chordal
from lipctrl.proofs.verify import holds, prove_but

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
def test_no_block_of_the_scalar_is_eliminated(monkeypatch, blocks):
    """I - s v v' > 0 if and only if s |v|^2 < 1, v having ones in some of three blocks."""
    monkeypatch.setattr(chordal, "OVERHEAD", 0)
    v = Factor(1, dict.fromkeys(blocks, ONE))
    supply = Scaled("s", -gram(v, (1, 1, 1)))
    lmi = LMI((Variable("s", 1),), (MatrixInequality("M > 0", (1, 1, 1), (supply,), Ball.exact(np.eye(3))),))
    pending = prove_but(lmi, {}, "s")
    for s in (-1.0, 0.0, 0.99 / len(blocks), 1.01 / len(blocks), 2.0):
        assert pending.holds(s) == holds(lmi, {"s": np.array([s])}) == (s * len(blocks) < 1)


@pytest.mark.parametrize("s", [1.0, 2.0])
def test_radii_count(s):
    """1 +- 2, and s (1 +- 1/2) - 3/4."""
    uncertain = MatrixInequality("constant", (1,), (), Ball(np.eye(1), np.array([[2.0]])))
    assert not holds(LMI((), (uncertain,)), {})
    slope = Scaled("s", Ball(np.eye(1), np.array([[0.5]])))
    lmi = LMI((S,), (MatrixInequality("slope", (1,), (slope,), Ball.exact(np.array([[-0.75]]))),))
    assert prove_but(lmi, {}, "s").holds(s) == holds(lmi, {"s": np.array([s])}) == (s == 2.0)
