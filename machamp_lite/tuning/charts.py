"""The charts of the report of a search."""

import math
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from machamp_lite.config.search_space import Choices, Dimension, as_text
from machamp_lite.reporting.svg import ACCENT, INK, MUTED, as_svg, new_figure, shortened
from machamp_lite.tuning.objective import Objective
from machamp_lite.tuning.trials import Trial, best_so_far, ranking

# Choices that are named on an axis.
MOST_CHOICES = 12


def history(trials: Sequence[Trial], objective: Objective) -> Markup:
    """The score of each trial, and the best score so far."""
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(7.2, 3.2)
    axes = figure.subplots()
    complete = ranking(trials)
    pruned = [trial for trial in trials if trial.state == "pruned" and trial.score is not None]
    for shown, name, options in (
        (complete, "complete", {"color": ACCENT}),
        (pruned, "pruned", {"color": MUTED, "fillstyle": "none"}),
    ):
        if shown:
            numbers, scores = zip(*((trial.number, _shown(objective, trial)) for trial in shown), strict=True)
            axes.plot(numbers, scores, "o", label=name, markersize=5, **options)
    steps = [(number, float(objective.as_text(score))) for number, score in best_so_far(trials)]
    last = max(trial.number for trial in trials)
    numbers, scores = zip(*steps, (last, steps[-1][1]), strict=True)
    axes.plot(numbers, scores, color=INK, drawstyle="steps-post", linewidth=1.2, label="best so far")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set(xlabel="trial", ylabel=objective.name)
    axes.legend(fontsize=8, loc="lower right")
    return as_svg(figure)


def by_value(dimension: Dimension, trials: Sequence[Trial], objective: Objective, *, name: str) -> Markup:
    """The scores of complete trials by their values of one key."""
    figure = new_figure(3.6, 2.7)
    axes = figure.subplots()
    axes.set_title(shortened(name))
    best, *others = [trial for trial in ranking(trials) if dimension.key in trial.values]
    for shown, colour in ((others, MUTED), ([best], ACCENT)):
        values = [_position(dimension, trial.values[dimension.key]) for trial in shown]
        axes.plot(values, [_shown(objective, trial) for trial in shown], "o", color=colour, markersize=5)
    _name_values(axes, dimension)
    return as_svg(figure)


def parallel_coordinates(
    dimensions: Sequence[Dimension], trials: Sequence[Trial], objective: Objective, *, names: dict[str, str]
) -> Markup:
    """One line per complete trial through its values and its score; the best trial is emphasised."""
    figure = new_figure(max(6.0, 1.7 * (len(dimensions) + 1)), 3.8)
    axes = figure.subplots()
    ranked = [trial for trial in ranking(trials) if all(dimension.key in trial.values for dimension in dimensions)]
    scores = [_shown(objective, trial) for trial in ranked]
    low, high = min(scores), max(scores)
    for rank, (trial, score) in reversed(list(enumerate(zip(ranked, scores, strict=True)))):
        heights = [_height(dimension, trial.values[dimension.key]) for dimension in dimensions]
        heights.append((score - low) / (high - low) if high > low else 0.5)
        options: dict[str, Any] = {"color": ACCENT, "linewidth": 2.5} if rank == 0 else {"color": MUTED}
        if rank:
            options |= {"linewidth": 1.2, "alpha": max(0.15, 0.9 * (1 - rank / len(ranked)))}
        axes.plot(range(len(heights)), heights, "-", **options)
    for number, dimension in enumerate(dimensions):
        _draw_axis(axes, number, _labels(dimension))
    better = objective.as_text(ranked[0].score), objective.as_text(ranked[-1].score)
    upper, lower = better if scores[0] == high else better[::-1]
    _draw_axis(axes, len(dimensions), {0.0: lower, 1.0: upper})
    axes.set_xticks(range(len(dimensions) + 1), [*(shortened(name) for name in names.values()), objective.name])
    axes.set(ylim=(-0.08, 1.08), xlim=(-0.2, len(dimensions) + 0.5))
    axes.yaxis.set_visible(False)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return as_svg(figure)


def _draw_axis(axes: Any, position: int, labels: dict[float, str]) -> None:
    axes.axvline(position, color=MUTED, linewidth=0.8)
    for height, label in labels.items():
        axes.annotate(label, (position, height), xytext=(4, 2), textcoords="offset points", fontsize=8, color=INK)


def _labels(dimension: Dimension) -> dict[float, str]:
    """The labels of an axis by their height: the choices, or the limits of a range."""
    if isinstance(dimension.values, Choices):
        choices = dimension.values.choices[:MOST_CHOICES]
        return {_height(dimension, value): shortened(as_text(value)) for value in choices}
    return {0.0: f"{dimension.values.low:g}", 1.0: f"{dimension.values.high:g}"}


def _height(dimension: Dimension, value: Any) -> float:
    """The position of a value between the lowest (0) and the highest (1)."""
    if isinstance(dimension.values, Choices):
        return _position(dimension, value) / (len(dimension.values.choices) - 1)
    low, high = dimension.values.low, dimension.values.high
    if dimension.values.log:
        return math.log(value / low) / math.log(high / low)
    return float((value - low) / (high - low))


def _position(dimension: Dimension, value: Any) -> float:
    """The position of a value on the axis of a chart: the number itself, or that of the choice."""
    if isinstance(dimension.values, Choices):
        return float([as_text(choice) for choice in dimension.values.choices].index(as_text(value)))
    return float(value)


def _name_values(axes: Any, dimension: Dimension) -> None:
    if isinstance(dimension.values, Choices):
        choices = dimension.values.choices[:MOST_CHOICES]
        axes.set_xticks(range(len(choices)), [shortened(as_text(value)) for value in choices])
        axes.set_xlim(-0.5, len(dimension.values.choices) - 0.5)
        return
    # The whole range, with a margin.
    low, high = dimension.values.low, dimension.values.high
    if not dimension.values.log:
        axes.set_xlim(low - (high - low) / 20, high + (high - low) / 20)
    else:
        from matplotlib.ticker import LogLocator, NullFormatter

        axes.set_xscale("log")
        axes.set_xlim(low * (low / high) ** 0.05, high * (high / low) ** 0.05)
        is_wide = high / low > 50
        axes.xaxis.set_major_locator(LogLocator(subs=(1,) if is_wide else (1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())


def _shown(objective: Objective, trial: Trial) -> float:
    """The score in the unit of tables."""
    return float(objective.as_text(trial.score))
