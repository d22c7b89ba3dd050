"""In whose time zone times are told. It must not format anything."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from aiohttp import web

from protocol.accounts import preferences
from webgui.keys import CONFIG, SESSION


def zone_of(request: web.Request) -> ZoneInfo | None:
    """The zone that who asks has chosen, else the node's; None: this machine's."""
    session = request.get(SESSION)
    chosen = session.user.preferences.time_zone if session else ""
    return preferences.zone(chosen) if chosen else request.app[CONFIG].zone
