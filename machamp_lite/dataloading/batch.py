"""The flat tensors of one step.

The letters in shapes, here and everywhere: S subwords, P segments of sentences, W words, B sentences, L the longest
length in a batch, D the encoder's width, K layers, C labels, N items of a task (words or sentences).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from machamp_lite.config.task_types import Level
from machamp_lite.dataloading.example import Example
from machamp_lite.decoders.base import Decoder
from machamp_lite.nn.ragged import to_device

HOST = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class TaskItems:
    """The items of one task in a batch.

    ``sentences`` are indices in the batch; ``rows`` (N,) the indices of the words or sentences in the batch, None for
    all of them; ``lengths`` the number of items of each sentence; ``gold`` (N, ...) the targets of the loss, on the
    device of the model.
    """

    sentences: list[int]
    rows: Tensor | None
    lengths: Tensor
    gold: Tensor | None


@dataclass(frozen=True, slots=True)
class Batch:
    """Sentences concatenated, special tokens included; nothing is padded.

    All tensors but gold are on the CPU, where indices are computed; the model copies to its device what it needs.
    """

    subword_ids: Tensor  # (S,)
    type_ids: Tensor  # (S,)
    segment_lengths: Tensor  # (P,)
    segments_per_sentence: Tensor  # (B,) the number of segments of each sentence, P in all
    word_ends: Tensor  # (W,) indices of the last subword of each word (or of the subwords that are items)
    examples: tuple[Example, ...]
    tasks: dict[str, TaskItems]
    # The data set of each word (W,) and sentence (B,); None where no data set has ids.
    word_datasets: Tensor | None
    sentence_datasets: Tensor | None

    @property
    def words(self) -> int:
        """The number of words."""
        return len(self.word_ends)


def make_batch(
    examples: Sequence[Example],
    *,
    tasks: Mapping[str, Mapping[str, type[Decoder]]],
    device: torch.device = HOST,
    only_annotated: bool,
) -> Batch:
    """Concatenates examples.

    ``tasks`` are the tasks of each dataset with their decoders. With ``only_annotated``, as in training, the items of
    a task are those of sentences with its labels, and have gold; without, those of all sentences of its datasets.
    """
    segments = [example.segments for example in examples]
    sizes = np.array([len(segment.subword_ids) for segment in segments])
    starts = np.cumsum(sizes) - sizes
    word_counts = np.array([len(segment.word_ends) for segment in segments])
    segment_starts = np.concatenate(
        [segment.segment_starts + start for segment, start in zip(segments, starts, strict=True)]
    )
    word_ends = np.concatenate([segment.word_ends + start for segment, start in zip(segments, starts, strict=True)])

    known_ids = [
        np.zeros(max(1, count), dtype=np.int64) if example.dataset_ids is None else example.dataset_ids
        for example, count in zip(examples, word_counts, strict=True)
    ]
    has_ids = any(example.dataset_ids is not None for example in examples)
    dataset_ids = [ids[:count] for ids, count in zip(known_ids, word_counts, strict=True)] if has_ids else []

    items = {}
    decoders = {task: decoder for dataset in tasks.values() for task, decoder in dataset.items()}
    for task, decoder in decoders.items():
        chosen = [
            index
            for index, example in enumerate(examples)
            if task in tasks[example.dataset]
            and example.input_type == decoder.Options.input_type
            and (task in example.gold or not only_annotated)
        ]
        if chosen:
            rows, lengths = _task_rows(chosen, word_counts, decoder.Options.level)
            gold = join_gold([examples[index].gold[task] for index in chosen]) if only_annotated else None
            items[task] = TaskItems(
                chosen,
                None if rows is None else torch.from_numpy(rows),
                torch.from_numpy(lengths),
                None if gold is None else to_device(torch.from_numpy(gold), device),
            )
    return Batch(
        subword_ids=torch.from_numpy(np.concatenate([segment.subword_ids for segment in segments])),
        type_ids=torch.from_numpy(np.concatenate([segment.type_ids for segment in segments])),
        segment_lengths=torch.from_numpy(np.diff(segment_starts, append=sizes.sum())),
        segments_per_sentence=torch.from_numpy(np.array([len(segment.segment_starts) for segment in segments])),
        word_ends=torch.from_numpy(word_ends),
        examples=tuple(examples),
        tasks=items,
        word_datasets=torch.from_numpy(np.concatenate(dataset_ids)) if dataset_ids else None,
        sentence_datasets=torch.from_numpy(np.array([ids[0] for ids in known_ids])) if dataset_ids else None,
    )


def _task_rows(
    chosen: list[int], word_counts: np.ndarray, level: Level
) -> tuple[np.ndarray | None, np.ndarray]:
    """The rows of the chosen sentences (None if they are all), and each one's number of items."""
    everything = len(chosen) == len(word_counts)
    if level == "sentence":
        return None if everything else np.array(chosen), np.ones(len(chosen), dtype=np.int64)
    lengths = word_counts[chosen]
    if everything:
        return None, lengths
    ends = np.cumsum(word_counts)
    rows = [np.arange(ends[index] - word_counts[index], ends[index]) for index in chosen]
    return np.concatenate(rows), lengths


def join_gold(gold: Sequence[np.ndarray]) -> np.ndarray:
    """Concatenates gold; where items have several ids, rows are padded with -1 to the longest."""
    widths = {rows.shape[1:] for rows in gold}
    if len(widths) > 1:
        width = max(rows.shape[1] for rows in gold)
        gold = [np.pad(rows, ((0, 0), (0, width - rows.shape[1])), constant_values=-1) for rows in gold]
    return np.concatenate(gold)
