"""Enclosures of the closed loop x+ = f(x, pi(h(x))) of an exact model over many cells at once.

Everything that is proved about the nonlinear loop rests on these: the image of cells under one step, the boxes around
their images step after step, and the derivatives over cells.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from copy import copy
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

from lipctrl.errors import LoopError
from lipctrl.intervals.affine import AffineForm, stack
from lipctrl.intervals.dual import Dual
from lipctrl.intervals.interval import Interval
from lipctrl.intervals.rounding import check_rounding_mode
from lipctrl.networks.affine_enclosure import AffineEnclosure
from lipctrl.networks.float32 import Float32Error
from lipctrl.networks.network import Network
from lipctrl.plants.model import Model

Array = NDArray[np.float64]
State = tuple[AffineForm, ...]

ARITHMETICS = ("real", "float32")
_GROW, _TINY = 1.0 + 2.0**-36, 2.0**-900


class ClosedLoop:
    """A discrete-time model with a policy, on affine forms.

    Parameters
    ----------
    model : Model
        Discrete time.
    network : Network
    action_error : float
        The claims hold for every error up to this size in each action at each step (actuator).
    arithmetic : {"real", "float32"}
        With "float32" also for the errors of evaluating the policy in float32, see networks/float32.py.

    Notes
    -----
    Uncertain parameters of the model have a symbol each, the same at every step: they are constant.
    """

    def __init__(self, model: Model, network: Network, action_error: float = 0.0, arithmetic: str = "real") -> None:
        check_rounding_mode()
        _keep_memory()
        if not (np.isfinite(action_error) and action_error >= 0):
            raise LoopError(f"The error of an action is {action_error!r}.", "Give a finite number, 0 or more.")
        if arithmetic not in ARITHMETICS:
            raise LoopError(f"The arithmetic is {arithmetic!r}.", f"Choose one of {', '.join(ARITHMETICS)}.")
        self.model, self.network, self.action_error = model, network, float(action_error)
        self.enclosure = AffineEnclosure(network)
        self.arithmetic = arithmetic
        self._rounding = Float32Error(self.enclosure) if arithmetic == "float32" else None
        ends = np.array(list(model.uncertain.values()), dtype=np.float64).reshape(-1, 2, 1)
        self.low, self.high = ends[:, 0], ends[:, 1]

    @property
    def n(self) -> int:
        return self.model.n_states

    @property
    def kept(self) -> int:
        """Symbols that stay the same from step to step: those of the cell, then one for each uncertain parameter."""
        return self.n + len(self.low)

    @property
    def disturbed(self) -> bool:
        """Whether the actions have errors."""
        return self.action_error > 0 or self._rounding is not None

    def action_errors(self, y: AffineForm) -> Array:
        """The largest error of each action on each cell of observations, shape (N, m)."""
        error = np.full((y.shape[0], self.network.n_out), self.action_error)
        return error if self._rounding is None else (error + self._rounding(y)) * _GROW

    def largest_rounding(self, lower: Array, upper: Array) -> float:
        """The largest error of evaluating any action on cells, shape (N, n)."""
        if self._rounding is None:
            return 0.0
        return float(
            np.max(self._rounding(stack(self.plant(len(lower)).observe(box_forms(lower, upper)), (len(lower),))))
        )

    def among(self, low: Array, high: Array) -> ClosedLoop:
        """The same loop with other ends of the uncertain parameters, shape (q, N): those of each cell."""
        other = copy(self)
        other.low, other.high = low, high
        return other

    def parts(self, count: int) -> Iterator[ClosedLoop]:
        """The loop on each of at most about `count` parts of the parameters' box."""
        for low, high in zip(*pieces(self.low[:, 0], self.high[:, 0], count), strict=True):
            yield self.among(low[:, None], high[:, None])

    def plant(self, cells: int) -> Model:
        """The model with its uncertain parameters as forms."""
        q = len(self.low)
        low, high = (np.broadcast_to(end, (q, cells)) for end in (self.low, self.high))
        middle = np.clip(0.5 * low + 0.5 * high, low, high)
        generators = np.zeros((q, self.kept, cells))
        generators[np.arange(q), self.n + np.arange(q)] = np.nextafter(np.maximum(high - middle, middle - low), np.inf)
        return self.model.at([AffineForm(middle[i], generators[i]) for i in range(q)])

    def step(self, x: State, around: State | None = None) -> State:
        """The next state of every cell; the error of each action gets a symbol of its own.

        Parameters
        ----------
        x : tuple of AffineForm, shape (N,)
        around : tuple of AffineForm, optional
            Sets that contain those of x, with fewer symbols, from which the lines of the policy are taken.
        """
        shape = x[0].shape
        plant = self.plant(*shape)
        y = stack(plant.observe(x), shape)
        wide = None if around is None else stack(plant.observe(around), shape)
        u = self.enclosure(y, wide)
        if self.disturbed:
            u = AffineForm(u.center, u.generators, (u.radius + self.action_errors(y if wide is None else wide)) * _GROW)
        generators, m = u.generators, u.shape[1]
        if len(generators) < self.kept:
            generators = np.concatenate([generators, np.zeros((self.kept - len(generators), *u.shape))])
        own = np.zeros((m, *u.shape))
        own[np.arange(m), :, np.arange(m)] = u.radius.T
        u = AffineForm(u.center, np.concatenate([generators, own]))
        after = plant.step(x, [u[:, i] for i in range(m)])
        forms = [form if isinstance(form, AffineForm) else AffineForm(np.full(shape, form)) for form in after]
        count = len(u.generators)
        undefined = np.isnan([form.center for form in forms]).any(axis=0)
        if undefined.any():  # a state of which one number is none, whatever the next step reads
            forms = [AffineForm(np.where(undefined, np.nan, f.center), f.generators, f.radius, f.known) for f in forms]
        return tuple(form if len(form.generators) == count else _padded(form, count) for form in forms)

    def advance(self, x: State, steps: int) -> State:
        """The state after several steps; the first symbols stay those of x, then of the parameters."""
        for count in range(steps):
            x = self.follow(x, count)
        return x

    def follow(self, x: State, count: int) -> State:
        """The next state of cells that have made `count` steps; the first symbols stay."""
        return self.step(_collapsed(x, self.kept), _oriented(x)) if count else self.step(x)

    def simulate(self, x: Array, steps: int = 1, plant: Model | None = None) -> Array:
        """The states, shape (N, n), after so many steps, in floating point; at the nominal parameters by default."""
        plant = self.model if plant is None else plant
        with np.errstate(all="ignore"):
            for _ in range(steps):
                x = plant.advance(x, self.network(plant.outputs(x)))
        return x

    def samples(self, x: Array, steps: int = 1) -> list[Array]:
        """As `simulate`, at the nominal and the extreme parameters."""
        return [self.simulate(x, steps, plant) for plant in self.model.extremes()]

    def flight(self, lower: Array, upper: Array) -> Generator[tuple[Array, Array], NDArray[np.bool_] | None, None]:
        """Boxes around the images of cells, shape (N, n), after 1, 2, 3, ... steps, without end.

        Yields lower and upper, infinite where nothing is known; angles are not wrapped. Sending a mask of cells drops
        the others.
        """
        x, around = box_forms(lower, upper), None
        while True:
            x = self.step(x, around)
            ranges = [form.range() for form in x]
            kept = yield np.stack([r.lo for r in ranges], axis=-1), np.stack([r.hi for r in ranges], axis=-1)
            if kept is not None:
                x = tuple(form[kept] for form in x)
            x, around = _collapsed(x, self.kept), _oriented(x)

    def derivatives(self, x: State, seeds: Array) -> tuple[Interval, Interval, Array, Array, Array]:
        """Derivatives over each cell (Clarke's, at kinks).

        Parameters
        ----------
        x : tuple of AffineForm, shape (N,)
        seeds : array, shape (n, k)
            dx/dz.

        Returns
        -------
        by_state : Interval, shape (n, n, N)
            df/dx.
        by_action : Interval, shape (n, m, N)
            df/du.
        middle, radius : array, shape (N, m, k)
            |du/dz - middle| <= radius.
        errors : array, shape (N, m)
            Of the actions.
        """
        n, shape = self.n, x[0].shape
        ranges = [form.range() for form in x]
        y = stack(self.plant(*shape).observe(x), shape)
        ends = zip(self.low, self.high, strict=True)
        given = [Interval(np.broadcast_to(low, shape), np.broadcast_to(high, shape)) for low, high in ends]
        numbers = Dual.variables([*ranges, *given])
        seen = [_dual(part, len(numbers), shape) for part in self.model.at(numbers[n:]).observe(numbers[:n])]
        grads = [Interval.exact(d.grad)[:n] for d in seen]
        by_z = [Interval(np.moveaxis(g.lo, 0, -1), np.moveaxis(g.hi, 0, -1)) @ seeds for g in grads]
        middle = np.stack([part.mid for part in by_z], axis=1)
        radius = np.stack([part.rad for part in by_z], axis=1)
        middle, radius = self.enclosure.jacobian(y, middle, radius)
        errors = self.action_errors(y)
        u = self.enclosure(y).range()
        if self.disturbed:
            u = u + Interval(-errors, errors)
        m = u.shape[1]
        numbers = Dual.variables([*ranges, *(u[:, i] for i in range(m)), *given])
        plant = self.model.at(numbers[n + m :])
        after = [_dual(part, len(numbers), shape) for part in plant.step(numbers[:n], numbers[n : n + m])]
        slopes = Interval.stack([part.grad for part in after])
        return slopes[:, :n], slopes[:, n : n + m], middle, radius, errors


