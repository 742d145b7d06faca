"""The certificate of a region of attraction proved by cells: everything that a proof without search needs.

The format is described in FORMAT-cells.md; check_cells.py reads it.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lipctrl.errors import CertificateError
from lipctrl.intervals.interval import Interval
from lipctrl.plants.model import Model
from lipctrl.plants.program import record_model
from lipctrl.proofs.cells import CertifiedSet
from lipctrl.proofs.certificate import hex_array, network_block
from lipctrl.proofs.core import Stage
from lipctrl.proofs.ellipsoid import Ellipsoid

THEOREM = "region_of_attraction"
_MAX_INDEX = 2**32


@dataclass(frozen=True, eq=False)
class Part:
    """What was proved for a part of the box of uncertain parameters, or for all of it.

    Attributes
    ----------
    cells : CertifiedSet
        Its first ellipsoid is the core, the others are a chain; its last grid is that of the domain.
    equilibrium : Interval, shape (n,)
        Contains exactly one equilibrium for each value of the parameters.
    stages : sequence of Stage
        With errors of the action: how trajectories from the core end.
    """

    cells: CertifiedSet
    equilibrium: Interval
    stages: Sequence[Stage] = ()

    def block(self) -> dict[str, Any]:
        """The fields of the part."""
        if self.cells.loop.disturbed != bool(self.stages):
            raise CertificateError("Errors of the action and a final ball belong together.", "Give the core's stages.")
        core, *chain = self.cells.ellipsoids
        names = ("rate", "push", "radius")
        final = [{name: hex_array(getattr(stage, name)) for name in names} for stage in self.stages]
        return {
            "equilibrium": {"lower": hex_array(self.equilibrium.lo), "upper": hex_array(self.equilibrium.hi)},
            "core": _ellipsoid(core),
            **({"final": final} if final else {}),
            "ellipsoids": [{**_ellipsoid(e), "steps": int(getattr(e, "steps", 1))} for e in chain],
            "grids": [
                {"low": hex_array(grid.low), "width": hex_array(grid.width), "angles": grid.angles.tolist()}
                for grid in self.cells.grids
            ],
            **_records(self.cells),
        }


def _records(cells: CertifiedSet) -> dict[str, Any]:
    """The cells that were not proved for the parameters of an outer set."""
    records = cells.own_records
    return {
        "records": [[record.grid, record.level, record.steps, len(record.index)] for record in records],
        "cells": _packed([_sorted_places(record.index, record.level) for record in records]),
    }


def region_certificate(
    parts: Part | Sequence[Part],
    lower: ArrayLike,
    upper: ArrayLike,
    volume: float,
    *,
    model: Model | None = None,
    policy_sha256: str | None = None,
    information: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The certificate of a certified set.

    Parameters
    ----------
    parts : Part, or sequence of Part
        One for all parameters, or one for each part of their box, which together cover it.
    lower, upper : array_like, shape (n,)
        The domain.
    volume : float
        Of the certified cells of the last grid in the domain, rounded down; with parts, of those in all of them.
    model : Model, optional
        With parts: the model with the whole box of parameters.
    policy_sha256 : str, optional
        Of the policy's file.
    information : mapping, optional
        Anything, ignored by checkers.

    Raises
    ------
    CertificateError
        If there is no core or no grid, or the set was proved for errors of the action and there are no stages.
    PlantError
        If the model's equations cannot be written as a program.
    """
    if not all(part.cells.ellipsoids and part.cells.grids for part in ([parts] if isinstance(parts, Part) else parts)):
        raise CertificateError("A region needs a core and a grid of cells.", "Search with more time.")
    domain = {"lower": hex_array(lower), "upper": hex_array(upper), "volume": hex_array(volume)}
    if isinstance(parts, Part):
        domain = {"grid": len(parts.cells.grids) - 1, **domain}
        return certificate_of(parts, domain, policy_sha256, information)
    proved = {"parts": _blocks(parts)}
    return _whole(parts[0], model or parts[0].cells.loop.model, proved, domain, policy_sha256, information)


