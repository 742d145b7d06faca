"""The command asks for one thread of linear algebra before NumPy is there, and respects what the user asks for."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(("given", "expected"), [(None, "1"), ("3", "3")])
def test_threads_are_set_before_numpy(given: str | None, expected: str) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")}
    if given is not None:
        environment["OMP_NUM_THREADS"] = given
    code = "import sys, os, lipctrl.tools; print('numpy' in sys.modules, os.environ['OMP_NUM_THREADS'])"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", expected]
