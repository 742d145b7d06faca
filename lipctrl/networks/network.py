"""The map from observation to action as a chain of affine maps and scalar nonlinearities."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lipctrl.errors import NetworkError
from lipctrl.networks.activation import Activation, activation

Array = NDArray[np.float64]


def _frozen(value: ArrayLike, ndim: int, what: str) -> Array:
    try:
        if np.iscomplexobj(value):
            raise TypeError("complex numbers")
        array = np.array(value, dtype=np.float64, ndmin=ndim)
    except (TypeError, ValueError) as error:
        raise NetworkError(f"{what} is not an array of numbers: {error}.") from error
    if array.ndim != ndim:
        raise NetworkError(f"{what} has {array.ndim} dimensions, expected {ndim}.")
    if not np.all(np.isfinite(array)):
        raise NetworkError(
            f"{what} holds NaN or infinite entries.",
            "The training has diverged or the file is damaged: use an earlier checkpoint.",
        )
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class Affine:
    """The layer x -> W x + b.

    Parameters
    ----------
    W : array_like, shape (n_out, n_in)
    b : array_like, shape (n_out,), optional
        Zero by default.

    Raises
    ------
    NetworkError
        On shapes that do not fit, NaN or infinite entries.
    """

    W: Array
    b: Array

    def __init__(self, W: ArrayLike, b: ArrayLike | None = None) -> None:
        weight = _frozen(W, 2, "The weight matrix W")
        bias = _frozen(np.zeros(weight.shape[0]) if b is None else b, 1, "The bias b")
        if bias.shape[0] != weight.shape[0]:
            raise NetworkError(f"W has {weight.shape[0]} rows, but b has {bias.shape[0]} entries.")
        object.__setattr__(self, "W", weight)
        object.__setattr__(self, "b", bias)

    @property
    def n_in(self) -> int:
        return self.W.shape[1]

    @property
    def n_out(self) -> int:
        return self.W.shape[0]

    def __call__(self, x: Array) -> Array:
        return x @ self.W.T + self.b

    def __repr__(self) -> str:
        return f"Affine({self.n_in} -> {self.n_out})"


@dataclass(frozen=True, eq=False)
class Elementwise:
    """The layer x_i -> phi_i(x_i), one kind of scalar nonlinearity for all `n` channels.

    Parameters
    ----------
    kind : str
        A name of :data:`lipctrl.networks.activation.ACTIVATIONS`, such as ``"tanh"``, ``"relu"``, ``"hardtanh"``.
    n : int
        Number of channels.
    **parameters : array_like, shape () or (n,)
        Parameters of the nonlinearity, such as ``low`` and ``high`` of ``"hardtanh"`` (saturation).

    Raises
    ------
    NetworkError
        For an unknown kind or parameter.
    """

    kind: str
    n: int
    activation: Activation

    def __init__(self, kind: str, n: int, **parameters: ArrayLike) -> None:
        if n < 1:
            raise NetworkError(f"Elementwise({kind!r}) needs at least one channel, given {n}.")
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "n", int(n))
        object.__setattr__(self, "activation", activation(kind, int(n), **parameters))

    @property
    def parameters(self) -> dict[str, Array]:
        return self.activation.parameters

    @property
    def n_in(self) -> int:
        return self.n

    @property
    def n_out(self) -> int:
        return self.n

    def __call__(self, x: Array) -> Array:
        return self.activation.value(x)

    def __repr__(self) -> str:
        return f"Elementwise({self.kind}, {self.n})"


Layer = Affine | Elementwise


@dataclass(frozen=True, eq=False)
class Network:
    """A feed-forward network, the deployed policy from raw observation to action in the environment's units.

    Parameters
    ----------
    layers : sequence of Affine and Elementwise
        In order of application. Normaliser, squash, unscaling and action clip are ordinary layers.

    Raises
    ------
    NetworkError
        If the sequence is empty or the sizes of neighbours differ.

    Notes
    -----
    The network means the real function of its float64 entries; float32 weights widen exactly.
    """

    layers: tuple[Layer, ...]

    def __init__(self, layers: Sequence[Layer]) -> None:
        chain = tuple(layers)
        if not chain:
            raise NetworkError("A network needs at least one layer.")
        for layer in chain:
            if type(layer) not in (Affine, Elementwise):  # a subclass may be another map
                raise NetworkError(
                    f"Unknown layer {type(layer).__name__}.", "Express the network as Affine and Elementwise layers."
                )
        for position, (before, after) in enumerate(pairwise(chain)):
            if before.n_out != after.n_in:
                raise NetworkError(
                    f"Layer {position} ({before!r}) gives {before.n_out} values, "
                    f"but layer {position + 1} ({after!r}) takes {after.n_in}."
                )
        object.__setattr__(self, "layers", chain)

    @property
    def n_in(self) -> int:
        return self.layers[0].n_in

    @property
    def n_out(self) -> int:
        return self.layers[-1].n_out

    @property
    def n_neurons(self) -> int:
        return sum(layer.n for layer in self.layers if isinstance(layer, Elementwise))

    def __call__(self, observation: ArrayLike) -> Array:
        """Evaluate in float64. `observation` has shape (..., n_in), the result (..., n_out)."""
        x = np.asarray(observation, dtype=np.float64)
        if x.shape[-1:] != (self.n_in,):
            raise NetworkError(f"The policy takes observations of {self.n_in} entries, given shape {x.shape}.")
        for layer in self.layers:
            x = layer(x)
        return x

    def jacobian(self, observation: ArrayLike) -> Array:
        """A Jacobian, shape (n_out, n_in), at one observation; at a kink, that of the right-hand slopes."""
        x = np.asarray(observation, dtype=np.float64)
        slope = np.eye(self.n_in)
        for layer in self.layers:
            if isinstance(layer, Affine):
                slope = layer.W @ slope
            else:
                slope = layer.activation.derivative(x)[:, None] * slope
            x = layer(x)
        return slope

    def alternating(self) -> tuple[tuple[Affine, ...], tuple[Elementwise, ...]]:
        """The same map as W_0, phi_1, W_1, ..., phi_l, W_l.

        Identity layers are inserted between neighbours of one type and at the ends, so that no product is rounded.

        Returns
        -------
        affine : tuple of Affine, length l + 1
        elementwise : tuple of Elementwise, length l
        """
        affine: list[Affine] = []
        elementwise: list[Elementwise] = []
        width = self.n_in
        for layer in self.layers:
            if isinstance(layer, Affine):
                if len(affine) > len(elementwise):
                    elementwise.append(Elementwise("identity", width))
                affine.append(layer)
            else:
                if len(affine) == len(elementwise):
                    affine.append(Affine(np.eye(width)))
                elementwise.append(layer)
            width = layer.n_out
        if len(affine) == len(elementwise):
            affine.append(Affine(np.eye(width)))
        return tuple(affine), tuple(elementwise)

    def to_dict(self) -> dict[str, Any]:
        """The canonical description of FORMAT.md: layers in order, numbers as C99 hexadecimal strings."""
        return {"layers": [_layer_to_dict(layer) for layer in self.layers]}

    @property
    def sha256(self) -> str:
        """SHA-256 of the canonical description (kinds, shapes, numbers as big-endian binary64)."""
        digest = hashlib.sha256()
        for layer in self.layers:
            if isinstance(layer, Affine):
                digest.update(f"affine {layer.n_out} {layer.n_in}\n".encode())
                digest.update(layer.W.astype(">f8").tobytes() + layer.b.astype(">f8").tobytes())
            else:
                digest.update(f"{layer.kind} {layer.n}\n".encode())
                for name, value in sorted(layer.parameters.items()):
                    digest.update(f"{name}\n".encode() + value.astype(">f8").tobytes())
        return digest.hexdigest()

    def __repr__(self) -> str:
        sizes = [layer.n_in for layer in self.layers if isinstance(layer, Affine)] + [self.n_out]
        kinds = [layer.kind for layer in self.layers if isinstance(layer, Elementwise)]
        return f"Network({'-'.join(map(str, sizes))}, {'/'.join(kinds) or 'linear'})"


def _hex(array: Array) -> Any:
    if array.ndim == 0:
        return float(array).hex()
    return [_hex(entry) for entry in array]


def _layer_to_dict(layer: Layer) -> dict[str, Any]:
    if isinstance(layer, Affine):
        return {"type": "affine", "W": _hex(layer.W), "b": _hex(layer.b)}
    return {
        "type": layer.kind,
        "n": layer.n,
        **{name: _hex(value) for name, value in layer.parameters.items()},
    }
