"""The page of a report in a real browser: what is missing is seen, in light and in dark, and foreign text runs nothing.

tests/test_report_page.py proves the same on the page's structure; this looks at what a browser makes of it.
"""

from __future__ import annotations

import os
import shutil
import zlib
from pathlib import Path
from subprocess import run

import pytest

from lineage_pipeline.core.audit import audit
from lineage_pipeline.report_page import report_page
from tests.core.test_report_golden import LOSS
from tests.test_report_page import evil_report

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = {"light": (0xD5, 0x5E, 0x00), "dark": (0xE8, 0x69, 0x0A)}  # as the template says
PAPER = {"light": (0xFF, 0xFF, 0xFF), "dark": (0x14, 0x19, 0x1C)}
WIDTH, HEIGHT = 900, 520

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def browser() -> str:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser on this machine (none of {', '.join(BROWSERS)}): the page was not looked at")
    return found


def browse(browser: str, page: bytes, tmp_path: Path, *options: str) -> tuple[str, str]:
    """What the browser prints on stdout and stderr after showing the page."""
    file = tmp_path / "report.html"
    file.write_bytes(page)
    rights = ["--no-sandbox"] if os.geteuid() == 0 else []  # a browser of root's has no sandbox to build
    fixed = ["--headless", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={tmp_path / 'profile'}"]
    sizes = [f"--window-size={WIDTH},{HEIGHT}", "--enable-logging=stderr"]
    done = run(
        [browser, *rights, *fixed, *sizes, *options, file.as_uri()], capture_output=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
    return done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_what_is_missing_is_seen(browser: str, tmp_path: Path, mode: str) -> None:
    picture = tmp_path / "page.png"
    chosen = "--blink-settings=preferredColorScheme=" + {"dark": "0", "light": "1"}[mode]
    _, said = browse(browser, report_page(audit(LOSS)), tmp_path, f"--screenshot={picture}", chosen)
    assert "CONSOLE" not in said
    pixels = pixels_of(picture.read_bytes())
    assert pixels.count(PAPER[mode]) > WIDTH * HEIGHT / 2
    assert pixels.count(MISSING[mode]) > 50


def test_foreign_text_runs_nothing(browser: str, tmp_path: Path) -> None:
    shown, said = browse(browser, report_page(evil_report()), tmp_path, "--dump-dom")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    assert "<script" not in shown
    assert "<img" not in shown
    assert "CONSOLE" not in said  # nothing was tried that the page's own policy had to refuse


def pixels_of(data: bytes) -> list[tuple[int, int, int]]:
    """The colours of a PNG of 8 bits per channel, row by row, by the format's own description (RFC 2083)."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        chunks[kind] = chunks.get(kind, b"") + data[at + 8 : at + 8 + size]
        at += 12 + size
    width, height = (int.from_bytes(chunks[b"IHDR"][one : one + 4], "big") for one in (0, 4))
    channels = {2: 3, 6: 4}[chunks[b"IHDR"][9]]
    raw, stride = zlib.decompress(chunks[b"IDAT"]), width * channels
    above, found = bytearray(stride), []
    for row in range(height):
        start = row * (stride + 1)
        line = unfiltered(raw[start], bytearray(raw[start + 1 : start + 1 + stride]), above, channels)
        found += [(line[one], line[one + 1], line[one + 2]) for one in range(0, stride, channels)]
        above = line
    return found


def unfiltered(kind: int, line: bytearray, above: bytearray, step: int) -> bytearray:
    for at in range(len(line)):
        left = line[at - step] if at >= step else 0
        corner = above[at - step] if at >= step else 0
        up = above[at]
        guess = left + up - corner
        near = min((left, up, corner), key=lambda one: abs(guess - one))
        line[at] = (line[at] + (0, left, up, (left + up) // 2, near)[kind]) & 255
    return line
