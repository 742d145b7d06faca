"""Definiteness in floating point against exact rational arithmetic."""

from __future__ import annotations

import re
from fractions import Fraction

import flint
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipctrl.errors import LipctrlError
from lipctrl.intervals.ball import Ball
from lipctrl.proofs import definiteness
from lipctrl.proofs.definiteness import is_positive_definite, nonnegative_norm_upper, spectral_norm_upper

U = Fraction(1, 2**53)
TINY = Fraction(1, 2**1022)


def exactly_definite(matrix: np.ndarray) -> bool:
    """Descartes' rule in integers: the eigenvalues, all real, are positive if and only if the coefficients of the
    characteristic polynomial alternate in sign, none being zero."""
    n = len(matrix)
    mantissas, exponents = np.frexp(matrix)
    exponents = np.where(mantissas == 0, np.max(exponents), exponents)
    lowest = int(exponents.min())
    integers = [
        int(m) << (int(e) - lowest)
        for m, e in zip((mantissas * 2.0**53).ravel().tolist(), exponents.ravel().tolist(), strict=True)
    ]
    coefficients = flint.fmpz_mat(n, n, integers).charpoly().coeffs()
    return len(coefficients) == n + 1 and all((c if (n - k) % 2 == 0 else -c) > 0 for k, c in enumerate(coefficients))


def symmetrised(matrix: np.ndarray) -> np.ndarray:
    return np.tril(matrix) + np.tril(matrix, -1).T


def graded(rng: np.random.Generator, n: int) -> np.ndarray:
    grading = np.ldexp(1.0, rng.integers(-40, 40, n))
    return rank_deficient(rng, n) * grading[:, None] * grading


def rank_deficient(rng: np.random.Generator, n: int) -> np.ndarray:
    factor = rng.standard_normal((n, max(1, n - 1)))
    gram = factor @ factor.T
    return gram + np.diag(rng.uniform(-1, 1, n) * 10.0 ** rng.uniform(-17, -14) * np.trace(gram))


def one_ulp(rng: np.random.Generator, n: int) -> np.ndarray:
    gram = integer_gram(rng, n)
    return np.nextafter(gram, gram + rng.integers(-1, 2, (n, n)))


def denormal(rng: np.random.Generator, n: int) -> np.ndarray:
    return integer_gram(rng, n) * np.ldexp(1.0, int(rng.integers(-1074, -1040)))


def integer_gram(rng: np.random.Generator, n: int) -> np.ndarray:
    """Exact; singular or of determinant at least 1."""
    factor = rng.integers(-4, 5, (n, n - int(rng.integers(0, 2)))).astype(float)
    return factor @ factor.T


def large_shift(rng: np.random.Generator, n: int) -> np.ndarray:
    """A spectrum known to about 1e-16, moved until its smallest eigenvalue is a few rounding errors from zero."""
    gram = symmetrised(rank_deficient(rng, n))
    values = np.linalg.eigvalsh(gram)
    return gram - np.eye(n) * (values[0] + rng.uniform(-30, 10) * 2.0**-53 * values[-1])


def comfortable(rng: np.random.Generator, n: int) -> np.ndarray:
    factor = rng.standard_normal((n, n))
    grading = 10.0 ** rng.uniform(-60, 60, n)
    return (factor @ factor.T + 1e-10 * np.eye(n)) * grading[:, None] * grading


def test_the_referee_knows_the_truth() -> None:
    rng = np.random.default_rng(1)
    for n in range(2, 9):
        factor = rng.integers(-4, 5, (n, n)).astype(float)
        assert exactly_definite(factor @ factor.T) == (abs(np.linalg.det(factor)) > 0.5)
        thin = factor[:, : n - 1]
        singular = thin @ thin.T * 2.0**-300
        assert not exactly_definite(singular)
        assert exactly_definite(singular + np.diag(np.full(n, 2.0**-345)))
        assert not exactly_definite(singular - np.diag(np.append(np.zeros(n - 1), 2.0**-345)))
    assert not exactly_definite(-np.eye(3)) and not exactly_definite(np.zeros((2, 2))) and exactly_definite(np.eye(1))


def test_proves_the_comfortably_definite() -> None:
    rng = np.random.default_rng(7)
    matrices = [symmetrised(comfortable(rng, int(rng.integers(2, 40)))) for _ in range(500)]
    assert sum(map(is_positive_definite, matrices)) >= 0.99 * len(matrices)


