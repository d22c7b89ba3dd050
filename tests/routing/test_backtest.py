"""A backtest says of every recorded arrival what the router would have decided, or that nobody can tell any more."""

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.routing.backtest.asked import Asked, asked_since
from protocol.routing.backtest.document import document_of
from protocol.routing.backtest.report import OTHERS
from protocol.routing.backtest.whole import Backtest, Cancelled, backtest, needs_order
from protocol.routing.decide import decide
from protocol.routing.judging import Case
from protocol.routing.origin import moment, origin_of
from protocol.routing.rules.functions import FUNCTIONS
from protocol.routing.rules.subject import Subject
from protocol.routing.versions import Version
from tests.routing.backtest_past import HOUR, NOON, arrival, header, rule, rules

DAY = (NOON, NOON + 24 * HOUR)


def told(draft, arrivals, active=None, *, zone=UTC, values=False, **more):
    made = backtest([arrivals], draft, active, zone, **more)
    return document_of(made, draft, active, DAY, values=values)


def matched(document, side="draft"):
    return {one["rule"]: one["matched"] for one in document[side]["rules"]}


# ---- the same as the router ---------------------------------------------------------------------------------------
CONDITIONS = [
    "Modality == 'CT'", "SliceThickness < 1.5", "any_image(SliceThickness < 1.5)", "count_images(Modality == 'CT') > 1",
    "count_images() >= 2", "all_images(exists(SliceThickness))", "first_image(SliceThickness) == 1.0", "Modality > 3",
    "missing(SliceThickness)", "'AXIAL' in ImageType", "SenderAET == 'CT1' and not Modality == 'MR'", "True", "False",
    "ImageCount >= 2 or SliceThickness > 3", "not (SliceThickness > 1 and Modality == 'CT')",
    "count_images(SliceThickness < 2) >= 2 and Modality == 'CT'", "3 > count_images('AXIAL' in ImageType)",
    "any_image(SliceThickness < 1 and Modality == 'MR')", "all_images(Modality != 'CT' or ImageCount > 2)",
    "hour() >= 12", "age() > 3", "ReceivedAt > '2026-11-26T12:03'",
]  # fmt: skip
image = st.fixed_dictionaries(
    {},
    optional={
        "Modality": st.sampled_from(["CT", "MR"]), "SliceThickness": st.sampled_from([0.5, 1.0, 3.0, "thick"]),
        "InstanceNumber": st.integers(1, 3), "ImageType": st.sampled_from([["ORIGINAL", "AXIAL"], "DERIVED"]),
    },
)  # fmt: skip
one_rule = st.fixed_dictionaries(
    {"when": st.sampled_from(CONDITIONS), "action": st.sampled_from(["route", "route", "hold", "discard"]),
     "target": st.sampled_from(["pacs", "ai"]), "mode": st.sampled_from(["active", "active", "shadow", "off"]),
     "stop": st.booleans(), "fallback": st.booleans(), "trigger": st.sampled_from(["series", "series", "image"]),
     "expires": st.sampled_from([None, None, "2026-11-26T12:05+00:00"]),
     "off_until": st.sampled_from([None, None, "2026-11-26T12:03+00:00"]),
     "schedule": st.sampled_from([None, None, {"start": "12:02", "end": "12:04"}])}
)  # fmt: skip


