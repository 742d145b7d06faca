"""Observation and action spaces of gym and Gymnasium, out of an inertly read pickle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipctrl.errors import LoadError
from lipctrl.networks.loading.arrays import as_array, as_number
from lipctrl.networks.loading.inert import Global, Record, kind_of

MAX_SIZE = 4096

_KINDS = {
    f"{package}.spaces.{module}.{name}": name
    for package in ("gym", "gymnasium")
    for module, name in (
        ("box", "Box"),
        ("discrete", "Discrete"),
        ("multi_discrete", "MultiDiscrete"),
        ("multi_binary", "MultiBinary"),
        ("dict", "Dict"),
        ("tuple", "Tuple"),
    )
}
_RECONSTRUCTORS = ("copyreg._reconstructor", "copy_reg._reconstructor", "copyreg.__newobj__")


@dataclass(frozen=True, eq=False)
class Space:
    """A space of observations or actions.

    Attributes
    ----------
    kind : str
        ``"Box"``, ``"Discrete"``, ``"MultiDiscrete"``, ``"MultiBinary"``, ``"Dict"`` or ``"Tuple"``.
    shape : tuple of int
        Of one element; empty for all but Box.
    dtype : str
        NumPy name of the element type of a Box, else empty.
    low, high : ndarray of float64, shape `shape`, or None
        Bounds of a Box (possibly infinite): the exact stored numbers, not their printed form.
    n : int or None
        Number of values of a Discrete space.
    """

    kind: str
    shape: tuple[int, ...] = ()
    dtype: str = ""
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None
    n: int | None = None

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def is_image(self) -> bool:
        """What Stable-Baselines3 divides by 255: three dimensions of bytes."""
        return len(self.shape) == 3 and self.dtype == "uint8"

    def bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Bounds of a Box, flattened.

        Raises
        ------
        LoadError
            If the space is not a Box.
        """
        if self.low is None or self.high is None:
            raise LoadError(f"A {self.kind} space has no bounds.", "A Box space was expected.")
        return self.low.reshape(-1), self.high.reshape(-1)

    def same_as(self, other: Space) -> bool:
        """Equal kind, shape, bounds and number of values."""
        if (self.kind, self.shape, self.n) != (other.kind, other.shape, other.n):
            return False
        if self.kind != "Box":
            return True
        return all(np.array_equal(a, b) for a, b in zip(self.bounds(), other.bounds(), strict=True))

    def __str__(self) -> str:
        if self.kind == "Box":
            low, high = self.bounds()
            span = f"[{low.min():g}, {high.max():g}]" if self.size else "[]"
            return f"Box({', '.join(map(str, self.shape))}) in {span}, {self.dtype}"
        return f"{self.kind}({self.n})" if self.n is not None else self.kind


def read_space(value: Any, what: str) -> Space:
    """Read a recorded space.

    Parameters
    ----------
    value : object
        From :func:`lipctrl.networks.loading.inert.read_pickle`.
    what : str
        How errors name it, such as ``"observation space"``.

    Raises
    ------
    LoadError
        If it is no known space, or its bounds are NaN, of different shapes, or crossed.
    """
    kind = _KINDS.get(str(_class_of(value)))
    if kind is None:
        raise LoadError(f"The {what} is {kind_of(value)}, not a space of gym or Gymnasium.", "Save the agent again.")
    state = value.state[0] if isinstance(value.state, tuple) and value.state else value.state
    if not isinstance(state, dict):
        raise LoadError(f"The {what} has no contents.", "The file is damaged: save the agent again.")
    if kind == "Discrete":
        n = as_number(state.get("n"))
        if not (n >= 1 and n.is_integer()):
            raise LoadError(f"The {what} is a Discrete space of {n} values.")
        return Space(kind, n=int(n))
    return _read_box(state, what) if kind == "Box" else Space(kind)


def _class_of(value: Any) -> Global | None:
    if not isinstance(value, Record):
        return None
    function = value.function
    if value.calls(*_RECONSTRUCTORS) and isinstance(value.args, tuple) and value.args:
        function = value.args[0]
    return function if isinstance(function, Global) else None


def _read_box(state: dict[Any, Any], what: str) -> Space:
    stored = as_array(state.get("low"))
    low, high = stored.astype(np.float64), as_array(state.get("high")).astype(np.float64)
    if low.shape != high.shape or low.size == 0:
        raise LoadError(f"The {what} has bounds of shapes {low.shape} and {high.shape}.", "Save the agent again.")
    if low.size > MAX_SIZE:
        raise LoadError(f"The {what} has {low.size} entries, over {MAX_SIZE}.", "Policies are much smaller.")
    if not np.all((low <= high) & (low < np.inf) & (high > -np.inf)):
        raise LoadError(f"The {what} has bounds that are NaN or crossed.", "Correct the environment and save again.")
    for bound in (low, high):
        bound.setflags(write=False)
    return Space("Box", low.shape, stored.dtype.name, low, high)
