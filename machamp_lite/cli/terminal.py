"""What the train command shows of a run: a table per epoch, and a summary at the end."""

import logging
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from machamp_lite.errors import one_line
from machamp_lite.training.callbacks import Callback, EpochEnd, TrainEnd

if TYPE_CHECKING:
    from rich.table import Table

logger = logging.getLogger("machamp_lite")

# In the column "best" of a value that no earlier epoch had.
BEST = "*"


class Terminal(Callback):
    """Logs a table per epoch, and keeps the last event for the summary."""

    def __init__(self) -> None:
        self.end: TrainEnd | None = None

    def on_epoch_end(self, event: EpochEnd) -> None:
        from rich.padding import Padding

        from machamp_lite.training.epoch_log import dev_lines, gradient_lines

        metrics = event.metrics
        logger.info(
            "epoch %d: %.0f s, %.0f words/s; loss %.4f%s",
            metrics["epoch"],
            metrics["seconds"],
            metrics["words_per_second"],
            metrics["total_loss"],
            "; best so far" if event.is_best else "",
            extra={"table": Padding(epoch_table(event), (0, 0, 0, 2))},
        )
        for line in gradient_lines(metrics):
            logger.info("%s", line)
        for line in dev_lines(metrics):
            logger.debug("%s", line)

    def on_train_end(self, event: TrainEnd) -> None:
        self.end = event


def epoch_table(event: EpochEnd) -> "Table":
    """The loss and the dev metrics of each task, the changes since the epoch before, and which values are the best."""
    from rich.table import Table
    from rich.text import Text

    epoch, rows = event.metrics, list(_rows(event))
    # Only columns that say something.
    shown = {
        "dataset": len(epoch["dev"]) > 1,
        "task": True,
        "weight": any(weight != 1 for weight in epoch["task_weights"].values()),
        "loss": True,
        "metric": bool(epoch["dev"]),
        "score": bool(epoch["dev"]),
        "change": bool(epoch["dev"]) and len(event.history) > 1,
        "best": bool(epoch["dev"]) and len(event.history) > 1,
    }
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in (name for name, is_shown in shown.items() if is_shown):
        is_number = name in ("weight", "loss", "score", "change")
        is_name = name in ("dataset", "task")
        table.add_column(
            name, justify="right" if is_number else "left", no_wrap=not is_name, overflow="ellipsis"
        )
    for row in rows:
        table.add_row(*(Text(*row.get(name, ("",))) for name, is_shown in shown.items() if is_shown))
    return table


def _rows(event: EpochEnd) -> Iterator[dict[str, tuple[str, str]]]:
    """The cells of each row by column: a text and its style."""
    from machamp_lite.metrics import METRICS

    epoch, earlier = event.metrics, event.history[:-1]
    scored = [(dataset, task) for dataset, tasks in epoch["dev"].items() for task in tasks]
    # Losses are those of a task in all datasets.
    first = {task: (dataset, task) for dataset, task in reversed(scored)}
    unscored = [("", task) for task in epoch["train"] if task not in first]
    for dataset, task in [*scored, *unscored]:
        row = {"dataset": (one_line(dataset), ""), "task": (one_line(task), "")}
        if task in epoch["train"] and first.get(task, ("", task)) == (dataset, task):
            row["loss"] = (f"{epoch['train'][task]:.4f}", "")
            row["weight"] = (f"{epoch['task_weights'].get(task, 1):.3f}", "")
        for name, value in epoch["dev"].get(dataset, {}).get(task, {}).items():
            metric = METRICS[name]
            row |= {"metric": (name, ""), "score": (metric.as_text(value), "")}
            before = [one["dev"].get(dataset, {}).get(task, {}).get(name) for one in earlier]
            known = [metric.selection_score(old) for old in before if old is not None]
            if known and before[-1] is not None:
                now, change = metric.selection_score(value), value - before[-1]
                mark = BEST if now > max(known) else ""
                style = "green" if now > known[-1] else "red" if now < known[-1] else ""
                row |= {"score": (metric.as_text(value), "bold" if mark else ""), "best": (mark, "bold")}
                row["change"] = (f"{'+' if change > 0 else ''}{metric.as_text(change)}", style)
            yield row
            row = {}
        if row:
            yield row


def summary(end: TrainEnd, *, prog: str, num_warnings: int) -> list[str]:
    """The last lines of a run: its best epoch and speed, where everything is, and what to do next."""
    from machamp_lite.files.run_files import LOG, MODEL, REPORT
    from machamp_lite.training.progress_bar import clock

    seconds = sum(epoch["seconds"] for epoch in end.history)
    words = sum(epoch["seconds"] * epoch["words_per_second"] for epoch in end.history)
    dev_seconds = sum(epoch["dev_seconds"] for epoch in end.history)
    folder, run = end.folder, shlex.quote(str(end.folder))
    best = f"epoch {end.best_epoch} of {len(end.history)}"
    if averaged := end.history[end.best_epoch - 1].get("average_of"):
        best = f"the average of the epochs {', '.join(map(str, averaged))}"
    if (dev_sum := end.history[end.best_epoch - 1]["dev_sum"]) is not None:
        best += f", sum of main metrics {dev_sum:.4f}"
    speed = words / max(seconds, 1e-9)
    lines = [f"best: {best}", f"time: {clock(seconds)} at {speed:.0f} words/s, dev data {clock(dev_seconds)}"]
    if num_warnings:
        lines.append(f"warnings: {num_warnings}, see the log")
    outputs = [folder / f"{dataset}.out" for dataset in end.history[-1]["dev"]]
    predictions = [path for path in outputs if path.exists()]
    lines += [f"predictions: {path}" for path in predictions]
    if (folder / REPORT).exists():
        lines.append(f"report: {folder / REPORT}")
    is_script = prog.endswith(".py")
    program = "machamp-lite" if is_script else prog.removesuffix(" train")
    predict = "python predict.py" if is_script else f"{program} predict"
    lines += [
        f"log: {folder / LOG}",
        f"to predict: {predict} {run} INPUT OUTPUT",
        f"to compare: {program} compare {run} OTHER_RUN{'' if predictions else ' --test FILE'}",
    ]
    return [*lines, f"model: {folder / MODEL}"]
