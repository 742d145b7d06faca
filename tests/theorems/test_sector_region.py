"""Ellipsoids of the nonlinear loop by sectors: laws of secants, known basins, more than six states, wrong twins."""

from __future__ import annotations

import copy
import runpy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipctrl import certify, load_policy
from lipctrl.intervals import functions
from lipctrl.intervals.dual import Dual
from lipctrl.intervals.interval import Interval
from lipctrl.intervals.mean_value import sector_and_line
from lipctrl.lmi.blocks import dense
from lipctrl.lmi.deviations import Channels
from lipctrl.lmi.lmi import Factor
from lipctrl.networks.activation import activation
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.plants.goal import Goal
from lipctrl.plants.model import Model
from lipctrl.plants.models.cartpole import CartPole
from lipctrl.plants.models.pendulum import Pendulum
from lipctrl.plants.models.planar_quadrotor import PlanarQuadrotor
from lipctrl.plants.program import OPERATIONS, Program, record_model
from lipctrl.plants.resting import find_resting
from lipctrl.proofs import check_cells
from lipctrl.proofs.certificate import hex_array, write_certificate
from lipctrl.proofs.core import reach
from lipctrl.results import Verdict
from lipctrl.theorems.region import find_region
from lipctrl.theorems.sector_region import SectorRegion, Statement, _inside, _wide, find_sector_region, state
from lipctrl.theorems.sector_row import sector_row

POLICIES = Path(__file__).resolve().parents[2] / "policies"


class Line(Model):
    """x+ = 1.1 x + u."""

    n_states, n_actions, n_observations, dt = 1, 1, 1, 1.0
    periods = np.zeros(1)
    state_low, state_high = np.array([-20.0]), np.array([20.0])
    action_low, action_high = np.array([-np.inf]), np.array([np.inf])

    def step(self, x: Sequence[Any], u: Sequence[Any]) -> tuple[Any, ...]:
        return (1.1 * x[0] + u[0],)

    def observe(self, x: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(x)


class Cubic(Line):
    """x+ = 1.1 x + u + c x^3."""

    parameters = ("cubic",)

    def __init__(self, cubic: Any = 1.0) -> None:
        self.cubic = self._read("cubic", cubic)

    def step(self, x: Sequence[Any], u: Sequence[Any]) -> tuple[Any, ...]:
        return (1.1 * x[0] + u[0] + self.cubic * (x[0] * functions.square(x[0])),)


EXAMPLE = runpy.run_path(str(POLICIES.parent / "examples" / "coupled_pendulums.py"))
Chain, chain_policy = EXAMPLE["CoupledPendulums"], EXAMPLE["policy"]


def rest(model: Model, network: Network) -> np.ndarray:
    return next(e.x for e in find_resting(model, network).equilibria if e.attracts and e.in_goal is not False)


def boundary(region: SectorRegion, count: int, share: float = 1.0) -> np.ndarray:
    e = region.ellipsoid
    z = np.random.default_rng(5).standard_normal((count, len(e.center)))
    z *= share * e.radius / np.linalg.norm(z, axis=1, keepdims=True)
    return e.center + np.linalg.solve(e.T, z.T).T


def contents(region: SectorRegion, model: Model, network: Network) -> dict[str, Any]:
    return copy.deepcopy(sector_row(model, network, region.ellipsoid.center, 5.0)[0].certificate or {})


def verdict(content: dict[str, Any], tmp_path: Path) -> tuple[int, str]:
    return check_cells.check(write_certificate(content, tmp_path / "sectors.json"))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["sin", "cos", "square", "exp", "tanh", "arctan", "absolute"]),
    st.floats(-3.0, 3.0),
    st.floats(1e-6, 4.0),
)
def test_secants_of_functions_lie_in_the_sector_and_near_the_line(name: str, center: float, reach: float) -> None:
    function = getattr(functions, name)

    def slopes(x: Interval) -> Interval:
        return Interval.exact(function(Dual(x, Interval(np.ones((1, *x.shape))))).grad)[0]

    sector, line, error = sector_and_line(slopes, Interval(np.array([center])), np.array([reach]))
    d = reach * np.concatenate([np.linspace(-1.0, 1.0, 401), [1e-9, -1e-9]])
    d = d[d != 0.0]
    rise = np.asarray(function(np.longdouble(center) + d) - function(np.longdouble(center)))
    slack = 1e-18 * (1.0 + np.exp(8.0)) / np.abs(d)
    assert np.all(rise / d >= sector.lo - slack) and np.all(rise / d <= sector.hi + slack)
    assert np.all(np.abs(rise - line * d) <= error + 1e-15)
    width = (rise / d).max() - (rise / d).min()
    slope = slopes(Interval(np.array([center - reach]), np.array([center + reach]))).mag[0]
    assert sector.hi[0] - sector.lo[0] <= 1.05 * width + 0.03 * slope


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["tanh", "relu", "elu", "gelu", "silu", "softplus", "sigmoid", "hardtanh"]),
    st.floats(-3.0, 3.0),
    st.floats(1e-3, 5.0),
)
def test_the_checker_finds_no_wider_sectors(kind: str, center: float, reach: float) -> None:
    """What is stated, it proves, from the same range and from every smaller one."""
    phi = activation(kind, 1)
    point = Interval(np.array([center - 1e-12]), np.array([center + 1e-12]))
    sector, line, error = sector_and_line(phi.slope_range, point, np.array([reach]))
    names = {name: hex_array(value) for name, value in phi.parameters.items()}
    layer = check_cells.Layer({"type": kind, "n": 1, **names})
    for share in (1.0, 0.9, 0.3, 0.01):
        low, high, wrong = check_cells._secants(layer.slopes, point.lo, point.hi, np.array([share * reach]), line)
        assert sector.lo[0] <= low[0] and high[0] <= sector.hi[0]
        assert wrong[0] <= error[0] * (1.0 + 1e-6) + 1e-6 * reach


