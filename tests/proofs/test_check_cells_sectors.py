"""The parts of the checker that prove sectors: slopes, secants, deviations and matrices with radii, at their worst."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest

from lipctrl.networks.activation import activation
from lipctrl.proofs import check_cells as cc
from lipctrl.proofs.check_cells import Deviation, Near, Rejected

CLOSE = 1 + 1e-9
LIMIT = 0.75
#: function and derivative, in long doubles
FUNCTIONS: dict[str, tuple[Any, Any]] = {
    "sin": (np.sin, np.cos),
    "cos": (np.cos, lambda v: -np.sin(v)),
    "square": (lambda v: v * v, lambda v: 2 * v),
    "sqrt": (np.sqrt, lambda v: 0.5 / np.sqrt(v)),
    "exp": (np.exp, np.exp),
    "tanh": (np.tanh, lambda v: 1 - np.tanh(v) ** 2),
    "arctan": (np.arctan, lambda v: 1 / (1 + v * v)),
    "abs": (np.abs, lambda v: np.where(v < 0, -1.0, 1.0)),
    "at_least": (lambda v: np.maximum(v, LIMIT), lambda v: np.where(v < LIMIT, 0.0, 1.0)),
    "at_most": (lambda v: np.minimum(v, LIMIT), lambda v: np.where(v < LIMIT, 1.0, 0.0)),
}
KINKS = {"abs": 0.0, "at_least": LIMIT, "at_most": LIMIT}


def intervals(name: str) -> list[tuple[float, float]]:
    """About zero and kinks, on both sides of them, ending at them; narrow, wide, points; positive for the root."""
    middle = KINKS.get(name, 0.0)
    sides = [
        (-1, 2),
        (-2, 1),
        (-3, -1),
        (0.5, 2),
        (0, 1),
        (-1, 0),
        (1, 1),
        (-1.5, -1.5),
        (0, 0),
        (-6, 7),
        (1, 1.001),
        (-2, -0.5),
        (-0.5, 0.25),
    ]
    moved = [(middle + a, middle + b) for a, b in sides]
    return [(a + 7.5, b + 7.5) for a, b in moved] if name == "sqrt" else moved


@pytest.mark.parametrize("name", FUNCTIONS)
def test_slopes_are_bounded_on_intervals_and_closely(name: str) -> None:
    assert set(FUNCTIONS) == set(cc._SLOPES)
    slopes, derivative = cc._SLOPES[name](LIMIT), FUNCTIONS[name][1]
    for lo, hi in intervals(name):
        least, most = (float(np.ravel(end)[0]) for end in slopes(np.array([lo]), np.array([hi])))
        v = np.linspace(np.longdouble(lo), np.longdouble(hi), 2001)
        true = derivative(v)
        if name in KINKS and lo <= KINKS[name] <= hi:  # both slopes are Clarke's
            true = np.concatenate([true, derivative(np.array([KINKS[name] - 1, KINKS[name] + 1]))])
        assert least <= true.min() and true.max() <= most
        spread = (hi - lo) ** 2 if name in ("sin", "cos") else 0.0  # by Taylor's formula about the middle
        assert least >= true.min() - 1e-6 - spread and most <= true.max() + 1e-6 + spread


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("reach", [1e-3, 0.5, 2.0])
def test_secants_and_what_a_line_leaves(name: str, reach: float) -> None:
    """(phi(v + d) - phi(v)) / d and |phi(v + d) - phi(v) - line d| for v in an interval and |d| <= reach."""
    function = FUNCTIONS[name][0]
    for lo, hi in intervals(name)[:9]:
        hi = min(hi, lo + 0.25)
        for line in (0.0, 0.7):
            low, high, error = cc._secants(
                cc._SLOPES[name](LIMIT), np.array([lo]), np.array([hi]), np.array([reach]), np.array([line])
            )
            v = np.linspace(np.longdouble(lo), np.longdouble(hi), 7)[:, None]
            d = reach * np.concatenate([np.linspace(-1, 1, 401)]).astype(np.longdouble)
            rise, some = function(v + d) - function(v), d != 0
            assert np.all(low[0] <= (rise[:, some] / d[some]) + 1e-12) and np.all(
                rise[:, some] / d[some] - 1e-12 <= high[0]
            )
            assert np.all(np.abs(rise - line * d) <= error[0] + 1e-15)
            width = float((rise[:, some] / d[some]).max() - (rise[:, some] / d[some]).min())
            steep = float(np.abs(rise).max() / reach)
            assert high[0] - low[0] <= 1.1 * width + 0.05 * (1 + steep) + 4 * (hi - lo) * (1 + steep)


def test_a_straight_function_has_no_error() -> None:
    """Where all slopes are the line's; with another line there is one."""
    given = (cc._SLOPES["at_least"](LIMIT), np.array([3.0]), np.array([3.5]), np.array([1.0]))
    low, high, error = cc._secants(*given, np.array([1.0]))
    assert (low[0], high[0], error[0]) == (1.0, 1.0, 0.0)
    assert 0.5 <= cc._secants(*given, np.array([0.5]))[2][0] <= 0.501


# ------------------------------------------------------------------------------------------------ matrices with radii


def exact(matrix: Any) -> list[list[Fraction]]:
    return [[Fraction(float(v)) for v in row] for row in np.asarray(matrix)]


