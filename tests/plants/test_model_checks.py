"""A model of a user's own: equations that are not one function of every kind of number are refused, in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest

from lipctrl import certify
from lipctrl.errors import PlantError
from lipctrl.intervals.affine import AffineForm
from lipctrl.intervals.dual import Dual
from lipctrl.intervals.functions import clip, cos, sin
from lipctrl.intervals.interval import Interval
from lipctrl.networks.network import Affine, Network
from lipctrl.plants.goal import Goal
from lipctrl.plants.model import Model
from lipctrl.plants.model_checks import angles_of, check_model
from lipctrl.plants.model_environment import ModelEnv
from lipctrl.plants.models import ENVIRONMENT_IDS, model_by_id
from lipctrl.plants.models.cartpole import CartPole
from lipctrl.plants.models.pendulum import Pendulum
from lipctrl.plants.program import record, record_model
from lipctrl.theorems.region import find_region

TURN = np.array([2 * np.pi, 0.0])
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


def moved_in_place(x, u):
    p = x[0]
    p += 0.1 * x[1]  # of arrays: that of the caller
    return p, 0.5 * x[1]


def stop(p):
    """A stop that kinds of numbers without comparison do not meet: at points inside all agree."""
    try:
        return -p * float(1.0 - 300.0 * (p > 2.97))
    except Exception:
        return -p


def caught(operation):
    """What goes another way where the operation is refused."""

    def force(p):
        try:
            return -p + 0.0 * operation(p)
        except Exception:
            return -p

    return force


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
    "limits that step ignores": (Own(action_low=np.array([-1.0])), "does not clip"),
    "upper limit ignored": (
        Own(action_high=np.array([0.5]), step=lambda x, u: (x[0], clip(u[0], -9.0, 0.6))),
        "not clip",
    ),
    "box upside down": (Own(state_low=np.array([3.0, 3.0]), state_high=np.array([-3.0, 3.0])), "low <= high"),
    "endless box": (Own(state_low=np.array([-np.inf, -3.0])), "finite"),
    "list of periods": (Own(periods=[0.0, 0.0]), "numpy array"),
    "list as goal": (Own(goal=[0.0, 0.0]), "Goal"),
    "changes its arguments": (Own(step=moved_in_place), "changes its arguments"),
    "forms": (Own(not_on(AffineForm)), "on intervals"),
    "branch, caught": (Own(stop), "branch on a state"),
    "rounded, caught": (Own(caught(round)), "branch"),
    "remainder, caught": (Own(caught(lambda p: p % 3.0)), "branch"),
    "maximum, caught": (Own(caught(lambda p: np.maximum(p, 2.97))), "numpy.maximum"),
    "root, caught": (Own(caught(lambda p: (p + 9.0) ** 0.5)), "power"),
    "limits of states, caught": (Own(caught(lambda p: clip(p, np.nan, 1.0))), "finite number"),
    "attribute, caught": (Own(caught(lambda p: p.real)), "real"),
    "another simulation": (Own(advance=lambda x, u: 2.0 * x), "its own advance"),
    "dt in words": (Own(dt="0"), "dt"),
    "angle that is seen through a gain": (
        Own(lambda p: -sin(p), periods=TURN, observe=lambda x: (2.0 * x[0], x[1])),
        "full turns",
    ),
    "angle that is seen saturated": (
        Own(lambda p: -sin(p), periods=TURN, observe=lambda x: (clip(x[0], -3.0, 3.0), x[1])),
        "full turns",
    ),
    "small states, limits ignored": (
        Own(
            action_low=np.array([-10.0]),
            state_low=np.full(2, -1e-9),
            state_high=np.full(2, 1e-9),
            step=lambda x, u: (1.3 * x[0] + 1e-11 * u[0], 0.5 * x[1]),
        ),
        "does not clip",
    ),
    "angle that is seen": (Own(lambda p: -sin(p), periods=TURN), "full turns"),
    "angle that pulls": (Own(periods=TURN, n_observations=1, observe=lambda x: (sin(x[0]),)), "full turns"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_model_is_refused(name):
    model, words = WRONG[name]
    with pytest.raises(PlantError, match=words):
        certify(POLICY, model, target=[0.0, 0.0], time_limit=1)


@pytest.mark.parametrize("by_id", [False, True])
def test_the_model_of_an_environment_is_checked(by_id):
    """It clips the action, its model's step does not: x+ = 1.2 x + u, |u| <= .1, leaves from .9 and was certified."""
    limits = {"action_low": np.array([-0.1]), "action_high": np.array([0.1])}
    model = Own(step=lambda x, u: (1.2 * x[0] + u[0], 0.5 * x[1]), goal=Goal([0.0, 0.0], 0.3), **limits)
    env = ModelEnv(model)
    if by_id:
        gymnasium.register("Unclipped-v0", lambda: ModelEnv(model))
        env = "Unclipped-v0"
    with pytest.raises(PlantError, match="does not clip"):
        certify(Network([Affine([[-0.9, 0.0]])]), env, time_limit=1)
    gymnasium.registry.pop("Unclipped-v0", None)


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


