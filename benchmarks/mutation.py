"""Mutation testing of the proofs and of the theorem statements: every mutant of a sign, constant, index or rounding
direction should fail a test.

    python benchmarks/mutation.py run [--sample N] [--only PATTERN] [--seed S] [--within SECONDS] RESULTS.jsonl
    python benchmarks/mutation.py again RESULTS.jsonl
    python benchmarks/mutation.py table RESULTS.jsonl DRAWN.jsonl > benchmarks/mutation.md

`again` tries once more those that lived for no stated reason (mutation_reviews.py), after tests were added, and forgets
mutants of lines that are no more: on a copy of what was drawn, which the table reads, too. `run` on that copy does so,
too, and draws from the lines that are new. Of the records of a mutant the last counts.

The mutations are those of cosmic-ray (an operator to its opposite, < to <=, a number by one, a sign or a "not" dropped,
and to or, True to False) and one of ours: rounding directions (up and down, inf and -inf, floor and ceil, maximum and
minimum, lower and upper, any and all). cosmic-ray itself starts a test process per mutant; here each mutant is a fork
of one that has collected the tests (mutation_session.py), which is a hundred times faster. Only Linux.
Needs `pip install cosmic-ray`.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import functools
import importlib
import importlib.abc
import importlib.util
import itertools
import json
import math
import os
import random
import re
import resource
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any

from mutation_reviews import REVIEWS
from mutation_session import Session, fork, quiet

ROOT = Path(__file__).resolve().parents[1]
P, T, M, H = "tests/proofs/", "tests/theorems/", "tests/lmi/", "tests/hunt/"
STATEMENTS = [H + "test_statements.py", H + "test_verify.py"]
SECTORS = [
    T + f"test_sector_region.py::{name}"
    for name in (
        "test_channels_hold_along_true_steps_and_the_rows_give_them",
        "test_narrow_sectors_cost_nothing",
        "test_a_sector_that_is_too_narrow_is_refused",
        "test_other_wrong_certificates_are_refused",
        "test_none_where_the_equilibrium_does_not_attract",
        "test_the_inequality_is_the_fall_of_v_and_what_the_sectors_give",
        "test_the_ellipsoid_lies_in_the_level_of_v_about_every_equilibrium",
    )
]
DISTURBED = [
    T + f"test_disturbed.py::{name}"
    for name in (
        "test_the_radius_of_the_final_ball_in_fractions",
        "test_the_push_alone_is_rounded_up",
        "test_the_roundings_of_p_count_where_the_push_cancels",
        "test_errors_of_float32_are_added_to_those_of_the_action",
        "test_bounds_by_tails_are_used_where_they_are_better",
        "test_the_float32_evaluation_stays_within_the_bound_of_the_region",
        "test_random_networks_stay_within_the_bound_by_tails",
        "test_the_checker_proves_the_tails",
    )
]
VALUES = "tests/test_values.py"
"""Of every module, last."""
#: module -> the tests that should kill its mutants, fast ones first
MODULES: dict[str, list[str]] = {
    "proofs/definiteness": [P + "test_definiteness.py"],
    "proofs/verify": [P + "test_verify.py", *STATEMENTS, M + "test_last_layer.py"],
    "proofs/chordal": [P + "test_chordal.py", *STATEMENTS],
    "proofs/equilibrium": [P + "test_equilibrium.py"],
    "proofs/equilibria": [P + "test_equilibria.py"],
    "proofs/rest_states": [P + "test_rest_states.py"],
    "proofs/certificate": [P + "test_certificate.py"],
    "proofs/checking": [P + "test_checking.py"],
    "proofs/region_certificate": [P + "test_region_certificate.py"],
    "proofs/levels_certificate": [P + "test_region_certificate.py"],
    "proofs/ellipsoid": [P + "test_ellipsoid.py", H + "test_geometry.py"],
    "proofs/closed_loop": [P + "test_closed_loop.py", H + "test_geometry.py"],
    "proofs/core": [P + "test_core.py", H + "test_geometry.py"],
    "proofs/decrease": [P + "test_decrease.py", H + "test_geometry.py"],
    "proofs/grid": [
        P + "test_grid.py",
        P + "test_cells.py::test_covers_finds_every_unmarked_cell",
        H + "test_geometry.py",
    ],
    "proofs/cells": [P + "test_certified_set.py", P + "test_cells.py"],
    "lmi/lmi": [M + "test_lmi.py", *STATEMENTS],
    "lmi/multipliers": STATEMENTS,
    "lmi/last_layer": [M + "test_last_layer.py", *STATEMENTS],
    "lmi/blocks": [
        M + "test_blocks.py",
        M + "test_lmi.py",
        P + "test_chordal.py",
        M + "test_last_layer.py",
        *STATEMENTS,
    ],
    "lmi/deviations": [M + "test_deviations.py", *SECTORS],
    "theorems/sector_region": [T + "test_sector_search.py", *SECTORS],
    "theorems/disturbed": DISTURBED,
    "theorems/attained": [T + "test_lipschitz.py"],
    "theorems/rows": [*STATEMENTS, T + "test_loops.py"],
    "theorems/spectral": [T + "test_lipschitz.py"],
    "theorems/lipschitz": [*STATEMENTS, T + "test_lipschitz.py"],
    "theorems/hinf": [*STATEMENTS, T + "test_hinf.py"],
    "theorems/lyapunov": [T + "test_lyapunov.py", *STATEMENTS, T + "test_loops.py"],
    "theorems/small_gain": [*STATEMENTS, T + "test_loops.py"],
    "theorems/instability": [T + "test_instability.py", *STATEMENTS, T + "test_loops.py"],
    "theorems/rounding": STATEMENTS,
    "proofs/check": [
        *(
            P + f"test_check_{part}.py"
            for part in ("numbers", "enclosures", "forms", "assembly", "float32", "reading", "theorems", "claims")
        ),
        P + "test_check.py",
        P + "test_check_layers.py",
        H + "test_statements.py",
    ],
    "proofs/check_cells": [
        *(P + path.name for path in sorted((ROOT / P).glob("test_check_cells_*.py"))),
        *(
            P + f"test_check_cells.py::{name}"
            for name in (
                "test_layers_enclose",
                "test_forms_enclose_functions_and_their_derivatives",
                "test_smooth_layers_bound_values_slopes_and_lines",
                "test_turns_are_counted_as_angles_are",
                "test_the_normal_distribution_function_of_the_checker",
            )
        ),
        *SECTORS[2:4],
    ],
}
#: tests left out here, because they take seconds: a mutant that only they would kill counts as alive
SLOW = ("published", "test_a_larger_region", "test_neuron_below", "test_trajectories_from", "test_region_of_local",
        "test_unstable_loops", "test_every_number_corrupted[lipschitz-mixed", "test_large_networks",
        "test_continuous_time",
        "pendulum", "cart", "test_random_networks_are_solved", "test_bound_is_above", "test_a_wide", "test_agrees_with",
        "test_largest_ellipsoid", "test_invariance", "test_bounds_and_newton", "test_no_false_proofs_near_singular",
        "test_a_plant_on_the_stability_limit", "test_states_of_the_cells", "test_every_statement",
        "test_uncertainty")  # fmt: skip
WORD = r"\d[\d.]*(?:e-?\d+)?|\w+|\*\*|//|<<|>>|[<>=!]=|->|\S"
ROOMS = ("intervals", "networks", "plants", "lmi", "proofs", "theorems")
EXAMPLES = 20
"""Most examples of a law that are tried."""
#: where a module is more than statements, the functions that state or prove
FUNCTIONS = {
    "theorems/lipschitz": ("state", "claim", "box_region"),
    "theorems/hinf": ("shifted_dynamics", "storage_terms", "state", "claim"),
    "theorems/lyapunov": ("region_inputs", "state", "claim", "ellipsoid_volume", "half_widths", "_bordered"),
    "theorems/small_gain": ("succeeds", "product", "_combine", "_largest_level", "claim"),
    "theorems/instability": ("jacobian_enclosure", "refute", "claim"),
    "theorems/sector_region": ("state", "find_sector_region", "stated", "_inside", "_wide", "_blocks"),
    "theorems/disturbed": ("_final", "rounding_error", "claim"),
    "theorems/attained": ("slope_lower",),
    "theorems/rows": ("proved_decay",),
}
KINDS = {
    "sign": ("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "Pow_Mul", "USub_UAdd", "Delete_Invert", "RShift_LShift",
             "LShift_RShift", "FloorDiv_Mul", "Mod_Mul"),
    "constant or index": ("NumberReplacer",),
    "comparison": ("Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt", "Lt_Gt", "Gt_Lt", "LtE_GtE", "GtE_LtE", "Eq_NotEq",
                   "NotEq_Eq", "IsNot_Is", "Is_IsNot"),
    "logic": ("BitAnd_BitOr", "BitOr_BitAnd", "Delete_Not", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue",
              "ReplaceAndWithOr", "ReplaceOrWithAnd"),
    "rounding direction": ("Direction",),
}  # fmt: skip
PAIRS = [("up", "down"), ("_up", "_down"), ("floor", "ceil"), ("maximum", "minimum"), ("fmax", "fmin"),
         ("max", "min"), ("lower", "upper"), ("lo", "hi"), ("low", "high"), ("any", "all"),
         ("ROUND_FLOOR", "ROUND_CEILING")]  # fmt: skip
SWAP = {a: b for pair in PAIRS for a, b in (pair, pair[::-1])}


@dataclass(frozen=True)
class Mutant:
    """One change of one module; `occurrence` counts the places where the operator applies."""

    module: str
    operator: str
    occurrence: int
    line: int

    @property
    def kind(self) -> str:
        return next(kind for kind, names in KINDS.items() if any(self.operator.endswith(name) for name in names))


@dataclass(frozen=True)
class Place:
    """A mutant, and the node of the parsed module that it changes; `top` is the statement of the module around it."""

    mutant: Mutant
    node: Any
    index: int
    top: Any

    def change(self) -> None:
        """Of the parsed module: where it is changed once, in a fork."""
        new = operators()[self.mutant.operator]().mutate(self.node, self.index)
        if new is not self.node:
            siblings = self.node.parent.children
            siblings[siblings.index(self.node) : siblings.index(self.node) + 1] = [] if new is None else [new]

    @property
    def text(self) -> str:
        return str(self.top.get_code(include_prefix=False))

    def code(self) -> CodeType:
        """Of the statement, after the imports of its module, which tell how calls are compiled."""
        path = ROOT / "lipctrl" / f"{self.mutant.module}.py"
        own = ast.parse("\n" * (self.top.start_pos[0] - 1) + self.text).body
        body = [node for node in parsed(self.mutant.module).body if isinstance(node, ast.Import | ast.ImportFrom)]
        return compile(ast.Module(body + own, []), str(path), "exec", dont_inherit=True)


@functools.cache
def source(module: str) -> str:
    return (ROOT / "lipctrl" / f"{module}.py").read_text()


@functools.cache
def parsed(module: str) -> ast.Module:
    return ast.parse(source(module))


@functools.cache
def operators() -> dict[str, Any]:
    from cosmic_ray.operators.operator import Operator
    from cosmic_ray.operators.provider import OperatorProvider

    class Direction(Operator):
        """Rounding and order the other way."""

        def mutation_positions(self, node: Any) -> Iterator[Any]:
            if node.type == "name" and (node.value in SWAP or node.value == "inf"):
                yield node.start_pos, node.end_pos

        def mutate(self, node: Any, index: int) -> Any:
            if node.value == "inf":
                owner = node.parent.parent  # np.inf: the sign goes in front of the whole
                first = owner.get_first_leaf() if owner.type in ("power", "atom_expr") else node
                first.value = "-" + first.value
            else:
                node.value = SWAP[node.value]
            return node

        @classmethod
        def examples(cls) -> tuple[()]:
            return ()

    provider = OperatorProvider()
    wanted = [name for names in KINDS.values() for name in names]
    found = {name: provider[name] for name in provider if any(name.endswith(end) for end in wanted)}
    return {**found, "Direction": Direction}


def places(module: str) -> list[Place]:
    """All mutants, and where they are."""
    from cosmic_ray.ast import ast_nodes, get_ast

    out = list[Place]()
    lines = {
        line
        for node in ast.walk(parsed(module))
        if isinstance(node, ast.FunctionDef) and node.name in FUNCTIONS.get(module, ())
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    nodes = [(node, top) for top in get_ast(source(module)).children for node in ast_nodes(top)]
    for name, operator in operators().items():
        count = itertools.count()
        for node, top in nodes:
            for index, place in enumerate(operator().mutation_positions(node)):
                out.append(Place(Mutant(module, name, next(count), place[0][0]), node, index, top))
    return [place for place in out if not lines or place.mutant.line in lines]


@functools.cache
def _functions(module: str) -> list[tuple[int, int, str]]:
    found = (node for node in ast.walk(parsed(module)) if isinstance(node, ast.FunctionDef))
    return sorted((node.lineno, node.end_lineno or node.lineno, node.name) for node in found)


def function_at(module: str, line: int) -> str:
    """The innermost function that holds a line; empty at module level."""
    return next((name for first, last, name in reversed(_functions(module)) if first <= line <= last), "")


def meaning(text: str) -> str | None:
    """The program without annotations and docstrings; None if it is none."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        if isinstance(node, ast.arg):
            node.annotation = None
        if isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
        if hasattr(node, "body") and isinstance(node.body, list):
            node.body = [
                part for part in node.body if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))
            ]
    return ast.dump(tree)


