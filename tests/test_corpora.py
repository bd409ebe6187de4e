"""Sentence pairs: side by side, clean, and no test sentence seen in training."""

import gzip
import shutil
import types
import zipfile

import pooch
import pytest

from attnbook import corpora
from attnbook.corpora import Pairs, clean, multi30k, part_of, tatoeba

CAPTIONS = {
    "en": "A dog.\nTwo \u2028 men\x85here.\nLast one.\n",
    "de": "Ein Hund.\nZwei Männer\u00a0hier.\n  Der Letzte. \n",
}
ENGLISH = [f"Sentence number {i}." for i in range(200)]


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Put small files in the place of the real ones."""
    for part in ("train", "val", "test_2016_flickr"):
        for language, text in CAPTIONS.items():
            path = tmp_path / "multi30k" / f"{part}.{language}.gz"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(gzip.compress(f"{part} {text}".encode()))
    lines = [f"{text}\t句子{i}。\tCC-BY {i}" for i, text in enumerate(ENGLISH)]
    lines += [
        f"{text.upper()[:-1]}!\t别的{i}。\tCC-BY" for i, text in enumerate(ENGLISH)
    ]
    for path, member in corpora.TATOEBA.values():
        (tmp_path / path).parent.mkdir()
        with zipfile.ZipFile(tmp_path / path, "w") as archive:
            archive.writestr(member, "\n".join([*lines, lines[0]]) + "\n")
    monkeypatch.setattr(corpora, "fetch", lambda path: tmp_path / path)


# reference


def test_captions_stand_side_by_side(small):
    pairs = multi30k("de", "en")
    assert pairs.train[0] == ("train Ein Hund.", "train A dog.")
    assert pairs.validation[0] == ("val Ein Hund.", "val A dog.")
    assert pairs.test[0][1] == "test_2016_flickr A dog."
    assert multi30k("en", "de").train == [(t, s) for s, t in pairs.train]


def test_lines_end_at_line_feeds_only(small):
    pairs = multi30k("de", "en").train
    assert pairs[1:] == [
        ("Zwei Männer hier.", "Two men here."),
        ("Der Letzte.", "Last one."),
    ]


def test_clean_makes_equal_what_looks_equal():
    assert clean("cafe\u0301\u200b  au\u00a0lait\t") == "café au lait"
    assert clean("你好\u3000吗") == "你好 吗"
    assert clean(" ") == ""


@pytest.mark.parametrize("language", ["cmn", "fra"])
def test_every_pair_is_in_one_part_once(small, language):
    together = sorted(pair for part in tatoeba(language) for pair in part)
    expected = [(text, f"句子{i}。") for i, text in enumerate(ENGLISH)]
    expected += [(t.upper()[:-1] + "!", f"别的{i}。") for i, t in enumerate(ENGLISH)]
    assert together == sorted(expected)


# law: no leakage


def heart(sentence):
    """Return what two spellings of one sentence share."""
    return "".join(c for c in clean(sentence).casefold() if c.isalnum())


def assert_no_english_sentence_in_two_parts(pairs):
    train, validation, test = ({heart(english) for english, _ in p} for p in pairs)
    assert not train & test
    assert not train & validation
    assert not validation & test


def test_spellings_of_a_sentence_stay_together(small):
    assert_no_english_sentence_in_two_parts(tatoeba("cmn"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hi.", "HI!"),
        ("It's me.", "It’s me"),
        ("A café.", "A cafe\u0301."),
        ("No way", "No\u200b way"),
    ],
)
def test_part_does_not_depend_on_the_spelling(one, other):
    for i in range(40):  # two spellings may meet by chance, forty times not
        assert part_of(f"{i} {one}") == part_of(f"{i} {other}")


def test_parts_have_their_shares_and_never_change():
    parts = [part_of(f"sentence {i}") for i in range(4000)]
    assert 160 < parts.count("test") < 240
    assert 160 < parts.count("validation") < 240
    expected = {"Run!": "validation", "Hurry!": "train", "I agree.": "train"}
    assert {text: part_of(text) for text in expected} == expected


# the real corpora


def test_multi30k_has_its_published_sizes(real_data):
    pairs = multi30k("de", "en")
    assert [len(part) for part in pairs] == [29_000, 1_014, 1_000]
    assert pairs.train[0] == (
        "Zwei junge weiße Männer sind im Freien in der Nähe vieler Büsche.",
        "Two young, White males are outside near many bushes.",
    )
    assert all(s and t for part in pairs for s, t in part)


def test_no_english_sentence_of_tatoeba_leaks(real_data):
    pairs = tatoeba("cmn")
    assert_no_english_sentence_in_two_parts(pairs)
    total = sum(map(len, pairs))
    assert total > 20_000
    for part in (pairs.validation, pairs.test):
        assert 0.04 < len(part) / total < 0.06


# faults


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """Name an empty mirror and an empty cache; wait for nothing."""
    monkeypatch.setenv("ATTNBOOK_DATA", str(tmp_path / "mirror"))
    monkeypatch.setenv("ATTNBOOK_CACHE", str(tmp_path / "cache"))
    no_wait = types.SimpleNamespace(sleep=lambda seconds: None)
    monkeypatch.setattr(pooch.core, "time", no_wait)
    return tmp_path / "mirror"


@pytest.mark.parametrize(
    ("load", "file"),
    [
        (lambda: multi30k("de", "en"), "multi30k/train.de.gz"),
        (lambda: tatoeba("cmn"), "tatoeba_eng_cmn/cmn-eng.zip"),
    ],
)
def test_missing_archive_says_what_to_do(mirror, load, file):
    with pytest.raises(OSError, match=f"could not download {file}.*ATTNBOOK_DATA"):
        load()


def test_archive_cut_short_is_refused_by_name(real_data, mirror):
    file = "tatoeba_eng_cmn/cmn-eng.zip"
    mirror.joinpath(file).parent.mkdir(parents=True)
    shutil.copyfile(real_data / file, mirror / file)
    with open(mirror / file, "r+b") as archive:
        archive.truncate(99_999)
    with pytest.raises(OSError, match=r"cmn-eng.zip is damaged: .*Delete it"):
        tatoeba("cmn")


# contract


@pytest.mark.parametrize("pair", [("de", "de"), ("de", "zh"), ("it", "en")])
def test_other_languages_are_refused(as_user, pair):
    message = f"choose two of .*'cs'.*, got '{pair[0]}' and '{pair[1]}'"
    with pytest.raises(ValueError, match=message):
        multi30k(*pair)


def test_other_languages_of_tatoeba_are_refused(as_user):
    with pytest.raises(ValueError, match=r"one of \['cmn', 'fra'\], got 'deu'"):
        tatoeba("deu")


def test_parts_have_names():
    assert Pairs._fields == ("train", "validation", "test")
