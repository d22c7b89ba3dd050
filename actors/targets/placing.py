"""Safe relative names for images at targets that keep files, made of header values by a layout: the one sanitiser.

It must not touch files or networks, and no name it makes may leave the target's top folder or hide one value in another.

Whatever a header says, each folder of a name

- holds letters, digits and a few signs only: no separator, no control character, no sign that a shell, Windows, a URL
  or an SFTP server reads in its own way; it does not begin with a dot or dash, nor end with a dot or space;
- is no device name of Windows, and has at most MAX_PART bytes of UTF-8 in Unicode's form NFC;
- differs from that of every other value, also where upper and lower case are the same.

The last follows from one rule: a value stays as it is if it consists of capital letters A to Z, digits and safe signs
(as UIDs, dates, codes and most IDs do); of every other one a readable rest is kept, and `~` and a digest of the value are
put behind it. `~` stands nowhere else, and what has no digest has no small letters.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from protocol.routing.layouts import Part, keywords_of, parts_of
from protocol.spool.images import ImageFile

MAX_PART = 100  # bytes
_DIGEST_CHARS = 10  # 40 bits: names whose readable rest is the same too must be told apart, nothing more
_SIGNS = " ._-^+=@()"
_PLAIN = re.compile(r"[A-Z0-9 ._^+=@()-]+")
_DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\..*)?", re.IGNORECASE | re.DOTALL)
_FIXED = {"SOPInstanceUID": "sop_instance_uid", "SOPClassUID": "sop_class_uid",
          "TransferSyntaxUID": "transfer_syntax_uid"}  # fmt: skip


class Placing:
    """The names that one layout gives; `layout` is valid (protocol.routing.layouts)."""

    def __init__(self, layout: str) -> None:
        self._parts = parts_of(layout)
        self._keywords = tuple(sorted(keywords_of(layout)))
        self._folder = lru_cache(maxsize=1024)(self._join)

    def folder(self, image: ImageFile) -> str:
        """The folders of an image with `/` between them, relative to the top; empty if the layout is."""
        return self._folder(tuple(_text(_value(image, keyword)) for keyword in self._keywords))

    def name(self, image: ImageFile) -> str:
        """The relative name of an image's file: its folders, its SOP instance UID, and `.dcm` (PS3.10 says no more)."""
        folder, file = self.folder(image), file_name(image)
        return f"{folder}/{file}" if folder else file

    def _join(self, texts: tuple[str | None, ...]) -> str:
        values = dict(zip(self._keywords, texts, strict=True))
        return "/".join(safe_part(part, values) for part in self._parts)


def file_name(image: ImageFile) -> str:
    """The name of an image's file, without folders. The spool has valid UIDs only; this does not rely on it."""
    return _safe(("", ""), ("SOPInstanceUID",), (image.sop_instance_uid or None,)) + ".dcm"


def safe_part(part: Part, values: Mapping[str, str | None]) -> str:
    """The name of one folder; a value that is None or missing is named as missing."""
    return _safe(part.texts, part.keywords, tuple(values.get(keyword) for keyword in part.keywords))


def _safe(texts: Sequence[str], keywords: Sequence[str], values: Sequence[str | None]) -> str:
    readable = texts[0] + "".join(
        _readable(f"no {keyword}" if value is None else value) + text
        for keyword, value, text in zip(keywords, values, texts[1:], strict=True)
    )
    readable = _harmless(unicodedata.normalize("NFC", readable))
    plain = all(value is not None and _PLAIN.fullmatch(value) for value in values) and _distinct(texts, values)
    if plain and readable == _joined(texts, values) and len(readable.encode()) <= MAX_PART:
        return readable
    return f"{_cut(readable, MAX_PART - 1 - _DIGEST_CHARS)}~{_digest(texts, values)}"


def _joined(texts: Sequence[str], values: Sequence[str | None]) -> str:
    return texts[0] + "".join((value or "") + text for value, text in zip(values, texts[1:], strict=True))


def _distinct(texts: Sequence[str], values: Sequence[str | None]) -> bool:
    """Whether the name says by itself where each value begins and ends, and that it has no digest."""
    between = texts[1:-1]
    if "~" in "".join(texts) or not all(between):
        return False
    marks = set("".join(between).casefold())
    return not any(marks & set((value or "").casefold()) for value in values)


def _readable(value: str) -> str:
    """A value with `_` for every sign that is not safe."""
    normal = unicodedata.normalize("NFC", value)
    return "".join(letter if letter in _SIGNS or unicodedata.category(letter)[0] in "LMN" else "_" for letter in normal)


def _harmless(name: str) -> str:
    """Not hidden, no option, no device; what is changed here is seen by the caller, who compares."""
    name = name.rstrip(" .").lstrip(" ")
    if not name or name[0] in ".-" or _DEVICES.fullmatch(unicodedata.normalize("NFKC", name)):
        name = f"_{name}"
    return name


def _cut(name: str, limit: int) -> str:
    return name.encode()[:limit].decode(errors="ignore").rstrip(" .") or "_"


def _digest(texts: Sequence[str], values: Sequence[str | None]) -> str:
    """Of the values as they are; lengths keep them apart, and a missing one is no empty one."""
    told = hashlib.sha256()
    for value in values:
        data = b"-" if value is None else value.encode("utf-8", "surrogatepass")
        told.update(f"{'none' if value is None else len(data)}:".encode() + data)
    return told.hexdigest()[:_DIGEST_CHARS]


def _value(image: ImageFile, keyword: str) -> Any:
    return getattr(image, _FIXED[keyword]) if keyword in _FIXED else image.values.get(keyword)


def _text(value: Any) -> str | None:
    """One value as a person would write it; several with the backslash that DICOM puts between them; None if empty."""
    if isinstance(value, list):
        text = "\\".join(_text(one) or "" for one in value)
        return text if text.strip("\\") else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return None if value is None or value == "" else str(value)
