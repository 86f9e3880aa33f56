"""Where the words of raw text start and end: at white space, or by the Unicode rules for word boundaries."""

import re
from itertools import pairwise

import regex

# Where a word starts and ends in a text.
Span = tuple[int, int]

_CHUNK = re.compile(r"\S+")
# The WORD flag makes \b the boundary of Unicode Standard Annex 29. It leaves Thai, Lao, Khmer and Burmese to
# dictionaries, which this program does not have: their letters stay together.
_BOUNDARY = regex.compile(r"(?w)\b(?<!\p{Line_Break=SA}(?=\p{Line_Break=SA}))")
# Control and format characters, such as a zero-width space.
_UNSEEN = regex.compile(r"[\p{Cc}\p{Cf}]+")
_WITHOUT_SPACES = regex.compile(r"[\p{Line_Break=SA}\p{Han}\p{Hiragana}\p{Katakana}]")


def at_white_space(text: str) -> list[Span]:
    """The words between white space.

    >>> at_white_space("I don't.")
    [(0, 1), (2, 8)]
    """
    return [match.span() for match in _CHUNK.finditer(text)]


def at_word_boundaries(text: str) -> list[Span]:
    """The words by Unicode Standard Annex 29; punctuation is a word of one character.

    >>> at_word_boundaries("I don't.")
    [(0, 1), (2, 7), (7, 8)]
    """
    return [span for match in _CHUNK.finditer(text) for span in _words_of_chunk(match.group(), match.start())]


def _words_of_chunk(chunk: str, offset: int) -> list[Span]:
    if chunk.isalnum() and chunk.isascii():
        return [(offset, offset + len(chunk))]
    places = sorted({0, *(match.start() for match in _BOUNDARY.finditer(chunk)), len(chunk)})
    spans: list[Span] = []
    # Unseen characters belong to the word before them, at the start of a chunk to the word after them.
    starts_unseen = False
    for start, end in pairwise(places):
        is_unseen = bool(_UNSEEN.fullmatch(chunk, start, end))
        if not spans:
            starts_unseen = is_unseen
        elif is_unseen or starts_unseen:
            start = spans.pop()[0] - offset
            starts_unseen = starts_unseen and is_unseen
        spans.append((offset + start, offset + end))
    return spans


def is_written_without_spaces(text: str) -> bool:
    """Whether some of a text is in a script that has no spaces between words, such as Chinese or Thai."""
    return bool(_WITHOUT_SPACES.search(text))
