"""The report of a search in a real browser: no errors, sorted tables, and a phone."""

from collections.abc import Callable, Iterator
from typing import Any

import browser
import pytest

from machamp_lite.tuning.page import write_search_report
from machamp_lite.tuning.search import Search

pytestmark = [pytest.mark.slow, browser.required]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with browser.started(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


def test_headings_sort_the_table(driver: Any, make_search: Callable[[int], Search]) -> None:
    search = make_search(9)
    write_search_report(search)
    browser.show(driver, width=1280)
    driver.get((search.folder / "report.html").as_uri())

    def click(heading: str) -> list[int]:
        """The numbers of the trials from top to bottom."""
        driver.find_element("xpath", f"//table[@class='sortable']//button[text()='{heading}']").click()
        return [int(cell.text) for cell in driver.find_elements("css selector", ".sortable tbody th")]

    by_score = sorted(search.study.trials(), key=lambda trial: trial.score or 0.0)
    assert click("same.accuracy") == [trial.number for trial in by_score]
    assert click("same.accuracy") == [trial.number for trial in reversed(by_score)]
    # Trials without a value are the last ones, in both directions.
    by_rate = sorted(by_score[1:], key=lambda trial: trial.values["training.optimizer.lr"])
    assert click("lr") == [*(trial.number for trial in by_rate), 0]
    assert click("lr") == [*(trial.number for trial in reversed(by_rate)), 0]
    assert driver.get_log("browser") == []
    assert driver.execute_script("return performance.getEntriesByType('resource').length") == 0


def test_a_phone_scrolls_in_one_direction(driver: Any, make_search: Callable[[int], Search]) -> None:
    search = make_search(9)
    write_search_report(search)
    browser.show(driver, width=390)
    driver.get((search.folder / "report.html").as_uri())
    assert driver.execute_script("return document.documentElement.scrollWidth") == 390
