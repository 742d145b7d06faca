"""The exact checker: the matrix of each theorem, number by number, against dense exact algebra."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from lipctrl.proofs import check as ck
from lipctrl.proofs.check import Matrix, Rejected, Symmetric
from tests.proofs.parts_for_tests import accepted, affine, hexed, network, neurons

F = Fraction
Slopes = list[list[tuple[float, float]]]
SIZES = (2, 3, 5, 2)
SLOPES: Slopes = [
    [(-0.5, 1.0), (-1.0, -1.0), (0.25, 0.75)],
    [(0.0, 0.0), (0.5, 0.5), (-1.0, 0.0), (0.0, 1.0), (0.125, 2.0)],
]
"""Curved neurons, and others exactly -1, 0 and 1/2 times their input."""


def fraction_array(x: Any) -> Any:
    return np.array([[F(float(v)) for v in row] for row in np.atleast_2d(np.asarray(x, dtype=float))], dtype=object)


def dense(symmetric: Symmetric) -> Any:
    rows, exponent = symmetric.lower()
    out = np.full((len(rows), len(rows)), F(0), dtype=object)
    for i, row in enumerate(rows):
        for j, x in enumerate(row, i + 1 - len(row)):
            out[i, j] = out[j, i] = F(x) * F(2) ** exponent
    return out


@pytest.fixture
def proved(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What is called positive definite, by name; bounds are believed."""
    found: dict[str, Any] = {}
    monkeypatch.setattr(ck, "prove_bounds", lambda *_: None)
    monkeypatch.setattr(Symmetric, "prove_positive", lambda self, what: found.update({what: dense(self)}))
    return found


