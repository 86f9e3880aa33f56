"""Writes the report of a search: one HTML file with everything in it, which needs no network."""

import logging
from dataclasses import replace

from machamp_lite.config.search_space import as_text
from machamp_lite.files.atomic import replacing_file
from machamp_lite.files.run_files import REPORT
from machamp_lite.reporting.page import INSTALL, MARK, is_report, missing_packages
from machamp_lite.reporting.run_results import as_text as as_document
from machamp_lite.reporting.templates import templates
from machamp_lite.tuning.search import Search
from machamp_lite.tuning.trials import ranking

logger = logging.getLogger(__name__)


def write_search_report(search: Search) -> None:
    """Writes the report into the folder of the search, if ``training.report`` is true and a trial is complete."""
    target = search.folder / REPORT
    if not search.base.params.training.report:
        return
    if missing := missing_packages():
        logger.info("no %s: it requires %s; run %s", REPORT, " and ".join(missing), INSTALL)
    elif target.exists() and not is_report(target):
        logger.warning("no %s: %s was written by something else", REPORT, target)
    elif ranking(search.study.trials()):
        text = render(search)
        with replacing_file(target) as file:
            file.write(text)


def render(search: Search) -> str:
    """The HTML of a report; at least one trial is complete."""
    # Imported here: training works without them.
    from machamp_lite.reporting import svg
    from machamp_lite.tuning import charts

    trials = search.study.trials()
    default = search.space.values_in(search.base) or {}
    # With the values of the default, where the search could find them.
    placed = [replace(trial, values=default) if trial.is_default else trial for trial in trials]
    found = {key for trial in ranking(placed) for key in trial.values}
    environment = templates()
    environment.filters |= {"as_json": as_text, "as_document": as_document}
    names = search.space.names()
    with svg.style():
        return environment.get_template("tuning.html").render(
            mark=MARK,
            folder=search.folder.resolve().name,
            objective=search.objective,
            best=ranking(trials)[0],
            default=next((trial for trial in ranking(trials) if trial.is_default), None),
            trials=trials,
            names=names,
            importance=search.study.importance(),
            space=search.space.document,
            history=charts.history(trials, search.objective),
            slices=[
                charts.by_value(dimension, placed, search.objective, name=names[dimension.key])
                for dimension in search.space.dimensions
                if found
            ],
            parallel=(
                charts.parallel_coordinates(search.space.dimensions, placed, search.objective, names=names)
                if found
                else None
            ),
        )