class _Served(importlib.abc.MetaPathFinder):
    """Imports one module from the given text."""

    def __init__(self, module: str, text: str) -> None:
        self.name, self.text = "lipctrl." + module.replace("/", "."), text
        self.path = str(ROOT / "lipctrl" / f"{module}.py")

    def install(self) -> None:
        """For imports by name and for those by file."""
        by_file = importlib.util.spec_from_file_location

        def served(name: str, location: Any = None, **options: Any) -> ModuleSpec | None:
            return (
                self._spec(name) if str(location) == self.path and not options else by_file(name, location, **options)
            )

        importlib.util.spec_from_file_location = served  # type: ignore[assignment]
        self._by_file = by_file
        sys.meta_path.insert(0, self)

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        return self._spec(fullname) if fullname == self.name else None

    def _spec(self, name: str) -> ModuleSpec | None:
        text, file = self.text, self.path

        class Loader(SourceFileLoader):
            def get_code(self, fullname: str) -> Any:
                return compile(text, file, "exec", dont_inherit=True)

        return self._by_file(name, file, loader=Loader(name, file))


class _Quick:
    """Leaves out what is slow or not among `names`, and tries a law on fewer examples."""

    def __init__(self, names: list[str] | None = None) -> None:
        self.names = names

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        import hypothesis

        items[:] = [item for item in items if not any(word in item.nodeid for word in SLOW)]
        if self.names is not None:
            items[:] = sorted((i for i in items if i.nodeid in self.names), key=lambda i: self.names.index(i.nodeid))
        for item in items:
            law = getattr(item.obj, "hypothesis", None)
            given = getattr(item.obj, "_hypothesis_internal_use_settings", None)
            if law is not None and given is not None and given.max_examples > EXAMPLES:
                item.obj._hypothesis_internal_use_settings = hypothesis.settings(given, max_examples=EXAMPLES)


