"""The book's pages for instructors say what the code, the tests and the toml hold."""

import json
import re
from collections import Counter

import pytest
import tiny
from bench import Bench
from chapters import ROOT

from attnbook.grading.__main__ import parser
from attnbook.grading.assignments import Limits, find, load
from attnbook.grading.boxes import sandbox
from attnbook.grading.boxes.doctor import JUDGES
from attnbook.grading.releasing.header import points_of
from attnbook.grading.reports import faults

FOLDER = ROOT / "assignments"
INSTRUCTORS, GRADING, WRITING = (
    (ROOT / "book" / f"{name}.md").read_text("utf-8")
    for name in ("instructors", "grading", "writing_assignments")
)


def rows(page, heading):
    """Return the cells of the first table that starts with this cell."""
    table = page.split(f"\n| {heading} |", 1)[1].split("\n\n")[0]
    lines = table.splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("file", tiny.FILES)
def test_example_is_the_one_that_tests_release(file):
    assert f"\n{tiny.FILES[file]}```" in WRITING


def test_every_fault_has_a_row_and_no_other():
    cells = " ".join(row[0] for row in rows(GRADING, "Fault"))
    assert sorted(re.findall("`([^`]+)`", cells)) == sorted(faults.EXPLAINED)


def test_families_of_the_bench_are_counted():
    cases = Bench(load("a1", FOLDER), port=1).cases
    shown = {row[0]: int(row[1]) for row in rows(GRADING, "Family")}
    assert shown == Counter(case.family for case in cases)


def test_every_named_test_exists():
    tests = "".join(path.read_text("utf-8") for path in ROOT.glob("tests/**/test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", GRADING))
    assert len(named) > 10
    assert not [name for name in named if f"def {name}(" not in tests]


def test_every_canary_holds_a_promise():
    held = " ".join(row[1] for row in rows(GRADING, "A submission …"))
    assert not [name for name in JUDGES if f"*{name}*" not in held]


def test_every_option_of_grade_is_named():
    commands = next(a for a in parser()._actions if a.dest == "command").choices
    options = {o for a in commands["grade"]._actions for o in a.option_strings}
    assert not [o for o in options - {"-h", "--help"} if o not in GRADING]


def test_profile_is_the_one_that_the_grader_prints():
    profile = re.search(r"```text\n(abi.*?)```", GRADING, re.S)[1]
    printed = [line.strip() for line in sandbox.HELP.splitlines()]
    assert not [line for line in profile.splitlines() if line.strip() not in printed]


def test_times_are_those_that_were_stored():
    stored = ROOT / "benchmarks" / "results" / "grading-cpu.json"
    classes = json.loads(stored.read_text("utf-8"))["classes"]
    shown = rows(GRADING, "Class of 100")
    keys = ("wall seconds", "cpu seconds of a right one, median")
    for row, key, digits in zip(shown, keys, (0, 1), strict=True):
        wanted = [f"{one[key]:.{digits}f}" for _, one in sorted(classes.items())]
        assert row[1:] == wanted


def test_limits_have_their_defaults():
    shown = {
        row[0].strip("`"): float(row[1]) for row in rows(WRITING, "Key in `[limits]`")
    }
    assert shown == vars(Limits())


@pytest.mark.parametrize("name", find(FOLDER))
def test_table_of_assignments_says_what_the_toml_says(name):
    one = load(name, FOLDER)
    by_hand = sum(points_of(one, q) for q in one.questions if q.text)
    wanted = [len(one.questions), one.points, by_hand, one.minutes]
    short = name.split("_")[0]
    row = next(r for r in rows(INSTRUCTORS, "Assignment") if f"[{short} " in r[0])
    assert f"{one.title}](../notebooks/assignments/{name}.ipynb)" in row[0]
    assert [int(row[1]), row[6]] == [max(one.chapters), one.difficulty]
    assert [float(cell) for cell in row[2:6]] == wanted


def test_hours_of_the_plans_are_those_of_chapters_and_assignments():
    chapters = {
        row[0][0]: sum(int(cell.split()[0]) for cell in row[1:])
        for row in rows(INSTRUCTORS, "Chapter")
    }
    minutes = {name[:2]: load(name, FOLDER).minutes for name in find(FOLDER)[:4]}
    for plan in INSTRUCTORS.split("\n| Week |")[1:]:
        for row in rows(f"\n| Week |{plan}", "Week"):
            read = re.findall(r"\d", row[1]) if re.match(r"\d", row[1]) else ()
            known = [chapters[n] for n in read]
            known += [minutes[n] for n in re.findall(r"(a[1-4]) in", row[-2])]
            assert not known or abs(sum(known) / 60 - float(row[-1])) < 0.06, row
