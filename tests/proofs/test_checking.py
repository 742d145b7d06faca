"""Which checker reads a file, and what becomes of its answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lipctrl import check
from lipctrl.proofs import checking
from lipctrl.proofs.certificate import write_certificate
from lipctrl.proofs.check import Result


def test_inequalities_are_not_asked_of_the_checker_of_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking.check_cells, "check", lambda *given: pytest.fail("asked"))
    for answer in (Result(True, "claim", "", "lipschitz"), Result(False, "", "no", "lipschitz"),
                   Result(False, "", "no file", None, readable=False)):  # fmt: skip
        monkeypatch.setattr(checking, "check_inequalities", lambda path, seconds, answer=answer: answer)
        assert check("file") == answer


@pytest.mark.parametrize(("code", "accepted", "readable"), [(0, True, True), (1, False, True), (2, False, False)])
def test_other_theorems_are_those_of_the_checker_of_cells(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int, accepted: bool, readable: bool
) -> None:
    path = write_certificate({"theorem": "region_of_attraction"}, tmp_path / "c.json")
    given: list[Any] = []
    monkeypatch.setattr(checking.check_cells, "check", lambda *asked: given.append(asked) or (code, "words"))
    result = check(path, 7.0)
    assert given == [(path, 7.0)] and result.theorem == "region_of_attraction"
    assert (result.accepted, result.readable) == (accepted, readable)
    assert (result.claim, result.reason) == (("words", "") if accepted else ("", "words"))


def test_a_file_that_neither_knows_is_not_accepted(tmp_path: Path) -> None:
    assert not check(write_certificate({"theorem": "wishes"}, tmp_path / "c.json")).accepted
    assert not check(tmp_path / "missing.json").readable
