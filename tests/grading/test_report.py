"""The report: numbers, plots, links, and how it looks."""

import re

import numpy as np
import pytest
from looking import look, text_of
from samples import EVIL, assignment, check, failed, group, marked, result

from attnbook.grading.reports import plots
from attnbook.grading.reports.report import page, write_report
from attnbook.grading.results import CellFault, FreeText

FAULT = {"fault": "empty file", "checks": [], "texts": []}


def read(results, **options):
    return text_of(page(results, assignment(), **options))


def in_question_1(*earned):
    """Return one result per number of points in question 1, of 4."""
    return [
        result(f"s{i}", checks=[check(points=4.0, earned=float(n))], texts=[])
        for i, n in enumerate(earned)
    ]


# sizes


@pytest.mark.parametrize("number", [0, 1, 3, 300])
def test_report_is_written_for_a_class_of(tmp_path, number):
    write_report(group(number), assignment(), tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text("utf-8")
    assert f"<dt>submissions</dt><dd>{number}</dd>" in html
    assert len(re.findall(r'<th scope="row"><a href="feedback/', html)) >= number


def test_report_of_faults_alone_has_no_statistics():
    text = read([result("a", **FAULT), result("b", **FAULT)])
    assert "with a fault, no mark2" in text
    assert "Questions" not in text


def test_unsafe_report_says_so_first():
    assert read([], unsafe=True).index("UNSAFE") < 100
    assert "UNSAFE" not in read([])


# numbers


def test_questions_show_mean_and_quartiles():
    earned = [0, 1, 2, 4, 4]
    low, middle, high = np.percentile(earned, [25, 50, 75])
    text = read(in_question_1(*earned))
    row = f"4 5 {np.mean(earned):g} {low:g} {middle:g} {high:g} 55 %"
    assert f"1. Softmax that survives large scores {row}" in text


def test_fault_is_in_no_statistic():
    ones = in_question_1(4, 4)
    assert "Total 4 2 4 4 4 4 100 %" in read([*ones, result("x", **FAULT)])


def test_unmarked_answers_are_counted_and_told():
    text = read([result("a"), result("b")])
    assert "2 submissions still wait for marks by hand" in text
    assert "Totals hold automatic points only." in text


def test_totals_are_of_all_points_once_one_is_marked():
    words = FreeText(question="5", points=6, text="", earned=6.0)
    text = read([result("a", texts=[words]), result("b")])
    assert "of 11" in text
    assert "1 submission still waits" in text
    assert "automatic points only" not in text


def test_mistakes_are_counted_by_submission():
    twice = [failed("1a"), failed("1b")]
    ones = [result("a", checks=twice), result("b", checks=twice)]
    text = read([*ones, result("c", checks=[check()])])
    assert "Question 1: missing scale 2 of 3 (67 %): a, b Look at the" in text


def test_mistake_lists_at_most_five_keys():
    ones = [result(f"s{i}", checks=[failed()]) for i in range(8)]
    assert "8 of 8 (100 %): s0, s1, s2, s3, s4 and 3 more" in read(ones)


@pytest.mark.parametrize("outcome", ["not attempted", "timed out", "killed"])
def test_what_is_no_mistake_is_not_listed_as_one(outcome):
    ones = [result(checks=[failed(outcome=outcome, mistake=outcome)])]
    assert "Most common mistakes" not in read(ones)


def test_checks_of_nobody_and_everybody_are_named():
    ones = [result("a"), result("b")]
    assert "Everybody passed: 1a. Nobody passed: 2a." in read(ones)


def test_carried_checks_are_counted():
    ones = [result("a", checks=[failed(), check("2a", "2", carried=True)])]
    assert "2a. a title 1 of 1 1 by carry-over" in read(ones)


def test_outcomes_are_counted_by_check_and_submission():
    slow = [failed("1a", outcome="timed out"), failed("1b", outcome="timed out")]
    text = read([result("a", checks=slow), result("b", checks=[check()])])
    assert "too slow 2 1" in text


def test_cells_that_did_not_finish_are_counted():
    ones = [
        result("a", cells=[CellFault(cell=1, outcome="killed")]),
        result("b", cells=[CellFault(cell=1, outcome="error")] * 2),
    ]
    text = read(ones)
    assert "stopped in 1 submission, and raised errors in 1 submission" in text


def test_flags_and_faults_are_listed_by_student():
    text = read([result("a", flags=["uses attnbook"]), result("b", **FAULT)])
    assert "Ada Lovelace uses attnbook" in text
    assert "Ada Lovelace b.ipynb empty file" in text


def test_slowest_come_first():
    ones = [result(f"s{i}", student=f"S{i}", seconds=float(i)) for i in range(8)]
    rows = re.search(r"CPU seconds(.*)Students", read(ones))[1]
    assert re.findall(r"S\d", rows) == ["S7", "S6", "S5", "S4", "S3"]


def test_links_lead_to_the_feedback():
    html = page([result("a b#c")], assignment())
    assert '<a href="feedback/a%20b%23c.html">' in html


def test_students_text_is_escaped():
    one = result(student=EVIL, file=EVIL, flags=[EVIL])
    html = page(
        [one, result("b", student=EVIL, **{**FAULT, "fault": EVIL})], assignment()
    )
    assert "<script" not in html
    assert "<img" not in html


# plots


@pytest.mark.parametrize(
    ("values", "maximum", "width", "counts"),
    [
        ([0, 1, 1, 3], 3, 1, (1, 2, 0, 1)),
        ([0, 0.5], 1, 0.5, (1, 1, 0)),
        ([0, 1, 19, 20], 20, 2, (2, 0, 0, 0, 0, 0, 0, 0, 0, 2)),
        ([0.3, 2], 2, 0.5, (1, 0, 0, 1)),
        ([], 2, 1, (0, 0, 0)),
    ],
)
def test_points_are_counted_in_bars(values, maximum, width, counts):
    bars = plots.count(values, maximum)
    assert (bars.width, bars.counts) == (width, counts)


def test_every_submission_is_in_a_bar_and_bars_are_few():
    rng = np.random.default_rng(0)
    for maximum in (0.5, 1, 7, 13, 26, 27, 100, 123.5, 20_000):
        values = [*rng.uniform(0, maximum, 50).tolist(), 0, maximum]
        bars = plots.count(values, maximum)
        assert sum(bars.counts) == 52
        assert len(bars.counts) <= plots.MOST_BARS


def test_bars_over_nothing_are_refused():
    with pytest.raises(ValueError, match="maximum above 0, not 0"):
        plots.count([], 0)


def test_bars_are_named_by_the_points_they_count():
    assert plots.count([1, 2], 2).label(1) == "1"
    wide = plots.count([0, 1, 25], 25)
    assert (wide.label(0), wide.label(12)) == ("0 to under 2", "24 to 25")


def test_plot_says_what_it_shows():
    plot = plots.histogram("p", "Points", plots.count([1, 1, 2], 3))
    assert '<title id="p-title">Points</title>' in plot
    claim = "Points run from 1 to 2; most frequent is 1, in 2 submissions of 3."
    assert f'<desc id="p-text">{claim}</desc>' in plot


def test_plot_stands_beside_its_table():
    html = page(in_question_1(1, 1, 4), assignment())
    assert html.count('<svg class="plot"') == 2
    assert html.count('<th scope="row">1</th><td class="number">2</td>') == 2


# in a browser


@pytest.mark.parametrize("number", [0, 12])
def test_page_is_accessible_and_fits(tmp_path, number):
    path = tmp_path / "report.html"
    write_report(marked(group(number)), assignment(), path, unsafe=True)
    for where, seen in look(path).items():
        assert not seen.faults, where
        assert not seen.overhang, where
        assert not seen.cut_off, where
        assert not seen.complaints + seen.dialogs, where
