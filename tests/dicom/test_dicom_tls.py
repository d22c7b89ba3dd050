"""DICOM over TLS: our SCU and SCP with each other, with DCMTK, and with peers whose certificates or manners are wrong."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from dicom_fakes import RecordingHandler, ct_and_mr, node, raw_peer, read_all, running_scp

from actors.dicom.part10 import read_part10
from actors.dicom.scu import VERIFICATION_CONTEXT, OutgoingImage, open_association
from actors.dicom.tls import ClientTls, ServerTls
from protocol.errors import AssociationRejected, ConfigurationError, NetworkError, PeerTimeout, TargetUnreachable
from tests.certificates import Authority, Pair
from tests.peers import HOST, StoreScp, dataset_bytes, echoscu, needs_dcmtk, storescu

CT = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("other"), "Other CA")


@pytest.fixture(scope="module")
def ours(authority: Authority) -> Pair:
    return authority.issue("scanpost")


@pytest.fixture(scope="module")
def scanner(authority: Authority) -> Pair:
    return authority.issue("scanner 1")


def client(authority: Authority, pair: Pair | None = None, **more: object) -> ClientTls:
    mine = (str(pair.cert), str(pair.key)) if pair else (None, None)
    return ClientTls(str(authority.cert), *mine, **more)  # type: ignore[arg-type]


def mutual(ours: Pair, authority: Authority) -> ServerTls:
    return ServerTls(ours.cert, ours.key, authority.cert)


def echo(port: int, tls: ClientTls | None, **limits: object) -> int:
    with open_association(node(port, tls=tls, **limits), [VERIFICATION_CONTEXT]) as association:
        return association.echo()


def refusal(port: int, tls: ClientTls | None) -> NetworkError:
    with pytest.raises(NetworkError) as caught:
        echo(port, tls)
    assert caught.value.retryable, "certificates get mended"
    return caught.value


# -- both sides ours ---------------------------------------------------------------------------------------------


def test_a_peer_with_a_certificate_is_served_and_known_by_its_subject(
    ours: Pair, authority: Authority, scanner: Pair
) -> None:
    handler = RecordingHandler()
    with running_scp(handler, mutual(ours, authority)) as port:
        assert echo(port, client(authority, scanner)) == 0
        handler.wait(lambda: handler.closed_ids)
    assert handler.endings == ["released"] and handler.refused_pdus == []
    assert handler.peers[0].subject == "CN=scanner 1"


@pytest.mark.parametrize("size", [2, 65_536, 1024 * 1024 + 2, 5 * 1024 * 1024 + 4])
@pytest.mark.parametrize("max_pdu", [4096, 131072, 0])
def test_data_sets_of_any_size_arrive_whole(
    size: int, max_pdu: int, ours: Pair, authority: Authority, scanner: Pair, tmp_path: Path
) -> None:
    data = (bytes(index * 7 % 256 for index in range(1021)) * (size // 1021 + 1))[:size]
    path = tmp_path / "image"
    path.write_bytes(b"head" + data)
    handler = RecordingHandler()
    with (
        running_scp(handler, mutual(ours, authority), max_pdu=max_pdu) as port,
        open_association(node(port, tls=client(authority, scanner)), [CT]) as association,
    ):
        for number in range(2):
            assert association.store(OutgoingImage(path, 4, CT[0], f"1.2.{number}", CT[1])).status == 0
    assert handler.datasets == [data, data]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_of_bcp_195_are_spoken_and_the_newer_one_by_default(
    version: ssl.TLSVersion, ours: Pair, authority: Authority
) -> None:
    context = ssl.create_default_context(cafile=authority.cert)
    if version is ssl.TLSVersion.TLSv1_2:
        context.maximum_version = version
    with (
        running_scp(RecordingHandler(), ServerTls(ours.cert, ours.key)) as port,
        socket.create_connection((HOST, port)) as sock,
        context.wrap_socket(sock, server_hostname=HOST) as secure,
    ):
        assert secure.version() == version.name.replace("TLSv1_", "TLSv1.")
        cipher = secure.cipher()
        assert cipher is not None and ("GCM" in cipher[0] or "CHACHA20" in cipher[0])


def test_an_old_version_of_tls_is_refused(ours: Pair) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    handler = RecordingHandler()
    with running_scp(handler, ServerTls(ours.cert, ours.key)) as port:
        with socket.create_connection((HOST, port)) as sock, pytest.raises(ssl.SSLError):
            context.wrap_socket(sock)
        handler.wait(lambda: handler.refused_pdus)
    assert "no version or cipher in common" in handler.refused_pdus[0]


def test_without_a_ca_anybody_may_connect_but_nobody_is_known(ours: Pair, authority: Authority, scanner: Pair) -> None:
    handler = RecordingHandler()
    with running_scp(handler, ServerTls(ours.cert, ours.key)) as port:
        assert echo(port, client(authority)) == 0
        assert echo(port, client(authority, scanner)) == 0
    assert [peer.subject for peer in handler.peers] == ["", ""]


def test_a_certificate_by_choice_is_checked_if_it_is_shown(
    ours: Pair, authority: Authority, scanner: Pair, other: Authority
) -> None:
    handler = RecordingHandler()
    tls = ServerTls(ours.cert, ours.key, authority.cert, require_client_cert=False)
    with running_scp(handler, tls) as port:
        assert echo(port, client(authority)) == 0
        assert echo(port, client(authority, scanner)) == 0
        refusal(port, client(authority, other.issue("stranger")))
    assert [peer.subject for peer in handler.peers] == ["", "CN=scanner 1"]


def test_a_single_certificate_may_be_trusted_without_its_authority(ours: Pair, authority: Authority) -> None:
    with running_scp(RecordingHandler(), ServerTls(ours.cert, ours.key)) as port:
        assert echo(port, ClientTls(ca=str(ours.cert))) == 0


def test_an_association_that_is_cut_while_it_stores_still_answers_encrypted(
    ours: Pair, authority: Authority, scanner: Pair, tmp_path: Path
) -> None:
    handler, inside, go = RecordingHandler(), threading.Event(), threading.Event()

    def store(request: object) -> int:
        inside.set()
        assert go.wait(60)
        return 0

    handler.on_store = store
    path = tmp_path / "image"
    path.write_bytes(bytes(100))
    statuses = []

    def send(port: int) -> None:
        association = open_association(node(port, tls=client(authority, scanner)), [CT])
        statuses.append(association.store(OutgoingImage(path, 0, CT[0], "1.2.3", CT[1])).status)
        association.abort()

    with running_scp(handler, mutual(ours, authority)) as port:
        thread = threading.Thread(target=send, args=(port,))
        thread.start()
        assert inside.wait(60)
        # `running_scp` stops with no patience: the association is cut, its handler finishes, its answer goes out.
        threading.Timer(0.2, go.set).start()
    thread.join(60)
    assert statuses == [0]


# -- who is refused ----------------------------------------------------------------------------------------------


def test_a_scanner_without_a_certificate_is_told_so_and_the_node_records_it(ours: Pair, authority: Authority) -> None:
    handler = RecordingHandler()
    with running_scp(handler, mutual(ours, authority)) as port:
        error = refusal(port, client(authority))
        handler.wait(lambda: handler.refused_pdus)
    assert isinstance(error, AssociationRejected) and "wants a certificate of ours" in str(error)
    assert handler.refused_pdus == ["TLS: the peer shows no certificate"] and handler.opened_ids == []


@pytest.mark.parametrize(("wrong", "said"), [("stranger", "unable to get local issuer"), ("expired", "expired")])
def test_a_scanner_with_a_wrong_certificate_is_refused(
    wrong: str, said: str, ours: Pair, authority: Authority, other: Authority
) -> None:
    pair = other.issue("stranger") if wrong == "stranger" else authority.issue("late", days=-1)
    handler = RecordingHandler()
    with running_scp(handler, mutual(ours, authority)) as port:
        error = refusal(port, client(authority, pair))
        handler.wait(lambda: handler.refused_pdus)
    assert isinstance(error, AssociationRejected) and "refuses our certificate" in str(error)
    assert said in handler.refused_pdus[0] and handler.opened_ids == []


@pytest.mark.parametrize(("wrong", "said"), [("ca", "issuer"), ("expired", "expired"), ("name", "not valid for")])
def test_a_target_with_a_wrong_certificate_gets_nothing(
    wrong: str, said: str, ours: Pair, authority: Authority, other: Authority
) -> None:
    tls = client(other if wrong == "ca" else authority)
    pair = ours
    if wrong == "expired":
        pair = authority.issue("late", days=-1)
    elif wrong == "name":
        pair = authority.issue("pacs", host="pacs.example.org")
    handler = RecordingHandler()
    with running_scp(handler, ServerTls(pair.cert, pair.key)) as port:
        error = refusal(port, tls)
    assert isinstance(error, AssociationRejected)
    assert "certificate is refused" in str(error) and said in str(error)
    assert handler.opened_ids == []


def test_a_target_may_carry_another_name_than_its_host_if_the_settings_say_so(authority: Authority) -> None:
    pair = authority.issue("pacs", host="pacs.example.org")
    with running_scp(RecordingHandler(), ServerTls(pair.cert, pair.key)) as port:
        assert echo(port, client(authority, server_name="pacs.example.org")) == 0
        assert echo(port, ClientTls(verify=False)) == 0


def test_a_sender_without_tls_is_turned_away_at_once(ours: Pair, authority: Authority) -> None:
    handler = RecordingHandler()
    with running_scp(handler, mutual(ours, authority)) as port:
        refusal(port, None)
        handler.wait(lambda: handler.refused_pdus)
    assert handler.refused_pdus == ["TLS: the peer speaks no TLS"]


def test_a_target_without_tls_is_named_as_that(authority: Authority) -> None:
    with running_scp(RecordingHandler()) as port:
        assert "speaks no TLS" in str(refusal(port, client(authority)))


def test_own_files_that_cannot_be_used_are_said_before_anything_is_sent(authority: Authority, ours: Pair) -> None:
    with running_scp(RecordingHandler()) as port:
        missing = refusal(port, ClientTls(ca="/nowhere/ca.pem"))
        mixed = refusal(port, ClientTls(str(authority.cert), str(authority.cert), str(ours.key)))
    assert isinstance(missing, TargetUnreachable) and "/nowhere/ca.pem" in str(missing)
    assert "tls.cert" in str(mixed) and "key values mismatch" in str(mixed)


def test_the_password_of_our_key_is_taken_from_where_the_settings_say(
    authority: Authority, ours: Pair, scanner: Pair, tmp_path: Path
) -> None:
    locked, secret = tmp_path / "locked.key", tmp_path / "password"
    key = serialization.load_pem_private_key(scanner.key.read_bytes(), None)
    encryption = serialization.BestAvailableEncryption(b"correct horse")
    locked.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    )  # fmt: skip
    mine = ClientTls(str(authority.cert), str(scanner.cert), str(locked), key_password=f"file:{secret}")
    with running_scp(RecordingHandler(), mutual(ours, authority)) as port:
        assert f"file:{secret}: cannot be read" in str(refusal(port, mine))
        secret.write_text("wrong horse\n")
        wrong = refusal(port, mine)
        assert isinstance(wrong, TargetUnreachable) and "tls.cert" in str(wrong) and "horse" not in str(wrong)
        secret.write_text("correct horse\n")
        assert echo(port, mine) == 0


# -- who says nothing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01"], ids=["nothing", "one byte", "a header"])
def test_a_handshake_that_never_comes_ends_at_its_limit_and_holds_up_nobody(
    said: bytes, ours: Pair, authority: Authority, scanner: Pair
) -> None:
    handler = RecordingHandler()
    with (
        running_scp(handler, mutual(ours, authority), acse_timeout_s=60.0) as port,
        socket.create_connection((HOST, port)) as silent,
    ):
        silent.sendall(said)
        assert echo(port, client(authority, scanner)) == 0
        assert handler.refused_pdus == [], "the silent one still waits"
    handler = RecordingHandler()
    with (
        running_scp(handler, mutual(ours, authority), acse_timeout_s=1.0) as port,
        socket.create_connection((HOST, port)) as silent,
    ):
        begun = time.monotonic()
        silent.sendall(said)
        read_all(silent)
        assert time.monotonic() - begun > 0.5
        handler.wait(lambda: handler.refused_pdus)
    assert handler.refused_pdus == ["no TLS handshake within 1 s"]


def test_a_health_check_that_connects_and_closes_is_no_event(ours: Pair, authority: Authority, scanner: Pair) -> None:
    handler = RecordingHandler()
    with running_scp(handler, mutual(ours, authority)) as port:
        socket.create_connection((HOST, port)).close()
        with socket.create_connection((HOST, port)) as half:
            half.sendall(b"\x16\x03")
        handler.wait(lambda: handler.refused_pdus)  # of the second one: it began
        assert echo(port, client(authority, scanner)) == 0
    assert len(handler.refused_pdus) == 1 and "broke" in handler.refused_pdus[0]


def test_a_target_that_never_answers_the_handshake_is_a_timeout(authority: Authority) -> None:
    def silent(sock: socket.socket) -> None:
        read_all(sock)

    with raw_peer(silent) as port, pytest.raises(PeerTimeout, match="handshake"):
        echo(port, client(authority), acse_timeout_s=0.3)


def test_silence_after_the_handshake_ends_within_the_same_limit(ours: Pair, authority: Authority) -> None:
    handler = RecordingHandler()
    context = ssl.create_default_context(cafile=authority.cert)
    with (
        running_scp(handler, ServerTls(ours.cert, ours.key), acse_timeout_s=3.0) as port,
        socket.create_connection((HOST, port)) as sock,
        context.wrap_socket(sock, server_hostname=HOST) as secure,
    ):
        assert read_all(secure) == b""  # ARTIM: closed without a word, PS3.8 section 9.2, AA-2
    assert handler.refused_pdus == ["no association request within 3 s"]


# -- reload ------------------------------------------------------------------------------------------------------


def test_renewed_files_serve_new_connections_while_open_ones_go_on(authority: Authority, scanner: Pair) -> None:
    pair = authority.issue("first")
    tls = ServerTls(pair.cert, pair.key, authority.cert)
    with (
        running_scp(RecordingHandler(), tls) as port,
        open_association(node(port, tls=client(authority, scanner)), [VERIFICATION_CONTEXT]) as before,
    ):
        assert tls.reload() is False
        authority.issue("second", days=90, into=pair)
        assert tls.reload() is True and tls.reload() is False
        assert tls.certificate.subject == "CN=second"
        assert tls.certificate.expires > datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=80)
        assert before.echo() == 0
        assert shown_by(port, authority, scanner) == "second"


@pytest.mark.parametrize("damage", ["rubbish", "gone", "another key", "no ca"])
def test_broken_new_files_are_said_once_and_the_old_ones_stay(
    damage: str, authority: Authority, scanner: Pair, tmp_path: Path
) -> None:
    pair, ca = authority.issue("first"), tmp_path / "ca.pem"
    ca.write_bytes(authority.cert.read_bytes())
    tls = ServerTls(pair.cert, pair.key, ca)
    match damage:
        case "rubbish":
            pair.cert.write_text("-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n")
        case "gone":
            pair.cert.unlink()
        case "another key":
            pair.key.write_bytes(authority.issue("x").key.read_bytes())
        case _:
            ca.write_text("")
    with running_scp(RecordingHandler(), tls) as port:
        with pytest.raises(ConfigurationError, match="receiver.tls"):
            tls.reload()
        assert tls.reload() is False
        assert shown_by(port, authority, scanner) == "first"
        ca.write_bytes(authority.cert.read_bytes())
        authority.issue("mended", into=pair)
        assert tls.reload() is True
        assert shown_by(port, authority, scanner) == "mended"


def test_a_key_with_a_password_is_refused_instead_of_asking_for_it(ours: Pair, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(ours.key.read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(ConfigurationError, match="receiver.tls.cert"):
        ServerTls(ours.cert, locked)


def shown_by(port: int, authority: Authority, pair: Pair) -> str:
    context = ssl.create_default_context(cafile=authority.cert)
    context.load_cert_chain(pair.cert, pair.key)
    with socket.create_connection((HOST, port)) as sock, context.wrap_socket(sock, server_hostname=HOST) as secure:
        shown = secure.getpeercert()
    assert shown is not None
    (((_, name),),) = shown["subject"]
    return str(name)


# -- DCMTK -------------------------------------------------------------------------------------------------------


def dcmtk_options(pair: Pair, authority: Authority) -> list[str]:
    return ["+tls", str(pair.key), str(pair.cert), "+cf", str(authority.cert)]


@needs_dcmtk
@pytest.mark.slow
@pytest.mark.parametrize("profile", ["+py", "+px", "+pz"])
def test_storescu_sends_over_tls_in_every_profile_of_bcp_195(
    profile: str, ours: Pair, authority: Authority, scanner: Pair, tmp_path: Path
) -> None:
    handler, files = RecordingHandler(), ct_and_mr()
    with running_scp(handler, mutual(ours, authority)) as port, StoreScp(tmp_path / "plain") as reference:
        assert storescu(reference.port, files).returncode == 0
        done = storescu(port, files, [*dcmtk_options(scanner, authority), profile])
        assert done.returncode == 0, done.stderr
        handler.wait(lambda: handler.closed_ids)
        expected = sorted(dataset_bytes(path) for path in reference.received())
    assert sorted(handler.datasets) == expected
    assert handler.endings == ["released"] and handler.peers[0].subject == "CN=scanner 1"


@needs_dcmtk
@pytest.mark.slow
def test_echoscu_is_refused_with_a_strange_certificate_or_none(
    ours: Pair, authority: Authority, other: Authority
) -> None:
    handler = RecordingHandler()
    with running_scp(handler, mutual(ours, authority)) as port:
        assert echoscu(port, options=dcmtk_options(other.issue("stranger"), authority)).returncode != 0
        assert echoscu(port, options=["+tla", "+cf", str(authority.cert)]).returncode != 0
        assert echoscu(port).returncode != 0
        handler.wait(lambda: len(handler.refused_pdus) == 3)
    assert handler.opened_ids == []


@needs_dcmtk
@pytest.mark.slow
def test_images_reach_storescp_over_tls_bit_by_bit(
    ours: Pair, authority: Authority, scanner: Pair, tmp_path: Path
) -> None:
    images = [read_part10(path) for path in ct_and_mr()]
    contexts = [(image.sop_class_uid, image.transfer_syntax_uid) for image in images]
    with StoreScp(tmp_path / "in", options=dcmtk_options(scanner, authority)) as target:
        with open_association(node(target.port, tls=client(authority, ours)), contexts) as association:
            assert [association.store(image).status for image in images] == [0, 0]
        arrived = sorted(dataset_bytes(path) for path in target.received())
        assert "certificate" in str(refusal(target.port, client(authority)))
    assert arrived == sorted(dataset_bytes(image.path) for image in images)
