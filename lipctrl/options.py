"""What `certify` is asked, checked before any work is done."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipctrl.errors import LipctrlError, PlantError
from lipctrl.proofs.closed_loop import ARITHMETICS

Array = NDArray[np.float64]


def check_options(
    time_limit: Any, nonlinear: Any, box: Any, uncertain: Any, action_error: Any, arithmetic: Any
) -> tuple[Array, Array] | None:
    """The box as arrays, once all options of :func:`lipctrl.pipeline.certify` are known to be of their kind.

    Raises
    ------
    LipctrlError
        For the first that is not, or a box where the nonlinear loop is not wanted.
    """
    if not (_is_number(time_limit) and time_limit >= 0):
        raise LipctrlError(f"time_limit is {time_limit!r}.", "Give a number of seconds, 0 or more.")
    if nonlinear is not None and not isinstance(nonlinear, bool | np.bool_):
        raise LipctrlError(f"nonlinear is {nonlinear!r}.", "Give True, False, or None to let lipctrl choose.")
    corners = None if box is None else _corners(box)
    if box is not None and nonlinear is not None and not nonlinear:
        raise LipctrlError(
            "A box of states was given, but the nonlinear loop, which alone it concerns, is switched off.",
            "Leave out the box (--box) or nonlinear=False (--no-nonlinear).",
        )
    if uncertain is not None:
        _check_uncertain(uncertain)
    if arithmetic not in ARITHMETICS or not (_is_number(action_error) and action_error >= 0):
        raise LipctrlError(
            f"The arithmetic is {arithmetic!r}, the error of the actions {action_error!r}.",
            f"Choose {' or '.join(ARITHMETICS)}, and a finite error, 0 or more.",
        )
    return corners


def check_size(box: tuple[Array, Array] | None, n_states: int, name: str) -> None:
    """Whether the box is one of states of this plant."""
    if box is not None and box[0].size != n_states:
        raise PlantError(
            f"The corners of the box have {box[0].size} numbers, but {name} has {n_states} states.",
            "Give one number for each state: --box LOW HIGH, in Python box=(low, high).",
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and isfinite(value)


def _corners(box: Any) -> tuple[Array, Array]:
    try:
        low, high = (np.array(corner, dtype=np.float64) for corner in box)
    except (TypeError, ValueError):
        low = high = np.array(np.nan)
    if not (low.ndim == 1 and low.shape == high.shape and np.all(np.isfinite([low, high])) and np.all(low < high)):
        raise LipctrlError(
            f"The box is {box!r}, expected two corners, low < high in every entry, of finite numbers.",
            "Name it: --box LOW HIGH, in Python box=(low, high), one number for each state.",
        )
    return low, high


def _check_uncertain(uncertain: Any) -> None:
    if not (isinstance(uncertain, Mapping) and all(isinstance(name, str) for name in uncertain)):
        raise PlantError(
            f"The uncertain parameters are {uncertain!r}, expected names and intervals.",
            'Give a dictionary such as {"mass": (0.95, 1.05)}.',
        )
    for name, ends in uncertain.items():
        if _is_number(ends):
            continue
        if not (isinstance(ends, tuple | list | np.ndarray) and len(ends) == 2 and all(map(_is_number, ends))):
            raise PlantError(
                f"The interval of {name!r} is {ends!r}, expected (low, high) with finite low <= high.",
                'Give it as in {"mass": (0.95, 1.05)}.',
            )
