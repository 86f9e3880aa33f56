"""Losses of whole sentences, which a conditional random field computes over sequences of labels."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from machamp_lite.weighting.losses import float_tensor, focal_factors, log_priors

# The margin of words whose gold label has the weight 0.
NO_WEIGHT = -1e30


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
        self.register_buffer("weights", float_tensor(weights), persistent=False)

    def forward(self, gold: Tensor) -> Tensor | None:
        """The margin of each item, 0 if its gold label is -1; None without weights. *Shape:* (N,) -> (N,)."""
        if self.weights is None:
            return None
        # Finite, because sums and gradients of infinite margins would be NaN; exp(NO_WEIGHT) is 0.
        return self.weights.log().clamp_min(NO_WEIGHT)[gold].masked_fill(gold < 0, 0.0)

    def counts(self, gold: np.ndarray) -> float:
        """1: the count of a word is independent of its label. *Shape:* (N,)."""
        return 1.0


class PathObjective(MarginObjective):
    """Options of the likelihood of a sentence's labels; here, the classes are the sequences of labels in the scheme.

    - ``weights``: margins, see ``MarginObjective``.
    - ``logit_adjustment``, tau: tau * log(count / all counts) of each label is added to its scores within the loss
      (Menon et al. 2021). Decoding uses the scores without this term.
    - ``focal_gamma``: the loss of a sentence is multiplied by (1 - p) ** gamma, where p is the probability of its gold
      labels (Lin et al. 2017).
    - ``label_smoothing``: this part of the gold probability is divided equally among all sequences in the scheme
      (Szegedy et al. 2016).
    """

    adjustment: Tensor | None

    def __init__(
        self,
        *,
        weights: Sequence[float] | None,
        counts: Sequence[int],
        focal_gamma: float,
        label_smoothing: float,
        logit_adjustment: float,
    ) -> None:
        super().__init__(weights=weights, counts=counts)
        self.focal_gamma = focal_gamma
        self.label_smoothing = label_smoothing
        adjustment = log_priors(counts) * logit_adjustment if logit_adjustment else None
        self.register_buffer("adjustment", adjustment, persistent=False)

    def adjusted(self, emissions: Tensor) -> Tensor:
        """The scores of labels for the loss. *Shape:* (B, L, C) -> (B, L, C)."""
        return emissions if self.adjustment is None else emissions + self.adjustment

    def focused(self, losses: Tensor) -> Tensor:
        """The losses of sentences, times their focal factors. *Shape:* (B,) -> (B,)."""
        return losses * focal_factors(-torch.expm1(-losses), self.focal_gamma) if self.focal_gamma else losses

    def smoothed(self, losses: Tensor, mean_losses: Tensor) -> Tensor:
        """The losses of gold labels, mixed with the mean loss of all sequences. *Shape:* (B,), (B,) -> (B,)."""
        return torch.lerp(losses, mean_losses, self.label_smoothing)
