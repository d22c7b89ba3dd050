"""Where the figures on the page come from: a small interface, so that tests bring a fake. It must not know HTTP."""

from __future__ import annotations

from typing import Any, Protocol


class Source(Protocol):
    """The node as the page sees it. Both calls may block and are made in a thread, never on the event loop."""

    def status(self) -> dict[str, Any]:
        """The document of `scanpost status --json`. Raises ScanpostError if the spool cannot be read."""

    def last_arrivals(self, limit: int) -> list[dict[str, Any]]:
        """The newest arrivals, newest first, without patient data."""
