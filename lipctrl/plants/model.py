"""Plants whose equations are known exactly."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipctrl.intervals.dual import Dual
from lipctrl.plants.dynamics import Dynamics

Array = NDArray[np.float64]


class Model(Dynamics):
    """A plant with exact equations, written once for every kind of number.

    A subclass writes `step` and `observe` with + - * / and the functions of :mod:`lipctrl.intervals.functions` only.
    The same few lines then run on floats, on arrays of many states, on intervals, and on derivative numbers. The model
    means the real function; the constants in it are the doubles that the code computes.
    """

    @abstractmethod
    def step(self, x: Sequence[Any], u: Sequence[Any]) -> tuple[Any, ...]:
        """The next state, from the components of the state and of the action."""

    @abstractmethod
    def observe(self, x: Sequence[Any]) -> tuple[Any, ...]:
        """The observation, from the components of the state."""

    def derivatives(self, x: Array, u: Array) -> tuple[Array, Array, Array]:
        n = self.n_states
        inside = self._inside(u, 1e-12)
        numbers = Dual.variables([float(value) for value in (*x, *inside)])
        after = [_partials(part, len(numbers)) for part in self.step(numbers[:n], numbers[n:])]
        seen = [_partials(part, len(numbers)) for part in self.observe(numbers[:n])]
        return np.stack(after)[:, :n], np.stack(after)[:, n:], np.stack(seen)[:, :n]

    def advance(self, x: Array, u: Array) -> Array:
        return _stacked(self.step(_components(x), _components(u)))

    def outputs(self, x: Array) -> Array:
        return _stacked(self.observe(_components(x)))


def _partials(part: Any, count: int) -> Array:
    """The partial derivatives of a component; a component that depends on nothing may be a plain number."""
    return np.asarray(part.grad, dtype=np.float64) if isinstance(part, Dual) else np.zeros(count)


def _components(array: Array) -> tuple[Array, ...]:
    return tuple(np.moveaxis(np.asarray(array, dtype=np.float64), -1, 0))


def _stacked(parts: tuple[Any, ...]) -> Array:
    return np.stack(np.broadcast_arrays(*parts), axis=-1).astype(np.float64, copy=False)
