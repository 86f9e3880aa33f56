"""Scores of tasks with labels of any kind, and the sum that picks the best epoch."""

from types import SimpleNamespace
from typing import Any

import pytest

from machamp_lite.inference import evaluation
from machamp_lite.inference.evaluation import MetricTracker, sum_of_main_metrics

CLASSES: dict[str, Any] = {"has_classes": True, "scores_spans": False}


def tasks(**metrics: str) -> Any:
    """A stand-in for the configs of tasks: their metrics."""
    return {
        task: SimpleNamespace(metric=metric, metric_names=lambda metric=metric: [metric], **CLASSES)
        for task, metric in metrics.items()
    }


def test_the_sum_of_main_metrics_is_of_merits() -> None:
    scores = {
        "A": {"upos": {"accuracy": 0.75, "f1_macro": 0.1}, "words": {"perplexity": 4.0}},
        "B": {"upos": {"accuracy": 0.5}, "mood": {"avg_dist": 1.0}, "emotion": {"kl": 3.0}},
    }
    main = tasks(upos="accuracy", words="perplexity", mood="avg_dist", emotion="kl")
    assert sum_of_main_metrics(scores, main) == pytest.approx(0.75 + 1 / 4 + 0.5 + 1 / 2 + 1 / 4)
    assert sum_of_main_metrics({}, main) == 0.0


@pytest.mark.parametrize("metric", ["perplexity", "avg_dist", "kl"])
def test_a_little_worse_of_one_task_does_not_outweigh_all_others(metric: str) -> None:
    main = tasks(upos="accuracy", other=metric)
    first = {"A": {"upos": {"accuracy": 0.5}, "other": {metric: 3000.0}}}
    second = {"A": {"upos": {"accuracy": 0.9}, "other": {metric: 3010.0}}}
    assert sum_of_main_metrics(second, main) > sum_of_main_metrics(first, main)


@pytest.mark.parametrize(
    ("labels", "annotated"),
    [
        ([0.0, 0.0], True),
        ([0, 0], True),
        ([(0.0, 1.0)], True),
        ([(0, "_")], True),
        (["_", "x"], True),
        (["_", "_"], False),
        ([], False),
    ],
    ids=str,
)
def test_gold_of_any_type_is_annotated_unless_it_is_nothing_but_underscores(
    monkeypatch: pytest.MonkeyPatch, labels: list[Any], annotated: bool
) -> None:
    decoder = SimpleNamespace(
        align_for_scoring=lambda gold, predicted: predicted,
        label_pairs=lambda *_: ([], []),
        labels_are_exclusive=True,
        Options=SimpleNamespace(**CLASSES),
    )
    monkeypatch.setattr(evaluation, "decoder_class", lambda config: decoder)
    tracker = MetricTracker(tasks(task="accuracy"))
    tracker.add({"task": labels}, {"task": labels}, words=["a"] * len(labels))
    assert tracker.scores() == ({"task": {"accuracy": 1.0}} if annotated else {})
