"""Documents in colour on a terminal, and progress on standard error."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from lipctrl.presentation import Document, Facts, Table

STYLES = {
    "CERTIFIED": "bold green",
    "ACCEPTED": "bold green",
    "REFUTED": "bold red",
    "REJECTED": "bold red",
    "UNREADABLE": "bold red",
    "INCONCLUSIVE": "bold yellow",
}


def show(document: Document) -> None:
    """Print a document on standard output, as wide as the terminal (100 columns where there is none)."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, 100)
    if document.title:
        console.print(_styled(document.title, "bold"))
    for block in document.fitted(console.width):
        console.print()
        console.print(_block(block))


def show_files(files: Sequence[Path]) -> None:
    """Say which files were written, one path a line."""
    if files:
        show(Document("", (Facts(tuple(("Written" if i == 0 else "", str(path)) for i, path in enumerate(files))),)))


@contextlib.contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """A callable that shows the present stage on standard error, where that is a terminal.

    What the code inside prints goes to standard error too: environments greet. Warnings of libraries are silenced:
    numbers are proved afterwards, and failures are errors.
    """
    status = Console(stderr=True).status("starting")
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings(), status:
        warnings.simplefilter("ignore")
        yield status.update


def _block(block: Facts | Table) -> RenderableType:
    if isinstance(block, Facts):
        grid = RichTable.grid(padding=(0, 2))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        for label, value in block.rows:
            grid.add_row(label, _styled(value))
        return grid
    table = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold", padding=(0, 1))
    prose = any(row[-1] for row in block.rows)
    for column in block.header[:-1]:
        table.add_column(column, no_wrap=prose)
    if prose:
        table.add_column(block.header[-1])
    for row in block.rows:
        table.add_row(*(_styled(cell) for cell in (row if prose else row[:-1])))
    return table


def _styled(text: str, style: str = "") -> Text:
    result = Text(text, style=style)
    word = text.partition(" ")[0].rstrip(":")
    if word in STYLES:
        result.stylize(STYLES[word], 0, len(word))
    return result
