"""Directed scalars: small exact helpers for figures that are reported."""

from __future__ import annotations

from fractions import Fraction

import numpy as np


def root_upper(square: float) -> float:
    """A double not below the square root of `square`, decided exactly."""
    root = float(np.sqrt(square))
    while Fraction(root) ** 2 < Fraction(square):
        root = float(np.nextafter(root, np.inf))
    return root


def product_at_most_one(a: float, b: float) -> bool:
    """a * b <= 1, decided exactly; False if either is not finite."""
    return bool(np.isfinite(a) and np.isfinite(b) and Fraction(a) * Fraction(b) <= 1)
