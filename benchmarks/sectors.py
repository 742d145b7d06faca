"""Ellipsoids of the nonlinear loop by sectors, by hand: python benchmarks/sectors.py [SECONDS [NAME]].

Beside each the core that contraction proves, where that can be done (up to six states). Seconds are processor time, the
limit too. Loops: those of region.py and region_nd.py, and rows of coupled pendulums (examples/coupled_pendulums.py).
"""

from __future__ import annotations

import resource
import runpy
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from region import agents
from region_nd import imitating, saturating

from lipctrl.networks.network import Network
from lipctrl.plants.model import Model
from lipctrl.plants.models.cartpole import CartPole
from lipctrl.plants.models.planar_quadrotor import PlanarQuadrotor
from lipctrl.plants.resting import find_resting
from lipctrl.proofs import check_cells
from lipctrl.proofs.certificate import write_certificate
from lipctrl.theorems.region_core import find_core
from lipctrl.theorems.sector_row import sector_row

COLUMNS = "loop, states, channels, volume, half widths, s, core by contraction, certificate kB, check s, MB"


def loops() -> dict[str, Callable[[], tuple[Model, Network]]]:
    found: dict[str, Callable[[], tuple[Model, Network]]] = {
        name: lambda pair=pair: pair for name, pair in agents().items()
    }
    found["cart-pole, imitated LQR"] = lambda: (CartPole(), imitating(CartPole()))
    found["planar quadrotor, saturating LQR"] = lambda: (PlanarQuadrotor(), saturating(PlanarQuadrotor(), 2.3))
    example = runpy.run_path(str(Path(__file__).resolve().parents[1] / "examples" / "coupled_pendulums.py"))
    for count in (2, 4, 6, 8):
        model = example["CoupledPendulums"](count)
        found[f"{count} coupled pendulums"] = lambda model=model: (model, example["policy"](model))
    return found


def line(name: str, model: Model, network: Network, seconds: float) -> str:
    equilibria = find_resting(model, network, count=20, steps=200).equilibria
    rest = next((e.x for e in equilibria if e.attracts and e.in_goal is not False), np.zeros(model.n_states))
    began = time.process_time()
    row, region = sector_row(model, network, rest, seconds)
    took = time.process_time() - began
    if region is None or row.certificate is None:
        return f"| {name} | {model.n_states} | {row.reason} |"
    core = find_core(region.loop, rest, region.equilibrium, 4 if model.n_states > 2 else 16) if len(rest) <= 6 else None
    with tempfile.TemporaryDirectory() as folder:
        path = write_certificate(row.certificate, Path(folder) / "sectors.json")
        size, began = path.stat().st_size / 1024, time.process_time()
        code, words = check_cells.check(path)
        checked = f"{time.process_time() - began:.2f}" if code == 0 else f"REJECTED: {words}"
    channels = sum(int(np.sum(block[:, 0] < block[:, 1])) for block in region.blocks)
    widths = " ".join(f"{value:.3g}" for value in region.ellipsoid.half_widths)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return (
        f"| {name} | {model.n_states} | {channels} | {region.volume:.3g} | {widths} | {took:.1f} | "
        f"{'-' if core is None else f'{core.volume:.3g}'} | {size:.0f} | {checked} | {memory} |"
    )


def main() -> None:
    time.perf_counter = time.process_time  # type: ignore[assignment]
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    wanted = sys.argv[2] if len(sys.argv) > 2 else ""
    print("| " + COLUMNS.replace(", ", " | ") + " |")
    print("|" + "---|" * len(COLUMNS.split(", ")))
    for name, make in loops().items():
        if wanted in name:
            print(line(name, *make(), seconds), flush=True)


if __name__ == "__main__":
    main()
