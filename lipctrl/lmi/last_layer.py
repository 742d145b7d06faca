"""The last hidden layer of a network, eliminated from its inequality: a Schur complement of a diagonal matrix.

Let M = S + sum_i t_i (a_i b_i' + b_i a_i') - z'z over the signals (e, w), where w is the last hidden layer, S a form in
e alone, a_i = e_i + (A e)_i, b_i = e_i + (B e)_i, z = Z0 e + Z1 w, and T = diag(t). Then M > 0 if and only if T > 0 and
K > 0,

    K = [ S - (A - B)' T (A - B) / 2      Z0' - (A + B)' Z1' / 2     ]
        [ *                               I - Z1 T^-1 Z1' / 2        ]

Proof. Write z'z as a Schur complement: M > 0 if and only if [M + z'z, z'; z, I] > 0 over (e, w, y). There the block of
w is 2T, its coupling to e is T (A + B), to y it is Z1'. The Schur complement of 2T is K, for
A'TB + B'TA - (A + B)' T (A + B) / 2 = -(A - B)' T (A - B) / 2. And M > 0 needs T > 0, its diagonal on w being
2 t_i - |Z1 e_i|^2.

With one hidden layer S = rho D^2 on the inputs, and K is of the order n_in + n_out whatever the width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lipctrl.intervals.ball import Ball
from lipctrl.intervals.rounding import divide
from lipctrl.lmi.blocks import Selector, SymmetricBlocks, dense
from lipctrl.lmi.lmi import Factor, Gram, Half, MatrixInequality, Multiplier, Scaled, Term, Values, selector


@dataclass(frozen=True)
class LastLayer:
    """An inequality in the form above.

    Attributes
    ----------
    block : int
        The block w; y takes its place in K.
    layer : Multiplier
        The term of T.
    others : MatrixInequality
        S.
    output : Factor
        z.
    """

    block: int
    layer: Multiplier
    others: MatrixInequality
    output: Factor

    @property
    def smaller(self) -> bool:
        """Whether K is of a smaller order than M."""
        return self.output.rows < self.layer.A.rows

    def eliminated(self, values: Values) -> SymmetricBlocks | None:
        """K at the given numbers, every rounding error enclosed; None unless every multiplier is positive."""
        w, m = self.block, self.output.rows
        t = np.broadcast_to(np.asarray(values[self.layer.variable], dtype=np.float64), (self.layer.A.rows,))
        if not (np.all(np.isfinite(t)) and np.all(t > 0)):
            return None
        inverses = Ball.between(*divide(1.0, t))
        half = Half((*self.others.sizes[:w], m))
        for term in self.others.terms:
            half.add_term(term, np.asarray(values[term.variable], dtype=np.float64))
        A, B, Z0 = (_without(factor, w) for factor in (self.layer.A, self.layer.B, self.output))
        difference = A + -B
        half.add_product(difference.scale_rows(t), difference, -0.25)
        Z1 = dense(self.output.blocks[w])
        coupling = Z0 + (A + B).premultiply(Z1).scale_rows(np.full(m, -0.5))
        half.add_product(selector(w, m), coupling, 1.0)
        half.add_block(w, w, (np.eye(m) - ((Z1 * inverses) @ Z1.T) * 0.5) * 0.5)
        return half.symmetric_sum()


def last_layer(inequality: MatrixInequality) -> LastLayer | None:
    """The form above if `inequality` has it, else None."""
    constant = inequality.constant
    blocks = [k for k, size in enumerate(inequality.sizes) if size]
    if not (isinstance(constant, Gram) and constant.sign == -1.0) or not blocks:
        return None
    w = blocks[-1]
    match [term for term in inequality.terms if w in _blocks(term)]:
        case [Multiplier() as layer]:
            units = (layer.A.blocks.get(w), layer.B.blocks.get(w))
        case _:
            return None
    if w not in constant.factor.blocks or not all(isinstance(unit, Selector) and unit.is_identity for unit in units):
        return None
    others = replace(inequality, terms=tuple(term for term in inequality.terms if term is not layer), constant=None)
    return LastLayer(w, layer, others, constant.factor)


def _blocks(term: Term) -> set[int]:
    """The blocks of signals that a term touches; a matrix that is given as a whole touches all."""
    if isinstance(term, Multiplier):
        return {*term.A.blocks, *term.B.blocks}
    if isinstance(term, Scaled):
        return set(term.S.factor.blocks) if isinstance(term.S, Gram) else {*range(term.S.shape[0])}
    return {*term.F.blocks, *term.G.blocks}


def _without(factor: Factor, block: int) -> Factor:
    return Factor(factor.rows, {k: part for k, part in factor.blocks.items() if k != block})
