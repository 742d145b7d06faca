"""Where loops rest, and the linear plant there."""

from __future__ import annotations

import control
import gymnasium
import numpy as np
import pytest
from gymnasium import wrappers
from gymnasium.envs.classic_control.pendulum import PendulumEnv
from hypothesis import given, settings
from hypothesis import strategies as st

from lipctrl.errors import GymnasiumError, LoopError, NetworkError, PlantError
from lipctrl.networks.loading.policy import load_policy
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.plants.environment import StateSpaceEnv
from lipctrl.plants.goal import Goal
from lipctrl.plants.linearize import find_linearization, linearize
from lipctrl.plants.loop import Loop
from lipctrl.plants.models.pendulum import Pendulum
from lipctrl.plants.plant import Plant
from lipctrl.plants.sources import dynamics_of
from tests.plants import environments

ZERO = Network([Affine([[0.0]])])
ZERO_2 = Network([Affine([[0.0, 0.0]])])


def upright(bias: float = 0.2) -> Network:
    """A saturated state feedback that holds the pendulum up, a little off."""
    return Network([Affine([[0, -8.0, -2.5]], [bias]), Elementwise("hardtanh", 1, low=-2.0, high=2.0)])


def spring_policy() -> Network:
    return Network([Affine([[-1.0, -0.4]], [0.5]), Elementwise("tanh", 1), Affine([[2.0]])])


def test_the_pendulum_rests_where_gravity_and_torque_balance():
    plant = linearize("Pendulum-v1", upright())
    assert 15 * np.sin(plant.x0[0]) + 3 * plant.u0[0] == pytest.approx(0, abs=1e-12)
    assert plant.u0 == pytest.approx(-8 * np.sin(plant.x0[0]) + 0.2, abs=1e-12)
    assert np.array_equal(plant.y0, Pendulum().outputs(plant.x0))
    kick = 0.75 * np.cos(plant.x0[0])
    assert np.allclose(plant.A, [[1 + 0.05 * kick, 0.05], [kick, 1]], atol=1e-10)
    assert plant.equilibrium.attracts
    assert plant.equilibrium.target_distance == pytest.approx(abs(plant.x0[0]))
    assert plant.equilibrium.residual < 1e-14
    assert any("speed limit" in words for words in plant.model_leaves_out)
    assert not any("limits of the action" in words for words in plant.model_leaves_out)
    assert Loop(plant, upright()).spectral_radius == pytest.approx(plant.equilibrium.spectral_radius, abs=1e-9)


@pytest.mark.parametrize(
    ("agent", "angle", "torque", "radius"),
    [
        ("ppo", -0.1441, 0.718, 0.918),
        ("a2c", 0.0168, -0.084, 0.840),
        ("sac", -0.1752, 0.872, 0.894),
        ("ars", -0.0095, 0.048, 0.801),
    ],
)
def test_the_agents_of_the_zoo_rest_where_they_were_measured_to_rest(zoo, agent, angle, torque, radius):
    policy = load_policy(zoo / agent / "Pendulum-v1")
    plant = linearize("Pendulum-v1", policy)
    assert plant.x0[0] == pytest.approx(angle, abs=6e-5)
    assert plant.u0[0] == pytest.approx(torque, abs=6e-4)
    assert Loop(plant, policy.network).spectral_radius == pytest.approx(radius, abs=6e-4)


def test_an_environment_by_its_own_steps_gives_what_the_exact_model_gives():
    class Own(PendulumEnv):
        pass

    exact, own = linearize("Pendulum-v1", upright()), linearize(Own(), upright(), target=[0, 0])
    for key, tolerance in {"A": 1e-6, "B": 1e-8, "C": 1e-5, "x0": 1e-6, "u0": 1e-6, "y0": 1e-6}.items():
        assert np.allclose(getattr(own, key), getattr(exact, key), rtol=0, atol=tolerance), key
    assert own.dt == 0.05
    changed = linearize(gymnasium.make("Pendulum-v1", g=5.0), upright())
    assert changed.A[1, 0] == pytest.approx(7.5 * 0.05 * np.cos(changed.x0[0]), abs=1e-9)