def _blocks(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """The fields of all parts, each after the one within which it was proved."""
    blocks, places = list[dict[str, Any]](), dict[int, int]()
    for part in parts:
        chain = [part.cells]
        while chain[-1].outer is not None:
            chain.append(chain[-1].outer)
        for cells in reversed(chain):
            if id(cells) in places:
                continue
            places[id(cells)] = len(blocks)
            box = {"parameters": [hex_array(ends) for ends in cells.loop.model.uncertain.values()]}
            if cells.outer is None:
                blocks.append(box | {"grid": len(cells.grids) - 1} | replace(part, cells=cells).block())
            else:
                blocks.append(box | {"within": places[id(cells.outer)]} | _records(cells))
    return blocks


def certificate_of(
    part: Part, domain: dict[str, Any] | None, policy_sha256: str | None, information: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The fields of FORMAT-cells.md for one part, with or without a domain."""
    return _whole(part, part.cells.loop.model, part.block(), domain, policy_sha256, information)


def _whole(
    first: Part,
    model: Model,
    proved: dict[str, Any],
    domain: dict[str, Any] | None,
    policy_sha256: str | None,
    information: Mapping[str, Any] | None,
) -> dict[str, Any]:
    loop = first.cells.loop
    disturbed = {"action_error": hex_array(loop.action_error), "arithmetic": loop.arithmetic} if loop.disturbed else {}
    return {
        "theorem": THEOREM,
        "network": network_block(loop.network),
        "network_sha256": loop.network.sha256,
        "policy_sha256": policy_sha256,
        "model": model_block(model),
        **disturbed,
        **proved,
        "domain": domain,
        "claim": "Every trajectory from the certified set "
        + ("ends in a small ball about" if first.stages else "converges to")
        + " the equilibrium, modulo full turns of angles.",
        "assumptions": ["exact model", f"policy in {loop.arithmetic} arithmetic", "plant in real arithmetic"]
        + ["deterministic action"]
        + [f"{name} constant in [{low!r}, {high!r}]" for name, (low, high) in model.uncertain.items()]
        + ([f"errors of each action up to {loop.action_error!r}"] if loop.action_error else []),
        "information": dict(information or {}),
    }


def model_block(model: Model) -> dict[str, Any]:
    """Name, time step, uncertain parameters and the programs of the equations."""
    step, observe = record_model(model)
    uncertain = [
        {"name": name, "lower": hex_array(low), "upper": hex_array(high)}
        for name, (low, high) in model.uncertain.items()
    ]
    return {
        **({"parameters": uncertain} if uncertain else {}),
        "name": str(getattr(model, "name", type(model).__name__)),
        "dt": hex_array(model.dt),
        "step": step.to_dict(),
        "observe": observe.to_dict(),
    }


def _ellipsoid(ellipsoid: Ellipsoid) -> dict[str, Any]:
    return {
        "center": hex_array(ellipsoid.center),
        "T": hex_array(ellipsoid.T),
        "radius": hex_array(ellipsoid.radius),
    }


def _sorted_places(index: NDArray[np.int64], level: int) -> NDArray[np.int64]:
    """Numbers of cells, the last axis counting fastest, ascending."""
    if 2 ** (level * index.shape[1]) > _MAX_INDEX:
        raise CertificateError(f"A grid of level {level} in {index.shape[1]} dimensions has too many cells.")
    places = np.zeros(len(index), dtype=np.int64)
    for column in index.T:
        places = (places << level) + column
    return np.sort(places)


def _packed(parts: list[NDArray[np.int64]]) -> str:
    """Differences of the numbers, four bytes each, lowest bytes first, by zlib and base64."""
    differences = [np.diff(part, prepend=0) for part in parts]
    joined = np.concatenate(differences) if differences else np.zeros(0, dtype=np.int64)
    planes = joined.astype("<u4").view(np.uint8).reshape(-1, 4).T
    return base64.b64encode(zlib.compress(np.ascontiguousarray(planes).tobytes(), 9)).decode("ascii")
