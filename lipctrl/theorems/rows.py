"""Each stability theorem as one row of the report: hypotheses, LMI, proof, and the conclusion in words."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from lipctrl.errors import SolverError
from lipctrl.lmi.lmi import Array, Congruence, MatrixInequality, selector
from lipctrl.plants.loop import Loop
from lipctrl.presentation import number_up
from lipctrl.proofs.certificate import network_block, plant_block
from lipctrl.proofs.verify import holds
from lipctrl.results import Region, TheoremResult, Trust, Verdict
from lipctrl.theorems import instability, lyapunov, small_gain
from lipctrl.theorems.disturbed import find_disturbed
from lipctrl.theorems.lyapunov_search import Found, find_global, find_local
from lipctrl.theorems.words import comes_within, errors_allowed, state_names, units_of

Row = Callable[[Loop, float], TheoremResult]
INSTABILITY = "equilibrium instability"
GLOBAL_SMALL_GAIN, LOCAL_SMALL_GAIN = "small gain (global)", "small gain (loop-shifted)"
GLOBAL_LYAPUNOV, LOCAL_LYAPUNOV = "Lyapunov (global)", "Lyapunov (sectors)"
EVERYWHERE = Region(kind="all", volume=None, units="")


def _inconclusive(name: str, scope: str, reason: str, margin: float | None = None) -> TheoremResult:
    return TheoremResult(name, Verdict.INCONCLUSIVE, Trust.SAMPLED, "linear", scope, reason, margin)


def _certified(name: str, reason: str, margin: float, region: Region, certificate: dict[str, Any]) -> TheoremResult:
    scope = "global" if region.kind == "all" else "local"
    return TheoremResult(
        name, Verdict.CERTIFIED, Trust.PROVED, "linear", scope, reason, margin, region, certificate=certificate
    )


def equilibrium_stability(loop: Loop, seconds: float) -> TheoremResult:
    """Is the equilibrium unstable? REFUTED with a proved witness; otherwise nothing is concluded."""
    name = INSTABILITY
    if loop.spectral_radius < 1:
        return _inconclusive(
            name, "local", "not refuted: the linearised loop decays by its floating-point eigenvalues."
        )
    witness = instability.refute(loop)
    if witness is None:
        return _inconclusive(
            name, "local", "the linearised loop does not decay, but instability was not proved either."
        )
    return TheoremResult(
        name,
        Verdict.REFUTED,
        Trust.PROVED,
        "linear",
        "local",
        "the equilibrium of the linear plant with the policy is unstable: a Lyapunov witness was proved, and "
        f"deviations along {_vector(witness.direction)} grow (floating-point spectral radius "
        f"{loop.spectral_radius:.6g}).",
        witness={
            "P": witness.P.tolist(),
            "direction": witness.direction.tolist(),
            "trajectory": _growing(loop, witness.direction),
        },
        certificate=_certificate("instability", loop, instability.claim(witness)),
    )


def _growing(loop: Loop, direction: Any) -> list[list[float]]:
    size = 1e-6 * (1 + float(np.linalg.norm(loop.plant.x0)))
    return loop.simulate(loop.plant.x0 + size * direction, 200).tolist()


def global_small_gain(loop: Loop, seconds: float) -> TheoremResult:
    name = GLOBAL_SMALL_GAIN
    result = small_gain.prove_global(loop)
    if result is None:
        return _inconclusive(
            name,
            "global",
            "not applicable: the plant without the policy was not proved stable, and small gain needs that.",
        )
    figures = (
        f"|G|_inf <= {number_up(result.gamma, 6)}, Lipschitz bound of the policy {number_up(result.lip, 6)}, "
        f"product {number_up(result.product, 4)}"
    )
    if not result.succeeds:
        return _inconclusive(name, "global", f"{figures}: more than 1.", 1 - result.product)
    return _certified(
        name,
        f"every trajectory of the linear plant with the policy converges exponentially to the equilibrium ({figures}).",
        1 - result.product,
        EVERYWHERE,
        _certificate("small_gain", loop, small_gain.claim(result)),
    )


def local_small_gain(loop: Loop, seconds: float) -> TheoremResult:
    name = LOCAL_SMALL_GAIN
    result = small_gain.prove_local(loop, time_limit=seconds)
    if result is None or not result.succeeds or result.level is None:
        return _inconclusive(
            name, "local", "no box of observations was found on which the product of gains is at most 1."
        )
    region = _ellipsoid(loop, result.plant_part[1]["P"], result.level)
    return _certified(
        name,
        f"every trajectory from an ellipsoid of {region} about the equilibrium converges exponentially to it "
        f"(product of gains {number_up(result.product, 4)}).",
        1 - result.product,
        region,
        _certificate("small_gain", loop, small_gain.claim(result)),
    )


def _ellipsoid(loop: Loop, P: Array, level: float) -> Region:
    return Region(
        "ellipsoid", lyapunov.ellipsoid_volume(P, level), units_of(loop.plant.state_names), loop.plant.x0, P, level
    )


def global_lyapunov(loop: Loop, seconds: float) -> TheoremResult:
    name = GLOBAL_LYAPUNOV
    found = find_global(loop)
    if found is None:
        return _inconclusive(
            name, "global", "no quadratic Lyapunov function was found for the global sectors of the policy."
        )
    return _lyapunov_row(name, loop, found, EVERYWHERE, "every trajectory of the linear plant with the policy")


def local_lyapunov(loop: Loop, seconds: float) -> TheoremResult:
    name = LOCAL_LYAPUNOV
    found = find_local(loop, time_limit=seconds)
    if found is None:
        return _inconclusive(name, "local", "no ellipsoid was found on which a quadratic Lyapunov function decreases.")
    region = _ellipsoid(loop, found[1]["P"], 1.0)
    start = f"every trajectory from an ellipsoid of {region} about the equilibrium"
    return _lyapunov_row(name, loop, found, region, start)


def disturbed_lyapunov(loop: Loop, seconds: float, action_error: float, arithmetic: str) -> TheoremResult:
    """The local theorem under errors of the actions: its trajectories end in a smaller ellipsoid."""
    row = _timed(LOCAL_LYAPUNOV, "local", lambda loop, left: _disturbed_row(loop, left, action_error, arithmetic))
    return replace(row(loop, seconds), arithmetic=arithmetic)


def _disturbed_row(loop: Loop, seconds: float, action_error: float, arithmetic: str) -> TheoremResult:
    name, outcome = LOCAL_LYAPUNOV, find_disturbed(loop, action_error, arithmetic, seconds)
    if outcome is None:
        return _inconclusive(name, "local", "no ellipsoid was found on which a quadratic Lyapunov function decreases.")
    (statement, values), proved = outcome
    if proved is None:
        reason = "an ellipsoid was found, but the errors of the actions drive trajectories out of it."
        return _inconclusive(name, "local", reason)
    P = values["P"]
    region = _ellipsoid(loop, P, 1.0)
    half = lyapunov.half_widths(P, proved.radius)
    within = comes_within(state_names(loop.plant.state_names, len(half)), half)
    allowed = errors_allowed(action_error, arithmetic, float(proved.rounding.max()))
    assumptions = ["deterministic action", f"policy in {arithmetic} arithmetic", "plant in real arithmetic"]
    assumptions += [f"errors of each action up to {action_error!r}"] if action_error else []
    return _certified(
        name,
        f"with {' and '.join(allowed)}: every trajectory from an ellipsoid of {region} about the equilibrium stays in "
        f"it, and {within} of the equilibrium.",
        proved.decay,
        replace(region, final_half_widths=half),
        _certificate(
            "lyapunov",
            loop,
            {**lyapunov.claim(statement, values), "disturbed": proved.claim(), "assumptions": assumptions},
        ),
    )


def _lyapunov_row(name: str, loop: Loop, found: Found, region: Region, start: str) -> TheoremResult:
    statement, values = found
    where = "the equilibrium" if region.kind == "all" else "it"
    return _certified(
        name,
        f"{start} converges exponentially to {where}.",
        proved_decay(statement, values),
        region,
        _certificate("lyapunov", loop, lyapunov.claim(statement, values)),
    )


def proved_decay(statement: lyapunov.Statement, values: dict[str, Any]) -> float:
    """The largest eta = 2^-k for which V+ - V <= -eta V (continuous: dV/dt <= -eta V per second) is proved, or 0."""
    dissipation = statement.lmi.inequalities[0]
    E = selector(0, statement.loop.plant.n_states)
    for k in range(1 if statement.loop.plant.dt else -6, 34):
        eta = 2.0**-k
        faster = MatrixInequality(
            "decay", dissipation.sizes, (*dissipation.terms, Congruence("P", E, E, -eta / 2)), dissipation.constant
        )
        if holds(replace(statement.lmi, inequalities=(faster,)), values):
            return eta
    return 0.0


def _vector(x: Any) -> str:
    return "(" + ", ".join(f"{value:.3g}" for value in x) + ")"


def _certificate(theorem: str, loop: Loop, fields: dict[str, Any]) -> dict[str, Any]:
    return {"theorem": theorem, "network": network_block(loop.network), "plant": plant_block(loop.plant), **fields}


def certificate_with_head(
    certificate: dict[str, Any], policy: dict[str, Any], words: str, model: str | None = None
) -> dict[str, Any]:
    """The certificate with the hashes of network and policy file, and its claim in words (which checkers ignore).

    That the file means this network is trusted, and said so. `model` is None for claims about the policy alone.
    """
    assumptions = [
        *certificate.get("assumptions", ["deterministic action", "real arithmetic"]),
        "the policy's file means this network",
    ]
    return {
        **certificate,
        "network_sha256": policy.get("network_sha256"),
        "policy_sha256": policy.get("sha256"),
        "claim": words,
        "assumptions": assumptions + ([] if model is None else [f"{model} model only"]),
        "information": {
            **certificate.get("information", {}),
            "policy": policy.get("name"),
            "algorithm": policy.get("algorithm"),
            "normalizer": policy.get("normalizer"),
        },
    }


def _timed(name: str, scope: str, row: Row) -> Row:
    def run(loop: Loop, seconds: float) -> TheoremResult:
        began = time.perf_counter()
        try:
            with np.errstate(all="ignore"):  # NaN and infinity are no news: no proof accepts them
                result = row(loop, seconds)
        except (SolverError, np.linalg.LinAlgError) as error:
            words = error.message if isinstance(error, SolverError) else f"{error}."
            result = _inconclusive(name, scope, f"the search broke down numerically: {words}")
        return replace(result, seconds=time.perf_counter() - began)

    return run


#: every stability theorem in the order of the report: the row, its scope, and its share of the time limit
ROWS: dict[str, tuple[Row, str, float]] = {
    name: (_timed(name, "local" if scope == "instability" else scope, row), scope, share)
    for name, row, scope, share in (
        (INSTABILITY, equilibrium_stability, "instability", 0.0),
        (GLOBAL_SMALL_GAIN, global_small_gain, "global", 0.0),
        (GLOBAL_LYAPUNOV, global_lyapunov, "global", 0.0),
        (LOCAL_SMALL_GAIN, local_small_gain, "local", 0.15),
        (LOCAL_LYAPUNOV, local_lyapunov, "local", 0.4),
    )
}


def not_needed(name: str) -> TheoremResult:
    """The row of a local theorem when a global one holds."""
    return _inconclusive(name, "local", "not tried, because a global theorem already holds.")
