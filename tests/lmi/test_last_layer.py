"""The last hidden layer eliminated: against the inequality that was stated, and against rational numbers."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipctrl.intervals.ball import Ball
from lipctrl.lmi.last_layer import LastLayer, last_layer
from lipctrl.lmi.lmi import MatrixInequality, Values, gram, selector
from lipctrl.lmi.solvers import solve
from lipctrl.networks.enclosure import InputSet
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.proofs.definiteness import is_positive_definite
from lipctrl.proofs.verify import holds
from lipctrl.theorems import lipschitz
from tests.exact import exact_lipsdp, exactly_definite
from tests.networks_for_tests import random_network

KINDS = ("relu", "gelu", "elu", "leaky_relu", "sigmoid")


def form_of(inequality: MatrixInequality) -> LastLayer:
    form = last_layer(inequality)
    assert form is not None
    return form


def eliminated(inequality: MatrixInequality, values: Values) -> Ball:
    K = form_of(inequality).eliminated(values)
    assert K is not None
    return K.dense()


def network_of(*weights: np.ndarray) -> Network:
    layers: list = []
    for W in weights:
        layers += [Affine(W), Elementwise("relu", len(W))]
    return Network(layers[:-1])


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 9999),
    box=st.sampled_from([None, 0.3]),
    shifted=st.booleans(),
    hidden=st.sampled_from([(9,), (6, 9), (4, 5, 6)]),
)
def test_it_is_the_schur_complement(seed, box, shifted, hidden):
    """Against the stated matrix: with [M + z'z, z'; z, I] and the last hidden layer eliminated, K is what remains."""
    rng = np.random.default_rng(seed)
    network = random_network((3, *hidden, 2), KINDS[seed % len(KINDS)], seed)
    inputs = None if box is None else InputSet.from_box(np.zeros(3), np.full(3, box))
    weights = {"output_weight": np.exp(rng.normal(size=2)), "input_weight": np.exp(rng.normal(size=3))}
    statement = lipschitz.state(network, inputs, shift=rng.standard_normal((2, 3)) if shifted else None, **weights)
    inequality = statement.lmi.inequalities[0]
    form = last_layer(inequality)
    if form is None:  # every neuron linear on the box
        assert sum(statement.signals.sizes[1:]) == 0
        return
    values = {v.name: np.exp(rng.normal(size=v.size)) for v in statement.lmi.variables}
    M, z = inequality.evaluate(values).mid, inequality.constant.factor.dense(inequality.sizes)
    big = np.block([[M + z.T @ z, z.T], [z, np.eye(len(z))]])
    last = np.zeros(len(big), dtype=bool)
    last[sum(inequality.sizes[: form.block]) : len(M)] = True
    keep = ~last
    expected = big[np.ix_(keep, keep)] - big[np.ix_(keep, last)] @ np.linalg.solve(
        big[np.ix_(last, last)], big[np.ix_(last, keep)]
    )
    K = form.eliminated(values).dense()
    assert np.array_equal(K.mid, K.mid.T)
    assert np.allclose(K.mid, expected, atol=1e-11 * np.abs(expected).max())
    assert K.radius.max() < 1e-11 * np.abs(expected).max()


@settings(max_examples=150, deadline=None, derandomize=True)
@given(seed=st.integers(0, 99999), digits=st.integers(4, 18), slopes=st.sampled_from([(0.0, 1.0), (-0.13, 1.13)]))
def test_no_false_proofs_near_singular(seed, digits, slopes):
    """rho a hair above or below the least one: proved only if true in rational numbers; proved if clearly true."""
    rng = np.random.default_rng(seed)
    n_in, n, n_out = int(rng.integers(1, 3)), int(rng.integers(2, 5)), int(rng.integers(1, 3))
    W0 = rng.standard_normal((n, n_in)) * np.exp(rng.normal(0, 1.5, (n, 1)))
    W1 = rng.standard_normal((n_out, n))
    t = (1.0 + rng.random(n)) * np.linalg.norm(W1, 2) ** 2
    inequality = lipschitz.state(network_of(W0, W1)).lmi.inequalities[0]
    supply, term = inequality.terms
    v, own = -term.B.blocks[0], selector(1, n)
    A, B = (own + replace(own, blocks={0: -(v * slope)}) for slope in slopes)
    inequality = replace(inequality, terms=(supply, replace(term, A=A, B=B)))
    K = eliminated(inequality, {"rho": np.zeros(1), "T1": t}).mid
    least = np.linalg.eigvalsh(K[:n_in, n_in:] @ np.linalg.solve(K[n_in:, n_in:], K[n_in:, :n_in]) - K[:n_in, :n_in])[
        -1
    ]
    rho = least * (1 + rng.choice([-1, 1]) * 10.0**-digits)
    ball = eliminated(inequality, {"rho": np.array([rho]), "T1": t})
    proved = is_positive_definite(ball.mid, ball.radius)
    true = exactly_definite(exact_lipsdp([W0, W1], slopes, [t], rho))
    assert true or not proved
    if digits < 10:
        assert proved == (rho > least)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 99999))
def test_the_ball_encloses_the_exact_matrix(seed):
    """Against rational numbers, small integers among them: there nothing but 1/t is rounded."""
    rng = np.random.default_rng(seed)
    n_in, n, n_out = (int(k) for k in rng.integers(1, 4, 3))
    draw = rng.standard_normal if seed % 2 else lambda shape: rng.integers(-1, 2, shape).astype(float)
    A, B, Z0, Z1 = draw((n, n_in)), draw((n, n_in)), draw((n_out, n_in)), draw((n_out, n))
    t, rho = rng.integers(1, 8, n) / 1.0, 3.0
    inequality = lipschitz.state(network_of(np.ones((n, n_in)), Z1)).lmi.inequalities[0]
    supply, term = inequality.terms
    own, rows = selector(1, n), selector(0, n_in)
    term = replace(term, A=own + rows.premultiply(Ball(A)), B=own + rows.premultiply(Ball(B)))
    z = rows.premultiply(Ball(Z0)) + own.premultiply(Ball(Z1))
    inequality = replace(inequality, terms=(supply, term), constant=-gram(z, inequality.sizes))
    K = eliminated(inequality, {"rho": np.array([rho]), "T1": t})

    def total(*factors):
        return sum((np.prod([Fraction(x) for x in row]) for row in zip(*factors, strict=True)), Fraction(0))

    half = Fraction(1, 2)
    for i in range(n_in):
        for j in range(n_in):
            exact = Fraction(rho) * (i == j) - half * total(t, A[:, i] - B[:, i], A[:, j] - B[:, j])
            if seed % 2 == 0:  # else the differences above are rounded themselves
                assert abs(exact - Fraction(K.mid[i, j])) <= Fraction(K.radius[i, j])
    for i in range(n_out):
        for j in range(n_out):
            exact = Fraction(int(i == j)) - half * total([1 / Fraction(x) for x in t], Z1[i], Z1[j])
            assert abs(exact - Fraction(K.mid[n_in + i, n_in + j])) <= Fraction(K.radius[n_in + i, n_in + j])
        for j in range(n_in):
            exact = Fraction(Z0[i, j]) - half * (total(Z1[i], A[:, j]) + total(Z1[i], B[:, j]))
            assert abs(exact - Fraction(K.mid[n_in + i, j])) <= Fraction(K.radius[n_in + i, j])


def test_negative_multipliers_are_refused_though_the_reduced_matrix_is_definite():
    inequality = lipschitz.state(network_of(np.array([[1.0]]), np.array([[1.0]]))).lmi.inequalities[0]
    values = {"rho": np.array([9.0]), "T1": np.array([-1.0])}
    assert not exactly_definite(exact_lipsdp([np.eye(1), np.eye(1)], (0.0, 1.0), [values["T1"]], 9.0))
    assert form_of(inequality).eliminated(values) is None


@pytest.mark.parametrize("kind", ["relu", "gelu"])
@pytest.mark.parametrize("sizes", [(2, 40, 2), (2, 20, 30, 2)])
def test_holds_is_the_same_through_either_matrix(kind, sizes):
    """At the solution, around it, with a multiplier that is zero or negative: as the stated matrix decides."""
    lmi = lipschitz.state(random_network(sizes, kind)).lmi
    inequality = lmi.inequalities[0]
    values = dict(solve(lmi, gap=1e-6).values)
    assert form_of(inequality).smaller and len(eliminated(inequality, values).mid) == sum(sizes) - sizes[-2]
    for factor in (0.5, 1 - 1e-6, 1 - 1e-9, 1 + 1e-9, 1 + 1e-6, 2.0, -1.0, np.nan):
        trial = {**values, "rho": values["rho"] * factor}
        M = inequality.evaluate(trial)
        assert holds(lmi, trial) == is_positive_definite(M.mid, M.radius) == (factor > 1)
    for entry in (0.0, -1.0, 1e-320, np.inf):
        name = f"T{len(sizes) - 2}"
        t = values[name].copy()
        t[3] = entry
        assert not holds(lmi, {**values, "rho": values["rho"] * 2, name: t})


def test_other_inequalities_are_left_alone():
    """A term that reaches into the last layer beside its own multiplier, or a constant that is no Gram matrix."""
    inequality = lipschitz.state(network_of(np.ones((3, 2)), np.ones((1, 3)))).lmi.inequalities[0]
    supply, term = inequality.terms
    assert last_layer(inequality) is not None
    assert last_layer(replace(inequality, constant=inequality.constant.ball)) is None
    assert last_layer(replace(inequality, constant=-inequality.constant)) is None
    assert last_layer(replace(inequality, terms=(supply, term, term))) is None
    assert last_layer(replace(inequality, terms=(replace(supply, S=supply.S.ball), term))) is None
    longer = term.A.scale_rows(np.array([2.0, 1.0, 1.0]))
    assert last_layer(replace(inequality, terms=(supply, replace(term, A=longer)))) is None
    wrong = replace(term.A, blocks={0: term.A.blocks[0], 1: Ball.exact(np.eye(3))})
    assert last_layer(replace(inequality, terms=(supply, replace(term, A=wrong)))) is None


@pytest.mark.parametrize("entry", [0.0, -1.0, np.nan, np.inf])
def test_every_multiplier_of_the_last_layer_must_be_positive(entry):
    """One that is not is enough, whatever the bounds of the variables say."""
    lmi = lipschitz.state(network_of(np.ones((3, 2)), np.ones((1, 3)))).lmi
    form = form_of(lmi.inequalities[0])
    assert form.eliminated(lmi.start) is not None
    for place in range(3):
        t = np.where(np.arange(3) == place, entry, lmi.start["T1"])
        assert form.eliminated({**lmi.start, "T1": t}) is None
