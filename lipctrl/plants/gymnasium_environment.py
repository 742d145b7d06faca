"""Gymnasium environments as plants: set the state, step, read the state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from lipctrl.errors import GymnasiumError
from lipctrl.plants.differences import DOUBLE, SINGLE
from lipctrl.plants.dynamics import Dynamics, LinearDynamics
from lipctrl.plants.environment import StateSpaceEnv
from lipctrl.plants.environment_checks import (
    check_spaces,
    does_only,
    essential_wrappers,
    make_environment,
    name_of,
    sampling_time,
)
from lipctrl.plants.environment_state import StateAccess, state_access
from lipctrl.plants.goal import Goal
from lipctrl.plants.models import model_of_environment

Array = NDArray[np.float64]

ESCAPED = 1e8


def dynamics_of_environment(env: str | gymnasium.Env[Any, Any], dt: float | None) -> Dynamics:
    """The plant behind an environment: its exact model or linear plant if known, else the environment itself.

    Parameters
    ----------
    env : str or gymnasium.Env
        An environment that is given as an object keeps its parameters; its state is changed.
    dt : float or None
        Seconds per step, for an environment that does not say it.

    Raises
    ------
    GymnasiumError
        If the environment is unknown, its spaces are not bounded boxes, its state cannot be set, or it is random or has
        hidden state.
    """
    outer = make_environment(env) if isinstance(env, str) else env
    if not isinstance(outer, gymnasium.Env):
        raise GymnasiumError(
            f"A {type(outer).__name__} was given, expected one gymnasium.Env.",
            "Give a single environment, not a vector of them and not one of the old gym.",
        )
    wrappers, name = essential_wrappers(outer), name_of(outer)
    check_spaces(outer, name)
    if not wrappers:
        model = model_of_environment(outer.unwrapped)
        if model is not None:
            return model
        if type(outer.unwrapped) is StateSpaceEnv:  # a subclass may move in another way
            space = outer.action_space
            linear = LinearDynamics(outer.unwrapped.plant, space.low, space.high)
            goal = getattr(outer.unwrapped, "goal", None)
            return linear.with_goal(goal) if isinstance(goal, Goal) else linear
    return EnvironmentDynamics(outer, wrappers, name, dt)


class EnvironmentDynamics(Dynamics):
    """An environment whose state can be set, differentiated by central differences of its own step.

    It must be deterministic, without memory but its state. Observations in float32 are replaced by the state itself in
    float64 where they are nothing but entries of it.
    """

    vectorised = False
    leaves_out = ("the curvature of the plant and of its observation map", "the ends of an episode")

    def __init__(
        self, env: gymnasium.Env[Any, Any], wrappers: list[gymnasium.Wrapper[Any, Any, Any, Any]], name: str, dt: Any
    ) -> None:
        self._env, self._wrappers, self.name = env.unwrapped, wrappers, name
        try:
            env.reset(seed=0)
        except Exception as error:
            raise GymnasiumError(
                f"The reset of {name} raised {type(error).__name__}: {error}.", "Correct the environment."
            ) from error
        self._state: StateAccess = state_access(env.unwrapped, name)
        self._observe = _observation_function(env.unwrapped)
        self.dt = sampling_time(env.unwrapped, dt, name)
        self.action_low = np.asarray(env.action_space.low, dtype=np.float64)
        self.action_high = np.asarray(env.action_space.high, dtype=np.float64)
        self.observation_low, self.observation_high = (
            np.asarray(bound, dtype=np.float64) for bound in (env.observation_space.low, env.observation_space.high)
        )
        self.n_actions, self.n_observations = self.action_low.size, int(np.prod(env.observation_space.shape))
        self.n_states = self._state.get().size
        self.periods = np.zeros(self.n_states)
        goal = getattr(env.unwrapped, "goal", None)
        self.goal = goal if isinstance(goal, Goal) else None
        visited, observations = self._visited()
        spread = np.maximum(np.ptp(visited, axis=0), 0.1)
        self.state_low, self.state_high = visited.min(axis=0) - 0.1 * spread, visited.max(axis=0) + 0.1 * spread
        self._selection = self._find_selection(visited, observations)
        self._check_memory(visited)
        seen_in_single = bool(np.any(self._selection < 0)) and observations.dtype == np.float32
        self.resolution = SINGLE if seen_in_single or self._state_is_single(visited) else DOUBLE

    def advance(self, x: Array, u: Array) -> Array:
        shape = np.broadcast_shapes(x.shape[:-1], u.shape[:-1])
        states = np.broadcast_to(x, (*shape, self.n_states)).reshape(-1, self.n_states)
        actions = np.broadcast_to(u, (*shape, self.n_actions)).reshape(-1, self.n_actions)
        after = [self._next(z, v) for z, v in zip(states, actions, strict=True)]
        return np.array(after).reshape(*shape, self.n_states)

    def outputs(self, x: Array) -> Array:
        rows = x.reshape(-1, self.n_states)
        if np.all(self._selection >= 0):
            return x[..., self._selection]
        seen = np.empty((len(rows), self.n_observations))
        for i, z in enumerate(rows):
            self._state.set(z)
            seen[i] = self._observed_now()
        seen = np.where(self._selection >= 0, rows[:, self._selection], seen)
        return seen.reshape(*x.shape[:-1], self.n_observations)

    def _next(self, x: Array, u: Array) -> Array:
        if not np.all(np.abs(x) <= ESCAPED):
            return np.full(self.n_states, np.nan)
        self._state.set(x)
        self._step(u)
        return self._state.get()

    def _step(self, u: Array) -> Any:
        action: Any = u.copy()
        for wrapper in self._wrappers:
            if does_only(wrapper, gymnasium.ActionWrapper):
                action = wrapper.action(action)
        try:
            return self._env.step(action)[0]
        except Exception as error:
            raise GymnasiumError(
                f"A step of {self.name} raised {type(error).__name__}: {error}.",
                "Its step must accept any action within action_space as a float64 array, from any state.",
            ) from error

    def _seen(self, observation: Any) -> NDArray[Any]:
        for wrapper in reversed(self._wrappers):
            if does_only(wrapper, gymnasium.ObservationWrapper):
                observation = wrapper.observation(observation)
        return np.asarray(observation)

    def _observed_now(self) -> NDArray[Any]:
        """The observation of the present state, as step() would return it; without `_get_obs` that of a known form."""
        if self._observe is None:
            return self._state.get()[self._selection].astype(self._type)
        return self._seen(self._observe()).ravel()

    def _visited(self) -> tuple[Array, NDArray[Any]]:
        """States of two short random episodes, and what was observed there."""
        rng, visited, observations = np.random.default_rng(0), [], []
        for seed in (0, 1):
            observation = self._seen(self._env.reset(seed=seed)[0])
            for _ in range(10):
                visited.append(self._state.get())
                observations.append(observation.ravel())
                observation = self._seen(self._step(rng.uniform(self.action_low, self.action_high)))
        if observations[0].size != self.n_observations:
            raise GymnasiumError(
                f"{self.name} gives {observations[0].size} observations, but its space has {self.n_observations}.",
                "Correct its observation_space.",
            )
        return np.array(visited), np.array(observations)

    def _check_memory(self, visited: Array) -> None:
        """The next state and the observation may depend on state and action only."""
        rng = np.random.default_rng(2)
        for x in visited[[0, 5, 12]]:
            u = rng.uniform(self.action_low, self.action_high)
            results = []
            for seed in (0, 0, 1):
                self._env.reset(seed=seed)
                self._state.set(x)
                for length in (0, 2, 3):
                    for _ in range(length):
                        self._step(rng.uniform(self.action_low, self.action_high))
                    self._state.set(x)
                    seen = self._observed_now()
                    arrived = self._seen(self._step(u)).ravel()
                    results.append(np.concatenate([self._state.get(), seen, arrived]))
                    if not np.array_equal(arrived, self._observed_now()):
                        raise GymnasiumError(
                            f"{self.name} observes one state in two ways: step() and _get_obs() differ.",
                            "The observation must be a function of the state: remove noise, delay, running averages.",
                        )
            if not all(np.array_equal(r, results[0]) for r in results[1:]):
                self._refuse_memory(results)

    def _refuse_memory(self, results: list[Array]) -> None:
        repeats = np.array_equal(results[0], results[3]) and np.array_equal(results[0], results[6])
        if repeats:
            raise GymnasiumError(
                f"{self.name} has hidden state: the same state and action led to different results after a few steps.",
                "Put everything the next step depends on (counters, filters, delays) into the settable state.",
            )
        raise GymnasiumError(
            f"{self.name} is random or has hidden state: one state and action led to different results after reset.",
            "Switch noise and randomised parameters off, or put what is drawn at reset into the settable state.",
        )

    def _find_selection(self, visited: Array, seen: NDArray[Any]) -> NDArray[np.intp]:
        """For each observation the entry of the state that it is (rounded to its own type), or -1."""
        self._type = seen.dtype
        selection = np.full(self.n_observations, -1)
        for j in range(self.n_observations):
            for i in range(self.n_states):
                if np.ptp(visited[:, i]) > 0 and np.array_equal(visited[:, i].astype(seen.dtype), seen[:, j]):
                    selection[j] = i
        if self._observe is None and np.any(selection < 0):
            raise GymnasiumError(
                f"{self.name} has no method that observes its present state.",
                "Give it a method _get_obs() that returns the observation, or linearize a function with observe=.",
            )
        return selection

    def _state_is_single(self, visited: Array) -> bool:
        u = (self.action_low + 2 * self.action_high) / 3
        after = np.array([self._next(x * (1 + 1e-3 / 3), u) for x in visited])
        return bool(np.array_equal(after, after.astype(np.float32)))


def _observation_function(env: Any) -> Callable[[], Any] | None:
    functions = (getattr(env, name, None) for name in ("_get_obs", "get_obs", "_get_observation"))
    return next((function for function in functions if callable(function)), None)
