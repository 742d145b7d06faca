"""From the parameters of a Stable-Baselines3 policy to the layers of its deterministic actor.

| policy class      | actor                                                     | then                     |
|-------------------|-----------------------------------------------------------|--------------------------|
| ActorCriticPolicy | [shared_net], policy_net, action_net                      | clip (gSDE: or squash)   |
| SACPolicy, TQC    | latent_pi, mu, with gSDE Hardtanh(+-clip_mean)            | squash: tanh and unscale |
| TD3Policy (DDPG)  | actor.mu, not actor_target                                | squash                   |
| ARSPolicy         | action_net, biases optional                               | squash or clip           |
| DQNPolicy         | q_net, not q_net_target                                   | greedy: values only      |

Every parameter must be accounted for: one that is not known to be outside the actor is an error, never skipped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipctrl.errors import LoadError, UnsupportedPolicyError
from lipctrl.networks.loading.activations import RELU, TANH, Nonlinearity, read_activation
from lipctrl.networks.loading.arrays import as_number
from lipctrl.networks.loading.inert import Global, Record, kind_of, printable
from lipctrl.networks.network import Affine, Elementwise, Layer

Weights = tuple[NDArray[Any], NDArray[Any]]

_FLATTEN = "stable_baselines3.common.torch_layers.FlattenExtractor"
# fmt: off
_KEYWORDS = frozenset([
    "net_arch", "activation_fn", "ortho_init", "use_sde", "log_std_init", "full_std", "sde_net_arch", "use_expln",
    "squash_output", "clip_mean", "features_extractor_class", "features_extractor_kwargs", "share_features_extractor",
    "normalize_images", "optimizer_class", "optimizer_kwargs", "n_critics", "n_quantiles",
    "top_quantiles_to_drop_per_net", "with_bias", "device", "lr_schedule",
])
# fmt: on


@dataclass(frozen=True)
class Family:
    """What a policy class computes: where its actor lies and what it takes by default.

    `actor` names stacks of layers in order; a trailing ``.*`` is a Sequential with an activation at every odd place.
    """

    activation: Nonlinearity
    actor: tuple[str, ...]
    outside: tuple[str, ...]
    squash: bool
    squash_keyword: bool = False
    bias_optional: bool = False
    clips_mean: bool = False


_SOFT = Family(
    RELU,
    ("actor.latent_pi.*", "actor.mu"),
    ("actor.log_std", "critic.", "critic_target.", "actor.sde_features_extractor."),
    squash=True,
    clips_mean=True,
)

FAMILIES = {
    "stable_baselines3.common.policies.ActorCriticPolicy": Family(
        TANH,
        ("mlp_extractor.shared_net.*", "mlp_extractor.policy_net.*", "action_net"),
        ("mlp_extractor.value_net.", "value_net.", "log_std", "sde_features_extractor."),
        squash=False,
        squash_keyword=True,
    ),
    "stable_baselines3.sac.policies.SACPolicy": _SOFT,
    "sb3_contrib.tqc.policies.TQCPolicy": _SOFT,
    "stable_baselines3.td3.policies.TD3Policy": Family(
        RELU, ("actor.mu.*",), ("actor_target.", "critic.", "critic_target."), squash=True
    ),
    "sb3_contrib.ars.policies.ARSPolicy": Family(
        RELU, ("action_net.*",), (), squash=True, squash_keyword=True, bias_optional=True
    ),
    "sb3_contrib.ars.policies.ARSLinearPolicy": Family(
        RELU, ("action_net.*",), (), squash=False, squash_keyword=True, bias_optional=True
    ),
    "stable_baselines3.dqn.policies.DQNPolicy": Family(RELU, ("q_net.q_net.*",), ("q_net_target.",), squash=False),
}


@dataclass(frozen=True)
class Actor:
    """Layers from the normalised observation to the mean action (or logits), and whether tanh and unscaling follow."""

    layers: tuple[Layer, ...]
    squash: bool
    activation: Nonlinearity


def read_actor(
    policy: str, keywords: Any, use_sde: bool, state: dict[str, NDArray[Any]], n_in: int, n_out: int
) -> Actor:
    """Assemble the deterministic actor.

    Parameters
    ----------
    policy : str
        A key of :data:`FAMILIES`.
    keywords : dict
        The recorded ``policy_kwargs``.
    use_sde : bool
        Whether the agent explores with generalised state-dependent noise (gSDE).
    state : dict of str to ndarray
        The policy's state dictionary.
    n_in, n_out : int
        Sizes of the observation and of the action (number of values if discrete).

    Raises
    ------
    UnsupportedPolicyError
        For a features extractor, activation or keyword that is not modelled.
    LoadError
        If parameters are missing, left over, or do not fit together.
    """
    family = FAMILIES[policy]
    keywords = _checked(keywords)
    use_sde = use_sde or keywords.get("use_sde") is True
    activation = read_activation(keywords["activation_fn"]) if "activation_fn" in keywords else family.activation
    clip_mean = as_number(keywords.get("clip_mean", 2.0))
    if not np.isfinite(clip_mean):
        raise LoadError("The policy's clip_mean is not a finite number.", "Save the agent again.")
    clips_mean = family.clips_mean and use_sde and clip_mean > 0.0
    prefixes = [*family.actor[:-1], "actor.mu.0"] if clips_mean else list(family.actor)
    if family.bias_optional and "action_net.weight" in state:  # the linear ARS policy before 1.4
        prefixes = ["action_net"]
    rest = dict(state)
    weights = [layer for prefix in prefixes for layer in _stack(rest, prefix, family.bias_optional)]
    left = sorted(name for name in rest if not name.startswith(family.outside))
    if left:
        raise UnsupportedPolicyError(
            f"The policy has parameters that are not modelled: {printable(', '.join(left[:4]))}.",
            "Features extractors, normalisation layers and recurrence are outside: use a plain MlpPolicy.",
        )
    if not weights:
        raise LoadError(f"The policy has no parameters under {prefixes[-1]!r}.", "The file is damaged: save it again.")
    _check_architecture(keywords.get("net_arch"), [weight.shape[0] for weight, _ in weights[:-1]])
    layers = _chain(weights, activation, n_in, n_out)
    if clips_mean:
        layers.append(Elementwise("hardtanh", n_out, low=-clip_mean, high=clip_mean))
    return Actor(tuple(layers), _squash(family, keywords, use_sde), activation)


def _chain(weights: list[Weights], activation: Nonlinearity, n_in: int, n_out: int) -> list[Layer]:
    kind, parameters = activation
    layers: list[Layer] = []
    width = n_in
    for position, (weight, bias) in enumerate(weights):
        if weight.shape[1] != width:
            raise LoadError(f"A layer takes {weight.shape[1]} values, but {width} arrive.", "The file is damaged.")
        width = weight.shape[0]
        layers.append(Affine(weight, bias))
        if position < len(weights) - 1 and kind != "identity":
            layers.append(Elementwise(kind, width, **parameters))
    if width != n_out:
        raise LoadError(f"The policy gives {width} values, but the action space has {n_out}.", "The file is damaged.")
    return layers


def _checked(keywords: Any) -> dict[str, Any]:
    if isinstance(keywords, Record) and keywords.calls("collections.OrderedDict") and keywords.args == ():
        keywords = dict(keywords.pairs)
    if not isinstance(keywords, dict) or not all(isinstance(name, str) for name in keywords):
        raise LoadError(f"The policy_kwargs are {kind_of(keywords)}, not a dictionary.", "Save the agent again.")
    unknown = sorted(set(keywords) - _KEYWORDS)
    if unknown:
        raise UnsupportedPolicyError(f"The policy_kwargs {printable(', '.join(unknown))} are not modelled.")
    extractor = keywords.get("features_extractor_class")
    if extractor is not None and not (isinstance(extractor, Global) and str(extractor) == _FLATTEN):
        raise UnsupportedPolicyError(
            f"The policy has the features extractor {kind_of(extractor)}.",
            "Only FlattenExtractor (the default) is modelled.",
        )
    return keywords


def _squash(family: Family, keywords: dict[str, Any], use_sde: bool) -> bool:
    if not family.squash_keyword:
        return family.squash
    squash = keywords.get("squash_output", family.squash)
    if not isinstance(squash, bool):
        raise LoadError("The policy's squash_output is not a truth value.", "Save the agent again.")
    if squash and not family.bias_optional and not use_sde:
        raise LoadError("The policy has squash_output without gSDE, which Stable-Baselines3 refuses.")
    return squash


def _stack(rest: dict[str, NDArray[Any]], prefix: str, bias_optional: bool) -> list[Weights]:
    """Take the linear layers under one prefix."""
    if prefix.endswith(".*"):
        pattern = re.compile(re.escape(prefix[:-1]) + r"(0|[1-9]\d{0,3})\.weight")
        places = sorted(int(match.group(1)) for match in map(pattern.fullmatch, rest) if match)
        if places != list(range(0, 2 * len(places), 2)):
            raise UnsupportedPolicyError(
                f"The layers under {prefix[:-2]!r} are not Linear and activation in turn.",
                "Normalisation, dropout and other layers are not modelled: train a plain MlpPolicy.",
            )
        names = [f"{prefix[:-1]}{place}" for place in places]
    else:
        names = [prefix]
    return [_linear(rest, name, bias_optional) for name in names]


def _linear(rest: dict[str, NDArray[Any]], name: str, bias_optional: bool) -> Weights:
    weight, bias = rest.pop(f"{name}.weight", None), rest.pop(f"{name}.bias", None)
    if weight is None:
        raise LoadError(
            f"The policy has no parameter {name + '.weight'!r}.", "The file is damaged: save the agent again."
        )
    if bias is None and not bias_optional:
        raise LoadError(f"The layer {name!r} has no bias.", "The file is damaged: save the agent again.")
    if weight.ndim != 2 or weight.dtype.kind != "f" or 0 in weight.shape:
        raise LoadError(f"The weight of {name!r} has shape {weight.shape} and dtype {weight.dtype}.")
    bias = np.zeros(weight.shape[0]) if bias is None else bias
    if bias.shape != weight.shape[:1] or bias.dtype.kind != "f":
        raise LoadError(f"The bias of {name!r} has shape {bias.shape}, expected {weight.shape[:1]}.")
    return weight, bias


def _check_architecture(given: Any, widths: list[int]) -> None:
    """The stored ``net_arch``, in any of its forms, must agree with the parameters."""
    if given is None:
        return
    expected: list[Any] = []
    for part in given if isinstance(given, list | tuple) else [given]:
        layers = part.get("pi", []) if isinstance(part, dict) else [part]
        expected.extend(layers if isinstance(layers, list | tuple) else [layers])
    if not all(isinstance(width, int) and not isinstance(width, bool) for width in expected) or expected != widths:
        raise LoadError(
            f"The file contradicts itself: hidden layers of {widths} neurons, but another net_arch.",
            "The file is damaged or forged: save the agent again.",
        )
