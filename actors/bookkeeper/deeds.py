"""The bookkeeper's part in the audit: carries what people asked of the spool into it, each act once, and tells its head.
It must not wait for the ledger, and the ledger not for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from actors.base import Context
from protocol.accounts.carrying import TYPES, Entry, entry_of
from protocol.accounts.chain import Chain, Head
from protocol.errors import AccountError, DiskFailed, SpoolError
from protocol.spool.outbox import AUDITOR, Cursor, Raw
from protocol.wire.events import AuditHead

NAME = "spool"
PAGE = 2000
EVERY_S = 1.0
RETRY_S = 30.0
CONFIRM_EVERY_S = 60.0
HEAD_EVERY_S = 3600.0
HEAD = "audit.head"
ALERT = "audit.broken"
AWAY_ALERT, AWAY_ALERT_S = "audit.away", 60.0
AWAY_TEXT = (
    "what people do cannot be written into the audit (accounts.sqlite3); it waits in the spool; see audit_not_written in"
    " log/bookkeeper.log"
)


@contextmanager
def _unheard() -> Iterator[None]:
    """The spool takes nothing now: it will be told again, and the audit itself knows how far it is. DiskFailed passes."""
    try:
        yield
    except DiskFailed:
        raise
    except SpoolError:
        return


class DeedsDesk:
    """`round` is called in every pass."""

    def __init__(self, context: Context) -> None:
        self._spool, self._clock, self._log = context.spool, context.clock, context.log
        self._path = context.settings.home / "accounts.sqlite3"
        self._chain: Chain | None = None
        self._stands = Cursor(0, 0)  # the place in the file
        self._at: Cursor | None = None  # how far the outbox was read
        self._carried_time = 0.0
        self._due = self._head_at = self._confirm_at = 0.0  # monotonic seconds
        self._away_since: float | None = None  # monotonic seconds
        self._cleared = False  # until then an alert of a former process may stand

    def round(self) -> bool:
        """Carry over what is new if it is time; True if more is waiting."""
        now = self._clock.monotonic()
        if now < self._due:
            return False
        self._due = now + EVERY_S
        try:
            more = self._carry(now)
            self._is_written(now)
            return more
        except DiskFailed:
            raise  # what stands on the disk is unknown: this process ends
        except (AccountError, SpoolError) as exc:
            self._log.warning("audit_not_written", error=str(exc))
            self.close()
            self._due = now + RETRY_S
            self._is_away(now)
            return False

    def trim_before(self, time: float) -> float:
        """Events that are not carried over yet must stay in the outbox: the earlier of `time` and what is."""
        return min(time, self._carried_time) if self._chain is not None else time

    def _is_written(self, now: float) -> None:
        """Tell the spool how far it is: what was not carried over yet must stay, whoever trims and whatever happens here."""
        self._away_since = None
        if not self._cleared:
            self._spool.notices.clear_alert(AWAY_ALERT)
            self._cleared = True
        if now >= self._confirm_at:
            self._confirm_at = now + CONFIRM_EVERY_S
            self._confirm()

    def _confirm(self) -> None:
        if self._at is not None and self._spool.outbox.confirmed(AUDITOR) != self._at:
            self._spool.outbox.confirm(AUDITOR, self._at)

    def _is_away(self, now: float) -> None:
        """It must not be lost that it waits, and a person has to hear of it."""
        if self._away_since is None:
            self._away_since = now
        with _unheard():
            if self._spool.outbox.confirmed(AUDITOR) is None:
                self._spool.outbox.confirm(AUDITOR, Cursor(0, 0))
            if now - self._away_since >= AWAY_ALERT_S:
                self._cleared = False
                self._spool.notices.raise_alert(AWAY_ALERT, AWAY_TEXT)

    def close(self) -> None:
        """Let go of the file, and say how far it was."""
        with _unheard():
            self._confirm()
        chain, self._chain, self._at = self._chain, None, None
        if chain is not None:
            chain.close()

    def _carry(self, now: float) -> bool:
        if self._chain is None:
            self._chain = Chain.open(self._path, self._clock)
        if self._at is None:
            self._stands = Cursor(*self._chain.place(NAME))
            self._at = self._beginning(self._stands)
        events = self._spool.outbox.raw(self._at, PAGE)
        if events:
            after, self._at = Cursor(events[-1].epoch, events[-1].seq), None
            entries = [made for event in events if event.type in TYPES and (made := self._entry(event)) is not None]
            # A page without acts is read again after a death, unless that would become many.
            if entries or len(events) == PAGE or now >= self._head_at:
                if not self._spool.database.full:
                    self._spool.outbox.barrier()
                self._chain.carry(NAME, self._stands, after, entries)
                self._stands = after
            self._at, self._carried_time = after, events[-1].time
        else:
            self._carried_time = self._clock.now()
        if now >= self._head_at:
            self._head_at = now + HEAD_EVERY_S
            self._tell_head(self._chain)
        if len(events) == PAGE:
            self._due = 0.0
        return len(events) == PAGE

    def _beginning(self, at: Cursor) -> Cursor:
        """The audit's own place. An audit of a later time than the spool goes on from the spool's head."""
        return min(at, self._spool.outbox.head())

    def _entry(self, event: Raw) -> Entry | None:
        (whole,) = self._spool.outbox.read(Cursor(event.epoch, event.seq - 1), 1)
        try:
            return entry_of(whole.type, whole.time, whole.source, whole.data)
        except (KeyError, TypeError, ValueError) as exc:
            self._log.warning("act_not_audited", seq=event.seq, error=type(exc).__name__)
            return None

    def _tell_head(self, chain: Chain) -> None:
        """Once an hour, if it has moved: whoever cuts entries off later cannot take the event back."""
        told = self._spool.notices.standing(HEAD).get(HEAD, "")
        if told and (gone := chain.missing([Head.of(told)])) is not None:
            text = f"entry {gone.number} of the audit is gone or was changed; see `scanpost audit verify`"
            self._spool.notices.raise_alert(ALERT, text)
            return  # what was told must stay what is compared with
        self._spool.notices.clear_alert(ALERT)
        head = chain.head()
        if head.number:
            self._spool.notices.tell(HEAD, head.text, AuditHead(head.number, head.link))
