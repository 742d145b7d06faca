"""Plants whose equations are known exactly."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from functools import cached_property
from itertools import product
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from lipctrl.errors import PlantError
from lipctrl.intervals.dual import Dual
from lipctrl.plants.dynamics import Dynamics

Array = NDArray[np.float64]


class Model(Dynamics):
    """A plant with exact equations, written once for every kind of number.

    A subclass writes `step` and `observe` with + - * / and the functions of :mod:`lipctrl.intervals.functions` only.
    The same few lines then run on floats, on arrays of many states, on intervals, and on derivative numbers. The model
    means the real function; the constants in it are the doubles that the code computes.

    Attributes
    ----------
    parameters : tuple of str
        The attributes of numbers that `step` and `observe` read and that may be uncertain.
    symbols : dict
        Other names for them, such as those of the environment's attributes.
    uncertain : dict
        For each uncertain parameter the interval (low, high): the model stands for one plant for each constant value.
        The attribute itself holds the middle, the nominal value.
    """

    parameters: tuple[str, ...] = ()
    symbols: ClassVar[dict[str, str]] = {}
    uncertain: Mapping[str, tuple[float, float]] = {}

    @abstractmethod
    def step(self, x: Sequence[Any], u: Sequence[Any]) -> tuple[Any, ...]:
        """The next state, from the components of the state and of the action."""

    @abstractmethod
    def observe(self, x: Sequence[Any]) -> tuple[Any, ...]:
        """The observation, from the components of the state."""

    def with_uncertain(self, intervals: Mapping[str, tuple[float, float]]) -> Self:
        """The same plant with intervals for some parameters, by name or symbol; one value becomes part of its name.

        Raises
        ------
        PlantError
            For a name that is no parameter or given twice, or an interval that is none.
        """
        named = {self.symbols.get(name, name): ends for name, ends in intervals.items()}
        for name in named:
            if name not in self.parameters:
                known = [f"{name} ({symbol})" for symbol, name in self.symbols.items()]
                known += [name for name in self.parameters if name not in self.symbols.values()]
                raise PlantError(
                    f"{self.name} has no parameter {name!r}.", f"Choose among {', '.join(known) or 'none'}."
                )
        if len(named) < len(intervals):
            raise PlantError(f"A parameter of {self.name} is given twice: {', '.join(intervals)}.", "Give it once.")
        other = self._with_ranges({**{n: self.uncertain.get(n, getattr(self, n)) for n in self.parameters}, **named})
        given = [n for n in named if n not in other.uncertain]
        given = [n for n in given if n in self.uncertain or getattr(other, n) != getattr(self, n)]
        if given:
            other.name = f"{self.name} with {', '.join(f'{n} = {getattr(other, n)!r}' for n in given)}"
        return other

    def _with_ranges(self, given: Mapping[str, Any]) -> Self:
        """The same plant with numbers and intervals; a subclass with limits that depend on them overrides it."""
        other = self._copied()
        other.uncertain = {}
        for name, value in given.items():
            number = other._read(name, value)
            try:
                setattr(other, name, number)
            except AttributeError as error:
                raise PlantError(
                    f"The parameter {name!r} of {self.name} cannot be set ({error}).", "Make it a plain attribute."
                ) from error
        return other

    def _copied(self) -> Self:
        """A copy to be given other parameters, without the properties that were cached for these."""
        other = copy(self)
        for name in [name for name in vars(other) if is_cached(other, name)]:
            del vars(other)[name]
        return other

    def _read(self, name: str, value: Any) -> float:
        """The nominal value of a parameter given as a number or an interval; intervals are noted."""
        if np.ndim(value) == 0:
            return float(value)
        try:
            low, high = (float(end) for end in value)
        except (TypeError, ValueError):
            low, high = np.nan, np.nan
        if not (np.isfinite(low) and np.isfinite(high) and low <= high):
            raise PlantError(
                f"The {name} of {self.name} is {value!r}.", "Give a number, or (low, high) with finite low <= high."
            )
        if low < high:
            self.uncertain = {**self.uncertain, name: (low, high)}
        return min(max(0.5 * low + 0.5 * high, low), high)

    def at(self, values: Sequence[Any]) -> Self:
        """The plant at one value of each uncertain parameter, of any kind of number that `step` is to run on."""
        if not self.uncertain:
            return self
        other = self._copied()
        for name, value in zip(self.uncertain, values, strict=True):
            setattr(other, name, value)
        other.uncertain = {}
        return other

    def extremes(self) -> Iterator[Self]:
        """The nominal plant, and one for each corner of the intervals."""
        yield self.at([getattr(self, name) for name in self.uncertain])
        if self.uncertain:
            for corner in product(*self.uncertain.values()):
                yield self.at(corner)

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


def is_cached(model: Model, name: str) -> bool:
    """Whether an attribute is a property that is computed once."""
    return isinstance(getattr(type(model), name, None), cached_property)


def _partials(part: Any, count: int) -> Array:
    """The partial derivatives of a component; a component that depends on nothing may be a plain number."""
    return np.asarray(part.grad, dtype=np.float64) if isinstance(part, Dual) else np.zeros(count)


def _components(array: Array) -> tuple[Array, ...]:
    return tuple(np.moveaxis(np.asarray(array, dtype=np.float64), -1, 0))


def _stacked(parts: tuple[Any, ...]) -> Array:
    return np.stack(np.broadcast_arrays(*parts), axis=-1).astype(np.float64, copy=False)
