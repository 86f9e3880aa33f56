"""What ``--check`` says of the data, and how scores are shown."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from machamp_lite.cli.tables import score_table
from machamp_lite.config import load_config
from machamp_lite.training.check import check


@pytest.fixture
def described(
    tmp_path: Path, tiny_params: str, write_config: Callable[..., str]
) -> Callable[[str, str | None], list[str]]:
    """The lines on training and dev rows ``word label`` of one task in column 2."""

    def describe(train: str, dev: str | None = None, **options: Any) -> list[str]:
        dataset: dict[str, Any] = {
            "word_idx": 1,
            "tasks": {"upos": {"task_type": "seq", "column_idx": 2}},
            **options,
        }
        for part, text in (("train", train), ("dev", dev)):
            if text is not None:
                path = tmp_path / part
                rows = [
                    f"{number}\t{row.replace(' ', chr(9))}" if row else ""
                    for number, row in enumerate(text.split("\n"))
                ]
                path.write_text("\n".join(rows) + "\n")
                dataset[f"{part}_data_path"] = str(path)
        return check(load_config([write_config(A=dataset)], parameters_config=tiny_params))

    return describe


def test_sizes_count_sentences_words_and_subwords(described: Callable[..., list[str]]) -> None:
    lines = described("a X\n. X\n\na X", "a X")
    assert lines[:5] == [
        "dataset A",
        "  train: 2 sentences, 3 words, 3 subwords, 0.00% unknown subwords",
        "  dev: 1 sentence, 1 word, 1 subword, 0.00% unknown subwords",
        "  per epoch: 2 sentences, once",
        "  task upos (seq, loss_weight 1): 2 annotated sentences",
    ]


def test_unknown_subwords_are_counted(described: Callable[..., list[str]]) -> None:
    # No character of the second word is in the tokenizer's vocabulary.
    assert "2 subwords, 50.00% unknown subwords" in described("a X\n\u732b X")[1]


def test_sentences_that_are_split_into_segments_are_reported(described: Callable[..., list[str]]) -> None:
    assert described("a X\n" * 70)[1].endswith(", 1 sentence longer than max_input_length")
    assert "longer" not in described("a X\n" * 20)[1]


def test_no_dev_data_is_no_line(described: Callable[..., list[str]]) -> None:
    assert not any(line.startswith("  dev") for line in described("a X"))


def test_limits_hold_for_training_data_alone(described: Callable[..., list[str]]) -> None:
    text = "a X\n\na X\na X\n\na X"
    lines = described(text, text, max_sents=2)
    assert [line.split(",")[0] for line in lines[1:3]] == ["  train: 2 sentences", "  dev: 3 sentences"]
    assert described(text, max_words=2)[1].startswith("  train: 2 sentences, 3 words")


def test_few_labels_are_all_shown_with_their_counts(described: Callable[..., list[str]]) -> None:
    lines = described("a X\na Y\na X")
    assert lines[4:] == ["    2 labels, 3 items", "    labels: X 2, Y 1"]


def test_of_many_labels_the_five_most_and_least_frequent_are_shown(
    described: Callable[..., list[str]],
) -> None:
    counts = Counter({f"L{number:02}": 20 - number for number in range(12)})
    lines = described("\n".join(f"a {label}" for label in counts.elements()))
    assert lines[4:] == [
        f"    12 labels, {counts.total()} items",
        "    most frequent: L00 20, L01 19, L02 18, L03 17, L04 16",
        "    least frequent: L07 13, L08 12, L09 11, L10 10, L11 9",
    ]


def test_dev_labels_that_training_never_saw_are_reported(described: Callable[..., list[str]]) -> None:
    lines = described("a X", "a X\na Q\na P\na Q")
    assert lines[-1] == "    dev labels that are not in the training data: 2 (3 items): Q 2, P 1"
    many = described("a X", "\n".join(f"a L{number}" for number in range(7)))
    assert many[-1] == (
        "    dev labels that are not in the training data: 7 (7 items): L0 1, L1 1, L2 1, L3 1, L4 1 and 2 more"
    )
    assert "never saw" not in described("a X\na Y", "a Y")[-1]


def test_every_task_type_is_described(
    dataset: dict[str, Any], pair_dataset: dict[str, Any], tiny_params: str, write_config: Callable[..., str]
) -> None:
    config = write_config(UD=dataset, PAIRS=pair_dataset)
    lines = check(load_config([config], parameters_config=tiny_params))
    counts = dict(
        zip(*[iter(line.strip() for line in lines if "items" in line or "  task" in line)] * 2, strict=True)
    )
    assert {key.split()[1]: value for key, value in counts.items()} == {
        "same": "2 labels, 4 items",
        "lemma": "5 labels, 14 items",
        "mood": "3 labels, 4 items",
        "tree": "7 labels, 14 items",
        "upos": "8 labels, 14 items",
    }
    assert next(line for line in lines if "texts" in line).startswith("  train: 4 sentences, 8 texts, ")


def test_scores_are_a_table_in_percent_and_those_where_less_is_better_are_numbers() -> None:
    scores = {
        "UD": {"tree": {"las": 0.5, "uas": 1.0}},
        "LONGER": {"a": {"accuracy": 0.12345}, "b": {"perplexity": 30.5}},
    }
    assert score_table(scores) == [
        "dataset  task  metric        score",
        "UD       tree  las           50.00",
        "UD       tree  uas          100.00",
        "LONGER   a     accuracy      12.35",
        "LONGER   b     perplexity  30.5000",
    ]