def holds(found: Near, true: list[list[Fraction]]) -> bool:
    return all(
        abs(Fraction(float(m)) - t) <= Fraction(float(r))
        for mids, rads, row in zip(found.mid, found.rad, true, strict=True)
        for m, r, t in zip(mids, rads, row, strict=True)
    )


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("scale", [1.0, 1e-160])
def test_products_and_sums_of_matrices_hold_every_member(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    A, B, C = (scale * rng.standard_normal(shape) for shape in ((2, 3), (3, 2), (2, 2)))
    for some in (0.0, 1e-3 * scale):
        for signs in product((-1.0, 1.0), repeat=3):
            a, b, c = (Near(M, np.full(M.shape, some)) for M in (A, B, C))
            x, y, z = (exact(M + sign * some * 0.999) for M, sign in zip((A, B, C), signs, strict=True))
            times = [[sum(x[i][k] * y[k][j] for k in range(3)) for j in range(2)] for i in range(2)]
            plus = [[times[i][j] + z[i][j] for j in range(2)] for i in range(2)]
            assert holds(a @ b, times) and holds((a @ b) + c, plus)
            assert holds(-c, [[-v for v in row] for row in z]) and holds(
                c.T, [list(row) for row in zip(*z, strict=True)]
            )
            factors = np.array([0.1, -3.0])
            assert holds(
                c.scaled(factors), [[Fraction(float(f)) * v for v in row] for f, row in zip(factors, z, strict=True)]
            )
    plain = Near(A) @ Near(B)
    assert np.allclose(plain.mid, A @ B, rtol=1e-12) and np.max(plain.rad) <= 1e-13 * scale**2 + 2.0**-890


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("grade", [0, 200])
def test_definite_are_those_whose_radii_leave_room(n: int, grade: int) -> None:
    """(1 + d) I - J / n, of least eigenvalue d, with radii r everywhere: definite for all of them if n r < d."""
    scale = np.ldexp(1.0, np.linspace(-grade, grade, n).astype(int))
    for d in (1e-6, 0.5):
        mid = (1 + d) * np.eye(n) - np.full((n, n), 1 / n)
        for share, proved in ((0.0, True), (0.05, True), (1.001, False), (3.0, False)):
            rad = np.full((n, n), share * d / n)
            assert Near(mid * np.outer(scale, scale), rad * np.outer(scale, scale)).definite() is proved
    skew = np.zeros((n, n))
    if n > 1:
        skew[0, 1] = 1.9  # symmetric members: between [1 1.9] and [1 0]
        assert not Near(np.eye(n) + skew).definite()
    assert not Near(np.zeros((n, n))).definite() and not Near(-np.eye(n)).definite()
    for bad in (np.nan, np.inf):
        assert not Near(np.full((n, n), bad)).definite() and not Near(np.eye(n), np.full((n, n), bad)).definite()


def test_every_rounding_of_products_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of sums of n products; of R R' less a matrix less c: two more."""
    counts: list[int] = []
    monkeypatch.setattr(cc, "_gamma", lambda n: counts.append(n) or 2.0 * n * cc.U)
    for n in (1, 3, 6):
        counts.clear()
        assert Near(np.eye(n)).definite() and min(counts) >= n + 2
        counts.clear()
        assert np.max((Near(np.ones((2, n))) @ Near(np.ones((n, 2)))).rad) > 0 and min(counts) >= n


# --------------------------------------------------------------------------------------------------------- deviations


class Recorded(cc.Sectors):
    """With n = 2 states; the bounds of the last signal are kept, and its sector is stated as wide as they are."""

    def __init__(self, line: float = 0.3, spare: float = 0.0) -> None:
        self.loop: Any = type("Two", (), {"n": 2})()
        self.width, self.used, self.place = 6, 0, 2
        self.kept, self.total = np.zeros(6, dtype=bool), Near(np.zeros((6, 6)))
        self.blocks, self.line, self.spare = [], line, spare

    def _signal(self, v: Deviation, bounds: Any, rest: Any) -> Deviation:
        lines = np.full(len(v.r), self.line)
        self.last = bounds(lines)
        low, high, _ = self.last
        self.blocks.append(np.stack([low - self.spare, high + self.spare, lines, np.ones(len(lines))], axis=1))
        return super()._signal(v, bounds, rest)


def deviation(lo: float, hi: float, G: Any, r: float, kind: int = cc.STATE) -> Deviation:
    rows = np.zeros((1, 6))
    rows[0, 0] = 1.0 if kind == cc.STATE else 0.0
    return Deviation((np.array([lo]), np.array([hi])), Near(rows), np.array([G], dtype=float), np.array([r]), kind)


@pytest.mark.parametrize("size", [0.1, 1.0, 1e5, 1e9, 7e12])
def test_ranges_hold_the_rest_and_the_reach(size: float) -> None:
    """1.3 + .4 to both sides, in fractions."""
    rng, reach = np.random.default_rng(0), Fraction(1.3) + Fraction(0.4)
    for _ in range(30):
        rest = np.sort(size * rng.uniform(-1, 1, 2) * rng.permutation([1.0, rng.choice([0.0, 1.0])]))
        lo, hi = deviation(*rest, [1.3, 0.0], 0.4).range()
        assert Fraction(float(lo[0])) <= Fraction(rest[0]) - reach and Fraction(rest[1]) + reach <= Fraction(
            float(hi[0])
        )
        away = 1.7 * CLOSE + 1e-14 * size
        assert lo[0] >= rest[0] - away and hi[0] <= rest[1] + away


def test_linear_maps_of_deviations() -> None:
    """M (G z + d) is in {G' z + d'} for M and d at their ends; roundings of .1 times .3 count."""
    both = cc._stack([deviation(1.0, 1.0, [2.0, -1.0], 0.5), deviation(0.0, 0.0, [0.5, 4.0], 0.25)])
    M, rad = np.array([[2.0, -3.0]]), np.array([[0.25, 0.5]])
    moved = both.moved(Near(M, rad), (np.zeros(1), np.zeros(1)))
    for signs, d, z in product(
        product((-1, 1), repeat=2), product((-0.5, 0.5), (-0.25, 0.25)), ([0.6, 0.8], [1, 0], [0.6, -0.8])
    ):
        assert abs((M[0] + signs * rad[0]) @ (both.G @ z + d) - moved.G[0] @ z) <= moved.r[0]
    assert moved.r[0] <= (np.abs(M) + rad)[0] @ [0.5, 0.25] + np.linalg.norm(rad @ np.abs(both.G)) + 1e-9
    tenth = deviation(0.0, 0.0, [0.3, 0.7], 0.0).moved(Near(np.array([[0.1]])), (np.zeros(1), np.zeros(1)))
    errors = [Fraction(0.1) * Fraction(g) - Fraction(float(h)) for g, h in zip([0.3, 0.7], tenth.G[0], strict=True)]
    assert any(errors) and sum(e**2 for e in errors) <= Fraction(float(tenth.r[0])) ** 2


def test_intervals_as_matrices() -> None:
    for lo, hi in ((1.0, 3.0), (-0.1, 0.3), (0.1, 0.1), (1e300, 1.1e300)):
        one = cc._interval(np.array([lo]), np.array([hi]))
        mid, rad = Fraction(float(one.mid[0, 0])), Fraction(float(one.rad[0, 0]))
        assert mid - rad <= Fraction(lo) and Fraction(hi) <= mid + rad
        assert one.rad[0, 0] <= (hi - lo) / 2 * CLOSE + 1e-15 * abs(lo) + 1e-250 and one.mid.shape == (1, 1)


@pytest.mark.parametrize("divisor", [(0.3, 0.7), (-0.7, -0.3), (3.0, 3.0), (1e-3, 1e3)])
def test_quotients_are_gains_of_the_divisors_range(divisor: tuple[float, float]) -> None:
    """1 / b for every b in the range, in fractions; w = (da - q* db) / b."""
    sectors, a = Recorded(), deviation(2.0, 2.0, [0.5, 0.25], 0.0)
    b = deviation(*divisor, [0.0, 0.01 * divisor[0]], 0.0)
    middle = sum(divisor) / 2
    rest = 2.0 / np.array([max(divisor)]), 2.0 / np.array([min(divisor)])
    rest = np.minimum(*rest), np.maximum(*rest)
    out = sectors._quotient(a, b, rest)
    low, high, _ = (Fraction(float(part[0])) for part in sectors.last)
    for end in b.range():
        assert low <= 1 / Fraction(float(end[0])) <= high
    ends = sorted(1 / float(end[0]) for end in b.range())
    assert [float(low), float(high)] == pytest.approx(ends, rel=1e-12)
    if divisor[0] == divisor[1]:
        for z in ([0.6, 0.8], [1.0, 0.0], [-0.6, 0.8], [0.0, -1.0]):
            true = (2 + a.G[0] @ z) / (middle + b.G[0] @ z) - 2 / middle
            assert abs(true - out.G[0] @ z) <= out.r[0]
    constant = Deviation((b.lo, b.hi), b.rows, 0 * b.G, b.r, cc.CONSTANT)
    assert sectors._quotient(a, constant, rest).kind == cc.STATE
    for wrong in ((-0.1, 0.1), (0.0, 1.0), (-1.0, 0.0), (0.004, 1.0)):
        with pytest.raises(Rejected, match="divisor"):
            sectors._quotient(a, deviation(*wrong, [0.0, 0.005], 0.0), rest)


@pytest.mark.parametrize("gain", [(1.0, 3.0), (-3.0, -1.0), (0.1, 0.1), (-1.0, 2.0)])
@pytest.mark.parametrize("line", [0.3, 2.0, -1.0])
def test_gains_at_their_ends(gain: tuple[float, float], line: float) -> None:
    """|g dv - line G z| for dv = G z + d."""
    sectors, v = Recorded(line), deviation(1.0, 1.0, [3.0, 4.0], 2.0)
    out = sectors._gain(*(np.array([g]) for g in gain), v, (np.zeros(1), np.zeros(1)))
    low, high, error = sectors.last
    assert low[0] <= gain[0] and gain[1] <= high[0]
    worst = max(abs(g - line) for g in gain)
    assert 7 * worst <= error[0] <= 7 * worst * CLOSE + 1e-12
    for g, z, d in product(gain, ([0.6, 0.8], [-0.6, -0.8], [0.8, -0.6]), (-2.0, 2.0)):
        assert abs(g * (v.G[0] @ z + d) - out.G[0] @ z) <= out.r[0]


def test_products_of_every_kind() -> None:
    """a b - a* b* = b* da + a db, the factor that does not depend on the state first."""
    for kind, b in product((cc.CONSTANT, cc.PARAMETER, cc.STATE), (0.25, -0.5)):
        sectors = Recorded()
        a = deviation(3.0, 3.0, [0.0, 0.0] if kind < cc.STATE else [0.5, -1.0], 0.0, kind)
        x = deviation(b, b, [1.0, 2.0], 0.0)
        for given in ([a, x], [x, a]):
            out = sectors._instruction("mul", given, 0.0, (np.array([3 * b]),) * 2)
            assert out.kind == cc.STATE
            for z in ([0.6, 0.8], [1.0, 0.0], [-0.6, 0.8], [0.0, -1.0]):
                true = (3 + a.G[0] @ z) * (b + x.G[0] @ z) - 3 * b
                assert abs(true - out.G[0] @ z) <= out.r[0] + 1e-15
        assert sectors.used == (0 if kind == cc.CONSTANT else 2)
    low = sectors._instruction(
        "mul", [deviation(2.0, 3.0, [0, 0], 0.0, cc.PARAMETER)] * 2, 0.0, (np.ones(1), np.ones(1))
    )
    assert low.kind == cc.PARAMETER and not np.any(low.rows.mid) and not np.any(low.G) and not np.any(low.r)


@pytest.mark.parametrize(("name", "signs"), [("add", (1.0, 1.0)), ("sub", (1.0, -1.0)), ("neg", (-1.0,))])
def test_sums_and_signs_are_linear(name: str, signs: tuple[float, ...]) -> None:
    given = [deviation(2.0, 2.5, [0.5, 0.0], 0.25), deviation(4.0, 4.5, [1.0, 3.0], 0.5)][: len(signs)]
    given[-1].rows.mid[0, 1] = 7.0
    sectors = Recorded()
    out = sectors._instruction(name, given, 0.0, (np.array([1.0]), np.array([2.0])))
    assert sectors.used == 0 and (out.lo[0], out.hi[0], out.kind) == (1.0, 2.0, cc.STATE)
    assert np.array_equal(out.rows.mid, sum(s * part.rows.mid for s, part in zip(signs, given, strict=True)))
    assert np.array_equal(out.G, sum(s * part.G for s, part in zip(signs, given, strict=True)))
    assert sum(part.r[0] for part in given) <= out.r[0] <= sum(part.r[0] for part in given) * CLOSE


def test_a_signal_by_hand() -> None:
    """w = middle dv + half s, and t (s - dv)(s + dv) twice; a sector of no width is no signal."""
    v = cc._stack([deviation(0.0, 0.0, [1.0, 0.0], 0.0), deviation(0.0, 0.0, [0.0, 1.0], 0.0)])
    for alpha, beta in ((0.1, 0.7), (-0.3, 0.1), (0.2, 0.2)):
        sectors = Recorded()
        sectors.blocks = [np.array([[alpha, beta, 0.3, 2.0], [0.0, 1.0, 0.5, 3.0]])]
        bounds = (
            np.array([max(alpha, 0.1) if alpha < beta else alpha, 0.0]),
            np.array([min(beta, 0.7), 1.0]),
            np.ones(2),
        )
        out = cc.Sectors._signal(sectors, v, lambda line, bounds=bounds: bounds, (np.zeros(2), np.zeros(2)))
        rows, rads = out.rows.mid, out.rows.rad
        middle, half = Fraction(float(rows[0, 0])), Fraction(float(rows[0, 2]))
        spare = Fraction(float(rads[0, 0] + rads[0, 2]))
        assert (
            half + spare >= max(Fraction(beta) - middle, middle - Fraction(alpha)) >= half - spare - Fraction(1, 2**50)
        )
        nextup = np.nextafter(max(beta - rows[0, 0], rows[0, 0] - alpha), np.inf) if alpha < beta else 0.0
        assert rows[0, 2] == nextup and list(sectors.kept) == [False, False, alpha < beta, True, False, False]
        xi = np.array([1.5, 0.0, -0.5, 0.25, 0.0, 0.0])  # dv = 1.5 both, s = -.5 and .25
        t = np.array([2.0 if alpha < beta else 0.0, 3.0])
        assert xi @ sectors.total.mid @ xi == pytest.approx(t @ (xi[2:4] ** 2 - 1.5**2), rel=1e-12)
        assert np.all(out.r >= 1.0) and np.array_equal(out.G, [[0.3, 0.0], [0.0, 0.5]])
    for wrong, words in (
        ([0.2, 0.7, 0.3, 1.0], "do not hold"), ([0.1, 0.6, 0.3, 1.0], "do not hold"), ([0.7, 0.1, 0.3, 1.0], "empty"),
        ([0.1, 0.7, 0.3, -1.0], "negative"), ([0.0, 0.7, np.nan, 1.0], "not bounded"),
    ):  # fmt: skip
        sectors = Recorded()
        sectors.blocks = [np.array([[0.0, 1.0, 0.5, 1.0], wrong])]
        low, high = np.array([0.1, 0.1]), np.array([0.7, 0.7])
        with pytest.raises(Rejected, match=words):
            cc.Sectors._signal(sectors, v, lambda line: (low, high, np.abs(line)), (np.zeros(2), np.zeros(2)))  # noqa: B023
    for blocks, words in (([], "fewer sectors"), ([np.ones((1, 4))], "wrong size")):
        sectors = Recorded()
        sectors.blocks = blocks
        with pytest.raises(Rejected, match=words):
            cc.Sectors._signal(sectors, v, lambda line: bounds, (np.zeros(2), np.zeros(2)))


def test_rest_values_of_a_cosine_near_its_turns() -> None:
    for v in (0.0, math.pi, 1.0, 1e6):
        for half in (0.0, 1e-8, 0.1, 4.0):
            low, high = (float(end[0]) for end in cc._cosine(np.array([v]), np.array([half])))
            true = np.cos(v + np.linspace(-half, half, 401).astype(np.longdouble))
            assert low <= true.min() and true.max() <= high and low >= -1.0 and high <= 1.0
            assert low >= true.min() - 1e-9 - half**2 and high <= true.max() + 1e-9 + half**2


@pytest.mark.parametrize("kind", ["tanh", "sigmoid", "relu", "hardtanh", "gelu", "silu", "softplus", "elu"])
def test_slopes_of_neurons_on_all_of_r_are_those_of_the_function(kind: str) -> None:
    """Of what is not bounded, nothing but the least and the greatest slope is claimed."""
    given = {
        "elu": {"alpha": (1.0).hex()},
        "softplus": {"beta": (1.0).hex()},
        "hardtanh": {"low": (-1.0).hex(), "high": (1.0).hex()},
    }
    layer = cc.Layer({"type": kind, "n": 1, **{k: [v] for k, v in given.get(kind, {}).items()}})
    for lo, hi in ((-np.inf, np.inf), (-np.inf, 0.0), (0.0, np.inf), (-1e308, 1e308), (-5.0, 5.0)):
        with np.errstate(all="ignore"):
            least, most = (float(np.ravel(end)[0]) for end in layer.slopes(np.array([lo]), np.array([hi])))
        inner = np.linspace(max(lo, -5.0), min(hi, 5.0), 4001)
        rise = np.diff(activation(kind, 1).value(inner[:, None])[:, 0]) / np.diff(inner)
        assert not (least > rise.min() + 1e-9 or most < rise.max() - 1e-9)  # NaN claims nothing
        assert not (least < -0.2 or most > 1.2)


@pytest.mark.parametrize("a", [0.1, -0.5, 3.0, 0.999999])
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e7])
def test_lines_of_leaky_rectifiers_in_fractions(a: float, size: float) -> None:
    """At the ends and at the kink, where the difference is largest."""
    rng = np.random.default_rng(0)
    layer = cc.Layer({"type": "leaky_relu", "n": 1, "negative_slope": [a.hex()]})
    for _ in range(40):
        lo, hi = np.sort(size * rng.uniform(-1, 1, 2))
        slope, shift, error = (
            Fraction(float(np.ravel(part)[0])) for part in layer.line(np.array([lo]), np.array([hi]))
        )
        for v in (lo, hi, *([0.0] if lo < 0 < hi else [])):
            true = Fraction(float(v)) * (Fraction(a) if v < 0 else 1)
            assert abs(true - slope * Fraction(float(v)) - shift) <= error


