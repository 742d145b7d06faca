"""Printed numbers err on the safe side; the same rows stand in text and HTML."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipctrl.presentation import Document, Facts, Table, number, number_down, number_up, vector
from lipctrl.results import THEOREM_COLUMNS, Region, Trust, Verdict
from tests.tools.reports import make_bound, make_report

FINITE = st.floats(allow_nan=False, allow_infinity=False)


ORDINARY = st.floats(1e-300, 1e300) | st.floats(-1e300, -1e-300) | st.just(0.0)


@given(ORDINARY, st.integers(1, 15))
def test_rounding_goes_to_the_safe_side(value: float, digits: int) -> None:
    up, down = number_up(value, digits), number_down(value, digits)
    assert float(down) <= value <= float(up)
    scale = abs(value) * 10.0 ** (1 - digits)
    assert abs(value - float(down)) <= scale * 1.01
    assert len(re.sub(r"e.*|[-.]", "", up).strip("0")) <= digits


@given(FINITE)
def test_seventeen_digits_are_exact(value: float) -> None:
    assert float(number(value, 17)) == value


@pytest.mark.parametrize(("value", "text"), [(None, "-"), (math.inf, "inf"), (math.nan, "nan"), (0.0, "0"), (2, "2")])
def test_special_numbers(value: float | None, text: str) -> None:
    assert number(value) == text


def test_vectors_carry_names_only_where_they_fit() -> None:
    assert vector([1, -2.5], ("theta", "speed")) == "theta = 1, speed = -2.5"
    assert vector([1, 2], ("theta",)) == "1, 2"
    assert vector(range(9)).endswith("... (9 entries)")


class Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag in ("td", "th", "p"):
            self.found.append("")

    def handle_data(self, data: str) -> None:
        self.found[-1] += data


def test_html_holds_every_cell_and_escapes_it() -> None:
    report = make_report()
    parser = Cells()
    parser.feed(report._repr_html_())
    document = report.document()
    cells = [document.title]
    for block in document.blocks:
        rows = block.rows if isinstance(block, Facts) else (block.header, *block.rows)
        cells += [cell for row in rows for cell in row]
    assert parser.found == cells
    assert report.claim in parser.found
    assert "<here>" not in report._repr_html_()


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_text_fits_and_holds_every_word(width: int) -> None:
    document = make_report().document()
    text = document.to_text(width)
    words = set(text.split())
    for row in make_report().theorems:
        assert set(" ".join(row.cells()).split()) <= words
    if width >= 80:
        assert max(map(len, text.splitlines())) <= width
    assert set(" ".join(THEOREM_COLUMNS[:-1]).split()) <= words


def test_prose_moves_below_the_table_where_it_has_no_room() -> None:
    table = Table(("Name", "Reason"), (("a", "because " * 9),))
    assert len(table.fitted(200)) == 1
    bare, reasons = table.fitted(40)
    assert bare == Table(("Name", ""), (("a", ""),))
    assert reasons == Facts((("a", "because " * 9),))


def test_results_say_their_verdict_and_bounds_in_print() -> None:
    assert str(make_report(Verdict.REFUTED)).startswith("REFUTED (proved): toy on plant")
    text = str(make_bound())
    assert "28.124" in text  # rounded up
    assert "8.1999" in text  # rounded down
    assert "H-infinity" in str(make_bound(method="bounded-real"))
    assert f"{Verdict.CERTIFIED} {Trust.PROVED} {Trust.PROVED:>8}" == "CERTIFIED proved   proved"
    assert str(Region("all", None, "")) == "all states"


def test_empty_documents_print() -> None:
    assert Document("title", (Facts(()),)).to_text() == "title\n\n"
