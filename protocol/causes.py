"""Why deliveries do not get on: a closed list of causes, each with a hint for the person who has to act.
It must not know deliveries or targets: where an error arises, its cause is named; here stands what that means.

`docs/queue.md` shows the same catalogue: `python -m protocol.causes` writes it there, a test looks that it did.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from protocol.records import record


class Cause(StrEnum):
    """What kept a delivery from its target, or set it aside."""

    NAME_UNKNOWN = "name_unknown"
    UNREACHABLE = "unreachable"
    CONNECTION_REFUSED = "connection_refused"
    TLS = "tls"
    TIMEOUT = "timeout"
    ABORTED = "aborted"
    UNKNOWN_AE = "unknown_ae"
    REJECTED = "rejected"
    BUSY = "busy"
    LOGIN_FAILED = "login_failed"
    NOT_PERMITTED = "not_permitted"
    FOLDER_MISSING = "folder_missing"
    OUT_OF_SPACE = "out_of_space"
    CONTEXT_REFUSED = "context_refused"
    IMAGES_MISMATCH = "images_mismatch"
    IMAGES_NOT_UNDERSTOOD = "images_not_understood"
    IMAGES_REFUSED = "images_refused"
    PROCESSING_FAILED = "processing_failed"
    IMAGE_DAMAGED = "image_damaged"
    NOT_COMMITTED = "not_committed"
    COMMITMENT_SILENT = "commitment_silent"
    CONFIGURATION = "configuration"
    TARGET_REMOVED = "target_removed"
    PROCESS_DIED = "process_died"
    HELD_BY_PERSON = "held_by_person"
    HELD_BY_RULE = "held_by_rule"
    REBUILT = "rebuilt"
    INTERNAL = "internal"
    OTHER = "other"


@record
class Hint:
    """For people: what a cause means, and what to do first."""

    means: str
    first: str


C = Cause
HINTS: Mapping[Cause, Hint] = {
    C.NAME_UNKNOWN: Hint("The name of the target's host cannot be resolved.",
                         "Check the host in the target's settings, then the name server of this machine."),
    C.UNREACHABLE: Hint("No connection to the target's address comes about.",
                        "Is the machine switched on and on the network? Check host and port, then the firewall in between."),
    C.CONNECTION_REFUSED: Hint("The machine answers, but no program listens at that port.",
                               "Start the service at the target, or correct the port in the target's settings."),
    C.TLS: Hint("One side does not trust the other's certificate, or they share no version of TLS.",
                "Run `scanpost target test NAME`; renew the certificate or put its authority into the target's `tls` settings."),
    C.TIMEOUT: Hint("The target took the connection and then did not answer in time.",
                    "It hangs or is overloaded: look at its log and restart its service if need be."),
    C.ABORTED: Hint("The target ended the connection in the middle of the work.",
                    "Its log says why; often it restarts, or something in between cuts long connections."),
    C.UNKNOWN_AE: Hint("The target does not know our AE title, or does not have the one that we call.",
                       "Have the target register our calling AE title, or correct `called_ae` in the target's settings."),
    C.REJECTED: Hint("The target turned the association or request away.",
                     "The error names its reason; check the target's settings against what its administrator says."),
    C.BUSY: Hint("The target is there and has no place for us at the moment.",
                 "Nothing; it is tried again. If it stays so, lower the target's `concurrency` and `associations`."),
    C.LOGIN_FAILED: Hint("The target does not accept user, password, key, token or certificate.",
                         "Renew the secret that the target's settings name, then retry."),
    C.NOT_PERMITTED: Hint("We are known to the target, and may not store this there.",
                          "Have the target's administrator give our account or AE title the right to write."),
    C.FOLDER_MISSING: Hint("The folder or bucket of the target is not there.",
                           "Mount the file system, or correct the path in the target's settings."),
    C.OUT_OF_SPACE: Hint("The target has no room left, or a quota is used up.",
                         "Make room at the target. It is tried again by itself as long as the delivery is not parked."),
    C.CONTEXT_REFUSED: Hint("The target does not take this kind of object in the transfer syntax in which it is stored.",
                            "Ask for the target's conformance statement: have the SOP class or transfer syntax switched on"
                            " there, or send these series elsewhere."),
    C.IMAGES_MISMATCH: Hint("The target says that the data set does not match its SOP class (status A9xx).",
                            "The scanner made an object that the target cannot place: show one to both manufacturers."),
    C.IMAGES_NOT_UNDERSTOOD: Hint("The target cannot understand the images (status Cxxx).",
                                  "The target's log names the element at fault; the same bytes will be refused again."),
    C.IMAGES_REFUSED: Hint("The target refused images for good, for a reason of its own.",
                           "`scanpost series show` has the status of each image; the target's log says more."),
    C.PROCESSING_FAILED: Hint("Storing failed inside the target (status 0110, or a server error).",
                              "Look at the target's log; retry when it is mended."),
    C.IMAGE_DAMAGED: Hint("An image file of our own spool cannot be read.",
                          "Run `scanpost doctor`; check the disk, and have the scanner send the series again."),
    C.NOT_COMMITTED: Hint("The target took the images, but did not commit to keeping all of them.",
                          "Look at its log; retry sends those images again."),
    C.COMMITMENT_SILENT: Hint("The target took the images and never answered the request for storage commitment.",
                              "Check that it can reach our port and knows our AE title; see docs/commitment.md."),
    C.CONFIGURATION: Hint("Something that the target's settings name is missing: a library, a file, a secret.",
                          "The error names it; put it in place, then release or retry."),
    C.TARGET_REMOVED: Hint("The target is not in the routing configuration any more.",
                           "Put it back, or send these deliveries elsewhere with `scanpost queue redirect`."),
    C.PROCESS_DIED: Hint("The sending process died three times over this delivery without getting on.",
                         "Probably one of its images kills it: keep the log, report it, and release it after the update."),
    C.HELD_BY_PERSON: Hint("A person set it aside.", "`scanpost series show` says who and why; release it when that is settled."),
    C.HELD_BY_RULE: Hint("Its series was set aside as a whole.",
                         "`scanpost series show` has the reason; release or discard the series."),
    C.REBUILT: Hint("The spool was made again from its files; what had been sent is not certain.",
                    "Release what the target lacks; sending an image twice does no harm."),
    C.INTERNAL: Hint("Something went wrong inside scanpost.", "Look at the dispatcher's log for the time of the attempt, and report it."),
    C.OTHER: Hint("Something else.", "The error says what; `scanpost target test NAME` tries the way step by step."),
}  # fmt: skip


def hint(cause: str) -> Hint:
    """Of any text: a cause that a later version wrote is told as other."""
    return HINTS[Cause(cause)] if cause in HINTS else HINTS[Cause.OTHER]


def of_status(status: int) -> Cause:
    """Why images with this status were refused (PS3.4 table B.2-1, PS3.7 Annex C, PS3.18 section I.2.2)."""
    if status >> 8 == 0xA7 or status == 0x0213:
        return Cause.OUT_OF_SPACE
    if status in (0x0122, 0xC122):
        return Cause.CONTEXT_REFUSED
    if status >> 8 == 0xA9:
        return Cause.IMAGES_MISMATCH
    if status >> 12 == 0xC:
        return Cause.IMAGES_NOT_UNDERSTOOD
    if status == 0x0124:
        return Cause.NOT_PERMITTED
    return Cause.PROCESSING_FAILED if status == 0x0110 else Cause.IMAGES_REFUSED


_ERRNO = {
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.ENODEV, errno.ENXIO), Cause.FOLDER_MISSING),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), Cause.OUT_OF_SPACE),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), Cause.NOT_PERMITTED),
    **dict.fromkeys((errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN), Cause.UNREACHABLE),
    errno.ECONNREFUSED: Cause.CONNECTION_REFUSED,
    errno.ETIMEDOUT: Cause.TIMEOUT,
    **dict.fromkeys((errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED), Cause.ABORTED),
}


def of_errno(number: int | None, otherwise: Cause = Cause.OTHER) -> Cause:
    """What an error of the operating system means for a target."""
    return _ERRNO.get(number or 0, otherwise)


PAGE = Path(__file__).parents[1] / "docs" / "queue.md"
BEGIN, END = "<!-- causes: made by `python -m protocol.causes`, checked by a test -->\n", "<!-- end of causes -->\n"


def page(text: str) -> str:
    """The page of the queue with the catalogue in it."""
    before, _, rest = text.partition(BEGIN)
    rows = [f"| `{cause}` | {HINTS[cause].means} | {HINTS[cause].first} |" for cause in Cause]
    table = "\n".join(["| cause | means | do first |", "|---|---|---|", *rows])
    return f"{before}{BEGIN}{table}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