def passes_plain_cholesky(matrix: np.ndarray) -> bool:
    try:
        return bool(np.all(np.isfinite(np.linalg.cholesky(matrix))))
    except np.linalg.LinAlgError:
        return False


def absorption_matrix() -> np.ndarray:
    """Indefinite, but sixty squares of 2^-27.1 vanish one by one when they are subtracted from 1, left to right."""
    n = 62
    matrix = np.eye(n)
    matrix[-1, :-1] = matrix[:-1, -1] = 2.0**-27.1
    matrix[-1, -2] = matrix[-2, -1] = 1 - 2.0**-51
    return matrix


def test_absorption_is_refused() -> None:
    matrix = absorption_matrix()
    pivot = 1.0
    for entry in matrix[-1, :-1]:  # the only row that is not trivial in a left-to-right Cholesky
        pivot -= entry * entry
    assert pivot > 0
    assert not exactly_definite(matrix)
    assert not is_positive_definite(matrix)


@given(st.lists(st.floats(2.0**-300, 2.0**300), min_size=1, max_size=12))
def test_shift_is_the_constant_of_the_theorem_rounded_up(diagonal: list[float]) -> None:
    n = len(diagonal)
    entries = [Fraction(v) for v in diagonal]
    g = (n + 3) * U / (1 - (n + 3) * U)
    exact = g * sum(entries) + 4 * n * TINY * (2 * (n + 3) + max(entries))
    c = Fraction(definiteness.shift(np.diag(diagonal)))
    assert exact <= c <= exact * (1 + Fraction(1, 10**13)) + Fraction(5e-324)


@pytest.mark.parametrize("n", [1, 2, 7, 40])
def test_shift_covers_matrices_of_tiny_numbers(n: int) -> None:
    tiny = np.full((n, n), 5e-324)
    assert Fraction(definiteness.shift(tiny)) >= 4 * n * TINY * 2 * (n + 3)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.floats(-20, 3))
def test_residual_bound_covers_any_factor(seed: int, n: int, decades: float) -> None:
    """The row sums of the exact residual, plus the a-priori rounding term, in Fractions."""
    rng = np.random.default_rng(seed)
    factor = rng.standard_normal((n, n))
    H = symmetrised(factor @ factor.T + 10.0**decades * rng.standard_normal((n, n)))
    exact = [[Fraction(v) for v in row] for row in factor]
    product = [[sum(a * b for a, b in zip(r, s, strict=True)) for s in exact] for r in exact]
    computed = Fraction(0)
    for i in range(n):
        computed = max(computed, sum(abs(Fraction(H[i, j]) - product[i][j]) for j in range(n)))
    rounding = n * U / (1 - n * U) * sum(v * v for row in exact for v in row)
    bound = Fraction(definiteness.residual_upper(H, factor))
    assert bound >= computed
    assert bound >= rounding
    floating = Fraction(float(np.max(np.sum(np.abs(H - factor @ factor.T), axis=1))))
    assert floating + rounding <= bound <= (floating + rounding) * (1 + Fraction(1, 10**12)) + Fraction(1e-290)


@pytest.mark.parametrize("k", [2, 3, 4, 50, 10_000, 2**40])
def test_roundings_are_undone(k: int) -> None:
    """At least value / (1 - u)^k, at most three times as much of it."""
    for value in (1.0, 0.1, 3.0, 2.0**-300, 1e300):
        lower = Fraction(value) * (1 + k * U) if k > 10_000 else Fraction(value) / (1 - U) ** k
        assert lower <= Fraction(definiteness.inflated(value, k)) <= Fraction(value) * (1 + 3 * max(k, 2) * U)
    assert definiteness.inflated(1.0, 0) == definiteness.inflated(1.0, 2) > 1.0


