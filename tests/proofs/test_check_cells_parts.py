"""The parts of the checker of cells above its arithmetic: loops, sets and grids whose answer is a short calculation."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable
from fractions import Fraction
from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lipctrl.proofs import check_cells as cc
from lipctrl.proofs.check_cells import Form, Number, Rejected

CLOSE = 1 + 1e-9
ZERO_POLICY = {"layers": [{"type": "affine", "W": [["0x0.0p+0", "0x0.0p+0"]], "b": ["0x0.0p+0"]}]}


@pytest.fixture(autouse=True)
def gives_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, limit in (("MAX_COVER", 1000), ("MAX_PARTS", 200), ("MAX_PARAMETER_PARTS", 24)):
        monkeypatch.setattr(cc, name, limit)


def hexed(x: Any) -> Any:
    return [hexed(v) for v in x] if np.ndim(x) else float(x).hex()


def program(inputs: int, constants: list[float], code: list[list[Any]], outputs: list[int]) -> dict[str, Any]:
    return {"inputs": inputs, "constants": hexed(constants), "code": code, "outputs": outputs}


def affine(W: Any, b: Any = None) -> dict[str, Any]:
    return {"type": "affine", "W": hexed(W), "b": hexed(np.zeros(len(W)) if b is None else b)}


def model(a: float, b: float, parameters: list[tuple[float, float]] | None = None) -> dict[str, Any]:
    """x+ = a x + u (times the parameter), y+ = b y; both observed."""
    q = len(parameters or [])
    code: list[list[Any]] = [["mul", 0, 3 + q], ["mul", 1, 4 + q], ["add", 5 + q, 2]]
    outputs = [7 + q, 6 + q]
    if q:
        code.append(["mul", 7 + q, 3])
        outputs = [8 + q, 6 + q]
    found = {
        "name": "line",
        "dt": (1.0).hex(),
        "step": program(3 + q, [a, b], code, outputs),
        "observe": program(2 + q, [], [], [0, 1]),
    }
    if q:
        ends = [{"name": f"p{i}", "lower": low.hex(), "upper": high.hex()} for i, (low, high) in enumerate(parameters)]
        found["parameters"] = ends
    return found


def loop(a: float, b: float, error: float = 0.0, float32: bool = False, **options: Any) -> cc.Loop:
    return cc.Loop(ZERO_POLICY, model(a, b, **options), 2, error, float32)


def cubic() -> cc.Loop:
    """x+ = x^3, y+ = y / 4."""
    step = program(3, [0.25], [["square", 0], ["mul", 4, 0], ["mul", 1, 3], ["add", 5, 2]], [7, 6])
    return cc.Loop(
        ZERO_POLICY, {"name": "cube", "dt": (1.0).hex(), "step": step, "observe": program(2, [], [], [0, 1])}, 2
    )


def ellipsoid(radius: float, center: Any = (0.0, 0.0), T: Any = None) -> cc.Ellipsoid:
    T = np.eye(len(center)) if T is None else T
    return cc.Ellipsoid({"center": hexed(center), "T": hexed(T), "radius": radius.hex()}, len(center), set())


def boxed(lower: Any, upper: Any) -> list[Form]:
    return cc._box_between(np.array([lower], dtype=float), np.array([upper], dtype=float))


def ends(x: Form) -> tuple[float, float]:
    lo, hi = x.range()
    return float(lo[0]), float(hi[0])


def near(found: tuple[float, float], low: float, high: float, slack: float = 1e-9) -> bool:
    return low - slack <= found[0] <= low and high <= found[1] <= high + slack


def values(numbers: Any) -> list[Form]:
    return [number.value for number in numbers]


# --------------------------------------------------------------------------------------------------------------- fields


def test_numbers_are_hexadecimal_doubles_only() -> None:
    assert (
        cc._number("-0x1.8p+1") == -3.0
        and cc._number("0x0.0p+0") == 0.0
        and cc._number("0x1.fffffffffffffp+1023") > 1e308
    )
    for bad in (
        "1.0",
        1.0,
        1,
        None,
        "0x1p+0",
        "0x1.0p0",
        "0x1.0P+0",
        " 0x1.0p+0",
        "0x1.0p+0 ",
        "nan",
        "inf",
        "-inf",
        "0x2.0p+0",
        "0x1.00000000000000p+0",
        "0x1.0p+99999",
        "0x1.0p+1024",
        "+0x1.0p+0",
        "0x1.p+0",
        True,
        [],
    ):
        with pytest.raises(Rejected):
            cc._number(bad)
    assert cc._number("-inf", "low") == -np.inf and cc._number("inf", "high") == np.inf
    for text, side in (("inf", "low"), ("-inf", "high")):
        with pytest.raises(Rejected):
            cc._number(text, side)
    assert cc._number("0x1.0p+0", "low") == 1.0


def test_counts_lists_vectors_and_matrices() -> None:
    assert [cc._count(v) for v in (0, 1, 2**31 - 1)] == [0, 1, 2**31 - 1]
    for bad in (-1, 2**31, True, 1.0, "1", None):
        with pytest.raises(Rejected):
            cc._count(bad)
    one = (1.0).hex()
    assert cc._vector([one] * 2, 2).tolist() == [1, 1] and cc._vector([], None).tolist() == []
    assert cc._matrix([[one, one]], 1, 2).shape == (1, 2) and cc._matrix([[one], [one]], None, None).shape == (2, 1)
    bad_calls: list[Callable[[], Any]] = [
        lambda: cc._vector([one], 2),
        lambda: cc._vector((one,), 1),
        lambda: cc._vector("x", 1),
        lambda: cc._matrix([], None, None),
        lambda: cc._matrix([[one]], 2, 1),
        lambda: cc._matrix([[one]], 1, 2),
        lambda: cc._matrix([[one], [one, one]], 2, None),
        lambda: cc._matrix([[]], 1, None),
        lambda: cc._fields([], {"a"}, "x"),
        lambda: cc._fields({"a": 1}, {"a", "b"}, "x"),
        lambda: cc._fields({"a": 1, "b": 2}, {"a"}, "x"),
        lambda: cc._list({}, "x"),
    ]
    for call in bad_calls:
        with pytest.raises(Rejected):
            call()


def test_programs_that_are_none_are_rejected() -> None:
    good = program(2, [2.0], [["mul", 0, 2], ["add", 3, 1], ["at_least", 4, 2]], [5])
    assert ends(values(cc.Program(good, 2, 1, "p")([Number(f) for f in boxed([1, 1], [1, 1])]))[0]) == pytest.approx(
        (3, 3)
    )
    for change in (
        {"inputs": 3},
        {"inputs": 1},
        {"code": [["mul", 0, 3]]},
        {"code": [["mul", 0]]},
        {"code": [["mul", 0, 1, 2]]},
        {"code": [["neg", 0, 1]]},
        {"code": [["neg"]]},
        {"code": [["tan", 0]]},
        {"code": ["neg"]},
        {"code": [[]]},
        {"code": [[0, "neg"]]},
        {"code": [["neg", -1]]},
        {"code": [["at_least", 0, 1]]},
        {"code": [["at_most", 0, 0]]},
        {"code": [["neg", 0], ["at_most", 0, 3]]},
        {"outputs": []},
        {"outputs": [9]},
        {"outputs": [5, 5]},
        {"code": {}},
        {"code": [["neg", 0]] * 4097},
        {"extra": 1},
        {"outputs": [6]},
        {"code": [["neg", 3]], "outputs": [3]},
        {"code": [["mul", 0, 3]], "outputs": [3]},
        {"code": [["at_least", 0]]},
        {"constants": ["1"]},
    ):
        with pytest.raises(Rejected):
            cc.Program(good | change, 2, 1, "p")
    assert len(cc.Program(good | {"outputs": [0, 1, 5]}, 2, None, "p").outputs) == 3
    assert len(cc.Program(good | {"code": [["neg", 0]] * 4096}, 2, 1, "p").code) == 4096
    limits = program(1, [-1.0, 2.0], [["at_least", 0, 1], ["at_most", 3, 2]], [4])
    clipped = cc.Program(limits, 1, 1, "p")([Number(form) for form in boxed([-5], [7])])
    assert near(ends(clipped[0].value), -1.0, 2.0, 3.1)


def test_turns_of_programs() -> None:
    """Sums and differences of whole turns; sines forget them; what is scaled or squared is not known."""
    code = [
        ["add", 0, 1],
        ["sub", 0, 1],
        ["neg", 0],
        ["sin", 3],
        ["cos", 5],
        ["mul", 0, 2],
        ["square", 0],
        ["add", 3, 0],
        ["sub", 1, 0],
        ["sin", 8],
        ["mul", 1, 2],
        ["add", 8, 0],
        ["neg", 8],
        ["sub", 0, 0],
        ["sub", 3, 5],
        ["at_least", 1, 2],
        ["at_least", 0, 2],
        ["exp", 0],
        ["cos", 1],
        ["add", 0, 8],
        ["sub", 0, 8],
    ]
    found = cc.Program(program(2, [3.0], code, list(range(24))), 2, 24, "p").turns(0)
    known = [1, 0, 0, 1, 1, -1, 0, 0, None, None, 2, -1, None, 0, None, None, 0, 2, 0]
    assert found == [*known, None, None, 0, None, None]


# ----------------------------------------------------------------------------------------------------------------- loop


def test_steps_of_a_linear_loop() -> None:
    """x+ = x / 2 + d, y+ = y / 4, |d| <= 1/8; after two steps d twice."""
    start = boxed([1, -1], [2, 1])
    for error, spreads in ((0.0, (0.0, 0.0)), (0.125, (0.125, 0.1875))):
        line = loop(0.5, 0.25, error)
        assert line.disturbed is (error > 0) and line.kept == 2
        once = values(line.step([Number(f) for f in start]))
        assert near(ends(once[0]), 0.5 - spreads[0], 1 + spreads[0]) and near(ends(once[1]), -0.25, 0.25)
        twice = cc._advanced(line, start, 2)
        assert near(ends(twice[0]), 0.25 - spreads[1], 0.5 + spreads[1]) and near(ends(twice[1]), -1 / 16, 1 / 16)
        assert len(once[0].G) == 3 and len(twice[0].G) >= 5
    assert cc._advanced(line, start, 0)[0] is start[0]
    assert ends(line.part(line.box, disturbed=False).step([Number(f) for f in start])[0].value) == pytest.approx(
        (0.5, 1.0)
    )
    assert line.part(line.box).disturbed and not line.part(line.box, False).disturbed


def test_parameters_have_symbols_of_their_own() -> None:
    """p (x / 2 + u): p in [1, 3] constant: p^2 / 4 after two steps, one symbol for both."""
    line = loop(0.5, 0.25, parameters=[(1.0, 3.0)])
    assert (line.names, line.box.tolist(), line.kept) == (["p0"], [[1.0, 3.0]], 3)
    start = boxed([2, 0], [2, 0])
    assert near(ends(values(line.step([Number(f) for f in start]))[0]), 1.0, 3.0)
    low, high = ends(cc._advanced(line, start, 2)[0])
    assert low <= 0.5 and 4.5 <= high <= 5.6
    (given,) = line._given(1)
    assert (
        given.G[:, 0].tolist()[:2] == [0.0, 0.0]
        and 1.0 <= given.G[2, 0] <= CLOSE
        and (given.lo, given.hi) == (1.0, 3.0)
    )
    odd = line.part(np.array([[0.1, 0.7]]))._given(1)[0]
    c, g = Fraction(float(odd.c[0])), Fraction(float(odd.G[2, 0]))
    assert c - g <= Fraction(0.1) and Fraction(0.7) <= c + g <= Fraction(0.7) + Fraction(1, 10**15)


def test_derivatives_and_pushes_of_a_step() -> None:
    """d(x+, y+)/d(x, y) of x^3 + u, y / 4 with u = W (x, y) + tanh: and by the action, times its error."""
    policy = {"layers": [affine([[0.5, -1.0]]), {"type": "tanh", "n": 1}, affine([[2.0]])]}
    step = program(3, [0.25], [["square", 0], ["mul", 4, 0], ["mul", 1, 3], ["add", 5, 2]], [7, 6])
    cube = cc.Loop(
        policy, {"name": "c", "dt": (1.0).hex(), "step": step, "observe": program(2, [], [], [0, 1])}, 2, 0.125
    )
    one, zero = Form.constant(1.0, 1), Form.constant(0.0, 1)
    x = [Number(f, by) for f, by in zip(boxed([1, 0], [1, 0]), [[one, zero], [zero, one]], strict=True)]
    after = cube.step(x, pushed=True)
    slope = 2 * (1 - np.tanh(0.5) ** 2)
    for i, row in enumerate([[3 + 0.5 * slope, -slope, 0.125], [0.0, 0.25, 0.0]]):
        found = [np.array(ends(part)) for part in after[i].by]
        middle, radius = [(e[1] + e[0]) / 2 for e in found], [(e[1] - e[0]) / 2 for e in found]
        assert middle[:2] == pytest.approx(row[:2], abs=1e-9) and radius[:2] == pytest.approx([0, 0], abs=1e-9)
        assert middle[2] == pytest.approx(0.0, abs=1e-12) and row[2] <= radius[2] <= row[2] + 1e-9
    value = ends(after[0].value)
    assert near(value, 1 + 2 * np.tanh(0.5) - 0.125, 1 + 2 * np.tanh(0.5) + 0.125, 1e-9)
    assert len(cube.step(x)[0].by) == 2


def test_loops_that_are_none_are_rejected() -> None:
    good = model(0.5, 0.25, [(1.0, 2.0)])
    assert cc.Loop(ZERO_POLICY, good, 2).names == ["p0"]
    one = {"name": "p", "lower": (1.0).hex(), "upper": (2.0).hex()}
    for change in (
        {"dt": (0.0).hex()},
        {"dt": (-1.0).hex()},
        {"extra": 1},
        {"parameters": [one] * 2},
        {"parameters": []},
        {"parameters": [one | {"name": "1p"}]},
        {"parameters": [one | {"name": 1}]},
        {"parameters": [one | {"x": 1}]},
        {"parameters": [one | {"lower": (3.0).hex()}]},
        {"parameters": {}},
        {"observe": good["step"]},
    ):
        with pytest.raises(Rejected):
            cc.Loop(ZERO_POLICY, good | change, 2)
    assert cc._parameters([one | {"upper": (1.0).hex()}])[1].tolist() == [[1.0, 1.0]]
    assert len(cc._parameters([one] * 8)[0]) == 8
    with pytest.raises(Rejected, match="too many"):
        cc._parameters([one] * 9)
    with pytest.raises(Rejected):
        cc.Loop(ZERO_POLICY, model(0.5, 0.25), 3)
    for layers in ([], [affine([[1.0, 1.0]]), affine([[1.0, 1.0]])]):
        with pytest.raises(Rejected):
            cc.Network({"layers": layers}, False)


def test_periods_of_a_loop() -> None:
    """theta+ = theta + y, y+ = y + sin theta, sin theta observed: a turn of theta is one of theta+, and unseen."""
    step = program(3, [], [["add", 0, 1], ["sin", 0], ["add", 1, 4]], [3, 5])
    for outputs, periodic in (([2, 1], True), ([0, 1], False)):
        observe = program(2, [], [["sin", 0]], outputs)
        turning = cc.Loop(ZERO_POLICY, {"name": "t", "dt": (1.0).hex(), "step": step, "observe": observe}, 2)
        assert turning.is_periodic(0) is periodic and not turning.is_periodic(1)


def test_partitions_of_parameters() -> None:
    """Halves across the relatively widest side; what holds for no coarse part may hold on all finer ones."""
    whole = np.array([[0.0, 1.0], [0.0, 10.0]])
    first = cc._halves(np.array([[0.0, 1.0], [0.0, 5.0]]), whole)
    assert [part.tolist() for part in first] == [[[0, 0.5], [0, 5]], [[0.5, 1], [0, 5]]]
    second = cc._halves(np.array([[0.25, 0.5], [0.0, 5.0]]), whole)
    assert [part.tolist() for part in second] == [[[0.25, 0.5], [0, 2.5]], [[0.25, 0.5], [2.5, 5]]]
    flat = cc._halves(np.array([[1.0, 1.0], [2.0, 3.0]]), np.array([[1.0, 1.0], [2.0, 3.0]]))
    assert flat[0].tolist() == [[1, 1], [2, 2.5]]
    line, asked = loop(0.5, 0.25, parameters=[(0.0, 1.0)]), []

    def narrow(part: cc.Loop, left: np.ndarray) -> np.ndarray:
        width = float(part.box[0, 1] - part.box[0, 0])
        asked.append((width, left.tolist()))
        return np.array([width <= limit for limit in np.array([1.0, 0.3, 0.0])[left]])

    assert cc._for_all(line, 3, narrow).tolist() == [True, True, False]
    widths = [width for width, _ in asked]
    assert asked[0] == (1.0, [0, 1, 2]) and asked[1] == (0.25, [1, 2]) and min(widths) == 4.0**-3
    assert [left for width, left in asked if width == 0.25] == [[1, 2], [1], [1], [1]]
    covered = [part for part in asked if part[0] == 0.25]
    assert len(covered) == 4
    wrong_end = cc._for_all(line, 1, lambda part, left: np.full(len(left), part.box[0, 1] < 0.999))
    assert not wrong_end[0]
    assert not cc._for_all(line, 1, lambda part, left: np.full(len(left), part.box[0, 0] > 0.001))[0]
    plain, calls = loop(0.5, 0.25), []
    assert cc._for_all(plain, 2, lambda part, left: calls.append(1) or np.array([True, False])).tolist() == [
        True,
        False,
    ]
    assert len(calls) == 1


def test_boxes_and_collapsed_forms() -> None:
    x, y = boxed([0.1, -3.0], [0.7, -3.0])
    for form, low, high in ((x, 0.1, 0.7), (y, -3.0, -3.0)):
        c, g = Fraction(float(form.c[0])), Fraction(float(np.abs(form.G).sum()))
        assert c - g <= Fraction(low) and Fraction(high) <= c + g <= Fraction(high) + Fraction(1, 10**15)
    assert np.nonzero(x.G[:, 0])[0].tolist() == [0] and np.nonzero(y.G[:, 0])[0].tolist() == [1]
    forms = [
        Form(np.ones(1), np.array([[1.0], [2.0], [-4.0], [8.0]]), np.full(1, 0.5), -3.0, 9.0),
        Form.constant(2.0, 1),
    ]
    first, second = cc._collapsed(forms, 2)
    assert first.G[:2, 0].tolist() == [1.0, 2.0] and 12.5 <= first.G[2, 0] <= 12.5 * CLOSE and first.G[3, 0] == 0
    assert first.r.tolist() == [0.0] and (first.lo, first.hi, float(first.c[0])) == (-3.0, 9.0, 1.0)
    assert second.G[:3, 0].tolist() == [0, 0, 0] and 0 < second.G[3, 0] <= 2.0**-899


# ---------------------------------------------------------------------------------------------------------- equilibrium


def test_exactly_one_equilibrium() -> None:
    """x+ = x^3 rests at 0, 1 and -1; x+ = 2 x + d at 0 whatever the error; the box must hold it inside."""
    cube = cubic()
    for lower, upper, found in (
        ([-0.1, -0.1], [0.1, 0.1], True),
        ([0.99, -0.01], [1.01, 0.01], True),
        ([-1.01, -0.01], [-0.99, 0.01], True),
        ([0.3, -0.1], [0.5, 0.1], False),
        ([-1.1, -0.1], [1.1, 0.1], False),
        ([0.0, -0.1], [0.1, 0.1], False),
        ([-0.1, 0.0], [0.1, 0.1], False),
        ([-0.1, -0.1], [0.1, 0.0], False),
        ([-0.1, -0.1], [0.0, 0.1], False),
        ([-0.1, 0.05], [0.1, 0.1], False),
        ([1.001, -0.01], [1.01, 0.01], False),
        ([-1e-9, -1e-9], [3e-9, 3e-9], True),
    ):
        assert cc._has_one_zero(cube, np.array(lower), np.array(upper)) is found, (lower, upper)
    grows = loop(2.0, 3.0, 0.25)
    cc.prove_equilibrium(grows, np.full(2, -0.1), np.full(2, 0.1))
    with pytest.raises(Rejected, match="exactly one"):
        cc.prove_equilibrium(cube, np.array([-2.0, -0.1]), np.array([2.0, 0.1]))
    still = loop(1.0, 0.5)  # every x rests
    assert not cc._has_one_zero(still, np.full(2, -0.1), np.full(2, 0.1))
    shifted = cc.Loop({"layers": [affine([[0.0, 0.0]], [1.0])]}, model(0.5, 0.25), 2)  # rests at 2
    assert cc._has_one_zero(shifted, np.array([1.5, -1.0]), np.array([2.5, 1.0]))
    for lower, upper in (([1.5, -1.0], [1.9, 1.0]), ([2.1, -1.0], [2.5, 1.0])):
        assert not cc._has_one_zero(shifted, np.array(lower), np.array(upper))
    coupled = cc.Loop({"layers": [affine([[0.25, 2.0]], [1.0])]}, model(0.25, 0.25), 2)  # x = x / 2 + 2 y + 1, y = 0: 2
    assert cc._has_one_zero(coupled, np.array([1.0, -0.1]), np.array([3.0, 0.1]))
    assert not cc._has_one_zero(coupled, np.array([2.2, -0.1]), np.array([3.0, 0.1]))


def test_an_equilibrium_for_every_parameter() -> None:
    """p (x / 2 + 1) rests at 2 p / (2 - p): for p in [.5, 1] at 2/3 to 2."""
    policy = {"layers": [affine([[0.0, 0.0]], [1.0])]}
    line = cc.Loop(policy, model(0.5, 0.25, [(0.5, 1.0)]), 2)
    cc.prove_equilibrium(line, np.array([0.6, -0.1]), np.array([2.1, 0.1]))
    for lower, upper in ((0.7, 2.1), (0.6, 1.9)):
        with pytest.raises(Rejected, match="each value"):
            cc.prove_equilibrium(line, np.array([lower, -0.1]), np.array([upper, 0.1]))


# ------------------------------------------------------------------------------------------------------------ ellipsoid


def test_ellipsoids_that_are_none_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    good = {"center": hexed([0.0, 0.0]), "T": hexed(np.eye(2)), "radius": (1.0).hex()}
    assert cc.Ellipsoid(good, 2, set()).radius == 1.0 and cc.Ellipsoid(good | {"steps": 1}, 2, {"steps"}).gap < 1e-250
    for change in (
        {"radius": (0.0).hex()},
        {"radius": (-1.0).hex()},
        {"radius": (2.0**-401).hex()},
        {"radius": (2.0**401).hex()},
        {"T": hexed([[1, 1], [1, 1]])},
        {"steps": 1},
        {"center": hexed([0.0])},
        {"T": hexed([[1.0]])},
        {"T": hexed([[1e-320, 0.0], [0.0, 1.0]])},
    ):
        with pytest.raises(Rejected):
            cc.Ellipsoid(good | change, 2, set())
    assert ellipsoid(2.0**-400).gap < 1e-250 and ellipsoid(2.0**400).gap < 1e-250
    for T in ([[3.0]], [[0.1]], [[1.0, 1.0], [0.0, 3.0]], np.diag([3.0, 5.0, 7.0])):
        one = ellipsoid(1.0, np.zeros(len(T)), T)
        n = len(T)
        rows, cols = np.asarray(T), one.S
        exact = sum(
            abs(sum(Fraction(float(rows[i, k])) * Fraction(float(cols[k, j])) for k in range(n)) - (i == j))
            for i in range(n)
            for j in range(n)
        )
        assert exact <= Fraction(one.gap) <= exact * (1 + Fraction(1, 2**39)) + Fraction(1, 2**890)

    for wrong, flat in ((1e-7, False), (1.1e-6, True), (0.5, True)):  # an inverse that is none
        monkeypatch.setattr(np.linalg, "inv", lambda T, wrong=wrong: np.eye(2) + np.diag([wrong, 0.0]))
        if flat:
            with pytest.raises(Rejected, match="too flat"):
                cc.Ellipsoid(good, 2, set())
        else:
            assert cc.Ellipsoid(good, 2, set()).gap >= wrong


@pytest.mark.parametrize("T", [np.eye(2), [[2.0, 1.0], [0.0, 1.0]], [[0.6, 0.8], [-0.8, 0.6]]])
def test_what_an_ellipsoid_holds(T: Any) -> None:
    """Boxes by their farthest corner, in few symbols exactly, to a part in 1e9."""
    T, center = np.asarray(T), np.array([1.0, -2.0])
    lower, upper = center - np.array([0.25, 0.5]), center + np.array([0.5, 0.125])
    farthest = max(float(np.linalg.norm(T @ (np.array(c) - center))) for c in product(*zip(lower, upper, strict=True)))
    for hair, inside in ((CLOSE, True), (1 / CLOSE, False)):
        assert bool(ellipsoid(farthest * hair, center, T).holds(boxed(lower, upper))[0]) is inside
    found = ellipsoid(1.0, center, T).coordinates(boxed(center + 1, center + 1))
    assert [ends(f)[0] for f in found] == pytest.approx((T @ [1, 1]).tolist())
    back = ellipsoid(1.0, center, T).points(np.array([[0.5, 0.25]]), np.array([[0.0, 0.0]]))
    assert [float(f.c[0]) for f in back] == pytest.approx((center + np.linalg.solve(T, [0.5, 0.25])).tolist())


def test_what_an_ellipsoid_holds_of_many_symbols_and_radii() -> None:
    """More than six: sqrt(|c|^2 + 2 sum |G'c| + sum |G'G|) + |r|; eight along one line reach 3 + 8 / 4 = 5."""
    G = np.zeros((8, 2))
    G[:, 0] = 0.25
    for count, size in ((8, 5.0), (6, 4.5), (7, 4.75)):
        x = [Form(np.array([c]), G[:count, i, None], np.zeros(1)) for i, c in enumerate((3.0, 0.0))]
        for hair, inside in ((CLOSE, True), (1 / CLOSE, False)):
            assert bool(ellipsoid(size * hair).holds(x)[0]) is inside
    turned = [Form(np.array([3.0]), np.zeros((8, 1)), np.zeros(1)), Form(np.zeros(1), G[:, :1], np.zeros(1))]
    assert ellipsoid(np.sqrt(13) * CLOSE).holds(turned)[0] and not ellipsoid(np.sqrt(13) / CLOSE).holds(turned)[0]
    rest = [
        Form(np.array([3.0]), np.zeros((0, 1)), np.array([3.0])),
        Form(np.array([4.0]), np.zeros((0, 1)), np.array([4.0])),
    ]
    assert ellipsoid(10 * CLOSE).holds(rest)[0] and not ellipsoid(10 / CLOSE).holds(rest)[0]
    for bad in (np.nan, np.inf):
        assert not ellipsoid(2.0**400).holds([Form(np.array([bad]), np.zeros((0, 1)), np.zeros(1))] * 2)[0]


@pytest.mark.parametrize("seed", range(12))
def test_a_point_outside_by_less_than_roundings_is_not_held(seed: int) -> None:
    """T x is a rounding error of its parts: the radius is a millionth below |T x| in fractions."""
    rng = np.random.default_rng(seed)
    a = 1 + rng.random(2)
    x = a * (1 + 2.0**-51 * rng.integers(-4, 5, 2))
    first = abs(Fraction(a[1]) * Fraction(x[0]) - Fraction(a[0]) * Fraction(x[1]))
    flat = SimpleNamespace(
        center=np.zeros(2), T=np.array([[a[1], -a[0]], [0.0, 0.0]]), radius=float(first) * (1 - 1e-6)
    )
    flat.coordinates = lambda forms: cc.Ellipsoid.coordinates(flat, forms)
    assert not cc.Ellipsoid.holds(flat, boxed(x, x))[0]


@pytest.mark.parametrize("reach", [0.75, 3.0])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_cover_leaves_no_point_of_the_ball(n: int, reach: float) -> None:
    """Also after cells were halved: every point lies in a cell that was proved; cells are halved where they bend."""
    proved: list[tuple[np.ndarray, np.ndarray]] = []

    def prove(centers: np.ndarray, halves: np.ndarray) -> np.ndarray:
        good = (
            np.linalg.norm(centers, axis=1) > 0.5 * reach
            if halves[0, 0] > 0.07 * reach
            else np.ones(len(centers), dtype=bool)
        )
        proved.append((centers[good], halves[good]))
        return good

    used = cc._cover(n, reach, 20, prove, "x")
    centers, halves = (np.concatenate(part) for part in zip(*proved, strict=True))
    assert used >= len(centers)
    rng = np.random.default_rng(n)
    z = rng.standard_normal((400, n))
    z *= reach * rng.random((400, 1)) ** (1 / n) / np.linalg.norm(z, axis=1, keepdims=True)
    z[:n], z[n : 2 * n] = reach * np.eye(n), -reach * np.eye(n)
    z[2 * n] = 0.0
    assert np.all((np.abs(z[:, None] - centers) <= halves).all(axis=2).any(axis=1))
    # all cells on a line through 0 join, in fractions
    line = sorted(
        (Fraction(float(c[0])), Fraction(float(h[0])))
        for c, h in zip(centers, halves, strict=True)
        if np.all(np.abs(c[1:] - 0.01 * reach) <= h[1:])
    )
    reached = line[0][0] + line[0][1]
    assert line[0][0] - line[0][1] <= -Fraction(0.98 * reach)
    for c, h in line[1:]:
        assert c - h <= reached
        reached = max(reached, c + h)
    assert reached >= Fraction(0.98 * reach)


def test_a_cover_gives_up_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    never = lambda centers, halves: np.zeros(len(centers), dtype=bool)  # noqa: E731
    with pytest.raises(Rejected, match="what: not proved after"):
        cc._cover(1, 1.0, 10, never, "what")
    monkeypatch.setattr(cc, "MAX_COVER", 200)
    with pytest.raises(Rejected):
        cc._cover(1, 1.0, 30, lambda c, h: np.ones(len(c), dtype=bool), "x")
    monkeypatch.setattr(cc, "MAX_COVER", 256)
    assert cc._cover(1, 1.0, 30, lambda c, h: np.ones(len(c), dtype=bool), "x") == 256
    assert cc._cover(1, 1.0, 8, lambda c, h: np.ones(len(c), dtype=bool), "x") == 256
    with pytest.raises(Rejected):
        cc._cover(1, 1.0, 7, lambda c, h: np.ones(len(c), dtype=bool), "x")
    monkeypatch.setattr(cc._clock, "deadline", 0.0)
    with pytest.raises(Rejected, match="time limit"):
        cc._cover(1, 1.0, 30, lambda c, h: np.ones(len(c), dtype=bool), "x")


def test_covers_are_halved_along_the_side_that_bends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cc, "MAX_COVER", 9000)
    sizes: list[tuple[float, float]] = []

    def prove(centers: np.ndarray, halves: np.ndarray) -> np.ndarray:
        sizes.append((float(halves[0, 0]), float(halves[0, 1])))
        return np.full(len(centers), len(sizes) > 2)

    cc._cover(2, 1.0, 20, prove, "x", np.array([1.0, 100.0]))
    assert sizes[0] == pytest.approx((1 / 16, 1 / 16)) and sizes[1] == pytest.approx((1 / 16, 1 / 32))
    assert sizes[-1] == pytest.approx((1 / 16, 1 / 64))


# ----------------------------------------------------------------------------------------------------------------- core


@pytest.mark.parametrize("n", [1, 2, 3])
def test_spectral_norms_of_forms(n: int) -> None:
    """That of the centre, and the norms of the columns of the rest, summed over the symbols; from above and close."""
    rng = np.random.default_rng(n)
    C, G, R = rng.standard_normal((n, n)), rng.standard_normal((2, n, n)), rng.random((n, n))
    A = [[Form(C[i, j, None], G[:, i, j, None], R[i, j, None]) for j in range(n)] for i in range(n)]
    rest = np.linalg.norm(sum(np.linalg.norm(part, axis=0) for part in (*G, R)))
    found = float(cc._spectral(A)[0])
    exact = np.linalg.norm(C, 2)
    assert exact + rest <= found * (1 + 1e-15) and found <= (exact + rest) * (1 + 1e-7)
    point = [[Form.constant(float(C[i, j]), 1) for j in range(n)] for i in range(n)]
    assert exact * (1 + 1e-13) <= cc._spectral(point)[0] <= exact * (1 + 1e-7)
    for bad in (np.nan, np.inf):
        A[0][0] = Form(np.array([bad]), np.zeros((0, 1)), np.zeros(1))
        assert cc._spectral(A)[0] == np.inf
    A[0][0] = Form(np.zeros(1), np.zeros((0, 1)), np.array([np.nan]))
    assert cc._spectral(A)[0] == np.inf


def test_spectral_norms_do_not_believe_the_singular_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    C = np.array([[3.0, 1.0], [0.0, 2.0]])
    A = [[Form.constant(float(v), 1) for v in row] for row in C]
    true = np.linalg.norm(C, 2)
    good = np.linalg.svd(C[None])
    turn = np.array([[[0.6, -0.8], [0.8, 0.6]]])
    for left, right in (
        (np.eye(2)[None], np.eye(2)[None]),
        (turn, np.eye(2)[None]),
        (0.9 * good[0], good[2]),
        (good[0], good[2] * 0.5),
        (good[0] * (1 - 1e-4), good[2]),
        (good[0], good[2] * (1 - 1e-4)),
    ):
        monkeypatch.setattr(np.linalg, "svd", lambda _, left=left, right=right: (left, good[1], right))
        assert cc._spectral(A)[0] >= true


def test_norms_of_vectors_of_forms() -> None:
    """|(3 + 1, 4 + 8)| = 13 - no: (4, 12) has norm sqrt(160); the larger end in size counts."""
    x = [
        Form(np.array([-3.0]), np.array([[1.0]]), np.zeros(1)),
        Form(np.array([4.0]), np.zeros((0, 1)), np.array([8.0])),
    ]
    assert np.sqrt(160) <= cc._norm_up(x) <= np.sqrt(160) * CLOSE
    assert cc._norms_up(x).shape == (1,)


@pytest.mark.parametrize("size", [5e-324, 2.0**-900, 2.0**-600, 2.0**-537])
def test_squares_that_underflow_are_not_taken_for_nothing(size: float) -> None:
    """Norms of vectors and matrices of forms, deviations from rest, the box around a set."""
    point = [Form(np.array([size]), np.zeros((0, 1)), np.zeros(1)), Form(np.zeros(1), np.zeros((0, 1)), np.zeros(1))]
    rest = [Form(np.zeros(1), np.zeros((0, 1)), np.array([size])), point[1]]
    assert cc._norm_up(point) >= size and cc._norm_up(rest) >= size
    assert cc._spectral([point, rest])[0] >= size and cc._spectral([[rest[0]]])[0] >= size
    G = np.array([[size]])
    assert cc.Deviation((np.zeros(1), np.zeros(1)), cc.Near(G), G, np.zeros(1)).reach()[0] >= size
    if size > 2.0**-800:
        thin = ellipsoid(2.0**400, T=np.diag([1.0, 1.0]) / size)
        assert min(cc._half_widths(thin, 2.0**400)) >= size * 2.0**400
        half = 0.9 * size * 2.0**400
        with pytest.raises(Rejected, match="leaves the limits"):
            cc._limits_text({"lower": hexed([-half] * 2), "upper": hexed([half] * 2)}, [thin], True)


def core_of(
    line: cc.Loop, radius: float, half: float = 1e-6, stages: Any = (), **shape: Any
) -> tuple[int, float | None]:
    return cc.prove_core(line, ellipsoid(radius, **shape), np.full(2, -half), np.full(2, half), list(stages))


def test_a_core_contracts() -> None:
    """3 x^2 < 1 within .577, about every x* of the box, hence with room for it twice."""
    assert core_of(cubic(), 0.5)[1] is None
    for radius, half in ((0.6, 1e-6), (0.5, 0.04)):
        with pytest.raises(Rejected, match="contract"):
            core_of(cubic(), radius, half)
    core_of(cubic(), 0.4, 0.04)  # .4 + 2 sqrt(2) .04 = .513
    core_of(loop(0.999, 0.5), 1.0)
    for a in (1.0, -1.001):
        with pytest.raises(Rejected, match="contract"):
            core_of(loop(a, 0.5), 1.0)
    with pytest.raises(Rejected, match="hold the equilibrium"):
        core_of(loop(0.5, 0.5), 0.1, 0.08)
    with pytest.raises(Rejected, match="contract"):  # |T M T^-1| of [0.9 0; 0 .1] in skew coordinates is above 1
        core_of(loop(0.9, 0.1), 1.0, T=np.array([[1.0, 2.0], [0.0, 1.0]]))
    core_of(loop(0.9, 0.1), 1.0, T=np.array([[1.0, 0.25], [0.0, 1.0]]))
    core_of(loop(0.5, 0.25, parameters=[(0.5, 1.9)]), 1.0)
    with pytest.raises(Rejected):
        core_of(loop(0.5, 0.25, parameters=[(0.5, 2.1)]), 1.0)


def stage(rate: float, push: float, radius: float) -> dict[str, str]:
    return {"rate": rate.hex(), "push": push.hex(), "radius": radius.hex()}


def test_final_balls_hold_what_is_pushed() -> None:
    """x / 2 + d, |d| <= 1/8: rate above 1/2, push above 1/8, push < (1 - rate) radius, within the ball before."""
    line = loop(0.5, 0.25, 0.125)
    good = stage(0.501, 0.1251, 0.2508)
    used, last = core_of(line, 0.5, stages=[good])
    assert last == 0.2508 and used > 0
    used_two, last = core_of(line, 0.5, stages=[stage(0.501, 0.1251, 0.4), good])
    assert last == 0.2508 and used_two > used
    for stages in (
        [stage(0.499, 0.1251, 0.2508)],
        [stage(0.501, 0.1249, 0.2508)],
        [stage(0.501, 0.1251, 0.2507)],
        [stage(0.501, 0.1251, 0.51)],
        [good, stage(0.501, 0.1251, 0.26)],
        [stage(1.0, 0.1251, 0.4)],
        [stage(-0.1, 0.1251, 0.4)],
        [stage(0.501, 0.0, 0.4)],
        [],
        [good] * 9,
        [good | {"x": 1}],
    ):
        with pytest.raises(Rejected):
            core_of(line, 0.5, stages=stages)
    with pytest.raises(Rejected, match="belong together"):
        core_of(loop(0.5, 0.25), 0.5, stages=[good])
    # each stage needs its rate on the ball of the one before only: 3 x^2 on .3 is .27
    pushed = cubic()
    pushed.error, pushed.disturbed = 0.05, True
    core_of(pushed, 0.5, stages=[stage(0.76, 0.051, 0.3), stage(0.28, 0.051, 0.1)])
    with pytest.raises(Rejected, match="contract"):
        core_of(pushed, 0.5, stages=[stage(0.74, 0.051, 0.3)])
    with pytest.raises(Rejected, match="contract"):
        core_of(pushed, 0.5, stages=[stage(0.76, 0.051, 0.3), stage(0.26, 0.051, 0.1)])


# ------------------------------------------------------------------------------------------------------------- decrease


@pytest.mark.parametrize(
    ("new", "center", "half", "largest"),
    [
        ([(0.0, [0.0], 0.0)], 0.0, 0.5, "0"),
        ([(0.0, [0.0], 0.0)], 0.25, 0.5, "0"),
        ([(0.0, [0.0], 0.0)], 1.0, 0.5, "-1/4"),
        ([(0.0, [0.0], 0.0)], 1.25, 1.0, "-1/16"),
        ([(0.0, [0.0], 0.0)], -1.25, 1.0, "-1/16"),
        ([(0.0, [1.0, 1.0], 0.0)], 0.0, 0.0, "4"),
        ([(1.0, [1.0, -2.0], 0.0)], 0.0, 0.0, "16"),
        ([(1.0, [0.5], 0.25)], 0.0, 0.0, "49/16"),
        ([(1.0, [0.5], 0.0)], 2.0, 1.0, "-3/4"),  # (1 + e/2)^2 - (2 + e)^2 = -3 (1 + e/2)^2: at e = -1
    ],
)
def test_growth_by_hand(new: Any, center: float, half: float, largest: str) -> None:
    """const + sum max(|l| e + Q e^2) + sum |Q_ij|, to a billionth, from above by 2^-40 of the squares."""
    forms = [Form(np.array([c]), np.array(G)[:, None], np.array([r])) for c, G, r in new]
    found = float(cc._growth(forms, np.array([[center]]), np.array([[half]]), 0.0)[0])
    exact = float(Fraction(largest))
    squares = sum((abs(c) + sum(map(abs, G)) + r) ** 2 for c, G, r in new) + (abs(center) + half) ** 2
    assert exact + 2.0**-41 * squares <= found <= exact + 2.0**-39 * squares + 1e-250
    wide = float(cc._growth(forms, np.array([[center]]), np.array([[half]]), 0.01)[0])
    # |T S z| >= (1 - gap) |z|: the square is smaller by 2 gap |z|^2 at most
    assert (
        found + 0.02 * (abs(center) + half) ** 2 <= wide + 1e-15 <= found + 0.0301 * (abs(center) + half) ** 2 + 1e-12
    )


def test_growth_of_two_states_takes_each_with_its_own_symbol() -> None:
    new = [Form(np.zeros(1), np.zeros((2, 1)), np.zeros(1))] * 2
    found = float(cc._growth(new, np.array([[3.0, 4.0]]), np.array([[1.0, 2.0]]), 0.0)[0])
    assert found == pytest.approx(-(2.0**2) - 2.0**2, rel=1e-9)
    same = boxed([2.0, 2.0], [4.0, 6.0])
    assert 0 < cc._growth(same, np.array([[3.0, 4.0]]), np.array([[1.0, 2.0]]), 0.0)[0] < 1e-10
    assert (
        not cc._growth(
            [Form(np.array([np.nan]), np.zeros((0, 1)), np.zeros(1))], np.ones((1, 1)), np.ones((1, 1)), 0.0
        )[0]
        < 0
    )


def decrease(line: cc.Loop, radius: float, steps: int, inner: float | None, **shape: Any) -> int:
    before = [] if inner is None else [ellipsoid(inner)]
    return cc.prove_decrease(line, ellipsoid(radius, **shape), steps, before)


def test_v_falls_outside_the_sets_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """x^3 within 1; x / 2 everywhere but at 0, which a set must hold; [0 2; .1 0] after two steps."""
    assert decrease(loop(0.5, 0.25), 1.0, 1, 0.1) > 100
    decrease(cubic(), 0.9, 1, 0.1)
    for line, radius, steps, inner in (
        (cubic(), 1.1, 1, 0.1),
        (loop(0.5, 0.25), 1.0, 1, None),
        (loop(1.0, 0.25), 1.0, 1, 0.1),
        (loop(1.01, 0.25), 1.0, 2, 0.1),
    ):
        with pytest.raises(Rejected, match="does not decrease"):
            decrease(line, radius, steps, inner)
    swap = program(3, [2.0, 0.1], [["mul", 1, 3], ["mul", 0, 4], ["add", 5, 2]], [7, 6])
    turning = cc.Loop(
        ZERO_POLICY, {"name": "s", "dt": (1.0).hex(), "step": swap, "observe": program(2, [], [], [0, 1])}, 2
    )
    decrease(turning, 1.0, 2, 0.1)
    with pytest.raises(Rejected):
        decrease(turning, 1.0, 1, 0.1)
    decrease(loop(0.5, 0.25, parameters=[(0.5, 1.9)]), 1.0, 1, 0.1)
    with pytest.raises(Rejected):
        decrease(loop(0.5, 0.25, parameters=[(0.5, 2.02)]), 1.0, 1, 0.1)
    decrease(loop(0.5, 0.25, 0.125), 1.0, 1, 0.3)
    with pytest.raises(Rejected):  # V of (x / 2 + d)^2 may grow below 1/4
        decrease(loop(0.5, 0.25, 0.125), 1.0, 1, 0.2)
    # the edge of a set that lies deep in another is no edge
    cc.prove_decrease(loop(0.5, 0.25, 0.125), ellipsoid(1.0), 1, [ellipsoid(0.3), ellipsoid(0.1, (0.1, 0.0))])
    # in the coordinates of the set: V = |T x|^2
    decrease(loop(0.9, 0.1), 1.0, 1, 0.1, T=np.array([[1.0, 0.1], [0.0, 1.0]]))
    with pytest.raises(Rejected):
        decrease(loop(0.9, 0.1), 1.0, 1, 0.1, T=np.array([[1.0, 3.0], [0.0, 1.0]]))


def test_sets_that_seem_to_hold_points_and_routes() -> None:
    sets = [ellipsoid(1.0), ellipsoid(0.5, (3.0, 0.0)), ellipsoid(2.0, T=np.diag([1.0, 4.0]))]
    x = [np.array([0.5, 3.4, 1.5, 9.0, 0.0, 2.0]), np.array([0.0, 0.0, 0.0, 0.0, 0.9, 0.0])]
    which, depth = cc._deepest(x, sets)
    assert which.tolist() == [2, 1, 2, 2, 0, 2]  # (0, .9): .19 deep in the first, V = 12.96 of 4 in the last
    assert depth[[0, 1, 2, 3]] == pytest.approx([1 - 0.25 / 4, 1 - 0.16 / 0.25, 1 - 2.25 / 4, 1 - 81 / 4])
    done = np.zeros(4, dtype=bool)
    forms = [
        Form(np.array([0.5, 5.0, 3.1]), np.zeros((0, 3)), np.zeros(3)),
        Form(np.zeros(3), np.zeros((0, 3)), np.zeros(3)),
    ]
    cc._hold(done, np.array([3, 2, 0]), np.array([0, 0, 1]), forms, sets)
    assert done.tolist() == [True, False, False, True]
    cc._hold(done, np.array([1, 2, 0]), np.array([-1, -1, -1]), forms, sets)
    assert done.tolist() == [True, False, False, True]

    def route(line: cc.Loop, x: list[float], steps: int, before: Any = ()) -> tuple[int, int]:
        points = [np.array([v]) for v in x]
        when, where = cc._route(line, ellipsoid(1.0), list(before), points, np.array([x]), steps)
        return int(when[0]), int(where[0])

    assert route(loop(0.5, 0.25), [1.0, 0.0], 1) == (1, -1) == route(loop(2.0, 0.25), [1.0, 0.0], 1)
    assert route(loop(0.5, 0.25), [1.0, 0.0], 4) == (1, -1)
    assert route(loop(2.0, 0.25), [1.0, 0.0], 4) == (0, -1)
    assert route(loop(np.sqrt(0.98), 0.25), [1.0, 0.0], 4) == (2, -1)  # .98, then .9604 < .97
    assert route(loop(np.sqrt(0.999), 0.25), [1.0, 0.0], 3) == (3, -1)  # never clear: the smallest
    assert route(loop(2.0, 0.25), [1.0, 0.0], 4, [ellipsoid(0.1, (7.0, 0.0)), ellipsoid(0.1, (4.0, 0.0))]) == (2, 1)
    assert route(loop(2.0, 0.25), [1.0, 0.0], 1, [ellipsoid(0.1, (2.0, 0.0))]) == (1, -1)
    assert route(loop(2.0, 0.25), [1.0, 0.0], 2, [ellipsoid(0.1, (2.0, 0.0))]) == (1, 0)
    assert route(loop(2.0, 0.25), [1.0, 0.0], 2, [ellipsoid(0.1, (2.101, 0.0))]) == (0, -1)
    # 2 and 4 in a set: the first 1 - (1.4 / 1.5)^2 = .13 deep, the second is more so
    assert route(loop(2.0, 0.25), [1.0, 0.0], 2, [ellipsoid(1.5, (3.4, 0.0))]) == (2, 0)


def test_bends_guide_where_cells_are_halved() -> None:
    """x^3 + u and y / 4: second differences of x alone; no axis below a tenth."""
    bends = cc._bends(cubic(), ellipsoid(1.0, (1.0, 0.0)))
    assert bends[1] == pytest.approx(0.1 * bends[0]) and bends[0] == pytest.approx(6 * 0.04, rel=0.2)
    assert cc._bends(loop(0.0, 0.0), ellipsoid(1.0)).tolist() == [1.0, 1.0]
    wide = cc._bends(cubic(), ellipsoid(2.0, (1.0, 0.0), np.diag([2.0, 1.0])))
    assert wide[0] == pytest.approx(2 * 6 * 0.04, rel=0.3)


# ---------------------------------------------------------------------------------------------------------------- grids


def grid(low: Any, width: Any, angles: Any, level: int) -> cc.Grid:
    found = cc.Grid({"low": hexed(low), "width": hexed(width), "angles": list(angles)}, len(low))
    found.refine(level)
    return found


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


@pytest.mark.parametrize("turns", [0, 1, -1, 2, -7, 1000])
@pytest.mark.parametrize("low", [-4.0, 100.0, 5000.0])
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


def test_one_wide_layer_is_too_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Roundings of sums are bounded for as many numbers."""
    monkeypatch.setattr(cc, "MAX_WIDTH", 3)
    layers = [affine(np.ones((2, 2))), affine(np.ones((3, 2))), affine(np.ones((1, 3)))]
    assert cc.Network({"layers": layers}, False).n_out == 1
    for wide in ([affine(np.ones((4, 2))), affine(np.ones((1, 4)))], [affine(np.ones((4, 2)))]):
        with pytest.raises(Rejected, match="too wide"):
            cc.Network({"layers": [affine(np.ones((2, 2))), *wide]}, False)


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


def packed(*parts: list[int]) -> str:
    joined = np.concatenate([np.diff(part, prepend=0) for part in parts]).astype("<u4")
    return base64.b64encode(
        zlib.compress(np.ascontiguousarray(joined.view(np.uint8).reshape(-1, 4).T).tobytes())
    ).decode()


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
