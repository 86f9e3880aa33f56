"""Chooses the dataset of a model that an input belongs to, by the format and the labels of its first sentences."""

import io
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, islice

from machamp_lite.config.joint_datasets import JOIN, can_be_joined, find_dataset, predict_the_same
from machamp_lite.config.schema import Config, DatasetConfig
from machamp_lite.data.formats import format_of
from machamp_lite.data.lines import check_format, count_leading_lines, open_data
from machamp_lite.data.records import BYTE_ORDER_MARK, EMPTY, Column, read_records
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.dataloading.example import file_format_of
from machamp_lite.errors import ConfigError, DataError, FaultList
from machamp_lite.inference.known_labels import find_known_labels

logger = logging.getLogger(__name__)

# How much of a file is inspected: sentences, lines, and bytes to recognise its encoding.
MAX_SENTENCES = 100
MAX_LINES = 5000
HEAD_BYTES = 2**16
# Sentences have at most this many words on average. A TSV file may have more lines without a blank line.
MAX_MEAN_LENGTH = 200


def choose_dataset(config: Config, name: str | None) -> str:
    """The dataset with this name (``A+B`` for the tasks of both), or the only one.

    Raises ``ConfigError`` that lists all datasets if there is no such dataset, or no name and several datasets.
    """
    names = list(config.datasets)
    if name is not None:
        find_dataset(config, name)
        return name
    if len(names) == 1:
        return names[0]
    raise ConfigError(f"--dataset: found none, expected one of the model's datasets: {', '.join(names)}")


def matching_datasets(
    config: Config,
    names: Sequence[str] | None,
    sources: Sequence[str | os.PathLike[str]],
    *,
    vocabularies: Mapping[str, Vocabulary],
    raw_text: bool = False,
) -> list[str]:
    """The dataset of each input, see ``matching_dataset``; ``names`` are one for all inputs, or one per input.

    Raises ``ConfigError`` or ``DataError`` with the errors of all inputs.
    """
    by_source = [None] * len(sources) if names is None else list(names) * (len(sources) if len(names) == 1 else 1)
    chosen, errors = [], []
    for name, source in zip(by_source, sources, strict=True):
        try:
            chosen.append(matching_dataset(config, name, source, vocabularies=vocabularies, raw_text=raw_text))
        except (ConfigError, DataError) as error:
            errors.append(error)
    if errors:
        raise type(errors[0])(dict.fromkeys(fault for error in errors for fault in error.faults))
    return chosen


def matching_dataset(
    config: Config,
    name: str | None,
    source: str | os.PathLike[str],
    *,
    vocabularies: Mapping[str, Vocabulary],
    raw_text: bool = False,
) -> str:
    """The dataset with this name, or without a name the one that the input belongs to.

    An input belongs to the only dataset that fits its format. If several fit, the labels in it decide: those of the
    dataset are in the ``vocabularies`` of its tasks. Logs the choice and its reason; raises ``ConfigError`` that lists
    the datasets if several or none are left.
    """
    if name is not None or len(config.datasets) == 1:
        chosen = choose_dataset(config, name)
        dataset = find_dataset(config, chosen)
        if not raw_text and os.path.isfile(source) and _is_plain(source, dataset):
            _warn_about_ids(source, dataset.word_idx)
        return chosen
    matching = [
        name
        for name, dataset in config.datasets.items()
        if (can_read_raw_text(dataset) if raw_text else _matches(dataset, source))
    ]
    reason = "the only dataset of this format"
    if len(matching) > 1 and not raw_text:
        matching, reason = _match_labels(config, matching, source, vocabularies)
    if len(matching) > 1 and predict_the_same([config.datasets[name] for name in matching]):
        reason = f"the tasks of {', '.join(matching[1:])} are the same"
        matching = matching[:1]
    if len(matching) != 1:
        raise ConfigError(f"{source}: {_undecided(config, matching)}")
    logger.info("%s: read as %s (%s): %s", source, matching[0], describe(config.datasets[matching[0]]), reason)
    return matching[0]


def _match_labels(
    config: Config,
    names: Sequence[str],
    source: str | os.PathLike[str],
    vocabularies: Mapping[str, Vocabulary],
) -> tuple[list[str], str]:
    """The datasets whose labels a file has, and the reason.

    It is a single one if the tasks that are found in the file for it include those that are found for all others.
    """
    labels = {
        name: find_known_labels(source, config.datasets[name], vocabularies, max_sentences=MAX_SENTENCES)
        for name in names
    }
    possible = [name for name in names if not labels[name].contradict] or names
    best = [name for name in possible if all(labels[name].known >= labels[other].known for other in possible)]
    chosen = best or possible
    if known := [task for task in config.datasets[chosen[0]].tasks if task in labels[chosen[0]].known]:
        return list(chosen), f"it has labels of {', '.join(known)}"
    others = [name for name in names if name not in chosen]
    return list(chosen), f"its labels are not those of {', '.join(others)}"


def _undecided(config: Config, matching: Sequence[str]) -> str:
    """The end of the error for an input that no dataset or several datasets fit."""
    known = ", ".join(f"{name} ({describe(dataset)})" for name, dataset in config.datasets.items())
    several = f"several datasets that may read it, {', '.join(matching)}"
    found = several if matching else "no dataset that reads it"
    joined = JOIN.join(matching)
    joint = f"; --dataset {joined} predicts the tasks of all" if matching and can_be_joined(config, matching) else ""
    return f"found {found}; expected --dataset with one of {known}{joint}"


