"""Gymnasium's InvertedPendulum-v5 without its physics engine: the equations that MuJoCo integrates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lipctrl.intervals.functions import clip, cos, sin, square
from lipctrl.plants.goal import Goal
from lipctrl.plants.model import Model

CAPSULE_DENSITY = 1000.0
FORCE_PER_ACTION, DAMPING, GRAVITY, SUBSTEP, FRAMES = 100.0, 1.0, 9.81, 0.02, 2


def _capsule(radius: float, length: float) -> tuple[float, float]:
    """Mass of a cylinder with two half balls, and moment of inertia about an axis across it through the middle."""
    tube = np.pi * radius**2 * length * CAPSULE_DENSITY
    ball = 4.0 / 3.0 * np.pi * radius**3 * CAPSULE_DENSITY
    across = tube * (3.0 * radius**2 + length**2) / 12.0
    across += ball * (0.4 * radius**2 + 0.375 * radius * length + 0.25 * length**2)
    return float(tube + ball), float(across)


class InvertedPendulum(Model):
    """The environment InvertedPendulum-v5 between the stops of its joints, in exact arithmetic.

    State (position, angle, speed, angular speed) in m, rad, m/s, rad/s with angle = 0 along the pole's joint frame,
    action (action,) of 100 N, limited to +-3, all four states observed. The pole's middle lies .5 mm beside its frame's
    axis, so that it balances at angle -.0016667. With masses M (cart), m (pole) at (a, b) from the hinge, h = b cos - a
    sin, k = a cos + b sin, J = I + m (a^2 + b^2), and damping d = 1 of both joints,

        (M + m) p'' + m h w' = F - d p' + m k w^2,    m h p'' + J w' = m g k - d w,

    integrated by Runge and Kutta's method of order four, two steps of .02 s per action. Masses and inertias are those
    that MuJoCo infers from the capsules. The rail ends at +-1 m: `limits` is a box from which no stage of a step
    leaves the range of the joints.
    """

    name = "InvertedPendulum-v5"
    n_states, n_actions, n_observations = 4, 1, 4
    dt = SUBSTEP * FRAMES
    state_names = ("position", "angle", "speed", "angular speed")
    action_names = ("action",)
    observation_names = state_names
    periods = np.zeros(4)
    state_low, state_high = np.array([-0.5, -0.2, -1.0, -1.0]), np.array([0.5, 0.2, 1.0, 1.0])
    action_low, action_high = np.array([-3.0]), np.array([3.0])
    observation_low, observation_high = np.full(4, -np.inf), np.full(4, np.inf)
    limits = (np.array([-0.75, -1.0, -4.0, -8.0]), np.array([0.75, 1.0, 4.0, 8.0]))
    leaves_out = ("the curvature of the equations of motion", "the limit of the force", "the ends of the rail")

    def __init__(self) -> None:
        self.cart_mass, _ = _capsule(0.1, 0.2)
        self.side, self.height = 0.0005, 0.3
        length = float(np.hypot(2 * self.side, 2 * self.height))
        self.pole_mass, across = _capsule(0.049, length)
        self.inertia = across + self.pole_mass * (self.side**2 + self.height**2)
        self.goal = Goal([0.0] * 4, [0.5, 0.1, 0.1, 0.1], names=self.state_names)

    def rates(self, x: Sequence[Any], force: Any) -> tuple[Any, ...]:
        """dx/dt."""
        _, angle, speed, turning = x
        sine, cosine = sin(angle), cos(angle)
        m = self.pole_mass
        h, k = self.height * cosine - self.side * sine, self.side * cosine + self.height * sine
        along = force - DAMPING * speed + m * (k * square(turning))
        around = (m * GRAVITY) * k - DAMPING * turning
        total = self.cart_mass + m
        turn = (total * around - m * (h * along)) / (total * self.inertia - (m * m) * square(h))
        return speed, turning, (along - m * (h * turn)) / total, turn

    def stages(self, x: Sequence[Any], u: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Every state at which the rates are taken, and the next state."""
        force = FORCE_PER_ACTION * clip(u[0], -3.0, 3.0)
        state, visited = tuple(x), []
        for _ in range(FRAMES):
            rates, at = list[Sequence[Any]](), state
            for share in (0.5, 0.5, 1.0, None):
                visited.append(at)
                rates.append(self.rates(at, force))
                if share is not None:
                    at = tuple(p + (share * SUBSTEP) * q for p, q in zip(state, rates[-1], strict=True))
            weighted = [a + 2.0 * (b + c) + d for a, b, c, d in zip(*rates, strict=True)]
            state = tuple(p + (SUBSTEP / 6.0) * q for p, q in zip(state, weighted, strict=True))
        return [*visited, state]

    def step(self, x: Sequence[Any], u: Sequence[Any]) -> tuple[Any, ...]:
        return self.stages(x, u)[-1]

    def observe(self, x: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(x)