def signals_of(
    program: Program, here: list[float], star: list[float], kinds: list[int]
) -> tuple[list[float], list[float], list[tuple[float, float]]]:
    """The outputs of a program at two points, and its channels in order as (w, dv): an interpreter of its own.

    `kinds` of the inputs: 1 for parameters, 2 for what moves; constants are 0.
    """
    here, star, channels = [*here, *program.constants], [*star, *program.constants], []
    kinds = [*kinds, *(0 for _ in program.constants)]
    for name, places in program.code:
        a, b, of = ([values[p] for p in places] for values in (here, star, kinds))
        here.append(float(OPERATIONS[name](*a)))
        star.append(float(OPERATIONS[name](*b)))
        kinds.append(max(of))
        if max(of) < 2 or name in ("add", "sub", "neg"):
            continue
        if name == "mul":
            gain, other = (1, 0) if of[1] < of[0] else (0, 1)
            if of[gain]:
                channels.append((a[gain] * (a[other] - b[other]), a[other] - b[other]))
        elif name == "div":
            if of[1]:
                dv = a[0] - b[0] - star[-1] * (a[1] - b[1])
                channels.append((dv / a[1], dv))
        else:
            channels.append((here[-1] - star[-1], a[0] - b[0]))
    return [here[p] for p in program.outputs], [star[p] for p in program.outputs], channels


def within(value: np.ndarray, factor: Factor, sizes: tuple[int, ...], xi: np.ndarray) -> bool:
    """Whether the value is one of what the rows, known up to their radii, give at the signals so far."""
    starts = np.concatenate([[0], np.cumsum(sizes)])
    middle, radius = np.zeros(factor.rows), np.zeros(factor.rows)
    for block, part in factor.blocks.items():
        ball, signal = dense(part), xi[starts[block] : starts[block + 1]]
        middle, radius = middle + ball.mid @ signal, radius + ball.radius @ np.abs(signal)
    return bool(np.all(np.abs(value - middle) <= radius + 1e-12))


GENERATORS = 0.05 * np.random.default_rng(7).standard_normal((6, 6))


