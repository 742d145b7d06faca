"""The picture: region of attraction over simulated trajectories, and why the loop is or is not certified."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from lipctrl.presentation import number, number_down, number_up
from lipctrl.results import Region, Report, Verdict
from lipctrl.tools.plot_domain import draw_domain, draw_witness
from lipctrl.tools.reasons import draw_reasons

Array = NDArray[np.float64]

# Okabe and Ito's colours, distinct to the colour-blind; shape or line style tells the same
SETTLES = "#5b8db8"
STRAYS = "#d55e00"
CERTIFIED = "#009e73"
INK = "#222222"
VERDICT_COLOURS = {Verdict.CERTIFIED: "#00734f", Verdict.REFUTED: "#b8400e", Verdict.INCONCLUSIVE: "#8a6100"}
FONT = {"font.family": "DejaVu Sans", "font.size": 9.5, "axes.titlesize": 11, "axes.labelsize": 10}
LINES = ("-", "--", ":", "-.")


def save_picture(report: Report, path: Path) -> None:
    """Draw a report into a PNG file."""
    figure = draw(report)
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=150, format="png", metadata={"Title": _title(report)})


def draw(report: Report) -> Figure:
    """The picture of a report.

    Left: the first two states (one state: over time), certified regions projected on them, trajectories simulated in
    the true plant, where the loop rests and where it is wanted; for the nonlinear loop of two states its domain
    (plot_domain.py). Right: a row per theorem with its margin.
    """
    import matplotlib

    with matplotlib.rc_context(FONT):
        figure = Figure(
            figsize=(12.0, 6.4), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1, rect=(0, 0, 1, 0.87))
        )
        left, right = figure.subplots(1, 2, width_ratios=(1.15, 1.0))
        title = _title(report)
        figure.text(
            0.015,
            0.955,
            title,
            size=min(15.0, 1150 / len(title)),
            weight="bold",
            color=VERDICT_COLOURS[report.verdict],
            va="center",
        )
        figure.text(0.015, 0.905, _subtitle(report), size=9.5, color=INK, va="center")
        if report.data.get("cells") is not None:
            _domain(left, report)
        elif _n_states(report) == 1:
            _over_time(left, report)
        else:
            _phase_plane(left, report)
        draw_reasons(right, report, VERDICT_COLOURS)
    return figure


def _title(report: Report) -> str:
    loop = f"{report.policy.get('name') or 'policy'} on {report.plant.get('name') or 'plant'}"
    reach = {"global": "converges from everywhere", "local": "converges from a proved region"}
    words = {
        Verdict.CERTIFIED: f" {reach.get(report.scope, 'is stable')} ({report.model} model)",
        Verdict.REFUTED: f", not stable where it is wanted ({report.model} model)",
        Verdict.INCONCLUSIVE: ", nothing proved, which does not mean unstable",
    }[report.verdict]
    return f"{report.verdict}: {loop}{words}"


def _subtitle(report: Report) -> str:
    parts = [f"trust: {report.trust}"]
    if report.region is not None:
        parts.append(f"region: {report.region}")
    distance = report.equilibrium.get("target_distance")
    if distance is not None:
        parts.append(f"rests {number(distance, 3)} from the target")
    if report.lipschitz is not None:
        parts.append(f"Lipschitz {number_down(report.lipschitz.lower, 3)} to {number_up(report.lipschitz.upper, 3)}")
    return "   |   ".join(parts)


def _n_states(report: Report) -> int:
    x = report.equilibrium.get("x")
    if x is not None:
        return len(x)
    return len(report.plant.get("states") or ()) or 2


def _name(report: Report, i: int) -> str:
    names = report.plant.get("states") or ()
    units = report.plant.get("state_units") or ()
    name = str(names[i]) if i < len(names) else f"x[{i}]"
    return f"{name} [{units[i]}]" if i < len(units) and units[i] else name


def _paths(report: Report, unwound: bool = True) -> Array | None:
    """All simulated trajectories, shape (steps + 1, starts, n); rows that were cut short are padded with NaN."""
    found = [np.asarray(report.data[key], dtype=np.float64) for key in ("inside", "trajectories") if _has(report, key)]
    if not found:
        return None
    steps = max(len(paths) for paths in found)
    padded = [np.pad(p, ((0, steps - len(p)), (0, 0), (0, 0)), constant_values=np.nan) for p in found]
    paths = np.concatenate([p[:, :: max(1, p.shape[1] // 40)] for p in padded], axis=1)
    return _unwound(paths, report) if unwound else paths


def _unwound(paths: Array, report: Report) -> Array:
    """Angles within half a turn of the equilibrium; a path that crosses the seam is interrupted there."""
    periods, rest = report.data.get("periods"), report.equilibrium.get("x")
    if periods is None or rest is None:
        return paths
    for i, period in enumerate(np.asarray(periods, dtype=np.float64)):
        if period > 0:
            turns = np.floor((paths[:, :, i] - rest[i]) / period + 0.5)
            seam = np.pad(np.diff(turns, axis=0) != 0, ((1, 0), (0, 0))) & np.isfinite(turns)
            paths[:, :, i] -= period * turns
            paths[seam] = np.nan
    return paths


def _has(report: Report, key: str) -> bool:
    value = report.data.get(key)
    return value is not None and np.ndim(value) == 3 and np.size(value) > 0


def _ends(paths: Array) -> Array:
    """The last finite state of each trajectory."""
    finite = np.all(np.isfinite(paths), axis=2)
    last = len(paths) - 1 - np.argmax(finite[::-1], axis=0)
    return paths[last, np.arange(paths.shape[1])]


def _ellipsoids(report: Report) -> list[tuple[str, Region]]:
    rows = [(row.name, row.region) for row in report.theorems if row.verdict is Verdict.CERTIFIED]
    usable = [(name, r) for name, r in rows if r is not None and r.P is not None and r.level and r.center is not None]
    return sorted(usable, key=lambda pair: -(pair[1].volume or 0.0))[: len(LINES)]


def outline(region: Region, axes: tuple[int, int]) -> Array:
    """Boundary of the projection of {e'Pe <= level} on two states, shape (2, points): the block of P^-1 shapes it."""
    shape = np.linalg.inv(np.asarray(region.P, dtype=np.float64))[np.ix_(axes, axes)] * float(region.level or 0.0)
    angle = np.linspace(0, 2 * np.pi, 361)
    centre = np.asarray(region.center, dtype=np.float64)[list(axes)]
    return centre[:, None] + np.linalg.cholesky(shape) @ np.stack([np.cos(angle), np.sin(angle)])


def _domain(axes: Axes, report: Report) -> None:
    x = report.equilibrium.get("x")
    rest = None if x is None else np.asarray(x, dtype=np.float64)
    paths = _paths(report, unwound=False)
    handles = draw_domain(axes, report.data["cells"], rest, paths, report.data.get("target"))
    axes.set_xlabel(_name(report, 0))
    axes.set_ylabel(_name(report, 1))
    axes.set_title("The nonlinear loop: from where it is proved to converge", loc="left")
    _finish(axes, handles, grid=False)


def _phase_plane(axes: Axes, report: Report) -> None:
    i, j = report.data.get("axes", (0, 1))
    paths, regions = _paths(report), _ellipsoids(report)
    outlines = [outline(region, (i, j)) for _, region in regions]
    x = report.equilibrium.get("x")
    rest = None if x is None else np.asarray(x, dtype=np.float64)
    handles: list[Any] = []
    if paths is not None:
        settled = _settled(paths, rest)
        alpha = 0.6 if paths.shape[0] * paths.shape[1] < 20_000 else 0.25
        for k in range(paths.shape[1]):
            colour, order = (SETTLES, 2) if settled[k] else (STRAYS, 1.8)
            axes.plot(paths[:, k, i], paths[:, k, j], color=colour, lw=0.8, alpha=alpha, zorder=order)
            axes.plot(*paths[0, k, [i, j]], ".", color=colour, ms=3.5, alpha=0.9, zorder=order)
        if settled.any():
            handles.append(
                Line2D([], [], color=SETTLES, lw=1.5, marker=".", label="trajectory that ends at the equilibrium")
            )
        if not settled.all():
            handles.append(
                Line2D([], [], color=STRAYS, lw=1.5, marker=".", label="trajectory that does not (in this time)")
            )
    for k, ((name, region), points) in enumerate(zip(regions, outlines, strict=True)):
        axes.fill(*points, color=CERTIFIED, alpha=0.13 if k == 0 else 0.0, lw=0, zorder=1.5)
        axes.plot(*points, color=CERTIFIED, ls=LINES[k], lw=2.2, zorder=4)
        handles.append(Line2D([], [], color=CERTIFIED, ls=LINES[k], lw=2.2, label=f"{name}: {region}"))
    wanted = report.data.get("target")
    if wanted is not None:
        axes.plot(wanted[i], wanted[j], "+", color=INK, ms=13, mew=1.8, zorder=6)
        handles.append(Line2D([], [], color=INK, marker="+", ms=9, mew=1.8, ls="", label="target"))
    periods = np.asarray(report.data.get("periods", np.zeros(_n_states(report))), dtype=np.float64)
    for path in _witnesses(report):
        low = -0.5 * periods if rest is None else rest - 0.5 * periods
        draw_witness(axes, path[:, [i, j]], low[[i, j]], periods[[i, j]])
        handles.append(Line2D([], [], color=STRAYS, lw=1.3, marker="X", label="trajectory that refutes"))
    if rest is not None:
        axes.plot(rest[i], rest[j], "o", mfc="white", mec=INK, ms=7, mew=1.8, zorder=5)
        handles.append(Line2D([], [], mfc="white", mec=INK, marker="o", ms=6, mew=1.6, ls="", label="equilibrium"))
    if any(region.kind == "all" for region in (row.region for row in report.theorems) if region is not None):
        axes.set_facecolor("#eef8f4")
        handles.append(Line2D([], [], color="#cdebdf", lw=8, label="certified everywhere (linear model)"))
    _limits(axes, outlines, paths, rest, (i, j), wanted)
    axes.set_xlabel(_name(report, i))
    axes.set_ylabel(_name(report, j))
    more = _n_states(report) - 2
    projected = f" (projected; {more} more state{'s' * (more > 1)})" if more > 0 else ""
    axes.set_title(
        ("Certified region over simulated trajectories" if regions else "Simulated trajectories") + projected,
        loc="left",
    )
    _finish(axes, handles)


def _witnesses(report: Report) -> list[Array]:
    """Trajectories of the nonlinear loop that refute a claim."""
    rows = [row for row in report.theorems if row.verdict is Verdict.REFUTED and row.model == "nonlinear"]
    found = [np.asarray((row.witness or {}).get("trajectory", ()), dtype=np.float64) for row in rows]
    return [path for path in found if path.ndim == 2 and path.shape[1] == _n_states(report)]


def _settled(paths: Array, rest: Array | None) -> NDArray[np.bool_]:
    if rest is None:
        return np.zeros(paths.shape[1], dtype=bool)
    spread = np.nanmedian(np.abs(paths[0] - rest), axis=0) + 1e-9
    return np.asarray(np.all(np.abs(_ends(paths) - rest) <= 0.02 * spread + 1e-3, axis=1))


def _limits(
    axes: Axes, outlines: list[Array], paths: Array | None, rest: Array | None, pair: tuple[int, int], wanted: Any
) -> None:
    """Around the certified regions where there are any, else around the starts."""
    points = list(outlines)
    grow = 0.6
    if not outlines and paths is not None:
        points.append(paths[0][:, list(pair)].T)
        grow = 0.25
    points += [np.asarray(p, dtype=np.float64)[list(pair), None] for p in (rest, wanted) if p is not None]
    if not points:
        return
    every = np.concatenate(points, axis=1)
    every = every[:, np.all(np.abs(every) < 1e100, axis=0)]
    if every.size == 0:
        return
    low, high = every.min(axis=1), every.max(axis=1)
    room = np.maximum(high - low, 1e-6 * (1 + np.abs(low))) * grow / 2 + (high - low == 0) * 0.5
    axes.set_xlim(low[0] - room[0], high[0] + room[0])
    axes.set_ylim(low[1] - room[1], high[1] + room[1])


def _over_time(axes: Axes, report: Report) -> None:
    paths = _paths(report)
    dt = float(report.plant.get("dt") or 0.0)
    handles: list[Any] = []
    if paths is not None:
        axes.plot(np.arange(len(paths)) * (dt or 1.0), paths[:, :, 0], color=SETTLES, lw=0.9, alpha=0.7)
        handles.append(Line2D([], [], color=SETTLES, lw=1.5, label="simulated trajectory"))
    for name, region in _ellipsoids(report):
        half = float(np.sqrt(float(region.level or 0.0) / np.asarray(region.P)[0, 0]))
        centre = float(np.asarray(region.center)[0])
        axes.axhspan(centre - half, centre + half, color=CERTIFIED, alpha=0.13, lw=0)
        handles.append(Line2D([], [], color=CERTIFIED, lw=6, alpha=0.4, label=f"{name}: {region}"))
    if report.equilibrium.get("x") is not None:
        axes.axhline(report.equilibrium["x"][0], color=INK, lw=1.2, ls="--")
        handles.append(Line2D([], [], color=INK, lw=1.2, ls="--", label="equilibrium"))
    axes.set_xlabel("time [s]" if dt else "step")
    axes.set_ylabel(_name(report, 0))
    axes.set_title("Certified interval over simulated trajectories", loc="left")
    _finish(axes, handles)


def _finish(axes: Axes, handles: list[Any], grid: bool = True) -> None:
    if grid:
        axes.grid(True, color="#e6e6e6", lw=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if handles:
        axes.legend(
            handles=handles,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.11),
            ncols=2,
            frameon=False,
            fontsize=8.5,
            handlelength=2.4,
            columnspacing=1.6,
        )
    else:
        axes.text(0.5, 0.5, textwrap.fill("No simulated trajectories.", 30), ha="center", transform=axes.transAxes)
