"""The region of a loop with uncertain parameters: their box in parts, a region for each, and what all have in common.

A trajectory of a constant parameter needs the region of one part only, with an equilibrium, a core, ellipsoids and
ranks of its own. The smaller the parts, the larger what they have in common.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise, product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lipctrl.intervals.interval import Interval
from lipctrl.networks.network import Network
from lipctrl.plants.model import Model
from lipctrl.proofs.cells import CertifiedSet
from lipctrl.theorems.region import Progress, RegionOfAttraction, certified_volume, find_region

Ranges = Mapping[str, tuple[float, float]]

NARROW, MOST = 0.017, 16
"""A part is at most so wide about its middle, relatively, unless there would be more parts than this."""


def find_common_region(
    model: Model,
    network: Network,
    equilibrium: ArrayLike,
    *,
    time_limit: float,
    progress: Progress | None = None,
    **options: Any,
) -> RegionOfAttraction | None:
    """As `find_region`; a model with uncertain parameters in parts, each with its share of the time.

    Returns
    -------
    RegionOfAttraction or None
        With `parts`; None if one of them has no region.
    """
    boxes = cut(model.uncertain)
    if len(boxes) < 2:
        return find_region(model, network, equilibrium, time_limit=time_limit, progress=progress, **options)
    began, parts = time.perf_counter(), list[RegionOfAttraction]()
    for place, box in enumerate(boxes):
        say = progress and _prefixed(progress, f"part {place + 1} of {len(boxes)}: ")
        left = max(time_limit - (time.perf_counter() - began), 0.0) / (len(boxes) - place)
        part = find_region(model.with_uncertain(box), network, equilibrium, time_limit=left, progress=say, **options)
        if part is None:
            return None
        parts.append(part)
    return _common(parts, time.perf_counter() - began)


def cut(uncertain: Ranges) -> list[dict[str, tuple[float, float]]]:
    """The box of the parameters in parts, the relatively widest sides cut first."""
    widths = [(high - low) / (abs(low + high) or 1.0) for low, high in uncertain.values()]
    counts = [1] * len(widths)
    while any(w / n > NARROW for w, n in zip(widths, counts, strict=True)):
        widest = int(np.argmax([w / n for w, n in zip(widths, counts, strict=True)]))
        counts[widest] += 1
        if np.prod(counts) > MOST:
            counts[widest] -= 1
            break
    sides = []
    for (low, high), count in zip(uncertain.values(), counts, strict=True):
        edges = [low, *(float(v) for v in np.linspace(low, high, count + 1)[1:-1]), high]
        sides.append(list(pairwise(edges)))
    return [dict(zip(uncertain, part, strict=True)) for part in product(*sides)]


def _prefixed(progress: Progress, words: str) -> Progress:
    return lambda stage: progress(words + stage)


def _common(parts: list[RegionOfAttraction], seconds: float) -> RegionOfAttraction:
    """The cells of the domain that all parts have in common."""
    cells = CertifiedSet.common([part.cells for part in parts])
    first = parts[len(parts) // 2]
    boxes = [part.equilibrium for part in parts]
    volume, whole = certified_volume(cells.grids[-1], first.lower, first.upper)
    return replace(
        first,
        equilibrium=Interval(np.min([b.lo for b in boxes], axis=0), np.max([b.hi for b in boxes], axis=0)),
        ellipsoids=(),
        cells=cells,
        volume=volume,
        domain_volume=whole,
        failures=tuple(failure for part in parts for failure in part.failures)[:8],
        seconds=seconds,
        history=(),
        parts=tuple(parts),
    )
