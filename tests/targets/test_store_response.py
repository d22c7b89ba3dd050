"""The Store Instances Response is read as servers write it, in JSON and XML, and nothing else is taken for one."""

from __future__ import annotations

import json
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from web_fakes import module

from actors.targets.store_response import StoreResponse, read

# As Orthanc's DICOMweb plugin 1.7 answered, shortened.
ORTHANC_XML = b"""<?xml version="1.0" encoding="utf-8"?>
<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <DicomAttribute tag="00081190" vr="UR" keyword="RetrieveURL"><Value number="1">http://there/studies/1.2</Value></DicomAttribute>
  <DicomAttribute tag="00081198" vr="SQ" keyword="FailedSOPSequence"/>
  <DicomAttribute tag="00081199" vr="SQ" keyword="ReferencedSOPSequence">
    <Item number="1">
      <DicomAttribute tag="00081150" vr="UI"><Value number="1">1.2.840.10008.5.1.4.1.1.4</Value></DicomAttribute>
      <DicomAttribute tag="00081155" vr="UI"><Value number="1">1.2.3</Value></DicomAttribute>
    </Item>
  </DicomAttribute>
</NativeDicomModel>"""


def item(uid: object, tag: str = "", reason: object = None) -> dict:
    found = {"00081155": {"vr": "UI", "Value": [uid]}}
    return {**found, tag: {"vr": "US", "Value": [reason]}} if tag else found


def response(**sequences: list) -> bytes:
    tags = {"stored": "00081199", "failed": "00081198", "others": "0008119A"}
    return json.dumps({tags[name]: {"vr": "SQ", "Value": items} for name, items in sequences.items()}).encode()


def test_what_was_stored_with_and_without_warning_and_what_failed_is_told_apart():
    body = response(
        stored=[item("1.1"), item("1.2", "00081196", 0xB000)],
        failed=[item("1.3", "00081197", 0xA700)],
        others=[{"00081197": {"vr": "US", "Value": [0x0110]}}],
    )
    assert read(body) == StoreResponse({"1.1": 0, "1.2": 0xB000}, {"1.3": 0xA700}, (0x0110,))


def test_xml_says_the_same():
    assert read(ORTHANC_XML) == StoreResponse({"1.2.3": 0})
    prefixed = (
        ORTHANC_XML.replace(b"<Dicom", b"<d:Dicom").replace(b"</Dicom", b"</d:Dicom").replace(b"xmlns=", b"xmlns:d=")
    )
    prefixed = prefixed.replace(b"<NativeDicomModel", b"<d:NativeDicomModel").replace(b"</Native", b"</d:Native")
    assert read(prefixed) == StoreResponse({"1.2.3": 0})
    failed = ORTHANC_XML.replace(b"00081199", b"0008119x").replace(b"1198", b"1199").replace(b"119x", b"1198")
    reason = b'<DicomAttribute tag="00081197" vr="US"><Value number="1">49152</Value></DicomAttribute></Item>'
    assert read(failed.replace(b"</Item>", reason)) == StoreResponse({}, {"1.2.3": 0xC000})


@pytest.mark.parametrize(
    "body",
    [
        b"[" + module(["1.2"]) + b"]",
        b"\xef\xbb\xbf\r\n " + module(["1.2"]).replace(b"\xef", b""),
        module(["1.2"]).replace(b'"1.2"', b'"1.2\\u0000"'),
        module(["1.2"]).decode().encode("utf-16"),
    ],
    ids=["in a list", "after a byte order mark", "padded", "in UTF-16"],
)
def test_habits_of_servers_are_understood(body):
    found = read(body)
    assert found is not None and found.stored == {"1.2": 0}


def test_tags_in_small_letters_and_numbers_as_text_are_understood():
    body = response(failed=[item("1.3", "00081197", "42752")], others=[{"00081197": {"vr": "US", "Value": ["272"]}}])
    assert read(body.replace(b"0008119A", b"0008119a")) == StoreResponse({}, {"1.3": 0xA700}, (0x0110,))


