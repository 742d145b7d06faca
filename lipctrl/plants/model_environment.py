"""A Model as a Gymnasium environment with quadratic cost: what the agent is trained in is what the proofs are about.

The environments of the registered ids are made by ``gymnasium.make("lipctrl.plants.model_environment:<id>")``, or by
the id alone once this module has been imported.
"""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from lipctrl.errors import PlantError
from lipctrl.plants.model import Model
from lipctrl.plants.models import OWN_IDS, model_by_id

Array = NDArray[np.float64]


class ModelEnv(gymnasium.Env[NDArray[np.float32], NDArray[np.float32]]):
    """The regulator problem of a sampled model.

    In each step the reward is 1 - (x - target)' Q (x - target) - u' R u (one for being alive), then the model moves;
    the observation is rounded to float32. An episode terminates when the state leaves the box [fall_low, fall_high],
    and is truncated after `horizon` steps.

    Parameters
    ----------
    model : Model
        With dt > 0 and a goal.
    Q : array_like, shape (n,), optional
        Diagonal of the cost of the state, ones by default.
    R : array_like, shape () or (m,)
        Diagonal of the cost of the action.
    initial_low, initial_high : array_like, shape (n,), optional
        The initial state is uniform on this box, by default the model's box of states.
    fall_low, fall_high : array_like, shape (n,), optional
        By default twice that box.
    horizon : int

    Raises
    ------
    PlantError
        If the model is continuous, or has no goal or no limits of its actions.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}

    def __init__(
        self,
        model: Model,
        Q: ArrayLike = 1.0,
        R: ArrayLike = 0.001,
        *,
        initial_low: ArrayLike | None = None,
        initial_high: ArrayLike | None = None,
        fall_low: ArrayLike | None = None,
        fall_high: ArrayLike | None = None,
        horizon: int = 200,
    ) -> None:
        if not model.dt > 0 or model.goal is None or not np.all(np.isfinite([model.action_low, model.action_high])):
            raise PlantError(f"{model.name} needs dt > 0, a goal, and finite limits of its actions for an environment.")
        n, m = model.n_states, model.n_actions
        self.model = model
        self._Q, self._R = np.broadcast_to(Q, (n,)).astype(float), np.broadcast_to(R, (m,)).astype(float)
        middle, half = (model.state_low + model.state_high) / 2, (model.state_high - model.state_low) / 2
        self._initial = _box(initial_low, initial_high, model.state_low, model.state_high)
        self._fall = _box(fall_low, fall_high, middle - 2 * half, middle + 2 * half)
        self._horizon, self._steps = int(horizon), 0
        self._target = model.goal.target
        self.state = self._target.copy()
        low, high = model.action_low.astype(np.float32), model.action_high.astype(np.float32)
        self.action_space = spaces.Box(low, high, dtype=np.float32)
        self.observation_space = spaces.Box(-np.inf, np.inf, (model.n_observations,), dtype=np.float32)

    @property
    def dt(self) -> float:
        """Sampling time in seconds."""
        return self.model.dt

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode in a random initial state, or in ``options["state"]``."""
        super().reset(seed=seed)
        start = self.np_random.uniform(*self._initial)
        self.state = np.array((options or {}).get("state", start), dtype=np.float64)
        self._steps = 0
        return self._get_obs(), {}

    def step(self, action: ArrayLike) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """One sampling period: observation, reward, terminated, truncated, information."""
        u = np.clip(np.asarray(action, dtype=np.float64), self.model.action_low, self.model.action_high)
        away = self.state - self._target
        reward = 1.0 - float(self._Q @ away**2 + self._R @ u**2)
        self.state = self.model.advance(self.state, u)
        self._steps += 1
        fallen = not bool(np.all((self._fall[0] <= self.state) & (self.state <= self._fall[1])))
        return self._get_obs(), reward, fallen, self._steps >= self._horizon, {}

    def _get_obs(self) -> NDArray[np.float32]:
        return self.model.outputs(self.state).astype(np.float32)


def _box(low: ArrayLike | None, high: ArrayLike | None, least: Array, most: Array) -> tuple[Array, Array]:
    box = np.array(least if low is None else low, dtype=float), np.array(most if high is None else high, dtype=float)
    if not (box[0].shape == box[1].shape == least.shape and np.all(box[0] <= box[1])):
        raise PlantError(f"A box of states needs two corners of {least.size} numbers, given {low!r} and {high!r}.")
    return box


def _make(environment_id: str, **arguments: Any) -> ModelEnv:
    model = model_by_id(environment_id)
    if model is None:
        raise PlantError(f"There is no model with the id {environment_id}.")
    return ModelEnv(model, **arguments)


for _id in OWN_IDS:
    if _id not in gymnasium.registry:
        gymnasium.register(_id, _make, kwargs={"environment_id": _id})
