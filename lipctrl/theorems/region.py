"""Region of attraction of the nonlinear loop of an exact model, proved by cells.

The ladder, each rung proved by itself and resting on the one below:

    equilibrium      proofs/equilibrium.py   exactly one equilibrium x* in a tiny box
    core             proofs/core.py          the loop contracts in an ellipsoid about x*
    ellipsoids       proofs/decrease.py      a quadratic V decreases outside the core, by branch and bound
    windows, domain  proofs/cells.py         backward reachability on grids, finer towards x*

Anytime: what is proved when the time is up is proved.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lipctrl.errors import LipctrlError
from lipctrl.intervals.interval import Interval
from lipctrl.networks.network import Network
from lipctrl.plants.goal import wrap
from lipctrl.plants.model import Model
from lipctrl.plants.model_checks import angles_of
from lipctrl.presentation import bar
from lipctrl.proofs.cells import CertifiedSet
from lipctrl.proofs.closed_loop import ClosedLoop
from lipctrl.proofs.core import Stage, final_ball, final_stages
from lipctrl.proofs.ellipsoid import Ellipsoid
from lipctrl.proofs.equilibria import prove_equilibria
from lipctrl.proofs.grid import Grid
from lipctrl.proofs.rest_states import RestStates, find_rest_states
from lipctrl.theorems.region_cells import fill
from lipctrl.theorems.region_core import find_core, linear_loop
from lipctrl.theorems.region_falsify import (
    Failure,
    Simulation,
    contradiction,
    ends_elsewhere,
    find_failures,
    simulate_domain,
)
from lipctrl.theorems.region_levels import find_levels

Array = NDArray[np.float64]
Progress = Callable[[str], None]

STEPS = (1, 3, 8, 20)
"""Images after so many steps are compared with the certified cells."""
SLOW_STEPS = (1, 4, 12, 36)
_FIRST, LAST, _WINDOW_LAST = 6, 13, 6
_FOLLOWED = 200
"""So many certified starts that did not arrive in time are followed much longer."""
_ELLIPSOIDS, _PROOF = 0.15, 0.92
"""Shares of the time after which ellipsoids and all proofs end; the rest is for what does not converge."""


@dataclass(frozen=True, eq=False)
class RegionOfAttraction:
    """States from which every trajectory of the nonlinear loop is proved to converge to the equilibrium.

    Attributes
    ----------
    equilibrium : Interval
        Contains exactly one equilibrium, x*.
    core : Ellipsoid
    final : Ellipsoid
        Where every trajectory ends: the enclosure of x*, tiny without uncertain parameters, and errors of the action.
    stages : tuple of Stage
        The balls about x* that trajectories enter one after the other under errors of the action; else none.
    action_error : float
        Everything holds for every error up to this size in each action at each step.
    arithmetic : {"real", "float32"}
        Of the policy; with "float32" everything holds for its errors, too.
    ellipsoids : tuple of Ellipsoid
        A chain: V of each decreases outside the one before (first: the core).
    cells : CertifiedSet
        Grids, records (cells with rank and number of steps). The last grid is that of the whole domain.
    lower, upper : array, shape (n,)
        The domain asked for, angles between -pi and pi.
    volume, domain_volume, share : float
        Of the certified cells in the domain (the ellipsoids and finer windows between them not counted), rounded down.
    simulation : Simulation
        A sampled picture of the same domain, with starts that do not converge.
    rest : RestStates
        All other states of the domain in which the loop rests (proved); none of them is in the certified set.
    failures : tuple of Failure
        What the simulation found that does not converge to the equilibrium, by kind; empty if nothing.
    seconds : float
    guide : Simulation
        Of the whole box of the cells: where the search tried first.
    parts : tuple of RegionOfAttraction
        Of the parts of the box of uncertain parameters, if it was cut; the cells are then what all have in common, core
        and ellipsoids those of one part.
    weight : float
        The share of a part in the box.
    """

    equilibrium: Interval
    core: Ellipsoid
    final: Ellipsoid
    stages: tuple[Stage, ...]
    action_error: float
    arithmetic: str
    ellipsoids: tuple[Ellipsoid, ...]
    cells: CertifiedSet
    lower: Array
    upper: Array
    volume: float
    domain_volume: float
    simulation: Simulation
    rest: RestStates
    failures: tuple[Failure, ...]
    seconds: float
    guide: Simulation = field(repr=False)
    history: tuple[tuple[float, float], ...] = field(default=(), repr=False)
    parts: tuple[RegionOfAttraction, ...] = field(default=(), repr=False)
    weight: float = 1.0

    @property
    def share(self) -> float:
        return self.volume / self.domain_volume

    @property
    def angles(self) -> NDArray[np.bool_]:
        """Which states full turns leave alone."""
        return self.cells.grids[-1].angles

    @property
    def everything(self) -> bool:
        """Whether every state of the domain is certified."""
        grid = self.cells.grids[-1]
        return bool(grid.covers(grid.ranges(self.lower[None], self.upper[None]))[0])

    @property
    def n_cells(self) -> int:
        return sum(len(record.index) for record in self.cells.records)

    @property
    def others(self) -> tuple[Array, ...]:
        """The other states in which the loop rests."""
        return tuple(box.mid for box in self.rest.proved)

    def contains(self, x: ArrayLike) -> NDArray[np.bool_]:
        """Whether states, shape (..., n), lie in the certified set (floating point at its edges)."""
        points = np.asarray(x, dtype=np.float64)
        if self.parts:
            return self._in_all_parts(points.reshape(-1, points.shape[-1])).reshape(points.shape[:-1])
        return certified(self.cells, points)

    def _in_all_parts(self, points: Array) -> NDArray[np.bool_]:
        """Those in the common cells need no part; of the others a part with few soon leaves none."""
        inside = certified(self.cells, points)
        left = np.flatnonzero(~inside)
        for part in sorted(self.parts, key=lambda part: part.volume):
            if len(left):
                left = left[part.contains(points[left])]
        inside[left] = True
        return inside

    @property
    def covered(self) -> dict[str, tuple[float, float]]:
        """The box of uncertain parameters for which it is proved."""
        return covered(self.parts or (self,))

    def settled(self) -> RegionOfAttraction:
        """With the certified starts of the simulation among those that converge: some arrive late."""
        late = ~self.simulation.converging
        late[late] = self.contains(self.simulation.starts[late])
        return replace(self, simulation=self.simulation.with_arrival(late))

    @property
    def least_share(self) -> float:
        """The share of the domain that is certified for each value of the uncertain parameters by itself, at least."""
        return min((part.share for part in self.parts), default=self.share)

    @property
    def pairs_share(self) -> float:
        """The share of all pairs of a state of the domain and a value of the uncertain parameters."""
        return sum(part.share * part.weight for part in self.parts) if self.parts else self.share

    @property
    def disturbed(self) -> bool:
        """Whether trajectories end in a ball about x* rather than in x*."""
        return bool(self.stages)

    @property
    def final_half_widths(self) -> Array:
        """Bounds of abs(x_i - x*_i) at the end, x* the equilibrium of the trajectory's own parameters."""
        if self.parts:
            return np.asarray(np.max([part.final_half_widths for part in self.parts], axis=0))
        radius = self.stages[-1].radius if self.stages else 0.0
        return np.asarray(replace(self.core, radius=radius).reach())

    @property
    def largest_rounding(self) -> float:
        """A bound of the error of evaluating any action at any state of the domain."""
        if self.parts:
            return max(part.largest_rounding for part in self.parts)
        grid = Grid(self.cells.grids[-1].low, self.cells.grids[-1].width, self.cells.grids[-1].angles, _FIRST)
        return self.cells.loop.largest_rounding(*grid.boxes(grid.unmarked()))


