"""Models with exact equations, by the id of the Gymnasium environment they equal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lipctrl.plants.model import Model

ENVIRONMENT_IDS = ("Pendulum-v1",)


def model_by_id(environment_id: str) -> Model | None:
    """The exact model of an environment with its default parameters, or None if there is none."""
    from lipctrl.plants.models.pendulum import Pendulum

    return {"Pendulum-v1": Pendulum}[environment_id]() if environment_id in ENVIRONMENT_IDS else None


def model_of_environment(unwrapped: Any) -> Model | None:
    """The exact model of an unwrapped environment, or None if its class has none (a subclass may differ)."""
    from lipctrl.plants.models.pendulum import Pendulum

    cls = type(unwrapped)
    if f"{cls.__module__}.{cls.__qualname__}" == "gymnasium.envs.classic_control.pendulum.PendulumEnv":
        return Pendulum.from_environment(unwrapped)
    return None
