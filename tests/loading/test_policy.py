"""Policies from zips and folders: side files, cards, RL Zoo runs, and what is missing."""

from __future__ import annotations

import hashlib
import json
import pickle
import zipfile

import numpy as np
import pytest

from lipctrl.errors import LoadError, MissingNormalizerError, UnsupportedPolicyError
from lipctrl.networks.loading.policy import load_policy
from lipctrl.networks.loading.zoo_run import parse_yaml, read_zoo_run
from tests.loading.loading_files import PPO, SAC, box, random_state, sb3_zip, serialized, vecnormalize

OBSERVATION = box([-1, -1, -8], [1, 1, 8])
ACTION = box([-2], [2])
ARGUMENTS = "!!python/object/apply:collections.OrderedDict\n- - - algo\n    - ppo\n  - - env\n    - Pendulum-v1\n"


def config(**entries):
    pairs = [f"- - {key}\n    - {value}" for key, value in entries.items()]
    return "!!python/object/apply:collections.OrderedDict\n- " + "\n  ".join(pairs) + "\n"


@pytest.fixture
def content():
    return sb3_zip(PPO, random_state(PPO, [3, 4, 1], np.random.default_rng(1)), OBSERVATION, ACTION, clip_range=0.2)


@pytest.fixture
def statistics():
    return vecnormalize([0.5, 0, 0], [1, 2, 3], OBSERVATION)


def test_a_zip(tmp_path, content):
    (tmp_path / "agent.zip").write_bytes(content)
    for path in (tmp_path / "agent.zip", str(tmp_path / "agent"), tmp_path):
        policy = load_policy(path)
        assert (policy.algorithm, policy.version, policy.path.name) == ("PPO", "2.9.2", "agent.zip")
        assert policy.sha256 == hashlib.sha256(content).hexdigest()
        assert policy.normalization == "unknown"
        assert "VecNormalize" in policy.notes[0]
        assert policy([0, 0, 0]).shape == (1,)


def test_statistics_beside_the_zip_are_applied(tmp_path, content, statistics):
    (tmp_path / "agent.zip").write_bytes(content)
    bare = load_policy(tmp_path)
    (tmp_path / "vecnormalize.pkl").write_bytes(statistics)
    policy = load_policy(tmp_path)
    y = np.array([0.2, -0.1, 1.0])
    assert policy.normalization == "applied"
    np.testing.assert_allclose(policy(y), bare((y - [0.5, 0, 0]) / np.sqrt(np.array([1, 2, 3]) + 1e-8)))
    assert "vecnormalize.pkl" in policy.notes[0]
    left_out = load_policy(tmp_path, normalize=False)
    np.testing.assert_array_equal(left_out(y), bare(y))
    assert left_out.normalization == "left out on request"
    assert "no claim" in left_out.notes[0]


def test_statistics_given_by_name(tmp_path, content, statistics):
    (tmp_path / "agent.zip").write_bytes(content)
    (tmp_path / "other.pkl").write_bytes(statistics)
    assert load_policy(tmp_path / "agent.zip", vecnormalize=tmp_path / "other.pkl").normalization == "applied"
    with pytest.raises(LoadError, match="no file"):
        load_policy(tmp_path, vecnormalize=tmp_path / "none.pkl")
    with pytest.raises(LoadError, match="normalize=False"):
        load_policy(tmp_path, vecnormalize=tmp_path / "other.pkl", normalize=False)
    (tmp_path / "rewards.pkl").write_bytes(vecnormalize([0], [1], norm_obs=False))
    policy = load_policy(tmp_path, vecnormalize=tmp_path / "rewards.pkl")
    assert (policy.normalization, policy.normalizer) == ("not needed", None)


def test_missing_statistics(tmp_path, content):
    (tmp_path / "agent.zip").write_bytes(content)
    with pytest.raises(MissingNormalizerError) as caught:
        load_policy(tmp_path, normalize=True)
    assert "normalize=False" in caught.value.advice
    (tmp_path / "config.yml").write_text(config(normalize="true"))
    with pytest.raises(MissingNormalizerError, match=r"config\.yml"):
        load_policy(tmp_path)
    assert load_policy(tmp_path, normalize=False).normalizer is None
    for value in ("false", '"{norm_obs: False, norm_reward: True}"', "dict(norm_obs=False)"):
        (tmp_path / "config.yml").write_text(config(normalize=value))
        assert load_policy(tmp_path).normalization == "not needed"


