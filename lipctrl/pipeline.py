"""The one straight way: policy -> network -> plant at rest -> loop -> theorems -> proofs -> report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from lipctrl.errors import PlantError
from lipctrl.networks.network import Network
from lipctrl.options import check_options, check_size
from lipctrl.plants.linearize import Linearization, find_linearization, network_of
from lipctrl.plants.loop import Loop
from lipctrl.plants.model import Model
from lipctrl.plants.plant import Plant
from lipctrl.plants.plant_file import plant_from_file
from lipctrl.plants.sources import check_fit, dynamics_of
from lipctrl.proofs.equilibrium import prove_equilibrium
from lipctrl.results import Bound, Region, Report, TheoremResult, Trust, Verdict
from lipctrl.theorems import levels_row, region_row, sector_row
from lipctrl.theorems.confront import contradiction, trajectories_from
from lipctrl.theorems.lipschitz import lipschitz
from lipctrl.theorems.rows import (
    EVERYWHERE,
    LOCAL_LYAPUNOV,
    ROWS,
    certificate_with_head,
    disturbed_lyapunov,
    not_needed,
)

Progress = Callable[[str], None]

DEFAULT_SECONDS, ENOUGH = 10.0, 0.99
"""For the nonlinear loop, unless more is asked for: at most so long, and until this share is certified."""
EXACT = {"action_error": 0.0, "arithmetic": "real"}


def certify(
    policy: Any,
    plant: Any = None,
    *,
    target: ArrayLike | None = None,
    tolerance: ArrayLike | None = None,
    dt: float | None = None,
    solver: str = "auto",
    time_limit: float = 60.0,
    nonlinear: bool | None = None,
    box: tuple[ArrayLike, ArrayLike] | None = None,
    uncertain: Mapping[str, tuple[float, float]] | None = None,
    action_error: float = 0.0,
    arithmetic: str = "real",
    progress: Progress | None = None,
) -> Report:
    """Prove, refute or leave open the stability of a trained policy in closed loop with its plant.

    Parameters
    ----------
    policy : str, Path, Policy or Network
        What `load_policy` takes or returns, or a network.
    plant : str, Plant, StateSpace, gymnasium.Env or Model, optional
        Gymnasium id, plant file (.json, .mat, .npz), or an object. By default what the policy folder's card names.
    target, tolerance : array_like, optional
        State in which the loop should rest, and half widths of the goal set about it.
    dt : float, optional
        Seconds per step, where the plant does not say it.
    solver : {"auto", "low_rank", "barrier", "clarabel", "scs", "mosek"}
        For the Lipschitz bound; the closed-loop inequalities use "barrier".
    time_limit : float
        Seconds for the search as a whole, about.
    nonlinear : bool, optional
        Also prove the region of attraction of the nonlinear loop by cells. It needs a plant with exact equations (a
        Model, such as that of Pendulum-v1) of two states. By default this is done where it can be, for at most 10
        seconds more and until 99 % of the domain are certified; True gives it all of `time_limit` once more.
    box : (low, high), optional
        The domain of states for this, by default that of the model; then a row says whether all of it converges.
    uncertain : mapping, optional
        Intervals (low, high) of constant parameters of the model, such as {"mass": (0.95, 1.05)}: the claim about the
        nonlinear loop then holds for every value. A Model may also be given with intervals of its own.
    action_error : float
        That claim holds for every error of each action up to this size, another one at each step; trajectories then
        end in a small set about the equilibrium, which the claim states.
    arithmetic : {"real", "float32"}
        Of the policy: the real function of its weights, or its evaluation in single precision as it is deployed
        (networks/float32.py says what is covered). The plant is in real arithmetic in both.
    progress : callable, optional
        Called with the name of each stage.

    Returns
    -------
    Report
        A loop that cannot be certified is a report with its reasons, not an error.

    Raises
    ------
    LipctrlError
        If policy or plant cannot be used at all, or an option is none (such as a box with nonlinear=False).
    """
    domain = check_options(time_limit, nonlinear, box, uncertain, action_error, arithmetic)
    began = time.perf_counter()
    say = progress or (lambda stage: None)
    say("loading the policy")
    policy, described, given = _policy(policy, plant)
    network = network_of(policy)
    if uncertain:
        given = _with_uncertain(given, policy, uncertain, dt)
    say("finding where the loop rests")
    found = find_linearization(given, network if uncertain else policy, target=target, tolerance=tolerance, dt=dt)
    model = found.dynamics
    allowed = {"action_error": action_error, "arithmetic": arithmetic}
    robust = allowed != EXACT or (isinstance(model, Model) and bool(model.uncertain))
    asked = nonlinear or domain is not None
    covered = region_row.applies(model) or levels_row.applies(model)
    covered = covered or (sector_row.applies(model) and allowed == EXACT)
    covered = covered and nonlinear is not False
    if getattr(model, "uncertain", {}) and not covered:
        raise PlantError(
            f"Uncertain parameters of {model.name} are not covered so: only for its nonlinear loop, and with more than "
            "six states only for exact actions.",
            "Leave out nonlinear=False (--no-nonlinear) and errors of the actions, or give each parameter one value.",
        )
    if asked and not sector_row.applies(model):
        raise PlantError(
            f"No region of the nonlinear loop can be proved for {model.name}.",
            "It needs a sampled plant with exact equations (a Model, such as Pendulum-v1).",
        )
    check_size(domain, model.n_states, model.name)
    equilibrium = _equilibrium(found, network)
    say("bounding the policy (LipSDP)")
    bound = lipschitz(network, solver=solver)
    rows: list[TheoremResult] = []
    linear = not (covered and (region_row.applies(model) or allowed == EXACT))
    if found.plant is not None and robust and linear and not getattr(model, "uncertain", {}):  # it is nominal
        say(LOCAL_LYAPUNOV)
        rows.append(disturbed_lyapunov(Loop(found.plant, network), 0.4 * time_limit, action_error, arithmetic))
    elif found.plant is not None and not robust:  # these rows are about exact actions and the nominal plant
        loop = Loop(found.plant, network)
        for name, (theorem, scope, share) in ROWS.items():
            say(name)
            if scope == "local" and any(row.scope == "global" and row.verdict is Verdict.CERTIFIED for row in rows):
                rows.append(not_needed(name))
            else:
                rows.append(theorem(loop, share * time_limit))
    data: dict[str, Any] = {}
    if covered if robust else asked or nonlinear is None:
        seconds = time_limit if nonlinear or robust else min(time_limit, DEFAULT_SECONDS)
        more, data = _nonlinear(found, network, seconds, 1.0 if nonlinear else ENOUGH, domain, say, allowed)
        rows += more
    report = _report(found, rows, bound, described, equilibrium, network, time.perf_counter() - began)
    report.data.update(data)
    return report


def _nonlinear(
    found: Linearization,
    network: Network,
    seconds: float,
    enough: float,
    box: tuple[ArrayLike, ArrayLike] | None,
    say: Progress,
    allowed: dict[str, Any],
) -> tuple[list[TheoremResult], dict[str, Any]]:
    """Rows about the nonlinear loop of an exact model, and the material for their picture."""
    model, point = found.dynamics, found.equilibrium
    if not (isinstance(model, Model) and sector_row.applies(model)):
        return [], {}
    if point is None or point.in_goal is False:
        row = region_row.goal_row(model, network)
        return ([] if row is None else [row]), {}
    rows: list[TheoremResult] = []
    if region_row.applies(model):
        say(region_row.NAME)
        rows, region = region_row.region_rows(model, network, point.x, seconds, say, box, enough, **allowed)
        if region is not None:
            return rows, {"cells": region_row.picture(region)}
    elif levels_row.applies(model):
        say(levels_row.NAME)
        row, levels = levels_row.levels_row(model, network, point.x, seconds, say, box, **allowed)
        if levels is not None:
            return [row], {}
        rows = [row]
    if allowed == EXACT:
        say(sector_row.NAME)
        rows.append(sector_row.sector_row(model, network, point.x, seconds, say, box)[0])
    return rows, {}


def _policy(policy: Any, plant: Any) -> tuple[Any, dict[str, Any], Any]:
    """The loaded policy, its description, and the plant as given or as the policy's card names it."""
    if isinstance(policy, Network):
        described: dict[str, Any] = {"name": "network", "algorithm": None, "sha256": None, "notes": []}
    else:
        from lipctrl.networks.loading.policy import load_policy

        policy = load_policy(policy) if isinstance(policy, str | Path) else policy
        network_of(policy)
        described = policy.summary()
        if plant is None:
            plant = policy.plant_path or policy.environment
    network = network_of(policy)
    described |= {"n_observations": network.n_in, "n_actions": network.n_out, "neurons": network.n_neurons}
    described["network_sha256"] = network.sha256
    if plant is None:
        raise PlantError(
            "No plant was given, and the policy names none.",
            "Give a Gymnasium id (--env Pendulum-v1), a plant file (--plant plant.json), or a StateSpace.",
        )
    return policy, described, _plant(plant)


