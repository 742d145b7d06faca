"""Lyapunov's inequality with a decay rate and the sectors in it, by forms and bounds computed on their own."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.plants.loop import Loop
from lipctrl.plants.plant import Plant
from lipctrl.theorems import lyapunov


def loop_of(dt: float) -> Loop:
    """Three states, two actions, five neurons, two observations, no two numbers alike."""
    rng = np.random.default_rng(11)
    W0, W1 = rng.standard_normal((5, 2)), rng.standard_normal((2, 5))
    network = Network([Affine(W0), Elementwise("tanh", 5), Affine(W1)])
    A, B, C = rng.standard_normal((3, 3)), rng.standard_normal((3, 2)), rng.standard_normal((2, 3))
    return Loop(Plant(A, B, C, dt=dt), network)


@pytest.mark.parametrize("dt", [0.0, 0.1])
@pytest.mark.parametrize("decay", [0.0, 0.25, 0.3])
@pytest.mark.parametrize("region", [False, True])
def test_the_inequality_is_the_fall_of_v_beyond_its_decay(dt: float, decay: float, region: bool) -> None:
    """xi'M xi = -(V+ - V) - eta V (continuous: -dV/dt - eta V) + 2 sum t_i (w - alpha v)(w - beta v), any (e, w)."""
    rng, loop = np.random.default_rng(5), loop_of(dt)
    plant, (first, _, last) = loop.plant, loop.network.layers
    statement = lyapunov.state(loop, 0.2 * rng.standard_normal((3, 3)) if region else None, decay)
    bounds = statement.bounds[0]
    X = rng.standard_normal((3, 3))
    P, t = X + X.T, rng.uniform(0.5, 2.0, 5)
    M = statement.lmi.inequalities[0].evaluate({"P": P, "T1": t})
    for _ in range(5):
        e, w = rng.standard_normal(3), rng.standard_normal(5)
        v = first.W @ plant.C @ e
        moved = plant.A @ e + plant.B @ (last.W @ w)
        fall = -2 * e @ P @ moved if dt == 0 else e @ P @ e - moved @ P @ moved
        inside = (w - bounds.slope_lower * v) * (w - bounds.slope_upper * v)
        expected = fall - decay * (e @ P @ e) + 2 * t @ inside
        xi = np.concatenate([e, w])
        assert abs(xi @ M.mid @ xi - expected) <= 1e-12 * (np.abs(xi) @ np.abs(M.mid) @ np.abs(xi))
    assert np.max(M.radius) <= 1e-12 * np.max(np.abs(M.mid))


def test_sectors_are_about_rest_on_a_region_and_slopes_everywhere() -> None:
    """tanh on |v| <= r: [tanh(r) / r, 1] through 0, whose slopes fall to 1 - tanh(r)^2; on all of R: [0, 1]."""
    loop, G = loop_of(0.1), 0.2 * np.random.default_rng(5).standard_normal((3, 3))
    (local,), (everywhere,) = (lyapunov.state(loop, region).bounds for region in (G, None))
    r = np.linalg.norm(loop.network.layers[0].W @ loop.plant.C @ G, axis=1)
    assert np.all(r > 0.1)
    assert np.allclose(local.slope_lower, np.tanh(r) / r, rtol=1e-5)
    assert np.all(local.slope_lower <= np.tanh(r) / r) and np.allclose(local.slope_upper, 1.0, rtol=1e-9)
    assert np.all(everywhere.slope_lower == 0.0) and np.all(everywhere.slope_upper == 1.0)


def test_roundings_of_many_directions_add_up() -> None:
    """One observation of 128 states whose roundings are 2^-54 and otherwise 2^-107: each is lost when it is added."""
    c = np.full(128, 2.0**-53 * (1 + 2.0**-27))
    c[0] = 1 + 2.0**-27
    loop: Any = SimpleNamespace(plant=SimpleNamespace(C=c[None], y0=np.zeros(1), n_outputs=1))
    G = (1 + 2.0**-27) * np.eye(128)
    inputs = lyapunov.region_inputs(loop, G)
    exact = [Fraction(v) * Fraction(1 + 2.0**-27) for v in c]
    lost = sum(abs(x - Fraction(float(m))) for x, m in zip(exact, inputs.ball_generators[0], strict=True))
    assert lost == Fraction(2.0**-54) + 127 * Fraction(2.0**-107)
    assert lost <= Fraction(float(inputs.radius[0]))
