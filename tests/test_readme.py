"""What the README shows works: its Python runs in order, and so do its `lipctrl` lines."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import lipctrl
from lipctrl.tools.cli import app
from lipctrl.tools.failures import EXIT_CODES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """The `lipctrl` lines of all shell blocks, each once; the installation in front of one is not run here."""
    lines = [line.partition(" && ")[2] or line for block in blocks("sh") for line in block.splitlines()]
    return list(dict.fromkeys(line for line in lines if line.startswith("lipctrl ")))


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that has the policies of the checkout, and takes what the commands write."""
    (tmp_path / "policies").symlink_to(ROOT / "policies")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def short_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few seconds for each search: regions are smaller or not found then, everything else is as shown."""
    certify = lipctrl.certify

    def quick(*arguments: Any, **keywords: Any) -> Any:
        return certify(*arguments, **(keywords | {"time_limit": 2.5}))

    monkeypatch.setattr(lipctrl, "certify", quick)


def test_the_two_commands_stand_there() -> None:
    for command in (
        "pip install -c constraints.txt . && lipctrl certify policies/pendulum-ppo --env Pendulum-v1",
        'pip install -c constraints.txt -e ".[test]" && pytest',
    ):
        assert f"\n{command}\n" in README


def test_python_blocks_run(checkout: Path) -> None:
    names: dict[str, Any] = {}
    assert len(blocks("python")) >= 3
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)


def test_shell_lines_run(checkout: Path) -> None:
    assert len(commands()) >= 5
    for command in commands():
        result = CliRunner().invoke(app, shlex.split(command)[1:])
        allowed = (0, 1) if " certify " in command else (0,)
        assert result.exit_code in allowed, command + "\n" + result.output


def test_exit_codes_are_those_of_the_command() -> None:
    table = dict(re.findall(r"^\| (\d+) \| (\w+)", README, re.MULTILINE))
    assert {str(code): verdict.name.lower() for verdict, code in EXIT_CODES.items()}.items() <= table.items()


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_examples_run(path: Path, checkout: Path) -> None:
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), {"__name__": "__main__"})
