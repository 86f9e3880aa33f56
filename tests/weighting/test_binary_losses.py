"""Losses of items with any number of labels are those of their papers, computed decision by decision."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from machamp_lite.weighting.binary_losses import (
    AsymmetricObjective,
    BinaryObjective,
    DistributionBalancedObjective,
)
from machamp_lite.weighting.class_weights import positive_weights

ASYMMETRIC: dict[str, Any] = {"weights": None, "positive_gamma": 0.0, "negative_gamma": 0.0, "margin": 0.0}
COUNTS, ITEMS = [40, 12, 3, 50], 50
BALANCED: dict[str, Any] = {
    "focal_gamma": 0.0,
    "counts": COUNTS,
    "items": ITEMS,
    "alpha": 0.1,
    "beta": 10.0,
    "mu": 0.2,
    "bias": 0.05,
    "negative_scale": 2.0,
}
WEIGHTS = [0.5, 2.0, 3.0, 7.0]


def decisions(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Scores in float64, so that gradients can be compared with differences; the last item has no label."""
    generator = torch.Generator().manual_seed(seed)
    scores = 3 * torch.randn(8, 4, generator=generator, dtype=torch.float64)
    gold = (torch.rand(8, 4, generator=generator) < 0.4).float()
    gold[-1] = 0
    return scores, gold


def asymmetric_by_hand(z: float, y: float, label: int, row: list[float], options: dict[str, Any]) -> float:
    p = 1 / (1 + math.exp(-z))
    if y:
        weight = options["weights"][label] if options["weights"] else 1.0
        return -weight * (1 - p) ** options["positive_gamma"] * math.log(p)
    q = max(p - options["margin"], 0.0)
    return -(q ** options["negative_gamma"]) * math.log(1 - q)


def balanced_by_hand(z: float, y: float, label: int, row: list[float], options: dict[str, Any]) -> float:
    """Equations 3 to 9 of Wu et al. 2020."""
    counts, items, scale = options["counts"], options["items"], options["negative_scale"]
    of_item = sum(1 / count for count, own in zip(counts, row, strict=True) if own)
    ratio = 1 / counts[label] / of_item if of_item else math.inf
    weight = options["alpha"] + 1 / (1 + math.exp(-options["beta"] * (ratio - options["mu"])))
    prior = counts[label] / max(items, counts[label] + 1)
    nu = -options["bias"] * -math.log(1 / prior - 1)
    if counts[label] == items:
        nu = -options["bias"] * math.log(items / 1)
    z = z - nu
    loss = math.log1p(math.exp(-z)) if y else math.log1p(math.exp(scale * z)) / scale
    wrong = 1 - 1 / (1 + math.exp(-z)) if y else 1 / (1 + math.exp(-scale * z))
    return weight * wrong ** options["focal_gamma"] * loss


CASES = [
    (AsymmetricObjective, asymmetric_by_hand, {**ASYMMETRIC, **options})
    for options in (
        {},
        {"negative_gamma": 4.0, "margin": 0.05},
        {"negative_gamma": 2.0, "positive_gamma": 1.0},
        {"negative_gamma": 0.5, "margin": 0.3, "weights": WEIGHTS},
    )
] + [
    (DistributionBalancedObjective, balanced_by_hand, {**BALANCED, **options})
    for options in ({}, {"focal_gamma": 2.0}, {"mu": 0.9, "alpha": 0.0}, {"bias": 0.0, "negative_scale": 1.0})
]


@pytest.mark.parametrize(("kind", "by_hand", "options"), CASES)
@pytest.mark.parametrize("seed", range(2))
def test_losses_are_those_of_the_papers_with_their_gradients(
    kind: Callable[..., BinaryObjective], by_hand: Callable[..., float], options: dict[str, Any], seed: int
) -> None:
    objective, (scores, gold) = kind(**options), decisions(seed)

    def loss(values: list[list[float]]) -> float:
        rows = zip(values, gold.tolist(), strict=True)
        return sum(by_hand(z, row[k], k, row, options) for own, row in rows for k, z in enumerate(own))

    given = scores.float().requires_grad_()
    found = objective(given, gold)
    assert found.shape == (8,)
    assert found.sum().item() == pytest.approx(loss(scores.tolist()), rel=1e-4)
    (gradient,) = torch.autograd.grad(found.sum(), given)
    step = 1e-6
    for item, label in ((0, 0), (3, 1), (5, 2), (7, 3)):
        differences = []
        for sign in (1, -1):
            moved = scores.clone()
            moved[item, label] += sign * step
            differences.append(sign * loss(moved.tolist()))
        expected = sum(differences) / (2 * step)
        assert gradient[item, label].item() == pytest.approx(expected, rel=1e-2, abs=1e-4)


