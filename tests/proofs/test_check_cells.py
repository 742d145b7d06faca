"""The checker of regions of cells: true certificates are accepted, damaged ones are not, its arithmetic encloses."""

from __future__ import annotations

import base64
import copy
import importlib.util
import subprocess
import sys
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy import special

import lipctrl.proofs.certificate
from lipctrl import load_policy
from lipctrl.errors import PlantError
from lipctrl.intervals.functions import absolute, arctan, clip, cos, exp, sin, sqrt, square, tanh
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.plants.model import Model
from lipctrl.plants.models.pendulum import Pendulum
from lipctrl.plants.program import record, record_model
from lipctrl.plants.resting import newton, simulate
from lipctrl.proofs.certificate import from_hex, write_certificate
from lipctrl.proofs.region_certificate import Part, region_certificate
from lipctrl.theorems.region import RegionOfAttraction, find_region

PATH = Path(lipctrl.proofs.certificate.__file__).with_name("check_cells.py")
POLICIES = Path(__file__).resolve().parents[2] / "policies"


@pytest.fixture(scope="module")
def checker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_cells", PATH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.MAX_COVER, module.MAX_PARTS = 60_000, 5_000  # give up sooner
    return module


class Cart(Model):
    """A cart with friction on a hill that its force cannot climb everywhere: x'' = u - v / 2 + 1.2 arctan x."""

    name, n_states, n_actions, n_observations, dt = "cart", 2, 1, 2, 0.1
    periods = np.zeros(2)
    state_low, state_high = np.array([-2.0, -2.0]), np.array([2.0, 2.0])
    action_low, action_high = np.array([-1.0]), np.array([1.0])

    def step(self, x: Sequence[Any], u: Sequence[Any]) -> tuple[Any, ...]:
        force = clip(u[0], -1.0, 1.0) - 0.5 * x[1] + 1.2 * arctan(x[0])
        return x[0] + self.dt * x[1], x[1] + self.dt * force

    def observe(self, x: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(x)


CART_POLICY = Network([Affine([[1.0, 1.5], [0.5, -0.5]], [0.1, 0.0]), Elementwise("tanh", 2), Affine([[-3.0, 0.1]])])


def _certificate(region: RegionOfAttraction) -> dict[str, Any]:
    return region_certificate(Part(region.cells, region.equilibrium), region.lower, region.upper, region.volume)


def _region(model: Model, network: Network, **options: Any) -> RegionOfAttraction:
    guess = newton(model, network, np.zeros(2))
    assert guess is not None
    region = find_region(model, network, guess, time_limit=300.0, **options)
    assert region is not None
    return region


@pytest.fixture(scope="module")
def cart() -> dict[str, Any]:
    region = _region(Cart(), CART_POLICY, last_level=6)
    assert 0.3 < region.share < 0.9 and len(region.cells.records) > 9
    return _certificate(region)


@pytest.fixture(scope="module")
def pendulum() -> tuple[RegionOfAttraction, dict[str, Any]]:
    region = _region(Pendulum(), load_policy(POLICIES / "pendulum-sac").network, last_level=7)
    return region, _certificate(region)


def _check(checker: ModuleType, certificate: dict[str, Any], folder: Path) -> tuple[int, str]:
    code, text = checker.check(write_certificate(certificate, folder / "certificate.json.gz"))
    return int(code), str(text)


def test_a_cart_is_accepted_by_the_checker_alone(checker: ModuleType, cart: dict[str, Any], tmp_path: Path) -> None:
    path = write_certificate(cart, tmp_path / "cart.json")
    done = subprocess.run([sys.executable, "-I", str(PATH), str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("ACCEPTED (region_of_attraction)\nRegion of attraction: at least ")
    assert "modulo" not in done.stdout and not done.stderr
    assert checker.check(path) == (0, done.stdout.split("\n", 1)[1].rstrip("\n"))


def test_a_pendulum_is_accepted(
    checker: ModuleType, pendulum: tuple[RegionOfAttraction, dict[str, Any]], tmp_path: Path
) -> None:
    region, certificate = pendulum
    code, text = _check(checker, certificate, tmp_path)
    assert code == 0, text
    stated = float(text.split("at least ")[1].split(" %")[0])
    assert region.share - 1e-5 <= stated / 100 <= region.share + 1e-6
    assert "converges to x* modulo 2 pi in x1" in text and "real arithmetic" in text
    assert (tmp_path / "certificate.json.gz").stat().st_size < 2**20


def test_states_of_the_cells_in_the_file_converge(pendulum: tuple[RegionOfAttraction, dict[str, Any]]) -> None:
    region, certificate = pendulum
    places = _places(certificate)
    rng = np.random.default_rng(0)
    starts = []
    for (grid, level, _, _), flat in zip(certificate["records"], places, strict=True):
        low, width = (from_hex(certificate["grids"][grid][key]) for key in ("low", "width"))
        index = np.stack([flat >> level, flat & (2**level - 1)], axis=1)
        starts.append(low + (index + rng.random(index.shape)) * width / 2**level)
    x = np.concatenate(starts)[::2]
    end = simulate(Pendulum(), load_policy(POLICIES / "pendulum-sac").network, x, 400)[-1]
    away = np.abs(np.exp(1j * (end[:, 0] - region.core.center[0])) - 1) + np.abs(end[:, 1])
    assert sum(map(len, places)) == region.n_cells and away.max() < 1e-4


def _places(certificate: dict[str, Any]) -> list[np.ndarray]:
    planes = np.frombuffer(zlib.decompress(base64.b64decode(certificate["cells"])), dtype=np.uint8)
    numbers = np.ascontiguousarray(planes.reshape(4, -1).T).view("<u4")[:, 0].astype(np.int64)
    sizes = [record[3] for record in certificate["records"]]
    return [np.cumsum(part) for part in np.split(numbers, np.cumsum(sizes)[:-1])]


def _with_places(certificate: dict[str, Any], places: list[np.ndarray]) -> None:
    joined = np.concatenate([np.diff(part, prepend=0) for part in places]).astype("<u4")
    planes = np.ascontiguousarray(joined.view(np.uint8).reshape(-1, 4).T).tobytes()
    certificate["cells"] = base64.b64encode(zlib.compress(planes)).decode()
    for record_, part in zip(certificate["records"], places, strict=True):
        record_[3] = len(part)


def _times(text: str, factor: float) -> str:
    return (float.fromhex(text) * factor).hex()


def _ranks_reversed(c: dict[str, Any]) -> None:
    places = _places(c)
    last = c["records"][-1][:2]
    tail = [i for i, line in enumerate(c["records"]) if line[:2] == last]
    order = list(range(tail[0])) + tail[::-1]
    c["records"] = [c["records"][i] for i in order]
    _with_places(c, [places[i] for i in order])


def _first_rank_last(c: dict[str, Any]) -> None:
    """The cells that lie in an ellipsoid are gone: nothing carries the others."""
    places = _places(c)
    c["records"], c["ellipsoids"] = c["records"][1:], []
    _with_places(c, places[1:])


def _cell_added(c: dict[str, Any]) -> None:
    """One more cell, the unmarked one nearest to the corner of the grid."""
    places = _places(c)
    grid, level = c["records"][-1][:2]
    taken = np.zeros((2**level,) * 2, dtype=bool)
    for (g, at, _, _), flat in zip(c["records"], places, strict=True):
        if g == grid:
            coarse = np.zeros((2**at,) * 2, dtype=bool)
            coarse.reshape(-1)[flat] = True
            taken |= np.kron(coarse, np.ones((2 ** (level - at),) * 2, dtype=bool))
    free = np.nonzero(~taken.reshape(-1))[0]
    c["records"].append([grid, level, 1, 1])
    _with_places(c, [*places, free[:1]])


def _steps_changed(c: dict[str, Any]) -> None:
    for line in c["records"]:
        line[2] = 0


def _set(*path: Any) -> Callable[[Callable[[Any], Any]], Callable[[dict[str, Any]], None]]:
    def using(change: Callable[[Any], Any]) -> Callable[[dict[str, Any]], None]:
        def damage(c: dict[str, Any]) -> None:
            place: Any = c
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = change(place[path[-1]])

        return damage

    return using


DAMAGES: dict[str, Callable[[dict[str, Any]], None]] = {
    "ranks reversed": _ranks_reversed,
    "first cells gone": _first_rank_last,
    "cell added": _cell_added,
    "steps changed": _steps_changed,
    "core enlarged": _set("core", "radius")(lambda r: _times(r, 30.0)),
    "core of another shape": _set("core", "T")(lambda T: [T[0], [_times(v, 1e-3) for v in T[1]]]),
    "ellipsoid enlarged": _set("ellipsoids", -1, "radius")(lambda r: _times(r, 3.0)),
    "ellipsoid moved": _set("ellipsoids", 0, "center", 0)(lambda v: (float.fromhex(v) + 0.3).hex()),
    "weight changed": _set("network", "layers", 0, "W", 0, 0)(lambda v: _times(v, 1.5)),
    "weights changed without digest": lambda c: (
        c.pop("network_sha256"),
        c["network"]["layers"][0].update(W=[[_times(v, -1.0) for v in row] for row in c["network"]["layers"][0]["W"]]),
    )[0],
    "constants of the model changed": _set("model", "step", "constants")(lambda v: [_times(x, 2.0) for x in v]),
    "model moved": _set("model", "step", "outputs")(lambda v: v[::-1]),
    "equilibrium moved": _set("equilibrium")(
        lambda box: {key: [(float.fromhex(v) + 0.05).hex() for v in box[key]] for key in box}
    ),
    "equilibrium emptied": _set("equilibrium")(lambda box: {"lower": box["upper"], "upper": box["lower"]}),
    "volume raised": _set("domain", "volume")(lambda v: _times(v, 1.001)),
    "NaN": _set("core", "radius")(lambda v: "nan"),
    "number that is no string": _set("core", "radius")(lambda v: 1),
    "unknown field": lambda c: c.update(trust="me"),
    "missing field": lambda c: c.pop("core"),
    "cells cut": _set("cells")(lambda v: v[: len(v) // 2]),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_certificates_are_rejected(
    checker: ModuleType, cart: dict[str, Any], tmp_path: Path, name: str
) -> None:
    damaged = copy.deepcopy(cart)
    DAMAGES[name](damaged)
    assert damaged != cart
    code, text = _check(checker, damaged, tmp_path)
    assert code == 1, text
    assert "check failed" not in text


@pytest.mark.parametrize("name", ["angles removed", "angles of the wrong state", "not periodic", "ranks reversed"])
def test_damaged_pendulums_are_rejected(
    checker: ModuleType, pendulum: tuple[RegionOfAttraction, dict[str, Any]], tmp_path: Path, name: str
) -> None:
    damaged = copy.deepcopy(pendulum[1])
    if name == "ranks reversed":
        _ranks_reversed(damaged)
    elif name == "not periodic":  # the angle itself is observed
        damaged["model"]["observe"]["outputs"][1] = 0
    else:
        for grid in damaged["grids"]:
            grid["angles"] = [False, name != "angles removed"]
    assert _check(checker, damaged, tmp_path)[0] == 1


def test_unreadable_files(checker: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    for content in (b"", b"{", b'{"format": 1, "format": 1}', b'{"a": NaN}', b'{"a": 1.5}', b"[" * 10_000, b"\x1f\x8b"):
        path.write_bytes(content)
        assert checker.check(path)[0] == 2
    assert checker.check(tmp_path / "missing")[0] == 2


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "sin": sin,
    "cos": cos,
    "tanh": tanh,
    "exp": exp,
    "arctan": arctan,
    "square": square,
    "abs": absolute,
    "sqrt": lambda x: sqrt(x * x + 0.5),
    "quotient": lambda x: (x + 1.0) / (3.0 + x * x),
    "clip": lambda x: clip(3 * x - 1.0, -0.5, 0.75),
    "mixed": lambda x: (x - sin(x)) * exp(-x) - 0.3 * x**3,
}


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_forms_enclose_functions_and_their_derivatives(checker: ModuleType, name: str) -> None:
    """Random points of random cells: the value minus the linear part lies within the radius."""
    program = record(lambda x: [FUNCTIONS[name](x[0])], 1)
    rng = np.random.default_rng(0)
    centers, halves = rng.uniform(-2, 2, 500), 10 ** rng.uniform(-9, 0, 500)
    x = checker._boxes(centers[:, None], halves[:, None])[0]
    number = checker.Number(x, [checker.Form.constant(1.0, 500)])
    result = checker.Program(program.to_dict(), 1, 1, "step")([number])[0]
    for _ in range(20):
        e = rng.uniform(-1, 1, 500)
        point = centers + e * halves
        for form, truth, slack in (
            (result.value, program([point])[0], 1e-14),
            (result.by[0], (program([point + 1e-6])[0] - program([point - 1e-6])[0]) / 2e-6, 1e-7),
        ):
            lo, hi = form.range()
            outside = (truth < lo - slack) | (hi + slack < truth)  # NaN: the root of x x may be undefined
            assert not np.any(outside) or (name in ("clip", "abs") and slack == 1e-7)
            assert np.isnan(lo).mean() < 0.1
        linear = result.value.c + e * result.value.G[0]
        assert not np.any(np.abs(program([point])[0] - linear) > result.value.r + 1e-14)  # NaN: nothing is known


SMOOTH = ["elu", "softplus", "gelu", "silu"]
OPTIONS: dict[str, dict[str, float]] = {"elu": {"alpha": 0.7}, "softplus": {"beta": 2.5}}


@pytest.mark.parametrize("kind", SMOOTH)
def test_smooth_layers_bound_values_slopes_and_lines(checker: ModuleType, kind: str) -> None:
    """Against an independent evaluation, on ranges from 1e-9 to 30 wide; lines are of second order."""
    rng = np.random.default_rng(3)
    phi = Elementwise(kind, 4000, **OPTIONS.get(kind, {}))
    layer = checker.Layer(Network([phi]).to_dict()["layers"][0])
    lo = np.concatenate([rng.uniform(-12, 12, 3000), rng.uniform(-0.1, 0.0, 1000)])
    width = 10 ** rng.uniform(-9, 1.5, 4000)
    hi = lo + width
    slope, shift, error = layer.line(lo[None], hi[None])
    least, most = layer.slopes(lo[None], hi[None])
    for share in np.linspace(0, 1, 41):
        v = np.clip(lo + share * width, lo, hi)
        truth = phi(v)
        assert np.all(np.abs(truth - slope[0] * v - shift[0]) <= error[0])
        steep = phi.activation.derivative(v)
        assert np.all((least[0] - 1e-14 <= steep) & (steep <= most[0] + 1e-14))
    narrow = (width < 0.5) & ((lo > 0) | (hi < 0))
    assert np.all(error[0][narrow] <= 0.3 * width[narrow] ** 2 * OPTIONS.get(kind, {}).get("beta", 1.0) + 1e-12)
    assert np.all((most - least)[0][narrow] <= 3.0 * width[narrow] + 1e-9)


def test_the_normal_distribution_function_of_the_checker(checker: ModuleType) -> None:
    v = np.concatenate([np.linspace(-12, 12, 20_001), [np.inf, -np.inf]])
    assert np.max(np.abs(checker._normal(v) - special.ndtr(v))) < 2.0**-50
    assert np.isnan(checker._normal(np.array([np.nan]))[0])


@pytest.mark.parametrize("kind", ["identity", "relu", "leaky_relu", "tanh", "sigmoid", "hardtanh", *SMOOTH])
def test_layers_enclose(checker: ModuleType, kind: str) -> None:
    rng = np.random.default_rng(1)
    options: dict[str, Any] = {"hardtanh": {"low": -0.5, "high": 0.25}, **OPTIONS}.get(kind, {})
    first, second = Affine(rng.standard_normal((9, 2)), rng.standard_normal(9)), Affine(rng.standard_normal((7, 9)) / 3)
    hidden = [first, Elementwise(kind, 9, **options), second, Elementwise(kind, 7, **options)]
    network = Network([*hidden, Affine(rng.standard_normal((2, 7)))])
    theirs = checker.Network(network.to_dict(), False)
    assert theirs.sha256() == network.sha256
    centers, halves = rng.uniform(-1, 1, (200, 2)), 10 ** rng.uniform(-8, 0, (200, 1)) * np.ones(2)
    forms, ranges, _ = theirs(checker._boxes(centers, halves))
    unit = [[checker.Form.constant(float(i == j), 200) for j in range(2)] for i in range(2)]
    middle, radius = theirs.derivatives(ranges, unit)
    for _ in range(20):
        e = rng.uniform(-1, 1, (200, 2))
        truth = network(centers + e * halves)
        for i, form in enumerate(forms):
            assert np.all(np.abs(truth[:, i] - form.c - form.G[0] * e[:, 0] - form.G[1] * e[:, 1]) <= form.r + 1e-14)
        slopes = np.stack([network.jacobian(y) for y in centers + e * halves])
        assert np.all(np.abs(slopes - middle) <= radius + 1e-13)


def test_turns_are_counted_as_angles_are(checker: ModuleType) -> None:
    step, observe = (program.to_dict() for program in record_model(Pendulum()))
    assert checker.Program(step, 3, 2, "step").turns(0) == [1, 0]
    assert checker.Program(observe, 2, 3, "observe").turns(0) == [0, 0, 0]
    assert checker.Program(observe, 2, 3, "observe").turns(1) == [0, 0, 1]
    twice = record(lambda x: [sin(x[0] + x[0]), x[0] + x[0], 0.5 * x[0], sin(0.5 * x[0])], 1).to_dict()
    assert checker.Program(twice, 1, 4, "step").turns(0) == [0, 2, None, None]


def test_programs_are_the_model() -> None:
    rng = np.random.default_rng(2)
    for model in (Pendulum(), Cart()):
        step, observe = record_model(model)
        x, u = rng.uniform(-9, 9, (2, 100)), rng.uniform(-3, 3, (1, 100))
        assert np.array_equal(np.stack(step([*x, *u])), np.stack(model.step(x, u)))
        assert np.array_equal(np.stack(observe(x)), np.stack(model.observe(x)))


@pytest.mark.parametrize(
    "equations",
    [
        lambda x: [x[0] if x[0] > 0 else -x[0]],
        lambda x: [float(x[0])],
        lambda x: [np.floor(x[0])],
        lambda x: [x[0] ** 0.5],
        lambda x: [x[0] * np.inf],
        lambda x: [x[0].clip(x[0], 2.0)],
        lambda x: [x[0] + np.ones(2)],
        lambda x: ["x"],
        lambda x: [max(x[0], 0.0)],
    ],
)
def test_what_is_no_program_is_refused(equations: Callable[[Any], Any]) -> None:
    with pytest.raises(PlantError):
        record(equations, 1)
