"""Class weights follow their formulas, and faults in the weights of a user are reported."""

import doctest
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from machamp_lite.weighting import class_weights
from machamp_lite.weighting.class_weights import (
    SCHEMES,
    faults_of,
    given_weights,
    positive_weights,
    scheme_weights,
)

counts_of_labels = st.lists(st.integers(1, 10**9), min_size=1, max_size=20)
LABELS = ["NOUN", "VERB", "ADJ"]


@pytest.mark.parametrize(
    ("scheme", "counts", "beta", "expected"),
    [
        ("balanced", [900, 100], 0.9, [1000 / 1800, 5.0]),
        ("balanced", [1, 2, 5], 0.9, [8 / 3, 4 / 3, 8 / 15]),
        ("inverse", [1, 2, 5], 0.9, [1.0, 0.5, 0.2]),
        ("sqrt", [100, 900], 0.9, [math.sqrt(5.0), math.sqrt(5 / 9)]),
        # (1 - 0.5) / (1 - 0.5 ** count) is 1 and 2/3, with a mean of 5/6.
        ("effective", [1, 2], 0.5, [1.2, 0.8]),
        ("effective", [1, 7, 10**9], 0.0, [1.0, 1.0, 1.0]),
        ("effective", [10**9, 10**9 + 1], 0.5, [1.0, 1.0]),
    ],
)
def test_weights_worked_by_hand(scheme: str, counts: list, beta: float, expected: list) -> None:
    assert scheme_weights(scheme, counts, beta=beta) == pytest.approx(expected)


def test_max_ratio_is_one_for_the_most_frequent_label() -> None:
    weights = scheme_weights("max_ratio", [2741, 37919, 22858, 31235, 5499], beta=0.9)
    assert [round(weight, 2) for weight in weights] == [13.83, 1.0, 1.66, 1.21, 6.90]


@settings(deadline=None)
@given(counts_of_labels)
def test_balanced_weights_are_those_of_scikit_learn(counts: list[int]) -> None:
    counts = [count % 50 + 1 for count in counts]
    items = np.repeat(np.arange(len(counts)), counts)
    expected = compute_class_weight("balanced", classes=np.arange(len(counts)), y=items)
    assert scheme_weights("balanced", counts, beta=0.9) == pytest.approx(list(expected))


@settings(deadline=None)
@given(counts_of_labels, st.floats(0, 1, exclude_max=True))
def test_effective_weights_have_a_mean_of_one_whatever_beta(counts: list[int], beta: float) -> None:
    weights = scheme_weights("effective", counts, beta=beta)
    assert sum(weights) / len(weights) == pytest.approx(1.0)


@settings(deadline=None)
@given(st.lists(st.integers(1, 10**5), min_size=1, max_size=20))
def test_effective_weights_approach_the_ratios_of_inverse_as_beta_approaches_one(counts: list[int]) -> None:
    weights = scheme_weights("effective", counts, beta=1 - 2**-52)
    inverse = scheme_weights("inverse", counts, beta=0.0)
    expected = [len(counts) * weight / sum(inverse) for weight in inverse]
    assert weights == pytest.approx(expected)


@pytest.mark.parametrize("scheme", SCHEMES)
@settings(deadline=None)
@given(counts=counts_of_labels, beta=st.floats(0, 0.999999))
def test_rarer_labels_weigh_no_less_and_all_above_zero(scheme: str, counts: list[int], beta: float) -> None:
    for weights in (
        scheme_weights(scheme, counts, beta=beta),
        positive_weights(scheme, counts, items=max(counts), beta=beta),
    ):
        assert all(weight > 0 and math.isfinite(weight) for weight in weights)
        by_count = [weight for _, weight in sorted(zip(counts, weights, strict=True))]
        assert all(rarer >= other * (1 - 1e-9) for rarer, other in zip(by_count, by_count[1:], strict=False))


