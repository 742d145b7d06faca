"""Four hundred loops built to be unstable by a hair: none is certified (ten thousand others: benchmarks/hunt.py)."""

from __future__ import annotations

import numpy as np
import pytest

from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.plants.loop import Loop
from lipctrl.plants.plant import Plant
from lipctrl.results import Verdict
from lipctrl.theorems.rows import ROWS


def barely_unstable_loop(seed: int) -> Loop:
    """Dominant eigenvalue of modulus 1 + 10^-k (continuous: real part 10^-k), k in 0.5 .. 12."""
    rng = np.random.default_rng(seed)
    n, excess = int(rng.integers(1, 3)), 10.0 ** -rng.uniform(0.5, 12)
    kind = ("tanh", "relu", "hardtanh", "softplus")[seed % 4]
    parameters = {"low": -1.0, "high": 1.0} if kind == "hardtanh" else {}
    network = Network(
        [
            Affine(rng.standard_normal((3, n)), 0.3 * rng.standard_normal(3)),
            Elementwise(kind, 3, **parameters),
            Affine(rng.standard_normal((1, 3)), rng.standard_normal(1)),
        ]
    )
    B, M = rng.standard_normal((n, 1)), rng.standard_normal((n, n))
    continuous = bool(seed % 2)
    eigenvalues = np.linalg.eigvals(M)
    M = (
        M + (excess - eigenvalues.real.max()) * np.eye(n)
        if continuous
        else M * (1 + excess) / np.abs(eigenvalues).max()
    )
    A = M - B @ network.jacobian(np.zeros(n))
    u0 = network(np.zeros(n))
    return Loop(Plant(A, B, np.eye(n), dt=0.0 if continuous else 0.1, u0=u0), network)


@pytest.mark.parametrize("block", range(10))
def test_barely_unstable_loops_are_never_certified(block):
    for seed in range(40 * block, 40 * (block + 1)):
        loop = barely_unstable_loop(seed)
        for row, _, _ in ROWS.values():
            assert row(loop, 0.1).verdict is not Verdict.CERTIFIED
