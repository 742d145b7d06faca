"""Gymnasium's Pendulum-v1: swing a rod up with a weak motor and hold it upright."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from lipctrl.errors import PlantError
from lipctrl.intervals.functions import clip, cos, sin
from lipctrl.plants.goal import Goal
from lipctrl.plants.model import Array, Model

Range = float | tuple[float, float]


class Pendulum(Model):
    """The environment Pendulum-v1 as it computes, in exact arithmetic: semi-implicit Euler, two saturations.

    State (theta, speed) in rad and rad/s with theta = 0 upright, action (torque,) in N m, observation
    (cos theta, sin theta, speed). The environment rounds the observation to float32, the model does not.

    Parameters
    ----------
    gravity, mass, length, dt, max_torque, max_speed : float or (low, high)
        As in Gymnasium, which calls the first three g, m and l. The names `g`, ... of its attributes are read by
        :meth:`from_environment`. An interval (not for the speed limit) means every constant value in it.

    Raises
    ------
    PlantError
        If a parameter is not a positive number (gravity: a finite one).
    """

    name = "Pendulum-v1"
    n_states, n_actions, n_observations = 2, 1, 3
    state_names = ("theta", "speed")
    action_names = ("torque",)
    observation_names = ("cos theta", "sin theta", "speed")
    periods = np.array([2 * np.pi, 0.0])
    parameters = ("gravity", "mass", "length", "dt", "max_torque")
    symbols: ClassVar = {"g": "gravity", "m": "mass", "l": "length"}

    def __init__(
        self,
        gravity: Range = 10.0,
        mass: Range = 1.0,
        length: Range = 1.0,
        dt: Range = 0.05,
        max_torque: Range = 2.0,
        max_speed: float = 8.0,
    ) -> None:
        positive = {"mass": mass, "length": length, "dt": dt, "max_torque": max_torque, "max_speed": max_speed}
        for key, value in positive.items():
            if not (np.all(np.isfinite(value)) and np.all(np.asarray(value) > 0)):
                raise PlantError(f"The pendulum's {key} is {value}, expected a positive number.")
        if not np.all(np.isfinite(gravity)):
            raise PlantError(f"The pendulum's gravity is {gravity}, expected a finite number.")
        self.gravity, self.mass = self._read("gravity", gravity), self._read("mass", mass)
        self.length, self.dt = self._read("length", length), self._read("dt", dt)
        self.max_torque, self.max_speed = self._read("max_torque", max_torque), float(max_speed)
        self.state_low = np.array([-np.pi, -self.max_speed])
        self.state_high = -self.state_low
        self.action_low, self.action_high = np.array([-self.max_torque]), np.array([self.max_torque])
        self.observation_high = np.array([1.0, 1.0, self.max_speed])
        self.observation_low = -self.observation_high
        self.goal = Goal([0.0, 0.0], [0.3, np.inf], self.periods, "|theta| <= 0.3 modulo 2 pi")
        self.leaves_out = (
            "the curvature of sin",
            "the curvature of the observation map (cos, sin)",
            f"the speed limit of {self.max_speed:g} rad/s",
        )

    @classmethod
    def from_environment(cls, env: Any) -> Pendulum:
        """The model of an unwrapped ``PendulumEnv``, with the parameters it has now; its name says which are others."""
        now = {"g": env.g, "m": env.m, "l": env.l, "dt": env.dt, "max_torque": env.max_torque}
        return cls(max_speed=env.max_speed).with_uncertain({name: (value, value) for name, value in now.items()})

    def step(self, x: Sequence[Any], u: Sequence[Any]) -> tuple[Any, ...]:
        theta, speed = x
        torque = clip(u[0], -self.max_torque, self.max_torque)
        by_gravity = 3 * self.gravity / (2 * self.length)
        by_torque = 3.0 / (self.mass * self.length**2)
        speed = clip(speed + (by_gravity * sin(theta) + by_torque * torque) * self.dt, -self.max_speed, self.max_speed)
        return theta + speed * self.dt, speed

    def observe(self, x: Sequence[Any]) -> tuple[Any, ...]:
        theta, speed = x
        return cos(theta), sin(theta), speed

    def notable_states(self) -> list[Array]:
        return [np.array([[np.pi, 0.0]])]

    def _with_ranges(self, given: Mapping[str, Any]) -> Self:
        Pendulum(**{n: given[n] for n in Pendulum.parameters if n in given})  # refuses what is not positive
        other = super()._with_ranges(given)
        other.action_low, other.action_high = np.array([-other.max_torque]), np.array([other.max_torque])
        return other
