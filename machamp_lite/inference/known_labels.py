"""Finds the tasks whose labels the first sentences of a file have: they show which dataset the file belongs to."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from machamp_lite.config.schema import DatasetConfig
from machamp_lite.config.task_types import TaskOptions
from machamp_lite.data.records import EMPTY, Record, read_records
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.dataloading.example import file_format_of
from machamp_lite.decoders import decoder_class
from machamp_lite.errors import DataError, FaultList


@dataclass(frozen=True, slots=True)
class KnownLabels:
    """The tasks of a dataset with labels in a file, by whether the model knows at least half of these labels.

    Tasks without labels in the file are in neither.
    """

    known: frozenset[str]
    unknown: frozenset[str]

    @property
    def contradict(self) -> bool:
        """Whether the file has labels for some tasks of the dataset, but all of these tasks are ``unknown``."""
        return bool(self.unknown) and not self.known


def find_known_labels(
    source: str | os.PathLike[str],
    dataset: DatasetConfig,
    vocabularies: Mapping[str, Vocabulary],
    *,
    max_sentences: int,
) -> KnownLabels:
    """Reads the labels of the tasks of a dataset in the first sentences of a file, and looks them up."""
    records = list(islice(_records(source, dataset), max_sentences))
    shares = {
        task: share
        for task, options in dataset.active().tasks.items()
        # Other tasks read the text and not labels.
        if options.input_type in ("words", "subwords")
        and (share := _known_share(records, task, options, vocabularies[task])) is not None
    }
    known = {task for task, share in shares.items() if share >= 0.5}
    # New strings for string2string are no sign of another dataset.
    are_classes = {task for task in shares if decoder_class(dataset.tasks[task]).labels_are_classes}
    return KnownLabels(frozenset(known), frozenset(are_classes - known))


def _records(source: str | os.PathLike[str], dataset: DatasetConfig) -> Iterator[Record]:
    """The sentences of a file up to its end, or up to an error that prevents reading it in this format."""
    records = read_records(source, file_format_of(dataset), allow_empty_words=False, faults=FaultList())
    try:
        yield from (record for record in records if record.rows)
    except DataError:
        # Prediction reports it, if the dataset is chosen.
        return


def _known_share(
    records: list[Record], task: str, options: TaskOptions, vocabulary: Vocabulary
) -> float | None:
    """The share of the labels of a task that are in its vocabulary; None if there are no labels.

    Labels that are not classes, such as numbers, are known if they can be read.
    """
    known = total = 0
    for record in records:
        try:
            labels = decoder_class(options).read_gold(record, task=task, config=options) or []
        except DataError:
            total += 1
            continue
        classes = _classes(labels, record.words if options.labels_words() else [""] * len(labels), options)
        total += len(classes)
        known += sum(label in vocabulary for label in classes) if options.has_classes else len(classes)
    return known / total if total else None


def _classes(labels: Sequence[Any], words: Sequence[str], options: TaskOptions) -> Sequence[Any]:
    """The classes of the annotated items, without those that are ``_``."""
    present = [index for index, label in enumerate(labels) if label not in (EMPTY, None)]
    labels = [labels[index] for index in present]
    if not options.has_classes:
        return labels
    return decoder_class(options).classes(labels, [words[index] for index in present])
