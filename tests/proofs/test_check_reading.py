"""The exact checker: networks, plants, sets, bounds and whole files as they are read; affine forms."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lipctrl.proofs import check as ck
from lipctrl.proofs.check import Form, Matrix, Rejected
from tests.proofs.parts_for_tests import (
    RELU,
    accepted,
    affine,
    certificate,
    claim,
    exact,
    fractions,
    hexed,
    lipschitz,
    lyapunov,
    network,
    neurons,
    plant,
)


def test_networks_are_read_as_a_chain_of_affine_and_scalar_layers() -> None:
    """Identities between neighbours of one kind and at the ends; widths and parameters checked; the digest."""
    read = ck.read_network(
        network(
            neurons("relu", 2),
            affine([[1.0, 2.0]], [0.5]),
            affine([[3.0], [4.0]]),
            neurons("tanh", 2),
            neurons("hardtanh", 2, low=-1.0, high=1.0),
        )
    )
    assert read.kinds == ["relu", "identity", "tanh", "hardtanh"]
    assert [exact(w) for w in read.weights] == [
        fractions(w) for w in (np.eye(2), [[1, 2]], [[3], [4]], np.eye(2), np.eye(2))
    ]
    assert read.biases[1] == [Fraction(1, 2)] and read.biases[-1] == [0, 0] and (read.n_in, read.n_out) == (2, 2)
    digest = hashlib.sha256()
    digest.update(
        b"relu 2\naffine 1 2\n" + struct.pack(">3d", 1, 2, 0.5) + b"affine 2 1\n" + struct.pack(">4d", 3, 4, 0, 0)
    )
    digest.update(b"tanh 2\nhardtanh 2\nhigh\n" + struct.pack(">2d", 1, 1) + b"low\n" + struct.pack(">2d", -1, -1))
    assert read.sha256 == digest.hexdigest()
    open_ = ck.read_network(network({"type": "hardtanh", "n": 1, "low": ["-inf"], "high": ["inf"]}))
    assert open_.activations[0][0].slopes_everywhere() == (1, 1)
    for layers in (
        [],
        [neurons("cube")],
        [affine([[1.0]]), affine([[1.0, 1.0]])],
        [affine([[1.0]]), neurons("relu", 2)],
        [neurons("relu", 0)],
        [neurons("relu", ck.MAX_WIDTH + 1)],
        [{"type": "relu", "n": True}],
        [{"type": "relu", "n": 1.0}],
        [neurons("elu")],
        [neurons("relu", alpha=1.0)],
        [affine([[]])],
        [{"type": "hardtanh", "n": 1, "low": ["inf"], "high": ["inf"]}],
        [neurons("hardtanh", low=1.0, high=0.0)],
        [{"type": "elu", "n": 1, "alpha": ["inf"]}],
        [neurons("softplus", beta=0.0)],
        ["relu"],
        [affine([[1.0]]) | {"b": hexed([1.0, 1.0])}],
    ):
        with pytest.raises(Rejected):
            ck.read_network({"layers": layers})
    with pytest.raises(Rejected):
        ck.read_network({"layers": [neurons("relu")], "x": 1})


def test_plants_are_read() -> None:
    fields = {
        "A": hexed([[1, 2], [3, 4]]),
        "B": hexed([[5], [6]]),
        "C": hexed([[7, 8], [9, 10], [11, 12]]),
        "D": hexed([[0], [0], [13]]),
        "dt": (0.5).hex(),
        "x0": hexed([1, 2]),
        "y0": hexed([3, 4, 5]),
        "u0": hexed([6]),
    }
    read = ck.read_plant(fields)
    assert (read.n_states, read.n_in, read.n_out, read.dt, read.x0, read.y0) == (2, 1, 3, 0.5, [1, 2], [3, 4, 5])
    assert [exact(getattr(read, k))[-1][-1] for k in "ABCD"] == [4, 6, 12, 13]
    numbers = [*range(1, 5), 5, 6, *range(7, 13), 0, 0, 13, 0.5, 1, 2, 3, 4, 5, 6]
    assert read.sha256 == hashlib.sha256(b"plant 2 1 3\n" + struct.pack(f">{len(numbers)}d", *numbers)).hexdigest()
    for change in (
        {"dt": (-0.5).hex()},
        {"A": hexed([[1, 2]])},
        {"B": hexed([[5]])},
        {"C": hexed([[1]])},
        {"D": hexed([[0]])},
        {"x0": hexed([1])},
        {"y0": hexed([1])},
        {"u0": hexed([1, 2])},
        {"B": [[], []], "D": [[], [], []], "u0": []},
        {"extra": 1},
    ):
        with pytest.raises(Rejected):
            ck.read_plant(fields | change)
    assert ck.read_plant(fields | {"dt": (0.0).hex()}).dt == 0.0


def test_sets_bounds_multipliers_and_scalings_are_read() -> None:
    box = {"center": hexed([1.0, 2.0]), "ball_generators": [[], []], "box": hexed([0.5, 0.0])}
    region = ck.read_input_set(box, 2)
    assert region is not None and (region.center, region.ball, region.box) == ([1, 2], [[], []], [0.5, 0])
    assert region.words() == "observations y with |y_i - center_i| <= box_i, center = [1.0, 2.0], box = [0.5, 0.0]"
    round_ = ck.read_input_set(box | {"ball_generators": hexed([[1.0], [0.0]])}, 2)
    assert round_ is not None and round_.words() == (
        "observations center + G z + diag(box) e, |z|_2 <= 1, |e|_inf <= 1, center = [1.0, 2.0], "
        "G = [[1.0], [0.0]], box = [0.5, 0.0]"
    )
    many = {"center": hexed([0.0] * 13), "ball_generators": [[]] * 13, "box": hexed([0.0] * 13)}
    wide = ck.read_input_set(many, 13)
    assert (
        wide is not None
        and wide.words() == "13-dimensional input set of the file"
        and ck.read_input_set(None, 2) is None
    )
    for change in (
        {"box": hexed([0.5, -0.5])},
        {"box": hexed([0.5])},
        {"center": hexed([0.5])},
        {"ball_generators": [[]]},
        {"ball_generators": [[], ["0x1.0p+0"]]},
        {"x": 1},
    ):
        with pytest.raises(Rejected):
            ck.read_input_set(box | change, 2)
    relu = ck.read_network(RELU)
    entry = {"range": hexed([[-1.0, 2.0]]), "slope": hexed([[0.0, 1.0]]), "relaxation": hexed([[0.5, 0.25, 0.75]])}
    (bounds,) = ck.read_bounds([entry], relu)
    assert (bounds.ranges, bounds.slopes) == ([(-1, 2)], [(0, 1)]) and bounds.relaxation == [(0.5, 0.25, 0.75)]
    (free,) = ck.read_bounds([entry | {"range": None, "relaxation": None}], relu)
    assert free.ranges is None and free.relaxation is None
    for change in (
        {"range": hexed([[2.0, -1.0]])},
        {"slope": hexed([[1.0, 0.0]])},
        {"slope": None},
        {"slope": hexed([[0.0]])},
        {"relaxation": hexed([[1.0, 1.0]])},
        {"range": hexed([[0.0, 1.0]] * 2)},
    ):
        with pytest.raises(Rejected):
            ck.read_bounds([entry | change], relu)
    for bad in ([], [entry, entry]):
        with pytest.raises(Rejected):
            ck.read_bounds(bad, relu)
    assert ck.read_multipliers([hexed([0.0])], relu) == [[0]]
    for bad in ([hexed([-1.0])], [hexed([1.0, 1.0])], []):
        with pytest.raises(Rejected):
            ck.read_multipliers(bad, relu)
    three = ck.read_network(network(affine(np.ones((3, 1))), neurons("relu", 3), affine(np.ones((1, 3)))))
    assert ck.read_multipliers([hexed([1.0, 0.0, 2.0])], three) == [[1, 0, 2]]
    for k in range(3):
        with pytest.raises(Rejected, match="negative"):
            ck.read_multipliers([hexed([-5e-324 if i == k else 1.0 for i in range(3)])], three)
    fields = {"shift": None, "output_weight": None, "input_weight": hexed([1.0, 2.0])}
    one = ck.read_scaling(fields, 1, 2)
    assert one.shift is None and one.output_weight == [1] and one.input_weight == [1, 2]
    zero = ck.read_scaling(fields | {"shift": hexed([[0.0, 0.0]])}, 1, 2)
    other = ck.read_scaling(fields | {"shift": hexed([[0.0, 1.0]])}, 1, 2)
    heavy = ck.read_scaling(fields | {"output_weight": hexed([2.0])}, 1, 2)
    assert one.same(one) and one.same(zero) and zero.same(one) and other.same(other)
    assert not (
        one.same(other) or other.same(one) or other.same(zero) or one.same(heavy) or heavy.same(one) or zero.same(heavy)
    )
    light = ck.read_scaling(fields | {"input_weight": None}, 1, 2)
    assert not one.same(light) and not light.same(one)
    for change in (
        {"output_weight": hexed([0.0])},
        {"output_weight": hexed([1.0, 1.0])},
        {"shift": hexed([[1.0]])},
        {"input_weight": hexed([-1.0, 1.0])},
    ):
        with pytest.raises(Rejected):
            ck.read_scaling(fields | change, 1, 2)


def test_forms_by_hand() -> None:
    """Center, ball, box and radius in units of 2^-256; what is cut off is counted."""
    unit = 1 << 256
    form = Form.of([Fraction(1), Fraction(-1, 3)], Matrix([[1, 0], [0, 3]], 2, -1), [Fraction(0), Fraction(1, 4)])
    assert form.center == [unit, -((unit + 2) // 3)] and form.ball == [[unit // 2, 0], [0, 3 * unit // 2]]
    assert form.box == [[0, 0], [0, unit // 4]] and form.radius == [0, 1]
    assert form.range(0) == (Fraction(1, 2), Fraction(3, 2))
    low, high = form.range(1)
    assert low <= Fraction(-1, 3) - Fraction(7, 4) and Fraction(-1, 3) + Fraction(7, 4) <= high <= Fraction(
        -1, 3
    ) + Fraction(7, 4) + Fraction(3, unit)
    diagonal = Form([0], [[3 * unit, 4 * unit]], [[]], [0])
    assert diagonal.range(0) == (-5, 5)
    around = Form.around([(Fraction(-1), Fraction(2)), (Fraction(1, 3), Fraction(1, 3))])
    assert around.range(0) == (-1, 2) and around.center[0] == unit // 2 and around.radius[1] == 1
    moved = form.affine(Matrix([[1, 2]], 2, 0), [Fraction(1, 3)])
    low, high = moved.range(0)
    # 1 - 2/3 + 1/3 = 2/3; ball (1/2, 3), box 1/2
    reach = math.sqrt(0.25 + 9) + 0.5
    assert float(low) == pytest.approx(2 / 3 - reach) and float(high) == pytest.approx(2 / 3 + reach)
    relaxed = around.relax([(Fraction(-1, 2), Fraction(1, 3), Fraction(1, 8)), (Fraction(2), Fraction(0), Fraction(0))])
    low, high = relaxed.range(0)
    assert Fraction(-2, 3) - Fraction(1, 8) - Fraction(9, unit) <= low <= Fraction(-2, 3) - Fraction(1, 8)
    assert Fraction(5, 6) + Fraction(1, 8) <= high <= Fraction(5, 6) + Fraction(1, 8) + Fraction(9, unit)
    assert (ck._floor(Fraction(-1, 3)), ck._ceil(Fraction(-1, 3))) == (-(unit // 3) - 1, -(unit // 3))
    assert (
        ck._cut(5, -1) == (2, 1)
        and ck._cut(4, -1) == (2, 0)
        and ck._cut(5, 1) == (10, 0)
        and ck._cut(-5, -1) == (-3, 1)
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"extra": 1}, "unknown"),
        ({"network": None}, "null"),
        ({"network_sha256": "0" * 64}, "network_sha256 is not that of the network in the file"),
        ({"plant_sha256": "0" * 64}, "plant_sha256 is not that of the plant in the file"),
        ({"policy_sha256": "0" * 63}, "is not a sha256"),
        ({"policy_sha256": "A" * 64}, "is not a sha256"),
        ({"policy_sha256": 1}, "is not a sha256"),
        ({"plant": None}, "null"),
        ({"P": hexed([[1.0, 0.0]])}, "P"),
        ({"disturbed": 1}, "disturbed"),
    ],
)
def test_fields_of_a_certificate(change: dict[str, Any], reason: str) -> None:
    good = certificate("lyapunov", network=RELU, plant=plant(0.0, 0.5), **lyapunov(1.0))
    digests = {"network_sha256": ck.read_network(RELU).sha256, "plant_sha256": ck.read_plant(plant(0.0, 0.5)).sha256}
    assert claim(good | digests | {"claim": 1, "assumptions": 2, "information": 3, "policy_sha256": None})
    with pytest.raises(Rejected, match=reason):
        claim(good | change)
    with pytest.raises(Rejected, match="unknown"):
        claim(certificate("lipschitz", network=RELU, disturbed=None, **lipschitz()))
    assert claim(certificate("lipschitz", network=RELU, plant=plant(0.5), **lipschitz()))
    with pytest.raises(Rejected, match="missing"):
        claim(certificate("lipschitz", **lipschitz()))


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit codes and first words, in this process."""
    path = tmp_path / "c.json"
    fields = certificate("lipschitz", network=RELU, **lipschitz(upper=(2.0).hex()))
    path.write_text(json.dumps(fields))
    assert ck.main([str(path)]) == 0
    assert capsys.readouterr().out == "ACCEPTED (lipschitz)\n" + "\n".join(claim(fields)) + "\n"
    path.write_text(json.dumps(fields | {"rho": (0.5).hex()}))
    assert ck.main([str(path)]) == 1 and capsys.readouterr().out.startswith("REJECTED: the Lipschitz inequality")
    path.write_text("{")
    assert ck.main([str(path)]) == 2 and capsys.readouterr().out.startswith("UNREADABLE: not JSON")
    for arguments in ([], ["-x"], [str(path), str(path)]):
        assert ck.main(arguments) == 2 and "usage" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------- to the letter


