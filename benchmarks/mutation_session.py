"""A session of pytest in which each mutant is a fork, its code in place of that of the functions it changes.

Of the collected tests it runs those that run the line, which alone can tell the mutant from the original: those first
that kill most in the shortest time. A mutant of what a module does on import cannot be swapped in.
"""

from __future__ import annotations

import ast
import gc
import json
import math
import os
import resource
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from itertools import accumulate
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any


def fork(work: Callable[[Callable[[Any], None]], None]) -> tuple[list[Any], int, float]:
    """What `work` sends from a fork, how it ended, and its processor seconds."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        code = 1
        try:
            with os.fdopen(write, "w") as file:
                work(lambda message: print(json.dumps(message), file=file, flush=True))
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read) as file:
        sent = [json.loads(line) for line in file]
    _, status, used = os.wait4(child, 0)
    return sent, status, used.ru_utime + used.ru_stime


def quiet() -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    if "MUTATION_DEBUG" not in os.environ:
        os.dup2(null, 1)
        os.dup2(null, 2)
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))


class Session:
    """Plugin of pytest: instead of the tests, runs `work` of the session, after they were measured as they are."""

    def __init__(self, path: Path, text: str, work: Callable[[Session], None], within: float) -> None:
        self.within = within
        self.path, self.work = str(path), work
        self.statements = [(node.lineno, node.end_lineno or node.lineno, getattr(node, "body", None))
                           for node in ast.walk(ast.parse(text)) if isinstance(node, ast.stmt)]  # fmt: skip
        self.seconds: list[float] = []
        self.ran: defaultdict[int, set[int]] = defaultdict(set)
        self.failed: list[str] = []
        self.killed = Counter[int]()

    def pytest_runtestloop(self, session: Any) -> bool:
        self.items = session.items
        self.functions = [f for f in gc.get_objects()
                          if isinstance(f, FunctionType) and f.__code__.co_filename == self.path]  # fmt: skip
        gc.freeze()
        for k, item in enumerate(self.items):
            sent, _, _ = fork(lambda send, item=item: send(self._timed(item)))
            passes, seconds = sent[0] if sent else (False, math.inf)
            if not passes:
                self.failed.append(item.nodeid)
            self.seconds.append(seconds)
            lines = fork(lambda send, item=item: self._trace(item, send))[0] if seconds <= self.within else []
            for line in lines[0] if lines else ():
                self.ran[line].add(k)
        self.work(self)
        return True

    def _passes(self, item: Any) -> bool:
        from _pytest.runner import runtestprotocol

        quiet()
        return not any(report.failed for report in runtestprotocol(item, log=False, nextitem=None))

    def _timed(self, item: Any) -> tuple[bool, float]:
        began = time.process_time()
        return self._passes(item), time.process_time() - began

    def _trace(self, item: Any, send: Callable[[Any], None]) -> None:
        lines = set[int]()

        def local(frame: FrameType, event: str, arg: Any) -> Any:
            lines.add(frame.f_lineno)
            return local

        sys.settrace(lambda frame, event, arg: local if frame.f_code.co_filename == self.path else None)
        self._passes(item)
        sys.settrace(None)
        send(sorted(lines))

    def tests(self, line: int) -> list[int]:
        """Those that run a line of the innermost statement around this one; of a compound statement its head."""
        first, last, body = [each for each in self.statements if each[0] <= line <= each[1]][-1]
        last = body[0].lineno - 1 if body else last
        ran = set[int]().union(*(self.ran[k] for k in range(first, max(last, line) + 1)))
        return self.within_time(ran)

    def within_time(self, tests: Iterable[int]) -> list[int]:
        """Those first that kill most in the shortest time, as many as there is time for."""
        ordered = sorted(tests, key=lambda k: (self.seconds[k] + 0.02) / (1 + self.killed[k]))
        spent = accumulate(self.seconds[k] for k in ordered)
        return [k for k, seconds in zip(ordered, spent, strict=True) if seconds <= self.within]

    def swap(self, old: CodeType, new: CodeType) -> bool:
        """Give the functions that differ their new code; false where more than functions differ."""
        pairs = _different(old, new)
        for before, after in pairs or ():
            found = [f for f in self.functions if f.__code__ == before]
            if not found or len(before.co_freevars) != len(after.co_freevars):
                return False
            for f in found:
                f.__code__ = after
        return pairs is not None

    def verdict(self, line: int, start: Callable[[Callable[[Any], None]], Any]) -> tuple[Any, str, float]:
        """What `start` sends of itself from a fork (None: not wanted), and how the tests end with what it swaps in:
        "survived", "killed", "timeout", or "import" if it cannot and returns false."""

        def work(send: Callable[[Any], None]) -> None:
            quiet()
            if not start(send):
                return send("import")
            for k in self.tests(line):
                send(k)
                signal.setitimer(signal.ITIMER_PROF, 6 * self.seconds[k] + 2)
                passes = self._passes(self.items[k])
                signal.setitimer(signal.ITIMER_PROF, 0)
                if not passes:
                    return send("killed")
            send("survived")

        (record, *rest), status, seconds = fork(work)
        if record is None:
            return None, "", seconds
        last = rest[-1] if rest else "killed"
        if not isinstance(last, str):
            out_of_time = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF
            last = "timeout" if out_of_time else "killed"
        if last in ("killed", "timeout") and len(rest) > 1:
            self.killed[next(k for k in reversed(rest) if isinstance(k, int))] += 1
        return record, last, seconds


def _different(old: CodeType, new: CodeType) -> list[tuple[CodeType, CodeType]] | None:
    a, b = ([c for c in code.co_consts if isinstance(c, CodeType)] for code in (old, new))
    if _itself(old) != _itself(new) or len(a) != len(b):
        return None
    out = list[tuple[CodeType, CodeType]]()
    for before, after in zip(a, b, strict=True):
        if before != after:
            inner = [(before, after)] if before.co_flags & 2 else _different(before, after)  # 2: a function, no class
            if inner is None:
                return None
            out += inner
    return out


def _itself(code: CodeType) -> CodeType:
    """Without what it defines and where that ends."""
    return code.replace(
        co_consts=tuple(None if isinstance(c, CodeType) else c for c in code.co_consts), co_linetable=b""
    )
