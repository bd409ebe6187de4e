"""A browser for the figures, in a thread of its own.

Playwright allows one synchronous loop per thread, and the tests of the built pages
have theirs in the main thread: tests that ask for `visit` run in another.
"""

from concurrent.futures import ThreadPoolExecutor

import chromium
import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run a test that visits pages in the browser's thread."""
    if "visit" not in pyfuncitem.fixturenames:
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    thread = pyfuncitem._request.getfixturevalue("thread")
    thread.submit(pyfuncitem.obj, **arguments).result()
    return True


@pytest.fixture(scope="session")
def thread():
    """Start the thread that speaks with the browser."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture(scope="session")
def browser(thread):
    """Start Chromium: the system's, else Playwright's own."""
    from playwright.sync_api import Error, sync_playwright

    playwright = thread.submit(lambda: sync_playwright().start()).result()
    try:
        opened = thread.submit(chromium.start, playwright).result()
    except Error as error:
        thread.submit(playwright.stop).result()
        chromium.skip_loudly("figures", error)
    yield opened
    thread.submit(opened.close).result()
    thread.submit(playwright.stop).result()


@pytest.fixture
def visit(browser, thread, tmp_path):
    """Return a function that shows HTML in a window of its own, cut off from the net.

    Whatever a page asks for, or complains of, fails the test.
    """
    contexts, complaints = [], []

    def refuse(route):
        complaints.append(f"asks for {route.request.url}")
        route.abort()

    def show(html, width=1280, hash="", **options):
        viewport = {"width": width, "height": 900}
        context = browser.new_context(viewport=viewport, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.route("http*://**", refuse)
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("console", lambda m: m.type == "error" and complaints.append(m.text))
        file = tmp_path / f"page{len(contexts)}.html"
        file.write_text(html, "utf-8")
        page.goto(file.as_uri() + hash)
        return page

    yield show
    for context in contexts:
        thread.submit(context.close).result()
    assert not complaints