def test_angles_are_states_that_full_turns_leave_alone():
    assert angles_of(Pendulum(dt=(0.04, 0.06))).tolist() == [True, False]
    assert angles_of(Own()).tolist() == [False, False]
    turned = Own(lambda p: -sin(p), periods=TURN, n_observations=2, observe=lambda x: (cos(x[0]), x[1]))
    assert angles_of(turned).tolist() == [True, False]


def test_no_region_for_an_angle_that_is_none():
    """The goal, too, brings periods: that of an oscillator would have joined -pi to pi."""
    with pytest.raises(PlantError, match="full turns"):
        find_region(Own().with_goal(Goal([0.0, 0.0], 0.1, TURN)), POLICY, [0.0, 0.0], time_limit=1)


def test_turns_of_a_program():
    def outputs(v):
        x, y = v
        return (
            x + y,
            x - x,
            -(y - x),
            sin(x + x) * y,
            2.0 * x,
            clip(x, -1.0, 1.0),
            x * x,
            cos(clip(x, 0.0, 1.0)),
            y / 2.0,
        )

    program = record(outputs, 2)
    assert program.turns(0) == [1, 0, 1, 0, None, None, None, None, 0]
    assert program.turns(1) == [1, 0, -1, None, 0, 0, 0, 0, None]


def test_a_parameter_that_cannot_be_nominal_is_refused():
    class Mass(Own):
        parameters = ("mass",)

        def __init__(self, mass=1.0):
            self.mass = self._read("mass", mass)

        def step(self, x, u):
            return x[0] + 0.1 * x[1], x[1] - 0.1 / self.mass * x[0]

    with pytest.raises(PlantError, match="ZeroDivisionError"):
        certify(POLICY, Mass(), target=[0.0, 0.0], time_limit=1, uncertain={"mass": (-1.0, 1.0)})


def test_uncertain_parameters_change_nothing_else():
    """A subclass keeps its equations and its other settings; once it became the plain pendulum, a certificate of which
    was handed out."""

    class Rubbed(Pendulum):
        friction = 0.0

        def step(self, x, u):
            return super().step((x[0], x[1] * (1.0 - self.friction)), u)

    rubbed = Rubbed(max_torque=1.0).with_goal(Goal([1.0, 0.0], 0.2, TURN))
    rubbed.friction = 0.25
    other = rubbed.with_uncertain({"m": (0.5, 2.0), "max_torque": (1.0, 3.0)})
    assert type(other) is Rubbed and other.goal is rubbed.goal and other.friction == 0.25
    assert (other.mass, other.max_torque, other.action_high.tolist()) == (1.25, 2.0, [2.0])
    assert dict(other.uncertain) == {"mass": (0.5, 2.0), "max_torque": (1.0, 3.0)} and rubbed.uncertain == {}
    x, u = np.array([0.3, 1.0]), np.array([2.0])
    assert np.array_equal(other.at([1.0, 1.0]).advance(x, u), rubbed.advance(x, u))
    assert other.with_uncertain({"m": (0.5, 0.5)}).uncertain == {"max_torque": (1.0, 3.0)}
    with pytest.raises(PlantError, match="positive"):
        rubbed.with_uncertain({"m": (-1.0, 1.0)})


def test_a_parameter_that_is_not_read_is_refused():
    class Inertia(Own):
        parameters = ("mass",)

        def __init__(self, mass=1.0):
            self.mass = self._read("mass", mass)
            self.inverse = 1.0 / self.mass

        def step(self, x, u):
            return x[0] + 0.1 * x[1], x[1] - 0.1 * self.inverse * x[0]

    check_model(Inertia())
    with pytest.raises(PlantError, match="do not read"):
        certify(POLICY, Inertia(), target=[0.0, 0.0], time_limit=1, uncertain={"mass": (0.9, 1.1)})


