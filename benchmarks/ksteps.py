"""V that falls within k steps, in two states, by hand: python benchmarks/ksteps.py [SECONDS [STEPS [NAME]]].

For each k = 1, 2, 4, ..., STEPS the largest proved ellipsoid of the chain; its certificate is checked. Agents and
processor time as in region.py.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from region import agents

from lipctrl.plants.resting import find_resting
from lipctrl.proofs import check_cells
from lipctrl.proofs.certificate import write_certificate
from lipctrl.proofs.closed_loop import ClosedLoop
from lipctrl.proofs.equilibrium import prove_equilibrium
from lipctrl.proofs.levels_certificate import levels_certificate
from lipctrl.theorems.region_core import find_core
from lipctrl.theorems.region_levels import find_levels


def main() -> None:
    time.perf_counter = time.process_time  # type: ignore[assignment]
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 40.0
    most = int(sys.argv[2]) if len(sys.argv) > 2 else 32
    wanted = sys.argv[3] if len(sys.argv) > 3 else ""
    print("| agent | area by k: seconds until then | s | check s |\n|---|---|---|---|")
    for name, (model, network) in agents().items():
        resting = find_resting(model, network, count=20, steps=200).equilibria
        guess = next((e.x for e in resting if e.attracts and e.in_goal is not False), None)
        if wanted not in name or guess is None:
            continue
        began, loop = time.process_time(), ClosedLoop(model, network)
        rest = prove_equilibrium(model, network, guess, (1e-9, 1e-8))
        core = None if rest is None else find_core(loop, guess, rest.x)
        if rest is None or core is None:
            print(f"| {name} | no core |")
            continue
        best: dict[int, tuple[float, float]] = {}

        def note(level: object, best: dict[int, tuple[float, float]] = best, began: float = began) -> None:
            steps, volume = level.steps, level.volume  # type: ignore[attr-defined]
            if volume > best.get(steps, (0.0, 0.0))[0]:
                best[steps] = volume, time.process_time() - began

        chain = find_levels(loop, core, deadline=began + seconds, max_steps=most, progress=note)
        took = time.process_time() - began
        with tempfile.TemporaryDirectory() as folder:
            path = write_certificate(levels_certificate(loop, rest.x, core, chain), Path(folder) / "levels.json")
            began = time.process_time()
            code, words = check_cells.check(path)
        checked = f"{time.process_time() - began:.1f}" if code == 0 else f"REJECTED: {words}"
        figures = ", ".join(f"{k}: {volume:.4g} ({at:.1f} s)" for k, (volume, at) in sorted(best.items()))
        print(f"| {name} | {figures} | {took:.1f} | {checked} |", flush=True)


if __name__ == "__main__":
    main()
