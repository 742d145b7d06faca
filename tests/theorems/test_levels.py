"""Chains of level sets in three and four dimensions: what is certified converges, what does not is never certified."""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy.linalg import solve_discrete_are

from lipctrl.errors import LipctrlError
from lipctrl.intervals.affine import AffineForm, linear_map
from lipctrl.intervals.functions import clip
from lipctrl.intervals.interval import Interval
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.plants.goal import Goal
from lipctrl.plants.model import Model
from lipctrl.plants.models.cartpole import CartPole
from lipctrl.plants.models.inverted_pendulum import InvertedPendulum
from lipctrl.plants.models.planar_quadrotor import PlanarQuadrotor
from lipctrl.presentation import number_up
from lipctrl.proofs import check_cells
from lipctrl.proofs.certificate import write_certificate
from lipctrl.proofs.closed_loop import ClosedLoop
from lipctrl.proofs.core import prove_core
from lipctrl.proofs.decrease import Plan, decreases, growth, prove_decrease
from lipctrl.proofs.ellipsoid import Ellipsoid
from lipctrl.proofs.equilibrium import prove_equilibrium
from lipctrl.proofs.levels_certificate import levels_certificate
from lipctrl.results import Verdict
from lipctrl.theorems import levels_row as levels_row_module
from lipctrl.theorems import region_levels
from lipctrl.theorems.cma import cma
from lipctrl.theorems.level_region import LevelRegion, find_level_region
from lipctrl.theorems.levels_row import levels_row
from lipctrl.theorems.region_core import find_core
from lipctrl.theorems.region_levels import Level, find_levels

GAINS = np.array([[2.776, 5.195, 45.32, 11.30]])
"""dlqr(diag(1, 1, 10, 1), .1) of the cart-pole."""


def saturating(gains: np.ndarray) -> Network:
    """u = 10 tanh(K x / 10)."""
    return Network([Affine(gains / 10), Elementwise("tanh", 1), Affine([[10.0]])])


class Rail(CartPole):
    """The cart-pole on a rail that ends at +-1 m."""

    limits = (np.array([-1.0, -np.inf, -np.inf, -np.inf]), np.array([1.0, np.inf, np.inf, np.inf]))