def preload(certificates: bool = True) -> None:
    """What every mutant shares."""
    from _pytest.config import default_plugins as essential_plugins

    for name in ("numpy", "scipy.linalg", "scipy.special", "scipy.optimize", "cvxpy", "control", "gymnasium", "flint",
                 "hypothesis", "pytest", "json", "gzip", "_hypothesis_pytestplugin",
                 *(f"_pytest.{name}" for name in essential_plugins)):  # fmt: skip
        importlib.import_module(name)
    sys.path.insert(0, str(ROOT / "tests/proofs"))
    if not certificates:
        return
    import make_certificates  # uses no line of lipctrl

    make_certificates.all_certificates = functools.cache(make_certificates.all_certificates)
    make_certificates.all_certificates()


@functools.cache
def imports(path: Path) -> frozenset[Path]:
    """The files of lipctrl that one of them names in an import, anywhere in its text."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    files = (ROOT / name.replace(".", "/") for name in found if name.startswith("lipctrl."))
    return frozenset(file / "__init__.py" if file.is_dir() else file.with_suffix(".py") for file in files)


def load_independent(module: str) -> None:
    """Load what is the same whatever `module` is, because it does not come to import it."""
    every = {path for room in ROOMS for path in (ROOT / "lipctrl" / room).rglob("*.py")}
    dependent, size = {ROOT / "lipctrl" / f"{module}.py"}, 0
    while size < len(dependent):
        size = len(dependent)
        dependent |= {path for path in every if imports(path) & dependent}
    for path in sorted(every - dependent):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    if "lipctrl." + module.replace("/", ".") in sys.modules:
        raise SystemExit(f"{module} was loaded before it was changed.")


@contextlib.contextmanager
def apart() -> Iterator[bool]:
    """A fork in which the body runs (true); the parent, in which it should not (false), waits for it."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            yield True
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    yield False
    os.waitpid(child, 0)


