"""Chooses the examples of each batch and their order, as a function of seed and epoch alone."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from machamp_lite.config.schema import BatchingParams
from machamp_lite.dataloading.example import Example
from machamp_lite.dataloading.example_store import ExampleStore

# Sorting by length happens inside shuffled pools of this many batches: large enough to leave little padding,
# small enough that the sentences that meet in a batch differ from epoch to epoch.
POOL_BATCHES = 32


@dataclass(frozen=True, slots=True)
class Stream:
    """Training examples, which are split over ``epochs`` epochs; by default, each epoch uses all of them.

    With ``sampling_weights``, each epoch draws as many examples as it would use, with replacement. ``weight``
    multiplies the stream's share of an epoch.
    """

    examples: Sequence[Example]
    epochs: int = 1
    sampling_weights: np.ndarray | None = None
    weight: float = 1.0


class Batches(Sequence[list[Example]]):
    """The batches of an epoch. They are stored as indices; the examples of a batch are made when it is accessed."""

    def __init__(self, sampler: "BatchSampler", indices: Sequence[Sequence[int]]) -> None:
        self.sampler = sampler
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[list[Example]]:
        return (self.sampler.examples(batch) for batch in self.indices)

    @overload
    def __getitem__(self, index: int) -> list[Example]: ...

    @overload
    def __getitem__(self, index: slice) -> "Batches": ...

    def __getitem__(self, index: int | slice) -> "list[Example] | Batches":
        if isinstance(index, slice):
            return Batches(self.sampler, self.indices[index])
        return self.sampler.examples(self.indices[index])

    @property
    def words(self) -> int:
        """The number of words in all batches."""
        return sum(int(self.sampler.words[batch].sum()) for batch in self.indices)


class BatchSampler:
    """Groups the examples of all streams into the batches of an epoch."""

    def __init__(
        self,
        streams: Sequence[Stream],
        batching: BatchingParams,
        *,
        seed: int,
        processes: int = 1,
    ) -> None:
        """With several ``processes``, batches are larger by that factor, and each process gets a part of each batch."""
        sizes = {"max_tokens": processes * batching.max_tokens, "batch_size": processes * batching.batch_size}
        batching = batching.model_copy(update=sizes)
        self.streams = streams
        self.batching = batching
        self.seed = seed
        counts = [len(stream.examples) for stream in streams]
        ends = np.cumsum(counts)
        self.members = [np.arange(end - count, end) for end, count in zip(ends, counts, strict=True)]
        self.ends = ends.tolist()
        sizes_per_stream = [sizes_of(stream.examples) for stream in streams]
        self.lengths, self.segments, self.words = (
            np.concatenate([np.zeros(0, np.int64), *columns]) for columns in zip(*sizes_per_stream, strict=True)
        )

    def examples(self, indices: Sequence[int]) -> list[Example]:
        """The examples with these indices among those of all streams."""
        found = [(bisect_right(self.ends, index), index) for index in indices]
        return [self.streams[stream].examples[index - self.ends[stream]] for stream, index in found]

    def epoch(self, epoch: int) -> Batches:
        """The batches of one epoch, counted from 1."""
        random = np.random.default_rng([self.seed, epoch])
        parts = [
            self._epoch_part(members, stream.epochs, epoch)
            for members, stream in zip(self.members, self.streams, strict=True)
        ]
        sizes = epoch_sizes(
            [len(part) for part in parts],
            [stream.weight for stream in self.streams],
            smoothing=self.batching.sampling_smoothing,
        )
        sampled = [
            self._sample(part, size, random)
            if stream.sampling_weights is None
            else random.choice(part, size, p=stream.sampling_weights)
            for part, size, stream in zip(parts, sizes, self.streams, strict=True)
        ]
        if self.batching.diverse:
            # As one stream, so that a batch may contain examples of several streams.
            merged = np.concatenate(sampled)
            sampled = [random.permutation(merged) if self.batching.shuffle else merged]
        batches = [batch for stream in sampled for batch in self._split_stream(stream, random)]
        if self.batching.shuffle:
            order = random.permutation(len(batches))
            batches = [batches[index] for index in order]
        return Batches(self, batches)

    def _epoch_part(self, members: np.ndarray, epochs: int, epoch: int) -> np.ndarray:
        """The part of a stream that an epoch uses, if the stream is split over ``epochs`` epochs."""
        if epochs == 1:
            return members
        order = np.random.default_rng(self.seed).permutation(members)
        part = (epoch - 1) % epochs
        # With fewer examples than epochs, each epoch uses one.
        return np.array_split(order, epochs)[part] if len(order) >= epochs else order[[part % len(order)]]

    def _sample(self, part: np.ndarray, size: int, random: np.random.Generator) -> np.ndarray:
        """Draws ``size`` examples: each equally often, and the remainder without replacement."""
        whole, rest = divmod(size, len(part))
        parts = [part] * whole + [random.permutation(part)[:rest]]
        if self.batching.shuffle:
            parts = [random.permutation(again) for again in parts]
        return np.concatenate(parts)

    def _split_stream(self, stream: np.ndarray, random: np.random.Generator) -> list[list[int]]:
        if not self.batching.sort_by_size:
            return make_batches(stream, self.lengths, self.segments, self.batching)
        mean = max(1.0, float(self.lengths[stream].mean()))
        batch_size = min(self.batching.batch_size, max(1, int(self.batching.max_tokens / mean)))
        pool = POOL_BATCHES * batch_size
        batches = []
        for start in range(0, len(stream), pool):
            part = stream[start : start + pool]
            ordered = part[np.argsort(self.lengths[part], kind="stable")]
            batches.extend(make_batches(ordered, self.lengths, self.segments, self.batching))
        return batches


def epoch_sizes(sizes: Sequence[float], weights: Sequence[float], *, smoothing: float) -> list[int]:
    """The number of examples per epoch from each stream: proportional to weight * size ** smoothing, with the same sum.

    ``sizes`` are the numbers of examples that an epoch would use without weights and smoothing.
    """
    if smoothing == 1.0 and len(set(weights)) == 1:
        return [round(size) for size in sizes]
    # Divided by the largest, so that no product overflows.
    shares = np.array(weights) / max(weights) * np.array(sizes, dtype=float) ** smoothing
    return [max(1, round(share * sum(sizes))) for share in shares / shares.sum()]


def sizes_of(examples: Sequence[Example]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per example: subwords of its longest segment, segments, words. *Shape:* (examples,) each."""
    if isinstance(examples, ExampleStore):
        return examples.column("longest"), examples.lengths("segment_starts"), examples.column("num_words")
    lengths = [example.segments.longest for example in examples]
    segments = [len(example.segments.segment_starts) for example in examples]
    return np.array(lengths), np.array(segments), np.array([example.num_words for example in examples])


