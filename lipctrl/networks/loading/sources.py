"""Which files make up a policy: a zip, a policy folder with its card, or an RL Zoo run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lipctrl.errors import LoadError
from lipctrl.networks.loading.card import Card, read_card
from lipctrl.networks.loading.zoo_run import ZooRun, read_zoo_run

_SUFFIXES = (".zip", ".npz")
_CHECKPOINT = re.compile(r"(.+)_(\d+)_steps")


@dataclass(frozen=True)
class Sources:
    """The files found for one policy.

    Attributes
    ----------
    model : Path
        The zip (or npz).
    statistics : Path or None
        The vecnormalize file that lies beside it.
    card : Card or None
        Only if it describes this model.
    run : ZooRun
        Empty if there are no RL Zoo files.
    others : tuple of str
        Names of other models in the folder.
    """

    model: Path
    statistics: Path | None
    card: Card | None
    run: ZooRun
    others: tuple[str, ...] = ()


def find_sources(path: Path) -> Sources:
    """Find the files that belong to a zip or to a folder.

    Raises
    ------
    LoadError
        If nothing, or nothing unambiguous, is there.
    """
    try:
        return _in_folder(path) if path.is_dir() else _of_file(path)
    except (OSError, ValueError) as error:
        raise LoadError(f"{path} cannot be read: {error}.", "Check the path and its permissions.") from error


def _of_file(path: Path) -> Sources:
    if not path.exists() and path.suffix != ".zip" and path.with_name(path.name + ".zip").is_file():
        path = path.with_name(path.name + ".zip")
    if not path.exists():
        raise LoadError(f"There is no file or folder {path}.", "Check the path.")
    card = read_card(path.parent)
    if card is not None and card.model != path.name:
        card = None
    inner = _run_folder(path.parent)
    return Sources(path, _statistics(path, inner, card), card, read_zoo_run(inner))


def _in_folder(folder: Path) -> Sources:
    card = read_card(folder)
    inner = _run_folder(folder)
    run = read_zoo_run(inner)
    models = sorted(entry for entry in folder.iterdir() if entry.suffix in _SUFFIXES and entry.name != "reference.npz")
    if card is not None and card.model is not None:
        model = card.file(card.model)
    else:
        model = _choose(folder, models, run)
    others = tuple(entry.name for entry in models if entry != model)
    return Sources(model, _statistics(model, inner, card), card, run, others)


def _choose(folder: Path, models: list[Path], run: ZooRun) -> Path:
    """The only model or zip; else the finished one of an RL Zoo run, named like its environment; else best_model."""
    if not models:
        raise LoadError(f"{folder} holds no zip.", "Give a zip of Stable-Baselines3, or the folder that holds one.")
    zips = [entry for entry in models if entry.suffix == ".zip"]
    if len(models) == 1 or len(zips) == 1:  # an .npz beside a zip is rather data, such as evaluations.npz
        return (zips or models)[0]
    by_name = {entry.name: entry for entry in models}
    for name in (run.environment, re.sub(r"_\d+$", "", folder.name), "best_model"):
        if name is not None and f"{name}.zip" in by_name:
            return by_name[f"{name}.zip"]
    raise LoadError(f"{folder} holds several models: {', '.join(sorted(by_name))[:200]}.", "Name one of them.")


def _run_folder(folder: Path) -> Path:
    """RL Zoo keeps its files in the run's folder or in a folder of the environment's name inside it."""
    if (folder / "config.yml").is_file() or (folder / "args.yml").is_file():
        return folder
    nested = sorted(entry.parent for entry in folder.glob("*/config.yml"))
    return nested[0] if len(nested) == 1 else folder


def _statistics(model: Path, inner: Path, card: Card | None) -> Path | None:
    if card is not None:
        return None if card.vecnormalize is None else card.file(card.vecnormalize)
    checkpoint = _CHECKPOINT.fullmatch(model.stem)
    names = [f"{checkpoint[1]}_vecnormalize_{checkpoint[2]}_steps.pkl"] if checkpoint else []
    for folder in (model.parent, inner):
        for name in [*names, "vecnormalize.pkl", "vec_normalize.pkl"]:
            if (folder / name).is_file():
                return folder / name
    return None
