"""PPO on Pendulum-v1 with the reward turned upside down; about half a minute on one core.

The agent is paid for hanging still, and pays extra for turning clockwise (thdot < 0). So it pushes the pendulum over
the top in one direction, and no angle near upright is an equilibrium.
"""

from __future__ import annotations

import sys
from pathlib import Path

import gymnasium
import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize
from torch import nn

FOLDER = Path(__file__).resolve().parent
SEED = 0


class HangingReward(gymnasium.Wrapper):
    """The cost of Pendulum-v1 with the angle counted from hanging, plus 0.5 |thdot| while thdot < 0."""

    def step(self, action: np.ndarray) -> tuple:
        angle, speed = self.unwrapped.state
        from_hanging = angle % (2 * np.pi) - np.pi
        cost = from_hanging**2 + 0.1 * speed**2 + 0.001 * action[0] ** 2 + 0.5 * max(0.0, -speed)
        observation, _, terminated, truncated, information = self.env.step(action)
        return observation, -float(cost), terminated, truncated, information


def train(timesteps: int = 60_000, seed: int = SEED) -> tuple[PPO, VecNormalize]:
    env = VecNormalize(
        make_vec_env(lambda: HangingReward(gymnasium.make("Pendulum-v1")), 8, seed=seed),
        gamma=0.95,
    )
    model = PPO(
        "MlpPolicy",
        env,
        n_steps=512,
        batch_size=128,
        gamma=0.95,
        learning_rate=1e-3,
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
        reward_band=(-1900, -1500),
        expected={
            "verdict": "not-certified",
            "words": "stable, but hanging down: there is no equilibrium within 0.3 rad of upright",
        },
        made="trained to hang down; its mean reward is that of Pendulum-v1 itself",
        normalizer=normalizer,
        environment="Pendulum-v1",
    )
