"""The exact checker: errors of the float32 evaluation, number by number from the table of FORMAT-cells.md."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from lipctrl.proofs import check as ck
from lipctrl.proofs.check import Form, LayerBounds, Matrix, Rejected
from tests.proofs.parts_for_tests import accepted, affine, network, neurons

F = Fraction
U, TINY = F(1, 2**24), F(1, 2**126)
CLOSE = F(1, 2**175)
"""Each layer is rounded up to 2^-200."""
LAYERS: list[tuple[list[list[float]], list[float], str | None, dict[str, float]]] = [
    ([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, -2.0], [0.5, -3.0, 0.0], [0.0, 0.0, 0.0]],
     [0.0, 0.5, 0.0, -0.25, 4.0], "leaky_relu", {"negative_slope": -2.0}),
    ([[1.0, 2.0, -3.0, 0.5, 0.25], [0.0, 0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0, -1.0]],
     [0.0, 0.0, 0.0], "hardtanh", {"low": 0.1, "high": 2.7}),
    ([[0.5, 0.25, 0.0], [0.0, 0.125, -2.0]], [1.0, 0.0], "tanh", {}),
    ([[1.0, -1.0], [0.0, 0.25], [1.0, 0.0]], [0.5, 0.5, 0.0], "sigmoid", {}),
    ([[0.0, 3.0, 1.0], [2.0, 0.0, 0.0]], [-0.125, 0.0], None, {}),
]  # fmt: skip
RANGES = [
    [(-1, 3), (-2, 4), (-9, 1), (-5, 2), (4, 4)],
    [(-3, 2), (-1, 7), (-6, -4)],
    [(F(1, 4), 2), (-4, 1)],
    [(-2, 3), (F(1, 8), F(3, 4)), (-1, F(1, 2))],
]
STEEPEST = {"leaky_relu": F(2), "hardtanh": F(1), "tanh": F(1), "sigmoid": F(1, 4)}


def policy() -> ck.Network:
    layers: list[dict[str, Any]] = []
    for W, b, kind, parameters in LAYERS:
        layers.append(affine(W, b))
        if kind is not None:
            layers.append(neurons(kind, len(W), **parameters))
    return ck.read_network(network(*layers))


def bounds() -> list[LayerBounds]:
    return [LayerBounds([(F(a), F(b)) for a, b in layer], [(F(0), F(1))] * len(layer), None) for layer in RANGES]


def largest(kind: str, low: Fraction, high: Fraction) -> Fraction:
    phi = ck.activation(kind, tuple(LAYERS[["leaky_relu", "hardtanh", "tanh", "sigmoid"].index(kind)][3].values()))
    return max(abs(end) for x in (low, high) for end in phi.value(x))


def moved(x: float) -> Fraction:
    return abs(F(float(np.float32(x))) - F(x))


def by_the_table(sizes: Sequence[Fraction]) -> dict[str, Any]:
    """Errors before each phi, of the last map, made alone (errors before it put to zero), and of each action."""
    e = [U * (1 + F(1, 256)) * s + F(1, 2**48) * (1 + s) + TINY for s in sizes]
    size, made = list(sizes), list(e)
    out: dict[str, Any] = {"before": [], "alone": []}
    for k, (W, b, kind, _) in enumerate(LAYERS):
        before, alone = [], []
        for row, offset in zip(W, b, strict=True):
            used = [j for j, w in enumerate(row) if w]
            weights = {j: abs(F(row[j])) for j in used}
            if len(used) > 1:
                gamma = (len(used) + 3) * U / (1 - (len(used) + 3) * U)
                own = gamma * (sum(weights[j] * (size[j] + e[j]) for j in used) + abs(F(offset)))
                own += (2 * len(used) + 9) * TINY
            elif used and row[used[0]] == 1 and offset == 0:
                own = F(0)
            else:
                heard = sum(weights[j] * max(size[j] + e[j], F(1)) for j in used) + abs(F(offset))
                own = 9 * U * heard + (11 if used else 9) * TINY
            before.append(sum((weights[j] * e[j] for j in used), own))
            alone.append(sum((weights[j] * made[j] for j in used), own))
        out["before"].append(before)
        out["alone"].append(alone)
        if kind is None:
            size = [sum(abs(F(w)) * s for w, s in zip(row, size, strict=True)) + abs(F(o))
                    for row, o in zip(W, b, strict=True)]  # fmt: skip
            break
        reach = [max(abs(F(a)), abs(F(c))) + d for (a, c), d in zip(RANGES[k], before, strict=True)]
        if kind == "leaky_relu":
            made = [3 * U * 2 * r + TINY for r in reach]
        else:
            made = [F(1, 2**22) if kind in ("tanh", "sigmoid") else max(moved(0.1), moved(2.7))] * len(W)
        e = [STEEPEST[kind] * d + m for d, m in zip(before, made, strict=True)]
        size = [largest(kind, F(a), F(c)) for a, c in RANGES[k]]
    out["actions"] = [d + 2 * U * (s + d) for d, s in zip(out["before"][-1], size, strict=True)]
    out["sizes"] = size
    return out


def test_every_row_of_the_table() -> None:
    form = Form.around([(F(-1), F(3)), (F(-5, 2), F(1)), (F(0), F(1, 4))])
    expected = by_the_table([F(3), F(5, 2), F(1, 4)])
    found = ck.float32_errors(policy(), bounds(), form)
    assert len(found) == 2
    for value, true in zip(found, expected["actions"], strict=True):
        assert true <= value <= true + CLOSE


@pytest.mark.parametrize("scale", [F(1, 1000), F(10)])
def test_errors_carried_by_tails(monkeypatch: pytest.MonkeyPatch, scale: Fraction) -> None:
    """The sum over layers of upper_k |m_k|_2, and m of the last map, where that is less; of boxes widened by e."""
    form = Form.around([(F(-1), F(3)), (F(-5, 2), F(1)), (F(0), F(1, 4))])
    table = by_the_table([F(3), F(5, 2), F(1, 4)])
    uppers = [scale * k for k in (3, 1, 4, 2)]
    asked: list[Any] = []
    root = ck._sqrt

    def tail(net: ck.Network, k: int, boxes: Any, fields: Any) -> Fraction:
        asked.append((k, fields))
        for (low, high), (a, b), e in zip(boxes, RANGES[k], table["before"][k], strict=True):
            assert a - e - CLOSE <= low <= a - e and b + e <= high <= b + e + CLOSE
        return uppers[k]

    monkeypatch.setattr(ck, "_tail", tail)
    monkeypatch.setattr(ck, "_sqrt", lambda x: (root(x)[0] / 2, 2 * root(x)[1]))
    found = ck.float32_errors(policy(), bounds(), form, ["a", "b", "c", "d"])
    assert asked == [(0, "a"), (1, "b"), (2, "c"), (3, "d")]
    through = sum(2 * u * root((sum(m * m for m in alone),) * 2)[1]
                  for u, alone in zip(uppers, table["alone"], strict=False))  # fmt: skip
    least = [min(e, through + m) for e, m in zip(table["before"][-1], table["alone"][-1], strict=True)]
    assert (scale < 1) == (least != table["before"][-1])
    for value, e, size in zip(found, least, table["sizes"], strict=True):
        assert e + 2 * U * (size + e) <= value <= (e + 2 * U * (size + e)) + CLOSE
    for wrong in (["a"] * 3, ["a"] * 5, "abcd"):
        assert not accepted(lambda wrong=wrong: ck.float32_errors(policy(), bounds(), form, wrong))


def test_what_may_overflow_is_refused() -> None:
    """An input, or a sum |W| |h| + |b|, of 2^126 or more."""
    one, far = F(2) ** 126, F(1, 2**10)
    for W, b, top, true in (
        ([[1.0]], [0.0], one * (1 - far), True), ([[1.0]], [0.0], one, False), ([[0.0]], [1.0], one, False),
        ([[4.0]], [0.0], one / 4 * (1 - far), True), ([[4.0]], [0.0], one / 4, False),
        ([[0.5]], [2.0**125], one * (1 - far), True), ([[0.5]], [-(2.0**125)], one * (1 - far), True),
        ([[1.0]], [2.0**125], one / 2, False),
    ):  # fmt: skip
        net, form = ck.read_network(network(affine(W, b))), Form.around([(-top, F(0))])
        assert accepted(lambda net=net, form=form: ck.float32_errors(net, [], form)) is true, (W, b, top)


def test_weights_that_float32_cannot_hold() -> None:
    """One of 2^126 or more may be infinite; one below 2^-126 may be flushed, and then all that it carries is lost."""
    form = Form.around([(F(-1, 2**10), F(0))] * 2)
    for weight, true in ((2.0**126 * (1 - 2.0**-50), True), (2.0**126, False), (-(2.0**130), False)):
        net = ck.read_network(network(affine([[weight, 1.0]], [0.0])))
        assert accepted(lambda net=net: ck.float32_errors(net, [], form)) is true, weight
        if abs(weight) >= 2.0**126:
            phi = ck.activation("leaky_relu", (weight,))
            assert not accepted(lambda phi=phi: ck._float32_rounding("leaky_relu", phi, F(1)))
    top = F(2) ** 120
    form = Form.around([(-top, F(0))] * 2)
    for weights in ([2.0**-127, 0.0], [-(2.0**-140), 0.0], [2.0**-127, 2.0**-130], [0.5, 2.0**-127]):
        net = ck.read_network(network(affine([weights], [0.0])))
        lost = sum(abs(F(w)) * top for w in weights if abs(w) < 2.0**-126)
        assert ck.float32_errors(net, [], form)[0] >= lost
    for slope in (2.0**-127, -(2.0**-140)):
        phi = ck.activation("leaky_relu", (slope,))
        assert ck._float32_rounding("leaky_relu", phi, top) == abs(F(slope)) * top + TINY


def test_rounding_of_each_kind() -> None:
    size = F(5)
    for kind, parameters, expected in (
        ("identity", (), 0), ("relu", (), 0), ("tanh", (), F(1, 2**22)), ("sigmoid", (), F(1, 2**22)),
        ("leaky_relu", (-0.5,), 3 * U * F(5, 2) + TINY), ("leaky_relu", (2.0,), 3 * U * 10 + TINY),
        ("hardtanh", (-0.3, 0.5), moved(-0.3)), ("hardtanh", (0.5, 0.7), moved(0.7)), ("hardtanh", (-1.0, 2.0), 0),
        ("hardtanh", (0.1, 0.7), max(moved(0.1), moved(0.7))), ("hardtanh", (-np.inf, 0.7), moved(0.7)),
        ("hardtanh", (0.1, 2.0**126 * (1 + 2.0**-30)), moved(0.1)), ("hardtanh", (-(2.0**127) * (1 + 2.0**-30), 1), 0),
    ):  # fmt: skip
        assert ck._float32_rounding(kind, ck.activation(kind, parameters), size) == expected
    for low, high in ((0.0, 2.0**-130), (-(2.0**-127), 2.0**-130), (2.0**-140, 2.0**-126)):  # flushed, if subnormal
        lost = max(F(abs(limit)) for limit in (low, high) if abs(limit) < 2.0**-126)
        assert ck._float32_rounding("hardtanh", ck.activation("hardtanh", (low, high)), size) == lost
    for slope in (300.0, 2.0**126 * (1 - 2.0**-20)):
        phi = ck.activation("leaky_relu", (slope,))
        assert ck._float32_rounding("leaky_relu", phi, size) == 3 * U * F(slope) * size + TINY
    below = 2.0**126 * (1 - 2.0**-30)
    assert ck._float32_rounding("hardtanh", ck.activation("hardtanh", (0.0, below)), size) == moved(below) > 0
    assert ck.FLOAT32_KINDS == ("identity", "relu", "leaky_relu", "tanh", "sigmoid", "hardtanh")


@pytest.mark.parametrize("k", range(4))
def test_tails_are_about_what_follows(monkeypatch: pytest.MonkeyPatch, k: int) -> None:
    """phi_k, W_k, ..., W_l behind an identity; a plain bound on a box that holds all that is seen, just."""
    net = policy()
    n = len(LAYERS[k][0])
    boxes = [(F(-i, 4), F(i + 1, 2)) for i in range(n)]
    center = [float(low + high) / 2 for low, high in boxes]
    half = [float(high - low) / 2 for low, high in boxes]
    seen: list[ck.Network] = []
    answer: list[Any] = []

    def prove(fields: dict[str, Any], rest: ck.Network) -> Any:
        seen.append(rest)
        assert set(fields) == set(ck.LIPSCHITZ)
        return answer[0]

    monkeypatch.setattr(ck, "prove_lipschitz", prove)
    fields = dict.fromkeys(ck.LIPSCHITZ)
    plain = ck.Scaling(None, [F(1)] * 2, [F(1)] * n)
    region = ck.InputSet(center, [[]] * n, half)

    def proved(scaling: ck.Scaling = plain, on: ck.InputSet | None = region, **more: Any) -> bool:
        answer[:] = [(2.5, scaling, on)]
        return accepted(lambda: ck._tail(net, k, boxes, fields | more))

    assert proved() and ck._tail(net, k, boxes, fields) == F(5, 2)
    rest = seen[0]
    assert rest.weights[0].rows == Matrix.eye(n).rows and rest.weights[1:] == net.weights[k + 1 :]
    assert rest.biases == [[0] * n, *net.biases[k + 1 :]] and rest.activations == net.activations[k:]
    assert rest.kinds == net.kinds[k:] and (rest.n_in, rest.n_out) == (n, 2)
    assert not proved(on=None) and not proved(x=1)
    assert not proved(ck.Scaling(Matrix([[0] * n] * 2, n), plain.output_weight, plain.input_weight))
    for i in range(2):
        assert not proved(ck.Scaling(None, [F(2) if j == i else F(1) for j in range(2)], plain.input_weight))
    for i in range(n):
        assert not proved(ck.Scaling(None, plain.output_weight, [F(1, 2) if j == i else F(1) for j in range(n)]))
        for narrower in (
            ck.InputSet(center, [[]] * n, [h - 2.0**-40 if j == i else h for j, h in enumerate(half)]),
            ck.InputSet([c + 2.0**-40 if j == i else c for j, c in enumerate(center)], [[]] * n, half),
            ck.InputSet([c - 2.0**-40 if j == i else c for j, c in enumerate(center)], [[]] * n, half),
        ):
            assert not proved(on=narrower)
        assert proved(on=ck.InputSet(center, [[]] * n, [h + 1 if j == i else h for j, h in enumerate(half)]))


def test_only_what_is_in_the_table_is_evaluated_in_float32() -> None:
    form = Form.around([(F(-1), F(3))])
    for kind, parameters in (("gelu", {}), ("silu", {}), ("elu", {"alpha": 1.0}), ("softplus", {"beta": 1.0})):
        net = ck.read_network(network(affine([[1.0]]), neurons(kind, **parameters), affine([[1.0]])))
        with pytest.raises(Rejected, match="layer 1: nothing is stated"):
            ck.float32_errors(net, [LayerBounds([(F(-1), F(3))], [(F(0), F(1))], None)], form)
    two = network(affine([[1.0]]), neurons("relu"), affine([[1.0]]), neurons("tanh"), affine([[1.0]]))
    known = LayerBounds([(F(-1), F(3))], [(F(0), F(1))], None)
    with pytest.raises(Rejected, match="layer 2: nothing is stated"):
        ck.float32_errors(ck.read_network(two), [known, LayerBounds(None, known.slopes, None)], form)
