"""Zips of Stable-Baselines3, hand-made: the map they mean, and every way in which they can be wrong."""

from __future__ import annotations

import io
import json
import pickle
import zipfile

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete

from lipctrl.errors import LoadError, UnsupportedPolicyError
from lipctrl.networks.loading.sb3 import read_agent
from lipctrl.networks.loading.vecnormalize import parse_vecnormalize
from tests.loading.loading_files import (
    ARS,
    DQN,
    PPO,
    SAC,
    TD3,
    box,
    fragment,
    name,
    random_state,
    sb3_zip,
    serialized,
    table,
    torch_legacy,
    torch_zip,
    vecnormalize,
    whole,
)

OBSERVATION = box([-1, -1, -8], [1, 1, 8])
ACTION = box([-2.1, 0.1], [2.3, 0.7])
SIZES = [3, 5, 4, 2]
ACTIVATIONS = {
    "Tanh": np.tanh,
    "ReLU": lambda x: np.maximum(x, 0),
    "LeakyReLU": lambda x: np.where(x > 0, x, 0.01 * x),
    "ELU": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "SiLU": lambda x: x / (1 + np.exp(-x)),
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "Softplus": lambda x: np.log1p(np.exp(x)),
    "Hardtanh": lambda x: np.clip(x, -1, 1),
    "ReLU6": lambda x: np.clip(x, 0, 6),
}


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def mean(state, x, phi):
    weights = [value.astype(float) for key, value in state.items() if key.endswith("weight")]
    biases = [value.astype(float) for key, value in state.items() if key.endswith("bias")]
    for position, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        x = x @ weight.T + bias
        x = phi(x) if position < len(weights) - 1 else x
    return x


def squashed(x, space=ACTION):
    low, high = space.low.astype(float), space.high.astype(float)
    return low + 0.5 * (np.tanh(x) + 1) * (high - low)


def clipped(x, space=ACTION):
    return np.clip(x, space.low.astype(float), space.high.astype(float))


def load(content, normalizer=None, output="action"):
    return read_agent(content, "x.zip").network(normalizer, output)


def test_the_maps_of_the_algorithms(rng):
    x = rng.normal(size=(20, 3))
    relu = ACTIVATIONS["ReLU"]
    cases = [(PPO, np.tanh, clipped), (SAC, relu, squashed), (TD3, relu, squashed), (ARS, relu, squashed)]
    for policy, phi, finish in cases:
        state = random_state(policy, SIZES, rng)
        network = load(sb3_zip(policy, state, OBSERVATION, ACTION))
        np.testing.assert_allclose(network(x), finish(mean(state, x, phi)), rtol=1e-13, atol=1e-13)
        assert np.all(state[next(iter(state))] == network.layers[0].W)


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_activations(kind, rng):
    state = random_state(PPO, SIZES, rng)
    keywords = table({"activation_fn": name("torch.nn.modules.activation", kind), "net_arch": fragment([5, 4])})
    x = rng.normal(size=(20, 3))
    network = load(sb3_zip(PPO, state, OBSERVATION, ACTION, keywords))
    np.testing.assert_allclose(network(x), clipped(mean(state, x, ACTIVATIONS[kind])), rtol=1e-12, atol=1e-12)


def test_activation_with_parameters(rng):
    def partial(kind, **given):
        function = name("torch.nn.modules.activation", kind)
        made = name("functools", "partial") + b"(" + function + b"tR"
        return table({"activation_fn": made + b"(" + function + b")" + fragment(given) + b"Ntb"})

    state = random_state(PPO, SIZES, rng)
    x = rng.normal(size=(20, 3))
    network = load(sb3_zip(PPO, state, OBSERVATION, ACTION, partial("LeakyReLU", negative_slope=0.25, inplace=True)))
    np.testing.assert_allclose(network(x), clipped(mean(state, x, lambda v: np.where(v > 0, v, 0.25 * v))), rtol=1e-12)
    for wrong in (partial("GELU", approximate="tanh"), partial("Softplus", threshold=3.0), partial("Mish")):
        with pytest.raises(UnsupportedPolicyError, match="not modelled"):
            load(sb3_zip(PPO, state, OBSERVATION, ACTION, wrong))


