"""The region of attraction of real agents, and of loops that must not get one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lipctrl import load_policy
from lipctrl.errors import LipctrlError
from lipctrl.intervals.functions import clip, sin
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.plants.goal import Goal
from lipctrl.plants.model import Model
from lipctrl.plants.models.pendulum import Pendulum
from lipctrl.plants.resting import newton, simulate
from lipctrl.results import Trust, Verdict
from lipctrl.theorems.region import RegionOfAttraction, find_region
from lipctrl.theorems.region_row import applies, others, region_rows
from lipctrl.theorems.sector_region import find_sector_region

POLICIES = Path(__file__).resolve().parents[2] / "policies"


def _region(folder: Path, **options: Any) -> tuple[Network, RegionOfAttraction]:
    network = load_policy(folder).network
    guess = newton(Pendulum(), network, np.zeros(2))
    assert guess is not None
    region = find_region(Pendulum(), network, guess, **options)
    assert region is not None
    return network, region


@pytest.fixture(scope="module")
def agent() -> tuple[Network, RegionOfAttraction]:
    return _region(POLICIES / "pendulum-sac", time_limit=60.0, last_level=8)


def test_most_states_of_the_cylinder_are_certified(agent: tuple[Network, RegionOfAttraction]) -> None:
    _, region = agent
    assert region.share >= 0.95
    assert region.share <= region.simulation.share
    assert region.domain_volume == pytest.approx(2 * np.pi * 16)
    assert region.n_cells < 50_000


def test_every_certified_state_that_is_simulated_converges(agent: tuple[Network, RegionOfAttraction]) -> None:
    network, region = agent
    rng = np.random.default_rng(0)
    x = rng.uniform([-np.pi, -8], [np.pi, 8], (4000, 2))
    certified = region.contains(x)
    assert 0.9 < certified.mean() < 1.0
    end = simulate(Pendulum(), network, x[certified], 600)[-1]
    away = np.abs(np.exp(1j * (end[:, 0] - region.core.center[0])) - 1) + np.abs(end[:, 1])
    assert away.max() < 1e-6


def test_other_equilibria_are_not_certified(agent: tuple[Network, RegionOfAttraction]) -> None:
    """The saturated saddles at about +-.41, and the upright position itself is not the equilibrium."""
    _, region = agent
    assert len(region.others) >= 2
    for x in region.others:
        assert not region.contains(x)
        assert not region.contains(x + np.array([2 * np.pi, 0.0]))
    assert region.equilibrium.contains(region.core.center).all()
    assert not region.equilibrium.contains([0.0, 0.0]).all()


def test_states_of_rest_beyond_the_domain_are_not_said_to_lie_in_it(
    agent: tuple[Network, RegionOfAttraction],
) -> None:
    _, region = agent
    assert "also rests at" in others(region) and "Beyond" not in others(region)
    small = replace(region, lower=np.array([-0.05, -0.1]), upper=np.array([0.05, 0.1]))
    assert "also rests" not in others(small) and "Beyond the domain it rests at" in others(small)


def test_states_of_rest_are_turned_into_the_domain(agent: tuple[Network, RegionOfAttraction]) -> None:
    """The same state a full turn away is no other one: what lies at theta - 2 pi rests in the domain."""
    _, region = agent
    forward = np.array([6.0, 0.0])
    where = replace(region, lower=region.lower + forward, upper=region.upper + forward)
    assert "Beyond" not in others(where)
    for x in region.others:
        nearest = x[0] + 2 * np.pi * (np.floor((region.lower[0] + 6.0 - x[0]) / (2 * np.pi)) + 1)
        assert f"({nearest:.4g}, " in others(where)


def test_the_chain_of_ellipsoids_lies_within_what_converges(agent: tuple[Network, RegionOfAttraction]) -> None:
    network, region = agent
    assert len(region.ellipsoids) > 0
    rng = np.random.default_rng(1)
    angle = rng.uniform(0, 2 * np.pi, 300)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    for ellipsoid in (region.core, *region.ellipsoids):
        x = ellipsoid.center + 0.9999 * ellipsoid.radius * circle @ np.linalg.inv(ellipsoid.T).T
        end = simulate(Pendulum(), network, x, 600)[-1]
        assert np.abs(end - region.core.center).max() < 1e-6
    volumes = [region.core.volume, *(e.volume for e in region.ellipsoids)]
    assert volumes == sorted(volumes)


@pytest.mark.parametrize(("name", "level"), [("ppo", 8), ("ars", 9)])
def test_agents_of_the_zoo(zoo: Path, name: str, level: int) -> None:
    _, region = _region(zoo / name / "Pendulum-v1", time_limit=60.0, last_level=level)
    assert region.share >= 0.95
    assert region.simulation.share > 0.999


def test_a_policy_that_does_nothing_gets_no_region() -> None:
    """Upright is unstable, hanging is only neutrally stable."""
    network = Network([Affine([[0.0, 0.0, 0.0]])])
    assert find_region(Pendulum(), network, np.zeros(2), time_limit=2.0) is None
    assert find_region(Pendulum(), network, np.array([np.pi, 0.0]), time_limit=2.0) is None


def test_a_state_that_is_no_equilibrium_gets_no_region() -> None:
    assert find_region(Pendulum(), load_policy(POLICIES / "pendulum-sac").network, np.zeros(2)) is None


def test_the_time_limit_leaves_what_is_proved() -> None:
    _, region = _region(POLICIES / "pendulum-sac", time_limit=0.5)
    assert region.core.volume > 1e-3 and region.share < 0.9 and region.seconds < 10.0


def test_models_of_another_kind_are_refused() -> None:
    model = Pendulum()
    model.dt = 0.0
    with pytest.raises(LipctrlError, match="two states"):
        find_region(model, Network([Affine([[0.0, 0.0, 0.0]])]), np.zeros(2))
    with pytest.raises(LipctrlError, match="domain"):
        find_region(Pendulum(), Network([Affine([[0.0, 0.0, 0.0]])]), np.zeros(2), lower=[-1.0, 2.0], upper=[1.0, -2.0])


class SaturatedPendulum(Model):
    """Yin, Seiler, Arcak 2022: g = 10, m = .15, l = .5, mu = .05, dt = .02, Euler, abs(u) <= .7."""

    n_states, n_actions, n_observations, dt = 2, 1, 2, 0.02
    periods = np.zeros(2)
    state_low, state_high = np.array([-4.0, -8.0]), np.array([4.0, 8.0])
    action_low, action_high = np.array([-0.7]), np.array([0.7])

    def step(self, x: Sequence[Any], u: Sequence[Any]) -> tuple[Any, ...]:
        inertia = 0.15 * 0.5**2
        rate = 20.0 * sin(x[0]) - (0.05 / inertia) * x[1] + (1.0 / inertia) * clip(u[0], -0.7, 0.7)
        return x[0] + self.dt * x[1], x[1] + self.dt * rate

    def observe(self, x: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(x)


def test_saturated_pendulum_of_yin(benchmarks: Path) -> None:
    """The published certificate has area 1.75; simulation says 37.2."""
    W = [np.loadtxt(benchmarks / "yin_pendulum" / f"W{i}.csv", delimiter=",", ndmin=2) for i in (1, 2, 3)]
    hidden = [Affine(W[0]), Elementwise("tanh", 32), Affine(W[1]), Elementwise("tanh", 32)]
    network = Network([*hidden, Affine(W[2].reshape(1, -1))])
    region = find_region(SaturatedPendulum(), network, np.zeros(2), time_limit=60.0, last_level=8)
    assert region is not None
    assert max(e.volume for e in region.ellipsoids) >= 12.1
    assert 33.0 <= region.volume <= 37.3
    sectors = find_sector_region(SaturatedPendulum(), network, np.zeros(2), time_limit=3.0)
    assert sectors is not None and sectors.volume > 0.2
    z = np.stack([np.cos(np.linspace(0, 7, 400)), np.sin(np.linspace(0, 7, 400))]) * sectors.ellipsoid.radius
    assert region.contains(sectors.ellipsoid.center + np.linalg.solve(sectors.ellipsoid.T, z).T).all()
    saddle = newton(SaturatedPendulum(), network, np.array([0.96, 0.0]))
    assert saddle is not None and abs(saddle[0]) > 0.5 and not region.contains(saddle)


def test_errors_of_the_action_are_covered() -> None:
    """A torque that is off by 1e-3 at each step costs little, and trajectories end within the stated set."""
    network, region = _region(POLICIES / "pendulum-sac", time_limit=30.0, last_level=7, action_error=1e-3)
    assert region.share > 0.8
    assert region.final.volume < 2e-2 * region.core.volume
    rng = np.random.default_rng(2)
    x = rng.uniform([-np.pi, -8], [np.pi, 8], (300, 2))
    x = x[region.contains(x)]
    for _ in range(600):
        u = network(Pendulum().outputs(x)) + 1e-3 * rng.choice([-1.0, 1.0], (len(x), 1))
        x = Pendulum().advance(x, u)
    away = x - region.final.center
    away[:, 0] -= 2 * np.pi * np.round(away[:, 0] / (2 * np.pi))
    assert np.all(np.linalg.norm(away @ region.final.T.T, axis=1) <= region.final.radius * (1 + 1e-9))


def test_row_certifies_only_where_the_loop_is_wanted_to_rest() -> None:
    network = load_policy(POLICIES / "pendulum-sac").network
    guess = newton(Pendulum(), network, np.zeros(2))
    assert guess is not None
    (row, *_), region = region_rows(Pendulum(), network, guess, 3.0)
    assert row.verdict is Verdict.CERTIFIED and row.trust is Trust.PROVED and row.model == "nonlinear"
    assert region is not None and row.region is not None and row.region.volume is not None
    assert row.region.volume >= region.volume and row.certificate is not None
    elsewhere = Pendulum().with_goal(Goal([1.0, 0.0], [0.3, np.inf], [2 * np.pi, 0.0]))
    (row, *_), _ = region_rows(elsewhere, network, guess, 0.5)
    assert row.verdict is Verdict.INCONCLUSIVE and row.certificate is None and "goal" in row.reason


def test_row_without_a_core_is_inconclusive() -> None:
    (row, domain), region = region_rows(Pendulum(), Network([Affine([[0.0, 0.0, 0.0]])]), np.zeros(2), 1.0)
    assert row.verdict is Verdict.INCONCLUSIVE and row.trust is Trust.SAMPLED and region is None
    assert domain.verdict is Verdict.REFUTED and domain.scope == "domain"
    assert applies(Pendulum()) and not applies(object())