def pytest_of(tests: list[str], *plugins: Any) -> int:
    import hypothesis
    import pytest

    hypothesis.settings.register_profile(
        "mutation", database=None, derandomize=True, phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate]
    )
    hypothesis.settings.load_profile("mutation")
    options = [
        "-x",
        "-qq",
        "-s",
        "--tb=no",
        "--assert=plain",
        "--disable-warnings",
        "--no-header",
        "-p",
        "no:cacheprovider",
    ]
    return int(pytest.main([*options, *tests], plugins=[*plugins]))


def fresh(module: str, text: str, names: list[str], seconds: float) -> tuple[str, float]:
    """These tests with the text, which is imported in a fork: "survived", "killed" or "timeout"; processor seconds."""

    def work(send: Any) -> None:
        quiet()
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 2))
        _Served(module, text).install()
        sys.dont_write_bytecode = True
        files = dict.fromkeys(name.split("::")[0] for name in names)
        send(pytest_of([*files], _Quick(names)))

    sent, status, cpu = fork(work)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL):
        return "timeout", cpu
    return ("survived" if sent == [0] else "killed"), cpu


def load(results: Path) -> dict[tuple[str, ...], dict[str, Any]]:
    """The records; of a mutant the last."""
    lines = results.read_text().splitlines() if results.exists() else []
    return {_change(record): record for record in map(json.loads, lines)}


