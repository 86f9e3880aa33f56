"""Metrics of labels agree with scikit-learn and seqeval; all metrics can be added, shown and summed."""

import doctest
import importlib
import math
import pkgutil
import random
from typing import Any

import pytest
from sklearn.metrics import accuracy_score, f1_score

from machamp_lite import metrics
from machamp_lite.data.span_schemes import BIO
from machamp_lite.metrics import METRICS, Metric

TAGS = ["O", "B-a", "I-a", "B-b", "I-b", "B", "I"]


def score(name: str, gold: list, predicted: list) -> float:
    metric = METRICS[name]()
    metric.add(gold, predicted)
    return metric.value()


def random_items(name: str, length: int, generator: random.Random) -> list:
    if name in ("las", "uas"):
        return [(generator.randrange(3), generator.choice(["nsubj", "obj"])) for _ in range(length)]
    if name in ("avg_dist", "pearson", "spearman"):
        return [generator.gauss(0, 1) for _ in range(length)]
    if name == "perplexity":
        return [math.log(generator.random()) for _ in range(length)]
    if name == "kl":
        return [(share := generator.random(), 1 - share) for _ in range(length)]
    if name == "bleu":
        # Long enough to share n-grams of four words.
        return [" ".join(["the old dog sleeps near", *generator.choices("xyz", k=3)]) for _ in range(length)]
    labels = {"f1_binary": ["no", "yes"], "span_f1": TAGS}.get(name, ["x", "y", "z", "rare"])
    return generator.choices(labels, k=length)


@pytest.mark.parametrize("seed", range(50))
def test_label_metrics_equal_those_of_scikit_learn(seed: int) -> None:
    generator = random.Random(seed)
    labels = [f"label{index}" for index in range(generator.randint(1, 8))]
    # Not all labels are predicted, and some predicted ones are not in the gold labels.
    gold = generator.choices(labels, k=generator.randint(1, 60))
    predicted = generator.choices([*labels[1:], "other"], k=len(gold))
    assert score("accuracy", gold, predicted) == pytest.approx(accuracy_score(gold, predicted))
    for average in ("micro", "macro"):
        expected = f1_score(gold, predicted, average=average, zero_division=0.0)
        assert score(f"f1_{average}", gold, predicted) == pytest.approx(expected)


@pytest.mark.parametrize("labels", [("0", "1"), ("no", "yes"), ("against", "favor")])
@pytest.mark.parametrize("seed", range(10))
def test_binary_f1_equals_that_of_scikit_learn(labels: tuple[str, str], seed: int) -> None:
    generator = random.Random(seed)
    gold, predicted = (generator.choices(labels, k=20) for _ in range(2))
    expected = f1_score(gold, predicted, pos_label=labels[1], zero_division=0.0)
    assert score("f1_binary", gold, predicted) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        (["0", "0"], ["0", "1"], 0.0),
        (["0", "1"], ["0", "0"], 0.0),
        (["1", "1"], ["1", "1"], 1.0),
        (["0", "1", "0"], ["?", "1", "x"], 1.0),
        (["0", "1", "2"], ["0", "1", "2"], 1.0),
        (["0", "1", "2", "2"], ["0", "1", "2", "1"], 2 / 3),
    ],
)
def test_binary_f1_takes_the_last_label_as_positive(gold: list, predicted: list, expected: float) -> None:
    assert score("f1_binary", gold, predicted) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("", []),
        ("O O", []),
        ("B-a I-a O B-b", [(0, 2, "a"), (3, 4, "b")]),
        ("B-a B-a I-a", [(0, 1, "a"), (1, 3, "a")]),
        ("I-a I-a", []),
        ("O I-a B-a", [(2, 3, "a")]),
        ("B-a I-b I-a", [(0, 1, "a")]),
        ("B-a O I-a", [(0, 1, "a")]),
        ("B-a I-b B-b I-b", [(0, 1, "a"), (2, 4, "b")]),
        ("B-a-x I-a-x I-a", [(0, 2, "a-x")]),
        ("B I O B", [(0, 2, ""), (3, 4, "")]),
        ("B-a I", [(0, 1, "a")]),
        ("B-a E-a S-a X _", [(0, 1, "a")]),
    ],
)
def test_spans_are_opened_by_b_alone_and_continued_by_their_own_i(tags: str, expected: list) -> None:
    assert BIO.spans(tags.split()) == expected


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        ("B-a I-a O", "B-a I-a O", 1.0),
        ("B-a I-a O", "B-a O O", 0.0),
        ("B-a I-a O", "B-b I-b O", 0.0),
        ("B-a I-a O", "I-a I-a O", 0.0),
        ("B-a O B-b", "B-a O O", 2 / 3),
        ("B-a O B-b", "B-a B-a B-b", 0.8),
        ("O O", "O O", 0.0),
        ("O O", "B-a O", 0.0),
    ],
)
def test_span_f1_counts_spans_with_the_right_start_end_and_type(gold: str, predicted: str, expected: float) -> None:
    assert score("span_f1", gold.split(), predicted.split()) == pytest.approx(expected)


