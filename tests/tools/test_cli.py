"""The command: exit codes, JSON alone on standard output, typed errors, nothing half-written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import lipctrl
from lipctrl.errors import LipctrlError
from lipctrl.results import Verdict
from lipctrl.tools import files
from lipctrl.tools.cli import app
from lipctrl.tools.failures import as_options
from tests.tools.reports import make_bound, make_report

ROOT = Path(__file__).parents[2]
REPORT_KEYS = {
    *("schema", "verdict", "trust", "claim", "model", "arithmetic", "scope", "policy", "plant"),
    *("equilibrium", "lipschitz", "theorems", "certificate"),
}
BOUND_KEYS = {"upper", "lower", "product", "sdp_lower", "sdp_gap", "method", "solver", "norm", "trust", "seconds"}
BOUND_KEYS |= {"status", "iterations", "note"}


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} in JSON")


def strict(text: str) -> Any:
    return json.loads(text, parse_constant=refuse)


class Answer:
    """Exit code and both streams of one call in this process."""

    def __init__(self, *arguments: str | Path) -> None:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="lipctrl")
        self.code, self.out, self.err = result.exit_code, result.stdout, result.stderr

    @property
    def error(self) -> dict[str, str]:
        """The error of a call with --json, which must be all there is on standard output."""
        assert self.code == 2
        assert "Traceback" not in self.out + self.err
        content = strict(self.out)
        assert set(content) == {"error"}
        assert set(content["error"]) == {"type", "message", "advice"}
        assert all(isinstance(value, str) for value in content["error"].values())
        assert content["error"]["message"]
        return content["error"]


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """u = -tanh(x / 2), as plain weights."""
    path = tmp_path / "net.npz"
    np.savez(path, W0=np.array([[0.5]]), W1=np.array([[-1.0]]), activation="tanh")
    return path


@pytest.fixture
def plant(tmp_path: Path) -> Callable[[float], Path]:
    def write(a: float) -> Path:
        path = tmp_path / "plant.json"
        path.write_text(json.dumps({"A": [[a]], "B": [[0.5]], "C": [[1.0]], "dt": 0.1}))
        return path

    return write


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


# ------------------------------------------------------------------------------------------------ the whole way, small


def test_a_certified_loop_end_to_end(network: Path, plant: Callable[[float], Path], out: Path) -> None:
    """Small gain fails (10 times 0.5 of B times 0.5 of the policy), yet x+ = 0.9 x - 0.5 tanh(x / 2) contracts."""
    answer = Answer("certify", network, "--plant", plant(0.9), "-o", out, "--json")
    assert answer.code == 0, answer.out + answer.err
    content = strict(answer.out)
    assert set(content) == REPORT_KEYS
    assert content["verdict"] == "certified"
    assert content["trust"] == "proved"
    assert content == strict((out / "report.json").read_text())
    assert (out / "report.png").stat().st_size > 10_000
    assert Path(content["certificate"]).parent == out
    for path in out.glob("*.certificate.json"):
        checked = Answer("check", path, "--json")
        assert checked.code == 0
        assert strict(checked.out)["accepted"] is True
    assert {path.name for path in out.iterdir()} >= {"report.json", "report.png", "lipschitz.certificate.json"}
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


def test_an_unstable_loop_is_refuted(network: Path, plant: Callable[[float], Path], out: Path) -> None:
    """x+ = 1.6 x - 0.5 tanh(x / 2) has the slope 1.35 at 0."""
    answer = Answer("certify", network, "--plant", plant(1.6), "--target", "0", "-o", out)
    assert answer.code == 3, answer.out + answer.err
    assert "REFUTED" in answer.out


def test_a_loop_that_rests_off_its_target_is_not_certified(
    network: Path, plant: Callable[[float], Path], out: Path
) -> None:
    answer = Answer(
        "certify", network, "--plant", plant(0.9), "--target", "2", "--tolerance", "0.5", "-o", out, "--json"
    )
    assert answer.code in (1, 3), answer.out + answer.err
    assert strict(answer.out)["verdict"] in ("inconclusive", "refuted")


def test_bound_end_to_end(network: Path, out: Path) -> None:
    """d/dx tanh(x / 2) is at most 0.5, attained at 0."""
    answer = Answer("bound", network, "-o", out, "--json")
    assert answer.code == 0, answer.out + answer.err
    content = strict(answer.out)
    assert set(content) >= BOUND_KEYS
    assert content["lower"] <= 0.5 <= content["upper"] <= 0.5 * (1 + 1e-5)
    assert content["trust"] == "proved"
    assert Answer("check", content["certificate"]).code == 0


def test_a_bound_says_what_is_not_known_of_the_policy(tmp_path: Path, out: Path) -> None:
    """Without its statistics the bound may be one of another map than the deployed one."""
    model = Path(__file__).resolve().parents[2] / "policies" / "pendulum-sac" / "model.zip"
    (tmp_path / "model.zip").write_bytes(model.read_bytes())
    assert "No file tells" in Answer("bound", tmp_path / "model.zip", "--method", "product", "-o", out).out
    answer = Answer("bound", tmp_path / "model.zip", "--method", "product", "-o", out, "--json", "--no-normalize")
    assert any("left out" in note for note in strict(answer.out)["notes"])


def test_bound_on_a_region(network: Path, out: Path) -> None:
    """On [1, 2] the slope is at most 0.5 (1 - tanh(0.5)^2)."""
    answer = Answer("bound", network, "--region", "1", "2", "-o", out, "--json")
    truth = 0.5 * (1 - np.tanh(0.5) ** 2)
    content = strict(answer.out)
    assert content["lower"] <= truth <= content["upper"] <= truth * (1 + 1e-5)
    assert content["region"] != "global"


def test_inspect_prints_the_layers(network: Path) -> None:
    answer = Answer("inspect", network)
    assert answer.code == 0
    assert "tanh 1" in answer.out
    assert strict(Answer("inspect", network, "--json").out)["layers"] == ["affine 1 -> 1", "tanh 1", "affine 1 -> 1"]


# --------------------------------------------------------------------------------------------- codes, streams, failures


def replace_certify(monkeypatch: pytest.MonkeyPatch, act: Callable[..., Any]) -> None:
    monkeypatch.setattr(lipctrl, "certify", act, raising=False)


@pytest.mark.parametrize(("verdict", "code"), [(Verdict.CERTIFIED, 0), (Verdict.INCONCLUSIVE, 1), (Verdict.REFUTED, 3)])
def test_exit_codes_and_reports(
    monkeypatch: pytest.MonkeyPatch, network: Path, out: Path, verdict: Verdict, code: int
) -> None:
    def certify(*_: Any, progress: Callable[[str], None], **__: Any) -> Any:
        progress("stage")
        print("an environment greets")
        return make_report(verdict)

    replace_certify(monkeypatch, certify)
    monkeypatch.setattr(files, "write_certificate", lambda content, path: path.write_text(json.dumps(content)))
    answer = Answer("certify", network, "--env", "Toy-v0", "-o", out, "--json")
    assert answer.code == code
    content = strict(answer.out)
    assert set(content) == REPORT_KEYS
    assert content["verdict"] == verdict.name.lower()
    assert set(content["equilibrium"]) == {"x", "u", "proved", "target_distance"}
    assert content["equilibrium"]["u"] == [None]
    assert set(content["lipschitz"]) == {"upper", "lower", "product", "method", "norm"}
    for row in content["theorems"]:
        assert set(row) == {
            "name",
            "verdict",
            "trust",
            "model",
            "arithmetic",
            "scope",
            "reason",
            "margin",
            "region",
            "seconds",
        }
        assert row["region"] is None or set(row["region"]) == {"kind", "volume", "units"}
    assert content["theorems"][0]["region"]["volume"] is None
    assert content["theorems"][0]["margin"] is None
    assert content["certificate"] == str(out / "lyapunov-sectors.certificate.json")
    words = Answer("certify", network, "--env", "Toy-v0", "-o", out)
    assert words.code == code
    for expected in (
        verdict.name,
        "small gain (global)",
        "0.1441 from the target",
        "report.png",
        "lipschitz.certificate",
    ):
        assert expected in words.out
    assert "greets" not in words.out


def test_a_failing_picture_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, network: Path, out: Path) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError("no picture")

    replace_certify(monkeypatch, lambda *_, **__: make_report())
    monkeypatch.setattr(files, "write_certificate", lambda content, path: path.write_text("x"))
    monkeypatch.setattr(files, "save_picture", fail)
    error = Answer("certify", network, "--env", "Toy-v0", "-o", out, "--json").error
    assert error["type"] == "InternalError"
    assert "report" in error["advice"]
    assert list(out.iterdir()) == []


def test_outdated_certificates_are_removed(monkeypatch: pytest.MonkeyPatch, network: Path, out: Path) -> None:
    out.mkdir()
    old = ("small-gain-global", "region-of-attraction-cells", "region-of-attraction-ellipsoids", "whole-domain", "mine")
    for name in (f"{claim}.certificate.json" for claim in old):  # those of the nonlinear loop have no row this time
        (out / name).write_text("{}")
    replace_certify(monkeypatch, lambda *_, **__: make_report())
    monkeypatch.setattr(files, "write_certificate", lambda content, path: path.write_text("x"))
    assert Answer("certify", network, "--env", "Toy-v0", "-o", out).code == 0
    assert {path.name for path in out.glob("*.certificate.json")} == {
        "mine.certificate.json",
        "lipschitz.certificate.json",
        "lyapunov-sectors.certificate.json",
    }


def test_debug_lets_exceptions_through(monkeypatch: pytest.MonkeyPatch, network: Path) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    replace_certify(monkeypatch, fail)
    monkeypatch.setenv("LIPCTRL_DEBUG", "1")
    result = CliRunner().invoke(app, ["certify", str(network), "--env", "Toy-v0"])
    assert isinstance(result.exception, ZeroDivisionError)


@pytest.mark.parametrize("as_json", [False, True])
def test_an_interrupt_is_a_clean_message(monkeypatch: pytest.MonkeyPatch, network: Path, as_json: bool) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    replace_certify(monkeypatch, interrupt)
    answer = Answer("certify", network, "--env", "Toy-v0", *["--json"] * as_json)
    assert answer.code == 130
    if as_json:
        assert strict(answer.out)["error"]["type"] == "Interrupted"
    else:
        assert "Nothing was written" in answer.err


def test_arguments_reach_the_pipeline(
    monkeypatch: pytest.MonkeyPatch, network: Path, plant: Callable[[float], Path], out: Path
) -> None:
    seen: dict[str, Any] = {}

    def certify(policy: Any, given: Any, **keywords: Any) -> Any:
        seen.update(keywords, policy=policy, given=given)
        return make_report()

    replace_certify(monkeypatch, certify)
    monkeypatch.setattr(files, "write_certificate", lambda content, path: path.write_text("x"))
    options = ("--target", "-0.5,1e-3", "--tolerance", "0.1", "--solver", "scs", "--time-limit", "7", "--dt", ".5")
    assert Answer("certify", network, "--plant", plant(0.5), *options, "-o", out).code == 0
    assert seen["target"] == [-0.5, 1e-3]
    assert seen["tolerance"] == [0.1]
    assert (seen["solver"], seen["time_limit"], seen["dt"]) == ("scs", 7.0, 0.5)
    assert seen["given"].A.tolist() == [[0.5]]
    assert seen["policy"].network.n_in == 1


def test_bound_prints_and_passes_the_region(monkeypatch: pytest.MonkeyPatch, network: Path, out: Path) -> None:
    seen: list[Any] = []

    def lipschitz(policy: Any, method: str, region: Any, solver: str, **limits: Any) -> Any:
        seen.extend((method, region, solver, limits))
        return make_bound(certificate=None)

    monkeypatch.setattr(lipctrl, "lipschitz", lipschitz, raising=False)
    limits = ("--gap", "1e-5", "--time-limit", "3", "--memory-limit", "200")
    answer = Answer("bound", network, "--method", "local", "--region", "-1", "2.5", *limits, "-o", out)
    assert answer.code == 0
    assert seen == [
        "local",
        ([-1.0], [2.5]),
        "auto",
        {"gap": 1e-5, "time_limit": 3.0, "memory_limit": 200e6},
    ]
    assert "28.124" in answer.out
    assert not out.exists()


WRONG = [
    ([], "UsageError"),
    (["frobnicate"], "UsageError"),
    (["bound"], "UsageError"),
    (["bound", "net.npz", "--wrong"], "UsageError"),
    (["bound", "net.npz", "--method", "network"], "UsageError"),
    (["bound", "net.npz", "--region", "1"], "UsageError"),
    (["certify", "net.npz", "--env", "Pendulum-v1", "--plant", "plant.json"], "UsageError"),
    (["certify", "net.npz", "--env", "Pendulum-v1", "--time-limit", "-1"], "UsageError"),
    (["bound", "net.npz", "--region", "a", "b"], "UsageError"),
    (["bound", "net.npz", "--region", "2", "1"], "NetworkError"),
    (["bound", "net.npz", "--region", "nan", "1"], "NetworkError"),
    (["bound", "net.npz", "--region", "1,2", "3,4"], "NetworkError"),
    (["bound", "net.npz", "--method", "local"], "LipctrlError"),
    (["bound", "net.npz", "-o", "net.npz"], "LipctrlError"),
    (["inspect", "missing.zip"], "LoadError"),
    (["inspect", "plant.json"], "LoadError"),
    (["inspect", "net.npz", "--output", "logits"], "LoadError"),
    (["certify", "net.npz"], "PlantError"),
    (["certify", "net.npz", "--plant", "missing.json"], "PlantError"),
    (["certify", "net.npz", "--plant", "net.npz"], "PlantError"),
    (["certify", "net.npz", "--plant", "plant.json", "--target", "0,0"], "PlantError"),
    (["certify", "net.npz", "--plant", "plant.json", "--target", "up"], "UsageError"),
    (["certify", "net.npz", "--env", "Pendulum-v1"], "LoopError"),
    (["certify", "net.npz", "--env", "NoSuchEnvironment-v9"], "GymnasiumError"),
    (["check", "missing.json"], "CertificateError"),
    (["check", "net.npz"], "CertificateError"),
    (["check", "plant.json"], "CertificateError"),
]


@pytest.mark.parametrize("rest", [[], ["--nonlinear"]], ids=["at the end", "before another option"])
def test_a_box_with_one_side_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, network: Path, tmp_path: Path, rest: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    error = Answer("certify", "net.npz", "--env", "Pendulum-v1", "--box", "-3,-8", *rest, "--json").error
    assert error["type"] == "UsageError"
    assert "LOW and HIGH" in error["message"] + error["advice"] and "-3,-8 3,8" in error["message"] + error["advice"]


@pytest.mark.parametrize(("arguments", "kind"), WRONG, ids=[" ".join(arguments) for arguments, _ in WRONG])
def test_wrong_input_is_a_typed_error(
    monkeypatch: pytest.MonkeyPatch,
    network: Path,
    plant: Callable[[float], Path],
    tmp_path: Path,
    arguments: list[str],
    kind: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    plant(0.5)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    error = Answer(*arguments, "--json").error
    assert error["type"] == kind, error
    words = Answer(*arguments)
    assert words.code == 2
    assert words.out == ""
    assert "Traceback" not in words.err
    assert "Error" in words.err
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("advice", "expected"),
    [
        ("Give vecnormalize=<file>, or normalize=False.", "Give --vecnormalize FILE, or --no-normalize."),
        ("Load with output='logits'.", "Load with --output logits."),
        ("Pass dt= in seconds (dt=1 to count steps).", "Pass --dt SECONDS (--dt 1 to count steps)."),
        ("Give region=(low, high) here, or target=[...].", "Give --region LOW HIGH here, or --target X."),
    ],
)
def test_advice_names_the_options_of_the_command(advice: str, expected: str) -> None:
    assert as_options(advice) == expected


def test_a_rejected_certificate_has_exit_code_1(tmp_path: Path) -> None:
    path = tmp_path / "empty.certificate.json"
    path.write_text(json.dumps({"format": "lipctrl-certificate", "version": 1, "theorem": "lipschitz"}))
    answer = Answer("check", path, "--json")
    assert answer.code == 1
    content = strict(answer.out)
    assert content["accepted"] is False
    assert content["reason"]
    assert "REJECTED" in Answer("check", path).out


# ------------------------------------------------------------------------------------------------------ a real process


def process(*arguments: str, **keywords: Any) -> subprocess.CompletedProcess[str]:
    code = "from lipctrl.tools.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        **keywords,
    )


def test_the_process_itself(network: Path) -> None:
    done = process("inspect", str(network), "--json")
    assert done.returncode == 0
    assert strict(done.stdout)["algorithm"] == "network"
    done = process("inspect", "missing.zip", "--json")
    assert done.returncode == 2
    assert strict(done.stdout)["error"]["type"] == "LoadError"
    assert done.stderr == ""


def test_help_and_version() -> None:
    done = process("--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in ("inspect", "bound", "certify", "check", "3 refuted"))
    assert process("--version").stdout == f"lipctrl {lipctrl.__version__}\n"


def test_a_closed_pipe_is_no_traceback(network: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", "from lipctrl.tools.cli import main; main()", "inspect", str(network), "--json"],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    os.close(writing)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], (None, None, "action")),
        (["--no-normalize"], (None, False, "action")),
        (["--vecnormalize", "v.pkl", "--output", "logits"], (Path("v.pkl"), None, "logits")),
    ],
)
@pytest.mark.parametrize("command", ["inspect", "bound"])
def test_loading_options_reach_the_loader(
    monkeypatch: pytest.MonkeyPatch, command: str, options: list[str], expected: tuple[Any, ...]
) -> None:
    seen: list[Any] = []

    def load(*arguments: Any) -> None:
        seen.extend(arguments)
        raise LipctrlError("far enough")

    monkeypatch.setattr(lipctrl, "load_policy", load, raising=False)
    assert Answer(command, "model.zip", *options).code == 2
    assert tuple(seen) == (Path("model.zip"), *expected)


def test_the_certificate_behind_the_verdict_comes_first(monkeypatch: pytest.MonkeyPatch, out: Path) -> None:
    monkeypatch.setattr(files, "write_certificate", lambda content, path: path.write_text("x"))
    content, written = files.write_report(make_report(), out)
    assert [path.name for path in written] == [
        "lyapunov-sectors.certificate.json",
        "lipschitz.certificate.json",
        "report.json",
        "report.png",
    ]
    assert content["certificate"] == str(written[0])
    content, _ = files.write_report(make_report(Verdict.INCONCLUSIVE, headline=None), str(out))
    assert content["certificate"] is None
