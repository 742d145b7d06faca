"""The row of the report about the nonlinear loop, and its certificate."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lipctrl.networks.network import Network
from lipctrl.plants.goal import Goal
from lipctrl.plants.model import Model
from lipctrl.proofs.region_certificate import region_certificate
from lipctrl.results import Region, TheoremResult, Trust, Verdict
from lipctrl.theorems.region import RegionOfAttraction, find_region

NAME = "region of attraction (cells)"


def applies(model: Any) -> bool:
    """Whether the theorem can be tried: exact equations, sampled, two states."""
    return isinstance(model, Model) and model.dt != 0 and model.n_states == 2


def region_row(
    model: Model,
    network: Network,
    equilibrium: ArrayLike,
    seconds: float,
    progress: Callable[[str], None] | None = None,
    box: tuple[ArrayLike, ArrayLike] | None = None,
) -> tuple[TheoremResult, RegionOfAttraction | None]:
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

    Returns
    -------
    row : TheoremResult
        CERTIFIED only if the equilibrium is proved to lie in the goal set.
    region : RegionOfAttraction or None
        For the picture: `region.contains(x)`, `region.core`, `region.ellipsoids`, `region.simulation`.
    """
    began = time.perf_counter()
    low, high = (None, None) if box is None else box
    region = find_region(model, network, equilibrium, lower=low, upper=high, time_limit=seconds, progress=progress)
    took = time.perf_counter() - began
    if region is None:
        reason = "no neighbourhood of the equilibrium was found in which the nonlinear loop contracts."
        return _row(Verdict.INCONCLUSIVE, Trust.SAMPLED, reason, None, None, took, None), None
    units = " x ".join(model.state_names) or "states"
    volume, shape = region.volume, "cells"
    largest = max((region.core, *region.ellipsoids), key=lambda e: e.volume)
    if largest.volume > volume:
        volume, shape = largest.volume * (1.0 - 1e-9), "ellipsoid"
    words = (
        f"every trajectory of the nonlinear loop from a set of area {volume:.6g} ({units}) converges to the equilibrium"
        + (", modulo full turns" if np.any(model.periods > 0) else "")
        + f": {100 * region.share:.2f} % of the domain {_box(region)}; of simulated starts "
        f"{100 * region.simulation.share:.2f} % converge."
    )
    if not in_goal(model.goal, region):
        reason = f"the loop does not rest in its goal set, though {words}"
        return _row(Verdict.INCONCLUSIVE, Trust.PROVED, reason, region, None, took, None), region
    if shape == "ellipsoid":
        found = Region("ellipsoid", volume, units, largest.center, largest.P, 1.0)
    else:
        found = Region(
            "cells",
            volume,
            units,
            domain_volume=region.domain_volume,
            share=region.share,
            simulated_share=region.simulation.share,
        )
    return _row(Verdict.CERTIFIED, Trust.PROVED, words, region, found, took, _certificate(region)), region


def _row(
    verdict: Verdict,
    trust: Trust,
    reason: str,
    region: RegionOfAttraction | None,
    found: Region | None,
    took: float,
    certificate: dict[str, Any] | None,
) -> TheoremResult:
    share = None if region is None else region.share
    return TheoremResult(
        NAME, verdict, trust, "nonlinear", "local", reason, share, found, took, certificate=certificate
    )


def _certificate(region: RegionOfAttraction) -> dict[str, Any] | None:
    if not region.cells.records:
        return None
    return region_certificate(
        region.cells, region.equilibrium, region.lower, region.upper, region.volume, stages=region.stages
    )


def _box(region: RegionOfAttraction) -> str:
    return " x ".join(f"[{a:.5g}, {b:.5g}]" for a, b in zip(region.lower, region.upper, strict=True))


def in_goal(goal: Goal | None, region: RegionOfAttraction) -> bool:
    """Whether the enclosure of the equilibrium lies in the goal set, angles modulo their period (no goal: yes)."""
    if goal is None:
        return True
    return goal.contains(region.equilibrium.lo) and goal.contains(region.equilibrium.hi)


def picture(region: RegionOfAttraction, per_axis: int = 400) -> dict[str, Any]:
    """The certified set on a grid of points of the domain, and the simulated starts that do not converge."""
    low, high = region.lower, region.upper
    axes = [a + (np.arange(per_axis) + 0.5) / per_axis * (b - a) for a, b in zip(low, high, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    return {"low": low, "high": high, "certified": region.contains(points), "failing": region.simulation.failing}
