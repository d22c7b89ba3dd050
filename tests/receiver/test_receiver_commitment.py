"""Storage commitment with real sockets: pynetdicom is the scanner that asks, and the target that reports."""

from __future__ import annotations

from typing import Any

import pytest
from commitment_rig import (
    BOTH_ROLES,
    INSTANCE,
    PUSH_MODEL,
    SCP_ROLE,
    SCU_ROLE,
    Scanner,
    action,
    reference,
    request,
    routing,
    site,
    told,
)
from pydicom.dataset import Dataset

from protocol.testing.images import TestImage

pytestmark = pytest.mark.slow
A, B = TestImage(instance=1), TestImage(instance=2)
UNKNOWN = TestImage(instance=77)


@pytest.fixture
def scanner():
    made = Scanner()
    yield made
    made.close()


@pytest.mark.parametrize("roles", [(), (SCU_ROLE,), (BOTH_ROLES,)])
def test_the_report_comes_on_the_association_of_the_request_once_the_target_has_the_images(tmp_path, scanner, roles):
    with site(tmp_path / "home", routing()) as at:
        at.receive(A, B)
        association = scanner.associate(at.rig.port, roles)
        assert request(association, action(A, B)) == 0
        at.work()
        assert at.states() == ["waiting"] and not scanner.reports  # nothing has it yet but we
        at.deliver()
        report = scanner.wait(at)
        at.until(lambda: at.states() == ["reported"])
        association.release()
        assert scanner.reports[0][0] == 1 and told(report) == {A.sop_uid: 0, B.sop_uid: 0}
        assert report.TransactionUID == "1.2.3.4"
        assert scanner.roles == [True]  # on the association that the scanner opened
        assert [event["how"] for event in at.rig.events("commitment.reported")] == ["same"]


def test_the_report_comes_on_a_new_association_when_the_scanner_has_hung_up(tmp_path, scanner):
    port = scanner.listen()
    with site(tmp_path / "home", routing({"policy": "target", "host": "127.0.0.1", "port": port})) as at:
        at.receive(A)
        association = scanner.associate(at.rig.port)
        assert request(association, action(A)) == 0
        association.release()
        at.deliver()
        report = scanner.wait(at)
        at.until(lambda: at.states() == ["reported"])
        assert told(report) == {A.sop_uid: 0} and scanner.roles == [False]
        assert [event["how"] for event in at.rig.events("commitment.reported")] == ["new"]


def test_many_reports_share_an_association(tmp_path, scanner):
    port = scanner.listen()
    with site(tmp_path / "home", routing({"policy": "spool", "port": port})) as at:
        at.receive(A)
        association = scanner.associate(at.rig.port)
        for number in range(5):
            assert request(association, action(A, transaction=f"1.2.{number}")) == 0
        association.release()
        at.router._swept = float("-inf")
        at.router.one_pass([])  # all are answered before the first is reported
        scanner.wait(at, 5)
        at.until(lambda: at.states() == ["reported"] * 5)
        assert sorted(one.TransactionUID for _, one in scanner.reports) == [f"1.2.{number}" for number in range(5)]
        assert len(scanner.associations) == 1


def test_without_an_address_of_its_source_the_report_goes_to_the_peer_at_the_configured_port(tmp_path, scanner):
    port = scanner.listen()
    with site(tmp_path / "home", routing("spool"), receiver__commitment_port=port) as at:
        at.receive(A)
        association = scanner.associate(at.rig.port)
        assert request(association, action(A)) == 0
        association.release()
        assert told(scanner.wait(at)) == {A.sop_uid: 0}


def test_where_nobody_knows_the_address_the_report_waits_and_people_see_it(tmp_path, scanner):
    with site(tmp_path / "home", routing("spool")) as at:
        at.receive(A)
        association = scanner.associate(at.rig.port)
        assert request(association, action(A)) == 0
        association.release()
        at.until(lambda: at.spool.notices.alerts("commitment.nowhere.CT1"))
        assert at.states() == ["answered"]


