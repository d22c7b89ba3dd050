"""Character sets: right, multi-valued, wrong and unknown ones (known-failures 25)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.charset import CODES_TO_ENCODINGS, python_encoding

from protocol.header.charset import NAME_DELIMITERS, REPLACEMENT, TEXT_DELIMITERS, decode, resolve

TERMS = [*python_encoding, "ISO_IR 203", "ISO-IR 100", "FOO", "ISO_IR 9999999", "utf-8", "\0"]


def name(raw: bytes, charset: bytes, fallback: str | None = None) -> tuple[str, bool]:
    return decode(raw, resolve(charset, fallback), NAME_DELIMITERS)


# The examples of PS3.5 annexes H, I, J and K.
@pytest.mark.parametrize(
    ("charset", "raw", "text"),
    [
        (b"ISO_IR 100", b"Buc^J\xe9r\xf4me", "Buc^Jérôme"),
        (b"ISO_IR 144", b"\xbb\xee\xda\x63\x65\xdc\xd1\x79\x70\xd3", "Люк" + "ce" + "мб" + "yp" + "г"),
        (b"\\ISO 2022 IR 87",
         b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
         "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (b"ISO 2022 IR 13\\ISO 2022 IR 87",
         b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
         "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
        (b"\\ISO 2022 IR 149",
         b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
         "Hong^Gildong=洪^吉洞=홍^길동"),
        (b"\\ISO 2022 IR 58", b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=", "Zhang^XiaoDong=张^小东="),
        (b"ISO_IR 192", "Wang^XiaoDong=王^小東=".encode(), "Wang^XiaoDong=王^小東="),
        (b"GB18030", "Wang^XiaoDong=王^小东=".encode("gb18030"), "Wang^XiaoDong=王^小东="),
        (b"\\ISO 2022 IR 159", b"\x1b$(D\x22\x2f\x1b(BA", "˘A"),
        (b"ISO 2022 IR 100\\ISO 2022 IR 144", b"J\xe9=\x1b-L\xbb\xee=\xe9", "Jé=Лю=é"),
        (b"ISO_IR 203", b"\xa4", "€"),
        (b"ISO-IR 100 ", b"\xe9", "é"),
    ],
)  # fmt: skip
def test_declared_sets_are_decoded(charset: bytes, raw: bytes, text: str) -> None:
    assert name(raw, charset) == (text, True)


@pytest.mark.parametrize(
    ("charset", "raw"),
    [
        (b"", b"M\xfcller"),  # beyond ASCII, nothing declared
        (b"ISO_IR 192", b"M\xfcller"),  # declared UTF-8, written Latin-1
        (b"ISO_IR 87", b"\x1b$B\xff\xff"),  # not the code it says
        (b"ISO_IR 100", b"\x1b%Gx"),  # escape sequence that DICOM does not know
        (b"ISO_IR 100", b"x\x1b"),
        (b"ISO_IR 192", b"x\x1b(B"),
        (b"\\ISO 2022 IR 149", b"\x1b$)C\xc8\xab^\xff"),  # nothing wrong before the delimiter
        (b"\\ISO 2022 IR 149", b"Hong=\x1b$)C\xfb^Gildong"),  # cut within a character, and then all is well again
    ],
)
def test_what_cannot_be_decoded_is_replaced_and_said(charset: bytes, raw: bytes) -> None:
    text, clean = name(raw, charset)
    assert REPLACEMENT in text
    assert not clean


# The sets of 96 characters: each has a term of its own and an escape sequence that designates it.
SINGLE_BYTE = {code[1:]: term for code, codec in CODES_TO_ENCODINGS.items() if code[1:2] == b"-"
               for term in [next(term for term, named in python_encoding.items() if named == codec)]}  # fmt: skip


@pytest.mark.parametrize(("escape", "term"), SINGLE_BYTE.items())
def test_every_escape_sequence_of_a_single_byte_set_selects_the_set_of_its_term(escape: bytes, term: str) -> None:
    extended = f"\\{term.replace('ISO_IR', 'ISO 2022 IR')}".encode()
    text = bytes(range(0xA0, 0x100)).decode(python_encoding[term], "ignore")
    raw = text.encode(python_encoding[term])
    assert name(raw, term.encode()) == (text, True)
    assert name(b"\x1b" + escape + raw, extended) == (text, True)


def test_latin_9_and_katakana_are_selected_by_their_escape_sequences() -> None:
    assert name(b"\x1b-b\xa4", b"\\ISO 2022 IR 203") == ("€", True)  # a set that pydicom does not know
    assert name(b"\x1b)I\xd4\xcf\xc0\xde^A", b"\\ISO 2022 IR 13") == ("ﾔﾏﾀﾞ^A", True)


def test_a_set_that_was_not_declared_is_decoded_but_said() -> None:
    assert name(b"\x1b$B;3ED\x1b(B", b"ISO_IR 100") == ("山田", False)
    assert name(b"\x1b-F\xe1", b"ISO_IR 100") == ("α", False)


def test_a_delimiter_brings_the_first_set_back() -> None:
    charset = resolve(b"ISO 2022 IR 100\\ISO 2022 IR 126")
    assert decode(b"\x1b-F\xe1^\xe9", charset, NAME_DELIMITERS) == ("α^é", True)
    assert decode(b"\x1b-F\xe1^\xe1\r\n\xe9", charset, TEXT_DELIMITERS) == ("α^α\r\né", True)


def test_an_unknown_set_is_said_even_for_plain_text() -> None:
    assert not resolve(b"ISO_IR 99").known
    assert resolve(b"\\ISO 2022 IR 87").known
    assert resolve(b"ISO_IR 192").known and resolve(b"GB18030").known
    assert not resolve(b"ISO_IR 192\\ISO 2022 IR 87").known


def test_the_fallback_of_a_source_stands_in_where_nothing_is_declared() -> None:
    assert name(b"M\xfcller", b"", "ISO_IR 100") == ("Müller", True)
    assert name(b"M\xfcller", b"ISO_IR 6", "ISO_IR 100") == ("Müller", True)
    assert name(b"\xc4", b"ISO_IR 144", "ISO_IR 100") == ("Ф", True)
    assert name(b"M\xfcller", b"FOO", "ISO_IR 100") == ("Müller", True)
    assert not resolve(b"FOO", "ISO_IR 100").known
    assert name(b"M\xfcller", b"", "no such set") == ("M\ufffdller", False)
    assert not resolve(b"", "no such set").known


@given(
    st.lists(st.sampled_from(TERMS), max_size=4),
    st.lists(
        st.sampled_from([b"\x1b", b"$B", b"$)C", b"(J", b"-F", b"\\", b"^", b"A", b"\xff"]) | st.binary(max_size=4)
    ),
)
def test_any_bytes_in_any_set_become_text_that_can_be_stored(terms: list[str], parts: list[bytes]) -> None:
    raw = b"".join(parts)
    text, _ = decode(raw, resolve("\\".join(terms).encode()), NAME_DELIMITERS)
    assert "\x1b" not in text
    assert len(text) <= 2 * len(raw)
    text.encode("utf-8")


@given(st.binary(max_size=40))
def test_any_bytes_as_declaration_resolve(raw: bytes) -> None:
    assert b"A".decode(resolve(raw).first) == "A"
