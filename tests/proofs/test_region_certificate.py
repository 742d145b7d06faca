"""The writers of certificates of cells, levels and sectors: what FORMAT-cells.md says of each field, read by hand."""

from __future__ import annotations

import base64
import zlib
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lipctrl.errors import CertificateError
from lipctrl.intervals.interval import Interval
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.plants.models.pendulum import Pendulum
from lipctrl.proofs.certificate import hex_array
from lipctrl.proofs.closed_loop import ClosedLoop
from lipctrl.proofs.core import Stage
from lipctrl.proofs.ellipsoid import Ellipsoid
from lipctrl.proofs.grid import Grid
from lipctrl.proofs.levels_certificate import levels_certificate
from lipctrl.proofs.region_certificate import Part, model_block, region_certificate

NETWORK = Network([Affine([[0.0, -9.0, -2.0]], [0.3]), Elementwise("hardtanh", 1, low=-2.0, high=2.0)])
REST = Interval(np.array([0.1, -1e-9]), np.array([0.2, 1e-9]))
CORE = Ellipsoid(np.array([0.15, 0.0]), np.array([[3.0, 0.5], [0.0, 2.0]]), 0.25)
LEVEL = Ellipsoid(np.array([0.15, 0.0]), np.array([[1.0, 0.25], [0.0, 2.0]]), 0.75)
LOW, HIGH = np.array([-1.0, -2.0]), np.array([1.0, 2.5])


class Slow(Ellipsoid):
    steps = 3


def cells(loop: ClosedLoop | None = None, records: Any = (), outer: Any = None, grids: int = 2) -> Any:
    """What the writer reads of a certified set."""
    made = [Grid.around([-3.2, -8.0], [3.2, 8.0], [True, False], level) for level in range(grids)]
    slow = Slow(LEVEL.center, LEVEL.T, LEVEL.radius)
    return SimpleNamespace(
        loop=loop or ClosedLoop(Pendulum(), NETWORK),
        ellipsoids=[CORE, LEVEL, slow],
        grids=made,
        own_records=[SimpleNamespace(grid=g, level=lv, steps=s, index=np.array(index)) for g, lv, s, index in records],
        outer=outer,
    )


def ellipsoid(e: Ellipsoid) -> dict[str, Any]:
    return {"center": hex_array(e.center), "T": hex_array(e.T), "radius": e.radius.hex()}


def places(content: dict[str, Any]) -> list[list[int]]:
    """Differences of the cells' numbers: all lowest bytes first, then the next, ..."""
    planes = zlib.decompress(base64.b64decode(content["cells"]))
    count = len(planes) // 4
    steps = [sum(planes[k * count + i] << 8 * k for k in range(4)) for i in range(count)]
    out, start = [], 0
    for *_, size in content["records"]:
        out.append(np.cumsum(steps[start : start + size]).tolist())
        start += size
    assert start == count
    return out


RECORDS = [(0, 3, 1, [[7, 7], [0, 1], [2, 5]]), (1, 16, 4, [[65535, 65535], [3, 70]]), (1, 0, 1, [[0, 0]])]


def test_every_field_of_one_part() -> None:
    part = Part(cells(records=RECORDS), REST)
    content = region_certificate(part, LOW, HIGH, 0.5, policy_sha256="abc", information={"time": 3})
    assert content["theorem"] == "region_of_attraction"
    assert content["equilibrium"] == {"lower": hex_array(REST.lo), "upper": hex_array(REST.hi)}
    assert content["core"] == ellipsoid(CORE) and "final" not in content and "action_error" not in content
    assert content["ellipsoids"] == [{**ellipsoid(LEVEL), "steps": 1}, {**ellipsoid(LEVEL), "steps": 3}]
    assert [grid["angles"] for grid in content["grids"]] == [[True, False]] * 2
    made = cells().grids
    assert [(g["low"], g["width"]) for g in content["grids"]] == [(hex_array(g.low), hex_array(g.width)) for g in made]
    assert content["domain"] == {
        "grid": 1, "lower": hex_array(LOW), "upper": hex_array(HIGH), "volume": (0.5).hex()
    }  # fmt: skip
    assert content["records"] == [[0, 3, 1, 3], [1, 16, 4, 2], [1, 0, 1, 1]]
    assert places(content) == [[1, 2 * 8 + 5, 63], [3 * 2**16 + 70, 2**32 - 1], [0]]
    assert content["policy_sha256"] == "abc" and content["information"] == {"time": 3}
    assert content["network_sha256"] == NETWORK.sha256 and content["network"] == NETWORK.to_dict()
    assert "converges to the equilibrium" in content["claim"]
    assert content["assumptions"] == [
        "exact model", "policy in real arithmetic", "plant in real arithmetic", "deterministic action"
    ]  # fmt: skip


def test_a_grid_of_too_many_cells_is_refused() -> None:
    with pytest.raises(CertificateError, match="level 17 in 2 dimensions"):
        region_certificate(Part(cells(records=[(0, 17, 1, [[0, 0]])]), REST), LOW, HIGH, 0.5)


def test_without_records_there_are_no_cells() -> None:
    content = region_certificate(Part(cells(), REST), LOW, HIGH, 0.0)
    assert content["records"] == [] and places(content) == []


