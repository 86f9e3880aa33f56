"""Instances: records with their subwords and the ids of their gold labels."""

import contextlib
import dataclasses
import gc
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from machamp_lite.config.schema import DatasetConfig, decoder_class
from machamp_lite.data.masking import Masker
from machamp_lite.data.raw_text import RawTextTokenizer
from machamp_lite.data.records import Layout, Record, read_records
from machamp_lite.data.tokenization import Pieces, WordTokenizer
from machamp_lite.data.vocabulary import DATASET_IDS, Vocabulary
from machamp_lite.decoders.base import View
from machamp_lite.errors import DataError, FaultList, did_you_mean

_DATASET_KEY = "dataset_embed="
# Records that are held at once: what was read of a file is let go once its instances are made.
CHUNK = 4096
# In subwords, of training and dev data.
LONGEST_SENTENCE = 20_000


@dataclass(frozen=True, slots=True)
class Instance:
    """One sentence as the model sees it, for the tasks that read this ``view`` of it.

    ``labels`` and ``gold`` have the tasks for which the sentence is annotated: gold labels as strings, and what
    the decoder's loss is given. ``dataset_ids`` say which data set each item, or a text, is from; 0 is unknown.
    """

    dataset: str
    view: View
    source: str
    words: list[str]
    pieces: Pieces
    labels: dict[str, list[Any]]
    gold: dict[str, np.ndarray]
    dataset_ids: np.ndarray | None = None

    @property
    def longest_piece(self) -> int:
        """The number of subwords of its longest piece."""
        return int(np.diff(self.pieces.piece_starts, append=len(self.pieces.subword_ids)).max())


def layout_of(config: DatasetConfig) -> Layout:
    """How files of a dataset are read."""
    sent_idxs = None if config.sent_idxs is None else tuple(config.sent_idxs)
    return Layout(config.word_idx, sent_idxs, config.skip_first_line)


def sentences(instances: Iterable[Instance]) -> list[Instance]:
    """One instance a sentence: those of words where a sentence has several views, else those of another view."""
    by_view: dict[View, list[Instance]] = {}
    for instance in instances:
        by_view.setdefault(instance.view, []).append(instance)
    return by_view.get("words") or next(iter(by_view.values()), [])


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
        self.decoders = {task: decoder_class(task_config) for task, task_config in config.tasks.items()}
        self.views: list[View] = sorted({decoder.reads for decoder in self.decoders.values()})
        self.raw_text = RawTextTokenizer(tokenizer)
        self.masker = Masker(tokenizer.tokenizer) if "masked" in self.views else None

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
        columns = max(required, default=-1) + 1
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
                    for views in self.instances(*zip(*chunk, strict=True), training=training):
                        instances += views
                        _check_lengths(views, faults)
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
                read = self.decoders[task].read_labels(record, task=task, config=config)
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
    ) -> list[list[Instance]]:
        """The instances of each record with words, one a view; each distinct word is tokenised once."""
        if self.config.word_idx is not None:
            self.tokenizer.learn(word for record in records for word in record.words)
        return [
            [instance for view in self.views for instance in self._instance(view, record, labels, training)]
            for record, labels in zip(records, annotations, strict=True)
        ]

    def _instance(
        self, view: View, record: Record, labels: dict[str, list[Any]], training: bool
    ) -> Iterator[Instance]:
        """The instance of one view, if the record has it."""
        labels = {task: found for task, found in labels.items() if self.decoders[task].reads == view}
        # Most words come again and again, and are kept once.
        words = list(map(sys.intern, record.words))
        if view == "raw":
            text = record.comment("text")
            if not text or (training and not labels):
                return
            words, pieces = self.raw_text(text)
        else:
            pieces = self._pieces(record, view)
        if view == "subwords":
            pieces = dataclasses.replace(pieces, word_ends=np.arange(len(pieces.subword_ids)))
        if view == "masked":
            assert self.masker is not None
            pieces, hidden = self.masker.hide(pieces)
            labels = {task: hidden.tolist() for task in labels}
        gold = {}
        for task, task_labels in labels.items():
            decoder, vocabulary = self.decoders[task], self.vocabularies[task]
            classes = decoder.classes(task_labels, words)
            ids = vocabulary.add(classes, items=len(task_labels)) if training else vocabulary.ids(classes)
            gold[task] = decoder.encode(task_labels, ids)
        dataset_ids = self._dataset_ids(view, record, len(pieces.word_ends), training)
        yield Instance(
            self.name, view, record.where(), words, pieces, {} if training else labels, gold, dataset_ids
        )

    def _dataset_ids(self, view: View, record: Record, items: int, training: bool) -> np.ndarray | None:
        """One id an item, or one in all for texts; items that are no words have that of the first word."""
        column = self.config.dataset_embed_idx
        if column is None:
            return None
        rows = len(record.rows)
        names = [self.name] * rows if column < 0 else list(map(dataset_name, record.column(column)))
        vocabulary = self.vocabularies[DATASET_IDS]
        ids = np.array(vocabulary.add(names, items=rows) if training else vocabulary.ids(names)) + 1
        return ids if view == "words" else ids[:1].repeat(max(1, items))

    def _pieces(self, record: Record, view: View) -> Pieces:
        if self.config.word_idx is not None:
            return self.tokenizer.sentence(record.words)
        if self.config.sent_idxs is not None:
            # Pieces overlap, and no subword may be an item twice.
            return self.tokenizer.texts(record.words, whole=view == "words")
        # Plain text: words by spaces, so that long lines are read in pieces and not truncated.
        return self.tokenizer.sentence([word for text in record.words for word in text.split()])

    def _unlabelled(self, task: str, path: str, instances: list[Instance]) -> list[str]:
        """A fault if no sentence of a training file has a label of the task."""
        if any(task in instance.gold for instance in instances):
            return []
        config = self.config.tasks[task]
        place = self.decoders[task].place(task, config)
        if not place.startswith("comment"):
            return [f"{path}: found no label in {place}, expected some for task '{task}'"]
        records = islice(read_records(path, layout_of(self.config)), 100)
        names = {name for record in records for name in record.comment_names()}
        return [f"{path}: found no {place}, expected some for task '{task}'{did_you_mean(task, names)}"]


def _check_lengths(views: Sequence[Instance], faults: FaultList) -> None:
    """Notes a sentence that no memory would hold with its gradients; most often blank lines are missing."""
    for instance in views:
        if (size := len(instance.pieces.subword_ids)) > LONGEST_SENTENCE:
            faults.add(
                f"{instance.source}: found a sentence of {len(instance.words)} words and {size} subwords, expected at "
                f"most {LONGEST_SENTENCE} subwords in training and dev data; a blank line ends a sentence"
            )
            return


def dataset_name(cell: str) -> str:
    """The id of a data set in a column of its own, or in one such as MISC of CoNLL-U.

    >>> dataset_name("SpaceAfter=No|dataset_embed=blog"), dataset_name("news")
    ('blog', 'news')
    """
    found = [part for part in cell.split("|") if part.startswith(_DATASET_KEY)]
    return found[0].removeprefix(_DATASET_KEY) if found else cell


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
