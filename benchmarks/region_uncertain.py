"""Regions of attraction for uncertain parameters, by hand: python benchmarks/region_uncertain.py SECONDS [HALF [NAME]].

Mass and length of Pendulum-v1 within 1 +- HALF (0.05), policies/NAME (pendulum-ppo); prints a row of a markdown table.
Seconds are processor time, the limit, too. The certificate is written, and proved again by check_cells.py. With 0 s
only what cannot be exceeded: the share of 64 x 64 simulated starts that end at one copy of the equilibrium for all
corners of the box, and of smaller boxes.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from lipctrl import load_policy
from lipctrl.plants.models.pendulum import Pendulum
from lipctrl.plants.resting import find_resting
from lipctrl.proofs import check_cells
from lipctrl.proofs.certificate import write_certificate
from lipctrl.proofs.closed_loop import ClosedLoop
from lipctrl.proofs.ellipsoid import Ellipsoid
from lipctrl.theorems.region_falsify import simulate_domain
from lipctrl.theorems.region_row import region_rows

COLUMNS = "policy, mass and length, certified for all at once, of simulated starts, for each by itself at least, "
COLUMNS += "pairs of state and value, parts, cells, s, MB, certificate MB, checker s"


def main() -> None:
    time.perf_counter = time.process_time  # type: ignore[assignment]
    seconds = float(sys.argv[1])
    half = float(sys.argv[2]) if len(sys.argv) > 2 else 0.05
    name = sys.argv[3] if len(sys.argv) > 3 else "pendulum-ppo"
    network = load_policy(Path(__file__).resolve().parents[1] / "policies" / name).network
    ends = (1.0 - half, 1.0 + half)
    model = Pendulum().with_uncertain({"m": ends, "l": ends})
    resting = find_resting(model, network, count=20, steps=200).equilibria
    guess = next(e.x for e in resting if e.attracts and e.in_goal is not False)
    if not seconds:
        for size in (0.2 * k * half for k in range(1, 6)):
            box = Pendulum().with_uncertain({"m": (1.0 - size, 1.0 + size), "l": (1.0 - size, 1.0 + size)})
            ball = Ellipsoid(guess, np.eye(2), 0.1)
            limits = box.state_low, box.state_high
            found = simulate_domain(ClosedLoop(box, network), ball, *limits, box.periods > 0, 64, 2_000_000)
            print(f"{name}, +- {100 * size:g} %: {100 * found.share:.2f} %", flush=True)
        return
    began, last = time.process_time(), 0.0

    def tell(stage: str) -> None:
        nonlocal last
        if time.process_time() > last + 10.0:
            last = time.process_time()
            print(f"{last - began:.0f} s: {stage}", file=sys.stderr, flush=True)

    rows, region = region_rows(model, network, guess, seconds, tell)
    took = time.process_time() - began
    print("| " + COLUMNS.replace(", ", " | ") + " |\n|" + "---|" * len(COLUMNS.split(", ")))
    if region is None or rows[0].certificate is None:
        print(f"| {name} | {100 * half:g} % | none |")
        return
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    cells = sum(len(r.index) for part in region.parts or (region,) for r in part.cells.own_records)
    shares = (region.share, region.simulation.share, region.least_share, region.pairs_share)
    print(f"| {name} | +- {100 * half:g} % | " + " | ".join(f"{100 * share:.2f} %" for share in shares), end="")
    print(f" | {max(len(region.parts), 1)} | {cells} | {took:.0f} | {memory}", end="", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        path = write_certificate(rows[0].certificate, Path(folder) / "region.json.gz")
        size = path.stat().st_size / 1e6
        began = time.process_time()
        code, text = check_cells.check(path, 3600.0)
    print(f" | {size:.1f} | {'' if code == 0 else 'REJECTED '}{time.process_time() - began:.0f} |")
    print(rows[0].reason, text, sep="\n\n", file=sys.stderr)


if __name__ == "__main__":
    main()
