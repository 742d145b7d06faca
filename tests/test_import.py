"""`import lipctrl` is light, its names are those that are promised, and the arrows between rooms point one way."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import lipctrl

ROOT = Path(__file__).parents[1]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command with the repository on the path."""
    return subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False
    )


def loaded_by(code: str) -> set[str]:
    """Top-level packages in memory after `code` ran in a fresh interpreter."""
    done = run(sys.executable, "-c", f"import sys\n{code}\nprint(*{{name.split('.')[0] for name in sys.modules}})")
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


HEAVY = {"torch", "stable_baselines3", "cvxpy", "matplotlib", "gymnasium", "control", "scipy", "typer", "rich"}


def test_import_is_light() -> None:
    assert not loaded_by("import lipctrl; dir(lipctrl)") & (HEAVY | {"numpy"})


def test_loading_needs_no_training_or_optimisation_library() -> None:
    loaded = loaded_by("import lipctrl; lipctrl.load_policy('policies/pendulum-ppo')")
    assert "numpy" in loaded
    assert not loaded & (HEAVY - {"scipy"})


def test_the_parser_of_the_command_line_is_light() -> None:
    assert not loaded_by("import lipctrl.tools.cli") & (HEAVY - {"typer", "rich"})


@pytest.mark.parametrize("name", lipctrl.__all__)
def test_public_names_resolve_and_are_listed(name: str) -> None:
    assert getattr(lipctrl, name).__name__ == name
    assert name in dir(lipctrl)


def test_unknown_names_raise() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = lipctrl.no_such_name  # type: ignore[attr-defined]


def test_no_module_shadows_a_public_name() -> None:
    modules = {path.stem for path in (ROOT / "lipctrl").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert not modules & set(lipctrl.__all__)


def test_version_is_that_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert lipctrl.__version__ == project["version"]


def test_arrows_point_one_way() -> None:
    pytest.importorskip("importlinter")
    done = run(sys.executable, "-c", "from importlinter.cli import lint_imports_command as lint; lint()")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


FOREIGN = {
    "torch": ("tools/callback.py",),
    "stable_baselines3": ("tools/callback.py",),
    "gymnasium": ("plants/",),
    "cvxpy": ("lmi/solvers/cvxpy.py",),
    "matplotlib": ("tools/plot.py", "tools/plot_domain.py", "tools/reasons.py"),
}


@pytest.mark.parametrize("guest", FOREIGN)
def test_heavy_guests_stay_in_their_room(guest: str) -> None:
    package = ROOT / "lipctrl"
    for path in package.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if re.search(rf"^\s*(import|from) {guest}\b", text, re.MULTILINE):
            assert path.relative_to(package).as_posix().startswith(FOREIGN[guest]), path
