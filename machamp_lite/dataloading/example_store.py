"""Stores the examples of one file in flat arrays, which take about 20 bytes per word."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from itertools import chain
from typing import Any, Self, overload

import numpy as np

from machamp_lite.config.task_types import InputType
from machamp_lite.data.ragged_array import RaggedArray, StringIndex, lengths_of, smallest
from machamp_lite.data.segments import Segments
from machamp_lite.dataloading.example import Example
from machamp_lite.dataloading.issues import IssueCount, IssueCounter
from machamp_lite.decoders.base import LabelIssue

INPUT_TYPES: tuple[InputType, ...] = ("words", "masked", "subwords", "raw")
_SEGMENTS = ("subword_ids", "type_ids", "segment_starts", "word_starts", "word_ends")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ExampleStore(Sequence[Example]):
    """The examples of a file or a selection of them; each is made when it is accessed.

    ``numbers`` has arrays with one number per example of the file: "input_type" (an index in ``INPUT_TYPES``), "line",
    "num_words" and "longest" (segment). ``rows`` has one row per example: the arrays of ``Segments``, "words" as
    indices in ``strings``, "dataset_ids" if there are any, and for each task "gold TASK", "shape TASK" (empty if the
    sentence is not annotated), "items TASK" (``Example.gold_items``, empty if all words or none are annotated),
    "weights TASK" (``Example.weights``, empty without any) and, for dev data, "labels TASK" as indices in ``labels``.
    ``indices`` selects examples.
    """

    dataset: str
    path: str
    tasks: Sequence[str]
    numbers: Mapping[str, np.ndarray]
    rows: Mapping[str, RaggedArray]
    strings: Sequence[str]
    labels: Mapping[str, Sequence[Any]]
    label_counts: Mapping[str, Counter[str]]
    issues: IssueCounter
    indices: np.ndarray

    @classmethod
    def pack(
        cls,
        chunks: Iterable[Sequence[Example]],
        *,
        dataset: str,
        path: str,
        tasks: Sequence[str],
        label_counts: Mapping[str, Counter[str]],
        issues: IssueCounter,
    ) -> Self:
        """Packs the examples of a file; ``label_counts`` and ``issues`` may still grow while chunks are read."""
        packer = _Packer(tasks)
        # The empty chunk makes sure that all arrays exist.
        for chunk in chain([[]], chunks):
            packer.add(chunk)
        numbers, rows = packer.arrays()
        return cls(
            dataset=dataset,
            path=path,
            tasks=tasks,
            numbers=numbers,
            rows=rows,
            strings=list(packer.strings),
            labels={task: list(index) for task, index in packer.labels.items()},
            label_counts=label_counts,
            issues=issues,
            indices=np.arange(len(numbers["line"])),
        )

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[Example]:
        return map(self._example, self.indices.tolist())

    @overload
    def __getitem__(self, index: int) -> Example: ...

    @overload
    def __getitem__(self, index: slice) -> Self: ...

    def __getitem__(self, index: int | slice) -> Example | Self:
        if isinstance(index, slice):
            return self.take(self.indices[index])
        return self._example(int(self.indices[index]))

    def take(self, indices: np.ndarray) -> Self:
        """The examples of the file with these indices."""
        return replace(self, indices=indices)

    def of_types(self, *input_types: InputType) -> Self:
        """The examples with one of these input types."""
        ids = [INPUT_TYPES.index(input_type) for input_type in input_types]
        return self.take(self.indices[np.isin(self.numbers["input_type"][self.indices], ids)])

    def sentences(self) -> Self:
        """One example per sentence: that of its words if it has several input types."""
        words = self.of_types("words")
        if len(words) or not len(self):
            return words
        return self.of_types(INPUT_TYPES[self.numbers["input_type"][self.indices[0]]])

    def column(self, name: str) -> np.ndarray:
        """The "line", "num_words" or "longest" of each example. *Shape:* (examples,)."""
        return self.numbers[name][self.indices].astype(np.int64)

    def lengths(self, name: str) -> np.ndarray:
        """The length of each example's row in ``rows[name]``. *Shape:* (examples,)."""
        return self.rows[name].lengths[self.indices]

    def subword_ids(self) -> np.ndarray:
        """The subwords of all examples, concatenated. *Shape:* (S,)."""
        return self.rows["subword_ids"].take(self.indices).values

    def annotated(self, task: str) -> np.ndarray:
        """Whether each example has gold labels of a task. *Shape:* (examples,)."""
        return self.lengths(f"shape {task}") > 0

    def gold(self, task: str) -> Iterator[np.ndarray | None]:
        """The gold of each example; None if it is not annotated."""
        return (self._gold(index, task) for index in self.indices.tolist())

    def gold_size(self, task: str) -> tuple[int, int]:
        """The numbers of annotated words and of all words in the annotated sentences of a task that labels words."""
        is_partial, words = self.lengths(f"items {task}") > 0, self.lengths("word_ends")[self.annotated(task)].sum()
        missing = self.lengths("word_ends")[is_partial].sum() - self.lengths(f"items {task}").sum()
        return int(words - missing), int(words)

    def item_weights(self, task: str) -> tuple[np.ndarray, np.ndarray]:
        """The weights in the file, and of how many items each is the weight; weights that are not given are 1.

        *Shape:* (weights,) each.
        """
        rows, shapes = (self.rows[f"{name} {task}"].take(self.indices) for name in ("weights", "shape"))
        annotated = shapes.lengths > 0
        items = shapes.values[shapes.starts[:-1][annotated]].astype(np.int64)
        lengths = rows.lengths[annotated]
        numbers = np.repeat(np.where(lengths == 1, items, 1), lengths)
        return np.append(rows.values, 1.0), np.append(numbers, items[lengths == 0].sum())

    def label_rows(self, task: str, labels: Sequence[str]) -> tuple[Sequence[str], RaggedArray]:
        """The label ids of each example of a task with one label per word, and the labels that these ids index.

        For training data, these are the ``labels`` of the task's vocabulary. Words that are not annotated have the
        id -1.
        """
        if task in self.labels:
            names, rows = self.labels[task], self.rows[f"labels {task}"].take(self.indices)
            missing = names.index(None) if None in names else -1
            ids = rows.values.astype(np.int64)
            return names, RaggedArray(np.where(ids == missing, -1, ids), rows.starts)
        rows, items = (self.rows[f"{name} {task}"].take(self.indices) for name in ("gold", "items"))
        is_partial = items.lengths > 0
        lengths = np.where(is_partial, self.lengths("word_ends"), rows.lengths)
        full = RaggedArray.of(np.full(lengths.sum(), -1), lengths)
        within = np.arange(len(rows.values)) - np.repeat(rows.starts[:-1], rows.lengths)
        within[np.repeat(is_partial, rows.lengths)] = items.values
        full.values[np.repeat(full.starts[:-1], rows.lengths) + within] = rows.values
        return labels, full

    def document(self) -> dict[str, Any]:
        """Everything that is not in ``arrays``, as JSON."""
        issues = [astuple(count) for count in self.issues]
        counts = {task: dict(counts) for task, counts in self.label_counts.items()}
        return {"strings": self.strings, "labels": self.labels, "label_counts": counts, "issues": issues}

    def arrays(self) -> dict[str, np.ndarray]:
        """All arrays by name."""
        return {
            **{f"numbers {name}": array for name, array in self.numbers.items()},
            **{f"values {name}": rows.values for name, rows in self.rows.items()},
            **{f"starts {name}": rows.starts for name, rows in self.rows.items()},
        }

    @classmethod
    def load(
        cls,
        document: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray],
        *,
        dataset: str,
        path: str,
        tasks: Sequence[str],
    ) -> Self:
        """The store from the results of ``document`` and ``arrays``."""
        named = {
            kind: {
                name.removeprefix(kind + " "): array for name, array in arrays.items() if name.startswith(kind + " ")
            }
            for kind in ("numbers", "values", "starts")
        }
        labels = {
            task: [tuple(label) if isinstance(label, list) else label for label in task_labels]
            for task, task_labels in document["labels"].items()
        }
        issues = (IssueCount(task, LabelIssue(*issue), *rest) for task, issue, *rest in document["issues"])
        return cls(
            dataset=dataset,
            path=path,
            tasks=tasks,
            numbers=named["numbers"],
            rows={name: RaggedArray(values, named["starts"][name]) for name, values in named["values"].items()},
            strings=document["strings"],
            labels=labels,
            label_counts={task: Counter(counts) for task, counts in document["label_counts"].items()},
            issues=IssueCounter(issues),
            indices=np.arange(len(named["numbers"]["line"])),
        )

    def _row(self, name: str, index: int) -> np.ndarray:
        return self.rows[name][index].astype(np.int64)

    def _gold(self, index: int, task: str) -> np.ndarray | None:
        shape = self.rows[f"shape {task}"][index].tolist()
        if not shape:
            return None
        values = self.rows[f"gold {task}"][index]
        return values.astype(np.int64 if values.dtype.kind in "iu" else values.dtype).reshape(shape)

    def _example(self, index: int) -> Example:
        gold = {task: array for task in self.tasks if (array := self._gold(index, task)) is not None}
        return Example(
            dataset=self.dataset,
            input_type=INPUT_TYPES[self.numbers["input_type"][index]],
            source=f"{self.path}:{self.numbers['line'][index]}",
            words=[self.strings[number] for number in self.rows["words"][index].tolist()],
            segments=Segments(*(self._row(name, index) for name in _SEGMENTS)),
            labels={
                task: [self.labels[task][label] for label in self.rows[f"labels {task}"][index].tolist()]
                for task in gold
                if task in self.labels
            },
            gold=gold,
            dataset_ids=self._row("dataset_ids", index) if "dataset_ids" in self.rows else None,
            gold_items={task: items for task in gold if len(items := self._row(f"items {task}", index))},
            weights={task: weights for task in gold if len(weights := self.rows[f"weights {task}"][index])},
        )


