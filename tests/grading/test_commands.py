"""The four commands, from their options to what they write and return."""

import csv
import json

import nbformat
import pytest
import tiny

from attnbook.grading import commands
from attnbook.grading.__main__ import main
from attnbook.grading.boxes import sandbox
from attnbook.grading.boxes.sandbox import NoSandbox
from attnbook.grading.releasing import versions


@pytest.fixture
def course(tmp_path):
    """A folder of assignments, and three students' submissions."""
    assignment = tiny.make(tmp_path / "assignments")
    data = nbformat.writes(versions.solved_version(assignment))
    (tmp_path / "in").mkdir()
    for name in ("ada", "ben"):
        (tmp_path / "in" / f"{name}.ipynb").write_text(data, "utf-8")
    (tmp_path / "in" / "cy.ipynb").write_text("", "utf-8")
    return tmp_path


def grade(course, *options, out="out"):
    """Run `grade` on the course's class."""
    where = ["--out", course / out, "--assignments", course / "assignments"]
    command = ["grade", "a9", course / "in", *where, *options]
    return main(list(map(str, command)))


def rows(path):
    with open(path, encoding="utf-8-sig", newline="") as file:
        return {row["key"]: row for row in csv.DictReader(file)}


def test_grade_writes_marks_feedback_report_and_texts(course):
    assert grade(course) == 0
    names = {path.name for path in (course / "out").iterdir()}
    assert {"marks.csv", "feedback", "report.html", "free_text.csv"} <= names
    pages = {path.name for path in (course / "out" / "feedback").iterdir()}
    assert pages == {"ada.html", "ben.html", "cy.html"}
    assert rows(course / "out" / "marks.csv")["ada"]["total"] == "7"


def test_fault_has_a_row_without_points(course):
    grade(course)
    row = rows(course / "out" / "marks.csv")["cy"]
    assert (row["fault"], row["total"], row["1a"]) == ("empty file", "", "")


def test_grade_says_what_came_out(course, capsys):
    grade(course)
    shown = capsys.readouterr()
    assert "2 marked, 1 with a named fault." in shown.out
    assert "cy: empty file" in shown.out
    assert "public salt" in shown.err


def test_private_salt_gives_no_warning(course, capsys):
    (course / "assignments" / "salt.txt").write_text("mine", "utf-8")
    grade(course)
    assert "salt" not in capsys.readouterr().err


def test_gradescope_files_are_written_when_asked_for(course):
    grade(course, "--gradescope")
    found = sorted((course / "out" / "gradescope").rglob("*.json"))
    assert len(found) == 3
    assert all("tests" in json.loads(path.read_text("utf-8")) for path in found[:2])


def test_no_sandbox_is_refused_with_status_3(course, monkeypatch, capsys):
    def none(name=None):
        raise NoSandbox("no sandbox: install bubblewrap")

    monkeypatch.setattr(commands, "choose", none)
    assert grade(course) == 3
    assert "install bubblewrap" in capsys.readouterr().err
    assert not (course / "out" / "marks.csv").exists()


def test_unsafe_is_only_had_by_its_name(course):
    with pytest.raises(SystemExit):
        grade(course, "--backend", "unsafe")


def test_unsafe_prints_what_is_lost_and_marks_the_table(course, capsys):
    assert grade(course, "--unsafe") == 0
    assert "WITHOUT A SANDBOX" in capsys.readouterr().err
    assert "unsafe" in (course / "out" / "marks.csv").read_text("utf-8-sig").lower()


def test_unsafe_results_stay_marked(course):
    """What was kept from an unsafe run is not passed off as safe later."""
    grade(course, "--unsafe")
    grade(course)
    assert "unsafe" in (course / "out" / "marks.csv").read_text("utf-8-sig").lower()


