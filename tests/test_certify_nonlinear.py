"""The nonlinear loop through the front door: the real agent on its exact model."""

from __future__ import annotations

import functools
import runpy
from pathlib import Path

import gymnasium
import numpy as np
import pytest

import lipctrl
from lipctrl import load_policy
from lipctrl.errors import PlantError
from lipctrl.networks.network import Affine, Network
from lipctrl.pipeline import certify
from lipctrl.plants.plant import Plant
from lipctrl.proofs import check_cells
from lipctrl.proofs.certificate import write_certificate
from lipctrl.results import Report, Trust, Verdict
from lipctrl.theorems.region_row import DOMAIN, GOAL
from lipctrl.tools.report import report_json

pytestmark = pytest.mark.usefixtures("processor_time")
POLICIES = Path(__file__).resolve().parent.parent / "policies"


@functools.cache
def eight_seconds() -> Report:
    return certify(POLICIES / "pendulum-sac", nonlinear=True, time_limit=8)


def test_most_of_the_cylinder_is_certified_for_the_nonlinear_loop(tmp_path):
    report = eight_seconds()
    assert report.verdict is Verdict.CERTIFIED
    assert report.trust is Trust.PROVED
    assert report.model == "nonlinear"
    region = report_json(report, None)["theorems"][-1]["region"]
    assert region["kind"] == "cells"
    assert region["domain_volume"] == pytest.approx(2 * np.pi * 16, rel=1e-6)
    assert 0.4 < region["share"] <= region["simulated_share"] + 0.01
    assert region["volume"] == pytest.approx(region["share"] * region["domain_volume"])
    certificate = report.certificates[report.headline]
    assert certificate["theorem"] == "region_of_attraction"
    accepted = lipctrl.check(write_certificate(certificate, tmp_path / "region.json.gz"))
    assert accepted.accepted, accepted.reason
    assert "the exact nonlinear model" in accepted.claim
    forged = certificate | {"network": {"layers": [*certificate["network"]["layers"][:-1]]}}
    assert not lipctrl.check(write_certificate(forged, tmp_path / "forged.json")).accepted


def in_gymnasium(policy: Network, start: np.ndarray, steps: int) -> np.ndarray:
    """States of Gymnasium's own environment from a start, under the policy."""
    env = gymnasium.make("Pendulum-v1").unwrapped
    env.reset(seed=0)
    env.state = np.array(start)
    states = [np.array(start)]
    for _ in range(steps):
        theta, speed = env.state
        env.step(policy(np.array([np.cos(theta), np.sin(theta), speed])))
        states.append(np.array(env.state))
    return np.array(states)


def test_a_policy_that_hangs_is_refuted_by_a_trajectory_that_replays_in_gymnasium():
    report = certify(POLICIES / "pendulum-hanging", time_limit=3)
    row = report.theorems[-1]
    assert report.verdict is Verdict.REFUTED and report.trust is Trust.SAMPLED and report.model == "nonlinear"
    assert row.name == GOAL and row.witness["kind"] == "rests elsewhere" and row.certificate is None
    path = np.array(row.witness["trajectory"])
    assert path[0] == pytest.approx([0.0, 0.0])
    replayed = in_gymnasium(load_policy(POLICIES / "pendulum-hanging").network, path[0], len(path) - 1)
    assert np.abs(replayed - path).max() < 1e-6
    assert np.cos(replayed[-1, 0]) < -0.95


def test_weak_gains_hold_the_pendulum_but_do_not_swing_it_up():
    """u = -20 sin(theta) - 4 speed, saturated: certified nearby, refuted elsewhere, and the two never overlap."""
    policy = Network([Affine([[0.0, -20.0, -4.0]])])
    report = certify(policy, "Pendulum-v1", time_limit=5)
    local, whole = report.theorems[-2:]
    assert report.verdict is local.verdict is Verdict.CERTIFIED and report.scope == "local"
    assert whole.name == DOMAIN and whole.verdict is Verdict.REFUTED and whole.scope == "domain"
    path = np.array(whole.witness["trajectory"])
    replayed = in_gymnasium(policy, path[0], 1000)
    assert np.abs(replayed[:100] - path[:100]).max() < 1e-3
    assert np.all(np.cos(replayed[500:, 0]) < 0.9)
    assert 0.15 < local.region.share <= local.region.simulated_share + 0.02 < 0.4
    shown = report.data["cells"]
    cell = (shown["high"] - shown["low"]) / shown["certified"].shape
    index = np.floor((shown["failing"] - shown["low"]) / cell).astype(int)
    assert len(index) > 1000
    assert not shown["certified"][tuple(index.T)].all(axis=0).any()


