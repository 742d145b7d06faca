"""The row of the report about the nonlinear loop in three to six states, or two within limits, and its certificate."""

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
from lipctrl.proofs import ellipsoid
from lipctrl.proofs.core import reach
from lipctrl.proofs.levels_certificate import levels_certificate
from lipctrl.results import Region, TheoremResult
from lipctrl.theorems.level_region import LEAST, MOST, LevelRegion, find_level_region
from lipctrl.theorems.nonlinear_claim import NO_CORE, Claim, arrives, for_all, nothing_found
from lipctrl.theorems.words import box_words, state_names, units_of

Array = NDArray[np.float64]

NAME = "region of attraction (ellipsoids)"


def applies(model: Any) -> bool:
    """Whether the theorem can be tried: exact equations, sampled, up to six states (two: where cells do not apply)."""
    return isinstance(model, Model) and model.dt != 0 and LEAST <= model.n_states <= MOST


def levels_row(
    model: Model,
    network: Network,
    equilibrium: ArrayLike,
    seconds: float,
    progress: Callable[[str], None] | None = None,
    box: tuple[ArrayLike, ArrayLike] | None = None,
    max_steps: int = 4,
    action_error: float = 0.0,
    arithmetic: str = "real",
) -> tuple[TheoremResult, LevelRegion | None]:
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
        States that should all be certified: the row is CERTIFIED only if they are.
    max_steps, action_error, arithmetic
        As in :func:`lipctrl.theorems.level_region.find_level_region`.

    Returns
    -------
    row : TheoremResult
    region : LevelRegion or None
    """
    began = time.perf_counter()
    region = find_level_region(
        model,
        network,
        equilibrium,
        box=box,
        time_limit=seconds,
        max_steps=max_steps,
        action_error=action_error,
        arithmetic=arithmetic,
        progress=progress,
    )
    took = time.perf_counter() - began

    if region is None:
        return nothing_found(NAME, NO_CORE, took, arithmetic), None
    units = units_of(state_names(model.state_names, model.n_states))
    largest = region.largest
    found = Region(
        "ellipsoids",
        region.volume,
        units,
        largest.center,
        largest.P,
        1.0,
        simulated_share=region.simulated_share,
        final_half_widths=region.final_half_widths if region.disturbed else None,
    )
    missed = ""
    if region.box is not None and not region.box_certified:
        missed = f"not the whole required box {box_words(*region.box, outward=True)} was certified"
    words = _words(model, region, units)
    claim = Claim(NAME, words, found, _certificate(region), region.covered_share, arithmetic, missed)
    return claim.row(model, region.equilibrium, took), region


def _words(model: Model, region: LevelRegion, units: str) -> str:
    count = 1 + len(region.levels)
    sides = ", ".join(number_down(value, 4) for value in region.largest.half_widths)
    path = ""
    if all(level.steps == 1 for level in region.levels):
        path = f" without leaving them by more than ({', '.join(number_up(v, 2) for v in _beyond(region))})"
    if region.limits is not None:
        path += ", within the limits of the equations"
    required = ""
    if region.box is not None and region.box_certified:
        required = f" They contain the whole box {box_words(*region.box)}."
    return (
        f"{for_all(model, region)}every trajectory of the nonlinear loop from a chain of {count} ellipsoids "
        f"{arrives(model, region)}{path}."
        f" The largest has volume {number_down(region.volume, 6)} ({units}) and half widths ({sides}).{required}"
        f" Of simulated starts in the box around it {100 * region.simulated_share:.1f} % converge; the ellipsoids hold "
        f"{100 * region.covered_share:.1f} % of these."
    )


def _beyond(region: LevelRegion) -> Array:
    """How far, at most, trajectories of levels of one step are from all ellipsoids: the core is invariant about x*.

    From |T (x - center)| <= radius follows |T (x - x*)| <= radius + reach for ever.
    """
    radius = 2.0 * reach(region.core, region.equilibrium) * (1.0 + 2.0**-30)
    return np.asarray(replace(region.core, radius=max(radius, ellipsoid.LEAST)).reach())


def _certificate(region: LevelRegion) -> dict[str, Any]:
    box = region.box if region.box_certified else None
    return levels_certificate(
        region.loop,
        region.equilibrium,
        region.core,
        region.levels,
        stages=region.stages,
        limits=region.limits,
        box=box,
    )
