"""A loop that grows by eight orders in three steps, at a scale whose squares are below every number: nothing is proved.

x+ = x (1/2 + (2^600 x)^2) converges from |x| < 2^-600.5 and diverges from beyond. Once the norm of what has underflowed
counted for 2^-900, so that every x below 2^-537 lay in the core |x| <= 2^-602, and the certificate was accepted.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest

from lipctrl.errors import LipctrlError
from lipctrl.intervals.interval import Interval
from lipctrl.proofs import check_cells
from lipctrl.proofs.certificate import write_certificate
from lipctrl.proofs.core import prove_core
from lipctrl.proofs.decrease import prove_decrease
from lipctrl.proofs.ellipsoid import Ellipsoid
from lipctrl.proofs.levels_certificate import levels_certificate
from tests.proofs.maps_for_tests import loop_of


@pytest.mark.parametrize(("scale", "unit"), [(600, 0), (540, 0), (540, -300), (450, -300), (150, 0)])
def test_a_level_beyond_the_saddle_is_refused(scale: int, unit: int, tmp_path: Path) -> None:
    """Whatever the units of T: the radius of the same set is then another one."""
    one = 2.0**scale
    loop = loop_of(lambda x: (x * (0.5 + (x * one) * (x * one)),), 1)
    rest = Interval(np.full(1, -(2.0**-660)), np.full(1, 2.0**-660))
    inside, core, outer = (
        Ellipsoid(np.zeros(1), np.full((1, 1), 2.0**unit), 2.0 ** (unit - scale + k)) for k in (-3, -2, 2)
    )

    def accepted(*chain: Ellipsoid) -> bool:
        path = write_certificate(levels_certificate(loop, rest, chain[0], chain[1:]), tmp_path / "c.json")
        return check_cells.check(path)[0] == 0

    assert not accepted(core, outer) and prove_core(loop, outer, rest) is None
    with contextlib.suppress(LipctrlError):  # of radii that are none
        proved = prove_decrease(loop, outer, core).proved
        assert proved is None or proved.radius < 2.0 ** (unit - scale - 0.5)
    if scale == 150 and unit == 0:
        assert accepted(inside, core) and prove_core(loop, inside, rest) is not None
