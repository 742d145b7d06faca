"""The recipe of pendulum-ppo, stopped when it has hardly begun; a few seconds on one core."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import gymnasium

FOLDER = Path(__file__).resolve().parent
SEED, TIMESTEPS = 2, 16_384

if __name__ == "__main__":
    sys.path.insert(0, str(FOLDER.parent))
    from common import publish

    model, normalizer = runpy.run_path(str(FOLDER.parent / "pendulum-ppo" / "train.py"))["train"](TIMESTEPS, SEED)
    publish(
        FOLDER,
        model,
        lambda: gymnasium.make("Pendulum-v1"),
        seed=SEED,
        reward_band=(-1700, -900),
        expected={
            "verdict": "refuted",
            "theorem": "instability",
            "words": "the equilibrium near upright is unstable: its gain there is too low to hold the pendulum up",
        },
        made="the recipe of pendulum-ppo, stopped after 16384 steps",
        normalizer=normalizer,
        environment="Pendulum-v1",
    )
