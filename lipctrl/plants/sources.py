"""The forms in which a plant and a policy may be given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lipctrl.errors import LoopError, NetworkError, PlantError
from lipctrl.networks.network import Network
from lipctrl.plants.dynamics import Dynamics, FunctionDynamics, LinearDynamics
from lipctrl.plants.goal import Goal
from lipctrl.plants.model import Model
from lipctrl.plants.model_checks import check_model
from lipctrl.plants.models import model_by_id
from lipctrl.plants.plant import Plant, checked_dt
from lipctrl.plants.plant_file import PLANT_FILES, plant_from_file

Array = NDArray[np.float64]

TOLERANCE = 0.3


def network_of(policy: Any) -> Network:
    """The network of a policy: the policy itself, or its attribute ``network``."""
    network = policy if isinstance(policy, Network) else getattr(policy, "network", None)
    if not isinstance(network, Network):
        raise NetworkError(
            f"A {type(policy).__name__} was given as the policy.",
            "Give what load_policy returns, or a lipctrl.networks.network.Network.",
        )
    return network


def check_fit(policy: Any, network: Network, dynamics: Dynamics) -> None:
    """Whether the policy acts on this plant at all: sizes, order of the observations, a feedback law.

    Raises
    ------
    LoopError
        If not. Without knowledge of the bounds of the observations their order cannot be checked.
    """
    if getattr(policy, "output", "action") != "action":
        raise LoopError(
            f"The policy gives {policy.output}, from which a discrete action is chosen: the loop switches.",
            "Stability of switching loops is not covered. `bound` gives the Lipschitz constant of the map.",
        )
    if getattr(policy, "time_input", False) or getattr(policy, "history_input", False):
        raise LoopError(
            "The policy also takes the time or earlier observations: it is no function of the present observation.",
            "`bound` works for it, stability does not. Train without TimeFeatureWrapper or HistoryWrapper.",
        )
    if (network.n_in, network.n_out) != (dynamics.n_observations, dynamics.n_actions):
        raise LoopError(
            f"The policy takes {network.n_in} observations and gives {network.n_out} actions, but {dynamics.name} "
            f"gives {dynamics.n_observations} observations and takes {dynamics.n_actions} actions.",
            "Give the plant that the policy was trained on. Check whether the training added inputs (the time).",
        )
    space = getattr(policy, "observation_space", None)
    theirs = [getattr(space, "low", None), getattr(space, "high", None)]
    ours = [dynamics.observation_low, dynamics.observation_high]
    if any(bound is None for bound in (*theirs, *ours)):
        return
    trained, given = np.array(theirs, dtype=np.float64), np.array(ours, dtype=np.float64)
    if trained.shape != given.shape or np.allclose(trained, given, rtol=1e-5):
        return
    words = f"its upper bounds are {trained[1].tolist()}, those of {dynamics.name} {given[1].tolist()}."
    if np.allclose(np.sort(trained), np.sort(given), rtol=1e-5):
        raise LoopError(
            f"The policy was trained on the observations in another order: {words}",
            "Give the plant with the order of the training.",
        )
    if np.all(np.isfinite(trained)) and np.all(np.isfinite(given)):
        raise LoopError(
            f"The policy was trained on other observations: {words}", "Give the plant that the policy was trained on."
        )


def dynamics_of(
    env: Any,
    network: Network,
    target: ArrayLike | None = None,
    tolerance: ArrayLike | None = None,
    goal: Goal | None = None,
    observe: Callable[[Array], ArrayLike] | None = None,
    dt: float | None = None,
) -> Dynamics:
    """The plant, in whatever form it was given, as :class:`Dynamics` with its goal."""
    if goal is not None and (target is not None or tolerance is not None):
        raise PlantError("Both a goal and a target or tolerance were given.", "Give one of the two.")
    if isinstance(env, str | Path) and Path(env).suffix.lower() in PLANT_FILES:
        env = plant_from_file(env)
    if observe is not None and (isinstance(env, str | Dynamics | Plant) or not callable(env)):
        raise PlantError("An observation function was given with a plant that has its own.", "Leave `observe` away.")
    dynamics: Dynamics
    if isinstance(env, Plant):
        dynamics = LinearDynamics(env)
    elif isinstance(env, Dynamics):
        if isinstance(env, Model):
            check_model(env)
        dynamics = env
    elif isinstance(env, str) and (model := model_by_id(env)) is not None:
        dynamics = model
    elif isinstance(env, str) or hasattr(env, "unwrapped"):
        from lipctrl.plants.gymnasium_environment import dynamics_of_environment

        dynamics = dynamics_of_environment(env, dt)
    elif callable(env):
        wanted = goal or _goal(None, target, tolerance, None)
        if wanted is None:
            raise PlantError(
                "A function was given without the state in which the loop should rest.",
                "Pass target=[...], one number for each state.",
            )
        n_states = wanted.n_states
        if observe is None and network.n_in != n_states:
            raise LoopError(
                f"The policy takes {network.n_in} observations, but the target has {n_states} states.",
                "Pass observe=, the function from the state to the observation.",
            )
        return FunctionDynamics(env, observe, (n_states, network.n_out, network.n_in), dt, wanted)
    else:
        raise PlantError(
            f"A {type(env).__name__} was given as the plant.",
            "Give a Gymnasium id or environment, a Model, a Plant or its file, a function, or Plant.from_control(sys).",
        )
    if dt is not None and checked_dt(dt) != dynamics.dt:
        raise PlantError(
            f"dt = {dt:g} was given, but {dynamics.name} has dt = {dynamics.dt:g}.", "Leave dt away, or correct it."
        )
    wanted = goal or _goal(dynamics.goal, target, tolerance, dynamics)
    if wanted is not None and wanted.n_states != dynamics.n_states:
        raise PlantError(
            f"The target has {wanted.n_states} entries, but {dynamics.name} has {dynamics.n_states} states."
        )
    return dynamics.with_goal(wanted)


def _goal(
    own: Goal | None, target: ArrayLike | None, tolerance: ArrayLike | None, dynamics: Dynamics | None
) -> Goal | None:
    if target is None and tolerance is None:
        return own
    if target is None and own is None:
        raise PlantError("A tolerance was given without a target.", "Pass target=[...], one number for each state.")
    if target is not None and dynamics is not None and np.size(target) != dynamics.n_states:
        raise PlantError(
            f"The target has {np.size(target)} entries, but {dynamics.name} has {dynamics.n_states} states.",
            f"Give one number for each of {', '.join(dynamics.state_names) or 'the states'}.",
        )
    centre = target if target is not None or own is None else own.target
    width = tolerance if tolerance is not None else (TOLERANCE if own is None else own.tolerance)
    if dynamics is None:
        return Goal(np.asarray(centre), width)
    return Goal(np.asarray(centre), width, dynamics.periods, names=dynamics.state_names)
