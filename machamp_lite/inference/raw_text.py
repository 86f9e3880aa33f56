"""Reads raw text, one sentence or text per line, as records with the columns that a dataset requires."""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence

from machamp_lite.config.joint_datasets import find_dataset
from machamp_lite.config.schema import DatasetConfig
from machamp_lite.data.raw_text import (
    MISC,
    RawTextColumns,
    Span,
    is_written_without_spaces,
    raw_text_record,
    read_raw_text,
    split_at_white_space,
    split_at_word_boundaries,
)
from machamp_lite.data.raw_text_tokenizer import RawTextTokenizer
from machamp_lite.data.records import EMPTY, FileFormat, Record, in_chunks, read_records
from machamp_lite.dataloading.dataset_reader import CHUNK
from machamp_lite.dataloading.example import Example
from machamp_lite.decoders.tok import spans_of
from machamp_lite.errors import ConfigError, FaultList
from machamp_lite.inference.dataset_matching import can_read_raw_text, describe
from machamp_lite.inference.engine import predict_labels
from machamp_lite.model.multitask_model import Model

logger = logging.getLogger(__name__)

CONLLU_COLUMNS = 10


def check_raw_text(config: DatasetConfig, dataset: str, *, pre_tokenized: bool) -> None:
    """Raises ``ConfigError`` for a dataset with several texts per row, and for ``pre_tokenized`` without words."""
    found = f"{dataset} reads {describe(config)}"
    if not can_read_raw_text(config):
        raise ConfigError(
            f"--raw_text: {found}, expected a dataset with word_idx or with one column of texts"
        )
    if pre_tokenized and config.word_idx is None:
        raise ConfigError(f"--pre_tokenized: {found}, expected a dataset with word_idx")


def raw_text_records(
    model: Model,
    dataset: str,
    source: str | os.PathLike[str],
    *,
    pre_tokenized: bool = False,
    batch_size: int | None = None,
    faults: FaultList,
) -> Iterator[Record]:
    """Reads the lines of a file as records of a dataset: with words, with a text in a column, or as plain text.

    Lines are split into words at white space if they are ``pre_tokenized``, else by the dataset's ``tok`` task, or
    without one at Unicode word boundaries.
    """
    config = find_dataset(model.config, dataset)
    if config.word_idx is None:
        lines = read_records(source, FileFormat(), faults=faults)
        return lines if config.sent_idxs is None else _with_header(source, config, _in_a_column(config, lines))
    columns, task = _columns(config), raw_task(config)
    texts, name = read_raw_text(source, faults), str(source)
    if pre_tokenized:
        logger.info("%s: words are split at white space only (--pre_tokenized)", name)
        records: Iterator[Record] = (
            raw_text_record(name, number, text, split_at_white_space(text), columns) for number, text in texts
        )
    elif task is None:
        records = _split_at_word_boundaries(name, texts, columns)
    else:
        logger.info("%s: words are split by the task '%s' (tok)", name, task)
        records = _split_by_model(model, dataset, name, texts, columns, batch_size=batch_size)
    return _with_header(source, config, records)


def _names(config: DatasetConfig) -> dict[str, int]:
    """The positions of the named columns of a dataset in rows that are made from raw text."""
    values = config.sentence_values()
    columns = [column for column in config.required_columns() if column not in values]
    ordered = sorted(columns, key=lambda column: column not in config.text_columns())
    return {column: index for index, column in enumerate(ordered) if isinstance(column, str)}


def _with_header(
    source: str | os.PathLike[str], config: DatasetConfig, records: Iterator[Record]
) -> Iterator[Record]:
    """The records below a header, if columns have names."""
    names = _names(config)
    if names:
        yield Record(str(source), 1, ["\t".join(names) + "\n"])
    yield from records


def raw_task(config: DatasetConfig) -> str | None:
    """The first task of a dataset that splits raw text into words; None if there is none."""
    return next(
        (
            task
            for task, options in config.active().tasks.items()
            if options.input_type == "raw"
        ),
        None,
    )


def _columns(config: DatasetConfig) -> RawTextColumns:
    """The columns that a dataset requires, or ten if it looks like CoNLL-U."""
    names, required = _names(config), config.required_columns()
    if names:
        return RawTextColumns(len(names), names[str(config.word_idx)], has_ids=False, names=names)
    needed, id_task = max(map(int, required)) + 1, config.id_task()
    is_conllu = config.word_idx == 1 and id_task is None and (needed > 3 or raw_task(config) is not None)
    return RawTextColumns(
        max(CONLLU_COLUMNS, needed) if is_conllu else needed,
        int(config.word_idx or 0),
        has_ids=id_task is None,
        has_misc=is_conllu and MISC not in required,
    )


def _in_a_column(config: DatasetConfig, lines: Iterable[Record]) -> Iterator[Record]:
    """Each line as the only text of a row. Blank lines are kept, so that input and output have the same lines."""
    names = _names(config)
    (given,) = config.sent_idxs or (0,)
    column = names[given] if isinstance(given, str) else given
    needed = len(names) or max(map(int, config.required_columns())) + 1
    for record in lines:
        if not record.rows:
            yield record
            continue
        row = [EMPTY] * needed
        # A tab would start another column.
        row[column] = " ".join(record.words[0].split("\t"))
        yield Record(record.path, record.first_line, record.lines, [row], [0], [row[column]], names=names)


def _split_at_word_boundaries(
    source: str, texts: Iterable[tuple[int, str]], columns: RawTextColumns
) -> Iterator[Record]:
    """Each line as a sentence, split at Unicode word boundaries."""
    logger.info(
        "%s: words are split at Unicode word boundaries (UAX 29); --pre_tokenized splits at white space only",
        source,
    )
    has_warned = False
    for number, text in texts:
        if not has_warned and is_written_without_spaces(text):
            has_warned = True
            logger.warning(
                "%s: found a script without spaces between words (first in line %d): Chinese and Japanese are "
                "split into characters, Thai and the like only at spaces; a task of type tok or --pre_tokenized is "
                "better",
                source,
                number,
            )
        yield raw_text_record(source, number, text, split_at_word_boundaries(text), columns)


def _split_by_model(
    model: Model,
    dataset: str,
    source: str,
    texts: Iterable[tuple[int, str]],
    columns: RawTextColumns,
    *,
    batch_size: int | None,
) -> Iterator[Record]:
    """Each line as a sentence, split into words by the model."""
    tokenizer = RawTextTokenizer(model.tokenizer)
    lines = (Record(source, number, [text], words=text.split()) for number, text in texts)
    for chunk in in_chunks(lines, CHUNK):
        spans = spans_by_model(
            model,
            dataset,
            [line.lines[0] for line in chunk],
            places=[line.where() for line in chunk],
            tokenizer=tokenizer,
            batch_size=batch_size,
        )
        for line, own in zip(chunk, spans, strict=True):
            yield raw_text_record(source, line.first_line, line.lines[0], own, columns)


def spans_by_model(
    model: Model,
    dataset: str,
    texts: Sequence[str],
    *,
    places: Sequence[str],
    tokenizer: RawTextTokenizer,
    batch_size: int | None = None,
) -> list[list[Span]]:
    """The words of texts, found by the ``tok`` task of a dataset; ``places`` name the texts in messages."""
    task = str(raw_task(find_dataset(model.config, dataset)))
    examples = [
        Example(dataset, "raw", place, *tokenizer(text), {}, {}) for text, place in zip(texts, places, strict=True)
    ]
    tags = dict(predict_labels(model, examples, batch_size=batch_size))
    return [spans_of(text, tags[index][task]) for index, text in enumerate(texts)]
