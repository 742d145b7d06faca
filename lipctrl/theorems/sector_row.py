"""The row of the report about the nonlinear loop where no cells or level sets reach: an ellipsoid by sectors."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lipctrl.networks.network import Network
from lipctrl.plants.model import Model
from lipctrl.presentation import number_down
from lipctrl.proofs.closed_loop import box_forms
from lipctrl.proofs.core import reach
from lipctrl.proofs.levels_certificate import levels_certificate
from lipctrl.results import Region, TheoremResult
from lipctrl.theorems.nonlinear_claim import Claim, arrives, for_all, nothing_found
from lipctrl.theorems.region_falsify import contradiction
from lipctrl.theorems.sector_region import SectorRegion, find_sector_region
from lipctrl.theorems.words import box_words, state_names, units_of

NAME = "region of attraction (sectors)"


def applies(model: Any) -> bool:
    """Whether the theorem can be tried: exact equations, sampled."""
    return isinstance(model, Model) and model.dt != 0


def sector_row(
    model: Model,
    network: Network,
    equilibrium: ArrayLike,
    seconds: float,
    progress: Callable[[str], None] | None = None,
    box: tuple[ArrayLike, ArrayLike] | None = None,
) -> tuple[TheoremResult, SectorRegion | None]:
    """The nonlinear loop by Lyapunov's theorem with sectors.

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

    Returns
    -------
    row : TheoremResult
    region : SectorRegion or None
    """
    began = time.perf_counter()
    region = find_sector_region(model, network, equilibrium, time_limit=seconds, progress=progress)

    if region is None:
        reason = (
            "no ellipsoid was found on which a quadratic Lyapunov function falls, with a sector for each operation."
        )
        return nothing_found(NAME, reason, time.perf_counter() - began), None
    _confront(region)
    ellipsoid = region.ellipsoid
    units = units_of(state_names(model.state_names, model.n_states))
    found = Region("ellipsoid", region.volume, units, ellipsoid.center, ellipsoid.P, 1.0)
    sides = ", ".join(number_down(value, 3) for value in ellipsoid.half_widths)
    channels = sum(int(np.sum(block[:, 0] < block[:, 1])) for block in region.blocks)
    words = (
        f"{for_all(model)}every trajectory of the nonlinear loop from an ellipsoid of {found} and half widths "
        f"({sides}) {arrives(model)}, V falling at every step (by sectors, the coarsest method: each of {channels} "
        "nonlinear operations of policy and equations as a sector-bounded channel)."
    )
    missed, required = "", None
    if box is not None:
        required = np.asarray(box[0], dtype=np.float64), np.asarray(box[1], dtype=np.float64)
        if not bool(ellipsoid.size(box_forms(required[0][None], required[1][None]))[0] <= ellipsoid.radius):
            missed, required = f"not the whole required box {box_words(*required, outward=True)} was certified", None
    certificate = levels_certificate(
        region.loop,
        region.equilibrium,
        region.ellipsoid,
        (),
        limits=region.limits,
        box=required,
        sectors=region.blocks,
    )
    claim = Claim(NAME, words, found, certificate, missed=missed)
    return claim.row(model, region.equilibrium, time.perf_counter() - began), region


def _confront(region: SectorRegion, count: int = 500, steps: int = 200) -> None:
    """The proof against the simulation: about x* V never rises above 1."""
    ellipsoid = region.ellipsoid
    z = np.random.default_rng(0).standard_normal((count, len(ellipsoid.center)))
    z *= ellipsoid.radius / np.linalg.norm(z, axis=1, keepdims=True)
    starts = ellipsoid.center + np.linalg.solve(ellipsoid.T, z.T).T
    widest = ellipsoid.radius + 2.0 * reach(ellipsoid, region.equilibrium) + 1e-3
    for plant in region.loop.model.extremes():
        x = starts
        for _ in range(steps):
            x = region.loop.simulate(x, 1, plant)
            away = np.linalg.norm((x - ellipsoid.center) @ ellipsoid.T.T, axis=1)
            if not np.all(away < widest):
                raise contradiction(starts[np.argmax(away)])
