"""Warns about columns and header lines that are probably mistakes in the config."""

import contextlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice

import numpy as np

from machamp_lite.config.schema import DatasetConfig
from machamp_lite.data.cells import SKIP_HEADER, is_column_name, parse_number
from machamp_lite.data.records import EMPTY, read_records
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.dataloading.example import file_format_of
from machamp_lite.dataloading.example_store import ExampleStore
from machamp_lite.decoders import decoder_class
from machamp_lite.errors import DataError, shorten

# With fewer labels, a label that occurs only once is not a sign of a header.
MIN_LABELS = 6
# The number of sentences that are inspected, and the number of words or texts in them that a warning requires.
SENTENCES_INSPECTED, MIN_CELLS = 200, 20
# A warning requires that more than this share of cells agree.
MIN_AGREEMENT = 0.9
# The mean number of words per sentence in CoNLL files.
MIN_MEAN_LENGTH, MAX_MEAN_LENGTH = 2, 60
_NODE_ID = re.compile(r"[0-9]+([-.][0-9]+)?")

# How often each label of a task is in a file, by task.
LabelCounts = Mapping[str, Counter[str]]


def column_warnings(
    name: str, config: DatasetConfig, examples: ExampleStore, vocabularies: Mapping[str, Vocabulary]
) -> Iterator[str]:
    """One warning per column of training data whose content does not fit the config."""
    sentences = examples.sentences()[:SENTENCES_INSPECTED]
    key, unit = ("sent_idxs", "texts") if config.word_idx is None else ("word_idx", "words")
    words = [list(sentence.words) for sentence in sentences]
    if (wrong := _wrong_format(name, config, examples, words)) is not None:
        yield wrong
        return
    for index, column in enumerate(config.text_columns()):
        cells = list(chain.from_iterable(words)) if key == "word_idx" else [texts[index] for texts in words]
        if len(cells) >= MIN_CELLS and sum(map(_is_number, cells)) > MIN_AGREEMENT * len(cells):
            yield (
                f"{name}: column {column} of {examples.path}, which {key} reads as text, holds only numbers "
                f"({', '.join(cells[:3])}, ...); set {key} to the column of the {unit}"
            )
    for task, options in config.tasks.items():
        decoder = decoder_class(options)
        label_columns = options.columns()
        if not (
            decoder.one_row_per_label
            and decoder.labels_are_classes
            and options.level == "word"
            and len(label_columns) == 1
        ):
            continue
        labels = vocabularies[task].labels
        pairs = [
            (sentence.words[item], labels[number])
            for sentence in sentences
            if task in sentence.gold
            for item, number in zip(
                sentence.gold_items.get(task, range(len(sentence.words))), sentence.gold[task].tolist(), strict=True
            )
        ]
        if len(pairs) >= MIN_CELLS and sum(word == label for word, label in pairs) > MIN_AGREEMENT * len(pairs):
            yield (
                f"{name}: task '{task}': column {label_columns[0]} of {examples.path} holds the word itself as label; "
                "set column_idx to the column of the labels"
            )


def _wrong_format(
    name: str, config: DatasetConfig, examples: ExampleStore, words: Sequence[Sequence[str]]
) -> str | None:
    """A warning about a TSV file that is read as CoNLL, or the reverse."""
    cells = list(chain.from_iterable(words))
    have_spaces = sum(" " in cell.strip() for cell in cells)
    if config.word_idx is not None and have_spaces > len(cells) / 2:
        example = next(cell for cell in cells if " " in cell.strip())
        return (
            f"{name}: column {config.word_idx} of {examples.path}, which word_idx reads as words, holds texts "
            f"('{shorten(example)}'), so that lines without a blank line between them are one sentence; if each line "
            f"is a text, set sent_idxs to [{config.word_idx}] instead of word_idx"
        )
    lines = examples.sentences().column("line")
    mean_length = len(lines) / (1 + int((np.diff(np.unique(lines)) > 1).sum()))
    has_lengths = MIN_MEAN_LENGTH <= mean_length <= MAX_MEAN_LENGTH and len(lines) >= 2 * mean_length
    if config.sent_idxs is not None and has_lengths and not have_spaces and len(cells) >= MIN_CELLS:
        return (
            f"{name}: {examples.path} looks like CoNLL, with one word per line and blank lines between sentences, but "
            f"sent_idxs reads each line as a text; if so, set word_idx to the column of the words instead of sent_idxs"
        )
    return None


def _is_number(text: str) -> bool:
    return parse_number(text) is not None or _NODE_ID.fullmatch(text) is not None


