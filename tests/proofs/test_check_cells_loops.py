"""Fields, programs, loops and equilibria of the checker of cells, whose answer is a short calculation."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from lipctrl.proofs import check_cells as cc
from lipctrl.proofs.check_cells import Form, Number, Rejected
from tests.proofs.cells_for_tests import (
    CLOSE,
    ZERO_POLICY,
    affine,
    boxed,
    cubic,
    ends,
    hexed,
    loop,
    model,
    near,
    program,
    values,
)


@pytest.fixture(autouse=True)
def gives_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, limit in (("MAX_COVER", 1000), ("MAX_PARTS", 200), ("MAX_PARAMETER_PARTS", 24)):
        monkeypatch.setattr(cc, name, limit)


# --------------------------------------------------------------------------------------------------------------- fields


def test_numbers_are_hexadecimal_doubles_only() -> None:
    assert (
        cc._number("-0x1.8p+1") == -3.0
        and cc._number("0x1p+0") == cc._number("0x1.0p0") == 1.0
        and cc._number("-0x0p+0") == cc._number("0x0.00p7") == 0.0
        and cc._number("0x0.0p+0") == 0.0
        and cc._number("0x1.fffffffffffffp+1023") > 1e308
        and cc._number("0x0.0000000000001p-1022") == 5e-324
        and cc._number("0x1.0p-1022") == 2.0**-1022
    )
    for bad in (
        "1.0",
        1.0,
        1,
        None,
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
        "0x1.8p-1074",
        "0x1.fffffffffffffp-1023",
        "0x1.0p-1023",
        "0x0.8p-1023",
        "0x0.8p+0",
        "0x0.8p-1021",
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
    refused: dict[str, list[dict[str, Any]]] = {
        "wrong number of inputs": [{"inputs": 3}, {"inputs": 1}],
        "strange instruction 'mul'": [
            *({"code": [["mul", *places]]} for places in ([0, 3], [0], [0, 1, 2])),
            {"code": [["mul", 0, 3]], "outputs": [3]},
        ],
        "strange instruction 'neg'": [
            {"code": [["neg", 0, 1]]},
            {"code": [["neg"]]},
            {"code": [["neg", 3]], "outputs": [3]},
        ],
        "strange instruction 'tan'": [{"code": [["tan", 0]]}],
        "strange instruction 'at_least'": [{"code": [["at_least", 0]]}],
        "strange instruction$": [{"code": ["neg"]}, {"code": [[]]}, {"code": [[0, "neg"]]}],
        "a count": [{"code": [["neg", -1]]}],
        "not constant": [
            {"code": [["at_least", 0, 1]]},
            {"code": [["at_most", 0, 0]]},
            {"code": [["neg", 0], ["at_most", 0, 3]]},
        ],
        "strange outputs": [{"outputs": []}, {"outputs": [9]}, {"outputs": [6]}],
        "wrong number of outputs": [{"outputs": [5, 5]}],
        "no code": [{"code": {}}, {"code": [["neg", 0]] * 4097}],
        "unknown fields": [{"extra": 1}],
        "hexadecimal": [{"constants": ["1"]}],
    }
    for reason, changes in refused.items():
        for change in changes:
            with pytest.raises(Rejected, match=reason):
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
    many = [one | {"name": f"p{i}"} for i in range(9)]
    assert len(cc._parameters(many[:8])[0]) == 8
    with pytest.raises(Rejected, match="too many"):
        cc._parameters(many)
    with pytest.raises(Rejected):
        cc.Loop(ZERO_POLICY, model(0.5, 0.25), 3)
    for layers in ([], [affine([[1.0, 1.0]]), affine([[1.0, 1.0]])]):
        with pytest.raises(Rejected):
            cc.Network({"layers": layers}, False)


def test_claims_tell_parameters_by_their_names() -> None:
    """Also by the forty characters that are shown: "For each p in [1, 2], p in [3, 4]" says nothing."""
    ends = {"lower": (1.0).hex(), "upper": (2.0).hex()}
    for first, second, told in (("p", "q", True), ("p", "p", False), ("p" * 41, "p" * 42, False), ("p", "P", True)):
        both = [ends | {"name": first}, ends | {"name": second}]
        if told:
            assert cc._parameters(both)[0] == [first, second]
        else:
            with pytest.raises(Rejected, match="one name"):
                cc._parameters(both)


def test_one_wide_layer_is_too_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Roundings of sums are bounded for as many numbers."""
    monkeypatch.setattr(cc, "MAX_WIDTH", 3)
    layers = [affine(np.ones((2, 2))), affine(np.ones((3, 2))), affine(np.ones((1, 3)))]
    assert cc.Network({"layers": layers}, False).n_out == 1
    for wide in ([affine(np.ones((4, 2))), affine(np.ones((1, 4)))], [affine(np.ones((4, 2)))]):
        with pytest.raises(Rejected, match="too wide"):
            cc.Network({"layers": [affine(np.ones((2, 2))), *wide]}, False)


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


