"""Small gain: the Lipschitz bound of the policy times the H-infinity norm of the plant is at most one.

Global (Zames 1966): the plant itself is stable, |pi|_Lip * |G|_inf <= 1, and every trajectory converges to x0.

Local and loop-shifted: r(e) = pi(y0 + C e) - pi(y0) - K C e has |D_u r| <= l |D_y C e| on a box Y of observations
about y0, and P > 0
proves gamma for the plant shifted by K. If gamma * l <= 1, {e'Pe <= c} is a region of attraction for every c with
h_i^2 P - c C_i'C_i > 0 for each half-width h_i of Y. It is neither Y nor a ball.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipctrl.errors import SolverError
from lipctrl.intervals.ball import Ball
from lipctrl.lmi.lmi import LMI, Array, Congruence, Factor, MatrixInequality, Scaled, Variable, gram, selector
from lipctrl.networks.enclosure import InputSet
from lipctrl.plants.loop import Loop
from lipctrl.plants.plant import Plant
from lipctrl.proofs.certificate import hex_array
from lipctrl.proofs.verify import holds
from lipctrl.theorems import hinf, lipschitz
from lipctrl.theorems.conclusion import suggest
from lipctrl.theorems.rounding import product_at_most_one, root_upper


@dataclass(frozen=True)
class SmallGain:
    """Proved numbers of both parts; `level` is None for the global theorem. `product` is gamma * lip."""

    gamma: float
    lip: float
    plant_part: tuple[hinf.Statement, dict[str, Array]]
    policy_part: tuple[lipschitz.Statement, dict[str, Array]]
    level: float | None

    @property
    def product(self) -> float:
        return self.gamma * self.lip

    @property
    def succeeds(self) -> bool:
        return product_at_most_one(self.gamma, self.lip) and (
            self.policy_part[0].inputs is None or self.level is not None
        )


def prove_global(loop: Loop, solver: str = "auto") -> SmallGain | None:
    """Both bounds of the global theorem, proved (whatever their product); None if the plant was not proved stable."""
    plant_part = _plant_part(loop.plant, None, None, None)
    if plant_part is None:
        return None
    policy = lipschitz.state(loop.network)
    values = lipschitz.conclude(policy, suggest(policy.lmi, solver).values)
    return None if values is None else _combine(plant_part, (policy, values), None)


def prove_local(loop: Loop, *, time_limit: float = 15.0) -> SmallGain | None:
    """The loop-shifted theorem on the largest box found; None if none was found."""
    deadline = time.perf_counter() + time_limit
    plant, K = loop.plant, loop.K
    weight_y = np.ones(plant.n_outputs)
    best: SmallGain | None = None
    for _ in range(2):
        plant_part = _plant_part(plant, K, None, weight_y)
        if plant_part is None:
            return best
        P = plant_part[1]["P"]
        reach = np.sqrt(np.maximum(np.einsum("ij,ji->i", plant.C, np.linalg.solve(P, plant.C.T)), 0.0))
        shape = np.maximum(reach, 1e-9 * float(reach.max()) + 1e-300)
        found = _largest_box(loop, plant_part, shape / float(shape.max()), weight_y, deadline)
        if found is not None and (best is None or _size(found) > _size(best)):
            best = found
        weight_y = float(shape.max()) / shape
        weight_y = np.minimum(weight_y, 1e3)
    return best


def _size(found: SmallGain) -> float:
    P = found.plant_part[1]["P"]
    return float(len(P) * np.log(found.level or 1e-300) - np.linalg.slogdet(P)[1])


def _largest_box(
    loop: Loop, plant_part: tuple[hinf.Statement, dict[str, Array]], shape: Array, weight_y: Array, deadline: float
) -> SmallGain | None:
    good: tuple[float, SmallGain] | None = None
    bad: float | None = None
    r = 0.1
    for _ in range(16):
        inputs = InputSet.from_box(loop.plant.y0, r * shape)
        policy = lipschitz.state(loop.network, inputs, shift=loop.K, input_weight=weight_y)
        values = lipschitz.conclude(policy, suggest(policy.lmi, gap=1e-3).values)
        found = None if values is None else _combine(plant_part, (policy, values), r * shape)
        if found is not None and found.succeeds:
            good = (r, found)
        else:
            bad = r
        if time.perf_counter() > deadline or (good is not None and bad is not None and bad / good[0] < 1.05):
            break
        if good is None:
            r /= 6
        elif bad is None:
            r *= 3
        else:
            r = float(np.sqrt(good[0] * bad))
    return None if good is None else good[1]


def _plant_part(
    plant: Plant, shift: Array | None, weight_u: Array | None, weight_y: Array | None
) -> tuple[hinf.Statement, dict[str, Array]] | None:
    statement = hinf.state(plant, shift, weight_u, weight_y)
    try:
        outcome = hinf.prove(statement)
    except SolverError:  # a plant so close to the stability limit that floating point finds no strictly feasible start
        return None
    return None if outcome is None else (statement, outcome[0])


def _combine(
    plant_part: tuple[hinf.Statement, dict[str, Array]],
    policy_part: tuple[lipschitz.Statement, dict[str, Array]],
    box: Array | None,
) -> SmallGain:
    gamma = root_upper(float(plant_part[1]["gamma_sq"][0]))
    lip = root_upper(float(policy_part[1]["rho"][0]))
    level = None if box is None else _largest_level(plant_part[0].plant, plant_part[1]["P"], box)
    return SmallGain(gamma, lip, plant_part, policy_part, level)


def _largest_level(plant: Plant, P: Array, box: Array) -> float | None:
    """A proved level c with h_i^2 P - c C_i'C_i > 0 for every output i."""
    n = plant.n_states
    faces = []
    for row, half_width in zip(plant.C, box, strict=True):
        h = Factor(n, {0: Ball.exact(half_width * np.eye(n))})
        face = gram(Factor(1, {0: Ball.exact(row[None])}), (n,))
        faces.append(MatrixInequality("face", (n,), (Congruence("P", h, h, 0.5), Scaled("level", -face))))
    positive = MatrixInequality("P > 0", (n,), (Congruence("P", selector(0, n), selector(0, n), 0.5),))
    lmi = LMI((Variable("P", n, symmetric=True), Variable("level", 1, lower=0.0)), (*faces, positive))
    spread = np.einsum("ij,ji->i", plant.C, np.linalg.solve(P, plant.C.T))
    with np.errstate(divide="ignore"):
        level = float(np.min(np.where(spread > 0, box**2 / spread, np.inf)))
    if not (np.isfinite(level) and level > 0):
        return None
    for k in range(15):
        trial = level * (1 - 1e-12 * 4.0**k)
        if trial > 0 and holds(lmi, {"P": P, "level": np.array([trial])}):
            return trial
    return None


def claim(result: SmallGain) -> dict[str, Any]:
    """The fields of a "small_gain" certificate (proofs/FORMAT.md)."""
    return {
        "lipschitz": lipschitz.claim(*result.policy_part),
        "hinf": hinf.claim(*result.plant_part),
        "level": None if result.level is None else hex_array(result.level),
    }
