"""The exact checker: matrices, definiteness, elementary functions and least values."""

from __future__ import annotations

from fractions import Fraction

import flint
import numpy as np
import pytest

from lipctrl.proofs import check as ck
from lipctrl.proofs.check import Matrix, Rejected, Symmetric
from tests.exact import exactly_definite
from tests.proofs.parts_for_tests import exact, fractions, product


@pytest.mark.parametrize("seed", range(6))
def test_matrices_are_those_of_fractions(seed: int) -> None:
    """Of graded doubles, with zeros; long sparse rows go another way."""
    rng = np.random.default_rng(seed)
    A, B, C = (rng.standard_normal(s) * 2.0 ** rng.integers(-60, 60, s) for s in ((3, 20), (20, 2), (3, 20)))
    A[0, 2:], A[1] = 0.0, 0.0  # two of twenty: sparse
    a, b, c = Matrix.of(A.tolist(), 20), Matrix.of(B.tolist(), 2), Matrix.of(C.tolist(), 20)
    fa, fb, fc = fractions(A), fractions(B), fractions(C)
    assert (
        exact(a) == fa
        and exact(a @ b) == product(fa, fb)
        and exact(a.T) == [list(col) for col in zip(*fa, strict=True)]
    )
    assert exact(a + c) == [[x + y for x, y in zip(p, q, strict=True)] for p, q in zip(fa, fc, strict=True)]
    assert exact(a - c) == [[x - y for x, y in zip(p, q, strict=True)] for p, q in zip(fa, fc, strict=True)]
    assert exact(abs(c)) == [[abs(x) for x in row] for row in fc] and exact(-c) == [[-x for x in row] for row in fc]
    weights = [Fraction(3, 4), Fraction(-5), Fraction(1, 1024)]
    assert exact(c.scale_rows(Matrix.exact(weights))) == [
        [w * x for x in row] for w, row in zip(weights, fc, strict=True)
    ]
    assert exact(c.twice()) == [[2 * x for x in row] for row in fc]
    assert exact(c.take_rows([2, 0])) == [fc[2], fc[0]] and exact(c.take_columns([3, 3, 1])) == [
        [r[3], r[3], r[1]] for r in fc
    ]
    assert (c.take_rows([2]).cols, c.take_columns([3, 1]).cols, a.T.cols, (a @ b).cols) == (20, 2, 3, 2)
    assert (a - a).is_zero() and not a.is_zero()
    assert exact(Matrix.diagonal(weights)) == [[weights[i] if i == j else 0 for j in range(3)] for i in range(3)]
    assert exact(Matrix([[4, 8], [12, 0]], 2, -3).short()) == [[Fraction(1, 2), 1], [Fraction(3, 2), 0]]
    assert Matrix([[4, 8], [12, 0]], 2, -3).short().exponent == -1 and Matrix([[0]], 1, 5).short().is_zero()
    assert Matrix([[3]], 1, 2).at(0) == [[12]] and Matrix([[3]], 1, 2).at(2) == [[3]]


def test_matrices_that_do_not_fit_are_refused() -> None:
    one, wide = Matrix([[1]], 1), Matrix([[1, 2]], 2)
    for call in (lambda: wide @ wide, lambda: one + wide, lambda: Matrix.eye(4097), lambda: wide + wide.T):
        with pytest.raises(Rejected):
            call()
    assert Matrix.eye(2).rows == [[1, 0], [0, 1]]
    symmetric = Symmetric([1, 2])
    with pytest.raises(Rejected, match="shape"):
        symmetric.add(1, 0, one)


