"""The search for a large quadratic Lyapunov function of the nonlinear loop, by samples and counterexamples.

Repeat: choose the shape whose largest level set without a sampled violation has the greatest volume, prove it by branch
and bound, add the violations that this finds to the samples, and let what is proved be the next inner set. A margin
(V must fall by the factor 1 - eps on the samples) keeps the branch and bound short. It proves nothing itself.
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from lipctrl.proofs.closed_loop import ClosedLoop
from lipctrl.proofs.decrease import prove_decrease
from lipctrl.proofs.ellipsoid import Ellipsoid

Array = NDArray[np.float64]


def find_ellipsoids(
    loop: ClosedLoop,
    core: Ellipsoid,
    *,
    steps: int = 1,
    rounds: int = 10,
    deadline: float = np.inf,
    margin: float = 4e-3,
    seed: int = 0,
) -> list[Ellipsoid]:
    """A chain of proved ellipsoids, each with the one before (first: the core) as its inner set."""
    chain: list[Ellipsoid] = []
    inner = core
    rng = np.random.default_rng(seed)
    extra = np.zeros((0, loop.n))
    for _ in range(rounds):
        if time.perf_counter() > deadline:
            break
        x = np.vstack([_samples(rng, inner), extra])
        candidate = _best_shape(loop, inner, x, steps, margin, rng)
        if candidate is None:
            break
        answer = prove_decrease(loop, candidate, inner, steps, deadline=deadline)
        extra = np.vstack([extra, *answer.violations])[-3000:]
        if answer.proved is not None and answer.proved.volume > 1.03 * inner.volume:
            growth = answer.proved.volume / inner.volume
            inner = answer.proved
            chain.append(inner)
            if growth < 1.15:
                break
        else:
            margin *= 1.5 if answer.violations else 2.0
            if margin > 0.1:
                break
    return chain


def _samples(rng: np.random.Generator, inner: Ellipsoid, count: int = 2500) -> Array:
    """States around the inner set: radii from just inside it to forty times as far, denser near it."""
    n = len(inner.center)
    direction = rng.standard_normal((count, n))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    far = np.exp(rng.uniform(np.log(0.98), np.log(40.0), count))
    near = rng.uniform(0.98, 3.0, count)
    radius = inner.radius * np.where(rng.random(count) < 0.6, far, near)
    return np.asarray(inner.center + (direction * radius[:, None]) @ np.linalg.inv(inner.T).T)


def _best_shape(
    loop: ClosedLoop, inner: Ellipsoid, x: Array, steps: int, margin: float, rng: np.random.Generator
) -> Ellipsoid | None:
    """An evolution strategy over triangular T of determinant 1, in the coordinates of the inner set."""
    after = np.concatenate(loop.samples(x, steps))
    x = np.tile(x, (len(after) // len(x), 1))
    before, after = (x - inner.center) @ inner.T.T, (after - inner.center) @ inner.T.T
    outside = np.sum(before**2, axis=1) > inner.radius**2
    before, after = before[outside], after[outside]
    usable = np.all(np.isfinite(after), axis=1)
    before, after = before[usable], after[usable]
    n = len(inner.center)
    lower = np.tril_indices(n)

    def matrices(p: Array) -> Array:
        T = np.zeros((len(p), n, n))
        T[:, lower[0], lower[1]] = p
        diagonal = np.arange(n)
        logs = T[:, diagonal, diagonal]
        T[:, diagonal, diagonal] = np.exp(logs - logs.mean(axis=1, keepdims=True))
        return T

    # V(x) = |T x|^2 = sum of P_ij x_i x_j, as a product of matrices
    pairs = np.triu_indices(n)
    doubled = np.where(pairs[0] == pairs[1], 1.0, 2.0)
    old_products, new_products = ((x[:, pairs[0]] * x[:, pairs[1]] * doubled).T for x in (before, after))
    reach = float(np.max(np.sum(before**2, axis=1)))

    def level(p: Array) -> Array:
        T = matrices(p)
        P = (np.swapaxes(T, 1, 2) @ T)[:, pairs[0], pairs[1]]
        old, new = P @ old_products, P @ new_products
        return np.minimum(np.where(new >= (1.0 - margin) * old, old, np.inf).min(axis=1), reach)

    mean, sigma, best = np.zeros(lower[0].size), 0.6, (-np.inf, np.zeros(lower[0].size))
    for _ in range(60):
        trial = mean + sigma * rng.standard_normal((24, mean.size))
        trial[0] = best[1]
        score = level(trial)
        order = np.argsort(-score)
        if score[order[0]] > best[0]:
            best = (float(score[order[0]]), trial[order[0]])
        mean = trial[order[:6]].mean(axis=0)
        sigma *= 0.95
    if not best[0] > 0:
        return None
    T = matrices(best[1][None])[0] @ inner.T
    return Ellipsoid(inner.center, T, float(np.sqrt(0.985 * best[0])))