def _warn_about_ids(source: str | os.PathLike[str], word_idx: Column | None) -> None:
    if isinstance(word_idx, int) and _are_ids(_read_sample(source), word_idx):
        logger.warning(
            "%s: column %d, which is read as words, contains only numbers; does the file have another format?",
            source,
            word_idx,
        )


def can_read_raw_text(config: DatasetConfig) -> bool:
    """Whether a dataset has words or a single text per row, so that a line of raw text can be its input."""
    return config.sent_idxs is None or len(config.sent_idxs) == 1


def describe(config: DatasetConfig) -> str:
    """Describes what a dataset reads, for messages."""
    if config.word_idx is not None:
        return f"words in column {config.word_idx}"
    if config.sent_idxs is None:
        return "plain text"
    plural = "s" * (len(config.sent_idxs) > 1)
    return f"text{plural} in column{plural} {', '.join(map(str, config.sent_idxs))}"


@dataclass(frozen=True, slots=True)
class _Sample:
    """The cells of the first lines of a file, without blank lines; ``word_rows`` are also without comments."""

    rows: list[list[str]]
    word_rows: list[list[str]]
    sentences: int

    @property
    def has_comments(self) -> bool:
        """Whether some lines, but not all, are comments."""
        return 0 < len(self.word_rows) < len(self.rows)

    @property
    def has_sentences(self) -> bool:
        """Whether it looks like sentences: blank lines at such distances, or one part with comments."""
        if self.sentences < 2:
            return self.has_comments
        return self.sentences < len(self.word_rows) <= MAX_MEAN_LENGTH * self.sentences


def _read_sample(source: str | os.PathLike[str]) -> _Sample:
    try:
        with open_data(source) as start:
            check_format(str(source), start.read(HEAD_BYTES))
        with io.TextIOWrapper(open_data(source), encoding="utf-8", errors="replace", newline="\n") as file:
            sentences = list(islice(_split_at_blank_lines(islice(file, MAX_LINES)), MAX_SENTENCES))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{source}: cannot be read ({reason})") from None
    # 0 is the first column: a leading line with # is a comment, whichever column has the words.
    words = [line for lines in sentences for line in lines[count_leading_lines(lines, 0) :]]
    return _Sample(_cells(chain.from_iterable(sentences)), _cells(words), len(sentences))


def _cells(lines: Iterable[str]) -> list[list[str]]:
    return [line.split("\t") for line in lines]


def _split_at_blank_lines(lines: Iterable[str]) -> Iterator[list[str]]:
    lines = (line.removeprefix(BYTE_ORDER_MARK).rstrip("\r\n") for line in lines)
    for is_text, part in groupby(lines, key=lambda line: bool(line.strip())):
        if is_text:
            yield list(part)


def _matches(config: DatasetConfig, source: str | os.PathLike[str]) -> bool:
    if not _is_plain(source, config):
        return _has_columns(config, source)
    sample = _read_sample(source)
    if isinstance(config.word_idx, int):
        # Lines without a blank line may be one sentence or a TSV file.
        may_have_words = sample.has_sentences or (sample.sentences == 1 and len(sample.rows) <= MAX_MEAN_LENGTH)
        columns = _shared_columns(sample.word_rows)
        return (
            may_have_words
            and config.word_idx < len(columns)
            and not any(map(_are_texts, columns))
            and not _are_ids(sample, config.word_idx)
        )
    if config.sent_idxs is not None:
        columns = _shared_columns(sample.rows[1:] if config.skip_first_line else sample.rows)
        indices = list(map(int, config.sent_idxs))
        if max(indices) >= len(columns):
            return False
        texts = [columns[index] for index in indices]
        return not any(map(_are_empty, texts)) and (not sample.has_sentences or all(map(_are_texts, texts)))
    lines = sample.word_rows if sample.has_sentences else sample.rows
    has_columns = sum(len(row) > 1 for row in lines) > len(lines) / 2
    are_words = sample.has_sentences and not _are_texts([row[0] for row in lines])
    return bool(lines) and not has_columns and not are_words


def _is_plain(source: str | os.PathLike[str], config: DatasetConfig) -> bool:
    """Whether a dataset would read a file as lines with columns that have numbers and are separated by tabs."""
    is_tsv = format_of(source, config.format) == "tsv" and config.separator is None and not config.quoting
    return is_tsv and not file_format_of(config).has_names


def _has_columns(config: DatasetConfig, source: str | os.PathLike[str]) -> bool:
    """Whether the first sentences of a file have the words or texts of a dataset."""
    faults = FaultList()
    records = read_records(source, file_format_of(config), required=config.text_columns(), faults=faults)
    try:
        found = list(islice(records, MAX_SENTENCES))
    except DataError:
        return False
    return not faults.count and any(record.rows for record in found)


def _shared_columns(rows: list[list[str]]) -> list[tuple[str, ...]]:
    """The columns that all rows have."""
    return list(zip(*rows, strict=False))


def _are_ids(sample: _Sample, column: int) -> bool:
    """Whether a column contains the ids of CoNLL-U."""
    cells = [row[column] for row in sample.word_rows if column < len(row)]
    return len(cells) > 1 and all(re.fullmatch(r"\d+([-.]\d+)?", cell) for cell in cells)


def _are_texts(cells: Sequence[str]) -> bool:
    """Whether most cells contain spaces, as words do not."""
    return sum(" " in cell.strip() for cell in cells) > len(cells) / 2


def _are_empty(cells: Sequence[str]) -> bool:
    """Whether a column has only placeholders of labels."""
    return all(cell == EMPTY for cell in cells)