def test_symmetric_matrices_are_added_up_from_blocks() -> None:
    """[[1, 2 4], [., 3 5; 5 7]], the block above the diagonal turned; rows begin with what is not zero."""
    matrix = Symmetric([1, 2])
    matrix.add(0, 0, Matrix([[1]], 1))
    matrix.add(0, 1, Matrix([[1, 2]], 2, 1))
    matrix.add(1, 1, Matrix([[3, 5], [5, 7]], 2))
    assert matrix.lower() == ([[1], [2, 3], [4, 5, 7]], 0)
    matrix.add(1, 0, Matrix([[-2], [0]], 1))
    assert matrix.lower() == ([[1], [3], [4, 5, 7]], 0)
    matrix.add(1, 1, Matrix([[1, 0], [0, 1]], 2, -1))
    assert matrix.lower() == ([[2], [7], [8, 10, 15]], -1)
    gram = Symmetric([1, 1])
    gram.add_gram(
        {0: Matrix([[1], [2]], 1), 1: Matrix([[3], [4]], 1)}, {0: Matrix([[1], [2]], 1), 1: Matrix([[3], [4]], 1)}
    )
    assert gram.lower() == ([[5], [11, 25]], 0)
    gap = Symmetric([1, 2, 1])
    gap.add(0, 0, Matrix([[9]], 1))
    gap.add(1, 1, Matrix([[5, 2], [2, 7]], 2))
    gap.add(2, 0, Matrix([[3]], 1))
    gap.add(2, 2, Matrix([[8]], 1))
    assert gap.lower() == ([[9], [5], [2, 7], [3, 0, 0, 8]], 0)
    empty = Symmetric([2, 0, 1])
    empty.add(0, 0, Matrix.eye(2))
    empty.add(2, 2, Matrix([[1]], 1))
    assert empty.lower()[0] == [[1], [1], [1]]
    empty.prove_positive("x")
    with pytest.raises(Rejected, match="x is not proved"):
        matrix.prove_positive("x")


def test_work_is_limited() -> None:
    ck._limit("x", 5, 10**9)
    with pytest.raises(Rejected, match="order 5"):
        ck._limit("x", 5, 10**9 + 1)
    ck._check_chain([10, 500, 500])
    with pytest.raises(Rejected):
        ck._check_chain([10, 700, 700])  # 700 (1400)^2 > 1e9
    with pytest.raises(Rejected):
        ck._check_chain([10, 0, 700, 700])
    ck._check_chain([10, 700, 700], 1)  # 700 * 701^2 + 700 * 710^2 < 1e9
    with pytest.raises(Rejected):
        ck._check_chain([10, 700, 700], 700)


@pytest.mark.parametrize("first", [(0, 0, 0, 1), (0, 1, 0, 1, 0), (0, 0, 2, 1, 0, 3), (0, 1, 1, 0, 2, 2, 1)])
def test_definite_to_one_unit_with_rows_that_begin_anywhere(first: tuple[int, ...]) -> None:
    """A singular product of triangles of that shape, one number of its diagonal moved by one in a million millions."""
    rng = np.random.default_rng(len(first))
    n, unit = len(first), 10**12
    for _ in range(6):
        factor = np.array([[int(rng.integers(1, 6)) * int(first[i] <= j < i) for j in range(n)] for i in range(n)])
        factor += np.diag(rng.integers(1, 6, n))
        factor[:, -1] = 0  # singular
        A = (factor @ factor.T * unit).tolist()
        for change in (-1, 0, 1):
            moved = [row[:] for row in A]
            moved[-1][-1] += change
            ragged = [moved[i][first[i] : i + 1] for i in range(n)]
            assert ck.positive_definite(ragged, -40) is exactly_definite(moved) is (change > 0)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_definite_up_to_a_hair(n: int) -> None:
    """J + h I, J all ones: smallest eigenvalue h; any exponent; rows in full."""
    for exponent in (-300, -61, 0, 200):
        for h, definite in ((1, True), (0, n == 1), (-1, False)):
            unit = 10**12
            lower = [[unit + (h if i == j else 0) for j in range(i + 1)] for i in range(n)]
            assert ck.positive_definite(lower, exponent) is (definite or (n == 1 and unit + h > 0))
    diagonal = [[0] * i + [3] for i in range(n)]
    for radius, definite in ((2, n == 1), (3, False)):
        full = [[radius] * n for _ in range(n)]
        truth = 3 - radius * n > 0
        assert ck.positive_definite(diagonal, 0, full) is truth and (definite or not truth)
    assert (ck._shift(5, 2), ck._shift(5, -1), ck._shift(-5, -1), ck._shift(7, 0)) == (20, 2, -3, 7)


