"""HTTP servers for tests, as well or as badly behaved as a test wants: one thread per connection, bytes by hand."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from protocol.routing.targets import DicomWebTarget
from protocol.spool.images import ImageFile
from protocol.testing.images import TestImage
from tests.certificates import Pair
from tests.dicom.dicom_fakes import WAIT_S
from tests.peers import HOST

QUIET = lambda: None  # noqa: E731
JSON = "application/dicom+json"


@dataclass(frozen=True)
class Asked:
    """One request as it came in; `files` are the parts of a multipart body."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def files(self) -> list[bytes]:
        boundary = b"--" + self.headers["content-type"].partition("boundary=")[2].encode()
        assert self.body.endswith(boundary + b"--\r\n")
        parts = self.body.split(b"\r\n" + boundary)[1:-1]
        assert all(part.startswith(b"\r\nContent-Type: application/dicom\r\n\r\n") for part in parts)
        return [part.partition(b"\r\n\r\n")[2] for part in parts]

    @property
    def uids(self) -> list[str]:
        """SOP instance UIDs out of the file meta information."""
        return [uid_of(file) for file in self.files]


def uid_of(file: bytes) -> str:
    at = file.index(b"\x02\x00\x03\x00UI")
    (length,) = struct.unpack_from("<H", file, at + 6)
    return file[at + 8 : at + 8 + length].rstrip(b"\0").decode()


@dataclass
class Visit:
    """One connection, on the server's side."""

    sock: socket.socket
    number: int
    asked: list[Asked]
    _rest: bytes = b""

    def until(self, end: bytes) -> bytes:
        while end not in self._rest:
            self._rest += self._more()
        found, _, self._rest = self._rest.partition(end)
        return found

    def exactly(self, count: int) -> bytes:
        while len(self._rest) < count:
            self._rest += self._more()
        found, self._rest = self._rest[:count], self._rest[count:]
        return found

    def rest(self) -> bytes:
        """What was received and not read yet."""
        found, self._rest = self._rest, b""
        return found

    def _more(self) -> bytes:
        data = self.sock.recv(1 << 18)
        if not data:
            raise EOFError
        return data

    def head(self) -> tuple[str, dict[str, str]]:
        line, *fields = self.until(b"\r\n\r\n").decode("ascii").split("\r\n")
        return line, {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in fields)}

    def request(self) -> Asked:
        line, headers = self.head()
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self.until(b"\r\n"), 16):
                body += self.exactly(size)
                assert self.exactly(2) == b"\r\n"
            assert self.exactly(2) == b"\r\n"
        else:
            body = self.exactly(int(headers.get("content-length", 0)))
        self.asked.append(Asked(line, headers, body))
        return self.asked[-1]

    def say(self, data: bytes) -> None:
        self.sock.sendall(data)

    def answer(self, status: int = 200, body: bytes = b"", media: str = JSON, **headers: str) -> None:
        fields = {"Content-Type": media, "Content-Length": str(len(body)), **headers}
        lines = [f"HTTP/1.1 {status} Whatever", *(f"{name.replace('_', '-')}: {fields[name]}" for name in fields)]
        self.say("".join(f"{line}\r\n" for line in [*lines, ""]).encode() + body)

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def wait_for_the_end(self) -> None:
        """Until the other side closes."""
        while self.sock.recv(1 << 18):
            pass


Serve = Callable[[Visit], None]


@dataclass
class Web:
    """A running server: what it was asked, over how many connections, what went wrong in it."""

    port: int
    asked: list[Asked] = field(default_factory=list)
    visits: int = 0
    faults: list[Exception] = field(default_factory=list)
    opened: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))


@contextmanager
def web(serve: Serve, tls: ssl.SSLContext | None = None, port: int = 0) -> Iterator[Web]:
    """Give each connection to `serve` in a thread of its own; a connection that ends is no fault. At the end all are cut."""
    listener = socket.create_server((HOST, port))
    open_socks: list[socket.socket] = []
    running = Web(listener.getsockname()[1])
    threads: list[threading.Thread] = []

    def visit(sock: socket.socket, number: int) -> None:
        try:
            with sock:
                sock.settimeout(WAIT_S)
                open_socks.append(sock)
                wrapped = tls.wrap_socket(sock, server_side=True) if tls is not None else sock
                open_socks.append(wrapped)
                with wrapped:
                    serve(Visit(wrapped, number, running.asked))
        except (EOFError, OSError):
            return
        except Exception as exc:
            running.faults.append(exc)

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            running.visits += 1
            threads.append(threading.Thread(target=visit, args=(sock, running.visits), daemon=True))
            threads[-1].start()
            running.opened.release()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield running
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join(WAIT_S)
        for sock in open_socks:
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        for thread in threads:
            thread.join(WAIT_S)
        assert running.faults == []


def module(stored: Iterable[str] = (), failed: Iterable[tuple[str, int]] = (), warning: int | None = None) -> bytes:
    """A Store Instances Response in DICOM JSON."""
    found: dict[str, object] = {"00081190": {"vr": "UR", "Value": ["http://there"]}}
    more = {} if warning is None else {"00081196": {"vr": "US", "Value": [warning]}}
    named = [
        {"00081150": {"vr": "UI", "Value": ["1.2"]}, "00081155": {"vr": "UI", "Value": [uid]}, **more} for uid in stored
    ]
    refused = [
        {"00081155": {"vr": "UI", "Value": [uid]}, "00081197": {"vr": "US", "Value": [reason]}}
        for uid, reason in failed
    ]
    if named:
        found["00081199"] = {"vr": "SQ", "Value": named}
    if refused:
        found["00081198"] = {"vr": "SQ", "Value": refused}
    return json.dumps(found).encode()


def storing(visit: Visit) -> None:
    """A server that stores whatever comes, over connections that stay."""
    while True:
        visit.answer(200, module(visit.request().uids))


def server_context(pair: Pair, clients: Path | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    if clients is not None:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def dicomweb(port: int, **more: object) -> DicomWebTarget:
    scheme = "https" if "tls" in more else "http"
    settings = {"url": f"{scheme}://{HOST}:{port}/dicom-web", "connect_timeout_s": 30.0, "timeout_s": 30.0, **more}
    return DicomWebTarget(type="dicomweb", **settings)  # type: ignore[arg-type]


def stored_image(folder: Path, number: int, size: int = 0) -> ImageFile:
    """An image as the spool has it; `size` is that of its pixel data, bytes."""
    one = TestImage(instance=number, content=bytes(size) if size else b"pixels")
    data = one.dataset()
    path = folder / f"{number}.dcm"
    path.write_bytes(b"head" + data)
    return ImageFile(
        number.to_bytes(16, "big"), path, 4, len(data), one.sop_class_uid, one.sop_uid, one.transfer_syntax_uid
    )
