"""Cells of a grid in exact fractions: at their edges, after many turns, in one to four states."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest

from lipctrl.errors import LipctrlError
from lipctrl.proofs.grid import MAX_LEVEL, Grid, Ranges, join

TURN = 2 * Fraction("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899")


def fractions(x: Any) -> list[Fraction]:
    return [Fraction(float(v)) for v in np.ravel(x)]


def nearby(values: list[Fraction], rng: np.random.Generator) -> np.ndarray:
    """The doubles next to some numbers, up to three steps away on both sides."""
    return np.array([float(v) + k * np.spacing(float(v)) for v in values for k in rng.choice(np.arange(-3, 4), 2)])


@pytest.mark.parametrize(("low", "high"), [(-1.0, 2.0), (-3.3, 7.7), (1e6, 1e6 + 0.7), (-0.01, 0.013), (-8.0, 8.0)])
@pytest.mark.parametrize("level", [0, 1, 7, 16])
def test_the_cell_of_a_point_next_to_an_edge(low: float, high: float, level: int) -> None:
    grid = Grid.around([low], [high], [False], 0)
    grid.level = level
    rng = np.random.default_rng(level)
    start, cell = fractions(grid.low)[0], fractions(grid.cell)[0]
    assert start <= Fraction(low) and start + cell * grid.count >= Fraction(high)
    assert cell * grid.count <= (Fraction(high) - Fraction(low)) * Fraction(1001, 1000)
    edges = rng.choice(np.arange(grid.count + 1), 30)
    x = np.concatenate([nearby([start + int(k) * cell for k in edges], rng), grid.low, grid.high])
    inside = np.array([start <= Fraction(v) <= start + cell * grid.count for v in x.tolist()])
    found = grid._index(x[:, None], inside)[:, 0]
    for v, i, within in zip(x.tolist(), found.tolist(), inside, strict=True):
        assert i == (min(int((Fraction(v) - start) // cell), grid.count - 1) if within else 0)
    for side in (grid.low, grid.high):
        assert np.array_equal(grid._index(np.full((1, 1), np.nan), np.array([False])), [[0]]), side


@pytest.mark.parametrize("low", [-np.pi, -6.25, 0.0, -3.0, 100.0, 1000.0, 5000.0, 9000.0])
@pytest.mark.parametrize("turns", [0, 1, -1, 2, -7, 1000, -(10**5), 10**6])
def test_angles_next_to_an_edge_after_turns(low: float, turns: int) -> None:
    """A point, and a box from before the end of the grid to a point after it: the cell of the true angle is there."""
    grid = Grid.around([low], [low + 6.2831854], [True], 6)
    rng = np.random.default_rng(abs(turns) % 997)
    start, cell = fractions(grid.low)[0], fractions(grid.cell)[0]
    whole = cell * grid.count
    edges = [start + int(k) * cell for k in rng.choice(np.arange(grid.count), 40)]
    x = nearby([edge + turns * TURN for edge in edges], rng)

    def holds(box: int, found: Ranges, angle: Fraction) -> bool:
        """Whether some way of writing the angle lies in a cell of the box."""
        pieces = [(found.first[box, 0], found.last[box, 0])]
        pieces += [(found.first_again[i, 0], found.last_again[i, 0]) for i in np.nonzero(found.again == box)[0]]
        copies = [angle - ((angle - start) // TURN + k) * TURN for k in (0, -1)]
        cells = [min(int((c - start) // cell), grid.count - 1) for c in copies if start <= c <= start + whole]
        assert cells
        return any(a <= i <= b for i in cells for a, b in pieces)

    points = grid.ranges(x[:, None], x[:, None])
    assert points.inside.mean() > 0.9 and np.all((points.last - points.first)[points.inside] <= 1)
    for k in np.nonzero(points.inside)[0]:
        assert holds(int(k), points, Fraction(float(x[k])))
    last = nearby([start + whole + turns * TURN] * 30, rng)
    ends = grid.ranges(last[:, None] - 0.5, last[:, None])
    assert ends.inside.all() and all(holds(k, ends, Fraction(float(last[k]))) for k in range(len(last)))
    # across the end: from 1/8 before it to the angle of an edge a turn later
    begin = np.full(len(x), float(start + whole - Fraction(1, 8) + turns * TURN))
    end = nearby([edge + (turns + 1) * TURN for edge in edges], rng)
    end = np.where(end > begin, end, begin)
    across = grid.ranges(begin[:, None], end[:, None])
    short = end - begin < 6.2
    assert across.inside[short].mean() > 0.9
    for k in np.nonzero(across.inside)[0]:
        assert holds(int(k), across, Fraction(float(begin[k]))) and holds(int(k), across, Fraction(float(end[k])))
        beyond = (Fraction(float(end[k])) - start) // TURN > (Fraction(float(begin[k])) - start) // TURN
        assert not beyond or k in across.again or holds(int(k), across, start)


def test_boxes_of_a_turn_or_more() -> None:
    """They fit in two pieces up to the end of the grid."""
    grid = Grid.around([-np.pi], [np.pi], [True], 4)
    for length, inside in ((6.2, True), (8.4, True), (8.5, False), (50.0, False)):
        found = grid.ranges(np.array([[1.0]]), np.array([[1.0 + length]]))
        assert bool(found.inside[0]) is inside
    grid.mark(grid.unmarked())
    assert grid.covers(grid.ranges(np.array([[1.0]]), np.array([[7.0]])))[0]
    assert not grid.covers(grid.ranges(np.array([[1.0]]), np.array([[9.5]])))[0]
    assert not grid.ranges(np.array([[1e9]]), np.array([[1e9]])).inside[0]  # too many turns to be told


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("angles", [(False, False), (True, False), (False, True)])
def test_what_is_not_finite_lies_in_no_cell(bad: float, angles: Any) -> None:
    grid = Grid.around([-4.0, -4.0], [4.0, 4.0], angles, 3)
    grid.mark(grid.unmarked())
    for side, axis in product((0, 1), (0, 1)):
        box = [np.array([[-1.0, -1.0]]), np.array([[1.0, 1.0]])]
        assert grid.covers(grid.ranges(*box))[0]
        box[side][0, axis] = bad
        found = grid.ranges(*box)
        assert not found.inside[0] and not grid.covers(found)[0]


def test_boxes_that_wrap_in_two_angles_are_not_covered() -> None:
    grid = Grid.around([-np.pi, -np.pi], [np.pi, np.pi], [True, True], 3)
    grid.mark(grid.unmarked())
    boxes = [([3.0, 0.0], [3.3, 0.1], False), ([0.0, 3.0], [0.1, 3.3], False), ([0.0, 0.0], [0.1, 0.1], True)]
    lower, upper = (np.array([box[k] for box in boxes]) for k in (0, 1))
    assert grid.covers(grid.ranges(lower, upper)).tolist() == [box[2] for box in boxes]
    one = Grid.around([-np.pi, -np.pi], [np.pi, np.pi], [False, True], 3)
    one.mark(one.unmarked())
    assert one.covers(one.ranges(lower, upper)).tolist() == [False, True, True]


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_covered_means_that_every_cell_is_marked(n: int) -> None:
    """Against a count one by one, with up to two pieces."""
    rng = np.random.default_rng(n)
    level = 3 if n < 4 else 2
    grid = Grid.around(np.zeros(n), np.ones(n), np.zeros(n), level)
    grid.mark(np.argwhere(rng.random((2**level,) * n) < 0.97 - 0.25 * (n == 1)))
    count = 400
    ends = np.sort(rng.integers(0, 2**level, (4, count, n)), axis=0)
    some = rng.permutation(count)[:150]
    inside = rng.random(count) < 0.9
    asked = Ranges(inside, ends[0], ends[1], some, ends[2][some], ends[3][some])
    found = grid.covers(asked)
    assert 0.05 < found.mean() < 0.9

    def full(first: np.ndarray, last: np.ndarray) -> bool:
        return bool(grid.marked[tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))].all())

    for k in range(count):
        pieces = full(ends[0, k], ends[1, k]) and (k not in some or full(ends[2, k], ends[3, k]))
        assert found[k] == (inside[k] and pieces)
    hole = grid.unmarked()[:1]
    grid.mark(grid.unmarked())
    assert grid.covers(asked).tolist() == inside.tolist()
    grid.marked[tuple(hole.T)] = False
    grid._sums = None
    whole = Ranges(
        np.ones(1, bool), *(np.full((1, n), v) for v in (0, 2**level - 1)), np.zeros(0, int), *[hole[:0]] * 2
    )
    assert not grid.covers(whole)[0]


def some_ranges() -> Ranges:
    first = np.arange(8).reshape(4, 2)
    return Ranges(
        np.array([True, False, True, True]), first, first + 1, np.array([1, 3]), first[:2] + 20, first[:2] + 30
    )


def test_ranges_are_taken_and_joined_with_their_second_pieces() -> None:
    taken = some_ranges().take(np.array([False, True, True, True]))
    assert taken.inside.tolist() == [False, True, True] and taken.first.tolist() == [[2, 3], [4, 5], [6, 7]]
    assert taken.last.tolist() == [[3, 4], [5, 6], [7, 8]] and taken.again.tolist() == [0, 2]
    taken = some_ranges().take(np.array([True, False, True, True]))
    assert taken.again.tolist() == [2] and taken.first_again.tolist() == [[22, 23]]
    assert taken.last_again.tolist() == [[32, 33]]
    three = join([some_ranges(), taken, some_ranges()])
    assert three.again.tolist() == [1, 3, 6, 8, 10] and len(three.inside) == 11
    assert three.first_again.tolist() == [[20, 21], [22, 23], [22, 23], [20, 21], [22, 23]]
    assert three.last_again[:, 0].tolist() == [30, 32, 32, 30, 32]
    assert three.first[4:7].tolist() == taken.first.tolist() and three.last[4:7].tolist() == taken.last.tolist()
    assert three.inside.tolist() == [True, False, True, True, True, True, True, True, False, True, True]


def test_blocks_that_hold_the_unmarked_cells() -> None:
    """Of a level; marks of parts follow those of the whole."""
    grid = Grid.around([0.0, 0.0], [8.0, 4.0], [False, False], 2)
    grid.mark(np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 2]]))
    assert [side.tolist() for side in grid.boxes(np.array([[0, 0], [3, 2]]))] == [[[0, 0], [6, 2]], [[2, 1], [8, 3]]]
    lower, upper = grid.unmarked_boxes(1)
    assert (lower.tolist(), upper.tolist()) == ([[0, 2], [4, 0], [4, 2]], [[4, 4], [8, 2], [8, 4]])
    assert len(grid.unmarked_boxes(2)[0]) == 11 == len(grid.unmarked_boxes(9)[0]) == len(grid.unmarked())
    assert [side.tolist() for side in grid.unmarked_boxes(0)] == [[[0, 0]], [[8, 4]]]
    fine = grid.marked_at(3)
    assert fine.shape == (8, 8) and all(
        fine[i, j] == grid.marked[i // 2, j // 2] for i, j in product(range(8), repeat=2)
    )
    assert np.array_equal(grid.marked_at(2), grid.marked)
    assert np.array_equal(grid.marked_at(5), np.kron(grid.marked, np.ones((8, 8), dtype=bool)))
    box = np.array([[0.1, 0.1]]), np.array([[3.9, 1.9]])
    assert grid.covers(grid.ranges(*box))[0]
    grid.refine()
    assert grid.level == 3 and np.array_equal(grid.marked, fine) and grid.covers(grid.ranges(*box))[0]
    assert not grid.covers(grid.ranges(box[0], np.array([[4.1, 1.9]])))[0]


def test_what_is_no_grid_is_refused() -> None:
    flat, one, zero = np.array([False]), np.array([1.0]), np.array([0.0])
    for level in (-1, MAX_LEVEL + 1):
        with pytest.raises(LipctrlError, match=f"between 0 and {MAX_LEVEL}"):
            Grid(zero, one, flat, level)
    assert Grid(zero, one, flat, MAX_LEVEL).count == 2**MAX_LEVEL and Grid(zero, one, flat, 0).count == 1
    with pytest.raises(LipctrlError, match="refined"):
        Grid(zero, one, flat, MAX_LEVEL).refine()
    for low, width in ((0.1, 1.0), (0.0, 1.1), (np.nan, 1.0), (0.0, np.inf), (2.0**30, 1.0), (-(2.0**30), 1.0)):
        with pytest.raises(LipctrlError, match="power of two"):
            Grid(np.array([low]), np.array([width]), flat, 3)
    Grid(np.array([-(2.0**20)]), one, flat, 3)
    # the edges of a grid that is accepted are exact at the finest level
    grid = Grid(np.array([1023.0]), np.array([1.0 + 2.0**-12]), flat, 0)
    grid.level = MAX_LEVEL
    for k in (0, 1, 12345, grid.count - 1):
        lower, upper = grid.boxes(np.array([[k]]))
        assert fractions(lower)[0] == 1023 + k * Fraction(1 + 2.0**-12) / grid.count
        assert fractions(upper)[0] == 1023 + (k + 1) * Fraction(1 + 2.0**-12) / grid.count
    for width, wide in ((6.25, False), (6.28125, False), (6.283203125, True), (6.5, True)):
        if wide:
            Grid(np.array([-3.125]), np.array([width]), np.array([True]), 3)
        else:
            with pytest.raises(LipctrlError, match="wider than 2 pi"):
                Grid(np.array([-3.125]), np.array([width]), np.array([True]), 3)


def test_every_angle_overlaps_and_copies_are_alike() -> None:
    """Among states that are no angles, and among angles that do."""
    low, wide = np.array([-4.0, -4.0, -4.0]), np.array([8.0, 8.0, 8.0])
    for k in range(3):
        narrow, angles = wide.copy(), np.ones(3, dtype=bool)
        narrow[k] = 6.0
        with pytest.raises(LipctrlError, match="2 pi"):
            Grid(low, narrow, angles, 2)
        angles[k] = False
        grid = Grid(low + k, narrow, angles, 2)
        grid.mark(np.array([[0, 1, 2]]))
        other = grid.copy()
        for name in ("low", "width", "high", "angles", "marked"):
            assert np.array_equal(getattr(other, name), getattr(grid, name)), name
        other.mark(np.array([[1, 1, 1]]))
        assert grid.marked.sum() == 1 and other.level == grid.level


PI = Fraction(314159265358979323846264338327950288419716939937510582097494459230781640628620899, 10**80)


@pytest.mark.parametrize("sign", [1, -1])
def test_points_next_to_an_edge_after_many_turns(sign: int) -> None:
    """The doubles on either side of edge + 2 pi k lie in the cells on either side of the edge, whatever k."""
    grid = Grid.around([-3.2], [3.2], [True], 5)
    for edge in (grid.low[0] + 5 * grid.cell[0], grid.low[0] + 19 * grid.cell[0]):
        k = sign * np.arange(1, 3000)
        exact = [Fraction(edge) + 2 * PI * int(turns) for turns in k]
        near = np.array([float(x) for x in exact])
        above = np.array([x if Fraction(x) > e else np.nextafter(x, np.inf) for x, e in zip(near, exact, strict=True)])
        below = np.array([x if Fraction(x) < e else np.nextafter(x, -np.inf) for x, e in zip(near, exact, strict=True)])
        place = round((edge - grid.low[0]) / grid.cell[0])
        found = grid.ranges(below[:, None] - 0.3, above[:, None])
        assert found.inside.all() and (found.last[:, 0] >= place).all() and (found.last[:, 0] <= place + 1).all()
        found = grid.ranges(below[:, None], above[:, None] + 0.3)
        assert found.inside.all() and (found.first[:, 0] < place).all() and (found.first[:, 0] >= place - 2).all()


def test_second_pieces_reach_as_far_as_their_boxes() -> None:
    """Boxes that end at the double above edge + 2 pi."""
    for low in (-3.2, -3.1416, -0.01, 0.7):
        grid = Grid.around([low], [low + 6.2832], [True], 7)
        for place in range(1, 9):
            edge = Fraction(float(grid.low[0])) + place * Fraction(float(grid.cell[0]))
            exact = edge + 2 * PI
            top = float(exact)
            top = top if Fraction(top) > exact else float(np.nextafter(top, np.inf))
            found = grid.ranges(np.array([[top - 0.6]]), np.array([[top]]))
            assert found.inside[0] and found.again.tolist() == [0]
            assert found.first_again[0, 0] == 0 and place <= found.last_again[0, 0] <= place + 1


def test_corners_at_the_limit_of_what_16_levels_leave() -> None:
    """Units of 2^-12, of which 2^36 are too many."""
    flat, one = np.array([False]), np.array([1.0])
    for low in (2.0**24, -(2.0**24), 2.0**24 - 2.0**-12):
        if abs(low) < 2.0**24:
            assert Grid(np.array([low]), one, flat, 3).low[0] == low
        else:
            with pytest.raises(LipctrlError, match="power of two"):
                Grid(np.array([low]), one, flat, 3)


@pytest.mark.parametrize("width", [2.0**-910, 2.0**-1060, 0.0])
def test_a_box_whose_cells_are_no_exact_doubles_is_refused(width: float) -> None:
    """2^16 cells of a subnormal width would leave gaps, in which nothing was looked at."""
    with pytest.raises(LipctrlError, match="too little"):
        Grid(np.zeros(1), np.array([width]), np.array([False]), 16)
    for widths in ([width, 1.0], [1.0, width]):
        with pytest.raises(LipctrlError, match="too little"):
            Grid(np.zeros(2), np.array(widths), np.array([False, False]), 4)