def test_double_precision_environments_are_differentiated_to_double_precision():
    plant = linearize(environments.Spring(), spring_policy(), target=[0, 0], tolerance=[1, np.inf])
    stiffness = 1 + 3 * plant.x0[0] ** 2
    speed_row = np.array([-0.1 * stiffness, 0.95])
    assert np.allclose(plant.A, [[1 + 0.1 * speed_row[0], 0.1 * speed_row[1]], speed_row], rtol=0, atol=1e-10)
    assert np.allclose(plant.B, [[0.01], [0.1]], rtol=0, atol=1e-10)
    assert np.allclose(plant.C, [[1, 0], [0, 2]], rtol=0, atol=1e-10)
    assert plant.u0[0] == pytest.approx(plant.x0[0] + plant.x0[0] ** 3, abs=1e-10)


def test_the_memory_of_mujoco_beside_its_state_is_wiped():
    like, plain = environments.LikeMujoco(), environments.Spring()
    ours, theirs = (linearize(env, spring_policy(), target=[0, 0], tolerance=[1, np.inf]) for env in (like, plain))
    for key in "ABC":
        assert np.allclose(getattr(ours, key), getattr(theirs, key), rtol=0, atol=1e-9), key
    for sizes, words in (((2, 0), "quaternions"), ((1, 1), "internal state")):
        with pytest.raises(GymnasiumError, match=words):
            linearize(environments.LikeMujoco(*sizes), spring_policy(), target=[0, 0])


def test_the_inverted_pendulum_of_mujoco_leans_to_its_true_equilibrium():
    pytest.importorskip("mujoco", reason="MuJoCo is not installed")
    feedback = Network([Affine([[0.5, 6.0, 0.7, 0.9]]), Elementwise("hardtanh", 1, low=-3.0, high=3.0)])
    plant = linearize(gymnasium.make("InvertedPendulum-v5"), feedback, target=[0, 0, 0, 0])
    assert plant.x0[1] == pytest.approx(-0.0016667, abs=1e-7)
    assert plant.dt == pytest.approx(0.04)


def test_single_precision_environments_are_differentiated_as_well_as_they_allow():
    network = Network([Affine([[-1.0, -0.4]], [0.5])])
    plant = linearize(environments.Methods(), network, target=[0, 0], tolerance=[1, np.inf])
    stiffness = 1 + 3 * plant.x0[0] ** 2
    assert np.allclose(plant.A[1], [-0.1 * stiffness, 0.95], rtol=0, atol=1e-4)
    assert np.allclose(plant.C, [[np.cos(plant.x0[0]), 0], [0, 1]], rtol=0, atol=1e-4)


def test_a_state_observed_in_float32_is_read_in_float64():
    plant = linearize(gymnasium.make("MountainCarContinuous-v0"), Network([Affine([[0.0, -1.0]])]), dt=1)
    assert np.array_equal(plant.C, np.eye(2))
    assert plant.x0[0] == pytest.approx(-np.pi / 6, abs=1e-5)
    assert plant.equilibrium.in_goal is None


def test_wrappers_that_scale_belong_to_the_plant():
    plain = linearize(environments.Spring(), ZERO_2, target=[0, 0])
    env = wrappers.TimeLimit(wrappers.RescaleAction(environments.Spring(), np.float32(-1), np.float32(1)), 100)
    scaled = linearize(env, ZERO_2, target=[0, 0])
    assert np.allclose(scaled.B, 2 * plain.B, atol=1e-6)
    env = wrappers.TransformObservation(environments.Spring(), lambda y: 3 * y, environments.Spring().observation_space)
    assert np.allclose(linearize(env, ZERO_2, target=[0, 0]).C, 3 * plain.C, atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.1]))