def box_forms(lower: Array, upper: Array) -> State:
    """The cells between `lower` and `upper`, shape (N, n), as forms with one symbol per axis."""
    centers = np.clip(0.5 * lower + 0.5 * upper, lower, upper)
    return AffineForm.cells(centers, np.nextafter(np.maximum(upper - centers, centers - lower), np.inf))


def pieces(low: Array, high: Array, count: int) -> tuple[Array, Array]:
    """Lower and upper corners, shape (N, k) each, of at most about `count` boxes that cover the given one."""
    each = max(int(count ** (1 / len(low))), 1) if len(low) else 1
    sides = []
    for a, b in zip(low, high, strict=True):
        sides.append(list(pairwise(np.linspace(a, b, each + 1))))
    corners = np.array(list(product(*sides)), dtype=np.float64).reshape(each ** len(low), len(low), 2)
    return corners[:, :, 0], corners[:, :, 1]


def _dual(part: Dual | float, count: int, shape: tuple[int, ...]) -> Dual:
    if isinstance(part, Dual):
        return part
    return Dual(Interval(np.full(shape, float(part))), Interval(np.zeros((count, *shape))))


def _padded(form: AffineForm, count: int) -> AffineForm:
    generators = np.zeros((count, *form.shape))
    generators[: len(form.generators)] = form.generators
    return AffineForm(form.center, generators, form.radius, form.known)


