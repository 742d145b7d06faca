"""PyTorch state dictionaries without PyTorch: the zip format and the legacy format before PyTorch 1.6.

Both hold a pickle whose tensors are (storage, offset, sizes, strides) and the storages as raw bytes. Offsets and
strides come from the file, so every reachable element is checked to lie inside its storage.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipctrl.errors import LoadError
from lipctrl.networks.loading.archive import Archive
from lipctrl.networks.loading.arrays import as_shape
from lipctrl.networks.loading.inert import Global, Persistent, Record, kind_of, printable, read_pickle, read_pickle_at

MAX_STATE = 256 * 2**20
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_STORAGES = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "b1",
}
_RESAVE = "Load it with the PyTorch that wrote it and save it again with torch.save."

Storage = Callable[[Any], NDArray[Any]]


def read_state_dict(content: bytes, what: str) -> dict[str, NDArray[Any]]:
    """Read a file written by ``torch.save(module.state_dict())``.

    Parameters
    ----------
    content : bytes
        The whole file.
    what : str
        How errors name it.

    Returns
    -------
    dict of str to ndarray
        In the file's own precision (float32 usually).

    Raises
    ------
    LoadError
        If it is neither format, damaged, or its tensors do not fit their storages.
    """
    if content[:4] == b"PK\x03\x04":
        state, storage = _open_zip(content, what)
    else:
        state, storage = _open_legacy(content, what)
    tensors, total = {}, 0
    for name, value in _entries(state, what):
        tensors[name] = _tensor(value, storage, f"{what}: {printable(name, 100)}")
        total += tensors[name].nbytes
        if total > MAX_STATE:
            raise LoadError(f"{what} holds more than {MAX_STATE} bytes of tensors.")
    return tensors


def _open_zip(content: bytes, what: str) -> tuple[Any, Storage]:
    archive = Archive(content, what)
    pickles = [name for name in archive.names if name.split("/")[1:] == ["data.pkl"]]
    if len(pickles) != 1:
        raise LoadError(f"{what} has {len(pickles)} members called data.pkl, expected one.", _RESAVE)
    root = pickles[0].split("/")[0]
    if f"{root}/byteorder" in archive.names and archive.read(f"{root}/byteorder").strip() != b"little":
        raise LoadError(f"{what} was written on a big-endian machine.", _RESAVE)
    cache: dict[str, NDArray[Any]] = {}

    def storage(identity: Any) -> NDArray[Any]:
        dtype, key, count = _storage_identity(identity, what)
        if key not in cache:
            raw = archive.read(f"{root}/data/{key}")
            cache[key] = _numbers(raw, dtype, count, what)
        return _same(cache[key], dtype, count, what)

    return read_pickle(archive.read(pickles[0]), persistent=True), storage


def _open_legacy(content: bytes, what: str) -> tuple[Any, Storage]:
    if content[:13] != b"\x80\x02\x8a\x0a" + struct.pack("<Q", _LEGACY_MAGIC & (2**64 - 1)) + b"\x50":
        raise LoadError(f"{what} is not a PyTorch file.", _RESAVE)
    magic, position = read_pickle_at(content, 0)
    version, position = read_pickle_at(content, position)
    system, position = read_pickle_at(content, position)
    if magic != _LEGACY_MAGIC or version != _LEGACY_PROTOCOL or not isinstance(system, dict):
        raise LoadError(f"{what} is a legacy PyTorch file of an unknown version.", _RESAVE)
    if system.get("little_endian") is not True:
        raise LoadError(f"{what} was written on a big-endian machine.", _RESAVE)
    state, position = read_pickle_at(content, position, persistent=True)
    keys, position = read_pickle_at(content, position)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or len(set(keys)) != len(keys):
        raise LoadError(f"{what} has an unreadable list of storages.", _RESAVE)
    declared = _legacy_storages(state, what)
    storages: dict[str, NDArray[Any]] = {}
    for key in keys:
        if key not in declared:
            raise LoadError(f"{what} holds a storage that nothing refers to.", _RESAVE)
        dtype, count = declared[key]
        if len(content) - position < 8 or struct.unpack_from("<q", content, position) != (count,):
            raise LoadError(f"{what}: a storage is truncated or not of the declared size.", _RESAVE)
        end = position + 8 + count * dtype.itemsize
        storages[key] = _numbers(content[position + 8 : end], dtype, count, what)
        position = end

    def storage(identity: Any) -> NDArray[Any]:
        dtype, key, count = _storage_identity(identity, what)
        if key not in storages:
            raise LoadError(f"{what}: a storage is missing.", _RESAVE)
        return _same(storages[key], dtype, count, what)

    return state, storage


def _legacy_storages(state: Any, what: str) -> dict[str, tuple[np.dtype[Any], int]]:
    declared = {}
    for _, value in _entries(state, what):
        tensor = _unwrap(value)
        if isinstance(tensor, Record) and isinstance(tensor.args, tuple) and tensor.args:
            dtype, key, count = _storage_identity(tensor.args[0], what)
            declared[key] = (dtype, count)
    return declared


def _storage_identity(value: Any, what: str) -> tuple[np.dtype[Any], str, int]:
    identity = value.identity if isinstance(value, Persistent) else None
    if not isinstance(identity, tuple) or len(identity) not in (5, 6) or identity[0] != "storage":
        raise LoadError(f"{what}: a tensor does not refer to a storage.", _RESAVE)
    kind, key, count = identity[1], identity[2], identity[4]
    if not isinstance(kind, Global) or kind.module != "torch" or kind.name not in _STORAGES:
        raise LoadError(f"{what}: storages of type {kind_of(kind)} are not read.", "Save the policy in float32.")
    if len(identity) == 6 and identity[5] is not None:
        raise LoadError(f"{what}: views of storages are not read.", _RESAVE)
    if not isinstance(key, str) or not key or "/" in key:
        raise LoadError(f"{what}: a storage has no usable name.", _RESAVE)
    (size,) = as_shape(count) if isinstance(count, int) else (-1,)
    if size < 0:
        raise LoadError(f"{what}: a storage has no size.", _RESAVE)
    return np.dtype("<" + _STORAGES[kind.name]), key, size


def _numbers(raw: bytes, dtype: np.dtype[Any], count: int, what: str) -> NDArray[Any]:
    if len(raw) != count * dtype.itemsize:
        raise LoadError(f"{what}: a storage has {len(raw)} bytes, expected {count * dtype.itemsize}.", _RESAVE)
    return np.frombuffer(raw, dtype)


def _same(array: NDArray[Any], dtype: np.dtype[Any], count: int, what: str) -> NDArray[Any]:
    if array.dtype != dtype or array.size != count:
        raise LoadError(f"{what}: a storage is declared twice, differently.", _RESAVE)
    return array


def _entries(state: Any, what: str) -> list[tuple[str, Any]]:
    if isinstance(state, Record) and state.calls("collections.OrderedDict") and state.args == ():
        pairs = state.pairs
    elif isinstance(state, dict):
        pairs = list(state.items())
    else:
        raise LoadError(f"{what} does not hold a state dictionary, but {kind_of(state)}.", "Save module.state_dict().")
    if not all(isinstance(name, str) for name, _ in pairs) or len({name for name, _ in pairs}) != len(pairs):
        raise LoadError(f"{what} has parameters without a name, or two of one name.", _RESAVE)
    return pairs


def _unwrap(value: Any) -> Any:
    if isinstance(value, Record) and value.calls("torch._utils._rebuild_parameter") and value.untouched:
        return value.args[0] if isinstance(value.args, tuple) and value.args else None
    return value


def _tensor(value: Any, storage: Storage, what: str) -> NDArray[Any]:
    record = _unwrap(value)
    known = isinstance(record, Record) and record.untouched
    known = known and record.calls("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor")
    # of seven arguments the last may say that the numbers are negated
    if not known or not isinstance(record.args, tuple) or len(record.args) < 4 or record.args[6:] not in ((), ({},)):
        raise LoadError(f"{what} is not a plain tensor, but {kind_of(value)}.", _RESAVE)
    data = storage(record.args[0])
    (offset,) = as_shape((record.args[1],))
    size, stride = as_shape(record.args[2]), as_shape(record.args[3])
    if len(size) != len(stride):
        raise LoadError(f"{what} has {len(size)} sizes, but {len(stride)} strides.", _RESAVE)
    if math.prod(size) == 0:
        return np.zeros(size, data.dtype)
    last = offset + sum((count - 1) * step for count, step in zip(size, stride, strict=True))
    if last >= data.size or math.prod(size) > data.size:
        raise LoadError(f"{what} reaches beyond its storage of {data.size} numbers.", "The file is damaged or forged.")
    strides = tuple(step * data.itemsize for step in stride)
    return np.array(np.lib.stride_tricks.as_strided(data[offset:], size, strides, writeable=False))
