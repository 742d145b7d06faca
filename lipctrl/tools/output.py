"""The output folder: files appear whole or not at all."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from lipctrl.errors import LipctrlError

SUFFIX = ".certificate.json"


def certificate_name(claim: str) -> str:
    """File name of the certificate of a claim: "Lyapunov (sectors)" gives lyapunov-sectors.certificate.json."""
    return re.sub(r"[^a-z0-9]+", "-", claim.lower()).strip("-") + SUFFIX


@contextlib.contextmanager
def staged(folder: Path, outdated: tuple[str, ...] = ()) -> Iterator[Path]:
    """A temporary folder whose files move into `folder` when the block ends without an exception.

    Parameters
    ----------
    folder : Path
        Made if it does not exist.
    outdated : tuple of str
        Files of an earlier run that are removed unless the block wrote them anew.

    Raises
    ------
    LipctrlError
        If the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix=".lipctrl-", dir=folder))
    except OSError as error:
        raise LipctrlError(
            f"The output folder {folder} cannot be written: {error.strerror or error}.", "Choose another with -o."
        ) from error
    try:
        yield stage
        written = {path.name for path in stage.iterdir()}
        for name in written:
            os.replace(stage / name, folder / name)
        for name in set(outdated) - written:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise LipctrlError(
            f"Writing into {folder} failed: {error.strerror or error}.", "Check free space and permissions."
        ) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def to_json(value: Any) -> str:
    """Strict JSON; see :func:`plain`."""
    return json.dumps(plain(value), indent=2, allow_nan=False, ensure_ascii=False)


def plain(value: Any) -> Any:
    """A value as JSON can hold it: arrays as lists, verdicts and trust as words, NaN and infinity as null."""
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | str) else str(value)
