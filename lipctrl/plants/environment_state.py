"""Reading and setting the whole state of a Gymnasium environment."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipctrl.errors import GymnasiumError

Array = NDArray[np.float64]

ADVICE = (
    "Give the environment a settable attribute `state`, a vector that holds everything the next step depends on, "
    "or methods get_state() and set_state(x). `bound` still gives the Lipschitz constant of the policy."
)


class StateAccess(ABC):
    """The state of one environment as a float64 vector."""

    @abstractmethod
    def get(self) -> Array:
        """A copy of the state, shape (n,)."""

    @abstractmethod
    def set(self, x: Array) -> None:
        """Put the environment into the state x."""


class AttributeState(StateAccess):
    """Classic control and the like: ``env.state``."""

    def __init__(self, env: Any) -> None:
        self._env = env

    def get(self) -> Array:
        return np.array(self._env.state, dtype=np.float64)

    def set(self, x: Array) -> None:
        self._env.state = x.copy()


class MethodState(StateAccess):
    """``env.get_state()`` and ``env.set_state(x)``."""

    def __init__(self, env: Any) -> None:
        self._env = env

    def get(self) -> Array:
        return np.array(self._env.get_state(), dtype=np.float64)

    def set(self, x: Array) -> None:
        self._env.set_state(x.copy())


class MujocoState(StateAccess):
    """MuJoCo: (qpos, qvel). `set_state` leaves time, control and the warm start of the solver: they are zeroed."""

    def __init__(self, env: Any, name: str) -> None:
        self._env, self._n_positions = env, int(env.model.nq)
        if env.model.nq != env.model.nv:
            raise GymnasiumError(
                f"{name} has {env.model.nq} positions, but {env.model.nv} velocities (quaternions).",
                "Only models of hinges and slides have a state vector that can be differentiated entry by entry.",
            )
        if getattr(env.model, "na", 0):
            raise GymnasiumError(
                f"{name} has actuators with internal state.", "Only stateless actuators are supported."
            )

    def get(self) -> Array:
        return np.concatenate([self._env.data.qpos, self._env.data.qvel]).astype(np.float64)

    def set(self, x: Array) -> None:
        data = self._env.data
        data.qacc_warmstart[:] = 0.0
        data.ctrl[:] = 0.0
        data.time = 0.0
        self._env.set_state(x[: self._n_positions].copy(), x[self._n_positions :].copy())
        data.qacc_warmstart[:] = 0.0


def state_access(env: Any, name: str) -> StateAccess:
    """How the state of an unwrapped environment, already reset, is read and set.

    Raises
    ------
    GymnasiumError
        If there is no way, or what is set is not what is read back.
    """
    access: StateAccess
    if hasattr(env, "data") and hasattr(env, "model") and hasattr(env.model, "nq") and hasattr(env, "set_state"):
        access = MujocoState(env, name)
    elif callable(getattr(env, "get_state", None)) and callable(getattr(env, "set_state", None)):
        access = MethodState(env)
    elif hasattr(env, "state"):
        access = AttributeState(env)
    else:
        raise GymnasiumError(f"The state of {name} cannot be set.", ADVICE)
    try:
        before = access.get()
        access.set(before)
        after = access.get()
    except GymnasiumError:
        raise
    except Exception as error:
        raise GymnasiumError(f"The state of {name} cannot be set: {type(error).__name__}: {error}.", ADVICE) from error
    if before.ndim != 1 or before.size == 0 or not np.all(np.isfinite(before)):
        raise GymnasiumError(f"The state of {name} is {before}, expected a vector of finite numbers.", ADVICE)
    if not np.array_equal(before, after):
        raise GymnasiumError(f"The state of {name} was set to {before}, but reads {after}.", ADVICE)
    return access
