"""The region of a loop with uncertain parameters: their box in parts, a region for each, and what all have in common.

A trajectory of a constant parameter needs the region of one part only, with an equilibrium, a core, ellipsoids and
ranks of its own. What is proved for a part holds for a part of it, where more can be proved: a tree, whose leaves cover
the box. Three figures: the cells that all leaves have in common; the least share of a leaf, that of every value
of the parameters; and the mean over the leaves, the share of all pairs of a state and a value.

Where the time does not suffice for all parts, from the nominal values outwards, the region is that of a smaller box.

The cells in common cannot be all: from a state between the basins of two copies of the equilibrium (full turns apart)
for two values, some value between does not converge (region_falsify.py). Such states are found by simulation and left.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import combinations_with_replacement, pairwise, product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lipctrl.intervals.interval import Interval
from lipctrl.networks.network import Network
from lipctrl.plants.model import Model
from lipctrl.presentation import bar
from lipctrl.proofs.cells import CertifiedSet
from lipctrl.proofs.closed_loop import ClosedLoop
from lipctrl.proofs.ellipsoid import Ellipsoid
from lipctrl.proofs.grid import Grid
from lipctrl.theorems.region import (
    LAST,
    Progress,
    RegionOfAttraction,
    certified_volume,
    confront,
    covered,
    elsewhere,
    find_region,
    images_after,
)
from lipctrl.theorems.region_cells import fill
from lipctrl.theorems.region_falsify import Simulation, exact_loops, follow, simulate_values

Array = NDArray[np.float64]
Ranges = Mapping[str, tuple[float, float]]

NARROW, MOST = 0.0126, 16
"""A first part is at most so wide about its middle, relatively, unless there would be more of them than this."""
_LEVEL = 8
"""The finest grid of the first parts; one more whenever each side has been halved once more."""
_PER_AXIS, _BUDGET = 48, 1_000_000
_LEAST = 10.0
"""Seconds for a part, if there are so many, where in less nothing is found: some parts are better than none."""
_STARTS = 400
"""So many uncertified starts show along which side to halve."""


def find_common_region(
    model: Model,
    network: Network,
    equilibrium: ArrayLike,
    *,
    time_limit: float,
    last_level: int = LAST,
    most_parts: int = 400,
    progress: Progress | None = None,
    **options: Any,
) -> RegionOfAttraction | None:
    """As `find_region`; a model with uncertain parameters in parts, halved where most is lost until the time is up or
    there are `most_parts`.

    Returns
    -------
    RegionOfAttraction or None
        With `parts`; of a smaller box of parameters, `covered`, if there is no time for all. None if the first part has
        no region, nor have small parts of it.
    """
    boxes = cut(model.uncertain)
    if len(boxes) < 2:
        options |= {"last_level": last_level, "progress": progress}
        return find_region(model, network, equilibrium, time_limit=time_limit, **options)
    began, leaves, complete, least = time.perf_counter(), list[RegionOfAttraction](), True, 0.0
    boxes = sorted(boxes, key=lambda box: _distance(box, model.uncertain))
    smallest = _share(boxes[0], model.uncertain) * 0.25 ** len(model.uncertain)
    while boxes:
        remaining = max(time_limit - (time.perf_counter() - began), 0.0)
        if leaves and remaining == 0.0:
            complete = False
            break
        box, count = boxes.pop(0), f"part {len(leaves) + 1} of {len(leaves) + len(boxes) + 1}: "
        left = max(remaining / (len(boxes) + 1), min(remaining, least))
        options |= {"last_level": min(_LEVEL, last_level), "progress": progress and _prefixed(progress, count)}
        like, part = leaves[-1] if leaves else None, model.with_uncertain(box)
        found = find_region(part, network, equilibrium, time_limit=left, like=like, **options)
        weight = _share(box, model.uncertain)
        if found is not None and found.share > 0.0:
            leaves.append(replace(found, weight=weight))
        elif found is not None and left < min(remaining, _LEAST):
            least, boxes = _LEAST, [box, *boxes]
        elif left > 0.0 and weight > smallest and len(leaves) + len(boxes) + 2 <= most_parts:
            boxes[:0] = cut(box, halves=True)
        elif found is not None:
            leaves.append(replace(found, weight=weight))
        elif not leaves:
            return None
        else:
            complete = False
    if not complete:
        leaves = _largest_box(leaves, model.uncertain)
        model = model.with_uncertain(covered(leaves))
    first, loops = leaves[0], _extremes(model, leaves)
    simulation = simulate_values(loops, first.lower, first.upper, first.angles, _PER_AXIS, _BUDGET)
    wanted = simulation.starts[simulation.converging]
    for parts in _halving(leaves, wanted, began + time_limit, last_level):
        share = sum(part.weight * part.share for part in parts)
        if progress is not None:
            progress(f"{len(parts)} parts: {bar(share)} {100 * share:.2f} % of all states and parameters")
        if share >= options.get("enough", 1.0) or len(parts) >= most_parts:
            break
    return _common(model, parts, simulation, time.perf_counter() - began)


def _halving(
    leaves: list[RegionOfAttraction], wanted: Array, deadline: float, last_level: int
) -> Iterator[list[RegionOfAttraction]]:
    """The leaves, again whenever one was halved: by turns for all pairs of a state and a value, and for what all could
    have in common, the starts `wanted`."""
    first = max(leaf.weight for leaf in leaves)
    lacks = [_lacks(leaf, wanted) for leaf in leaves]
    yield leaves
    while time.perf_counter() < deadline:
        lost = [(1.0 - leaf.share) * leaf.weight for leaf in leaves] if len(leaves) % 2 else lacks
        place = int(np.argmax(lost))
        leaf = leaves[place]
        halves = list(_halves(leaf, deadline, last_level, halved=round(np.log2(first / leaf.weight))))
        leaves[place : place + 1] = halves
        lacks[place : place + 1] = [_lacks(half, wanted) for half in halves]
        yield leaves


def _share(box: Ranges, whole: Ranges) -> float:
    """The share of a box of parameters in the whole one."""
    sides = zip(box.values(), whole.values(), strict=True)
    return float(np.prod([(b - a) / (high - low) for (a, b), (low, high) in sides if high > low]))


def _distance(box: Ranges, whole: Ranges) -> float:
    """Of the middle of a box from that of the whole one, in units of its sides."""
    sides = zip(box.values(), whole.values(), strict=True)
    return max(abs((a + b) - (low + high)) / (high - low) for (a, b), (low, high) in sides if high > low)


def _largest_box(leaves: list[RegionOfAttraction], whole: Ranges) -> list[RegionOfAttraction]:
    """Those leaves, with their shares of it, that make up the largest box which is covered."""
    best, most = leaves[:1], 0.0
    some = [leaf for leaf in leaves if leaf.share > 0.0] or leaves
    for pair in combinations_with_replacement(some, 2):
        hull = covered(pair)
        inside = [leaf for leaf in some if covered((leaf, *pair)) == hull]
        weight = sum(leaf.weight for leaf in inside)
        if weight > most and abs(weight - _share(hull, whole)) < 1e-9:
            best, most = inside, weight
    return [replace(leaf, weight=leaf.weight / most) for leaf in best]


def _lacks(leaf: RegionOfAttraction, wanted: Array) -> float:
    """The share of the starts that all parts could have in common and this one has not."""
    return float(1.0 - leaf.contains(wanted).mean()) if len(wanted) else 0.0


def cut(uncertain: Ranges, halves: bool = False) -> list[dict[str, tuple[float, float]]]:
    """The box of the parameters in parts, the relatively widest sides cut first; or its two halves."""
    widths = [(high - low) / (abs(low + high) or 1.0) for low, high in uncertain.values()]
    counts = [1] * len(widths)
    while any(w / n > (0.0 if halves else NARROW) for w, n in zip(widths, counts, strict=True)):
        widest = int(np.argmax([w / n for w, n in zip(widths, counts, strict=True)]))
        counts[widest] += 1
        if np.prod(counts) > (2 if halves else MOST):
            counts[widest] -= 1
            break
    sides = []
    for (low, high), count in zip(uncertain.values(), counts, strict=True):
        edges = [low, *(float(v) for v in np.linspace(low, high, count + 1)[1:-1]), high]
        sides.append(list(pairwise(edges)))
    return [dict(zip(uncertain, part, strict=True)) for part in product(*sides)]


def _halves(leaf: RegionOfAttraction, deadline: float, last_level: int, halved: int) -> Iterator[RegionOfAttraction]:
    """The two halves of a leaf that was halved so often, across the side along which most trajectories change their
    end."""
    model = leaf.cells.loop.model
    level = min(_LEVEL + (halved + 1) // len(model.uncertain), last_level)
    name = _side(leaf)
    low, high = model.uncertain[name]
    middle = 0.5 * low + 0.5 * high
    for ends in ((low, middle), (middle, high)):
        half = narrowed(leaf, model.with_uncertain({**model.uncertain, name: ends}), level, deadline)
        yield replace(half, weight=0.5 * leaf.weight)


def _side(leaf: RegionOfAttraction) -> str:
    """The parameter whose ends disagree from most of some uncertified starts; of equals the relatively widest."""
    uncertain = leaf.cells.loop.model.uncertain
    starts = leaf.guide.starts[~leaf.contains(leaf.guide.starts)]
    starts = np.random.default_rng(0).permutation(starts)[:_STARTS]
    loops = exact_loops(leaf.cells.loop)[1:]
    ends = np.stack([follow(loop, leaf.core, leaf.angles, starts, 600 * len(starts))[2] for loop in loops])
    ends = ends.reshape(*[2] * len(uncertain), *starts.shape)
    score = []
    for axis, (low, high) in enumerate(uncertain.values()):
        first, second = np.moveaxis(ends, axis, 0)
        changed = float(np.any(first != second, axis=-1).mean()) if len(starts) else 0.0
        score.append(changed + 1e-3 * (high - low) / (abs(high + low) or 1.0))
    return list(uncertain)[int(np.argmax(score))]


def narrowed(region: RegionOfAttraction, model: Model, level: int, deadline: float) -> RegionOfAttraction:
    """The region of a part of the parameters' box: all that was proved, and more cells."""
    outer = region.cells.loop
    loop = ClosedLoop(model, outer.network, outer.action_error, outer.arithmetic)
    cells, begun = region.cells.within(loop), region.guide
    grid, angles = cells.grids[-1], region.angles
    left = ~region.contains(begun.starts)
    found = [
        follow(exact, region.core, angles, begun.starts[left], 600 * int(left.sum())) for exact in exact_loops(loop)
    ]
    turns = np.zeros((len(found), *begun.starts.shape))
    turns[:, left] = [turns for _, _, turns in found]
    arrival = np.where(left, np.inf, 0.0)
    arrival[left] = np.max([arrival for arrival, _, _ in found], axis=0)
    guide = replace(begun, turns=turns)
    guide = replace(guide, arrival=np.where(guide.apart, np.inf, arrival))

    def share(grid: Grid) -> float:
        return certified_volume(grid, region.lower, region.upper)[0] / region.domain_volume

    steps = images_after(region.core, loop)
    fill(cells, len(cells.grids) - 1, steps, level, deadline, 1.0, share, arrival=guide.arrival_near)
    volume, _ = certified_volume(grid, region.lower, region.upper)
    # the outer part's other equilibria belong to its own nominal parameters: here they may converge
    rest = elsewhere(loop, grid, region.core, angles, time.perf_counter() + 1.0)
    found_more = replace(region, cells=cells, volume=volume, simulation=guide, guide=guide, rest=rest)
    confront(found_more, loop, angles)
    for part in (*cells.grids, *region.cells.grids):
        part.forget()
    return found_more


