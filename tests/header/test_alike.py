"""An image that compiled code calls alike has the header that a scan reads of it, whatever was changed; and plain successors
are called alike.
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from typing import Any

import pytest
from header_bytes import BIG, DEFLATED, EXPLICIT, IMPLICIT, UNDEFINED, element, item, sequence
from hypothesis import HealthCheck, assume, given, reject, settings
from hypothesis import strategies as st
from test_scan import deflate

from actors.receiver.alike import helper
from protocol.errors import UnreadableImage
from protocol.header.alike import Likeness, Unlike
from protocol.header.scan import scan
from protocol.header.uids import valid_uid
from protocol.spool.objects import misplacement

needed = pytest.mark.skipif(
    helper is None, reason="the compiled helper is not there; install gcc, python3-dev, libxxhash"
)
CT = "1.2.840.10008.5.1.4.1.1.2"
CLASS, SOP, STUDY, SERIES, PIXELS = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E, 0x7FE00010
CHARSET, NUMBER, PATIENT, SIGN, SMALLEST = 0x00080005, 0x00200013, 0x00100010, 0x00280103, 0x00280106
EXTRA = ["SmallestImagePixelValue", 0x00091001, "0009,xx02 ACME", "ReferencedStudySequence.ReferencedSOPInstanceUID"]
Element = tuple[int, str, bytes]  # tag, VR, value; VR "" means that the value is all of the element

VRS = {
    CHARSET: "CS", CLASS: "UI", SOP: "UI", 0x00080008: "CS", 0x00080060: "CS", 0x00081110: "SQ", 0x00090010: "LO",
    0x00091001: "LO", 0x00091002: "LO", 0x00091003: "OB", PATIENT: "PN", 0x00100020: "LO", 0x00180050: "DS",
    0x00181060: "DS", 0x00189087: "FD", STUDY: "UI", SERIES: "UI", NUMBER: "IS", 0x00204000: "LT", 0x00280010: "US",
    0x00280030: "DS", SIGN: "US", SMALLEST: "US", 0x0040A124: "UI", 0x00400275: "SQ",
}  # fmt: skip
FIXED = {CLASS: CT.encode(), SOP: b"1.2.3.4", STUDY: b"1.2", SERIES: b"1.2.3"}
VALUES = [
    b"", b"12", b"1.5 ", b"1\\2 ", b"abc ", b"ISO_IR 100", b"ISO_IR 99 ", b"\\ISO 2022 IR 87 ", b"\1\0", b"\xff\xff", b"M\xfcller",
    b"\x1b$B;3ED\x1b(B^x", b"x" * 600, b"ACME", b"\0" * 8, b"\0\0\xc0\x7f\0\0\xf8\x7f", b"9" * 30, b"odd", b" 7 ", b"1\0 2",
    b"y" * 5000,
]  # fmt: skip
DECISIVE = {
    CHARSET: [b"ISO_IR 100", b"ISO_IR 144", b"ISO_IR 192", b""], SIGN: [b"\0\0", b"\1\0"], 0x00090010: [b"ACME", b"OTHER "],
}  # fmt: skip
"""What decides how values of others are read, and what shows it."""
SHOWN = {PATIENT: [b"M\xfcller"], SMALLEST: [b"\xff\xff"], 0x00091002: [b"value "], **DECISIVE}


def plan_of(like: Likeness) -> Any:
    before = bytes(144)
    return helper.plan(
        1, like.explicit, 2**40, like.head, like.stop, like.table, CT.encode() + b"\0", before, b"", bytes(16), "/"
    )


def alike_to(
    first: bytes, syntax: str, extra: Collection[Any] = (), charset: str | None = None
) -> tuple[Any, Likeness]:
    """What an image is compared with. Raises Unlike."""
    header = scan(first, syntax, extra=extra, fallback_charset=charset)
    like = Likeness(memoryview(first), syntax, header.values, extra=extra, fallback_charset=charset)
    return plan_of(like), like


def data_set(elements: list[Element], syntax: str, pixels: bytes = b"pixels", vr: str = "OW") -> bytes:
    written = [value if vr == "" else element(tag, vr, value, syntax) for tag, vr, value in elements]
    return b"".join(written) + element(PIXELS, vr, pixels, syntax)


def uids(elements: list[Element]) -> bytes:
    return next((value.rstrip(b"\0") for tag, _, value in elements if tag == SOP), b"1.2.3.4")


# ---- plain successors ------------------------------------------------------------------------------------------------
@st.composite
def plain_pairs(draw: st.DrawFn) -> tuple[list[Element], list[Element]]:
    """A header and one with other values of elements that may have any."""
    tags = sorted(set(FIXED) | draw(st.sets(st.sampled_from(sorted(VRS)))))
    first, second = [], []
    for tag in tags:
        vr = VRS[tag]
        value = FIXED.get(tag, draw(st.sampled_from(VALUES[:12])) if vr != "SQ" else item(b"", defined=True))
        other = value
        if tag == SOP:
            other = draw(st.sampled_from([b"1.2.3.5", b"1.2.3.40\0", b"9"]))
        elif tag not in (*FIXED, CHARSET, SIGN, tags[0]):
            other = draw(st.sampled_from(VALUES[:-1])) if vr != "SQ" else b""
        first.append((tag, vr, value))
        second.append((tag, vr, other))
    return first, second


@needed
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(pair=plain_pairs(), syntax=st.sampled_from([EXPLICIT, IMPLICIT]), pixels=st.binary(max_size=40))
def test_an_image_with_other_plain_values_is_alike(
    pair: tuple[list[Element], list[Element]], syntax: str, pixels: bytes
) -> None:
    first, second = pair
    assume(first[0][0] != SOP)
    plan, like = alike_to(data_set(first, syntax), syntax)
    dataset = data_set(second, syntax, pixels)
    changed = helper.match(plan, dataset, uids(second))
    assert changed is not None
    header = scan(dataset, syntax)
    assert like.values(changed) == header.values
    assert misplacement(header, CT, uids(second).decode()) is None


# ---- any successor ---------------------------------------------------------------------------------------------------
def piece(draw: st.DrawFn, tag: int, syntax: str) -> Element:
    vr = VRS[tag]
    if vr == "SQ":
        inside = element(0x00081155, "UI", draw(st.sampled_from([b"1.2", b"1.2.34", b""])), syntax)
        items = [item(inside, syntax, draw(st.booleans())) for _ in range(draw(st.integers(0, 2)))]
        written = draw(st.sampled_from(["SQ", "SQ", "UN"]))
        return tag, "", sequence(tag, items, syntax, draw(st.booleans()), written)
    value = FIXED[tag] if tag in FIXED and draw(st.integers(0, 20)) else draw(st.sampled_from(VALUES))
    if tag in SHOWN and draw(st.integers(0, 3)):
        return tag, vr, draw(st.sampled_from(SHOWN[tag]))
    odd = draw(st.integers(0, 30))
    return tag, {0: "UN", 1: "XY", 2: "UT"}.get(odd, vr), value + b"\0" * (len(value) % 2 if odd != 3 else 0)


def changed_list(draw: st.DrawFn, elements: list[Element], syntax: str) -> list[Element]:
    """A few changes of a header."""
    made = list(elements)
    for _ in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from(["value"] * 6 + ["decisive"] * 4 + ["add", "drop", "twice", "swap", "vr"]))
        at = draw(st.integers(0, len(made) - 1)) if made else 0
        if kind == "add" or not made:
            made.insert(at, piece(draw, draw(st.sampled_from(sorted(VRS))), syntax))
        elif kind == "value":
            made[at] = piece(draw, made[at][0], syntax)
        elif kind == "decisive":
            places = [at for at, one in enumerate(made) if one[0] in DECISIVE or one[0] == 0x00081110] or [at]
            at = draw(st.sampled_from(places))
            made[at] = piece(draw, made[at][0], syntax)
        elif kind == "drop":
            del made[at]
        elif kind == "twice":
            made.insert(at, made[at])
        elif kind == "swap":
            other = draw(st.integers(0, len(made) - 1))
            made[at], made[other] = made[other], made[at]
        elif made[at][1]:
            made[at] = (made[at][0], draw(st.sampled_from(["UN", "LO", "OB", "SS", "XY"])), made[at][2])
    return made


@st.composite
def successors(draw: st.DrawFn, syntax: str) -> tuple[bytes, bytes, bytes]:
    """Two data sets, the second made out of the first, and the UID of the second one's command."""
    tags = sorted(
        set(FIXED)
        | draw(st.sets(st.sampled_from(sorted(VRS)), min_size=6))
        | draw(st.sampled_from([set(), set(SHOWN)]))
    )
    elements = [piece(draw, tag, syntax) for tag in tags]
    first = data_set(elements, syntax)
    made = changed_list(draw, elements, syntax)
    dataset = data_set(made, syntax, draw(st.binary(max_size=20)), draw(st.sampled_from(["OW"] * 9 + ["OB"])))
    fault = draw(st.integers(0, 12))
    if fault == 0:
        dataset = dataset[: draw(st.integers(0, len(dataset)))]
    elif fault == 1:
        at = draw(st.integers(0, len(dataset) - 1))
        dataset = dataset[:at] + draw(st.binary(min_size=1, max_size=4)) + dataset[at + draw(st.integers(0, 4)) :]
    elif fault == 2:
        at = draw(st.integers(0, len(dataset) - 4))
        length = draw(st.sampled_from([UNDEFINED, 0, 1, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE]))
        dataset = dataset[:at] + struct.pack("<I", length) + dataset[at + 4 :]
    return first, dataset, draw(st.sampled_from([uids(made)] * 9 + [b"1.2.3.4", b"1"]))


