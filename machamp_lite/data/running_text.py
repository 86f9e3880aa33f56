"""Chooses how words are passed to a tokenizer so that they get the same subwords as in running text."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from machamp_lite.errors import ConfigError

logger = logging.getLogger(__name__)

# The key of the choice in tokenizer_config.json.
KEY = "word_boundary"
_AS_IS, _LEADING_SPACE, _SPACE_TOKEN = "as_is", "leading_space", "space_token"
# Only in models of older versions, which ignored the spaces in raw text.
_SPACE_TOKEN_OF_WORDS = "space_token_of_words"
_DESCRIPTIONS = {
    _AS_IS: "as they are",
    _LEADING_SPACE: "with a space before each",
    _SPACE_TOKEN: "with the subword of a space between them",
    _SPACE_TOKEN_OF_WORDS: "with the subword of a space between them",
}
# Several scripts, numbers, punctuation, contractions, and words of one character.
_PROBES = [
    probe.split()
    for probe in (
        "The old dog does n't like 12 cats .",
        "a I x 7 , \" ( hello ) 's & 2024 !",
        "in XML 3.14 % of e-mails -- we 're (un)sure : http://x.org/a_b",
        "Über naïve Straßen , ¿ qué œuvre ?",
        "Дом стоит у реки . Η θάλασσα",
        "我 喜欢 猫 。 犬 が 走る",
        "هذا بيت كبير हिन्दी में",
    )
]
_SPACE_PROBES = ("a", "the", "1", ".", "x")
_WORDS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class WordBoundary:
    """The string before each word, and the subword ids between words of a sentence and between chunks of raw text."""

    prefix: str = ""
    between_words: tuple[int, ...] = ()
    between_chunks: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Agreement:
    """The number of words that were compared with running text, and those with other subwords."""

    compared: int
    differing: list[str]

    def __str__(self) -> str:
        shown = ", ".join(repr(word) for word in self.differing[:_WORDS_SHOWN])
        return f"{len(self.differing)} of {self.compared} test words, such as {shown}"


def choose_word_boundary(tokenizer: Any, name: str, *, is_saved_model: bool = False) -> None:
    """Chooses the boundary with which words get the subwords of running text, and stores it in the tokenizer.

    The tokenizer of a saved model keeps its boundary, so that prediction equals training; models of older versions
    have none. Raises ``ConfigError`` if it has an unknown one.
    """
    stored = tokenizer.init_kwargs.get(KEY)
    if stored is None:
        switch_off_padding(tokenizer)
        choose = _choose_for_older_model if is_saved_model else _choose_for_encoder
        tokenizer.init_kwargs[KEY] = choose(tokenizer, name)
    elif stored not in tuple(_DESCRIPTIONS):
        raise ConfigError(
            f"{name}: tokenizer_config.json: {KEY}: found {stored!r:.60}, expected one of {', '.join(_DESCRIPTIONS)}"
        )


def _choose_for_older_model(tokenizer: Any, name: str) -> str:
    """The boundary with which older versions trained a model."""
    chosen = _SPACE_TOKEN_OF_WORDS if _space(tokenizer) else _AS_IS
    agreement = compare_with_running_text(tokenizer, _boundary(tokenizer, chosen))
    if agreement.differing:
        logger.warning(
            "%s: this model was trained by an older version with other subwords than in running text (%s); "
            "it keeps them; train it again for better scores",
            name,
            agreement,
        )
    return chosen


def _choose_for_encoder(tokenizer: Any, name: str) -> str:
    """The boundary with which the fewest words differ from running text; the first one if several are equal."""
    chosen, agreement = _AS_IS, compare_with_running_text(tokenizer, WordBoundary())
    for other in (_SPACE_TOKEN, _LEADING_SPACE):
        if not agreement.differing:
            break
        found = compare_with_running_text(tokenizer, _boundary(tokenizer, other))
        if len(found.differing) < len(agreement.differing):
            chosen, agreement = other, found
    if agreement.differing:
        logger.warning(
            "%s: words have other subwords than in running text (%s), so the encoder sees input unlike its "
            "pretraining data and scores may be low; use another transformer_model if you can",
            name,
            agreement,
        )
    elif chosen != _AS_IS:
        logger.info(
            "%s: words are tokenized %s, which gives the subwords of running text", name, _DESCRIPTIONS[chosen]
        )
    return chosen


def word_boundary(tokenizer: Any) -> WordBoundary:
    """The boundary of a tokenizer; chooses one if there is none."""
    choose_word_boundary(tokenizer, tokenizer.name_or_path or type(tokenizer).__name__)
    return _boundary(tokenizer, tokenizer.init_kwargs[KEY])


def compare_with_running_text(tokenizer: Any, boundary: WordBoundary) -> Agreement:
    """Compares the subwords of single words with those in running text, from the second word of each sentence on.

    The first word has no space before it, which changes its subwords with some tokenizers.
    """
    compared, differing = 0, []
    for words in _PROBES:
        running = _ids(tokenizer, (" ".join(words[: index + 1]) for index in range(len(words))))
        alone = _ids(tokenizer, (boundary.prefix + word for word in words))
        for index in range(1, len(words)):
            if not alone[index]:
                # The word will become one unknown token.
                continue
            compared += 1
            if running[index] != [*running[index - 1], *boundary.between_words, *alone[index]]:
                differing.append(words[index])
    return Agreement(compared, differing)


def _boundary(tokenizer: Any, name: str) -> WordBoundary:
    if name == _LEADING_SPACE:
        return WordBoundary(prefix=" ")
    if name == _AS_IS:
        return WordBoundary()
    space = _space(tokenizer)
    return WordBoundary(between_words=space, between_chunks=space if name == _SPACE_TOKEN else ())


def _space(tokenizer: Any) -> tuple[int, ...]:
    """The ids of a space between two words; empty if the space is part of a word's subwords."""
    for word in _SPACE_PROBES:
        alone, two = _ids(tokenizer, [word, f"{word} {word}"])
        size = len(alone)
        if alone and len(two) > 2 * size and two[:size] == alone and two[-size:] == alone:
            return tuple(two[size:-size])
    return ()


def _ids(tokenizer: Any, texts: Iterable[str]) -> Sequence[list[int]]:
    encoded = tokenizer(list(texts), add_special_tokens=False, verbose=False)
    return [list(ids) for ids in encoded["input_ids"]]


def switch_off_padding(tokenizer: Any) -> None:
    """Switches off padding and truncation, which tokenizer.json may set and which would change the subwords."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        backend.no_padding()
        backend.no_truncation()
