"""One box with exactly one equilibrium for each value of uncertain parameters, where that is known by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from lipctrl.errors import LoopError
from lipctrl.intervals.interval import Interval
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.plants.model import Model
from lipctrl.plants.models.pendulum import Pendulum
from lipctrl.plants.resting import newton
from lipctrl.proofs import equilibria
from lipctrl.proofs.closed_loop import ClosedLoop, pieces
from lipctrl.proofs.equilibria import prove_equilibria
from lipctrl.proofs.equilibrium import prove_equilibrium

NOTHING = Network([Affine([[0.0]], [0.5])])


class Rest(Model):
    """x+ = x + g(x, p) + u - 1/2 with the output p x: under u = 1/2 at rest where g(x, p) = 0."""

    n_states, n_actions, n_observations, dt = 1, 1, 1, 1.0
    periods, parameters = np.zeros(1), ("p",)
    state_low, state_high = np.array([-9.0]), np.array([9.0])
    action_low, action_high = np.array([-1.0]), np.array([1.0])

    def __init__(self, p: Any, g: Callable[[Any, Any], Any]) -> None:
        self.p, self.g = self._read("p", p), g

    def step(self, x: Sequence[Any], u: Sequence[Any]) -> tuple[Any, ...]:
        return (x[0] + self.g(x[0], self.p) + u[0] - 0.5,)

    def observe(self, x: Sequence[Any]) -> tuple[Any, ...]:
        return (self.p * x[0],)


def roots(x: Any, p: Any) -> Any:
    return 0.25 * (x * x - p)


@pytest.mark.parametrize("p", [(0.9, 1.1), (3.9999, 4.0), (1.0, 1.5)])
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_square_roots_of_a_range(p: tuple[float, float], side: float) -> None:
    """X holds +-sqrt p for each p, and is about twice as wide; u and y = p x as well."""
    low, high = np.sqrt(p)
    proof = prove_equilibria(Rest(p, roots), NOTHING, side * np.sqrt([0.5 * sum(p)]))
    assert proof is not None
    ends = np.sort(side * np.array([low, high]))
    assert proof.x.lo[0] < ends[0] and ends[1] < proof.x.hi[0]
    assert proof.x.width[0] <= 2.5 * (high - low) + 1e-9
    outputs = side * np.array(p) * np.sqrt(p)
    assert proof.y.lo[0] <= outputs.min() and outputs.max() <= proof.y.hi[0]
    assert proof.y.width[0] <= 6 * np.ptp(outputs) + 1e-6
    assert proof.u.lo[0] <= 0.5 <= proof.u.hi[0] and proof.u.width[0] < 1e-6


@pytest.mark.parametrize(
    ("p", "g"),
    [
        ((-0.1, 1.1), roots),  # none below 0
        ((0.0, 1.0), roots),  # a double one at 0
        ((0.0, 1.0), lambda x, p: x * ((p - 0.5) * (p - 0.5) - 0.01)),  # every x at p = .4 and p = .6
        ((-1.0, 1.0), lambda x, p: 0.1 * (x * x * x - 0.3 * x - p)),  # three near p = 0, one at both ends
        ((0.0, 1.0), lambda x, p: 0.0 * x * p),  # every x
        ((0.0, 1.0), lambda x, p: 0.0 * x * p + 1.0),  # none
    ],
)  # fmt: skip
@pytest.mark.parametrize("guess", [0.0, 0.75])
def test_no_box_where_some_value_has_none_or_more_than_one(
    monkeypatch: pytest.MonkeyPatch, p: tuple[float, float], g: Callable[[Any, Any], Any], guess: float
) -> None:
    monkeypatch.setattr(equilibria, "ROUNDS", 3)
    assert prove_equilibria(Rest(p, g), NOTHING, np.array([guess])) is None


def test_the_image_of_each_part_holds_its_equilibria() -> None:
    """Of x+ = p, at rest in p: Krawczyk's operator gives the interval of p itself."""
    loop = ClosedLoop(Rest((0.0, 1.0), lambda x, p: p - x), NOTHING)
    parts = pieces(loop.low[:, 0], loop.high[:, 0], 4)
    images = equilibria._images(loop, parts, np.array([0.25]), Interval(np.array([-1.0]), np.array([2.0])))
    assert len(images) == 4
    for image, low, high in zip(images, *parts, strict=True):
        assert low[0] - 1e-9 <= image.lo[0] <= low[0] and high[0] <= image.hi[0] <= high[0] + 1e-9


