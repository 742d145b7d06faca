"""Ellipsoids at their edges, in exact fractions and by hand."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from lipctrl.intervals.affine import AffineForm
from lipctrl.proofs.ellipsoid import Ellipsoid, ball_cells, smallest

CLOSE = 1 + 1e-9


def ellipsoid(T: Any, radius: float = 1.0, center: Any = None) -> Ellipsoid:
    T = np.asarray(T, dtype=float)
    return Ellipsoid(np.zeros(len(T)) if center is None else np.asarray(center, dtype=float), T, radius)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("scale", [1.0, 2.0**12])
def test_a_point_outside_by_less_than_the_rounding_of_its_image(seed: int, scale: float) -> None:
    """T x cancels to a few roundings of its parts; the radius is a millionth below the exact |T x|."""
    rng = np.random.default_rng(seed)
    a, center = 1 + rng.random(2), rng.uniform(-0.25, 0.25, 2)
    T = np.array([[a[1], -a[0]], [0.0, 0.0]])
    x = center + scale * a * (1 + 2.0**-51 * rng.integers(-4, 5, 2))
    exact = sum(Fraction(float(t)) * (Fraction(float(v)) - Fraction(float(c)))
                for t, v, c in zip(T[0], x, center, strict=True))  # fmt: skip
    outside = ellipsoid(T, float(abs(exact)) * (1 - 1e-6), center)
    assert not outside.contains_boxes(x[None], x[None])[0]
    assert ellipsoid(T, scale * 1e-13, center).contains_boxes(x[None], x[None])[0]


def test_every_corner_counts() -> None:
    """In three states each of the eight corners of a box is the farthest for some center."""
    for signs in np.array(np.meshgrid(*[[-1.0, 1.0]] * 3)).reshape(3, -1).T:
        away = ellipsoid(np.eye(3), 1.0, signs * 0.5)
        lower, upper = np.full((1, 3), -0.06), np.full((1, 3), 0.06)
        assert away.contains_boxes(lower, upper)[0]
        far = -0.08 * signs[None]
        assert not away.contains_boxes(np.minimum(lower, far), np.maximum(upper, far))[0]


@pytest.mark.parametrize(
    ("T", "center", "forms", "exact"),
    [
        ([[1.0]], [0.0], [(1.0, [0.5], 0.25)], 1.75),
        ([[1.0]], [0.0], [(-1.0, [0.5], 0.25)], 1.75),
        ([[2.0]], [3.0], [(1.0, [0.5], 0.25)], 5.5),
        (np.eye(2), [0.0, 0.0], [(3.0, [0.0], 0.0), (0.0, [1.0], 0.0)], np.sqrt(10)),  # a square root, not a sum
        (np.eye(2), [0.0, 0.0], [(0.0, [1.0, 0.0], 0.0), (0.0, [0.0, 1.0], 0.0)], np.sqrt(2)),
        (np.eye(2), [0.0, 0.0], [(0.0, [1.0, 1.0], 0.0), (0.0, [0.0, 0.0], 0.0)], 2.0),
        (np.eye(2), [0.0, 0.0], [(0.0, [1.0, -1.0], 0.0), (0.0, [0.0, 0.0], 0.0)], 2.0),
        (np.eye(2), [0.0, 0.0], [(3.0, [1.0], 0.0), (4.0, [0.0], 0.0)], np.sqrt(25 + 6 + 1)),
        (np.eye(2), [0.0, 0.0], [(3.0, [0.0], 3.0), (4.0, [0.0], 4.0)], 10.0),
        ([[1.0, 1.0], [0.0, 2.0]], [1.0, -1.0], [(1.0, [0.0], 0.0), (1.0, [0.0], 0.0)], np.sqrt(4 + 16)),
    ],
)  # fmt: skip
def test_size_by_hand(T: Any, center: Any, forms: Any, exact: float) -> None:
    """sqrt(|c|^2 + 2 sum |G'c| + sum |G'G|) + |r|, from above and to a billionth."""
    x = tuple(AffineForm(np.array([c]), np.array(g)[:, None], np.array([r])) for c, g, r in forms)
    size = float(ellipsoid(T, 1.0, center).size(x)[0])
    assert exact * (1 - 1e-15) <= size <= exact * CLOSE


def test_size_of_what_is_not_known_is_infinite() -> None:
    for bad in (np.nan, np.inf):
        for form in ((bad, [0.0], 0.0), (0.0, [bad], 0.0), (0.0, [0.0], bad)):
            x = (AffineForm(np.array([form[0]]), np.array(form[1])[:, None], np.array([form[2]])),)
            assert ellipsoid([[1.0]]).size(x)[0] == np.inf


@pytest.mark.parametrize("seed", range(20))
def test_size_where_the_square_cancels(seed: int) -> None:
    """G'c is a rounding error of its parts; |c + G e|^2 at e = +-1 in fractions is not above the bound."""
    rng = np.random.default_rng(seed)
    a = 1 + rng.random(2)
    c, g = a, np.array([a[1], -a[0]]) * (1 + 2.0**-52 * rng.integers(-3, 4, 2))
    x = tuple(AffineForm(np.array([c[i]]), np.array([[g[i]]]), np.zeros(1)) for i in range(2))
    size = Fraction(float(ellipsoid(np.eye(2)).size(x)[0]))
    for sign in (1, -1):
        assert sum((Fraction(float(u)) + sign * Fraction(float(v))) ** 2 for u, v in zip(c, g, strict=True)) <= size**2


