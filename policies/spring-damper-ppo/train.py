"""PPO on a spring-mass-damper that comes from a python-control StateSpace; about half a minute on one core.

The plant is fixed: m q'' + c q' + k q = f with m = 1 kg, c = 0.4 N s/m, k = 4 N/m (2 rad/s, damping ratio 0.1),
position and velocity measured, the force sampled every 0.05 s with a zero-order hold and limited to 1 N.
The agent adds damping. Its gain stays small enough for the small-gain theorem with the LipSDP bound.
"""

from __future__ import annotations

import sys
from pathlib import Path

import control
import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecNormalize
from torch import nn

from lipctrl.plants.environment import StateSpaceEnv

FOLDER = Path(__file__).resolve().parent
SEED = 0
MASS, DAMPING, STIFFNESS, SAMPLING_TIME = 1.0, 0.4, 4.0, 0.05
PRICE = 6.0


def plant() -> control.StateSpace:
    names = ["position", "velocity"]
    continuous = control.ss(
        [[0, 1], [-STIFFNESS / MASS, -DAMPING / MASS]],
        [[0], [1 / MASS]],
        np.eye(2),
        0,
        states=names,
        inputs=["force"],
        outputs=names,
    )
    return control.sample_system(continuous, SAMPLING_TIME, method="zoh", name="spring-mass-damper")


def environment() -> StateSpaceEnv:
    """The cost is twice the energy and the price of the force."""
    return StateSpaceEnv(plant(), Q=np.diag([STIFFNESS, MASS]), R=PRICE)


def train(timesteps: int = 100_000, seed: int = SEED) -> PPO:
    env = VecNormalize(make_vec_env(environment, 8, seed=seed), norm_obs=False, gamma=0.97)
    model = PPO(
        "MlpPolicy",
        env,
        n_steps=256,
        batch_size=128,
        gamma=0.97,
        learning_rate=LinearSchedule(1e-3, 0.0, 1.0),
        policy_kwargs={"net_arch": [32, 32, 32], "activation_fn": nn.Tanh},
        seed=seed,
        device="cpu",
    )
    return model.learn(timesteps)


def describe(sampled: control.StateSpace) -> dict[str, object]:
    """What plant.json holds."""
    return {
        "name": "spring-mass-damper",
        "comment": "m q'' + c q' + k q = f, m = 1 kg, c = 0.4 N s/m, k = 4 N/m; zero-order hold; position in m, "
        "velocity in m/s, force in N",
        **{key: getattr(sampled, key).tolist() for key in "ABCD"},
        "dt": SAMPLING_TIME,
        "state_names": sampled.state_labels,
        "input_names": sampled.input_labels,
        "output_names": sampled.output_labels,
    }


if __name__ == "__main__":
    sys.path.insert(0, str(FOLDER.parent))
    from common import publish

    publish(
        FOLDER,
        train(),
        environment,
        seed=SEED,
        reward_band=(-65, -50),
        expected={
            "verdict": "certified",
            "theorem": "small_gain",
            "words": "global small gain holds with the LipSDP-Neuron bound and fails with the product of norms",
        },
        made="trained on raw observations and normalised rewards",
        plant=describe(plant()),
    )
