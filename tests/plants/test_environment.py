"""StateSpaceEnv against python-control's own simulation, Gymnasium's checker, and the statement of its cost."""

from __future__ import annotations

import pickle
import subprocess
import sys as system
import warnings

import control
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

from lipctrl.errors import PlantError
from lipctrl.plants.environment import StateSpaceEnv

MASS = control.ss(
    [[0, 1], [-1, -0.5]], [[0], [1]], [[1, 0], [0, 1]], 0, states=["x", "v"], inputs=["f"], outputs=["x", "v"]
)


def simulate(env: StateSpaceEnv, x0: np.ndarray, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """States before each input, observations before each input, rewards."""
    observation, _ = env.reset(options={"state": x0})
    states, observations, rewards = [], [], []
    for u in inputs:
        states.append(env.state)
        observations.append(observation)
        observation, reward, terminated, _, _ = env.step(u)
        assert not terminated
        rewards.append(reward)
    return np.array(states), np.array(observations), np.array(rewards)


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 4), m=st.integers(1, 2), p=st.integers(1, 3), continuous=st.booleans(), seed=st.integers(0, 2**32)
)
def test_every_step_equals_forced_response(n: int, m: int, p: int, continuous: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(n, n)) / np.sqrt(n)
    sys = control.ss(A, rng.normal(size=(n, m)), rng.normal(size=(p, n)), np.zeros((p, m)), 0 if continuous else 0.1)
    env = StateSpaceEnv(sys, sampling_time=0.1 if continuous else None)
    x0, inputs = rng.normal(size=n), rng.uniform(-1, 1, size=(30, m))
    states, observations, _ = simulate(env, x0, inputs)
    sampled = control.sample_system(sys, 0.1, method="zoh") if continuous else sys
    expected = control.forced_response(sampled, 0.1 * np.arange(30), inputs.T, x0, squeeze=False)
    scale = 1 + np.max(np.abs(expected.states))
    np.testing.assert_allclose(states, expected.states.T, rtol=0, atol=1e-11 * scale)
    np.testing.assert_allclose(
        observations, expected.outputs.T, rtol=2e-7, atol=2e-7 * (1 + np.max(np.abs(expected.outputs)))
    )
    assert observations.dtype == np.float32
    assert env.state.dtype == np.float64


def test_zero_order_hold_is_the_exact_solution_of_an_integrator() -> None:
    env = StateSpaceEnv(control.ss([[0, 1], [0, 0]], [[0], [1]], np.eye(2), 0), sampling_time=0.5)
    env.reset(options={"state": [1.0, 2.0]})
    env.step([0.5])
    np.testing.assert_allclose(env.state, [1 + 2 * 0.5 + 0.5 * 0.5**2 / 2, 2 + 0.25], rtol=1e-14)


def test_return_of_the_lqr_is_the_riccati_cost() -> None:
    Q, R = np.diag([1.0, 0.1]), np.array([[0.5]])
    env = StateSpaceEnv(MASS, Q, R, sampling_time=0.05, action_low=-50, action_high=50)
    K, P, _ = control.dlqr(env.plant.A, env.plant.B, Q, R)
    x0 = np.array([0.7, -0.3])
    env.reset(options={"state": x0})
    total = sum(env.step(-K @ env.state)[1] for _ in range(4000))
    assert total == pytest.approx(-x0 @ P @ x0, rel=1e-9)


def test_cost_and_rest_about_a_target() -> None:
    env = StateSpaceEnv(MASS, sampling_time=0.05, target=[0.5, 0.0])
    env.reset(options={"state": [0.5, 0.0]})
    _, reward, *_ = env.step([0.5])  # spring constant 1: the force 0.5 holds the mass at 0.5
    np.testing.assert_allclose(env.state, [0.5, 0.0], atol=1e-12)
    assert reward == pytest.approx(0, abs=1e-20)
    assert env.step([0.0])[1] < -0.1


def test_action_is_saturated_in_motion_and_cost() -> None:
    env = StateSpaceEnv(MASS, sampling_time=0.05, action_low=-0.3, action_high=0.3)
    results = []
    for action in (0.3, 7.0):
        env.reset(options={"state": [1.0, 0.0]})
        results.append((env.step(np.array([action], dtype=np.float32))[1], *env.state))
    assert results[0] == results[1]
    env.reset(options={"state": [1.0, 0.0]})
    assert env.step([0.2])[1] > results[0][0]


