"""Sheets: what a spreadsheet shows, and what comes back from one."""

import csv
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import check, failed, group, result

from attnbook.grading.reports.sheets import (
    SheetError,
    apply_manual,
    join_shards,
    read_manual,
    write_free_text,
    write_marks,
)
from attnbook.grading.reports.spreadsheets import inert, read_rows, restored, write_rows
from attnbook.grading.results import FreeText

# letters that spreadsheets and CSV treat in their own way, among ordinary ones
MARKS = [*"=+-@＝＋－＠'\"‘ \t\r\n;,\u00a0\0a", ";=", "\n '-", "\t@", "'+"]
PIECE = st.sampled_from(MARKS) | st.text(max_size=3)
TEXT = st.lists(PIECE, max_size=12).map("".join)
HEAD = "key;question;max;points;comment;found;answer"


def rows(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def filled(tmp_path, *lines, head=HEAD, encoding="utf-8"):
    path = tmp_path / "free_text.csv"
    path.write_bytes("\r\n".join([head, *lines, ""]).encode(encoding))
    return path


# text that stays text


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "  =1",
        "\u00a0=1",
        "'=1",
        '"=1',
        "＝1",
        "＠x",
        "\0=1",
    ],
)
def test_formula_is_made_inert(text):
    assert inert(text).startswith("'")
    assert "\0" not in inert(text)


@pytest.mark.parametrize("inside", ["a;=1", "a\n=1", "a\t@x", "a; =1", "a\r\n-1"])
def test_formula_behind_another_separator_is_made_inert(inside):
    start, quote, _ = inert(inside).partition("'")
    assert quote, inside
    assert start[-1] in ";\n\t"


@pytest.mark.parametrize("text", ["Ada", "O'Neil", "'quoted'", "3 = 2 + 1", "a-b", ""])
def test_ordinary_text_stays(text):
    assert inert(text) == text


@given(TEXT)
def test_text_comes_back_from_inert(text):
    assert restored(inert(text)) == text.replace("\0", "")


@given(TEXT)
def test_no_piece_between_separators_is_a_formula(text):
    pieces = inert(text).replace("\r", "\n").replace("\t", "\n").replace(";", "\n")
    for piece in pieces.split("\n"):
        assert piece.strip()[:1] not in tuple("=+-@＝＋－＠")


@given(TEXT, TEXT)
def test_text_comes_back_from_a_file(tmp_path_factory, one, two):
    path = tmp_path_factory.mktemp("sheet") / "t.csv"
    write_rows(path, ["abc", ["x", inert(one), inert(two)]])
    ((number, row),) = read_rows(path, ["a"])
    back = (restored(row["b"]), restored(row["c"]))
    assert (number, back) == (2, (one.replace("\0", ""), two.replace("\0", "")))


def test_lone_surrogate_can_be_written(tmp_path):
    write_marks([result(student="A\ud800")], tmp_path / "m.csv")
    assert rows(tmp_path / "m.csv")[0]["student"] == "A?"


# marks


def test_marks_have_a_row_per_submission_sorted_by_key(tmp_path):
    write_marks([result("b"), result("a"), result("c")], tmp_path / "m.csv")
    assert [row["key"] for row in rows(tmp_path / "m.csv")] == ["a", "b", "c"]


def test_marks_hold_totals_and_checks(tmp_path):
    text = FreeText(question="5", points=6, text="", earned=4.5)
    write_marks([result(texts=[text])], tmp_path / "m.csv")
    (row,) = rows(tmp_path / "m.csv")
    names = ("total", "max", "automatic", "manual", "unmarked", "1a", "2a")
    assert [row[name] for name in names] == ["6.5", "11", "2", "4.5", "", "2", "0"]


def test_marks_say_what_is_not_yet_marked(tmp_path):
    write_marks([result()], tmp_path / "m.csv")
    (row,) = rows(tmp_path / "m.csv")
    assert (row["manual"], row["unmarked"]) == ("", "5")


