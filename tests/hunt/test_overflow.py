"""A loop that grows without bound through 1 / x at a scale whose squares are beyond every number: nothing is proved.

F(x) = x / 2 - 1000 max(1 / (x + 2) - 3/4, 0) is x / 2 for x >= -2/3, and -250.5 at -1. Once the slope of 1 / x,
-1 / x^2, was 0 beyond 2^512 in the checker, where 1 / x then was one number on a whole cell: cells beyond -2/3 were
accepted.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lipctrl.intervals.functions import clip
from lipctrl.intervals.interval import Interval
from lipctrl.proofs import check_cells
from lipctrl.proofs.cells import CertifiedSet
from lipctrl.proofs.certificate import write_certificate
from lipctrl.proofs.core import prove_core
from lipctrl.proofs.ellipsoid import Ellipsoid
from lipctrl.proofs.grid import Grid
from lipctrl.proofs.region_certificate import Part, region_certificate
from tests.proofs.maps_for_tests import loop_of


@pytest.mark.parametrize("scale", [0, 400, 511, 513, 600, 900])
def test_a_quotient_beyond_the_squares_is_no_constant(scale: int, tmp_path: Path) -> None:
    one = 2.0**scale
    loop = loop_of(lambda x: (0.5 * x - 1000.0 * clip(one / (one * (x + 2.0)) - 0.75, 0.0, np.inf),), 1)
    rest, core = Interval(np.full(1, -1e-6), np.full(1, 1e-6)), Ellipsoid(np.zeros(1), np.eye(1), 0.53125)
    assert scale > 500 or prove_core(loop, core, rest) is not None

    def code(forced: bool) -> int:
        cells = CertifiedSet(loop, [core])
        cells.add_grid(Grid(np.array([-1.0]), np.array([2.0]), np.zeros(1, dtype=bool), 1))
        cells.fly(0, np.array([[0], [1]]), [1])
        assert cells.grids[0].marked[0] == 0  # from -1 to 0
        if forced:
            cells._add(0, np.array([[0]]), 1)
        path = write_certificate(region_certificate(Part(cells, rest), [-1.0], [1.0], 0.0), tmp_path / "c.json")
        return check_cells.check(path)[0]

    assert code(forced=True) == 1
    assert scale > 500 or code(forced=False) == 0


@pytest.mark.parametrize("scale", [0, 400, 511, 513, 600, 1000, -500, -600, -1000])
def test_the_checker_encloses_quotients_at_every_scale(scale: int) -> None:
    one = 2.0**scale
    x = check_cells._box_between(np.array([[one]]), np.array([[3.0 * one]]))[0]
    found = check_cells._inverse(x)
    center, slope, radius = float(found.c[0]), float(found.G[0, 0]), float(found.r[0])
    for e in (-1.0, -0.5, 0.0, 0.5, 1.0):
        assert not abs(1.0 / ((2.0 + e) * one) - (center + slope * e)) > radius