def test_a_box_is_certified_as_a_whole_or_refuted_by_what_rests_in_it(tmp_path):
    small = certify(POLICIES / "pendulum-sac", time_limit=8, box=([-0.1, -0.5], [0.15, 0.5])).theorems[-2:]
    assert [row.verdict for row in small] == [Verdict.CERTIFIED] * 2
    assert small[0].region.share == pytest.approx(1.0) and small[0].region.domain_volume == pytest.approx(0.25)
    assert small[1].name == DOMAIN and small[1].trust is Trust.PROVED
    for row in small:
        code, text = check_cells.check(write_certificate(row.certificate, tmp_path / "box.json"))
        assert code == 0 and "Every state of this domain converges." in text
    part = eight_seconds().theorems[-1]
    code, text = check_cells.check(write_certificate(part.certificate, tmp_path / "box.json"))
    assert code == 0 and "Every state" not in text
    saddle = certify(POLICIES / "pendulum-sac", time_limit=2, box=([0.3, -0.5], [0.5, 0.5])).theorems[-1]
    assert saddle.verdict is Verdict.REFUTED and saddle.trust is Trust.PROVED
    assert saddle.witness["orbit"][0] == pytest.approx([0.40939, 0.0], abs=1e-4)


def test_the_nonlinear_loop_is_tried_by_default_and_can_be_switched_off():
    report = certify(POLICIES / "pendulum-sac", time_limit=3)
    assert report.verdict is Verdict.CERTIFIED and report.model == "nonlinear"
    assert all(
        row.model == "linear" for row in certify(POLICIES / "pendulum-sac", time_limit=2, nonlinear=False).theorems
    )


def test_a_linear_plant_has_no_exact_nonlinear_model():
    with pytest.raises(PlantError, match="exact equations"):
        certify(Network([Affine([[-0.5]])]), Plant([[0.5]], [[1]], [[1]], dt=1), nonlinear=True)


def test_a_model_of_ones_own_from_its_equations_to_the_checked_certificate(tmp_path, monkeypatch, capsys):
    """examples/own_model.py: van der Pol's oscillator, calmed everywhere by a push of 1, near the origin by 0.55."""
    monkeypatch.chdir(tmp_path)
    example = runpy.run_path(str(POLICIES.parent / "examples" / "own_model.py"))
    printed = capsys.readouterr().out
    strong, weak = printed.split("push 0.55")
    assert "whole domain: CERTIFIED" in strong and "whole domain: REFUTED" in weak
    assert "Region of attraction: at least" in weak
    x = np.random.default_rng(0).uniform(-3, 3, (300, 2))
    for push, share in ((1.0, 1.0), (0.55, 0.05)):
        gains, state = example["calm"](push), x
        for _ in range(2000):
            position, speed = state.T
            rate = (1 - position**2) * speed - position + gains(state)[:, 0]
            state = np.stack([position + 0.1 * speed, speed + 0.1 * rate], axis=1)
        calm = np.abs(state).max(axis=1) < 1e-6
        assert calm.mean() == share if share == 1.0 else calm.mean() < share


def test_a_huge_domain_is_not_refuted_by_its_own_size():
    """The environment clips the speed in the first step: a start that fast comes back, in Gymnasium too."""
    report = certify(POLICIES / "pendulum-ppo", "Pendulum-v1", box=([-0.1, -1e13], [0.1, 1e13]), time_limit=3)
    whole = next(row for row in report.theorems if row.name == DOMAIN)
    policy = load_policy(POLICIES / "pendulum-ppo").network
    assert np.cos(in_gymnasium(policy, np.array([-0.096875, -9.6875e12]), 1000)[-1, 0]) > 0.99
    assert whole.verdict is Verdict.INCONCLUSIVE
