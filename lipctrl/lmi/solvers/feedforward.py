"""An LMI recognised as LipSDP of a feedforward network, with the normal form of it (`normal_form`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lipctrl.intervals.ball import Ball
from lipctrl.lmi.blocks import Block, Selector
from lipctrl.lmi.lmi import LMI, Array, Gram, Multiplier, Scaled
from lipctrl.lmi.solvers.normal_form import Blocks, Feedforward, block_slices

#: rows of A and B on the blocks before count as parallel up to this relative error
PARALLEL = 1e-9
#: beyond this ratio of centre to half-width of the slopes a neuron is too nearly linear for the normal form
LARGEST_CENTRE = 1e10

Labels = NDArray[np.intp]


@dataclass(frozen=True)
class Recognised:
    """A form, and the names under which its numbers are returned: rho, and the multipliers of layers 1..l."""

    form: Feedforward
    rho: str
    layers: tuple[str, ...]
    labels: tuple[Labels, ...]

    def values(self, rho: float, t: Array) -> dict[str, Array]:
        """The numbers of the LMI that was stated: its multipliers are half of t."""
        parts = [t[part] / 2 for part in block_slices(self.form.sizes[1:])]
        if self.form.shared:
            parts = [part[:1] for part in parts]
        return {self.rho: np.array([rho])} | dict(zip(self.layers, parts, strict=True))


def recognise(lmi: LMI) -> Recognised | None:
    """The normal form of `lmi`; None if it is not LipSDP of a feedforward network, or that of a constant."""
    if len(lmi.inequalities) != 1 or len(lmi.objective) != 1:
        return None
    inequality = lmi.inequalities[0]
    sizes = inequality.sizes
    used = [0, *(k for k in range(1, len(sizes)) if sizes[k])]
    place = {k: number for number, k in enumerate(used)}
    depth = len(used) - 1
    scaled = [term for term in inequality.terms if isinstance(term, Scaled)]
    multipliers = [term for term in inequality.terms if isinstance(term, Multiplier)]
    if depth < 1 or sizes[0] == 0 or len(scaled) != 1 or len(multipliers) != depth:
        return None
    if len(inequality.terms) != depth + 1 or inequality.constant is None:
        return None
    rho = scaled[0].variable
    if set(lmi.objective) != {rho} or not np.array_equal(np.asarray(lmi.objective[rho]).reshape(-1), [1.0]):
        return None
    weight = _diagonal(scaled[0].S, sizes)
    output = _output(inequality.constant, sizes)
    layers = [_layer(multipliers, k, sizes[k]) for k in used[1:]]
    found = [layer for layer in layers if layer is not None]
    if weight is None or output is None or len(found) < depth:
        return None
    names = tuple(name for name, _, _ in found)
    if {v.name for v in lmi.variables} != {rho, *names} or len(set(names)) != depth:
        return None
    count = [lmi.variable(name).size for name in names]
    shared = count != [sizes[k] for k in used[1:]]
    if any(lmi.variable(name).lower != 0.0 for name in names) or (shared and set(count) != {1}):
        return None

    def over(blocks: Blocks, last: int) -> Blocks:
        """Blocks that are not zero, or else block `last`, by their places; the input as its weight measures it."""
        parts = {place[j]: part / np.sqrt(weight) if j == 0 else part for j, part in blocks.items() if sizes[j]}
        out = {j: part for j, part in parts.items() if np.any(part)}
        return out or {last: parts.get(last, np.zeros((len(next(iter(blocks.values()))), sizes[used[last]])))}

    form = Feedforward(
        tuple(sizes[k] for k in used),
        tuple(over(v, k) for k, (_, v, _) in enumerate(found)),
        tuple(c for _, _, c in found),
        over(output, depth),
        shared,
    )
    labels = [lmi.variable(name).labels or range(sizes[k]) for name, k in zip(names, used[1:], strict=True)]
    return Recognised(form, rho, names, tuple(np.array(every) for every in labels))


def _diagonal(supply: Ball | Gram, sizes: tuple[int, ...]) -> Array | None:
    """The positive diagonal of a matrix that is nothing but a diagonal on block 0."""
    n = sizes[0]
    if isinstance(supply, Gram):
        if set(supply.factor.blocks) != {0} or supply.sign < 0:
            return None
        half = supply.factor.blocks[0].mid
        matrix = supply.sign * half.T @ half
    else:
        matrix = supply.mid[:n, :n]
        if np.count_nonzero(supply.mid) != n:
            return None
    weight: Array = np.diagonal(matrix).copy()
    return weight if np.count_nonzero(matrix) == n and np.all(weight > 0) else None


def _output(constant: Ball | Gram, sizes: tuple[int, ...]) -> Blocks | None:
    """C of a constant that is -C'C; of a dense one only if it lies on the last block."""
    if isinstance(constant, Gram):
        if constant.sign > 0:
            return None
        root = np.sqrt(-constant.sign)
        return {j: root * part.mid for j, part in constant.factor.blocks.items()}
    last = max(k for k in range(len(sizes)) if sizes[k])
    begin = sum(sizes[:last])
    G = -constant.mid[begin : begin + sizes[last], begin : begin + sizes[last]]
    if np.count_nonzero(constant.mid) != np.count_nonzero(G):
        return None
    values, vectors = np.linalg.eigh(G)
    if not values[0] >= -1e-12 * max(values[-1], 0.0):
        return None
    kept = values > 0
    return {last: np.sqrt(values[kept])[:, None] * vectors[:, kept].T}


def _layer(multipliers: Sequence[Multiplier], k: int, n: int) -> tuple[str, Blocks, Array] | None:
    """Name, rows v_i and centres c_i of the multiplier whose last block is k (a layer all linear has none)."""
    for term in multipliers:
        if max(term.A.blocks) != k or set(term.A.blocks) != set(term.B.blocks) or term.A.rows != n:
            continue
        if not all(_is_identity(factor.blocks[k]) for factor in (term.A, term.B)):
            return None
        before = sorted(set(term.A.blocks) - {k})
        lower, upper = ({j: -factor.blocks[j].mid for j in before} for factor in (term.A, term.B))
        v = {j: (upper[j] - lower[j]) / 2 for j in before}
        middle = {j: (upper[j] + lower[j]) / 2 for j in before}
        square = np.asarray(sum(np.einsum("ij,ij->i", v[j], v[j]) for j in before))
        c = np.ones(n)
        product = np.asarray(sum(np.einsum("ij,ij->i", middle[j], v[j]) for j in before))
        np.divide(product, square, out=c, where=square > 0)
        if not before or not np.all(np.isfinite(c)) or np.abs(c).max() > LARGEST_CENTRE:
            return None
        error = np.max([np.abs(middle[j] - c[:, None] * v[j]).max(axis=1) for j in before], axis=0)
        size = np.max([np.abs(middle[j]).max(axis=1) for j in before], axis=0)
        return (term.variable, v, c) if np.all(error <= PARALLEL * size) else None
    return None


def _is_identity(block: Block) -> bool:
    if isinstance(block, Selector):
        return block.is_identity
    return np.array_equal(block.mid, np.eye(len(block.mid)))