def test_a_request_and_its_answer_survive_the_end_of_the_receiver(tmp_path, scanner):
    port = scanner.listen()
    configuration = routing({"policy": "target", "port": port})
    with site(tmp_path / "home", configuration) as at:
        at.receive(A)
        association = scanner.associate(at.rig.port)
        assert request(association, action(A, transaction="1.2.9")) == 0
        association.abort()
    with site(tmp_path / "home", configuration) as at:
        assert at.states() == ["waiting"]
        at.deliver()
        assert scanner.wait(at).TransactionUID == "1.2.9"


def test_a_scanner_that_is_away_gets_its_report_when_it_is_back(tmp_path, scanner):
    port = scanner.listen()
    scanner.close()
    with site(tmp_path / "home", routing({"policy": "spool", "port": port})) as at:
        at.receive(A)
        association = scanner.associate(at.rig.port)
        assert request(association, action(A)) == 0
        association.release()
        at.until(lambda: at.rig.events("commitment.report.failed"))
        scanner.listen()
        command = at.spool.commands.ask("commitment.retry", "ann", {"commitment": at.spool.commitments.list()[0]["id"]})
        assert told(scanner.wait(at)) == {A.sop_uid: 0}
        assert at.spool.commands.find(command).state == "done"


def test_what_failed_is_reported_with_its_reason_as_event_two(tmp_path, scanner):
    with site(tmp_path / "home", routing({"policy": "target", "unknown_s": 0.0})) as at:
        at.receive(A)
        at.deliver()
        association = scanner.associate(at.rig.port)
        other_class = TestImage(instance=1, sop_class_uid="1.2.840.10008.5.1.4.1.1.4")
        assert request(association, action(A, UNKNOWN)) == 0
        scanner.wait(at)
        assert request(association, action(other_class, transaction="1.2.5")) == 0
        scanner.wait(at, 2)
        at.until(lambda: at.states() == ["reported"] * 2)
        association.release()
    assert [kind for kind, _ in scanner.reports] == [2, 2]
    assert told(scanner.reports[0][1]) == {A.sop_uid: 0, UNKNOWN.sop_uid: 0x0112}
    assert told(scanner.reports[1][1]) == {A.sop_uid: 0x0119}


def test_the_same_request_again_is_reported_again_and_another_one_under_its_uid_fails(tmp_path, scanner):
    with site(tmp_path / "home", routing("spool")) as at:
        at.receive(A, B)
        association = scanner.associate(at.rig.port)
        for count, images in ((1, (A,)), (2, (A,)), (3, (A, B))):
            assert request(association, action(*images)) == 0
            scanner.wait(at, count)
        at.until(lambda: at.states() == ["reported"] * 2)
        association.release()
    assert told(scanner.reports[1][1]) == {A.sop_uid: 0}
    assert told(scanner.reports[2][1]) == {A.sop_uid: 0x0131, B.sop_uid: 0x0131}


def test_a_report_that_the_scanner_could_not_process_comes_again_later(tmp_path, scanner):
    scanner.status = 0x0110
    port = scanner.listen()
    with site(tmp_path / "home", routing({"policy": "spool", "port": port})) as at:
        at.receive(A)
        association = scanner.associate(at.rig.port)
        assert request(association, action(A)) == 0
        scanner.wait(at)
        association.release()
        assert at.states() == ["answered"]
        scanner.status = 0
        at.spool.commands.ask("commitment.retry", "ann", {"commitment": at.spool.commitments.list()[0]["id"]})
        scanner.wait(at, 2)
        at.until(lambda: at.states() == ["reported"])


def test_off_is_refused_at_negotiation(tmp_path, scanner):
    with site(tmp_path / "home", routing("off")) as at:
        association = scanner.associate(at.rig.port)
        assert PUSH_MODEL in [context.abstract_syntax for context in association.rejected_contexts]
        association.release()


def test_off_is_refused_in_the_answer_where_a_target_may_report(tmp_path, scanner):
    with site(tmp_path / "home", routing("off", commitment=True)) as at:
        association = scanner.associate(at.rig.port)
        assert request(association, action(A)) == 0x0122
        association.release()
        assert at.states() == []


