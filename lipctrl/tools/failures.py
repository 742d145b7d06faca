"""Exit codes, and every failure as one typed message: no traceback reaches a user.

| code | meaning                                             |
|------|-----------------------------------------------------|
| 0    | certified; for inspect, bound, check: done, accepted |
| 1    | inconclusive; for check: rejected                   |
| 2    | usage or input error                                |
| 3    | refuted                                             |
| 130  | interrupted                                         |
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

from lipctrl.errors import LipctrlError
from lipctrl.results import Verdict

EXIT_CODES = {Verdict.CERTIFIED: 0, Verdict.INCONCLUSIVE: 1, Verdict.REFUTED: 3}
REJECTED = 1
WRONG_INPUT = 2
INTERRUPTED = 130


class Interrupted(Exception):
    """Ctrl-C, as an exception that the command line's parser lets pass."""


class Commands(TyperGroup):
    """The group of commands: turns exceptions into messages and exit codes."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted from None

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        arguments = list(sys.argv[1:] if args is None else args)
        try:
            code = super().main(arguments, prog_name, complete_var, standalone_mode=False, **extra) or 0
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 0
        except Exception as error:
            if os.environ.get("LIPCTRL_DEBUG"):
                raise
            code = INTERRUPTED if isinstance(error, Interrupted) else WRONG_INPUT
            show(describe(error), "--json" in arguments)
        if standalone_mode:
            sys.exit(code)
        return code


def describe(error: Exception) -> dict[str, str]:
    """Type, message and advice of any exception."""
    if isinstance(error, LipctrlError):
        return {"type": type(error).__name__, "message": error.message, "advice": as_options(error.advice)}
    if isinstance(error, Interrupted):
        return {"type": "Interrupted", "message": "Interrupted before the end.", "advice": "Nothing was written."}
    if hasattr(error, "format_message"):  # the parser's own exceptions, whichever library provides them
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "lipctrl"
        message, advice = error.format_message(), f"See '{command} --help'."
        if re.fullmatch(r"Option '--(box|region)' requires 2 arguments\.", message):
            advice = "Give LOW and HIGH, two lists with a space between, such as -3,-8 3,8. " + advice
        return {"type": "UsageError", "message": message, "advice": advice}
    return {
        "type": "InternalError",
        "message": f"{type(error).__name__}: {error}",
        "advice": "This is a fault of lipctrl, not of your input. Please report it with the command and its input; "
        "LIPCTRL_DEBUG=1 shows where it happened.",
    }


def as_options(advice: str) -> str:
    """Advice that names keywords of the Python functions, in terms of the command's options."""
    for keyword, option in _OPTIONS:
        advice = re.sub(keyword, option, advice)
    return advice


_OPTIONS = (
    (r"vecnormalize=<[^>]*>", "--vecnormalize FILE"),
    (r"\bnormalize=False", "--no-normalize"),
    (r"\bregion=\([^)]*\)", "--region LOW HIGH"),
    (r"\btarget=\[[^\]]*\]", "--target X"),
    (r"\bdt= in seconds \(dt=1", "--dt SECONDS (--dt 1"),
    (r"\b(output|method|solver)=['\"](\w+)['\"]", r"--\1 \2"),
)


def show(failure: dict[str, str], as_json: bool) -> None:
    """A failure: as JSON on standard output, or in words on standard error."""
    if as_json:
        print(json.dumps({"error": failure}, indent=2))
        return
    label = {"InternalError": "Internal error", "Interrupted": "Stopped"}.get(failure["type"], "Error")
    text = Text.assemble(
        (f"{label}: ", "bold red"), failure["message"], *(["\n", failure["advice"]] * bool(failure["advice"]))
    )
    Console(stderr=True, highlight=False).print(text)
