"""One input of a prediction: its texts, its words with their offsets, and spans of words; imports no torch."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, TypeAlias, TypeVar, cast

from machamp_lite.api.prediction import Span, Token
from machamp_lite.data.raw_text import Span as TextSpan
from machamp_lite.data.records import Record
from machamp_lite.data.span_schemes import Scheme
from machamp_lite.data.span_schemes import Span as WordSpan
from machamp_lite.errors import ConfigError, DataError, did_you_mean, shorten

T = TypeVar("T")

# Inputs of a stream that are predicted together.
STREAM_CHUNK = 512

# A text, the words of a sentence, or the texts of a row.
Input: TypeAlias = str | Sequence[str]
# No tokenizer reads them, but JSON and files that are read with surrogateescape can have them.
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Sentence:
    """An input as a model reads it: its texts, and its words if it has a model of words."""

    texts: tuple[str, ...]
    tokens: tuple[Token, ...] = ()

    def items(self, *, has_words: bool) -> list[str]:
        """The words, or the texts, as a model reads them."""
        return [" ".join(token.text.split()) or token.text for token in self.tokens] if has_words else list(self.texts)

    def record(self, number: int, *, has_words: bool) -> Record:
        """The record of a file without columns for labels."""
        words = self.items(has_words=has_words)
        return Record("input", number, [], [[] for _ in words], list(range(len(words))), words)


def check_input(given: Any, number: int) -> Input:
    """The input if it is one; raises ``DataError`` for anything else."""
    parts = [given] if isinstance(given, str) else given
    if isinstance(parts, Sequence) and not isinstance(parts, bytes) and all(isinstance(part, str) for part in parts):
        if any(map(_SURROGATE.search, parts)):
            raise DataError(f"input {number}: found half of a surrogate pair, expected whole characters")
        return cast(Input, given)
    raise DataError(
        f"input {number}: found {shorten(repr(given))} of type {type(given).__name__}, expected a text (str), or words "
        "or the texts of a row (a tuple or list of str)"
    )


def check_sizes(**sizes: Any) -> None:
    """Raises ``ConfigError`` for an argument that is neither a number above 0 nor None."""
    for name, number in sizes.items():
        if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 1):
            raise ConfigError(f"{name}: found {number!r}, expected a number above 0, or None")


def choose_tasks(tasks: Mapping[str, T], names: Collection[str] | None) -> dict[str, T]:
    """Some of the tasks, by default all; raises ``ConfigError`` for an unknown one, and for none."""
    if names is None:
        return dict(tasks)
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, Collection) or not names or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"tasks: found {shorten(repr(names)) if names else 'none'}, expected names of tasks")
    unknown = [name for name in names if name not in tasks]
    if unknown:
        raise ConfigError(f"tasks: unknown task '{name}'{did_you_mean(name, tasks)}" for name in unknown)
    return {task: options for task, options in tasks.items() if task in names}


def is_single(inputs: Any) -> bool:
    """Whether the inputs of ``predict`` are a single one; raises ``DataError`` if they cannot be inputs."""
    if isinstance(inputs, str | tuple):
        return True
    if isinstance(inputs, bytes | Mapping) or not isinstance(inputs, Iterable):
        check_input(inputs, 1)
    return False


def tokens_in(text: str, spans: Iterable[TextSpan]) -> tuple[Token, ...]:
    """The words of a text from their starts and ends."""
    return tuple(Token(text[start:end], start, end) for start, end in spans)


def sentence_of_words(words: Sequence[str]) -> Sentence:
    """A sentence with spaces between its words.

    >>> sentence_of_words(["I", "ran"])
    Sentence(texts=('I ran',), tokens=(Token(text='I', start=0, end=1), Token(text='ran', start=2, end=5)))
    """
    starts = accumulate((len(word) + 1 for word in words[:-1]), initial=0)
    tokens = tuple(Token(word, start, start + len(word)) for word, start in zip(words, starts, strict=False))
    return Sentence((" ".join(words),), tokens)


def spans_of(
    sentence: Sentence, labels: Sequence[str], scheme: Scheme, probabilities: Mapping[WordSpan, float]
) -> tuple[Span, ...]:
    """The spans that the labels of words mark, with their offsets in the text."""
    (text,), tokens = sentence.texts, sentence.tokens
    spans = []
    for start, end, label in scheme.spans(labels):
        first, last = tokens[start].start, tokens[end - 1].end
        probability = probabilities.get((start, end, label))
        spans.append(Span(label, start, end, first, last, text[first:last], probability))
    return tuple(spans)
