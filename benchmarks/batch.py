"""Many small networks: bounds per second by a loop of `lipschitz` and by `lipschitz_batch`. Prints and writes a table.

OMP_NUM_THREADS=1 python benchmarks/batch.py
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import lipctrl
from lipctrl.networks.network import Affine, Elementwise, Network

COUNT, GAP = 32, 1e-6


def checkpoints(sizes: tuple[int, ...], update: float) -> list[Network]:
    """Random tanh networks, each an update of the last of the given relative size; 0 stands for unrelated ones."""
    rng = np.random.default_rng(0)
    weights: list[np.ndarray] = []
    networks = []
    for _ in range(COUNT):
        fresh = [rng.standard_normal((b, a)) * np.sqrt(2 / a) for a, b in zip(sizes[:-1], sizes[1:], strict=True)]
        moved = [W + update * V for W, V in zip(weights, fresh, strict=False)]
        weights = moved if update and weights else fresh
        layers: list[Affine | Elementwise] = []
        for W in weights:
            layers += [Affine(W), Elementwise("tanh", len(W))]
        networks.append(Network(layers[:-1]))
    return networks


def measure(run: Callable[[], object]) -> tuple[float, float]:
    """Wall-clock seconds and processor seconds of this process and its children, per network."""
    wall, used = time.perf_counter(), sum(os.times()[:4])
    run()
    return (time.perf_counter() - wall) / COUNT, (sum(os.times()[:4]) - used) / COUNT


def main() -> None:
    cores = len(os.sched_getaffinity(0))
    lines = [
        f"Made by `python benchmarks/batch.py` (see there): {COUNT} networks, relative gap {GAP:g}, {cores} cores, "
        f"load {os.getloadavg()[0]:.0f} before. On a busy machine the processor time is what counts: it is shared by "
        "as many cores as are free.",
        "",
        "| networks | way | ms per bound | processor ms per bound | bounds per second and free core |",
        "|---|---|---|---|---|",
    ]
    print("\n".join(lines))
    for sizes in ((3, 32, 32, 1), (3, 64, 64, 1)):
        for update, words in ((0.0, "unrelated"), (0.01, "updates of 1 %")):
            networks = checkpoints(sizes, update)
            lipctrl.lipschitz(networks[0])
            ways: dict[str, Callable[[], object]] = {
                "loop of lipschitz": lambda networks=networks: [lipctrl.lipschitz(n, gap=GAP) for n in networks],
                "batch, 1 process": lambda networks=networks: lipctrl.lipschitz_batch(networks, workers=1, gap=GAP),
                f"batch, {cores} processes": lambda networks=networks: lipctrl.lipschitz_batch(networks, gap=GAP),
            }
            for way, run in ways.items():
                wall, used = measure(run)
                name = "-".join(map(str, sizes))
                lines.append(f"| {name}, {words} | {way} | {1e3 * wall:.0f} | {1e3 * used:.0f} | {1 / used:.0f} |")
                print(lines[-1], flush=True)
    Path(__file__).with_suffix(".md").write_text("\n".join([*lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
