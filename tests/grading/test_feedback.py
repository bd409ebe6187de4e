"""Feedback: what a student reads, what never shows, and how it looks."""

import re

import pytest
from looking import look, text_of
from samples import EVIL, assignment, check, failed, group, marked, result

from attnbook.grading.intake import collect, reading
from attnbook.grading.reports.faults import (
    EXPLAINED,
    GRADER_FAILED,
    OTHERWISE,
    explained,
)
from attnbook.grading.reports.feedback import page, sign, write_feedback
from attnbook.grading.results import OUTCOMES, CellFault, FreeText, VisibleCheck


def read(**given):
    return text_of(page(result(**given), assignment()))


# the file


def test_file_is_named_by_the_key(tmp_path):
    path = write_feedback(result("ada"), assignment(), tmp_path / "feedback")
    assert path == tmp_path / "feedback/ada.html"
    assert path.read_text("utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize("key", ["../ada", "/tmp/ada", "a/b", "", "a\0b"])
def test_key_that_leads_elsewhere_is_refused(tmp_path, key):
    with pytest.raises(ValueError, match="not safe as a file name"):
        write_feedback(result(key), assignment(), tmp_path)


def test_page_refuses_scripts_and_requests():
    html = page(result(), assignment())
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1]
    assert policy.startswith(
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    )
    assert not re.search(r"<script|src=|url\(|@import|https?:", html)


# points


def test_score_so_far_leaves_out_what_waits():
    text = read()
    assert "2 of 5 points so far" in text
    assert "Question 5 (6 points) is marked by hand and not yet marked." in text


def test_score_after_marking_is_the_total():
    words = FreeText(question="5", points=6, text="t", earned=4.5, comment="Nearly.")
    text = read(texts=[words])
    assert "6.5 of 11 points" in text
    assert "so far" not in text
    assert "4.5 of 6 points, marked by hand. Comment Nearly." in text


def test_failed_check_shows_mistake_and_hint():
    text = read(checks=[failed(mistake="missing scale", hint="Look at `d`.")])
    assert "Missing scale. Look at d. ✗ wrong 0 of 2" in text


def test_passed_check_shows_no_hint():
    text = read(checks=[check(hint="a hint", mistake="a mistake")])
    assert "✓ passed 2 of 2" in text
    assert "a hint" not in text


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_outcome_is_told_by_sign_and_word(outcome):
    assert re.fullmatch(r"[✓✗○] [a-z ]+", text_of(f"<main>{sign(outcome)}"))


@pytest.mark.parametrize("outcome", OUTCOMES[1:])
def test_failure_without_a_hint_is_explained(outcome):
    text = read(checks=[failed(outcome=outcome, mistake="", hint="")])
    assert re.search(r"a title [A-Z][^.]+\. [✗○]", text)


def test_backticks_of_a_title_become_code():
    html = page(result(checks=[check(title="`a<b` runs")]), assignment())
    assert "<code>a&lt;b</code> runs" in html


def test_carry_over_is_told_in_words():
    text = read(checks=[failed(), check("2a", "2", carried=True)])
    claim = "Question 2 was tried again with a right softmax"
    assert f"{claim}, so that one mistake costs once." in text


def test_without_carry_over_nothing_is_told_of_it():
    assert "tried again" not in read()


# cells, notebook checks, answers


def test_stopped_cell_is_named_with_its_limit():
    text = read(cells=[CellFault(cell=7, outcome="timed out", message="stopped")])
    assert "Cell 7 was stopped after 10 s and skipped." in text


def test_cell_with_an_error_shows_its_message():
    text = read(cells=[CellFault(cell=2, outcome="error", message="NameError: 'q'")])
    assert "Cell 2 raised an error. NameError: &#x27;q&#x27;" in text


def test_notebooks_own_checks_show_their_message():
    ones = [VisibleCheck(title="Question 1", outcome="wrong", message="Rows sum to 1.")]
    assert "Question 1 Rows sum to 1. ✗ wrong" in read(visible=ones)


def test_answer_that_was_not_found_is_told():
    text = read(texts=[FreeText(question="5", points=6, text="", found=False)])
    assert "No answer was found." in text
    assert "“Answer 5.”" in text


def test_flags_are_not_for_students():
    assert "attnbook" not in read(flags=["uses attnbook"])


# faults


@pytest.mark.parametrize("fault", [*collect.FAULTS, *reading.FAULTS, GRADER_FAILED])
def test_fault_has_advice_of_its_own(fault):
    wrong, what = explained(fault)
    assert fault in EXPLAINED
    assert what != OTHERWISE
    assert wrong.endswith(".")


def test_fault_shows_no_points():
    text = read(fault="empty file", checks=[], texts=[])
    assert "The file holds nothing" in text
    assert "What to do" in text
    assert "0 of" not in text


def test_unknown_fault_is_shown_with_general_advice():
    text = read(fault="of a new kind", checks=[], texts=[])
    assert "It could not be graded: of a new kind. What to do Open the" in text


def test_failure_of_the_grader_hides_its_details():
    text = read(fault=f"{GRADER_FAILED}: KeyError: 'secret'", checks=[], texts=[])
    assert "This is not your mistake." in text
    assert "secret" not in text


# what students wrote


def test_students_text_is_escaped_everywhere():
    html = page(
        result(
            student=EVIL,
            file=EVIL,
            visible=[VisibleCheck(title=EVIL, outcome=EVIL, message=EVIL)],
            texts=[FreeText(question="5", points=6, text=EVIL, comment=EVIL)],
            cells=[CellFault(cell=1, outcome=EVIL, message=EVIL)],
        ),
        assignment(),
    )
    assert "<script" not in html
    assert "<img" not in html
    assert html.count("&lt;script&gt;") == 9


def test_controls_and_surrogates_do_not_break_the_file(tmp_path):
    path = write_feedback(result(student="A\ud800\0\x9b"), assignment(), tmp_path)
    assert "A���" in path.read_text("utf-8")


def test_long_text_is_cut():
    words = FreeText(question="5", points=6, text="x" * 10**6)
    assert len(page(result(texts=[words]), assignment())) < 60_000


# in a browser


@pytest.mark.parametrize("i", [5, 7, 8], ids=["troubles", "fault", "carried over"])
def test_page_is_accessible_and_fits(tmp_path, i):
    one = marked(group(9))[i]
    one.student = EVIL
    for where, seen in look(write_feedback(one, assignment(), tmp_path)).items():
        assert not seen.faults, where
        assert not seen.overhang, where
        assert not seen.complaints + seen.dialogs, where
