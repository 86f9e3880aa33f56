"""Files and records of one dataset to columns and instances, some thousand sentences at once."""

import contextlib
import dataclasses
import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from machamp_lite.config.schema import DatasetConfig
from machamp_lite.config.task_types import InputType
from machamp_lite.data.ragged_array import RaggedArray, lengths_of
from machamp_lite.data.records import Record, read_records
from machamp_lite.data.tokenization import WordTokenizer
from machamp_lite.data.vocabulary import DATASET_IDS, Vocabulary
from machamp_lite.dataloading.column_writer import ColumnWriter
from machamp_lite.dataloading.example import Example, file_format_of
from machamp_lite.dataloading.example_store import ExampleStore
from machamp_lite.dataloading.input_views import InputReader
from machamp_lite.dataloading.remarks import Remarks
from machamp_lite.decoders import decoder_class
from machamp_lite.errors import DataError, FaultList, did_you_mean

_DATASET_KEY = "dataset_embed="
# Records that are held at once: what was read of a file is let go once its columns are filled.
CHUNK = 4096
# In subwords, of training and dev data.
LONGEST_SENTENCE = 20_000

# The gold labels of a record by task.
Annotation = dict[str, list[Any]]


class DatasetReader:
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
        self.views: list[InputType] = sorted({decoder.Options.input_type for decoder in self.decoders.values()})
        self.see = InputReader(config, tokenizer, masks="masked" in self.views)

    def read_training(self, path: str | Path) -> ExampleStore:
        """Reads training data within ``max_sents`` and ``max_words``; its labels enter the vocabularies.

        Raises ``DataError`` with every fault of the file.
        """
        columns = self._read(path, training=True)
        faults = [fault for task in self.config.tasks for fault in self._unlabelled(task, str(path), columns)]
        if faults:
            raise DataError(faults)
        return columns

    def read_evaluation(self, path: str | Path) -> ExampleStore:
        """Reads dev data whole; labels that training never saw stay unknown."""
        return self._read(path, training=False)

    def _read(self, path: str | Path, *, training: bool) -> ExampleStore:
        faults = FaultList()
        required = self.config.required_columns()
        columns = max(required, default=-1) + 1
        records = read_records(
            path, file_format_of(self.config), required=required, allow_empty_words=False, faults=faults
        )
        # The reader tells of rows that lack a column. Annotated one by one, so that faults are in the file's order.
        annotated = (
            (record, self._annotate(record, faults))
            for record in (self._limited(records) if training else records)
            if record.rows and min(map(len, record.rows)) >= columns
        )
        writer, remarks = ColumnWriter(), Remarks()
        with _garbage_collection_paused():
            while chunk := list(islice(annotated, CHUNK)):
                if not faults.count:
                    in_chunk, annotations = zip(*chunk, strict=True)
                    self._leave_out(in_chunk, annotations, remarks)
                    self._write(writer, in_chunk, annotations, training=training, faults=faults)
                    self._note_slips(writer, in_chunk, annotations)
        if faults.count:
            raise DataError(faults.lines(str(path)))
        table = dataclasses.replace(writer.table(), remarks=list(remarks))
        return ExampleStore(table, dataset=self.name, path=str(path), tasks=list(self.config.tasks))

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

    def _annotate(self, record: Record, faults: FaultList) -> Annotation:
        labels = {}
        for task, config in self.config.tasks.items():
            try:
                self.decoders[task].check_record(record, task=task, config=config)
                read = self.decoders[task].read_labels(record, task=task, config=config)
            except DataError as error:
                for fault in error.faults:
                    faults.add(fault)
                continue
            if read is not None:
                labels[task] = read
        return labels

    def _note_slips(
        self, writer: ColumnWriter, records: Sequence[Record], annotations: Sequence[Annotation]
    ) -> None:
        for task, config in self.config.tasks.items():
            labels = [own.get(task) for own in annotations]
            for slip, record, row in self.decoders[task].find_slips(
                records, labels, task=task, config=config
            ):
                writer.add_slip(task, slip, line=record.first_line + record.row_lines[row])

    def annotations(self, records: Sequence[Record], remarks: Remarks) -> list[Annotation]:
        """The gold labels of records that are to be predicted; those that are not scored are counted in ``remarks``.

        Raises ``DataError`` with a line for each record into which labels cannot be written.
        """
        faults = FaultList()
        annotations: list[Annotation] = []
        for record in records:
            labels: Annotation = {}
            for task, config in self.config.tasks.items():
                decoder = self.decoders[task]
                try:
                    decoder.check_record(record, task=task, config=config)
                except DataError as error:
                    faults.add(error.faults[0])
                    continue
                try:
                    read = decoder.read_labels(record, task=task, config=config)
                except DataError as error:
                    remarks.add_unreadable(record, error.faults[0], task=task)
                    continue
                if read is not None:
                    labels[task] = read
            annotations.append(labels)
        if faults.count:
            raise DataError(faults.lines(records[0].path))
        self._leave_out(records, annotations, remarks)
        return annotations

    def _leave_out(
        self, records: Sequence[Record], annotations: Sequence[Annotation], remarks: Remarks
    ) -> None:
        """Removes labels that can neither be trained on nor scored, and counts all doubtful ones."""
        for task, config in self.config.tasks.items():
            places = [place for place, labels in enumerate(annotations) if task in labels]
            labels = [annotations[place][task] for place in places]
            for number, doubt in self.decoders[task].doubts(labels, task=task, config=config).items():
                place = places[number]
                remarks.add(records[place], doubt, task=task)
                if doubt.left_out:
                    del annotations[place][task]

    def examples(self, records: Sequence[Record], annotations: Sequence[Annotation]) -> list[list[Example]]:
        """The instances of each record with words, one a view."""
        if not records:
            return []
        writer = ColumnWriter()
        owners = self._write(writer, records, annotations, training=False, faults=FaultList())
        columns = ExampleStore(
            writer.table(), dataset=self.name, path=records[0].path, tasks=list(self.config.tasks)
        )
        found: list[list[Example]] = [[] for _ in records]
        for owner, example in zip(owners, columns, strict=True):
            found[owner].append(example)
        return found

    def _write(
        self,
        writer: ColumnWriter,
        records: Sequence[Record],
        annotations: Sequence[Annotation],
        *,
        training: bool,
        faults: FaultList,
    ) -> list[int]:
        """Writes the instances of records into columns, one a view; returns the place of each instance's record."""
        writer.begin_chunk()
        places = {view: self._places(view, records, annotations, training) for view in self.views}
        pairs = sorted((place, view) for view, own in places.items() for place in own)
        datasets = self._dataset_ids(records, pairs, training)
        too_long: dict[int, str] = {}
        for number, view in enumerate(self.views):
            own = [records[place] for place in places[view]]
            gold = [annotations[place] for place in places[view]]
            seen = self.see(view, own)
            if seen.hidden is not None:
                gold = [dict.fromkeys(labels, ids) for labels, ids in zip(gold, seen.hidden, strict=True)]
            writer.begin(
                view,
                np.array(places[view], dtype=np.int64) * len(self.views) + number,
                lines=np.array([record.first_line for record in own], dtype=np.int64),
                words=seen.words,
            )
            writer.add_segments(seen.segments)
            writer.add_texts(seen.texts)
            for task, decoder in self.decoders.items():
                if decoder.Options.input_type == view:
                    self._write_task(
                        writer, task, [labels.get(task) for labels in gold], seen.texts, training
                    )
            if datasets:
                items = seen.segments.word_ends.lengths.tolist()
                ids = [datasets[place, view] for place in places[view]]
                if view != "words":
                    # Items that are no words have the id of the first word, and so has a text.
                    ids = [one[:1].repeat(max(1, size)) for one, size in zip(ids, items, strict=True)]
                writer.add("datasets", np.concatenate([np.zeros(0, np.int64), *ids]), lengths_of(ids))
            sizes = seen.segments.subword_ids.lengths
            for place in np.flatnonzero(sizes > LONGEST_SENTENCE).tolist():
                fault = _too_long(own[place], words=len(seen.texts[place]), subwords=int(sizes[place]))
                too_long.setdefault(places[view][place], fault)
        for _, fault in sorted(too_long.items()):
            faults.add(fault)
        return [place for place, _ in pairs]

    def _places(
        self, view: InputType, records: Sequence[Record], annotations: Sequence[Annotation], training: bool
    ) -> list[int]:
        """The places of the records that have a view."""
        if view != "raw":
            return list(range(len(records)))
        tasks = {task for task, decoder in self.decoders.items() if decoder.Options.input_type == "raw"}
        return [
            place
            for place, (record, labels) in enumerate(zip(records, annotations, strict=True))
            if record.comment("text") and not (training and tasks.isdisjoint(labels))
        ]

    def _write_task(
        self,
        writer: ColumnWriter,
        task: str,
        labels: Sequence[list[Any] | None],
        texts: Sequence[list[str]],
        training: bool,
    ) -> None:
        """Writes the gold of a task, and where it is not ``training`` the labels."""
        annotated = [(own, words) for own, words in zip(labels, texts, strict=True) if own is not None]
        if not annotated:
            return
        counts = lengths_of(own for own, _ in annotated)
        every_label = list(chain.from_iterable(own for own, _ in annotated))
        if self.decoders[task].one_row_per_label:
            every_word = list(chain.from_iterable(words for _, words in annotated))
            gold = self._encode(task, every_label, every_word, training)
            assert len(gold) == len(every_label), f"{task}: one_row_per_label of its decoder is not true"
            shapes = np.array([(count, *gold.shape[1:]) for count in counts.tolist()])
        else:
            encoded = [self._encode(task, own, words, training) for own, words in annotated]
            shapes = np.array([own.shape for own in encoded])
            gold = np.concatenate([own.ravel() for own in encoded])
        has_labels = np.array([own is not None for own in labels])

        def of_all(numbers: np.ndarray) -> np.ndarray:
            filled = np.zeros(len(labels), np.int64)
            filled[has_labels] = numbers
            return filled

        writer.add(f"gold {task}", gold.ravel(), of_all(shapes.prod(1)))
        writer.add(f"shape {task}", shapes.ravel(), of_all(np.full(len(shapes), shapes.shape[1])))
        if not training:
            writer.add_labels(task, every_label, of_all(counts))

    def _encode(self, task: str, labels: list[Any], words: Sequence[str], training: bool) -> np.ndarray:
        decoder, vocabulary = self.decoders[task], self.vocabularies[task]
        classes = decoder.classes(labels, words)
        if not training:
            return decoder.encode(labels, vocabulary.ids(classes))
        ids = vocabulary.add(classes, items=len(labels))
        decoder.count(vocabulary, labels, ids)
        return decoder.encode(labels, ids)

    def _dataset_ids(
        self, records: Sequence[Record], pairs: Sequence[tuple[int, InputType]], training: bool
    ) -> dict[tuple[int, InputType], np.ndarray]:
        """One id a row for each view of a record; none if the dataset has none."""
        column = self.config.dataset_embed_idx
        if column is None:
            return {}
        names = [
            [self.name] * len(records[place].rows)
            if column < 0
            else list(map(dataset_name, records[place].column(column)))
            for place, _ in pairs
        ]
        vocabulary, every = self.vocabularies[DATASET_IDS], list(chain.from_iterable(names))
        ids = vocabulary.add(every, items=len(every)) if training else vocabulary.ids(every)
        rows = RaggedArray.of(np.array(ids, dtype=np.int64) + 1, lengths_of(names))
        return {pair: rows[number] for number, pair in enumerate(pairs)}

    def _unlabelled(self, task: str, path: str, columns: ExampleStore) -> list[str]:
        """A fault if no sentence of a training file has a label of the task."""
        if columns.annotated(task).any():
            return []
        remarks = [remark for remark in columns.table.remarks if remark.task == task and remark.left_out]
        if remarks:
            first = min(remarks, key=lambda remark: remark.line)
            number = sum(remark.sentences for remark in remarks)
            what = f"all {number} annotated sentences are left out, expected some for task '{task}'"
            return [f"{path}:{first.line}: {first.what}; {what}"]
        config = self.config.tasks[task]
        place = self.decoders[task].place(task, config)
        if not place.startswith("comment"):
            return [f"{path}: found no label in {place}, expected some for task '{task}'"]
        records = islice(read_records(path, file_format_of(self.config)), 100)
        names = {name for record in records for name in record.comment_names()}
        return [f"{path}: found no {place}, expected some for task '{task}'{did_you_mean(task, names)}"]


def _too_long(record: Record, *, words: int, subwords: int) -> str:
    """The fault of a sentence that no memory would hold with its gradients; most often blank lines are missing."""
    return (
        f"{record.where()}: found a sentence of {words} words and {subwords} subwords, expected at "
        f"most {LONGEST_SENTENCE} subwords in training and dev data; a blank line ends a sentence"
    )


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
