"""A network on affine forms: an enclosure of pi(y) for many cells of observations at once.

Two passes per cell. Forward: the pre-activations of each layer as affine forms, whose range decides the line that
replaces each nonlinearity (error lumped per neuron). Backward, wherever an affine map narrows to few channels: the
lines are substituted into one another, so that

    pi(y) = A y + beta + d,   |d| <= eps,

in which the errors of the neurons meet only once, with their true weights. The forward pass costs 2 n_in n_out (g + 2)
operations per layer and cell as matrix products of the BLAS, for g symbols; the backward pass does not depend on g.

Rounding: |fl(W x + b) - (W x + b)| <= gamma_{n+2} (|W||x| + |b|) + tiny, and so for each generator; what the exact
coefficients would have given on top is bounded by gamma times the sizes of all factors. What underflows in A (or is
flushed to zero) is below 2^-1022, but may meet a large y: it is counted with the size of y.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lipctrl.errors import NetworkError
from lipctrl.intervals import relaxations
from lipctrl.intervals.affine import AffineForm
from lipctrl.intervals.interval import Interval, enclosing
from lipctrl.intervals.rounding import TINY, U, gamma
from lipctrl.networks.activation import Activation
from lipctrl.networks.network import Affine, Network

Array = NDArray[np.float64]

_GROW, _TINY = 1.0 + 2.0**-36, 2.0**-960
_CHUNK = 1024
"""Cells at a time, so that the data of a layer stays in the cache."""
_NARROW = 4
"""An affine map to at most so many channels is substituted backward."""


@dataclass(frozen=True)
class _Line:
    """lam, mu, delta of one layer on every cell, and the largest abs(pre-activation) of each cell."""

    lam: Array
    mu: Array
    delta: Array
    largest: Array


@dataclass(frozen=True)
class _Map:
    """An affine layer with what its error bounds need, and the largest abs(input) of each cell."""

    layer: Affine
    largest: Array


class AffineEnclosure:
    """Encloses a network over cells given as affine forms.

    Parameters
    ----------
    network : Network
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self._weights = {
            id(layer): (np.ascontiguousarray(layer.W.T), np.ascontiguousarray(np.abs(layer.W).T))
            for layer in network.layers
            if isinstance(layer, Affine)
        }

    def __call__(self, y: AffineForm, around: AffineForm | None = None) -> AffineForm:
        """The action on every cell.

        Parameters
        ----------
        y : AffineForm, shape (N, n_in)
        around : AffineForm, shape (N, n_in), optional
            Sets that contain those of y, with fewer symbols: the forward pass then runs on these.

        Returns
        -------
        AffineForm, shape (N, n_out)
            With the symbols of y.
        """
        if y.shape[1:] != (self.network.n_in,) or y.center.ndim != 2:
            raise NetworkError(
                f"The policy takes cells of {self.network.n_in} observations, given forms of shape {y.shape}."
            )
        parts = [slice(start, start + _CHUNK) for start in range(0, y.shape[0], _CHUNK)]
        if len(parts) < 2:
            return self._enclose(y, around)
        forms = [self._enclose(y[part], None if around is None else around[part]) for part in parts]
        return AffineForm(
            np.concatenate([form.center for form in forms]),
            np.concatenate([form.generators for form in forms], axis=1),
            np.concatenate([form.radius for form in forms]),
        )

    def _enclose(self, y: AffineForm, around: AffineForm | None) -> AffineForm:
        form, source, passed = y if around is None else around, y, list[_Line | _Map]()
        narrowed = False
        with np.errstate(all="ignore"):
            for layer in self.network.layers:
                if isinstance(layer, Affine):
                    form, largest = self._affine(layer, form)
                    passed.append(_Map(layer, largest))
                    if layer.n_out <= min(_NARROW, layer.n_in - 1):
                        form = _backward(passed, source)
                        source, passed, narrowed = form, [], True
                else:
                    form, line = _through(layer.activation, form)
                    passed.append(line)
            return form if narrowed else _backward([*passed, _identity(self.network.n_out)], source)

    def _affine(self, layer: Affine, form: AffineForm) -> tuple[AffineForm, Array]:
        """The image of cells under an affine layer, and the largest abs(input) of each cell."""
        W, size_W = self._weights[id(layer)]
        count, cells, width = len(form.generators), *form.shape
        stacked = np.concatenate([form.center[None], form.generators])
        size = np.abs(stacked[0])
        for generator in stacked[1:]:
            size += np.abs(generator)
        largest = np.max(size + form.radius, axis=1) * _GROW
        relative = gamma(width + 3)
        size *= relative
        size += form.radius
        image = (stacked.reshape(-1, width) @ W).reshape(1 + count, cells, layer.n_out)
        image[0] += layer.b
        radius = size @ size_W
        radius += relative * np.abs(layer.b)
        radius *= _GROW
        radius += _TINY
        return AffineForm(image[0], image[1:], radius), largest

    def pre_activations(self, y: AffineForm) -> list[Interval]:
        """Ranges, shape (N, n), before each elementwise layer."""
        ranges, form = [], y
        with np.errstate(all="ignore"):
            for layer in self.network.layers:
                if isinstance(layer, Affine):
                    form, _ = self._affine(layer, form)
                else:
                    ranges.append(form.range())
                    form, _ = _through(layer.activation, form)
        return ranges

    def ranges(self, y: AffineForm) -> list[Interval]:
        """Ranges, shape (N, n), behind each layer."""
        found, form = [], y
        with np.errstate(all="ignore"):
            for layer in self.network.layers:
                form = (
                    self._affine(layer, form)[0] if isinstance(layer, Affine) else _through(layer.activation, form)[0]
                )
                found.append(form.range())
        return found

    def jacobian(self, y: AffineForm, middle: Array, radius: Array) -> tuple[Array, Array]:
        """Bounds of the derivatives of pi(h(z)) by z, from those of h, over each cell (Clarke's, at kinks).

        Parameters
        ----------
        y : AffineForm, shape (N, n_in)
            Encloses h on the cells.
        middle, radius : array, shape (N, n_in, k)
            |dh/dz - middle| <= radius on each cell.

        Returns
        -------
        middle, radius : array, shape (N, n_out, k)
        """
        ranges = iter(self.pre_activations(y))
        with np.errstate(all="ignore"):
            for layer in self.network.layers:
                if isinstance(layer, Affine):
                    relative = gamma(layer.n_in + 3)
                    radius = (np.abs(layer.W) @ (radius + relative * np.abs(middle))) * _GROW + _TINY
                    middle = layer.W @ middle
                else:
                    slope = layer.activation.slope_range(next(ranges))
                    centre, spread = slope.mid[..., None], slope.rad[..., None]
                    size = np.abs(centre) + spread
                    radius = (size * radius + (spread + 4 * U * np.abs(centre)) * np.abs(middle)) * _GROW + _TINY
                    middle = centre * middle
        return middle, radius