def true_steps(model: Model, count: int) -> tuple[Statement, list[tuple[np.ndarray, ...]]]:
    """The theorem on a random ellipsoid about each x* of a random box, none of them at rest.

    And for random x*, parameters and states: e, the signals, the dv, and x+ - x*+ of a step of a random policy.
    """
    rng = np.random.default_rng(1)
    n, m, p = model.n_states, model.n_actions, model.n_observations
    network = Network([Affine(rng.standard_normal((5, p)), rng.standard_normal(5)), Elementwise("tanh", 5)])
    network = Network([*network.layers, Affine(rng.standard_normal((m, 5)))])
    generators = GENERATORS[:n, :n]
    low = 0.3 * rng.standard_normal(n)
    rest, ends = Interval(low, low + 0.01), np.array(list(model.uncertain.values())).reshape(-1, 2)
    step, observe = record_model(model)
    statement = state((step, observe), network, rest, Interval(ends[:, 0], ends[:, 1]), generators)
    assert statement is not None
    channels, signals = statement.channels, statement.signals
    steps = []
    for _ in range(count):
        z, star, given = rng.standard_normal(n), rng.uniform(rest.lo, rest.hi), rng.uniform(ends[:, 0], ends[:, 1])
        e = generators @ (z * rng.random() ** 0.1 / np.linalg.norm(z))
        kinds = [1] * len(given)
        y, y_star, seen = signals_of(observe, [*(star + e), *given], [*star, *given], [2] * n + kinds)
        v, v_star = (network.layers[0].W @ values + network.layers[0].b for values in (y, y_star))
        u, u_star = network(np.array(y)), network(np.array(y_star))
        after, after_star, moved = signals_of(
            step, [*(star + e), *u, *given], [*star, *u_star, *given], [2] * (n + m) + kinds
        )
        neurons = zip(np.tanh(v) - np.tanh(v_star), v - v_star, strict=True)
        w, dv = np.array([*seen, *neurons, *moved]).T
        assert len(w) == sum(len(line) for _, line in channels.blocks)
        xi, place = e, 0
        for (sector, _), A, B, kept in zip(channels.blocks, signals.A, signals.B, signals.nonlinear, strict=True):
            own = dv[place + kept]
            middle, half = sector.mid[kept], (sector.hi - sector.lo)[kept] / 2
            s = (w[place + kept] - middle * own) / half
            assert np.all(np.abs(s) <= np.abs(own) * (1 + 1e-9) + 1e-12 / half)
            xi, place = np.append(xi, s), place + len(sector.lo)
            assert within(s + own, A, signals.sizes, xi) and within(s - own, B, signals.sizes, xi)
        kept = np.concatenate([k + start for k, start in zip(signals.nonlinear, starts_of(channels), strict=True)])
        steps.append((e, xi, dv[kept.astype(int)], np.array(after) - np.array(after_star)))
    return statement, steps


def starts_of(channels: Channels) -> np.ndarray:
    return np.cumsum([0, *(len(line) for _, line in channels.blocks[:-1])])


MODELS = pytest.mark.parametrize(
    "model",
    [CartPole(), Pendulum(), PlanarQuadrotor(), Pendulum(mass=(0.9, 1.1), max_torque=(0.5, 2.0)),
     CartPole(pole_mass=(0.1, 0.12), half_length=(0.5, 0.55))],
    ids=["CartPole", "Pendulum", "PlanarQuadrotor", "uncertain Pendulum", "uncertain CartPole"],
)  # fmt: skip


@MODELS
def test_channels_hold_along_true_steps_and_the_rows_give_them(model: Model) -> None:
    """For e in the ellipsoid: (w - alpha dv)(w - beta dv) <= 0, and the rows give x+ - x*+."""
    statement, steps = true_steps(model, 100)
    for _, xi, _, moved in steps:
        assert within(moved, statement.signals.output, statement.signals.sizes, xi)


@MODELS
def test_the_inequality_is_the_fall_of_v_and_what_the_sectors_give(model: Model) -> None:
    """xi'M xi = (1 - 1e-6) V - V+ + 2 sum t_i (s_i^2 - dv_i^2); P; G'PG - I."""
    statement, steps = true_steps(model, 5)
    rng, n = np.random.default_rng(2), model.n_states
    F = rng.standard_normal((n, n))
    values = {v.name: rng.uniform(0.5, 2.0, v.size) for v in statement.lmi.variables} | {"P": F @ F.T}
    dissipation, positive, containment = (part.evaluate(values) for part in statement.lmi.inequalities)
    t = np.concatenate([values[v.name] for v in statement.lmi.variables[1:]])
    for e, xi, dv, moved in steps:
        expected = (1.0 - 1e-6) * e @ values["P"] @ e - moved @ values["P"] @ moved + 2 * t @ (xi[n:] ** 2 - dv**2)
        error = np.abs(xi) @ dissipation.radius @ np.abs(xi)
        assert abs(xi @ dissipation.mid @ xi - expected) <= error + 1e-9 * abs(expected)
    G = GENERATORS[:n, :n]
    assert np.allclose(positive.mid, values["P"], rtol=1e-12)
    assert np.allclose(containment.mid, G.T @ values["P"] @ G - np.eye(n), rtol=1e-9)


