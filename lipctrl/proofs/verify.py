"""The one place where numbers put into an LMI become a proof."""

from __future__ import annotations

import numpy as np

from lipctrl.lmi.lmi import LMI, Values
from lipctrl.lmi.one_layer import definite_form
from lipctrl.proofs.definiteness import is_positive_definite


def holds(lmi: LMI, values: Values) -> bool:
    """True only if every matrix inequality and scalar bound of `lmi` is proved at `values`.

    Matrices are evaluated with every rounding error enclosed and proved definite by Rump's test
    (BIT 46, 2006, Corollary 2.4); a wide network with one hidden layer through its Schur complement, by the theorem of
    `lipctrl.lmi.one_layer`. False means "not proved", nothing more.
    """
    for variable in lmi.variables:
        value = np.asarray(values[variable.name], dtype=np.float64)
        if not np.all(np.isfinite(value)):
            return False
        if variable.lower is not None and not np.all(value >= variable.lower):
            return False
        if variable.symmetric and not np.array_equal(value, value.T):
            return False
    with np.errstate(over="ignore", invalid="ignore"):
        forms = (definite_form(inequality, values) for inequality in lmi.inequalities)
        return all(form is not None and is_positive_definite(form[0].mid, form[0].radius) for form in forms)
