"""Sets of the nonlinear proofs in exact fractions: what is enclosed is enclosed, and not by much more."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import flint
import numpy as np
import pytest

from lipctrl.errors import LipctrlError
from lipctrl.intervals.affine import AffineForm
from lipctrl.intervals.functions import sin
from lipctrl.intervals.interval import Interval
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.plants.model import Model
from lipctrl.proofs.cells import SLACK, CertifiedSet
from lipctrl.proofs.closed_loop import ClosedLoop, _collapsed, _oriented, box_forms
from lipctrl.proofs.core import contraction, final_ball, final_stages, reach, spectral_norms
from lipctrl.proofs.decrease import _split, growth
from lipctrl.proofs.ellipsoid import Ellipsoid, ball_cells, smallest
from lipctrl.proofs.grid import TWO_PI, Grid

SMALL = Fraction(1, 10**9)


def fractions(x: np.ndarray) -> list[Fraction]:
    return [Fraction(float(v)) for v in x]


def random_forms(rng: np.random.Generator, n: int, count: int, cells: int = 4) -> tuple[AffineForm, ...]:
    scale = 10.0 ** rng.uniform(-3, 3)
    return tuple(
        AffineForm(
            rng.standard_normal(cells), scale * rng.standard_normal((count, cells)), scale * rng.uniform(0, 1, cells)
        )
        for _ in range(n)
    )


def extreme(form: AffineForm, cell: int, weight: Fraction = Fraction(1)) -> Fraction:
    """The largest of weight * (form - center) over its symbols."""
    return abs(weight) * (
        sum(map(abs, fractions(form.generators[:, cell])), Fraction(0)) + Fraction(float(form.radius[cell]))
    )


@pytest.mark.parametrize("seed", range(10))
def test_rectangles_contain_their_sets_and_touch_them(seed: int) -> None:
    """In the axes of the rectangle, at most 1 + 1e-9 and at least 1 - 1e-9 of its half sides."""
    rng = np.random.default_rng(seed)
    x = random_forms(rng, 2, 4)
    box = _oriented(x)
    assert box is not None
    for cell in range(4):
        (a0, b0), (a1, b1) = (fractions(form.generators[:, cell]) for form in box)
        slack = [Fraction(float(form.radius[cell])) for form in box]
        det = a0 * b1 - b0 * a1
        inverse = ((b1 / det, -b0 / det), (-a1 / det, a0 / det))
        reach = []
        for p, q in inverse:
            moved = [p * g + q * h for g, h in zip(*(fractions(form.generators[:, cell]) for form in x), strict=True)]
            rest = abs(p) * Fraction(float(x[0].radius[cell])) + abs(q) * Fraction(float(x[1].radius[cell]))
            allowed = 1 + abs(p) * slack[0] + abs(q) * slack[1]
            assert sum(map(abs, moved)) + rest <= allowed
            assert allowed <= 1 + SMALL
            reach.append(sum(map(abs, moved)) + rest)
        assert min(reach) >= 1 - SMALL
        longest = max(
            zip(*(fractions(form.generators[:, cell]) for form in x), strict=True), key=lambda g: g[0] ** 2 + g[1] ** 2
        )
        assert abs(longest[0] * a1 - longest[1] * a0) <= SMALL * (abs(longest[0]) + abs(longest[1])) * (
            abs(a0) + abs(a1)
        )
        assert [float(form.center[cell]) for form in box] == [float(form.center[cell]) for form in x]
    assert _oriented(random_forms(rng, 3, 4)) is None
    point = tuple(AffineForm(np.zeros(1), np.zeros((2, 1)), np.full(1, 0.25)) for _ in range(2))
    turned = _oriented(point)
    assert turned is not None
    assert all(0.25 <= float(form.range().hi[0]) <= 0.2500001 for form in turned)


@pytest.mark.parametrize("seed", range(4))
def test_collapsed_forms_keep_the_first_symbols_and_the_range(seed: int) -> None:
    x = random_forms(np.random.default_rng(seed), 2, 5)
    after = _collapsed(x, 2)
    for i, (old, new) in enumerate(zip(x, after, strict=True)):
        assert new.generators.shape == (4, 4) and not np.any(new.radius)
        assert np.array_equal(new.generators[:2], old.generators[:2])
        assert not np.any(new.generators[3 - i])
        for cell in range(4):
            exact = extreme(AffineForm(old.center, old.generators[2:], old.radius), cell)
            assert exact <= Fraction(float(new.generators[2 + i, cell])) <= exact * (1 + SMALL)


@pytest.mark.parametrize("seed", range(4))
def test_cells_of_boxes_contain_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lower = rng.standard_normal((6, 2)) * 10.0 ** rng.integers(-8, 8, (6, 2))
    upper = lower + np.abs(rng.standard_normal((6, 2))) * 10.0 ** rng.integers(-14, 3, (6, 2))
    for i, form in enumerate(box_forms(lower, upper)):
        assert np.array_equal(np.nonzero(form.generators.any(axis=1))[0], [i])
        for cell in range(6):
            c, g = Fraction(float(form.center[cell])), Fraction(float(form.generators[i, cell]))
            low, high = Fraction(float(lower[cell, i])), Fraction(float(upper[cell, i]))
            assert c - g <= low <= high <= c + g
            assert 2 * g <= (high - low) * (1 + SMALL) + abs(c) * Fraction(1, 2**50)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_halves_cover_the_whole(n: int) -> None:
    """Two states: quarters; three: halves along the side that bends most. No point is lost."""
    rng = np.random.default_rng(n)
    centers, half = (
        rng.standard_normal((5, n)),
        np.abs(rng.standard_normal((5, n))) * 10.0 ** rng.integers(-12, 1, (5, n)),
    )
    bends = rng.uniform(0.5, 2, n)
    small, widths = _split(centers, half, bends)
    parts = 2 ** min(n, 2) if n < 3 else 2
    assert small.shape == (5 * parts, n)
    for k in range(5):
        own = [i for i in range(len(small)) if i % 5 == k]
        axes = range(n) if n < 3 else [int(np.argmax(half[k] ** 2 * bends))]
        for axis in range(n):
            c, h = Fraction(float(centers[k, axis])), Fraction(float(half[k, axis]))
            ends = [fractions(np.array([small[i, axis], widths[i, axis]])) for i in own]
            sides = sorted({(middle - reach, middle + reach) for middle, reach in ends})
            assert sides[0][0] <= c - h and c + h <= sides[-1][1]
            assert len(sides) == (2 if axis in axes else 1)
            if len(sides) == 2:
                assert sides[0][1] >= sides[1][0]
            excess = Fraction(1, 2**48) * (abs(c) + h)
            assert sides[0][0] >= c - h - excess and sides[-1][1] <= c + h + excess
            if len(sides) == 2:
                assert sides[0][1] - sides[1][0] <= 2 * excess


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6])
def test_volume_and_box_of_an_ellipsoid(n: int) -> None:
    """r^n over |det T| times that of the unit ball: 2, pi, 4 pi/3, pi^2/2, 8 pi^2/15, pi^3/6."""
    unit = [2, np.pi, 4 * np.pi / 3, np.pi**2 / 2, 8 * np.pi**2 / 15, np.pi**3 / 6][n - 1]
    T = np.random.default_rng(n).standard_normal((n, n))
    e = Ellipsoid(np.ones(n), T, 1.5)
    assert e.volume == pytest.approx(unit * 1.5**n / abs(np.linalg.det(T)), rel=1e-12)
    widths = [1.5 * np.linalg.norm(np.linalg.solve(T.T, axis)) for axis in np.eye(n)]
    np.testing.assert_allclose(e.half_widths, widths, rtol=1e-9)
    np.testing.assert_allclose(e.P, T.T @ T / 2.25, rtol=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_boxes_inside_an_ellipsoid_to_a_billionth(seed: int) -> None:
    """The farthest corner, in fractions, decides: just inside is found, just outside never."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 4))
    T, center = rng.standard_normal((n, n)) * 10.0 ** rng.uniform(-3, 3), rng.standard_normal(n)
    lower = center + rng.uniform(-1, 0, n)
    upper = lower + rng.uniform(0, 2, n)
    rows = [fractions(row) for row in T]
    worst = max(
        sum(sum(t * (v - c) for t, v, c in zip(row, corner, fractions(center), strict=True)) ** 2 for row in rows)
        for corner in product(*zip(fractions(lower), fractions(upper), strict=True))
    )
    root = float(np.sqrt(float(worst)))
    for factor, inside in ((1 + 1e-9, True), (1 - 1e-9, False), (1 + 2.0**-38, False)):  # the last: too close to tell
        e = Ellipsoid(center, T, root * factor)
        found = bool(e.contains_boxes(lower[None], upper[None])[0])
        assert found is inside
        if found:
            assert worst <= Fraction(e.radius) ** 2
    for bad in (np.nan, np.inf):
        broken = np.where(np.arange(n) == 0, bad, upper)
        assert not Ellipsoid(center, T, 1e300).contains_boxes(lower[None], broken[None])[0]
        assert not Ellipsoid(center, T, 1e300).contains_boxes(-broken[None], upper[None])[0]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_inverse_knows_its_error(n: int) -> None:
    """|T S - I| in the Frobenius norm, in fractions, is below the error that is given, which is small."""
    rng = np.random.default_rng(n)
    for decades in (0, 2, 4):
        T = rng.standard_normal((n, n)) * np.logspace(0, decades, n)
        S, error = Ellipsoid(np.zeros(n), T, 1.0).inverse()
        product_ = [
            [sum(Fraction(float(T[i, k])) * Fraction(float(S[k, j])) for k in range(n)) for j in range(n)]
            for i in range(n)
        ]
        square = sum((product_[i][j] - (i == j)) ** 2 for i in range(n) for j in range(n))
        assert square <= Fraction(error) ** 2
        assert error < 1e-9
    with pytest.raises(LipctrlError, match="flat"):
        Ellipsoid(np.zeros(2), np.array([[1.0, 1.0], [1.0, 1.0 + 1e-13]]), 1.0).inverse()


