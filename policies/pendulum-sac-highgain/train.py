"""SAC (ReLU 256-256, tanh squash, hardly any entropy) on Pendulum-v1 until its gain at rest is above 50.

About five minutes on one core. What only training needs, the critics and the states of the optimisers, is zeroed: it
would be nine tenths of the file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import gymnasium
import torch
from stable_baselines3 import SAC
from stable_baselines3.common.env_util import make_vec_env

FOLDER = Path(__file__).resolve().parent
SEED = 0


def train(timesteps: int = 12_500, seed: int = SEED) -> SAC:
    env = make_vec_env("Pendulum-v1", seed=seed)
    layers = {"net_arch": [256, 256]}
    model = SAC("MlpPolicy", env, learning_rate=1e-3, ent_coef=0.001, policy_kwargs=layers, seed=seed, device="cpu")
    return model.learn(timesteps)


def without_critics(model: SAC) -> SAC:
    """The agent with its critics at zero and its optimisers without memory: its actions are the same."""
    with torch.no_grad():
        for critic in (model.critic, model.critic_target):
            for parameter in critic.parameters():
                parameter.zero_()
    for part in (model.actor, model.critic):
        part.optimizer.state.clear()
    return model


if __name__ == "__main__":
    sys.path.insert(0, str(FOLDER.parent))
    from common import publish

    publish(
        FOLDER,
        without_critics(train()),
        lambda: gymnasium.make("Pendulum-v1"),
        seed=SEED,
        reward_band=(-220, -100),
        expected={
            "verdict": "certified",
            "theorem": "lyapunov",
            "words": "rests near upright, steeply; the linear model there is locally exponentially stable",
        },
        made="trained on raw observations with an entropy coefficient of 0.001, hence steep; without its critics",
        environment="Pendulum-v1",
    )