def test_an_observation_outside_its_space_betrays_the_normaliser(tmp_path):

    last = serialized(pickle.dumps(np.array([[1.8, 0, 0]], np.float32)))
    state = random_state(PPO, [3, 4, 1], np.random.default_rng(1))
    (tmp_path / "agent.zip").write_bytes(sb3_zip(PPO, state, OBSERVATION, ACTION, _last_obs=last))
    with pytest.raises(MissingNormalizerError, match="outside its observation space"):
        load_policy(tmp_path)
    assert load_policy(tmp_path, normalize=False).normalization == "left out on request"


def test_an_on_policy_agent_that_kept_an_original_observation_was_normalised(tmp_path, statistics):
    """Only behind VecNormalize do these algorithms keep one; SAC keeps one always."""
    original = serialized(pickle.dumps(np.array([[0.8, 0, 0]], np.float32)))
    state = random_state(PPO, [3, 4, 1], np.random.default_rng(1))
    (tmp_path / "agent.zip").write_bytes(sb3_zip(PPO, state, OBSERVATION, ACTION, _last_original_obs=original))
    with pytest.raises(MissingNormalizerError, match="from before VecNormalize"):
        load_policy(tmp_path)
    assert load_policy(tmp_path, normalize=False).normalization == "left out on request"
    (tmp_path / "config.yml").write_text(config(normalize="false"))
    assert load_policy(tmp_path).normalization == "not needed"
    (tmp_path / "vecnormalize.pkl").write_bytes(statistics)
    assert load_policy(tmp_path).normalization == "applied"
    state = random_state(SAC, [3, 4, 1], np.random.default_rng(1))
    (tmp_path / "sac.zip").write_bytes(sb3_zip(SAC, state, OBSERVATION, ACTION, _last_original_obs=original))
    assert load_policy(tmp_path / "sac.zip", normalize=None).normalization == "applied"
    (tmp_path / "vecnormalize.pkl").unlink()
    (tmp_path / "config.yml").unlink()
    assert load_policy(tmp_path / "sac.zip").normalization == "unknown"


def test_arrays_beside_a_zip_are_no_second_model(tmp_path, content):
    (tmp_path / "ppo.zip").write_bytes(content)
    np.savez(tmp_path / "evaluations.npz", timesteps=np.arange(3))
    assert load_policy(tmp_path).path.name == "ppo.zip"
    (tmp_path / "sac.zip").write_bytes(content)
    with pytest.raises(LoadError, match="several models"):
        load_policy(tmp_path)


@pytest.mark.parametrize("inner", ["", "Pendulum-v1"])
def test_a_run_of_the_zoo(tmp_path, content, statistics, inner):
    run = tmp_path / "Pendulum-v1_1"
    (run / inner).mkdir(parents=True)
    (run / "Pendulum-v1.zip").write_bytes(content)
    (run / "best_model.zip").write_bytes(content)
    (run / inner / "args.yml").write_text(ARGUMENTS)
    (run / inner / "config.yml").write_text(
        config(normalize="true", env_wrapper="sb3_contrib.common.wrappers.TimeFeatureWrapper", frame_stack="4")
    )
    (run / inner / "vecnormalize.pkl").write_bytes(statistics)
    for path in (run, run / "Pendulum-v1.zip"):
        policy = load_policy(path)
        assert (policy.path.name, policy.environment, policy.normalization) == (
            "Pendulum-v1.zip",
            "Pendulum-v1",
            "applied",
        )
        assert policy.time_input
        assert policy.history_input
    assert any("best_model.zip" in note for note in load_policy(run).notes)
    assert any("not autonomous" in note for note in load_policy(run).notes)


def test_a_run_in_a_changed_environment_says_so(tmp_path, content):
    (tmp_path / "model.zip").write_bytes(content)
    (tmp_path / "args.yml").write_text(ARGUMENTS + "  - - env_kwargs\n    - null\n")
    (tmp_path / "config.yml").write_text(config(env_wrapper="null"))
    assert not any("another plant" in note for note in load_policy(tmp_path).notes)
    (tmp_path / "args.yml").write_text(ARGUMENTS + "  - - env_kwargs\n    - g: 5.0\n")
    (tmp_path / "config.yml").write_text(config(env_wrapper="rl_zoo3.wrappers.MaskVelocityWrapper"))
    notes = " ".join(load_policy(tmp_path).notes)
    assert "(g: 5.0)" in notes and "(rl_zoo3.wrappers.MaskVelocityWrapper)" in notes


