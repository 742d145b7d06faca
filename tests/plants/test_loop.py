"""The loop: what fits together, its Jacobian, its shift and scaling, its simulation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from lipctrl.errors import LoopError
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.plants.loop import Loop
from lipctrl.plants.plant import Plant


def random_loop(seed: int, dt: float = 0.1) -> Loop:
    rng = np.random.default_rng(seed)
    n, m, p = rng.integers(1, 4, 3)
    network = Network(
        [
            Affine(rng.normal(size=(5, p)), rng.normal(size=5)),
            Elementwise("tanh", 5),
            Affine(rng.normal(size=(m, 5)), rng.normal(size=m)),
        ]
    )
    x0, y0 = rng.normal(size=n), rng.normal(size=p)
    matrices = 0.5 * rng.normal(size=(n, n)), rng.normal(size=(n, m)), rng.normal(size=(p, n))
    return Loop(Plant(*matrices, dt=dt, x0=x0, y0=y0, u0=network(y0)), network)


seeds = st.integers(0, 10**6)


@settings(max_examples=25, deadline=None)
@given(seeds, st.sampled_from([0.0, 0.1]))
def test_the_operating_point_is_an_equilibrium_without_rounding(seed, dt):
    loop = random_loop(seed, dt)
    expected = np.zeros_like(loop.plant.x0) if dt == 0 else loop.plant.x0
    assert np.array_equal(loop.rate(loop.plant.x0), expected)
    path = loop.simulate(loop.plant.x0, 5)
    assert np.array_equal(path, np.broadcast_to(loop.plant.x0, path.shape))


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_the_closed_loop_matrix_is_the_derivative_of_one_step(seed):
    loop = random_loop(seed)
    n, h = loop.plant.n_states, 1e-6
    steps = loop.plant.x0 + h * np.vstack([np.eye(n), -np.eye(n)])
    after = loop.simulate(steps, 1)[1]
    assert np.allclose((after[:n] - after[n:]).T / (2 * h), loop.A_closed, atol=1e-7)


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_many_starts_go_the_same_way_as_one_at_a_time(seed):
    loop = random_loop(seed)
    starts = np.random.default_rng(seed).normal(size=(4, loop.plant.n_states))
    together = loop.simulate(starts, 6)
    assert together.shape == (7, *starts.shape)
    for i, start in enumerate(starts):
        e, path = start - loop.plant.x0, [start]
        for _ in range(6):
            du = loop.network(loop.plant.y0 + loop.plant.C @ e) - loop.network(loop.plant.y0)
            e = loop.plant.A @ e + loop.plant.B @ du
            path.append(loop.plant.x0 + e)
        assert np.allclose(together[:, i], path, rtol=1e-9, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_shifting_by_a_gain_and_taking_it_off_the_policy_changes_nothing(seed):
    loop = random_loop(seed)
    rng = np.random.default_rng(seed)
    K, e = rng.normal(size=loop.K.shape), rng.normal(size=loop.plant.n_states)
    shifted = loop.shift(K)
    rest = loop.network(loop.plant.y0 + loop.plant.C @ e) - loop.plant.u0 - K @ loop.plant.C @ e
    assert np.allclose(shifted.A @ e + shifted.B @ rest, loop.rate(loop.plant.x0 + e) - loop.plant.x0)


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_scaling_weighs_what_goes_in_and_what_comes_out(seed):
    loop = random_loop(seed)
    rng = np.random.default_rng(seed)
    on_u, on_y = rng.uniform(0.5, 2, loop.plant.n_inputs), rng.uniform(0.5, 2, loop.plant.n_outputs)
    scaled, z = loop.scale(on_u, on_y), 1.7
    transfer = loop.plant.C @ np.linalg.solve(z * np.eye(loop.plant.n_states) - loop.plant.A, loop.plant.B)
    weighted = scaled.C @ np.linalg.solve(z * np.eye(loop.plant.n_states) - scaled.A, scaled.B)
    assert np.allclose(weighted, np.diag(on_y) @ transfer @ np.diag(1 / on_u))


def test_a_continuous_linear_loop_follows_the_matrix_exponential():
    plant = Plant([[0, 1], [-2, -0.3]], [[0], [1]], [[1, 0]], dt=0)
    loop = Loop(plant, Network([Affine([[-3.0]])]))
    start = np.array([1.0, -1.0])
    path = loop.simulate(start, 100, step=0.01)
    assert np.allclose(path[-1], expm(loop.A_closed * 1.0) @ start, atol=1e-8)
    assert loop.spectral_radius == pytest.approx(np.exp(-0.15))


def test_a_diverging_trajectory_stays_finite():
    plant = Plant([[3.0]], [[1.0]], [[1.0]], dt=0.1)
    path = Loop(plant, Network([Affine([[0.0]])])).simulate([[1.0], [0.0]], 100)
    assert np.all(np.isfinite(path))
    assert np.max(path) > 1e11
    assert np.all(path[:, 1] == 0)


def test_sizes_must_fit():
    network = Network([Affine(np.ones((1, 3)))])
    with pytest.raises(LoopError, match="takes 3 observations, but the plant gives 1 outputs") as caught:
        Loop(Plant([[0.5]], [[1.0]], [[1.0]], dt=0.1), network)
    assert "order of the observations" in caught.value.advice
    with pytest.raises(LoopError, match="gives 1 actions, but the plant takes 2 inputs"):
        Loop(Plant([[0.5]], [[1.0, 1.0]], np.ones((3, 1)), dt=0.1), network)


def test_an_algebraic_loop_is_refused():
    plant = Plant([[0.5]], [[1.0]], [[1.0]], [[1e-300]], dt=0.1)
    with pytest.raises(LoopError, match="algebraic loop") as caught:
        Loop(plant, Network([Affine([[0.1]])]))
    assert "delay" in caught.value.advice


def test_a_point_where_the_loop_does_not_rest_is_refused():
    plant = Plant([[0.5]], [[1.0]], [[1.0]], dt=0.1)
    with pytest.raises(LoopError, match="does not rest there") as caught:
        Loop(plant, Network([Affine([[0.1]], [1e-3])]))
    assert "linearize" in caught.value.advice


def test_a_policy_that_overflows_at_the_operating_point_is_refused():
    plant = Plant([[0.5]], [[1.0]], [[1.0]], dt=0.1, y0=[1e308])
    with (
        pytest.raises(LoopError, match=r"gives .*inf"),
        np.errstate(over="ignore"),
    ):
        Loop(plant, Network([Affine([[1e308]])]))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("shift", (np.ones((2, 2)),)),
        ("scale", ([0.0], [1.0])),
        ("scale", ([1.0], [np.nan])),
        ("scale", ([1.0], [1.0, 1.0])),
    ],
)
def test_shifts_and_weights_that_make_no_sense_are_refused(name, arguments):
    loop = Loop(Plant([[0.5]], [[1.0]], [[1.0]], dt=0.1), Network([Affine([[0.1]])]))
    with pytest.raises(LoopError):
        getattr(loop, name)(*arguments)


def test_the_loop_keeps_its_own_double_of_the_input():
    network = Network([Affine([[1 / 3]])])
    plant = Plant([[0.5]], [[1.0]], [[1.0]], dt=0.1, y0=[1.0], u0=[1 / 3 + 1e-12])
    assert Loop(plant, network).plant.u0[0] == network([1.0])[0]
    with pytest.raises(LoopError):
        Loop(replace(plant, u0=[1 / 3 + 1e-6]), network)
