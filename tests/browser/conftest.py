"""A report with 200 slices in a real, headless Chromium. `make test-browser` gets what is needed; without it, skip."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium_page import set_size
from large_report import write_large_report

AXE = Path("browser/node_modules/axe-core/axe.min.js")  # within the environment's folder


@pytest.fixture(scope="session")
def report_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_large_report(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures of the page are left, to be looked at."""
    named = os.environ.get("TXM2SEM_SCREENSHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="no selenium: make test-browser")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("no Chromium with chromedriver: make test-browser")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--force-device-scale-factor=1",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chromium = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield chromium
    chromium.quit()


@pytest.fixture(scope="session")
def axe() -> str:
    """The script of axe-core."""
    file = Path(sys.prefix) / AXE
    if not file.is_file():
        pytest.skip("no axe-core: make test-browser, with npm")
    return file.read_text(encoding="utf-8")


@pytest.fixture
def driver(browser: Any, report_file: Path) -> Iterator[Any]:
    """The report, freshly opened; afterwards there must be no word in the console and no request to anywhere."""
    set_size(browser, 1280, 900)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(report_file.as_uri())
    yield browser
    assert browser.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert {url for url in asked if not url.startswith(("data:", "blob:"))} <= {report_file.as_uri()}
