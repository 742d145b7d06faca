"""From a file or folder to a Policy: the deployed map together with where it came from and what is missing."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike, NDArray

from lipctrl.errors import LoadError, MissingNormalizerError
from lipctrl.networks.loading.archive import read_file
from lipctrl.networks.loading.plain import parse_plain
from lipctrl.networks.loading.sb3 import Agent, read_agent
from lipctrl.networks.loading.sources import Sources, find_sources
from lipctrl.networks.loading.spaces import Space
from lipctrl.networks.loading.vecnormalize import Normalizer, parse_vecnormalize
from lipctrl.networks.network import Affine, Elementwise, Network

APPLIED = "applied"
LEFT_OUT = "left out on request"
NOT_NEEDED = "not needed"
UNKNOWN = "unknown"


@dataclass(frozen=True, eq=False)
class Policy:
    """A trained policy, ready to be bounded and certified.

    Attributes
    ----------
    network : Network
        The whole deployed map, from raw observation to action in the environment's units (or to logits).
    algorithm : str
        ``"PPO"``, ``"SAC"``, ...; ``"network"`` for plain weights.
    path : Path
        The file that was read.
    sha256 : str
        Of that file.
    version : str
        Of Stable-Baselines3; empty for plain weights.
    observation_space, action_space : Space or None
        As stored in the file; None for plain weights.
    normalizer : Normalizer or None
        The observation statistics that are part of `network`.
    normalization : str
        ``"applied"``, ``"not needed"`` (a file says so), ``"left out on request"`` or ``"unknown"``.
    output : str
        ``"action"``, ``"logits"`` or ``"q_values"``.
    environment : str or None
        Name of the environment, if a file beside the zip tells it.
    plant_path : Path or None
        The plant that the folder's card names.
    time_input, history_input : bool
        Whether the observation holds the time, or earlier observations: then the policy alone is no feedback law.
    card : dict
        Contents of the folder's card, empty if there is none.
    notes : tuple of str
        What a reader should know, in words.
    """

    network: Network
    algorithm: str
    path: Path
    sha256: str
    version: str = ""
    observation_space: Space | None = None
    action_space: Space | None = None
    normalizer: Normalizer | None = None
    normalization: str = UNKNOWN
    output: str = "action"
    environment: str | None = None
    plant_path: Path | None = None
    time_input: bool = False
    history_input: bool = False
    card: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()

    def __call__(self, observation: ArrayLike) -> NDArray[Any]:
        """Evaluate the network at raw observations, shape (..., n)."""
        return self.network(observation)

    def summary(self) -> dict[str, Any]:
        """Where the policy comes from, as plain data."""
        return {
            "name": self.path.parent.name if self.card is not None else self.path.stem,
            "file": str(self.path),
            "sha256": self.sha256,
            "algorithm": self.algorithm,
            "stable_baselines3": self.version or None,
            "environment": self.environment,
            "normalizer": self.normalization,
            "output": self.output,
            "notes": list(self.notes),
        }

    def describe(self) -> dict[str, Any]:
        """What the file holds and what is missing, as plain data in the order to print it."""
        return self.summary() | {
            "observation": None if self.observation_space is None else str(self.observation_space),
            "action": None if self.action_space is None else str(self.action_space),
            "layers": [_describe_layer(layer) for layer in self.network.layers],
            "neurons": self.network.n_neurons,
            "network_sha256": self.network.sha256,
            "plant": None if self.plant_path is None else str(self.plant_path),
        }

    def __repr__(self) -> str:
        return f"Policy({self.algorithm}, {self.path.name}, {self.network!r}, normalizer {self.normalization})"


def load_policy(
    path: str | os.PathLike[str],
    vecnormalize: str | os.PathLike[str] | None = None,
    normalize: bool | None = None,
    output: str = "action",
) -> Policy:
    """Load a policy without executing anything of it; neither PyTorch nor Stable-Baselines3 is needed.

    Parameters
    ----------
    path : path
        A zip of Stable-Baselines3 or sb3-contrib, an ``.npz`` of plain weights, or a folder: one with a card, an RL Zoo
        run, or one that holds a single zip.
    vecnormalize : path, optional
        Observation statistics; by default those that lie beside the zip.
    normalize : bool, optional
        True: statistics are required. False: leave them out; the network then takes normalised observations. By
        default they are applied where found and required where a file tells that training used them.
    output : str
        ``"action"``; ``"logits"`` or, for DQN, ``"q_values"`` for the network in front of a discrete choice.

    Returns
    -------
    Policy

    Raises
    ------
    LoadError
        If the file is missing, damaged, forged, or not what it claims to be.
    UnsupportedPolicyError
        If it holds something that is not modelled.
    MissingNormalizerError
        If training used normalised observations and the statistics are not at hand.
    """
    try:
        return _load(Path(path), vecnormalize, normalize, output)
    except LoadError as error:
        if error.advice:
            raise
        raise type(error)(error.message, "The file is damaged or forged: save or download it again.") from error


def _load(path: Path, vecnormalize: str | os.PathLike[str] | None, normalize: bool | None, output: str) -> Policy:
    sources = find_sources(path)
    content = read_file(sources.model)
    if sources.card is not None:
        sources.card.check(sources.model, content)
    sha256 = hashlib.sha256(content).hexdigest()
    if sources.model.suffix == ".npz":
        return _plain(sources, content, sha256, vecnormalize, output)
    agent = read_agent(content, sources.model.name)
    normalizer, normalization = _find_normalizer(sources, agent, vecnormalize, normalize)
    card = sources.card
    return Policy(
        network=agent.network(normalizer, output),
        algorithm=agent.algorithm,
        path=sources.model,
        sha256=sha256,
        version=agent.version,
        observation_space=agent.observation_space,
        action_space=agent.action_space,
        normalizer=normalizer,
        normalization=normalization,
        output=output,
        environment=(card.environment if card is not None else None) or sources.run.environment,
        plant_path=card.file(card.plant) if card is not None and card.plant is not None else None,
        time_input=sources.run.has_time_input,
        history_input=sources.run.has_history,
        card=None if card is None else card.contents,
        notes=tuple(_notes(sources, agent, normalizer, normalization)),
    )


def _plain(sources: Sources, content: bytes, sha256: str, vecnormalize: Any, output: str) -> Policy:
    if vecnormalize is not None or output != "action":
        raise LoadError(
            "An .npz of plain weights takes neither statistics nor another output.", "Put them into its layers."
        )
    network = parse_plain(content, sources.model.name)
    return Policy(network, "network", sources.model, sha256, normalization=NOT_NEEDED)


def _find_normalizer(
    sources: Sources, agent: Agent, vecnormalize: str | os.PathLike[str] | None, normalize: bool | None
) -> tuple[Normalizer | None, str]:
    if normalize is False:
        if vecnormalize is not None:
            raise LoadError("Statistics were given together with normalize=False.", "Leave one of them out.")
        return None, LEFT_OUT
    path = sources.statistics if vecnormalize is None else Path(vecnormalize)
    if path is not None:
        content = read_file(path)
        if sources.card is not None and path == sources.statistics:
            sources.card.check(path, content)
        normalizer = parse_vecnormalize(content, path.name)
        return (normalizer, APPLIED) if normalizer.norm_obs else (None, NOT_NEEDED)
    # a card that names no statistics, or a configuration, knows better: rewards alone may have been normalised
    recorded = agent.through_vecnormalize and sources.card is None and sources.run.normalized is not False
    if normalize or sources.run.normalized or agent.outside_its_space or recorded:
        reason = (
            "you asked for normalize=True"
            if normalize
            else "its config.yml says so"
            if sources.run.normalized
            else "the last observation it saw lies outside its observation space"
            if agent.outside_its_space
            else "its file holds an observation from before VecNormalize"
        )
        raise MissingNormalizerError(
            f"The agent in {sources.model.name} takes normalised observations ({reason}), but there are no statistics.",
            "Give vecnormalize=<file that VecNormalize.save wrote>, or normalize=False to look at the bare network "
            "(which is the deployed map if VecNormalize scaled rewards only).",
        )
    return None, NOT_NEEDED if sources.run.normalized is False or sources.card is not None else UNKNOWN


def _notes(sources: Sources, agent: Agent, normalizer: Normalizer | None, normalization: str) -> list[str]:
    notes = []
    if normalization == UNKNOWN:
        notes.append("No file tells whether training normalised the observations (VecNormalize); taken as not.")
    if normalization == LEFT_OUT:
        notes.append("Statistics left out: if training normalised observations, no claim is about the environment.")
    if normalizer is not None and sources.statistics is not None and sources.card is None:
        notes.append(f"Observation statistics: {sources.statistics.name} beside the zip.")
    if sources.run.has_time_input:
        notes.append("The observation holds the time: the loop is not autonomous, so no stability is claimed.")
    if sources.run.has_history:
        notes.append("The observation holds earlier observations: the policy has a memory.")
    changed = [
        sources.run.keywords,
        "" if sources.run.has_time_input or sources.run.has_history else sources.run.wrappers,
    ]
    for how in filter(None, changed):
        notes.append(f"Training changed the environment ({how}): one made by its id alone is another plant.")
    if sources.others:
        notes.append(f"Other models in the folder: {', '.join(sources.others)[:200]}.")
    if agent.use_sde:
        notes.append("Explores with gSDE; the deterministic action is meant.")
    return notes


def _describe_layer(layer: Affine | Elementwise) -> str:
    if isinstance(layer, Affine):
        return f"affine {layer.n_in} -> {layer.n_out}"
    values = [f"{name} {value.min():g}..{value.max():g}" for name, value in layer.parameters.items()]
    return f"{layer.kind} {layer.n}" + (f" ({', '.join(values)})" if values else "")
