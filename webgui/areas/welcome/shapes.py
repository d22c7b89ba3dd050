"""What the API of the guide answers, as models. It must not make answers."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class WelcomeAnswer(BaseModel):
    """How far a new node is: where scanners should send to, who called, targets, rules, the newest series."""

    ae_title: str
    port: int
    hosts: list[str]
    callers: list[dict[str, Any]]
    targets: list[str]
    rules: list[str]
    sending: bool = Field(description="whether a test study is being sent now")
    send_error: str
    stages: list[dict[str, Any]] = Field(description="how far the newest test study, or series, is")
    arrival: dict[str, Any] | None


class SampleAnswer(BaseModel):
    """What became of the test study."""

    sent: bool
    text: str
