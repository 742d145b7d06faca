"""Uncertain parameters and errors of the action in certificates of cells: accepted where true, rejected where not."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lipctrl.errors import LipctrlError, LoopError, PlantError
from lipctrl.intervals.functions import arctan, clip
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.plants.model import Model
from lipctrl.plants.models.pendulum import Pendulum
from lipctrl.plants.program import record_model
from lipctrl.plants.resting import newton
from lipctrl.proofs import check_cells
from lipctrl.proofs.certificate import from_hex, write_certificate
from lipctrl.proofs.closed_loop import ClosedLoop
from lipctrl.proofs.region_certificate import Part, region_certificate
from lipctrl.results import Verdict
from lipctrl.theorems import region_parts
from lipctrl.theorems.region import RegionOfAttraction, find_region
from lipctrl.theorems.region_parts import cut, find_common_region
from lipctrl.theorems.region_row import region_rows

DELTA = 2e-3


class Cart(Model):
    """A cart with friction on a hill that its force cannot climb everywhere: m x'' = u - v / 2 + h arctan x."""

    name, n_states, n_actions, n_observations, dt = "cart", 2, 1, 2, 0.1
    periods = np.zeros(2)
    parameters = ("mass", "hill", "limit")
    state_low, state_high = np.array([-2.0, -2.0]), np.array([2.0, 2.0])
    action_low, action_high = np.array([-1.0]), np.array([1.0])

    def __init__(self, mass: Any = 1.0, hill: Any = 1.2, limit: Any = 1.0) -> None:
        self.mass, self.hill = self._read("mass", mass), self._read("hill", hill)
        self.limit = self._read("limit", limit)

    def step(self, x: Sequence[Any], u: Sequence[Any]) -> tuple[Any, ...]:
        force = clip(u[0], -self.limit, self.limit) - 0.5 * x[1] + self.hill * arctan(x[0])
        return x[0] + self.dt * x[1], x[1] + self.dt * force / self.mass

    def observe(self, x: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(x)


POLICY = Network([Affine([[1.0, 1.5], [0.5, -0.5]], [0.1, 0.0]), Elementwise("tanh", 2), Affine([[-3.0, 0.1]])])
RANGES = {"mass": (0.96, 1.04), "hill": (1.19, 1.21)}
HILL = (1.17, 1.23)


def _find(model: Model, **options: Any) -> RegionOfAttraction:
    guess = newton(model, POLICY, np.zeros(2))
    assert guess is not None
    region = find_region(model, POLICY, guess, time_limit=600.0, last_level=6, **options)
    assert region is not None
    return region


def _certificate(region: RegionOfAttraction) -> dict[str, Any]:
    part = Part(region.cells, region.equilibrium, region.stages)
    return region_certificate(part, region.lower, region.upper, region.volume)


@pytest.fixture(scope="module")
def nominal() -> RegionOfAttraction:
    return _find(Cart())


@pytest.fixture(scope="module")
def robust() -> RegionOfAttraction:
    return _find(Cart(**RANGES), action_error=DELTA)


@pytest.fixture(scope="module")
def certificate(robust: RegionOfAttraction) -> dict[str, Any]:
    return _certificate(robust)


def _check(certificate: dict[str, Any], folder: Path) -> tuple[int, str]:
    return check_cells.check(write_certificate(certificate, folder / "certificate.json"), 120.0)


def test_the_claim_names_parameters_error_and_final_ball(certificate: dict[str, Any], tmp_path: Path) -> None:
    code, text = _check(certificate, tmp_path)
    assert code == 0, text
    assert "For each constant value of the parameters mass in [0.96, 1.04], hill in [1.19, 1.21]" in text
    assert "each action wrong by at most 0.002 at each step" in text
    assert "enters {|x_i - x*_i| <= (" in text and "converges" not in text


def test_trajectories_end_in_the_stated_ball_about_their_own_equilibrium(robust: RegionOfAttraction) -> None:
    rng = np.random.default_rng(0)
    starts = rng.uniform(-2, 2, (400, 2))
    starts = starts[robust.contains(starts)]
    assert len(starts) > 100
    for _ in range(12):
        plant = Cart(*(rng.choice([low, rng.uniform(low, high), high]) for low, high in RANGES.values()))
        rest = newton(plant, POLICY, np.zeros(2))
        assert rest is not None
        assert np.all((robust.equilibrium.lo <= rest) & (rest <= robust.equilibrium.hi))
        x = starts
        for k in range(400):
            error = DELTA * (np.sign(np.sin(0.3 * k)) if _ % 2 else rng.choice([-1.0, 1.0], (len(x), 1)))
            x = plant.advance(x, POLICY(x) + error)
        size = np.linalg.norm((x - rest) @ robust.core.T.T, axis=1)
        assert np.max(size) <= robust.stages[-1].radius


def test_more_uncertainty_never_proves_more(nominal: RegionOfAttraction, robust: RegionOfAttraction) -> None:
    assert 0.1 < robust.share <= nominal.share
    assert np.all(robust.equilibrium.lo <= nominal.equilibrium.lo)
    assert np.all(robust.equilibrium.hi >= nominal.equilibrium.hi)


def test_images_of_more_parameters_contain_those_of_fewer() -> None:
    lower = np.random.default_rng(1).uniform(-2, 2, (200, 2))
    flights = [
        ClosedLoop(Cart(**ranges), POLICY, error).flight(lower, lower + 0.02)
        for ranges, error in (({}, 0.0), ({"mass": (0.99, 1.01)}, 0.0), (RANGES, 0.0), (RANGES, DELTA))
    ]
    for _ in range(12):
        boxes = [next(flight) for flight in flights]
        for (low, high), (wider_low, wider_high) in zip(boxes, boxes[1:], strict=False):
            assert np.all(wider_low <= low + 1e-12) and np.all(high - 1e-12 <= wider_high)


def test_images_contain_sampled_trajectories_of_constant_parameters() -> None:
    rng = np.random.default_rng(2)
    ranges = RANGES | {"limit": (0.9, 1.1)}
    loop = ClosedLoop(Cart(**ranges), POLICY, DELTA)
    lower = rng.uniform(-2, 2, (300, 2))
    flight = loop.flight(lower, lower + 0.01)
    points = [lower + 0.01 * rng.random(lower.shape) for _ in range(20)]
    plants = [Cart(*(rng.uniform(*ends) for ends in ranges.values())) for _ in range(20)]
    for _ in range(15):
        low, high = next(flight)
        for i, plant in enumerate(plants):
            u = POLICY(points[i]) + DELTA * rng.choice([-1.0, 0.3, 1.0], (len(lower), 1))
            points[i] = plant.advance(points[i], u)
            assert np.all((low <= points[i]) & (points[i] <= high))


def test_an_interval_of_no_width_is_a_number() -> None:
    assert Pendulum(mass=(1.0, 1.0), length=(0.95, 1.05)).uncertain == {"length": (0.95, 1.05)}
    assert record_model(Pendulum(mass=(1.0, 1.0))) == record_model(Pendulum())
    assert record_model(Cart((1.0, 1.0), (1.2, 1.2))) == record_model(Cart())


def test_a_certificate_holds_for_fewer_parameters_and_smaller_errors(
    certificate: dict[str, Any], tmp_path: Path
) -> None:
    """True claims, made by hand: the checker decides by the numbers, not by who wrote them."""
    less = copy.deepcopy(certificate)
    less["model"]["parameters"][0]["lower"] = (0.97).hex()
    less["model"]["parameters"][1]["upper"] = (1.2).hex()
    less["action_error"] = (0.5 * DELTA).hex()
    code, text = _check(less, tmp_path)
    assert code == 0, text
    assert "mass in [0.97, 1.04], hill in [1.19, 1.2]" in text and "at most 0.001" in text


def _times(text: str, factor: float) -> str:
    return (float.fromhex(text) * factor).hex()


def _wider(c: dict[str, Any]) -> None:
    c["model"]["parameters"][0].update(lower=(0.5).hex(), upper=(1.5).hex())


def _no_parameters(c: dict[str, Any]) -> None:
    del c["model"]["parameters"]


def _parameters_exchanged(c: dict[str, Any]) -> None:
    for part, ends in zip(c["model"]["parameters"], ((1.2, 1.3), (1.6, 1.7)), strict=True):
        part.update(lower=ends[0].hex(), upper=ends[1].hex())


def _last(name: str, factor: float) -> Callable[[dict[str, Any]], None]:
    def damage(c: dict[str, Any]) -> None:
        c["final"][-1][name] = _times(c["final"][-1][name], factor)

    return damage


DAMAGES: dict[str, Callable[[dict[str, Any]], None]] = {
    "wider parameters": _wider,
    "other parameters": _parameters_exchanged,
    "no parameters": _no_parameters,
    "empty interval": lambda c: c["model"]["parameters"][0].update(lower=(1.04).hex(), upper=(0.96).hex()),
    "nine parameters": lambda c: c["model"].update(parameters=c["model"]["parameters"] * 5),
    "larger error": lambda c: c.update(action_error=_times(c["action_error"], 30.0)),
    "negative error": lambda c: c.update(action_error=_times(c["action_error"], -1.0)),
    "error without a final ball": lambda c: c.pop("final"),
    "final ball without an error": lambda c: c.pop("action_error"),
    "smaller final ball": _last("radius", 0.9),
    "smaller final ball by a smaller push": lambda c: (_last("radius", 0.5)(c), _last("push", 0.5)(c))[0],
    "smaller final ball by a smaller rate": lambda c: (_last("radius", 0.2)(c), _last("rate", 0.2)(c))[0],
    "rate of 1": lambda c: c["final"][0].update(rate=(1.0).hex()),
    "rate of 2, and a ball of negative radius": lambda c: c["final"][-1].update(
        rate=(2.0).hex(), radius=_times(c["final"][-1]["radius"], -1.0), push=_times(c["final"][-1]["radius"], 0.5)
    ),
    "final ball larger than the core": _last("radius", 1e4),
    "equilibrium of the nominal plant only": lambda c: c["equilibrium"].update(
        zip(
            ("lower", "upper"),
            ([(v + s * 1e-9).hex() for v in np.mean(_ends(c), axis=0)] for s in (-1, 1)),
            strict=True,
        )
    ),
}


def _ends(c: dict[str, Any]) -> list[Any]:
    return [from_hex(c["equilibrium"][key]) for key in ("lower", "upper")]


@pytest.mark.parametrize("name", DAMAGES)
def test_false_claims_are_rejected(
    certificate: dict[str, Any], tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_cells, "MAX_COVER", 30_000)
    monkeypatch.setattr(check_cells, "MAX_PARTS", 5_000)
    damaged = copy.deepcopy(certificate)
    DAMAGES[name](damaged)
    assert damaged != certificate
    code, text = _check(damaged, tmp_path)
    assert code == 1, text
    assert "check failed" not in text


@pytest.fixture(scope="module")
def single() -> RegionOfAttraction:
    return _find(Cart(), arithmetic="float32")


def test_float32_is_covered_with_its_final_ball(
    single: RegionOfAttraction, nominal: RegionOfAttraction, tmp_path: Path
) -> None:
    code, text = _check(_certificate(single), tmp_path)
    assert code == 0, text
    assert "the policy evaluated in float32 as FORMAT-cells.md states it" in text and "no other disturbance" in text
    assert 0.9 * nominal.share < single.share <= nominal.share
    assert np.all(single.final.half_widths < 1e-4)


def test_float32_trajectories_end_in_the_final_ball(single: RegionOfAttraction) -> None:
    starts = np.random.default_rng(5).uniform(-2, 2, (300, 2))
    x = starts[single.contains(starts)]
    for _ in range(600):
        h = x.astype(np.float32)
        for layer in POLICY.layers:
            if isinstance(layer, Affine):
                h = h @ layer.W.T.astype(np.float32) + layer.b.astype(np.float32)
            else:
                h = np.tanh(h)
        assert h.dtype == np.float32
        x = Cart().advance(x, h.astype(np.float64))
    rest = newton(Cart(), POLICY, np.zeros(2))
    assert np.max(np.linalg.norm((x - rest) @ single.core.T.T, axis=1)) <= single.stages[-1].radius


@pytest.mark.parametrize(
    "damage",
    [
        lambda c: c.update(arithmetic="real"),
        lambda c: c.update(arithmetic="float16"),
        lambda c: c.pop("final"),
        _last("radius", 0.8),
        lambda c: (_last("radius", 0.3)(c), _last("push", 0.3)(c))[0],
    ],
    ids=["real", "float16", "no final ball", "smaller ball", "smaller error"],
)
def test_false_claims_about_float32_are_rejected(
    single: RegionOfAttraction, tmp_path: Path, damage: Callable[[dict[str, Any]], None]
) -> None:
    damaged = copy.deepcopy(_certificate(single))
    damage(damaged)
    assert _check(damaged, tmp_path)[0] == 1


@pytest.fixture(scope="module")
def parts() -> tuple[RegionOfAttraction, dict[str, Any]]:
    """Two parts, one of them halved: in the certificate the part that was not, the other, and its halves."""
    model = Cart(hill=HILL)
    guess = newton(model, POLICY, np.zeros(2))
    region = find_common_region(model, POLICY, guess, time_limit=900.0, last_level=5, most_parts=3)
    assert region is not None and len(region.parts) == 3
    proved = [Part(part.cells, part.equilibrium, part.stages) for part in region.parts]
    certificate = region_certificate(proved, region.lower, region.upper, region.volume, model=model)
    assert [part.get("within") for part in certificate["parts"]] == [None, None, 1, 1]
    return region, certificate


def test_parts_of_the_parameters_are_proved_apart_and_intersected(
    parts: tuple[RegionOfAttraction, dict[str, Any]], tmp_path: Path
) -> None:
    region, certificate = parts
    code, text = _check(certificate, tmp_path)
    assert code == 0, text
    assert "hill in [1.17, 1.23]" in text and "certified in all of 3 parts converges to x*" in text
    assert 0.1 < region.share <= region.least_share == min(part.share for part in region.parts)
    assert region.least_share <= region.pairs_share <= max(part.share for part in region.parts)
    least, pairs = (float(part.split(" %")[0]) for part in text.split("at least ")[-2:])
    assert least == pytest.approx(100 * region.least_share, abs=2e-4)
    assert pairs == pytest.approx(100 * region.pairs_share, abs=2e-4)
    starts = np.random.default_rng(6).uniform(-2, 2, (400, 2))
    inside = region.contains(starts)
    assert np.array_equal(inside, np.logical_and.reduce([part.contains(starts) for part in region.parts]))
    for hill in [*HILL, *np.random.default_rng(7).uniform(*HILL, 7)]:
        x = starts[inside]
        for _ in range(500):
            x = Cart(hill=hill).advance(x, POLICY(x))
        rest = newton(Cart(hill=hill), POLICY, np.zeros(2))
        assert np.max(np.abs(x - rest)) < 1e-6


def test_what_holds_for_some_parameters_holds_for_fewer(parts: tuple[RegionOfAttraction, dict[str, Any]]) -> None:
    region, _ = parts
    inner = [part for part in region.parts if part.cells.outer is not None]
    assert len(inner) == 2
    for part in inner:
        outer = part.cells.outer
        assert outer is not None and outer is inner[0].cells.outer
        assert len(part.cells.own_records) == len(part.cells.records) - len(outer.records)
        for grid, wider in zip(part.cells.grids, outer.grids, strict=True):
            assert np.all(grid.marked[wider.marked_at(grid.level)])
    for part in region.parts:  # unstable: for a part of the parameters they may converge, and are no others of its own
        nominal = next(part.cells.loop.model.extremes())
        assert len(part.others) == 2
        for x in part.others:
            assert nominal.advance(x, POLICY(x)) == pytest.approx(x, abs=1e-9)
    for loop in (
        ClosedLoop(Cart(hill=(1.16, 1.18)), POLICY),
        ClosedLoop(Cart(hill=HILL), POLICY, 1e-3),
        ClosedLoop(Cart(hill=HILL), Network([Affine([[-3.0, -3.0]])])),
    ):
        with pytest.raises(LipctrlError, match="part of their box, of the same loop"):
            inner[0].cells.within(loop)


def _volume(certificate: dict[str, Any]) -> None:
    certificate["domain"]["volume"] = _times(certificate["domain"]["volume"], 1.02)


PART_DAMAGES: dict[str, Callable[[dict[str, Any]], None]] = {
    "a part missing": lambda c: c["parts"].pop(0),
    "a half missing": lambda c: c["parts"].pop(3),
    "a gap": lambda c: c["parts"][3]["parameters"][0].__setitem__(0, (1.226).hex()),
    "a part elsewhere": lambda c: c["parts"][0].update(parameters=[[(0.4).hex(), (0.5).hex()]]),
    "parts exchanged": lambda c: c["parts"][0].update(
        core=c["parts"][1]["core"], equilibrium=c["parts"][1]["equilibrium"]
    ),
    "wider parameters": lambda c: c["model"]["parameters"][0].update(upper=(1.24).hex()),
    "a cell that one part lacks": _volume,
    "no parts": lambda c: c.update(parts=[]),
    "within another part": lambda c: c["parts"][3].update(within=0),
    "within a half": lambda c: c["parts"][3].update(within=2),
    "within itself": lambda c: c["parts"][3].update(within=3),
    "within none": lambda c: c["parts"][3].update(within=-1),
    "a core of its own": lambda c: c["parts"][3].update(core=c["parts"][1]["core"]),
    "cells of the outer part again": lambda c: c["parts"][3].update(
        records=c["parts"][1]["records"], cells=c["parts"][1]["cells"]
    ),
    "another grid": lambda c: c["parts"][0]["grids"][-1].update(
        low=[_times(v, 1.25) for v in c["parts"][0]["grids"][-1]["low"]]
    ),
}


def test_shares_of_parts_count_what_they_cover_once() -> None:
    whole = np.array([[0.0, 1.0], [2.0, 4.0], [5.0, 5.0]])
    half, rest = whole.copy(), whole.copy()
    half[0, 1], rest[0, 0] = 0.5, 0.25
    assert check_cells._shares(whole, [half, rest]) == pytest.approx([0.5, 0.5], abs=1e-9)
    assert sum(check_cells._shares(whole, [half, rest, whole])) <= 1.0
    assert check_cells._shares(np.zeros((1, 2)), [np.array([[-1.0, 1.0]])]) == pytest.approx([1.0])
    rest[0, 0] = 0.5 + 1e-15
    with pytest.raises(check_cells.Rejected, match="do not cover"):
        check_cells._shares(whole, [half, rest])


@pytest.mark.parametrize("name", PART_DAMAGES)
def test_false_claims_about_parts_are_rejected(
    parts: tuple[RegionOfAttraction, dict[str, Any]], tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_cells, "MAX_COVER", 30_000)
    monkeypatch.setattr(check_cells, "MAX_PARTS", 5_000)
    damaged = copy.deepcopy(parts[1])
    PART_DAMAGES[name](damaged)
    code, text = _check(damaged, tmp_path)
    assert code == 1, text
    assert "check failed" not in text


def test_a_part_has_no_sectors(parts: tuple[RegionOfAttraction, dict[str, Any]], tmp_path: Path) -> None:
    """FORMAT-cells.md: they are stated for the whole box of parameters."""
    damaged = copy.deepcopy(parts[1])
    damaged["parts"][0]["sectors"] = []
    code, text = _check(damaged, tmp_path)
    assert code == 1 and "a part has sectors" in text


def test_the_box_of_parameters_is_cut_where_it_is_relatively_widest() -> None:
    boxes = cut({"mass": (0.95, 1.05), "length": (0.99, 1.01)})
    assert [box["length"] for box in boxes] == [(0.99, 1.01)] * 4
    assert boxes[0]["mass"][0] == 0.95 and boxes[-1]["mass"][1] == 1.05
    assert all(a["mass"][1] == b["mass"][0] for a, b in pairwise(boxes))
    assert cut({}) == [{}] and len(cut({"a": (0.5, 1.5), "b": (-1.0, 1.0)})) <= 16


def test_a_part_without_a_region_is_halved_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[dict[str, tuple[float, float]]] = []
    monkeypatch.setattr(region_parts, "find_region", lambda model, *_, **__: tried.append(dict(model.uncertain)))
    assert find_common_region(Cart(mass=(0.98, 1.02)), POLICY, np.zeros(2), time_limit=9.0) is None
    first = 0.98, 0.98 + 0.04 / len(cut({"mass": (0.98, 1.02)}))
    assert tried[0]["mass"] == pytest.approx(first) and len(tried) == 3
    for wide, half in pairwise(tried):
        assert half["mass"] == (wide["mass"][0], pytest.approx(0.5 * sum(wide["mass"])))
    assert [box["a"] for box in cut({"a": (0.0, 2.0), "b": (1.0, 1.0)}, halves=True)] == [(0.0, 1.0), (1.0, 2.0)]


def test_a_part_of_which_no_cell_is_proved_is_halved_too(
    nominal: RegionOfAttraction, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[float] = []

    def found(model: Model, *_: Any, **__: Any) -> RegionOfAttraction:
        low, high = model.uncertain["mass"]
        tried.append(high - low)
        return replace(nominal, volume=0.0) if high - low > 0.006 else nominal

    monkeypatch.setattr(region_parts, "find_region", found)
    monkeypatch.setattr(region_parts, "_extremes", lambda *_: [])
    monkeypatch.setattr(region_parts, "simulate_values", lambda *_: nominal.guide)
    monkeypatch.setattr(region_parts, "_halving", lambda leaves, *_: iter([leaves]))
    monkeypatch.setattr(region_parts, "_common", lambda model, leaves, *_: leaves)
    leaves = find_common_region(Cart(mass=(0.98, 1.02)), POLICY, np.zeros(2), time_limit=9.0, most_parts=16)
    assert isinstance(leaves, list) and len(leaves) == 8 and len(tried) == 1 + 2 + 4 + 8  # the first with more time
    assert sum(leaf.weight for leaf in leaves) == pytest.approx(1.0)
    assert all(leaf.volume == nominal.volume for leaf in leaves)


def _clock(monkeypatch: pytest.MonkeyPatch, seconds: float) -> Callable[[], None]:
    """A clock that a call moves on."""
    now = [0.0]
    monkeypatch.setattr(region_parts, "time", SimpleNamespace(perf_counter=lambda: now[0]))

    def passes() -> None:
        now[0] += seconds

    return passes


def test_in_time_the_largest_box_of_parameters_that_is_covered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From the middle outwards: two of four parts, one without a region and one not tried."""
    passes, tried = _clock(monkeypatch, 1.0), list[tuple[float, float]]()

    def found(model: Model, *given: Any, **options: Any) -> RegionOfAttraction | None:
        passes()
        tried.append(model.uncertain["mass"])
        options |= {"time_limit": 60.0, "last_level": 5, "enough": 0.1}
        return None if tried[-1][0] > 1.03 else find_region(model, *given, **options)

    monkeypatch.setattr(region_parts, "find_region", found)
    model = Cart(mass=(0.97, 1.06))
    boxes = [box["mass"] for box in cut(model.uncertain)]
    guess = newton(model, POLICY, np.zeros(2))
    assert guess is not None and len(boxes) == 4
    rows, region = region_rows(model, POLICY, guess, 3.5)
    assert region is not None and sorted(tried[:2]) == boxes[1:3] and len(tried) == 4
    assert region.covered == {"mass": (boxes[1][0], boxes[2][1])}
    low, high = region.covered["mass"]
    assert sum(part.weight for part in region.parts) == pytest.approx(1.0)
    assert rows[0].verdict is Verdict.INCONCLUSIVE and f"mass in [{low!r}, {high!r}]" in rows[0].reason
    assert "for some values" in rows[0].reason and len(rows) == 1
    code, text = _check(rows[0].certificate, tmp_path)
    assert code == 0 and f"mass in [{low!r}, {high!r}]" in text