def test_no_hidden_layer_and_identity(rng):
    x = rng.normal(size=(9, 3))
    for policy, finish in [(PPO, clipped), (SAC, squashed), (TD3, squashed)]:
        state = random_state(policy, [3, 2], rng)
        network = load(sb3_zip(policy, state, OBSERVATION, ACTION, {"net_arch": []}))
        np.testing.assert_allclose(network(x), finish(mean(state, x, None)), rtol=1e-13)
    state = random_state(PPO, SIZES, rng)
    keywords = table({"activation_fn": name("torch.nn.modules.linear", "Identity")})
    network = load(sb3_zip(PPO, state, OBSERVATION, ACTION, keywords))
    np.testing.assert_allclose(network(x), clipped(mean(state, x, lambda v: v)), rtol=1e-12)


def test_state_dependent_noise(rng):
    x = 3 * rng.normal(size=(50, 3))
    state = random_state(SAC, SIZES, rng, sde=True)
    for bound in (2.0, 0.3):
        keywords = {"use_sde": True} if bound == 2.0 else {"clip_mean": bound}
        network = load(sb3_zip(SAC, state, OBSERVATION, ACTION, keywords, use_sde=True))
        inner = mean(state, x, ACTIVATIONS["ReLU"])
        assert np.any(abs(inner) > bound)
        np.testing.assert_allclose(network(x), squashed(np.clip(inner, -bound, bound)), rtol=1e-13, atol=1e-13)
    state = random_state(PPO, SIZES, rng)
    network = load(sb3_zip(PPO, state, OBSERVATION, ACTION, {"squash_output": True, "log_std_init": -2}, use_sde=True))
    np.testing.assert_allclose(network(x), squashed(mean(state, x, np.tanh)), rtol=1e-13)
    network = load(sb3_zip(PPO, state, OBSERVATION, ACTION, {"use_expln": True}, use_sde=True))
    np.testing.assert_allclose(network(x), clipped(mean(state, x, np.tanh)), rtol=1e-13)
    with pytest.raises(LoadError, match="without gSDE"):
        load(sb3_zip(PPO, state, OBSERVATION, ACTION, {"squash_output": True}))


def test_shared_layers_come_first(rng):
    state = random_state(PPO, SIZES, rng)
    moved = {"policy_net.0": "shared_net.0", "policy_net.2": "policy_net.0", "action_net": "action_net"}
    renamed = {key.replace(old, new): value for key, value in state.items() for old, new in moved.items() if old in key}
    x = rng.normal(size=(9, 3))
    for form in ([5, {"pi": [4], "vf": [7]}], [5, {"pi": 4}]):
        network = load(sb3_zip(PPO, renamed, OBSERVATION, ACTION, {"net_arch": form}))
        np.testing.assert_allclose(network(x), clipped(mean(state, x, np.tanh)), rtol=1e-13)


@pytest.mark.parametrize("form", [[5, 4], {"pi": [5, 4], "vf": [3]}, [{"pi": [5, 4], "vf": []}], None])
def test_forms_of_net_arch(form, rng):
    load(sb3_zip(PPO, random_state(PPO, SIZES, rng), OBSERVATION, ACTION, {"net_arch": form}))


def test_linear_policies_of_random_search(rng):
    linear = ("sb3_contrib.ars.policies", "ARSLinearPolicy")
    weight = rng.normal(size=(2, 3)).astype(np.float32)
    x = rng.normal(size=(9, 3))
    for key in ("action_net.0.weight", "action_net.weight"):
        network = load(sb3_zip(linear, {key: weight}, OBSERVATION, ACTION))
        np.testing.assert_allclose(network(x), clipped(x @ weight.T.astype(float)), rtol=1e-13)
    network = load(sb3_zip(linear, {key: weight}, OBSERVATION, ACTION, {"squash_output": True, "with_bias": False}))
    np.testing.assert_allclose(network(x), squashed(x @ weight.T.astype(float)), rtol=1e-13)