def test_the_ellipsoid_lies_in_the_level_of_v_about_every_equilibrium() -> None:
    """|T (x - center)| <= radius gives (x - x*)'P(x - x*) < 1, and little is lost."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        F = rng.standard_normal((3, 3)) + 2 * np.eye(3)
        P, center, half = F.T @ F, rng.standard_normal(3), 10.0 ** rng.uniform(-9, -1.3)
        rests = center + half * np.array(np.meshgrid(*[[-1.0, 1.0]] * 3)).reshape(3, -1).T
        inner = _inside(P, Interval(center - half, center + half))
        assert inner is not None
        z = rng.standard_normal((200, 3))
        x = inner.center + inner.radius * np.linalg.solve(inner.T, (z / np.linalg.norm(z, axis=1, keepdims=True)).T).T
        far = np.array([np.max(np.einsum("ni,ij,nj->n", x - rest, P, x - rest)) for rest in rests])
        away = reach(inner, Interval(center - half, center + half))
        assert np.all(far < 1.0) and inner.radius >= 1.0 - away - 3e-9
        wide = _wide(inner, Interval(center - half, center + half))
        assert inner.radius + 2 * away <= wide.radius <= (inner.radius + 2 * away) * (1 + 1e-9)
    assert _inside(np.eye(3), Interval(np.full(3, -1.0), np.full(3, 1.0))) is None


def test_a_saturated_line_is_certified_almost_to_its_saddle() -> None:
    """x+ = 1.1 x + clip(-.5 x, +-1) converges exactly from |x| < 10."""
    model, network = Line(), Network([Affine([[-0.5]]), Elementwise("hardtanh", 1, low=-1.0, high=1.0)])
    region = find_sector_region(model, network, [0.0], time_limit=6.0)
    assert region is not None and 7.5 < region.ellipsoid.half_widths[0] < 10.0


def test_a_product_is_a_channel_and_an_uncertain_parameter_too() -> None:
    """.2 x + c x^3 converges exactly from |x| < sqrt(.8 / c)."""
    network = Network([Affine([[-0.9]])])
    region = find_sector_region(Cubic(1.0), network, [0.0], time_limit=2.0)
    assert region is not None and 0.7 < region.ellipsoid.half_widths[0] < np.sqrt(0.8)
    wide = find_sector_region(Cubic((0.5, 2.0)), network, [0.0], time_limit=2.0)
    assert wide is not None and 0.45 < wide.ellipsoid.half_widths[0] < np.sqrt(0.4)


def test_narrow_sectors_cost_nothing() -> None:
    """The cart-pole's products are tiny near rest: far beyond the core of volume 5e-4 that contraction proves."""
    network = Network([Affine(np.array([[2.776, 5.195, 45.32, 11.30]]) / 10), Elementwise("tanh", 1), Affine([[10.0]])])
    region = find_sector_region(CartPole(), network, np.zeros(4), time_limit=2.0)
    assert region is not None and region.volume > 0.5
    assert np.all(np.abs(region.loop.simulate(boundary(region, 300), 2000)) < 1e-6)


def test_none_where_the_equilibrium_does_not_attract() -> None:
    assert find_sector_region(Line(), Network([Affine([[0.0]])]), [0.0], time_limit=2.0) is None


def test_eight_states_are_certified_and_converge(tmp_path: Path) -> None:
    model = Chain()
    network = chain_policy(model)
    report = certify(network, model, time_limit=3.0)
    assert report.verdict is Verdict.CERTIFIED and report.headline == "region of attraction (sectors)"
    assert "by sectors" in report.claim and report.model == "nonlinear"
    content = report.certificates[report.headline]
    code, words = verdict(content, tmp_path)
    assert code == 0 and "by sectors" in words, words
    region = find_sector_region(model, network, np.zeros(8), time_limit=2.0)
    assert region is not None
    x, e = boundary(region, 300), region.ellipsoid
    for _ in range(400):
        x = region.loop.simulate(x)
        assert np.all(np.linalg.norm((x - e.center) @ e.T.T, axis=1) <= 1.0)
    assert np.all(np.abs(x) < 1e-4)


def test_the_ellipsoid_of_a_real_agent_converges_and_is_checked(tmp_path: Path) -> None:
    model, network = Pendulum(), load_policy(POLICIES / "pendulum-ppo").network
    row, region = sector_row(model, network, rest(model, network), 5.0)
    assert row.verdict is Verdict.CERTIFIED and region is not None and region.volume > 0.001
    x = region.loop.simulate(boundary(region, 500), 600)
    assert np.all(np.abs(x - region.ellipsoid.center) < 1e-5)
    cells = find_region(model, network, region.ellipsoid.center, time_limit=20.0, enough=0.9)
    assert cells is not None and cells.contains(boundary(region, 500)).all()
    assert row.certificate is not None
    code, words = verdict(row.certificate, tmp_path)
    assert code == 0, words


@pytest.fixture(scope="module")
def coupled() -> dict[str, Any]:
    model = Chain(2)
    row, _ = sector_row(model, chain_policy(model), np.zeros(4), 1.0)
    assert row.certificate is not None
    return row.certificate


