"""Raw text as records: one sentence or text a line, in the columns that a dataset wants."""

import os
from collections.abc import Iterable, Iterator

from machamp_lite.batching.instances import Instance
from machamp_lite.batching.reader import CHUNK, InstanceReader
from machamp_lite.config.schema import DatasetConfig, decoder_class
from machamp_lite.data.chunks import in_chunks
from machamp_lite.data.records import EMPTY, Layout, Record, read_records
from machamp_lite.decoders.tok import Span, spans_of
from machamp_lite.errors import ConfigError, FaultList
from machamp_lite.evaluation import predict_labels
from machamp_lite.fitting import can_read_raw_text, describe
from machamp_lite.model import Model

CONLLU_COLUMNS = 10
MISC = 9


def check_raw_text(config: DatasetConfig, dataset: str, *, pre_tokenized: bool) -> None:
    """Raises ``ConfigError`` if one line does not hold all texts of a row, or if ``pre_tokenized`` has no meaning."""
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
    """The lines of a file as records of a dataset: of words, of texts, or as they are where the dataset is plain text.

    Words are what the dataset's ``tok`` task makes of a line; without one, or if the text is ``pre_tokenized``, what
    stands between spaces.
    """
    config = model.config.datasets[dataset]
    if config.word_idx is not None and (pre_tokenized or raw_task(config) is None):
        return read_records(source, Layout(config.word_idx), raw_text_columns=_columns(config), faults=faults)
    lines = read_records(source, Layout(), faults=faults)
    if config.word_idx is not None:
        return _split_into_words(model, dataset, lines, batch_size=batch_size)
    return lines if config.sent_idxs is None else _in_a_column(config, lines)


def raw_task(config: DatasetConfig) -> str | None:
    """The first task of a dataset that splits raw text into words; None if there is none."""
    return next(
        (task for task, options in config.active().tasks.items() if decoder_class(options).reads == "raw"),
        None,
    )


def _columns(config: DatasetConfig) -> int:
    """The columns of rows of words: ten if they look like CoNLL-U, else what the tasks need."""
    needed = max(config.required_columns()) + 1
    looks_like_conllu = config.word_idx == 1 and (needed > 3 or raw_task(config) is not None)
    return max(CONLLU_COLUMNS, needed) if looks_like_conllu else needed


def _in_a_column(config: DatasetConfig, lines: Iterable[Record]) -> Iterator[Record]:
    """Each line as the only text of a row; blank lines stay, so that lines of input and output go together."""
    (column,) = config.sent_idxs or (0,)
    needed = max(config.required_columns()) + 1
    for record in lines:
        if not record.rows:
            yield record
            continue
        row = [EMPTY] * needed
        # A tab would begin another column.
        row[column] = " ".join(record.words[0].split("\t"))
        yield Record(record.path, record.first_line, record.lines, [row], [0], [row[column]])


def _split_into_words(
    model: Model, dataset: str, lines: Iterable[Record], *, batch_size: int | None
) -> Iterator[Record]:
    """Each line as a sentence, in the words that the model makes of it; lines without words are left out."""
    config = model.config.datasets[dataset]
    task = str(raw_task(config))
    reader = InstanceReader(
        name=dataset, config=config, tokenizer=model.tokenizer, vocabularies=model.vocabularies
    )
    columns, word_idx = _columns(config), config.word_idx or 0
    stream = (record for record in lines if record.rows and record.words[0].strip())
    for chunk in in_chunks(stream, CHUNK):
        texts = [record.words[0].strip() for record in chunk]
        instances = [
            Instance(dataset, "raw", record.where(), *reader.see.raw_text(text), {}, {})
            for record, text in zip(chunk, texts, strict=True)
        ]
        tags = dict(predict_labels(model, instances, batch_size=batch_size))
        for place, (record, text) in enumerate(zip(chunk, texts, strict=True)):
            spans = spans_of(text, tags[place][task])
            rows = [
                _row(number, text, span, columns=columns, word_idx=word_idx)
                for number, span in enumerate(spans, start=1)
            ]
            words = [row[word_idx] for row in rows]
            ids = {row[0]: number for number, row in enumerate(rows, start=1)} if word_idx else None
            block = [f"# text = {text}\n", *["\n"] * len(rows), "\n"]
            yield Record(
                record.path, record.first_line, block, rows, list(range(1, len(rows) + 1)), words, ids
            )


def _row(number: int, text: str, span: Span, *, columns: int, word_idx: int) -> list[str]:
    start, end = span
    row = [EMPTY] * columns
    if word_idx:
        row[0] = str(number)
    # White space inside a word is one space: a tab would begin another column.
    row[word_idx] = " ".join(text[start:end].split())
    if columns == CONLLU_COLUMNS and end < len(text) and not text[end].isspace():
        row[MISC] = "SpaceAfter=No"
    return row
