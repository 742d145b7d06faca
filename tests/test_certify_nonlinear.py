"""The nonlinear loop through the front door: the real agent on its exact model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lipctrl
from lipctrl.errors import PlantError
from lipctrl.networks.network import Affine, Network
from lipctrl.pipeline import certify
from lipctrl.plants.plant import Plant
from lipctrl.proofs.certificate import write_certificate
from lipctrl.results import Trust, Verdict
from lipctrl.tools.report import report_json

POLICIES = Path(__file__).resolve().parent.parent / "policies"


def test_most_of_the_cylinder_is_certified_for_the_nonlinear_loop(tmp_path):
    report = certify(POLICIES / "pendulum-sac", nonlinear=True, time_limit=8)
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


def test_a_policy_that_hangs_has_no_region():
    report = certify(POLICIES / "pendulum-hanging", nonlinear=True, time_limit=3)
    assert report.verdict is not Verdict.CERTIFIED


def test_a_linear_plant_has_no_exact_nonlinear_model():
    with pytest.raises(PlantError, match="exact equations"):
        certify(Network([Affine([[-0.5]])]), Plant([[0.5]], [[1]], [[1]], dt=1), nonlinear=True)