@pytest.mark.parametrize("seed", range(6))
def test_size_bounds_every_point(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 4))
    x = random_forms(rng, n, 3)
    e = Ellipsoid(rng.standard_normal(n), rng.standard_normal((n, n)), 1.0)
    upper = e.size(x)
    for cell in range(4):
        reached = 0.0
        for signs in product((-1.0, 1.0), repeat=3 + n):
            point = np.array([f.center[cell] + np.dot(signs[:3], f.generators[:, cell]) + signs[3 + i] * f.radius[cell]
                              for i, f in enumerate(x)])  # fmt: skip
            reached = max(reached, float(np.linalg.norm(e.T @ (point - e.center))))
        assert reached * (1 - 1e-12) <= upper[cell] <= 3 * reached


@pytest.mark.parametrize("n", [1, 2, 3])
def test_cells_of_a_ball(n: int) -> None:
    rng = np.random.default_rng(n)
    centers, half = ball_cells(n, 0.7, 9)
    z = rng.standard_normal((300, n))
    z *= 0.7 * (rng.uniform(0, 1, (300, 1)) ** (1 / n)) / np.linalg.norm(z, axis=1, keepdims=True)
    z[:n] = 0.7 * np.eye(n)
    assert np.all(np.any(np.all(np.abs(z[:, None] - centers) <= half, axis=2), axis=1))
    assert np.all(half <= 0.7 / 9 * (1 + 1e-12))
    middle = np.abs(centers[:, 1:]).max(axis=1, initial=0.0) < 0.01  # the cells along the first axis, without a gap
    line = sorted(
        (Fraction(float(c)), Fraction(float(h))) for c, h in zip(centers[middle, 0], half[middle, 0], strict=True)
    )
    assert len(line) == 9 and line[0][0] - line[0][1] <= -Fraction(0.7) and line[-1][0] + line[-1][1] >= Fraction(0.7)
    assert all(c + h >= d - k for (c, h), (d, k) in zip(line, line[1:], strict=False))
    nearest = np.linalg.norm(np.maximum(np.abs(centers) - half, 0), axis=1)
    assert np.all(nearest <= 0.7) and len(centers) <= 9**n
    exact = [sum(max(abs(c) - h, Fraction(0)) ** 2 for c, h in zip(fractions(a), fractions(b), strict=True))
             for a, b in zip(centers, half, strict=True)]  # fmt: skip
    for low, true in zip(smallest(centers, half), exact, strict=True):
        assert true * (1 - SMALL) <= Fraction(float(low)) <= true