def configuration(drawn):
    made = []
    for at, one in enumerate(drawn):
        one = dict(one)
        target = one.pop("target")
        if one["action"] == "route":
            one["targets"] = [target]
        if one["trigger"] == "image":
            if one["action"] != "route" or any(word in one["when"] for word in ("image", "images")):
                one["trigger"] = "series"
            else:
                one["fallback"] = False
        made.append({"name": f"r{at}", **one})
    return rules(*made)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.lists(image, min_size=1, max_size=4), min_size=1, max_size=5),
    st.lists(one_rule, min_size=1, max_size=4),
)
def test_every_arrival_is_judged_as_the_router_decides_it(series, drawn):
    draft = configuration(drawn)
    numbered = [
        [{**one, "SOPInstanceUID": f"1.{at}.{place}"} for place, one in enumerate(images)]
        for at, images in enumerate(series)
    ]
    arrivals = [arrival(at, images, study=f"1.{at}") for at, images in enumerate(numbered, 1)]
    expected: dict = {"route": 0, "hold": 0, "discard": 0}
    true = dict.fromkeys((one.name for one in draft.rules), 0)
    for record, images in zip(arrivals, numbered, strict=True):
        origin = origin_of(calling_ae="CT1", address="10.0.0.1", called_ae="SCANPOST", source=None, images=len(images),
                           received=record.received)  # fmt: skip
        decision = decide(draft, 1, Case(Subject(images, origin, zone=UTC), moment(record.received, UTC)))
        expected[decision.outcome] += 1
        for result in decision.results:
            true[result.rule] += result.result == "true"
    document = told(draft, arrivals)
    assert {name: document["draft"]["outcomes"][name] for name in expected} == expected
    assert matched(document) == true
    forgetful = Backtest(draft, None, UTC, remember=False)
    forgetful.add(arrivals)
    forgetful.finish()
    assert forgetful.state() == backtest([arrivals], draft, None, UTC).state()


def test_what_is_remembered_of_a_rule_never_depends_on_more_than_its_names():
    """A function that reads the time or anything else its rule does not name would make remembered answers wrong."""
    base = header(PatientBirthDate="20000101", StudyDate="20261126", PatientAge="026Y")
    texts = {
        "hour": "hour() >= 14", "weekday": "weekday() == 'fri'", "tag": "tag('0019,100C') == 1", "age": "age() > 5",
        "date": "StudyDate >= date('2026-01-31')",
             "today": "today() > 1", "now": "now() > 1"}  # fmt: skip
    for name in set(texts) & set(FUNCTIONS):
        draft = rules(rule("r", texts[name], "pacs"))
        arrivals = [arrival(at, base, received=NOON + at * 5 * HOUR, study=f"1.{at}") for at in range(1, 8)]
        forgetful = Backtest(draft, None, UTC, remember=False)
        forgetful.add(arrivals)
        forgetful.finish()
        assert forgetful.state() == backtest([arrivals], draft, None, UTC).state(), name


# ---- what cannot be told --------------------------------------------------------------------------------------------
def test_a_rule_over_images_whose_values_were_not_kept_cannot_be_told_and_others_can():
    images = [header(number=at, SliceThickness=0.5 + at) for at in range(1, 200)]
    record = arrival(1, images, limit=150)
    assert "SliceThickness" in record.dropped
    thin = rules(rule("thin", "any_image(SliceThickness < 1)", "pacs"))
    document = told(thin, [record, arrival(2, header(SliceThickness=0.5), study="1.3")])
    assert document["draft"]["outcomes"] == {"route": 1, "hold": 0, "discard": 0, "cannot_tell": 1}
    (told_rule,) = document["draft"]["rules"]
    assert (told_rule["matched"], told_rule["untold"], told_rule["examples"]["untold"]) == (1, 1, [1])
    first = told(
        rules(rule("first", "SliceThickness < 2", "pacs")), [record]
    )  # outside image functions: the first image's
    assert first["draft"]["outcomes"]["route"] == 1
    shadow = rules(rule("thin", "any_image(SliceThickness < 1)", "pacs", mode="shadow"), rule("all", "True", "ai"))
    assert told(shadow, [record])["draft"]["outcomes"]["route"] == 1  # nothing follows from a shadow rule


