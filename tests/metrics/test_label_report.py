"""Scores of labels agree with scikit-learn, add up, and their table can be read."""

import doctest
import json
import random
import re
from types import ModuleType

import numpy as np
import pytest
from seqeval.metrics import classification_report as seqeval_report
from seqeval.scheme import IOB2
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from machamp_lite.cli.tables import _count_columns, confusion_lines, label_table
from machamp_lite.metrics import METRICS, span_f1, span_report
from machamp_lite.metrics import label_report as label_scores
from machamp_lite.metrics.label_report import NONE, LabelRow, LabelScores
from machamp_lite.metrics.span_report import SpanScores


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


@pytest.mark.parametrize("module", [label_scores, span_report, span_f1])
def test_doctests_hold(module: ModuleType) -> None:
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("seed", range(8))
def test_micro_scores_of_several_labels_per_item_are_those_of_scikit_learn(seed: int) -> None:
    generator = random.Random(seed)
    gold, predicted = np.array([[[generator.random() < 0.4 for _ in "abc"] for _ in range(9)] for _ in range(2)])
    scores = LabelScores(exclusive=False)
    for row in range(9):
        for place, label in enumerate("abc"):
            if gold[row, place] or predicted[row, place]:
                scores.add([label if gold[row, place] else NONE], [label if predicted[row, place] else NONE])
    micro, *_ = scores.means()
    *expected, _ = precision_recall_fscore_support(gold, predicted, average="micro", zero_division=0.0)
    assert numbers(micro) == pytest.approx(tuple(expected)) and micro.support == gold.sum()


def random_spans(seed: int) -> tuple[list[list[str]], list[list[str]]]:
    """Gold and predicted BIO labels of some sentences, which may break the scheme."""
    generator = random.Random(seed)
    labels = ["O", "O", "B-per", "I-per", "B-loc", "I-loc", "B-org"]
    gold = [generator.choices(labels, k=generator.randint(1, 9)) for _ in range(15)]
    return gold, [[label if generator.random() < 0.7 else generator.choice(labels) for label in row] for row in gold]


@pytest.mark.parametrize("seed", range(10))
def test_scores_of_types_equal_those_of_seqeval(seed: int) -> None:
    gold, predicted = random_spans(seed)
    scores = SpanScores()
    metrics = {name: METRICS[name]() for name in METRICS if name.startswith("span_")}
    for pair in zip(gold, predicted, strict=True):
        scores.add(*pair)
        for metric in metrics.values():
            metric.add(*pair)
    expected = seqeval_report(gold, predicted, mode="strict", scheme=IOB2, output_dict=True, zero_division=0)
    found = {row.label: row for row in scores.rows()}
    found |= {f"{row.label} avg": row for row in (*scores.means(), scores.weighted())}
    assert found.keys() == expected.keys()
    for name, row in found.items():
        assert (*numbers(row), row.support) == pytest.approx(tuple(expected[name].values()))
    # What is shown can be chosen as a metric.
    assert [row.label for row in scores.means()] == ["micro", "macro"]
    for score in ("precision", "recall", "f1"):
        assert metrics[f"span_{score}"].value() == pytest.approx(getattr(scores.micro(), score))
        assert metrics[f"span_{score}_macro"].value() == pytest.approx(getattr(scores.macro(), score))


def test_types_of_spans_with_the_same_ends_are_confused() -> None:
    scores = SpanScores()
    scores.add(["B-per", "I-per", "O", "B-loc", "B-org"], ["B-per", "O", "O", "B-org", "B-org"])
    labels, matrix = scores.confusion(9)
    assert labels == ["loc", "org", "per", NONE]
    assert matrix == [[0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]
    assert confusion_lines(scores) == [
        "gold \\ predicted  loc  org  per  (none)",
        "loc                 0    1    0       0",
        "org                 0    1    0       0",
        "per                 0    0    0       1",
        "(none)              0    0    1       0",
    ]


def test_spans_without_a_type_are_words() -> None:
    scores = SpanScores()
    scores.add(list("BIOB"), list("BIBB"))
    assert [(row.label, row.recall, row.precision) for row in scores.rows()] == [("word", 1.0, 2 / 3)]
    assert scores.names(["B", "I", "O"]) == {"word"}


def test_of_many_labels_the_most_frequent_and_the_worst_are_shown() -> None:
    gold = [f"L{place:02}" for place in range(40) for _ in range(43 - place)]
    wrong = {f"L{place:02}" for place in (3, 20, 39)}
    scores = scored(gold, ["L00" if label in wrong else label for label in gold])
    lines = label_table(scores)
    names = [line.split()[0] for line in lines if line.startswith("L")]
    # The label 39 has too few items to be one of the worst ones.
    assert names[:11] == [*(f"L{place:02}" for place in range(10)), "L20"] and "L39" not in names
    assert lines[11:13] == ["", "lowest f1 of the others, with a support of at least 5:"]
    assert lines[-1] == "20 labels not shown, see the .eval file"
    assert confusion_lines(scores) == ["40  L03 -> L00", "23  L20 -> L00", " 4  L39 -> L00"]


def test_a_matrix_that_is_too_wide_becomes_a_list_and_there_is_none_without_errors_or_for_sets() -> None:
    scores = scored(["a" * 30, "b" * 30], ["b" * 30, "b" * 30])
    assert confusion_lines(scores, width=80) == [f"1  {'a' * 30} -> {'b' * 30}"]
    assert len(confusion_lines(scores)) == 3
    assert confusion_lines(scored(["a", "b"], ["a", "b"])) == []
    several = LabelScores(exclusive=False)
    several.add(["a"], [NONE])
    assert confusion_lines(several) == []
    assert several.as_json()["confusions"] == [{"gold": "a", "predicted": NONE, "count": 1}]
