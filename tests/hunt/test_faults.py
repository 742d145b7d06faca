"""Solvers that lie, break down or die: what is proved is true, and nothing falls over.

A fault replaces the numbers of every solver of the house. Each bound and each certified row must then be accepted by
the independent checker, whose arithmetic is exact; a loop that is unstable must not be certified at all.
"""

from __future__ import annotations

import contextlib
import functools
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

import lipctrl
from lipctrl.lmi.solvers import barrier, chain, low_rank, one_layer
from lipctrl.lmi.solvers.solution import Solution
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.plants.loop import Loop
from lipctrl.plants.plant import Plant
from lipctrl.proofs import check as checker
from lipctrl.results import Bound, Verdict
from lipctrl.theorems.attained import attained_slope
from lipctrl.theorems.hinf import hinf_norm
from lipctrl.theorems.lipschitz import lipschitz
from lipctrl.theorems.rows import GLOBAL_LYAPUNOV, GLOBAL_SMALL_GAIN, LOCAL_LYAPUNOV, LOCAL_SMALL_GAIN, ROWS
from tests.hunt.tally import Tally
from tests.networks_for_tests import linear_feedback, random_network

Values = dict[str, np.ndarray]
Change = Callable[[np.random.Generator, Values], Any]


def each(change: Callable[[np.random.Generator, np.ndarray], Any]) -> Change:
    return lambda rng, values: {name: change(rng, np.array(value)) for name, value in values.items()}


def one(change: Callable[[np.random.Generator, np.ndarray], Any]) -> Change:
    """Only one of the variables, drawn by lot."""

    def changed(rng: np.random.Generator, values: Values) -> Any:
        name = str(rng.choice(sorted(values)))
        return values | {name: change(rng, np.array(values[name]))}

    return changed