@pytest.mark.parametrize("T", [[[3.0]], [[7.0]], [[0.1]], [[1.0, 1.0], [0.0, 3.0]], np.diag([3.0, 5.0, 7.0])])
def test_the_error_of_the_inverse_to_a_hair(T: Any) -> None:
    """Not below |T S - I| in the Frobenius norm, in fractions, and not much above."""
    S, error = ellipsoid(T).inverse()
    n = len(S)
    rows = [[Fraction(float(v)) for v in row] for row in np.asarray(T)]
    cols = [[Fraction(float(S[k, j])) for k in range(n)] for j in range(n)]
    square = sum(
        (sum(a * b for a, b in zip(rows[i], cols[j], strict=True)) - (i == j)) ** 2 for i in range(n) for j in range(n)
    )
    assert square <= Fraction(error) ** 2 <= 4 * square + Fraction(1, 2**98)


@pytest.mark.parametrize("center", [(0.0, 0.0), (3.0, -2.0), (1e9, -1e9)])
@pytest.mark.parametrize(
    ("T", "half"), [(np.diag([2.0, 4.0]), (0.5, 0.25)), (np.array([[0.6, 0.8], [-0.8, 0.6]]) * 2, (0.5, 0.5)),
                    ([[1.0, 1.0], [0.0, 1.0]], (np.sqrt(2), 1.0))],
)  # fmt: skip
def test_an_ellipsoid_lies_in_its_box_and_in_none_smaller(center: Any, T: Any, half: Any) -> None:
    """Each of the four sides moved in by a hair is one too many."""
    e = ellipsoid(T, 1.0, center)
    hair = 1e-8 + 2.0**-48 * np.abs(center)
    low, high = np.array(center) - np.array(half), np.array(center) + np.array(half)
    assert e.lies_in(low - hair, high + hair)
    for axis in np.eye(2):
        inner = (2 * axis - 1) * hair  # one side moved in, the others out
        assert not e.lies_in(low + inner, high + hair) and not e.lies_in(low - hair, high - inner)
        assert e.lies_in(np.where(axis > 0, -np.inf, low - hair), high + hair)
    for bad in (np.nan,):
        assert not e.lies_in(np.full(2, bad), high + 1) and not e.lies_in(low - 1, np.full(2, bad))


@pytest.mark.parametrize("center", [1.0, -1.0, 2.0**30, 3.0 * 2.0**-30])
def test_a_reach_that_is_rounded_away_counts(center: float) -> None:
    """A quarter of the last bit of the center."""
    e, point = ellipsoid([[1.0]], np.spacing(abs(center)) / 4, [center]), np.array([center])
    assert not e.lies_in(point, point + 1) and not e.lies_in(point - 1, point)
    assert e.lies_in(point - 2.0**-40 * abs(center), point + 2.0**-40 * abs(center))


def test_no_hair_of_a_set_lies_outside_its_box() -> None:
    e, half = ellipsoid(np.diag([2.0, 4.0])), np.array([0.5, 0.25]) * (1 - 2.0**-38)
    assert not e.lies_in(-half, np.full(2, np.inf)) and not e.lies_in(np.full(2, -np.inf), half)


