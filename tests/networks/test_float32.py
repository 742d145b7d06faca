"""The float32 evaluation of a policy never leaves its bound: numpy's and, where installed, PyTorch's own."""

from __future__ import annotations

import json
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipctrl.errors import NetworkError
from lipctrl.intervals.affine import AffineForm
from lipctrl.networks.affine_enclosure import AffineEnclosure
from lipctrl.networks.float32 import Float32Error
from lipctrl.networks.loading.policy import load_policy
from lipctrl.networks.network import Affine, Elementwise, Network

POLICIES = Path(__file__).resolve().parents[2] / "policies"


def single(network: Network, y: np.ndarray, order: np.ndarray | str | None = None) -> np.ndarray:
    """The deployed evaluation: float32 numbers, sums one after the other in some order.

    None: as numpy likes; "sorted": the largest term first, so that the partial sums are large.
    """
    h = y.astype(np.float32)
    for layer in network.layers:
        if isinstance(layer, Affine):
            W, b = layer.W.astype(np.float32), layer.b.astype(np.float32)
            if np.array_equal(layer.W, np.diag(np.diag(layer.W))) and not np.array_equal(W, layer.W):
                h = (h.astype(np.float64) @ layer.W.T + layer.b).astype(np.float32)  # VecNormalize
            elif order is None:
                h = h @ W.T + b
            else:
                total = np.zeros((len(h), len(W)), dtype=np.float32)
                terms = np.stack(
                    [*(h[:, j, None] * W[:, j] for j in range(W.shape[1])), np.broadcast_to(b, total.shape)]
                )
                terms = -np.sort(-terms, axis=0) if isinstance(order, str) else terms[np.argsort(order[: len(terms)])]
                for term in terms:
                    total = total + term
                h = total
        elif layer.kind == "tanh":
            h = np.tanh(h)
        elif layer.kind == "relu":
            h = np.maximum(h, np.float32(0))
        elif layer.kind == "sigmoid":
            h = np.float32(1) / (np.float32(1) + np.exp(-h))
        elif layer.kind == "leaky_relu":
            h = np.where(h >= 0, h, h * layer.parameters["negative_slope"].astype(np.float32))
        elif layer.kind == "hardtanh":
            with np.errstate(over="ignore"):
                h = np.clip(h, *(layer.parameters[side].astype(np.float32) for side in ("low", "high")))
        assert h.dtype == np.float32
    return h


def exact(network: Network, y: np.ndarray) -> list[Decimal]:
    """pi(y) with 60 digits (200 bits)."""
    with localcontext() as context:
        context.prec = 60
        h = [Decimal(float(v)) for v in y]
        for layer in network.layers:
            if isinstance(layer, Affine):
                rows = zip(layer.W.tolist(), layer.b.tolist(), strict=True)
                h = [sum((Decimal(w) * v for w, v in zip(row, h, strict=True)), Decimal(b)) for row, b in rows]
            elif layer.kind == "tanh":
                h = [1 - 2 / ((2 * v).exp() + 1) for v in h]
            elif layer.kind == "relu":
                h = [max(v, Decimal(0)) for v in h]
            elif layer.kind == "sigmoid":
                h = [1 / (1 + (-v).exp()) for v in h]
            elif layer.kind == "leaky_relu":
                slopes = layer.parameters["negative_slope"].tolist()
                h = [v if v >= 0 else v * Decimal(a) for v, a in zip(h, slopes, strict=True)]
            elif layer.kind == "hardtanh":
                ends = zip(layer.parameters["low"].tolist(), layer.parameters["high"].tolist(), strict=True)
                h = [min(max(v, Decimal(a)), Decimal(b)) for v, (a, b) in zip(h, ends, strict=True)]
        return h


def bound(network: Network, y: np.ndarray, half: np.ndarray | float = 0.0) -> np.ndarray:
    y = np.atleast_2d(y)
    forms = np.moveaxis(np.eye(y.shape[1])[None] * np.broadcast_to(half, y.shape)[..., None], -1, 0)
    return Float32Error(AffineEnclosure(network))(AffineForm(y, forms))


