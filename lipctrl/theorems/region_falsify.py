"""The other side of the region: trajectories that do not converge. Samples, no proof, but each can be replayed.

A grid of starts over the domain, and starts drawn from the cells that are left when the proof ends, are followed until
they enter the core. Those that never do are told apart by where they go: to rest elsewhere, round and round, or away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter
from scipy.spatial import cKDTree

from lipctrl.errors import LipctrlError
from lipctrl.plants.goal import wrap
from lipctrl.proofs.closed_loop import ClosedLoop
from lipctrl.proofs.ellipsoid import Ellipsoid

Array = NDArray[np.float64]

REST, CYCLE, ESCAPE, OTHER = "rests elsewhere", "limit cycle", "escapes", "keeps moving"
UNDECIDED = "still on its way"
_FAR, _SETTLED, _STILL, _LONGEST, _SHOWN, _CONFIRMED = 1e9, 1e-7, 1e-11, 600, 300, 10_000
_CLOSE = 1e-9
"""A rest or orbit so close to the equilibrium, in units of the model's box, is what roundings make of that."""


@dataclass(frozen=True, eq=False)
class Failure:
    """One kind of trajectory that does not converge to the equilibrium.

    Attributes
    ----------
    kind : str
        One of :data:`REST`, :data:`CYCLE`, :data:`ESCAPE`, :data:`OTHER`.
    starts : array, shape (k, n)
    trajectory : array, shape (steps + 1, n)
        From the start that lies deepest among its like; angles are not wrapped.
    orbit : array, shape (period, n)
        Where that ends: one state of rest, the cycle, or its last states; empty if it escapes.
    parameters : dict
        The values of the uncertain parameters.
    """

    kind: str
    starts: Array
    trajectory: Array
    orbit: Array
    parameters: dict[str, float] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """Where the trajectory goes."""
        values = ", ".join(f"{name} = {value:.6g}" for name, value in self.parameters.items())
        return (f"at {values} " if values else "") + describe(self.trajectory, self.kind, self.orbit)


def describe(path: Array, kind: str, orbit: Array) -> str:
    """A trajectory and where it ends, in words."""
    if kind == REST:
        end = f"rests at ({_numbers(orbit[-1])})"
    elif kind == CYCLE:
        end = f"runs into a cycle of {len(orbit)} steps within {_box(orbit)}"
    elif kind == ESCAPE:
        end = "leaves every bound"
    else:
        end = f"{kind}, within {_box(orbit)}"
    return f"the trajectory from ({_numbers(path[0])}) {end}"


def _numbers(x: Array) -> str:
    return ", ".join(f"{0.0 if abs(value) < 1e-9 else value:.6g}" for value in x)


@dataclass(frozen=True, eq=False)
class Simulation:
    """Starts on a grid over the domain.

    Attributes
    ----------
    starts : array, shape (N, n)
    arrival : array, shape (N,)
        Steps until the trajectory enters the proved core; inf if it does not. With uncertain parameters the most at
        their nominal and extreme values; inf, too, if these end full turns apart: then some value between them does not
        converge, since the values that end at one copy of the equilibrium are an open set.
    steps : int
        How long the others were followed.
    drawn : array, shape (k, n), optional
        More starts that do not arrive, not on the grid.
    turns : array, shape (P, N, n)
        The full turns of the angles on arrival at each value; NaN if it does not arrive.
    """

    starts: Array
    arrival: Array
    steps: int
    low: Array
    high: Array
    per_axis: int
    drawn: Array | None = None
    turns: Array | None = None

    @property
    def apart(self) -> NDArray[np.bool_]:
        """Starts from which two values of the parameters end full turns apart."""
        if self.turns is None:
            return np.zeros(len(self.starts), dtype=bool)
        known = np.where(np.isnan(self.turns), np.inf, self.turns), np.where(np.isnan(self.turns), -np.inf, self.turns)
        return np.asarray(np.any(known[1].max(axis=0) > known[0].min(axis=0), axis=-1))

    @property
    def converging(self) -> NDArray[np.bool_]:
        return np.isfinite(self.arrival)

    def extended(
        self, loop: ClosedLoop, core: Ellipsoid, angles: NDArray[np.bool_], lower: Array, upper: Array
    ) -> Simulation:
        """The same with starts drawn from boxes, shape (N, n): what is left uncertified."""
        if not len(lower):
            return self
        rng = np.random.default_rng(0)
        some = rng.integers(len(lower), size=400)
        starts = np.clip(lower[some] + rng.random((400, len(self.low))) * (upper - lower)[some], self.low, self.high)
        arrival, _, _ = follow(loop, core, angles, starts, 400 * min(max(self.steps, 300), 1000))
        return replace(self, drawn=starts[~np.isfinite(arrival)])

    def with_arrival(self, late: NDArray[np.bool_]) -> Simulation:
        """The same where some starts are known to arrive, after the last step that was simulated."""
        return replace(self, arrival=np.where(late, self.steps + 1.0, self.arrival))

    def arrival_near(self, x: Array) -> Array:
        """Arrival from the start nearest to each state, shape (N, n), or its earliest neighbour's if it is inf."""
        table = self.arrival.reshape((self.per_axis,) * len(self.low))
        table = np.where(np.isfinite(table), table, minimum_filter(table, 3, mode="wrap"))
        place = np.floor((x - self.low) / (self.high - self.low) * self.per_axis).astype(np.int64)
        index = np.clip(place, 0, self.per_axis - 1)
        return np.asarray(table[tuple(index.T)])

    @property
    def share(self) -> float:
        return float(self.converging.mean()) if len(self.converging) else float("nan")

    @property
    def failing(self) -> Array:
        on_grid = self.starts[~self.converging]
        return on_grid if self.drawn is None else np.vstack([on_grid, self.drawn])


