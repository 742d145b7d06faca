"""Small environments for the tests, good ones and bad ones."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces


class Spring(gymnasium.Env):
    """A mass on a hardening spring: a good citizen with float64 state and observation."""

    dt: Any = 0.1
    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}

    def __init__(self) -> None:
        self.action_space = spaces.Box(-2.0, 2.0, (1,))
        self.observation_space = spaces.Box(-10.0, np.array([10.0, 20.0]), dtype=np.float64)
        self.state = np.zeros(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = self.np_random.uniform(-1, 1, 2)
        return self._get_obs(), {}

    def step(self, action):
        self.state = self.move(np.array(self.state), np.clip(action, self.action_space.low, self.action_space.high))
        return self._get_obs(), 0.0, False, False, {}

    def move(self, x, u):
        speed = x[1] + self.dt * (-x[0] - x[0] ** 3 - 0.5 * x[1] + u[0])
        return np.array([x[0] + self.dt * speed, speed])

    def _get_obs(self):
        return np.array([self.state[0], 2 * self.state[1]])


class Counting(Spring):
    """Hidden state: every second step since reset is stronger."""

    count = 0

    def reset(self, *, seed=None, options=None):
        self.count = 0
        return super().reset(seed=seed)

    def move(self, x, u):
        self.count += 1
        return super().move(x, u * (1 + self.count % 2))


class Windy(Spring):
    """Randomness in the motion."""

    def move(self, x, u):
        return super().move(x, u + 1e-6 * self.np_random.normal())


class Foggy(Spring):
    """Randomness in the observation."""

    def _get_obs(self):
        return super()._get_obs() + 1e-6 * self.np_random.normal(size=2)


class Stale(Spring):
    """A step returns the observation from before it."""

    def step(self, action):
        before = self._get_obs()
        super().step(action)
        return before, 0.0, False, False, {}


class Lucky(Spring):
    """A parameter drawn at reset."""

    def reset(self, *, seed=None, options=None):
        result = super().reset(seed=seed)
        self.stiffness = self.np_random.uniform(1, 2)
        return result

    def move(self, x, u):
        return super().move(x, u - self.stiffness * x[:1])


class Mirror(Spring):
    """The attribute `state` only shows what lies elsewhere."""

    def reset(self, *, seed=None, options=None):
        result = super().reset(seed=seed)
        self.true = self.state
        return result

    def step(self, action):
        self.true = self.state = self.move(self.true, action)
        return self._get_obs(), 0.0, False, False, {}


class Sealed(Spring):
    """No settable state at all."""

    state = property(lambda self: self._hidden)  # type: ignore[assignment]

    def __init__(self) -> None:
        self._hidden = np.zeros(2)
        self.action_space = spaces.Box(-2.0, 2.0, (1,))
        self.observation_space = spaces.Box(-10.0, 10.0, (2,), dtype=np.float64)

    def reset(self, *, seed=None, options=None):
        gymnasium.Env.reset(self, seed=seed)
        return self._get_obs(), {}


class Timeless(Spring):
    """Does not say how long a step is."""

    dt = property(lambda self: None)  # type: ignore[assignment]

    def move(self, x, u):
        return 0.5 * x + u


class Blind(Spring):
    """No method to observe the present state, and an observation that is more than the state."""

    _get_obs = None  # type: ignore[assignment]

    def reset(self, *, seed=None, options=None):
        gymnasium.Env.reset(self, seed=seed)
        self.state = self.np_random.uniform(-1, 1, 2)
        return np.sin(self.state), {}

    def step(self, action):
        self.state = self.move(self.state, action)
        return np.sin(self.state), 0.0, False, False, {}


class Methods(Spring):
    """State through get_state and set_state, single precision throughout."""

    def __init__(self) -> None:
        super().__init__()
        del self.state
        self.inner = np.zeros(2, np.float32)
        self.observation_space = spaces.Box(-10.0, 10.0, (2,))

    def get_state(self):
        return self.inner

    def set_state(self, x):
        self.inner = np.asarray(x, np.float32)

    def reset(self, *, seed=None, options=None):
        gymnasium.Env.reset(self, seed=seed)
        self.inner = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return self._get_obs(), {}

    def step(self, action):
        self.inner = self.move(self.inner.astype(float), action).astype(np.float32)
        return self._get_obs(), 0.0, False, False, {}

    def _get_obs(self):
        return np.array([np.sin(self.inner[0]), self.inner[1]], np.float32)


class LikeMujoco(Spring):
    """The interface of MuJoCo environments: positions, velocities, and a warm start that disturbs the next step."""

    state = property(lambda self: None)  # type: ignore[assignment]

    def __init__(self, n_velocities=1, n_activations=0) -> None:
        self.action_space = spaces.Box(-2.0, 2.0, (1,))
        self.observation_space = spaces.Box(-10.0, np.array([10.0, 20.0]), dtype=np.float64)
        self.model = SimpleNamespace(nq=1, nv=n_velocities, na=n_activations)
        self.data = SimpleNamespace(
            qpos=np.zeros(1), qvel=np.zeros(n_velocities), qacc_warmstart=np.zeros(1), ctrl=np.zeros(1), time=0.0
        )

    def set_state(self, qpos, qvel):
        self.data.qpos, self.data.qvel = qpos, qvel
        self.data.qacc_warmstart += 1e-3

    def reset(self, *, seed=None, options=None):
        gymnasium.Env.reset(self, seed=seed)
        self.set_state(self.np_random.uniform(-1, 1, 1), np.zeros(self.model.nv))
        return self._get_obs(), {}

    def step(self, action):
        x = np.concatenate([self.data.qpos, self.data.qvel])
        x = self.move(x, action + self.data.qacc_warmstart + self.data.ctrl + self.data.time)
        self.data.qpos, self.data.qvel = x[:1], x[1:]
        self.data.qacc_warmstart[:], self.data.ctrl[:], self.data.time = 0.5, action, self.data.time + 0.1
        return self._get_obs(), 0.0, False, False, {}

    def _get_obs(self):
        return np.concatenate([self.data.qpos, 2 * self.data.qvel])
