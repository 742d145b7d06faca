"""Errors of the actions and float32 on the linear plant: the final ball, its certificate and the exact checker."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise, product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lipctrl
from lipctrl.networks.enclosure import InputSet, layer_bounds
from lipctrl.networks.float32 import region_error
from lipctrl.networks.loading.policy import load_policy
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.plants.loop import Loop
from lipctrl.plants.plant import Plant
from lipctrl.proofs.certificate import from_hex, hex_array, write_certificate
from lipctrl.results import TheoremResult, Verdict
from lipctrl.theorems import disturbed
from lipctrl.theorems.disturbed import _final, find_disturbed, rounding_error
from lipctrl.theorems.lyapunov import half_widths
from lipctrl.theorems.rows import certificate_with_head, disturbed_lyapunov
from tests.networks.test_float32 import exact, random_network, single

POLICIES = Path(__file__).resolve().parents[2] / "policies"
DELTA = 0.01


def _loop() -> Loop:
    """x+ = 1.1 x + u, u = -.6 tanh x: stable at 0 with slope .5, unstable far away."""
    policy = Network([Affine([[1.0]]), Elementwise("tanh", 1), Affine([[-0.6]])])
    return Loop(Plant([[1.1]], [[1.0]], [[1.0]], dt=1.0), policy)


@pytest.fixture(scope="module")
def row() -> TheoremResult:
    return disturbed_lyapunov(_loop(), 5.0, DELTA, "float32")


@pytest.fixture(scope="module")
def certificate(row: TheoremResult) -> dict[str, Any]:
    assert row.certificate is not None
    return certificate_with_head(row.certificate, {}, row.reason, row.model)


def test_the_final_ball_holds_the_worst_error_and_the_checker_agrees(
    row: TheoremResult, certificate: dict[str, Any], tmp_path: Path
) -> None:
    """A constant error d rests where .1 x - .6 tanh x + d = 0, about d / .5 from 0."""
    assert row.verdict is Verdict.CERTIFIED and row.arithmetic == "float32" and row.region is not None
    assert row.region.final_half_widths is not None
    assert DELTA / 0.5 <= row.region.final_half_widths[0] <= 10 * DELTA / 0.5
    result = lipctrl.check(write_certificate(certificate, tmp_path / "row.json"))
    assert result.accepted, result.reason
    assert "wrong by at most 0.01" in result.claim and "float32 evaluation" in result.claim
    assert "in float32 arithmetic" in result.claim and "stays there" in result.claim


def test_trajectories_with_errors_stay_and_end_in_the_ball(row: TheoremResult) -> None:
    loop, region = _loop(), row.region
    assert region is not None and region.P is not None and region.final_half_widths is not None
    edge = 1.0 / float(np.sqrt(region.P[0, 0]))
    rng = np.random.default_rng(0)
    x = np.linspace(-edge, edge, 201)[:, None]
    for k in range(400):
        error = DELTA * (np.sign(x) if k % 3 else rng.choice([-1.0, 1.0], x.shape))
        u = loop.network(x.astype(np.float32)).astype(np.float32) + error
        x = 1.1 * x + u
        assert np.all(np.abs(x) <= edge * (1 + 1e-12))
    assert np.all(np.abs(x) <= region.final_half_widths[0])


DAMAGES: dict[str, dict[str, Any]] = {
    "smaller ball": {"radius": 0.5},
    "larger error": {"action_error": 3.0},
    "faster decay": {"decay": 2.0, "radius": 0.5},
    "ball beyond the region": {"radius": 1e6},
    "negative error": {"action_error": -1.0},
    "no decay": {"decay": 0.0},
}


@pytest.mark.parametrize("name", DAMAGES)
def test_false_claims_are_rejected(certificate: dict[str, Any], tmp_path: Path, name: str) -> None:
    damaged = copy.deepcopy(certificate)
    for key, factor in DAMAGES[name].items():
        damaged["disturbed"][key] = (float.fromhex(damaged["disturbed"][key]) * factor).hex()
    assert not lipctrl.check(write_certificate(damaged, tmp_path / "row.json")).accepted
    damaged = copy.deepcopy(certificate)
    damaged["disturbed"]["arithmetic"] = "float16"
    assert not lipctrl.check(write_certificate(damaged, tmp_path / "row.json")).accepted
    assert not lipctrl.check(write_certificate(certificate | {"disturbed": {}}, tmp_path / "row.json")).accepted


@pytest.mark.parametrize("m", [1, 2, 3])
@pytest.mark.parametrize("error", [1e-2, 1e-9, 1e-170])
def test_the_radius_of_the_final_ball_in_fractions(m: int, error: float) -> None:
    """beta < eta r / 2 for beta^2 = max of (B d)'P(B d) over |d_i| <= error, and r is not much larger."""
    rng = np.random.default_rng(m)
    for decay in (0.5, 1e-3):
        F, B = rng.standard_normal((3, 3)), rng.standard_normal((3, m)) * 0.001
        P = F @ F.T
        plant = SimpleNamespace(B=B, n_inputs=m)
        statement: Any = SimpleNamespace(loop=SimpleNamespace(plant=plant), generators=np.eye(3), bounds=())
        found = _final(statement, {"P": P}, decay, error, "real")
        assert found is not None and (found.action_error, found.decay, found.tails) == (error, decay, [])
        exact = [[Fraction(float(v)) for v in row] for row in P]
        worst = Fraction(0)
        for signs in product((-1, 1), repeat=m):
            x = [sum(Fraction(float(b)) * s for b, s in zip(row, signs, strict=True)) * Fraction(error) for row in B]
            worst = max(worst, sum(exact[i][j] * x[i] * x[j] for i in range(3) for j in range(3)))
        assert found.radius > 0 and worst < (Fraction(decay) * Fraction(found.radius) / 2) ** 2
        if m == 1:
            assert found.radius <= 2.03 * np.sqrt(float(B[:, 0] @ P @ B[:, 0])) * error / decay + 1e-140
        if error > 1e-100:
            assert _final(statement, {"P": P * (1.1 / found.radius) ** 2}, decay, error, "real") is None
        statement.generators = None
        assert _final(statement, {"P": P}, decay, error, "real") is None


