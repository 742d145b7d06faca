"""Mutation testing of the proofs and of the theorem statements: every mutant of a sign, constant, index or rounding
direction should fail a test.

    python benchmarks/mutation.py run [--sample N] [--only PATTERN] [--seed S] RESULTS.jsonl
    python benchmarks/mutation.py again RESULTS.jsonl
    python benchmarks/mutation.py table RESULTS.jsonl DRAWN.jsonl > benchmarks/mutation.md

`again` tries once more those that lived for no stated reason (mutation_reviews.py), after tests were added, and forgets
mutants of lines that are no more: on a copy of what was drawn, which the table reads, too. `run` on that copy then
draws from the lines that are new.

The mutations are those of cosmic-ray (an operator to its opposite, < to <=, a number by one, a sign or a "not" dropped,
and to or, True to False) and one of ours: rounding directions (up and down, inf and -inf, floor and ceil, maximum and
minimum, lower and upper, any and all). cosmic-ray itself starts a test process per mutant; here each mutant is a fork
of a process that has the libraries loaded, which is ten times faster. Only Linux. Needs `pip install cosmic-ray`.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import functools
import importlib
import importlib.abc
import importlib.util
import json
import os
import random
import re
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from typing import Any

from mutation_reviews import REVIEWS

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
    "theorems/sector_region": SECTORS,
    "theorems/disturbed": [T + "test_disturbed.py"],
    "theorems/attained": [T + "test_lipschitz.py"],
    "theorems/rows": [T + "test_loops.py"],
    "theorems/spectral": [T + "test_lipschitz.py"],
    "theorems/lipschitz": [*STATEMENTS, T + "test_lipschitz.py"],
    "theorems/hinf": [*STATEMENTS, T + "test_hinf.py"],
    "theorems/lyapunov": [*STATEMENTS, T + "test_loops.py"],
    "theorems/small_gain": [*STATEMENTS, T + "test_loops.py"],
    "theorems/instability": [T + "test_instability.py", *STATEMENTS, T + "test_loops.py"],
    "theorems/rounding": STATEMENTS,
    "proofs/check": [
        P + "test_check_parts.py",
        P + "test_check.py",
        P + "test_check_layers.py",
        H + "test_statements.py",
    ],
    "proofs/check_cells": [
        *(P + f"test_check_cells_{part}.py" for part in ("forms", "claims", "loops", "sets", "grids")),
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
        P + "test_check_cells_sectors.py",
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
    "theorems/lyapunov": ("region_inputs", "state", "claim", "ellipsoid_volume"),
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

    @property
    def text(self) -> str | None:
        from cosmic_ray.mutating import mutate_code

        return mutate_code(source(self.module), operators()[self.operator](), self.occurrence)


def source(module: str) -> str:
    return (ROOT / "lipctrl" / f"{module}.py").read_text()


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


def mutants(module: str) -> list[Mutant]:
    """All mutants that compile and are not the same program (annotations and docstrings do not count)."""
    from cosmic_ray.ast import ast_nodes, get_ast

    tree, out = get_ast(source(module)), list[Mutant]()
    lines = {
        line
        for node in ast.walk(ast.parse(source(module)))
        if isinstance(node, ast.FunctionDef) and node.name in FUNCTIONS.get(module, ())
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    nodes = list(ast_nodes(tree))
    for name, operator in operators().items():
        places = [place for node in nodes for place in operator().mutation_positions(node)]
        out += [Mutant(module, name, k, place[0][0]) for k, place in enumerate(places)]
    return [mutant for mutant in out if not lines or mutant.line in lines]


def function_at(module: str, line: int) -> str:
    """The innermost function that holds a line; empty at module level."""
    found = [node for node in ast.walk(ast.parse(source(module)))
             if isinstance(node, ast.FunctionDef) and node.lineno <= line <= (node.end_lineno or 0)]  # fmt: skip
    return max(found, key=lambda node: node.lineno).name if found else ""


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
    """Leaves out what is slow, and tries a law on fewer examples."""

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        import hypothesis

        items[:] = [item for item in items if not any(word in item.nodeid for word in SLOW)]
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


def outcome(module: str, text: str | None, tests: list[str], seconds: float) -> tuple[str, float]:
    """Run the tests in a fork: "survived", "killed" or "timeout", and the processor seconds."""
    if text is None:
        return "killed", 0.0
    child = os.fork()
    if child == 0:
        os.setsid()
        null = os.open(os.devnull, os.O_WRONLY)
        if "MUTATION_DEBUG" not in os.environ:
            os.dup2(null, 1)
            os.dup2(null, 2)
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 2))
        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
        code = 1
        try:
            import hypothesis
            import pytest

            hypothesis.settings.register_profile(
                "mutation",
                database=None,
                derandomize=True,
                phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
            )
            hypothesis.settings.load_profile("mutation")
            _Served(module, text).install()
            sys.dont_write_bytecode = text != source(module)
            code = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "--no-header", *tests], plugins=[_Quick()]))
        except BaseException:
            code = 1
        finally:
            os._exit(code)
    began, limit = time.monotonic(), 8 * seconds + 60
    while True:
        done, status, used = os.wait4(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() - began > limit:
            os.killpg(child, signal.SIGKILL)
            _, status, used = os.wait4(child, 0)
            return "timeout", used.ru_utime
        time.sleep(0.02)
    cpu = used.ru_utime + used.ru_stime
    if os.WIFSIGNALED(status):
        return ("timeout" if os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL) else "killed"), cpu
    return ("survived" if os.WEXITSTATUS(status) == 0 else "killed"), cpu


def existing(tests: list[str]) -> list[str]:
    return [test for test in tests if (ROOT / test.split("::")[0]).exists()]


def run(results: Path, sample: int | None, only: str, seed: int) -> None:
    os.chdir(ROOT)
    chosen = [module for module in MODULES if re.search(only, module)]
    preload("proofs/check" in chosen)
    for module in chosen:
        with apart() as own:
            if own:
                load_independent(module)
                _draw(results, module, sample, seed)


def _draw(results: Path, module: str, sample: int | None, seed: int) -> None:
    lines = results.read_text().splitlines() if results.exists() else []
    known = {_change(json.loads(line)) for line in lines}
    tests = existing([*MODULES[module], VALUES])
    verdict, cpu = outcome(module, source(module), tests, 3600)
    if verdict != "survived":
        print(f"{module}: its tests fail without a mutation", flush=True)
        return
    everything = mutants(module)
    drawn = list(everything)
    random.Random(seed).shuffle(drawn)
    original, counts = meaning(source(module)), Counter[str]()
    for mutant in drawn[:sample]:
        text = mutant.text
        changed = None if text is None else meaning(text)
        if changed is None or changed == original:
            continue
        before, after = source(module).splitlines(), str(text).splitlines()
        line = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), mutant.line - 1)
        record = {"mutant": (module, mutant.operator, mutant.occurrence, mutant.line),
                  "function": function_at(module, mutant.line), "kind": mutant.kind, "all": len(everything),
                  "before": before[line].strip(), "after": after[line].strip()}  # fmt: skip
        if _change(record) in known:
            continue
        verdict, used = outcome(module, text, tests, 3 * cpu + 6)
        counts[verdict] += 1
        with results.open("a") as file:
            file.write(json.dumps(record | {"verdict": verdict, "seconds": round(used, 2)}) + "\n")
    print(f"{module}: {dict(counts)} of {len(everything)}, tests {cpu:.1f} s", flush=True)


def _change(record: dict[str, Any]) -> tuple[str, ...]:
    """What tells a mutant from the others, wherever its line has moved."""
    return *record["mutant"][:2], record["function"], record["before"], record["after"]


def again(results: Path, only: str) -> None:
    os.chdir(ROOT)
    records = [json.loads(line) for line in results.read_text().splitlines()]
    drawn = [m for m in MODULES if re.search(only, m) and any(r["mutant"][0] == m for r in records)]
    preload("proofs/check" in drawn)
    for module in drawn:
        with apart() as own:
            if own:
                load_independent(module)
                _again(results, module)


def _again(results: Path, module: str) -> None:
    records = [json.loads(line) for line in results.read_text().splitlines()]
    lines, tests = [line.strip() for line in source(module).splitlines()], existing([*MODULES[module], VALUES])
    living = any(r["mutant"][0] == module and r["verdict"] == "survived" and review(r) == OPEN for r in records)
    cpu = outcome(module, source(module), tests, 3600)[1] if living else 0.0
    everything, kept = mutants(module), list[dict[str, Any]]()
    for done, record in enumerate(records):
        settled = record["verdict"] != "survived" or review(record) != OPEN
        if record["mutant"][0] != module or (record["before"] in lines and settled):
            kept.append(record)
            continue
        for mutant in everything if record["before"] in lines else ():
            if (
                mutant.operator == record["mutant"][1]
                and record["before"] == lines[mutant.line - 1]
                and function_at(module, mutant.line) == record["function"]
            ):
                text = mutant.text or ""
                if [line.strip() for line in text.splitlines()[mutant.line - 1 : mutant.line]] == [record["after"]]:
                    verdict, used = outcome(module, text, tests, 3 * cpu + 6)
                    key = (module, mutant.operator, mutant.occurrence, mutant.line)
                    new = {"mutant": key, "first": "survived", "verdict": verdict, "seconds": round(used, 2)}
                    kept.append(record | new)
                    break
        rest = kept + records[done + 1 :]
        results.write_text("".join(json.dumps(r) + "\n" for r in rest))


OPEN = "**open**: no test tells it from the original"


def review(record: dict[str, Any]) -> str:
    place = f"{record['mutant'][0]} {record.get('function', '')}"
    change = " -> ".join(changed(record["before"], record["after"]))
    return next(
        (why for where, line, what, why in REVIEWS if re.search(where, place) and re.search(line, record["before"])
         and re.fullmatch(what, change)), OPEN
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
    first, now = ([json.loads(line) for line in path.read_text().splitlines()] for path in (drawn, results))
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
    sizes = {m: next(r["all"] for r in [*now, *first] if r["mutant"][0] == m) for m in modules}
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
    lines.append(row("**all**", first, now, str(sum(sizes.values()))))
    for kind in KINDS:
        lines.append(row(kind, *([r for r in part if r["kind"] == kind] for part in (first, now)), ""))
    lines += ["", "## The living", "", "| module | function | line | change | why |", "|---|---|---|---|---|"]
    living = sorted((r for r in now if r["verdict"] == "survived"), key=lambda r: (r["mutant"][0], r["mutant"][3]))
    for r in living:
        line, old, new = (text.replace("|", "\\|") for text in (r["before"], *changed(r["before"], r["after"])))
        lines.append(f"| {r['mutant'][0]} | {r['function']} | `{line}` | `{old}` to `{new}` | {review(r)} |")
    return "\n".join(lines) + "\n"


TABLE_HEAD = """# Mutants of the proofs and of the theorem statements

Written by `python benchmarks/mutation.py table NOW.jsonl DRAWN.jsonl`. Of each module all mutants or a sample drawn by
lot were tried against the tests that belong to it, slow ones left out: what only they would kill counts as alive; of
modules with a search in them, the functions that state or prove. "Drawn" and "dead then": before tests were written
against the survivors (of equilibria, deviations, sector_region and the writers of certificates tests had been added
just before). "Tried now": the same lot after that, without those whose lines are gone, and mutants of the new lines of
small modules. Every living one was looked at, with the rule that calls it harmless (mutation_reviews.py): the program
with the change is as sound as the one without. Not part of this: intervals, networks, plants and solvers."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=("run", "again", "table"))
    parser.add_argument("results", type=Path)
    parser.add_argument("drawn", type=Path, nargs="?")
    parser.add_argument("--sample", type=int, default=None)
    parser.add_argument("--only", default="")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.command == "run":
        run(given.results, given.sample, given.only, given.seed)
    elif given.command == "again":
        again(given.results, given.only)
    else:
        print(table(given.results, given.drawn or given.results), end="")


if __name__ == "__main__":
    main()