@pytest.mark.parametrize("reason", [None, "", "many", -1, 70_000, True, 1.5, [], {}, 10**30])
def test_a_reason_that_is_no_number_still_means_that_it_failed(reason):
    assert read(response(failed=[item("1.3", "00081197", reason)])) == StoreResponse({}, {"1.3": None})


@pytest.mark.parametrize(
    "body",
    [
        b"", b"OK", b"null", b"3", b"[]", b"[1]", b'"text"', b'{"error": "no"}', b"[{}, {}]", b"{", b"\xff\xfe\xff",
        b"<html><body>Log in</body></html>", b"<!DOCTYPE html><html>", b"<NativeDicomModel>", b"<NativeDicomModel/><x/>",
        b"[" * 100_000, b'{"a":' * 50_000, b"<NativeDicomModel>" + b"<a>" * 1000,
        b'<?xml version="1.0" encoding="x-nothing"?><NativeDicomModel/>',
    ],
)  # fmt: skip
def test_anything_else_is_no_response(body):
    assert read(body) is None


def test_an_empty_response_is_one_that_names_nothing():
    assert read(b"{}") == read(b"<NativeDicomModel/>") == StoreResponse()


def test_entities_are_not_even_begun():
    bomb = (
        b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>' + ORTHANC_XML.partition(b"?>")[2].lstrip()
    )
    assert read(bomb) is None
    outside = b'<!DOCTYPE x SYSTEM "file:///etc/passwd">' + ORTHANC_XML.partition(b"?>")[2].lstrip()
    assert read(outside) is None


UIDS = st.lists(st.integers(0, 99_999), min_size=1, max_size=8).map(lambda parts: ".".join(map(str, parts)))
NUMBERS = st.integers(0, 0xFFFF)


def xml_of(data: dict) -> bytes:
    def dataset(one: dict) -> str:
        return "".join(
            f'<DicomAttribute tag="{tag}" vr="{element["vr"]}">' + "".join(
                f"<Item>{dataset(value)}</Item>" if isinstance(value, dict) else f"<Value>{escape(str(value))}</Value>"
                for value in element["Value"]
            ) + "</DicomAttribute>"
            for tag, element in one.items()
        )  # fmt: skip

    return f"<NativeDicomModel>{dataset(data)}</NativeDicomModel>".encode()


@given(st.lists(UIDS), st.dictionaries(UIDS, NUMBERS), NUMBERS)
def test_what_was_written_is_read_in_either_form(stored, failed, warning):
    body = module(stored, failed.items(), warning or None)
    expected = StoreResponse(dict.fromkeys(stored, warning), failed)
    assert read(body) == expected
    assert read(xml_of(json.loads(body))) == expected


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["00081199", "00081198", "0008119A", "00081155", "00081197", "00081196", "Value", "vr"]),
            inner,
        )
    ),
    max_leaves=30,
)


@given(st.dictionaries(st.sampled_from(["00081199", "00081198", "0008119A", "00081190"]), ANYTHING))
def test_whatever_stands_where_nothing_of_the_kind_belongs_is_passed_over(data):
    found = read(json.dumps(data).encode())
    assert found is not None
    assert all(isinstance(uid, str) and uid and 0 <= number <= 0xFFFF for uid, number in found.stored.items())
    assert all(number is None or 0 <= number <= 0xFFFF for number in [*found.failed.values(), *found.others])


@given(
    st.binary(max_size=200), st.integers(0, 2000), st.integers(0, 30), st.sampled_from([ORTHANC_XML, module(["1.2"])])
)
def test_damaged_answers_never_do_more_than_say_nothing(inserted, at, removed, whole):
    found = read(whole[:at] + inserted + whole[at + removed :])
    assert found is None or isinstance(found, StoreResponse)
