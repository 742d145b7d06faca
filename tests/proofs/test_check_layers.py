"""The independent checker on wide and deep networks: the last layer eliminated, rows without leading zeros."""

from __future__ import annotations

import copy
import json
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipctrl.proofs import check as checker
from lipctrl.proofs.check import check
from tests.exact import exactly_definite

sys.path.insert(0, str(Path(__file__).parent))
import make_certificates as make

seeds = st.integers(0, 2**32 - 1)


def verdict(certificate: dict[str, Any], folder: Path) -> checker.Result:
    path = folder / "certificate.json"
    path.write_text(json.dumps(certificate))
    return check(path)


def certificate_of(
    layers: list[make.Layer],
    t: list[list[float]],
    rho: float,
    K: np.ndarray | None = None,
    D_u: np.ndarray | None = None,
    D_y: np.ndarray | None = None,
) -> dict[str, Any]:
    fields = {"rho": rho, "upper": 2 * np.sqrt(rho), "shift": K, "output_weight": D_u, "input_weight": D_y}
    return make.certificate(
        "lipschitz",
        network=make.network_dict(layers),
        input_set=None,
        bounds=make.hexed_bounds(make.global_bounds(layers)),
        multipliers=make.hexed(t),
        **{name: make.hexed(value) for name, value in fields.items()},
    )


