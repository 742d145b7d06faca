"""What lipctrl says: trust, verdicts, bounds, rows of theorems."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipctrl.presentation import Document, Facts, Printable, Table, number, number_down, number_up, seconds, vector

Array = NDArray[np.float64]


class Trust(enum.IntEnum):
    """What a number is worth. Only `lipctrl.proofs` gives PROVED."""

    SAMPLED = 0
    NUMERICAL = 1
    PROVED = 2

    @staticmethod
    def combine(parts: Iterable[Trust]) -> Trust:
        """A conclusion is worth as much as the weakest of its parts."""
        return min(parts, default=Trust.SAMPLED)

    def __str__(self) -> str:
        return self.name.lower()

    def __format__(self, format_spec: str) -> str:
        return format(str(self), format_spec)


class Verdict(enum.Enum):
    """CERTIFIED needs a proof, REFUTED a witness; everything else is INCONCLUSIVE, which never means unstable."""

    CERTIFIED = "certified"
    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"

    def __bool__(self) -> bool:
        raise TypeError("A verdict has three values: compare it with Verdict.CERTIFIED instead of using it as a bool.")

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Bound(Printable):
    """A bound on a Lipschitz constant or an H-infinity norm.

    Attributes
    ----------
    upper : float
        Upper bound, of worth `trust`.
    lower : float
        Attained by a stored pair of points, rounded down.
    sdp_lower : float or None
        Dual value of the semidefinite program: no feasible multipliers give less. Not a bound on the constant.
    sdp_gap : float or None
        (upper - sdp_lower) / upper.
    product : float or None
        Product of spectral norms and slopes, of the same worth.
    trust : Trust
    method : str
        "product", "layer", "neuron", "local", or "bounded-real".
    solver : str
    norm : str
        Always "l2".
    region : str
        "global", or the box in words.
    seconds : float
    status : str
        How the solver ended: "optimal" (the gap that was asked for), "feasible" (stopped at a limit), "inaccurate".
    iterations : int or None
    note : str
        What was done in place of what was asked for, if anything was.
    certificate : dict or None
        Content of the certificate file (proofs/FORMAT.md).
    solution : object or None
        What the solver left, for the argument `warm` of the next call.
    """

    upper: float
    lower: float
    trust: Trust
    method: str
    sdp_lower: float | None = None
    sdp_gap: float | None = None
    product: float | None = None
    solver: str = ""
    norm: str = "l2"
    region: str = "global"
    seconds: float = 0.0
    status: str = ""
    iterations: int | None = None
    note: str = ""
    certificate: dict[str, Any] | None = field(default=None, repr=False)
    solution: object = field(default=None, repr=False, compare=False)

    @property
    def words(self) -> str:
        """The bound as a sentence."""
        quantity = "H-infinity norm" if self.method == "bounded-real" else "Lipschitz constant"
        return f"{quantity} at most {self.upper!r} ({self.norm}, {self.region})"

    def document(self) -> Document:
        """Title and rows for print."""
        quantity = "H-infinity norm" if self.method == "bounded-real" else "Lipschitz constant"
        optimum = f"at least {number_down(self.sdp_lower)}, relative gap {number_up(self.sdp_gap, 2)}"
        rows = [
            ("Upper bound", f"{number_up(self.upper)} ({self.trust})"),
            ("Attained", number_down(self.lower)),
            ("Product of norms", number_up(self.product)),
            ("SDP optimum", "-" if self.sdp_lower is None else optimum),
            ("Method", self.method + (f", solver {self.solver}" if self.solver not in ("", "none") else "")),
            *([("Solver", f"{self.status} after {self.iterations} iterations")] if self.status else []),
            *([("Note", self.note)] if self.note else []),
            ("Where", self.region),
            ("Time", seconds(self.seconds)),
        ]
        return Document(f"{quantity} <= {number_up(self.upper)} ({self.trust}, {self.norm})", (Facts(tuple(rows)),))


@dataclass(frozen=True)
class Region:
    """A set of initial states.

    `kind` is "ellipsoid" {x : (x - center)' P (x - center) <= level}, "all", or "cells": boxes in a domain, of
    which it fills `share`; `simulated_share` of a grid of starts in that domain converged in simulation. Where actions
    have errors, trajectories enter the box of `final_half_widths` about the equilibrium and stay there. With uncertain
    parameters `simulated_share` converged to one copy of the equilibrium at all extreme values. If their box was cut,
    `share` is certified for all values at once, `least_share` at least for each by itself, and `pairs_share` of all
    pairs of a state and a value.
    """

    kind: str
    volume: float | None
    units: str
    center: Array | None = None
    P: Array | None = None
    level: float | None = None
    domain_volume: float | None = None
    share: float | None = None
    simulated_share: float | None = None
    final_half_widths: Array | None = None
    least_share: float | None = None
    pairs_share: float | None = None

    def __str__(self) -> str:
        return self.size() + (f" ({self.units})" if self.volume is not None and self.units else "")

    def size(self) -> str:
        """The volume with its name, without units."""
        if self.volume is None:
            return "all states" if self.kind == "all" else self.kind
        if self.share is not None:
            return f"{number_down(100 * self.share, 4)} % of the domain"
        name = {1: "length", 2: "area"}.get(0 if self.P is None else len(self.P), "volume")
        return f"{name} {number_down(self.volume, 4)}"


@dataclass(frozen=True)
class TheoremResult(Printable):
    """One row of the report: what one theorem says of one loop."""

    name: str
    verdict: Verdict
    trust: Trust
    model: str
    scope: str
    reason: str
    margin: float | None = None
    region: Region | None = None
    seconds: float = 0.0
    witness: dict[str, Any] | None = field(default=None, repr=False)
    certificate: dict[str, Any] | None = field(default=None, repr=False)
    arithmetic: str = "real"

    def cells(self) -> tuple[str, ...]:
        """One cell for each of :data:`THEOREM_COLUMNS`."""
        return (
            self.name,
            str(self.verdict),
            str(self.trust),
            number_down(self.margin, 3),
            "-" if self.region is None else self.region.size(),
            seconds(self.seconds),
            self.reason,
        )

    def document(self) -> Document:
        """Title and rows for print."""
        return Document(f"{self.verdict} {self.name}", (Facts(tuple(zip(THEOREM_COLUMNS, self.cells(), strict=True))),))


THEOREM_COLUMNS = ("Theorem", "Verdict", "Trust", "Margin", "Region", "Time", "Reason")


@dataclass(frozen=True)
class Report(Printable):
    """The answer of :func:`lipctrl.certify`: one verdict, the claim in words, and a row per theorem.

    Attributes
    ----------
    verdict, trust : Verdict, Trust
    claim : str
        What was proved or refuted, or why nothing was, in words a control engineer can repeat.
    model : str
        "linear" or "nonlinear": the plant that the claim is about.
    arithmetic : str
        "real": the network as a real function of its weights. "float32": its evaluation in single precision.
    scope : str
        "global", "local", or "none".
    policy, plant : dict
        Name, algorithm, sha256, sizes, notes; name, dt, names of states, what the model leaves out.
    equilibrium : dict
        Keys x, u, proved, target_distance (None where nothing rests).
    lipschitz : Bound or None
        Of the whole policy, global.
    theorems : tuple of TheoremResult
    region : Region or None
        Of the claim.
    certificates : dict
        Name of a claim -> content of its certificate; "verdict" names the one behind the verdict.
    data : dict
        Material for the picture (simulated trajectories), not part of the claim.
    """

    verdict: Verdict
    trust: Trust
    claim: str
    model: str
    arithmetic: str
    scope: str
    policy: dict[str, Any]
    plant: dict[str, Any]
    equilibrium: dict[str, Any]
    lipschitz: Bound | None
    theorems: tuple[TheoremResult, ...]
    region: Region | None = None
    certificates: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    headline: str | None = None
    seconds: float = 0.0
    data: dict[str, Any] = field(default_factory=dict, repr=False)

    def document(self) -> Document:
        """Title, facts and the table of theorems for print."""
        policy = [str(self.policy[key]) for key in ("name", "algorithm") if self.policy.get(key)]
        facts = [
            ("Claim", self.claim),
            ("Policy", ", ".join(policy) + _sizes(self.policy)),
            ("Plant", _plant_words(self.plant)),
            ("Equilibrium", _equilibrium_words(self.equilibrium, self.plant.get("states") or ())),
        ]
        if self.lipschitz is not None:
            facts.append(("Lipschitz", _lipschitz_words(self.lipschitz)))
        facts += [("Note", str(note)) for note in self.policy.get("notes") or ()]
        facts.append(("Time", seconds(self.seconds)))
        title = f"{self.verdict} ({self.trust}): {' + '.join(policy[:1])} on {self.plant.get('name', 'its plant')}"
        blocks: tuple[Facts | Table, ...] = (Facts(tuple(facts)),)
        if self.theorems:
            blocks += (Table(THEOREM_COLUMNS, tuple(row.cells() for row in self.theorems)),)
        return Document(title, blocks)


def _sizes(policy: dict[str, Any]) -> str:
    if policy.get("n_observations") is None:
        return ""
    return f" ({policy['n_observations']} observations -> {policy['n_actions']} actions, {policy['neurons']} neurons)"


def _plant_words(plant: dict[str, Any]) -> str:
    dt = plant.get("dt")
    time_base = "" if dt is None else ", continuous time" if dt == 0 else f", every {number(dt)} s"
    wanted = f"; wanted: {plant['goal']}" if plant.get("goal") else ""
    left_out = plant.get("leaves_out")
    return f"{plant.get('name')}{time_base}{wanted}" + (f"; left out: {'; '.join(left_out)}" if left_out else "")


def _equilibrium_words(equilibrium: dict[str, Any], states: Iterable[str]) -> str:
    if equilibrium.get("x") is None:
        return "none found"
    distance = equilibrium.get("target_distance")
    words = f"{vector(equilibrium['x'], tuple(states))}; u = {vector(equilibrium['u'])}; "
    words += "no target known" if distance is None else f"{number(distance, 4)} from the target"
    return words + ("; existence proved" if equilibrium.get("proved") else "; found numerically")


def _lipschitz_words(bound: Bound) -> str:
    return (
        f"at most {number_up(bound.upper)} ({bound.trust}, {bound.method}); attained {number_down(bound.lower)}; "
        f"product of norms {number_up(bound.product)}"
    )
