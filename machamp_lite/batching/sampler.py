"""Which instances make a batch, and in what order; a function of seed and epoch alone."""

from collections.abc import Sequence

import numpy as np

from machamp_lite.batching.instances import Instance
from machamp_lite.config.schema import BatchingParams

# Sorting by length happens inside shuffled pools of this many batches: large enough to leave little padding,
# small enough that the sentences that meet in a batch differ from epoch to epoch.
POOL_BATCHES = 32


class Sampler:
    """Cuts the training instances of all datasets into the batches of an epoch.

    Every sentence is seen once an epoch, but for ``sampling_smoothing`` and for the datasets that have ``chances``,
    from which as many sentences are drawn, with repetition.
    """

    def __init__(
        self,
        datasets: Sequence[Sequence[Instance]],
        batching: BatchingParams,
        *,
        seed: int,
        chances: Sequence[np.ndarray | None] | None = None,
    ) -> None:
        self.instances = [instance for dataset in datasets for instance in dataset]
        self.batching = batching
        self.seed = seed
        sizes = [len(dataset) for dataset in datasets]
        ends = np.cumsum(sizes)
        self.datasets = [np.arange(end - size, end) for end, size in zip(ends, sizes, strict=True)]
        self.chances = chances or [None] * len(datasets)
        self.lengths = np.array([instance.longest_piece for instance in self.instances])
        self.pieces = np.array([len(instance.pieces.piece_starts) for instance in self.instances])

    def epoch(self, epoch: int) -> list[list[Instance]]:
        """The batches of one epoch, counted from 1."""
        random = np.random.default_rng([self.seed, epoch])
        sampled = [
            self._sample(dataset, size, random)
            if chances is None
            else random.choice(dataset, size, p=chances)
            for dataset, size, chances in zip(self.datasets, self._sample_sizes(), self.chances, strict=True)
        ]
        if self.batching.diverse:
            # One stream of all datasets, so that a batch may hold several.
            merged = np.concatenate(sampled)
            sampled = [random.permutation(merged) if self.batching.shuffle else merged]
        batches = [batch for stream in sampled for batch in self._cut_stream(stream, random)]
        if self.batching.shuffle:
            order = random.permutation(len(batches))
            batches = [batches[number] for number in order]
        return [[self.instances[number] for number in batch] for batch in batches]

    def _sample_sizes(self) -> list[int]:
        """Sentences an epoch of each dataset: in proportion to size ** smoothing, the sum unchanged."""
        sizes = np.array([len(dataset) for dataset in self.datasets], dtype=float)
        smoothing = self.batching.sampling_smoothing
        if smoothing == 1.0:
            return [int(size) for size in sizes]
        shares = sizes**smoothing / (sizes**smoothing).sum()
        return [max(1, round(share * sizes.sum())) for share in shares]

    def _sample(self, dataset: np.ndarray, size: int, random: np.random.Generator) -> np.ndarray:
        """``size`` instances: every one equally often, the remainder drawn without repetition."""
        whole, rest = divmod(size, len(dataset))
        parts = [dataset] * whole + [random.permutation(dataset)[:rest]]
        if self.batching.shuffle:
            parts = [random.permutation(part) for part in parts]
        return np.concatenate(parts)

    def _cut_stream(self, stream: np.ndarray, random: np.random.Generator) -> list[list[int]]:
        if not self.batching.sort_by_size:
            return cut(stream, self.lengths, self.pieces, self.batching)
        mean = max(1.0, float(self.lengths[stream].mean()))
        batch_size = min(self.batching.batch_size, max(1, int(self.batching.max_tokens / mean)))
        pool = POOL_BATCHES * batch_size
        batches = []
        for start in range(0, len(stream), pool):
            part = stream[start : start + pool]
            ordered = part[np.argsort(self.lengths[part], kind="stable")]
            batches.extend(cut(ordered, self.lengths, self.pieces, self.batching))
        return batches


def cut(
    order: Sequence[int] | np.ndarray, lengths: np.ndarray, pieces: np.ndarray, batching: BatchingParams
) -> list[list[int]]:
    """Cuts a sequence into batches within ``max_tokens``, padding counted, and ``batch_size`` sentences.

    A sentence that is over the budget alone makes a batch of its own.
    """
    batches: list[list[int]] = []
    longest = rows = 0
    for number in order:
        number = int(number)
        new_longest, new_rows = max(longest, int(lengths[number])), rows + int(pieces[number])
        full = batches and len(batches[-1]) >= batching.batch_size
        if not batches or full or new_longest * new_rows > batching.max_tokens:
            batches.append([])
            new_longest, new_rows = int(lengths[number]), int(pieces[number])
        batches[-1].append(number)
        longest, rows = new_longest, new_rows
    return batches