@pytest.mark.parametrize("seed", range(6))
def test_growth_is_never_below_a_sample_and_exact_for_one_symbol(seed: int) -> None:
    """|new|^2 - |old|^2 with shared symbols; with one symbol and no radius the bound is the maximum itself."""
    rng = np.random.default_rng(seed)
    old, new = random_forms(rng, 2, 3), random_forms(rng, 2, 5)
    bound = growth(old, new)
    e = rng.uniform(-1, 1, (400, 5))
    e[:200] = np.sign(e[:200])
    for cell in range(4):

        def values(forms: tuple[AffineForm, ...], sign: float, cell: int = cell) -> np.ndarray:
            return np.stack([f.center[cell] + e[:, : len(f.generators)] @ f.generators[:, cell] + sign * f.radius[cell]
                             for f in forms])  # fmt: skip

        for sign in (-1.0, 0.0, 1.0):
            change = (values(new, sign) ** 2).sum(axis=0) - (values(old, -sign) ** 2).sum(axis=0)
            assert change.max() <= bound[cell]
    a, g, b, h = (rng.standard_normal(1) for _ in range(4))
    one = growth((AffineForm(a, g[None]),), (AffineForm(b, h[None]),))[0]
    t = np.linspace(-1, 1, 200_001)
    true = float(np.max((b + h * t) ** 2 - (a + g * t) ** 2))
    # the sign of the symbol of the linear part is free in the bound: compare with the larger of both
    mirrored = float(np.max((b**2 - a**2) + abs(2 * (b * h - a * g)) * np.abs(t) + (h**2 - g**2) * t**2))
    assert true - 1e-9 <= one <= mirrored + 1e-9
    broken = growth((AffineForm(a, g[None]),), (AffineForm(np.array([np.nan]), h[None]),))
    assert broken[0] == np.inf


