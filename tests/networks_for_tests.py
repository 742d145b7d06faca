"""Networks that several tests use."""

from __future__ import annotations

import numpy as np

from lipctrl.networks.network import Affine, Elementwise, Network


def random_network(sizes: tuple[int, ...], kind: str = "relu", seed: int = 0) -> Network:
    """The random networks of the published table: He-scaled normal weights, biases 0.1 N(0, 1)."""
    rng = np.random.default_rng(seed)
    layers: list[Affine | Elementwise] = []
    for k, (n_in, n_out) in enumerate(zip(sizes, sizes[1:], strict=False)):
        W = rng.standard_normal((n_out, n_in)) * np.sqrt(2 / n_in)
        layers.append(Affine(W, 0.1 * rng.standard_normal(n_out)))
        if k < len(sizes) - 2:
            layers.append(Elementwise(kind, n_out))
    return Network(layers)


def linear_feedback(K: np.ndarray, kind: str = "tanh") -> Network:
    """u = phi(K y) with one neuron per action."""
    K = np.atleast_2d(np.asarray(K, dtype=float))
    return Network([Affine(K), Elementwise(kind, len(K))])
