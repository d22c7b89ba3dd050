"""Asking a DICOM node by C-ECHO whether it is there: DCMTK, pynetdicom, peers that refuse, hang or lie."""

from __future__ import annotations

import threading

import pytest
from pynetdicom import AE
from pynetdicom.sop_class import MRImageStorage
from test_dicom_target import target

from actors.dicom import pdus
from actors.targets.interface import Probing
from protocol.errors import AssociationRejected, NetworkError, PeerTimeout, TargetUnreachable
from tests.dicom.dicom_fakes import RecordingHandler, raw_peer, read_pdu, running_scp
from tests.peers import HOST, StoreScp, free_port, needs_dcmtk


@needs_dcmtk
@pytest.mark.slow
def test_dcmtks_storescp_answers(tmp_path):
    with StoreScp(tmp_path / "in") as peer:
        made = target(peer.port)
        assert isinstance(made, Probing) and made.probe() == "C-ECHO answered 0x0000"


@needs_dcmtk
@pytest.mark.slow
def test_a_peer_that_refuses_every_association_for_good_is_left_to_the_next_delivery(tmp_path):
    with StoreScp(tmp_path / "in", options=["--refuse"]) as peer:
        assert "next delivery" in target(peer.port).probe()


@pytest.mark.slow
def test_a_peer_that_does_not_take_verification_is_there_all_the_same():
    peer = AE()
    peer.add_supported_context(MRImageStorage)
    server = peer.start_server((HOST, 0), block=False)
    try:
        assert target(server.server_address[1]).probe() == "it is there, and does not take C-ECHO"
    finally:
        server.shutdown()


def test_a_peer_that_is_busy_for_now_is_asked_again_later():
    def busy(sock):
        read_pdu(sock)
        sock.sendall(pdus.encode_reject(2, 3, 1))  # transient, presentation layer, temporary congestion

    with raw_peer(busy) as port, pytest.raises(AssociationRejected) as caught:
        target(port).probe()
    assert caught.value.for_now


def test_where_nobody_listens_nobody_is():
    with pytest.raises(TargetUnreachable):
        target(free_port()).probe()


def test_a_peer_that_takes_the_connection_and_says_nothing_is_away_within_the_limits():
    over = threading.Event()
    with raw_peer(lambda sock: over.wait(30)) as port:
        try:
            with pytest.raises(PeerTimeout):
                target(port, acse_timeout_s=0.2).probe()
        finally:
            over.set()


def test_a_peer_that_goes_in_the_middle_of_negotiating_is_away():
    with raw_peer(lambda sock: read_pdu(sock)) as port, pytest.raises(NetworkError):
        target(port).probe()


def test_our_own_receiver_answers_and_sees_the_configured_titles():
    handler = RecordingHandler()
    with running_scp(handler) as port:
        assert target(port, pass_calling_ae=True, pass_called_ae=True).probe() == "C-ECHO answered 0x0000"
    assert [(peer.calling_ae, peer.called_ae) for peer in handler.peers] == [("SCANPOST", "PACS")]
