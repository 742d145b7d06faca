"""The cart-pole moves as Gymnasium's does, and keeps its laws in every arithmetic."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.classic_control.cartpole import CartPoleEnv

from lipctrl.errors import PlantError
from lipctrl.intervals.affine import AffineForm
from lipctrl.intervals.dual import Dual
from lipctrl.intervals.interval import Interval
from lipctrl.plants.linearize import find_linearization
from lipctrl.plants.model_environment import ModelEnv
from lipctrl.plants.models import model_of_environment
from lipctrl.plants.models.cartpole import CartPole
from lipctrl.plants.models.pendulum import Pendulum
from lipctrl.plants.program import record_model

LOW, HIGH = np.array([-3.0, -8.0, -3.2, -9.0]), np.array([3.0, 8.0, 3.2, 9.0])


@pytest.mark.parametrize("explicit", [True, False])
def test_it_moves_as_gymnasium_does(explicit):
    """Gymnasium pushes with +-force_mag; the pole's mass and length are changed too."""
    rng = np.random.default_rng(0)
    for pole_mass, half_length in ((0.1, 0.5), (0.3, 0.8)):
        env = CartPoleEnv()
        env.kinematics_integrator = "euler" if explicit else "semi-implicit euler"
        env.masspole, env.length = pole_mass, half_length
        env.total_mass, env.polemass_length = env.masspole + env.masscart, env.masspole * env.length
        model = CartPole(pole_mass=pole_mass, half_length=half_length, explicit=explicit)
        env.reset(seed=0)
        for _ in range(500):
            x, u = rng.uniform(LOW, HIGH), rng.uniform(-10, 10)
            env.state, env.force_mag, env.steps_beyond_terminated = tuple(x), abs(u), None
            env.step(int(u > 0))
            assert np.allclose(model.advance(x, np.array([u])), env.state, rtol=0, atol=1e-14)


def test_the_force_is_limited_and_the_pole_balances_unstably():
    model = CartPole()
    x = np.array([0.1, 0.2, 0.3, 0.4])
    assert np.array_equal(model.advance(x, np.array([11.0])), model.advance(x, np.array([10.0])))
    A, B, _ = model.derivatives(np.zeros(4), np.zeros(1))
    # theta'' = (g theta - u / total) / (l (4/3 - m / total)) and x'' = u / total - m l theta'' / total
    stiffness = 9.8 / (0.5 * (4 / 3 - 0.1 / 1.1))
    assert A[3, 2] == pytest.approx(0.02 * stiffness) and A[1, 2] == pytest.approx(-0.02 * 0.05 * stiffness / 1.1)
    assert B[3, 0] == pytest.approx(-0.02 / 1.1 / (0.5 * (4 / 3 - 0.1 / 1.1)))
    assert np.max(np.abs(np.linalg.eigvals(A))) > 1.05


def test_every_arithmetic_encloses_the_floats():
    model, rng = CartPole(), np.random.default_rng(1)
    center, half = rng.uniform(LOW, HIGH, (300, 4)), rng.uniform(0, 0.3, (300, 4))
    force, spread = rng.uniform(-12, 12, (300, 1)), rng.uniform(0, 2.0, (300, 1))
    *forms, u = AffineForm.cells(np.hstack([center, force]), np.hstack([half, spread]))
    ranges = [form.range() for form in model.step(forms, [u])]
    boxes = [Interval(center[:, i] - half[:, i], center[:, i] + half[:, i]) for i in range(4)]
    pushes = Interval((force - spread)[:, 0], (force + spread)[:, 0])
    wide = model.step(boxes, [pushes])
    numbers = Dual.variables([*boxes, pushes])
    slopes = [part.grad for part in model.step(numbers[:4], numbers[4:])]
    for _ in range(200):
        corner = np.clip(rng.uniform(-1.3, 1.3, (300, 5)), -1, 1)
        x, v = center + corner[:, :4] * half, force + corner[:, 4:] * spread
        after = model.advance(x, v)
        for i in range(4):
            slack = 1e-13 * (1 + np.abs(after[:, i]))
            for enclosure in (ranges[i], wide[i]):
                assert np.all((enclosure.lo - slack <= after[:, i]) & (after[:, i] <= enclosure.hi + slack))
    for k in range(20):
        A, B, _ = model.derivatives(center[k], force[k])
        for i in range(4):
            assert np.all(slopes[i].lo[:4, k] <= A[i] + 1e-12) and np.all(A[i] <= slopes[i].hi[:4, k] + 1e-12)
            assert slopes[i].lo[4, k] <= B[i, 0] + 1e-12 and B[i, 0] <= slopes[i].hi[4, k] + 1e-12


def test_the_program_computes_the_same():
    model = CartPole()
    step, _ = record_model(model)
    x, u = np.array([0.3, -1.0, 0.7, 2.0]), 4.0
    assert np.array_equal(step([*x, u]), model.advance(x, np.array([u])))


def test_bad_parameters_are_refused():
    for arguments in ({"dt": 0.0}, {"pole_mass": -1.0}, {"gravity": np.nan}, {"max_force": np.inf}):
        with pytest.raises(PlantError):
            CartPole(**arguments)


def test_the_environment_is_the_model():
    env = gymnasium.make("lipctrl/CartPole-v0", horizon=50)
    assert isinstance(model_of_environment(env.unwrapped), CartPole)
    env.reset(seed=1)
    x, model = env.unwrapped.state, env.unwrapped.model
    observation, reward, terminated, truncated, _ = env.step(np.array([3.0], dtype=np.float32))
    after = model.advance(x, np.array([3.0]))
    assert np.array_equal(observation, after.astype(np.float32)) and not (terminated or truncated)
    assert reward == pytest.approx(1.0 - x @ x - 0.001 * 9.0)
    env.reset(options={"state": [3.99, 1.9, 0.0, 0.0]})
    assert env.step(np.zeros(1, dtype=np.float32))[2]
    with pytest.raises(PlantError):
        ModelEnv(Pendulum(), initial_low=[1.0, 0.0], initial_high=[0.0, 1.0])


def test_a_linear_feedback_rests_upright_in_the_goal():
    from lipctrl.networks.network import Affine, Network

    gains = [[2.776, 5.195, 45.32, 11.30]]
    found = find_linearization("lipctrl/CartPole-v0", Network([Affine(gains)]))
    assert found.equilibrium is not None and found.equilibrium.in_goal and found.equilibrium.spectral_radius < 0.98


def test_every_parameter_may_be_uncertain():
    model = CartPole(explicit=True).with_uncertain({"masspole": (0.09, 0.11), "dt": (0.01, 0.03)})
    assert model.uncertain == {"pole_mass": (0.09, 0.11), "dt": (0.01, 0.03)} and model.explicit
    corners = {(plant.pole_mass, plant.dt) for plant in model.extremes()}
    assert {(0.09, 0.01), (0.11, 0.03)} < corners and len(corners) == 5
    with pytest.raises(PlantError, match="positive"):
        CartPole(cart_mass=(-1.0, 1.0))
