"""Large inequalities proved by small cliques: against the dense proof and against rational numbers."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipctrl.errors import LipctrlError
from lipctrl.intervals.ball import Ball
from lipctrl.lmi.blocks import SymmetricBlocks
from lipctrl.lmi.feasible import inside
from lipctrl.lmi.solvers import solve
from lipctrl.networks.enclosure import InputSet
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.proofs import chordal
from lipctrl.proofs.chordal import elimination, reduced
from lipctrl.proofs.definiteness import is_positive_definite
from lipctrl.proofs.verify import Pending, holds, prove_but
from lipctrl.theorems import conclusion, lipschitz
from lipctrl.theorems.conclusion import prove_least
from tests.exact import exact_lipsdp, exactly_definite
from tests.networks_for_tests import random_network

seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(autouse=True)
def cliques_of_any_size(monkeypatch):
    monkeypatch.setattr(chordal, "OVERHEAD", 0)


def proved(matrix: SymmetricBlocks) -> bool:
    root = reduced(matrix)
    if root is None:
        return False
    ball = root.dense()
    return is_positive_definite(ball.mid, ball.rad)


def random_graph(rng: np.random.Generator) -> tuple[list[int], list[tuple[int, int]]]:
    """A chain with a few more couplings: sizes of the blocks, and the pairs that are coupled."""
    n = int(rng.integers(2, 7))
    pairs = {(k, k + 1) for k in range(n - 1)}
    pairs |= {(i, j) for i in range(n) for j in range(i + 2, n) if rng.random() < 0.15}
    return [int(k) for k in rng.integers(1, 4, n)], sorted(pairs)


def blocks_of(matrix: np.ndarray, sizes: list[int], pairs: list[tuple[int, int]], rad: float = 0.0) -> SymmetricBlocks:
    starts = np.concatenate([[0], np.cumsum(sizes)])
    parts = [slice(a, b) for a, b in pairwise(starts)]
    keys = [*((k, k) for k in range(len(sizes))), *pairs]
    entries = {(i, j): matrix[parts[i], parts[j]] for i, j in keys}
    balls = {key: Ball(entry, rad * np.abs(entry) if rad else None) for key, entry in entries.items()}
    return SymmetricBlocks(tuple(sizes), balls)


def integer_sum(rng: np.random.Generator, sizes: list[int], pairs: list[tuple[int, int]]) -> np.ndarray:
    """Integers; a sum of Gram matrices on the couplings, so semidefinite, and singular now and then."""
    starts = np.concatenate([[0], np.cumsum(sizes)])
    M = np.zeros((starts[-1], starts[-1]))
    for i, j in pairs:
        index = np.concatenate([np.arange(starts[k], starts[k + 1]) for k in (i, j)])
        rank = int(rng.integers(1, len(index) + 1))
        G = rng.integers(-3, 4, (len(index), rank))
        M[np.ix_(index, index)] += G @ G.T
    return M


@settings(max_examples=200, deadline=None, derandomize=True)
@given(seed=seeds, keep=st.integers(1, 3))
def test_groups_are_an_elimination_of_the_graph(seed, keep):
    """Every block goes once, the root holds the first ones, and whatever is coupled, or becomes so, is in a clique."""
    sizes, pairs = random_graph(np.random.default_rng(seed))
    groups = elimination(sizes, pairs, keep)
    assert [k for group, _ in reversed(groups) for k in group] == list(range(len(sizes)))
    root, boundary = groups[-1]
    assert root.start == 0 and root.stop >= min(keep, len(sizes)) and boundary == []
    left = set(pairs)
    for group, boundary in groups:
        clique = {*group, *boundary}
        assert all(k < group.start for k in boundary)
        assert all({i, j} <= clique for i, j in left if i in group or j in group)
        left = {(i, j) for i, j in left if i not in group and j not in group}
        left |= {(i, j) for i in boundary for j in boundary if i < j}
    assert not left


def test_cliques_of_a_chain_are_neighbouring_layers():
    chain = [(k, k + 1) for k in range(4)]
    assert elimination([30, 80, 80, 80, 80], chain, 1) == [
        (range(4, 5), [3]),
        (range(3, 4), [2]),
        (range(2, 3), [1]),
        (range(0, 2), []),
    ]
    assert elimination([30, 80, 80, 80, 2], chain, 1)[0] == (range(3, 5), [2])  # a small last block goes along
    assert elimination([30, 80, 80, 80, 80], [*chain, (0, 4)], 1)[1] == (range(3, 4), [0, 2])  # a shift fills in


@settings(max_examples=400, deadline=None, derandomize=True)
@given(seed=seeds, digits=st.integers(2, 17), sign=st.sampled_from([-1, 1]))
def test_no_false_proofs_near_singular(seed, digits, sign):
    """Semidefinite integers with a diagonal entry moved by 10^-digits, graded by powers of two."""
    rng = np.random.default_rng(seed)
    sizes, pairs = random_graph(rng)
    M = integer_sum(rng, sizes, pairs)
    k = int(rng.integers(len(M)))
    M[k, k] += sign * 10.0**-digits
    M += np.eye(len(M)) * float(rng.choice([0.0, 0.0, 10.0**-digits, 0.25]))
    scale = np.ldexp(1.0, rng.integers(-20, 20, len(M)))
    M = M * scale[:, None] * scale
    assert not proved(blocks_of(M, sizes, pairs)) or exactly_definite(M)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=seeds)
def test_proves_what_is_clearly_definite_and_with_it_all_of_the_ball(seed):
    rng = np.random.default_rng(seed)
    sizes, pairs = random_graph(rng)
    M = integer_sum(rng, sizes, pairs)
    M += np.eye(len(M)) * 1e-4
    assert proved(blocks_of(M, sizes, pairs))
    blocks = blocks_of(M, sizes, pairs, 1e-5)
    dense = blocks.dense()
    corner = np.triu(np.where(rng.random(M.shape) < 0.5, -1, 1)) * np.triu(dense.radius)
    corner += np.triu(corner, 1).T
    assert not proved(blocks) or exactly_definite(M + corner)


def test_a_radius_counts():
    """[1, r; r, 1] and its like is definite with r = 1 - 1e-3, but not all that is within 2e-3 of it."""
    M = np.eye(6)
    for k in range(0, 6, 2):
        M[k, k + 1] = M[k + 1, k] = 1 - 1e-3
    for order in (list(range(6)), [0, 2, 4, 1, 3, 5]):  # inside blocks, and across
        permuted = M[np.ix_(order, order)]
        pairs = [(0, 1), (1, 2), (0, 2)]
        assert proved(blocks_of(permuted, [2, 2, 2], pairs))
        assert proved(blocks_of(permuted, [2, 2, 2], pairs, 1e-4))
        assert not proved(blocks_of(permuted, [2, 2, 2], pairs, 2e-3))


@pytest.mark.parametrize("bad", range(5))
def test_one_bad_block_is_enough(bad):
    rng = np.random.default_rng(bad)
    sizes, pairs = [2, 3, 3, 3, 2], [(k, k + 1) for k in range(4)]
    M = integer_sum(rng, sizes, pairs) + np.eye(13)
    assert len(elimination(sizes, pairs, 1)) == 4 and proved(blocks_of(M, sizes, pairs))
    place = sum(sizes[:bad])
    rest = np.delete(np.arange(13), place)
    M[place, place] = M[place, rest] @ np.linalg.solve(M[np.ix_(rest, rest)], M[rest, place]) - 1e-6
    assert not proved(blocks_of(M, sizes, pairs))
    M[place, place] = 0.0
    assert not proved(blocks_of(M, sizes, pairs))
    M[place, place] = np.nan
    assert not proved(blocks_of(M, sizes, pairs))


def test_a_share_that_is_too_small_grows(monkeypatch):
    """What a clique needs is estimated; a wrong estimate costs a trial, not the proof."""
    M = np.kron(np.eye(3), [[1e8 + 100, 1e4], [1e4, 1.0]])
    M[1, 2] = M[2, 1] = M[3, 4] = M[4, 3] = 0.25e-2
    blocks = blocks_of(M, [2, 2, 2], [(0, 1), (1, 2)])
    assert exactly_definite(M) and proved(blocks)
    monkeypatch.setattr(chordal, "_squared_norm", lambda *_: -0.999999)
    assert proved(blocks)


def test_a_block_without_diagonal_is_no_definite_matrix():
    sizes, pairs = [2, 2, 2, 2], [(0, 1), (1, 2), (2, 3)]
    for k in range(4):
        whole = blocks_of(4 * np.eye(8) + 0.1, sizes, pairs)
        assert proved(whole)
        assert not proved(replace(whole, blocks={key: ball for key, ball in whole.blocks.items() if key != (k, k)}))


def chain_of(rng: np.random.Generator, widths: tuple[int, ...]) -> list[np.ndarray]:
    return [rng.standard_normal((m, n)) * np.exp(rng.normal(0, 0.7, (m, 1))) for n, m in pairwise(widths)]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=seeds, digits=st.integers(4, 18))
def test_no_false_proofs_of_deep_networks(seed, digits):
    """rho a hair above or below the least one for random multipliers, against rational numbers."""
    rng = np.random.default_rng(seed)
    weights = chain_of(rng, (2, 3, 3, 3, 3, 2)[: int(rng.integers(4, 7))])
    layers: list = []
    for W in weights:
        layers += [Affine(W), Elementwise("relu", len(W))]
    lmi = lipschitz.state(Network(layers[:-1])).lmi
    values = {name: np.asarray(value) * np.exp(rng.normal(0, 0.1, len(value))) for name, value in lmi.start.items()}
    pending = prove_but(lmi, values, "rho")
    if pending is None:
        return
    M = pending.remainders[0].constant.mid
    n = weights[0].shape[1]
    least = np.linalg.eigvalsh(M[:n, n:] @ np.linalg.solve(M[n:, n:], M[n:, :n]) - M[:n, :n])[-1]
    rho = float(least * (1 + rng.choice([-1, 1]) * 10.0**-digits))
    claimed = holds(lmi, {**values, "rho": np.array([rho])})
    assert claimed == pending.holds(rho)
    multipliers = [values[f"T{k}"] for k in range(1, len(weights))]
    assert not claimed or exactly_definite(exact_lipsdp(weights, (0.0, 1.0), multipliers, rho))
    assert digits > 8 or claimed == (rho > least)


@pytest.mark.parametrize("kind", ["relu", "gelu", "elu"])
@pytest.mark.parametrize("region", [None, 0.2])
@pytest.mark.parametrize("shifted", [False, True])
def test_agrees_with_the_dense_proof(kind, region, shifted):
    """Slopes of all kinds, neurons that are linear on the region and reach over their layer, a shift."""
    rng = np.random.default_rng(5)
    network = random_network((3, 7, 6, 8, 7, 2), kind)
    inputs = None if region is None else InputSet.from_box(np.zeros(3), np.full(3, region))
    lmi = lipschitz.state(network, inputs, shift=rng.standard_normal((2, 3)) if shifted else None).lmi
    inequality = lmi.inequalities[0]
    assert len(elimination(inequality.sizes, inequality.evaluate_blocks(lmi.start).blocks, 1)) > 2
    values = prove_least(lmi, lmi.start, "rho")
    assert values is not None
    for factor in (0.5, 1 - 1e-6, 1.0, 1 + 1e-6, 2.0):
        trial = {**values, "rho": values["rho"] * factor}
        M = inequality.evaluate(trial)
        assert holds(lmi, trial) == is_positive_definite(M.mid, M.radius) == (factor >= 1)


def test_the_cost_to_the_bound_is_small_at_a_solution_without_slack(monkeypatch):
    """Of a deep network: what the cliques need would cost per cents, if the multipliers did not move inside."""
    lmi = lipschitz.state(random_network((4, *([24] * 20), 1))).lmi
    solution = solve(lmi, "barrier", gap=1e-10)
    proved = prove_least(lmi, solution.values, "rho")
    assert proved is not None and proved["rho"][0] <= solution.objective * (1 + 3e-8)
    assert holds(lmi, proved)
    monkeypatch.setattr(conclusion, "SLACKS", (0.0,))
    assert prove_least(lmi, solution.values, "rho")["rho"][0] > proved["rho"][0] * (1 + 1e-6)


@pytest.mark.parametrize("sizes", [(17, 128, 128, 6), (3, 20, 20, 1), (2, 60, 2), (3, *[12] * 6, 2), (30, 8, 8, 1)])
def test_the_first_number_tried_is_proved_and_hardly_more_than_the_least(sizes, monkeypatch):
    """The least rho is that of the matrix from which the proof has taken its share."""
    lmi = lipschitz.state(random_network(sizes)).lmi
    tried = []
    holds_at = Pending.holds
    monkeypatch.setattr(Pending, "holds", lambda self, s: tried.append(s) or holds_at(self, s))
    proved = prove_least(lmi, lmi.start, "rho")
    assert tried == [proved["rho"][0]]
    M = lmi.inequalities[0].evaluate({**lmi.start, "rho": np.zeros(1)}).mid
    n = sizes[0]
    least = np.linalg.eigvalsh(M[:n, n:] @ np.linalg.solve(M[n:, n:], M[n:, :n]) - M[:n, :n])[-1]
    assert least < proved["rho"][0] < least * (1 + 1e-10)


def schur_complements(matrix: np.ndarray, sizes: tuple[int, ...]) -> list[np.ndarray]:
    """D_k = M_kk - M_k,k+1 D_k+1^-1 M_k+1,k, from the last block to the first."""
    starts = np.concatenate([[0], np.cumsum(sizes)])
    slices = [slice(a, b) for a, b in pairwise(starts)]
    out = [matrix[slices[-1], slices[-1]]]
    for here, after in reversed(list(pairwise(slices))):
        out.append(matrix[here, here] - matrix[here, after] @ np.linalg.solve(out[-1], matrix[after, here]))
    return out


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=seeds, share=st.sampled_from([1e-4, 1e-2, 1.0]), kind=st.sampled_from(["relu", "gelu", "elu"]))
def test_moved_inside_every_layer_has_slack(seed, share, kind):
    """D_k grows at least as the theorem says, T being twice the multipliers, at the cost of a factor (1 + share)^l."""
    lmi = lipschitz.state(random_network((3, 5, 6, 4, 2), kind, seed % 2**31)).lmi
    inequality = lmi.inequalities[0]
    values = dict(solve(lmi, gap=1e-4).values)
    moved = inside(inequality, values, share)
    moved["rho"] = values["rho"] * (1 + share) ** 3
    before, after = (schur_complements(inequality.evaluate(v).mid, inequality.sizes) for v in (values, moved))
    for k, (D, larger) in enumerate(zip(before, after, strict=True)):
        slack = 2 * share * values[f"T{3 - k}"] if k < 3 else 0 * values["rho"] * np.ones(3)
        gain = larger - (1 + share) ** min(k, 3) * (D + np.diag(slack))
        assert np.linalg.eigvalsh(gain)[0] >= -1e-9 * np.abs(larger).max()


def test_bounds_of_variables_count():
    lmi = lipschitz.state(random_network((3, 7, 6, 8, 7, 2))).lmi
    values = dict(lmi.start)
    assert holds(lmi, values) and prove_but(lmi, values, "rho") is not None
    for name, wrong in (("T2", -1e-300), ("T2", np.nan), ("T4", np.inf), ("rho", np.nan), ("rho", -1.0)):
        bad = values[name].copy()
        bad[0] = wrong
        assert not holds(lmi, {**values, name: bad})
    pending = prove_but(lmi, {name: v for name, v in values.items() if name != "rho"}, "rho")
    assert pending.holds(float(values["rho"][0]))
    assert not any(pending.holds(s) for s in (np.nan, np.inf, -np.inf, 0.0, -1.0))


def test_only_a_scalar_of_given_matrices_can_stay_open():
    lmi = lipschitz.state(random_network((3, 7, 2))).lmi
    with pytest.raises(LipctrlError, match="T1 multiplies"):
        prove_but(lmi, lmi.start, "T1")
