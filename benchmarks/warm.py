"""Warm starts: with and without, over sequences of regions and checkpoints, by both methods; writes a table.

    python benchmarks/warm.py [FOLDER ...]

Each FOLDER holds checkpoints of one training run of Stable-Baselines3 (zips, in the order of their names), for instance

    model = PPO("MlpPolicy", "Pendulum-v1", seed=0, device="cpu")
    for k in range(25):
        model.learn(2048, reset_num_timesteps=False)
        model.save(f"checkpoints/{k:03d}")
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

import lipctrl
from lipctrl.lmi.solvers import Solution, solve
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.theorems.lipschitz import box_region, state

GAP = 1e-7
COLUMNS = (
    "sweeps, cold",
    "ms",
    "sweeps, warm",
    "ms, warm",
    "interior-point iterations, cold",
    "ms, cold",
    "iterations, warm",
    "ms, from there",
)
POLICIES = Path(__file__).resolve().parents[1] / "policies"
#: half-widths of the smallest region, and its centre: cos, sin and speed of the pendulum
HALF, CENTER = 0.05 * np.array([1.0, 1.0, 8.0]), np.array([0.6, 0.0, 0.0])


def regions(factor: float, policy: str = "pendulum-ppo") -> list[tuple[Network, tuple[np.ndarray, np.ndarray]]]:
    network = lipctrl.load_policy(POLICIES / policy).network
    halves = [HALF * factor**k for k in range(10)]
    return [(network, (CENTER - half, CENTER + half)) for half in halves]


def one_layer() -> Network:
    """10-500-10, ReLU."""
    rng = np.random.default_rng(0)
    W, V = rng.standard_normal((500, 10)) / np.sqrt(5), rng.standard_normal((10, 500)) / np.sqrt(250)
    return Network([Affine(W), Elementwise("relu", 500), Affine(V)])


def updates(size: float, first: Network) -> list[tuple[Network, None]]:
    """Ten networks, each with all weights moved by `size` times the root mean square of their layer."""
    rng = np.random.default_rng(0)
    networks = [first]
    for _ in range(9):
        layers = [
            Affine(f.W + size * np.sqrt(np.mean(f.W**2)) * rng.standard_normal(f.W.shape), f.b)
            if isinstance(f, Affine)
            else f
            for f in networks[-1].layers
        ]
        networks.append(Network(layers))
    return [(network, None) for network in networks]


def checkpoints(folder: str) -> list[tuple[Network, None]]:
    return [(lipctrl.load_policy(path).network, None) for path in sorted(Path(folder).glob("*.zip"))]


def sequences(folders: list[str]) -> Iterator[tuple[str, list]]:
    for factor in (1.1, 1.25):
        for policy, kind in (("pendulum-ppo", "tanh"), ("pendulum-sac", "ReLU")):
            yield f"{policy} ({kind}), 10 regions, each {factor:g} times as wide", regions(factor, policy)
            yield f"{policy} ({kind}), 10 regions, each {factor:g} times as narrow", regions(factor, policy)[::-1]
    named = {"pendulum-ppo": lipctrl.load_policy(POLICIES / "pendulum-ppo").network, "10-500-10": one_layer()}
    for size in (1e-3, 1e-2, 3e-2):
        for name, first in named.items():
            yield f"{name}, 10 networks, Gaussian updates of {size:g}", updates(size, first)
    for folder in folders:
        found = checkpoints(folder)
        half = len(found) // 2
        yield f"{Path(folder).name}: first {half} checkpoints", found[:half]
        yield f"{Path(folder).name}: last {len(found) - half} checkpoints", found[half:]


def timed(run: Callable[[], Solution]) -> tuple[Solution, float]:
    began = time.process_time()
    found = run()
    return found, 1e3 * (time.process_time() - began)


def measure(cases: list) -> dict[str, list[float]]:
    """Iterations and milliseconds: cold and warm, by low-rank signals and by the interior-point method."""
    out: dict[str, list[float]] = {key: [] for key in COLUMNS}
    previous = None
    for network, region in cases:
        lmi = state(network, box_region(region, network.n_in)).lmi
        cold, cold_ms = timed(partial(solve, lmi, gap=GAP))
        point, point_ms = timed(partial(solve, lmi, "barrier", gap=GAP))
        if previous is not None:
            warmed, warm_ms = timed(partial(solve, lmi, gap=GAP, warm=previous))
            near, near_ms = timed(partial(solve, lmi, "barrier", gap=GAP, warm=previous))
            for found in (warmed, near, cold):
                if found.status != "optimal" or abs(found.objective / point.objective - 1) > 2 * GAP:
                    raise RuntimeError(f"{found.solver}, {found.start}: not the same optimum")
            pairs = (cold, cold_ms), (warmed, warm_ms), (point, point_ms), (near, near_ms)
            numbers = [number for found, ms in pairs for number in (found.iterations, ms)]
            for key, number in zip(COLUMNS, numbers, strict=True):
                out[key].append(number)
            previous = warmed
        else:
            previous = cold
    return out


def main(folders: list[str]) -> None:
    title = (
        f"Made by `python benchmarks/warm.py` (see there), to a relative gap of {GAP:g}: medians, and milliseconds of "
        "processor time. The ratio is that of the interior-point iterations, warm to cold; a warm start is the signals "
        "of the last network, swept to a residual of 1e-5 on the new one."
    )
    lines = [title, "", "| sequence | " + " | ".join(COLUMNS) + " | ratio |", "|---" * (len(COLUMNS) + 2) + "|"]
    print("\n".join(lines))
    for name, cases in sequences(folders):
        found = measure(cases)
        ratio = np.median(np.array(found[COLUMNS[6]]) / np.array(found[COLUMNS[4]]))
        medians = " | ".join(f"{np.median(found[key]):.3g}" for key in COLUMNS)
        lines.append(f"| {name} | {medians} | {ratio:.2f} |")
        print(lines[-1], flush=True)
    Path(__file__).with_suffix(".md").write_text("\n".join([*lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
