"""A network with one hidden layer: its inequality as one of the order of inputs plus outputs, whatever the width.

By the theorem of `lipctrl.lmi.last_layer`, with S = rho D^2 on the inputs d alone: K has the order n_in + n_out and is
concave in (rho, T), which the solver of wide networks rests on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lipctrl.intervals.ball import Ball
from lipctrl.lmi.blocks import Selector, dense
from lipctrl.lmi.lmi import Factor, Gram, MatrixInequality, Multiplier, Scaled


@dataclass(frozen=True)
class OneLayer:
    """The parts of an inequality in that form; balls, so that every rounding is enclosed.

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

    @cached_property
    def difference(self) -> Ball:
        """A - B, shape (n, n_in)."""
        return self.A - self.B

    @cached_property
    def coupling(self) -> Ball:
        """Z0 - Z1 (A + B) / 2, shape (n_out, n_in)."""
        return self.Z0 - (self.Z1 @ (self.A + self.B)) * 0.5


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


def _block(factor: Factor, block: int, sizes: tuple[int, ...]) -> Ball:
    part = factor.blocks.get(block)
    return Ball.exact(np.zeros((factor.rows, sizes[block]))) if part is None else dense(part)
