"""The exact checker: its claims word by word."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from lipctrl.proofs import check as ck
from lipctrl.proofs.check import Form, Matrix
from tests.proofs.parts_for_tests import (
    RELU,
    affine,
    certificate,
    claim,
    hexed,
    hinf,
    lipschitz,
    lyapunov,
    network,
    neurons,
    plant,
)


def about(policy: dict[str, Any], kinds: str, named: bool = False, arithmetic: str = "real") -> list[str]:
    digest = ck.read_network(policy).sha256
    rest = "No policy file is named; that any file holds this network is not checked."
    if named:
        rest = f"That the policy file with sha256 {'ab' * 32} holds this network is trusted, not checked."
    return [
        f"pi is the network with sha256 {digest} (layers: {kinds}), the deterministic action, "
        f"in {arithmetic} arithmetic.",
        rest,
    ]


def plant_words(model: dict[str, Any], step: str, y0: float = 0.0) -> list[str]:
    lines = [
        f"The plant has sha256 {ck.read_plant(model).sha256}: 1 states, 1 inputs, 1 outputs, {step}, "
        f"x0 = [0.0], y0 = [{y0}].",
        "Linear model only: nothing is said of what the linear plant leaves out.",
    ]
    return lines + ["A continuous-time certificate, not the sampled policy."] * (step == "continuous time")


def test_claims_of_lipschitz_bounds_word_by_word() -> None:
    fields = certificate("lipschitz", network=RELU, **lipschitz(upper=(2.0).hex()))
    assert claim(fields) == [
        "Lipschitz bound: |pi(x) - pi(y)| <= 2.0 |x - y| for all observations x, y; Euclidean norms.",
        *about(RELU, "relu"),
    ]
    assert claim(fields | {"policy_sha256": "ab" * 32})[1:] == about(RELU, "relu", True)
    weighted = lipschitz(
        shift=hexed([[0.5]]),
        output_weight=hexed([2.0]),
        input_weight=hexed([0.5]),
        rho=(8.5).hex(),
        multipliers=[hexed([4.0])],
        upper=(3.0).hex(),
    )
    assert claim(certificate("lipschitz", network=RELU, **weighted))[:4] == [
        "Lipschitz bound: |D_u (r(x) - r(y))| <= 3.0 |D_y (x - y)| for all observations x, y, "
        "where r(x) = pi(x) - K x; Euclidean norms.",
        "K = [[0.5]].",
        "D_u = diag([2.0]).",
        "D_y = diag([0.5]).",
    ]
    region = {"center": hexed([2.0]), "ball_generators": [[]], "box": hexed([1.0])}
    straight = [{"range": hexed([[1.0, 3.0]]), "slope": hexed([[1.0, 1.0]]), "relaxation": None}]
    local = certificate("lipschitz", network=RELU, **lipschitz(input_set=region, bounds=straight, upper=(2.0).hex()))
    assert claim(local)[0] == (
        "Lipschitz bound: |pi(x) - pi(y)| <= 2.0 |x - y| for all x, y in the observations y with |y_i - center_i| <= "
        "box_i, center = [2.0], box = [1.0]; Euclidean norms."
    )


def test_claims_of_gains_word_by_word() -> None:
    fields = certificate("hinf_norm", plant=plant(0.5), **hinf(2.0, 2.5))
    assert claim(fields) == [
        "H-infinity norm: ||G||_inf < 2.5 from input to output; it is exponentially stable.",
        *plant_words(plant(0.5), "sampled, dt = 1.0"),
    ]
    assert claim(fields | {"network": RELU}) == claim(fields)
    weights = {"output_weight": hexed([2.0]), "input_weight": hexed([0.5]), "shift": hexed([[-0.25]])}
    scaled = certificate("hinf_norm", plant=plant(0.5), **hinf(1.0, 9.0, **weights))
    assert claim(scaled)[:4] == [
        "H-infinity norm: ||D_y G D_u^-1||_inf < 9.0 from input to output, "
        "G being the plant with u = K C x + w closed; "
        "it is exponentially stable.",
        "K = [[-0.25]].",
        "D_u = diag([2.0]).",
        "D_y = diag([0.5]).",
    ]
    assert claim(certificate("hinf_norm", plant=plant(-1.0, dt=0.0), **hinf(1.0, 9.0)))[1:] == plant_words(
        plant(-1.0, dt=0.0), "continuous time"
    )


def test_claims_about_loops_word_by_word() -> None:
    sampled, flowing = (
        "x+ = x0 + A (x - x0) + B (pi(y0 + C (x - x0)) - pi(y0))",
        "dx/dt = A (x - x0) + B (pi(y0 + C (x - x0)) - pi(y0))",
    )
    free = certificate("lyapunov", network=RELU, plant=plant(0.0, 0.5), **lyapunov(1.0))
    assert claim(free) == [
        "Lyapunov with sectors:",
        f"Every trajectory of {sampled} converges exponentially to x0.",
        "Global: from every initial state.",
        *plant_words(plant(0.0, 0.5), "sampled, dt = 1.0"),
        *about(RELU, "relu"),
    ]
    model = plant(0.5, 0.25, y0=2.0)
    local = lyapunov(
        1.0,
        level=(0.25).hex(),
        generators=hexed([[1.0]]),
        bounds=[{"range": hexed([[1.0, 3.0]]), "slope": hexed([[1.0, 1.0]]), "relaxation": None}],
    )
    region = [
        "The region is {x : (x - x0)' P (x - x0) <= 0.25}, invariant under the loop.",
        "P = [[1.0]].",
        "Its volume is about 1 (information, computed in floating point).",
    ]
    fields = certificate("lyapunov", network=RELU, plant=model, **local)
    assert claim(fields) == [
        "Lyapunov with sectors:",
        f"Every trajectory of {sampled} that starts in the region converges exponentially to x0.",
        *region,
        *plant_words(model, "sampled, dt = 1.0", 2.0),
        *about(RELU, "relu"),
    ]
    errors = {"action_error": (0.125).hex(), "arithmetic": "real", "decay": (0.4).hex(), "radius": (0.25).hex()}
    assert claim(fields | {"disturbed": errors})[:2] == [
        "Lyapunov with sectors:",
        "With every action wrong by at most 0.125 at each time: every trajectory of the linear loop "
        "that starts in the region stays "
        "in it, comes to {x : (x - x0)' P (x - x0) <= 0.25^2} and stays there.",
    ]
    single = claim(fields | {"disturbed": errors | {"arithmetic": "float32"}})
    assert "and by its float32 evaluation (FORMAT.md), at most " in single[1] and single[2:5] == region
    stated = float(single[1].split("at most ")[2].split(":")[0])
    network_ = ck.read_network(RELU)
    bounds = ck.read_bounds(local["bounds"], network_)
    (most,) = ck.float32_errors(network_, bounds, Form.around([(Fraction(1), Fraction(3))]))
    assert most <= Fraction(stated) <= most * Fraction(102, 100)
    assert single[-2:] == about(RELU, "relu", arithmetic="float32")
    runs = certificate("instability", network=RELU, plant=plant(3.0, y0=2.0), P=hexed([[-1.0]]), direction=hexed([1.0]))
    assert claim(runs) == [
        f"The equilibrium x0 of {sampled} is unstable.",
        *plant_words(plant(3.0, y0=2.0), "sampled, dt = 1.0", 2.0),
        *about(RELU, "relu"),
    ]
    flows = certificate(
        "instability", network=RELU, plant=plant(3.0, dt=0.0, y0=2.0), P=hexed([[-1.0]]), direction=hexed([1.0])
    )
    assert claim(flows)[0] == f"The equilibrium x0 of {flowing} is unstable."
    quarter = network(affine([[1.0]]), neurons("relu"), affine([[0.25]]))
    own = lipschitz(rho=(0.07).hex(), multipliers=[hexed([0.0625])], upper=(0.3).hex())
    gain = certificate("small_gain", network=quarter, plant=plant(0.5), lipschitz=own, hinf=hinf(2.0, 2.5), level=None)
    assert claim(gain)[:3] == [
        "Small gain: the gain of the plant 2.5 times that of the policy 0.3 is at most 1.",
        f"Every trajectory of {sampled} converges exponentially to x0.",
        "Global: from every initial state.",
    ]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_volumes_for_information(n: int) -> None:
    P = np.diag(np.arange(1.0, n + 1)) + 0.25 * np.ones((n, n))
    found = ck._volume(2.0, Matrix.of(P.tolist(), n), n)
    unit = [2, np.pi, 4 * np.pi / 3][n - 1]
    assert found == pytest.approx(unit * 2 ** (n / 2) / np.sqrt(np.linalg.det(P)), rel=1e-9)
    assert ck._volume(2.0, Matrix([[0]], 1), 1) is None and ck._volume(2.0, Matrix.eye(41), 41) is None
    assert ck._volume(1.0, Matrix.eye(40), 40) is not None


def test_words_about_weights_regions_and_errors() -> None:
    """Of more than one action, observation and state."""
    one, some, none = [Fraction(1)] * 2, [Fraction(1), Fraction(2)], [Fraction(3), Fraction(2)]
    for output, inner, names in (
        (one, one, ("", "")), (some, one, ("D_u ", "")), (one, some, ("", "D_y ")),
        (none, some[::-1], ("D_u ", "D_y ")),
    ):  # fmt: skip
        scaling = ck.Scaling(None, output, inner)
        assert ck._norms(scaling) == names
        lines = [f"D_u = diag({[float(w) for w in output]})."] * (output != one)
        assert ck._scaling_words(scaling) == lines + [f"D_y = diag({[float(w) for w in inner]})."] * (inner != one)
    for n, shown in ((6, True), (7, False)):
        words = ck._region_words(2.0, Matrix.eye(n), n)
        assert words[0] == "The region is {x : (x - x0)' P (x - x0) <= 2.0}, invariant under the loop."
        assert (f"P = {np.eye(n).tolist()}." in words) is shown and len(words) == 2 + shown
    assert ck._region_words(2.0, Matrix([[-1]], 1), 1)[-1] == "P = [[-1.0]]."
    assert ck._region_words(None, Matrix.eye(1), 1) == ["Global: from every initial state."]
    (words,) = ck._disturbed_words(ck.Disturbance(0.5, [Fraction(1, 64), Fraction(1, 8), Fraction(1, 32)], 0.25))
    assert words.startswith(
        "With every action wrong by at most 0.5 at each time, and by its float32 evaluation (FORMAT.md), "
        "at most 0.126: "
    )
    assert ck._floats(Matrix([[1, -3], [4, 0]], 2, -1)) == [[0.5, -1.5], [2.0, 0.0]]
