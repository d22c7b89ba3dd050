"""What the API of logs answers, as models. It must not make answers."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class LineAnswer(BaseModel):
    """A line of a log; `time` is seconds since 1970 UTC. What is no JSON is `text`."""

    time: float | None
    program: str
    level: str
    actor: str
    action: str
    fields: dict[str, Any]
    text: str


class LogsAnswer(BaseModel):
    """Lines, newest first; `cut`: older ones were not looked through."""

    lines: list[LineAnswer]
    next: str | None
    cut: bool
