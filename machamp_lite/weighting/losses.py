"""Losses over items: each gives a sum, and the number of items (or the sum of their weights) to divide it by.

The division is left to the caller (``Model.losses``), so that a batch can be split over processes and micro-batches.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

# The margin of words whose gold label has the weight 0.
NO_WEIGHT = -1e30


class LabelObjective(nn.Module):
    """Cross-entropy where each item has one of C labels, with options that make rare or hard items count more.

    - ``weights``, one per label: an item counts as much as the weight of its gold label.
    - ``focal_gamma``: the loss of an item is multiplied by (1 - p) ** gamma, where p is the probability of its gold
      label. The count stays the sum of the weights (Lin et al. 2017). 0 is off.
    - ``label_smoothing``: this part of the gold probability is spread over all labels (Szegedy et al. 2016). 0 is off.
    - ``logit_adjustment``, tau: the loss is computed from scores + tau * log(count / all counts), so that the scores
      themselves need not favour frequent labels. Decoding reads them as they are (Menon et al. 2021). 0 is off.

    With all options off it is ``torch.nn.functional.cross_entropy``. Raises ``ValueError`` if logits are adjusted and a
    count is below 1.
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
        # On the host, so that counting the items of a batch never waits for a GPU.
        self.host_weights = None if weights is None else np.array(weights, dtype=np.float32)
        adjustment = _log_priors(counts) * logit_adjustment if logit_adjustment else None
        self.register_buffer("adjustment", adjustment, persistent=False)

    def forward(self, scores: Tensor, gold: Tensor) -> Tensor:
        """The sum of the losses in float32. *Shape:* (N, C), (N,) -> ()."""
        scores = scores.float()
        if self.adjustment is not None:
            scores = scores + self.adjustment
        losses = functional.cross_entropy(
            scores,
            gold,
            weight=self.weights,
            label_smoothing=self.label_smoothing,
            reduction="none" if self.focal_gamma else "sum",
        )
        if self.focal_gamma:
            log_gold = scores.log_softmax(-1).gather(-1, gold.unsqueeze(-1)).squeeze(-1)
            losses = losses * _focal_factors(-log_gold.expm1(), self.focal_gamma)
        return losses.sum()

    def count(self, gold: np.ndarray) -> float:
        """The number of items, or the sum of their weights. *Shape:* (N,)."""
        return len(gold) if self.host_weights is None else float(self.host_weights[gold].sum())


class BinaryObjective(nn.Module):
    """Binary cross-entropy where each item has any number of C labels.

    ``weights``, one per label, multiply the losses of its positives, as in ``BCEWithLogitsLoss(pos_weight=...)``; all
    N * C decisions count alike. ``focal_gamma``: the loss of a decision is multiplied by (1 - p) ** gamma, where p is
    the probability of the gold decision (Lin et al. 2017); 0 is off.
    """

    weights: Tensor | None

    def __init__(self, *, weights: Sequence[float] | None, focal_gamma: float) -> None:
        super().__init__()
        self.focal_gamma = focal_gamma
        self.register_buffer("weights", _float_tensor(weights), persistent=False)

    def forward(self, scores: Tensor, gold: Tensor) -> Tensor:
        """The sum of the losses in float32; gold is 0 or 1. *Shape:* (N, C), (N, C) -> ()."""
        scores, gold = scores.float(), gold.float()
        losses = functional.binary_cross_entropy_with_logits(
            scores, gold, pos_weight=self.weights, reduction="none" if self.focal_gamma else "sum"
        )
        if self.focal_gamma:
            wrong = torch.sigmoid(scores * (1 - 2 * gold))
            losses = losses * _focal_factors(wrong, self.focal_gamma)
        return losses.sum()


class MarginObjective(nn.Module):
    """Class weights for a loss over whole sentences: margins by which gold labels have to win.

    By softmax-margin (Gimpel and Smith 2010), all other labels of a word score log(weight of the gold label) more
    while the loss is computed: errors on labels with a weight above 1 cost more than without weights, on those below 1
    less. There is no sum of weights to divide by, so ``weights`` are scaled to a mean of 1 over the items counted in
    ``counts``: only their ratios matter, as in the other losses, and the loss as a whole keeps its size. Equal weights
    change nothing. A weight of 0 removes the other labels from the sum: such a word contributes only through the labels
    next to it.

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
        """The margin of each item, None without weights. *Shape:* (N,) -> (N,)."""
        # Finite, because margins are added up and have gradients; exp(NO_WEIGHT) is 0.
        return None if self.weights is None else self.weights.log().clamp_min(NO_WEIGHT)[gold]

    def count(self, gold: np.ndarray) -> float:
        """The number of items, whatever their weights."""
        return len(gold)


def _float_tensor(values: Sequence[float] | None) -> Tensor | None:
    return None if values is None else torch.tensor(values, dtype=torch.float32)


def _log_priors(counts: Sequence[int]) -> Tensor:
    if min(counts, default=1) < 1:
        raise ValueError(f"found a label with the count {min(counts)}, expected labels of the training data")
    return torch.tensor(counts, dtype=torch.float32).log() - torch.tensor(float(sum(counts))).log()


def _focal_factors(wrong: Tensor, gamma: float) -> Tensor:
    """The factors of decisions, from the probabilities that they are wrong. The shape stays."""
    # At 0, the gradient of a power below 1 is infinite, and 0 (the loss) times infinity is NaN.
    return wrong.clamp_min(torch.finfo(wrong.dtype).tiny) ** gamma
