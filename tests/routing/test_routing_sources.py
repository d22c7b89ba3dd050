"""Which source an association belongs to, and what may stand in a source."""

from __future__ import annotations

from ipaddress import ip_network
from itertools import combinations

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import RoutingError
from protocol.routing.parse import build
from protocol.routing.sources import Source, SourceMatch, in_networks, source_for
from protocol.routing.subjects import common_name, parse_subject

SOURCES = {
    "any-mr": Source(calling_ae="MR", quiet_s=3.0),
    "ward": Source(address="10.0.0.0/8", idle_s=90.0),
    "room": Source(address="10.0.1.0/24"),
    "mr-in-room": Source(calling_ae="MR", address="10.0.1.7", quiet_s=1.0, idle_s=2.0),
    "six": Source(address="fd00::5"),
    "six-net": Source(address="fd00::/64"),
    "named": Source(certificate="mr7"),
    "whole": Source(certificate="CN=mr7, OU=MR, O=Hospital"),
    "whole-mr": Source(certificate="CN=mr7,OU=MR,O=Hospital", calling_ae="MR"),
}


@pytest.mark.parametrize(
    ("calling_ae", "address", "match"),
    [
        ("MR", "192.168.0.1", SourceMatch("any-mr", 3.0, None)),
        ("MR  ", "not an address", SourceMatch("any-mr", 3.0, None)),
        ("MR \0", "192.168.0.1", SourceMatch("any-mr", 3.0, None)),
        ("mr", "192.168.0.1", SourceMatch(None)),
        ("MRX", "192.168.0.1", SourceMatch(None)),
        ("CT", "10.9.9.9", SourceMatch("ward", None, 90.0)),
        ("CT", "10.0.1.9", SourceMatch("room")),
        ("MR", "10.0.1.9", SourceMatch("room")),
        ("MR", "10.0.1.7", SourceMatch("mr-in-room", 1.0, 2.0)),
        ("MR", "::ffff:10.0.1.7", SourceMatch("mr-in-room", 1.0, 2.0)),
        ("CT", "fd00::5%eth0", SourceMatch("six")),
        ("CT", "fd00::6", SourceMatch("six-net")),
        ("CT", "fd01::6", SourceMatch(None)),
    ],
)
def test_the_most_specific_source_wins(calling_ae: str, address: str, match: SourceMatch) -> None:
    assert source_for(SOURCES, calling_ae, address) == match


@pytest.mark.parametrize(
    ("calling_ae", "subject", "name"),
    [
        ("MR", "CN=mr7,OU=MR,O=Hospital", "whole-mr"),
        ("CT", "CN=mr7,OU=MR,O=Hospital", "whole"),
        ("CT", "CN=mr7,OU=CT,O=Hospital", "named"),
        ("MR", "CN=mr7,O=Elsewhere", "named"),  # proven counts before claimed, even before an address
        ("CT", "CN=MR7,OU=MR,O=Hospital", "room"),
        ("CT", "O=Hospital,OU=MR,CN=mr7", "named"),
        ("CT", "OU=CN\\=mr7,O=Hospital", "room"),
        ("CT", "", "room"),
        ("CT", "not a subject", "room"),
    ],
)
def test_a_certificate_is_compared_as_a_whole_or_by_its_common_name(calling_ae: str, subject: str, name: str) -> None:
    assert source_for(SOURCES, calling_ae, "10.0.1.9", subject).name == name


def test_all_that_a_source_names_must_match() -> None:
    strict = {"s": Source(calling_ae="MR", address="10.0.0.0/8", certificate="mr7")}
    assert source_for(strict, "MR", "10.1.1.1", "CN=mr7").name == "s"
    for calling, address, subject in [("CT", "10.1.1.1", "CN=mr7"), ("MR", "11.0.0.1", "CN=mr7"),
                                      ("MR", "10.1.1.1", ""), ("MR", "10.1.1.1", "CN=other")]:  # fmt: skip
        assert source_for(strict, calling, address, subject).name is None


def test_the_order_in_the_file_does_not_matter_where_one_is_more_specific() -> None:
    backwards = dict(reversed(SOURCES.items()))
    assert source_for(backwards, "MR", "10.0.1.7").name == "mr-in-room"
    assert source_for(backwards, "CT", "10.0.1.9").name == "room"


criteria = st.fixed_dictionaries({
    "calling_ae": st.sampled_from([None, "A", "B"]),
    "address": st.sampled_from([None, "10.0.0.0/8", "10.0.0.0/9", "10.0.0.1", "0.0.0.0/0", "::/0", "::ffff:10.0.0.1"]),
    "certificate": st.sampled_from([None, "a", "CN=a", "CN = a", "CN=a,O=x", "cn=a,o=x", "CN=b"]),
}).filter(lambda one: any(one.values()))  # fmt: skip


@settings(max_examples=100)
@given(
    st.lists(criteria, min_size=1, max_size=6),
    st.tuples(st.sampled_from(["A", "B"]), st.sampled_from(["10.0.0.1", "::ffff:10.0.0.1", "10.200.0.1", "::1"]),
              st.sampled_from(["", "CN=a", "CN=a,O=x", "CN=b"])),
)  # fmt: skip
def test_what_the_configuration_lets_pass_never_depends_on_the_order(wanted: list[dict], peer: tuple) -> None:
    sources = {f"s{number}": one for number, one in enumerate(wanted)}
    made = [Source(**one) for one in wanted]
    same = any(one.criteria == other.criteria for one, other in combinations(made, 2))
    try:
        known = build({"sources": sources}, "test").sources
    except RoutingError as exc:
        assert same and "the same calling_ae, address and certificate" in str(exc)
        return
    assert not same
    assert source_for(known, *peer) == source_for(dict(reversed(known.items())), *peer)


