"""Pages of a running Dagster as the system's Chromium shows them: a text counts when a person can see it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, expect, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# No driver's own browser is downloaded, and a browser of root's has no sandbox to build.
_FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking")
_DEADLINE = 120_000.0  # milliseconds for one text; the page polls for ever, so "loaded" is when it is there
_HEIGHT, _WIDTH = 1000, 1400


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser for several pages."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(_FLAGS))
        yield browser
        browser.close()


def look(browser: Browser, url: str, texts: Sequence[str], picture: Path, height: int = _HEIGHT) -> None:
    """Wait until the page at `url` shows all texts and no run, and take a picture of it. Fails with what it shows.

    Pictures that are lower than a page have twice the pixels: their text is small.
    """
    context = browser.new_context(
        viewport={"width": _WIDTH, "height": height},
        device_scale_factor=1 if height >= _HEIGHT else 2,
        locale="en-GB",
        timezone_id="UTC",
    )
    try:
        page = context.new_page()
        page.goto(url, wait_until="domcontentloaded", timeout=_DEADLINE)
        body: Any = page.locator("body")
        for text in texts:
            expect(body).to_contain_text(text, use_inner_text=True, timeout=_DEADLINE)
        for passing in ("Loading", "Materializing"):
            expect(body).not_to_contain_text(passing, use_inner_text=True, timeout=_DEADLINE)
        page.screenshot(path=picture)
    finally:
        context.close()
