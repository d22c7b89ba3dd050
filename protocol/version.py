"""The version of the installed program. It must not import anything of the project."""

from __future__ import annotations

from functools import cache

IMPLEMENTATION_CLASS_UID = "2.25.190146759318064935176129371268407136287"
"""How scanpost names itself in associations (PS3.7 section D.3.3.2) and files (PS3.10 section 7.1); never changes."""
IMPLEMENTATION_VERSION = "SCANPOST_1"


@cache  # reads a file, and every heartbeat names it
def version() -> str:
    """As setup.cfg says; `unknown` where the package is not installed."""
    from importlib import metadata  # 20 ms, and few ask

    try:
        return metadata.version("scanpost")
    except metadata.PackageNotFoundError:
        return "unknown"
