"""Grids, records and regions of cells in their checker, whose answer is a short calculation."""

from __future__ import annotations

import base64
import zlib
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from lipctrl.proofs import check_cells as cc
from lipctrl.proofs.check_cells import Rejected
from tests.proofs.cells_for_tests import (
    ellipsoid,
    grid,
    hexed,
    loop,
    packed,
    same_loop,
)


@pytest.fixture(autouse=True)
def gives_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, limit in (("MAX_COVER", 1000), ("MAX_PARTS", 200), ("MAX_PARAMETER_PARTS", 24)):
        monkeypatch.setattr(cc, name, limit)


# ---------------------------------------------------------------------------------------------------------------- grids


def test_grids_that_are_none_are_rejected() -> None:
    good = {"low": hexed([0.0]), "width": hexed([1.0]), "angles": [False]}
    for change in (
        {"width": hexed([0.0])},
        {"width": hexed([-1.0])},
        {"angles": [0]},
        {"angles": []},
        {"low": hexed([0.0] * 2)},
        {"angles": [True, False]},
        {"x": 1},
    ):
        with pytest.raises(Rejected):
            cc.Grid(good | change, 1)
    for width in ([1.0, 0.0], [-1.0, 1.0]):
        with pytest.raises(Rejected, match="a grid is empty"):
            grid([0.0, 0.0], width, [False, False], 0)
    one = cc.Grid(good, 1)
    one.refine(3)
    one.refine(3)
    for level in (2, 27, 40):
        with pytest.raises(Rejected):
            one.refine(level)
    one.refine(5)
    assert one.rank.shape == (32,) and np.all(one.rank == cc.UNMARKED)
    for low, width in (([0.1], [1.0]), ([2.0**40], [1.0]), ([0.0], [1.0 + 2.0**-40])):
        with pytest.raises(Rejected, match="exact"):
            grid(low, width, [False], 8)
    two = grid([0.0, 0.0], [1.0, 1.0], [False, False], 1)
    two.rank[0, 1] = 7
    two.refine(2)
    assert two.rank[:2, 2:].tolist() == [[7, 7], [7, 7]] and np.count_nonzero(two.rank == 7) == 4
    with pytest.raises(Rejected, match="too many cells"):
        two.refine(14)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_boxes_are_covered_by_cells_of_lower_rank(n: int) -> None:
    """Every closed cell whose inside a box meets must rank below; in fractions of a cell, with ends on edges too."""
    rng = np.random.default_rng(n)
    level = 3
    cells = grid(np.full(n, -1.0), np.full(n, 2.0), [False] * n, level)
    cells.rank = rng.choice([0, 3, 5, cc.UNMARKED], (8,) * n, p=[0.75, 0.15, 0.05, 0.05]).astype(np.int32)
    a = rng.integers(-2, 33, (500, n))
    b = a + rng.integers(0, 14, (500, n))
    lower, upper = -1 + a / 16.0, -1 + b / 16.0
    below = rng.choice([1, 3, 4, 6], 500)
    found = cells.covers(lower, upper, below)
    for k in range(500):
        inside = np.all(a[k] >= 0) and np.all(b[k] <= 32)
        true = bool(inside)
        if inside:
            first = np.minimum(a[k] // 4, 7)
            # a box that ends on an edge needs the cell below it only, one that is a point there the upper one
            last = np.minimum(np.maximum(-(-b[k] // 4) - 1, first), 7)
            block = cells.rank[tuple(slice(i, j + 1) for i, j in zip(first, last, strict=True))]
            true = bool(np.all(block < below[k]))
        assert found[k] == true, (a[k], b[k])
    assert 0.1 < found.mean() < 0.9
    hair = np.nextafter(1.0, 2)
    cells.rank[...] = 0
    inside = np.full((1, n), 0.5)
    for lo, hi in (
        (inside, np.full((1, n), hair)),
        (np.full((1, n), -hair), inside),
        (inside, np.full((1, n), np.nan)),
        (np.full((1, n), -np.inf), inside),
        (inside, np.full((1, n), np.inf)),
        (inside, inside - 0.25),
    ):
        assert not cells.covers(lo, hi, np.ones(1))[0]
        beside = np.concatenate([lo, inside]), np.concatenate([hi, inside])
        assert cells.covers(*beside, np.ones(2)).tolist() == [False, True]
    assert cells.covers(-np.ones((1, n)), np.ones((1, n)), np.ones(1))[0]
    assert not cells.covers(-np.ones((1, n)), np.ones((1, n)), np.zeros(1))[0]


@pytest.mark.parametrize("turns", [0, 1, -1, 2, 1000, -(10**5)])
@pytest.mark.parametrize("low", [-3.25, 0.0, -6.0])
def test_angles_are_covered_after_turns(turns: int, low: float) -> None:
    """Points next to the edge of a hole, less full turns in fractions: not covered if the true angle is in it."""
    turn = 2 * Fraction("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899")
    cells = grid([low], [6.5], [True], 5)
    start, cell = Fraction(low), Fraction(6.5) / 32
    hole = 9
    cells.rank[...] = 0
    cells.rank[hole] = 8
    left, right = start + hole * cell, start + (hole + 1) * cell
    for edge in (left, right):
        x = float(edge + turns * turn)
        for k in range(-4, 5):
            v = x + k * np.spacing(x)
            true = Fraction(v) - turns * turn
            covered = bool(cells.covers(np.array([[v]]), np.array([[v]]), np.ones(1))[0])
            assert not (covered and left < true < right)
            if abs(true - edge) > Fraction(1, 10**9) * max(abs(turns), 1):
                assert covered is not (left < true < right)
    far = float(left + turns * turn) - 0.5, float(right + turns * turn) + 0.5
    middle = float((left + right) / 2 + turns * turn)
    asked = [
        (far[0], far[0] + 0.3, True),
        (far[1] - 0.3, far[1], True),
        (far[0], middle, False),
        (middle, far[1], False),
        (far[1] - 0.2, far[1] + 5.0, True),
        (far[1] - 0.2, far[1] + 5.7, False),
        (far[1], far[1] + 7.5, False),
    ]
    for a, b, expected in asked:
        assert bool(cells.covers(np.array([[a]]), np.array([[b]]), np.ones(1))[0]) is expected, (a, b)


def test_angles_wrap_beside_another_state() -> None:
    cells = grid([-1.0, -3.25], [2.0, 6.5], [False, True], 4)
    cells.rank[...] = 0
    cells.rank[:, 1] = 5  # [-2.84, -2.44]
    for a, b, expected in (
        ([0.0, 3.0], [0.1, 3.3], True),
        ([0.0, 3.0], [0.1, 3.5], False),
        ([0.0, 3.9], [0.1, 9.0], True),
        ([0.95, 3.0], [1.05, 3.3], False),
        ([0.0, 3.0], [0.1, 4.5], False),
    ):
        assert bool(cells.covers(np.array([a]), np.array([b]), np.ones(1))[0]) is expected
    rows, lower, upper = cells._wrapped(
        np.array([4, 7]), np.array([[0, 3.0], [0, 0.0]]), np.array([[0.1, 3.3], [0.1, 0.1]]), 1
    )
    assert rows.tolist() == [4, 7, 4] and upper[0, 1] == 3.25 and lower[2, 0] == 0.0
    assert lower[2, 1] == pytest.approx(3.25 - 2 * np.pi) and upper[2, 1] == pytest.approx(3.3 - 2 * np.pi)
    assert upper[2, 1] > 3.3 - 2 * np.pi and lower[2, 1] < 3.25 - 2 * np.pi


@pytest.mark.parametrize("turns", [0, 1, -1, 2, -7, 17, -19, 25, 1000])
@pytest.mark.parametrize("low", [-4.0, -0.125, 0.0, 100.0, 5000.0])
def test_boxes_are_wrapped_outward(low: float, turns: int) -> None:
    """Every angle of a box is in one of its pieces after whole turns, in fractions; the pieces are hardly longer."""
    turn = 2 * Fraction("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899")
    cells, rng = grid([low], [6.5], [True], 4), np.random.default_rng(0)
    start = low + rng.integers(0, 64, 60) / 16 + turns * 2 * np.pi
    lower = start + np.spacing(start) * rng.integers(-2, 3, 60)
    upper = np.where(rng.random(60) < 0.5, lower + rng.integers(0, 64, 60) / 16, float(low + 6.5 + turns * 2 * np.pi))
    upper = np.maximum(upper + np.spacing(upper) * rng.integers(-2, 3, 60), lower)
    rows, first, last = cells._wrapped(np.arange(60), lower[:, None], upper[:, None], 0)
    for k in range(60):
        pieces = [
            (Fraction(a), Fraction(b)) for row, a, b in zip(rows, first[:, 0], last[:, 0], strict=True) if row == k
        ]
        for angle in (Fraction(lower[k]), Fraction(upper[k])):
            moved = [angle - j * turn for j in range(turns - 2, turns + 3)]
            assert any(a <= m <= b for m in moved for a, b in pieces)
        if len(pieces) == 2:  # the second begins where the first ends
            assert pieces[0][1] == Fraction(float(cells.high[0])) and pieces[1][0] <= pieces[0][1] - turn
        assert sum(b - a for a, b in pieces) <= Fraction(upper[k] - lower[k]) + Fraction(7, 32) + Fraction(1, 10**9)


def test_cells_in_common_need_one_box() -> None:
    whole = grid([0.0], [1.0], [False], 2)
    assert cc._in_common([whole, grid([0.0], [1.0], [False], 1)]).level == 2
    for other in (grid([0.0], [2.0], [False], 2), grid([0.5], [1.0], [False], 2)):
        with pytest.raises(Rejected, match="two grids"):
            cc._in_common([whole, other])


def test_parts_of_no_width_backwards_are_rejected() -> None:
    uncertain = loop(0.5, 0.5, parameters=[(1.0, 2.0)])
    with pytest.raises(Rejected, match="empty interval"):
        cc._parts(uncertain, [{"parameters": hexed([[2.0, 1.0]]), "grid": 0}])


def test_volumes_of_marked_cells_are_rounded_down() -> None:
    """Of cells within a box: 3 of 1/4 by 1/2 less what is cut off."""
    cells = grid([0.0, 0.0], [1.0, 2.0], [False, False], 2)
    for place in ((0, 0), (1, 1), (3, 3)):
        cells.rank[place] = 0
    for lower, upper, exact in (
        ([0, 0], [1, 2], 0.375),
        ([0.125, 0], [1, 2], 0.3125),
        ([0, 0], [0.875, 2], 0.3125),
        ([0, 0.75], [1, 1.75], 0.125),
        ([-5, -5], [5, 5], 0.375),
        ([0.5, 0], [0.75, 2], 0.0),
    ):
        found = cells.volume(np.array(lower, dtype=float), np.array(upper, dtype=float))
        assert exact * (1 - 2.0**-31) <= found <= exact * (1 - 2.0**-33)


def test_cells_are_unpacked_as_they_were_packed() -> None:
    text = packed([3, 70_000, 2**24 + 5], [0, 1])
    assert [part.tolist() for part in cc._unpacked(text, [3, 2])] == [[3, 70_000, 2**24 + 5], [0, 1]]
    assert cc._unpacked(base64.b64encode(zlib.compress(b"")).decode(), []) == []
    raw = zlib.decompress(base64.b64decode(text))
    encode = lambda data: base64.b64encode(data).decode()  # noqa: E731
    for bad, sizes in (
        (text, [3, 1]),
        (text, [3, 3]),
        (text, [3_000_000, 2_000_001]),
        (None, [3, 2]),
        ("x", [3, 2]),
        (text + "!", [3, 2]),
        (encode(zlib.compress(raw)[:-3]), [3, 2]),
        (encode(b"abc"), [3, 2]),
        (encode(zlib.compress(raw) + b"x"), [3, 2]),
    ):
        with pytest.raises(Rejected):
            cc._unpacked(bad, sizes)


def test_records_and_their_runs() -> None:
    record = cc.Record([1, 2, 3, 4], 5, 2)
    assert (record.grid, record.level, record.steps, record.size, record.rank) == (1, 2, 3, 4, 5)
    assert cc.Record([0, 32, 1000, 0], 0, 1).steps == 1000
    for bad in ([2, 2, 3, 4], [1, 33, 3, 4], [1, 2, 1001, 4], [1, 2, 3], [1, 2, 3, 4, 5], [1, 2, 3, -1], {}):
        with pytest.raises(Rejected):
            cc.Record(bad, 0, 2)
    lines = [cc.Record([*pair, 0, 0], 0, 9) for pair in ((0, 1), (0, 1), (0, 2), (1, 2), (1, 2), (0, 2))]
    assert list(cc._runs(lines)) == [(0, 2), (2, 3), (3, 5), (5, 6)] and list(cc._runs([])) == []
    assert list(cc._runs(lines[:1])) == [(0, 1)]


def region(line: cc.Loop, radius: float, level: int = 3) -> tuple[cc.Region, cc.Grid]:
    """Cells of [-1, 1]^2 and a ball about 0."""
    cells = grid([-1.0, -1.0], [2.0, 2.0], [False, False], level)
    return cc.Region(line, [ellipsoid(radius)], [cells]), cells


def add(set_: cc.Region, *records: tuple[int, list[int]], level: int = 3) -> None:
    rank = int(np.sum(np.unique(set_.grids[0].rank) != cc.UNMARKED))
    lines = [cc.Record([0, level, steps, len(flat)], rank + k, 1) for k, (steps, flat) in enumerate(records)]
    set_.add(lines, [np.array(flat) for _, flat in records])


def flat(*cells: tuple[int, int]) -> list[int]:
    return sorted(8 * i + j for i, j in cells)


def test_regions_grow_rank_by_rank() -> None:
    """x+ = .45 x, y+ = .45 y: the four middle cells lie in the ball, their neighbours arrive in them, and so on."""
    middle = flat(*product((3, 4), (3, 4)))
    ring = sorted(set(flat(*product((2, 3, 4, 5), (2, 3, 4, 5)))) - set(middle))
    for steps, inner, outer, fine in ((1, middle, ring, True), (0, middle, ring, False), (2, middle, ring, True)):
        set_, cells = region(loop(0.45, 0.45), 0.36)
        if fine:
            add(set_, (0, inner), (steps, outer))
            assert np.count_nonzero(cells.rank == 0) == 4 and np.count_nonzero(cells.rank == 1) == 12
            assert cells.rank[3, 3] == 0 and cells.rank[2, 5] == 1 and set_.images >= 12 * steps
        else:
            with pytest.raises(Rejected, match="lower rank"):
                add(set_, (0, inner), (steps, outer))
    set_, _ = region(loop(0.45, 0.45), 0.36)
    add(set_, (0, middle))
    add(set_, (1, ring))  # of a later call
    for records, reason in (
        ([(1, ring), (0, middle)], "lower rank"),
        ([(0, [*middle, 0])], "lower rank"),
        ([(0, middle), (0, middle[:1])], "twice"),
        ([(0, [27, 27])], "twice"),
        ([(0, [64])], "outside"),
        ([(1, [0])], "lower rank"),
    ):
        set_, _ = region(loop(0.45, 0.45), 0.2)
        if reason != "lower rank" or records[0][1] == [0]:
            set_, _ = region(loop(0.45, 0.45), 0.36)
        with pytest.raises(Rejected, match=reason):
            add(set_, *records)
    set_, _ = region(loop(0.45, 0.45, parameters=[(0.0, 1.1)]), 0.36)
    add(set_, (0, middle), (1, ring))
    set_, _ = region(loop(0.45, 0.45, parameters=[(0.0, 1.3)]), 0.36)
    with pytest.raises(Rejected):  # (.2925, .225) is neither in the ball nor in the middle
        add(set_, (0, middle), (1, ring))


def test_cells_of_the_same_rank_do_not_carry_each_other() -> None:
    """x+ = x: each cell is its own image."""
    set_, _ = region(loop(0.0, 1.0), 0.36)
    with pytest.raises(Rejected, match="lower rank"):
        add(set_, (1, flat((0, 0), (3, 0), (4, 0))))


def test_cells_are_cut_into_parts_where_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The middle cells reach sqrt(2) / 4 = .35355; a ball of .3536 holds them, of .34 not."""
    set_, _ = region(loop(0.5, 0.5), 0.3536)
    add(set_, (0, flat((3, 3), (4, 4))))
    set_, _ = region(loop(0.5, 0.5), 0.34)
    with pytest.raises(Rejected):
        add(set_, (0, flat((4, 4))))
    assert (
        cc._children(np.array([[1, 2]])).tolist() == [[2, 4], [2, 5], [3, 4], [3, 5]]
        or len({tuple(row) for row in cc._children(np.array([[1, 2]])).tolist()} & {(2, 4), (2, 5), (3, 4), (3, 5)})
        == 4
    )
    # two balls hold the halves of a cell, neither the whole
    two = cc.Region(
        loop(0.5, 0.5),
        [ellipsoid(0.2, (0.0625, 0.125)), ellipsoid(0.2, (0.1875, 0.125))],
        [grid([-1.0, -1.0], [2.0, 2.0], [False, False], 3)],
    )
    add(two, (0, flat((4, 4))))
    monkeypatch.setattr(cc, "MAX_PARTS", 3)
    two.grids[0].rank[...] = cc.UNMARKED
    with pytest.raises(Rejected, match="too many images"):
        add(two, (0, flat((4, 4))))


def test_cells_of_one_grid_lie_in_those_of_another_with_all_their_points() -> None:
    """Without a step: [0, 1/4]^2 in two cells of [-1/4, 1/4] by 1/2, or with an edge outside of them."""
    coarse, fine = grid([-1.0, -1.0], [2.0, 2.0], [False, False], 2), grid([-1.0, -1.0], [2.0, 2.0], [False, False], 3)
    for marked, held in (([(2, 2)], True), ([(1, 1)], False), ([(2, 1), (1, 2)], False)):
        coarse.rank[...], fine.rank[...] = cc.UNMARKED, cc.UNMARKED
        for place in marked:
            coarse.rank[place] = 0
        set_ = cc.Region(loop(1.0, 1.0), [], [coarse, fine])
        records, places = [cc.Record([1, 3, 0, 1], 1, 2)], [np.array(flat((4, 4)))]
        if held:
            set_.add(records, places)
        else:
            with pytest.raises(Rejected):
                set_.add(records, places)
    # a cell of another box, of which a side, and a corner, is outside
    for low, held in (([0.0, 0.0], True), ([0.125, 0.0], False), ([0.0, 0.125], False), ([-0.125, 0.0], False)):
        other = grid(low, [0.5, 0.5], [False, False], 0)
        coarse.rank[...] = cc.UNMARKED
        coarse.rank[2, 2] = 0
        set_ = cc.Region(loop(1.0, 1.0), [], [coarse, other])
        if held:
            set_.add([cc.Record([1, 0, 0, 1], 1, 2)], [np.array([0])])
        else:
            with pytest.raises(Rejected):
                set_.add([cc.Record([1, 0, 0, 1], 1, 2)], [np.array([0])])


def test_boxes_that_pass_an_edge_by_one_bit_need_the_cell_behind_it() -> None:
    """upper - low rounds to the edge there; and lower - low as well."""
    cells = grid([-1.0], [2.0], [False], 3)
    for k in range(1, 8):
        edge = -1 + k / 4
        for hole, lower, upper in (
            (k, edge - 0.1, float(np.nextafter(edge, 9))),
            (k - 1, float(np.nextafter(edge, -9)), edge + 0.1),
        ):
            cells.rank[...] = 0
            assert cells.covers(np.array([[lower]]), np.array([[upper]]), np.ones(1))[0]
            cells.rank[hole] = 5
            assert not cells.covers(np.array([[lower]]), np.array([[upper]]), np.ones(1))[0]
            inner = np.array([[edge]]), np.array([[edge + 0.1]])
            assert cells.covers(*(inner if hole == k - 1 else (inner[0] - 0.1, inner[0])), np.ones(1))[0]


def test_boxes_at_different_turns_at_once() -> None:
    """Each is wrapped by its own turns: one call for all is one call for each."""
    rng = np.random.default_rng(0)
    cells = grid([-3.25, -1.0], [6.5, 2.0], [True, False], 4)
    cells.rank = rng.choice([0, 5], (16, 16), p=[0.8, 0.2]).astype(np.int32)
    turns = rng.integers(-3, 4, 80)
    lower = np.stack([rng.uniform(-3.2, 3.2, 80) + turns * 2 * np.pi, rng.uniform(-1.1, 0.9, 80)], axis=1)
    upper = lower + np.stack([rng.uniform(0, 1.0, 80), rng.uniform(0, 0.3, 80)], axis=1)
    together = cells.covers(lower, upper, np.ones(80))
    alone = [cells.covers(lower[k : k + 1], upper[k : k + 1], np.ones(1))[0] for k in range(80)]
    assert together.tolist() == alone and 0.1 < together.mean() < 0.9
    for k in range(80):  # brute force: what is not covered holds a point beside the marked cells, up to its edge
        points = np.stack(np.meshgrid(*(np.linspace(lower[k, i], upper[k, i], 41) for i in range(2))), -1).reshape(
            -1, 2
        )
        inside = np.all((points[:, 1:] >= -1.0) & (points[:, 1:] <= 1.0))
        angle = np.mod(points[:, 0] + 3.25, 2 * np.pi) - 3.25
        place = (
            np.clip(((angle + 3.25) / (6.5 / 16)).astype(int), 0, 15),
            np.clip(((points[:, 1] + 1) * 8).astype(int), 0, 15),
        )
        if together[k]:
            assert inside and np.all(cells.rank[place] == 0)


def test_a_box_of_too_many_cells_is_not_covered() -> None:
    cells = grid([0.0, 0.0], [1.0, 1.0], [False, False], 11)
    cells.rank[...] = 0
    for upper, covered in ((1.0, False), (0.5, True)):
        assert bool(cells.covers(np.zeros((1, 2)), np.full((1, 2), upper), np.ones(1))[0]) is covered
    turning = grid([-3.25, 0.0], [6.5, 1.0], [True, False], 11)
    turning.rank[...] = 0
    assert not turning.covers(np.array([[3.0, 0.0]]), np.array([[9.0, 1.5]]), np.ones(1))[0]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("size", "level"), [(2.0**44, 0), (2.0**40, 4)])
@pytest.mark.parametrize("exact", [True, False])
def test_edges_are_numbers_of_52_bits(size: float, level: int, sign: int, exact: bool) -> None:
    """In units of 2^-8 of a cell of width 2^-level: seven halvings and one for the centre."""
    low = sign * (size - (2 if exact else 1))
    if exact:
        assert grid([low], [1.0], [False], level).level == level
    else:
        with pytest.raises(Rejected, match="exact"):
            grid([low], [1.0], [False], level)


def test_cells_of_three_states_are_cut_into_eight() -> None:
    """Eight balls about the parts of a cell; without one of them it is not proved."""
    corners = [np.array(place) / 4 - 0.125 for place in product((0, 1), repeat=3)]
    balls = [ellipsoid(0.25, center + 0.25) for center in corners]
    for left_out in (None, 0, 3, 7):
        sets = [ball for k, ball in enumerate(balls) if k != left_out]
        cells = grid([-1.0] * 3, [2.0] * 3, [False] * 3, 2)
        set_ = cc.Region(same_loop(3, 1.0), sets, [cells])
        place = [2 * 16 + 2 * 4 + 2]  # [0, 1/2]^3
        if left_out is None:
            set_.add([cc.Record([0, 2, 1, 1], 0, 1)], [np.array(place)])
            assert cells.rank[2, 2, 2] == 0 and np.count_nonzero(cells.rank == 0) == 1
            assert set_.images == 9  # one cell, eight parts
        else:
            with pytest.raises(Rejected):
                set_.add([cc.Record([0, 2, 1, 1], 0, 1)], [np.array(place)])
    children = cc._children(np.array([[1, 2, 3], [0, 5, 9]]))
    assert sorted(map(tuple, children.tolist())) == sorted(
        tuple(2 * v + d for v, d in zip(place, delta, strict=True))
        for place in ((1, 2, 3), (0, 5, 9))
        for delta in product((0, 1), repeat=3)
    )
    assert {tuple(row // 2) for row in children[:8]} == {(1, 2, 3)}


def test_ranks_of_parts_are_those_of_their_cells() -> None:
    """Two records of 3-state cells, the second of which arrives in the first by parts."""
    cells = grid([-1.0] * 3, [2.0] * 3, [False] * 3, 2)
    set_ = cc.Region(same_loop(3, 0.45), [ellipsoid(0.9, np.zeros(3))], [cells])
    inner = sorted(16 * i + 4 * j + k for i, j, k in product((1, 2), repeat=3))
    outer = [p for p in range(64) if p not in inner]
    set_.add([cc.Record([0, 2, 0, 8], 0, 1), cc.Record([0, 2, 1, 56], 1, 1)], [np.array(inner), np.array(outer)])
    assert [np.count_nonzero(cells.rank == k) for k in (0, 1)] == [8, 56]
    assert cells.rank[1, 2, 1] == 0 and cells.rank[0, 2, 1] == 1


def test_a_cell_of_which_a_part_never_arrives_is_not_proved() -> None:
    """[0, 1/4] is its own image, and the ball ends just before 1/4: halved for ever at that end."""
    for radius, proved in ((0.2501, True), (0.25 - 1e-9, False)):
        cells = grid([-1.0], [2.0], [False], 3)
        set_ = cc.Region(same_loop(1, 1.0), [ellipsoid(radius, np.zeros(1))], [cells])
        for steps in (0, 1):
            cells.rank[...] = cc.UNMARKED
            records = [cc.Record([0, 3, steps, 1], 0, 1)]
            if proved:
                set_.add(records, [np.array([4])])
            else:
                with pytest.raises(Rejected, match="not covered by cells of lower rank"):
                    set_.add(records, [np.array([4])])


@pytest.mark.parametrize(
    ("edge", "proved"), [(0.25 * (1 - 1 / 128) + 1e-9, True), (0.25 * (1 - 1 / 128) - 1e-9, False)]
)
def test_cells_are_halved_seven_times(edge: float, proved: bool) -> None:
    """A ball up to there, and one about the last of 128 parts."""
    last = 0.25 * (1 - 1 / 256)
    balls = [ellipsoid(edge, np.zeros(1)), ellipsoid(0.25 / 256 * (1 + 1e-6), np.array([last]))]
    set_ = cc.Region(same_loop(1, 1.0), balls, [grid([-1.0], [2.0], [False], 3)])
    records = [cc.Record([0, 3, 1, 1], 0, 1)]
    if proved:
        set_.add(records, [np.array([4])])
    else:
        with pytest.raises(Rejected):
            set_.add(records, [np.array([4])])


@pytest.mark.parametrize("sign", [1, -1])
def test_a_box_is_turned_back_with_both_its_ends(sign: int) -> None:
    """By 1 to 100 turns, in fractions: within, and by no more than a few units of what it was."""
    turn = 2 * Fraction("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899")
    cells = grid([-4.0], [8.0], [True], 4)
    for turns in range(1, 101):
        lower = -1.0 + sign * turns * 2 * np.pi + np.arange(8) * np.spacing(turns * 2 * np.pi)
        upper = lower + 0.25
        rows, first, last = cells._wrapped(np.arange(8), lower[:, None], upper[:, None], 0)
        assert rows.tolist() == [*range(8)]
        for a, b, low, high in zip(first[:, 0], last[:, 0], lower, upper, strict=True):
            true = Fraction(low) - sign * turns * turn, Fraction(high) - sign * turns * turn
            assert Fraction(a) <= true[0] and true[1] <= Fraction(b)
            assert (true[0] - Fraction(a)) + (Fraction(b) - true[1]) <= Fraction(8 * np.spacing(abs(low)))


def test_no_more_is_unpacked_than_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte more than stated, to see that it is too much; of nothing one byte: 0 would be no limit."""
    asked: list[int] = []

    class Stream:
        eof, unused_data = True, b""

        def decompress(self, data: bytes, limit: int) -> bytes:
            asked.append(limit)
            return b""

    monkeypatch.setattr(cc.zlib, "decompressobj", Stream)
    assert cc._unpacked("", []) == []
    with pytest.raises(Rejected, match="wrong size"):
        cc._unpacked("", [3, 2])
    assert asked[0] > 0 and asked[1] > 20 and max(asked) < 30


def test_each_angle_is_true_or_false() -> None:
    for angles in ([True, 1], [0, False], [None, True], ["x", False]):
        with pytest.raises(Rejected, match="strange angles"):
            grid([0.0, 0.0], [1.0, 1.0], angles, 1)
