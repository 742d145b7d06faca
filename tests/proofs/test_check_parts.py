"""The exact checker part by part: scalar theorems at their edges, readers, and each claim word by word."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import flint
import numpy as np
import pytest

from lipctrl.proofs import check as ck
from lipctrl.proofs.check import Form, LayerBounds, Matrix, Rejected, Symmetric

HAIR = 2.0**-40


def hexed(x: Any) -> Any:
    return [hexed(v) for v in x] if np.ndim(x) else float(x).hex()


def affine(W: Any, b: Any = None) -> dict[str, Any]:
    return {"type": "affine", "W": hexed(W), "b": hexed(np.zeros(len(W)) if b is None else b)}


def network(*layers: dict[str, Any]) -> dict[str, Any]:
    return {"layers": list(layers)}


def neurons(kind: str, n: int = 1, **parameters: float) -> dict[str, Any]:
    return {"type": kind, "n": n, **{name: hexed([value] * n) for name, value in parameters.items()}}


RELU = network(affine([[1.0]]), neurons("relu"), affine([[1.0]]))


def exact(matrix: Matrix) -> list[list[Fraction]]:
    return [[Fraction(x) * Fraction(2) ** matrix.exponent for x in row] for row in matrix.rows]


def fractions(x: Any) -> list[list[Fraction]]:
    return [[Fraction(float(v)) for v in row] for row in x]


def product(A: Any, B: Any) -> list[list[Fraction]]:
    return [
        [sum((a * b for a, b in zip(row, col, strict=True)), Fraction(0)) for col in zip(*B, strict=True)] for row in A
    ]


# ------------------------------------------------------------------------------------------------------------- matrices


@pytest.mark.parametrize("seed", range(6))
def test_matrices_are_those_of_fractions(seed: int) -> None:
    """Of graded doubles, with zeros; long sparse rows go another way."""
    rng = np.random.default_rng(seed)
    A, B, C = (rng.standard_normal(s) * 2.0 ** rng.integers(-60, 60, s) for s in ((3, 20), (20, 2), (3, 20)))
    A[0, 2:], A[1] = 0.0, 0.0  # two of twenty: sparse
    a, b, c = Matrix.of(A.tolist(), 20), Matrix.of(B.tolist(), 2), Matrix.of(C.tolist(), 20)
    fa, fb, fc = fractions(A), fractions(B), fractions(C)
    assert (
        exact(a) == fa
        and exact(a @ b) == product(fa, fb)
        and exact(a.T) == [list(col) for col in zip(*fa, strict=True)]
    )
    assert exact(a + c) == [[x + y for x, y in zip(p, q, strict=True)] for p, q in zip(fa, fc, strict=True)]
    assert exact(a - c) == [[x - y for x, y in zip(p, q, strict=True)] for p, q in zip(fa, fc, strict=True)]
    assert exact(abs(c)) == [[abs(x) for x in row] for row in fc] and exact(-c) == [[-x for x in row] for row in fc]
    weights = [Fraction(3, 4), Fraction(-5), Fraction(1, 1024)]
    assert exact(c.scale_rows(Matrix.exact(weights))) == [
        [w * x for x in row] for w, row in zip(weights, fc, strict=True)
    ]
    assert exact(c.twice()) == [[2 * x for x in row] for row in fc]
    assert exact(c.take_rows([2, 0])) == [fc[2], fc[0]] and exact(c.take_columns([3, 3, 1])) == [
        [r[3], r[3], r[1]] for r in fc
    ]
    assert (c.take_rows([2]).cols, c.take_columns([3, 1]).cols, a.T.cols, (a @ b).cols) == (20, 2, 3, 2)
    assert (a - a).is_zero() and not a.is_zero()
    assert exact(Matrix.diagonal(weights)) == [[weights[i] if i == j else 0 for j in range(3)] for i in range(3)]
    assert exact(Matrix([[4, 8], [12, 0]], 2, -3).short()) == [[Fraction(1, 2), 1], [Fraction(3, 2), 0]]
    assert Matrix([[4, 8], [12, 0]], 2, -3).short().exponent == -1 and Matrix([[0]], 1, 5).short().is_zero()
    assert Matrix([[3]], 1, 2).at(0) == [[12]] and Matrix([[3]], 1, 2).at(2) == [[3]]


def test_matrices_that_do_not_fit_are_refused() -> None:
    one, wide = Matrix([[1]], 1), Matrix([[1, 2]], 2)
    for call in (lambda: wide @ wide, lambda: one + wide, lambda: Matrix.eye(4097), lambda: wide + wide.T):
        with pytest.raises(Rejected):
            call()
    assert Matrix.eye(2).rows == [[1, 0], [0, 1]]
    symmetric = Symmetric([1, 2])
    with pytest.raises(Rejected, match="shape"):
        symmetric.add(1, 0, one)


def test_symmetric_matrices_are_added_up_from_blocks() -> None:
    """[[1, 2 4], [., 3 5; 5 7]], the block above the diagonal turned; rows begin with what is not zero."""
    matrix = Symmetric([1, 2])
    matrix.add(0, 0, Matrix([[1]], 1))
    matrix.add(0, 1, Matrix([[1, 2]], 2, 1))
    matrix.add(1, 1, Matrix([[3, 5], [5, 7]], 2))
    assert matrix.lower() == ([[1], [2, 3], [4, 5, 7]], 0)
    matrix.add(1, 0, Matrix([[-2], [0]], 1))
    assert matrix.lower() == ([[1], [3], [4, 5, 7]], 0)
    matrix.add(1, 1, Matrix([[1, 0], [0, 1]], 2, -1))
    assert matrix.lower() == ([[2], [7], [8, 10, 15]], -1)
    gram = Symmetric([1, 1])
    gram.add_gram(
        {0: Matrix([[1], [2]], 1), 1: Matrix([[3], [4]], 1)}, {0: Matrix([[1], [2]], 1), 1: Matrix([[3], [4]], 1)}
    )
    assert gram.lower() == ([[5], [11, 25]], 0)
    empty = Symmetric([2, 0, 1])
    empty.add(0, 0, Matrix.eye(2))
    empty.add(2, 2, Matrix([[1]], 1))
    assert empty.lower()[0] == [[1], [1], [1]]
    empty.prove_positive("x")
    with pytest.raises(Rejected, match="x is not proved"):
        matrix.prove_positive("x")


def test_work_is_limited() -> None:
    ck._limit("x", 5, 10**9)
    with pytest.raises(Rejected, match="order 5"):
        ck._limit("x", 5, 10**9 + 1)
    ck._check_chain([10, 500, 500])
    with pytest.raises(Rejected):
        ck._check_chain([10, 700, 700])  # 700 (1400)^2 > 1e9
    with pytest.raises(Rejected):
        ck._check_chain([10, 0, 700, 700])
    ck._check_chain([10, 700, 700], 1)  # 700 * 701^2 + 700 * 710^2 < 1e9
    with pytest.raises(Rejected):
        ck._check_chain([10, 700, 700], 700)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_definite_up_to_a_hair(n: int) -> None:
    """J + h I, J all ones: smallest eigenvalue h; any exponent; rows in full."""
    for exponent in (-300, -61, 0, 200):
        for h, definite in ((1, True), (0, n == 1), (-1, False)):
            unit = 10**12
            lower = [[unit + (h if i == j else 0) for j in range(i + 1)] for i in range(n)]
            assert ck.positive_definite(lower, exponent) is (definite or (n == 1 and unit + h > 0))
    diagonal = [[0] * i + [3] for i in range(n)]
    for radius, definite in ((2, n == 1), (3, False)):
        full = [[radius] * n for _ in range(n)]
        truth = 3 - radius * n > 0
        assert ck.positive_definite(diagonal, 0, full) is truth and (definite or not truth)
    assert (ck._shift(5, 2), ck._shift(5, -1), ck._shift(-5, -1), ck._shift(7, 0)) == (20, 2, -3, 7)


# ------------------------------------------------------------------------------------------------- elementary functions


def close(found: ck.Range, true: flint.arb, digits: int = 55) -> None:
    """The enclosure holds and is within that many digits."""
    low, high = (flint.arb(flint.fmpq(v.numerator, v.denominator)) for v in found)
    assert low <= true <= high
    assert high - low <= abs(true) * flint.arb(10) ** -digits + flint.arb(10) ** -300


ARGUMENTS = [
    Fraction(0),
    Fraction(1, 3),
    Fraction(-5, 7),
    Fraction(3),
    Fraction(-29),
    Fraction(61, 2),
    Fraction(-41),
    Fraction(1, 2**120),
    Fraction(-1, 2**70),
    Fraction(1),
    Fraction(-1),
    Fraction(30),
]


@pytest.mark.parametrize("x", ARGUMENTS)
def test_elementary_functions_to_fifty_digits(x: Fraction, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flint.ctx, "prec", 2500)
    v = flint.arb(flint.fmpq(x.numerator, x.denominator))
    close(ck._exp(-abs(x)), (-abs(v)).exp())
    few = 35 if 0 < abs(x) < Fraction(1, 2**60) else 50  # of a difference of two numbers near 1
    close(ck._expm1(-abs(x)), (-abs(v)).exp() - 1, few)
    close(ck._sigmoid(x), 1 / (1 + (-v).exp()))
    close(ck._sigmoid_slope(x), (-v).exp() / (1 + (-v).exp()) ** 2)
    close(ck._tanh(x), v.tanh(), few)
    close(ck._density(x), (-v * v / 2).exp() / (2 * flint.arb.pi()).sqrt())
    phi = (-v / flint.arb(2).sqrt()).erfc() / 2
    close(ck._distribution(x), phi, 24 if abs(x) > 30 else 50)
    if x >= 0 and x <= 1:
        close(ck._log1p((x, x)), (1 + v).log(), few)
    if x > 0:
        close(ck._sqrt((x, x)), v.sqrt())
    silu = v / (1 + (-v).exp())
    close(ck._silu(x), silu)
    s = 1 / (1 + (-v).exp())
    close(ck._silu_slope(x), s + v * s * (1 - s), 50)
    close(ck._gelu(x), v * phi, 24 if abs(x) > 30 else 50)
    close(ck._gelu_slope(x), phi + v * (-v * v / 2).exp() / (2 * flint.arb.pi()).sqrt(), 20 if abs(x) > 30 else 48)
    assert ck._exp(Fraction(-2001)) == (0, Fraction(1, 2**2800))


def test_ranges() -> None:
    a, b = (Fraction(-1), Fraction(2)), (Fraction(3), Fraction(5))
    assert ck._add(a, b) == (2, 7) and ck._times(Fraction(2), a) == (-2, 4) and ck._times(Fraction(-2), a) == (-4, 2)
    assert ck._product(a, b) == (-5, 10) and ck._product(a, a) == (-2, 4) and ck._hull([b, a]) == (-1, 5)
    assert ck._negative(lambda x: (x, x + 1))(Fraction(3)) == (-4, -3)


def parabola(shape: int | None, least: Fraction = Fraction(1)) -> tuple[ck.Scalar, ck.Scalar]:
    """1 + (x - 1)^2 / 2, or with the other sign."""
    sign = -1 if shape == -1 else 1
    return (
        lambda x: (least + sign * (x - 1) ** 2 / 2,) * 2,
        lambda x: (sign * (x - 1),) * 2,
    )


def test_least_values_of_convex_concave_and_unknown_functions() -> None:
    for a, b in ((0, 3), (0, 1), (1, 3), (Fraction(-1), Fraction(7, 5)), (2, 3), (-3, 0)):
        a, b = Fraction(a), Fraction(b)
        f, slope = parabola(1)
        true = f(min(max(Fraction(1), a), b))[0]
        found = ck._minimum(f, slope, a, b, 1)
        assert true - Fraction(1, 2**60) <= found <= true
        assert ck._minimum(f, slope, a, b, 1, true) <= true
        assert ck._minimum(f, slope, a, b, 1, true - Fraction(1, 1000)) >= true - Fraction(1, 1000)
        g, fall = parabola(-1)
        assert ck._minimum(g, fall, a, b, -1) == min(g(a)[0], g(b)[0])
        wide = ck._minimum(f, slope, a, b, None)
        # f(a) + min(0, f'(a) - (b - a)) (b - a), |f''| <= 1
        assert wide == f(a)[0] + min(Fraction(0), slope(a)[0] - (b - a)) * (b - a) and wide <= true
        assert ck._minimum(lambda x: (2 * x, 2 * x), lambda x: (Fraction(2),) * 2, a, b, 0) == 2 * a


# -------------------------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("below", [Fraction(0), Fraction(1, 10**6), Fraction(1, 3)])
@pytest.mark.parametrize("above", [Fraction(0), Fraction(1, 10**6), Fraction(1, 3)])
def test_least_values_where_slopes_are_known_roughly(below: Fraction, above: Fraction) -> None:
    """Where the sign of the slope is not known the least value is as far below as the slope allows on either side."""
    f, slope = parabola(1)
    for a, b in ((0, 3), (Fraction(1, 2), Fraction(7, 4)), (0, Fraction(21, 10)), (Fraction(1, 10), 9)):
        found = ck._minimum(f, lambda x: (slope(x)[0] - below, slope(x)[1] + above), Fraction(a), Fraction(b), 1)
        assert 1 - (below + above) * (b - a) - Fraction(1, 10**9) <= found <= 1


@pytest.mark.parametrize("side", [1, -1])
def test_least_values_where_a_slope_may_be_almost_zero_and_is_not(side: int) -> None:
    """Between 1 and 1.4 all that is known of the slope x - 1 is that it lies in [-1e-6, x - 1]; and mirrored at 1."""

    def rough(x: Fraction) -> ck.Range:
        at = x - 1
        return (Fraction(-100), at) if at < 0 else (Fraction(-1, 10**6), at) if at < Fraction(2, 5) else (at, at)

    def slope(x: Fraction) -> ck.Range:
        low, high = rough(1 + side * (x - 1))
        return (low, high) if side > 0 else (-high, -low)

    ends = sorted(1 + side * v for v in (Fraction(-1, 10), Fraction(9, 20)))
    assert ck._minimum(parabola(1)[0], slope, *ends, 1) <= 1


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


def plant(a: float, b: float = 1.0, c: float = 1.0, d: float = 0.0, dt: float = 1.0, y0: float = 0.0) -> dict[str, Any]:
    return {
        "A": hexed([[a]]),
        "B": hexed([[b]]),
        "C": hexed([[c]]),
        "D": hexed([[d]]),
        "dt": dt.hex(),
        "x0": hexed([0.0]),
        "y0": hexed([y0]),
        "u0": hexed([0.0]),
    }


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


# ------------------------------------------------------------------------------------------------------------- theorems


def lipschitz(**change: Any) -> dict[str, Any]:
    """relu: rho (2 t - 1) > t^2, so with t = 1 any rho above 1."""
    fields = {
        "input_set": None,
        "bounds": [{"range": None, "slope": hexed([[0.0, 1.0]]), "relaxation": None}],
        "multipliers": [hexed([1.0])],
        "rho": (1 + HAIR).hex(),
        "shift": None,
        "output_weight": None,
        "input_weight": None,
        "upper": (1 + HAIR).hex(),
    }
    return fields | change


def accepted(call: Callable[[], Any]) -> bool:
    try:
        call()
    except Rejected:
        return False
    return True


def test_lipschitz_of_one_neuron_to_a_hair() -> None:
    policy = ck.read_network(RELU)
    for change, true in (
        ({}, True),
        ({"rho": (1.0).hex()}, False),
        ({"upper": (1 + HAIR / 3).hex()}, False),
        ({"rho": (1 - HAIR).hex()}, False),
        ({"multipliers": [hexed([2.0])], "rho": (4 / 3 + HAIR).hex(), "upper": (2.0).hex()}, True),
        ({"multipliers": [hexed([2.0])], "rho": (4 / 3 - HAIR).hex(), "upper": (2.0).hex()}, False),
        ({"multipliers": [hexed([0.5])], "rho": (9.0).hex(), "upper": (3.0).hex()}, False),
        (
            {
                "output_weight": hexed([2.0]),
                "rho": (4 + HAIR).hex(),
                "multipliers": [hexed([4.0])],
                "upper": (3.0).hex(),
            },
            True,
        ),
        (
            {
                "output_weight": hexed([2.0]),
                "rho": (4 - HAIR).hex(),
                "multipliers": [hexed([4.0])],
                "upper": (3.0).hex(),
            },
            False,
        ),
        ({"input_weight": hexed([2.0]), "rho": (0.25 + HAIR).hex(), "upper": (1.0).hex()}, True),
        ({"input_weight": hexed([2.0]), "rho": (0.25 - HAIR).hex(), "upper": (1.0).hex()}, False),
        # relu(x) - x / 2: (rho - 1/4)(2 t - 1) > (t - 1/2)^2
        (
            {"shift": hexed([[0.5]]), "rho": (0.5 + HAIR).hex(), "multipliers": [hexed([1.0])], "upper": (1.0).hex()},
            True,
        ),
        (
            {"shift": hexed([[0.5]]), "rho": (0.5 - HAIR).hex(), "multipliers": [hexed([1.0])], "upper": (1.0).hex()},
            False,
        ),
        ({"bounds": [{"range": None, "slope": hexed([[0.0, 0.99]]), "relaxation": None}]}, False),
        ({"bounds": [{"range": None, "slope": hexed([[0.01, 1.0]]), "relaxation": None}]}, False),
        ({"bounds": [{"range": hexed([[0.0, 1.0]]), "slope": hexed([[1.0, 1.0]]), "relaxation": None}]}, False),
    ):
        assert accepted(lambda change=change: ck.prove_lipschitz(lipschitz(**change), policy)) is true, change
    here = {"center": hexed([2.0]), "ball_generators": [[]], "box": hexed([1.0])}
    straight = {"range": hexed([[1.0, 3.0]]), "slope": hexed([[1.0, 1.0]]), "relaxation": None}
    for region, bounds, rho, true in (
        (here, straight, 1 + HAIR, True),
        (here, straight, 1 - HAIR, False),
        (here | {"box": hexed([1.5])}, straight, 2.0, False),
        (here | {"box": hexed([2.0])}, straight | {"range": hexed([[0.0, 4.0]])}, 2.0, True),
        (here | {"box": hexed([2.5])}, straight | {"range": hexed([[-0.5, 4.5]])}, 2.0, False),
        (here, straight | {"relaxation": hexed([[1.0, 0.0, 0.0]])}, 2.0, True),
        (here, straight | {"relaxation": hexed([[1.0, 0.1, 0.05]])}, 2.0, False),
        (here, straight | {"range": None}, 2.0, False),
        (here, straight | {"range": None, "relaxation": hexed([[1.0, 0.0, 0.0]])}, 2.0, False),
        (None, straight, 2.0, False),
    ):
        fields = lipschitz(input_set=region, bounds=[bounds], rho=float(rho).hex(), upper=(3.0).hex())
        assert accepted(lambda fields=fields: ck.prove_lipschitz(fields, policy)) is true, (region, bounds, rho)


def hinf(P: float, gamma: float, **change: Any) -> dict[str, Any]:
    return {
        "shift": None,
        "output_weight": None,
        "input_weight": None,
        "P": hexed([[P]]),
        "gamma": gamma.hex(),
    } | change


def test_gains_of_first_order_plants_to_a_hair() -> None:
    """1 / (z - 1/2): 2 at P = 2; 1 / (s + 1): 1 at P = 1; with feedthrough, weights and shifts."""
    for fields, model, true in (
        (hinf(2.0, 2 + HAIR), plant(0.5), True),
        (hinf(2.0, 2.0), plant(0.5), False),
        (hinf(2.0, 2 - HAIR), plant(0.5), False),
        (hinf(1.0, 1 + HAIR), plant(-1.0, dt=0.0), True),
        (hinf(1.0, 1.0), plant(-1.0, dt=0.0), False),
        (hinf(-2.0, 9.0), plant(0.5), False),
        (hinf(1.0, 9.0), plant(1.1), False),
        (hinf(1.0, 9.0), plant(0.1, dt=0.0), False),
        # D = 1: 1 / (z - 1/2) + 1 = (z + 1/2) / (z - 1/2): 3 at z = 1
        (hinf(3.0, 3 + HAIR), plant(0.5, d=1.0), True),
        (hinf(3.0, 3 - HAIR), plant(0.5, d=1.0), False),
        (hinf(8.0, 4 + HAIR, input_weight=hexed([2.0])), plant(0.5), True),
        (hinf(8.0, 4 - HAIR, input_weight=hexed([2.0])), plant(0.5), False),
        (hinf(2.0, 1 + HAIR, output_weight=hexed([2.0])), plant(0.5), True),
        (hinf(2.0, 1 - HAIR, output_weight=hexed([2.0])), plant(0.5), False),
        (hinf(2.0, 2 + HAIR, shift=hexed([[-1.0]])), plant(1.5), True),
        (hinf(2.0, 2 - HAIR, shift=hexed([[-1.0]])), plant(1.5), False),
        (hinf(2.0, 9.0, shift=hexed([[-1.0]])), plant(1.5, d=1.0), False),
        (hinf(2.0, 4 + HAIR), plant(0.5, b=2.0), True),
        (hinf(2.0, 4 - HAIR), plant(0.5, b=2.0), False),
        (hinf(2.0, 0.0), plant(0.5), False),
    ):
        read = ck.read_plant(model)
        assert accepted(lambda fields=fields, read=read: ck.prove_hinf(fields, read)) is true, (fields, model)
    # (z + 1/2) / (z - 1/2): [(3/4) P - 1, -P/2 - 1; ., g^2 - 1 - P] at P = 3: (5/4)(g^2 - 4) > 25/4


def test_small_gain_to_a_hair() -> None:
    """Gain 2 of the plant times slope 1/2: at most 1, exactly."""
    half = ck.read_network(network(affine([[1.0]]), neurons("relu"), affine([[0.5]])))
    ok = lipschitz(rho=(0.25 * (1 - HAIR)).hex(), multipliers=[hexed([0.25])], upper=(0.5 * (1 - HAIR / 4)).hex())

    def fields(upper: float, gamma: float, **more: Any) -> dict[str, Any]:
        own = lipschitz(rho=(0.25 + HAIR).hex(), multipliers=[hexed([0.25])], upper=upper.hex()) | more.pop("lip", {})
        return {"lipschitz": own, "hinf": hinf(2.0, gamma), "level": None} | more

    steady = ck.read_plant(plant(0.5))
    assert ok["rho"]
    for args, more, true in (
        ((0.5 + 2 * HAIR, 2.0), {}, False),
        ((0.5 + 2 * HAIR, 2 + HAIR), {}, False),
        ((0.5, 2 + HAIR), {}, False),
    ):
        assert accepted(lambda args=args, more=more: ck.prove_small_gain(fields(*args, **more), half, steady)) is true
    quarter = ck.read_network(network(affine([[1.0]]), neurons("relu"), affine([[0.25]])))

    def small(upper: float, **more: Any) -> dict[str, Any]:
        own = lipschitz(rho=(0.25 * 0.25 + HAIR).hex(), multipliers=[hexed([0.0625])], upper=upper.hex()) | more.pop(
            "lip", {}
        )
        return {"lipschitz": own, "hinf": hinf(2.0, 2 + HAIR), "level": None} | more

    box = {"center": hexed([0.0]), "ball_generators": [[]], "box": hexed([1.0])}
    ranged = [{"range": hexed([[-1.0, 1.0]]), "slope": hexed([[0.0, 1.0]]), "relaxation": None}]
    local = {"input_set": box, "bounds": ranged}
    for more, true in (
        ({}, True),
        ({"level": (1.0).hex()}, False),
        ({"lip": local}, False),
        # P = 2: {2 x^2 <= level} in |x| < 1 if level < 2
        ({"lip": local, "level": (2 - HAIR).hex()}, True),
        ({"lip": local, "level": (2.0).hex()}, False),
        ({"lip": local, "level": (0.0).hex()}, False),
        ({"lip": local | {"input_set": box | {"center": hexed([0.1])}}, "level": (1.0).hex()}, False),
        ({"lip": local | {"input_set": box | {"ball_generators": hexed([[0.0]])}}, "level": (1.0).hex()}, False),
        ({"lip": {"shift": hexed([[0.125]])}}, False),
        ({"lip": {"output_weight": hexed([0.5])}}, False),
    ):
        assert accepted(lambda more=more: ck.prove_small_gain(small(0.3, **more), quarter, steady)) is true, more
    level, P, words = ck.prove_small_gain(small(0.3), quarter, steady)
    assert (
        level is None
        and exact(P) == [[2]]
        and words == f"gain of the plant {2 + HAIR!r} times that of the policy 0.3 is at most 1"
    )
    assert accepted(lambda: ck.prove_small_gain(small(1 / (2 + HAIR) * (1 - 2.0**-50)), quarter, steady))
    assert not accepted(lambda: ck.prove_small_gain(small(1 / (2 + HAIR) * (1 + 2.0**-50)), quarter, steady))
    assert not accepted(lambda: ck.prove_small_gain(small(0.3), quarter, ck.read_plant(plant(0.5, d=0.1))))
    assert not accepted(lambda: ck.prove_small_gain(small(0.3), ck.read_network(network(affine([[1.0, 0.0]]))), steady))
    blind = ck.read_plant(plant(0.5, c=0.0))
    assert accepted(lambda: ck.prove_small_gain(small(0.3, lip=local, level=(9.0).hex()), quarter, blind))


def lyapunov(t: float = 0.25, **change: Any) -> dict[str, Any]:
    return {
        "P": hexed([[1.0]]),
        "level": None,
        "generators": None,
        "multipliers": [hexed([t])],
        "bounds": [{"range": None, "slope": hexed([[0.0, 1.0]]), "relaxation": None}],
    } | change


def test_lyapunov_of_a_scalar_loop_to_a_hair() -> None:
    """x+ = a x + b relu(x), slopes between a and a + b: below 1 in size at both ends."""
    policy = ck.read_network(RELU)

    def proved(a: float, b: float, t: float, dt: float = 1.0, **change: Any) -> bool:
        return accepted(lambda: ck.prove_lyapunov(lyapunov(t, **change), policy, ck.read_plant(plant(a, b, dt=dt))))

    # [1 - a^2, -a b - t; ., 2 t - b^2]: a = 0, b = 1/2: 2 t - 1/4 > t^2, t = 1: 3/4
    assert proved(0.0, 0.5, 1.0) and not proved(0.0, 0.5, 0.125) and proved(0.0, 0.5, 0.2) and not proved(0.0, 0.5, 2.0)
    assert (
        proved(0.0, 1 - HAIR, 1.0)
        and not proved(0.0, 1.0, 1.0)
        and not proved(1.0, -0.5, 0.5)
        and not proved(0.5, 0.6, 1.0)
    )
    assert not proved(0.0, 0.5, 1.0, P=hexed([[-1.0]])) and not proved(0.0, 0.5, 1.0, P=hexed([[0.0]]))
    # dx/dt = -x + b relu(x): [2, -b - t; ., 2 t]: 4 t > (b + t)^2, t = 1, b = 1 - : 4 > 4 (1 - h)
    assert proved(-1.0, 1 - HAIR, 1.0, 0.0) and not proved(-1.0, 1.0, 1.0, 0.0) and not proved(0.1, -0.1, 1.0, 0.0)
    # on |x| <= g about y0 = 2 the relu is linear: x+ = a x + b x
    local = {
        "level": (1 - HAIR).hex(),
        "generators": hexed([[1.0]]),
        "bounds": [{"range": hexed([[1.0, 3.0]]), "slope": hexed([[1.0, 1.0]]), "relaxation": None}],
    }
    at_two = plant(0.5, 0.25, y0=2.0)
    for change, true in (
        ({}, True),
        ({"level": (1.0).hex()}, False),
        ({"level": None}, False),
        ({"generators": None}, False),
        ({"level": (-1.0).hex()}, False),
        ({"generators": hexed([[1.5]])}, False),
        ({"bounds": [local["bounds"][0] | {"slope": hexed([[0.5, 0.5]])}]}, False),
        ({"bounds": [local["bounds"][0] | {"range": hexed([[1.5, 3.0]])}]}, False),
    ):
        fields = lyapunov(1.0, **(local | change))
        assert accepted(lambda fields=fields: ck.prove_lyapunov(fields, policy, ck.read_plant(at_two))) is true, change
    for a, true in ((0.75 - HAIR, True), (0.75, False)):
        read = ck.read_plant(plant(a, 0.25, y0=2.0))
        assert accepted(lambda read=read: ck.prove_lyapunov(lyapunov(1.0, **local), policy, read)) is true
    assert not accepted(lambda: ck.prove_lyapunov(lyapunov(1.0), policy, ck.read_plant(plant(0.0, 0.5, d=0.1))))


def test_disturbances_end_where_they_are_said_to() -> None:
    """B = 2, P = 3: |B d|_P^2 = 12 d^2 < (eta r / 2)^2, and r^2 <= level; the decay is part of the inequality."""
    policy, model = ck.read_network(RELU), ck.read_plant(plant(0.5, 2.0, y0=2.0))
    P = ck._symmetric(hexed([[3.0]]), 1, "P")
    good = {"action_error": (0.125).hex(), "arithmetic": "real", "decay": (0.5).hex(), "radius": (2.0).hex()}

    def proved(level: float | None = 5.0, errors: Any = None, **change: Any) -> bool:
        return accepted(lambda: ck.prove_disturbed(good | change, level, P, model, errors or (lambda _: [Fraction(0)])))

    found, eta = ck.prove_disturbed(good, 5.0, P, model, lambda _: [Fraction(0)])
    assert (found.stated, found.rounding, found.radius, eta) == (0.125, None, 2.0, Fraction(1, 2))
    # 12 d^2 < 1/4: d < .144338
    assert (
        proved(action_error=(0.1443).hex())
        and not proved(action_error=(0.1444).hex())
        and proved(action_error=(0.0).hex())
    )
    assert proved(decay=(0.8662).hex(), radius=(1.0).hex()) and not proved(decay=(0.8660).hex(), radius=(1.0).hex())
    assert proved(4.0) and not proved(3.999) and not proved(None)
    for change in (
        {"action_error": (-0.1).hex()},
        {"decay": (0.0).hex()},
        {"decay": (1.0).hex()},
        {"radius": (0.0).hex()},
        {"arithmetic": "float16"},
        {"x": 1},
    ):
        assert not proved(**change)
    single = {"arithmetic": "float32", "action_error": (0.1).hex()}
    assert proved(errors=lambda _: [Fraction(44, 1000)], **single) and not proved(
        errors=lambda _: [Fraction(45, 1000)], **single
    )
    found, _ = ck.prove_disturbed(good | single, 5.0, P, model, lambda _: [Fraction(1, 100)])
    assert found.rounding == [Fraction(1, 100)]
    # x+ = (.5 + .25) x on the region: V falls by 1 - .5625 = .4375
    local = lyapunov(
        1.0,
        level=(1 - HAIR).hex(),
        generators=hexed([[1.0]]),
        bounds=[{"range": hexed([[1.0, 3.0]]), "slope": hexed([[1.0, 1.0]]), "relaxation": None}],
    )
    slow = ck.read_plant(plant(0.5, 0.25, y0=2.0))
    for decay, true in ((0.4375 - HAIR, True), (0.4375, False)):
        errors = good | {"decay": decay.hex(), "radius": (0.5).hex()}
        assert accepted(lambda errors=errors: ck.prove_lyapunov(local, policy, slow, errors)) is true
    assert not accepted(lambda: ck.prove_lyapunov(lyapunov(1.0), policy, ck.read_plant(plant(0.0, 0.5)), good))
    two = ck.read_plant(plant(0.5) | {"B": hexed([[1.0, -2.0]]), "D": hexed([[0.0, 0.0]]), "u0": hexed([0.0, 0.0])})
    # B'PB = 3 [1, -2; -2, 4]: sum of |entries| d^2 = 27 d^2 < 1/4: d < .09622
    for d, true in ((0.0962, True), (0.0963, False)):
        call = lambda d=d: ck.prove_disturbed(good | {"action_error": d.hex()}, 5.0, P, two, lambda _: [])  # noqa: E731
        assert accepted(call) is true


def test_float32_errors_by_hand() -> None:
    """The table of FORMAT.md for one number in [1, 3] through 2 h - 1, tanh and a sum of two."""
    u, tiny = Fraction(1, 2**24), Fraction(1, 2**126)
    policy = ck.read_network(
        network(affine([[2.0], [1.0]], [-1.0, 0.0]), neurons("tanh", 2), affine([[0.5, -4.0]], [0.25]))
    )
    bounds = [
        LayerBounds([(Fraction(1), Fraction(5)), (Fraction(1), Fraction(3))], [(Fraction(0), Fraction(1))] * 2, None)
    ]
    (found,) = ck.float32_errors(policy, bounds, Form.around([(Fraction(1), Fraction(3))]))
    e = u * (1 + Fraction(1, 256)) * 3 + Fraction(4, 2**48) + tiny
    first = 2 * e + 9 * u * (2 * (3 + e) + 1) + 11 * tiny
    one, two = first + Fraction(1, 2**22), e + Fraction(1, 2**22)
    size = [Fraction(math.tanh(5)), Fraction(math.tanh(3))]
    gamma = 5 * u / (1 - 5 * u)
    last = one / 2 + 4 * two + gamma * ((size[0] + one) / 2 + 4 * (size[1] + two) + Fraction(1, 4)) + 13 * tiny
    whole = size[0] / 2 + 4 * size[1] + Fraction(1, 4)
    assert float(found) == pytest.approx(float(last + 2 * u * (whole + last)), rel=1e-12)
    clipped = ck.read_network(network(affine([[1.0]]), neurons("hardtanh", low=0.1, high=2.0), affine([[1.0]])))
    bounds = [LayerBounds([(Fraction(-1), Fraction(3))], [(Fraction(0), Fraction(1))], None)]
    (found,) = ck.float32_errors(clipped, bounds, Form.around([(Fraction(-1), Fraction(3))]))
    moved = abs(Fraction(float(np.float32(0.1))) - Fraction(0.1))
    assert float(found) == pytest.approx(float(e + moved + 2 * u * (2 + e + moved)), rel=1e-9)
    leaky = ck.read_network(network(affine([[1.0]]), neurons("leaky_relu", negative_slope=-2.0), affine([[1.0]])))
    (found,) = ck.float32_errors(leaky, bounds, Form.around([(Fraction(-1), Fraction(3))]))
    rounded = 2 * e + 6 * u * (3 + e) + tiny
    assert float(found) == pytest.approx(float(rounded + 2 * u * (3 + rounded)), rel=1e-9)
    (none,) = ck.float32_errors(
        ck.read_network(network(affine([[1.0]]))), [], Form.around([(Fraction(-1), Fraction(3))])
    )
    assert float(none) == pytest.approx(float(e + 2 * u * (3 + e)), rel=1e-12)
    for layers, ranges in ((("gelu", {}), bounds[0].ranges), (("tanh", {}), None)):
        policy = ck.read_network(network(affine([[1.0]]), neurons(layers[0]), affine([[1.0]])))
        with pytest.raises(Rejected, match="nothing is stated"):
            ck.float32_errors(
                policy, [LayerBounds(ranges, bounds[0].slopes, None)], Form.around([(Fraction(-1), Fraction(3))])
            )
    with pytest.raises(Rejected, match="overflow"):
        ck.float32_errors(
            ck.read_network(network(affine([[2.0**100]]))), [], Form.around([(Fraction(0), Fraction(2**27))])
        )


# --------------------------------------------------------------------------------------------------------------- claims


def certificate(theorem: str, **fields: Any) -> dict[str, Any]:
    return {"format": "lipctrl-certificate", "version": 1, "theorem": theorem, **fields}


def claim(fields: dict[str, Any]) -> list[str]:
    return ck._derive(copy.deepcopy(fields), fields["theorem"]).split("\n")


def about(policy: dict[str, Any], kinds: str, named: bool = False, arithmetic: str = "real") -> list[str]:
    digest = ck.read_network(policy).sha256
    rest = "No policy file is named; that any file holds this network is not checked."
    if named:
        rest = f"That the policy file with sha256 {'ab' * 32} holds this network is trusted, not checked."
    return [
        f"pi is the network with sha256 {digest} (layers: {kinds}), the deterministic action, "
        f"in {arithmetic} arithmetic.",
        rest,
    ]


def plant_words(model: dict[str, Any], step: str, y0: float = 0.0) -> list[str]:
    lines = [
        f"The plant has sha256 {ck.read_plant(model).sha256}: 1 states, 1 inputs, 1 outputs, {step}, "
        f"x0 = [0.0], y0 = [{y0}].",
        "Linear model only: nothing is said of what the linear plant leaves out.",
    ]
    return lines + ["A continuous-time certificate, not the sampled policy."] * (step == "continuous time")


def test_claims_of_lipschitz_bounds_word_by_word() -> None:
    fields = certificate("lipschitz", network=RELU, **lipschitz(upper=(2.0).hex()))
    assert claim(fields) == [
        "Lipschitz bound: |pi(x) - pi(y)| <= 2.0 |x - y| for all observations x, y; Euclidean norms.",
        *about(RELU, "relu"),
    ]
    assert claim(fields | {"policy_sha256": "ab" * 32})[1:] == about(RELU, "relu", True)
    weighted = lipschitz(
        shift=hexed([[0.5]]),
        output_weight=hexed([2.0]),
        input_weight=hexed([0.5]),
        rho=(8.5).hex(),
        multipliers=[hexed([4.0])],
        upper=(3.0).hex(),
    )
    assert claim(certificate("lipschitz", network=RELU, **weighted))[:4] == [
        "Lipschitz bound: |D_u (r(x) - r(y))| <= 3.0 |D_y (x - y)| for all observations x, y, "
        "where r(x) = pi(x) - K x; Euclidean norms.",
        "K = [[0.5]].",
        "D_u = diag([2.0]).",
        "D_y = diag([0.5]).",
    ]
    region = {"center": hexed([2.0]), "ball_generators": [[]], "box": hexed([1.0])}
    straight = [{"range": hexed([[1.0, 3.0]]), "slope": hexed([[1.0, 1.0]]), "relaxation": None}]
    local = certificate("lipschitz", network=RELU, **lipschitz(input_set=region, bounds=straight, upper=(2.0).hex()))
    assert claim(local)[0] == (
        "Lipschitz bound: |pi(x) - pi(y)| <= 2.0 |x - y| for all x, y in the observations y with |y_i - center_i| <= "
        "box_i, center = [2.0], box = [1.0]; Euclidean norms."
    )


def test_claims_of_gains_word_by_word() -> None:
    fields = certificate("hinf_norm", plant=plant(0.5), **hinf(2.0, 2.5))
    assert claim(fields) == [
        "H-infinity norm: ||G||_inf < 2.5 from input to output; it is exponentially stable.",
        *plant_words(plant(0.5), "sampled, dt = 1.0"),
    ]
    weights = {"output_weight": hexed([2.0]), "input_weight": hexed([0.5]), "shift": hexed([[-0.25]])}
    scaled = certificate("hinf_norm", plant=plant(0.5), **hinf(1.0, 9.0, **weights))
    assert claim(scaled)[:4] == [
        "H-infinity norm: ||D_y G D_u^-1||_inf < 9.0 from input to output, "
        "G being the plant with u = K C x + w closed; "
        "it is exponentially stable.",
        "K = [[-0.25]].",
        "D_u = diag([2.0]).",
        "D_y = diag([0.5]).",
    ]
    assert claim(certificate("hinf_norm", plant=plant(-1.0, dt=0.0), **hinf(1.0, 9.0)))[1:] == plant_words(
        plant(-1.0, dt=0.0), "continuous time"
    )


def test_claims_about_loops_word_by_word() -> None:
    sampled, flowing = (
        "x+ = x0 + A (x - x0) + B (pi(y0 + C (x - x0)) - pi(y0))",
        "dx/dt = A (x - x0) + B (pi(y0 + C (x - x0)) - pi(y0))",
    )
    free = certificate("lyapunov", network=RELU, plant=plant(0.0, 0.5), **lyapunov(1.0))
    assert claim(free) == [
        "Lyapunov with sectors:",
        f"Every trajectory of {sampled} converges exponentially to x0.",
        "Global: from every initial state.",
        *plant_words(plant(0.0, 0.5), "sampled, dt = 1.0"),
        *about(RELU, "relu"),
    ]
    model = plant(0.5, 0.25, y0=2.0)
    local = lyapunov(
        1.0,
        level=(0.25).hex(),
        generators=hexed([[1.0]]),
        bounds=[{"range": hexed([[1.0, 3.0]]), "slope": hexed([[1.0, 1.0]]), "relaxation": None}],
    )
    region = [
        "The region is {x : (x - x0)' P (x - x0) <= 0.25}, invariant under the loop.",
        "P = [[1.0]].",
        "Its volume is about 1 (information, computed in floating point).",
    ]
    fields = certificate("lyapunov", network=RELU, plant=model, **local)
    assert claim(fields) == [
        "Lyapunov with sectors:",
        f"Every trajectory of {sampled} that starts in the region converges exponentially to x0.",
        *region,
        *plant_words(model, "sampled, dt = 1.0", 2.0),
        *about(RELU, "relu"),
    ]
    errors = {"action_error": (0.125).hex(), "arithmetic": "real", "decay": (0.4).hex(), "radius": (0.25).hex()}
    assert claim(fields | {"disturbed": errors})[:2] == [
        "Lyapunov with sectors:",
        "With every action wrong by at most 0.125 at each time: every trajectory of the linear loop "
        "that starts in the region stays "
        "in it, comes to {x : (x - x0)' P (x - x0) <= 0.25^2} and stays there.",
    ]
    single = claim(fields | {"disturbed": errors | {"arithmetic": "float32"}})
    assert "and by its float32 evaluation (FORMAT.md), at most " in single[1] and single[2:5] == region
    stated = float(single[1].split("at most ")[2].split(":")[0])
    network_ = ck.read_network(RELU)
    bounds = ck.read_bounds(local["bounds"], network_)
    (most,) = ck.float32_errors(network_, bounds, Form.around([(Fraction(1), Fraction(3))]))
    assert most <= Fraction(stated) <= most * Fraction(102, 100)
    assert single[-2:] == about(RELU, "relu", arithmetic="float32")
    runs = certificate("instability", network=RELU, plant=plant(3.0, y0=2.0), P=hexed([[-1.0]]), direction=hexed([1.0]))
    assert claim(runs) == [
        f"The equilibrium x0 of {sampled} is unstable.",
        *plant_words(plant(3.0, y0=2.0), "sampled, dt = 1.0", 2.0),
        *about(RELU, "relu"),
    ]
    flows = certificate(
        "instability", network=RELU, plant=plant(3.0, dt=0.0, y0=2.0), P=hexed([[-1.0]]), direction=hexed([1.0])
    )
    assert claim(flows)[0] == f"The equilibrium x0 of {flowing} is unstable."
    quarter = network(affine([[1.0]]), neurons("relu"), affine([[0.25]]))
    own = lipschitz(rho=(0.07).hex(), multipliers=[hexed([0.0625])], upper=(0.3).hex())
    gain = certificate("small_gain", network=quarter, plant=plant(0.5), lipschitz=own, hinf=hinf(2.0, 2.5), level=None)
    assert claim(gain)[:3] == [
        "Small gain: the gain of the plant 2.5 times that of the policy 0.3 is at most 1.",
        f"Every trajectory of {sampled} converges exponentially to x0.",
        "Global: from every initial state.",
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"extra": 1}, "unknown"),
        ({"network": None}, "null"),
        ({"network_sha256": "0" * 64}, "is not that of"),
        ({"plant_sha256": "0" * 64}, "is not that of"),
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


@pytest.mark.parametrize("n", [1, 2, 3])
def test_volumes_for_information(n: int) -> None:
    P = np.diag(np.arange(1.0, n + 1)) + 0.25 * np.ones((n, n))
    found = ck._volume(2.0, Matrix.of(P.tolist(), n), n)
    unit = [2, np.pi, 4 * np.pi / 3][n - 1]
    assert found == pytest.approx(unit * 2 ** (n / 2) / np.sqrt(np.linalg.det(P)), rel=1e-9)
    assert ck._volume(2.0, Matrix([[0]], 1), 1) is None and ck._volume(2.0, Matrix.eye(41), 41) is None
    assert ck._volume(1.0, Matrix.eye(40), 40) is not None


def test_instability_of_an_enclosed_jacobian_by_hand() -> None:
    """tanh at 0 has slope 1: x+ = a x + b tanh x is unstable if |a + b| > 1; at a kink nothing is said."""
    curved = ck.read_network(network(affine([[1.0]]), neurons("tanh"), affine([[1.0]])))
    for a, b, dt, true in (
        (0.5, 0.5 + HAIR, 1.0, True),
        (0.5, 0.5 - HAIR, 1.0, False),
        (2.0, -1.0, 1.0, False),
        (2.0, -3.0 - HAIR, 1.0, True),
        (-1.0, 1 + HAIR, 0.0, True),
        (-1.0, 1 - HAIR, 0.0, False),
    ):
        model = ck.read_plant(plant(a, b, dt=dt))
        fields = {"P": hexed([[-1.0]]), "direction": hexed([1.0])}
        assert accepted(lambda fields=fields, model=model: ck.prove_instability(fields, curved, model)) is true, (
            a,
            b,
            dt,
        )
    wild = ck.read_plant(plant(9.0))
    for P, direction in ((-1.0, 0.0), (1.0, 1.0)):
        assert not accepted(
            lambda P=P, d=direction: ck.prove_instability({"P": hexed([[P]]), "direction": hexed([d])}, curved, wild)
        )
    kinked = ck.read_network(RELU)
    assert not accepted(lambda: ck.prove_instability({"P": hexed([[-1.0]]), "direction": hexed([1.0])}, kinked, wild))


def test_the_jacobian_is_enclosed_to_its_last_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """1 - tanh(1/3)^2 lies within the radius, which is below 1e-50; so does the slope of two layers."""
    monkeypatch.setattr(flint.ctx, "prec", 900)
    one = network(affine([[1.0]]), neurons("tanh"), affine([[1.0]]))
    two = network(affine([[1.0]]), neurons("tanh"), affine([[3.0]]), neurons("sigmoid"), affine([[-0.5]]))
    x = flint.arb(flint.fmpq(1, 3))
    inner = 1 - x.tanh() ** 2
    s = 1 / (1 + (-3 * x.tanh()).exp())
    for policy, true in ((one, inner), (two, -inner * 3 * s * (1 - s) / 2)):
        gain, spread = ck.jacobian(ck.read_network(policy), [Fraction(1, 3)])
        middle, radius = (Fraction(m.rows[0][0]) * Fraction(2) ** m.exponent for m in (gain, spread))
        exact_middle, exact_radius = (flint.arb(flint.fmpq(v.numerator, v.denominator)) for v in (middle, radius))
        assert abs(exact_middle - true) <= exact_radius and radius < Fraction(1, 10**50)


@pytest.mark.parametrize("units", [0, 1, 2, 3])
def test_slopes_known_to_a_unit_of_the_grid(monkeypatch: pytest.MonkeyPatch, units: int) -> None:
    """Between 1 and `units` more, times 3000: both ends lie within the radius of the Jacobian."""
    unit = Fraction(1, 2**ck.GRID)
    policy = ck.read_network(network(affine([[3000.0]]), neurons("tanh"), affine([[1.0]])))
    monkeypatch.setattr(type(policy.activations[0][0]), "slopes", lambda self, low, high: (unit, (1 + units) * unit))
    gain, spread = ck.jacobian(policy, [Fraction(1, 3)])
    middle, radius = (Fraction(m.rows[0][0]) * Fraction(2) ** m.exponent for m in (gain, spread))
    for end in (unit, (1 + units) * unit):
        assert abs(3000 * end - middle) <= radius
    assert radius <= (1500 * (units + 1) + 8) * unit


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
