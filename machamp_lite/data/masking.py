"""Hides subwords for masked language modelling."""

import dataclasses
from typing import Any
from zlib import crc32

import numpy as np

from machamp_lite.data.segments import Segments
from machamp_lite.errors import ConfigError

# The share of subwords that is predicted; of these, the shares that are masked or replaced (Devlin et al. 2019).
SHARE, HIDDEN, REPLACED = 0.15, 0.8, 0.1


class Masker:
    """Masks subwords, never special tokens; raises ``ConfigError`` for a tokenizer without a mask."""

    def __init__(self, tokenizer: Any) -> None:
        if tokenizer.mask_token_id is None:
            raise ConfigError(
                "mlm: the tokenizer has no mask token, expected a masked language model in transformer_model"
            )
        self.mask_id = int(tokenizer.mask_token_id)
        self.special_ids = np.array(sorted(set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}))
        self.ordinary_ids = np.setdiff1d(np.arange(len(tokenizer)), self.special_ids)

    def hide(self, segments: Segments, random: np.random.Generator | None = None) -> tuple[Segments, np.ndarray]:
        """Segments whose items are the predicted subwords, and the original ids of these.

        Without ``random`` the choice is a function of the subwords, the same in every evaluation. *Shape:* ids (N,).
        """
        ids = segments.subword_ids
        random = random or np.random.default_rng(crc32(ids.tobytes()))
        candidates = np.flatnonzero(~np.isin(ids, self.special_ids))
        number = min(len(candidates), max(1, round(SHARE * len(candidates))))
        chosen = np.sort(random.choice(candidates, number, replace=False))
        fate = random.random(number)
        changed = ids.copy()
        changed[chosen[fate < HIDDEN]] = self.mask_id
        replaced = chosen[(fate >= HIDDEN) & (fate < HIDDEN + REPLACED)]
        changed[replaced] = random.choice(self.ordinary_ids, len(replaced))
        return dataclasses.replace(segments, subword_ids=changed, word_ends=chosen), ids[chosen]

    def mask_again(
        self, segments: Segments, hidden: np.ndarray, random: np.random.Generator
    ) -> tuple[Segments, np.ndarray]:
        """As ``hide``, for segments that ``hide`` has already masked."""
        ids = segments.subword_ids.copy()
        ids[segments.word_ends] = hidden
        return self.hide(dataclasses.replace(segments, subword_ids=ids), random)