@pytest.mark.parametrize("seed", range(5))
def test_spectral_norms_in_fractions(seed: int) -> None:
    """lam^2 I - A'A is positive semidefinite in exact arithmetic, by the signs of its characteristic polynomial."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((6, 3, 3)) * 10.0 ** rng.uniform(-50, 50, (6, 1, 1))
    A[0] = np.outer([1, 2, 2], [2, -1, 2])
    A[1] = 0.0
    upper = spectral_norms(A)
    assert 9 * (1 + 5e-13) <= upper[0] <= 9 * (1 + 1e-8)  # with a margin for a few hundred roundings
    for matrix, lam in zip(A, upper, strict=True):
        rows = [fractions(row) for row in matrix]
        entries = [[flint.fmpq(0)] * 3 for _ in range(3)]
        for i, j in product(range(3), repeat=2):
            value = (Fraction(float(lam)) ** 2 if i == j else 0) - sum(row[i] * row[j] for row in rows)
            entries[i][j] = flint.fmpq(value.numerator, value.denominator)
        coefficients = flint.fmpq_mat(entries).charpoly().coeffs()
        assert all((c if (3 - k) % 2 == 0 else -c) >= 0 for k, c in enumerate(coefficients))
        assert lam <= np.linalg.norm(matrix, 2) * (1 + 1e-8) + 1e-200
    assert spectral_norms(np.full((1, 2, 2), np.nan))[0] == np.inf
    assert spectral_norms(np.full((1, 2, 2), np.inf))[0] == np.inf


def two_pi() -> Fraction:
    """2 pi to 80 digits."""
    return 2 * Fraction("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899")


def test_the_turn_is_enclosed() -> None:
    assert Fraction(TWO_PI[0]) < two_pi() < Fraction(TWO_PI[1]) == Fraction(float(np.nextafter(TWO_PI[0], 7)))


@pytest.mark.parametrize("seed", range(12))
def test_every_angle_of_a_box_lies_in_its_cells(seed: int) -> None:
    """Points of a box, some at its ends, less full turns in fractions: the cell that holds them is in a range."""
    rng = np.random.default_rng(seed)
    grid = Grid.around([-np.pi, -1.0], [np.pi, 1.0], [True, False], int(rng.integers(2, 7)))
    low, cell = fractions(grid.low), fractions(grid.cell)
    turns = int(rng.choice([0, 1, -1, 5, -300, 10**5]))
    start = rng.uniform(-np.pi, np.pi, 20)
    start[:4] = [np.pi, -np.pi, np.nextafter(np.pi, 4), 3.1]
    size = 10.0 ** rng.uniform(-12, 0.5, 20)
    lower = np.stack([start + turns * 2 * np.pi, rng.uniform(-1, 0.5, 20)], axis=1)
    upper = lower + np.stack([size, rng.uniform(0, 0.5, 20)], axis=1)
    found = grid.ranges(lower, upper)
    assert np.count_nonzero(found.inside) >= 15
    for k in np.nonzero(found.inside)[0]:
        boxes = [(found.first[k], found.last[k])]
        boxes += [(found.first_again[i], found.last_again[i]) for i in np.nonzero(found.again == k)[0]]
        ends = [Fraction(float(lower[k, 0])), Fraction(float(upper[k, 0]))]
        for share in (Fraction(0), Fraction(1, 3), Fraction(1, 2), Fraction(9, 10), Fraction(1)):
            angle = ends[0] + share * (ends[1] - ends[0])
            shift = (angle - low[0]) // two_pi()
            copies = [angle - (shift + s) * two_pi() for s in (-1, 0, 1)]
            # at least one way of writing the angle inside the grid's box falls into the ranges
            cells = [int((c - low[0]) // cell[0]) for c in copies if low[0] <= c < low[0] + grid.count * cell[0]]
            assert any(f[0] <= i <= g[0] for i in cells for f, g in boxes), (k, float(angle))
        for y in (lower[k, 1], upper[k, 1]):
            i = int((Fraction(float(y)) - low[1]) // cell[1])
            assert all(f[1] <= min(i, grid.count - 1) <= g[1] for f, g in boxes)
        wide = sum(int(g[0] - f[0]) + 1 for f, g in boxes)
        assert wide <= (ends[1] - ends[0]) / cell[0] + 4


def test_cells_are_found_exactly_at_edges() -> None:
    grid = Grid.around([-1.0, 0.0], [2.0, 3.0], [False, False], 5)
    edges = grid.low + np.arange(grid.count + 1)[:, None] * grid.cell
    for i in range(1, grid.count - 1):
        found = grid.ranges(edges[i : i + 1], edges[i + 1 : i + 2])
        assert found.first[0].tolist() == [i, i] and found.last[0].tolist() == [i + 1, i + 1]
        just = np.nextafter(edges[i + 1 : i + 2], -9)
        assert grid.ranges(edges[i : i + 1], just).last[0].tolist() == [i, i]
        below = np.nextafter(edges[i : i + 1], -9)
        assert grid.ranges(below, just).first[0].tolist() == [i - 1, i - 1]
    assert not grid.ranges(np.nextafter(grid.low, -9)[None], grid.high[None]).inside[0]
    assert not grid.ranges(grid.low[None], np.nextafter(grid.high, 9)[None]).inside[0]
    assert grid.ranges(grid.low[None], grid.high[None]).inside[0]
    assert grid.may_cover(grid.low[None], grid.high[None])[0]
    assert not grid.may_cover(np.nextafter(grid.low, -9)[None], grid.high[None])[0]
    assert not grid.may_cover(grid.low[None], np.nextafter(grid.high, 9)[None])[0]
    assert not grid.ranges(grid.high[None], grid.low[None]).inside[0]
    for bad in (np.nan, np.inf):
        assert not grid.ranges(np.array([[bad, 0.0]]), np.array([[bad, 0.0]])).inside[0]


# -------------------------------------------------------------------------------------------------- contraction, cells


class Swing(Model):
    """Two states, two actions, sines in state, action and observation: no derivative is constant."""

    n_states, n_actions, n_observations, dt = 2, 2, 3, 1.0
    periods = np.zeros(2)
    state_low, state_high = np.full(2, -2.0), np.full(2, 2.0)
    action_low, action_high = np.full(2, -np.inf), np.full(2, np.inf)

    def step(self, x: Sequence[Any], u: Sequence[Any]) -> tuple[Any, ...]:
        return 0.3 * sin(x[0]) + 0.2 * x[1] + 0.1 * sin(u[0]), 0.1 * x[0] * x[1] - 0.2 * x[1] + 0.05 * u[0] + 0.2 * u[1]

    def observe(self, x: Sequence[Any]) -> tuple[Any, ...]:
        return sin(x[0]), x[1], x[0] * x[1]


@pytest.mark.parametrize("seed", range(4))
def test_contraction_is_that_of_the_jacobians(seed: int) -> None:
    """At least every sampled |T M T^-1|, within 10 % of their maximum; the same for the push of the actions' errors."""
    rng = np.random.default_rng(seed)
    W0, W1 = rng.standard_normal((4, 3)), 0.3 * rng.standard_normal((2, 4))
    network = Network([Affine(W0, rng.standard_normal(4)), Elementwise("tanh", 4), Affine(W1)])
    T = np.array([[1.0, 0.4], [-0.3, 1.2]]) * 10.0 ** rng.uniform(-2, 2)
    e = Ellipsoid(rng.uniform(-0.3, 0.3, 2), T, 0.3 * float(np.linalg.norm(T, 2)))
    offset, error = 0.1 * e.radius, 0.01
    loop = ClosedLoop(Swing(), network, error)
    rate, push = contraction(loop, e, offset, 40)
    z = rng.standard_normal((4000, 2))
    z *= (e.radius + offset) * rng.uniform(0, 1, (4000, 1)) ** 0.5 / np.linalg.norm(z, axis=1, keepdims=True)
    x = e.center + np.linalg.solve(T, z.T).T
    h = 1e-6
    M = np.stack([(loop.simulate(x + h * d) - loop.simulate(x - h * d)) / (2 * h) for d in np.eye(2)], axis=2)
    sampled = np.linalg.norm(T @ M @ np.linalg.inv(T), 2, axis=(1, 2)).max()
    assert rate < 1
    assert sampled * (1 - 1e-6) <= rate <= 1.1 * sampled
    u = network(loop.model.outputs(x))
    columns = np.stack(
        [np.stack([0.1 * np.cos(u[:, 0]), np.full(4000, 0.05)]), np.stack([np.zeros(4000), np.full(4000, 0.2)])]
    )
    pushed = error * np.linalg.norm(np.einsum("ij,ajk->aik", T, columns), axis=1).sum(axis=0).max()
    assert pushed * (1 - 1e-9) <= push <= 1.1 * pushed


