"""Arranges the subwords of sentences in segments, which the encoder reads separately."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from machamp_lite.data.ragged_array import RaggedArray

# Sentences with more subwords are split between words and predicted in parts, because the scores of a parser take
# memory with the square of the number of words. Texts with more subwords are truncated.
MAX_PART_SUBWORDS = 512
MAX_TEXT_SUBWORDS = 2**16


@dataclass(frozen=True, slots=True)
class Segments:
    """The segments of one sentence, concatenated, including special tokens.

    *Shape:* ``subword_ids`` and ``type_ids`` (S,); ``segment_starts`` (P,), the index of each segment's first subword;
    ``word_starts`` and ``word_ends`` (W,), the indices of each word's first and last subword.
    """

    subword_ids: np.ndarray
    type_ids: np.ndarray
    segment_starts: np.ndarray
    word_starts: np.ndarray
    word_ends: np.ndarray

    @property
    def longest(self) -> int:
        """The number of subwords of the longest segment."""
        starts, subwords = self.segment_starts, len(self.subword_ids)
        return subwords if len(starts) == 1 else int(np.diff(starts, append=subwords).max())


def split_segments(segments: Segments, *, is_text: bool, max_subwords: int) -> list[tuple[Segments, slice]]:
    """The parts in which a long sentence is predicted, with the words of each; of a long text only the first one.

    A part has as many segments as fit ``max_subwords``, and at least one.
    """
    if len(segments.subword_ids) <= max_subwords or len(segments.segment_starts) == 1:
        return [(segments, slice(None))]
    parts = [_part(segments, start, end) for start, end in _spans(segments, max_subwords)]
    return parts[:1] if is_text else parts


def _spans(segments: Segments, limit: int) -> Iterator[tuple[int, int]]:
    """The start and end of each part, in subwords."""
    ends = [*segments.segment_starts[1:].tolist(), len(segments.subword_ids)]
    start = last = 0
    for end in ends:
        if end - start > limit and last > start:
            yield start, last
            start = last
        last = end
    yield start, last


def _part(segments: Segments, start: int, end: int) -> tuple[Segments, slice]:
    first, last = np.searchsorted(segments.word_ends, [start, end]).tolist()
    inside = (segments.segment_starts >= start) & (segments.segment_starts < end)
    part = Segments(
        segments.subword_ids[start:end],
        segments.type_ids[start:end],
        segments.segment_starts[inside] - start,
        segments.word_starts[first:last] - start,
        segments.word_ends[first:last] - start,
    )
    return part, slice(first, last)


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """The ids that a tokenizer adds before, between and after texts (any may be empty), and the second text's type."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    second_text_type: int


def arrange_segments(
    words: RaggedArray,
    lengths: np.ndarray,
    *,
    special: SpecialTokens,
    between_words: tuple[int, ...],
    unknown_id: int,
    max_subwords: int,
) -> list[Segments]:
    """Arranges sentences in segments of at most ``max_subwords`` subwords; a word is never split.

    ``words`` has a row per word with its subwords, at most ``max_subwords``; ``lengths`` (B,) is the number of words
    per sentence. A sentence without words becomes one ``unknown_id`` if the tokenizer adds no special tokens.
    """
    sizes = words.lengths
    begins = _segment_begins(sizes, lengths, space=len(between_words), max_subwords=max_subwords)
    sentences = np.repeat(np.arange(len(lengths)), lengths)
    # A sentence without words is one segment.
    segment_counts = np.maximum(np.bincount(sentences[begins], minlength=len(lengths)), 1)
    segments = np.cumsum(begins) - 1 + np.cumsum(lengths == 0)[sentences]
    taken = sizes + np.where(begins, 0, len(between_words))
    contents = np.bincount(segments, taken, minlength=int(segment_counts.sum())).astype(np.int64)
    segment_sizes = np.maximum(len(special.before) + contents + len(special.after), 1)
    ends = np.cumsum(segment_sizes)
    starts = ends - segment_sizes
    content_before = np.cumsum(contents) - contents
    word_ends = np.cumsum(taken) - 1 + (starts + len(special.before) - content_before)[segments]

    ids = np.full(int(segment_sizes.sum()), unknown_id, dtype=np.int64)
    ids[np.repeat(word_ends + 1 - sizes - words.starts[:-1], sizes) + np.arange(len(words.values))] = (
        words.values
    )
    inner = (word_ends + 1 - taken)[~begins]
    for indices, inserted in (
        (starts, special.before),
        (ends - len(special.after), special.after),
        (inner, between_words),
    ):
        ids[indices[:, None] + np.arange(len(inserted))] = inserted

    segment_rows = RaggedArray.of(starts, segment_counts)
    firsts = starts[segment_rows.starts[:-1]]
    subwords = RaggedArray(ids, np.append(firsts, len(ids)))
    columns = (
        subwords,
        RaggedArray(np.zeros_like(ids), subwords.starts),
        RaggedArray(starts - np.repeat(firsts, segment_counts), segment_rows.starts),
        RaggedArray.of(word_ends + 1 - sizes - firsts[sentences], lengths),
        RaggedArray.of(word_ends - firsts[sentences], lengths),
    )
    return [Segments(*rows) for rows in zip(*(column.rows() for column in columns), strict=True)]


def _segment_begins(
    sizes: np.ndarray, lengths: np.ndarray, *, space: int, max_subwords: int
) -> np.ndarray:
    """Whether each word begins a segment: the first of a sentence, and one that does not fit the segment before."""
    begins = np.zeros(len(sizes), dtype=bool)
    rows = RaggedArray.of(sizes, lengths)
    begins[rows.starts[:-1][lengths > 0]] = True
    for sentence in np.flatnonzero(rows.sums() + space * (lengths - 1) > max_subwords).tolist():
        used = 0
        for word, size in enumerate(rows[sentence].tolist(), start=int(rows.starts[sentence])):
            needed = size + (space if used else 0)
            if used + needed > max_subwords:
                begins[word] = True
                used, needed = 0, size
            used += needed
    return begins