def test_a_keyword_that_was_not_scanned_at_that_time_cannot_be_told_where_it_is_absent():
    draft = rules(rule("odd", "missing(AcquisitionProtocolDescription)", "pacs"), rule("ct", "Modality == 'CT'", "ai"))
    there = header(AcquisitionProtocolDescription="x")
    document = told(draft, [arrival(1, header()), arrival(2, there, study="1.3")])
    assert document["draft"]["outcomes"] == {"route": 1, "hold": 0, "discard": 0, "cannot_tell": 1}
    decided = rules(rule("odd", "Modality == 'MR' and missing(AcquisitionProtocolDescription)", "pacs"))
    assert told(decided, [arrival(1, header())])["draft"]["outcomes"]["cannot_tell"] == 0  # the other clause decides


def test_an_absent_keyword_is_told_of_what_came_while_a_version_asked_for_it():
    """Given a version that asked from the third minute on, none in the fifth hour, and one again later."""
    asks, asks_not = rules(ODD), rules(rule("ct", "Modality == 'CT'", "ai"))
    at = {1: (NOON + 180, asks), 2: (NOON + 240, asks), 3: (NOON + 50 * HOUR, asks_not), 4: (NOON + 60 * HOUR, asks)}
    asked = asked_since(versions(at), NOON, asks)
    times = {1: NOON + 60, 2: NOON + 182, 3: NOON + 186, 4: NOON + HOUR, 5: NOON + 40 * HOUR, 6: NOON + 55 * HOUR,
             7: NOON + 61 * HOUR}  # fmt: skip
    arrivals = [arrival(number, header(), received=received) for number, received in times.items()]
    document = told(asks, arrivals, asked=asked)
    (odd,) = document["draft"]["rules"]
    assert odd["examples"]["untold"] == [1, 2, 5, 6], "before, too soon after, and while images may have come without"
    assert odd["matched"] == 3 and document["draft"]["outcomes"]["cannot_tell"] == 4
    forgetful = Backtest(asks, None, UTC, remember=False, asked=Asked(asked.spans))
    forgetful.add(arrivals)
    forgetful.finish()
    assert forgetful.state() == backtest([arrivals], asks, None, UTC, asked=asked).state()


def test_an_addendum_is_told_only_if_all_of_its_series_came_while_a_version_asked():
    asked = asked_since(versions({1: (NOON + 100, rules(ODD))}), NOON, rules(ODD))
    early, later = (arrival(number, header(number=number), series="1.2.7") for number in (1, 5))
    late = [arrival(number, header(number=number), series="1.2.7", earlier=(before,)) for number, before in
            ((8, early), (9, later))]  # fmt: skip
    (odd,) = told(rules(ODD), late, asked=asked)["draft"]["rules"]
    assert odd["examples"]["untold"] == [8] and odd["matched"] == 1


def test_what_versions_asked_is_known_only_as_far_back_as_there_are_versions_and_clocks_that_were_set_back_count():
    with_it, without = rules(ODD), rules(rule("ct", "Modality == 'CT'", "ai"))
    assert asked_since(versions({}), NOON, with_it).spans == {}
    assert asked_since(None, NOON, without).spans == {}, "no version is read where no rule asks"
    back = asked_since(versions({1: (NOON + 100, without), 2: (NOON, with_it)}), NOON, with_it)
    assert not back(NAME, NOON + 50) and back(NAME, NOON + 106)
    seen = []
    asked_since(versions({n: (NOON + n * HOUR, with_it) for n in range(9)}, seen), NOON + 5.5 * HOUR, with_it)
    assert seen == [8, 7, 6, 5], "older versions are not read"


NAME = "AcquisitionProtocolDescription"
ODD = rule("odd", f"missing({NAME})", "pacs")


def versions(at, seen=None):
    """Versions by number, each published at a time, as their history tells them."""

    class Told:
        def history(self):
            for number, (time, configuration) in sorted(at.items(), reverse=True):
                (seen if seen is not None else []).append(number)
                yield Version(number, "ann", time, "because", number - 1, configuration)

    return Told()


def test_damaged_values_are_counted_and_stop_nothing():
    bad = arrival(1, header())._replace(first=b"\xc1")
    document = told(rules(rule("all", "True", "pacs")), [bad, arrival(2, header())])
    assert (document["damaged"], document["arrivals"], matched(document)) == (1, 1, {"all": 1})