def plant_alone(B: np.ndarray) -> Any:
    """What the theorem reads of a statement in real arithmetic."""
    plant = SimpleNamespace(B=B, n_inputs=B.shape[1])
    return SimpleNamespace(loop=SimpleNamespace(plant=plant), generators=np.eye(len(B)), bounds=())


def test_the_push_alone_is_rounded_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the room for other programs: eta r / 2 >= |B d|_P, which here is b error sqrt(p)."""
    monkeypatch.setattr(disturbed, "_ROOM", 1.0)
    rng = np.random.default_rng(8)
    for b, p, error, decay in rng.uniform(0.1, 1.0, (60, 4)) * [1e-3, 1.0, 1.0, 0.5]:
        found = _final(plant_alone(np.array([[b]])), {"P": np.array([[p]])}, decay, error, "real")
        assert found is not None
        reached = Fraction(decay) * Fraction(found.radius) / 2
        assert reached**2 >= Fraction(p) * (Fraction(b) * Fraction(error)) ** 2


@pytest.mark.parametrize("tiny", [1e-12, 1e-13, 5e-14, 3e-14])
def test_the_roundings_of_p_count_where_the_push_cancels(tiny: float) -> None:
    """P (1, 1, 1) = 0 up to `tiny`: the norm of (1, 1, 1) is hardly more than the roundings of its product."""
    P = np.array([[2.0, -1.0, -1.0], [-1.0, 2.0, -1.0], [-1.0, -1.0, 2.0]]) + tiny * np.diag([0.9, 1.1, 1.3])
    found = _final(plant_alone(np.ones((3, 1))), {"P": P}, 0.5, 0.7, "real")
    assert found is not None
    assert (Fraction(found.radius) / 4) ** 2 > sum(Fraction(float(v)) for v in P.ravel()) * Fraction(0.7) ** 2


def test_errors_of_float32_are_added_to_those_of_the_action(monkeypatch: pytest.MonkeyPatch) -> None:
    """1/8 and 1/16 are 3/16, of P = 1 and B = 1/64."""
    monkeypatch.setattr(disturbed, "rounding_error", lambda *_: (np.array([0.125]), [{"a": 1}]))
    monkeypatch.setattr(disturbed, "region_inputs", lambda *_: None)
    plant = SimpleNamespace(B=np.array([[1 / 64]]), n_inputs=1)
    statement: Any = SimpleNamespace(loop=SimpleNamespace(plant=plant, network=None), generators=np.eye(1), bounds=())
    found = _final(statement, {"P": np.eye(1)}, 0.25, 0.0625, "float32")
    assert found is not None and found.tails == [{"a": 1}] and found.rounding.tolist() == [0.125]
    assert 2 * (3 / 16 / 64) / 0.25 < found.radius <= 1.02 * 2 * (3 / 16 / 64) / 0.25


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1e-3, 1e-5, 1e-6]))
@settings(max_examples=30, deadline=None)
def test_half_widths_hold_the_ellipsoid_however_flat(seed: int, flat: float) -> None:
    """e_i' P^-1 e_i of a matrix of order 2 in fractions; floating point alone is off to either side."""
    rng = np.random.default_rng(seed)
    T = np.array([[1.0, 1.0 - flat], [flat, 1.0]]) @ np.diag(rng.uniform(0.5, 2.0, 2)) + (not flat) * np.eye(2)
    P = T.T @ T
    (a, b), (_, c) = [[Fraction(float(v)) for v in row] for row in P]
    for width, other in zip(half_widths(P, 0.1), (c, a), strict=True):
        square = other / (a * c - b * b) * Fraction(0.1) ** 2
        assert square <= Fraction(float(width)) ** 2 <= square * (1 + Fraction(1, 100))


