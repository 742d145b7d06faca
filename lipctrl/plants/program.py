"""A model's equations as data: a straight-line program, recorded by running them on numbers that only take notes.

Registers: first the inputs, then the constants, then one per instruction, in order. An instruction is
``[operation, register, ...]``; it reads registers before its own. A program has no loops, branches or calls, so that
another program can evaluate it in any arithmetic (proofs/check_cells.py does).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from lipctrl.errors import PlantError
from lipctrl.intervals import functions
from lipctrl.plants.model import Model

OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "neg": lambda a: -a,
    "abs": functions.absolute,
    "square": functions.square,
    "sqrt": functions.sqrt,
    "exp": functions.exp,
    "tanh": functions.tanh,
    "arctan": functions.arctan,
    "sin": functions.sin,
    "cos": functions.cos,
    "at_least": lambda a, low: functions.clip(a, low, np.inf),
    "at_most": lambda a, high: functions.clip(a, -np.inf, high),
}
"""What each operation means. The second register of `at_least` (max) and `at_most` (min) is a constant."""

_UFUNCS = {
    np.add: "add",
    np.subtract: "sub",
    np.multiply: "mul",
    np.true_divide: "div",
    np.negative: "neg",
    np.absolute: "abs",
    np.square: "square",
    np.sqrt: "sqrt",
    np.exp: "exp",
    np.tanh: "tanh",
    np.arctan: "arctan",
    np.sin: "sin",
    np.cos: "cos",
}

ADVICE = "Write step and observe with + - * / and the functions of lipctrl.intervals.functions, without branches."

Instruction = tuple[str, tuple[int, ...]]


@dataclass(frozen=True)
class Program:
    """A straight-line program.

    Attributes
    ----------
    inputs : int
        Number of input registers.
    constants : tuple of float
    code : tuple of (str, tuple of int)
        Operations of :data:`OPERATIONS` and the registers that they read.
    outputs : tuple of int
        Registers.
    """

    inputs: int
    constants: tuple[float, ...]
    code: tuple[Instruction, ...]
    outputs: tuple[int, ...]

    def __call__(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """Run on any kind of number: floats, arrays, intervals, affine forms, derivative numbers."""
        if len(values) != self.inputs:
            raise PlantError(f"The program takes {self.inputs} inputs, given {len(values)}.")
        registers: list[Any] = [*values, *self.constants]
        for operation, arguments in self.code:
            registers.append(OPERATIONS[operation](*(registers[place] for place in arguments)))
        return tuple(registers[place] for place in self.outputs)

    def reads(self, place: int) -> bool:
        """Whether an instruction or an output reads an input."""
        return place in self.outputs or any(place in arguments for _, arguments in self.code)

    def turns(self, angle: int) -> list[int | None]:
        """By how many full turns each output moves with one of an input, as far as the operations tell; None: unknown.

        Sums and differences add turns, sin and cos of whole turns stay, and so does what no turn reaches.
        """
        moved: list[int | None] = [int(place == angle) for place in range(self.inputs)]
        moved += [0] * len(self.constants)
        for operation, arguments in self.code:
            parts = [moved[place] for place in arguments]
            known = [part for part in parts if part is not None]
            after: int | None = None
            if len(known) == len(parts):
                if operation in ("sin", "cos") or not any(known):
                    after = 0
                elif operation in ("add", "sub", "neg"):
                    after = OPERATIONS[operation](*known)
            moved.append(after)
        return [moved[place] for place in self.outputs]

    def to_dict(self) -> dict[str, Any]:
        """As JSON data, the constants as C99 hexadecimal strings."""
        return {
            "inputs": self.inputs,
            "constants": [value.hex() for value in self.constants],
            "code": [[operation, *arguments] for operation, arguments in self.code],
            "outputs": list(self.outputs),
        }


def record(function: Callable[[Sequence[Any]], Sequence[Any]], inputs: int) -> Program:
    """The program that a function of `inputs` numbers runs.

    Raises
    ------
    PlantError
        If it branches on its inputs, or uses an operation that is not in :data:`OPERATIONS`.
    """
    tape = _Tape(inputs)
    arguments = tuple(_Traced(tape, ("input", place)) for place in range(inputs))
    try:
        outputs = [tape.lift(value) for value in function(arguments)]
        tape.check()
    except PlantError:
        raise
    except Exception as error:
        tape.check()
        words = f"The model's equations cannot be written as a program ({type(error).__name__}: {error})."
        raise PlantError(words, ADVICE) from error
    return tape.program(outputs)


def record_model(model: Model) -> tuple[Program, Program]:
    """The programs of `step` (inputs: state, action, uncertain parameters) and `observe` (state, parameters)."""
    n, m, q = model.n_states, model.n_actions, len(model.uncertain)
    step = record(lambda v: model.at(v[n + m :]).step(v[:n], v[n : n + m]), n + m + q)
    observe = record(lambda v: model.at(v[n:]).observe(v[:n]), n + q)
    given = (len(step.outputs), len(observe.outputs))
    if given != (n, model.n_observations):
        raise PlantError(f"step and observe give {given} numbers, but the model states {(n, model.n_observations)}.")
    return step, observe


Name = tuple[str, int]


class _Tape:
    def __init__(self, inputs: int) -> None:
        self.inputs = inputs
        self.constants: dict[str, int] = {}
        self.code: list[tuple[str, tuple[Name, ...]]] = []
        self.seen: dict[tuple[str, tuple[Name, ...]], _Traced] = {}
        self.refused: PlantError | None = None

    def refuse(self, words: str) -> NoReturn:
        """Refuse an operation: for good, even if the equations catch the error and go another way."""
        self.refused = self.refused or PlantError(words, ADVICE)
        raise self.refused

    def check(self) -> None:
        if self.refused is not None:
            raise self.refused

    def lift(self, value: Any) -> _Traced:
        if isinstance(value, _Traced):
            if value.tape is not self:
                self.refuse("The model's equations mix numbers of two recordings.")
            return value
        array = np.asarray(value)
        if array.ndim or array.dtype.kind not in "fiu" or not np.isfinite(array):
            self.refuse(f"A constant of the model's equations is {value!r}, expected one finite number.")
        number = float(array)
        return _Traced(self, ("constant", self.constants.setdefault(number.hex(), len(self.constants))))

    def note(self, operation: str, *arguments: Any) -> _Traced:
        key = (operation, tuple(self.lift(value).name for value in arguments))
        if key not in self.seen:
            self.seen[key] = _Traced(self, ("code", len(self.code)))
            self.code.append(key)
        return self.seen[key]

    def program(self, outputs: Sequence[_Traced]) -> Program:
        start = {"input": 0, "constant": self.inputs, "code": self.inputs + len(self.constants)}
        code = tuple(
            (operation, tuple(start[kind] + place for kind, place in arguments)) for operation, arguments in self.code
        )
        constants = tuple(float.fromhex(text) for text in self.constants)
        return Program(self.inputs, constants, code, tuple(start[out.name[0]] + out.name[1] for out in outputs))


class _Traced:
    """A number that notes what is done with it."""

    def __init__(self, tape: _Tape, name: Name) -> None:
        self.tape, self.name = tape, name

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **keywords: Any) -> _Traced:
        if method != "__call__" or keywords or ufunc not in _UFUNCS:
            self.tape.refuse(f"The model's equations use numpy.{ufunc.__name__}.")
        return self.tape.note(_UFUNCS[ufunc], *inputs)

    def __add__(self, other: Any) -> _Traced:
        return self.tape.note("add", self, other)

    def __radd__(self, other: Any) -> _Traced:
        return self.tape.note("add", other, self)

    def __sub__(self, other: Any) -> _Traced:
        return self.tape.note("sub", self, other)

    def __rsub__(self, other: Any) -> _Traced:
        return self.tape.note("sub", other, self)

    def __mul__(self, other: Any) -> _Traced:
        return self.tape.note("mul", self, other)

    def __rmul__(self, other: Any) -> _Traced:
        return self.tape.note("mul", other, self)

    def __truediv__(self, other: Any) -> _Traced:
        return self.tape.note("div", self, other)

    def __rtruediv__(self, other: Any) -> _Traced:
        return self.tape.note("div", other, self)

    def __neg__(self) -> _Traced:
        return self.tape.note("neg", self)

    def __pos__(self) -> _Traced:
        return self

    def __abs__(self) -> _Traced:
        return self.tape.note("abs", self)

    def __pow__(self, exponent: Any) -> _Traced:
        if not isinstance(exponent, int) or exponent < 1:
            self.tape.refuse(f"The model's equations use the power {exponent!r}, expected an integer >= 1.")
        if exponent == 1:
            return self
        half = (self ** (exponent // 2)).square()
        return half * self if exponent % 2 else half

    def square(self) -> _Traced:
        return self.tape.note("square", self)

    def clip(self, low: Any = None, high: Any = None, **keywords: Any) -> _Traced:
        result = self
        for limit, operation, absent in ((low, "at_least", -math.inf), (high, "at_most", math.inf)):
            if isinstance(limit, _Traced):
                self.tape.refuse("The model's equations clip to limits that are not constant.")
            if limit is not None and not np.all(limit == absent):
                result = self.tape.note(operation, result, limit)
        return result

    def _refuse(self, *arguments: Any) -> NoReturn:
        self.tape.refuse("The model's equations branch on a state or action, or turn it into a plain float.")

    def __getattr__(self, name: str) -> NoReturn:
        if not name.startswith("__"):
            self.tape.refused = PlantError(f"The model's equations use the attribute {name!r} of a number.", ADVICE)
        raise AttributeError(f"The number has no attribute {name!r}.")

    __bool__ = __float__ = __int__ = __index__ = __complex__ = __round__ = __trunc__ = __floor__ = __ceil__ = _refuse
    __mod__ = __rmod__ = __floordiv__ = __rfloordiv__ = __divmod__ = __rdivmod__ = __rpow__ = _refuse
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __hash__ = None  # type: ignore[assignment]