@pytest.mark.parametrize("n", [1, 2, 3, 9])
def test_every_rounding_of_a_bound_is_undone(monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    """The roundings counted by hand, fewer never allowed for: the worst case is too rare for any other test.

    A sum of n numbers is rounded n - 1 times, in whatever order.
    """
    allowed: list[int] = []
    inflated = definiteness.inflated

    def record(value: float, k: int) -> float:
        allowed.append(k)
        return inflated(value, k)

    monkeypatch.setattr(definiteness, "inflated", record)
    for bound, needed in (
        (lambda: definiteness.shift(np.eye(n)), [max(n + 1, 3)]),  # a trace, a product, a sum; or a sum, two products
        # n^2 squares and their sum; then differences, a row's sum, two sums; or two products, two sums
        (lambda: definiteness.residual_upper(np.eye(n), np.eye(n)), [n * n, max(n + 2, 4)]),
        (lambda: nonnegative_norm_upper(np.eye(n)), [n + 2]),  # products, their sum with the underflow, a quotient
    ):
        allowed.clear()
        bound()
        assert len(allowed) == len(needed) and all(k >= least for k, least in zip(allowed, needed, strict=True))


def test_the_diagonal_is_lowered_by_all_of_the_shift(monkeypatch: pytest.MonkeyPatch) -> None:
    """H_ii + c + r <= A_ii in exact arithmetic, for the scaled matrix and the radius in use."""
    seen: list[np.ndarray] = []
    residual = definiteness.residual_upper

    def record(H: np.ndarray, chol: np.ndarray) -> float:
        seen.append(H)
        return residual(H, chol)

    monkeypatch.setattr(definiteness, "residual_upper", record)
    rng = np.random.default_rng(5)
    for _ in range(50):
        n = int(rng.integers(1, 6))
        A = np.diag(rng.uniform(1, 4, n))  # exponents 1 and 2: scaled by 2^0 and 2^-1 to either side
        rad = np.full((n, n), float(rng.uniform(0, 0.49)) / n)
        assert is_positive_definite(A, rad)
        half = -(np.frexp(np.diagonal(A))[1] // 2)
        scaled, radius = definiteness.scaled_outward(A, rad, half, half)
        assert radius is not None
        less = Fraction(definiteness.shift(scaled)) + Fraction(nonnegative_norm_upper(radius))
        for a, h in zip(np.diagonal(scaled), np.diagonal(seen[-1]), strict=True):
            assert Fraction(float(h)) + less <= Fraction(float(a)) <= Fraction(float(h)) + less + Fraction(1, 2**48)
        lowered = np.ldexp(np.diagonal(scaled) - np.diagonal(seen[-1]), -2 * half)
        assert np.allclose(definiteness.taken(A, rad), lowered, rtol=1e-10, atol=0)


def test_underflow_is_charged() -> None:
    for n in (1, 3, 8):
        tiny = np.full((n, n), 5e-324)
        assert nonnegative_norm_upper(tiny) >= 2 * n * float(TINY) * (1 - 1e-5)
        assert definiteness.residual_upper(np.zeros((n, n)), np.zeros((n, n))) >= n * (2 * n + 2) * float(TINY)
    _, radius = definiteness.scaled_outward(np.array([[5e-324]]), None, -1, 0)
    assert radius is not None and 2 * TINY <= Fraction(float(radius[0, 0])) <= Fraction(1, 2**499)


@pytest.mark.parametrize("given", [None, 0.0, 2.0**-590, 5e-324, 1.0])
def test_what_underflows_between_the_two_factors_is_in_the_radius(given: float | None) -> None:
    """2^-600 and others times 2^-500 and then 2^500; the radius that was given stays."""
    entries = np.array([[1.1 * 2.0**-600, 2.0**-20], [5e-324, 1.3 * 2.0**-530]])
    for rows, columns in ((-500, 500), (500, -500), (-537, 537), (0, 0)):
        rad = None if given is None else np.full((2, 2), given)
        scaled, radius = definiteness.scaled_outward(entries, rad, rows, columns)
        for (i, j), entry in np.ndenumerate(entries):
            bound = Fraction(0) if radius is None else Fraction(float(radius[i, j]))
            error = abs(Fraction(float(entry)) * Fraction(2) ** (rows + columns) - Fraction(float(scaled[i, j])))
            assert error + Fraction(given or 0.0) * Fraction(2) ** (rows + columns) <= bound


def test_a_wrong_factor_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rump's premise is a standard Cholesky; a BLAS that breaks it must not yield a proof."""
    indefinite = np.array([[1.0, 2.0], [2.0, 1.0]])
    monkeypatch.setattr(np.linalg, "cholesky", lambda _: np.array([[1.0, 0.0], [2.0, 1.0]]))
    assert not is_positive_definite(indefinite)
    monkeypatch.setattr(np.linalg, "cholesky", lambda _: np.full((2, 2), np.nan))
    assert not is_positive_definite(np.eye(2))


def test_the_residual_must_stay_strictly_below_the_shift(monkeypatch: pytest.MonkeyPatch) -> None:
    c = definiteness.shift(np.eye(4))
    for residual, proved in ((np.nextafter(c, 0), True), (c, False), (np.nan, False)):
        monkeypatch.setattr(definiteness, "residual_upper", lambda H, chol, value=residual: value)
        assert is_positive_definite(np.eye(4)) is proved


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 8), st.floats(-14, 0))
def test_every_matrix_of_a_proved_ball_is_definite(seed: int, n: int, decades: float) -> None:
    rng = np.random.default_rng(seed)
    factor = rng.standard_normal((n, n))
    mid = symmetrised(factor @ factor.T)
    rad = symmetrised(rng.uniform(0, 1, (n, n))) * 10.0**decades
    if not is_positive_definite(mid, rad):
        return
    smallest = np.linalg.eigh(mid)[1][:, 0]
    worst = -np.outer(np.sign(smallest), np.sign(smallest))
    for signs in (worst, *(symmetrised(rng.choice([-1.0, 1.0], (n, n))) for _ in range(5))):
        member = mid + signs * rad * (1 - 1e-9)
        assert exactly_definite(member)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 8))
