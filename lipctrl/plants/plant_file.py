"""Plants from .json, .mat and .npz files."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lipctrl.errors import PlantError
from lipctrl.plants.mat_file import MAX_BYTES, read_mat
from lipctrl.plants.plant import DT_ADVICE, Plant


def plant_from_file(path: str | Path) -> Plant:
    """Read a plant from a ``.json``, ``.mat`` or ``.npz`` file that holds A, B, C, D and dt.

    D may be missing (zero). x0, u0, y0 and, in JSON, name, state_names, input_names and output_names are read if there.

    Raises
    ------
    PlantError
        If the file is missing, unreadable or lacks A, B, C or dt. Pickled arrays are never loaded.
    """
    path = Path(path)
    if path.suffix.lower() not in PLANT_FILES:
        raise PlantError(
            f"{path.name} is not a plant file.", "Give a .json, .mat or .npz file that holds A, B, C, D and dt."
        )
    if not path.is_file():
        raise PlantError(f"There is no file {path}.", "Check the path.")
    if (size := path.stat().st_size) > MAX_BYTES:
        raise PlantError(
            f"{path.name} has {size} bytes, more than {MAX_BYTES}.", "A plant file holds A, B, C, D and dt."
        )
    try:
        content = PLANT_FILES[path.suffix.lower()](path)
    except PlantError:
        raise
    except Exception as error:
        raise PlantError(
            f"{path.name} could not be read: {error}.",
            f"Write A, B, C, D and dt as plain numeric arrays into the {path.suffix} file.",
        ) from error
    missing = [key for key in ("A", "B", "C") if key not in content]
    if missing:
        raise PlantError(
            f"{path.name} holds {', '.join(sorted(content)) or 'nothing'}, but {' and '.join(missing)} are missing.",
            "A plant file holds A, B, C, D and dt.",
        )
    if "dt" not in content:
        raise PlantError(f"{path.name} does not say its sampling time dt.", DT_ADVICE)
    return Plant(**{"name": path.stem, **content})


_NUMBERS = {"A": 2, "B": 2, "C": 2, "D": 2, "x0": 1, "u0": 1, "y0": 1}
_WORDS = ("state_names", "input_names", "output_names")


def _read_json(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_unique)
    if not isinstance(content, dict):
        raise PlantError(f"{path.name} is not a JSON object.", 'Write {"A": [[...]], "B": ..., "C": ..., "dt": 0.05}.')
    _refuse_unknown(path, content, (*_NUMBERS, "dt", "name", "comment", *_WORDS))
    content.pop("comment", None)
    return content


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("it names one thing twice")
    return dict(pairs)


def _refuse_unknown(path: Path, content: Collection[str], known: Sequence[str]) -> None:
    unknown = sorted(set(content) - set(known))
    if unknown:
        raise PlantError(f"{path.name} holds the unknown keys {', '.join(unknown)}.", f"Known are {', '.join(known)}.")


def _read_mat(path: Path) -> dict[str, Any]:
    """Of a workspace, which may hold more; but d, X0 or DT are hardly meant to be something else where D is missing."""
    found = read_mat(path.read_bytes(), {*_NUMBERS, "dt"})
    missing = {key.lower(): key for key in (*_NUMBERS, "dt") if key not in found}
    for name in found:
        if name.lower() in missing:
            raise PlantError(
                f"{path.name} holds {name}, but no {missing[name.lower()]}.",
                f"Rename it to {missing[name.lower()]}, or leave it out.",
            )
    return _from_arrays(found)


def _read_npz(path: Path) -> dict[str, Any]:
    if not zipfile.is_zipfile(path):
        raise PlantError(
            f"{path.name} could not be read: it is no .npz archive.",
            "Write it with numpy.savez(path, A=A, B=B, C=C, dt=dt).",
        )
    with zipfile.ZipFile(path) as archive:
        if sum(info.file_size for info in archive.infolist()) > MAX_BYTES:
            raise PlantError(
                f"{path.name} unpacks to more than {MAX_BYTES} bytes.", "It should hold A, B, C, D and dt."
            )
    with np.load(path, allow_pickle=False) as archive:
        _refuse_unknown(path, archive.files, (*_NUMBERS, "dt"))
        return _from_arrays(_unique([(key, archive[key]) for key in archive.files]))


def _from_arrays(arrays: Mapping[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, ndim in _NUMBERS.items():
        if key in arrays:
            content[key] = np.atleast_2d(arrays[key]) if ndim == 2 else np.ravel(arrays[key])
    if "dt" in arrays:
        if np.size(arrays["dt"]) != 1:
            raise PlantError(f"dt has {np.size(arrays['dt'])} entries, expected one number.", DT_ADVICE)
        content["dt"] = np.ravel(arrays["dt"])[0]
    return content


PLANT_FILES = {".json": _read_json, ".mat": _read_mat, ".npz": _read_npz}
