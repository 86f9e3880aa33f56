"""The log lines of an epoch."""

from typing import Any

from machamp_lite.metrics.label_report import LabelScores
from machamp_lite.training.epoch_log import epoch_lines


def epoch(scores: dict[str, float], labels: LabelScores | None) -> dict[str, Any]:
    return {
        "epoch": 2,
        "seconds": 3.4,
        "words_per_second": 100.2,
        "train": {"task": 0.5},
        "total_loss": 0.5,
        "task_weights": {"task": 1.0},
        "dev": {"DATA": {"task": scores}},
        "labels": {"DATA": {} if labels is None else {"task": labels.as_json()}},
    }


def test_macro_f1_and_labels_of_low_recall_are_logged() -> None:
    labels = LabelScores()
    labels.add(["a", "a", "b"], ["a", "a", "a"])
    first, line = epoch_lines(epoch({"accuracy": 2 / 3}, labels), is_best=True)
    assert first == "epoch 2: 3 s, 100 words/s; loss 0.5000 (task 0.5000); best so far"
    assert line == "  dev DATA task: accuracy 66.67, macro F1 40.00; recall below 50%: b 0% of 1"


def test_tasks_without_labels_have_no_macro_f1() -> None:
    _, line = epoch_lines(epoch({"avg_dist": 0.25, "pearson": 0.5}, None), is_best=False)
    assert line == "  dev DATA task: avg_dist 0.2500, pearson 50.00"


def test_task_weights_other_than_one_are_logged() -> None:
    metrics = {**epoch({"perplexity": 12.5}, None), "task_weights": {"task": 0.5}}
    assert list(epoch_lines(metrics, is_best=False))[1:] == [
        "  weights of tasks: task 0.500",
        "  dev DATA task: perplexity 12.5000",
    ]
    _, *others = epoch_lines(metrics, is_best=False, weights_before={"task": 0.5})
    assert others == ["  dev DATA task: perplexity 12.5000"]
    assert len([*epoch_lines(metrics, is_best=False, weights_before={"task": 0.4})]) == 3