def test_a_linear_plant_is_centred_where_the_equations_say(seed, dt):
    rng = np.random.default_rng(seed)
    A, B, C = rng.normal(size=(3, 3)), rng.normal(size=(3, 1)), rng.normal(size=(2, 3))
    K, bias = 0.3 * rng.normal(size=(1, 2)), rng.normal(size=1)
    plant = linearize(Plant(A, B, C, dt=dt), Network([Affine(K, bias)]))
    closed = A + B @ K @ C - (0 if dt == 0 else np.eye(3))
    assert np.allclose(plant.x0, np.linalg.solve(closed, -B @ bias), rtol=1e-6, atol=1e-8)
    assert np.array_equal(plant.A, A)
    assert np.array_equal(plant.C, C)
    Loop(plant, Network([Affine(K, bias)]))


def test_the_file_of_a_plant_stands_for_the_plant(tmp_path):
    (tmp_path / "tank.json").write_text('{"A": [[0.5]], "B": [[1.0]], "C": [[1.0]], "dt": 2}')
    plant = linearize(tmp_path / "tank.json", Network([Affine([[-0.1]], [0.3])]))
    assert plant.x0 == pytest.approx([0.5])
    assert plant.name == "tank"


def test_an_environment_made_from_a_state_space_gives_its_matrices_back():
    sys = control.ss([[0.9, 0.1], [0, 0.8]], [[0], [1]], np.eye(2), 0, 0.1)
    plant = linearize(StateSpaceEnv(sys), Network([Affine([[0.0, -0.1]], [0.05])]))
    assert np.array_equal(plant.A, sys.A)
    assert np.array_equal(plant.B, sys.B)
    assert any("limits of the action" in words for words in plant.model_leaves_out)
    env, dynamics = StateSpaceEnv(sys), dynamics_of(StateSpaceEnv(sys), ZERO_2)
    for action in (-3.0, 0.4, 3.0):
        env.state = [1.0, -2.0]
        env.step(np.array([action]))
        assert np.array_equal(dynamics.advance(np.array([1.0, -2.0]), np.array([action])), env.state)
    within = Network([Affine([[0.0, -0.1]], [0.05]), Elementwise("hardtanh", 1, low=-1.0, high=1.0)])
    assert linearize(StateSpaceEnv(sys), within).model_leaves_out == ()


class Monitor(gymnasium.Wrapper):
    """Has the name of a wrapper that changes nothing, and turns the action round."""

    def step(self, action):
        return self.env.step(-action)


class Rewarded(gymnasium.RewardWrapper):
    def reward(self, reward):
        return reward

    def step(self, action):
        return self.env.step(-action)


class Loose(gymnasium.ActionWrapper):
    """Draws its gain at reset."""

    gain = 1.0

    def reset(self, **keywords):
        observation, info = super().reset(**keywords)
        self.gain = self.unwrapped.np_random.uniform(-2.0, 2.0)
        return observation, info

    def action(self, action):
        return self.gain * action


class Both(gymnasium.ObservationWrapper, gymnasium.ActionWrapper):
    """Of the two, the first alone steps: the action is never turned round."""

    def observation(self, observation):
        return 3.0 * observation

    def action(self, action):
        return -action


class Stronger(StateSpaceEnv):
    """Twice the input that its plant says."""

    def step(self, action):
        return super().step(np.clip(2.0 * np.asarray(action), -1.0, 1.0))


class Nominal(environments.Spring):
    """A nonlinear environment that keeps a linear plant for its own use."""

    plant = Plant([[0.5, 0.0], [0.0, 0.5]], [[0.0], [0.1]], np.eye(2), dt=0.1)


def test_a_wrapper_of_two_kinds_does_what_its_step_does():
    env, zero = Both(environments.Spring()), np.zeros((1, 2))
    plant = linearize(env, Network([Affine(zero)]), target=[0, 0])
    assert np.allclose(plant.B, linearize(environments.Spring(), ZERO_2, target=[0, 0]).B, atol=1e-9)
    assert np.allclose(plant.C, [[3.0, 0.0], [0.0, 6.0]], atol=1e-9)