@pytest.mark.parametrize(
    ("change", "action_type", "status"),
    [(lambda data: data, 2, 0x0123), (lambda data: data.__delattr__("TransactionUID"), 1, 0x0120),
     (lambda data: data.__delattr__("ReferencedSOPSequence"), 1, 0x0120)],
)  # fmt: skip
def test_requests_that_make_no_sense_get_a_status_and_the_association_goes_on(
    tmp_path, scanner, change, action_type, status
):
    with site(tmp_path / "home", routing()) as at:
        association = scanner.associate(at.rig.port)
        data = action(A)
        change(data)
        assert request(association, data, action_type) == status
        assert request(association, action(A)) == 0
        association.release()
        assert at.states() == ["waiting"]


def test_a_request_of_many_megabytes_is_read_up_to_the_size_that_the_conformance_statement_names(tmp_path, scanner):
    with site(tmp_path / "home", routing()) as at:
        association = scanner.associate(at.rig.port)
        data = action(A)
        data.add_new(0x00091001, "OB", bytes(18 * 1024**2))
        assert request(association, data) == 0
        association.release()
        assert at.states() == ["waiting"]


def test_who_negotiated_to_be_scp_alone_cannot_ask(tmp_path, scanner):
    with site(tmp_path / "home", routing()) as at:
        association = scanner.associate(at.rig.port, (SCP_ROLE,))
        (context,) = [one for one in association.accepted_contexts if one.abstract_syntax == PUSH_MODEL]
        assert (context.as_scu, context.as_scp) == (False, True)
        association.release()


# ---- a target's report ----------------------------------------------------------------------------------------------


def confirming(at: Any) -> str:
    """A delivery that waits for the word of its target; the transaction UID."""
    at.receive(A, B)
    owner = at.spool.workers.enter("dispatcher", "9-8").owner
    claim = at.spool.deliveries.claim(owner, {"pacs": 1}, at.spool.database.clock.now() + 1)
    from protocol.spool.deliveries import ImageResult

    at.spool.deliveries.confirm(claim, [ImageResult(one.position, one.file.receipt, 0, True) for one in claim.images])
    asked = at.spool.confirmations.ask(claim)
    at.spool.confirmations.confirming(claim, at.spool.database.clock.now() + 1000)
    return asked.transaction_uid


def report(association: Any, transaction: str, done: Any, failed: Any = ()) -> int:
    data = Dataset()
    data.TransactionUID = transaction
    data.ReferencedSOPSequence = [reference(image.sop_class_uid, image.sop_uid) for image in done]
    if failed:
        data.FailedSOPSequence = [reference(image.sop_class_uid, image.sop_uid, 0x0112) for image in failed]
    status, _ = association.send_n_event_report(data, 2 if failed else 1, PUSH_MODEL, INSTANCE)
    return int(status.Status)


def test_a_target_reports_on_an_association_that_it_opens(tmp_path, scanner):
    with site(tmp_path / "home", routing(commitment=True)) as at:
        transaction = confirming(at)
        assert at.spool.deliveries.list()[0]["state"] == "confirming"
        association = scanner.associate(at.rig.port, (SCP_ROLE,))
        assert report(association, transaction, (A, B)) == 0
        association.release()
        at.until(lambda: at.spool.deliveries.list()[0]["state"] == "delivered")
        assert at.spool.arrivals.list()[0]["state"] == "delivered" and at.rig.healthy()


def test_images_that_a_target_does_not_commit_to_are_sent_again_alone(tmp_path, scanner):
    with site(tmp_path / "home", routing(commitment=True)) as at:
        transaction = confirming(at)
        association = scanner.associate(at.rig.port, (SCP_ROLE,))
        assert report(association, transaction, (A,), (B,)) == 0
        assert report(association, "1.2.99", (A,)) == 0x0110  # nobody asked that
        association.release()
        at.until(lambda: at.spool.deliveries.list()[0]["state"] == "retrying")
        owner = at.spool.workers.enter("dispatcher", "9-7").owner
        claim = at.spool.deliveries.claim(owner, {"pacs": 1}, at.spool.database.clock.now() + 1e6)
        assert [one.file.sop_instance_uid for one in claim.images] == [B.sop_uid]
