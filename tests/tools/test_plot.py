"""The picture: right projections, a real PNG for every kind of report."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipctrl.results import Verdict
from lipctrl.tools.plot import draw, outline, save_picture
from tests.tools.reports import make_region, make_report


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 5), st.floats(0.01, 100), st.data())
def test_the_outline_is_the_projection(n: int, level: float, data: st.DataObject) -> None:
    region = make_region(n, level)
    i, j = data.draw(st.permutations(range(n)))[:2]
    points = outline(region, (i, j)) - np.asarray(region.center)[[i, j], None]
    rng = np.random.default_rng(0)
    sphere = rng.normal(size=(n, 500))
    sphere /= np.linalg.norm(sphere, axis=0)
    boundary = np.sqrt(level) * np.linalg.solve(np.linalg.cholesky(np.asarray(region.P)).T, sphere)[[i, j]]
    for angle in np.linspace(0, np.pi, 5):
        direction = np.array([np.cos(angle), np.sin(angle)])
        support = np.sqrt(level * direction @ np.linalg.inv(np.asarray(region.P))[np.ix_([i, j], [i, j])] @ direction)
        assert np.max(direction @ points) == pytest.approx(support, rel=1e-3)
        assert np.max(direction @ boundary) <= support * (1 + 1e-9)


@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_report_has_a_picture(tmp_path: Path, verdict: Verdict, n: int) -> None:
    path = tmp_path / "report.png"
    save_picture(make_report(verdict, n), path)
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", content[16:24])
    assert width >= 1500
    assert height >= 800


def test_a_report_without_equilibrium_trajectories_or_theorems_has_a_picture(tmp_path: Path) -> None:
    nothing = {"x": None, "u": None, "proved": False, "target_distance": None}
    bare = make_report(
        Verdict.INCONCLUSIVE, equilibrium=nothing, theorems=(), data={}, lipschitz=None, plant={}, policy={}
    )
    save_picture(bare, tmp_path / "report.png")


@pytest.mark.parametrize("start", [np.nan, np.inf, 1e308])
def test_starts_that_are_no_numbers_leave_the_others_in_view(tmp_path: Path, start: float) -> None:
    paths = np.zeros((5, 2, 2))
    paths[:, 1] = start
    report = make_report(Verdict.INCONCLUSIVE, data={"trajectories": paths})
    save_picture(report, tmp_path / "report.png")
    low, high = draw(report).axes[0].get_xlim()
    assert low < report.equilibrium["x"][0] < high < 100


def test_diverging_and_shorter_trajectories_are_drawn(tmp_path: Path) -> None:
    far = np.full((9, 3, 2), np.nan)
    far[:2] = np.array([1.0, 1e300])
    save_picture(make_report(data={"trajectories": far, "inside": np.zeros((4, 1, 2))}), tmp_path / "report.png")


def test_title_and_reasons_are_in_the_picture() -> None:
    report = make_report()
    figure = draw(report)
    words = " ".join(text.get_text() for text in figure.findobj(lambda thing: hasattr(thing, "get_text")))
    assert "CERTIFIED" in words
    for row in report.theorems:
        assert row.name in words
        assert row.reason.split(".")[0] in words
    assert "s0" in words  # the axis carries the state's name


def test_angles_are_shown_within_half_a_turn_of_the_equilibrium() -> None:
    turn = 2 * np.pi
    report = make_report()
    rest = np.asarray(report.equilibrium["x"])
    rolling = rest + np.stack([np.linspace(0.0, 3 * turn, 100), np.zeros(100)], axis=1)[:, None, :]
    report = make_report(data={"trajectories": rolling, "periods": np.array([turn, 0.0])})
    lines = [line.get_xydata() for line in draw(report).axes[0].get_lines() if len(line.get_xydata()) == 100]
    (shown,) = lines
    angle = shown[np.isfinite(shown).all(axis=1), 0] - rest[0]
    assert len(angle) >= 90
    assert np.abs(angle).max() <= turn / 2 + 1e-9
    breaks = np.diff(shown[:, 0])
    assert np.nanmax(np.abs(breaks)) < 0.5  # no line across the picture
    labels = [text.get_text() for text in draw(report).axes[0].get_legend().get_texts()]
    assert "trajectory that ends at the equilibrium" in labels
    assert "trajectory that does not (in this time)" not in labels
