"""The statements that must be exactly right, each with the wrong version that looks right.

The matrices that the theorems state (balls) contain, at numbers of any kind, the exact ones that the independent
checker rebuilds from the certificate: two implementations of one theorem that share no line. And each of the twelve
statements of :data:`TWINS` names the tests in which its wrong twin is refused.
"""

from __future__ import annotations

import ast
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lipctrl
from lipctrl.errors import LipctrlError
from lipctrl.intervals.ball import Ball
from lipctrl.lmi.feasible import feasible_multipliers
from lipctrl.lmi.lmi import Congruence, MatrixInequality, Values, selector
from lipctrl.networks.enclosure import InputSet
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.plants.loop import Loop
from lipctrl.plants.plant import Plant
from lipctrl.proofs.certificate import network_block, plant_block
from lipctrl.proofs.check import check
from lipctrl.proofs.verify import holds
from lipctrl.theorems import hinf, instability, lipschitz, lyapunov, small_gain
from lipctrl.theorems.rounding import product_at_most_one, root_upper
from lipctrl.theorems.rows import proved_decay
from tests.hunt.matrices_of_the_checker import Exact, rebuilt
from tests.networks_for_tests import linear_feedback

ROOT = Path(__file__).resolve().parents[2]

#: number of the statement -> (what is right, the tests that refuse the wrong twin)
TWINS: dict[int, tuple[str, tuple[str, ...]]] = {
    1: (
        "The region of a local small gain is an ellipsoid in the box, never the box or a ball.",
        (
            "tests/theorems/test_loops.py::test_region_of_local_small_gain_is_not_the_box",
            "tests/proofs/test_check.py::test_local_box_of_the_shifted_loop_is_not_the_region",
            "tests/proofs/test_check.py::test_wrong_twins_are_rejected",
            "tests/hunt/test_statements.py::test_faces_of_the_box_bound_the_level",
        ),
    ),
    2: (
        "At v* != 0 shifted neurons differ and are not odd: no repeated and no odd multipliers, sectors about v*.",
        (
            "tests/hunt/test_statements.py::test_sectors_about_zero_do_not_hold_about_another_point",
            "tests/theorems/test_lipschitz.py::test_coupled_multipliers_of_lipsdp_network_are_not_offered",
        ),
    ),
    3: (
        "The steepest secant through v* may end inside the range.",
        (
            "tests/networks/test_activation.py::test_the_steepest_secant_may_end_inside",
            "tests/proofs/test_check.py::test_steepest_secant_in_the_interior",
        ),
    ),
    4: (
        "Linear claims: u0 := pi(y0), so e = 0 rests exactly; nonlinear ones hold for every x* of the enclosure.",
        (
            "tests/plants/test_loop.py::test_the_operating_point_is_an_equilibrium_without_rounding",
            "tests/plants/test_loop.py::test_a_point_where_the_loop_does_not_rest_is_refused",
            "tests/proofs/test_cells.py::test_core_is_smaller_by_the_size_of_the_equilibrium_box",
        ),
    ),
    5: (
        "A loop that rests outside its goal is never certified.",
        (
            "tests/test_certify.py::test_policies_get_the_verdict_of_their_card",
            "tests/test_policies.py::test_pendulum_hanging_hangs",
            "tests/test_certify_nonlinear.py::"
            "test_a_policy_that_hangs_is_refuted_by_a_trajectory_that_replays_in_gymnasium",
        ),
    ),
    6: (
        "A linear certificate says nothing about the nonlinear loop.",
        (
            "tests/test_certify.py::test_the_linear_claim_is_overridden_by_the_true_plant",
            "tests/test_certify.py::test_a_global_linear_claim_is_overridden_by_the_true_pendulum",
        ),
    ),
    7: (
        "Scalings are constant, and the same in both factors of a small gain.",
        (
            "tests/proofs/test_check.py::test_wrong_twins_are_rejected",
            "tests/plants/test_loop.py::test_shifts_and_weights_that_make_no_sense_are_refused",
            "tests/hunt/test_statements.py::test_scalings_are_constant_diagonals",
        ),
    ),
    8: (
        "Margins and uncertain parameters move x*: no theorem here takes any, and the words are refused.",
        ("tests/hunt/test_statements.py::test_uncertainty_is_refused_not_ignored",),
    ),
    9: (
        "Instability needs a strict Stein inequality and one vector, and a derivative at x*; no eigenvalues.",
        (
            "tests/theorems/test_loops.py::test_no_refutation_at_a_kink",
            "tests/theorems/test_loops.py::test_a_stable_loop_is_never_refuted",
            "tests/proofs/test_check.py::test_instability_holds_for_every_enclosed_jacobian",
            "tests/hunt/test_statements.py::test_instability_does_not_believe_the_spectral_radius",
        ),
    ),
    10: (
        "A Jacobian at a kink is no lower bound.",
        ("tests/theorems/test_lipschitz.py::test_a_jacobian_at_a_kink_is_no_lower_bound",),
    ),
    11: (
        "With negative slopes the closed-form multipliers are larger.",
        ("tests/hunt/test_statements.py::test_closed_form_start_with_negative_slopes",),
    ),
    12: (
        "Algebraic loops, sampled policies in continuous time, gaps at pi, policies with a clock.",
        (
            "tests/plants/test_loop.py::test_an_algebraic_loop_is_refused",
            "tests/test_certify.py::test_continuous_plant_says_that_it_is_not_the_sampled_policy",
            "tests/test_certify.py::test_feedthrough_and_missing_plants_are_refused",
            "tests/proofs/test_cells.py::test_angles_wrap_without_a_gap",
            "tests/proofs/test_cells.py::test_grid_refuses_edges_that_round",
            "tests/proofs/test_cells.py::test_nothing_is_proved_without_a_seed_or_for_a_loop_that_only_turns",
        ),
    ),
}


