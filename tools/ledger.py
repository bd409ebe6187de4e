"""Write `book/claims.md` from the outputs of the executed notebooks.

Nothing in that page is typed: statement, measured value and band come from the
claim cells, and each row links to its cell.
"""

import argparse
import re
import sys
from pathlib import Path

import nbformat

from attnbook.claims import MIME, Claim

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "book" / "claims.md"
HEAD = """\
---
description: Every claim of the book with its measured value and expected band.
---

# All claims

Each row is an experiment of a chapter. The notebook stops with an error when a
measured value leaves its band, and the tests run every notebook, so this page can
only show what held. A value with ± is a mean over several seeds with its 95 %
interval; one without is exact or a single measurement of a deterministic quantity.
"""


def claims_of(notebook: Path) -> list[Claim]:
    """Return the claims that a notebook's outputs hold, in order."""
    cells = nbformat.read(notebook, as_version=4).cells
    outputs = [o for cell in cells for o in cell.get("outputs", [])]
    found = [o.data[MIME] for o in outputs if MIME in o.get("data", {})]
    return [Claim(**fields) for fields in found]


def title_of(notebook: Path) -> str:
    """Return the first heading of a notebook."""
    for cell in nbformat.read(notebook, as_version=4).cells:
        if match := re.search(r"^# (.+)$", cell.source, flags=re.MULTILINE):
            return match[1]
    raise ValueError(f"{notebook.name} has no heading")


def row(claim: Claim, notebook: Path) -> str:
    """Return one line of the table."""
    target = f"../notebooks/{notebook.stem}.html#claim-{claim.id}"
    link = f'<a href="{target}">{claim.id}</a>'
    seeds = "–" if claim.num_seeds == 1 else str(claim.num_seeds)
    statement = claim.statement.replace("|", "\\|")
    return f"| {link} | {statement} | {claim.measured} | {claim.band} | {seeds} |"


def page() -> str:
    """Return the whole ledger as Markdown."""
    parts = [HEAD]
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        if claims := claims_of(notebook):
            parts.append(f"\n## {title_of(notebook)}\n")
            parts.append("| Claim | Statement | Measured | Expected | Seeds |")
            parts.append("|:--|:--|:--|:--|--:|")
            parts += [row(claim, notebook) for claim in claims]
    return "\n".join(parts) + "\n"


def main() -> None:
    """Write the ledger; with --check only compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, change nothing")
    text = page()
    if not parser.parse_args().check:
        PAGE.write_text(text, "utf-8")
    elif not PAGE.exists() or PAGE.read_text("utf-8") != text:
        sys.exit(f"{PAGE.name} is out of date: run `make notebooks`")


if __name__ == "__main__":
    main()
