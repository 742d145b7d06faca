"""What a hunt reports: how often something was tried, and how often it went wrong."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Tally:
    """One row of the table: `failures` are the faults found, in words; `met` counts what the hunt came across."""

    name: str
    tried: int = 0
    failures: list[str] = field(default_factory=list)
    met: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    def count(self, what: str, number: int = 1) -> None:
        self.met[what] = self.met.get(what, 0) + number

    def fail(self, words: str) -> None:
        self.failures.append(words)

    @contextmanager
    def clock(self) -> Iterator[None]:
        """Adds the processor seconds of the block."""
        began = time.process_time()
        yield
        self.seconds += time.process_time() - began

    def add(self, other: Tally) -> None:
        self.tried += other.tried
        self.failures += other.failures
        self.seconds += other.seconds
        for what, number in other.met.items():
            self.count(what, number)
