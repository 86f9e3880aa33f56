"""The inputs of a prediction in memory: texts, words, and rows of several texts."""

from collections.abc import Iterator, Sequence

from machamp_lite.api.prediction import Token
from machamp_lite.api.sentences import Input, Sentence, sentence_of_words, tokens_in
from machamp_lite.config.joint_datasets import JOIN, can_be_joined
from machamp_lite.config.schema import Config, DatasetConfig
from machamp_lite.data.raw_text import Span, split_at_white_space, split_at_word_boundaries
from machamp_lite.data.raw_text_tokenizer import RawTextTokenizer
from machamp_lite.data.records import Record
from machamp_lite.decoders.tok import BEGIN, spans_of, tag_characters
from machamp_lite.errors import ConfigError, DataError, counted
from machamp_lite.inference.dataset_matching import can_read_raw_text, describe
from machamp_lite.inference.raw_text import raw_task, spans_by_model
from machamp_lite.model.multitask_model import Model


def choose_datasets(config: Config, given: Input) -> str:
    """The name of the dataset that reads an input; of several, those whose tasks can be predicted together.

    Raises ``ConfigError`` if there is none, or if they cannot be predicted together.
    """
    names = [name for name, dataset in config.datasets.items() if dataset.active().tasks and _reads(dataset, given)]
    if names and can_be_joined(config, names):
        return JOIN.join(names)
    known = ", ".join(f"{name} ({describe(config.datasets[name])})" for name in names or config.datasets)
    form = "a text" if isinstance(given, str) else f"{len(given)} words or texts"
    found = "several datasets that read" if names else "no dataset that reads"
    raise ConfigError(f"dataset: found {found} an input such as the first one ({form}), expected one of {known}")


def _reads(config: DatasetConfig, given: Input) -> bool:
    if isinstance(given, str):
        return can_read_raw_text(config)
    return config.sent_idxs is None or len(config.sent_idxs) == len(given)


def read_sentences(
    model: Model,
    dataset: str,
    config: DatasetConfig,
    inputs: Sequence[Input],
    *,
    first: int,
    pre_tokenized: bool,
    raw_text: RawTextTokenizer,
    batch_size: int | None,
) -> list[Sentence]:
    """The sentences of inputs, the first of which has the number ``first`` in messages.

    Texts for a model of words are split by its ``tok`` task, or without one at Unicode word boundaries.
    """
    if config.word_idx is None:
        return [sentence_of_texts(given, number, dataset, config) for number, given in enumerate(inputs, first)]
    texts = [given for given in inputs if isinstance(given, str)]
    spans: Iterator[list[Span]]
    if pre_tokenized:
        spans = map(split_at_white_space, texts)
    elif raw_task(config) is None:
        spans = map(split_at_word_boundaries, texts)
    else:
        places = [f"input {number}" for number, given in enumerate(inputs, first) if isinstance(given, str)]
        spans = _spans_by_model(model, dataset, texts, places, raw_text, batch_size)
    return [
        Sentence((given,), tokens_in(given, next(spans))) if isinstance(given, str) else sentence_of_words(given)
        for given in inputs
    ]


def _spans_by_model(
    model: Model, dataset: str, texts: list[str], places: list[str], tokenizer: RawTextTokenizer, batch_size: int | None
) -> Iterator[list[Span]]:
    # A blank text has no words.
    kept = [index for index, text in enumerate(texts) if text.strip()]
    found = spans_by_model(
        model,
        dataset,
        [texts[index] for index in kept],
        places=[places[index] for index in kept],
        tokenizer=tokenizer,
        batch_size=batch_size,
    )
    by_index = dict(zip(kept, found, strict=True))
    return iter([by_index.get(index, []) for index in range(len(texts))])


def sentence_of_texts(given: Input, number: int, dataset: str, config: DatasetConfig) -> Sentence:
    """A text or a row; raises ``DataError`` for a row with another number of texts than the dataset has."""
    texts = (given,) if isinstance(given, str) else tuple(given)
    if config.sent_idxs is not None and len(texts) != len(config.sent_idxs):
        raise DataError(
            f"input {number}: found {counted(len(texts), 'text')}, expected {len(config.sent_idxs)}: the dataset "
            f"'{dataset}' has {describe(config)}"
        )
    return Sentence(texts)


def sentence_of_record(record: Record, *, has_words: bool) -> Sentence:
    """The sentence of a record of a file; offsets are those in the comment ``# text`` if it has its words."""
    if not has_words:
        return Sentence(tuple(record.words))
    text = record.comment("text")
    tags = None if text is None else tag_characters(text, record)
    if text is None or tags is None or tags.count(BEGIN) != len(record.words):
        return sentence_of_words(record.words)
    spans = spans_of(text, tags)
    tokens = tuple(Token(word, start, end) for word, (start, end) in zip(record.words, spans, strict=True))
    return Sentence((text,), tokens)
