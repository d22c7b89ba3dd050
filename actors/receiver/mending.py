"""What dead receivers left: open associations and files without a row. It must not touch what a living one works on."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from protocol.spool import Spool

WORKER = "receiver"  # kind of worker, as the spool registers it


def mend(
    spool: Spool, extra: Collection[int | str] = (), charsets: Mapping[str, str] | None = None,
    resend: Collection[str] = (),
) -> dict[str, int]:  # fmt: skip
    """Close dead workers' associations as aborted, adopt files without a row; what was found, by kind.

    `extra` names header values that rules read besides the usual ones; `charsets`: see Policy; `resend`: sources whose
    repetitions are delivered again.
    Dying anywhere in here leaves the rest to the next call: a dead worker is forgotten last.
    Raises OutOfSpace, DiskFailed.
    """
    dead = spool.workers.dead(WORKER)
    aborted = sum(spool.images.abort_dead(owner) for owner in dead)
    found = spool.adoption.adopt(extra=extra, charsets=charsets, resend=resend)
    for owner in dead:
        spool.workers.forget(owner)
    return {"dead_workers": len(dead), "associations_aborted": aborted, **found}
