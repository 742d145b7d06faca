"""The right half of the picture: each theorem with its verdict, margin and reason."""

from __future__ import annotations

import math
import textwrap

from matplotlib.axes import Axes

from lipctrl.presentation import number_down
from lipctrl.results import Report, TheoremResult, Verdict

MARKERS = {Verdict.CERTIFIED: "o", Verdict.REFUTED: "X", Verdict.INCONCLUSIVE: "D"}
LINE, GAP, BAR = 0.042, 0.035, 0.016
CHARACTERS = 86


def draw_reasons(axes: Axes, report: Report, colours: dict[Verdict, str]) -> None:
    """Rows from the top, with the margin as a bar from the middle: to the right where it proves."""
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_title("Why: each theorem, its margin (bar logarithmic) and its reason", loc="left")
    y = 0.97
    if not report.theorems:
        _prose(axes, 0.0, y, report.claim, lines=14)
        return
    lines = next((k for k in range(6, 1, -1) if sum(_height(row, k) for row in report.theorems) <= y), 1)
    for row in report.theorems:
        _row(axes, row, y, colours[row.verdict], lines)
        y -= _height(row, lines)


def _wrapped(text: str, lines: int) -> list[str]:
    return textwrap.wrap(text, CHARACTERS, max_lines=lines, placeholder=" ...")


def _height(row: TheoremResult, lines: int) -> float:
    return LINE + len(_wrapped(row.reason, lines)) * LINE * 0.85 + GAP


def _row(axes: Axes, row: TheoremResult, y: float, colour: str, lines: int) -> None:
    axes.plot(0.015, y, MARKERS[row.verdict], color=colour, ms=8, clip_on=False)
    axes.text(0.045, y, row.name, weight="bold", va="center", size=10)
    axes.text(1.0, y, str(row.verdict), weight="bold", color=colour, va="center", ha="right", size=9.5)
    if row.margin is not None:
        _bar(axes, row.margin, y, colour)
    _prose(axes, 0.045, y - LINE * 0.95, row.reason, lines)


def _bar(axes: Axes, margin: float, y: float, colour: str) -> None:
    """Sign to the left or right; length 0 for 1e-8 and less, full for 1 and more, logarithmic between."""
    middle, half = 0.56, 0.06
    size = 1 + math.log10(min(max(abs(margin), 1e-8), 1.0)) / 8
    axes.barh(y, 2 * half, BAR, left=middle - half, color="#ececec")
    axes.barh(y, math.copysign(size, margin) * half, BAR, left=middle, color=colour)
    axes.plot([middle, middle], [y - BAR, y + BAR], color="#222222", lw=1)
    axes.text(middle + half + 0.012, y, number_down(margin, 3), va="center", size=8.5, color=colour)


def _prose(axes: Axes, x: float, y: float, text: str, lines: int) -> None:
    axes.text(x, y, "\n".join(_wrapped(text, lines)), va="top", size=8, color="#444444", linespacing=1.3)
