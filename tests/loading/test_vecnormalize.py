"""Observation statistics."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lipctrl.errors import LoadError, UnsupportedPolicyError
from lipctrl.networks.loading.vecnormalize import parse_vecnormalize, read_vecnormalize
from lipctrl.networks.network import Network
from tests.loading.loading_files import box, built, fragment, name, table, vecnormalize, whole

SPACE = box([-1, -1, -8], [1, 1, 8])


@given(
    mean=hnp.arrays(float, 3, elements=st.floats(-10, 10)),
    var=hnp.arrays(float, 3, elements=st.floats(1e-6, 100)),
    x=hnp.arrays(float, 3, elements=st.floats(-20, 20)),
    clip=st.floats(0.1, 10),
)
@settings(max_examples=60, deadline=None)
def test_the_layers_are_the_formula(mean, var, x, clip):
    statistics = parse_vecnormalize(vecnormalize(mean, var, SPACE, clip_obs=clip, epsilon=1e-4), "x")
    expected = np.clip((x - mean) / np.sqrt(var + 1e-4), -clip, clip)
    np.testing.assert_allclose(Network(statistics.layers())(x), expected, rtol=1e-12, atol=1e-10)
    assert statistics.observation_space.shape == (3,)


def test_infinite_clip_is_no_layer():
    assert len(parse_vecnormalize(vecnormalize([0.0], [1.0], clip_obs=np.inf), "x").layers()) == 1


def test_only_rewards_normalised():
    statistics = parse_vecnormalize(vecnormalize([0.0], [1.0], norm_obs=False), "x")
    assert not statistics.norm_obs
    assert statistics.layers() == []


WRONG = {
    "zero variance": vecnormalize([0, 0], [1, 0]),
    "negative variance": vecnormalize([0, 0], [1, -1]),
    "NaN variance": vecnormalize([0, 0], [1, np.nan]),
    "infinite variance": vecnormalize([0, 0], [1, np.inf]),
    "NaN mean": vecnormalize([0, np.nan], [1, 1]),
    "other shapes": vecnormalize([0, 0], [1]),
    "empty": vecnormalize([], []),
    "negative clip": vecnormalize([0], [1], clip_obs=-1.0),
    "zero clip": vecnormalize([0], [1], clip_obs=0.0),
    "NaN clip": vecnormalize([0], [1], clip_obs=np.nan),
    "NaN epsilon": vecnormalize([0], [1], epsilon=np.nan),
    "negative epsilon": vecnormalize([0], [1], epsilon=-1.0),
    "epsilon as text": vecnormalize([0], [1], epsilon="1"),
    "norm_obs as number": vecnormalize([0], [1], norm_obs=2),
    "no VecNormalize": pickle.dumps({"mean": 0.0}),
    "another class": whole(built("stable_baselines3.common.vec_env.vec_normalize", "VecOther", table({}))),
    "no statistics": whole(built("stable_baselines3.common.vec_env.vec_normalize", "VecNormalize", table({}))),
    "not a pickle": b"hello",
    "nothing": b"",
}


@pytest.mark.parametrize("content", WRONG.values(), ids=WRONG.keys())
def test_wrong_statistics(content):
    with pytest.raises(LoadError) as caught:
        parse_vecnormalize(content, "vecnormalize.pkl")
    assert caught.value.message


@pytest.mark.parametrize("content", [b"hello", b""])
def test_a_damaged_file_is_named(content):
    with pytest.raises(LoadError, match=r"^vecnormalize\.pkl: This is not a readable pickle"):
        parse_vecnormalize(content, "vecnormalize.pkl")


@pytest.mark.filterwarnings("error")
def test_signalling_nan():
    space = pickle.dumps(SPACE, 3).replace(np.float32(8).tobytes(), bytes.fromhex("0100a07f"))
    content = vecnormalize([0, 0, 0], [1, 1, 1])[:-3] + fragment("observation_space") + space[2:-1] + b"ub."
    with pytest.raises(LoadError, match="NaN"):
        parse_vecnormalize(content, "x")


def test_zero_variance_names_the_observation():
    with pytest.raises(LoadError, match=r"observation \[1\]") as caught:
        parse_vecnormalize(vecnormalize([0, 0], [1, 0]), "x")
    assert "remove it" in caught.value.advice


def test_dictionaries_of_observations():
    state = table({"obs_rms": fragment({"achieved": 1}), "epsilon": fragment(1e-8), "clip_obs": fragment(10.0)})
    with pytest.raises(UnsupportedPolicyError, match="dictionary"):
        parse_vecnormalize(whole(built("stable_baselines3.common.vec_env.vec_normalize", "VecNormalize", state)), "x")


def test_code_in_statistics_does_not_run(tmp_path):
    canary = tmp_path / "canary"
    evil = name("builtins", "exec") + fragment((f"open({str(canary)!r}, 'w')",)) + b"R"
    state = table({"obs_rms": evil, "epsilon": evil, "clip_obs": evil})
    for content in (
        whole(evil),
        whole(built("stable_baselines3.common.vec_env.vec_normalize", "VecNormalize", state)),
    ):
        with pytest.raises(LoadError):
            parse_vecnormalize(content, "x")
    assert not canary.exists()


def test_missing_file(tmp_path):
    with pytest.raises(LoadError, match="no file"):
        read_vecnormalize(tmp_path / "vecnormalize.pkl")


def test_every_statistics_of_the_zoo(zoo):
    files = sorted(zoo.glob("*/*/vecnormalize.pkl"))
    assert files
    for path in files:
        try:
            statistics = read_vecnormalize(path)
        except UnsupportedPolicyError:
            assert "PandaReach" in str(path)
            continue
        assert statistics.mean.shape == statistics.observation_space.shape
        assert np.all(statistics.var > 0)
