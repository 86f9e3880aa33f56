"""``mlm``: masked language modelling on plain text, or on the words of any data set."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor
from torch.nn import Parameter, functional

from machamp_lite.config.task_types import MlmOptions, TaskOptions
from machamp_lite.data.records import Record
from machamp_lite.decoders.base import Decoder, split


class MaskedScores(NamedTuple):
    """Scores of the vocabulary for each hidden subword. *Shape:* logits (N, V) in float32, lengths (B,)."""

    logits: Tensor
    lengths: Tensor


class Mlm(Decoder):
    """Predicts hidden subwords (Devlin et al. 2019) with the language model's own head, at these places alone.

    What it "predicts" of a sentence are log-probabilities over the vocabulary, of which perplexity reads those of the
    hidden subwords. Nothing is written.
    """

    language_model = "masked"
    Options = MlmOptions

    head: Any

    def make_objective(self) -> None:
        """None: the loss is the plain cross-entropy."""

    def use_pretrained_head(self, language_model: Any) -> None:
        """Takes the head over the vocabulary."""
        self.head = language_model

    def pretrained_parameters(self) -> list[Parameter]:
        """The head's: it learns at the encoder's rate."""
        return list(self.head.parameters())

    @classmethod
    def read_labels(cls, record: Record, *, task: str, config: TaskOptions) -> list[int]:
        """Nothing yet: which subwords are hidden is drawn when the text is tokenised."""
        return []

    @classmethod
    def classes(cls, labels: Sequence[int], words: Sequence[str]) -> list[str]:
        """None: nothing is counted."""
        return []

    @classmethod
    def encode(cls, labels: Sequence[int], class_ids: Sequence[int]) -> np.ndarray:
        """The ids of the hidden subwords."""
        return np.array(labels, dtype=np.int64)

    def forward(self, hidden: Tensor, lengths: Tensor) -> Any:
        """*Shape:* (N, D) -> see ``MaskedScores``."""
        return MaskedScores(self.head(self.dropout(hidden)).float(), lengths)

    def loss_sums(self, scores: Any, gold: Tensor) -> list[Tensor]:
        """Cross-entropy. *Shape:* ``MaskedScores``, (N,) -> () each."""
        return [functional.cross_entropy(scores.logits, gold, reduction="sum")]

    def decode(self, scores: Any, sentences: Sequence[Sequence[str]]) -> list[list[Any]]:
        """Log-probabilities over the vocabulary for each hidden subword."""
        rows = list(scores.logits.log_softmax(-1).cpu())
        return split(rows, scores.lengths.tolist())

    @classmethod
    def align_for_scoring(cls, gold: Sequence[int], predicted: Sequence[Any]) -> Sequence[float]:
        """The log-probabilities of the hidden subwords."""
        return [float(row[number]) for number, row in zip(gold, predicted, strict=True)]

    @classmethod
    def write_labels(cls, record: Record, labels: Sequence[Any], *, task: str, config: TaskOptions) -> None:
        """Leaves the record as it is."""