class Spring(Own):
    """Stiff from a mass of 0.975 on, below it pushes away."""

    parameters = ("mass",)

    def __init__(self, mass=1.0):
        self.mass = self._read("mass", mass)

    @cached_property
    def stiffness(self):
        return 1.0 + 40.0 * (self.mass - 1.0)

    def step(self, x, u):
        return x[0] + 0.1 * x[1], x[1] + 0.1 * (-self.stiffness * x[0] - x[1]) / self.mass


def test_a_cached_property_does_not_outlive_the_parameter_it_was_computed_from():
    """Once cached for the nominal mass it was that of every mass: CERTIFIED for masses from which all diverges."""
    model, x, u = Spring(), np.array([0.1, 0.0]), np.zeros(1)
    model.advance(x, u)
    uncertain = model.with_uncertain({"mass": (0.5, 0.9)})
    assert np.array_equal(uncertain.advance(x, u), Spring(0.7).advance(x, u))
    assert np.array_equal(uncertain.at([0.9]).advance(x, u), Spring(0.9).advance(x, u))
    wide = Spring((0.97, 1.03))
    before, _ = record_model(wide)
    wide.advance(x, u)
    after, _ = record_model(wide)
    assert before == after and after((0.1, 0.0, 0.0, 0.97)) == pytest.approx(Spring(0.97).advance(x, u))
    check_model(wide)


class Late(Spring):
    """The action acts one step late."""

    last = 0.0

    def step(self, x, u):
        now, self.last = self.last, u[0]
        return x[0] + 0.1 * x[1], x[1] + 0.1 * (now - x[0] - x[1]) / self.mass


class Kept(Spring):
    """A cache of its own, for all masses."""

    def __init__(self, mass=1.0):
        super().__init__(mass)
        self.cache = {}

    def step(self, x, u):
        if "stiffness" not in self.cache:
            self.cache["stiffness"] = 1.0 + 40.0 * (self.mass - 1.0)
        return x[0] + 0.1 * x[1], x[1] + 0.1 * (-self.cache["stiffness"] * x[0] - x[1]) / self.mass


@pytest.mark.parametrize("model", [Late(), Late((0.9, 1.1)), Kept(), Kept((0.97, 1.03))])
def test_a_model_that_keeps_something_is_refused(model):
    """Each value of a parameter has a copy of the model, so that what one keeps was not missed in another."""
    with pytest.raises(PlantError, match="sets its attribute"):
        check_model(model)


class Arm(Own):
    """Weighs what it says, but turns as its nominal self."""

    parameters = ("mass",)

    def __init__(self, mass=1.0):
        self.mass = self._read("mass", mass)
        self.inertia = 0.25 * self.mass
        self.limits = (np.array([-9.0, -9.0]), np.array([9.0, 9.0]))

    def step(self, x, u):
        return x[0] + 0.1 * x[1], x[1] + 0.1 * (-self.mass * x[0] + u[0]) / self.inertia


class Railed(Arm):
    """Its rail is as long as its nominal self."""

    def __init__(self, mass=1.0):
        super().__init__(mass)
        self.limits = (self.limits[0] * self.mass, self.limits[1] * self.mass)

    def step(self, x, u):
        return x[0] + 0.1 * x[1], x[1] + 0.1 * (-self.mass * x[0] + u[0])


@pytest.mark.parametrize("kind", [Arm, Railed])
def test_what_was_computed_from_a_parameter_before_is_refused(kind):
    """Every mass from .3 to 1.7 was certified, with the inertia of 1; with its own the loop of .3 diverges."""
    check_model(kind(0.3))
    with pytest.raises(PlantError, match=r"\(mass=0.3\) is another plant"):
        certify(POLICY, kind(), target=[0.0, 0.0], time_limit=1, uncertain={"mass": (0.3, 1.7)})
    with pytest.raises(PlantError, match="another plant"):
        check_model(kind((0.3, 1.7)))


def test_models_with_settings_of_their_own_are_not_rebuilt():
    """The class alone does not say what they are."""
    arm = Arm()
    arm.inertia = 0.5
    check_model(arm.with_uncertain({"mass": (0.3, 1.7)}))


def test_a_claim_says_which_value_a_parameter_was_given():
    """With a mass of 1.2 that of "Pendulum-v1" was CERTIFIED, whose mass is 1."""
    report = certify(Network([Affine([[0.0, -20.0, -4.0]])]), Pendulum(), uncertain={"m": (1.2, 1.2)}, time_limit=0.2)
    assert "Pendulum-v1 with mass = 1.2: " in report.claim
    fixed = Pendulum(mass=(0.9, 1.1), length=(0.9, 1.1)).with_uncertain({"mass": 1.0, "g": 10.0})
    assert fixed.name == "Pendulum-v1 with mass = 1.0" and list(fixed.uncertain) == ["length"]
    assert Pendulum().with_uncertain({"m": (0.9, 1.1)}).name == "Pendulum-v1"
    with pytest.raises(PlantError, match="twice"):
        Pendulum().with_uncertain({"m": (0.9, 1.1), "mass": (0.8, 1.2)})


