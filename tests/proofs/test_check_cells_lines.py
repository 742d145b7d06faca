"""Lines, slopes and second derivatives of neurons in the checker of cells: true to two hundred bits, and no wider."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import flint
import numpy as np
import pytest

from lipctrl.proofs import check_cells as cc
from tests.proofs.test_check_cells_forms import arb, layer

ENDS = [-40.0, -3.0, -1.0, -0.75, -0.5, -1e-3, -1e-9, 0.0, 1e-9, 1e-3, 0.25, 0.75, 1.0, 2.5, 40.0]
INTERVALS = [(a, b) for a, b in itertools.combinations_with_replacement(ENDS, 2)]
Real = Callable[[flint.arb], flint.arb]


@pytest.fixture(autouse=True)
def two_hundred_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flint.ctx, "prec", 200)


def at(value: float) -> np.ndarray:
    return np.array([[value]])


def numbers(found: Any) -> list[float]:
    return [float(np.ravel(part)[0]) for part in found]


# --------------------------------------------------------------------------------------------------- piecewise linear

KINKS: dict[str, tuple[dict[str, Any], list[float]]] = {
    "relu": ({}, [0.0]),
    "leaky_relu": ({"negative_slope": 0.3}, [0.0]),
    "leaky_relu over": ({"negative_slope": -1.7}, [0.0]),
    "hardtanh": ({"low": -0.5, "high": 0.75}, [-0.5, 0.75]),
    "hardtanh below": ({"low": -3.0, "high": -1.0}, [-3.0, -1.0]),
    "hardtanh above": ({"low": 0.1, "high": 1e6}, [0.1, 1e6]),
    "identity": ({}, []),
}


def piecewise(kind: str, parameters: dict[str, Any], v: Fraction) -> Fraction:
    if kind.startswith("hardtanh"):
        return min(max(v, Fraction(parameters["low"])), Fraction(parameters["high"]))
    if kind == "identity":
        return v
    return v if v > 0 else Fraction(parameters.get("negative_slope", 0.0)) * v


def assert_line(phi: Callable[[Fraction], Fraction], lo: float, hi: float, kinks: list[float], found: Any) -> None:
    """|phi(v) - slope v - shift| <= error at ends and kinks, in fractions; half of the spread along the line, and
    roundings."""
    slope, shift, error = (Fraction(v) for v in numbers(found))
    points = [Fraction(lo), Fraction(hi), *(Fraction(k) for k in kinks if lo < k < hi)]
    gaps = [phi(v) - slope * v for v in points]
    assert all(abs(gap - shift) <= error + Fraction(1, 2**900) for gap in gaps)  # which _up adds
    size = sum(abs(Fraction(v)) for v in (lo, hi, *kinks)) * (1 + abs(slope))
    assert error <= (max(gaps) - min(gaps)) / 2 + size * Fraction(1, 2**44) + Fraction(1, 2**890)


@pytest.mark.parametrize("kind", KINKS)
@pytest.mark.parametrize("scale", [1.0, 1e-7, 3e8])
def test_lines_with_kinks_in_fractions(kind: str, scale: float) -> None:
    parameters, kinks = KINKS[kind]
    one = layer(kind, parameters)
    rng = np.random.default_rng(0)
    some = [*INTERVALS, *(tuple(np.sort(rng.standard_normal(2) * 10.0 ** rng.integers(-9, 9, 2))) for _ in range(60))]
    for lo, hi in some:
        a, b = float(lo) * scale, float(hi) * scale
        assert_line(lambda v: piecewise(kind, parameters, v), a, b, kinks, one.line(at(a), at(b)))
        if b - a > 1e-6 * (abs(a) + abs(b)):
            rise = piecewise(kind, parameters, Fraction(b)) - piecewise(kind, parameters, Fraction(a))
            assert numbers(one.line(at(a), at(b)))[0] == pytest.approx(
                float(rise / (Fraction(b) - Fraction(a))), abs=1e-7
            )
    for kink in kinks:
        for lo, hi in ((kink, kink), (kink, kink + 1), (kink - 1, kink), (kink, np.nextafter(kink, 9e9)), (-9e9, kink)):
            assert_line(lambda v: piecewise(kind, parameters, v), lo, hi, kinks, one.line(at(lo), at(hi)))


@pytest.mark.parametrize("low", [0.0, 0.1, -2.5, 1e9, -1e-9])
def test_lines_above_a_limit_in_fractions(low: float) -> None:
    rng = np.random.default_rng(1)
    some = [tuple(np.sort(low + rng.standard_normal(2) * 10.0 ** rng.integers(-12, 12, 2))) for _ in range(100)]
    for lo, hi in [*INTERVALS, *some, (low, low), (low, low + 1.5), (low - 1.5, low)]:
        found = cc._above(np.array([lo]), np.array([hi]), low)
        assert_line(lambda v: max(v, Fraction(low)), float(lo), float(hi), [low], found)
        if lo >= low or hi <= low:  # nothing is lost on one side
            assert numbers(found)[0] == (1.0 if lo >= low else 0.0)
            assert numbers(found)[2] <= 2.0**-45 * (abs(lo) + abs(hi) + abs(low))


@pytest.mark.parametrize("kind", KINKS)
def test_slopes_with_kinks_are_exact(kind: str) -> None:
    """Clarke's: what the function has within, and at, the ends."""
    parameters, kinks = KINKS[kind]
    one = layer(kind, parameters)
    for lo, hi in [
        *INTERVALS,
        *((k, k) for k in kinks),
        *((k, k + 0.5) for k in kinks),
        *((k - 0.5, k) for k in kinks),
    ]:
        inner = [-9e9, *kinks, 9e9]
        slopes = []
        for a, b in itertools.pairwise(inner):
            if lo <= b and a <= hi:
                middle = Fraction(a) / 2 + Fraction(b) / 2
                step = Fraction(1, 1000)
                rise = piecewise(kind, parameters, middle + step) - piecewise(kind, parameters, middle)
                slopes.append(float(rise / step))
        assert numbers(one.slopes(at(lo), at(hi))) == [min(slopes), max(slopes)], (lo, hi)


