"""Words to subword ids: each distinct word is tokenised once, alone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import numpy as np

from machamp_lite.data.ragged_array import RaggedArray, lengths_of
from machamp_lite.data.running_text import switch_off_padding, word_boundary
from machamp_lite.data.segments import Marks, SegmentArrays, Segments, arrange_segments
from machamp_lite.errors import ConfigError

MOST_REMEMBERED = 2**17

LongInput = Literal["truncate", "stride"]

_PROBE_WORDS = ("a", "the", "1", ".", "x")


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """The ids that a tokenizer puts before, between and after texts; any may be empty."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    second_text_type: int


class WordTokenizer:
    """Wraps a Hugging Face tokenizer and remembers the subwords of every word it has met."""

    def __init__(self, tokenizer: Any, *, max_input_length: int, long_input: LongInput) -> None:
        self.tokenizer = tokenizer
        self.long_input = long_input
        switch_off_padding(tokenizer)
        self.unknown_id = _unknown_id(tokenizer)
        self.special = _special_tokens(tokenizer)
        self.boundary = word_boundary(tokenizer)
        self.room = max_input_length - len(self.special.before) - len(self.special.after)
        if self.room < 1:
            raise ConfigError(
                f"encoder -> max_input_length: {max_input_length} leaves no room for a subword beside "
                f"{len(self.special.before) + len(self.special.after)} special tokens"
            )
        self._marks = Marks(
            self.special.before, self.special.after, self.boundary.between_words, self.unknown_id
        )
        self._forget()

    def _forget(self) -> None:
        # The number of each word, and its subwords under that number.
        self._numbers: dict[str, int] = {}
        self._known = RaggedArray(np.zeros(0, np.int64), np.zeros(1, np.int64))

    def learn(self, words: Iterable[str]) -> None:
        """Tokenises, in one call, those words that it has not met before."""
        if len(self._numbers) > MOST_REMEMBERED:
            # Words that never come again would fill the memory.
            self._forget()
        new = sorted(set(words).difference(self._numbers))
        if not new:
            return
        prefix = self.boundary.prefix
        encoded = self.tokenizer(
            [prefix + word if word else word for word in new] if prefix else new,
            add_special_tokens=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        # The last subwords are kept: a word stands for its last one.
        found = [ids[-self.room :] or [self.unknown_id] for ids in encoded["input_ids"]]
        ids = np.fromiter(chain.from_iterable(found), np.int64)
        self._known = RaggedArray.of(
            np.append(self._known.values, ids), np.append(self._known.lengths, lengths_of(found))
        )
        self._numbers.update(zip(new, range(len(self._numbers), len(self._known)), strict=True))

    def subwords(self, word: str) -> tuple[int, ...]:
        """The subword ids of one word; the unknown token's id for a word that gives none."""
        self.learn([word])
        return tuple(self._known[self._numbers[word]].tolist())

    def sentence(self, words: Sequence[str]) -> Segments:
        """Subwords of a sentence, cut between words into pieces that fit ``max_input_length``."""
        return self.sentences([words])[0]

    def sentences(self, sentences: Sequence[Sequence[str]]) -> SegmentArrays:
        """The same of many sentences."""
        words = list(chain.from_iterable(sentences))
        self.learn(words)
        numbers = np.fromiter(map(self._numbers.__getitem__, words), np.int64, len(words))
        return arrange_segments(self._known.take(numbers), lengths_of(sentences), marks=self._marks, room=self.room)

    def texts(self, texts: Sequence[str], *, whole: bool = False) -> Segments:
        """Subwords of one or more texts joined by the separator, the longest ones truncated until all fit.

        Where ``long_input`` is ``stride`` and ``whole`` is asked for, the longest text is cut into overlapping pieces
        instead, each beside the other texts, which leave it at least half of the room.
        """
        return self.encode_texts([texts], whole=whole)[0]

    def encode_texts(self, rows: Sequence[Sequence[str]], *, whole: bool = False) -> SegmentArrays:
        """The same of many rows of texts, which are tokenised in one call."""
        if not rows:
            return SegmentArrays.of([])
        encoded = self.tokenizer(
            [text or " " for texts in rows for text in texts],
            add_special_tokens=False,
            return_attention_mask=False,
            verbose=False,
        )
        found = iter(encoded["input_ids"])
        return SegmentArrays.of([self._joined([list(next(found)) for _ in texts], whole) for texts in rows])

    def _joined(self, parts: list[list[int]], whole: bool) -> Segments:
        room = self.room - len(self.special.between) * (len(parts) - 1)
        room = max(room, len(parts))
        lengths = shorten([len(part) for part in parts], room)
        if whole and self.long_input == "stride" and sum(lengths) < sum(map(len, parts)):
            rows = self._strides(parts, room)
        else:
            rows = [[part[:length] for part, length in zip(parts, lengths, strict=True)]]
        ids: list[int] = []
        types: list[int] = []
        starts = []
        for row in rows:
            starts.append(len(ids))
            row_ids, row_types = self._join(row)
            ids += row_ids
            types += row_types
        return _pieces(ids, types, starts, [])

    def _strides(self, parts: list[list[int]], room: int) -> list[list[list[int]]]:
        """The rows of texts that do not fit: each has another piece of the longest one."""
        lengths = [len(part) for part in parts]
        longest = lengths.index(max(lengths))
        others = lengths[:longest] + lengths[longest + 1 :]
        short = shorten(others, room // 2)
        size = room - sum(short)
        if lengths[longest] <= size:
            # The others alone are too long.
            return [[part[:length] for part, length in zip(parts, shorten(lengths, room), strict=True)]]
        short.insert(longest, 0)
        rows = []
        for start in strides(lengths[longest], size):
            row = [part[:length] for part, length in zip(parts, short, strict=True)]
            row[longest] = parts[longest][start : start + size]
            rows.append(row)
        return rows

    def _join(self, parts: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
        """Ids and types of texts with what the tokenizer puts around and between them."""
        ids, types = list(self.special.before), [0] * len(self.special.before)
        for number, part in enumerate(parts):
            kind = self.special.second_text_type if number else 0
            if number:
                ids.extend(self.special.between)
                types.extend([0 if number == 1 else kind] * len(self.special.between))
            ids.extend(part)
            types.extend([kind] * len(part))
        ids.extend(self.special.after)
        types.extend([types[-1] if len(parts) > 1 else 0] * len(self.special.after))
        return (ids, types) if ids else ([self.unknown_id], [0])


def strides(length: int, size: int) -> list[int]:
    """Where pieces of a size start that cover a length and overlap by a quarter of their size."""
    step = size - size // 4
    return list(range(0, max(1, length - size + step), step))


def shorten(lengths: Sequence[int], room: int) -> list[int]:
    """Cuts the longest lengths until their sum fits ``room``: each is at most a common limit."""
    result = list(lengths)
    while sum(result) > room:
        longest = max(result)
        holders = [number for number, length in enumerate(result) if length == longest]
        next_longest = max((length for length in result if length < longest), default=0)
        step = max(1, min(longest - next_longest, -(-(sum(result) - room) // len(holders))))
        for number in holders:
            if sum(result) > room:
                result[number] -= min(step, sum(result) - room)
    return result


def _pieces(ids: list[int], types: list[int], starts: list[int], word_ends: list[int]) -> Segments:
    return Segments(
        np.asarray(ids, dtype=np.int64),
        np.asarray(types, dtype=np.int64),
        np.asarray(starts, dtype=np.int64),
        np.asarray(word_ends, dtype=np.int64),
    )


def _unknown_id(tokenizer: Any) -> int:
    """The id for a word without subwords; a tokenizer without an unknown token lends another special one."""
    for name in ("unk_token_id", "mask_token_id", "pad_token_id", "eos_token_id"):
        number = getattr(tokenizer, name, None)
        if number is not None:
            return int(number)
    return 0


def _special_tokens(tokenizer: Any) -> SpecialTokens:
    """Finds what the tokenizer adds around one text and between two, by looking at what it does."""
    for word in _PROBE_WORDS:
        alone = tokenizer(word, add_special_tokens=False)["input_ids"]
        full = tokenizer(word)["input_ids"]
        start = _find(full, alone)
        if not alone or start is None:
            continue
        before, after = tuple(full[:start]), tuple(full[start + len(alone) :])
        pair = tokenizer(word, word, return_token_type_ids=True)
        second = _find(pair["input_ids"], alone, start + len(alone))
        if second is None:
            return SpecialTokens(before, after, after, 0)
        types = pair.get("token_type_ids") or [0]
        uses_types = "token_type_ids" in getattr(tokenizer, "model_input_names", ())
        between = tuple(pair["input_ids"][start + len(alone) : second]) or _separator(tokenizer)
        return SpecialTokens(before, between, after, types[second] if uses_types else 0)
    return SpecialTokens((), (), (), 0)


def _separator(tokenizer: Any) -> tuple[int, ...]:
    """The token that stands between texts where the tokenizer puts none there: without one they would be one text."""
    for name in ("sep_token_id", "eos_token_id"):
        number = getattr(tokenizer, name, None)
        if number is not None:
            return (int(number),)
    return ()


def _find(ids: Sequence[int], part: Sequence[int], start: int = 0) -> int | None:
    for place in range(start, len(ids) - len(part) + 1):
        if list(ids[place : place + len(part)]) == list(part):
            return place
    return None
