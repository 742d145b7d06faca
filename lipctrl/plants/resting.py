"""Where a closed loop rests: Newton's method and simulation. Everything here is floating point, nothing is proved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lipctrl.networks.network import Elementwise, Network
from lipctrl.plants.differences import DOUBLE
from lipctrl.plants.dynamics import Dynamics
from lipctrl.plants.goal import Equilibrium, wrap
from lipctrl.plants.loop import DIVERGED, runge_kutta, spectral_radius

Array = NDArray[np.float64]

SECONDS = 0.01
"""A Runge-Kutta step of simulations in continuous time."""


@dataclass(frozen=True, eq=False)
class Resting:
    """What was found: distinct equilibria, and where the simulated trajectories end.

    Attributes
    ----------
    equilibria : tuple of Equilibrium
    shares : tuple of float
        The share of simulated trajectories that end at each equilibrium.
    moving : float
        The share that ends at none of them: still moving, or diverged.
    trajectories : ndarray, shape (steps + 1, k, n)
    """

    equilibria: tuple[Equilibrium, ...]
    shares: tuple[float, ...]
    moving: float
    trajectories: Array


def simulate(dynamics: Dynamics, network: Network, x: ArrayLike, steps: int, step: float | None = None) -> Array:
    """Trajectories of the (nonlinear) closed loop x+ = f(x, pi(h(x))); samples, no proof.

    Parameters
    ----------
    dynamics : Dynamics
    network : Network
    x : array_like, shape (..., n)
        Initial states.
    steps : int
    step : float, optional
        Continuous time only: Runge-Kutta step in seconds, :data:`SECONDS` by default.

    Returns
    -------
    ndarray, shape (steps + 1, ..., n)
        A trajectory that exceeds 1e12 stays where it was. Angles are not wrapped.
    """

    def rate(z: Array) -> Array:
        return dynamics.advance(z, network(dynamics.outputs(z)))

    states = [np.array(x, dtype=np.float64)]
    for _ in range(steps):
        now = states[-1]
        after = runge_kutta(rate, now, SECONDS if step is None else step) if dynamics.dt == 0 else rate(now)
        bounded = np.all(np.abs(after) <= DIVERGED, axis=-1, keepdims=True)
        states.append(np.where(bounded, after, now))
    return np.stack(states)


def closed_loop_residual(dynamics: Dynamics, network: Network, x: Array) -> Array:
    return dynamics.residual(x, network(dynamics.outputs(x)))


def newton(dynamics: Dynamics, network: Network, start: Array, steps: int = 40) -> Array | None:
    """A state in which the loop rests, from a start, by damped Newton steps; None if they lead nowhere.

    The best iterate is kept, until no step improves it.
    """
    x, still = start, float(np.linalg.norm(closed_loop_residual(dynamics, network, start)))
    for _ in range(steps):
        if not np.isfinite(still) or still == 0:
            break
        A, B, C = dynamics.derivatives(x, network(dynamics.outputs(x)))
        slope = A + B @ network.jacobian(dynamics.outputs(x)) @ C
        slope = slope if dynamics.dt == 0 else slope - np.eye(x.size)
        if not np.all(np.isfinite(slope)):
            break
        direction = -np.linalg.lstsq(slope, closed_loop_residual(dynamics, network, x), rcond=None)[0]
        for damping in 0.5 ** np.arange(12):
            candidate = x + damping * direction
            norm = float(np.linalg.norm(closed_loop_residual(dynamics, network, candidate)))
            if norm < still:
                x, still = candidate, norm
                break
        else:
            break
    return x if still <= accuracy(dynamics) * (1 + float(np.linalg.norm(x))) else None


def accuracy(dynamics: Dynamics) -> float:
    """How small a residual, relative to 1 + |x|, counts as rest."""
    return 1e-9 if dynamics.resolution == DOUBLE else 2e-5


def find_resting(dynamics: Dynamics, network: Network, count: int | None = None, steps: int | None = None) -> Resting:
    """All equilibria that Newton's method finds from the goal set, the state box, and the ends of long simulations.

    Within the limits of the equations, if there are any: beyond them the plant is another one.

    Parameters
    ----------
    dynamics : Dynamics
    network : Network
    count : int, optional
        Number of simulated trajectories beside the notable ones: 60, or 12 where every step is a Python call.
    steps : int, optional
        Their length: 1000, or 300 where every step is a Python call; twice as many for continuous time.
    """
    count = (60 if dynamics.vectorised else 12) if count is None else count
    steps = ((1000 if dynamics.vectorised else 300) if steps is None else steps) * (2 if dynamics.dt == 0 else 1)
    starts = dynamics.starts(count)
    with np.errstate(over="ignore", invalid="ignore"):
        paths = simulate(dynamics, network, starts, steps)
        ends = paths[-1]
        rest = np.linalg.norm(closed_loop_residual(dynamics, network, ends), axis=-1)
        calm = rest <= 1e-3 * (1 + np.linalg.norm(ends, axis=-1))
        seeds = [*_goal_grid(dynamics), *starts[: 12 + len(starts) - count], *_distinct(dynamics, ends[calm], 1e-2)]
        found = [x for seed in seeds if (x := newton(dynamics, network, _principal(dynamics, seed))) is not None]
        polished = [newton(dynamics, network, _principal(dynamics, x), 3) for x in found]
    low, high = (-np.inf, np.inf) if dynamics.limits is None else dynamics.limits
    within = [x for x in polished if x is not None and np.all((low <= x) & (x <= high))]
    points = _distinct(dynamics, within, 1e-5 if dynamics.resolution == DOUBLE else 1e-2)
    equilibria = [_equilibrium(dynamics, network, x) for x in points]
    near = np.array([np.linalg.norm(wrap(ends - e.x, dynamics.periods), axis=-1) <= 1e-2 for e in equilibria])
    shares = [float(np.mean(row & calm)) for row in near]
    order = sorted(range(len(points)), key=lambda i: (-shares[i], equilibria[i].target_distance or 0.0))
    return Resting(
        equilibria=tuple(equilibria[i] for i in order),
        shares=tuple(shares[i] for i in order),
        moving=1.0 - sum(shares),
        trajectories=paths,
    )


def _goal_grid(dynamics: Dynamics) -> list[Array]:
    """The target, and points of the goal set along each axis and at random."""
    if dynamics.goal is None:
        return []
    goal = dynamics.goal
    width = np.where(np.isfinite(goal.tolerance), goal.tolerance, 0.0)
    along = [
        goal.target + f * w * unit
        for w, unit in zip(width, np.eye(width.size), strict=True)
        if w
        for f in np.linspace(-1, 1, 9)
    ]
    inside = goal.target + width * np.random.default_rng(1).uniform(-1, 1, (4, width.size))
    return [goal.target, *along, *inside]


def _principal(dynamics: Dynamics, x: Array) -> Array:
    """The state with its angles within half a period of the target."""
    centre = np.zeros_like(x) if dynamics.goal is None else dynamics.goal.target
    return np.where(dynamics.periods > 0, centre + wrap(x - centre, dynamics.periods), x)


def _distinct(dynamics: Dynamics, points: Iterable[Array], tolerance: float) -> list[Array]:
    kept: list[Array] = []
    for x in points:
        if all(np.linalg.norm(wrap(x - y, dynamics.periods)) > tolerance * (1 + np.linalg.norm(x)) for y in kept):
            kept.append(x)
    return kept


def _equilibrium(dynamics: Dynamics, network: Network, x: Array) -> Equilibrium:
    y = dynamics.outputs(x)
    u = network(y)
    A, B, C = dynamics.derivatives(x, u)
    goal = dynamics.goal
    return Equilibrium(
        x=x,
        u=u,
        y=y,
        residual=float(np.linalg.norm(dynamics.residual(x, u))),
        spectral_radius=spectral_radius(A + B @ network.jacobian(y) @ C, dynamics.dt == 0),
        target_distance=None if goal is None else goal.distance(x),
        in_goal=None if goal is None else goal.contains(x),
        notes=tuple(_notes(dynamics, network, u, y)),
    )


def _notes(dynamics: Dynamics, network: Network, u: Array, y: Array) -> list[str]:
    """What to know of an equilibrium, in words: saturation, actions beyond the limits, kinks of the policy."""
    names = dynamics.action_names or tuple(f"u[{i}]" for i in range(u.size))
    kinked, saturated, x = 0, np.zeros(u.size, dtype=bool), y
    for layer in network.layers:
        if isinstance(layer, Elementwise):
            margin = 1e-9 * (1 + np.abs(x))
            left, right = layer.activation.derivative(x - margin), layer.activation.derivative(x + margin)
            kinked += int(np.count_nonzero(np.abs(right - left) > 1e-3))
            if layer.kind == "hardtanh" and layer is _last_nonlinearity(network) and layer.n == u.size:
                saturated = (left == 0) | (right == 0)
        x = layer(x)
    beyond = (u < dynamics.action_low) | (u > dynamics.action_high)
    notes = []
    for name, value, at_limit, outside in zip(names, u, saturated, beyond, strict=True):
        if at_limit:
            notes.append(f"The action {name} is saturated at the equilibrium ({value:.6g}).")
        if outside:
            notes.append(f"The policy asks for {name} = {value:.6g} at the equilibrium, beyond the plant's limit.")
    if kinked:
        notes.append(f"{kinked} neurons of the policy lie on a kink at the equilibrium.")
    return notes


def _last_nonlinearity(network: Network) -> Elementwise | None:
    return next((layer for layer in reversed(network.layers) if isinstance(layer, Elementwise)), None)
