"""Networks in the checker of cells: against affine arithmetic in plain numbers, and points in exact fractions."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest

from lipctrl.proofs import check_cells as cc
from lipctrl.proofs.check_cells import Form
from tests.proofs.cells_for_tests import affine, hexed

Cells = tuple[np.ndarray, np.ndarray]
U32 = 2.0**-24
SIZES: dict[str, list[Any]] = {  # below and above the width from which lines are not put into one another
    "ends narrow": [(2, 5), "tanh", (5, 3)],
    "ends wide": [(2, 5), "tanh", (5, 6)],
    "narrow between": [(3, 2), "relu", (2, 7), "hardtanh", (7, 1)],
    "wide throughout": [(2, 5), "leaky_relu", (5, 7), "relu", (7, 5), "hardtanh"],
    "affine after affine": [(2, 6), (6, 3), "sigmoid", (3, 5), (5, 4)],
    "ends in a squash": [(2, 5), "silu", (5, 3), "tanh"],
    "one layer": [(3, 2)],
}
PARAMETERS = {"leaky_relu": {"negative_slope": -0.25}, "hardtanh": {"low": -0.5, "high": 0.75}}


def layers(name: str, rng: np.random.Generator, scale: float = 1.0) -> list[dict[str, Any]]:
    found, width = list[dict[str, Any]](), 0
    for part in SIZES[name]:
        if isinstance(part, tuple):
            width = part[1]
            W, b = scale * rng.standard_normal(part[::-1]), scale * rng.standard_normal(width)
            found.append(affine(W, b))
        else:
            more = {key: hexed(np.full(width, value)) for key, value in PARAMETERS.get(part, {}).items()}
            found.append({"type": part, "n": width, **more})
    return found


def inputs(name: str, rng: np.random.Generator, size: float, count: int) -> list[Form]:
    """Three cells, `count` symbols, the last of them missing in the last input; radii."""
    n = SIZES[name][0][0]
    forms = []
    for i in range(n):
        k = max(count - (i == n - 1), 0)
        forms.append(Form(rng.standard_normal(3), size * rng.standard_normal((k, 3)), size * rng.random(3)))
    return forms


def plain(network: cc.Network, forms: Sequence[Form], k: int) -> tuple[np.ndarray, np.ndarray, list[Cells]]:
    """Centre and coefficients, radius, and the ranges at the nonlinearities, nothing counted for roundings.

    The lines of neurons from one narrow layer to the next are one affine map: |v| error is summed of each.
    """
    X = np.stack([np.vstack([f.c[None], f.G, np.zeros((k - len(f.G), 3))]) for f in forms], axis=-1)
    r = np.stack([f.r for f in forms], axis=-1)
    start, maps, ranges = (X, r), list[Any](), list[Cells]()
    known = -np.inf, np.inf
    for layer in network.layers:
        if layer.kind == "affine":
            maps.append(layer)
            X, r = X @ layer.W.T, r @ np.abs(layer.W).T
            X[0] += layer.b
            known = -np.inf, np.inf
            if layer.n_out > 4:
                continue
            (X, r), v = start, np.broadcast_to(np.eye(layer.n_out), (3, layer.n_out, layer.n_out))
            beta, spread = np.zeros((3, layer.n_out)), np.zeros((3, layer.n_out))
            for part in reversed(maps):
                if isinstance(part, tuple):
                    slope, shift, error = part
                    spread = spread + np.einsum("coi,ci->co", np.abs(v), error)
                    beta, v = beta + np.einsum("coi,ci->co", v, shift), v * slope[:, None]
                else:
                    beta, v = beta + v @ part.b, v @ part.W
            X = np.einsum("coi,kci->kco", v, X)
            r = np.einsum("coi,ci->co", np.abs(v), r) + spread
            X[0] += beta
            start, maps = (X, r), []
        else:
            half = np.abs(X[1:]).sum(axis=0) + r
            lo, hi = np.maximum(X[0] - half, known[0]), np.minimum(X[0] + half, known[1])
            ranges.append((lo, hi))
            slope, shift, error = layer.line(lo, hi)
            maps.append((slope, shift, error))
            X, r = X * slope, np.abs(slope) * r + error
            X[0] += shift
            known = cc._values(layer, lo, hi)
    return X, r, ranges


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("size", [0.0, 1e-3, 0.3])
def test_networks_are_affine_arithmetic_and_a_little_for_roundings(name: str, size: float) -> None:
    rng = np.random.default_rng(len(name))
    network = cc.Network({"layers": layers(name, rng)}, False)
    for count in (3, 0):
        forms = inputs(name, rng, size, count)
        actions, ranges, errors = network(forms)
        X, r, wanted = plain(network, forms, count)
        assert len(actions) == network.n_out == X.shape[2] and errors.shape == r.shape and not errors.any()
        for (lo, hi), (low, high) in zip(ranges, wanted, strict=True):
            assert np.all(np.abs(lo - low) + np.abs(hi - high) <= 1e-7 * size + 1e-11)
            assert np.all(lo <= low + 1e-15) and np.all(high - 1e-15 <= hi)
        for i, action in enumerate(actions):
            assert np.allclose(np.vstack([action.c[None], action.G]), X[:, :, i], rtol=1e-9, atol=1e-8 * size + 1e-12)
            assert np.all(r[:, i] <= action.r + 1e-16) and np.all(action.r <= r[:, i] + 1e-7 * size + 1e-11)
            lo, hi = action.range()
            if SIZES[name][-1] in ("tanh", "hardtanh"):
                bound = 1.0 if SIZES[name][-1] == "tanh" else 0.75
                assert np.all(lo >= -bound - 1e-12) and np.all(hi <= bound + 1e-12)


def exact_value(network: cc.Network, x: Sequence[Fraction]) -> list[Fraction]:
    """Of a network of affine layers and rectifiers."""
    for layer in network.layers:
        if layer.kind == "affine":
            rows = [[Fraction(float(w)) for w in row] for row in layer.W]
            x = [
                sum((w * v for w, v in zip(row, x, strict=True)), Fraction(float(b)))
                for row, b in zip(rows, layer.b, strict=True)
            ]
        else:
            x = [max(v, Fraction(0)) for v in x]
    return list(x)


@pytest.mark.parametrize("sizes", [[2, 6], [2, 6, 5], [3, 5, 2], [2, 1, 6], [2, 6, 2, 5]])
@pytest.mark.parametrize("hidden", [False, True])
def test_roundings_of_networks_are_counted(sizes: list[int], hidden: bool) -> None:
    """Points of all sizes with values that nearly cancel, in fractions: without the radius they are missed."""
    missed = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        parts: list[dict[str, Any]] = []
        for n_in, n_out in zip(sizes[:-1], sizes[1:], strict=True):
            W = rng.standard_normal((n_out, n_in)) * 10.0 ** rng.integers(-3, 6, (n_out, n_in))
            parts.append(affine(W, rng.standard_normal(n_out) * 10.0 ** rng.integers(-3, 9, n_out)))
            if hidden:
                parts.append({"type": "relu", "n": n_out})
        network = cc.Network({"layers": parts}, False)
        c = rng.standard_normal((3, sizes[0])) * 10.0 ** rng.integers(-6, 9, (3, sizes[0]))
        g = rng.standard_normal((3, sizes[0])) * (0.0 if hidden else 1.0)
        forms = [Form(c[:, i], g[None, :, i], np.zeros(3)) for i in range(sizes[0])]
        actions, _, _ = network(forms)
        for cell, e in product(range(3), (-1, 0, 1)):
            x = [Fraction(float(v)) + e * Fraction(float(w)) for v, w in zip(c[cell], g[cell], strict=True)]
            for action, true in zip(actions, exact_value(network, x), strict=True):
                found = Fraction(float(action.c[cell])) + e * Fraction(float(action.G[0, cell]))
                assert abs(found - true) <= Fraction(float(action.r[cell]))
                missed += found != true
                size = max(float(np.abs(c[cell]).max()), 1.0) * 1e6 ** len(sizes)
                assert action.r[cell] <= 1e-12 * size * 1e3
    assert missed > 20


def test_a_layer_after_errors_carries_them_on() -> None:
    """A shift alone, a slope alone, an error alone: each of them through a wide layer, by hand."""
    W, b = np.array([[2.0], [-3.0], [1.0], [0.5], [4.0]]), np.array([0.5, 0.0, -1.0, 2.0, 1.0])
    network = cc.Network({"layers": [{"type": "relu", "n": 1}, affine(W, b)]}, False)
    actions, ranges, _ = network([Form(np.array([0.5]), np.array([[1.0]]), np.array([0.5]))])
    lo, hi = (float(end[0, 0]) for end in ranges[0])
    assert lo == pytest.approx(-1.0) and hi == pytest.approx(2.0)
    # the chord 2/3 (v + 1) of max(v, 0): its gap is between 0 and 2/3, so 1/3 is its middle
    for action, w, shift in zip(actions, W[:, 0], b, strict=True):
        assert action.c[0] == pytest.approx(w * (2 / 3 * 0.5 + 1 / 3) + shift)
        assert action.G[0, 0] == pytest.approx(w * 2 / 3)
        assert action.r[0] == pytest.approx(abs(w) * (2 / 3 * 0.5 + 1 / 3), rel=1e-9)


@pytest.mark.parametrize("name", [key for key in SIZES if key != "ends in a squash"])
def test_errors_in_float32_go_through_the_layers(name: str) -> None:
    """The cast of the observation, then `wrong` of each layer on its exact range, then one more rounding."""
    rng = np.random.default_rng(2)
    network = cc.Network({"layers": layers(name, rng)}, True)
    forms = inputs(name, rng, 0.25, 3)
    actions, ranges, errors = network(forms)
    y = np.stack([np.abs(f.c) + np.abs(f.G).sum(axis=0) + f.r for f in forms], axis=-1)
    wrong = U32 * (1 + 2.0**-8) * y + 2.0**-48 * (1 + y) + 2.0**-126
    given, X, r, known = iter(ranges), *(None,) * 2, (-np.inf, np.inf)
    cut, last = list[dict[str, Any]](), [part.copy() for part in layers(name, np.random.default_rng(2))]
    for layer, fields in zip(network.layers, last, strict=True):
        if layer.kind == "affine":
            if cut:
                X, r, _ = plain(cc.Network({"layers": cut}, False), forms, 3)
            else:
                X = np.stack([np.vstack([f.c[None], f.G, np.zeros((3 - len(f.G), 3))]) for f in forms], axis=-1)
                r = np.stack([f.r for f in forms], axis=-1)
            half = np.abs(X[1:]).sum(axis=0) + r
            lo, hi = np.maximum(X[0] - half, known[0]), np.minimum(X[0] + half, known[1])
            known = -np.inf, np.inf
        else:
            lo, hi = next(given)
            known = cc._values(layer, lo, hi)
        wrong = layer.wrong(lo, hi, wrong)
        cut.append(fields)
    size = np.stack([np.max(np.abs(form.range()), axis=0) for form in actions], axis=-1)
    exact = wrong + 2 * U32 * (size + wrong)
    assert errors.shape == exact.shape
    assert np.all(errors >= exact * (1 - 1e-12)) and np.all(errors <= exact * (1 + 2e-9))
    big = [Form(np.array([2.0**127]), np.zeros((0, 1)), np.zeros(1)) for _ in forms]
    assert np.all(network(big)[2] == np.inf)


@pytest.mark.parametrize("name", SIZES)
def test_derivatives_of_networks_with_extreme_slopes(name: str) -> None:
    """Products of the weights with slopes at their ends, in fractions; the radius is little more than |W| ... says."""
    rng = np.random.default_rng(5)
    network = cc.Network({"layers": layers(name, rng)}, False)
    n, k = SIZES[name][0][0], 2
    ranges, kept, width = list[Cells](), list[Cells](), n
    for layer in network.layers:
        if layer.kind == "affine":
            width = layer.n_out
        else:
            middle, half = 0.2 * rng.standard_normal((3, width)), 0.3 * rng.random((3, width))
            ranges.append((middle - half, middle + half))
            kept.append(layer.slopes(*ranges[-1]))
    c, half = rng.standard_normal((3, n, k)), 0.1 * rng.random((3, n, k))
    by = [[Form(c[:, i, j], np.zeros((0, 3)), half[:, i, j]) for j in range(k)] for i in range(n)]
    middle, radius = network.derivatives(ranges, by)
    assert middle.shape == radius.shape == (3, network.n_out, k)
    mid, rad, left = c, half, iter(kept)
    for layer in network.layers:
        if layer.kind == "affine":
            mid, rad = layer.W @ mid, np.abs(layer.W) @ rad
        else:
            least, most = (part[..., None] for part in next(left))
            centre, spread = (least + most) / 2, (most - least) / 2
            mid, rad = centre * mid, (np.abs(centre) + spread) * rad + spread * np.abs(mid)
    assert np.allclose(middle, mid, rtol=1e-11, atol=1e-13)
    assert np.all(rad <= radius * (1 + 1e-12)) and np.all(radius <= rad * (1 + 1e-8) + 1e-13)
    for _ in range(20):
        signs, left = rng.choice([-1, 1], (n, k)), iter(kept)
        M = [[Fraction(float(c[1, i, j])) + int(signs[i, j]) * Fraction(float(half[1, i, j])) for j in range(k)]
             for i in range(n)]  # fmt: skip
        for layer in network.layers:
            if layer.kind == "affine":
                M = [[sum(Fraction(float(w)) * row[j] for w, row in zip(line, M, strict=True)) for j in range(k)]
                     for line in layer.W]  # fmt: skip
            else:
                pair = next(left)
                M = [[Fraction(float(np.ravel(pair[rng.integers(2)][1])[i])) * v for v in row]
                     for i, row in enumerate(M)]  # fmt: skip
        for i, j in product(range(network.n_out), range(k)):
            assert abs(M[i][j] - Fraction(float(middle[1, i, j]))) <= Fraction(float(radius[1, i, j]))


def test_roundings_of_derivatives_are_counted() -> None:
    """Weights and derivatives of all sizes, points: in fractions."""
    missed = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        W, V = rng.standard_normal((5, 2)) * 10.0 ** rng.integers(-3, 6, (5, 2)), rng.standard_normal((3, 5))
        network = cc.Network({"layers": [affine(W), {"type": "tanh", "n": 5}, affine(V)]}, False)
        at = rng.standard_normal((1, 5))
        slopes = network.layers[1].slopes(at, at)
        c = rng.standard_normal((2, 1)) * 10.0 ** rng.integers(-3, 6, (2, 1))
        middle, radius = network.derivatives([(at, at)], [[Form.constant(float(v), 1) for v in row] for row in c])
        for i in range(3):
            for ends in slopes:
                true = sum(
                    Fraction(V[i, h]) * Fraction(float(ends[0, h])) * Fraction(W[h, j]) * Fraction(c[j, 0])
                    for h in range(5)
                    for j in range(2)
                )
                assert abs(true - Fraction(float(middle[0, i, 0]))) <= Fraction(float(radius[0, i, 0]))
                missed += true != Fraction(float(middle[0, i, 0]))
    assert missed > 20


def test_roundings_of_lines_are_counted() -> None:
    """slope x + shift with a shift far above slope x, and a slope that is no short number; nothing else is lost."""
    rng, missed = np.random.default_rng(0), 0
    for _ in range(30):
        slope, shift = rng.standard_normal((1, 5)), 10.0 ** rng.uniform(-6, 9) * rng.standard_normal((1, 5))
        network = cc.Network({"layers": [{"type": "relu", "n": 5}]}, False)
        network.layers[0].line = lambda lo, hi, slope=slope, shift=shift: (slope, shift, 0.0 * slope)  # type: ignore[method-assign]
        c, g = rng.standard_normal((2, 5)) * 10.0 ** rng.uniform(-3, 6)
        actions, _, _ = network([Form(c[i : i + 1], g[None, i : i + 1], np.zeros(1)) for i in range(5)])
        for i, action in enumerate(actions):
            middle = Fraction(slope[0, i]) * Fraction(c[i]) + Fraction(shift[0, i]) - Fraction(float(action.c[0]))
            tilt = Fraction(slope[0, i]) * Fraction(g[i]) - Fraction(float(action.G[0, 0]))
            assert abs(middle) + abs(tilt) <= Fraction(float(action.r[0]))
            assert action.r[0] <= 9e-16 * (abs(slope[0, i]) * (abs(c[i]) + abs(g[i])) + abs(shift[0, i])) + 1e-250
            missed += middle != 0
    assert missed > 50


def test_roundings_of_lines_put_into_one_another_are_counted() -> None:
    """Five lines into two sums: shifts far above the rest, in fractions."""
    rng, missed = np.random.default_rng(1), 0
    for _ in range(30):
        slope, shift = rng.standard_normal((1, 5)), 10.0 ** rng.uniform(-6, 9) * rng.standard_normal((1, 5))
        W, b = rng.standard_normal((2, 5)), rng.standard_normal(2) * 10.0 ** rng.uniform(-6, 9)
        network = cc.Network({"layers": [{"type": "relu", "n": 5}, affine(W, b)]}, False)
        network.layers[0].line = lambda lo, hi, slope=slope, shift=shift: (slope, shift, 0.0 * slope)  # type: ignore[method-assign]
        c, g = rng.standard_normal((2, 5)) * 10.0 ** rng.uniform(-3, 6)
        actions, _, _ = network([Form(c[i : i + 1], g[None, i : i + 1], np.zeros(1)) for i in range(5)])
        for j, action in enumerate(actions):
            middle, tilt = Fraction(b[j]) - Fraction(float(action.c[0])), -Fraction(float(action.G[0, 0]))
            for i in range(5):
                middle += Fraction(W[j, i]) * (Fraction(slope[0, i]) * Fraction(c[i]) + Fraction(shift[0, i]))
                tilt += Fraction(W[j, i]) * Fraction(slope[0, i]) * Fraction(g[i])
            assert abs(middle) + abs(tilt) <= Fraction(float(action.r[0]))
            size = np.abs(W[j]) @ (np.abs(slope[0]) * (np.abs(c) + np.abs(g)) + np.abs(shift[0])) + abs(b[j])
            assert action.r[0] <= 60 * cc.U * size + 1e-250
            missed += middle != 0
    assert missed > 30


def test_the_least_numbers_of_float32() -> None:
    """Weights so small that only underflow counts: (2 k + 9) 2^-126 for k weights that are not zero."""
    W = np.array(
        [[2.0**-200, 2.0**-200, 2.0**-200], [2.0**-200, 0.0, 2.0**-200], [0.0, 2.0**-200, 0.0], [0.0, 0.0, 0.0]]
    )
    one = cc.Layer(affine(W))
    found = one.wrong(-np.ones((1, 3)), np.ones((1, 3)), np.zeros((1, 3)))[0]
    for value, count in zip(found, (3, 2, 1, 0), strict=True):
        assert (2 * count + 9) * 2.0**-126 <= value <= (2 * count + 9) * 2.0**-126 * (1 + 1e-9)
    leaky = cc.Layer({"type": "leaky_relu", "n": 1, "negative_slope": hexed([2.0**-200])})
    value = float(leaky.wrong(np.array([[-1.0]]), np.array([[1.0]]), np.zeros((1, 1)))[0, 0])
    assert 2.0**-126 <= value <= 2.0**-126 * (1 + 1e-9)


def test_weights_that_float32_cannot_hold() -> None:
    """One of 2^126 or more may be infinite; one below 2^-126 may be flushed, and then all that it carries is lost."""
    one = cc.Layer(affine([[2.0**126, 1.0], [1.0, -(2.0**130)], [2.0**125, 1.0]]))
    hi, zero = np.full((1, 2), 2.0**-10), np.zeros((1, 2))
    assert np.isposinf(one.wrong(-hi, hi, zero)[0]).tolist() == [True, True, False]
    far = np.full((1, 2), 2.0**120)
    small = cc.Layer(affine([[2.0**-127, 0.0], [2.0**-127, -(2.0**-130)], [0.5, 2.0**-127]]))
    lost = np.array([2.0**-7, 2.0**-7 + 2.0**-10, 2.0**-7])
    assert np.all(small.wrong(-far, far, zero)[0] >= lost) and small.wrong(-far, far, zero)[0, 0] <= 2.0**-7 * 1.001
    for slope, size, true in ((2.0**-127, 2.0**120, 2.0**-7), (-(2.0**130), 2.0**-10, np.inf)):
        leaky = cc.Layer({"type": "leaky_relu", "n": 1, "negative_slope": hexed([slope])})
        ends = np.array([[size]])
        found = float(leaky.wrong(-ends, ends, np.zeros((1, 1)))[0, 0])
        assert found >= true and (found <= true * 1.001)


def test_limits_that_may_be_flushed() -> None:
    """Those of a clip below 2^-126 may count as zero."""
    limits = {"low": hexed([2.0**-130, -(2.0**-128)]), "high": hexed([2.0**-126, 0.0])}
    one = cc.Layer({"type": "hardtanh", "n": 2, **limits})
    ends, zero = np.full((1, 2), 1.0), np.zeros((1, 2))
    found = one.wrong(-ends, ends, zero)[0]
    assert np.all(found >= [2.0**-130, 2.0**-128]) and np.all(found <= np.array([2.0**-130, 2.0**-128]) * 1.001)


@pytest.mark.parametrize(
    ("weight", "bias", "exact"),
    [(1.0, 0.0, True), (1.0, 0.5, False), (2.0, 0.0, False), (-1.0, 0.0, False), (0.5, 0.0, False)],
)
def test_what_float32_hands_on_as_it_is(weight: float, bias: float, exact: bool) -> None:
    """A single weight 1 without bias; all others are rounded: 9 u (abs(W) max(abs(h), 1) + abs(b)) + 11 2^-126."""
    for size, error in ((0.25, 0.0), (8.0, 2.0**-20)):
        one = cc.Layer(affine([[0.0, weight]], [bias]))
        given = np.array([[1e9, -size]]), np.array([[1e9, 0.1]]), np.array([[1.0, error]])
        found = float(one.wrong(*given)[0, 0])
        wanted = abs(weight) * error
        if not exact:
            wanted += 9 * U32 * (abs(weight) * max(size + error, 1.0) + abs(bias)) + 11 * 2.0**-126
        assert wanted <= found * (1 + 1e-15) and found <= wanted * (1 + 1e-9) + 1e-250


def test_float32_ends_where_sums_may_be_too_large() -> None:
    """At 2^126 of abs(W) abs(h) + abs(b), or of an input; just below it goes on."""
    one = cc.Layer(affine([[1.0, 3.0], [0.5, 0.0]], [2.0, 0.0]))
    zero = np.zeros((1, 2))
    for size, ends in ((2.0**124, False), (2.0**125, True), (2.0**126, True)):
        hi = np.array([[1.0, size]])
        assert (
            np.isposinf(one.wrong(-hi, hi, zero)[0, 0]) == ends
            and np.isposinf(one.wrong(-hi, zero, zero)[0, 0]) == ends
        )
        assert np.isposinf(one.wrong(-hi, hi, zero)[0, 1]) == (size >= 2.0**126)
    relu = cc.Layer({"type": "relu", "n": 2})
    top = 2.0**126
    for lo, hi, error, ends in ((-1, top, 0, True), (-top, 1, 0, True), (-1, 1, top, True), (-1, top / 2, 1, False)):
        found = relu.wrong(np.array([[lo, -1.0]]), np.array([[hi, 1.0]]), np.array([[error, 1.0]]))[0]
        assert np.isposinf(found[0]) == ends and found[1] == pytest.approx(1.0)


@pytest.mark.parametrize("kind", ["tanh", "sigmoid", "relu", "leaky_relu", "hardtanh"])
def test_errors_are_carried_on_by_the_largest_slope_near_by(kind: str) -> None:
    """On the range widened by the error: before the kink, or the steep part, the error reaches over it."""
    parameters = {
        "leaky_relu": {"negative_slope": hexed([-3.0])},
        "hardtanh": {"low": hexed([-1.0]), "high": hexed([1.0])},
    }
    one = cc.Layer({"type": kind, "n": 1, **parameters.get(kind, {})})
    for lo, hi, error in (
        (-2.0, -1.5, 0.25),
        (-2.0, -1.5, 0.75),
        (1.5, 2.0, 0.25),
        (1.5, 2.0, 0.75),
        (-0.5, -0.25, 0.5),
    ):
        found = float(one.wrong(np.array([[lo]]), np.array([[hi]]), np.array([[error]]))[0, 0])
        least, most = one.slopes(np.array([[lo - error]]), np.array([[hi + error]]))
        wanted = max(abs(float(least[0, 0])), abs(float(most[0, 0]))) * error
        size = max(abs(lo), abs(hi)) + error
        wanted += {"tanh": 2.0**-22, "sigmoid": 2.0**-22, "leaky_relu": 9 * U32 * size + 2.0**-126}.get(kind, 0.0)
        assert wanted * (1 - 1e-12) <= found <= wanted * (1 + 1e-8) + 1e-12, (lo, hi, error)


def test_every_sum_counts_its_roundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a unit of 1/64 in place of 2^-53 for sums: once for the weights, once for the input they are applied to."""
    g = 1 / 64
    monkeypatch.setattr(cc, "_gamma", lambda n: g)
    rng = np.random.default_rng(0)
    W, b, V = rng.standard_normal((3, 5)), rng.standard_normal(3), rng.standard_normal((6, 3))
    c, G, r = rng.standard_normal(5), rng.standard_normal((2, 5)), rng.random(5)
    forms = [Form(c[i : i + 1], G[:, i, None], r[i : i + 1]) for i in range(5)]
    size = np.abs(c) + np.abs(G).sum(axis=0) + r
    narrow, _, _ = cc.Network({"layers": [affine(W, b)]}, False)(forms)
    exact = np.abs(W) @ (r + g * size) + g * (np.abs(W) @ size + np.abs(b))
    assert [float(f.r[0]) for f in narrow] == pytest.approx(exact, rel=1e-9)
    counts: list[int] = []
    monkeypatch.setattr(cc, "_gamma", lambda n: counts.append(n) or g)
    cc.Network({"layers": [affine(W, b)]}, False)(forms)
    assert counts[-1] >= 7 and min(counts) >= 5  # of five products, and of three
    counts.clear()
    thin = [affine([[2.0]]), {"type": "tanh", "n": 1}, affine(np.ones((5, 1))), {"type": "tanh", "n": 5}]
    cc.Network({"layers": [*thin, affine(np.ones((1, 5)))]}, False)(forms[:1])
    assert min(counts) >= 3  # of one product and what is added
    wide, _, _ = cc.Network({"layers": [affine(V, np.ones(6))]}, False)(forms[:3])
    exact = np.abs(V) @ r[:3] + g * (np.abs(V) @ size[:3] + 1)
    assert [float(f.r[0]) for f in wide] == pytest.approx(exact, rel=1e-9)
    # two narrow ones after another: the second counts what the first says of its output
    both, _, _ = cc.Network({"layers": [affine(W, b), affine(V[:2], np.ones(2))]}, False)(forms)
    first = np.array([np.abs(f.c[0]) + np.abs(f.G).sum() + f.r[0] for f in narrow]), np.array([f.r[0] for f in narrow])
    exact = np.abs(V[:2]) @ (first[1] + g * first[0]) + g * (np.abs(V[:2]) @ first[0] + 1)
    assert [float(f.r[0]) for f in both] == pytest.approx(exact, rel=1e-9)
    # a line between: |v| (error + g (|slope| reach + |shift|)), and g of what is added so far
    slope, shift, error = np.full((1, 6), 0.5), np.full((1, 6), -3.0), np.full((1, 6), 0.25)
    network = cc.Network({"layers": [affine(V), {"type": "relu", "n": 6}, affine(np.ones((1, 6)), [2.0])]}, False)
    network.layers[1].line = lambda lo, hi: (slope, shift, error)  # type: ignore[method-assign]
    counts.clear()
    monkeypatch.setattr(cc, "_gamma", lambda n: counts.append(n) or g)
    network(forms[:3])
    assert sum(n >= 7 for n in counts) >= 5 and min(counts) >= 4  # of six lines, into one sum, from three inputs
    (last,), ranges, _ = network(forms[:3])
    reach = np.maximum(*(np.abs(end) for end in ranges[0]))[0]
    heard = np.abs(V) @ size[:3]
    X = np.vstack([V @ c[:3], (G[:, :3] @ V.T)])
    through = np.abs(X * 0.5).sum(axis=0) + 0.0
    through[:] = np.abs(0.5 * X[0] - 3) + np.abs(0.5 * X[1:]).sum(axis=0)
    r_line = 0.5 * (np.abs(V) @ r[:3] + g * heard) + 0.25
    exact = g * (np.sum(through + r_line) + 2)  # the last layer
    exact += np.sum(0.25 + g * (0.5 * reach + 3)) + g * 2  # the lines, and the bias so far
    exact += g * (0.5 * heard.sum() + abs(2 - 18.0))  # the first layer, and what is added by then
    exact += np.abs(0.5 * V.sum(axis=0)) @ (r[:3] + g * size[:3])
    assert last.r[0] == pytest.approx(exact, rel=1e-9)


