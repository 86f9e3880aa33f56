"""Losses of items, and what each of them counts in the mean: 1, or the weight of its label.

The model divides the sums (``Model.losses``), so that a batch can be split over processes and micro-batches. Both the
losses and the counts of items are multiplied by the items' own weights (``weight_column``).
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from machamp_lite.weighting.class_weights import check_counts

# The margin of words whose gold label has the weight 0.
NO_WEIGHT = -1e30


class LabelObjective(nn.Module):
    """Cross-entropy where each item has one of C labels, with options that make rare or hard items count more.

    - ``weights``, one per label: an item counts as much as the weight of its gold label.
    - ``focal_gamma``: the loss of an item is multiplied by (1 - p) ** gamma, where p is the probability of its gold
      label. The counts stay the weights (Lin et al. 2017). 0 is off.
    - ``label_smoothing``: this part of the gold probability is divided equally among all labels (Szegedy et al. 2016).
      0 is off.
    - ``logit_adjustment``, tau: the loss is computed from scores + tau * log(count / all counts), so that the scores
      do not have to favour frequent labels. Decoding uses the scores without this term (Menon et al. 2021). 0 is off.

    Items with the gold label -1 have no loss. With all options off it is ``torch.nn.functional.cross_entropy``. Raises
    ``ValueError`` for a count below 1 with ``logit_adjustment``.
    """

    weights: Tensor | None
    adjustment: Tensor | None

    def __init__(
        self,
        *,
        weights: Sequence[float] | None,
        focal_gamma: float,
        label_smoothing: float,
        logit_adjustment: float,
        counts: Sequence[int],
    ) -> None:
        super().__init__()
        self.focal_gamma = focal_gamma
        self.label_smoothing = label_smoothing
        self.register_buffer("weights", _float_tensor(weights), persistent=False)
        # On the host, so that ``counts`` never waits for a GPU.
        self.host_weights = None if weights is None else np.array(weights, dtype=np.float32)
        adjustment = _log_priors(counts) * logit_adjustment if logit_adjustment else None
        self.register_buffer("adjustment", adjustment, persistent=False)

    def forward(self, scores: Tensor, gold: Tensor) -> Tensor:
        """The losses in float32. *Shape:* (N, C), (N,) -> (N,)."""
        scores = scores.float()
        if self.adjustment is not None:
            scores = scores + self.adjustment
        losses = functional.cross_entropy(
            scores,
            gold,
            weight=self.weights,
            label_smoothing=self.label_smoothing,
            ignore_index=-1,
            reduction="none",
        )
        if self.focal_gamma:
            log_gold = scores.log_softmax(-1).gather(-1, gold.clamp_min(0).unsqueeze(-1)).squeeze(-1)
            losses = losses * _focal_factors(-log_gold.expm1(), self.focal_gamma)
        return losses

    def counts(self, gold: np.ndarray) -> np.ndarray | float:
        """1, or the weight of each item's label. *Shape:* (N,) -> (N,)."""
        return 1.0 if self.host_weights is None else self.host_weights[gold]


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
        self.register_buffer("weights", _float_tensor(weights), persistent=False)

    def forward(self, scores: Tensor, gold: Tensor) -> Tensor:
        """The losses in float32, summed over labels; gold is 0 or 1. *Shape:* (N, C), (N, C) -> (N,)."""
        scores, gold = scores.float(), gold.float()
        losses = functional.binary_cross_entropy_with_logits(
            scores, gold, pos_weight=self.weights, reduction="none"
        )
        if self.focal_gamma:
            wrong = torch.sigmoid(scores * (1 - 2 * gold))
            losses = losses * _focal_factors(wrong, self.focal_gamma)
        return losses.sum(-1)


class MarginObjective(nn.Module):
    """Class weights for a loss over whole sentences, as margins between gold labels and all other labels.

    In the softmax-margin loss (Gimpel and Smith 2010), the log of the gold label's weight is added to the scores of all
    other labels of a word. So errors on labels with a weight above 1 cost more than without weights, and errors on
    labels with a weight below 1 cost less.

    The loss is divided by the number of words, not by the sum of weights. So the ``weights`` are scaled to a mean of 1
    over the items in ``counts``: only their ratios matter, as in the other losses, and equal weights have no effect. A
    weight of 0 removes the other labels of a word from the sum over paths.

    Raises ``ValueError`` if weights are given and no item has one above 0.
    """

    weights: Tensor | None

    def __init__(self, *, weights: Sequence[float] | None, counts: Sequence[int]) -> None:
        super().__init__()
        if weights is not None:
            total = math.fsum(count * weight for count, weight in zip(counts, weights, strict=True))
            if not total > 0:
                raise ValueError("found no item with a weight above 0, expected some")
            weights = [weight * sum(counts) / total for weight in weights]
        self.register_buffer("weights", _float_tensor(weights), persistent=False)

    def forward(self, gold: Tensor) -> Tensor | None:
        """The margin of each item, 0 if its gold label is -1; None without weights. *Shape:* (N,) -> (N,)."""
        if self.weights is None:
            return None
        # Finite, because sums and gradients of infinite margins would be NaN; exp(NO_WEIGHT) is 0.
        return self.weights.log().clamp_min(NO_WEIGHT)[gold].masked_fill(gold < 0, 0.0)

    def counts(self, gold: np.ndarray) -> float:
        """1: the count of a word is independent of its label. *Shape:* (N,)."""
        return 1.0


def weighted_count(counts: np.ndarray | float, weights: np.ndarray | None, *, items: int) -> float:
    """The sum of what items count, times their weights. *Shape:* (items,) each."""
    if weights is not None:
        return float((counts * weights).sum())
    return counts * items if isinstance(counts, float) else float(counts.sum())


def _float_tensor(values: Sequence[float] | None) -> Tensor | None:
    return None if values is None else torch.tensor(values, dtype=torch.float32)


def _log_priors(counts: Sequence[int]) -> Tensor:
    check_counts(counts)
    return torch.tensor(counts, dtype=torch.float32).log() - torch.tensor(float(sum(counts))).log()


def _focal_factors(wrong: Tensor, gamma: float) -> Tensor:
    """The factor of each decision, from the probability that it is wrong. *Shape:* any -> the same."""
    # The gradient of a power below 1 is infinite at 0. Multiplied by the loss, which is 0, it would be NaN.
    return wrong.clamp_min(torch.finfo(wrong.dtype).tiny) ** gamma
