"""Sentences as the encoder reads them: pieces of subwords, special tokens included."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from machamp_lite.data.ragged_array import RaggedArray, lengths_of


@dataclass(frozen=True, slots=True)
class Segments:
    """One sentence for the encoder: its pieces one after another, special tokens included.

    ``subword_ids`` and ``type_ids`` are (S,), ``segment_starts`` (P,) and ``word_ends`` (W,) point into them.
    """

    subword_ids: np.ndarray
    type_ids: np.ndarray
    segment_starts: np.ndarray
    word_ends: np.ndarray


@dataclass(frozen=True, slots=True)
class SegmentArrays:
    """The same of many sentences, each of which has a row."""

    subword_ids: RaggedArray
    type_ids: RaggedArray
    segment_starts: RaggedArray
    word_ends: RaggedArray

    @classmethod
    def of(cls, segments: Sequence[Segments]) -> Self:
        """Lays the pieces of sentences end to end."""
        columns = []
        for name in ("subword_ids", "type_ids", "segment_starts", "word_ends"):
            rows = [getattr(segment, name) for segment in segments]
            columns.append(RaggedArray.of(np.concatenate([np.zeros(0, np.int64), *rows]), lengths_of(rows)))
        return cls(*columns)

    def __getitem__(self, number: int) -> Segments:
        return Segments(
            self.subword_ids[number], self.type_ids[number], self.segment_starts[number], self.word_ends[number]
        )


@dataclass(frozen=True, slots=True)
class Marks:
    """The ids that stand before and after each piece and between words; any may be empty.

    ``unknown`` stands for a sentence that has nothing at all.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    space: tuple[int, ...]
    unknown: int


def arrange_segments(words: RaggedArray, lengths: np.ndarray, *, marks: Marks, room: int) -> SegmentArrays:
    """Sentences of words of subwords, cut between words into pieces with ``room`` for subwords.

    *Shape:* a row of ``words`` is a word's subwords, at most ``room``; ``lengths`` (B,) are the sentences' words.
    """
    sizes = words.lengths
    begins = _segment_begins(sizes, lengths, space=len(marks.space), room=room)
    sentences = np.repeat(np.arange(len(lengths)), lengths)
    # A sentence without words is one piece.
    segment_counts = np.maximum(np.bincount(sentences[begins], minlength=len(lengths)), 1)
    segments = np.cumsum(begins) - 1 + np.cumsum(lengths == 0)[sentences]
    taken = sizes + np.where(begins, 0, len(marks.space))
    contents = np.bincount(segments, taken, minlength=int(segment_counts.sum())).astype(np.int64)
    segment_sizes = np.maximum(len(marks.before) + contents + len(marks.after), 1)
    ends = np.cumsum(segment_sizes)
    starts = ends - segment_sizes
    before_piece = np.cumsum(contents) - contents
    word_ends = np.cumsum(taken) - 1 + (starts + len(marks.before) - before_piece)[segments]

    ids = np.full(int(segment_sizes.sum()), marks.unknown, dtype=np.int64)
    ids[np.repeat(word_ends + 1 - sizes - words.starts[:-1], sizes) + np.arange(len(words.values))] = (
        words.values
    )
    inner = (word_ends + 1 - taken)[~begins]
    for places, mark in (
        (starts, marks.before),
        (ends - len(marks.after), marks.after),
        (inner, marks.space),
    ):
        ids[places[:, None] + np.arange(len(mark))] = mark

    piece_rows = RaggedArray.of(starts, segment_counts)
    firsts = starts[piece_rows.starts[:-1]]
    subwords = RaggedArray(ids, np.append(firsts, len(ids)))
    return SegmentArrays(
        subwords,
        RaggedArray(np.zeros_like(ids), subwords.starts),
        RaggedArray(starts - np.repeat(firsts, segment_counts), piece_rows.starts),
        RaggedArray.of(word_ends - firsts[sentences], lengths),
    )


def _segment_begins(sizes: np.ndarray, lengths: np.ndarray, *, space: int, room: int) -> np.ndarray:
    """Which words begin a piece: the first of each sentence, and those for which there is no room any more."""
    begins = np.zeros(len(sizes), dtype=bool)
    rows = RaggedArray.of(sizes, lengths)
    begins[rows.starts[:-1][lengths > 0]] = True
    for number in np.flatnonzero(rows.sums() + space * (lengths - 1) > room).tolist():
        used = 0
        for place, size in enumerate(rows[number].tolist(), start=int(rows.starts[number])):
            wanted = size + (space if used else 0)
            if used + wanted > room:
                begins[place] = True
                used, wanted = 0, size
            used += wanted
    return begins
