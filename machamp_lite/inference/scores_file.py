"""The scores file of a prediction, in one of two formats."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from machamp_lite.config.schema import EvalFormat
from machamp_lite.files.atomic import write_json
from machamp_lite.inference.evaluation import MetricTracker


def write_scores_file(
    tracker: MetricTracker,
    path: str,
    *,
    eval_format: EvalFormat,
    official: Mapping[str, Mapping[str, float]] | None = None,
) -> None:
    """Writes the scores file; without gold labels, removes that of an earlier prediction.

    ``official`` are the official UD scores, by the task that parses.
    """
    if eval_format == "machamp":
        document = machamp_scores(tracker)
    else:
        document = detailed_scores(tracker)
        for task, scores in (official or {}).items():
            document[task]["ud"] = dict(scores)
    if document:
        write_json(path, document)
    else:
        Path(path).unlink(missing_ok=True)


def detailed_scores(tracker: MetricTracker) -> dict[str, Any]:
    """The metrics of each task, the number of scored items, its calibration, and the scores of each label."""
    scores, calibration, labels = tracker.scores(), tracker.calibration.values(), tracker.label_scores_as_json()
    return {
        task: {
            **scores.get(task, {}),
            **numbers,
            **({"calibration": calibration[task]} if task in scores.keys() & calibration.keys() else {}),
            **({"labels": labels[task]} if task in labels else {}),
        }
        for task, numbers in tracker.counts().items()
    }


def machamp_scores(tracker: MetricTracker) -> dict[str, Any]:
    """The objects that MaChAmp writes since version 0.4.1: one per metric, with the scores of which it is computed."""
    document: dict[str, Any] = {}
    total = 0.0
    for task, (main, *others) in tracker.annotated_metrics().items():
        document[task] = {
            "optimization_metrics": main.name,
            main.name: {**main.parts(), main.name: main.value(), "sum": main.name},
            **{metric.name: {**metric.parts(), metric.name: metric.value()} for metric in others},
        }
        total += main.selection_score(main.value())
    return {**document, "sum": total} if document else {}