def test_checkpoints_have_their_own_statistics(tmp_path, content, statistics):
    (tmp_path / "rl_model_500_steps.zip").write_bytes(content)
    (tmp_path / "vecnormalize.pkl").write_bytes(vecnormalize([0, 0, 0], [1, 1, 1], OBSERVATION))
    (tmp_path / "rl_model_vecnormalize_500_steps.pkl").write_bytes(statistics)
    assert load_policy(tmp_path).normalizer.mean[0] == 0.5


def test_several_models(tmp_path, content):
    for name in ("a.zip", "b.zip"):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(LoadError, match=r"a\.zip, b\.zip"):
        load_policy(tmp_path)
    (tmp_path / "best_model.zip").write_bytes(content)
    assert load_policy(tmp_path).path.name == "best_model.zip"


def test_nothing_there(tmp_path):
    for path in (tmp_path, tmp_path / "none", tmp_path / "none.zip", "nul\0byte"):
        with pytest.raises(LoadError) as caught:
            load_policy(path)
        assert caught.value.advice


@pytest.fixture
def card(tmp_path, content, statistics):
    def write(**changes):
        (tmp_path / "model.zip").write_bytes(content)
        (tmp_path / "other.zip").write_bytes(content)
        (tmp_path / "vecnormalize.pkl").write_bytes(statistics)
        (tmp_path / "plant.json").write_text("{}")
        hashes = {"model.zip": hashlib.sha256(content).hexdigest()}
        hashes["vecnormalize.pkl"] = hashlib.sha256(statistics).hexdigest()
        entries = {
            "environment": "Pendulum-v1",
            "model": "model.zip",
            "vecnormalize": "vecnormalize.pkl",
            "sha256": hashes,
        }
        entries |= {"plant": "plant.json", **changes}
        (tmp_path / "card.json").write_text(json.dumps(entries))
        return tmp_path

    return write


def test_a_card(card):
    policy = load_policy(card())
    assert (policy.environment, policy.plant_path.name, policy.path.name) == ("Pendulum-v1", "plant.json", "model.zip")
    assert policy.normalization == "applied"
    assert policy.card["model"] == "model.zip"
    assert load_policy(card() / "model.zip").environment == "Pendulum-v1"
    assert load_policy(card() / "other.zip").card is None
    assert load_policy(card(vecnormalize=None)).normalization == "not needed"
    assert load_policy(card(plant=None)).plant_path is None


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": {"model.zip": "0" * 64}},
        {"sha256": {"vecnormalize.pkl": "0" * 64}},
        {"sha256": "0" * 64},
        {"sha256": 3},
        {"sha256": {"model.zip": 3}},
        {"model": "../model.zip"},
        {"model": "missing.zip"},
        {"model": 3},
        {"model": "."},
        {"plant": "missing.json"},
        {"plant": "/etc/passwd"},
        {"vecnormalize": "missing.pkl"},
        {"environment": ["Pendulum-v1"]},
    ],
)
def test_a_card_that_does_not_fit(card, change):
    with pytest.raises(LoadError) as caught:
        load_policy(card(**change))
    assert caught.value.advice


@pytest.mark.parametrize("text", ["", "[]", "{", "\xff", "[" * 50_000])
def test_an_unreadable_card(card, text):
    folder = card()
    (folder / "card.json").write_bytes(text.encode("latin1"))
    with pytest.raises(LoadError) as caught:
        load_policy(folder)
    assert caught.value.advice


def test_the_description_is_plain_data(tmp_path, content, statistics):
    (tmp_path / "agent.zip").write_bytes(content)
    (tmp_path / "vecnormalize.pkl").write_bytes(statistics)
    described = load_policy(tmp_path).describe()
    assert json.loads(json.dumps(described, allow_nan=False)) == described
    assert described["observation"] == "Box(3) in [-8, 8], float32"
    assert described["layers"][0] == "affine 3 -> 3"
    assert described["layers"][-1] == "hardtanh 1 (low -2..-2, high 2..2)"
    assert described["neurons"] == 3 + 4 + 1
    assert "applied" in repr(load_policy(tmp_path))


def test_the_two_forms_of_yaml():
    pairs = parse_yaml(
        ARGUMENTS + "  - - policy_kwargs\n    - dict(a=1,\n      b=2)\n  - - env_wrapper\n    - - one\n      - two\n"
    )
    assert pairs == {"algo": "ppo", "env": "Pendulum-v1", "policy_kwargs": "dict(a=1, b=2)", "env_wrapper": "- one two"}
    assert parse_yaml("env: 'it''s'\nnormalize: true\nempty:\nlist:\n- 1\n- 2\n") == {
        "env": "it's",
        "normalize": "true",
        "empty": "",
        "list": "1 2",
    }