# ------------------------------------------------------------------------------------------------------------- smooth

SMOOTH: dict[str, tuple[dict[str, Any], Real]] = {
    "tanh": ({}, lambda v: v.tanh()),
    "sigmoid": ({}, lambda v: 1 / (1 + (-v).exp())),
    "elu": ({"alpha": 0.75}, lambda v: v if v > 0 else arb(0.75) * (v.exp() - 1)),
    "elu down": ({"alpha": -0.5}, lambda v: v if v > 0 else arb(-0.5) * (v.exp() - 1)),
    "elu steep": ({"alpha": 3.0}, lambda v: v if v > 0 else arb(3.0) * (v.exp() - 1)),
    "softplus": ({"beta": 2.5}, lambda v: (1 + (arb(2.5) * v).exp()).log() / arb(2.5)),
    "softplus flat": ({"beta": 0.25}, lambda v: (1 + (arb(0.25) * v).exp()).log() / arb(0.25)),
    "gelu": ({}, lambda v: v * (1 + (v / flint.arb(2).sqrt()).erf()) / 2),
    "silu": ({}, lambda v: v / (1 + (-v).exp())),
}


def mesh(lo: float, hi: float, count: int = 17) -> list[float]:
    return sorted({*np.clip(np.linspace(lo, hi, count), lo, hi).tolist(), *([0.0] if lo < 0 < hi else [])})


@pytest.mark.parametrize("kind", SMOOTH)
def test_lines_of_smooth_neurons_hold_and_are_of_second_order(kind: str) -> None:
    """Half of (greatest - least second derivative, both with 0) times width^2 / 8; of elu across 0 the kink as well."""
    parameters, phi = SMOOTH[kind]
    one = layer(kind, parameters)
    rng = np.random.default_rng(2)
    some = [(c - h, c + h) for c, h in zip(rng.normal(0, 3, 40), 10.0 ** rng.uniform(-12, 1, 40), strict=True)]
    for lo, hi in [*INTERVALS, *some]:
        slope, shift, error = numbers(one.line(at(lo), at(hi)))
        gaps = [phi(arb(v)) - arb(slope) * arb(v) for v in mesh(lo, hi)]
        assert all(abs(gap - arb(shift)) <= arb(error) for gap in gaps), (lo, hi)
        unit = (
            4e-14 * float(np.ravel(one.unit)[0]) * (1 + abs(lo) + abs(hi)) if kind not in ("tanh", "sigmoid") else 1e-13
        )
        spread = float(max(gaps) - min(gaps)) / 2
        if kind in ("tanh", "sigmoid"):
            if hi - lo < 1e-5:
                h = flint.arb(2) ** -60
                assert abs(float((phi(arb(lo) + h) - phi(arb(lo) - h)) / (2 * h)) - slope) <= 2e-5
            assert error <= 1.75 * spread + unit * (1 + abs(lo) + abs(hi))
            continue
        least, most = numbers(one.bends(at(lo), at(hi)))
        width = -lo if kind.startswith("elu") and lo < 0 < hi else hi - lo
        kink = 0.0
        if kind.startswith("elu") and lo < 0 < hi:
            three = [float(phi(arb(v)) - arb(slope) * arb(v)) for v in (lo, 0.0, hi)]
            kink = max(three) - min(three)
        bound = (kink + (max(most, 0) - min(least, 0)) * width**2 / 8) / 2
        assert error <= bound * (1 + 1e-9) + 8 * unit, (lo, hi)