class Three(Model):
    """.2 x + x^3 (basin |x| < sqrt(.8)), beside two states that decay."""

    n_states, n_actions, n_observations, dt = 3, 1, 3, 1.0
    periods = np.zeros(3)
    state_low, state_high = np.full(3, -2.0), np.full(3, 2.0)
    action_low, action_high = np.array([-np.inf]), np.array([np.inf])

    def step(self, x: Sequence[Any], u: Sequence[Any]) -> tuple[Any, ...]:
        return 1.1 * x[0] + clip(u[0], -2.0, 2.0) + x[0] ** 3, 0.5 * x[1], 0.5 * x[2] + 0.1 * x[1]

    def observe(self, x: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(x)


class Swap(Model):
    """(x, y) -> (2 y, .1 x): |.| grows in one step from (0, 1), and falls by .2 in two."""

    n_states, n_actions, n_observations, dt = 2, 1, 2, 1.0
    periods = np.zeros(2)
    state_low, state_high = np.full(2, -1.0), np.full(2, 1.0)
    action_low, action_high = np.array([-np.inf]), np.array([np.inf])

    def step(self, x: Sequence[Any], u: Sequence[Any]) -> tuple[Any, ...]:
        return 2.0 * x[1] + u[0], 0.1 * x[0]

    def observe(self, x: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(x)


def three() -> ClosedLoop:
    return ClosedLoop(Three(), Network([Affine([[-0.9, 0.0, 0.0]])]))


def swap() -> ClosedLoop:
    return ClosedLoop(Swap(), Network([Affine([[0.0, 0.0]])]))


@pytest.fixture(scope="module")
def region() -> LevelRegion:
    found = find_level_region(CartPole(), saturating(GAINS), np.zeros(4), time_limit=300.0, max_steps=0)
    assert found is not None
    return found


def on(ellipsoid: Ellipsoid, count: int, share: float, seed: int = 0) -> np.ndarray:
    z = np.random.default_rng(seed).standard_normal((count, len(ellipsoid.center)))
    z *= share * ellipsoid.radius / np.linalg.norm(z, axis=1, keepdims=True)
    return ellipsoid.center + z @ np.linalg.inv(ellipsoid.T).T


def test_a_level_reaches_the_saddle_and_not_beyond() -> None:
    boundary = np.sqrt(0.8)
    ball = Ellipsoid(np.zeros(3), np.diag([1.0, 0.3, 0.3]), 1.3)
    answer = prove_decrease(three(), ball, Ellipsoid(np.zeros(3), np.eye(3), 0.1), splits=6)
    assert answer.proved is not None and 0.98 * boundary < answer.proved.radius < boundary


def test_a_level_that_may_take_two_steps() -> None:
    ball, inner = Ellipsoid(np.zeros(2), np.eye(2), 1.0), Ellipsoid(np.zeros(2), np.eye(2), 1e-2)
    one, two = (prove_decrease(swap(), ball, inner, steps) for steps in (1, 2))
    assert one.proved is None or one.proved.radius < 0.02
    assert two.proved is not None and two.proved.radius > 0.99


def test_a_level_may_reach_an_inner_set_instead() -> None:
    """About (1, 0): |x - (1, 0)| grows at every step, since trajectories go to 0; but they reach the inner ball."""
    ball, inner = Ellipsoid(np.array([1.0, 0.0]), np.eye(2), 0.4), Ellipsoid(np.zeros(2), np.eye(2), 0.5)
    found = prove_decrease(swap(), ball, inner, 2)
    assert found.proved is not None and found.proved.radius > 0.39
    smaller = prove_decrease(swap(), ball, Ellipsoid(np.zeros(2), np.eye(2), 0.1), 2, 5000)
    assert smaller.proved is None or smaller.proved.radius < 0.39


@pytest.mark.parametrize("model", [CartPole(), InvertedPendulum()], ids=["cart-pole", "inverted pendulum"])
def test_enclosures_of_the_loop_contain_random_points(model: Model) -> None:
    """Of the closed loop with 16 tanh neurons: after one step and two, by symbols of the cell and the rest's radius."""
    rng = np.random.default_rng(6)
    first, last = Affine(rng.standard_normal((16, 4)), rng.standard_normal(16)), Affine(rng.standard_normal((1, 16)))
    loop = ClosedLoop(model, Network([first, Elementwise("tanh", 16), last]))
    center = rng.uniform(model.state_low, model.state_high, (400, 4))
    half = 10.0 ** rng.uniform(-6, -0.5, (400, 1)) * rng.uniform(0.2, 1.0, (400, 4))
    for steps in (1, 2):
        forms = loop.advance(AffineForm.cells(center, half), steps)
        for _ in range(60):
            e = np.clip(rng.uniform(-1.3, 1.3, (400, 4)), -1.0, 1.0)
            after = loop.simulate(center + half * e, steps)
            for i, form in enumerate(forms):
                line = form.center + np.sum(form.generators[:4] * e.T, axis=0)
                rest = np.abs(form.generators[4:]).sum(axis=0) + form.radius
                assert np.all(np.abs(after[:, i] - line) <= rest + 1e-13)


def test_a_cell_is_in_an_inner_set_with_all_its_points_only() -> None:
    """About (1, 0), where V grows: the centre of the cell lies in the inner ball, its corners do not."""
    ball, S = Ellipsoid(np.array([1.0, 0.0]), np.eye(2), 0.5), np.eye(2)
    for radius, expected in ((0.3, False), (0.43, True)):
        inner = [Ellipsoid(ball.center, np.eye(2), radius)]
        center, half = np.zeros((1, 2)), np.full((1, 2), 0.3)
        plan = Plan.of(swap(), ball, inner, S, center, 1)
        assert plan.start[0] == 0
        assert decreases(swap(), ball, inner, S, 0.0, center, half, plan)[0] == expected


def test_linear_maps_of_forms_against_exact_arithmetic() -> None:
    rng = np.random.default_rng(7)
    W, c, shift = rng.standard_normal((3, 4)), rng.standard_normal((4, 5)), rng.standard_normal(4)
    G, r = rng.standard_normal((2, 4, 5)), 1e-20 * rng.random((4, 5))
    for i, form in enumerate(linear_map(W, [AffineForm(c[k], G[:, k], r[k]) for k in range(4)], shift)):
        for cell in range(5):
            e = [Fraction(float(v)) for v in rng.uniform(-1, 1, 2)]
            x = [Fraction(c[k, cell]) + sum(Fraction(G[g, k, cell]) * e[g] for g in range(2)) for k in range(4)]
            exact = sum(Fraction(W[i, k]) * (x[k] - Fraction(shift[k])) for k in range(4))
            line = Fraction(form.center[cell]) + sum(Fraction(form.generators[g, cell]) * e[g] for g in range(2))
            assert abs(exact - line) <= Fraction(form.radius[cell]) <= Fraction(1, 10**13)


@pytest.mark.parametrize("n", [1, 3])
def test_bounds_of_the_growth_against_exact_arithmetic(n: int) -> None:
    """Of |c + G e + d|^2 - |z + h e|^2, |d| <= r, on corners and points inside; attained for n = 1, r = 0."""
    rng = np.random.default_rng(5)
    cells, k = 40, n + 1
    center, half = rng.standard_normal((cells, n)), rng.uniform(0.1, 0.5, (cells, n))
    c, G = 0.9 * center.T + 0.1 * rng.standard_normal((n, cells)), 0.4 * rng.standard_normal((n, k, cells))
    r = np.zeros((n, cells)) if n == 1 else rng.uniform(0, 0.1, (n, cells))
    if n == 1:
        G[:, 1] = 0.0
    old = AffineForm.cells(center, half)
    ours = growth(old, tuple(AffineForm(c[i], G[i], r[i]) for i in range(n)))
    theirs = check_cells._growth([check_cells.Form(c[i], G[i], r[i]) for i in range(n)], center, half, 0.0)
    best = [Fraction(-(10**9))] * cells
    for e in [*itertools.product((-1.0, 1.0), repeat=k), *rng.uniform(-1, 1, (400, k)), *np.eye(k) * 0.0]:
        exact = [Fraction(float(value)) for value in e]
        for cell in range(cells):
            total = Fraction(0)
            for i in range(n):
                value = Fraction(c[i, cell]) + sum(Fraction(G[i, j, cell]) * exact[j] for j in range(k))
                value += Fraction(r[i, cell]) * (1 if value >= 0 else -1)
                total += value**2 - (Fraction(center[cell, i]) + Fraction(half[cell, i]) * exact[i]) ** 2
            best[cell] = max(best[cell], total)
    for bound in (ours, theirs):
        assert all(Fraction(float(b)) >= t for b, t in zip(bound, best, strict=True))
        assert n > 1 or np.allclose(bound, [float(t) for t in best], atol=2e-3)


def test_trajectories_from_every_level_converge_and_stay(region: LevelRegion) -> None:
    assert region.volume > 100.0 and len(region.levels) >= 3
    for level in region.levels:
        x = np.vstack([on(level, 300, 1.0), on(level, 200, 0.9, 1)])
        for _ in range(1500):
            x = region.loop.simulate(x)
            assert level.steps > 1 or np.all(region.contains(region.core.center + (x - region.core.center) * 0.999))
        assert np.all(np.abs(x) < 1e-6)


def test_states_that_fall_are_not_certified(region: LevelRegion) -> None:
    rng = np.random.default_rng(2)
    starts = region.core.center + 1.2 * region.largest.half_widths * rng.uniform(-1, 1, (4000, 4))
    claimed, x = region.contains(starts), starts
    for _ in range(1500):
        x = region.loop.simulate(x)
    arrived = np.all(np.abs(x) < 1e-6, axis=1)
    assert not np.any(claimed & ~arrived)
    assert np.any(~arrived) and np.any(claimed)


def test_a_loop_that_is_barely_unstable_is_never_certified() -> None:
    """The gain on the position is turned until the spectral radius is 1.0003; with .9997 there is a region."""
    model = CartPole()
    A, B, _ = model.derivatives(np.zeros(4), np.zeros(1))

    def network(gain: float) -> Network:
        return saturating(np.array([[gain, 5.195, 45.32, 11.30]]))

    def rho(gain: float) -> float:
        return float(np.max(np.abs(np.linalg.eigvals(A + B @ np.array([[gain, 5.195, 45.32, 11.30]])))))

    low, high = -1.0, 2.776
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if rho(middle) > 1.0003 else (low, middle)
    assert 1.0002 < rho(low) < 1.0004
    assert find_level_region(model, network(low), np.zeros(4), time_limit=5.0) is None
    ball = Ellipsoid(np.zeros(4), np.diag([1.0, 1.0, 5.0, 1.0]), 1e-6)
    assert prove_core(ClosedLoop(model, network(low)), ball, Interval(np.zeros(4), np.zeros(4)), 4) is None


def test_a_box_that_is_required_and_one_that_is_too_much() -> None:
    half = np.array([1.0, 0.5, 0.1, 0.3])
    row, region = levels_row(CartPole(), saturating(GAINS), np.zeros(4), 300.0, box=(-half, half), max_steps=0)
    assert row.verdict is Verdict.CERTIFIED and region is not None and region.box_certified
    assert "whole box" in row.reason and row.certificate is not None and "box" in row.certificate
    corner = np.array([half * np.where([i >> k & 1 for k in range(4)], 1, -1) for i in range(16)])
    assert np.all(region.contains(corner))
    assert row.region is not None and row.region.kind == "ellipsoids" and row.region.volume == region.volume
    far = np.array([1.0, 0.5, 3.0, 0.3])
    row, region = levels_row(CartPole(), saturating(GAINS), np.zeros(4), 3.0, box=(-far, far))
    assert row.verdict is Verdict.INCONCLUSIVE and region is not None and not region.box_certified
    with pytest.raises(LipctrlError):
        find_level_region(CartPole(), saturating(GAINS), np.zeros(4), box=(half, -half))


def test_a_loop_that_rests_outside_its_goal_is_not_certified() -> None:
    model = CartPole()
    model.goal = Goal([1.0, 0.0, 0.0, 0.0], [0.5, 0.1, 0.1, 0.1])
    row, _ = levels_row(model, saturating(GAINS), np.zeros(4), 2.0)
    assert row.verdict is Verdict.INCONCLUSIVE and row.certificate is None


def test_levels_lie_within_the_limits(tmp_path) -> None:
    found = find_level_region(Rail(), saturating(GAINS), np.zeros(4), time_limit=300.0, max_steps=0)
    assert found is not None and found.levels and found.limits is not None
    for level in (found.core, *found.levels):
        assert level.steps == 1 if level is not found.core else True
        assert np.max(np.abs(on(level, 5000, 1.0)[:, 0])) <= 1.0 and level.half_widths[0] <= 1.0
    certificate = levels_certificate(found.loop, found.equilibrium, found.core, found.levels, limits=found.limits)
    code, words = verdict(certificate, tmp_path)
    assert code == 0 and "stay in the ellipsoids (the core widened about x*), within the limits" in words
    narrow = copy.deepcopy(certificate)
    narrow["limits"]["lower"][0] = (-0.9 * found.largest.half_widths[0]).hex()
    assert verdict(narrow, tmp_path) == (1, "an ellipsoid leaves the limits of the model")
    slow = copy.deepcopy(certificate)
    slow["ellipsoids"][-1]["steps"] = 2
    assert verdict(slow, tmp_path)[0] == 1


def test_lies_in_is_tight_and_safe() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        ellipsoid = Ellipsoid(rng.standard_normal(4), rng.standard_normal((4, 4)) + 2 * np.eye(4), 0.7)
        half = ellipsoid.half_widths
        low, high = ellipsoid.center - half, ellipsoid.center + half
        assert ellipsoid.lies_in(low - 1e-9, high + 1e-9)
        assert not ellipsoid.lies_in(low + 1e-9 * np.eye(4)[1], high) and not ellipsoid.lies_in(low, high - 1e-9)


def test_six_states_and_the_checker(tmp_path: Any) -> None:
    """A planar quadrotor under a saturating dlqr(I, I)."""
    model = PlanarQuadrotor()
    A, B, _ = model.derivatives(np.zeros(6), np.zeros(2))
    P = solve_discrete_are(A, B, np.eye(6), np.eye(2))
    gains = -np.linalg.solve(np.eye(2) + B.T @ P @ B, B.T @ P @ A)
    loop = ClosedLoop(model, Network([Affine(gains / 2.3), Elementwise("tanh", 2), Affine(2.3 * np.eye(2))]))
    rest = prove_equilibrium(model, loop.network, np.zeros(6), (1e-9, 1e-8))
    assert rest is not None
    core = find_core(loop, np.zeros(6), rest.x, 2)
    assert core is not None
    levels = find_levels(loop, core, deadline=np.inf, max_steps=0, max_cells=15_000)
    assert levels and levels[-1].volume > 1e3 * core.volume
    x = on(levels[-1], 500, 1.0)
    for _ in range(1500):
        x = loop.simulate(x)
    assert np.all(np.abs(x) < 1e-6)
    certificate = levels_certificate(loop, rest.x, core, levels)
    assert verdict(certificate, tmp_path)[0] == 0


def test_levels_of_a_linear_loop_end_before_their_squares_overflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """They grow by a factor each; at a radius of 2^400 the command stopped with an error."""

    class Linear(Model):
        name, dt, n_states, n_actions, n_observations, periods = "linear", 1.0, 2, 1, 2, np.zeros(2)
        state_low, state_high = -np.ones(2), np.ones(2)
        action_low, action_high = np.array([-np.inf]), np.array([np.inf])

        def step(self, x: Sequence[Any], u: Sequence[Any]) -> tuple[Any, ...]:
            return 0.5 * x[0] + 0.1 * x[1] + u[0], 0.5 * x[1]

        def observe(self, x: Sequence[Any]) -> tuple[Any, ...]:
            return tuple(x)

    loop = ClosedLoop(Linear(), Network([Affine([[-0.1, 0.0]])]))
    rest = prove_equilibrium(loop.model, loop.network, np.zeros(2), (1e-9,))
    assert rest is not None
    core = find_core(loop, np.zeros(2), rest.x, 2)
    assert core is not None
    monkeypatch.setattr(region_levels, "MOST", 2.0**12 * core.radius, raising=False)
    levels = find_levels(loop, core, deadline=time.perf_counter() + 5, max_steps=0)
    assert levels and 2.0 * core.radius < levels[-1].radius < 2.0**12 * core.radius


def verdict(certificate: dict[str, Any], folder: Any) -> tuple[int, str]:
    path = write_certificate(certificate, folder / "levels.json")
    return check_cells.check(path)


@pytest.fixture(scope="module")
def certificate(region: LevelRegion) -> dict[str, Any]:
    return levels_certificate(region.loop, region.equilibrium, region.core, region.levels)


def test_the_checker_proves_it_again(region: LevelRegion, certificate: dict[str, Any], tmp_path: Any) -> None:
    code, words = verdict(certificate, tmp_path)
    assert code == 0, words
    volume = float(words.split("of volume ")[1].split(" or more")[0])
    assert volume == pytest.approx(region.volume, rel=1e-6)
    assert "stay in the ellipsoids" in words


def _scale(place: str, factor: float) -> Any:
    def change(c: dict[str, Any]) -> None:
        e = c["core"] if place == "core" else c["ellipsoids"][int(place)]
        e["radius"] = (factor * float.fromhex(e["radius"])).hex()

    return change


def _move(c: dict[str, Any]) -> None:
    c["core"]["center"][0] = (0.5).hex()


def _flip_weight(c: dict[str, Any]) -> None:
    c["network_sha256"] = None
    c["network"]["layers"][0]["W"][0][2] = (-4.532).hex()


def _no_steps(c: dict[str, Any]) -> None:
    c["ellipsoids"][0]["steps"] = 0


def _shift_equilibrium(c: dict[str, Any]) -> None:
    for end in ("lower", "upper"):
        c["equilibrium"][end][0] = (float.fromhex(c["equilibrium"][end][0]) + 1e-3).hex()


def _shear(c: dict[str, Any]) -> None:
    T = c["ellipsoids"][-1]["T"]
    T[0] = [(3.0 * float.fromhex(value)).hex() for value in T[0]]
    c["ellipsoids"][-1]["radius"] = (2.0 * float.fromhex(c["ellipsoids"][-1]["radius"])).hex()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_scale("core", 30.0), "core does not contract"),
        (_scale("-1", 1.3), "V does not decrease"),
        (_scale("0", 40.0), "V does not decrease"),
        (_move, "core does not"),
        (_flip_weight, ""),
        (_no_steps, "strange number of steps"),
        (_shift_equilibrium, "equilibrium"),
        (_shear, "V does not decrease"),
    ],
)
def test_damaged_certificates_are_rejected(
    certificate: dict[str, Any], tmp_path: Any, damage: Any, reason: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr(check_cells, "MAX_COVER", 250_000)
    assert verdict(certificate, tmp_path)[0] == 0
    wrong = copy.deepcopy(certificate)
    damage(wrong)
    code, words = verdict(wrong, tmp_path)
    assert code == 1 and reason in words


def test_the_search_finds_the_top_of_a_tilted_quadratic() -> None:
    rng = np.random.default_rng(4)
    A = rng.standard_normal((6, 6))
    top = rng.standard_normal(6)

    def function(p: np.ndarray) -> np.ndarray:
        return 5.0 - np.sum(((p - top) @ A) ** 2, axis=1)

    best, value = cma(function, np.zeros(6), 0.5, rng, 20, 400)
    assert value > 4.99 and value == pytest.approx(function(best[None])[0])


def test_errors_of_the_action_and_a_parameter_are_covered(tmp_path) -> None:
    """A force off by .002 N at each step, a pole of any mass within 5 %: trajectories end in the stated box."""
    model = CartPole(pole_mass=(0.095, 0.105))
    row, region = levels_row(model, saturating(GAINS), np.zeros(4), 5.0, max_steps=0, action_error=2e-3)
    assert row.verdict is Verdict.CERTIFIED and region is not None and row.certificate is not None
    assert "pole_mass in [0.095, 0.105]" in row.reason and "wrong by at most 0.002" in row.reason
    rng = np.random.default_rng(7)
    for plant in model.extremes():
        x = on(region.largest, 200, 1.0)
        for _ in range(2500):
            u = saturating(GAINS)(plant.outputs(x)) + 2e-3 * rng.choice([-1.0, 1.0], (len(x), 1))
            x = plant.advance(x, u)
        assert np.all(np.abs(x) <= region.final_half_widths)
    assert np.all(region.final_half_widths < 0.1)
    code, words = verdict(row.certificate, tmp_path)
    assert code == 0, words
    assert "wrong by at most 0.002" in words and "pole_mass in [0.095, 0.105]" in words and "stays there" in words
    wrong = copy.deepcopy(row.certificate)
    wrong["final"][-1]["radius"] = (0.9 * float.fromhex(wrong["final"][-1]["radius"])).hex()
    assert verdict(wrong, tmp_path) == (1, "a final ball is not invariant")


def test_float32_is_covered_in_four_states_within_the_limits(tmp_path) -> None:
    row, region = levels_row(Rail(), saturating(GAINS), np.zeros(4), 5.0, max_steps=0, arithmetic="float32")
    assert row.verdict is Verdict.CERTIFIED and row.arithmetic == "float32" and region is not None
    assert np.all(region.final_half_widths < 1e-3) and row.certificate is not None
    code, words = verdict(row.certificate, tmp_path)
    assert code == 0 and "float32" in words and "within the limits" in words and "stays there" in words, words


def test_the_rounding_that_is_stated_is_that_of_every_level() -> None:
    """It was that of the box around the largest level, out of which a long and flat one sticks."""
    network = Network([Affine([[1.0, 0.3, 0.0, 0.1]], [0.1]), Elementwise("tanh", 1), Affine([[1.0]])])
    loop = ClosedLoop(CartPole(), network, arithmetic="float32")
    core = Ellipsoid(np.zeros(4), np.eye(4), 0.1)
    wide = Level(np.zeros(4), np.eye(4), 1.0)
    long = Level(np.zeros(4), np.diag([0.01, 100.0, 100.0, 100.0]), 1.0)
    one, both = (
        LevelRegion(loop, Interval(np.zeros(4)), core, levels, None, None, False, (), 1.0, 1.0, 0.0)
        for levels in ((wide,), (wide, long))
    )
    assert both.largest is wide and both.largest_rounding > 10.0 * one.largest_rounding
    ends = np.array([[-100.0, 0.0, 0.0, 0.0], [100.0, 0.0, 0.0, 0.0]])
    assert both.largest_rounding >= max(loop.largest_rounding(x[None], x[None]) for x in ends)


class Centred(Model):
    """Turns slowly inwards about (p, 0), a parameter."""

    n_states, n_actions, n_observations, dt = 2, 1, 2, 1.0
    parameters = ("p",)
    periods = np.zeros(2)
    state_low, state_high = np.full(2, -1.0), np.full(2, 1.0)
    action_low, action_high = np.array([-np.inf]), np.array([np.inf])

    def __init__(self, p: Any = 0.0) -> None:
        self.p = self._read("p", p)

    def step(self, x: Sequence[Any], u: Sequence[Any]) -> tuple[Any, ...]:
        e, v = x[0] - self.p, x[1]
        return self.p + 0.978 * e - 0.2 * v - 1e-4 * e * e * e, 0.2 * e + 0.978 * v - 1e-4 * v * v * v

    def observe(self, x: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(x)


def test_how_far_trajectories_leave_the_ellipsoids_is_said() -> None:
    """The core is invariant about each equilibrium, not about its centre: "without leaving them" was said of it."""
    network = Network([Affine(np.zeros((1, 2)))])
    row, region = levels_row(Centred((-0.5, 0.5)), network, np.zeros(2), 2.0)
    assert row.verdict is Verdict.CERTIFIED and region is not None
    beyond = levels_row_module._beyond(region)
    sides = ", ".join(number_up(value, 2) for value in beyond)
    assert f"without leaving them by more than ({sides})" in row.reason
    angle, farthest = np.linspace(0.0, 2.0 * np.pi, 400), np.zeros(2)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    x = region.core.center + 0.999 * region.core.radius * circle @ np.linalg.inv(region.core.T).T
    for _ in range(60):
        x = Centred(0.5).advance(x, np.zeros((len(x), 1)))
        farthest = np.maximum(farthest, np.max(np.abs(x - region.core.center), axis=0) - region.core.half_widths)
    assert np.all(farthest <= beyond) and farthest.max() > 0.3
