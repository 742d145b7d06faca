"""A layer of scalar nonlinearities: value, derivative, and proved bounds on their slopes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lipctrl.errors import NetworkError
from lipctrl.networks.kinds import KINDS, Kind

Array = NDArray[np.float64]

ACTIVATIONS: Mapping[str, Kind] = KINDS
"""Every known nonlinearity by name."""


@dataclass(frozen=True, eq=False)
class Activation:
    """The map x_i -> phi(x_i; parameters_i), i = 1, ..., n. Made by :func:`activation`.

    Attributes
    ----------
    kind : str
        A name of :data:`ACTIVATIONS`.
    n : int
        Number of channels, the last axis of every argument.
    parameters : dict of ndarray, shape (n,)
        Read-only.
    """

    kind: str
    n: int
    parameters: dict[str, Array]

    @property
    def odd(self) -> bool:
        """Whether phi(-x) = -phi(x) in every channel."""
        if self.kind == "hardtanh":
            return bool(np.all(self.parameters["low"] == -self.parameters["high"]))
        if self.kind == "leaky_relu":
            return bool(np.all(self.parameters["negative_slope"] == 1.0))
        return ACTIVATIONS[self.kind].odd

    def value(self, x: ArrayLike) -> Array:
        """phi(x) in floating point, shape (..., n)."""
        return ACTIVATIONS[self.kind].value(np.asarray(x, dtype=np.float64), self.parameters)

    def derivative(self, x: ArrayLike) -> Array:
        """phi'(x) in floating point, shape (..., n); the right-hand slope at a kink."""
        return ACTIVATIONS[self.kind].derivative(np.asarray(x, dtype=np.float64), self.parameters)

    def take(self, index: ArrayLike) -> Activation:
        """The activation of the channels `index` (integers or a boolean mask)."""
        kept = np.arange(self.n)[np.asarray(index)]
        return activation(self.kind, kept.size, **{name: value[kept] for name, value in self.parameters.items()})


def activation(kind: str, n: int, **parameters: ArrayLike) -> Activation:
    """A layer of `n` nonlinearities of one kind.

    Parameters
    ----------
    kind : str
        A name of :data:`ACTIVATIONS`.
    n : int
        Number of channels.
    **parameters : array_like, shape () or (n,)
        ``negative_slope`` of leaky_relu (0.01), ``alpha`` of elu (1), ``beta`` of softplus (1), ``low`` and ``high``
        of hardtanh (-1, 1; may be infinite).

    Raises
    ------
    NetworkError
        For an unknown kind or parameter, a NaN, a wrong shape, or a parameter outside its range.
    """
    if kind not in ACTIVATIONS:
        raise NetworkError(
            f"Unknown activation {kind!r}.", f"Known are {', '.join(ACTIVATIONS)}: express the network by these."
        )
    defaults = ACTIVATIONS[kind].defaults
    unknown = sorted(set(parameters) - set(defaults))
    if unknown:
        raise NetworkError(
            f"{kind} has no parameter {', '.join(unknown)}.", f"It has {', '.join(defaults) or 'no parameters'}."
        )
    values = {name: _parameter(kind, name, parameters.get(name, default), n) for name, default in defaults.items()}
    wrong = ACTIVATIONS[kind].check(values)
    if wrong is not None:
        raise NetworkError(f"{wrong}, given {', '.join(f'{name} = {value}' for name, value in values.items())}.")
    return Activation(kind, n, values)


def _parameter(kind: str, name: str, value: ArrayLike | None, n: int) -> Array:
    try:
        array = np.array(np.broadcast_to(np.asarray(value, dtype=np.float64), (n,)))
    except (TypeError, ValueError) as error:
        raise NetworkError(f"{name} of {kind} must be a number or {n} numbers: {error}.") from error
    finite = np.isfinite(array) | (np.isinf(array) if kind == "hardtanh" else False)
    if not np.all(finite):
        raise NetworkError(f"{name} of {kind} holds NaN or infinite entries: {array}.")
    array.setflags(write=False)
    return array
