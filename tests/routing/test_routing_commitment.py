"""Settings of storage commitment: short forms, what must fit together, and clear words where it does not."""

from __future__ import annotations

import pytest

from protocol.errors import RoutingError
from protocol.routing.commitment import SourceCommitment, TargetCommitment
from protocol.routing.parse import build, to_data
from protocol.routing.sources import commitment_for

PACS = {"type": "dicom", "host": "10.0.0.9", "port": 104, "called_ae": "PACS"}


def source(commitment):
    data = {"targets": {"pacs": PACS}, "sources": {"ct1": {"calling_ae": "CT1", "commitment": commitment}}}
    return build(data, "test").sources["ct1"].commitment


def test_a_policy_alone_is_short_for_the_rest():
    assert source("spool") == SourceCommitment(policy="spool")
    assert source({"target": "pacs"}) == SourceCommitment(policy="target", target="pacs")
    for said, meant in (
        (True, TargetCommitment()),
        (False, None),
        (None, None),
        ({"wait_s": 60}, TargetCommitment(wait_s=60)),
    ):
        configuration = build({"targets": {"pacs": {**PACS, "commitment": said}}}, "test")
        assert configuration.targets["pacs"].commitment == meant
        assert build(to_data(configuration), "again") == configuration


@pytest.mark.parametrize(
    ("commitment", "words"),
    [
        ("maybe", "sources.ct1.commitment.policy"),
        ({"policy": "spool", "target": "pacs"}, "reference target is of no use"),
        ({"target": "pasc"}, "missing target or group 'pasc'. Did you mean"),
        ({"host": "10.0.0.1"}, "host needs a port"),
        ({"polcy": "off"}, "unknown key 'polcy'. Did you mean"),
    ],
)
def test_what_does_not_fit_is_one_line_with_its_place(commitment, words):
    with pytest.raises(RoutingError) as caught:
        source(commitment)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_an_unknown_source_gets_the_default_and_one_that_was_renamed_is_found_by_what_it_is():
    sources = build({"sources": {"ct1": {"calling_ae": "CT1", "commitment": "off"}}}, "test").sources
    assert commitment_for(sources, "ct1", "ANY", "10.0.0.1").policy == "off"
    assert commitment_for(sources, "former", "CT1", "10.0.0.1").policy == "off"
    assert commitment_for(sources, None, "MR1", "10.0.0.1") == SourceCommitment()