def run(results: Path, sample: int | None, only: str, seed: int, again: bool, within: float) -> None:
    os.chdir(ROOT)
    chosen = [module for module in MODULES if re.search(only, module)]
    if results.exists():
        lines = {(module, function_at(module, number), line.strip())
                 for module in MODULES for number, line in enumerate(source(module).splitlines(), 1)}  # fmt: skip
        records = [r for r in load(results).values() if (r["mutant"][0], r["function"], r["before"]) in lines]
        results.write_text("".join(json.dumps(r) + "\n" for r in records))
    if again:
        chosen = [m for m in chosen if any(r["mutant"][0] == m and _open(r) for r in records)]
    preload("proofs/check" in chosen)
    for module in chosen:
        with apart() as own:
            if own:
                load_independent(module)
                _try(results, module, sample, seed, again, within)


def _try(results: Path, module: str, sample: int | None, seed: int, again: bool, within: float) -> None:
    tests = [test for test in [*MODULES[module], VALUES] if (ROOT / test.split("::")[0]).exists()]
    known = load(results)
    everything = places(module)
    if again:
        asked = {(*key[:3],) for key, record in known.items() if _open(record)}
        drawn = [p for p in everything if (module, p.mutant.operator, function_at(module, p.mutant.line)) in asked]
    else:
        drawn = list(everything)
        random.Random(seed).shuffle(drawn)
        drawn = drawn[:sample]
    counts = Counter[str]()

    def keep(record: dict[str, Any], verdict: str, used: float) -> None:
        counts[verdict] += 1
        first = {"first": "survived"} if _change(record) in known else {}
        record = {name: value for name, value in record.items() if name != "text"}
        with results.open("a") as file:
            file.write(json.dumps(record | first | {"verdict": verdict, "seconds": round(used, 2)}) + "\n")

    def mutate(session: Session, place: Place, send: Any) -> bool:
        """In a fork: send the record, or None if it is not wanted, and swap the code in."""
        mutant, text, old, first = place.mutant, place.text, place.code(), place.top.start_pos[0] - 1
        place.change()
        before, after, lines = text.splitlines(), place.text.splitlines(), source(module).splitlines()
        line = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), 0)
        served = "\n".join(lines[:first] + after + lines[first + len(before) :])
        record = {"mutant": (module, mutant.operator, mutant.occurrence, mutant.line),
                  "function": function_at(module, mutant.line), "kind": mutant.kind, "all": len(everything),
                  "before": before[line].strip(), "after": after[line].strip(), "text": served}  # fmt: skip
        changed = meaning(place.text)
        key = _change(record)
        wanted = _open(known[key]) if key in known else not again
        if not wanted or changed is None or changed == meaning(text):
            send(None)
            os._exit(0)
        send(record)
        _Served(module, served).install()
        return session.swap(old, place.code())

    def work(send: Any) -> None:
        def of(session: Session) -> None:
            every = session.within_time(range(len(session.items)))
            send(([session.items[k].nodeid for k in every], sum(session.seconds[k] for k in every)))
            if session.failed or not session.items:
                print(f"{module}: its tests fail without a mutation: {session.failed}", flush=True)
                return
            for place in drawn:
                record, verdict, used = session.verdict(place.mutant.line, functools.partial(mutate, session, place))
                if verdict == "import":
                    send(record)
                elif record is not None:
                    keep(record, verdict, used)
            print(f"{module}: {dict(counts)} of {len(everything)}, tests {sum(session.seconds):.1f} s", flush=True)

        pytest_of(tests, _Quick(), Session(ROOT / "lipctrl" / f"{module}.py", source(module), of, within))

    ((names, seconds), *imported), _, _ = fork(work)
    for record in imported:
        keep(record, *fresh(module, record["text"], names, 3 * seconds + 6))
    print(f"{module}: of what its import runs {dict(counts)}", flush=True)