def test_what_is_too_flat_lies_in_no_box(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = np.full(2, 1e300)
    assert not ellipsoid([[1.0, 1.0], [1.0, 1.0 + 1e-13]]).lies_in(-wide, wide)
    assert ellipsoid(np.eye(2)).lies_in(-wide, wide)
    for radius, fits in ((2.0**-400, True), (2.0**-401, False), (2.0**400, True), (2.0**401, False), (np.nan, False)):
        assert ellipsoid(np.eye(2), radius).lies_in(np.full(2, -np.inf), np.full(2, np.inf)) is fits
    # |x_i| <= |row i of S| |(T S)^-1| radius, |(T S)^-1| <= 1 / (1 - error)
    monkeypatch.setattr(Ellipsoid, "inverse", lambda self: (np.linalg.inv(self.T), 0.01))
    assert not ellipsoid(np.eye(2)).lies_in(np.full(2, -1.01009), np.full(2, 1.01009))
    assert ellipsoid(np.eye(2)).lies_in(np.full(2, -1.0201), np.full(2, 1.0201))


def test_the_least_square_of_a_cell_by_hand() -> None:
    """(2 - 1/2)^2 + 0 + (3 - 1)^2, from below by 2^-40 of it and no more."""
    low = smallest(np.array([[2.0, 0.25, -3.0], [0.1, 0.1, 0.1]]), np.array([[0.5, 0.5, 1.0], [0.2, 0.2, 0.2]]))
    assert 6.25 * (1 - 2.0**-39) <= low[0] < 6.25 * (1 - 2.0**-41) and low[1] == 0.0


@pytest.mark.parametrize(
    ("n", "splits", "count"), [(1, 4, 4), (2, 2, 4), (2, 4, 16), (2, 8, 60), (3, 2, 8), (3, 4, 64)]
)
def test_how_many_cells_cover_a_ball(n: int, splits: int, count: int) -> None:
    """8 by 8 less the four corners, whose nearest point (3/4, 3/4) is outside; those of 4 by 4 reach (1/2, 1/2)."""
    centers, half = ball_cells(n, 1.0, splits)
    assert len(centers) == count == len(half)
    assert np.unique(centers).tolist() == pytest.approx(((np.arange(splits) + 0.5) * 2 / splits - 1).tolist())


@pytest.mark.parametrize("scale", [1.0, 2.0**-30, 2.0**30])
def test_size_counts_roundings_of_the_square_relative_to_it(scale: float) -> None:
    """2^-44 of (|c| + sum |G_j|)^2 under the root: of c = 3, G = 4 that is 49, whatever the scale."""
    x = (AffineForm(np.array([3.0 * scale]), np.array([[4.0 * scale]]), np.zeros(1)),)
    square = (float(ellipsoid([[1.0]]).size(x)[0]) / scale / (1 + 2.0**-36)) ** 2
    assert 49 * (1 + 2.0**-45) <= square <= 49 * (1 + 2.0**-43)


def test_size_counts_roundings_of_every_symbol() -> None:
    """Columns (3, 4) and (5, 12): 25 + 169 + 2 * 63 for the square, 2^-44 of (5 + 13)^2 for its roundings."""
    x = tuple(AffineForm(np.zeros(1), np.array([[a], [b]], dtype=float), np.zeros(1)) for a, b in ((3, 5), (4, 12)))
    size = Fraction(float(ellipsoid(np.eye(2)).size(x)[0])) / Fraction(1 + 2.0**-36)
    assert abs((size**2 - 320) * 2**44 - 324) < 8


@pytest.mark.parametrize("size", [5e-324, 2.0**-1000, 2.0**-900, 2.0**-600])
def test_what_underflows_is_not_taken_for_nothing(size: float) -> None:
    """Squares below every number: the bound of a size, the reach of a set, a box that leaves a smaller set."""
    point = (AffineForm(np.array([size]), np.zeros((1, 1)), np.zeros(1)),)
    assert float(ellipsoid([[1.0]]).size(point)[0]) >= size
    assert not ellipsoid([[1.0]], size).lies_in(np.zeros(1), np.zeros(1))
    assert not ellipsoid([[1.0]], 0.5 * size).contains_boxes(np.full((1, 1), size), np.full((1, 1), size))[0]
