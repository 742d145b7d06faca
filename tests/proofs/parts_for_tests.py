"""The smallest networks, plants and certificates, as a file writes them; matrices of fractions."""

from __future__ import annotations

import copy
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from lipctrl.proofs import check as ck
from lipctrl.proofs.check import Matrix, Rejected

HAIR = 2.0**-40


def hexed(x: Any) -> Any:
    return [hexed(v) for v in x] if isinstance(x, list | tuple | np.ndarray) else float(x).hex()


def affine(W: Any, b: Any = None) -> dict[str, Any]:
    return {"type": "affine", "W": hexed(W), "b": hexed(np.zeros(len(W)) if b is None else b)}


def network(*layers: dict[str, Any]) -> dict[str, Any]:
    return {"layers": list(layers)}


def neurons(kind: str, n: int = 1, **parameters: float) -> dict[str, Any]:
    return {"type": kind, "n": n, **{name: hexed([value] * n) for name, value in parameters.items()}}


RELU = network(affine([[1.0]]), neurons("relu"), affine([[1.0]]))


def exact(matrix: Matrix) -> list[list[Fraction]]:
    return [[Fraction(x) * Fraction(2) ** matrix.exponent for x in row] for row in matrix.rows]


def fractions(x: Any) -> list[list[Fraction]]:
    return [[Fraction(float(v)) for v in row] for row in x]


def product(A: Any, B: Any) -> list[list[Fraction]]:
    return [
        [sum((a * b for a, b in zip(row, col, strict=True)), Fraction(0)) for col in zip(*B, strict=True)] for row in A
    ]


def plant(a: float, b: float = 1.0, c: float = 1.0, d: float = 0.0, dt: float = 1.0, y0: float = 0.0) -> dict[str, Any]:
    return {
        "A": hexed([[a]]),
        "B": hexed([[b]]),
        "C": hexed([[c]]),
        "D": hexed([[d]]),
        "dt": dt.hex(),
        "x0": hexed([0.0]),
        "y0": hexed([y0]),
        "u0": hexed([0.0]),
    }


def lipschitz(**change: Any) -> dict[str, Any]:
    """relu: rho (2 t - 1) > t^2, so with t = 1 any rho above 1."""
    fields = {
        "input_set": None,
        "bounds": [{"range": None, "slope": hexed([[0.0, 1.0]]), "relaxation": None}],
        "multipliers": [hexed([1.0])],
        "rho": (1 + HAIR).hex(),
        "shift": None,
        "output_weight": None,
        "input_weight": None,
        "upper": (1 + HAIR).hex(),
    }
    return fields | change


def accepted(call: Callable[[], Any]) -> bool:
    try:
        call()
    except Rejected:
        return False
    return True


def hinf(P: float, gamma: float, **change: Any) -> dict[str, Any]:
    return {
        "shift": None,
        "output_weight": None,
        "input_weight": None,
        "P": hexed([[P]]),
        "gamma": gamma.hex(),
    } | change


def lyapunov(t: float = 0.25, **change: Any) -> dict[str, Any]:
    return {
        "P": hexed([[1.0]]),
        "level": None,
        "generators": None,
        "multipliers": [hexed([t])],
        "bounds": [{"range": None, "slope": hexed([[0.0, 1.0]]), "relaxation": None}],
    } | change


def certificate(theorem: str, **fields: Any) -> dict[str, Any]:
    return {"format": "lipctrl-certificate", "version": 1, "theorem": theorem, **fields}


def claim(fields: dict[str, Any]) -> list[str]:
    return ck._derive(copy.deepcopy(fields), fields["theorem"]).split("\n")
