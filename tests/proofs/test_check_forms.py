"""The exact checker: affine forms with every rounding counted, and bounds of every neuron of every layer."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from lipctrl.proofs import check as ck
from lipctrl.proofs.check import Form, LayerBounds, Matrix, Rejected
from tests.proofs.parts_for_tests import affine, network, neurons

F = Fraction
UNIT = 1 << ck.GRID


def integers(rng: np.random.Generator, *shape: int) -> Any:
    return rng.integers(-(2**40), 2**40, shape).tolist()


@pytest.mark.parametrize("exponent", [-9, -1, 0, 3])
@pytest.mark.parametrize("seed", range(3))
def test_images_of_forms_count_what_is_cut_off(seed: int, exponent: int) -> None:
    """W c + b, W ball, W box rounded down; the radius is |W| radius and all that was cut off, rounded up."""
    rng = np.random.default_rng(seed)
    n, m, balls, boxes = 3, 5, 2, 4
    form = Form(integers(rng, n), integers(rng, n, balls), integers(rng, n, boxes), rng.integers(0, 99, n).tolist())
    W = rng.integers(-50, 50, (m, n)).tolist()
    W[1], W[2] = [0, 0, 7], [0, 0, 0]
    b = [F(int(k), d) for k, d in zip(rng.integers(-9, 9, m), (1, 3, 1, 7, 2), strict=True)]
    image = form.affine(Matrix(W, n, exponent), b)
    scale = F(2) ** exponent

    def cut(exact: Fraction) -> tuple[int, int]:
        down = exact.numerator // exact.denominator
        return down, int(down != exact)

    for i in range(m):
        parts = [cut(scale * sum(w * c for w, c in zip(W[i], form.center, strict=True))), cut(b[i] * UNIT)]
        assert image.center[i] == parts[0][0] + parts[1][0]
        for new, old, count in ((image.ball, form.ball, balls), (image.box, form.box, boxes)):
            pieces = [cut(scale * sum(w * row[j] for w, row in zip(W[i], old, strict=True))) for j in range(count)]
            assert new[i] == [piece for piece, _ in pieces]
            parts += pieces
        spread = scale * sum(abs(w) * r for w, r in zip(W[i], form.radius, strict=True))
        assert image.radius[i] == -((-spread).__floor__()) + sum(lost for _, lost in parts)
    assert len(image.center) == m and form.affine(Matrix(W, n, exponent), b) == image


@pytest.mark.parametrize("seed", range(3))
def test_relaxed_forms_count_what_is_cut_off(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 3
    form = Form(integers(rng, n), integers(rng, n, 2), integers(rng, n, 4), rng.integers(1, 99, n).tolist())
    lines = [(F(5, 8), F(1, 3), F(1, 7)), (F(-3, 4), F(1, 2), F(2)), (F(3), F(-2, 3), F(0))]
    image = form.relax(lines)
    for i, (lam, mu, delta) in enumerate(lines):
        exact = [lam * form.center[i], mu * UNIT, *(lam * x for x in form.ball[i] + form.box[i])]
        down = [x.__floor__() for x in exact]
        assert image.center[i] == down[0] + down[1] and image.ball[i] + image.box[i] == down[2:]
        lost = sum(int(d != x) for d, x in zip(down, exact, strict=True))
        assert image.radius[i] == (abs(lam) * form.radius[i]).__ceil__() + (delta * UNIT).__ceil__() + lost
        assert len(image.ball[i]) == 2 and len(image.box[i]) == 4


def test_ranges_of_forms() -> None:
    """Center -+ (the length of the ball's row, rounded up, and all else added)."""
    form = Form([7, -20, 0], [[3, -4], [1, 1], [0, 0]], [[2, -5, 1], [0, 0, 0], [0, 0, 0]], [6, 10, 0])
    assert form.range(0) == (F(7 - 19, UNIT), F(7 + 19, UNIT))
    assert form.range(1) == (F(-20 - 12, UNIT), F(-20 + 12, UNIT)) and form.range(2) == (0, 0)
    third = F(1, 3)
    start = Form.of([third, F(2), -third], Matrix([[1, 3], [2, 0], [5, 4]], 2, -258), [F(0), third, F(3)])
    assert start.center == [UNIT // 3, 2 * UNIT, -(UNIT // 3) - 1]
    assert start.ball == [[0, 0], [0, 0], [1, 1]] and start.radius == [3, 1, 2]
    assert start.box == [[0, 0, 0], [0, UNIT // 3 + 1, 0], [0, 0, 3 * UNIT]]
    plain = Form.of([F(1), F(2)], Matrix([[], []], 0), [F(0), F(0)])
    assert (plain.ball, plain.box, plain.radius) == ([[], []], [[], []], [0, 0])
    around = Form.around([(-third, third), (F(1), F(4)), (F(-5), F(-2))])
    assert around.center == [0, 5 * UNIT // 2, -7 * UNIT // 2]
    assert around.radius == [UNIT // 3 + 1, 3 * UNIT // 2, 3 * UNIT // 2]
    odd = Form.around([(F(1, UNIT), F(4, UNIT)), (F(-4, UNIT), F(-1, UNIT))])
    assert odd.center == [2, -3] and odd.radius == [2, 2] and odd.ball == odd.box == [[], []]
    assert ck._shift(-5, 1) == -10 and ck._cut(-4, -1) == (-2, 0) and ck._cut(3, 0) == (3, 0)


# ------------------------------------------------------------------------------------------------------- bounds of all

KINDS = (("relu", {}), ("hardtanh", {"low": -1.0, "high": 2.0}), ("tanh", {}))


def chain(rng: np.random.Generator) -> ck.Network:
    """2 -> 3 -> 5 -> 2 -> 1, with relu, hardtanh and tanh."""
    sizes, layers = (2, 3, 5, 2, 1), []
    for k, (n, m) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        layers.append(affine(rng.integers(-8, 9, (m, n)) / 8, rng.integers(-8, 9, m) / 8 + 5 / 64 + np.arange(m) / 128))
        if k < 3:
            layers.append(neurons(KINDS[k][0], m, **KINDS[k][1]))
    return ck.read_network(network(*layers))


def tight(policy: ck.Network, form: Form, relaxed: bool) -> list[LayerBounds]:
    """The ranges that the checker finds, and slopes and relaxations that just hold."""
    layers = []
    for k, phis in enumerate(policy.activations):
        form = form.affine(policy.weights[k], policy.biases[k])
        ranges = [form.range(i) for i in range(len(phis))]
        slopes = [phi.slopes(*ends) for phi, ends in zip(phis, ranges, strict=True)]
        lines = []
        for phi, (low, high) in zip(phis, ranges, strict=True):
            bottom, top = phi.value_on(low, high)
            lines.append((F(0), (bottom + top) / 2, (top - bottom) / 2 + F(1, 2**90)))
        layers.append(LayerBounds(ranges, slopes, lines if relaxed and k == 0 else None))
        form = form.relax(lines) if relaxed and k == 0 else Form.around(
            [phi.value_on(*ends) for phi, ends in zip(phis, ranges, strict=True)]
        )  # fmt: skip
    return layers


def replaced(layers: list[LayerBounds], k: int, i: int, **change: Any) -> list[LayerBounds]:
    """With one entry of one list of layer k changed."""
    new = {name: getattr(layers[k], name) for name in ("ranges", "slopes", "relaxation")}
    for name, value in change.items():
        new[name] = [value if j == i else old for j, old in enumerate(new[name])]
    return [*layers[:k], LayerBounds(**new), *layers[k + 1 :]]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("relaxed", [False, True])
def test_every_bound_of_every_neuron_is_proved(seed: int, relaxed: bool) -> None:
    """Bounds that just hold are proved; each of them a hair narrower is refused by its name."""
    hair = F(1, 2**250)
    policy = chain(np.random.default_rng(seed))
    start = Form.of([F(1, 4), F(-1, 2)], Matrix([[1, 2], [0, -1]], 2, -3), [F(1, 8), F(1, 2)])
    layers = tight(policy, start, relaxed)
    ck.prove_bounds(policy, layers, start)
    for k, layer in enumerate(layers):
        assert layer.ranges is not None
        for i, ((low, high), (alpha, beta)) in enumerate(zip(layer.ranges, layer.slopes, strict=True)):
            for change, reason in (
                ({"ranges": (low + hair, high)}, "the range does not hold"),
                ({"ranges": (low, high - hair)}, "the range does not hold"),
                ({"slopes": (alpha + hair, beta)}, "the slope range is not proved"),
                ({"slopes": (alpha, beta - hair)}, "the slope range is not proved"),
            ):
                with pytest.raises(Rejected, match=f"^layer {k + 1}, neuron {i + 1}: {reason}"):
                    ck.prove_bounds(policy, replaced(layers, k, i, **change), start)
            if layer.relaxation is not None:
                lam, mu, delta = layer.relaxation[i]
                for line in ((lam, mu, delta - F(1, 2**80)), (lam, mu + F(1, 2**80), delta), (lam + 1, mu, delta)):
                    with pytest.raises(Rejected, match=f"^layer {k + 1}, neuron {i + 1}: the relaxation is not"):
                        ck.prove_bounds(policy, replaced(layers, k, i, relaxation=line), start)
    # about the centre, of secants through it
    point = Form.of([F(1, 4), F(-1, 2)], Matrix([[], []], 0), [F(0), F(0)])
    ck.prove_bounds(policy, layers, start, point)
    there = point
    for k, phis in enumerate(policy.activations):
        there = there.affine(policy.weights[k], policy.biases[k])
        for i, phi in enumerate(phis):
            low, high = phi.slopes(*there.range(i))
            for slopes in ((high + hair, high + 1), (low - 1, low - hair)):
                with pytest.raises(Rejected, match=f"^layer {k + 1}, neuron {i + 1}: the sector is not proved"):
                    ck.prove_bounds(policy, replaced(layers, k, i, slopes=slopes), start, point)
        there = Form.around([phi.value_near(*there.range(i)) for i, phi in enumerate(phis)])
    for k in range(3):
        free = [*layers[:k], LayerBounds(None, layers[k].slopes, [(F(0), F(0), F(9))]), *layers[k + 1 :]]
        with pytest.raises(Rejected, match=f"^layer {k + 1}: a relaxation without a range"):
            ck.prove_bounds(policy, free, start)
    with pytest.raises(Rejected, match=r"^layer 1: a range is claimed"):
        ck.prove_bounds(policy, layers, None)


def test_what_is_known_behind_a_layer() -> None:
    """By its relaxation, else by its ranges, else by its image if every neuron has one."""
    relu, clip, tanh = ck.activation("relu"), ck.activation("hardtanh", (-1.0, 3.0)), ck.activation("tanh")
    none = LayerBounds(None, [], None)
    assert ck._through(None, [relu, tanh], none) is None and ck._through(None, [tanh, relu], none) is None
    behind = ck._through(None, [tanh, clip], none)
    assert behind is not None and [behind.range(i) for i in range(2)] == [(-1, 1), (-1, 3)]
    ranged = LayerBounds([(F(-2), F(5)), (F(-4), F(1))], [], None)
    behind = ck._through(None, [relu, clip], ranged)
    assert behind is not None and [behind.range(i) for i in range(2)] == [(0, 5), (-1, 1)]
    lines = [(F(1, 2), F(1), F(1)), (F(0), F(0), F(3))]
    form = Form.around([(F(-2), F(4)), (F(0), F(1))])
    behind = ck._through(form, [relu, clip], LayerBounds(ranged.ranges, [], lines))
    assert behind is not None and [behind.range(i) for i in range(2)] == [(-1, 4), (-3, 3)]


def test_jacobians_at_kinks_and_next_to_them() -> None:
    """At a kink, or where it cannot be told from one, nothing is said; one unit farther it is."""
    for kind, kink in (("relu", 0), ("hardtanh", -1), ("hardtanh", 2)):
        parameters = dict(KINDS[1][1]) if kind == "hardtanh" else {}
        policy = ck.read_network(network(affine([[1.0]]), neurons(kind, 1, **parameters), affine([[1.0]])))
        for units, refused in ((F(0), True), (F(3, 2), True), (F(-1, 2), True), (F(2), False), (F(-2), False)):
            y = [kink + units / UNIT]
            if refused:
                with pytest.raises(Rejected, match=r"^layer 1, neuron 1: the policy has a kink"):
                    ck.jacobian(policy, y)
            else:
                gain, spread = ck.jacobian(policy, y)
                value = F(gain.rows[0][0]) * F(2) ** gain.exponent
                slope = int((units > 0) == (kind == "relu" or kink == -1))
                assert abs(value - slope) <= F(spread.rows[0][0], UNIT) <= F(9, UNIT)


@pytest.mark.parametrize("seed", range(3))
def test_jacobians_of_enclosed_slopes(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Two layers whose slopes are known to intervals: the enclosure holds every choice of them, and is no wider than
    midpoints and radii make it."""
    rng = np.random.default_rng(seed)
    W = [rng.integers(-9, 10, shape) / 4 for shape in ((3, 2), (5, 3), (2, 5))]
    policy = ck.read_network(
        network(affine(W[0]), neurons("tanh", 3), affine(W[1]), neurons("tanh", 5), affine(W[2], [0.0, 0.0]))
    )
    slopes = [[(F(int(a), 16), F(int(a) + int(w), 16)) for a, w in zip(*rng.integers(-9, 9, (2, m)), strict=True)]
              for m in (3, 5)]  # fmt: skip
    slopes = [[(min(r), max(r)) for r in layer] for layer in slopes]
    given = iter([r for layer in slopes for r in layer])
    asked: list[ck.Range] = []
    monkeypatch.setattr(ck.Activation, "slopes", lambda self, *ends: asked.append(ends) or next(given))
    monkeypatch.setattr(ck.Activation, "value_near", lambda self, low, high: (low - F(1, 8), high + F(1, 4)))
    y = [F(1, 3), F(-1, 7)]
    gain, spread = ck.jacobian(policy, y)
    point = Form.of(y, Matrix([[], []], 0), [F(0), F(0)]).affine(policy.weights[0], policy.biases[0])
    assert asked[:3] == [point.range(i) for i in range(3)] and all(low < high for low, high in asked[:3])
    wide = Form.around([(low - F(1, 8), high + F(1, 4)) for low, high in asked[:3]])
    behind = wide.affine(policy.weights[1], policy.biases[1])
    assert asked[3:] == [behind.range(i) for i in range(5)]
    middle, radius = (np.array(m.rows, dtype=object) for m in (gain, spread))
    exact = [np.array([[F(x) for x in row] for row in w], dtype=object) for w in W]
    centers = [[(a + b) / 2 for a, b in layer] for layer in slopes]
    halves = [[(b - a) / 2 for a, b in layer] for layer in slopes]
    M, R = exact[0], 0 * exact[0]
    for k in range(2):
        c, h = (np.array(v, dtype=object)[:, None] for v in (centers[k], halves[k]))
        M, R = c * M, abs(c) * R + h * (abs(M) + R)
        M, R = exact[k + 1] @ M, abs(exact[k + 1]) @ R
    assert middle.shape == (2, 2) and (gain.exponent, spread.exponent) == (-ck.GRID, -ck.GRID)
    assert (abs(middle - M * UNIT) <= 2000).all() and (abs(radius - R * UNIT) <= 4000).all()
    for choice in range(16):
        signs = [(choice >> k) % 2 for k in range(4)]
        picked = [[r[signs[(i + k) % 4]] for i, r in enumerate(layer)] for k, layer in enumerate(slopes)]
        J = exact[0]
        for k in range(2):
            J = exact[k + 1] @ (np.array(picked[k], dtype=object)[:, None] * J)
        assert (abs(J * UNIT - middle) <= radius).all()


@pytest.mark.parametrize("seed", [1])
def test_jacobians_on_a_coarse_grid(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Where every rounding shows: slopes whose ends are units of the grid or thirds of it, weights finer than it."""
    rng = np.random.default_rng(seed)
    monkeypatch.setattr(ck.Activation, "value_near", lambda self, low, high: (low, high))
    for trial in range(250):
        grid, first = int(rng.integers(3, 6)), rng.integers(-70, 70, (2, 2))
        monkeypatch.setattr(ck, "GRID", grid)
        W = [
            first / 2.0 ** (grid + int(rng.choice([0, 0, 2]))),
            rng.integers(-3, 4, (3, 2)),
            rng.integers(-3, 4, (1, 3)),
        ]
        W = W[: 2 + trial % 2]
        unit, large = int(rng.choice([1, 1, 3])) << grid, int(rng.choice([2, 6, 40]))
        slopes = []
        for w in W[:-1]:
            low = rng.integers(-large, large, len(w))
            ends = zip(low, low + rng.integers(0, large, len(w)) + rng.integers(0, 2, len(w)), strict=True)
            slopes.append([(F(int(a), unit), F(int(b), unit)) for a, b in ends])
        layers = [layer for w in W for layer in (affine(w), neurons("tanh", len(w)))]
        given = iter([r for layer in slopes for r in layer])
        monkeypatch.setattr(ck.Activation, "slopes", lambda self, low, high, given=given: next(given))
        gain, spread = ck.jacobian(ck.read_network(network(*layers[:-1])), [F(1, 4), F(-1, 8)])
        middle, radius = (np.array(m.rows, dtype=object) for m in (gain, spread))
        exact = [np.array([[F(float(x)) for x in row] for row in w], dtype=object) for w in W]
        for choice in range(8):
            J = exact[0]
            for k, layer in enumerate(slopes):
                picked = [r[(choice >> (i if k else 2 - i)) % 2] for i, r in enumerate(layer)]
                J = exact[k + 1] @ (np.array(picked, dtype=object)[:, None] * J)
            assert (abs(J * (1 << grid) - middle) <= radius).all()
        plain, rounded = ck.jacobian(ck.read_network(network(affine(W[0]))), [F(0), F(0)])
        off = abs(exact[0] * (1 << grid) - np.array(plain.rows, dtype=object))
        assert (off <= np.array(rounded.rows, dtype=object)).all() and np.max(rounded.rows) == 1
