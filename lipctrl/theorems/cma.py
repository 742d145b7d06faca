"""CMA-ES: N. Hansen, "The CMA evolution strategy: a tutorial" (2016), with its default constants."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def cma(
    function: Callable[[Array], Array],
    mean: Array,
    sigma: float,
    rng: np.random.Generator,
    population: int = 20,
    generations: int = 150,
) -> tuple[Array, float]:
    """The best point found, and its value.

    Parameters
    ----------
    function : callable
        Values to maximise, shape (k,), of points, shape (k, p).
    mean : array, shape (p,)
        Where to start.
    sigma : float
        The first step size.
    """
    n, mu = len(mean), population // 2
    w = np.log(mu + 0.5) - np.log(np.arange(1, mu + 1))
    w /= w.sum()
    mu_w = 1.0 / np.sum(w**2)
    cc, cs = (4 + mu_w / n) / (n + 4 + 2 * mu_w / n), (mu_w + 2) / (n + mu_w + 5)
    c1 = 2 / ((n + 1.3) ** 2 + mu_w)
    cmu = min(1 - c1, 2 * (mu_w - 2 + 1 / mu_w) / ((n + 2) ** 2 + mu_w))
    damping = 1 + 2 * max(0.0, np.sqrt((mu_w - 1) / (n + 1)) - 1) + cs
    chi = np.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n))
    C, path, conjugate = np.eye(n), np.zeros(n), np.zeros(n)
    best, top = mean, float(function(mean[None])[0])
    for generation in range(generations):
        squares, B = np.linalg.eigh(C)
        d = np.sqrt(np.maximum(squares, 1e-20))
        y = (rng.standard_normal((population, n)) * d) @ B.T
        value = function(mean + sigma * y)
        order = np.argsort(-value)
        if value[order[0]] > top:
            best, top = mean + sigma * y[order[0]], float(value[order[0]])
        chosen = y[order[:mu]]
        step = w @ chosen
        mean = mean + sigma * step
        conjugate = (1 - cs) * conjugate + np.sqrt(cs * (2 - cs) * mu_w) * (B @ ((B.T @ step) / d))
        length = np.linalg.norm(conjugate) / chi
        h = length / np.sqrt(1 - (1 - cs) ** (2 * (generation + 1))) < 1.4 + 2 / (n + 1)
        path = (1 - cc) * path + h * np.sqrt(cc * (2 - cc) * mu_w) * step
        C = (1 - c1 - cmu) * C + c1 * np.outer(path, path) + cmu * (chosen.T * w) @ chosen
        sigma *= np.exp((cs / damping) * (length - 1))
        if sigma < 1e-3:
            break
    return best, top
