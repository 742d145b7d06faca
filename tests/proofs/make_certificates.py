"""Valid certificates of every theorem, made with NumPy, SciPy and CVXPY alone: no line of lipctrl is used.

Bounds on the activations are sampled and widened, so they are true with room to spare; what makes a certificate hold
is then decided by the checker under test.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import cvxpy as cp
import numpy as np
from numpy.typing import NDArray
from scipy import linalg, special

Array = NDArray[np.float64]
Layer = tuple[Array, Array] | tuple[str, dict[str, Any]]
Bounds = list[dict[str, Any]]

PHI: dict[str, Callable[..., Array]] = {
    "identity": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x, negative_slope: np.where(x > 0, x, negative_slope * x),
    "elu": lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
    "gelu": lambda x: x * special.ndtr(x),
    "silu": lambda x: x * special.expit(x),
    "softplus": lambda x, beta: np.logaddexp(0, beta * x) / beta,
    "tanh": lambda x: np.tanh(x),
    "sigmoid": lambda x: special.expit(x),
    "hardtanh": lambda x, low, high: np.clip(x, low, high),
}
GLOBAL_SLOPES: dict[str, Callable[..., tuple[float, float]]] = {
    "identity": lambda: (1.0, 1.0),
    "relu": lambda: (0.0, 1.0),
    "leaky_relu": lambda negative_slope: (min(1.0, negative_slope), max(1.0, negative_slope)),
    "elu": lambda alpha: (min(0.0, alpha), max(1.0, alpha)),
    "gelu": lambda: (-0.13, 1.13),
    "silu": lambda: (-0.1, 1.1),
    "softplus": lambda beta: (0.0, 1.0),
    "tanh": lambda: (0.0, 1.0),
    "sigmoid": lambda: (0.0, 0.25),
    "hardtanh": lambda low, high: (0.0, 1.0),
}


def hexed(value: Any) -> Any:
    """Doubles as C99 hexadecimal strings, arrays as nested lists."""
    if isinstance(value, np.ndarray | list | tuple):
        return [hexed(x) for x in value]
    return None if value is None else float(value).hex()


def network_dict(layers: Sequence[Layer]) -> dict[str, Any]:
    out = []
    width = 0
    for first, second in layers:
        if isinstance(first, str):
            parameters = {name: hexed(np.broadcast_to(value, (width,))) for name, value in second.items()}
            out.append({"type": first, "n": width, **parameters})
        else:
            out.append({"type": "affine", "W": hexed(first), "b": hexed(second)})
            width = len(second)
    return {"layers": out}


def plant_dict(
    A: Array, B: Array, C: Array, dt: float, D: Array | None = None, y0: Array | None = None
) -> dict[str, Any]:
    D = np.zeros((len(C), B.shape[1])) if D is None else D
    y0 = np.zeros(len(C)) if y0 is None else y0
    point = {"x0": np.zeros(len(A)), "y0": y0, "u0": np.zeros(B.shape[1])}
    return {
        "dt": hexed(dt),
        **{name: hexed(value) for name, value in {"A": A, "B": B, "C": C, "D": D, **point}.items()},
    }


def mlp(
    rng: np.random.Generator, sizes: Sequence[int], kinds: Sequence[str | tuple[str, dict[str, Any]]]
) -> list[Layer]:
    """Random affine maps with activations between them."""
    layers: list[Layer] = []
    for k, (n_in, n_out) in enumerate(pairwise(sizes)):
        layers.append((rng.normal(size=(n_out, n_in)) / np.sqrt(n_in), 0.3 * rng.normal(size=n_out)))
        if k < len(kinds):
            kind = kinds[k]
            layers.append((kind, {}) if isinstance(kind, str) else kind)
    return layers


def chain(layers: Sequence[Layer]) -> tuple[list[tuple[Array, Array]], list[tuple[str, dict[str, Any]]]]:
    """The layers of a network that already alternates."""
    return layers[0::2], layers[1::2]  # type: ignore[return-value]


def evaluate(layers: Sequence[Layer], x: Array) -> Array:
    for first, second in layers:
        x = PHI[first](x, **second) if isinstance(first, str) else first @ x + second
    return x


def one(parameters: dict[str, Any], i: int) -> dict[str, float]:
    """The parameters of one neuron."""
    return {name: float(np.atleast_1d(value)[min(i, np.size(value) - 1)]) for name, value in parameters.items()}


def global_bounds(layers: Sequence[Layer]) -> Bounds:
    affine, nonlinear = chain(layers)
    return [
        {
            "range": None,
            "slope": [GLOBAL_SLOPES[kind](**one(parameters, i)) for i in range(len(b))],
            "relaxation": None,
        }
        for (_, b), (kind, parameters) in zip(affine, nonlinear, strict=False)
    ]


def local_bounds(
    layers: Sequence[Layer], center: Array, ball_generators: Array, box: Array, sector: bool = False, relax: bool = True
) -> Bounds:
    """Ranges from affine forms in floating point, slopes and relaxations from samples, all widened."""
    affine, nonlinear = chain(layers)
    c, G, H, r, star = center, ball_generators, np.diag(box), np.zeros(len(center)), center
    bounds = []
    for (W, b), (kind, parameters) in zip(affine, nonlinear, strict=False):
        c, G, H, r, star = W @ c + b, W @ G, W @ H, np.abs(W) @ r, W @ star + b
        reach = np.sqrt((G**2).sum(axis=1)) + np.abs(H).sum(axis=1) + r + 1e-9
        ranges, slopes, relaxation = [], [], []
        for i in range(len(b)):
            lo, hi = c[i] - reach[i], c[i] + reach[i]
            x = np.linspace(lo, hi, 1001)
            y = PHI[kind](x, **one(parameters, i))
            secants = np.diff(y) / np.diff(x)
            if sector:
                far = np.abs(x - star[i]) > 1e-4
                start = PHI[kind](star[i], **one(parameters, i))
                near = (PHI[kind](star[i] + 1e-5, **one(parameters, i)) - start) / 1e-5
                secants = np.append((y[far] - start) / (x[far] - star[i]), near)
            slack = 1e-3 + (hi - lo) / 500
            low, high = secants.min() - slack, secants.max() + slack
            if high - low < 3 * slack and kind in ("identity", "relu", "hardtanh"):
                low = high = float(np.round(secants[0]))
            lam = (y[-1] - y[0]) / (hi - lo)
            rest = y - lam * x
            mu, delta = (rest.max() + rest.min()) / 2, (rest.max() - rest.min()) / 2 + 1e-3 * (hi - lo)
            ranges.append((lo, hi))
            slopes.append((low, high))
            relaxation.append((lam, mu, delta))
        lam_, mu_, delta_ = np.array(relaxation).T
        if relax:
            c, G, H, r = lam_ * c + mu_, lam_[:, None] * G, lam_[:, None] * H, np.abs(lam_) * r + delta_ + 1e-9
        else:
            ends = [PHI[kind](np.linspace(*x, 1001), **one(parameters, i)) for i, x in enumerate(ranges)]
            c = np.array([(y.max() + y.min()) / 2 for y in ends])
            G, H = np.zeros((len(c), 0)), np.zeros((len(c), 0))
            r = np.array([(y.max() - y.min()) / 2 + 1e-4 for y in ends])
        star = PHI[kind](star, **parameters)
        bounds.append({"range": ranges, "slope": slopes, "relaxation": relaxation if relax else None})
    return bounds


def neurons(layers: Sequence[Layer], bounds: Bounds, base: Array) -> tuple[list[Array], list[Array], Array]:
    """Dense rows a_i, b_i of the nonlinear neurons and the output rows z over (base signals, neurons)."""
    affine, _ = chain(layers)
    slopes = [np.array(layer["slope"], dtype=float) for layer in bounds]
    n = base.shape[1] + sum(int((s[:, 0] != s[:, 1]).sum()) for s in slopes)
    signal = np.hstack([base, np.zeros((len(base), n - base.shape[1]))])
    a, b, next_column = [], [], base.shape[1]
    for (W, _), slope in zip(affine, slopes, strict=False):
        v = W @ signal
        signal = np.zeros_like(v)
        for i, (alpha, beta) in enumerate(slope):
            if alpha == beta:
                signal[i] = alpha * v[i]
                continue
            signal[i, next_column] = 1.0
            next_column += 1
            a.append(signal[i] - alpha * v[i])
            b.append(signal[i] - beta * v[i])
    return a, b, affine[-1][0] @ signal


def per_neuron(bounds: Bounds, t: Array) -> list[list[float]]:
    """Multipliers of the nonlinear neurons, with zeros for the others."""
    values = iter(t)
    return [[0.0 if alpha == beta else float(next(values)) for alpha, beta in layer["slope"]] for layer in bounds]


def lipschitz_fields(
    layers: Sequence[Layer],
    bounds: Bounds,
    input_set: dict[str, Any] | None = None,
    K: Array | None = None,
    D_u: Array | None = None,
    D_y: Array | None = None,
) -> dict[str, Any]:
    n = chain(layers)[0][0][0].shape[1]
    a, b, z = neurons(layers, bounds, np.eye(n))
    E = np.eye(n, z.shape[1])
    gap = (np.ones(len(z)) if D_u is None else D_u)[:, None] * (z - (0 if K is None else K @ E))
    norm = ((np.ones(n) if D_y is None else D_y)[:, None] * E) ** 2
    t, rho = cp.Variable(len(a), nonneg=True), cp.Variable()
    M = rho * np.diag(norm.sum(axis=0)) - gap.T @ gap
    for i, (left, right) in enumerate(zip(a, b, strict=True)):
        M = M + t[i] * (np.outer(left, right) + np.outer(right, left))
    cp.Problem(cp.Minimize(rho), [M >> 1e-5 * np.eye(z.shape[1])]).solve(solver="CLARABEL")
    rho_value = float(rho.value) * (1 + 1e-5)
    return {
        "input_set": None if input_set is None else {name: hexed(value) for name, value in input_set.items()},
        "bounds": hexed_bounds(bounds),
        "multipliers": hexed(per_neuron(bounds, np.maximum(t.value, 0))),
        "rho": hexed(rho_value),
        "shift": hexed(K),
        "output_weight": hexed(D_u),
        "input_weight": hexed(D_y),
        "upper": hexed(float(np.nextafter(np.sqrt(rho_value), np.inf))),
    }


def large_lipschitz(rng: np.random.Generator, sizes: Sequence[int], local: bool = False) -> dict[str, Any]:
    """A tanh policy of any size with multipliers from norms, scattered: nothing is optimised."""
    layers = mlp(rng, sizes, ["tanh"] * (len(sizes) - 2))
    n = sizes[0]
    box = {"center": np.zeros(n), "ball_generators": np.zeros((n, 0)), "box": np.full(n, 0.3)}
    bounds = local_bounds(layers, **box) if local else global_bounds(layers)
    a, b, z = neurons(layers, bounds, np.eye(n))
    weights = [W for W, _ in chain(layers)[0]]
    Q, t = weights[-1].T @ weights[-1], []
    for W in weights[-2::-1]:
        scale = 1.2 * np.linalg.eigvalsh(Q)[-1] * (1 + 0.01 * rng.random(len(Q)))
        t.insert(0, scale)
        Q = W.T @ (scale[:, None] * np.linalg.solve(2 * np.diag(scale) - Q, np.diag(scale))) @ W
    values, rho = np.concatenate(t), 1.2 * np.linalg.eigvalsh(Q)[-1]
    M = np.array(a).T @ (values[:, None] * np.array(b))
    M = M + M.T - z.T @ z
    inner = M[n:, n:]
    rho = max(rho, 1.01 * np.linalg.eigvalsh(M[:n, n:] @ np.linalg.solve(inner, M[n:, :n]) - M[:n, :n])[-1])
    fields = {
        "input_set": {name: hexed(value) for name, value in box.items()} if local else None,
        "bounds": hexed_bounds(bounds),
        "multipliers": hexed(per_neuron(bounds, values)),
        "rho": hexed(rho),
        "shift": None,
        "output_weight": None,
        "input_weight": None,
        "upper": hexed(float(np.nextafter(np.sqrt(rho), np.inf))),
    }
    return certificate("lipschitz", network=network_dict(layers), **fields)


def hexed_bounds(bounds: Bounds) -> list[dict[str, Any]]:
    return [{name: hexed(value) for name, value in layer.items()} for layer in bounds]


def hinf_fields(
    plant: dict[str, Any],
    K: Array | None = None,
    D_u: Array | None = None,
    D_y: Array | None = None,
    slack: float = 1.01,
) -> dict[str, Any]:
    A, B, C, D = (unhexed(plant[name]) for name in "ABCD")
    n, m = B.shape
    A = A if K is None else A + B @ K @ C
    W_u, W_y = np.ones(m) if D_u is None else D_u, np.ones(len(C)) if D_y is None else D_y
    P, g = cp.Variable((n, n), symmetric=True), cp.Variable()
    Q = np.diag(W_y**2)
    if unhexed(plant["dt"]) > 0:
        blocks = [
            [P - A.T @ P @ A - C.T @ Q @ C, -A.T @ P @ B - C.T @ Q @ D],
            [-B.T @ P @ A - D.T @ Q @ C, g * np.diag(W_u**2) - B.T @ P @ B - D.T @ Q @ D],
        ]
    else:
        blocks = [
            [-(A.T @ P + P @ A) - C.T @ Q @ C, -P @ B - C.T @ Q @ D],
            [-B.T @ P - D.T @ Q @ C, g * np.diag(W_u**2) - D.T @ Q @ D],
        ]
    M = cp.bmat(blocks)
    problem = cp.Problem(cp.Minimize(g), [(M + M.T) / 2 >> 1e-6 * np.eye(n + m), P >> 1e-6 * np.eye(n)])
    problem.solve(solver="CLARABEL")
    problem = cp.Problem(cp.Maximize(cp.lambda_min((M + M.T) / 2)), [g <= slack * float(g.value)])
    problem.solve(solver="CLARABEL")
    return {
        "shift": hexed(K),
        "output_weight": hexed(D_u),
        "input_weight": hexed(D_y),
        "P": hexed((P.value + P.value.T) / 2),
        "gamma": hexed(float(np.sqrt(float(g.value)) * (1 + 1e-9))),
    }


def unhexed(value: Any) -> Any:
    return np.array([unhexed(x) for x in value]) if isinstance(value, list) else float.fromhex(value)


def lyapunov_fields(plant: dict[str, Any], layers: Sequence[Layer], bounds: Bounds, G: Array | None) -> dict[str, Any]:
    """P and multipliers for bounds that hold on {C G z}, with level 1."""
    A, B, C = (unhexed(plant[name]) for name in "ABC")
    n = len(A)
    a, b, z = neurons(layers, bounds, C)
    size = z.shape[1]
    E, F = np.eye(n, size), B @ z
    F[:, :n] += A
    P, t = cp.Variable((n, n), symmetric=True), cp.Variable(len(a), nonneg=True)
    M = E.T @ P @ E - F.T @ P @ F if unhexed(plant["dt"]) > 0 else -(F.T @ P @ E + E.T @ P @ F)
    for i, (left, right) in enumerate(zip(a, b, strict=True)):
        M = M + t[i] * (np.outer(left, right) + np.outer(right, left))
    constraints = [M >> 1e-4 * np.eye(size), P >> 1e-3 * np.eye(n)]
    if G is not None:
        constraints.append(G.T @ P @ G >> 1.001 * np.eye(n))
    problem = cp.Problem(cp.Minimize(cp.trace(P)), constraints)
    problem.solve(solver="CLARABEL")
    if problem.status != "optimal":
        raise RuntimeError(f"no Lyapunov function: {problem.status}")
    P_value = (P.value + P.value.T) / 2
    return {
        "P": hexed(P_value),
        "level": None if G is None else hexed(1.0),
        "generators": hexed(G),
        "bounds": hexed_bounds(bounds),
        "multipliers": hexed(per_neuron(bounds, np.maximum(t.value, 0))),
    }


def certificate(theorem: str, **fields: Any) -> dict[str, Any]:
    return {
        "format": "lipctrl-certificate",
        "version": 1,
        "theorem": theorem,
        **fields,
        "claim": "everything is stable",
        "assumptions": ["none"],
        "information": {"seconds": 0.25, "solver": "CLARABEL"},
    }


MIXED: list[str | tuple[str, dict[str, Any]]] = [
    ("hardtanh", {"low": np.array([-10.0, -1.0, -np.inf]), "high": np.array([10.0, 0.5, 2.0])}),
    "gelu",
    "silu",
    ("elu", {"alpha": np.array([1.5, 1.0, 0.7])}),
    ("softplus", {"beta": 2.0}),
    ("leaky_relu", {"negative_slope": 0.125}),
    "sigmoid",
    "relu",
    "identity",
    "tanh",
]


def lipschitz_certificates(rng: np.random.Generator) -> dict[str, dict[str, Any]]:
    small = mlp(rng, (2, 4, 3, 1), ("tanh", "relu"))
    mixed = mlp(rng, (3,) * 11 + (2,), MIXED)
    box = {"center": np.array([0.3, -0.2]), "ball_generators": np.zeros((2, 0)), "box": np.array([0.5, 0.25])}
    both = {
        "center": np.array([0.3, -0.2, 0.1]),
        "ball_generators": 0.2 * rng.normal(size=(3, 2)),
        "box": np.array([0.1, 0.0, 0.2]),
    }
    K, D_u, D_y = np.array([[0.3, -0.1]]), np.array([0.5]), np.array([1.0, 3.0])
    on_box = local_bounds(small, **box)
    pieces = {
        "global": (small, lipschitz_fields(small, global_bounds(small))),
        "shifted": (small, lipschitz_fields(small, global_bounds(small), None, K, D_u, D_y)),
        "box": (small, lipschitz_fields(small, on_box, box, K, D_u, D_y)),
        "intervals": (small, lipschitz_fields(small, local_bounds(small, **box, relax=False), box)),
        "mixed-global": (mixed, lipschitz_fields(mixed, global_bounds(mixed))),
        "mixed-local": (mixed, lipschitz_fields(mixed, local_bounds(mixed, **both), both)),
    }
    return {
        f"lipschitz-{name}": certificate("lipschitz", network=network_dict(layers), **fields)
        for name, (layers, fields) in pieces.items()
    }


def stable_plant(dt: float) -> dict[str, Any]:
    A = np.array([[0.9, 0.1], [-0.1, 0.8]]) if dt else np.array([[-1.0, 1.0], [-1.0, -0.5]])
    return plant_dict(A, np.array([[0.0], [0.25]]), np.eye(2), dt, y0=np.array([0.25, -0.5]))


def unstable_plant() -> dict[str, Any]:
    return plant_dict(np.array([[1.05, 0.1], [0.1, 0.95]]), np.array([[0.0], [0.5]]), np.eye(2), 0.05)


def stabilising(rng: np.random.Generator) -> list[Layer]:
    """A small tanh policy whose Jacobian at 0 is about -K of a linear-quadratic regulator."""
    A, B = unhexed(unstable_plant()["A"]), unhexed(unstable_plant()["B"])
    S = linalg.solve_discrete_are(A, B, np.eye(2), np.eye(1))
    gain = np.linalg.solve(np.eye(1) + B.T @ S @ B, B.T @ S @ A)
    W0 = rng.normal(size=(4, 2)) * 0.3
    W1 = -gain @ np.linalg.pinv(W0)
    return [(W0, np.zeros(4)), ("tanh", {}), (W1, np.zeros(1))]


def loop_certificates(rng: np.random.Generator) -> dict[str, dict[str, Any]]:
    out = {}
    K = np.array([[0.1, -0.2]])
    D_u, D_y = np.array([2.0]), np.array([1.0, 0.5])
    through = plant_dict(np.array([[0.5]]), np.array([[1.0]]), np.array([[2.0]]), 0.1, np.array([[0.25]]))
    for name, plant, shift, D_u_, D_y_ in (
        ("discrete", stable_plant(0.1), K, D_u, D_y),
        ("continuous", stable_plant(0.0), K, None, None),
        ("feedthrough", through, None, None, None),
    ):
        out[f"hinf-{name}"] = certificate("hinf_norm", plant=plant, **hinf_fields(plant, shift, D_u_, D_y_))
    small = mlp(rng, (2, 4, 1), ("tanh",))
    small[2] = (0.15 * small[2][0], small[2][1])  # type: ignore[operator]
    for name, dt in (("discrete", 0.1), ("continuous", 0.0)):
        plant = stable_plant(dt)
        fields = {"lipschitz": lipschitz_fields(small, global_bounds(small)), "hinf": hinf_fields(plant), "level": None}
        out[f"small-gain-global-{name}"] = certificate("small_gain", network=network_dict(small), plant=plant, **fields)
        out[f"lyapunov-global-{name}"] = certificate(
            "lyapunov", network=network_dict(small), plant=plant,
            **lyapunov_fields(plant, small, global_bounds(small), None),
        )  # fmt: skip
    policy, plant = stabilising(rng), unstable_plant()
    network = network_dict(policy)
    J = policy[2][0] @ policy[0][0]  # type: ignore[operator]
    half = np.array([0.25, 0.25])
    box = {"center": np.zeros(2), "ball_generators": np.zeros((2, 0)), "box": half}
    hinf = hinf_fields(plant, 0.95 * J, slack=1.2)
    lipschitz = lipschitz_fields(policy, local_bounds(policy, **box), box, 0.95 * J)
    P = unhexed(hinf["P"])
    level = 0.999 * min(half**2 / np.diag(np.linalg.inv(P)))
    out["small-gain-local"] = certificate(
        "small_gain", network=network, plant=plant, lipschitz=lipschitz, hinf=hinf, level=hexed(level)
    )
    closed = unhexed(plant["A"]) + unhexed(plant["B"]) @ J
    P = linalg.solve_discrete_lyapunov(closed.T, np.eye(2))
    G = 0.8 * np.linalg.inv(linalg.sqrtm(P))
    bounds = local_bounds(policy, np.zeros(2), G, np.zeros(2), sector=True)
    out["lyapunov-local"] = certificate(
        "lyapunov", network=network, plant=plant, **lyapunov_fields(plant, policy, bounds, G)
    )
    for name, dt in (("discrete", 0.05), ("continuous", 0.0)):
        A = unhexed(plant["A"]) if dt else np.array([[0.5, 1.0], [0.0, -1.0]])
        unstable = plant_dict(A, np.array([[0.0], [0.05]]), np.eye(2), dt, y0=np.array([0.1, 0.2]))
        (W0, b0), (W1, _) = chain(small)[0]
        jacobian = W1 @ ((1 - np.tanh(W0 @ [0.1, 0.2] + b0) ** 2)[:, None] * W0)
        M = A + np.array([[0.0], [0.05]]) @ jacobian
        P = linalg.solve_discrete_lyapunov(M.T, np.eye(2)) if dt else linalg.solve_continuous_lyapunov(M.T, -np.eye(2))
        P = (P + P.T) / 2
        direction = np.linalg.eigh(P)[1][:, 0]
        out[f"instability-{name}"] = certificate(
            "instability", network=network_dict(small), plant=unstable, P=hexed(P), direction=hexed(direction)
        )
    return out


def all_certificates() -> dict[str, dict[str, Any]]:
    """Every kind of certificate by name; each must be accepted."""
    rng = np.random.default_rng(20)
    return {**lipschitz_certificates(rng), **loop_certificates(rng)}