def test_an_asymmetric_loss_without_its_options_is_the_binary_one() -> None:
    scores, gold = decisions()
    for weights in (None, WEIGHTS):
        plain = BinaryObjective(weights=weights, focal_gamma=0.0)(scores, gold)
        torch.testing.assert_close(AsymmetricObjective(**{**ASYMMETRIC, "weights": weights})(scores, gold), plain)
        focal = BinaryObjective(weights=weights, focal_gamma=2.0)(scores, gold)
        both = {"positive_gamma": 2.0, "negative_gamma": 2.0, "weights": weights}
        torch.testing.assert_close(AsymmetricObjective(**{**ASYMMETRIC, **both})(scores, gold), focal)


def test_a_balanced_loss_without_its_parts_is_the_binary_one() -> None:
    scores, gold = decisions()
    neutral = {"alpha": 0.5, "beta": 0.0, "bias": 0.0, "negative_scale": 1.0}
    plain = BinaryObjective(weights=None, focal_gamma=2.0)(scores, gold)
    found = DistributionBalancedObjective(**{**BALANCED, **neutral, "focal_gamma": 2.0})(scores, gold)
    torch.testing.assert_close(found, plain)


def test_an_item_with_a_rare_label_counts_its_frequent_labels_less() -> None:
    objective = DistributionBalancedObjective(**{**BALANCED, "bias": 0.0})
    gold = torch.tensor([[1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0]])
    scores = torch.zeros(2, 4, requires_grad=True)
    objective(scores, gold).sum().backward()
    alone, with_rare = scores.grad[:, 0].abs().tolist()
    assert alone > 3 * with_rare


@pytest.mark.parametrize(
    "objective",
    [
        AsymmetricObjective(weights=WEIGHTS, positive_gamma=0.5, negative_gamma=0.5, margin=0.05),
        AsymmetricObjective(weights=None, positive_gamma=0.0, negative_gamma=4.0, margin=0.0),
        DistributionBalancedObjective(**{**BALANCED, "focal_gamma": 0.5}),
    ],
)
def test_sure_decisions_have_finite_gradients_and_nothing_is_saved(objective: BinaryObjective) -> None:
    scores = torch.tensor([[200.0, -200.0, 0.0, 1e-4]] * 2, dtype=torch.bfloat16, requires_grad=True)
    loss = objective(scores, torch.tensor([[1, 0, 0, 1], [0, 1, 0, 0]]))
    assert loss.dtype == torch.float32
    (gradient,) = torch.autograd.grad(loss.sum(), scores)
    assert loss.isfinite().all() and gradient.isfinite().all() and gradient.any()
    empty = objective(torch.zeros(0, 4, requires_grad=True), torch.zeros(0, 4)).sum()
    assert empty.item() == 0 and empty.requires_grad
    assert not objective.state_dict()


def test_effective_weights_with_focal_factors_are_the_class_balanced_focal_loss() -> None:
    """Of each binary decision about a label; Cui et al. 2019, with their weights of both classes up to a factor."""
    scores, gold = decisions()
    beta, gamma = 0.99, 2.0
    weights = positive_weights("effective", COUNTS[:3], items=ITEMS, beta=beta)
    found = BinaryObjective(weights=weights, focal_gamma=gamma)(scores[:, :3], gold[:, :3]).sum()
    expected = 0.0
    for own, row in zip(scores.tolist(), gold.tolist(), strict=True):
        for z, y, count in zip(own[:3], row[:3], COUNTS[:3], strict=True):
            of_negative, of_gold = (
                (1 - beta) / (1 - beta**number) for number in (ITEMS - count, count if y else ITEMS - count)
            )
            p = 1 / (1 + math.exp(-z if y else z))
            expected += of_gold / of_negative * -((1 - p) ** gamma) * math.log(p)
    assert found.item() == pytest.approx(expected, rel=1e-4)
