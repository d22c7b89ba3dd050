"""`scanpost send` and `scanpost echo` as people and scripts use them."""

from __future__ import annotations

import io
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pydicom import dcmread
from pydicom.data import get_testdata_file
from rich.console import Console

from actors.dicom import pdus
from actors.dicom.bulk import FileReport
from actors.dicom.pdus import AssociateAc, ContextResult
from actors.dicom.tls import ServerTls
from scanpost.bar import Bar
from scanpost.main import cli
from tests.certificates import Authority
from tests.dicom.dicom_fakes import RecordingHandler, ct_and_mr, raw_peer, read_pdu, running_scp
from tests.peers import HOST, dataset_bytes, echoscu, free_port, needs_dcmtk


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Two images, a DICOMDIR, a dataset without meta information, a text and an empty file, in folders."""
    folder = tmp_path / "mixed"
    (folder / "deep" / "er").mkdir(parents=True)
    ct, mr = ct_and_mr()
    shutil.copy(ct, folder / "a.dcm")
    shutil.copy(mr, folder / "deep" / "er" / "no-suffix")
    shutil.copy(str(get_testdata_file("DICOMDIR")), folder / "DICOMDIR")
    (folder / "raw").write_bytes(dataset_bytes(ct))
    (folder / "readme.txt").write_text("no image")
    (folder / "empty").write_bytes(b"")
    return folder


def test_folders_are_searched_and_what_is_no_image_is_named(mixed: Path) -> None:
    handler = RecordingHandler()
    with running_scp(handler) as port:
        done = run("send", HOST, port, mixed)
    assert done.exit_code == 22 and len(handler.stored) == 2 and handler.endings == ["released"]
    assert f"{mixed}/DICOMDIR: a DICOMDIR is no image" in done.output
    assert f"{mixed}/raw: a dataset without file meta information" in done.output
    assert f"{mixed}/readme.txt: no DICOM file" in done.output and f"{mixed}/empty: no DICOM file" in done.output
    assert "2 sent" in done.output and "4 failed" in done.output


def test_what_one_small_image_has_is_not_told_as_nothing(tmp_path: Path) -> None:
    small = dcmread(ct_and_mr()[0])
    small.Rows = small.Columns = 32
    small.PixelData = bytes(2 * 32 * 32)
    small.save_as(tmp_path / "small.dcm")
    with running_scp(RecordingHandler()) as port:
        done = run("send", HOST, port, tmp_path)
    assert re.search(r"1 sent \(\d+\.\d kB\), 0 failed", done.output), done.output


def test_json_is_one_document_that_says_it_all(mixed: Path) -> None:
    with running_scp(RecordingHandler()) as port:
        done = run("send", HOST, port, mixed, "--json", "-aet", "CT1", "-aec", "PACS", "-pdu", 16384)
    said = json.loads(done.stdout)
    assert (said["sent"], said["failed"], said["exit"], said["associations"]) == (2, 4, 22, 1)
    size = sum(len(dataset_bytes(path)) for path in ct_and_mr())
    assert said["bytes"] == size and not said["interrupted"]
    assert sorted(file["status"] for file in said["files"] if file["ok"]) == [0, 0] and len(said["files"]) == 6


def test_titles_and_pdu_size_reach_the_other_side() -> None:
    handler = RecordingHandler()
    with running_scp(handler) as port:
        assert run("send", HOST, port, ct_and_mr()[0], "-aet", "CT1", "-aec", "PACS").exit_code == 0
    assert (handler.peers[0].calling_ae, handler.peers[0].called_ae) == ("CT1", "PACS")


def test_several_associations_share_the_images(tmp_path: Path) -> None:
    handler, dataset = RecordingHandler(), dcmread(ct_and_mr()[0])
    for number in range(40):
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = f"1.2.{number}"
        dataset.save_as(tmp_path / f"{number}.dcm")
    together = threading.Barrier(3, timeout=60.0)  # breaks unless three are stored at the same time
    waits = iter([together.wait] * 3)
    handler.on_store = lambda request: next(waits, lambda: 0)() and 0 or 0
    with running_scp(handler) as port:
        done = run("send", HOST, port, tmp_path, "--associations", 3)
    assert done.exit_code == 0 and len(handler.opened_ids) == 3
    assert len({request.sop_instance_uid for request in handler.stored}) == 40 == len(handler.stored)


def test_exit_codes_of_send_are_those_of_dcmsend(tmp_path: Path) -> None:
    handler, image = RecordingHandler(), ct_and_mr()[0]
    (tmp_path / "nothing").mkdir()
    (tmp_path / "text").write_text("no image")
    with running_scp(handler) as port:
        assert run("send", HOST, port, tmp_path / "nothing").exit_code == 21
        assert run("send", HOST, port, tmp_path / "text").exit_code == 23
        handler.on_store = lambda request: 0xA700
        done = run("send", HOST, port, image)
        assert done.exit_code == 62 and "A700" in done.output
    assert run("send", HOST, free_port(), image).exit_code == 61
    assert run("send", HOST, free_port(), image, "--associations", 4).exit_code == 61
    assert run("send", HOST, port, image, "--key", image).exit_code == 2
    assert run("send", HOST, port, image, "--insecure", "--ca", image).exit_code == 2
    assert run("send", HOST, port, tmp_path / "missing").exit_code == 2


@pytest.mark.parametrize("associations", [1, 3])
def test_after_the_peer_broke_off_every_file_is_reported_once(mixed: Path, associations: int) -> None:
    def serve(sock: socket.socket) -> None:
        read_pdu(sock)
        sock.sendall(
            AssociateAc(
                (ContextResult(1, 0, "1.2.840.10008.1.2.1"), ContextResult(3, 0, "1.2.840.10008.1.2.1")), 0
            ).encode()
        )
        read_pdu(sock)
        sock.sendall(pdus.encode_abort(0, 0))

    with raw_peer(serve) as port:
        done = run("send", HOST, port, mixed, "--json", "-to", 0.5, "--associations", associations)
    said = json.loads(done.stdout)
    assert said["exit"] in (61, 62) and said["sent"] == 0
    assert len(said["files"]) == len({file["path"] for file in said["files"]}) == 6


def test_tls_by_options(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path / "ca"), Authority(tmp_path / "other")
    theirs, ours = authority.issue("pacs"), authority.issue("me")
    handler, image = RecordingHandler(), ct_and_mr()[0]
    with running_scp(handler, ServerTls(theirs.cert, theirs.key, authority.cert)) as port:
        mine = ["--cert", ours.cert, "--key", ours.key]
        assert run("send", HOST, port, image, "--ca", authority.cert, *mine).exit_code == 0
        assert run("echo", HOST, port, "--insecure", *mine).exit_code == 0
        assert run("send", HOST, port, image, "--ca", other.cert, *mine).exit_code == 61
        assert run("send", HOST, port, image, "--ca", authority.cert).exit_code == 61
        assert run("echo", HOST, port, "--tls", *mine).exit_code == 1
        wrong = run("echo", HOST, port, "--ca", image)
        assert wrong.exit_code == 1 and "tls.ca" in wrong.output and "cannot be used" in wrong.output
    assert len(handler.stored) == 1


@pytest.mark.slow
@pytest.mark.parametrize("associations", [1, 2])
def test_ctrl_c_aborts_and_says_what_was_sent(tmp_path: Path, associations: int) -> None:
    handler, held, go = RecordingHandler(), threading.Semaphore(0), threading.Event()
    for number in range(5):
        shutil.copy(ct_and_mr()[0], tmp_path / f"{number}.dcm")

    def store(request: object) -> int:
        if len(handler.stored) >= 1:
            held.release()
            go.wait(60)
        return 0

    handler.on_store = store
    with running_scp(handler) as port:
        command = [sys.executable, "-m", "scanpost", "send", HOST, str(port), str(tmp_path), "--json"]
        process = subprocess.Popen([*command, "--associations", str(associations)], stdout=subprocess.PIPE, text=True)
        for _ in range(associations):
            assert held.acquire(timeout=60)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
        go.set()
        handler.wait(lambda: len(handler.closed_ids) == associations)
    said = json.loads(out)
    assert process.returncode == said["exit"] == 130 and said["interrupted"] and said["sent"] == 1
    assert handler.endings == ["aborted"] * associations


def test_echo_repeats_in_one_association_and_tells_the_median() -> None:
    handler = RecordingHandler()
    with running_scp(handler) as port:
        done = run("echo", HOST, port, "--repeat", 50)
        assert done.exit_code == 0 and "50 times, median" in done.output
        assert len(json.loads(run("echo", HOST, port, "--repeat", 3, "--json").stdout)["times_s"]) == 3
    assert len(handler.opened_ids) == 2


@needs_dcmtk
@pytest.mark.slow
def test_echo_ends_as_echoscu_does() -> None:
    def rejects(sock: socket.socket) -> None:
        read_pdu(sock)
        sock.sendall(pdus.encode_reject(1, 1, 7))

    with raw_peer(rejects) as port:
        theirs = echoscu(port).returncode
    with raw_peer(rejects) as port:
        assert run("echo", HOST, port).exit_code == theirs
    nobody = free_port()
    assert run("echo", HOST, nobody).exit_code == echoscu(nobody).returncode


def test_an_echo_that_the_peer_aborts_is_no_success() -> None:
    """echoscu ends with 0 then."""

    def aborts(sock: socket.socket) -> None:
        read_pdu(sock)
        sock.sendall(AssociateAc((ContextResult(1, 0, "1.2.840.10008.1.2"),), 16384).encode())
        read_pdu(sock)
        sock.sendall(pdus.encode_abort(0, 0))

    with raw_peer(aborts) as port:
        assert run("echo", HOST, port).exit_code == 70


def test_the_bar_shows_images_bytes_and_failures() -> None:
    out = io.StringIO()
    with Bar(Console(file=out, force_terminal=True, width=120)) as bar:
        bar.found(3, 3_000_000)
        bar.moved(2_000_000)
        bar.ended(FileReport(Path("a"), True, ""))
        bar.ended(FileReport(Path("b"), False, "refused"))
    shown = out.getvalue()
    assert "1/3 images" in shown and "2.0/3.0 MB" in shown and "1 failed" in shown


def test_sending_imports_nothing_slow() -> None:
    with running_scp(RecordingHandler()) as port:
        code = (
            "import sys; from click.testing import CliRunner; from scanpost.main import cli\n"
            f"done = CliRunner().invoke(cli, ['send', '{HOST}', '{port}', {str(ct_and_mr()[0])!r}])\n"
            "assert done.exit_code == 0, done.output\n"
            "loaded = {name.split('.')[0] for name in sys.modules} & {'pydicom', 'pynetdicom', 'rich', 'cryptography', 'zmq'}\n"
            "assert not loaded, loaded"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
