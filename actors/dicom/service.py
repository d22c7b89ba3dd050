"""What the receiver and the DICOM network side agree on: configuration, peer, request and the handler's promises.

It must not contain behaviour, and nothing of a DICOM library appears in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol

from actors.dicom.commitment import Report, Request
from protocol.records import record

How = Literal["released", "aborted", "lost"]


@record
class ScpConfig:
    """How the storage SCP listens. Times in seconds, sizes in bytes.

    Attributes:
        port: 0 lets the system choose; `StorageScp.start` returns the port bound.
        max_pdu: largest P-DATA-TF body announced to peers, PS3.8 section D.1; 0 is unlimited.
        acse_timeout_s: from connecting until the whole association request has arrived (ARTIM), TLS included.
        idle_timeout_s: an open association may be silent between two messages; scanners keep one open for a whole scan.
        network_timeout_s: a PDU once begun, and the next PDU of a message once begun, must arrive within this;
            also the longest time a peer may refuse to take our response.
        max_associations: further ones are rejected transiently ("local limit exceeded").
        max_waiting: connections that have not yet sent their request; for a new one the oldest of the address that has
            most of them is dropped.
        max_object_bytes: larger datasets are answered with A700; the association goes on.
        accept_any_called_ae: otherwise only `ae_title` and those of `called_aes` are accepted.
        reuse_port: several processes may listen on the same port (SO_REUSEPORT).
    """

    host: str = "0.0.0.0"
    port: int = 11112
    ae_title: str = "SCANPOST"
    max_pdu: int = 131072
    acse_timeout_s: float = 30.0
    idle_timeout_s: float = 600.0
    network_timeout_s: float = 60.0
    max_associations: int = 200
    max_waiting: int = 128
    max_object_bytes: int = 2 * 1024**3
    accept_any_called_ae: bool = True
    called_aes: frozenset[str] = frozenset()
    reuse_port: bool = False


@record
class Peer:
    """Who opened the association. AE titles come without padding; unprintable characters are replaced by ``?``.

    `subject` is that of the verified TLS certificate (RFC 4514), empty without one. The implementation is what the peer
    says of its software (PS3.7 section D.3.3.2), empty if nothing; unchecked.
    """

    address: str
    port: int
    calling_ae: str
    called_ae: str
    subject: str = ""
    implementation_class_uid: str = ""
    implementation_version: str = ""


class StoreCommand(NamedTuple):
    """One C-STORE request before its dataset. The UIDs are as the peer wrote them (unchecked)."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    message_id: int


@record
class StoreRequest:
    """One whole C-STORE request; `dataset` is exactly as received. For handlers that take objects whole (whole.py)."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    dataset: bytes | memoryview
    message_id: int


class Intake(Protocol):
    """Takes one object while it comes in. After an exception of `write` nothing but `abandon` is called any more."""

    def write(self, pieces: list[memoryview], last: bool) -> None:
        """The next bytes of the dataset, valid during this call; the last ones until `ScpHandler.rest` is over."""

    def finish(self) -> int:
        """All is written: make it count, and return the DIMSE status; may block. The response goes out after that."""

    def abandon(self) -> None:
        """The rest will not come, or was refused: leave nothing behind. Never after `finish`."""


class Way(NamedTuple):
    """How the objects of one presentation context come in and are answered, for a `Taker`.

    `sop_class` is the command's Affected SOP Class UID byte for byte, `max_send` the largest PDU that the peer takes, `send`
    sends bytes that are PDUs, raising NetworkError.
    """

    context_id: int
    sop_class: bytes
    max_send: int
    send: Callable[[bytes], None]


class Taker(Protocol):
    """Takes objects off a plain socket by itself, answers included: those that are like the one before."""

    def receive(
        self,
        fd: int,
        buffer: bytearray,
        start: int,
        end: int,
        max_pdu: int,
        busy_s: float,
        deadline: float,
        slowest: int,
    ) -> tuple[tuple[Any, ...], bool]:
        """Take what may be taken until another message comes, or for a short time. What the compiled helper's `receive` returns
        of that message (see _fast.c), and whether anything was taken. Must not send with `Way.send`: `send_rest` does.
        """

    def send_rest(self) -> None:
        """The reader knows again where it is: send what is left of an answer. Raises NetworkError."""


class LimitReached(Exception):
    """Out of `ScpHandler.opened`: too many associations. The peer is rejected transiently and may come again."""


@record
class Ready:
    """A report on storage commitment that can go out; `id` is the request's."""

    id: int
    report: Report


