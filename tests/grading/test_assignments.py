"""Assignments' sources: found, read, and refused where they contradict each other."""

import pytest
import tiny

from attnbook.grading.assignments import AssignmentError, find, load


@pytest.fixture
def assignment(tmp_path):
    return tiny.make(tmp_path)


def test_assignments_are_found_by_their_toml(assignment, tmp_path):
    (tmp_path / "notes").mkdir()
    assert find(tmp_path) == [assignment.name]


def test_assignment_is_found_by_its_number(assignment, tmp_path):
    assert load("a9", tmp_path).name == assignment.name


def test_unknown_assignment_names_those_that_are_there(assignment, tmp_path):
    with pytest.raises(AssignmentError, match=f"'a7'.*{assignment.name}"):
        load("a7", tmp_path)


@pytest.mark.parametrize("name", ["probes.py", "judges.py", "answers.py", "source.md"])
def test_missing_file_is_named(assignment, tmp_path, name):
    (assignment.folder / name).unlink()
    with pytest.raises(AssignmentError, match=f"lacks {name}"):
        load("a9", tmp_path)


def test_points_are_those_of_checks_and_words(assignment):
    automatic = sum(check.points for check in assignment.checks)
    assert assignment.points == automatic + 3


EDITS = {
    "folder's": ("assignment.toml", 'name = "a9_tiny"', 'name = "a8_tiny"'),
    "framework": ("assignment.toml", '"numpy"', '"jax"'),
    "difficulty": ("assignment.toml", '"introductory"', '"easy"'),
    "share an id": ("assignment.toml", 'id = "2"', 'id = "1"'),
    "uses later": ("assignment.toml", 'uses = ["softmax"]', 'uses = ["other"]'),
    "no points": ("assignment.toml", "points = 3", "points = 0"),
    "names nothing": ("assignment.toml", 'names = ["context"]', "names = []"),
    "lengthy": ("assignment.toml", "cell_seconds", "lengthy"),
}


@pytest.mark.parametrize("words", EDITS)
def test_contradiction_in_the_toml_is_named(tmp_path, words):
    with pytest.raises(AssignmentError, match=words):
        tiny.make(tmp_path, EDITS[words])


def test_check_of_an_unknown_question_is_named(tmp_path):
    assignment = tiny.make(tmp_path, ("judges.py", 'question="2"', 'question="5"'))
    with pytest.raises(AssignmentError, match="check 2a is for no question"):
        _ = assignment.checks


def test_question_without_a_check_is_named(tmp_path):
    assignment = tiny.make(tmp_path, ("judges.py", 'question="2"', 'question="1"'))
    with pytest.raises(AssignmentError, match="without a check: {'2'}"):
        _ = assignment.checks


def test_two_checks_with_one_id_are_named(tmp_path):
    assignment = tiny.make(tmp_path, ("judges.py", 'id="2a"', 'id="1a"'))
    with pytest.raises(AssignmentError, match="two checks share an id"):
        _ = assignment.checks


def test_public_salt_is_known_to_be_public(assignment):
    assert assignment.salt_is_public


def test_salt_file_replaces_the_public_salt(assignment, tmp_path):
    (tmp_path / "salt.txt").write_text("mine\n", "utf-8")
    assert assignment.salt == "mine:a9_tiny"
    assert not assignment.salt_is_public


def test_environment_comes_before_the_salt_file(assignment, tmp_path, monkeypatch):
    (tmp_path / "salt.txt").write_text("mine\n", "utf-8")
    monkeypatch.setenv("ATTNBOOK_SALT", "other")
    assert assignment.salt == "other:a9_tiny"


def test_fingerprint_changes_with_the_salt(assignment, monkeypatch):
    before = assignment.fingerprint
    monkeypatch.setenv("ATTNBOOK_SALT", "other")
    assert assignment.fingerprint != before


def test_fingerprint_changes_with_a_judge(assignment):
    before = assignment.fingerprint
    path = assignment.folder / "judges.py"
    path.write_text(path.read_text("utf-8") + "\n", "utf-8")
    assert assignment.fingerprint != before


def test_error_in_the_judges_names_the_file(tmp_path):
    assignment = tiny.make(tmp_path, ("judges.py", "points=2", "points=0"))
    with pytest.raises(AssignmentError, match=r"judges\.py.*has 0 points"):
        _ = assignment.checks
