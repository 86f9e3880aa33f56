"""What ``classification`` and ``seq`` share: how one label is chosen from its scores."""

from typing import Any

import torch
from torch import Tensor

from machamp_lite.decoders.base import LabelDecoder
from machamp_lite.decoders.top_k import argmax
from machamp_lite.nn.decisions import adjusted, cost_matrix, divided, expected_costs


class SingleLabelDecoder(LabelDecoder):
    """Predicts the label with the highest score, minus its log prior times ``tau``, or that of least expected cost.

    ``offsets`` are added to the scores of single labels.
    """

    def best_ids(self, scores: Any) -> Tensor:
        """The id of the predicted class of each item. *Shape:* (N, C) -> (N,)."""
        if self.config.costs is not None:
            costs = cost_matrix(self.config.costs, self.vocabulary.labels).to(scores.device)
            return argmax(-expected_costs(self.log_probabilities(scores).exp(), costs))
        adjusted_scores = adjusted(scores, self.vocabulary.counts, tau=self.config.tau)
        if self.config.offsets:
            offsets = [self.config.offsets.get(label, 0.0) for label in self.vocabulary.labels]
            adjusted_scores = adjusted_scores.float() + torch.tensor(offsets, device=scores.device)
        return argmax(adjusted_scores)

    def log_probabilities(self, scores: Any) -> Tensor:
        """The log-probability of each class, with the temperature of the task. *Shape:* (N, C) -> (N, C)."""
        return divided(scores, self.config.temperature).log_softmax(-1)
