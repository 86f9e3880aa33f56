"""``probdistr``: a distribution per sentence, from several TSV columns or from a ``# task = 0.2|0.8`` comment."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.nn import functional

from machamp_lite.config.task_types import COMMENT, ProbDistrOptions
from machamp_lite.data.records import EMPTY, Record
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.decoders.base import Decoder, LabelIssue
from machamp_lite.decoders.label_cells import read_number, read_sentence_label
from machamp_lite.errors import DataError
from machamp_lite.nn.decisions import log_mean_exp

Distribution = tuple[float, ...]
# How far the sum of rounded probabilities may be from 1: in total, and per probability if there are many.
SUM_TOLERANCE, TOLERANCE_PER_PROBABILITY = 0.02, 0.005
NO_DISTRIBUTION = LabelIssue(
    "rows of probabilities that do not add up to 1", handling="they are divided by their sum"
)


class ProbDistr(Decoder):
    """One linear layer and a softmax. Gold numbers are divided by their sum, so that they may also be counts."""

    Options = ProbDistrOptions
    graph_decoding = "distributions"

    def __init__(self, *, config: ProbDistrOptions, vocabulary: Vocabulary, width: int) -> None:
        super().__init__(config=config, vocabulary=vocabulary, width=width)
        self.scores = nn.Linear(width, config.width)

    @classmethod
    def read_labels(cls, record: Record, *, task: str, config: Any) -> list[Distribution] | None:
        """One distribution; None if it is ``_`` or the ``ignore_label``, or if the comment is missing."""
        texts = cls._texts(record, task=task, config=config)
        if all(text in (EMPTY, config.ignore_label) for text in texts):
            return None
        numbers = [read_number(text, record, task=task) for text in texts]
        if len(numbers) != config.width or min(numbers) < 0 or not sum(numbers):
            found = "|".join(texts)
            expected = f"{config.width} probabilities or counts, none of them negative and not all 0"
            raise DataError(f"{record.where(0)}: found {found} (task '{task}'), expected {expected}")
        return [tuple(number / sum(numbers) for number in numbers)]

    @classmethod
    def _texts(cls, record: Record, *, task: str, config: Any) -> list[str]:
        """The numbers as they are in the file."""
        if config.column_idxs is not None:
            return [record.column(column)[0] for column in config.column_idxs]
        comment = read_sentence_label(record, task=task, column=COMMENT)
        return [EMPTY] if comment is None else comment.split("|")

    @classmethod
    def find_issues(
        cls, records: Sequence[Record], labels: Sequence[list[Distribution]], *, task: str, config: Any
    ) -> Iterator[tuple[int, LabelIssue]]:
        """Rows that are neither distributions nor counts."""
        for index, record in enumerate(records):
            numbers = list(map(float, cls._texts(record, task=task, config=config)))
            are_counts = all(map(float.is_integer, numbers))
            tolerance = max(SUM_TOLERANCE, TOLERANCE_PER_PROBABILITY * len(numbers))
            if not are_counts and abs(sum(numbers) - 1) > tolerance:
                yield index, NO_DISTRIBUTION

    @classmethod
    def classes(cls, labels: Sequence[Distribution], words: Iterable[str]) -> list[str]:
        """Empty: nothing is counted."""
        return []

    @classmethod
    def encode(cls, labels: Sequence[Distribution], class_ids: Sequence[int]) -> np.ndarray:
        """*Shape:* (1, C)."""
        return np.array(labels, dtype=np.float32)

    def forward(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """Log-probabilities. *Shape:* (B, D) -> (B, C)."""
        return self.scores(self.dropout(hidden)).float().log_softmax(-1)

    def item_losses(self, scores: Tensor, gold: Tensor) -> list[Tensor]:
        """The Kullback-Leibler divergence from gold, in nats. *Shape:* (B, C), (B, C) -> (B,)."""
        return [functional.kl_div(scores, gold, reduction="none").sum(-1)]

    def average(self, members: Sequence[Any], scores: Sequence[Tensor]) -> Tensor:
        """The logarithm of the mean distribution. *Shape:* (B, C) each -> (B, C)."""
        return log_mean_exp(scores)

    def graph_outputs(self, hidden: Tensor) -> dict[str, Tensor]:
        """The distribution of each sentence. *Shape:* (B, C)."""
        return {"distributions": self.scores(hidden).log_softmax(-1).exp()}

    def decode(self, scores: Tensor, sentences: Sequence[Sequence[str]]) -> list[list[Any]]:
        """The distribution of each sentence."""
        return [[tuple(row)] for row in scores.exp().tolist()]

    @classmethod
    def write_labels(cls, record: Record, labels: Sequence[Distribution], *, task: str, config: Any) -> None:
        """Writes the columns or the comment, with four significant digits."""
        texts = [f"{number:.4g}" for number in labels[0]]
        if config.column_idxs is None:
            record.set_comment(task, "|".join(texts))
            return
        for column, text in zip(config.column_idxs, texts, strict=True):
            record.set_column(column, [text])