def test_observations_and_states_must_not_turn_alone() -> None:
    """theta+ = theta + y: y+ = y + theta turns with it, as an observed theta does beside others that do not."""
    step = program(3, [], [["add", 0, 1], ["add", 1, 0], ["sin", 0], ["add", 1, 5]], [3, 4])
    for outputs, last, periodic in (([0, 2], 6, False), ([2, 0], 6, False), ([2, 1], 6, True), ([2, 1], 4, False)):
        observe = program(2, [], [["sin", 0]], outputs)
        fields = {"name": "t", "dt": (1.0).hex(), "step": step | {"outputs": [3, last]}, "observe": observe}
        assert cc.Loop(ZERO_POLICY, fields, 2).is_periodic(0) is periodic
    with pytest.raises(Rejected, match="outputs"):
        cc.Program(program(2, [], [], [0, 9]), 2, 2, "p")
    with pytest.raises(Rejected, match="instruction"):
        cc.Program(program(2, [], [["mul", 9, 0]], [0, 1]), 2, 2, "p")


@pytest.mark.parametrize("kind", ["tanh", "hardtanh"])
def test_errors_widen_what_a_squashed_action_may_be(kind: str) -> None:
    """Of [-1/2, 1] or [tanh -9, tanh 9] and 1/8 more on either side."""
    limits = {"low": hexed([-0.5]), "high": hexed([1.0])} if kind == "hardtanh" else {}
    policy = {"layers": [affine([[3.0, 0.0]]), {"type": kind, "n": 1, **limits}]}
    line = cc.Loop(policy, model(0.0, 0.25), 2, 0.125)
    after = values(line.step([Number(f) for f in boxed([-3, 0], [3, 0])]))
    low, high = (-0.625, 1.125) if kind == "hardtanh" else (-1.125, 1.125)
    assert near(ends(after[0]), low, high, 1.0)
    seen: list[Any] = []
    line.step_program = lambda numbers: seen.append(numbers) or numbers[:2]  # type: ignore[assignment]
    line.step([Number(f) for f in boxed([-3, 0], [3, 0])])
    lo, hi = ends(seen[0][2].value)
    assert low - 1e-9 <= lo <= low + 1e-7 and high - 1e-7 <= hi <= high + 1e-9
    exact = line.part(line.box, disturbed=False)
    exact.step_program = line.step_program
    exact.step([Number(f) for f in boxed([-3, 0], [3, 0])])
    lo, hi = ends(seen[1][2].value)
    assert low + 0.125 - 1e-9 <= lo <= low + 0.126 and high - 0.126 <= hi <= high - 0.125 + 1e-9
    own, more = (np.abs(numbers[2].value.G[-1, 0]) for numbers in (seen[1], seen[0]))
    assert own > 0.1 and own + 0.125 <= more <= (own + 0.125) * CLOSE


@pytest.mark.parametrize("pushed", [False, True])
def test_every_uncertain_part_of_a_step_has_a_symbol_of_its_own(pushed: bool) -> None:
    """Three actions with two derivatives and an error each, a parameter: none moves with another."""
    policy = {"layers": [affine([[0.5, -1.0], [2.0, 0.25], [1.0, 1.0]]), {"type": "tanh", "n": 3}]}
    zero = program(6, [], [], [0, 1])
    fields = {"name": "t", "dt": (1.0).hex(), "step": zero, "observe": program(3, [], [], [0, 1])}
    fields["parameters"] = [{"name": "p", "lower": (1.0).hex(), "upper": (2.0).hex()}]
    line, seen = cc.Loop(policy, fields, 2, 0.125), list[Any]()
    line.step_program = lambda numbers: seen.extend(numbers) or numbers[:2]  # type: ignore[assignment]
    one, none = Form.constant(1.0, 1), Form.constant(0.0, 1)
    x = [Number(f, by) for f, by in zip(boxed([1, 0], [2, 1]), [[one, none], [none, one]], strict=True)]
    line.step(x, pushed)
    actions, parameter = seen[2:5], seen[5]
    assert len(seen) == 6 and [len(number.by) for number in seen] == [5 if pushed else 2] * 6
    own: list[int] = []
    for i, action in enumerate(actions):
        assert action.value.r[0] == 0.0 and not np.any([part.r for part in action.by])
        for j, part in enumerate([action.value, *action.by]):
            rows = np.nonzero(part.G[:, 0])[0]
            if j < 3 or j - 3 == i:
                own.append(int(rows[-1]))
                assert rows[-1] >= line.kept == 3 and (j == 0 or len(rows) == 1)
            else:
                assert len(rows) == 0 and part.c[0] == 0.0
        if pushed:
            assert 0.125 <= action.by[2 + i].G.sum() <= 0.125 * CLOSE and action.by[2 + i].c[0] == 0.0
    assert len(set(own)) == len(own) == (12 if pushed else 9)
    assert np.nonzero(parameter.value.G[:, 0])[0].tolist() == [2]
    assert not np.any([part.G.any() or part.c.any() for part in parameter.by])
    for number in seen[:2]:
        assert [float(part.c[0]) for part in number.by[2:]] == [0.0] * (3 if pushed else 0)