def test_statistics_come_first(rng):
    state = random_state(PPO, SIZES, rng)
    statistics = parse_vecnormalize(vecnormalize([1, 2, 3], [4, 5, 6], OBSERVATION, clip_obs=0.5), "x")
    x = 3 * rng.normal(size=(30, 3))
    seen = np.clip((x - [1, 2, 3]) / np.sqrt(np.array([4, 5, 6]) + 1e-8), -0.5, 0.5)
    network = load(sb3_zip(PPO, state, OBSERVATION, ACTION), statistics)
    np.testing.assert_allclose(network(x), clipped(mean(state, seen, np.tanh)), rtol=1e-12, atol=1e-12)


def test_statistics_of_another_environment(rng):
    content = sb3_zip(PPO, random_state(PPO, SIZES, rng), OBSERVATION, ACTION)
    with pytest.raises(LoadError, match="of 2 observations"):
        load(content, parse_vecnormalize(vecnormalize([0, 0], [1, 1]), "x"))
    reordered = box([-8, -1, -1], [8, 1, 1])
    with pytest.raises(LoadError, match="order"):
        load(content, parse_vecnormalize(vecnormalize([0, 0, 0], [1, 1, 1], reordered), "x"))


def test_action_bounds_are_the_pickled_ones(rng):
    state = random_state(PPO, [3, 1], rng)
    action = box([-0.1], [0.1])
    action.low_repr = "-5"
    network = load(sb3_zip(PPO, state, OBSERVATION, action))
    assert network.layers[-1].parameters["high"] == [float(np.float32(0.1))] != [0.1]
    lying = {**serialized(pickle.dumps(action)), "high": "[9.]"}
    assert load(sb3_zip(PPO, state, OBSERVATION, ACTION, action_space=lying)).layers[-1].parameters["high"] < 0.2


def test_infinite_action_bounds(rng):
    infinite, half = box([-np.inf] * 2, [np.inf] * 2), box([-np.inf, 0.1], [1, np.inf])
    x = 1e3 * rng.normal(size=(9, 3))
    state = random_state(PPO, SIZES, rng)
    np.testing.assert_allclose(load(sb3_zip(PPO, state, OBSERVATION, infinite))(x), mean(state, x, np.tanh), rtol=1e-12)
    network = load(sb3_zip(PPO, state, OBSERVATION, half))
    np.testing.assert_allclose(network(x), clipped(mean(state, x, np.tanh), half), rtol=1e-12)
    assert all(np.all(np.isfinite(value)) for value in network.layers[-1].parameters.values())
    for bounds in (infinite, half):
        with pytest.raises(UnsupportedPolicyError, match="infinite bounds"):
            load(sb3_zip(SAC, random_state(SAC, SIZES, rng), OBSERVATION, bounds))


def test_discrete_actions(rng):
    x = rng.normal(size=(9, 3))
    state = random_state(PPO, SIZES, rng)
    content = sb3_zip(PPO, state, OBSERVATION, Discrete(2))
    with pytest.raises(UnsupportedPolicyError) as caught:
        load(content)
    assert "output='logits'" in caught.value.advice
    np.testing.assert_allclose(load(content, output="logits")(x), mean(state, x, np.tanh), rtol=1e-13)
    state = random_state(DQN, SIZES, rng)
    state |= {key.replace("q_net.q_net", "q_net_target.q_net"): 0 * value for key, value in state.items()}
    content = sb3_zip(DQN, state, OBSERVATION, Discrete(2))
    with pytest.raises(UnsupportedPolicyError) as caught:
        load(content)
    assert "output='q_values'" in caught.value.advice
    online = {key: value for key, value in state.items() if "target" not in key}
    np.testing.assert_allclose(load(content, output="q_values")(x), mean(online, x, ACTIVATIONS["ReLU"]), rtol=1e-13)
    with pytest.raises(LoadError, match="no output 'logits'"):
        load(content, output="logits")
    with pytest.raises(LoadError, match="unknown"):
        load(content, output="probabilities")
    with pytest.raises(LoadError, match="no output"):
        load(sb3_zip(PPO, random_state(PPO, SIZES, rng), OBSERVATION, ACTION), output="logits")


