"""Krawczyk's proof of an equilibrium against loops whose equilibria are known in closed form."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from flint import arb
from hypothesis import given, settings
from hypothesis import strategies as st

from lipctrl.errors import LoopError
from lipctrl.intervals.dual import Dual
from lipctrl.intervals.functions import clip, cos
from lipctrl.intervals.interval import Interval
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.plants.model import Model
from lipctrl.plants.models.pendulum import Pendulum
from lipctrl.proofs import equilibrium
from lipctrl.proofs.equilibrium import krawczyk, prove_equilibrium, through_network

IDENTITY = Network([Affine([[1.0]])])


class Parabola(Model):
    """x+ = (x^2 - s) / 4 + u with full state observed: at rest under u = x where x^2 = s, entry by entry."""

    dt = 1.0

    def __init__(self, *s: float) -> None:
        self.s = s
        self.n_states = self.n_actions = self.n_observations = len(s)
        self.state_low, self.state_high = np.full(len(s), -np.inf), np.full(len(s), np.inf)

    def step(self, x, u):
        return tuple(0.25 * (a * a - s) + b for a, b, s in zip(x, u, self.s, strict=True))

    def observe(self, x):
        return tuple(x)


class Integrator(Model):
    """x+ = x + u (dt = 0: dx/dt = u), observed as x: at rest where the policy gives 0."""

    n_states, n_actions, n_observations = 1, 1, 1
    state_low, state_high = np.array([-np.inf]), np.array([np.inf])

    def __init__(self, dt: float) -> None:
        self.dt = dt

    def step(self, x, u):
        return (u[0] + (x[0] if self.dt else 0.0),)

    def observe(self, x):
        return (x[0],)


class Dottie(Integrator):
    """dx/dt = cos(x) - u."""

    def step(self, x, u):
        return (cos(x[0]) - u[0],)


class Commanded(Model):
    """x+ = u in two dimensions; the observation is (x, a constant)."""

    dt, n_states, n_actions, n_observations = 0.1, 2, 2, 3
    state_low, state_high = np.full(2, -np.inf), np.full(2, np.inf)

    def step(self, x, u):
        return u[0], u[1]

    def observe(self, x):
        return x[0], x[1], 3.0


@settings(max_examples=30, deadline=None, derandomize=True)
@given(s=st.floats(1e-3, 100), decades=st.floats(-16, -7), sign=st.sampled_from([-1, 1]))
def test_square_roots_are_found_and_enclosed(s, decades, sign):
    guess = sign * np.sqrt(s) * (1 + 10**decades)
    proof = prove_equilibrium(Parabola(s), IDENTITY, np.array([guess]))
    assert proof is not None
    truth = sign * arb(s).sqrt()
    assert arb(proof.x.lo[0]) < truth < arb(proof.x.hi[0])
    assert proof.x.width[0] < 1e-5 * (1 + abs(guess))


@pytest.mark.parametrize("s", [0.0, -1e-20, -1e-3, -1.0])
def test_no_or_double_equilibria_are_not_proved(s):
    assert prove_equilibrium(Parabola(s), IDENTITY, np.array([np.sqrt(abs(s))])) is None


def test_one_of_two_close_equilibria_is_proved_but_never_both():
    """The equilibria are +-1e-7, and each box that is tried holds none, one or both of them."""
    model = Parabola(1e-14)
    for guess in (0.0, 1e-8, -3e-8, 4e-8, 5e-6):
        assert prove_equilibrium(model, IDENTITY, np.array([guess])) is None
    proof = prove_equilibrium(model, IDENTITY, np.array([1e-7]))
    assert proof is not None
    assert proof.x.lo[0] > -1e-7


def test_every_state_must_rest():
    policy = Network([Affine(np.eye(2))])
    for order in (slice(None), slice(None, None, -1)):
        assert prove_equilibrium(Parabola(*[1.0, 4.0][order]), policy, np.array([1.0, 2.0])[order]) is not None
        assert prove_equilibrium(Parabola(*[1.0, -0.1][order]), policy, np.array([1.0, 0.1])[order]) is None


@pytest.mark.parametrize("guess", [1.1, np.nan, np.inf, 1e300, -1e308])
def test_a_bad_guess_is_not_proved(guess):
    assert prove_equilibrium(Parabola(1.0), IDENTITY, np.array([guess])) is None


def test_continuous_time_rests_where_the_derivative_vanishes():
    proof = prove_equilibrium(Dottie(0.0), IDENTITY, np.array([0.739085133215]))
    assert proof is not None
    assert proof.x.lo[0] < 0.7390851332151607 < proof.x.hi[0]  # the Dottie number, cos(x) = x
    assert proof.x.width[0] < 1e-8


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.integers(-9, 9), min_size=8, max_size=8))
def test_an_affine_loop_rests_where_cramers_rule_says(entries):
    W, b = np.array(entries[:6], dtype=float).reshape(2, 3) / 16, np.array(entries[6:], dtype=float)
    W[:, 2] = 50.0  # the constant 3 that is observed must not be differentiated
    proof = prove_equilibrium(Commanded(), Network([Affine(W, b)]), np.linalg.solve(np.eye(2) - W[:, :2], 150 + b))
    a, c, d, e = (Fraction(v) for v in (np.eye(2) - W[:, :2]).ravel())
    f, g = (150 + Fraction(v) for v in b)
    truth = (f * e - c * g) / (a * e - c * d), (a * g - d * f) / (a * e - c * d)
    assert proof is not None
    assert all(lo < x < hi for lo, x, hi in zip(proof.x.lo, truth, proof.x.hi, strict=True))
    assert all(lo <= x <= hi for lo, x, hi in zip(proof.u.lo, truth, proof.u.hi, strict=True))  # x+ = u = x
    assert all(lo <= y <= hi for lo, y, hi in zip(proof.y.lo, (*truth, 3), proof.y.hi, strict=True))


def test_a_constant_that_is_observed_has_no_slope():
    """Taken for x1 + x2 + ..., the constant would make the loop's slopes singular."""
    policy = Network([Affine([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])])
    assert prove_equilibrium(Commanded(), policy, np.array([3.0, 0.0])) is not None


