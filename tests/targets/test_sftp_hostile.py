"""SFTP servers that OpenSSH's is not: with passwords, with quotas, and such as break off or fall silent in the middle."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.targets.registry import make_target
from protocol.errors import NetworkError, PeerTimeout
from protocol.routing import targets as settings
from tests.peers import HOST
from tests.targets.battery import dataset_of, quiet, spool_image
from tests.targets.files import dataset_in

asyncssh = pytest.importorskip("asyncssh", reason="asyncssh is missing (pip install .[test])")
pytestmark = pytest.mark.slow
PASSWORD = "correct horse"


class Server:
    """asyncssh's own server in a thread. `on_write` may raise, wait or do nothing."""

    def __init__(self, folder: Path, how: str = "password") -> None:
        self.folder, self._how = folder, how
        self.on_write: Callable[[], Any] = lambda: None
        self._key = asyncssh.generate_private_key("ssh-ed25519")
        self.fingerprint = self._key.get_fingerprint()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._listener = self._ask(self._listen())
        self.port = self._listener.get_port()

    def close(self) -> None:
        async def work() -> None:
            self._listener.close()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self._ask(work())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def target(self, **more: Any):
        said = {"host": HOST, "port": self.port, "user": "scanpost", "path": "/in", "layout": "", "password": "${PASSWORD}",
                "host_key": self.fingerprint, "timeout_s": 30.0, "connect_timeout_s": 30.0, **more}  # fmt: skip
        return make_target(settings.SftpTarget(type="sftp", **said))

    def _ask(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _listen(self) -> Any:
        outer = self

        class Auth(asyncssh.SSHServer):  # type: ignore[misc]
            def password_auth_supported(self) -> bool:
                return outer._how == "password"

            def validate_password(self, username: str, password: str) -> bool:
                return password == PASSWORD

            def kbdint_auth_supported(self) -> bool:
                return outer._how == "questions"

            def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
                return "", "", "", [("Password:", False)]

            def validate_kbdint_response(self, username: str, responses: list[str]) -> bool:
                return responses == [PASSWORD]

        class Files(asyncssh.SFTPServer):  # type: ignore[misc]
            def __init__(self, chan: Any) -> None:
                super().__init__(chan, chroot=str(outer.folder).encode())

            async def write(self, file_obj: Any, offset: int, data: bytes) -> int:
                found = outer.on_write()
                if found is not None:
                    await found
                return int(super().write(file_obj, offset, data))

        return await asyncssh.listen(
            HOST, 0, server_factory=Auth, server_host_keys=[self._key], sftp_factory=Files, encoding=None
        )


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "server" / "in").mkdir(parents=True)
    return tmp_path / "server"


@pytest.fixture
def server(folder, monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("PASSWORD", PASSWORD)
    server = Server(folder)
    yield server
    server.close()


@pytest.mark.parametrize("how", ["password", "questions"])
def test_a_password_logs_in_whichever_way_the_server_asks_for_it(folder, tmp_path, monkeypatch, how):
    monkeypatch.setenv("PASSWORD", PASSWORD)
    server, image = Server(folder, how), spool_image(tmp_path)
    try:
        session = server.target().open([image], quiet)
        assert session.send(image).ok
        session.close()
        (file,) = (folder / "in").iterdir()
        assert dataset_in(file.read_bytes()) == (image.sop_instance_uid, dataset_of(image))
        monkeypatch.setenv("PASSWORD", "wrong horse")
        with pytest.raises(NetworkError) as caught:
            server.target().open([image], quiet)
        assert not caught.value.retryable and "horse" not in str(caught.value)
    finally:
        server.close()


def test_a_quota_that_is_used_up_in_the_middle_passes_and_nothing_half_is_left(server, folder, tmp_path):
    image, written = spool_image(tmp_path, content=bytes(3 << 20)), []

    def full() -> None:
        written.append(1)
        if len(written) > 1:
            raise asyncssh.SFTPQuotaExceeded("Geheim^Patient has no more room")

    server.on_write = full
    session = server.target().open([image], quiet)
    answer = session.send(image)
    assert not answer.ok and answer.retryable and "Geheim" not in answer.words + answer.comment
    assert list((folder / "in").iterdir()) == []
    server.on_write = lambda: None
    assert session.send(image).ok  # the session is none the worse for it
    session.close()


def test_a_server_that_falls_silent_in_the_middle_of_a_file_is_given_up(server, folder, tmp_path):
    image = spool_image(tmp_path, content=bytes(100_000))
    server.on_write = lambda: asyncio.sleep(3600)
    session = server.target(timeout_s=3.0).open([image], quiet)
    with pytest.raises(PeerTimeout):
        session.send(image)
    assert not session.again([image], quiet)
    session.close()
    assert not list((folder / "in").glob("*.dcm"))


def test_what_a_broken_connection_leaves_undone_is_not_cried_about(server, tmp_path, caplog):
    """asyncio logs the errors of tasks that nobody asks for, with whatever text the server or the library put into them."""
    image = spool_image(tmp_path, content=bytes(3 << 20))
    server.on_write = lambda: asyncio.sleep(3600)
    session = server.target(timeout_s=3.0).open([image], quiet)
    with pytest.raises(PeerTimeout):
        session.send(image)
    session.close()
    del session
    gc.collect()
    assert [record.name for record in caplog.records if record.name == "asyncio"] == []


def test_a_slow_server_is_waited_for_as_long_as_it_goes_on(server, tmp_path):
    """Each megabyte in time, the whole far above the limit: with signs of life in between."""
    image, alive = spool_image(tmp_path, content=bytes(12 << 20)), []
    server.on_write = lambda: asyncio.sleep(0.5)
    session = server.target(timeout_s=3.0).open([image], lambda: alive.append(1))
    before = len(alive)
    assert session.send(image).ok
    assert len(alive) - before >= 12
    session.close()


def test_two_that_write_the_same_image_at_once_never_give_half_of_it_its_name(server, folder, tmp_path):
    """Such as one that a rule sent ahead, and the whole series that a person sends there meanwhile."""
    image, writes = spool_image(tmp_path, content=bytes(range(256)) * 8192), []  # two pieces
    other_began, first_stored, half = asyncio.Event(), asyncio.Event(), threading.Event()

    def slow() -> Any:
        writes.append(1)
        if len(writes) == 2:  # the second piece of the first session
            half.set()
            return other_began.wait()
        if len(writes) == 3:
            other_began.set()
            return first_stored.wait()
        return None

    server.on_write = slow
    first, second = (server.target().open([image], quiet) for _ in range(2))
    answers: list[Any] = []
    sending = threading.Thread(target=lambda: answers.append(first.send(image)))
    sending.start()
    assert half.wait(60)
    other = threading.Thread(target=lambda: answers.append(second.send(image)))
    other.start()
    sending.join(60)
    try:
        assert answers[0].ok
        (file,) = (folder / "in").glob("*.dcm")
        assert dataset_in(file.read_bytes()) == (image.sop_instance_uid, dataset_of(image))
    finally:
        server._loop.call_soon_threadsafe(first_stored.set)
        other.join(60)
    assert [answer.ok for answer in answers] == [True, True]
    (file,) = (folder / "in").iterdir()
    assert dataset_in(file.read_bytes()) == (image.sop_instance_uid, dataset_of(image))
    first.close()
    second.close()
