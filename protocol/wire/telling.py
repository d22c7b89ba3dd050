"""Tells the bus once that something was committed, for programs that have no socket of their own. It may be lost."""

from __future__ import annotations

import os

from protocol.errors import WireError
from protocol.settings import Settings
from protocol.wire.bus import connect_wire


def tell_committed(settings: Settings, source: str) -> None:
    """Let who waits for acts look now and not at the next sweep. Never raises for a bus that is not there."""
    if not settings.bus.enabled:
        return
    try:
        wire = connect_wire("cli", str(os.getpid()), settings, source)
    except WireError:
        return
    wire.committed()
    wire.wait(0.01)  # sends what was queued
    wire.close()
