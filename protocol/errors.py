"""Every error scanpost raises on purpose, in one tree. It must not import anything of the project.

ScanpostError
├── ConfigurationError            exit code 78; one line: file, place, cure
│   ├── SettingsError
│   └── RoutingError               carries every fault, one `Fault` each
│       └── RoutingConflict       somebody else published the next version first
├── SpoolError
│   ├── SpoolMissing              images are there, the database is not: `scanpost spool rebuild`
│   ├── SpoolDamaged              the integrity check failed
│   ├── SpoolNewer                the database has a newer schema than this program
│   ├── OutOfSpace                disk or inode reserve reached, SQLITE_FULL, ENOSPC: refuse with A700
│   ├── DiskFailed                a sync or commit failed: never retried, the process ends
│   ├── StepRefused               a state change that the transition table does not have
│   ├── NotOwner                  the delivery was given back meanwhile; nothing may be changed any more
│   └── NotFound                  no such arrival, delivery, image, command
├── ImageError
│   ├── UnreadableImage           cannot be parsed or placed: quarantine with the reason
│   └── UnreadableHeader          text that somebody pasted as a header is none
├── RuleError
│   └── RuleSyntaxError           with the position and what to write instead
├── WireError
│   └── DecodeError               keeps the raw bytes
├── NetworkError                  says whether repeating can help
│   ├── TargetUnreachable
│   ├── TargetBusy                asks to be left alone for a while
│   ├── AssociationRejected
│   ├── AssociationAborted
│   └── PeerTimeout               the association is never used again
├── LedgerError
│   └── LedgerUnavailable         the database is away; wait, never exit
└── AccountError
    └── AccessDenied
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MAX_FAULTS = 50
"""So many faults of one configuration are told; of the others only their number."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a file: the place inside it (``rules[0].when``; empty: the whole file), what, and the cure."""

    place: str
    message: str
    cure: str = ""

    def line(self, file: str = "") -> str:
        """As one line for people."""
        text = ": ".join(part for part in (file, self.place, self.message) if part)
        return f"{text}. {self.cure}" if self.cure else text


class ScanpostError(Exception):
    """Something in scanpost went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class ConfigurationError(ScanpostError):
    """The configuration cannot be used.

    `where` names file and place (``scanpost.toml: receiver.port``), `cure` what to do; ``str()`` is one line.
    """

    def __init__(self, message: str, where: str = "", cure: str = "") -> None:
        self.where, self.cure, self.reason = where, cure, message
        text = ": ".join(part for part in (where, message) if part)
        super().__init__(f"{text}. {cure}" if cure else text)


class SettingsError(ConfigurationError):
    """scanpost.toml, an environment variable or a flag cannot be used."""


class RoutingError(ConfigurationError):
    """The routing configuration cannot be used.

    ``str()`` is one line for the first fault; `faults` has all of them in file order, at most MAX_FAULTS, and `more`
    says how many were left out. `file` is what `where` begins with.
    """

    def __init__(self, message: str, where: str = "", cure: str = "") -> None:
        super().__init__(message, where, cure)
        self.file, _, place = where.partition(": ")
        self.faults: tuple[Fault, ...] = (Fault(place, message, cure),)
        self.more = 0

    @classmethod
    def of(cls, faults: Sequence[Fault], file: str, unread: int = 0) -> RoutingError:
        """One error for all faults, of which there is at least one; `unread` more were only counted."""
        first, others = faults[0], len(faults) - 1 + unread
        message = f"{first.message} (and {others} more)" if others else first.message
        error = cls(message, f"{file}: {first.place}" if first.place else file, first.cure)
        error.file, error.faults = file, tuple(faults[:MAX_FAULTS])
        error.more = len(faults) - len(error.faults) + unread
        return error

    def lines(self) -> list[str]:
        """One line for each fault: file, place, fault, cure."""
        lines = [fault.line(self.file) for fault in self.faults]
        return [*lines, f"{self.file}: and {self.more} more faults"] if self.more else lines


class RoutingConflict(RoutingError):
    """Somebody else published this version of the routing configuration first."""


class SpoolError(ScanpostError):
    """The spool cannot do this."""


class SpoolMissing(SpoolError):
    """The spool's database is missing although image files are there; run `scanpost spool rebuild`."""


class SpoolDamaged(SpoolError):
    """The spool's database is damaged."""


class SpoolNewer(SpoolError):
    """The spool's database was written by a newer scanpost."""


class OutOfSpace(SpoolError):
    """Out of disk space or inodes."""


class DiskFailed(SpoolError):
    """A sync or commit failed; the outcome is unknown and the process must end."""


class StepRefused(SpoolError):
    """This change of state is not allowed."""


class NotOwner(SpoolError):
    """This delivery is no longer ours."""


class NotFound(SpoolError):
    """There is no such object."""


class ImageError(ScanpostError):
    """Something is wrong with a DICOM object."""


class UnreadableImage(ImageError):
    """The object cannot be parsed or placed."""


class UnreadableHeader(ImageError):
    """Text that was pasted as a header cannot be read as one; it names the place, never a value."""


class RuleError(ScanpostError):
    """A rule cannot be used."""


class RuleSyntaxError(RuleError):
    """A rule's text cannot be compiled; `position` is the 0-based offset of the fault, `cure` what to write instead."""

    def __init__(self, message: str, position: int = 0, cure: str = "") -> None:
        self.position, self.cure, self.reason = position, cure, message
        super().__init__(f"{message} (at character {position + 1})" + (f"; {cure}" if cure else ""))


class WireError(ScanpostError):
    """A message cannot be sent or understood."""


class DecodeError(WireError):
    """Bytes that are no message of ours; `raw` keeps them."""

    def __init__(self, message: str, raw: bytes = b"") -> None:
        self.raw = raw
        super().__init__(message)


class NetworkError(ScanpostError):
    """The peer could not be reached or did not do what was asked; `retryable` says whether repeating can help.

    `after_s`: how long the peer asked not to be tried again, seconds; 0: it did not ask. `cause` is one of
    protocol/causes.py, by which people find what failed alike; each kind of error has its usual one.
    """

    after_s = 0.0
    cause = "other"

    def __init__(self, message: str | None = None, retryable: bool = True, cause: str = "") -> None:
        self.retryable = retryable
        if cause:
            self.cause = cause
        super().__init__(message)


class TargetUnreachable(NetworkError):
    """No connection to the target."""

    cause = "unreachable"


class TargetBusy(NetworkError):
    """The target is there and asks to be left alone, for `after_s` seconds if it says how long."""

    cause = "busy"

    def __init__(self, message: str | None = None, after_s: float = 0.0) -> None:
        super().__init__(message)
        self.after_s = after_s


class AssociationRejected(NetworkError):
    """The peer rejected the association (PS3.8 section 9.3.4); `for_now`: it said that this will pass."""

    for_now = False

    cause = "rejected"


class AssociationAborted(NetworkError):
    """The association ended before its work was done (PS3.8 section 9.3.8)."""

    cause = "aborted"


class PeerTimeout(NetworkError):
    """The peer did not answer in time; this association must not be used again."""

    cause = "timeout"


class LedgerError(ScanpostError):
    """The ledger cannot do this."""


class LedgerUnavailable(LedgerError):
    """The ledger's database is away."""


class LedgerLost(LedgerUnavailable):
    """The ledger's SQLite file is not there, or is damaged: it does not come back by itself."""


class AccountError(ScanpostError):
    """An account or session cannot be used."""


class AccessDenied(AccountError):
    """Name or password is wrong, or the account may not do this."""
