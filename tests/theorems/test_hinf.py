"""The proved H-infinity norm against a frequency sweep, and plants on which other tools are wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from lipctrl.errors import LoopError
from lipctrl.plants.plant import Plant
from lipctrl.results import Trust
from lipctrl.theorems import hinf
from lipctrl.theorems.hinf import hinf_norm


def random_plant(seed: int, decay: float) -> Plant:
    rng = np.random.default_rng(seed)
    n, m, p = rng.integers(1, 6), rng.integers(1, 3), rng.integers(1, 4)
    A, B, C = rng.standard_normal((n, n)), rng.standard_normal((n, m)), rng.standard_normal((p, n))
    D = rng.standard_normal((p, m)) * (seed % 3 == 0)
    if seed % 2:
        return Plant(A - (np.linalg.eigvals(A).real.max() + decay) * np.eye(n), B, C, D, dt=0)
    return Plant(A * (1 - decay / 4) / np.abs(np.linalg.eigvals(A)).max(), B, C, D, dt=0.1)


def peak_gain(plant: Plant) -> float:
    """Largest singular value over a fine grid of frequencies, polished: a lower bound of the norm."""

    def gain(w: float) -> float:
        z = 1j * w if plant.is_continuous else np.exp(1j * w)
        return float(
            np.linalg.norm(plant.C @ np.linalg.solve(z * np.eye(len(plant.A)) - plant.A, plant.B) + plant.D, 2)
        )

    grid = np.concatenate([[0.0], np.geomspace(1e-4, 1e4 if plant.is_continuous else np.pi, 3000)])
    gains = [gain(w) for w in grid]
    i = int(np.argmax(gains))
    bracket = (grid[max(i - 1, 0)], grid[min(i + 1, len(grid) - 1)])
    return max(
        gains[i], -minimize_scalar(lambda w: -gain(w), bounds=bracket, method="bounded", options={"xatol": 1e-12}).fun
    )


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), decay=st.floats(0.01, 1.0))
def test_bound_is_above_and_close_to_the_peak_gain(seed, decay):
    plant = random_plant(seed, decay)
    bound, peak = hinf_norm(plant), peak_gain(plant)
    assert bound is not None and bound.trust is Trust.PROVED
    assert peak * (1 - 1e-12) <= bound.upper <= peak * (1 + 1e-5)


def test_closed_forms():
    """1/(s + 1) has norm 1; 1/(z - 0.5) has norm 2; a resonance s^2 + 2 zeta s + 1 has 1/(2 zeta sqrt(1 - zeta^2))."""
    assert hinf_norm(Plant([[-1]], [[1]], [[1]], dt=0)).upper == pytest.approx(1, rel=1e-7)
    assert hinf_norm(Plant([[0.5]], [[1]], [[1]], dt=1)).upper == pytest.approx(2, rel=1e-7)
    zeta = 0.01
    resonance = Plant([[0, 1], [-1, -2 * zeta]], [[0], [1]], [[1, 0]], dt=0)
    assert hinf_norm(resonance).upper == pytest.approx(1 / (2 * zeta * np.sqrt(1 - zeta**2)), rel=1e-6)


@pytest.mark.parametrize("excess", [1e-12, 1e-9, 1e-6, 1e-3, 0.1])
def test_an_unstable_plant_has_no_norm(excess):
    assert hinf_norm(Plant([[1 + excess]], [[1]], [[1]], dt=1)) is None
    assert hinf_norm(Plant([[excess]], [[1]], [[1]], dt=0)) is None
    assert hinf_norm(Plant([[1.0]], [[1]], [[1]], dt=1)) is None


def test_non_square_plant_with_feedthrough():
    plant = Plant([[-1.0]], [[1.0, 0.0]], [[1.0], [0.0], [1.0]], [[0, 1], [1, 0], [0, 0]], dt=0)
    assert hinf_norm(plant).upper == pytest.approx(peak_gain(plant), rel=1e-6)


def test_weights_and_shift_change_the_norm_as_theory_says():
    plant = random_plant(4, 0.5)
    K = 0.01 * np.ones((plant.n_inputs, plant.n_outputs))
    plant = Plant(plant.A, plant.B, plant.C, dt=plant.dt)
    weight_u, weight_y = np.linspace(1, 2, plant.n_inputs), np.linspace(0.5, 3, plant.n_outputs)
    values, _ = hinf.prove(hinf.state(plant, K, weight_u, weight_y))
    same = Plant(plant.A + plant.B @ K @ plant.C, plant.B / weight_u, weight_y[:, None] * plant.C, dt=plant.dt)
    assert np.sqrt(values["gamma_sq"][0]) == pytest.approx(peak_gain(same), rel=1e-5)


def test_no_shift_of_a_plant_with_any_feedthrough():
    for D in ([[0, 0.5], [0, 0], [0, 0]], [[1e-300, 0], [0, 0], [0, 0]], np.ones((3, 2))):
        plant = Plant([[0.5]], [[1.0, 2.0]], [[1.0], [2.0], [3.0]], D, dt=0.1)
        with pytest.raises(LoopError, match="feedthrough"):
            hinf.state(plant, np.zeros((2, 3)))
        hinf.state(plant)
