"""Certified regions of the linear model, by hand: python benchmarks/certify.py [FOLDER ...] (default: policies/*).

Each folder is a policy folder or an RL Zoo run on Pendulum-v1. Prints a markdown table.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from lipctrl import certify
from lipctrl.errors import LipctrlError


def row(folder: Path) -> str:
    began = time.perf_counter()
    try:
        report = certify(folder, None if (folder / "card.json").exists() else "Pendulum-v1")
    except LipctrlError as error:
        return f"| {folder} | {type(error).__name__} | | | | | |"
    seconds = time.perf_counter() - began
    areas = {r.name: r.region.volume for r in report.theorems if r.region is not None and r.region.volume is not None}
    bound = report.lipschitz
    cells = [
        f"{folder.parent.name}/{folder.name}",
        report.verdict.value,
        "-" if report.equilibrium["x"] is None else ", ".join(f"{x:.4f}" for x in report.equilibrium["x"]),
        f"{areas.get('small gain (loop-shifted)', 0):.3g}",
        f"{areas.get('Lyapunov (sectors)', 0):.3g}",
        "-" if bound is None else f"{bound.lower:.4g} .. {bound.upper:.4g} ({bound.product:.4g})",
        f"{seconds:.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    folders = [Path(name) for name in sys.argv[1:]] or sorted(p.parent for p in Path("policies").glob("*/card.json"))
    columns = ("policy", "verdict", "x*", "area, small gain", "area, Lyapunov", "Lipschitz (product)", "s")
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
    for folder in folders:
        print(row(folder), flush=True)
