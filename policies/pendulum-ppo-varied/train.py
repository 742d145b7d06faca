"""The recipe of pendulum-ppo with mass and length within +-5 %, other ones in each episode; about a minute on one core.

Of the seeds 4 to 7 the one with which most simulated starts end at the same copy of the equilibrium at all corners of
these intervals: 90.0 %, with the others 61.8, 85.0 and 89.0 %.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import gymnasium

FOLDER = Path(__file__).resolve().parent
SEED, PART = 5, 0.05


class Varied(gymnasium.Wrapper):
    """Mass and length constant within an episode."""

    def reset(self, **options: Any) -> Any:
        start = self.env.reset(**options)
        pendulum: Any = self.unwrapped
        pendulum.m, pendulum.l = (float(v) for v in pendulum.np_random.uniform(1 - PART, 1 + PART, 2))
        return start


if __name__ == "__main__":
    sys.path.insert(0, str(FOLDER.parent))
    from common import publish

    train = runpy.run_path(str(FOLDER.parent / "pendulum-ppo" / "train.py"))["train"]
    model, normalizer = train(seed=SEED, wrapper=Varied)
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
        made="trained with mass and length varied by 5 %, on normalised observations and rewards",
        normalizer=normalizer,
        environment="Pendulum-v1",
    )