def test_a_ball_with_a_singular_matrix_is_refused(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    factor = rng.integers(-3, 4, (n, n - 1)).astype(float)
    singular = factor @ factor.T
    offset = symmetrised(rng.integers(-9, 10, (n, n)).astype(float))
    mid = singular * 64 + offset + 20 * n * np.eye(n)
    rad = np.abs(mid - 64 * singular)  # exact: small integers
    assert not is_positive_definite(mid, rad)
    lower_triangle_only = np.tril(rad)
    assert not is_positive_definite(mid, np.maximum(lower_triangle_only, lower_triangle_only.T))


def test_the_radius_is_used_to_its_size() -> None:
    """I + rad ones ones' is definite for every sign pattern up to n rad = 1: proved just below, refused just above."""
    n = 10
    assert is_positive_definite(np.eye(n), np.full((n, n), (1 - 1e-12) / n))
    assert not is_positive_definite(np.eye(n), np.full((n, n), (1 + 1e-12) / n))


def test_radii_are_scaled_with_the_matrix() -> None:
    scale = np.ldexp(1.0, [-500, 0, 500])
    rad = np.full((3, 3), 0.33) * scale[:, None] * scale
    assert is_positive_definite(np.diag(scale**2), rad)
    assert not is_positive_definite(np.diag(scale**2), 1.02 * rad)


def test_underflow_in_the_scaling_widens_the_radius() -> None:
    """Scaling 2^1000 down takes 2^-1074 below every number; it must not be taken for zero."""
    mid = np.array([[2.0**1000, 5e-324], [5e-324, 1.0]])
    scaled, radius = definiteness.scaled_outward(mid, None, *2 * [np.array([-500, 0])])
    assert radius is not None
    assert scaled[0, 1] == 0
    assert radius[0, 1] >= 2.0**-1022
    assert radius[0, 0] == radius[1, 1] == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", [(0, 0), (1, 0), (2, 2)])
def test_nan_and_infinity_prove_nothing(bad: float, where: tuple[int, int]) -> None:
    matrix = np.eye(3)
    radius = np.zeros((3, 3))
    matrix[where] = matrix[where[::-1]] = bad
    assert not is_positive_definite(matrix)
    radius[where] = bad
    assert not is_positive_definite(np.eye(3), radius)


def test_what_is_no_matrix_in_a_ball() -> None:
    assert not is_positive_definite(np.eye(2), np.full((2, 2), -1e-3))
    assert nonnegative_norm_upper(np.array([[1.0, -1e-3], [-1e-3, 1.0]])) == np.inf
    assert not is_positive_definite(np.array([[1e-300, 1e300], [1e300, 1e-300]]))  # scaled to infinity
    assert not is_positive_definite(np.zeros((0, 0)))
    assert not is_positive_definite(np.zeros((2, 2)))
    assert not is_positive_definite(np.diag([1e308, 1e308]), np.full((2, 2), 1e308))
    for mid, rad in ((np.ones((2, 3)), None), (np.ones(3), None), (np.eye(2), np.zeros((3, 3)))):
        words = f"shape {mid.shape} and its radius {None if rad is None else rad.shape}."
        with pytest.raises(LipctrlError, match=re.escape(words)):
            is_positive_definite(mid, rad)
    with pytest.raises(LipctrlError, match="symmetric"):
        is_positive_definite(np.array([[1.0, 0.1], [0.1 + 2e-17, 1.0]]))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 9), st.floats(-150, 150))
