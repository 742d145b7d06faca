"""The independent checker: it accepts what is true and proved, and nothing else."""

from __future__ import annotations

import ast
import copy
import gzip
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import flint
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipctrl.proofs import check as checker
from lipctrl.proofs.check import Matrix, check

sys.path.insert(0, str(Path(__file__).parent))
import make_certificates as make

CERTIFICATES = make.all_certificates()
CHECKER = Path(checker.__file__)


def verdict(certificate: dict[str, Any], folder: Path) -> checker.Result:
    path = folder / "certificate.json"
    path.write_text(json.dumps(certificate))
    return check(path)


# -------------------------------------------------------------------------------------------------------- whole files


@pytest.mark.parametrize("name", CERTIFICATES)
def test_accepts_and_derives_its_own_claim(name: str, tmp_path: Path) -> None:
    result = verdict(CERTIFICATES[name], tmp_path)
    assert result.accepted, result.reason
    assert result.theorem == CERTIFICATES[name]["theorem"]
    assert "everything is stable" not in result.claim
    if "network" in CERTIFICATES[name]:
        for words in ("real arithmetic", "deterministic action", "not checked"):
            assert words in result.claim
    if "plant" in CERTIFICATES[name]:
        assert "Linear model only" in result.claim
        assert ("not the sampled policy" in result.claim) == (make.unhexed(CERTIFICATES[name]["plant"]["dt"]) == 0)


def test_stands_alone() -> None:
    modules = set()
    for node in ast.walk(ast.parse(CHECKER.read_text())):
        if isinstance(node, ast.Import):
            modules.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            modules.add(str(node.module).split(".")[0])
    assert modules <= sys.stdlib_module_names


def run(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-S", str(CHECKER), str(path)], capture_output=True, text=True, check=False
    )


def test_command_line(tmp_path: Path) -> None:
    good = tmp_path / "good.json.gz"
    good.write_bytes(gzip.compress(json.dumps(CERTIFICATES["lyapunov-local"]).encode()))
    done = run(good)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("ACCEPTED (lyapunov)\n")
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps({**CERTIFICATES["lyapunov-local"], "level": make.hexed(1.2)}))
    done = run(bad)
    assert (done.returncode, done.stderr) == (1, "")
    assert "inclusion" in done.stdout
    done = run(tmp_path / "missing.json")
    assert (done.returncode, done.stderr) == (2, "")


