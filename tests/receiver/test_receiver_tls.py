"""The receiver's TLS port: images come in, strangers become events, certificates are renewed while it runs."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from receiver_rig import CT, HOST, Rig, receiver, send

from actors.dicom.scu import Association, Node, open_association
from actors.dicom.tls import ClientTls
from protocol.errors import AssociationRejected, ConfigurationError, NetworkError
from protocol.testing.images import TestImage
from tests.certificates import Authority, Pair


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


@pytest.fixture
def ours(authority: Authority) -> Pair:
    return authority.issue("first")


def settings_of(pair: Pair, authority: Authority) -> dict[str, object]:
    return {"cert": str(pair.cert), "key": str(pair.key), "ca": str(authority.cert), "port": 0}


def tls_receiver(home: Path, pair: Pair, authority: Authority, **more: object):  # type: ignore[no-untyped-def]
    named = {f"receiver__tls__{key}": value for key, value in (settings_of(pair, authority) | more).items()}
    return receiver(home, **named)


def associate(rig: Rig, authority: Authority, pair: Pair | None) -> Association:
    mine = (str(pair.cert), str(pair.key)) if pair else (None, None)
    tls = ClientTls(str(authority.cert), *mine)
    node = Node(HOST, rig.actor.ports[-1], "SCANPOST", "CT1", 131072, 5, 10, 10, tls)
    return open_association(node, [CT])


def test_images_arrive_over_tls_and_over_the_plain_port_beside_it(
    tmp_path: Path, ours: Pair, authority: Authority
) -> None:
    with tls_receiver(tmp_path / "home", ours, authority) as rig:
        with associate(rig, authority, authority.issue("scanner")) as secure, rig.associate("CT2") as plain:
            assert send(secure, TestImage(instance=1), tmp_path) == 0
            assert send(plain, TestImage(instance=2), tmp_path) == 0
        assert rig.until_closed(2) == ["released", "released"]
        assert len(rig.stored()) == 2 and rig.healthy()
        assert [line["tls"] for line in rig.log.of("listening")] == [False, True]


def test_a_sender_without_a_certificate_is_an_event_and_brings_nothing(
    tmp_path: Path, ours: Pair, authority: Authority
) -> None:
    with tls_receiver(tmp_path / "home", ours, authority) as rig:
        with pytest.raises(AssociationRejected, match="certificate"):
            associate(rig, authority, None)
        rig.until(lambda: rig.events("association.rejected"))
        (event,) = rig.events("association.rejected")
        assert event["reason"] == "TLS: the peer shows no certificate" and event["address"] == HOST
        assert rig.events("association.opened") == []


def test_a_silent_connection_holds_up_nobody(tmp_path: Path, ours: Pair, authority: Authority) -> None:
    with (
        tls_receiver(tmp_path / "home", ours, authority) as rig,
        socket.create_connection((HOST, rig.actor.ports[-1])),
    ):
        with associate(rig, authority, authority.issue("scanner")) as association:
            assert send(association, TestImage(), tmp_path) == 0
        assert rig.events("association.rejected") == []


def test_a_certificate_may_be_left_to_the_scanner(tmp_path: Path, ours: Pair, authority: Authority) -> None:
    with tls_receiver(tmp_path / "home", ours, authority, require_client_cert=False) as rig:
        with associate(rig, authority, None):
            pass
        assert rig.until_closed() == ["released"]


def test_a_renewed_certificate_is_served_after_the_next_pass_and_a_broken_one_is_not(
    tmp_path: Path, ours: Pair, authority: Authority
) -> None:
    scanner, new = authority.issue("scanner"), Authority(tmp_path / "new", "New CA")
    with tls_receiver(tmp_path / "home", ours, authority) as rig:
        assert rig.log.of("certificate_loaded")[0]["subject"] == "CN=first"
        ours.cert.write_text("half a fi")
        for _ in range(3):
            rig.actor.one_pass([])
        assert len(rig.log.of("certificate_kept")) == 1
        with associate(rig, authority, scanner):
            pass
        new.issue("second", into=ours)
        rig.actor.one_pass([])
        assert rig.log.of("certificate_renewed")[0]["subject"] == "CN=second"
        with pytest.raises(NetworkError, match="certificate is refused"):
            associate(rig, authority, scanner)
        with associate(rig, new, scanner):
            pass


def test_an_expired_certificate_of_ours_is_a_warning(tmp_path: Path, authority: Authority) -> None:
    with tls_receiver(tmp_path / "home", authority.issue("late", days=-1), authority) as rig:
        assert rig.log.of("certificate_expired")


def test_files_that_cannot_be_used_are_one_clear_line_at_the_start(tmp_path: Path, authority: Authority) -> None:
    wrong = Pair(authority.cert, authority.issue("other").key)
    with (
        pytest.raises(ConfigurationError, match=r"receiver\.tls\.cert .*ca\.pem"),
        tls_receiver(tmp_path / "home", wrong, authority),
    ):
        pass
