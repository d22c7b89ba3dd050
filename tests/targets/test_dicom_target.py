"""The DICOM target keeps what its interface promises, with our own SCP, DCMTK's storescp and a peer that says nothing."""

from __future__ import annotations

import datetime
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from actors.dicom.tls import ServerTls
from actors.targets.ladder import climb
from actors.targets.registry import make_target
from protocol.errors import AssociationAborted, AssociationRejected, NetworkError, PeerTimeout, TargetUnreachable
from protocol.routing import targets as settings
from protocol.spool.images import ImageFile
from tests.certificates import Authority
from tests.dicom.dicom_fakes import RecordingHandler, raw_peer, running_scp
from tests.peers import HOST, StoreScp, dataset_bytes, free_port, needs_dcmtk

CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"  # no storage class: every receiver refuses it
PATIENT = {"connect_timeout_s": 30.0, "acse_timeout_s": 30.0, "dimse_timeout_s": 30.0}


def dicom(port: int, **more) -> settings.DicomTarget:
    return settings.DicomTarget(type="dicom", host=HOST, port=port, called_ae="PACS", **{**PATIENT, **more})


def target(port: int, **more):
    return make_target(dicom(port, **more))


def image(
    folder: Path, number: int, sop_class: str = CT, data: bytes | None = None, syntax: str = EXPLICIT
) -> ImageFile:
    uid = f"1.2.3.{number}"
    path = folder / f"{number}.dcm"
    data = _dataset(uid, sop_class) if data is None else data
    path.write_bytes(b"head" + data)
    return ImageFile(number.to_bytes(16, "big"), path, 4, len(data), sop_class, uid, syntax)


def _dataset(uid: str, sop_class: str) -> bytes:
    def element(tag: bytes, value: str) -> bytes:
        text = value.encode() + b"\0" * (len(value) % 2)
        return tag + b"UI" + len(text).to_bytes(2, "little") + text

    return element(b"\x08\x00\x16\x00", sop_class) + element(b"\x08\x00\x18\x00", uid)


def send_all(port: int, images, **more):
    session = target(port, **more).open(images, lambda: None)
    try:
        return [session.send(one) for one in images]
    finally:
        session.close()


def test_every_image_arrives_bit_by_bit_in_one_association_and_in_order(tmp_path):
    handler, images = RecordingHandler(), [image(tmp_path, n, data=bytes([n, 0]) * 1000 * n) for n in range(1, 6)]
    with running_scp(handler) as port:
        answers = send_all(port, images)
    assert [(answer.status, answer.ok) for answer in answers] == [(0, True)] * 5
    assert handler.datasets == [one.path.read_bytes()[4:] for one in images]
    assert len(handler.opened_ids) == 1 and handler.endings == ["released"]


@pytest.mark.parametrize(
    ("status", "ok", "retryable"),
    [
        (0xC000, False, False),
        (0xA700, False, True),
        (0x0110, False, True),
        (0x0111, True, False),
        (0xB007, True, False),
    ],
)
def test_a_status_is_an_answer_and_the_next_image_is_still_sent(tmp_path, status, ok, retryable):
    handler, images = RecordingHandler(), [image(tmp_path, n) for n in (1, 2)]
    handler.on_store = lambda request: status if request.sop_instance_uid.endswith("1") else 0
    with running_scp(handler) as port:
        first, second = send_all(port, images)
    assert (first.status, first.ok, first.retryable) == (status, ok, retryable) and second.ok
    assert first.words.startswith(f"{status:04X} ")


def test_an_image_whose_context_is_not_accepted_is_refused_with_the_reason_and_others_are_sent(tmp_path):
    handler, images = RecordingHandler(), [image(tmp_path, 1), image(tmp_path, 2, FIND), image(tmp_path, 3)]
    with running_scp(handler) as port:
        answers = send_all(port, images)
    assert [answer.ok for answer in answers] == [True, False, True]
    assert answers[1].status == 0x0122 and not answers[1].retryable
    name = "Study Root Query/Retrieve Information Model - FIND"
    assert answers[1].words == f"the target does not take {name} in Explicit VR Little Endian: SOP class not supported"