def test_derivatives_count_their_roundings(monkeypatch: pytest.MonkeyPatch) -> None:
    g = 1 / 64
    monkeypatch.setattr(cc, "_gamma", lambda n: g)
    W = np.random.default_rng(0).standard_normal((3, 2))
    network = cc.Network({"layers": [affine(W)]}, False)
    by = [[Form(np.array([1.5]), np.zeros((0, 1)), np.array([0.25]))], [Form.constant(-2.0, 1)]]
    middle, radius = network.derivatives([], by)
    assert middle[0, :, 0] == pytest.approx(W @ [1.5, -2.0])
    assert radius[0, :, 0] == pytest.approx(np.abs(W) @ (np.array([0.25, 0.0]) + g * np.array([1.5, 2.0])), rel=1e-9)


def test_derivatives_count_the_roundings_of_slopes(monkeypatch: pytest.MonkeyPatch) -> None:
    """(|c| + s) r + (s + 4 u |c|) |m| of slopes c +- s, with a unit u of 2^-12."""
    network = cc.Network({"layers": [{"type": "tanh", "n": 1}]}, False)
    monkeypatch.setattr(cc, "U", 2.0**-12)
    for spread, slopes in ((0.25, (0.25, 0.75)), (0.0, (0.5, 0.5))):
        network.layers[0].slopes = lambda lo, hi, s=slopes: (np.array([[s[0]]]), np.array([[s[1]]]))  # type: ignore[method-assign]
        for r in (0.0, 0.5):
            by = [[Form(np.array([-3.0]), np.zeros((0, 1)), np.array([r]), -3.0 - r, r - 3.0)]]
            middle, radius = network.derivatives([(np.zeros((1, 1)), np.zeros((1, 1)))], by)
            assert middle[0, 0, 0] == pytest.approx(-1.5)
            exact = (0.5 + spread) * r + (spread + 4 * 2.0**-12 * 0.5) * 3
            assert radius[0, 0, 0] == pytest.approx(exact, rel=1e-9)


