"""Raw text to subwords, each with the characters that it stands for."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from machamp_lite.data.segments import Segments
from machamp_lite.data.tokenization import MOST_REMEMBERED, WordTokenizer


class RawTextTokenizer:
    """Cuts raw text at every subword; remembers the subwords of what stands between spaces."""

    def __init__(self, words: WordTokenizer) -> None:
        self.words = words
        self.is_fast = bool(getattr(words.tokenizer, "is_fast", False))
        self._chunks: dict[str, list[tuple[int, int]]] = {}

    def __call__(self, text: str) -> tuple[list[str], Segments]:
        """The parts of a text that subwords stand for, which joined are the text, and its pieces.

        Every subword is an item: ``word_ends`` points at each. A text without subwords is one unknown token.
        """
        ids: list[int] = []
        starts: list[int] = []
        # The position in ``ids`` of each item; the space between two chunks is not an item.
        places: list[int] = []
        for start, chunk in _chunks(text):
            if ids:
                ids.extend(self.words.boundary.between_chunks)
            for number, offset in self._subwords(chunk):
                places.append(len(ids))
                ids.append(number)
                starts.append(start + offset)
        if not ids:
            ids, starts, places = [self.words.unknown_id], [0], [0]
        starts[0] = 0
        parts = [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]
        return parts, self._pieces(ids, places)

    def _subwords(self, chunk: str) -> list[tuple[int, int]]:
        """The ids of the subwords of a chunk and where they start in it, in order."""
        if chunk not in self._chunks:
            if len(self._chunks) > MOST_REMEMBERED:
                self._chunks.clear()
            self._chunks[chunk] = self._tokenise(chunk)
        return self._chunks[chunk]

    def _tokenise(self, chunk: str) -> list[tuple[int, int]]:
        if not self.is_fast:
            # These know nothing of offsets, and nearly all of them read characters or bytes.
            characters: list[tuple[int, int]] = []
            for place, character in enumerate(chunk):
                ids: Sequence[int] = self.words.tokenizer(character, add_special_tokens=False)["input_ids"]
                characters += [(number, place) for number in ids or [self.words.unknown_id]]
            return characters
        prefix = self.words.boundary.prefix
        encoded: Any = self.words.tokenizer(
            prefix + chunk, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        found: list[tuple[int, int]] = []
        latest = 0
        for number, (start, _) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True):
            # Offsets may go back where a tokenizer normalises characters.
            latest = max(latest, start - len(prefix))
            found.append((number, latest))
        return found or [(self.words.unknown_id, 0)]

    def _pieces(self, subwords: Sequence[int], places: Sequence[int]) -> Segments:
        """Subwords split into pieces; ``places`` are the positions of the items among them."""
        before, after, room = self.words.special.before, self.words.special.after, self.words.room
        ids: list[int] = []
        segment_starts: list[int] = []
        for start in range(0, len(subwords), room):
            segment_starts.append(len(ids))
            ids += [*before, *subwords[start : start + room], *after]
        items = np.asarray(places, dtype=np.int64)
        # Positions move by the special tokens of all pieces up to the item.
        items += len(before) + items // room * (len(before) + len(after))
        return Segments(
            np.asarray(ids, dtype=np.int64),
            np.zeros(len(ids), dtype=np.int64),
            np.asarray(segment_starts, dtype=np.int64),
            items,
        )


def _chunks(text: str) -> list[tuple[int, str]]:
    """What stands between white space, with its places."""
    chunks, start = [], None
    for place, character in enumerate([*text, " "]):
        if character.isspace():
            if start is not None:
                chunks.append((start, text[start:place]))
            start = None
        elif start is None:
            start = place
    return chunks