def test_neurons_are_bounded_about_all_values_at_rest() -> None:
    """W = (2; -1; 1/2) after a gain: secants of tanh from every v in its range at rest, which is wide."""
    sectors = Recorded(line=0.3)
    network = cc.Network(
        {
            "layers": [
                {"type": "affine", "W": [[(2.0).hex()], [(-1.0).hex()], [(0.5).hex()]], "b": [(9.0).hex()] * 3},
                {"type": "tanh", "n": 3},
                {"type": "affine", "W": [[(1.0).hex(), (-2.0).hex(), (4.0).hex()]], "b": [(0.0).hex()]},
            ]
        },
        False,
    )
    sectors.loop.network = network
    lo, hi = np.array([-2.0, 0.25, -0.5]), np.array([0.5, 3.0, -0.25])
    y = deviation(0.0, 0.0, [0.3, 0.4], 0.25)
    out = sectors._network(y, [(lo[None], hi[None])])
    low, high, error = sectors.last
    reach = np.array([2.0, 1.0, 0.5]) * 0.75
    for i in range(3):
        v = np.linspace(lo[i], hi[i], 201)[:, None]
        d = reach[i] * np.linspace(-1, 1, 201)
        rise, some = np.tanh(v + d) - np.tanh(v), np.abs(d) > 1e-9
        secants = rise[:, some] / d[some]
        assert low[i] <= secants.min() + 1e-12 and secants.max() - 1e-12 <= high[i]
        assert low[i] >= secants.min() - 0.02 and high[i] <= secants.max() + 0.02
        assert np.abs(rise - 0.3 * d).max() <= error[i] <= 1.5 * np.abs(rise - 0.3 * d).max()
    # what deviates: G by 0.3 W, then the last row; the rows are those of the signals
    W, V = np.array([[2.0], [-1.0], [0.5]]), np.array([[1.0, -2.0, 4.0]])
    assert np.allclose(out.G, V @ (0.3 * W @ y.G)) and out.kind == cc.STATE
    exact = np.abs(V[0]) @ (0.3 * np.abs(W[:, 0]) * 0.25 + error)
    assert exact <= out.r[0] <= exact * CLOSE
    middle, half = (low + high) / 2, (high - low) / 2
    rows = np.zeros(6)
    rows[0], rows[2:5] = V[0] @ (middle * W[:, 0]), V[0] * half
    assert np.allclose(out.rows.mid[0], rows, atol=1e-12) and np.all(out.rows.rad < 1e-12)
    assert (sectors.used, sectors.place) == (1, 5)


