"""What every solver returns: a suggestion, never a proof."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipctrl.errors import LipctrlError, SolverFailure
from lipctrl.lmi.lmi import LMI

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
        Dual value: no feasible point has a smaller objective (up to rounding; for the solvers of CVXPY up to their
        tolerance; -inf when unknown).
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


def attempt(method: Callable[..., Solution], lmi: LMI, *arguments: Any, **options: Any) -> Solution:
    """The solution of `method`, whose numbers need not be good, but are all there.

    Raises
    ------
    SolverFailure
        If `method` raises anything but an error of lipctrl, or leaves out a variable or changes its shape.
    """
    try:
        with np.errstate(all="ignore"):
            solution = method(lmi, *arguments, **options)
    except LipctrlError:
        raise
    except Exception as error:  # a solver only guesses: whatever happens to it is no guess
        raise SolverFailure(
            f"The solver broke down: {type(error).__name__}: {error}.", "Use another solver."
        ) from error
    values = getattr(solution, "values", None)
    for variable in lmi.variables:
        shape = (variable.size,) * (1 + variable.symmetric)
        value = values.get(variable.name) if isinstance(values, Mapping) else None
        if value is None or np.shape(value) != shape or np.asarray(value).dtype.kind != "f":
            raise SolverFailure(
                f"The solver returned no real numbers of shape {shape} for {variable.name}.", "Use another solver."
            )
    return solution
