"""Krawczyk's proof of an equilibrium against loops whose equilibria are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from flint import arb
from hypothesis import given, settings
from hypothesis import strategies as st

from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.plants.model import Model
from lipctrl.plants.models.pendulum import Pendulum
from lipctrl.proofs.equilibrium import prove_equilibrium

IDENTITY = Network([Affine([[1.0]])])


class Scalar(Model):
    """x+ = x + c (x^2 - s) + u - x, with the policy u = x: at rest where x^2 = s."""

    name, dt, n_states, n_actions, n_observations = "scalar", 1.0, 1, 1, 1

    def __init__(self, s: float) -> None:
        self.s = s

    def step(self, x, u):
        return (0.25 * (x[0] * x[0] - self.s) + u[0],)

    def observe(self, x):
        return (x[0],)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(s=st.floats(1e-3, 100))
def test_square_roots_are_found_and_enclosed(s):
    proof = prove_equilibrium(Scalar(s), IDENTITY, np.array([np.sqrt(s)]))
    assert proof is not None
    truth = arb(s).sqrt()
    assert arb(proof.x.lo[0]) < truth < arb(proof.x.hi[0])


@pytest.mark.parametrize("s", [0.0, -1e-3, -1.0])
def test_no_or_double_equilibria_are_not_proved(s):
    assert prove_equilibrium(Scalar(s), IDENTITY, np.array([np.sqrt(abs(s))])) is None


@pytest.mark.parametrize("guess", [1.1, np.nan, np.inf])
def test_a_bad_guess_is_not_proved(guess):
    assert prove_equilibrium(Scalar(1.0), IDENTITY, np.array([guess])) is None


def test_equilibrium_of_the_pendulum_solves_its_scalar_equation():
    """At rest 15 sin(theta) + 3 u = 0 with u = -0.6 tanh(4 sin(theta) + 0.3)."""
    policy = Network([Affine([[0.0, 4.0, 0.7]], [0.3]), Elementwise("tanh", 1), Affine([[-0.6]])])
    lo, hi = -0.3, 0.3

    def torque(theta):
        return 5 * np.sin(theta) - 0.6 * np.tanh(4 * np.sin(theta) + 0.3)

    for _ in range(80):
        mid = (lo + hi) / 2
        lo, hi = (mid, hi) if torque(mid) < 0 else (lo, mid)
    proof = prove_equilibrium(Pendulum(), policy, np.array([lo, 0.0]))
    assert proof is not None
    assert proof.x.lo[0] < lo < proof.x.hi[0] and proof.x.lo[1] < 0 < proof.x.hi[1]
    theta = arb((proof.x.lo[0] + proof.x.hi[0]) / 2, (proof.x.hi[0] - proof.x.lo[0]) / 2)
    assert (5 * theta.sin() - arb(0.6) * (4 * theta.sin() + arb(0.3)).tanh()).contains(0)


def test_a_speed_clip_at_rest_is_seen():
    """With a motor that holds the speed limit, theta runs: no equilibrium near the guess."""
    policy = Network([Affine([[0.0, 0.0, 0.0]], [2.0])])
    assert prove_equilibrium(Pendulum(), policy, np.array([0.0, 8.0])) is None
