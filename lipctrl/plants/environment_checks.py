"""Which Gymnasium environments can be a plant at all, and with what advice the others are refused."""

from __future__ import annotations

import numbers
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from lipctrl.errors import GymnasiumError, PlantError
from lipctrl.plants.plant import checked_dt

TRANSPARENT = {"TimeLimit", "OrderEnforcing", "PassiveEnvChecker", "RecordEpisodeStatistics", "Autoreset", "Monitor"}
BOUND_ADVICE = "`bound` still gives the Lipschitz constant of the policy, that is its smoothness."


def make_environment(environment_id: str) -> gymnasium.Env[Any, Any]:
    try:
        return gymnasium.make(environment_id)
    except ImportError as error:
        raise GymnasiumError(
            f"The environment {environment_id} needs a package that is not installed: {error}.",
            "Install it (MuJoCo environments: pip install 'lipctrl[mujoco]').",
        ) from error
    except Exception as error:
        raise GymnasiumError(
            f"Gymnasium cannot make the environment {environment_id!r}: {error}",
            "Check the id (python -c 'import gymnasium; gymnasium.pprint_registry()'), or pass an environment object.",
        ) from error


def name_of(env: gymnasium.Env[Any, Any]) -> str:
    return env.spec.id if env.spec is not None else type(env.unwrapped).__name__


def essential_wrappers(env: gymnasium.Env[Any, Any]) -> list[gymnasium.Wrapper[Any, Any, Any, Any]]:
    """The wrappers that change actions or observations, outermost first; what cannot be undone is refused."""
    kept: list[gymnasium.Wrapper[Any, Any, Any, Any]] = []
    while isinstance(env, gymnasium.Wrapper):
        cls = type(env)
        if cls.__name__ == "NormalizeObservation":
            raise GymnasiumError(
                "The environment is wrapped in NormalizeObservation, whose running statistics are hidden state.",
                "Give the environment without it, and its statistics to the policy: they are part of the deployed map.",
            )
        known = cls.__name__ in TRANSPARENT and cls.__module__.split(".")[0] in ("gymnasium", "stable_baselines3")
        if does_only(env, gymnasium.ObservationWrapper) or does_only(env, gymnasium.ActionWrapper):
            kept.append(env)
        elif not (known or does_only(env, gymnasium.RewardWrapper)):
            raise GymnasiumError(
                f"The wrapper {cls.__name__} may change what the policy sees or does, in a way that cannot be undone.",
                "Give the environment without it: environment.unwrapped. A policy with memory or a time input makes no "
                f"autonomous loop. {BOUND_ADVICE}",
            )
        env = env.env
    return kept


def does_only(env: Any, kind: type[gymnasium.Wrapper[Any, Any, Any, Any]]) -> bool:
    """Whether a wrapper steps and resets as this kind of wrapper does, so that its one function is all it changes."""
    cls = type(env)
    return isinstance(env, kind) and cls.step is kind.step and cls.reset is kind.reset


def check_spaces(env: gymnasium.Env[Any, Any], name: str) -> None:
    action, observation = env.action_space, env.observation_space
    if isinstance(action, spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
        raise GymnasiumError(
            f"{name} has discrete actions ({action}): no linear model describes a switching policy.", BOUND_ADVICE
        )
    for words, space in (("action", action), ("observation", observation)):
        if not isinstance(space, spaces.Box) or len(space.shape) != 1:
            raise GymnasiumError(
                f"{name} has the {words} space {space}, expected a Box with one axis.",
                "Flatten it, for instance with gymnasium.wrappers.FlattenObservation.",
            )
    if not (np.all(np.isfinite(action.low)) and np.all(np.isfinite(action.high))):
        raise GymnasiumError(
            f"{name} has infinite action bounds.",
            "Give action_space finite bounds (gymnasium.wrappers.RescaleAction keeps them): policies clip to them.",
        )


def sampling_time(env: Any, dt: Any, name: str) -> float:
    own = next((getattr(env, key) for key in ("dt", "tau") if isinstance(getattr(env, key, None), numbers.Real)), None)
    if own is None and dt is None:
        raise GymnasiumError(
            f"{name} does not say how long a step is.", "Pass dt= in seconds (dt=1 to count time in steps)."
        )
    if own is not None and dt is not None and abs(float(own) - checked_dt(dt)) > 1e-9 * abs(float(own)):
        raise PlantError(f"dt = {dt:g} was given, but {name} has dt = {own:g}.", "Leave dt away, or correct it.")
    value = checked_dt(own if own is not None else dt)
    if value == 0:
        raise GymnasiumError(f"{name} has dt = 0, but an environment moves in steps.", "Give a positive dt in seconds.")
    return value
