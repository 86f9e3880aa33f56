"""What the log says of a run: its data, its model, and each epoch."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from machamp_lite.dataloading.datasets import RunData
from machamp_lite.metrics import METRICS
from machamp_lite.model.multitask_model import Model
from machamp_lite.model.precision import resolved

logger = logging.getLogger(__name__)

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


def log_data(data: RunData) -> None:
    """How many sentences each dataset has."""
    for name, examples in data.train.items():
        logger.info(
            "%s: %d training sentences, %d dev sentences",
            name,
            len(examples.sentences()),
            len(data.dev[name].sentences()) if name in data.dev else 0,
        )


def log_model(model: Model) -> None:
    """How large a model is, and where and how it computes."""
    encoder = sum(parameter.numel() for parameter in model.encoder.parameters())
    decoders = sum(parameter.numel() for parameter in model.parameters()) - encoder
    logger.info(
        "%s: %.1fM parameters in the encoder, %.1fM in the decoders of %d tasks, on %s in %s",
        model.config.params.transformer_model,
        encoder / 1e6,
        decoders / 1e6,
        len(model.tasks),
        model.device,
        resolved(model.precision, model.device),
    )
    logger.info("sentences are %s", model.encoder.layout.description)
