"""What is proved of a loop does not depend on its units: the independent checker accepts it in each of them."""

from __future__ import annotations

import numpy as np
import pytest

import lipctrl
from lipctrl.intervals.functions import tanh
from lipctrl.intervals.interval import Interval
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.plants.model import Model
from lipctrl.proofs import check_cells
from lipctrl.proofs.certificate import write_certificate
from lipctrl.proofs.closed_loop import ClosedLoop
from lipctrl.proofs.core import final_stages, reach
from lipctrl.proofs.ellipsoid import Ellipsoid


class Coupled(Model):
    """z1+ = 0.9 z1 + 0.02 tanh(z2), zi+ = 0.9 zi + 0.05 z(i-1), the last one with 0.1 u more; z = x / unit."""

    name = "coupled"
    n_actions, dt = 1, 0.1
    action_low, action_high = np.array([-np.inf]), np.array([np.inf])

    def __init__(self, units: list[float]) -> None:
        self.units = units
        self.n_states = self.n_observations = len(units)
        self.periods, self.state_high = np.zeros(len(units)), np.array(units)
        self.state_low = -self.state_high

    def step(self, x, u):
        z = [state * (1.0 / unit) for state, unit in zip(x, self.units, strict=True)]
        after = [0.9 * z[0] + 0.02 * tanh(z[1]), *(0.9 * b + 0.05 * a for a, b in zip(z, z[1:], strict=False))]
        after[-1] = after[-1] + 0.1 * u[0]
        return tuple(unit * value for unit, value in zip(self.units, after, strict=True))

    def observe(self, x):
        return tuple(x)


@pytest.mark.parametrize("units", [[1e8, 1e8], [1e-8, 1e-8], [1e7, 1e-5, 1e-2]])
@pytest.mark.parametrize("arithmetic", ["real", "float32"])
def test_the_checker_accepts_what_is_certified(units, arithmetic, tmp_path):
    model = Coupled(units)
    W = np.array([[1.0, -0.5, 0.2], [0.3, 0.8, -0.6]])[:, : len(units)]
    network = Network([Affine(W / model.state_high), Elementwise("tanh", 2), Affine([[-0.4, 0.3]])])
    report = lipctrl.certify(network, model, nonlinear=True, time_limit=1.0, arithmetic=arithmetic)
    found = {name: c for name, c in report.certificates.items() if name.startswith("region")}
    assert found
    for certificate in found.values():
        path = tmp_path / "region.json"
        write_certificate(certificate, path)
        code, text = check_cells.check(path)
        assert code == 0, text


def test_final_balls_do_not_fall_far_below_the_box_of_the_equilibrium():
    network = Network([Affine([[1e3, 0.0]]), Elementwise("relu", 1), Affine([[-0.1]])])
    loop = ClosedLoop(Coupled([1e-3, 1e-3]), network, 0.0, "float32")
    box = Interval(np.full(2, -1e-6), np.full(2, 1e-6))
    core = Ellipsoid(np.zeros(2), np.eye(2), 1e-3)
    stages = final_stages(loop, core, box)
    assert stages and stages[-1].radius >= 0.5 * reach(core, box)
