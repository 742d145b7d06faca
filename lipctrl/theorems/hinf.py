"""Stability and H-infinity norm of a plant by the strict bounded-real lemma; no eigenvalue is taken as evidence.

Theorem (bounded real lemma; Scherer and Weiland, Linear Matrix Inequalities in Control, Prop. 3.12; discrete: de
Souza, Xie 1992).
With Ash = A + B K C, if P > 0 and over the signals (x, u)

    sampled      E'PE - F'PF - (D_y H)'(D_y H) + gamma^2 |D_u u|^2 > 0        E = [I 0], F = [Ash B], H = [C D]
    continuous   -(F'PE + E'PF) - (D_y H)'(D_y H) + gamma^2 |D_u u|^2 > 0

then the shifted plant is exponentially stable and |D_y G D_u^-1|_inf < gamma.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_continuous_lyapunov, solve_discrete_lyapunov

from lipctrl.errors import LoopError
from lipctrl.intervals.ball import Ball
from lipctrl.lmi.lmi import (
    LMI,
    Array,
    Congruence,
    Factor,
    MatrixInequality,
    Scaled,
    Term,
    Values,
    Variable,
    gram,
    selector,
)
from lipctrl.plants.plant import Plant
from lipctrl.proofs.certificate import hex_array, plant_block
from lipctrl.results import Bound, Trust
from lipctrl.theorems.conclusion import prove_least, suggest
from lipctrl.theorems.rounding import root_upper


@dataclass(frozen=True)
class Statement:
    """The LMI of the theorem for one plant, shift and weights; `lmi.start` is None where no stable start was found."""

    plant: Plant
    shift: Array | None
    output_weight: Array
    input_weight: Array
    lmi: LMI


def shifted_dynamics(plant: Plant, shift: Array | None) -> Ball:
    """A + B K C with its rounding enclosed."""
    A = Ball.exact(plant.A)
    if shift is None:
        return A
    if np.any(plant.D != 0):
        raise LoopError("A loop shift needs a plant without direct feedthrough.", "Use the plant with D = 0.")
    return A + Ball.exact(plant.B) @ (Ball.exact(shift) @ Ball.exact(plant.C))


def storage_terms(dt: float, F: Factor, E: Factor) -> tuple[Term, ...]:
    """-(V+ - V) for V = x'Px along x+ = F xi (sampled), -dV/dt for dx/dt = F xi (continuous)."""
    if dt == 0:
        return (Congruence("P", F, E, -1.0),)
    return Congruence("P", E, E, 0.5), Congruence("P", F, F, -0.5)


def lyapunov_matrix(A: Array, Q: Array, dt: float) -> Array | None:
    """Floating-point solution of A'PA - P + Q = 0 (continuous: A'P + PA + Q = 0) if it is positive definite."""
    P = lyapunov_solution(A, Q, dt)
    try:
        cholesky(P)
    except (LinAlgError, ValueError):
        return None
    return P


