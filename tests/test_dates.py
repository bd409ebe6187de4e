"""Dates: every written date means its answer, in every language and script."""

import datetime
import re
import unicodedata

import pytest

from attnbook.dates import MONTHS, PATTERNS, dates, write_date

SOME = dates(1500, 300, seed=0)
DAY = datetime.date(2021, 3, 9)


def read_number(text):
    """Read digits of any script, or Chinese numerals up to 31."""
    values = {c: i for i, c in enumerate("〇一二三四五六七八九")}
    if "十" in text:
        tens, ones = text.split("十")
        return 10 * values.get(tens, 1) + values.get(ones, 0)
    if text[0] in values:
        return int("".join(str(values[c]) for c in text))
    return int("".join(str(unicodedata.digit(c)) for c in text))


def read_date(text):
    """Read a date without knowing how it was written."""
    names = [n for months in MONTHS.values() for n in months.split() if n in text]
    numbers = re.findall(r"[\d〇一二三四五六七八九十]+", text)
    if not names:
        year, month, day = map(read_number, numbers)
        return year, month, day
    month = {
        months.split().index(n) + 1
        for n in names
        for months in MONTHS.values()
        if n in months.split()
    }
    day, year = sorted(map(read_number, numbers))
    return year, max(month), day


# reference


def test_every_answer_is_what_the_source_says():
    for part in SOME:
        for source, answer in part:
            year, month, day = read_date(source)
            assert answer == f"{year:04}-{month:02}-{day:02}", source


WRITTEN = {
    "March 9, 2021",
    "9 March 2021",
    "9. März 2021",
    "9 mars 2021",
    "9 de marzo de 2021",
    "9 марта 2021 г.",
    "٩ مارس ٢٠٢١",
    "2021年3月9日",
    "二〇二一年三月九日",
    "2021/03/09",
}


def test_one_day_in_all_languages():
    assert {write_date(DAY, *pattern) for pattern in PATTERNS} == WRITTEN


@pytest.mark.parametrize(
    ("day", "written"),
    [(1, "一"), (9, "九"), (10, "十"), (11, "十一"), (20, "二十"), (31, "三十一")],
)
def test_days_in_chinese_numerals(day, written):
    text = write_date(DAY.replace(day=day), *PATTERNS[8])
    assert text == f"二〇二一年三月{written}日"


def test_every_language_names_twelve_different_months():
    for months in MONTHS.values():
        assert len(set(months.split())) == len(months.split()) == 12


# law


def test_no_day_of_the_tests_occurs_in_training_in_any_language():
    days = [{answer for _, answer in part} for part in SOME]
    assert not days[0] & days[1]
    assert not days[0] & days[2]
    assert not days[1] & days[2]


def test_all_languages_and_centuries_come_in_every_part():
    scripts = {"Latin": "[A-Za-z]", "Russian": "[а-я]", "Arabic": "[٠-٩]", "Han": "年"}
    for part in SOME:
        for script in scripts.values():
            assert any(re.search(script, source) for source, _ in part)
        assert {answer[:2] for _, answer in part} == {"19", "20"}


def test_answers_are_days_of_two_centuries():
    days = [datetime.date.fromisoformat(answer) for part in SOME for _, answer in part]
    assert datetime.date(1900, 1, 1) <= min(days)
    assert max(days) <= datetime.date(2099, 12, 31)


def test_sizes_are_those_asked_for():
    assert [len(part) for part in dates(7, 3)] == [7, 3, 3]
    assert [len(part) for part in dates(0, 0)] == [0, 0, 0]


def test_seed_chooses_the_dates():
    assert dates(30, 5, seed=1) == dates(30, 5, seed=1)
    assert dates(30, 5, seed=1).train != dates(30, 5, seed=2).train


def test_split_of_the_days_is_the_same_for_every_size():
    small, large = dates(10, 200, seed=4), dates(3000, 10, seed=4)
    tested = {answer for _, answer in small.test}
    assert not tested & {answer for _, answer in large.train}


# contract


@pytest.mark.parametrize(("num_train", "num_test"), [(-1, 5), (5, -2)])
def test_negative_numbers_are_refused(num_train, num_test):
    with pytest.raises(
        ValueError, match=f"must be ≥ 0, got {num_train} and {num_test}"
    ):
        dates(num_train, num_test)