def random_network(rng: np.random.Generator) -> Network:
    sizes = [int(rng.integers(1, 4)), *rng.integers(2, 24, int(rng.integers(1, 4))), int(rng.integers(1, 3))]
    layers: list[Affine | Elementwise] = []
    for n_in, n_out in zip(sizes, sizes[1:], strict=False):
        scale = 10 ** rng.uniform(-1, 1)
        W, b = scale * rng.standard_normal((n_out, n_in)), rng.standard_normal(n_out)
        if rng.random() < 0.7:
            W, b = W.astype(np.float32), b.astype(np.float32)
        layers.append(Affine(W, b))
        kind = rng.choice(["tanh", "relu", "sigmoid", "leaky_relu", "hardtanh"])
        limits = {"hardtanh": {"low": -0.7, "high": 1.3}, "leaky_relu": {"negative_slope": 0.1}}
        layers.append(Elementwise(str(kind), int(n_out), **limits.get(str(kind), {})))
    return Network(layers[:-1] if rng.random() < 0.5 else layers)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_no_order_of_summation_leaves_the_bound(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    y = rng.standard_normal((3, network.n_in)) * 10 ** rng.uniform(-2, 1.5)
    allowed = bound(network, y)
    for order in (None, rng.random(40), np.arange(40.0), "sorted"):
        for value, point, limit in zip(single(network, y, order), y, allowed, strict=True):
            for v, truth, eps in zip(value, exact(network, point), limit, strict=True):
                assert abs(Decimal(float(v)) - truth) <= Decimal(float(eps))


@pytest.mark.parametrize("name", ["pendulum-ppo", "pendulum-sac", "pendulum-early"])
def test_real_policies_stay_within_the_bound_which_is_not_idle(name: str) -> None:
    """Random observations, then those of the largest error moved about: within the bound, and not 100 times below."""
    network = load_policy(POLICIES / name).network
    rng = np.random.default_rng(0)
    theta, speed = rng.uniform(-np.pi, np.pi, 6_000), rng.uniform(-8, 8, 6_000)
    worst, largest = 0.0, 0.0
    for turn in range(5):
        y = np.stack([np.cos(theta), np.sin(theta), speed], axis=1)
        error = np.max([np.abs(single(network, y, order) - network(y))[:, 0] for order in (None, "sorted")], axis=0)
        allowed = bound(network, y)[:, 0]
        assert np.all(error + 1e-12 <= allowed)
        worst, largest = max(worst, float(error.max())), max(largest, float(allowed.max()))
        best = np.argsort(-error)[:60]
        theta = np.clip(np.repeat(theta[best], 100) + 10.0 ** -(turn + 2) * rng.standard_normal(6_000), -np.pi, np.pi)
        speed = np.clip(np.repeat(speed[best], 100) + 10.0 ** -(turn + 1) * rng.standard_normal(6_000), -8, 8)
    assert largest <= 100 * worst


@pytest.mark.parametrize(("big", "small"), [(2.0**130, 2.0**-130), (2.0**125, 0.3 * 2.0**-125), (2.0**125, 2.0**-160)])
def test_weights_that_float32_cannot_hold(big: float, small: float) -> None:
    """A weight that overflows is infinite, one below 2^-126 may be flushed."""
    for layers in (
        [Affine([[big, big]]), Affine([[small]])],
        [Affine([[big, big], [1.0, 0.0]]), Affine([[small, 1.0]])],
        [Affine([[big, big]]), Elementwise("leaky_relu", 1, negative_slope=small)],
    ):
        lost = small * big * 2.0**-5
        assert np.all(lost < bound(Network(layers), np.full((1, 2), -(2.0**-6)))), layers


def test_limits_that_may_be_flushed() -> None:
    """A clip at 2^-130 gives zero where subnormal numbers are flushed, and 2^124 times this is not small."""
    clipped = Network([Elementwise("hardtanh", 2, low=2.0**-130, high=2.0**-126), Affine([[2.0**124, 2.0**124]])])
    assert np.all(bound(clipped, np.array([[-0.5, -0.5]])) >= 2.0**-5)


AGENTS = ["pendulum-ppo", "pendulum-sac", "pendulum-early", "pendulum-hanging", "spring-damper-ppo"]


@pytest.mark.parametrize("name", AGENTS)
def test_recorded_actions_of_pytorch_stay_within_the_bound(name: str) -> None:
    network = load_policy(POLICIES / name).network
    with np.load(POLICIES / name / "reference.npz", allow_pickle=False) as reference:
        y, actions = reference["obs"].astype(np.float64), reference["action"].astype(np.float64)
    assert np.all(np.abs(actions.reshape(len(y), -1) - network(y)) <= bound(network, y))


@pytest.mark.sb3
@pytest.mark.parametrize("name", AGENTS[:4])
def test_actions_of_stable_baselines3_stay_within_the_bound(name: str) -> None:
    sb3 = pytest.importorskip("stable_baselines3")
    import gymnasium
    from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

    card = json.loads((POLICIES / name / "card.json").read_text())
    agent = getattr(sb3, card["algorithm"]).load(POLICIES / name / card["model"], device="cpu")
    rng = np.random.default_rng(4)
    theta, speed = rng.uniform(-np.pi, np.pi, 20_000), rng.uniform(-8, 8, 20_000)
    y = np.stack([np.cos(theta), np.sin(theta), speed], axis=1)
    observations = y.astype(np.float32)
    if card["vecnormalize"]:
        environment = DummyVecEnv([lambda: gymnasium.make(card["environment"])])
        observations = VecNormalize.load(str(POLICIES / name / card["vecnormalize"]), environment).normalize_obs(
            observations
        )
    network = load_policy(POLICIES / name).network
    error = np.abs(agent.predict(observations, deterministic=True)[0] - network(y))
    alone = [
        np.abs(agent.predict(o, deterministic=True)[0] - network(v))
        for o, v in zip(observations[:200], y[:200], strict=True)
    ]
    assert np.all(error <= bound(network, y))
    assert np.all(np.stack(alone) <= bound(network, y[:200]))
    assert np.max(bound(network, y)) < 1e-3


def test_a_cell_has_the_bound_of_each_of_its_points() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        network = random_network(rng)
        centers, half = rng.standard_normal((10, network.n_in)), 10 ** rng.uniform(-3, -0.5)
        wide = bound(network, centers, half)
        for _ in range(20):
            assert np.all(bound(network, centers + half * rng.uniform(-1, 1, centers.shape)) <= wide * (1 + 1e-9))


def test_the_bound_of_one_sum_is_that_of_the_textbook() -> None:
    """A row of n ones on n inputs of 1: gamma_(n+3) n of the sum, the cast of the inputs, and the last rounding."""
    n, u = 20, Fraction(1, 2**24)
    got = Fraction(float(bound(Network([Affine(np.ones((1, n)))]), np.ones(n))[0, 0]))
    assert got >= (n + 3) * u / (1 - (n + 3) * u) * n + u * n + 2 * u * n
    assert got <= ((n + 3) * u * n + u * n + 2 * u * n) * Fraction(102, 100)


def test_what_overflows_has_no_bound() -> None:
    network = Network([Affine([[1e30, 1e30]]), Elementwise("tanh", 1)])
    assert np.isposinf(bound(network, np.array([1e10, 0.0])))[0, 0]
    assert np.isposinf(bound(Network([Affine([[0.0]])]), np.array([1e39])))[0, 0]
    assert np.isfinite(bound(network, np.array([1.0, 0.0])))[0, 0]


def test_a_function_without_a_stated_error_is_refused() -> None:
    with pytest.raises(NetworkError, match="float32 evaluation of gelu"):
        Float32Error(AffineEnclosure(Network([Affine([[1.0]]), Elementwise("gelu", 1)])))
