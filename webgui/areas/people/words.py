"""The words of users and accounts: roles, scopes, browsers. It must not read anything."""

from __future__ import annotations

from protocol.accounts import Role, Scope

ROLES: tuple[tuple[str, str], ...] = (
    (Role.VIEWER, "viewer: looks, changes nothing"),
    (Role.OPERATOR, "operator: also retries, holds, pauses, acknowledges"),
    (Role.ADMIN, "admin: everything"),
)
SCOPES: tuple[tuple[str, str], ...] = (
    (Scope.READ, "read: look at everything"),
    (Scope.OPERATE, "operate: also retry, hold, pause, acknowledge"),
    (Scope.ADMIN, "admin: everything you may"),
)
THEMES: tuple[tuple[str, str], ...] = (("system", "as the system"), ("light", "light"), ("dark", "dark"))
LIFETIMES: tuple[tuple[str, str], ...] = (
    ("30", "30 days"), ("90", "90 days"), ("365", "a year"), ("0", "no end"),
)  # fmt: skip

_BROWSERS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS = (
    ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"), ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)  # fmt: skip


def agent(text: str) -> str:
    """What a browser calls itself, as people call it: `Firefox on Windows`."""
    browser = next((word for sign, word in _BROWSERS if sign in text), "")
    system = next((word for sign, word in _SYSTEMS if sign in text), "")
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or text.partition(" ")[0][:40] or "unknown"


def sentence(text: str) -> str:
    """An error as a sentence."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"
