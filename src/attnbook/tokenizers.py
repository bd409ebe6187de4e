"""Tokenizers: from text to numbers and back, by word, by character, by byte pairs.

Chapter 8 uses words (the published setting of its corpus) and characters (Chinese),
chapter 9 byte pairs (Sennrich et al. 2016, arXiv:1508.07909). All three are built from
the training texts only and share four marks: 0 padding, 1 unknown, 2 start, 3 end.

What a reader may not expect: `split_words` imitates spaCy's rules for English, German
and French with one regular expression each. It needs no model, but is not spaCy.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Literal

PAD, UNKNOWN, START, END = range(4)
MARKS = ["<pad>", "<unk>", "<s>", "</s>"]

Language = Literal["en", "de", "fr"]
NUMBER = r"\d+(?:[.,:]\d+)*"
PATTERNS = {
    # doesn't → does n't, man's → man 's, t-shirt → t - shirt
    "en": rf"\w+(?=n't\b)|n't\b|'(?:s|re|ve|ll|d|m)\b|{NUMBER}|[^\W\d_]+|\.\.\.|\w+|\S",
    # T-Shirt stays whole
    "de": rf"{NUMBER}|\w+(?:-\w+)*|\.\.\.|\S",
    # l'homme → l' homme
    "fr": rf"\w+'|{NUMBER}|\w+(?:-\w+)*|\.\.\.|\S",
}


def split_words(text: str, language: Language = "en") -> list[str]:
    """Split a text into lower-cased words and punctuation marks.

    Args:
        text: one sentence.
        language: whose rules for apostrophes and hyphens apply.

    Returns:
        Words in order. Spaces of any kind separate, and are dropped.

    Raises:
        ValueError: no rules for this language.

    Example:
        >>> split_words("The man's T-shirt isn't red.")
        ['the', 'man', "'s", 't', '-', 'shirt', 'is', "n't", 'red', '.']
    """
    if language not in PATTERNS:
        raise ValueError(f"language must be one of {list(PATTERNS)}, got {language!r}")
    text = text.lower().replace("’", "'").replace("´", "'").replace("''", '"')
    return re.findall(PATTERNS[language], text)


def join_words(words: Iterable[str], language: Language = "en") -> str:
    """Join words into a sentence: the usual spaces around punctuation marks.

    Undoes `split_words` up to case and unusual spacing. French keeps a space before
    ? ! : and ;.

    Example:
        >>> join_words(["the", "man", "'s", "t", "-", "shirt", "is", "red", "."])
        "the man's t-shirt is red."
        >>> join_words(["qui", "?"], "fr")
        'qui ?'
    """
    text = " ".join(words)
    text = re.sub(r" (n't|'(?:s|re|ve|ll|d|m))\b", r"\1", text)
    closing = ".,%)]}" if language == "fr" else ".,!?;:%)]}"
    text = re.sub(rf" ([{re.escape(closing)}]|\.\.\.)", r"\1", text)
    text = re.sub(r"([(\[{$#]) ", r"\1", text)
    text = re.sub(r"(?<=\w)' (?=\w)", "'", text)  # l' homme
    text = re.sub(r'" (.*?) "', r'"\1"', text)
    return re.sub(r"(\w) - (\w)", r"\1-\2", text)


class WordTokenizer:
    """Lower-cased words, numbered by how often they occur in the training texts.

    Args:
        texts: training sentences, and no others.
        min_count: rarer words are unknown.
        language: see `split_words`.

    Example:
        >>> words = WordTokenizer(["A dog. A cat!", "A dog?"], min_count=2)
        >>> words.encode("a dog or a cat"), words.decode([4, 5])
        ([4, 5, 1, 4, 1], 'a dog')
    """

    def __init__(
        self, texts: Iterable[str], min_count: int = 2, language: Language = "en"
    ):
        self.language = language
        words = (word for text in texts for word in split_words(text, language))
        self.vocabulary = MARKS + _frequent(words, min_count)
        self._ids = {word: i for i, word in enumerate(self.vocabulary)}

    def __len__(self) -> int:
        return len(self.vocabulary)

    def encode(self, text: str) -> list[int]:
        """Return the number of each word; unknown ones get 1."""
        words = split_words(text, self.language)
        return [self._ids.get(word, UNKNOWN) for word in words]

    def words(self, ids: Iterable[int]) -> list[str]:
        """Return the words up to the end mark, without start and padding."""
        return [self.vocabulary[i] for i in until_end(ids)]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the sentence with usual spacing."""
        return join_words(self.words(ids), self.language)


