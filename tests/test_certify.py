"""The main job, end to end: from a policy file to a verdict, and its certificates through the independent checker."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import control
import numpy as np
import pytest

from lipctrl.errors import LipctrlError, LoopError, NetworkError, PlantError
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.pipeline import certify
from lipctrl.plants.differences import DOUBLE, SINGLE
from lipctrl.plants.dynamics import LinearDynamics
from lipctrl.plants.environment import StateSpaceEnv
from lipctrl.plants.linearize import find_linearization
from lipctrl.plants.plant import Plant
from lipctrl.plants.resting import simulate
from lipctrl.proofs.certificate import hex_array, write_certificate
from lipctrl.proofs.check import check
from lipctrl.results import Trust, Verdict
from lipctrl.theorems.confront import contradiction

POLICIES = Path(__file__).resolve().parent.parent / "policies"


def all_certificates_check(report, folder):
    for name, certificate in report.certificates.items():
        result = check(write_certificate(certificate, folder / f"{name}.json"))
        assert result.accepted, f"{name}: {result.reason}"


@pytest.mark.parametrize("name", sorted(card.parent.name for card in POLICIES.glob("*/card.json")))
def test_policies_get_the_verdict_of_their_card(name, tmp_path):
    expected = json.loads((POLICIES / name / "card.json").read_text())["expected"]
    report = certify(POLICIES / name, time_limit=12, nonlinear=False)
    if expected["verdict"] == "not-certified":
        assert report.verdict is not Verdict.CERTIFIED
    else:
        assert report.verdict.value == expected["verdict"]
        assert report.trust is Trust.PROVED
        assert report.certificates[report.headline]["theorem"] == expected["theorem"]
    all_certificates_check(report, tmp_path)


def test_spring_damper_shows_the_point_of_lipsdp():
    """Global small gain holds with the LipSDP bound, and fails with the product of spectral norms."""
    report = certify(POLICIES / "spring-damper-ppo", time_limit=5)
    row = next(row for row in report.theorems if row.name == "small gain (global)")
    gain = (1 - row.margin) / report.lipschitz.upper
    assert row.verdict is Verdict.CERTIFIED and report.scope == "global"
    assert gain * report.lipschitz.upper < 0.9
    assert gain * report.lipschitz.product > 1.2


@pytest.mark.parametrize(
    ("algorithm", "theta"), [("ppo", -0.1441), ("a2c", 0.0168), ("sac", -0.1752), ("ars", -0.0095)]
)
def test_zoo_pendulum_agents_are_certified_where_they_rest(zoo, tmp_path, algorithm, theta):
    report = certify(zoo / algorithm / "Pendulum-v1", "Pendulum-v1", time_limit=10, nonlinear=False)
    assert report.verdict is Verdict.CERTIFIED
    assert report.trust is Trust.PROVED and report.model == "linear"
    assert report.equilibrium["x"] == pytest.approx([theta, 0.0], abs=6e-5)
    assert report.equilibrium["proved"]
    assert report.region.volume > 1e-3
    all_certificates_check(report, tmp_path)


def test_a_policy_that_saturates_at_rest_is_not_certified():
    """Full torque always: near the upright nothing rests, and nothing is claimed."""
    full = Network([Affine([[0.0, 0.0, 0.0]], [5.0]), Elementwise("hardtanh", 1, low=-2.0, high=2.0)])
    report = certify(full, "Pendulum-v1", time_limit=5)
    assert report.verdict is not Verdict.CERTIFIED
    assert "does not mean unstable" in report.claim or report.verdict is Verdict.REFUTED


def test_the_linear_claim_is_overridden_by_the_true_plant():
    """x+ = 1.1 x + clip(-.9 x, +-2) + x^3: stable linearised, diverges from .9; the certified region is larger."""
    policy = Network([Affine([[-0.9]]), Elementwise("hardtanh", 1, low=-2.0, high=2.0)])
    report = certify(policy, lambda x, u: 1.1 * x + u + x**3, target=[0.0], dt=1.0, time_limit=5)
    assert report.verdict is Verdict.REFUTED
    assert report.model == "nonlinear" and report.trust is Trust.SAMPLED
    trajectory = np.array(report.theorems[-1].witness["trajectory"])
    x = trajectory[0]
    assert abs(trajectory[-1]) > 1e6
    for later in trajectory[1:][np.abs(trajectory[1:, 0]) < 1e3]:
        x = 1.1 * x + np.clip(-0.9 * x, -2, 2) + x**3
        assert x == pytest.approx(later)


def test_continuous_plant_says_that_it_is_not_the_sampled_policy():
    policy = Network([Affine([[-5.0, -3.0]]), Elementwise("tanh", 1)])
    report = certify(policy, Plant([[0, 1], [2.0, -0.1]], [[0], [1.0]], np.eye(2), dt=0), time_limit=5)
    assert report.verdict is Verdict.CERTIFIED
    assert "continuous time" in report.claim


def test_feedthrough_and_missing_plants_are_refused():
    policy = Network([Affine([[-0.5]])])
    with pytest.raises((LoopError, PlantError), match="feedthrough"):
        certify(policy, Plant([[0.5]], [[1]], [[1]], [[1]], dt=1))
    with pytest.raises(PlantError, match="No plant"):
        certify(policy)


def test_a_network_that_computes_something_else_than_its_layers_is_refused():
    class Clipped(Network):
        def __call__(self, observation):
            return np.clip(super().__call__(observation), -0.01, 0.01)

    with pytest.raises(NetworkError, match="evaluation of its own"):
        certify(Clipped([Affine([[-0.5]])]), Plant([[1.2]], [[1]], [[1]], dt=1))


def test_stages_are_reported():
    stages: list[str] = []
    certify(Network([Affine([[-0.5]])]), Plant([[0.5]], [[1]], [[1]], dt=1), progress=stages.append)
    assert stages[0] == "loading the policy" and "Lyapunov (global)" in stages


def test_what_is_no_policy_is_refused():
    with pytest.raises(NetworkError, match="object was given as the policy"):
        certify(object(), "Pendulum-v1")


def test_a_global_linear_claim_is_overridden_by_the_true_pendulum():
    """A linear policy of high gain: the linear model is globally stable, the true motor saturates at 2."""
    policy = Network([Affine([[0.0, -20.0, -4.0]])])
    report = certify(policy, "Pendulum-v1", time_limit=5, nonlinear=False)
    assert any(row.verdict is Verdict.CERTIFIED and row.scope == "global" for row in report.theorems)
    assert report.verdict is Verdict.REFUTED
    assert report.model == "nonlinear"
    assert report.trust is Trust.SAMPLED


def test_certificates_name_their_network_and_claim(tmp_path):
    report = certify(POLICIES / "spring-damper-ppo", time_limit=2)
    for name, certificate in report.certificates.items():
        assert certificate["network_sha256"] == report.policy["network_sha256"]
        assert certificate["claim"] and certificate["assumptions"]
        forged = certificate | {"network_sha256": "0" * 64}
        assert not check(write_certificate(forged, tmp_path / f"{name}.json")).accepted


@pytest.mark.parametrize("limit", [None, np.nan, np.inf, -1, "soon"])
def test_a_time_limit_is_a_number_of_seconds(limit):
    with pytest.raises(LipctrlError, match="time_limit"):
        certify(Network([Affine([[-0.5]])]), Plant([[0.5]], [[1]], [[1]], dt=1), time_limit=limit)


@pytest.mark.parametrize(("limit", "verdict"), [(0.05, Verdict.REFUTED), (100.0, Verdict.CERTIFIED)])
def test_a_linear_plant_with_limits_can_contradict_the_claim_for_all_states(limit, verdict):
    """x+ = 1.2 x + clip(-.5 x): with limits .05 it diverges from .25 on, whatever the linear model does."""
    env = StateSpaceEnv(control.ss(1.2, 1.0, 1.0, 0, 0.1), action_low=-limit, action_high=limit)
    assert certify(Network([Affine([[-0.5]])]), env, target=[0.0]).verdict is verdict


@pytest.mark.parametrize("resolution", [DOUBLE, SINGLE])
def test_what_rests_as_near_as_the_equilibrium_is_known_contradicts_nothing(resolution):
    """In float32 the equilibrium that Newton's method finds may be off by 1e-4."""
    policy = Network([Affine([[-1e-3]])])
    found = find_linearization(lambda x, u: [0.5 * x[0] + u[0]], policy, target=[0.0], tolerance=0.1, dt=1.0)
    found.dynamics._step = lambda x, u: [0.5 * x[0] + 0.5e-4]
    found.dynamics.resolution = resolution
    paths = simulate(found.dynamics, policy, np.array([[1e-5]]), 50)
    for level in (None, hex_array(1e-9)):
        row = SimpleNamespace(name="all", scope="global", certificate={"P": hex_array([[1.0]]), "level": level})
        assert (contradiction(found, policy, row, paths) is None) is (resolution == SINGLE)


