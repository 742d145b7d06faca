"""The planar quadrotor obeys Newton's laws."""

from __future__ import annotations

import numpy as np
import pytest

from lipctrl.errors import PlantError
from lipctrl.plants.models.planar_quadrotor import PlanarQuadrotor


def test_it_hovers_falls_and_turns():
    model = PlanarQuadrotor()
    assert np.array_equal(model.advance(np.zeros(6), np.zeros(2)), np.zeros(6))
    half = 0.5 * model.mass * model.gravity
    for beyond in (-half, -2 * half):  # rotors do not pull down
        fallen = model.advance(np.zeros(6), np.full(2, beyond))
        assert fallen[4] == pytest.approx(-model.gravity * model.dt) and fallen[1] == pytest.approx(
            model.dt * fallen[4]
        )
    turned = model.advance(np.zeros(6), np.array([0.1, -0.1]))
    assert turned[5] == pytest.approx(model.dt * model.arm * 0.2 / model.inertia) and turned[4] == 0.0
    tilted = model.advance(np.array([0, 0, 0.3, 0, 0, 0.0]), np.zeros(2))
    assert tilted[3] == pytest.approx(-model.dt * model.gravity * np.sin(0.3))
    assert tilted[4] == pytest.approx(model.dt * model.gravity * (np.cos(0.3) - 1.0))


def test_bad_parameters_are_refused():
    with pytest.raises(PlantError):
        PlanarQuadrotor(arm=-1.0)
