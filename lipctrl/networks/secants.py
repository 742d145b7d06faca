"""Proved sectors and linear relaxations of any scalar nonlinearity, by refining a subdivision of the range.

On a piece [a, b] with slopes in [s, S] the graph of phi lies below the lines phi(a) + S (v - a) and phi(b) - s (b - v),
hence below every convex combination of them, and above the lines with s and S exchanged. That turns the end points of
pieces into bounds on the whole piece, with an error of second order in b - a. The pieces that decide are split again.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lipctrl.intervals.interval import Interval, enclosing
from lipctrl.intervals.rounding import TINY, U
from lipctrl.networks.kinds import Kind, Parameters

Array = NDArray[np.float64]
Bound = Callable[[Array, Array], tuple[Array, Array]]

_ROUNDS, _PARTS, _ABOUT_PARTS = 5, 8, 4
_UNIFORM = 12
_GRADES = np.array([sign * 0.1 * 2.2**k for k in range(7) for sign in (-1.0, 1.0)])
"""Distances, in units of the activation's length, of the first edges from a point of interest (up to 11)."""
_WINDOW = 32.0


def sector(kind: Kind, p: Parameters, x: Interval, about: Interval) -> Interval:
    """All secant slopes of phi between a point of `about` and a point of `x`, where `about` lies inside x."""
    slope = kind.slope_range(x, p)
    if np.all(slope.lo == slope.hi):
        return slope
    thin = np.all(about.width <= 1e-3 * np.minimum(x.width, _WINDOW * np.asarray(kind.scale(p))))
    parts = _split(about.lo, about.hi, 1 if thin else _ABOUT_PARTS)
    bounds = [_sector(kind, p, x, Interval(lo, hi)) for lo, hi in pairwise(parts)]
    lower = np.min([low for low, _ in bounds], axis=0)
    upper = np.max([high for _, high in bounds], axis=0)
    known = lower <= upper
    return Interval(
        np.where(known, np.maximum(lower, slope.lo), slope.lo), np.where(known, np.minimum(upper, slope.hi), slope.hi)
    )


def linear_relaxation(kind: Kind, p: Parameters, x: Interval) -> tuple[Array, Array, Array]:
    """lam, mu, delta with abs(phi(v) - lam v - mu) <= delta on x; delta is inf if phi is unbounded there.

    Where the slopes of phi on x are one number, phi is constant or linear through the origin: the relaxation is exact.
    """
    slope, values = kind.slope_range(x, p), kind.enclose(x, p)
    finite = np.isfinite(x.lo) & np.isfinite(x.hi)
    bounded = Interval(np.where(finite, x.lo, 0.0), np.where(finite, x.hi, 0.0))
    edges = _edges(kind, p, bounded, Interval(bounded.mid))
    lam = np.clip(_flattening_slope(edges, kind.value(edges, p)), slope.lo, slope.hi)

    def tilted(start: Array, stop: Array) -> tuple[Array, Array]:
        graph = _graph(kind, p, start, stop)
        with np.errstate(all="ignore"):
            falls = lam * start, lam * stop
            upper = np.maximum(graph.above[0] - falls[0], graph.above[1] - falls[1])
            lower = np.minimum(graph.below[0] - falls[0], graph.below[1] - falls[1])
            rising, falling = graph.slope.lo >= lam, graph.slope.hi <= lam
            ends = graph.last.hi - falls[1], graph.first.hi - falls[0]
            upper = np.where(rising, ends[0], np.where(falling, ends[1], upper))
            ends = graph.first.lo - falls[0], graph.last.lo - falls[1]
            lower = np.where(rising, ends[0], np.where(falling, ends[1], lower))
            slack = 8 * U * (graph.size + np.abs(falls[0]) + np.abs(falls[1])) + TINY
            return lower - slack, upper + slack

    remainder = enclosing(*_extremes(kind, tilted, edges))
    affine = slope.lo == slope.hi
    lam = np.where(affine, slope.lo, np.where(finite, lam, 0.0))
    exact, constant = affine & (lam != 0.0), affine | ~finite
    rest = Interval(
        np.where(exact, 0.0, np.where(constant, values.lo, remainder.lo)),
        np.where(exact, 0.0, np.where(constant, values.hi, remainder.hi)),
    )
    known = np.isfinite(rest.lo) & np.isfinite(rest.hi)
    return lam, np.where(known, rest.mid, 0.0), np.where(known, rest.rad, np.inf)


