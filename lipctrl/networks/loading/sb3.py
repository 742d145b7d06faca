"""Zips written by the save method of Stable-Baselines3 and sb3-contrib, read without running anything in them.

The member ``data`` is JSON with pickles inside, ``policy.pth`` a PyTorch state dictionary. The deployed map is
    observation -> normaliser -> clip -> actor -> [gSDE clip] -> [tanh, unscale | clip to the action bounds].
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipctrl.errors import LoadError, NetworkError, UnsupportedPolicyError
from lipctrl.networks.loading.actors import FAMILIES, Actor, read_actor
from lipctrl.networks.loading.archive import Archive
from lipctrl.networks.loading.arrays import as_array
from lipctrl.networks.loading.inert import Global, kind_of, printable, read_pickle
from lipctrl.networks.loading.spaces import Space, read_space
from lipctrl.networks.loading.torch_file import read_state_dict
from lipctrl.networks.loading.vecnormalize import Normalizer
from lipctrl.networks.network import Affine, Elementwise, Layer, Network

MAX_DATA = 32 * 2**20

_RECURRENT = "a recurrent policy has a hidden state, so it is no map from observation to action"
_REFUSED = {
    "RecurrentActorCriticPolicy": _RECURRENT,
    "RecurrentActorCriticCnnPolicy": _RECURRENT,
    "RecurrentMultiInputActorCriticPolicy": _RECURRENT,
    "MaskableActorCriticPolicy": "its actions are discrete and masked",
    "QRDQNPolicy": "its actions are discrete and its values are quantiles",
    "CrossQPolicy": "its layers carry batch renormalisation",
}


@dataclass(frozen=True)
class Agent:
    """What a zip of Stable-Baselines3 holds.

    Attributes
    ----------
    algorithm : str
        ``"PPO"``, ``"A2C"``, ``"TRPO"``, ``"SAC"``, ``"TQC"``, ``"TD3"``, ``"DDPG"``, ``"ARS"`` or ``"DQN"``.
    version : str
        Of Stable-Baselines3, or ``"before 1.0"``.
    policy_class : str
    use_sde : bool
        Exploration with generalised state-dependent noise.
    observation_space, action_space : Space
    actor : Actor
    last_observation : ndarray or None
        The last observation that training saw, as the policy saw it.
    through_vecnormalize : bool
        Whether the file shows that training went through VecNormalize. False decides nothing.
    """

    algorithm: str
    version: str
    policy_class: str
    use_sde: bool
    observation_space: Space
    action_space: Space
    actor: Actor
    last_observation: Any
    through_vecnormalize: bool

    @property
    def outside_its_space(self) -> bool:
        """Whether training saw an observation outside the declared bounds: the mark of an absent normaliser."""
        if self.last_observation is None:
            return False
        seen = self.last_observation.reshape(-1, self.observation_space.size).astype(np.float64)
        low, high = self.observation_space.bounds()
        margin = 1e-3 * np.maximum(1.0, np.maximum(np.abs(low), np.abs(high)))
        return not bool(np.all((seen >= low - margin) & (seen <= high + margin)))

    @np.errstate(all="ignore")  # signalling NaN and overflow: what is not finite is refused by name
    def network(self, normalizer: Normalizer | None, output: str) -> Network:
        """The deployed map.

        Parameters
        ----------
        normalizer : Normalizer or None
        output : str
            ``"action"``, or for discrete actions ``"logits"`` (``"q_values"`` for DQN).

        Raises
        ------
        LoadError
            If the statistics do not fit the observations, or an entry is not finite.
        UnsupportedPolicyError
            For discrete actions with ``output="action"``, or infinite bounds where they matter.
        """
        _check_output(self, output)
        try:
            return Network(self._layers(normalizer, output))
        except NetworkError as error:
            raise LoadError(error.message, error.advice) from error

    def _layers(self, normalizer: Normalizer | None, output: str) -> list[Layer]:
        layers = [*_normalizer_layers(normalizer, self.observation_space), *self.actor.layers]
        return layers + _action_layers(self.action_space, self.actor.squash) if output == "action" else layers


@np.errstate(all="ignore")  # signalling NaN and overflow: what is not finite is refused by name
def read_agent(content: bytes, what: str) -> Agent:
    """Read the bytes of a zip of Stable-Baselines3; `what` is how errors name it.

    Raises
    ------
    LoadError
        If it is no such zip, or damaged.
    UnsupportedPolicyError
        If it holds a policy that is not modelled (images, dictionaries, recurrence, an unknown algorithm).
    """
    archive = Archive(content, what)
    if "data" not in archive.names or "policy.pth" not in archive.names:
        raise LoadError(
            f"{what} has no members 'data' and 'policy.pth'.",
            "Give the zip that model.save of Stable-Baselines3 wrote.",
        )
    data = _read_json(archive.read("data"), what)
    policy = _policy_class(_entry(data, "policy_class", what))
    observation_space = read_space(_entry(data, "observation_space", what), "observation space")
    action_space = read_space(_entry(data, "action_space", what), "action space")
    _check_spaces(observation_space, action_space)
    state = read_state_dict(archive.read("policy.pth"), f"{what}: policy.pth")
    use_sde = data.get("use_sde", False) is True
    n_out = action_space.size if action_space.n is None else action_space.n
    try:
        keywords = _entry(data, "policy_kwargs", what)
        actor = read_actor(policy, keywords, use_sde, state, observation_space.size, n_out)
    except NetworkError as error:
        raise LoadError(error.message, error.advice) from error
    version = "before 1.0"
    if "_stable_baselines3_version" in archive.names:
        version = printable(archive.read("_stable_baselines3_version")[:40].decode("ascii", "replace").strip())
    last = _last_observation(data, observation_space, what)
    algorithm = _algorithm(policy, data)
    # these keep the observation before normalisation only if there is one; off-policy algorithms always keep it
    normalised = algorithm in ("PPO", "A2C", "TRPO", "ARS") and data.get("_last_original_obs") is not None
    return Agent(algorithm, version, policy, use_sde, observation_space, action_space, actor, last, normalised)


def _read_json(content: bytes, what: str) -> dict[str, Any]:
    if len(content) > MAX_DATA:
        raise LoadError(f"{what}: member 'data' has {len(content)} bytes, over the limit of {MAX_DATA}.")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise LoadError(f"{what}: member 'data' names one thing twice.", "Readers would disagree: save it again.")
        return dict(pairs)

    try:
        data = json.loads(content, object_pairs_hook=unique)
    except LoadError:
        raise
    except Exception as error:  # JSONDecodeError, UnicodeDecodeError, RecursionError, too many digits
        raise LoadError(f"{what}: member 'data' is not readable JSON ({type(error).__name__}).") from error
    if not isinstance(data, dict):
        raise LoadError(f"{what}: member 'data' is not a JSON object.", "It was not saved by Stable-Baselines3.")
    return data


def _entry(data: dict[str, Any], name: str, what: str) -> Any:
    """One entry of the JSON; where it carries a pickle, that pickle (never the rounded text beside it)."""
    if name not in data:
        raise LoadError(
            f"{what}: member 'data' has no {name!r}.", "It was not saved by Stable-Baselines3, or not whole."
        )
    value = data[name]
    if isinstance(value, dict) and ":serialized:" in value:
        try:
            content = base64.b64decode(value[":serialized:"], validate=True)
        except Exception as error:  # TypeError, binascii.Error
            raise LoadError(f"{what}: {name!r} is not base64 text.", "The file is damaged: save it again.") from error
        return read_pickle(content)
    return value


def _policy_class(value: Any) -> str:
    name = str(value) if isinstance(value, Global) else ""
    if name in FAMILIES:
        return name
    short = name.rpartition(".")[2]
    if short in _REFUSED:
        raise UnsupportedPolicyError(
            f"{short} is not modelled: {_REFUSED[short]}.", "Train an MlpPolicy of PPO, SAC or TD3."
        )
    if "Cnn" in short or "MultiInput" in short:
        raise UnsupportedPolicyError(
            f"{short} sees images or dictionaries.", "Only MlpPolicy on a flat Box is modelled."
        )
    raise UnsupportedPolicyError(
        f"The policy class {kind_of(value)} is not known.",
        "Known: MlpPolicy of PPO, A2C, TRPO, SAC, TQC, TD3, DDPG, ARS, DQN. A file does not tell the forward pass of "
        "your own class: write its weights with numpy.savez instead.",
    )


def _algorithm(policy: str, data: dict[str, Any]) -> str:
    module = policy.split(".")[-3] if policy.count(".") >= 2 else ""
    if module == "common":
        return "PPO" if "clip_range" in data else "TRPO" if "cg_max_steps" in data else "A2C"
    if module == "td3":
        return "DDPG" if data.get("target_noise_clip") == 0.0 and data.get("policy_delay") == 1 else "TD3"
    return module.upper()


def _check_spaces(observation_space: Space, action_space: Space) -> None:
    if observation_space.kind != "Box" or observation_space.is_image:
        found = "images" if observation_space.is_image else f"a {observation_space.kind} space"
        raise UnsupportedPolicyError(f"The policy observes {found}.", "Only a Box of plain numbers is modelled.")
    if action_space.kind not in ("Box", "Discrete"):
        raise UnsupportedPolicyError(
            f"The policy acts on a {action_space.kind} space.", "Only Box and Discrete are modelled."
        )


def _check_output(agent: Agent, output: str) -> None:
    discrete = agent.action_space.kind == "Discrete"
    values = "q_values" if agent.algorithm == "DQN" else "logits"
    allowed = values if discrete else "action"
    if output not in ("action", "logits", "q_values"):
        raise LoadError(f"output={output!r} is unknown.", "Use 'action', 'logits' or 'q_values'.")
    if output == allowed:
        return
    if discrete and output == "action":
        raise UnsupportedPolicyError(
            f"{agent.algorithm} chooses among {agent.action_space.n} discrete actions: no continuous map, so no gain.",
            f"Load with output={values!r} to bound the network in front of the choice.",
        )
    raise LoadError(f"This {agent.algorithm} agent has no output {output!r}.", f"Load with output={allowed!r}.")


def _normalizer_layers(normalizer: Normalizer | None, space: Space) -> list[Layer]:
    if normalizer is None or not normalizer.norm_obs:
        return []
    if normalizer.mean.size != space.size:
        raise LoadError(
            f"The statistics are of {normalizer.mean.size} observations, the policy has {space.size}.",
            "Give the vecnormalize.pkl of this very training.",
        )
    recorded = normalizer.observation_space
    if recorded is not None and not recorded.same_as(space):
        raise LoadError(
            f"The statistics were recorded on {recorded}, but the policy observes {space}: other bounds or order.",
            "Give the vecnormalize.pkl of this very training.",
        )
    return normalizer.layers()


def _action_layers(space: Space, squash: bool) -> list[Layer]:
    low, high = space.bounds()
    if squash and not np.all(np.isfinite(low) & np.isfinite(high)):
        raise UnsupportedPolicyError(
            "The policy squashes its action into infinite bounds, which gives NaN.",
            "Give the action space finite bounds.",
        )
    if squash:
        half = (high - low) / 2.0
        return [Elementwise("tanh", low.size), Affine(np.diag(half), low + half)]
    if np.all(np.isneginf(low) & np.isposinf(high)):
        return []
    largest = np.finfo(np.float64).max  # a clip there changes no double, and a certificate can hold it
    return [Elementwise("hardtanh", low.size, low=np.maximum(low, -largest), high=np.minimum(high, largest))]


def _last_observation(data: dict[str, Any], space: Space, what: str) -> Any:
    if data.get("_last_obs") is None:
        return None
    try:
        last = as_array(_entry(data, "_last_obs", what))
    except LoadError:
        return None
    fits = last.dtype.kind in "fiu" and last.shape[-len(space.shape) :] == space.shape and last.size
    return last if fits and np.all(np.isfinite(last)) else None