def test_the_actor_and_nothing_else(rng):
    state = random_state(TD3, SIZES, rng)
    other = {key.replace("actor.", "actor_target."): 9 * value for key, value in state.items()}
    other |= {"critic.qf0.0.weight": np.ones((1, 5), np.float32), "critic_target.qf0.0.bias": np.ones(1, np.float32)}
    x = rng.normal(size=(9, 3))
    network = load(sb3_zip(TD3, {**other, **state}, OBSERVATION, ACTION))
    np.testing.assert_allclose(network(x), squashed(mean(state, x, ACTIVATIONS["ReLU"])), rtol=1e-13)


def test_which_algorithm(rng):
    def algorithm(policy, **entries):
        return read_agent(
            sb3_zip(policy, random_state(policy, SIZES, rng), OBSERVATION, ACTION, **entries), "x"
        ).algorithm

    assert algorithm(PPO, clip_range=0.2) == "PPO"
    assert algorithm(PPO, cg_max_steps=10) == "TRPO"
    assert algorithm(PPO) == "A2C"
    assert algorithm(SAC) == "SAC"
    assert algorithm(ARS) == "ARS"
    assert algorithm(TD3, policy_delay=2, target_noise_clip=0.5) == "TD3"
    assert algorithm(TD3, policy_delay=1, target_noise_clip=0.0) == "DDPG"


def test_legacy_members_and_versions(rng):
    state = random_state(PPO, SIZES, rng)
    content = sb3_zip(PPO, state, OBSERVATION, ACTION, members={"policy.pth": torch_legacy(state)})
    assert read_agent(content, "x").version == "2.9.2"
    gym = pickle.dumps(OBSERVATION, 3).replace(b"gymnasium.spaces", b"gym.spaces")
    agent = read_agent(sb3_zip(PPO, state, OBSERVATION, ACTION, observation_space=serialized(gym)), "x")
    assert agent.observation_space.shape == (3,)


def test_observations_are_flattened(rng):
    shaped = Box(-1, 1, (3, 1), np.float64)
    agent = read_agent(sb3_zip(PPO, random_state(PPO, SIZES, rng), shaped, ACTION), "x")
    assert agent.network(None, "action").n_in == 3


def test_traces_of_an_absent_normaliser(rng):
    state = random_state(PPO, SIZES, rng)

    def seen(last, space=OBSERVATION):
        entry = serialized(pickle.dumps(np.array(last, np.float32)))
        return read_agent(sb3_zip(PPO, state, space, ACTION, _last_obs=entry), "x").outside_its_space

    assert not seen([[0.9, -1.0, 8.0], [0, 0, 0]])
    assert seen([[0.9, -1.7, 3.0]])
    assert not seen([[0.9, -1.7, 3.0]], box([-np.inf] * 3, [np.inf] * 3))
    assert not seen([[0.9, -1.7]])
    assert not read_agent(sb3_zip(PPO, state, OBSERVATION, ACTION, _last_obs=None), "x").outside_its_space


def refuse(content, error=LoadError, match=None, output="action"):
    with pytest.raises(error, match=match) as caught:
        load(content, output=output)
    assert caught.value.message
    return caught.value