class Saturating(LinearDynamics):
    """A linear plant but for what its author added."""

    def advance(self, x, u):
        return super().advance(x, np.clip(u, -0.05, 0.05))


def test_a_subclass_of_the_linear_plant_can_contradict_it():
    plant = Saturating(Plant([[1.2]], [[1.0]], [[1.0]], dt=1))
    assert certify(Network([Affine([[-0.5]])]), plant).verdict is Verdict.REFUTED


def turning(x, u):
    """A slow spiral that first grows: nilpotent but for .999."""
    return [0.999 * x[0] + 0.05 * x[1], 0.999 * x[1] + u[0]]


@pytest.mark.parametrize(
    ("step", "n", "dt", "verdict"),
    [
        (turning, 2, 0.05, Verdict.CERTIFIED),  # after 200 steps eight times as long as at the start
        (lambda x, u: [-1000.0 * x[0] + u[0]], 1, 0.0, Verdict.CERTIFIED),  # Runge-Kutta by .01 s diverges
        (lambda x, u: [0.5 * x[0] + np.clip(1e4 * u[0], -0.3, 0.3)], 1, 0.0, Verdict.REFUTED),  # from .6 on
    ],
)
def test_only_what_does_not_come_back_contradicts_a_claim_for_all_states(step, n, dt, verdict):
    policy = Network([Affine([[0.0] * (n - 1) + [-1e-4]])])
    report = certify(policy, step, target=[0.0] * n, tolerance=0.1, dt=dt, time_limit=5)
    assert any(row.verdict is Verdict.CERTIFIED and row.scope == "global" for row in report.theorems)
    assert report.verdict is verdict