def test_secants_of_a_parabola_in_closed_form() -> None:
    """phi' = v: on pieces of length L = R / 1024 sums of slopes are n v + L n (n + 1) / 2, n = 1024 at most."""
    a, b, R, n = 0.3, 0.7, 0.25, cc.PIECES
    L = R / n
    for line in (-1.0, a - L, 0.45, b + R / 4, 2.0):
        low, high, error = (
            float(part[0])
            for part in cc._secants(
                lambda lo, hi: (lo, hi), np.array([a]), np.array([b]), np.array([R]), np.array([line])
            )
        )
        assert low == pytest.approx(a - L * (n + 1) / 2, abs=1e-10) and high == pytest.approx(
            b + L * (n + 1) / 2, abs=1e-10
        )
        assert low <= a - L * (n + 1) / 2 and b + L * (n + 1) / 2 <= high
        count = np.arange(1, n + 1)
        above = max(
            0.0,
            np.max(count * (b - line) + L * count * (count + 1) / 2),
            np.max(count * (b - line) - L * count * (count - 1) / 2),
        )
        below = min(
            0.0,
            np.min(count * (a - line) - L * count * (count + 1) / 2),
            np.min(count * (a - line) + L * count * (count - 1) / 2),
        )
        exact = max(above, -below) * L
        assert exact <= error <= exact * (1 + 1e-9) + 1e-11
    constant = cc._secants(lambda lo, hi: (np.full_like(lo, 2.0),) * 2, *(np.array([v]) for v in (a, b, R, 2.0)))
    assert [float(part[0]) for part in constant] == [2.0, 2.0, 0.0]
    tilted = cc._secants(lambda lo, hi: (np.full_like(lo, 2.0),) * 2, *(np.array([v]) for v in (a, b, R, 2.0 + 1e-9)))
    assert 1e-9 * R <= tilted[2][0] <= 1.2e-9 * R
    wide = cc._secants(
        lambda lo, hi: (np.full_like(lo, 2.0), np.full_like(lo, 3.0)), *(np.array([v]) for v in (a, b, R, 2.0))
    )
    assert [float(wide[0][0]), float(wide[1][0])] == [2.0, 3.0] and R <= wide[2][0] <= R * CLOSE


