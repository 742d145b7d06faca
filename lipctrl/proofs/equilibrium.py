"""Existence and local uniqueness of the equilibrium of a closed loop, by Krawczyk's operator.

Theorem (Krawczyk 1969; Rump, Acta Numerica 2010, Theorem 13.2). Let g be Lipschitz on the box X about c with all its
derivatives (Clarke's, at kinks) in the interval matrix G, and Y any matrix. If

    c - Y g(c) + (I - Y G)(X - c)  lies in the interior of X,

then g has exactly one zero in X. Here g(x) = f(x, pi(h(x))) - x, for dt = 0 without "- x". (Uncertain parameters:
equilibria.py.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from lipctrl.errors import LipctrlError, LoopError
from lipctrl.intervals.dual import Dual, jacobian, times
from lipctrl.intervals.interval import Interval
from lipctrl.networks.network import Affine, Network
from lipctrl.plants.model import Model

Array = NDArray[np.float64]

#: half-widths of the boxes that are tried, relative to the states, see :func:`scale`
RADII = (1e-12, 1e-10, 1e-8, 1e-6, 1e-4)
_ROOM = 16.0
"""The box is proved for errors of g at the guess that are so many times as large: those of another program."""
_WIDER = 1.5


@dataclass(frozen=True)
class EquilibriumProof:
    """The loop rests at exactly one state of `x`, with input and observation in `u` and `y`, for each parameter."""

    x: Interval
    u: Interval
    y: Interval


def prove_equilibrium(
    model: Model, network: Network, guess: Array, radii: Sequence[float] = RADII
) -> EquilibriumProof | None:
    """Prove that the closed loop has exactly one equilibrium in a small box about `guess`; None if that failed.

    Parameters
    ----------
    model : Model
        Exact equations.
    network : Network
    guess : array, shape (n,)
        From Newton's method in floating point.
    radii : sequence of float
        Half widths of the boxes, relative to :func:`scale`: the first one that works is taken, wider in those states
        in which the roundings of g ask for more.

    Raises
    ------
    LoopError
        If the model, the policy and the guess differ in size.
    """
    guess = np.asarray(guess, dtype=np.float64)
    given = (*guess.shape, network.n_in, network.n_out)
    if given != (model.n_states, model.n_observations, model.n_actions):
        raise LoopError(
            f"Guess, policy inputs and outputs have sizes {given}, but the model has {model.n_states} states, "
            f"{model.n_observations} observations and {model.n_actions} actions.",
            "Use the policy with the model that it was trained on.",
        )
    size = scale(model, guess)
    try:
        with np.errstate(all="ignore"):
            at_guess, _, _ = _closed_loop(model, network, Interval(guess, guess))
            value = Interval(-_ROOM * at_guess.mag, _ROOM * at_guess.mag)
            for radius in radii:
                half_width = radius * size
                for _ in range(2):
                    box = Interval(guess - half_width, guess + half_width)
                    _, slopes, signals = _closed_loop(model, network, box)
                    image = krawczyk(guess, box, value, slopes)
                    if np.all(box.contains_in_interior(image)):
                        return EquilibriumProof(box, *signals)
                    half_width = np.maximum(half_width, np.fmin(_WIDER * (image - guess).mag, RADII[-1] * size))
    except (LipctrlError, np.linalg.LinAlgError):
        return None
    return None


def scale(model: Model, guess: Array) -> Array:
    """Of each state, shape (n,): its size at the guess and the side of the model's box, 1 where that has none.

    At a state 0 nothing else says how large the numbers are that cancel there, whose roundings X is to have room for.
    """
    side = model.state_high - model.state_low
    return np.abs(guess) + np.where(np.isfinite(side) & (side > 0), side, 1.0)


def krawczyk(center: Array, box: Interval, value: Interval, slopes: Interval) -> Interval:
    """c - Y g(c) + (I - Y G)(X - c), Y the inverse of the middle of G."""
    Y = np.linalg.inv(slopes.mid)
    return center - Y @ value + (np.eye(len(center)) - Y @ slopes) @ (box - center)


def _closed_loop(model: Model, network: Network, box: Interval) -> tuple[Interval, Interval, tuple[Interval, Interval]]:
    """Enclosures of g on the box and of its derivatives, and of (u, y)."""
    n = model.n_states
    x = Dual.variables([box[i] for i in range(n)])
    y = _stack(model.observe(x), n)
    u = through_network(network, y)
    actions = [Dual(u.value[i], u.grad[:, i]) for i in range(network.n_out)]
    after = _stack(model.step(x, actions), n)
    value, slopes = cast(Interval, after.value), jacobian([Dual(after.value[i], after.grad[:, i]) for i in range(n)])
    if model.dt != 0:
        value, slopes = value - box, slopes - np.eye(n)
    return value, slopes, (cast(Interval, u.value), cast(Interval, y.value))


def _stack(parts: Sequence[Dual | float], n: int) -> Dual:
    """Components as one vector: value of shape (p,), derivatives of shape (n, p)."""
    duals = [
        part if isinstance(part, Dual) else Dual(Interval(np.float64(part)), Interval(np.zeros(n))) for part in parts
    ]
    return Dual(Interval.stack([d.value for d in duals]), Interval.stack([d.grad for d in duals], axis=1))


def through_network(network: Network, y: Dual) -> Dual:
    """Value and derivatives of the policy, for an interval vector with derivatives of shape (n, p)."""
    value, grad = cast(Interval, y.value), cast(Interval, y.grad)
    for layer in network.layers:
        if isinstance(layer, Affine):
            value, grad = layer.W @ value + layer.b, (layer.W @ grad.T).T
        else:
            value, grad = layer.activation.enclose(value), times(grad, layer.activation.slope_range(value))
    return Dual(value, grad)
