"""Which independent checker reads a certificate: check.py (matrix inequalities) or check_cells.py (cells)."""

from __future__ import annotations

from pathlib import Path

from lipctrl.proofs import check_cells
from lipctrl.proofs.check import Result
from lipctrl.proofs.check import check as check_inequalities


def check(path: str | Path, seconds: float = 600.0) -> Result:
    """Prove a certificate again from its file alone, without any solver and without the code that made it.

    Parameters
    ----------
    path : str or Path
        What `certify` or `bound` wrote, plain or compressed by gzip.
    seconds : float
        Time limit; a certificate that is not proved within it is rejected.

    Returns
    -------
    Result
        Whether it is accepted, and the claim that the checker derived from the file itself.
    """
    result = check_inequalities(path, seconds)
    if not result.readable or result.theorem is not None:
        return result
    code, text = check_cells.check(path, seconds)
    if code == 0:
        return Result(True, text, "", "region_of_attraction")
    return Result(False, "", text, "region_of_attraction", readable=code == 1)
