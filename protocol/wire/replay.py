"""FETCH: how a subscriber asks the bus for recorded events it missed, and how the bus answers out of the outbox.
Reading only, repeatable, paced by the asker; it knows no sockets, and patient data never passes.

Request: ``{id, op: "fetch", from: [epoch, seq], max, filter: [patterns]}``; answer: ``{id, records, next, oldest, head}``.
``{id, op: "where", time}`` asks for places only; answer: ``{id, since, oldest, head}``. Places are [epoch, seq];
`next` is where to go on, also when every record was filtered out. An error: ``{id, error}``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from protocol.errors import DecodeError, WireError
from protocol.records import record
from protocol.wire.codec import pack, unpack_map
from protocol.wire.messages import Envelope
from protocol.wire.topics import Patterns

MAX_RECORDS = 500
MAX_BYTES = 512 << 10
ANSWER_LIMIT = 1 << 20  # one record alone may exceed MAX_BYTES, never this (the sockets would refuse it)


class Place(NamedTuple):
    """A place in the outbox: everything up to and including it has been seen. The same shape as the spool's cursor."""

    epoch: int
    seq: int


class Outbox(Protocol):
    """The reading side of protocol.spool.outbox."""

    def read(self, after: Any, limit: int = ...) -> Sequence[Envelope]: ...

    def head(self) -> tuple[int, int]: ...

    def oldest(self) -> tuple[int, int]: ...

    def since(self, time: float) -> tuple[int, int]: ...


def read_on(
    outbox: Outbox, after: Place, limit: int, damaged: Callable[[str], None]
) -> tuple[list[Envelope], Place, bool]:
    """The next recorded events, the place behind them, and whether there is more.

    A record that cannot be decoded is told to `damaged` and skipped: one bad row must not silence the bus.
    """
    head = Place(*outbox.head())
    at, found, more = after, list[Envelope](), False
    while at < head:
        try:
            rows = outbox.read(at, limit)
        except DecodeError as exc:
            if limit > 1:
                limit //= 2
                continue
            damaged(f"record behind {at.seq}: {str(exc)[:100]}")
            at = Place(head.epoch, at.seq + 1)
            continue
        found, more = list(rows), len(rows) >= limit
        break
    if found:
        at = Place(found[-1].epoch, found[-1].seq)
    return found, at if more else max(at, head), more


def answer(outbox: Outbox, request: Mapping[str, Any], damaged: Callable[[str], None]) -> dict[str, Any]:
    """Answer one request; bad ones get an error, never an exception."""
    number = request.get("id", 0)
    try:
        if request.get("op") == "fetch":
            body = _fetch(outbox, request, damaged)
        elif request.get("op") == "where":
            time = request.get("time")
            body = {"since": [*(outbox.head() if time is None else outbox.since(float(time)))]}
        else:
            raise WireError("unknown op")
    except (WireError, TypeError, ValueError, KeyError) as exc:
        damaged(f"request: {str(exc)[:100]}")
        return {"id": number, "error": str(exc)[:500]}
    return {"id": number, **body, "oldest": [*outbox.oldest()], "head": [*outbox.head()]}


def _fetch(outbox: Outbox, request: Mapping[str, Any], damaged: Callable[[str], None]) -> dict[str, Any]:
    epoch, seq = request["from"]
    after = Place(int(epoch), int(seq))
    patterns = Patterns(str(text) for text in request.get("filter") or ())
    limit = max(1, min(int(request.get("max", MAX_RECORDS)), MAX_RECORDS))
    found, upto, _ = read_on(outbox, after, limit, damaged)
    records, total = list[bytes](), 0
    for position, one in enumerate(found):
        if not patterns.match(one):
            continue
        raw = pack(one.to_map())
        if len(raw) > ANSWER_LIMIT - 4096:
            damaged(f"record {one.seq} has {len(raw)} bytes")
            continue
        if records and total + len(raw) > MAX_BYTES:
            before = found[position - 1]
            upto = Place(before.epoch, before.seq)
            break
        records.append(raw)
        total += len(raw)
    return {"records": records, "next": [*upto]}


@record
class Reply:
    """An answer as the asker sees it; `records` and `next` are of a fetch, `since` is of a where."""

    id: int
    head: Place
    oldest: Place
    records: tuple[Envelope, ...] = ()
    next: Place | None = None
    since: Place | None = None
    undecodable: int = 0

    @classmethod
    def from_map(cls, plain: Mapping[str, Any]) -> Reply:
        """Raises WireError with the bus's words if it refused, DecodeError if this is no answer."""
        if "error" in plain:
            raise WireError(f"the bus refused: {plain['error']}")
        records, bad = list[Envelope](), 0
        for raw in plain.get("records", ()):
            try:
                records.append(Envelope.from_map(unpack_map(raw)))
            except DecodeError:
                bad += 1
        try:
            head, oldest = Place(*plain["head"]), Place(*plain["oldest"])
            after, since = (Place(*plain[key]) if plain.get(key) else None for key in ("next", "since"))
            return cls(int(plain["id"]), head, oldest, tuple(records), after, since, bad)
        except (KeyError, TypeError, ValueError) as exc:
            raise DecodeError(f"not an answer: {exc}") from exc
