"""Every error scanpost raises on purpose, in one tree. It must not import anything of the project.

ScanpostError
├── ConfigurationError            exit code 78; one line: file, place, cure
│   ├── SettingsError
│   └── RoutingError
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
│   └── UnreadableImage           cannot be parsed or placed: quarantine with the reason
├── RuleError
│   └── RuleSyntaxError           with the position and what to write instead
├── WireError
│   └── DecodeError               keeps the raw bytes
├── NetworkError                  says whether repeating can help
│   ├── TargetUnreachable
│   ├── AssociationRejected
│   ├── AssociationAborted
│   └── PeerTimeout               the association is never used again
├── LedgerError
│   └── LedgerUnavailable         the database is away; wait, never exit
└── AccountError
    └── AccessDenied
"""

from __future__ import annotations


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
    """The routing configuration cannot be used."""


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
    """The peer could not be reached or did not do what was asked; `retryable` says whether repeating can help."""

    def __init__(self, message: str | None = None, retryable: bool = True) -> None:
        self.retryable = retryable
        super().__init__(message)


class TargetUnreachable(NetworkError):
    """No connection to the target."""


class AssociationRejected(NetworkError):
    """The peer rejected the association (PS3.8 section 9.3.4)."""


class AssociationAborted(NetworkError):
    """The association ended before its work was done (PS3.8 section 9.3.8)."""


class PeerTimeout(NetworkError):
    """The peer did not answer in time; this association must not be used again."""


class LedgerError(ScanpostError):
    """The ledger cannot do this."""


class LedgerUnavailable(LedgerError):
    """The ledger's database is away."""


class AccountError(ScanpostError):
    """An account or session cannot be used."""


class AccessDenied(AccountError):
    """Name or password is wrong, or the account may not do this."""
