"""The flat tensors of one step.

Shapes use the same letters in all modules: S subwords, P segments of sentences, W words, B sentences, L the longest
length in a batch, D the encoder's width, K layers, C labels, N items of a task (words or sentences).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from machamp_lite.config.task_types import Level
from machamp_lite.data.ragged_array import lengths_of
from machamp_lite.dataloading.example import Example
from machamp_lite.decoders.base import Decoder
from machamp_lite.nn.ragged import to_device

HOST = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class TaskItems:
    """The items of one task in a batch.

    ``sentences`` are the indices of the sentences in the batch. ``rows`` (N,) are the indices of the items among all
    words or sentences of the batch; None means all of them. ``lengths`` (len(sentences),) is the number of items per
    sentence. ``gold`` (N, ...) are the targets of the loss, on the device of the model. In training, only annotated
    words are items; if the decoder's items are not independent, all words are, with -1 as the gold of the others.
    ``weights`` (N,) are the items' own weights in the loss, also on the device; None means that all are 1.
    """

    sentences: list[int]
    rows: Tensor | None
    lengths: Tensor
    gold: Tensor | None
    weights: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Sentences concatenated, special tokens included; nothing is padded.

    All tensors but gold are on the CPU, where indices are computed; the model copies to its device what it needs.
    """

    subword_ids: Tensor  # (S,)
    type_ids: Tensor  # (S,)
    segment_lengths: Tensor  # (P,)
    segments_per_sentence: Tensor  # (B,) the number of segments of each sentence, P in all
    # The first and last subword of each word (or the subwords that are items). *Shape:* (W,).
    word_starts: Tensor
    word_ends: Tensor
    examples: tuple[Example, ...]
    tasks: dict[str, TaskItems]
    # The dataset id of each word (W,) and sentence (B,); None if no sentence of the batch has one.
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

    ``tasks`` are the tasks of each dataset with their decoders. With ``only_annotated``, as in training, a task gets
    the sentences that have labels of it, with their gold; without, it gets all sentences of its datasets.
    """
    segments = [example.segments for example in examples]
    sizes = np.array([len(own.subword_ids) for own in segments])
    starts = np.cumsum(sizes) - sizes
    word_counts = np.array([len(own.word_ends) for own in segments])
    segment_starts = np.concatenate([own.segment_starts + start for own, start in zip(segments, starts, strict=True)])
    word_starts = np.concatenate([own.word_starts + start for own, start in zip(segments, starts, strict=True)])
    word_ends = np.concatenate([own.word_ends + start for own, start in zip(segments, starts, strict=True)])
    word_datasets, sentence_datasets = _dataset_ids(examples, word_counts)
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
            annotated = {
                index: examples[index].gold_items[task]
                for index in chosen
                if only_annotated and task in examples[index].gold_items
            }
            gold, weights = None, None
            if only_annotated:
                arrays = [examples[index].gold[task] for index in chosen]
                has_weights = any(task in examples[index].weights for index in chosen)
                of_items = [_weights(examples[index], task) for index in chosen] if has_weights else []
                if not decoder.items_are_independent:
                    gaps = [(annotated.get(index), word_counts[index]) for index in chosen]
                    arrays = [_with_gaps(array, *gap, fill=-1) for array, gap in zip(arrays, gaps, strict=True)]
                    of_items = [_with_gaps(own, *gap, fill=0) for own, gap in zip(of_items, gaps, strict=has_weights)]
                    annotated = {}
                gold = join_gold(arrays)
                weights = np.concatenate(of_items) if has_weights else None
            rows, lengths = _task_rows(chosen, word_counts, decoder.Options.level, annotated)
            items[task] = TaskItems(
                chosen,
                None if rows is None else torch.from_numpy(rows),
                torch.from_numpy(lengths),
                None if gold is None else to_device(torch.from_numpy(gold), device),
                None if weights is None else to_device(torch.from_numpy(weights), device),
            )
    return Batch(
        subword_ids=torch.from_numpy(np.concatenate([own.subword_ids for own in segments])),
        type_ids=torch.from_numpy(np.concatenate([own.type_ids for own in segments])),
        segment_lengths=torch.from_numpy(np.diff(segment_starts, append=sizes.sum())),
        segments_per_sentence=torch.from_numpy(np.array([len(own.segment_starts) for own in segments])),
        word_starts=torch.from_numpy(word_starts),
        word_ends=torch.from_numpy(word_ends),
        examples=tuple(examples),
        tasks=items,
        word_datasets=word_datasets,
        sentence_datasets=sentence_datasets,
    )


def _dataset_ids(
    examples: Sequence[Example], word_counts: np.ndarray
) -> tuple[Tensor | None, Tensor | None]:
    """The dataset ids of words and of sentences; None if no example has any."""
    if all(example.dataset_ids is None for example in examples):
        return None, None
    ids = [
        np.zeros(max(1, count), dtype=np.int64) if example.dataset_ids is None else example.dataset_ids
        for example, count in zip(examples, word_counts, strict=True)
    ]
    of_words = np.concatenate([own[:count] for own, count in zip(ids, word_counts, strict=True)])
    return torch.from_numpy(of_words), torch.from_numpy(np.array([own[0] for own in ids]))


def _task_rows(
    chosen: list[int], word_counts: np.ndarray, level: Level, items: Mapping[int, np.ndarray]
) -> tuple[np.ndarray | None, np.ndarray]:
    """The rows of a task with these sentences (None means all rows), and the number of items per sentence.

    ``items`` are the positions of the items in each sentence of which only some words are items.
    """
    are_all = len(chosen) == len(word_counts)
    if level == "sentence":
        return None if are_all else np.array(chosen), np.ones(len(chosen), dtype=np.int64)
    if are_all and not items:
        return None, word_counts[chosen]
    starts = np.cumsum(word_counts) - word_counts
    rows = [starts[index] + items.get(index, np.arange(word_counts[index])) for index in chosen]
    return np.concatenate(rows), lengths_of(rows)


def _weights(example: Example, task: str) -> np.ndarray:
    weights = example.item_weights(task)
    return np.ones(len(example.gold[task]), np.float32) if weights is None else weights


def _with_gaps(values: np.ndarray, items: np.ndarray | None, length: int, *, fill: int) -> np.ndarray:
    """The values of all items of a sentence from those of some; ``items`` None means all."""
    if items is None:
        return values
    full = np.full((length, *values.shape[1:]), fill, values.dtype)
    full[items] = values
    return full


def join_gold(gold: Sequence[np.ndarray]) -> np.ndarray:
    """Concatenates gold; where items have several ids, rows are padded with -1 to the longest."""
    widths = {rows.shape[1:] for rows in gold}
    if len(widths) > 1:
        width = max(rows.shape[1] for rows in gold)
        gold = [np.pad(rows, ((0, 0), (0, width - rows.shape[1])), constant_values=-1) for rows in gold]
    return np.concatenate(gold)
