"""The cart-pole of Barto, Sutton and Anderson (1983), with the equations of Gymnasium's CartPole-v1 and any force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from lipctrl.errors import PlantError
from lipctrl.intervals.functions import clip, cos, sin, square
from lipctrl.plants.goal import Goal
from lipctrl.plants.model import Model

Range = float | tuple[float, float]


class CartPole(Model):
    """A pole hinged on a cart that a force pushes along a track, in exact arithmetic.

    State (position, speed, angle, angular speed) in m, m/s, rad, rad/s with angle = 0 upright, action (force,) in N,
    all four states observed. The equations of motion are those of CartPole-v1 (R. V. Florian, "Correct equations for
    the dynamics of the cart-pole system", 2007, without friction), in which the force is +-10 N only. The integrator is
    Euler's: semi-implicit (speeds first, which then move the positions; Gymnasium's "semi-implicit euler") or explicit
    (Gymnasium's default "euler").

    Parameters
    ----------
    gravity, cart_mass, pole_mass, half_length, dt, max_force : float or (low, high)
        As in Gymnasium, which calls the first four gravity, masscart, masspole and length. An interval means every
        constant value in it.
    explicit : bool
        Whether the positions move with the old speeds.

    Raises
    ------
    PlantError
        If a parameter is not a positive number (gravity: a finite one).
    """

    name = "lipctrl/CartPole-v0"
    n_states, n_actions, n_observations = 4, 1, 4
    state_names = ("position", "speed", "angle", "angular speed")
    action_names = ("force",)
    observation_names = state_names
    periods = np.zeros(4)
    state_low, state_high = np.array([-2.0, -1.0, -0.4, -1.0]), np.array([2.0, 1.0, 0.4, 1.0])
    leaves_out = ("the curvature of the equations of motion", "the limit of the force")
    parameters = ("gravity", "cart_mass", "pole_mass", "half_length", "dt", "max_force")
    symbols: ClassVar = {"masscart": "cart_mass", "masspole": "pole_mass", "length": "half_length"}

    def __init__(
        self,
        gravity: Range = 9.8,
        cart_mass: Range = 1.0,
        pole_mass: Range = 0.1,
        half_length: Range = 0.5,
        dt: Range = 0.02,
        max_force: Range = 10.0,
        explicit: bool = False,
    ) -> None:
        positive = {
            "cart_mass": cart_mass,
            "pole_mass": pole_mass,
            "half_length": half_length,
            "dt": dt,
            "max_force": max_force,
        }
        for key, value in positive.items():
            if not (np.all(np.isfinite(value)) and np.all(np.asarray(value) > 0)):
                raise PlantError(f"The cart-pole's {key} is {value}, expected a positive number.")
        if not np.all(np.isfinite(gravity)):
            raise PlantError(f"The cart-pole's gravity is {gravity}, expected a finite number.")
        self.gravity, self.cart_mass = self._read("gravity", gravity), self._read("cart_mass", cart_mass)
        self.pole_mass, self.half_length = self._read("pole_mass", pole_mass), self._read("half_length", half_length)
        self.dt, self.max_force = self._read("dt", dt), self._read("max_force", max_force)
        self.explicit = bool(explicit)
        self.action_low, self.action_high = np.array([-self.max_force]), np.array([self.max_force])
        self.goal = Goal([0.0] * 4, [0.5, 0.1, 0.1, 0.1], names=self.state_names)

    def step(self, x: Sequence[Any], u: Sequence[Any]) -> tuple[Any, ...]:
        position, speed, angle, turning = x
        force = clip(u[0], -self.max_force, self.max_force)
        total, moment = self.cart_mass + self.pole_mass, self.pole_mass * self.half_length
        sine, cosine = sin(angle), cos(angle)
        push = (force + moment * (square(turning) * sine)) / total
        inertia = self.half_length * (4.0 / 3.0 - (self.pole_mass / total) * square(cosine))
        turn = (self.gravity * sine - cosine * push) / inertia
        pull = push - (moment / total) * (turn * cosine)
        new_speed, new_turning = speed + self.dt * pull, turning + self.dt * turn
        if self.explicit:
            return position + self.dt * speed, new_speed, angle + self.dt * turning, new_turning
        return position + self.dt * new_speed, new_speed, angle + self.dt * new_turning, new_turning

    def observe(self, x: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(x)

    def _with_ranges(self, given: Mapping[str, Any]) -> Self:
        CartPole(**{n: given[n] for n in CartPole.parameters if n in given})  # refuses what is not positive
        other = super()._with_ranges(given)
        other.action_low, other.action_high = np.array([-other.max_force]), np.array([other.max_force])
        return other
