"""Shared fixtures: third-party benchmark data, found by environment variables."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest


def _folder(variable: str, marker: str) -> Path:
    value = os.environ.get(variable)
    if value is None:
        pytest.skip(f"{variable} is not set: it names the folder of third-party {marker}")
    folder = Path(value).resolve()
    if not value or not folder.is_dir() or not any(folder.iterdir()):
        pytest.fail(f"{variable}={value!r} is set, but is not a folder with files in it")
    return folder


@pytest.fixture(scope="session")
def zoo() -> Path:
    """Folder of public trained agents, laid out as RL Zoo writes them."""
    return _folder("LIPCTRL_ZOO", "trained agents")


@pytest.fixture(scope="session")
def benchmarks() -> Path:
    """Folder of published networks and closed loops."""
    return _folder("LIPCTRL_BENCHMARKS", "published networks")


@pytest.fixture
def processor_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time limits count the processor's time of this process: what other processes do changes no result."""
    monkeypatch.setattr(time, "perf_counter", time.process_time)
