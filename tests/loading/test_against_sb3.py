"""Fresh agents of Stable-Baselines3: saved, read inertly, and compared with what predict answers."""

from __future__ import annotations

from functools import partial

import gymnasium
import numpy as np
import pytest

from lipctrl.networks.loading.policy import load_policy

pytestmark = pytest.mark.sb3
sb3 = pytest.importorskip("stable_baselines3")
contrib = pytest.importorskip("sb3_contrib")
nn = pytest.importorskip("torch.nn")

OBSERVATION = gymnasium.spaces.Box(np.array([-1, -2, -8], np.float32), np.array([1, 2, 8], np.float32))
ACTION = gymnasium.spaces.Box(np.array([-2.1, 0.1], np.float32), np.array([2.3, 0.7], np.float32))


class Still(gymnasium.Env):
    """An environment that only shows random observations."""

    def __init__(self, action=ACTION, observation=OBSERVATION):
        self.observation_space, self.action_space = observation, action

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 0.0, False, False, {}


def disturb(model):
    """Parameters large enough that the nonlinearities, the gSDE clip and the action clip matter."""
    import torch

    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.policy.parameters():
            parameter.copy_(0.6 * torch.randn(parameter.shape, generator=generator))


def compare(model, tmp_path, observation=OBSERVATION, output="action", **arguments):
    disturb(model)
    model.save(tmp_path / "agent.zip")
    policy = load_policy(tmp_path / "agent.zip", output=output, **arguments)
    observations = np.stack([observation.sample() for _ in range(64)])
    expected, _ = model.predict(observations, deterministic=True)
    found = policy(observations.reshape(64, -1))
    if output != "action":
        assert np.array_equal(found.argmax(axis=1), expected)
        return policy
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(found, expected, atol=2e-5 * max(1.0, np.abs(expected).max()))
    return policy


ON_POLICY = {"PPO": sb3.PPO, "A2C": sb3.A2C, "TRPO": contrib.TRPO}
OFF_POLICY = {"SAC": sb3.SAC, "TD3": sb3.TD3, "DDPG": sb3.DDPG, "TQC": contrib.TQC}
SMALL = {"net_arch": [8, 6]}
ACTIVATIONS = {
    kind.__name__: kind for kind in (nn.Tanh, nn.ReLU, nn.ELU, nn.GELU, nn.SiLU, nn.LeakyReLU, nn.Softplus, nn.Sigmoid)
} | {"Hardtanh": nn.Hardtanh, "ReLU6": nn.ReLU6, "Identity": nn.Identity}


def off_policy(name, **keywords):
    return OFF_POLICY[name]("MlpPolicy", Still(), buffer_size=10, device="cpu", **keywords)


@pytest.mark.parametrize("name", ON_POLICY)
@pytest.mark.parametrize("net_arch", [None, [8, 6], [], {"pi": [8], "vf": []}])
def test_on_policy(name, net_arch, tmp_path):
    keywords = {} if net_arch is None else {"net_arch": net_arch}
    model = ON_POLICY[name]("MlpPolicy", Still(), policy_kwargs=keywords, device="cpu")
    assert compare(model, tmp_path).algorithm == name


@pytest.mark.parametrize("name", OFF_POLICY)
@pytest.mark.parametrize("net_arch", [[8, 6], [], {"pi": [8], "qf": [4]}])
def test_off_policy(name, net_arch, tmp_path):
    assert compare(off_policy(name, policy_kwargs={"net_arch": net_arch}), tmp_path).algorithm == name


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_activations(kind, tmp_path):
    keywords = {**SMALL, "activation_fn": ACTIVATIONS[kind]}
    compare(sb3.PPO("MlpPolicy", Still(), policy_kwargs=keywords, device="cpu"), tmp_path)


@pytest.mark.parametrize(
    "function",
    [
        partial(nn.LeakyReLU, negative_slope=0.3),
        partial(nn.ELU, alpha=1.7),
        partial(nn.Softplus, beta=2.0),
        partial(nn.Hardtanh, min_val=-0.5, max_val=2.0),
    ],
)
def test_activations_with_parameters(function, tmp_path):
    keywords = {**SMALL, "activation_fn": function}
    compare(sb3.A2C("MlpPolicy", Still(), policy_kwargs=keywords, device="cpu"), tmp_path)


@pytest.mark.parametrize("keywords", [{}, {"squash_output": True}, {"use_expln": True, "full_std": False}])
def test_state_dependent_noise_on_policy(keywords, tmp_path):
    compare(sb3.PPO("MlpPolicy", Still(), use_sde=True, policy_kwargs={**SMALL, **keywords}, device="cpu"), tmp_path)


@pytest.mark.parametrize("name", ["SAC", "TQC"])
@pytest.mark.parametrize("clip_mean", [2.0, 0.5, 0.0])
def test_state_dependent_noise_off_policy(name, clip_mean, tmp_path):
    compare(off_policy(name, use_sde=True, policy_kwargs={**SMALL, "clip_mean": clip_mean}), tmp_path)


@pytest.mark.parametrize("policy", ["MlpPolicy", "LinearPolicy"])
@pytest.mark.parametrize("keywords", [{}, {"with_bias": False}, {"squash_output": False}, {"squash_output": True}])
def test_random_search(policy, keywords, tmp_path):
    compare(contrib.ARS(policy, Still(), policy_kwargs=keywords, device="cpu"), tmp_path)


@pytest.mark.parametrize("share", [True, False])
def test_features_extractors_that_only_flatten(share, tmp_path):
    observation = gymnasium.spaces.Box(-1, 1, (2, 3), np.float32)
    keywords = {**SMALL, "share_features_extractor": share}
    compare(
        sb3.PPO("MlpPolicy", Still(observation=observation), policy_kwargs=keywords, device="cpu"),
        tmp_path,
        observation,
    )


def test_discrete_actions(tmp_path):
    still = Still(gymnasium.spaces.Discrete(4))
    compare(sb3.PPO("MlpPolicy", still, policy_kwargs=SMALL, device="cpu"), tmp_path, output="logits")
    compare(contrib.ARS("MlpPolicy", still, policy_kwargs=SMALL, device="cpu"), tmp_path, output="logits")
    model = sb3.DQN("MlpPolicy", still, policy_kwargs=SMALL, buffer_size=10, device="cpu")
    compare(model, tmp_path, output="q_values")


def test_statistics(tmp_path):
    from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

    environment = VecNormalize(DummyVecEnv([Still]), clip_obs=1.5)
    environment.reset()
    for _ in range(50):
        environment.step([ACTION.sample()])
    model = sb3.A2C("MlpPolicy", environment, policy_kwargs=SMALL, device="cpu")
    disturb(model)
    model.save(tmp_path / "agent.zip")
    environment.save(str(tmp_path / "vecnormalize.pkl"))
    observations = np.stack([OBSERVATION.sample() for _ in range(64)])
    expected, _ = model.predict(environment.normalize_obs(observations), deterministic=True)
    np.testing.assert_allclose(load_policy(tmp_path)(observations), expected, atol=2e-5)


def test_trained_agents(tmp_path):
    """What training leaves in the zip besides the policy."""
    compare(sb3.PPO("MlpPolicy", Still(), n_steps=8, batch_size=8, n_epochs=1, device="cpu").learn(8), tmp_path)
    compare(off_policy("SAC", learning_starts=2, policy_kwargs=SMALL).learn(4), tmp_path)