def _open(record: dict[str, Any]) -> bool:
    return record["verdict"] == "survived" and review(record) == OPEN


def _change(record: dict[str, Any]) -> tuple[str, ...]:
    """What tells a mutant from the others, wherever its line has moved."""
    return *record["mutant"][:2], record["function"], record["before"], record["after"]


OPEN = "**open**: no test tells it from the original"


def review(record: dict[str, Any]) -> str:
    place = f"{record['mutant'][0]} {record.get('function', '')}"
    change = " -> ".join(changed(record["before"], record["after"]))
    lines = record["before"], f"{record['before']} => {record['after']}"
    return next(
        (why for where, line, what, why in REVIEWS if re.search(where, place) and re.fullmatch(what, change)
         and any(re.search(line, text) for text in lines)), OPEN
    )  # fmt: skip


def changed(before: str, after: str) -> tuple[str, str]:
    """The parts of the line that differ."""
    old, new = ([*re.findall(WORD, text)] for text in (before, after))
    while old and new and old[-1] == new[-1]:
        old, new = old[:-1], new[:-1]
    while old and new and old[0] == new[0]:
        old, new = old[1:], new[1:]
    return " ".join(old), " ".join(new)


def table(results: Path, drawn: Path) -> str:
    """The report in Markdown: as the mutants were drawn, and after tests were added."""
    first, now = ([*load(path).values()] for path in (drawn, results))
    modules = [name for name in MODULES if any(r["mutant"][0] == name for r in first)]

    def row(name: str, then: list[dict[str, Any]], own: list[dict[str, Any]], everything: str) -> str:
        alive = [r for r in own if r["verdict"] == "survived"]
        dead, left = len(own) - len(alive), sum(review(r) == OPEN for r in alive)
        before = sum(r["verdict"] != "survived" for r in then)
        return (
            f"| {name} | {everything} | {len(then)} | {100 * before / len(then):.0f} % | {len(own)} | {dead} | "
            f"{sum(r['verdict'] == 'timeout' for r in own)} | {len(alive)} | {100 * dead / len(own):.0f} % | "
            f"{len(alive) - left} | {left} | {100 * dead / max(dead + left, 1):.1f} % |"
        )

    untried = ", ".join(name for name in MODULES if name not in modules)
    sizes = {r["mutant"][0]: r["all"] for r in [*first, *now]}
    lines = [
        *TABLE_HEAD.splitlines(),
        *([f"Not tried yet: {untried}."] if untried else []),
        "",
        "| | mutants | drawn | dead then | tried now | dead | of these too long | alive | dead | harmless | open "
        "| dead of those not harmless |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    of = {name: [[r for r in part if r["mutant"][0] == name] for part in (first, now)] for name in modules}
    lines += [row(name, *of[name], str(sizes[name])) for name in modules]
    lines.append(row("**all**", first, now, str(sum(sizes[name] for name in modules))))
    for kind in KINDS:
        lines.append(row(kind, *([r for r in part if r["kind"] == kind] for part in (first, now)), ""))
    lines += ["", "## The living", "", "| module | function | line | change | why |", "|---|---|---|---|---|"]
    living = sorted((r for r in now if r["verdict"] == "survived"), key=lambda r: (r["mutant"][0], r["mutant"][3]))
    for r in living:
        line, old, new = (text.replace("|", "\\|") for text in (r["before"], *changed(r["before"], r["after"])))
        lines.append(f"| {r['mutant'][0]} | {r['function']} | `{line}` | `{old}` to `{new}` | {review(r)} |")
    return "\n".join(lines) + "\n"


TABLE_HEAD = """# Mutants of the proofs and of the theorem statements

Written by `python benchmarks/mutation.py table NOW.jsonl DRAWN.jsonl`. The mutants of each module were tried against
those of its tests that run the line, or some of these, slow ones left out: what only they would kill counts as alive;
of modules with a search in them, the functions that state or prove. A mutant is told from others by its line, so that
equal changes of equal lines of one function count once, and one that changes annotations alone is none. "Drawn" and
"dead then": those tried before tests were written against the survivors of their lot (of equilibria, deviations,
sector_region, disturbed and the writers of certificates tests had been added just before; of check_cells, drawn in
lots, against those of the lots before; of rows by tests of something else). "Tried now": these with today's tests,
without those whose lines are gone, and all that were tried later (nine tenths of proofs/check, and new lines). A rule
(mutation_reviews.py) calls harmless what was looked at: the program with the change is as sound as the one without.
What no rule names is open. Not part of this: intervals, networks, plants and solvers."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=("run", "again", "table"))
    parser.add_argument("results", type=Path)
    parser.add_argument("drawn", type=Path, nargs="?")
    parser.add_argument("--sample", type=int, default=None)
    parser.add_argument("--only", default="")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--within", type=float, default=math.inf, help="of tests for each mutant")
    given = parser.parse_args()
    if given.command != "table":
        run(given.results, given.sample, given.only, given.seed, given.command == "again", given.within)
    else:
        print(table(given.results, given.drawn or given.results), end="")


if __name__ == "__main__":
    main()
