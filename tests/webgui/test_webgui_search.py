"""Fifty texts that a technologist types into the search box, and what they find: with the ledger, and by the spool alone."""

import pytest
from webgui_fakes import HOME, PAGE

from protocol.ledger.history.matching import meaning
from protocol.testing.images import TestImage
from protocol.typed import MOST_FORMS
from webgui.areas.series.finding import AWAY
from webgui.areas.series.guessing import day_of

UTF8 = b"ISO_IR 192"


class Named(TestImage):
    """Of a patient of one's own."""

    __test__ = False

    def __init__(self, study, name, patient_id, accession):
        super().__init__(study=study)
        object.__setattr__(self, "who", (name, patient_id, accession))

    def dataset(self):
        from protocol.testing.images import _element

        name, patient_id, accession = (one.encode() for one in self.who)
        data = super().dataset()
        data = data.replace(
            _element(8, 0x60, b"CS", b"CT"), _element(8, 0x50, b"SH", accession) + _element(8, 0x60, b"CS", b"CT")
        )
        data = data.replace(_element(0x10, 0x10, b"PN", b"Test^Image"), _element(0x10, 0x10, b"PN", name))
        data = data.replace(_element(0x10, 0x20, b"LO", b"T1"), _element(0x10, 0x20, b"LO", patient_id))
        return _element(8, 5, b"CS", UTF8) + data


PEOPLE = {
    1: ("Müller^Hans Peter", "MRN-0042", "ACC-77123"),
    2: ("von der Leyen^Ursula", "4711", "A0012345"),
    3: ("García^José", "X1", "77999"),
    4: ("O'Brien^Mary", "B-7", "b-2026/11"),
    5: ("SCHROEDER^Eva", "E5", "S5"),
}
TEXTS = [
    ("Müller", {1}), ("müller", {1}), ("MÜLLER", {1}), ("Mül", {1}), ("mueller", {1}), ("Muller", {1}), ("MULLER", {1}),
    ("mu\u0308ller", {1}), ("Müller^Hans", {1}), ("müller hans", {1}), ("Müller, Hans", {1}), ("Müller,Hans", {1}),
    ("Hans Müller", {1}), ("Hans Peter Müller", {1}), ("müller  hans", {1}), ("Müller*", {1}), ("Müll%", {1}), ("*Müller", {1}),
    ('"Müller"', {1}), ("„Müller“", {1}), ("Müller^", {1}), ("Müller ^ Hans", {1}), ("mueller, h", {1}), (" Müller \n", {1}),
    ("Müller\u00a0Hans", {1}), ("Ursula von der Leyen", {2}), ("von der Leyen", {2}), ("von der leyen ursula", {2}),
    ("Von Der", {2}), ("garcia", {3}), ("García", {3}), ("garcia jose", {3}), ("GARCIA, JOSE", {3}), ("o'brien", {4}),
    ("O'BRIEN^MARY", {4}), ("schröder", {5}), ("Schroeder", {5}), ("MRN-0042", {1}), ("mrn-0042", {1}), ("MRN 4711", {2}),
    ("mrn: 4711", {2}), ("pid 4711", {2}), ("4711", {2}), ("ACC-77123", {1}), ("acc-77123", {1}), ("ACC 77999", {3}),
    ("accession no. 77999", {3}), ("acc#77999", {3}), ("a0012345", {2}), ("B-2026/11", {4}), ("2.25.4711.3", {3}),
    ("2.25.4711.3.1", {3}), ("2.25.4711.3.1.1", {3}), ("uid 2.25.4711.3", {3}), ("2.25.4711.3.", {3}), ("2.25.4711", {1, 2, 3, 4, 5}),
    ("ct1", {1, 2, 3, 4, 5}), ("CT1", {1, 2, 3, 4, 5}), ("AE: CT1", {1, 2, 3, 4, 5}),
    ("Mayer", set()), ("77", set()), ("m", set()), ("%", set()), ("*", set()), ("_", set()), ("'; --", set()), ("ü" * 300, set()),
]  # fmt: skip


TWO_ACCENTS = ("garcia jose", "GARCIA, JOSE")
"""The ledger looks along an index of names as they are written; one accent may be missing, not two."""


@pytest.fixture
def patients(real):
    return {real.arrival(Named(study, *who)): study for study, who in PEOPLE.items()}


async def test_a_day_is_one_and_what_else_may_be_meant_is_offered(real_admin, patients):
    for text in ("2026-01-31", "31.1.2026", " 31.01.2026 "):
        found = await real_admin.post("/series/search", data={"q": text}, headers=HOME, allow_redirects=False)
        assert found.headers["Location"] == "/series?since=2026-01-31&until=2026-01-31"
    assert [day_of(text) for text in ("31.2.2026", "20260131", "1.2.3", "2.25.4711")] == [""] * 4
    for text, word in (
        ("nm", "modality=NM"),
        ("pacs", "target=pacs"),
        ("all", "rule=all"),
        ("In delivery", "state=in_delivery"),
    ):
        page = await (await real_admin.post("/series/search", data={"q": text}, headers=HOME | PAGE)).text()
        assert "Nothing matches" in page and f'href="/series?{word}"' in page, text


async def found(client, patients, text):
    answer = await client.post("/api/v1/series/search", json={"q": text[:255]}, headers=HOME)
    assert answer.status == 200, await answer.text()
    told = await answer.json()
    return {patients[one["id"]] for one in told["series"]}, AWAY in told["notes"]


@pytest.mark.parametrize("recorded", [True, False], ids=["ledger", "spool alone"])
async def test_what_people_type_finds_what_they_mean(real, real_admin, patients, recorded, monkeypatch):
    if recorded:
        real.record()
        # Else the newest are looked through in the spool as well, and hide what the ledger does not find.
        monkeypatch.setattr("webgui.areas.series.finding.NEWEST", 0)
    wrong = {}
    for text, wanted in TEXTS:
        came, away = await found(real_admin, patients, text)
        assert away is not recorded, text
        if came != wanted and not (recorded and text in TWO_ACCENTS):
            wrong[text] = (came, wanted)
    assert wrong == {}


def test_one_text_never_asks_for_more_than_a_few_forms():
    for text in ("a" * 200, "ü" * 200, "a u o " * 40, "Ananas Uluru Otto Anna Ulla Olaf"):
        assert len(meaning(text).names) <= MOST_FORMS
