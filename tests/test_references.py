"""The bibliography is complete: every paper that a page links to is in it."""

import re
from collections import Counter
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest
from pybtex.database import parse_string

ROOT = Path(__file__).resolve().parent.parent
BIB = ROOT / "book" / "references.bib"
PAGES = sorted(
    [
        *ROOT.glob("notebooks/*.ipynb"),
        *ROOT.glob("book/*.md"),
        *ROOT.glob("book/chapters/*.md"),
    ]
)
ARXIV = re.compile(r"arxiv\.org/(?:abs|pdf|html)/(\d{4}\.\d{4,5})", re.IGNORECASE)
# Some DOIs hold brackets, as 10.1016/0010-0285(80)90005-5.
DOI = re.compile(
    r"""doi\.org/(10\.\d{4,}/(?:\([^\s()]*\)|[^\s()<>\]"'])+)""", re.IGNORECASE
)
ARXIV_DOI = "10.48550/arxiv."


def cited_by(text: str) -> set[str]:
    """Return the arXiv numbers and DOIs that a text links to, in lower case."""
    dois = {unquote(doi).rstrip(".,;").lower() for doi in DOI.findall(text)}
    return set(ARXIV.findall(text)) | {doi.removeprefix(ARXIV_DOI) for doi in dois}


def known_to(entries) -> set[str]:
    """Return the arXiv numbers and DOIs of a bibliography."""
    fields = [entry.fields for entry in entries.values()]
    return {f[name].lower() for f in fields for name in ("eprint", "doi") if name in f}


def text_of(page: Path) -> str:
    """Return what a reader of a page can see a link in."""
    if page.suffix != ".ipynb":
        return page.read_text("utf-8")
    cells = nbformat.read(page, as_version=4).cells
    return "\n".join(cell.source for cell in cells)


ENTRIES = parse_string(BIB.read_text("utf-8"), "bibtex").entries


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_linked_paper_is_in_the_bibliography(page):
    missing = cited_by(text_of(page)) - known_to(ENTRIES)
    assert not missing, f"{page.name} links to {sorted(missing)}: add to {BIB.name}"


@pytest.mark.parametrize("key", list(ENTRIES))
def test_entry_can_be_found(key):
    entry = ENTRIES[key]
    assert entry.persons.get("author"), "no author"
    assert entry.fields.get("title"), "no title"
    assert re.fullmatch(r"\d{4}", entry.fields.get("year", "")), "no year"
    assert {"url", "doi", "eprint"} & {name.lower() for name in entry.fields}


@pytest.mark.parametrize("key", [k for k in ENTRIES if "eprint" in ENTRIES[k].fields])
def test_eprint_is_an_arxiv_number(key):
    fields = ENTRIES[key].fields
    assert re.fullmatch(r"\d{4}\.\d{4,5}", fields["eprint"])
    assert fields["archiveprefix"] == "arXiv"


def test_no_key_or_work_stands_twice():
    keys = re.findall(r"^@\w+\{(\S+),$", BIB.read_text("utf-8"), flags=re.MULTILINE)
    works = [
        entry.fields[name].lower()
        for entry in ENTRIES.values()
        for name in ("eprint", "doi")
        if name in entry.fields
    ]
    twice = [name for name, count in Counter(keys + works).items() if count > 1]
    assert not twice
    assert len(keys) == len(ENTRIES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a](https://arxiv.org/abs/1706.03762)", {"1706.03762"}),
        ("[a](https://arxiv.org/pdf/1706.03762v5)", {"1706.03762"}),
        ("<https://doi.org/10.1109/34.730558>.", {"10.1109/34.730558"}),
        ("(https://doi.org/10.48550/arXiv.1706.03762)", {"1706.03762"}),
        ("[a](https://doi.org/10.1/no)", set()),
        ("[a](https://doi.org/10.1016/0-1(80)9-5).", {"10.1016/0-1(80)9-5"}),
        ("[a](https://doi.org/10.1016/0-1%2880%299-5)", {"10.1016/0-1(80)9-5"}),
        ("[a](https://pytorch.org/docs)", set()),
    ],
)
def test_links_are_recognised(text, expected):
    assert cited_by(text) == expected