def test_a_poor_inverse_proves_no_equilibrium_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """x+ = x / 2 + u rests at 2 u: half of Newton's step, and half of the box, must stay in it on both sides."""
    inverse = np.linalg.inv
    monkeypatch.setattr(np.linalg, "inv", lambda G: 0.5 * inverse(G))
    for u in (-2.0, -1.05, -0.95, 0.0, 0.95, 1.05, 2.0):
        shifted = cc.Loop({"layers": [affine([[0.0, 0.0]], [u])]}, model(0.5, 0.5), 2)
        for lower, upper in (([-2.0, -1.0], [2.0, 1.0]), ([-2.0, -3.0], [2.0, 1.0])):
            assert cc._has_one_zero(shifted, np.array(lower), np.array(upper)) is (abs(u) < 1)
    monkeypatch.setattr(np.linalg, "inv", lambda G: -1.5 * inverse(G))
    assert not cc._has_one_zero(shifted, np.array([-2.0, -1.0]), np.array([2.0, 1.0]))
    for bad in (np.nan, np.inf):
        monkeypatch.setattr(np.linalg, "inv", lambda G, bad=bad: bad * inverse(G))
        assert not cc._has_one_zero(shifted, np.array([-2.0, -1.0]), np.array([2.0, 1.0]))


def test_krawczyk_of_a_coupled_linear_loop_is_its_solution() -> None:
    """M x + b with M far from symmetric: the box proves it if and only if the solution lies within."""
    policy = {"layers": [affine([[0.5, -2.0]], [1.0])]}
    coupled = cc.Loop(policy, model(0.25, 0.25), 2)  # x+ = .75 x - 2 y + 1, y+ = .25 y: rests at (4, 0)
    step = program(3, [0.25, 0.5], [["mul", 1, 3], ["mul", 0, 4], ["sub", 5, 6], ["add", 2, 0]], [8, 7])
    turned = cc.Loop(policy, {"name": "t", "dt": (1.0).hex(), "step": step, "observe": program(2, [], [], [0, 1])}, 2)
    # x+ = 1.5 x - 2 y + 1, y+ = y / 4 - x / 2: y = -2 x / 3, x (1/2 + 4/3) = -1
    x = -6 / 11
    for line, rest in ((coupled, np.array([4.0, 0.0])), (turned, np.array([x, -2 * x / 3]))):
        for away in (-0.3, -0.11, -0.09, 0.0, 0.09, 0.11, 0.3):
            for axis in (0, 1):
                middle = rest.copy()
                middle[axis] += away
                found = cc._has_one_zero(line, middle - np.array([0.1, 0.1]), middle + np.array([0.1, 0.1]))
                assert found is (abs(away) < 0.1), (away, axis)


def test_a_range_with_one_end_is_not_finite() -> None:
    for lo, hi, finite in ((-1.0, np.inf, False), (-np.inf, 1.0, False), (-1.0, 1.0, True)):
        assert cc._finite(Form(np.zeros(1), np.zeros((0, 1)), np.full(1, np.inf), lo, hi)) is finite


def test_a_poor_inverse_and_uncertain_slopes_prove_nothing_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """x+ = x^3 rests at 0, just beside the box: I - Y G is neither centred nor narrow."""
    inverse = np.linalg.inv
    monkeypatch.setattr(np.linalg, "inv", lambda G: 0.5 * inverse(G))
    for low, high, found in ((1e-3, 0.4, False), (-0.4, -1e-3, False), (-0.3, 0.4, True), (-0.4, 0.3, True)):
        assert cc._has_one_zero(cubic(), np.array([low, -0.1]), np.array([high, 0.1])) is found


