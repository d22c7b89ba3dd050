"""What scanpost is made with, and under which licences. It must not be a legal statement: the packages' own texts are."""

from __future__ import annotations

import functools
import json
import re
from importlib import metadata
from pathlib import Path

from protocol.records import record

VENDOR = Path(__file__).resolve().parents[2] / "static" / "vendor" / "VENDOR.json"
_REQUIREMENT = re.compile(r"[A-Za-z0-9._-]+")


@record
class Part:
    """One library with its version and licence."""

    name: str
    version: str
    licence: str


@functools.cache
def libraries() -> list[Part]:
    """What the program needs of Python packages, as it is installed here."""
    try:
        wanted = metadata.requires("scanpost") or []
    except metadata.PackageNotFoundError:
        return []
    names = sorted(
        {found[0] for line in wanted if "extra ==" not in line and (found := _REQUIREMENT.match(line))}, key=str.lower
    )
    return [part for name in names if (part := _installed(name))]


@functools.cache
def vendored() -> list[Part]:
    """What stands in the pages."""
    entries = json.loads(VENDOR.read_text("utf-8"))
    return sorted({Part(one["package"], one["version"], one["licence"]) for one in entries}, key=lambda part: part.name)


def _one(about: metadata.PackageMetadata, name: str) -> str:
    return str(about[name]) if name in about else ""


def _installed(name: str) -> Part | None:
    try:
        about = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return None
    told = _one(about, "License-Expression") or _one(about, "License")
    if not told or "\n" in told or len(told) > 60:
        classes = [
            line.rpartition("::")[2].strip()
            for line in about.get_all("Classifier") or ()
            if line.startswith("License ::")
        ]
        told = ", ".join(classes) or told.partition("\n")[0][:60] or "see the package"
    return Part(str(about["Name"]), str(about["Version"]), told)