def test_span_f1_equals_that_of_seqeval() -> None:
    seqeval_score = pytest.importorskip("seqeval.metrics").f1_score
    scheme = pytest.importorskip("seqeval.scheme").IOB2
    generator = random.Random(0)
    for _ in range(1000):
        gold, predicted = [], []
        metric = METRICS["span_f1"]()
        for length in generator.choices(range(1, 12), k=3):
            gold.append(generator.choices(TAGS, k=length))
            predicted.append([generator.choice([tag, tag, *TAGS]) for tag in gold[-1]])
            metric.add(gold[-1], predicted[-1])
        expected = seqeval_score(gold, predicted, mode="strict", scheme=scheme, zero_division=0)
        assert metric.value() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("predicted", "las", "uas"),
    [
        ([(2, "nsubj"), (0, "root"), (2, "obj"), (2, "punct")], 1.0, 1.0),
        ([(2, "nsubj"), (0, "root"), (2, "iobj"), (2, "punct")], 0.75, 1.0),
        ([(2, "nsubj"), (0, "root"), (1, "obj"), (1, "punct")], 0.5, 0.5),
        ([(2, "nsubj:pass"), (1, "root"), (2, "obj"), (2, "dep")], 0.25, 0.75),
        ([(0, "x"), (1, "x"), (1, "x"), (1, "x")], 0.0, 0.0),
    ],
)
def test_attachment_scores_count_heads_with_and_without_relations(
    predicted: list[tuple[int, str]], las: float, uas: float
) -> None:
    gold = [(2, "nsubj"), (0, "root"), (2, "obj"), (2, "punct")]
    assert (score("las", gold, predicted), score("uas", gold, predicted)) == (las, uas)


@pytest.mark.parametrize("name", METRICS)
def test_adding_in_pieces_and_merging_equal_adding_at_once(name: str) -> None:
    generator = random.Random(name)
    # Sentences of tags end in O, for their spans not to run on when joined.
    end = "O" if name == "span_f1" else random_items(name, 1, generator)[0]
    sentences = [[[*random_items(name, 9, generator), end] for _ in range(2)] for _ in range(20)]
    segments, left, right = METRICS[name](), METRICS[name](), METRICS[name]()
    for index, (gold, predicted) in enumerate(sentences):
        segments.add(gold, predicted)
        (left if index < 7 else right).add(gold, predicted)
    left.merge(right)
    at_once = score(name, *([item for sentence in sentences for item in sentence[side]] for side in range(2)))
    assert at_once not in (0.0, 1.0)
    assert segments.value() == left.value() == at_once