def test_policies_that_are_not_modelled(rng):
    state = random_state(PPO, SIZES, rng)
    for module, short, word in [
        ("sb3_contrib.common.recurrent.policies", "RecurrentActorCriticPolicy", "hidden state"),
        ("sb3_contrib.common.maskable.policies", "MaskableActorCriticPolicy", "masked"),
        ("sb3_contrib.qrdqn.policies", "QRDQNPolicy", "quantiles"),
        ("sb3_contrib.crossq.policies", "CrossQPolicy", "renormalisation"),
        ("stable_baselines3.common.policies", "ActorCriticCnnPolicy", "images"),
        ("stable_baselines3.sac.policies", "MultiInputPolicy", "dictionaries"),
        ("my_project.policies", "MyPolicy", "not known"),
        ("my_project.policies", "ActorCriticPolicy", "not known"),
        ("os", "system", "not known"),
    ]:
        error = refuse(sb3_zip((module, short), state, OBSERVATION, ACTION), UnsupportedPolicyError, word)
        assert error.advice
    refuse(sb3_zip(PPO, state, OBSERVATION, ACTION, policy_class="MlpPolicy"), UnsupportedPolicyError)


def test_spaces_that_are_not_modelled(rng):
    state = random_state(PPO, SIZES, rng)
    refuse(sb3_zip(PPO, state, Discrete(3), ACTION), UnsupportedPolicyError, "Discrete")
    refuse(sb3_zip(PPO, state, Dict({"a": OBSERVATION}), ACTION), UnsupportedPolicyError, "Dict")
    refuse(sb3_zip(PPO, state, Box(0, 255, (8, 8, 3), np.uint8), ACTION), UnsupportedPolicyError, "images")
    refuse(sb3_zip(PPO, state, OBSERVATION, MultiDiscrete([2, 2])), UnsupportedPolicyError, "MultiDiscrete")
    refuse(sb3_zip(PPO, state, OBSERVATION, ACTION, action_space=serialized(pickle.dumps(3))), match="not a space")
    nan = pickle.dumps(ACTION).replace(np.float32(2.3).tobytes(), np.float32(np.nan).tobytes())
    refuse(sb3_zip(PPO, state, OBSERVATION, ACTION, action_space=serialized(nan)), match="NaN or crossed")


def test_keywords_that_are_not_modelled(rng):
    state = random_state(PPO, SIZES, rng)

    def keywords(**entries):
        return sb3_zip(PPO, state, OBSERVATION, ACTION, table(entries))

    refuse(keywords(activation_fn=name("torch.nn.modules.activation", "Mish")), UnsupportedPolicyError, "Mish")
    refuse(keywords(activation_fn=name("my.module", "Tanh")), UnsupportedPolicyError, "my.module.Tanh")
    refuse(keywords(activation_fn=fragment("tanh")), UnsupportedPolicyError, "str")
    extractor = name("stable_baselines3.common.torch_layers", "NatureCNN")
    refuse(keywords(features_extractor_class=extractor), UnsupportedPolicyError, "NatureCNN")
    refuse(keywords(something_new=fragment(1)), UnsupportedPolicyError, "something_new")
    flatten = name("stable_baselines3.common.torch_layers", "FlattenExtractor")
    load(keywords(features_extractor_class=flatten, share_features_extractor=b"\x89"))