@pytest.mark.parametrize("kind", [key for key in SMOOTH if key not in ("tanh", "sigmoid")])
def test_second_derivatives_are_those_of_their_factors(kind: str) -> None:
    """phi'' = bell(v) g(v), both monotone in abs(v): the least and the greatest product of their ends; to 1e-10."""
    parameters, phi = SMOOTH[kind]
    one = layer(kind, parameters)

    def bell(v: flint.arb) -> flint.arb:
        return 1 / ((v / 2).exp() + (-v / 2).exp()) ** 2

    def factors(v: flint.arb) -> tuple[flint.arb, flint.arb]:
        if kind.startswith("softplus"):
            b = arb(parameters["beta"])
            return b * bell(b * v), arb(1.0)
        if kind == "silu":
            return bell(v), 2 - v * (v / 2).tanh()
        return (-v * v / 2).exp() / (2 * flint.arb.pi()).sqrt(), 2 - v * v

    for lo, hi in INTERVALS:
        least, most = numbers(one.bends(at(lo), at(hi)))
        if kind.startswith("elu"):
            below = [arb(parameters["alpha"]) * arb(min(v, 0.0)).exp() for v in (lo, hi)] if lo < 0 else [arb(0.0)]
            exact = float(min(below)), float(max(below))
        else:
            near = 0.0 if lo < 0 < hi else min(abs(lo), abs(hi))
            ends = [factors(arb(v)) for v in (near, max(abs(lo), abs(hi)))]
            values = [a[0] * b[1] for a, b in itertools.product(ends, repeat=2)]
            exact = float(min(values)), float(max(values))
        room = 1e-10 * (1 + parameters.get("beta", 1.0)) * (1 + abs(exact[0]) + abs(exact[1]))
        assert exact[0] - room <= least < exact[0] and exact[1] < most <= exact[1] + room, (lo, hi)
        if max(abs(lo), abs(hi)) < 5:
            h = flint.arb(2) ** -50
            for v in mesh(lo, hi, 5):
                if not kind.startswith("elu") or v < -1e-12:
                    x = arb(v)
                    assert arb(least) <= (phi(x + h) - 2 * phi(x) + phi(x - h)) / h**2 <= arb(most)


@pytest.mark.parametrize("kind", SMOOTH)
def test_slopes_of_smooth_neurons_hold_and_are_close(kind: str) -> None:
    parameters, phi = SMOOTH[kind]
    one, h = layer(kind, parameters), flint.arb(2) ** -60
    for lo, hi in INTERVALS:
        least, most = numbers(one.slopes(at(lo), at(hi)))
        points = [v for v in mesh(lo, hi) if not (kind.startswith("elu") and abs(v) < 1e-12)]
        steep = [(phi(arb(v) + h) - phi(arb(v) - h)) / (2 * h) for v in points]
        if kind.startswith("elu"):
            steep += [arb(parameters["alpha"]), arb(1.0)] if lo <= 0 <= hi else []
        assert all(arb(least) - arb(1e-25) <= v <= arb(most) + arb(1e-25) for v in steep), (lo, hi)
        low, high, room = float(min(steep)), float(max(steep)), 2e-14 * (1 + abs(lo) + abs(hi)) + 1e-9 * (hi - lo)
        if kind in ("gelu", "silu"):
            bends = one.bends(at(lo), at(hi))
            middle = arb(lo) / 2 + arb(hi) / 2
            slope = float((phi(middle + h) - phi(middle - h)) / (2 * h))
            reach = float(np.maximum(np.abs(bends[0]), np.abs(bends[1]))[0, 0]) * (hi - lo) / 2
            limit = -0.12890414518515487 if kind == "gelu" else -0.09983932012886693
            low, high = max(slope - reach, limit), min(slope + reach, 1 - limit)
        elif kind in ("tanh", "sigmoid") and lo < 0 < hi:
            high = 1.0 if kind == "tanh" else 0.25
        assert low - room <= least and most <= high + room, (lo, hi)
        assert kind in ("gelu", "silu") or kind.startswith("elu") or (least >= 0.0 and most <= 1.0)
        assert kind != "sigmoid" or most <= 0.25


