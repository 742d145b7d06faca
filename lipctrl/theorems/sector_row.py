"""The row of the report about the nonlinear loop where no cells or level sets reach: an ellipsoid by sectors."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lipctrl.errors import LipctrlError
from lipctrl.networks.network import Network
from lipctrl.plants.model import Model
from lipctrl.proofs.closed_loop import box_forms
from lipctrl.proofs.core import reach
from lipctrl.proofs.sectors_certificate import sectors_certificate
from lipctrl.results import Region, TheoremResult, Trust, Verdict
from lipctrl.theorems.sector_region import SectorRegion, find_sector_region

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

    def row(verdict: Verdict, trust: Trust, reason: str, found: Region | None, held: bool = False) -> TheoremResult:
        certificate = None
        if region is not None and found is not None:
            asked = None if box is None or not held else (np.asarray(box[0]), np.asarray(box[1]))
            certificate = sectors_certificate(
                region.loop, region.equilibrium, region.ellipsoid, region.blocks, limits=region.limits, box=asked
            )
        took = time.perf_counter() - began
        return TheoremResult(
            NAME, verdict, trust, "nonlinear", "local", reason, None, found, took, certificate=certificate
        )

    if region is None:
        reason = (
            "no ellipsoid was found on which a quadratic Lyapunov function falls, with a sector for each operation."
        )
        return row(Verdict.INCONCLUSIVE, Trust.SAMPLED, reason, None), None
    _confront(region)
    names = model.state_names or tuple(f"x[{i}]" for i in range(model.n_states))
    units = " x ".join(names) if len(names) <= 4 else f"product of {len(names)} state units"
    ellipsoid = region.ellipsoid
    found = Region("ellipsoid", region.volume, units, ellipsoid.center, ellipsoid.P, 1.0)
    sides = ", ".join(f"{value:.3g}" for value in ellipsoid.half_widths)
    channels = sum(int(np.sum(block[:, 0] < block[:, 1])) for block in region.blocks)
    words = (
        f"{_for_all(model)}every trajectory of the nonlinear loop from an ellipsoid of {found} and half widths "
        f"({sides}) converges to the equilibrium and stays in it (by sectors, the coarsest method: each of {channels} "
        "nonlinear operations of policy and equations as a sector-bounded channel)."
    )
    goal = model.goal
    if not (goal is None or (goal.contains(region.equilibrium.lo) and goal.contains(region.equilibrium.hi))):
        reason = f"the loop does not rest in its goal set, though {words}"
        return row(Verdict.INCONCLUSIVE, Trust.PROVED, reason, None), region
    if box is not None:
        corners = (np.asarray(box[0], dtype=np.float64)[None], np.asarray(box[1], dtype=np.float64)[None])
        if not bool(ellipsoid.size(box_forms(*corners))[0] <= ellipsoid.radius):
            reason = f"not the whole required box was certified, though {words}"
            return row(Verdict.INCONCLUSIVE, Trust.PROVED, reason, found), region
    return row(Verdict.CERTIFIED, Trust.PROVED, words, found, True), region


def _for_all(model: Model) -> str:
    if not model.uncertain:
        return ""
    inside = ", ".join(f"{name} in [{low:g}, {high:g}]" for name, (low, high) in model.uncertain.items())
    return f"for each constant value of {inside}: "


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
                raise LipctrlError(
                    f"The proof contradicts the simulation from {starts[np.argmax(away)].tolist()}.",
                    "This is a fault of lipctrl: please report it with the policy.",
                )
