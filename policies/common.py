"""What every training script shares: saving, evaluation, the reference actions and the card."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import zipfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import gymnasium
import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize

torch.set_num_threads(1)

EPISODES = 100
EVALUATION_SEED = 1000
PACKAGES = ("stable-baselines3", "torch", "gymnasium", "numpy", "control")


def publish(
    folder: Path,
    model: BaseAlgorithm,
    make_env: Callable[[], gymnasium.Env],
    *,
    seed: int,
    reward_band: tuple[float, float],
    expected: dict[str, str],
    made: str,
    normalizer: VecNormalize | None = None,
    environment: str | None = None,
    plant: dict[str, Any] | None = None,
) -> None:
    """Write model.zip, vecnormalize.pkl, plant.json, reference.npz and card.json into `folder`.

    Everything that is measured is measured on the files as a reader finds them.

    Parameters
    ----------
    make_env : callable
        Makes one environment, in which the mean reward is measured.
    reward_band : (low, high)
        Where the mean reward of a retraining is expected.
    expected : dict
        What lipctrl is expected to say: ``verdict``, ``theorem`` (optional) and ``words``.
    made : str
        How the agent was made, in words.
    normalizer : VecNormalize, optional
        The statistics of the observations, if the agent was trained on normalised ones.
    environment, plant
        The Gymnasium id, or the plant's content for plant.json.
    """
    model.save(folder / "model.zip")
    _clean(folder / "model.zip")
    files = ["model.zip"]
    if normalizer is not None:
        normalizer.save(str(folder / "vecnormalize.pkl"))
        files.append("vecnormalize.pkl")
    if plant is not None:
        (folder / "plant.json").write_text(json.dumps(plant, indent=1) + "\n")

    agent = type(model).load(folder / "model.zip", device="cpu")
    venv: VecEnv = DummyVecEnv([lambda: Monitor(make_env())])
    venv.seed(EVALUATION_SEED)
    statistics = None
    if normalizer is not None:
        venv = statistics = VecNormalize.load(str(folder / "vecnormalize.pkl"), venv)
        statistics.training = statistics.norm_reward = False
    mean, std = evaluate_policy(agent, venv, EPISODES, deterministic=True)
    venv.seed(EVALUATION_SEED)
    nothing, _ = evaluate_policy(NoAction(agent), venv, EPISODES)

    observations = _observations(make_env(), model.action_space)
    seen = observations if statistics is None else statistics.normalize_obs(observations)
    actions, _ = agent.predict(seen, deterministic=True)
    np.savez(folder / "reference.npz", obs=observations, action=actions)

    card = {
        "name": folder.name,
        "environment": environment,
        "plant": None if plant is None else "plant.json",
        "algorithm": type(model).__name__,
        "made": made,
        "seed": seed,
        "versions": {
            "python": platform.python_version(),
            **{package.replace("-", "_"): version(package) for package in PACKAGES},
        },
        "command": f"python policies/{folder.name}/train.py",
        "timesteps": model.num_timesteps,
        "mean_reward": round(float(mean), 2),
        "std_reward": round(float(std), 2),
        "mean_reward_without_action": round(float(nothing), 2),
        "episodes": EPISODES,
        "reward_band": list(reward_band),
        "model": "model.zip",
        "vecnormalize": None if normalizer is None else "vecnormalize.pkl",
        "sha256": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files},
        "expected": expected,
    }
    (folder / "card.json").write_text(json.dumps(card, indent=1) + "\n")
    inside = reward_band[0] <= mean <= reward_band[1]
    print(f"{folder.name}: {mean:.1f} +- {std:.1f}, {'inside' if inside else 'OUTSIDE'} the band {list(reward_band)}")


class NoAction:
    """The policy u = 0, in the same episodes: what any agent should beat."""

    def __init__(self, agent: BaseAlgorithm) -> None:
        self.action = np.zeros((1, *agent.action_space.shape), dtype=np.float32)

    def predict(self, *_: Any, **__: Any) -> tuple[np.ndarray, None]:
        return self.action, None


def _observations(env: gymnasium.Env, actions: gymnasium.Space) -> np.ndarray:
    """64 raw observations, float32: four moments of 16 episodes of random actions."""
    actions.seed(EVALUATION_SEED)
    found = []
    for episode in range(16):
        observation, _ = env.reset(seed=EVALUATION_SEED + episode)
        for step in range(31):
            if step % 10 == 0:
                found.append(observation)
            observation, *_ = env.step(actions.sample())
    return np.array(found, dtype=np.float32)


def _clean(path: Path) -> None:
    """Rewrite the zip without the line on the operating system and without times."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    lines = members["system_info.txt"].decode().splitlines(keepends=True)
    members["system_info.txt"] = "".join(line for line in lines if "OS:" not in line).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
