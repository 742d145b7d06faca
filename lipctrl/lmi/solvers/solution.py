"""What every solver returns: a suggestion, never a proof."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Solution:
    """Numbers for the variables of the LMI that was stated.

    Attributes
    ----------
    values : mapping of variable name to array
    objective : float
        Primal value at `values`.
    lower : float
        Dual value: no feasible point has a smaller objective (floating point; -inf when unknown).
    status : str
        "optimal", "feasible" (stopped early), "infeasible" or "inaccurate".
    iterations : int
    solver : str
    """

    values: Mapping[str, Array]
    objective: float
    lower: float
    status: str
    iterations: int
    solver: str
    start: str = "cold"
    note: str = ""
    kept: object = field(default=None, repr=False, compare=False)

    @property
    def gap(self) -> float:
        """Relative duality gap (objective - lower) / |objective|."""
        return (self.objective - self.lower) / max(abs(self.objective), np.finfo(float).tiny)
