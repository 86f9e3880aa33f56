"""``regression``: a number per sentence, from a TSV column or from a ``# task = number`` comment."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from machamp_lite.config.task_types import RegressionOptions, TaskOptions
from machamp_lite.data.records import Record
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.decoders.base import Decoder
from machamp_lite.decoders.label_cells import read_number


class Regression(Decoder):
    """One linear layer to a standardised number: in the training data, its mean is 0 and its standard deviation is 1.

    So the scale of the numbers does not change the size of the loss.
    """

    Options = RegressionOptions
    graph_decoding = "numbers"
    label_pattern = r"-?[0-9]{1,400}(\.[0-9]{1,400})?(e[-+][0-9]{1,3})?"

    mean: Tensor
    std: Tensor

    def __init__(self, *, config: TaskOptions, vocabulary: Vocabulary, width: int) -> None:
        super().__init__(config=config, vocabulary=vocabulary, width=width)
        self.score = nn.Linear(width, 1)
        mean, std = _mean_and_std(vocabulary)
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    def adapt_to_buffers_of(self, other: "Regression") -> None:
        """Keeps the numbers that ``other`` predicts, although the scale is that of other training data."""
        mean, std = (buffer.to(self.mean.device) for buffer in (other.mean, other.std))
        self.score.weight.mul_(std / self.std)
        self.score.bias.mul_(std / self.std).add_((mean - self.mean) / self.std)

    @classmethod
    def read_labels(cls, record: Record, *, task: str, config: TaskOptions) -> list[float] | None:
        """A single number; None if it is ``_`` or the comment is missing."""
        labels = super().read_labels(record, task=task, config=config)
        return labels and [read_number(labels[0], record, task=task)]

    @classmethod
    def classes(cls, labels: Sequence[float], words: Iterable[str]) -> list[str]:
        """The numbers as strings: their counts give the mean and the standard deviation."""
        return [repr(label) for label in labels]

    @classmethod
    def encode(cls, labels: Sequence[float], class_ids: Sequence[int]) -> np.ndarray:
        """*Shape:* (1,)."""
        return np.array(labels, dtype=np.float32)

    def forward(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """*Shape:* (B, D) -> (B,)."""
        return self.score(self.dropout(hidden)).squeeze(-1).float()

    def item_losses(self, scores: Tensor, gold: Tensor) -> list[Tensor]:
        """The squared error of the standardised numbers. *Shape:* (B,), (B,) -> (B,)."""
        return [functional.mse_loss(scores, (gold - self.mean) / self.std, reduction="none")]

    def average(self, members: Sequence["Regression"], scores: Sequence[Tensor]) -> Tensor:
        """The mean of the numbers. *Shape:* (B,) each -> (B,)."""
        numbers = [own * one.std + one.mean for one, own in zip(members, scores, strict=True)]
        return (torch.stack(numbers).mean(0) - self.mean) / self.std

    def graph_outputs(self, hidden: Tensor) -> dict[str, Tensor]:
        """The number of each sentence. *Shape:* (B,)."""
        return {"numbers": self.score(hidden).squeeze(-1) * self.std + self.mean}

    def decode(self, scores: Tensor, sentences: Sequence[Sequence[str]]) -> list[list[Any]]:
        """The number of each sentence."""
        return [[number] for number in (scores * self.std + self.mean).tolist()]

    @classmethod
    def write_labels(cls, record: Record, labels: Sequence[float], *, task: str, config: TaskOptions) -> None:
        """Writes the column or the comment, with six significant digits."""
        super().write_labels(record, [f"{labels[0]:.6g}"], task=task, config=config)


def _mean_and_std(vocabulary: Vocabulary) -> tuple[float, float]:
    """The mean and the standard deviation of the training numbers; 0 and 1 if there are none or all are equal."""
    if not sum(vocabulary.counts):
        return 0.0, 1.0
    numbers, counts = np.array(vocabulary.labels, dtype=float), np.array(vocabulary.counts, dtype=float)
    mean = np.average(numbers, weights=counts)
    return float(mean), float(np.sqrt(np.average((numbers - mean) ** 2, weights=counts))) or 1.0
