"""The one place where numbers put into an LMI become a proof."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lipctrl.errors import LipctrlError
from lipctrl.intervals.ball import Ball
from lipctrl.lmi.last_layer import last_layer
from lipctrl.lmi.lmi import LMI, Gram, Half, MatrixInequality, Scaled, Values, Variable
from lipctrl.proofs.chordal import reduced
from lipctrl.proofs.definiteness import is_positive_definite


def holds(lmi: LMI, values: Values) -> bool:
    """True only if every matrix inequality and scalar bound of `lmi` is proved at `values`.

    Matrices are evaluated with every rounding error enclosed and proved definite by Rump's test
    (BIT 46, 2006, Corollary 2.4); the last hidden layer of a network is eliminated first, by the theorem of
    `lipctrl.lmi.last_layer`, and a sparse matrix is proved clique by clique, by that of `lipctrl.proofs.chordal`.
    False means "not proved", nothing more.
    """
    pending = prove_but(lmi, values, None)
    return pending is not None and pending.holds(0.0)


@dataclass(frozen=True)
class Remainder:
    """What is left to prove of an inequality: constant + s slope > 0 (no slope: constant > 0)."""

    constant: Ball
    slope: Ball | None

    def at(self, s: float) -> Ball:
        """The matrix, computed anew where the slope is not zero."""
        if self.slope is None:
            return self.constant
        place = self._support
        value = self.constant[place] + self.slope[place] * s
        mid, rad = self.constant.mid.copy(), self.constant.rad
        mid[place] = value.mid
        if rad is not None or value.rad is not None:
            rad = self.constant.radius.copy()
            rad[place] = value.radius
        return Ball(mid, rad)

    def holds(self, s: float) -> bool:
        matrix = self.at(s)
        return is_positive_definite(matrix.mid, matrix.rad)

    @cached_property
    def _support(self) -> tuple[NDArray[np.intp], ...]:
        return () if self.slope is None else np.nonzero(self.slope.upper_abs())


@dataclass(frozen=True)
class Pending:
    """An LMI proved at given numbers but for one scalar s: it holds with every s for which :meth:`holds`."""

    scalar: Variable | None
    remainders: tuple[Remainder, ...]

    def holds(self, s: float) -> bool:
        within = self.scalar is None or _within_bounds(self.scalar, np.array([s]))
        with np.errstate(over="ignore", invalid="ignore"):
            return within and all(remainder.holds(s) for remainder in self.remainders)


def prove_but(lmi: LMI, values: Values, scalar: str | None) -> Pending | None:
    """Prove of `lmi` at `values` what does not depend on the variable `scalar`; None if that fails.

    Raises
    ------
    LipctrlError
        If `scalar` is in a term that is no `Scaled`.
    """
    if not all(_within_bounds(v, np.asarray(values[v.name], dtype=float)) for v in lmi.variables if v.name != scalar):
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        remainders = [_remainder(inequality, values, scalar) for inequality in lmi.inequalities]
    proved = tuple(remainder for remainder in remainders if remainder is not None)
    if len(proved) < len(remainders) or not all(r.holds(0.0) for r in proved if scalar and r.slope is None):
        return None
    open_ = tuple(r for r in proved if r.slope is not None or scalar is None)
    return Pending(None if scalar is None else lmi.variable(scalar), open_)


def _within_bounds(variable: Variable, value: np.ndarray) -> bool:
    if not np.all(np.isfinite(value)) or (variable.symmetric and not np.array_equal(value, value.T)):
        return False
    return variable.lower is None or bool(np.all(value >= variable.lower))


def _remainder(inequality: MatrixInequality, values: Values, scalar: str | None) -> Remainder | None:
    own = [term for term in inequality.terms if term.variable == scalar]
    supplies = [term.S for term in own if isinstance(term, Scaled)]
    if len(supplies) < len(own):
        raise LipctrlError(f"{scalar} multiplies no matrix of numbers alone.", "Give a scalar of Scaled terms.")
    if own:
        values = {**values, str(scalar): np.zeros(1)}
    layer = last_layer(inequality)
    blocks = layer.eliminated(values) if layer and layer.smaller else inequality.evaluate_blocks(values)
    if blocks is None:
        return None
    kept = [1 + max(S.factor.blocks) if isinstance(S, Gram) else len(inequality.sizes) for S in supplies]
    root = reduced(blocks, max(kept, default=1))
    if root is None or not supplies:
        return None if root is None else Remainder(root.dense(), None)
    half = Half(root.sizes)
    for S in supplies:
        half.add(S, Ball.exact(np.array(0.5)))
    return Remainder(root.dense(), half.symmetric_sum().dense())
