"""The exact checker: each theorem on the smallest cases, to a hair."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import flint
import numpy as np
import pytest

from lipctrl.proofs import check as ck
from lipctrl.proofs.check import Form, LayerBounds, Rejected
from tests.proofs.parts_for_tests import (
    HAIR,
    RELU,
    accepted,
    affine,
    exact,
    hexed,
    hinf,
    lipschitz,
    lyapunov,
    network,
    neurons,
    plant,
)


def test_lipschitz_of_one_neuron_to_a_hair() -> None:
    policy = ck.read_network(RELU)
    for change, true in (
        ({}, True),
        ({"rho": (1.0).hex()}, False),
        ({"upper": (1 + HAIR / 3).hex()}, False),
        ({"rho": (1 - HAIR).hex()}, False),
        ({"multipliers": [hexed([2.0])], "rho": (4 / 3 + HAIR).hex(), "upper": (2.0).hex()}, True),
        ({"multipliers": [hexed([2.0])], "rho": (4 / 3 - HAIR).hex(), "upper": (2.0).hex()}, False),
        ({"multipliers": [hexed([0.5])], "rho": (9.0).hex(), "upper": (3.0).hex()}, False),
        (
            {
                "output_weight": hexed([2.0]),
                "rho": (4 + HAIR).hex(),
                "multipliers": [hexed([4.0])],
                "upper": (3.0).hex(),
            },
            True,
        ),
        (
            {
                "output_weight": hexed([2.0]),
                "rho": (4 - HAIR).hex(),
                "multipliers": [hexed([4.0])],
                "upper": (3.0).hex(),
            },
            False,
        ),
        ({"input_weight": hexed([2.0]), "rho": (0.25 + HAIR).hex(), "upper": (1.0).hex()}, True),
        ({"input_weight": hexed([2.0]), "rho": (0.25 - HAIR).hex(), "upper": (1.0).hex()}, False),
        # relu(x) - x / 2: (rho - 1/4)(2 t - 1) > (t - 1/2)^2
        (
            {"shift": hexed([[0.5]]), "rho": (0.5 + HAIR).hex(), "multipliers": [hexed([1.0])], "upper": (1.0).hex()},
            True,
        ),
        (
            {"shift": hexed([[0.5]]), "rho": (0.5 - HAIR).hex(), "multipliers": [hexed([1.0])], "upper": (1.0).hex()},
            False,
        ),
        ({"bounds": [{"range": None, "slope": hexed([[0.0, 0.99]]), "relaxation": None}]}, False),
        ({"bounds": [{"range": None, "slope": hexed([[0.01, 1.0]]), "relaxation": None}]}, False),
        ({"bounds": [{"range": hexed([[0.0, 1.0]]), "slope": hexed([[1.0, 1.0]]), "relaxation": None}]}, False),
    ):
        assert accepted(lambda change=change: ck.prove_lipschitz(lipschitz(**change), policy)) is true, change
    here = {"center": hexed([2.0]), "ball_generators": [[]], "box": hexed([1.0])}
    straight = {"range": hexed([[1.0, 3.0]]), "slope": hexed([[1.0, 1.0]]), "relaxation": None}
    for region, bounds, rho, true in (
        (here, straight, 1 + HAIR, True),
        (here, straight, 1 - HAIR, False),
        (here | {"box": hexed([1.5])}, straight, 2.0, False),
        (here | {"box": hexed([2.0])}, straight | {"range": hexed([[0.0, 4.0]])}, 2.0, True),
        (here | {"box": hexed([2.5])}, straight | {"range": hexed([[-0.5, 4.5]])}, 2.0, False),
        (here, straight | {"relaxation": hexed([[1.0, 0.0, 0.0]])}, 2.0, True),
        (here, straight | {"relaxation": hexed([[1.0, 0.1, 0.05]])}, 2.0, False),
        (here, straight | {"range": None}, 2.0, False),
        (here, straight | {"range": None, "relaxation": hexed([[1.0, 0.0, 0.0]])}, 2.0, False),
        (None, straight, 2.0, False),
    ):
        fields = lipschitz(input_set=region, bounds=[bounds], rho=float(rho).hex(), upper=(3.0).hex())
        assert accepted(lambda fields=fields: ck.prove_lipschitz(fields, policy)) is true, (region, bounds, rho)


def test_gains_of_first_order_plants_to_a_hair() -> None:
    """1 / (z - 1/2): 2 at P = 2; 1 / (s + 1): 1 at P = 1; with feedthrough, weights and shifts."""
    for fields, model, true in (
        (hinf(2.0, 2 + HAIR), plant(0.5), True),
        (hinf(2.0, 2.0), plant(0.5), False),
        (hinf(2.0, 2 - HAIR), plant(0.5), False),
        (hinf(1.0, 1 + HAIR), plant(-1.0, dt=0.0), True),
        (hinf(1.0, 1.0), plant(-1.0, dt=0.0), False),
        (hinf(-2.0, 9.0), plant(0.5), False),
        (hinf(1.0, 9.0), plant(1.1), False),
        (hinf(1.0, 9.0), plant(0.1, dt=0.0), False),
        # D = 1: 1 / (z - 1/2) + 1 = (z + 1/2) / (z - 1/2): 3 at z = 1
        (hinf(3.0, 3 + HAIR), plant(0.5, d=1.0), True),
        (hinf(3.0, 3 - HAIR), plant(0.5, d=1.0), False),
        (hinf(8.0, 4 + HAIR, input_weight=hexed([2.0])), plant(0.5), True),
        (hinf(8.0, 4 - HAIR, input_weight=hexed([2.0])), plant(0.5), False),
        (hinf(2.0, 1 + HAIR, output_weight=hexed([2.0])), plant(0.5), True),
        (hinf(2.0, 1 - HAIR, output_weight=hexed([2.0])), plant(0.5), False),
        (hinf(2.0, 2 + HAIR, shift=hexed([[-1.0]])), plant(1.5), True),
        (hinf(2.0, 2 - HAIR, shift=hexed([[-1.0]])), plant(1.5), False),
        (hinf(2.0, 9.0, shift=hexed([[-1.0]])), plant(1.5, d=1.0), False),
        (hinf(2.0, 4 + HAIR), plant(0.5, b=2.0), True),
        (hinf(2.0, 4 - HAIR), plant(0.5, b=2.0), False),
        (hinf(2.0, 0.0), plant(0.5), False),
    ):
        read = ck.read_plant(model)
        assert accepted(lambda fields=fields, read=read: ck.prove_hinf(fields, read)) is true, (fields, model)
    # (z + 1/2) / (z - 1/2): [(3/4) P - 1, -P/2 - 1; ., g^2 - 1 - P] at P = 3: (5/4)(g^2 - 4) > 25/4


def test_small_gain_to_a_hair() -> None:
    """Gain 2 of the plant times slope 1/2: at most 1, exactly."""
    half = ck.read_network(network(affine([[1.0]]), neurons("relu"), affine([[0.5]])))
    ok = lipschitz(rho=(0.25 * (1 - HAIR)).hex(), multipliers=[hexed([0.25])], upper=(0.5 * (1 - HAIR / 4)).hex())

    def fields(upper: float, gamma: float, **more: Any) -> dict[str, Any]:
        own = lipschitz(rho=(0.25 + HAIR).hex(), multipliers=[hexed([0.25])], upper=upper.hex()) | more.pop("lip", {})
        return {"lipschitz": own, "hinf": hinf(2.0, gamma), "level": None} | more

    steady = ck.read_plant(plant(0.5))
    assert ok["rho"]
    for args, more, true in (
        ((0.5 + 2 * HAIR, 2.0), {}, False),
        ((0.5 + 2 * HAIR, 2 + HAIR), {}, False),
        ((0.5, 2 + HAIR), {}, False),
    ):
        assert accepted(lambda args=args, more=more: ck.prove_small_gain(fields(*args, **more), half, steady)) is true
    quarter = ck.read_network(network(affine([[1.0]]), neurons("relu"), affine([[0.25]])))

    def small(upper: float, **more: Any) -> dict[str, Any]:
        own = lipschitz(rho=(0.25 * 0.25 + HAIR).hex(), multipliers=[hexed([0.0625])], upper=upper.hex()) | more.pop(
            "lip", {}
        )
        return {"lipschitz": own, "hinf": hinf(2.0, 2 + HAIR), "level": None} | more

    box = {"center": hexed([0.0]), "ball_generators": [[]], "box": hexed([1.0])}
    ranged = [{"range": hexed([[-1.0, 1.0]]), "slope": hexed([[0.0, 1.0]]), "relaxation": None}]
    local = {"input_set": box, "bounds": ranged}
    for more, true in (
        ({}, True),
        ({"level": (1.0).hex()}, False),
        ({"lip": local}, False),
        # P = 2: {2 x^2 <= level} in |x| < 1 if level < 2
        ({"lip": local, "level": (2 - HAIR).hex()}, True),
        ({"lip": local, "level": (2.0).hex()}, False),
        ({"lip": local, "level": (0.0).hex()}, False),
        ({"lip": local | {"input_set": box | {"center": hexed([0.1])}}, "level": (1.0).hex()}, False),
        ({"lip": local | {"input_set": box | {"ball_generators": hexed([[0.0]])}}, "level": (1.0).hex()}, False),
        ({"lip": {"shift": hexed([[0.125]])}}, False),
        ({"lip": {"output_weight": hexed([0.5])}}, False),
    ):
        assert accepted(lambda more=more: ck.prove_small_gain(small(0.3, **more), quarter, steady)) is true, more
    level, P, words = ck.prove_small_gain(small(0.3), quarter, steady)
    assert (
        level is None
        and exact(P) == [[2]]
        and words == f"gain of the plant {2 + HAIR!r} times that of the policy 0.3 is at most 1"
    )
    assert accepted(lambda: ck.prove_small_gain(small(1 / (2 + HAIR) * (1 - 2.0**-50)), quarter, steady))
    assert not accepted(lambda: ck.prove_small_gain(small(1 / (2 + HAIR) * (1 + 2.0**-50)), quarter, steady))
    assert not accepted(lambda: ck.prove_small_gain(small(0.3), quarter, ck.read_plant(plant(0.5, d=0.1))))
    assert not accepted(lambda: ck.prove_small_gain(small(0.3), ck.read_network(network(affine([[1.0, 0.0]]))), steady))
    blind = ck.read_plant(plant(0.5, c=0.0))
    assert accepted(lambda: ck.prove_small_gain(small(0.3, lip=local, level=(9.0).hex()), quarter, blind))


def test_lyapunov_of_a_scalar_loop_to_a_hair() -> None:
    """x+ = a x + b relu(x), slopes between a and a + b: below 1 in size at both ends."""
    policy = ck.read_network(RELU)

    def proved(a: float, b: float, t: float, dt: float = 1.0, **change: Any) -> bool:
        return accepted(lambda: ck.prove_lyapunov(lyapunov(t, **change), policy, ck.read_plant(plant(a, b, dt=dt))))

    # [1 - a^2, -a b - t; ., 2 t - b^2]: a = 0, b = 1/2: 2 t - 1/4 > t^2, t = 1: 3/4
    assert proved(0.0, 0.5, 1.0) and not proved(0.0, 0.5, 0.125) and proved(0.0, 0.5, 0.2) and not proved(0.0, 0.5, 2.0)
    assert (
        proved(0.0, 1 - HAIR, 1.0)
        and not proved(0.0, 1.0, 1.0)
        and not proved(1.0, -0.5, 0.5)
        and not proved(0.5, 0.6, 1.0)
    )
    assert not proved(0.0, 0.5, 1.0, P=hexed([[-1.0]])) and not proved(0.0, 0.5, 1.0, P=hexed([[0.0]]))
    # dx/dt = -x + b relu(x): [2, -b - t; ., 2 t]: 4 t > (b + t)^2, t = 1, b = 1 - : 4 > 4 (1 - h)
    assert proved(-1.0, 1 - HAIR, 1.0, 0.0) and not proved(-1.0, 1.0, 1.0, 0.0) and not proved(0.1, -0.1, 1.0, 0.0)
    # on |x| <= g about y0 = 2 the relu is linear: x+ = a x + b x
    local = {
        "level": (1 - HAIR).hex(),
        "generators": hexed([[1.0]]),
        "bounds": [{"range": hexed([[1.0, 3.0]]), "slope": hexed([[1.0, 1.0]]), "relaxation": None}],
    }
    at_two = plant(0.5, 0.25, y0=2.0)
    for change, true in (
        ({}, True),
        ({"level": (1.0).hex()}, False),
        ({"level": None}, False),
        ({"generators": None}, False),
        ({"level": (-1.0).hex()}, False),
        ({"generators": hexed([[1.5]])}, False),
        ({"bounds": [local["bounds"][0] | {"slope": hexed([[0.5, 0.5]])}]}, False),
        ({"bounds": [local["bounds"][0] | {"range": hexed([[1.5, 3.0]])}]}, False),
    ):
        fields = lyapunov(1.0, **(local | change))
        assert accepted(lambda fields=fields: ck.prove_lyapunov(fields, policy, ck.read_plant(at_two))) is true, change
    for a, true in ((0.75 - HAIR, True), (0.75, False)):
        read = ck.read_plant(plant(a, 0.25, y0=2.0))
        assert accepted(lambda read=read: ck.prove_lyapunov(lyapunov(1.0, **local), policy, read)) is true
    assert not accepted(lambda: ck.prove_lyapunov(lyapunov(1.0), policy, ck.read_plant(plant(0.0, 0.5, d=0.1))))


def test_disturbances_end_where_they_are_said_to() -> None:
    """B = 2, P = 3: |B d|_P^2 = 12 d^2 < (eta r / 2)^2, and r^2 <= level; the decay is part of the inequality."""
    policy, model = ck.read_network(RELU), ck.read_plant(plant(0.5, 2.0, y0=2.0))
    P = ck._symmetric(hexed([[3.0]]), 1, "P")
    good = {"action_error": (0.125).hex(), "arithmetic": "real", "decay": (0.5).hex(), "radius": (2.0).hex()}

    def proved(level: float | None = 5.0, errors: Any = None, **change: Any) -> bool:
        return accepted(lambda: ck.prove_disturbed(good | change, level, P, model, errors or (lambda _: [Fraction(0)])))

    found, eta = ck.prove_disturbed(good, 5.0, P, model, lambda _: [Fraction(0)])
    assert (found.stated, found.rounding, found.radius, eta) == (0.125, None, 2.0, Fraction(1, 2))
    # 12 d^2 < 1/4: d < .144338
    assert (
        proved(action_error=(0.1443).hex())
        and not proved(action_error=(0.1444).hex())
        and proved(action_error=(0.0).hex())
    )
    assert proved(decay=(0.8662).hex(), radius=(1.0).hex()) and not proved(decay=(0.8660).hex(), radius=(1.0).hex())
    assert proved(4.0) and not proved(3.999) and not proved(None)
    for change in (
        {"action_error": (-0.1).hex()},
        {"decay": (0.0).hex()},
        {"decay": (1.0).hex()},
        {"radius": (0.0).hex()},
        {"arithmetic": "float16"},
        {"x": 1},
    ):
        assert not proved(**change)
    single = {"arithmetic": "float32", "action_error": (0.1).hex()}
    assert proved(errors=lambda _: [Fraction(44, 1000)], **single) and not proved(
        errors=lambda _: [Fraction(45, 1000)], **single
    )
    found, _ = ck.prove_disturbed(good | single, 5.0, P, model, lambda _: [Fraction(1, 100)])
    assert found.rounding == [Fraction(1, 100)]
    # x+ = (.5 + .25) x on the region: V falls by 1 - .5625 = .4375
    local = lyapunov(
        1.0,
        level=(1 - HAIR).hex(),
        generators=hexed([[1.0]]),
        bounds=[{"range": hexed([[1.0, 3.0]]), "slope": hexed([[1.0, 1.0]]), "relaxation": None}],
    )
    slow = ck.read_plant(plant(0.5, 0.25, y0=2.0))
    for decay, true in ((0.4375 - HAIR, True), (0.4375, False)):
        errors = good | {"decay": decay.hex(), "radius": (0.5).hex()}
        assert accepted(lambda errors=errors: ck.prove_lyapunov(local, policy, slow, errors)) is true
    assert not accepted(lambda: ck.prove_lyapunov(lyapunov(1.0), policy, ck.read_plant(plant(0.0, 0.5)), good))
    two = ck.read_plant(plant(0.5) | {"B": hexed([[1.0, -2.0]]), "D": hexed([[0.0, 0.0]]), "u0": hexed([0.0, 0.0])})
    # B'PB = 3 [1, -2; -2, 4]: sum of |entries| d^2 = 27 d^2 < 1/4: d < .09622
    for d, true in ((0.0962, True), (0.0963, False)):
        call = lambda d=d: ck.prove_disturbed(good | {"action_error": d.hex()}, 5.0, P, two, lambda _: [])  # noqa: E731
        assert accepted(call) is true


def test_float32_errors_by_hand() -> None:
    """The table of FORMAT.md for one number in [1, 3] through 2 h - 1, tanh and a sum of two."""
    u, tiny = Fraction(1, 2**24), Fraction(1, 2**126)
    policy = ck.read_network(
        network(affine([[2.0], [1.0]], [-1.0, 0.0]), neurons("tanh", 2), affine([[0.5, -4.0]], [0.25]))
    )
    bounds = [
        LayerBounds([(Fraction(1), Fraction(5)), (Fraction(1), Fraction(3))], [(Fraction(0), Fraction(1))] * 2, None)
    ]
    (found,) = ck.float32_errors(policy, bounds, Form.around([(Fraction(1), Fraction(3))]))
    e = u * (1 + Fraction(1, 256)) * 3 + Fraction(4, 2**48) + tiny
    first = 2 * e + 9 * u * (2 * (3 + e) + 1) + 11 * tiny
    one, two = first + Fraction(1, 2**22), e + Fraction(1, 2**22)
    size = [Fraction(math.tanh(5)), Fraction(math.tanh(3))]
    gamma = 5 * u / (1 - 5 * u)
    last = one / 2 + 4 * two + gamma * ((size[0] + one) / 2 + 4 * (size[1] + two) + Fraction(1, 4)) + 13 * tiny
    whole = size[0] / 2 + 4 * size[1] + Fraction(1, 4)
    assert float(found) == pytest.approx(float(last + 2 * u * (whole + last)), rel=1e-12)
    clipped = ck.read_network(network(affine([[1.0]]), neurons("hardtanh", low=0.1, high=2.0), affine([[1.0]])))
    bounds = [LayerBounds([(Fraction(-1), Fraction(3))], [(Fraction(0), Fraction(1))], None)]
    (found,) = ck.float32_errors(clipped, bounds, Form.around([(Fraction(-1), Fraction(3))]))
    moved = abs(Fraction(float(np.float32(0.1))) - Fraction(0.1))
    assert float(found) == pytest.approx(float(e + moved + 2 * u * (2 + e + moved)), rel=1e-9)
    leaky = ck.read_network(network(affine([[1.0]]), neurons("leaky_relu", negative_slope=-2.0), affine([[1.0]])))
    (found,) = ck.float32_errors(leaky, bounds, Form.around([(Fraction(-1), Fraction(3))]))
    rounded = 2 * e + 6 * u * (3 + e) + tiny
    assert float(found) == pytest.approx(float(rounded + 2 * u * (3 + rounded)), rel=1e-9)
    (none,) = ck.float32_errors(
        ck.read_network(network(affine([[1.0]]))), [], Form.around([(Fraction(-1), Fraction(3))])
    )
    assert float(none) == pytest.approx(float(e + 2 * u * (3 + e)), rel=1e-12)
    for layers, ranges in ((("gelu", {}), bounds[0].ranges), (("tanh", {}), None)):
        policy = ck.read_network(network(affine([[1.0]]), neurons(layers[0]), affine([[1.0]])))
        with pytest.raises(Rejected, match="nothing is stated"):
            ck.float32_errors(
                policy, [LayerBounds(ranges, bounds[0].slopes, None)], Form.around([(Fraction(-1), Fraction(3))])
            )
    with pytest.raises(Rejected, match="overflow"):
        ck.float32_errors(
            ck.read_network(network(affine([[2.0**100]]))), [], Form.around([(Fraction(0), Fraction(2**27))])
        )


def test_instability_of_an_enclosed_jacobian_by_hand() -> None:
    """tanh at 0 has slope 1: x+ = a x + b tanh x is unstable if |a + b| > 1; at a kink nothing is said."""
    curved = ck.read_network(network(affine([[1.0]]), neurons("tanh"), affine([[1.0]])))
    for a, b, dt, true in (
        (0.5, 0.5 + HAIR, 1.0, True),
        (0.5, 0.5 - HAIR, 1.0, False),
        (2.0, -1.0, 1.0, False),
        (2.0, -3.0 - HAIR, 1.0, True),
        (-1.0, 1 + HAIR, 0.0, True),
        (-1.0, 1 - HAIR, 0.0, False),
    ):
        model = ck.read_plant(plant(a, b, dt=dt))
        fields = {"P": hexed([[-1.0]]), "direction": hexed([1.0])}
        assert accepted(lambda fields=fields, model=model: ck.prove_instability(fields, curved, model)) is true, (
            a,
            b,
            dt,
        )
    wild = ck.read_plant(plant(9.0))
    for P, direction in ((-1.0, 0.0), (1.0, 1.0)):
        assert not accepted(
            lambda P=P, d=direction: ck.prove_instability({"P": hexed([[P]]), "direction": hexed([d])}, curved, wild)
        )
    kinked = ck.read_network(RELU)
    assert not accepted(lambda: ck.prove_instability({"P": hexed([[-1.0]]), "direction": hexed([1.0])}, kinked, wild))


def test_the_jacobian_is_enclosed_to_its_last_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """1 - tanh(1/3)^2 lies within the radius, which is below 1e-50; so does the slope of two layers."""
    monkeypatch.setattr(flint.ctx, "prec", 900)
    one = network(affine([[1.0]]), neurons("tanh"), affine([[1.0]]))
    two = network(affine([[1.0]]), neurons("tanh"), affine([[3.0]]), neurons("sigmoid"), affine([[-0.5]]))
    x = flint.arb(flint.fmpq(1, 3))
    inner = 1 - x.tanh() ** 2
    s = 1 / (1 + (-3 * x.tanh()).exp())
    for policy, true in ((one, inner), (two, -inner * 3 * s * (1 - s) / 2)):
        gain, spread = ck.jacobian(ck.read_network(policy), [Fraction(1, 3)])
        middle, radius = (Fraction(m.rows[0][0]) * Fraction(2) ** m.exponent for m in (gain, spread))
        exact_middle, exact_radius = (flint.arb(flint.fmpq(v.numerator, v.denominator)) for v in (middle, radius))
        assert abs(exact_middle - true) <= exact_radius and radius < Fraction(1, 10**50)


@pytest.mark.parametrize("units", [0, 1, 2, 3])
def test_slopes_known_to_a_unit_of_the_grid(monkeypatch: pytest.MonkeyPatch, units: int) -> None:
    """Between 1 and `units` more, times 3000: both ends lie within the radius of the Jacobian."""
    unit = Fraction(1, 2**ck.GRID)
    policy = ck.read_network(network(affine([[3000.0]]), neurons("tanh"), affine([[1.0]])))
    monkeypatch.setattr(type(policy.activations[0][0]), "slopes", lambda self, low, high: (unit, (1 + units) * unit))
    gain, spread = ck.jacobian(policy, [Fraction(1, 3)])
    middle, radius = (Fraction(m.rows[0][0]) * Fraction(2) ** m.exponent for m in (gain, spread))
    for end in (unit, (1 + units) * unit):
        assert abs(3000 * end - middle) <= radius
    assert radius <= (1500 * (units + 1) + 8) * unit
