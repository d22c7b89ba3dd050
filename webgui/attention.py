"""What needs a person, as a short list of symptoms out of the status document. It must not do I/O.

Only what somebody can act upon stands here; each line says what is wrong and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from protocol.spool.alerts import Alert
from webgui import words

STOPPED = frozenset({"missing", "stopped", "fatal"})
"""States of an actor that is not there."""

OLD_S = 3600.0
DOWN_AFTER = 3
LEDGER_BEHIND = 20_000
"""Events: more than a busy minute, less than an hour of a ledger that is away."""

LEVELS = ("bad", "warn", "held", "ok")
WORDS = {"bad": "act now", "warn": "look", "held": "decide", "ok": "know"}
ALERT_LEVELS = {"critical": "bad", "warning": "warn", "info": "ok"}
PLACES = {
    "actor": "/system", "disk": "/system", "wal": "/system", "draining": "/system", "ready": "/system", "ledger": "/system",
    "accounting": "/system", "parked": "/queue?state=parked", "held": "/series?state=held", "quarantined": "/quarantine",
    "oldest": "/queue?state=waiting", "routing": "/config/versions", "more": "/alerts",
}  # fmt: skip
"""Where a symptom is looked at."""
SAME = {
    "delivery.parked.": "parked", "arrival.held.": "held", "quarantine.": "quarantined", "delivery.late.": "oldest",
    "accounting.": "accounting", "ledger.": "ledger",
    "spool.wal": "wal",
}  # fmt: skip
"""Beginning of an alert's key -> the symptom that says the same."""

MOST = 100
"""Lines that are shown: with one for each of thousands of invented AE titles a page has ten megabytes and says nothing."""

Row = dict[str, Any]


def attention(status: dict[str, Any], error: str, alerts: Sequence[Alert] = ()) -> dict[str, Row]:
    """Lines by key, a drain first, then the worst: open alerts, and what no alert tells yet (a look a second finds it sooner)."""
    found: dict[str, tuple[str, str]] = {}
    if error:
        found["spool"] = ("bad", f"The spool cannot be read: {error}")
    if status:
        _node(status, found)
        _targets(status.get("targets", {}), found)
        _work(status, found)
    standing = {one.key: one for one in alerts if one.state != "cleared"}
    told = {one.about.replace("/", " ") for one in standing.values()} | {
        key for beginning, key in SAME.items() if any(one.startswith(beginning) for one in standing)
    }
    lines = {f"alert {one.key}": _alert(one) for one in standing.values() if one.state == "open"}
    lines |= {key: _line(key, level, text) for key, (level, text) in found.items() if key not in told}
    # A drain that was forgotten keeps everything out, and nothing else on the screen would say so: it goes first.
    ordered = sorted(lines.items(), key=lambda item: (item[0] != "draining", LEVELS.index(item[1]["level"])))
    return {key: {"order": place, **row} for place, (key, row) in enumerate(ordered)}


def shortened(rows: dict[str, Row]) -> dict[str, Row]:
    """The first of them, and a line that counts the others."""
    if len(rows) <= MOST:
        return rows
    text = (
        f"{words.count(len(rows) - MOST, 'further thing')} like these, by severity. All of them: scanpost alerts list"
    )
    level = list(rows.values())[MOST]["level"]
    return dict(list(rows.items())[:MOST]) | {"more": {"order": MOST, **_line("more", level, text)}}


def _line(key: str, level: str, text: str) -> Row:
    kind, _, name = key.partition(" ")
    href = f"/targets/{quote(name, safe='')}" if kind == "target" else PLACES.get(kind, "")
    return {"level": level, "chip": [[level, WORDS[level]]], "text": text, "href": href, "alert": "", "since": ""}


def _alert(one: Alert) -> Row:
    level = ALERT_LEVELS.get(one.severity, "warn")
    kind, _, name = one.about.partition("/")
    href = f"/targets/{quote(name, safe='')}" if kind == "target" and name else "/alerts"
    # Over, and only waits to be cleared: the text alone would go on claiming it.
    since = words.Moment(one.raised, "since ") if one.gone is None else words.Moment(one.gone, "over since ")
    return {"level": level, "chip": [[level, WORDS[level]]], "text": words.alert(one.text),
            "href": href, "alert": one.key, "since": since}  # fmt: skip