def simulate_domain(
    loop: ClosedLoop,
    core: Ellipsoid,
    low: Array,
    high: Array,
    angles: NDArray[np.bool_],
    per_axis: int = 64,
    budget: int = 1_500_000,
) -> Simulation:
    """Follow a grid of starts until they enter the core (modulo full turns), for `budget` steps in all."""
    return simulate_values([(exact, core) for exact in exact_loops(loop)], low, high, angles, per_axis, budget)


def exact_loops(loop: ClosedLoop) -> list[ClosedLoop]:
    """The loop at the nominal and the extreme values of its uncertain parameters."""
    return [ClosedLoop(plant, loop.network) for plant in loop.model.extremes()]


def simulate_values(
    loops: Sequence[tuple[ClosedLoop, Ellipsoid]],
    low: Array,
    high: Array,
    angles: NDArray[np.bool_],
    per_axis: int,
    budget: int,
) -> Simulation:
    """Follow a grid of starts at several values of the parameters, each until it enters the core given with it."""
    axes = [a + (np.arange(per_axis) + 0.5) / per_axis * (b - a) for a, b in zip(low, high, strict=True)]
    starts = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(low))
    found = [follow(loop, core, angles, starts, budget) for loop, core in loops]
    result = Simulation(
        starts,
        np.max([arrival for arrival, _, _ in found], axis=0),
        min(steps for _, steps, _ in found),
        low,
        high,
        per_axis,
        turns=np.stack([turns for _, _, turns in found]),
    )
    return replace(result, arrival=np.where(result.apart, np.inf, result.arrival))


def follow(
    loop: ClosedLoop, core: Ellipsoid, angles: NDArray[np.bool_], starts: Array, budget: int, longest: int = 3000
) -> tuple[Array, int, Array]:
    """Steps until each trajectory enters the core (inf: it did not), for how many steps they were followed, and the
    full turns of the angles on arrival, shape (N, n) (NaN: it did not).

    No longer than `longest`, and `budget` steps of all together.
    """
    arrival, turns = np.full(len(starts), np.inf), np.full(starts.shape, np.nan)
    periods = np.where(angles, 2 * np.pi, 0.0)
    moving, x, steps = np.arange(len(starts)), starts, 0
    while True:
        with np.errstate(over="ignore"):
            inside = np.sum((wrap(x - core.center, periods) @ core.T.T) ** 2, axis=1) <= core.radius**2
        arrival[moving[inside]] = steps
        turns[moving[inside]] = np.where(angles, np.rint((x[inside] - core.center) / (2 * np.pi)), 0.0)
        going = ~inside & np.all(np.isfinite(x), axis=1)
        moving, x = moving[going], x[going]
        budget -= len(moving)
        if not len(moving) or budget < 0 or steps >= longest:
            return arrival, steps, turns
        with np.errstate(all="ignore"):
            x = step(loop, x)
        steps += 1


def find_departure(
    loop: ClosedLoop, rest: Array, low: Array, high: Array, angles: NDArray[np.bool_], per_axis: int = 8
) -> Failure | None:
    """A trajectory from a coarse grid that does not converge to a state of rest of which no core is known."""
    axes = [a + (np.arange(per_axis) + 0.5) / per_axis * (b - a) for a, b in zip(low, high, strict=True)]
    starts = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(low))
    periods = np.where(angles, 2 * np.pi, 0.0)
    for start, (kind, orbit) in zip(starts, fates(loop, angles, starts), strict=True):
        there = kind == REST and np.all(np.abs(wrap(orbit[-1] - rest, periods)) <= 1e-3 * (high - low))
        if kind != UNDECIDED and not there:
            return Failure(kind, start[None], trajectory(loop, start), orbit)
    return None


