"""Loops, sets and files of the checker of cells that are small enough to be written by hand."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np

from lipctrl.proofs import check_cells as cc
from lipctrl.proofs.check_cells import Form

CLOSE = 1 + 1e-9
ZERO_POLICY = {"layers": [{"type": "affine", "W": [["0x0.0p+0", "0x0.0p+0"]], "b": ["0x0.0p+0"]}]}


def hexed(x: Any) -> Any:
    return [hexed(v) for v in x] if np.ndim(x) else float(x).hex()


def program(inputs: int, constants: list[float], code: list[list[Any]], outputs: list[int]) -> dict[str, Any]:
    return {"inputs": inputs, "constants": hexed(constants), "code": code, "outputs": outputs}


def affine(W: Any, b: Any = None) -> dict[str, Any]:
    return {"type": "affine", "W": hexed(W), "b": hexed(np.zeros(len(W)) if b is None else b)}


def model(a: float, b: float, parameters: list[tuple[float, float]] | None = None) -> dict[str, Any]:
    """x+ = a x + u (times the parameter), y+ = b y; both observed."""
    q = len(parameters or [])
    code: list[list[Any]] = [["mul", 0, 3 + q], ["mul", 1, 4 + q], ["add", 5 + q, 2]]
    outputs = [7 + q, 6 + q]
    if q:
        code.append(["mul", 7 + q, 3])
        outputs = [8 + q, 6 + q]
    found = {
        "name": "line",
        "dt": (1.0).hex(),
        "step": program(3 + q, [a, b], code, outputs),
        "observe": program(2 + q, [], [], [0, 1]),
    }
    if q:
        ends = [{"name": f"p{i}", "lower": low.hex(), "upper": high.hex()} for i, (low, high) in enumerate(parameters)]
        found["parameters"] = ends
    return found


def loop(a: float, b: float, error: float = 0.0, float32: bool = False, **options: Any) -> cc.Loop:
    return cc.Loop(ZERO_POLICY, model(a, b, **options), 2, error, float32)


def cubic() -> cc.Loop:
    """x+ = x^3, y+ = y / 4."""
    step = program(3, [0.25], [["square", 0], ["mul", 4, 0], ["mul", 1, 3], ["add", 5, 2]], [7, 6])
    return cc.Loop(
        ZERO_POLICY, {"name": "cube", "dt": (1.0).hex(), "step": step, "observe": program(2, [], [], [0, 1])}, 2
    )


def same_loop(n: int, a: float) -> cc.Loop:
    """x+ = a x in n states; the first of them and the action of a policy that does nothing are added."""
    policy = {"layers": [affine(np.zeros((1, n)))]}
    code = [*([["mul", i, n + 1] for i in range(n)]), ["add", n + 2, n]]
    step = program(n + 1, [a], code, [2 * n + 2, *range(n + 3, 2 * n + 2)])
    return cc.Loop(
        policy, {"name": "c", "dt": (1.0).hex(), "step": step, "observe": program(n, [], [], [*range(n)])}, n
    )


def ellipsoid(radius: float, center: Any = (0.0, 0.0), T: Any = None) -> cc.Ellipsoid:
    T = np.eye(len(center)) if T is None else T
    return cc.Ellipsoid({"center": hexed(center), "T": hexed(T), "radius": radius.hex()}, len(center), set())


def boxed(lower: Any, upper: Any) -> list[Form]:
    return cc._box_between(np.array([lower], dtype=float), np.array([upper], dtype=float))


def ends(x: Form) -> tuple[float, float]:
    lo, hi = x.range()
    return float(lo[0]), float(hi[0])


def near(found: tuple[float, float], low: float, high: float, slack: float = 1e-9) -> bool:
    return low - slack <= found[0] <= low and high <= found[1] <= high + slack


def values(numbers: Any) -> list[Form]:
    return [number.value for number in numbers]


def stage(rate: float, push: float, radius: float) -> dict[str, str]:
    return {"rate": rate.hex(), "push": push.hex(), "radius": radius.hex()}


def grid(low: Any, width: Any, angles: Any, level: int) -> cc.Grid:
    found = cc.Grid({"low": hexed(low), "width": hexed(width), "angles": list(angles)}, len(low))
    found.refine(level)
    return found


def packed(*parts: list[int]) -> str:
    joined = np.concatenate([np.diff(part, prepend=0) for part in parts]).astype("<u4")
    return base64.b64encode(
        zlib.compress(np.ascontiguousarray(joined.view(np.uint8).reshape(-1, 4).T).tobytes())
    ).decode()
