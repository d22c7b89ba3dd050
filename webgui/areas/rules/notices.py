"""Whom a rule tells, as people write it, one a line: `failed, held -> mail:ops@example.org`. It must not judge; the model does."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any


def read(text: str) -> list[dict[str, Any]]:
    """One entry for each line. What has no arrow comes out without occasions, so that the model says so."""
    found = []
    for line in text.splitlines():
        if line.strip():
            occasions, arrow, to = line.rpartition("->")
            on = [word for word in re.split(r"[,\s]+", occasions.strip().lower()) if word]
            found.append({"on": on, "to": to.strip() if arrow else line.strip()})
    return found


def text_of(notices: Sequence[Mapping[str, Any]]) -> str:
    """As `read` takes it."""
    return "\n".join(f"{', '.join(one['on'])} -> {one['to']}" for one in notices)
