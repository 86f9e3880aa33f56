"""The text of a search: a table of the best trials, and its history and the importance of keys in words."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from machamp_lite.cli.text_blocks import Block, Table
from machamp_lite.config.error_messages import show
from machamp_lite.errors import counted
from machamp_lite.tuning.trials import Trial, best_so_far, ranking

if TYPE_CHECKING:
    from machamp_lite.tuning.search import Search

# Trials in the table.
SHOWN = 10


def blocks(search: "Search") -> list[Block]:
    """The parts of the text."""
    trials = search.study.trials()
    best = ranking(trials)
    text: list[Block] = [_counts(trials)]
    if best:
        shown = [trial for trial in best if trial in best[:SHOWN] or trial.is_default]
        text += [table(search, shown), " ".join(sentences(search, trials))]
    return text


def table(search: "Search", trials: Sequence[Trial]) -> Table:
    """One row per trial: its score, the difference from the default, and its values."""
    names = search.space.names()
    default = next((trial.score for trial in trials if trial.is_default), None)
    rows = []
    for trial in trials:
        difference = "" if trial.is_default else search.objective.difference(trial.score, default)
        values = ["default"] * len(names) if trial.is_default else [show(trial.values[key]).strip("'") for key in names]
        name = f"{trial.number} (default)" if trial.is_default else str(trial.number)
        rows.append([name, search.objective.as_text(trial.score), difference, str(trial.epochs), *values])
    return Table(["trial", search.objective.name, "difference", "epochs", *names.values()], rows, names=1)


def sentences(search: "Search", trials: Sequence[Trial]) -> Iterator[str]:
    """What the search has found, in words."""
    best, *_ = ranking(trials)
    default = next((trial for trial in ranking(trials) if trial.is_default), None)
    if best.is_default:
        yield f"The default is the best of all trials ({search.objective.as_text(best.score)})."
    elif default is None:
        yield f"Trial {best.number} is the best ({search.objective.as_text(best.score)})."
    else:
        gain = search.objective.difference(best.score, default.score)
        yield (
            f"Trial {best.number} is the best: {search.objective.as_text(best.score)}, {gain} from the default "
            f"({search.objective.as_text(default.score)})."
        )
    steps = best_so_far(trials)
    improved = [step for number, step in enumerate(steps) if number == 0 or step[1] > steps[number - 1][1]]
    if len(improved) > 1:
        shown = ", ".join(f"{search.objective.as_text(score)} (trial {number})" for number, score in improved)
        later = sum(trial.number > best.number and trial.state != "running" for trial in trials)
        yield f"The best scores so far: {shown}; {counted(later, 'later trial')} without a better one."
    importance = search.study.importance()
    names = search.space.names()
    if importance:
        shares = ", ".join(f"{names[key]} {share:.0%}" for key, share in importance.items())
        yield f"Importance of the keys (share of the variance of scores): {shares}."
    else:
        yield "There are too few complete trials to say which keys matter."
    yield (
        "The best score is too optimistic, because it was chosen among many on the same dev data: evaluate the best "
        "model on test data, and train it with several seeds."
    )


def _counts(trials: Sequence[Trial]) -> str:
    states = [trial.state for trial in trials]
    parts = [
        f"{states.count(state)} {'running in other processes' if state == 'running' else state}"
        for state in ("complete", "pruned", "failed", "running")
        if state in states
    ]
    minutes, seconds = divmod(round(sum(trial.seconds for trial in trials)), 60)
    return f"{counted(len(trials), 'trial')}: {', '.join(parts)}; {minutes}:{seconds:02d} minutes of training"
