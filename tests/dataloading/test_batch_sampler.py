"""Which sentences make a batch."""

from collections import Counter

import numpy as np
import pytest

from machamp_lite.config.schema import BatchingParams
from machamp_lite.data.tokenization import Segments
from machamp_lite.dataloading.batch_sampler import BatchSampler, Stream
from machamp_lite.dataloading.example import Example

DEFAULTS = {
    "max_tokens": 120,
    "batch_size": 8,
    "shuffle": True,
    "sort_by_size": True,
    "diverse": False,
    "sampling_smoothing": 1.0,
}


def example(dataset: str, number: int, *, segment_lengths: tuple[int, ...]) -> Example:
    starts = np.cumsum((0, *segment_lengths[:-1]))
    ids = np.zeros(sum(segment_lengths), dtype=np.int64)
    return Example(
        dataset, "words", f"{dataset}:{number}", [], Segments(ids, ids, starts, np.array([]), np.array([])), {}, {}
    )


def datasets(*sizes: int, longest: int = 30) -> list[list[Example]]:
    random = np.random.default_rng(3)
    return [
        [
            example(f"D{place}", number, segment_lengths=(int(random.integers(3, longest)),))
            for number in range(size)
        ]
        for place, size in enumerate(sizes)
    ]


def sampler(data: list[list[Example]], *, seed: int = 5, **options: object) -> BatchSampler:
    batching = BatchingParams.model_validate({**DEFAULTS, **options})
    return BatchSampler([Stream(examples) for examples in data], batching, seed=seed)


def seen(batches: list[list[Example]]) -> Counter[str]:
    return Counter(example.source for batch in batches for example in batch)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"diverse": True},
        {"shuffle": False},
        {"sort_by_size": False},
        {"diverse": True, "sort_by_size": False},
    ],
)
def test_every_sentence_is_seen_exactly_once_an_epoch(options: dict[str, bool]) -> None:
    data = datasets(301, 57)
    counts = seen(sampler(data, **options).epoch(1))
    assert counts == Counter(example.source for dataset in data for example in dataset)


def test_batches_stay_within_tokens_and_sentences() -> None:
    for batch in sampler(datasets(300)).epoch(1):
        assert len(batch) <= 8
        assert len(batch) * max(example.segments.longest for example in batch) <= 120


def test_a_sentence_over_the_budget_is_a_batch_of_its_own() -> None:
    long = example("D", 0, segment_lengths=(100, 100))
    batches = sampler([[long, *(example("D", number, segment_lengths=(5,)) for number in range(1, 9))]]).epoch(
        1
    )
    assert [long] in batches
    assert seen(batches).total() == 9


def test_sorting_by_size_leaves_little_padding() -> None:
    def fill(batches: list[list[Example]]) -> float:
        real = sum(example.segments.longest for batch in batches for example in batch)
        return real / sum(len(batch) * max(example.segments.longest for example in batch) for batch in batches)

    data = datasets(2000)
    assert fill(sampler(data).epoch(1)) > 0.93
    assert fill(sampler(data, sort_by_size=False).epoch(1)) < 0.85


def test_batches_differ_from_epoch_to_epoch_and_repeat_with_the_seed() -> None:
    data = datasets(200)
    one, again = sampler(data), sampler(data)

    def groups(batches: list[list[Example]]) -> list[tuple[str, ...]]:
        return [tuple(example.source for example in batch) for batch in batches]

    assert groups(one.epoch(1)) == groups(again.epoch(1))
    assert groups(one.epoch(2)) == groups(again.epoch(2))
    members = [{frozenset(group) for group in groups(one.epoch(epoch))} for epoch in (1, 2)]
    assert len(members[0] & members[1]) < len(members[0]) / 2
    assert groups(one.epoch(1)) != groups(sampler(data, seed=6).epoch(1))


def test_without_shuffle_and_sorting_sentences_come_in_the_order_of_the_file() -> None:
    data = datasets(50)
    batches = sampler(data, shuffle=False, sort_by_size=False).epoch(3)
    assert [example for batch in batches for example in batch] == data[0]


@pytest.mark.parametrize("diverse", [True, False])
def test_a_batch_holds_several_datasets_only_if_diverse(diverse: bool) -> None:
    batches = sampler(datasets(200, 200), diverse=diverse).epoch(1)
    assert any(len({example.dataset for example in batch}) > 1 for batch in batches) == diverse


@pytest.mark.parametrize(("smoothing", "sizes"), [(1.0, [300, 100]), (0.0, [200, 200]), (0.5, [254, 146])])
def test_smoothing_moves_sizes_towards_each_other(smoothing: float, sizes: list[int]) -> None:
    counts = seen(sampler(datasets(300, 100), sampling_smoothing=smoothing).epoch(1))
    found = [
        sum(count for source, count in counts.items() if source.startswith(name)) for name in ("D0", "D1")
    ]
    assert found == sizes
    # No sentence comes back before all others of its dataset have been seen as often.
    small = [count for source, count in counts.items() if source.startswith("D1")]
    assert max(small) - min(small) <= 1


@pytest.mark.parametrize(("size", "epochs"), [(40, 4), (41, 4), (3, 1)])
def test_a_stream_that_is_shared_out_is_seen_once_in_all_epochs_together(size: int, epochs: int) -> None:
    (data,) = datasets(size)
    shared = BatchSampler([Stream(data, epochs)], BatchingParams.model_validate(DEFAULTS), seed=5)
    parts = [seen(shared.epoch(epoch)) for epoch in range(1, epochs + 1)]
    assert sum(parts, Counter()) == Counter(example.source for example in data)
    assert max(part.total() for part in parts) - min(part.total() for part in parts) <= 1


def test_a_stream_smaller_than_the_number_of_epochs_gives_one_sentence_an_epoch() -> None:
    (data,) = datasets(3)
    shared = BatchSampler([Stream(data, 5)], BatchingParams.model_validate(DEFAULTS), seed=5)
    parts = [seen(shared.epoch(epoch)) for epoch in range(1, 6)]
    assert [part.total() for part in parts] == [1] * 5
    assert len(sum(parts, Counter())) == 3
