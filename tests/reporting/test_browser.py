"""The report in a real browser: no errors, every filter works, also without a mouse, in both themes and on a phone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browser
import pytest
from browser import show

from machamp_lite.reporting.page import render
from machamp_lite.reporting.run_results import read_run

pytestmark = [pytest.mark.slow, browser.required]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with browser.started(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="module")
def report(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render([read_run(trained)]), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def page(driver: Any, report: str) -> Any:
    show(driver, width=1280)
    driver.get(report)
    return driver


def choose(page: Any, **values: Any) -> None:
    """Sets fields of the filters as a user would."""
    page.execute_script(
        """const fields = document.getElementById("filters").elements;
        for (const [name, value] of Object.entries(arguments[0])) {
          if (typeof value === "boolean") fields[name].checked = value; else fields[name].value = value;
          fields[name].dispatchEvent(new Event("input", {bubbles: true}));
        }""",
        values,
    )


def shown(page: Any) -> list[dict[str, Any]]:
    """The data of the sentences that are shown."""
    return page.execute_script(
        """return [...document.querySelectorAll("article")].filter((article) => !article.hidden).map((article) => ({
          ...article.dataset, text: article.textContent,
          labels: JSON.parse(article.dataset.labels), confusions: JSON.parse(article.dataset.confusions)}))"""
    )


def choices(page: Any, name: str) -> list[str]:
    return page.execute_script(
        f"return [...document.getElementById('filters').elements.{name}.options].slice(1).map((one) => one.value)"
    )


def test_nothing_is_reported_on_the_console_or_requested(page: Any) -> None:
    assert page.get_log("browser") == []
    assert page.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert page.execute_script("return document.images.length") == 0


def test_every_filter_leaves_what_fits(page: Any) -> None:
    errors = shown(page)
    assert errors and all(int(one["errors"]) for one in errors)
    choose(page, wrong=False)
    everything = shown(page)
    assert len(everything) == min(25, page.execute_script("return document.querySelectorAll('article').length"))
    for task in choices(page, "task"):
        choose(page, task=task)
        assert {one["task"] for one in shown(page)} == {task}
        for label in choices(page, "label"):
            choose(page, label=label)
            assert shown(page) and all(label in one["labels"] for one in shown(page))
        choose(page, label="")
        for confusion in choices(page, "confusion"):
            choose(page, confusion=confusion)
            assert shown(page) and all(confusion in one["confusions"] for one in shown(page))
        choose(page, confusion="")
    choose(page, task="WORDS/upos", least=3)
    assert {one["words"] for one in shown(page)} == {"3"}
    choose(page, least="", most=2)
    assert {one["words"] for one in shown(page)} == {"1", "2"}
    choose(page, most="", text="anna")
    assert ["Anna" in one["text"] for one in shown(page)] == [True]
    choose(page, text="no such text")
    assert not shown(page)
    assert page.find_element("id", "found").text.startswith("0 of ")
    page.find_element("css selector", "button[type=reset]").click()
    page.execute_async_script("setTimeout(arguments[0], 20)")
    assert shown(page) == errors


def test_more_sentences_are_shown_on_request(page: Any) -> None:
    choose(page, wrong=False)
    number = page.execute_script("return document.querySelectorAll('article').length")
    assert number > 25
    page.find_element("id", "more").click()
    assert len(shown(page)) == min(number, 50)


def test_labels_of_right_words_can_be_shown(page: Any) -> None:
    choose(page, wrong=False, task="WORDS/lemma")
    label = "return [...document.querySelectorAll('article:not([hidden]) .ok')].some((one) => one.offsetHeight)"
    assert not page.execute_script(label)
    choose(page, all=True)
    assert page.execute_script(label)


def test_a_number_in_a_confusion_matrix_shows_its_sentences(page: Any) -> None:
    links = page.execute_script(
        """document.querySelectorAll("details").forEach((one) => (one.open = true));
        return [...document.querySelectorAll("a[data-confusion]")].map((one) => [
          one.dataset.task, one.dataset.confusion, Number(one.textContent)])"""
    )
    assert links
    script = "document.querySelectorAll('a[data-confusion]')[arguments[0]].click()"
    for number, (task, confusion, count) in enumerate(links):
        page.execute_script(script, number)
        found = shown(page)
        assert len(found) <= count and (found or task.endswith("entities")), (task, confusion)
        for one in found:
            assert one["task"] == task and any(other.startswith(confusion) for other in one["confusions"])


def test_everything_is_reached_by_the_keyboard(page: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    script = "const one = document.activeElement; return one.name || one.id || one.getAttribute('href') || one.tagName"
    reached = set()
    for _ in range(60):
        ActionChains(page).send_keys(Keys.TAB).perform()
        reached.add(page.execute_script(script))
    assert reached >= {"theme", "#main", "#sentences", "SUMMARY"}
    fields = page.execute_script(
        "return [...document.querySelectorAll('select, input, button')].filter((one) => one.tabIndex < 0).length"
    )
    assert fields == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_both_themes_have_enough_contrast_and_the_button_switches(page: Any, theme: str) -> None:
    show(page, width=1280, theme=theme)
    script = """
      const number = (text) => {
        const context = Object.assign(document.createElement("canvas"), {width: 1, height: 1}).getContext("2d");
        context.fillStyle = text;
        context.fillRect(0, 0, 1, 1);
        const [r, g, b] = [...context.getImageData(0, 0, 1, 1).data].slice(0, 3).map((value) => value / 255)
          .map((value) => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const colour = (variable) => {
        const probe = document.body.appendChild(document.createElement("i"));
        probe.style.color = `var(${variable})`;
        const found = getComputedStyle(probe).color;
        probe.remove();
        return number(found);
      };
      const contrast = (one, other) => {
        const [low, high] = [colour(one), colour(other)].sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05);
      };
      const texts = ["--ink", "--muted", "--accent", "--good", "--bad"];
      for (let number = 0; number < 8; number++) texts.push(`--series-${number}`);
      const found = texts.flatMap((text) => [contrast(text, "--page"), contrast(text, "--surface")]);
      return [colour("--page") > 0.5, Math.min(...found)];
    """
    is_light, least = page.execute_script(script)
    assert is_light == (theme == "light")
    # As WCAG 2.2, AA.
    assert least >= 4.5
    page.find_element("id", "theme").click()
    is_light, least = page.execute_script(script)
    assert is_light == (theme == "dark") and least >= 4.5


def test_a_phone_scrolls_in_one_direction(page: Any) -> None:
    show(page, width=390)
    page.execute_script("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    choose(page, wrong=False, all=True)
    page.find_element("id", "more").click()
    assert page.execute_script("return document.documentElement.scrollWidth") == 390
