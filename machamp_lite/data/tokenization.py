"""Words to subword ids: each distinct word is tokenised once, alone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from machamp_lite.errors import ConfigError

_PROBE_WORDS = ("a", "the", "1", ".", "x")


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """The ids that a tokenizer puts before, between and after texts; any may be empty."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    second_text_type: int


@dataclass(frozen=True, slots=True)
class Pieces:
    """One sentence for the encoder: its pieces one after another, special tokens included.

    ``subword_ids`` and ``type_ids`` are (S,), ``piece_starts`` (P,) and ``word_ends`` (W,) point into them.
    """

    subword_ids: np.ndarray
    type_ids: np.ndarray
    piece_starts: np.ndarray
    word_ends: np.ndarray


class WordTokenizer:
    """Wraps a Hugging Face tokenizer and remembers the subwords of every word it has met."""

    def __init__(self, tokenizer: Any, *, max_input_length: int) -> None:
        self.tokenizer = tokenizer
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is not None:
            # A tokenizer.json may switch these on; both would change what a word is.
            backend.no_padding()
            backend.no_truncation()
        self.unknown_id = _unknown_id(tokenizer)
        self.special = _special_tokens(tokenizer)
        self.room = max_input_length - len(self.special.before) - len(self.special.after)
        if self.room < 1:
            raise ConfigError(
                f"encoder -> max_input_length: {max_input_length} leaves no room for a subword beside "
                f"{len(self.special.before) + len(self.special.after)} special tokens"
            )
        self._subwords: dict[str, tuple[int, ...]] = {}

    def learn(self, words: Iterable[str]) -> None:
        """Tokenises, in one call, those words that it has not met before."""
        new = [word for word in dict.fromkeys(words) if word not in self._subwords]
        if not new:
            return
        encoded = self.tokenizer(
            new,
            add_special_tokens=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        for word, ids in zip(new, encoded["input_ids"], strict=True):
            # The last subwords are kept: a word stands for its last one.
            self._subwords[word] = tuple(ids[-self.room :]) or (self.unknown_id,)

    def subwords(self, word: str) -> tuple[int, ...]:
        """The subword ids of one word; the unknown token's id for a word that gives none."""
        if word not in self._subwords:
            self.learn([word])
        return self._subwords[word]

    def sentence(self, words: Sequence[str]) -> Pieces:
        """Subwords of a sentence, cut between words into pieces that fit ``max_input_length``."""
        before, after = self.special.before, self.special.after
        ids: list[int] = list(before)
        piece_starts, word_ends = [0], []
        used = 0
        for word in words:
            subwords = self._subwords.get(word) or self.subwords(word)
            if used + len(subwords) > self.room:
                ids.extend(after)
                piece_starts.append(len(ids))
                ids.extend(before)
                used = 0
            ids.extend(subwords)
            used += len(subwords)
            word_ends.append(len(ids) - 1)
        ids.extend(after)
        return _pieces(ids, [0] * len(ids), piece_starts, word_ends)

    def texts(self, texts: Sequence[str]) -> Pieces:
        """Subwords of one or more texts joined by the separator, the longest ones truncated until all fit."""
        encoded = self.tokenizer(
            [text or " " for text in texts],
            add_special_tokens=False,
            return_attention_mask=False,
            verbose=False,
        )
        parts = [list(ids) for ids in encoded["input_ids"]]
        room = self.room - len(self.special.between) * (len(parts) - 1)
        lengths = shorten([len(part) for part in parts], max(room, len(parts)))
        ids, types = list(self.special.before), [0] * len(self.special.before)
        for number, (part, length) in enumerate(zip(parts, lengths, strict=True)):
            kind = self.special.second_text_type if number else 0
            if number:
                ids.extend(self.special.between)
                types.extend([0 if number == 1 else kind] * len(self.special.between))
            ids.extend(part[:length])
            types.extend([kind] * length)
        ids.extend(self.special.after)
        types.extend([types[-1] if len(parts) > 1 else 0] * len(self.special.after))
        if not ids:
            ids, types = [self.unknown_id], [0]
        return _pieces(ids, types, [0], [])


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


def _pieces(ids: list[int], types: list[int], starts: list[int], word_ends: list[int]) -> Pieces:
    return Pieces(
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
        between = tuple(pair["input_ids"][start + len(alone) : second])
        return SpecialTokens(before, between, after, types[second] if uses_types else 0)
    return SpecialTokens((), (), (), 0)


def _find(ids: Sequence[int], part: Sequence[int], start: int = 0) -> int | None:
    for place in range(start, len(ids) - len(part) + 1):
        if list(ids[place : place + len(part)]) == list(part):
            return place
    return None
