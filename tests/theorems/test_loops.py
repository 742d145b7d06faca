"""Small gain, Lyapunov and instability: true statements are proved, their wrong twins are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipctrl.errors import SolverError
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.plants.loop import Loop
from lipctrl.plants.plant import Plant
from lipctrl.results import Verdict
from lipctrl.theorems import instability, lyapunov, small_gain
from lipctrl.theorems.lyapunov_search import find_global, find_local
from lipctrl.theorems.rows import ROWS
from tests.networks_for_tests import linear_feedback, random_network


def at_rest(A, B, C, network, dt) -> Loop:
    """The loop at y0 = 0 whatever pi(0) is: u0 = pi(y0)."""
    plant = Plant(A, B, C, dt=dt)
    return Loop(Plant(A, B, C, dt=dt, u0=network(plant.y0)), network)


def unstable_saturated_loop() -> Loop:
    """x+ = 1.1 x + clip(-0.5 x, +-1): stable near 0, every |x| > 10 diverges."""
    network = Network([Affine([[-0.5]]), Elementwise("hardtanh", 1, low=-1.0, high=1.0)])
    return at_rest([[1.1]], [[1.0]], [[1.0]], network, 0.1)


def test_global_small_gain_needs_a_stable_plant():
    assert small_gain.prove_global(at_rest([[1.01]], [[1]], [[1]], linear_feedback([[-0.1]]), 0.1)) is None
    result = small_gain.prove_global(at_rest([[0.5]], [[1]], [[1]], linear_feedback([[0.4]]), 0.1))
    assert result.succeeds
    assert result.product == pytest.approx(0.8, rel=1e-6)  # norm 2 times slope 0.4


def test_global_small_gain_fails_above_one():
    result = small_gain.prove_global(at_rest([[0.5]], [[1]], [[1]], linear_feedback([[0.5001]]), 0.1))
    assert result is not None and not result.succeeds


def steep_outside(inner: float, outer: float) -> Network:
    """Odd, slope `inner` for |y| <= 1 and `outer` beyond, in each of two channels."""
    W0 = np.kron(np.ones((2, 1)), np.eye(2))
    bias = np.zeros(4)
    low, high = np.array([-1.0, -1.0, -1e3, -1e3]), np.array([1.0, 1.0, 1e3, 1e3])
    W1 = np.hstack([(inner - outer) * np.eye(2), outer * np.eye(2)])
    return Network([Affine(W0, bias), Elementwise("hardtanh", 4, low=low, high=high), Affine(W1)])


def test_region_of_local_small_gain_is_not_the_box():
    """A = [.9 2; 0 .9]: gain times slope .9 on the unit ball, steeper outside; most starts at radius .99 diverge."""
    A = np.array([[0.9, 2.0], [0.0, 0.9]])
    gamma = 1 / np.linalg.svd(np.exp(0j) * np.eye(2) - A)[1].min()
    network = steep_outside(0.9 / gamma, 40.0)
    loop = at_rest(A, np.eye(2), np.eye(2), network, 1.0)
    starts = 0.99 * np.array([[np.cos(t), np.sin(t)] for t in np.linspace(0, 2 * np.pi, 12, endpoint=False)])
    ends = np.linalg.norm(loop.simulate(starts, 300)[-1], axis=1)
    assert np.count_nonzero(~(ends < 1)) >= 6
    diverging = starts[~(ends < 1)]
    result = small_gain.prove_local(loop)
    found = find_local(loop)
    assert result is not None and result.succeeds
    P = result.plant_part[1]["P"]
    assert np.all(np.einsum("ki,ij,kj->k", diverging, P, diverging) > result.level)
    P = found[1]["P"]
    assert np.all(np.einsum("ki,ij,kj->k", diverging, P, diverging) > 1)


def boundary(P, level, count=200):
    z = np.random.default_rng(0).standard_normal((count, len(P)))
    z *= np.sqrt(level) / np.linalg.norm(z, axis=1, keepdims=True)
    return np.linalg.solve(np.linalg.cholesky(P).T, z.T).T


@pytest.mark.parametrize("kind", ["tanh", "relu"])
def test_trajectories_from_certified_regions_stay_and_converge(kind):
    A, B = np.array([[1.0, 0.1], [0.3, 1.0]]), np.array([[0.0], [0.3]])
    network = random_network((2, 12, 12, 1), kind, 3)
    K = np.array([[-3.0, -3.0]])
    layers = [*network.layers, Affine([[0.05]]), Elementwise("hardtanh", 1, low=-2.0, high=2.0)]
    mixed = _parallel(Network(layers), K)
    loop = at_rest(A, B, np.eye(2), mixed, 0.1)
    assert loop.spectral_radius < 1
    found = find_local(loop, time_limit=6)
    small = small_gain.prove_local(loop, time_limit=6)
    assert found is not None and small is not None and small.succeeds
    for P, level in ((found[1]["P"], 1.0), (small.plant_part[1]["P"], small.level)):
        paths = loop.simulate(boundary(P, 0.9999 * level), 400)
        value = np.einsum("tki,ij,tkj->tk", paths, P, paths)
        assert value[1:].max() <= level
        assert np.all(np.linalg.norm(paths[-1], axis=1) < 1e-6)


def _parallel(network: Network, K: np.ndarray) -> Network:
    """pi(y) + saturated linear gain, as one network: the gain travels in channels of its own."""
    W0, phi, W1, phi2, W2, scale, _ = network.layers
    m = len(K)
    first = Affine(np.vstack([W0.W, K]), np.concatenate([W0.b, np.zeros(m)]))
    second = Affine(
        np.block([[W1.W, np.zeros((W1.n_out, m))], [np.zeros((m, W1.n_in)), np.eye(m)]]), np.append(W1.b, 0)
    )
    last = Affine(np.hstack([scale.W @ W2.W, np.eye(m)]))
    tall = Elementwise("leaky_relu", phi.n + m, negative_slope=np.append(np.full(phi.n, 0.01), 1.0))
    del phi2
    return Network([first, tall, second, tall, last, Elementwise("hardtanh", m, low=-2.0, high=2.0)])


def test_largest_ellipsoid_of_a_saturated_scalar_loop():
    """x+ = 1.1 x + clip(-.5 x, +-1) converges exactly from |x| < 10."""
    loop = unstable_saturated_loop()
    assert find_global(loop) is None
    _, values = find_local(loop, time_limit=300.0)
    radius = 1 / np.sqrt(values["P"][0, 0])
    assert 9.0 < radius < 10.0


def test_global_lyapunov_of_an_absolutely_stable_loop():
    """The circle criterion holds for x+ = .5 x - tanh(.9 x) with slopes in [0, .9]: |.5 - s| < 1."""
    found = find_global(at_rest([[0.5]], [[1.0]], [[1.0]], linear_feedback([[-0.9]]), 0.1))
    assert found is not None


def test_continuous_time():
    loop = at_rest([[0, 1], [2.0, -0.1]], [[0], [1.0]], np.eye(2), _clip([[-5.0, -3.0]], 1.5), 0)
    found = find_local(loop)
    assert found is not None
    P = found[1]["P"]
    paths = loop.simulate(boundary(P, 0.999), 4000)
    assert np.all(np.linalg.norm(paths[-1], axis=1) < 1e-3)
    # the saturated saddles (+-0.75, 0) and beyond must be outside
    for x in (np.array([0.75, 0]), np.array([-0.75, 0])):
        assert x @ P @ x > 1


def _clip(K, limit) -> Network:
    return Network([Affine(K), Elementwise("hardtanh", 1, low=-limit, high=limit)])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 100_000), log_excess=st.floats(-10, -0.5), continuous=st.booleans())
def test_unstable_loops_are_refuted_or_left_open_never_certified(seed, log_excess, continuous):
    """Loops whose linearisation has an eigenvalue of modulus 1 + 10^log_excess (real part 10^log_excess)."""
    rng = np.random.default_rng(seed)
    n, excess = int(rng.integers(1, 4)), 10.0**log_excess
    network = random_network((n, 6, 1), "tanh", seed)
    B, C = rng.standard_normal((n, 1)), np.eye(n)
    M = rng.standard_normal((n, n))
    eigenvalues = np.linalg.eigvals(M)
    M = (
        M + (excess - eigenvalues.real.max()) * np.eye(n)
        if continuous
        else M * (1 + excess) / np.abs(eigenvalues).max()
    )
    A = M - B @ network.jacobian(np.zeros(n)) @ C
    loop = at_rest(A, B, C, network, 0.0 if continuous else 0.1)
    for row, _, _ in ROWS.values():
        assert row(loop, 0.3).verdict is not Verdict.CERTIFIED
    if log_excess > -6:
        assert instability.refute(loop) is not None


def test_a_stable_loop_is_never_refuted():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        network = random_network((2, 6, 1), "tanh", seed)
        M, B = rng.standard_normal((2, 2)), rng.standard_normal((2, 1))
        M *= (1 - 10.0 ** rng.uniform(-9, -1)) / np.abs(np.linalg.eigvals(M)).max()
        A = M - B @ network.jacobian(np.zeros(2))
        assert instability.refute(at_rest(A, B, np.eye(2), network, 0.1)) is None


def test_no_refutation_at_a_kink():
    network = Network([Affine([[1.0]]), Elementwise("relu", 1), Affine([[3.0]])])
    assert instability.refute(at_rest([[0.5]], [[1.0]], [[1.0]], network, 0.1)) is None


def test_ellipsoid_volume():
    assert lyapunov.ellipsoid_volume(np.diag([0.25, 1 / 9])) == pytest.approx(np.pi * 6)
    assert lyapunov.ellipsoid_volume(np.eye(3), 4.0) == pytest.approx(4 / 3 * np.pi * 8)


@pytest.mark.filterwarnings("error")
def test_a_plant_on_the_stability_limit_is_inconclusive_not_an_error():
    """The pendulum hanging down without friction: its eigenvalues have modulus 1 up to rounding."""
    w, h = 15.0, 0.05
    for target in (3.06, 3.08, 3.1, 3.13, np.pi):
        stiffness = w * np.cos(target)
        A = [[1 + stiffness * h * h, h], [stiffness * h, 1]]
        loop = at_rest(A, [[0.0075], [0.15]], np.eye(2), linear_feedback([[0.0, 0.0]]), h)
        for row, _, seconds in ROWS.values():
            assert row(loop, seconds).verdict is Verdict.INCONCLUSIVE


def test_a_search_that_breaks_down_is_a_row_with_its_reason(monkeypatch):
    def breaks(*arguments, **keywords):
        raise SolverError("The start is not strictly feasible.")

    monkeypatch.setattr("lipctrl.theorems.rows.find_global", breaks)
    row = ROWS["Lyapunov (global)"][0](unstable_saturated_loop(), 1.0)
    assert row.verdict is Verdict.INCONCLUSIVE
    assert "not strictly feasible" in row.reason
    monkeypatch.setattr("lipctrl.theorems.conclusion.solve", breaks)
    row = ROWS["small gain (global)"][0](at_rest([[0.5]], [[1]], [[1]], linear_feedback([[0.4]]), 0.1), 1.0)
    assert "not proved stable" in row.reason
