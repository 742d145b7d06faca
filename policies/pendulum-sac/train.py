"""SAC (ReLU, tanh squash) on Pendulum-v1; about a minute on one core."""

from __future__ import annotations

import sys
from pathlib import Path

import gymnasium
from stable_baselines3 import SAC
from stable_baselines3.common.env_util import make_vec_env

FOLDER = Path(__file__).resolve().parent
SEED = 0


def train(timesteps: int = 10_000, seed: int = SEED) -> SAC:
    env = make_vec_env("Pendulum-v1", seed=seed)
    model = SAC("MlpPolicy", env, learning_rate=1e-3, policy_kwargs={"net_arch": [64, 64]}, seed=seed, device="cpu")
    return model.learn(timesteps)


if __name__ == "__main__":
    sys.path.insert(0, str(FOLDER.parent))
    from common import publish

    publish(
        FOLDER,
        train(),
        lambda: gymnasium.make("Pendulum-v1"),
        seed=SEED,
        reward_band=(-190, -110),
        expected={
            "verdict": "certified",
            "theorem": "lyapunov",
            "words": "rests near upright; the linear model there is locally exponentially stable",
        },
        made="trained on raw observations",
        environment="Pendulum-v1",
    )
