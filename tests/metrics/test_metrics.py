"""Metrics of labels agree with scikit-learn and seqeval; all metrics can be added, shown and summed."""

import doctest
import importlib
import math
import pkgutil
import random
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from sklearn.metrics import accuracy_score, f1_score, fbeta_score, precision_score, recall_score

from machamp_lite import metrics
from machamp_lite.config.task_types import BUILT_IN, CLASS_METRICS, SPAN_METRICS
from machamp_lite.data.span_schemes import BIO
from machamp_lite.metrics import METRICS, Metric
from machamp_lite.metrics.label_report import LabelScores

CLASS_SCORES = {"f1": f1_score, "precision": precision_score, "recall": recall_score}
TAGS = ["O", "B-a", "I-a", "B-b", "I-b", "B", "I"]


def score(name: str, gold: list, predicted: list) -> float:
    metric = METRICS[name]()
    metric.add(gold, predicted)
    return metric.value()


def random_items(name: str, length: int, generator: random.Random) -> list:
    if name in ("las", "uas"):
        return [(generator.randrange(3), generator.choice(["nsubj", "obj"])) for _ in range(length)]
    if name in ("avg_dist", "mae", "pearson", "spearman"):
        return [generator.gauss(0, 1) for _ in range(length)]
    if name == "perplexity":
        return [math.log(generator.random()) for _ in range(length)]
    if name == "kl":
        return [(share := generator.random(), 1 - share) for _ in range(length)]
    if name == "bleu":
        # Long enough to share n-grams of four words.
        return [" ".join(["the old dog sleeps near", *generator.choices("xyz", k=3)]) for _ in range(length)]
    if name in SPAN_METRICS:
        return generator.choices(TAGS, k=length)
    return generator.choices(["no", "yes"] if "binary" in name else ["x", "y", "z", "rare"], k=length)


@pytest.mark.parametrize("seed", range(50))
def test_label_metrics_equal_those_of_scikit_learn(seed: int) -> None:
    generator = random.Random(seed)
    labels = [f"label{index}" for index in range(generator.randint(1, 8))]
    # Not all labels are predicted, and some predicted ones are not in the gold labels.
    gold = generator.choices(labels, k=generator.randint(1, 60))
    predicted = generator.choices([*labels[1:], "other"], k=len(gold))
    assert score("accuracy", gold, predicted) == pytest.approx(accuracy_score(gold, predicted))
    for average in ("micro", "macro", "weighted"):
        options = {"average": average, "zero_division": 0.0}
        for name, reference in CLASS_SCORES.items():
            expected = pytest.approx(reference(gold, predicted, **options))
            assert score(f"{name}_{average}", gold, predicted) == expected
        for beta in (0.5, 2.0):
            metric = METRICS[f"fbeta_{average}"].for_task(SimpleNamespace(positive_label=None, beta=beta))
            metric.add(gold, predicted)
            assert metric.value() == pytest.approx(fbeta_score(gold, predicted, beta=beta, **options))


@pytest.mark.parametrize("labels", [("0", "1"), ("no", "yes"), ("against", "favor")])
@pytest.mark.parametrize("seed", range(10))
def test_binary_scores_equal_those_of_scikit_learn(labels: tuple[str, str], seed: int) -> None:
    generator = random.Random(seed)
    gold, predicted = (generator.choices(labels, k=20) for _ in range(2))
    for name, reference in CLASS_SCORES.items():
        expected = reference(gold, predicted, pos_label=labels[1], zero_division=0.0)
        assert score(f"{name}_binary", gold, predicted) == pytest.approx(expected)


@pytest.mark.parametrize("positive", ["a", "b", "c"])
@pytest.mark.parametrize("seed", range(5))
def test_the_positive_label_can_be_any_label(positive: str, seed: int) -> None:
    generator = random.Random(seed)
    gold, predicted = (generator.choices(["a", "b", "c"], k=20) for _ in range(2))
    for name, reference in {**CLASS_SCORES, "fbeta": partial(fbeta_score, beta=3.0)}.items():
        metric = METRICS[f"{name}_binary"].for_task(SimpleNamespace(positive_label=positive, beta=3.0))
        metric.add(gold, predicted)
        expected = reference(gold, predicted, labels=[positive], average="macro", zero_division=0.0)
        assert metric.value() == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
