"""The report of a search is one file with all trials, which loads nothing."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from html_page import Page

from machamp_lite.reporting.page import is_report
from machamp_lite.tuning.page import render, write_search_report
from machamp_lite.tuning.search import Search


def test_the_page_has_all_trials_and_loads_nothing(make_search: Callable[[int], Search]) -> None:
    search = make_search(12)
    text = render(search)
    found = Page(text)
    ids = found.attributes("id")
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in found.attributes("href")} <= set(ids)
    assert not [tag for tag, _ in found.tags if tag in ("img", "link", "iframe", "object", "image")]
    assert not found.attributes("src") and not re.search(r"url\(\s*['\"]?(?!#)|@import", text)
    assert "<img" not in text
    texts = "\n".join(found.texts)
    for trial in search.study.trials():
        assert search.objective.as_text(trial.score) in texts
        assert all(str(value) in texts for value in trial.values.values() if value is not None)
    assert "the loss of <img" in texts and "default, complete" in texts and "same.accuracy" in texts
    # History, parallel coordinates, and one per key.
    drawn = re.findall(r'<svg class="chart".*?</svg>', text, re.DOTALL)
    assert len(drawn) == 2 + len(search.space.dimensions)
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
