"""The card of a policy folder: what it holds, where it came from, and the hash that ties them together."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lipctrl.errors import LoadError
from lipctrl.networks.loading.archive import read_file

MAX_CARD = 2**20
NAME = "card.json"
_TEXTS = ("environment", "algorithm", "plant", "model", "vecnormalize")


@dataclass(frozen=True)
class Card:
    """The contents of ``card.json``.

    Attributes
    ----------
    folder : Path
    environment, algorithm, plant, model, vecnormalize : str or None
        `plant`, `model` and `vecnormalize` are names of files in the folder.
    sha256 : dict of str to str
        Hashes by file name.
    contents : dict
        Everything the card says.
    """

    folder: Path
    environment: str | None = None
    algorithm: str | None = None
    plant: str | None = None
    model: str | None = None
    vecnormalize: str | None = None
    sha256: dict[str, str] = field(default_factory=dict)
    contents: dict[str, Any] = field(default_factory=dict)

    def file(self, name: str) -> Path:
        """Path of a file that the card names.

        Raises
        ------
        LoadError
            If the name leaves the folder or the file is missing.
        """
        path = self.folder / name
        if Path(name).name != name or name in ("", ".", ".."):
            raise LoadError(f"The card names the file {name[:100]!r}, which is not in its folder.", "Correct the card.")
        if not path.is_file():
            raise LoadError(
                f"The card names {name!r}, but {self.folder} has no such file.", "Restore it or correct the card."
            )
        return path

    def check(self, path: Path, content: bytes) -> None:
        """Compare a file with the hash on the card, if the card has one.

        Raises
        ------
        LoadError
            If they differ.
        """
        expected, found = self.sha256.get(path.name), hashlib.sha256(content).hexdigest()
        if expected is not None and expected.lower() != found:
            raise LoadError(
                f"{path} has the SHA-256 {found[:16]}..., but its card says {expected[:16]}...: another file.",
                "Restore the file, or write a new card if it was trained again.",
            )


def read_card(folder: Path) -> Card | None:
    """Read the card of a folder; None if it has none.

    Raises
    ------
    LoadError
        If the card is not readable JSON, or an entry has the wrong type.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    content = read_file(path)
    if len(content) > MAX_CARD:
        raise LoadError(f"{path} has {len(content)} bytes, over {MAX_CARD}.", "Correct or remove the card.")
    try:
        contents = json.loads(content)
    except LoadError:
        raise
    except Exception as error:  # JSONDecodeError, UnicodeDecodeError, RecursionError, too many digits
        raise LoadError(
            f"{path} is not readable JSON ({type(error).__name__}).", "Correct or remove the card."
        ) from error
    if not isinstance(contents, dict):
        raise LoadError(f"{path} is not a JSON object.", "Correct or remove the card.")
    texts = {name: contents.get(name) for name in _TEXTS}
    for name, text in texts.items():
        if text is not None and not isinstance(text, str):
            raise LoadError(f"{path}: {name!r} is not text.", "Correct the card.")
    hashes = contents.get("sha256") or {}
    if isinstance(hashes, str):
        hashes = {texts["model"] or "model.zip": hashes}
    if not isinstance(hashes, dict) or not all(isinstance(text, str) for text in hashes.values()):
        raise LoadError(f"{path}: 'sha256' is not a table of file names and hashes.", "Correct the card.")
    return Card(folder, **texts, sha256=hashes, contents=contents)
