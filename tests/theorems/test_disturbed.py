"""Errors of the actions and float32 on the linear plant: the final ball, its certificate and the exact checker."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lipctrl
from lipctrl.networks.enclosure import InputSet, layer_bounds
from lipctrl.networks.float32 import region_error
from lipctrl.networks.loading.policy import load_policy
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.plants.loop import Loop
from lipctrl.plants.plant import Plant
from lipctrl.proofs.certificate import write_certificate
from lipctrl.results import TheoremResult, Verdict
from lipctrl.theorems.disturbed import find_disturbed
from lipctrl.theorems.rows import certificate_with_head, disturbed_lyapunov

POLICIES = Path(__file__).resolve().parents[2] / "policies"
DELTA = 0.01


def _loop() -> Loop:
    """x+ = 1.1 x + u, u = -.6 tanh x: stable at 0 with slope .5, unstable far away."""
    policy = Network([Affine([[1.0]]), Elementwise("tanh", 1), Affine([[-0.6]])])
    return Loop(Plant([[1.1]], [[1.0]], [[1.0]], dt=1.0), policy)


@pytest.fixture(scope="module")
def row() -> TheoremResult:
    return disturbed_lyapunov(_loop(), 5.0, DELTA, "float32")


@pytest.fixture(scope="module")
def certificate(row: TheoremResult) -> dict[str, Any]:
    assert row.certificate is not None
    return certificate_with_head(row.certificate, {}, row.reason, row.model)


def test_the_final_ball_holds_the_worst_error_and_the_checker_agrees(
    row: TheoremResult, certificate: dict[str, Any], tmp_path: Path
) -> None:
    """A constant error d rests where .1 x - .6 tanh x + d = 0, about d / .5 from 0."""
    assert row.verdict is Verdict.CERTIFIED and row.arithmetic == "float32" and row.region is not None
    assert row.region.final_half_widths is not None
    assert DELTA / 0.5 <= row.region.final_half_widths[0] <= 10 * DELTA / 0.5
    result = lipctrl.check(write_certificate(certificate, tmp_path / "row.json"))
    assert result.accepted, result.reason
    assert "wrong by at most 0.01" in result.claim and "float32 evaluation" in result.claim
    assert "in float32 arithmetic" in result.claim and "stays there" in result.claim


def test_trajectories_with_errors_stay_and_end_in_the_ball(row: TheoremResult) -> None:
    loop, region = _loop(), row.region
    assert region is not None and region.P is not None and region.final_half_widths is not None
    edge = 1.0 / float(np.sqrt(region.P[0, 0]))
    rng = np.random.default_rng(0)
    x = np.linspace(-edge, edge, 201)[:, None]
    for k in range(400):
        error = DELTA * (np.sign(x) if k % 3 else rng.choice([-1.0, 1.0], x.shape))
        u = loop.network(x.astype(np.float32)).astype(np.float32) + error
        x = 1.1 * x + u
        assert np.all(np.abs(x) <= edge * (1 + 1e-12))
    assert np.all(np.abs(x) <= region.final_half_widths[0])


DAMAGES: dict[str, dict[str, Any]] = {
    "smaller ball": {"radius": 0.5},
    "larger error": {"action_error": 3.0},
    "faster decay": {"decay": 2.0, "radius": 0.5},
    "ball beyond the region": {"radius": 1e6},
    "negative error": {"action_error": -1.0},
    "no decay": {"decay": 0.0},
}


@pytest.mark.parametrize("name", DAMAGES)
def test_false_claims_are_rejected(certificate: dict[str, Any], tmp_path: Path, name: str) -> None:
    damaged = copy.deepcopy(certificate)
    for key, factor in DAMAGES[name].items():
        damaged["disturbed"][key] = (float.fromhex(damaged["disturbed"][key]) * factor).hex()
    assert not lipctrl.check(write_certificate(damaged, tmp_path / "row.json")).accepted
    damaged = copy.deepcopy(certificate)
    damaged["disturbed"]["arithmetic"] = "float16"
    assert not lipctrl.check(write_certificate(damaged, tmp_path / "row.json")).accepted
    assert not lipctrl.check(write_certificate(certificate | {"disturbed": {}}, tmp_path / "row.json")).accepted


def test_errors_that_are_too_large_are_inconclusive() -> None:
    assert disturbed_lyapunov(_loop(), 5.0, 10.0, "real").verdict is Verdict.INCONCLUSIVE
    found = find_disturbed(_loop(), 1e-3, "real", 5.0)
    assert found is not None and found[1] is not None and not found[1].rounding.any()


@pytest.mark.parametrize("name", ["spring-damper-ppo", "pendulum-ppo"])
def test_the_float32_evaluation_stays_within_the_bound_of_the_region(name: str) -> None:
    network = load_policy(POLICIES / name).network
    center = np.array([0.001, 0.002, 0.5][: network.n_in])
    inputs = InputSet.from_box(center, np.full(network.n_in, 0.02))
    allowed = region_error(network, layer_bounds(network, inputs, "sector"), inputs)
    y = center + 0.02 * np.random.default_rng(1).uniform(-1, 1, (5000, network.n_in))
    h = y.astype(np.float32)
    for layer in network.layers:
        if isinstance(layer, Affine):
            h = (h @ layer.W.T.astype(np.float32) + layer.b.astype(np.float32)).astype(np.float32)
        elif layer.kind == "tanh":
            h = np.tanh(h)
        else:
            h = np.clip(h, layer.parameters["low"].astype(np.float32), layer.parameters["high"].astype(np.float32))
    assert np.all(np.abs(h - network(y)) <= allowed) and np.all(allowed < 1e-3)