class _Packer:
    """Packs chunks of examples into arrays, one per chunk and name, which ``arrays`` concatenates."""

    def __init__(self, tasks: Sequence[str]) -> None:
        self.tasks = tasks
        self.strings: StringIndex[str] = StringIndex()
        self.labels: dict[str, StringIndex[Any]] = {}
        self._numbers: dict[str, list[np.ndarray]] = defaultdict(list)
        self._values: dict[str, list[np.ndarray]] = defaultdict(list)
        self._lengths: dict[str, list[np.ndarray]] = defaultdict(list)

    def add(self, examples: Sequence[Example]) -> None:
        """Adds the examples of one chunk."""
        self._add_numbers("input_type", [INPUT_TYPES.index(example.input_type) for example in examples])
        self._add_numbers("line", [int(example.source.rpartition(":")[2]) for example in examples])
        self._add_numbers("num_words", [example.num_words for example in examples])
        self._add_numbers("longest", [example.segments.longest for example in examples])
        for name in _SEGMENTS:
            self._add_rows(name, [getattr(example.segments, name) for example in examples])
        self._add_indexed("words", [example.words for example in examples], self.strings)
        ids = [example.dataset_ids for example in examples if example.dataset_ids is not None]
        if ids:
            self._add_rows("dataset_ids", ids)
        for task in self.tasks:
            self._add_task(task, examples)

    def _add_task(self, task: str, examples: Sequence[Example]) -> None:
        empty = np.zeros(0, np.uint8)
        gold = [example.gold.get(task) for example in examples]
        self._add_rows(f"gold {task}", [empty if array is None else array.ravel() for array in gold])
        self._add_rows(f"items {task}", [example.gold_items.get(task, empty) for example in examples])
        self._add_rows(f"weights {task}", [example.weights.get(task, empty) for example in examples])
        shapes = [() if array is None else array.shape for array in gold]
        self._add_values(
            f"shape {task}", np.fromiter(chain.from_iterable(shapes), np.int64), lengths_of(shapes)
        )
        labels = [example.labels.get(task, ()) for example in examples]
        if any(task in example.labels for example in examples):
            self.labels.setdefault(task, StringIndex())
        self._add_indexed(f"labels {task}", labels, self.labels.get(task, StringIndex()))

    def _add_numbers(self, name: str, numbers: Sequence[int]) -> None:
        self._numbers[name].append(smallest(np.array(numbers, np.int64)))

    def _add_indexed(self, name: str, rows: Sequence[Sequence[Any]], index: StringIndex[Any]) -> None:
        self._add_values(name, index.of(list(chain.from_iterable(rows))), lengths_of(rows))

    def _add_rows(self, name: str, rows: Sequence[np.ndarray]) -> None:
        lengths, empty = lengths_of(rows), np.zeros(0, np.uint8)
        self._add_values(name, np.concatenate([empty, *rows]) if lengths.any() else empty, lengths)

    def _add_values(self, name: str, values: np.ndarray, lengths: np.ndarray) -> None:
        self._values[name].append(smallest(values))
        self._lengths[name].append(smallest(lengths))

    def arrays(self) -> tuple[dict[str, np.ndarray], dict[str, RaggedArray]]:
        """The numbers and the rows of all chunks."""
        numbers = {name: np.concatenate(arrays) for name, arrays in self._numbers.items()}
        rows = {}
        for name, arrays in self._values.items():
            joined = RaggedArray.of(np.concatenate(arrays), np.concatenate(self._lengths[name]))
            rows[name] = RaggedArray(joined.values, smallest(joined.starts))
        return numbers, rows
