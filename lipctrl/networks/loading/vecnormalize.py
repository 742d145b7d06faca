"""Observation statistics of Stable-Baselines3's VecNormalize, read inertly.

The deployed map starts with  y -> clip((y - mean) / sqrt(var + epsilon), -clip_obs, +clip_obs).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipctrl.errors import LoadError, UnsupportedPolicyError
from lipctrl.networks.loading.archive import read_file
from lipctrl.networks.loading.arrays import as_array, as_number
from lipctrl.networks.loading.inert import Record, kind_of, read_pickle
from lipctrl.networks.loading.spaces import Space, read_space
from lipctrl.networks.network import Affine, Elementwise, Layer

_CLASS = "stable_baselines3.common.vec_env.vec_normalize.VecNormalize"
_STATISTICS = "stable_baselines3.common.running_mean_std.RunningMeanStd"


@dataclass(frozen=True, eq=False)
class Normalizer:
    """Running statistics of observations.

    Attributes
    ----------
    mean, var : ndarray of float64, shape (n,)
    epsilon : float
        Added to the variance under the root.
    clip_obs : float
        Bound on the normalised observation; may be infinite.
    norm_obs : bool
        False: observations pass unchanged (only rewards were normalised).
    observation_space : Space or None
        The space that the statistics were recorded on, if stored.
    """

    mean: NDArray[np.float64]
    var: NDArray[np.float64]
    epsilon: float
    clip_obs: float
    norm_obs: bool
    observation_space: Space | None = None

    def layers(self) -> list[Layer]:
        """The normaliser as layers.

        Returns
        -------
        list of layers
            One Affine with the double nearest to each gain 1 / sqrt(var + epsilon), which defines the map, and a clip.
        """
        if not self.norm_obs:
            return []
        gain = 1.0 / np.sqrt(self.var + self.epsilon)
        layers: list[Layer] = [Affine(np.diag(gain), -self.mean * gain)]
        if np.isfinite(self.clip_obs):
            layers.append(Elementwise("hardtanh", gain.size, low=-self.clip_obs, high=self.clip_obs))
        return layers


def read_vecnormalize(path: str | Path) -> Normalizer:
    """Read ``vecnormalize.pkl`` as written by ``VecNormalize.save``.

    Raises
    ------
    LoadError
        If the file is missing, damaged, or no VecNormalize; if a mean is not finite, or a variance not positive.
    UnsupportedPolicyError
        For dictionaries of observations.
    """
    return parse_vecnormalize(read_file(Path(path)), str(path))


@np.errstate(all="ignore")  # signalling NaN and overflow: what is not finite is refused by name
def parse_vecnormalize(content: bytes, what: str) -> Normalizer:
    """Read the bytes of a VecNormalize pickle; `what` is how errors name it."""
    try:
        value = read_pickle(content)
    except LoadError as error:
        raise LoadError(f"{what}: {error.message}", error.advice) from error
    state = value.state if isinstance(value, Record) else None
    if not isinstance(value, Record) or not value.calls(_CLASS) or not isinstance(state, dict):
        raise LoadError(
            f"{what} holds {kind_of(value)}, not a VecNormalize of Stable-Baselines3.",
            "Give the file that VecNormalize.save wrote during this training.",
        )
    norm_obs = state.get("norm_obs", True)
    if not isinstance(norm_obs, bool):
        raise LoadError(f"{what} does not say whether observations are normalised.", "Save the statistics again.")
    if not norm_obs:
        return Normalizer(np.zeros(0), np.ones(0), 0.0, np.inf, False)
    mean, var = _moments(state.get("obs_rms"), what)
    epsilon, clip_obs = as_number(state.get("epsilon")), as_number(state.get("clip_obs"))
    if not (np.isfinite(epsilon) and epsilon >= 0.0 and clip_obs > 0.0):
        raise LoadError(f"{what} has epsilon {epsilon} and clip_obs {clip_obs}.", "Both must be positive.")
    if not np.all(np.isfinite(mean)):
        raise LoadError(f"{what} has a mean that is NaN or infinite.", "An observation was not finite: train again.")
    if not (np.all(np.isfinite(var)) and np.all(var > 0.0)):
        bad = np.flatnonzero(~((var > 0.0) & np.isfinite(var))).tolist()
        raise LoadError(
            f"{what} has a variance that is zero, negative or not finite at observation {bad[:8]}.",
            "Such an observation never changed in training: remove it from the environment and train again.",
        )
    space = state.get("observation_space")
    return Normalizer(
        mean, var, epsilon, clip_obs, True, None if space is None else read_space(space, "space of the statistics")
    )


def _moments(value: Any, what: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if isinstance(value, dict) or (isinstance(value, Record) and value.calls("collections.OrderedDict")):
        raise UnsupportedPolicyError(
            f"{what} normalises a dictionary of observations.",
            "Flatten the observation (FlattenObservation) and train again.",
        )
    state = value.state if isinstance(value, Record) and value.calls(_STATISTICS) else None
    if not isinstance(state, dict):
        raise LoadError(f"{what} has no observation statistics.", "Give the file that VecNormalize.save wrote.")
    mean = as_array(state.get("mean")).astype(np.float64)
    var = as_array(state.get("var")).astype(np.float64)
    if mean.shape != var.shape or mean.size == 0:
        raise LoadError(
            f"{what} has a mean of shape {mean.shape}, but a variance of shape {var.shape}.", "Save it again."
        )
    return mean.reshape(-1), var.reshape(-1)