def test_errors_that_are_too_large_are_inconclusive() -> None:
    assert disturbed_lyapunov(_loop(), 5.0, 10.0, "real").verdict is Verdict.INCONCLUSIVE
    found = find_disturbed(_loop(), 1e-3, "real", 5.0)
    assert found is not None and found[1] is not None and not found[1].rounding.any()


AGENTS = {"spring-damper-ppo": 3.0, "pendulum-ppo": 2.0, "pendulum-sac": 2.5, "pendulum-early": 1.2}
"""By how much Lipschitz constants of the layers that follow do better than |W|, at least."""


@pytest.mark.parametrize("name", AGENTS)
def test_the_float32_evaluation_stays_within_the_bound_of_the_region(name: str) -> None:
    network = load_policy(POLICIES / name).network
    center = np.array([0.99, 0.002, 0.5][: network.n_in])
    inputs = InputSet.from_box(center, np.full(network.n_in, 0.02))
    bounds = layer_bounds(network, inputs, "sector")
    errors = region_error(network, bounds, inputs)
    assert errors is not None
    plain, (allowed, tails) = errors.action(), rounding_error(network, bounds, inputs)
    assert tails and np.all(allowed * AGENTS[name] <= plain)
    y = center + 0.02 * np.random.default_rng(1).uniform(-1, 1, (20_000, network.n_in))
    for order in (None, "sorted"):
        assert np.all(np.abs(single(network, y, order) - network(y)) <= allowed)


@pytest.mark.parametrize("algorithm", ["ppo", "a2c", "sac", "ars"])
def test_public_agents_stay_within_the_bound_by_tails(zoo: Path, algorithm: str) -> None:
    network = load_policy(zoo / algorithm / "Pendulum-v1").network
    center, half = np.array([0.99, 0.002, 0.5]), 0.05
    inputs = InputSet.from_box(center, np.full(3, half))
    allowed, _ = rounding_error(network, layer_bounds(network, inputs, "sector"), inputs)
    y = center + half * np.random.default_rng(2).uniform(-1, 1, (20_000, 3))
    for order in (None, "sorted"):
        assert np.all(np.abs(single(network, y, order) - network(y)) <= allowed)