def make_batches(
    order: Sequence[int] | np.ndarray, lengths: np.ndarray, segments: np.ndarray, batching: BatchingParams
) -> list[list[int]]:
    """Splits examples into batches of at most ``max_tokens`` subwords, padding included, and ``batch_size`` examples.

    An example with more than ``max_tokens`` subwords is a batch by itself.
    """
    batches: list[list[int]] = []
    batch: list[int] = []
    longest = rows = 0
    indices = np.asarray(order, dtype=np.int64)
    sizes = zip(indices.tolist(), lengths[indices].tolist(), segments[indices].tolist(), strict=True)
    for index, length, count in sizes:
        longest, rows = max(longest, length), rows + count
        if not batch or len(batch) >= batching.batch_size or longest * rows > batching.max_tokens:
            batch = []
            batches.append(batch)
            longest, rows = length, count
        batch.append(index)
    return batches


def split_batch(batch: Sequence[Example], number: int) -> list[list[Example]]:
    """Splits a batch into ``number`` parts with about the same number of subwords; some may be empty.

    Each example, the longest first, goes to the part with the fewest subwords. Parts keep the order of the batch.
    """
    sizes = [len(example.segments.subword_ids) for example in batch]
    totals = [0] * number
    chosen: list[list[int]] = [[] for _ in range(number)]
    for index in sorted(range(len(batch)), key=lambda index: -sizes[index]):
        smallest = totals.index(min(totals))
        totals[smallest] += sizes[index]
        chosen[smallest].append(index)
    return [[batch[index] for index in sorted(indices)] for indices in chosen]
