"""Writes the report of one or several runs: one HTML file with everything in it, which needs no network."""

import json
import logging
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import zip_longest
from pathlib import Path
from typing import Any
from zlib import crc32

from machamp_lite.errors import ConfigError, MachampError, missing_packages_line
from machamp_lite.files.atomic import replacing_file
from machamp_lite.files.checksums import is_regular_file
from machamp_lite.files.run_files import REPORT
from machamp_lite.reporting import MAX_SENTENCES
from machamp_lite.reporting.run_results import RunResults, as_text, read_runs
from machamp_lite.reporting.sentences import Sentence, TaskSentences, compare
from machamp_lite.reporting.tables import label_sections, same_task, score_rows
from machamp_lite.reporting.templates import templates

logger = logging.getLogger(__name__)

REQUIRED = ("matplotlib", "jinja2")
INSTALL = "pip install 'machamp_lite[report]'"
# In the first lines of each report: other files are never replaced.
MARK = '<meta name="generator" content="machamp-lite report">'
# Rows of a table of labels; colours of entities; confusions that are listed at a sentence.
MAX_LABELS, ENTITY_COLOURS, MAX_CONFUSIONS = 100, 8, 6
# Characters of all sentences of a report, so that a browser opens it quickly.
MAX_SIZE = 3_000_000


def missing_packages() -> list[str]:
    """The packages that a report requires and that are not installed."""
    return [name for name in REQUIRED if find_spec(name) is None]


def is_report(path: Path) -> bool:
    """Whether a file is a report, which may be replaced."""
    if not is_regular_file(path):
        return False
    try:
        with open(path, encoding="utf-8") as file:
            return MARK in file.read(1000)
    except (OSError, ValueError):
        return False


def write_report(folders: Sequence[Path], target: Path, *, max_sentences: int = MAX_SENTENCES) -> None:
    """Writes the report of run folders; raises ``ConfigError`` for a folder without a run, or another target."""
    if missing := missing_packages():
        raise ConfigError(missing_packages_line("report", missing, extra="report"))
    if target.exists() and not is_report(target):
        raise ConfigError(f"{target}: exists already and is no report, expected another name")
    text = render(read_runs(folders), max_sentences=max_sentences)
    with replacing_file(target) as file:
        file.write(text)


def write_run_report(folder: Path) -> None:
    """Writes the report into a run folder at the end of training, which must not fail because of it."""
    if missing := missing_packages():
        logger.info("no %s: it requires %s; run %s", REPORT, " and ".join(missing), INSTALL)
        return
    try:
        write_report([folder], folder / REPORT)
    except (MachampError, OSError) as error:
        logger.warning("no %s: %s", REPORT, error)
    except Exception:
        # The model is complete: a bug in the report is logged, and the run ends as usual.
        logger.exception("no %s, because of a bug in machamp_lite: please report it", REPORT)


def render(runs: Sequence[RunResults], *, max_sentences: int = MAX_SENTENCES) -> str:
    """The HTML of a report."""
    # Imported here: training works without them.
    from machamp_lite.reporting import charts, svg, trees

    environment = templates()
    environment.filters |= {"percent": _percent, "as_json": as_text, "compact": _compact, "colour": _colour}
    dev = [compare(run, name, most=max_sentences) for run in runs for name in run.datasets]
    groups = [group for one in dev for group in one.tasks]
    template = environment.get_template("report.html")
    with svg.style():
        return template.render(
            mark=MARK,
            runs=runs,
            tasks=list(dict.fromkeys(task for run in runs for task in run.tasks)),
            score_rows=list(score_rows(runs)),
            label_sections=list(label_sections(runs)),
            same_task=same_task,
            groups=groups,
            sentences=list(limited(groups)),
            notes=[note for one in dev for note in one.notes],
            charts=charts,
            draw_tree=trees.draw_tree,
            max_sentences=max_sentences,
            max_labels=MAX_LABELS,
            max_confusions=MAX_CONFUSIONS,
        )


def limited(
    groups: Sequence[TaskSentences], *, size: int = MAX_SIZE
) -> Iterator[tuple[TaskSentences, Sentence]]:
    """Yields sentences, one of each group in turn, until they have about ``size`` characters in the page."""
    for row in zip_longest(*(group.shown for group in groups)):
        for group, sentence in zip(groups, row, strict=True):
            if sentence is not None:
                # An arc or a word with its labels takes about 200 characters.
                size -= 500 + 200 * len(sentence.gold) + sum(map(len, sentence.words))
                if size < 0:
                    return
                yield group, sentence


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _compact(value: Any) -> str:
    """JSON for a script, on one line."""
    return json.dumps(value, ensure_ascii=False)


def _colour(kind: str) -> int:
    """The colour of a type of entity, which is the same in all reports."""
    return crc32(kind.encode("utf-8", "replace")) % ENTITY_COLOURS