def test_bounds_by_tails_are_used_where_they_are_better(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three layers of 2, 3 and 5 neurons: a tail each, its box, its network; and infinite where nothing is known."""
    rng = np.random.default_rng(3)
    sizes = (2, 3, 5, 4, 2)
    layers: list[Affine | Elementwise] = []
    for a, b in pairwise(sizes):
        layers += [Affine(rng.standard_normal((b, a)) / np.sqrt(a)), Elementwise("tanh", b)]
    network = Network(layers[:-1])
    inputs = InputSet.from_box(rng.standard_normal(2), np.full(2, 0.1))
    bounds = layer_bounds(network, inputs)
    errors = region_error(network, bounds, inputs)
    assert errors is not None and len(errors.boxes) == 3
    _, tails = rounding_error(network, bounds, inputs, better=np.inf)
    assert len(tails) == 3
    y = inputs.center + 0.1 * rng.uniform(-1, 1, (50, 2))
    for k, (tail, box) in enumerate(zip(tails, errors.boxes, strict=True)):
        rest = Network(layers[2 * k + 1 : -1])
        v = np.array([Network(layers[: 2 * k + 1])(point) for point in y])
        center, half = (np.array(from_hex(tail["input_set"][name])) for name in ("center", "box"))
        assert np.all(np.abs(v - center) <= half) and np.all(half <= box.rad * (1 + 1e-9))
        slopes = [np.linalg.norm(rest.jacobian(point), 2) for point in v]
        assert max(slopes) <= from_hex(tail["upper"]) <= 3.0 * max(slopes)
    plain, by_tails = errors.action(), errors.action([from_hex(tail["upper"]) for tail in tails])
    least = float(np.min(by_tails / plain))
    for better, used in ((least * 0.999, False), (least * 1.001, True)):
        found, stated = rounding_error(network, bounds, inputs, better)
        assert np.array_equal(found, by_tails if used else plain) and len(stated) == (3 if used else 0)
    for k in range(2):
        total = errors.total.copy()
        total[k] = np.inf
        monkeypatch.setattr(disturbed, "region_error", lambda *_, total=total: replace(errors, total=total))
        found, stated = rounding_error(network, bounds, inputs)
        assert np.array_equal(found, [np.inf, np.inf]) and stated == []
    monkeypatch.setattr(disturbed, "region_error", lambda *_: None)
    assert np.array_equal(rounding_error(network, bounds, inputs)[0], [np.inf, np.inf])
    monkeypatch.setattr(disturbed, "region_error", lambda *_: errors)
    monkeypatch.setattr(disturbed.lipschitz, "conclude", lambda *_: None)
    found, stated = rounding_error(network, bounds, inputs)
    assert np.array_equal(found, plain) and stated == []


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_random_networks_stay_within_the_bound_by_tails(seed: int) -> None:
    """Against 60 digits, in four orders of summation; the tails alone, not the smaller of both bounds."""
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    center, half = rng.standard_normal(network.n_in), 10 ** rng.uniform(-4, -1) * np.ones(network.n_in)
    inputs = InputSet.from_box(center, half)
    bounds = layer_bounds(network, inputs)
    errors = region_error(network, bounds, inputs)
    _, tails = rounding_error(network, bounds, inputs, better=np.inf)
    assert errors is not None
    alone = replace(errors, total=np.full(network.n_out, 1e300)).action([from_hex(tail["upper"]) for tail in tails])
    y = center + half * rng.uniform(-1, 1, (3, network.n_in))
    for order in (None, rng.random(40), np.arange(40.0), "sorted"):
        for value, point in zip(single(network, y, order), y, strict=True):
            for v, truth, eps in zip(value, exact(network, point), alone, strict=True):
                assert abs(Decimal(float(v)) - truth) <= Decimal(float(eps))


@pytest.fixture(scope="module")
def by_tails() -> dict[str, Any]:
    """A loop whose certificate bounds the rounding of two hidden layers by what follows them."""
    rng = np.random.default_rng(4)
    first, second = rng.standard_normal((16, 1)), rng.standard_normal((16, 16)) / 4
    last = rng.standard_normal((1, 16))
    last *= -0.5 / (last @ second @ first)
    policy = Network([Affine(first), Elementwise("tanh", 16), Affine(second), Elementwise("tanh", 16), Affine(last)])
    loop = Loop(Plant([[1.1]], [[1.0]], [[1.0]], dt=1.0), policy)
    row = disturbed_lyapunov(loop, 5.0, 0.0, "float32")
    assert row.certificate is not None
    return certificate_with_head(row.certificate, {}, row.reason, row.model)


def test_the_checker_proves_the_tails(by_tails: dict[str, Any], tmp_path: Path) -> None:
    assert len(by_tails["disturbed"]["tails"]) == 2
    result = lipctrl.check(write_certificate(by_tails, tmp_path / "row.json"))
    assert result.accepted, result.reason


def _scaled(block: dict[str, Any], key: str, factor: float) -> None:
    block[key] = hex_array(factor * np.asarray(from_hex(block[key])))


TAIL_DAMAGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no tails": lambda d: d.pop("tails"),
    "one tail": lambda d: d["tails"].pop(),
    "exchanged": lambda d: d["tails"].reverse(),
    "lower bound": lambda d: [_scaled(tail, "upper", 0.5) for tail in d["tails"]],
    "lower bound, and rho": lambda d: [_scaled(d["tails"][0], "upper", 0.9), _scaled(d["tails"][0], "rho", 0.8)],
    "smaller box": lambda d: _scaled(d["tails"][1]["input_set"], "box", 1 - 1e-9),
    "moved box": lambda d: d["tails"][0]["input_set"].update(center=[(9.0).hex()] * 16),
    "all of R": lambda d: d["tails"][0].update(input_set=None),
    "other norm": lambda d: d["tails"][0].update(output_weight=[(0.5).hex()]),
    "real arithmetic": lambda d: d.update(arithmetic="real"),
    "smaller final ball": lambda d: _scaled(d, "radius", 0.8),
}


@pytest.mark.parametrize("name", TAIL_DAMAGES)
def test_false_tails_are_rejected(by_tails: dict[str, Any], tmp_path: Path, name: str) -> None:
    damaged = copy.deepcopy(by_tails)
    TAIL_DAMAGES[name](damaged["disturbed"])
    result = lipctrl.check(write_certificate(damaged, tmp_path / "row.json"))
    assert not result.accepted and "check failed" not in result.reason
