"""The page to try models in a real browser: it shows predictions, without a mouse, in both themes and on a phone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browser
import pytest
from browser import show
from live_server import LiveServer, serving

import machamp_lite
from machamp_lite.serving.served_model import ServedModel

pytestmark = [pytest.mark.slow, browser.required]
TOKEN = "a-secret-of-some-length"
HOSTILE = "<img/src=x/onerror=alert(1)>"


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with browser.started(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="module")
def server(runs: Path) -> Iterator[LiveServer]:
    names = ("words", "pairs")
    models = [ServedModel(name, machamp_lite.load(runs / name, device="cpu")) for name in names]
    with serving(*models, token=TOKEN) as running:
        yield running


@pytest.fixture
def page(driver: Any, server: LiveServer) -> Any:
    show(driver, width=1280)
    driver.get(f"http://{server.host}:{server.port}/")
    driver.get_log("browser")
    return driver


def field(page: Any, name: str) -> Any:
    return page.find_element("css selector", f"[name={name}]")


def state(page: Any, text: str) -> str:
    """The message of the page, when it has a text."""
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(page, 10).until(lambda _: text in page.find_element("id", "state").text)
    return page.find_element("id", "state").text


def predict(page: Any, text: str) -> str:
    """What is shown for a text, which is typed and sent with the keyboard alone."""
    from selenium.webdriver.common.keys import Keys

    field(page, "token").send_keys(TOKEN)
    field(page, "text").send_keys(text, Keys.CONTROL, Keys.ENTER)
    state(page, " in ")
    return page.find_element("id", "found").text


def test_a_text_is_shown_with_labels_and_a_tree(page: Any) -> None:
    shown = predict(page, f"Anna reads {HOSTILE}\nRun")
    assert all(part in shown for part in ("upos", "lemma", "mood", "Anna", "onerror"))
    assert state(page, " in ").startswith("2 sentences in ")
    assert len(page.find_elements("css selector", "#found svg.tree")) == 2
    assert page.execute_script("return document.images.length") == 0
    assert page.get_log("browser") == []
    requested = page.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)")
    assert {name.rpartition("/")[2] for name in requested} == {"models", "predict"}


def test_the_models_and_their_datasets_can_be_chosen(page: Any) -> None:
    from selenium.webdriver.support.ui import Select

    predict(page, "Run")
    model = Select(field(page, "model"))
    assert [one.text for one in model.options] == ["words", "pairs"]
    model.select_by_visible_text("pairs")
    assert [one.text for one in Select(field(page, "dataset")).options] == ["PAIRS"]


def test_a_line_has_the_texts_of_a_pair(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import Select, WebDriverWait

    predict(page, "Run")
    Select(field(page, "model")).select_by_visible_text("pairs")
    assert page.find_element("id", "help").text.startswith("Each line has 2 texts, ")
    field(page, "text").clear()
    field(page, "text").send_keys("Dogs run ||| Dogs sleep", Keys.CONTROL, Keys.ENTER)
    WebDriverWait(page, 10).until(lambda _: "Dogs sleep" in page.find_element("id", "found").text)
    shown = page.find_element("id", "found").text
    assert "same" in shown and "|||" not in shown


def test_errors_are_shown_in_a_line(page: Any) -> None:
    field(page, "token").send_keys("wrong")
    field(page, "text").send_keys("Run")
    page.find_element("css selector", "button[type=submit]").click()
    assert state(page, "request: found no valid token")


def test_everything_is_reached_by_the_keyboard(page: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    script = "const one = document.activeElement; return one.name || one.id || one.type || one.getAttribute('href')"
    reached = set()
    for _ in range(14):
        ActionChains(page).send_keys(Keys.TAB).perform()
        reached.add(page.execute_script(script))
    assert reached >= {"theme", "#main", "docs", "text", "model", "dataset", "split", "token", "submit"}
    labels = "return [...document.querySelectorAll('select, input, textarea')].map((one) => one.labels.length)"
    assert all(page.execute_script(labels))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_button_switches_the_theme(page: Any, theme: str) -> None:
    show(page, width=1280, theme=theme)
    dark = "return getComputedStyle(document.body).backgroundColor === 'rgb(22, 23, 26)'"
    assert page.execute_script(dark) == (theme == "dark")
    page.find_element("id", "theme").click()
    assert page.execute_script(dark) == (theme == "light")


@pytest.mark.parametrize("path", ["", "docs"])
def test_a_phone_scrolls_in_one_direction(page: Any, path: str) -> None:
    show(page, width=390)
    if path:
        page.get(f"{page.current_url}{path}")
        page.execute_script("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        assert page.get_log("browser") == []
    else:
        predict(page, "Anna reads books and the old dogs sleep and the cats ran and the trains run .")
    assert page.execute_script("return document.documentElement.scrollWidth") == 390