def test_pieces_of_secants_cover_what_is_between() -> None:
    """Every point within the reach lies in the piece that counts for it, in fractions; 0.1 has no end."""
    for lo, hi, reach in (
        (0.1, 0.1, 0.3),
        (-1e6, -1e6 + 0.1, 1e-3),
        (1e9, 1e9, 7.0),
        (1e-9, 1e-9, 7.3),
        (-1e6, 0.1, 1.0),
        (0.1, 1e6, 1.0),
    ):
        seen: list[tuple[np.ndarray, np.ndarray]] = []

        def slopes(starts: np.ndarray, stops: np.ndarray, seen: Any = seen) -> Any:
            seen.append((starts, stops))
            return np.zeros_like(starts), np.ones_like(starts)

        cc._secants(slopes, np.array([lo]), np.array([hi]), np.array([reach]), np.array([0.0]))
        (starts, stops) = seen[0]
        assert starts.shape == stops.shape == (2, cc.PIECES, 1)
        length = Fraction(float(cc._up(reach / cc.PIECES)))
        assert Fraction(reach) <= cc.PIECES * length
        for k in range(cc.PIECES):
            right = Fraction(lo) + k * length, Fraction(hi) + (k + 1) * length
            left = Fraction(lo) - (k + 1) * length, Fraction(hi) - k * length
            for side, (low, high) in enumerate((right, left)):
                assert Fraction(float(starts[side, k, 0])) <= low and high <= Fraction(float(stops[side, k, 0]))
                room = Fraction(1, 10**9) * Fraction(reach) + Fraction(abs(lo) * 4e-15)
                assert (
                    low - room <= Fraction(float(starts[side, k, 0]))
                    and Fraction(float(stops[side, k, 0])) <= high + room
                )


