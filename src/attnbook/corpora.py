"""Sentence pairs: real translations, split so that no test sentence is seen before.

Chapter 8 trains on Multi30k (Elliott et al. 2016) and on Tatoeba's English–Chinese and
English–French pairs; `dates` makes pairs that need no download. The files come through
`data.fetch`, which knows their licences: Multi30k is for non-commercial research and
teaching only.
"""

import gzip
import hashlib
import re
import unicodedata
import zipfile
from typing import Literal, NamedTuple

from attnbook.data import fetch

Pair = tuple[str, str]


class Pairs(NamedTuple):
    """A parallel corpus: (source, target) sentences in three parts."""

    train: list[Pair]
    validation: list[Pair]
    test: list[Pair]


def multi30k(
    source: Literal["de", "en", "fr", "cs"] = "de",
    target: Literal["de", "en", "fr", "cs"] = "en",
) -> Pairs:
    """Load Multi30k task 1: 29,000 / 1,014 / 1,000 pairs of image captions.

    Args:
        source: language to translate from.
        target: language to translate to.

    Returns:
        train, val and test_2016_flickr, sentences as published, stripped.

    Raises:
        ValueError: an unknown language, or the same one twice.
        OSError: the files cannot be had (`data.fetch`).
    """
    known = ("de", "en", "fr", "cs")
    if source not in known or target not in known or source == target:
        raise ValueError(f"choose two of {known}, got {source!r} and {target!r}")
    return Pairs(
        *(
            list(zip(_lines(part, source), _lines(part, target), strict=True))
            for part in ("train", "val", "test_2016_flickr")
        )
    )


def _lines(part: str, language: str) -> list[str]:
    """Read one side of one part; sentences end at line feeds only."""
    with gzip.open(
        fetch(f"multi30k/{part}.{language}.gz"), "rt", encoding="utf-8"
    ) as f:
        return [clean(line) for line in f.read().rstrip("\n").split("\n")]


def clean(text: str) -> str:
    """Normalise a sentence: composed characters, no zero-width ones, single spaces.

    Example:
        >>> clean(" Ça va\\u202f? ")
        'Ça va ?'
    """
    text = unicodedata.normalize("NFC", text).replace("\u200b", "")
    return re.sub(r"\s+", " ", text).strip()


TATOEBA = {
    "cmn": ("tatoeba_eng_cmn/cmn-eng.zip", "cmn.txt"),
    "fra": ("tatoeba_eng_fra/fra-eng.zip", "fra-eng/fra.txt"),
}


def tatoeba(language: Literal["cmn", "fra"]) -> Pairs:
    """Load English–Chinese or English–French pairs of Tatoeba.

    One English sentence often has several translations, so pairs are split by their
    English side: 5 % of the sentences are test, 5 % validation, chosen by a hash of
    the letters and digits, so that "Hi." and "Hi!" fall on the same side too.

    The Chinese mixes simplified and traditional characters, about half and half, as
    its authors wrote it: a reference is one right answer among several.

    Args:
        language: "cmn" or "fra".

    Returns:
        (English, other language) pairs.

    Raises:
        ValueError: another language.
        OSError: the file cannot be had (`data.fetch`).
    """
    if language not in TATOEBA:
        raise ValueError(f"language must be one of {list(TATOEBA)}, got {language!r}")
    file, member = TATOEBA[language]
    with zipfile.ZipFile(fetch(file)) as archive:
        text = archive.read(member).decode("utf-8")
    parts = {"train": [], "validation": [], "test": []}
    for line in dict.fromkeys(text.rstrip("\n").split("\n")):
        english, other, *_ = line.split("\t")
        parts[part_of(english)].append((clean(english), clean(other)))
    return Pairs(**parts)


def part_of(sentence: str) -> Literal["train", "validation", "test"]:
    """Choose the part of a sentence by a hash of its letters and digits.

    Example:
        >>> part_of("Hi there.") == part_of("hi there!")
        True
    """
    letters = "".join(c for c in clean(sentence).casefold() if c.isalnum())
    slot = int.from_bytes(hashlib.sha256(letters.encode()).digest()[:4], "big") % 20
    return {0: "test", 1: "validation"}.get(slot, "train")
