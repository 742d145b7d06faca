"""The simulation beside the proof: where it is slow, where no core is known, and where there are many parts."""

from __future__ import annotations

import numpy as np
import pytest

from lipctrl import certify
from lipctrl.errors import LipctrlError
from lipctrl.intervals.functions import sin
from lipctrl.networks.network import Affine, Network
from lipctrl.proofs.closed_loop import ClosedLoop
from lipctrl.results import Trust, Verdict
from lipctrl.theorems import levels_row, region_row
from lipctrl.theorems.region import find_region
from lipctrl.theorems.region_falsify import UNDECIDED, fates
from lipctrl.theorems.region_parts import find_common_region
from lipctrl.theorems.region_row import picture, region_rows
from lipctrl.tools.plot_domain import draw_domain
from tests.proofs.maps_for_tests import Map

NOTHING = Network([Affine(np.zeros((1, 2)))])
DEPARTURES = {
    "rests at": lambda x, y: (x + 0.1 * y, 0.5 * y),  # anywhere on the line y = 0
    "cycle": lambda x, y: (-y, x),
    "every bound": lambda x, y: (1.1 * x, 0.5 * y),
}


@pytest.mark.parametrize("words", DEPARTURES)
def test_without_a_core_a_trajectory_still_refutes_the_domain(words: str) -> None:
    rows, region = region_rows(Map(DEPARTURES[words]), NOTHING, [0.0, 0.0], 1.0)
    assert region is None and [row.verdict for row in rows] == [Verdict.INCONCLUSIVE, Verdict.REFUTED]
    assert rows[1].trust is Trust.SAMPLED and words in rows[1].reason
    path = np.array(rows[1].witness["trajectory"])
    images = np.array([DEPARTURES[words](*x) for x in path[:-1]])
    assert len(path) > 2 and np.allclose(path[1:], images, rtol=1e-12)


def test_what_converges_refutes_nothing_without_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lipctrl.theorems.region_row.find_common_region", lambda *given, **more: None)
    rows, _ = region_rows(Map(lambda x, y: (0.5 * x, 0.5 * y)), NOTHING, [0.0, 0.0], 1.0)
    assert [row.verdict for row in rows] == [Verdict.INCONCLUSIVE]


def test_certified_starts_converge_however_late() -> None:
    """x+ = x - x / 2000 takes some 4000 steps to come from 4 to the core's size; followed are 366."""
    slow = Map(lambda x, y: (x - 0.0005 * x * (1.0 + x * x), 0.5 * y))
    region = find_region(slow, NOTHING, [0.0, 0.0], time_limit=2.0)
    assert region is not None and region.share > 0.0
    starts, inside = region.simulation.starts, region.contains(region.simulation.starts)
    assert inside.any() and region.simulation.converging[inside].all()
    assert not region.contains(region.simulation.failing).any() and len(starts) == len(region.simulation.arrival)


def test_the_failures_of_many_parts_are_one_of_each_kind() -> None:
    """Van der Pol's oscillator backwards, 6 parts: from outside its cycle everything leaves."""
    model = Map(lambda x, y, mu: (x - 0.1 * y, y + 0.1 * (x - mu * (1.0 - x * x) * y)), rate=(0.88, 1.0))
    region = find_common_region(model, NOTHING, [0.0, 0.0], time_limit=60.0, enough=0.02)
    assert region is not None and len(region.parts) >= 5
    kinds = [failure.kind for failure in region.failures]
    assert kinds and len(set(kinds)) == len(kinds)
    from matplotlib.figure import Figure

    assert draw_domain(Figure().subplots(), picture(region, 20), np.zeros(2), None, None)


def test_a_slow_loop_contradicts_nothing_and_is_no_orbit() -> None:
    """A pendulum hanging down, sampled every millisecond and hardly damped: after 10,000 steps 40 % is lost."""
    slow = Map(lambda x, y: (x + 0.001 * y, y + 0.001 * (-sin(x + 0.001 * y) - 0.1 * y)))
    slow.state_low, slow.state_high = np.full(2, -2.0), np.full(2, 2.0)
    region = find_region(slow, NOTHING, [0.0, 0.0], time_limit=1.0)
    assert region is not None and not region.failures
    assert [kind for kind, _ in fates(ClosedLoop(slow, NOTHING), np.zeros(2, dtype=bool), np.ones((1, 2)))] == [
        UNDECIDED
    ]


def test_two_states_within_limits_have_ellipsoids_that_stay_there() -> None:
    """Cells say nothing of states on the way: a spiral from the corners of the limits leaves them."""
    spiral = Map(lambda x, y: (0.7 * x + 0.5 * y, 0.7 * y - 0.5 * x))
    spiral.limits = np.full(2, -1.0), np.full(2, 1.0)
    spiral.state_low, spiral.state_high = spiral.limits
    assert not region_row.applies(spiral) and levels_row.applies(spiral)
    with pytest.raises(LipctrlError, match="within limits"):
        find_region(spiral, NOTHING, [0.0, 0.0], time_limit=1.0)
    report = certify(NOTHING, spiral, target=[0.0, 0.0], nonlinear=True, time_limit=2.0)
    (row,) = [row for row in report.theorems if row.name == levels_row.NAME]
    assert row.verdict is Verdict.CERTIFIED and "within the limits" in row.reason and row.region is not None
    assert row.region.volume is not None and 0.5 < row.region.volume <= np.pi
