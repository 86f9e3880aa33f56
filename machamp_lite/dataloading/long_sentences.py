"""Sentences that are many times longer than usual are predicted in parts, so that memory stays within bounds.

A parser's scores, for one, are as many as the square of a sentence's words.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from machamp_lite.data.segments import Pieces
from machamp_lite.dataloading.example import Instance

# In subwords. Longer sentences are cut between words; of longer texts the rest is not read.
LONGEST_PART = 512
LONGEST_TEXT = 2**16


def parts_of(instance: Instance) -> list[Instance]:
    """The instance itself, or its parts without labels; each has as many whole pieces as make a part."""
    pieces = instance.pieces
    size, items = len(pieces.subword_ids), len(pieces.word_ends)
    is_text = not items or instance.view == "subwords"
    longest = LONGEST_TEXT if is_text else LONGEST_PART
    if size <= longest or len(pieces.piece_starts) == 1:
        return [instance]
    parts = [_part(instance, start, end) for start, end in _spans(pieces, longest)]
    return parts[:1] if is_text else parts


def _spans(pieces: Pieces, longest: int) -> Iterator[tuple[int, int]]:
    """Where parts start and end, in subwords."""
    ends = [*pieces.piece_starts[1:].tolist(), len(pieces.subword_ids)]
    start = last = 0
    for end in ends:
        if end - start > longest and last > start:
            yield start, last
            start = last
        last = end
    yield start, last


def _part(instance: Instance, start: int, end: int) -> Instance:
    pieces, items = instance.pieces, len(instance.pieces.word_ends)
    first, last = np.searchsorted(pieces.word_ends, [start, end]).tolist()
    inside = (pieces.piece_starts >= start) & (pieces.piece_starts < end)
    part = Pieces(
        pieces.subword_ids[start:end],
        pieces.type_ids[start:end],
        pieces.piece_starts[inside] - start,
        pieces.word_ends[first:last] - start,
    )
    words, ids = instance.words, instance.dataset_ids
    return dataclasses.replace(
        instance,
        pieces=part,
        words=words[first:last] if len(words) == items else words,
        dataset_ids=ids[first:last] if ids is not None and len(ids) == items else ids,
        labels={},
        gold={},
    )
