"""Warnings about data that is valid, but probably not what was intended."""

import filecmp
from collections import Counter
from collections.abc import Iterator, Mapping

from machamp_lite.config.schema import Config
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.data_checks.columns import (
    column_warnings,
    empty_text_warning,
    find_header,
    skipped_data,
)
from machamp_lite.data_checks.labels import (
    distinct_warning,
    root_warnings,
    spelling_warning,
    unseen_labels,
    unseen_warning,
)
from machamp_lite.data_checks.span_schemes import is_span_task
from machamp_lite.dataloading.example_store import ExampleStore
from machamp_lite.decoders import decoder_class


def data_warnings(
    config: Config,
    *,
    vocabularies: Mapping[str, Vocabulary],
    train: Mapping[str, ExampleStore],
    dev: Mapping[str, ExampleStore],
) -> Iterator[str]:
    """One line per warning: equal files, headers, wrong columns, unusual labels."""
    unseen: dict[str, Counter[str]] = {task: Counter() for task in config.tasks()}
    for name, dataset in config.datasets.items():
        train_path, dev_path = str(dataset.train_data_path), dataset.dev_data_path
        if dev_path is not None and filecmp.cmp(train_path, dev_path, shallow=False):
            relation = "is" if dev_path == train_path else f"has the same content as {train_path},"
            yield (
                f"{name}: the dev file {dev_path} {relation} the training file: its scores do not show how good the "
                "model is on new text"
            )
        for part, excluded_from in ((train, "training"), (dev, "the scores")):
            if name in part and not (part is dev and dev_path == train_path):
                issues, tasks = part[name].issues, list(dataset.active().tasks)
                yield from issues.warnings(part[name].path, excluded_from=excluded_from, tasks=tasks)
        for column, tasks in dataset.shared_columns().items():
            yield (
                f"{name}: the tasks {', '.join(tasks)} write the same column {column}; outputs have the labels of "
                f"'{tasks[-1]}' only"
            )
        for task, column in dataset.text_tasks().items():
            yield (
                f"{name}: the task '{task}' reads its labels from column {column}, which is one of the texts "
                "(sent_idxs): the model sees the answer, so its scores mean nothing; prediction leaves the column "
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
        # Span tasks have a separate warning, with the line.
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
    """The warnings about one dataset; adds its dev labels that are not in the training data to ``unseen``."""
    dataset = config.datasets[name].active()
    in_train = train.label_counts
    parts = [train, *([] if dev is None or dev.path == train.path else [dev])]
    headers = [find_header(dataset, part.path, part.label_counts, known=in_train) for part in parts]
    found = [header for header in headers if header is not None]
    for header in found:
        yield header.warning(name, both=len(found) == len(parts))
    for part in parts:
        skipped = skipped_data(dataset, part.path, part.label_counts)
        if skipped is not None:
            yield skipped
        empty = None if dataset.sent_idxs is None else empty_text_warning(name, part)
        if empty is not None:
            yield empty
    for task, options in dataset.tasks.items():
        if dev is not None and options.input_type in ("words", "subwords") and not dev.annotated(task).any():
            yield f"{name}: the dev file {dev.path} has no labels of the task '{task}', which therefore has no scores"
    yield from column_warnings(name, dataset, train, vocabularies)
    for task in dataset.tasks:
        distinct = distinct_warning(name, dataset, task, train.path, in_train[task])
        if distinct is not None:
            yield distinct
        new = unseen_labels(task, vocabularies[task], dev)
        unseen[task].update(new)
        for header in found:
            # The warning about the header names it already.
            new.pop(header.labels.get(task, ""), None)
        if new and dev is not None:
            yield unseen_warning(name, task, dev.path, new, every=dev.label_counts[task])
