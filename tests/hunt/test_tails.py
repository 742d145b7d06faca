"""Activations far in their tails and next to zero: lipctrl's own certificates are accepted there, narrower ones not.

Random networks of every activation with weights between 1e-3 and 1e4; the truth about slopes comes from ball
arithmetic, in formulas other than those of the checker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import flint
import numpy as np
import pytest

from lipctrl.networks.activation import ACTIVATIONS
from lipctrl.networks.enclosure import InputSet, layer_bounds
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.proofs import check as checker
from lipctrl.proofs.certificate import bounds_block, input_set_block, network_block
from lipctrl.theorems import lipschitz
from tests.hunt.tally import Tally
from tests.hunt.test_certificates import accepted

NAME = "own certificates, weights from 1e-3 to 1e4"
arb = flint.arb

#: phi and phi' of x and, where there is one, the parameter
SMOOTH: dict[tuple[str, tuple[float, ...]], tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    ("tanh", ()): (lambda x: x.tanh(), lambda x: 1 / x.cosh() ** 2),
    ("sigmoid", ()): (lambda x: 1 / (1 + (-x).exp()), lambda x: 1 / (2 * (x / 2).cosh()) ** 2),
    ("softplus", (0.5,)): (lambda x: 2 * (x / 2).exp().log1p(), lambda x: 1 / (1 + (-x / 2).exp())),
    ("elu", (1.7,)): (
        lambda x: arb(1.7) * x.expm1() if x < 0 else x, lambda x: arb(1.7) * x.exp() if x < 0 else arb(1)
    ),
    ("silu", ()): (
        lambda x: x / (1 + (-x).exp()), lambda x: (1 + x / (1 + x.exp())) / (1 + (-x).exp())
    ),
    ("gelu", ()): (
        lambda x: x * (-x / arb(2).sqrt()).erfc() / 2,
        lambda x: (-x / arb(2).sqrt()).erfc() / 2 + x * (-x * x / 2).exp() / (2 * arb.pi()).sqrt(),
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def many_digits() -> Iterator[None]:
    before, flint.ctx.prec = flint.ctx.prec, 400
    yield
    flint.ctx.prec = before


def parameters(rng: np.random.Generator, kind: str, n: int) -> dict[str, np.ndarray]:
    match kind:
        case "leaky_relu":
            return {"negative_slope": rng.choice([0.01, 0.2, -0.3, 1.0, 0.0], n)}
        case "elu":
            return {"alpha": rng.choice([1.0, 0.3, 1.7, -0.4, 0.0], n)}
        case "softplus":
            return {"beta": 10 ** rng.uniform(-1.3, 1.7, n)}
        case "hardtanh":
            return {"low": -(10 ** rng.uniform(-1, 1, n)), "high": 10 ** rng.uniform(-1, 1, n)}
    return {}


def steep_network(rng: np.random.Generator) -> Network:
    """One to three hidden layers of one to three neurons, each layer with a scale of its own; biases may be zero."""
    sizes = rng.integers(1, 4, int(rng.integers(3, 6)))
    layers: list[Affine | Elementwise] = []
    for k, (n_in, n) in enumerate(zip(sizes, sizes[1:], strict=False)):
        scales = 10 ** rng.uniform(-3, 4, 2) * [1, rng.random() < 0.8]
        layers.append(Affine(scales[0] * rng.standard_normal((n, n_in)), scales[1] * rng.standard_normal(n)))
        if k < len(sizes) - 2:
            kind = str(rng.choice(list(ACTIVATIONS)))
            layers.append(Elementwise(kind, int(n), **parameters(rng, kind, int(n))))
    return Network(layers)


def input_set(rng: np.random.Generator, n: int) -> InputSet:
    center = rng.standard_normal(n) * 10 ** rng.uniform(-3, 2)
    box = np.abs(rng.standard_normal(n)) * 10 ** rng.uniform(-6, 2)
    if rng.random() < 0.7:
        return InputSet.from_box(center, box)
    ball = 10 ** rng.uniform(-6, 2) * rng.standard_normal((n, 2))
    return InputSet(center, ball, box * (rng.random() < 0.5), np.zeros(n))


def sectors_hold(network: Network, inputs: InputSet) -> bool:
    """Whether the checker proves the bounds about the centre of the set."""
    chain = checker.read_network(network_block(network))
    bounds = checker.read_bounds(bounds_block(layer_bounds(network, inputs, "sector")), chain)
    center = [Fraction(x) for x in inputs.center.tolist()]
    point = checker.Form.of(center, checker.Matrix([[] for _ in center], 0), [Fraction(0)] * len(center))
    region = checker.read_input_set(input_set_block(inputs), len(center))
    try:
        checker.prove_bounds(chain, bounds, region.form() if region else None, point)
    except checker.Rejected:
        return False
    return True


def study(count: int, seed: int = 0) -> Tally:
    """Certificates of Lipschitz bounds on a set, every fourth time bounds about its centre: all accepted."""
    rng, tally = np.random.default_rng(seed), Tally(NAME)
    with tally.clock(), np.errstate(all="ignore"):
        while tally.tried < count:
            network = steep_network(rng)
            inputs = input_set(rng, network.n_in)
            tally.tried += 1
            words = f"seed {seed}, trial {tally.tried}"
            if tally.tried % 4 == 0 and not sectors_hold(network, inputs):
                tally.fail(f"{words}: the sectors are refused")
            try:
                statement = lipschitz.state(network, inputs)
                values = lipschitz.conclude(statement, dict(statement.lmi.start or {}))
            except np.linalg.LinAlgError:
                values = None
            if values is None:
                tally.count("beyond floating point")
                continue
            claim = {"network": network_block(network), **lipschitz.claim(statement, values)}
            whole = {"format": "lipctrl-certificate", "version": 1, "theorem": "lipschitz", **claim}
            if not accepted(whole):
                tally.fail(f"{words}: the certificate is refused")
            tally.count("certificates accepted")
    return tally


def test_own_certificates_are_accepted() -> None:
    tally = study(280, 3)
    assert not tally.failures
    assert tally.met["certificates accepted"] >= 250


def rational(x: float) -> Any:
    return arb(flint.fmpq(*x.as_integer_ratio()))


def within(x: Any, enclosure: tuple[Fraction, Fraction]) -> bool:
    low, high = (arb(flint.fmpq(end.numerator, end.denominator)) for end in enclosure)
    return not (x < low or x > high)


@pytest.mark.parametrize("kind", SMOOTH)
def test_enclosures_keep_their_digits(kind: tuple[str, tuple[float, ...]]) -> None:
    """phi and phi' to 18 digits of themselves, whatever their size, until they are below every double."""
    phi, rng = checker.activation(*kind), np.random.default_rng(1)
    sizes = [*10 ** rng.uniform(-300, -2, 20), *10 ** rng.uniform(-2, 4, 60), 29.99, 30.01, 37.0, 62.0, 64.0]
    for x in [sign * float(size) for size in sizes for sign in (1, -1)]:
        for enclosure, truth in zip(
            (phi.value(Fraction(x)), phi.slopes(Fraction(x), Fraction(x))), SMOOTH[kind], strict=True
        ):
            assert within(truth(rational(x)), enclosure), x
            width, size = enclosure[1] - enclosure[0], max(map(abs, enclosure))
            assert width <= size / 10**18 or size < Fraction(1, 2**2700), x


