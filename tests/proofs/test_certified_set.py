"""The growing set on maps that move cells by known amounts: what is added, when, and what is not."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest

from lipctrl.errors import LipctrlError
from lipctrl.networks.network import Affine, Network
from lipctrl.plants.models.pendulum import Pendulum
from lipctrl.proofs.cells import SLACK, CertifiedSet, Images, Record
from lipctrl.proofs.closed_loop import ClosedLoop
from lipctrl.proofs.ellipsoid import Ellipsoid
from lipctrl.proofs.grid import Grid
from tests.proofs.maps_for_tests import linear, loop_of


def moved(a: float, b: float) -> CertifiedSet:
    """x+ = x + (a, b), and a grid of 8 by 8 cells of side 1 on [-4, 4]^2."""
    certified = CertifiedSet(loop_of(lambda x, y: (x + a, y + b)), [])
    certified.add_grid(Grid.around([-4.0, -4.0], [4.0, 4.0], [False, False], 3))
    return certified


def cells(a: float, b: float, steps: int, index: Any) -> set[tuple[int, int]]:
    """The cells, numbered beyond the grid as well, that the image of a cell touches; its edges lie inside cells."""
    sides = []
    for i, d in zip(index, (a, b), strict=True):
        low = Fraction(int(i)) + steps * Fraction(d)
        assert low.denominator > 1
        sides.append(range(int(low // 1), int((low + 1) // 1) + 1))
    return set(product(*sides))


@pytest.mark.parametrize("move", [(0.375, 0.125), (-0.75, 1.125), (1.25, -0.25), (-1.25, -1.375)])
@pytest.mark.parametrize("hole", [None, (3, 4), (5, 5), (2, 2)])
def test_cells_are_added_exactly_where_their_images_lie_in_marked_ones(
    move: tuple[float, float], hole: tuple[int, int] | None
) -> None:
    """Marked: [2, 5]^2 less a hole. An image that touches one cell more is not inside."""
    certified = moved(*move)
    marked = set(product(range(2, 6), range(2, 6))) - {hole}
    grid = certified.grids[0]
    grid.mark(np.array(sorted(marked)))
    index = grid.unmarked()
    left = certified.fly(0, index, (1, 2))
    added = {tuple(i): record.steps for record in certified.records for i in record.index.tolist()}
    for i in map(tuple, index.tolist()):
        inside = [cells(*move, steps, i) <= marked for steps in (1, 2)]
        assert added.get(i) == (1 if inside[0] else 2 if inside[1] else None), i
    assert {tuple(i) for i in left.index.tolist()} == {tuple(i) for i in index.tolist()} - set(added)
    assert certified.own_records == certified.records
    assert (left.grid, left.level, left.steps) == (0, 3, (1, 2)) and len(left.ranges) == 2
    assert certified.steps_enclosed == len(index) + len(left.index) + sum(steps == 2 for steps in added.values())
    for steps, ranges in zip(left.steps, left.ranges, strict=True):
        for k, i in enumerate(left.index):
            if ranges.inside[k]:
                found = set(product(*(range(a, b + 1) for a, b in zip(ranges.first[k], ranges.last[k], strict=True))))
                assert found == cells(*move, steps, i)
            else:
                assert not cells(*move, steps, i) <= set(product(range(8), range(8)))


def test_images_grow_into_what_was_marked_since() -> None:
    """x + 3/2, columns 6 and 7 marked: an image touches the next two columns, after three steps 4 and 5 further."""
    certified = CertifiedSet(loop_of(lambda x, y: (x + 1.5, 0.5 * y)), [])
    certified.add_grid(Grid.around([-4.0, -4.0], [4.0, 4.0], [False, False], 3))
    certified.grids[0].mark(np.array([[i, j] for i in (6, 7) for j in range(8)]))
    waiting = certified.fly(0, certified.grids[0].unmarked(), (1, 3))
    assert certified.grow(waiting).sum() == 16 and certified.grow(waiting.take(in_columns(waiting, (0, 3)))).all()
    found = [(record.steps, sorted(set(record.index[:, 0].tolist()))) for record in certified.records]
    assert found == [(1, [5]), (3, [2]), (1, [4]), (3, [1]), (1, [0, 3])]
    assert certified.grids[0].marked.all() and [record.rank for record in certified.records] == [1, 2, 3, 4, 5]


def in_columns(waiting: Images, columns: tuple[int, ...]) -> np.ndarray:
    return np.isin(waiting.index[:, 0], columns)


def images(index: list[list[int]], certified: CertifiedSet, steps: tuple[int, ...], boxes: list[Any]) -> Images:
    grid = certified.grids[0]
    ranges = tuple(grid.ranges(*(np.array(side, dtype=float) for side in zip(*box, strict=True))) for box in boxes)
    return Images(0, grid.level, steps, np.array(index), ranges)


def test_grow_takes_the_first_step_that_arrives() -> None:
    certified = moved(0.0, 0.0)
    certified.grids[0].mark(np.array([[0, 0], [1, 1]]))
    inside, also, outside = ([-3.9, -3.9], [-3.1, -3.1]), ([-2.9, -2.9], [-2.1, -2.1]), ([-3.9, 3.1], [-3.1, 3.9])
    waiting = images(
        [[4, 4], [5, 5], [6, 6], [7, 7]],
        certified,
        (2, 5),
        [[inside, outside, outside, also], [outside, also, outside, inside]],
    )
    assert certified.grow(waiting).tolist() == [True, True, False, True]
    found = [(r.grid, r.level, r.rank, r.steps, r.index.tolist()) for r in certified.records]
    assert found == [(0, 3, 1, 2, [[4, 4], [7, 7]]), (0, 3, 2, 5, [[5, 5]])]
    assert certified.grids[0].marked.sum() == 5 and not certified.grow(waiting.take(np.array([0, 0, 1, 0]) > 0)).any()
    certified.grids[0].refine()
    with pytest.raises(LipctrlError, match="level"):
        certified.grow(waiting)


def test_images_are_joined_if_of_one_kind() -> None:
    certified = moved(0.0, 0.0)
    box = ([0, 0], [0.5, 0.5])
    one, two = (images([[i, i]], certified, (1, 2), [[box], [box]]) for i in (1, 2))
    other = images([[3, 3]], certified, (1,), [[box]])
    level = Images(0, 4, (1, 2), np.array([[4, 4]]), one.ranges)
    grid = Images(1, 3, (1, 2), np.array([[5, 5]]), one.ranges)
    empty = one.take(np.array([False]))
    found = Images.join([one, empty, other, two, level, grid])
    assert [part.index.tolist() for part in found] == [[[1, 1], [2, 2]], [[3, 3]], [[4, 4]], [[5, 5]]]
    assert [(part.grid, part.level, part.steps) for part in found] == [
        (0, 3, (1, 2)), (0, 3, (1,)), (0, 4, (1, 2)), (1, 3, (1, 2))
    ]  # fmt: skip
    assert [len(part.inside) for part in found[0].ranges] == [2, 2] and found[1] is other


def test_slack_stays_within_the_edges_that_an_image_respects() -> None:
    """A speed at its limit stays there; beyond it, and where an angle ends, there is no limit."""
    certified = CertifiedSet(loop_of(lambda x, y: (x, y)), [])
    grid = Grid.around([-4.0, -4.0], [4.0, 4.0], [False, True], 3)
    slack, hair = SLACK * 8, 2.0**-50
    for lower, expected in (
        (-4.0, -4.0),
        (-4.0 - hair, -4.0 - hair - slack),
        (-4 + slack / 2, -4.0),
        (-3.0, -3 - slack),
    ):
        low, _ = certified._widened(grid, np.full((1, 2), lower), np.full((1, 2), 1.0))
        assert low[0].tolist() == [expected, lower - slack]
    for upper, expected in ((4.0, 4.0), (4.0 + hair, 4.0 + hair + slack), (4 - slack / 2, 4.0), (3.0, 3 + slack)):
        _, high = certified._widened(grid, np.full((1, 2), -1.0), np.full((1, 2), upper))
        assert high[0].tolist() == [expected, upper + slack]


def test_boxes_elsewhere_need_all_their_corners_there() -> None:
    """In the marked cells of another grid, or in one ellipsoid; never in those of the grid itself."""
    certified = moved(0.0, 0.0)
    other = Grid.around([-2.0, -2.0], [2.0, 2.0], [False, False], 2)
    certified.add_grid(other)
    other.mark(np.array([[1, 1], [2, 1]]))  # [-1, 1] x [-1, 0)
    boxes = [
        ([-0.9, -0.9], [0.9, -0.1], True),
        ([-1.1, -0.9], [0.9, -0.1], False),
        ([-0.9, -1.1], [0.9, -0.1], False),
        ([-0.9, -0.9], [1.1, -0.1], False),
        ([-0.9, -0.9], [0.9, 0.1], False),
        ([-2.1, -0.9], [0.9, -0.1], False),
        ([-0.9, -0.9], [2.1, -0.1], False),
    ]
    lower, upper = (np.array([box[k] for box in boxes], dtype=float) for k in (0, 1))
    assert certified._elsewhere(0, lower, upper).tolist() == [box[2] for box in boxes]
    assert not certified._elsewhere(1, lower, upper).any()
    certified.grids[0].mark(certified.grids[0].unmarked())
    assert certified._elsewhere(1, lower, upper).all() and certified._elsewhere(0, lower, upper).sum() == 1
    rounds = CertifiedSet(linear(np.eye(2)), [Ellipsoid(np.array([1.0, 1.0]), np.eye(2), 1.0)])
    rounds.add_ellipsoid(Ellipsoid(np.array([-1.0, -1.0]), np.diag([1.0, 2.0]), 1.0))
    near = [
        ([0.4, 0.4], [1.6, 1.6], True),
        ([0.2, 0.4], [1.6, 1.6], False),
        ([0.4, 0.4], [1.8, 1.6], False),
        ([-1.4, -1.3], [-0.6, -0.7], True),
        ([-1.4, -1.5], [-0.6, -0.7], False),
        ([-1.4, -1.3], [-0.2, -0.7], False),
        ([0.0, 1.0], [2.0, 1.0], False),
        ([0.001, 1.0], [1.999, 1.0], True),
        ([-1.0, -1.0], [1.0, 1.0], False),
    ]
    lower, upper = (np.array([box[k] for box in near]) for k in (0, 1))
    assert rounds._elsewhere(0, lower, upper).tolist() == [box[2] for box in near]


def test_records_number_what_is_added() -> None:
    """Cells in an ellipsoid at no step; nothing added, no record; and a grid starts empty."""
    certified = CertifiedSet(loop_of(lambda x, y: (x, y)), [Ellipsoid(np.array([0.5, 0.5]), np.eye(2), 1.0)])
    place = certified.add_grid(Grid.around([-4.0, -4.0], [4.0, 4.0], [False, False], 3))
    assert (place, certified.rank, certified.steps_enclosed) == (0, 0, 0)
    assert certified.cover(place) == 1 and certified.cover(place) == 0
    (record,) = certified.records
    assert (record.grid, record.level, record.rank, record.steps) == (0, 3, 1, 0)
    assert record.index.tolist() == [[4, 4]] and isinstance(record, Record)
    marked = Grid.around([-4.0, -4.0], [4.0, 4.0], [False, False], 3)
    assert certified.add_grid(Grid.around([-4.0, -4.0], [4.0, 4.0], [False, False], 2)) == 1
    marked.mark(np.array([[0, 0]]))
    with pytest.raises(LipctrlError, match="without marked"):
        certified.add_grid(marked)


def test_cells_in_common_are_those_of_every_set() -> None:
    """At the finest level; of one box only."""
    first, second = moved(0.0, 0.0), moved(0.0, 0.0)
    first.grids[0].mark(np.array([[0, 0], [1, 1]]))
    second.grids[0].refine()
    second.grids[0].mark(np.array([[0, 0], [0, 1], [3, 3], [9, 9]]))
    both = CertifiedSet.common([first, second])
    assert np.argwhere(both.grids[-1].marked).tolist() == [[0, 0], [0, 1], [3, 3]]
    assert both.grids[-1].level == 4 and both.records == [] and both.ellipsoids == []
    for box in (([-4.0, -4.0], [4.0, 8.0]), ([-8.0, -4.0], [0.0, 4.0])):
        strange = CertifiedSet(first.loop, [])
        strange.add_grid(Grid.around(*box, [False, False], 3))
        with pytest.raises(LipctrlError, match="one box"):
            CertifiedSet.common([first, strange])


def test_cells_in_common_are_those_of_the_last_grids() -> None:
    first, second = moved(0.0, 0.0), moved(0.0, 0.0)
    for part, cell in ((first, [2, 3]), (second, [2, 3])):
        part.grids[0].mark(np.array([[7, 7]]))
        part.add_grid(Grid.around([-2.0, -2.0], [2.0, 2.0], [False, False], 3))
        part.grids[1].mark(np.array([cell]))
    both = CertifiedSet.common([first, second])
    assert both.grids[-1].low.tolist() == [-2.0, -2.0] and np.argwhere(both.grids[-1].marked).tolist() == [[2, 3]]


@pytest.mark.parametrize(
    ("mass", "torque", "error", "holds"),
    [
        ((0.9, 1.1), (1.8, 2.2), 0.01, True),
        ((0.95, 1.0), (2.0, 2.1), 0.01, True),
        ((0.8, 1.0), (2.0, 2.1), 0.01, False),
        ((1.0, 1.2), (2.0, 2.1), 0.01, False),
        ((0.95, 1.0), (1.7, 2.0), 0.01, False),
        ((0.95, 1.0), (2.0, 2.3), 0.01, False),
        ((0.95, 1.0), (2.0, 2.1), 0.02, False),
    ],
)
def test_what_holds_for_some_parameters_holds_for_a_part_of_them(
    mass: tuple[float, float], torque: tuple[float, float], error: float, holds: bool
) -> None:
    def loop(network: Network, error: float, **ranges: tuple[float, float]) -> ClosedLoop:
        return ClosedLoop(Pendulum(**ranges), network, error)

    policy = Network([Affine([[0.0, -9.0, -2.0]])])
    whole = CertifiedSet(loop(policy, 0.01, mass=(0.9, 1.1), max_torque=(1.8, 2.2)), [])
    inner = loop(policy, error, mass=mass, max_torque=torque)
    with pytest.raises(LipctrlError, match="a part of their box"):
        whole.within(inner)  # without a grid
    whole.add_grid(Grid.around([-4.0, -4.0], [4.0, 4.0], [False, False], 2))
    others = [loop(Network(policy.layers), error, mass=mass, max_torque=torque)]
    others += [ClosedLoop(inner.model, policy, error, "float32")] if holds else [inner]
    for other in others:
        with pytest.raises(LipctrlError, match="a part of their box"):
            whole.within(other)
    if holds:
        assert whole.within(inner).outer is whole


def test_more_sets_never_hold_less() -> None:
    """A box in the first of two, and in the corner of the box around the second."""
    first, second = Ellipsoid(np.array([0.9, 0.9]), np.eye(2), 0.3), Ellipsoid(np.zeros(2), np.eye(2), 1.2)
    box = np.full((1, 2), 0.95), np.full((1, 2), 1.0)
    for sets, holds in (([first], True), ([second], False), ([first, second], True), ([second, first], True)):
        assert CertifiedSet(linear(np.eye(2)), sets)._elsewhere(0, *box)[0] == holds