def test_limits_are_those_of_the_format() -> None:
    assert (ck.VERSION, ck.MAX_BYTES, ck.MAX_DEPTH, ck.MAX_WIDTH) == (1, 32 * 1024 * 1024, 24, 131072)
    assert (ck.MAX_IDENTITY, ck.MAX_WORK, ck.MAX_SECONDS) == (4096, 1_000_000_000, 600)


def test_files_at_the_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many bytes, levels and entries as are allowed, and one more."""
    path, good = tmp_path / "c.json", {"format": "lipctrl-certificate", "version": 1}

    def reason(text: str) -> str:
        path.write_text(text)
        try:
            ck.read(path)
        except ck.Unreadable as error:
            return str(error)
        return ""

    text = json.dumps(good)
    monkeypatch.setattr(ck, "MAX_BYTES", len(text))
    assert reason(text) == "" and reason(text + " ") == f"the file is larger than {len(text)} bytes"
    monkeypatch.undo()
    for depth, brackets in ((23, "[]"), (24, "[]")):
        nested: Any = 0
        for _ in range(depth - 1):
            nested = [nested]
        assert reason(json.dumps(good | {"x": nested})) == ("" if depth == 23 else "nested deeper than 24 levels")
        named: Any = 0
        for _ in range(depth - 1):
            named = {"y": named}
        assert (reason(json.dumps(good | {"x": named})) == "") is (depth == 23), brackets
    long = "1" + "0" * 400 + ".0"
    assert reason(f'{{"x": {long}}}') == f"the number {long[:40]} overflows"
    assert reason('{"x": 1e5, "x": 2}').endswith("a key occurs twice in one object")
    for change in ({"format": "lipctrl"}, {"format": None}, {"format": 1}):
        assert reason(json.dumps(good | change)) == "not a lipctrl certificate"
    for text in ("[]", "1", "null", '"lipctrl-certificate"'):
        assert reason(text) == "not a lipctrl certificate"
    for version in (2, 0, True, 1.0, "1", None):
        assert reason(json.dumps(good | {"version": version})) == "this checker reads version 1 alone"
    assert reason(json.dumps({"format": "lipctrl-certificate"})) == "this checker reads version 1 alone"
    for text in ('{"x": NaN}', '{"x": -Infinity}'):
        assert reason(text).endswith(f"{text[6:-1]} is not allowed")
    path.write_bytes(b"")
    assert ck.check(path) == ck.Result(False, "", ck.check(path).reason, None, False)
    path.write_text(json.dumps(good | {"theorem": "hinf"}))
    names = "lipschitz, hinf_norm, small_gain, lyapunov, instability"
    assert ck.check(path) == ck.Result(False, "", f"the theorem is not one of {names}", None, True)
    path.write_text(json.dumps(certificate("lipschitz", network=RELU, **lipschitz())))
    assert ck.check(path) == ck.Result(True, ck.check(path).claim, "", "lipschitz", True)
    path.write_text(json.dumps(certificate("lipschitz", network=RELU, **lipschitz(rho=(0.5).hex()))))
    refused = "the Lipschitz inequality is not proved positive definite"
    assert ck.check(path) == ck.Result(False, "", refused, "lipschitz", True)


def test_files_are_read_plain_or_compressed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong is an answer."""
    path, fields = tmp_path / "c", certificate("lipschitz", network=RELU, **lipschitz())
    for data, readable in (
        (json.dumps(fields).encode(), True), (gzip.compress(json.dumps(fields).encode()), True),
        (b"\x1f" + json.dumps(fields).encode(), False), (gzip.compress(b"{}"), False), (b"\x1f\x8b", False),
    ):  # fmt: skip
        path.write_bytes(data)
        assert (ck.check(path).accepted, ck.check(path).readable) == (readable, readable)
    path.write_text(json.dumps(fields))

    def fails(*_: Any) -> Any:
        raise KeyError

    monkeypatch.setattr(ck, "_derive", fails)
    assert ck.check(path) == ck.Result(False, "", "the check failed: KeyError", "lipschitz", True)
    monkeypatch.setattr(ck, "read", fails)
    assert ck.check(path) == ck.Result(False, "", "cannot read the file: KeyError", None, False)


