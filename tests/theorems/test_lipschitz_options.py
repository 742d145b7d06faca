"""Gap, limits, warm starts and batches of `lipschitz`: always proved, never worse than the product of norms."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import lipctrl
from lipctrl.errors import LipctrlError
from lipctrl.lmi.solvers import solve
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.proofs.certificate import write_certificate
from lipctrl.proofs.checking import check
from lipctrl.results import Bound, Trust
from lipctrl.theorems import batch
from lipctrl.theorems.lipschitz import conclude, state, statement_bytes
from lipctrl.theorems.rows import certificate_with_head
from tests.networks_for_tests import random_network

NETWORK = random_network((3, 14, 12, 2))


def orthogonal(depth: int = 3, n: int = 4) -> Network:
    """Nothing is better than the product of norms here."""
    rng, layers = np.random.default_rng(0), []
    for _ in range(depth):
        layers += [Affine(np.linalg.qr(rng.standard_normal((n, n)))[0]), Elementwise("relu", n)]
    return Network([*layers, Affine(np.eye(n))])


def accepted(bound: Bound, folder: Path) -> bool:
    certificate = certificate_with_head(bound.certificate, {"name": "network"}, bound.words)
    return check(write_certificate(certificate, folder / "bound.json")).accepted


@pytest.mark.parametrize("gap", [1e-2, 1e-4, 1e-6])
def test_the_gap_is_met_and_not_by_much(gap):
    bound = lipctrl.lipschitz(NETWORK, gap=gap)
    assert bound.status == "optimal"
    assert 0 < 1 - (bound.sdp_lower / bound.upper) ** 2 <= 1.01 * gap
    assert bound.iterations < lipctrl.lipschitz(NETWORK, gap=1e-3 * gap).iterations


@pytest.mark.parametrize("solver", ["low_rank", "barrier", "clarabel", "scs"])
@pytest.mark.parametrize("network", [NETWORK, random_network((3, 30, 2)), orthogonal()])
def test_without_time_the_bound_is_proved_and_not_above_the_product(solver, network, tmp_path):
    bound = lipctrl.lipschitz(network, "neuron", solver=solver, time_limit=0.0)
    assert bound.trust is Trust.PROVED
    assert bound.lower <= bound.upper <= bound.product * (1 + 1e-9)
    assert bound.sdp_lower is None or 0 <= bound.sdp_lower <= bound.upper * (1 + 1e-9)
    assert bound.status in ("optimal", "feasible", "inaccurate") or "product" in bound.note
    if bound.certificate is not None:
        assert accepted(bound, tmp_path)


def test_without_memory_the_product_is_returned_and_said_to_be():
    bound = lipctrl.lipschitz(NETWORK, memory_limit=0)
    assert bound.method == "product" and bound.upper == bound.product
    assert "MB" in bound.note and "MB" in str(bound)
    assert "inequality alone" in bound.note
    little = lipctrl.lipschitz(NETWORK, memory_limit=3e5)
    assert little.solver == "low_rank" and little.status == "optimal" and little.upper < little.product
    short = lipctrl.lipschitz(NETWORK, solver="barrier", memory_limit=3e5)
    assert short.method == "product" and "interior-point" in short.note
    assert lipctrl.lipschitz(NETWORK, memory_limit=1e9).note == ""


@pytest.mark.parametrize("sizes", [(10, 90, 90, 90, 5), (10, *[60] * 12, 5), (5, 300, 20, 300, 2)])
def test_stating_and_proving_take_no_more_memory_than_is_counted(sizes):
    network = random_network(sizes)
    statement = state(network)
    values = solve(statement.lmi, time_limit=0.0).values
    for run in (lambda: state(network), lambda: conclude(statement, values)):
        tracemalloc.start()
        run()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak <= statement_bytes(network.n_in, statement.bounds)


def test_a_warm_start_is_proved_as_tight_and_what_was_not_taken_is_said(tmp_path):
    first = lipctrl.lipschitz(NETWORK)
    again = lipctrl.lipschitz(NETWORK, warm=first)
    assert again.note == "" and again.iterations <= 0.6 * first.iterations
    assert again.upper == pytest.approx(first.upper, rel=1e-7)
    assert accepted(again, tmp_path)
    other = lipctrl.lipschitz(random_network((3, 30, 12, 2)), warm=first)
    assert "cold (the warm start has layers of (3, 14, 12), not (3, 30, 12))" in other.note
    without = lipctrl.lipschitz(NETWORK, warm=lipctrl.lipschitz(NETWORK, "product"))
    assert without.iterations == first.iterations and "cold" in without.note


@pytest.mark.parametrize("workers", [1, 2])
def test_a_batch_gives_what_a_loop_gives_and_loses_nothing_to_errors(workers):
    good = [random_network((3, 8, 8, 1), "tanh", seed) for seed in range(6)]
    wrong = random_network((2, 8, 8, 1))
    region = ([-1, -1, -1], [1, 1, 1])
    results = lipctrl.lipschitz_batch([*good[:3], wrong, None, *good[3:]], workers=workers, region=region)
    assert len(results) == 8
    assert isinstance(results[3], LipctrlError) and "region" in str(results[3])
    assert isinstance(results[4], LipctrlError) and "policy" in str(results[4])
    for network, bound in zip(good, [*results[:3], *results[5:]], strict=True):
        assert isinstance(bound, Bound) and bound.trust is Trust.PROVED
        assert bound.upper == pytest.approx(lipctrl.lipschitz(network, region=region).upper, rel=2e-7)
    assert lipctrl.lipschitz_batch([]) == []
    with pytest.raises(LipctrlError, match="workers"):
        lipctrl.lipschitz_batch(good, workers=0)


def test_a_process_that_dies_leaves_an_error(monkeypatch):
    monkeypatch.setattr(batch, "_in_turn", _die)
    results = batch.lipschitz_batch([NETWORK] * 3, workers=2)
    assert len(results) == 3 and all(isinstance(result, LipctrlError) for result in results)


def _die(networks, options):
    os._exit(1)


@pytest.mark.parametrize(
    "call",
    [
        lambda: lipctrl.lipschitz(3),
        lambda: lipctrl.lipschitz(NETWORK, warm=3),
        lambda: lipctrl.lipschitz(NETWORK, time_limit=True),
        lambda: lipctrl.lipschitz(NETWORK, gap=np.nan),
        lambda: lipctrl.lipschitz_batch(NETWORK),
        lambda: lipctrl.lipschitz_batch("policies/pendulum-ppo"),
        lambda: lipctrl.lipschitz_batch([NETWORK], tolerance=1.0),
    ],
)
def test_what_cannot_be_used_is_refused_at_once_and_in_words(call):
    with pytest.raises(LipctrlError) as refused:
        call()
    assert refused.value.advice


def test_paths_and_numbers_of_numpy_are_taken():
    here = Path(__file__).resolve().parents[2] / "policies" / "pendulum-early"
    assert lipctrl.lipschitz(str(here)).upper == lipctrl.lipschitz(lipctrl.load_policy(here)).upper
    assert lipctrl.lipschitz(NETWORK, time_limit=np.float32(60), memory_limit=np.int64(10**9)).status == "optimal"


def test_rounding_does_not_lift_the_bound_above_the_product():
    """One neuron per layer: LipSDP gives the product of norms, 4."""
    bound = lipctrl.lipschitz(Network([Affine([[2.0]]), Elementwise("tanh", 1), Affine([[2.0]])]))
    assert bound.lower <= 4.0 <= bound.upper <= bound.product <= 4.0 * (1 + 1e-9)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", [1e12, 1e100])
@pytest.mark.parametrize("method", ["neuron", "layer"])
def test_weights_beyond_the_solver_give_the_product_without_a_traceback(scale, method):
    rng, layers = np.random.default_rng(0), []
    for _ in range(4):
        layers += [Affine(scale * rng.standard_normal((4, 4))), Elementwise("tanh", 4)]
    bound = lipctrl.lipschitz(Network([*layers, Affine(np.ones((1, 4)))]), method)
    assert bound.trust is Trust.PROVED
    assert bound.lower <= bound.upper <= bound.product
