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


def inverse_diagonal(P: np.ndarray) -> list[Fraction]:
    """Of P^-1, by elimination in fractions."""
    n = len(P)
    M = [[Fraction(float(v)) for v in row] + [Fraction(int(i == j)) for j in range(n)] for i, row in enumerate(P)]
    for k in range(n):
        M[k] = [v / M[k][k] for v in M[k]]
        for i in range(n):
            if i != k:
                M[i] = [a - M[i][k] * b for a, b in zip(M[i], M[k], strict=True)]
    return [M[i][n + i] for i in range(n)]


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_half_widths_of_an_ellipsoid_in_fractions(n: int) -> None:
    """e_i^2 <= radius^2 (P^-1)_ii where e'Pe <= radius^2, and hardly less."""
    rng = np.random.default_rng(n)
    for condition in (1.0, 1e6, 1e10):
        Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
        P = Q @ np.diag(np.geomspace(1.0, 1.0 / condition, n)) @ Q.T * 10.0 ** rng.uniform(-6, 6)
        P, radius = (P + P.T) / 2, float(rng.uniform(0.1, 3.0))
        for width, square in zip(lyapunov.half_widths(P, radius), inverse_diagonal(P), strict=True):
            true = Fraction(radius) ** 2 * square
            assert true <= Fraction(float(width)) ** 2 <= true * (1 + Fraction(condition) / 10**10 + Fraction(1, 10**9))


@pytest.mark.parametrize("wrong", [0.5, 1.0 - 1e-9, 2.0, -1.0, np.nan])
def test_half_widths_do_not_believe_the_inverse(monkeypatch: pytest.MonkeyPatch, wrong: float) -> None:
    P = np.array([[2.0, 0.5, 0.1], [0.5, 1.0, -0.3], [0.1, -0.3, 4.0]])
    true = np.sqrt([float(v) for v in inverse_diagonal(P)])
    inverse = np.linalg.inv(P)
    monkeypatch.setattr(np.linalg, "inv", lambda _: wrong * inverse)
    assert np.all(lyapunov.half_widths(P, 1.0) >= true * (1 - 1e-15))
    assert np.all(lyapunov.half_widths(-P, 1.0) == np.inf)
    assert np.all(lyapunov.half_widths(np.diag([1.0, -1e-3, 1.0]), 1.0) == np.inf)


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
