"""Whole certificates of cells, small enough to be written by hand, and the claim that each derives, word by word."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lipctrl.proofs import check_cells as cc
from tests.proofs.cells_for_tests import ZERO_POLICY, affine, ellipsoid, hexed, model, packed, program, stage

MIDDLE, RING = [27, 28, 35, 36], [18, 19, 20, 21, 26, 29, 34, 37, 42, 43, 44, 45]


@pytest.fixture(autouse=True)
def gives_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, limit in (("MAX_COVER", 2500), ("MAX_PARTS", 300), ("MAX_PARAMETER_PARTS", 24)):
        monkeypatch.setattr(cc, name, limit)


def box(lower: Any, upper: Any) -> dict[str, Any]:
    return {"lower": hexed(lower), "upper": hexed(upper)}


def shape(radius: float, **more: Any) -> dict[str, Any]:
    return {"center": hexed([0.0, 0.0]), "T": hexed(np.eye(2)), "radius": radius.hex(), **more}


def certificate() -> dict[str, Any]:
    """x+ = .45 x, y+ = .45 y; a core of .3, a ball of .36, the middle cells of [-1, 1]^2 and the ring about them."""
    return {
        "format": "lipctrl-certificate",
        "version": 1,
        "theorem": "region_of_attraction",
        "network": ZERO_POLICY,
        "model": model(0.45, 0.45),
        "equilibrium": box([-1e-6] * 2, [1e-6] * 2),
        "core": shape(0.3),
        "ellipsoids": [shape(0.36, steps=1)],
        "grids": [{"low": hexed([-1.0, -1.0]), "width": hexed([2.0, 2.0]), "angles": [False, False]}],
        "records": [[0, 3, 0, 4], [0, 3, 1, 12]],
        "cells": packed(MIDDLE, RING),
        "domain": {"grid": 0, **box([-1.0, -1.0], [1.0, 1.0]), "volume": (0.999999).hex()},
    }


def without_cells() -> dict[str, Any]:
    return certificate() | {"grids": [], "records": [], "cells": packed([]), "domain": None}


def derived(fields: dict[str, Any]) -> str:
    with np.errstate(all="ignore"):
        return cc.derive(copy.deepcopy(fields))


def test_the_claim_word_by_word() -> None:
    """16 of 64 cells: a quarter of the square, its volume 1; rounded down by 2^-32 and to nine digits."""
    lines = derived(certificate()).split("\n")
    digest = cc.Network(ZERO_POLICY, False).sha256()
    assert lines[0] == "Region of attraction: at least 24.9999 % of [-1.0, 1.0] x [-1.0, 1.0] (volume 0.999999999)."
    assert lines[1:6] == [
        "Every trajectory of the loop from the certified cells and ellipsoids converges to x*,",
        "the only equilibrium in the box [-1e-06, 1e-06] x [-1e-06, 1e-06].",
        "The loop is x+ = step(x, pi(observe(x))) with the equations and the policy pi as written in the file:",
        "the exact nonlinear model, real arithmetic (no float32), the deterministic action, no disturbance.",
        "States on the way may leave the domain.",
    ]
    # 12 cells fly one step, the four none; the core starts with 16^2 cells of which the ball meets 216
    assert lines[6].endswith("; 16 cells in 2 ranks with 12 images.") and "; 1 ellipsoids with " in lines[6]
    assert lines[7] == f"Digest of the network: {digest}."
    assert lines[8] == (
        "Trusted, not checked: that the equations are those of the environment, and that the policy's file means"
        " this network."
    )
    assert len(lines) == 9
    named = derived(certificate() | {"policy_sha256": "ab" * 32, "network_sha256": digest, "arithmetic": "real"})
    assert named.endswith("and that the policy's file " + "ab" * 32 + " means this network.")


def test_the_claim_of_ellipsoids_alone() -> None:
    """The largest has pi .36^2 = .407150408; V falls at every step, so states stay."""
    lines = derived(without_cells()).split("\n")
    assert lines[0] == "Region of attraction: 2 ellipsoids, the largest of volume 0.407150407 or more."
    assert lines[1] == "Every trajectory of the loop from the certified ellipsoids converges to x*,"
    assert lines[5] == "States on the way stay in the ellipsoids (the core widened about x*)."
    two = without_cells()
    two["ellipsoids"][0]["steps"] = 2
    assert "States on the way may leave the domain." in derived(two)
    limited = without_cells() | {"limits": {"lower": hexed([-0.4, -0.4]), "upper": ["inf", (0.4).hex()]}}
    assert (
        "States on the way stay in the ellipsoids (the core widened about x*), within the limits "
        "[-0.4, inf] x [-0.4, 0.4] of the equations."
    ) in derived(limited)
    boxed = without_cells() | {"box": box([-0.25, -0.25], [0.25, 0.25])}
    assert "The whole box [-0.25, 0.25] x [-0.25, 0.25] is certified." in derived(boxed)
    assert "may leave" not in derived(boxed)


def change(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda c: c.update(copy.deepcopy(fields))


#: what is damaged: words of the reason
ALONE: dict[str, Callable[[dict[str, Any]], None]] = {
    "limits that cut the ball: leaves the limits": change(limits=box([-0.35, -0.4], [0.4, 0.4])),
    "limits that cut it above: leaves the limits": change(limits=box([-0.4, -0.4], [0.4, 0.359])),
    "limits without numbers: hexadecimal": change(limits={"lower": hexed([-1.0, -1.0]), "upper": ["-inf", "inf"]}),
    "limits and two steps: one step": lambda c: (
        c["ellipsoids"][0].update(steps=2),
        change(limits=box([-1, -1], [1, 1]))(c),
    )[1],
    "a box too large: holds the box": change(box=box([-0.27, -0.25], [0.25, 0.25])),
    "a box too large above: holds the box": change(box=box([-0.25, -0.25], [0.25, 0.27])),
    "an empty box: box is empty": change(box=box([0.1, 0.0], [0.0, 0.1])),
    "a domain without cells: no grid": change(domain={**box([-1, -1], [1, 1]), "volume": (0.0).hex(), "grid": 0}),
    "no steps: number of steps": lambda c: c["ellipsoids"][0].update(steps=0),
    "too many steps: number of steps": lambda c: c["ellipsoids"][0].update(steps=1001),
    "grows: core does not contract": change(model=model(1.01, 0.45)),
    "ellipsoid about elsewhere: does not decrease": lambda c: c["ellipsoids"][0].update(center=hexed([0.4, 0.0])),
    "cells of no record: wrong size": change(cells=packed([1])),
}
CELLS: dict[str, Callable[[dict[str, Any]], None]] = {
    "volume: claimed volume": lambda c: c["domain"].update(volume=(1.0001).hex()),
    "negative volume: claimed volume": lambda c: c["domain"].update(volume=(-1.0).hex()),
    "domain empty: domain is empty": lambda c: c["domain"].update(upper=hexed([-1.0, 1.0])),
    "domain flat: domain is empty": lambda c: c["domain"].update(upper=hexed([-1.0, 1.0]), volume=(0.0).hex()),
    "domain backwards: domain is empty": lambda c: c["domain"].update(upper=hexed([-1.5, 1.0]), volume=(0.0).hex()),
    "domain of a point: domain is empty": lambda c: c["domain"].update(upper=hexed([-1.0, -1.0]), volume=(0.0).hex()),
    "grid that is not there: no grid": lambda c: c["domain"].update(grid=1),
    "no domain: a count": change(domain=None),
    "record of another grid: strange record": lambda c: c["records"].append([1, 3, 0, 0]),
    "size: wrong size": lambda c: c["records"][1].__setitem__(3, 11),
    "levels fall: levels": lambda c: c["records"].append([0, 2, 0, 0]),
    "a cell more: not covered": lambda c: (
        c["records"][1].__setitem__(3, 13),
        c.update(cells=packed(MIDDLE, [0, *RING])),
    )[0],
    "images of no steps: not covered": lambda c: c["records"][1].__setitem__(2, 0),
    "order: not covered": change(records=[[0, 3, 1, 12], [0, 3, 1, 4]], cells=packed(RING, MIDDLE), ellipsoids=[]),
    "version field: unknown fields": change(extra=1),
    "digest: digest of the network": change(network_sha256="0" * 64),
    "policy digest: strange digest": change(policy_sha256="xy"),
    "policy digest of another kind: strange digest": change(policy_sha256=5),
    "arithmetic: strange arithmetic": change(arithmetic="float16"),
    "negative error: negative": change(action_error=(-0.1).hex()),
    "limits with cells: no cells": change(limits=box([-1, -1], [1, 1])),
    "equilibrium elsewhere: exactly one equilibrium": change(equilibrium=box([0.1, 0.1], [0.2, 0.2])),
    "equilibrium empty: equilibrium's box is empty": change(equilibrium=box([0.1, 0.1], [0.1, 0.2])),
    "core without it: hold the equilibrium": change(core=shape(1e-7)),
    "angles: full turns": lambda c: c["grids"][0].update(angles=[True, False]),
    "angles of a wide grid: full turns": lambda c: c["grids"][0].update(
        angles=[False, True], low=hexed([-4, -4]), width=hexed([8, 8])
    ),
    "model: no list": change(model=[]),
    "step: no list": change(model={"step": {"outputs": 1}}),
    "no states: number of states": change(model={"step": {"outputs": []}}),
    "parts beside: unknown fields": change(parts=[]),
    "final balls without errors: belong together": change(final=[stage(0.6, 0.1, 0.3)]),
}


@pytest.mark.parametrize("name", [*ALONE, *CELLS])
def test_each_of_these_is_rejected(name: str) -> None:
    damaged = without_cells() if name in ALONE else certificate()
    (ALONE | CELLS)[name](damaged)
    with pytest.raises(cc.Rejected, match=name.split(": ")[1]):
        derived(damaged)


def test_smaller_claims_are_true_as_well() -> None:
    for damage in (
        lambda c: c["domain"].update(volume=(0.25).hex()),
        lambda c: c["domain"].update(volume=(0.0).hex()),
        lambda c: c["records"].append([0, 5, 0, 0]),
        lambda c: c.update(records=[[0, 3, 0, 4], [0, 3, 3, 12]]),
        change(records=[[0, 3, 1, 4], [0, 3, 1, 12]], ellipsoids=[]),
        lambda c: c["records"].append([0, 3, 1000, 0]),
        change(ellipsoids=[shape(0.36, steps=1)] * 2),
        lambda c: c.update(box=box([-0.25, -0.25], [0.25, 0.25])),
        lambda c: c.update(claim=1, assumptions=2, information=3),
    ):
        fields = certificate()
        damage(fields)
        assert derived(fields)
    half = certificate()
    half["domain"].update(box([-1.0, 0.0], [1.0, 1.0]), volume=(0.4999).hex())
    assert derived(half).startswith(
        "Region of attraction: at least 24.9999 % of [-1.0, 1.0] x [0.0, 1.0] (volume 0.499999999)."
    )


def test_claims_of_sectors_name_their_channels() -> None:
    """A linear loop has none: its core takes no cells, and no sector."""
    for ellipsoids in ([], [shape(0.36, steps=1)]):
        alone = without_cells() | {"sectors": [], "ellipsoids": ellipsoids}
        assert f"Proved: the core with 0 cells; {len(ellipsoids)} ellipsoids with " in derived(alone)
    with pytest.raises(cc.Rejected, match="more sectors than"):
        derived(without_cells() | {"sectors": [[hexed([0.0, 1.0, 0.5, 1.0])]]})


def test_claims_with_errors_name_the_final_ball() -> None:
    """x / 2 + d, |d| <= 1/64: ends within .0318 and a little, rounded up by 1 % at most."""
    fields = without_cells() | {
        "model": model(0.5, 0.25),
        "action_error": (2.0**-6).hex(),
        "final": [stage(0.501, 0.0157, 0.0318)],
        "ellipsoids": [],
    }
    text = derived(fields)
    assert "enters {|x_i - x*_i| <= (3.21e-02, 3.21e-02)} and stays there," in text
    assert "each action wrong by at most 0.015625 at each step." in text and "converges" not in text
    assert (
        "States on the way stay in the ellipsoids" in text and "1 ellipsoids, the largest of volume 0.282743338" in text
    )
    for damage in (
        change(final=[]),
        change(final=[stage(0.501, 0.0155, 0.0318)]),
        change(action_error=(2.0**-5).hex()),
    ):
        wrong = copy.deepcopy(fields)
        damage(wrong)
        with pytest.raises(cc.Rejected):
            derived(wrong)
    single = without_cells() | {
        "model": model(0.5, 0.25),
        "arithmetic": "float32",
        "ellipsoids": [],
        "final": [stage(0.501, 2e-6, 1e-5)],
    }
    text = derived(single)
    assert "the policy evaluated in float32 as FORMAT-cells.md states it (the plant in real arithmetic)," in text
    assert "no other disturbance" in text and "enters {|x_i - x*_i| <= (1" in text
    both = single | {"action_error": (2.0**-20).hex(), "final": [stage(0.501, 2e-6, 1e-5)]}
    assert "each action wrong by at most 9.5367431640625e-07 at each step" in derived(both)


def test_claims_of_turning_loops_name_their_angles() -> None:
    """theta+ = theta - .55 sin theta, y+ = .45 y: every theta but pi converges to 0; shown near 0."""
    step = program(3, [0.55, 0.45], [["sin", 0], ["mul", 5, 3], ["sub", 0, 6], ["mul", 1, 4], ["add", 7, 2]], [9, 8])
    observe = program(2, [], [["sin", 0]], [2, 1])
    fields = certificate() | {"model": {"name": "t", "dt": (0.1).hex(), "step": step, "observe": observe}}
    fields["grids"] = [{"low": hexed([-4.0, -1.0]), "width": hexed([8.0, 2.0]), "angles": [True, False]}]
    fields["core"], fields["ellipsoids"] = shape(0.36), []
    fields.update(records=[[0, 5, 0, 4]], cells=packed([15 * 32 + 15, 15 * 32 + 16, 16 * 32 + 15, 16 * 32 + 16]))
    fields["domain"].update(box([-4.0, -1.0], [4.0, 1.0]), volume=(0.06).hex())
    assert "converges to x* modulo 2 pi in x1," in derived(fields)
    fields["grids"][0]["angles"] = [True, True]
    with pytest.raises(cc.Rejected, match="unchanged by full turns"):
        derived(fields)


def parted(*pieces: tuple[float, float], whole: tuple[float, float] = (0.5, 1.0)) -> dict[str, Any]:
    """p (.45 x), .45 y with parts of the box of p, each with the same cells."""
    fields = certificate()
    part = {key: fields.pop(key) for key in ("equilibrium", "core", "ellipsoids", "grids", "records", "cells")}
    fields["model"], fields["domain"] = (
        model(0.45, 0.45, [whole]),
        {k: v for k, v in fields["domain"].items() if k != "grid"},
    )
    fields["parts"] = [{**copy.deepcopy(part), "grid": 0, "parameters": [hexed(piece)]} for piece in pieces]
    return fields


def test_parts_of_the_parameters() -> None:
    """They must cover the whole box; the cells in common count, at the finest level; words say so."""
    text = derived(parted((0.5, 0.75), (0.75, 1.0)))
    assert "For each constant value of the parameters p0 in [0.5, 1.0], with its own x*:" in text
    assert (
        "from the cells certified in all of 2 parts converges to x*,\nan equilibrium in the box [-1e-06, 1e-06] x ["
        in text
    )
    assert (
        text.startswith("Region of attraction: at least 24.9999 %") and "; 32 cells in 4 ranks with 24 images" in text
    )
    for pieces in (
        [(0.5, 1.0)],
        [(0.4, 0.8), (0.7, 1.2)],
        [(0.75, 1.0), (0.5, 0.75)],
        [(0.5, 0.6), (0.6, 0.6), (0.6, 1.0)],
    ):
        assert derived(parted(*pieces))
    assert "the only equilibrium" in derived(parted((0.5, 1.0)))
    for pieces in ([(0.5, 0.75)], [(0.5, 0.75), (0.76, 1.0)], [(0.51, 1.0)], [(0.5, 0.99)]):
        with pytest.raises(cc.Rejected, match="do not cover"):
            derived(parted(*pieces))
    with pytest.raises(cc.Rejected, match="does not exist"):
        derived(parted())
    with pytest.raises(cc.Rejected, match="empty interval"):
        derived(parted((1.0, 0.5)))
    flat = parted((0.75, 0.75), whole=(0.75, 0.75))
    assert "p0 in [0.75, 0.75]" in derived(flat)
    with pytest.raises(cc.Rejected):
        derived(parted((0.75, 1.0), whole=(0.5, 0.5)))
    one = parted((0.5, 0.75), (0.75, 1.0))
    one["parts"][1].update(records=[[0, 3, 0, 4]], cells=packed(MIDDLE))
    one["domain"]["volume"] = (0.2499999).hex()
    assert derived(one).startswith("Region of attraction: at least 6.2499 %")
    one["domain"]["volume"] = (0.26).hex()
    with pytest.raises(cc.Rejected, match="volume"):
        derived(one)
    for damage in (
        lambda c: c["parts"][1].update(grid=1),
        lambda c: c["parts"][0].pop("grid"),
        lambda c: c["domain"].update(grid=0),
        lambda c: c["parts"][1]["grids"][0].update(width=hexed([2.0, 4.0])),
        lambda c: c.update(limits=box([-1, -1], [1, 1])),
        lambda c: c["parts"][1].update(core=shape(1e-9)),
        lambda c: c["parts"][1].update(extra=1),
        lambda c: c["parts"].__setitem__(0, []),
        lambda c: c.update(model=model(0.45, 0.45)),
        lambda c: c.update(domain=None),
        lambda c: c["parts"][0].update(parameters=[hexed([0.5, 0.75])] * 2),
    ):
        wrong = parted((0.5, 0.75), (0.75, 1.0))
        damage(wrong)
        with pytest.raises(cc.Rejected):
            derived(wrong)
    two = model(0.45, 0.45, [(0.5, 1.0)])
    two["parameters"].append({"name": "q", "lower": (0.0).hex(), "upper": (2.0).hex()})
    for program_ in ("step", "observe"):
        two[program_]["inputs"] += 1
    two["step"]["code"] = [["mul", 0, 5], ["mul", 1, 6], ["add", 7, 2], ["mul", 9, 3]]
    two["step"]["outputs"] = [10, 8]
    quarters = [
        hexed([a, b])
        for a, b in (((0.5, 0.75), (0, 1)), ((0.75, 1), (0, 1)), ((0.5, 0.75), (1, 2)), ((0.75, 1), (1, 2)))
    ]
    fields = parted(*[(0.5, 1.0)] * 4)
    fields["model"] = two
    for part, quarter in zip(fields["parts"], quarters, strict=True):
        part["parameters"] = quarter
    assert "p0 in [0.5, 1.0], q in [0.0, 2.0]" in derived(fields)
    fields["parts"].pop(2)
    with pytest.raises(cc.Rejected, match="cover"):
        derived(fields)


# ------------------------------------------------------------------------------------------------------- small figures


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6])
def test_volumes_of_ellipsoids_are_rounded_down(n: int) -> None:
    """2, pi, 4 pi/3, pi^2/2, 8 pi^2/15, pi^3/6 times r^n / |det T|, the rows in any order."""
    unit = [2, np.pi, 4 * np.pi / 3, np.pi**2 / 2, 8 * np.pi**2 / 15, np.pi**3 / 6][n - 1]
    for seed in range(3):
        T = np.random.default_rng(seed).standard_normal((n, n)) + np.eye(n)[::-1] * 2
        exact = unit * 1.5**n / abs(np.linalg.det(T))
        assert exact * (1 - 1e-11) <= cc._ball_volume(ellipsoid(1.5, np.zeros(n), T)) < exact


def test_half_widths_of_a_ball() -> None:
    """|row i of T^-1| radius, rounded up."""
    found = cc._half_widths(ellipsoid(1.0, T=[[0.6, 0.8], [-1.6, 1.2]]), 0.5)
    exact = 0.5 * np.sqrt([0.6**2 + 0.4**2, 0.8**2 + 0.3**2])
    assert np.all(exact * (1 - 1e-15) <= found) and np.all(found <= exact * (1 + 1e-9))


def test_figures_in_words_are_rounded_down() -> None:
    for value, text in (
        (0.0, "0"),
        (1.0, "1"),
        (0.2827433388, "0.282743338"),
        (2 / 3, "0.666666666"),
        (1 / 3, "0.333333333"),
    ):
        assert cc._below_text(value) == text
    for value in np.random.default_rng(0).uniform(0, 1e3, 300):
        assert value * (1 - 2e-8) <= float(cc._below_text(value)) <= value


def test_figures_in_words_are_rounded_up() -> None:
    for value, text in (
        (0.0, "0.00e+00"),
        (1.0, "1.00e+00"),
        (1.0001, "1.01e+00"),
        (0.0318, "3.18e-02"),
        (0.03181, "3.21e-02"),
        (9.999, "1.00e+01"),
    ):
        assert cc._above_text(value) == text and float(text) >= value
    for value in np.random.default_rng(0).uniform(0, 10, 300):
        assert value <= float(cc._above_text(value)) <= value * 1.016


def test_files(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain and gzip; exit codes; what is no file of this kind; limits of size and time."""
    path = tmp_path / "c.json"
    text = json.dumps(certificate())
    path.write_text(text)
    zipped = tmp_path / "c.json.gz"
    zipped.write_bytes(gzip.compress(text.encode()))
    assert cc.check(path) == cc.check(zipped) == (0, derived(certificate()))
    assert cc.main([str(path)]) == 0
    assert capsys.readouterr().out == f"ACCEPTED (region_of_attraction)\n{derived(certificate())}\n"
    path.write_text(json.dumps(certificate() | {"extra": 1}))
    assert cc.check(path)[0] == 1 and cc.main([str(path)]) == 1
    assert capsys.readouterr().out == "REJECTED: missing or unknown fields\n"
    path.write_text(json.dumps(certificate() | {"information": {"seconds": 0.5}, "claim": 1e-3}))
    assert cc.check(path)[0] == 0
    for key, value in (("action_error", 0.5), ("equilibrium", {"lower": [-0.5, -0.5], "upper": [0.5, 0.5]})):
        path.write_text(json.dumps(certificate() | {key: value}))
        assert cc.check(path) == (1, "a number is no hexadecimal double")
    path.write_text("{")
    assert cc.main([str(path)]) == 2 and capsys.readouterr().out.startswith("UNREADABLE: cannot read the file: ")
    for arguments in ([], ["-h"], [str(path), str(path)]):
        assert cc.main(arguments) == 2 and "usage" in capsys.readouterr().err
    bad: list[dict[str, Any]] = [
        {"format": "x"},
        {"version": 2},
        {"version": True},
        {"version": "1"},
        {"theorem": "hinf_norm"},
    ]
    contents = [
        *(json.dumps(certificate() | fields) for fields in bad),
        "[]",
        "1",
        '{"a": 1, "a": 1}',
        '{"a": NaN}',
        json.dumps(certificate() | {"information": 0.5}).replace("0.5", "1e400"),
    ]
    for content in contents:
        path.write_text(content)
        assert cc.check(path)[0] == 2, content
    assert cc.check(tmp_path / "none")[0] == 2
    path.write_bytes(b"\xff\xfe")
    assert cc.check(path)[0] == 2
    path.write_text(text)
    assert cc.check(path, seconds=-1.0) == (1, "the time limit is over before everything is proved")
    assert cc._clock.deadline == np.inf
    monkeypatch.setattr(cc, "MAX_BYTES", len(text.encode()))
    assert cc.check(path)[0] == 0
    monkeypatch.setattr(cc, "MAX_BYTES", len(text.encode()) - 1)
    assert cc.check(path)[0] == 2 and cc.check(zipped)[0] == 2
    monkeypatch.setattr(cc, "_rounds_to_nearest", lambda: False)
    monkeypatch.setattr(cc, "MAX_BYTES", 10**9)
    assert cc.check(path) == (1, "this machine does not round to nearest")
    monkeypatch.setattr(cc, "derive", lambda _: 1 / 0)
    monkeypatch.setattr(cc, "_rounds_to_nearest", lambda: True)
    assert cc.check(path) == (1, "the check failed: ZeroDivisionError")


