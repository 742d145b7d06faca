"""The simulation beside the proof: where it is slow, where no core is known, and where there are many parts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lipctrl import certify
from lipctrl.errors import LipctrlError
from lipctrl.intervals.functions import clip, exp, sin
from lipctrl.networks.network import Affine, Network
from lipctrl.plants.goal import Goal
from lipctrl.proofs.closed_loop import ClosedLoop
from lipctrl.proofs.ellipsoid import Ellipsoid
from lipctrl.results import Trust, Verdict
from lipctrl.theorems import levels_row, region_row
from lipctrl.theorems.region import find_region
from lipctrl.theorems.region_falsify import REST, UNDECIDED, ends_elsewhere, fates, find_failures, simulate_domain
from lipctrl.theorems.region_parts import find_common_region
from lipctrl.theorems.region_row import domain_row, others, picture, region_rows
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


def turned(rate):
    """An eighth of a turn at each step."""
    c, s = rate * np.cos(np.pi / 4), rate * np.sin(np.pi / 4)
    return lambda x, y: (c * x - s * y, s * x + c * y)


CONVERGES_LATE = {
    "no rest": (lambda x, y: (x - 1e-11 * x - 0.5 * clip(x - 0.5, 0.0, 9.0), 0.5 * y), [0.6, 0.0], 1.0),
    "no cycle": (turned(1.0 - 1e-9), [1.0, 0.0], 1.0),
    "no orbit": (lambda x, y: turned(1.0 - 1e-6)(*turned(1.0)(x - 0.1 * y, y + 0.1 * (x - 0.1 * y))), [1.0, 0.0], 1.0),
    "no escape": (lambda x, y: (x + y, y - clip(1e-3 * x + 0.2 * y, -100.0, 100.0)), [0.0, 1e6], 1e6),
    "no rest of small states": (lambda x, y: (x - 1e-4 * x, 0.5 * y), [1e-8, 0.0], 1e-8),
    "overflow on the way": (
        lambda x, y: (0.5 * x * (exp(20.0 * x) - 1.0) / (exp(20.0 * x) + 1.0), y),
        [40.0, 0.0],
        50.0,
    ),
}


@pytest.mark.parametrize("name", CONVERGES_LATE)
def test_what_converges_late_is_not_refuted(name: str) -> None:
    """In real arithmetic each of them converges: in 10^11 steps, or after 10^4 steps out to five thousand times the box
    of x; the last one in two, but exp overflows."""
    f, start, size = CONVERGES_LATE[name]
    model = Map(f)
    model.state_low, model.state_high = np.full(2, -size), np.full(2, size)
    ((kind, _),) = fates(ClosedLoop(model, NOTHING), np.zeros(2, dtype=bool), np.array([start]))
    assert kind == UNDECIDED


def test_what_roundings_make_of_the_equilibrium_is_no_other_rest() -> None:
    """Added to 1e6 and taken away again, a state is a multiple of 1e-10; the core is smaller than that."""
    model = Map(lambda x, y: (0.5 * ((x + 1e6) - 1e6) + 1e-11, 0.5 * y))
    loop = ClosedLoop(model, NOTHING)
    core = Ellipsoid(np.array([2e-11, 0.0]), np.eye(2), 1e-12)
    simulation = simulate_domain(loop, core, model.state_low, model.state_high, np.zeros(2, dtype=bool), 4, 4_000)
    assert not simulation.converging.any()
    assert find_failures(loop, core, np.zeros(2, dtype=bool), simulation) == ()
    some = simulation.starts[:4]
    assert len(ends_elsewhere(loop, core, np.zeros(2, dtype=bool), some, 100)) == 0
    elsewhere = replace(core, center=np.array([1.0, 0.0]))
    (failure,) = find_failures(loop, elsewhere, np.zeros(2, dtype=bool), simulation)
    assert failure.kind == REST
    assert len(ends_elsewhere(loop, elsewhere, np.zeros(2, dtype=bool), some, 100)) == 4


def saddle_node(x, y, p):
    """Beside 0 it rests at 2 -+ sqrt(p - 1.02)."""
    return x - 0.1 * x * ((x - 2.0) * (x - 2.0) + (1.02 - p)), 0.5 * y


def test_other_states_of_rest_are_those_of_one_value_of_the_parameters() -> None:
    """It was said, for every p up to 1.0244, that the loop rests nowhere else: at 1.0244 it rests at 2.066."""
    rows, region = region_rows(Map(saddle_node, rate=(1.014, 1.0244)), NOTHING, [0.0, 0.0], 1.0)
    assert region is not None and not region.parts and region.rest.complete
    assert "At rate = 1.0192 it rests nowhere else in the domain" in rows[0].reason
    rows, region = region_rows(Map(saddle_node, rate=(1.022, 1.0244)), NOTHING, [0.0, 0.0], 1.0)
    assert "At rate = 1.0232 it also rests at" in rows[0].reason and "at rate = 1.0232 the" in region.failures[0].words
    assert rows[1].verdict is Verdict.REFUTED and rows[1].witness["parameters"] == {"rate": pytest.approx(1.0232)}


def test_a_rest_on_the_edge_of_the_domain_is_not_proved_to_lie_in_it() -> None:
    """Bistable, unstable at 1 only, which is not a multiple of .3 in doubles: from below all converges to 0."""
    model = Map(lambda x, y: (x + 0.1 * x * (x - 1.0 / 3.0), 0.5 * y))
    model.state_low, model.state_high = np.full(2, -0.5), np.full(2, 0.5)
    third = 1.0 / 3.0
    for edge, inside, sure in ((third - 1e-14, True, False), (third - 1e-9, False, False), (third + 1e-9, True, True)):
        region = find_region(model, NOTHING, [0.0, 0.0], lower=[-0.2, -0.2], upper=[edge, 0.2], time_limit=0.3)
        assert region is not None and len(region.others) == 1
        assert ("also rests" in others(region)) is inside
        row = domain_row(replace(region, failures=()), asked=True)
        assert (row is not None and row.verdict is Verdict.REFUTED) is sure


class Rail(Map):
    """A cart that is drawn to 2, on a rail that ends at 1, where it stops."""

    limits = (np.full(2, -1.0), np.full(2, 1.0))


@pytest.mark.parametrize(("goal", "words"), [(None, "No equilibrium"), (Goal([0.0, 0.0], [np.inf, 0.1]), "No equil")])
def test_nothing_is_said_of_a_rest_beyond_the_limits_of_the_equations(goal: Goal | None, words: str) -> None:
    """The linear loop at (2, 1) was CERTIFIED; and the goal REFUTED, though the cart stops in it, at (1, 0)."""
    rail = Rail(lambda x, y: (x + 0.1 * (2.0 - x), y + 0.1 * (clip(x, 1.0, 9.0) - 1.0 - y)))
    rail.goal = goal
    report = certify(NOTHING, rail, time_limit=1.0)
    assert report.verdict is Verdict.INCONCLUSIVE and words in report.claim
    rail.limits = (np.full(2, -1.0), np.full(2, 4.0))
    assert certify(NOTHING, rail, time_limit=1.0).verdict is not Verdict.INCONCLUSIVE