def test_widths_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ck, "MAX_WIDTH", 3)
    for layers, true in (
        ([affine(np.ones((3, 3)))], True),
        ([affine(np.ones((4, 3)))], False),
        ([affine(np.ones((3, 4)))], False),
        ([neurons("relu", 3)], True),
        ([neurons("relu", 4)], False),
        ([affine(np.ones((3, 2))), neurons("relu", 2)], False),
        ([affine(np.ones((2, 3))), affine(np.ones((1, 2)))], True),
        ([affine(np.ones((2, 3))), affine(np.ones((1, 3)))], False),
    ):
        assert accepted(lambda layers=layers: ck.read_network(network(*layers))) is true, layers


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0x1p+0", 1.0), ("0x1p0", 1.0), ("-0x1.8p-1", -0.75), ("0x1.fffffffffffffp+1023", 1.7976931348623157e308),
        ("0x1p-1022", 2.0**-1022), ("0x1p-1023", None), ("0x1p+1024", None), ("0x1p1023", 2.0**1023),
        ("0x0.8p-1022", 2.0**-1023), ("0x0.8p-1021", None), ("0x0.8p-1023", None), ("0x0.0000000000001p-1022", 5e-324),
        ("0x0p+0", 0.0), ("-0x0.0p+0", -0.0), ("0x0.00p+7", 0.0), ("0x1.00000000000001p+0", None), ("0x1.p+0", None),
        ("0x1p+00001", None), ("0x1p+0001", 2.0), ("0x3p+0", None), ("x" * 50, None),
    ],
)  # fmt: skip
def test_numbers_at_the_limits(text: str, value: float | None) -> None:
    if value is None:
        with pytest.raises(Rejected) as caught:
            ck._number(text, "x")
        shown = f"{text[:40]!r} is not a finite double in hexadecimal, such as '0x1.8p+1'"
        assert str(caught.value) in (f"x: {shown}", f"x: {text!r} is not a double in its usual form")
    else:
        assert (ck._number(text, "x"), math.copysign(1, ck._number(text, "x"))) == (value, math.copysign(1, value))