def test_failure_of_the_grader_has_status_1(course, monkeypatch):
    def fail(*arguments, **options):
        raise OSError("no space left")

    monkeypatch.setattr("attnbook.grading.batch.grade_notebook", fail)
    assert grade(course) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["grade", "a7", "IN", "--out", "OUT"], "there are: a9_tiny"),
        (["grade", "a9", "NOWHERE", "--out", "OUT"], "nowhere"),
        (["merge", "NOWHERE", "--out", "OUT"], "results.json"),
    ],
)
def test_wrong_use_has_status_2_and_says_what_to_do(course, options, words, capsys):
    places = {"IN": course / "in", "OUT": course / "out", "NOWHERE": course / "nowhere"}
    command = [str(places.get(word, word)) for word in options]
    assert main([*command, "--assignments", str(course / "assignments")]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("text", ["0/2", "3/2", "2", "a/b", "-1/2"])
def test_odd_shard_is_refused(course, text):
    with pytest.raises(SystemExit):
        grade(course, "--shard", text)


def test_shards_split_the_class_and_merge_joins_them(course):
    (course / "in" / "dee.ipynb").write_text("x", "utf-8")
    grade(course)
    folders = []
    for part in (1, 2):
        grade(course, "--shard", f"{part}/2", out=f"part{part}")
        folders.append(str(course / f"part{part}"))
    where = ["--assignments", str(course / "assignments")]
    assert main(["merge", *folders, "--out", str(course / "all"), *where]) == 0
    joined, whole = (rows(course / name / "marks.csv") for name in ("all", "out"))
    keys = [set(rows(course / f"part{part}" / "marks.csv")) for part in (1, 2)]
    assert keys[0] | keys[1] == set(whole)
    assert not keys[0] & keys[1]
    assert {key: row["total"] for key, row in joined.items()} == {
        key: row["total"] for key, row in whole.items()
    }


def test_merge_adds_marks_given_by_hand(course):
    grade(course)
    sheet = course / "out" / "free_text.csv"
    with open(sheet, encoding="utf-8-sig", newline="") as file:
        table = list(csv.DictReader(file))
    for row in table:
        row.update(points="2", comment="a number is missing")
    with open(sheet, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, table[0])
        writer.writeheader()
        writer.writerows(table)
    where = ["--assignments", str(course / "assignments")]
    out = course / "final"
    manual = ["--manual", str(sheet), "--out", str(out)]
    assert main(["merge", str(course / "out"), *manual, *where]) == 0
    assert rows(out / "marks.csv")["ada"]["total"] == "9"
    page = (out / "feedback" / "ada.html").read_text("utf-8")
    assert "a number is missing" in page


def test_results_of_two_assignments_are_not_merged(course, capsys):
    grade(course)
    path = course / "out" / commands.RESULTS
    other = json.loads(path.read_text("utf-8"))
    other[0]["assignment"] = "a8_other"
    path.write_text(json.dumps(other), "utf-8")
    where = ["--assignments", str(course / "assignments")]
    folders = [str(course / "out"), "--out", str(course / "all")]
    assert main(["merge", *folders, *where]) == 2
    assert "different assignments: a8_other, a9_tiny" in capsys.readouterr().err


def test_doctor_finds_nothing_wrong_here(capsys):
    assert main(["doctor"]) == 0
    assert sandbox.choose().name
    assert "held" in capsys.readouterr().out


def test_release_writes_what_it_says(course, capsys, monkeypatch):
    config = course / "_config.yml"
    config.write_text(
        "repository:\n  url: https://github.com/someone/course\n  branch: fall\n",
        "utf-8",
    )
    monkeypatch.chdir(course)
    assert main(["release"]) == 0
    written = [course / line for line in capsys.readouterr().out.splitlines()]
    assert written[0] == course / "notebooks" / "assignments" / "a9_tiny.ipynb"
    assert all(path.exists() for path in written)
    link = "github/someone/course/blob/fall/notebooks/assignments/a9_tiny.ipynb"
    assert link in written[0].read_text("utf-8")


def test_refused_release_has_status_1_and_writes_nothing(course, capsys, monkeypatch):
    (course / "_config.yml").write_text("repository: {url: x, branch: y}", "utf-8")
    answers = course / "assignments" / "a9_tiny" / "answers.py"
    text = answers.read_text("utf-8").replace(
        "scores @ values", "softmax(scores) @ values"
    )
    answers.write_text(text, "utf-8")
    monkeypatch.chdir(course)
    assert main(["release"]) == 1
    assert "a9_tiny is not released" in capsys.readouterr().err
    assert not (course / "notebooks").exists()


def test_interrupted_batch_ends_and_goes_on_later(course, monkeypatch, capsys):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("attnbook.grading.batch.as_completed", interrupt)
    assert grade(course) == 130
    assert "goes on from here" in capsys.readouterr().err
