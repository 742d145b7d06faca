"""Where a loop is wanted to rest, and where it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lipctrl.errors import PlantError

Array = NDArray[np.float64]


def wrap(deviation: Array, periods: Array) -> Array:
    """Deviations with the angles brought to [-period/2, period/2); a period of 0 means no angle."""
    turns = np.divide(
        deviation, periods, out=np.zeros_like(deviation), where=np.broadcast_to(periods > 0, deviation.shape)
    )
    return deviation - periods * np.floor(turns + 0.5) * (periods > 0)


@dataclass(frozen=True, eq=False)
class Goal:
    """The set of states {x : |x_i - target_i| <= tolerance_i, angles modulo their period}.

    Parameters
    ----------
    target : array_like, shape (n,)
        The state in which the loop should rest.
    tolerance : array_like, shape () or (n,)
        Half widths, ``inf`` where any value will do.
    periods : array_like, shape (n,), optional
        Period of each state that is an angle, 0 for the others (the default for all).
    words : str
        The set in words, for reports; by default made from the numbers.
    names : sequence of str, optional
        Names of the states, for those words.

    Raises
    ------
    PlantError
        On sizes that do not fit, a NaN, an infinite target, or a negative tolerance.
    """

    target: Array
    tolerance: Array
    periods: Array
    words: str

    def __init__(
        self,
        target: ArrayLike,
        tolerance: ArrayLike,
        periods: ArrayLike | None = None,
        words: str = "",
        names: Sequence[str] = (),
    ) -> None:
        centre = np.array(target, dtype=np.float64, ndmin=1)
        if centre.ndim != 1 or not np.all(np.isfinite(centre)):
            raise PlantError("The target must be a vector of finite numbers.", "Give one number for each state.")
        try:
            width = np.broadcast_to(np.asarray(tolerance, dtype=np.float64), centre.shape).copy()
            period = np.zeros_like(centre) if periods is None else np.array(periods, dtype=np.float64)
        except ValueError as error:
            raise PlantError(f"The tolerance does not fit a target of {centre.size} entries: {error}.") from error
        if period.shape != centre.shape or not (np.all(np.isfinite(period)) and np.all(period >= 0)):
            raise PlantError(f"The periods must be {centre.size} finite numbers, 0 for a state that is no angle.")
        if not np.all(width >= 0):
            raise PlantError("The tolerance around the target must be at least 0 and not NaN.")
        for name, value in (("target", centre), ("tolerance", width), ("periods", period)):
            value.setflags(write=False)
            object.__setattr__(self, name, value)
        object.__setattr__(self, "words", words or self._describe(names))

    def _describe(self, names: Sequence[str]) -> str:
        called = names if len(names) == self.target.size else [f"x[{i}]" for i in range(self.target.size)]
        parts = [
            (f"|{name} - {c:g}|" if c > 0 else f"|{name} + {-c:g}|" if c < 0 else f"|{name}|")
            + f" <= {w:g}"
            + (f" modulo {p:.6g}" if p else "")
            for name, c, w, p in zip(called, self.target, self.tolerance, self.periods, strict=True)
            if np.isfinite(w)
        ]
        return ", ".join(parts) or "all states"

    @property
    def n_states(self) -> int:
        return self.target.size

    def deviation(self, x: ArrayLike) -> Array:
        """x - target, angles wrapped; shape (..., n)."""
        return wrap(np.asarray(x, dtype=np.float64) - self.target, self.periods)

    def contains(self, x: ArrayLike) -> bool:
        """Whether the state x, shape (n,), lies in the set (floating point, no proof)."""
        deviation = np.abs(self.deviation(x))
        return bool(np.all(np.isfinite(deviation)) and np.all(deviation <= self.tolerance))

    def contains_box(self, low: ArrayLike, high: ArrayLike) -> bool:
        """Whether every state of a box lies in the set (floating point, no proof)."""
        low, high = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
        with np.errstate(invalid="ignore"):
            furthest = np.abs(self.deviation(0.5 * low + 0.5 * high)) + (0.5 * high - 0.5 * low)
        return bool(np.all(np.isfinite(furthest)) and np.all(low <= high) and np.all(furthest <= self.tolerance))

    def distance(self, x: ArrayLike) -> float:
        """Euclidean distance of the state x to the target, angles wrapped."""
        return float(np.linalg.norm(self.deviation(x)))


@dataclass(frozen=True, eq=False)
class Equilibrium:
    """A state in which the closed loop rests, found in floating point: nothing here is proved.

    Attributes
    ----------
    x, u, y : ndarray
        State, input and observation.
    residual : float
        |f(x, u) - x| for sampled loops, |dx/dt| for continuous ones.
    spectral_radius : float
        Of the linearised closed loop; for continuous loops exp of the spectral abscissa. Below 1: attracts nearby.
    target_distance : float or None
        Distance to the target; None if no goal is known.
    in_goal : bool or None
        Whether it lies in the goal set; None if no goal is known.
    notes : tuple of str
        What to know of this point: a saturated action, a kink of the plant.
    """

    x: Array
    u: Array
    y: Array
    residual: float
    spectral_radius: float = float("nan")
    target_distance: float | None = None
    in_goal: bool | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def attracts(self) -> bool:
        """Whether the linearised loop decays (by floating-point eigenvalues: a guess, no evidence)."""
        return bool(self.spectral_radius < 1)
