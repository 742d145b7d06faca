"""Lyapunov's theorem for the linear plant with the network in it, on an ellipsoid or on all of R^n.

Theorem (Yin, Seiler, Arcak, IEEE TAC 2022, Theorem 1; global: Lur'e). Let e = x - x0, u - u0 = z(e, w) the network in
deviation
coordinates, its neurons in sectors about v* = v(y0) that hold for all e = G zeta, |zeta| <= 1. If over the signals
(e, w)

    P > 0        G'PG - I > 0        -(V+ - V) + sum_i t_i (a_i b_i' + b_i a_i') > 0,  t_i >= 0,   V = e'Pe

then {e'Pe <= 1} lies in the region of the sectors, is invariant, and every trajectory from it converges exponentially
to x0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import gammaln

from lipctrl.intervals.ball import Ball
from lipctrl.lmi.lmi import LMI, Array, Congruence, Factor, MatrixInequality, Values, Variable, selector
from lipctrl.lmi.multipliers import Signals, network_signals, per_neuron
from lipctrl.networks.enclosure import InputSet, LayerBounds, layer_bounds
from lipctrl.plants.loop import Loop
from lipctrl.proofs.certificate import bounds_block, hex_array
from lipctrl.proofs.definiteness import inflated, is_positive_definite
from lipctrl.theorems.hinf import storage_terms


@dataclass(frozen=True)
class Statement:
    """The LMI of the theorem for one loop and region {x0 + G zeta}; `generators` None means all of R^n."""

    loop: Loop
    generators: Array | None
    bounds: Sequence[LayerBounds]
    signals: Signals
    lmi: LMI


def region_inputs(loop: Loop, generators: Array) -> InputSet:
    """The observations y0 + C G zeta, rounding enclosed."""
    directions = Ball.exact(loop.plant.C) @ Ball.exact(generators)
    error = inflated(np.sum(directions.radius, axis=1), directions.shape[1])
    return InputSet(loop.plant.y0, directions.mid, np.zeros(loop.plant.n_outputs), error)


def state(loop: Loop, generators: Array | None, decay: float = 0.0) -> Statement:
    """State the theorem as an LMI in P and T1, ..., Tl; with `decay` eta, V+ - V <= -eta V (dV/dt <= -eta V)."""
    plant = loop.plant
    n = plant.n_states
    inputs = None if generators is None else region_inputs(loop, generators)
    bounds = layer_bounds(loop.network, inputs, "slope" if inputs is None else "sector")
    E = selector(0, n)
    signals = network_signals(loop.network, bounds, E.premultiply(Ball.exact(plant.C)), n)
    F = E.premultiply(Ball.exact(plant.A)) + signals.output.premultiply(Ball.exact(plant.B))
    variables, terms = signals.multiplier_terms("neuron")
    faster = (Congruence("P", E, E, -decay / 2),) if decay else ()
    dissipation = MatrixInequality("dissipation", signals.sizes, (*storage_terms(plant.dt, F, E), *faster, *terms))
    positive = MatrixInequality("P > 0", (n,), (Congruence("P", E, E, 0.5),))
    inequalities = [dissipation, positive]
    if generators is not None:
        G = Factor(n, {0: Ball.exact(generators)})
        inequalities.append(
            MatrixInequality("containment", (n,), (Congruence("P", G, G, 0.5),), -Ball.exact(np.eye(n)))
        )
    return Statement(
        loop, generators, bounds, signals, LMI((Variable("P", n, symmetric=True), *variables), tuple(inequalities))
    )


def claim(statement: Statement, values: Values) -> dict[str, Any]:
    """The fields of a "lyapunov" certificate (proofs/FORMAT.md) at proved values."""
    generators = statement.generators
    return {
        "P": hex_array(values["P"]),
        "level": None if generators is None else hex_array(1.0),
        "generators": None if generators is None else hex_array(generators),
        "bounds": bounds_block(statement.bounds),
        "multipliers": [hex_array(t) for t in per_neuron(statement.signals, statement.bounds, values)],
    }


def ellipsoid_volume(P: Array, level: float = 1.0) -> float:
    """Volume of {e'Pe <= level} in the product of the state units (information, not proved)."""
    n = len(P)
    log_unit_ball = n / 2 * np.log(np.pi) - gammaln(n / 2 + 1)
    return float(np.exp(log_unit_ball + n / 2 * np.log(level) - np.linalg.slogdet(P)[1] / 2))


def half_widths(P: Array, radius: float) -> Array:
    """Proved bounds of abs(e_i) where e'Pe <= radius^2, shape (n,): s > e_i' P^-1 e_i if [P, e_i; e_i', s] > 0."""
    n = len(P)
    with np.errstate(all="ignore"):
        guess = np.abs(np.diagonal(np.linalg.inv(P)))
        widths = [radius * np.sqrt(_bordered(P, np.eye(n)[i], float(guess[i]))) for i in range(n)]
        return np.asarray(np.nextafter(np.nextafter(np.asarray(widths), np.inf), np.inf))


def _bordered(P: Array, unit: Array, guess: float) -> float:
    tried = (guess * (1.0 + 1e-12 * 8.0**k) for k in range(30))
    return next((s for s in tried if is_positive_definite(np.block([[P, unit[:, None]], [unit[None], s]]))), np.inf)
