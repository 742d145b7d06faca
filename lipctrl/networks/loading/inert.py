"""An inert reader of pickles: it records what a pickle asks for and executes nothing.

A pickle is a program for a small stack machine. Here the instructions are decoded by the standard library's
``pickletools``, plain values are built, and every instruction that would import, call or build an object only
leaves a :class:`Record` of the request. Nothing is imported by name and no recorded function is ever called;
no consumer recurses over the result, so deep nesting costs memory only, and memory is bounded by the limits below.
"""

from __future__ import annotations

import io
import pickletools
import warnings
from dataclasses import dataclass, field
from typing import Any

from lipctrl.errors import LoadError

MAX_BYTES = 256 * 2**20
MAX_OPCODES = 1_000_000
MAX_MARKS = 1_000
MAX_INTEGER_KEY = 2**60

# fmt: off
_VALUES = frozenset([
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "UNICODE", "BINUNICODE",
    "SHORT_BINUNICODE", "BINUNICODE8",
])
# fmt: on
_SINGLETONS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def printable(text: str, limit: int = 200) -> str:
    """Text from a file, fit to be shown: no control characters, no terminal sequences, not endless."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:limit])


@dataclass(frozen=True)
class Global:
    """A name that the pickle would import."""

    module: str
    name: str

    def __str__(self) -> str:
        return printable(f"{self.module}.{self.name}")


@dataclass(eq=False, repr=False)
class Record:
    """A call that the pickle asks for and that is not made.

    Attributes
    ----------
    function : object
        What would be called, usually a :class:`Global`.
    args, kwargs : object
        Its arguments.
    state : object
        What would be given to ``__setstate__``, or None.
    items, pairs : list
        What would be appended to, or set in, the result.
    """

    function: Any
    args: Any
    kwargs: Any = None
    state: Any = None
    items: list[Any] = field(default_factory=list)
    pairs: list[tuple[Any, Any]] = field(default_factory=list)

    def calls(self, *names: str) -> bool:
        """Whether the function is one of the given dotted names."""
        return isinstance(self.function, Global) and f"{self.function.module}.{self.function.name}" in names

    @property
    def untouched(self) -> bool:
        """Whether the call is all: nothing would be set, appended or given by keyword afterwards."""
        return self.kwargs is None and self.state is None and not self.items and not self.pairs


@dataclass(eq=False, repr=False)
class Persistent:
    """A reference to data outside the pickle (a tensor's storage)."""

    identity: Any


def read_pickle(data: bytes, *, persistent: bool = False) -> Any:
    """Read one pickle inertly.

    Parameters
    ----------
    data : bytes
        One whole pickle of any protocol up to 5.
    persistent : bool
        Whether references to outside data are expected (they are in torch files).

    Returns
    -------
    object
        None, bool, int, float, str, bytes, list (also for sets), tuple, dict, :class:`Global`, :class:`Record`,
        :class:`Persistent`.

    Raises
    ------
    LoadError
        On anything that is not a well-formed pickle within the limits of this module.
    """
    return read_pickle_at(data, 0, persistent=persistent)[0]


def read_pickle_at(data: bytes, start: int, *, persistent: bool = False) -> tuple[Any, int]:
    """Read the pickle that begins at byte `start`; return it and the position behind it."""
    if len(data) > MAX_BYTES:
        raise LoadError(f"A pickle of {len(data)} bytes is over the limit of {MAX_BYTES}.")
    stream = io.BytesIO(data)
    stream.seek(start)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes in old text are not the reader's business
            return _Machine(persistent).run(stream), stream.tell()
    except LoadError:
        raise
    except Exception as error:  # whatever a hostile byte string provokes in the decoder
        raise LoadError(
            f"This is not a readable pickle ({type(error).__name__}).",
            "The file is truncated or damaged: save it again.",
        ) from error


def kind_of(value: Any) -> str:
    """A short word for a recorded value, safe to print."""
    if isinstance(value, Global):
        return str(value)
    if isinstance(value, Record):
        return f"{kind_of(value.function)}(...)" if isinstance(value.function, Global) else "an object"
    return type(value).__name__


class _Machine:
    def __init__(self, persistent: bool) -> None:
        self.persistent = persistent
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def run(self, stream: io.BytesIO) -> Any:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if count >= MAX_OPCODES:
                raise LoadError(f"The pickle has more than {MAX_OPCODES} instructions.")
            if opcode.name == "STOP":
                if len(self.stack) != 1 or self.marked:
                    raise LoadError("The pickle does not end with exactly one object.")
                return self.stack[0]
            self.step(opcode.name, argument)
        raise LoadError("The pickle has no end.")

    def step(self, name: str, argument: Any) -> None:
        if name in _VALUES:
            self.stack.append(bytes(argument) if isinstance(argument, bytearray) else argument)
        elif name in _SINGLETONS:
            self.stack.append(_SINGLETONS[name])
        elif name in _TUPLES:
            self.stack.append(tuple(self.pop(_TUPLES[name])))
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self.stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        else:
            operation = _OPERATIONS.get(name)
            if operation is None:
                raise LoadError(f"The pickle uses {name}, which no policy file needs.", "Do not load it anywhere.")
            operation(self, argument)

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise LoadError("The pickle takes more values than it made.")
        values = self.stack[-count:]
        del self.stack[-count:]
        return values

    def pop_mark(self) -> list[Any]:
        if not self.marked:
            raise LoadError("The pickle closes a group that it never opened.")
        values, self.stack = self.stack, self.marked.pop()
        return values

    def mark(self, _: Any) -> None:
        if len(self.marked) >= MAX_MARKS:
            raise LoadError(f"The pickle is nested deeper than {MAX_MARKS} levels.")
        self.marked.append(self.stack)
        self.stack = []

    def discard(self, _: Any) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.pop_mark()

    def import_name(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self.stack.append(Global(module, name))

    def import_from_stack(self, _: Any) -> None:
        module, name = self.pop(2)
        if not (isinstance(module, str) and isinstance(name, str)):
            raise LoadError("The pickle imports something that is not a name.")
        self.stack.append(Global(module, name))

    def call(self, _: Any) -> None:
        self.stack.append(Record(*self.pop(2)))

    def call_with_keywords(self, _: Any) -> None:
        self.stack.append(Record(*self.pop(3)))

    def call_marked(self, _: Any) -> None:
        function, *args = self.pop_mark()
        self.stack.append(Record(function, tuple(args)))

    def call_named(self, argument: str) -> None:
        args = tuple(self.pop_mark())
        module, _, name = argument.partition(" ")
        self.stack.append(Record(Global(module, name), args))

    def build(self, _: Any) -> None:
        (state,) = self.pop(1)
        target = self.stack[-1]
        if not isinstance(target, Record) or target.state is not None:
            raise LoadError("The pickle sets the state of something that has none, or sets it twice.")
        target.state = state

    def extend(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Record):
            target.items.extend(values)
        elif isinstance(target, list):
            target.extend(values)
        else:
            raise LoadError("The pickle appends to something that is not a list.")

    def update(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if len(values) % 2:
            raise LoadError("The pickle sets a key without a value.")
        pairs = [(_key(key), value) for key, value in zip(values[::2], values[1::2], strict=True)]
        if isinstance(target, Record):
            target.pairs.extend(pairs)
        elif isinstance(target, dict):
            target.update(pairs)
        else:
            raise LoadError("The pickle sets a key in something that is not a dictionary.")

    def refer(self, identity: Any) -> None:
        if not self.persistent:
            raise LoadError(
                "The pickle refers to data outside itself.", "This is not the kind of file it claims to be."
            )
        self.stack.append(Persistent(identity))


def _key(key: Any) -> Any:
    """Keys whose hashes nobody can choose and that hash without recursion."""
    if isinstance(key, int) and abs(key) >= MAX_INTEGER_KEY:
        raise LoadError("The pickle has a dictionary with a huge integer key.")
    if key is None or isinstance(key, str | bytes | int | Global | Record | Persistent):
        return key
    raise LoadError(f"The pickle has a dictionary with a key of type {type(key).__name__}.")


def _pairs(values: list[Any]) -> dict[Any, Any]:
    if len(values) % 2:
        raise LoadError("The pickle sets a key without a value.")
    return {_key(key): value for key, value in zip(values[::2], values[1::2], strict=True)}


_OPERATIONS: dict[str, Any] = {
    "PROTO": lambda machine, _: None,
    "FRAME": lambda machine, _: None,
    "MARK": _Machine.mark,
    "POP": _Machine.discard,
    "POP_MARK": lambda machine, _: machine.pop_mark(),
    "DUP": lambda machine, _: machine.push(machine.stack[-1]),
    "MEMOIZE": lambda machine, _: machine.memo.__setitem__(len(machine.memo), machine.stack[-1]),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_SET": lambda machine, _: machine.push([]),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "LIST": lambda machine, _: machine.push(machine.pop_mark()),
    "FROZENSET": lambda machine, _: machine.push(machine.pop_mark()),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.pop_mark())),
    "DICT": lambda machine, _: machine.push(_pairs(machine.pop_mark())),
    "APPEND": lambda machine, _: machine.extend(machine.pop(1)),
    "APPENDS": lambda machine, _: machine.extend(machine.pop_mark()),
    "ADDITEMS": lambda machine, _: machine.extend(machine.pop_mark()),
    "SETITEM": lambda machine, _: machine.update(machine.pop(2)),
    "SETITEMS": lambda machine, _: machine.update(machine.pop_mark()),
    "GLOBAL": _Machine.import_name,
    "STACK_GLOBAL": _Machine.import_from_stack,
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.call,
    "NEWOBJ_EX": _Machine.call_with_keywords,
    "OBJ": _Machine.call_marked,
    "INST": _Machine.call_named,
    "BUILD": _Machine.build,
    "PERSID": _Machine.refer,
    "BINPERSID": lambda machine, _: machine.refer(machine.pop(1)[0]),
}
