"""Uncertain parameters, errors of the action and float32 through the front door."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lipctrl
from lipctrl.errors import LipctrlError, LoopError, PlantError
from lipctrl.intervals.functions import clip
from lipctrl.networks.network import Affine, Network
from lipctrl.pipeline import certify
from lipctrl.plants.goal import Goal
from lipctrl.plants.model import Model
from lipctrl.plants.models.pendulum import Pendulum
from lipctrl.plants.plant import Plant
from lipctrl.proofs.certificate import write_certificate
from lipctrl.results import Trust, Verdict
from lipctrl.tools.cli import main
from lipctrl.tools.report import report_json

POLICIES = Path(__file__).resolve().parent.parent / "policies"


def test_all_three_at_once_are_claimed_in_words_in_json_and_in_the_certificate(tmp_path: Path) -> None:
    report = certify(
        POLICIES / "pendulum-sac",
        "Pendulum-v1",
        uncertain={"m": (0.998, 1.002)},
        action_error=1e-3,
        arithmetic="float32",
        time_limit=40,
    )
    assert report.verdict is Verdict.CERTIFIED and report.trust is Trust.PROVED
    assert (report.model, report.arithmetic, report.plant["uncertain"]) == (
        "nonlinear",
        "float32",
        {"mass": [0.998, 1.002]},
    )
    for words in ("mass in [0.998, 1.002]", "wrong by at most 0.001", "evaluated in float32", "comes and stays within"):
        assert words in report.claim
    assert "real arithmetic" in report.claim and all(row.model == "nonlinear" for row in report.theorems)
    found = report_json(report, None)
    ends = found["theorems"][0]["region"]["final_half_widths"]
    assert found["arithmetic"] == found["theorems"][0]["arithmetic"] == "float32"
    assert 1e-5 < ends[0] < 1e-2 and 1e-5 < ends[1] < 2e-2
    certificate = report.certificates[report.headline or ""]
    assert "policy in float32 arithmetic" in certificate["assumptions"]
    accepted = lipctrl.check(write_certificate(certificate, tmp_path / "region.json.gz"))
    assert accepted.accepted, accepted.reason
    assert "mass in [0.998, 1.002]" in accepted.claim and "float32" in accepted.claim


def test_what_is_not_covered_is_refused() -> None:
    line, policy = Plant([[0.5]], [[1]], [[1]], dt=1), Network([Affine([[-0.5]])])
    with pytest.raises(PlantError, match="no parameters"):
        certify(policy, line, uncertain={"mass": (0.9, 1.1)})
    with pytest.raises(PlantError, match="no parameter 'k'"):
        certify(POLICIES / "pendulum-sac", "Pendulum-v1", uncertain={"k": (0.9, 1.1)})
    with pytest.raises(PlantError, match="only for its nonlinear loop"):
        certify(POLICIES / "pendulum-sac", "Pendulum-v1", uncertain={"m": (0.9, 1.1)}, nonlinear=False)
    with pytest.raises(LipctrlError, match=r"error of the actions -0\.1"):
        certify(POLICIES / "pendulum-sac", "Pendulum-v1", action_error=-0.1)
    with pytest.raises(LipctrlError, match="arithmetic"):
        certify(POLICIES / "pendulum-sac", "Pendulum-v1", arithmetic="float16", time_limit=1)


def test_a_weaker_motor_may_be_asked_for() -> None:
    """The policy was trained with 2 N m; another limit that is given as a parameter is meant, and is named."""
    report = certify(POLICIES / "pendulum-sac", "Pendulum-v1", uncertain={"max_torque": (1.9, 1.9)}, time_limit=1)
    assert "max_torque = 1.9" in report.plant["name"]
    with pytest.raises(LoopError, match="trained to act within"):
        certify(POLICIES / "pendulum-sac", Pendulum(max_torque=1.9), uncertain={"mass": (0.9, 1.1)}, time_limit=1)


def test_a_linear_plant_in_float32_has_a_final_ball(tmp_path: Path) -> None:
    report = certify(POLICIES / "spring-damper-ppo", arithmetic="float32", time_limit=10)
    assert (report.verdict, report.model, report.arithmetic) == (Verdict.CERTIFIED, "linear", "float32")
    assert [row.arithmetic for row in report.theorems] == ["float32"]
    assert "policy in float32" in report.claim and "comes and stays within" in report.claim
    accepted = lipctrl.check(write_certificate(report.certificates[report.headline or ""], tmp_path / "row.json"))
    assert accepted.accepted, accepted.reason


def test_a_hanging_pendulum_is_not_certified_for_any_mass() -> None:
    report = certify(POLICIES / "pendulum-hanging", Pendulum(mass=(0.99, 1.01)), time_limit=2)
    assert report.verdict is not Verdict.CERTIFIED


@pytest.mark.parametrize("text", ["m", "m=1", "m=1:2:3", "m=a:b", "=1:2", "m=2:1", "q=1:2"])
def test_intervals_that_are_none_are_usage_errors(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["lipctrl", "certify", str(POLICIES / "pendulum-sac"), "--env", "Pendulum-v1", "--uncertain", text]
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2


class Three(Model):
    """x+ = k x + clip(u), and two states that follow."""

    name, dt, periods = "three", 0.05, np.zeros(3)
    n_states, n_actions, n_observations = 3, 1, 3
    state_low, state_high = np.full(3, -0.5), np.full(3, 0.5)
    action_low, action_high = np.array([-5.0]), np.array([5.0])
    parameters, goal = ("k",), Goal([0.0] * 3, 0.3)

    def __init__(self, k=0.5):
        self.k = self._read("k", k)

    def step(self, x, u):
        return self.k * x[0] + clip(u[0], -5.0, 5.0), 0.5 * x[1] + 0.1 * x[0], 0.5 * x[2] + 0.1 * x[1]

    def observe(self, x):
        return tuple(x)


def test_the_nominal_linear_loop_certifies_nothing_for_other_values() -> None:
    """With k = 1.9 it diverges; the linear row, about k = .45, once gave the verdict for all values."""
    policy = Network([Affine([[-0.1, 0.0, 0.0]])])
    report = certify(policy, Three(), uncertain={"k": (-1.0, 1.9)}, action_error=1e-4, time_limit=1)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert all(row.model == "nonlinear" for row in report.theorems)