def find_failures(
    loop: ClosedLoop, core: Ellipsoid, angles: NDArray[np.bool_], simulation: Simulation, most: int = 100
) -> tuple[Failure, ...]:
    """What becomes of the starts that did not arrive, one :class:`Failure` for each kind that is decided."""
    starts = simulation.failing
    if not len(starts):
        return ()
    depth = _depth(starts, simulation)
    chosen = np.argsort(-depth, kind="stable")[:most]
    starts = starts[chosen]
    arrival, _, _ = follow(loop, core, angles, starts, 2000 * len(starts), 2000)
    starts = starts[~np.isfinite(arrival)]
    groups: dict[str, list[tuple[Array, Array]]] = {}
    for start, (kind, orbit) in zip(starts, fates(loop, angles, starts), strict=True):
        if _is_elsewhere(loop, core, angles, start, kind, orbit):
            groups.setdefault(kind, []).append((start, orbit))
    found, values = [], {name: float(getattr(loop.model, name)) for name in loop.model.uncertain}
    for kind in (REST, CYCLE, ESCAPE, OTHER):
        if kind in groups:
            first, orbit = groups[kind][0]
            found.append(Failure(kind, np.stack([s for s, _ in groups[kind]]), trajectory(loop, first), orbit, values))
    return tuple(found)


def _box(states: Array) -> str:
    ends = zip(states.min(axis=0), states.max(axis=0), strict=True)
    return " x ".join(f"[{a:.4g}, {b:.4g}]" for a, b in ends)


def _depth(starts: Array, simulation: Simulation) -> Array:
    """How far a start is from those that arrive, in units of the domain."""
    good = simulation.starts[simulation.converging]
    if not len(good):
        return np.full(len(starts), np.inf)
    size = simulation.high - simulation.low
    return np.asarray(cKDTree(good / size).query(starts / size)[0])


def fates(loop: ClosedLoop, angles: NDArray[np.bool_], starts: Array, steps: int = 2000) -> list[tuple[str, Array]]:
    """Where trajectories end, modulo full turns: the kind, and the orbit (of rest: one state).

    Lengths are in units of the model's box, or of the start where that is larger. A period is recognised if the state
    repeats within 1e-7. What is not within 1e-11 for 600 steps may be slow, what is far away may come back: that is
    followed five times longer, and is what it seems if it is still then, or as much farther away again. What becomes
    undefined (NaN) is no escape unless it was far away before.
    """
    periods = np.where(angles, 2 * np.pi, 0.0)
    unit = _unit(loop, starts, periods)
    far = np.zeros(len(starts))
    with np.errstate(all="ignore"):
        x = starts
        for _ in range(steps):
            x = step(loop, x)
            far = np.fmax(far, np.max(np.abs(wrap(x, periods)) / unit, axis=1))
        tail = [x]
        for _ in range(_LONGEST):
            tail.append(step(loop, tail[-1]))
    paths = np.stack(tail, axis=1)
    found, sure = list[tuple[str, Array]](), list[bool]()
    for path, size, farthest in zip(paths, unit, far, strict=True):
        kind, orbit, known = _fate(path, size, farthest, periods)
        found.append((kind, orbit))
        sure.append(known)
    doubtful = [i for i, known in enumerate(sure) if not known]
    if doubtful and steps >= _CONFIRMED:
        slow = [not known and kind in (REST, CYCLE) for (kind, _), known in zip(found, sure, strict=True)]
        return [(UNDECIDED if wait else kind, orbit) for (kind, orbit), wait in zip(found, slow, strict=True)]
    if doubtful:
        for i, (kind, orbit) in zip(doubtful, fates(loop, angles, paths[doubtful, -1], _CONFIRMED), strict=True):
            same = kind != OTHER or (found[i][0] == OTHER and _persists(found[i][1] / unit[i], orbit / unit[i]))
            found[i] = (kind, orbit) if same else (UNDECIDED, wrap(paths[i], periods))
    return found


def ends_elsewhere(
    loop: ClosedLoop, core: Ellipsoid, angles: NDArray[np.bool_], starts: Array, longest: int = 10_000
) -> Array:
    """Those of the starts that never arrive in the core for some values of the parameters, but rest elsewhere, go round
    or escape; not those of a slow loop, which are still on their way."""
    wrong = np.zeros(len(starts), dtype=bool)
    for exact in exact_loops(loop):
        arrival, _, _ = follow(exact, core, angles, starts, longest * len(starts), longest)
        left = np.flatnonzero(~np.isfinite(arrival))
        if len(left):
            ends = zip(starts[left], fates(exact, angles, starts[left]), strict=True)
            wrong[left] |= [_is_elsewhere(exact, core, angles, start, *end) for start, end in ends]
    return starts[wrong]


