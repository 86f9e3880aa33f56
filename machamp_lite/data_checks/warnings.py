"""Warnings about data that has no faults, but is probably not what was meant."""

import filecmp
from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np

from machamp_lite.config.schema import Config
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.data_checks.header_lines import find_header, skipped_data
from machamp_lite.data_checks.label_counts import dev_labels, listed, training_labels, unseen_labels
from machamp_lite.data_checks.label_slips import (
    column_warnings,
    distinct_warning,
    read_warnings,
    spelling_warning,
)
from machamp_lite.data_checks.span_schemes import is_span_task
from machamp_lite.dataloading.example_store import ExampleStore
from machamp_lite.dataloading.remarks import warnings
from machamp_lite.decoders import decoder_class
from machamp_lite.decoders.dependency import MANY_ROOTS


def data_warnings(
    config: Config,
    *,
    vocabularies: Mapping[str, Vocabulary],
    train: Mapping[str, ExampleStore],
    dev: Mapping[str, ExampleStore],
) -> Iterator[str]:
    """A line per warning: equal files, headers, wrong columns, unusual labels."""
    unseen: dict[str, Counter[str]] = {task: Counter() for task in config.tasks()}
    for name, dataset in config.datasets.items():
        train_path, dev_path = str(dataset.train_data_path), dataset.dev_data_path
        if dev_path is not None and filecmp.cmp(train_path, dev_path, shallow=False):
            relation = "is" if dev_path == train_path else f"has the same content as {train_path},"
            yield (
                f"{name}: the dev file {dev_path} {relation} the training file: its scores say nothing of new text"
            )
        for part, left_out_of in ((train, "training"), (dev, "the scores")):
            if name in part and not (part is dev and dev_path == train_path):
                columns = part[name]
                remarks = [remark for remark in columns.table.remarks if dataset.tasks[remark.task].is_on]
                yield from warnings(remarks, columns.path, left_out_of=left_out_of)
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
        yield from _dataset_warnings(
            config, name, vocabularies=vocabularies, train=train[name], dev=dev.get(name), unseen=unseen
        )
    for task, task_config in config.tasks().items():
        vocabulary, decoder = vocabularies[task], decoder_class(task_config)
        if not (task_config.has_classes and task_config.is_on):
            continue
        yield from root_warnings(task, vocabulary)
        if len(vocabulary) == 1:
            label = vocabulary.labels[0]
            yield f"task '{task}': found only the label '{label}' in the training data, expected several"
        counts = {**dict(zip(vocabulary.labels, vocabulary.counts, strict=True)), **unseen[task]}
        # The labels of span tasks have a warning of their own, with the place.
        if decoder.labels_are_classes and not is_span_task(task_config):
            spelling = spelling_warning(task, counts)
            if spelling is not None:
                yield spelling


def _dataset_warnings(
    config: Config,
    name: str,
    *,
    vocabularies: Mapping[str, Vocabulary],
    train: ExampleStore,
    dev: ExampleStore | None,
    unseen: Mapping[str, Counter[str]],
) -> Iterator[str]:
    """The lines on the files of one dataset; adds its dev labels that training never saw to ``unseen``."""
    dataset = config.datasets[name].active()
    decoders = {task: decoder_class(options) for task, options in dataset.tasks.items()}
    in_train = {task: training_labels(config, train, task, vocabularies[task]) for task in dataset.tasks}
    in_dev = {} if dev is None else {task: dev_labels(dev, task, decoders[task]) for task in dataset.tasks}
    parts = [(train, in_train), *([] if dev is None or dev.path == train.path else [(dev, in_dev)])]
    headers = [find_header(dataset, columns.path, counts, known=in_train) for columns, counts in parts]
    found = [header for header in headers if header is not None]
    for header in found:
        yield header.warning(name, both=len(found) == len(parts))
    for columns, counts in parts:
        skipped = skipped_data(dataset, columns.path, counts)
        if skipped is not None:
            yield skipped
        yield from read_warnings(columns)
        lines = [] if dataset.sent_idxs is None else lines_with_empty_texts(columns)
        if lines:
            plural = "instances have" if len(lines) > 1 else "instance has"
            yield f"{name}: {len(lines)} {plural} an empty text in {columns.path} (the first in line {lines[0]})"
    yield from column_warnings(name, dataset, train, vocabularies)
    for task in dataset.tasks:
        distinct = distinct_warning(name, dataset, task, train.path, in_train[task])
        if distinct is not None:
            yield distinct
        new = unseen_labels(config, task, vocabularies[task], dev)
        unseen[task].update(new)
        for header in found:
            # The warning of the header has named it already.
            new.pop(header.labels.get(task, ""), None)
        if new and dev is not None:
            yield _unseen_warning(name, task, dev.path, new, every=in_dev[task])


def _unseen_warning(name: str, task: str, path: str, unseen: Counter[str], *, every: Counter[str]) -> str:
    labels = listed([label for label, _ in unseen.most_common()])
    if unseen.keys() == every.keys():
        return (
            f"{name}: task '{task}': none of the labels of {path} is in the training data, so that all "
            f"{unseen.total()} count as wrong: {labels}; do both files have the same columns?"
        )
    return (
        f"{name}: task '{task}': {len(unseen)} of the labels of {path} are not in the training data "
        f"and count as wrong, {unseen.total()} times in all: {labels}"
    )


def root_warnings(task: str, vocabulary: Vocabulary) -> Iterator[str]:
    """Lines on words that have the relation of roots, and on roots that have the relation of other words."""
    for label, count, of_roots in zip(vocabulary.labels, vocabulary.counts, vocabulary.root_counts, strict=False):
        if count > of_roots > count / 2:
            number, whom, whose = count - of_roots, "words that are not the root", "roots"
        elif 0 < of_roots <= min(count / 2, MANY_ROOTS * sum(vocabulary.root_counts)):
            number, whom, whose = of_roots, "roots", "other words"
        else:
            continue
        yield (
            f"task '{task}': {number} of the {whom} in the training data have the relation '{label}', which mostly "
            f"{whose} have; prediction gives it to {whose} only"
        )


def lines_with_empty_texts(columns: ExampleStore) -> list[int]:
    """The lines of a TSV file in which a text is empty or white space."""
    every = columns.sentences()
    texts = every.table.texts.rows
    is_empty = texts.sums(~np.isin(texts.values, np.frombuffer(b" \t\r", np.uint8))) == 0
    has_empty = every.table.rows["texts"].sums(is_empty[every.table.rows["texts"].values]) > 0
    return np.sort(every.table.lines[every.order[has_empty[every.order]]]).tolist()