def test_products_with_constants_that_are_intervals() -> None:
    """A computed constant lies between two numbers; a parameter between its ends."""
    sectors, x = Recorded(), deviation(0.5, 0.5, [1.0, 2.0], 0.125)
    rest = (np.array([1.0]), np.array([1.5]))
    out = sectors._product(deviation(2.0, 3.0, [0.0, 0.0], 0.0, cc.CONSTANT), x, rest)
    assert out.rows.mid[0, 0] == 2.5 and 0.5 <= out.rows.rad[0, 0] <= 0.5 * CLOSE
    exact = 3 * 0.125 + 0.5 * np.sqrt(5)
    assert np.allclose(out.G, [[2.5, 5.0]]) and exact <= out.r[0] <= exact * CLOSE and sectors.used == 0
    quotient = sectors._quotient(x, deviation(2.0, 4.0, [0.0, 0.0], 0.0, cc.CONSTANT), rest)
    assert quotient.rows.mid[0, 0] == pytest.approx(0.375) and 0.125 <= quotient.rows.rad[0, 0] <= 0.125 * (1 + 1e-8)
    below = sectors._quotient(x, deviation(-4.0, -2.0, [0.0, 0.0], 0.0, cc.CONSTANT), rest)
    assert below.rows.mid[0, 0] == pytest.approx(-0.375) and 0.125 <= below.rows.rad[0, 0] <= 0.125 * (1 + 1e-8)
    for lo, hi in ((3.0, 7.0), (-7.0, -3.0), (0.1, 0.3)):  # 1 / b at both ends in fractions
        found = sectors._quotient(x, deviation(lo, hi, [0.0, 0.0], 0.0, cc.CONSTANT), rest).rows
        mid, rad = Fraction(float(found.mid[0, 0])), Fraction(float(found.rad[0, 0]))
        assert mid - rad <= 1 / Fraction(hi) and 1 / Fraction(lo) <= mid + rad
    # the quotient at rest between two numbers: da - q* db
    both = Recorded(0.3)
    both._quotient(
        deviation(0.0, 0.0, [1.0, 0.0], 0.25),
        deviation(1.0, 1.0, [0.0, 0.125], 0.0),
        (np.array([2.0]), np.array([4.0])),
    )
    assert len(both.blocks) == 1 and both.kept.tolist() == [False, False, True, False, False, False]
    reach = np.linalg.norm([1.0, 3 * 0.125]) + 0.25 + 0.125
    assert both.last[2][0] == pytest.approx(max(1 / 0.875 - 0.3, 0) * reach, rel=1e-6)


def test_registers_keep_their_own_values_at_rest() -> None:
    """x y, then (x y) / y: each factor of a product is taken where it rests."""
    sectors = Recorded()
    code: list[list[Any]] = [["mul", 0, 1], ["add", 3, 2], ["mul", 4, 1], ["div", 5, 1], ["at_least", 6, 2]]
    program = cc.Program(
        {"inputs": 2, "constants": [(0.5).hex()], "code": code, "outputs": [3, 4, 5, 6, 7, 0]}, 2, 6, "p"
    )
    rest = [cc.Number(form) for form in cc._box_between(np.array([[2.0, 3.0]]), np.array([[2.0, 3.0]]))]
    given = [deviation(2.0, 2.0, [0.01, 0.0], 0.0), deviation(3.0, 3.0, [0.0, 0.01], 0.0)]
    numbers, parts = sectors._program(program, rest, given)
    for number, part, value in zip(numbers, parts, (6.0, 6.5, 19.5, 6.5, 6.5, 2.0), strict=True):
        for lo, hi in ((number.value.range()), (part.lo, part.hi)):
            assert value - 1e-9 <= lo[0] <= value <= hi[0] <= value + 1e-9
    assert parts[-1] is given[0] and sectors.used == 4
    gains = [block[0, :2] for block in sectors.blocks]
    for (low, high), value in zip(gains, (2.0, 6.5, 1 / 3, 1.0), strict=True):
        assert low <= value <= high <= value + 0.1


class Watched(cc.Sectors):
    """Keeps what the programs are given."""

    def _program(self, program: cc.Program, rest: Any, given: Any) -> Any:
        self.__dict__.setdefault("seen", []).append((list(rest), list(given)))
        return super()._program(program, rest, given)


def test_what_deviates_at_first() -> None:
    """e = S z, abs(z) <= radius (1 + 2 gap); parameters and constants do not deviate."""
    T = np.array([[2.0, 1.0], [0.0, 0.5]])
    zero = {"layers": [{"type": "affine", "W": [[(0.0).hex()] * 2], "b": [(0.0).hex()]}]}
    code: list[list[Any]] = [["mul", 0, 4], ["mul", 1, 4], ["mul", 5, 3], ["add", 7, 2]]
    fields = {
        "name": "line",
        "dt": (1.0).hex(),
        "step": {"inputs": 4, "constants": [(0.5).hex()], "code": code, "outputs": [8, 6]},
        "observe": {"inputs": 3, "constants": [], "code": [], "outputs": [0, 1]},
        "parameters": [{"name": "p", "lower": (0.5).hex(), "upper": (0.75).hex()}],
    }
    line = cc.Loop(zero, fields, 2)
    core = cc.Ellipsoid(
        {"center": [(0.0).hex()] * 2, "T": [[float(v).hex() for v in row] for row in T], "radius": (1.0).hex()},
        2,
        set(),
    )
    for gap, factor in ((0.0, 1.0), (0.5, 2.0)):
        core.gap = gap
        block = [[(0.49).hex(), (0.76).hex(), (0.6).hex(), (0.1).hex()]]
        sectors = Watched(line, [block], core, 1.5)
        lower, upper = np.array([-0.01, -0.02]), np.array([0.02, 0.03])
        assert sectors.prove(lower, upper) == 1
        for rest, given in sectors.seen:
            x, y, p = given[0], given[1], given[-1]
            for i, part in enumerate((x, y)):
                row = 1.5 * factor * np.linalg.inv(T)[i]
                assert np.allclose(part.G[0], row, rtol=1e-9) and np.all(np.abs(part.G[0]) >= np.abs(row) * (1 - 1e-14))
                assert np.linalg.norm(row) * cc.U <= part.r[0] <= 1e-14 and part.kind == cc.STATE
                assert part.rows.mid.tolist() == [[float(i == j) for j in range(3)]] and not part.rows.rad.any()
                assert part.lo[0] <= lower[i] and upper[i] <= part.hi[0] <= upper[i] + 1e-12
            assert p.kind == cc.PARAMETER and not p.rows.mid.any() and not p.G.any() and not p.r.any()
            assert p.lo[0] <= 0.5 and 0.75 <= p.hi[0] <= 0.75 + 1e-12 and len(rest) == len(given)
    for wrong in ([block, block], [], [block * 2]):
        with pytest.raises(Rejected):
            cc.Sectors(line, wrong, core, 1.5).prove(lower, upper)
    assert cc.Sectors(line, [block], core, 1.5).width == 3
    fast = cc.Loop(zero, fields | {"parameters": [{"name": "p", "lower": (0.5).hex(), "upper": (1.4).hex()}]}, 2)
    wide = [[(0.49).hex(), (1.41).hex(), (1.0).hex(), (1.0).hex()]]
    assert cc.Sectors(fast, [wide], core, 1.5).prove(lower, upper) == 1
    grows = cc.Loop(zero, fields | {"parameters": [{"name": "p", "lower": (0.5).hex(), "upper": (1.8).hex()}]}, 2)
    for top in (1.41, 1.81):
        wide = [[(0.49).hex(), top.hex(), (1.0).hex(), (1.0).hex()]]
        with pytest.raises(Rejected):
            cc.Sectors(grows, [wide], core, 1.5).prove(lower, upper)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_signals_are_bounded_about_all_values_at_rest(name: str) -> None:
    """From both ends of a wide range at rest."""
    function = FUNCTIONS[name][0]
    for lo, hi in ((0.25, 1.5), (-2.0, -0.25), (-1.0, 2.0)):
        lo, hi = (lo + 5.0, hi + 5.0) if name == "sqrt" else (lo, hi)
        sectors = Recorded()
        sectors._instruction(name, [deviation(lo, hi, [0.3, 0.4], 0.25)], LIMIT, (np.zeros(1), np.zeros(1)))
        low, high, error = (float(part[0]) for part in sectors.last)
        v, d = np.linspace(lo, hi, 101)[:, None], 0.75 * np.linspace(-1, 1, 101)
        rise, some = function(v + d) - function(v), np.abs(d) > 1e-9
        secants = rise[:, some] / d[some]
        assert low <= secants.min() + 1e-12 and secants.max() - 1e-12 <= high
        assert np.abs(rise - 0.3 * d).max() <= error + 1e-12 and sectors.used == 1


