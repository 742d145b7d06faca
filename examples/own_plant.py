"""A plant from python-control and a network of one's own: small gain with LipSDP where the product of norms fails.

The network is tanh in two layers whose steep directions do not line up, which the product of norms cannot see.
"""

from __future__ import annotations

import control
import numpy as np

import lipctrl
from lipctrl.networks.network import Affine, Elementwise, Network

plant = lipctrl.Plant.from_control(
    control.ss([[0.6, 0.3], [-0.3, 0.6]], [[0.0], [0.4]], np.eye(2), 0, 0.1, name="rotating"),
)
network = Network(
    [
        Affine([[0.9, 0.0], [0.0, 0.1]]),
        Elementwise("tanh", 2),
        Affine([[0.1, 0.0], [0.0, 0.9]]),
        Elementwise("tanh", 2),
        Affine([[-1.0, -1.0]]),
    ]
)

bound = lipctrl.lipschitz(network)
print(bound, end="\n\n")
report = lipctrl.certify(network, plant)
print(report)
