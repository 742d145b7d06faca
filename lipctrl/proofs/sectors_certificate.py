"""The certificate of an ellipsoid proved by sectors: that of FORMAT-cells.md with the field `sectors`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipctrl.intervals.interval import Interval
from lipctrl.proofs.certificate import hex_array
from lipctrl.proofs.closed_loop import ClosedLoop
from lipctrl.proofs.ellipsoid import Ellipsoid
from lipctrl.proofs.levels_certificate import levels_certificate

Array = NDArray[np.float64]


def sectors_certificate(
    loop: ClosedLoop,
    equilibrium: Interval,
    ellipsoid: Ellipsoid,
    blocks: Sequence[Array],
    *,
    limits: tuple[Array, Array] | None = None,
    box: tuple[Array, Array] | None = None,
    policy_sha256: str | None = None,
    information: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The certificate of one ellipsoid, which takes the place of the core.

    Parameters
    ----------
    loop : ClosedLoop
        Without errors of the action.
    equilibrium : Interval, shape (n,)
        Contains exactly one equilibrium.
    ellipsoid : Ellipsoid
    blocks : sequence of array, shape (m, 4)
        Of each group of channels: sector, line, multiplier.
    limits, box, policy_sha256, information
        As in :func:`lipctrl.proofs.levels_certificate.levels_certificate`.
    """
    content = levels_certificate(
        loop,
        equilibrium,
        ellipsoid,
        (),
        limits=limits,
        box=box,
        policy_sha256=policy_sha256,
        information=information,
    )
    return {**content, "sectors": [hex_array(block) for block in blocks]}