def test_instructions_take_their_operands_in_order() -> None:
    """a / b is no b / a, and a parameter, or a constant, stays one row."""
    sectors = Recorded()
    a, b = deviation(2.0, 2.0, [0.0, 0.0], 0.0), deviation(4.0, 4.0, [0.0, 0.5], 0.0)
    sectors._instruction("div", [a, b], 0.0, (np.array([0.125]), np.array([0.125])))
    low, high, error = (float(part[0]) for part in sectors.last)
    assert low == pytest.approx(1 / 4.5) and high == pytest.approx(1 / 3.5)
    assert error == pytest.approx((0.3 - 1 / 4.5) * 0.125 * 0.5, rel=1e-8)  # da is 0
    for name, kinds in (("mul", (cc.CONSTANT, cc.PARAMETER)), ("sin", (cc.PARAMETER,)), ("div", (cc.CONSTANT,) * 2)):
        given = [deviation(2.0, 3.0, [0.0, 0.0], 0.0, kind) for kind in kinds]
        out = sectors._instruction(name, given, 0.0, (np.array([0.1]), np.array([9.0])))
        assert out.rows.mid.shape == (1, 6) and out.G.shape == (1, 2) and out.r.shape == (1,)
        assert out.kind == max(kinds) and (out.lo[0], out.hi[0]) == (0.1, 9.0) and sectors.used == 1


def test_slopes_that_underflow_are_not_taken_for_more() -> None:
    """exp' below 2^-1030, and the inverse of a square beyond all numbers."""
    low, high = (float(end[0]) for end in cc._SLOPES["exp"](0.0)(np.array([-740.0]), np.array([-720.0])))
    assert low <= math.exp(-740) and math.exp(-720) <= high and low < 0 < high < 2.0**-890
    for lo, hi in ((30.1, 40.3), (50.7, 60.9), (-20.3, -10.1)):
        low, high = (float(end[0]) for end in cc._SLOPES["exp"](0.0)(np.array([lo]), np.array([hi])))
        least, most = np.exp(np.longdouble(lo)), np.exp(np.longdouble(hi))
        assert least * (1 - np.longdouble(1e-14)) <= low <= least * (1 - np.longdouble(2e-15))
        assert most * (1 + np.longdouble(2e-15)) <= high <= most * (1 + np.longdouble(1e-14))
    with np.errstate(all="ignore"):
        low, high = (float(end[0]) for end in cc._SLOPES["arctan"](0.0)(np.array([1e155]), np.array([1e200])))
    assert low <= 0.0 and 1e-310 <= high <= 2.0**-890


def test_roundings_of_sums_of_slopes_are_counted() -> None:
    """phi' = v near 1e9: the mean of 1024 of them, in fractions."""
    a, R, n = 1e9 + 0.1, 1e-3, cc.PIECES
    L = Fraction(float(cc._up(R / n)))
    low, high, _ = cc._secants(lambda lo, hi: (lo, hi), *(np.array([v]) for v in (a, a, R, a)))
    assert Fraction(float(low[0])) <= Fraction(a) - L * (n + 1) / 2
    assert Fraction(a) + L * (n + 1) / 2 <= Fraction(float(high[0]))
    for one_sided in (lambda lo, hi: (0 * lo, hi), lambda lo, hi: (-0.0 * lo + 1.0, hi)):
        _, high, _ = cc._secants(one_sided, *(np.array([v]) for v in (a, a, R, a)))
        assert Fraction(a) + L * (n + 1) / 2 <= Fraction(float(high[0]))
    low, _, _ = cc._secants(lambda lo, hi: (lo, 0 * hi), *(np.array([v]) for v in (-a, -a, R, a)))
    assert Fraction(float(low[0])) <= -Fraction(a) - L * (n + 1) / 2


def test_roundings_in_a_proof_of_definiteness_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """I / 4 - c I - R R' is known up to 6 units for n = 2, c is 64: a rest of 20 is below, 60 may not be."""
    for rest, proved in ((20, True), (60, False)):
        c = 8 * 2 * 4 * cc.U
        factor = np.sqrt(0.25 - c - rest * cc.U) * np.eye(2)
        monkeypatch.setattr(np.linalg, "cholesky", lambda A, factor=factor: factor)
        assert Near(np.eye(2)).definite() is proved
    one_bad = np.diag(np.sqrt(0.25 - c - np.array([20, 60]) * cc.U))
    for order in ([0, 1], [1, 0]):
        monkeypatch.setattr(np.linalg, "cholesky", lambda A, order=order: one_bad[np.ix_(order, order)])
        assert not Near(np.eye(2)).definite()


