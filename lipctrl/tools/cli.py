"""The command `lipctrl`: inspect, bound, certify, check."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

import lipctrl
from lipctrl.errors import CertificateError
from lipctrl.tools import terminal
from lipctrl.tools.failures import EXIT_CODES, REJECTED, Commands
from lipctrl.tools.output import to_json

app = typer.Typer(
    cls=Commands,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Proofs about trained reinforcement-learning policies: Lipschitz bounds and closed-loop stability.",
    epilog="Exit codes: 0 certified (or done), 1 inconclusive (check: rejected), 2 usage or input error, 3 refuted.",
)


class Method(StrEnum):
    auto = "auto"
    product = "product"
    layer = "layer"
    neuron = "neuron"
    local = "local"


class Solver(StrEnum):
    auto = "auto"
    low_rank = "low_rank"
    barrier = "barrier"
    clarabel = "clarabel"
    scs = "scs"
    mosek = "mosek"


class Arithmetic(StrEnum):
    real = "real"
    float32 = "float32"


class Output(StrEnum):
    action = "action"
    logits = "logits"
    q_values = "q_values"


PolicyPath = Annotated[
    Path, typer.Argument(metavar="POLICY", help="A Stable-Baselines3 zip, a policy folder or an RL Zoo run.")
]
Statistics = Annotated[
    Path | None, typer.Option("--vecnormalize", metavar="FILE", help="Statistics of observations (vecnormalize.pkl).")
]
Bare = Annotated[
    bool,
    typer.Option("--no-normalize", help="Without statistics: the map then takes normalised observations."),
]
OutputChoice = Annotated[
    Output, typer.Option("--output", help="What the map gives: logits or q_values stand in front of a discrete choice.")
]
SolverChoice = Annotated[Solver, typer.Option("--solver", help="It only suggests numbers, which are then proved.")]
Folder = Annotated[Path, typer.Option("-o", "--output-folder", metavar="DIR", help="Where the files go.")]
Json = Annotated[bool, typer.Option("--json", help="JSON alone on standard output.")]
OUTPUT_FOLDER = Path("lipctrl-out")


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    if version:
        typer.echo(f"lipctrl {lipctrl.__version__}")
    elif context.invoked_subcommand is None:
        context.fail("Missing command.")


@app.command()
def inspect(
    policy: PolicyPath,
    vecnormalize: Statistics = None,
    no_normalize: Bare = False,
    output: OutputChoice = Output.action,
    json: Json = False,
) -> int:
    """Print what a policy's file holds and what is missing. Nothing in the file is executed."""
    from lipctrl.tools.report import inspect_document, inspect_json

    loaded = _load(policy, vecnormalize, no_normalize, output)
    if json:
        typer.echo(to_json(inspect_json(loaded)))
    else:
        terminal.show(inspect_document(loaded))
    return 0


@app.command()
def bound(
    policy: PolicyPath,
    method: Annotated[
        Method, typer.Option("--method", help="auto: neuron, for a minute and in 4 GB at most.")
    ] = Method.auto,
    region: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="LOW HIGH", help="Box of observations: lists such as -1,-1,-8 1,1,8 (or one number each)."
        ),
    ] = None,
    solver: SolverChoice = Solver.auto,
    gap: Annotated[float, typer.Option("--gap", help="Relative gap to the optimum of the program.")] = 1e-7,
    time_limit: Annotated[
        float | None, typer.Option("--time-limit", metavar="SECONDS", min=0.0, help="For the solver.")
    ] = None,
    memory_limit: Annotated[
        float | None, typer.Option("--memory-limit", metavar="MB", min=0.0, help="For the solver.")
    ] = None,
    vecnormalize: Statistics = None,
    no_normalize: Bare = False,
    output: OutputChoice = Output.action,
    folder: Folder = OUTPUT_FOLDER,
    json: Json = False,
) -> int:
    """Bound the Lipschitz constant of a policy, and prove the bound."""
    from lipctrl.tools.files import write_bound
    from lipctrl.tools.report import bound_document, bound_json

    with terminal.progress() as say:
        say("loading the policy")
        loaded = _load(policy, vecnormalize, no_normalize, output)
        box = None if region is None else tuple(_numbers(side, "--region", loaded.network.n_in) for side in region)
        say("bounding the policy")
        found = lipctrl.lipschitz(
            loaded,
            method.value,
            box,
            solver.value,
            gap=gap,
            time_limit=time_limit,
            memory_limit=None if memory_limit is None else 1e6 * memory_limit,
        )
        say("writing the certificate")
        certificate = write_bound(found, loaded, folder)
    if json:
        typer.echo(to_json(bound_json(found, loaded, certificate)))
    else:
        terminal.show(bound_document(found, loaded))
        terminal.show_files([] if certificate is None else [certificate])
    return 0


