"""The inverted pendulum moves as MuJoCo moves it, and within its limits no joint meets a stop."""

from __future__ import annotations

from pathlib import Path

import gymnasium
import numpy as np
import pytest

from lipctrl.intervals.affine import AffineForm
from lipctrl.plants.models import model_by_id
from lipctrl.plants.models.inverted_pendulum import FORCE_PER_ACTION, InvertedPendulum


def test_it_moves_as_mujoco_does():
    """Needs the extra mujoco; measured: 1.8e-15."""
    mujoco = pytest.importorskip("mujoco")
    path = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets" / "inverted_pendulum.xml"
    plant = mujoco.MjModel.from_xml_path(str(path))
    data, model, rng = mujoco.MjData(plant), InvertedPendulum(), np.random.default_rng(0)
    assert plant.opt.timestep * 2 == model.dt
    for _ in range(500):
        x, u = rng.uniform(*model.limits), rng.uniform(-3.5, 3.5)
        mujoco.mj_resetData(plant, data)
        data.qpos[:], data.qvel[:], data.ctrl[:] = x[:2], x[2:], u
        for _ in range(2):
            mujoco.mj_step(plant, data)
        assert np.allclose(model.advance(x, np.array([u])), [*data.qpos, *data.qvel], rtol=0, atol=1e-12)


def test_masses_are_those_of_the_capsules():
    """As MuJoCo 3 prints them for the file of Gymnasium (body_mass, body_inertia)."""
    model = InvertedPendulum()
    assert model.cart_mass == pytest.approx(10.47197551, abs=1e-8)
    assert model.pole_mass == pytest.approx(5.01859164, abs=1e-8)
    assert model.inertia - model.pole_mass * (0.3**2 + 0.0005**2) == pytest.approx(0.18874977, abs=1e-7)


def test_the_pole_balances_beside_the_axis_and_energy_falls_by_friction_alone():
    model = InvertedPendulum()
    rest = np.array([0.3, -np.arctan(0.0005 / 0.3), 0.0, 0.0])
    assert np.allclose(model.advance(rest, np.zeros(1)), rest, rtol=0, atol=1e-14)
    assert rest[1] == pytest.approx(-0.0016667, abs=1e-7)

    def energy(x):
        h = model.height * np.cos(x[1]) - model.side * np.sin(x[1])
        m = model.pole_mass
        kinetic = (model.cart_mass + m) * x[2] ** 2 + 2 * m * h * x[2] * x[3] + model.inertia * x[3] ** 2
        return 0.5 * kinetic + m * 9.81 * h

    x = np.array([0.1, 0.4, 0.5, -1.0])
    fine = x.copy()
    for _ in range(200):
        rates = [np.array(model.rates(fine, 30.0))]
        for share in (0.5, 0.5, 1.0):
            rates.append(np.array(model.rates(fine + share * 1e-4 * rates[-1], 30.0)))
        before = fine
        fine = fine + 1e-4 / 6 * (rates[0] + 2 * rates[1] + 2 * rates[2] + rates[3])
        middle = 0.5 * (before + fine)
        work = 1e-4 * (30.0 * middle[2] - middle[2] ** 2 - middle[3] ** 2)
        assert energy(fine) - energy(before) == pytest.approx(work, abs=1e-8)
    assert FORCE_PER_ACTION * 0.3 == 30.0
    for _ in range(1):
        assert np.allclose(model.advance(x, np.array([0.3])), _integrated(model, x), rtol=0, atol=1e-6)


def _integrated(model, x):
    from scipy.integrate import solve_ivp

    return solve_ivp(lambda _, y: model.rates(y, 30.0), (0, 0.04), x, rtol=1e-11, atol=1e-12).y[:, -1]


def test_no_stage_of_a_step_within_the_limits_meets_a_stop():
    """Position within 1 m and angle within 90 degrees at every stage, for every action, by affine forms."""
    model = InvertedPendulum()
    low, high = model.limits
    splits = 5
    edges = [np.linspace(a, b, splits + 1) for a, b in zip([*low, -3.0], [*high, 3.0], strict=True)]
    middle = np.stack(np.meshgrid(*[0.5 * (e[1:] + e[:-1]) for e in edges], indexing="ij"), axis=-1).reshape(-1, 5)
    half = np.broadcast_to([0.5000001 * (e[1] - e[0]) for e in edges], middle.shape)
    *x, u = AffineForm.cells(middle, half)
    for state in model.stages(x, [u])[:-1]:
        position, angle = state[0].range(), state[1].range()
        assert np.max(position.mag) < 1.0 and np.max(angle.mag) < np.pi / 2


def test_its_id_gives_the_model():
    assert isinstance(model_by_id("InvertedPendulum-v5"), InvertedPendulum)
