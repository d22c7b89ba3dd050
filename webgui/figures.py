"""From the status document to what the dashboard shows: topics of rows of fields, all text. It must not do I/O.

The server-rendered page and the live feed use the same rows, so they cannot disagree. A field is text, or a list
of chips `[level, word]`; a level is one of `ok busy wait held warn bad off` and always goes with a word and an icon.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any
from urllib.parse import quote

from protocol.records import record
from protocol.spool.alerts import Alert
from webgui import words
from webgui.attention import STOPPED, attention, images_unaccounted, is_down, shortened
from webgui.outlook import Outlook, days_left
from webgui.rates import Point

Chip = list[str]
Row = dict[str, Any]
Topics = dict[str, dict[str, Row]]

LONG_DAYS, SHORT_DAYS = 100, 2
"""A disk that lasts longer is no news; one that lasts shorter is a worry."""
SLOW_S, STUCK_S = 600.0, 3600.0
"""The oldest waiting delivery is called slow, then stuck, after this long."""

IMAGE_STATES = {  # state: (level while there are some, word)
    "open": ("busy", "arriving"),
    "waiting": ("wait", "waiting for study"),
    "in_delivery": ("busy", "in delivery"),
    "delivered": ("ok", "delivered"),
    "discarded": ("off", "discarded"),
    "held": ("held", "held"),
    "quarantined": ("warn", "quarantined"),
    "deleted": ("off", "cleaned up"),
}
ARRIVAL_CHIPS = {
    "open": ("busy", "arriving"),
    "closed": ("busy", "complete"),
    "waiting": ("wait", "waiting for study"),
    "held": ("held", "held"),
    "in_delivery": ("busy", "in delivery"),
    "delivered": ("ok", "delivered"),
    "discarded": ("off", "discarded"),
    "deleted": ("off", "cleaned up"),
}
DELIVERY_LEVELS = {
    "waiting": "wait",
    "sending": "busy",
    "retrying": "warn",
    "confirming": "busy",
    "parked": "bad",
    "held": "held",
    "delivered": "ok",
    "cancelled": "off",
}
TARGET_LEVELS = {"up": "ok", "paused": "held", "failing": "warn", "removed": "off"}
ACTOR_LEVELS = {
    "ready": "ok",
    "standby": "ok",
    "starting": "busy",
    "recovering": "busy",
    "stopping": "off",
    "hung": "bad",
}


PROGRAMS = ("bus", "receiver", "router", "dispatcher", "cleaner", "bookkeeper", "webgui")


@record
class Reading:
    """Everything one look at the node brought; `error` says why the spool could not be read."""

    status: dict[str, Any] = field(default_factory=dict)
    arrivals: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""
    at: float = 0.0
    """Wall time of the reading."""
    monotonic: float = 0.0
    alerts: list[Alert] = field(default_factory=list)
    outlook: Outlook = Outlook()
    chart: dict[str, Row] = field(default_factory=dict)
    """Rows of the live chart by start of their bucket (looking.py)."""


def mapped(reading: Reading) -> tuple[Any, ...]:
    """What the map of flows is drawn from: while it is the same the map is."""
    outlook = reading.outlook
    states = {name: (one.get("state"), is_down(one)) for name, one in reading.status.get("targets", {}).items()}
    return outlook.flows, outlook.rules, outlook.groups, states


def topics(reading: Reading, now: Point | None) -> Topics:
    """All topics of the dashboard. `now`: the rates of this moment."""
    status, outlook = reading.status, reading.outlook
    rows = attention(status, reading.error, reading.alerts)
    actors = status.get("actors", {})
    return {
        "summary": {"all": _summary(status, rows)},
        "attention": shortened(rows),
        "kpi": _kpi(status, now, outlook),
        "images": _images(status.get("images", {})),
        "chart": reading.chart,
        "actors": {name: _actor(name, actor) for name, actor in actors.items()},
        "programs": _programs(actors),
        "targets": {
            name: _target(name, target, outlook.rates.get(name)) for name, target in status.get("targets", {}).items()
        },
        "arrivals": {str(row["id"]): _arrival(row) for row in reading.arrivals},
        "disk": {"spool": _disk(status.get("disk", {}), outlook)},
    }


def _summary(status: dict[str, Any], rows: dict[str, Row]) -> Row:
    if not status and not rows:
        return {"level": "off", "chip": [["off", "no figures yet"]]}
    if not rows:
        return {"level": "ok", "chip": [["ok", "all is well"]]}
    levels = {row["level"] for row in rows.values()}
    level = next((one for one in ("bad", "warn") if one in levels), "held")
    verb = "needs" if len(rows) == 1 else "need"
    return {"level": level, "chip": [[level, f"{words.count(len(rows), 'thing')} {verb} attention"]]}


def _tile(value: str, unit: str, level: str, word: str, note: str = "") -> Row:
    return {"value": value, "unit": unit, "level": level, "chip": [[level, word]], "note": note}


def _kpi(status: dict[str, Any], now: Point | None, outlook: Outlook) -> dict[str, Row]:
    deliveries, images = status.get("deliveries", {}), status.get("images", {})
    queued = sum(deliveries.get(state) or 0 for state in ("waiting", "sending", "retrying", "confirming"))
    oldest = status.get("oldest_waiting_s")
    retrying, sending = deliveries.get("retrying") or 0, deliveries.get("sending") or 0
    parked = deliveries.get("parked") or 0
    held, discarded = images.get("held") or 0, images.get("discarded") or 0
    failed = f"{words.count(outlook.failed_day, 'failed attempt')} in 24 h" if outlook.failed_day else ""
    unwanted = f"{words.number(outlook.discarded_day)} series in 24 h" if outlook.discarded_day else ""
    return {
        "in": _rate_tile(now.received if now else None, "receiving", f"{words.number(outlook.series_in_h)} series/h"),
        "out": _rate_tile(now.sent if now else None, "sending", f"{words.number(outlook.series_out_h)} series/h"),
        "waiting": _tile(
            words.number(queued),
            _unit(queued, "delivery", "deliveries"),
            "warn" if retrying else "busy" if queued else "ok",
            f"{words.number(retrying)} retrying" if retrying else "moving" if queued else "nothing waits",
            f"{words.number(sending)} sending" if sending else "",
        ),
        "oldest": _tile(words.duration(oldest), "", *_age_chip(oldest)),
        "parked": _alarm(parked, _unit(parked, "delivery", "deliveries"), "bad", "given up", "none", failed),
        "held": _alarm(held, _unit(held, "image", "images"), "held", "to be decided", "none"),
        "discarded": _alarm(discarded, _unit(discarded, "image", "images"), "off", "kept, no rule", "none", unwanted),
    }


def _unit(count: int, one: str, many: str) -> str:
    return one if count == 1 else many


def _rate_tile(value: float | None, word: str, note: str) -> Row:
    if value is None:
        return _tile(words.NONE, "images/s", "off", "measuring", note)
    return _tile(words.rate(value), "images/s", *(("busy", word) if value > 0 else ("ok", "quiet")), note)


def _alarm(count: int, unit: str, level: str, word: str, calm: str, note: str = "") -> Row:
    return _tile(words.number(count), unit, *((level, word) if count else ("ok", calm)), note)


def _age_chip(seconds: float | None) -> tuple[str, str]:
    if seconds is None:
        return "ok", "nothing waits"
    if seconds >= STUCK_S:
        return "bad", "stuck"
    return ("warn", "slow") if seconds >= SLOW_S else ("ok", "in time")


def _images(images: dict[str, Any]) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    for state, (level, word) in IMAGE_STATES.items():
        count = images.get(state) or 0
        rows[state] = {"value": words.number(count), "level": level if count else "off", "chip": [[level, word]]}
    missing = images_unaccounted(images)
    sum_chip = ["ok", "every image accounted for"] if not missing else ["bad", f"{words.number(missing)} unaccounted"]
    rows["received"] = {"value": words.number(images.get("received")), "level": sum_chip[0], "chip": [sum_chip]}
    extra = [
        f"{words.count(images.get('duplicates') or 0, 'duplicate')}",
        f"{words.number(images.get('refused') or 0)} refused",
    ]
    rows["aside"] = {"value": "", "level": "off", "chip": [], "note": "not counted: " + ", ".join(extra)}
    return rows


def _programs(actors: dict[str, Any]) -> dict[str, Row]:
    """Actors of a kind together: how many of them run, in the order of their work."""
    found: dict[str, list[str]] = {}
    for name, actor in actors.items():
        found.setdefault(name.split("-")[0].split(" ")[0], []).append(str(actor.get("state") or "unknown"))
    rows = {}
    for order, name in enumerate(sorted(found, key=lambda name: PROGRAMS.index(name) if name in PROGRAMS else 99)):
        states = found[name]
        there = sum(state not in STOPPED for state in states)
        odd = [state for state in states if ACTOR_LEVELS.get(state) != "ok"]
        level = "ok" if not odd else "bad" if there < len(states) else ACTOR_LEVELS.get(odd[0], "warn")
        word = f"{there}/{len(states)}" + (f" {odd[0]}" if odd else "")
        rows[name] = {"order": order, "name": name, "level": level, "chip": [[level, word]]}
    return rows


def _actor(name: str, actor: dict[str, Any]) -> Row:
    state = str(actor.get("state") or "unknown")
    level = ACTOR_LEVELS.get(state, "bad" if state in STOPPED else "warn")
    return {
        "name": name,
        "level": level,
        "chip": [[level, state]],
        "pid": str(actor.get("pid") or words.NONE),
        "uptime": words.uptime(actor.get("uptime_s")),
        "version": str(actor.get("version") or words.NONE),
    }


def _target(name: str, target: dict[str, Any], rate: float | None = None) -> Row:
    state = str(target.get("state") or "unknown")
    level = "bad" if is_down(target) else TARGET_LEVELS.get(state, "warn")
    queued = sum(target.get(part) or 0 for part in ("waiting", "sending"))
    parked = target.get("parked") or 0
    return {
        "name": name,
        "level": level,
        "chip": [[level, "down" if is_down(target) else state]],
        "address": str(target.get("address") or ""),
        "waiting": words.number(queued),
        "oldest": words.duration(target.get("oldest_s")),
        "parked": [["bad", words.number(parked)]] if parked else words.NONE,
        "rate": f"{words.rate(rate)}/s" if rate else words.NONE,
        "href": f"/targets/{quote(name, safe='')}",
        "paused": state == "paused",
        "pausable": state not in ("paused", "removed"),
        "success": _moment(target.get("last_success")),
        "utc": words.utc_time(target.get("last_success")),
        "error": str(target.get("last_error") or ""),
    }


def _moment(at: float | None) -> words.Moment | str:
    return words.NONE if at is None else words.Moment(at)


def _arrival(row: dict[str, Any]) -> Row:
    state = str(row.get("state") or "")
    deliveries = [
        [DELIVERY_LEVELS.get(part.get("state", ""), "off"), f"{part.get('target')} {part.get('state')}"]
        for part in row.get("deliveries") or []
    ]
    return {
        "order": -float(row.get("opened") or 0),
        "level": ARRIVAL_CHIPS.get(state, ("off", state))[0],
        "href": f"/series/{row['id']}",
        "time": _moment(row.get("opened")),
        "utc": words.utc_time(row.get("opened")),
        "source": str(row.get("source") or ""),
        "modality": str(row.get("modality") or ""),
        "images": words.number(row.get("images")),
        "chip": [list(ARRIVAL_CHIPS.get(state, ("off", state)))],
        "deliveries": deliveries,
    }


def _disk(disk: dict[str, Any], outlook: Outlook) -> Row:
    free, reserve = disk.get("free_bytes"), disk.get("reserve_bytes")
    if free is None:
        return _tile(words.NONE, "", "off", "unknown")
    if disk.get("state", "ok") != "ok":
        chip = ("bad", "reserve reached")
    elif reserve is not None and free <= 2 * reserve:
        chip = ("warn", "running full")
    else:
        chip = ("ok", "enough room")
    left = days_left(free, reserve, outlook.net_bytes_day)
    note = f"{left:.1f} days left" if left is not None and left < LONG_DAYS else ""
    if left is not None and left < SHORT_DAYS and chip[0] == "ok":
        chip = ("warn", "fills up")
    return _tile(words.size(free), "free", *chip, note)
