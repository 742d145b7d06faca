"""A plant of one's own by its equations: from where does a small network calm van der Pol's oscillator?

Without control the origin is unstable and everything ends in the limit cycle of amplitude 2. A push of at most 1 calms
it from everywhere in the box, which is proved; one of at most 0.55 only near the origin: a limit cycle refutes more.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import lipctrl
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.plants.model import Model
from lipctrl.tools.files import write_report


class VanDerPol(Model):
    """x1' = x2, x2' = (1 - x1^2) x2 - x1 + u, by Euler's method every 0.1 s. Written once, for all kinds of numbers."""

    name = "van der Pol"
    n_states, n_actions, n_observations, dt = 2, 1, 2, 0.1
    state_names, action_names = ("position", "speed"), ("push",)
    periods = np.zeros(2)
    state_low, state_high = np.array([-3.0, -3.0]), np.array([3.0, 3.0])
    action_low, action_high = np.array([-np.inf]), np.array([np.inf])

    def step(self, x: Sequence[Any], u: Sequence[Any]) -> tuple[Any, ...]:
        position, speed = x
        return position + self.dt * speed, speed + self.dt * ((1.0 - position**2) * speed - position + u[0])

    def observe(self, x: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(x)


def calm(push: float) -> Network:
    """u = push tanh(...), hardly more than (-position - 4.5 speed) near the origin."""
    return Network(
        [
            Affine([[1.0, 0.5], [-1.0, -0.5], [0.0, 1.0], [0.0, -1.0]]),
            Elementwise("tanh", 4),
            Affine([[-0.5, 0.5, -2.0, 2.0]]),
            Elementwise("tanh", 1),
            Affine([[push]]),
        ]
    )


for push in (1.0, 0.55):
    report = lipctrl.certify(calm(push), VanDerPol(), target=[0.0, 0.0], time_limit=20.0)
    print(f"push {push}: {report.verdict}, {report.region}")
    for row in report.theorems:
        if row.model == "nonlinear":
            print(f"  {row.name}: {row.verdict}. {row.reason}")

_, files = write_report(report, Path("lipctrl-out"))
print(lipctrl.check(next(file for file in files if "cells" in file.name)).claim)
