"""The way of one series as a few stages that anybody understands: received, complete, judged by the rules, sent.
Pure: the spool's story of an arrival in, words out; it must not know pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webgui import words
from webgui.figures import DELIVERY_LEVELS

OPEN, CLOSED = "open", "closed"
AT_REST = ("delivered", "cancelled", "parked", "held")
"""States of a delivery in which nothing more happens by itself."""
SENDS = {
    "waiting": "waits for its turn to {}", "sending": "on its way to {}", "retrying": "did not get through to {}, is tried again",
    "confirming": "sent, {} is asked to confirm", "parked": "given up, {} did not take it", "held": "held, it was for {}",
    "delivered": "to {}", "cancelled": "to {} was cancelled",
}  # fmt: skip
RULES_SAY = {"discard": "no rule wants it", "hold": "hold it", "wait": "wait for its study"}

Stage = dict[str, Any]


def stages(story: Mapping[str, Any]) -> list[Stage]:
    """The stages in their order. `story`: as `spool.arrivals.story` tells.

    A stage has `level`, `title`, `text`, `at` (when it was reached, seconds UTC; None: not yet), `after_s` (seconds since the
    stage before) and `error`.
    """
    arrival, decisions, deliveries = story["arrival"], story["decisions"], story["deliveries"]
    count = words.count(arrival["images"] - arrival["superseded"], "image")
    is_open = arrival["state"] == OPEN
    found = [_stage("busy" if is_open else "ok", "Received", count, arrival["last_image"])]
    found.append(_stage("busy", "Complete", "waits a moment for more images") if is_open
                 else _stage("ok", "Complete", "", arrival["closed"]))  # fmt: skip
    found.append(_rules(decisions, is_open))
    if len(decisions) > 1 and decisions[-1]["command"] and decisions[-1]["outcome"] == "route":
        found.append(_stage("ok", "By hand", "sent on all the same", decisions[-1]["time"]))
    found += [_delivery(one) for one in deliveries] or [_stage("off", "Sent", "nowhere" if decisions else "")]
    return _timed(found)


def over(story: Mapping[str, Any]) -> bool:
    """Whether nothing more happens by itself."""
    decided = bool(story["decisions"]) and story["arrival"]["state"] not in (OPEN, CLOSED)
    return decided and all(one["state"] in AT_REST for one in story["deliveries"])


def _rules(decisions: list[Any], is_open: bool) -> Stage:
    if not decisions:
        return _stage("off", "Rules", "") if is_open else _stage("busy", "Rules", "are asked")
    first = decisions[0]
    text = RULES_SAY.get(first["outcome"]) or str(first["reason"])
    return _stage("ok" if first["outcome"] == "route" else "off", "Rules", text, first["time"])


def _delivery(row: Mapping[str, Any]) -> Stage:
    state = str(row["state"])
    text = SENDS.get(state, state + " {}").format(row["target"])
    title = "Sent" if state in ("delivered", "confirming") else "Queue"
    error = "" if state in ("delivered", "cancelled") else str(row["error"] or "")
    return _stage(DELIVERY_LEVELS.get(state, "off"), title, text, row["finished"], error)


def _stage(level: str, title: str, text: str, at: float | None = None, error: str = "") -> Stage:
    return {"level": level, "title": title, "text": text, "at": at, "after_s": None, "error": error}


def _timed(found: list[Stage]) -> list[Stage]:
    before: float | None = None
    for one in found:
        if one["at"] is not None:
            one["after_s"] = None if before is None else max(0.0, one["at"] - before)
            before = one["at"]
    return found
