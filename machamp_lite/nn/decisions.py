"""From scores to decisions: temperature, adjustment by the frequency of labels, and expected costs."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def divided(scores: Tensor, temperature: float | None) -> Tensor:
    """Scores in float32, divided by a temperature if there is one (Guo et al. 2017). *Shape:* any -> the same."""
    return scores.float() if temperature is None else scores.float() / temperature


def log_mean_exp(values: Sequence[Tensor]) -> Tensor:
    """The logarithm of the mean probability, from log-probabilities of equal shapes. *Shape:* any -> the same."""
    return torch.stack([*values]).logsumexp(0) - math.log(len(values))


def adjusted(scores: Tensor, counts: Sequence[int], *, tau: float) -> Tensor:
    """Post-hoc logit adjustment: scores - tau * log(count / all counts) (Menon et al. 2021).

    A label without items counts as if it had one. *Shape:* (N, C) -> (N, C).
    """
    if not tau:
        return scores
    numbers = torch.tensor(counts, dtype=torch.float32, device=scores.device).clamp_min(1)
    return scores.float() - tau * (numbers / numbers.sum()).log()


def cost_matrix(costs: Mapping[str, Mapping[str, float]], labels: Sequence[str]) -> Tensor:
    """Costs with gold labels in rows and predicted ones in columns. *Shape:* -> (C, C).

    Costs that are not given are 0 for the gold label itself and 1 for all others.
    """
    matrix = 1 - torch.eye(len(labels))
    ids = {label: index for index, label in enumerate(labels)}
    for gold, row in costs.items():
        for predicted, cost in row.items():
            matrix[ids[gold], ids[predicted]] = cost
    return matrix


def expected_costs(probabilities: Tensor, costs: Tensor) -> Tensor:
    """The expected cost of predicting each label. *Shape:* (N, C), (C, C) -> (N, C)."""
    # In float32 also within autocast: rounding would decide between labels of similar costs.
    with torch.autocast(probabilities.device.type, enabled=False):
        return probabilities.float() @ costs.float()