def test_spectral_norm_is_an_upper_bound_and_tight(seed: int, m: int, n: int, decades: float) -> None:
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((m, n)) * 10.0**decades
    upper = spectral_norm_upper(A)
    assert upper <= np.linalg.norm(A, 2) * (1 + 1e-13)
    square = Fraction(upper) ** 2
    gram = [[sum(Fraction(a) * Fraction(b) for a, b in zip(r, s, strict=True)) for s in A.T] for r in A.T]
    difference = [[(square if i == j else 0) - gram[i][j] for j in range(n)] for i in range(n)]
    assert exactly_semidefinite(difference)


def exactly_semidefinite(a: list[list[Fraction]]) -> bool:
    a = [row[:] for row in a]
    for k in range(len(a)):
        if a[k][k] < 0 or (a[k][k] == 0 and any(a[i][k] != 0 for i in range(k, len(a)))):
            return False
        for i in range(k + 1, len(a)):
            for j in range(k + 1, len(a)) if a[k][k] != 0 else ():
                a[i][j] -= a[i][k] * a[k][j] / a[k][k]
    return True


def test_spectral_norm_of_known_matrices() -> None:
    assert spectral_norm_upper(np.zeros((3, 2))) == 0
    assert spectral_norm_upper(np.ones((3, 0))) == 0
    assert spectral_norm_upper([[3.0, 4.0]]) == pytest.approx(5, rel=1e-14)
    assert spectral_norm_upper([[3.0, 4.0]]) >= 5
    assert spectral_norm_upper(np.array([[3.0], [1.0]]) * 5e-324) >= 4 * 5e-324  # sqrt(10) = 3.16
    for hopeless in ([[np.nan]], [[np.inf]], np.full((3, 3), 1e308)):
        assert spectral_norm_upper(np.array(hopeless)) == np.inf
    with pytest.raises(LipctrlError, match="Give a matrix"):
        spectral_norm_upper(np.ones(3))


def test_spectral_norm_of_a_ball_reaches_its_largest_member() -> None:
    ball = Ball(np.ones((3, 4)), 0.5)
    assert np.sqrt(12) * 1.5 <= spectral_norm_upper(ball) <= np.sqrt(12) * 1.5 * (1 + 1e-12)


def test_spectral_norm_does_not_trust_the_eigenvalue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np.linalg, "eigvalsh", lambda gram: np.array([0.375]))  # truth: 12 / 4, after scaling
    assert spectral_norm_upper(np.ones((3, 4))) >= np.sqrt(12)
    assert spectral_norm_upper(Ball(np.ones((3, 4)), 0.5)) >= np.sqrt(12) * 1.5


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_collatz_wielandt_bounds_the_perron_root(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    M = symmetrised(rng.uniform(0, 1, (n, n)) * (rng.uniform(0, 1, (n, n)) < 0.6))
    upper = nonnegative_norm_upper(M)
    shifted = [[(Fraction(upper) if i == j else 0) - Fraction(M[i, j]) for j in range(n)] for i in range(n)]
    assert exactly_semidefinite(shifted)
    # from x = 1, power steps never raise the quotient: the bound is at most the largest row sum
    assert upper <= M.sum(axis=1).max() * (1 + 1e-12)
    assert nonnegative_norm_upper(np.tril(M)) == upper


@pytest.mark.parametrize("k", range(16, 26))
def test_collatz_wielandt_needs_positive_weights(k: int) -> None:
    """[0 a; a 1] has the norm (1 + sqrt(1 + 4 a^2)) / 2, the root of l^2 = l + a^2: small weights count."""
    a = 2.0**-k
    upper = Fraction(nonnegative_norm_upper(np.array([[0.0, a], [a, 1.0]])))
    assert upper**2 >= upper + Fraction(a) ** 2
