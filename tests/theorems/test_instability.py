"""Instability: the enclosed Jacobian against 200-bit arithmetic, and both conditions at their edges."""

from __future__ import annotations

from typing import Any

import flint
import numpy as np
import pytest

from lipctrl.intervals.ball import Ball
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.plants.loop import Loop
from lipctrl.plants.plant import Plant
from lipctrl.theorems import instability
from lipctrl.theorems.instability import jacobian_enclosure, refute
from tests.networks_for_tests import linear_feedback


def loop_of(network: Network, A: Any, dt: float = 0.1, y0: Any = None) -> Loop:
    n, m = len(A), network.n_out
    B = np.eye(n)[:, :m]
    y = np.zeros(network.n_in) if y0 is None else np.asarray(y0)
    return Loop(Plant(A, B, np.eye(network.n_in, n), dt=dt, y0=y, u0=network(y)), network)


def still(A: Any, dt: float = 0.1) -> Loop:
    """The plant alone: a policy that does nothing."""
    return loop_of(Network([Affine(np.zeros((1, len(A))))]), A, dt)


@pytest.mark.parametrize("seed", range(4))
def test_the_jacobian_is_enclosed_tightly(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """W2 diag(s'(v2)) W1 diag(1 - tanh(v1)^2) W0 at y0, s the logistic function, to 200 bits."""
    monkeypatch.setattr(flint.ctx, "prec", 200)
    rng = np.random.default_rng(seed)
    W0, W1, W2 = rng.standard_normal((3, 2)), rng.standard_normal((4, 3)), rng.standard_normal((2, 4))
    b0, b1, y0 = rng.standard_normal(3), rng.standard_normal(4), rng.standard_normal(2)
    network = Network([Affine(W0, b0), Elementwise("tanh", 3), Affine(W1, b1), Elementwise("sigmoid", 4), Affine(W2)])

    def exact(W: np.ndarray) -> flint.arb_mat:
        return flint.arb_mat([[flint.arb(float(w)) for w in row] for row in W])

    v1 = exact(W0) * exact(y0[:, None]) + exact(b0[:, None])
    w1 = flint.arb_mat([[v1[i, 0].tanh()] for i in range(3)])
    v2 = exact(W1) * w1 + exact(b1[:, None])
    s = [1 / (1 + (-v2[i, 0]).exp()) for i in range(4)]
    D1 = flint.arb_mat([[1 - w1[i, 0] ** 2 if i == j else 0 for j in range(3)] for i in range(3)])
    D2 = flint.arb_mat([[s[i] * (1 - s[i]) if i == j else 0 for j in range(4)] for i in range(4)])
    J = exact(W2) * D2 * exact(W1) * D1 * exact(W0)
    found = jacobian_enclosure(loop_of(network, np.eye(2), y0=y0))
    assert found is not None and found.shape == (2, 2)
    for i in range(2):
        for j in range(2):
            assert abs(flint.arb(float(found.mid[i, j])) - J[i, j]) <= flint.arb(float(found.radius[i, j]))
    assert found.radius.max() < 1e-13


def test_slopes_of_linear_pieces_are_known_and_a_kink_has_none() -> None:
    """relu at 1, -1 and 0: slope 1, slope 0, and none."""
    W0, W1 = np.array([[1.0, 2.0], [3.0, -1.0]]), np.array([[1.0, 4.0]])

    def network(bias: float) -> Network:
        return Network([Affine(W0, [1.0, bias]), Elementwise("relu", 2), Affine(W1)])

    for bias, expected in ((1.0, [[13.0, -2.0]]), (-1.0, [[1.0, 2.0]])):
        found = jacobian_enclosure(loop_of(network(bias), np.eye(2)))
        assert found is not None and found.contains(expected) and found.radius.max() < 1e-13
    assert jacobian_enclosure(loop_of(network(0.0), np.eye(2))) is None
    assert refute(loop_of(network(0.0), 9 * np.eye(2))) is None
    assert refute(loop_of(network(1.0), 9 * np.eye(2))) is not None


@pytest.mark.parametrize(
    ("dt", "A", "unstable"),
    [(0.1, [2.0, 0.3], True), (0.1, [0.3, -2.0], True), (0.1, [0.9, 0.5], False), (0.1, [-0.99, -0.5], False),
     (0.1, [3.0, 2.0], True), (0.0, [0.1, -1.0], True), (0.0, [-0.1, -1.0], False), (0.0, [0.5, 3.0], True),
     (0.0, [-2.0, -3.0], False), (0.1, [1.0, 0.5], False), (0.0, [0.0, -1.0], False)],
)  # fmt: skip
def test_diagonal_plants(dt: float, A: list[float], unstable: bool) -> None:
    """The witness moves along a state that runs away; a plant at the edge is not refuted."""
    witness = refute(still(np.diag(A), dt))
    assert (witness is not None) is unstable
    if witness is not None:
        runs_away = np.abs(A) > 1 if dt else np.array(A) > 0
        assert witness.direction @ witness.P @ witness.direction < 0
        assert np.all((witness.direction == 0) | runs_away)


def test_the_policy_is_part_of_the_loop() -> None:
    """x+ = a x + tanh(k y): unstable if and only if |a + k| > 1."""
    for a, k in ((0.5, 2.0), (2.0, -1.5), (0.5, -2.0), (0.5, 0.2), (2.0, 1.0)):
        assert (refute(loop_of(linear_feedback([[k]]), [[a]])) is not None) is (abs(a + k) > 1)


@pytest.mark.parametrize(("radius", "unstable"), [(0.17, True), (0.2001, False)])
def test_every_enclosed_jacobian_must_be_unstable(
    radius: float, unstable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """.2 + J with J within `radius` of 1: above 1 throughout if and only if the radius is below .2."""
    monkeypatch.setattr(instability, "jacobian_enclosure", lambda _: Ball([[1.0]], [[radius]]))
    assert (refute(loop_of(linear_feedback([[1.0]]), [[0.2]])) is not None) is unstable


@pytest.mark.parametrize(
    ("P", "A"),
    [([[-1.0]], [[0.5]]), ([[1.0]], [[0.5]]), ([[0.0]], [[2.0]]), (np.eye(2), 2 * np.eye(2)),
     ([[-1.0, 1.0], [0.0, -1.0]], 2 * np.eye(2)), ([[np.inf, 0.0], [0.0, -1.0]], 2 * np.eye(2)),
     ([[-1.0, 0.0, np.inf], [0.0, -1.0, 0.0], [np.inf, 0.0, -1.0]], 2 * np.eye(3)),
     (np.full((2, 2), np.nan), 2 * np.eye(2))],
)  # fmt: skip
def test_numbers_that_prove_nothing(P: Any, A: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """P - M'PM > 0 without x'Px < 0, the reverse, a matrix that is not symmetric, not finite."""
    monkeypatch.setattr(instability, "lyapunov_solution", lambda *_: np.asarray(P))
    assert refute(still(A)) is None


def test_a_negative_value_is_proved_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """x'Px = 0 exactly, and 0 up to rounding, are not below 0."""
    monkeypatch.setattr(instability, "holds", lambda *_: True)
    v = np.array([0.1, 0.3, 0.7])
    for P in (np.zeros((3, 3)), np.outer(v, v)):
        monkeypatch.setattr(instability, "lyapunov_solution", lambda *_, P=P: P)
        assert refute(still(2 * np.eye(3))) is None
    monkeypatch.setattr(instability, "lyapunov_solution", lambda *_: np.diag([1.0, 1.0, -(2.0**-30)]))
    assert refute(still(2 * np.eye(3))) is not None
