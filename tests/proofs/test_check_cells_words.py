"""What the checker of cells says, and what it puts together from parts: figures rounded down, shares, refusals."""

from __future__ import annotations

import copy
import itertools
import re
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lipctrl.proofs import check_cells as cc
from lipctrl.proofs.check_cells import Rejected
from tests.proofs.cells_for_tests import (
    ZERO_POLICY,
    ellipsoid,
    grid,
    hexed,
    loop,
    model,
    packed,
    program,
    same_loop,
    stage,
)
from tests.proofs.test_check_cells_claims import MIDDLE, RING, box, certificate, derived, parted, shape, without_cells

FIGURES = {"core_cells": 1, "ellipsoids": 2, "ellipsoid_cells": 3, "cells": 4, "ranks": 5, "images": 6, "channels": 0}


def proof(lower: Any, upper: Any, **fields: Any) -> Any:
    known = {"angles": [False] * len(lower), "ends": None, "sets": [ellipsoid(0.3)], **FIGURES, **fields}
    return SimpleNamespace(lower=np.array(lower), upper=np.array(upper), **known)


def words(proofs: list[Any], domain: Any = None, line: Any = None, parts: int = 1, more: Any = ()) -> list[str]:
    line = loop(0.5, 0.5) if line is None else line
    return cc._words(line, proofs, parts, domain, ("ab", None), list(more)).split("\n")


def test_the_box_of_the_equilibria_is_that_of_all_parts() -> None:
    """[-1, 3] x [2, 2.5] and [0, 5] x [-4, 1]: together [-1, 5] x [-4, 2.5]; no figure rounded, for x* is in there."""
    text = words([proof([-1.0, 2.0], [3.0, 2.5]), proof([0.0, -4.0], [5.0, 1.0])], parts=2)
    assert text[2] == "an equilibrium in the box [-1.0, 5.0] x [-4.0, 2.5]."
    assert text[1].startswith(
        "Every trajectory of the loop from the cells certified in all of 2 parts converges to x*,"
    )
    assert text[5] == "Proved: the core with 2 cells; 4 ellipsoids with 6 cells; 8 cells in 10 ranks with 12 images."
    one = words([proof([-1.0, 2.0], [3.0, 2.5])])
    assert one[2] == "the only equilibrium in the box [-1.0, 3.0] x [2.0, 2.5]."
    rounded = words([proof([-0.5149, 0.0], [0.5149, 0.1])])[2]
    assert rounded == "the only equilibrium in the box [-0.5149, 0.5149] x [0.0, 0.1]."
    assert one[1] == "Every trajectory of the loop from the certified ellipsoids converges to x*,"
    assert one[5] == "Proved: the core with 1 cells; 2 ellipsoids with 3 cells; 4 cells in 5 ranks with 6 images."
    by_sectors = words([proof([0.0, 0.0], [1.0, 1.0], channels=7, core_cells=0)])
    assert by_sectors[5].startswith(
        "Proved: the core by sectors (7 nonlinear operations as sector-bounded channels); 2 "
    )
    assert words([proof([0.0, 0.0], [1.0, 1.0])], more=["a", "b"])[5:7] == ["a", "b"]


def test_angles_and_final_balls_of_any_part_are_named() -> None:
    first, second = proof([0.0] * 2, [1.0] * 2, angles=[False, True]), proof([0.0] * 2, [1.0] * 2)
    assert "converges to x* modulo 2 pi in x2," in words([first, second], parts=2)[1]
    first.angles = [True, True]
    assert "converges to x* modulo 2 pi in x1, x2," in words([second, first], parts=2)[1]
    first.ends, second.ends = [0.25, 2.0], [0.5, 1.0]
    assert "enters {|x_i - x*_i| <= (5.00e-01, 2.00e+00)} and stays there modulo" in words([first, second], parts=2)[1]