def test_leaves_of_the_largest_box(nominal: RegionOfAttraction) -> None:
    def leaf(a: tuple[float, float], b: tuple[float, float], volume: float = 1.0) -> RegionOfAttraction:
        loop = SimpleNamespace(model=SimpleNamespace(uncertain={"a": a, "b": b}))
        weight = (a[1] - a[0]) * (b[1] - b[0]) / 16.0
        return replace(nominal, cells=SimpleNamespace(loop=loop), volume=volume, weight=weight)  # type: ignore[arg-type]

    whole = {"a": (0.0, 4.0), "b": (0.0, 4.0)}
    one, two, three = leaf((0.0, 2.0), (0.0, 2.0)), leaf((2.0, 4.0), (0.0, 1.0)), leaf((2.0, 4.0), (1.0, 2.0))
    far, empty = leaf((0.0, 2.0), (3.0, 4.0)), leaf((0.0, 2.0), (2.0, 3.0), volume=0.0)
    chosen = region_parts._largest_box([far, one, empty, two, three], whole)
    assert [part.cells.loop.model.uncertain for part in chosen] == [
        part.cells.loop.model.uncertain for part in (one, two, three)
    ]
    assert [part.weight for part in chosen] == pytest.approx([0.5, 0.25, 0.25])
    assert [part.weight for part in region_parts._largest_box([far, two], whole)] == pytest.approx([1.0])