@needed
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
@settings(max_examples=250, suppress_health_check=list(HealthCheck))
@given(data=st.data(), extra=st.sampled_from([[], EXTRA]), charset=st.sampled_from([None, "ISO_IR 100", "nonsense"]))
def test_what_is_alike_has_the_header_that_a_scan_reads(
    syntax: str, data: st.DataObject, extra: list[Any], charset: str | None
) -> None:
    first, dataset, uid = data.draw(successors(syntax))
    try:
        header = scan(first, syntax, extra=extra, fallback_charset=charset)
        assume(misplacement(header, CT, header.sop_uid) is None)
        plan, like = alike_to(first, syntax, extra, charset)
    except (Unlike, UnreadableImage):
        reject()
    changed = helper.match(plan, dataset, uid)
    if changed is not None and valid_uid(uid.decode("latin_1")):  # which is seen to where the command is read
        found = scan(dataset, syntax, extra=extra, fallback_charset=charset)
        assert like.values(changed) == found.values
        assert found.sop_class_uid == header.sop_class_uid
        assert misplacement(found, CT, uid.decode()) is None


# ---- what nothing is compared with -----------------------------------------------------------------------------------
PLAIN: list[Element] = [(tag, VRS[tag], value) for tag, value in sorted(FIXED.items())]


