"""The charts of a report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from machamp_lite.reporting.run_results import RunResults
from machamp_lite.reporting.svg import ACCENT, COLOURS, INK, MUTED, SERIES, as_svg, new_figure, shortened
from machamp_lite.reporting.tables import LabelSection

# Labels that are named in a scatter plot.
MOST_NAMES = 25


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a chart over epochs."""

    name: str
    epochs: Sequence[int]
    values: Sequence[float]


def learning_curves(runs: Sequence[RunResults], task: str) -> list[Markup]:
    """The training loss of a task, and its metrics on the dev data; of several runs, the main metric."""
    runs = [run for run in runs if task in run.tasks]
    is_single = len(runs) == 1
    names = runs[0].metric_names(task)[: None if is_single else 1]
    losses = [_line(run, run.name, "train", task) for run in runs]
    scores = [
        _line(run, name if is_single else run.name, "tasks", task, name) for run in runs for name in names
    ]
    best = runs[0].best_epoch if is_single else None
    charts = [_draw_lines("loss on the training data", losses, best=best)]
    if scores:
        title = f"{names[0] if len(names) == 1 else 'metrics'} on the dev data"
        charts.append(_draw_lines(title, scores, best=best))
    return charts


def task_weights(run: RunResults) -> Markup | None:
    """The weight of each task's loss per epoch; None if all weights are always 1."""
    lines = [_line(run, task, "task_weights", task) for task in run.tasks]
    if all(weight == 1 for line in lines for weight in line.values):
        return None
    return _draw_lines("weight of the loss", lines)


def reliability(bins: Sequence[Mapping[str, float]]) -> Markup:
    """The accuracy of predictions against their confidence, and how many predictions have which confidence."""
    figure = new_figure(4.4, 3.6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    positions = [(number + 0.5) / len(bins) for number in range(len(bins))]
    used = [(position, row) for position, row in zip(positions, bins, strict=True) if row["count"]]
    upper.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle="--")
    upper.bar(
        [position for position, _ in used],
        [row["accuracy"] for _, row in used],
        0.9 / len(bins),
        color=ACCENT,
    )
    upper.plot([row["confidence"] for _, row in used], [row["accuracy"] for _, row in used], "o", color=INK)
    upper.set(ylim=(0, 1.02), xlim=(0, 1), ylabel="accuracy")
    lower.bar(positions, [row["count"] for row in bins], 0.9 / len(bins), color=MUTED)
    lower.set(xlabel="confidence", ylabel="items")
    return as_svg(figure)


def recall_by_count(sections: Sequence[LabelSection]) -> Markup:
    """The recall of labels against their counts in training, one colour per run; the area is the class weight."""
    from matplotlib.ticker import LogLocator

    figure = new_figure(5.6, 3.6)
    axes = figure.subplots()
    for number, section in enumerate(sections):
        rows = section.points
        largest = max((row.weight for row in rows if row.weight), default=1.0)
        axes.scatter(
            [row.count for row in rows],
            [row.recall for row in rows],
            s=[40 if row.weight is None else 15 + 200 * row.weight / largest for row in rows],
            color=COLOURS[number % SERIES] if len(sections) > 1 else ACCENT,
            alpha=0.65,
            linewidths=0,
            label=shortened(section.run.name),
        )
    for row in sections[0].points[:MOST_NAMES]:
        position = {"xytext": (5, 4), "textcoords": "offset points"}
        axes.annotate(shortened(row.label), (row.count, row.recall), fontsize=8, **position)
    if len(sections) > 1:
        axes.legend(fontsize=8)
    axes.set(
        xscale="log", ylim=(-0.05, 1.08), xlabel="items in the training data", ylabel="recall on the dev data"
    )
    axes.minorticks_off()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    return as_svg(figure)


def _line(run: RunResults, name: str, *keys: str) -> Line:
    """The values at these keys of the epochs that have one."""
    found: list[tuple[int, Any]] = [(epoch["epoch"], epoch) for epoch in run.history]
    for key in keys:
        found = [(epoch, value[key]) for epoch, value in found if key in value]
    return Line(name, [epoch for epoch, _ in found], [value for _, value in found])


def _draw_lines(title: str, lines: Sequence[Line], *, best: int | None = None) -> Markup:
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(4.2, 2.7)
    axes = figure.subplots()
    axes.set_title(title)
    if best is not None:
        axes.axvline(best, color=MUTED, linewidth=1, linestyle=":")
    for number, line in enumerate(lines):
        axes.plot(line.epochs, line.values, "o-", color=COLOURS[number % SERIES], label=shortened(line.name))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch")
    if len(lines) > 1:
        axes.legend(fontsize=8)
    return as_svg(figure)