def test_shares_of_the_domain_are_rounded_down() -> None:
    """0.987654321 of 2 x 3, to a ten-thousandth of a per cent; the volume to nine digits."""
    low, high = np.array([-1.0, 0.5]), np.array([1.0, 3.5])
    for share, text in ((0.987654321, "98.7654"), (0.5, "49.9999"), (0.12345671, "12.3456"), (0.0, "0.0000")):
        first = words([proof([0.0, 0.0], [1.0, 1.0])], (low, high, 6 * share))[0]
        assert first.startswith(f"Region of attraction: at least {text} % of [-1.0, 1.0] x [0.5, 3.5] (volume ")
        volume = float(first.split("volume ")[1].rstrip(")."))
        assert 6 * share * (1 - 1e-8) <= volume <= 6 * share
    assert "from the certified cells and ellipsoids" in words([proof([0.0, 0.0], [1.0, 1.0])], (low, high, 1.0))[1]
    two = proof([0.0, 0.0], [1.0, 1.0], sets=[ellipsoid(0.1), ellipsoid(1.0), ellipsoid(0.5)])
    assert words([two])[0] == "Region of attraction: 3 ellipsoids, the largest of volume 3.14159265 or more."


def test_figures_of_each_value_are_rounded_down() -> None:
    """Of a whole of 2: the least part, and the parts by their shares."""
    for parts, least, pairs in (
        ([(0.5, 0.25), (1.0, 0.75)], "24.9999", "43.7499"),
        ([(1.0, 0.75), (0.50001, 0.25)], "25.0004", "43.7501"),
        ([(2.0, 1.0)], "99.9999", "99.9999"),
        ([(0.0, 0.5), (1.23456789, 0.5)], "0.0000", "30.8641"),
    ):
        text = cc._each_text(parts, 2.0, "converges")
        assert re.findall(r"at least ([\d.]+) %", text) == [least, pairs]
        assert (
            text.startswith("For each value of the parameters by itself, at least ") and text.endswith(" a value.")
        ) or ("of all pairs of a state and a value" in text)
        exact = min(v for v, _ in parts) / 2, sum(v * s for v, s in parts) / 2
        for figure, true in zip(re.findall(r"at least ([\d.]+) %", text), exact, strict=True):
            assert 100 * true - 1.01e-4 <= float(figure) <= 100 * true


def test_figures_of_parts_by_the_cells_of_each() -> None:
    """A quarter of half of the square for three quarters of the parameters, a sixteenth for the others."""
    fields = parted((0.5, 0.875), (0.875, 1.0))
    fields["parts"][1].update(records=[[0, 3, 0, 4]], cells=packed(MIDDLE))
    fields["domain"].update(box([-1.0, 0.0], [1.0, 1.0]), volume=(0.1).hex())
    text = derived(fields)
    assert text.startswith("Region of attraction: at least 6.2499 % of [-1.0, 1.0] x [0.0, 1.0] (volume 0.124999999).")
    assert "by itself, at least 6.2499 % of the domain converges;\nof all pairs of a state and" in text
    assert "a value, at least 20.3124 %." in text
    inner = copy.deepcopy(fields)
    inner["parts"][0]["parameters"] = [hexed([0.5, 1.0])]
    inner["parts"][1] = {"parameters": [hexed([0.5, 1.0])], "within": 0, "records": [], "cells": packed([])}
    assert "from the certified cells and ellipsoids converges" in derived(inner)
    for wrong, words_ in (
        ({"within": 1}, "later"),
        ({"within": -1}, "count"),
        ({"parameters": [hexed([0.25, 1.0])]}, "does not lie within"),
        ({"parameters": [hexed([0.5, 1.25])]}, "does not lie within"),
        ({"parameters": [hexed([0.75, 1.0])]}, "cover"),
        ({"parameters": [hexed([0.5, 0.75])]}, "cover"),
        ({"extra": 0}, "fields"),
        ({"grid": 0}, "fields"),
        ({"records": {}}, "list"),
    ):
        damaged = copy.deepcopy(inner)
        damaged["parts"][1].update(wrong)
        with pytest.raises(Rejected, match=words_):
            derived(damaged)