def find_region(
    model: Model,
    network: Network,
    equilibrium: ArrayLike,
    *,
    lower: ArrayLike | None = None,
    upper: ArrayLike | None = None,
    time_limit: float = 10.0,
    action_error: float = 0.0,
    arithmetic: str = "real",
    last_level: int = LAST,
    enough: float = 1.0,
    like: RegionOfAttraction | None = None,
    progress: Progress | None = None,
) -> RegionOfAttraction | None:
    """Search and prove the region of attraction of one equilibrium; None if no core could be proved.

    Parameters
    ----------
    model : Model
        Discrete time, exact equations, two states.
    network : Network
    equilibrium : array_like, shape (n,)
        From Newton's method.
    lower, upper : array_like, shape (n,), optional
        The domain whose share is wanted, by default the model's box of states, and -pi to pi of angles. The search
        covers the model's box, too: trajectories may pass there.
    time_limit : float
        Seconds for the search.
    action_error : float
        Size of the errors of each action that are covered (actuator); the claim then is convergence to the small set
        `final` about the equilibrium.
    arithmetic : {"real", "float32"}
        Of the policy. With "float32" the errors of networks/float32.py are covered too, cell by cell.
    last_level : int
        The finest grid has 2^last_level cells along each axis.
    enough : float
        Share of the domain with which the search ends.
    like : RegionOfAttraction, optional
        Of a similar loop: the shape of its core is tried first.
    progress : callable, optional

    Raises
    ------
    LipctrlError
        If the model is not of this kind, or if the proof contradicts the simulation (which would be a fault of ours).
    """
    began = time.perf_counter()
    deadline = began + _PROOF * time_limit
    say = progress or (lambda stage: None)
    low, high, wide, angles = domain_of(model, lower, upper)
    loop = ClosedLoop(model, network, action_error, arithmetic)
    guess = np.asarray(equilibrium, dtype=np.float64)
    found = prove_equilibria(model, network, guess)
    if found is None:
        return None
    say("proving a core")
    center = found.x.mid if model.uncertain else guess
    core = find_core(loop, center, found.x, like=None if like is None else like.core)
    if core is None:
        return None
    stages = final_stages(loop, core, found.x)
    if loop.disturbed and not stages:
        return None
    say("proving ellipsoids")
    chain = find_levels(loop, core, deadline=time.perf_counter() + min(_ELLIPSOIDS * time_limit, 2.0), max_steps=0)
    proved = CertifiedSet(loop, [core, *chain])
    history: list[tuple[float, float]] = []

    def tell(share: float, done: bool) -> None:
        if done:
            history.append((time.perf_counter() - began, share))
        say(f"certified {bar(share)} {100 * share:.2f} % of the domain")

    steps = images_after(core, loop)
    _zoom(proved, max((core, *chain), key=lambda e: e.volume), *wide, deadline, steps)
    say("simulating")
    guide = simulation = simulate_domain(loop, core, *wide, angles)
    if not np.array_equal(wide, (low, high)):
        simulation = simulate_domain(loop, core, low, high, angles, per_axis=32)
    domain = Grid.around(*wide, angles, _FIRST)
    place = proved.add_grid(domain)

    def share(grid: Grid) -> float:
        part, whole = certified_volume(grid, low, high)
        return part / whole

    fill(proved, place, steps, last_level, deadline, enough, share, arrival=guide.arrival_near, progress=tell)
    say("finding all equilibria, and what does not converge")
    rest = elsewhere(loop, domain, core, angles, time.perf_counter() + 0.5 + 0.1 * time_limit)
    simulation = simulation.extended(loop, core, angles, *domain.boxes(domain.unmarked()))
    volume, whole = certified_volume(domain, low, high)
    result = RegionOfAttraction(
        equilibrium=found.x,
        core=core,
        final=final_ball(core, found.x, stages),
        stages=stages,
        action_error=action_error,
        arithmetic=arithmetic,
        ellipsoids=tuple(chain),
        cells=proved,
        lower=low,
        upper=high,
        volume=volume,
        domain_volume=whole,
        simulation=simulation,
        rest=rest,
        failures=find_failures(loop, core, angles, simulation),
        seconds=time.perf_counter() - began,
        guide=guide,
        history=tuple(history),
    )
    confront(result, loop, angles)
    return result.settled()


