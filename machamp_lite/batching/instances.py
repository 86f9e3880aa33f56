"""Instances: records with their subwords and the ids of their gold labels."""

import contextlib
import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from machamp_lite.config.schema import DatasetConfig, decoder_class
from machamp_lite.data.records import Layout, Record, read_records
from machamp_lite.data.tokenization import Pieces, WordTokenizer
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.decoders.base import COMMENT
from machamp_lite.errors import DataError, FaultList, did_you_mean

# Records that are held at once: what was read of a file is let go once its instances are made.
CHUNK = 4096


@dataclass(frozen=True, slots=True)
class Instance:
    """One sentence as the model sees it.

    ``labels`` and ``gold`` have the tasks for which the sentence is annotated: gold labels as strings, and what
    the decoder's loss is given.
    """

    dataset: str
    source: str
    words: list[str]
    pieces: Pieces
    labels: dict[str, list[Any]]
    gold: dict[str, np.ndarray]

    @property
    def longest_piece(self) -> int:
        """The number of subwords of its longest piece."""
        return int(np.diff(self.pieces.piece_starts, append=len(self.pieces.subword_ids)).max())


def layout_of(config: DatasetConfig) -> Layout:
    """How files of a dataset are read."""
    sent_idxs = None if config.sent_idxs is None else tuple(config.sent_idxs)
    return Layout(config.word_idx, sent_idxs, config.skip_first_line)


class InstanceReader:
    """Turns files and records of one dataset into instances."""

    def __init__(
        self,
        *,
        name: str,
        config: DatasetConfig,
        tokenizer: WordTokenizer,
        vocabularies: Mapping[str, Vocabulary],
    ) -> None:
        self.name = name
        self.config = config
        self.tokenizer = tokenizer
        self.vocabularies = vocabularies

    def read_training(self, path: str | Path) -> list[Instance]:
        """Reads training data within ``max_sents`` and ``max_words``; its labels enter the vocabularies.

        Raises ``DataError`` with every fault of the file.
        """
        instances = self._read(path, training=True)
        faults = [
            fault for task in self.config.tasks for fault in self._unlabelled(task, str(path), instances)
        ]
        if faults:
            raise DataError(faults)
        return instances

    def read_evaluation(self, path: str | Path) -> list[Instance]:
        """Reads dev data whole; labels that training never saw stay unknown."""
        return self._read(path, training=False)

    def _read(self, path: str | Path, *, training: bool) -> list[Instance]:
        faults = FaultList()
        required = self.config.required_columns()
        columns = max(required) + 1
        records = read_records(path, layout_of(self.config), required=required, faults=faults)
        # The reader tells of rows that lack a column. Annotated one by one, so that faults are in the file's order.
        annotated = (
            (record, self._annotate(record, faults))
            for record in (self._limited(records) if training else records)
            if record.rows and min(map(len, record.rows)) >= columns
        )
        instances: list[Instance] = []
        with _garbage_collection_paused():
            while chunk := list(islice(annotated, CHUNK)):
                if not faults.count:
                    instances += self.instances(*zip(*chunk, strict=True), training=training)
        if faults.count:
            raise DataError(faults.lines(str(path)))
        return instances

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

    def _annotate(self, record: Record, faults: FaultList) -> dict[str, list[Any]]:
        labels = {}
        for task, config in self.config.tasks.items():
            try:
                read = decoder_class(config).read_labels(record, task=task, config=config)
            except DataError as error:
                for fault in error.faults:
                    faults.add(fault)
                continue
            if read is not None:
                labels[task] = read
        return labels

    def gold_labels(self, record: Record) -> dict[str, list[Any]]:
        """The gold labels of a record that is to be predicted; what cannot be read counts as not annotated."""
        return self._annotate(record, FaultList())

    def instances(
        self,
        records: Sequence[Record],
        annotations: Sequence[dict[str, list[Any]]],
        *,
        training: bool = False,
    ) -> list[Instance]:
        """Instances of records with words; each distinct word is tokenised once."""
        if self.config.word_idx is not None:
            self.tokenizer.learn(word for record in records for word in record.words)
        return [
            self._instance(record, labels, training=training)
            for record, labels in zip(records, annotations, strict=True)
        ]

    def _instance(self, record: Record, labels: dict[str, list[Any]], *, training: bool) -> Instance:
        has_words = self.config.word_idx is not None
        pieces = self.tokenizer.sentence(record.words) if has_words else self.tokenizer.texts(record.words)
        gold = {}
        for task, task_labels in labels.items():
            decoder, vocabulary = decoder_class(self.config.tasks[task]), self.vocabularies[task]
            classes = decoder.classes(task_labels, record.words)
            ids = vocabulary.add(classes, items=len(task_labels)) if training else vocabulary.ids(classes)
            gold[task] = decoder.encode(task_labels, ids)
        return Instance(self.name, record.where(), record.words, pieces, {} if training else labels, gold)

    def _unlabelled(self, task: str, path: str, instances: list[Instance]) -> list[str]:
        """A fault if no sentence of a training file has a label of the task."""
        if any(task in instance.gold for instance in instances):
            return []
        config = self.config.tasks[task]
        if config.column_idx != COMMENT:
            return [f"{path}: found no label in column {config.column_idx}, expected some for task '{task}'"]
        records = islice(read_records(path, layout_of(self.config)), 100)
        names = {name for record in records for name in record.comment_names()}
        return [
            f"{path}: found no comment '# {task} = LABEL', expected some for task '{task}'{did_you_mean(task, names)}"
        ]


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