# ---- addenda, studies, terms ----------------------------------------------------------------------------------------
def test_an_addendum_is_judged_on_the_union_of_its_series_and_goes_where_that_went():
    first = arrival(1, [header(number=1, SliceThickness=0.5), header(number=2)], series="1.2.7")
    late = arrival(2, [header(number=2), header(number=3)], series="1.2.7", earlier=(first,))  # number 2 came again
    draft = rules(rule("thin", "any_image(SliceThickness < 1)", "pacs"), rule("three", "ImageCount == 3", "ai"))
    document = told(draft, [first, late])
    assert matched(document) == {"thin": 2, "three": 1}
    assert document["draft"]["targets"]["pacs"]["series"] == 2
    small = rules(rule("two", "ImageCount == 2", "pacs"))
    assert told(small, [first, late])["draft"]["outcomes"]["route"] == 2  # nothing wants it, but its series went there


def test_late_images_do_not_follow_single_images_and_are_judged_alone_by_rules_about_these():
    draft = rules(rule("scout", "InstanceNumber == 1", "pacs", trigger="image"))
    first = arrival(1, header(number=1), series="1.2.7")
    late = arrival(2, header(number=2), series="1.2.7", earlier=(first,))
    again = arrival(3, header(number=1), series="1.2.7", earlier=(first, late))
    document = told(draft, [first, late, again])
    assert document["draft"]["targets"]["pacs"]["series"] == 2
    assert (document["draft"]["outcomes"]["route"], document["draft"]["outcomes"]["discard"]) == (2, 1)


def test_an_image_rule_behind_one_that_stops_is_asked_about_what_that_left():
    scouts = rule("scout", "InstanceNumber == 1", "pacs", trigger="image", stop=True)
    draft = rules(scouts, rule("low", "InstanceNumber < 3", "ai", trigger="image"), rule("all", "True", "archive"))
    document = told(draft, [arrival(1, header(number=1)), arrival(2, [header(number=1), header(number=2)])])
    loads = document["draft"]["targets"]
    assert {name: loads[name]["series"] for name in loads} == {"pacs": 2, "ai": 1, "archive": 2}


def test_what_was_sent_image_by_image_is_told_also_below_a_rule_about_the_series_that_stops():
    draft = rules(rule("all", "True", "archive", stop=True), rule("scout", "True", "pacs", trigger="image"))
    assert set(told(draft, [arrival(1, header())])["draft"]["targets"]) == {"archive", "pacs"}


def test_late_images_of_a_series_that_went_nowhere_count_against_a_quota():
    draft = rules(rule("some", "True", "pacs", quota={"max": 1}))
    other = arrival(1, header(), study="1.3")
    first = arrival(2, header(number=1), series="1.2.7")
    late = arrival(3, header(number=2), series="1.2.7", earlier=(first,))
    outcomes = told(draft, [other, first, late])["draft"]["outcomes"]
    assert (outcomes["route"], outcomes["hold"]) == (1, 2)


def test_the_first_image_goes_by_its_number_also_for_rules_that_read_uids_only():
    images = [{**header(number=2), "SOPInstanceUID": "1.9.1"}, {**header(number=1), "SOPInstanceUID": "1.9.2"}]
    draft = rules(rule("second", "first_image(SOPInstanceUID) == '1.9.2'", "pacs"))
    assert matched(told(draft, [arrival(1, images)])) == {"second": 1}


def test_a_rule_about_studies_sees_all_arrivals_of_the_study_by_the_same_sender():
    draft = rules(
        rule("both", "any_image(Modality == 'CT') and any_image(Modality == 'PT')", "pacs", trigger="study"),
        rule("rest", "True", "archive", fallback=True),
    )
    arrivals = [
        arrival(1, header("CT")), arrival(2, header("PT")), arrival(3, header("PT"), calling_ae="PT9"),
        arrival(4, header("CT"), study="1.3"),
        arrival(5, header("PT"), received=NOON + 99 * HOUR),  # too late: that study is over
    ]  # fmt: skip
    document = told(draft, arrivals)
    assert matched(document) == {"both": 2, "rest": 3}
    assert document["draft"]["targets"]["pacs"]["series"] == 2 and document["arrivals"] == 5


