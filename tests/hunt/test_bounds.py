"""Lipschitz bounds against pairs of points in 200-bit arithmetic, and against networks whose constant is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from typing import Any

import flint
import numpy as np
import pytest

from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.theorems.lipschitz import lipschitz
from tests.hunt.tally import Tally
from tests.networks_for_tests import random_network

arb = flint.arb

PHI: dict[str, Callable[[Any, Callable[[str], float]], Any]] = {
    "relu": lambda x, p: positive_part(x),
    "leaky_relu": lambda x, p: positive_part(x) - arb(p("negative_slope")) * positive_part(-x),
    "hardtanh": lambda x, p: arb(p("low")) + positive_part(x - arb(p("low"))) - positive_part(x - arb(p("high"))),
    "elu": lambda x, p: positive_part(x) - arb(p("alpha")) * positive_part(-(-positive_part(-x)).expm1()),
    "tanh": lambda x, p: x.tanh(),
    "sigmoid": lambda x, p: (1 + (x / 2).tanh()) / 2,
    "silu": lambda x, p: x * (1 + (x / 2).tanh()) / 2,
    "gelu": lambda x, p: x * (-x / arb(2).sqrt()).erfc() / 2,
    "softplus": lambda x, p: (1 + (x * arb(p("beta"))).exp()).log() / arb(p("beta")),
}


def positive_part(x: Any) -> Any:
    """max(x, 0) of an enclosure."""
    return x if x >= 0 else arb(0) if x <= 0 else x.union(arb(0))


def exact(network: Network, x: np.ndarray) -> list[Any]:
    """An enclosure of the network's value, about 2^-190 wide."""
    value = [arb(v) for v in x.tolist()]
    for layer in network.layers:
        if isinstance(layer, Affine):
            product = flint.arb_mat(layer.W.tolist()) * flint.arb_mat(len(value), 1, value)
            value = [product[i, 0] + arb(b) for i, b in enumerate(layer.b.tolist())]
        else:
            phi, parameters = PHI[layer.kind], layer.activation.parameters
            value = [phi(v, lambda name, i=i, p=parameters: float(p[name][i])) for i, v in enumerate(value)]
    return value


def steeper(network: Network, x: np.ndarray, y: np.ndarray, upper: float) -> bool:
    """Whether |f(x) - f(y)| > upper |x - y| beyond doubt."""
    far = sum(((a - b) ** 2 for a, b in zip(exact(network, x), exact(network, y), strict=True)), arb(0))
    near = sum(((arb(a) - arb(b)) ** 2 for a, b in zip(x.tolist(), y.tolist(), strict=True)), arb(0))
    return bool(far > arb(upper) ** 2 * near)


