"""Decisions from scores: against explicit formulas, and costs worked by hand."""

import math

import pytest
import torch

from machamp_lite.nn.decisions import adjusted, cost_matrix, divided, expected_costs


def test_costs_that_are_not_listed_are_one_and_those_of_right_labels_zero() -> None:
    costs = cost_matrix({"c": {"a": 10.0, "c": 0.5}, "a": {"b": 0}}, "abc")
    assert costs.tolist() == [[0, 0, 1], [1, 0, 1], [10, 1, 0.5]]
    with pytest.raises(KeyError):
        cost_matrix({"c": {"d": 1.0}}, "abc")


def test_the_least_expected_cost_worked_by_hand() -> None:
    # A missed "sick" costs 20 times as much as a false alarm, so "sick" is predicted above 1/21 = 0.0476.
    costs = cost_matrix({"sick": {"well": 20.0}}, ["well", "sick"])
    probabilities = torch.tensor([[0.96, 0.04], [0.95, 0.05]])
    expected = expected_costs(probabilities, costs)
    torch.testing.assert_close(expected, torch.tensor([[0.8, 0.96], [1.0, 0.95]]))
    assert expected.argmin(-1).tolist() == [0, 1]


def test_the_example_of_the_documentation() -> None:
    costs = cost_matrix({"contradicts": {"entails": 5.0, "unrelated": 5.0}}, ["entails", "unrelated", "contradicts"])
    expected = expected_costs(torch.tensor([[0.5, 0.3, 0.2]]), costs)
    torch.testing.assert_close(expected, torch.tensor([[1.3, 1.5, 0.8]]))


def test_equal_costs_predict_the_most_probable_label() -> None:
    torch.manual_seed(0)
    probabilities = torch.randn(200, 5).softmax(-1)
    costs = cost_matrix({}, "abcde")
    assert expected_costs(probabilities, costs).argmin(-1).tolist() == probabilities.argmax(-1).tolist()


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0, -1.0])
def test_adjustment_divides_probabilities_by_a_power_of_the_shares(tau: float) -> None:
    torch.manual_seed(0)
    scores, counts = torch.randn(50, 3), [70, 29, 1]
    shares = torch.tensor(counts) / 100
    expected = scores.softmax(-1) / shares**tau
    found = adjusted(scores, counts, tau=tau).softmax(-1)
    torch.testing.assert_close(found, expected / expected.sum(-1, keepdim=True))
    # A label without items counts as one with a single item.
    assert adjusted(torch.zeros(1, 2), [9, 0], tau=1.0)[0].tolist() == pytest.approx([math.log(10 / 9), math.log(10)])


def test_a_temperature_divides_scores_in_float32() -> None:
    scores = torch.tensor([[3.0, -1.5]], dtype=torch.bfloat16)
    assert divided(scores, None).dtype == divided(scores, 2.0).dtype == torch.float32
    assert divided(scores, 1.5).tolist() == [[2.0, -1.0]]
