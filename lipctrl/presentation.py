"""How results print: one document of facts and tables, rendered as text and as HTML (tools/terminal.py adds colour).

Numbers are rounded to the safe side: an upper bound is printed rounded up, a lower bound and a margin rounded down.
"""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal

import numpy as np
from numpy.typing import ArrayLike

WIDTH = 100
ROOM_FOR_PROSE = 50
NOTHING = "-"

#: words that are coloured wherever a cell consists of them: dark enough on white, and distinct to the colour-blind
COLOURS = {
    "CERTIFIED": "#00734f",
    "ACCEPTED": "#00734f",
    "REFUTED": "#b8400e",
    "REJECTED": "#b8400e",
    "INCONCLUSIVE": "#8a6100",
}


def number(value: float | None, digits: int = 5, rounding: str = ROUND_HALF_EVEN) -> str:
    """A number to so many significant digits; "-" for None."""
    if value is None:
        return NOTHING
    value = float(value)
    if not math.isfinite(value):
        return str(value)
    return f"{float(Context(prec=digits, rounding=rounding).create_decimal(Decimal(value))):.{digits}g}"


def number_up(value: float | None, digits: int = 5) -> str:
    """As :func:`number`, never below the value."""
    return number(value, digits, ROUND_CEILING)


def number_down(value: float | None, digits: int = 5) -> str:
    """As :func:`number`, never above the value."""
    return number(value, digits, ROUND_FLOOR)


def vector(values: ArrayLike, names: Sequence[str] = (), digits: int = 4, longest: int = 6) -> str:
    """Entries of a vector, shape (n,), with their names where there are as many."""
    entries = np.ravel(np.asarray(values, dtype=np.float64))
    named = len(names) == entries.size
    parts = [f"{names[i]} = {number(v, digits)}" if named else number(v, digits) for i, v in enumerate(entries)]
    return ", ".join(parts[:longest]) + (f", ... ({entries.size} entries)" if len(parts) > longest else "")


def seconds(value: float) -> str:
    """A duration."""
    return f"{value:.2f} s" if value < 10 else f"{value:.0f} s"


def bar(share: float, width: int = 24) -> str:
    """A share of 1 as a bar of text, rounded down."""
    full = int(min(max(share, 0.0), 1.0) * width)
    return "\u2588" * full + "\u2591" * (width - full)


@dataclass(frozen=True)
class Facts:
    """Labels with their values."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Table:
    """A header and rows of equally many cells; the last column is prose and may wrap."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def widths(self) -> list[int]:
        """Of all columns but the last."""
        return [max(len(row[i]) for row in (self.header, *self.rows)) for i in range(len(self.header) - 1)]

    def fitted(self, width: int) -> tuple[Facts | Table, ...]:
        """Itself where the prose has room; else without its prose, which follows under the name of its row."""
        if width - sum(w + 2 for w in self.widths()) >= ROOM_FOR_PROSE:
            return (self,)
        bare = Table((*self.header[:-1], ""), tuple((*row[:-1], "") for row in self.rows))
        return bare, Facts(tuple((row[0], row[-1]) for row in self.rows))


@dataclass(frozen=True)
class Document:
    """A headline, whose first word may be a verdict, and blocks."""

    title: str
    blocks: tuple[Facts | Table, ...]

    def to_text(self, width: int = WIDTH) -> str:
        """Plain text, without colour."""
        return "\n\n".join([self.title, *(_text(block, width) for block in self.fitted(width))])

    def fitted(self, width: int) -> list[Facts | Table]:
        """The blocks for a terminal of so many columns."""
        return [
            part for block in self.blocks for part in (block.fitted(width) if isinstance(block, Table) else (block,))
        ]

    def to_html(self) -> str:
        """An HTML fragment for a notebook."""
        return "<div>" + _cell("p", self.title) + "".join(_html(block) for block in self.blocks) + "</div>"


class Printable:
    """Prints as its document, in a terminal and in a notebook."""

    def document(self) -> Document:
        raise NotImplementedError

    def __str__(self) -> str:
        return self.document().to_text()

    def _repr_html_(self) -> str:
        return self.document().to_html()


def _text(block: Facts | Table, width: int) -> str:
    lines = []
    if isinstance(block, Facts):
        indent = max((len(label) for label, _ in block.rows), default=0) + 2
        for label, value in block.rows:
            lines += _hang(label.ljust(indent), value, width)
        return "\n".join(lines)
    for row in (block.header, *block.rows):
        start = "".join(cell.ljust(w + 2) for cell, w in zip(row[:-1], block.widths(), strict=True))
        lines += _hang(start, row[-1], width)
    return "\n".join(line.rstrip() for line in lines)


def _hang(start: str, prose: str, width: int) -> list[str]:
    room = max(width - len(start), 30)
    wrapped = [piece for line in prose.splitlines() for piece in textwrap.wrap(line, room)] or [""]
    return [start + wrapped[0], *(" " * len(start) + line for line in wrapped[1:])]


def _html(block: Facts | Table) -> str:
    if isinstance(block, Facts):
        rows = "".join(f"<tr>{_cell('th', label)}{_cell('td', value)}</tr>" for label, value in block.rows)
        return f"<table>{rows}</table>"
    head = "".join(_cell("th", cell) for cell in block.header)
    rows = "".join(f"<tr>{''.join(_cell('td', cell) for cell in row)}</tr>" for row in block.rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _cell(tag: str, text: str) -> str:
    word = text.partition(" ")[0]
    inner = html.escape(text).replace("\n", "<br>")
    if word in COLOURS:
        inner = f'<b style="color:{COLOURS[word]}">{word}</b>' + html.escape(text[len(word) :])
    return f'<{tag} style="text-align:left">{inner}</{tag}>'