class CommitmentHandler(Protocol):
    """What the receiver does about storage commitment (PS3.4 Annex J). Every method is called from association threads,
    several at a time.
    """

    def offered(self, peer: Peer) -> bool:
        """Is the service offered to this peer, as SCP or for reports of targets?"""

    def requested(self, association_id: bytes, peer: Peer, request: Request) -> int:
        """Keep a request and return the DIMSE status; 0000 only once it is durable."""

    def ready(self, association_id: bytes) -> Ready | None:
        """The next report for a request that came on this association."""

    def taken(self, id: int, status: int) -> None:
        """The peer answered the report."""

    def told(self, peer: Peer, report: Report) -> int:
        """Keep the report of a target that we asked and return the DIMSE status; 0000 only once it is durable."""


class ScpHandler(Protocol):
    """What the storage SCP tells and asks. Every method is called from association threads, several at a time.

    `commitment` serves storage commitment; None: it is not offered.
    """

    commitment: CommitmentHandler | None

    def requested(self, peer: Peer) -> str | None:
        """A reason to reject the association, or None. Must be quick. Raising rejects it transiently."""

    def opened(self, association_id: bytes, peer: Peer) -> None:
        """The association is about to be accepted. Raising LimitReached rejects it transiently (PS3.8 table 9-21: local
        limit exceeded), anything else aborts it; then `closed` is not called.
        """

    def agreed(self, association_id: bytes, facts: Callable[[], dict[str, Any]]) -> None:
        """What was negotiated is about to be told to the peer; `facts` says it in plain values, for logs: UIDs, numbers and
        AE titles, nothing of a user's identity. Must be quick.
        """

    def begin(self, association_id: bytes, peer: Peer, command: StoreCommand) -> Intake:
        """A C-STORE request has come, its dataset follows.

        Raising OutOfSpace, here or out of the intake, answers A700, UnreadableImage C000, anything else 0110; DiskFailed
        reaches `fatal` first. What is left of the dataset is read and dropped.
        """

    def whole(self, association_id: bytes, peer: Peer, command: StoreCommand, pieces: list[memoryview]) -> int:
        """A C-STORE request has come with all of its dataset: as `begin`, `write` and `finish` in one, with what they raise.
        The pieces are valid until `rest` is over.
        """

    def refused(self, association_id: bytes, command: StoreCommand, status: int, reason: str) -> None:
        """A C-STORE request was answered with a failure that `begin` never saw: it had no dataset, or no storage class."""

    def rest(self, association_id: bytes) -> None:
        """The response is on its way and nothing else has come yet: time for what nobody waits for."""

    def taker(self, association_id: bytes, way: Way, pieces: list[memoryview]) -> Taker | None:
        """Who may take what comes next by itself, if it is like the object that `whole` was given last (its pieces); asked after
        `rest`, for each object that came whole. None: nobody.
        """

    def closed(self, association_id: bytes, peer: Peer, how: How) -> None:
        """The association is over; called exactly once for each `opened` that returned."""

    def refused_pdu(self, address: str, reason: str) -> None:
        """A malformed PDU, or a peer that speaks no DICOM or says nothing; it got an A-ABORT. Or TLS failed."""

    def fatal(self, exc: BaseException) -> None:
        """DiskFailed came out of a handler: the outcome is unknown and the process has to end."""