def covered(regions: Sequence[RegionOfAttraction]) -> dict[str, tuple[float, float]]:
    """The smallest box around those of the uncertain parameters of some regions."""
    boxes = [region.cells.loop.model.uncertain for region in regions]
    return {name: (min(b[name][0] for b in boxes), max(b[name][1] for b in boxes)) for name in boxes[0]}


def elsewhere(
    loop: ClosedLoop, domain: Grid, core: Ellipsoid, angles: NDArray[np.bool_], deadline: float
) -> RestStates:
    """All equilibria but x* (at the nominal parameters): in certified cells nothing else rests."""
    exact = ClosedLoop(next(loop.model.extremes()), loop.network)
    found = find_rest_states(exact, *domain.unmarked_boxes(_FIRST), angles, deadline)
    periods = np.where(angles, 2 * np.pi, 0.0)
    away = [np.linalg.norm(core.T @ wrap(box.mid - core.center, periods)) > core.radius for box in found.proved]
    return replace(found, proved=tuple(box for box, other in zip(found.proved, away, strict=True) if other))


def confront(result: RegionOfAttraction, loop: ClosedLoop, angles: NDArray[np.bool_]) -> None:
    """The proof against the simulation: certified starts that did not arrive in time are followed much longer, and are
    against it if they end elsewhere or run in an orbit.

    Starts from which two values of the parameters end full turns apart are not certified for all of them.
    """
    simulation = result.simulation
    failing, apart = simulation.failing, simulation.starts[simulation.apart]
    late = failing[result.contains(failing)][:_FOLLOWED]
    wrong = [x for x in result.others if result.contains(x)] + list(apart[result.contains(apart)])
    wrong += list(ends_elsewhere(loop, result.core, angles, late))
    if wrong:
        raise contradiction(wrong[0])