# ------------------------------------------------------------------------------------------------- elementary functions


def close(found: ck.Range, true: flint.arb, digits: int = 55) -> None:
    """The enclosure holds and is within that many digits."""
    low, high = (flint.arb(flint.fmpq(v.numerator, v.denominator)) for v in found)
    assert low <= true <= high
    assert high - low <= abs(true) * flint.arb(10) ** -digits + flint.arb(10) ** -300


ARGUMENTS = [
    Fraction(0),
    Fraction(1, 3),
    Fraction(-5, 7),
    Fraction(3),
    Fraction(-29),
    Fraction(61, 2),
    Fraction(-41),
    Fraction(1, 2**120),
    Fraction(-1, 2**70),
    Fraction(1),
    Fraction(-1),
    Fraction(30),
]


@pytest.mark.parametrize("x", ARGUMENTS)
def test_elementary_functions_to_fifty_digits(x: Fraction, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flint.ctx, "prec", 2500)
    v = flint.arb(flint.fmpq(x.numerator, x.denominator))
    close(ck._exp(-abs(x)), (-abs(v)).exp())
    few = 35 if 0 < abs(x) < Fraction(1, 2**60) else 50  # of a difference of two numbers near 1
    close(ck._expm1(-abs(x)), (-abs(v)).exp() - 1, few)
    close(ck._sigmoid(x), 1 / (1 + (-v).exp()))
    close(ck._sigmoid_slope(x), (-v).exp() / (1 + (-v).exp()) ** 2)
    close(ck._tanh(x), v.tanh(), few)
    close(ck._density(x), (-v * v / 2).exp() / (2 * flint.arb.pi()).sqrt())
    phi = (-v / flint.arb(2).sqrt()).erfc() / 2
    close(ck._distribution(x), phi, 24 if abs(x) > 30 else 50)
    if x >= 0 and x <= 1:
        close(ck._log1p((x, x)), (1 + v).log(), few)
    if x > 0:
        close(ck._sqrt((x, x)), v.sqrt())
    silu = v / (1 + (-v).exp())
    close(ck._silu(x), silu)
    s = 1 / (1 + (-v).exp())
    close(ck._silu_slope(x), s + v * s * (1 - s), 50)
    close(ck._gelu(x), v * phi, 24 if abs(x) > 30 else 50)
    close(ck._gelu_slope(x), phi + v * (-v * v / 2).exp() / (2 * flint.arb.pi()).sqrt(), 20 if abs(x) > 30 else 48)
    assert ck._exp(Fraction(-2001)) == (0, Fraction(1, 2**2800))


def test_ranges() -> None:
    a, b = (Fraction(-1), Fraction(2)), (Fraction(3), Fraction(5))
    assert ck._add(a, b) == (2, 7) and ck._times(Fraction(2), a) == (-2, 4) and ck._times(Fraction(-2), a) == (-4, 2)
    assert ck._product(a, b) == (-5, 10) and ck._product(a, a) == (-2, 4) and ck._hull([b, a]) == (-1, 5)
    assert ck._negative(lambda x: (x, x + 1))(Fraction(3)) == (-4, -3)


def parabola(shape: int | None, least: Fraction = Fraction(1)) -> tuple[ck.Scalar, ck.Scalar]:
    """1 + (x - 1)^2 / 2, or with the other sign."""
    sign = -1 if shape == -1 else 1
    return (
        lambda x: (least + sign * (x - 1) ** 2 / 2,) * 2,
        lambda x: (sign * (x - 1),) * 2,
    )