def test_touching_the_boundary_is_not_enough(monkeypatch):
    monkeypatch.setattr(equilibrium, "krawczyk", lambda guess, box, value, slopes: box)
    assert prove_equilibrium(Parabola(1.0), IDENTITY, np.ones(1)) is None


def test_kinks_are_allowed_where_the_crossing_is_strict():
    """x + relu(x) crosses zero at its kink; |x| touches it; 2 relu(x) rests on a half-line."""
    for weights, unique in (((1.0, 1.0, 0.0), True), ((0.0, 1.0, 1.0), False), ((0.0, 2.0, 0.0), False)):
        direct_and_relus = Elementwise("leaky_relu", 3, negative_slope=[1.0, 0.0, 0.0])
        policy = Network([Affine([[1.0], [1.0], [-1.0]]), direct_and_relus, Affine([weights])])
        for dt in (0.0, 1.0):
            assert (prove_equilibrium(Integrator(dt), policy, np.zeros(1)) is not None) is unique


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["tanh", "relu", "silu", "hardtanh"]), st.floats(-6, 0.5))
def test_slopes_of_the_policy_hold_everywhere_on_the_box(seed, kind, decades):
    rng = np.random.default_rng(seed)
    limits = {"low": -0.5, "high": 1.0} if kind == "hardtanh" else {}
    affine = [Affine(rng.normal(size=(m, n)), rng.normal(size=m)) for m, n in ((5, 3), (4, 5), (2, 4))]
    network = Network([affine[0], Elementwise(kind, 5, **limits), affine[1], Elementwise("tanh", 4), affine[2]])
    center, half_width = rng.normal(size=3), 10**decades * rng.uniform(size=3)
    box = Interval(center - half_width, center + half_width)
    found = through_network(network, Dual(box, Interval(np.eye(3))))
    slack = 1e-12
    for corner in (*rng.uniform(-1, 1, (20, 3)), *np.eye(3), *-np.eye(3)):
        point = np.clip(center + half_width * corner, box.lo, box.hi)
        value = network(point)
        assert np.all((found.value.lo - slack <= value) & (value <= found.value.hi + slack))
        slopes = network.jacobian(point)
        assert np.all((found.grad.T.lo - slack <= slopes) & (slopes <= found.grad.T.hi + slack))
    if decades < -5 and kind in ("tanh", "silu"):
        assert np.all(found.grad.width < 1e3 * 10**decades)


def test_equilibrium_of_the_pendulum_solves_its_scalar_equation():
    """At rest 15 sin(theta) + 3 u = 0 with u = -0.6 tanh(4 sin(theta) + 0.3)."""
    policy = Network([Affine([[0.0, 4.0, 0.7]], [0.3]), Elementwise("tanh", 1), Affine([[-0.6]])])

    def torque(theta: arb) -> arb:
        return 5 * theta.sin() - arb(0.6) * (4 * theta.sin() + arb(0.3)).tanh()

    lo, hi = 0.01, 0.3
    assert torque(arb(lo)) < 0 < torque(arb(hi))
    for _ in range(60):
        middle = (lo + hi) / 2
        lo, hi = (middle, hi) if torque(arb(middle)) < 0 else (lo, middle)
    proof = prove_equilibrium(Pendulum(), policy, np.array([lo, 0.0]))
    assert proof is not None
    assert proof.x.lo[0] < lo and hi < proof.x.hi[0] and proof.x.lo[1] < 0 < proof.x.hi[1]
    assert torque(arb(proof.x.lo[0])) < 0 < torque(arb(proof.x.hi[0]))
    assert proof.u.lo[0] <= -5 * np.sin(lo) <= proof.u.hi[0]


