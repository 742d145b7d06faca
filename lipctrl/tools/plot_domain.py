"""The left half of the picture for the nonlinear loop of two states: what is certified, refuted, and left."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

Array = NDArray[np.float64]

CERTIFIED, SET, LEFT = "#009e73", "#bfe6d8", "#e9e7e1"
SETTLES, STRAYS, INK = "#3b76a8", "#d55e00", "#222222"
_PATHS, _SMALL = 24, 0.05


def draw_domain(axes: Axes, cells: dict[str, Any], rest: Array | None, paths: Array | None, target: Any) -> list[Any]:
    """Draw into the domain's box; returns handles for a legend.

    Parameters
    ----------
    axes : Axes
    cells : dict
        From :func:`lipctrl.theorems.region_row.picture`.
    rest : array, shape (2,), optional
        The equilibrium.
    paths : array, shape (steps + 1, k, 2), optional
        Simulated trajectories.
    target : array_like, shape (2,), optional
    """
    low, high, turns = (np.asarray(cells[key], dtype=np.float64) for key in ("low", "high", "periods"))
    extent = (low[0], high[0], low[1], high[1])
    axes.set_facecolor(LEFT)
    shown = np.ma.masked_equal(np.asarray(cells["certified"], dtype=np.float64).T, 0.0)
    axes.imshow(
        shown, origin="lower", extent=extent, aspect="auto", cmap=ListedColormap([SET]), vmin=0, vmax=1, zorder=1.0
    )
    handles: list[Any] = [
        Patch(color=SET, label=f"certified: {np.floor(1e4 * cells['share']) / 100:g} % of the domain"),
        Patch(color=LEFT, label="left: neither certified nor refuted"),
    ]
    for k, (center, P) in enumerate(cells["ellipsoids"]):
        axes.plot(*_outline(center, P), color=CERTIFIED, lw=1.6 if k else 1.2, ls="-" if k else "--", zorder=3)
    handles.append(Line2D([], [], color=CERTIFIED, ls="--", lw=1.2, label="core"))
    if len(cells["ellipsoids"]) > 1:
        handles.append(Line2D([], [], color=CERTIFIED, lw=1.6, label="level sets of quadratic V"))
    if paths is not None and rest is not None:
        chosen = paths[:, np.linspace(0, paths.shape[1] - 1, min(_PATHS, paths.shape[1])).astype(int)]
        for path in np.moveaxis(chosen, 1, 0):
            for line in copies(path, low, turns):
                axes.plot(*line.T, color=SETTLES, lw=0.7, alpha=0.55, zorder=2)
        handles.append(Line2D([], [], color=SETTLES, lw=1.2, label="simulated trajectory"))
    failing = np.asarray(cells["failing"], dtype=np.float64)
    if len(failing):
        axes.plot(*failing.T, ".", color=STRAYS, ms=2.2, alpha=0.7, zorder=2.5)
        handles.append(Line2D([], [], color=STRAYS, marker=".", ls="", ms=7, label="start that does not arrive"))
    for k, (kind, path) in enumerate(cells["failures"]):
        style = ("-", "--", ":", "-.")[k]
        draw_witness(axes, np.asarray(path, dtype=np.float64), low, turns, style)
        handles.append(Line2D([], [], color=STRAYS, lw=1.3, ls=style, marker="X", label=f"refuted: {kind}"))
    others = np.asarray(cells["others"], dtype=np.float64).reshape(-1, 2)
    if len(others):
        places = np.concatenate([copies(x[None], low, turns)[0] for x in others])
        axes.plot(*places.T, "D", mfc="white", mec=STRAYS, ms=6, mew=1.5, zorder=5)
        handles.append(
            Line2D([], [], mfc="white", mec=STRAYS, marker="D", ls="", ms=6, label="other equilibrium (not certified)")
        )
    if target is not None:
        axes.plot(*np.asarray(target, dtype=np.float64), "+", color=INK, ms=13, mew=1.6, zorder=6)
        handles.append(Line2D([], [], color=INK, marker="+", ms=9, mew=1.6, ls="", label="target"))
    if rest is not None:
        axes.plot(*rest, "o", mfc="white", mec=INK, ms=7, mew=1.8, zorder=6)
        handles.append(Line2D([], [], mfc="white", mec=INK, marker="o", ms=6, mew=1.6, ls="", label="equilibrium"))
        _magnify(axes, cells, rest, high - low)
    axes.set_xlim(*extent[:2])
    axes.set_ylim(*extent[2:])
    for axis, turn, a, b in zip((axes.xaxis, axes.yaxis), turns, low, high, strict=True):
        if turn > 0 and b - a > 3.0:
            axis.set_ticks(
                [-np.pi, -np.pi / 2, 0, np.pi / 2, np.pi], ["-\u03c0", "-\u03c0/2", "0", "\u03c0/2", "\u03c0"]
            )
    return handles


def draw_witness(axes: Axes, path: Array, low: Array, periods: Array, style: str = "-") -> None:
    """A trajectory, shape (steps + 1, 2), that refutes a claim, with its start."""
    for line in copies(path, low, periods):
        axes.plot(*line.T, color=STRAYS, lw=1.3, ls=style, zorder=4)
    axes.plot(*copies(path[:1], low, periods)[0][0], "X", color=STRAYS, mec="white", ms=9, zorder=5)


def copies(path: Array, low: Array, periods: Array) -> list[Array]:
    """A path, moved by whole turns of its angles: one copy for each turn, from `low` on, that it passes through."""
    turn = np.where(periods > 0, periods, 1.0)
    finite = path[np.all(np.isfinite(path), axis=1)]
    count = np.unique(np.where(periods > 0, np.floor((finite - low) / turn), 0.0), axis=0)
    return [path - turn * k for k in count[:20]]


def _outline(center: Array, P: Array) -> Array:
    """Boundary of {e'Pe <= 1}, shape (2, points)."""
    angle = np.linspace(0, 2 * np.pi, 361)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    return np.asarray(center)[:, None] + np.linalg.solve(np.linalg.cholesky(np.asarray(P)).T, circle)


def _magnify(axes: Axes, cells: dict[str, Any], rest: Array, size: Array) -> None:
    """A second look at core and level sets, where they are too small to be seen."""
    outlines = [_outline(center, P) for center, P in cells["ellipsoids"]]
    half = 1.25 * np.max(np.abs(np.concatenate(outlines, axis=1) - rest[:, None]), axis=1)
    if np.all(half > _SMALL * size):
        return
    inset = axes.inset_axes((0.68, 0.06, 0.29, 0.24), zorder=7)
    inset.set_facecolor(SET)
    for k, points in enumerate(outlines):
        inset.plot(*points, color=CERTIFIED, lw=1.3, ls="-" if k else "--")
    inset.plot(*rest, "o", mfc="white", mec=INK, ms=5, mew=1.4)
    inset.set_xlim(rest[0] - half[0], rest[0] + half[0])
    inset.set_ylim(rest[1] - half[1], rest[1] + half[1])
    inset.tick_params(labelsize=6.5, length=2)
    inset.locator_params(nbins=3)
    inset.set_title("core and level sets, magnified", size=7.5, pad=2)