def _collapsed(x: State, kept: int) -> State:
    """The same sets with all but the first symbols replaced by new ones, one for each state."""
    forms = []
    for i, form in enumerate(x):
        generators = np.zeros((kept + len(x), *form.shape))
        generators[:kept] = form.generators[:kept]
        generators[kept + i] = (np.abs(form.generators[kept:]).sum(axis=0) + form.radius) * _GROW + _TINY
        forms.append(AffineForm(form.center, generators, None, form.known))
    return tuple(forms)


def _oriented(x: State) -> State | None:
    """Two states: rectangles around the sets, along the longest generator; otherwise None.

    With Q = [a -b; b a], Q^-1 = Q'/(a^2 + b^2) and a^2 + b^2 = 1 up to 8 u, a point c + p of the set is c + Q (Q^-1 p).
    """
    if len(x) != 2:
        return None
    G = np.stack([form.generators for form in x])
    r = np.stack([form.radius for form in x])
    with np.errstate(all="ignore"):
        length = G[0] ** 2 + G[1] ** 2
        longest = np.argmax(length, axis=0)
        a, b = np.take_along_axis(G, np.broadcast_to(longest, (2, 1, len(longest))), axis=1)[:, 0]
        size = np.hypot(a, b)
        usable = (size > 1e-150) & (size < 1e150)
        a, b = np.where(usable, a / size, 1.0), np.where(usable, b / size, 0.0)
        rounding = 2.0**-48 * (np.abs(G[0]) + np.abs(G[1])).sum(axis=0)
        size_a, size_b = np.abs(a), np.abs(b)
        first = np.abs(a * G[0] + b * G[1]).sum(axis=0) + rounding + size_a * r[0] + size_b * r[1]
        second = np.abs(a * G[1] - b * G[0]).sum(axis=0) + rounding + size_b * r[0] + size_a * r[1]
        first, second = first * _GROW + _TINY, second * _GROW + _TINY
        slack = 2.0**-50 * (first + second) + _TINY
    return (
        AffineForm(x[0].center, np.stack([a * first, -b * second]), slack, x[0].known),
        AffineForm(x[1].center, np.stack([b * first, a * second]), slack, x[1].known),
    )


def _keep_memory() -> None:
    """Let the C library keep freed memory: glibc raises its thresholds when a large block is freed once.

    Otherwise every temporary array is returned to the system and faulted in again, which doubles the time per cell.
    """
    block = np.empty(31 * 2**17)
    block[:] = 0.0
    del block
