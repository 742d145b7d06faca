"""LipSDP of a feedforward network as blocks, and its least rho at given multipliers.

    minimise rho  s.t.  M(rho, t) = [rho I on block 0] - C'C + sum_i t_i (p_i p_i' - v_i v_i') > 0

over signals d, w_1, ..., w_l. Neuron i of layer k has the row v_i = (beta_i - alpha_i)/2 x_i over any blocks before k,
and p_i = e_i - c_i v_i, c_i = (alpha_i + beta_i)/(beta_i - alpha_i) (`chain_form`): neurons that are linear on a region
make rows reach over a layer, a shift K makes the output z = C (d, w) depend on d. A chain is the case of rows over
block k-1 alone and C on block l alone.

The least rho, by elimination of w_l, ..., w_1: with Q_ij = (C'C)_ij to begin with and D = T_k - Q_kk > 0,

    S_j = c T W_kj + Q_kj        Q_ij += S_i' D^-1 S_j - W_ki' (c^2 - 1) T W_kj        (i, j < k)

and rho = lambda_max(Q_00). While Q is still C'C with few rows, D^-1 comes from I - C_k T^-1 C_k' (Woodbury).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cholesky, solve_triangular

from lipctrl.intervals.ball import Ball
from lipctrl.lmi.blocks import Block, Selector
from lipctrl.lmi.lmi import LMI, Array, Gram, Multiplier, Scaled
from lipctrl.lmi.solvers.chain_form import block_slices

#: rows of A and B on the blocks before count as parallel up to this relative error
PARALLEL = 1e-9
#: beyond this ratio of centre to half-width of the slopes a neuron is too nearly linear for the normal form
LARGEST_CENTRE = 1e10

Blocks = Mapping[int, Array]
Labels = NDArray[np.intp]


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

    @property
    def depth(self) -> int:
        return len(self.W)

    @cached_property
    def plain(self) -> tuple[bool, ...]:
        """Whether all slopes of a layer are [0, beta] (c = 1)."""
        return tuple(bool(np.all(c == 1)) for c in self.c)

    @property
    def is_chain(self) -> bool:
        """Whether every layer sees the one before alone, and the output the last."""
        return set(self.C) == {self.depth} and all(set(W) == {k} for k, W in enumerate(self.W))


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


def least_rho(form: Feedforward, t: Array) -> float:
    """The least rho for which M(rho, t) >= 0; inf if there is none."""
    if not np.all(np.isfinite(t)):
        return np.inf
    Q: dict[tuple[int, int], Array] = {}
    factored = True
    parts = block_slices(form.sizes[1:])
    for k in range(form.depth, 0, -1):
        W, c, part = form.W[k - 1], form.c[k - 1], t[parts[k - 1]]
        try:
            if factored and (k not in form.C or 2 * len(form.C[k]) < len(part)):
                halves = _first_rows(W, c, part, form.C, k)
            else:
                if factored:
                    Q = _products(form.C, form.C, Q)
                halves = [_rows(W, c, part, Q, k)]
        except LinAlgError:
            return np.inf
        if factored and k in form.C:
            factored = False
            if not Q:
                Q = _products({j: C for j, C in form.C.items() if j < k}, form.C, Q)
        Q = {key: value for key, value in Q.items() if key[1] < k}
        for half in halves:
            Q = _products(half, half, Q)
        if not form.plain[k - 1]:
            Q = _products({j: -((c**2 - 1) * part)[:, None] * V for j, V in W.items()}, W, Q)
    rest = Q.get((0, 0))
    if rest is None or not np.all(np.isfinite(rest)):
        return np.inf
    return float(np.linalg.eigvalsh((rest + rest.T) / 2)[-1])


def _products(left: Blocks, right: Blocks, into: dict[tuple[int, int], Array]) -> dict[tuple[int, int], Array]:
    """Q_ij + left_i' right_j for i <= j."""
    for i, j in combinations_with_replacement(sorted(left), 2):
        product = left[i].T @ right[j]
        into[i, j] = into[i, j] + product if (i, j) in into else product
    return into


def _rows(W: Blocks, c: Array, t: Array, Q: Mapping[tuple[int, int], Array], k: int) -> Blocks:
    """L^-1 S_j with D = L L'."""
    D = np.diag(t)
    if (k, k) in Q:
        D = D - Q[k, k]
    L = cholesky(D, lower=True, overwrite_a=True, check_finite=False)
    before = {j for j in range(k) if j in W or (j, k) in Q}
    S = {j: np.zeros((len(t), W[j].shape[1] if j in W else len(Q[j, k]))) for j in before}
    for j, rows in S.items():
        if j in W:
            rows += (c * t)[:, None] * W[j]
        if (j, k) in Q:
            rows += Q[j, k].T
    return {j: solve_triangular(L, rows, lower=True, check_finite=False) for j, rows in S.items()}


def _first_rows(W: Blocks, c: Array, t: Array, C: Blocks, k: int) -> list[Blocks]:
    """X_j = T^-1/2 S_j and E X_j: S' D^-1 S = X'X + (EX)'(EX) with E = L^-1 B, B = C_k T^-1/2, L L' = I - B B'."""
    if not np.all(t > 0):
        raise LinAlgError("A multiplier is not positive.")
    root = np.sqrt(t)
    X = {j: (c * root)[:, None] * V for j, V in W.items()}
    if k not in C:
        return [X]
    B = C[k] / root
    for j in C:
        if j < k:
            X[j] = X[j] + B.T @ C[j] if j in X else B.T @ C[j]
    L = cholesky(np.eye(len(B)) - B @ B.T, lower=True, check_finite=False)
    E = solve_triangular(L, B, lower=True, check_finite=False)
    return [X, {j: E @ rows for j, rows in X.items()}]