def test_parts_within_another_take_its_cells_and_add_their_own() -> None:
    """The ring is proved by halves of the parameters: it follows the middle, which all have."""
    fields = parted((0.5, 1.0))
    first = fields["parts"][0]
    first.update(records=[[0, 3, 0, 4]], cells=packed(MIDDLE))
    for piece in ((0.5, 0.75), (0.75, 1.0)):
        fields["parts"].append(
            {"parameters": [hexed(piece)], "within": 0, "records": [[0, 3, 1, 12]], "cells": packed(RING)}
        )
    text = derived(fields)
    assert "at least 24.9999 % of [-1.0, 1.0]" in text and "certified in all of 2 parts" in text
    assert re.search(r"; 1 ellipsoids with \d+ cells; 28 cells in 3 ranks with 24 images\.", text), text
    alone = derived(parted((0.5, 1.0)))
    assert text.split("Proved: ")[1].split("; 28")[0] == alone.split("Proved: ")[1].split("; 16")[0]
    one = copy.deepcopy(fields)
    one["parts"].pop()
    with pytest.raises(Rejected, match="cover"):
        derived(one)
    twice = copy.deepcopy(fields)
    twice["parts"][2].update(records=[[0, 3, 1, 4]], cells=packed(MIDDLE))
    with pytest.raises(Rejected, match="twice"):
        derived(twice)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_shares_are_what_no_part_before_has(n: int) -> None:
    """Boxes with corners at multiples of 1/8 of sides of different lengths, counted in fractions."""
    rng = np.random.default_rng(n)
    low, length = np.array([0.0, -2.0, 5.0])[:n], np.array([1.0, 4.0, 16.0])[:n]
    whole, met = np.stack([low, low + length], axis=1), 0
    for _ in range(40):
        corners = [np.sort(rng.integers(-1, 10, (n, 2)), axis=1) for _ in range(rng.integers(1, 6))]
        if rng.random() < 0.7:
            corners.append(np.array([[0, 8]] * n) if rng.random() < 0.8 else np.array([[-3, 12]] * n))
        boxes = [low[:, None] + c * (length[:, None] / 8) for c in corners]
        counts, covered = [0] * len(boxes), 0
        for cell in itertools.product(range(8), repeat=n):
            owner = next(
                (k for k, c in enumerate(corners) if all(c[i, 0] <= v < c[i, 1] for i, v in enumerate(cell))), None
            )
            if owner is not None:
                counts[owner] += 1
                covered += 1
        if covered < 8**n:
            with pytest.raises(Rejected, match="do not cover"):
                cc._shares(whole, boxes)
            continue
        met += 1
        for share, count in zip(cc._shares(whole, boxes), counts, strict=True):
            exact = Fraction(count, 8**n)
            assert exact * (1 - Fraction(1, 2**31)) <= Fraction(share) <= exact * (1 - Fraction(1, 2**33))
    assert met > 10


def test_shares_of_flat_boxes_and_of_too_many() -> None:
    """A side of no length counts as one; 2^16 pieces at most."""
    flat = np.array([[0.5, 0.5], [0.0, 2.0]])
    found = cc._shares(flat, [np.array([[0.5, 0.5], [0.0, 0.5]]), np.array([[0.0, 1.0], [0.25, 3.0]])])
    assert found == pytest.approx([0.25, 0.75], rel=1e-9) and sum(found) < 1
    for missing in ([[0.6, 0.7], [0.0, 2.0]], [[0.1, 0.4], [0.0, 2.0]], [[0.5, 0.5], [0.0, 1.9]]):
        with pytest.raises(Rejected, match="cover"):
            cc._shares(flat, [np.array(missing)])
    square = np.array([[0.0, 256.0], [0.0, 256.0]])
    steps = [np.array([[k, k + 1.0], [k, k + 1.0]]) for k in range(256)]
    found = cc._shares(square, [square, *steps])
    assert found[0] == pytest.approx(1.0) and not any(found[1:])
    with pytest.raises(Rejected, match="too many parts"):
        cc._shares(square, [square, *steps, np.array([[0.0, 0.5], [0.0, 1.0]])])


def test_a_later_part_backwards_is_rejected() -> None:
    for wrong in ([[1.0, 0.75]], [[0.75, 0.5]]):
        fields = parted((0.5, 1.0), (0.75, 1.0))
        fields["parts"][1]["parameters"] = hexed(wrong)
        with pytest.raises(Rejected, match="empty interval"):
            derived(fields)


