"""The scalar nonlinearities one by one: value and derivative."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]
Parameters = Mapping[str, Array]


class Kind:
    """One family of scalar functions phi; methods take the parameters of each channel, arrays that broadcast to x."""

    name: str
    defaults: ClassVar[Mapping[str, float]] = {}
    odd = False

    def check(self, p: Parameters) -> str | None:
        """Say what is wrong with the parameters, in words, or return None."""
        return None

    def value(self, x: Array, p: Parameters) -> Array:
        """phi(x)."""
        raise NotImplementedError

    def derivative(self, x: Array, p: Parameters) -> Array:
        """phi'(x), the right-hand slope at a kink."""
        raise NotImplementedError


class Identity(Kind):
    """x."""

    name = "identity"
    odd = True

    def value(self, x: Array, p: Parameters) -> Array:
        return x + 0.0

    def derivative(self, x: Array, p: Parameters) -> Array:
        return np.ones_like(x)


class ReLU(Kind):
    """max(x, 0)."""

    name = "relu"

    def value(self, x: Array, p: Parameters) -> Array:
        return np.maximum(x, 0.0)

    def derivative(self, x: Array, p: Parameters) -> Array:
        return np.where(x >= 0.0, 1.0, 0.0)


class LeakyReLU(Kind):
    """x for x >= 0, negative_slope * x below."""

    name = "leaky_relu"
    defaults: ClassVar = {"negative_slope": 0.01}

    def value(self, x: Array, p: Parameters) -> Array:
        return np.where(x >= 0.0, x, p["negative_slope"] * x)

    def derivative(self, x: Array, p: Parameters) -> Array:
        return np.where(x >= 0.0, 1.0, p["negative_slope"])


class ELU(Kind):
    """x for x >= 0, alpha * (exp(x) - 1) below."""

    name = "elu"
    defaults: ClassVar = {"alpha": 1.0}

    def value(self, x: Array, p: Parameters) -> Array:
        return np.where(x >= 0.0, x, p["alpha"] * np.expm1(np.minimum(x, 0.0)))

    def derivative(self, x: Array, p: Parameters) -> Array:
        return np.where(x >= 0.0, 1.0, p["alpha"] * np.exp(np.minimum(x, 0.0)))


class GELU(Kind):
    """x * Phi(x), Phi the normal distribution function (the exact form, not the tanh approximation)."""

    name = "gelu"

    def value(self, x: Array, p: Parameters) -> Array:
        return x * special.ndtr(x)

    def derivative(self, x: Array, p: Parameters) -> Array:
        return special.ndtr(x) + x * np.exp(-0.5 * x * x) / np.sqrt(2.0 * np.pi)


class SiLU(Kind):
    """x * sigmoid(x), also called swish."""

    name = "silu"

    def value(self, x: Array, p: Parameters) -> Array:
        return x * special.expit(x)

    def derivative(self, x: Array, p: Parameters) -> Array:
        s = special.expit(x)
        return s * (1.0 + x * special.expit(-x))


class Softplus(Kind):
    """log(1 + exp(beta x)) / beta.

    The exact function; torch switches to x where beta x > 20, which differs by less than 2.1e-9 / beta.
    """

    name = "softplus"
    defaults: ClassVar = {"beta": 1.0}

    def check(self, p: Parameters) -> str | None:
        return None if np.all(p["beta"] > 0.0) else "beta of softplus must be positive"

    def value(self, x: Array, p: Parameters) -> Array:
        return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(p["beta"] * x))) / p["beta"]

    def derivative(self, x: Array, p: Parameters) -> Array:
        return special.expit(p["beta"] * x)


class Tanh(Kind):
    """The hyperbolic tangent."""

    name = "tanh"
    odd = True

    def value(self, x: Array, p: Parameters) -> Array:
        return np.tanh(x)

    def derivative(self, x: Array, p: Parameters) -> Array:
        return 4.0 * special.expit(2.0 * x) * special.expit(-2.0 * x)


class Sigmoid(Kind):
    """1 / (1 + exp(-x))."""

    name = "sigmoid"

    def value(self, x: Array, p: Parameters) -> Array:
        return special.expit(x)

    def derivative(self, x: Array, p: Parameters) -> Array:
        return special.expit(x) * special.expit(-x)


class Hardtanh(Kind):
    """min(max(x, low), high): saturation, clip. Either limit may be infinite."""

    name = "hardtanh"
    defaults: ClassVar = {"low": -1.0, "high": 1.0}

    def check(self, p: Parameters) -> str | None:
        if not np.all(p["low"] <= p["high"]):
            return "hardtanh needs low <= high"
        if np.any(p["low"] == np.inf) or np.any(p["high"] == -np.inf):
            return "hardtanh needs low < inf and high > -inf"
        return None

    def value(self, x: Array, p: Parameters) -> Array:
        return np.clip(x, p["low"], p["high"])

    def derivative(self, x: Array, p: Parameters) -> Array:
        return np.where((x >= p["low"]) & (x < p["high"]), 1.0, 0.0)


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (Identity(), ReLU(), LeakyReLU(), ELU(), GELU(), SiLU(), Softplus(), Tanh(), Sigmoid(), Hardtanh())
}
