"""What of the data is no fault, and yet most likely not meant."""

import filecmp
from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np

from machamp_lite.batching.columns import Columns
from machamp_lite.config.schema import Config, decoder_class
from machamp_lite.data.vocabulary import Vocabulary

LABELS_SHOWN = 5


def data_warnings(
    config: Config,
    *,
    vocabularies: Mapping[str, Vocabulary],
    train: Mapping[str, Columns],
    dev: Mapping[str, Columns],
) -> Iterator[str]:
    """A line for each: dev data that is training data, columns of several tasks, labels that are unknown or alone.

    Also for labels that are texts, and for empty texts.
    """
    for name, dataset in config.datasets.items():
        train_path, dev_path = str(dataset.train_data_path), dataset.dev_data_path
        if dev_path is not None and filecmp.cmp(train_path, dev_path, shallow=False):
            relation = "is" if dev_path == train_path else f"has the same content as {train_path},"
            yield (
                f"{name}: the dev file {dev_path} {relation} the training file: its scores say nothing of new text"
            )
        for column, tasks in dataset.shared_columns().items():
            yield (
                f"{name}: the tasks {', '.join(tasks)} write the same column {column}; outputs have the labels of "
                "the last one"
            )
        for task, column in dataset.text_tasks().items():
            yield (
                f"{name}: the task '{task}' reads its labels from column {column}, which is one of the texts "
                "(sent_idxs): the model sees the answer, and its scores say nothing; prediction leaves the column "
                "as it is"
            )
        if dataset.sent_idxs is not None:
            for path, columns in ((train_path, train.get(name)), (dev_path, dev.get(name))):
                lines = [] if columns is None else lines_with_empty_texts(columns)
                if lines:
                    plural = "instances have" if len(lines) > 1 else "instance has"
                    yield f"{name}: {len(lines)} {plural} an empty text in {path} (the first in line {lines[0]})"
        for task in dataset.tasks:
            unseen = unseen_labels(config, task, vocabularies[task], dev.get(name))
            if unseen:
                yield (
                    f"{name}: task '{task}': {len(unseen)} of the labels of {dev_path} are not in the training data "
                    f"and count as wrong, {sum(unseen.values())} times in all: {_listed(unseen)}"
                )
    for task, task_config in config.tasks().items():
        labels = vocabularies[task].labels
        if decoder_class(task_config).has_classes and len(labels) == 1:
            yield f"task '{task}': found only the label '{labels[0]}' in the training data, expected several"


def lines_with_empty_texts(columns: Columns) -> list[int]:
    """The lines of a TSV file in which a text is empty or white space."""
    every = columns.sentences()
    texts = every.table.texts.rows
    is_empty = texts.sums(~np.isin(texts.values, np.frombuffer(b" \t\r", np.uint8))) == 0
    has_empty = every.table.rows["texts"].sums(is_empty[every.table.rows["texts"].values]) > 0
    return np.sort(every.table.lines[every.order[has_empty[every.order]]]).tolist()


def unseen_labels(config: Config, task: str, vocabulary: Vocabulary, dev: Columns | None) -> Counter[str]:
    """The labels of dev data that training never saw, and how often they are there."""
    decoder = decoder_class(config.tasks()[task])
    if dev is None or not decoder.has_classes:
        return Counter()
    annotated = ((instance.labels[task], instance.words) for instance in dev.with_unknown(task))
    return Counter(
        label
        for labels, words in annotated
        for label in decoder.classes(labels, words[: len(labels)])
        if label not in vocabulary
    )


def _listed(labels: Counter[str]) -> str:
    more = len(labels) - LABELS_SHOWN
    shown = ", ".join(label for label, _ in labels.most_common(LABELS_SHOWN))
    return f"{shown} and {more} more" if more > 0 else shown