def _plant(plant: Any) -> Any:
    if isinstance(plant, str | Path) and Path(plant).suffix in (".json", ".mat", ".npz"):
        return plant_from_file(plant)
    if type(plant).__module__.split(".")[0] == "control":
        return Plant.from_control(plant)
    return plant


def _with_uncertain(plant: Any, policy: Any, uncertain: Mapping[str, tuple[float, float]], dt: Any) -> Model:
    """The plant with these parameters. The policy must fit it as it was: other limits of actions are asked for."""
    network = network_of(policy)
    model = dynamics_of(plant, network, dt=dt)
    check_fit(policy, network, model)
    if not isinstance(model, Model):
        raise PlantError(
            f"{model.name} has no parameters that could be uncertain.",
            "Give a plant with exact equations (a Model, such as Pendulum-v1).",
        )
    return model.with_uncertain(uncertain)


def _equilibrium(found: Linearization, network: Network) -> dict[str, Any]:
    point = found.equilibrium
    if point is None:
        return {"x": None, "u": None, "proved": False, "target_distance": None}
    model = found.dynamics
    proof = prove_equilibrium(next(model.extremes()), network, point.x) if isinstance(model, Model) else None
    return {
        "x": point.x.tolist(),
        "u": point.u.tolist(),
        "proved": proof is not None,
        "target_distance": point.target_distance,
        "in_goal": point.in_goal,
        "reason": found.reason,
        "notes": list(point.notes),
    }