@app.command()
def certify(
    policy: PolicyPath,
    env: Annotated[str | None, typer.Option("--env", metavar="ID", help="Gymnasium id of the plant.")] = None,
    plant: Annotated[
        Path | None,
        typer.Option("--plant", metavar="FILE", help=".json, .mat or .npz with A, B, C, D, dt."),
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", metavar="X", help="State in which the loop should rest, such as 0,0.")
    ] = None,
    tolerance: Annotated[
        str | None, typer.Option("--tolerance", metavar="W", help="Half widths of the goal set about the target.")
    ] = None,
    dt: Annotated[
        float | None, typer.Option("--dt", metavar="SECONDS", help="Seconds per step, if the environment has no dt.")
    ] = None,
    solver: SolverChoice = Solver.auto,
    time_limit: Annotated[float, typer.Option("--time-limit", min=0.0, help="Seconds for the search, about.")] = 60.0,
    nonlinear: Annotated[
        bool | None,
        typer.Option(
            "--nonlinear/--no-nonlinear",
            help="Region of the nonlinear loop (exact models, two states): with all the time, or not at all; "
            "by default 10 s of it.",
            show_default=False,
        ),
    ] = None,
    box: Annotated[
        tuple[str, str] | None,
        typer.Option("--box", metavar="LOW HIGH", help="Domain of states for that region, such as -3,-8 3,8."),
    ] = None,
    uncertain: Annotated[
        list[str] | None,
        typer.Option(
            "--uncertain", metavar="NAME=LOW:HIGH", help="A constant parameter of the model: m=0.95:1.05. Repeatable."
        ),
    ] = None,
    action_error: Annotated[
        float, typer.Option("--action-error", metavar="DELTA", min=0.0, help="Errors of each action that are covered.")
    ] = 0.0,
    arithmetic: Annotated[
        Arithmetic, typer.Option("--arithmetic", help="Of the policy: float32 covers its rounding as deployed.")
    ] = Arithmetic.real,
    vecnormalize: Statistics = None,
    no_normalize: Bare = False,
    folder: Folder = OUTPUT_FOLDER,
    json: Json = False,
) -> int:
    """Prove, refute or leave open the stability of a policy in closed loop with its plant."""
    from lipctrl.plants.plant_file import plant_from_file
    from lipctrl.tools.files import write_report

    if env is not None and plant is not None:
        raise typer.BadParameter("give --env or --plant, not both.")
    goal = {"target": _numbers(target, "--target"), "tolerance": _numbers(tolerance, "--tolerance")}
    with terminal.progress() as say:
        say("loading the policy")
        loaded = _load(policy, vecnormalize, no_normalize, Output.action)
        given = env if plant is None else plant_from_file(plant)
        domain = None if box is None else (_numbers(box[0], "--box"), _numbers(box[1], "--box"))
        report = lipctrl.certify(
            loaded,
            given,
            **goal,
            dt=dt,
            solver=solver.value,
            time_limit=time_limit,
            nonlinear=nonlinear,
            box=domain,
            uncertain=_intervals(uncertain or ()),
            action_error=action_error,
            arithmetic=arithmetic.value,
            progress=say,
        )
        say("writing certificates and picture")
        content, files = write_report(report, folder)
    if json:
        typer.echo(to_json(content))
    else:
        terminal.show(report.document())
        terminal.show_files(files)
    return EXIT_CODES[report.verdict]


@app.command()
def check(
    certificate: Annotated[Path, typer.Argument(metavar="FILE", help="A certificate.")], json: Json = False
) -> int:
    """Prove a certificate again, from the file alone: no solver, and none of the code that made it."""
    from lipctrl.tools.report import check_document, check_json

    with terminal.progress() as say:
        say("checking")
        result = lipctrl.check(certificate)
    if not result.readable:
        raise CertificateError(
            f"{certificate} is no certificate: {result.reason}.", "Give a file that `lipctrl certify` or `bound` wrote."
        )
    if json:
        typer.echo(to_json(check_json(result, certificate)))
    else:
        terminal.show(check_document(result, certificate))
    return 0 if result.accepted else REJECTED


def _load(path: Path, vecnormalize: Path | None, no_normalize: bool, output: Output) -> Any:
    return lipctrl.load_policy(path, vecnormalize, False if no_normalize else None, output.value)


def _numbers(text: str | None, option: str, size: int | None = None) -> Any:
    """A list such as "0,-1.5" as floats; one number stands for `size` equal ones."""
    if text is None:
        return None
    try:
        values = [float(part) for part in text.replace(" ", "").split(",")]
    except ValueError as error:
        if text.startswith("--"):
            raise typer.BadParameter(
                f"{option} needs LOW and HIGH, such as {option} -3,-8 3,8: HIGH is missing."
            ) from error
        raise typer.BadParameter(f"{option} is {text!r}, not numbers with commas between, such as 0,-1.5.") from error
    return values * (size or 1) if len(values) == 1 else values


def _intervals(texts: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Intervals such as "m=0.95:1.05" by name."""
    found: dict[str, tuple[float, float]] = {}
    for text in texts:
        name, _, ends = text.replace(" ", "").partition("=")
        try:
            low, high = (float(end) for end in ends.split(":"))
        except ValueError as error:
            raise typer.BadParameter(f"--uncertain is {text!r}, not NAME=LOW:HIGH, such as m=0.95:1.05.") from error
        if name in found:
            raise typer.BadParameter(f"--uncertain names {name!r} twice.")
        found[name] = (low, high)
    return found


def main() -> None:
    """Entry point of the command."""
    app(prog_name="lipctrl")
