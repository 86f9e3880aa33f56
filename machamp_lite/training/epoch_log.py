"""The log lines of an epoch."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from machamp_lite.errors import first_items
from machamp_lite.metrics import METRICS
from machamp_lite.metrics.label_report import LOW_RECALL
from machamp_lite.training.callbacks import Callback, EpochEnd

logger = logging.getLogger(__name__)


class EpochLog(Callback):
    """Logs speed, losses and dev scores after each epoch."""

    def on_epoch_end(self, event: EpochEnd) -> None:
        weights_before = event.history[-2]["task_weights"] if len(event.history) > 1 else None
        for line in epoch_lines(event.metrics, is_best=event.is_best, weights_before=weights_before):
            logger.info("%s", line)


def epoch_lines(
    metrics: Mapping[str, Any], *, is_best: bool, weights_before: Mapping[str, float] | None = None
) -> Iterator[str]:
    """The log lines of an epoch, from its object in history.json: speed and losses, then dev scores per task."""
    losses = ", ".join(f"{task} {loss:.4f}" for task, loss in metrics["train"].items())
    yield (
        f"epoch {metrics['epoch']}: {metrics['seconds']:.0f} s, {metrics['words_per_second']:.0f} words/s; "
        f"loss {metrics['total_loss']:.4f} ({losses}){'; best so far' if is_best else ''}"
    )
    has_weights = any(weight != 1 for weight in metrics["task_weights"].values())
    if has_weights and metrics["task_weights"] != weights_before:
        weights = ", ".join(f"{task} {weight:.3f}" for task, weight in metrics["task_weights"].items())
        yield f"  weights of tasks: {weights}"
    yield from gradient_lines(metrics)
    yield from dev_lines(metrics)


def dev_lines(metrics: Mapping[str, Any]) -> Iterator[str]:
    """The lines of dev scores: all metrics of a task, and the labels that are often not found."""
    for dataset, scores in metrics["dev"].items():
        for task, values in scores.items():
            shown = [f"{name} {METRICS[name].as_text(value)}" for name, value in values.items()]
            low = ""
            # Tasks that predict numbers or text have no labels.
            if labels := metrics["labels"][dataset].get(task):
                if "f1_macro" not in values:
                    shown.append(f"macro F1 {100 * labels['macro']['f1']:.2f}")
                low = _labels_of_low_recall(labels["labels"])
            yield f"  dev {dataset} {task}: {', '.join(shown)}{low}"


def gradient_lines(metrics: Mapping[str, Any]) -> Iterator[str]:
    """The norms of the tasks' gradients on the encoder and the lowest of their cosines, if they were logged."""
    if gradients := metrics.get("gradients"):
        norms = ", ".join(f"{task} {own[task]:.4f}" for task, own in gradients.items())
        cosines = ((task, other, value) for task, own in gradients.items() for other, value in own.items())
        pairs = [(value, f"{task} and {other}") for task, other, value in cosines if other != task]
        lowest = f"; lowest cosine {min(pairs)[0]:.2f}, of {min(pairs)[1]}" if pairs else ""
        yield f"  norms of gradients on the encoder: {norms}{lowest}"


def _labels_of_low_recall(labels: Mapping[str, Mapping[str, float]]) -> str:
    low = [
        f"{label} {100 * row['recall']:.0f}% of {row['support']}"
        for label, row in labels.items()
        if row["support"] and row["recall"] < LOW_RECALL
    ]
    return f"; recall below {LOW_RECALL:.0%}: {first_items(low)}" if low else ""