def _prefixed(progress: Progress, words: str) -> Progress:
    return lambda stage: progress(words + stage)


def _common(
    model: Model, parts: list[RegionOfAttraction], simulation: Simulation, seconds: float
) -> RegionOfAttraction:
    """The cells of the domain that all parts have in common."""
    cells = CertifiedSet.common([part.cells for part in parts])
    first = parts[len(parts) // 2]
    boxes = [part.equilibrium for part in parts]
    volume, whole = certified_volume(cells.grids[-1], first.lower, first.upper)
    result = replace(
        first,
        equilibrium=Interval(np.min([b.lo for b in boxes], axis=0), np.max([b.hi for b in boxes], axis=0)),
        ellipsoids=(),
        cells=cells,
        volume=volume,
        domain_volume=whole,
        simulation=simulation,
        failures=tuple({failure.kind: failure for part in parts for failure in part.failures}.values()),
        seconds=seconds,
        history=(),
        parts=tuple(parts),
    )
    confront(result, ClosedLoop(model, first.cells.loop.network), first.angles)
    return result.settled()


def _extremes(model: Model, parts: list[RegionOfAttraction]) -> list[tuple[ClosedLoop, Ellipsoid]]:
    """The nominal and the extreme values of all parameters, each with the core of a part that holds it."""
    found = []
    for plant in model.extremes():
        values = [getattr(plant, name) for name in model.uncertain]
        for part in parts:
            sides = zip(part.cells.loop.model.uncertain.values(), values, strict=True)
            if all(low <= value <= high for (low, high), value in sides):
                found.append((ClosedLoop(plant, part.cells.loop.network), part.core))
                break
    return found
