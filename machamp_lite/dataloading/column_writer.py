"""Fills the columns of a file, one view of some sentences after another."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from machamp_lite.config.task_types import InputType
from machamp_lite.data.ragged_array import RaggedArray, StringIndex, lengths_of, smallest
from machamp_lite.data.segments import SegmentArrays
from machamp_lite.dataloading.example_store import VIEWS, FoundSlip, Table, Texts
from machamp_lite.decoders.base import Slip


class _Column:
    """Parts of a column of rows; before the first part and between others, rows may be missing, which are empty."""

    def __init__(self) -> None:
        self.values: list[np.ndarray] = []
        self.lengths: list[np.ndarray] = []
        self.size = 0

    def fill(self, rows: int) -> None:
        self.lengths.append(np.zeros(rows - self.size, np.uint8))
        self.size = rows

    def add(self, values: np.ndarray, lengths: np.ndarray) -> None:
        self.values.append(smallest(values))
        self.lengths.append(smallest(lengths))
        self.size += len(lengths)

    def rows(self) -> RaggedArray:
        rows = RaggedArray.of(smallest(np.concatenate(self.values)), np.concatenate(self.lengths))
        return RaggedArray(rows.values, smallest(rows.starts))


class ColumnWriter:
    """Takes stretches of instances of one view each, and makes the table of all."""

    def __init__(self) -> None:
        self.size = 0
        self._base = 0
        self._keys: list[np.ndarray] = []
        self._views: list[np.ndarray] = []
        self._lines: list[np.ndarray] = []
        # How many words texts have that are not words of a sentence, -1 for others.
        self._words: list[np.ndarray] = []
        self._columns: dict[str, _Column] = {}
        self._texts: StringIndex[str] = StringIndex()
        self._labels: dict[str, StringIndex[Any]] = {}
        # The count of each slip, and the line of the first one.
        self._slips: dict[tuple[str, Slip], tuple[int, int]] = {}

    def begin_chunk(self) -> None:
        """What comes stands behind all that was taken."""
        self._base = 1 + max(
            (int(keys.max()) for keys in self._keys[-len(VIEWS) :] if len(keys)), default=self._base
        )

    def begin(
        self, view: InputType, keys: np.ndarray, *, lines: np.ndarray, words: np.ndarray | None = None
    ) -> None:
        """The next instances; by their ``keys`` they stand in order in their chunk. *Shape:* (instances,) each.

        ``words`` is how many each has, where that is not the number of words in its texts.
        """
        self._start = self.size
        self.size += len(keys)
        self._keys.append(smallest(self._base + keys))
        self._views.append(np.full(len(keys), VIEWS.index(view), np.uint8))
        self._lines.append(smallest(lines))
        self._words.append(np.full(len(keys), -1, np.int8) if words is None else smallest(words))

    def add(self, name: str, values: np.ndarray, lengths: np.ndarray) -> None:
        """A column of these instances, rows end to end. *Shape:* values (sum of lengths,), lengths (instances,)."""
        column = self._columns.setdefault(name, _Column())
        column.fill(self._start)
        column.add(values, lengths)

    def add_segments(self, segments: SegmentArrays) -> None:
        """The columns of pieces."""
        columns = {"subwords": segments.subword_ids, "types": segments.type_ids}
        columns |= {"segment_starts": segments.segment_starts, "word_ends": segments.word_ends}
        for name, rows in columns.items():
            self.add(name, rows.values, rows.lengths)

    def add_texts(self, texts: Sequence[Sequence[str]]) -> None:
        """The words of each instance, or its texts."""
        self.add("texts", self._texts.of(list(chain.from_iterable(texts))), lengths_of(texts))

    def add_labels(self, task: str, labels: list[Any], lengths: np.ndarray) -> None:
        """The gold labels of each instance, end to end."""
        self.add(f"labels {task}", self._labels.setdefault(task, StringIndex()).of(labels), lengths)

    def add_slip(self, task: str, slip: Slip, *, line: int) -> None:
        """Counts a probable mistake in the labels of a task."""
        count, first = self._slips.get((task, slip), (0, line))
        self._slips[task, slip] = count + 1, first

    def table(self) -> Table:
        """What was taken."""
        for column in self._columns.values():
            column.fill(self.size)
        rows = {name: column.rows() for name, column in self._columns.items()}
        if not rows["types"].values.any():
            del rows["types"]
        texts = list(self._texts)
        in_texts = np.fromiter((len(text.split()) for text in texts), np.int64, len(texts))
        words = np.concatenate(self._words)
        counted = rows["texts"].sums(in_texts[rows["texts"].values])
        return Table(
            smallest(np.argsort(np.concatenate(self._keys), kind="stable")),
            np.concatenate(self._views),
            np.concatenate(self._lines),
            smallest(np.where(words < 0, counted, words)),
            Texts.of(texts),
            rows,
            {task: list(numbers) for task, numbers in self._labels.items()},
            [FoundSlip(task, *slip, *found) for (task, slip), found in self._slips.items()],
        )
