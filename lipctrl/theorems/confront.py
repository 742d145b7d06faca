"""A claim about the linear model, confronted with simulations of the true plant. Samples refute, never certify."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipctrl.networks.network import Network
from lipctrl.plants.dynamics import Dynamics, LinearDynamics
from lipctrl.plants.goal import wrap
from lipctrl.plants.linearize import Linearization
from lipctrl.plants.plant import Plant
from lipctrl.plants.resting import simulate
from lipctrl.results import Region, TheoremResult, Trust, Verdict

Array = NDArray[np.float64]


def trajectories_from(found: Linearization, network: Network, region: Region) -> Array | None:
    """Simulations of the true plant from the boundary of a certified ellipsoid; for "all" from a unit sphere.

    Returns
    -------
    array, shape (steps + 1, k, n), or None if no linear model was made
    """
    if found.plant is None:
        return None
    n = found.plant.n_states
    count, steps = (200, 1000) if found.dynamics.vectorised else (12, 200)
    direction = np.random.default_rng(0).standard_normal((count, n))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    if region.P is not None and region.level is not None:
        direction = 0.999 * np.linalg.solve(np.linalg.cholesky(region.P / region.level).T, direction.T).T
    return simulate(found.dynamics, network, found.plant.x0 + direction, steps)


def contradiction(found: Linearization, row: TheoremResult, paths: Array | None) -> TheoremResult | None:
    """A row that refutes the certified `row`, if one of the simulated trajectories does not come back.

    From an ellipsoid: it ends outside. For a claim about all states: it ends farther from the equilibrium than it
    began; the simulations that looked for equilibria count too. A plant that is linear itself cannot contradict,
    unless it limits the action more than the policy does.
    """
    if paths is None or found.plant is None or _is_its_model(found.dynamics, found.plant):
        return None
    region, x0, periods = row.region, found.plant.x0, found.dynamics.periods
    if region is not None and region.P is not None and region.level is not None:
        e = wrap(paths[-1] - x0, periods)
        outside = ~(np.einsum("ki,ij,kj->k", e, region.P, e) <= region.level)
        candidates = [paths[:, k] for k in np.flatnonzero(outside)]
    else:
        every = [paths, found.resting.trajectories]
        candidates = [
            group[:, k]
            for group in every
            for k in range(group.shape[1])
            if not _length(group[-1, k] - x0, periods) <= max(_length(group[0, k] - x0, periods), 1e-6)
        ]
    if not candidates:
        return None
    trajectory = candidates[0]
    return TheoremResult(
        name="simulation of the true plant",
        verdict=Verdict.REFUTED,
        trust=Trust.SAMPLED,
        model="nonlinear",
        scope=row.scope,
        reason=f"a simulated trajectory of the true plant starts at {trajectory[0].tolist()}, inside the region that "
        f"'{row.name}' certifies for the linear model, and does not come back.",
        witness={"trajectory": trajectory.tolist()},
    )


def _is_its_model(dynamics: Dynamics, plant: Plant) -> bool:
    """Whether the loop is the linear one of the claim: no limits of the action are left out."""
    return isinstance(dynamics, LinearDynamics) and plant.model_leaves_out == tuple(dynamics.leaves_out)


def _length(deviation: Any, periods: Array) -> float:
    return float(np.linalg.norm(wrap(np.asarray(deviation, dtype=np.float64), periods)))