def lyapunov_solution(A: Array, Q: Array, dt: float) -> Array:
    """Floating-point symmetric solution of A'PA - P + Q = 0 (continuous: A'P + PA + Q = 0); NaN where there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            P = solve_continuous_lyapunov(A.T, -Q) if dt == 0 else solve_discrete_lyapunov(A.T, Q)
    except (LinAlgError, ValueError):
        return np.full_like(A, np.nan)
    return (P + P.T) / 2


def state(
    plant: Plant, shift: Array | None = None, output_weight: Array | None = None, input_weight: Array | None = None
) -> Statement:
    """State the theorem as an LMI in P and gamma^2; `output_weight` is D_u (of the policy), `input_weight` D_y."""
    n, m, p = plant.n_states, plant.n_inputs, plant.n_outputs
    weight_u = np.ones(m) if output_weight is None else output_weight
    weight_y = np.ones(p) if input_weight is None else input_weight
    sizes = (n, m)
    E, u = selector(0, n), selector(1, m)
    dynamics = shifted_dynamics(plant, shift)
    F = Factor(n, {0: dynamics, 1: Ball.exact(plant.B)})
    H = Factor(p, {0: Ball.exact(plant.C), 1: Ball.exact(plant.D)}).scale_rows(weight_y)
    performance = gram(H, sizes)
    dissipation = MatrixInequality(
        "dissipation",
        sizes,
        (*storage_terms(plant.dt, F, E), Scaled("gamma_sq", gram(u.scale_rows(weight_u), sizes))),
        -performance,
    )
    positive = MatrixInequality("P > 0", (n,), (Congruence("P", selector(0, n), selector(0, n), 0.5),))
    variables = (Variable("P", n, symmetric=True), Variable("gamma_sq", 1, lower=0.0))
    start = _start(dissipation, dynamics.mid, performance.mid[:n, :n], weight_u, plant.dt)
    lmi = LMI(variables, (dissipation, positive), {"gamma_sq": np.ones(1)}, start)
    return Statement(plant, shift, weight_u, weight_y, lmi)


def _start(
    dissipation: MatrixInequality, A: Array, output: Array, weight_u: Array, dt: float
) -> dict[str, Array] | None:
    """A strictly feasible point in floating point, P from a Lyapunov equation; None if the plant is not stable."""
    n = len(A)
    P = lyapunov_matrix(A, 1.01 * output + max(float(np.trace(output)), 1e-12) / n * 1e-3 * np.eye(n), dt)
    if P is None:
        return None
    M = dissipation.evaluate({"P": P, "gamma_sq": np.zeros(1)}).mid
    Q = M[n:, :n] @ np.linalg.solve(M[:n, :n], M[:n, n:]) - M[n:, n:]
    level = float(np.linalg.eigvalsh(Q / np.outer(weight_u, weight_u))[-1])
    return {"P": P, "gamma_sq": np.array([1.1 * max(level, 0.0) + 1e-12 * float(np.abs(M).max())])}


def conclude(statement: Statement, values: Values) -> dict[str, Array] | None:
    """Numbers near the suggested ones at which the theorem is proved; None if none were found."""
    return prove_least(statement.lmi, values, "gamma_sq")


def claim(statement: Statement, values: Values) -> dict[str, Any]:
    """The fields of a "hinf_norm" certificate (proofs/FORMAT.md) at proved values."""
    return {
        "shift": None if statement.shift is None else hex_array(statement.shift),
        "output_weight": hex_array(statement.output_weight),
        "input_weight": hex_array(statement.input_weight),
        "P": hex_array(values["P"]),
        "gamma": hex_array(root_upper(float(values["gamma_sq"][0]))),
    }


def prove(statement: Statement, solver: str = "barrier", gap: float = 1e-8) -> tuple[dict[str, Array], float] | None:
    """Proved values and the dual value of gamma^2, or None when stability was not proved."""
    if statement.lmi.start is None:
        return None
    solution = suggest(statement.lmi, solver, gap=gap)
    proved = conclude(statement, solution.values)
    return None if proved is None else (proved, solution.lower)


def hinf_norm(plant: Plant, solver: str = "barrier") -> Bound | None:
    """Proved upper bound on the H-infinity norm of a stable plant; None when stability could not be proved.

    Parameters
    ----------
    plant : Plant
    solver : {"barrier", "clarabel", "scs", "mosek"}

    Returns
    -------
    Bound or None
        `lower` is the dual value of the semidefinite program (exact duality: the norm itself up to the gap, NUMERICAL).
    """
    began = time.perf_counter()
    statement = state(plant)
    outcome = prove(statement, solver)
    if outcome is None:
        return None
    values, dual = outcome
    upper = root_upper(float(values["gamma_sq"][0]))
    lower = float(np.sqrt(dual)) if 0.0 <= dual <= upper**2 else 0.0  # beyond the proved bound it is no dual value
    return Bound(
        upper=upper,
        lower=lower,
        trust=Trust.PROVED,
        method="bounded-real",
        sdp_lower=lower,
        sdp_gap=(upper - lower) / upper,
        solver=solver,
        norm="H-infinity",
        seconds=time.perf_counter() - began,
        certificate={"theorem": "hinf_norm", "plant": plant_block(plant), **claim(statement, values)},
    )