def test_fault_has_no_mark_rather_than_zero(tmp_path):
    fault = result("b", fault="empty file", checks=[], texts=[])
    write_marks([result("a"), fault], tmp_path / "m.csv")
    row = rows(tmp_path / "m.csv")[1]
    numbers = ("total", "max", "automatic", "manual", "1a", "2a")
    assert [row[name] for name in numbers] == [""] * 6
    assert row["fault"] == "empty file"


def test_marks_keep_a_students_formula_as_text(tmp_path):
    write_marks([result(student="=1+1", flags=["uses x", "=2"])], tmp_path / "m.csv")
    (row,) = rows(tmp_path / "m.csv")
    assert row["student"] == "'=1+1"
    assert row["flags"] == "uses x;' =2"


def test_marks_open_in_excel_with_accents(tmp_path):
    write_marks([result(student="José")], tmp_path / "m.csv")
    assert (tmp_path / "m.csv").read_bytes().startswith(b"\xef\xbb\xbf")


def test_unsafe_marks_say_so_everywhere(tmp_path):
    write_marks(group(5), tmp_path / "m.csv", unsafe=True)
    first, head, *others = (tmp_path / "m.csv").read_text("utf-8-sig").splitlines()
    assert first.startswith("# UNSAFE")
    assert head.startswith("unsafe,student,key")
    assert len(others) == 5
    assert all(row.startswith("UNSAFE,") for row in others)


def test_marks_of_nobody_are_a_header(tmp_path):
    write_marks([], tmp_path / "m.csv")
    (head,) = (tmp_path / "m.csv").read_text("utf-8-sig").splitlines()
    assert head.startswith("student,key,file,total,max")


# free text


def test_free_text_comes_with_empty_points(tmp_path):
    write_free_text([result(), result("x", fault="f")], tmp_path / "f.csv")
    (row,) = rows(tmp_path / "f.csv")
    assert list(row) == HEAD.split(";")
    assert (row["key"], row["question"], row["max"]) == ("ada", "5", "6")
    assert (row["points"], row["comment"], row["found"]) == ("", "", "yes")


def test_free_text_keeps_line_breaks(tmp_path):
    text = FreeText(question="5", points=6, text="one\ntwo, three")
    write_free_text([result(texts=[text])], tmp_path / "f.csv")
    assert rows(tmp_path / "f.csv")[0]["answer"] == "one\ntwo, three"


def test_long_answer_is_cut_with_a_word(tmp_path):
    text = FreeText(question="5", points=6, text="x" * 200_000)
    write_free_text([result(texts=[text])], tmp_path / "f.csv")
    answer = rows(tmp_path / "f.csv")[0]["answer"]
    assert len(answer) < 32_767
    assert answer.endswith("(cut here)")


def test_marked_sheet_goes_round(tmp_path):
    given = FreeText(question="5", points=6, text="=x", earned=4.5, comment="- good")
    write_free_text([result("=key", texts=[given])], tmp_path / "f.csv")
    (manual,) = read_manual(tmp_path / "f.csv")
    found = (manual.key, manual.question, manual.points, manual.comment)
    assert found == ("=key", "5", 4.5, "- good")


def test_unmarked_rows_are_left_out(tmp_path):
    write_free_text([result()], tmp_path / "f.csv")
    assert read_manual(tmp_path / "f.csv") == []


# what spreadsheets do


@pytest.mark.parametrize(
    ("separator", "given"),
    [(";", "2,5"), (",", "2.5"), (",", '"2,5"'), ("\t", "2,5"), (";", "'2,5")],
)
def test_points_are_read_as_spreadsheets_write_them(tmp_path, separator, given):
    line = separator.join(["ada", "5", "6", given, "good", "yes", "x"])
    head = HEAD.replace(";", separator)
    (manual,) = read_manual(filled(tmp_path, line, head=head))
    assert manual.points == 2.5


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8", "utf-16", "cp1252"])
def test_sheet_is_read_in_the_encodings_of_excel(tmp_path, encoding):
    path = filled(tmp_path, "ada;5;6;2;schön;yes;x", encoding=encoding)
    assert read_manual(path)[0].comment == "schön"


