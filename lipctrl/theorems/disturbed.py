"""Lyapunov's theorem under errors of the actions: every trajectory from the ellipsoid ends in a smaller one.

Theorem. Let V+ <= (1 - eta) V on {V <= 1} for the linear plant with the exact policy (continuous: dV/dt <= -eta V), and
let each action be off by at most d_i. With beta^2 >= max over |d| of (B d)' P (B d), the norm of P gives

    sqrt(V+) <= sqrt(1 - eta) sqrt(V) + beta <= (1 - eta / 2) sqrt(V) + beta     (d/dt sqrt(V) <= -eta/2 sqrt(V) + beta)

so that every r with beta < eta r / 2 and r <= 1 is the radius of a ball {V <= r^2} that trajectories enter and never
leave, and {V <= 1} is invariant. (Input-to-state stability; Jiang and Wang, Automatica 37, 2001, sampled.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipctrl.intervals.ball import Ball
from lipctrl.lmi.lmi import Array, Values
from lipctrl.networks.enclosure import InputSet, LayerBounds
from lipctrl.networks.float32 import region_error
from lipctrl.networks.network import Network
from lipctrl.plants.loop import Loop
from lipctrl.proofs.certificate import from_hex, hex_array
from lipctrl.theorems import lipschitz
from lipctrl.theorems.conclusion import suggest
from lipctrl.theorems.lyapunov import Statement, region_inputs
from lipctrl.theorems.lyapunov_search import Found, find_local, shrunk

SHARES = (1.0, 0.3, 0.1, 0.03, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
"""Of the radius of the ellipsoid that was found, in the order tried."""
_ROOM = 1.01
"""Left for the roundings of other programs."""


@dataclass(frozen=True)
class Disturbed:
    """Errors of the actions, the decay eta that was proved, and the radius r of the final ball {V <= r^2}.

    Attributes
    ----------
    action_error : float
    arithmetic : str
    rounding : array, shape (m,)
        Bounds of the error of the float32 evaluation on the ellipsoid; zero in real arithmetic.
    decay, radius : float
    tails : list of dict
        Lipschitz bounds of what follows each layer, by which the rounding was bounded; empty if that was no better.
    """

    action_error: float
    arithmetic: str
    rounding: Array
    decay: float
    radius: float
    tails: list[dict[str, Any]]

    def claim(self) -> dict[str, Any]:
        """The field "disturbed" of a "lyapunov" certificate."""
        return {
            "action_error": hex_array(self.action_error),
            "arithmetic": self.arithmetic,
            "decay": hex_array(self.decay),
            "radius": hex_array(self.radius),
            **({"tails": self.tails} if self.tails else {}),
        }


def find_disturbed(
    loop: Loop, action_error: float, arithmetic: str, time_limit: float
) -> tuple[Found, Disturbed | None] | None:
    """An ellipsoid on which V decays at a third of the linearised loop's rate, and its final ball if there is one."""
    decay = min(-2.0 / 3.0 * float(np.log(loop.spectral_radius)), 0.5) if loop.spectral_radius > 0 else 0.5
    found = find_local(loop, time_limit=time_limit, decay=decay) if decay > 0 else None
    if found is None:
        return None
    for share in SHARES:  # the error of float32 grows with the ellipsoid
        smaller = found if share == 1 else shrunk(loop, found, share, decay)
        final = None if smaller is None else _final(*smaller, decay, action_error, arithmetic)
        if smaller is not None and final is not None:
            return smaller, final
    return found, None


def _final(
    statement: Statement, values: Values, decay: float, action_error: float, arithmetic: str
) -> Disturbed | None:
    loop, generators = statement.loop, statement.generators
    if generators is None:
        return None
    rounding, tails = np.zeros(loop.plant.n_inputs), list[dict[str, Any]]()
    if arithmetic == "float32":
        rounding, tails = rounding_error(loop.network, statement.bounds, region_inputs(loop, generators))
    each = (rounding + action_error) * (1.0 + 2.0**-40)
    B = Ball.exact(loop.plant.B)
    gram = B.T @ (Ball.exact(np.asarray(values["P"])) @ B)
    square = each @ (np.abs(gram.mid) + gram.radius) @ each
    push = (float(np.sqrt(square)) + 2.0**-500) * (1.0 + 2.0**-40)  # the square may underflow
    radius = 2.0 * push / decay * _ROOM
    return Disturbed(action_error, arithmetic, rounding, decay, radius, tails) if radius <= 1.0 else None


def rounding_error(
    network: Network, bounds: Sequence[LayerBounds], inputs: InputSet, better: float = 0.9
) -> tuple[Array, list[dict[str, Any]]]:
    """Bounds of the error of the float32 evaluation, shape (m,), and the proved Lipschitz bounds used, if any.

    These are used where they make a bound less than `better` times that by |W|.
    """
    errors = region_error(network, bounds, inputs)
    if errors is None or not np.all(np.isfinite(errors.total)):
        return np.full(network.n_out, np.inf), []
    plain, tails = errors.action(), list[dict[str, Any]]()
    affine, elementwise = network.alternating()
    for k, box in enumerate(errors.boxes):
        rest = Network([elementwise[k], *(part for pair in zip(affine[k + 1 :], elementwise[k + 1 :], strict=False)
                                          for part in pair), affine[-1]])  # fmt: skip
        statement = lipschitz.state(rest, InputSet.from_box(box.mid, box.rad))
        values = lipschitz.conclude(statement, suggest(statement.lmi, "barrier", gap=1e-3, time_limit=10.0).values)
        if values is None:
            return plain, []
        tails.append(lipschitz.claim(statement, values))
    found = errors.action([from_hex(tail["upper"]) for tail in tails])
    return (found, tails) if np.any(found < better * plain) else (plain, [])
