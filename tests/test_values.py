"""What theorems and proofs hand on are values: nobody assigns to them afterwards."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import lipctrl

ROOMS = ("lmi", "proofs", "theorems")
ROOT = Path(lipctrl.__file__).parent
#: filled while they are made, and handed on to nobody
FILLED = ("Decrease", "Plan", "Channels", "_")


def classes(room: str) -> Iterator[type]:
    for path in sorted((ROOT / room).glob("*.py")):
        module = importlib.import_module(f"lipctrl.{room}.{path.stem}")
        yield from (c for _, c in inspect.getmembers(module, inspect.isclass) if c.__module__ == module.__name__)


@pytest.mark.parametrize("room", ROOMS)
def test_they_cannot_be_assigned(room: str) -> None:
    found = [
        c for c in classes(room) if dataclasses.is_dataclass(c) and c.__name__ not in FILLED and c.__name__[0] != "_"
    ]
    assert len(found) > 3
    for c in found:
        assert c.__dataclass_params__.frozen, c.__name__  # type: ignore[attr-defined]