def domain_of(
    model: Model, lower: ArrayLike | None, upper: ArrayLike | None
) -> tuple[Array, Array, tuple[Array, Array], NDArray[np.bool_]]:
    """The domain asked for; the box of the cells, which holds it and the model's box of states; which are angles."""
    if model.dt == 0 or model.n_states != 2:
        raise LipctrlError(
            f"Regions by cells need a discrete-time model of two states, given {model.n_states} and dt = {model.dt}.",
            "Use the sector theorems on the linearised plant.",
        )
    if model.limits is not None:
        raise LipctrlError(
            f"The equations of {model.name} hold within limits only, which trajectories from cells may leave.",
            "Use level sets (find_level_region), which stay within.",
        )
    angles = angles_of(model)
    wide = np.where(angles, -np.pi, model.state_low), np.where(angles, np.pi, model.state_high)
    low, high = (
        np.array(given if given is not None else limit, dtype=np.float64)
        for given, limit in ((lower, wide[0]), (upper, wide[1]))
    )
    if not (low.shape == high.shape == (2,) and np.all(np.isfinite(low) & np.isfinite(high)) and np.all(low < high)):
        raise LipctrlError(
            f"A domain needs two finite corners of two numbers, lower < upper, given {low} and {high}.",
            "Name it: --box LOW HIGH, in Python box=(low, high).",
        )
    if np.any(angles & ((low < -3.142) | (high > 3.142))):
        raise LipctrlError(f"The domain reaches from {low} to {high}.", "Angles are counted from -pi to pi.")
    low, high = np.where(angles, np.maximum(low, -np.pi), low), np.where(angles, np.minimum(high, np.pi), high)
    bottom = np.where(np.isfinite(wide[0]), np.minimum(wide[0], low), low)
    top = np.where(np.isfinite(wide[1]), np.maximum(wide[1], high), high)
    return low, high, (bottom, top), angles


def _zoom(
    proved: CertifiedSet, seed: Ellipsoid, low: Array, high: Array, deadline: float, steps: tuple[int, ...]
) -> None:
    """Windows about the equilibrium, each 2.5 times as wide as the one before, until the domain's cells see them.

    The wide ones pay even where little of them is certified: without, steep policies get nothing beyond.
    """
    half = 1.5 * np.sqrt(np.diag(np.linalg.inv(seed.P)))

    def far(x: Array) -> Array:
        return np.asarray(np.sum(((x - seed.center) @ seed.T.T) ** 2, axis=1))

    while np.any(half < 16.0 * (high - low) / 2**_FIRST / 2) and time.perf_counter() < deadline:
        half = 2.5 * half
        bottom, top = np.maximum(seed.center - half, low), np.minimum(seed.center + half, high)
        if not np.all(bottom < top):  # the equilibrium lies beyond the box
            continue
        window = Grid.around(bottom, top, np.zeros(2, dtype=bool), 5)
        if np.all(window.width > 0.5 * (high - low)):
            return
        share = fill(proved, proved.add_grid(window), steps, _WINDOW_LAST, deadline, enough=0.995, arrival=far)
        if share == 0.0:
            return


def certified_volume(grid: Grid, low: Array, high: Array) -> tuple[float, float]:
    """Certified and whole volume of the domain, the first rounded down."""
    left = np.ones(len(index := grid.unmarked()))
    for i in range(grid.n):
        edges = grid.low[i] + np.arange(grid.count + 1) * grid.cell[i]
        left *= np.diff(np.clip(edges, low[i], high[i]))[index[:, i]]
    whole = float(np.prod(high - low))
    return max((whole - float(left.sum())) - 1e-9 * whole, 0.0), whole


def certified(proved: CertifiedSet, x: Array) -> NDArray[np.bool_]:
    """Whether states lie in the certified set (floating point at its edges)."""
    points = x.reshape(-1, x.shape[-1])
    inside = np.zeros(len(points), dtype=bool)
    for grid in proved.grids:
        inside |= grid.covers(grid.ranges(points, points))
    for ellipsoid in proved.ellipsoids:
        inside |= np.sum(((points - ellipsoid.center) @ ellipsoid.T.T) ** 2, axis=1) <= ellipsoid.radius**2
    return inside.reshape(x.shape[:-1])


def images_after(core: Ellipsoid, loop: ClosedLoop) -> tuple[int, ...]:
    """After how many steps images are compared with the certified cells: more for a slow loop."""
    rho = np.max(np.abs(np.linalg.eigvals(linear_loop(loop, core.center)[0])))
    return STEPS if rho < 0.97 else SLOW_STEPS