def test_empty_rows_of_a_spreadsheet_are_passed_over(tmp_path):
    path = filled(tmp_path, ";;;;;;", "", "ada;5;6;2;;yes;x")
    (manual,) = read_manual(path)
    assert manual.row == 4


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("two", "'two' is not a number"),
        ("nan", "'nan' is not a number"),
        ("1e400", "not a number"),
        ("-1", "less than 0"),
        ("7", "more than 6"),
    ],
)
def test_wrong_points_are_named_by_row_and_column(tmp_path, given, message):
    path = filled(tmp_path, "bob;5;6;1;;yes;x", f"ada;5;6;{given};;yes;x")
    with pytest.raises(SheetError, match=f"row 3, column points: .*{message}"):
        read_manual(path)


def test_row_numbers_count_answers_with_line_breaks_once(tmp_path):
    path = filled(tmp_path, 'bob;5;6;1;;yes;"a\nb\nc"', "ada;5;6;x;;yes;x")
    with pytest.raises(SheetError, match="row 3"):
        read_manual(path)


def test_answer_marked_twice_is_refused(tmp_path):
    path = filled(tmp_path, "ada;5;6;1;;yes;x", "ada;5;6;2;;yes;x")
    with pytest.raises(SheetError, match=r"row 3, column key: row 2 marks the same"):
        read_manual(path)


def test_sheet_without_a_column_is_refused(tmp_path):
    with pytest.raises(SheetError, match="needs columns key, question, points"):
        read_manual(filled(tmp_path, "ada;5", head="key;question"))


# merging


def manual(tmp_path, line):
    return read_manual(filled(tmp_path, line))


def test_points_by_hand_are_added(tmp_path):
    (merged,) = apply_manual([result()], manual(tmp_path, "ada;5;6;4,5;fine;yes;x"))
    assert (merged.earned, merged.texts[0].comment) == (6.5, "fine")


def test_merging_leaves_the_given_results_alone(tmp_path):
    before = result()
    apply_manual([before], manual(tmp_path, "ada;5;6;4;;yes;x"))
    assert before.texts[0].earned is None


def test_comment_alone_gives_no_points(tmp_path):
    (merged,) = apply_manual([result()], manual(tmp_path, "ada;5;6;;see me;yes;x"))
    assert (merged.texts[0].earned, merged.texts[0].comment) == (None, "see me")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("eve;5;6;1;;yes;x", "row 2, column key: no submission has key 'eve'"),
        ("ada;9;6;1;;yes;x", "row 2, column question: ada has no text question '9'"),
        ("ada;5;99;7;;yes;x", "row 2, column points: 7 is more than 6"),
    ],
)
def test_row_that_fits_no_answer_is_named(tmp_path, line, message):
    with pytest.raises(SheetError, match=message):
        apply_manual([result()], manual(tmp_path, line))


# shards


def test_shards_are_joined_and_sorted():
    joined = join_shards([[result("c"), result("a")], [], [result("b")]])
    assert [one.key for one in joined] == ["a", "b", "c"]


def test_same_result_in_two_shards_counts_once():
    joined = join_shards([[result(seconds=1.0)], [result(seconds=2.0)]])
    assert len(joined) == 1


def test_key_with_two_results_is_refused():
    other = result(checks=[check(), failed("2a", "2", 3.0, mistake="another")])
    with pytest.raises(SheetError, match="different results for ada"):
        join_shards([[result()], [other]])


def test_shards_of_two_assignments_are_refused():
    other = replace(result("b"), assignment="a2_heads")
    with pytest.raises(SheetError, match="a1_scores, a2_heads"):
        join_shards([[result("a")], [other]])
