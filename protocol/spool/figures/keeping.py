"""Adds events to the file of figures: each batch in one transaction with the place in the outbox that it reached.
Only the bookkeeper may use it; what happened when it was dead or late is counted in the buckets of its own time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from protocol.effects import NO_EFFECTS, Effects
from protocol.errors import DecodeError, SpoolError
from protocol.spool.figures.counting import RULES, Added, count
from protocol.spool.figures.file import open_file, transaction
from protocol.spool.figures.metrics import NAMES_KEPT, OTHER, SUM, WIDTHS_S, labels_of, start_of
from protocol.spool.outbox import Cursor, Raw
from protocol.wire.codec import unpack_stored

_FINEST = min(WIDTHS_S)
_Key = tuple[str, tuple[str, ...]]
_KINDS = ("source", "target", "rule", "cause", "result", "outcome")


@dataclass
class _Sum:
    """What a batch adds to one line: amount by start of the finest bucket, and the time of its newest event."""

    last: float = 0.0
    starts: dict[int, float] = field(default_factory=dict)


class Keeper:
    """The one writer of a node's figures."""

    def __init__(self, path: Path, *, effects: Effects = NO_EFFECTS) -> None:
        """Opens the file or makes it. Raises SpoolError, SpoolDamaged, OutOfSpace."""
        connection = open_file(path, create=True)
        assert connection is not None
        self._db, self._effects = connection, effects
        self._lines: dict[_Key, int] = {}
        self._names: dict[str, set[str]] = {kind: set() for kind in _KINDS}
        self._load()

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def place(self) -> Cursor:
        """Everything up to and including this event is counted."""
        with transaction(self._db, "read the figures", "DEFERRED"):
            return Cursor(*self._db.execute("SELECT epoch, seq FROM place").fetchone())

    def add(self, events: Sequence[Raw], before: Cursor, now: float) -> int:
        """Count events that stand behind `before`; how many could not be understood. Raises SpoolError, OutOfSpace.

        Raises SpoolError also if somebody else counted them: then ask for the place again.
        """
        sums, odd = self._sums(events)
        last = events[-1]
        newest = max(event.time for event in events)
        try:
            with transaction(self._db, "write the figures"):
                moved = self._db.execute(
                    "UPDATE place SET epoch = ?, seq = ?, time = max(time, ?) WHERE epoch = ? AND seq = ?",
                    (last.epoch, last.seq, newest, *before),
                ).rowcount
                if not moved:
                    raise SpoolError("the figures were counted by somebody else")
                self._effects.step("figures.before")
                for key, total in sums.items():
                    self._write(key, total, now)
                self._effects.step("figures.commit")
        except BaseException:
            self._load()  # lines that were made in this transaction are gone with it
            raise
        self._effects.step("figures.after")
        return odd

    def skip_to(self, place: Cursor) -> None:
        """Count nothing up to here: the outbox begins at an earlier time than the figures, what it has was counted."""
        with transaction(self._db, "write the figures"):
            self._db.execute("UPDATE place SET epoch = ?, seq = ?", place)

    def forget(self, now: float) -> int:
        """Drop buckets that are older than their width is kept; how many went."""
        gone = 0
        for line in [row[0] for row in self._db.execute("SELECT id FROM line").fetchall()]:
            with transaction(self._db, "write the figures"):
                for width, kept_s in WIDTHS_S.items():
                    gone += self._db.execute(
                        "DELETE FROM bucket WHERE line = ? AND width = ? AND start < ?",
                        (line, width, start_of(now - kept_s, width)),
                    ).rowcount
        return gone

    def _sums(self, events: Iterable[Raw]) -> tuple[dict[_Key, _Sum], int]:
        """What a batch adds, and how many events were odd: those count nothing."""
        sums: dict[_Key, _Sum] = {}
        odd = 0
        for event in events:
            if event.type not in RULES:
                continue
            try:
                added = count(event.type, event.time, unpack_stored(event.body))
            except (DecodeError, KeyError, TypeError, ValueError):
                odd += 1
                continue
            start = start_of(event.time, _FINEST)
            for one in added:
                if one.amount or one.metric.endswith(SUM):
                    total = sums.setdefault((one.metric, self._named(one)), _Sum())
                    total.starts[start] = total.starts.get(start, 0) + one.amount
                    total.last = max(total.last, event.time)
        return sums, odd

    def _write(self, key: _Key, total: _Sum, now: float) -> None:
        line = self._line(key, total)
        self._db.execute(
            "UPDATE line SET total = total + ?, last = max(last, ?) WHERE id = ?",
            (sum(total.starts.values()), total.last, line),
        )
        for width, kept_s in WIDTHS_S.items():
            buckets: dict[int, float] = {}
            for start, value in total.starts.items():
                if start >= now - kept_s:  # what comes late is not put where it would be dropped at once
                    wider = start_of(start, width)
                    buckets[wider] = buckets.get(wider, 0) + value
            self._db.executemany(
                "INSERT INTO bucket (line, width, start, value) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (line, width, start) DO UPDATE SET value = value + excluded.value",
                [(line, width, start, value) for start, value in buckets.items()],
            )

    def _line(self, key: _Key, total: _Sum) -> int:
        if key not in self._lines:
            row = self._db.execute(
                "INSERT INTO line (metric, labels, total, last) VALUES (?, ?, 0, ?) RETURNING id",
                (key[0], json.dumps(key[1], ensure_ascii=False), total.last),
            ).fetchone()
            self._lines[key] = int(row[0])
        return self._lines[key]

    def _load(self) -> None:
        rows = self._db.execute("SELECT id, metric, labels FROM line").fetchall()
        self._lines = {(metric, tuple(json.loads(labels))): id for id, metric, labels in rows}
        for names in self._names.values():
            names.clear()
        for metric, labels in self._lines:
            for kind, label in zip(labels_of(metric), labels, strict=False):
                self._names[kind].add(label)

    def _named(self, added: Added) -> tuple[str, ...]:
        """Its labels; new names beyond what is kept of a kind become one."""
        labels = list(added.labels)
        for place, kind in enumerate(labels_of(added.metric)):
            names = self._names[kind]
            if labels[place] not in names:
                if len(names) >= NAMES_KEPT:
                    labels[place] = OTHER
                else:
                    names.add(labels[place])
        return tuple(labels)
