"""The certificate of a chain of level sets, or of an ellipsoid by sectors: that of FORMAT-cells.md without cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipctrl.intervals.interval import Interval
from lipctrl.proofs.cells import CertifiedSet
from lipctrl.proofs.certificate import hex_array
from lipctrl.proofs.closed_loop import ClosedLoop
from lipctrl.proofs.core import Stage
from lipctrl.proofs.ellipsoid import Ellipsoid
from lipctrl.proofs.region_certificate import Part, certificate_of

Array = NDArray[np.float64]


def levels_certificate(
    loop: ClosedLoop,
    equilibrium: Interval,
    core: Ellipsoid,
    levels: Sequence[Ellipsoid],
    *,
    stages: Sequence[Stage] = (),
    limits: tuple[Array, Array] | None = None,
    box: tuple[Array, Array] | None = None,
    sectors: Sequence[Array] = (),
    policy_sha256: str | None = None,
    information: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The certificate of a core and a chain of levels.

    Parameters
    ----------
    loop : ClosedLoop
    equilibrium : Interval, shape (n,)
        Contains exactly one equilibrium.
    core : Ellipsoid
    levels : sequence of Ellipsoid
        In the order of their proofs; with the attribute `steps` if they need more than one.
    stages : sequence of Stage
        With errors of the action: how trajectories from the core end.
    limits : (low, high), optional
        The box in which the equations hold; it contains the core and all levels, of one step each.
    box : (low, high), optional
        A box that one of the levels contains.
    sectors : sequence of array, shape (m, 4)
        Of each group of channels sector, line, multiplier: `core` is proved by them, without errors of the action.
    policy_sha256, information
        As in :func:`lipctrl.proofs.region_certificate.region_certificate`.

    Raises
    ------
    CertificateError
        If the levels were proved for errors of the action and there are no stages.
    PlantError
        If the model's equations cannot be written as a program.
    """
    part = Part(CertifiedSet(loop, [core, *levels]), equilibrium, stages)
    content = certificate_of(part, None, policy_sha256, information)
    if limits is not None:
        content["limits"] = {"lower": _limit(limits[0]), "upper": _limit(limits[1])}
    if box is not None:
        content["box"] = {"lower": hex_array(box[0]), "upper": hex_array(box[1])}
    if len(sectors):
        content["sectors"] = [hex_array(block) for block in sectors]
    return content


def _limit(values: Array) -> list[str]:
    return [str(value) if np.isinf(value) else hex_array(value) for value in np.asarray(values, dtype=np.float64)]