def test_a_study_that_began_before_its_rule_expired_belongs_to_it_whole():
    draft = rules(rule("all", "True", "pacs", trigger="study", expires="2026-11-26T12:02+00:00"))
    document = told(draft, [arrival(1, header()), arrival(3, header(number=2)), arrival(4, header(), study="1.3")])
    assert (document["draft"]["outcomes"]["route"], document["draft"]["outcomes"]["discard"]) == (2, 1)


def test_quotas_count_in_the_order_of_receipt_and_by_their_period():
    draft = rules(rule("some", "True", "pacs", quota={"max": 2, "per": "hour"}))
    arrivals = [arrival(at, header(), received=NOON + at * 20 * 60, study=f"1.{at}") for at in range(6)]
    document = told(draft, arrivals)
    assert (document["draft"]["outcomes"]["route"], document["draft"]["outcomes"]["hold"]) == (4, 2)
    assert document["draft"]["rules"][0]["blocked"] == 2 and needs_order(draft)


def test_schedules_and_expiry_go_by_the_time_of_receipt_in_the_nodes_zone():
    draft = rules(rule("noon", "True", "pacs", schedule={"start": "13:00", "end": "14:00"}),
                  rule("gone", "True", "ai", expires="2026-11-25"))  # fmt: skip
    arrivals = [arrival(1, header()), arrival(2, header(), received=NOON + 2 * HOUR, study="1.3")]
    document = told(draft, arrivals, zone=ZoneInfo("Europe/Berlin"))  # noon UTC is 13:00 there
    assert matched(document) == {"noon": 2, "gone": 0}
    assert document["draft"]["outcomes"]["route"] == 1 and document["draft"]["rules"][0]["blocked"] == 1


def test_a_study_that_never_became_complete_is_held_where_its_rule_says_so():
    terms = {"complete": "any_image(Modality == 'PT')", "then": "hold"}
    draft = rules(rule("both", "any_image(Modality == 'CT')", "pacs", trigger="study", study=terms))
    whole = [arrival(1, header("CT")), arrival(2, header("PT"))]
    assert told(draft, whole)["draft"]["outcomes"]["route"] == 2
    assert told(draft, whole[:1])["draft"]["outcomes"]["hold"] == 1


# ---- what is told ---------------------------------------------------------------------------------------------------
def test_the_difference_names_real_arrivals_of_every_kind():
    active = rules(
        rule("ct", "Modality == 'CT'", "pacs"), rule("mr", "Modality == 'MR'", "pacs"), rule("us", "Modality == 'US'")
    )
    draft = rules(rule("ct", "Modality == 'CT'", "pacs", "ai"), rule("mr", "Modality == 'XX'", "pacs"),
                  rule("us", "Modality == 'US'", "pacs"), rule("px", "Modality == 'PX'"))  # fmt: skip
    arrivals = [
        arrival(at, header(modality), study=f"1.{at}") for at, modality in enumerate(("CT", "MR", "US", "PX", "OT"), 1)
    ]
    difference = told(draft, arrivals, active)["difference"]
    assert {kind: [one["arrival"] for one in found["arrivals"]] for kind, found in difference["arrivals"].items()} == {
        "other_targets": [1], "newly_discarded": [2], "newly_routed": [3], "newly_held": [4], "cannot_tell": []}  # fmt: skip
    assert difference["arrivals"]["other_targets"]["arrivals"][0]["draft"] == ["route", "ai", "pacs"]
    assert difference["rules"]["mr"]["no_longer_matched"]["arrivals"] == [2]
    assert difference["rules"]["px"]["newly_matched"]["arrivals"] == [4] and "ct" not in difference["rules"]