def test_damaged_parameters(rng):
    good = random_state(PPO, SIZES, rng)

    def changed(**entries):
        state = {**good, **{key.replace("__", "."): value for key, value in entries.items()}}
        return sb3_zip(PPO, {key: value for key, value in state.items() if value is not None}, OBSERVATION, ACTION)

    nan = good["action_net.weight"].copy()
    nan[0, 0] = np.nan
    refuse(changed(action_net__weight=nan), match="NaN")
    refuse(changed(action_net__bias=np.array([np.inf, 0], np.float32)), match="NaN or infinite")
    refuse(changed(action_net__weight=None), match="action_net")
    refuse(changed(action_net__bias=None), match="no bias")
    refuse(changed(action_net__bias=np.zeros(3, np.float32)), match="shape")
    refuse(changed(action_net__weight=np.zeros((2, 4), np.int64)), match="dtype")
    refuse(
        changed(action_net__weight=np.zeros((3, 4), np.float32), action_net__bias=np.zeros(3, np.float32)),
        match="gives 3",
    )
    refuse(changed(action_net__weight=np.zeros((2, 9), np.float32)), match="takes 9")
    refuse(changed(action_net__weight=np.zeros(8, np.float32)), match="shape")
    extra = np.zeros((5, 5), np.float32)
    refuse(changed(features_extractor__linear__weight=extra), UnsupportedPolicyError, "features")
    refuse(changed(mlp_extractor__policy_net__1__weight=extra), UnsupportedPolicyError, "in turn")
    wrong = random_state(PPO, [4, 5, 4, 2], rng)
    refuse(sb3_zip(PPO, wrong, OBSERVATION, ACTION), match="takes 4 values, but 3 arrive")
    refuse(sb3_zip(PPO, good, OBSERVATION, ACTION, {"net_arch": [64, 64]}), match="contradicts")
    refuse(sb3_zip(PPO, good, OBSERVATION, ACTION, {"net_arch": [True, 4]}), match="contradicts")
    refuse(sb3_zip(SAC, random_state(SAC, SIZES, rng), OBSERVATION, ACTION, use_sde=True), match=r"actor\.mu\.0")
    refuse(sb3_zip(SAC, random_state(SAC, SIZES, rng, sde=True), OBSERVATION, ACTION), match=r"actor\.mu")


