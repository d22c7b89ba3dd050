"""What a name stands for, for a person who wonders why nothing arrives. It must not connect."""

from __future__ import annotations

import socket


def addresses(host: str, port: int) -> str:
    """All addresses of a name. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return ", ".join(sorted({str(entry[4][0]) for entry in found}))
