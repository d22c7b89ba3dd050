"""What only targets of type sftp do: trust, logins, folders, temporary names, markers; against OpenSSH's server."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator

import pytest

from actors.targets.ladder import climb
from actors.targets.registry import make_target
from actors.targets.sftp import SftpSession
from protocol.errors import AssociationAborted, ConfigurationError, NetworkError, TargetUnreachable
from protocol.routing import targets as settings
from tests.dicom.dicom_fakes import raw_peer
from tests.dispatcher.dispatcher_fakes import wait_for
from tests.peers import free_port
from tests.sshd import Sshd, needs_sshd
from tests.targets.battery import dataset_of, quiet, send_all, spool_image
from tests.targets.files import dataset_in

pytestmark = [needs_sshd, pytest.mark.slow]
WRONG = "SHA256:" + "A" * 43
STEPS = ("name", "tcp", "ssh", "host key", "login", "folder", "write", "delete")


@pytest.fixture(scope="module")
def server() -> Iterator[Sshd]:
    with Sshd() as server:
        yield server


@pytest.fixture
def folder(server):
    return server.new_folder()


def said(server: Sshd, folder=None, **more) -> settings.SftpTarget:
    quick = {"path": str(folder or server.folder), "connect_timeout_s": 30.0, "timeout_s": 30.0, "layout": "a/b"}
    return settings.SftpTarget(**server.settings(**{**quick, **more}))


def sftp(server: Sshd, folder=None, **more):
    return make_target(said(server, folder, **more))


def send(target, *images):
    session = target.open(images, quiet)
    answers = send_all(session, images)
    session.close()
    return answers


def refused(target, image) -> NetworkError:
    with pytest.raises(NetworkError) as caught:
        target.open([image], quiet)
    return caught.value


# ---- whom we trust ---------------------------------------------------------------------------------------------------
def test_a_server_is_trusted_by_fingerprint_or_by_a_file_of_known_hosts(server, folder, tmp_path):
    image, known = spool_image(tmp_path), str(server.place / "known_hosts")
    for trust in ({}, {"host_key": None, "known_hosts": known}, {"host_key": None, "verify": False}):
        assert send(sftp(server, folder, **trust), image)[0].ok
        assert [(step.name, step.ok) for step in climb(said(server, folder, **trust))] == [(n, True) for n in STEPS]


def test_a_server_that_nobody_vouched_for_gets_nothing_and_the_fingerprint_is_told(server, tmp_path):
    error = refused(sftp(server, host_key=None), spool_image(tmp_path))
    assert not error.retryable and server.fingerprint in str(error) and "host_key" in str(error)
    last = climb(said(server, host_key=None))[-1]
    assert (last.name, last.ok) == ("host key", False) and server.fingerprint in last.text


@pytest.mark.parametrize("how", ["host_key", "known_hosts", "another host"])
def test_a_server_with_another_key_than_the_trusted_one_gets_nothing(server, tmp_path, how):
    other = tmp_path / "known_hosts"
    with Sshd() as stranger:
        lines = (stranger.place / "known_hosts").read_text()
    name = f"[127.0.0.1]:{server.port}" if how == "known_hosts" else "elsewhere"
    other.write_text(f"{name} {lines.partition(' ')[2]}")
    trust = {"host_key": WRONG} if how == "host_key" else {"host_key": None, "known_hosts": str(other)}
    error = refused(sftp(server, **trust), spool_image(tmp_path))
    assert not error.retryable and "host key" in str(error)
    last = climb(said(server, **trust))[-1]
    assert (last.name, last.ok) == ("host key", False)


# ---- who we are --------------------------------------------------------------------------------------------------------
def test_a_key_may_have_a_password_which_is_asked_for_by_reference(server, folder, tmp_path, monkeypatch):
    key = tmp_path / "key"
    key.write_bytes(server.key.read_bytes())
    key.chmod(0o600)
    subprocess.run(
        ["ssh-keygen", "-q", "-p", "-P", "", "-N", "open sesame", "-f", key], check=True, capture_output=True
    )
    monkeypatch.setenv("KEY_PASSWORD", "open sesame")
    locked = {"key_file": str(key), "key_password": "${KEY_PASSWORD}"}
    assert send(sftp(server, folder, **locked), spool_image(tmp_path))[0].ok
    monkeypatch.setenv("KEY_PASSWORD", "open barley")
    for wrong in (locked, {"key_file": str(key)}):
        with pytest.raises(ConfigurationError, match="key_file") as caught:
            sftp(server, **wrong)
        assert "sesame" not in str(caught.value) and "barley" not in str(caught.value)


def test_a_login_that_is_refused_is_final(server, tmp_path):
    error = refused(sftp(server, user="somebody-else"), spool_image(tmp_path))
    assert not error.retryable and "log in" in str(error)


@pytest.mark.parametrize("key", ["key_file", "known_hosts"])
def test_a_file_that_cannot_be_read_is_a_fault_of_the_configuration(server, tmp_path, key):
    with pytest.raises(ConfigurationError, match=key):
        sftp(server, **{"host_key": None, key: str(tmp_path / "none")})


# ---- who answers -------------------------------------------------------------------------------------------------------
def test_nobody_there_is_unreachable_and_what_speaks_no_ssh_is_told(server, tmp_path):
    image = spool_image(tmp_path)
    with pytest.raises(TargetUnreachable):
        sftp(server, port=free_port()).open([image], quiet)
    for line in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"SSH-2.0-x\r\n" + bytes(5000)):
        with raw_peer(lambda sock, line=line: sock.sendall(line)) as port:
            assert refused(sftp(server, port=port), image).retryable


def test_a_server_that_says_nothing_is_given_up(server, tmp_path):
    def silent(sock) -> None:
        while sock.recv(4096):
            continue

    with raw_peer(silent) as port:
        target = sftp(server, port=port, timeout_s=0.3)
        assert refused(target, spool_image(tmp_path)).retryable
        last = climb(said(server, port=port, timeout_s=0.3))[-1]
    assert (last.name, last.ok) == ("ssh", False)


def test_a_kept_session_whose_server_died_says_no_without_waiting_or_lets_the_next_one_be_opened(tmp_path):
    image = spool_image(tmp_path)
    with Sshd() as server:
        target = sftp(server, server.new_folder())
        session, other = target.open([image], quiet), target.open([image], quiet)
        assert session.send(image).ok
        server.stop()
        wait_for(lambda: not session.again([image], quiet), 60.0, threading.Event().wait)
        with pytest.raises(AssociationAborted):  # after which the dispatcher opens another one at once
            other.send(image)
        session.close()
        other.close()
        server.start()
        assert send(target, image)[0].ok


# ---- folders and files -------------------------------------------------------------------------------------------------
def test_the_folder_of_the_settings_is_never_made_and_may_come_later(server, folder, tmp_path):
    image, path = spool_image(tmp_path), folder / "mount"
    error = refused(sftp(server, path), image)
    assert error.retryable and "folder" in str(error) and not path.exists()
    assert climb(said(server, path))[-1].name == "folder"


def test_a_folder_that_we_may_not_write_to_is_final(server, folder, tmp_path):
    folder.chmod(0o555)
    (answer,) = send(sftp(server, folder), spool_image(tmp_path))
    assert not answer.retryable and answer.everywhere and "permit" in answer.words
    last = climb(said(server, folder))[-1]
    assert (last.name, last.ok) == ("write", False)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to own what the server's user may not replace")
def test_a_file_that_we_may_not_replace_keeps_only_itself_back(server, folder, tmp_path):
    images = [spool_image(tmp_path, number) for number in (1, 2, 3)]
    target = sftp(server, folder)
    send(target, images[0])
    os.chown(folder / "a" / "b", 0, 0)
    (folder / "a" / "b").chmod(0o1777)
    os.chown(folder / "a" / "b" / f"{images[0].sop_instance_uid}.dcm", 0, 0)
    answers = send(target, *images)
    assert [(answer.ok, answer.everywhere) for answer in answers] == [(False, True), (True, False), (True, False)]
    assert len(list(server.files(folder))) == 3, "nothing of the refused one is left but what was there"


def test_folders_that_were_tidied_away_between_two_images_are_made_again(server, folder, tmp_path):
    images = [spool_image(tmp_path, number) for number in (1, 2)]
    session = sftp(server, folder).open(images, quiet)
    assert session.send(images[0]).ok
    for path in (folder / "a").rglob("*.dcm"):
        path.unlink()
    (folder / "a" / "b").rmdir()
    (folder / "a").rmdir()
    assert session.send(images[1]).ok
    session.close()
    assert list(server.files(folder)) == [f"a/b/{images[1].sop_instance_uid}.dcm"]


def test_a_former_version_is_replaced_and_what_a_dead_attempt_left_is_removed(server, folder, tmp_path):
    image = spool_image(tmp_path, content=b"new" * 100)
    target = sftp(server, folder, layout="")
    name = f"{image.sop_instance_uid}.dcm"
    left = [folder / f".{name}.{image.receipt.hex()}{number}.part" for number in ("", ".1", ".2")]
    others = [folder / f".{name}.{'0' * 32}.part", folder / f".{name}.{image.receipt.hex()}"]
    for path in (folder / name, *left, *others):
        path.write_bytes(b"half")
        os.chown(path, *_owner(folder))
    assert send(target, image)[0].ok
    assert not any(path.exists() for path in left) and all(path.exists() for path in others)
    for path in others:
        path.unlink()
    ((found, data),) = server.files(folder).items()
    assert found == name and dataset_in(data) == (image.sop_instance_uid, dataset_of(image))


def test_who_is_killed_while_removing_what_others_left_leaves_it_to_the_next(server, folder, tmp_path, monkeypatch):
    image = spool_image(tmp_path)
    left = [folder / f".{image.sop_instance_uid}.dcm.{image.receipt.hex()}{number}.part" for number in ("", ".1", ".2")]
    for path in left:
        path.write_bytes(b"half")
        os.chown(path, *_owner(folder))
    remove, removed = SftpSession._remove, []

    async def killed(session, path):
        if removed:
            raise NetworkError("killed", True)
        removed.append(path)
        await remove(session, path)

    with monkeypatch.context() as patched:
        patched.setattr(SftpSession, "_remove", killed)
        session = sftp(server, folder, layout="").open([image], quiet)
        with pytest.raises(NetworkError):
            session.send(image)
        session.abort()
    assert sum(path.exists() for path in left) == 2
    assert send(sftp(server, folder, layout=""), image)[0].ok
    assert not any(path.exists() for path in left)


def _owner(path) -> tuple[int, int]:
    known = path.stat()
    return known.st_uid, known.st_gid


@pytest.mark.parametrize("lacking", ["fsync", "posix-rename", "fsync,posix-rename,statvfs"])
def test_a_server_without_openssh_s_extensions_gets_the_same_files(tmp_path, lacking):
    first, second = spool_image(tmp_path, 1, b"first"), spool_image(tmp_path, 1, b"second")
    with Sshd(sftp=f"internal-sftp -P {lacking}") as server:
        folder = server.new_folder()
        for image in (first, second):
            assert send(sftp(server, folder), image)[0].ok
            assert [dataset_in(data)[1] for data in server.files(folder).values()] == [dataset_of(image)]


@pytest.fixture
def small_disk(folder) -> Iterator[Callable[[str], None]]:
    """The server's folder is a file system of 1 MB, which can be made another size."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    owner = "uid={},gid={}".format(*_owner(folder))

    def mount(size: str, how: str = "remount,") -> int:
        options = f"{how}size={size},{owner}"
        return subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], capture_output=True
        ).returncode

    if mount("1m", ""):
        pytest.skip("this machine does not let us mount a small file system")
    yield mount
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_an_answer_that_passes_and_leaves_nothing_behind(server, folder, small_disk, tmp_path):
    image = spool_image(tmp_path, content=bytes(2 << 20))
    target = sftp(server, folder, layout="")
    (answer,) = send(target, image)
    assert not answer.ok and answer.retryable and answer.status in (0x0110, 0xA700)
    assert server.files(folder) == {}
    assert small_disk("8m") == 0
    assert send(target, image)[0].ok


def test_a_marker_stands_in_each_folder_after_the_last_image_and_may_be_written_again(server, folder, tmp_path):
    images = [spool_image(tmp_path, number, values={"PatientID": f"P{number}"}) for number in (1, 2)]
    target = sftp(server, folder, layout="{PatientID}", done="complete.txt")
    assert target.finishes and not sftp(server, folder).finishes
    send(target, *images)
    for _ in range(2):
        target.finish(images, quiet)
    files = server.files(folder)
    assert {name for name in files if not name.endswith(".dcm")} == {"P1/complete.txt", "P2/complete.txt"}
    assert files["P1/complete.txt"] == b""
    folder.joinpath("P1").chmod(0o555)
    with pytest.raises(NetworkError):
        target.finish(images, quiet)
