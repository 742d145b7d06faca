"""Where the theorem by sectors is stated, what is asked of its answer, and what a search may and may not return."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lipctrl.errors import LipctrlError
from lipctrl.intervals.interval import Interval
from lipctrl.networks.network import Affine, Network
from lipctrl.plants.model import Model
from lipctrl.proofs.core import reach
from lipctrl.proofs.ellipsoid import Ellipsoid
from lipctrl.theorems import lyapunov_search, sector_region
from lipctrl.theorems.sector_region import SectorRegion, _inside, _wide, find_sector_region


class Turning(Model):
    """x+ = A x + (0, u), A a turn that shrinks."""

    n_states, n_actions, n_observations, dt = 2, 1, 2, 1.0
    periods = np.zeros(2)
    state_low, state_high = np.full(2, -20.0), np.full(2, 20.0)
    action_low, action_high = np.array([-np.inf]), np.array([np.inf])

    def step(self, x: Sequence[Any], u: Sequence[Any]) -> tuple[Any, ...]:
        return 0.5 * x[0] - 0.3 * x[1], 0.25 * x[0] + 0.5 * x[1] + u[0]

    def observe(self, x: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(x)


class Spiral(Turning):
    """x+ = (b x_1 - a x_2, a x_1 + b x_2 + u): a turn with a growth of sqrt(a^2 + b^2)."""

    parameters = ("a", "b")

    def __init__(self, a: Any = 0.5, b: Any = 0.5) -> None:
        self.a, self.b = self._read("a", a), self._read("b", b)

    def step(self, x: Sequence[Any], u: Sequence[Any]) -> tuple[Any, ...]:
        return self.b * x[0] - self.a * x[1], self.a * x[0] + self.b * x[1] + u[0]


IDLE = Network([Affine([[0.0, 0.0]])])
CENTER = np.array([0.5, -0.25])
HALF = np.array([0.01, 0.02])
REST = Interval(CENTER - HALF, CENTER + HALF)
G = np.array([[0.3, -0.4], [0.05, 0.12]])
WIDTHS = np.array([0.5, 0.13])
"""Of the ellipsoid G z along the axes: the lengths of the rows of G."""


def limited(low: np.ndarray, high: np.ndarray) -> Model:
    model = Turning()
    model.limits = (low, high)
    return model


def searching(monkeypatch: pytest.MonkeyPatch, search: Callable[..., Any]) -> None:
    """Put `search` in place of that of P, about any equilibrium in REST."""
    monkeypatch.setattr(sector_region, "prove_equilibria", lambda *_: SimpleNamespace(x=REST))
    monkeypatch.setattr(sector_region, "find_largest", search)


def accepted(monkeypatch: pytest.MonkeyPatch, model: Model) -> bool:
    """Whether the theorem is stated on {x* + G z}."""
    said: list[bool] = []

    def search(stated: Callable[[np.ndarray], Any], *_: Any) -> None:
        said.append(stated(G) is not None)

    searching(monkeypatch, search)
    assert find_sector_region(model, IDLE, CENTER) is None
    return said[0]


def test_the_theorem_is_stated_where_the_equations_hold_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each side of the box in turn, just within and just beyond what {x* + G z} takes up for one of the x*."""
    assert accepted(monkeypatch, Turning())
    wide = WIDTHS * (1 + 3e-6)
    sides = REST.lo - wide, REST.hi + wide
    assert accepted(monkeypatch, limited(*sides))
    for side, outwards in ((0, -1.0), (1, 1.0)):
        for axis in (0, 1):
            for part, allowed in ((3e-6, True), (-1e-9, False), (-1e-6, False), (-0.1, False), (-1.0, False)):
                box = [end.copy() for end in sides]
                end = (REST.lo, REST.hi)[side][axis]
                box[side][axis] = end + outwards * WIDTHS[axis] * (1 + part)
                assert accepted(monkeypatch, limited(*box)) is allowed


def answered(P: np.ndarray) -> Callable[..., Any]:
    """A search that finds P, with no channels."""
    statement = SimpleNamespace(channels=SimpleNamespace(blocks=()), signals=SimpleNamespace(nonlinear=()))
    return lambda *_: (statement, {"P": P})


def test_an_answer_counts_if_its_ellipsoid_is_proved_to_lie_where_the_equations_hold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def found(P: np.ndarray, model: Model) -> SectorRegion | None:
        searching(monkeypatch, answered(P))
        return find_sector_region(model, IDLE, CENTER)

    P = np.array([[4.0, 1.0], [1.0, 9.0]])
    began = time.perf_counter()
    region = found(P, Turning())
    assert region is not None and region.limits is None and region.blocks == ()
    assert 0.0 <= region.seconds <= time.perf_counter() - began
    half = 1.3 * np.sqrt(np.diag(np.linalg.inv(P)))
    near, far = limited(CENTER - half, CENTER + half), limited(CENTER - 2 * half, CENTER + 2 * half)
    assert found(P, near) is not None and found(P, far) is not None
    for side in (0, 1):
        for axis in (0, 1):
            box = [CENTER - half, CENTER + half]
            box[side][axis] = CENTER[axis] + (2 * side - 1) * 0.5 * half[axis]
            assert found(P, limited(*box)) is None
    steep = np.eye(2) * 1e4  # of width .01: the equilibrium may lie anywhere in REST
    assert found(steep, Turning()) is None and found(steep, far) is None


