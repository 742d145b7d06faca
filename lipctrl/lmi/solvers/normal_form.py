"""LipSDP of a feedforward network in normal form.

    minimise rho  s.t.  M(rho, t) = [rho I on block 0] - C'C + sum_i t_i (p_i p_i' - v_i v_i') > 0

over signals d, w_1, ..., w_l. Neuron i of layer k enters an LMI by a_i = e_i - alpha_i x_i and b_i = e_i - beta_i x_i,
x_i a row over any blocks before k. With v_i = (beta_i - alpha_i)/2 x_i and p_i = e_i - c_i v_i,
c_i = (alpha_i + beta_i)/(beta_i - alpha_i), one has a b' + b a' = 2 (p p' - v v'): t is twice the multiplier, and c = 1
the slopes [0, beta]. Neurons that are linear on a region make rows reach over a layer, a shift K makes the output
z = C (d, w) depend on d.

A chain is the case of rows over block k-1 alone and C on block l alone, G = C'C. Its M is block tridiagonal,

    M_kk = T_k + W_k+1' (c^2 - 1) T_k+1 W_k+1        M_k,k-1 = -c T_k W_k        (rows of W_k: v_i of layer k)

T > 0 needs no constraint of its own: from the output side, D_k = T_k - Q_k > 0 with Q_l = G >= 0 gives T_k > 0, and
Q_k-1 = W' (c T D^-1 T c - (c^2 - 1) T) W >= W' T W >= 0 as D^-1 >= T^-1 (`elimination`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import DTypeLike

from lipctrl.lmi.lmi import Array

Blocks = Mapping[int, Array]


@dataclass(frozen=True)
class Feedforward:
    """The normal form.

    Attributes
    ----------
    sizes : tuple of int
        (n_0, ..., n_l).
    W : tuple of {j: array, shape (n_k, n_j)}
        Rows v_i of layer k = 1..l over the blocks j < k.
    c : tuple of arrays, shape (n_k,)
    C : {j: array, shape (m, n_j)}
        Output.
    shared : bool
        One multiplier per layer (LipSDP-Layer) instead of one per neuron.
    """

    sizes: tuple[int, ...]
    W: tuple[Blocks, ...]
    c: tuple[Array, ...]
    C: Blocks
    shared: bool

    @classmethod
    def chain(cls, weights: Sequence[Array], c: Sequence[Array], C: Array, shared: bool) -> Feedforward:
        """The form whose layers see the one before alone, and whose output sees the last."""
        sizes = (weights[0].shape[1], *(len(W) for W in weights))
        return cls(sizes, tuple({k: W} for k, W in enumerate(weights)), tuple(c), {len(weights): C}, shared)

    def astype(self, dtype: DTypeLike) -> Feedforward:
        """The same chain with rounded numbers."""
        weights, c = ([part.astype(dtype) for part in parts] for parts in (self.weights, self.c))
        return Feedforward.chain(weights, c, self.output.astype(dtype), self.shared)

    @property
    def depth(self) -> int:
        return len(self.W)

    @cached_property
    def blocks(self) -> list[slice]:
        """Where each block lies in the stacked signals."""
        return block_slices(self.sizes)

    @cached_property
    def plain(self) -> tuple[bool, ...]:
        """Whether all slopes of a layer are [0, beta] (c = 1)."""
        return tuple(bool(np.all(c == 1)) for c in self.c)

    @property
    def is_chain(self) -> bool:
        """Whether every layer sees the one before alone, and the output the last."""
        return set(self.C) == {self.depth} and all(set(W) == {k} for k, W in enumerate(self.W))

    @cached_property
    def weights(self) -> tuple[Array, ...]:
        """W_1, ..., W_l of a chain."""
        return tuple(W[k] for k, W in enumerate(self.W))

    @property
    def output(self) -> Array:
        """C of a chain."""
        return self.C[self.depth]

    @cached_property
    def G(self) -> Array:
        """C'C of a chain."""
        return np.asarray(self.output.T @ self.output)


def block_slices(sizes: Sequence[int]) -> list[slice]:
    """Where each block lies in the stacked signals."""
    starts = np.concatenate([[0], np.cumsum(sizes)]).tolist()
    return [slice(a, b) for a, b in zip(starts[:-1], starts[1:], strict=True)]
