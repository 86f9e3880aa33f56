"""``multiseq``: any number of labels a word, joined by ``|`` in one column; ``_`` for none."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from machamp_lite.config.task_types import MultiSeqOptions, TaskOptions
from machamp_lite.data.records import EMPTY, Record
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.decoders.base import Decoder, LabelIssue, read_column, split
from machamp_lite.decoders.top_k import Ranked, argmax, best_labels
from machamp_lite.metrics import label_set
from machamp_lite.metrics.label_report import NONE
from machamp_lite.weighting.class_weights import given_weights, positive_weights
from machamp_lite.weighting.losses import BinaryObjective

EMPTY_PART = LabelIssue(
    "label sets with an empty part, such as 'a||b'", handling="empty parts are dropped"
)
REPEATED = LabelIssue("label sets with a label twice, such as 'a|a'", handling="it is counted once")


class MultiSeq(Decoder):
    """One linear map to the labels that training showed, and a decision for each of them."""

    Options: ClassVar[type[MultiSeqOptions]] = MultiSeqOptions

    def __init__(self, *, config: MultiSeqOptions, vocabulary: Vocabulary, width: int) -> None:
        super().__init__(config=config, vocabulary=vocabulary, width=width)
        self.scores = nn.Linear(width, len(vocabulary))

    def make_objective(self) -> BinaryObjective:
        """Binary cross-entropy of each label, with class weights as weights of its positive items."""
        config, vocabulary, weights = self.config, self.vocabulary, None
        if isinstance(config.class_weights, str):
            weights = positive_weights(
                config.class_weights,
                vocabulary.counts,
                items=vocabulary.items,
                beta=config.class_weights_beta,
            )
        elif config.class_weights is not None:
            weights = given_weights(config.class_weights, vocabulary.labels)
        return BinaryObjective(weights=weights, focal_gamma=config.focal_gamma)

    @classmethod
    def read_labels(cls, record: Record, *, task: str, config: TaskOptions) -> list[str] | None:
        """The joined labels of each word."""
        return read_column(record, task=task, column=config.column_idx)

    @classmethod
    def find_issues(
        cls, records: Sequence[Record], labels: Sequence[list[str]], *, task: str, config: TaskOptions
    ) -> Iterator[tuple[int, LabelIssue]]:
        """Sets with empty or repeated parts."""
        found = {joined: issue for joined in set(chain.from_iterable(labels)) if (issue := _issue(joined))}
        if found:
            for index, own in enumerate(labels):
                for row, joined in enumerate(own):
                    if joined in found:
                        yield index, replace(found[joined], row=row)

    @classmethod
    def classes(cls, labels: Sequence[str], words: Sequence[str]) -> list[str]:
        """All single labels, item by item."""
        return [label for joined in labels for label in sorted(label_set(joined))]

    @classmethod
    def encode(cls, labels: Sequence[str], class_ids: Sequence[int]) -> np.ndarray:
        """*Shape:* (N, most labels of an item), filled with -1."""
        rows = split(class_ids, [len(label_set(joined)) for joined in labels])
        width = max(map(len, rows), default=0)
        filled = [[*row, *[-1] * (width - len(row))] for row in rows]
        return np.array(filled, dtype=np.int64).reshape(len(rows), width)

    @classmethod
    def class_ids(cls, gold: np.ndarray) -> np.ndarray:
        """The ids of all labels of a sentence."""
        return gold[gold >= 0]

    def forward(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """*Shape:* (N, D) -> (N, C)."""
        return self.scores(self.dropout(hidden))

    def loss_sums(self, scores: Tensor, gold: Tensor) -> list[Tensor]:
        """Binary cross-entropy. *Shape:* (N, C), (N, most labels of an item) -> () each."""
        # One more column in front takes the -1 that rows are filled with.
        targets = scores.new_zeros(len(scores), scores.shape[1] + 1, dtype=torch.float32)
        return [self.objective(scores, targets.scatter(1, gold + 1, 1.0)[:, 1:])]

    def loss_counts(self, gold: np.ndarray) -> list[float]:
        """One decision per item and label."""
        return [len(gold) * len(self.vocabulary)]

    def decode(self, scores: Tensor, sentences: Sequence[Sequence[str]]) -> list[list[Any]]:
        """All labels above the threshold, joined in alphabetical order, or ``_``."""
        labels = self.labels_above(scores.float().sigmoid(), self.config.threshold)
        return split(labels, [self.items(words) for words in sentences])

    def labels_above(self, probabilities: Tensor, threshold: float) -> list[str]:
        """The joined labels of each item whose probability is above a threshold. *Shape:* (N, C)."""
        chosen = probabilities > threshold
        names: list[list[str]] = [[] for _ in range(len(probabilities))]
        for item, label in chosen.nonzero().tolist():
            names[item].append(self.vocabulary.labels[label])
        # Without regard to case, as in the features of Universal Dependencies.
        return ["|".join(sorted(labels, key=str.lower)) or EMPTY for labels in names]

    def rank(self, scores: Tensor, sentences: Sequence[Sequence[str]], *, top_n: int) -> list[list[Ranked]]:
        """The single labels with the highest probabilities, whether above the threshold or not."""
        ranked = best_labels(
            functional.logsigmoid(scores.float()),
            argmax(scores),
            labels=self.vocabulary.labels,
            top_n=top_n,
        )
        return split(ranked, [self.items(words) for words in sentences])

    @classmethod
    def items(cls, words: Sequence[str]) -> int:
        """How many sets of labels a sentence of these words has."""
        return len(words) if cls.Options.level == "word" else 1

    @classmethod
    def label_pairs(
        cls, gold: Sequence[str], predicted: Sequence[str], words: Sequence[str]
    ) -> tuple[list[str], list[str]]:
        """Each label that is gold or predicted, beside itself or beside nothing."""
        pairs = [
            (label if label in in_gold else NONE, label if label in in_predicted else NONE)
            for in_gold, in_predicted in zip(map(label_set, gold), map(label_set, predicted), strict=True)
            for label in sorted(in_gold | in_predicted)
        ]
        return [one for one, _ in pairs], [other for _, other in pairs]

    @classmethod
    def write_labels(cls, record: Record, labels: Sequence[str], *, task: str, config: TaskOptions) -> None:
        """Writes the column."""
        record.set_column(config.column_idx, labels)


def _issue(joined: str) -> LabelIssue | None:
    parts = joined.split("|")
    if len(parts) > 1 and not {"", EMPTY}.isdisjoint(parts):
        return EMPTY_PART
    return REPEATED if len(set(parts)) < len(parts) else None
