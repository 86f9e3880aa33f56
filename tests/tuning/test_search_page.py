"""The report of a search is one file with all trials, which loads nothing."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from html_page import Page

from machamp_lite.config import load_config
from machamp_lite.config.search_space import Choices, Dimension, Range, SearchSpace
from machamp_lite.reporting.page import is_report
from machamp_lite.tuning.objective import Objective
from machamp_lite.tuning.page import render, write_search_report
from machamp_lite.tuning.search import Search
from machamp_lite.tuning.study import Study

HOSTILE = "<img/src=x/onerror=alert(1)>"
SPACE = SearchSpace(
    (
        Dimension("training.optimizer.lr", Range(low=0.001, high=0.1, log=True)),
        Dimension("batching.batch_size", Range(low=8, high=64, step=8), is_whole=True),
        Dimension("D.tasks.same.ignore", Choices(choices=[None, HOSTILE])),
    ),
    {"D.tasks.same.ignore": {"choices": [None, HOSTILE]}},
)


@pytest.fixture
def make_search(
    tmp_path: Path, write_config: Callable[..., str], pair_dataset: dict[str, Any]
) -> Callable[[int], Search]:
    """A search with a number of finished trials, one of which is pruned and one has failed."""

    def make(number: int) -> Search:
        base = load_config([write_config(D=pair_dataset)])
        search = Search(
            folder=tmp_path,
            load=lambda overrides: base,
            base=base,
            space=SPACE,
            objective=Objective("same", "accuracy"),
            seed=1,
            num_trials=number,
        )
        search.study = Study(tmp_path, SPACE, name="test", seed=1)
        while (claim := search.study.claim(number, default=None)) is not None:
            trial = claim.trial.number
            search.study.report(trial, 1, 0.5 + trial / 100)
            state: Any = {3: "pruned", 4: "failed"}.get(trial, "complete")
            fault = f"the loss of {HOSTILE} is nan" if state == "failed" else None
            search.study.finish(claim, state, score=0.5 + trial / 100, seconds=1.0, fault=fault)
        return search

    return make


def test_the_page_has_all_trials_and_loads_nothing(make_search: Callable[[int], Search]) -> None:
    search = make_search(12)
    text = render(search)
    found = Page(text)
    ids = found.attributes("id")
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in found.attributes("href")} <= set(ids)
    assert not [tag for tag, _ in found.tags if tag in ("img", "link", "iframe", "object", "image")]
    assert not found.attributes("src") and not re.search(r"url\(\s*['\"]?(?!#)|@import", text)
    assert HOSTILE not in text
    texts = "\n".join(found.texts)
    for trial in search.study.trials():
        assert search.objective.as_text(trial.score) in texts
        assert all(str(value) in texts for value in trial.values.values() if value is not None)
    assert "the loss of <img" in texts and "default, complete" in texts and "same.accuracy" in texts
    # History, parallel coordinates, and one per key.
    drawn = re.findall(r'<svg class="chart".*?</svg>', text, re.DOTALL)
    assert len(drawn) == 2 + len(SPACE.dimensions)
    assert not re.search(r"#[0-9a-f]{6}", "".join(drawn))


def test_without_other_complete_trials_there_are_no_charts_of_keys(make_search: Callable[[int], Search]) -> None:
    text = render(make_search(1))
    assert text.count('<svg class="chart"') == 1 and "too few complete trials" in text


def test_a_file_of_the_user_is_not_replaced(
    make_search: Callable[[int], Search], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    search, target = make_search(1), tmp_path / "report.html"
    write_search_report(search)
    assert is_report(target)
    write_search_report(search)
    target.write_text("mine")
    write_search_report(search)
    assert target.read_text() == "mine" and "was written by something else" in caplog.text
