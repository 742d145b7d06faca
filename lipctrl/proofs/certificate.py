"""Certificates as files: the blocks of proofs/FORMAT.md, written atomically and read strictly."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lipctrl.errors import CertificateError
from lipctrl.networks.enclosure import InputSet, LayerBounds
from lipctrl.networks.network import Network
from lipctrl.plants.plant import Plant

MAX_BYTES = 32 * 2**20
"""Uncompressed; the checkers read no more either."""
FORMAT, VERSION = "lipctrl-certificate", 1
DAMAGED = "The file is damaged or was written by something else: run `lipctrl certify` or `bound` again."


def hex_array(value: ArrayLike) -> Any:
    """Doubles as C99 hexadecimal strings, nested like the array.

    Raises
    ------
    CertificateError
        For NaN or infinity, which no certificate may hold.
    """
    array = np.asarray(value, dtype=np.float64)
    if not np.all(np.isfinite(array)):
        raise CertificateError("A number of the certificate is NaN or infinite.", "Nothing was proved with it.")
    return float(array).hex() if array.ndim == 0 else [hex_array(entry) for entry in array]


def from_hex(value: Any) -> Any:
    """Inverse of `hex_array`: a float or an array.

    Raises
    ------
    CertificateError
        For anything but nested lists, rows of one length, of finite doubles written in hexadecimal.
    """
    try:
        array = np.array(_floats(value), dtype=np.float64)
    except (ValueError, OverflowError, RecursionError) as error:
        raise CertificateError(f"A number of the certificate cannot be read: {error}.", DAMAGED) from error
    return float(array) if array.ndim == 0 else array


def _floats(value: Any) -> Any:
    if isinstance(value, list):
        return [_floats(entry) for entry in value]
    if not (isinstance(value, str) and value.removeprefix("-").startswith("0x")):
        raise ValueError(f"{value!r} is no hexadecimal string")
    return float.fromhex(value)


def network_block(network: Network) -> dict[str, Any]:
    return network.to_dict()


def plant_block(plant: Plant) -> dict[str, Any]:
    keys = ("A", "B", "C", "D", "dt", "x0", "y0", "u0")
    return {key: hex_array(getattr(plant, key)) for key in keys}


def input_set_block(inputs: InputSet) -> dict[str, Any]:
    return {
        "center": hex_array(inputs.center),
        "ball_generators": hex_array(inputs.ball_generators),
        "box": hex_array(inputs.box),
    }


def bounds_block(bounds: Sequence[LayerBounds]) -> list[dict[str, Any]]:
    return [
        {
            "range": None if layer.range is None else hex_array(np.column_stack([layer.range.lo, layer.range.hi])),
            "slope": hex_array(np.column_stack([layer.slope_lower, layer.slope_upper])),
            "relaxation": None if layer.relaxation is None else hex_array(np.column_stack(layer.relaxation)),
        }
        for layer in bounds
    ]


def write_certificate(certificate: dict[str, Any], path: str | os.PathLike[str]) -> Path:
    """Write a certificate as JSON (gzip if the name ends in .gz): the whole file or none.

    Raises
    ------
    CertificateError
        If it holds NaN or infinity, or the file cannot be written.
    """
    target = Path(path)
    try:
        text = json.dumps({"format": FORMAT, "version": VERSION, **certificate}, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CertificateError(
            f"The certificate cannot be written as JSON: {error}.",
            "Every number belongs into a hexadecimal string: see hex_array.",
        ) from error
    content = text.encode() + b"\n"
    if target.suffix == ".gz":
        content = gzip.compress(content, mtime=0)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, target)
    except OSError as error:
        raise CertificateError(
            f"{target} cannot be written: {error.strerror}.", "Choose another output folder."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    return target


def read_certificate(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a certificate: one JSON object of this format and version, without duplicate keys, NaN and infinity.

    What it says is not checked: that is the business of ``proofs/check.py``.

    Raises
    ------
    CertificateError
        If the file is missing, damaged, or no certificate.
    """
    try:
        with Path(path).open("rb") as stream:
            zipped = stream.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if zipped else Path(path).open("rb") as stream:
            text = stream.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise ValueError(f"it is larger than {MAX_BYTES} bytes")
        certificate = json.loads(text, object_pairs_hook=_unique, parse_constant=_refused)
    except (OSError, EOFError, zlib.error, ValueError, RecursionError) as error:
        raise CertificateError(f"{path} cannot be read as a certificate: {error}.", DAMAGED) from error
    if not isinstance(certificate, dict) or certificate.get("format") != FORMAT:
        raise CertificateError(f"{path} is no certificate of lipctrl.", "Give a file that `certify` or `bound` wrote.")
    if certificate.get("version") != VERSION:
        raise CertificateError(
            f"{path} has version {certificate.get('version')} of the format, expected {VERSION}.",
            "Read it with the lipctrl that wrote it.",
        )
    return certificate


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")
