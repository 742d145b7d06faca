"""PPO on the cart-pole with a continuous force; about two minutes on one core."""

from __future__ import annotations

import sys
from pathlib import Path

import gymnasium
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecNormalize
from torch import nn

FOLDER = Path(__file__).resolve().parent
SEED = 0
ENVIRONMENT = "lipctrl.plants.model_environment:lipctrl/CartPole-v0"
COST = {
    "Q": [0.02, 0.005, 0.2, 0.02],
    "R": 0.001,
    "initial_low": [-3.0, -2.5, -0.6, -2.5],
    "initial_high": [3.0, 2.5, 0.6, 2.5],
    "fall_low": [-12.0, -20.0, -1.5, -20.0],
    "fall_high": [12.0, 20.0, 1.5, 20.0],
    "horizon": 250,
}


def environment() -> gymnasium.Env:
    return gymnasium.make(ENVIRONMENT, **COST)


def train(timesteps: int = 500_000, seed: int = SEED) -> tuple[PPO, VecNormalize]:
    env = VecNormalize(make_vec_env(environment, 8, seed=seed), gamma=0.98)
    model = PPO(
        "MlpPolicy",
        env,
        n_steps=512,
        batch_size=256,
        gamma=0.98,
        learning_rate=LinearSchedule(1e-3, 0.0, 1.0),
        policy_kwargs={"net_arch": [64, 64], "activation_fn": nn.Tanh, "log_std_init": 1.0},
        seed=seed,
        device="cpu",
    )
    return model.learn(timesteps), env


if __name__ == "__main__":
    sys.path.insert(0, str(FOLDER.parent))
    from common import publish

    model, normalizer = train()
    publish(
        FOLDER,
        model,
        environment,
        seed=SEED,
        reward_band=(180, 250),
        expected={
            "verdict": "certified",
            "theorem": "lyapunov",
            "words": "rests near upright; so does every trajectory of the nonlinear loop from a chain of ellipsoids",
        },
        made="trained on normalised observations and rewards",
        normalizer=normalizer,
        environment="lipctrl/CartPole-v0",
    )