def test_this_machine_rounds_to_nearest() -> None:
    assert cc._rounds_to_nearest()


def test_network_of_one_affine_layer_is_exact() -> None:
    """Nothing is lost of a linear policy."""
    network = cc.Network({"layers": [affine([[0.5, -2.0]], [0.25])]}, False)
    actions, ranges, errors = network(cc._box_between(np.array([[1.0, 1.0]]), np.array([[2.0, 1.0]])))
    lo, hi = actions[0].range()
    assert ranges == [] and not errors.any() and lo[0] == pytest.approx(-1.25) and hi[0] == pytest.approx(-0.75)


class Rounded(float):
    """A number whose sums, differences and products are rounded another way: by truncation, up, or down."""

    way = "nearest"

    def _of(self, exact: Fraction) -> Rounded:
        value = float(exact)
        if self.way != "nearest":
            up = self.way == "up" or (self.way == "zero" and exact < 0)
            if up and Fraction(value) < exact:
                value = float(np.nextafter(value, np.inf))
            if not up and Fraction(value) > exact:
                value = float(np.nextafter(value, -np.inf))
        return type(self)(value)

    def __add__(self, other: float) -> Rounded:
        return self._of(Fraction(float(self)) + Fraction(float(other)))

    def __sub__(self, other: float) -> Rounded:
        return self._of(Fraction(float(self)) - Fraction(float(other)))

    def __mul__(self, other: float) -> Rounded:
        return self._of(Fraction(float(self)) * Fraction(float(other)))

    __rmul__ = __mul__

    def __neg__(self) -> Rounded:
        return type(self)(-float(self))


@pytest.mark.parametrize(("way", "nearest"), [("nearest", True), ("up", False), ("down", False), ("zero", False)])
def test_other_roundings_are_noticed(way: str, nearest: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = type("Way", (Rounded,), {"way": way})
    monkeypatch.setattr(cc, "np", SimpleNamespace(float64=kind))
    assert cc._rounds_to_nearest() is nearest
    flushed = type("Flushed", (kind,), {"__new__": lambda c, v: Rounded.__new__(c, 0.0 if abs(v) < 2.0**-1022 else v)})
    monkeypatch.setattr(cc, "np", SimpleNamespace(float64=flushed))
    assert not cc._rounds_to_nearest()