@pytest.mark.parametrize("syntax", [BIG, DEFLATED])
def test_nothing_is_alike_to_an_image_in_another_form(syntax: str) -> None:
    written = data_set(PLAIN, BIG if syntax == BIG else EXPLICIT)
    with pytest.raises(Unlike):
        alike_to(deflate(written) if syntax == DEFLATED else written, syntax)


@pytest.mark.parametrize(
    "dataset",
    [
        data_set(PLAIN, IMPLICIT),  # though explicit VR was agreed
        b"".join(element(tag, vr, value) for tag, vr, value in PLAIN),
        data_set([one for one in PLAIN if one[0] != SOP], EXPLICIT),
        data_set([*PLAIN, (NUMBER, "IS", b"1 "), (NUMBER, "IS", b"2 ")], EXPLICIT),
        data_set([*PLAIN, (0x00204000, "LT", bytes(60_000)), (0x00204001, "LT", bytes(60_000))], EXPLICIT),
        data_set([*PLAIN, *((0x00211000 + n, "LO", b"") for n in range(1100))], EXPLICIT),
    ],
    ids=["layout", "no pixels", "no UID", "twice", "long", "many"],
)
def test_nothing_is_alike_to_an_odd_image(dataset: bytes) -> None:
    with pytest.raises(Unlike):
        alike_to(dataset, EXPLICIT)


@needed
def test_a_value_of_more_elements_than_are_kept_is_not_alike() -> None:
    private = [0x00091000 + n for n in range(0x10, 0x60)]
    first = [*PLAIN[:2], *((tag, "LO", b"a ") for tag in private), *PLAIN[2:]]
    second = [*PLAIN[:2], *((tag, "LO", b"b ") for tag in private), *PLAIN[2:]]
    few = [*PLAIN[:2], *((tag, "LO", b"b " if tag < 0x00091050 else b"a ") for tag in private), *PLAIN[2:]]
    plan, like = alike_to(data_set(first, EXPLICIT), EXPLICIT, list(private))
    assert helper.match(plan, data_set(second, EXPLICIT), b"1.2.3.4") is None
    assert helper.match(plan, data_set(few, EXPLICIT), b"1.2.3.4") is None, "with the UID there are 65"
    few[2 + 0x3F] = first[2 + 0x3F]
    changed = helper.match(plan, data_set(few, EXPLICIT), b"1.2.3.4")
    assert like.values(changed) == scan(data_set(few, EXPLICIT), EXPLICIT, extra=private).values
