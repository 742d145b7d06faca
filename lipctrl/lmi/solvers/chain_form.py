"""LipSDP of a feedforward network in normal form.

    minimise rho  s.t.  M(rho, t) = [rho I on block 0] - [G on block l] + sum_i t_i (p_i p_i' - v_i v_i') > 0

Neuron i of layer k enters an LMI by a_i = e_i - alpha_i x_i and b_i = e_i - beta_i x_i, x_i a row over block k-1.
With v_i = (beta_i - alpha_i)/2 x_i and p_i = e_i - c_i v_i, c_i = (alpha_i + beta_i)/(beta_i - alpha_i), one has
a b' + b a' = 2 (p p' - v v'): t is twice the multiplier, and c = 1 the slopes [0, beta]. M is block tridiagonal,

    M_kk = T_k + W_k+1' (c^2 - 1) T_k+1 W_k+1        M_k,k-1 = -c T_k W_k        (rows of W_k: v_i of layer k)

T > 0 needs no constraint of its own: from the output side, D_k = T_k - Q_k > 0 with Q_l = G >= 0 gives T_k > 0, and
Q_k-1 = W' (c T D^-1 T c - (c^2 - 1) T) W >= W' T W >= 0 as D^-1 >= T^-1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import DTypeLike

from lipctrl.lmi.lmi import Array


@dataclass(frozen=True)
class Chain:
    """The normal form.

    Attributes
    ----------
    W : tuple of arrays, shape (n_k, n_{k-1})
        Rows v_i of layer k = 1..l over block k-1.
    c : tuple of arrays, shape (n_k,)
    G : array, shape (n_l, n_l)
        Gram matrix of the output.
    shared : bool
        One multiplier per layer (LipSDP-Layer) instead of one per neuron.
    """

    W: tuple[Array, ...]
    c: tuple[Array, ...]
    G: Array
    shared: bool

    def astype(self, dtype: DTypeLike) -> Chain:
        """The same chain with rounded numbers."""
        W, c = (tuple(part.astype(dtype) for part in parts) for parts in (self.W, self.c))
        return Chain(W, c, self.G.astype(dtype), self.shared)

    @cached_property
    def plain(self) -> tuple[bool, ...]:
        """Whether all slopes of a layer are [0, beta] (c = 1)."""
        return tuple(bool(np.all(c == 1)) for c in self.c)

    @property
    def depth(self) -> int:
        return len(self.W)

    @property
    def sizes(self) -> tuple[int, ...]:
        return (self.W[0].shape[1], *(len(weight) for weight in self.W))


def block_slices(sizes: Sequence[int]) -> list[slice]:
    """Where each block lies in the stacked signals."""
    starts = np.concatenate([[0], np.cumsum(sizes)]).tolist()
    return [slice(a, b) for a, b in zip(starts[:-1], starts[1:], strict=True)]
