"""Proofs about trained reinforcement-learning policies: Lipschitz bounds and stability of the closed loop.

Names are loaded when they are first used, so that ``import lipctrl`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lipctrl.errors import LipctrlError
    from lipctrl.networks.loading.policy import load_policy
    from lipctrl.pipeline import certify
    from lipctrl.plants.linearize import linearize
    from lipctrl.plants.plant import Plant
    from lipctrl.proofs.checking import check
    from lipctrl.results import Bound, Region, Report, TheoremResult, Trust, Verdict
    from lipctrl.theorems.batch import lipschitz_batch
    from lipctrl.theorems.lipschitz import lipschitz

__version__ = "0.1.0"

__all__ = [
    "Bound",
    "LipctrlError",
    "Plant",
    "Region",
    "Report",
    "TheoremResult",
    "Trust",
    "Verdict",
    "certify",
    "check",
    "linearize",
    "lipschitz",
    "lipschitz_batch",
    "load_policy",
]

_HOME = {
    "LipctrlError": "lipctrl.errors",
    "Plant": "lipctrl.plants.plant",
    "certify": "lipctrl.pipeline",
    "check": "lipctrl.proofs.checking",
    "linearize": "lipctrl.plants.linearize",
    "lipschitz": "lipctrl.theorems.lipschitz",
    "lipschitz_batch": "lipctrl.theorems.batch",
    "load_policy": "lipctrl.networks.loading.policy",
    **dict.fromkeys(("Bound", "Region", "Report", "TheoremResult", "Trust", "Verdict"), "lipctrl.results"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'lipctrl' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
