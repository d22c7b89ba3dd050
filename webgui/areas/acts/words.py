"""Acts in words. It must not know where they are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from protocol.spool.commands import Command

KINDS = {
    "series.route": "Send series to targets", "series.reroute": "Run the rules again", "series.hold": "Hold series",
    "series.release": "Release series", "series.discard": "Discard series", "series.keep": "Keep series until a day",
    "act.stop": "Stop an act",
    "queue.retry": "Retry deliveries",
    "queue.hold": "Hold deliveries", "queue.release": "Release deliveries", "queue.cancel": "Cancel deliveries",
    "queue.priority": "Change the priority of deliveries", "queue.redirect": "Send deliveries elsewhere",
    "target.pause": "Pause a target", "target.resume": "Resume a target", "target.test": "Test a target",
    "target.probe": "Ask a target whether it is there", "commitment.retry": "Report storage commitment again",
    "clean.now": "Clean now", "quarantine.discard": "Delete a quarantined object", "node.drain": "Drain the node",
    "node.resume": "End the drain",
}  # fmt: skip
SHOWN_IDS = 5


def told_kind(kind: str) -> str:
    """What is asked for."""
    return KINDS.get(kind, kind)


def told_state(command: Command) -> tuple[str, str]:
    """Level and word."""
    if command.state == "new":
        return ("busy", "goes on") if command.progress is not None else ("wait", "not begun")
    return ("ok", "done") if command.state == "done" else ("bad", "refused")


def told_what(arguments: Mapping[str, Any]) -> str:
    """What it is asked for, as far as a line holds it."""
    if arguments.get("restore"):
        return f"undo of act {arguments['restore']}"
    where, ids = arguments.get("where"), arguments.get("ids") or arguments.get("arrival")
    if isinstance(where, Mapping):
        return "all with " + ", ".join(f"{name} {_joined(value)}" for name, value in where.items())
    if isinstance(ids, Sequence) and not isinstance(ids, str):
        more = f" and {len(ids) - SHOWN_IDS} more" if len(ids) > SHOWN_IDS else ""
        return ", ".join(str(one) for one in ids[:SHOWN_IDS]) + more
    return str(ids or arguments.get("target") or arguments.get("receipt") or arguments.get("act") or "")


def _joined(value: Any) -> str:
    return " or ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
