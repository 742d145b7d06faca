"""Models with exact equations, by the id of the Gymnasium environment they equal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lipctrl.plants.model import Model

OWN_IDS = ("lipctrl/CartPole-v0", "lipctrl/PlanarQuadrotor-v0")
"""Environments made from their model (plants/model_environment.py)."""
ENVIRONMENT_IDS = ("Pendulum-v1", "InvertedPendulum-v5", *OWN_IDS)
_ENTRY_POINTS = {
    "Pendulum-v1": "gymnasium.envs.classic_control.pendulum:PendulumEnv",
    "InvertedPendulum-v5": "gymnasium.envs.mujoco.inverted_pendulum_v5:InvertedPendulumEnv",
    **dict.fromkeys(OWN_IDS, "lipctrl.plants.model_environment:_make"),
}


def model_by_id(environment_id: str) -> Model | None:
    """The exact model of an environment with its default parameters, or None if there is none."""
    from lipctrl.plants.models.cartpole import CartPole
    from lipctrl.plants.models.inverted_pendulum import InvertedPendulum
    from lipctrl.plants.models.pendulum import Pendulum
    from lipctrl.plants.models.planar_quadrotor import PlanarQuadrotor

    models: dict[str, type[Model]] = {
        "Pendulum-v1": Pendulum,
        "InvertedPendulum-v5": InvertedPendulum,
        "lipctrl/CartPole-v0": CartPole,
        "lipctrl/PlanarQuadrotor-v0": PlanarQuadrotor,
    }
    return models[environment_id]() if environment_id in models else None


def is_redefined(environment_id: str) -> bool:
    """Whether the running program has registered another environment under one of these ids."""
    registry = getattr(sys.modules.get("gymnasium"), "registry", {})
    spec = registry.get(environment_id)
    if spec is None:
        return False
    entry = spec.entry_point
    name = entry if isinstance(entry, str) else f"{entry.__module__}:{getattr(entry, '__qualname__', '')}"
    arguments = {key: value for key, value in spec.kwargs.items() if (key, value) != ("environment_id", environment_id)}
    return name != _ENTRY_POINTS[environment_id] or bool(arguments) or bool(spec.additional_wrappers)


def model_of_environment(unwrapped: Any) -> Model | None:
    """The exact model of an unwrapped environment, or None if its class has none (a subclass may differ)."""
    from lipctrl.plants.models.pendulum import Pendulum

    cls = type(unwrapped)
    name = f"{cls.__module__}.{cls.__qualname__}"
    if name == "gymnasium.envs.classic_control.pendulum.PendulumEnv":
        return Pendulum.from_environment(unwrapped)
    if name == "lipctrl.plants.model_environment.ModelEnv":
        model: Model = unwrapped.model
        return model
    return None
