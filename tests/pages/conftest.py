"""What the tests of the built pages share: the book, a server and one browser."""

import subprocess
from pathlib import Path

import chromium
import pytest
from built_book import BUILD, ROOT, serving
from filelock import FileLock


@pytest.fixture(scope="session")
def book() -> Path:
    """Return the folder of the built book, in step with its sources."""
    (ROOT / ".build").mkdir(exist_ok=True)
    with FileLock(ROOT / ".build/book.lock"):
        subprocess.run([*BUILD, str(ROOT)], check=True)
    return ROOT / ".build/html"


@pytest.fixture(scope="session")
def site(book):
    """Return the address of the served book."""
    with serving(book) as address:
        yield address


@pytest.fixture(scope="session")
def browser():
    """Start Chromium: the system's, else Playwright's own."""
    from playwright.sync_api import Error, sync_playwright

    with sync_playwright() as playwright:
        try:
            opened = chromium.start(playwright)
        except Error as error:
            chromium.skip_loudly("pages", error)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser):
    """Return a function that opens an address in a window of its own."""
    contexts = []

    def open_page(address, width=1280, theme="light", **options):
        options = {"service_workers": "block"} | options
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=theme, **options
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        if address:
            page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