@pytest.mark.parametrize("lacking", ["grids", "ellipsoids"])
def test_a_core_and_a_grid_are_needed(lacking: str) -> None:
    whole, without = cells(), cells()
    setattr(without, lacking, [])
    for parts in (Part(without, REST), [Part(whole, REST), Part(without, REST)], [Part(without, REST)]):
        with pytest.raises(CertificateError, match="a core and a grid"):
            region_certificate(parts, LOW, HIGH, 0.5)


def test_errors_of_the_action_and_their_end() -> None:
    loop = ClosedLoop(Pendulum(mass=(0.9, 1.1)), NETWORK, 0.01, "float32")
    stage = Stage(0.5, 1e-3, 3e-3)
    content = region_certificate(Part(cells(loop), REST, (stage,)), LOW, HIGH, 0.5)
    assert content["final"] == [{"rate": (0.5).hex(), "push": (1e-3).hex(), "radius": (3e-3).hex()}]
    assert content["action_error"] == (0.01).hex() and content["arithmetic"] == "float32"
    assert "ends in a small ball" in content["claim"]
    assert content["assumptions"][1] == "policy in float32 arithmetic"
    assert content["assumptions"][-2:] == ["mass constant in [0.9, 1.1]", "errors of each action up to 0.01"]
    for other, stages in ((loop, ()), (None, (stage,))):
        with pytest.raises(CertificateError, match="belong together"):
            region_certificate(Part(cells(other), REST, stages), LOW, HIGH, 0.5)


def test_parts_stand_after_the_one_that_holds_them_and_once() -> None:
    """Two parts of .9 to 1.1 within one proof for all of it, and one by itself."""
    whole = cells(ClosedLoop(Pendulum(mass=(0.9, 1.1)), NETWORK), [(0, 1, 1, [[1, 1]])], grids=3)
    halves = [cells(ClosedLoop(Pendulum(mass=ends), NETWORK), [(0, 1, 2, [[0, 1]])], whole)
              for ends in ((0.9, 1.0), (1.0, 1.1))]  # fmt: skip
    alone = cells(ClosedLoop(Pendulum(mass=(1.1, 1.2)), NETWORK))
    proved = [Part(part, REST) for part in (alone, *halves)]
    model = Pendulum(mass=(0.9, 1.2))
    content = region_certificate(proved, LOW, HIGH, 0.5, model=model)
    assert "grid" not in content["domain"] and content["model"] == model_block(model)
    first, second, *inner = content["parts"]
    assert first["grid"] == 1 and second["grid"] == 2 and [part["within"] for part in inner] == [1, 1]
    assert first["parameters"] == [hex_array([1.1, 1.2])] and second["parameters"] == [hex_array([0.9, 1.1])]
    assert [part["parameters"] for part in inner] == [[hex_array([0.9, 1.0])], [hex_array([1.0, 1.1])]]
    assert places(second) == [[3]] and [places(part) for part in inner] == [[[1]], [[1]]]
    assert second["core"] == ellipsoid(CORE) and "core" not in inner[0]
    quarter = cells(ClosedLoop(Pendulum(mass=(0.9, 0.95)), NETWORK), (), halves[0])
    three = region_certificate([Part(quarter, REST)], LOW, HIGH, 0.5)["parts"]
    assert [part.get("within") for part in three] == [None, 0, 1]
    own = region_certificate(proved[:1], LOW, HIGH, 0.5)
    assert own["model"] == model_block(alone.loop.model)


def test_the_model_by_its_programs() -> None:
    block = model_block(Pendulum(mass=(0.9, 1.1)))
    assert block["parameters"] == [{"name": "mass", "lower": (0.9).hex(), "upper": (1.1).hex()}]
    assert (
        block["dt"] == (0.05).hex() and block["name"] == Pendulum().name and "parameters" not in model_block(Pendulum())
    )
    assert set(block) == {"parameters", "name", "dt", "step", "observe"}


@pytest.mark.parametrize("sectors", [None, (np.ones((2, 4)), np.zeros((1, 4)))])
def test_levels_and_sectors(sectors: Any) -> None:
    loop = ClosedLoop(Pendulum(), NETWORK)
    given = {"limits": (np.array([-np.inf, -8.0]), np.array([np.inf, 8.0])), "box": (LOW, HIGH), "policy_sha256": "abc"}
    if sectors is None:
        content = levels_certificate(loop, REST, CORE, [LEVEL, Slow(LEVEL.center, LEVEL.T, 0.5)], **given)
        assert [level["steps"] for level in content["ellipsoids"]] == [1, 3]
        assert "sectors" not in content
    else:
        content = levels_certificate(loop, REST, CORE, (), sectors=sectors, **given)
        assert content["ellipsoids"] == []
        assert content["sectors"] == [hex_array(block) for block in sectors]
    assert content["core"] == ellipsoid(CORE) and content["domain"] is None and content["grids"] == []
    assert content["limits"] == {"lower": ["-inf", (-8.0).hex()], "upper": ["inf", (8.0).hex()]}
    assert content["box"] == {"lower": hex_array(LOW), "upper": hex_array(HIGH)} and content["policy_sha256"] == "abc"
    plain = levels_certificate(loop, REST, CORE, [LEVEL])
    assert "limits" not in plain and "box" not in plain
