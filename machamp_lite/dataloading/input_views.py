"""What the encoder reads of records: words, the same with some hidden, every subword, or the characters of a text."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from machamp_lite.config.schema import DatasetConfig
from machamp_lite.config.task_types import InputType
from machamp_lite.data.character_tokenizer import RawTextTokenizer
from machamp_lite.data.masking import Masker
from machamp_lite.data.ragged_array import RaggedArray
from machamp_lite.data.records import Record
from machamp_lite.data.segments import SegmentArrays
from machamp_lite.data.tokenization import WordTokenizer


@dataclass(frozen=True, slots=True)
class Viewed:
    """Records in one view.

    ``words`` (records,) is how many each has, where that is not the number of words in its ``texts``; ``hidden`` are
    the ids of the hidden subwords of each.
    """

    texts: Sequence[list[str]]
    segments: SegmentArrays
    words: np.ndarray | None = None
    hidden: list[list[int]] | None = None


class InputReader:
    """Turns records of one dataset into any view."""

    def __init__(self, config: DatasetConfig, tokenizer: WordTokenizer, *, masks: bool) -> None:
        self.config = config
        self.tokenizer = tokenizer
        self.raw_text = RawTextTokenizer(tokenizer)
        self.masker = Masker(tokenizer.tokenizer) if masks else None

    def __call__(self, view: InputType, records: Sequence[Record]) -> Viewed:
        """The view of records, each of which has it."""
        if view == "raw":
            raw = [self.raw_text(str(record.comment("text"))) for record in records]
            texts = [parts for parts, _ in raw]
            words = np.array([len("".join(parts).split()) for parts in texts], dtype=np.int64)
            return Viewed(texts, SegmentArrays.of([own for _, own in raw]), words)
        texts, segments = [record.words for record in records], self._pieces(view, records)
        if view == "subwords":
            ids = segments.subword_ids
            every = np.arange(len(ids.values)) - np.repeat(ids.starts[:-1], ids.lengths)
            return Viewed(texts, replace(segments, word_ends=RaggedArray(every, ids.starts)))
        if view == "masked":
            assert self.masker is not None
            masked = [self.masker.hide(segments[number]) for number in range(len(records))]
            hidden = [ids.tolist() for _, ids in masked]
            return Viewed(texts, SegmentArrays.of([own for own, _ in masked]), hidden=hidden)
        return Viewed(texts, segments)

    def _pieces(self, view: InputType, records: Sequence[Record]) -> SegmentArrays:
        rows = [record.words for record in records]
        if self.config.word_idx is not None:
            return self.tokenizer.sentences(rows)
        if self.config.sent_idxs is not None:
            # Pieces overlap, and no subword may be an item twice.
            return self.tokenizer.encode_texts(rows, whole=view == "words")
        # Plain text: words by spaces, so that long lines are read in pieces and not truncated.
        return self.tokenizer.sentences([[word for text in row for word in text.split()] for row in rows])
