"""Region of attraction of the nonlinear loop of an exact model in two to six states: a chain of level sets.

The ladder, each rung proved by itself and resting on the one below:

    equilibrium   proofs/equilibrium.py   exactly one equilibrium x* in a tiny box
    core          proofs/core.py          the loop contracts in an ellipsoid about x*
    levels        proofs/decrease.py      a quadratic V falls outside the core and the levels before

Anytime: what is proved when the time is up is proved.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lipctrl.errors import LipctrlError
from lipctrl.intervals.interval import Interval
from lipctrl.networks.network import Network
from lipctrl.plants.model import Model
from lipctrl.proofs.closed_loop import ClosedLoop
from lipctrl.proofs.core import Stage, final_stages, reach
from lipctrl.proofs.ellipsoid import Ellipsoid
from lipctrl.proofs.equilibria import prove_equilibria
from lipctrl.proofs.equilibrium import prove_equilibrium
from lipctrl.theorems.level_shape import Wish, covered
from lipctrl.theorems.region_core import find_core
from lipctrl.theorems.region_falsify import contradiction, ends_elsewhere
from lipctrl.theorems.region_levels import Level, converges, find_levels

Array = NDArray[np.float64]
Progress = Callable[[str], None]

LEAST, MOST = 2, 6
"""Numbers of states."""
_RADII = (1e-9, 1e-8, 1e-7, 1e-6)
_CORE_SPLITS = {2: 16, 3: 8, 4: 4, 5: 3, 6: 2}
_STARTS = 2_000


@dataclass(frozen=True, eq=False)
class LevelRegion:
    """States from which every trajectory of the nonlinear loop is proved to converge to the equilibrium.

    Attributes
    ----------
    loop : ClosedLoop
    equilibrium : Interval
        Contains exactly one equilibrium, x*.
    core : Ellipsoid
    levels : tuple of Level
        A chain: V of each falls outside the core and the levels before. Their union is the region.
    limits : (low, high) or None
        The box in which the equations hold. Core and levels lie in it, and trajectories stay in them.
    box : (low, high) or None
        What was required, and whether one of the levels contains it.
    box_certified : bool
    stages : tuple of Stage
        The balls about x* that trajectories enter one after the other under errors of the action; else none.
    simulated_share : float
        Of starts in the box around the largest level, how many converge in simulation.
    covered_share : float
        Of those that converge, how many are certified.
    seconds : float
    """

    loop: ClosedLoop
    equilibrium: Interval
    core: Ellipsoid
    levels: tuple[Level, ...]
    limits: tuple[Array, Array] | None
    box: tuple[Array, Array] | None
    box_certified: bool
    stages: tuple[Stage, ...]
    simulated_share: float
    covered_share: float
    seconds: float

    @property
    def largest(self) -> Ellipsoid:
        return max((self.core, *self.levels), key=lambda e: e.volume)

    @property
    def volume(self) -> float:
        """Of the largest level, rounded down."""
        return self.largest.volume * (1.0 - 1e-9)

    @property
    def cells(self) -> int:
        return sum(level.cells for level in self.levels)

    @property
    def action_error(self) -> float:
        return self.loop.action_error

    @property
    def arithmetic(self) -> str:
        return self.loop.arithmetic

    @property
    def disturbed(self) -> bool:
        """Whether trajectories end in a ball about x* rather than in x*."""
        return bool(self.stages)

    @property
    def final_half_widths(self) -> Array:
        """Bounds of abs(x_i - x*_i) at the end, x* the equilibrium of the trajectory's own parameters."""
        radius = self.stages[-1].radius if self.stages else 0.0
        return np.asarray(replace(self.core, radius=radius).reach())

    @property
    def largest_rounding(self) -> float:
        """A bound of the error of evaluating any action in the boxes around core and levels."""
        half = np.array([e.half_widths for e in (self.core, *self.levels)]) * (1.0 + 1e-6)
        center = np.array([e.center for e in (self.core, *self.levels)])
        return self.loop.largest_rounding(center - half, center + half)

    def contains(self, x: ArrayLike) -> NDArray[np.bool_]:
        """Whether states, shape (N, n), lie in the region (floating point at its edge)."""
        return covered((self.core, *self.levels), np.asarray(x, dtype=np.float64))


