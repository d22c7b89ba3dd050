"""The areas in the order of the menu. It must not know which exist: the menu shows those that have a page."""

from __future__ import annotations

from protocol.records import record
from webgui.guards import Need


@record
class Section:
    """One entry of the menu; `key` is the letter after `g` that goes there."""

    path: str
    label: str
    icon: str
    need: Need = Need.VIEWER
    key: str = ""
    minor: bool = False
    """Stands below "More"."""


SECTIONS: tuple[Section, ...] = (
    Section("/", "Dashboard", "dashboard", key="d"),
    Section("/series", "Series", "series", key="s"),
    Section("/queue", "Queue", "queue", key="q"),
    Section("/rules", "Rules", "rules", key="r"),
    Section("/targets", "Targets", "target", key="t"),
    Section("/sources", "Sources", "source", key="o"),
    Section("/alerts", "Alerts", "bell", key="a"),
    Section("/system", "System", "actor", key="y"),
    Section("/config/versions", "Configuration", "history", key="c", minor=True),
    Section("/audit", "Audit", "audit", key="u", minor=True),
    Section("/logs", "Logs", "logs", key="l", minor=True),
    Section("/upload", "Upload", "upload", Need.OPERATOR, minor=True),
    Section("/users", "Users", "users", Need.ADMIN, minor=True),
    Section("/welcome", "First steps", "play", key="w", minor=True),
    Section("/help", "Help", "help", key="h", minor=True),
)