def test_an_environment_is_what_it_does_and_not_the_plant_it_carries():
    env = Stronger(control.ss(0.9, 0.1, 1.0, 0, 0.1))
    np.testing.assert_allclose(linearize(env, Network([Affine([[-1.0]])]), target=[0.0]).B, [[0.2]], rtol=1e-6)
    plant = linearize(Nominal(), ZERO_2, target=[0.0, 0.0])
    np.testing.assert_allclose(plant.A, [[0.99, 0.095], [-0.1, 0.95]], rtol=1e-6)


def test_a_function_is_a_plant_too():
    network = Network([Affine([[-0.9]]), Elementwise("hardtanh", 1, low=-2.0, high=2.0)])
    plant = linearize(lambda x, u: 1.1 * x + u + x**3, network, target=[0.0], dt=1)
    assert np.allclose(plant.A, [[1.1]])
    assert np.allclose(plant.B, [[1.0]])
    assert plant.x0 == pytest.approx([0.0], abs=1e-12)
    seen = linearize(lambda x, u: 0.5 * x + u, network, target=[0.0], observe=lambda x: np.sin(2 * x), dt=1)
    assert np.allclose(seen.C, [[2.0]])


def test_of_several_equilibria_in_the_goal_one_that_attracts_is_taken():
    found = find_linearization(lambda x, u: x + 0.5 * (x - x**3), ZERO, target=[0.0], tolerance=2.0, dt=1)
    assert abs(found.plant.x0[0]) == pytest.approx(1.0)
    assert sorted(round(float(e.x[0]), 6) for e in found.elsewhere) == sorted(
        {-1.0, 0.0, 1.0} - {round(found.plant.x0[0])}
    )


def test_an_unstable_equilibrium_in_the_goal_is_kept_and_named():
    found = find_linearization("Pendulum-v1", Network([Affine([[0.0, 0.0, 0.0]])]))
    assert found.plant.x0 == pytest.approx([0, 0], abs=1e-9)
    assert "does not seem to attract" in found.reason
    assert np.cos(found.witness[-1, 0]) == pytest.approx(-1, abs=1e-6)


def test_a_loop_that_rests_outside_the_goal_has_no_plant_but_a_reason_and_a_witness():
    constant = Network([Affine([[0.0, 0.0, -1.0]], [1.8]), Elementwise("hardtanh", 1, low=-2.0, high=2.0)])
    found = find_linearization("Pendulum-v1", constant)
    assert found.plant is None
    assert found.in_goal is False
    assert abs(np.sin(found.equilibrium.x[0])) == pytest.approx(0.36)
    assert found.target_distance == pytest.approx(np.pi - np.arcsin(0.36))
    assert "No equilibrium of the closed loop was found in the goal set" in found.reason
    assert not Pendulum().goal.contains(found.witness[-1])
    with pytest.raises(LoopError, match="rests at theta") as caught:
        linearize("Pendulum-v1", constant)
    assert "target" in caught.value.advice
    plant = linearize("Pendulum-v1", constant, target=[np.pi, 0.0], tolerance=[0.5, np.inf])
    assert np.cos(plant.x0[0]) < 0


def test_a_loop_that_never_rests_has_no_plant():
    found = find_linearization(lambda x, u: x + 1.0, ZERO, target=[0.0], dt=1)
    assert (found.plant, found.equilibrium) == (None, None)
    assert "No equilibrium" in found.reason


def test_an_equilibrium_on_a_kink_of_the_plant_has_no_plant():
    found = find_linearization(lambda x, u: 0.5 * x + 0.3 * np.abs(x) + u, ZERO, target=[0.0], dt=1)
    assert found.plant is None
    assert "kink" in found.reason
    near = find_linearization(lambda x, u: 0.5 * x + 0.3 * np.abs(x + 1e-4) - 3e-5 + u, ZERO, target=[0.0], dt=1)
    assert np.allclose(near.plant.A, [[0.8]])


def test_a_resting_point_on_the_speed_limit_is_named():
    found = find_linearization(lambda x, u: np.clip(2 * x + 0.5, -1, 1), ZERO, target=[1.0], dt=1)
    assert found.plant is None or found.plant.x0[0] != 1.0 or found.plant.A[0, 0] == 0
    found = find_linearization(lambda x, u: np.minimum(0.5 * x + 0.5, 1.0), ZERO, target=[1.0], dt=1)
    assert "kink" in found.reason


