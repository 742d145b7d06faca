"""Random points against the enclosures of their cells, by hand: python benchmarks/enclosures.py [POINTS].

Cells of many sizes over the domain; the affine form of the state after 1 and after 4 steps is c + G e + d, |d| <= r,
with e the place in the cell. A point outside is one where the simulated state is farther from c + G e than r, beyond
1e-12 for the rounding of the simulation itself.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from region import agents

from lipctrl.proofs.closed_loop import ClosedLoop, box_forms

PER_CELL, CELLS, ROUNDING = 50, 2000, 1e-12


def outside(loop: ClosedLoop, rng: np.random.Generator, steps: int) -> tuple[int, float, float]:
    """How many of PER_CELL points in each of CELLS cells lie outside; the largest excess; the largest |error| / r."""
    low = np.where(loop.model.periods > 0, -np.pi, loop.model.state_low)
    high = np.where(loop.model.periods > 0, np.pi, loop.model.state_high)
    half = 2.0 ** -rng.uniform(6, 14, (CELLS, 1)) * (high - low)
    center = rng.uniform(low, high, (CELLS, loop.n))
    lower, upper = center - half, center + half
    x = box_forms(lower, upper)
    after = loop.advance(x, steps)
    count, excess, used = 0, -np.inf, 0.0
    for _ in range(PER_CELL):
        e = np.clip(rng.uniform(-1.2, 1.2, (CELLS, loop.n)), -1, 1)
        point = np.clip(center + e * half, lower, upper)
        e = (point - np.stack([form.center for form in x], axis=1)) / half
        for _ in range(steps):
            point = loop.model.advance(point, loop.network(loop.model.outputs(point)))
        for i, form in enumerate(after):
            error = np.abs(point[:, i] - form.center - np.einsum("nk,kn->n", e, form.generators[: loop.n]))
            radius = form.radius + np.abs(form.generators[loop.n :]).sum(axis=0)
            count += int(np.count_nonzero(~(error <= radius + ROUNDING)))
            excess = max(excess, float(np.max(error - radius)))
            used = max(used, float(np.max((error - ROUNDING) / radius)))
    return count, excess, used


def main() -> None:
    total = int(float(sys.argv[1])) if len(sys.argv) > 1 else 10_000_000
    found, rng, began = agents(), np.random.default_rng(0), time.process_time()
    points, bad, excess, used = 0, 0, -np.inf, 0.0
    while points < total:
        for model, network in found.values():
            loop = ClosedLoop(model, network)
            for steps in (1, 4):
                count, worst, share = outside(loop, rng, steps)
                points, bad = points + CELLS * PER_CELL, bad + count
                excess, used = max(excess, worst), max(used, share)
    seconds = time.process_time() - began
    print(
        f"{bad} of {points} points outside ({len(found)} agents, {seconds:.0f} s); largest excess {excess:.1e}; "
        f"largest share of the radius used {used:.6f}"
    )


if __name__ == "__main__":
    main()
