"""What the log says of an epoch."""

from collections.abc import Iterator, Mapping
from typing import Any

from machamp_lite.metrics import METRICS

LOW_RECALL = 0.5
LABELS_SHOWN = 5


def epoch_lines(metrics: Mapping[str, Any], *, is_best: bool) -> Iterator[str]:
    """Lines on one object of metrics.json: speed and losses, then the dev scores of each task."""
    losses = ", ".join(f"{task} {loss:.4f}" for task, loss in metrics["train"].items())
    yield (
        f"epoch {metrics['epoch']}: {metrics['seconds']:.0f} s, {metrics['words_per_second']:.0f} words/s; "
        f"loss {metrics['total_loss']:.4f} ({losses}){'; best so far' if is_best else ''}"
    )
    if any(weight != 1 for weight in metrics["task_weights"].values()):
        weights = ", ".join(f"{task} {weight:.3f}" for task, weight in metrics["task_weights"].items())
        yield f"  weights of tasks: {weights}"
    for dataset, scores in metrics["dev"].items():
        for task, values in scores.items():
            shown = [f"{name} {METRICS[name].as_text(value)}" for name, value in values.items()]
            low = ""
            # Tasks that predict numbers or text have no labels.
            if labels := metrics["labels"][dataset].get(task):
                shown.append(f"macro F1 {100 * labels['macro']['f1']:.2f}")
                low = _low(labels["labels"])
            yield f"  dev {dataset} {task}: {', '.join(shown)}{low}"


def _low(labels: Mapping[str, Mapping[str, float]]) -> str:
    """Names labels of which less than half is found."""
    low = [
        f"{label} {100 * row['recall']:.0f}% of {row['support']}"
        for label, row in labels.items()
        if row["support"] and row["recall"] < LOW_RECALL
    ]
    if not low:
        return ""
    more = f" and {len(low) - LABELS_SHOWN} more" if len(low) > LABELS_SHOWN else ""
    return f"; recall below 50%: {', '.join(low[:LABELS_SHOWN])}{more}"
