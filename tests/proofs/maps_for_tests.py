"""Loops whose map is written down: the model is the map, the policy does nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lipctrl.networks.network import Affine, Network
from lipctrl.plants.model import Model
from lipctrl.proofs.closed_loop import ClosedLoop


class Map(Model):
    """x+ = f(x) + (u, 0, ...), all states seen; `rate` is its only parameter."""

    n_actions, dt = 1, 1.0
    parameters = ("rate",)
    action_low, action_high = np.array([-np.inf]), np.array([np.inf])

    def __init__(self, f: Callable[..., Any], n: int = 2, rate: Any = 0.0) -> None:
        self.f, self.n_states, self.n_observations = f, n, n
        self.periods, self.state_low, self.state_high = np.zeros(n), np.full(n, -4.0), np.full(n, 4.0)
        self.rate = self._read("rate", rate)

    def step(self, x: Sequence[Any], u: Sequence[Any]) -> tuple[Any, ...]:
        after = self.f(*x, self.rate) if self.f.__code__.co_argcount > self.n_states else self.f(*x)
        return after[0] + u[0], *after[1:]

    def observe(self, x: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(x)


def loop_of(f: Callable[..., Any], n: int = 2, rate: Any = 0.0, error: float = 0.0) -> ClosedLoop:
    """The map as a closed loop; one more argument of f: the parameter, maybe uncertain."""
    return ClosedLoop(Map(f, n, rate), Network([Affine(np.zeros((1, n)))]), error)


def linear(A: Any) -> ClosedLoop:
    rows = np.asarray(A, dtype=float)
    return loop_of(lambda *x: tuple(sum(float(a) * v for a, v in zip(row, x, strict=True)) for row in rows), len(rows))
