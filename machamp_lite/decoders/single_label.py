"""What ``classification`` and ``seq`` share: how one label is chosen from its scores."""

from typing import Any

from torch import Tensor

from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.decoders.base import LabelDecoder
from machamp_lite.decoders.top_k import argmax
from machamp_lite.nn.decisions import adjusted, cost_matrix, divided, expected_costs


class SingleLabelDecoder(LabelDecoder):
    """Predicts the label with the highest score, minus its log prior times ``tau``, or that of least expected cost."""

    costs: Tensor | None

    def __init__(self, *, config: Any, vocabulary: Vocabulary, width: int) -> None:
        super().__init__(config=config, vocabulary=vocabulary, width=width)
        costs = None if config.costs is None else cost_matrix(config.costs, vocabulary.labels)
        self.register_buffer("costs", costs, persistent=False)

    def best_ids(self, scores: Any) -> Tensor:
        """The id of the predicted class of each item. *Shape:* (N, C) -> (N,)."""
        if self.config.costs is not None and self.costs is not None:
            return argmax(-expected_costs(self.log_probabilities(scores).exp(), self.costs))
        return argmax(adjusted(scores, self.vocabulary.counts, tau=self.config.tau))

    def log_probabilities(self, scores: Any) -> Tensor:
        """The log-probability of each class, with the temperature of the task. *Shape:* (N, C) -> (N, C)."""
        return divided(scores, self.config.temperature).log_softmax(-1)