def test_products_of_factors_that_rest_between_two_numbers() -> None:
    """a b - a* b* = b* da + a db for every b* and every a near its rest."""
    for rest_a, rest_b in (((2.0, 3.0), (-1.0, 0.5)), ((-3.0, 1.0), (2.0, 5.0))):
        sectors = Recorded(0.5)
        a, b = deviation(*rest_a, [0.25, 0.5], 0.125), deviation(*rest_b, [1.0, -2.0], 0.25)
        a.rows.mid[0], b.rows.mid[0] = 0.0, 0.0
        a.rows.mid[0, 0], b.rows.mid[0, 1] = 1.0, 1.0
        out = sectors._product(a, b, (np.array([0.0]), np.array([1.0])))
        mid = sum(rest_b) / 2
        assert out.rows.mid[0, 0] == pytest.approx(mid) and out.rows.rad[0, 0] >= (rest_b[1] - rest_b[0]) / 2
        low, high = sectors.blocks[0][0, :2]
        ends = a.range()
        assert low <= ends[0][0] and ends[1][0] <= high
        for a0, b0, d, s in product(rest_a, rest_b, (-0.125, 0.125), (-0.25, 0.25)):
            for z in ([0.6, 0.8], [1.0, 0.0], [-0.6, 0.8], [0.0, -1.0]):
                da, db = float(a.G[0] @ z) + d, float(b.G[0] @ z) + s
                assert abs((a0 + da) * (b0 + db) - a0 * b0 - out.G[0] @ z) <= out.r[0] + 1e-12
    for rest in ((2.0, 3.0), (-3.0, -2.0)):
        sectors = Recorded(0.5)
        p = Deviation(
            (np.array([rest[0]]), np.array([rest[1]])),
            Near(np.zeros((1, 6))),
            np.zeros((1, 2)),
            np.zeros(1),
            cc.PARAMETER,
        )
        sectors._instruction("mul", [deviation(1.0, 1.0, [1.0, 0.0], 0.0), p], 0.0, (np.zeros(1), np.ones(1)))
        assert sectors.blocks[0][0, 0] <= rest[0] and rest[1] <= sectors.blocks[0][0, 1] and sectors.kept[2]


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_roundings_of_a_signals_line_are_counted(size: float) -> None:
    """line G of deviations of every size, in fractions."""
    rng, missed = np.random.default_rng(0), 0
    for _ in range(20):
        sectors, v = Recorded(float(rng.normal())), deviation(0.0, 0.0, size * rng.standard_normal(2), 0.0)
        none = np.zeros(1)
        out = sectors._signal(v, lambda line: (line, line, 0.0 * line), (none, none))
        errors = [
            Fraction(float(g)) * Fraction(sectors.line) - Fraction(float(h))
            for g, h in zip(v.G[0], out.G[0], strict=True)
        ]
        missed += any(errors)
        assert (
            sum(e**2 for e in errors) <= Fraction(float(out.r[0])) ** 2
            and 0 <= out.r[0] <= 1e-15 * 9 * size * abs(sectors.line) + 1e-150
        )
    assert missed > 5


def test_each_of_two_actions_is_one_row() -> None:
    """u = (tanh x, -tanh y) / 8 into both states: rows, radii and reach of one signal each."""
    one, zero, eighth = (1.0).hex(), (0.0).hex(), (0.125).hex()
    policy = {
        "layers": [
            {"type": "affine", "W": [[one, zero], [zero, one]], "b": [zero] * 2},
            {"type": "tanh", "n": 2},
            {"type": "affine", "W": [[eighth, zero], [zero, "-" + eighth]], "b": [zero] * 2},
        ]
    }
    code: list[list[Any]] = [["mul", 0, 4], ["mul", 1, 4], ["add", 5, 2], ["add", 6, 3]]
    step = {"inputs": 4, "constants": [(0.5).hex()], "code": code, "outputs": [7, 8]}
    observe = {"inputs": 2, "constants": [], "code": [], "outputs": [0, 1]}
    line = cc.Loop(policy, {"name": "m", "dt": one, "step": step, "observe": observe}, 2)
    shape = {"center": [zero] * 2, "T": [[one, zero], [zero, one]], "radius": one}
    block = [[v.hex() for v in (0.4, 1.01, 0.8, 0.1)]] * 2
    sectors = Watched(line, [block], cc.Ellipsoid(shape, 2, set()), 1.0)
    assert sectors.prove(np.full(2, -1e-6), np.full(2, 1e-6)) == 2
    for i, part in enumerate(sectors.seen[1][1][2:4]):
        assert part.rows.mid.shape == part.rows.rad.shape == (1, 4) and part.G.shape == (1, 2)
        assert part.r.shape == part.lo.shape == part.hi.shape == (1,)
        assert np.nonzero(part.rows.mid[0])[0].tolist() == [i, i + 2] and np.sign(part.rows.mid[0, i]) == (-1) ** i
        assert np.nonzero(part.G[0])[0].tolist() == [i]


def test_a_quotient_is_driven_by_the_change_of_both() -> None:
    """w = (da - q* db) / b about line (da - q* db)."""
    sectors = Recorded(0.3)
    a, b = deviation(2.0, 2.0, [1.0, 0.5], 0.25), deviation(4.0, 4.0, [0.25, -0.5], 0.125)
    a.rows.mid[0], b.rows.mid[0] = np.eye(6)[0], np.eye(6)[1]
    out = sectors._quotient(a, b, (np.array([0.5]), np.array([0.5])))
    assert np.allclose(out.G, 0.3 * (a.G - 0.5 * b.G))
    low, high, error = (float(part[0]) for part in sectors.last)
    middle, half = (low + high) / 2, (high - low) / 2
    assert np.allclose(out.rows.mid, [[middle, -0.5 * middle, half, 0, 0, 0]], atol=1e-12)
    exact = 0.3 * (0.25 + 0.5 * 0.125) + error
    assert exact <= out.r[0] <= exact * CLOSE
    reach = np.linalg.norm(a.G - 0.5 * b.G) + 0.25 + 0.5 * 0.125
    assert error == pytest.approx(max(abs(low - 0.3), abs(high - 0.3)) * reach, rel=1e-8)


def test_roundings_of_uneven_slopes_are_counted() -> None:
    """0 on the pieces next to v, c beyond: the mean is c 1023 / 1024, in fractions; and -c from below."""
    rng = np.random.default_rng(0)
    for c in 1e9 * rng.random(30):

        def slopes(starts: np.ndarray, stops: np.ndarray, c: float = c) -> Any:
            most = np.full(starts.shape, c)
            most[:, 0] = 0.0
            return -most, most

        low, high, error = cc._secants(slopes, *(np.array([v]) for v in (0.5, 0.5, 1.0, 0.0)))
        exact = Fraction(c) * (cc.PIECES - 1) / cc.PIECES
        assert Fraction(float(low[0])) <= -exact and exact <= Fraction(float(high[0]))
        assert exact <= Fraction(float(error[0])) <= exact * (1 + Fraction(1, 10**9))
