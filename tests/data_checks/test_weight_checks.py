"""What ``--check`` shows of an epoch, and which weights get a warning."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from machamp_lite.config import load_config
from machamp_lite.data_checks.weights import epoch_shares, expected_items, is_too_large, weight_warnings
from machamp_lite.dataloading.batch_sampler import BatchSampler
from machamp_lite.dataloading.datasets import training_streams
from machamp_lite.errors import ConfigError
from machamp_lite.training.check import check
from machamp_lite.training.run import read_data

Load = Callable[..., Any]


@pytest.fixture
def load(tmp_path: Path, tiny_params: str, write_config: Callable[..., str]) -> Load:
    """A config of TSVs with the given counts of labels, one dataset per dict."""

    def load(*counts: dict[str, int], task_type: str = "classification", **options: Any) -> Any:
        datasets, overrides = {}, options.pop("overrides", ())
        for number, of_labels in enumerate(counts):
            path = tmp_path / f"{number}.tsv"
            labels = list(Counter(of_labels).elements())
            path.write_text("".join(f"text {place % 7}\t{label}\n" for place, label in enumerate(labels)))
            task = {"task_type": task_type, "column_idx": 1, **options}
            datasets[f"D{number}"] = {"train_data_path": str(path), "sent_idxs": [0], "tasks": {"t": task}}
        return load_config([write_config(**datasets)], parameters_config=tiny_params, overrides=overrides)

    return load


def warnings(config: Any) -> list[str]:
    data = read_data(config)
    found = weight_warnings(config, vocabularies=data.vocabularies, train=data.train)
    return [line for line in found if "over" in line]


@pytest.mark.parametrize(
    ("weights", "counts", "large"),
    [
        # One item of a hundred with a weight of 100,000.
        ([1, 1e5], [99, 1], [False, True]),
        ([1, 475], [475, 1], [False, True]),
        # Both of two rare labels, also if one is rarer.
        ([1, 1e5, 1e5], [98, 1, 1], [False, True, True]),
        ([1, 9e4, 1e6], [98, 1, 1], [False, True, True]),
        # Equal weights, and the balanced weights of 41,000 and 9,000 items.
        ([3, 3], [99, 1], [False, False]),
        ([50 / 82, 50 / 18], [41_000, 9_000], [False, False]),
        # A down-weighted frequent label: many items have the other weight.
        ([0.001, 1, 1], [90, 5, 5], [False, False, False]),
        # All weights but those of some items are 0.
        ([0, 1], [90, 10], [False, False]),
        # A weight that no item has.
        ([1, 1e5], [100, 0], [False, False]),
    ],
)
def test_weights_are_too_large_if_few_items_have_far_more_than_the_others(
    weights: list[float], counts: list[int], large: list[bool]
) -> None:
    assert is_too_large(np.array(weights, dtype=float), np.array(counts)).tolist() == large


@pytest.mark.parametrize(
    ("task_type", "counts", "weights", "named"),
    [
        ("classification", {"a": 99, "b": 1}, {"a": 1, "b": 1e5}, "b"),
        ("classification", {"a": 41, "b": 9}, "balanced", None),
        ("classification", {"a": 90, "b": 10}, {"a": 0.0001, "*": 1}, None),
        # 475 negatives for each positive.
        ("multiclas", {"a": 475, "a|b": 1}, "balanced", "b"),
        ("multiclas", {"a": 50, "a|b": 50}, {"a": 1, "b": 475}, "b"),
        ("multiclas", {"a": 50, "a|b": 10}, "balanced", None),
    ],
)
def test_class_weights_that_are_too_large_are_reported_in_every_run(
    load: Load,
    caplog: pytest.LogCaptureFixture,
    task_type: str,
    counts: dict[str, int],
    weights: Any,
    named: str | None,
) -> None:
    config = load(counts, task_type=task_type, class_weights=weights)
    found = warnings(config)
    assert [line.partition(": ")[2].partition("items: ")[2].partition(";")[0] for line in found] == (
        [] if named is None else [named]
    )
    # ``read_data`` is part of training and of --check.
    assert [line for line in found if line in caplog.text] == found


def test_item_weights_that_are_too_large_are_reported(load: Load, tmp_path: Path) -> None:
    config = load({"a": 50, "b": 50}, weight_column=2)
    path = tmp_path / "0.tsv"
    rows = path.read_text().splitlines()
    for weight, number in (("100000", 1), ("50", 0)):
        path.write_text("".join(f"{row}\t{weight if place == 3 else 1}\n" for place, row in enumerate(rows)))
        assert len(warnings(config)) == number
    path.write_text("".join(f"{row}\t{1 if place % 10 else 0.0001}\n" for place, row in enumerate(rows)))
    assert warnings(config) == []


WEIGHTED = ("D0.sampling_weight=3",)


@pytest.mark.parametrize(
    ("overrides", "sizes"),
    [
        ((), [60, 20]),
        (WEIGHTED, [72, 8]),
        (("D0.sampling_weight=5", "D1.sampling_weight=5"), [60, 20]),
        (("batching.sampling_smoothing=0.0",), [40, 40]),
        (("batching.sampling_smoothing=0.0", *WEIGHTED), [60, 20]),
        (("D0.oversample=t", *WEIGHTED), [72, 8]),
    ],
)
def test_a_sampling_weight_multiplies_the_share_of_a_dataset(
    load: Load, overrides: tuple[str, ...], sizes: list[int]
) -> None:
    config = load({"a": 50, "b": 10}, {"a": 10, "b": 10}, overrides=overrides)
    data = read_data(config)
    sampler = BatchSampler(training_streams(config, data), config.params.batching, seed=3)
    for epoch in (1, 2):
        counts = Counter(example.dataset for batch in sampler.epoch(epoch) for example in batch)
        assert [counts["D0"], counts["D1"]] == sizes
    shares = epoch_shares(config, data)
    assert [share.size for share in shares] == sizes
    assert sum(share.share for share in shares) == pytest.approx(1)
    expected = expected_items(shares, "t", config=config.tasks()["t"], vocabulary=data.vocabularies["t"])
    by_hand = np.array([sizes[0] * 5 / 6, sizes[0] / 6]) + sizes[1] / 2
    if "D0.oversample=t" in overrides:
        # By the counts in both datasets, 60 and 20: a sentence with "b" is drawn three times as often.
        by_hand = np.array([sizes[0] * 50 / 80, sizes[0] * 30 / 80]) + sizes[1] / 2
    assert expected == pytest.approx(by_hand)


def test_check_shows_an_epoch_and_the_share_of_each_label_in_the_loss(load: Load) -> None:
    config = load(
        {"a": 50, "b": 10}, {"a": 10, "b": 10}, class_weights="balanced", overrides=("D0.max_sents=55", *WEIGHTED)
    )
    lines = check(config, data_cache="off")
    # Of 75 sentences, 3 * 55 / (3 * 55 + 20) are of the first dataset.
    assert [line for line in lines if line.startswith("  per epoch")] == [
        "  per epoch: 55 sentences of the 60 in the file (max_sents), 1.22 times on average; 89.3% of the epoch",
        "  per epoch: 20 sentences, 0.4 times on average; 10.7% of the epoch",
    ]
    start = next(index for index, line in enumerate(lines) if "of loss" in line)
    rows = [line.split() for line in lines[start : start + 3]]
    assert rows[0] == ["label", "count", "share", "per", "epoch", "weight", "of", "loss"]
    # 67 draws of 50 and 5 items, 8 draws of 10 and 10.
    items = np.array([67 * 50 / 55 + 4, 67 * 5 / 55 + 4])
    weighted = items * np.array([75 / 120, 75 / 30])
    for row, count, number, part in zip(rows[1:], (60, 15), items, weighted / weighted.sum(), strict=True):
        assert row[1:4] == [str(count), f"{count / 75:.1%}", f"{number:.0f}"]
        assert row[5] == f"{part:.1%}"


def test_the_share_of_a_label_that_is_a_decision_of_its_own_is_that_within_its_decision(load: Load) -> None:
    lines = check(load({"a": 60, "a|b": 20}, task_type="multiclas", class_weights="balanced"), data_cache="off")
    (row,) = [line.split() for line in lines if line.split()[:1] == ["b"]]
    assert row == ["b", "20", "25.0%", "20", "3", "50.0%"]


def test_a_table_of_many_labels_has_the_most_and_least_frequent(load: Load) -> None:
    counts = {f"L{number:02}": 40 - number for number in range(30)}
    lines = check(load(counts, class_weights="sqrt"), data_cache="off")
    shown = [line.split()[0] for line in lines if line.strip().startswith("L")]
    assert shown == [f"L{number:02}" for number in (*range(12), *range(18, 30))]
    assert "    ... 6 labels in between" in lines


def test_check_shows_the_weights_of_items(load: Load, tmp_path: Path) -> None:
    config = load({"a": 3, "b": 3}, weight_column=2)
    path = tmp_path / "0.tsv"
    rows = path.read_text().splitlines()
    weights = ["0.5", "2", "0", "_", "1", "1"]
    path.write_text("".join(f"{row}\t{weight}\n" for row, weight in zip(rows, weights, strict=True)))
    (line,) = [line for line in check(config, data_cache="off") if "weight_column" in line]
    stated = "2 of 5 items have a weight other than 1 (min 0.5, mean 1.1, max 2); 1 have none and count 1"
    assert line == f"    weight_column 2: {stated}"


@pytest.mark.parametrize("weight", ["0", "-1", "null", "1e31"])
def test_a_sampling_weight_is_above_0(load: Load, weight: str) -> None:
    with pytest.raises(ConfigError, match="D0 -> sampling_weight"):
        load({"a": 3, "b": 3}, overrides=(f"D0.sampling_weight={weight}",))
