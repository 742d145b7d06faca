"""The policy corpus is what its cards say: files, reference actions, plants and equilibria."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.optimize import brentq

from lipctrl.networks.loading.policy import load_policy
from lipctrl.plants.models.cartpole import CartPole
from lipctrl.plants.resting import find_resting
from lipctrl.theorems.level_region import find_level_region

FOLDERS = sorted(card.parent for card in (Path(__file__).parents[1] / "policies").glob("*/card.json"))
NAMES = [folder.name for folder in FOLDERS]
POLICIES = dict(zip(NAMES, FOLDERS, strict=True))
GOAL = 0.3
each_policy = pytest.mark.parametrize("name", NAMES)


def card_of(name: str) -> dict:
    return json.loads((POLICIES[name] / "card.json").read_text())


def test_the_corpus_is_complete() -> None:
    pendulums = ["early", "hanging", "ppo", "ppo-varied", "sac", "sac-highgain"]
    assert ["cartpole-ppo", *(f"pendulum-{name}" for name in pendulums), "spring-damper-ppo"] == NAMES


@each_policy
def test_card_names_its_files_and_their_hashes(name: str) -> None:
    folder, card = POLICIES[name], card_of(name)
    named = {card["model"]} | ({card["vecnormalize"]} - {None})
    assert set(card["sha256"]) == named
    for file, digest in card["sha256"].items():
        assert hashlib.sha256((folder / file).read_bytes()).hexdigest() == digest
    known = named | {"card.json", "reference.npz", "train.py"} | ({card["plant"]} - {None})
    assert {path.name for path in folder.iterdir() if path.is_file()} == known
    assert (card["environment"] is None) != (card["plant"] is None)
    assert card["name"] == name
    assert card["command"] == f"python policies/{name}/train.py"


@each_policy
def test_reward_lies_in_its_band(name: str) -> None:
    card = card_of(name)
    low, high = card["reward_band"]
    assert low < card["mean_reward"] < high
    assert card["episodes"] == 100
    if card["expected"]["verdict"] == "certified":
        assert low > card["mean_reward_without_action"]


@each_policy
def test_network_reproduces_the_reference_actions(name: str) -> None:
    with np.load(POLICIES[name] / "reference.npz", allow_pickle=False) as reference:
        observations, actions = reference["obs"], reference["action"]
    assert observations.dtype == np.float32
    assert len(observations) == len(actions) == 64
    assert np.ptp(actions) > 1e-3
    network = load_policy(POLICIES[name]).network
    span = {"spring-damper-ppo": 2.0, "cartpole-ppo": 20.0}.get(name, 4.0)
    np.testing.assert_allclose(network(observations), actions, rtol=0, atol=1e-4 * span)


@pytest.mark.sb3
@each_policy
def test_stable_baselines3_predicts_the_reference_actions(name: str) -> None:
    sb3 = pytest.importorskip("stable_baselines3")
    import gymnasium
    from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

    import lipctrl.plants.model_environment  # noqa: F401 (registers the environments of our own)

    card, folder = card_of(name), POLICIES[name]
    agent = getattr(sb3, card["algorithm"]).load(folder / card["model"], device="cpu")
    with np.load(folder / "reference.npz", allow_pickle=False) as reference:
        observations, actions = reference["obs"], reference["action"]
    if card["vecnormalize"]:
        environment = DummyVecEnv([lambda: gymnasium.make(card["environment"])])
        statistics = VecNormalize.load(str(folder / card["vecnormalize"]), environment)
        observations = statistics.normalize_obs(observations)
    np.testing.assert_allclose(agent.predict(observations, deterministic=True)[0], actions, rtol=0, atol=1e-5)


def test_plant_of_the_spring_damper_is_the_sampled_equation_of_motion() -> None:
    plant = json.loads((POLICIES["spring-damper-ppo"] / "plant.json").read_text())
    mass, damping, stiffness = 1.0, 0.4, 4.0
    generator = np.array([[0, 1, 0], [-stiffness / mass, -damping / mass, 1 / mass], [0, 0, 0]])
    held = expm(generator * plant["dt"])
    np.testing.assert_allclose(plant["A"], held[:2, :2], rtol=1e-13)
    np.testing.assert_allclose(plant["B"], held[:2, 2:], rtol=1e-13)
    np.testing.assert_array_equal(plant["C"], np.eye(2))
    np.testing.assert_array_equal(plant["D"], np.zeros((2, 1)))


def pendulum(policy: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """One step of Pendulum-v1 in float64 under the policy."""

    def step(state: np.ndarray) -> np.ndarray:
        angle, speed = state
        torque = policy(np.array([np.cos(angle), np.sin(angle), speed]))[0]
        speed = np.clip(speed + (15 * np.sin(angle) + 3 * np.clip(torque, -2, 2)) * 0.05, -8, 8)
        return np.array([angle + 0.05 * speed, speed])

    return step


def equilibria_near_upright(step: Callable[[np.ndarray], np.ndarray]) -> Iterator[tuple[float, float]]:
    """Angle and spectral radius of each equilibrium with abs(theta) <= 0.3 (sign changes on a grid of 0.001 rad)."""

    def acceleration(angle: float) -> float:
        return step(np.array([angle, 0.0]))[1]

    grid = np.linspace(-GOAL, GOAL, 601)
    pull = [acceleration(angle) for angle in grid]
    for left, right, before, after in zip(grid, grid[1:], pull, pull[1:], strict=False):
        if before * after <= 0:
            rest = np.array([brentq(acceleration, left, right, xtol=1e-13), 0.0])
            columns = [(step(rest + 1e-6 * axis) - step(rest - 1e-6 * axis)) / 2e-6 for axis in np.eye(2)]
            yield rest[0], float(np.max(np.abs(np.linalg.eigvals(np.column_stack(columns)))))


@pytest.mark.parametrize(
    ("name", "angle", "stable"),
    [("pendulum-ppo", 0.0164, True), ("pendulum-sac", 0.0504, True), ("pendulum-early", -0.0992, False)],
)
def test_the_one_equilibrium_near_upright(name: str, angle: float, stable: bool) -> None:
    found = list(equilibria_near_upright(pendulum(load_policy(POLICIES[name]).network)))
    assert len(found) == 1
    assert found[0][0] == pytest.approx(angle, abs=1e-3)
    assert found[0][1] < 0.95 if stable else found[0][1] > 1.1


def test_the_steep_policy_is_steep() -> None:
    """Finite differences at rest: more than 50 N m per rad; a second, unstable equilibrium lies at -0.28."""
    network = load_policy(POLICIES["pendulum-sac-highgain"]).network
    found = list(equilibria_near_upright(pendulum(network)))
    assert [angle for angle, _ in found] == pytest.approx([-0.2829, 0.0548], abs=1e-3)
    assert found[0][1] > 1.1 and found[1][1] < 0.95
    angle = found[1][0] + np.array([-1e-6, 1e-6])
    before, after = network(np.stack([np.cos(angle), np.sin(angle), [0.0, 0.0]], axis=1))[:, 0]
    assert (after - before) / 2e-6 < -50


def test_the_cart_pole_agent_balances_and_has_a_proved_neighbourhood() -> None:
    network = load_policy(POLICIES["cartpole-ppo"]).network
    equilibria = [e for e in find_resting(CartPole(), network).equilibria if e.in_goal]
    assert len(equilibria) == 1 and 0.9 < equilibria[0].spectral_radius < 0.99
    assert equilibria[0].x == pytest.approx([0.229, 0, 0, 0], abs=1e-3)
    region = find_level_region(CartPole(), network, equilibria[0].x, time_limit=6.0, max_steps=0)
    assert region is not None and len(region.levels) >= 2 and region.volume > 1.0


def test_pendulum_hanging_hangs() -> None:
    step = pendulum(load_policy(POLICIES["pendulum-hanging"]).network)
    assert list(equilibria_near_upright(step)) == []
    for start in ([0.0, 0.0], [1.0, 0.5], [-2.0, 0.0]):
        state = np.array(start)
        for _ in range(600):
            state = step(state)
        assert np.cos(state[0]) < -0.95
        assert abs(state[1]) < 1e-6


PRIVATE = re.compile(rb"(?<![\w.:/-])/(?:home|root|tmp|Users|usr|opt|work|mnt)/|[A-Z]:\\\\Users|Linux-|Darwin|Windows-")


@each_policy
def test_files_name_no_machine(name: str) -> None:
    for path in POLICIES[name].iterdir():
        if path.is_file():
            for member, content in contents(path.name, path.read_bytes()):
                assert not PRIVATE.search(content), member


def contents(name: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    """What a file holds, zips unpacked and pickles in the JSON member `data` decoded."""
    if not zipfile.is_zipfile(io.BytesIO(content)):
        yield name, content
        return
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for member in archive.namelist():
            inner = archive.read(member)
            yield from contents(f"{name}/{member}", inner)
            if member == "data":
                for key, value in json.loads(inner).items():
                    if isinstance(value, dict) and ":serialized:" in value:
                        yield f"{name}/data/{key}", base64.b64decode(value[":serialized:"])