@pytest.mark.parametrize(
    ("scheme", "counts", "items", "beta", "expected"),
    [
        ("balanced", [100, 500, 900], 1000, 0.9, [9.0, 1.0, 1 / 9]),
        ("inverse", [100, 500], 1000, 0.9, [9.0, 1.0]),
        ("max_ratio", [100, 500], 1000, 0.9, [9.0, 1.0]),
        ("sqrt", [100, 500], 1000, 0.9, [3.0, 1.0]),
        # (1 - 0.5 ** negatives) / (1 - 0.5 ** positives), with 2 and 1, and with 1 and 2.
        ("effective", [1, 2], 3, 0.5, [1.5, 2 / 3]),
        ("effective", [1, 2], 3, 0.0, [1.0, 1.0]),
        # If all items have a label, it is weighted as if one item did not.
        ("balanced", [1000, 999], 1000, 0.9, [1 / 1000, 1 / 999]),
        ("sqrt", [4], 4, 0.9, [0.5]),
    ],
)
def test_positive_weights_worked_by_hand(
    scheme: str, counts: list, items: int, beta: float, expected: list
) -> None:
    assert positive_weights(scheme, counts, items=items, beta=beta) == pytest.approx(expected)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_labels_have_no_weights_and_counts_below_one_are_refused(scheme: str) -> None:
    assert scheme_weights(scheme, [], beta=0.9) == []
    assert positive_weights(scheme, [], items=0, beta=0.9) == []
    with pytest.raises(ValueError, match="the count 0"):
        scheme_weights(scheme, [3, 0], beta=0.9)
    with pytest.raises(ValueError, match="the count 0"):
        positive_weights(scheme, [3, 0], items=5, beta=0.9)


def test_unknown_schemes_impossible_counts_and_betas_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'balance'.*balanced"):
        scheme_weights("balance", [1], beta=0.9)
    with pytest.raises(ValueError, match="at most 5"):
        positive_weights("balanced", [6], items=5, beta=0.9)
    for beta in (1.0, -0.1, float("nan")):
        with pytest.raises(ValueError, match="beta"):
            scheme_weights("effective", [1], beta=beta)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({"VERB": 2.0, "NOUN": 1.0, "ADJ": 0.0}, [1.0, 2.0, 0.0]),
        ({"*": 0.5, "ADJ": 3.0}, [0.5, 0.5, 3.0]),
        ({"*": 2.0}, [2.0, 2.0, 2.0]),
        ({"*": 0.0, "ADJ": 1, "VERB": 1, "NOUN": 1}, [1, 1, 1]),
    ],
)
def test_given_weights_are_in_the_order_of_the_labels(weights: dict, expected: list) -> None:
    assert faults_of(weights, LABELS) == []
    assert given_weights(weights, LABELS) == expected


ALL = {"NOUN": 1.0, "VERB": 1.0, "ADJ": 1.0}


@pytest.mark.parametrize(
    ("weights", "parts"),
    [
        ({"NOUN": 1.0}, ["no weight for 2 labels: 'VERB', 'ADJ';", "'*'"]),
        ({}, ["no weight for 3 labels: 'NOUN', 'VERB', 'ADJ';"]),
        (
            {**ALL, "NUON": 1.0, "VERBS": 2.0},
            ["2 labels: 'NUON' (did you mean 'NOUN'?), 'VERBS' (did you mean 'VERB'?); expected"],
        ),
        ({**ALL, "x": 1, "y": 1}, ["2 labels: 'x', 'y'; known: ADJ, NOUN, VERB; expected"]),
        ({"*": 0.0}, ["0 for 3 labels: 'NOUN', 'VERB', 'ADJ'"]),
        ({"*": 1.0, "NOUN": 0.0, "VERB": 0.0, "ADJ": 0.0}, ["0 for 3 labels"]),
    ],
)
def test_each_kind_of_fault_is_one_line_that_names_its_labels(weights: dict, parts: list[str]) -> None:
    [line] = faults_of(weights, LABELS)
    assert all(part in line for part in parts) and "\n" not in line


def test_all_faults_are_reported_at_once() -> None:
    assert len(faults_of({"NUON": 1.0, "VERB": 2.0}, LABELS)) == 2


def test_only_the_first_ten_labels_are_named_and_all_are_counted() -> None:
    [line] = faults_of({}, [f"label{number:02}" for number in range(25)])
    assert "25 labels, the first 10: 'label00'" in line
    assert "'label09'" in line and "label10" not in line


def test_doctests_pass() -> None:
    assert doctest.testmod(class_weights).failed == 0
