"""Tokenizes words and texts. Each distinct word is tokenized alone, and once."""

import threading
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, Literal

import numpy as np

from machamp_lite.data.ragged_array import RaggedArray, lengths_of
from machamp_lite.data.running_text import switch_off_padding, word_boundary
from machamp_lite.data.segments import Segments, SpecialTokens, arrange_segments
from machamp_lite.errors import ConfigError

MAX_CACHED_WORDS = 2**17

LongInput = Literal["truncate", "stride"]

_PROBE_WORDS = ("a", "the", "1", ".", "x")
# The key in tokenizer_config.json of models that were converted from MaChAmp. With the value "single", one token is
# between two texts, even if the tokenizer adds two (RoBERTa).
_SEPARATOR_KEY, _SINGLE = "text_separator", "single"


class WordTokenizer:
    """Wraps a Hugging Face tokenizer and caches the subwords of each word."""

    def __init__(self, tokenizer: Any, *, max_input_length: int, long_input: LongInput) -> None:
        self.tokenizer = tokenizer
        self.long_input = long_input
        # The cache and fast tokenizers can be used by one thread at a time.
        self.lock = threading.RLock()
        switch_off_padding(tokenizer)
        self.unknown_id = _unknown_id(tokenizer)
        self.special = _special_tokens(tokenizer)
        self.boundary = word_boundary(tokenizer)
        # Per segment, without special tokens.
        self.max_subwords = max_input_length - len(self.special.before) - len(self.special.after)
        if self.max_subwords < 1:
            raise ConfigError(
                f"encoder -> max_input_length: {max_input_length} leaves no space for a subword after "
                f"{len(self.special.before) + len(self.special.after)} special tokens"
            )
        self._clear_cache()

    def _clear_cache(self) -> None:
        # The row of each word in ``_subwords``.
        self._rows: dict[str, int] = {}
        self._subwords = RaggedArray(np.zeros(0, np.int64), np.zeros(1, np.int64))

    def cache_words(self, words: Iterable[str]) -> None:
        """Tokenizes the words that are not in the cache, in one call."""
        if len(self._rows) > MAX_CACHED_WORDS:
            # Words that do not occur again would fill the memory.
            self._clear_cache()
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
        # Of long words, the last subwords are kept, because the last one represents the word.
        found = [ids[-self.max_subwords :] or [self.unknown_id] for ids in encoded["input_ids"]]
        ids = np.fromiter(chain.from_iterable(found), np.int64)
        self._subwords = RaggedArray.of(
            np.append(self._subwords.values, ids), np.append(self._subwords.lengths, lengths_of(found))
        )
        self._rows.update(zip(new, range(len(self._rows), len(self._subwords)), strict=True))

    def sentences(self, sentences: Sequence[Sequence[str]]) -> list[Segments]:
        """The subwords of sentences, each in segments of at most ``max_input_length`` that do not split words.

        A word without subwords becomes one unknown token.
        """
        words = list(chain.from_iterable(sentences))
        with self.lock:
            self.cache_words(words)
            rows = np.fromiter(map(self._rows.__getitem__, words), np.int64, len(words))
            subwords = self._subwords.take(rows)
        return arrange_segments(
            subwords,
            lengths_of(sentences),
            special=self.special,
            between_words=self.boundary.between_words,
            unknown_id=self.unknown_id,
            max_subwords=self.max_subwords,
        )

    def texts(self, rows: Sequence[Sequence[str]], *, may_overlap: bool = False) -> list[Segments]:
        """The subwords of rows of one or more texts, joined by the separator.

        The longest texts of a row are truncated until all fit ``max_input_length``. If ``long_input`` is ``stride`` and
        segments ``may_overlap``, the longest text is instead split into overlapping segments. Each segment repeats the
        other texts, which are truncated to half of it.
        """
        if not rows:
            return []
        with self.lock:
            encoded = self.tokenizer(
                [text or " " for texts in rows for text in texts],
                add_special_tokens=False,
                return_attention_mask=False,
                verbose=False,
            )
        found = iter(encoded["input_ids"])
        return [self._row_segments([list(next(found)) for _ in texts], may_overlap) for texts in rows]

    def _row_segments(self, texts: list[list[int]], may_overlap: bool) -> Segments:
        size = max(self.max_subwords - len(self.special.between) * (len(texts) - 1), len(texts))
        lengths = truncate_longest([len(text) for text in texts], size)
        if may_overlap and self.long_input == "stride" and sum(lengths) < sum(map(len, texts)):
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
        return Segments(*(np.asarray(values, dtype=np.int64) for values in (ids, types, starts, [], [])))

    def _strides(self, texts: list[list[int]], size: int) -> list[list[list[int]]]:
        """The texts of each segment if they do not fit in one: each has another part of the longest text."""
        lengths = [len(text) for text in texts]
        longest = lengths.index(max(lengths))
        others = lengths[:longest] + lengths[longest + 1 :]
        truncated = truncate_longest(others, size // 2)
        window = size - sum(truncated)
        if lengths[longest] <= window:
            # Only the other texts are too long.
            return [[text[:length] for text, length in zip(texts, truncate_longest(lengths, size), strict=True)]]
        truncated.insert(longest, 0)
        rows = []
        for start in window_starts(lengths[longest], window):
            row = [text[:length] for text, length in zip(texts, truncated, strict=True)]
            row[longest] = texts[longest][start : start + window]
            rows.append(row)
        return rows

    def _join(self, texts: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
        """The ids and type ids of texts, including special tokens."""
        ids, types = list(self.special.before), [0] * len(self.special.before)
        for number, text in enumerate(texts):
            type_id = self.special.second_text_type if number else 0
            if number:
                ids.extend(self.special.between)
                types.extend([0 if number == 1 else type_id] * len(self.special.between))
            ids.extend(text)
            types.extend([type_id] * len(text))
        ids.extend(self.special.after)
        types.extend([types[-1] if len(texts) > 1 else 0] * len(self.special.after))
        return (ids, types) if ids else ([self.unknown_id], [0])


def window_starts(length: int, size: int) -> list[int]:
    """The starts of windows of a size that cover a length and overlap by a quarter of their size."""
    step = size - size // 4
    return list(range(0, max(1, length - size + step), step))


def truncate_longest(lengths: Sequence[int], size: int) -> list[int]:
    """Reduces the longest lengths until their sum is at most ``size``."""
    result = list(lengths)
    while sum(result) > size:
        longest = max(result)
        reducible = [index for index, length in enumerate(result) if length == longest]
        next_longest = max((length for length in result if length < longest), default=0)
        step = max(1, min(longest - next_longest, -(-(sum(result) - size) // len(reducible))))
        for index in reducible:
            if sum(result) > size:
                result[index] -= min(step, sum(result) - size)
    return result


def _unknown_id(tokenizer: Any) -> int:
    """The id for a word without subwords: the unknown token's, or else that of another special token."""
    for name in ("unk_token_id", "mask_token_id", "pad_token_id", "eos_token_id"):
        number = getattr(tokenizer, name, None)
        if number is not None:
            return int(number)
    return 0


def _special_tokens(tokenizer: Any) -> SpecialTokens:
    """Compares outputs of the tokenizer to find what it adds around one text and between two."""
    is_single = getattr(tokenizer, "init_kwargs", {}).get(_SEPARATOR_KEY) == _SINGLE
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
        between = () if is_single else tuple(pair["input_ids"][start + len(alone) : second])
        between = between or _separator(tokenizer)
        return SpecialTokens(before, between, after, types[second] if uses_types else 0)
    return SpecialTokens((), (), (), 0)


def _separator(tokenizer: Any) -> tuple[int, ...]:
    """The token between texts if the tokenizer adds none, because two texts must differ from one text."""
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
