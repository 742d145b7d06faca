"""The other side of the region: simulated starts that do not converge. Samples, no proof."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter

from lipctrl.plants.goal import wrap
from lipctrl.proofs.closed_loop import ClosedLoop
from lipctrl.proofs.ellipsoid import Ellipsoid

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Simulation:
    """Starts on a grid over the domain.

    Attributes
    ----------
    starts : array, shape (N, n)
    arrival : array, shape (N,)
        Steps until the trajectory enters the proved core; inf if it does not.
    steps : int
        How long the others were followed.
    """

    starts: Array
    arrival: Array
    steps: int
    low: Array
    high: Array
    per_axis: int

    @property
    def converging(self) -> NDArray[np.bool_]:
        return np.isfinite(self.arrival)

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
        return self.starts[~self.converging]


def simulate_domain(
    loop: ClosedLoop,
    core: Ellipsoid,
    low: Array,
    high: Array,
    angles: NDArray[np.bool_],
    per_axis: int = 100,
    budget: int = 3_000_000,
) -> Simulation:
    """Follow a grid of starts until they enter the core (modulo full turns), for `budget` steps in all."""
    axes = [a + (np.arange(per_axis) + 0.5) / per_axis * (b - a) for a, b in zip(low, high, strict=True)]
    starts = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(low))
    arrival, steps = follow(loop, core, angles, starts, budget)
    return Simulation(starts, arrival, steps, low, high, per_axis)


def follow(
    loop: ClosedLoop, core: Ellipsoid, angles: NDArray[np.bool_], starts: Array, budget: int
) -> tuple[Array, int]:
    """Steps until each trajectory enters the core (inf: it did not), and for how many steps they were followed."""
    arrival = np.full(len(starts), np.inf)
    periods = np.where(angles, 2 * np.pi, 0.0)
    moving, x, steps = np.arange(len(starts)), starts, 0
    while True:
        inside = np.sum((wrap(x - core.center, periods) @ core.T.T) ** 2, axis=1) <= core.radius**2
        arrival[moving[inside]] = steps
        bounded = ~inside & np.all(np.abs(x) < 1e9, axis=1)
        moving, x = moving[bounded], x[bounded]
        budget -= len(moving)
        if not len(moving) or budget < 0:
            return arrival, steps
        with np.errstate(all="ignore"):
            x = loop.model.advance(x, loop.network(loop.model.outputs(x)))
        steps += 1
