"""Networks of your own, without Stable-Baselines3: an ``.npz`` file of weights.

    numpy.savez("net.npz", W0=..., b0=..., W1=..., b1=..., activation="tanh", low=..., high=...)

W0 (n_1, n_in), b0 (n_1,), ... in order of application; the activation stands between the layers; biases may be left
out; `low` and `high`, if given, clip the output. No pickled object is read.
"""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipctrl.errors import LoadError, NetworkError
from lipctrl.networks.loading.archive import Archive
from lipctrl.networks.network import Affine, Elementwise, Layer, Network

_ADVICE = 'Write it with numpy.savez("net.npz", W0=..., b0=..., W1=..., b1=..., activation="tanh").'


@np.errstate(all="ignore")  # signalling NaN and overflow: what is not finite is refused by name
def parse_plain(content: bytes, what: str) -> Network:
    """Read the bytes of such a file; `what` is how errors name it.

    Raises
    ------
    LoadError
        If arrays are missing, left over, unreadable, not finite, or do not fit together.
    """
    archive = Archive(content, what)
    arrays = {
        name.removesuffix(".npy"): _read_array(archive.read(name), f"{what}: {name[:60]}") for name in archive.names
    }
    if len(arrays) < len(archive.names):
        raise LoadError(f"{what} names an array twice, with and without .npy.", _ADVICE)
    kind = arrays.pop("activation", np.array("identity"))
    low: Any = arrays.pop("low", None)
    high: Any = arrays.pop("high", None)
    if kind.shape != () or kind.dtype.kind != "U":
        raise LoadError(f"{what}: 'activation' is not one word.", _ADVICE)
    weights: list[tuple[NDArray[Any], NDArray[Any] | None]] = []
    while f"W{len(weights)}" in arrays:
        weight = arrays.pop(f"W{len(weights)}")
        weights.append((weight, arrays.pop(f"b{len(weights)}", None)))
    if not weights or arrays:
        raise LoadError(f"{what} has no W0, or arrays it should not have: {', '.join(sorted(arrays))[:100]}.", _ADVICE)
    if any(array is not None and array.dtype.kind not in "fiu" for pair in [*weights, (low, high)] for array in pair):
        raise LoadError(f"{what} has weights that are not real numbers.", _ADVICE)
    layers: list[Layer] = []
    try:
        for weight, bias in weights:
            if layers and str(kind) != "identity":
                layers.append(Elementwise(str(kind), layers[-1].n_out))
            layers.append(Affine(weight, bias))
        if low is not None or high is not None:
            low = -np.finfo(float).max if low is None else low
            high = np.finfo(float).max if high is None else high
            layers.append(Elementwise("hardtanh", layers[-1].n_out, low=low, high=high))
        return Network(layers)
    except NetworkError as error:
        raise LoadError(f"{what}: {error.message}", error.advice or _ADVICE) from error


def _read_array(content: bytes, what: str) -> NDArray[Any]:
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        else:
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(stream)
        raw = content[stream.tell() :]
        if dtype.kind not in "fiuU" or math.prod(shape) * dtype.itemsize != len(raw):
            raise LoadError(f"{what} is not an array of numbers, or truncated.", _ADVICE)
        return np.frombuffer(raw, dtype).reshape(shape, order="F" if fortran else "C")
    except LoadError:
        raise
    except Exception as error:  # ValueError, KeyError, SyntaxError, ... from hostile bytes
        raise LoadError(f"{what} is not a readable NumPy array ({type(error).__name__}).", _ADVICE) from error
