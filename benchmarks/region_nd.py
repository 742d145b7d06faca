"""Regions of attraction in four states and more, by hand: python benchmarks/region_nd.py [SECONDS [NAME]].

Plants: the cart-pole with a 64-64 tanh network that imitates dlqr(diag(1, 1, 10, 1), .1) (trained here, in numpy, from
a seed), the same with a required box, InvertedPendulum-v5 and a planar quadrotor of six states with a saturating LQR,
and policies/cartpole-*. Seconds are processor time, the limit too. Beside each the ellipsoid of the sector LMI on the
linearised plant: its volume about the linear model is not even a claim about the nonlinear one.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from scipy.linalg import solve_discrete_are

from lipctrl import load_policy
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.plants.linearize import find_linearization
from lipctrl.plants.loop import Loop
from lipctrl.plants.model import Model
from lipctrl.plants.models.cartpole import CartPole
from lipctrl.plants.models.inverted_pendulum import InvertedPendulum
from lipctrl.plants.models.planar_quadrotor import PlanarQuadrotor
from lipctrl.plants.resting import find_resting
from lipctrl.proofs import check_cells
from lipctrl.proofs.certificate import write_certificate
from lipctrl.proofs.closed_loop import ClosedLoop
from lipctrl.proofs.equilibrium import prove_equilibrium
from lipctrl.theorems.levels_row import levels_row
from lipctrl.theorems.region_core import find_core
from lipctrl.theorems.rows import ROWS

Array = np.ndarray
COLUMNS = "loop, core s, core volume, levels, cells, largest volume, half widths, box, CPU s, MB, certificate kB, "
COLUMNS += "check CPU s, sector LMI volume, ratio, simulated, of it certified"


def imitating(model: Model, seed: int = 0, steps: int = 6000) -> Network:
    """A 4-64-64-1 tanh network with biases, fitted to clip(K x, +-12) by Adam."""
    A, B, _ = model.derivatives(np.zeros(4), np.zeros(1))
    P = solve_discrete_are(A, B, np.diag([1.0, 1.0, 10.0, 1.0]), np.array([[0.1]]))
    K = -np.linalg.solve(0.1 + B.T @ P @ B, B.T @ P @ A)
    rng = np.random.default_rng(seed)
    sizes = (4, 64, 64, 1)
    weights = [rng.uniform(-1, 1, (b, a)) / np.sqrt(a) for a, b in zip(sizes[:-1], sizes[1:], strict=True)]
    biases = [rng.uniform(-1, 1, b) / np.sqrt(a) for a, b in zip(sizes[:-1], sizes[1:], strict=True)]
    parameters = [*weights, *biases]
    first, second = ([np.zeros_like(p) for p in parameters] for _ in range(2))
    for step in range(steps):
        x = rng.standard_normal((512, 4)) * [3.0, 3.0, 0.6, 3.0] * rng.random((512, 1))
        hidden = [x]
        for W, b in zip(weights[:-1], biases[:-1], strict=True):
            hidden.append(np.tanh(hidden[-1] @ W.T + b))
        error = hidden[-1] @ weights[-1].T + biases[-1] - np.clip(x @ K.T, -12.0, 12.0)
        back, grads_W, grads_b = 2.0 * error / len(x), list[Array](), list[Array]()
        for place in reversed(range(3)):
            grads_W.insert(0, back.T @ hidden[place])
            grads_b.insert(0, back.sum(axis=0))
            if place:
                back = (back @ weights[place]) * (1.0 - hidden[place] ** 2)
        rate = 1e-3 * (1.0 - step / steps) + 1e-6
        for p, grad, m, v in zip(parameters, [*grads_W, *grads_b], first, second, strict=True):
            m += 0.1 * (grad - m)
            v += 1e-3 * (grad**2 - v)
            p -= rate * (m / (1 - 0.9 ** (step + 1))) / (np.sqrt(v / (1 - 0.999 ** (step + 1))) + 1e-8)
    hidden_layers = [layer for W, b in zip(weights[:-1], biases[:-1], strict=True) for layer in (Affine(W, b), TANH)]
    return Network([*hidden_layers, Affine(weights[-1], biases[-1])])


TANH = Elementwise("tanh", 64)


def saturating(model: Model, limit: float) -> Network:
    """limit tanh(K x / limit) with K of dlqr(I, I) at 0."""
    n, m = model.n_states, model.n_actions
    A, B, _ = model.derivatives(np.zeros(n), np.zeros(m))
    P = solve_discrete_are(A, B, np.eye(n), np.eye(m))
    K = -np.linalg.solve(np.eye(m) + B.T @ P @ B, B.T @ P @ A)
    return Network([Affine(K / limit), Elementwise("tanh", m), Affine(limit * np.eye(m))])


def sector_volume(model: Model, network: Network, seconds: float) -> float:
    """Of the local sector LMI's ellipsoid (linearised plant); 0 without one."""
    found = find_linearization(model, network)
    if found.plant is None:
        return 0.0
    loop, best = Loop(found.plant, network), 0.0
    for theorem, scope, _ in ROWS.values():
        if scope == "local":
            row = theorem(loop, seconds)
            if row.region is not None and row.region.volume is not None:
                best = max(best, row.region.volume)
    return best


