"""The version of the installed program. It must not import anything of the project."""

from __future__ import annotations

from importlib import metadata


def version() -> str:
    """As setup.cfg says; `unknown` where the package is not installed."""
    try:
        return metadata.version("scanpost")
    except metadata.PackageNotFoundError:
        return "unknown"
