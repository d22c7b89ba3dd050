"""What `scanpost echo` does: reports with DCMTK's exit codes. It must not print or use the spool."""

from __future__ import annotations

import time

from actors.dicom import statuses
from actors.dicom.scu import VERIFICATION_CONTEXT, Association, Node, open_association
from protocol.errors import AssociationAborted, NetworkError
from protocol.records import record

# Exit codes of echoscu(1).
DONE = 0
ECHO_FAILED = 1
ASSOCIATION_ABORTED = 70


@record
class EchoReport:
    """What came of C-ECHOs. `step` is where it ended: connect, associate, context, echo or done.

    `times_s`: from request to answer, one for each that was answered.
    """

    ok: bool
    step: str
    message: str
    status: int | None
    elapsed_s: float
    exit_code: int = DONE
    times_s: tuple[float, ...] = ()


def echo(node: Node, repeat: int = 1) -> EchoReport:
    """C-ECHO, `repeat` times in one association; never raises NetworkError, the report says it."""
    start = time.monotonic()
    times: list[float] = []

    def report(ok: bool, step: str, message: str, status: int | None = None, code: int = ECHO_FAILED) -> EchoReport:
        return EchoReport(ok, step, message, status, time.monotonic() - start, DONE if ok else code, tuple(times))

    try:
        association = open_association(node, [VERIFICATION_CONTEXT])
    except NetworkError as exc:
        step = "connect" if type(exc).__name__ == "TargetUnreachable" else "associate"
        return report(False, step, str(exc))
    with association:
        if not association.accepts(*VERIFICATION_CONTEXT):
            return report(False, "context", f"{node} accepts the association, but no verification")
        try:
            status = _echo_all(association, repeat, times)
        except AssociationAborted as exc:
            return report(False, "echo", str(exc), code=ASSOCIATION_ABORTED)
        except NetworkError as exc:
            return report(False, "echo", str(exc))
    if status != statuses.SUCCESS:
        return report(False, "echo", f"{node} answered {statuses.describe(status)}", status)
    return report(True, "done", f"{node} answered", status)


def _echo_all(association: Association, repeat: int, times: list[float]) -> int:
    """The first status that is no success, or success."""
    status = statuses.SUCCESS
    for _ in range(repeat):
        begun = time.monotonic()
        status = association.echo()
        times.append(time.monotonic() - begun)
        if status != statuses.SUCCESS:
            break
    return status
