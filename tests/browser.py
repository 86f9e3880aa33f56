"""A real browser for tests of pages, without a window and a network."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
required = pytest.mark.skipif(not (BROWSER and DRIVER), reason="there is no Chromium with chromedriver")
OFFLINE = ("quic", "background-networking", "component-update", "sync", "default-apps", "extensions", "gpu")


@contextlib.contextmanager
def started(profile: Path) -> Iterator[Any]:
    """The driver of a browser."""
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    flags = ("headless", "no-sandbox", "no-first-run", f"user-data-dir={profile}", *(f"disable-{f}" for f in OFFLINE))
    for flag in flags:
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def show(driver: Any, *, width: int, theme: str = "light") -> None:
    """Sets the size of the screen and the theme of the system."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": theme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