def test_refusals_say_what_was_found() -> None:
    for call, words in (
        (lambda: ck._list(1, None, "x"), "x: expected a list"),
        (lambda: ck._list([1], 2, "x"), "x: expected a list of 2 entries"),
        (lambda: ck._list([], 0, "x") or ck._reject("none"), "none"),
        (lambda: ck._rows([], None, None, "x"), "x: expected a matrix with rows of one length"),
        (lambda: ck._rows([[], hexed([1.0])], 2, None, "x"), "x: expected a matrix with rows of one length"),
        (lambda: ck._rows([hexed([1.0]), hexed([1.0, 2.0])], 2, None, "x"), "x: expected a matrix with rows"),
        (lambda: ck._positive((0.0).hex(), "x"), "x must be positive"),
        (lambda: ck._symmetric(hexed([[1.0, 2.0], [3.0, 4.0]]), 2, "x"), "x is not symmetric"),
        (lambda: ck._object([], (), (), "x"), "x: expected an object"),
        (lambda: ck._object({"a": 1, "c": 2}, ("b",), ("c",), "x"), "x: missing ['b'], unknown ['a']"),
        (lambda: ck._object({f"{i}" * 50: 0 for i in range(10)}, (), (), "x"),
         f"x: missing [], unknown {[f'{i}' * 40 for i in range(8)]}"),
        (lambda: ck._number(3, "x"), "x: int is not a finite double in hexadecimal"),
        (lambda: ck._read_parameters({"type": "relu", "n": 2}, "relu", 3, "x"), "x.n: expected 3, at most 131072"),
        (lambda: ck._read_parameters({"type": "relu", "n": 0}, "relu", None, "x"), "x.n: expected a count, at most"),
        (lambda: Matrix.eye(2) @ Matrix.eye(3), "matrices of 2 columns and 3 rows cannot be multiplied"),
        (lambda: ck._limit("it", 7, 2 * 10**9), "it has order 7 and would take about 2.0e+09 multiplications"),
    ):  # fmt: skip
        with pytest.raises(Rejected) as caught:
            call()
        assert str(caught.value).startswith(words), words
    one = ck._rows(hexed([[1.0, 2.0]]), 1, 2, "x")
    assert one == [[1.0, 2.0]] and ck._positive((5e-324).hex(), "x") == 5e-324
    assert ck._object({"b": 1}, ("b",), ("c",), "x") == {"b": 1} and ck._weights(None, 3, "x") == [1, 1, 1]