def one_entry(value: float) -> Change:
    def change(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
        x.reshape(-1)[rng.integers(x.size)] = value
        return x

    return one(change)


def without_one(rng: np.random.Generator, values: Values) -> Values:
    return {name: values[name] for name in sorted(values)[1:]}


#: what comes back instead of the solver's numbers
LIES: dict[str, Change] = {
    "honest": lambda rng, values: values,
    "random": each(lambda rng, x: rng.standard_normal(x.shape)),
    "random of any size": each(lambda rng, x: rng.standard_normal(x.shape) * 10.0 ** rng.uniform(-300, 300)),
    "NaN": each(lambda rng, x: np.full(x.shape, np.nan)),
    "one NaN": one_entry(np.nan),
    "infinite": each(lambda rng, x: np.full(x.shape, np.inf)),
    "one infinite": one_entry(-np.inf),
    "zero": each(lambda rng, x: 0 * x),
    "one variable zero": one(lambda rng, x: 0 * x),
    "negative": each(lambda rng, x: -x),
    "one entry negative": one_entry(-1.0),
    "transposed": each(lambda rng, x: x.T[..., ::-1].copy()),
    "shuffled": each(lambda rng, x: rng.permutation(x.reshape(-1)).reshape(x.shape)),
    "asymmetric": each(lambda rng, x: x * (1 + 1e-9 * rng.standard_normal(x.shape))),
    "tiny": each(lambda rng, x: x * 1e-200),
    "denormal": each(lambda rng, x: x * 2.0**-1050),
    "huge": each(lambda rng, x: x * 1e200),
    "one huge": one_entry(1e300),
    "slightly small": each(lambda rng, x: x * (1 - 10.0 ** rng.uniform(-12, -1))),
    "missing": without_one,
    "short": one(lambda rng, x: x[..., :-1]),
    "long": one(lambda rng, x: np.append(x, 1.0)),
    "complex": one(lambda rng, x: x + 1j),
    "words": one(lambda rng, x: np.array(["one"] * x.size).reshape(x.shape)),
    "nothing": lambda rng, values: {},
    "no mapping": lambda rng, values: None,
}
BREAKDOWNS: dict[str, BaseException] = {
    "raises ValueError": ValueError("rank"),
    "raises LinAlgError": np.linalg.LinAlgError("singular"),
    "raises MemoryError": MemoryError(),
    "raises ZeroDivisionError": ZeroDivisionError(),
    "raises KeyError": KeyError("T1"),
    "stopped after its limit": TimeoutError("after its limit"),
    "recursion": RecursionError(),
}
FAULTS = (*LIES, *BREAKDOWNS, "stale", "false dual", "NaN dual")


@contextlib.contextmanager
def faulty(fault: str, rng: np.random.Generator) -> Iterator[None]:
    """Every solver of the house with this fault."""
    before: list[Values] = []

    def spoiled(method: Callable[..., Solution]) -> Callable[..., Solution]:
        def solve(*arguments: Any, **options: Any) -> Any:
            if fault in BREAKDOWNS:
                raise BREAKDOWNS[fault]
            if fault == "no mapping":
                return None
            solution = method(*arguments, **options)
            values = {name: np.asarray(value) for name, value in solution.values.items()}
            before.append(values)
            if fault == "stale":
                return replace(solution, values=before[0])
            if fault.endswith("dual"):
                return replace(solution, lower=1e300 if fault.startswith("false") else np.nan)
            return replace(solution, values=LIES[fault](rng, values))

        return solve

    with contextlib.ExitStack() as stack:
        for module in (barrier, chain, low_rank, one_layer):
            stack.enter_context(mock.patch.object(module, "solve", spoiled(module.solve)))
        stack.enter_context(np.errstate(all="ignore"))
        yield


def problem(rng: np.random.Generator, which: int) -> Callable[[], Any]:
    """A small question to the house."""
    seed = int(rng.integers(10**6))
    kind = ("relu", "tanh", "gelu")[seed % 3]
    if which == 0:
        return lambda: lipschitz(random_network((2, 4, 1), kind, seed))
    if which == 1:
        return lambda: lipschitz(random_network((2, 4, 3, 1), kind, seed))
    if which == 2:
        box = (-np.ones(2), np.ones(2))
        return lambda: lipschitz(random_network((2, 3, 3, 1), kind, seed), method="local", region=box)
    A = rng.standard_normal((2, 2))
    A *= rng.uniform(0.3, 0.95) / np.abs(np.linalg.eigvals(A)).max()
    if which == 3:
        return lambda: hinf_norm(Plant(A, rng.standard_normal((2, 1)), np.eye(2), dt=0.1))
    stable = Loop(Plant(A, [[0.0], [1.0]], np.eye(2), dt=0.1), linear_feedback([[0.1, -0.2]]))
    unstable = Loop(Plant([[1.1]], [[1.0]], [[1.0]], dt=0.1), linear_feedback([[-0.4]]))
    rows = [
        (stable, GLOBAL_SMALL_GAIN, 0.0), (stable, GLOBAL_LYAPUNOV, 0.0),
        (unstable, LOCAL_SMALL_GAIN, 0.05), (unstable, LOCAL_LYAPUNOV, 0.05), (never_stable(rng), GLOBAL_LYAPUNOV, 0.0),
        (never_stable(rng), LOCAL_LYAPUNOV, 0.02), (never_stable(rng), GLOBAL_SMALL_GAIN, 0.0),
    ]  # fmt: skip
    loop, name, seconds = rows[which - 4]
    return lambda: ROWS[name][0](loop, seconds)


PROBLEMS = 11
WEIGHTS = np.array([4, 4, 2, 4, 4, 4, 2, 0.3, 4, 0.3, 4]) / 32.6
"""The searches for ellipsoids take a second each."""


def never_stable(rng: np.random.Generator) -> Loop:
    """x+ = (1 + m) x for x > 0: every neighbourhood of the origin has starts that diverge."""
    gain = float(rng.uniform(0.1, 1))
    network = Network([Affine([[1.0]]), Elementwise("relu", 1), Affine([[gain]])])
    return Loop(Plant([[1.0 - gain + 10.0 ** -rng.uniform(1, 9)]], [[1.0]], [[1.0]], dt=0.1), network)


def study(count: int, seed: int = 0) -> Tally:
    """Every fault on every problem in turn."""
    rng, tally = np.random.default_rng(seed), Tally("faults of the solver")
    quick = functools.partial(attained_slope, samples=16, rounds=1)
    with tally.clock(), mock.patch("lipctrl.theorems.lipschitz.attained_slope", quick):
        for k in range(count):
            fault = FAULTS[k % len(FAULTS)]
            which = int(rng.choice(PROBLEMS, p=WEIGHTS))
            ask = problem(rng, which)
            tally.tried += 1
            try:
                with faulty(fault, rng):
                    answer = ask()
            except Exception as error:
                tally.fail(f"{fault}, problem {which}: {type(error).__name__}: {error}")
                continue
            if answer is None or (not isinstance(answer, Bound) and answer.verdict is not Verdict.CERTIFIED):
                tally.count("inconclusive")
                continue
            tally.count("bounds" if isinstance(answer, Bound) else "certified")
            if which >= 8:
                tally.fail(f"{fault}: certified an unstable loop")
            if isinstance(answer, Bound):
                numbers = [answer.upper, answer.lower, answer.sdp_lower or 0.0]
                low = 0.0 if answer.method == "bounded-real" else answer.lower  # a dual value there, not attained
                if not (np.all(np.isfinite(numbers)) and low <= answer.upper and numbers[2] <= answer.upper):
                    tally.fail(f"{fault}, problem {which}: {numbers}")
                if answer.method == "product":
                    continue
            if answer.certificate is None or not accepted(answer.certificate):
                tally.fail(f"{fault}, problem {which}: not accepted by the checker")
    return tally


def accepted(certificate: dict[str, Any]) -> bool:
    whole = {"format": "lipctrl-certificate", "version": 1, **certificate}
    try:
        return bool(checker._derive(json.loads(json.dumps(whole)), certificate["theorem"]))
    except checker.Rejected:
        return False


def test_no_fault_of_a_solver_is_believed_or_fatal() -> None:
    tally = study(2 * len(FAULTS))
    assert not tally.failures
    assert tally.met["bounds"] > 15 and tally.met["certified"] > 5 and tally.met["inconclusive"] > 5


@pytest.mark.parametrize("fault", ["raises ValueError", "NaN", "missing", "zero"])
def test_a_bound_survives_its_solver(fault: str) -> None:
    """The closed-form start is proved instead, and the product of norms answers where that is less."""
    network = random_network((3, 8, 8, 2), "tanh", 1)
    with faulty(fault, np.random.default_rng(0)):
        bound = lipschitz(network)
    assert bound.certificate is None or accepted(bound.certificate)
    assert bound.product is not None and bound.lower <= 0.999 * bound.upper <= bound.product


def test_the_whole_way_with_solvers_that_lie() -> None:
    loop = (linear_feedback([[-0.4]]), Plant([[1.1]], [[1.0]], [[1.0]], dt=0.1))
    for fault in ("NaN", "raises ValueError"):
        with faulty(fault, np.random.default_rng(0)):
            report = lipctrl.certify(*loop, time_limit=0.2)
        for certificate in report.certificates.values():
            assert accepted(certificate)


SCRIPT = """
import os, signal, sys, time
end = sys.argv[1]
from lipctrl.lmi.solvers import low_rank, one_layer, chain, barrier
signal.signal(signal.SIGINT, signal.default_int_handler)
def ends(*arguments, **options):
    if end == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    print("solving", file=sys.stderr, flush=True)
    time.sleep(30)
for module in (low_rank, one_layer, chain, barrier):
    module.solve = ends
from lipctrl.tools.cli import main
sys.argv[1:] = ["bound", sys.argv[2], "-o", sys.argv[3], "--json"]
main()
"""


@pytest.mark.parametrize("end", ["killed", "hangs"])
def test_a_solver_that_dies_or_hangs_leaves_no_answer(end: str, tmp_path: Path) -> None:
    policy = Path(__file__).parents[2] / "policies/spring-damper-ppo"
    command = [sys.executable, "-c", SCRIPT, end, str(policy), str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        if end == "hangs":
            assert process.stderr is not None
            assert any(line == "solving\n" for line in process.stderr)
            time.sleep(0.1)
            process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == (130 if end == "hangs" else -signal.SIGKILL)
    assert "upper" not in out
    assert not list((tmp_path / "out").glob("*.certificate.json*"))
