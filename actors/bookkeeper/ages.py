"""From which times on the ledger forgets, by the settings. Pure: the clock is handed in."""

from __future__ import annotations

from protocol.ledger.forgetting import Ages
from protocol.settings import Settings

DAY_S = 86_400.0
AFTER_THE_SPOOL_DAYS = 1.0  # `scanpost doctor` holds the ledger against every row that the spool still has


def ages_at(now: float, settings: Settings) -> Ages:
    """What is older may go at `now` (seconds since 1970 UTC)."""
    ledger, rows = settings.ledger, None
    if ledger.rows_days is not None:
        rows = now - max(ledger.rows_days, settings.cleaner.rows_days + AFTER_THE_SPOOL_DAYS) * DAY_S
    patients = None if ledger.patient_days is None else now - ledger.patient_days * DAY_S
    return Ages(now - ledger.headers_days * DAY_S, patients, rows)