def test_saturation_and_kinks_of_the_policy_are_named():
    saturated = Network([Affine([[-10.0]], [30.0]), Elementwise("hardtanh", 1, low=-1.0, high=1.0)])
    plant = linearize(lambda x, u: 0.5 * x + u, saturated, target=[2.0], dt=1)
    assert plant.x0 == pytest.approx([2.0])
    assert "saturated" in " ".join(plant.equilibrium.notes)
    relu = Network([Affine([[1.0], [-1.0]]), Elementwise("relu", 2), Affine([[-0.2, 0.1]])])
    plant = linearize(lambda x, u: 0.5 * x + u, relu, target=[0.0], dt=1)
    assert "2 neurons of the policy lie on a kink" in " ".join(plant.equilibrium.notes)
    beyond = Network([Affine([[0.0, 0.0]], [3.0])])
    plant = linearize(environments.Spring(), beyond, target=[1.0, 0.0])
    assert plant.x0[0] == pytest.approx(1.0, abs=1e-9)
    assert "beyond the plant's limit" in " ".join(plant.equilibrium.notes)
    assert np.all(plant.B == 0)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (environments.Counting, "hidden state"),
        (environments.Windy, "random or has hidden state"),
        (environments.Lucky, "random or has hidden state"),
        (environments.Foggy, "two ways|random"),
        (environments.Stale, "two ways"),
        (environments.Mirror, "two ways|hidden state"),
        (environments.Sealed, "cannot be set"),
        (environments.Timeless, "how long a step is"),
        (environments.Blind, "no method that observes"),
        (lambda: wrappers.NormalizeObservation(environments.Spring()), "running statistics"),
        (
            lambda: wrappers.FrameStackObservation(environments.Spring(), 2),
            "expected a Box with one axis|cannot be undone",
        ),
        (lambda: wrappers.TimeAwareObservation(wrappers.TimeLimit(environments.Spring(), 9)), "cannot be undone"),
        (lambda: wrappers.StickyAction(environments.Spring(), 0.5), "cannot be undone"),
        (lambda: wrappers.DelayObservation(environments.Spring(), 1), "cannot be undone"),
        (lambda: Loose(environments.Spring()), "wrapper Loose may change"),
        (lambda: Monitor(environments.Spring()), "wrapper Monitor may change"),
        (lambda: Rewarded(environments.Spring()), "wrapper Rewarded may change"),
        (lambda: gymnasium.make_vec("Pendulum-v1", 2), "expected one"),
        (lambda: "CartPole-v1", "discrete actions"),
        (lambda: "Pendulum-v99", "cannot make"),
        (lambda: "NoSuchThing-v0", "cannot make"),
    ],
)
def test_environments_that_are_no_plant_are_refused_with_advice(make, words):
    with pytest.raises(GymnasiumError, match=words) as caught:
        linearize(make(), ZERO_2, target=[0, 0])
    assert caught.value.advice


def with_spaces(action=None, observation=None):
    env = environments.Spring()
    env.action_space = action or env.action_space
    env.observation_space = observation or env.observation_space
    return env


@pytest.mark.parametrize(
    ("env", "words"),
    [
        (with_spaces(action=gymnasium.spaces.Box(-np.inf, np.inf, (1,))), "infinite action bounds"),
        (with_spaces(action=gymnasium.spaces.MultiDiscrete([2])), "discrete actions"),
        (with_spaces(observation=gymnasium.spaces.Dict({"y": gymnasium.spaces.Box(-1, 1, (2,))})), "Dict"),
        (with_spaces(observation=gymnasium.spaces.Box(0, 255, (8, 8, 3))), "Box with one axis"),
        (with_spaces(observation=gymnasium.spaces.Box(-1, 1, (3,))), "gives 2 observations, but its space has 3"),
    ],
)
def test_spaces_that_do_not_fit_are_refused_with_advice(env, words):
    with pytest.raises(GymnasiumError, match=words) as caught:
        linearize(env, ZERO_2, target=[0, 0])
    assert caught.value.advice


