"""The plant as a linear state-space model about an operating point."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lipctrl.errors import PlantError
from lipctrl.plants.goal import Equilibrium, Goal

Array = NDArray[np.float64]

_UNSET: Any = None
DT_ADVICE = "Give the sampling time in seconds (dt = 0.05), or dt = 0 for continuous time: it is never guessed."


@dataclass(frozen=True, eq=False)
class Plant:
    """The plant x+ = x0 + A (x - x0) + B (u - u0), y = y0 + C (x - x0) + D (u - u0).

    For dt = 0 the left side is dx/dt, and x0 is a point of rest.

    Parameters
    ----------
    A : array_like, shape (n, n)
    B : array_like, shape (n, m)
    C : array_like, shape (p, n)
    D : array_like, shape (p, m), optional
        Zero by default.
    dt : float
        0 for continuous time, else the sampling time in seconds, as in python-control.
    x0, u0, y0 : array_like, shapes (n,), (m,), (p,), optional
        Operating point, zero by default.
    state_names, input_names, output_names : sequence of str, optional
    name : str
    goal : Goal, optional
        Where the loop is wanted to rest.
    equilibrium : Equilibrium, optional
        How the operating point was found.
    model_leaves_out : sequence of str
        What of the real plant this linear model does not contain, in words.

    Raises
    ------
    PlantError
        On sizes that do not fit, NaN or infinite entries, and an unspecified dt.
    """

    A: Array
    B: Array
    C: Array
    D: Array = _UNSET
    dt: float = field(default=_UNSET, kw_only=True)
    x0: Array = field(default=_UNSET, kw_only=True)
    u0: Array = field(default=_UNSET, kw_only=True)
    y0: Array = field(default=_UNSET, kw_only=True)
    state_names: tuple[str, ...] = field(default=(), kw_only=True)
    input_names: tuple[str, ...] = field(default=(), kw_only=True)
    output_names: tuple[str, ...] = field(default=(), kw_only=True)
    name: str = field(default="plant", kw_only=True)
    goal: Goal | None = field(default=None, kw_only=True)
    equilibrium: Equilibrium | None = field(default=None, kw_only=True)
    model_leaves_out: tuple[str, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        A, B, C = (_array(value, 2, name) for value, name in ((self.A, "A"), (self.B, "B"), (self.C, "C")))
        n, m, p = A.shape[0], B.shape[1], C.shape[0]
        if 0 in (n, m, p):
            raise PlantError(
                f"The plant has {n} states, {m} inputs and {p} outputs.",
                "A plant needs at least one of each; a static gain forms no loop with dynamics.",
            )
        _check_shape("A", A, (n, n), "square, one row and column for each state")
        _check_shape("B", B, (n, m), "one row for each state")
        _check_shape("C", C, (p, n), "one column for each state")
        D = np.zeros((p, m)) if self.D is None else _array(self.D, 2, "D")
        _check_shape("D", D, (p, m), "one row for each output (row of C), one column for each input (column of B)")
        point = {}
        for key, size in (("x0", n), ("u0", m), ("y0", p)):
            value = getattr(self, key)
            point[key] = np.zeros(size) if value is None else _array(value, 1, key)
            _check_shape(key, point[key], (size,), f"{size} entries")
        if self.goal is not None and self.goal.n_states != n:
            raise PlantError(f"The target has {self.goal.n_states} entries, but the plant has {n} states.")
        for key, value in {"A": A, "B": B, "C": C, "D": D, **point}.items():
            frozen = np.ascontiguousarray(value)
            frozen.setflags(write=False)
            object.__setattr__(self, key, frozen)
        object.__setattr__(self, "dt", checked_dt(self.dt))
        for key, letter, size in (("state_names", "x", n), ("input_names", "u", m), ("output_names", "y", p)):
            object.__setattr__(self, key, _names(getattr(self, key), letter, size, key))
        object.__setattr__(self, "model_leaves_out", tuple(self.model_leaves_out))

    @property
    def n_states(self) -> int:
        return self.A.shape[0]

    @property
    def n_inputs(self) -> int:
        return self.B.shape[1]

    @property
    def n_outputs(self) -> int:
        return self.C.shape[0]

    @property
    def is_continuous(self) -> bool:
        return self.dt == 0.0

    def __repr__(self) -> str:
        time = "continuous" if self.is_continuous else f"dt={self.dt:g} s"
        return f"Plant({self.name}: {self.n_states} states, {self.n_inputs} inputs, {self.n_outputs} outputs, {time})"

    @classmethod
    def from_control(cls, sys: Any, **keywords: Any) -> Plant:
        """The plant of a python-control ``StateSpace``; `keywords` are those of :class:`Plant`.

        Raises
        ------
        PlantError
            If `sys` is no ``StateSpace`` (a transfer function has no states of its own), or its dt is unspecified.
        """
        import control

        if isinstance(sys, control.TransferFunction):
            raise PlantError(
                "A TransferFunction was given, but a plant needs states, and a transfer function does not name them.",
                "Choose a realisation first: Plant.from_control(control.ss(sys)) (or control.tf2ss).",
            )
        if not isinstance(sys, control.StateSpace):
            raise PlantError(
                f"A {type(sys).__name__} was given, expected a python-control StateSpace.",
                "Build one with control.ss(A, B, C, D, dt), or linearise a nonlinear system with control.linearize.",
            )
        given = {
            "dt": sys.dt,
            "name": sys.name or "plant",
            "state_names": tuple(sys.state_labels),
            "input_names": tuple(sys.input_labels),
            "output_names": tuple(sys.output_labels),
        }
        return cls(sys.A, sys.B, sys.C, sys.D, **{**given, **keywords})

    def to_control(self) -> Any:
        """The python-control ``StateSpace`` in deviations from the operating point."""
        import control

        return control.StateSpace(
            self.A,
            self.B,
            self.C,
            self.D,
            self.dt,
            states=list(self.state_names),
            inputs=list(self.input_names),
            outputs=list(self.output_names),
            name=self.name,
        )

    def to_dict(self) -> dict[str, Any]:
        """The plant as the certificate holds it: every number a C99 hexadecimal string."""
        vectors = {key: [float(v).hex() for v in getattr(self, key)] for key in ("x0", "y0", "u0")}
        matrices = {key: [[float(v).hex() for v in row] for row in getattr(self, key)] for key in ("A", "B", "C", "D")}
        return {**matrices, "dt": self.dt.hex(), **vectors}


def checked_dt(dt: Any) -> float:
    """The sampling time as a float: 0 for continuous time, else positive and finite.

    Raises
    ------
    PlantError
        For None, True (python-control's "sampled, time unspecified"), negative, infinite or NaN.
    """
    if dt is None or isinstance(dt, bool | np.bool_):
        raise PlantError(f"The sampling time of the plant is unspecified (dt = {dt}).", DT_ADVICE)
    try:
        value = float(dt)
    except (TypeError, ValueError, OverflowError) as error:
        raise PlantError(f"The sampling time dt = {dt!r} is not a number.", DT_ADVICE) from error
    if not (np.isfinite(value) and value >= 0):
        raise PlantError(f"The sampling time dt = {value} is not a finite number >= 0.", DT_ADVICE)
    return value


def _array(value: ArrayLike, ndim: int, name: str) -> Array:
    try:
        if np.iscomplexobj(value):
            raise TypeError("complex numbers")
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise PlantError(f"{name} is not an array of real numbers: {error}.", f"Give {name} as numbers.") from error
    if ndim == 2 and array.ndim == 0:
        array = array.reshape(1, 1)
    if array.ndim != ndim:
        kind = {1: "a vector", 2: "a matrix (a list of rows)"}[ndim]
        raise PlantError(f"{name} has {array.ndim} dimensions.", f"Give {name} as {kind}.")
    if not np.all(np.isfinite(array)):
        raise PlantError(f"{name} holds NaN or infinite entries.", "Check how the plant was identified or computed.")
    return array


def _check_shape(name: str, array: Array, expected: tuple[int, ...], words: str) -> None:
    if array.shape != expected:
        raise PlantError(f"{name} has shape {array.shape}, expected {expected}.", f"{name} must be: {words}.")


def _names(names: Iterable[str], letter: str, size: int, key: str) -> tuple[str, ...]:
    if isinstance(names, str):
        raise PlantError(f"{key} is the string {names!r}.", "Give a list of strings.")
    given = tuple(str(name) for name in names)
    if not given:
        return tuple(f"{letter}[{i}]" for i in range(size))
    if len(given) != size:
        raise PlantError(f"{key} has {len(given)} entries, expected {size}.")
    return given