def test_unreadable_yaml(tmp_path):
    (tmp_path / "config.yml").write_bytes(b"\xff\xfe")
    with pytest.raises(LoadError, match="not text"):
        read_zoo_run(tmp_path)
    (tmp_path / "config.yml").write_bytes(b"a" * (2**20 + 1))
    with pytest.raises(LoadError, match="limit"):
        read_zoo_run(tmp_path)


def test_plain_weights(tmp_path):
    rng = np.random.default_rng(2)
    weights = {"W0": rng.normal(size=(4, 3)), "b0": rng.normal(size=4), "W1": rng.normal(size=(2, 4))}
    path = tmp_path / "net.npz"
    np.savez(path, **weights, activation="tanh", high=0.5)
    policy = load_policy(path)
    x = rng.normal(size=(9, 3))
    expected = np.minimum(np.tanh(x @ weights["W0"].T + weights["b0"]) @ weights["W1"].T, 0.5)
    np.testing.assert_allclose(policy(x), expected, rtol=1e-13)
    assert policy.describe()["algorithm"] == "network"
    for wrong in (
        {"b0": weights["b0"]},
        {**weights, "extra": np.zeros(2)},
        {**weights, "activation": "relu7"},
        {**weights, "activation": np.array(["tanh"])},
        {**weights, "W1": np.zeros((2, 5))},
        {**weights, "W1": np.full((2, 4), np.nan)},
        {**weights, "W1": np.full((2, 4), "a")},
        {**weights, "W1": np.array([[None] * 4])},
        {**weights, "low": np.zeros(3)},
    ):
        np.savez(path, **wrong)
        with pytest.raises(LoadError) as caught:
            load_policy(path)
        assert caught.value.advice
    np.savez(path, **weights)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("W1", archive.read("W0.npy"))
    with pytest.raises(LoadError, match="twice"):
        load_policy(path)
    np.savez(path, **weights)
    for arguments in ({"output": "logits"}, {"vecnormalize": path}):
        with pytest.raises(LoadError):
            load_policy(path, **arguments)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(LoadError):
        load_policy(path)


def test_every_error_has_advice(tmp_path, content):
    path = tmp_path / "agent.zip"
    rng = np.random.default_rng(0)
    seen = 0
    for _ in range(200):
        broken = bytearray(content)
        for place in rng.integers(0, len(broken), 3):
            broken[place] = rng.integers(256)
        path.write_bytes(broken)
        try:
            load_policy(path)
        except LoadError as error:
            seen += 1
            assert error.advice, error.message  # noqa: PT017
    assert seen > 50


def test_the_zoo(zoo):
    """What Stable-Baselines3 itself answered, to 1e-4 of the action range (for discrete actions, the same choice)."""
    references = sorted(zoo.glob("*/*/reference.npz"))
    assert len(references) >= 14
    for path in references:
        reference = np.load(path)
        observations, expected = reference["obs"].astype(float), reference["action"]
        if expected.dtype.kind == "i":
            output = "q_values" if path.parts[-3] == "dqn" else "logits"
            assert np.array_equal(load_policy(path.parent, output=output)(observations).argmax(axis=1), expected)
            with pytest.raises(UnsupportedPolicyError):
                load_policy(path.parent)
            continue
        policy = load_policy(path.parent)
        assert policy.algorithm.lower() == path.parts[-3]
        assert policy.environment == path.parts[-2]
        assert (policy.normalizer is not None) == bool(reference["normalized"])
        low, high = policy.action_space.bounds()
        assert np.max(np.abs(policy(observations) - expected) / (high - low)) < 1e-4


def test_the_zoo_without_its_statistics(zoo, tmp_path):
    for source in sorted(zoo.glob("*/*/vecnormalize.pkl")):
        if "PandaReach" in str(source):
            continue
        folder = tmp_path / source.parts[-3] / source.parts[-2]
        folder.mkdir(parents=True)
        for name in (f"{source.parts[-2]}.zip", "config.yml", "args.yml"):
            (folder / name).symlink_to(source.parent / name)
        with pytest.raises(MissingNormalizerError):
            load_policy(folder)
        assert load_policy(folder, normalize=False).normalizer is None


def test_dictionaries_of_the_zoo(zoo):
    for path in sorted(zoo.glob("her/*/*.zip")):
        with pytest.raises(UnsupportedPolicyError):
            load_policy(path)