def test_more_contexts_than_an_association_can_propose_take_several_and_the_order_stays(tmp_path):
    # Classes 0..129, then the first one again: it was in the first association and must be in the second.
    classes = [f"1.2.826.0.1.3680043.9.{n}" for n in [*range(130), 0]]
    handler = RecordingHandler()
    images = [image(tmp_path, n + 1, sop_class) for n, sop_class in enumerate(classes)]
    with running_scp(handler) as port:
        answers = send_all(port, images)
    assert all(answer.ok for answer in answers) and len(handler.opened_ids) == 2
    assert [request.sop_class_uid for request in handler.stored] == classes


@pytest.mark.parametrize("damage", ["missing", "empty"])
def test_an_image_that_cannot_be_read_is_refused_and_the_rest_is_sent(tmp_path, damage):
    handler, images = RecordingHandler(), [image(tmp_path, n) for n in (1, 2, 3)]
    if damage == "missing":
        images[1].path.unlink()
    else:
        images[1].path.write_bytes(b"head")
    with running_scp(handler) as port:
        answers = send_all(port, images)
    assert [answer.ok for answer in answers] == [True, False, True] and not answers[1].retryable
    assert str(tmp_path) not in answers[1].words


def test_nobody_there_is_unreachable_and_can_be_tried_again(tmp_path):
    with pytest.raises(TargetUnreachable) as caught:
        target(free_port()).open([image(tmp_path, 1)], lambda: None)
    assert caught.value.retryable


def test_a_peer_that_takes_the_connection_and_says_nothing_is_a_timeout(tmp_path):
    def silent(sock: socket.socket) -> None:
        while sock.recv(4096):
            pass

    with raw_peer(silent) as port, pytest.raises(PeerTimeout):
        target(port, acse_timeout_s=0.3).open([image(tmp_path, 1)], lambda: None)


def test_a_large_image_gives_signs_of_life_while_it_is_sent(tmp_path):
    moments: list[int] = []
    handler, large = RecordingHandler(), image(tmp_path, 1, data=bytes(5 << 20))
    with running_scp(handler) as port:
        session = target(port).open([large], lambda: moments.append(1))
        before = len(moments)
        session.send(large)
        session.close()
    assert len(moments) - before > 5


def test_patience_covers_every_timeout(tmp_path):
    assert target(1, connect_timeout_s=10.0, acse_timeout_s=30.0, dimse_timeout_s=60.0).patience_s >= 10 + 30 + 60


def test_the_handshake_of_tls_counts_into_the_patience(tmp_path):
    limits = {"connect_timeout_s": 10.0, "acse_timeout_s": 30.0, "dimse_timeout_s": 60.0}
    assert target(1, tls={}, **limits).patience_s == target(1, **limits).patience_s + 30


def test_images_go_out_over_tls_with_the_files_that_the_settings_name(tmp_path):
    authority = Authority(tmp_path / "ca")
    theirs, ours = authority.issue("pacs"), authority.issue("scanpost")
    handler, images = RecordingHandler(), [image(tmp_path, n) for n in (1, 2)]
    with running_scp(handler, ServerTls(theirs.cert, theirs.key, authority.cert)) as port:
        tls = {"ca": str(authority.cert), "cert": str(ours.cert), "key": str(ours.key)}
        assert all(answer.ok for answer in send_all(port, images, tls=tls))
        with pytest.raises(AssociationRejected) as caught:
            send_all(port, images, tls={"ca": str(authority.cert)})
    assert caught.value.retryable and handler.peers[0].subject == "CN=scanpost" and len(handler.opened_ids) == 1


def test_the_ladder_names_certificate_and_its_end(tmp_path):
    authority, late = Authority(tmp_path / "ca"), Authority(tmp_path / "late")
    theirs, expired = authority.issue("pacs", days=30), late.issue("pacs", days=-1)
    with running_scp(RecordingHandler(), ServerTls(theirs.cert, theirs.key)) as port:
        good = climb(dicom(port, tls={"ca": str(authority.cert)}))
        unchecked = climb(dicom(port, tls={"verify": False}))
        plain = climb(dicom(port))
    with running_scp(RecordingHandler(), ServerTls(expired.cert, expired.key)) as port:
        bad = climb(dicom(port, tls={"ca": str(late.cert)}))
    assert [(step.name, step.ok) for step in good] == [
        (name, True) for name in ("name", "tcp", "tls", "association", "contexts", "echo")
    ]
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=30)
    assert "CN=pacs" in good[2].text and f"{until:%Y-%m}" in good[2].text and "NOT verified" not in good[2].text
    assert "NOT verified" in unchecked[2].text
    assert [step.name for step in plain] == ["name", "tcp", "association"] and not plain[-1].ok
    assert [(step.name, step.ok) for step in bad] == [("name", True), ("tcp", True), ("tls", False)]
    assert "expired" in bad[-1].text


