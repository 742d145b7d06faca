"""NumPy arrays and plain numbers out of an inertly read pickle: dtype, shape and bytes, nothing else."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipctrl.errors import LoadError
from lipctrl.networks.loading.inert import Global, Record, kind_of

MAX_DIMENSIONS = 8

_CODES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")
_NAMES = {np.dtype(code).name: code for code in _CODES}
_RECONSTRUCT = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
_FROMBUFFER = ("numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer")
_SCALAR = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
_BYTES = ("builtins.bytes", "__builtin__.bytes")


def as_array(value: Any) -> NDArray[Any]:
    """Rebuild a recorded NumPy array or scalar.

    Parameters
    ----------
    value : object
        From :func:`lipctrl.networks.loading.inert.read_pickle`; NumPy 1 and 2, every pickle protocol.

    Returns
    -------
    ndarray
        In native byte order, a copy.

    Raises
    ------
    LoadError
        If it is not an array of numbers, or dtype, shape and bytes do not fit together.
    """
    if isinstance(value, Record):
        if value.calls(*_RECONSTRUCT) and isinstance(value.state, tuple) and len(value.state) in (4, 5):
            shape, dtype, fortran, raw = value.state[-4:]
            return _assemble(shape, dtype, "F" if fortran is True or fortran == 1 else "C", raw)
        if value.calls(*_FROMBUFFER) and isinstance(value.args, tuple) and len(value.args) == 4:
            raw, dtype, shape, order = value.args
            return _assemble(shape, dtype, order, raw)
        if value.calls(*_SCALAR) and isinstance(value.args, tuple) and len(value.args) == 2:
            return _assemble((), value.args[0], "C", value.args[1])
    raise LoadError(f"Expected a NumPy array, found {kind_of(value)}.", "The file is damaged or of an unknown version.")


def as_number(value: Any) -> float:
    """A recorded Python or NumPy number."""
    if isinstance(value, bool | int | float):
        try:
            return float(value)
        except OverflowError as error:
            raise LoadError("A number in the file is too large for a double.") from error
    array = as_array(value)
    if array.size != 1:
        raise LoadError(f"Expected one number, found an array of shape {array.shape}.")
    return float(array.reshape(()))


def as_shape(value: Any) -> tuple[int, ...]:
    """A recorded shape: at most eight integers that are not negative."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = (value,)
    if not isinstance(value, tuple | list) or len(value) > MAX_DIMENSIONS:
        raise LoadError(f"Expected a shape of at most {MAX_DIMENSIONS} dimensions, found {kind_of(value)}.")
    if not all(isinstance(entry, int) and not isinstance(entry, bool) and 0 <= entry < 2**48 for entry in value):
        raise LoadError("A shape in the file has entries that are not sizes.")
    return tuple(value)


def as_dtype(value: Any) -> np.dtype[Any]:
    """A recorded dtype of numbers or booleans.

    Raises
    ------
    LoadError
        For structured, object, string and other dtypes.
    """
    order = ""
    if isinstance(value, Record) and value.calls("numpy.dtype") and isinstance(value.args, tuple) and value.args:
        if isinstance(value.state, tuple) and len(value.state) > 1 and value.state[1] in ("<", ">"):
            order = value.state[1]
        value = value.args[0]
    if isinstance(value, Global) and value.module == "numpy":
        value = value.name.rstrip("_")
    if isinstance(value, str):
        if value[:1] in ("<", ">", "|", "="):
            order = order or value[0].strip("|=")  # a state that is set later counts
            value = value[1:]
        code = _NAMES.get(value, value)
        if code in _CODES:
            return np.dtype(order + code)
    raise LoadError(f"Expected a dtype of numbers, found {value[:40] if isinstance(value, str) else kind_of(value)}.")


def _raw_bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return _latin(value)
    if isinstance(value, Record) and isinstance(value.args, tuple):
        args = value.args
        if value.calls("_codecs.encode") and len(args) == 2 and isinstance(args[0], str) and args[1] == "latin1":
            return _latin(args[0])
        if value.calls(*_BYTES) and not args:
            return b""
    raise LoadError(f"Expected the bytes of an array, found {kind_of(value)}.")


def _latin(text: str) -> bytes:
    try:
        return text.encode("latin1")
    except UnicodeEncodeError as error:
        raise LoadError("The bytes of an array are stored as text that is not bytes.") from error


def _assemble(shape: Any, dtype: Any, order: Any, raw: Any) -> NDArray[Any]:
    shape, dtype, raw = as_shape(shape), as_dtype(dtype), _raw_bytes(raw)
    if order not in ("C", "F"):
        raise LoadError("An array in the file has an unknown memory order.")
    expected = math.prod(shape) * dtype.itemsize
    if len(raw) != expected:
        raise LoadError(f"An array of shape {shape} and dtype {dtype} needs {expected} bytes, the file has {len(raw)}.")
    return np.frombuffer(raw, dtype).reshape(shape, order=order).astype(dtype.newbyteorder("="))
