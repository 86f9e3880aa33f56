"""The charts of a report, drawn by matplotlib as SVG without scripts.

Colours are variables of the page's style sheet, so that a chart follows its theme. Matplotlib needs colours in
hexadecimal form: each variable is drawn in a colour of its own, which is then replaced by its name.
"""

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from machamp_lite.reporting.run_results import RunResults
from machamp_lite.reporting.tables import LabelRow

# More runs or metrics repeat the colours.
SERIES = 8
_COLOURS = {
    "#000001": "var(--ink)",
    "#000002": "var(--muted)",
    "#000003": "var(--line)",
    "#000004": "var(--accent)",
    **{f"#0000a{number}": f"var(--series-{number})" for number in range(SERIES)},
}
_INK, _MUTED, _LINE, _ACCENT, *_SERIES = _COLOURS
_STYLE = {
    "svg.fonttype": "none",
    # Ids are different in all charts of a page.
    "svg.hashsalt": None,
    "font.size": 10,
    # Labels are text, not formulas.
    "text.parse_math": False,
    "text.color": _INK,
    "axes.labelcolor": _MUTED,
    "axes.edgecolor": _LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _LINE,
    "grid.linewidth": 0.6,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "legend.frameon": False,
    "lines.linewidth": 2,
    "lines.markersize": 4,
}
# Labels that are named in a scatter plot.
MOST_NAMES = 25


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a chart over epochs."""

    name: str
    epochs: Sequence[int]
    values: Sequence[float]


def style() -> AbstractContextManager[None]:
    """The context in which the charts of this module are drawn."""
    import matplotlib

    return matplotlib.rc_context(_STYLE)


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
    figure = _figure(4.4, 3.6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    positions = [(number + 0.5) / len(bins) for number in range(len(bins))]
    used = [(position, row) for position, row in zip(positions, bins, strict=True) if row["count"]]
    upper.plot([0, 1], [0, 1], color=_MUTED, linewidth=1, linestyle="--")
    upper.bar(
        [position for position, _ in used],
        [row["accuracy"] for _, row in used],
        0.9 / len(bins),
        color=_ACCENT,
    )
    upper.plot([row["confidence"] for _, row in used], [row["accuracy"] for _, row in used], "o", color=_INK)
    upper.set(ylim=(0, 1.02), xlim=(0, 1), ylabel="accuracy")
    lower.bar(positions, [row["count"] for row in bins], 0.9 / len(bins), color=_MUTED)
    lower.set(xlabel="confidence", ylabel="items")
    return _svg(figure)


def recall_by_count(rows: Sequence[LabelRow]) -> Markup:
    """The recall of labels against their counts in the training data; the area is the class weight, if there is one."""
    from matplotlib.ticker import LogLocator

    figure = _figure(5.6, 3.6)
    axes = figure.subplots()
    largest = max((row.weight for row in rows if row.weight), default=1.0)
    areas = [40 if row.weight is None else 15 + 200 * row.weight / largest for row in rows]
    axes.scatter(
        [row.count for row in rows],
        [row.recall for row in rows],
        s=areas,
        color=_ACCENT,
        alpha=0.65,
        linewidths=0,
    )
    for row in rows[:MOST_NAMES]:
        position = {"xytext": (5, 4), "textcoords": "offset points"}
        axes.annotate(_shortened(row.label), (row.count, row.recall), fontsize=8, **position)
    axes.set(
        xscale="log", ylim=(-0.05, 1.08), xlabel="items in the training data", ylabel="recall on the dev data"
    )
    axes.minorticks_off()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    return _svg(figure)


def _line(run: RunResults, name: str, *keys: str) -> Line:
    """The values at these keys of the epochs that have one."""
    found: list[tuple[int, Any]] = [(epoch["epoch"], epoch) for epoch in run.history]
    for key in keys:
        found = [(epoch, value[key]) for epoch, value in found if key in value]
    return Line(name, [epoch for epoch, _ in found], [value for _, value in found])


def _draw_lines(title: str, lines: Sequence[Line], *, best: int | None = None) -> Markup:
    from matplotlib.ticker import MaxNLocator

    figure = _figure(4.2, 2.7)
    axes = figure.subplots()
    axes.set_title(title)
    if best is not None:
        axes.axvline(best, color=_MUTED, linewidth=1, linestyle=":")
    for number, line in enumerate(lines):
        axes.plot(line.epochs, line.values, "o-", color=_SERIES[number % SERIES], label=_shortened(line.name))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch")
    if len(lines) > 1:
        axes.legend(fontsize=8)
    return _svg(figure)


def _figure(width: float, height: float) -> Any:
    """An empty figure in the style of the page; in inches."""
    from matplotlib.figure import Figure

    figure = Figure((width, height))
    # Fixed margins take a tenth of the time of a computed layout.
    left, right, bottom, top = 0.65 / width, 1 - 0.1 / width, 0.5 / height, 1 - 0.3 / height
    figure.subplots_adjust(left=left, right=right, bottom=bottom, top=top, hspace=0.15)
    return figure


def _svg(figure: Any) -> Markup:
    """The SVG element of a figure, with the colours and the font of the page."""
    output = io.StringIO()
    with warnings.catch_warnings():
        # About characters that the font for measuring texts does not have.
        warnings.simplefilter("ignore")
        figure.savefig(output, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = output.getvalue()
    text = text[text.index("<svg") :]
    for colour, variable in _COLOURS.items():
        text = text.replace(colour, variable)
    # Its style sheet would be that of the whole page.
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    # Names of groups, which would be repeated in a page with several charts.
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", text)
    return Markup(
        re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', r'<svg class="chart" aria-hidden="true" \1>', text)
    )


def _shortened(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:23]}…"