class _Graph(NamedTuple):
    """phi on pieces: values at the ends, slopes between, lines above and below (their values at both ends).

    The lines are computed to nearest from bounds whose absolute values sum to `size`, and moved apart by more than
    these few roundings can be worth.
    """

    first: Interval
    last: Interval
    slope: Interval
    above: tuple[Array, Array]
    below: tuple[Array, Array]
    size: Array


def _graph(kind: Kind, p: Parameters, start: Array, stop: Array) -> _Graph:
    """phi on finite pieces; the lines combine those through both ends so that they are parallel to the chord."""
    first, last = kind.at(start, p), kind.at(stop, p)
    slope = kind.slope_range(Interval(start, stop), p)
    with np.errstate(all="ignore"):
        width = stop - start
        share = (slope.hi - (last.lo - first.lo) / width) / (slope.hi - slope.lo)
        share = np.where(np.isfinite(share), np.clip(share, 0.0, 1.0), 0.5)
        rest = 1.0 - share
        steep, flat = slope.hi * width, slope.lo * width
        size = first.mag + last.mag + np.abs(steep) + np.abs(flat)
        slack = 32 * U * size + TINY
        above = (
            rest * first.hi + share * (last.hi - flat) + slack,
            rest * (first.hi + steep) + share * last.hi + slack,
        )
        below = (
            share * first.lo + rest * (last.lo - steep) - slack,
            share * (first.lo + flat) + rest * last.lo - slack,
        )
    return _Graph(first, last, slope, above, below, size)


def _sector(kind: Kind, p: Parameters, x: Interval, about: Interval) -> tuple[Array, Array]:
    origin = kind.enclose(about, p)

    def quotients(start: Array, stop: Array) -> tuple[Array, Array]:
        """Slopes between a piece and `about`: all slopes of their hull, and beside `about` those to the lines."""
        everything = kind.slope_range(Interval(start, stop).hull(about), p)
        right, left = start >= about.hi, stop <= about.lo
        finite = np.isfinite(start) & np.isfinite(stop)
        near = np.where(right, start, stop)
        ends = np.where(finite, start, near), np.where(finite, stop, near)
        graph = _graph(kind, p, *ends)
        lower, upper = np.full(start.shape, np.inf), np.full(start.shape, -np.inf)
        for end, above, below in zip(ends, graph.above, graph.below, strict=True):
            with np.errstate(all="ignore"):
                close = np.where(right, end - about.hi, about.lo - end)
                far = np.where(right, end - about.lo, about.hi - end)
                rise = np.where(right, above - origin.lo, origin.hi - below)
                fall = np.where(right, origin.hi - below, above - origin.lo)
            upper = np.maximum(upper, _quotient_upper(rise, close, far))
            lower = np.minimum(lower, -_quotient_upper(fall, close, far))
        if not np.all(finite):  # the secant to a line through the near end tends to the slope of the line
            tail = kind.slope_range(Interval(start, stop), p)
            upper = np.where(finite, upper, np.maximum(upper, tail.hi))
            lower = np.where(finite, lower, np.minimum(lower, tail.lo))
        beside = right | left
        lower = np.where(beside, np.maximum(lower, everything.lo), everything.lo)
        return lower, np.where(beside, np.minimum(upper, everything.hi), everything.hi)

    return _extremes(kind, quotients, _edges(kind, p, x, about))


def _quotient_upper(rise: Array, close: Array, far: Array) -> Array:
    """The greatest rise / run for a run between close >= 0 and far, all three off by one rounding; inf if unknown."""
    with np.errstate(all="ignore"):
        quotient = rise / np.where(rise >= 0.0, close, far)
        quotient = quotient + 8 * U * np.abs(quotient) + TINY
    return np.where(np.isnan(quotient) | (close <= 0.0), np.inf, quotient)