def test_a_loop_of_two_states() -> None:
    model = Pendulum(mass=(0.9, 1.1), max_torque=(1.9, 2.1), dt=(0.049, 0.051))
    network = Network([Affine([[0.0, -9.0, -2.0]], [0.3])])
    guess = newton(model, network, np.zeros(2))
    assert guess is not None
    proof = prove_equilibria(model, network, guess)
    assert proof is not None
    rests = [newton(plant, network, guess) for plant in model.extremes()]
    assert all(x is not None and np.all((proof.x.lo < x) & (x < proof.x.hi)) for x in rests)
    assert np.ptp([x[0] for x in rests if x is not None]) > 0.3 * np.max(proof.x.width)


def test_one_value_is_the_proof_without_parameters() -> None:
    guess = np.array([2.0])
    proof, plain = (prove(Rest(4.0, roots), NOTHING, guess) for prove in (prove_equilibria, prove_equilibrium))
    assert proof is not None and plain is not None and np.array_equal(proof.x.lo, plain.x.lo)


def test_differential_equations_are_refused() -> None:
    model = Rest((0.9, 1.1), roots)
    model.dt = 0.0
    with pytest.raises(LoopError, match="sampled model"):
        prove_equilibria(model, NOTHING, np.ones(1))


class Two(Rest):
    """With a second state that contracts by itself."""

    n_states, n_observations = 2, 2
    periods = np.zeros(2)
    state_low, state_high = np.full(2, -9.0), np.full(2, 9.0)

    def step(self, x: Sequence[Any], u: Sequence[Any]) -> tuple[Any, ...]:
        return (0.5 * x[0], *super().step(x[1:], u))

    def observe(self, x: Sequence[Any]) -> tuple[Any, ...]:
        return (*super().observe(x[1:]), x[0])


@pytest.mark.parametrize("p", [(-0.1, 1.1), (0.9, 1.1)])
def test_every_state_of_every_part_must_come_back(p: tuple[float, float]) -> None:
    """The first state comes back whatever the second does."""
    proof = prove_equilibria(Two(p, roots), Network([Affine([[0.0, 0.0]], [0.5])]), np.array([0.0, 1.0]))
    assert (proof is not None) == (p == (0.9, 1.1))


def test_values_and_slopes_of_each_part_are_enclosed(monkeypatch: pytest.MonkeyPatch) -> None:
    """x+ - x at the centre, and its Jacobian on the whole box, for parameters of each part: sampled; and tight."""
    model = Pendulum(mass=(0.9, 1.2), dt=(0.04, 0.06))
    network = Network([Affine([[0.3, -1.0, 0.2], [0.5, 2.0, -0.4], [-0.2, 0.7, 0.1]], [0.1, -0.2, 0.3]),
                       Elementwise("tanh", 3), Affine([[-1.0, -0.8, 0.5]], [0.05])])  # fmt: skip
    loop = ClosedLoop(model, network)
    parts = pieces(loop.low[:, 0], loop.high[:, 0], 6)
    center, box = np.array([0.1, -0.05]), Interval(np.array([0.05, -0.2]), np.array([0.25, 0.1]))
    given: list[tuple[Interval, Interval]] = []
    monkeypatch.setattr(equilibria, "krawczyk", lambda c, x, value, slopes: given.append((value, slopes)) or x)
    equilibria._images(loop, parts, center, box)
    assert len(given) == len(parts[0])
    rng = np.random.default_rng(0)

    def moved(x: np.ndarray, p: np.ndarray) -> np.ndarray:
        plant = model.at(list(p))
        y = np.array(plant.observe(list(x)))
        return np.array(plant.step(list(x), list(network(y)))) - x

    for low, high, (value, slopes) in zip(*parts, given, strict=True):
        corners = [np.where(choice, low, high) for choice in np.ndindex(2, 2)]
        values = np.array([moved(center, p) for p in corners])
        assert np.all(value.lo <= values.min(axis=0) + 1e-12) and np.all(values.max(axis=0) <= value.hi + 1e-12)
        assert np.all(value.width <= 1.5 * np.ptp(values, axis=0) + 1e-6)
        h, seen = 1e-5, []
        ends = [np.where(choice, box.lo, box.hi) for choice in np.ndindex(2, 2)]
        for x in [*ends, *rng.uniform(box.lo, box.hi, (12, 2))]:
            for p in corners:
                seen.append(np.array([(moved(x + h * e, p) - moved(x - h * e, p)) / (2 * h) for e in np.eye(2)]).T)
        least, most = np.min(seen, axis=0), np.max(seen, axis=0)
        assert np.all(slopes.lo <= least + 1e-7) and np.all(most <= slopes.hi + 1e-7)
        assert np.all(slopes.hi - slopes.lo <= 2.5 * (most - least) + 1e-3)
