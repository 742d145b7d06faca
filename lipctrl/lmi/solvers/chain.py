"""The structured interior-point method for LipSDP of a chain of layers: reduce, solve, translate back.

A shift K couples the input and the output, and a neuron that is linear on the region reaches over its layer
(`feedforward`): such LMIs are for the general method.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from lipctrl.errors import SolverError
from lipctrl.lmi.lmi import LMI, Array, Values
from lipctrl.lmi.solvers import chain_method, feedforward
from lipctrl.lmi.solvers.presolve import Reduction, presolve
from lipctrl.lmi.solvers.solution import Solution

Stop = Callable[[Mapping[str, Array], float], bool]


@dataclass(frozen=True)
class Recognised:
    """A reduced chain and the names under which its numbers are returned: rho, and the multipliers of layers 1..l."""

    reduction: Reduction
    rho: str
    layers: tuple[str, ...]


def recognise(lmi: LMI) -> Recognised | None:
    """The reduced normal form of `lmi`; None if it is not LipSDP of a plain chain of layers, or that of a constant."""
    found = feedforward.recognise(lmi)
    if found is None or not found.form.is_chain:
        return None
    reduction = presolve(found.form)
    return None if reduction is None else Recognised(reduction, found.rho, found.layers)


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
    lower: float = -np.inf,
    stop: Stop | None = None,
    time_limit: float | None = None,
    recognised: Recognised | None = None,
) -> Solution:
    """Minimise the objective of a LipSDP of a chain of layers.

    Parameters
    ----------
    lmi : LMI
    gap : float
        Relative duality gap at which to stop.
    max_iterations : int
    start : mapping, optional
        Strictly feasible values, not far from the central path; by default a point in closed form (`presolve`).
    lower : float
        A lower bound that is known.
    stop : callable, optional
        Called with the best values so far and the best dual value; the method ends when it returns True.
    time_limit : float, optional
        Seconds.
    recognised : Recognised, optional
        What `recognise` returned for `lmi`.

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

    outcome = chain_method.minimise(
        reduction.chain,
        start=point,
        lower=lower / reduction.rho_factor,
        gap=gap,
        max_iterations=max_iterations,
        stop=enough if stop else None,
        deadline=deadline,
    )
    values = original(outcome.rho, outcome.t)
    return Solution(
        values,
        float(values[found.rho][0]),
        reduction.rho_factor * outcome.lower,
        outcome.status,
        outcome.iterations,
        "chain",
    )
