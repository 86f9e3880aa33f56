"""Reads the files of one dataset as examples, and reports all faults and label issues in them."""

import contextlib
import gc
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

from machamp_lite import progress
from machamp_lite.config.schema import DatasetConfig
from machamp_lite.config.task_types import COMMENT, WEIGHT_COMMENT
from machamp_lite.data.records import Record, read_records
from machamp_lite.dataloading.example import Example, file_format_of
from machamp_lite.dataloading.example_builder import ExampleBuilder, Labels, Weights
from machamp_lite.dataloading.example_store import ExampleStore
from machamp_lite.dataloading.issues import IssueCounter
from machamp_lite.errors import DataError, FaultList, did_you_mean
from machamp_lite.metrics.base import annotated_items

# The number of records that are in memory at once: their examples are packed before the next chunk is read.
CHUNK = 4096
# In training and dev data. The gradients of longer sentences do not fit in memory.
MAX_SENTENCE_SUBWORDS = 20_000


class DatasetReader(ExampleBuilder):
    """Reads files and records of one dataset."""

    def read_training(self, path: str | Path) -> ExampleStore:
        """Reads training data up to ``max_sents`` and ``max_words``, and adds its labels to the vocabularies.

        Raises ``DataError`` with all faults of the file.
        """
        examples = self._read_file(path, training=True)
        faults = [
            fault
            for task in self.config.tasks
            for missing in (self._missing_labels, self._missing_weights)
            if (fault := missing(task, str(path), examples))
        ]
        faults += [fault for task in self.config.tasks if (fault := self._unwritable_label(task, str(path)))]
        if faults:
            raise DataError(faults)
        return examples

    def read_evaluation(self, path: str | Path) -> ExampleStore:
        """Reads all dev data of a file. Labels that are not in the training data get no id."""
        return self._read_file(path, training=False)

    def read_labels(self, records: Sequence[Record], issues: IssueCounter) -> list[Labels]:
        """Reads the gold labels of records for prediction; labels that cannot be scored are counted in ``issues``.

        Raises ``DataError`` with a line for each record into which labels cannot be written.
        """
        faults = FaultList()
        labels = [self._labels_of(record, faults, unreadable=issues) for record in records]
        if faults.count:
            raise DataError(faults.lines(records[0].path))
        self._check(records, labels, issues)
        return labels

    def _read_file(self, path: str | Path, *, training: bool) -> ExampleStore:
        faults, issues = FaultList(), IssueCounter()
        counts: dict[str, Counter[str]] = {task: Counter() for task in self.config.tasks}
        earlier = {task: self.vocabularies[task].counts.copy() for task in self.config.tasks} if training else {}
        with _garbage_collection_paused():
            store = ExampleStore.pack(
                self._chunks(path, faults=faults, issues=issues, counts=counts, training=training),
                dataset=self.name,
                path=str(path),
                tasks=list(self.config.tasks),
                label_counts=counts,
                issues=issues,
            )
        if faults.count:
            raise DataError(faults.lines(str(path)))
        # Vocabularies count the labels of training data; those of this file are what they have counted since.
        for task, before in earlier.items():
            vocabulary = self.vocabularies[task]
            before += [0] * (len(vocabulary) - len(before))
            in_file = zip(vocabulary.labels, vocabulary.counts, before, strict=True)
            counts[task].update({label: now - then for label, now, then in in_file if now > then})
        return store

    def _chunks(
        self,
        path: str | Path,
        *,
        faults: FaultList,
        issues: IssueCounter,
        counts: dict[str, Counter[str]],
        training: bool,
    ) -> Iterator[list[Example]]:
        """Yields the examples of a file in chunks until its first fault; after that, only checks the rest."""
        required = self.config.required_columns() | (self.config.weight_columns() if training else {})
        records = read_records(
            path, file_format_of(self.config), required=required, allow_empty_words=False, faults=faults
        )
        annotated = self._annotated(limited(records, self.config) if training else records, faults, training=training)
        annotated = progress.track(annotated, f"reading {path}")
        while chunk := list(islice(annotated, CHUNK)):
            if faults.count:
                continue
            in_chunk, labels, weights = zip(*chunk, strict=True)
            self._check(in_chunk, labels, issues)
            examples = self.examples(
                in_chunk, labels, weights=weights, training=training, counts=None if training else counts
            )
            for record, examples_of_record in zip(in_chunk, examples, strict=True):
                for example in examples_of_record:
                    if len(example.segments.subword_ids) > MAX_SENTENCE_SUBWORDS:
                        faults.add(_too_long(record, example))
                        break
            yield list(chain.from_iterable(examples))

    def _annotated(
        self, records: Iterable[Record], faults: FaultList, *, training: bool
    ) -> Iterator[tuple[Record, Labels, Weights]]:
        """Reads labels and weights one record at a time, so that faults are in the order of the file."""
        for record in filter(lambda record: record.rows, records):
            labels = self._labels_of(record, faults)
            yield record, labels, self._weights_of(record, labels, faults) if training else {}

    def _labels_of(
        self, record: Record, faults: FaultList, *, unreadable: IssueCounter | None = None
    ) -> Labels:
        """The labels of a record. Unreadable labels are counted in ``unreadable``; without it, they are faults."""
        labels = {}
        for task, config in self.config.tasks.items():
            decoder = self.decoders[task]
            try:
                decoder.check_record(record, task=task, config=config)
            except DataError as error:
                faults.add(error.faults[0])
                continue
            try:
                found = decoder.read_gold(record, task=task, config=config)
            except DataError as error:
                if unreadable is not None:
                    unreadable.add_unreadable(record, error.faults[0], task=task)
                    continue
                for fault in error.faults:
                    faults.add(fault)
                continue
            if found is not None:
                labels[task] = found
        return labels

    def _weights_of(self, record: Record, labels: Labels, faults: FaultList) -> Weights:
        """The weights of the labels of a record; labels with the weight 0 are removed."""
        weights = {}
        for task in self.weighted_tasks:
            if task not in labels:
                continue
            try:
                found = self.decoders[task].read_weights(record, task=task, config=self.config.tasks[task])
            except DataError as error:
                for fault in error.faults:
                    faults.add(fault)
                continue
            if found is None:
                continue
            if len(found) > 1:
                labels[task] = [label if weight else None for label, weight in zip(labels[task], found, strict=True)]
            # Tasks that need no labels have an empty list.
            if any(found) and labels[task].count(None) <= max(0, len(labels[task]) - 1):
                weights[task] = found
            else:
                del labels[task]
        return weights

    def _check(self, records: Sequence[Record], labels: Sequence[Labels], issues: IssueCounter) -> None:
        """Counts the label issues, and removes the labels that can be neither trained on nor scored."""
        for task, config in self.config.tasks.items():
            decoder = self.decoders[task]
            indices = [index for index, by_task in enumerate(labels) if task in by_task]
            annotated = [records[index] for index in indices]
            task_labels = [labels[index][task] for index in indices]
            if task in self.partial_tasks and decoder.items_are_independent:
                task_labels = [annotated_items(own)[0] for own in task_labels]
            for number, issue in decoder.find_issues(annotated, task_labels, task=task, config=config):
                by_task = labels[indices[number]]
                if len(task_labels[number]) < len(by_task[task]):
                    positions = [row for row, label in enumerate(by_task[task]) if label is not None]
                    issue = replace(issue, row=positions[issue.row])
                issues.add(annotated[number], issue, task=task)
                if issue.excluded:
                    del by_task[task]

    def _missing_labels(self, task: str, path: str, examples: ExampleStore) -> str | None:
        """The fault if no sentence of a training file has a label of the task."""
        if examples.annotated(task).any():
            return None
        excluded = examples.issues.excluded(task)
        if excluded:
            first = min(excluded, key=lambda count: count.line)
            number = sum(count.occurrences for count in excluded)
            what = f"all {number} annotated sentences are left out, expected some for task '{task}'"
            return f"{path}:{first.line}: {first.issue.message}; {what}"
        config = self.config.tasks[task]
        place = self.decoders[task].place(task, config)
        if config.weight_column is not None:
            place += " with a weight above 0"
        if not place.startswith("comment"):
            return f"{path}: found no label in {place}, expected some for task '{task}'"
        return f"{path}: found no {place}, expected some for task '{task}'{self._similar_comment(task, path)}"

    def _missing_weights(self, task: str, path: str, examples: ExampleStore) -> str | None:
        """The fault if a training file has no weight in the ``weight_column`` of a task."""
        column = self.config.tasks[task].weight_column
        if column is None or len(examples.rows[f"weights {task}"].values) or not examples.annotated(task).any():
            return None
        if column != COMMENT:
            return f"{path}: found no weight in column {column}, expected some for task '{task}' (weight_column)"
        comment, hint = f"comment '# {WEIGHT_COMMENT} = NUMBER'", self._similar_comment(WEIGHT_COMMENT, path)
        return f"{path}: found no {comment}, expected some for task '{task}' (weight_column){hint}"

    def _similar_comment(self, name: str, path: str) -> str:
        """The end of a message about a comment that is not in a file."""
        records = islice(read_records(path, file_format_of(self.config)), 100)
        return did_you_mean(name, {name for record in records for name in record.comment_names()})

    def _unwritable_label(self, task: str, path: str) -> str | None:
        """The fault if a label has several lines or a tab, which files with columns cannot hold."""
        if not self.config.tasks[task].has_classes:
            return None
        labels = (label for label in self.vocabularies[task].labels if "\n" in label or "\t" in label)
        label = next(labels, None)
        return label and f"{path}: found {label!r:.60} (task '{task}'), expected labels without line ends and tabs"


def limited(records: Iterable[Record], config: DatasetConfig) -> Iterator[Record]:
    """The records of training data up to ``max_sents`` and ``max_words``."""
    sentences = words = 0
    for record in records:
        yield record
        sentences += bool(record.rows)
        words += len(record.words)
        if config.max_sents is not None and sentences >= config.max_sents:
            return
        if config.max_words is not None and words >= config.max_words:
            return


def _too_long(record: Record, example: Example) -> str:
    """The fault of a sentence that is too long, most often because blank lines are missing."""
    texts = sum(" " in word for word in example.words) > len(example.words) / 2
    remedy = "; if each line is a text, use sent_idxs instead of word_idx" if texts else ""
    return (
        f"{record.where()}: found a sentence of {len(example.words)} words and {len(example.segments.subword_ids)} "
        f"subwords, expected at most {MAX_SENTENCE_SUBWORDS} subwords in training and dev data; "
        f"a blank line ends a sentence{remedy}"
    )


@contextlib.contextmanager
def _garbage_collection_paused() -> Iterator[None]:
    """Pauses garbage collection, which would take half of the time of reading a large file."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
