"""The bench, through the real command.

The batch ends by itself, the honest keep what they earned, no trick pays, nothing is
left behind, and another order changes no mark.
"""

import csv
import os
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from bench import TOPS, TOTAL_SECONDS, Bench, shortened
from chapters import ROOT

from attnbook.grading.assignments import load
from attnbook.grading.boxes.sandbox import choose
from attnbook.grading.judging import draw
from attnbook.grading.sessions import PROGRAM

SALT = "SALT" + "-OF-THE-BENCH"


@pytest.fixture(scope="module")
def assignments(tmp_path_factory):
    """Copy assignment 1 and shorten its limits."""
    return shortened(ROOT / "assignments", tmp_path_factory.mktemp("assignments"))


@pytest.fixture(scope="module")
def listener():
    """Listen at home, and keep who called."""
    callers = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        done = threading.Event()

        def listen():
            while not done.is_set():
                try:
                    callers.append(server.accept()[1])
                except TimeoutError:
                    continue

        thread = threading.Thread(target=listen)
        thread.start()
        yield server.getsockname()[1], callers
        done.set()
        thread.join()


@pytest.fixture(scope="module")
def bench(assignments, listener):
    """Make the cases; one of them calls the listener."""
    return Bench(load("a1", assignments), port=listener[0])