@pytest.mark.parametrize("kind", SMOOTH)
def test_slopes_in_the_tails_to_the_last_digits(kind: tuple[str, tuple[float, ...]]) -> None:
    """On intervals on which phi' is monotone: its ends rounded outwards are proved; four units inwards, refused."""
    phi, rng, tried = checker.activation(*kind), np.random.default_rng(2), 0
    for size in 10 ** rng.uniform(0.5, 2.2, 40):
        for sign in (-1.0, 1.0):
            ends = sorted((sign * float(size), sign * float(size) * (1 + 10 ** rng.uniform(-6, -0.5))))
            bounds = Fraction(ends[0]), Fraction(ends[1])
            exact = sorted(float(SMOOTH[kind][1](rational(end)).mid()) for end in ends)
            low, high = (np.nextafter(exact[0], -np.inf), np.nextafter(exact[1], np.inf))
            assert checker.prove_slopes(phi, bounds, Fraction(low), Fraction(high))
            inward = [4 * np.spacing(abs(x)) for x in exact]
            if min(map(abs, exact)) < 1e-290 or not exact[0] + inward[0] < exact[1] - inward[1]:
                continue
            tried += 1
            assert not checker.prove_slopes(phi, bounds, Fraction(exact[0] + inward[0]), Fraction(high))
            assert not checker.prove_slopes(phi, bounds, Fraction(low), Fraction(exact[1] - inward[1]))
    assert tried > 15


