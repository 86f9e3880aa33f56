"""Words to subword ids: each distinct word is tokenized once, alone."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, Literal

import numpy as np

from machamp_lite.data.ragged_array import RaggedArray, lengths_of
from machamp_lite.data.running_text import switch_off_padding, word_boundary
from machamp_lite.data.segments import Segments, SpecialTokens, arrange_segments
from machamp_lite.errors import ConfigError

MOST_REMEMBERED = 2**17

LongInput = Literal["truncate", "stride"]

_PROBE_WORDS = ("a", "the", "1", ".", "x")


class WordTokenizer:
    """Wraps a Hugging Face tokenizer and remembers the subwords of each word."""

    def __init__(self, tokenizer: Any, *, max_input_length: int, long_input: LongInput) -> None:
        self.tokenizer = tokenizer
        self.long_input = long_input
        switch_off_padding(tokenizer)
        self.unknown_id = _unknown_id(tokenizer)
        self.special = _special_tokens(tokenizer)
        self.boundary = word_boundary(tokenizer)
        # Of a segment, without special tokens.
        self.max_subwords = max_input_length - len(self.special.before) - len(self.special.after)
        if self.max_subwords < 1:
            raise ConfigError(
                f"encoder -> max_input_length: {max_input_length} leaves no room for a subword beside "
                f"{len(self.special.before) + len(self.special.after)} special tokens"
            )
        self._forget()

    def _forget(self) -> None:
        # The row of each word in ``_subwords``.
        self._rows: dict[str, int] = {}
        self._subwords = RaggedArray(np.zeros(0, np.int64), np.zeros(1, np.int64))

    def learn(self, words: Iterable[str]) -> None:
        """Tokenizes the words that are not remembered, in one call."""
        if len(self._rows) > MOST_REMEMBERED:
            # Words that do not occur again would fill the memory.
            self._forget()
        new = sorted(set(words).difference(self._rows))
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
        # The last subwords are kept, because the last one represents the word.
        found = [ids[-self.max_subwords :] or [self.unknown_id] for ids in encoded["input_ids"]]
        ids = np.fromiter(chain.from_iterable(found), np.int64)
        self._subwords = RaggedArray.of(
            np.append(self._subwords.values, ids), np.append(self._subwords.lengths, lengths_of(found))
        )
        self._rows.update(zip(new, range(len(self._rows), len(self._subwords)), strict=True))

    def subwords(self, word: str) -> tuple[int, ...]:
        """The subword ids of one word; the unknown token's id for a word that has none."""
        self.learn([word])
        return tuple(self._subwords[self._rows[word]].tolist())

    def sentence(self, words: Sequence[str]) -> Segments:
        """The subwords of a sentence, split between words into segments that fit ``max_input_length``."""
        return self.sentences([words])[0]

    def sentences(self, sentences: Sequence[Sequence[str]]) -> list[Segments]:
        """As ``sentence``, for many sentences."""
        words = list(chain.from_iterable(sentences))
        self.learn(words)
        rows = np.fromiter(map(self._rows.__getitem__, words), np.int64, len(words))
        return arrange_segments(
            self._subwords.take(rows),
            lengths_of(sentences),
            special=self.special,
            between_words=self.boundary.between_words,
            unknown_id=self.unknown_id,
            max_subwords=self.max_subwords,
        )

    def texts(self, texts: Sequence[str], *, whole: bool = False) -> Segments:
        """The subwords of one or more texts joined by the separator, the longest ones truncated until all fit.

        With ``whole``, where ``long_input`` is ``stride``, the longest text is split into overlapping segments
        instead, each with the other texts, which leave it at least half of the segment.
        """
        return self.encode_texts([texts], whole=whole)[0]

    def encode_texts(self, rows: Sequence[Sequence[str]], *, whole: bool = False) -> list[Segments]:
        """As ``texts``, for many rows of texts, which are tokenized in one call."""
        if not rows:
            return []
        encoded = self.tokenizer(
            [text or " " for texts in rows for text in texts],
            add_special_tokens=False,
            return_attention_mask=False,
            verbose=False,
        )
        found = iter(encoded["input_ids"])
        return [self._joined([list(next(found)) for _ in texts], whole) for texts in rows]

    def _joined(self, texts: list[list[int]], whole: bool) -> Segments:
        size = max(self.max_subwords - len(self.special.between) * (len(texts) - 1), len(texts))
        lengths = shorten([len(text) for text in texts], size)
        if whole and self.long_input == "stride" and sum(lengths) < sum(map(len, texts)):
            rows = self._strides(texts, size)
        else:
            rows = [[text[:length] for text, length in zip(texts, lengths, strict=True)]]
        ids: list[int] = []
        types: list[int] = []
        starts = []
        for row in rows:
            starts.append(len(ids))
            row_ids, row_types = self._join(row)
            ids += row_ids
            types += row_types
        return Segments(*(np.asarray(values, dtype=np.int64) for values in (ids, types, starts, [])))

    def _strides(self, texts: list[list[int]], size: int) -> list[list[list[int]]]:
        """The rows of texts that do not fit: each has another part of the longest one."""
        lengths = [len(text) for text in texts]
        longest = lengths.index(max(lengths))
        others = lengths[:longest] + lengths[longest + 1 :]
        short = shorten(others, size // 2)
        stride = size - sum(short)
        if lengths[longest] <= stride:
            # The others alone are too long.
            return [[text[:length] for text, length in zip(texts, shorten(lengths, size), strict=True)]]
        short.insert(longest, 0)
        rows = []
        for start in strides(lengths[longest], stride):
            row = [text[:length] for text, length in zip(texts, short, strict=True)]
            row[longest] = texts[longest][start : start + stride]
            rows.append(row)
        return rows

    def _join(self, texts: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
        """Ids and types of texts with the special tokens around and between them."""
        ids, types = list(self.special.before), [0] * len(self.special.before)
        for number, text in enumerate(texts):
            kind = self.special.second_text_type if number else 0
            if number:
                ids.extend(self.special.between)
                types.extend([0 if number == 1 else kind] * len(self.special.between))
            ids.extend(text)
            types.extend([kind] * len(text))
        ids.extend(self.special.after)
        types.extend([types[-1] if len(texts) > 1 else 0] * len(self.special.after))
        return (ids, types) if ids else ([self.unknown_id], [0])


def strides(length: int, size: int) -> list[int]:
    """The starts of segments of a size that cover a length and overlap by a quarter of their size."""
    step = size - size // 4
    return list(range(0, max(1, length - size + step), step))


def shorten(lengths: Sequence[int], size: int) -> list[int]:
    """Reduces the longest lengths to a common limit, so that their sum is at most ``size``."""
    result = list(lengths)
    while sum(result) > size:
        longest = max(result)
        holders = [number for number, length in enumerate(result) if length == longest]
        next_longest = max((length for length in result if length < longest), default=0)
        step = max(1, min(longest - next_longest, -(-(sum(result) - size) // len(holders))))
        for number in holders:
            if sum(result) > size:
                result[number] -= min(step, sum(result) - size)
    return result


def _unknown_id(tokenizer: Any) -> int:
    """The id for a word without subwords: the unknown token, or else another special one."""
    for name in ("unk_token_id", "mask_token_id", "pad_token_id", "eos_token_id"):
        number = getattr(tokenizer, name, None)
        if number is not None:
            return int(number)
    return 0


def _special_tokens(tokenizer: Any) -> SpecialTokens:
    """Finds what the tokenizer adds around one text and between two, by comparing its outputs."""
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
    """The token between texts if the tokenizer puts none there: without one they would be one text."""
    for name in ("sep_token_id", "eos_token_id"):
        number = getattr(tokenizer, name, None)
        if number is not None:
            return (int(number),)
    return ()


def _find(ids: Sequence[int], part: Sequence[int], start: int = 0) -> int | None:
    for index in range(start, len(ids) - len(part) + 1):
        if list(ids[index : index + len(part)]) == list(part):
            return index
    return None
