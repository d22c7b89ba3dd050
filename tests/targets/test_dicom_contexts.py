"""The contexts that a test of a DICOM target proposes, and what it tells of the answers."""

from __future__ import annotations

import pytest
from pynetdicom import AE

from actors.dicom.scu import MAX_CONTEXTS
from actors.targets import dicom_rungs
from actors.targets.dicom_contexts import MOST, answered, proposed
from actors.targets.ladder import climb
from protocol.errors import AssociationAborted
from protocol.routing.syntaxes import EXPLICIT, IMPLICIT, JPEG_LS
from tests.dicom.dicom_fakes import RecordingHandler, running_scp
from tests.peers import HOST
from tests.targets.test_dicom_target import dicom

CT, MR, ODD = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.3.4"


@pytest.mark.parametrize("syntaxes", [(), (EXPLICIT,), tuple(f"1.2.{n}" for n in range(32))])
def test_what_came_lately_is_asked_first_and_it_all_fits_one_association(syntaxes):
    lately = [(ODD, JPEG_LS), (CT, EXPLICIT)]
    asked = proposed(syntaxes, lately)
    assert asked[:2] == lately and len(asked) == len(set(asked)) <= MOST and MOST + 1 + 32 > MAX_CONTEXTS
    assert {syntax for _, syntax in asked[2:]} <= {*syntaxes} or not syntaxes


def test_answers_are_told_by_class_with_the_reason_and_silence_is_no_acceptance():
    asked = [(MR, EXPLICIT), (CT, EXPLICIT), (CT, IMPLICIT), (CT, JPEG_LS), (ODD, EXPLICIT)]
    rows = answered(asked, [(CT, EXPLICIT)], {(CT, EXPLICIT): 0, (CT, JPEG_LS): 4, (MR, EXPLICIT): 3})
    assert [(row["name"], row["lately"], row["accepted"], row["rejected"], row["why"]) for row in rows] == [
        (
            "CT Image Storage",
            True,
            ["explicit"],
            ["implicit", "jpeg-ls"],
            "not answered, transfer syntax not supported",
        ),
        ("MR Image Storage", False, [], ["explicit"], "SOP class not supported"),
        (ODD, False, [], ["explicit"], "not answered"),
    ]


def test_the_step_of_the_contexts_has_a_row_for_each_class_and_the_others_have_none():
    with running_scp(RecordingHandler()) as port:
        steps = {step.name: step for step in climb(dicom(port), [(ODD, EXPLICIT)])}
    assert all(step.ok for step in steps.values())
    rows = {row["sop_class"]: row for row in steps.pop("contexts").contexts}
    assert "explicit" in rows[CT]["accepted"] and rows[ODD]["lately"] and next(iter(rows)) == ODD
    assert all(step.contexts == [] for step in steps.values())


def test_a_target_that_takes_only_what_images_are_not_stored_in_is_told_as_that():
    peer = AE()
    peer.add_supported_context(CT, IMPLICIT)
    server = peer.start_server((HOST, 0), block=False)
    try:
        port = server.server_address[1]
        said = {step.name: step.text for step in climb(dicom(port))}["contexts"]
    finally:
        server.shutdown()
    assert said == "CT image storage is accepted, but only in implicit"


def test_a_target_that_breaks_off_at_many_contexts_is_tested_with_few(monkeypatch):
    def picky(node, contexts):
        if len(contexts) > 2:
            raise AssociationAborted("too many")
        return real(node, contexts)

    real = dicom_rungs.open_association
    monkeypatch.setattr(dicom_rungs, "open_association", picky)
    with running_scp(RecordingHandler()) as port:
        steps = climb(dicom(port))
    assert all(step.ok for step in steps) and steps[3].contexts == [] and "breaks off" in steps[2].text
