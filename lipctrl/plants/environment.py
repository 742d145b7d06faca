"""A python-control StateSpace as a Gymnasium environment with quadratic cost."""

from __future__ import annotations

from typing import Any, ClassVar

import control
import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from lipctrl.errors import PlantError
from lipctrl.plants.plant import Plant, checked_dt

Array = NDArray[np.float64]


class StateSpaceEnv(gymnasium.Env[NDArray[np.float32], NDArray[np.float32]]):
    r"""The regulator problem of a linear plant, as an environment for reinforcement learning.

    In each step the action is saturated, u = clip(action, action_low, action_high), the reward is the negative
    quadratic stage cost

        r = -(x - x_ref)' Q (x - x_ref) - (u - u_ref)' R (u - u_ref),

    the state moves to x+ = A x + B u, and the observation is y = C x+. The motion is deterministic; only the
    initial state is drawn at random. An episode never terminates, it is truncated after `horizon` steps.

    Parameters
    ----------
    sys : control.StateSpace
        The plant with n states, m inputs, p outputs, D = 0. Sampled (``dt`` a number), or continuous (``dt`` = 0)
        together with `sampling_time`.
    Q : array_like, shape (n, n) or (), optional
        State cost, symmetric positive semidefinite. C'C by default.
    R : array_like, shape (m, m) or (), optional
        Input cost, symmetric positive semidefinite. The identity by default.
    sampling_time : float, optional
        In seconds; a continuous plant is sampled with a zero-order hold on the input.
    action_low, action_high : array_like, shape () or (m,)
        Limits of the actuator, in the plant's units: -1 and 1 by default.
    initial_low, initial_high : array_like, shape () or (n,)
        The initial state minus x_ref is uniform on this box: -1 and 1 by default.
    target : array_like, shape (n,), optional
        The state x_ref in which the plant is to rest, zero by default. The input u_ref that holds it there is
        computed, and lies within the limits of the actuator.
    horizon : int
        Steps per episode.
    state_limit : float
        An episode is also truncated once an entry of the state exceeds this magnitude, so that an unstable plant
        cannot overflow the float32 observation.

    Attributes
    ----------
    plant : Plant
        The sampled plant, with the names of its states, inputs and outputs.
    state : ndarray, shape (n,)
    dt : float

    Raises
    ------
    PlantError
        If `sys` is no StateSpace, its time base is unspecified, D is not zero (an algebraic loop), a size does not
        fit, a cost is not positive semidefinite, a limit is not finite, the plant cannot rest in the target, or
        (on `step`) the action holds NaN.

    Examples
    --------
    >>> import control
    >>> sys = control.ss([[0, 1], [-1, -0.5]], [[0], [1]], [[1, 0], [0, 1]], 0)
    >>> env = StateSpaceEnv(sys, sampling_time=0.05, R=0.1)
    >>> observation, _ = env.reset(seed=0)
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}

    def __init__(
        self,
        sys: control.StateSpace,
        Q: ArrayLike | None = None,
        R: ArrayLike | None = None,
        *,
        sampling_time: float | None = None,
        action_low: ArrayLike = -1.0,
        action_high: ArrayLike = 1.0,
        initial_low: ArrayLike = -1.0,
        initial_high: ArrayLike = 1.0,
        target: ArrayLike | None = None,
        horizon: int = 200,
        state_limit: float = 1e6,
    ) -> None:
        self.plant = _sampled(sys, sampling_time)
        n, m, p = self.plant.n_states, self.plant.n_inputs, self.plant.n_outputs
        self._state_cost = _cost("Q", self.plant.C.T @ self.plant.C if Q is None else Q, n)
        self._input_cost = _cost("R", np.eye(m) if R is None else R, m)
        low, high = _box("action", action_low, action_high, m)
        self.action_space = spaces.Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)
        # float64 values of the float32 limits, which are also what an agent's file records
        self._low, self._high = self.action_space.low.astype(np.float64), self.action_space.high.astype(np.float64)
        self._initial_low, self._initial_high = _box("initial", initial_low, initial_high, n)
        self._x_ref = _vector("target", 0.0 if target is None else target, n)
        self._u_ref = _holding_input(self.plant, self._x_ref, self._low, self._high)
        if horizon < 1:
            raise PlantError(f"The horizon is {horizon} steps.", "Give at least one step per episode.")
        if not state_limit > 0:
            raise PlantError(f"The state limit is {state_limit}.", "Give a positive number.")
        self._horizon, self._state_limit, self._steps = int(horizon), float(state_limit), 0
        self._state = self._x_ref.copy()
        self.observation_space = spaces.Box(-np.inf, np.inf, (p,), dtype=np.float32)

    @property
    def state(self) -> Array:
        """The state x, shape (n,), a copy in float64. It may be set: the plant has no other memory."""
        return self._state.copy()

    @state.setter
    def state(self, value: ArrayLike) -> None:
        self._state = _vector("state", value, self.plant.n_states, broadcast=False)

    @property
    def dt(self) -> float:
        """Sampling time in seconds."""
        return self.plant.dt

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode in a random initial state, or in ``options["state"]``."""
        super().reset(seed=seed)
        start = self._x_ref + self.np_random.uniform(self._initial_low, self._initial_high)
        self.state = (options or {}).get("state", start)
        self._steps = 0
        return self._get_obs(), {}

    def step(self, action: ArrayLike) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """One sampling period under a constant input: observation, reward, terminated, truncated, information."""
        u = np.clip(_vector("action", action, self.plant.n_inputs, broadcast=False), self._low, self._high)
        dx, du = self._state - self._x_ref, u - self._u_ref
        reward = -float(dx @ self._state_cost @ dx + du @ self._input_cost @ du)
        self._state = self.plant.A @ self._state + self.plant.B @ u
        self._steps += 1
        left = not bool(np.all(np.abs(self._state) <= self._state_limit))
        return self._get_obs(), reward, False, left or self._steps >= self._horizon, {}

    def _get_obs(self) -> NDArray[np.float32]:
        return (self.plant.C @ self._state).astype(np.float32)


