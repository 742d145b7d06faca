"""A model of a user's own: equations that are not one function of every kind of number are refused, in words."""

from __future__ import annotations

import math
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest

from lipctrl import certify
from lipctrl.errors import PlantError
from lipctrl.intervals.dual import Dual
from lipctrl.intervals.interval import Interval
from lipctrl.networks.network import Affine, Network
from lipctrl.plants.model import Model
from lipctrl.plants.model_checks import check_model
from lipctrl.plants.models import ENVIRONMENT_IDS, model_by_id
from lipctrl.plants.models.pendulum import Pendulum

POLICY = Network([Affine([[0.0, 0.0]])])
CALLS = count()


class Own(Model):
    """A damped oscillator; `force` is what a user might write wrong."""

    name = "own"
    n_states, n_actions, n_observations, dt = 2, 1, 2, 0.1
    state_names, action_names = ("p", "v"), ("u",)
    periods = np.zeros(2)
    state_low, state_high = np.array([-3.0, -3.0]), np.array([3.0, 3.0])
    action_low, action_high = np.array([-np.inf]), np.array([np.inf])

    def __init__(self, force=lambda p: -p, **attributes):
        self.force = force
        for key, value in attributes.items():
            setattr(self, key, value)

    def step(self, x, u):
        return x[0] + 0.1 * x[1], x[1] + 0.1 * (self.force(x[0]) - x[1] + u[0])

    def observe(self, x):
        return tuple(x)


def floats_only(p):
    """Another law for simulation than for the proofs."""
    return -p if isinstance(p, float) else -0.5 * p


def not_on(kind):
    return lambda p: -0.5 * p if isinstance(p, kind) else -p


WRONG = {
    "np.sin": (Own(lambda p: -np.sin(p)), "fails on derivative numbers"),
    "math.sin": (Own(lambda p: -math.sin(p)), "plain float"),
    "branch": (Own(lambda p: -p if p > 0 else -2 * p), "branch"),
    "abs": (Own(lambda p: -abs(p) * p), "fails on derivative numbers"),
    "np.log": (Own(lambda p: -np.log(p)), "numpy.log"),
    "key": (Own(lambda p: -p * {}["stiffness"]), "KeyError"),
    "random": (Own(lambda p: -p * np.random.rand()), "two different results"),  # noqa: NPY002
    "memory": (Own(lambda p: -p * (1.0 + next(CALLS))), "two different results"),
    "floats": (Own(floats_only), "as the program recorded"),
    "arrays": (Own(not_on(np.ndarray)), "on arrays"),
    "derivatives": (Own(not_on(Dual)), "on derivative numbers"),
    "intervals": (Own(not_on(Interval)), "on intervals"),
    "short step": (Own(step=lambda x, u: (x[0],)), "give"),
    "no step": (Own(step=lambda x, u: None), "NoneType"),
    "short names": (Own(state_names=("p",)), "state_names"),
    "short box": (Own(state_low=np.zeros(1)), "state_low"),
    "scalar limits": (Own(action_low=-1.0), "action_low"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_model_is_refused(name):
    model, words = WRONG[name]
    with pytest.raises(PlantError, match=words):
        certify(POLICY, model, target=[0.0, 0.0], time_limit=1)


def test_a_missing_attribute_is_named():
    class Unfinished(Own):
        periods = property(lambda self: SimpleNamespace().periods)

    with pytest.raises(PlantError, match="no attribute periods"):
        check_model(Unfinished())


@pytest.mark.parametrize("environment_id", ENVIRONMENT_IDS)
def test_our_own_models_are_models(environment_id):
    if environment_id.startswith("Inverted"):
        pytest.importorskip("mujoco")
        pytest.importorskip("imageio")
    check_model(model_by_id(environment_id))


def test_right_models_pass():
    check_model(Own())
    check_model(Own(lambda p: -p / (1 + p)))
    check_model(Pendulum(mass=(0.9, 1.1), max_torque=(1.9, 2.0)))
