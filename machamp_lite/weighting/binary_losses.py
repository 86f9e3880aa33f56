"""Losses of items with any number of labels: a binary decision for each label."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from machamp_lite.weighting.class_weights import check_counts
from machamp_lite.weighting.losses import float_tensor, focal_factors


class BinaryObjective(nn.Module):
    """Binary cross-entropy where each item has any number of C labels.

    ``weights``, one per label, multiply the losses of its positive items, as in
    ``BCEWithLogitsLoss(pos_weight=...)``; an item counts C, the number of decisions. ``focal_gamma``: the
    loss of a decision is multiplied by (1 - p) ** gamma, where p is the probability of the gold decision (Lin et al.
    2017); 0 is off.
    """

    weights: Tensor | None

    def __init__(self, *, weights: Sequence[float] | None, focal_gamma: float) -> None:
        super().__init__()
        self.focal_gamma = focal_gamma
        self.register_buffer("weights", float_tensor(weights), persistent=False)

    def forward(self, scores: Tensor, gold: Tensor) -> Tensor:
        """The losses in float32, summed over labels; gold is 0 or 1. *Shape:* (N, C), (N, C) -> (N,)."""
        scores, gold = scores.float(), gold.float()
        losses = functional.binary_cross_entropy_with_logits(
            scores, gold, pos_weight=self.weights, reduction="none"
        )
        if self.focal_gamma:
            wrong = torch.sigmoid(scores * (1 - 2 * gold))
            losses = losses * focal_factors(wrong, self.focal_gamma)
        return losses.sum(-1)


class AsymmetricObjective(BinaryObjective):
    """The asymmetric loss (Ridnik et al. 2021): easy negative decisions count less than easy positive ones.

    The loss of a positive decision with the probability p is -(1 - p) ** positive_gamma * log p, times the weight of
    its label; that of a negative one is -q ** negative_gamma * log(1 - q), where q = max(p - margin, 0).
    """

    def __init__(
        self, *, weights: Sequence[float] | None, positive_gamma: float, negative_gamma: float, margin: float
    ) -> None:
        super().__init__(weights=weights, focal_gamma=positive_gamma)
        self.negative_gamma = negative_gamma
        self.margin = margin

    def forward(self, scores: Tensor, gold: Tensor) -> Tensor:
        """*Shape:* (N, C), (N, C) -> (N,)."""
        scores, gold = scores.float(), gold.float()
        positive = -functional.logsigmoid(scores)
        if self.weights is not None:
            positive = positive * self.weights
        if self.focal_gamma:
            positive = positive * focal_factors(torch.sigmoid(-scores), self.focal_gamma)
        if self.margin:
            shifted = (torch.sigmoid(scores) - self.margin).clamp_min(0)
            negative = -torch.log1p(-shifted)
        else:
            # As log1p, but it stays finite for a probability of 1.
            shifted, negative = torch.sigmoid(scores), -functional.logsigmoid(-scores)
        if self.negative_gamma:
            negative = negative * focal_factors(shifted, self.negative_gamma)
        return torch.where(gold > 0, positive, negative).sum(-1)


class DistributionBalancedObjective(BinaryObjective):
    """The distribution-balanced loss (Wu et al. 2020; for texts Huang et al. 2021).

    With the ``counts`` n of labels in N ``items``:

    - A decision about label k counts alpha + sigmoid(beta * (r - mu)). Here r is 1 / n_k, divided by the sum of 1 / n
      over the labels of the item: 1 for its rarest label if this is alone. So an item is not counted once for each of
      its labels.
    - Within the loss, scores are z + bias * log(n_k / (N - n_k)), so that they do not have to favour frequent labels.
    - The loss of a negative decision is log(1 + exp(scale * z)) / scale, which falls faster once z is negative.

    ``focal_gamma`` applies to the probabilities of these scores. Raises ``ValueError`` for a count below 1.
    """

    shares: Tensor
    log_odds: Tensor

    def __init__(
        self,
        *,
        focal_gamma: float,
        counts: Sequence[int],
        items: int,
        alpha: float,
        beta: float,
        mu: float,
        bias: float,
        negative_scale: float,
    ) -> None:
        super().__init__(weights=None, focal_gamma=focal_gamma)
        check_counts(counts)
        self.alpha, self.beta, self.mu, self.negative_scale = alpha, beta, mu, negative_scale
        numbers = torch.tensor(counts, dtype=torch.float32)
        self.register_buffer("shares", 1 / numbers, persistent=False)
        # A label that all items have is treated as if one item did not have it.
        odds = bias * (numbers / (items - numbers).clamp_min(1)).log()
        self.register_buffer("log_odds", odds, persistent=False)

    def forward(self, scores: Tensor, gold: Tensor) -> Tensor:
        """*Shape:* (N, C), (N, C) -> (N,)."""
        scores, gold = scores.float() + self.log_odds, gold.float()
        scores = torch.where(gold > 0, -scores, self.negative_scale * scores)
        losses = functional.softplus(scores) * torch.where(gold > 0, 1.0, 1 / self.negative_scale)
        if self.focal_gamma:
            losses = losses * focal_factors(torch.sigmoid(scores), self.focal_gamma)
        of_item = (gold @ self.shares).clamp_min(torch.finfo(torch.float32).tiny).unsqueeze(-1)
        balance = self.alpha + torch.sigmoid(self.beta * (self.shares / of_item - self.mu))
        return (losses * balance).sum(-1)
