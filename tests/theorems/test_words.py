"""Figures in words: never more than was proved."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipctrl import certify
from lipctrl.networks.network import Affine, Network
from lipctrl.plants.models.pendulum import Pendulum
from lipctrl.plants.plant import Plant
from lipctrl.results import Verdict
from lipctrl.theorems.nonlinear_claim import for_all
from lipctrl.theorems.words import box_words, errors_allowed, percent

finite = st.floats(-1e6, 1e6)


@given(low=st.lists(finite, min_size=1, max_size=3), width=st.floats(0.0, 1e3), share=st.floats(0.0, 1.0))
def test_boxes_are_rounded_inward_and_shares_down(low, width, share):
    low = np.array(low)
    high = low + width
    inside, around = (np.array(re.findall(r"[-+\de.]+", box_words(low, high, o)), dtype=float) for o in (False, True))
    assert np.all(inside[::2] >= low) and np.all(inside[1::2] <= high)
    assert np.all(around[::2] <= low) and np.all(around[1::2] >= high)
    assert float(percent(share).removesuffix(" %")) <= 100 * share


def test_almost_all_is_not_all():
    assert percent(0.9999999) == "99.99 %" and percent(1.0) == "100 %"


@pytest.mark.parametrize("value", [0.1234567, 0.1, 1e-7 / 3])
def test_what_errors_and_parameters_are_allowed_is_said_exactly(value):
    (words,) = errors_allowed(value, "real", 0.0)
    assert float(words.split()[6]) == value
    words = for_all(Pendulum(mass=(1.0 - value, 1.0 + value)))
    assert [float(end) for end in re.findall(r"[\d.]+(?:e-\d+)?", words)] == [1.0 - value, 1.0 + value]


def test_products_of_gains_are_rounded_up():
    """A gain of 0.33333... and an infinity norm of 2 and a little: what is printed bounds them all."""
    row = next(
        row
        for row in certify(Network([Affine([[1.0 / 3.0]])]), Plant([[0.5]], [[1.0]], [[1.0]], dt=1.0)).theorems
        if row.name == "small gain (global)"
    )
    assert row.verdict is Verdict.CERTIFIED
    gamma, lip, product = (float(text) for text in re.findall(r"(?:<=|policy|product) ([\d.]+\d)", row.reason))
    assert gamma >= 2.0 and lip > 1.0 / 3.0 and product > 2.0 / 3.0
