"""Where a host and a port are written together, for people and in URLs. It must not look a name up."""

from __future__ import annotations


def in_brackets(host: str) -> str:
    """A host as it stands before a port: an IPv6 address in brackets (RFC 3986), since its colons are like the port's own."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def with_port(host: str, port: int | str) -> str:
    """`pacs:104`, `[::1]:104`."""
    return f"{in_brackets(host)}:{port}"
