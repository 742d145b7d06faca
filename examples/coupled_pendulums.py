"""More states than cells or level sets can cover: an ellipsoid for four coupled pendulums, eight states, by sectors.

Every nonlinear operation of policy and equations (tanh, sin, cos, the clip of the torques) becomes a channel that is
known by a sector about the equilibrium; one linear matrix inequality then proves a region of attraction of the true
nonlinear loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.linalg import solve_discrete_are

import lipctrl
from lipctrl.intervals.functions import clip, cos, sin
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.plants.goal import Goal
from lipctrl.plants.model import Model
from lipctrl.tools.files import write_report


class CoupledPendulums(Model):
    """Upright pendulums in a row, neighbours joined by springs, each with a motor; angle and speed of each in turn.

    speed' = 5 sin angle + u + spring (sum over neighbours of sin(their angle) - sin(own angle)), abs(u) <= torque.
    """

    name = "coupled pendulums"

    dt = 0.05

    def __init__(self, count: int = 4, spring: float = 3.0, torque: float = 4.0) -> None:
        self.count, self.spring, self.torque = count, spring, torque
        self.n_states, self.n_actions, self.n_observations = 2 * count, count, 3 * count
        self.periods = np.zeros(2 * count)
        self.state_low, self.state_high = np.tile([-1.0, -4.0], count), np.tile([1.0, 4.0], count)
        self.action_low, self.action_high = np.full(count, -torque), np.full(count, torque)
        self.goal = Goal(np.zeros(2 * count), np.full(2 * count, 0.3))

    def step(self, x: Sequence[Any], u: Sequence[Any]) -> tuple[Any, ...]:
        after: list[Any] = []
        for i in range(self.count):
            angle, speed = x[2 * i], x[2 * i + 1]
            pull = 5.0 * sin(angle) + clip(u[i], -self.torque, self.torque)
            for j in (i - 1, i + 1):
                if 0 <= j < self.count:
                    pull = pull + self.spring * (sin(x[2 * j]) - sin(angle))
            speed = speed + self.dt * pull
            after += [angle + self.dt * speed, speed]
        return tuple(after)

    def observe(self, x: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(part for i in range(self.count) for part in (cos(x[2 * i]), sin(x[2 * i]), x[2 * i + 1]))


def policy(model: CoupledPendulums) -> Network:
    """A tanh network about the linear-quadratic regulator of the linearised pendulums, one neuron for each."""
    n, m = model.n_states, model.n_actions
    A, B, C = model.derivatives(np.zeros(n), np.zeros(m))
    P = solve_discrete_are(A, B, np.eye(n), np.eye(m))
    K = -np.linalg.solve(np.eye(m) + B.T @ P @ B, B.T @ P @ A)
    return Network([Affine(K @ np.linalg.pinv(C) / 4.0), Elementwise("tanh", m), Affine(4.0 * np.eye(m))])


def main() -> None:
    model = CoupledPendulums()
    report = lipctrl.certify(policy(model), model, time_limit=6.0)
    print(f"{report.verdict}: {report.claim}")
    _, files = write_report(report, Path("lipctrl-out"))
    print(lipctrl.check(next(file for file in files if "sectors" in file.name and "attraction" in file.name)).claim)


if __name__ == "__main__":
    main()