@pytest.mark.parametrize("name", METRICS)
def test_an_empty_metric_is_zero_and_stays_so_with_empty_sentences(name: str) -> None:
    metric = METRICS[name]()
    assert metric.value() == 0.0
    metric.add([], [])
    metric.merge(METRICS[name]())
    assert metric.value() == 0.0


@pytest.mark.parametrize("name", METRICS)
def test_sequences_of_different_lengths_are_refused(name: str) -> None:
    items = random_items(name, 3, random.Random(0))
    with pytest.raises(ValueError, match=r"3 gold items .*2 predicted"):
        METRICS[name]().add(items, items[:2])


def test_the_table_holds_each_metric_under_its_name() -> None:
    assert all(issubclass(metric, Metric) and metric.name == name for name, metric in METRICS.items())
    lower = {name for name, metric in METRICS.items() if not metric.higher_is_better}
    assert lower == {"avg_dist", "perplexity", "kl"}


PERFECT: dict[str, tuple[list[Any], list[Any]]] = {
    "span_f1": (["B-a", "I-a"], ["B-a", "I-a"]),
    "las": ([(0, "root")], [(0, "root")]),
    "uas": ([(0, "root")], [(0, "nsubj")]),
    "avg_dist": ([1.0, (0.5, 2.0)], [1.0, (0.5, 2.0)]),
    "pearson": ([1.0, 2.0], [10.0, 20.0]),
    "spearman": ([1.0, 2.0, 3.0], [1.0, 2.0, 100.0]),
    "perplexity": (["a", "b"], [0.0, 0.0]),
    "kl": ([(0.5, 0.5), (1.0, 0.0)], [(0.5, 0.5), (1.0, 0.0)]),
    "chrf": (["some text"], ["some text"]),
    "bleu": (["a text of five words"], ["a text of five words"]),
}


@pytest.mark.parametrize("name", METRICS)
def test_what_is_perfect_has_the_merit_one(name: str) -> None:
    value = score(name, *PERFECT.get(name, (["a", "b"], ["a", "b"])))
    assert METRICS[name].selection_score(value) == pytest.approx(1.0)


@pytest.mark.parametrize("name", METRICS)
def test_merit_rises_as_a_value_gets_better_and_stays_within_one(name: str) -> None:
    metric = METRICS[name]
    worse_to_better = [0.0, 0.25, 0.5, 1.0] if metric.higher_is_better else [1e300, 1000.0, 3.0, 1.5, 1.0]
    merits = [metric.selection_score(value) for value in worse_to_better]
    assert merits == sorted(set(merits)) and merits[0] >= 0.0 and merits[-1] <= 1.0
    assert math.isnan(metric.selection_score(math.nan)), "a value that is no number is not the best"


@pytest.mark.parametrize(
    ("name", "value", "selection_score", "text"),
    [
        ("accuracy", 0.93214, 0.93214, "93.21"),
        ("las", 1.0, 1.0, "100.00"),
        ("pearson", -0.5, -0.5, "-50.00"),
        ("chrf", 0.312, 0.312, "31.20"),
        ("perplexity", 12.5, 0.08, "12.5000"),
        ("perplexity", 0.0, 1.0, "0.0000"),
        ("avg_dist", 0.25, 0.8, "0.2500"),
        ("kl", 3.0, 0.25, "3.0000"),
    ],
)
def test_values_are_read_in_percent_and_summed_as_they_are_or_else_as_numbers_and_inverse(
    name: str, value: float, selection_score: float, text: str
) -> None:
    assert METRICS[name].selection_score(value) == pytest.approx(selection_score)
    assert METRICS[name].as_text(value) == text


def test_doctests_hold() -> None:
    results = [
        doctest.testmod(importlib.import_module(f"{metrics.__name__}.{module.name}"))
        for module in pkgutil.iter_modules(metrics.__path__)
    ]
    assert not any(result.failed for result in results)
    assert sum(result.attempted for result in results) >= 3 * len(METRICS)