def test_the_pendulum_does_not_rest_at_its_speed_limit():
    """With a constant torque the speed stays clipped at 8 rad/s and theta runs."""
    policy = Network([Affine([[0.0, 0.0, 0.0]], [2.0])])
    assert prove_equilibrium(Pendulum(), policy, np.array([0.0, 8.0])) is None


@pytest.mark.parametrize(
    ("model", "guess"), [(Parabola(1.0), np.ones(2)), (Pendulum(), np.zeros(2)), (Parabola(1.0), np.float64(1.0))]
)
def test_sizes_that_do_not_fit_are_an_error(model, guess):
    with pytest.raises(LoopError, match="sizes"):
        prove_equilibrium(model, IDENTITY, guess)


def test_krawczyks_operator_makes_the_newton_step_from_an_uncentred_guess() -> None:
    """g(x) = G (x - x*): the value at c moves the box onto x*, and (I - Y G)(X - c) widens it."""
    G, star, center = np.array([[2.0, 0.5], [-0.25, 1.0]]), np.array([0.975, -2.0]), np.array([1.0, -2.125])
    value = G @ (center - star)
    box = Interval(center - np.array([0.5, 0.25]), center + np.array([0.25, 0.5]))
    point = equilibrium.krawczyk(center, box, Interval(value), Interval(G))
    np.testing.assert_allclose(point.lo, star, atol=1e-15)
    np.testing.assert_allclose(point.hi, star, atol=1e-15)
    wide = equilibrium.krawczyk(center, box, Interval(value), Interval(G - 0.1, G + 0.1))
    spread = np.abs(np.linalg.inv(G)) @ np.full((2, 2), 0.1) @ np.array([0.5, 0.5])
    np.testing.assert_allclose(wide.lo, star - spread, atol=1e-12)
    np.testing.assert_allclose(wide.hi, star + spread, atol=1e-12)
    with pytest.raises(np.linalg.LinAlgError):
        equilibrium.krawczyk(center, box, Interval(value), Interval(np.zeros((2, 2))))


@pytest.mark.parametrize("n", [1, 4, 6])
def test_krawczyks_operator_in_fractions(n):
    """c - Y v + (I - Y G) e for a point G near singular, where I - Y G is not small, and a box to one side of c."""
    G = 1.0 / (np.arange(n)[:, None] + np.arange(n) + 1.5)
    Y = [[Fraction(float(y)) for y in row] for row in np.linalg.inv(G)]
    rest = [[(i == j) - sum(Y[i][k] * Fraction(float(G[k, j])) for k in range(n)) for j in range(n)] for i in range(n)]
    center, value = np.arange(1.0, n + 1), np.ldexp(1.0, -np.arange(n) - 40)
    found = krawczyk(center, Interval(center - 0.25, center + 2.0), Interval(value), Interval(G))
    for e in np.array(np.meshgrid(*[[-0.25, 2.0]] * n)).reshape(n, -1).T:
        for i in range(n):
            moved = sum(r * Fraction(float(v)) for r, v in zip(rest[i], e, strict=True))
            truth = Fraction(float(center[i])) + moved - sum(Y[i][k] * Fraction(float(value[k])) for k in range(n))
            assert Fraction(float(found.lo[i])) <= truth <= Fraction(float(found.hi[i]))


class Pole(Model):
    """x+ = x / 2 + u - 2; observed is 1 / x between -1 and 1."""

    dt, n_states, n_actions, n_observations = 1.0, 1, 1, 1
    state_low, state_high = np.array([-np.inf]), np.array([np.inf])

    def step(self, x, u):
        return (0.5 * x[0] + u[0] - 2.0,)

    def observe(self, x):
        return (clip(1.0 / x[0], -1.0, 1.0),)


def test_no_equilibrium_where_the_observation_is_undefined():
    """At x = 0, though the policy says 2 to all that it may be."""
    policy = Network([Elementwise("hardtanh", 1, low=2.0, high=3.0)])
    assert prove_equilibrium(Pole(), policy, np.zeros(1)) is None


@pytest.mark.parametrize("off", [1e-9, -1e-9])
def test_the_value_at_the_guess_is_enclosed_with_room_to_both_sides(monkeypatch, off):
    """A value that is only multiplied by 16 would not hold itself: g(1.5 + off) = (x^2 - 9/4) / 4 has one sign."""
    values = []
    monkeypatch.setattr(
        equilibrium, "krawczyk", lambda c, box, value, G: values.append(value) or krawczyk(c, box, value, G)
    )
    guess = np.array([1.5 + off])
    proof = prove_equilibrium(Parabola(2.25), IDENTITY, guess)
    exact = (Fraction(float(guess[0])) ** 2 - Fraction(9, 4)) / 4
    assert proof is not None and proof.x.lo[0] < 1.5 < proof.x.hi[0]
    for value in values:
        assert Fraction(float(value.lo[0])) <= -8 * abs(exact) and Fraction(float(value.hi[0])) >= 8 * abs(exact)
