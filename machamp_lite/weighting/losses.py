"""Losses over items, each a mean over the items it is given; and what weights are to a loss over sentences."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

# The margin of a weight of 0.
NO_WEIGHT = -1e30


def label_loss(scores: Tensor, gold: Tensor) -> Tensor:
    """Mean cross-entropy. *Shape:* (N, C), (N,) -> ()."""
    return functional.cross_entropy(scores, gold)


class LabelObjective(nn.Module):
    """Cross-entropy where each item has one of C labels, with what makes rare or hard ones count more.

    - ``weights``, one a label: the mean over items is weighted by the weights of their gold labels.
    - ``focal_gamma``: an item counts (1 - p) ** gamma, p being the probability of its gold label; the mean is still
      over the weights alone (Lin et al. 2017). 0 is off.
    - ``label_smoothing``: this part of the gold probability is spread over all labels (Szegedy et al. 2016). 0 is off.
    - ``logit_adjustment``, tau: the loss sees scores + tau * log(count / all counts), so that the scores themselves
      need not favour frequent labels; decoding reads them as they are (Menon et al. 2021). 0 is off.

    With all of them off it is ``torch.nn.functional.cross_entropy``. Raises ``ValueError`` where an adjustment is asked
    for and a count is below 1.
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
        adjustment = _log_priors(counts) * logit_adjustment if logit_adjustment else None
        self.register_buffer("adjustment", adjustment, persistent=False)

    def forward(self, scores: Tensor, gold: Tensor) -> Tensor:
        """The loss in float32; 0 where there are no items, or none with a weight. *Shape:* (N, C), (N,) -> ()."""
        scores = scores.float()
        if not len(gold):
            return scores.sum()
        if self.adjustment is not None:
            scores = scores + self.adjustment
        if self.weights is None and not self.focal_gamma:
            return functional.cross_entropy(scores, gold, label_smoothing=self.label_smoothing)
        losses = functional.cross_entropy(
            scores, gold, weight=self.weights, label_smoothing=self.label_smoothing, reduction="none"
        )
        if self.focal_gamma:
            log_gold = scores.log_softmax(-1).gather(-1, gold.unsqueeze(-1)).squeeze(-1)
            losses = losses * _focal_factors(-log_gold.expm1(), self.focal_gamma)
        if self.weights is None:
            return losses.mean()
        # Multiplied, for a sum of weights that is 0 to give a loss of 0, without waiting for a GPU to say which.
        return losses.sum() * self.weights[gold].sum().reciprocal().nan_to_num(posinf=0.0)

    def size(self, gold: Tensor) -> Tensor | int:
        """What the mean is over: the number of items, or the sum of their weights. *Shape:* (N,) -> ()."""
        return len(gold) if self.weights is None else self.weights[gold].sum()


class BinaryObjective(nn.Module):
    """Binary cross-entropy where each item has any number of C labels.

    ``weights``, one a label, multiply the losses of its positives, and the mean is over all N * C decisions alike, as
    in ``torch.nn.BCEWithLogitsLoss(pos_weight=...)``. ``focal_gamma``: a decision counts (1 - p) ** gamma, p being
    the probability of what is gold (Lin et al. 2017); 0 is off.
    """

    weights: Tensor | None

    def __init__(self, *, weights: Sequence[float] | None, focal_gamma: float) -> None:
        super().__init__()
        self.focal_gamma = focal_gamma
        self.register_buffer("weights", _float_tensor(weights), persistent=False)

    def forward(self, scores: Tensor, gold: Tensor) -> Tensor:
        """The loss in float32, 0 where there are no items; gold is 0 or 1. *Shape:* (N, C), (N, C) -> ()."""
        scores, gold = scores.float(), gold.float()
        if not scores.numel():
            return scores.sum()
        if not self.focal_gamma:
            return functional.binary_cross_entropy_with_logits(scores, gold, pos_weight=self.weights)
        losses = functional.binary_cross_entropy_with_logits(
            scores, gold, pos_weight=self.weights, reduction="none"
        )
        wrong = torch.sigmoid(scores * (1 - 2 * gold))
        return (losses * _focal_factors(wrong, self.focal_gamma)).mean()

    def size(self, gold: Tensor) -> int:
        """The number of items that the mean is over."""
        return len(gold)


class MarginObjective(nn.Module):
    """What class weights are to a loss over whole sentences: margins by which gold labels have to win.

    By softmax-margin (Gimpel and Smith 2010), all other labels of a word score log(weight of the gold label) more
    while the loss is computed: errors on labels with a weight above 1 cost more than without weights, on those below 1
    less. There is no sum of weights to divide by, so ``weights`` are scaled to a mean of 1 over the items that
    ``counts`` tells of: only their ratios matter, as elsewhere, and the loss as a whole keeps its size. Weights that
    are all equal change nothing. A weight of 0 takes the other labels out of the sum: nothing is learnt from such words
    but what may stand beside them.

    Raises ``ValueError`` where weights are given and no item has one above 0.
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
        # Finite, for margins to be added and learnt with; e to this is 0 beside any other path.
        return None if self.weights is None else self.weights.log().clamp_min(NO_WEIGHT)[gold]

    def size(self, gold: Tensor) -> int:
        """The number of items that the sum of losses is divided by."""
        return len(gold)


def _float_tensor(values: Sequence[float] | None) -> Tensor | None:
    return None if values is None else torch.tensor(values, dtype=torch.float32)


def _log_priors(counts: Sequence[int]) -> Tensor:
    if min(counts, default=1) < 1:
        raise ValueError(
            f"found a label with the count {min(counts)}, expected labels that training data has"
        )
    return torch.tensor(counts, dtype=torch.float32).log() - torch.tensor(float(sum(counts))).log()


def _focal_factors(wrong: Tensor, gamma: float) -> Tensor:
    """The factors of decisions from the probabilities of what is not gold, of the same shape."""
    # At 0 the slope of a power below 1 is infinite, and times a loss of 0 it is no number.
    return wrong.clamp_min(torch.finfo(wrong.dtype).tiny) ** gamma