def test_least_values_of_convex_concave_and_unknown_functions() -> None:
    for a, b in ((0, 3), (0, 1), (1, 3), (Fraction(-1), Fraction(7, 5)), (2, 3), (-3, 0)):
        a, b = Fraction(a), Fraction(b)
        f, slope = parabola(1)
        true = f(min(max(Fraction(1), a), b))[0]
        found = ck._minimum(f, slope, a, b, 1)
        assert true - Fraction(1, 2**60) <= found <= true
        assert ck._minimum(f, slope, a, b, 1, true) <= true
        assert ck._minimum(f, slope, a, b, 1, true - Fraction(1, 1000)) >= true - Fraction(1, 1000)
        g, fall = parabola(-1)
        assert ck._minimum(g, fall, a, b, -1) == min(g(a)[0], g(b)[0])
        wide = ck._minimum(f, slope, a, b, None)
        # f(a) + min(0, f'(a) - (b - a)) (b - a), |f''| <= 1
        assert wide == f(a)[0] + min(Fraction(0), slope(a)[0] - (b - a)) * (b - a) and wide <= true
        assert ck._minimum(lambda x: (2 * x, 2 * x), lambda x: (Fraction(2),) * 2, a, b, 0) == 2 * a


@pytest.mark.parametrize("below", [Fraction(0), Fraction(1, 10**6), Fraction(1, 3)])
@pytest.mark.parametrize("above", [Fraction(0), Fraction(1, 10**6), Fraction(1, 3)])
def test_least_values_where_slopes_are_known_roughly(below: Fraction, above: Fraction) -> None:
    """Where the sign of the slope is not known the least value is as far below as the slope allows on either side."""
    f, slope = parabola(1)
    near = (Fraction(4, 5), 3), (Fraction(-1), Fraction(6, 5)), (Fraction(4, 5), Fraction(6, 5))
    for a, b in (*near, (0, 3), (Fraction(1, 2), Fraction(7, 4)), (0, Fraction(21, 10)), (Fraction(1, 10), 9)):
        found = ck._minimum(f, lambda x: (slope(x)[0] - below, slope(x)[1] + above), Fraction(a), Fraction(b), 1)
        assert 1 - (below + above) * (b - a) - Fraction(1, 10**9) <= found <= 1


@pytest.mark.parametrize("side", [1, -1])
def test_least_values_where_a_slope_may_be_almost_zero_and_is_not(side: int) -> None:
    """Between 1 and 1.4 all that is known of the slope x - 1 is that it lies in [-1e-6, x - 1]; and mirrored at 1."""

    def rough(x: Fraction) -> ck.Range:
        at = x - 1
        return (Fraction(-100), at) if at < 0 else (Fraction(-1, 10**6), at) if at < Fraction(2, 5) else (at, at)

    def slope(x: Fraction) -> ck.Range:
        low, high = rough(1 + side * (x - 1))
        return (low, high) if side > 0 else (-high, -low)

    ends = sorted(1 + side * v for v in (Fraction(-1, 10), Fraction(9, 20)))
    assert ck._minimum(parabola(1)[0], slope, *ends, 1) <= 1


def test_what_a_factor_leaves_is_asked_of_every_row() -> None:
    """[10023 2099; 2099 424] is indefinite: its factor [100 0; 20 1] leaves 99 beside the diagonal, and c is 23."""
    rows, bits = [[10023], [2099, 424], [0, 0, 1000]], 1
    assert 10023 * 424 < 2099**2
    for order in ((0, 1, 2), (2, 0, 1)):
        lower = [[rows[max(i, j)][min(i, j)] for j in order[: k + 1]] for k, i in enumerate(order)]
        assert not ck._factor(lower, -2 * bits, [0, 0, 0], bits, None)
    assert ck._factor([[10023], [2000, 424], [0, 0, 1000]], -2 * bits, [0, 0, 0], bits, None)
