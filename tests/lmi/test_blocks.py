"""Selectors are the matrices that they stand for, radii included."""

from __future__ import annotations

import numpy as np
import pytest

from lipctrl.intervals.ball import Ball
from lipctrl.lmi.blocks import Selector, SymmetricBlocks, dense, premultiplied, rows_scaled, transposed_product


def selector(rng: np.random.Generator, rows: int, columns: int, exact: bool) -> Selector:
    """Some rows and columns are empty."""
    k = int(rng.integers(1, min(rows, columns) + 1))
    values = Ball(rng.integers(-3, 4, k).astype(float), None if exact else 0.125 + 0.125 * rng.integers(0, 3, k))
    places = np.sort(rng.permutation(rows)[:k]), rng.permutation(columns)[:k]
    return Selector((rows, columns), *places, values)


def ball(rng: np.random.Generator, *shape: int) -> Ball:
    return Ball(rng.integers(-3, 4, shape).astype(float), 0.125 * rng.integers(0, 3, shape) * (rng.random() < 0.7))


def alike(found: Ball, expected: Ball) -> bool:
    near = np.allclose(found.radius, expected.radius, rtol=1e-12, atol=1e-12)
    return found.shape == expected.shape and np.array_equal(found.mid, expected.mid) and near


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("exact", [True, False])
def test_what_is_done_with_them_is_done_with_the_matrix(seed: int, exact: bool) -> None:
    rng = np.random.default_rng(seed)
    S, other = selector(rng, 4, 3, exact), selector(rng, 4, 2, seed % 3 == 0)
    mid, rad = np.zeros((4, 3)), np.zeros((4, 3))
    for row, column, m, r in zip(S.rows, S.columns, S.values.mid, S.values.radius, strict=True):
        mid[row, column], rad[row, column] = m, r
    assert np.array_equal(S.ball.mid, mid) and np.array_equal(S.mid, mid) and np.array_equal(S.ball.radius, rad)
    assert alike((-S).ball, -S.ball) and dense(S).shape == (4, 3)
    for index in ([0, 1, 2, 3], [3, 0], [2], [1, 3, 0]):
        assert alike(S[np.array(index)].ball, Ball(mid[index], rad[index])), index
    scale, M, D = rng.integers(-3, 4, 4).astype(float), ball(rng, 2, 4), ball(rng, 4, 2)
    assert alike(dense(rows_scaled(S, scale)), S.ball * Ball.exact(scale[:, None]))
    assert alike(premultiplied(M, S), M @ S.ball)
    assert alike(transposed_product(S, other), S.ball.T @ other.ball)
    assert alike(transposed_product(S, D), S.ball.T @ D) and alike(transposed_product(D, S), D.T @ S.ball)
    assert alike(transposed_product(D, M.T), D.T @ M.T)


def test_identities_and_what_is_none() -> None:
    assert Selector.identity(3).is_identity and np.array_equal(Selector.identity(3).mid, np.eye(3))
    assert np.array_equal(Selector.identity(3, np.array([2, 0])).mid, np.eye(3)[[2, 0]])
    assert np.array_equal(Selector.placing(np.array([2, 0]), 3).mid, np.eye(3)[:, [2, 0]])
    ones, numbers = Ball.exact(np.ones(3)), np.arange(3)
    for none in (
        Selector((3, 4), numbers, numbers, ones),
        Selector((4, 3), numbers, numbers, ones),
        Selector((3, 3), numbers, numbers[::-1], ones),
        Selector((3, 3), numbers[:2], numbers[:2], Ball.exact(np.ones(2))),
        Selector((3, 3), numbers, numbers, Ball.exact(np.array([1.0, 2.0, 1.0]))),
        Selector((3, 3), numbers, numbers, Ball(np.ones(3), 0.5)),
        -Selector.identity(3),
    ):
        assert not none.is_identity


def test_symmetric_blocks_as_one_matrix() -> None:
    """[1 2 .; 2 3 4; . 4 5] with radii in some blocks; the rows and columns of some."""
    parts = {(0, 0): 1.0, (0, 1): 2.0, (1, 1): 3.0, (1, 2): 4.0, (2, 2): 5.0}
    radius = {(0, 1): 0.5, (2, 2): 0.25}
    blocks = {
        key: Ball(np.full((1, 1), v), np.full((1, 1), radius[key]) if key in radius else None)
        for key, v in parts.items()
    }
    M = SymmetricBlocks((1, 1, 1), blocks)
    mid, rad = np.array([[1.0, 2, 0], [2, 3, 4], [0, 4, 5]]), np.array([[0, 0.5, 0], [0.5, 0, 0], [0, 0, 0.25]])
    for index in (None, [0, 1], [1, 2], [0, 2], [2]):
        chosen = np.ix_(*2 * [range(3) if index is None else index])
        assert alike(M.dense(index), Ball(mid[chosen], rad[chosen]))
    exact = SymmetricBlocks((1, 1, 1), {key: Ball.exact(block.mid) for key, block in blocks.items()}).dense()
    assert exact.rad is None and np.array_equal(exact.mid, mid)
