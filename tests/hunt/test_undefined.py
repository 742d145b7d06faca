"""Where an equation is no number (the root of a negative one, 1 / 0) nothing converges, whatever a clip makes of it.

Once the range of such an operation was the whole line, which clip, sin and tanh cut to their own: both the process and
the checker found its image among the certified cells.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lipctrl.intervals.affine import AffineForm
from lipctrl.intervals.functions import clip, cos, exp, sin, sqrt, tanh
from lipctrl.intervals.interval import Interval
from lipctrl.proofs import check_cells
from lipctrl.proofs.cells import CertifiedSet
from lipctrl.proofs.certificate import write_certificate
from lipctrl.proofs.ellipsoid import Ellipsoid
from lipctrl.proofs.grid import Grid
from lipctrl.proofs.region_certificate import Part, region_certificate
from tests.proofs.maps_for_tests import loop_of

MAPS = {  # the fixed point 0 attracts; no number at -2, of the roots below -2 either
    "root": lambda x: sqrt(x + 2.0) - np.sqrt(2.0),
    "quotient": lambda x: x / (x + 2.0),
    "sine of a root": lambda x: sin(0.5 * (sqrt(x + 2.0) - np.sqrt(2.0))),
    "bounded root": lambda x: tanh(sqrt(x + 2.0)) - np.tanh(np.sqrt(2.0)),
}


def cells_of(op: Any) -> tuple[CertifiedSet, np.ndarray, np.ndarray]:
    """The disc of radius 1/2 and the cells in it; the other cells of [-4, 4]^2, and which of them have y <= -2."""
    loop = loop_of(lambda x, y: (0.0625 * x, clip(op(y), -0.125, 0.125)))
    cells = CertifiedSet(loop, [Ellipsoid(np.zeros(2), np.eye(2), 0.5)])
    cells.add_grid(Grid(np.full(2, -4.0), np.full(2, 8.0), np.zeros(2, dtype=bool), 5))
    cells.cover(0)
    index = cells.grids[0].unmarked()
    return cells, index, cells.grids[0].boxes(index)[0][:, 1] <= -2.0


@pytest.mark.parametrize("name", MAPS)
def test_undefined_images_lie_in_no_cell(name: str, tmp_path: Path) -> None:
    def code(cells: CertifiedSet) -> int:
        part = Part(cells, Interval(np.full(2, -1e-6), np.full(2, 1e-6)), ())
        path = write_certificate(region_certificate(part, [-4.0, -4.0], [4.0, 4.0], 0.0), tmp_path / "c.json")
        return check_cells.check(path)[0]

    cells, index, undefined = cells_of(MAPS[name])
    cells.fly(0, index[~undefined], [1])
    assert cells.grids[0].marked[:, 9:].all() and code(cells) == 0  # all that is above -1.75
    some = index[undefined & (index[:, 1] == 7)]  # from -2.25 to -2
    cells.fly(0, some, [1])
    assert not cells.grids[0].marked[:, 7].any()
    cells._add(0, some, 1)
    assert code(cells) == 1


@pytest.mark.parametrize("after", [sin, cos, tanh, lambda x: clip(exp(x), 0.0, 1.0), lambda x: clip(0.0 * x, 0.0, 1.0)])
def test_nothing_is_known_of_what_follows(after: Any) -> None:
    """Of the second cell; the first is as it was."""
    x = AffineForm.cells(np.array([[1.5], [0.5]]), np.array([[0.5], [1.0]]))[0]
    for found in (after(sqrt(x)).range(), after(1.0 / x).range(), after((x - x) / 0.0).range()[1:]):
        assert found.lo[-1] == -np.inf and found.hi[-1] == np.inf
        assert len(found.lo) == 1 or np.isfinite(found.lo[0])


def test_the_root_of_an_interval_that_reaches_below_zero() -> None:
    root = Interval([-1.0, 0.0, 4.0], [1.0, 4.0, 9.0]).sqrt()
    assert (root.lo[0], root.hi[0]) == (-np.inf, np.inf)
    assert np.allclose(root.lo[1:], [0.0, 2.0]) and np.allclose(root.hi[1:], [2.0, 3.0])


@pytest.mark.parametrize("low", [-1.0, 0.0])
def test_without_a_line_anything_between_the_limits(low: float) -> None:
    """The slope of a root at 0 is infinite; its range is known all the same, and goes on through sums and clips."""
    x = check_cells._box_between(np.array([[0.0]]), np.array([[0.25]]))[0].at_least(0.0)
    root = check_cells._sqrt(x)
    assert np.isfinite(root.c).all() and root.range()[0] <= 0.0 and 0.5 <= root.range()[1] <= 0.5 + 1e-9
    moved = (root + check_cells.Form.constant(low, 1)).range()
    assert low - 1e-9 <= moved[0] <= low and 0.5 + low <= moved[1] <= 0.5 + low + 1e-9
    endless = check_cells.Form(np.zeros(1), np.zeros((0, 1)), np.full(1, np.inf)).at_least(low)
    assert (endless.range()[0], endless.range()[1]) == (low, np.inf)
    assert np.array_equal((-((-endless).at_least(-2.0))).range(), [[low], [2.0]])