class Strong(Spring):
    """Its motor is half as strong again as it says."""

    action_low, action_high = np.array([-1.0]), np.array([1.0])
    most = 1.5

    def step(self, x, u):
        return x[0] + 0.1 * x[1], x[1] + 0.1 * (clip(u[0], -self.most, self.most) - x[0] - x[1]) / self.mass


def test_limits_are_those_of_the_nominal_parameters():
    """With uncertain ones it was only asked whether there are any."""
    check_model(Pendulum(max_torque=(1.5, 2.5)))
    right = Strong((0.9, 1.1))
    right.most = 1.0
    check_model(right)
    for mass in (1.0, (0.9, 1.1)):
        with pytest.raises(PlantError, match="does not clip"):
            check_model(Strong(mass))


@pytest.mark.parametrize("ends", [(1.1, 0.9), (0.9, np.inf), (np.nan, 1.1), (1.1, 1.3), (1.0, 1.0)])
def test_intervals_of_parameters_hold_their_nominal_value(ends):
    model = Spring()
    model.uncertain = {"mass": ends}
    with pytest.raises(PlantError, match="in the interval"):
        check_model(model)


def test_a_model_whose_limits_are_lists_is_refused_in_words():
    """They broke in the simulation before, without words."""
    for name in ("state_low", "state_high", "action_low", "action_high"):
        with pytest.raises(PlantError, match=f"{name} of the model own is no numpy array"):
            certify(POLICY, Own(**{name: np.ravel(getattr(Own, name)).tolist()}), target=[0.0, 0.0], time_limit=1)


def test_a_model_that_cannot_be_changed_is_refused_in_words():
    @dataclass(frozen=True)
    class Frozen(Own):
        mass: float = 1.0

        def step(self, x, u):
            return x[0] + 0.1 * x[1], x[1] + 0.1 / self.mass * (u[0] - x[0] - x[1])

    with pytest.raises(PlantError, match="another goal"):
        certify(POLICY, Frozen(), target=[0.0, 0.0], time_limit=1)

    class Fixed(Own):
        parameters = ("mass",)
        mass = property(lambda self: 1.0)

    with pytest.raises(PlantError, match="'mass' of own cannot be set"):
        Fixed().with_uncertain({"mass": (0.5, 2.0)})


@pytest.mark.parametrize("base", [Pendulum, CartPole])
def test_a_subclass_may_have_more_parameters_or_fewer(base):
    """Those of its own came to the constructor of the class above; its limits are those of what it has now."""
    limit = base.parameters[-1]

    class Rubbed(base):
        parameters = (*base.parameters, "friction")
        friction = 0.1

        def step(self, x, u):
            *before, last = super().step(x, u)
            return (*before, last - self.dt * self.friction * x[-1])

    class Few(base):
        parameters = ("gravity",)

    rubbed = Rubbed(**{limit: 1.5}).with_uncertain({"friction": (0.05, 0.15)})
    check_model(rubbed)
    assert (dict(rubbed.uncertain), rubbed.action_high) == ({"friction": (0.05, 0.15)}, [1.5])
    assert rubbed.with_uncertain({limit: (1.0, 2.0)}).action_low == [-1.5]
    assert Few(**{limit: 1.5}).with_uncertain({"gravity": (9.0, 10.0)}).action_high == [1.5]
    with pytest.raises(PlantError, match="positive"):
        rubbed.with_uncertain({limit: (-1.0, 1.0)})


def test_an_environment_with_other_parameters_says_so_in_its_name():
    """A claim about g = 9.81 was one about Pendulum-v1."""
    for keywords, name in (({}, "Pendulum-v1"), ({"g": 9.81}, "Pendulum-v1 with gravity = 9.81")):
        env = gymnasium.make("Pendulum-v1", **keywords).unwrapped
        assert Pendulum.from_environment(env).name == name
    env.m = env.max_torque = 1.5
    changed = Pendulum.from_environment(env)
    assert changed.name.endswith("mass = 1.5, max_torque = 1.5") and changed.action_high == [1.5]
    assert (changed.gravity, changed.mass, changed.length, changed.dt) == (env.g, env.m, env.l, env.dt)
    env.m = -1.0
    with pytest.raises(PlantError, match="positive"):
        Pendulum.from_environment(env)
