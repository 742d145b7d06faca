"""The forms in which a plant and a policy may be given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lipctrl.errors import LoopError, NetworkError, PlantError
from lipctrl.networks.network import Network
from lipctrl.plants.differences import DOUBLE
from lipctrl.plants.dynamics import Dynamics, FunctionDynamics, LinearDynamics
from lipctrl.plants.goal import Goal, wrap
from lipctrl.plants.model import Model
from lipctrl.plants.model_checks import check_model
from lipctrl.plants.models import is_redefined, model_by_id
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
    if type(network).__call__ is not Network.__call__:
        raise NetworkError(
            f"The network is a {type(network).__name__} with an evaluation of its own, of which nothing can be proved.",
            "Express what it computes as layers of a plain Network.",
        )
    return network


def check_fit(policy: Any, network: Network, dynamics: Dynamics) -> None:
    """Whether the policy acts on this plant at all: sizes, limits of actions, order of observations, a feedback law.

    Raises
    ------
    LoopError
        If not. What has no known or finite bounds cannot be checked by them.
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
    pair = _bounds(policy, "action_space", dynamics.action_low, dynamics.action_high)
    uncertain = getattr(dynamics, "uncertain", {})  # limits may depend on them
    if pair is not None and not uncertain and np.all(np.isfinite(pair)) and not _same(*pair):
        raise LoopError(
            f"The policy was trained to act within {_words(pair[0])}, but {dynamics.name} takes {_words(pair[1])}.",
            "Give the plant of the training, with its wrapper of the actions (RescaleAction). To ask for other limits "
            "on purpose, give the network alone: policy.network.",
        )
    pair = _bounds(policy, "observation_space", dynamics.observation_low, dynamics.observation_high)
    if pair is None or _same(*pair):
        return
    words = f"its bounds are {_words(pair[0])}, those of {dynamics.name} {_words(pair[1])}."
    if _same(np.sort(pair[0]), np.sort(pair[1])):
        raise LoopError(
            f"The policy was trained on the observations in another order: {words}",
            "Give the plant with the order of the training.",
        )
    if np.all(np.isfinite(pair)):
        raise LoopError(
            f"The policy was trained on other observations: {words}", "Give the plant that the policy was trained on."
        )


def _bounds(policy: Any, name: str, low: Array | None, high: Array | None) -> tuple[Array, Array] | None:
    """Bounds (low, high) of a space of the policy and those of the plant, if both are known and of one size."""
    space = getattr(policy, name, None)
    theirs = [getattr(space, "low", None), getattr(space, "high", None)]
    if any(bound is None for bound in (*theirs, low, high)):
        return None
    trained, given = np.array(theirs, dtype=np.float64), np.array([low, high], dtype=np.float64)
    return (trained, given) if trained.shape == given.shape else None


def _same(a: Array, b: Array) -> bool:
    return np.allclose(a, b, rtol=1e-5)  # spaces are kept in float32


def _words(bounds: Array) -> str:
    return f"{bounds[0].tolist()} to {bounds[1].tolist()}"


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
        dynamics = env
    elif isinstance(env, str) and (model := model_by_id(env)) is not None and not is_redefined(env):
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
        function = FunctionDynamics(env, observe, (n_states, network.n_out, network.n_in), dt, wanted)
        _check_angles(function)
        return function
    else:
        raise PlantError(
            f"A {type(env).__name__} was given as the plant.",
            "Give a Gymnasium id or environment, a Model, a Plant or its file, a function, or Plant.from_control(sys).",
        )
    if dt is not None and checked_dt(dt) != dynamics.dt:
        raise PlantError(
            f"dt = {dt:g} was given, but {dynamics.name} has dt = {dynamics.dt:g}.", "Leave dt away, or correct it."
        )
    if isinstance(dynamics, Model):  # of an environment, too
        check_model(dynamics)
    wanted = goal or _goal(dynamics.goal, target, tolerance, dynamics)
    if wanted is not None and wanted.n_states != dynamics.n_states:
        raise PlantError(
            f"The target has {wanted.n_states} entries, but {dynamics.name} has {dynamics.n_states} states."
        )
    dynamics = dynamics.with_goal(wanted)
    _check_angles(dynamics)
    return dynamics


def _check_angles(dynamics: Dynamics) -> None:
    """Whether full turns of what is called an angle, by the goal perhaps, leave next state and observation alone.

    Samples, no proof (for models: :func:`lipctrl.plants.model_checks.angles_of`). Otherwise a state from which the
    plant moves by a full turn would be taken for one of rest.
    """
    low, high = (np.where(np.isfinite(end), end, 0.0) for end in (dynamics.action_low, dynamics.action_high))
    action, slack = 0.5 * low + 0.5 * high, 1e-6 if dynamics.resolution == DOUBLE else 1e-3
    for i in np.flatnonzero(dynamics.periods > 0):
        for x in dynamics.starts(4):
            turned = x + dynamics.periods * (np.arange(x.size) == i)
            with np.errstate(all="ignore"):
                moved = wrap(dynamics.advance(turned, action) - dynamics.advance(x, action), dynamics.periods)
                seen = dynamics.outputs(turned) - dynamics.outputs(x)
            if np.any(np.abs(moved) > slack * (1.0 + np.abs(x))) or np.any(np.abs(seen) > slack * (1.0 + np.abs(seen))):
                name = dynamics.state_names[i] if len(dynamics.state_names) else f"x[{i}]"
                raise PlantError(
                    f"The {name} of {dynamics.name} has the period {dynamics.periods[i]:g}, but a full turn of it "
                    "changes the next state or the observation.",
                    "Give it the period 0 in plant and goal, or observe it through its sine and cosine.",
                )


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
    periods = dynamics.periods if own is None else np.maximum(own.periods, dynamics.periods)
    return Goal(np.asarray(centre), width, periods, names=dynamics.state_names)
