"""Instability of the loop at its equilibrium, proved without eigenvalues.

Theorem (Lyapunov's instability theorem; methods: strict Stein or Lyapunov inequality with an indefinite matrix). Let
the policy be
differentiable at y0 with Jacobian J in an enclosure, M = A + B J C. If for every such M

    sampled  P - M'PM > 0          continuous  -(M'P + PM) > 0          and  x'Px < 0 for one x,

then M has an eigenvalue outside the closed unit disc (in the open right half-plane), and the equilibrium is unstable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lipctrl.intervals.ball import Ball
from lipctrl.lmi.lmi import LMI, Array, Factor, MatrixInequality, Variable, selector
from lipctrl.networks.enclosure import InputSet, layer_bounds
from lipctrl.plants.loop import Loop
from lipctrl.proofs.certificate import hex_array
from lipctrl.proofs.verify import holds
from lipctrl.theorems.hinf import lyapunov_solution, storage_terms


@dataclass(frozen=True)
class Instability:
    """A proved witness: P, and a direction x along which x'Px < 0 and the linearised loop runs away."""

    P: Array
    direction: Array


def jacobian_enclosure(loop: Loop) -> Ball | None:
    """All Jacobians of the policy at y0; None if an enclosed pre-activation touches a kink."""
    network = loop.network
    y0 = loop.plant.y0
    bounds = layer_bounds(network, InputSet.from_box(y0, np.zeros_like(y0)), "slope")
    affine, _ = network.alternating()
    J = Ball.exact(affine[0].W)
    for layer, after in zip(bounds, affine[1:], strict=True):
        if layer.range is None or np.any(layer.activation.kinks_in(layer.range)):
            return None
        J = Ball.exact(after.W) @ (J * Ball.between(layer.slope_lower[:, None], layer.slope_upper[:, None]))
    return J


def refute(loop: Loop) -> Instability | None:
    """A proved witness of instability of the linear plant with the policy, or None."""
    J = jacobian_enclosure(loop)
    if J is None:
        return None
    plant = loop.plant
    n = plant.n_states
    M = Ball.exact(plant.A) + Ball.exact(plant.B) @ (J @ Ball.exact(plant.C))
    E = selector(0, n)
    F = Factor(n, {0: M})
    lmi = LMI(
        (Variable("P", n, symmetric=True),),
        (MatrixInequality("dissipation", (n,), storage_terms(plant.dt, F, E)),),
    )
    P = lyapunov_solution(M.mid, np.eye(n), plant.dt)
    if not np.all(np.isfinite(P)):
        return None
    direction = np.linalg.eigh(P)[1][:, 0]
    form = Ball.exact(direction[None]) @ (Ball.exact(P) @ Ball.exact(direction[:, None]))
    return Instability(P, direction) if form.upper.item() < 0 and holds(lmi, {"P": P}) else None


def claim(witness: Instability) -> dict[str, Any]:
    """The fields of an "instability" certificate (proofs/FORMAT.md)."""
    return {"P": hex_array(witness.P), "direction": hex_array(witness.direction)}
