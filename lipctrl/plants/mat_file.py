"""Numeric matrices of a MATLAB file, level 5 (what save -v6 and -v7 write) or level 4, and nothing else of it.

scipy.io.loadmat dies with a segmentation fault on some damaged level 5 files, and returns other numbers than were
meant for level 4 files of old machines. This reader follows MathWorks, "MAT-File Format" (level 5: data elements of
type and length, padded to 8 bytes; level 4: five integers, a name, the numbers), checks every length against what is
there, and skips whatever is no real, full matrix (structures, cells, text, sparse and complex matrices), unless that
has a name that is asked for.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MAX_BYTES = 2**26
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_MATRIX, _COMPRESSED = 14, 15
_NUMERIC_CLASSES = range(6, 16)
_COMPLEX = 0x0800
_LEVEL_4 = ("f8", "f4", "i4", "i2", "u2", "u1")


def read_mat(content: bytes, asked: Collection[str] = ()) -> dict[str, Array]:
    """The real, full, two-dimensional numeric matrices of the file by name.

    Raises
    ------
    ValueError
        If the file is no MATLAB file of these levels, or damaged, or something `asked` for is no such matrix, or there
        twice.
    """
    named = [(name, matrix) for name, matrix in _named(content) if name]
    found = dict(named)
    if len(found) < len(named):
        raise ValueError("it names a matrix twice")
    strange = sorted(name for name, matrix in found.items() if matrix is None and name in asked)
    if strange:
        raise ValueError(f"{', '.join(strange)} is no real, full matrix of numbers (see MATLAB's full and double)")
    return {name: matrix for name, matrix in found.items() if matrix is not None}


def _named(content: bytes) -> Iterator[tuple[str, Array | None]]:
    """Name and matrix, or None for what is no real, full matrix, of each variable."""
    if len(content) > MAX_BYTES:
        raise ValueError(f"it has {len(content)} bytes, more than {MAX_BYTES}")
    if content[:4] == b"\x89HDF" or content[512:516] == b"\x89HDF" or content[124:126] == b"\x00\x02":
        raise ValueError("it is a version 7.3 file: save it with -v7")
    if len(content) >= 128 and content[126:128] in (b"IM", b"MI"):
        return _level_5(content[128:], "<" if content[126:128] == b"IM" else ">")
    return _level_4(content)


def _elements(content: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Type and bytes of each data element."""
    start = 0
    while start < len(content):
        if start + 8 > len(content):
            raise ValueError("an element is cut off")
        kind, size = struct.unpack_from(f"{order}II", content, start)
        first, padded = start + 8, size + (-size % 8 if kind != _COMPRESSED else 0)
        if kind >> 16:  # a small element: two bytes of length, two of type, four of data
            kind, size, first, padded = kind & 0xFFFF, kind >> 16, start + 4, 4
        if size > padded or first + size > len(content):
            raise ValueError("an element is longer than the file")
        yield kind, content[first : first + size]
        start = first + padded


def _level_5(content: bytes, order: str) -> Iterator[tuple[str, Array | None]]:
    left = MAX_BYTES
    for kind, part in _elements(content, order):
        if kind == _COMPRESSED:
            unpacked = zlib.decompressobj()
            try:
                inner = unpacked.decompress(part, left + 1)
            except zlib.error as error:
                raise ValueError(f"a compressed element is damaged ({error})") from error
            left -= len(inner)
            if left < 0 or not unpacked.eof:
                raise ValueError("a compressed element is too large or cut off")
            kind, part = next(_elements(inner, order), (0, b""))
        if kind == _MATRIX:
            yield _matrix(part, order)


def _matrix(content: bytes, order: str) -> tuple[str, Array | None]:
    parts = list(_elements(content, order)) if content else []
    name = next((data.decode("latin-1") for kind, data in parts[1:3] if kind in (1, 16)), "")
    if len(parts) < 3 or parts[0][0] != 6 or len(parts[0][1]) != 8 or parts[1][0] != 5 or parts[2][0] not in (1, 16):
        return name, None
    (flags,) = struct.unpack_from(f"{order}I", parts[0][1])
    shape = np.frombuffer(parts[1][1], f"{order}i4")
    if flags & 0xFF not in _NUMERIC_CLASSES or flags & _COMPLEX or shape.size != 2 or len(parts) != 4:
        return name, None
    kind, data = parts[3]
    if kind not in _NUMBERS:
        raise ValueError(f"numbers are stored as the unknown type {kind}")
    return name, _shaped(data, np.dtype(order + _NUMBERS[kind]), *map(int, shape))


def _level_4(content: bytes) -> Iterator[tuple[str, Array | None]]:
    start = 0
    while start < len(content):
        if start + 20 > len(content):
            raise ValueError("it is no MATLAB file, or cut off")
        kind, rows, columns, imaginary, length = struct.unpack_from("<5i", content, start)
        order = "<"
        if not 0 <= kind < 5000:
            kind, rows, columns, imaginary, length = struct.unpack_from(">5i", content, start)
            order = ">"
        machine, zero, stored, use = kind // 1000, kind // 100 % 10, kind // 10 % 10, kind % 10
        if machine != (order == ">") or zero or stored >= len(_LEVEL_4) or use > 2 or imaginary not in (0, 1):
            raise ValueError("it is no MATLAB file of level 4 or 5, or of a machine without IEEE numbers")
        dtype = np.dtype(order + _LEVEL_4[stored])
        size = rows * columns * dtype.itemsize * (1 + imaginary)
        name, first = content[start + 20 : start + 20 + length], start + 20 + length
        if min(rows, columns) < 0 or not 0 < length < 1000 or first + size > len(content):
            raise ValueError("a matrix is longer than the file")
        plain = use == 0 and not imaginary
        matrix = _shaped(content[first : first + size], dtype, rows, columns) if plain else None
        yield name.rstrip(b"\0").decode("latin-1"), matrix
        start = first + size


def _shaped(data: bytes, dtype: np.dtype[np.generic], rows: int, columns: int) -> Array:
    if min(rows, columns) < 0 or rows * columns * dtype.itemsize != len(data):
        raise ValueError(f"a matrix of {rows} rows and {columns} columns holds {len(data)} bytes")
    return np.frombuffer(data, dtype).reshape((rows, columns), order="F").astype(np.float64)