def test_gymnasium_and_determinism() -> None:
    env = StateSpaceEnv(MASS, sampling_time=0.05, horizon=20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # unbounded observations, no spec
        check_env(env)
    observation, _ = env.reset(seed=3)
    again, _ = pickle.loads(pickle.dumps(env)).reset(seed=3)
    np.testing.assert_array_equal(observation, again)
    truncated = [env.step([0.0])[3] for _ in range(20)]
    assert truncated == [False] * 19 + [True]


def test_state_is_settable_and_not_aliased() -> None:
    env = StateSpaceEnv(MASS, sampling_time=0.05)
    env.reset(seed=0)
    mine = np.array([0.1, 1 / 3])
    env.unwrapped.state = mine
    mine[:] = 9
    env.state[:] = 9
    np.testing.assert_array_equal(env.state, [0.1, 1 / 3])
    observation, *_ = env.step([0.0])
    np.testing.assert_array_equal(observation, (env.plant.A @ [0.1, 1 / 3]).astype(np.float32))


def test_unstable_plant_is_truncated_before_float32_overflows() -> None:
    env = StateSpaceEnv(control.ss(2.0, 1.0, 1.0, 0, 0.1), horizon=10_000)
    env.reset(seed=0)
    for step in range(10_000):  # noqa: B007
        observation, reward, terminated, truncated, _ = env.step([1.0])
        if truncated:
            break
    assert step < 40
    assert np.isfinite(observation).all()
    assert np.isfinite(reward)
    assert not terminated


def test_initial_states_fill_their_box() -> None:
    env = StateSpaceEnv(MASS, sampling_time=0.05, initial_low=[-1, 2], initial_high=[1, 3])
    env.reset(seed=0)
    starts = []
    for _ in range(500):
        env.reset()
        starts.append(env.state)
    assert np.all(np.abs(np.min(starts, axis=0) - [-1, 2]) < 0.05)
    assert np.all(np.abs(np.max(starts, axis=0) - [1, 3]) < 0.05)


DISCRETE = control.ss([[0.9]], [[1.0]], [[1.0]], [[0.0]], 0.1)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: StateSpaceEnv(control.tf([1], [1, 1])), "TransferFunction"),
        (lambda: StateSpaceEnv("plant"), "StateSpace"),
        (lambda: StateSpaceEnv(control.ss([[0.9]], [[1.0]], [[1.0]], [[0.0]], True)), "unspecified"),
        (lambda: StateSpaceEnv(control.ss([[0.9]], [[1.0]], [[1.0]], [[0.5]], 0.1)), "algebraic loop"),
        (lambda: StateSpaceEnv(MASS), "sampling_time"),
        (lambda: StateSpaceEnv(MASS, sampling_time=0), "sampling_time"),
        (lambda: StateSpaceEnv(MASS, sampling_time=float("nan")), "sampling time"),
        (lambda: StateSpaceEnv(DISCRETE, sampling_time=0.2), "sampled with dt"),
        (lambda: StateSpaceEnv(DISCRETE, Q=np.eye(2)), "Q has shape"),
        (lambda: StateSpaceEnv(DISCRETE, R=-1), "negative eigenvalue"),
        (lambda: StateSpaceEnv(DISCRETE, R=float("nan")), "finite"),
        (lambda: StateSpaceEnv(MASS, [[1, 1], [0, 1]], sampling_time=0.05), "symmetric"),
        (lambda: StateSpaceEnv(DISCRETE, action_high=np.inf), "infinite"),
        (lambda: StateSpaceEnv(DISCRETE, action_low=[-1, -1]), "action_low"),
        (lambda: StateSpaceEnv(DISCRETE, action_low=1, action_high=-1), "exceeds"),
        (lambda: StateSpaceEnv(DISCRETE, initial_low=np.nan), "NaN"),
        (lambda: StateSpaceEnv(DISCRETE, target=100.0), "outside the limits"),
        (lambda: StateSpaceEnv(MASS, sampling_time=0.05, target=[0, 1.0]), "cannot rest"),
        (lambda: StateSpaceEnv(DISCRETE, horizon=0), "horizon"),
        (lambda: StateSpaceEnv(DISCRETE, state_limit=float("nan")), "state limit"),
        (lambda: StateSpaceEnv(DISCRETE).step([0.0, 0.0]), "action has shape"),
        (lambda: StateSpaceEnv(DISCRETE).step([np.nan]), "NaN"),
        (lambda: StateSpaceEnv(DISCRETE).reset(options={"state": [1, 2]}), "state has shape"),
    ],
)
def test_bad_input_is_a_plant_error_with_advice(build: object, words: str) -> None:
    with pytest.raises(PlantError, match=words) as caught:
        build()  # type: ignore[operator]
    assert caught.value.advice


def test_needs_no_torch() -> None:
    code = (
        "import sys, lipctrl.plants.environment; sys.exit('torch' in sys.modules or 'stable_baselines3' in sys.modules)"
    )
    assert subprocess.run([system.executable, "-c", code], check=False).returncode == 0