def test_parts_of_f1_are_precision_and_recall_and_those_of_the_mean_all_scores_of_labels(seed: int) -> None:
    generator = random.Random(seed)
    gold, predicted = (generator.choices(["a", "b", "c"], k=20) for _ in range(2))
    for average in ("micro", "macro", "weighted"):
        metric = METRICS[f"f1_{average}"]()
        metric.add(gold, predicted)
        parts = metric.parts()
        assert parts[f"precision_{average}"] == score(f"precision_{average}", gold, predicted)
        assert parts[f"recall_{average}"] == score(f"recall_{average}", gold, predicted)
        assert ("f1_a" in parts) == (average == "macro")
    assert METRICS["accuracy"]().parts() == METRICS["fbeta_macro"]().parts() == {}
    scores = LabelScores()
    scores.add(gold, predicted)
    macro = METRICS["f1_macro"]()
    macro.add(gold, predicted)
    for row in scores.rows():
        assert macro.parts()[f"precision_{row.label}"] == row.precision
        assert macro.parts()[f"f1_{row.label}"] == pytest.approx(row.f1)


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        (["0", "0"], ["0", "1"], 0.0),
        (["0", "1"], ["0", "0"], 0.0),
        (["1", "1"], ["1", "1"], 1.0),
        (["0", "1", "0"], ["?", "1", "x"], 1.0),
        (["0", "1", "2"], ["0", "1", "2"], 1.0),
        (["+", "-", "-"], ["+", "+", "-"], 2 / 3),
        (["0", "1", "2", "2"], ["0", "1", "2", "1"], 2 / 3),
    ],
)
def test_without_a_positive_label_it_is_yes_or_the_last_one(gold: list, predicted: list, expected: float) -> None:
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
    seqeval = pytest.importorskip("seqeval.metrics")
    scheme = pytest.importorskip("seqeval.scheme").IOB2
    generator = random.Random(0)
    for _ in range(1000):
        gold, predicted = [], []
        metric = METRICS["span_f1"]()
        for length in generator.choices(range(1, 12), k=3):
            gold.append(generator.choices(TAGS, k=length))
            predicted.append([generator.choice([tag, tag, *TAGS]) for tag in gold[-1]])
            metric.add(gold[-1], predicted[-1])
        options = {"mode": "strict", "scheme": scheme, "zero_division": 0}
        assert metric.value() == pytest.approx(seqeval.f1_score(gold, predicted, **options))
        assert metric.parts() == pytest.approx(
            {
                "precision": seqeval.precision_score(gold, predicted, **options),
                "recall": seqeval.recall_score(gold, predicted, **options),
            }
        )


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


def test_the_metrics_that_configs_know_are_those_that_exist() -> None:
    assert {metric.name for metric in METRICS.values() if metric.compares_classes} == set(CLASS_METRICS)
    known = {name for options in BUILT_IN.values() for name in options.metrics}
    assert known == set(METRICS)
    for options in BUILT_IN.values():
        assert options.has_classes or set(CLASS_METRICS).isdisjoint(options.metrics)


@pytest.mark.parametrize("name", METRICS)
def test_adding_in_pieces_and_merging_equal_adding_at_once(name: str) -> None:
    generator = random.Random(name)
    # Sentences of tags end in O, for their spans not to run on when joined.
    end = "O" if name in SPAN_METRICS else random_items(name, 1, generator)[0]
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
    assert lower == {"avg_dist", "mae", "perplexity", "kl"}


PERFECT: dict[str, tuple[list[Any], list[Any]]] = {
    **dict.fromkeys(SPAN_METRICS, (["B-a", "I-a"], ["B-a", "I-a"])),
    "las": ([(0, "root")], [(0, "root")]),
    "uas": ([(0, "root")], [(0, "nsubj")]),
    **dict.fromkeys(("avg_dist", "mae"), ([1.0, (0.5, 2.0)], [1.0, (0.5, 2.0)])),
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
    # The scores of classes have one docstring for all.
    assert sum(result.attempted for result in results) >= 3 * (len(METRICS) - len(CLASS_METRICS))
