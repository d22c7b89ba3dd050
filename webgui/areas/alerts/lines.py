"""Alerts and messages as pages and programs see them. Pure; a recipient's address beyond its host may be a secret."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any
from urllib.parse import quote, urlsplit

from protocol.addresses import with_port
from protocol.settings import Settings
from protocol.spool.alerts import Alert
from protocol.spool.commands import Command
from protocol.spool.letters import Letter
from protocol.states import CommandState

SEVERITY = {"critical": ("bad", "critical"), "warning": ("warn", "warning"), "info": ("ok", "information")}
STATE = {
    "open": ("bad", "nobody yet"), "acknowledged": ("busy", "taken care of"), "silenced": ("off", "silenced"),
    "cleared": ("ok", "over"),
}  # fmt: skip
LETTER = {"waiting": ("wait", "waiting"), "sent": ("ok", "sent"), "given_up": ("bad", "given up")}
_PRIVATE = ("keeper", "ends", "gone", "told_severity")
_PLACES = {"target": "/targets/{}", "rule": "/rules/{}", "source": "/series?source={}", "actor": "/system"}
_HELD = ("arrival.held.", "arrival.aside.")
_OTHERS = "others"
"""All senders beyond the first twenty, as the bookkeeper calls them (actors/bookkeeper/alerts/conditions.py)."""


def document(one: Alert, settings: Settings) -> dict[str, Any]:
    """An alert as plain values. Times in seconds since 1970 UTC."""
    plain = {name: value for name, value in asdict(one).items() if name not in _PRIVATE}
    clears = one.clears_at(settings.alerts.clear_after_s)
    return {**plain, "state": one.state, "over_since": None if clears is None else one.gone, "clears_at": clears}


def place(one: Alert) -> str:
    """The page where somebody does something about an alert, else that of what it is about; nothing if it has none."""
    kind, _, name = one.about.partition("/")
    if one.key.startswith("quarantine."):
        return "/quarantine"
    if one.key.startswith(_HELD):
        return "/series?state=held" + (f"&source={quote(name, safe='')}" if name not in ("", _OTHERS) else "")
    return _PLACES[kind].format(quote(name, safe="")) if kind in _PLACES and name else ""


def recipient(text: str) -> str:
    """A recipient without what may be a secret: of a URL only the host."""
    channel, _, rest = text.partition(":")
    if channel == "webhook" and rest:
        return f"webhook: {urlsplit(rest).hostname or 'somewhere'}"
    return f"{channel}: {rest}" if rest else channel


def letter_document(one: Letter) -> dict[str, Any]:
    """A message as plain values, without its text."""
    return {
        "id": one.id, "to": recipient(one.recipient), "state": one.state, "created": one.created, "due": one.due,
        "attempts": one.attempts, "error": one.error, "ended": one.ended, "subject": one.body.get("subject", ""),
        "items": one.body.get("count", 0),
    }  # fmt: skip


def ladder(command: Command) -> dict[str, Any]:
    """A test of a channel: its steps, or what the bookkeeper said, or that it did not say anything yet."""
    channel = str(command.arguments.get("channel", ""))
    if command.state is CommandState.NEW:
        return {"channel": channel, "ok": None, "steps": [], "text": ""}
    try:
        told = json.loads(command.answer)
        steps = [{name: one[name] for name in ("name", "ok", "seconds", "text")} for one in told["steps"]]
    except (ValueError, KeyError, TypeError):
        return {"channel": channel, "ok": command.state is CommandState.DONE, "steps": [], "text": command.answer}
    return {"channel": channel, "ok": bool(told.get("ok")), "steps": steps, "text": ""}


def channels(settings: Settings) -> list[dict[str, Any]]:
    """The ways of telling people, and whether they are set."""
    mail, hook = settings.alerts.smtp, settings.alerts.webhook
    host = urlsplit(hook.url).hostname if hook.url else ""
    return [
        {"name": "mail", "set": bool(mail.host), "where": with_port(mail.host, mail.port) if mail.host else "",
         "to": list(mail.to)},
        {"name": "webhook", "set": bool(hook.url), "where": host or "", "to": []},
    ]  # fmt: skip
