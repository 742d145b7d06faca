"""What trajectories say against an accepted certificate of a region: no line of lipctrl or of its checkers is used.

Everything is read from the file: equations, policy, sets. From many points of the claimed cells and ellipsoids, for
corners of the uncertain parameters and for errors of the actions at their limits, the loop is followed in double
precision. Rounding is far below what is looked for; a trajectory that is still on its way refutes nothing.
"""

from __future__ import annotations

import base64
import itertools
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.proofs.make_certificates import PHI, unhexed

Array = np.ndarray
STEPS, MOST = 250, 8000

OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "neg": np.negative, "abs": np.abs,
    "square": np.square, "sqrt": np.sqrt, "exp": np.exp, "tanh": np.tanh, "arctan": np.arctan, "sin": np.sin,
    "cos": np.cos, "at_least": np.maximum, "at_most": np.minimum,
}  # fmt: skip


def run(program: dict[str, Any], inputs: list[Any]) -> list[Any]:
    registers = [*inputs, *(float.fromhex(value) for value in program["constants"])]
    for operation, *places in program["code"]:
        registers.append(OPERATIONS[operation](*(registers[place] for place in places)))
    return [registers[place] for place in program["outputs"]]


def policy(network: dict[str, Any], y: Array, single: bool) -> Array:
    kind: Any = np.float32 if single else np.float64
    h = y.astype(kind)
    for layer in network["layers"]:
        if layer["type"] == "affine":
            h = h @ unhexed(layer["W"]).astype(kind).T + unhexed(layer["b"]).astype(kind)
        else:
            names = layer.keys() - {"type", "n"}
            h = PHI[layer["type"]](h, **{name: unhexed(layer[name]).astype(kind) for name in names})
    return h.astype(np.float64)


class Loop:
    """x+ = step(x, pi(observe(x, p)) + d, p) for points, shape (N, n), and one p."""

    def __init__(self, c: dict[str, Any]) -> None:
        self.model, self.network = c["model"], c["network"]
        self.single = c.get("arithmetic") == "float32"
        self.error = float.fromhex(c["action_error"]) if "action_error" in c else 0.0
        self.disturbed = self.single or self.error > 0

    def __call__(self, x: Array, p: Array, d: float | Array = 0.0, single: bool = False) -> Array:
        seen = run(self.model["observe"], [*x.T, *p])
        y = np.stack([np.broadcast_to(value, len(x)) for value in seen], axis=1)
        u = policy(self.network, y, single) + d
        after = run(self.model["step"], [*x.T, *u.T, *p])
        return np.stack([np.broadcast_to(value, len(x)) for value in after], axis=1)


def places(part: dict[str, Any]) -> list[Array]:
    """The numbers of the cells of each record."""
    planes = np.frombuffer(zlib.decompress(base64.b64decode(part["cells"])), dtype=np.uint8)
    numbers = np.ascontiguousarray(planes.reshape(4, -1).T).view("<u4")[:, 0].astype(np.int64)
    sizes = [record[3] for record in part["records"]]
    return [np.cumsum(piece) for piece in np.split(numbers, np.cumsum(sizes)[:-1])] if sizes else []


def packed(records: list[Array]) -> str:
    """The inverse."""
    joined = np.concatenate([np.diff(part, prepend=0) for part in records] or [np.zeros(0)]).astype("<u4")
    planes = np.ascontiguousarray(joined.view(np.uint8).reshape(-1, 4).T).tobytes()
    return base64.b64encode(zlib.compress(planes)).decode()


def indices(flat: Array, level: int, n: int) -> Array:
    return np.stack([(flat >> (level * (n - 1 - axis))) & (2**level - 1) for axis in range(n)], axis=1)


