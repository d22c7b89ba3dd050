"""Which status answers what a source may not do."""

from __future__ import annotations

import pytest

from actors.dicom.statuses import category, retryable
from actors.receiver.terms import Refusal, Terms, beyond, terms_of
from protocol.header.scan import Header
from protocol.routing.sources import Source

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
STRICT, LENIENT = Terms(refuse_unreadable=True), Terms()


@pytest.mark.parametrize(
    ("terms", "sop_class", "status"),
    [
        (LENIENT, CT, None),
        (LENIENT, "1.2.3.4.5", None),  # private
        (LENIENT, "not a UID", None),  # goes to quarantine
        (LENIENT, "1.2.840.10008.1.1", 0x0122),
        (LENIENT, "1.2.840.10008.5.1.4.1.2.2.1", 0x0122),  # query
        (Terms(source="s", sop_classes=frozenset({MR})), CT, 0x0124),
        (Terms(source="s", sop_classes=frozenset({MR})), MR, None),
        (Terms(source="s", rejection="source 's' is not accepted"), CT, 0x0124),
    ],
)
def test_what_is_refused_before_its_first_byte(terms: Terms, sop_class: str, status: int | None) -> None:
    refusal = terms.before(sop_class)
    assert (refusal and refusal.status) == status


def test_a_sources_own_limit_is_final_and_the_receivers_is_not() -> None:
    own = Terms(source="s", max_bytes=2_500_000).too_large(2_500_001)
    assert own == Refusal(0x0124, "larger than the 2.5 MB that source 's' may store")
    assert not retryable(own.status)
    assert Terms(max_bytes=2_500_000).too_large(2_500_000) is None and LENIENT.too_large(10**12) is None
    everybodys = beyond(2_000_000_000, 2_000_000_001)
    assert everybodys == Refusal(0xA700, "larger than the 2000 MB that this receiver takes")
    assert retryable(everybodys.status) and beyond(10, 10) is None


def test_what_cannot_be_read_or_placed_goes_to_quarantine_unless_it_is_to_be_refused() -> None:
    assert LENIENT.unplaced("cut off", "cut off") is None and LENIENT.unplaced(None, "no UID") is None
    assert STRICT.unplaced("cut off", "cut off") == Refusal(0xC000, "cut off")
    assert STRICT.unplaced(None, "no UID") == Refusal(0xA900, "no UID")
    assert STRICT.unplaced(None, None) is None


def test_an_object_of_another_class_than_the_commands_is_stored_with_a_warning_or_refused() -> None:
    header = Header({"SOPClassUID": MR})
    assert LENIENT.of_class(MR, header) is None and STRICT.of_class(MR, header) is None
    warned, refused = LENIENT.of_class(CT, header), STRICT.of_class(CT, header)
    assert (warned.status, category(warned.status)) == (0xB007, "warning")
    assert (refused.status, category(refused.status)) == (0xA900, "failure")
    assert LENIENT.of_class(CT, Header()) is None, "nothing is written, nothing contradicts"


def test_the_terms_of_a_source_are_its_own_where_it_says_something() -> None:
    def said(**source: object) -> Terms:
        return terms_of("s", Source(calling_ae="A", **source), reject_unknown=True, refuse_unreadable=True)  # type: ignore[arg-type]

    assert said() == Terms(source="s", refuse_unreadable=True)
    assert not said(unreadable="quarantine").refuse_unreadable
    assert said(accept=False).rejection == "source 's' is not accepted"
    full = said(charset="ISO_IR 100", resend="deliver", max_associations=2, max_images_per_s=5, max_object_mb=0.5,
                sop_classes=[CT])  # fmt: skip
    assert full == Terms("s", "", "ISO_IR 100", True, True, 2, 5.0, 500_000, frozenset({CT}))
    assert terms_of(None, None, reject_unknown=True, refuse_unreadable=False) == Terms(rejection="unknown source")
    assert terms_of(None, None, reject_unknown=False, refuse_unreadable=False) == Terms()
