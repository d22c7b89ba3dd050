"""What the target pages read: states, queues, throughput, certificates, where each is used. It must not render or change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from protocol.addresses import with_port
from protocol.certificates import endings
from protocol.errors import SpoolError, SpoolMissing
from protocol.routing.model import RoutingConfiguration
from protocol.routing.targets import TARGETS
from protocol.routing.versions import Version
from protocol.spool import Spool
from protocol.spool.status import targets as states_of
from webgui import modelform, publishing
from webgui.areas.targets import words
from webgui.keys import NODE
from webgui.node import Node

DAY_S = 86_400.0
SOON_S = 30 * DAY_S
SPECS = {
    kind: modelform.specs(model, words.FIELDS, ("type",), words.SHOWN.get(kind, ())) for kind, model in TARGETS.items()
}  # fmt: skip


def address(target: Any) -> str:
    """Where images go, in a few words."""
    match target.type:
        case "dicom":
            return f"{target.called_ae} @ {with_port(target.host, target.port)}" + (" TLS" if target.tls else "")
        case "dicomweb":
            return str(target.url)
        case "folder":
            return str(target.path)
        case "s3":
            return f"{target.endpoint or 'Amazon S3'}/{target.bucket}"
        case "sftp":
            return f"{target.user}@{with_port(target.host, target.port)}{target.path}"
    return str(getattr(target, "host", target.type))


def used_by(configuration: RoutingConfiguration, name: str) -> dict[str, list[str]]:
    """Rules, groups and sources that name it."""
    return {
        "rules": [rule.name for rule in configuration.rules if name in rule.targets],
        "groups": [key for key, group in configuration.groups.items() if name in group.members],
        "sources": [key for key, one in configuration.sources.items() if one.commitment.target == name],
    }


async def listed(request: web.Request) -> tuple[Version, list[dict[str, Any]]]:
    """Targets as rows, those that only have work left included."""
    node: Node = request.app[NODE]
    version = await publishing.current(node)
    names, now = list(version.configuration.targets), node.clock.now()

    def look(spool: Spool) -> tuple[dict[str, Any], dict[str, dict[str, float]], dict[str, Any]]:
        return states_of(spool, names, now), _day(spool, now), spool.targets.all()

    try:
        states, day, raw = await node.spool(look)
    except SpoolMissing:
        states, day, raw = {name: _fresh() for name in names}, {}, {}
    ends = await node.run(lambda: endings(node.settings, version.configuration))
    rows = [
        _row(name, states[name], version.configuration, day, raw.get(name), ends.get(f"target.{name}"), now)
        for name in states
    ]
    return version, rows


async def ladder_line(node: Node, name: str, target: BaseModel) -> str:
    """What the process of a target test reads: the settings to try, and what the target of this name got lately."""
    try:
        lately = await node.spool(lambda spool: spool.targets.lately(name))
    except SpoolError:
        lately = []
    return json.dumps({"target": target.model_dump(mode="json"), "lately": lately})


def _day(spool: Spool, now: float) -> dict[str, dict[str, float]]:
    """Of the last 24 h, by target: images, bytes, attempts by result; nothing if the statistics cannot be read."""
    try:
        found: dict[str, dict[str, float]] = {}
        for metric in ("sent_images", "sent_bytes"):
            for key, value in spool.statistics.totals(metric, now - DAY_S, by=("target",)).items():
                found.setdefault(str(key[0]), {})[metric] = value
        for key, value in spool.statistics.totals("sends", now - DAY_S, by=("target", "result")).items():
            found.setdefault(str(key[0]), {})[f"sends_{key[1]}"] = value
        for name, one in spool.statistics.latencies(now - DAY_S, "sending_s").items():
            if one.p95 is not None:
                found.setdefault(name, {})["p95"] = one.p95
        return found
    except SpoolError:
        return {}


def _fresh() -> dict[str, Any]:
    return {"state": "up", "waiting": 0, "sending": 0, "parked": 0, "held": 0, "oldest_s": None, "fails": 0,
            "last_success": None, "last_error": "", "last_error_time": None, "reason": "",
            "breaker": {"state": "closed", "since": None, "next_probe": None, "probes": 0, "why": ""}}  # fmt: skip


def _row(
    name: str, state: Mapping[str, Any], configuration: RoutingConfiguration, day: Mapping[str, Mapping[str, float]],
    raw: Any, ends: float | None, now: float,
) -> dict[str, Any]:  # fmt: skip
    target = configuration.targets.get(name)
    level, word = words.STATES[state["state"]]
    of_day = day.get(name, {})
    ended = sum(value for key, value in of_day.items() if key in ("sends_delivered", "sends_failed", "sends_parked"))
    good = of_day.get("sends_delivered", 0)
    used = used_by(configuration, name)
    return {**state, "name": name, "level": level, "word": word, "type": target.type if target else "",
            "kind": words.TYPES[target.type][0] if target else "removed", "address": address(target) if target else "",
            "comment": target.comment if target else "", "images": int(of_day.get("sent_images", 0)),
            "bytes": of_day.get("sent_bytes", 0.0), "success": round(100 * good / ended) if ended else None,
            "sending_p95_s": of_day.get("p95"),
            "rules": used["rules"], "used": used, "paused_by": raw.by if raw and state["state"] == "paused" else "",
            "until": raw.until if raw and state["state"] == "paused" else None, "certificate": ends,
            "certificate_level": "" if ends is None else "bad" if ends < now else "warn" if ends < now + SOON_S else "ok",
            "queue": state["waiting"] + state["sending"]}  # fmt: skip
