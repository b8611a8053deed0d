"""Pages of a running Dagster as the system's Chromium shows them, once they have loaded their data."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--hide-scrollbars", "--dump-dom"),
)
_VIRTUAL_MILLISECONDS = 20_000  # of the page's own clock, which runs ahead while nothing is loading


def look(url: str, picture: Path, size: tuple[int, int] = (1400, 1000)) -> str:
    """The page's document as it is after all scripts, and a picture of it at `picture`."""
    assert CHROMIUM is not None
    profile = picture.parent / "profile"
    command = [
        *(CHROMIUM, *_FLAGS, f"--user-data-dir={profile}", f"--virtual-time-budget={_VIRTUAL_MILLISECONDS}"),
        *(f"--window-size={size[0]},{size[1]}", f"--screenshot={picture}", url),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=240)
    assert picture.stat().st_size > 0
    return done.stdout