def adversarial_pairs(
    network: Network, rng: np.random.Generator, count: int, box: tuple[np.ndarray, np.ndarray] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Gradient ascent on the slope between two points, pairs across kinks, and steps of every size."""
    n = network.n_in
    low, high = (np.full(n, -np.inf), np.full(n, np.inf)) if box is None else box
    spread = np.ones(n) if box is None else (high - low) / 2
    center = np.zeros(n) if box is None else (high + low) / 2
    x = center + spread * rng.uniform(-1, 1, (count, n)) * 10.0 ** (
        0 if box is not None else rng.uniform(-2, 2, (count, 1))
    )
    W, b = next((layer.W, layer.b) for layer in network.layers if isinstance(layer, Affine))
    for i in range(0, count, 3):  # onto a kink of the first layer
        row = rng.integers(len(W))
        norm = W[row] @ W[row]
        x[i] -= (W[row] @ x[i] + b[row]) / norm * W[row] if norm > 0 else 0
    x = np.clip(x, low, high)
    best, direction = np.full(count, -1.0), np.zeros((count, n))
    points = x.copy()
    for turn in range(4):  # ascent: the steepest direction of nearby Jacobians
        J = np.stack([network.jacobian(p) for p in points])
        _, s, Vt = np.linalg.svd(J)
        better = s[:, 0] > best
        best[better], direction[better], x[better] = s[better, 0], Vt[better, 0], points[better]
        points = np.clip(x + 0.3 ** (turn + 1) * spread * rng.standard_normal((count, n)), low, high)
    step = (10.0 ** rng.uniform(-7, 0.5, count))[:, None] * np.max(spread) * direction
    return np.clip(x + step, low, high), np.clip(x - step * rng.uniform(0, 1, (count, 1)), low, high)


KINDS: list[tuple[str, dict[str, float]]] = [
    ("relu", {}), ("tanh", {}), ("leaky_relu", {"negative_slope": -0.5}), ("gelu", {}), ("silu", {}), ("sigmoid", {}),
    ("elu", {"alpha": 2.0}), ("softplus", {"beta": 3.0}), ("hardtanh", {"low": -0.5, "high": 1.0}),
]  # fmt: skip


def hard_network(rng: np.random.Generator) -> Network:
    """Random, with dead, duplicated and opposite neurons, scaled by up to 1e+-6."""
    sizes = [
        int(rng.integers(1, 4)),
        *(int(k) for k in rng.integers(2, 6, int(rng.integers(1, 3)))),
        int(rng.integers(1, 3)),
    ]
    kind, parameters = KINDS[rng.integers(len(KINDS))]
    layers: list[Affine | Elementwise] = []
    for k, (n_in, n_out) in enumerate(pairwise(sizes)):
        W, b = (
            rng.standard_normal((n_out, n_in)) * 10.0 ** rng.uniform(-6, 6) ** (rng.random() < 0.2),
            rng.standard_normal(n_out),
        )
        if n_out > 2 and rng.random() < 0.5:
            W[0], b[0] = 0, -1
            W[1], b[1] = W[2], b[2]
        if n_out > 1 and rng.random() < 0.3:
            W[-1], b[-1] = -W[0], -b[0]
        layers.append(Affine(W, b))
        if k < len(sizes) - 2:
            layers.append(Elementwise(kind, n_out, **parameters))
    return Network(layers)


def study(count: int, seed: int = 0, pairs: int = 100) -> Tally:
    """`count` pairs, global and local bounds in turn."""
    rng, tally = np.random.default_rng(seed), Tally("adversarial pairs")
    precision, flint.ctx.prec = flint.ctx.prec, 200
    try:
        with tally.clock():
            while tally.tried < count:
                network = hard_network(rng)
                box = None
                if tally.met.get("networks", 0) % 2:
                    center, half = rng.standard_normal(network.n_in), 10.0 ** rng.uniform(-3, 0.5, network.n_in)
                    box = (center - half, center + half)
                tally.count("networks")
                bound = lipschitz(network, region=box)
                xs, ys = adversarial_pairs(network, rng, pairs, box)
                for x, y in zip(xs, ys, strict=True):
                    tally.tried += 1
                    if steeper(network, x, y, bound.upper):
                        tally.fail(
                            f"{network!r} {network.to_dict()} box {box}: {x.tolist()} {y.tolist()} {bound.upper!r}"
                        )
                far = np.linalg.norm(network(xs) - network(ys), axis=1)
                near = np.maximum(np.linalg.norm(xs - ys, axis=1), 1e-300)
                if np.max(far / near) > 0.98 * bound.upper:
                    tally.count("networks whose bound is attained to 2 %")
    finally:
        flint.ctx.prec = precision
    return tally


def test_no_pair_is_steeper_than_its_bound() -> None:
    tally = study(1500, 2, 50)
    assert not tally.failures
    assert tally.met["networks whose bound is attained to 2 %"] > 2


def test_a_bound_that_is_too_small_would_be_found() -> None:
    precision, flint.ctx.prec = flint.ctx.prec, 200
    network = random_network((2, 5, 1), "relu", 0)
    bound = lipschitz(network)
    xs, ys = adversarial_pairs(network, np.random.default_rng(0), 60, None)
    assert any(steeper(network, x, y, 0.97 * bound.lower) for x, y in zip(xs, ys, strict=True))
    flint.ctx.prec = precision


# ---------------------------------------------------------------------------------------------------- known constants


def one(W0: Any, kind: str, W1: Any, b: Any = None, **parameters: float) -> Network:
    W0 = np.asarray(W0, dtype=float)
    return Network([Affine(W0, b), Elementwise(kind, len(W0), **parameters), Affine(W1)])


def slopes_of_a_scalar_relu(W0: np.ndarray, b: np.ndarray, W1: np.ndarray) -> Fraction:
    """The largest |slope| of sum w1 relu(w0 x + b) over the pieces between its kinks, in fractions."""
    kinks = sorted({-Fraction(c) / Fraction(w) for w, c in zip(W0[:, 0].tolist(), b.tolist(), strict=True) if w})
    inside = [kinks[0] - 1, *((p + q) / 2 for p, q in pairwise(kinks)), kinks[-1] + 1]
    return max(
        abs(sum(Fraction(v) * Fraction(w) for w, c, v in zip(W0[:, 0].tolist(), b.tolist(), W1[0].tolist(), strict=True)
                if Fraction(w) * x + Fraction(c) > 0))
        for x in inside
    )  # fmt: skip


def squared_norm_of_the_pieces(W0: np.ndarray, W1: np.ndarray) -> Fraction:
    """Two inputs, no bias, one output: the pieces are the sectors between the lines w_i x = 0."""
    rows = [[Fraction(v) for v in row] for row in W0.tolist()]
    normals = [(-r[1], r[0]) for r in rows] + [(r[1], -r[0]) for r in rows]
    order = sorted(normals, key=lambda v: float(np.arctan2(float(v[1]), float(v[0]))))
    inside = [(p[0] + q[0], p[1] + q[1]) for p, q in pairwise([*order, order[0]])]
    best = Fraction(0)
    for x in inside:
        active = [r[0] * x[0] + r[1] * x[1] > 0 for r in rows]
        gradient = [
            sum(Fraction(v) * r[k] for v, r, on in zip(W1[0].tolist(), rows, active, strict=True) if on) for k in (0, 1)
        ]
        best = max(best, gradient[0] ** 2 + gradient[1] ** 2)
    return best


def known() -> Iterator[tuple[str, Network, Fraction]]:
    """Name, network, and the square of its constant, or a number below it by less than 1e-8 of it."""
    turn = np.array([[3.0, -4.0], [4.0, 3.0]])
    yield "identity", Network([Affine(np.eye(3))]), Fraction(1)
    yield "5 x rotation", Network([Affine(turn)]), Fraction(25)
    yield "two rotations", Network([Affine(turn), Elementwise("identity", 2), Affine(turn)]), Fraction(625)
    yield "row", Network([Affine([[2.0, 3.0, 6.0]])]), Fraction(49)
    yield "zero behind relu", one(np.eye(2), "relu", np.zeros((1, 2))), Fraction(0)
    for k in range(6):
        rng = np.random.default_rng(k)
        u, v = rng.integers(-5, 6, 3).astype(float), rng.integers(1, 6, 2).astype(float)
        square = Fraction(int(u @ u)) * Fraction(int(v @ v))
        yield f"rank one {k}", Network([Affine(np.outer(v, u))]), square
    for kind, parameters, slope in (
        ("relu", {}, Fraction(1)), ("tanh", {}, Fraction(1)), ("leaky_relu", {"negative_slope": -3.0}, Fraction(3)),
        ("hardtanh", {"low": -1.0, "high": 2.0}, Fraction(1)), ("softplus", {"beta": 2.0}, Fraction(1)),
        ("sigmoid", {}, Fraction(1, 4)), ("elu", {"alpha": 2.0}, Fraction(2)),
        ("gelu", {}, Fraction("1.128904145")), ("silu", {}, Fraction("1.0998393201")),
    ):  # fmt: skip
        yield f"orthogonal rows, {kind}", one(turn, kind, np.eye(2), **parameters), 25 * slope**2
    yield "relu(x) - relu(-x) = x", one([[1.0], [-1.0]], "relu", [[1.0, -1.0]]), Fraction(1)
    yield "abs", one([[1.0], [-1.0]], "relu", [[1.0, 1.0]]), Fraction(1)
    yield "relu(x + 1) - relu(x - 1)", one([[1.0], [1.0]], "relu", [[1.0, -1.0]], [1.0, -1.0]), Fraction(1)
    yield (
        "LipSDP-Network says 1.000",
        one([[2.0, 2.0], [1.0, 2.0], [-1.0, -1.0]], "relu", [[1.0, -1.0, 0.0]]),
        Fraction(8),
    )
    for seed in range(8):
        rng = np.random.default_rng(seed)
        m = int(rng.integers(2, 7))
        W0, b, W1 = (
            rng.integers(-9, 10, (m, 1)) / 4 + 0.125,
            rng.integers(-9, 10, m) / 4,
            rng.integers(-9, 10, (1, m)) / 4,
        )
        yield f"scalar relu {seed}", one(W0, "relu", W1, b), slopes_of_a_scalar_relu(W0, b, W1) ** 2
    for seed in range(6):
        rng = np.random.default_rng(100 + seed)
        W0, W1 = rng.integers(-9, 10, (4, 2)) + 0.5, rng.integers(-9, 10, (1, 4)) / 2
        yield f"planar relu {seed}", one(W0, "relu", W1), squared_norm_of_the_pieces(W0, W1)
    for seed in range(6):
        # W >= 0 and phi' largest at 0, reached by all at once: the Jacobian at 0 dominates entrywise
        rng = np.random.default_rng(200 + seed)
        u, V, w = rng.integers(1, 6, (3, 1)), rng.integers(0, 5, (3, 3)), rng.integers(1, 4, (1, 3))
        kind = ("tanh", "hardtanh")[seed % 2]
        parameters = {"low": -1.0, "high": 1.0} if seed % 2 else {}
        layers = [
            Affine(u),
            Elementwise(kind, 3, **parameters),
            Affine(V),
            Elementwise(kind, 3, **parameters),
            Affine(w),
        ]
        yield f"monotone {seed}", Network(layers), Fraction(int((w @ V @ u)[0, 0])) ** 2


KNOWN = {name: (network, square) for name, network, square in known()}


@pytest.mark.parametrize("name", KNOWN)
def test_never_below_the_known_constant(name: str) -> None:
    network, square = KNOWN[name]
    for method in ("neuron", "layer", "product"):
        bound = lipschitz(network, method)
        assert Fraction(bound.upper) ** 2 >= square, method
        assert Fraction(bound.lower) ** 2 <= square * (1 + Fraction(1, 10**8)), method


def test_there_are_forty_of_them() -> None:
    assert len(KNOWN) >= 40
