"""From a plant in any form to its linear model at the point where the closed loop itself rests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lipctrl.errors import LoopError
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.plants.dynamics import Dynamics
from lipctrl.plants.goal import Equilibrium, Goal
from lipctrl.plants.plant import Plant
from lipctrl.plants.resting import Resting, find_resting
from lipctrl.plants.sources import check_fit, dynamics_of, network_of

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Linearization:
    """What was found about the resting of a loop, and the plant there if it is of use.

    Attributes
    ----------
    plant : Plant or None
        The linear model at `equilibrium`. None if no equilibrium lies in the goal, or the plant has a kink there.
    equilibrium : Equilibrium or None
        The one in the goal (without a goal: where most simulated trajectories end); if none lies in the goal, the one
        where the loop does rest, or the one closest to the target. None if none was found at all.
    elsewhere : tuple of Equilibrium
        The other equilibria.
    reason : str
        Why there is no plant, or what was found, in words.
    resting : Resting
        All equilibria with the share of simulated trajectories that end there, and the trajectories.
    dynamics : Dynamics
        The plant as it was simulated and differentiated.
    """

    plant: Plant | None
    equilibrium: Equilibrium | None
    elsewhere: tuple[Equilibrium, ...]
    reason: str
    resting: Resting
    dynamics: Dynamics

    @property
    def in_goal(self) -> bool | None:
        """Whether the equilibrium lies in the goal set; None if no goal is known."""
        return None if self.equilibrium is None else self.equilibrium.in_goal

    @property
    def target_distance(self) -> float | None:
        return None if self.equilibrium is None else self.equilibrium.target_distance

    @property
    def witness(self) -> Array | None:
        """A simulated trajectory that does not end in the goal, shape (steps + 1, n), if there is one."""
        goal = self.dynamics.goal
        if goal is None:
            return None
        paths = self.resting.trajectories
        strays = [i for i in range(paths.shape[1]) if not goal.contains(paths[-1, i])]
        return paths[:, strays[0]] if strays else None


def linearize(
    env: Any,
    policy: Any,
    *,
    target: ArrayLike | None = None,
    tolerance: ArrayLike | None = None,
    goal: Goal | None = None,
    observe: Callable[[Array], ArrayLike] | None = None,
    dt: float | None = None,
) -> Plant:
    """The plant at the equilibrium of the closed loop with this policy.

    Parameters
    ----------
    env : str, gymnasium.Env, Model, Plant, or callable
        The id of a Gymnasium environment, an environment whose state can be set, a model with exact equations, a
        linear plant or the path of its file (it is centred at the equilibrium), or a function ``step(x, u)`` that
        returns the next state.
    policy : Network or object with an attribute ``network``
    target : array_like, shape (n,), optional
        The state in which the loop should rest; by default what the model says. A function needs it.
    tolerance : array_like, shape () or (n,), optional
        Half widths of the goal set about the target: those of the model, else 0.3.
    goal : Goal, optional
        Instead of target and tolerance.
    observe : callable, optional
        For a function only: the observation of a state, the state itself by default.
    dt : float, optional
        Seconds per step, where the plant does not say it.

    Returns
    -------
    Plant
        With x0, y0 = h(x0), u0 = pi(y0), and `equilibrium` saying how well it rests there.

    Raises
    ------
    LoopError
        If the loop has no equilibrium in the goal set (the message says where it rests instead), the plant has a kink
        there, or the sizes of plant and policy do not fit.
    PlantError
        If the plant is not usable; for environments its subclass :class:`~lipctrl.errors.GymnasiumError`.
    """
    found = find_linearization(env, policy, target=target, tolerance=tolerance, goal=goal, observe=observe, dt=dt)
    if found.plant is None:
        raise LoopError(
            found.reason, "Train the policy further, or say with `target` in which state the loop is wanted to rest."
        )
    return found.plant


def find_linearization(
    env: Any,
    policy: Any,
    *,
    target: ArrayLike | None = None,
    tolerance: ArrayLike | None = None,
    goal: Goal | None = None,
    observe: Callable[[Array], ArrayLike] | None = None,
    dt: float | None = None,
) -> Linearization:
    """As :func:`linearize`, but a loop that does not rest in the goal is a result, with reasons, and no error."""
    network = network_of(policy)
    dynamics = dynamics_of(env, network, target, tolerance, goal, observe, dt)
    check_fit(policy, network, dynamics)
    resting = find_resting(dynamics, network)
    chosen = _choose(resting)
    elsewhere = tuple(e for e in resting.equilibria if e is not chosen)
    usable, reason = _judge(dynamics, resting, chosen)
    plant = _plant_at(dynamics, network, chosen) if usable and chosen is not None else None
    return Linearization(plant, chosen, elsewhere, reason, resting, dynamics)


def _choose(resting: Resting) -> Equilibrium | None:
    """In the goal: one that attracts before one that does not, then the closest. Else: where the loop does rest."""
    inside = [e for e in resting.equilibria if e.in_goal]
    if inside:
        return min(inside, key=lambda e: (not e.attracts, e.target_distance))
    return min(
        zip(resting.equilibria, resting.shares, strict=True),
        key=lambda pair: (-pair[1], not pair[0].attracts, pair[0].target_distance or float(np.linalg.norm(pair[0].x))),
        default=(None, 0.0),
    )[0]


def _judge(dynamics: Dynamics, resting: Resting, chosen: Equilibrium | None) -> tuple[bool, str]:
    count = resting.trajectories.shape[1]
    if chosen is None:
        return False, (
            "No equilibrium of the closed loop was found (Newton's method from many starts; none of "
            f"{count} simulated trajectories comes to rest)."
        )
    share = resting.shares[resting.equilibria.index(chosen)]
    where = f"{_state_in_words(dynamics, chosen.x)}, where {share:.0%} of {count} simulated trajectories end"
    if chosen.in_goal is False and dynamics.goal is not None:
        verb = "rests at" if share > 0 else "has an equilibrium at"
        return False, (
            f"No equilibrium of the closed loop was found in the goal set ({dynamics.goal.words}). The loop {verb} "
            f"{where}, {chosen.target_distance:.4g} from the target."
        )
    kinks = dynamics.kinks(chosen.x, chosen.u)
    if kinks:
        return False, (
            f"The equilibrium {_state_in_words(dynamics, chosen.x)} lies on a kink of {dynamics.name} (a clip or a "
            f"contact) along {', '.join(kinks)}: there is no linear model there."
        )
    words = f"The closed loop has an equilibrium at {where}"
    if not chosen.attracts:
        words += f" (it does not seem to attract: spectral radius {chosen.spectral_radius:.4g})"
    if chosen.in_goal is None:
        return True, words + "; no goal is known for this plant, so whether it is wanted there is open."
    return True, words + f", {chosen.target_distance:.4g} from the target."


def _plant_at(dynamics: Dynamics, network: Network, equilibrium: Equilibrium) -> Plant:
    A, B, C = dynamics.derivatives(equilibrium.x, equilibrium.u)
    leaves_out = list(dynamics.leaves_out)
    if not _stays_within(network, dynamics.action_low, dynamics.action_high):
        leaves_out.append(
            f"the limits of the action, {dynamics.action_low.tolist()} to {dynamics.action_high.tolist()}"
        )
    return Plant(
        A,
        B,
        C,
        dt=dynamics.dt,
        x0=equilibrium.x,
        u0=equilibrium.u,
        y0=equilibrium.y,
        state_names=dynamics.state_names,
        input_names=dynamics.action_names,
        output_names=dynamics.observation_names,
        name=dynamics.name,
        goal=dynamics.goal,
        equilibrium=equilibrium,
        model_leaves_out=tuple(leaves_out),
    )


def _stays_within(network: Network, low: Array, high: Array) -> bool:
    """Whether the last nonlinearity keeps the action within the limits (up to rounding; only for words)."""
    if not (np.any(np.isfinite(low)) or np.any(np.isfinite(high))):
        return True
    lowest = highest = None
    for layer in network.layers:
        if isinstance(layer, Elementwise):
            far = np.full(layer.n, 1e9)
            bounded = layer.kind in ("tanh", "sigmoid", "hardtanh")
            lowest, highest = (layer.activation.value(-far), layer.activation.value(far)) if bounded else (None, None)
        elif isinstance(layer, Affine) and lowest is not None and highest is not None:
            centre, radius = layer((lowest + highest) / 2), (highest - lowest) / 2 @ np.abs(layer.W).T
            lowest, highest = centre - radius, centre + radius
    if lowest is None or highest is None:
        return False
    slack = 1e-6 * (1 + np.abs(lowest) + np.abs(highest))
    return bool(np.all(lowest >= low - slack) and np.all(highest <= high + slack))


def _state_in_words(dynamics: Dynamics, x: Array) -> str:
    names = dynamics.state_names or tuple(f"x[{i}]" for i in range(x.size))
    parts = [f"{name} = {value:.4f}" for name, value in zip(names, x, strict=True)]
    return ", ".join(parts[:6]) + (", ..." if len(parts) > 6 else "")
