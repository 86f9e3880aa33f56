"""``regression``: a number a sentence, from a TSV column or from a ``# task = number`` comment."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from machamp_lite.config.task_types import RegressionOptions, TaskOptions
from machamp_lite.data.cells import expected_number, header_hint, parse_number
from machamp_lite.data.records import EMPTY, Record
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.decoders.base import Decoder, read_sentence_label, write_sentence_label
from machamp_lite.errors import DataError


class Regression(Decoder):
    """One linear map to a number, learnt in units of the training numbers' spread around their mean.

    So the loss has the same size beside other tasks whatever the numbers' scale.
    """

    Options = RegressionOptions
    label_form = r"-?[0-9]{1,400}(\.[0-9]{1,400})?(e[-+][0-9]{1,3})?"

    mean: Tensor
    spread: Tensor

    def __init__(self, *, config: TaskOptions, vocabulary: Vocabulary, width: int) -> None:
        super().__init__(config=config, vocabulary=vocabulary, width=width)
        self.score = nn.Linear(width, 1)
        mean, spread = _mean_and_spread(vocabulary)
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("spread", torch.tensor(spread))

    def make_objective(self) -> None:
        """None: the loss is the squared error."""

    @classmethod
    def read_labels(cls, record: Record, *, task: str, config: TaskOptions) -> list[float] | None:
        """One number in all; None if it is ``_`` or the comment is missing."""
        label = read_sentence_label(record, task=task, column=config.column_idx)
        return None if label is None or label == EMPTY else [read_number(label, record, task=task)]

    @classmethod
    def classes(cls, labels: Sequence[float], words: Sequence[str]) -> list[str]:
        """The numbers as strings: what is counted gives their mean and spread."""
        return [repr(label) for label in labels]

    @classmethod
    def encode(cls, labels: Sequence[float], class_ids: Sequence[int]) -> np.ndarray:
        """*Shape:* (1,)."""
        return np.array(labels, dtype=np.float32)

    def forward(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """*Shape:* (B, D) -> (B,)."""
        return self.score(self.dropout(hidden)).squeeze(-1).float()

    def loss_sums(self, scores: Tensor, gold: Tensor) -> list[Tensor]:
        """The squared error, in units of the standard deviation. *Shape:* (B,), (B,) -> () each."""
        return [functional.mse_loss(scores, (gold - self.mean) / self.spread, reduction="sum")]

    def decode(self, scores: Tensor, sentences: Sequence[Sequence[str]]) -> list[list[Any]]:
        """The number of each sentence."""
        return [[number] for number in (scores * self.spread + self.mean).tolist()]

    @classmethod
    def write_labels(cls, record: Record, labels: Sequence[float], *, task: str, config: TaskOptions) -> None:
        """Writes the column or the comment, with six digits."""
        write_sentence_label(record, f"{labels[0]:.6g}", task=task, column=config.column_idx)


def _mean_and_spread(vocabulary: Vocabulary) -> tuple[float, float]:
    """The mean and the standard deviation of the training numbers; 0 and 1 where they say nothing."""
    if not sum(vocabulary.counts):
        return 0.0, 1.0
    numbers, counts = np.array(vocabulary.labels, dtype=float), np.array(vocabulary.counts, dtype=float)
    mean = np.average(numbers, weights=counts)
    return float(mean), float(np.sqrt(np.average((numbers - mean) ** 2, weights=counts))) or 1.0


def read_number(text: str, record: Record, *, task: str) -> float:
    """The number in a cell or a comment; raises ``DataError`` for anything else."""
    number = parse_number(text)
    if number is None:
        raise DataError(
            f"{record.where(0)}: found '{text}' (task '{task}'), {expected_number(text)}"
            f"{header_hint(record, 0, text)}"
        )
    return number