@pytest.mark.parametrize("number", TWINS)
def test_every_statement_has_its_twin(number: int) -> None:
    for name in TWINS[number][1]:
        file, function = name.split("::")
        tree = ast.parse((ROOT / file).read_text())
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, name


# ------------------------------------------------------------------------------- two implementations of one theorem


def random_network(rng: np.random.Generator, n_in: int, n_out: int) -> Network:
    """Every kind of slope: curved, linear, negative, and neurons that are linear on a part of their layer."""
    kinds: list[tuple[str, Any]] = [
        ("relu", None),
        ("tanh", None),
        ("gelu", None),
        ("leaky_relu", lambda n: {"negative_slope": rng.choice([0.25, 1.0, -0.5], n)}),
        ("identity", None),
        ("elu", lambda n: {"alpha": rng.choice([0.5, 2.0], n)}),
    ]
    sizes = [n_in, *(int(k) for k in rng.integers(1, 4, int(rng.integers(1, 4)))), n_out]
    layers: list[Affine | Elementwise] = []
    for k, (a, b) in enumerate(pairwise(sizes)):
        layers.append(Affine(rng.standard_normal((b, a)), 0.3 * rng.standard_normal(b)))
        if k < len(sizes) - 2:
            kind, parameters = kinds[rng.integers(len(kinds))]
            layers.append(Elementwise(kind, b, **({} if parameters is None else parameters(b))))
    return Network(layers)


def random_plant(rng: np.random.Generator, dt: float, feedthrough: bool = False) -> Plant:
    n, m, p = (int(k) for k in rng.integers(1, 4, 3))
    D = rng.standard_normal((p, m)) if feedthrough else None
    A, B, C = rng.standard_normal((n, n)), rng.standard_normal((n, m)), rng.standard_normal((p, n))
    return Plant(A, B, C, D, dt=dt, y0=rng.standard_normal(p))


def random_loop(rng: np.random.Generator, dt: float) -> Loop:
    plant = random_plant(rng, dt)
    network = random_network(rng, plant.n_outputs, plant.n_inputs)
    return Loop(Plant(plant.A, plant.B, plant.C, dt=dt, y0=plant.y0, u0=network(plant.y0)), network)


def random_symmetric(rng: np.random.Generator, n: int) -> np.ndarray:
    X = rng.standard_normal((n, n))
    return np.tril(X) + np.tril(X, -1).T


def random_values(rng: np.random.Generator, variables: Any) -> dict[str, np.ndarray]:
    """Numbers of no special kind: a matrix of the theorem need not be definite to be right."""
    return {
        v.name: random_symmetric(rng, v.size) if v.symmetric else np.abs(rng.standard_normal(v.size)) for v in variables
    }


