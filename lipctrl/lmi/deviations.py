"""The nonlinear loop x+ = step(x, pi(observe(x))) about its equilibrium x*, as linear algebra and scalar channels.

Every quantity q of the loop is followed as its deviation q - q* from its value at rest, for all x* in a box X*. What is
linear stays so; each nonlinear operation gives a new signal w = phi(v) - phi(v*), known by a sector:

| operation | signal, driven by | sector |
|---|---|---|
| sin, cos, tanh, ..., neuron | w = phi(v* + dv) - phi(v*), dv | secants through v* (Yin, Seiler, Arcak, TAC 2022) |
| a b | a b - a* b* = b* da + w, w = a db | the range of a |
| a / b | w = (da - q* db) / b, q* = a* / b* | the range of 1 / b |
| p b, b / p with an uncertain parameter p | w = p db | the range of p |

They hold on the ellipsoid {x* + G z : |z|_2 <= 1}, since there dq lies in {g z + d : |d| <= r}: a nonlinear operation
is replaced by a line and an error (intervals/mean_value.py). One `Deviation` holds both descriptions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from lipctrl.errors import LipctrlError
from lipctrl.intervals.ball import Ball
from lipctrl.intervals.dual import Dual
from lipctrl.intervals.interval import Interval
from lipctrl.intervals.mean_value import sector_and_line
from lipctrl.intervals.rounding import norm_up
from lipctrl.lmi.blocks import dense
from lipctrl.lmi.lmi import Factor, selector
from lipctrl.lmi.multipliers import Signals, sector_rows
from lipctrl.networks.network import Affine, Network
from lipctrl.plants.program import OPERATIONS, Program

Array = NDArray[np.float64]

CONSTANT, PARAMETER, STATE = range(3)
"""What a quantity depends on."""
_GROW, _TINY = 1.0 + 2.0**-36, 2.0**-900


@dataclass(frozen=True)
class Deviation:
    """m quantities of the loop, about their values at rest.

    Attributes
    ----------
    rest : Interval, shape (m,)
        Their values at every x* in X*.
    rows : Factor
        Their deviations over the signals (e, w_1, w_2, ...), e = x - x*.
    G : array, shape (m, n)
    r : array, shape (m,)
        The deviations lie in {G z + d : |z|_2 <= 1, |d| <= r}.
    kind : int
        :data:`CONSTANT`, :data:`PARAMETER` or :data:`STATE`.
    """

    rest: Interval
    rows: Factor
    G: Array
    r: Array
    kind: int = STATE

    @property
    def reach(self) -> Array:
        """At least the size of each deviation."""
        return np.asarray((norm_up(self.G, axis=1) + self.r) * _GROW + _TINY * (self.kind == STATE))

    @property
    def range(self) -> Interval:
        reach = self.reach
        return self.rest + Interval(-reach, reach)

    def affine(self, matrix: Ball, shift: Array, rest: Interval | None = None) -> Deviation:
        """matrix @ self + shift."""
        moved = matrix @ Ball.exact(self.G)
        spread = (Ball.exact(matrix.upper_abs()) @ self.r).upper
        r = (spread + norm_up(moved.radius, axis=1)) * _GROW + _TINY * np.any(matrix.mid != 0.0, axis=1)
        if rest is None:
            rest = Interval(matrix.lower, matrix.upper) @ self.rest + shift
        return Deviation(rest, self.rows.premultiply(matrix), moved.mid, r, self.kind)


@dataclass
class Channels:
    """The signals of a loop, in the order in which they arise.

    Attributes
    ----------
    n : int
        States.
    blocks : list of (Interval, array)
        For each group of channels its sectors and the slopes of its lines, shape (m,) each: what a certificate states.
    """

    n: int
    blocks: list[tuple[Interval, Array]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    A: list[Factor] = field(default_factory=list)
    B: list[Factor] = field(default_factory=list)
    nonlinear: list[NDArray[np.intp]] = field(default_factory=list)

    def states(self, rest: Interval, generators: Array) -> list[Deviation]:
        """The components of x on {x* + G z : |z|_2 <= 1}."""
        one = np.zeros(1)
        return [
            Deviation(rest[i : i + 1], selector(0, self.n, np.array([i])), generators[i : i + 1], one)
            for i in range(self.n)
        ]

    def given(self, value: Interval, kind: int) -> Deviation:
        """A constant or a parameter."""
        return Deviation(value.reshape(1), Factor(1, {}), np.zeros((1, self.n)), np.zeros(1), kind)

    def add(self, v: Deviation, sector: Interval, line: Array, error: Array, rest: Interval) -> Deviation:
        """New signals w_i = phi_i(v_i) - phi_i(v_i*) in sectors, |w_i - line_i dv_i| <= error_i.

        As w = middle dv + half s, |s| <= |dv|: a narrow sector then gives a small number, no cancellation.

        Raises
        ------
        LipctrlError
            Without bounds: also of an operation that may be undefined, whatever is multiplied by it.
        """
        if not np.all(np.isfinite([sector.lo, sector.hi, error])):
            raise LipctrlError("An operation of the model is not bounded, or not defined, on the region.")
        place = len(self.blocks) + 1
        straight = sector.lo == sector.hi
        middle = np.where(straight, sector.lo, sector.mid)
        half = np.where(straight, 0.0, np.nextafter(np.maximum(sector.hi - middle, middle - sector.lo), np.inf))
        A, B, kept, s = sector_rows(place, v.rows, np.where(straight, 0.0, -1.0), np.where(straight, 0.0, 1.0))
        rows = v.rows.scale_rows(middle) + s.scale_rows(half)
        self.blocks.append((sector, line))
        self.sizes.append(len(kept))
        self.A.append(A)
        self.B.append(B)
        self.nonlinear.append(kept)
        moved = Ball.exact(line[:, None]) * v.G
        r = (np.abs(line) * v.r + norm_up(moved.radius, axis=1) + error) * _GROW + _TINY
        return Deviation(rest, rows, moved.mid, r)

    def signals(self, output: Factor) -> Signals:
        return Signals((self.n, *self.sizes), tuple(self.A), tuple(self.B), tuple(self.nonlinear), output)

    def network(self, network: Network, inputs: Deviation) -> Deviation:
        v = inputs
        for layer in network.layers:
            if isinstance(layer, Affine):
                v = v.affine(Ball.exact(layer.W), layer.b)
            else:
                phi = layer.activation
                v = self.add(v, *sector_and_line(phi.slope_range, v.rest, v.reach), phi.enclose(v.rest))
        return v

    def program(self, program: Program, inputs: Sequence[Deviation]) -> list[Deviation]:
        registers = [*inputs, *(self.given(Interval(np.array([c])), CONSTANT) for c in program.constants)]
        for operation, places in program.code:
            registers.append(self._instruction(operation, [registers[place] for place in places]))
        return [registers[place] for place in program.outputs]

    def _instruction(self, operation: str, given: list[Deviation]) -> Deviation:
        rest = OPERATIONS[operation](*(_argument(operation, i, d) for i, d in enumerate(given)))
        kind = max(d.kind for d in given)
        if kind < STATE:
            return self.given(rest, kind)
        if operation in _SIGNS:
            return replace(stack(given).affine(Ball.exact([_SIGNS[operation]]), np.zeros(1), rest), kind=kind)
        if operation == "mul":
            return self._product(given[0], given[1], rest)
        if operation == "div":
            return self._quotient(given[0], given[1], rest)
        v = given[0]

        def slopes(x: Interval) -> Interval:
            number = Dual(x, Interval(np.ones((1, *x.shape))))
            return Interval.exact(OPERATIONS[operation](number, *(float(c.rest.lo[0]) for c in given[1:])).grad)[0]

        return self.add(v, *sector_and_line(slopes, v.rest, v.reach), rest)

    def _product(self, a: Deviation, b: Deviation, rest: Interval) -> Deviation:
        if b.kind < a.kind:
            a, b = b, a
        if a.kind == CONSTANT:
            return b.affine(_number(a.rest), np.zeros(1), rest)
        w = self._gain(a.range, b, rest)
        if a.kind == PARAMETER:
            return w
        return replace(stack([a.affine(_number(b.rest), np.zeros(1)), w]).affine(_SUM, np.zeros(1), rest), kind=STATE)

    def _quotient(self, a: Deviation, b: Deviation, rest: Interval) -> Deviation:
        if b.kind == CONSTANT:
            return a.affine(_number(1.0 / b.rest), np.zeros(1), rest)
        v = stack([a, b]).affine(Ball.block([[np.ones((1, 1)), -_number(rest)]]), np.zeros(1))
        return self._gain(1.0 / b.range, v, rest)

    def _gain(self, gain: Interval, v: Deviation, rest: Interval) -> Deviation:
        """w = g dv with g in an interval."""
        if not (np.all(np.isfinite(gain.lo)) and np.all(np.isfinite(gain.hi))):
            raise LipctrlError("A product or quotient of the model is not bounded on the region.")
        line = gain.mid
        error = gain.rad * v.reach * _GROW
        wider = 2.0**-30 * gain.mag
        return self.add(v, Interval(gain.lo - wider, gain.hi + wider), line, error, rest)


def loop_signals(
    programs: tuple[Program, Program],
    network: Network,
    equilibrium: Interval,
    parameters: Interval,
    generators: Array,
) -> tuple[Channels, Factor]:
    """The channels of the loop on {x* + G z : |z|_2 <= 1} for each x* in a box, and x+ - x* over its signals.

    Parameters
    ----------
    programs : (Program, Program)
        Of step and observe, as recorded.
    network : Network
    equilibrium : Interval, shape (n,)
    parameters : Interval, shape (q,)
        Of the uncertain parameters.
    generators : array, shape (n, n)

    Raises
    ------
    LipctrlError
        If something is not bounded on the region (a quotient whose divisor may vanish, the root of a negative number).
    """
    step, observe = programs
    channels = Channels(len(generators))
    x = channels.states(equilibrium, generators)
    given = [channels.given(parameters[i : i + 1], PARAMETER) for i in range(len(parameters))]
    with np.errstate(all="ignore"):
        y = stack(channels.program(observe, [*x, *given]))
        u = channels.network(network, y)
        actions = [_entry(u, i) for i in range(network.n_out)]
        after = stack(channels.program(step, [*x, *actions, *given]))
    return channels, after.rows


_SIGNS = {"add": (1.0, 1.0), "sub": (1.0, -1.0), "neg": (-1.0,)}
_SUM = Ball.exact(np.ones((1, 2)))


def _argument(operation: str, place: int, d: Deviation) -> Interval | float:
    """As the functions of intervals want it: a limit of a clip is a number."""
    return float(d.rest.lo[0]) if operation in ("at_least", "at_most") and place else d.rest


def _number(value: Interval) -> Ball:
    return Ball.between(value.lo.reshape(1, 1), value.hi.reshape(1, 1))


def _entry(d: Deviation, i: int) -> Deviation:
    return Deviation(d.rest[i : i + 1], d.rows.take(np.array([i])), d.G[i : i + 1], d.r[i : i + 1], d.kind)


def stack(parts: Sequence[Deviation]) -> Deviation:
    """One after the other."""
    widths = {block: part.shape[1] for d in parts for block, part in d.rows.blocks.items()}
    blocks = {}
    for block, width in sorted(widths.items()):
        zero = np.zeros((1, width))
        column = [
            dense(d.rows.blocks[block]) if block in d.rows.blocks else np.repeat(zero, d.rows.rows, 0) for d in parts
        ]
        blocks[block] = Ball.block([[entry] for entry in column])
    return Deviation(
        Interval(np.concatenate([d.rest.lo for d in parts]), np.concatenate([d.rest.hi for d in parts])),
        Factor(sum(d.rows.rows for d in parts), blocks),
        np.vstack([d.G for d in parts]),
        np.concatenate([d.r for d in parts]),
        max(d.kind for d in parts),
    )
