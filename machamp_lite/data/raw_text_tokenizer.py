"""Splits raw text into subwords, and records which characters each subword covers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from machamp_lite.data.segments import Segments
from machamp_lite.data.tokenization import MAX_CACHED_WORDS, WordTokenizer


class RawTextTokenizer:
    """Splits raw text into subwords, and caches those of each chunk between white space."""

    def __init__(self, words: WordTokenizer) -> None:
        self.words = words
        self.is_fast = bool(getattr(words.tokenizer, "is_fast", False))
        self._chunks: dict[str, list[tuple[int, int]]] = {}

    def __call__(self, text: str) -> tuple[list[str], Segments]:
        """The substring of each subword, which together are the whole text, and the segments of the text.

        Every subword is an item: ``word_ends`` has its index. A text without subwords becomes one unknown token.
        """
        ids: list[int] = []
        starts: list[int] = []
        # The index of each item in ``ids``. The subwords of a space between two chunks are not items.
        items: list[int] = []
        for start, chunk in _chunks(text):
            if ids:
                ids.extend(self.words.boundary.between_chunks)
            with self.words.lock:
                subwords = self._subwords(chunk)
            for subword_id, offset in subwords:
                items.append(len(ids))
                ids.append(subword_id)
                starts.append(start + offset)
        if not ids:
            ids, starts, items = [self.words.unknown_id], [0], [0]
        starts[0] = 0
        substrings = [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]
        return substrings, self._segments(ids, items)

    def _subwords(self, chunk: str) -> list[tuple[int, int]]:
        """The id of each subword of a chunk, and its offset in the chunk."""
        if chunk not in self._chunks:
            if len(self._chunks) > MAX_CACHED_WORDS:
                self._chunks.clear()
            self._chunks[chunk] = self._tokenize(chunk)
        return self._chunks[chunk]

    def _tokenize(self, chunk: str) -> list[tuple[int, int]]:
        if not self.is_fast:
            # Slow tokenizers return no offsets. Nearly all of them tokenize characters or bytes.
            characters: list[tuple[int, int]] = []
            for offset, character in enumerate(chunk):
                ids: Sequence[int] = self.words.tokenizer(character, add_special_tokens=False)["input_ids"]
                characters += [(subword_id, offset) for subword_id in ids or [self.words.unknown_id]]
            return characters
        prefix = self.words.boundary.prefix
        encoded: Any = self.words.tokenizer(
            prefix + chunk, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        found: list[tuple[int, int]] = []
        latest = 0
        for subword_id, (start, _) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True):
            # Offsets may decrease if a tokenizer normalises characters.
            latest = max(latest, start - len(prefix))
            found.append((subword_id, latest))
        return found or [(self.words.unknown_id, 0)]

    def _segments(self, subwords: Sequence[int], items: Sequence[int]) -> Segments:
        """Splits subwords into segments; ``items`` are the indices of the items."""
        before, after = self.words.special.before, self.words.special.after
        size = self.words.max_subwords
        ids: list[int] = []
        segment_starts: list[int] = []
        for start in range(0, len(subwords), size):
            segment_starts.append(len(ids))
            ids += [*before, *subwords[start : start + size], *after]
        word_ends = np.asarray(items, dtype=np.int64)
        # The special tokens of all segments up to an item shift its index.
        word_ends += len(before) + word_ends // size * (len(before) + len(after))
        return Segments(
            np.asarray(ids, dtype=np.int64),
            np.zeros(len(ids), dtype=np.int64),
            np.asarray(segment_starts, dtype=np.int64),
            word_ends,
            word_ends,
        )


def _chunks(text: str) -> list[tuple[int, str]]:
    """The chunks between white space, each after its offset."""
    chunks, start = [], None
    for offset, character in enumerate([*text, " "]):
        if character.isspace():
            if start is not None:
                chunks.append((start, text[start:offset]))
            start = None
        elif start is None:
            start = offset
    return chunks
