"""How the tests start Chromium: the system's, else Playwright's own."""

import shutil
import sys

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def start(playwright):
    """Launch a headless Chromium with a started Playwright.

    Raises:
        playwright.sync_api.Error: there is none.
    """
    found = next(filter(None, map(shutil.which, NAMES)), None)
    return playwright.chromium.launch(executable_path=found, args=ARGUMENTS)


def skip_loudly(what: str, error: Exception) -> None:
    """Say past pytest's capture that a part goes untested, and skip it."""
    reason = f"NO BROWSER: the {what} are NOT tested. Install Chromium, or run"
    reason += " `.venv/bin/playwright install chromium`."
    print(f"\n{reason}\n{error}", file=sys.__stderr__)
    pytest.skip(reason)