def empty_text_warning(name: str, examples: ExampleStore) -> str | None:
    """A warning about rows of a TSV file in which a text is empty or white space."""
    sentences = examples.sentences()
    is_empty = np.array([not text.strip(" \t\r") for text in examples.strings], dtype=bool)
    words = examples.rows["words"]
    rows = sentences.indices[(words.sums(is_empty[words.values]) > 0)[sentences.indices]]
    if not len(rows):
        return None
    plural = "instances have" if len(rows) > 1 else "instance has"
    first = examples.take(rows).column("line").min()
    return f"{name}: {len(rows)} {plural} an empty text in {examples.path} (the first in line {first})"


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a file, if it is read as data but looks like a header, and its label in each task."""

    path: str
    labels: Mapping[str, str]

    def warning(self, dataset: str, *, both: bool) -> str:
        """A warning about the header; ``both`` if all files of its dataset have one."""
        tasks = ", ".join(f"'{label}' of task '{task}'" for task, label in self.labels.items())
        remedy = f"set {SKIP_HEADER} for {dataset}"
        if not both:
            remedy += ", which applies to training and dev data, or remove the line"
        return f"{self.path}:1: looks like a header that is read as data (the label {tasks} is only there); {remedy}"


def find_header(config: DatasetConfig, path: str, counts: LabelCounts, *, known: LabelCounts) -> Header | None:
    """The header of a file that the config does not skip; None if there is none.

    ``counts`` are the labels of the file, ``known`` those of the training data. A header has labels that no other line
    has. In addition, its cells are names of columns, or all other labels occur more than once.
    """
    row = None if config.skip_first_line else first_row(config, path)
    if row is None:
        return None
    cells = {
        task: cell
        for task, cell in _label_cells(config, row).items()
        if (classes := _classes(config, task, cell))
        and all(counts[task][label] == 1 and known[task][label] <= 1 for label in classes)
    }
    if not cells or len(cells) < len(_label_cells(config, row)):
        return None
    texts = [row[column] for column in config.text_columns() if isinstance(column, int) and column < len(row)]
    names_labels = any(is_column_name(cell, config.tasks) for cell in cells.values())
    names_texts = config.word_idx is None and all(map(is_column_name, texts))
    are_alone = all(
        counts[task].total() >= MIN_LABELS
        and sum(count == 1 for count in counts[task].values()) == len(_classes(config, task, cell))
        for task, cell in cells.items()
    )
    return Header(path, cells) if names_labels or names_texts or are_alone else None


def skipped_data(config: DatasetConfig, path: str, counts: LabelCounts) -> str | None:
    """A warning about a first line that is skipped as a header, although other lines have its labels."""
    row = first_row(config, path) if config.skip_first_line else None
    if row is None or row[0].startswith("-DOCSTART-"):
        return None
    cells = _label_cells(config, row)
    numbers = dict(_number_cells(config, row))
    frequent = all(
        (classes := _classes(config, task, cell)) and all(counts[task][label] > 1 for label in classes)
        for task, cell in cells.items()
    )
    if not (cells or numbers) or not frequent or None in map(parse_number, numbers.values()):
        return None
    found = ", ".join(
        f"{'label' if task in cells else 'number'} '{cell}' of task '{task}'"
        for task, cell in {**cells, **numbers}.items()
    )
    return (
        f"{path}:1: is skipped as a header but looks like data ({found}); if it is data, remove {SKIP_HEADER}"
    )


def first_row(config: DatasetConfig, path: str) -> list[str] | None:
    """The cells of the first line of a file; None if it is a comment or blank, or if columns have names."""
    file_format = replace(file_format_of(config), skip_first_line=False)
    if file_format.has_names:
        return None
    # A file that has changed since it was read is reported elsewhere.
    with contextlib.suppress(DataError):
        for record in islice(read_records(path, file_format), 2):
            if record.rows:
                return record.rows[0] if record.first_line + record.row_lines[0] == 1 else None
    return None


def _label_cells(config: DatasetConfig, row: list[str]) -> dict[str, str]:
    """The cell of a row in the column of each task whose labels are classes, without cells that mean "no label"."""
    cells = {}
    for task, options in config.tasks.items():
        columns, are_classes = options.columns(), decoder_class(options).labels_are_classes
        if not (options.has_classes and are_classes and len(columns) == 1):
            continue
        if isinstance(columns[0], int) and columns[0] < len(row):
            cells[task] = row[columns[0]]
    return {task: cell for task, cell in cells.items() if cell not in (EMPTY, config.tasks[task].ignore_label)}


def _number_cells(config: DatasetConfig, row: list[str]) -> Iterable[tuple[str, str]]:
    """The cells of a row in the columns of each task that reads numbers, without cells that mean "no label"."""
    for task, options in config.tasks.items():
        if options.task_type in ("regression", "probdistr"):
            columns = (column for column in options.columns() if isinstance(column, int) and column < len(row))
            cells = [row[column] for column in columns]
            yield from ((task, cell) for cell in cells if cell not in (EMPTY, options.ignore_label))


def _classes(config: DatasetConfig, task: str, cell: str) -> list[str]:
    return decoder_class(config.tasks[task]).classes([cell], [""])
