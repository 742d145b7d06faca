"""A quadrotor in a vertical plane: two rotors, six states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lipctrl.errors import PlantError
from lipctrl.intervals.functions import clip, cos, sin
from lipctrl.plants.goal import Goal
from lipctrl.plants.model import Model


class PlanarQuadrotor(Model):
    """m x'' = -(u1 + u2) sin, m z'' = (u1 + u2) cos - m g, I angle'' = r (u1 - u2), semi-implicit Euler.

    State (x, z, angle, x speed, z speed, turning) in m, rad, m/s, rad/s about hovering at 0; actions: the thrust of
    each rotor in N beyond half the weight, limited so that a rotor gives between 0 and the whole weight. All states are
    observed. (R. Tedrake, Underactuated Robotics, section 3.3.)

    Parameters
    ----------
    mass, inertia, arm, gravity, dt : float
        kg, kg m^2, m, m/s^2, s.

    Raises
    ------
    PlantError
        If a parameter is not a positive number.
    """

    name = "lipctrl/PlanarQuadrotor-v0"
    n_states, n_actions, n_observations = 6, 2, 6
    state_names = ("x", "z", "angle", "x speed", "z speed", "turning")
    action_names = ("left thrust", "right thrust")
    observation_names = state_names
    periods = np.zeros(6)
    state_low, state_high = np.full(6, -0.5), np.full(6, 0.5)
    leaves_out = ("the curvature of the equations of motion", "the limits of the thrust")

    def __init__(
        self, mass: float = 0.486, inertia: float = 0.00383, arm: float = 0.25, gravity: float = 9.81, dt: float = 0.02
    ) -> None:
        for key, value in {"mass": mass, "inertia": inertia, "arm": arm, "gravity": gravity, "dt": dt}.items():
            if not (np.isfinite(value) and value > 0):
                raise PlantError(f"The quadrotor's {key} is {value}, expected a positive number.")
        self.mass, self.inertia, self.arm = float(mass), float(inertia), float(arm)
        self.gravity, self.dt = float(gravity), float(dt)
        half = 0.5 * self.mass * self.gravity
        self.action_low, self.action_high = np.full(2, -half), np.full(2, half)
        self.goal = Goal([0.0] * 6, [0.1] * 6, names=self.state_names)

    def step(self, x: Sequence[Any], u: Sequence[Any]) -> tuple[Any, ...]:
        side, height, angle, across, rise, turning = x
        half = 0.5 * self.mass * self.gravity
        left, right = (clip(thrust, -half, half) for thrust in u)
        lift = (left + right) / self.mass + self.gravity
        across = across - self.dt * (lift * sin(angle))
        rise = rise + self.dt * (lift * cos(angle) - self.gravity)
        turning = turning + (self.dt * self.arm / self.inertia) * (left - right)
        return side + self.dt * across, height + self.dt * rise, angle + self.dt * turning, across, rise, turning

    def observe(self, x: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(x)
