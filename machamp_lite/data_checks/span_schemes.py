"""The schemes of the labels of span tasks: recognised from training data, and what in the data does not fit them."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from machamp_lite.config.schema import Config
from machamp_lite.config.task_types import TaskOptions
from machamp_lite.data.records import EMPTY
from machamp_lite.data.span_schemes import AUTO, EDGE, OUTSIDE, SCHEMES, Scheme, recognise
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.data_checks.label_files import LabelFile
from machamp_lite.data_checks.label_slips import plain_label, with_escapes
from machamp_lite.dataloading.cache import RunData
from machamp_lite.dataloading.example_store import ExampleStore
from machamp_lite.decoders import decoder_class
from machamp_lite.decoders.seq_bio import SeqBio

KINDS_SHOWN = 5
LABELS_SHOWN = 6
# Span labels as people write them, with slips of case, separator and outer space.
_SPAN_LABEL = re.compile(r"([BIESLU])[-_:/.]\s*(.*)", re.IGNORECASE)
# The digit, and the small letter.
_LIKE_OUTSIDE = ("0", "o")


def is_span_task(options: TaskOptions) -> bool:
    """Whether anything depends on the scheme of the labels of a task."""
    if not hasattr(options, "scheme"):
        return False
    return issubclass(decoder_class(options), SeqBio) or "span_f1" in options.metric_names()


def recognise_schemes(config: Config, data: RunData) -> dict[str, str]:
    """The scheme of each span task: the one in its options, or the one that its training labels fit best."""
    schemes = {}
    for task, options in config.tasks().items():
        if not is_span_task(options):
            continue
        asked: str = getattr(options, "scheme", AUTO)
        if asked == AUTO:
            files = _files(config, task, data.vocabularies[task], data.train)
            asked = recognise(sum((file.steps() for file in files), Counter[tuple[str, str]]())).name
        schemes[task] = asked
    return schemes


def with_schemes(config: Config, schemes: Mapping[str, str]) -> Config:
    """The config with the scheme of each span task."""

    def resolved(task: str, options: TaskOptions) -> TaskOptions:
        return options.model_copy(update={"scheme": schemes[task]}) if task in schemes else options

    datasets = {
        name: dataset.model_copy(
            update={"tasks": {task: resolved(task, options) for task, options in dataset.tasks.items()}}
        )
        for name, dataset in config.datasets.items()
    }
    return config.model_copy(update={"datasets": datasets})


def scheme_warnings(config: Config, data: RunData) -> Iterator[str]:
    """One line per file and kind of fault: labels that break the scheme, likely slips, and files without spans."""
    for task, name in data.schemes.items():
        options, scheme = config.tasks()[task], SCHEMES[name]
        seen = set()
        for part, columns in (("training", data.train), ("dev", data.dev)):
            for file in _files(config, task, data.vocabularies[task], columns):
                path = file.columns.path
                # A file that is both, or in two datasets, is reported once.
                if path not in seen and file.counts().keys() != {EMPTY}:
                    seen.add(path)
                    is_learnt = part == "training" and issubclass(decoder_class(options), SeqBio)
                    yield from _of_scheme(file, task, scheme, is_auto=_is_auto(options), is_learnt=is_learnt)
                    yield from _of_slips(file, task)


def _is_auto(options: Any) -> bool:
    return bool(options.scheme == AUTO)


def _files(
    config: Config, task: str, vocabulary: Vocabulary, every_columns: Mapping[str, ExampleStore]
) -> Iterator[LabelFile]:
    for name, dataset in config.datasets.items():
        if task in dataset.tasks and name in every_columns:
            file = LabelFile.of(dataset, every_columns[name], task, vocabulary)
            if file is not None and len(file.ids):
                yield file


def _of_scheme(
    file: LabelFile, task: str, scheme: Scheme, *, is_auto: bool, is_learnt: bool
) -> Iterator[str]:
    steps = file.steps()
    broken = _breaks(scheme, steps)
    if broken:
        # Steps between correct labels first: the other labels have a warning of their own.
        kinds = sorted(broken.items(), key=lambda pair: (any(map(_is_slip, pair[0])), -pair[1]))
        shown = ", ".join(f"{_as_text(*step)} {_times(count)}" for step, count in kinds[:KINDS_SHOWN])
        more = f" and {len(kinds) - KINDS_SHOWN} more kinds" if len(kinds) > KINDS_SHOWN else ""
        found = "recognised from the training data" if is_auto else "of the config"
        learnt = (
            "training keeps these labels, predictions always follow the scheme, and " if is_learnt else ""
        )
        total = sum(broken.values())
        yield (
            f"{file.where(file.first_step(broken))}: task '{task}': {total} of {len(file.ids)} labels break the scheme "
            f"{scheme.name} ({found}): {shown}{more}; {learnt}span_f1 counts only spans that are well formed in it; "
            f"{_advice(steps, total, is_auto=is_auto)}"
        )
    if not any(scheme.starts_span(*step) for step in steps):
        labels = ", ".join(f"'{label}'" for label, _ in file.counts().most_common(KINDS_SHOWN))
        yield (
            f"{file.columns.path}: task '{task}': found no span in the scheme {scheme.name}, so that span_f1 can only "
            f"be 0 (most frequent labels: {labels}); check column_idx and the labels"
        )


def _advice(steps: Mapping[tuple[str, str], int], broken: int, *, is_auto: bool) -> str:
    better = recognise(steps)
    if sum(_breaks(better, steps).values()) > broken / 2:
        return "correct the file"
    # The scheme was recognised from all training data, and this file has another one.
    change = "convert the file" if is_auto else f"set scheme to {better.name}"
    return f"the labels of the file fit {better.name}: {change}"


def _breaks(scheme: Scheme, steps: Mapping[tuple[str, str], int]) -> dict[tuple[str, str], int]:
    """The steps that break a scheme, except for labels that have a warning of their own or that mean outside."""
    return {
        (before, label): count
        for (before, label), count in scheme.breaks(steps).items()
        if not scheme.allows(before, label) or not (label == EMPTY or _is_slip(label))
    }


def _of_slips(file: LabelFile, task: str) -> Iterator[str]:
    counts = file.counts()
    zeros = [label for label in counts if label.strip() in _LIKE_OUTSIDE]
    if zeros and any(label.strip() == OUTSIDE for label in counts):
        yield (
            f"{_where(file, zeros)}: task '{task}': found {_listed(zeros, counts)} beside '{OUTSIDE}', which is "
            "another label, and is read as outside; write each in one way"
        )
    groups: dict[str, list[str]] = {}
    for label in counts:
        if label not in zeros:
            groups.setdefault(plain_label(_intended(label)), []).append(label)
    variants = [group for group in groups.values() if len(group) > 1]
    if variants:
        shown = "; ".join(_listed(group, counts) for group in variants[:KINDS_SHOWN])
        more = f"; and {len(variants) - KINDS_SHOWN} more groups" if len(variants) > KINDS_SHOWN else ""
        yield (
            f"{_where(file, [group[1] for group in variants])}: task '{task}': labels that differ only by case, "
            f"separator, outer space or Unicode form are different labels (found {shown}{more}); write each in one way"
        )
    alone = [group[0] for group in groups.values() if len(group) == 1 and _is_slip(group[0])]
    if alone:
        yield (
            f"{_where(file, alone)}: task '{task}': found {_listed(alone, counts)}, which mark no spans; expected "
            f"labels such as '{_intended(alone[0])}'"
        )
    untyped = [label for label in counts if (match := _SPAN_LABEL.fullmatch(label)) and not match.group(2)]
    if untyped:
        yield (
            f"{_where(file, untyped)}: task '{task}': found {_listed(untyped, counts)}, marks without a type, which is "
            "a type of its own; expected labels such as 'B-PER'"
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


def _is_slip(label: str) -> bool:
    return _intended(label) != label


def _where(file: LabelFile, labels: Sequence[str]) -> str:
    return file.where(file.first_of(labels))


def _listed(labels: Sequence[str], counts: Mapping[str, int]) -> str:
    shown = ", ".join(f"'{with_escapes(label)}' {_times(counts[label])}" for label in labels[:LABELS_SHOWN])
    return f"{shown} and {len(labels) - LABELS_SHOWN} more" if len(labels) > LABELS_SHOWN else shown


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _as_text(before: str, label: str) -> str:
    if label == EDGE:
        return f"'{before}' at the end of a sentence"
    return f"'{label}' after '{before}'" if before != EDGE else f"'{label}' at the start of a sentence"
