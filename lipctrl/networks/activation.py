"""A layer of scalar nonlinearities: value, derivative, and proved bounds on their slopes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lipctrl.errors import NetworkError
from lipctrl.intervals.dual import Dual
from lipctrl.intervals.interval import Interval
from lipctrl.networks import secants
from lipctrl.networks.kinds import Hardtanh, Identity, Kind, LeakyReLU, ReLU
from lipctrl.networks.smooth import ELU, GELU, Sigmoid, SiLU, Softplus, Tanh

Array = NDArray[np.float64]

ACTIVATIONS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (Identity(), ReLU(), LeakyReLU(), ELU(), GELU(), SiLU(), Softplus(), Tanh(), Sigmoid(), Hardtanh())
}
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
        return self._kind.odd(self.parameters)

    def __call__(self, x: Any) -> Any:
        """phi of an array, of intervals (their range), or of derivative numbers over either."""
        if isinstance(x, Dual):
            slope = self.slope_range(x.value) if isinstance(x.value, Interval) else self.derivative(x.value)
            return x.chain(self(x.value), slope)
        return self.enclose(x) if isinstance(x, Interval) else self.value(x)

    def value(self, x: ArrayLike) -> Array:
        """phi(x) in floating point, shape (..., n)."""
        return self._kind.value(np.asarray(x, dtype=np.float64), self.parameters)

    def derivative(self, x: ArrayLike) -> Array:
        """phi'(x) in floating point, shape (..., n); the right-hand slope at a kink."""
        return self._kind.derivative(np.asarray(x, dtype=np.float64), self.parameters)

    def enclose(self, x: Interval) -> Interval:
        """The proved range of phi on the intervals x, shape (..., n), which may be unbounded."""
        return self._kind.enclose(self._checked(x), self.parameters)

    def slope_range(self, x: Interval) -> Interval:
        """Proved bounds of every secant slope and Clarke derivative of phi restricted to the intervals x.

        One-sided at the ends: relu on [0, u] has slope exactly 1, on [l, 0] exactly 0.
        """
        return self._kind.slope_range(self._checked(x), self.parameters)

    def slope_bounds(self) -> Interval:
        """Proved bounds of every secant slope on the whole line, shape (n,)."""
        return self.slope_range(Interval(np.full(self.n, -np.inf), np.full(self.n, np.inf)))

    def sector(self, x: Interval, about: Interval) -> Interval:
        """Proved alpha, beta: phi(v) - phi(v*) in [alpha, beta] (v - v*) for all v in x and all v* in `about`.

        The steepest secant may end inside x: for tanh, v* = 1, x = [-2, 4] it is 0.816, while the secants to the ends
        are 0.575 and 0.079 and the tangent is 0.420. Found by subdivision (:mod:`lipctrl.networks.secants`).

        Parameters
        ----------
        x : Interval, shape (..., n)
            May be unbounded.
        about : Interval, shape (..., n)
            Bounded, an enclosure of v*; joined to x.

        Raises
        ------
        NetworkError
            If `about` is unbounded or a shape does not fit.
        """
        about = self._checked(about)
        if not (np.all(np.isfinite(about.lo)) and np.all(np.isfinite(about.hi))):
            raise NetworkError(
                "A sector needs a bounded centre.", "Use slope_range for secants between any two points."
            )
        return secants.sector(self._kind, self.parameters, self._checked(x).hull(about), about)

    def linear_relaxation(self, x: Interval) -> tuple[Array, Array, Array]:
        """lam, mu, delta, shape (..., n), with abs(phi(v) - lam v - mu) <= delta proved for all v in x.

        Exact (delta = 0) where phi is linear on x or constant and a double; delta is inf where phi is unbounded on x.
        """
        return secants.linear_relaxation(self._kind, self.parameters, self._checked(x))

    def kinks_in(self, x: Interval) -> NDArray[np.bool_]:
        """Whether a point of non-differentiability lies in x, ends included."""
        x = self._checked(x)
        touched = np.zeros(x.shape, dtype=bool)
        for kink in self._kind.kinks(self.parameters):
            touched |= x.contains(kink)
        return touched

    @property
    def _kind(self) -> Kind:
        return ACTIVATIONS[self.kind]

    def _checked(self, x: Interval) -> Interval:
        if x.shape[-1:] != (self.n,):
            raise NetworkError(f"{self.kind} has {self.n} channels, given intervals of shape {x.shape}.")
        return x

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
        if np.iscomplexobj(np.asarray(value)):
            raise TypeError("complex numbers")
        array = np.array(np.broadcast_to(np.asarray(value, dtype=np.float64), (n,)))
    except (TypeError, ValueError) as error:
        raise NetworkError(f"{name} of {kind} must be a number or {n} numbers: {error}.") from error
    finite = np.isfinite(array) | (np.isinf(array) if kind == "hardtanh" else False)
    if not np.all(finite):
        raise NetworkError(f"{name} of {kind} holds NaN or infinite entries: {array}.")
    array.setflags(write=False)
    return array