def images_unaccounted(images: dict[str, Any]) -> int:
    """Images received minus those in a known state; 0 when every image is accounted for (spool accounting)."""
    states = ("open", "waiting", "in_delivery", "delivered", "discarded", "held", "quarantined", "deleted")
    if any(images.get(state) is None for state in ("received", *states)):
        return 0
    return int(images["received"]) - sum(int(images[state]) for state in states)


def is_down(target: dict[str, Any]) -> bool:
    """Whether enough attempts in a row failed to call a target down; one failure alone is called failing."""
    return target.get("state") == "failing" and (target.get("fails") or 0) >= DOWN_AFTER


def _node(status: dict[str, Any], found: dict[str, tuple[str, str]]) -> None:
    for name, actor in status.get("actors", {}).items():
        state = str(actor.get("state") or "unknown")
        if state in STOPPED:
            found[f"actor {name}"] = ("bad", f"{name} is {state}. Start it: scanpost restart {name.split()[0]}")
        elif state == "hung":
            text = f"{name} gives no sign of life: it hangs, or is suspended. Start it anew: scanpost restart {name.split('-')[0]}"
            found[f"actor {name}"] = ("bad", text)
        elif state == "failing":
            found[f"actor {name}"] = ("bad", f"{name} fails at its work and tries again; its log says why")
    if missing := images_unaccounted(status.get("images", {})):
        found["accounting"] = ("bad", f"{words.number(missing)} images are not accounted for. Run: scanpost doctor")
    disk = status.get("disk", {})
    if disk.get("state", "ok") != "ok":
        room = words.size(disk.get("free_bytes"))
        found["disk"] = ("bad", f"The disk reserve is reached ({room} free): new images are refused")
    if disk.get("wal_alert"):
        text = f"The spool's log has grown to {words.size(disk.get('wal_bytes'))}: some program reads it without end"
        found["wal"] = ("warn", text)
    if drain := status.get("draining"):
        why = f" ({drain['reason']})" if drain.get("reason") else ""
        text = f"New images are refused: {drain.get('by') or 'somebody'} drains this node{why}. It is ended on System"
        found["draining"] = ("warn", f"{text}, or by: scanpost drain --end")
    elif not status.get("ready", True) and not any(level == "bad" for level, _ in found.values()):
        found["ready"] = ("bad", "Images cannot be received and stored at the moment. Run: scanpost doctor")


def _targets(targets: dict[str, Any], found: dict[str, tuple[str, str]]) -> None:
    for name, target in targets.items():
        state, queued = target.get("state"), target.get("waiting") or 0
        waits = f", {words.count(queued, 'delivery waits', 'deliveries wait')}"
        error = f" ({target['last_error']})" if target.get("last_error") else ""
        if is_down(target):
            fails = words.count(target["fails"], "failed attempt")
            found[f"target {name}"] = ("bad", f"Target {name} is down: {fails} in a row{waits}{error}")
        elif state == "failing":
            found[f"target {name}"] = ("warn", f"The last attempt at target {name} failed{waits}{error}")
        elif state == "removed":
            found[f"target {name}"] = ("warn", f"Target {name} is in no routing configuration any more{waits} for it")
        elif state == "paused":
            why = f": {target['reason']}" if target.get("reason") else ""
            found[f"target {name}"] = ("held", f"Target {name} is paused{why}{waits}")


def _work(status: dict[str, Any], found: dict[str, tuple[str, str]]) -> None:
    deliveries, images = status.get("deliveries", {}), status.get("images", {})
    if parked := deliveries.get("parked"):
        found["parked"] = (
            "warn",
            f"{words.count(parked, 'delivery has', 'deliveries have')} used up all attempts."
            " Why, and what to do: scanpost queue causes",
        )
    if held := images.get("held"):
        text = f"{words.count(held, 'image is', 'images are')} held until a person decides: scanpost series list"
        found["held"] = ("held", text)
    if quarantined := images.get("quarantined"):
        text = f"{words.count(quarantined, 'object', 'objects')} could not be read or placed and are kept in quarantine"
        found["quarantined"] = ("warn", text)
    oldest = status.get("oldest_waiting_s")
    if oldest is not None and oldest >= OLD_S:
        found["oldest"] = ("warn", f"The oldest delivery has waited for {words.uptime(oldest)}")
    behind = status.get("outbox", {}).get("bookkeeper_behind") or 0
    if behind >= LEDGER_BEHIND:
        found["ledger"] = ("warn", f"The ledger is {words.number(behind)} events behind; routing goes on without it")
    for number, text in enumerate(status.get("problems", [])):
        found[f"routing {number}"] = ("bad", f"The routing configuration cannot be used: {text}")