@pytest.mark.parametrize("seed", range(4))
def test_derivatives_over_wide_cells_contain_those_of_every_point(seed: int) -> None:
    rng = np.random.default_rng(seed)
    W0, W1 = rng.standard_normal((4, 3)), 0.3 * rng.standard_normal((2, 4))
    network = Network([Affine(W0, rng.standard_normal(4)), Elementwise("tanh", 4), Affine(W1)])
    loop, seeds = ClosedLoop(Swing(), network, 0.05), rng.standard_normal((2, 2))
    lower = rng.uniform(-1.5, 0.5, (5, 2))
    upper = lower + rng.uniform(0.1, 1.0, (5, 2))
    by_state, by_action, middle, radius, *_ = loop.derivatives(box_forms(lower, upper), seeds)
    h = 1e-6
    for cell in range(5):
        x = np.vstack([rng.uniform(lower[cell], upper[cell], (100, 2)), lower[cell], upper[cell]])
        u0 = network(loop.model.outputs(x))
        u = u0 + rng.choice([-0.05, 0.0, 0.05], u0.shape)
        zero, one = np.zeros(len(x)), np.ones(len(x))
        df_dx = np.array([[0.3 * np.cos(x[:, 0]), 0.2 * one], [0.1 * x[:, 1], 0.1 * x[:, 0] - 0.2]])
        df_du = np.array([[0.1 * np.cos(u[:, 0]), zero], [0.05 * one, 0.2 * one]])
        for box, true in ((by_state, df_dx), (by_action, df_du)):
            assert np.all(box.lo[..., cell, None] <= true + 1e-15) and np.all(true - 1e-15 <= box.hi[..., cell, None])
        assert np.all(by_state.hi[..., cell] - by_state.lo[..., cell] <= 0.35)
        moved = [network(loop.model.outputs(x + s * h * seeds[:, k])) for k in (0, 1) for s in (1, -1)]
        du_dz = np.stack([(moved[0] - moved[1]) / (2 * h), (moved[2] - moved[3]) / (2 * h)], axis=2)
        assert np.all(np.abs(du_dz - middle[cell]) <= radius[cell] + 1e-7)