def _is_elsewhere(
    loop: ClosedLoop, core: Ellipsoid, angles: NDArray[np.bool_], start: Array, kind: str, orbit: Array
) -> bool:
    """Whether a trajectory that does not arrive in the core is known to end elsewhere than at its centre."""
    periods = np.where(angles, 2 * np.pi, 0.0)
    away = np.abs(wrap(orbit - core.center, periods)) / _unit(loop, start[None], periods)
    return kind == ESCAPE or (kind != UNDECIDED and bool(np.max(away) > _CLOSE))


def contradiction(start: Array) -> LipctrlError:
    """What to raise where a simulation from a certified start contradicts the proof."""
    return LipctrlError(
        f"The proof contradicts the simulation from {start.tolist()}.",
        "This is a fault of lipctrl: please report it with the policy.",
    )


def _fate(path: Array, unit: Array, farthest: float, periods: Array) -> tuple[str, Array, bool]:
    """What a path of a few hundred steps looks like: the kind, the orbit, and whether more steps are not needed."""
    with np.errstate(all="ignore"):
        sizes = np.max(np.abs(wrap(path, periods)) / unit, axis=1)
        finite = np.all(np.isfinite(path), axis=1)
        gaps = np.max(np.abs(wrap(path[-1] - path[-2::-1], periods)) / unit, axis=1)
    if not finite[-1]:
        away = max(farthest, np.max(sizes, initial=0.0, where=finite)) >= _FAR
        return ESCAPE if away else UNDECIDED, path[:0], True
    if sizes[-1] >= _FAR:
        return ESCAPE, path[:0], False
    again = np.flatnonzero(gaps <= _SETTLED)
    path = wrap(path, periods)
    if not len(again):
        moving = _recurs(path / unit)
        return OTHER if moving else UNDECIDED, path, not moving
    if again[0] == 0 and len(again) < len(gaps):
        return UNDECIDED, path, True  # slow, not at rest
    period = again[0] + 1
    return REST if period == 1 else CYCLE, path[-period:], bool(np.max(gaps[period - 1 :: period]) <= _STILL)


def _unit(loop: ClosedLoop, starts: Array, periods: Array) -> Array:
    """The sizes of the model's box, or of each start where that is larger, shape (N, n)."""
    box = np.asarray(loop.model.state_high, dtype=np.float64) - loop.model.state_low
    return np.maximum(np.maximum(box, np.abs(wrap(starts, periods))), np.finfo(np.float64).tiny)


def trajectory(loop: ClosedLoop, start: Array, steps: int = _SHOWN) -> Array:
    """The states from a start, shape (steps + 1, n), cut where it leaves every bound."""
    states = [start]
    with np.errstate(all="ignore"):
        for _ in range(steps):
            states.append(step(loop, states[-1]))
            if _gone(states[-1], start, loop.model.periods):
                break
    return np.stack([x for x in states if np.all(np.isfinite(x))])


def _recurs(path: Array) -> bool:
    """Whether the second half fills the box of the first: a trajectory that is still on its way does not."""
    first, second = np.array_split(path, 2)
    ends = np.abs(np.array([first.min(0) - second.min(0), first.max(0) - second.max(0)]))
    return bool(np.all(ends <= 0.05 * np.ptp(first, axis=0) + _SETTLED * (1.0 + np.max(np.abs(path)))))


def _persists(before: Array, after: Array) -> bool:
    """Whether a motion goes on long after: it recurs, and has not become smaller all around."""
    room = np.minimum(after.min(0) - before.min(0), before.max(0) - after.max(0))
    return _recurs(np.concatenate([before, after])) and not bool(np.all(room >= 1e-3 * np.ptp(before, axis=0)))


def _gone(x: Array, start: Array, periods: Array) -> bool:
    """Whether a state of the trajectory from `start` is beyond every bound; angles never are."""
    if not np.all(np.isfinite(x)):
        return True
    bound = max(_FAR, 10.0 * float(np.max(np.abs(wrap(start, periods)))))
    return bool(np.max(np.abs(wrap(x, periods))) >= bound)


def step(loop: ClosedLoop, x: Array) -> Array:
    """The next states in floating point."""
    return loop.model.advance(x, loop.network(loop.model.outputs(x)))
