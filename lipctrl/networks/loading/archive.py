"""Zip archives from strangers: members are checked before any byte is decompressed."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from lipctrl.errors import LoadError

MAX_FILE = 512 * 2**20
MAX_MEMBER = 256 * 2**20
MAX_MEMBERS = 10_000
_CENTRAL_HEADER = b"PK\x01\x02"
_ENCRYPTED = 0x1


def read_file(path: Path) -> bytes:
    """The bytes of a file, read once (so that what is hashed is what is parsed).

    Raises
    ------
    LoadError
        If the file is missing, not a plain file, unreadable, empty, or larger than 512 MiB.
    """
    try:
        if not path.exists():
            raise LoadError(f"There is no file {path}.", "Check the path.")
        if not path.is_file():
            raise LoadError(f"{path} is not a plain file.", "Name the file itself.")
        size = path.stat().st_size
        if size > MAX_FILE:
            raise LoadError(f"{path} has {size} bytes, over the limit of {MAX_FILE}.", "Policies are much smaller.")
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        raise LoadError(f"{path} cannot be read: {error}.", "Check the path and its permissions.") from error
    if not content:
        raise LoadError(f"{path} is empty.", "Save or download it again.")
    return content


class Archive:
    """The members of a zip archive.

    Parameters
    ----------
    content : bytes
        The whole archive.
    what : str
        How errors name it.

    Raises
    ------
    LoadError
        If it is not a zip archive, has duplicate, absolute, climbing (``..``), encrypted or oversized members.
    """

    def __init__(self, content: bytes, what: str) -> None:
        self.what = what
        if content.count(_CENTRAL_HEADER) > MAX_MEMBERS:
            raise LoadError(f"{what} has more than {MAX_MEMBERS} members.")
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(content))
        except Exception as error:  # BadZipFile, struct.error, ... from hostile bytes
            raise LoadError(
                f"{what} is not a readable zip archive ({type(error).__name__}).",
                "The file is truncated, damaged, or not made by the save method of Stable-Baselines3.",
            ) from error
        self._members: dict[str, zipfile.ZipInfo] = {}
        for info in self._zip.infolist():
            self._check(info)
            self._members[info.filename] = info

    def _check(self, info: zipfile.ZipInfo) -> None:
        name = info.filename
        if name in self._members:
            raise LoadError(
                f"{self.what} has two members called {name[:100]!r}.", "Readers would disagree: save it again."
            )
        if name.startswith("/") or "\\" in name or ".." in name.split("/"):
            raise LoadError(
                f"{self.what} has a member that points outside: {name[:100]!r}.", "Do not load it anywhere."
            )
        if info.flag_bits & _ENCRYPTED:
            raise LoadError(f"{self.what} is encrypted.", "Save it without a password.")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise LoadError(f"{self.what} uses an unusual compression.", "Save it again.")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._members)

    def read(self, name: str) -> bytes:
        """The bytes of one member, at most 256 MiB.

        Raises
        ------
        LoadError
            If it is missing, too large, damaged, or not as long as it claims.
        """
        info = self._members.get(name)
        if info is None:
            raise LoadError(
                f"{self.what} has no member {name!r}.", "It was not saved by Stable-Baselines3, or not whole."
            )
        if info.file_size > MAX_MEMBER:
            raise LoadError(f"{self.what}: member {name!r} would take {info.file_size} bytes, over {MAX_MEMBER}.")
        try:
            with self._zip.open(info) as stream:
                content = stream.read(MAX_MEMBER + 1)
        except Exception as error:  # BadZipFile, zlib.error, EOFError, NotImplementedError, ...
            raise LoadError(
                f"{self.what}: member {name!r} is damaged ({type(error).__name__}).", "Save or download it again."
            ) from error
        if len(content) != info.file_size:
            raise LoadError(f"{self.what}: member {name!r} has {len(content)} bytes, but claims {info.file_size}.")
        return content