def test_words_of_sets_of_twelve_and_thirteen() -> None:
    for n, short in ((12, True), (13, False)):
        words = ck.InputSet([0.0] * n, [[]] * n, [1.0] * n).words()
        assert words.startswith("observations y") is short
        assert (words == "13-dimensional input set of the file") is not short


def test_hardtanh_alone_may_be_open() -> None:
    for low, high, true in (
        ("-inf", "inf", True),
        ("-inf", "-inf", False),
        ("inf", "inf", False),
        ("inf", "-inf", False),
    ):
        layer = {"type": "hardtanh", "n": 1, "low": [low], "high": [high]}
        assert accepted(lambda layer=layer: ck.read_network(network(layer))) is true
    read = ck.read_network(network({"type": "hardtanh", "n": 2, "low": ["-inf", "0x1p+0"], "high": ["0x1p+1", "inf"]}))
    assert [phi.kinks for phi in read.activations[0]] == [(2,), (1,)]
    for kind, name in (("leaky_relu", "negative_slope"), ("elu", "alpha"), ("softplus", "beta")):
        assert not accepted(lambda k=kind, p=name: ck.read_network(network({"type": k, "n": 1, p: ["inf"]})))
        read = ck.read_network(network({"type": kind, "n": 2, name: hexed([0.5, 0.25])}))
        steepest = [phi.slopes_everywhere() for phi in read.activations[0]]
        assert steepest[0] == {"leaky_relu": (Fraction(1, 2), 1)}.get(kind, (0, 1))
        below = Fraction(-1)
        assert read.activations[0][0].value(below) != read.activations[0][1].value(below)


def test_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    token = ck._deadline.set(100.0)
    monkeypatch.setattr(ck.time, "monotonic", lambda: 99.0)
    ck._tick()
    monkeypatch.setattr(ck.time, "monotonic", lambda: 101.0)
    with pytest.raises(Rejected, match="the time limit is over"):
        ck._tick()
    ck._deadline.reset(token)