@pytest.mark.parametrize("seed", range(3))
def test_final_stages_hold_the_balls_they_claim(seed: int) -> None:
    """rate R + push <= R for the first; x* anywhere in its box; the last ball is push / (1 - rate), a little more."""
    rng = np.random.default_rng(seed)
    network = Network([Affine(0.2 * rng.standard_normal((2, 3)))])
    loop = ClosedLoop(Swing(), network, 1e-3)
    core = Ellipsoid(np.zeros(2), np.array([[2.0, 0.3], [0.0, 1.0]]), 0.2)
    box = Interval(np.full(2, -1e-4), np.full(2, 1e-4))
    stages = final_stages(loop, core, box)
    assert stages
    outer = core.radius + reach(core, box)
    for stage in stages:
        assert stage.rate < 1 and stage.push / (1 - stage.rate) <= stage.radius <= outer
        assert stage.radius <= 1.0001 * stage.push / (1 - stage.rate)
        outer = stage.radius
    end = final_ball(core, box, stages)
    corner = max(float(np.linalg.norm(core.T @ np.array(c))) for c in product((-1e-4, 1e-4), repeat=2))
    assert stages[-1].radius + corner <= end.radius <= stages[-1].radius + 1.01 * corner
    # the errors reach that far: constant errors of both signs move the resting point by push / (1 - rate) at most
    x = np.zeros((1, 2))
    for _ in range(200):
        x = np.stack([np.array(loop.model.step(row, network(np.array(loop.model.observe(row))) + 1e-3)) for row in x])
    assert np.linalg.norm(core.T @ x[0]) <= end.radius


