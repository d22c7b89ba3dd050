"""What people type into a search box, read kindly: labels, quotes and stars taken off, and the forms that a name may have.
Pure; it must not know where anything is looked for.

A name is found by its beginning in any case, with `,`, `^` or a space between its parts, in either order of them, and
with umlauts written in any of their ways; accession numbers and patients' ids in any case.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

MIN_NAME = 2  # characters of a name's beginning; one letter would be a tenth of all patients
MAX_TEXT = 255
MOST_FORMS = 40  # of one name: each is a look into an index
MOST_WORDS = 6
_LABEL = re.compile(
    r"(?:acc(?:ession)?(?:\s*(?:no|nr|number))?|mrn|pid|pat(?:ient)?(?:[- ]?id)?|(?:study|series|sop)?[- ]?(?:instance[- ]?)?uid|ae)"
    r"\.?\s*[:#=]?\s+|(?:acc|mrn|pid|uid|ae|id)\s*[:#=]\s*",
    re.IGNORECASE,
)
_UMLAUTS = (("ä", "ae", "a"), ("ö", "oe", "o"), ("ü", "ue", "u"))
_ACUTE = dict(zip("aeiou", "áéíóú", strict=True))
_QUOTES = "\"'“”„‚‘’«»`"
_SPACES = "\u00a0\u2007\u202f"


def cleaned(text: str) -> str:
    """Without quotes, stars, double or odd spaces around and within; composed (Unicode NFC). "" if no value can be meant."""
    text = unicodedata.normalize("NFC", text)
    text = " ".join("".join(" " if one in _SPACES or one in "\t\r\n" else one for one in text).split())
    if len(text) > MAX_TEXT or "\0" in text or any("\ud800" <= one <= "\udfff" for one in text):
        return ""
    if len(text) > 1 and text[0] in _QUOTES and text[-1] in _QUOTES:
        text = text[1:-1].strip()
    return text.strip("*%").strip()


def modalities(text: str) -> tuple[str, ...]:
    """The values that a modality may be meant for: as it was typed, and in capitals, as the standard has them (CS, PS3.5
    section 6.2). AE titles are another matter: there `ct1` and `CT1` are two.
    """
    return tuple(dict.fromkeys((text, text.strip().upper())))


def unlabelled(text: str) -> str:
    """A cleaned text without what says which kind it is: `ACC 77123`, `MRN: 42`, `uid=1.2.3`."""
    found = _LABEL.match(text)
    return text[found.end() :].strip() if found else text


def numbers_of(text: str) -> list[str]:
    """What an accession number or a patient's id may be, of a cleaned text: with and without its label, in each case."""
    found = [form for one in (text, unlabelled(text)) if one for form in (one, one.upper(), one.lower())]
    return list(dict.fromkeys(found))


def names_of(text: str) -> list[str]:
    """Beginnings, folded, of the person name (PS3.5 section 6.2.1: components end with ^) that a cleaned text may mean."""
    folded = " ".join(text.casefold().split())
    if len(folded) < MIN_NAME:
        return []
    orders = list(dict.fromkeys(_orders(folded)))
    found = [*orders, *(form for order in orders for form in _spelled(order))]
    return list(dict.fromkeys(found))[:MOST_FORMS]


def _orders(folded: str) -> Iterator[str]:
    """Family name first, or last; where its end is may be said, or not."""
    yield folded
    if "^" in folded:
        yield re.sub(r"\s*\^\s*", "^", folded)
        return
    if "," in folded:
        family, _, given = folded.partition(",")
        yield f"{family.strip()}^{given.strip()}"
        return
    words = folded.split(" ")
    if not 1 < len(words) <= MOST_WORDS:
        return
    for at in range(1, len(words)):
        yield f"{' '.join(words[:at])}^{' '.join(words[at:])}"
    for at in range(len(words) - 1, 0, -1):
        yield f"{' '.join(words[at:])}^{' '.join(words[:at])}"


def _spelled(text: str) -> Iterator[str]:
    """Other spellings: accents left out, umlauts as two letters or as one, a plain vowel for one umlaut or acute."""
    yield unmarked(text)
    long = short = text
    for umlaut, two, _ in _UMLAUTS:
        long, short = long.replace(umlaut, two), short.replace(two, umlaut)
    yield long
    yield short
    for at, letter in enumerate(text):
        for umlaut, _, plain in _UMLAUTS:
            if letter == plain:
                yield text[:at] + umlaut + text[at + 1 :]
    for at, letter in enumerate(text):
        if letter in _ACUTE:
            yield text[:at] + _ACUTE[letter] + text[at + 1 :]


def unmarked(text: str) -> str:
    """Letters without their accents."""
    return "".join(one for one in unicodedata.normalize("NFKD", text) if not unicodedata.combining(one))


def sounded(name: str) -> str:
    """A name as words, in one spelling, for comparing two: `Müller^Hans`, `mueller, hans` and `MULLER HANS` are alike."""
    words = "".join(" " if one in "^,=" else one for one in name.casefold())
    for umlaut, two, plain in _UMLAUTS:
        words = words.replace(umlaut, plain).replace(two, plain)
    return " ".join(unmarked(words).split())
