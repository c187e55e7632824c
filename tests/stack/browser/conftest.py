"""Debian's chromium, driven by playwright; it downloads no browser of its own."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text()
SERIOUS = {"serious", "critical"}
MINUTE = 60_000
EXPECTED = re.compile(r"status of|^htmx:(afterRequest|sendAbort|sendError)\b|ERR_FILE_NOT_FOUND")
"""What the browser and htmx say of requests that are refused, stopped or cannot be sent: pages say that themselves."""

Pages = Callable[..., Page]


@pytest.fixture(scope="module")
def chromium() -> str:
    """Path of the browser; without one the tests are skipped, and in CI they fail."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        words = "no chromium on this machine: apt-get install chromium fonts-noto-cjk"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(words)
    return str(path)


@contextmanager
def running(path: str) -> Iterator[Browser]:
    """The browser; root has no sandbox to offer it."""
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--disable-dev-shm-usage", *sandbox])
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """A browser for the tests of a module; it has to end before tests with an event loop of their own begin."""
    with running(chromium) as browser:
        yield browser


@pytest.fixture
def pages(browser: Browser) -> Iterator[Pages]:
    """Open windows by language, width and scheme of colours; whatever goes wrong in one fails the test."""
    contexts, troubles = [], []

    def opened(*, language: str = "en-GB", width: int = 1200, dark: bool = False, **options: Any) -> Page:
        context = browser.new_context(
            locale=language,
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            **options,
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(MINUTE)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda said: troubles.append(said.text) if said.type == "error" else None)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [trouble for trouble in troubles if not EXPECTED.search(trouble)] == []


def violations(page: Page) -> list[str]:
    """What axe-core finds serious or critical on a page, with the elements."""
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [
        f"{rule['id']}: {node['html'][:150]}" for rule in found if rule["impact"] in SERIOUS for node in rule["nodes"]
    ]


def drop(page: Page, selector: str, file: Path) -> None:
    """Drop a file from the desktop on an element, as the browser's own drag and drop does."""
    page.locator(selector).scroll_into_view_if_needed()
    box = page.locator(selector).bounding_box()
    assert box is not None
    session = page.context.new_cdp_session(page)
    at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
    for step in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": step, **at, "data": data})