def _sampled(sys: control.StateSpace, sampling_time: float | None) -> Plant:
    plant = Plant.from_control(sys)
    if np.any(plant.D != 0):
        raise PlantError(
            "The plant has direct feedthrough (D is not zero): the observation would depend on the action that is "
            "chosen from it, an algebraic loop.",
            "Append the input's delay or the actuator's dynamics as a state, or leave that output away.",
        )
    if not plant.is_continuous:
        if sampling_time is not None and sampling_time != plant.dt:
            raise PlantError(
                f"The plant is sampled with dt = {plant.dt:g} s, but sampling_time = {sampling_time:g} s was given.",
                "Leave sampling_time away, or give the continuous plant.",
            )
        return plant
    if sampling_time is None or not 0 < checked_dt(sampling_time) < np.inf:
        raise PlantError(
            f"The plant is continuous (dt = 0), and sampling_time is {sampling_time}.",
            "An agent acts at sampling instants: give sampling_time in seconds, such as 0.05.",
        )
    return Plant.from_control(sys.sample(float(sampling_time), method="zoh"))


def _holding_input(plant: Plant, x_ref: Array, low: Array, high: Array) -> Array:
    drift = x_ref - plant.A @ x_ref
    u_ref = np.linalg.lstsq(plant.B, drift, rcond=None)[0]
    if np.max(np.abs(plant.B @ u_ref - drift)) > 1e-9 * (1 + np.max(np.abs(x_ref))):
        raise PlantError(
            f"The plant cannot rest in the target {x_ref.tolist()}: no constant input holds it there.",
            "Give a target x with x = A x + B u for some u, or none (the origin).",
        )
    if np.any(u_ref < low) or np.any(u_ref > high):
        raise PlantError(
            f"Holding the target needs the input {u_ref.tolist()}, outside the limits {low.tolist()}, {high.tolist()}.",
            "Move the target or widen action_low and action_high.",
        )
    return np.asarray(u_ref, dtype=np.float64)


def _cost(name: str, value: ArrayLike, size: int) -> Array:
    matrix = np.asarray(value, dtype=np.float64)
    if matrix.ndim == 0:
        matrix = matrix * np.eye(size)
    if matrix.shape != (size, size):
        raise PlantError(
            f"The cost {name} has shape {matrix.shape}, expected {(size, size)}.", "Give a matrix, or one number."
        )
    if not np.all(np.isfinite(matrix)) or np.any(matrix != matrix.T):
        raise PlantError(f"The cost {name} is not a finite symmetric matrix.", f"Use ({name} + {name}') / 2.")
    if np.linalg.eigvalsh(matrix)[0] < -1e-12 * np.max(np.abs(matrix)):
        raise PlantError(f"The cost {name} has a negative eigenvalue.", "Give a positive semidefinite matrix.")
    return matrix


def _vector(name: str, value: ArrayLike, size: int, broadcast: bool = True) -> Array:
    vector = np.array(value, dtype=np.float64)
    if vector.shape != (size,) and not (broadcast and vector.ndim == 0):
        raise PlantError(f"{name} has shape {vector.shape}, expected {(size,)}.", "Check the number of entries.")
    if not np.all(np.isfinite(vector)):
        raise PlantError(f"{name} holds NaN or infinite entries.", "Give finite numbers.")
    return np.array(np.broadcast_to(vector, (size,)))


def _box(name: str, low: ArrayLike, high: ArrayLike, size: int) -> tuple[Array, Array]:
    lower, upper = _vector(f"{name}_low", low, size), _vector(f"{name}_high", high, size)
    if np.any(lower > upper):
        raise PlantError(f"{name}_low = {lower.tolist()} exceeds {name}_high = {upper.tolist()}.", "Swap the two.")
    return lower, upper