def test_the_same_rules_do_not_differ():
    one = rules(rule("ct", "Modality == 'CT'", "pacs", quota={"max": 1}))
    arrivals = [arrival(at, header(), study=f"1.{at}") for at in range(4)]
    document = told(one, arrivals, one)
    assert document["difference"]["rules"] == {} and document["draft"] == {
        **document["active"], "rules": document["draft"]["rules"]}  # fmt: skip


def test_loads_are_told_per_day_with_the_busiest_hour():
    arrivals = [
        arrival(at, header(), study=f"1.{at}", received=NOON + (at // 3) * HOUR, size=10**9 * (1 + at))
        for at in range(6)
    ]
    load = told(rules(rule("all", "True", "pacs")), arrivals)["draft"]["targets"]["pacs"]
    assert (load["series"], load["series_per_day"], load["gb_per_day"]) == (6, 6.0, 21.0)
    assert load["busiest_hour"] == {"at": "2026-11-26T13", "series": 3, "gb": 15.0}
    assert load["busiest_day"] == {"at": "2026-11-26", "series": 6, "gb": 21.0}


def test_free_text_of_images_is_told_only_if_asked_for():
    draft = rules(rule("all", "True", "pacs"))
    record = arrival(1, header(StudyDescription="secret of JANE", SeriesDescription="t1"))
    assert "secret" not in str(told(draft, [record]))
    by = told(draft, [record], values=True)["draft"]["rules"][0]["by"]
    assert by["study_description"] == [["secret of JANE", 1]] and by["modality"] == [["CT", 1]]


def test_lists_are_bounded_and_the_counts_go_on(monkeypatch):
    from protocol.routing.backtest import report as backtest_report

    monkeypatch.setattr(backtest_report, "DISTINCT", 3)
    active, draft = rules(rule("no", "False", "pacs")), rules(rule("all", "True", "pacs"))
    arrivals = [arrival(at, header(SeriesDescription=f"s{at}"), study=f"1.{at}") for at in range(1005)]
    document = told(draft, arrivals, active, values=True)
    found = document["difference"]["arrivals"]["newly_routed"]
    assert (found["count"], len(found["arrivals"])) == (1005, 1000)
    assert document["draft"]["rules"][0]["by"]["series_description"][0] == [OTHERS, 1002]


def test_parts_judged_apart_add_up_to_the_whole():
    active = rules(rule("ct", "Modality == 'CT'", "pacs"), rule("err", "Modality > 3", "pacs", mode="shadow"))
    draft = rules(rule("pair", "count_images() == 2", "ai", trigger="study"), rule("ct", "SliceThickness > 1", "pacs"))
    arrivals = [
        arrival(at, header("CT" if at % 3 else "MR", SliceThickness=at % 4), study=f"1.{at // 2}") for at in range(40)
    ]
    whole = backtest([arrivals], draft, active, UTC)
    made = Backtest(draft, active, UTC)
    for part in range(3):
        one = Backtest(draft, active, UTC)
        one.add([record for record in arrivals if int(record.study_uid[2:]) % 3 == part])
        one.finish()
        made.merge(one.state())
    documents = [document_of(one, draft, active, DAY) for one in (whole, made)]
    for document in documents:
        for listed in document["difference"]["arrivals"].values():
            listed["arrivals"].sort(key=lambda one: one["arrival"])
        for found in document["difference"]["rules"].values():
            for listed in found.values():
                listed["arrivals"].sort()
    assert documents[0] == documents[1]


def test_progress_is_told_and_it_can_be_cancelled():
    chunks = [[arrival(at, header(), study=f"1.{at}")] for at in range(5)]
    seen = []
    backtest(chunks, rules(), progress=seen.append)
    assert seen == [1, 2, 3, 4, 5]
    with pytest.raises(Cancelled):
        backtest(chunks, rules(), cancelled=lambda: True)
