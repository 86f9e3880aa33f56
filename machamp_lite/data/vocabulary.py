"""The labels of one task, their ids and their counts in the training data."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from machamp_lite.data.ragged_array import StringIndex

UNKNOWN = -1
# The key of the vocabulary of dataset ids, next to the names of tasks.
DATASET_IDS = "dataset_embed_idx"


class Vocabulary:
    """The labels of one task, whose ids are in the order in which they first occur in the training data.

    Only training data adds labels; any other label has the id ``UNKNOWN``. ``items`` is the number of words or
    sentences with labels. For the relations of a parser, ``root_counts`` is how many of the ``counts`` are at the root
    of a tree; it is empty if that is not known.
    """

    def __init__(
        self,
        labels: Sequence[str] = (),
        counts: Sequence[int] = (),
        items: int = 0,
        root_counts: Sequence[int] = (),
    ) -> None:
        self.labels = list(labels)
        self.items = items
        self.counts = list(counts) or [0] * len(self.labels)
        self.root_counts = list(root_counts)
        self._ids: StringIndex[str] = StringIndex({label: number for number, label in enumerate(self.labels)})

    def __len__(self) -> int:
        return len(self.labels)

    def __contains__(self, label: str) -> bool:
        return label in self._ids

    def add(self, labels: Iterable[str], *, items: int) -> list[int]:
        """Counts the labels of ``items`` items of training data, adds new labels, and returns the ids."""
        self.items += items
        ids = list(map(self._ids.__getitem__, labels))
        self.labels += islice(self._ids, len(self.labels), None)
        self.counts += [0] * (len(self.labels) - len(self.counts))
        for number, count in Counter(ids).items():
            self.counts[number] += count
        return ids

    def count_roots(self, ids: Iterable[int]) -> None:
        """Counts the labels with these ids as labels at the root of a tree."""
        counts = Counter(ids)
        self.root_counts += [0] * (len(self.labels) - len(self.root_counts))
        for number, count in counts.items():
            self.root_counts[number] += count

    def ids(self, labels: Iterable[str]) -> list[int]:
        """The ids of labels; ``UNKNOWN`` for those that are not in the training data."""
        return [self._ids.get(label, UNKNOWN) for label in labels]

    def most_frequent(self) -> list[tuple[str, int]]:
        """Labels with their counts, the most frequent first; ties are sorted by label."""
        return sorted(zip(self.labels, self.counts, strict=True), key=lambda pair: (-pair[1], pair[0]))

    def as_json(self) -> dict[str, Any]:
        """The arguments of the constructor that make an equal vocabulary."""
        return {
            "labels": self.labels,
            "counts": self.counts,
            "items": self.items,
            "root_counts": self.root_counts,
        }
