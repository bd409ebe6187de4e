"""Where the built book is, what pages it has, and how to serve it.

ATTNBOOK_ROOT names another book to test, such as one that is broken on purpose.
"""

import os
import sys
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from book import pages

REPOSITORY = Path(__file__).resolve().parents[2]
ROOT = Path(os.environ.get("ATTNBOOK_ROOT", REPOSITORY))
BUILD = [sys.executable, str(REPOSITORY / "tools/book.py"), "--root"]
SOURCES = {p.relative_to(ROOT).with_suffix("").as_posix(): p for p in pages(ROOT)}
NAMES = list(SOURCES)
CHAPTERS = [name for name in NAMES if name.startswith("notebooks/")]


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files without a line for each; browsers may not keep them."""

    def end_headers(self):
        """Forbid the browser's own cache, which would hide a dead service worker."""
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, *arguments):
        """Keep quiet."""


@contextmanager
def serving(folder: Path):
    """Serve a folder; yield its address."""
    handler = partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
