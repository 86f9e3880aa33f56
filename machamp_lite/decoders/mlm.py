"""``mlm``: masked language modelling on plain text, or on the words of any dataset."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor
from torch.nn import Parameter, functional

from machamp_lite.config.task_types import MlmOptions, TaskOptions
from machamp_lite.data.records import Record
from machamp_lite.decoders.base import Decoder, split
from machamp_lite.nn.decisions import log_mean_exp


class MaskedScores(NamedTuple):
    """Scores of the subword vocabulary for each masked subword. *Shape:* logits (N, V) in float32, lengths (B,)."""

    logits: Tensor
    lengths: Tensor


class Mlm(Decoder):
    """Predicts masked subwords (Devlin et al. 2019) with the pretrained head of the language model.

    Its predictions are log-probabilities over the subword vocabulary, for the metric perplexity. Nothing is written.
    """

    language_model = "masked"
    Options = MlmOptions

    head: Any

    def use_pretrained_head(self, language_model: Any) -> None:
        """Takes the head that scores the subword vocabulary."""
        self.head = language_model

    def pretrained_parameters(self) -> list[Parameter]:
        """Those of the head."""
        return list(self.head.parameters())

    @classmethod
    def read_labels(cls, record: Record, *, task: str, config: TaskOptions) -> list[int]:
        """Empty: subwords are masked when the text is tokenized."""
        return []

    @classmethod
    def classes(cls, labels: Sequence[int], words: Iterable[str]) -> list[str]:
        """Empty: nothing is counted."""
        return []

    @classmethod
    def encode(cls, labels: Sequence[int], class_ids: Sequence[int]) -> np.ndarray:
        """The ids of the masked subwords."""
        return np.array(labels, dtype=np.int64)

    def forward(self, hidden: Tensor, lengths: Tensor) -> MaskedScores:
        """*Shape:* (N, D) -> see ``MaskedScores``."""
        return MaskedScores(self.head(self.dropout(hidden)).float(), lengths)

    def item_losses(self, scores: MaskedScores, gold: Tensor) -> list[Tensor]:
        """Cross-entropy. *Shape:* gold (N,) -> (N,)."""
        return [functional.cross_entropy(scores.logits, gold, reduction="none")]

    def average(self, members: Sequence[Any], scores: Sequence[MaskedScores]) -> MaskedScores:
        """The logarithm of the mean probability of each subword."""
        return MaskedScores(log_mean_exp([own.logits.log_softmax(-1) for own in scores]), scores[0].lengths)

    def decode(self, scores: MaskedScores, sentences: Sequence[Sequence[str]]) -> list[list[Any]]:
        """Log-probabilities over the subword vocabulary for each masked subword."""
        rows = list(scores.logits.log_softmax(-1).cpu())
        return split(rows, scores.lengths.tolist())

    @classmethod
    def align_for_scoring(cls, gold: Sequence[int], predicted: Sequence[Any]) -> Sequence[float]:
        """The log-probabilities of the masked subwords."""
        return [float(row[subword_id]) for subword_id, row in zip(gold, predicted, strict=True)]

    @classmethod
    def write_labels(cls, record: Record, labels: Sequence[Any], *, task: str, config: TaskOptions) -> None:
        """Leaves the record unchanged."""
