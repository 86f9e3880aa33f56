"""Warns about labels that are probably mistakes, and about positive labels that are guesses."""

from collections import Counter
from collections.abc import Iterator, Mapping
from unicodedata import combining, is_normalized, normalize

from machamp_lite.config.schema import Config, DatasetConfig
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.dataloading.example_store import ExampleStore
from machamp_lite.decoders import decoder_class
from machamp_lite.decoders.gold_trees import allowed_relations
from machamp_lite.errors import first_items, shown_label
from machamp_lite.metrics.class_scores import default_positive_label, is_clear

# The warning that most labels occur only once requires this many labels, and a higher share of distinct ones.
MIN_LABELS, MIN_DISTINCT = 20, 0.9
_INVISIBLE = " \t\u200b\u2060\ufeff"


def spelling_warning(task: str, counts: Mapping[str, int]) -> str | None:
    """A warning about labels that differ only in case, outer spaces or Unicode form."""
    groups: dict[str, list[str]] = {}
    for label in counts:
        groups.setdefault(plain_label(label), []).append(label)
    several = [sorted(group, key=lambda label: (-counts[label], label)) for group in groups.values() if len(group) > 1]
    if not several:
        return None
    several.sort(key=lambda group: -sum(counts[label] for label in group))
    groups_shown = [
        ", ".join(f"{shown_label(with_escapes(label))} ({counts[label]})" for label in group) for group in several
    ]
    return (
        f"task '{task}': labels that differ only in case, outer spaces or Unicode form count as different labels: "
        f"{first_items(groups_shown, separator='; ')}; use one spelling for each label"
    )


def plain_label(label: str) -> str:
    """A label without case, outer spaces and differences of Unicode form."""
    return normalize("NFC", normalize("NFC", label).strip().strip(_INVISIBLE).casefold())


def with_escapes(label: str) -> str:
    """A label in which combining characters are escaped unless it is in NFC, so that both forms look different."""
    if is_normalized("NFC", label):
        return label
    return "".join(ascii(sign)[1:-1] if combining(sign) else sign for sign in label)


def distinct_warning(name: str, config: DatasetConfig, task: str, path: str, counts: Counter[str]) -> str | None:
    """A warning if almost all labels occur only once, like ids."""
    decoder = decoder_class(config.tasks[task])
    items = counts.total()
    if not decoder.labels_are_classes or items < MIN_LABELS or len(counts) <= MIN_DISTINCT * items:
        return None
    place = decoder.place(task, config.tasks[task])
    return (
        f"{name}: task '{task}': found {len(counts)} labels for {items} items in {place} of {path}, expected labels "
        "that occur more than once; if they are ids or texts, set column_idx to the column of the labels"
    )


def unseen_labels(task: str, vocabulary: Vocabulary, dev: ExampleStore | None) -> Counter[str]:
    """The labels of dev data that are not in the training data, with their counts."""
    counts = Counter[str]() if dev is None else dev.label_counts[task]
    return Counter({label: count for label, count in counts.items() if label not in vocabulary})


def unseen_warning(name: str, task: str, path: str, unseen: Counter[str], *, every: Counter[str]) -> str:
    """A warning about labels of a dev file that are not in the training data; ``every`` are all its labels."""
    labels = first_items([shown_label(label) for label, _ in unseen.most_common()])
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
    """Warnings about relations that a few roots share with other words, or a few other words with roots."""
    if not vocabulary.root_counts:
        return
    for_roots, for_others = allowed_relations(vocabulary).tolist()
    rows = zip(vocabulary.labels, vocabulary.counts, vocabulary.root_counts, for_roots, for_others, strict=True)
    for label, count, of_roots, allows_roots, allows_others in rows:
        for number, is_allowed, few, most in (
            (count - of_roots, allows_others, "words that are not the root", "roots"),
            (of_roots, allows_roots, "roots", "other words"),
        ):
            if number and not is_allowed:
                yield (
                    f"task '{task}': {number} of the {few} in the training data have the relation '{label}', which "
                    f"mostly {most} have; prediction gives it to {most} only"
                )


def positive_labels(config: Config, vocabularies: Mapping[str, Vocabulary]) -> dict[str, str]:
    """The positive label of each task that needs one: that of its options, or one of its training labels."""
    return {
        task: options.positive_label or default_positive_label(vocabularies[task].labels)
        for task, options in config.tasks().items()
        if options.has_positive_label and len(vocabularies[task])
    }


def positive_label_warnings(config: Config, vocabularies: Mapping[str, Vocabulary]) -> Iterator[str]:
    """A warning about each task whose positive label is a guess."""
    for task, label in positive_labels(config, vocabularies).items():
        options, labels = config.tasks()[task], vocabularies[task].labels
        if options.positive_label is None and not is_clear(labels):
            metrics = ", ".join(name for name in options.metric_names() if name.endswith("_binary"))
            yield (
                f"task '{task}': {metrics} scores only the label {shown_label(label)}, because it is the last one in "
                f"sorted order of {first_items(sorted(map(shown_label, labels)))}; set positive_label of the task"
            )
