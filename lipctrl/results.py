"""What lipctrl says: trust, verdicts, bounds, rows of theorems."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


class Verdict(enum.Enum):
    """CERTIFIED needs a proof, REFUTED a witness; everything else is INCONCLUSIVE, which never means unstable."""

    CERTIFIED = "certified"
    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"

    def __bool__(self) -> bool:
        raise TypeError("A verdict has three values: compare it with Verdict.CERTIFIED instead of using it as a bool.")


@dataclass(frozen=True)
class Bound:
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
    certificate : dict or None
        Content of the certificate file (proofs/FORMAT.md).
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
    certificate: dict[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Region:
    """A set of initial states. `kind` is "ellipsoid" {x : (x - center)' P (x - center) <= level} or "all"."""

    kind: str
    volume: float | None
    units: str
    center: Array | None = None
    P: Array | None = None
    level: float | None = None


@dataclass(frozen=True)
class TheoremResult:
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


@dataclass(frozen=True)
class Report:
    """The answer of :func:`lipctrl.certify`: one verdict, the claim in words, and a row per theorem.

    Attributes
    ----------
    verdict, trust : Verdict, Trust
    claim : str
        What was proved or refuted, or why nothing was, in words a control engineer can repeat.
    model : str
        "linear" or "nonlinear": the plant that the claim is about.
    arithmetic : str
        "real": the network as a real function of its weights.
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
