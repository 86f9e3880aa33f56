"""Losses of items, and what each of them counts in the mean: 1, or the weight of its label.

The model divides the sums (``Model.losses``), so that a batch can be split over processes and micro-batches. Both the
losses and the counts of items are multiplied by the items' own weights (``weight_column``).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from machamp_lite.weighting.class_weights import check_counts


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
        self.register_buffer("weights", float_tensor(weights), persistent=False)
        # On the host, so that ``counts`` never waits for a GPU.
        self.host_weights = None if weights is None else np.array(weights, dtype=np.float32)
        adjustment = log_priors(counts) * logit_adjustment if logit_adjustment else None
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
            losses = losses * focal_factors(-log_gold.expm1(), self.focal_gamma)
        return losses

    def counts(self, gold: np.ndarray) -> np.ndarray | float:
        """1, or the weight of each item's label. *Shape:* (N,) -> (N,)."""
        return 1.0 if self.host_weights is None else self.host_weights[gold]


def weighted_count(counts: np.ndarray | float, weights: np.ndarray | None, *, items: int) -> float:
    """The sum of what items count, times their weights. *Shape:* (items,) each."""
    if weights is not None:
        return float((counts * weights).sum())
    return counts * items if isinstance(counts, float) else float(counts.sum())


def float_tensor(values: Sequence[float] | None) -> Tensor | None:
    """The values in float32, for a buffer; None without values."""
    return None if values is None else torch.tensor(values, dtype=torch.float32)


def log_priors(counts: Sequence[int]) -> Tensor:
    """The log of each label's share of the counts. *Shape:* (C,)."""
    check_counts(counts)
    return torch.tensor(counts, dtype=torch.float32).log() - torch.tensor(float(sum(counts))).log()


def focal_factors(wrong: Tensor, gamma: float) -> Tensor:
    """The factor of each decision, from the probability that it is wrong. *Shape:* any -> the same."""
    # The gradient of a power below 1 is infinite at 0. Multiplied by the loss, which is 0, it would be NaN.
    return wrong.clamp_min(torch.finfo(wrong.dtype).tiny) ** gamma
