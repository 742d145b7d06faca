"""Families of quadratic constraints, and the signals of a network that they constrain.

With dv = v - v', dw = phi(v) - phi(v'), both families state (dw - alpha dv)(dw - beta dv) <= 0 for each neuron:

| family | hypotheses | valid when v* != 0 | source |
|---|---|---|---|
| slope, incremental | all secants on the range of v in [alpha, beta] | yes | Fazlyab et al., NeurIPS 2019, Lemma 1 |
| sector, v' = v* | all secants through v* in [alpha, beta] | yes | Yin, Seiler, Arcak, TAC 2022, Property 2 |

Both enter an LMI as sum_i t_i (a_i b_i' + b_i a_i') with t_i >= 0, a_i = e_i - alpha_i v_i, b_i = e_i - beta_i v_i,
where v_i is the row that gives the increment of the pre-activation of neuron i. One t_i per neuron is LipSDP-Neuron,
one per layer LipSDP-Layer. The couplings between neurons of LipSDP-Network are not sound and do not exist here.

A neuron with alpha_i = beta_i is linear on the region: w_i = alpha_i v_i is substituted and it is no signal at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lipctrl.intervals.ball import Ball
from lipctrl.lmi.blocks import Selector
from lipctrl.lmi.lmi import Array, Factor, Multiplier, Values, Variable, selector
from lipctrl.networks.enclosure import LayerBounds
from lipctrl.networks.network import Network


@dataclass(frozen=True)
class Signals:
    """A network in feedback form over the signals (d, w_1, ..., w_l), w_k the nonlinear neurons of layer k.

    Attributes
    ----------
    sizes : tuple of int
        Widths of the blocks (d, w_1, ..., w_l); block 0 is as wide as the driving signal.
    A, B : tuple of Factor
        Rows e_i - alpha_i v_i and e_i - beta_i v_i, per layer.
    nonlinear : tuple of arrays
        Indices, per layer, of the neurons that are signals.
    output : Factor
        The incremental output z, rows over all blocks.
    """

    sizes: tuple[int, ...]
    A: tuple[Factor, ...]
    B: tuple[Factor, ...]
    nonlinear: tuple[NDArray[np.intp], ...]
    output: Factor

    def multiplier_terms(self, method: str) -> tuple[list[Variable], list[Multiplier]]:
        """Variables T1, ..., Tl (layers without nonlinear neurons left out) and their terms.

        `method` is "neuron" (one multiplier per neuron) or "layer" (one per layer).
        """
        variables, terms = [], []
        for k, (a, b) in enumerate(zip(self.A, self.B, strict=True), start=1):
            if a.rows == 0:
                continue
            labels = tuple(self.nonlinear[k - 1].tolist())
            variables.append(Variable(f"T{k}", a.rows if method == "neuron" else 1, lower=0.0, labels=labels))
            terms.append(Multiplier(f"T{k}", a, b))
        return variables, terms


def network_signals(network: Network, bounds: Sequence[LayerBounds], drive: Factor, width: int) -> Signals:
    """The signals of `network` when its input increment is the factor `drive` over block 0 of the given width."""
    affine, _ = network.alternating()
    sizes = [width]
    factors_a, factors_b, kept = [], [], []
    s = drive
    for k, layer in enumerate(bounds, start=1):
        v = s.premultiply(Ball.exact(affine[k - 1].W))
        A, B, nonlinear, s = sector_rows(k, v, layer.slope_lower, layer.slope_upper)
        sizes.append(len(nonlinear))
        factors_a.append(A)
        factors_b.append(B)
        kept.append(nonlinear)
    output = s.premultiply(Ball.exact(affine[-1].W))
    return Signals(tuple(sizes), tuple(factors_a), tuple(factors_b), tuple(kept), output)


def sector_rows(block: int, v: Factor, alpha: Array, beta: Array) -> tuple[Factor, Factor, NDArray[np.intp], Factor]:
    """Rows e_i - alpha_i v_i and e_i - beta_i v_i, which channels are signals (those of `block`), and all w_i."""
    linear = alpha == beta
    nonlinear = np.flatnonzero(~linear)
    own, rows = selector(block, len(nonlinear)), v.take(nonlinear)
    A = own + -rows.scale_rows(alpha[nonlinear])
    B = own + -rows.scale_rows(beta[nonlinear])
    w = v.scale_rows(np.where(linear, alpha, 0.0)) if linear.any() else Factor(len(alpha), {})
    if len(nonlinear):
        w = w + Factor(len(alpha), {block: Selector.placing(nonlinear, len(alpha))})
    return A, B, nonlinear, w


def per_neuron(signals: Signals, bounds: Sequence[LayerBounds], values: Values) -> list[Array]:
    """Multipliers of all neurons of all layers (0 for linear ones), as a certificate stores them."""
    out = []
    for k, (index, layer) in enumerate(zip(signals.nonlinear, bounds, strict=True), start=1):
        full = np.zeros(len(layer.slope_lower))
        if len(index):
            full[index] = np.broadcast_to(values[f"T{k}"], (len(index),))
        out.append(full)
    return out