def line(name: str, model: Model, network: Network, seconds: float, box: tuple[Array, Array] | None) -> str:
    rests = [e.x for e in find_resting(model, network).equilibria if e.in_goal and e.spectral_radius < 1]
    if not rests:
        return f"| {name} | rests nowhere in its goal |"
    began = time.process_time()
    rest = prove_equilibrium(model, network, rests[0], (1e-9, 1e-8))
    splits = 4 if model.n_states < 5 else 2
    core = None if rest is None else find_core(ClosedLoop(model, network), rests[0], rest.x, splits)
    core_seconds = time.process_time() - began
    began = time.process_time()
    row, region = levels_row(model, network, rests[0], seconds, None, box)
    took = time.process_time() - began
    if region is None or core is None or row.certificate is None:
        return f"| {name} | {row.verdict}: {row.reason} |"
    with tempfile.TemporaryDirectory() as folder:
        path = write_certificate(row.certificate, Path(folder) / "levels.json")
        size = path.stat().st_size / 1024
        began = time.process_time()
        code, words = check_cells.check(path)
        checked = time.process_time() - began
    sector = sector_volume(model, network, min(seconds, 40.0)) if box is None else 0.0
    required = "-" if box is None else ("certified" if region.box_certified else "not certified")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    widths = " ".join(f"{value:.3g}" for value in region.largest.half_widths)
    shares = f"{100 * region.simulated_share:.1f} % | {100 * region.covered_share:.1f} %"
    verdict = f"{checked:.1f}" if code == 0 else f"REJECTED: {words}"
    return (
        f"| {name} | {core_seconds:.2f} | {core.volume:.3g} | {len(region.levels)} | {region.cells} | "
        f"{region.volume:.4g} | {widths} | {required} | {took:.1f} | {memory} | {size:.0f} | {verdict} | "
        f"{f'{sector:.3g} | {region.volume / sector:.3g}' if sector else '- | -'} | {shares} |"
    )


def main() -> None:
    time.perf_counter = time.process_time  # type: ignore[assignment]
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    wanted = sys.argv[2] if len(sys.argv) > 2 else ""
    print("| " + COLUMNS.replace(", ", " | ") + " |")
    print("|" + "---|" * len(COLUMNS.split(", ")))
    cart = CartPole()
    half = np.array([1.0, 0.5, 0.12, 0.5])
    jobs: list[tuple[str, Model, Callable[[], Network], tuple[Array, Array] | None]] = [
        ("cart-pole, imitated LQR", cart, lambda: imitating(cart), None),
        ("the same, +-(1, .5, .12, .5) required", cart, lambda: imitating(cart), (-half, half)),
        ("inverted pendulum, saturating LQR", InvertedPendulum(), lambda: saturating(InvertedPendulum(), 3.0), None),
        ("planar quadrotor, saturating LQR", PlanarQuadrotor(), lambda: saturating(PlanarQuadrotor(), 2.3), None),
    ]
    for folder in sorted((Path(__file__).resolve().parents[1] / "policies").glob("cartpole-*")):
        jobs.append((folder.name, cart, partial(_network, folder), None))
    for name, model, network, box in jobs:
        if wanted in name:
            print(line(name, model, network(), seconds, box), flush=True)


def _network(folder: Path) -> Network:
    return load_policy(folder).network


if __name__ == "__main__":
    main()
