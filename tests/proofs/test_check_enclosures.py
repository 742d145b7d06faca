"""The exact checker: what is made of enclosures is the exact image of them, neither smaller nor larger."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from fractions import Fraction
from itertools import pairwise, product

import flint
import numpy as np
import pytest

from lipctrl.proofs import check as ck
from lipctrl.proofs.check import Activation, Range, Rejected, Segment

F = Fraction
E = (F(1, 5), F(1, 3))
"""In place of exp(x), whatever x is."""
KINDS: list[tuple[str, tuple[float, ...]]] = [
    ("identity", ()), ("relu", ()), ("leaky_relu", (-0.25,)), ("leaky_relu", (1.5,)), ("elu", (1.0,)), ("elu", (2.0,)),
    ("elu", (-0.5,)), ("gelu", ()), ("silu", ()), ("softplus", (1.0,)), ("softplus", (3.0,)), ("tanh", ()),
    ("sigmoid", ()), ("hardtanh", (-1.0, 0.5)), ("hardtanh", (-np.inf, 2.0)), ("hardtanh", (1.0, 1.0)),
]  # fmt: skip


def image(f: Callable[..., Fraction], *ranges: Range) -> Range:
    """Of a function that is monotone in each argument."""
    values = [f(*corner) for corner in product(*ranges)]
    return min(values), max(values)


def test_functions_of_an_enclosed_exponential(monkeypatch: pytest.MonkeyPatch) -> None:
    log1p, root = ck._log1p(E), (F(2), F(3))
    monkeypatch.setattr(ck, "_exp", lambda x: E)
    monkeypatch.setattr(ck, "_root_two_pi", lambda: root)
    slope = image(lambda e: e / (1 + e) ** 2, E)
    density = image(lambda e, r: e / r, E, root)
    assert ck._expm1(F(-1)) == image(lambda e: e - 1, E)
    assert ck._sigmoid_slope(F(2)) == ck._sigmoid_slope(F(-2)) == slope
    assert ck._density(F(2)) == density
    for x in (F(-7, 2), F(-2), F(-1, 2), F(0), F(1, 2), F(3)):
        s = image(lambda e, x=x: e / (1 + e) if x < 0 else 1 / (1 + e), E)
        assert ck._sigmoid(x) == s
        assert x == 0 or ck._tanh(x) == image(lambda e, x=x: (e - 1) / (1 + e) * (1 if x < 0 else -1), E)
        assert ck._silu(x) == image(lambda v, x=x: x * v, s)
        if x < 0:
            assert ck._silu_slope(x) == image(lambda p, e, x=x: p * (1 + x + e), slope, E)
        else:
            assert ck._silu_slope(x) == (s[0] + x * slope[0], s[1] + x * slope[1])
        for beta in (F(1), F(3)):
            phi = ck.activation("softplus", (float(beta),))
            assert phi.value(x) == image(lambda v, x=x, b=beta: v / b + max(x, 0), log1p)
            assert phi.slopes(x, x) == ck._sigmoid(beta * x)
        for alpha in (F(2), F(-1, 2)):
            below = ck.activation("elu", (float(alpha),)).segments[0]
            assert x >= 0 or below.value(x) == image(lambda e, a=alpha: a * (e - 1), E)
            assert below.slope(x) == image(lambda e, a=alpha: a * e, E)
        assert ck.activation("tanh").slopes(x, x) == (4 * slope[0], 4 * slope[1])
    mills, tail = (F(1, 7), F(1, 6)), (F(1, 9), F(1, 8))
    monkeypatch.setattr(ck, "_mills", lambda t: mills)
    monkeypatch.setattr(ck, "_lower_tail", lambda t: tail)
    for x in (F(-31), F(-1), F(2), F(31)):
        below = image(lambda d, m: d * m, density, mills) if abs(x) > 30 else tail
        phi = (1 - below[1], 1 - below[0]) if x > 0 else below
        assert ck._distribution(x) == phi and ck._gelu(x) == image(lambda v, x=x: x * v, phi)
        if x < -30:
            assert ck._gelu_slope(x) == image(lambda d, m, x=x: d * (m + x), density, mills)
        else:
            scaled = image(lambda d, x=x: x * d, density)
            assert ck._gelu_slope(x) == (phi[0] + scaled[0], phi[1] + scaled[1])
    assert ck._distribution(F(0)) == (F(1, 2), F(1, 2))


def test_logarithms_and_roots_of_an_enclosure() -> None:
    for f, true in ((ck._log1p, lambda x: (1 + x).log()), (ck._sqrt, lambda x: x.sqrt())):
        for x in ((F(1, 4), F(1, 2)), (F(1, 2**90), F(1))):
            with flint.ctx.workprec(300):
                ends = [true(flint.arb(flint.fmpq(v.numerator, v.denominator))) for v in x]
                low, high = (flint.arb(flint.fmpq(v.numerator, v.denominator)) for v in f(x))
                assert low <= ends[0] <= low + flint.arb(10) ** -57 and high - flint.arb(10) ** -57 <= ends[1] <= high
    small = (F(1, 2**120), F(1, 2**110))
    assert ck._log1p(small) == (small[0] - small[0] ** 2 / 2, small[1])
    assert ck._exp(F(0)) == (1, 1) and ck._exp(F(-1, 2**300))[1] == 1
    assert ck._expm1(F(-1, 2**110)) == (-F(1, 2**110), -F(1, 2**110) + F(1, 2**221))


def test_pi_with_any_number_of_digits() -> None:
    with flint.ctx.workprec(2000):
        for digits in range(3, 330, 7):
            low, high = (flint.arb(flint.fmpq(v.numerator, v.denominator)) for v in ck._pi(digits))
            assert low < flint.arb.pi() < high and high - low < 11 * flint.arb(10) ** (1 - digits)


@pytest.mark.parametrize("digits", [-4, -2, 0])
def test_the_normal_distribution_with_few_digits(monkeypatch: pytest.MonkeyPatch, digits: int) -> None:
    """With 6 to 10 digits every rounding shows: each end is on its side of the truth."""
    monkeypatch.setattr(ck, "DIGITS", digits)
    with flint.ctx.workprec(400):
        for k in range(1, 110):
            t = F(k * k, 1 << 10) + F(k, 7)
            low, high = (flint.arb(flint.fmpq(v.numerator, v.denominator)) for v in ck._lower_tail.__wrapped__(t))
            x = flint.arb(flint.fmpq(t.numerator, t.denominator))
            true = (x / flint.arb(2).sqrt()).erfc() / 2
            assert low <= true <= high
            assert high - low <= flint.arb(10) ** (-digits - 6 - int(t * t / 4))


def coarse(digits: int) -> tuple[Context, Context]:
    down, up = (Context(prec=digits, rounding=way, Emin=-5000, Emax=5000) for way in (ROUND_FLOOR, ROUND_CEILING))
    return down, up


@pytest.mark.parametrize("digits", [3, 5])
def test_exponentials_with_few_digits(digits: int) -> None:
    with flint.ctx.workprec(300):
        for k in range(1, 300):
            x = -F(k * k, 7 * 41) - F(k, 11)
            low, high = (flint.arb(flint.fmpq(*F(v).as_integer_ratio())) for v in ck._exponential(x, *coarse(digits)))
            true = flint.arb(flint.fmpq(x.numerator, x.denominator)).exp()
            assert low < true < high and (high - low) / true < flint.arb(10) ** (4 - digits)


def test_the_series_with_few_terms() -> None:
    """Broken off early in exact arithmetic: below without the rest, above with a bound of it."""
    down, up = coarse(300)
    with flint.ctx.workprec(1500):
        for tenths in (1, 3, 5, 9, 12, 17, 26, 40, 64):
            t = F(tenths, 10)
            x = flint.arb(flint.fmpq(t.numerator, t.denominator))
            true = ((x / flint.arb(2).sqrt()).erf() / 2) * (x * x / 2).exp() * (2 * flint.arb.pi()).sqrt()
            for digits in (0, 1, 2, 5, 30):
                start = Decimal(tenths) / 10
                ends = ck._series(start, digits, down), ck._series(start, digits, up)
                low, high = (flint.arb(flint.fmpq(*F(v).as_integer_ratio())) for v in ends)
                assert low < true < high and (high - low) / true <= 1.01 * flint.arb(10) ** -digits


def test_the_tail_is_made_of_enclosures(monkeypatch: pytest.MonkeyPatch) -> None:
    """1/2 - exp(-t^2/2) series(t) / sqrt(2 pi), each of them known to an interval only."""
    asked: list[tuple[F, bool]] = []

    def series(x: Decimal, digits: int, context: Context) -> Decimal:
        up = context.rounding == ROUND_CEILING
        asked.append((F(x), up))
        return Decimal("0.25" if up else "0.125")

    def exponential(x: Fraction, down: Context, up: Context) -> tuple[Decimal, Decimal]:
        assert (x, down.rounding, up.rounding, down.prec) == (-F(1, 18), ROUND_FLOOR, ROUND_CEILING, up.prec)
        return Decimal("0.5"), Decimal("0.75")

    monkeypatch.setattr(ck, "_series", series)
    monkeypatch.setattr(ck, "_exponential", exponential)
    monkeypatch.setattr(ck, "_pi", lambda digits: (F(9, 8), F(2)))
    low, high = ck._lower_tail.__wrapped__(F(1, 3))
    assert [up for _, up in asked] == [False, True] and asked[0][0] < F(1, 3) < asked[1][0]
    assert asked[1][0] - asked[0][0] < F(1, 10**60)
    root = F(3, 2), F(2)
    assert abs(low - (F(1, 2) - F(3, 16) / root[0])) < F(1, 10**60)
    assert abs(high - (F(1, 2) - F(1, 16) / root[1])) < F(1, 10**60)


def test_the_inflections_of_the_swishes(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = [segment.right for segment in ck.activation("gelu").segments]
    assert ends[3] ** 2 > 2 > ends[2] ** 2 and ends[3] - ends[2] == F(1, 2**160) and ends[:2] == [-ends[3], -ends[2]]
    assert [s.left for s in ck.activation("gelu").segments] == [None, *ends[:-1]] and ends[4] is None
    assert [s.shape for s in ck.activation("gelu").segments] == [-1, None, 1, None, -1]
    low, high = ck._silu_inflection()
    assert high - low == F(1, 2**160)
    narrow = ck._tanh
    for below, above in ((F(0), F(1, 2**20)), (F(1, 2**20), F(0)), (F(1, 2**30), F(1, 2**18))):
        monkeypatch.setattr(ck, "_tanh", lambda x, a=below, b=above: (narrow(x)[0] - a, narrow(x)[1] + b))
        wide = ck._silu_inflection.__wrapped__()
        assert wide[0] <= low and high <= wide[1] and wide[1] - wide[0] < F(1, 2**12)


# ---------------------------------------------------------------------------------------------------------- activations


def test_kinks_tails_and_images() -> None:
    for (kind, parameters), kinks, tails, values in (
        (KINDS[0], (), (1, 1), None),
        (KINDS[1], (0,), (0, 1), None),
        (KINDS[2], (0,), (F(-1, 4), 1), None),
        (KINDS[4], (), (0, 1), None),
        (KINDS[5], (0,), (0, 1), None),
        (KINDS[6], (0,), (0, 1), None),
        (("elu", (0.0,)), (0,), (0, 1), None),
        (("elu", (-1.0,)), (0,), (0, 1), None),
        (KINDS[7], (), (0, 1), None),
        (KINDS[8], (), (0, 1), None),
        (KINDS[10], (), (0, 1), None),
        (KINDS[11], (), (0, 0), (-1, 1)),
        (KINDS[12], (), (0, 0), (0, 1)),
        (KINDS[13], (-1, F(1, 2)), (0, 0), (-1, F(1, 2))),
        (KINDS[14], (2,), (1, 0), None),
        (("hardtanh", (-2.0, np.inf)), (-2,), (0, 1), None),
        (KINDS[15], (1, 1), (0, 0), (1, 1)),
    ):
        phi = ck.activation(kind, parameters)
        assert (phi.kinks, phi.tails, phi.image) == (kinks, tails, values), kind
    for kind, parameters in (
        ("hardtanh", (math.inf, math.inf)), ("hardtanh", (-math.inf, -math.inf)), ("hardtanh", (1.0, 0.5)),
        ("softplus", (0.0,)), ("softplus", (-1.0,)), ("cube", ()),
    ):  # fmt: skip
        with pytest.raises(Rejected):
            ck.activation(kind, parameters)
    assert len(ck.activation("hardtanh", (1.0, 1.0)).segments) == 2
    for alpha in (-1.0, 0.5, 3.0):
        phi = ck.activation("elu", (alpha,))
        assert float(phi.value(F(-2))[0]) == pytest.approx(alpha * math.expm1(-2), rel=1e-15)
        assert phi.segments[0].shape == math.copysign(1, alpha)


def steps(*bounds: Fraction | None, shapes: tuple[int | None, ...]) -> Activation:
    """Segments k = 0, 1, ... whose value encloses x^2 and whose slope encloses (k + 1) x, all known to 1/8 and 1/4."""
    return Activation(
        tuple(
            Segment(
                a, b, shape,
                lambda x: (x * x - F(1, 8), x * x + F(1, 4)),
                lambda x, k=k: ((k + 1) * x - F(1, 8), (k + 1) * x + F(1, 4)),
            )
            for k, ((a, b), shape) in enumerate(zip(pairwise(bounds), shapes, strict=True))
        ),
        (F(-50), F(70)),
    )  # fmt: skip


def test_slopes_over_segments() -> None:
    """A monotone slope between its ends; one known by |phi''| <= 1 that far about the left; a constant one at any."""
    left, right = F(1, 8), F(1, 4)
    (first, second, third) = steps(None, F(-1), F(2), None, shapes=(1, None, 0)).segments
    assert first.slopes(F(-3), F(-1)) == (-3 - left, -1 + right)
    assert first.slopes(F(3), F(-1)) == (-1 - left, 3 + right)
    assert second.slopes(F(-1), F(2)) == (-2 - left - 3, -2 + right + 3)
    assert third.slopes(F(2), F(9)) == (6 - left, 6 + right)
    phi = steps(None, F(-1), F(2), None, shapes=(1, 1, -1))
    assert phi.slopes(F(-3), F(5)) == (-3 - left, 15 + right)
    assert phi.slopes(F(0), F(1)) == (0 - left, 2 + right)
    assert phi.slopes(F(2), F(2)) == (4 - left, 6 + right) and phi.slopes(F(-1), F(-1)) == (-2 - left, -1 + right)
    assert phi.slopes(F(-1), F(2)) == (-2 - left, 4 + right) and phi.value(F(3)) == (9 - left, 9 + right)
    assert [(s.left, a, b) for s, a, b in phi.parts(F(-2), F(2))] == [(None, -2, -1), (-1, -1, 2)]
    assert [(s.left, a, b) for s, a, b in phi.parts(F(-1), F(3))] == [(-1, -1, 2), (2, 2, 3)]
    # at the tails only ends of segments count, between them both
    assert phi.slopes_everywhere() == (-50, 70)
    inner = Activation(phi.segments, (F(0), F(0)))
    assert inner.slopes_everywhere() == (-2 - left, 6 + right)
    mirrored = Activation(steps(None, F(-4), F(1), None, shapes=(1, 1, 1)).segments, (F(0), F(0)))
    assert mirrored.slopes_everywhere() == (-8 - left, 3 + right)
    flat = Activation(steps(None, F(-4), F(1), None, shapes=(0, 0, 0)).segments, (F(-50), F(70)))
    assert flat.slopes_everywhere() == (-left, right)
    # |phi - phi(lo)| <= the largest slope times the width
    assert phi.value_near(F(0), F(1)) == (-left - (2 + right), right + 2 + right)
    assert phi.value_near(F(-1), F(0)) == (1 - left - (2 + left), 1 + right + 2 + left)


def true_value(kind: str, p: tuple[float, ...], x: Fraction) -> flint.arb:
    v = flint.arb(flint.fmpq(x.numerator, x.denominator))
    match kind:
        case "gelu":
            return v * (-v / flint.arb(2).sqrt()).erfc() / 2
        case "silu":
            return v * (1 + (v / 2).tanh()) / 2
        case "softplus":
            return ((p[0] * v).exp() + 1).log() / p[0]
        case "tanh":
            return v.tanh()
        case "sigmoid":
            return (1 + (v / 2).tanh()) / 2
        case "elu":
            return v if x > 0 else p[0] * v.expm1()
        case "identity":
            return v
        case "hardtanh":
            low, high = p
            return flint.arb(low) if x < low else flint.arb(high) if x > high else v
    return v if x > 0 else (p[0] if p else 0) * v


@pytest.mark.parametrize(("kind", "p"), KINDS)
def test_values_on_intervals_are_enclosed_and_tight(kind: str, p: tuple[float, ...]) -> None:
    """The least and the greatest value at the ends or at kinks, or where gelu and silu turn; to 25 digits."""
    phi = ck.activation(kind, p)
    turn = {"gelu": F(-7517915247), "silu": F(-12784645428)}.get(kind, F(0)) / 10**10
    for lo, hi in pairwise([F(-9), F(-3, 2), F(-7, 5), F(-1, 3), F(0), F(1, 4), F(2), F(31, 7)]):
        for a, b in ((lo, hi), (lo, hi + 3), (lo - 2, hi + 1), (lo, lo)):
            low, high = phi.value_on(a, b)
            near = phi.value_near(a, b)
            ends = [a, b, *(k for k in phi.kinks if a < k < b), *([turn] if turn and a < turn < b else [])]
            with flint.ctx.workprec(400):
                values = [true_value(kind, p, x) for x in ends]
                tiny = flint.arb(10) ** -100
                slack = flint.arb(10) ** (-18 if turn and a < turn < b else -25)
                for f, bound in ((min, low), (max, high)):
                    extreme = f(values, key=lambda v: float(v.mid()))
                    at = flint.arb(flint.fmpq(bound.numerator, bound.denominator))
                    assert abs(at - extreme) <= slack
                    assert at <= extreme + tiny if f is min else extreme <= at + tiny
                bottom, top = (flint.arb(flint.fmpq(v.numerator, v.denominator)) for v in near)
                assert all(bottom <= v + tiny and v <= top + tiny for v in values)


# --------------------------------------------------------------------------------------------------------- least values


@pytest.mark.parametrize(("below", "above"), [(F(1, 8), F(1, 3)), (F(0), F(1, 3)), (F(1, 8), F(0))])
@pytest.mark.parametrize("side", [1, -1])
def test_least_values_of_enclosed_functions(below: Fraction, above: Fraction, side: int) -> None:
    """Of 1 + (x - 1)^2 / 2 known to [-below, above], and mirrored: below everything it may be, and no lower."""

    def f(x: Fraction) -> Range:
        true = 1 + (side * x - 1) ** 2 / 2
        return true - below, true + above

    def slope(x: Fraction) -> Range:
        return (side * (side * x - 1),) * 2

    for a, b in ((0, 3), (0, 1), (F(1, 4), F(5, 2)), (F(-1), F(7, 5)), (2, 3), (-3, 0), (1, 1), (F(-7), F(100))):
        lo, hi = sorted((side * F(a), side * F(b)))
        least = f(side * min(max(F(1), F(a)), F(b)))[0]
        found = ck._minimum(f, slope, lo, hi, 1)
        assert least - above - below - F(1, 2**60) <= found <= least
        if a >= 1 or b <= 1:
            assert found == least
        assert ck._minimum(f, slope, lo, hi, 1, least + F(1, 10**6)) < least + F(1, 10**6)
        concave = (lambda x: (-f(x)[1], -f(x)[0])), (lambda x: (-slope(x)[0],) * 2)
        assert ck._minimum(*concave, lo, hi, -1) == min(concave[0](lo)[0], concave[0](hi)[0])
        assert ck._minimum(*concave, lo, hi, 0) == min(concave[0](lo)[0], concave[0](hi)[0])
        width = hi - lo

        def wide(x: Fraction) -> Range:
            return slope(x)[0] - F(1, 16), slope(x)[1] + F(1, 32)

        reach = min(F(0), wide(lo)[0] - width) * width
        assert ck._minimum(f, wide, lo, hi, None) == f(lo)[0] + reach


@pytest.mark.parametrize("steep", [F(1, 10**6), F(1), F(10**6)])
def test_least_values_are_found_to_thirty_digits(steep: Fraction) -> None:
    """Of steep (e^x - 1) - x + 3: at x = -log steep; whatever the ends, with few evaluations."""
    calls = 0

    def f(x: Fraction) -> Range:
        nonlocal calls
        calls += 1
        up = tuple(1 / e for e in ck._exp(-x)[::-1]) if x > 0 else ck._exp(x)
        return (steep * up[0] - x + 3, steep * up[1] - x + 3)

    def slope(x: Fraction) -> Range:
        up = tuple(1 / e for e in ck._exp(-x)[::-1]) if x > 0 else ck._exp(x)
        return steep * up[0] - 1, steep * up[1] - 1

    with flint.ctx.workprec(300):
        at = -flint.arb(flint.fmpq(steep.numerator, steep.denominator)).log()
        true = 1 - at + 3
        for a, b in ((-20, 20), (-15, 30), (-40, 17)):
            calls = 0
            found = ck._minimum(f, slope, F(a), F(b), 1)
            low = flint.arb(flint.fmpq(found.numerator, found.denominator))
            assert low <= true and true - low < flint.arb(10) ** -25
            assert calls < 100
            enough = found - F(1, 10**9)
            calls = 0
            assert ck._minimum(f, slope, F(a), F(b), 1, enough) >= enough and calls < 80
            assert ck._minimum(f, slope, F(a), F(b), 1, found + F(1, 10**9)) < found + F(1, 10**9)


@pytest.mark.parametrize("a", [F(3), F(1, 3), F(2, 3), F(-1, 3), F(-2, 3), F(1, 7)])
@pytest.mark.parametrize("width", [F(1, 2**60), F(1, 2**30), F(1), F(2**70)])
@pytest.mark.parametrize("steep", [F(1, 10**9), F(3), F(10**9)])
def test_functions_are_evaluated_between_the_ends_alone(width: Fraction, steep: Fraction, a: Fraction) -> None:
    """Elsewhere they may be anything; also where doubles cannot tell the ends apart, or lie beside both of them. Of
    steep (x - a) or (b - x)."""
    b, turn = a + width, a + width / 7
    seen: list[Fraction] = []

    def f(x: Fraction) -> Range:
        seen.append(x)
        return (max(steep * (x - turn), (turn - x) / 3),) * 2

    def slope(x: Fraction) -> Range:
        seen.append(x)
        return (steep,) * 2 if x > turn else (-F(1, 3),) * 2

    found = ck._minimum(f, slope, a, b, 1)
    assert -width / 2**16 <= found <= 0
    assert all(a <= x <= b for x in seen)


def test_a_relaxation_is_proved_on_every_piece_and_on_both_sides() -> None:
    """To a hair, of piecewise linear functions: |phi - lam v - mu| is greatest at ends and kinks."""
    rng = np.random.default_rng(0)
    for kind, p in (KINDS[1], KINDS[2], KINDS[3], KINDS[13], KINDS[14], KINDS[15]):
        phi = ck.activation(kind, p)
        for _ in range(12):
            a, b, lam, mu = (F(int(k), 8) for k in rng.integers(-24, 25, 4))
            a, b = min(a, b), max(a, b) + F(1, 8)
            points = [a, b, *(k for k in phi.kinks if a < k < b)]
            delta = max(abs(phi.value(x)[0] - lam * x - mu) for x in points)
            assert ck.prove_relaxation(phi, (a, b), lam, mu, delta)
            assert not ck.prove_relaxation(phi, (a, b), lam, mu, delta - F(1, 2**60))
    known = steps(None, F(-1), F(2), None, shapes=(1, None, 1))  # x^2 in [x^2 - 1/8, x^2 + 1/4], slopes in [x -+ ...]
    assert ck.prove_relaxation(known, (F(3), F(3)), F(0), F(9), F(1, 4))
    assert not ck.prove_relaxation(known, (F(3), F(3)), F(0), F(9), F(1, 4) - F(1, 2**60))
    assert not ck.prove_relaxation(known, (F(3), F(3)), F(0), F(9) + F(1, 4), F(3, 8) - F(1, 2**60))
    assert ck.prove_relaxation(known, (F(3), F(3)), F(0), F(9) + F(1, 4), F(3, 8))


@pytest.mark.parametrize("seed", range(4))
def test_sectors_about_points_and_intervals(seed: int) -> None:
    """Of piecewise linear functions every secant that counts ends at an end or a kink: exact for a point; for an
    interval nothing that one of its points refutes is proved, and what its slopes give is."""
    rng = np.random.default_rng(seed)
    hair = F(1, 2**60)
    for kind, p in (KINDS[1], KINDS[2], KINDS[3], KINDS[13], KINDS[14]):
        phi = ck.activation(kind, p)
        for _ in range(8):
            lo, s, t, hi = sorted(F(int(k), 8) for k in rng.integers(-20, 21, 4))
            hi += F(1, 8)
            for about in ((s, s), (s, t), (t, t)):
                points = [lo, hi, *about, *(k for k in phi.kinks if lo < k < hi)]
                stars = [*about, *(k for k in phi.kinks if about[0] <= k <= about[1])]
                value = {x: phi.value(x)[0] for x in points}
                secants = [(value[x] - value[y]) / (x - y) for x in points for y in stars if x != y]
                own = phi.slopes(*about)
                low, high = min(*secants, own[0]), max(*secants, own[1])
                assert not ck.prove_sector(phi, (lo, hi), about, low + hair, high + 1)
                assert not ck.prove_sector(phi, (lo, hi), about, low - 1, high - hair)
                assert ck.prove_sector(phi, (lo, hi), about, *phi.slopes(lo, hi))
                if about[0] == about[1]:
                    assert ck.prove_sector(phi, (lo, hi), about, low, high)
                    assert ck.prove_sector(phi, (lo, hi), about, low, high + 1)


@pytest.mark.parametrize("side", [1, -1])
def test_what_is_minimised_for_sectors_and_relaxations(monkeypatch: pytest.MonkeyPatch, side: int) -> None:
    """kappa (v - v*) - (phi(v) - phi(v*)) and its slope, both enclosed for all v* and all that phi may be."""
    asked: list[tuple] = []
    monkeypatch.setattr(ck, "_minimum", lambda *given: asked.append(given) or F(0))
    phi = Activation(
        tuple(
            Segment(a, b, shape, s.value, lambda x, s=s: tuple(sorted(side * v for v in s.slope(x))))
            for a, b, shape, s in zip(
                (None, F(-1), F(2)), (F(-1), F(2), None), (-side,) * 3,
                steps(None, F(-1), F(2), None, shapes=(1, 1, 1)).segments, strict=True,
            )
        ),
        (F(-50), F(70)),
    )  # fmt: skip
    about, beta, alpha = (F(0), F(1)), F(9, 4) + F(1, 8), -F(9, 4) - F(1, 8)
    assert ck.prove_sector(phi, (F(-9), F(5)), about, alpha, beta)
    star = phi.value_near(*about)
    found = []
    for f, slope, a, b, shape, target in asked:
        assert (shape, target) == (1, 0)
        outwards = 1 if a + b > 0 else -1
        kappa, sign = (beta, outwards) if side * outwards > 0 else (alpha, -outwards)
        found.append((a, b))
        for x in (a, (2 * a + b) / 3, b):
            segment = next(s for s, _, _ in phi.parts((a + b) / 2, (a + b) / 2))
            value, steep = segment.value(x), segment.slope(x)
            ends = sorted(kappa * (x - v) for v in about)
            inside = ends[0] - value[1] + star[0], ends[1] - value[0] + star[1]
            assert f(x) == tuple(sorted(sign * v for v in inside))
            assert slope(x) == tuple(sorted(sign * (kappa - v) for v in steep))
    assert sorted(found) == [(-9, -1), (1, 2), (2, 5)]
    asked.clear()
    lam, mu, delta = F(3, 4), F(-5), F(7, 8)
    assert ck.prove_relaxation(phi, (F(-9), F(5)), lam, mu, delta)
    assert [(a, b) for _, _, a, b, _, _ in asked[::2]] == [(-9, -1), (-1, 2), (2, 5)] and len(asked) == 6
    for (f, slope, a, b, shape, target), sign in zip(asked, [1, -1] * 3, strict=True):
        segment = next(s for s, _, _ in phi.parts((a + b) / 2, (a + b) / 2))
        assert (shape, target) == (sign * segment.shape, 0)
        for x in (a, (2 * a + b) / 3, b):
            assert f(x) == tuple(sorted(sign * v + delta - sign * (lam * x + mu) for v in segment.value(x)))
            assert slope(x) == tuple(sorted(sign * (v - lam) for v in segment.slope(x)))


def test_sectors_about_an_interval_where_nothing_else_is_rough() -> None:
    """relu is 0 about v* in [-2, -1]: the secant to v = 3 is steepest from -1; and mirrored by slopes."""
    relu, hair = ck.activation("relu"), F(1, 2**60)
    for about, top in (((F(-2), F(-1)), F(3)), ((F(-5), F(-1, 2)), F(1, 4))):
        steepest = top / (top - about[1])
        assert ck.prove_sector(relu, (F(-7), top), about, F(0), steepest)
        assert not ck.prove_sector(relu, (F(-7), top), about, F(0), steepest - hair)
    leaky = ck.activation("leaky_relu", (2.0,))  # 2 v below zero: from v* in [1, 3] least slopes are those of v
    assert ck.prove_sector(leaky, (F(1), F(9)), (F(1), F(3)), F(1), F(1))
    assert not ck.prove_sector(leaky, (F(-1), F(9)), (F(1), F(3)), F(1), F(3, 2) - hair)


@pytest.mark.parametrize(("kind", "p"), [KINDS[4], KINDS[6], *KINDS[7:13]])
def test_sectors_of_curves_to_eight_digits(kind: str, p: tuple[float, ...]) -> None:
    """Least and greatest secants through a point, sampled and polished by parabolas; asymmetric intervals."""
    phi = ck.activation(kind, p)
    rng = np.random.default_rng(1)

    def value(x: np.ndarray) -> np.ndarray:
        return np.array([float(phi.value(F(float(v)))[0]) for v in x])

    for _ in range(4):
        lo, star, hi = np.sort(rng.uniform(-4, 4, 3))
        lo, hi = lo - 0.1, hi + 0.1
        x = np.concatenate([np.linspace(lo, star, 60)[:-1], np.linspace(star, hi, 60)[1:]])
        secants = (value(x) - value(np.array([star]))) / (x - star)
        ends = []
        own = [float(v) for v in phi.slopes(F(star), F(star))]
        for sign in (1, -1):
            k = int(np.argmin(sign * secants))
            best = sign * secants[k]
            if 0 < k < len(x) - 1 and abs(k - 58.5) > 1:
                fine = np.linspace(x[k - 1], x[k + 1], 40)
                best = min(best, *(sign * (value(fine) - value(np.array([star]))) / (fine - star)))
            ends.append(sign * min(best, *(sign * v for v in own)))
        low, high = ends
        about, bounds, near = (F(star), F(star)), (F(lo), F(hi)), 3e-3
        assert ck.prove_sector(phi, bounds, about, F(low - near), F(high + near))
        assert not ck.prove_sector(phi, bounds, about, F(low + 1e-9), F(high + near))
        assert not ck.prove_sector(phi, bounds, about, F(low - near), F(high - 1e-9))
        wide = (F(star - 1e-3), F(star + 2e-3))
        assert ck.prove_sector(phi, bounds, wide, F(low - 1), F(high + 1))
        assert not ck.prove_sector(phi, bounds, wide, F(low + 1e-9), F(high + 1))
        assert not ck.prove_sector(phi, bounds, wide, F(low - 1), F(high - 1e-9))
