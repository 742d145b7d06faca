"""Options that cannot be meant are refused before anything is loaded or proved."""

from __future__ import annotations

import numpy as np
import pytest

from lipctrl import certify
from lipctrl.errors import LipctrlError, PlantError
from lipctrl.networks.network import Affine, Network

ONE = ([-0.1, -0.1], [0.1, 0.1])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"box": ONE, "nonlinear": False}, "switched off"),
        ({"box": ONE, "nonlinear": np.False_}, "switched off"),
        ({"box": 3}, "two corners"),
        ({"box": ([1.0, 1.0],)}, "two corners"),
        ({"box": ([-1.0], [1.0, 1.0])}, "two corners"),
        ({"box": ("low", "high")}, "two corners"),
        ({"box": ([1.0, 1.0], [-1.0, -1.0])}, "two corners"),
        ({"box": ([np.nan, -1.0], [1.0, 1.0])}, "two corners"),
        ({"box": ([-np.inf, -1.0], [1.0, 1.0])}, "two corners"),
        ({"box": ([[-1.0]], [[1.0]])}, "two corners"),
        ({"uncertain": [1]}, "uncertain parameters"),
        ({"uncertain": {1: (0.9, 1.1)}}, "uncertain parameters"),
        ({"uncertain": {"mass": "x"}}, "interval of 'mass'"),
        ({"uncertain": {"mass": (1.0, np.nan)}}, "interval of 'mass'"),
        ({"action_error": "x"}, "error of the actions 'x'"),
        ({"action_error": np.nan}, "error of the actions nan"),
        ({"action_error": None}, "error of the actions None"),
        ({"arithmetic": ["real"]}, "arithmetic is"),
        ({"nonlinear": "yes"}, "nonlinear is 'yes'"),
        ({"nonlinear": 0}, "nonlinear is 0"),
        ({"time_limit": "long"}, "time_limit is 'long'"),
        ({"time_limit": True}, "time_limit is True"),
    ],
)
def test_options_are_refused_before_the_policy_is_loaded(options, words):
    with pytest.raises(LipctrlError, match=words):
        certify("no such folder", "Pendulum-v1", **options)


def test_a_box_of_another_plant_is_refused_before_the_theorems_run():
    stages = []
    policy = Network([Affine([[0.0, -20.0, -4.0]])])
    with pytest.raises(PlantError, match="3 numbers, but Pendulum-v1 has 2 states"):
        certify(policy, "Pendulum-v1", box=([-1.0] * 3, [1.0] * 3), progress=stages.append)
    assert not any("LipSDP" in stage for stage in stages)
