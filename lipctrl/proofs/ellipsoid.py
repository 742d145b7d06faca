"""Ellipsoids {x : |T (x - center)|_2 <= radius}, and cells in their coordinates."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lipctrl.errors import LipctrlError
from lipctrl.intervals.affine import AffineForm, linear_map
from lipctrl.intervals.interval import Interval
from lipctrl.intervals.rounding import norm_up
from lipctrl.proofs.definiteness import nonnegative_norm_upper

Array = NDArray[np.float64]

_GROW, _TINY = 1.0 + 2.0**-36, 2.0**-500
"""For roundings, and for what is lost where squares underflow."""
LEAST, MOST = 2.0**-400, 2.0**400
"""Radii of which something is proved: their squares are numbers."""


@dataclass(frozen=True, eq=False)
class Ellipsoid:
    """The set {x : |T (x - center)|_2 <= radius}, in which the doubles are exact.

    Attributes
    ----------
    center : array, shape (n,)
    T : array, shape (n, n)
        Invertible.
    radius : float
    """

    center: Array
    T: Array
    radius: float

    @property
    def P(self) -> Array:
        """T'T / radius^2, to nearest: the set is {e'Pe <= 1} up to rounding."""
        scaled = self.T / self.radius
        return np.asarray(scaled.T @ scaled)

    @property
    def volume(self) -> float:
        """In floating point."""
        n = len(self.center)
        unit = math.pi ** (n / 2) / math.gamma(n / 2 + 1)
        return float(unit * self.radius**n / abs(np.linalg.det(self.T)))

    @property
    def half_widths(self) -> Array:
        """Of the box around the set, in floating point."""
        return np.asarray(self.radius * np.linalg.norm(np.linalg.inv(self.T), axis=1))

    def size(self, x: tuple[AffineForm, ...]) -> Array:
        """An upper bound of |T (x - center)|_2 on each cell.

        |c + G e + d| <= sqrt(|c|^2 + 2 sum_j |G'c|_j + sum_ij |G'G|_ij) + |r|.
        """
        z = self.coordinates(x)
        with np.errstate(all="ignore"):
            c, G = np.stack([form.center for form in z]), np.stack([form.generators for form in z], axis=1)
            slope, gram = np.abs(np.einsum("gik,ik->gk", G, c)), np.abs(np.einsum("gik,hik->ghk", G, G))
            square = np.sum(c * c, axis=0) + 2.0 * slope.sum(axis=0) + gram.sum(axis=(0, 1))
            rounded = 2.0**-44 * (norm_up(c, axis=0) + norm_up(G, axis=1).sum(axis=0)) ** 2
            rest = norm_up(np.stack([form.radius for form in z]), axis=0)
            total = np.asarray((np.sqrt(square + rounded) + rest) * _GROW)
        return np.where(np.isnan(total), np.inf, total)

    def lies_in(self, low: Array, high: Array) -> bool:
        """Whether the set is proved to lie in the box: |x_i - center_i| <= |row i of T^-1| radius."""
        try:
            reach = self.reach()
        except LipctrlError:
            return False
        slack = 2.0**-50 * np.abs(self.center)
        return bool(np.all(low <= self.center - reach - slack) and np.all(self.center + reach + slack <= high))

    def reach(self) -> Array:
        """Upper bounds of |x_i - center_i| on the set: T^-1 = S (T S)^-1.

        Raises
        ------
        LipctrlError
            As :meth:`inverse`.
        """
        S, error = self.inverse()
        return np.asarray(norm_up(S, axis=1) * (self.radius * (1.0 + 2.0 * error)) * _GROW)

    def contains_boxes(self, lower: Array, upper: Array) -> NDArray[np.bool_]:
        """Whether the boxes, shape (..., n), lie inside: their corners do."""
        n = len(self.center)
        inside = np.ones(lower.shape[:-1], dtype=bool)
        for corner in range(2**n):
            chosen = [(upper if corner >> i & 1 else lower)[..., i] for i in range(n)]
            with np.errstate(all="ignore"):
                e = [value - c for value, c in zip(chosen, self.center, strict=True)]
                total = 0.0
                for row in self.T:
                    image = sum(t * v for t, v in zip(row, e, strict=True))
                    error = sum(abs(t) * (abs(v) + abs(p)) for t, v, p in zip(row, e, chosen, strict=True)) * 2.0**-50
                    total = total + (abs(image) + error) ** 2
                inside &= np.asarray(np.sqrt(total) * _GROW + _TINY <= self.radius)
        return np.asarray(inside)

    def coordinates(self, x: tuple[AffineForm, ...]) -> tuple[AffineForm, ...]:
        """z = T (x - center) as forms."""
        return linear_map(self.T, x, self.center)

    def inverse(self) -> tuple[Array, float]:
        """S close to T^-1, and e >= |T S - I|_2.

        Raises
        ------
        LipctrlError
            If T is too badly conditioned, or the radius too close to zero or infinity for anything to be proved.
        """
        S = np.asarray(np.linalg.inv(self.T), dtype=np.float64)
        residual = self.T @ Interval(S) - np.eye(len(S))
        error = nonnegative_norm_upper(residual.mag)
        if not error < 1e-6:
            raise LipctrlError("The ellipsoid is too flat: its coordinates are not invertible in double precision.")
        if not LEAST <= self.radius <= MOST:
            raise LipctrlError(f"The radius of the ellipsoid is {self.radius!r}.", "Scale T and radius to about 1.")
        return S, error

    def points(self, S: Array, centers: Array, half_widths: Array) -> tuple[AffineForm, ...]:
        """x = center + S z for cells of z, shape (N, n) each, as forms with one symbol per axis of z."""
        x = linear_map(S, AffineForm.cells(centers, half_widths))
        return tuple(form + float(c) for form, c in zip(x, self.center, strict=True))


def ball_cells(n: int, radius: float, splits: int) -> tuple[Array, Array]:
    """Cells, shape (N, n) each (centers, half widths), that cover the ball of the radius about 0."""
    edges = np.linspace(-radius, radius, splits + 1)
    middle = 0.5 * (edges[1:] + edges[:-1])
    half = np.nextafter(np.maximum(edges[1:] - middle, middle - edges[:-1]), np.inf)
    grid = np.stack(np.meshgrid(*[middle] * n, indexing="ij"), axis=-1).reshape(-1, n)
    width = np.stack(np.meshgrid(*[half] * n, indexing="ij"), axis=-1).reshape(-1, n)
    near = smallest(grid, width) <= radius * radius
    return grid[near], width[near]


def smallest(centers: Array, half_widths: Array) -> Array:
    """A lower bound of |z|^2 on cells of z, shape (N, n)."""
    gap = np.maximum(np.abs(centers) - half_widths, 0.0)
    return np.asarray(np.sum(gap * gap, axis=1) * (1.0 - 2.0**-40))
