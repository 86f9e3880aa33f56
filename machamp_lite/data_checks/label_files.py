"""The labels of one task in one data file, as numbers: which follow which, how often, and where first."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from machamp_lite.config.schema import DatasetConfig
from machamp_lite.data.records import read_records
from machamp_lite.data.span_schemes import EDGE
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.dataloading.example import file_format_of
from machamp_lite.dataloading.example_store import ExampleStore
from machamp_lite.errors import DataError

# Up to this number of pairs, labels are counted in an array with one cell per pair.
_FEW_PAIRS = 2**22


@dataclass(frozen=True, slots=True)
class LabelFile:
    """The labels of one task in one data file; ``ids`` are laid end to end, sentence ``i`` up to ``ends[i]``."""

    dataset: DatasetConfig
    columns: ExampleStore
    names: list[str]
    ids: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(
        cls, dataset: DatasetConfig, columns: ExampleStore, task: str, vocabulary: Vocabulary
    ) -> "LabelFile | None":
        """None where the file has no labels of the task."""
        table = columns.table
        is_dev = f"labels {task}" in table.rows
        rows = table.rows.get(f"labels {task}" if is_dev else f"gold {task}")
        if rows is None or not len(columns):
            return None
        own = rows.take(columns.order)
        names = list(table.labels[task]) if is_dev else vocabulary.labels
        return cls(dataset, columns, names, own.values.astype(np.int64), own.starts[1:].astype(np.int64))

    @property
    def _before(self) -> np.ndarray:
        """The id of the label before each one; that of no label at the start of a sentence."""
        before = np.append(len(self.names), self.ids)
        before[self.ends] = len(self.names)
        return before[:-1]

    def counts(self) -> Counter[str]:
        """How often each label is there."""
        counts = np.bincount(self.ids, minlength=len(self.names)).tolist()
        return Counter({name: count for name, count in zip(self.names, counts, strict=True) if count})

    def steps(self) -> Counter[tuple[str, str]]:
        """How often each label follows each other one; ``EDGE`` is the neighbour of the first and the last one."""
        width, names = len(self.names) + 1, [*self.names, EDGE]
        lasts = self.ids[np.unique(self.ends[self.ends > 0]) - 1]
        codes = np.append(self._before * width + self.ids, lasts * width + width - 1)
        if width**2 <= _FEW_PAIRS:
            every = np.bincount(codes, minlength=width**2)
            distinct = np.flatnonzero(every)
            counts = every[distinct]
        else:
            distinct, counts = np.unique(codes, return_counts=True)
        return Counter(
            {
                (names[code // width], names[code % width]): count
                for code, count in zip(distinct.tolist(), counts.tolist(), strict=True)
            }
        )

    def first_of(self, labels: Iterable[str]) -> int:
        """The place of the first word that has one of these labels."""
        ids = [self.names.index(label) for label in labels]
        return int(np.flatnonzero(np.isin(self.ids, ids))[0])

    def first_step(self, steps: Iterable[tuple[str, str]]) -> int:
        """The place of the first word at which one of these steps is taken; the last word for a step to the edge."""
        numbers = {name: number for number, name in enumerate([*self.names, EDGE])}
        width = len(numbers)
        codes = [numbers[before] * width + numbers[label] for before, label in steps if label != EDGE]
        found = np.flatnonzero(np.isin(self._before * width + self.ids, codes)).tolist()[:1]
        endings = [numbers[before] for before, label in steps if label == EDGE]
        lasts = np.unique(self.ends[self.ends > 0]) - 1
        found += lasts[np.isin(self.ids[lasts], endings)].tolist()[:1]
        return min(found)

    def where(self, place: int) -> str:
        """The ``file:line`` of the word at a place."""
        sentence = int(np.searchsorted(self.ends, place, side="right"))
        word = place - (int(self.ends[sentence - 1]) if sentence else 0)
        line = int(self.columns.table.lines[self.columns.order[sentence]])
        path = self.columns.path
        try:
            records = read_records(path, file_format_of(self.dataset))
            return next(record.where(word) for record in records if record.first_line == line)
        except (DataError, OSError, LookupError, StopIteration):
            # The file is no longer as it was when it was read.
            return f"{path}:{line}"