class CharTokenizer:
    """Single characters of the training texts.

    Args:
        texts: training sentences, and no others.
        min_count: rarer characters are unknown.

    Example:
        >>> characters = CharTokenizer(["你好。", "你!"])
        >>> characters.encode("你们"), characters.decode([4, 3, 4])
        ([4, 1], '你')
    """

    def __init__(self, texts: Iterable[str], min_count: int = 1):
        characters = (character for text in texts for character in text)
        self.vocabulary = MARKS + _frequent(characters, min_count)
        self._ids = {character: i for i, character in enumerate(self.vocabulary)}

    def __len__(self) -> int:
        return len(self.vocabulary)

    def encode(self, text: str) -> list[int]:
        """Return the number of each character; unknown ones get 1."""
        return [self._ids.get(character, UNKNOWN) for character in text]

    def words(self, ids: Iterable[int]) -> list[str]:
        """Return the characters up to the end mark, without start and padding."""
        return [self.vocabulary[i] for i in until_end(ids)]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text; unknown characters show as �."""
        return "".join(c if c != MARKS[UNKNOWN] else "�" for c in self.words(ids))


class BpeTokenizer:
    """Byte pairs, learned by the `tokenizers` library: no text is unknown.

    Args:
        texts: training sentences, and no others.
        vocab_size: marks, 256 bytes and as many merges as fit.

    Raises:
        ValueError: fewer than 260 entries.
        ModuleNotFoundError: `tokenizers` is not installed; the message says how.

    Example:
        >>> pairs = BpeTokenizer(["low lower lowest"] * 2, vocab_size=270)
        >>> pairs.decode(pairs.encode("Slowest 中文"))
        'Slowest 中文'
    """

    def __init__(self, texts: Iterable[str], vocab_size: int = 8000):
        tokenizers = _tokenizers()
        smallest = len(MARKS) + 256
        if vocab_size < smallest:
            raise ValueError(f"vocab_size must be ≥ {smallest}, got {vocab_size}")
        self._model = tokenizers.Tokenizer(tokenizers.models.BPE())
        self._model.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(
            add_prefix_space=False
        )
        self._model.decoder = tokenizers.decoders.ByteLevel()
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=MARKS,
            initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        self._model.train_from_iterator(texts, trainer)
        # A text that contains "<s>" must not turn into a mark.
        self._model.encode_special_tokens = True

    @property
    def vocabulary(self) -> list[str]:
        """Return every piece, in the order of its number."""
        return [self._model.id_to_token(i) for i in range(len(self))]

    def __len__(self) -> int:
        return self._model.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        """Return the numbers of the byte pairs."""
        return self._model.encode(text).ids

    def words(self, ids: Iterable[int]) -> list[str]:
        """Return each piece up to the end mark, bytes shown by GPT-2's alphabet."""
        return [self._model.id_to_token(i) for i in until_end(ids)]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text."""
        return self._model.decode(until_end(ids), skip_special_tokens=True)


def _tokenizers():
    """Import the library, compiled and needed by few chapters, or say how to get it."""
    try:
        import tokenizers
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "byte pairs need the tokenizers library: pip install "
            "'attnbook[translation]' (or pip install tokenizers)"
        ) from error
    return tokenizers


Tokenizer = WordTokenizer | CharTokenizer | BpeTokenizer


def until_end(ids: Iterable[int]) -> list[int]:
    """Return the numbers before the end mark, without start marks and padding.

    Example:
        >>> until_end([2, 7, 8, 3, 9, 0])
        [7, 8]
    """
    kept = []
    for i in ids:
        if i == END:
            break
        if i not in (START, PAD):
            kept.append(int(i))
    return kept


def _frequent(items: Iterable[str], min_count: int) -> list[str]:
    """Return what occurs often enough, the most frequent first, ties by code point."""
    if min_count < 1:
        raise ValueError(f"min_count must be ≥ 1, got {min_count}")
    counts = Counter(items)
    kept = [item for item, count in counts.items() if count >= min_count]
    return sorted(kept, key=lambda item: (-counts[item], item))