def test_the_least_and_the_greatest_slopes_of_gelu_and_silu() -> None:
    """phi'' = 0: of gelu at -sqrt 2, of silu where v tanh(v / 2) = 2; phi'(-v) = 1 - phi'(v)."""
    root = flint.arb(2).sqrt()
    gelu = (1 - flint.arb(1).erf()) / 2 - root * (-flint.arb(1)).exp() / (2 * flint.arb.pi()).sqrt()
    a, b = flint.arb(2), flint.arb(3)
    for _ in range(150):
        middle = ((a + b) / 2).mid()
        a, b = (middle, b) if middle * (middle / 2).tanh() < 2 else (a, middle)
    small = (-a).exp()
    silu = small / (1 + small) - a * small / (1 + small) ** 2
    for kind, true in (("gelu", gelu), ("silu", silu)):
        one = layer(kind, {})
        least, most = numbers(one.slopes(at(-50.0), at(60.0)))
        assert arb(least) <= true and arb(most) >= 1 - true
        assert float(true) - 1e-13 <= least and most <= float(1 - true) + 1e-13
        least, most = numbers(one.slopes(at(-np.inf), at(np.inf)))
        assert arb(least) <= true and arb(most) >= 1 - true
        assert float(true) - 1e-13 <= least and most <= float(1 - true) + 1e-13


@pytest.mark.parametrize("kind", ["elu", "softplus", "gelu", "silu"])
def test_values_of_smooth_neurons(kind: str) -> None:
    """To 2^-48 (1 + abs(v)) times the stated unit, from -700 to 700; near 0 to the last places."""
    for parameters in ({"elu": {"alpha": a}, "softplus": {"beta": a}}.get(kind, {}) for a in (0.1, 3.0)):
        one = layer(kind, parameters)
        unit = 1 + abs(parameters.get("alpha", 0.0)) + (1 / parameters["beta"] if "beta" in parameters else 0.0)
        assert float(np.ravel(one.unit)[0]) == pytest.approx(unit)
        phi = {
            "elu": lambda v: v if v > 0 else arb(parameters["alpha"]) * (v.exp() - 1),  # noqa: B023
            "softplus": lambda v: (1 + (arb(parameters["beta"]) * v).exp()).log() / arb(parameters["beta"]),  # noqa: B023
            "gelu": SMOOTH["gelu"][1],
            "silu": SMOOTH["silu"][1],
        }[kind]
        for v in (*ENDS, -700.0, 700.0, -12.5, 9.99, 10.01):
            found = float(one.values(at(v))[0, 0])
            assert abs(arb(found) - phi(arb(v))) <= cc.LIBM * unit * (1 + abs(v)), v


def test_roundings_of_steep_parts_are_counted() -> None:
    """A slope of a million thirds below 0; alpha = 10^4: without their share of roundings they are missed."""
    steep, rng = -1e6 / 3, np.random.default_rng(3)
    one = layer("leaky_relu", {"negative_slope": steep})
    for _ in range(60):
        lo, hi = (float(v) for v in np.sort(rng.standard_normal(2) * 10.0 ** rng.integers(-6, 6, 2)))
        slope, shift, error = (Fraction(v) for v in numbers(one.line(at(lo), at(hi))))
        for v in (Fraction(lo), Fraction(hi), *([Fraction(0)] if lo < 0 < hi else [])):
            assert abs(piecewise("", {"negative_slope": steep}, v) - slope * v - shift) <= error
    for alpha in (1e4, -1e4, 1e-4):
        one = layer("elu", {"alpha": alpha})
        for v in -(10.0 ** rng.uniform(-3, 1, 60)):
            least, most = numbers(one.slopes(at(v), at(v)))
            true = arb(alpha) * arb(v).exp()
            assert arb(least) <= true <= arb(most) and most - least <= 1e-13 * abs(alpha)


def test_second_derivatives_of_steep_neurons_hold() -> None:
    """beta and alpha of a million: b bell(b v), and alpha e^v."""
    rng = np.random.default_rng(4)
    for v in 1e-6 * rng.standard_normal(60):
        least, most = numbers(layer("softplus", {"beta": 1e6}).bends(at(v), at(v)))
        x = arb(1e6) * arb(v)
        true = arb(1e6) / ((x / 2).exp() + (-x / 2).exp()) ** 2
        assert arb(least) <= true <= arb(most)
        least, most = numbers(layer("elu", {"alpha": 1e6}).bends(at(-1e6 * abs(v)), at(-1e6 * abs(v))))
        assert arb(least) <= arb(1e6) * arb(-1e6 * abs(v)).exp() <= arb(most)


def test_slopes_of_softplus_far_below_are_bounded_though_beta_v_is_rounded() -> None:
    """Of relative size e^(745 2^-53) - 1; and e^-800 is no double, but no zero either."""
    rng = np.random.default_rng(0)
    for beta in (2.5, 0.7, 3.1):
        phi = layer("softplus", {"beta": beta})
        for v in -rng.uniform(10.0, 740.0, 40) / beta:
            least, most = numbers(phi.slopes(at(v), at(v)))
            exact = 1 / (1 + (-arb(beta) * arb(v)).exp())
            assert bool(arb(least) <= exact) and bool(exact <= arb(most))
    least, most = numbers(layer("softplus", {"beta": 1.0}).slopes(at(-800.0), at(-800.0)))
    assert least == 0.0 and bool(arb(-800).exp() < arb(most))
