"""Cells, seconds and share of the proved region of attraction, by hand: python benchmarks/region.py [SECONDS [NAME]].

Seconds are processor time, limits too: what else the machine does changes no result.
Agents: policies/pendulum-*, those of LIPCTRL_ZOO, and the saturated pendulum of LIPCTRL_BENCHMARKS (Yin, Seiler, Arcak,
IEEE TAC 2022).
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lipctrl import load_policy
from lipctrl.intervals.functions import clip, sin
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.plants.model import Model
from lipctrl.plants.models.pendulum import Pendulum
from lipctrl.plants.resting import find_resting
from lipctrl.theorems.region import find_region


class SaturatedPendulum(Model):
    """g = 10, m = .15, l = .5, mu = .05, dt = .02, Euler, abs(u) <= .7."""

    n_states, n_actions, n_observations, dt = 2, 1, 2, 0.02
    periods = np.zeros(2)
    state_low, state_high = np.array([-4.0, -8.0]), np.array([4.0, 8.0])
    action_low, action_high = np.array([-0.7]), np.array([0.7])

    def step(self, x: Sequence[Any], u: Sequence[Any]) -> tuple[Any, ...]:
        angle, speed = x
        inertia = 0.15 * 0.5**2
        torque = clip(u[0], -0.7, 0.7)
        rate = 20.0 * sin(angle) - (0.05 / inertia) * speed + (1.0 / inertia) * torque
        return angle + self.dt * speed, speed + self.dt * rate

    def observe(self, x: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(x)


def yin(folder: Path) -> Network:
    W = [np.loadtxt(folder / f"W{i}.csv", delimiter=",", ndmin=2) for i in (1, 2, 3)]
    hidden = [Affine(W[0]), Elementwise("tanh", 32), Affine(W[1]), Elementwise("tanh", 32)]
    return Network([*hidden, Affine(W[2].reshape(1, -1))])


def agents() -> dict[str, tuple[Model, Network]]:
    found: dict[str, tuple[Model, Network]] = {}
    here = Path(__file__).resolve().parents[1] / "policies"
    folders = [here / name for name in ("pendulum-ppo", "pendulum-ppo-varied", "pendulum-sac", "pendulum-sac-highgain")]
    if "LIPCTRL_ZOO" in os.environ:
        folders += [Path(os.environ["LIPCTRL_ZOO"]) / name / "Pendulum-v1" for name in ("ppo", "a2c", "sac", "ars")]
    for folder in folders:
        name = folder.parent.name + "/" + folder.name
        found[name] = (Pendulum(), load_policy(folder).network)
    if "LIPCTRL_BENCHMARKS" in os.environ:
        found["yin saturated"] = (SaturatedPendulum(), yin(Path(os.environ["LIPCTRL_BENCHMARKS"]) / "yin_pendulum"))
    return found


def main() -> None:
    time.perf_counter = time.process_time  # type: ignore[assignment]
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    wanted = sys.argv[2] if len(sys.argv) > 2 else ""
    columns = "agent, core, largest ellipsoid, certified, share, simulated, cells, cell steps, other equilibria, "
    columns += "not converging, by level, s, MB"
    print("| " + columns.replace(", ", " | ") + " |")
    print("|" + "---|" * len(columns.split(", ")))
    for name, (model, network) in agents().items():
        if wanted not in name:
            continue
        began = time.process_time()
        resting = find_resting(model, network, count=20, steps=200).equilibria
        guess = next((e.x for e in resting if e.attracts and e.in_goal is not False), None)
        region = None if guess is None else find_region(model, network, guess, time_limit=seconds)
        cpu = time.process_time() - began
        if region is None:
            print(f"| {name} | none |")
            continue
        ellipsoid = max([e.volume for e in region.ellipsoids], default=0.0)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        history = " ".join(f"{t:.1f}s:{100 * share:.2f}" for t, share in region.history)
        shares = f"{100 * region.share:.3f} % | {100 * region.simulation.share:.2f} %"
        print(f"| {name} | {region.core.volume:.3g} | {ellipsoid:.4g} | {region.volume:.4g} | {shares} | ", end="")
        others = f"{len(region.others)}{'' if region.rest.complete else ' or more'}"
        bad = ", ".join(failure.kind for failure in region.failures) or "nothing found"
        counts = f"{region.n_cells} | {region.cells.steps_enclosed} | {others} | {bad}"
        print(f"{counts} | {history} | {cpu:.1f} | {memory} |", flush=True)


if __name__ == "__main__":
    main()