def test_images_are_widened_but_not_across_an_edge_that_they_respect() -> None:
    loop = ClosedLoop(Swing(), Network([Affine(np.zeros((2, 3)))]))
    certified = CertifiedSet(loop, [])
    grid = Grid.around([-1.0, -np.pi], [1.0, np.pi], [False, True], 3)
    slack = SLACK * grid.width
    lower = np.stack([grid.low, grid.low + slack / 2, grid.low + 0.5, grid.low - 0.5])
    upper = np.stack([grid.high, grid.high - slack / 2, grid.low + 0.6, grid.high + 0.5])
    low, high = certified._widened(grid, lower, upper)
    assert low[:2, 0].tolist() == [grid.low[0]] * 2 and high[:2, 0].tolist() == [grid.high[0]] * 2
    np.testing.assert_allclose(lower[2:, 0] - low[2:, 0], slack[0], rtol=1e-5)
    np.testing.assert_allclose(high[2:, 0] - upper[2:, 0], slack[0], rtol=1e-5)
    np.testing.assert_allclose(lower[:, 1] - low[:, 1], slack[1], rtol=1e-5)
    np.testing.assert_allclose(high[:, 1] - upper[:, 1], slack[1], rtol=1e-5)
    assert SLACK * 8 <= 2.0**-30  # far below a cell of the finest level


def test_another_grid_or_an_ellipsoid_may_hold_an_image() -> None:
    loop = ClosedLoop(Swing(), Network([Affine(np.zeros((2, 3)))]))
    certified = CertifiedSet(loop, [Ellipsoid(np.array([5.0, 5.0]), np.diag([1.0, 0.5]), 1.0)])
    first, second = (Grid.around([-1.0, -1.0], [1.0, 1.0], [False, False], 3) for _ in range(2))
    assert (certified.add_grid(first), certified.add_grid(second)) == (0, 1)
    second.mark(np.array([[3, 4], [4, 4]]))
    lower = np.array([[-0.2, 0.01], [-0.2, -0.01], [5.2, 6.0], [5.8, 6.6], [0.3, 0.01], [-2.0, 0.01]])
    upper = lower + np.array([0.3, 0.2])
    assert certified._elsewhere(0, lower, upper).tolist() == [True, False, True, False, False, False]
    assert not certified._elsewhere(1, lower[:1], upper[:1]).any()
    with pytest.raises(LipctrlError, match="without marked"):
        certified.add_grid(second)
    second.mark(np.array([[i, j] for i in (2, 3, 4, 5) for j in (3, 4, 5)]))
    # a closed cell touches its upper neighbours, which must be marked as well
    assert certified.rank == 0 and certified.cover(0) == 6
    assert certified.rank == 1
    assert certified.records[0].index.tolist() == [[i, j] for i in (2, 3, 4) for j in (3, 4)]
