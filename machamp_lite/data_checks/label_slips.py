"""Labels and columns that are probably not what was meant."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain
from unicodedata import combining, is_normalized, normalize

from machamp_lite.config.schema import DatasetConfig
from machamp_lite.data.cells import parse_number
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.data_checks.label_counts import LABELS_SHOWN
from machamp_lite.dataloading.example_store import ExampleStore
from machamp_lite.decoders import decoder_class
from machamp_lite.errors import shown_label

# Sentences that are inspected, and how many of their words or texts are needed for a warning.
SENTENCES_READ, FEWEST = 200, 20
# The share of rows that must agree, so that a few odd rows do not hide what a column holds.
MOST = 0.9
_NOT_SEEN = " \t\u200b\u2060\ufeff"
_NODE_ID = re.compile(r"[0-9]+([-.][0-9]+)?")


def spelling_warning(task: str, counts: Mapping[str, int]) -> str | None:
    """A line on labels that are the same except for case, outer spaces or Unicode form."""
    groups: dict[str, list[str]] = {}
    for label in counts:
        groups.setdefault(plain_label(label), []).append(label)
    several = [sorted(group, key=lambda label: (-counts[label], label)) for group in groups.values() if len(group) > 1]
    if not several:
        return None
    several.sort(key=lambda group: -sum(counts[label] for label in group))
    found = "; ".join(
        ", ".join(f"{shown_label(with_escapes(label))} ({counts[label]})" for label in group)
        for group in several[:LABELS_SHOWN]
    )
    more = f" and {len(several) - LABELS_SHOWN} more" if len(several) > LABELS_SHOWN else ""
    return (
        f"task '{task}': labels that differ only in case, outer spaces or Unicode form count as different labels: "
        f"{found}{more}; use one spelling for each label"
    )


def plain_label(label: str) -> str:
    """A label without case, outer spaces and differences of Unicode form."""
    return normalize("NFC", normalize("NFC", label).strip().strip(_NOT_SEEN).casefold())


def with_escapes(label: str) -> str:
    """A label whose combining characters are escaped unless it is in NFC, so that it differs from its NFC form."""
    if is_normalized("NFC", label):
        return label
    return "".join(ascii(sign)[1:-1] if combining(sign) else sign for sign in label)


def column_warnings(
    name: str, config: DatasetConfig, columns: ExampleStore, vocabularies: Mapping[str, Vocabulary]
) -> Iterator[str]:
    """A line for each column of training data that does not hold what the config reads from it."""
    sentences = columns.sentences()[:SENTENCES_READ]
    key, unit = ("sent_idxs", "texts") if config.word_idx is None else ("word_idx", "words")
    words = [list(sentence.words) for sentence in sentences]
    for place, column in enumerate(config.text_columns()):
        cells = list(chain.from_iterable(words)) if key == "word_idx" else [texts[place] for texts in words]
        if len(cells) >= FEWEST and sum(map(_is_number, cells)) > MOST * len(cells):
            yield (
                f"{name}: column {column} of {columns.path}, which {key} reads as text, holds only numbers "
                f"({', '.join(cells[:3])}, ...); set {key} to the column of the {unit}"
            )
    for task, options in config.tasks.items():
        decoder = decoder_class(options)
        own = options.columns()
        if not (decoder.one_row_per_label and decoder.labels_are_classes and options.level == "word" and len(own) == 1):
            continue
        labels = vocabularies[task].labels
        pairs = [
            (word, labels[number])
            for sentence in sentences
            if task in sentence.gold
            for word, number in zip(sentence.words, sentence.gold[task].tolist(), strict=True)
        ]
        if len(pairs) >= FEWEST and sum(word == label for word, label in pairs) > MOST * len(pairs):
            yield (
                f"{name}: task '{task}': column {own[0]} of {columns.path} holds the word itself as label; "
                "set column_idx to the column of the labels"
            )


def _is_number(text: str) -> bool:
    return parse_number(text) is not None or _NODE_ID.fullmatch(text) is not None


def distinct_warning(name: str, config: DatasetConfig, task: str, path: str, counts: Counter[str]) -> str | None:
    """A line on labels that almost all occur only once, like ids."""
    decoder = decoder_class(config.tasks[task])
    items = counts.total()
    if not decoder.labels_are_classes or items < FEWEST or len(counts) <= MOST * items:
        return None
    place = decoder.place(task, config.tasks[task])
    return (
        f"{name}: task '{task}': found {len(counts)} labels for {items} items in {place} of {path}, expected labels "
        "that occur more than once; if they are ids or texts, set column_idx to the column of the labels"
    )


def read_warnings(columns: ExampleStore) -> Iterator[str]:
    """A line for each kind of slip that the reader of a file has found."""
    for slip in columns.table.slips:
        yield (
            f"{columns.dataset}: task '{slip.task}': {slip.what} ({slip.count}, the first in "
            f"{columns.path}:{slip.line}): {slip.handling}"
        )
