"""Forward-mode derivatives: a value together with its partial derivatives, of floats or of intervals.

With intervals the partial derivatives enclose those at every point of the box, so that the mean value theorem holds.
Where an operation may be undefined (1 / 0, the root of a negative number) they are the whole line, and so are those of
all that is computed from it, also times 0: nothing is known of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lipctrl.errors import LipctrlError
from lipctrl.intervals.interval import Interval

Array = NDArray[np.float64]
Number = Any
"""A float, an array, or an Interval."""


class Dual:
    """A number that knows its partial derivatives.

    Parameters
    ----------
    value : float, ndarray or Interval, shape S
    grad : ndarray or Interval, shape (k, *S)
        The partial derivatives with respect to k variables.
    """

    __array_ufunc__ = None
    __slots__ = ("grad", "value")

    def __init__(self, value: Number, grad: Number) -> None:
        self.value = value if isinstance(value, Interval) else np.asarray(value, dtype=np.float64)
        self.grad = grad if isinstance(grad, Interval) else np.asarray(grad, dtype=np.float64)

    @staticmethod
    def variables(components: Sequence[ArrayLike | Interval]) -> tuple[Dual, ...]:
        """The components as independent variables, all of one shape S."""
        k = len(components)
        seeds = []
        for index, component in enumerate(components):
            seed = np.zeros((k, *np.shape(component.lo if isinstance(component, Interval) else component)))
            seed[index] = 1.0
            seeds.append(Dual(component, Interval(seed) if isinstance(component, Interval) else seed))
        return tuple(seeds)

    def chain(self, value: Number, slope: Number) -> Dual:
        """phi(self), from phi's value and slope (its derivative, or bounds of it) at self."""
        return Dual(value, times(slope, self.grad))

    def __neg__(self) -> Dual:
        return Dual(-self.value, -self.grad)

    def __add__(self, other: Any) -> Dual:
        if isinstance(other, Dual):
            return Dual(self.value + other.value, self.grad + other.grad)
        value = self.value + other
        return Dual(value, self.grad + np.zeros(value.shape))

    __radd__ = __add__

    def __sub__(self, other: Any) -> Dual:
        return self + (-other)

    def __rsub__(self, other: Any) -> Dual:
        return (-self) + other

    def __mul__(self, other: Any) -> Dual:
        if isinstance(other, Dual):
            grad = times(self.grad, other.value) + times(other.grad, self.value)
            return Dual(self.value * other.value, grad)
        return Dual(self.value * other, times(self.grad, other))

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Dual:
        if isinstance(other, Dual):
            quotient = self.value / other.value
            return Dual(quotient, (self.grad - times(other.grad, quotient)) / other.value)
        return Dual(self.value / other, self.grad / other)

    def __rtruediv__(self, other: Any) -> Dual:
        quotient = other / self.value
        return Dual(quotient, -times(self.grad, quotient) / self.value)

    def __pow__(self, exponent: int) -> Dual:
        if not isinstance(exponent, int) or exponent < 0:
            raise LipctrlError(f"Powers of derivative numbers need an integer exponent >= 0, given {exponent!r}.")
        if exponent == 0:
            return Dual(self.value**0, times(0.0, self.grad))
        return self.chain(self.value**exponent, exponent * self.value ** (exponent - 1))

    def __repr__(self) -> str:
        return f"Dual({self.value}, {self.grad})"


def times(a: Number, b: Number) -> Number:
    """a b for derivatives: the whole line where a factor is that; for a product of intervals 0 x = 0."""
    product = a * b
    if not isinstance(product, Interval):
        return product
    lost = np.broadcast_to(_is_line(a) | _is_line(b), product.shape)
    return (
        Interval(np.where(lost, -np.inf, product.lo), np.where(lost, np.inf, product.hi)) if np.any(lost) else product
    )


def _is_line(x: Number) -> Any:
    return (x.lo == -np.inf) & (x.hi == np.inf) if isinstance(x, Interval) else np.bool_(False)


def jacobian(outputs: Sequence[Dual]) -> Any:
    """The partial derivatives of several outputs of one shape S, stacked to shape (len(outputs), k, *S)."""
    grads: list[Any] = [output.grad for output in outputs]
    if any(isinstance(grad, Interval) for grad in grads):
        return Interval.stack(grads)
    return np.stack(grads)