@needs_dcmtk
@pytest.mark.slow
def test_storescp_keeps_the_very_bytes(tmp_path):
    (tmp_path / "out").mkdir()
    images = [image(tmp_path / "out", n) for n in (1, 2, 3)]
    with StoreScp(tmp_path / "in") as peer:
        assert all(answer.ok for answer in send_all(peer.port, images))
        arrived = sorted(dataset_bytes(path) for path in peer.received())
    assert arrived == sorted(one.path.read_bytes()[4:] for one in images)


@needs_dcmtk
@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "error"),
    [("--refuse", AssociationRejected), ("--abort-during", AssociationAborted), ("--sleep-during 30", PeerTimeout)],
)
def test_what_storescp_does_wrong_is_a_network_error_that_can_be_tried_again(tmp_path, option, error):
    images = [image(tmp_path, n) for n in (1, 2)]
    with StoreScp(tmp_path / "in", options=option.split()) as peer, pytest.raises(NetworkError) as caught:
        send_all(peer.port, images, dimse_timeout_s=0.5 if error is PeerTimeout else 30.0)
    assert isinstance(caught.value, error) and caught.value.retryable


def sent_by(one: ImageFile, calling_ae: object, called_ae: str = "ROUTER") -> ImageFile:
    return replace(one, values={"SenderAET": calling_ae, "ReceiverAET": called_ae})


def titles(handler: RecordingHandler) -> list[tuple[str, str]]:
    return [(peer.calling_ae, peer.called_ae) for peer in handler.peers]


@pytest.mark.parametrize(
    ("settings", "seen"),
    [
        ({}, ("SCANPOST", "PACS")),
        ({"calling_ae": "HUB"}, ("HUB", "PACS")),
        ({"calling_ae": "HUB", "pass_calling_ae": True}, ("MR1", "PACS")),
        ({"pass_called_ae": True}, ("SCANPOST", "ROUTER")),
        ({"pass_calling_ae": True, "pass_called_ae": True}, ("MR1", "ROUTER")),
    ],
)
def test_the_target_sees_the_configured_titles_or_those_of_the_scanner(tmp_path, settings, seen):
    handler = RecordingHandler()
    with running_scp(handler) as port:
        send_all(port, [sent_by(image(tmp_path, 1), "MR1")], **settings)
    assert titles(handler) == [seen]


@pytest.mark.parametrize("title", ["", "   ", "A\\B", "A\nB", "\u00e4", "SEVENTEENLETTERSX", 7 * [0], "\ud800"])
def test_a_title_that_cannot_be_proposed_is_not_passed(tmp_path, title):
    handler = RecordingHandler()
    with running_scp(handler) as port:
        assert send_all(port, [sent_by(image(tmp_path, 1), title)], pass_calling_ae=True)[0].ok
    assert titles(handler) == [("SCANPOST", "PACS")]


def test_series_of_different_scanners_never_share_an_association_those_of_one_do(tmp_path):
    handler = RecordingHandler()
    images = [sent_by(image(tmp_path, n), ae) for n, ae in enumerate(["MR1", "MR1", "CT1"])]
    with running_scp(handler) as port:
        session = target(port, pass_calling_ae=True).open(images[:1], lambda: None)
        session.send(images[0])
        assert session.again(images[1:2], lambda: None) and session.send(images[1]).ok
        assert not session.again(images[2:], lambda: None)
        session.close()
        send_all(port, images[2:], pass_calling_ae=True)
    assert titles(handler) == [("MR1", "PACS"), ("CT1", "PACS")]


@needs_dcmtk
def test_who_aborts_at_an_image_of_odd_length_is_said_to_have_a_reason(tmp_path):
    """PS3.8 annex E: fragments are even."""
    odd, even = image(tmp_path, 1, data=_dataset("1.2.3.1", CT) + b"x"), image(tmp_path, 2)
    with StoreScp(tmp_path / "scp") as peer, pytest.raises(AssociationAborted, match="odd number of bytes"):
        send_all(peer.port, [odd])
    with StoreScp(tmp_path / "aborts", options=["--abort-after"]) as peer, pytest.raises(AssociationAborted) as caught:
        send_all(peer.port, [even])
    assert "odd" not in str(caught.value)
