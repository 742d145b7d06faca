"""Reports made by hand: known in every field, with awkward numbers in them."""

from __future__ import annotations

from typing import Any

import numpy as np

from lipctrl.results import Bound, Region, Report, TheoremResult, Trust, Verdict


def make_bound(**changes: Any) -> Bound:
    fields: dict[str, Any] = {
        "upper": 28.1230001,
        "lower": 8.1999999,
        "trust": Trust.PROVED,
        "method": "neuron",
        "sdp_lower": 28.12299,
        "sdp_gap": 3.6e-7,
        "product": 78.2,
        "solver": "barrier",
        "certificate": {"theorem": "lipschitz"},
    }
    return Bound(**(fields | changes))


def make_region(n: int = 2, level: float = 0.5) -> Region:
    rng = np.random.default_rng(n)
    root = np.tril(rng.normal(size=(n, n)), -1) + np.diag(rng.uniform(0.5, 2, n))
    centre = rng.normal(size=n)
    return Region("ellipsoid", 1.23456789, " x ".join(f"s{i}" for i in range(n)), centre, root @ root.T, level)


def make_report(verdict: Verdict = Verdict.CERTIFIED, n: int = 2, **changes: Any) -> Report:
    region = make_region(n)
    x0 = np.asarray(region.center)
    certified = verdict is Verdict.CERTIFIED
    rows = (
        TheoremResult(
            "small gain (global)",
            Verdict.INCONCLUSIVE,
            Trust.SAMPLED,
            "linear",
            "global",
            "gamma lip is 1.5 <= 1? No & so on.",
            float("-inf"),
            Region("all", None, ""),
            float("nan"),
        ),
        TheoremResult(
            "Lyapunov (sectors)",
            verdict,
            Trust.PROVED,
            "linear",
            "local",
            "every trajectory from the ellipsoid converges.",
            0.03125,
            region if certified else None,
            1.5,
        ),
    )
    rng = np.random.default_rng(0)
    decay = 0.9 ** np.arange(50)[:, None, None]
    fields: dict[str, Any] = {
        "verdict": verdict,
        "trust": Trust.PROVED,
        "claim": 'It converges <here> & "there".',
        "model": "linear",
        "arithmetic": "real",
        "scope": "local",
        "policy": {"name": "toy", "algorithm": "PPO", "sha256": "00", "notes": ["a note"]},
        "plant": {"name": "plant", "dt": 0.05, "states": [f"s{i}" for i in range(n)], "leaves_out": ["friction"]},
        "equilibrium": {"x": x0.tolist(), "u": [float("inf")], "proved": False, "target_distance": 0.14411},
        "lipschitz": make_bound(),
        "theorems": rows,
        "region": region if certified else None,
        "certificates": {"Lyapunov (sectors)": {"theorem": "lyapunov"}, "lipschitz": {"theorem": "lipschitz"}},
        "headline": "Lyapunov (sectors)",
        "data": {"trajectories": x0 + decay * rng.normal(size=(1, 7, n))},
    }
    return Report(**(fields | changes))