def test_intervals_that_are_none_are_refused() -> None:
    for value in ((1.1, 0.9), (1.0,), (np.nan, 1.0), "mass"):
        with pytest.raises((PlantError, TypeError, ValueError)):
            Cart(value)
    with pytest.raises(PlantError, match="no parameter 'color'"):
        Pendulum().with_uncertain({"color": (0.0, 1.0)})
    with pytest.raises(LoopError, match="error of an action"):
        ClosedLoop(Cart(), POLICY, -1.0)
    assert Pendulum(gravity=9.81).with_uncertain({"m": (0.9, 1.1)}).uncertain == {"mass": (0.9, 1.1)}
    assert Pendulum(gravity=9.81).with_uncertain({"m": (0.9, 1.1)}).gravity == 9.81


def test_the_program_of_an_uncertain_model_is_the_model_at_each_value() -> None:
    rng = np.random.default_rng(3)
    x, u, limit = rng.uniform(-2, 2, (2, 200)), rng.uniform(-2, 2, (1, 200)), rng.uniform(0.9, 1.1, 200)
    step, observe = record_model(Cart(limit=(0.9, 1.1)))
    values = np.stack(step([*x, *u, limit]))
    expected = np.stack([Cart(limit=v).advance(z, w) for z, w, v in zip(x.T, u.T, limit, strict=True)], axis=1)
    assert np.allclose(values, expected, rtol=0, atol=1e-15)
    assert np.count_nonzero(np.abs(u) > limit) > 50 and np.array_equal(np.stack(observe([*x, limit])), x)