class Trained:
    """A policy that knows more than its network."""

    def __init__(self, network, **knowledge):
        self.network = network
        self.__dict__.update(knowledge)


def test_a_policy_trained_on_another_order_of_observations_is_refused():
    space = gymnasium.spaces.Box(-10.0, np.array([20.0, 10.0]), dtype=np.float64)
    with pytest.raises(LoopError, match="another order"):
        linearize(environments.Spring(), Trained(ZERO_2, observation_space=space), target=[0, 0])
    with pytest.raises(LoopError, match="other observations"):
        linearize(environments.Spring(), Trained(ZERO_2, observation_space=gymnasium.spaces.Box(-1, 1, (2,))))
    high = np.array([8, 1, 1], np.float32)
    with pytest.raises(LoopError, match="another order"):
        linearize("Pendulum-v1", Trained(upright(), observation_space=gymnasium.spaces.Box(-high, high)))
    high = np.array([1, 1, 8], np.float32)
    linearize("Pendulum-v1", Trained(upright(), observation_space=gymnasium.spaces.Box(-high, high)))


def test_a_policy_trained_to_act_within_other_limits_is_refused():
    """So does Stable-Baselines3: a policy trained under RescaleAction is meant for the environment in its wrapper."""
    rescaled = wrappers.RescaleAction(environments.Spring(), np.float32(-1), np.float32(1))
    trained = Trained(ZERO_2, action_space=rescaled.action_space)
    with pytest.raises(
        LoopError, match=r"within \[-1\.0\] to \[1\.0\], but Spring takes \[-2\.0\] to \[2\.0\]"
    ) as caught:
        linearize(environments.Spring(), trained, target=[0, 0])
    assert "RescaleAction" in caught.value.advice
    linearize(rescaled, trained, target=[0, 0])
    linearize(environments.Spring(), trained.network, target=[0, 0])
    linearize(Plant(0.5 * np.eye(2), [[0.0], [0.1]], np.eye(2), dt=0.1), trained)


def test_limits_that_depend_on_an_uncertain_parameter_are_not_compared():
    space = gymnasium.spaces.Box(-2, 2, (1,))
    linearize(Pendulum().with_uncertain({"max_torque": (1.5, 2.0)}), Trained(upright(), action_space=space))
    with pytest.raises(LoopError, match="act within"):
        linearize(Pendulum(max_torque=1.5), Trained(upright(), action_space=space))


@pytest.mark.parametrize("knowledge", [{"output": "logits"}, {"time_input": True}, {"history_input": True}])
def test_a_policy_that_is_no_feedback_law_is_refused(knowledge):
    with pytest.raises(LoopError) as caught:
        linearize("Pendulum-v1", Trained(upright(), **knowledge))
    assert "`bound`" in caught.value.advice


def test_wrong_sizes_wrong_times_and_wrong_types_are_refused():
    with pytest.raises(LoopError, match="takes 2 observations and gives 1 actions, but Pendulum-v1 gives 3"):
        linearize("Pendulum-v1", ZERO_2)
    with pytest.raises(PlantError, match=r"dt = 0\.1 was given, but Pendulum-v1 has dt = 0\.05"):
        linearize("Pendulum-v1", upright(), dt=0.1)
    with pytest.raises(PlantError, match=r"dt = 0\.2 was given, but Spring has dt = 0\.1"):
        linearize(environments.Spring(), ZERO_2, dt=0.2)
    with pytest.raises(PlantError, match="dt"):
        linearize(lambda x, u: 0.5 * x, ZERO, target=[0.0])
    with pytest.raises(PlantError, match="without the state"):
        linearize(lambda x, u: 0.5 * x, ZERO, dt=1)
    with pytest.raises(PlantError, match="target has 3 entries"):
        linearize("Pendulum-v1", upright(), target=[0, 0, 0])
    with pytest.raises(PlantError, match="Both a goal and a target"):
        linearize("Pendulum-v1", upright(), target=[0, 0], goal=Goal([0, 0], 1))
    with pytest.raises(PlantError, match="tolerance was given without"):
        linearize(Plant([[0.5]], [[1.0]], [[1.0]], dt=1), ZERO, tolerance=1.0)
    with pytest.raises(NetworkError, match="load_policy"):
        linearize("Pendulum-v1", np.eye(3))
    with pytest.raises(PlantError, match="A float was given as the plant"):
        linearize(1.0, ZERO)
    with pytest.raises(PlantError, match="algebraic loop"):
        linearize(Plant([[0.5]], [[1.0]], [[1.0]], [[1.0]], dt=1), ZERO)
    with pytest.raises(PlantError, match="observation function"):
        linearize("Pendulum-v1", upright(), observe=np.sin)
    with pytest.raises(LoopError, match="observe="):
        linearize(lambda x, u: 0.5 * x, ZERO, target=[0, 0], dt=1)


