"""What a closed loop needs of a plant that may be nonlinear: the next state, the observation, their derivatives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import copy
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lipctrl.errors import PlantError
from lipctrl.plants.differences import DOUBLE, differentiate
from lipctrl.plants.goal import Goal, wrap
from lipctrl.plants.plant import Plant, checked_dt

Array = NDArray[np.float64]


class Dynamics(ABC):
    """A plant x+ = f(x, u), y = h(x), in floating point.

    Attributes
    ----------
    name : str
    dt : float
        Sampling time in seconds, 0 for continuous time (`advance` is then dx/dt).
    n_states, n_actions, n_observations : int
    periods : ndarray, shape (n_states,)
        Period of each state that is an angle, 0 for the others.
    state_low, state_high : ndarray, shape (n_states,)
        The box from which simulations start.
    action_low, action_high : ndarray, shape (n_actions,)
        Limits that f puts on the action; infinite without limits.
    observation_low, observation_high : ndarray, shape (n_observations,), or None
        What the plant says about the range of its observations.
    goal : Goal or None
    limits : (low, high) or None
        The box of states in which f is the plant: outside, rails end and joints meet their stops. None: everywhere.
    leaves_out : tuple of str
        What a linear model of this plant leaves out, in words.
    resolution : float
        Relative rounding error of f and h.
    """

    name: str = "plant"
    dt: float
    n_states: int
    n_actions: int
    n_observations: int
    state_names: tuple[str, ...] = ()
    action_names: tuple[str, ...] = ()
    observation_names: tuple[str, ...] = ()
    periods: Array
    state_low: Array
    state_high: Array
    action_low: Array
    action_high: Array
    observation_low: Array | None = None
    observation_high: Array | None = None
    goal: Goal | None = None
    limits: tuple[Array, Array] | None = None
    leaves_out: tuple[str, ...] = ()
    resolution: float = DOUBLE
    vectorised: bool = True

    @abstractmethod
    def advance(self, x: Array, u: Array) -> Array:
        """The next states (dx/dt for dt = 0), for x of shape (..., n_states) and u of shape (..., n_actions)."""

    @abstractmethod
    def outputs(self, x: Array) -> Array:
        """The observations, shape (..., n_observations)."""

    def residual(self, x: Array, u: Array) -> Array:
        """Zero where the plant rests: f(x, u) - x, angles wrapped, or dx/dt."""
        if self.dt == 0:
            return self.advance(x, u)
        return wrap(self.advance(x, u) - x, self.periods)

    def derivatives(self, x: Array, u: Array) -> tuple[Array, Array, Array]:
        """A, B, C at (x, u)."""
        n = self.n_states
        by_state, _ = differentiate(lambda z: self._next_and_output(z, u), x, self.resolution)
        inside = self._inside(u, 4 * self.resolution**0.2)
        by_action, _ = differentiate(
            lambda v: self.advance(np.broadcast_to(x, (len(v), n)), v), inside, self.resolution
        )
        return by_state[:n], by_action, by_state[n:]

    def kinks(self, x: Array, u: Array) -> tuple[str, ...]:
        """Names of the states and actions along which f or h seems to have a kink at (x, u)."""
        _, by_state = differentiate(lambda z: self._next_and_output(z, u), x, self.resolution)
        inside = self._inside(u, 4 * self.resolution**0.2)
        n = self.n_states
        _, by_action = differentiate(
            lambda v: self.advance(np.broadcast_to(x, (len(v), n)), v), inside, self.resolution
        )
        names = _named(self.state_names, "x", n) + _named(self.action_names, "u", self.n_actions)
        return tuple(name for name, kink in zip(names, [*by_state, *by_action], strict=True) if kink)

    def starts(self, count: int) -> Array:
        """Initial states for simulations, shape (k, n_states): notable ones, then `count` spread over the box."""
        spread = np.random.default_rng(0).uniform(self.state_low, self.state_high, (count, self.n_states))
        centre = self.goal.target if self.goal is not None else (self.state_low + self.state_high) / 2
        return np.vstack([centre[None, :], *self.notable_states(), spread])

    def with_goal(self, goal: Goal | None) -> Self:
        """The same plant with another goal."""
        other = copy(self)
        other.goal = goal
        if goal is not None and np.any(goal.periods):
            other.periods = goal.periods
        return other

    def notable_states(self) -> list[Array]:
        """States in which a loop of this plant likes to rest."""
        return []

    def _next_and_output(self, x: Array, u: Array) -> Array:
        return np.concatenate([self.advance(x, np.broadcast_to(u, (len(x), u.size))), self.outputs(x)], axis=-1)

    def _inside(self, u: Array, margin: float) -> Array:
        """An action on its limit is moved inwards: a policy that stays within the limits sees that side only."""
        width = np.minimum(margin * np.maximum(1.0, np.abs(u)), (self.action_high - self.action_low) / 2)
        inside = np.clip(u, self.action_low + width, self.action_high - width)
        within = (u >= self.action_low) & (u <= self.action_high)
        return np.where(within, inside, u)


class LinearDynamics(Dynamics):
    """A linear :class:`Plant`, with limits of its actuators if it has any."""

    def __init__(self, plant: Plant, action_low: ArrayLike = -np.inf, action_high: ArrayLike = np.inf) -> None:
        if np.any(plant.D != 0):
            raise PlantError(
                "The plant has direct feedthrough (D is not zero): with a policy it forms an algebraic loop.",
                "Model the sampling or actuator delay between u and y (one more state), so that D becomes 0.",
            )
        self.plant = plant
        self.name, self.dt, self.goal = plant.name, plant.dt, plant.goal
        self.n_states, self.n_actions, self.n_observations = plant.n_states, plant.n_inputs, plant.n_outputs
        self.state_names, self.action_names = plant.state_names, plant.input_names
        self.observation_names, self.leaves_out = plant.output_names, plant.model_leaves_out
        self.periods = np.zeros(plant.n_states)  # full turns of a goal's angle change where a linear plant moves
        self.state_low, self.state_high = plant.x0 - 1.0, plant.x0 + 1.0
        self.action_low = np.broadcast_to(np.asarray(action_low, dtype=np.float64), (plant.n_inputs,))
        self.action_high = np.broadcast_to(np.asarray(action_high, dtype=np.float64), (plant.n_inputs,))

    def advance(self, x: Array, u: Array) -> Array:
        plant, limited = self.plant, np.clip(u, self.action_low, self.action_high)
        rate = (x - plant.x0) @ plant.A.T + (limited - plant.u0) @ plant.B.T
        return rate if plant.is_continuous else plant.x0 + rate

    def outputs(self, x: Array) -> Array:
        return self.plant.y0 + (x - self.plant.x0) @ self.plant.C.T

    def with_goal(self, goal: Goal | None) -> Self:
        other = copy(self)
        other.goal = goal
        return other

    def derivatives(self, x: Array, u: Array) -> tuple[Array, Array, Array]:
        return self.plant.A, self.plant.B * ((u >= self.action_low) & (u <= self.action_high)), self.plant.C


class FunctionDynamics(Dynamics):
    """A plant given as Python functions of arrays, ``step(x, u)`` and ``observe(x)``.

    Raises
    ------
    PlantError
        If a function raises, returns the wrong number of entries or NaN, or differs between two equal calls.
    """

    vectorised = False
    leaves_out = ("the nonlinearity of the plant",)

    def __init__(
        self,
        step: Callable[[Array, Array], ArrayLike],
        observe: Callable[[Array], ArrayLike] | None,
        sizes: tuple[int, int, int],
        dt: Any,
        goal: Goal,
    ) -> None:
        self._step, self._observe = step, observe
        self.name = getattr(step, "__name__", "function")
        self.n_states, self.n_actions, self.n_observations = sizes
        self.dt, self.goal, self.periods = checked_dt(dt), goal, goal.periods
        reach = np.where(np.isfinite(goal.tolerance), 3 * goal.tolerance, 1.0)
        self.state_low, self.state_high = goal.target - reach, goal.target + reach
        self.action_low, self.action_high = np.full(sizes[1], -np.inf), np.full(sizes[1], np.inf)
        x, u = goal.target, np.zeros(sizes[1])
        for call, words in ((lambda: self.advance(x, u), "step"), (lambda: self.outputs(x), "observation")):
            if not np.array_equal(call(), call()):
                raise PlantError(
                    f"The {words} function gives two different results for the same arguments.",
                    "A plant must be deterministic and have no memory but its state: switch noise off.",
                )

    def advance(self, x: Array, u: Array) -> Array:
        return _row_by_row(lambda z, v: self._step(z, v), self.n_states, "step(x, u)", x, u)

    def outputs(self, x: Array) -> Array:
        if self._observe is None:
            return x
        observe = self._observe
        return _row_by_row(lambda z: observe(z), self.n_observations, "observe(x)", x)


def _row_by_row(function: Callable[..., ArrayLike], size: int, words: str, *arguments: Array) -> Array:
    shape = np.broadcast_shapes(*(a.shape[:-1] for a in arguments))
    rows = [np.broadcast_to(a, (*shape, a.shape[-1])).reshape(-1, a.shape[-1]) for a in arguments]
    result = np.empty((len(rows[0]), size))
    for i, row in enumerate(zip(*rows, strict=True)):
        try:
            value = np.asarray(function(*(part.copy() for part in row)), dtype=np.float64)
        except Exception as error:
            raise PlantError(
                f"{words} raised {type(error).__name__}: {error}.", "It is called with one-dimensional float arrays."
            ) from error
        if value.shape != (size,) or np.any(np.isnan(value)):
            raise PlantError(
                f"{words} gave {value}, expected {size} numbers.", "Check its sizes, and where it gives NaN."
            )
        result[i] = value
    return result.reshape(*shape, size)


def _named(names: tuple[str, ...], letter: str, size: int) -> tuple[str, ...]:
    return names or tuple(f"{letter}[{i}]" for i in range(size))