def assert_encloses(ball: Ball, exact: Exact) -> None:
    assert ball.shape == (len(exact), len(exact))
    size = max(float(np.abs(ball.mid).max()), 1e-300)
    assert float(ball.radius.max()) <= 1e-12 * size
    for i, row in enumerate(exact):
        for j, x in enumerate(row):
            assert abs(Fraction(float(ball.mid[i, j])) - x) <= Fraction(float(ball.radius[i, j])), (i, j)


def evaluated(lmi: Any, values: Values, name: str) -> Ball:
    (inequality,) = [m for m in lmi.inequalities if m.name == name]
    return inequality.evaluate(values)


@pytest.mark.parametrize("seed", range(24))
def test_lipschitz_inequality_is_that_of_the_checker(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_in, n_out = (int(k) for k in rng.integers(1, 4, 2))
    network = random_network(rng, n_in, n_out)
    inputs = InputSet.from_box(rng.standard_normal(n_in), rng.uniform(0, 1, n_in)) if seed % 2 else None
    shift = rng.standard_normal((n_out, n_in)) if seed % 3 == 0 else None
    statement = lipschitz.state(
        network, inputs, method="layer" if seed % 5 == 0 else "neuron", shift=shift,
        output_weight=rng.uniform(0.5, 2, n_out), input_weight=rng.uniform(0.5, 2, n_in),
    )  # fmt: skip
    values = random_values(rng, statement.lmi.variables)
    claim = lipschitz.claim(statement, values)
    assert Fraction(float.fromhex(claim["upper"])) ** 2 >= Fraction(float(values["rho"][0]))
    (exact,) = rebuilt({"theorem": "lipschitz", "network": network_block(network), **claim}).values()
    assert_encloses(evaluated(statement.lmi, values, "dissipation"), exact)


@pytest.mark.parametrize("dt", [0.0, 0.1])
@pytest.mark.parametrize("seed", range(6))
def test_bounded_real_inequality_is_that_of_the_checker(seed: int, dt: float) -> None:
    rng = np.random.default_rng(seed)
    plant = random_plant(rng, dt, feedthrough=seed % 2 == 0)
    m, p = plant.n_inputs, plant.n_outputs
    shift = rng.standard_normal((m, p)) if seed % 2 else None
    weights = (rng.uniform(0.5, 2, m), rng.uniform(0.5, 2, p)) if seed % 3 else (None, None)
    statement = hinf.state(plant, shift, *weights)
    values = random_values(rng, statement.lmi.variables) | {"gamma_sq": np.array([2.25])}
    found = rebuilt({"theorem": "hinf_norm", "plant": plant_block(plant), **hinf.claim(statement, values)})
    assert_encloses(evaluated(statement.lmi, values, "dissipation"), found["the bounded-real inequality"])
    assert_encloses(evaluated(statement.lmi, values, "P > 0"), found["P"])


@pytest.mark.parametrize("dt", [0.0, 0.1])
@pytest.mark.parametrize("seed", range(8))
def test_lyapunov_inequalities_are_those_of_the_checker(seed: int, dt: float) -> None:
    rng = np.random.default_rng(seed)
    loop = random_loop(rng, dt)
    n = loop.plant.n_states
    statement = lyapunov.state(loop, 0.5 * rng.standard_normal((n, n)) if seed % 2 else None)
    values = random_values(rng, statement.lmi.variables)
    certificate = {"theorem": "lyapunov", "network": network_block(loop.network), "plant": plant_block(loop.plant)}
    found = rebuilt(certificate | lyapunov.claim(statement, values))
    assert_encloses(evaluated(statement.lmi, values, "dissipation"), found["the Lyapunov inequality"])
    assert_encloses(evaluated(statement.lmi, values, "P > 0"), found["P"])
    assert len(found) == len(statement.lmi.inequalities)
    if seed % 2:
        assert_encloses(evaluated(statement.lmi, values, "containment"), found["the inclusion of the region"])


@pytest.mark.parametrize("dt", [0.0, 0.1])
def test_instability_inequality_is_that_of_the_checker(dt: float, monkeypatch: pytest.MonkeyPatch) -> None:
    proved: list[Ball] = []

    def record(lmi: Any, values: Values) -> bool:
        proved.append(lmi.inequalities[0].evaluate(values))
        return holds(lmi, values)

    monkeypatch.setattr(instability, "holds", record)
    refuted = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        loop = random_loop(rng, dt)
        witness = instability.refute(loop)
        if witness is None:
            continue
        refuted += 1
        x = [Fraction(float(v)) for v in witness.direction]
        form = sum(
            Fraction(float(p)) * a * b for row, a in zip(witness.P, x, strict=True) for p, b in zip(row, x, strict=True)
        )
        assert form < 0
        blocks = {"network": network_block(loop.network), "plant": plant_block(loop.plant)}
        found = rebuilt({"theorem": "instability", **blocks, **instability.claim(witness)})
        ball = proved[-1]
        assert float(ball.radius.max()) <= 1e-11 * float(np.abs(ball.mid).max())
        for i, row in enumerate(found["last"]):
            for j, entry in enumerate(row):
                gap = abs(entry - Fraction(float(ball.mid[i, j])))
                assert gap <= Fraction(float(ball.radius[i, j])) + found["radius"][i][j]
    assert refuted >= 3


@pytest.mark.parametrize("seed", range(6))
def test_faces_of_the_box_bound_the_level(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proved level is below the largest true one, min h_i^2 / C_i P^-1 C_i', by at most 1e-6 of it."""
    stated: list[tuple[Any, Values]] = []

    def record(lmi: Any, values: Values) -> bool:
        stated.append((lmi, values))
        return holds(lmi, values)

    monkeypatch.setattr(small_gain, "holds", record)
    rng = np.random.default_rng(seed)
    n, p = (int(k) for k in rng.integers(1, 4, 2))
    factor, C = rng.standard_normal((n, n)), rng.standard_normal((p, n))
    P = factor @ factor.T + 0.1 * np.eye(n)
    P, box = (P + P.T) / 2, rng.uniform(0.1, 2, p)
    plant = Plant(np.eye(n), np.ones((n, 1)), C, dt=0.1)
    level = small_gain._largest_level(plant, P, box)
    assert level is not None
    spread = np.einsum("ij,ji->i", C, np.linalg.solve(P, C.T))
    largest = float(np.min(box**2 / spread))
    assert largest * (1 - 1e-6) <= level <= largest * (1 + 1e-9)
    lmi, values = stated[-1]
    for row, h, face in zip(C, box, lmi.inequalities, strict=False):
        exact = [
            [Fraction(float(h)) ** 2 * Fraction(float(P[i, j])) - Fraction(level) * Fraction(row[i]) * Fraction(row[j])
             for j in range(n)] for i in range(n)
        ]  # fmt: skip
        assert_encloses(face.evaluate(values), exact)
    assert len(lmi.inequalities) == p + 1
    assert_encloses(lmi.inequalities[-1].evaluate(values), [[Fraction(float(x)) for x in row] for row in P])
    assert not holds(lmi, {"P": P, "level": np.array([largest * (1 + 1e-6)])})
    assert not holds(lmi, {"P": -P, "level": np.array([level])})
    assert small_gain._largest_level(plant, P, 0 * box) is None
    if n > 1:
        skew = P.copy()
        skew[0, 1] += 1e-6
        assert small_gain._largest_level(plant, skew, box) is None
    assert not holds(lmi, {"P": P, "level": np.array([-level])})
    assert [(v.name, v.size) for v in lmi.variables] == [("P", n), ("level", 1)]
    half_blind = Plant(np.eye(n), np.ones((n, 1)), np.vstack([C[:1], 0 * C[:1]]), dt=0.1)
    alone = small_gain._largest_level(half_blind, P, np.array([box[0], 1e-9]))
    assert alone == pytest.approx(box[0] ** 2 / spread[0], rel=1e-6)
    blind = Plant(np.eye(n), np.ones((n, 1)), 0 * C, dt=0.1)
    assert small_gain._largest_level(blind, P, box) is None


@pytest.mark.parametrize("seed", range(5))
def test_observations_of_a_region_are_all_in_its_input_set(seed: int) -> None:
    """y0 + C G zeta: the rounding of C G is within the radius, which is the whole of the ball's, rounded up."""
    rng = np.random.default_rng(seed)
    n, p = (int(k) for k in rng.integers(1, 5, 2))
    C, G = rng.standard_normal((p, n)), rng.standard_normal((n, n)) * 10.0 ** rng.uniform(-5, 5)
    network = Network([Affine(np.ones((1, p)))])
    y0 = rng.standard_normal(p)
    plant = Plant(np.eye(n), np.ones((n, 1)), C, dt=0.1, y0=y0, u0=network(y0))
    inputs = lyapunov.region_inputs(Loop(plant, network), G)
    assert np.array_equal(inputs.center, y0) and not np.any(inputs.box)
    radii = (Ball.exact(C) @ Ball.exact(G)).radius
    for i in range(p):
        exact = [sum(Fraction(float(C[i, k])) * Fraction(float(G[k, j])) for k in range(n)) for j in range(n)]
        off = sum(abs(x - Fraction(float(m))) for x, m in zip(exact, inputs.ball_generators[i], strict=True))
        whole = sum(Fraction(float(r)) for r in radii[i])
        assert (
            off <= whole <= Fraction(float(inputs.radius[i])) <= whole * (1 + Fraction(1, 2**39)) + Fraction(1, 2**1000)
        )
    exact_case = lyapunov.region_inputs(
        Loop(Plant(np.eye(n), np.ones((n, 1)), np.ones((p, n)), dt=0.1), network), np.eye(n)
    )
    assert np.all(exact_case.radius <= 2.0**-48)


@pytest.mark.parametrize(
    ("dt", "true"),
    [
        *((0.1, true) for true in (1.0, 0.75, 0.19, 2e-3, 1.5 * 2.0**-33, 0.75 * 2.0**-33, -0.02)),
        *((0.0, true) for true in (400.0, 80.0, 6.0, 2e-3, -2e-3)),
    ],
)
def test_decay_is_the_largest_power_of_two_that_is_true(dt: float, true: float) -> None:
    """x+ = a x: V+ = a^2 V; dx/dt = a x: dV/dt = 2 a V. The multipliers of a zero policy cost nothing."""
    rate = np.sqrt(1.0 - true) if dt else -true / 2
    loop = Loop(Plant([[rate]], [[1.0]], [[1.0]], dt=dt), Network([Affine([[0.0]])]))
    eta = proved_decay(lyapunov.state(loop, None), {"P": np.eye(1)})
    powers = [2.0**-k for k in range(1 if dt else -6, 34)]
    assert eta == max((power for power in powers if power < true), default=0.0)


def test_certificates_of_small_gain_are_accepted_as_they_are(tmp_path: Path) -> None:
    """Global and local, through the whole checker: the product of gains, shift, weights and level fit together."""
    loop = Loop(Plant([[0.5]], [[1.0]], [[1.0]], dt=0.1), linear_feedback([[0.4]]))
    found = small_gain.prove_global(loop)
    assert found is not None and found.succeeds and found.level is None
    assert found.product == pytest.approx(0.8, rel=1e-6)
    check_accepts(loop, "small_gain", small_gain.claim(found), tmp_path)
    unstable = Loop(Plant([[1.1]], [[1.0]], [[1.0]], dt=0.1), linear_feedback([[-0.5]]))
    local = small_gain.prove_local(unstable, time_limit=60.0)
    assert local is not None and local.succeeds and local.level is not None
    check_accepts(unstable, "small_gain", small_gain.claim(local), tmp_path)
    assert small_gain.prove_global(unstable) is None
    # x+ = 1.1 x - tanh(.5 x) rests also where .1 x = tanh(.5 x): x = 9.9991; the region must stay inside
    radius = np.sqrt(local.level / local.plant_part[1]["P"][0, 0])
    assert 0.5 < radius < 9.9992


def check_accepts(loop: Loop, theorem: str, fields: dict[str, Any], folder: Path) -> None:
    blocks = {"network": network_block(loop.network), "plant": plant_block(loop.plant)}
    path = lipctrl.proofs.certificate.write_certificate({"theorem": theorem, **blocks, **fields}, folder / "c.json")
    result = check(path)
    assert result.accepted, result.reason


def test_figures_are_rounded_the_safe_way() -> None:
    rng = np.random.default_rng(0)
    for square in (0.0, 2.0, 4.0, 5e-324, 1e308, *rng.uniform(0, 10, 300)):
        root = Fraction(root_upper(float(square)))
        assert root**2 >= Fraction(float(square))
        assert Fraction(float(np.nextafter(float(root), 0))) ** 2 < Fraction(float(square)) or square == 0.0
    assert root_upper(4.0) == 2.0
    above = float(np.nextafter(1.0, 2))
    assert product_at_most_one(1.0, 1.0) and product_at_most_one(0.5, 2.0)
    assert not product_at_most_one(above, 1.0) and not product_at_most_one(1.0, above)
    assert not product_at_most_one(np.nextafter(0.1, 1), 10.0)  # rounds to 1, is more
    for bad in (np.nan, np.inf):
        assert not product_at_most_one(bad, 0.0) and not product_at_most_one(0.0, bad)


def test_multipliers_are_not_negative_and_as_many_as_the_method_has() -> None:
    network = Network(
        [Affine(np.eye(2)), Elementwise("relu", 2), Affine(np.eye(2)), Elementwise("tanh", 2), Affine(np.eye(2))]
    )
    for method, size in (("neuron", 2), ("layer", 1)):
        statement = lipschitz.state(network, method=method)
        assert [(v.name, v.size, v.lower) for v in statement.lmi.variables] == [
            ("rho", 1, None), ("T1", size, 0.0), ("T2", size, 0.0)
        ]  # fmt: skip
        start = dict(statement.lmi.start or {})
        assert holds(statement.lmi, start)
        for name in ("T1", "T2"):
            negative = np.where(np.arange(size) == 0, -5e-324, start[name])
            assert not holds(statement.lmi, start | {name: negative})
    linear = lipschitz.state(Network([Affine(np.eye(2)), Elementwise("identity", 2), Affine(np.eye(2))]))
    assert [v.name for v in linear.lmi.variables] == ["rho"]
    assert [v.lower for v in hinf.state(Plant([[0.5]], [[1.0]], [[1.0]], dt=0.1)).lmi.variables] == [None, 0.0]


def test_a_box_of_observations_is_contained_in_its_input_set() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        low = rng.standard_normal(3) * 10.0 ** rng.integers(-9, 9, 3)
        high = low + rng.uniform(0, 1, 3) * 10.0 ** rng.integers(-12, 3, 3) * (rng.random(3) < 0.8)
        inputs = lipschitz.box_region((low, high), 3)
        assert inputs is not None
        for c, h, a, b in zip(inputs.center, inputs.box, low, high, strict=True):
            c, h, a, b = (Fraction(float(v)) for v in (c, h, a, b))
            assert c - h <= a and b <= c + h
            assert 2 * h <= (b - a) + Fraction(1, 2**50) * (abs(a) + abs(b))
            assert h == 0 or a < b
    good, short, bad = np.zeros(3), np.zeros(2), np.array([1.0, np.inf, 1.0])
    for box in ((good, short), (short, good), (good, bad), (-bad, good), (good, [1.0, np.nan, 1.0]), (good + 1, good)):
        with pytest.raises(LipctrlError):
            lipschitz.box_region(box, 3)
    with pytest.raises(LipctrlError):
        lipschitz.box_region((good, np.array([1.0, -1.0, 1.0])), 3)
    assert lipschitz.box_region(None, 3) is None


# ------------------------------------------------------------------------------------------------------ wrong twins


def test_sectors_about_zero_do_not_hold_about_another_point(tmp_path: Path) -> None:
    """tanh on [-1, 1] about 0 has secants in [.7616, 1]; about v* = .9 they reach down to .55 and the claim fails."""
    network = Network([Affine([[1.0]]), Elementwise("tanh", 1), Affine([[-0.3]])])

    def loop(y0: float) -> Loop:
        y = np.array([y0])
        return Loop(Plant([[1.1]], [[1.0]], [[1.0]], dt=0.1, y0=y, u0=network(y)), network)

    generators = np.array([[1.0]])
    at_zero, elsewhere = lyapunov.state(loop(0.0), generators), lyapunov.state(loop(0.9), generators)
    values = {"P": np.array([[1.01]]), "T1": np.array([0.5])}
    assert holds(at_zero.lmi, values)
    assert not holds(elsewhere.lmi, values)
    claim = lyapunov.claim(at_zero, values)
    check_accepts(loop(0.0), "lyapunov", claim, tmp_path)
    blocks = {"network": network_block(network), "plant": plant_block(loop(0.9).plant)}
    path = lipctrl.proofs.certificate.write_certificate({"theorem": "lyapunov", **blocks, **claim}, tmp_path / "twin")
    assert not check(path).accepted


def test_scalings_are_constant_diagonals() -> None:
    """The weights of a statement are vectors; a family of them over frequencies, or a full matrix, is refused."""
    network = linear_feedback([[0.5, 0.1]])
    for weight in (np.ones((10, 2)), np.ones((2, 2)), np.ones(3)):
        with pytest.raises((LipctrlError, ValueError)):
            lipschitz.state(network, input_weight=weight)


@pytest.mark.parametrize("word", ["margin", "parameters", "uncertainty", "delay", "gain_margin"])
def test_uncertainty_is_refused_not_ignored(word: str) -> None:
    with pytest.raises(TypeError, match=word):
        lipctrl.certify(linear_feedback([[-0.5]]), Plant([[0.5]], [[1.0]], [[1.0]], dt=0.1), **{word: 0.1})


def test_instability_does_not_believe_the_spectral_radius() -> None:
    """Radius 1 + 1e-13 in floating point; the true one is 1, a rotation, and nothing is refuted."""
    rotation = np.array([[0.6, -0.8], [0.8, 0.6]])
    plant = Plant(rotation * (1 + 2.0**-43), np.zeros((2, 1)), np.eye(2), dt=0.1)
    assert instability.refute(Loop(Plant(rotation, np.zeros((2, 1)), np.eye(2), dt=0.1), zero(2))) is None
    stable = Loop(Plant(rotation * (1 - 2.0**-43), np.zeros((2, 1)), np.eye(2), dt=0.1), zero(2))
    assert instability.refute(stable) is None
    witness = instability.refute(Loop(plant, zero(2)))
    assert witness is None or witness.direction @ witness.P @ witness.direction < 0


def zero(n: int) -> Network:
    return Network([Affine(np.zeros((1, n)))])


@pytest.mark.parametrize("alpha", [-0.9, -0.3, -2.0])
def test_closed_form_start_with_negative_slopes(alpha: float) -> None:
    """The start is strictly feasible; the recursion for slopes [0, 1] that forgets alpha is not."""
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    layers: list[Affine | Elementwise] = [Affine(turn)]
    for scale in (2.0, 0.5):
        layers += [Elementwise("leaky_relu", 2, negative_slope=alpha), Affine(scale * turn)]
    network = Network(layers)
    statement = lipschitz.state(network)
    assert statement.lmi.start is not None
    assert holds(statement.lmi, statement.lmi.start)
    wrong = {"T1": np.full(2, 1.001), "T2": np.full(2, 0.2501), "rho": np.array([1.01])}
    assert not holds(statement.lmi, wrong)
    relu = Network([Elementwise("relu", 2) if isinstance(layer, Elementwise) else layer for layer in layers])
    assert holds(lipschitz.state(relu).lmi, wrong)
    t, rho = feasible_multipliers(
        statement.signals, statement.signals.output.dense(statement.signals.sizes), np.ones(2)
    )
    assert min(t) > 0 and rho > 0


def test_the_inequality_must_hold_with_every_part() -> None:
    """One definite inequality does not make up for one that fails."""
    n = 2
    E = selector(0, n)
    good = MatrixInequality("good", (n,), (Congruence("P", E, E, 0.5),))
    bad = MatrixInequality("bad", (n,), (Congruence("P", E, E, -0.5),))
    from lipctrl.lmi.lmi import LMI, Variable

    variables = (Variable("P", n, symmetric=True),)
    assert holds(LMI(variables, (good,)), {"P": np.eye(n)})
    for parts in ((good, bad), (bad, good), (bad,)):
        assert not holds(LMI(variables, parts), {"P": np.eye(n)})
