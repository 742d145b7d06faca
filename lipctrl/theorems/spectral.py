"""The product of spectral norms and largest slopes: the bound everybody has, and the yardstick for LipSDP."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lipctrl.networks.enclosure import LayerBounds
from lipctrl.networks.network import Network
from lipctrl.proofs.definiteness import spectral_norm_upper


def product_bound(network: Network, bounds: Sequence[LayerBounds]) -> float:
    """Proved upper bound prod_k |W_k|_2 * prod_k max_i max(|alpha_i|, |beta_i|) of the Lipschitz constant."""
    affine, _ = network.alternating()
    bound = 1.0
    factors = [spectral_norm_upper(layer.W) for layer in affine]
    factors += [float(np.max(np.maximum(np.abs(b.slope_lower), np.abs(b.slope_upper)))) for b in bounds]
    for factor in factors:
        bound = float(np.nextafter(bound * factor, np.inf))
    return np.inf if np.isnan(bound) else bound  # 0 times what overflows
