"""Certificates of regions, by cells and by level sets, with numbers, cells, sets or equations that are not theirs.

Rejected, or what trajectories do not contradict: the referee reads the changed file alone (cell_referee.py). Many
changes are harmless: a smaller ellipsoid, a cell less, another model or policy for which the same numbers prove
something; the claim is then about what stands in the file. The digest of the network is left out of these
certificates, else every other policy would be refused by it alone.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.plants.model import Model
from lipctrl.plants.models.pendulum import Pendulum
from lipctrl.plants.resting import newton
from lipctrl.proofs import check_cells
from lipctrl.proofs.closed_loop import ClosedLoop
from lipctrl.proofs.decrease import prove_decrease
from lipctrl.proofs.ellipsoid import Ellipsoid
from lipctrl.proofs.equilibrium import prove_equilibrium
from lipctrl.proofs.levels_certificate import levels_certificate
from lipctrl.proofs.region_certificate import Part, region_certificate
from lipctrl.theorems.region import RegionOfAttraction, find_region
from tests.hunt.cell_referee import OPERATIONS, cell_volume, contradiction, packed, places
from tests.hunt.tally import Tally
from tests.hunt.test_certificates import at
from tests.proofs.test_check import corrupted, make, numbers
from tests.proofs.test_check_robust import POLICY, Cart
from tests.theorems.test_levels import Three, swap

NAME = "corrupted certificates of regions"
UPRIGHT = Network([Affine([[0.0, -0.5, -0.15]], [0.02]), Elementwise("tanh", 1), Affine([[20.0]])])
CUBIC = Network([Affine([[-0.9, 0.0, 0.0], [0.1, 0.1, 0.1]]), Elementwise("tanh", 2), Affine([[1.0, 0.0]])])


def found(model: Model, network: Network, **options: Any) -> RegionOfAttraction:
    guess = newton(model, network, np.zeros(2))
    assert guess is not None
    region = find_region(model, network, guess, time_limit=600.0, last_level=5, **options)
    assert region is not None
    return region


def by_cells(region: RegionOfAttraction, keep: list[int]) -> dict[str, Any]:
    """Its certificate with some of the records: those that are kept lead to others that are."""
    part = Part(region.cells, region.equilibrium, region.stages)
    return shortened(region_certificate(part, region.lower, region.upper, 0.0), keep)


def shortened(c: dict[str, Any], keep: list[int]) -> dict[str, Any]:
    for part in c.get("parts", [c]):
        cells = places(part)
        part["records"], part["cells"] = [part["records"][k] for k in keep], packed([cells[k] for k in keep])
    return c


def in_parts() -> dict[str, Any]:
    """Two halves of the interval of a parameter, each with its own proof."""
    halves = [found(Cart(hill=ends), POLICY) for ends in ((1.199, 1.2), (1.2, 1.201))]
    parts = [Part(half.cells, half.equilibrium, half.stages) for half in halves]
    whole = region_certificate(parts, halves[0].lower, halves[0].upper, 0.0, model=Cart(hill=(1.199, 1.201)))
    return shortened(whole, [0, 1, 2])


def cubic() -> dict[str, Any]:
    """Three states, two level sets within the limits of the model, and a box inside."""
    loop = ClosedLoop(Three(), CUBIC)
    rest = prove_equilibrium(loop.model, CUBIC, np.zeros(3), (1e-9, 1e-8))
    assert rest is not None
    sets = [Ellipsoid(np.zeros(3), np.diag([1.0, 0.5, 0.5]), 0.1)]
    for radius in (0.3, 0.6):
        level = prove_decrease(loop, Ellipsoid(np.zeros(3), np.diag([1.0, 0.3, 0.3]), radius), sets, splits=8).proved
        assert level is not None
        sets.append(level)
    ends, half = np.array([0.7, 2.5, 2.5]), np.full(3, 0.1)
    return levels_certificate(loop, rest.x, sets[0], sets[1:], limits=(-ends, ends), box=(-half, half))


def swapping() -> dict[str, Any]:
    """A level set that takes two steps, and one about another point that leads into it."""
    loop = swap()
    rest = prove_equilibrium(loop.model, loop.network, np.zeros(2), (1e-9, 1e-8))
    assert rest is not None
    core = Ellipsoid(np.zeros(2), np.diag([1.05, 2.7]), 1e-2)
    two = prove_decrease(loop, Ellipsoid(np.zeros(2), np.eye(2), 0.5), core, 2).proved
    assert two is not None
    aside = prove_decrease(loop, Ellipsoid(np.array([0.6, 0.0]), np.eye(2), 0.3), [core, two], 2).proved
    assert aside is not None
    aside = replace(aside, radius=0.95 * aside.radius)
    c = levels_certificate(loop, rest.x, core, [two, aside])
    for level in c["ellipsoids"]:
        level["steps"] = 2
    return c


MAKERS: dict[str, Callable[[], dict[str, Any]]] = {
    "cells": lambda: by_cells(found(Cart(), POLICY), [0, 1, 2, 3, 5]),
    "cells with an angle": lambda: by_cells(found(Pendulum(max_torque=20.0), UPRIGHT), [0, 1, 2, 3, 7]),
    "parameters and errors": lambda: by_cells(found(Cart(mass=(0.999, 1.001)), POLICY, action_error=2e-3), [1, 2]),
    "float32": lambda: by_cells(found(Cart(), POLICY, arithmetic="float32"), [0, 1, 2]),
    "parts": in_parts,
    "level sets": cubic,
    "level sets of two steps": swapping,
}


@cache
def certificates() -> dict[str, dict[str, Any]]:
    made = {}
    for name, maker in MAKERS.items():
        c = json.loads(json.dumps({"format": "lipctrl-certificate", "version": 1, **maker()}))
        del c["network_sha256"]
        if c["domain"] is not None:
            c["domain"]["volume"] = (0.999999 * cell_volume(c)).hex()
        made[name] = c
    return made


@pytest.fixture(autouse=True)
def sooner(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with impatient():
        yield


LIMITS = {"MAX_COVER": 6_000, "MAX_PARTS": 2_000, "HALVINGS": 1, "MAX_PARAMETER_PARTS": 8}


class impatient:
    """The checker gives up sooner, which makes it reject more."""

    def __enter__(self) -> None:
        self.before = {name: getattr(check_cells, name) for name in LIMITS}
        for name, value in LIMITS.items():
            setattr(check_cells, name, value)

    def __exit__(self, *_: object) -> None:
        for name, value in self.before.items():
            setattr(check_cells, name, value)


def claim(c: dict[str, Any]) -> str | None:
    """What the checker derives, None if it rejects; anything but Rejected is a fault of the checker."""
    try:
        with np.errstate(all="ignore"):
            return check_cells.derive(copy.deepcopy(c))
    except check_cells.Rejected:
        return None


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of counts, flags, and names of operations."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            if key not in ("information", "assumptions"):
                yield from leaves(inner, (*path, key))
    elif isinstance(value, int) or (path[:1] == ("model",) and isinstance(value, str) and "0x" not in value):
        yield path


def change_leaf(rng: np.random.Generator, c: dict[str, Any]) -> str:
    paths = [path for path in leaves(c) if path != ("version",)]
    path = paths[rng.integers(len(paths))]
    inner, value = at(c, path[:-1]), at(c, path)
    if isinstance(value, bool):
        inner[path[-1]] = not value
    elif isinstance(value, int):
        inner[path[-1]] = int(max(0, value + rng.choice([-2, -1, 1, 2, 7])))
    else:
        inner[path[-1]] = str(rng.choice(list(OPERATIONS)))
    return f"{path}: {value} -> {inner[path[-1]]}"


def change_cells(rng: np.random.Generator, part: dict[str, Any]) -> str:
    cells, lines = places(part), part["records"]
    a, b = (int(k) for k in rng.choice(len(lines), 2))
    k = int(rng.integers(len(cells[a])))
    what = int(rng.integers(8))
    n = len(part["core"]["center"])
    if what == 0:
        cells[a] = np.delete(cells[a], k)
    elif what == 1:
        free = np.setdiff1d(np.arange(2 ** (lines[a][1] * n)), np.concatenate(cells))
        cells[a] = np.sort(np.append(cells[a], rng.choice(free, int(rng.integers(1, 9)), replace=False)))
    elif what == 2:
        cells[a] = np.sort(np.append(cells[a], cells[b][rng.integers(len(cells[b]))]))
    elif what == 3:
        side = 2 ** (lines[a][1] * int(rng.integers(n)))
        cells[a][k] = (cells[a][k] + rng.choice([-1, 1]) * side) % 2 ** (lines[a][1] * n)
        cells[a] = np.sort(cells[a])
    elif what == 4:
        cells[b] = np.sort(np.append(cells[b], cells[a][k]))
        cells[a] = np.delete(cells[a], k)
    elif what == 5:
        cells[a], cells[b], lines[a], lines[b] = cells[b], cells[a], lines[b], lines[a]
    elif what == 6:
        del cells[a], lines[a]
    else:
        lines[a][2] = int(max(0, lines[a][2] + rng.choice([-1, 1, 2])))
    for line, some in zip(lines, cells, strict=True):
        line[3] = len(some)
    part["cells"] = packed(cells)
    kinds = "gone", "added", "twice", "moved", "of another rank", "records exchanged", "record gone", "steps"
    return f"cells: {kinds[what]} {a} {b} {k}"


def change_whole(rng: np.random.Generator, c: dict[str, Any], other: dict[str, Any]) -> str:
    """One change of a larger part."""
    part = c["parts"][rng.integers(len(c["parts"]))] if "parts" in c else c
    layers, half = c["network"]["layers"], np.full(len(part["core"]["center"]), 0.2)
    affine = layers[2 * rng.integers((len(layers) + 1) // 2)]
    sets = [part["core"], *part["ellipsoids"]]
    one = sets[rng.integers(len(sets))]
    programs = c["model"]["step"], c["model"]["observe"]
    program = programs[int(rng.integers(2))] if programs[1]["code"] else programs[0]
    factor = float(rng.choice([0.5, 0.8, 0.97, 1.03, 1.25, 2.0, 5.0, 20.0]))

    def scaled(where: dict[str, Any], key: str, by: float = factor) -> Callable[[], None]:
        return lambda: where.update({key: make.hexed(by * make.unhexed(where[key]))})

    def moved(where: dict[str, Any], key: str, by: float = 0.1) -> Callable[[], None]:
        old = make.unhexed(where[key])
        return lambda: where.update({key: make.hexed(old + by * factor * rng.standard_normal(np.shape(old)))})

    changes: dict[str, Callable[[], Any]] = {
        "weights": scaled(affine, "W"),
        "other weights": moved(affine, "W"),
        "mirrored weights": scaled(affine, "W", -1.0),
        "biases": moved(affine, "b"),
        "set larger or smaller": scaled(one, "radius"),
        "set of another shape": moved(one, "T"),
        "set moved": moved(one, "center"),
        "constants": scaled(program, "constants") if program["constants"] else moved(affine, "b"),
        "equilibrium moved": moved(part["equilibrium"], str(rng.choice(["lower", "upper"])), 1e-9),
        "outputs turned": lambda: program.update(outputs=program["outputs"][::-1]),
        "no code": lambda: program["code"].pop(int(rng.integers(len(program["code"])))) if program["code"] else None,
        "core and set exchanged": lambda: [sets[0].update(radius=sets[-1]["radius"], T=sets[-1]["T"])],
        "sets in reverse": lambda: part["ellipsoids"].reverse(),
        "first set gone": lambda: part["ellipsoids"].pop(0),
        "last set twice": lambda: part["ellipsoids"].append(copy.deepcopy(part["ellipsoids"][-1])),
        "error of the action": lambda: c.update(action_error=(0.001 * factor).hex()),
        "arithmetic": lambda: c.update(arithmetic=str(rng.choice(["real", "float32"]))),
        "no final ball": lambda: part.pop("final", None),
        "neuron": lambda: layers[len(layers) // 2].update(type=str(rng.choice(["relu", "identity", "silu"]))),
        "model of another": lambda: c.update(model=copy.deepcopy(other["model"])),
        "policy of another": lambda: c.update(network=copy.deepcopy(other["network"])),
        "no parameters": lambda: c["model"].pop("parameters", None),
        "box": lambda: c.update(box={"lower": make.hexed(-factor * half), "upper": make.hexed(factor * half)}),
    }  # fmt: skip
    if c["domain"] is not None:
        changes["volume"] = scaled(c["domain"], "volume", 1 + 1e-4 * rng.choice([-1, 1]))
        changes["domain"] = scaled(c["domain"], str(rng.choice(["lower", "upper"])))
        changes["grid"] = scaled(part["grids"][0], str(rng.choice(["low", "width"])))
    if part.get("final"):
        last = part["final"][-1]
        changes |= {f"final {name}": scaled(last, name) for name in last}
        changes["final ball smaller"] = lambda: [scaled(last, name, 0.7)() for name in ("push", "radius")]
    for parameter in c["model"].get("parameters", []):
        changes["parameter"] = moved(parameter, str(rng.choice(["lower", "upper"])), 0.03)
    if "parts" in c:
        changes["part gone"] = lambda: c["parts"].pop()
        changes["part's parameters"] = moved(part, "parameters", 0.01)
        changes["part of another"] = lambda: c["parts"][0].update(
            {key: copy.deepcopy(c["parts"][-1][key]) for key in rng.choice(list(part), 4)}
        )
    if "limits" in c:
        changes["limits"] = scaled(c["limits"], str(rng.choice(["lower", "upper"])))
    often = [name for name in changes if name.startswith(("set ", "box", "limits", "final"))]
    name = str(rng.choice([*changes, *often, *often]))
    changes[name]()
    return f"{name} {factor}"


def change(rng: np.random.Generator, c: dict[str, Any], other: dict[str, Any], places_: list[Any], k: int) -> str:
    """Half of the times one number (in turn), else a count or flag, cells, or a larger part."""
    kind = k % 8
    if kind < 4:
        path = places_[(k // 8 * 4 + kind) % len(places_)]
        inner = at(c, path[:-1])
        inner[path[-1]] = corrupted(float.fromhex(inner[path[-1]]), rng).hex()
        return str(path)
    parts = [part for part in c.get("parts", [c]) if part["records"]]
    if kind == 4:
        return change_leaf(rng, c)
    if kind == 5 and parts:
        return change_cells(rng, parts[rng.integers(len(parts))])
    return change_whole(rng, c, other)


def study(count: int, seed: int = 0) -> Tally:
    """Certificates in turn, changed in one place (every fifth in two): rejected, or not contradicted."""
    rng, tally, base = np.random.default_rng(seed), Tally(NAME), certificates()
    names = list(base)
    paths = {name: list(numbers(c)) for name, c in base.items()}
    for each in paths.values():
        rng.shuffle(each)
    with tally.clock(), impatient():
        for k in range(count):
            name, other = names[k % len(names)], base[names[rng.integers(len(names))]]
            c = copy.deepcopy(base[name])
            words = f"seed {seed}, {k}: {name}: "
            words += change(rng, c, other, paths[name], k // len(names))
            if k % 5 == 4:
                words += "; " + change_whole(rng, c, other)
            tally.tried += 1
            try:
                stated = claim(c)
            except Exception as error:
                tally.fail(f"{words}: {type(error).__name__}: {error}")
                continue
            if stated is None:
                tally.count("rejected")
                continue
            tally.count("accepted, the same claim" if stated == claims()[name] else "accepted, another true claim")
            wrong = contradiction(c, stated, rng)
            if wrong:
                tally.fail(f"{words}: accepted, but {wrong}")
    return tally


@cache
def claims() -> dict[str, str | None]:
    return {name: claim(c) for name, c in certificates().items()}


@pytest.mark.parametrize("name", MAKERS)
def test_the_certificates_are_accepted_and_not_contradicted(name: str) -> None:
    c = certificates()[name]
    stated = claim(c)
    assert stated is not None
    assert contradiction(c, stated, np.random.default_rng(0), 400) is None


def test_corrupted_certificates_of_regions_are_rejected_or_true() -> None:
    tally = study(140, 1)
    assert not tally.failures
    assert tally.met["rejected"] > 40 and tally.met["accepted, another true claim"] > 10


def _times(where: dict[str, Any], key: str, factor: float) -> None:
    where[key] = make.hexed(factor * make.unhexed(where[key]))


def _far_cell(c: dict[str, Any]) -> None:
    cells = places(c)
    cells[-1] = np.append(cells[-1], 4095)
    c["records"][-1][3] += 1
    c["cells"] = packed(cells)


#: what the checker leaves out, and a false certificate that it then accepts
FALSE: dict[str, tuple[str, Callable[[dict[str, Any]], Any], str, Any]] = {
    "equilibrium": (
        "cells",
        lambda c: [_times(c["equilibrium"], side, 0.999) for side in ("lower", "upper")],
        "prove_equilibrium",
        lambda *_: None,
    ),
    "core": ("cells", lambda c: _times(c["core"], "radius", 20.0), "_contracts", lambda *_: 0),
    "final ball": (
        "parameters and errors",
        lambda c: [_times(c["final"][-1], name, 0.01) for name in ("radius", "push")],
        "_contracts",
        lambda *_: 0,
    ),
    "levels": (
        "level sets",
        lambda c: [c.pop("limits"), _times(c["ellipsoids"][-1], "radius", 2.0)],
        "prove_decrease",
        lambda *_: 0,
    ),
    "images": ("cells", _far_cell, "Region._covered", lambda self, forms, *_: np.ones(len(forms[0].c), dtype=bool)),
    "volume": ("cells", lambda c: _times(c["domain"], "volume", 1.01), "Grid.volume", lambda *_: 7.0),
    "parts": (
        "parts",
        lambda c: c["parts"].pop(),
        "_parts",
        lambda loop, parts: (lambda one: ([one], [(one, 1.0)]))(
            check_cells.Proof(
                loop.part(make.unhexed(parts[0]["parameters"])), parts[0], {"parameters", "grid"}, parts[0]["grid"]
            )
        ),
    ),
    "limits": ("level sets", lambda c: _times(c["limits"], "upper", 0.8), "_limits_text", lambda *_: ""),
    "box": (
        "level sets",
        lambda c: [_times(c["box"], s, 20.0) for s in ("lower", "upper")],
        "_box_text",
        lambda *_: "",
    ),
}


@pytest.mark.parametrize("what", FALSE)
def test_the_referee_notices_what_a_checker_leaves_out(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, damage, left_out, nothing = FALSE[what]
    c = copy.deepcopy(certificates()[name])
    damage(c)
    assert claim(c) is None
    for place in left_out.split():
        monkeypatch.setattr(f"lipctrl.proofs.check_cells.{place}", nothing)
    stated = claim(c)
    assert stated is not None
    assert contradiction(c, stated, np.random.default_rng(0))
