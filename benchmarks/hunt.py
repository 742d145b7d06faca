"""The hunt for unsoundness at full length: what was tried, how often, how many failures.

    python benchmarks/hunt.py [--quick] [--seconds S] [--seed N] [NAME ...]

Runs the studies of tests/hunt (all, or those whose name contains a NAME) and writes their rows into benchmarks/hunt.md
as they grow; rows of studies that were not run are kept. --quick tries a hundredth and writes nothing; --seconds ends
each study after so many seconds of processor time.
Damaged files are written one after the other: TMPDIR on a file system in memory makes them several times faster.
Mutation testing has a script of its own: benchmarks/mutation.py.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.hunt import (  # noqa: E402
    test_bounds,
    test_cell_certificates,
    test_certificates,
    test_faults,
    test_fuzz,
    test_libm,
    test_matrices,
    test_tails,
    test_unstable,
)
from tests.hunt.tally import Tally  # noqa: E402

Study = Callable[[int, int], Tally]
TABLE = Path(__file__).with_suffix(".md")
HEAD = """# The hunt for unsoundness

Written by `python benchmarks/hunt.py`, which tries up to the numbers of the last column; seconds are processor time.
A failure is a false proof, a false "certified", a crash, code that ran, or a disagreement in the unsafe direction. The
short versions are tests (`tests/hunt`).

| study | tried | failures | what it met | seconds | full length |
|---|---:|---:|---|---:|---:|
"""

#: name -> (the study, how often at full length)
STUDIES: dict[str, tuple[Study, int]] = {
    "definiteness in floating point": (test_matrices.study, 1_000_000),
    "definiteness in the exact checker": (test_matrices.exact_study, 10_000),
    "faults of the solver": (test_faults.study, 10_000),
    "unstable loops": (test_unstable.study, 10_000),
    "adversarial pairs": (test_bounds.study, 100_000),
    "corrupted certificates": (test_certificates.study, 10_000),
    test_cell_certificates.NAME: (test_cell_certificates.study, 10_000),
    test_tails.NAME: (test_tails.study, 10_000),
    "proof in process against exact matrices, at the edge": (test_certificates.edge_study, 10_000),
    **{
        f"damaged files: {name}": (partial(test_fuzz.study, name), 100_000 if "check" in name else 1_000_000)
        for name in test_fuzz.formats()
    },
    **{f"elementary functions: {name}": (partial(test_libm.study, name), 2_000_000) for name in test_libm.TRUTH},
}


def row(tally: Tally) -> str:
    met = ", ".join(f"{what} {number:,}" for what, number in tally.met.items())
    numbers = f"{tally.tried:,} | {len(tally.failures):,} | {met} | {tally.seconds:,.0f} | {STUDIES[tally.name][1]:,}"
    return f"| {tally.name} | {numbers} |"


def rows() -> dict[str, str]:
    lines = TABLE.read_text().splitlines() if TABLE.exists() else []
    return {line.split("|")[1].strip(): line for line in lines if line.startswith("| ") and "| study |" not in line}


def write(new: dict[str, str]) -> None:
    known = rows() | new
    TABLE.write_text(HEAD + "\n".join(known[name] for name in STUDIES if name in known) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    failures = 0
    for name, (study, count) in STUDIES.items():
        if given.names and not any(word in name for word in given.names):
            continue
        total = Tally(name)
        wanted = max(count // 100, 100) if given.quick else count
        part = max(count // 1000, 50)
        while total.tried < wanted and total.seconds < given.seconds:
            total.add(study(min(part, wanted - total.tried), given.seed + total.tried))
            if not given.quick:
                write({name: row(total)})
        print(row(total), flush=True)
        for words in total.failures[:20]:
            print("    " + words, flush=True)
        failures += len(total.failures)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
