"""Region of attraction of the nonlinear loop by Lyapunov's theorem with sectors: the last rung, in any dimension.

Theorem. Let x* in X* be the equilibrium, e = x - x*, and on {x* + G z : |z|_2 <= 1} let every nonlinear operation of
policy and plant lie in its sector about x* (lmi/deviations.py). If over the signals (e, w)

    P > 0        G'PG - I > 0        -(V+ - V) + sum_i t_i (a_i b_i' + b_i a_i') > 0,  t_i >= 0,   V = e'Pe

then {e'Pe <= 1} is invariant and every trajectory of the nonlinear loop from it converges to x*. (Yin, Seiler, Arcak,
IEEE TAC 2022, Theorem 1, whose pendulum has a channel for sin; here the channels are read off the model's equations.)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lipctrl.errors import LipctrlError
from lipctrl.intervals.ball import Ball
from lipctrl.intervals.interval import Interval
from lipctrl.lmi.deviations import Channels, loop_signals
from lipctrl.lmi.lmi import LMI, Congruence, Factor, MatrixInequality, Values, Variable, selector
from lipctrl.lmi.multipliers import Signals
from lipctrl.networks.network import Network
from lipctrl.plants.model import Model
from lipctrl.plants.program import Program, record_model
from lipctrl.proofs.closed_loop import ClosedLoop
from lipctrl.proofs.core import reach
from lipctrl.proofs.definiteness import is_positive_definite
from lipctrl.proofs.ellipsoid import Ellipsoid
from lipctrl.proofs.equilibria import prove_equilibria
from lipctrl.theorems.hinf import storage_terms
from lipctrl.theorems.lyapunov_search import find_largest, lyapunov_shapes
from lipctrl.theorems.region_core import linear_loop

Array = NDArray[np.float64]

_DECAY = 1e-6
"""V+ <= (1 - decay) V: a little room for the roundings of other programs."""
_LESS = 1.0 - 1e-9


@dataclass(frozen=True)
class Statement:
    """The LMI of the theorem on {x* + G z}, and the channels that it speaks of."""

    channels: Channels
    signals: Signals
    lmi: LMI


@dataclass(frozen=True, eq=False)
class SectorRegion:
    """An ellipsoid from which every trajectory of the nonlinear loop is proved to converge to the equilibrium.

    Attributes
    ----------
    loop : ClosedLoop
    equilibrium : Interval
        Contains exactly one equilibrium, x*.
    ellipsoid : Ellipsoid
        Inside the invariant {(x - x*)'P(x - x*) <= 1} for every x*.
    blocks : tuple of array, shape (m, 4)
        For each group of channels, in the order in which they arise: the sector's ends, the slope of a line close to
        the function, and the multiplier.
    limits : (low, high) or None
        The box in which the equations hold; the ellipsoid lies in it.
    seconds : float
    """

    loop: ClosedLoop
    equilibrium: Interval
    ellipsoid: Ellipsoid
    blocks: tuple[Array, ...]
    limits: tuple[Array, Array] | None
    seconds: float

    @property
    def volume(self) -> float:
        """Rounded down."""
        return self.ellipsoid.volume * _LESS


def state(
    programs: tuple[Program, Program], network: Network, equilibrium: Interval, parameters: Interval, generators: Array
) -> Statement | None:
    """The theorem as an LMI in P and T1, T2, ...; None where something is not bounded on the region."""
    n = len(generators)
    try:
        channels, after = loop_signals(programs, network, equilibrium, parameters, generators)
    except LipctrlError:
        return None
    signals = channels.signals(after)
    variables, terms = signals.multiplier_terms("neuron")
    E, G = selector(0, n), Factor(n, {0: Ball.exact(generators)})
    # of one time step
    storage = (*storage_terms(1.0, after, E), Congruence("P", E, E, -_DECAY / 2))
    inequalities = (
        MatrixInequality("dissipation", signals.sizes, (*storage, *terms)),
        MatrixInequality("P > 0", (n,), (Congruence("P", E, E, 0.5),)),
        MatrixInequality("containment", (n,), (Congruence("P", G, G, 0.5),), -Ball.exact(np.eye(n))),
    )
    return Statement(channels, signals, LMI((Variable("P", n, symmetric=True), *variables), inequalities))


def find_sector_region(
    model: Model,
    network: Network,
    equilibrium: ArrayLike,
    *,
    time_limit: float = 30.0,
    progress: Callable[[str], None] | None = None,
) -> SectorRegion | None:
    """Search and prove the largest ellipsoid about one equilibrium; None if there is none.

    Parameters
    ----------
    model : Model
        Discrete time, exact equations, any number of states; uncertain parameters are covered.
    network : Network
    equilibrium : array_like, shape (n,)
        From Newton's method.
    time_limit : float
        Seconds for the search, about.
    progress : callable, optional

    Raises
    ------
    LipctrlError
        If the model is in continuous time.
    """
    began = time.perf_counter()
    if model.dt == 0:
        raise LipctrlError(
            "This theorem is about sampled models, given one in continuous time.",
            "Use the sector theorems on the linearised plant.",
        )
    say = progress or (lambda stage: None)
    guess = np.asarray(equilibrium, dtype=np.float64)
    rest = prove_equilibria(model, network, guess)
    loop = ClosedLoop(model, network)
    M, gain = linear_loop(loop, guess)
    if rest is None or not np.all(np.isfinite(M)):
        return None
    programs, ends = record_model(model), np.array(list(model.uncertain.values()), dtype=np.float64).reshape(-1, 2)
    parameters = Interval(ends[:, 0], ends[:, 1])
    low, high = model.limits if model.limits is not None else (-np.inf, np.inf)
    say("proving an ellipsoid by sectors")

    def stated(generators: Array) -> Statement | None:
        widths = np.linalg.norm(generators, axis=1) * (1.0 + 1e-6)
        if not (np.all(low <= rest.x.lo - widths) and np.all(rest.x.hi + widths <= high)):
            return None
        return state(programs, network, rest.x, parameters, generators)

    # that of the least weight on the state first: it looks along the gain, where the policy bends
    found = find_largest(stated, lyapunov_shapes(M, gain, model.dt)[::-1], time_limit)
    if found is None:
        return None
    statement, values = found
    ellipsoid = _inside(values["P"], rest.x)
    if ellipsoid is None or not (model.limits is None or _wide(ellipsoid, rest.x).lies_in(*model.limits)):
        return None
    blocks = _blocks(statement, values)
    return SectorRegion(loop, rest.x, ellipsoid, blocks, model.limits, time.perf_counter() - began)


def _inside(P: Array, equilibrium: Interval) -> Ellipsoid | None:
    """{|T (x - center)| <= radius} inside {(x - x*)'P(x - x*) <= 1} for every x*, and about it: P < (1 + 1e-9) T'T."""
    T = np.asarray(np.linalg.cholesky(P).T, dtype=np.float64)
    exact = Ball.exact(T.T) @ Ball.exact(T)
    room = (exact * (1.0 + 1e-9) - Ball.exact(P)).symmetric()
    ball = Ellipsoid(equilibrium.mid, T, 1.0)
    offset = reach(ball, equilibrium)
    radius = (1.0 - 1e-9) - offset
    if not (is_positive_definite(room.mid, room.radius) and radius > 1.001 * offset):
        return None
    return replace(ball, radius=float(radius))


def _wide(ellipsoid: Ellipsoid, equilibrium: Interval) -> Ellipsoid:
    """Where trajectories from the ellipsoid stay: it is invariant about x*."""
    radius = (ellipsoid.radius + 2.0 * reach(ellipsoid, equilibrium)) * (1.0 + 2.0**-36)
    return replace(ellipsoid, radius=radius)


def _blocks(statement: Statement, values: Values) -> tuple[Array, ...]:
    blocks = []
    for k, ((sector, line), kept) in enumerate(
        zip(statement.channels.blocks, statement.signals.nonlinear, strict=True)
    ):
        t = np.zeros(len(line))
        if len(kept):
            t[kept] = values[f"T{k + 1}"]
        blocks.append(np.stack([sector.lo, sector.hi, line, t], axis=1))
    return tuple(blocks)
