"""Sentences that are many times longer than usual are predicted in parts, so that memory stays within bounds.

A parser's scores, for one, are as many as the square of a sentence's words.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from machamp_lite.data.segments import Segments
from machamp_lite.dataloading.example import Example

# In subwords. Longer sentences are cut between words; of longer texts the rest is not read.
LONGEST_PART = 512
LONGEST_TEXT = 2**16


def split_long_example(example: Example) -> list[Example]:
    """The instance itself, or its parts without labels; each has as many whole pieces as make a part."""
    segments = example.segments
    size, items = len(segments.subword_ids), len(segments.word_ends)
    is_text = not items or example.view == "subwords"
    longest = LONGEST_TEXT if is_text else LONGEST_PART
    if size <= longest or len(segments.segment_starts) == 1:
        return [example]
    parts = [_part(example, start, end) for start, end in _spans(segments, longest)]
    return parts[:1] if is_text else parts


def _spans(segments: Segments, longest: int) -> Iterator[tuple[int, int]]:
    """Where parts start and end, in subwords."""
    ends = [*segments.segment_starts[1:].tolist(), len(segments.subword_ids)]
    start = last = 0
    for end in ends:
        if end - start > longest and last > start:
            yield start, last
            start = last
        last = end
    yield start, last


def _part(example: Example, start: int, end: int) -> Example:
    segments, items = example.segments, len(example.segments.word_ends)
    first, last = np.searchsorted(segments.word_ends, [start, end]).tolist()
    inside = (segments.segment_starts >= start) & (segments.segment_starts < end)
    part = Segments(
        segments.subword_ids[start:end],
        segments.type_ids[start:end],
        segments.segment_starts[inside] - start,
        segments.word_ends[first:last] - start,
    )
    words, ids = example.words, example.dataset_ids
    return dataclasses.replace(
        example,
        segments=part,
        words=words[first:last] if len(words) == items else words,
        dataset_ids=ids[first:last] if ids is not None and len(ids) == items else ids,
        labels={},
        gold={},
    )
