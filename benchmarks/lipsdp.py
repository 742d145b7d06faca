"""LipSDP-Neuron on random networks, this package and its rivals in one run, by hand.

    python benchmarks/lipsdp.py [--large] [NET ...]

Each case runs in its own process with one thread. Time is processor time (start included; import, stating the LMI and
the proof not), memory the peak of the process. The proof of the bound is timed apart, also as a share of the solve; its
memory is the peak of the process by then. C(N) is one dpotrf and dpotri of size N = min(inputs, width of layer 1)
+ neurons, timed in the same process: the unit that does not depend on the machine. Prints a markdown table; without
names it is also written to benchmarks/lipsdp.md.

"low_rank" is what "auto" ends with on most; its iterations are sweeps, those of the interior-point methods are Newton
steps.
Rivals: CVXPY with Clarabel and SCS where they end in minutes; eclipse-nn if installed (a bound above the optimum).
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

SMALL = {"3-32-32-1": ("auto", "barrier", "clarabel", "scs", "eclipse")}
MEDIUM = {
    "3-64-64-1": ("auto", "barrier", "eclipse"),
    "2-64-64-1": ("auto", "barrier", "eclipse"),
    "17-64-64-6": ("auto", "barrier", "eclipse"),
    "17-256-256-6": ("auto", "barrier", "eclipse"),
    "4-256-256-2": ("auto", "barrier", "eclipse"),
    "11-400-300-3": ("auto", "barrier", "eclipse"),
    "10-500-10": ("auto", "barrier", "eclipse"),
    "10-1000-10": ("auto", "barrier", "eclipse"),
    "10-3000-10": ("auto",),
    "10-10000-10": ("auto",),
    "10-128x5-10": ("auto", "barrier", "eclipse"),
    "4-80x20-1": ("auto", "barrier", "eclipse"),
}
LARGE = {
    "10-100000-10": ("auto",),
    "784-200x9-10": ("auto", "barrier", "eclipse"),
    "64-64x64-64": ("auto", "barrier"),
    "10-500x10-10": ("auto", "barrier"),
    "2-64-64-1": ("clarabel",),
}
#: beyond this N the unit is extrapolated as N^3
LARGEST_UNIT = 4200
GAP = 1e-6
#: relative gaps of their own
GAPS = {("10-500x10-10", "barrier"): 1e-3}
LIMIT_SECONDS = 1200


def sizes_of(name: str) -> tuple[int, ...]:
    """(4, 80, ..., 80, 1) of "4-80x20-1"."""
    sizes: list[int] = []
    for part in name.split("-"):
        width, _, times = part.partition("x")
        sizes += [int(width)] * int(times or 1)
    return tuple(sizes)


def weights_of(sizes: tuple[int, ...]) -> list:
    """He-scaled normal weights of numpy's generator 0; the biases are drawn in between, as published."""
    import numpy as np

    rng, weights = np.random.default_rng(0), []
    for n_in, n_out in zip(sizes[:-1], sizes[1:], strict=True):
        weights.append(rng.standard_normal((n_out, n_in)) * np.sqrt(2 / n_in))
        rng.standard_normal(n_out)
    return weights


def least_time(run: Callable[[], object], enough: float = 1.0) -> float:
    """The least processor time of up to ten repetitions, `enough` seconds of them."""
    times: list[float] = []
    while len(times) < 10 and sum(times) < enough:
        began = time.process_time()
        run()
        times.append(time.process_time() - began)
    return min(times)


def unit_of(sizes: tuple[int, ...]) -> float:
    import numpy as np
    from scipy.linalg import lapack

    order = min(sizes[0], sizes[1]) + sum(sizes[1:-1])
    n = min(order, LARGEST_UNIT)
    A = np.eye(n) + 0.1 / n

    def run() -> None:
        factor, _ = lapack.dpotrf(A, lower=1)
        lapack.dpotri(factor, lower=1, overwrite_c=1)

    run()
    return least_time(run, 0.5) * (order / n) ** 3


