"""What the rows of the report about the nonlinear loop have in common: the words of a claim, and the verdict on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lipctrl.intervals.interval import Interval
from lipctrl.plants.model import Model
from lipctrl.results import Region, TheoremResult, Trust, Verdict
from lipctrl.theorems.level_region import LevelRegion
from lipctrl.theorems.region import RegionOfAttraction
from lipctrl.theorems.words import comes_within, errors_allowed, state_names

NO_CORE = "no neighbourhood of the equilibrium was found in which the nonlinear loop contracts."


@dataclass(frozen=True)
class Claim:
    """A claim about a region of attraction that is proved, but for where the equilibrium lies.

    Attributes
    ----------
    name : str
        Of the row.
    words : str
        What holds, as a sentence.
    region : Region
    certificate : dict or None
    margin : float or None
    arithmetic : str
    missed : str
        What was asked for and is not proved, in words.
    """

    name: str
    words: str
    region: Region
    certificate: dict[str, Any] | None
    margin: float | None = None
    arithmetic: str = "real"
    missed: str = ""

    def row(self, model: Model, rest: Interval, seconds: float) -> TheoremResult:
        """CERTIFIED, if the equilibrium, which is in `rest`, lies in the goal set and nothing asked for is missed."""
        in_goal = model.goal is None or model.goal.contains_box(rest.lo, rest.hi)
        verdict, reason = Verdict.CERTIFIED, self.words
        if not in_goal:
            verdict, reason = Verdict.INCONCLUSIVE, f"the loop does not rest in its goal set, though {self.words}"
        elif self.missed:
            verdict, reason = Verdict.INCONCLUSIVE, f"{self.missed}, though {self.words}"
        return local_row(
            self.name,
            verdict,
            reason,
            seconds,
            margin=self.margin,
            region=self.region if in_goal else None,
            certificate=self.certificate if in_goal else None,
            arithmetic=self.arithmetic,
        )


def local_row(
    name: str, verdict: Verdict, reason: str, seconds: float, trust: Trust = Trust.PROVED, **fields: Any
) -> TheoremResult:
    """A row about a part of the states; the other fields of TheoremResult by keyword."""
    return TheoremResult(name, verdict, trust, "nonlinear", "local", reason, seconds=seconds, **fields)


def nothing_found(name: str, reason: str, seconds: float, arithmetic: str = "real") -> TheoremResult:
    """The row where a search ended without a region."""
    return local_row(name, Verdict.INCONCLUSIVE, reason, seconds, Trust.SAMPLED, arithmetic=arithmetic)


def for_all(model: Model, region: RegionOfAttraction | LevelRegion | None = None) -> str:
    """What the claim allows, in words, to begin a sentence with; None: no errors."""
    inside = [f"{name} in [{float(low)!r}, {float(high)!r}]" for name, (low, high) in model.uncertain.items()]
    words = [f"for every constant value of {', '.join(inside)}"] if inside else []
    if region is not None:
        rounding = region.largest_rounding if region.arithmetic == "float32" else 0.0
        words += [f"with {error}" for error in errors_allowed(region.action_error, region.arithmetic, rounding)]
    return ", ".join(words) + ": " if words else ""


def arrives(model: Model, region: RegionOfAttraction | LevelRegion | None = None) -> str:
    """Where trajectories end, in words; each uncertain parameter has an equilibrium of its own."""
    its = "its equilibrium" if model.uncertain else "the equilibrium"
    if region is None or not region.disturbed:
        return f"converges to {its}"
    return f"{comes_within(state_names(model.state_names, model.n_states), region.final_half_widths)} of {its}"