def starts(part: dict[str, Any], rng: np.random.Generator, count: int) -> Array:
    """One point of each cell, often a corner, and points of the ellipsoids, most of them at their edges."""
    n, found = len(part["equilibrium"]["lower"]), []
    for (grid, level, _, _), flat in zip(part["records"], places(part), strict=True):
        low, width = (unhexed(part["grids"][grid][key]) for key in ("low", "width"))
        some = indices(flat if len(flat) < 4000 else rng.choice(flat, 4000), level, n)
        inside = np.where(rng.random(some.shape) < 0.5, rng.random(some.shape), rng.integers(0, 2, some.shape))
        found.append(low + (some + inside) * width / 2**level)
    for one in [part["core"], *part["ellipsoids"]]:
        z = rng.standard_normal((count, n))
        z *= (np.where(rng.random(len(z)) < 0.7, 1.0, rng.random(len(z))) / np.linalg.norm(z, axis=1))[:, None]
        found.append(unhexed(one["center"]) + unhexed(one["radius"]) * np.linalg.solve(unhexed(one["T"]), z.T).T)
    return np.concatenate(found)


def parameters(box: Array, rng: np.random.Generator) -> Iterator[Array]:
    """Two corners of the box and a point of it; the empty vector where there are no parameters."""
    corners = list(itertools.product(*box))
    yield from (np.array(corners[k]) for k in rng.choice(len(corners), min(len(corners), 2), replace=False))
    if len(box):
        yield rng.uniform(box[:, 0], box[:, 1])


