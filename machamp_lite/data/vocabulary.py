"""The labels of one task, their ids and how often training showed them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice

from machamp_lite.data.ragged_array import StringIndex

UNKNOWN = -1
# Stands among the vocabularies of tasks for the ids of data sets, which words or sentences may have.
DATASET_IDS = "dataset_embed_idx"


class Vocabulary:
    """Labels and ids of one task, in the order in which training data first showed them.

    Only training data adds labels; a label that training never saw has the id ``UNKNOWN``. ``items`` is the number of
    words or sentences that had labels, one or several each. ``root_counts``, of the relations of a parser, says how
    many of the ``counts`` were at the root of a tree; it is empty where that is not known.
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
        """Counts labels of so many items of training data, new ones get new ids; returns the ids."""
        self.items += items
        ids = list(map(self._ids.__getitem__, labels))
        self.labels += islice(self._ids, len(self.labels), None)
        self.counts += [0] * (len(self.labels) - len(self.counts))
        for number, count in Counter(ids).items():
            self.counts[number] += count
        return ids

    def count_roots(self, ids: Iterable[int]) -> None:
        """Counts labels, by their ids, that training data showed at the root of a tree."""
        counts = Counter(ids)
        self.root_counts += [0] * (len(self.labels) - len(self.root_counts))
        for number, count in counts.items():
            self.root_counts[number] += count

    def ids(self, labels: Iterable[str]) -> list[int]:
        """The ids of labels; ``UNKNOWN`` for those that training never saw."""
        return [self._ids.get(label, UNKNOWN) for label in labels]

    def most_frequent(self) -> list[tuple[str, int]]:
        """Labels with their counts, the most frequent first, ties by label."""
        return sorted(zip(self.labels, self.counts, strict=True), key=lambda pair: (-pair[1], pair[0]))