TINY_TIMES_HUGE = {  # weights whose product underflows, though the signal is large: u = 2^-100 relu(x), 2^-75 x / 4
    "affine": ([affine(np.full((5, 1), 2.0**1000)), {"type": "relu", "n": 5}], 2.0**-600, 2.0**-500, 2.0**-99),
    "line": (
        [affine(np.full((5, 1), -(2.0**1000))), {"type": "leaky_relu", "n": 5, "negative_slope": hexed([0.25] * 5)}],
        1.0,
        2.0**-1073,
        -(2.0**-74),
    ),
}


@pytest.mark.parametrize("name", TINY_TIMES_HUGE)
def test_weights_that_underflow_together_are_not_dropped(name: str) -> None:
    """Put into one another from the end they are 0; a plant that multiplies by 2^100 saw no policy at all."""
    first, second, last, value = TINY_TIMES_HUGE[name]
    middle = [affine(second * np.eye(5)), {"type": "relu", "n": 5}] if second != 1.0 else []
    network = cc.Network({"layers": [*first, *middle, affine(last * np.eye(1, 5))]}, False)
    (action,), _, _ = network([Form(np.full(1, 2.0), np.zeros((0, 1)), np.zeros(1))])
    lo, hi = action.range()
    assert lo[0] <= value <= hi[0]