def test_cells_in_common_are_those_of_all_grids() -> None:
    """At the finest level: a cell of rank 3 and one of rank 0 have the greater; what one lacks, all lack."""
    first, second = grid([0.0, 0.0], [1.0, 1.0], [False] * 2, 2), grid([0.0, 0.0], [1.0, 1.0], [False] * 2, 1)
    first.rank[...], second.rank[0, 0], second.rank[1, 0] = 3, 0, 7
    first.rank[1, 1] = cc.UNMARKED
    for grids in ([first, second], [second, first], [second, first, second]):
        common = cc._in_common(grids)
        assert common.level == 2 and common.rank[0, 0] == 3 and common.rank[2, 1] == 7
        assert common.rank[1, 1] == common.rank[0, 2] == common.rank[3, 3] == cc.UNMARKED
    assert first.level == 2 and second.level == 1 and second.rank[0, 0] == 0 and first.rank[0, 0] == 3


def test_sectors_are_asked_on_the_ball_about_every_equilibrium(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    class Taken:
        def __init__(self, *given: Any) -> None:
            calls.append(given)

        def prove(self, *given: Any) -> int:
            calls.append(given)
            return 5

    monkeypatch.setattr(cc, "Sectors", Taken)
    lower, upper = [-0.002, -0.001], [0.001, 0.004]
    fields = without_cells() | {"sectors": [["a"]], "equilibrium": box(lower, upper), "ellipsoids": []}
    text = derived(fields)
    assert "Proved: the core by sectors (5 nonlinear operations as sector-bounded channels); 0 ellipsoids" in text
    away = float(np.hypot(0.002, 0.004))
    _, blocks, core, radius = calls[0]
    assert blocks == [["a"]] and core.radius == 0.3 and 0.3 + away <= radius <= (0.3 + away) * (1 + 1e-9)
    assert calls[1][0].tolist() == lower and calls[1][1].tolist() == upper
    for wrong in ({"action_error": (0.1).hex()}, {"arithmetic": "float32"}, {"final": [1]}):
        with pytest.raises(Rejected, match="exact actions"):
            derived(fields | wrong)
    for corner, held in ((0.21, True), (0.22, False)):  # FORMAT-cells.md: the equilibrium lies in the core
        outside = fields | {"equilibrium": box([-1e-3, -1e-3], [corner, corner])}
        if held:
            assert derived(outside)
        else:
            with pytest.raises(Rejected, match="does not hold the equilibrium"):
                derived(outside)


def test_states_for_cells_and_for_sectors_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells and ellipsoids in six states at most, sectors alone in 32."""

    class Taken:
        def __init__(self, *given: Any) -> None: ...

        def prove(self, *given: Any) -> int:
            return 0

    monkeypatch.setattr(cc, "Sectors", Taken)
    monkeypatch.setattr(cc, "prove_equilibrium", lambda *given: None)
    monkeypatch.setattr(cc, "prove_decrease", lambda *given: 1)
    monkeypatch.setattr(cc, "prove_core", lambda *given: (1, None))

    def fields(n: int) -> dict[str, Any]:
        line = same_loop(n, 0.5)
        code = [*([["mul", i, n + 1] for i in range(n)]), ["add", n + 2, n]]
        step = {
            "inputs": n + 1,
            "constants": hexed([0.5]),
            "code": code,
            "outputs": [2 * n + 2, *range(n + 3, 2 * n + 2)],
        }
        observe = {"inputs": n, "constants": [], "code": [], "outputs": [*range(n)]}
        shape = {"center": hexed(np.zeros(n)), "T": hexed(np.eye(n)), "radius": (0.3).hex()}
        return without_cells() | {
            "network": {"layers": [{"type": "affine", "W": hexed(line.network.layers[0].W), "b": hexed([0.0])}]},
            "model": {"name": "s", "dt": (1.0).hex(), "step": step, "observe": observe},
            "equilibrium": box(np.full(n, -1e-6), np.full(n, 1e-6)),
            "core": shape,
            "ellipsoids": [],
            "sectors": [],
        }  # fmt: skip

    for n, alone, allowed in (
        (6, True, True),
        (6, False, True),
        (7, True, True),
        (7, False, False),
        (32, True, True),
        (33, True, False),
    ):
        given = fields(n)
        if not alone:
            given["ellipsoids"] = [given["core"] | {"steps": 1}]
        if allowed:
            assert derived(given)
        else:
            with pytest.raises(Rejected, match="states"):
                derived(given)
    grids = fields(7) | {"grids": [{"low": hexed(np.zeros(7)), "width": hexed(np.ones(7)), "angles": [False] * 7}]}
    with pytest.raises(Rejected, match="states"):
        derived(grids)
    without = fields(7)
    without.pop("sectors")
    with pytest.raises(Rejected, match="states"):
        derived(without)
    without = fields(6)
    without.pop("sectors")
    assert derived(without)


def test_fields_that_belong_to_one_kind_of_certificate() -> None:
    """Every required field, missing; a domain without its grid; parts with what is for one alone."""
    for name in certificate():
        damaged = certificate()
        damaged.pop(name)
        with pytest.raises((Rejected, KeyError)):
            derived(damaged)
    for name in ("lower", "upper", "volume", "grid"):
        damaged = certificate()
        damaged["domain"].pop(name)
        with pytest.raises(Rejected, match="domain"):
            derived(damaged)
    whole = certificate()
    whole["domain"].update(box([-0.5, -0.5], [0.5, 0.5]))
    assert "\nEvery state of this domain converges.\n" in derived(whole)
    errors = {"action_error": (2.0**-12).hex(), "final": [stage(0.5, 0.01, 0.1)], "ellipsoids": []}
    assert "\nEvery state of this domain arrives there.\n" in derived(whole | errors | {"core": shape(0.36)})
    whole["domain"].update(box([-0.5, -0.5], [0.5, 0.50001]))
    assert "Every state" not in derived(whole)
    assert derived(certificate() | {"network": ZERO_POLICY, "model": model(0.45, 0.45)})


def one_state() -> dict[str, Any]:
    """x+ = x / 2 on [-1, 1]: a core of .3, two cells within and two beside them."""
    line = same_loop(1, 0.5)
    shape = {"center": hexed([0.0]), "T": hexed([[1.0]]), "radius": (0.3).hex()}
    return certificate() | {
        "network": {"layers": [{"type": "affine", "W": hexed(line.network.layers[0].W), "b": hexed([0.0])}]},
        "model": {
            "name": "s",
            "dt": (1.0).hex(),
            "step": {"inputs": 2, "constants": hexed([0.5]), "code": [["mul", 0, 2], ["add", 3, 1]], "outputs": [4]},
            "observe": {"inputs": 1, "constants": [], "code": [], "outputs": [0]},
        },
        "equilibrium": box([-1e-6], [1e-6]),
        "core": shape,
        "ellipsoids": [],
        "grids": [{"low": hexed([-1.0]), "width": hexed([2.0]), "angles": [False]}],
        "records": [[0, 3, 0, 2], [0, 3, 1, 2]],
        "cells": packed([3, 4], [2, 5]),
        "domain": {"grid": 0, **box([-1.0], [1.0]), "volume": (0.9).hex()},
    }


def test_a_certificate_of_one_state_and_a_volume_that_is_all_of_it() -> None:
    fields = one_state()
    assert derived(fields).startswith("Region of attraction: at least 49.9999 % of [-1.0, 1.0] (volume 0.999999999).")
    marked = grid([-1.0], [2.0], [False], 3)
    marked.rank[2:6] = 0
    exact = marked.volume(np.array([-1.0]), np.array([1.0]))
    fields["domain"]["volume"] = exact.hex()
    assert derived(fields)
    fields["domain"]["volume"] = float(np.nextafter(exact, 9)).hex()
    with pytest.raises(Rejected, match="volume"):
        derived(fields)


def test_shares_are_rounded_down_at_the_edge_of_a_digit() -> None:
    """Volumes just below k millionths of a box of six sides, in fractions."""
    rng = np.random.default_rng(0)
    for _ in range(300):
        low = rng.uniform(-3, 0, 6)
        high = low + rng.uniform(0.1, 3, 6)
        whole = Fraction(1)
        for a, b in zip(low, high, strict=True):
            whole *= Fraction(b) - Fraction(a)
        k = int(rng.integers(1, 10**6))
        volume = float(np.nextafter(float(whole * k / 10**6), 0))
        if Fraction(volume) >= whole * k / 10**6:
            volume = float(np.nextafter(volume, 0))
        first = words([proof([0.0] * 6, [1.0] * 6)], (low, high, volume), same_loop(6, 0.5))[0]
        assert Fraction(first.split("at least ")[1].split(" %")[0]) <= 100 * Fraction(volume) / whole


def test_a_grid_may_have_as_many_cells_as_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cc, "MAX_GRID", 2**6)
    assert grid([0.0, 0.0], [1.0, 1.0], [False] * 2, 3).rank.size == 64
    assert grid([0.0], [1.0], [False], 6).rank.size == 64
    for n, level in ((2, 4), (1, 7), (3, 3)):
        with pytest.raises(Rejected, match="too many cells"):
            grid([0.0] * n, [1.0] * n, [False] * n, level)


def test_counts_of_cells_are_those_of_the_proofs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cc, "prove_decrease", lambda *given: 11)
    asked: list[Any] = []
    monkeypatch.setattr(cc, "prove_core", lambda *given: asked.append(given) or (7, None))
    fields = without_cells() | {"equilibrium": box([-0.002, -0.001], [0.001, 0.004])}
    assert "Proved: the core with 7 cells; 1 ellipsoids with 11 cells; 0 cells in 0 ranks with 0 images." in derived(
        fields
    )
    assert asked[0][2].tolist() == [-0.002, -0.001] and asked[0][3].tolist() == [0.001, 0.004]
    fields["ellipsoids"] *= 3
    assert "; 3 ellipsoids with 33 cells; 0 cells" in derived(fields)
    assert "; 1 ellipsoids with 11 cells; 16 cells in 2 ranks with 12 images." in derived(certificate())


def test_limits_are_asked_of_the_core_about_every_equilibrium(monkeypatch: pytest.MonkeyPatch) -> None:
    """Widened by twice the farthest x*; then all ellipsoids, the core among them."""
    asked: list[Any] = []
    monkeypatch.setattr(cc, "_limits_text", lambda *given: asked.append(given) or "within")
    lower, upper = [-0.002, -0.001], [0.001, 0.004]
    fields = without_cells() | {"equilibrium": box(lower, upper), "limits": box([-1, -1], [1, 1])}
    assert "\nwithin\n" in derived(fields)
    away = float(np.hypot(0.002, 0.004))
    _, (widened, core, outer), stays = asked[0]
    assert 0.3 + 2 * away <= widened.radius <= (0.3 + 2 * away) * (1 + 1e-9) and stays is True
    assert (core.radius, outer.radius) == (0.3, 0.36) and widened.T is core.T
    point = without_cells() | {"box": box([0.25, 0.0], [0.25, 0.0]), "limits": box([-1, -1], [1, 1])}
    assert "The whole box [0.25, 0.25] x [0.0, 0.0] is certified." in derived(point)


def test_a_part_lies_within_another_on_every_side_of_its_box() -> None:
    """Of two parameters: one side of four beyond it is enough."""
    outer = np.array([[0.0, 1.0], [2.0, 4.0]])
    known: Any = SimpleNamespace(region=SimpleNamespace(loop=SimpleNamespace(box=outer)), which=None)
    for i, j, by in ((0, 0, -0.5), (0, 1, 0.5), (1, 0, -0.5), (1, 1, 0.5)):
        box_ = outer.copy()
        box_[i, j] += by
        with pytest.raises(Rejected, match="does not lie within"):
            cc.Proof.within(known, box_, {})
    for box_ in (outer, np.array([[0.25, 0.5], [2.0, 3.0]])):
        with pytest.raises(Rejected, match="without a domain"):
            cc.Proof.within(known, box_, {})


def test_readers_that_fail_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cc, "read", lambda path: 1 / 0)
    assert cc.check("x") == (2, "cannot read the file: ZeroDivisionError")


def test_no_side_of_a_part_is_backwards() -> None:
    """The second of two parameters."""
    line = loop(0.5, 0.5, parameters=[(1.0, 2.0), (0.0, 1.0)])
    for sides in ([[1.0, 2.0], [1.0, 0.0]], [[2.0, 1.0], [0.0, 1.0]]):
        with pytest.raises(Rejected, match="empty interval"):
            cc._parts(line, [{"parameters": hexed(sides), "grid": 0}])


def test_parts_without_a_domain_have_no_set_in_common() -> None:
    """Their ellipsoids differ: those of the first part were claimed for the parameters of all."""
    fields = parted((0.5, 0.75), (0.75, 1.0)) | {"domain": None}
    for part in fields["parts"]:
        part.update(grid=None, grids=[], records=[], cells=packed([]))
    with pytest.raises(Rejected, match="in a domain"):
        derived(fields)


def narrow(scale: float) -> dict[str, Any]:
    """The two lower ones of four cells, proved by the core: a half of a domain of scale x 5/4 scale."""
    x, y = 0.5 * scale, 0.3125 * scale
    step = program(
        3, [0.5, 0.5 * x, 0.5 * y], [["mul", 0, 3], ["mul", 1, 3], ["add", 6, 4], ["add", 7, 5], ["add", 8, 2]], [10, 9]
    )
    T = np.diag([1.41 / scale, 2.26 / scale])
    return certificate() | {
        "model": {"name": "n", "dt": (1.0).hex(), "step": step, "observe": program(2, [], [], [0, 1])},
        "equilibrium": box([x - scale / 1024, y - scale / 1024], [x + scale / 1024, y + scale / 1024]),
        "core": {"center": hexed([x, y]), "T": hexed(T), "radius": (1.01).hex()},
        "ellipsoids": [],
        "grids": [{"low": hexed([0.0, 0.0]), "width": hexed([scale, 1.25 * scale]), "angles": [False, False]}],
        "records": [[0, 1, 0, 2]],
        "cells": packed([0, 2]),
        "domain": {"grid": 0, **box([0.0, 0.0], [scale, 1.25 * scale]), "volume": (0.0).hex()},
    }


def test_shares_of_what_has_no_volume_in_doubles() -> None:
    """Half of a domain of volume 5/4 2^-1074 was 100 % of it: both are rounded to 2^-1074."""
    for side in (2.0**-100, 2.0**100):
        cc._need_sides(np.array([1.0, side]), "x")
    for side in (np.nextafter(2.0**-100, 0), np.nextafter(2.0**100, np.inf), np.inf, np.nan):
        with pytest.raises(Rejected):
            cc._need_sides(np.array([1.0, side]), "x")
    for scale in (2.0**-99, 1.0, 2.0**30):
        assert derived(narrow(scale)).startswith("Region of attraction: at least 49.9999 % of [0.0, ")
    for scale in (2.0**-537, 2.0**-101, 2.0**101):
        with pytest.raises(Rejected, match="a side of a grid"):
            derived(narrow(scale))
        wide = narrow(1.0)
        wide["domain"].update(box([0.0, 0.0], [1.25, 1.25 * scale]))
        with pytest.raises(Rejected, match="a side of the domain"):
            derived(wide)


def test_volumes_of_ellipsoids_below_all_numbers() -> None:
    """pi 2^-1074 is a number of two bits: 3 2^-1074 or 4."""
    assert cc._ball_volume(ellipsoid(2.0**-137, T=2.0**400 * np.eye(2))) == 0.0
    assert cc._ball_volume(ellipsoid(2.0**-37, T=2.0**400 * np.eye(2))) > 2.0**-873


def test_the_stated_error_of_actions_is_no_larger_than_what_was_proved() -> None:
    """To nine digits it would be 1."""
    text = words([proof([0.0, 0.0], [1.0, 1.0])], line=loop(0.5, 0.5, 0.99999999996))
    assert "each action wrong by at most 0.99999999996 at each step." in "\n".join(text)
