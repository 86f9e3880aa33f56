"""Which instances make a batch, and in what order; a function of seed and epoch alone."""

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
    """Training instances, each of which is seen once in so many epochs.

    With ``sampling_weights``, as many are drawn in an epoch, with repetition.
    """

    examples: Sequence[Example]
    epochs: int = 1
    sampling_weights: np.ndarray | None = None


class Batches(Sequence[list[Example]]):
    """The batches of an epoch as numbers; the instances of one are made when its turn comes."""

    def __init__(self, sampler: "BatchSampler", numbers: Sequence[Sequence[int]]) -> None:
        self.sampler = sampler
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[list[Example]]:
        return (self.sampler.examples(batch) for batch in self.numbers)

    @overload
    def __getitem__(self, place: int) -> list[Example]: ...

    @overload
    def __getitem__(self, place: slice) -> "Batches": ...

    def __getitem__(self, place: int | slice) -> "list[Example] | Batches":
        if isinstance(place, slice):
            return Batches(self.sampler, self.numbers[place])
        return self.sampler.examples(self.numbers[place])

    @property
    def words(self) -> int:
        """The number of words in all of them."""
        return sum(int(self.sampler.words[batch].sum()) for batch in self.numbers)


class BatchSampler:
    """Cuts the instances of all streams into the batches of an epoch."""

    def __init__(
        self,
        streams: Sequence[Stream],
        batching: BatchingParams,
        *,
        seed: int,
        processes: int = 1,
    ) -> None:
        """Batches of several ``processes`` are so many times larger: each has a part of every batch."""
        sizes = {"max_tokens": processes * batching.max_tokens, "batch_size": processes * batching.batch_size}
        batching = batching.model_copy(update=sizes)
        self.streams = streams
        self.batching = batching
        self.seed = seed
        counts = [len(stream.examples) for stream in streams]
        ends = np.cumsum(counts)
        self.members = [np.arange(end - count, end) for end, count in zip(ends, counts, strict=True)]
        self.ends = ends.tolist()
        of_streams = [sizes_of(stream.examples) for stream in streams]
        self.lengths, self.segments, self.words = (
            np.concatenate([np.zeros(0, np.int64), *columns]) for columns in zip(*of_streams, strict=True)
        )

    def examples(self, numbers: Sequence[int]) -> list[Example]:
        """The instances that have these numbers among those of all streams."""
        places = [(bisect_right(self.ends, number), number) for number in numbers]
        return [self.streams[place].examples[number - self.ends[place]] for place, number in places]

    def epoch(self, epoch: int) -> Batches:
        """The batches of one epoch, counted from 1."""
        random = np.random.default_rng([self.seed, epoch])
        parts = [
            self._part(members, stream.epochs, epoch)
            for members, stream in zip(self.members, self.streams, strict=True)
        ]
        sampled = [
            self._sample(part, size, random)
            if stream.sampling_weights is None
            else random.choice(part, size, p=stream.sampling_weights)
            for part, size, stream in zip(parts, self._sample_sizes(parts), self.streams, strict=True)
        ]
        if self.batching.diverse:
            # All in one, so that a batch may hold several.
            merged = np.concatenate(sampled)
            sampled = [random.permutation(merged) if self.batching.shuffle else merged]
        batches = [batch for stream in sampled for batch in self._cut_stream(stream, random)]
        if self.batching.shuffle:
            order = random.permutation(len(batches))
            batches = [batches[number] for number in order]
        return Batches(self, batches)

    def _part(self, members: np.ndarray, epochs: int, epoch: int) -> np.ndarray:
        """The part of a stream that an epoch sees: one of so many, which together are the whole."""
        if epochs == 1:
            return members
        order = np.random.default_rng(self.seed).permutation(members)
        place = (epoch - 1) % epochs
        # Fewer sentences than epochs: each epoch has one.
        return np.array_split(order, epochs)[place] if len(order) >= epochs else order[[place % len(order)]]

    def _sample_sizes(self, parts: Sequence[np.ndarray]) -> list[int]:
        """Sentences an epoch of each stream: in proportion to size ** smoothing, the sum unchanged."""
        sizes = np.array([len(part) for part in parts], dtype=float)
        smoothing = self.batching.sampling_smoothing
        if smoothing == 1.0:
            return [int(size) for size in sizes]
        shares = sizes**smoothing / (sizes**smoothing).sum()
        return [max(1, round(share * sizes.sum())) for share in shares]

    def _sample(self, part: np.ndarray, size: int, random: np.random.Generator) -> np.ndarray:
        """``size`` instances: every one equally often, the remainder drawn without repetition."""
        whole, rest = divmod(size, len(part))
        parts = [part] * whole + [random.permutation(part)[:rest]]
        if self.batching.shuffle:
            parts = [random.permutation(again) for again in parts]
        return np.concatenate(parts)

    def _cut_stream(self, stream: np.ndarray, random: np.random.Generator) -> list[list[int]]:
        if not self.batching.sort_by_size:
            return cut(stream, self.lengths, self.segments, self.batching)
        mean = max(1.0, float(self.lengths[stream].mean()))
        batch_size = min(self.batching.batch_size, max(1, int(self.batching.max_tokens / mean)))
        pool = POOL_BATCHES * batch_size
        batches = []
        for start in range(0, len(stream), pool):
            part = stream[start : start + pool]
            ordered = part[np.argsort(self.lengths[part], kind="stable")]
            batches.extend(cut(ordered, self.lengths, self.segments, self.batching))
        return batches


def sizes_of(examples: Sequence[Example]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The subwords of the longest piece of each instance, its pieces and its words. *Shape:* (instances,) each."""
    if isinstance(examples, ExampleStore):
        return examples.longest_segments, examples.segments, examples.words
    lengths = [example.longest_segment for example in examples]
    segments = [len(example.segments.segment_starts) for example in examples]
    return np.array(lengths), np.array(segments), np.array(list(map(words_of, examples)))


def words_of(example: Example) -> int:
    """Words of an instance; what is no word, as texts of a TSV, is counted by its spaces."""
    return len(("" if example.view == "raw" else " ").join(example.words).split())


def cut(
    order: Sequence[int] | np.ndarray, lengths: np.ndarray, segments: np.ndarray, batching: BatchingParams
) -> list[list[int]]:
    """Cuts a sequence into batches within ``max_tokens``, padding counted, and ``batch_size`` sentences.

    A sentence that is over the budget alone makes a batch of its own.
    """
    batches: list[list[int]] = []
    batch: list[int] = []
    longest = rows = 0
    places = np.asarray(order, dtype=np.int64)
    sizes = zip(places.tolist(), lengths[places].tolist(), segments[places].tolist(), strict=True)
    for number, length, count in sizes:
        longest, rows = max(longest, length), rows + count
        if not batch or len(batch) >= batching.batch_size or longest * rows > batching.max_tokens:
            batch = []
            batches.append(batch)
            longest, rows = length, count
        batch.append(number)
    return batches


def parts(batch: Sequence[Example], number: int) -> list[list[Example]]:
    """Cuts a batch into so many parts with about the same number of subwords; some may be empty.

    The longest sentence first, each goes to the part that has least; in a part they stand as in the batch.
    """
    sizes = [len(example.segments.subword_ids) for example in batch]
    totals = [0] * number
    chosen: list[list[int]] = [[] for _ in range(number)]
    for place in sorted(range(len(batch)), key=lambda place: -sizes[place]):
        emptiest = totals.index(min(totals))
        totals[emptiest] += sizes[place]
        chosen[emptiest].append(place)
    return [[batch[place] for place in sorted(places)] for places in chosen]
