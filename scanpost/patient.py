"""`scanpost patient erase`: takes one patient out of spool, outbox and ledger on request, on record without the name.
What is undelivered stops it; images are deleted through the spool alone. A run that died is begun again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from scanpost.asking import opened, when, who
from scanpost.common import EXIT_FAILED, Options, json_option, pass_options, print_json, print_table, say

if TYPE_CHECKING:
    from protocol.settings import Settings
    from protocol.spool import Spool
    from protocol.spool.erasing import Found

CATCH_UP_S = 60.0
LOOK_S = 0.1


@click.group()
def patient() -> None:
    """One patient: erase on request.

    \b
    Example: scanpost patient erase --patient-id 4711 --reason "request of 2026-03-01" --dry-run
    """


@patient.command()
@click.option("--patient-id", required=True, help="PatientID as the scanner wrote it; - reads it from standard input.")
@click.option("--issuer", default="", help="Only where IssuerOfPatientID is this.")
@click.option("--study", "study_uid", default="", metavar="UID", help="Only this study.")
@click.option("--reason", required=True, help="Why; kept with the record. No name, please.")
@click.option("--dry-run", is_flag=True, help="Say what would go; change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@pass_options
def erase(
    options: Options, patient_id: str, issuer: str, study_uid: str, reason: str, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Erase one patient from this node: images, records, header values, events, history.

    Refused while anything of that patient is undelivered; then nothing is touched. The history keeps that there was a series,
    when and how large, marked erased. Backups and what was delivered stay as they are. Killed in between: run it again.

    \b
    Examples:
      scanpost patient erase --patient-id 4711 --reason "request of 2026-03-01" --dry-run
      scanpost patient erase --patient-id 4711 --issuer HOSP --reason "request of 2026-03-01" --yes
    """
    from protocol.erasure import Patient
    from protocol.ledger.erasing import arrivals_of

    wanted = Patient((sys.stdin.readline() if patient_id == "-" else patient_id).strip(), issuer.strip(), study_uid)
    if not wanted.id or not reason.strip():
        raise click.UsageError("--patient-id and --reason must not be empty")
    with opened(options) as (settings, spool):
        recorded, unknown = arrivals_of(settings.ledger.url, settings.node.name, wanted)
        found = spool.erasing.find(wanted, recorded)
        _report(found, recorded, unknown, as_json, dry_run)
        blocked = [one for one in found if one.why_not]
        if blocked:
            say("; ".join(f"arrival {one.arrival}: {one.why_not}" for one in blocked[:20]))
            say("nothing was erased: deliver, cancel or discard these first (scanpost series list)")
            raise click.exceptions.Exit(EXIT_FAILED)
        if dry_run or not (found or recorded):
            return
        if not yes:
            click.confirm("Erase this for good?", abort=True, err=True)
        _erase(settings, spool, found, recorded, reason)
    say(f"erased: {len({*recorded, *(one.arrival for one in found)})} series")


def _report(found: list[Found], recorded: Mapping[int, str], unknown: int, as_json: bool, dry_run: bool) -> None:
    document: dict[str, Any] = {
        "dry_run": dry_run,
        "spool": [vars(one) for one in found],
        "ledger": sorted(recorded),
        "unknown_issuer": unknown,
    }
    if as_json:
        print_json(document)
    elif found:
        rows = [[one.arrival, one.calling_ae, when(one.opened), one.images, one.state, one.why_not] for one in found]
        print_table(["series", "from", "came in", "images", "state", "stands in the way"], rows)
    if not found and not recorded:
        say("nothing is known of this patient")
    else:
        say(f"{len(found)} series in the spool, {len(recorded)} in the history")
    if unknown:
        say(
            f"{unknown} series of this patient ID are left out: their issuer is not known any more (erase without --issuer)"
        )


def _erase(settings: Settings, spool: Spool, found: list[Found], recorded: Mapping[int, str], reason: str) -> None:
    """The spool first and the ledger last: whatever dies, the ledger still knows what was meant."""
    from protocol.accounts import Accounts
    from protocol.ledger.erasing import LedgerEraser

    here = [one.arrival for one in found]
    everything = sorted({*here, *recorded})
    studies = spool.erasing.studies_of(here) | (set(recorded.values()) - {one.study_uid for one in found} - {""})
    accounts = Accounts(settings.home / "accounts.sqlite3")
    try:
        accounts.record(
            f"cli:{who()}", "", "patient erase begun", "patient", None, {"arrivals": everything, "reason": reason}
        )
        spool.erasing.erase(here, studies)
        _catch_up(spool)
        eraser = LedgerEraser(settings.ledger.url, settings.node.name)
        try:
            eraser.erase(everything, studies)
        finally:
            eraser.close()
        accounts.record(
            f"cli:{who()}", "", "patient erase", "patient", None, {"arrivals": everything, "reason": reason}
        )
    finally:
        accounts.close()


def _catch_up(spool: Spool) -> None:
    """Until a running bookkeeper has stored what it read before the outbox was changed: it may hold the old words."""
    from protocol.errors import LedgerUnavailable
    from protocol.ledger.record import CONSUMER
    from protocol.spool.outbox import Cursor

    head, until = spool.outbox.head(), time.monotonic() + CATCH_UP_S
    while spool.fs.is_locked(spool.places.run / f"{CONSUMER}.lock"):
        if (spool.outbox.confirmed(CONSUMER) or Cursor(0, 0)) >= head:
            return
        if time.monotonic() > until:
            raise LedgerUnavailable(
                "the images are gone, but the bookkeeper does not catch up; run the same command again when the ledger answers"
            )
        time.sleep(LOOK_S)
