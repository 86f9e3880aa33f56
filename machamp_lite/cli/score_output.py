"""Prints scores of tasks and of their labels."""

import logging
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, TextIO

from machamp_lite.cli.console import has_colours, width_of

if TYPE_CHECKING:
    from machamp_lite.inference.evaluation import MetricTracker

logger = logging.getLogger("machamp_lite")


def print_scores(
    trackers: Mapping[str, "MetricTracker"], *, file: TextIO | None = None, is_quiet: bool = False
) -> None:
    """Prints the scores of tasks and of their labels, if there are any; in colour only on a terminal."""
    from machamp_lite.cli.tables import label_tables, score_table

    scores = {dataset: tracker.scores() for dataset, tracker in trackers.items()}
    if not any(scores.values()):
        return
    counts = {dataset: tracker.counts() for dataset, tracker in trackers.items()}

    def text(stream: TextIO | None) -> str:
        labels = label_tables(trackers, width=width_of(stream), colour=has_colours(stream))
        return "\n".join([*labels, "", *score_table(scores, counts)])

    file = file or sys.stdout
    print_and_log(text(file), file=file, logged=text(None), is_quiet=is_quiet)


def print_and_log(
    text: str, *, file: TextIO | None = None, logged: str | None = None, is_quiet: bool = False
) -> None:
    """Prints a text, unless the command is quiet; the log file of a run has it in any case."""
    logger.info("%s", text if logged is None else logged, extra={"is_printed": True})
    file = file or sys.stdout
    if not is_quiet and file is not None:
        print(text, file=file)