def errors(loop: Loop, k: int, shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """Of constant sign, of alternating sign, at random: by turns along the points."""
    signs = np.stack([np.ones(shape), np.full(shape, (-1.0) ** k), rng.choice([-1.0, 1.0], shape)])
    return loop.error * signs[np.arange(shape[0]) % 3, np.arange(shape[0])]


def contradiction(c: dict[str, Any], claim: str, rng: np.random.Generator, count: int = 60) -> str | None:
    """What is wrong with the claim of an accepted certificate; None if nothing was found."""
    loop, whole = Loop(c), np.zeros((0, 2))
    if "parameters" in c["model"]:
        whole = np.array([[unhexed(p["lower"]), unhexed(p["upper"])] for p in c["model"]["parameters"]]).reshape(-1, 2)
    with np.errstate(all="ignore"):
        for part in c.get("parts", [c]):
            box = unhexed(part["parameters"]) if "parts" in c else whole
            x = starts(part, rng, count)
            for p in parameters(box, rng):
                words = trajectories(loop, part, x, p, rng, c.get("limits"))
                if words:
                    return words
        if "parts" in c:
            for p in (rng.uniform(whole[:, 0], whole[:, 1]) for _ in range(20)):
                boxes = [unhexed(part["parameters"]) for part in c["parts"]]
                if not any(np.all((box[:, 0] <= p) & (p <= box[:, 1])) for box in boxes):
                    return "parameters in no part"
        return wrong_volume(c, claim) or outside_box(c)


def trajectories(
    loop: Loop, part: dict[str, Any], x: Array, p: Array, rng: np.random.Generator, limits: Any
) -> str | None:
    lower, upper = (unhexed(part["equilibrium"][side]) for side in ("lower", "upper"))
    T, n, m = unhexed(part["core"]["T"]), len(lower), len(unhexed(loop.network["layers"][-1].get("b", [])))
    turns = np.array([any(grid["angles"][i] for grid in part["grids"]) for i in range(n)]) * 2 * np.pi
    rest = 0.5 * (lower + upper)[None]
    for _ in range(MOST):
        rest, before = loop(rest, p), rest
        if np.all(np.abs(rest - before) <= 1e-15 * (1 + np.abs(rest))):
            break
    room = 1e-12 * (1 + np.abs(rest[0])) + 1e-9 * (upper - lower)
    if not (np.all(lower - room <= rest) and np.all(rest <= upper + room)):
        return f"the loop does not rest in the box, but at {rest[0]}"

    def size(x: Array) -> Array:
        away = x - rest
        away = np.where(turns > 0, away - turns * np.rint(away / np.where(turns > 0, turns, 1.0)), away)
        return np.asarray(np.linalg.norm(away @ T.T, axis=1))

    radius = float.fromhex(part["final"][-1]["radius"]) if part.get("final") else 0.0
    goal = radius * (1 + 1e-9) + 1e-9 * (1 + float(np.linalg.norm(T)) * (1 + float(np.abs(rest).max())))
    if limits is not None:
        low, high = (np.array([float(v) if "inf" in v else float.fromhex(v) for v in limits[s]]) for s in limits)
        if not np.all((low - 1e-9 <= x) & (x <= high + 1e-9)):
            return "a set leaves the limits"
    first = size(x)
    for k in range(MOST):
        x = loop(x, p, errors(loop, k, (len(x), m), rng) if loop.error and m else 0.0, loop.single)
        if limits is not None and not np.all((low - 1e-9 <= x) & (x <= high + 1e-9)):
            return "a trajectory leaves the limits"
        if k % STEPS == STEPS - 1:
            now = size(x)
            on = ~(now <= goal)
            if not on.any():
                break
            if not np.all(now[on] < 0.99 * first[on]) or not np.isfinite(now).all():
                return f"a trajectory ends {np.max(now[on]):.3g} from rest, measured by T"
            x, first = x[on], now[on]
    for k in range(50 if loop.disturbed else 0):
        x = loop(x, p, errors(loop, k, (len(x), m), rng) if loop.error and m else 0.0, loop.single)
        if not np.all(size(x) <= goal):
            return "a trajectory leaves the final ball"
    return None


def marked(part: dict[str, Any], grid: int, level: int) -> Array:
    n = len(part["equilibrium"]["lower"])
    marks = np.zeros((2**level,) * n, dtype=bool)
    for (number, at, _, _), flat in zip(part["records"], places(part), strict=True):
        if number == grid:
            coarse = np.zeros((2**at,) * n, dtype=bool)
            coarse.reshape(-1)[flat] = True
            marks |= np.kron(coarse, np.ones((2 ** (level - at),) * n, dtype=bool))
    return marks


def cell_volume(c: dict[str, Any]) -> float:
    """Of the cells of the domain's grid inside the domain, in all parts."""
    parts = c.get("parts", [c])
    level = max((record[1] for part in parts for record in part["records"]), default=0)
    numbers = [part["grid"] if "parts" in c else c["domain"]["grid"] for part in parts]
    marks = np.logical_and.reduce([marked(part, grid, level) for part, grid in zip(parts, numbers, strict=True)])
    grid, total = parts[0]["grids"][numbers[0]], marks.astype(float)
    domain = [unhexed(c["domain"][side]) for side in ("lower", "upper")]
    for low, width, a, b in zip(*(unhexed(grid[key]) for key in ("low", "width")), *domain, strict=True):
        edges = np.clip(low + np.arange(2**level + 1) * (width / 2**level), a, b)
        total = np.tensordot(np.diff(edges), total, axes=1)
    return float(total)


def wrong_volume(c: dict[str, Any], claim: str) -> str | None:
    """The volumes in the claim against those of the cells, of all parts together, and of the ellipsoids."""
    if c["domain"] is None:
        stated = float(re.findall(r"of volume ([^ ]*) or more", claim)[0])
        ball = {1: 2.0, 2: np.pi, 3: 4 * np.pi / 3}[len(c["core"]["center"])]
        sizes = [unhexed(e["radius"]) ** len(e["center"]) / abs(np.linalg.det(unhexed(e["T"]))) for e in
                 [c["core"], *c["ellipsoids"]]]  # fmt: skip
        return "the volume is too large" if stated > ball * max(sizes) * (1 + 1e-8) else None
    total, domain = cell_volume(c), [unhexed(c["domain"][side]) for side in ("lower", "upper")]
    stated = float(re.findall(r"\(volume ([^)]*)\)", claim)[0])
    share = float(re.findall(r"at least ([^ ]*) %", claim)[0]) / 100
    if stated > total * (1 + 1e-8) or share > total / np.prod(domain[1] - domain[0]) * (1 + 1e-8):
        return f"the volume is {total!r}, not {stated!r}"
    return None


def outside_box(c: dict[str, Any]) -> str | None:
    if "box" not in c:
        return None
    corners = np.array(list(itertools.product(*zip(*(unhexed(c["box"][s]) for s in ("lower", "upper")), strict=True))))
    for one in [c["core"], *c["ellipsoids"]]:
        away = (corners - unhexed(one["center"])) @ unhexed(one["T"]).T
        if np.all(np.linalg.norm(away, axis=1) <= unhexed(one["radius"]) * (1 + 1e-12)):
            return None
    return "the box lies in no ellipsoid"