def numbers(content: dict[str, Any], group: int) -> np.ndarray:
    return np.array([[float.fromhex(value) for value in row] for row in content["sectors"][group]])


def widest(content: dict[str, Any]) -> int:
    """The group with the widest sector."""
    widths = [
        float(np.max(numbers(content, k)[:, 1] - numbers(content, k)[:, 0])) for k in range(len(content["sectors"]))
    ]
    return int(np.argmax(widths))


def test_a_sector_that_is_too_narrow_is_refused(coupled: dict[str, Any], tmp_path: Path) -> None:
    assert verdict(coupled, tmp_path)[0] == 0
    refused = 0
    for group in range(len(coupled["sectors"])):
        for end in (0, 1):
            wrong = copy.deepcopy(coupled)
            block = numbers(wrong, group)
            if np.all(block[:, 0] == block[:, 1]):
                continue
            block[0, end] = block[0, 1 - end] + (2 * end - 1) * 1e-3 * (block[0, 1] - block[0, 0])
            wrong["sectors"][group] = hex_array(block)
            code, words = verdict(wrong, tmp_path)
            assert code == 1 and f"group {group} do not hold" in words
            refused += 1
    assert refused >= 10


def test_other_wrong_certificates_are_refused(coupled: dict[str, Any], tmp_path: Path) -> None:
    group = widest(coupled)

    def change(**fields: Any) -> tuple[int, str]:
        wrong = copy.deepcopy(coupled)
        wrong.update(fields)
        return verdict(wrong, tmp_path)

    block = numbers(coupled, group)
    negative, without, larger = block.copy(), block.copy(), copy.deepcopy(coupled["core"])
    negative[0, 3], without[:, 3] = -1.0, 0.0
    sectors = coupled["sectors"]

    def placed(other: np.ndarray) -> list[Any]:
        return [*sectors[:group], hex_array(other), *sectors[group + 1 :]]

    assert "negative" in change(sectors=placed(negative))[1]
    assert "not proved to decrease" in change(sectors=placed(without))[1]
    larger["radius"] = hex_array(3.0 * float.fromhex(larger["radius"]))
    assert change(core=larger)[0] == 1
    assert "fewer sectors" in change(sectors=sectors[:-1])[1]
    assert "more sectors" in change(sectors=[*sectors, sectors[0]])[1]
    assert change(action_error=hex_array(0.01))[0] == 1
    turned = copy.deepcopy(coupled["core"])
    turned["T"] = hex_array(
        np.diag([1.0, 100.0, 1.0, 1.0]) @ np.array([[float.fromhex(v) for v in r] for r in turned["T"]])
    )
    assert change(core=turned)[0] == 1
    unstable = copy.deepcopy(coupled)
    unstable["network"]["layers"][-1]["W"] = hex_array(np.zeros((2, 2)))
    unstable.pop("network_sha256")
    assert verdict(unstable, tmp_path)[0] == 1


def test_a_required_box_and_a_goal_decide(tmp_path: Path) -> None:
    model = Chain(2)
    network = chain_policy(model)
    half = np.full(4, 0.01)
    row, region = sector_row(model, network, np.zeros(4), 1.0, box=(-half, half))
    assert row.verdict is Verdict.CERTIFIED and row.certificate is not None and region is not None
    assert "The whole box" in verdict(row.certificate, tmp_path)[1]
    row, _ = sector_row(model, network, np.zeros(4), 1.0, box=(-30 * half, 30 * half))
    assert row.verdict is Verdict.INCONCLUSIVE and "required box" in row.reason
    model.goal = Goal(np.ones(4), np.full(4, 0.3))
    assert "goal" in sector_row(model, network, np.zeros(4), 1.0)[0].reason


class Rooted(Model):
    """x+ = x / 2 + 0 sqrt(x + 1/2): no number below -1/2."""

    dt, n_states, n_actions, n_observations = 1.0, 1, 1, 1
    state_low, state_high, periods = np.array([-4.0]), np.array([4.0]), np.zeros(1)
    action_low, action_high = np.array([-np.inf]), np.array([np.inf])

    def step(self, x: Sequence[Any], u: Sequence[Any]) -> tuple[Any, ...]:
        return (0.5 * x[0] + u[0] + 0.0 * functions.sqrt(x[0] + 0.5),)

    def observe(self, x: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(x)


def test_no_ellipsoid_reaches_where_the_equations_are_undefined() -> None:
    found = find_sector_region(Rooted(), Network([Affine([[0.0]])]), np.zeros(1), time_limit=1.0)
    assert found is not None and 0.1 < found.ellipsoid.half_widths[0] < 0.5