@pytest.mark.parametrize("lose", [0.5, 1.0 - 1e-6, 1.0])
def test_the_factor_of_p_is_not_believed(monkeypatch: pytest.MonkeyPatch, lose: float) -> None:
    """Of a smaller matrix than P the ellipsoid is too large; 1 + 1e-9 is given."""
    P = np.array([[4.0, 1.0, 0.0], [1.0, 9.0, 0.5], [0.0, 0.5, 1.0]])
    cholesky = np.linalg.cholesky
    monkeypatch.setattr(np.linalg, "cholesky", lambda M: cholesky(M) * np.sqrt(lose) if M is P else cholesky(M))
    assert (_inside(P, Interval(np.zeros(3))) is None) is (lose < 1.0)


@pytest.mark.parametrize("condition", [1.0, 1e6, 1e10, 1e13, 1e15])
def test_ellipsoids_lie_in_the_level_of_v_exactly(condition: float) -> None:
    """(1 + 1e-9) T'T > P by elimination in fractions, of whatever is returned."""
    rng = np.random.default_rng(3)
    returned = 0
    for _ in range(10):
        Q = np.linalg.qr(rng.standard_normal((3, 3)))[0]
        P = Q @ np.diag([1.0, 1.0 / np.sqrt(condition), 1.0 / condition]) @ Q.T
        P = (P + P.T) / 2 + 1e-16 * np.eye(3)
        inner = _inside(P, Interval(np.zeros(3)))
        if inner is None:
            continue
        returned += 1
        T = [[Fraction(float(v)) for v in row] for row in inner.T]
        M = [[Fraction(1.0 + 1e-9) * sum(T[k][i] * T[k][j] for k in range(3)) - Fraction(float(P[i, j]))
              for j in range(3)] for i in range(3)]  # fmt: skip
        for k in range(3):
            assert M[k][k] > 0
            for i in range(k + 1, 3):
                M[i] = [a - M[i][k] / M[k][k] * b for a, b in zip(M[i], M[k], strict=True)]
        assert 0 < inner.radius <= 1.0 - 9e-10
    assert returned == 10 or condition > 1e6


def test_the_ellipsoid_in_which_trajectories_stay_in_fractions() -> None:
    """radius + 2 max |T (x* - center)|, rounded up."""
    rng = np.random.default_rng(4)
    for _ in range(40):
        inner = Ellipsoid(rng.standard_normal(2), rng.standard_normal((2, 2)), float(rng.uniform(0.1, 1.0)))
        rest = Interval(inner.center - rng.uniform(0, 0.1, 2), inner.center + rng.uniform(0, 0.1, 2))
        wide = _wide(inner, rest)
        assert Fraction(wide.radius) >= Fraction(inner.radius) + 2 * Fraction(reach(inner, rest))
        assert np.array_equal(wide.T, inner.T) and np.array_equal(wide.center, inner.center)


@pytest.mark.parametrize(
    ("a", "b", "stable"),
    [
        ((-0.3, 0.2), (0.1, 0.4), True),
        ((0.2, 0.95), 0.5, False),
        ((-0.95, 0.2), 0.5, False),
        (0.95, (-0.1, 0.5), False),
        (0.95, (-0.5, 0.1), False),
        ((-0.1, 0.1), (-1.2, 0.5), False),
    ],
)
def test_every_value_of_an_uncertain_parameter_counts(
    monkeypatch: pytest.MonkeyPatch, a: Any, b: Any, stable: bool
) -> None:
    """Where a^2 + b^2 > 1 the state grows, whatever the values between do; here on one ellipsoid."""
    shape = 100.0 * np.eye(2)
    monkeypatch.setattr(
        sector_region, "find_largest", lambda stated, *_: lyapunov_search._solve(stated(0.1 * np.eye(2)), shape)
    )
    region = find_sector_region(Spiral(a, b), IDLE, [0.0, 0.0])
    assert (region is not None) is stable


def test_none_without_an_equilibrium_or_its_derivatives(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_sector_region(Turning(), IDLE, [3.0, 4.0], time_limit=0.1) is None
    gain = np.zeros((1, 2))
    for M in (np.array([[0.5, np.nan], [0.0, 0.5]]), np.full((2, 2), np.inf)):
        monkeypatch.setattr(sector_region, "linear_loop", lambda *_, M=M: (M, gain))
        assert find_sector_region(Turning(), IDLE, [0.0, 0.0], time_limit=0.1) is None


def test_a_model_in_continuous_time_is_refused() -> None:
    model = Turning()
    model.dt = 0.0
    with pytest.raises(LipctrlError, match="sampled models"):
        find_sector_region(model, IDLE, [0.0, 0.0])