def run(submissions, assignments, out):
    """Grade a folder with the real command."""
    command = [sys.executable, "-m", "attnbook.grading", "grade", "a1", submissions]
    command += ["--out", out, "--assignments", assignments, "--names", "plain"]
    environment = {**os.environ, "ATTNBOOK_SALT": SALT, "ATTNBOOK_PROGRESS": "0"}
    return subprocess.run(
        list(map(str, command)),
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def rows_of(out):
    """Read marks.csv, by the file that was handed in."""
    with open(out / "marks.csv", encoding="utf-8-sig", newline="") as file:
        return {row["file"].lstrip("'"): row for row in csv.DictReader(file)}


def leftovers():
    """Return processes of the bench's boxes, mounts, and files of its submissions.

    Other tests run boxes, browsers and temporary files beside this one; none of those
    has the bench's limits or the names that its submissions write.
    """
    limits, ours = f'"CPU": {2 * TOTAL_SECONDS + 1},'.encode(), set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if limits in line and b"Run a student's cells" in line:
            ours.add(path.parent.name)
    written = re.compile(r"full|file\d+|marks\.csv|solved\.ipynb|results\.json")
    paths = (path for top in TOPS for path in Path(top).iterdir())
    files = {path for path in paths if written.fullmatch(path.name)}
    return ours, Path("/proc/mounts").read_text().count("student"), files


@pytest.fixture(scope="module")
def graded(bench, assignments, tmp_path_factory):
    """Write all submissions and grade them once."""
    folder = tmp_path_factory.mktemp("submissions")
    out = tmp_path_factory.mktemp("out") / "graded"
    for case in bench.cases:
        case.write(folder)
    before = leftovers()
    done = run(folder, assignments, out)
    return done, out, rows_of(out), before, leftovers()


def test_bench_has_more_than_forty_cases_of_every_family(bench):
    families = [case.family for case in bench.cases]
    assert len(families) >= 80
    assert {f: families.count(f) >= 10 for f in families} == dict.fromkeys(
        families, True
    )


def test_batch_ends_well(graded):
    done = graded[0]
    assert done.returncode == 0, done.stderr + done.stdout


def test_every_file_has_a_row(graded, bench):
    assert len(graded[2]) == len(bench.cases)
    assert all(row["total"] or row["fault"] for row in graded[2].values())


def points(row, bench):
    """Return the points of each question."""
    found = dict.fromkeys((check.question for check in bench.assignment.checks), 0.0)
    for check in bench.assignment.checks:
        found[check.question] += float(row[check.id] or 0)
    return found


def pytest_generate_tests(metafunc):
    """Make a test of each case, without an assignment at hand."""
    if "place" in metafunc.fixturenames:
        cases = Bench(load("a1", ROOT / "assignments"), port=1).cases
        names = [
            f"{case.family}-{re.sub(r'[^a-z0-9-]', '', case.name)}" for case in cases
        ]
        metafunc.parametrize("place", range(len(cases)), ids=names)


def test_case_comes_to_what_it_must(place, bench, graded):
    case = bench.cases[place]
    row = graded[2][case.file]
    if case.family == "file":
        assert row["fault"]
        assert case.expect in (row["fault"], "any fault")
        assert not row["total"]
        return
    assert row["fault"] == ""
    full, weak = (
        points(graded[2][f"{name}.ipynb"], bench) for name in ("solved", "weak")
    )
    got = points(row, bench)
    if case.family == "dishonest":
        assert all(got[question] <= weak[question] for question in weak), got
    elif isinstance(case.expect, tuple):
        assert got == {q: 0.0 if q in case.expect else p for q, p in full.items()}
    else:
        none = dict.fromkeys(full, 0.0)
        assert got == {"full": full, "weak": weak, "none": none}[case.expect]


def test_weak_answers_lie_between_nothing_and_everything(graded, bench):
    full, weak = (
        points(graded[2][f"{name}.ipynb"], bench) for name in ("solved", "weak")
    )
    assert 0 < sum(weak.values()) < sum(full.values())
    assert weak["1"] < full["1"]


def test_tricks_that_harm_nobody_keep_what_they_earned(graded, bench):
    """A cheat loses nothing either, unless it broke its own answers."""
    weak = points(graded[2]["weak.ipynb"], bench)
    for name in ("forges-answers", "calls-home", "overwrites-others", "mounts"):
        assert points(graded[2][f"{name}.ipynb"], bench) == weak


def message_of(graded, name):
    return (graded[1] / "feedback" / f"{name}.html").read_text("utf-8")


def test_no_file_of_the_grader_is_found(graded):
    assert "found []" in message_of(graded, "looks-for-judges")


def test_no_secret_is_in_the_environment(graded):
    assert "no salt" in message_of(graded, "reads-the-environment")


def test_nobody_called_home(graded, listener):
    assert "connected []" in message_of(graded, "calls-home")
    assert listener[1] == []


def test_the_book_is_not_there(graded):
    assert "ModuleNotFoundError" in message_of(graded, "imports-the-book")


def test_nothing_is_left_behind(graded):
    assert graded[4] == (set(), graded[3][1], graded[3][2])


def test_what_is_left_behind_would_be_seen(assignments):
    box = choose().start(PROGRAM, load("a1", assignments).limits)
    try:
        assert len(leftovers()[0]) >= 2  # what starts the box, and what runs in it
    finally:
        box.kill()
    assert not leftovers()[0]


def digits_of(value):
    """Return eight digits of each hidden number that has as many."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return {text for item in value for text in digits_of(item)}
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        return set()
    texts = {re.sub(r"\D", "", f"{x:.17f}").lstrip("0") for x in value.reshape(-1)}
    return {text[:8] for text in texts if len(text.rstrip("0")) > 8}


def test_no_hidden_number_reaches_a_student(graded, bench, monkeypatch):
    monkeypatch.setenv("ATTNBOOK_SALT", SALT)
    assignment = bench.assignment
    hidden = set()
    for check in assignment.checks:
        hidden |= digits_of(draw(check, assignment.salt))
    assert len(hidden) > 100
    pages = [path.read_text("utf-8") for path in graded[1].glob("feedback/*.html")]
    plain = [re.sub(r"[^0-9A-Za-z]", "", page) for page in pages]
    assert not {text for page in plain for text in hidden if text in page}
    assert not [page for page in pages if SALT in page]


def test_no_page_holds_a_script(graded):
    pages = [*graded[1].glob("feedback/*.html"), graded[1] / "report.html"]
    texts = [page.read_text("utf-8").lower() for page in pages]
    assert not [text for text in texts if "<script" in text or 'src="http' in text]


def test_no_cell_of_the_table_is_a_formula(graded):
    text = (graded[1] / "marks.csv").read_text("utf-8-sig")
    cells = [cell for row in csv.reader(text.splitlines()) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@", "\t"))]


def test_another_order_gives_the_same_marks(graded, bench, assignments, tmp_path):
    """Other keys, so that the class is sorted and paired up differently.

    One case races against itself; how much it spoils is not the same twice.
    """
    families = ("ordinary", "dishonest")
    chosen = [case for case in bench.cases if case.family in families]
    chosen = [case for case in chosen if case.name != "waits-for-the-probes"]
    for number, case in enumerate(reversed(chosen)):
        (tmp_path / "one").mkdir()
        case.write(tmp_path / "one")
        (tmp_path / "class").mkdir(exist_ok=True)
        (tmp_path / "one" / case.file).rename(tmp_path / "class" / f"{number:03}.ipynb")
        (tmp_path / "one").rmdir()
    run(tmp_path / "class", assignments, tmp_path / "out")
    again = rows_of(tmp_path / "out")
    for number, case in enumerate(reversed(chosen)):
        first, second = graded[2][case.file], again[f"{number:03}.ipynb"]
        assert points(first, bench) == points(second, bench), case.name