@settings(max_examples=100)
@given(st.lists(st.text(min_size=1, max_size=8).filter(lambda t: t.isprintable()), min_size=1, max_size=3))
def test_what_cryptography_writes_as_rfc_4514_is_read_back(values: list[str]) -> None:
    kinds = [NameOID.ORGANIZATION_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME, NameOID.COMMON_NAME][-len(values) :]
    name = x509.Name([x509.NameAttribute(kind, value) for kind, value in zip(kinds, values, strict=True)])
    subject = parse_subject(name.rfc4514_string())
    assert [value for relative in subject for _, value in relative] == values[::-1]
    assert common_name(subject) == values[-1]


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("", ()),
        ("CN=a\\,b", [{("CN", "a,b")}]),
        ("CN=a+UID=7,O=x", [{("CN", "a"), ("UID", "7")}, {("O", "x")}]),
        ("cn= a , o=x\\ ", [{("CN", "a")}, {("O", "x ")}]),
        ("CN=M\\C3\\BCller", [{("CN", "Müller")}]),
        ("oid.2.5.4.3=a", [{("2.5.4.3", "a")}]),
        ("CN=a\\\\,O=b", [{("CN", "a\\")}, {("O", "b")}]),
    ],
)
def test_a_subject_is_read_as_rfc_4514_says(text: str, subject: object) -> None:
    assert list(parse_subject(text)) == [frozenset(one) for one in subject]  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", ["a", "=a", "CN=a,,O=b", "CN=a,", "1.=a", "CN=a;b,c"])
def test_what_is_no_subject_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a subject is like"):
        parse_subject(text)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({}, "calling_ae, address or certificate"),
        ({"certificate": "CN=a,b"}, "a subject is like"),
        ({"certificate": " "}, "a common name"),
        ({"certificate": "mr\n7"}, "a common name"),
        ({"calling_ae": "A", "charset": "latin1"}, "defined terms"),
        ({"calling_ae": "A", "charset": ""}, "defined terms"),
        ({"calling_ae": "A", "charset": "\\"}, "defined terms"),
        ({"calling_ae": "A", "charset": "ISO_IR 100é"}, "defined terms"),
        ({"calling_ae": "A", "charset": "ISO_IR 192\\ISO 2022 IR 87"}, "defined terms"),
        ({"calling_ae": "A", "max_associations": 0}, "max_associations"),
        ({"calling_ae": "A", "max_images_per_s": 0}, "max_images_per_s"),
        ({"calling_ae": "A", "max_object_mb": "9"}, "max_object_mb"),
        ({"calling_ae": "A", "sop_classes": ["CT"]}, "by its UID"),
        ({"calling_ae": "A", "sop_classes": []}, "sop_classes"),
        ({"calling_ae": "A", "unreadable": "drop"}, "unreadable"),
        ({"calling_ae": "A", "label": "two\nlines"}, "label"),
        ({"calling_ae": "A", "acept": False}, "accept"),
    ],
)
def test_a_source_that_says_nothing_sensible_is_refused_with_its_place(source: dict, words: str) -> None:
    with pytest.raises(RoutingError) as caught:
        build({"sources": {"s": source}}, "test")
    assert words in str(caught.value) and "sources.s" in str(caught.value)


def test_a_source_with_everything_is_read_and_written_alike() -> None:
    full = {
        "calling_ae": "MR1", "address": "10.0.0.0/24", "certificate": "CN=mr1", "label": "MR, ground floor",
        "quiet_s": 1, "idle_s": 2, "accept": True, "charset": "\\ISO 2022 IR 87", "resend": "deliver",
        "unreadable": "refuse", "max_associations": 2, "max_images_per_s": 50, "max_object_mb": 500,
        "sop_classes": ["1.2.840.10008.5.1.4.1.1.4"], "comment": "",
        "commitment": {"policy": "spool", "target": None, "host": "10.0.0.1", "port": 104, "ae_title": "MR1", "wait_s": 3,
                       "unknown_s": 2, "report_s": 1},
    }  # fmt: skip
    assert set(full) == set(Source.model_fields)
    read = build({"sources": {"s": full}}, "test").sources["s"]
    assert read.model_dump(mode="json") == full


def test_spaces_around_a_certificate_and_the_terms_of_a_charset_do_not_count() -> None:
    source = Source(certificate=" mr7X ", charset="ISO 2022 IR 6 \\ ISO 2022 IR 87 ")
    assert (source.certificate, source.charset) == ("mr7X", "ISO 2022 IR 6\\ISO 2022 IR 87")


def test_networks_hold_the_addresses_that_the_system_reports() -> None:
    networks = (ip_network("10.0.0.0/8"), ip_network("fe80::/10"))
    assert in_networks("10.1.2.3", networks) and in_networks("::ffff:10.1.2.3", networks)
    assert in_networks("fe80::1%eth0", networks)
    assert not in_networks("11.0.0.1", networks) and not in_networks("localhost", networks)
    assert not in_networks("10.1.2.3", ())
