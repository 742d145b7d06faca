"""The search for a large ellipsoid on which Lyapunov's theorem can be proved. It proves nothing itself.

The sectors depend on the region, the region on P: for a shape P0 the largest r is found for which the LMI with the
sectors of
{e'P0e <= r^2} is feasible; then P is optimised in it and becomes the next shape.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar

import numpy as np

from lipctrl.intervals.ball import Ball
from lipctrl.lmi.feasible import balanced_multipliers
from lipctrl.lmi.lmi import LMI, Array, Congruence, MatrixInequality, Values, selector
from lipctrl.lmi.multipliers import Signals
from lipctrl.lmi.solvers import barrier
from lipctrl.lmi.solvers.feasibility import feasible_point
from lipctrl.lmi.solvers.solution import attempt
from lipctrl.plants.loop import Loop
from lipctrl.proofs.verify import holds
from lipctrl.theorems.hinf import lyapunov_matrix
from lipctrl.theorems.lyapunov import Statement, ellipsoid_volume, state

Found = tuple[Statement, dict[str, Array]]


class OnRegion(Protocol):
    """A statement of the theorem on {x* + G zeta : |zeta| <= 1}: an LMI in P and T1, T2, ..."""

    @property
    def signals(self) -> Signals: ...
    @property
    def lmi(self) -> LMI: ...


S = TypeVar("S", bound=OnRegion)
Stated = Callable[[Array], S | None]


def find_global(loop: Loop) -> Found | None:
    """Proved values on all of R^n, or None."""
    statement = state(loop, None)
    shapes = candidate_shapes(loop)
    if not shapes:
        return None
    n = len(shapes[0])
    E = selector(0, n)
    normalised = MatrixInequality("P > shape", (n,), (Congruence("P", E, E, 0.5),), -Ball.exact(shapes[0]))
    lmi = replace(statement.lmi, inequalities=(*statement.lmi.inequalities, normalised))
    found = _solve(replace(statement, lmi=lmi), shapes[0])
    return None if found is None else (statement, found[1])


def find_local(loop: Loop, *, time_limit: float = 20.0, decay: float = 0.0) -> Found | None:
    """Proved values on the largest ellipsoid found within about `time_limit` seconds, or None.

    With `decay` V falls by that rate on it.
    """
    return find_largest(partial(state, loop, decay=decay), candidate_shapes(loop), time_limit)


def find_largest(stated: Stated[S], shapes: Sequence[Array], time_limit: float) -> tuple[S, dict[str, Array]] | None:
    """The same for any statement: `stated` makes it from generators G, or None where it cannot hold."""
    deadline = time.perf_counter() + time_limit
    starts: list[tuple[S, dict[str, Array]]] = []
    for shape in shapes:
        # however slow the machine, the first feasible region is looked for to the end
        limit = deadline if starts else np.inf
        found = _largest(stated, shape, limit, factor=4.0, precision=1.5)
        starts += [] if found is None else [found]
        if time.perf_counter() > deadline:
            break
    starts.sort(key=_volume, reverse=True)
    best = starts[0] if starts else None
    for start in starts:
        best = max(best, _refine(stated, start, deadline), key=_volume)
    return best


def shrunk(loop: Loop, found: Found, share: float, decay: float) -> Found | None:
    """Proved values on the ellipsoid of `found` shrunk to `share` of its radius, or None."""
    statement, values = found
    if statement.generators is None:
        return None
    generators = share * statement.generators
    again = _solve(state(loop, generators, decay), values["P"] / share**2, values)
    return None if again is None else _optimise(again, generators)


def _refine(stated: Stated[S], best: tuple[S, dict[str, Array]], deadline: float) -> tuple[S, dict[str, Array]]:
    """The optimal P becomes the next shape, until the volume grows by less than 2 %."""
    while time.perf_counter() < deadline:
        found = _largest(stated, best[1]["P"], deadline, factor=1.3, precision=1.06, shrink=(0.8,))
        if found is None or _volume(found) < 1.02 * _volume(best):
            break
        best = found
    return best


def candidate_shapes(loop: Loop) -> list[Array]:
    """Lyapunov matrices of the linearised loop."""
    return lyapunov_shapes(loop.A_closed, loop.K @ loop.plant.C, loop.plant.dt)


def lyapunov_shapes(A: Array, gain: Array, dt: float) -> list[Array]:
    """Lyapunov matrices for several Q, scaled so that max |gain e| = 1 on {e'Pe <= 1}."""
    size = max(float(np.linalg.norm(gain)), 1e-12)
    n = len(A)
    shapes = []
    for share in (10.0, 0.1, 1e-3):
        P = lyapunov_matrix(A, gain.T @ gain / size**2 + share * np.eye(n), dt)
        if P is not None:
            reach = float(np.linalg.eigvalsh(gain @ np.linalg.solve(P, gain.T))[-1])
            shapes.append(P * (reach if reach > 0 else 1.0))
    return shapes


def _largest(
    stated: Stated[S],
    shape: Array,
    deadline: float,
    *,
    factor: float,
    precision: float,
    shrink: tuple[float, ...] = (),
) -> tuple[S, dict[str, Array]] | None:
    """Largest feasible r, from 1 by `factor`, then by bisection of log r up to `precision`; P optimised there.

    At the largest r hardly any freedom is left for P: the regions `shrink` * r may hold a larger ellipsoid.
    """
    chol = np.linalg.cholesky(np.linalg.inv(shape))
    good: tuple[float, tuple[S, dict[str, Array]]] | None = None
    bad: float | None = None
    r = 1.0
    for _ in range(14):
        if time.perf_counter() > deadline:
            break
        found = _solve(stated(r * chol), shape / r**2, None if good is None else good[1][1])
        if found is not None:
            good = (r, found)
        else:
            bad = r
        if good is not None and bad is not None and bad / good[0] < precision:
            break
        r = r / factor if good is None else r * factor if bad is None else float(np.sqrt(good[0] * bad))
    if good is None:
        return None
    largest, (_, values) = good
    best = _optimise(good[1], chol * largest)
    for share in shrink:
        if time.perf_counter() > deadline:
            break
        inner = _solve(stated(share * largest * chol), shape / (share * largest) ** 2, values)
        if inner is not None:
            best = max(best, _optimise(inner, chol * share * largest), key=_volume)
    return best


def _solve(statement: S | None, shape: Array, nearby: Values | None = None) -> tuple[S, dict[str, Array]] | None:
    """Feasible and proved values of the statement, from those of a nearby region if they fit."""
    if statement is None:
        return None
    variables = statement.lmi.variables
    if nearby is not None and all(np.shape(nearby.get(v.name, ()))[:1] == (v.size,) for v in variables):
        guess = {name: np.asarray(value, dtype=np.float64) for name, value in nearby.items()}
        guess["P"] = guess["P"] + shape
    else:
        guess = {"P": 1.5 * shape} | {v.name: np.zeros(v.size) for v in variables[1:]}
        growth = -statement.lmi.inequalities[0].evaluate(guess).mid
        t = balanced_multipliers(statement.signals, growth)
        guess |= {v.name: np.full(v.size, t[int(v.name[1:]) - 1]) for v in variables[1:]}
    values = feasible_point(statement.lmi, guess)
    if values is None or not holds(statement.lmi, values):
        return None
    return statement, values


def _optimise(found: tuple[S, dict[str, Array]], generators: Array) -> tuple[S, dict[str, Array]]:
    """A larger ellipsoid in the same sectors: minimise trace(G'PG), then once more weighted by the result (log det)."""
    statement, values = found
    for turn in range(2):
        weight = generators @ generators.T if turn == 0 else np.asarray(np.linalg.inv(values["P"]), dtype=np.float64)
        lmi = replace(statement.lmi, objective={"P": weight}, start=values)
        larger = attempt(barrier.solve, lmi, gap=1e-3, max_iterations=40).values
        if ellipsoid_volume(larger["P"]) > ellipsoid_volume(values["P"]) and holds(statement.lmi, larger):
            values = dict(larger)
    return statement, values


def _volume(found: tuple[OnRegion, Values] | None) -> float:
    return 0.0 if found is None else ellipsoid_volume(found[1]["P"])