def dyadic(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(-6, 7, shape) / 4


@settings(max_examples=150, deadline=None, derandomize=True)
@given(seed=seeds, digits=st.integers(2, 14), depth=st.integers(1, 3))
def test_accepts_exactly_what_is_true(tmp_path_factory, seed, digits, depth):
    """rho a hair above or below the least, by rational numbers: slopes of all signs, linear neurons, shift, weights."""
    rng = np.random.default_rng(seed)
    sizes = [int(rng.integers(1, 4)), *(int(k) for k in rng.integers(2, 5, depth)), 1]
    layers: list[make.Layer] = []
    for n_in, n_out in zip(sizes, sizes[1:], strict=False):
        slopes = rng.choice([0.0, 0.25, -0.5, 1.0], n_out)  # below zero; 1 makes the neuron linear
        layers += [(dyadic(rng, n_out, n_in), dyadic(rng, n_out)), ("leaky_relu", {"negative_slope": slopes})]
    layers.pop()
    n, bounds = sizes[0], make.global_bounds(layers)
    shifted, weighted = rng.random(2) < 0.5
    K = dyadic(rng, 1, n) if shifted else None
    D_u, D_y = (np.array([0.75]), rng.integers(1, 5, n) / 2) if weighted else (None, None)
    a, b, z = make.neurons(layers, bounds, np.eye(n))
    z = z - (0 if K is None else np.hstack([K, np.zeros((1, z.shape[1] - n))]))
    z = z * (1 if D_u is None else D_u)
    supply = np.zeros(z.shape[1])
    supply[:n] = 1 if D_y is None else D_y**2
    M = -z.T @ z  # all of these are exact in float64
    t = np.zeros(len(a))
    for i in reversed(range(len(a))):
        reach = M[n + i, n + i] + sum(t[k] * 2 * a[k][n + i] * b[k][n + i] for k in range(i + 1, len(a)))
        t[i] = 2.0 ** np.ceil(np.log2(max(-2 * reach, 0.5))) * rng.integers(1, 4)
    for left, right, weight in zip(a, b, t, strict=True):
        M = M + weight * (np.outer(left, right) + np.outer(right, left))
    try:
        np.linalg.cholesky(M[n:, n:])
        inner = M[:n, n:] @ np.linalg.solve(M[n:, n:], M[n:, :n]) - M[:n, :n]
        least = np.linalg.eigvalsh(inner / np.sqrt(np.outer(supply[:n], supply[:n])))[-1]
    except np.linalg.LinAlgError:
        least = 1.0
    rho = float(max(least, 2.0**-10) * (1 + rng.choice([-1, 1]) * 10.0**-digits))
    certificate = certificate_of(layers, make.per_neuron(bounds, t), rho, K, D_u, D_y)
    truth = [[Fraction(x) for x in row] for row in M]
    for i in range(n):
        truth[i][i] += Fraction(rho) * Fraction(supply[i])
    result = verdict(certificate, tmp_path_factory.mktemp("c"))
    assert result.accepted == exactly_definite(truth), result.reason


def one_layer(rho: float) -> dict[str, Any]:
    """t = 3, for which 1/t rounds, and K = [rho - 3, 1.5; 1.5, 1/6]: singular exactly for rho = 16.5."""
    layers: list[make.Layer] = [(np.array([[1.0], [1.0]]), np.zeros(2)), ("relu", {}), (np.array([[1.0, 2.0]]), [0.0])]
    return certificate_of(layers, [[3.0, 3.0]], rho)


def test_inverses_are_rounded_to_the_safe_side(tmp_path: Path) -> None:
    assert not verdict(one_layer(16.5), tmp_path).accepted
    assert not verdict(one_layer(np.nextafter(16.5, 0)), tmp_path).accepted
    assert verdict(one_layer(np.nextafter(16.5, 17)), tmp_path).accepted


@settings(max_examples=300, deadline=None, derandomize=True)
@given(t=st.floats(5e-324, 1.7e308))
def test_inverse_upper(t: float) -> None:
    inverse = checker._inverse_upper(Fraction(t))
    assert 1 <= inverse * Fraction(t) < 1 + Fraction(1, 2**78)
    assert inverse.denominator & (inverse.denominator - 1) == 0


def test_a_multiplier_of_the_last_layer_must_be_positive(tmp_path: Path) -> None:
    """Without output weights the neuron adds nothing to K, but M has a zero on its diagonal."""
    layers: list[make.Layer] = [(np.ones((3, 1)), np.zeros(3)), ("relu", {}), (np.array([[1.0, 1.0, 0.0]]), [0.0])]
    assert verdict(certificate_of(layers, [[4.0, 4.0, 2.0**-30]], 50.0), tmp_path).accepted
    result = verdict(certificate_of(layers, [[4.0, 4.0, 0.0]], 50.0), tmp_path)
    assert not result.accepted and "layer 1: a multiplier is not positive" in result.reason


def test_behind_the_last_layer_all_may_be_constant(tmp_path: Path) -> None:
    """hardtanh with low = high after it: z = 0, whatever the hidden layer does."""
    flat = {"low": np.zeros(2), "high": np.zeros(2)}
    layers: list[make.Layer] = [
        (np.ones((3, 1)), np.zeros(3)), ("relu", {}), (np.ones((2, 3)), np.zeros(2)), ("hardtanh", flat),
        (np.ones((1, 2)), np.zeros(1)),
    ]  # fmt: skip
    certificate = certificate_of(layers, [[1.0] * 3, [0.0, 0.0]], 2.0)
    certificate["bounds"][1]["slope"] = make.hexed([[0.0, 0.0]] * 2)
    assert verdict(certificate, tmp_path).accepted
    certificate["rho"] = make.hexed(1.4)  # N(1) = 2 |w|^2 - 2 (w1 + w2 + w3) d needs rho > 3/2
    assert not verdict(certificate, tmp_path).accepted


@pytest.mark.parametrize("sizes", [(10, 1000, 10), (4, *([30] * 40), 1)])
def test_beyond_order_1000(sizes: tuple[int, ...], tmp_path: Path) -> None:
    assert sum(sizes[:-1]) > 1000
    certificate = make.large_lipschitz(np.random.default_rng(0), sizes)
    result = verdict(certificate, tmp_path)
    assert result.accepted, result.reason
    lower = copy.deepcopy(certificate)
    lower["rho"] = make.hexed(0.5 * make.unhexed(certificate["rho"]))
    lower["upper"] = make.hexed(np.sqrt(make.unhexed(certificate["rho"])))
    assert not verdict(lower, tmp_path).accepted


def test_too_much_work_is_said_before_it_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = make.large_lipschitz(np.random.default_rng(0), (2, 8, 8, 1))
    assert verdict(certificate, tmp_path).accepted
    built: list[int] = []
    monkeypatch.setattr(checker, "reduce_network", lambda *_: built.append(1))
    monkeypatch.setattr(checker, "MAX_WORK", 1000)
    result = verdict(certificate, tmp_path)
    assert "order 18" in result.reason and "this checker stops at" in result.reason and not built


def test_what_order_1000_takes_is_allowed() -> None:
    """Any chain of layers of order 1000, and a dense matrix of it."""
    rng = np.random.default_rng(0)
    for _ in range(300):
        parts = rng.random(int(rng.integers(1, 30))) ** 4
        sizes = [int(k) for k in np.floor(999 * parts / parts.sum())]
        checker._check_chain(sizes)
        checker._check_chain(sizes, int(rng.integers(1, 20)))
    checker._limit("", 1000, sum(k * k for k in range(1001)))


def test_a_wide_identity_is_refused(tmp_path: Path) -> None:
    n = checker.MAX_IDENTITY + 1
    layers = [{"type": "affine", "W": [["0x1p+0"]] * n, "b": ["0x0p+0"] * n}, {"type": "relu", "n": n}]
    certificate = certificate_of([(np.ones((1, 1)), np.zeros(1)), ("relu", {}), (np.ones((1, 1)), [0.0])], [[1.0]], 2.0)
    certificate["network"] = {"layers": layers}
    assert "identity" in verdict(certificate, tmp_path).reason


@settings(max_examples=300, deadline=None, derandomize=True)
@given(seed=seeds, digits=st.integers(1, 15))
def test_rows_may_start_late(seed: int, digits: int) -> None:
    """A semidefinite matrix with rows of any length, one diagonal entry moved: as rational numbers decide."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 9))
    first = [int(rng.integers(0, i + 1)) for i in range(n)]
    factor = np.array([[int(rng.integers(-3, 4)) * (first[i] <= j <= i) for j in range(n)] for i in range(n)])
    scale = 10**digits
    A = [[scale * int(x) for x in row] for row in factor @ factor.T]
    k = int(rng.integers(n))
    A[k][k] += int(rng.choice([-1, 1]))
    if rng.random() < 0.5:
        for i in range(n):
            A[i][i] += 1
    truth = exactly_definite(A)
    shift = int(rng.integers(-60, 60))
    ragged = [A[i][first[i] : i + 1] for i in range(n)]
    assert checker.positive_definite(ragged, shift) == truth
    assert checker.positive_definite([A[i][: i + 1] for i in range(n)], shift) == truth