GLOBAL = json.dumps(CERTIFICATES["lipschitz-global"])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        GLOBAL[:-40].encode(),
        b"\xff\xfe",
        b"[1]",
        b"null",
        b"\x1f\x8bbroken",
        gzip.compress(GLOBAL.encode())[:-9],
        gzip.compress(b" " * (checker.MAX_BYTES + 1)),
        b'{"format": "lipctrl-certificate", "format": "lipctrl-certificate", "version": 1}',
        GLOBAL.replace('"version": 1', '"version": true').encode(),
        GLOBAL.replace('"version": 1', '"version": 2').encode(),
        GLOBAL.replace("0.25", "NaN").encode(),
        GLOBAL.replace("0.25", "Infinity").encode(),
        GLOBAL.replace("0.25", "1e999").encode(),
        GLOBAL.replace("0.25", "1" * 5000).encode(),
        GLOBAL.replace("0.25", "[" * 30 + "]" * 30).encode(),
        GLOBAL.replace("0.25", "[" * 100000 + "]" * 100000).encode(),
    ],
)
def test_unreadable(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "certificate"
    path.write_bytes(content)
    result = check(path)
    assert not result.accepted
    assert not result.readable
    assert result.reason


def test_time_limit(tmp_path: Path) -> None:
    path = tmp_path / "certificate"
    path.write_text(GLOBAL)
    assert "time limit" in check(path, seconds=0.0).reason


@pytest.mark.parametrize(
    "text",
    ["1.5", "0x1.8", "0x1.8p1\n", " 0x1p+0", "nan", "inf", "0X1P+0", "0x2p+0", "0x1p+1024", "0x1.8p-1074", "0x0.8p+0",
     "0x1.00000000000000p+0", "", "0x1p+٣", 1.5, 1, True, None, [], {}],
)  # fmt: skip
def test_numbers_are_hexadecimal(text: Any) -> None:
    with pytest.raises(checker.Rejected):
        checker._number(text, "x")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_exact(x: float) -> None:
    assert checker._number(x.hex(), "x").hex() == x.hex()


@pytest.mark.parametrize(
    ("sizes", "local"), [((3, 64, 64, 1), False), ((3, 64, 64, 1), True), ((17, 256, 256, 6), False)]
)
def test_large_networks(
    sizes: tuple[int, ...], local: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    certificate = make.large_lipschitz(np.random.default_rng(0), sizes, local)
    began = time.perf_counter()
    result = verdict(certificate, tmp_path)
    with capsys.disabled():
        print(f"\n{'-'.join(map(str, sizes))} {'local' if local else 'global'}: {time.perf_counter() - began:.2f} s")
    assert result.accepted, result.reason


# ------------------------------------------------------------------------------------------------------- wrong twins

Change = Callable[[dict[str, Any]], None]


def put(*path: Any, value: Any) -> Change:
    def change(certificate: dict[str, Any]) -> None:
        inner: Any = certificate
        for key in path[:-1]:
            inner = inner[key]
        if callable(value):
            inner[path[-1]] = make.hexed(value(make.unhexed(inner[path[-1]])))
        else:
            inner[path[-1]] = value

    return change


def swap_layers(c: dict[str, Any]) -> None:
    layers = c["network"]["layers"]
    layers[1], layers[3] = layers[3], layers[1]
    layers[1]["n"], layers[3]["n"] = layers[3]["n"], layers[1]["n"]


def center_elsewhere(c: dict[str, Any]) -> None:
    c["plant"]["y0"] = make.hexed([0.0, 2.0**-60])


def kink_at_rest(c: dict[str, Any]) -> None:
    first, phi = c["network"]["layers"][:2]
    first["W"][0], first["b"][0] = make.hexed([1.0, 0.0]), "-" + c["plant"]["y0"][0]
    phi["type"] = "relu"


def sampled_as_continuous(c: dict[str, Any]) -> None:
    c["plant"]["dt"] = "0x0.0p+0"


def drop(*path: Any) -> Change:
    def change(certificate: dict[str, Any]) -> None:
        inner: Any = certificate
        for key in path[:-1]:
            inner = inner[key]
        del inner[path[-1]]

    return change


LIP, LOCAL, GAIN, LYAP, UNSTABLE = (
    "lipschitz-global", "lipschitz-box", "small-gain-local", "lyapunov-local", "instability-discrete",
)  # fmt: skip
TWINS: list[tuple[str, str, Change]] = [
    ("lower bound", LIP, put("upper", value=lambda x: x * 0.99)),
    ("negative bound whose square is enough", LIP, put("upper", value=lambda x: -x)),
    ("lower rho", LIP, put("rho", value=lambda x: x * 0.99)),
    ("zero rho", LIP, put("rho", value="0x0.0p+0")),
    ("negative multiplier", LIP, put("multipliers", 1, value=lambda x: x * [1, -1, 1])),
    ("no multipliers", LIP, put("multipliers", value=[])),
    ("zero multipliers", LIP, put("multipliers", 0, value=lambda x: 0 * x)),
    ("short multipliers", LIP, put("multipliers", 0, value=lambda x: x[:-1])),
    ("short bounds", LIP, drop("bounds", 1)),
    ("slopes above the truth", LIP, put("bounds", 0, "slope", value=lambda x: x + np.array([0.01, 0]))),
    ("slopes below the truth", LIP, put("bounds", 0, "slope", value=lambda x: x - [0, 2.0**-50])),
    ("alpha above beta", LIP, put("bounds", 0, "slope", value=lambda x: x[:, ::-1])),
    ("a curved neuron called linear", LIP, put("bounds", 0, "slope", value=lambda x: 0 * x + 1)),
    ("one slope missing", LIP, put("bounds", 0, "slope", value=lambda x: x[:-1])),
    ("a range on all of R", LIP, put("bounds", 0, "range", value=make.hexed([[-9, 9]] * 4))),
    ("another activation", LIP, put("network", "layers", 1, "type", value="silu")),
    ("wrong width", LIP, put("network", "layers", 1, "n", value=5)),
    ("boolean width", LIP, put("network", "layers", 1, "n", value=True)),
    ("an unknown parameter", LIP, put("network", "layers", 1, "alpha", value=["0x1p+0"] * 4)),
    ("heavier weights", LIP, put("network", "layers", 0, "W", value=lambda x: 1.5 * x)),
    ("ragged weights", LIP, drop("network", "layers", 0, "W", 0, 0)),
    ("no layers", LIP, put("network", "layers", value=[])),
    ("an unknown field", LIP, put("scaling", value=None)),
    ("a missing field", LIP, drop("shift")),
    ("a decimal number", LIP, put("upper", value=100.0)),
    ("an infinite bound", LIP, put("upper", value="inf")),
    ("another digest", LIP, put("network_sha256", value="0" * 64)),
    ("a digest of nothing", LIP, put("plant_sha256", value="0" * 64)),
    ("a digest that is no digest", LIP, put("policy_sha256", value="trust me")),
    ("larger box", LOCAL, put("input_set", "box", value=lambda x: 2 * x)),
    ("all of R", LOCAL, put("input_set", value=None)),
    ("negative box", LOCAL, put("input_set", "box", value=lambda x: -x)),
    ("short box", LOCAL, put("input_set", "box", value=lambda x: x[:1])),
    ("moved box", LOCAL, put("input_set", "center", value=lambda x: x + 1)),
    ("generators besides the box", LOCAL, put("input_set", "ball_generators", value=make.hexed([[1.0], [1.0]]))),
    ("range short above", LOCAL, put("bounds", 1, "range", value=lambda x: x - np.array([0.0, 0.01]))),
    ("range short below", LOCAL, put("bounds", 1, "range", value=lambda x: x + np.array([0.01, 0.0]))),
    ("narrow range", LOCAL, put("bounds", 1, "range", value=lambda x: 0.9 * x)),
    ("no relaxation but narrow ranges behind it", LOCAL, put("bounds", 0, "relaxation", value=None)),
    ("optimistic relaxation", LOCAL, put("bounds", 0, "relaxation", value=lambda x: x * [1, 1, 0.9])),
    ("negative delta", LOCAL, put("bounds", 0, "relaxation", value=lambda x: x * [1, 1, -1])),
    ("relaxation without a range", LOCAL, put("bounds", 0, "range", value=None)),
    ("other shift", LOCAL, put("shift", value=lambda x: x + 0.5)),
    ("shift of another shape", LOCAL, put("shift", value=lambda x: x.T)),
    ("negative weight", LOCAL, put("output_weight", value=lambda x: -x)),
    ("zero weight", LOCAL, put("input_weight", value=lambda x: 0 * x)),
    ("swapped layers", "lipschitz-box", swap_layers),
    ("smaller gamma", "hinf-discrete", put("gamma", value=lambda x: 0.9 * x)),
    ("negative gamma", "hinf-discrete", put("gamma", value=lambda x: -x)),
    ("asymmetric P", "hinf-discrete", put("P", value=lambda x: x + np.array([[0, 2.0**-45], [0, 0]]))),
    ("negative P", "hinf-discrete", put("P", value=lambda x: -x)),
    ("unstable plant", "hinf-discrete", put("plant", "A", value=lambda x: 1.3 * x)),
    ("shift through feedthrough", "hinf-feedthrough", put("shift", value=make.hexed([[0.0]]))),
    ("sampled matrices in continuous time", "hinf-discrete", sampled_as_continuous),
    ("negative dt", "hinf-discrete", put("plant", "dt", value=lambda x: -x)),
    ("short x0", "hinf-discrete", put("plant", "x0", value=lambda x: x[:1])),
    ("larger level", GAIN, put("level", value=lambda x: 1.01 * x)),
    ("zero level", GAIN, put("level", value="0x0.0p+0")),
    ("negative level", GAIN, put("level", value=lambda x: -x)),
    ("level left out", GAIN, put("level", value=None)),
    ("a ball besides the box", GAIN, put("lipschitz", "input_set", "ball_generators", value=[["0x1p-60"]] * 2)),
    ("a box about another point", GAIN, center_elsewhere),
    ("two shifts", GAIN, put("hinf", "shift", value=lambda x: 1.0001 * x)),
    ("two weights", GAIN, put("hinf", "input_weight", value=make.hexed([1.0, 1.0001]))),
    ("gains above one", GAIN, put("lipschitz", "upper", value=lambda x: 1e3 * x)),
    ("feedthrough", GAIN, put("plant", "D", value=lambda x: x + 2.0**-60)),
    ("feedthrough", "small-gain-global-discrete", put("plant", "D", value=lambda x: x + 2.0**-60)),
    ("an unknown inner field", GAIN, put("hinf", "level", value="0x1p+0")),
    ("local numbers called global", GAIN, put("lipschitz", "input_set", value=None)),
    ("sensor without a box", GAIN, put("lipschitz", "input_set", "box", value=lambda x: x * [1, 0])),
    ("global level on a region", "small-gain-global-discrete", put("level", value="0x1p+0")),
    ("larger region", LYAP, put("level", value=lambda x: 1.01 * x)),
    ("smaller generators", LYAP, put("generators", value=lambda x: 0.99 * x)),
    ("singular generators", LYAP, put("generators", value=lambda x: np.ones((2, 2)))),
    ("larger generators", LYAP, put("generators", value=lambda x: 1.1 * x)),
    ("no generators", LYAP, put("generators", value=None)),
    ("indefinite P", LYAP, put("P", value=lambda x: x * [[1, 3], [3, 1]])),
    ("moved operating point", LYAP, put("plant", "y0", value=lambda x: x + 0.1)),
    ("sectors too narrow", LYAP, put("bounds", 0, "slope", value=lambda x: x * [1, 0.99])),
    ("faster plant", LYAP, put("plant", "A", value=lambda x: 1.3 * x)),
    ("weaker actuator", LYAP, put("plant", "B", value=lambda x: 0.1 * x)),
    ("mirrored actuator", LYAP, put("plant", "B", value=lambda x: -x)),
    ("its own input set", LYAP, put("input_set", value=None)),
    ("feedthrough", LYAP, put("plant", "D", value=lambda x: x + 1)),
    ("positive direction", UNSTABLE, put("direction", value=lambda x: x[::-1] * [1, -1])),
    ("zero direction", UNSTABLE, put("direction", value=lambda x: 0 * x)),
    ("stable plant", UNSTABLE, put("plant", "A", value=lambda x: 0.5 * x)),
    ("a kink at rest", UNSTABLE, kink_at_rest),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "change"), [twin[1:] for twin in TWINS], ids=[f"{twin[1]}: {twin[0]}" for twin in TWINS]
)
def test_wrong_twins_are_rejected(name: str, change: Change, tmp_path: Path) -> None:
    certificate = copy.deepcopy(CERTIFICATES[name])
    change(certificate)
    result = verdict(certificate, tmp_path)
    assert result.readable
    assert not result.accepted
    assert not result.claim
    assert "the check failed" not in result.reason


def test_negative_multipliers_are_refused_as_such(tmp_path: Path) -> None:
    certificate = copy.deepcopy(CERTIFICATES["lipschitz-mixed-global"])
    put("multipliers", 3, value=lambda x: x * [1, 1, -1e-9])(certificate)
    assert "negative multiplier" in verdict(certificate, tmp_path).reason


@pytest.mark.parametrize("dt", [0.0, 1.0])
def test_every_other_inequality_holds_but_P_is_negative(dt: float, tmp_path: Path) -> None:
    """x+ = 2 x or dx/dt = x, P = -1: the dissipation inequalities hold, the loop is unstable."""
    one = np.ones((1, 1))
    plant = make.plant_dict((1 + dt) * one, one, one, dt)
    fields = {"shift": None, "output_weight": None, "input_weight": None, "gamma": make.hexed(10)}
    result = verdict(make.certificate("hinf_norm", plant=plant, P=make.hexed(-2 * one), **fields), tmp_path)
    assert result.reason == "P is not proved positive definite"
    network = make.network_dict([(0 * one, np.zeros(1))])
    fields = {"network": network, "level": None, "generators": None, "bounds": [], "multipliers": []}
    result = verdict(make.certificate("lyapunov", plant=plant, P=make.hexed(-one), **fields), tmp_path)
    assert result.reason == "P is not proved positive definite"


def test_instability_holds_for_every_enclosed_jacobian(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On a coarse grid the Jacobian is only known to a few bits, too few for the proof."""
    for name in ("instability-discrete", "instability-continuous"):
        monkeypatch.setattr(checker, "GRID", 40)
        assert verdict(CERTIFICATES[name], tmp_path).accepted
        monkeypatch.setattr(checker, "GRID", 0)
        assert "not proved" in verdict(CERTIFICATES[name], tmp_path).reason


def test_untrusted_words_do_not_matter(tmp_path: Path) -> None:
    certificate = copy.deepcopy(CERTIFICATES[LIP])
    expected = verdict(certificate, tmp_path).claim
    certificate.update(claim="the moon is cheese", assumptions=None, information={"upper": "0x1p-9", "deep": [[[]]]})
    assert verdict(certificate, tmp_path).claim == expected


def test_local_box_of_the_shifted_loop_is_not_the_region(tmp_path: Path) -> None:
    """x+ = [.9 2; 0 .9] x + B pi(x): proved on a box, the region is the ellipsoid inside, never the box itself."""
    plant = make.plant_dict(np.array([[0.9, 2.0], [0.0, 0.9]]), np.array([[0.0], [1.0]]), np.array([[1.0, 0.0]]), 1.0)
    policy = [(np.eye(1), np.zeros(1)), ("tanh", {}), (np.array([[0.002]]), np.zeros(1))]
    box = {"center": np.zeros(1), "ball_generators": np.zeros((1, 0)), "box": np.ones(1)}
    hinf = make.hinf_fields(plant)
    lipschitz = make.lipschitz_fields(policy, make.local_bounds(policy, **box), box)
    P = make.unhexed(hinf["P"])
    touching = 1 / np.linalg.inv(P)[0, 0]
    fields = {"network": make.network_dict(policy), "plant": plant, "lipschitz": lipschitz, "hinf": hinf}
    assert verdict(make.certificate("small_gain", **fields, level=make.hexed(touching * 0.9999)), tmp_path).accepted
    assert not verdict(make.certificate("small_gain", **fields, level=make.hexed(touching * 1.0001)), tmp_path).accepted


# --------------------------------------------------------------------------------------- every number corrupted in turn


def numbers(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all hexadecimal strings."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from numbers(inner, (*path, key))
    elif isinstance(value, str) and value.lstrip("-").startswith("0x"):
        yield path


def corrupted(x: float, rng: np.random.Generator) -> float:
    """One bit flipped, or a decimal slip."""
    if rng.random() < 0.3:
        return float(rng.choice([-x, 0.9 * x, 1.1 * x, x + 0.1, 10 * x, 0.0]))
    bits = np.float64(x).view(np.uint64) ^ (np.uint64(1) << np.uint64(rng.integers(64)))
    flipped = float(bits.view(np.float64))
    return flipped if np.isfinite(flipped) else -x


def refuted(c: dict[str, Any], rng: np.random.Generator) -> bool:
    """Whether sampling contradicts the claim of an accepted certificate; figures computed without the checker."""
    theorem = c["theorem"]
    layers = [
        (make.unhexed(layer["W"]), make.unhexed(layer["b"])) if layer["type"] == "affine"
        else (layer["type"], {k: np.array([float.fromhex(x) for x in layer[k]]) for k in layer.keys() - {"type", "n"}})
        for layer in c.get("network", {"layers": []})["layers"]
    ]  # fmt: skip

    def pi(y: Any) -> Any:
        for first, second in layers:
            y = make.PHI[first](y, **second) if isinstance(first, str) else y @ first.T + second
        return y

    if theorem == "lipschitz":
        return steeper_pair(c, pi, rng)
    A, B, C, D, y0 = (make.unhexed(c["plant"][name]) for name in ("A", "B", "C", "D", "y0"))
    sampled = make.unhexed(c["plant"]["dt"]) > 0
    n = len(A)
    if theorem == "hinf_norm":
        K = 0 * D.T if c["shift"] is None else make.unhexed(c["shift"])
        closed = A + B @ K @ C
        W_u, W_y = (
            np.ones(k) if c[w] is None else make.unhexed(c[w])
            for k, w in ((B.shape[1], "output_weight"), (len(C), "input_weight"))
        )
        eigenvalues = np.linalg.eigvals(closed)
        if (abs(eigenvalues).max() if sampled else 1 + eigenvalues.real.max()) >= 1 + 1e-9:
            return True
        points = np.exp(1j * np.linspace(0, np.pi, 400)) if sampled else 1j * np.logspace(-3, 3, 400)
        gains = [
            np.linalg.norm(W_y[:, None] * (C @ np.linalg.solve(s * np.eye(n) - closed, B) + D) / W_u, 2) for s in points
        ]
        return max(gains) > make.unhexed(c["gamma"]) * (1 + 1e-9)
    if theorem == "instability":
        step = 1e-5
        J = np.array([(pi(y0 + step * d) - pi(y0 - step * d)) / (2 * step) for d in np.eye(len(y0))]).T
        eigenvalues = np.linalg.eigvals(A + B @ J @ C)
        return bool((abs(eigenvalues).max() if sampled else 1 + eigenvalues.real.max()) <= 1 - 1e-4)
    P = make.unhexed((c["hinf"] if theorem == "small_gain" else c)["P"])
    level = 100.0 if c["level"] is None else make.unhexed(c["level"])
    z = rng.normal(size=(2000, n))
    z *= (rng.random((2000, 1)) ** 0.25) / np.linalg.norm(z, axis=1)[:, None]
    e = np.sqrt(level) * np.linalg.solve(np.linalg.cholesky(P).T, z.T).T
    ahead = e @ A.T + (pi(y0 + e @ C.T) - pi(y0)) @ B.T
    now = np.einsum("ij,jk,ik->i", e, P, e)
    change = np.einsum("ij,jk,ik->i", ahead, P, ahead) - now if sampled else np.einsum("ij,jk,ik->i", ahead, P, e)
    return bool((change > 1e-12 * now).any())


def steeper_pair(c: dict[str, Any], pi: Any, rng: np.random.Generator) -> bool:
    n = len(c["network"]["layers"][0]["W"][0])
    if c["input_set"] is None:
        x = rng.normal(size=(2000, n)) * 10 ** rng.uniform(-2, 1, size=(2000, 1))
        y = np.where(rng.random((2000, 1)) < 0.5, x + 1e-4 * rng.normal(size=x.shape), 2 * rng.normal(size=x.shape))
    else:
        center, box = make.unhexed(c["input_set"]["center"]), make.unhexed(c["input_set"]["box"])
        G = np.array([[float.fromhex(v) for v in row] for row in c["input_set"]["ball_generators"]]).reshape(n, -1)
        z = rng.normal(size=(2, 2000, G.shape[1]))
        z /= np.maximum(1, np.linalg.norm(z, axis=2, keepdims=True))
        x, y = center + z @ G.T + box * rng.uniform(-1, 1, size=(2, 2000, n))
        y = np.where(rng.random((2000, 1)) < 0.5, y, x + 1e-3 * (y - x))
    K = np.zeros((1, n)) if c["shift"] is None else make.unhexed(c["shift"])
    D_u = 1.0 if c["output_weight"] is None else make.unhexed(c["output_weight"])
    D_y = 1.0 if c["input_weight"] is None else make.unhexed(c["input_weight"])
    far = np.linalg.norm(D_u * (pi(x) - pi(y) - (x - y) @ K.T), axis=1)
    with np.errstate(over="ignore"):
        return bool((far > make.unhexed(c["upper"]) * np.linalg.norm(D_y * (x - y), axis=1) * (1 + 1e-6) + 1e-9).any())


@pytest.mark.parametrize("name", CERTIFICATES)
def test_every_number_corrupted(name: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    original = CERTIFICATES[name]
    paths = list(numbers(original))
    if len(paths) > 150:
        paths = [paths[i] for i in np.sort(rng.choice(len(paths), 150, replace=False))]
    rejected = 0
    for path in paths:
        certificate = copy.deepcopy(original)
        inner: Any = certificate
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = corrupted(float.fromhex(inner[path[-1]]), rng).hex()
        result = verdict(certificate, tmp_path)
        assert "the check failed" not in result.reason, (path, result.reason)
        rejected += not result.accepted
        if result.accepted:
            assert not refuted(certificate, rng), (path, inner[path[-1]])
    assert rejected >= len(paths) // 10
    assert not refuted(original, rng)


def test_sampling_refutes_false_claims() -> None:
    """The referee of the test above is awake."""
    rng = np.random.default_rng(0)
    for name, *path in (
        ("lipschitz-global", "upper"), ("lipschitz-box", "upper"),
        ("hinf-discrete", "gamma"), ("hinf-continuous", "gamma"),
    ):  # fmt: skip
        certificate = copy.deepcopy(CERTIFICATES[name])
        put(*path, value=lambda x: 0.25 * x)(certificate)
        assert refuted(certificate, rng), name
    for name, change in (
        ("small-gain-local", put("plant", "B", value=lambda x: -x)),
        ("lyapunov-local", put("plant", "A", value=lambda x: 1.3 * x)),
        ("lyapunov-global-continuous", put("plant", "A", value=lambda x: -x)),
        ("instability-discrete", put("plant", "A", value=lambda x: 0.5 * x)),
    ):
        certificate = copy.deepcopy(CERTIFICATES[name])
        change(certificate)
        assert refuted(certificate, rng), name


# -------------------------------------------------------------------------------------------------------- definiteness


def truly_definite(a: list[list[Fraction]]) -> bool:
    """Exact elimination."""
    a = [row[:] for row in a]
    for k in range(len(a)):
        if a[k][k] <= 0:
            return False
        for i in range(k + 1, len(a)):
            factor = a[i][k] / a[k][k]
            a[i] = [x - factor * y for x, y in zip(a[i], a[k], strict=True)]
    return True


def proved(a: list[list[float]]) -> bool:
    matrix = Matrix.of(a, len(a))
    return checker.positive_definite([row[: i + 1] for i, row in enumerate(matrix.rows)], matrix.exponent)


def near_singular(rng: np.random.Generator) -> list[list[float]]:
    """Small integer Gram matrices of deficient rank, graded, their diagonal moved by units in the last place."""
    n = int(rng.integers(1, 7))
    x = rng.integers(-3, 4, size=(n, max(1, n - int(rng.integers(0, 2))))).astype(float)
    a = x @ x.T
    a[np.diag_indices(n)] += rng.integers(-1, 2) * 2.0 ** -rng.integers(0, 50)
    d = 2.0 ** rng.integers(-60, 60, size=n)
    return (d[:, None] * a * d).tolist()


def test_definiteness_against_exact_truth() -> None:
    rng = np.random.default_rng(3)
    true = missed = 0
    for _ in range(3000):
        a = near_singular(rng)
        truth = truly_definite([[Fraction(x) for x in row] for row in a])
        answer = proved(a)
        assert not (answer and not truth), a
        true += truth
        missed += truth and not answer
    assert 300 < true < 2700
    assert missed == 0


def test_definiteness_known_cases() -> None:
    hilbert = [[float(360360 / (i + j + 1)) for j in range(8)] for i in range(8)]
    assert proved(hilbert)
    assert not proved([[0.0]])
    assert not proved([[1.0, 1.0], [1.0, 1.0]])
    assert proved([[1.0, 1.0 - 2.0**-53], [1.0 - 2.0**-53, 1.0]])
    assert not proved([[1.0, 1.0 + 2.0**-52], [1.0 + 2.0**-52, 1.0]])
    assert not proved([[1.0, 2.0], [2.0, 1.0]])
    tiny = 5e-324
    assert proved([[tiny, 0.0], [0.0, 1e308]])
    assert not proved([[tiny, 1.0], [1.0, 1e308]])


@pytest.mark.parametrize(("radius", "expected"), [(0.0, True), (0.24999, True), (0.25001, False), (1.0, False)])
def test_definiteness_of_enclosed_matrices(radius: float, expected: bool) -> None:
    """[1, .75; .75, 1] with radius r off the diagonal is definite exactly for r < .25."""
    middle, spread = Matrix.of([[1.0, 0.75], [0.75, 1.0]], 2), Matrix.of([[0.0, radius], [radius, 0.0]], 2)
    low = min(middle.exponent, spread.exponent)
    lower = [row[: i + 1] for i, row in enumerate(middle.at(low))]
    assert checker.positive_definite(lower, low, spread.at(low)) == expected


# -------------------------------------------------------------------------------------------------------- activations


@pytest.fixture(autouse=True)
def many_digits() -> Iterator[None]:
    """Arbitrary-precision truth for this module only: the precision is a global of the library."""
    before, flint.ctx.prec = flint.ctx.prec, 300
    yield
    flint.ctx.prec = before


KINDS: list[tuple[str, tuple[float, ...]]] = [
    ("identity", ()), ("relu", ()), ("leaky_relu", (-0.25,)), ("elu", (1.0,)), ("elu", (1.7,)), ("elu", (-0.5,)),
    ("gelu", ()), ("silu", ()), ("softplus", (1.0,)), ("softplus", (3.0,)), ("tanh", ()), ("sigmoid", ()),
    ("hardtanh", (-1.0, 0.5)), ("hardtanh", (-np.inf, 2.0)), ("hardtanh", (1.0, 1.0)),
]  # fmt: skip
SMOOTH = [
    kind for kind in KINDS if kind[0] in ("gelu", "silu", "softplus", "tanh", "sigmoid") or kind == ("elu", (1.0,))
]


def arb(x: Fraction) -> Any:
    return flint.arb(flint.fmpq(x.numerator, x.denominator))


def truth(kind: str, p: tuple[float, ...], x: Any) -> Any:
    """phi in ball arithmetic, from formulas other than those of the checker."""
    match kind:
        case "gelu":
            return x * (-x / flint.arb(2).sqrt()).erfc() / 2
        case "silu":
            return x * (1 + (x / 2).tanh()) / 2
        case "softplus":
            return ((p[0] * x).exp() + 1).log() / p[0]
        case "tanh":
            return x.tanh()
        case "sigmoid":
            return (1 + (x / 2).tanh()) / 2
        case "elu":
            return x if x > 0 else p[0] * x.expm1()
    raise ValueError(kind)


def parameters(kind: str, p: tuple[float, ...]) -> dict[str, float]:
    return dict(zip(checker.PARAMETERS.get(kind, ()), p, strict=True))


def sampled(kind: str, p: tuple[float, ...], x: Any) -> Any:
    return make.PHI[kind](x, **parameters(kind, p))


@pytest.mark.parametrize(("kind", "p"), [*SMOOTH, ("elu", (1.7,))])
def test_values_and_slopes_enclose_the_truth(kind: str, p: tuple[float, ...]) -> None:
    phi = checker.activation(kind, p)
    rng = np.random.default_rng(5)
    points = [0.5, -0.5, 1e-9, -1e-9, 3.0, -3.0, 31.0, -31.0, 29.9, -29.9, *rng.normal(size=12) * 4]
    h = Fraction(1, 2**90)
    for x in map(Fraction, points):
        low, high = phi.value(x)
        exact = truth(kind, p, arb(x))
        assert arb(low) <= exact + flint.arb(2) ** -250
        assert exact - flint.arb(2) ** -250 <= arb(high)
        assert high - low < Fraction(1, 10**50) * max(1, abs(x))
        slope = phi.slopes(x, x)
        difference = (truth(kind, p, arb(x + h)) - truth(kind, p, arb(x - h))) / arb(2 * h)
        assert arb(slope[0]) <= difference + flint.arb(10) ** -48
        assert difference - flint.arb(10) ** -48 <= arb(slope[1])
        assert slope[1] - slope[0] < Fraction(1, 10**50)


@pytest.mark.parametrize(("kind", "p"), KINDS)
@pytest.mark.parametrize("size", [1e-310, 1e-30, 1e3, 1e5, 1e300])
def test_extreme_arguments(kind: str, p: tuple[float, ...], size: float) -> None:
    """Far out and next to zero the work stays small, and what is true stays provable."""
    phi, bounds = checker.activation(kind, p), (Fraction(-size), Fraction(size))
    low, high = phi.slopes(*bounds)
    assert checker.prove_slopes(phi, bounds, low, high)
    assert checker.prove_sector(phi, bounds, (Fraction(size), Fraction(size)), low, high)
    assert checker.prove_relaxation(phi, bounds, Fraction(0), Fraction(0), 2 + 2 * Fraction(size))
    assert not checker.prove_relaxation(phi, bounds, Fraction(3), Fraction(0), Fraction(size) / 2)


def test_pi() -> None:
    for digits in (10, 65, 200, 300):
        low, high = map(Fraction, checker._pi(digits))
        assert arb(low) <= flint.arb.pi() + flint.arb(2) ** -290
        assert flint.arb.pi() - flint.arb(2) ** -290 <= arb(high)
        assert high - low < Fraction(1, 10 ** (min(digits, 80) - 3))


def test_inflection_points() -> None:
    low, high = map(arb, checker._silu_inflection())
    assert low * (low / 2).tanh() <= 2
    assert high * (high / 2).tanh() >= 2
    assert high - low < flint.arb(2) ** -150


@pytest.mark.parametrize(
    ("kind", "p", "low", "high"),
    [("tanh", (), 0, 1), ("sigmoid", (), 0, 0.25), ("softplus", (2.0,), 0, 1), ("relu", (), 0, 1),
     ("elu", (1.0,), 0, 1), ("elu", (1.5,), 0, 1.5), ("elu", (-0.5,), -0.5, 1), ("leaky_relu", (0.01,), 0.01, 1),
     ("leaky_relu", (2.0,), 1, 2), ("identity", (), 1, 1), ("hardtanh", (-1.0, 2.0), 0, 1),
     ("hardtanh", (-np.inf, np.inf), 1, 1),
     ("gelu", (), -0.12890414, 1.12890414), ("silu", (), -0.09983933, 1.09983933)],
)  # fmt: skip
def test_slopes_on_the_line(kind: str, p: tuple[float, ...], low: float, high: float) -> None:
    """Known extremes: exact ones are accepted and their neighbours inside refused; gelu, silu to 8 digits."""
    phi = checker.activation(kind, p)
    slack = Fraction(1, 10**8) if kind in ("gelu", "silu") else Fraction(0)
    inside = Fraction(1, 10**7) if slack else Fraction(1, 2**60)
    a, b = Fraction(low), Fraction(high)
    assert checker.prove_slopes(phi, None, a - slack, b + slack)
    assert not checker.prove_slopes(phi, None, a + inside, b + slack)
    assert not checker.prove_slopes(phi, None, a - slack, b - inside)


def dyadic(low: int, high: int, parts: int) -> st.SearchStrategy[float]:
    """Multiples of 1 / parts, so that an interval reaches beyond a kink either not at all or visibly."""
    return st.integers(low, high).map(lambda k: k / parts)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(KINDS), dyadic(-384, 384, 64), dyadic(1, 512, 64), dyadic(0, 16, 16))
def test_bounds_are_proved_exactly_when_true(
    kind: tuple[str, tuple[float, ...]], lo: float, width: float, where: float
) -> None:
    """Bounds just outside the sampled extremes are proved; those just inside, contradicted by a sample, are not."""
    phi = checker.activation(*kind)
    hi = lo + width
    star = lo + where * width
    x = np.append(np.linspace(lo, hi, 4001), [lo, hi])
    y = sampled(*kind, x)
    bounds = Fraction(lo), Fraction(hi)
    tolerance = 4 * width / 4000 + 1e-9  # a sample next to the extreme, curvature below 2
    inside = 1e-7

    secants = np.diff(y[:4001]) / np.diff(x[:4001])
    low, high = secants.min(), secants.max()
    assert checker.prove_slopes(phi, bounds, Fraction(low - tolerance), Fraction(high + tolerance))
    assert not checker.prove_slopes(phi, bounds, Fraction(low + inside), Fraction(high + tolerance))
    assert not checker.prove_slopes(phi, bounds, Fraction(low - tolerance), Fraction(high - inside))

    far = abs(x - star) > 1e-3
    quotient = (y[far] - sampled(*kind, np.float64(star))) / (x[far] - star)
    about = Fraction(star), Fraction(star)
    if quotient.size:
        low, high = quotient.min(), quotient.max()
        loose = tolerance + (2.0 if any(abs(star - float(kink)) < 2e-3 for kink in phi.kinks) else 2e-3)
        assert checker.prove_sector(phi, bounds, about, Fraction(low - 2 * loose), Fraction(high + 2 * loose))
        assert not checker.prove_sector(phi, bounds, about, Fraction(low + inside), Fraction(high + 2 * loose))
        assert not checker.prove_sector(phi, bounds, about, Fraction(low - 2 * loose), Fraction(high - inside))

    lam = (y[-1] - y[0]) / width
    rest = y - lam * x
    mu, delta = (rest.max() + rest.min()) / 2, (rest.max() - rest.min()) / 2
    line = Fraction(lam), Fraction(mu)
    assert checker.prove_relaxation(phi, bounds, *line, Fraction(delta + 2 * tolerance))
    assert not checker.prove_relaxation(phi, bounds, *line, Fraction(delta - inside))


def test_steepest_secant_in_the_interior() -> None:
    """tanh about v* = 1 on [-2, 4]: ends .575 and .079, tangent .420, but the steepest secant is .816."""
    phi, bounds, about = checker.activation("tanh"), (Fraction(-2), Fraction(4)), (Fraction(1), Fraction(1))
    low, high = flint.arb(-2), flint.arb(0)
    for _ in range(200):  # bisect for the tangent point: phi'(v) (v - 1) = phi(v) - phi(1)
        v = (low + high) / 2
        excess = (1 - v.tanh() ** 2) - (v.tanh() - flint.arb(1).tanh()) / (v - 1)
        low, high = (v.mid(), high) if excess < 0 else (low, v.mid())
    steepest = Fraction(float(((low.tanh() - flint.arb(1).tanh()) / (low - 1)).mid()))
    assert float(steepest) == pytest.approx(0.816, abs=1e-3)
    shallow = (flint.arb(4).tanh() - flint.arb(1).tanh()) / 3
    alpha = Fraction(float(shallow.mid()))
    ulp = Fraction(1, 2**50)
    assert checker.prove_sector(phi, bounds, about, alpha - ulp / 8, steepest + ulp)
    assert not checker.prove_sector(phi, bounds, about, alpha - ulp / 8, steepest - ulp)
    assert not checker.prove_sector(phi, bounds, about, alpha + ulp / 8, steepest + ulp)
    for claimed in (0.576, 0.42, 0.8):
        assert not checker.prove_sector(phi, bounds, about, Fraction(0), Fraction(claimed))


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(SMOOTH), st.floats(-5, 5), st.floats(1e-6, 6))
def test_bounds_rounded_by_one_unit_are_proved(kind: tuple[str, tuple[float, ...]], lo: float, width: float) -> None:
    """What a producer writes: the sharp slope range and the sharp chord band, rounded outwards in doubles."""
    phi = checker.activation(*kind)
    bounds = Fraction(lo), Fraction(lo + width)
    low, high = phi.slopes(*bounds)
    assert checker.prove_slopes(phi, bounds, down(low), up(high))
    secant = down((phi.value(bounds[1])[0] - phi.value(bounds[0])[0]) / (bounds[1] - bounds[0]))
    rests = []
    for segment, a, b in phi.parts(*bounds):

        def rest(x: Fraction, segment: Any = segment) -> Any:
            y = segment.value(x)
            return y[0] - secant * x, y[1] - secant * x

        def slope(x: Fraction, segment: Any = segment) -> Any:
            y = segment.slope(x)
            return y[0] - secant, y[1] - secant

        flipped = None if segment.shape is None else -segment.shape
        rests.append(checker._minimum(rest, slope, a, b, segment.shape))
        rests.append(-checker._minimum(checker._negative(rest), checker._negative(slope), a, b, flipped))
    mu = Fraction(float((max(rests) + min(rests)) / 2))
    delta = up(max(max(rests) - mu, mu - min(rests)))
    assert checker.prove_relaxation(phi, bounds, secant, mu, delta)


def down(x: Fraction) -> Fraction:
    return Fraction(float(np.nextafter(float(x), -np.inf)))


def up(x: Fraction) -> Fraction:
    return Fraction(float(np.nextafter(float(x), np.inf)))


def test_linear_neurons_are_linear() -> None:
    """alpha = beta is proved only where phi is exactly affine."""
    relu, clip, tanh = (
        checker.activation("relu"),
        checker.activation("hardtanh", (-1.0, 1.0)),
        checker.activation("tanh"),
    )
    one, zero, tiny = Fraction(1), Fraction(0), Fraction(1, 2**400)
    assert checker.prove_slopes(relu, (zero, one), one, one)
    assert checker.prove_slopes(relu, (-one, zero), zero, zero)
    assert not checker.prove_slopes(relu, (-tiny, one), one, one)
    assert checker.prove_slopes(clip, (-one, one), one, one)
    assert not checker.prove_slopes(clip, (-one, one + tiny), one, one)
    assert not checker.prove_slopes(tanh, (-tiny, tiny), one, one)
    assert checker.prove_sector(clip, (-one, one), (zero, tiny), one, one)
    assert not checker.prove_sector(clip, (-one, one + tiny), (zero, tiny), one, one)


def test_sector_within_the_enclosure_of_the_point() -> None:
    tanh = checker.activation("tanh")
    about = Fraction(-1, 8), Fraction(1, 8)
    assert checker.prove_sector(tanh, about, about, Fraction(63, 64), Fraction(1))
    assert not checker.prove_sector(tanh, about, about, Fraction(63, 64), Fraction(99, 100))
    assert not checker.prove_sector(tanh, about, about, Fraction(999, 1000), Fraction(1))


def test_sector_about_an_enclosed_point() -> None:
    """v* anywhere in a wide interval: the bound must hold for its worst point."""
    relu = checker.activation("relu")
    bounds, about = (Fraction(-1), Fraction(1)), (Fraction(1, 4), Fraction(1, 2))
    worst = Fraction(1, 4) / (1 + Fraction(1, 4))
    assert checker.prove_sector(relu, bounds, about, worst - Fraction(1, 2**50), Fraction(1)) is False
    assert checker.prove_sector(relu, bounds, (Fraction(1, 4),) * 2, worst, Fraction(1))
    assert not checker.prove_sector(relu, bounds, (Fraction(1, 4),) * 2, worst + Fraction(1, 2**50), Fraction(1))
    for star in (Fraction(1, 4), Fraction(1, 2)):
        assert checker.prove_sector(relu, bounds, about, Fraction(0), Fraction(1))
        assert checker.prove_sector(relu, bounds, (star, star), Fraction(1, 5), Fraction(1))


# -------------------------------------------------------------------------------------------------------- affine forms


@pytest.mark.parametrize("scale", [2.0**-200, 2.0**-20, 1.0, 2.0**20])
def test_forms_contain_what_they_describe(scale: float) -> None:
    """Points of the set, mapped exactly, lie in the enclosed ranges; and these are tight."""
    rng = np.random.default_rng(2)
    center, G, box = rng.normal(size=3), rng.normal(size=(3, 2)), np.array([0.5, 0.0, 0.1])
    W, b = scale * rng.normal(size=(4, 3)), scale * rng.normal(size=4)
    start = checker.InputSet(center.tolist(), G.tolist(), box.tolist()).form()
    form = start.affine(Matrix.of(W.tolist(), 3), [Fraction(x) for x in b])
    for i in range(4):
        low, high = form.range(i)
        middle = sum((Fraction(w) * Fraction(c) for w, c in zip(W[i], center, strict=True)), Fraction(b[i]))
        parts = [sum(Fraction(w) * Fraction(g) for w, g in zip(W[i], G[:, j], strict=True)) for j in range(2)]
        reach = sum(abs(Fraction(w)) * Fraction(h) for w, h in zip(W[i], box, strict=True))
        square = sum(x * x for x in parts)
        assert low < middle < high
        for end in (high - middle - reach, middle - reach - low):
            assert end >= 0
            assert 0 <= end * end - square < Fraction(1, 2**200)


def test_relaxed_forms_are_exact() -> None:
    """[1, 3] under x -> x / 2 + 1/4 +- 1/8 is [5/8, 15/8]; with radius and ball generators together."""
    ball, box = Matrix.of([[0.25]], 1), [Fraction(1, 4)]
    form = checker.Form.of([Fraction(2)], ball, box).affine(Matrix.of([[1.0]], 1), [Fraction(0)])
    wide = checker.Form(form.center, form.ball, form.box, [1 << (checker.GRID - 1)])
    assert wide.range(0) == (1, 3)
    relaxed = wide.relax([(Fraction(1, 2), Fraction(1, 4), Fraction(1, 8))])
    assert relaxed.range(0) == (Fraction(5, 8), Fraction(15, 8))
    flipped = wide.relax([(Fraction(-1, 2), Fraction(1, 4), Fraction(1, 8))])
    assert flipped.range(0) == (Fraction(-11, 8), Fraction(-1, 8))
    assert wide.affine(Matrix.of([[-2.0]], 1), [Fraction(1)]).range(0) == (-5, -1)


def test_jacobian_encloses_the_derivative() -> None:
    layers = make.mlp(np.random.default_rng(4), (2, 5, 3, 2), ("tanh", "softplus"))
    layers[3] = ("softplus", {"beta": 1.0})
    y = np.array([0.25, -0.5])
    network = checker.read_network(make.network_dict(layers))
    middle, radius = checker.jacobian(network, [Fraction(v) for v in y])
    (W0, b0), (W1, b1), (W2, _) = make.chain(layers)[0]
    hidden = W0 @ y + b0
    slopes = 1 - np.tanh(hidden) ** 2, 1 / (1 + np.exp(-(W1 @ np.tanh(hidden) + b1)))
    expected = W2 @ (slopes[1][:, None] * W1) @ (slopes[0][:, None] * W0)
    assert np.allclose(checker._floats(middle), expected, rtol=1e-13, atol=0)
    assert 0 < max(max(row) for row in checker._floats(radius)) < 1e-50


def test_network_digest_is_the_canonical_one() -> None:
    from lipctrl.networks.network import Affine, Elementwise, Network

    rng = np.random.default_rng(1)
    layers = [Elementwise("hardtanh", 2, low=-np.inf, high=[1.0, 2.0]), Affine(rng.normal(size=(3, 2)))]
    layers += [
        Affine(rng.normal(size=(3, 3)), rng.normal(size=3)),
        Elementwise("leaky_relu", 3),
        Elementwise("tanh", 3),
    ]
    network = Network(layers)
    read = checker.read_network(json.loads(json.dumps(network.to_dict())))
    assert read.sha256 == network.sha256
    affine, elementwise = network.alternating()
    assert [len(layer) for layer in read.activations] == [layer.n for layer in elementwise]
    assert read.kinds == [layer.kind for layer in elementwise]
    assert [(len(W.rows), W.cols) for W in read.weights] == [layer.W.shape for layer in affine]
