"""Date translation: a small task in many languages that needs no download.

Chapter 8's default. The source is a date as people write it, in eight languages and
five scripts; the target is ISO 8601. Word order differs, months have names, and digits
come in three kinds, so a model must find its way in the source: "3. März 2021",
"二〇二一年三月三日" and "٣ مارس ٢٠٢١" are all 2021-03-03.
"""

import datetime
import random

from attnbook.corpora import Pairs

MONTHS = {
    "en": "January February March April May June July August September October "
    "November December",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober "
    "November Dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre "
    "novembre décembre",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre "
    "noviembre diciembre",
    "ru": "января февраля марта апреля мая июня июля августа сентября октября "
    "ноября декабря",
    "ar": "يناير فبراير مارس أبريل مايو يونيو يوليو أغسطس سبتمبر أكتوبر نوفمبر ديسمبر",
}
PATTERNS = [
    ("en", "{month} {day}, {year}"),
    ("en", "{day} {month} {year}"),
    ("de", "{day}. {month} {year}"),
    ("fr", "{day} {month} {year}"),
    ("es", "{day} de {month} de {year}"),
    ("ru", "{day} {month} {year} г."),
    ("ar", "{day} {month} {year}"),
    ("zh", "{year}年{number}月{day}日"),
    ("zh_numerals", "{year}年{number}月{day}日"),
    ("ja", "{year}/{number:0>2}/{day:0>2}"),
]
ARABIC = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
CHINESE = "〇一二三四五六七八九"


def dates(num_train: int = 10_000, num_test: int = 1_000, seed: int = 0) -> Pairs:
    """Generate (written date, ISO date) pairs from 1900 to 2099.

    No date of the test or validation part occurs in the training part in any language:
    the model cannot have stored the answer.

    Args:
        num_train: number of training pairs.
        num_test: number of test pairs, and of validation pairs.
        seed: chooses dates and languages.

    Returns:
        Three lists of pairs.

    Raises:
        ValueError: a negative number.

    Example:
        >>> dates(2, 1, seed=3).train[0][1][:3] in {"19" + d for d in "0123456789"} | {
        ...     "20" + d for d in "0123456789"}
        True
    """
    if num_train < 0 or num_test < 0:
        raise ValueError(f"numbers must be ≥ 0, got {num_train} and {num_test}")
    chance = random.Random(seed)
    first = datetime.date(1900, 1, 1).toordinal()
    days = list(range(first, datetime.date(2100, 1, 1).toordinal()))
    chance.shuffle(days)
    held_out = len(days) // 10
    pools = (days[2 * held_out :], days[:held_out], days[held_out : 2 * held_out])
    sizes = (num_train, num_test, num_test)
    return Pairs(
        *(
            [_pair(chance.choice(pool), chance) for _ in range(size)]
            for pool, size in zip(pools, sizes, strict=True)
        )
    )


def _pair(ordinal: int, chance: random.Random) -> tuple[str, str]:
    """Write one day in a random language, and in ISO 8601."""
    day = datetime.date.fromordinal(ordinal)
    language, pattern = chance.choice(PATTERNS)
    return write_date(day, language, pattern), day.isoformat()


def write_date(day: datetime.date, language: str, pattern: str) -> str:
    """Write a day in one language.

    Example:
        >>> day = datetime.date(2021, 3, 13)
        >>> write_date(day, "zh_numerals", "{year}年{number}月{day}日")
        '二〇二一年三月十三日'
    """
    if language == "zh_numerals":
        return pattern.format(
            year="".join(CHINESE[int(d)] for d in str(day.year)),
            number=_chinese(day.month),
            day=_chinese(day.day),
        )
    names = MONTHS.get(language, "").split()
    name = names[day.month - 1] if names else ""
    text = pattern.format(year=day.year, month=name, number=day.month, day=day.day)
    return text.translate(ARABIC) if language == "ar" else text


def _chinese(number: int) -> str:
    """Write 1 … 31 in Chinese numerals."""
    tens, ones = divmod(number, 10)
    head = ("" if tens < 2 else CHINESE[tens]) + ("十" if tens else "")
    return head + (CHINESE[ones] if ones else "")