def rewritten(content, **changes):
    """The zip with the JSON text changed by functions of the text, or with members left out."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(stream, "w") as new:
        for member in old.namelist():
            change = changes.get(member.split(".")[0])
            if change is not None:
                new.writestr(member, change(old.read(member)))
            elif member.split(".")[0] not in changes:
                new.writestr(member, old.read(member))
    return stream.getvalue()


def test_damaged_members(rng):
    good = sb3_zip(PPO, random_state(PPO, SIZES, rng), OBSERVATION, ACTION)
    load(rewritten(good, _stable_baselines3_version=None))
    refuse(rewritten(good, data=None), match="no members")
    refuse(rewritten(good, policy=None), match="no members")
    for text in (b"", b"{", b"[]", b"3", b"\xff", b"[" * 100_000, b'{"a": 1, "a": 2}', b'{"n": ' + b"9" * 5000 + b"}"):
        refuse(rewritten(good, data=lambda _, text=text: text), match="data")
    refuse(rewritten(good, data=lambda text: text[:-1] + b', "use_sde": false}'), match="twice")
    spoiled = rewritten(good, data=lambda text: text.replace(b'serialized:": "', b'serialized:": "!'))
    refuse(spoiled, match="base64")
    for key in ("policy_class", "policy_kwargs", "observation_space", "action_space"):
        entries = json.loads(zipfile.ZipFile(io.BytesIO(good)).read("data"))
        del entries[key]
        refuse(rewritten(good, data=lambda _, e=entries: json.dumps(e).encode()), match=key)
        for wrong in ("not base64!", 3, None, "é"):
            entries[key] = {":serialized:": wrong}
            refuse(rewritten(good, data=lambda _, e=entries: json.dumps(e).encode()), match="base64")
    refuse(good[: len(good) // 2], match="not a readable zip")
    refuse(b"not a zip", match="not a readable zip")


def test_code_in_a_zip_does_not_run(tmp_path, rng):
    canary = tmp_path / "canary"
    evil = whole(name("builtins", "exec") + fragment((f"open({str(canary)!r}, 'w')",)) + b"R")
    state = random_state(PPO, SIZES, rng)
    for key in ("policy_class", "policy_kwargs", "observation_space", "action_space"):
        refuse(sb3_zip(PPO, state, OBSERVATION, ACTION, **{key: serialized(evil)}))
    load(sb3_zip(PPO, state, OBSERVATION, ACTION, _last_obs=serialized(evil), lr_schedule=serialized(evil)))
    keywords = table({"activation_fn": evil[2:-1]})
    refuse(sb3_zip(PPO, state, OBSERVATION, ACTION, keywords), UnsupportedPolicyError)
    refuse(sb3_zip(PPO, state, OBSERVATION, ACTION, members={"policy.pth": evil}))
    evil_member = torch_zip(state).replace(b"archive/data.pkl", b"archive/data.pk1")
    refuse(sb3_zip(PPO, state, OBSERVATION, ACTION, members={"policy.pth": evil_member}))
    assert not canary.exists()


def deep(levels):
    """The instructions of a list of lists of lists."""
    return b"]" * levels + b"a" * (levels - 1)


def test_forms_that_would_confuse_a_reader(rng):
    state = random_state(PPO, SIZES, rng)

    def keywords(**entries):
        return sb3_zip(PPO, state, OBSERVATION, ACTION, table(entries))

    refuse(keywords(features_extractor_class=deep(9000)), UnsupportedPolicyError, "extractor")
    refuse(keywords(activation_fn=deep(9000)), UnsupportedPolicyError, "activation")
    refuse(keywords(net_arch=deep(9000)), match="contradicts")
    refuse(keywords(net_arch=b"]q\x63h\x63a"), match="contradicts")  # a list in itself
    refuse(keywords(clip_mean=fragment(float("inf"))), match="finite")
    pairs = name("collections", "OrderedDict") + b")R(" + deep(9000) + b"Nu"
    refuse(sb3_zip(PPO, state, OBSERVATION, ACTION, pairs), match="key")
    relu = b"(" + fragment("activation_fn") + name("torch.nn.modules.activation", "ReLU") + b"t"
    given = name("collections", "OrderedDict") + b"(](" + relu + b"etR"  # OrderedDict([("activation_fn", ReLU)])
    refuse(sb3_zip(PPO, state, OBSERVATION, ACTION, given), match="not a dictionary")
    escape = name("my.module", "Mish\x1b[2J")
    assert "\x1b" not in str(refuse(keywords(activation_fn=escape), UnsupportedPolicyError))
    assert "\x1b" not in str(refuse(keywords(**{"a\x1b[2J": b"N"}), UnsupportedPolicyError))
    version = {"_stable_baselines3_version": b"\x1b[2J2.0"}
    assert read_agent(sb3_zip(PPO, state, OBSERVATION, ACTION, members=version), "x").version == "?[2J2.0"


def test_spaces_that_would_confuse_a_reader(rng):
    state = random_state(PPO, SIZES, rng)
    wide = random_state(PPO, [5000, 2], rng)
    refuse(sb3_zip(PPO, wide, Box(-1, 1, (5000,), np.float32), ACTION), match="5000 entries")
    beyond = pickle.dumps(ACTION)
    for bound in (-2.1, 0.1):
        beyond = beyond.replace(np.float32(bound).tobytes(), np.float32(np.inf).tobytes())
    for bound in (2.3, 0.7):
        beyond = beyond.replace(np.float32(bound).tobytes(), np.float32(np.inf).tobytes())
    refuse(sb3_zip(PPO, state, OBSERVATION, ACTION, action_space=serialized(beyond)), match="crossed")
    n = table({"n": fragment(float("inf"))})
    counts = whole(name("gymnasium.spaces.discrete", "Discrete") + b")\x81" + n + b"b")
    refuse(sb3_zip(PPO, state, OBSERVATION, ACTION, action_space=serialized(counts)), match="Discrete space of inf")
    huge = box([-1.7e308, 0], [1.7e308, 1], np.float64)
    refuse(sb3_zip(SAC, random_state(SAC, SIZES, rng), OBSERVATION, huge), match="infinite")