def _through(phi: Activation, form: AffineForm) -> tuple[AffineForm, _Line]:
    """The image of cells under a nonlinearity, and the line that stands for it."""
    size = np.abs(form.center)
    reach = form.radius + 4.0 * U * size
    for generator in form.generators:
        reach += np.abs(generator)
    reach *= _GROW
    lam, mu, delta = _line_of(phi, form.center - reach, form.center + reach)
    size += reach
    slope = np.abs(lam)
    # radius: |lam| r + delta, and four roundings of parts of |lam| size + |mu|
    radius = size * (8.0 * U)
    radius += form.radius
    radius *= slope
    radius += delta
    radius += (4.0 * U) * np.abs(mu)
    radius *= _GROW
    radius += _TINY
    center = lam * form.center
    center += mu
    return AffineForm(center, form.generators * lam, radius), _Line(lam, mu, delta, np.max(size, axis=1) * _GROW)


def _line_of(phi: Activation, lower: Array, upper: Array) -> tuple[Array, Array, Array]:
    """lam, mu, delta of an activation on ranges of shape (N, n): the fast forms where there are any."""
    if phi.kind == "tanh":
        return relaxations.tanh_line(lower, upper)
    if phi.kind == "relu":
        return relaxations.relu_line(lower, upper)
    if phi.kind == "hardtanh":
        return relaxations.clip_line(lower, upper, phi.parameters["low"], phi.parameters["high"])
    return phi.linear_relaxation(enclosing(lower, upper))


def _identity(n: int) -> _Map:
    return _Map(Affine(np.eye(n)), np.zeros(1))


def _backward(passed: list[_Line | _Map], y: AffineForm) -> AffineForm:
    """The output of the layers `passed` (the last one an affine map) as a linear function of y, plus an error."""
    last = passed[-1]
    if not isinstance(last, _Map):
        raise NetworkError("The backward pass starts at an affine layer.")
    outputs = [_row(passed, output, y) for output in range(last.layer.n_out)]
    center, generators, radius = (np.stack(parts, axis=-1) for parts in zip(*outputs, strict=True))
    return AffineForm(center, generators, radius)


def _row(passed: list[_Line | _Map], output: int, y: AffineForm) -> tuple[Array, Array, Array]:
    """One output: v, beta, eps with |output - v y - beta| <= eps on the cell; then the form that this gives."""
    cells = len(y.center)
    v = np.zeros((1, passed[-1].layer.n_out))  # type: ignore[union-attr]
    v[0, output] = 1.0
    beta, eps, sizes = np.zeros(cells), np.zeros(cells), np.zeros(cells)
    for step in reversed(passed):
        if isinstance(step, _Map):
            W, b = step.layer.W, step.layer.b
            size_v = np.abs(v)
            # |fl(v W) - v W| |x| <= gamma |v| |W| |x|
            sizes = sizes + (size_v @ np.abs(W).sum(axis=1)) * step.largest + size_v @ np.abs(b)
            beta = beta + v @ b
            v = v @ W
            width = step.layer.n_out
            lost = 2.0 * width * v.shape[1] * TINY
        else:
            size_v = np.abs(v)
            beta = beta + np.einsum("ij,ij->i", np.broadcast_to(v, step.mu.shape), step.mu)
            eps = eps + np.einsum("ij,ij->i", np.broadcast_to(size_v, step.delta.shape), step.delta)
            sizes = sizes + np.einsum("ij,ij->i", np.broadcast_to(size_v, step.mu.shape), np.abs(step.mu))
            v = v * step.lam
            width = v.shape[1]
            sizes = sizes + np.abs(v).sum(axis=1) * step.largest
            lost = width * TINY
        sizes = sizes + np.abs(beta)
        eps = eps + gamma(width + 8) * sizes + lost * step.largest
        sizes = np.zeros(cells)
    v = np.broadcast_to(v, y.shape)
    center = np.einsum("ij,ij->i", v, y.center) + beta
    generators = np.einsum("ij,gij->gi", v, y.generators)
    size_v = np.abs(v)
    everything = np.abs(y.center) + np.abs(y.generators).sum(axis=0)
    radius = np.einsum("ij,ij->i", size_v, y.radius + gamma(v.shape[1] + 8) * everything) + 4 * U * np.abs(beta)
    return center, generators, (radius + eps) * _GROW + _TINY
