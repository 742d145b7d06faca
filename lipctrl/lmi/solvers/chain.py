"""The structured method for LipSDP of a chain of layers: recognise the data of an LMI, reduce, solve, translate back.

What is recognised: one inequality whose objective is a scalar rho on a positive diagonal of block 0, whose constant
is minus a Gram matrix on the last block, and whose multipliers, one per neuron or one per layer, live on neighbouring
blocks with rows that differ by a factor: a_i = e_i - alpha_i x_i, b_i = e_i - beta_i x_i. A shift K couples blocks 0
and l, and a neuron that is linear on the region reaches over its block: such LMIs are for the general method.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from lipctrl.errors import SolverError
from lipctrl.intervals.ball import Ball
from lipctrl.lmi.lmi import LMI, Array, Gram, Multiplier, Scaled, Values
from lipctrl.lmi.solvers import chain_method
from lipctrl.lmi.solvers.chain_form import Chain
from lipctrl.lmi.solvers.presolve import Reduction, presolve
from lipctrl.lmi.solvers.solution import Solution
from lipctrl.lmi.solvers.warm import Kept, Labels, Neurons, carry

Stop = Callable[[Mapping[str, Array], float], bool]

#: rows of A and B on block k-1 count as parallel up to this relative error
PARALLEL = 1e-9
#: beyond this ratio of centre to half-width of the slopes a neuron is too nearly linear for the normal form
LARGEST_CENTRE = 1e10


@dataclass(frozen=True)
class Recognised:
    """A reduced chain and the names under which its numbers are returned: rho, and the multipliers of layers 1..l."""

    reduction: Reduction
    rho: str
    layers: tuple[str, ...]
    labels: tuple[Labels, ...]

    @property
    def neurons(self) -> Neurons:
        """Names of the layers, with the numbers of the neurons that are left of each."""
        live = (labels[index] for labels, index in zip(self.labels, self.reduction.live, strict=True))
        return dict(zip(self.layers, live, strict=True))


def recognise(lmi: LMI) -> Recognised | None:
    """The reduced normal form of `lmi`; None if it is not LipSDP of a plain chain of layers, or that of a constant."""
    if len(lmi.inequalities) != 1 or len(lmi.objective) != 1:
        return None
    inequality = lmi.inequalities[0]
    sizes = inequality.sizes
    used = [0, *(k for k in range(1, len(sizes)) if sizes[k])]
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
    G = _last_block(inequality.constant, sizes, used[-1])
    if weight is None or G is None:
        return None
    layers = [_layer(multipliers, k, before, sizes[k]) for before, k in pairwise(used)]
    found = [layer for layer in layers if layer is not None]
    if len(found) < depth:
        return None
    names = tuple(name for name, _, _ in found)
    if {v.name for v in lmi.variables} != {rho, *names} or len(set(names)) != depth:
        return None
    count = [lmi.variable(name).size for name in names]
    shared = count != [sizes[k] for k in used[1:]]
    if any(lmi.variable(name).lower != 0.0 for name in names) or (shared and set(count) != {1}):
        return None
    W = [v for _, v, _ in found]
    W[0] = W[0] / np.sqrt(weight)
    reduction = presolve(Chain(tuple(W), tuple(c for _, _, c in found), G, shared))
    if reduction is None:
        return None
    labels = [lmi.variable(name).labels or range(sizes[k]) for name, k in zip(names, used[1:], strict=True)]
    return Recognised(reduction, rho, names, tuple(np.array(every) for every in labels))


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


def _last_block(constant: Ball | Gram, sizes: tuple[int, ...], last: int) -> Array | None:
    """G >= 0 of a constant that is nothing but -G on one block."""
    if isinstance(constant, Gram):
        if set(constant.factor.blocks) != {last} or constant.sign > 0:
            return None
        half = constant.factor.blocks[last].mid
        return -constant.sign * half.T @ half
    begin = sum(sizes[:last])
    G = -constant.mid[begin : begin + sizes[last], begin : begin + sizes[last]]
    if np.count_nonzero(constant.mid) != np.count_nonzero(G):
        return None
    eigenvalues = np.linalg.eigvalsh(G)
    return G if eigenvalues[0] >= -1e-12 * max(eigenvalues[-1], 0.0) else None


def _layer(multipliers: list[Multiplier], k: int, before: int, n: int) -> tuple[str, Array, Array] | None:
    """Name, rows v_i and centres c_i of the multiplier on block k and the one before (a layer all linear has none)."""
    for term in multipliers:
        if set(term.A.blocks) != {k, before} or set(term.B.blocks) != {k, before} or term.A.rows != n:
            continue
        if not all(np.array_equal(factor.blocks[k].mid, np.eye(n)) for factor in (term.A, term.B)):
            return None
        lower, upper = -term.A.blocks[before].mid, -term.B.blocks[before].mid
        v, middle = (upper - lower) / 2, (upper + lower) / 2
        square = np.einsum("ij,ij->i", v, v)
        c = np.ones(n)
        np.divide(np.einsum("ij,ij->i", middle, v), square, out=c, where=square > 0)
        error = np.abs(middle - c[:, None] * v).max(axis=1)
        if not np.all(np.isfinite(c)) or np.abs(c).max() > LARGEST_CENTRE:
            return None
        return (term.variable, v, c) if np.all(error <= PARALLEL * np.abs(middle).max(axis=1)) else None
    return None


def forecast(found: Recognised) -> int:
    """Bytes that `solve` needs at most."""
    form = found.reduction.chain
    return chain_method.forecast(form.sizes, form.shared)


def solve(
    lmi: LMI,
    *,
    gap: float = 1e-7,
    max_iterations: int = 100,
    start: Values | None = None,
    stop: Stop | None = None,
    time_limit: float | None = None,
    recognised: Recognised | None = None,
    warm: object = None,
) -> Solution:
    """Minimise the objective of a LipSDP of a chain of layers.

    Parameters
    ----------
    lmi : LMI
    gap : float
        Relative duality gap at which to stop.
    max_iterations : int
    start : mapping, optional
        Strictly feasible values; by default a point in closed form (`presolve`).
    stop : callable, optional
        Called with the best values so far and the best dual value; the method ends when it returns True.
    time_limit : float, optional
        Seconds.
    recognised : Recognised, optional
        What `recognise` returned for `lmi`.
    warm : object, optional
        `Solution.kept` of a similar problem.

    Raises
    ------
    SolverError
        If `lmi` is not of this structure, or the start is not strictly feasible.
    """
    began = time.perf_counter()
    found = recognised or recognise(lmi)
    if found is None:
        raise SolverError("The LMI is not LipSDP of a plain chain of layers.", "Use solver='barrier'.")
    reduction = found.reduction

    def original(rho: float, t: Array) -> dict[str, Array]:
        factor, multipliers = reduction.original(rho, t)
        return {found.rho: np.array([factor])} | dict(zip(found.layers, multipliers, strict=True))

    def enough(rho: float, t: Array, lower: float) -> bool:
        return bool(stop and stop(original(rho, t), reduction.rho_factor * lower))

    point = None
    if start is not None:
        factor = float(np.asarray(start[found.rho]).reshape(()))
        point = reduction.scaled(factor, [start[name] for name in found.layers])
    deadline = None if time_limit is None else began + time_limit

    limits: Any = {"gap": gap, "max_iterations": max_iterations, "stop": enough if stop else None, "deadline": deadline}

    def run(point: tuple[float, Array] | None, dual: Array | None = None) -> chain_method.Outcome:
        return chain_method.minimise(reduction.chain, start=point, dual=dual, **limits)

    carried = "" if warm is None or start is not None else carry(warm, reduction, found.neurons)
    words = f"cold ({carried})" if carried and isinstance(carried, str) else "cold"
    if isinstance(carried, str):
        outcome = run(point)
    else:
        outcome, words = run(carried[:2], carried[2]), "warm"
        if outcome.status == "inaccurate":
            first, second = outcome, run(point)
            better = min(first, second, key=lambda each: each.rho)
            outcome = replace(second, rho=better.rho, t=better.t, lower=max(first.lower, second.lower))
            words = f"cold (the warm start failed after {first.iterations} iterations)"
    values = original(outcome.rho, outcome.t)
    return Solution(
        values,
        float(values[found.rho][0]),
        reduction.rho_factor * outcome.lower,
        outcome.status,
        outcome.iterations,
        "chain",
        words,
        kept=Kept(reduction, found.neurons, *outcome.kept),
    )