def _extremes(kind: Kind, bound: Bound, edges: Array) -> tuple[Array, Array]:
    """Least lower and greatest upper bound over the pieces between edges, after splitting those that give them.

    Pieces of no width are left out; if all are, the bounds come out as (inf, -inf) for a point's sector.
    """

    def masked(start: Array, stop: Array) -> tuple[Array, Array]:
        lower, upper = bound(start, stop)
        lower, upper = np.where(np.isnan(lower), -np.inf, lower), np.where(np.isnan(upper), np.inf, upper)
        void = (start == stop) & (edges[0] < edges[-1])
        return np.where(void, np.inf, lower), np.where(void, -np.inf, upper)

    start, stop = edges[:-1], edges[1:]
    lower, upper = masked(start, stop)
    for _ in range(0 if kind.piecewise_linear else _ROUNDS):
        worst = np.stack([upper.argmax(axis=0), lower.argmin(axis=0)])
        cuts = _split(np.take_along_axis(start, worst, 0), np.take_along_axis(stop, worst, 0), _PARTS)
        children = cuts[:-1].reshape(-1, *start.shape[1:]), cuts[1:].reshape(-1, *start.shape[1:])
        low, high = masked(*children)
        np.put_along_axis(lower, worst, np.inf, 0)
        np.put_along_axis(upper, worst, -np.inf, 0)
        start, stop = np.concatenate([start, children[0]]), np.concatenate([stop, children[1]])
        lower, upper = np.concatenate([lower, low]), np.concatenate([upper, high])
    return lower.min(axis=0), upper.max(axis=0)


def _split(lo: Array, hi: Array, parts: int) -> Array:
    """Ascending cuts from lo to hi along a new first axis; all at the finite end if the other is infinite."""
    share = (np.arange(1, parts) / parts).reshape(-1, *[1] * lo.ndim)
    with np.errstate(all="ignore"):
        inner = np.clip((1.0 - share) * lo + share * hi, lo, hi)
    inner = np.where(np.isfinite(lo), np.where(np.isfinite(hi), inner, lo), hi)
    return np.concatenate([lo[None], np.sort(inner, axis=0), hi[None]])


def _edges(kind: Kind, p: Parameters, x: Interval, about: Interval) -> Array:
    """Ascending edges of the first pieces of x: its ends, those of `about`, turning points, and more around these."""
    turning = [np.asarray(point.lo) for point in kind.turning_points(p)]
    special = [np.broadcast_to(np.where(np.isfinite(t), t, 0.0), x.shape) for t in turning] + [about.mid]
    unit = np.asarray(kind.scale(p))
    reach = _WINDOW * unit
    low = np.where(np.isfinite(x.lo), x.lo, np.minimum(np.min(special, axis=0), x.hi) - reach)
    high = np.where(np.isfinite(x.hi), x.hi, np.maximum(np.max(special, axis=0), x.lo) + reach)
    edges = [x.lo, x.hi, low, high, about.lo, about.hi, *(np.clip(center, low, high) for center in special)]
    if not kind.piecewise_linear:
        edges += list(_split(low, high, _UNIFORM))
        edges += [np.clip(center + grade * unit, low, high) for center in special for grade in _GRADES]
    return np.sort(np.stack(np.broadcast_arrays(*edges)), axis=0)


def _flattening_slope(edges: Array, values: Array) -> Array:
    """A slope lam for which phi(v) - lam v varies least over the edges (a convex function of lam): golden section."""
    with np.errstate(all="ignore"):
        slopes = np.diff(values, axis=0) / np.diff(edges, axis=0)
        chord = (values[-1] - values[0]) / (edges[-1] - edges[0])
    chord = np.where(np.isfinite(chord), chord, 0.0)
    usable = np.isfinite(slopes)
    low = np.min(np.where(usable, slopes, chord), axis=0)
    high = np.max(np.where(usable, slopes, chord), axis=0)

    def variation(lam: Array) -> Array:
        tilted = values - lam * edges
        return np.asarray(tilted.max(axis=0) - tilted.min(axis=0))

    golden = 0.5 * (np.sqrt(5.0) - 1.0)
    for _ in range(40):
        inner_low, inner_high = high - golden * (high - low), low + golden * (high - low)
        left = variation(inner_low) < variation(inner_high)
        low, high = np.where(left, low, inner_low), np.where(left, inner_high, high)
    best = 0.5 * (low + high)
    return np.where(variation(chord) <= variation(best) * (1.0 + 1e-9), chord, best)
