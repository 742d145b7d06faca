"""Words that the rows of the report share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from lipctrl.presentation import number_down, number_up


def state_names(names: Sequence[str], n: int) -> Sequence[str]:
    """Names of n states where a plant gives none."""
    return names or [f"x[{i}]" for i in range(n)]


def units_of(names: Sequence[str]) -> str:
    """The unit of a volume of states."""
    return " x ".join(names) if len(names) <= 4 else f"product of {len(names)} state units"


def errors_allowed(action_error: float, arithmetic: str, rounding: float) -> list[str]:
    """What a claim allows the actions, to follow "with"; `rounding` bounds the error of float32."""
    words = [f"each action wrong by at most {float(action_error)!r} at each step"] if action_error else []
    if arithmetic == "float32":
        words.append(f"the policy evaluated in float32 (wrong by at most {number_up(rounding, 3)})")
    return words


def comes_within(names: Sequence[str], half_widths: Iterable[float]) -> str:
    """Where trajectories end under errors of the actions, to be followed by "of the equilibrium"."""
    sides = zip(names, half_widths, strict=True)
    return f"comes and stays within {', '.join(f'{number_up(w, 3)} ({name})' for name, w in sides)}"


def box_words(low: ArrayLike, high: ArrayLike, outward: bool = False) -> str:
    """A box of states for print: rounded into it where something holds in all of it, else outward."""
    lower, upper = (number_down, number_up) if outward else (number_up, number_down)
    return " x ".join(f"[{lower(a)}, {upper(b)}]" for a, b in zip(np.asarray(low), np.asarray(high), strict=True))


def percent(share: float) -> str:
    """A proved share for print, rounded down."""
    return f"{number_down(100 * share, 4)} %"