def find_level_region(
    model: Model,
    network: Network,
    equilibrium: ArrayLike,
    *,
    box: tuple[ArrayLike, ArrayLike] | None = None,
    time_limit: float = 30.0,
    max_steps: int = 4,
    action_error: float = 0.0,
    arithmetic: str = "real",
    seed: int = 0,
    progress: Progress | None = None,
) -> LevelRegion | None:
    """Search and prove a chain of level sets about one equilibrium; None if no core could be proved.

    Parameters
    ----------
    model : Model
        Discrete time, exact equations, two to six states; uncertain parameters are covered.
    network : Network
    equilibrium : array_like, shape (n,)
        From Newton's method.
    box : (low, high), optional
        A box of states that one level should contain; then it grows as it can.
    time_limit : float
        Seconds for the search.
    max_steps : int
        V may fall after any of so many steps; one step alone where the model has limits; 0: stop once the largest level
        grows no more.
    action_error : float
        Size of the errors of each action that are covered; trajectories then end in a small ball about x*.
    arithmetic : {"real", "float32"}
        Of the policy.
    seed : int
    progress : callable, optional

    Raises
    ------
    LipctrlError
        If the model is not of this kind, the box is none, or the proof contradicts the simulation (a fault of ours).
    """
    began = time.perf_counter()
    deadline = began + time_limit
    n = model.n_states
    if model.dt == 0 or not LEAST <= n <= MOST:
        raise LipctrlError(
            f"Level sets by branch and bound need a discrete-time model of {LEAST} to {MOST} states, given {n} and "
            f"dt = {model.dt}.",
            "Use the sector theorems on the linearised plant.",
        )
    wanted = None if box is None else _box(box, n)
    say = progress or (lambda stage: None)
    loop = ClosedLoop(model, network, action_error, arithmetic)
    guess = np.asarray(equilibrium, dtype=np.float64)
    if model.uncertain:
        rest = prove_equilibria(model, network, guess)
    else:
        rest = prove_equilibrium(model, network, guess, _RADII)
    if rest is None:
        return None
    say("proving a core")
    core = find_core(loop, rest.x.mid if model.uncertain else guess, rest.x, _CORE_SPLITS[n])
    limits = model.limits
    if core is not None and limits is not None:
        core = _within(core, *limits)
    if core is None:
        return None
    stages = final_stages(loop, core, rest.x, _CORE_SPLITS[n])
    if loop.disturbed and not stages:
        return None
    # it contracts about x*
    wide = replace(core, radius=(core.radius + 2.0 * reach(core, rest.x)) * (1.0 + 2.0**-36))
    if not (limits is None or (wide.lies_in(*limits) and reach(core, rest.x) < core.radius)):
        return None
    corners = None if wanted is None else _corners(*wanted)
    low, high = (None, None) if limits is None else limits
    say("proving level sets")
    chain = find_levels(
        loop,
        core,
        deadline=deadline,
        wish=Wish(low, high, corners),
        max_steps=min(max_steps, 1) if limits is not None else max_steps,
        seed=seed,
        progress=lambda level: say(f"proving level sets: volume {level.volume:.4g}"),
    )
    if limits is not None:
        # levels rest on those before: the first that leaves the limits ends the chain
        inside = [level.lies_in(*limits) for level in chain]
        chain = chain[: inside.index(False)] if False in inside else chain
    say("simulating")
    largest = max((core, *chain), key=lambda e: e.volume)
    half = largest.half_widths
    starts = largest.center + half * np.random.default_rng(seed).uniform(-1.0, 1.0, (_STARTS, n))
    claimed = covered((core, *chain), starts)
    wrong = ends_elsewhere(loop, core, np.zeros(n, dtype=bool), starts[claimed])
    if len(wrong):
        raise contradiction(wrong[0])
    arrived = claimed | converges(loop, [core, *chain], starts, 20.0 * half)
    return LevelRegion(
        loop=loop,
        equilibrium=rest.x,
        core=core,
        stages=stages,
        levels=tuple(chain),
        limits=limits,
        box=wanted,
        box_certified=wanted is not None
        and any(bool(e.contains_boxes(wanted[0][None], wanted[1][None])[0]) for e in (core, *chain)),
        simulated_share=float(arrived.mean()),
        covered_share=float(claimed.sum() / max(int(arrived.sum()), 1)),
        seconds=time.perf_counter() - began,
    )


def _box(box: tuple[ArrayLike, ArrayLike], n: int) -> tuple[Array, Array]:
    low, high = (np.asarray(end, dtype=np.float64) for end in box)
    if not (low.shape == high.shape == (n,) and np.all(np.isfinite(low) & np.isfinite(high)) and np.all(low < high)):
        raise LipctrlError(f"A box of states needs two corners of {n} finite numbers, lower < upper, given {box}.")
    return low, high


def _corners(low: Array, high: Array) -> Array:
    n = len(low)
    return np.array([[(high if corner >> i & 1 else low)[i] for i in range(n)] for corner in range(2**n)])


def _within(core: Ellipsoid, low: Array, high: Array) -> Ellipsoid | None:
    """The core, or a smaller one like it, which contracts too, with some room in a box."""
    room = 0.99 * float(np.min(np.minimum(core.center - low, high - core.center) / core.half_widths))
    return None if room <= 0.0 else replace(core, radius=min(room, 1.0) * core.radius)
