"""Tokenizers: round trips, known words only from the training texts, shared marks."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnbook.tokenizers import (
    END,
    MARKS,
    PAD,
    START,
    UNKNOWN,
    BpeTokenizer,
    CharTokenizer,
    WordTokenizer,
    join_words,
    split_words,
    until_end,
)

TRAIN = ["A dog runs.", "A man's dog isn't here!", "Two dogs: a man, a dog.", "你好。"]
BUILDERS = {
    "words": lambda texts: WordTokenizer(texts, min_count=1),
    "characters": CharTokenizer,
    "pairs": lambda texts: BpeTokenizer(texts, vocab_size=290),
}
each_kind = pytest.mark.parametrize("kind", BUILDERS)

# What spaCy's blank tokenizers answer, in lower case.
SPLITS = [
    ("en", "The man's T-shirt isn't red.", "the man 's t - shirt is n't red ."),
    ("en", "They're 3.5 m, or 1,000?", "they 're 3.5 m , or 1,000 ?"),
    ("en", 'He says "no" (twice)...', 'he says " no " ( twice ) ...'),
    ("en", "It’s can't won't", "it 's ca n't wo n't"),
    ("de", "Ein T-Shirt, 2.000 Äpfel!", "ein t-shirt , 2.000 äpfel !"),
    ("de", "Straße – über…", "straße – über …"),
    ("fr", "L’homme s'arrête aujourd'hui.", "l' homme s' arrête aujourd' hui ."),
    ("fr", "Un rendez-vous à 10:30 ?", "un rendez-vous à 10:30 ?"),
]


@pytest.mark.parametrize(("language", "text", "expected"), SPLITS)
def test_words_are_split_by_the_rules_of_the_language(language, text, expected):
    assert split_words(text, language) == expected.split()


@pytest.mark.parametrize("language", ["en", "de", "fr"])
@given(text=st.text())
def test_no_character_but_spaces_is_lost(language, text):
    normal = text.lower().replace("’", "'").replace("´", "'").replace("''", '"')
    words = split_words(text, language)
    assert "".join(words) == "".join(normal.split())
    assert all(word and not any(c.isspace() for c in word) for word in words)


SENTENCES = [
    "the man's t-shirt isn't red.",
    'he says "no" (twice)...',
    "they're here, aren't they?",
    "a well-known man; 3.5 m: $5!",
    "two men [one old] run 50% more.",
    '"yes", she says, "and no".',
]


@pytest.mark.parametrize("text", SENTENCES)
def test_joining_undoes_splitting(text):
    assert join_words(split_words(text)) == text


def test_french_and_german_sentences_come_back():
    for language, text in (
        ("fr", "l'homme s'arrête à 10:30."),
        ("fr", "où va l'homme ? il court ; vite !"),
        ("de", "ein t-shirt, 2.000 äpfel!"),
    ):
        assert join_words(split_words(text, language), language) == text


# the three kinds


@each_kind
def test_text_of_known_words_comes_back(kind):
    tokenizer = BUILDERS[kind](TRAIN)
    for text in TRAIN[: 3 if kind == "words" else None]:  # 。 gets a space as a word
        expected = text.lower() if kind == "words" else text
        assert tokenizer.decode(tokenizer.encode(text)) == expected


@each_kind
def test_numbers_stay_within_the_vocabulary(kind):
    tokenizer = BUILDERS[kind](TRAIN)
    ids = tokenizer.encode("A dog ate 7 неведомые 中文 words…")
    assert ids
    assert all(0 <= i < len(tokenizer) for i in ids)


@each_kind
def test_marks_come_first_and_no_text_makes_one(kind):
    tokenizer = BUILDERS[kind]([*TRAIN, " ".join(MARKS)])
    assert tokenizer.vocabulary[:4] == MARKS
    ids = tokenizer.encode("<s> a dog </s> <pad>")
    assert not set(ids) & {PAD, START, END}


@each_kind
def test_vocabulary_lists_every_number_once(kind):
    tokenizer = BUILDERS[kind](TRAIN)
    assert len(tokenizer.vocabulary) == len(set(tokenizer.vocabulary)) == len(tokenizer)


@each_kind
def test_decoding_stops_at_the_end_mark(kind):
    tokenizer = BUILDERS[kind](TRAIN)
    ids = tokenizer.encode("a dog")
    written = [START, *ids, END, *tokenizer.encode("man"), PAD, PAD]
    assert tokenizer.decode(written) == "a dog"
    assert tokenizer.words(written) == tokenizer.words(ids)


@each_kind
def test_same_texts_give_the_same_numbers(kind):
    first, second = BUILDERS[kind](TRAIN), BUILDERS[kind](TRAIN)
    assert first.vocabulary == second.vocabulary
    assert first.encode(TRAIN[1]) == second.encode(TRAIN[1])


@each_kind
def test_no_text_gives_no_numbers(kind):
    tokenizer = BUILDERS[kind](TRAIN)
    assert tokenizer.encode("") == []
    assert tokenizer.decode([]) == ""


# words


def test_words_not_in_the_training_texts_are_unknown():
    words = WordTokenizer(TRAIN, min_count=1)
    assert words.encode("a cat runs")[1] == UNKNOWN
    assert words.decode(words.encode("a cat runs")) == "a <unk> runs"


def test_words_below_the_count_are_unknown():
    words = WordTokenizer(["a a a b b c"], min_count=2)
    assert words.vocabulary == [*MARKS, "a", "b"]
    assert words.encode("c b a") == [UNKNOWN, 5, 4]


def test_frequent_words_come_first_and_ties_by_code_point():
    words = WordTokenizer(["z b b a z y"], min_count=1)
    assert words.vocabulary[4:] == ["b", "z", "a", "y"]


def test_words_keep_the_rules_of_their_language():
    words = WordTokenizer(["ein T-Shirt"], min_count=1, language="de")
    assert words.vocabulary[4:] == ["ein", "t-shirt"]
    assert words.encode("T-Shirt") == [5]


# characters


def test_unknown_characters_show_as_a_lozenge():
    characters = CharTokenizer(["你好"])
    ids = characters.encode("你们好")
    assert ids[1] == UNKNOWN
    assert characters.decode(ids) == "你�好"


def test_characters_below_the_count_are_unknown():
    assert CharTokenizer(["aab"], min_count=2).vocabulary == [*MARKS, "a"]


# byte pairs


@pytest.fixture(scope="module")
def pairs():
    return BpeTokenizer(TRAIN, vocab_size=290)


@given(text=st.text())
def test_byte_pairs_write_every_text_back(pairs, text):
    assert pairs.decode(pairs.encode(text)) == text


def test_byte_pairs_are_learned_from_the_training_texts():
    plain, learned = (
        BpeTokenizer(texts, vocab_size=290) for texts in (["zz"], ["a dog"] * 9)
    )
    assert len(plain.encode("a dog a dog")) > len(learned.encode("a dog a dog"))


def test_vocabulary_of_byte_pairs_has_the_size_asked_for():
    assert len(BpeTokenizer(TRAIN, vocab_size=275)) == 275
    assert len(BpeTokenizer([], vocab_size=999)) == 260  # there is nothing to merge


def test_words_of_byte_pairs_join_to_the_text(pairs):
    assert "".join(pairs.words(pairs.encode("a dog"))).replace("Ġ", " ") == "a dog"


# marks and contract


def test_until_end_drops_what_is_no_text():
    assert until_end([START, 7, 8, PAD]) == [7, 8]
    assert until_end([7, UNKNOWN, END, 9]) == [7, UNKNOWN]
    assert until_end([]) == []


@pytest.mark.parametrize("kind", [WordTokenizer, CharTokenizer])
def test_count_below_one_is_refused(as_user, kind):
    with pytest.raises(ValueError, match="min_count must be ≥ 1, got 0"):
        kind(TRAIN, min_count=0)


def test_too_few_byte_pairs_are_refused(as_user):
    with pytest.raises(ValueError, match="vocab_size must be ≥ 260, got 259"):
        BpeTokenizer(TRAIN, vocab_size=259)


@pytest.mark.parametrize(
    "use", [split_words, lambda text, language: WordTokenizer([text], 1, language)]
)
def test_language_without_rules_is_refused(as_user, use):
    message = r"language must be one of \['en', 'de', 'fr'\], got 'cs'"
    with pytest.raises(ValueError, match=message):
        use("ahoj", "cs")


def test_missing_library_says_how_to_get_it(as_user, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"pip install 'attnbook\[translation\]'"
    ):
        BpeTokenizer(TRAIN)
