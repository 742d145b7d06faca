"""Models with exact equations equal the environments whose name they carry."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.classic_control.pendulum import PendulumEnv
from hypothesis import given, settings
from hypothesis import strategies as st

from lipctrl.errors import PlantError
from lipctrl.intervals.dual import Dual, jacobian
from lipctrl.intervals.interval import Interval
from lipctrl.networks.network import Affine, Network
from lipctrl.plants import model_environment  # noqa: F401 (registers the environments of our own)
from lipctrl.plants.models import ENVIRONMENT_IDS, model_by_id, model_of_environment
from lipctrl.plants.models.pendulum import Pendulum
from lipctrl.plants.resting import simulate


@pytest.mark.parametrize("parameters", [{}, {"g": 9.81}])
def test_the_pendulum_moves_as_the_environment_does(parameters):
    env = gymnasium.make("Pendulum-v1", **parameters).unwrapped
    env.reset(seed=0)
    model = model_of_environment(env)
    rng = np.random.default_rng(3)
    count = 10_000 if not parameters else 1000
    x, u = rng.uniform([-20, -8], [20, 8], (count, 2)), rng.uniform(-3, 3, (count, 1))
    after, seen = np.empty_like(x), np.empty((count, 3))
    for i in range(count):
        env.state = x[i]
        seen[i] = env.step(u[i])[0]
        after[i] = env.state
    assert np.all(np.abs(model.advance(x, u) - after) <= 4e-15)
    assert np.all(np.abs(model.outputs(after) - seen) <= 2.0**-24 * np.maximum(1, np.abs(seen)))
    assert np.count_nonzero(np.abs(after[:, 1]) == 8) > 10
    assert model.dt == env.dt


def test_every_registered_model_has_the_sizes_and_limits_of_its_environment():
    for environment_id in ENVIRONMENT_IDS:
        if environment_id.startswith("Inverted"):
            pytest.importorskip("mujoco")
            pytest.importorskip("imageio")
        model, env = model_by_id(environment_id), gymnasium.make(environment_id)
        assert model.name == environment_id
        assert env.observation_space.shape == (model.n_observations,)
        assert np.array_equal(env.action_space.low, model.action_low)
        assert np.array_equal(env.action_space.high, model.action_high)


def test_unknown_environments_and_changed_classes_have_no_model():
    class Changed(PendulumEnv):
        pass

    assert model_by_id("CartPole-v1") is None
    assert model_of_environment(Changed()) is None


def test_the_upright_linearisation_is_the_one_of_the_literature():
    A, B, C = Pendulum().derivatives(np.zeros(2), np.zeros(1))
    assert np.allclose(A, [[1.0375, 0.05], [0.75, 1.0]], rtol=0, atol=1e-15)
    assert np.allclose(B, [[0.0075], [0.15]], rtol=0, atol=1e-15)
    assert np.allclose(C, [[0, 0], [1, 0], [0, 1]], rtol=0, atol=1e-15)


@settings(max_examples=50, deadline=None)
@given(st.floats(-10, 10), st.floats(-6.5, 6.5), st.floats(-1.99, 1.99))
def test_the_derivatives_are_those_of_the_formula(theta, speed, torque):
    A, B, C = Pendulum().derivatives(np.array([theta, speed]), np.array([torque]))
    kick = 15 * np.cos(theta) * 0.05
    assert np.allclose(A, [[1 + 0.05 * kick, 0.05], [kick, 1]], rtol=0, atol=1e-14)
    assert np.allclose(B, [[0.0075], [0.15]], rtol=0, atol=1e-14)
    assert np.allclose(C, [[-np.sin(theta), 0], [np.cos(theta), 0], [0, 1]], rtol=0, atol=1e-14)


@settings(max_examples=50, deadline=None)
@given(st.floats(-10, 10), st.floats(-10, 10), st.floats(-3, 3), st.floats(0, 0.5), st.integers(0, 10**6))
def test_the_same_lines_on_intervals_contain_every_point_and_slope(theta, speed, torque, width, seed):
    model, rng = Pendulum(), np.random.default_rng(seed)
    centre = np.array([theta, speed, torque])
    box = [Interval(c - width, c + width) for c in centre]
    after, seen = model.step(box[:2], box[2:]), model.observe(box[:2])
    numbers = Dual.variables(box)
    slopes = jacobian(model.step(numbers[:2], numbers[2:]))
    for point in centre + width * rng.uniform(-1, 1, (20, 3)):
        values = [*model.advance(point[:2], point[2:]), *model.outputs(point[:2])]
        assert all(part.lo <= value <= part.hi for part, value in zip((*after, *seen), values, strict=True))
        A, B, _ = model.derivatives(point[:2], point[2:])
        assert np.all((slopes.lo <= np.hstack([A, B])) & (np.hstack([A, B]) <= slopes.hi))


def test_at_the_limit_of_the_torque_the_inner_side_counts():
    model = Pendulum()
    for limit in (-2.0, 2.0):
        assert np.allclose(model.derivatives(np.zeros(2), np.array([limit]))[1], [[0.0075], [0.15]], atol=1e-15)
    assert np.all(model.derivatives(np.zeros(2), np.array([2.5]))[1] == 0)


def test_the_goal_is_upright_and_not_hanging():
    model = Pendulum()
    assert model.goal.contains([2 * np.pi + 0.29, 1.0])
    assert not model.goal.contains([0.31, 0.0])
    assert not model.goal.contains([np.pi, 0.0])
    assert model.goal.distance([-2 * np.pi - 0.1, 0.0]) == pytest.approx(0.1)


def test_many_trajectories_at_once_equal_one_at_a_time():
    model, network = Pendulum(), Network([Affine([[0.0, -6.0, -1.0]])])
    starts = np.random.default_rng(0).uniform(-1, 1, (5, 2))
    together = simulate(model, network, starts, 30)
    assert together.shape == (31, 5, 2)
    for i, start in enumerate(starts):
        assert np.allclose(simulate(model, network, start, 30), together[:, i], atol=1e-12)


def test_without_torque_the_energy_of_the_symplectic_step_does_not_drift():
    model, idle = Pendulum(max_speed=100.0), Network([Affine([[0.0, 0.0, 0.0]])])
    path = simulate(model, idle, np.array([2.5, 0.0]), 4000)
    energy = path[:, 1] ** 2 / 2 + 15 * np.cos(path[:, 0])
    assert np.max(np.abs(energy[2000:] - energy[0])) < 1.0


@pytest.mark.parametrize(
    "parameters", [{"mass": 0}, {"dt": -0.05}, {"length": np.nan}, {"max_torque": np.inf}, {"gravity": np.inf}]
)
def test_impossible_parameters_are_refused(parameters):
    with pytest.raises(PlantError, match=next(iter(parameters))):
        Pendulum(**parameters)
