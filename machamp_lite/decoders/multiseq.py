"""``multiseq``: any number of labels per word, joined by ``|`` in one column; ``_`` for none."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from machamp_lite.config.task_types import PLAIN_THRESHOLD, MultiSeqOptions, TaskOptions
from machamp_lite.data.records import EMPTY, Record
from machamp_lite.decoders.base import LabelDecoder, LabelIssue, class_weights, split
from machamp_lite.decoders.confidence import Confidence
from machamp_lite.metrics import label_set
from machamp_lite.metrics.label_report import NONE
from machamp_lite.nn.decisions import divided, log_mean_exp
from machamp_lite.weighting.binary_losses import (
    AsymmetricObjective,
    BinaryObjective,
    DistributionBalancedObjective,
)
from machamp_lite.weighting.class_weights import REST, positive_weights

EMPTY_PART = LabelIssue("label sets with an empty part, such as 'a||b'", handling="empty parts are dropped")
REPEATED = LabelIssue("label sets with a label twice, such as 'a|a'", handling="it is counted once")


class MultiSeq(LabelDecoder):
    """A binary decision for each label of the training data, by one linear layer."""

    Options: ClassVar[type[MultiSeqOptions]] = MultiSeqOptions
    one_row_per_label = False
    labels_are_exclusive = False
    graph_decoding = "label_sets"

    def make_objective(self) -> BinaryObjective:
        """Binary cross-entropy of each label, or a loss that replaces it; class weights are those of positive items."""
        config, vocabulary = self.config, self.vocabulary
        if config.distribution_balanced_loss is not None:
            return DistributionBalancedObjective(
                focal_gamma=config.focal_gamma,
                counts=vocabulary.counts,
                items=vocabulary.items,
                **config.distribution_balanced_loss.model_dump(),
            )
        from_counts = partial(positive_weights, items=vocabulary.items)
        weights = class_weights(config, vocabulary, from_counts=from_counts)
        if config.asymmetric_loss is not None:
            return AsymmetricObjective(weights=weights, **config.asymmetric_loss.model_dump())
        return BinaryObjective(weights=weights, focal_gamma=config.focal_gamma)

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
    def classes(cls, labels: Sequence[str], words: Iterable[str]) -> list[str]:
        """The single labels of all items, in order."""
        return [label for joined in labels for label in sorted(label_set(joined))]

    @classmethod
    def encode(cls, labels: Sequence[str], class_ids: Sequence[int]) -> np.ndarray:
        """The ids of each item's labels, padded with -1. *Shape:* (items, most labels of an item)."""
        rows = split(class_ids, [len(label_set(joined)) for joined in labels])
        width = max(map(len, rows), default=0)
        padded = [[*row, *[-1] * (width - len(row))] for row in rows]
        return np.array(padded, dtype=np.int64).reshape(len(rows), width)

    @classmethod
    def class_ids(cls, gold: np.ndarray) -> np.ndarray:
        """The ids of all labels of a sentence."""
        return gold[gold >= 0]

    def item_losses(self, scores: Tensor, gold: Tensor) -> list[Tensor]:
        """Binary cross-entropy, summed over labels. *Shape:* (N, C), (N, most labels of an item) -> (N,)."""
        return [self.objective(scores, self.targets(scores, gold))]

    def item_counts(self, gold: np.ndarray) -> list[np.ndarray | float]:
        """The number of binary decisions."""
        return [float(len(self.vocabulary))]

    def decode(self, scores: Tensor, sentences: Sequence[Sequence[str]]) -> list[list[Any]]:
        """All labels with a probability above their threshold, joined in alphabetical order, or ``_``."""
        probabilities = divided(scores, self.config.temperature).sigmoid()
        return self.split_by_sentence(self._joined(probabilities > self._thresholds(scores)), sentences)

    @classmethod
    def as_value(cls, label: str) -> tuple[str, ...]:
        """The labels of an item, none for ``_``."""
        return () if label == EMPTY else tuple(label.split("|"))

    def _thresholds(self, scores: Tensor) -> Tensor:
        """The threshold of each label. *Shape:* (C,)."""
        given = self.config.threshold
        if isinstance(given, dict):
            rest = given.get(REST, PLAIN_THRESHOLD)
            given = [given.get(label, rest) for label in self.vocabulary.labels]
        return torch.as_tensor(given, dtype=torch.float32, device=scores.device)

    def _joined(self, chosen: Tensor) -> list[str]:
        """The chosen labels of each item. *Shape:* (N, C)."""
        names: list[list[str]] = [[] for _ in range(len(chosen))]
        for item, label in chosen.nonzero().tolist():
            names[item].append(self.vocabulary.labels[label])
        # Without regard to case, as in the features of Universal Dependencies.
        return ["|".join(sorted(labels, key=str.lower)) or EMPTY for labels in names]

    def log_probabilities(self, scores: Tensor) -> Tensor:
        """The log-probability of each label, independent of the threshold. *Shape:* (N, C) -> (N, C)."""
        return functional.logsigmoid(divided(scores, self.config.temperature))

    def graph_outputs(self, hidden: Tensor) -> dict[str, Tensor]:
        """Which labels are predicted, and the log-probability of each label. *Shape:* (N, C) each."""
        scores = self.scores(hidden)
        probabilities = divided(scores, self.config.temperature).sigmoid()
        return {"chosen": probabilities > self._thresholds(scores), "log_probabilities": self.log_probabilities(scores)}

    def average(self, members: Sequence[Any], scores: Sequence[Any]) -> Any:
        """The log-odds of the mean probability of each label. *Shape:* (N, C) each -> (N, C)."""
        scaled = [divided(own, one.temperature) for one, own in zip(members, scores, strict=True)]
        positive, negative = (log_mean_exp([functional.logsigmoid(sign * own) for own in scaled]) for sign in (1, -1))
        return self.temperature * (positive - negative)

    def confidences(self, scores: Tensor, sentences: Sequence[Sequence[str]]) -> list[Confidence]:
        """The product of the probabilities of all decisions: that a label is predicted, or that it is not."""
        scaled = divided(scores, self.config.temperature)
        signs = torch.where(scaled.sigmoid() > self._thresholds(scores), 1.0, -1.0)
        items = functional.logsigmoid(signs * scaled).sum(1).tolist()
        return [Confidence(sum(own), len(own)) for own in self.split_by_sentence(items, sentences)]

    def targets(self, scores: Tensor, gold: Tensor) -> Tensor:
        """1 for the gold labels of each item, 0 for others. *Shape:* (N, C), (N, most labels of an item) -> (N, C)."""
        # The additional first column is the target of the padding, -1.
        targets = scores.new_zeros(len(scores), scores.shape[1] + 1, dtype=torch.float32)
        return targets.scatter(1, gold + 1, 1.0)[:, 1:]

    @classmethod
    def label_pairs(
        cls, gold: Sequence[str], predicted: Sequence[str], words: Sequence[str]
    ) -> tuple[list[str], list[str]]:
        """Each label in a gold or predicted set, paired with itself if it is in both sets and with ``NONE`` if not."""
        pairs = [
            (label if label in in_gold else NONE, label if label in in_predicted else NONE)
            for in_gold, in_predicted in zip(map(label_set, gold), map(label_set, predicted), strict=True)
            for label in sorted(in_gold | in_predicted)
        ]
        return [one for one, _ in pairs], [other for _, other in pairs]


def _issue(joined: str) -> LabelIssue | None:
    parts = joined.split("|")
    if len(parts) > 1 and not {"", EMPTY}.isdisjoint(parts):
        return EMPTY_PART
    return REPEATED if len(set(parts)) < len(parts) else None
