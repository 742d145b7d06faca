"""What the one gate of the house lets through: every inequality, every bound, finite and symmetric numbers."""

from __future__ import annotations

import numpy as np
import pytest

from lipctrl.lmi.lmi import LMI, Congruence, MatrixInequality, Variable, selector
from lipctrl.proofs.verify import holds

E = selector(0, 2)
POSITIVE = MatrixInequality("P > 0", (2,), (Congruence("P", E, E, 0.5),))
NEGATIVE = MatrixInequality("P < 0", (2,), (Congruence("P", E, E, -0.5),))
VARIABLES = (Variable("P", 2, symmetric=True), Variable("t", 2, lower=0.0), Variable("free", 1))
GOOD = {"P": np.eye(2), "t": np.array([0.0, 1.0]), "free": np.array([-3.0])}


def test_every_inequality_must_hold() -> None:
    assert holds(LMI(VARIABLES, (POSITIVE,)), GOOD)
    assert holds(LMI(VARIABLES, (POSITIVE, POSITIVE)), GOOD)
    for parts in ((POSITIVE, NEGATIVE), (NEGATIVE, POSITIVE), (NEGATIVE,)):
        assert not holds(LMI(VARIABLES, parts), GOOD)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("t", [-5e-324, 1.0]), ("t", [1.0, -1.0]), ("t", [1.0, np.nan]), ("t", [np.inf, 1.0]),
        ("free", [np.nan]), ("free", [np.inf]), ("free", [-np.inf]),
        ("P", [[1.0, 2.0**-60], [0.0, 1.0]]), ("P", [[1.0, np.nan], [np.nan, 1.0]]), ("P", [[np.inf, 0.0], [0.0, 1.0]]),
        ("P", [[1.0, 0.0], [0.0, 0.0]]), ("P", [[1.0, 1.0], [1.0, 1.0]]),
    ],
)  # fmt: skip
def test_numbers_that_prove_nothing(name: str, value: list) -> None:
    """Though no inequality holds the multipliers, and their matrix part may well be definite."""
    assert not holds(LMI(VARIABLES, (POSITIVE,)), GOOD | {name: np.array(value)})
