"""The published loop of Yin, Seiler and Arcak (TAC 2022): a small dense P beside the multipliers of a network."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import block_diag

from lipctrl.intervals.ball import Ball
from lipctrl.lmi.feasible import balanced_multipliers
from lipctrl.lmi.lmi import LMI, Congruence, Factor, MatrixInequality, Multiplier, Variable, selector
from lipctrl.lmi.multipliers import network_signals
from lipctrl.lmi.solvers import barrier
from lipctrl.lmi.solvers.feasibility import feasible_point
from lipctrl.networks.enclosure import LayerBounds
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.proofs.verify import holds


def pendulum_lmi(folder, half_width: float, angle: float, limit: float | None) -> tuple[LMI, dict[str, np.ndarray]]:
    """Ellipsoid {x'Px <= 1} of least trace(P) for the pendulum with q = theta - sin(theta), and a guess."""
    g, m, length, mu, dt = 10.0, 0.15, 0.5, 0.05, 0.02
    A = np.array([[1, dt], [g / length * dt, 1 - mu * dt / (m * length**2)]])
    B_q, B_u = np.array([[0.0], [-g / length * dt]]), np.array([[0.0], [dt / (m * length**2)]])
    W1, W2, W3 = (np.loadtxt(folder / f"W{k}.csv", delimiter=",", ndmin=2) for k in (1, 2, 3))
    layers = [Affine(W1), Elementwise("tanh", len(W1)), Affine(W2), Elementwise("tanh", len(W2)), Affine(W3)]
    reach = [np.full(len(W1), half_width)]
    reach.append(np.abs(W2) @ np.tanh(reach[0]))
    lowest = [np.tanh(v) / v for v in reach]
    if limit is not None:
        layers += [Elementwise("hardtanh", 1, low=-limit, high=limit)]
        lowest.append(np.minimum(1.0, limit / (np.abs(W3) @ np.tanh(reach[1]))))
    network = Network(layers)
    _, elementwise = network.alternating()
    bounds = [LayerBounds(e.activation, low, np.ones(e.n)) for e, low in zip(elementwise, lowest, strict=True)]
    E = selector(0, 2)
    signals = network_signals(network, bounds, E, 2)
    sizes = (*signals.sizes, 1)
    q = len(sizes) - 1
    F = E.premultiply(Ball.exact(A)) + signals.output.premultiply(Ball.exact(B_u)) + Factor(2, {q: Ball.exact(B_q)})
    variables, terms = signals.multiplier_terms("neuron")
    slope = (angle - np.sin(angle)) / angle
    a = selector(q, 1)
    sector = Multiplier("Tq", a, a + Factor(1, {0: Ball.exact([[-slope, 0.0]])}))
    storage = (Congruence("P", E, E, 0.5), Congruence("P", F, F, -0.5))
    inequalities = [MatrixInequality("dissipation", sizes, (*storage, *terms, sector))]
    rows = [*(W1 / half_width), np.array([1 / angle, 0.0])]
    faces = tuple(Congruence("P", selector(k, 2), selector(k, 2), 0.5) for k in range(len(rows)))
    inside = Ball.exact(-block_diag(*(np.outer(row, row) for row in rows)))
    inequalities.append(MatrixInequality("faces", (2,) * len(rows), faces, inside))
    P, T = Variable("P", 2, symmetric=True), Variable("Tq", 1, lower=0.0)
    lmi = LMI((P, *variables, T), tuple(inequalities), {"P": np.eye(2)})
    guess = {"P": np.diag([50.0, 5.0]), "Tq": np.ones(1)} | {v.name: np.zeros(v.size) for v in variables}
    growth = -inequalities[0].evaluate(guess).mid[: 2 + sum(signals.sizes[1:]), :][:, : 2 + sum(signals.sizes[1:])]
    t = balanced_multipliers(signals, growth)
    return lmi, guess | {v.name: np.full(v.size, t[int(v.name[1:]) - 1]) for v in variables}


@pytest.mark.parametrize(
    ("half_width", "angle", "limit", "trace"), [(0.5, 2.5, None, 0.2928028), (0.1, 0.73, 0.7, 3.8872111)]
)
def test_published_traces(benchmarks, half_width, angle, limit, trace):
    lmi, guess = pendulum_lmi(benchmarks / "yin_pendulum", half_width, angle, limit)
    start = feasible_point(lmi, guess)
    assert start is not None
    solution = barrier.solve(lmi, start=start, gap=1e-6)
    assert solution.objective == pytest.approx(trace, rel=5e-6)
    assert solution.lower == pytest.approx(trace, rel=5e-6)
    assert solution.lower <= solution.objective
    assert holds(lmi, solution.values)
