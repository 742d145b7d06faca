"""The rows of the report about the nonlinear loop, and their certificate.

region of attraction (cells)   every trajectory from a proved set converges to the equilibrium in the goal
whole domain                   every trajectory from the domain does: asked where the user names a box, or where a
                               simulated trajectory refutes it; says nothing against the first row
goal                           where nothing rests in the goal: a trajectory from the target itself does not stay
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lipctrl.networks.network import Network
from lipctrl.plants.model import Model
from lipctrl.presentation import number_down, number_up
from lipctrl.proofs.closed_loop import ClosedLoop
from lipctrl.proofs.region_certificate import Part, region_certificate
from lipctrl.results import Region, TheoremResult, Trust, Verdict
from lipctrl.theorems.nonlinear_claim import NO_CORE, Claim, arrives, for_all, local_row, nothing_found
from lipctrl.theorems.region import RegionOfAttraction, domain_of
from lipctrl.theorems.region_falsify import REST, UNDECIDED, Failure, describe, fates, find_departure, trajectory
from lipctrl.theorems.region_parts import find_common_region
from lipctrl.theorems.words import box_words, percent, state_names, units_of

Array = NDArray[np.float64]

NAME, DOMAIN, GOAL = "region of attraction (cells)", "whole domain", "goal"


def applies(model: Any) -> bool:
    """Whether the theorem can be tried: exact equations that hold everywhere, sampled, two states."""
    return isinstance(model, Model) and model.dt != 0 and model.n_states == 2 and model.limits is None


def region_rows(
    model: Model,
    network: Network,
    equilibrium: ArrayLike,
    seconds: float,
    progress: Callable[[str], None] | None = None,
    box: tuple[ArrayLike, ArrayLike] | None = None,
    enough: float = 1.0,
    action_error: float = 0.0,
    arithmetic: str = "real",
) -> tuple[list[TheoremResult], RegionOfAttraction | None]:
    """The nonlinear loop: from which states does every trajectory converge to the equilibrium?

    Parameters
    ----------
    model : Model
        With a goal, in which the equilibrium is wanted.
    network : Network
    equilibrium : array_like, shape (n,)
        From Newton's method.
    seconds : float
        Time for the search.
    progress : callable, optional
    box : (low, high), optional
        The domain of states, by default that of the model.
    enough : float
        Share of the domain with which the search ends.
    action_error : float
        Size of the errors of each action that are covered.
    arithmetic : {"real", "float32"}
        Of the policy.

    Returns
    -------
    rows : list of TheoremResult
        The first is CERTIFIED only if the equilibrium is proved to lie in the goal set.
    region : RegionOfAttraction or None
        For the picture: `region.contains(x)`, `region.core`, `region.ellipsoids`, `region.simulation`.
    """
    began = time.perf_counter()
    low, high = (None, None) if box is None else box
    region = find_common_region(
        model,
        network,
        equilibrium,
        lower=low,
        upper=high,
        time_limit=seconds,
        enough=enough,
        action_error=action_error,
        arithmetic=arithmetic,
        progress=progress,
    )
    took = time.perf_counter() - began
    if region is None:
        rows = [nothing_found(NAME, NO_CORE, took, arithmetic)]
        low, high, _, angles = domain_of(model, low, high)
        exact = ClosedLoop(next(model.extremes()), network)
        failure = find_departure(exact, np.asarray(equilibrium), low, high, angles)
        return [*rows, *([] if failure is None else [_refuted(failure, low, high)])], None
    wider = domain_row(region, asked=box is not None)
    local = _local(model, region, took)
    if wider is not None and wider.verdict is Verdict.CERTIFIED:
        wider = replace(wider, certificate=local.certificate) if local.verdict is Verdict.CERTIFIED else None
    return [local, *([] if wider is None else [wider])], region


def _local(model: Model, region: RegionOfAttraction, took: float) -> TheoremResult:
    units = units_of(state_names(model.state_names, model.n_states))
    volume, largest = region.volume, None
    margin, arithmetic = region.share, region.arithmetic
    missed = ""
    if region.covered != dict(model.uncertain):
        model = model.with_uncertain(region.covered)
        missed = "for some values of the parameters no region was proved in time"
    if volume == 0.0 and region.parts:
        reason = f"{for_all(model, region)}the {len(region.parts)} parts of the parameters have no cells in common."
        return local_row(NAME, Verdict.INCONCLUSIVE, reason, took, margin=margin, arithmetic=arithmetic)
    if volume == 0.0:
        largest = max((region.core, *region.ellipsoids), key=lambda e: e.volume)
        volume = largest.volume * (1.0 - 1e-9)
    words = (
        f"{for_all(model, region)}every trajectory of the nonlinear loop from a set of area "
        f"{number_down(volume, 6)} ({units}) {arrives(model, region)}"
        + (", modulo full turns" if np.any(model.periods > 0) else "")
        + f": {percent(region.share)} of the domain {box_words(region.lower, region.upper)}; of simulated starts "
        f"{100 * region.simulation.share:.2f} % converge.{_apart(region)}{_each(region)}{others(region)}"
    )
    if largest is not None:
        found = Region("ellipsoid", volume, units, largest.center, largest.P, 1.0)
    else:
        found = Region(
            "cells",
            volume,
            units,
            domain_volume=region.domain_volume,
            share=region.share,
            simulated_share=region.simulation.share,
            final_half_widths=region.final_half_widths if region.disturbed else None,
            least_share=region.least_share if region.parts else None,
            pairs_share=region.pairs_share if region.parts else None,
        )
    claim = Claim(NAME, words, found, _certificate(model, region), margin, arithmetic, missed)
    return claim.row(model, region.equilibrium, took)


def _apart(region: RegionOfAttraction) -> str:
    """From which starts no proof for all parameters can exist, in words."""
    share = region.simulation.apart.mean()
    return (
        f" From {100 * share:.2f} % extreme values of the parameters end full turns apart, so that some value between "
        "them does not converge: they cannot be certified for all."
        if share
        else ""
    )


def _each(region: RegionOfAttraction) -> str:
    """What holds for each value of the parameters by itself, in words."""
    if not region.parts:
        return ""
    return (
        f" For each value by itself at least {percent(region.least_share)} of the domain is certified, "
        f"{percent(region.pairs_share)} of all pairs of a state and a value ({len(region.parts)} parts)."
    )


def others(region: RegionOfAttraction) -> str:
    """The other states of rest in the domain and beyond it, in words; with uncertain parameters, at one value."""
    complete, (inside, beyond) = region.rest.complete, _rest_states(region)
    points = [", ".join(_point(x) for x in some) for some in (inside, beyond)]
    it = _at_middle(region)
    words = (
        f" {it} also rests at {points[0]} ({'all' if complete else 'those found'}; not certified)." if inside else ""
    )
    if complete and not inside:
        words = f" {it} rests nowhere else in the domain."
    return words + (f" Beyond the domain it rests at {points[1]}." if beyond else "")


def _at_middle(region: RegionOfAttraction) -> str:
    """The loop whose other states of rest were sought: that of the middle of the parameters, or of one part of them."""
    part = region.parts[len(region.parts) // 2] if region.parts else region
    model = part.cells.loop.model
    values = ", ".join(f"{name} = {getattr(model, name):.6g}" for name in model.uncertain)
    return f"At {values} it" if values else "It"


def _rest_states(region: RegionOfAttraction, sure: bool = False) -> tuple[list[Array], list[Array]]:
    """Other states of rest in the domain, angles turned into it where full turns do that, and beyond it.

    What rests on an edge of the domain, as far as is proved, counts as within unless that is to be `sure`.
    """
    within: list[Array] = []
    beyond: list[Array] = []
    whole = region.angles & (region.upper - region.lower >= 2 * np.pi - 1e-9)
    for box in region.rest.proved:
        x, edge = box.mid, (-1.0 if sure else 1.0) * (box.rad + 1e-12 * (1.0 + box.mag))
        turned = x - np.where(region.angles, 2 * np.pi * np.floor((x - region.lower) / (2 * np.pi)), 0.0)
        places = [turned, turned - np.where(region.angles & ~whole, 2 * np.pi, 0.0)]
        inside = [z for z in places if np.all(whole | ((z >= region.lower - edge) & (z <= region.upper + edge)))]
        (within if inside else beyond).append(inside[0] if inside else x)
    return within, beyond


def domain_row(region: RegionOfAttraction, asked: bool) -> TheoremResult | None:
    """Does every state of the domain converge? None if nobody asked and nothing replayable says no.

    A state of rest elsewhere is a proof of the contrary, but an unstable one is what every swing-up has; it counts if
    the domain was asked for.
    """
    rest, _ = _rest_states(region, sure=True)
    domain, around = (box_words(region.lower, region.upper, outward=outward) for outward in (False, True))
    if region.everything:
        words = f"every state of {domain} is certified."
        return _wider(Verdict.CERTIFIED, Trust.PROVED, words, 1.0, None)
    if region.failures:
        return _refuted(region.failures[0], region.lower, region.upper)
    if not asked:
        return None
    if rest:
        words = f"not every state of {around} converges: the loop also rests at {_point(rest[0])} (proved)."
        witness = {"kind": REST, "trajectory": [rest[0].tolist()] * 2, "orbit": [rest[0].tolist()]}
        return _wider(Verdict.REFUTED, Trust.PROVED, words, None, witness)
    words = f"{number_up(100 * (1 - region.share), 2)} % of {domain} are left, neither certified nor refuted."
    return _wider(Verdict.INCONCLUSIVE, Trust.SAMPLED, words, region.share, None)


def _refuted(failure: Failure, low: Array, high: Array) -> TheoremResult:
    witness = {"kind": failure.kind, "trajectory": failure.trajectory.tolist(), "orbit": failure.orbit.tolist()}
    witness |= {"parameters": failure.parameters} if failure.parameters else {}
    words = f"not every state of {box_words(low, high, outward=True)} converges: {failure.words}."
    return _wider(Verdict.REFUTED, Trust.SAMPLED, words, None, witness)


def _wider(
    verdict: Verdict, trust: Trust, words: str, share: float | None, witness: dict[str, Any] | None
) -> TheoremResult:
    return TheoremResult(DOMAIN, verdict, trust, "nonlinear", "domain", words, share, witness=witness)


def goal_row(model: Model, network: Network) -> TheoremResult | None:
    """Where nothing rests in the goal: REFUTED if trajectories from the target and around it all leave.

    Sampled; the witness is the trajectory from the target. None if there is no goal, or one of them may stay or
    leaves the limits of the equations, beyond which nothing is known of it.
    """
    goal = model.goal
    if goal is None or not np.all(np.isfinite(model.state_low) & np.isfinite(model.state_high)):
        return None
    loop = ClosedLoop(model, network)
    size = 1e-3 * (model.state_high - model.state_low)
    around = np.random.default_rng(0).uniform(-1.0, 1.0, (20, model.n_states)) * size
    starts = goal.target + np.vstack([np.zeros(model.n_states), around])
    ends = fates(loop, model.periods > 0, starts)
    if any(kind == UNDECIDED or (len(orbit) and all(goal.contains(x) for x in orbit)) for kind, orbit in ends):
        return None
    if model.limits is not None and not _within_limits(loop, starts):
        return None
    path = trajectory(loop, starts[0])
    words = f"{describe(path, *ends[0])}; so do those around it: none stays in the goal ({goal.words})."
    witness = {"kind": ends[0][0], "trajectory": path.tolist(), "orbit": ends[0][1].tolist()}
    return TheoremResult(GOAL, Verdict.REFUTED, Trust.SAMPLED, "nonlinear", "local", words, witness=witness)


def _within_limits(loop: ClosedLoop, x: Array, steps: int = 3000) -> bool:
    """Whether simulated states stay where the equations hold."""
    low, high = loop.model.limits if loop.model.limits is not None else (-np.inf, np.inf)
    for _ in range(steps):
        if not np.all((x >= low) & (x <= high)):
            return False
        x = loop.simulate(x)
    return True


def _certificate(model: Model, region: RegionOfAttraction) -> dict[str, Any] | None:
    proved = [Part(part.cells, part.equilibrium, part.stages) for part in region.parts or (region,)]
    if not all(part.cells.records for part in proved):
        return None
    parts: Part | list[Part] = proved if region.parts else proved[0]
    return region_certificate(parts, region.lower, region.upper, region.volume, model=model)


def _point(x: Array) -> str:
    return "(" + ", ".join(f"{0.0 if abs(value) < 1e-9 else value:.4g}" for value in x) + ")"


def picture(region: RegionOfAttraction, per_axis: int = 600) -> dict[str, Any]:
    """What the picture shows of a domain of two states: sets, starts and trajectories as arrays."""
    low, high = region.lower, region.upper
    axes = [a + (np.arange(per_axis) + 0.5) / per_axis * (b - a) for a, b in zip(low, high, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    return {
        "low": low,
        "high": high,
        "certified": region.contains(points),
        "periods": np.where(region.angles, 2 * np.pi, 0.0),
        "share": region.share,
        "ellipsoids": [(e.center, e.P) for e in (region.core, *region.ellipsoids)],
        "others": region.others,
        "failing": region.simulation.failing,
        "failures": [(failure.kind, failure.trajectory) for failure in region.failures],
    }
