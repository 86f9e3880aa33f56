"""Masks subwords for masked language modelling."""

import dataclasses
from typing import Any
from zlib import crc32

import numpy as np

from machamp_lite.data.segments import Segments
from machamp_lite.errors import ConfigError

# The share of subwords that are predicted. Of these, the shares that are replaced by the mask token or by a random
# subword; the rest is not changed (Devlin et al. 2019).
PREDICTED, MASKED, REPLACED = 0.15, 0.8, 0.1


class Masker:
    """Masks subwords other than special tokens; raises ``ConfigError`` for a tokenizer without a mask token."""

    def __init__(self, tokenizer: Any) -> None:
        if tokenizer.mask_token_id is None:
            raise ConfigError(
                "mlm: the tokenizer has no mask token, expected a masked language model in transformer_model"
            )
        self.mask_id = int(tokenizer.mask_token_id)
        self.special_ids = np.array(sorted(set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}))
        self.ordinary_ids = np.setdiff1d(np.arange(len(tokenizer)), self.special_ids)

    def mask(self, segments: Segments, random: np.random.Generator | None = None) -> tuple[Segments, np.ndarray]:
        """Masked segments, whose items are the predicted subwords, and the original ids of these. *Shape:* ids (N,).

        Without ``random``, the choice depends on the subwords only, so that it is the same in every evaluation.
        """
        ids = segments.subword_ids
        random = random or np.random.default_rng(crc32(ids.tobytes()))
        candidates = np.flatnonzero(~np.isin(ids, self.special_ids))
        number = min(len(candidates), max(1, round(PREDICTED * len(candidates))))
        chosen = np.sort(random.choice(candidates, number, replace=False))
        draws = random.random(number)
        changed = ids.copy()
        changed[chosen[draws < MASKED]] = self.mask_id
        replaced = chosen[(draws >= MASKED) & (draws < MASKED + REPLACED)]
        changed[replaced] = random.choice(self.ordinary_ids, len(replaced))
        return dataclasses.replace(segments, subword_ids=changed, word_starts=chosen, word_ends=chosen), ids[chosen]

    def mask_again(
        self, segments: Segments, original_ids: np.ndarray, random: np.random.Generator
    ) -> tuple[Segments, np.ndarray]:
        """Masks other subwords of segments that ``mask`` has returned with ``original_ids``."""
        ids = segments.subword_ids.copy()
        ids[segments.word_ends] = original_ids
        return self.mask(dataclasses.replace(segments, subword_ids=ids), random)