def _report(
    found: Linearization,
    rows: list[TheoremResult],
    bound: Bound,
    policy: dict[str, Any],
    equilibrium: dict[str, Any],
    network: Network,
    seconds: float,
) -> Report:
    """Combine the rows: refuted first, then certified, else inconclusive."""
    plant = found.plant
    # that not the whole domain converges says nothing against a region that does
    refuted = [row for row in rows if row.verdict is Verdict.REFUTED and row.scope != "domain"]
    certified = [
        row for row in rows if row.verdict is Verdict.CERTIFIED and row.trust is Trust.PROVED and row.scope != "domain"
    ]
    chosen: TheoremResult | None = None
    data: dict[str, Any] = {"trajectories": found.resting.trajectories, "periods": found.dynamics.periods}
    if found.dynamics.goal is not None:
        data["target"] = found.dynamics.goal.target
    if refuted:
        chosen, verdict = refuted[0], Verdict.REFUTED
    elif certified:
        chosen = max(certified, key=lambda row: (row.model == "nonlinear", row.scope == "global", _volume(row.region)))
        verdict = Verdict.CERTIFIED
        if chosen.model == "linear":
            data["inside"] = paths = trajectories_from(found, network, chosen.region or EVERYWHERE)
            against = contradiction(found, network, chosen, paths)
            if against is not None:
                chosen, rows, verdict = against, [*rows, against], Verdict.REFUTED
    else:
        verdict = Verdict.INCONCLUSIVE
    certificates = {
        row.name: certificate_with_head(row.certificate, policy, row.reason, row.model)
        for row in rows
        if row.certificate
    }
    if bound.certificate:
        certificates["lipschitz"] = certificate_with_head(bound.certificate, policy, bound.words)
    named = {
        "name": found.dynamics.name,
        "dt": found.dynamics.dt,
        "states": list(found.dynamics.state_names),
        "goal": None if found.dynamics.goal is None else found.dynamics.goal.words,
        "leaves_out": list(plant.model_leaves_out if plant is not None else found.dynamics.leaves_out),
        "uncertain": {name: list(ends) for name, ends in getattr(found.dynamics, "uncertain", {}).items()},
    }
    return Report(
        verdict=verdict,
        trust=Trust.SAMPLED if chosen is None else chosen.trust,
        claim=_claim(verdict, chosen, found, rows, named),
        model="linear" if chosen is None else chosen.model,
        arithmetic="real" if chosen is None else chosen.arithmetic,
        scope="none" if chosen is None else chosen.scope,
        policy=policy,
        plant=named,
        equilibrium=equilibrium,
        lipschitz=bound,
        theorems=tuple(rows),
        region=None if chosen is None else chosen.region,
        certificates=certificates,
        headline=None if chosen is None or chosen.certificate is None else chosen.name,
        seconds=seconds,
        data=data,
    )


def _claim(
    verdict: Verdict,
    chosen: TheoremResult | None,
    found: Linearization,
    rows: list[TheoremResult],
    plant: dict[str, Any],
) -> str:
    """The answer in words; for INCONCLUSIVE the reasons."""
    if chosen is None:
        reasons = [found.reason] if found.plant is None else [f"{row.name}: {row.reason}" for row in rows]
        return "Nothing was proved, which does not mean unstable. " + " ".join(reasons)
    left_out = f" The linear model leaves out: {'; '.join(plant['leaves_out'])}." if plant["leaves_out"] else ""
    time_base = " This is about continuous time, not about a sampled policy." if plant["dt"] == 0 else ""
    arithmetic = "real arithmetic" if chosen.arithmetic == "real" else "policy in float32, plant in real arithmetic"
    ending = f" Deterministic action, {arithmetic}." + (left_out if chosen.model == "linear" else "") + time_base
    return f"{plant['name']}: {chosen.reason}" + ending


def _volume(region: Region | None) -> float:
    return 0.0 if region is None or region.volume is None else region.volume
