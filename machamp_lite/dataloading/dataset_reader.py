"""Files of one dataset to examples, with all faults and issues of their labels."""

import contextlib
import gc
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from machamp_lite.data.records import Record, read_records
from machamp_lite.dataloading.example import Example, file_format_of
from machamp_lite.dataloading.example_builder import ExampleBuilder, Labels
from machamp_lite.dataloading.example_store import ExampleStore
from machamp_lite.dataloading.issues import IssueCounter
from machamp_lite.errors import DataError, FaultList, did_you_mean

# Records that are in memory at once: the examples of a chunk are packed before the next chunk is read.
CHUNK = 4096
# In subwords, of training and dev data.
LONGEST_SENTENCE = 20_000


class DatasetReader(ExampleBuilder):
    """Reads files and records of one dataset."""

    def read_training(self, path: str | Path) -> ExampleStore:
        """Reads training data within ``max_sents`` and ``max_words``; its labels enter the vocabularies.

        Raises ``DataError`` with every fault of the file.
        """
        examples = self._read_file(path, training=True)
        faults = [fault for task in self.config.tasks for fault in self._unlabelled(task, str(path), examples)]
        if faults:
            raise DataError(faults)
        return examples

    def read_evaluation(self, path: str | Path) -> ExampleStore:
        """Reads a whole file of dev data; labels that are not in the training data have no id."""
        return self._read_file(path, training=False)

    def read_labels(self, records: Sequence[Record], issues: IssueCounter) -> list[Labels]:
        """The gold labels of records for prediction; those that cannot be scored are counted in ``issues``.

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
        """The examples of a file in chunks, until its first fault; then the file is only checked."""
        required = self.config.required_columns()
        columns = max(required, default=-1) + 1
        records = read_records(
            path, file_format_of(self.config), required=required, allow_empty_words=False, faults=faults
        )
        # Rows without a column are reported by read_records. Labels are read one record at a time, so that faults
        # are in the file's order.
        annotated = (
            (record, self._labels_of(record, faults))
            for record in (self._limited(records) if training else records)
            if record.rows and min(map(len, record.rows)) >= columns
        )
        while chunk := list(islice(annotated, CHUNK)):
            if faults.count:
                continue
            in_chunk, labels = zip(*chunk, strict=True)
            self._check(in_chunk, labels, issues)
            examples = self.examples(in_chunk, labels, training=training, counts=counts)
            for record, own in zip(in_chunk, examples, strict=True):
                for example in own:
                    if len(example.segments.subword_ids) > LONGEST_SENTENCE:
                        faults.add(_too_long(record, example))
                        break
            yield list(chain.from_iterable(examples))

    def _limited(self, records: Iterable[Record]) -> Iterable[Record]:
        sentences = words = 0
        for record in records:
            yield record
            sentences += bool(record.rows)
            words += len(record.words)
            if self.config.max_sents is not None and sentences >= self.config.max_sents:
                return
            if self.config.max_words is not None and words >= self.config.max_words:
                return

    def _labels_of(
        self, record: Record, faults: FaultList, *, unreadable: IssueCounter | None = None
    ) -> Labels:
        """The labels of a record; those that cannot be read are faults, or with ``unreadable`` counted there."""
        labels = {}
        for task, config in self.config.tasks.items():
            decoder = self.decoders[task]
            try:
                decoder.check_record(record, task=task, config=config)
            except DataError as error:
                faults.add(error.faults[0])
                continue
            try:
                found = decoder.read_labels(record, task=task, config=config)
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

    def _check(self, records: Sequence[Record], labels: Sequence[Labels], issues: IssueCounter) -> None:
        """Counts the issues of labels, and removes the labels that can neither be trained on nor scored."""
        for task, config in self.config.tasks.items():
            indices = [index for index, own in enumerate(labels) if task in own]
            annotated = [records[index] for index in indices]
            own_labels = [labels[index][task] for index in indices]
            for number, issue in self.decoders[task].find_issues(
                annotated, own_labels, task=task, config=config
            ):
                issues.add(annotated[number], issue, task=task)
                if issue.excluded:
                    del labels[indices[number]][task]

    def _unlabelled(self, task: str, path: str, examples: ExampleStore) -> list[str]:
        """A fault if no sentence of a training file has a label of the task."""
        if examples.annotated(task).any():
            return []
        excluded = examples.issues.excluded(task)
        if excluded:
            first = min(excluded, key=lambda count: count.line)
            number = sum(count.occurrences for count in excluded)
            what = f"all {number} annotated sentences are left out, expected some for task '{task}'"
            return [f"{path}:{first.line}: {first.issue.message}; {what}"]
        place = self.decoders[task].place(task, self.config.tasks[task])
        if not place.startswith("comment"):
            return [f"{path}: found no label in {place}, expected some for task '{task}'"]
        records = islice(read_records(path, file_format_of(self.config)), 100)
        names = {name for record in records for name in record.comment_names()}
        return [f"{path}: found no {place}, expected some for task '{task}'{did_you_mean(task, names)}"]


def _too_long(record: Record, example: Example) -> str:
    """The fault of a sentence whose gradients would fit no memory; most often blank lines are missing."""
    return (
        f"{record.where()}: found a sentence of {len(example.words)} words and {len(example.segments.subword_ids)} "
        f"subwords, expected at most {LONGEST_SENTENCE} subwords in training and dev data; a blank line ends a sentence"
    )


@contextlib.contextmanager
def _garbage_collection_paused() -> Iterator[None]:
    """Half of the time of reading a large file would go into searching millions of new objects for cycles."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
