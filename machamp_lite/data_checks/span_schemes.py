"""Recognises the scheme of the labels of a span task, and warns about labels that do not fit it."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from machamp_lite.config.schema import Config, DatasetConfig
from machamp_lite.config.task_types import SPAN_METRICS, TaskOptions
from machamp_lite.data.ragged_array import RaggedArray
from machamp_lite.data.records import EMPTY, read_records
from machamp_lite.data.span_schemes import AUTO, EDGE, OUTSIDE, SCHEMES, Scheme, recognise
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.data_checks.labels import plain_label, with_escapes
from machamp_lite.dataloading.datasets import RunData
from machamp_lite.dataloading.example import file_format_of
from machamp_lite.dataloading.example_store import ExampleStore
from machamp_lite.decoders import decoder_class
from machamp_lite.decoders.seq_bio import SeqBio
from machamp_lite.errors import DataError, first_items

KINDS_SHOWN = 5
LABELS_SHOWN = 6
# Span labels, possibly with mistakes in case, separator or outer space.
_SPAN_LABEL = re.compile(r"([BIESLU])[-_:/.]\s*(.*)", re.IGNORECASE)
# Labels that were probably meant as O: the digit zero and the small letter.
_LIKE_OUTSIDE = ("0", "o")


@dataclass(frozen=True, slots=True)
class _LabelFile:
    """The labels of a span task in one data file, with the counts of labels and of pairs of adjacent labels."""

    dataset: DatasetConfig
    path: str
    task: str
    counts: Counter[str]
    steps: Counter[tuple[str, str]]

    def where(self, matches: Callable[[str, str], bool]) -> str:
        """The ``file:line`` of the first word for which ``matches(label before, label)`` is true.

        The end of a sentence counts as a label ``EDGE`` in the line of the last word.
        """
        options = self.dataset.tasks[self.task]
        # A file that has changed since it was read may be unreadable.
        with suppress(DataError, OSError):
            for record in read_records(self.path, file_format_of(self.dataset)):
                labels = record.rows and decoder_class(options).read_gold(
                    record, task=self.task, config=options
                )
                for row, step in enumerate(pairwise([EDGE, *(labels or ()), EDGE])):
                    if labels and matches(*step):
                        return record.where(min(row, len(labels) - 1))
        return self.path

    def where_label(self, labels: Sequence[str]) -> str:
        """The ``file:line`` of the first word with one of these labels."""
        return self.where(lambda _, label: label in labels)


def is_span_task(options: TaskOptions) -> bool:
    """Whether the predictions or the metrics of a task depend on a span scheme."""
    if not hasattr(options, "scheme"):
        return False
    return issubclass(decoder_class(options), SeqBio) or not set(SPAN_METRICS).isdisjoint(options.metric_names())


def recognise_schemes(config: Config, data: RunData) -> dict[str, str]:
    """The scheme of each span task: the one in its options, or the one that its training labels fit best."""
    schemes = {}
    for task, options in config.tasks().items():
        if not is_span_task(options):
            continue
        name: str = getattr(options, "scheme", AUTO)
        if name == AUTO:
            files = _files(config, task, data.vocabularies[task], data.train)
            name = recognise(sum((file.steps for file in files), Counter[tuple[str, str]]())).name
        schemes[task] = name
    return schemes


def scheme_warnings(config: Config, data: RunData) -> Iterator[str]:
    """One warning per file and kind: labels that break the scheme, likely mistakes, files without spans."""
    for task, name in data.schemes.items():
        options, scheme = config.tasks()[task], SCHEMES[name]
        seen = set()
        for part, stores in (("training", data.train), ("dev", data.dev)):
            for file in _files(config, task, data.vocabularies[task], stores):
                # A file may be both training and dev data, or in two datasets.
                if file.path not in seen and file.counts.keys() != {EMPTY}:
                    seen.add(file.path)
                    is_learnt = part == "training" and issubclass(decoder_class(options), SeqBio)
                    yield from _scheme_breaks(file, task, scheme, is_auto=_is_auto(options), is_learnt=is_learnt)
                    yield from _likely_mistakes(file, task)


def _is_auto(options: Any) -> bool:
    return bool(options.scheme == AUTO)


def _files(
    config: Config, task: str, vocabulary: Vocabulary, stores: Mapping[str, ExampleStore]
) -> Iterator[_LabelFile]:
    for name, dataset in config.datasets.items():
        if task in dataset.tasks and name in stores:
            store = stores[name]
            # Examples of tasks that are switched off are dropped.
            if len(store) and store.label_counts[task]:
                steps = _count_steps(*store.label_rows(task, vocabulary.labels))
                yield _LabelFile(dataset, store.path, task, store.label_counts[task], steps)


def _count_steps(labels: Sequence[str], rows: RaggedArray) -> Counter[tuple[str, str]]:
    """The counts of pairs of adjacent labels; ``EDGE`` precedes the first and follows the last label of a sentence.

    Pairs with a word that is not annotated, whose id is -1, are left out.
    """
    edge, width = len(labels), len(labels) + 1
    ids, is_annotated = rows.values.astype(np.int64), rows.lengths > 0
    before = np.append(edge, ids[:-1])
    before[rows.starts[:-1][is_annotated]] = edge
    lasts = ids[rows.starts[1:][is_annotated] - 1]
    is_pair = np.append((before >= 0) & (ids >= 0), lasts >= 0)
    codes = np.append(before * width + ids, lasts * width + edge)[is_pair]
    names, (distinct, counts) = [*labels, EDGE], np.unique(codes, return_counts=True)
    pairs = zip(distinct.tolist(), counts.tolist(), strict=True)
    return Counter({(names[code // width], names[code % width]): count for code, count in pairs})


def _scheme_breaks(
    file: _LabelFile, task: str, scheme: Scheme, *, is_auto: bool, is_learnt: bool
) -> Iterator[str]:
    steps = file.steps
    if not any(scheme.starts_span(*step) for step in steps):
        labels = ", ".join(f"'{label}'" for label, _ in file.counts.most_common(KINDS_SHOWN))
        place = decoder_class(file.dataset.tasks[task]).place(task, file.dataset.tasks[task])
        yield (
            f"{file.path}: task '{task}': {place} has no span in the scheme {scheme.name}, so that span_f1 can only "
            f"be 0; its most frequent labels are {labels}; if they are no span labels, set column_idx to their column"
        )
        return
    broken = _breaks(scheme, steps)
    if broken:
        # Pairs of correct labels come first, because misspelt labels have a separate warning.
        kinds = sorted(broken.items(), key=lambda pair: (any(map(_is_misspelt, pair[0])), -pair[1]))
        shown = ", ".join(f"{_as_text(*step)} {_times(count)}" for step, count in kinds[:KINDS_SHOWN])
        more = f" and {len(kinds) - KINDS_SHOWN} more kinds" if len(kinds) > KINDS_SHOWN else ""
        found = "recognised from the training data" if is_auto else "of the config"
        learnt = (
            "training keeps these labels, predictions always follow the scheme, and " if is_learnt else ""
        )
        where, total = file.where(lambda *step: step in broken), sum(broken.values())
        yield (
            f"{where}: task '{task}': {total} of {file.counts.total()} labels break the scheme "
            f"{scheme.name} ({found}): {shown}{more}; {learnt}span_f1 counts only spans that are well formed in it; "
            f"{_advice(steps, total, is_auto=is_auto)}"
        )


def _advice(steps: Mapping[tuple[str, str], int], broken: int, *, is_auto: bool) -> str:
    better = recognise(steps)
    if sum(_breaks(better, steps).values()) > broken / 2:
        return "correct the file"
    # The scheme was recognised from all training data, and this file has another one.
    change = "convert the file" if is_auto else f"set scheme to {better.name}"
    return f"the labels of the file fit {better.name}: {change}"


def _breaks(scheme: Scheme, steps: Mapping[tuple[str, str], int]) -> dict[tuple[str, str], int]:
    """The pairs that break a scheme, without labels that have a separate warning or that mean outside."""
    return {
        (before, label): count
        for (before, label), count in scheme.breaks(steps).items()
        if not scheme.allows(before, label) or not (label == EMPTY or _is_misspelt(label))
    }


def _likely_mistakes(file: _LabelFile, task: str) -> Iterator[str]:
    counts = file.counts
    zeros = [label for label in counts if label.strip() in _LIKE_OUTSIDE]
    if zeros and any(label.strip() == OUTSIDE for label in counts):
        yield (
            f"{file.where_label(zeros)}: task '{task}': found {_listed(zeros, counts)} in addition to '{OUTSIDE}'; "
            "all are read as outside, but count as different labels; use one spelling"
        )
    groups: dict[str, list[str]] = {}
    for label in counts:
        if label not in zeros:
            groups.setdefault(plain_label(_intended(label)), []).append(label)
    variants = [group for group in groups.values() if len(group) > 1]
    if variants:
        shown = "; ".join(_listed(group, counts) for group in variants[:KINDS_SHOWN])
        more = f"; and {len(variants) - KINDS_SHOWN} more groups" if len(variants) > KINDS_SHOWN else ""
        where = file.where_label([group[1] for group in variants])
        yield (
            f"{where}: task '{task}': labels that differ only by case, separator, "
            f"outer space or Unicode form count as different labels (found {shown}{more}); use one spelling for each"
        )
    alone = [group[0] for group in groups.values() if len(group) == 1 and _is_misspelt(group[0])]
    if alone:
        yield (
            f"{file.where_label(alone)}: task '{task}': found {_listed(alone, counts)}, which mark no spans; expected "
            f"labels such as '{_intended(alone[0])}'"
        )
    untyped = [label for label in counts if (match := _SPAN_LABEL.fullmatch(label)) and not match.group(2)]
    if untyped:
        yield (
            f"{file.where_label(untyped)}: task '{task}': found {_listed(untyped, counts)}, without a type after the "
            "mark; expected labels such as 'B-PER'"
        )


def _intended(label: str) -> str:
    """The label that was most likely meant.

    >>> _intended("b_per "), _intended("0"), _intended("NOUN")
    ('B-per', 'O', 'NOUN')
    """
    text = label.strip()
    if text in _LIKE_OUTSIDE:
        return OUTSIDE
    match = _SPAN_LABEL.fullmatch(text)
    return f"{match.group(1).upper()}-{match.group(2)}" if match else text


def _is_misspelt(label: str) -> bool:
    return _intended(label) != label


def _listed(labels: Sequence[str], counts: Mapping[str, int]) -> str:
    return first_items([f"'{with_escapes(label)}' {_times(counts[label])}" for label in labels], most=LABELS_SHOWN)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _as_text(before: str, label: str) -> str:
    if label == EDGE:
        return f"'{before}' at the end of a sentence"
    return f"'{label}' after '{before}'" if before != EDGE else f"'{label}' at the start of a sentence"