def test_every_parameter_and_every_limit_has_an_interval() -> None:
    """The second of two backwards."""
    one = {"name": "p", "lower": (1.0).hex(), "upper": (2.0).hex()}
    assert cc._parameters([one, one | {"name": "q"}])[1].tolist() == [[1, 2], [1, 2]]
    inner, outer = (one | {"name": "q", "lower": a.hex(), "upper": b.hex()} for a, b in ((1.5, 1.25), (3.0, 2.5)))
    for pair in ([one, inner], [inner, one], [one, outer], [outer, one]):
        with pytest.raises(Rejected, match="empty interval"):
            cc._parameters(pair)
    for low, high in (([0.0, 2.0], [1.0, 1.0]), ([2.0, 0.0], [1.0, 1.0])):
        with pytest.raises(Rejected, match="empty interval"):
            cc.Layer({"type": "hardtanh", "n": 2, "low": hexed(low), "high": hexed(high)})
    for beta in ([1.0, 0.0], [-1.0, 1.0]):
        with pytest.raises(Rejected, match="beta"):
            cc.Layer({"type": "softplus", "n": 2, "beta": hexed(beta)})


def test_errors_of_float32_are_added_to_those_of_the_action() -> None:
    """1/8 and what float32 does to weights of 1e5."""
    policy = {"layers": [affine([[1e5, 3e4]])]}
    line, seen = cc.Loop(policy, model(0.5, 0.25), 2, 0.125, True), list[Any]()
    start = boxed([1, 1], [2, 2])
    _, _, wrong = line.network(start)
    assert 0.01 < wrong[0, 0] < 1
    line.step_program = lambda numbers: seen.extend(numbers) or numbers[:2]  # type: ignore[assignment]
    line.step([Number(f) for f in start])
    exact = float(line.network(start)[0][0].r[0]) + 0.125 + float(wrong[0, 0])
    assert exact <= np.abs(seen[2].value.G[-1, 0]) <= exact * CLOSE


def test_each_of_two_parameters_has_a_symbol_of_its_own() -> None:
    line = loop(0.5, 0.25, parameters=[(1.0, 3.0), (-2.0, 4.0)])
    first, second = line._given(1)
    assert [np.nonzero(f.G[:, 0])[0].tolist() for f in (first, second)] == [[2], [3]] and line.kept == 4
    assert (float(first.c[0]), float(second.c[0])) == (2.0, 1.0) and 3.0 <= second.G[3, 0] <= 3.0 * CLOSE


def test_a_state_that_is_undefined_in_part_is_undefined() -> None:
    """x+ = sqrt(y + 1/2) - 1/2, y+ = 3/10 |y|: after two steps from y = -3/4 all is defined again, but nothing is."""
    code = [["add", 1, 3], ["sqrt", 6], ["sub", 7, 4], ["abs", 1], ["mul", 9, 5], ["add", 8, 2]]
    step = program(3, [0.5, 0.5, 0.3], code, [11, 10])
    fields = {"name": "r", "dt": (1.0).hex(), "step": step, "observe": program(2, [], [], [1, 1])}
    line = cc.Loop(ZERO_POLICY, fields, 2)
    x = boxed([0.0, -0.8], [0.1, -0.7])
    with np.errstate(all="ignore"):
        once = cc._advanced(line, x, 1)
        for forms in (once, cc._advanced(line, x, 2), cc._advanced(line, cc._collapsed(once, line.kept), 1)):
            assert np.isnan([end for form in forms for end in form.range()]).all()
        assert near(ends(cc._advanced(line, boxed([0.0, 0.2], [0.0, 0.3]), 2)[1]), 0.018, 0.027)


def test_errors_below_a_roundings_of_the_action_are_counted() -> None:
    """1 + 1e-17 is 1 in doubles: the image of a cell seemed to end where the grid does."""
    policy = {
        "layers": [affine([[3.0, 0.0]]), {"type": "hardtanh", "n": 1, "low": hexed([-1.0]), "high": hexed([1.0])}]
    }
    line = cc.Loop(policy, model(0.0, 0.25), 2, 1e-17)
    seen: list[Any] = []
    line.step_program = lambda numbers: seen.append(numbers) or numbers[:2]  # type: ignore[assignment]
    line.step([Number(f) for f in boxed([-3, 0], [3, 0])])
    lo, hi = ends(seen[0][2].value)
    assert lo < -1.0 and hi > 1.0
