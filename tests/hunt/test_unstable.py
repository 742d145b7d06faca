"""Loops that are unstable beyond doubt: no theorem certifies them, however small the margin."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.plants.loop import Loop
from lipctrl.plants.plant import Plant
from lipctrl.results import Verdict
from lipctrl.theorems.lyapunov_search import find_global
from lipctrl.theorems.rows import GLOBAL_LYAPUNOV, GLOBAL_SMALL_GAIN, LOCAL_LYAPUNOV, LOCAL_SMALL_GAIN, ROWS
from tests.hunt.tally import Tally
from tests.theorems.test_unstable_hunt import barely_unstable_loop


def ray(rng: np.random.Generator) -> tuple[Loop, str]:
    """A linear piece of the policy with an eigenvector of its own: from s v the state is (1 + m)^k s v, exactly.

    x+ = diag(a) x + B relu(c y), y = x_1 > 0 on the ray e_1, with a_1 + b_1 c = 1 + m in exact doubles.
    """
    n, m = int(rng.integers(1, 3)), 2.0 ** -int(rng.integers(10, 40))
    k = int(rng.integers(1, 16)) / 16
    A, B, C = np.diag(rng.integers(-12, 13, n) / 16.0), np.zeros((n, 1)), np.zeros((1, n))
    A[0, 0], B[0, 0], C[0, 0] = 1 + m - k, 1.0, 1.0
    if n > 1:
        A[0, 1] = rng.integers(-8, 9) / 16.0
    kind, parameters = (("relu", {}), ("leaky_relu", {"negative_slope": 2.0 ** -int(rng.integers(1, 8))}))[
        rng.integers(2)
    ]
    network = Network([Affine([[1.0]]), Elementwise(kind, 1, **parameters), Affine([[k]])])
    if Fraction(A[0, 0]) + Fraction(k) != 1 + Fraction(m):
        raise AssertionError("the margin is not exact")
    return Loop(Plant(A, B, C, dt=0.1), network), "all"


def saturated(rng: np.random.Generator) -> tuple[Loop, str]:
    """A plant with an eigenvalue 1 + m and a bounded policy: it diverges from afar, so nothing global is true."""
    m = 10.0 ** -rng.uniform(3, 12)
    gain = -float(rng.uniform(0.1, 1.5))
    kind, parameters = (("tanh", {}), ("hardtanh", {"low": -1.0, "high": 1.0}), ("sigmoid", {}))[rng.integers(3)]
    network = Network([Affine([[gain]]), Elementwise(kind, 1, **parameters)])
    dt = float(rng.choice([0.0, 0.1]))
    A = np.array([[m if dt == 0 else 1 + m]])
    return Loop(Plant(A, [[1.0]], [[1.0]], dt=dt, u0=network(np.zeros(1))), network), "global"


def in_the_sector(rng: np.random.Generator) -> tuple[Loop, str]:
    """The slope s at which a_1 + s = 1 + m lies in the sector of the policy, which takes it far out: |x| >= reach."""
    m, reach = 10.0 ** -rng.uniform(3, 12), 10.0 ** rng.uniform(0, 3)
    low = -float(rng.uniform(0.2, 1.5))
    # slope `low` near 0 and exactly 0 beyond: x+ = (1 + m) x + const runs away for large |x|
    network = Network([Affine([[low]]), Elementwise("hardtanh", 1, low=low * reach, high=-low * reach)])
    return Loop(Plant([[1 + m]], [[1.0]], [[1.0]], dt=0.1), network), "global"


def linearised(rng: np.random.Generator) -> tuple[Loop, str]:
    """The eigenvalue at rest has modulus 1 + 10^-0.5 to 1 + 10^-12."""
    return barely_unstable_loop(int(rng.integers(10**9))), "all"


FAMILIES = (ray, saturated, in_the_sector, linearised)
FALSE = {
    "global": (GLOBAL_SMALL_GAIN, GLOBAL_LYAPUNOV),
    "all": (GLOBAL_SMALL_GAIN, GLOBAL_LYAPUNOV, LOCAL_SMALL_GAIN, LOCAL_LYAPUNOV),
}


def study(count: int, seed: int = 0, local_every: int = 10) -> Tally:
    """The local searches cost most and are asked of every `local_every`-th loop of which they are false."""
    rng, tally = np.random.default_rng(seed), Tally("unstable loops")
    with tally.clock():
        for k in range(count):
            family = FAMILIES[k % len(FAMILIES)]
            loop, false = family(rng)
            tally.tried += 1
            tally.count(family.__name__)
            for name in FALSE[false]:
                if name in (LOCAL_SMALL_GAIN, LOCAL_LYAPUNOV) and (k // len(FAMILIES)) % local_every:
                    continue
                tally.count("theorems asked")
                if ROWS[name][0](loop, 0.02).verdict is Verdict.CERTIFIED:
                    tally.fail(f"{family.__name__} number {k}: {name} certified {loop!r}")
    return tally


def test_no_unstable_loop_is_certified() -> None:
    tally = study(120, 1, 15)
    assert not tally.failures
    assert tally.tried == 120


@pytest.mark.parametrize("m", [2.0**-10, 2.0**-30, 2.0**-45])
def test_the_twin_below_one_is_certified(m: float) -> None:
    """The hunt would be idle if nothing was ever certified: 1 - m instead of 1 + m is, down to 2^-30."""
    network = Network([Affine([[1.0]]), Elementwise("relu", 1), Affine([[0.5]])])
    found = find_global(Loop(Plant([[0.5 - m]], [[1.0]], [[1.0]], dt=0.1), network))
    assert found is not None or m < 2.0**-30
    assert find_global(Loop(Plant([[0.5 + m]], [[1.0]], [[1.0]], dt=0.1), network)) is None
