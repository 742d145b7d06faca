"""The search over cells: which cells to try, in which order, and when to split. It proves nothing itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from lipctrl.proofs.cells import CertifiedSet, Images
from lipctrl.proofs.grid import Grid, Integers

Array = NDArray[np.float64]
Arrival = Callable[[Array], Array]

_TELL = 0.3
"""Seconds between reports of progress."""
_CHUNK, _CHUNK_DEEP, _DEEP = 1024, 4096, 9
"""Cells followed together; more from level _DEEP on, where few of them help each other."""


def fill(
    proved: CertifiedSet,
    place: int,
    keep: Sequence[int],
    last_level: int,
    deadline: float,
    enough: float = 1.0,
    measure: Callable[[Grid], float] | None = None,
    arrival: Arrival | None = None,
    progress: Callable[[float, bool], None] | None = None,
) -> float:
    """Mark cells of a grid from its level up to `last_level`; returns the share that is marked, of the box or by
    `measure`.

    Each level: follow the unmarked cells, those first whose simulated trajectory arrives first (those of which no
    trajectory nearby arrives are left out); then compare the images
    of the others again and again with the growing set, until nothing changes; then split what is left. `progress` is
    told the share, and whether a level is done.
    """
    grid = proved.grids[place]
    size_of = measure or (lambda grid: float(grid.marked.mean()))
    told = time.perf_counter()
    while True:
        proved.cover(place)
        index = _ordered(grid, arrival)
        waiting: list[Images] = []
        size = _CHUNK if grid.level < _DEEP else _CHUNK_DEEP
        for start in range(0, len(index), size):
            if time.perf_counter() > deadline:
                break
            waiting.append(proved.fly(place, index[start : start + size], keep))
            if progress is not None and time.perf_counter() > told + _TELL:
                progress(size_of(grid), False)
                told = time.perf_counter()
        waiting = Images.join(waiting)
        while time.perf_counter() < deadline:
            added = [proved.grow(images) for images in waiting]
            if not any(new.any() for new in added):
                break
            waiting = [images.take(~new) for images, new in zip(waiting, added, strict=True)]
        share = size_of(grid)
        if progress is not None:
            progress(share, True)
        if grid.level >= last_level or share >= enough or time.perf_counter() > deadline:
            return share
        grid.refine()


def _ordered(grid: Grid, arrival: Arrival | None) -> Integers:
    index = grid.unmarked()
    if arrival is None:
        return index
    lower, upper = grid.boxes(index)
    expected = arrival(0.5 * (lower + upper))
    order = np.argsort(expected, kind="stable")
    return index[order[np.isfinite(expected[order])]]