class Problem:
    """A network with given slopes: rows a, b, z over (base signal, curved neurons), all exact."""

    def __init__(self, seed: int, base: int, sizes: tuple[int, ...] = SIZES, slopes: Slopes = SLOPES) -> None:
        rng = np.random.default_rng(seed)
        self.rng = rng
        self.W = [rng.integers(-9, 10, (m, n)) / 4 for n, m in zip(sizes[:-1], sizes[1:], strict=True)]
        layers = [layer for k, W in enumerate(self.W) for layer in (affine(W), neurons("tanh", sizes[k + 1]))][:-1]
        self.network = ck.read_network(network(*layers))
        self.bounds = [{"range": None, "slope": hexed(layer), "relaxation": None} for layer in slopes]
        self.t = [2.0 ** rng.integers(-3, 4, len(layer)) for layer in slopes]
        self.base = base
        curved = [(k, i) for k, layer in enumerate(slopes) for i, (a, b) in enumerate(layer) if a != b]
        self.size = base + len(curved)
        self.curved, self.slopes = curved, slopes

    def rows(self, first: Any) -> tuple[Any, Any]:
        """The sum of t (a b' + b a') and z, the input of the network being `first` times the base signal."""
        signal = np.hstack([first, np.full((len(first), self.size - self.base), F(0), dtype=object)])
        N = np.full((self.size, self.size), F(0), dtype=object)
        column = self.base
        self.inputs = []
        for k, layer in enumerate(self.slopes):
            v = fraction_array(self.W[k]) @ signal
            signal = 0 * v
            for i, (alpha, beta) in enumerate(layer):
                if alpha == beta:
                    signal[i] = F(alpha) * v[i]
                    continue
                signal[i, column] = F(1)
                column += 1
                a, b = signal[i] - F(alpha) * v[i], signal[i] - F(beta) * v[i]
                self.inputs.append(v[i])
                if k < len(self.slopes) - 1 or not self.eliminated:
                    N = N + F(self.t[k][i]) * (np.outer(a, b) + np.outer(b, a))
        return N, fraction_array(self.W[-1]) @ signal

    eliminated = False


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("eliminated", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_the_lipschitz_inequality(proved: dict[str, Any], seed: int, eliminated: bool, shifted: bool) -> None:
    """rho D_y^2 + N(t) - |D_u (z - K x)|^2; or with the last layer eliminated, y for it:

    for each of its neurons 2 t (e - alpha v)(e - beta v) + 2 e (Z'y) at its least e, and |y|^2 + 2 y'(z without e).
    """
    slopes = SLOPES if eliminated else [SLOPES[1], SLOPES[0]]
    sizes = SIZES if eliminated else (2, 5, 3, 2)
    problem = Problem(seed, 2, sizes, slopes)
    problem.eliminated = eliminated
    N, z = problem.rows(fraction_array(np.eye(2)))
    D_u, D_y = np.array([0.5, 3.0]), np.array([2.0, 0.25])
    K = problem.rng.integers(-4, 5, (2, 2)) / 2
    rho = 2.75
    fields = {
        "input_set": None, "bounds": problem.bounds, "multipliers": hexed(problem.t), "rho": rho.hex(),
        "shift": hexed(K) if shifted else None, "output_weight": hexed(D_u), "input_weight": hexed(D_y),
        "upper": (1.75).hex(),
    }  # fmt: skip
    upper, scaling, region = ck.prove_lipschitz(fields, problem.network)
    assert (upper, region) == (1.75, None) and scaling.output_weight == [F(1, 2), 3]
    if shifted:
        z[:, :2] = z[:, :2] - fraction_array(K)
    z = fraction_array(D_u).T * z
    n = problem.size
    for i in range(2):
        N[i, i] += F(rho) * F(D_y[i]) ** 2
    if not eliminated:
        assert (proved["the Lipschitz inequality"] == N - z.T @ z).all()
        return
    last = [(i, k) for i, (k, _) in enumerate(problem.curved) if k == 1]
    start = 2 + last[0][0]
    M = np.full((start + 2, start + 2), F(0), dtype=object)
    M[:start, :start] = N[:start, :start]
    M[start:, start:] = fraction_array(np.eye(2))
    M[start:, :start] = z[:, :start]
    for place, (i, k) in enumerate(last):
        alpha, beta = (F(x) for x in problem.slopes[k][problem.curved[i][1]])
        t, v, Z = F(problem.t[k][problem.curved[i][1]]), problem.inputs[i][:start], z[:, start + place]
        M[:start, :start] = M[:start, :start] - t / 2 * (beta - alpha) ** 2 * np.outer(v, v)
        M[start:, :start] = M[start:, :start] + (alpha + beta) / 2 * np.outer(Z, v)
        M[start:, start:] = M[start:, start:] - np.outer(Z, Z) / (2 * t)
    M[:start, start:] = M[start:, :start].T
    assert n > start + 2 and (proved["the Lipschitz inequality"] == M).all()
    negative = [problem.t[0], np.where(np.arange(5) == 3, 0.0, problem.t[1])]
    with pytest.raises(Rejected, match="layer 2: a multiplier is not positive"):
        ck.prove_lipschitz(fields | {"multipliers": hexed(negative)}, problem.network)


def plant_of(rng: np.random.Generator, dt: float, n: int = 3, m: int = 2, p: int = 2, through: float = 0.0) -> Any:
    A, B, C = (rng.integers(-9, 10, shape) / 8 for shape in ((n, n), (n, m), (p, n)))
    D = through * rng.integers(-9, 10, (p, m)) / 8
    fields = {"A": A, "B": B, "C": C, "D": D, "x0": np.zeros(n), "y0": np.zeros(p), "u0": np.zeros(m)}
    plant = ck.read_plant({name: hexed(value) for name, value in fields.items()} | {"dt": dt.hex()})
    return plant, *(fraction_array(M) for M in (A, B, C, D))


def symmetric_of(rng: np.random.Generator, n: int) -> Any:
    P = rng.integers(-9, 10, (n, n)) / 4
    return P + P.T + 20 * np.eye(n)


@pytest.mark.parametrize("dt", [0.0, 0.5])
@pytest.mark.parametrize("shifted", [False, True])
def test_the_bounded_real_inequality(proved: dict[str, Any], dt: float, shifted: bool) -> None:
    rng = np.random.default_rng(3)
    plant, A, B, C, D = plant_of(rng, dt, p=4, through=0.0 if shifted else 1.0)
    P_ = symmetric_of(rng, 3)
    P, D_u, D_y = fraction_array(P_), np.array([0.5, 3.0]), np.array([2.0, 0.25, 1.5, 1.0])
    K = rng.integers(-4, 5, (2, 4)) / 2
    fields = {
        "shift": hexed(K) if shifted else None, "output_weight": hexed(D_u), "input_weight": hexed(D_y),
        "P": hexed(P_), "gamma": (1.25).hex(),
    }  # fmt: skip
    gamma, scaling, returned = ck.prove_hinf(fields, plant)
    assert gamma == 1.25 and (fraction_array(ck._floats(returned)) == P).all() and scaling.input_weight[2] == F(3, 2)
    A = A + B @ fraction_array(K) @ C if shifted else A
    Q, R = np.diag(fraction_array(D_y**2)[0]), F(25, 16) * np.diag(fraction_array(D_u**2)[0])
    if dt:
        rows = [[P - A.T @ P @ A - C.T @ Q @ C, -A.T @ P @ B - C.T @ Q @ D],
                [-B.T @ P @ A - D.T @ Q @ C, R - B.T @ P @ B - D.T @ Q @ D]]  # fmt: skip
    else:
        rows = [[-(A.T @ P + P @ A) - C.T @ Q @ C, -P @ B - C.T @ Q @ D], [-B.T @ P - D.T @ Q @ C, R - D.T @ Q @ D]]
    assert (proved["P"] == P).all() and (proved["the bounded-real inequality"] == np.block(rows)).all()


@pytest.mark.parametrize("dt", [0.0, 0.5])
@pytest.mark.parametrize("errors", [False, True])
def test_the_lyapunov_inequality(proved: dict[str, Any], dt: float, errors: bool) -> None:
    """E'PE - F'PF + N(t), or -(F'PE + E'PF) + N(t), less eta P; and G'PG - level."""
    rng = np.random.default_rng(4)
    plant, A, B, C, _ = plant_of(rng, dt)
    P_, G_ = symmetric_of(rng, 3), rng.integers(-9, 10, (3, 3)) / 4
    P, G = fraction_array(P_), fraction_array(G_)
    problem = Problem(5, 3)
    N, z = problem.rows(C)
    fields = {
        "P": hexed(P_), "level": (1.5).hex(), "generators": hexed(G_), "bounds": problem.bounds,
        "multipliers": hexed(problem.t),
    }  # fmt: skip
    disturbed = {"action_error": (0.0).hex(), "arithmetic": "real", "decay": (0.375).hex(), "radius": (1.0).hex()}
    level, _, found = ck.prove_lyapunov(fields, problem.network, plant, disturbed if errors else None)
    assert level == 1.5 and (found is not None) == errors
    E = np.hstack([fraction_array(np.eye(3)), np.full((3, problem.size - 3), F(0), dtype=object)])
    Fm = B @ z + A @ E
    M = E.T @ P @ E - Fm.T @ P @ Fm if dt else -(Fm.T @ P @ E + E.T @ P @ Fm)
    expected = M + N - (F(3, 8) * E.T @ P @ E if errors else 0)
    assert (proved["the Lyapunov inequality"] == expected).all() and (proved["P"] == P).all()
    inclusion = G.T @ P @ G - F(3, 2) * fraction_array(np.eye(3))
    assert (proved["the inclusion of the region"] == inclusion).all()


def test_the_faces_of_small_gain(proved: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """P half_i^2 - level c_i' c_i for each observation that sees the state, by its own name."""
    rng = np.random.default_rng(6)
    plant, *_ = plant_of(rng, 1.0, p=4)
    C = [[1.0, 0.5, -2.0], [0.0, 0.0, 0.0], [0.0, 3.0, 0.25], [1.0, 0.0, 0.0]]
    fields = {"A": 0.5 * np.eye(3), "B": np.ones((3, 2)), "C": C, "D": np.zeros((4, 2)), "x0": np.zeros(3),
              "y0": [1.0, 2.0, 3.0, 4.0], "u0": np.zeros(2)}  # fmt: skip
    plant = ck.read_plant({name: hexed(value) for name, value in fields.items()} | {"dt": (1.0).hex()})
    P_ = symmetric_of(rng, 3)
    policy = ck.read_network(network(affine(np.ones((3, 4))), neurons("tanh", 3), affine(np.ones((2, 3)))))
    half = [0.5, 0.25, 3.0, 1.5]
    bounds = [{"range": hexed([[-9.0, 99.0]] * 3), "slope": hexed([[0.0, 1.0]] * 3), "relaxation": None}]
    lipschitz = {
        "input_set": {"center": hexed([1.0, 2.0, 3.0, 4.0]), "ball_generators": [[]] * 4, "box": hexed(half)},
        "bounds": bounds, "multipliers": [hexed([1.0] * 3)], "rho": (0.25).hex(), "shift": None,
        "output_weight": None, "input_weight": None, "upper": (0.5).hex(),
    }  # fmt: skip
    hinf = {"shift": None, "output_weight": None, "input_weight": None, "P": hexed(P_), "gamma": (2.0).hex()}
    whole = {"lipschitz": lipschitz, "hinf": hinf, "level": (0.75).hex()}
    level, _, words = ck.prove_small_gain(whole, policy, plant)
    assert level == 0.75 and words == "gain of the plant 2.0 times that of the policy 0.5 is at most 1"
    c = fraction_array(C)
    for i in (0, 2, 3):
        name = f"the inclusion of the region between the faces of observation {i + 1}"
        face = fraction_array(P_) * F(half[i]) ** 2 - F(3, 4) * np.outer(c[i], c[i])
        assert (proved[name] == face).all()
    assert not any("observation 2" in name for name in proved)
    for change in ({"gamma": np.nextafter(2.0, 3.0).hex()}, {"shift": hexed(np.eye(2, 4))}):
        assert not accepted(lambda c=change: ck.prove_small_gain(whole | {"hinf": hinf | c}, policy, plant))
    for k in range(4):
        moved = [1.0, 2.0, 3.0, 4.0]
        moved[k] = np.nextafter(moved[k], 9.0)
        for own in ({"center": hexed(moved)}, {"ball_generators": hexed([[0.0]] * 4)}):
            changed = lipschitz | {"input_set": lipschitz["input_set"] | own}
            with pytest.raises(Rejected, match="a box about y0"):
                ck.prove_small_gain(whole | {"lipschitz": changed}, policy, plant)
    for change in ({"level": None}, {"lipschitz": lipschitz | {"input_set": None}}):
        with pytest.raises(Rejected, match="must both be null"):
            ck.prove_small_gain(whole | change, policy, plant)


@pytest.mark.parametrize("dt", [0.0, 0.5])
def test_the_instability_inequality(monkeypatch: pytest.MonkeyPatch, dt: float) -> None:
    """P - M'PM, or -(M'P + PM), with |what J - gain adds| at most radius; the direction decided exactly."""
    rng = np.random.default_rng(7)
    plant, A, B, C, _ = plant_of(rng, dt, p=4)
    policy = ck.read_network(network(affine(np.ones((2, 4)))))
    gain, spread = rng.integers(-9, 10, (2, 4)) / 4, rng.integers(0, 10, (2, 4)) / 4
    asked: list[Any] = []
    monkeypatch.setattr(ck, "jacobian", lambda *_: (Matrix.of(gain.tolist(), 4), Matrix.of(spread.tolist(), 4)))
    monkeypatch.setattr(ck, "positive_definite", lambda *given: asked.append(given) is None)
    P_ = symmetric_of(rng, 3) - 40 * np.eye(3)
    ck.prove_instability({"P": hexed(P_), "direction": hexed([1.0, 0.5, -0.25])}, policy, plant)
    P, J, S = (fraction_array(M) for M in (P_, gain, spread))
    M, R = A + B @ J @ C, abs(B) @ S @ abs(C)
    if dt:
        matrix = P - M.T @ P @ M
        radius = abs(M).T @ abs(P) @ R + R.T @ abs(P) @ abs(M) + R.T @ abs(P) @ R
    else:
        matrix, radius = -(M.T @ P + P @ M), R.T @ abs(P) + abs(P) @ R
    ((lower, exponent, wide),) = asked
    scale = F(2) ** exponent
    assert [[x * scale for x in row] for row in lower] == [list(row[: i + 1]) for i, row in enumerate(matrix)]
    assert [[x * scale for x in row] for row in wide] == [list(row) for row in radius]
    tiny = 2.0**-60
    flat = {"P": hexed([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 5.0]])}
    for direction, negative in (([1.0, -tiny, 0.0], True), ([1.0, 0.0, 0.0], False), ([1.0, tiny, 0.0], False),
                                ([1.0, -1.0, 1.0], False), ([-1.0, 2.0, 0.5], True)):  # fmt: skip
        fields = flat | {"direction": hexed(direction)}
        assert accepted(lambda fields=fields: ck.prove_instability(fields, policy, plant)) is negative
    monkeypatch.setattr(ck, "positive_definite", lambda *given: False)
    assert not accepted(
        lambda: ck.prove_instability({"P": hexed(P_), "direction": hexed([1.0, 0.0, 0.0])}, policy, plant)
    )


def test_disturbances_are_weighed_action_by_action() -> None:
    """B'PB = [4 -2; -2 12] and errors 1/2, 1/4: 1 + 1/2 + 3/4 = (eta r / 2)^2 at eta = 3/4, r = 4, r^2 = 16."""
    plant = ck.read_plant(
        {"A": hexed(np.eye(2)), "B": hexed([[2.0, -1.0], [0.0, 1.0]]), "C": hexed([[1.0, 0.0]]),
         "D": hexed([[0.0, 0.0]]), "dt": (1.0).hex(), "x0": hexed([0.0, 0.0]), "y0": hexed([0.0]),
         "u0": hexed([0.0, 0.0])}
    )  # fmt: skip
    P = ck._symmetric(hexed([[1.0, 0.0], [0.0, 11.0]]), 2, "P")
    hair = F(1, 2**60)

    def proves(*rounding: Fraction, level: float = 16.0, **change: str) -> bool:
        fields = {"action_error": (0.125).hex(), "arithmetic": "float32", "decay": (0.75).hex(), "radius": (4.0).hex()}
        return accepted(lambda: ck.prove_disturbed(fields | change, level, P, plant, lambda tails: list(rounding)))

    just = F(3, 8), F(1, 8)
    assert proves(just[0] - hair, just[1]) and proves(just[0], just[1] - hair) and not proves(*just)
    assert not proves(just[1], just[0]) and proves(just[0] - hair, just[1], level=16.0)
    assert not proves(F(0), F(0), level=float(np.nextafter(16.0, 0)))
    assert proves(*just, radius=(4.0 + 2**-40).hex(), level=17.0) and proves(*just, decay=(0.75 + 2**-40).hex())
    assert not proves(*just, action_error=(0.125 - 2**-40).hex(), radius=(3.9).hex())
    assert proves(*just, action_error=(0.125 - 2**-40).hex())
    fields = {"action_error": (0.125).hex(), "arithmetic": "float32", "decay": (0.75).hex(), "radius": (4.0).hex()}
    seen: list[Any] = []
    for more in ({}, {"tails": ["t"]}):
        ck.prove_disturbed(fields | more, 16.0, P, plant, lambda tails: seen.append(tails) or [F(0), F(0)])
    assert seen == [None, ["t"]]
    with pytest.raises(Rejected, match="tails without float32"):
        ck.prove_disturbed(fields | {"arithmetic": "real", "tails": []}, 16.0, P, plant, lambda tails: [F(0)] * 2)
    found, eta = ck.prove_disturbed(fields | {"arithmetic": "real"}, 16.0, P, plant, lambda tails: [F(9)] * 2)
    assert (found.stated, found.rounding, found.radius, eta) == (0.125, None, 4.0, F(3, 4))


def test_the_work_that_is_allowed_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain costs n (n + m)^2 for each layer of n behind one of m; the last may be eliminated."""
    asked: list[tuple[str, int, int]] = []
    monkeypatch.setattr(ck, "_limit", lambda *given: asked.append(given))
    for sizes, n_out, order, work in (
        ([2, 0, 3, 5], None, 10, 8 + 75 + 320),
        ([2, 0, 3, 5], 1, 10, 5 * 16 + 8 + 75 + 16),
        ([2, 0, 3, 5], 4, 10, 5 * 49 + 8 + 75 + 4 * 49),
        ([2, 0, 3, 5], 5, 10, 8 + 75 + 320),
        ([0, 7], 1, 7, 343),
        ([4, 7], 1, 11, 7 * 25 + 64 + 25),
        ([], 1, 0, 0),
    ):
        ck._check_chain(sizes, n_out)
        assert asked.pop() == ("the matrix inequality", order, work)
    inequality = Symmetric([2, 1])
    inequality.add(0, 0, Matrix.eye(2))
    inequality.add(1, 0, Matrix([[0, 1]], 2, -3))
    inequality.add(1, 1, Matrix([[1]], 1))
    inequality.prove_positive("it")
    assert asked == [("it", 3, 1 + 1 + 4)]
    monkeypatch.undo()
    monkeypatch.setattr(ck, "MAX_IDENTITY", 3)
    assert Matrix.eye(3).rows[2] == [0, 0, 1] and not accepted(lambda: Matrix.eye(4))
