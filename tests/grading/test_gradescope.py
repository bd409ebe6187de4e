"""Gradescope's results.json: the documented names and values, and nothing hidden."""

import json

import pytest
from samples import assignment, check, failed, result

from attnbook.grading.reports.gradescope import VISIBILITIES, results_json, write
from attnbook.grading.results import CellFault, FreeText, VisibleCheck

# "Output format" in Gradescope's specification
TOP = {"score", "execution_time", "output", "output_format", "test_output_format"}
TOP |= {"test_name_format", "visibility", "stdout_visibility", "extra_data"}
TOP |= {"tests", "leaderboard"}
TEST = {"score", "max_score", "status", "name", "name_format", "number", "output"}
TEST |= {"output_format", "tags", "visibility", "extra_data"}


def graded(**given):
    return results_json(result(**given), assignment())["tests"]


def test_names_are_the_documented_ones():
    ones = [VisibleCheck(title="Question 1", outcome="passed")]
    found = results_json(result(visible=ones), assignment())
    assert set(found) <= TOP
    assert all(set(test) <= TEST for test in found["tests"])


def test_values_are_the_documented_ones():
    found = results_json(result(), assignment())
    for test in found["tests"]:
        assert test["status"] in ("passed", "failed")
        assert test["visibility"] in VISIBILITIES
        assert test["output_format"] == test["name_format"] == "text"


def test_text_for_the_whole_is_not_rendered_as_html():
    cells = [CellFault(cell=2, outcome="error", message="<b>x</b>")]
    found = results_json(result(cells=cells), assignment())
    assert "<b>x</b>" in found["output"]
    assert found["output_format"] == "text"


def test_score_is_the_sum_of_the_tests():
    words = FreeText(question="5", points=6, text="", earned=4.5)
    found = results_json(result(texts=[words]), assignment())
    assert found["score"] == 6.5
    assert sum(test["score"] for test in found["tests"]) == 6.5
    assert found["extra_data"]["max_score"] == 11


def test_hidden_checks_are_shown_after_the_due_date():
    assert {test["visibility"] for test in graded()} == {"after_due_date"}


def test_notebooks_own_checks_are_always_shown_without_points():
    ones = [VisibleCheck(title="Question 1", outcome="wrong", message="Rows.")]
    first = graded(visible=ones)[0]
    assert (first["visibility"], first["output"]) == ("visible", "Rows.")
    assert "score" not in first


def test_failed_check_tells_mistake_and_hint():
    (test,) = graded(checks=[failed(mistake="missing scale", hint="Look at d.")])
    assert test["output"].splitlines()[1:] == ["missing scale.", "Look at d."]
    assert (test["status"], test["number"]) == ("failed", "1a")


def test_passed_check_tells_nothing():
    (test,) = graded(checks=[check(hint="a hint")])
    assert (test["status"], test["output"]) == ("passed", "")


def test_answer_that_waits_is_told_and_has_no_score():
    found = results_json(result(), assignment())
    assert "Question 5 (6 points) is marked by hand." in found["output"]
    assert not any("by hand" in test["name"] for test in found["tests"])


def test_flags_stay_with_the_instructor():
    found = results_json(result(flags=["uses attnbook"]), assignment())
    assert "attnbook" not in json.dumps(found)


def test_fault_is_one_failed_test_that_is_shown_at_once():
    found = results_json(result(fault="empty file"), assignment())
    (test,) = found["tests"]
    assert (found["score"], found["visibility"]) == (0.0, "visible")
    assert (test["status"], test["visibility"]) == ("failed", "visible")
    assert "holds nothing" in test["output"]


def test_failure_of_the_grader_hides_its_details():
    found = results_json(result(fault="grader failed: 'secret'"), assignment())
    assert "secret" not in json.dumps(found)


def test_unknown_visibility_is_refused():
    with pytest.raises(ValueError, match="visibility is one of .* not 'never'"):
        results_json(result(), assignment(), visibility="never")


def test_file_is_json_named_by_the_key(tmp_path):
    path = write(result("ada"), assignment(), tmp_path / "gradescope")
    assert path == tmp_path / "gradescope/ada.json"
    assert json.loads(path.read_text("utf-8"))["score"] == 2.0


def test_key_that_leads_elsewhere_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not safe as a file name"):
        write(result("../ada"), assignment(), tmp_path)
