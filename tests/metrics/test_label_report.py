"""Scores of labels agree with scikit-learn, add up, and their table can be read."""

import doctest
import json
import random
import re

import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from machamp_lite.cli.tables import _count_columns, label_table
from machamp_lite.metrics import label_report as label_scores
from machamp_lite.metrics.label_report import LabelRow, LabelScores


def random_labels(seed: int, *, number: int = 60) -> tuple[list[str], list[str]]:
    """Gold and predicted labels; some are never predicted, and some predicted ones are never gold."""
    generator = random.Random(seed)
    labels = [f"label{place}" for place in range(generator.randint(1, 8))]
    gold = generator.choices(labels, k=generator.randint(1, number))
    return gold, generator.choices([*labels[1:], "other"], k=len(gold))


def scored(gold: list[str], predicted: list[str]) -> LabelScores:
    scores = LabelScores()
    scores.add(gold, predicted)
    return scores


def numbers(row: LabelRow) -> tuple[float, float, float]:
    return row.precision, row.recall, row.f1


@pytest.mark.parametrize("seed", range(20))
def test_scores_equal_those_of_scikit_learn(seed: int) -> None:
    gold, predicted = random_labels(seed)
    scores = scored(gold, predicted)
    rows = scores.rows()
    labels = [row.label for row in rows]
    assert sorted(labels) == sorted({*gold, *predicted})
    *expected, support = precision_recall_fscore_support(gold, predicted, labels=labels, zero_division=0.0)
    for row, values in zip(rows, zip(*expected, strict=True), strict=True):
        assert numbers(row) == pytest.approx(values)
    assert [row.support for row in rows] == list(support)
    for mean in (scores.macro(), scores.weighted()):
        *values, _ = precision_recall_fscore_support(
            gold, predicted, average=mean.label, labels=labels, zero_division=0.0
        )
        assert numbers(mean) == pytest.approx(tuple(values))
        assert mean.support == len(gold)


@pytest.mark.parametrize("seed", range(20))
def test_confusions_equal_those_of_scikit_learn(seed: int) -> None:
    gold, predicted = random_labels(seed)
    labels, matrix = scored(gold, predicted).confusion(most=20)
    assert matrix == confusion_matrix(gold, predicted, labels=labels).tolist()


@pytest.mark.parametrize("most", range(1, 6))
@pytest.mark.parametrize("seed", range(5))
def test_few_confusions_are_those_of_merged_labels(seed: int, most: int) -> None:
    gold, predicted = random_labels(seed)
    scores = scored(gold, predicted)
    labels, matrix = scores.confusion(most)
    merged = len(scores.rows()) - most
    if merged > 0:
        other = f"({merged} other{'s' if merged > 1 else ''})"
        assert len(labels) == most + 1 and labels[-1] == other
        gold, predicted = (
            [label if label in labels else other for label in side] for side in (gold, predicted)
        )
    assert matrix == confusion_matrix(gold, predicted, labels=labels).tolist()


def test_labels_with_the_most_errors_are_kept_in_the_order_of_support() -> None:
    gold = ["often"] * 50 + ["mixed"] * 9 + ["rare"] * 4 + ["fine"] * 6
    predicted = ["often"] * 50 + ["mixed"] * 6 + ["rare"] * 3 + ["mixed"] * 4 + ["fine"] * 5 + ["often"]
    assert scored(gold, predicted).confusion(2) == (
        ["mixed", "rare", "(2 others)"],
        [[6, 3, 0], [4, 0, 0], [0, 0, 56]],
    )


def test_rows_have_the_most_support_first_and_ties_by_name() -> None:
    rows = scored(["b", "c", "a", "c"], ["b", "c", "z", "c"]).rows()
    assert [(row.label, row.support) for row in rows] == [("c", 2), ("a", 1), ("b", 1), ("z", 0)]


@pytest.mark.parametrize("seed", range(5))
def test_adding_in_pieces_and_merging_equal_adding_at_once(seed: int) -> None:
    gold, predicted = random_labels(seed)
    cut = len(gold) // 3
    left, right = scored(gold[:cut], predicted[:cut]), scored(gold[cut:], predicted[cut:])
    left.merge(right)
    assert left.as_json() == scored(gold, predicted).as_json()


def test_sequences_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"2 gold items .*1 predicted"):
        LabelScores().add(["a", "b"], ["a"])


def test_without_items_all_is_empty_or_zero() -> None:
    scores = LabelScores()
    scores.add([], [])
    assert scores.rows() == [] and scores.confusion(3) == ([], [])
    assert scores.macro() == LabelRow("macro", 0.0, 0.0, 0.0, 0)
    assert len(label_table(scores, width=80, colour=True)) == 4


def test_as_json_is_json_with_the_same_numbers() -> None:
    scores = scored(["a", "a", "b", "c"], ["a", "a", "a", "c"])
    value = scores.as_json()
    assert json.loads(json.dumps(value)) == value
    assert value["labels"]["b"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}
    assert value["macro"]["f1"] == pytest.approx(0.6)
    assert value["weighted"]["recall"] == 0.75
    assert value["confusion"] == {"labels": ["a", "b", "c"], "matrix": [[2, 0, 0], [1, 0, 0], [0, 0, 1]]}


def test_the_table_as_it_is_read() -> None:
    gold = ["NOUN"] * 1000 + ["名词"] * 3
    predicted = ["NOUN"] * 999 + ["SYM"] + ["名词", "NOUN", "NOUN"]
    assert label_table(scored(gold, predicted), width=None, colour=False) == [
        "label     precision  recall     f1  support",
        "NOUN          99.80   99.90  99.85     1000",
        "名词         100.00   33.33  50.00        3 !",
        "SYM            0.00    0.00   0.00        0",
        "",
        "macro         66.60   44.41  49.95     1003",
        "weighted      99.80   99.70  99.70     1003",
        "! recall below 50%",
    ]


@pytest.mark.parametrize("width", [None, 30, 46, 60, 200])
def test_colour_adds_codes_alone_and_marks_what_is_not_found(width: int | None) -> None:
    scores = scored(["a", "a", "b", "b"], ["a", "a", "a", "a"])
    plain, coloured = (label_table(scores, width=width, colour=colour) for colour in (False, True))
    assert [re.sub(r"\033\[\d+m", "", line) for line in coloured] == plain
    assert not any("\033" in line for line in plain)
    assert [line.removesuffix("\033[0m").endswith(" !") for line in coloured[:3]] == [False, False, True]
    assert coloured[2].startswith("\033[31m")


@pytest.mark.parametrize("label", ["x" * 100, "名" * 50, "e\u0301" * 60])
def test_long_labels_are_cut_to_the_width_and_numbers_stay_below_each_other(label: str) -> None:
    scores = scored([label, "a"], ["a", "a"])
    for width in (50, 60, 80):
        lines = [line for line in label_table(scores, width=width, colour=False) if line]
        columns = [_count_columns(line.removesuffix(" !")) for line in lines[:-1]]
        assert len(set(columns)) == 1 and columns[0] + len(" !") <= width
        assert any("…" in line for line in lines)
    assert label in "\n".join(label_table(scores, width=None, colour=False))


def test_labels_cannot_break_lines_or_speak_to_the_terminal() -> None:
    lines = label_table(scored(["a\nb\033[1m"], ["a\nb\033[1m"]), width=None, colour=False)
    assert lines[1].startswith(r"a\nb\x1b[1m ")


def test_doctests_hold() -> None:
    assert doctest.testmod(label_scores).failed == 0
