"""Files appear whole or not at all; JSON is strict."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipctrl.errors import LipctrlError
from lipctrl.results import Trust, Verdict
from lipctrl.tools.output import certificate_name, staged, to_json


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_files_move_when_all_are_there(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    with staged(folder) as stage:
        (stage / "one").write_text("1")
        (stage / "two").write_text("2")
        assert not (folder / "one").exists()
    assert contents(folder) == {"one": "1", "two": "2"}


def test_an_existing_folder_is_reused_and_only_outdated_files_go(tmp_path: Path) -> None:
    for name in ("one", "old", "mine"):
        (tmp_path / name).write_text("before")
    with staged(tmp_path, ("old", "one", "never")) as stage:
        (stage / "one").write_text("after")
    assert contents(tmp_path) == {"one": "after", "mine": "before"}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_changes_on_an_error(tmp_path: Path, error: type[BaseException]) -> None:
    (tmp_path / "one").write_text("before")

    def fail() -> None:
        with staged(tmp_path, ("one",)) as stage:
            (stage / "one").write_text("after")
            raise error

    with pytest.raises(error):
        fail()
    assert contents(tmp_path) == {"one": "before"}


def test_a_folder_that_is_a_file_is_an_error_with_advice(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LipctrlError, match="cannot be written") as caught, staged(tmp_path / "file"):
        pass
    assert "-o" in caught.value.advice


def test_a_full_disk_is_an_error_with_advice(tmp_path: Path) -> None:
    with pytest.raises(LipctrlError, match="No space left"), staged(tmp_path):
        raise OSError(28, "No space left on device")
    assert contents(tmp_path) == {}


def test_certificate_names() -> None:
    assert certificate_name("Lyapunov (sectors)") == "lyapunov-sectors.certificate.json"
    assert certificate_name("../lipschitz") == "lipschitz.certificate.json"


LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


@given(st.recursive(LEAF, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8))
def test_json_is_strict_and_keeps_everything_but_nan_and_infinity(value: object) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    back = json.loads(to_json(value), parse_constant=refuse)
    assert back == (json.loads(json.dumps(value), parse_constant=lambda _: None))


def test_arrays_and_enumerations() -> None:
    value = {
        "a": np.array([[1.0, np.nan]]),
        "b": np.float64(np.inf),
        "c": (Verdict.REFUTED, Trust.PROVED),
        "d": Path("x"),
    }
    assert json.loads(to_json(value)) == {"a": [[1.0, None]], "b": None, "c": ["refuted", "proved"], "d": "x"}