def measure(name: str, solver: str) -> dict:
    """Bound, gap, iterations and costs of one case, in this process."""
    sizes = sizes_of(name)
    weights = weights_of(sizes)
    unit = unit_of(sizes)
    if solver == "eclipse":
        import torch
        from eclipse_nn.LipConstEstimator import LipConstEstimator

        torch.set_num_threads(1)
        estimator = LipConstEstimator(weights=[torch.tensor(W) for W in weights])
        bound: list[float] = []
        seconds = least_time(lambda: bound.append(float(estimator.estimate(method="ECLipsE_Fast"))))
        row = {"bound": bound[-1], "gap": None, "iterations": None, "method": "ECLipsE-Fast"}
        peak, proof = peak_of_process(), {}
    else:
        from lipctrl.lmi.solvers import solve
        from lipctrl.networks.network import Affine, Elementwise, Network
        from lipctrl.theorems import lipschitz

        layers: list = []
        for W in weights:
            layers += [Affine(W), Elementwise("relu", len(W))]
        statement = lipschitz.state(Network(layers[:-1]))
        lmi = statement.lmi
        solutions: list = [None]

        def run() -> None:
            solutions[0] = solve(lmi, solver, gap=GAPS.get((name, solver), GAP))

        seconds = least_time(run)
        best = solutions[0]
        row = {
            "bound": max(best.objective, 0.0) ** 0.5,
            "gap": best.gap,
            "iterations": best.iterations,
            "method": best.solver,
        }
        peak = peak_of_process()
        proved = least_time(lambda: lipschitz.conclude(statement, best.values))
        proof = {"proof": proved, "proof_peak": peak_of_process()}
    return {"net": name, **row, "seconds": seconds, "unit": unit, "peak": peak, **proof}


def peak_of_process() -> float:
    """Megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_own_process(name: str, solver: str) -> dict:
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, __file__, "--case", name, solver]
    try:
        done = subprocess.run(
            command, env={**os.environ, **threads}, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=True
        )
    except subprocess.TimeoutExpired:
        return {"net": name, "method": f"{solver}: not finished in {LIMIT_SECONDS} s"}
    except subprocess.CalledProcessError as error:
        reason = error.stderr.strip().splitlines()[-1:] or ["failed"]
        return {"net": name, "method": f"{solver}: {reason[0]}"}
    result: dict = json.loads(done.stdout.splitlines()[-1])
    return result


def line(row: dict, ours: float | None) -> str:
    if "seconds" not in row:
        return f"| {row['net']} | {row['method']} | | | | | | | | | | |"
    units = row["seconds"] / row["unit"]
    cells = [
        row["net"],
        row["method"],
        f"{row['bound']:.9g}",
        "" if row["gap"] in (None, float("inf")) else f"{row['gap']:.1e}",
        "" if row["iterations"] is None else str(row["iterations"]),
        f"{row['seconds']:.3g}",
        f"{units:.0f}" if units > 1 else f"{units:.2g}",
        f"{row['peak']:.0f}",
        "" if ours is None else f"{row['seconds'] / ours:.3g}",
        f"{row['proof']:.3g}" if "proof" in row else "",
        f"{row['proof'] / row['seconds']:.2g}" if "proof" in row else "",
        f"{row['proof_peak']:.0f}" if "proof" in row else "",
    ]
    return "| " + " | ".join(cells) + " |"


def main(arguments: list[str]) -> None:
    names = [name for name in arguments if name != "--large"]
    every = {**SMALL, **MEDIUM}
    cases = [(name, solver) for name, solvers in every.items() for solver in solvers]
    if "--large" in arguments:
        cases += [(name, solver) for name, solvers in LARGE.items() for solver in solvers]
    if names:
        chosen = {name: every.get(name, ()) + LARGE.get(name, ()) or ("auto", "barrier") for name in names}
        cases = [(name, solver) for name, solvers in chosen.items() for solver in solvers]
    from importlib.util import find_spec

    if find_spec("eclipse_nn") is None:
        cases = [case for case in cases if case[1] != "eclipse"]
    head = [
        "| net | method | bound | gap of its square | iterations | seconds | C(N) | peak MB | ratio "
        "| proof s | of the solve | MB |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    print("\n".join(head), flush=True)
    ours: dict[str, float] = {}
    rows: list[str] = []
    for name, solver in cases:
        row = in_own_process(name, solver)
        if solver == "auto" and "seconds" in row:
            ours[name] = row["seconds"]
        rows.append(line(row, ours.get(name) if solver != "auto" else None))
        print(rows[-1], flush=True)
    if not names:
        gaps = ", ".join([f"{GAP:g}", *(f"{gap:g} for {name} by {solver}" for (name, solver), gap in GAPS.items())])
        title = f"Made by `python benchmarks/lipsdp.py` (see there): relative gap {gaps}; one thread, processor time."
        Path(__file__).with_suffix(".md").write_text("\n".join([title, "", *head, *rows, ""]), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--case"]:
        print(json.dumps(measure(sys.argv[2], sys.argv[3])))
    else:
        main(sys.argv[1:])
