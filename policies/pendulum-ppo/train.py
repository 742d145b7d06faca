"""PPO with state-dependent exploration on Pendulum-v1; about half a minute on one core."""

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
SEED = 2


def train(
    timesteps: int = 150_000, seed: int = SEED, wrapper: type[gymnasium.Wrapper] | None = None
) -> tuple[PPO, VecNormalize]:
    env = VecNormalize(make_vec_env("Pendulum-v1", 8, seed=seed, wrapper_class=wrapper), gamma=0.95)
    model = PPO(
        "MlpPolicy",
        env,
        n_steps=512,
        batch_size=128,
        gamma=0.95,
        learning_rate=LinearSchedule(1e-3, 0.0, 1.0),
        use_sde=True,
        sde_sample_freq=4,
        policy_kwargs={"net_arch": [64, 64], "activation_fn": nn.Tanh},
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
        lambda: gymnasium.make("Pendulum-v1"),
        seed=SEED,
        reward_band=(-200, -110),
        expected={
            "verdict": "certified",
            "theorem": "lyapunov",
            "words": "rests near upright; the linear model there is locally exponentially stable",
        },
        made="trained on normalised observations and rewards",
        normalizer=normalizer,
        environment="Pendulum-v1",
    )
