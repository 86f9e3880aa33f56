"""Which dataset of a model an input belongs to, from the looks of the input's first sentences."""

import logging
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from machamp_lite.config.schema import Config, DatasetConfig
from machamp_lite.data.lines import check_format, count_leading_lines
from machamp_lite.data.records import BYTE_ORDER_MARK
from machamp_lite.errors import ConfigError, DataError

logger = logging.getLogger(__name__)

# How much of a file is looked at.
GROUPS = 100
LINES = 5000
# In bytes, to recognise another format.
START = 2**16
# Sentences have fewer words than this on average; the lines of a TSV may follow each other without end.
LONGEST_MEAN = 200


def choose_dataset(config: Config, name: str | None) -> str:
    """The dataset of that name, or the only one; raises ``ConfigError`` that lists them if that is not clear."""
    names = list(config.datasets)
    if name is None and len(names) == 1:
        return names[0]
    if name in names:
        return str(name)
    found = "none" if name is None else f"'{name}'"
    raise ConfigError(f"--dataset: found {found}, expected one of the model's datasets: {', '.join(names)}")


def fitting_dataset(
    config: Config, name: str | None, source: str | os.PathLike[str], *, raw_text: bool = False
) -> str:
    """As ``choose_dataset``; where no name is given, the one dataset whose layout the input has.

    Raises ``ConfigError`` that lists the datasets if several or none have it.
    """
    if name is not None or len(config.datasets) == 1:
        chosen = choose_dataset(config, name)
        column = config.datasets[chosen].word_idx
        if column is not None and not raw_text and os.path.exists(source) and _are_ids(_look_at(source), column):
            logger.warning(
                "%s: column %d, which is read as words, holds only numbers; is it a file of another layout?",
                source,
                column,
            )
        return chosen
    looks = _look_at(source)
    fitting = [
        dataset
        for dataset, layout in config.datasets.items()
        if (can_read_raw_text(layout) if raw_text else _fits(layout, looks))
    ]
    if len(fitting) != 1:
        layouts = ", ".join(f"{dataset} ({describe(layout)})" for dataset, layout in config.datasets.items())
        found = (
            f"several datasets that may read it, {', '.join(fitting)}"
            if fitting
            else "no dataset that reads it"
        )
        raise ConfigError(f"{source}: found {found}; expected --dataset with one of {layouts}")
    logger.info("%s: read as %s (%s)", source, fitting[0], describe(config.datasets[fitting[0]]))
    return fitting[0]


def can_read_raw_text(config: DatasetConfig) -> bool:
    """Whether one line of raw text holds all that the tasks of a dataset read."""
    return config.sent_idxs is None or len(config.sent_idxs) == 1


def describe(config: DatasetConfig) -> str:
    """What a dataset reads, for a person."""
    if config.word_idx is not None:
        return f"words in column {config.word_idx}"
    if config.sent_idxs is None:
        return "plain text"
    plural = "s" * (len(config.sent_idxs) > 1)
    return f"text{plural} in column{plural} {', '.join(map(str, config.sent_idxs))}"


@dataclass(frozen=True, slots=True)
class _Looks:
    """The first lines of a file that are not blank, in columns; ``word_rows`` are those that are no comments."""

    rows: list[list[str]]
    word_rows: list[list[str]]
    groups: int

    @property
    def has_comments(self) -> bool:
        """Whether some lines start with ``#``, beside others."""
        return 0 < len(self.word_rows) < len(self.rows)

    @property
    def has_sentences(self) -> bool:
        """Whether blank lines part it into groups as long as sentences are, or it is one group with comments."""
        if self.groups < 2:
            return self.has_comments
        return self.groups < len(self.word_rows) <= LONGEST_MEAN * self.groups


def _look_at(source: str | os.PathLike[str]) -> _Looks:
    try:
        with open(source, "rb") as start:
            check_format(str(source), start.read(START))
        with open(source, encoding="utf-8", errors="replace", newline="\n") as file:
            groups = list(islice(_groups(islice(file, LINES)), GROUPS))
    except OSError as error:
        raise DataError(f"{source}: cannot be read ({error.strerror or error})") from None
    # A leading line with # is a comment also if words are in a later column.
    words = [line for group in groups for line in group[count_leading_lines(group, 0) :]]
    lines = [line for group in groups for line in group]
    return _Looks(_in_columns(lines), _in_columns(words), len(groups))


def _in_columns(lines: Sequence[str]) -> list[list[str]]:
    return [line.split("\t") for line in lines]


def _groups(lines: Iterator[str]) -> Iterator[list[str]]:
    """The lines between blank lines."""
    group: list[str] = []
    for line in lines:
        line = line.removeprefix(BYTE_ORDER_MARK).rstrip("\r\n")
        if line.strip():
            group.append(line)
        elif group:
            yield group
            group = []
    if group:
        yield group


def _fits(config: DatasetConfig, looks: _Looks) -> bool:
    if config.word_idx is not None:
        # A single group may be a sentence as well as a TSV.
        may_have_words = looks.has_sentences or (looks.groups == 1 and len(looks.rows) <= LONGEST_MEAN)
        columns = _columns(looks.word_rows)
        return (
            may_have_words
            and config.word_idx < len(columns)
            and not any(map(_are_texts, columns))
            and not _are_ids(looks, config.word_idx)
        )
    if config.sent_idxs is not None:
        columns = _columns(looks.rows[1:] if config.skip_first_line else looks.rows)
        return max(config.sent_idxs) < len(columns) and (
            not looks.has_sentences or all(_are_texts(columns[index]) for index in config.sent_idxs)
        )
    lines = looks.word_rows if looks.has_sentences else looks.rows
    has_columns = sum(len(row) > 1 for row in lines) > len(lines) / 2
    are_words = looks.has_sentences and not _are_texts([row[0] for row in lines])
    return bool(lines) and not has_columns and not are_words


def _columns(rows: list[list[str]]) -> list[tuple[str, ...]]:
    """The columns that all rows have."""
    return list(zip(*rows, strict=False))


def _are_ids(looks: _Looks, column: int) -> bool:
    """Whether a column of words holds the ids of CoNLL-U."""
    cells = [row[column] for row in looks.word_rows if column < len(row)]
    return len(cells) > 1 and all(re.fullmatch(r"\d+([-.]\d+)?", cell) for cell in cells)


def _are_texts(cells: Sequence[str]) -> bool:
    """Whether most cells hold a space, which words do not."""
    return sum(" " in cell.strip() for cell in cells) > len(cells) / 2
