"""Instances: records with their subwords and the ids of their gold labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from machamp_lite.config.schema import DatasetConfig
from machamp_lite.data.records import Layout
from machamp_lite.data.segments import Pieces
from machamp_lite.decoders.base import View


@dataclass(frozen=True, slots=True)
class Instance:
    """One sentence as the model sees it, for the tasks that read this ``view`` of it.

    ``labels`` and ``gold`` have the tasks for which the sentence is annotated: gold labels as strings, and what
    the decoder's loss is given. ``dataset_ids`` say which data set each item, or a text, is from; 0 is unknown.
    """

    dataset: str
    view: View
    source: str
    words: Sequence[str]
    pieces: Pieces
    labels: dict[str, list[Any]]
    gold: dict[str, np.ndarray]
    dataset_ids: np.ndarray | None = None

    @property
    def longest_piece(self) -> int:
        """The number of subwords of its longest piece."""
        starts, subwords = self.pieces.piece_starts, len(self.pieces.subword_ids)
        return subwords if len(starts) == 1 else int(np.diff(starts, append=subwords).max())


def layout_of(config: DatasetConfig) -> Layout:
    """How files of a dataset are read."""
    sent_idxs = None if config.sent_idxs is None else tuple(config.sent_idxs)
    return Layout(config.word_idx, sent_idxs, config.skip_first_line, config.id_task())