@pytest.mark.parametrize(
    ("kind", "p", "lo", "hi"),
    [("softplus", (1.0,), -120.3, -119.7), ("gelu", (), -96.8277, -96.8218), ("silu", (), -5740.1, -5739.9)],
)
def test_the_pieces_that_were_refused(kind: str, p: tuple[float, ...], lo: float, hi: float) -> None:
    """The slopes and the line of the proof in process, and the line with half its error."""
    names = checker.PARAMETERS.get(kind, ())
    network = Network([Affine([[1.0]]), Elementwise(kind, 1, **dict(zip(names, p, strict=True)))])
    (bounds,) = layer_bounds(network, InputSet.from_box(np.array([(lo + hi) / 2]), np.array([(hi - lo) / 2])))
    assert bounds.range is not None
    assert bounds.relaxation is not None
    ends = Fraction(bounds.range.lo[0]), Fraction(bounds.range.hi[0])
    phi = checker.activation(kind, p)
    assert checker.prove_slopes(phi, ends, Fraction(bounds.slope_lower[0]), Fraction(bounds.slope_upper[0]))
    lam, mu, delta = (Fraction(part[0]) for part in bounds.relaxation)
    assert checker.prove_relaxation(phi, ends, lam, mu, delta)
    if kind == "softplus":
        assert delta < Fraction(1, 10**50)
        assert not checker.prove_relaxation(phi, ends, lam, mu, delta / 2)
        assert not checker.prove_slopes(phi, ends, Fraction(bounds.slope_lower[0]) * 2, Fraction(1))


@pytest.mark.parametrize("kind", ACTIVATIONS)
@pytest.mark.parametrize("depth", [100.0, 180.0, 300.0, 700.0])
def test_layers_behind_a_tail(kind: str, depth: float) -> None:
    """Pre-activations of 1e-43 to 1e-304, far below the smallest unit in which the checker keeps ranges."""
    network = Network(
        [
            Affine([[1.0, 0.5], [0.25, 1.0]], [-depth, -depth - 1.0]),
            Elementwise("softplus", 2),
            Affine([[3.0, -1.0], [100.0, 200.0]]),
            Elementwise(kind, 2),
            Affine([[1.0, 1.0], [2.0, -0.5]]),
            Elementwise("tanh", 2),
        ]
    )
    inputs = InputSet.from_box(np.array([0.1, -0.2]), np.array([0.5, 0.25]))
    assert sectors_hold(network, inputs)
    statement = lipschitz.state(network, inputs)
    values = lipschitz.conclude(statement, dict(statement.lmi.start or {}))
    assert values is not None
    claim = {"network": network_block(network), **lipschitz.claim(statement, values)}
    assert accepted({"format": "lipctrl-certificate", "version": 1, "theorem": "lipschitz", **claim})
