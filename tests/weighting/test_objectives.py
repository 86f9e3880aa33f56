"""Losses equal those of torch, or of the papers where torch has none."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from machamp_lite.weighting.binary_losses import BinaryObjective
from machamp_lite.weighting.class_weights import scheme_weights
from machamp_lite.weighting.losses import LabelObjective, weighted_count

OFF: dict[str, Any] = {
    "weights": None,
    "focal_gamma": 0.0,
    "label_smoothing": 0.0,
    "logit_adjustment": 0.0,
    "counts": [5, 3, 1, 1],
}
WEIGHTS = [0.5, 2.0, 0.0, 7.0]
EVERYTHING = {"weights": WEIGHTS, "focal_gamma": 2.0, "label_smoothing": 0.1, "logit_adjustment": 1.0}


def objective(**options: Any) -> LabelObjective:
    return LabelObjective(**{**OFF, **options})


def mean(objective: LabelObjective | BinaryObjective, scores: Tensor, gold: Tensor) -> Tensor:
    """The mean loss of a batch, as a model computes it."""
    counts = objective.counts(gold.numpy()) if isinstance(objective, LabelObjective) else float(scores.shape[1])
    return objective(scores, gold).sum() / (weighted_count(counts, None, items=len(gold)) or math.inf)


def items(seed: int = 0, *, number: int = 20) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(number, 4, generator=generator) * 3
    return scores.requires_grad_(), torch.randint(4, (number,), generator=generator)


def log_of(probabilities: list[list[float]]) -> Tensor:
    return torch.tensor(probabilities).log().requires_grad_()


def test_with_everything_off_it_is_the_plain_loss() -> None:
    scores, gold = items()
    torch.testing.assert_close(mean(objective(), scores, gold), functional.cross_entropy(scores, gold))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("weights", [None, WEIGHTS, [1e-6, 3e-6, 2e-6, 1e-6]])
@pytest.mark.parametrize("seed", range(3))
def test_weights_and_smoothing_are_those_of_torch(
    seed: int, weights: list[float] | None, smoothing: float
) -> None:
    scores, gold = items(seed)
    weight = None if weights is None else torch.tensor(weights)
    expected = torch.nn.CrossEntropyLoss(weight=weight, label_smoothing=smoothing)(scores, gold)
    loss = mean(objective(weights=weights, label_smoothing=smoothing), scores, gold)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(torch.autograd.grad(loss, scores), torch.autograd.grad(expected, scores))


def test_focal_factors_worked_by_hand() -> None:
    scores, gold = log_of([[0.9, 0.1], [0.5, 0.5]]), torch.tensor([0, 1])
    hard = [0.1**2 * -math.log(0.9), 0.5**2 * -math.log(0.5)]
    loss = LabelObjective(**{**OFF, "focal_gamma": 2.0, "counts": [1, 1]})
    assert mean(loss, scores, gold).item() == pytest.approx(sum(hard) / 2)
    weighted = LabelObjective(**{**OFF, "focal_gamma": 2.0, "weights": [1.0, 3.0], "counts": [1, 1]})
    assert mean(weighted, scores, gold).item() == pytest.approx((hard[0] + 3 * hard[1]) / 4)


def test_effective_weights_with_focal_factors_are_the_class_balanced_focal_loss() -> None:
    """Cui et al. 2019; the mean over a batch divides by the sum of the weights, as for all class weights."""
    (scores, gold), counts, beta, gamma = items(), [5, 3, 1, 1], 0.9, 2.0
    factors = [(1 - beta) / (1 - beta**count) for count in counts]
    probabilities = scores.detach().softmax(-1)
    losses = [
        factors[label] * -((1 - float(row[label])) ** gamma) * math.log(row[label])
        for row, label in zip(probabilities, gold.tolist(), strict=True)
    ]
    expected = sum(losses) / sum(factors[label] for label in gold.tolist())
    weights = scheme_weights("effective", counts, beta=beta)
    assert mean(objective(weights=weights, focal_gamma=gamma), scores, gold).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("tau", [0.5, 1.0])
def test_logit_adjustment_adds_log_priors_only_within_the_loss(tau: float) -> None:
    scores, gold = items()
    before = scores.detach().clone()
    adjusted = scores + tau * torch.tensor([0.5, 0.3, 0.1, 0.1]).log()
    loss = mean(objective(logit_adjustment=tau), scores, gold)
    torch.testing.assert_close(loss, functional.cross_entropy(adjusted, gold))
    assert torch.equal(scores, before)


@pytest.mark.parametrize("options", [{}, *({name: value} for name, value in EVERYTHING.items()), EVERYTHING])
def test_without_items_or_weights_above_zero_the_loss_is_a_zero_with_a_gradient(options: dict[str, Any]) -> None:
    batches = [(torch.zeros(0, 4, requires_grad=True), torch.zeros(0, dtype=torch.long))]
    if "weights" in options:
        batches.append((items()[0], torch.full((20,), 2)))
    for scores, gold in batches:
        loss = mean(objective(**options), scores, gold)
        loss.backward()
        assert loss.shape == () and loss.item() == 0.0
        assert scores.grad is not None and not scores.grad.any()


@pytest.mark.parametrize("gamma", [0.01, 0.5, 1.0, 2.0])
def test_focal_losses_of_sure_decisions_have_finite_gradients(gamma: float) -> None:
    scores = torch.tensor([[200.0, 0.0], [0.0, 200.0], [1e-4, 0.0]], requires_grad=True)
    labels = LabelObjective(**{**OFF, "focal_gamma": gamma, "counts": [1, 1]})
    binary = BinaryObjective(weights=None, focal_gamma=gamma)
    gold = torch.tensor([0, 0, 1])
    for loss in (mean(labels, scores, gold), mean(binary, scores, functional.one_hot(gold, 2).float())):
        (gradient,) = torch.autograd.grad(loss, scores)
        assert loss.isfinite() and gradient.isfinite().all() and gradient.any()


@pytest.mark.parametrize("options", [{}, EVERYTHING])
def test_the_loss_of_bfloat16_scores_is_computed_in_float32(options: dict[str, Any]) -> None:
    scores, gold = items()
    scores = scores.bfloat16()
    loss = mean(objective(**options), scores, gold)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, mean(objective(**options), scores.float(), gold))


def test_nothing_is_saved_with_the_model_and_the_adjustment_needs_counts() -> None:
    assert not objective(**EVERYTHING).state_dict()
    assert not BinaryObjective(weights=WEIGHTS, focal_gamma=1.0).state_dict()
    assert {buffer.dtype for buffer in objective(**EVERYTHING).buffers()} == {torch.float32}
    objective(counts=[0, 0, 0, 0])
    with pytest.raises(ValueError, match="the count 0"):
        objective(counts=[1, 1, 1, 0], logit_adjustment=1.0)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("seed", range(3))
def test_binary_losses_are_those_of_torch(seed: int, weights: list[float] | None) -> None:
    scores, _ = items(seed)
    gold = (scores.detach().roll(1, 0) > 1).float()
    pos_weight = None if weights is None else torch.tensor(weights)
    expected = torch.nn.BCEWithLogitsLoss(pos_weight=pos_weight)(scores, gold)
    loss = mean(BinaryObjective(weights=weights, focal_gamma=0.0), scores, gold)
    torch.testing.assert_close(loss, expected)


def test_binary_focal_factors_worked_by_hand() -> None:
    scores = torch.logit(torch.tensor([[0.9, 0.2], [0.6, 0.5]]))
    gold = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    expected = [
        0.1**2 * -3 * math.log(0.9),
        0.2**2 * -math.log(0.8),
        0.6**2 * -math.log(0.4),
        0.5**2 * -2 * math.log(0.5),
    ]
    loss = mean(BinaryObjective(weights=[3.0, 2.0], focal_gamma=2.0), scores, gold)
    assert loss.item() == pytest.approx(sum(expected) / 4)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_without_items_the_binary_loss_is_a_zero_with_a_gradient(gamma: float) -> None:
    scores = torch.zeros(0, 4, requires_grad=True)
    loss = mean(BinaryObjective(weights=WEIGHTS, focal_gamma=gamma), scores, torch.zeros(0, 4))
    loss.backward()
    assert loss.item() == 0.0 and scores.grad is not None


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_binary_losses_of_bfloat16_scores_are_computed_in_float32(gamma: float) -> None:
    scores, _ = items()
    half, gold = scores.bfloat16(), (scores > 0).long()
    binary = BinaryObjective(weights=WEIGHTS, focal_gamma=gamma)
    assert binary(half, gold).dtype == torch.float32
    assert torch.equal(binary(half, gold), binary(half.float(), gold))
