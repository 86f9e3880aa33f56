"""The data of one file in flat columns: some bytes a word, and instances made when they are asked for."""

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any, overload

import numpy as np

from machamp_lite.config.task_types import InputType
from machamp_lite.data.ragged_array import RaggedArray
from machamp_lite.data.segments import Segments
from machamp_lite.dataloading.example import Example
from machamp_lite.dataloading.remarks import Remark

VIEWS: tuple[InputType, ...] = ("words", "masked", "subwords", "raw")
# Strings that are kept beside their bytes: most words of a text are some of the most frequent ones.
STRINGS_KEPT = 2**14


class Texts:
    """Distinct strings, as the bytes of their UTF-8."""

    def __init__(self, rows: RaggedArray) -> None:
        self.rows = rows
        self.text = functools.lru_cache(STRINGS_KEPT)(self._text)

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Texts":
        """Packs strings."""
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
        lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
        return cls(RaggedArray.of(np.frombuffer(b"".join(encoded), np.uint8), lengths))

    def _text(self, number: int) -> str:
        return self.rows[number].tobytes().decode("utf-8", "surrogatepass")


class Words(Sequence[str]):
    """Some of these texts; each is made when it is asked for, which in training is never."""

    def __init__(self, texts: Texts, numbers: np.ndarray) -> None:
        self.texts = texts
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[str]:
        return map(self.texts.text, self.numbers.tolist())

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> "Words": ...

    def __getitem__(self, place: int | slice) -> "str | Words":
        if isinstance(place, slice):
            return Words(self.texts, self.numbers[place])
        return self.texts.text(int(self.numbers[place]))

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class FoundSlip:
    """A probable mistake in the labels of a task: how often it was found, and the line of the first one."""

    task: str
    what: str
    handling: str
    count: int
    line: int


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """All columns of a file.

    ``order`` says where the instances stand in the other columns, ``words`` how many words each has as a person
    counts them. Of ``rows``, "subwords", "types" (absent where all are 0), "piece_starts" and "word_ends" are those
    of ``Segments``, "texts" numbers in ``texts``, "datasets" the ids of data sets (absent where there are none). For
    each task, "gold TASK" is flat and "shape TASK" its shape, empty where a sentence is not annotated; "labels TASK"
    are numbers in ``labels``, of dev data. ``slips`` are probable mistakes that only the reader of the file can see,
    ``remarks`` count the sentences whose labels are doubtful.
    """

    order: np.ndarray
    views: np.ndarray
    lines: np.ndarray
    words: np.ndarray
    texts: Texts
    rows: Mapping[str, RaggedArray]
    labels: Mapping[str, Sequence[Any]]
    slips: Sequence[FoundSlip] = ()
    remarks: Sequence[Remark] = ()

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything as arrays by name, from which ``from_arrays`` makes it again."""
        labels = json.dumps(self.labels).encode()
        slips = json.dumps([astuple(slip) for slip in self.slips]).encode()
        arrays = {"order": self.order, "views": self.views, "lines": self.lines, "words": self.words}
        arrays["labels"] = np.frombuffer(labels, np.uint8)
        arrays["slips"] = np.frombuffer(slips, np.uint8)
        remarks = json.dumps([astuple(remark) for remark in self.remarks]).encode()
        arrays["remarks"] = np.frombuffer(remarks, np.uint8)
        for name, rows in {**self.rows, "": self.texts.rows}.items():
            arrays |= {f"values {name}": rows.values, f"starts {name}": rows.starts}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Table":
        """What ``arrays`` gave; raises ``LookupError`` or ``ValueError`` for anything else."""
        names = [name.removeprefix("values ") for name in arrays if name.startswith("values ")]
        rows = {name: RaggedArray(arrays[f"values {name}"], arrays[f"starts {name}"]) for name in names}
        labels = {
            task: [tuple(label) if isinstance(label, list) else label for label in table]
            for task, table in json.loads(arrays["labels"].tobytes()).items()
        }
        texts = Texts(rows.pop(""))
        order, views, lines, words = (arrays[name] for name in ("order", "views", "lines", "words"))
        slips = [FoundSlip(*slip) for slip in json.loads(arrays["slips"].tobytes())]
        remarks = [Remark(*remark) for remark in json.loads(arrays["remarks"].tobytes())]
        return cls(order, views, lines, words, texts, rows, labels, slips, remarks)


class ExampleStore(Sequence[Example]):
    """The instances of a table, or some of them; each is made when it is asked for."""

    def __init__(
        self, table: Table, *, dataset: str, path: str, tasks: Sequence[str], order: np.ndarray | None = None
    ) -> None:
        self.table = table
        self.dataset = dataset
        self.path = path
        self.tasks = list(tasks)
        self.order = table.order if order is None else order

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[Example]:
        return map(self._instance, self.order.tolist())

    @overload
    def __getitem__(self, place: int) -> Example: ...

    @overload
    def __getitem__(self, place: slice) -> "ExampleStore": ...

    def __getitem__(self, place: int | slice) -> "Example | ExampleStore":
        if isinstance(place, slice):
            return self.take(self.order[place])
        return self._instance(int(self.order[place]))

    def take(self, order: np.ndarray) -> "ExampleStore":
        """Those that stand at these places in the table."""
        return ExampleStore(self.table, dataset=self.dataset, path=self.path, tasks=self.tasks, order=order)

    def of_view(self, view: InputType, *, others: bool = False) -> "ExampleStore":
        """Those of a view, or all ``others``."""
        return self.take(self.order[(self.table.views[self.order] == VIEWS.index(view)) != others])

    def sentences(self) -> "ExampleStore":
        """One instance a sentence: those of words where a sentence has several views, else those of another view."""
        if not len(self):
            return self
        words = self.of_view("words")
        return words if len(words) else self.of_view(VIEWS[self.table.views[self.order[0]]])

    def _of(self, numbers: np.ndarray) -> np.ndarray:
        """What instances have of the numbers of all rows of the table. *Shape:* -> (instances,)."""
        return numbers[self.order].astype(np.int64)

    @property
    def words(self) -> np.ndarray:
        """How many words each has; of texts, what stands between spaces. *Shape:* (instances,)."""
        return self._of(self.table.words)

    @property
    def texts(self) -> np.ndarray:
        """The length of ``words`` of each: of words, of texts, or of parts of raw text. *Shape:* (instances,)."""
        return self._of(self.table.rows["texts"].lengths)

    @property
    def subwords(self) -> np.ndarray:
        """How many subwords each has. *Shape:* (instances,)."""
        return self._of(self.table.rows["subwords"].lengths)

    @property
    def segments(self) -> np.ndarray:
        """How many pieces each has. *Shape:* (instances,)."""
        return self._of(self.table.rows["segment_starts"].lengths)

    @property
    def longest_segments(self) -> np.ndarray:
        """The number of subwords of the longest piece of each. *Shape:* (instances,)."""
        starts, subwords = self.table.rows["segment_starts"], self.table.rows["subwords"]
        if not len(subwords):
            return np.zeros(0, np.int64)
        within = np.append(starts.values[1:].astype(np.int64), 0)
        within[starts.starts[1:].astype(np.int64) - 1] = subwords.lengths
        return self._of(np.maximum.reduceat(within - starts.values, starts.starts[:-1].astype(np.int64)))

    @property
    def has_items(self) -> bool:
        """Whether any has word ends."""
        return bool(self._of(self.table.rows["word_ends"].lengths).any())

    def subword_ids(self) -> np.ndarray:
        """The subwords of all, end to end."""
        return self.table.rows["subwords"].take(self.order).values

    def annotated(self, task: str) -> np.ndarray:
        """Which of them have gold of a task. *Shape:* (instances,)."""
        shapes = self.table.rows.get(f"shape {task}")
        return np.zeros(len(self), bool) if shapes is None else self._of(shapes.lengths) > 0

    def with_unknown(self, task: str) -> "ExampleStore":
        """Those whose gold of a task has an id below 0, as labels have that training never saw."""
        gold = self.table.rows.get(f"gold {task}")
        if gold is None:
            return self.take(self.order[:0])
        return self.take(self.order[gold.sums(gold.values < 0)[self.order] > 0])

    def gold(self, task: str) -> Iterator[np.ndarray | None]:
        """The gold of each."""
        return (self._gold(number, task) for number in self.order.tolist())

    def _row(self, name: str, number: int) -> np.ndarray:
        return self.table.rows[name][number].astype(np.int64)

    def _gold(self, number: int, task: str) -> np.ndarray | None:
        rows = self.table.rows
        if f"shape {task}" not in rows or not len(shape := rows[f"shape {task}"][number].tolist()):
            return None
        values = rows[f"gold {task}"][number]
        return values.astype(np.int64 if values.dtype.kind in "iu" else values.dtype).reshape(shape)

    def _instance(self, number: int) -> Example:
        rows, texts = self.table.rows, self.table.texts
        subwords = self._row("subwords", number)
        types = self._row("types", number) if "types" in rows else np.zeros_like(subwords)
        segments = Segments(subwords, types, self._row("segment_starts", number), self._row("word_ends", number))
        gold = {task: own for task in self.tasks if (own := self._gold(number, task)) is not None}
        labels = {
            task: [self.table.labels[task][label] for label in rows[f"labels {task}"][number].tolist()]
            for task in gold
            if f"labels {task}" in rows
        }
        return Example(
            self.dataset,
            VIEWS[self.table.views[number]],
            f"{self.path}:{self.table.lines[number]}",
            Words(texts, rows["texts"][number]),
            segments,
            labels,
            gold,
            self._row("datasets", number) if "datasets" in rows else None,
        )