def test_functions_that_are_no_plant_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(PlantError, match="two different results"):
        linearize(lambda x, u: 0.5 * x + rng.normal(), ZERO, target=[0.0], dt=1)
    with pytest.raises(PlantError, match="expected 1 numbers"):
        linearize(lambda x, u: [0.0, 1.0], ZERO, target=[0.0], dt=1)
    with pytest.raises(PlantError, match="expected 1 numbers"):
        linearize(lambda x, u: x * np.nan, ZERO, target=[0.0], dt=1)
    with pytest.raises(PlantError, match="raised ZeroDivisionError"):
        linearize(lambda x, u: 1 // 0, ZERO, target=[0.0], dt=1)


FORCED = Network([Affine([[0.0]], [2 * np.pi])])


def test_a_linear_plant_that_moves_by_full_turns_does_not_rest():
    """x+ = .6 x + 2 pi rests at 5 pi, half a turn from the target; at 0, which goes to 2 pi, it was certified."""
    plant = Plant([[0.6]], [[1.0]], [[1.0]], dt=0.1, goal=Goal([0.0], 0.3, [2 * np.pi]))
    found = find_linearization(plant, FORCED)
    assert found.equilibrium.x == pytest.approx([5 * np.pi]) and found.in_goal is False and found.plant is None
    above = find_linearization(plant, Network([Affine([[0.0]], [0.8 * np.pi])]))  # rests at 2 pi, which is the target
    assert above.equilibrium.x == pytest.approx([2 * np.pi]) and above.in_goal
    assert find_linearization(plant, FORCED, target=[np.pi]).in_goal


def test_an_angle_of_the_goal_is_an_angle_of_the_plant():
    goal = Goal([0.0], 0.3, [2 * np.pi])
    with pytest.raises(PlantError, match="full turn"):
        linearize(lambda x, u: 0.6 * x + u, FORCED, goal=goal, dt=0.1)
    turning = lambda x, u: x + 0.1 * np.sin(x) + u  # noqa: E731
    with pytest.raises(PlantError, match="full turn"):  # the policy sees the turns
        linearize(turning, Network([Affine([[-0.5]])]), goal=goal, dt=0.1)
    policy = Network([Affine([[0.0, -0.5]])])
    plant = linearize(turning, policy, goal=goal, dt=0.1, observe=lambda x: np.array([np.cos(x[0]), np.sin(x[0])]))
    assert plant.A.item() == pytest.approx(1.1)


def test_an_id_that_was_registered_anew_is_what_it_is_now(monkeypatch):
    def registered(entry=PendulumEnv, **more):
        monkeypatch.setitem(
            gymnasium.registry, "Pendulum-v1", gymnasium.envs.registration.EnvSpec("Pendulum-v1", entry, **more)
        )
        return dynamics_of("Pendulum-v1", Network([Affine(np.zeros((1, 3)))]))

    assert dynamics_of("Pendulum-v1", Network([Affine(np.zeros((1, 3)))])).gravity == 10.0
    assert registered().gravity == 10.0
    assert registered(kwargs={"g": 40.0}).gravity == 40.0
    assert not isinstance(registered(type("Odd", (PendulumEnv,), {})), Pendulum)
