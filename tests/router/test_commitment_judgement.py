"""The pure judgement of one image that a scanner asked us to commit to: never yes to what could still be lost."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.router.commitment import COMMITTED, judge, next_look_s
from protocol.routing.commitment import SourceCommitment
from protocol.spool.commitments import Standing, Way
from protocol.states import ArrivalState

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
TARGET, SPOOL = SourceCommitment(), SourceCommitment(policy="spool")
ARCHIVE = SourceCommitment(target="archive")
DAY = 86_400.0

delivered = Way("pacs", "", True, True, True)
sent = Way("pacs", "", False, True, False)
waiting = Way("pacs", "", False, False, False)
cancelled = Way("pacs", "", False, True, True)
archived, archiving = Way("archive", "", True, True, True), Way("archive", "", False, False, False)


def verdict(standing, policy=TARGET, age_s=0.0, confirming=(), quarantined=False):
    return judge(CT, True, standing, quarantined, policy, confirming, age_s)


def at(state, *ways, sop_class=CT):
    return Standing(sop_class, 7, state, ways)


@pytest.mark.parametrize(
    ("standing", "policy", "expected"),
    [
        (at("open"), TARGET, None),
        (at("closed"), TARGET, None),
        (at("held"), TARGET, None),
        (at("discarded"), TARGET, 0x0110),
        (at("in_delivery", waiting), TARGET, None),
        (at("in_delivery", sent), TARGET, COMMITTED),
        (at("delivered", delivered), TARGET, COMMITTED),
        (at("in_delivery", delivered, archiving), TARGET, None),  # every target of the decision
        (at("in_delivery", delivered, cancelled), TARGET, COMMITTED),  # routed again after it was cancelled
        (at("in_delivery", cancelled, archiving), TARGET, 0x0110),
        (at("delivered", archived, cancelled), TARGET, 0x0110),
        (at("in_delivery", archived, waiting), ARCHIVE, COMMITTED),  # the reference alone counts
        (at("held", archived, waiting), ARCHIVE, COMMITTED),
        (at("in_delivery", delivered), ARCHIVE, 0x0110),  # no rule sends it there
        (at("open"), ARCHIVE, None),
        (at("delivered", Way("ai1", "archive", True, True, True)), ARCHIVE, COMMITTED),  # a group by its name
        (at("deleted", delivered), TARGET, COMMITTED),
        (at("deleted"), TARGET, 0x0112),
        (at("deleted"), SPOOL, 0x0112),
        (at("deleted", delivered), SPOOL, COMMITTED),
        (at("open"), SPOOL, COMMITTED),
        (at("discarded"), SPOOL, COMMITTED),
        (at("delivered", delivered, sop_class=MR), SPOOL, 0x0119),
        (None, SPOOL, None),
    ],
)
def test_where_the_image_stands_decides(standing, policy, expected):
    assert verdict(standing, policy) == expected


def test_a_target_that_is_asked_to_commit_itself_has_to_have_done_so():
    assert verdict(at("in_delivery", sent), confirming={"pacs"}) is None
    assert verdict(at("delivered", delivered), confirming={"pacs"}) == COMMITTED


def test_what_is_unknown_fails_after_its_time_and_what_is_not_there_after_a_longer_one():
    assert verdict(None, age_s=599) is None and verdict(None, age_s=600) == 0x0112
    assert verdict(None, quarantined=True) == 0x0110
    for standing in (at("open"), at("held"), at("in_delivery", waiting)):
        assert verdict(standing, age_s=DAY - 1) is None
        assert verdict(standing, age_s=DAY) == 0x0110


def test_what_is_no_image_is_not_supported():
    assert judge("1.2.840.10008.1.1", False, None, False, TARGET, (), 0.0) == 0x0122


ways = st.builds(Way, st.sampled_from(["a", "b"]), st.just(""), st.booleans(), st.booleans(), st.booleans())


@given(
    st.sampled_from(ArrivalState),
    st.lists(ways, max_size=4),
    st.floats(0, 1e6),
    st.sampled_from([TARGET, SourceCommitment(target="a")]),
)
@settings(max_examples=300)
def test_by_targets_nothing_is_committed_that_no_target_took(state, all_ways, age_s, policy):
    found = verdict(Standing(CT, 1, state, tuple(all_ways)), policy, age_s)
    wanted = {way.target for way in all_ways} if policy.target is None else {policy.target}
    took = {way.target for way in all_ways if way.delivered or (way.sent and not way.ended)}
    if found == COMMITTED:
        assert wanted and wanted <= took
    if age_s >= policy.wait_s:
        assert found is not None, "a request must end"


def test_old_requests_are_looked_at_seldom():
    assert next_look_s(0) == 0 and next_look_s(10) < 1 and next_look_s(1e6) == 30
