"""A claim about the linear model, confronted with simulations of the true plant. Samples refute, never certify."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from lipctrl.networks.network import Network
from lipctrl.plants.differences import DOUBLE
from lipctrl.plants.dynamics import Dynamics, LinearDynamics
from lipctrl.plants.goal import wrap
from lipctrl.plants.linearize import Linearization
from lipctrl.plants.loop import DIVERGED
from lipctrl.plants.plant import Plant
from lipctrl.plants.resting import SECONDS, simulate
from lipctrl.proofs.certificate import from_hex
from lipctrl.results import Region, TheoremResult, Trust, Verdict

Array = NDArray[np.float64]

_FOLLOWED, _LONGER = 4, 10
"""Trajectories that are followed when they do not come back, and how much longer."""


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


def contradiction(
    found: Linearization, network: Network, row: TheoremResult, paths: Array | None
) -> TheoremResult | None:
    """A row that refutes the certified `row`, if one of the simulated trajectories does not come back.

    It ends where the certificate's V(x) = (x - x0)' P (x - x0) is above the level, or, for a claim about all states,
    above what it was at the start, and so it does when it is followed much longer, without V falling there: slow loops
    grow for a while, and contradict nothing. For a claim about all states the simulations that looked for equilibria
    count too. A plant that is linear itself cannot contradict, unless it limits the action more than the policy does.
    """
    if paths is None or found.plant is None or row.certificate is None or _is_its_model(found.dynamics, found.plant):
        return None
    P, level = from_hex(row.certificate.get("hinf", row.certificate)["P"]), row.certificate.get("level")
    x0, same = found.plant.x0, 1e-6 if found.dynamics.resolution == DOUBLE else 1e-2
    noise = float(np.max(np.abs(P))) * same**2  # x0 itself is no better known

    def size(x: Array) -> Array:
        """V, of the turn of the angles that gives the least; shape (...)."""
        e = x - x0
        turns = [np.einsum("...i,ij,...j->...", z, P, z) for z in (e, wrap(e, found.dynamics.periods))]
        return np.asarray(np.minimum(*turns))

    for group in [paths] if level is not None else [paths, found.resting.trajectories]:
        allowed = np.maximum(size(group[0]) if level is None else from_hex(level), noise) * np.ones(group.shape[1])
        doubtful = np.flatnonzero(~(size(group[-1]) <= allowed))[:_FOLLOWED]
        for k, later in zip(doubtful, _followed(found, network, group[:, doubtful]), strict=True):
            if later is None or size(later[-1]) <= allowed[k]:
                continue
            *_, before, last = np.array_split(size(later), 4)
            if not np.max(last) < (1 - 1e-3) * np.max(before):
                return _refuted(row, group[:, k])
    return None


def _followed(found: Linearization, network: Network, paths: Array) -> Sequence[Array | None]:
    """What comes after some trajectories, (steps + 1, k, n), in ten times the time; None where it cannot be computed.

    In continuous time from the start again, by steps that adapt themselves: those of the simulation may be unstable.
    """
    dynamics, steps = found.dynamics, _LONGER * (len(paths) - 1)
    if not paths.shape[1]:
        return ()
    if dynamics.dt:
        return list(np.moveaxis(simulate(dynamics, network, paths[-1], steps), 1, 0))
    return [_integrated(dynamics, network, x, steps * SECONDS) for x in paths[0]]


def _integrated(dynamics: Dynamics, network: Network, x: Array, seconds: float) -> Array | None:
    def far(t: float, x: Array) -> float:
        return DIVERGED - float(np.max(np.abs(x)))

    far.terminal = True  # type: ignore[attr-defined]
    times = np.linspace(0.0, seconds, 401)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the integrator, which says the same by its success
        result = solve_ivp(
            lambda t, x: dynamics.advance(x, network(dynamics.outputs(x))),
            (0.0, seconds), x, "LSODA", times, events=far, rtol=1e-6, atol=1e-9,
        )  # fmt: skip
    if not result.success:
        return None
    return np.asarray(result.y.T if result.status == 0 else np.repeat(result.y_events[0], 4, axis=0))


def _refuted(row: TheoremResult, trajectory: Array) -> TheoremResult:
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
    """Whether the loop is the linear one of the claim: no limits of the action are left out; a subclass may move in
    another way."""
    return type(dynamics) is LinearDynamics and plant.model_leaves_out == tuple(dynamics.leaves_out)
