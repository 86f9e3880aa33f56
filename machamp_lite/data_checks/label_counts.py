"""How often labels are in a file, from its columns."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from machamp_lite.config.schema import Config
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.dataloading.example_store import ExampleStore
from machamp_lite.decoders import decoder_class
from machamp_lite.decoders.base import Decoder
from machamp_lite.errors import shown_label

LABELS_SHOWN = 5


def training_labels(config: Config, columns: ExampleStore, task: str, vocabulary: Vocabulary) -> Counter[str]:
    """The labels of a task in a file of training data."""
    decoder, rows = decoder_class(config.tasks()[task]), columns.table.rows
    if not decoder.Options.has_classes or f"gold {task}" not in rows:
        return Counter()
    if sum(task in dataset.tasks for dataset in config.datasets.values()) == 1:
        # All that the vocabulary has counted is in this file.
        return +Counter(dict(zip(vocabulary.labels, vocabulary.counts, strict=True)))
    gold = rows[f"gold {task}"].values
    if decoder.one_row_per_label:
        # The number of labels of each sentence, and the size of a label.
        shapes = rows[f"shape {task}"]
        sizes = shapes.values[: int(shapes.lengths.max())].astype(np.int64)[1:]
        gold = gold.reshape(-1, *sizes)
    ids = decoder.class_ids(gold)
    counts = np.bincount(ids[ids >= 0], minlength=len(vocabulary)).tolist()
    return Counter({label: count for label, count in zip(vocabulary.labels, counts, strict=True) if count})


def dev_labels(columns: ExampleStore, task: str, decoder: type[Decoder]) -> Counter[str]:
    """The same of dev data, for task types whose classes are the labels of the file."""
    counts: Counter[str] = Counter()
    rows = columns.table.rows
    if not (decoder.Options.has_classes and decoder.labels_are_classes) or f"labels {task}" not in rows:
        return counts
    labels = columns.table.labels[task]
    found = np.bincount(rows[f"labels {task}"].values, minlength=len(labels)).tolist()
    for label, count in zip(labels, found, strict=True):
        for single in decoder.classes([label], [""]):
            counts[single] += count
    return counts


def unseen_labels(config: Config, task: str, vocabulary: Vocabulary, dev: ExampleStore | None) -> Counter[str]:
    """The labels of dev data that training never saw, and how often they are there."""
    decoder = decoder_class(config.tasks()[task])
    if dev is None or not decoder.Options.has_classes:
        return Counter()
    annotated = ((example.labels[task], example.words) for example in dev.with_unknown(task))
    return Counter(
        label
        for labels, words in annotated
        for label in decoder.classes(labels, words[: len(labels)])
        if label not in vocabulary
    )


def listed(labels: Sequence[str]) -> str:
    """The first labels, and how many more there are."""
    more = len(labels) - LABELS_SHOWN
    shown = ", ".join(map(shown_label, labels[:LABELS_SHOWN]))
    return f"{shown} and {more} more" if more > 0 else shown
