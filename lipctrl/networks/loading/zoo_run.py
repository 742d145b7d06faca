"""The two small YAML files of an RL Zoo run: which environment, whether observations were normalised.

RL Zoo writes them as tagged Python objects that a YAML library would have to construct. Only the keys and the text
of their values are needed, so the lines are read as text and nothing is constructed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lipctrl.errors import LoadError
from lipctrl.networks.loading.archive import read_file
from lipctrl.networks.loading.inert import printable

MAX_YAML = 2**20
_PAIR_KEY = re.compile(r"(?:- - - |  - - )(\S+)")
_PLAIN_KEY = re.compile(r"([A-Za-z_]\w*):(?: +(.*))?")


@dataclass(frozen=True)
class ZooRun:
    """What `args.yml` and `config.yml` say.

    Attributes
    ----------
    environment : str or None
    normalized : bool or None
        Whether observations were normalised; None if there is no configuration.
    wrappers : str
        Text of the wrappers around the environment, empty if none.
    frame_stack : str
        Text of the number of stacked observations, empty if none.
    keywords : str
        Text of the arguments with which the environment was made, empty if none.
    """

    environment: str | None = None
    normalized: bool | None = None
    wrappers: str = ""
    frame_stack: str = ""
    keywords: str = ""

    @property
    def has_time_input(self) -> bool:
        """Whether an observation of the time was added."""
        return "TimeFeature" in self.wrappers

    @property
    def has_history(self) -> bool:
        """Whether observations of earlier steps were added."""
        return "History" in self.wrappers or self.frame_stack not in ("", "1", "null")


def read_zoo_run(folder: Path) -> ZooRun:
    """Read the files of one folder; absent files leave their entries empty.

    Raises
    ------
    LoadError
        If a file is too large or not text.
    """
    arguments = _read_if_present(folder / "args.yml")
    config = _read_if_present(folder / "config.yml")
    environment = printable((arguments or {}).get("env", "")) or None
    given = (arguments or {}).get("env_kwargs", "")
    keywords = "" if given in ("null", "{}") else printable(given)
    if config is None:
        return ZooRun(environment, keywords=keywords)
    named = (config.get(name, "") for name in ("env_wrapper", "vec_env_wrapper"))
    wrappers = printable(" ".join(text for text in named if text != "null"))
    return ZooRun(environment, _normalizes(config), wrappers.strip(), config.get("frame_stack", ""), keywords)


def _normalizes(config: dict[str, str]) -> bool:
    text = config.get("normalize", "false")
    if text.lower() in ("false", "null", ""):
        return False
    given = text + config.get("normalize_kwargs", "")
    return re.search(r"norm_obs['\"]*\s*[:=]\s*(False|false)", given) is None


def _read_if_present(path: Path) -> dict[str, str] | None:
    if not path.is_file():
        return None
    content = read_file(path)
    if len(content) > MAX_YAML:
        raise LoadError(f"{path} has {len(content)} bytes, over the limit of {MAX_YAML}.", "It is not of RL Zoo.")
    try:
        return parse_yaml(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise LoadError(f"{path} is not text.", "Remove it, or give the zip and its statistics by name.") from error


def parse_yaml(text: str) -> dict[str, str]:
    """Top-level keys and the text of their values: ``key: value`` lines, or RL Zoo's lists of pairs."""
    values: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        pair, plain = _PAIR_KEY.fullmatch(line), _PLAIN_KEY.fullmatch(line)
        if pair:
            current = values.setdefault(pair[1], [])
        elif plain:
            current = values.setdefault(plain[1], [])
            current.append(plain[2] or "")
        elif not line.startswith("!!"):
            current.append(line.strip().removeprefix("- "))
    return {key: _unquote(" ".join(lines).strip()) for key, lines in values.items()}


def _unquote(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1].replace("''", "'")
    return text
