"""A network with one hidden layer: its inequality as one of the order of inputs plus outputs, whatever the width.

Let M = rho S + sum_i t_i (a_i b_i' + b_i a_i') - z'z over the signals (d, w), with a_i = e_i + (A d)_i and
b_i = e_i + (B d)_i on the hidden layer w, z = Z0 d + Z1 w, and T = diag(t). Then M > 0 if and only if T > 0 and K > 0,

    K = [ rho S - (A - B)' T (A - B) / 2      Z0' - (A + B)' Z1' / 2     ]
        [ *                                   I - Z1 T^-1 Z1' / 2        ]

Proof. Write z'z as a Schur complement: M > 0 if and only if [M + z'z, z'; z, I] > 0 over (d, w, y). There the block of
w is 2T, its coupling to d is T (A + B), to y it is Z1'. The Schur complement of 2T is K, for
A'TB + B'TA - (A + B)' T (A + B) / 2 = -(A - B)' T (A - B) / 2. And M > 0 needs T > 0, its diagonal on w being
2 t_i - |Z1 e_i|^2.

K is of the order n_in + n_out and concave in (rho, T): both the proof and the solver of wide networks rest on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lipctrl.intervals.ball import Ball
from lipctrl.intervals.rounding import TINY
from lipctrl.lmi.blocks import Selector, dense
from lipctrl.lmi.lmi import Factor, Gram, MatrixInequality, Multiplier, Scaled, Values


@dataclass(frozen=True)
class OneLayer:
    """The parts of an inequality in the form above; balls, so that every rounding is enclosed.

    Attributes
    ----------
    variable : str
        Name of the multipliers (one per neuron, or one shared by all).
    supplies : tuple of (str, Ball)
        Scalar variables and their symmetric matrices on the inputs.
    A, B : Ball, shape (n, n_in)
    Z0 : Ball, shape (n_out, n_in)
    Z1 : Ball, shape (n_out, n)
    """

    variable: str
    supplies: tuple[tuple[str, Ball], ...]
    A: Ball
    B: Ball
    Z0: Ball
    Z1: Ball

    @property
    def order(self) -> int:
        """Order of K."""
        return sum(self.Z0.shape)

    @cached_property
    def difference(self) -> Ball:
        """A - B, shape (n, n_in)."""
        return self.A - self.B

    @cached_property
    def coupling(self) -> Ball:
        """Z0 - Z1 (A + B) / 2, shape (n_out, n_in)."""
        return self.Z0 - (self.Z1 @ (self.A + self.B)) * 0.5

    def supply(self, values: Values) -> Ball:
        """The sum of the scalar terms, shape (n_in, n_in)."""
        n = self.Z0.shape[1]
        total = Ball.exact(np.zeros((n, n)))
        for name, S in self.supplies:
            total = total + S * Ball.exact(np.asarray(values[name], dtype=np.float64).reshape(()))
        return total

    def reduced(self, values: Values) -> Ball | None:
        """K at the given numbers, its midpoint exactly symmetric; None unless every multiplier is positive."""
        t = np.broadcast_to(np.asarray(values[self.variable], dtype=np.float64), (self.Z1.shape[1],))
        if not (np.all(np.isfinite(t)) and np.all(t > 0)):
            return None
        with np.errstate(over="ignore"):
            inverse = 1 / t
            inverses = Ball(inverse, inverse * 2.0**-52 + TINY)
        upper = self.supply(values) - (self.difference.T @ (self.difference * t[:, None])) * 0.5
        lower = np.eye(self.Z0.shape[0]) - ((self.Z1 * inverses) @ self.Z1.T) * 0.5
        return Ball.block([[upper.symmetric(), self.coupling.T], [self.coupling, lower.symmetric()]])


def one_layer(inequality: MatrixInequality) -> OneLayer | None:
    """The parts of `inequality` if it is that of one hidden layer, else None."""
    multipliers = [term for term in inequality.terms if isinstance(term, Multiplier)]
    supplies = [term for term in inequality.terms if isinstance(term, Scaled)]
    constant = inequality.constant
    if len(multipliers) != 1 or len(supplies) + 1 != len(inequality.terms):
        return None
    if not (isinstance(constant, Gram) and constant.sign == -1.0):
        return None
    term, sizes = multipliers[0], inequality.sizes
    filled = [k for k, size in enumerate(sizes) if size > 0]
    if len(filled) != 2 or filled[0] != 0:
        return None
    hidden = filled[1]
    own_a, own_b = term.A.blocks.get(hidden), term.B.blocks.get(hidden)
    if not all(isinstance(own, Selector) and own.is_identity for own in (own_a, own_b)):
        return None
    matrices = []
    for supply in supplies:
        S = supply.S
        if not (isinstance(S, Gram) and all(sizes[k] == 0 for k in S.factor.blocks if k != 0)):
            return None
        matrices.append((supply.variable, Gram(S.factor, sizes[:1], S.sign).ball))
    return OneLayer(
        term.variable,
        tuple(matrices),
        *(_block(factor, k, sizes) for factor, k in ((term.A, 0), (term.B, 0))),
        *(_block(constant.factor, k, sizes) for k in (0, hidden)),
    )


def definite_form(inequality: MatrixInequality, values: Values) -> tuple[Ball, OneLayer | None] | None:
    """A symmetric matrix that is positive definite if and only if `inequality` holds at `values`, as small as is known.

    Either the matrix of the inequality itself, or K together with the parts it is made of where that is less than half
    as large. None: the inequality fails, because a multiplier is not positive.
    """
    parts = _parts(inequality)
    if parts is None or 2 * parts.order >= inequality.order:
        return inequality.evaluate(values), None
    K = parts.reduced(values)
    return None if K is None else (K, parts)


def _parts(inequality: MatrixInequality) -> OneLayer | None:
    """:func:`one_layer`, computed once for each inequality."""
    store = vars(inequality)
    if "_one_layer" not in store:
        store["_one_layer"] = one_layer(inequality)
    parts: OneLayer | None = store["_one_layer"]
    return parts


def _block(factor: Factor, block: int, sizes: tuple[int, ...]) -> Ball:
    part = factor.blocks.get(block)
    return Ball.exact(np.zeros((factor.rows, sizes[block]))) if part is None else dense(part)
