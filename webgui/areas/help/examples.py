"""Examples of the API, shown on /help/api; a test runs each against a real node. It must not name what a node may lack."""

from __future__ import annotations

import json
from dataclasses import field
from typing import Any

from protocol.records import record


@record
class Example:
    """One call: what it is for, the scope it needs, and what the answer has at least."""

    what: str
    method: str
    path: str
    scope: str = "read"
    body: dict[str, Any] | None = None
    status: int = 200
    has: tuple[str, ...] = field(default=())

    @property
    def line(self) -> str:
        """As a line for a shell; SCANPOST is the address of the page, TOKEN a token."""
        parts = ['curl -H "Authorization: Bearer $TOKEN"']
        if self.method != "GET":
            parts.append(f"-X {self.method}")
        if self.body is not None:
            parts.append(f"--json '{json.dumps(self.body)}'")
        return " ".join([*parts, f'"$SCANPOST{self.path}"'])


EXAMPLES = (
    Example("How the node stands", "GET", "/api/v1/status", has=("ready", "images", "deliveries", "targets")),
    Example("Who asks, and what the token may", "GET", "/api/v1/account", has=("name", "role", "token")),
    Example("The rules in force, with their counters", "GET", "/api/v1/rules?days=7", has=("rules",)),
    Example("What the rules would do with a header", "POST", "/api/v1/rules/test", "read",
            {"header": {"Modality": "MR", "StudyDescription": "CARDIAC STRESS"}}, has=("rules",)),
    Example("The last ten entries of the audit", "GET", "/api/v1/audit?limit=10", has=("entries", "next")),
    Example("What one user did since new year", "GET", "/api/v1/audit?who=ann&since=2026-01-01", has=("entries",)),
    Example("Whether the audit is as it was written", "GET", "/api/v1/audit/check", has=("holds", "entries")),
    Example("Add a user; the answer is the link to hand over", "POST", "/api/v1/users", "admin",
            {"name": "newcomer", "role": "viewer"}, 201, ("link", "expires")),
    Example("Make the user an operator", "PATCH", "/api/v1/users/newcomer", "admin", {"role": "operator"}, has=("role",)),
    Example("Shut the user out", "PATCH", "/api/v1/users/newcomer", "admin", {"disabled": True}, has=("disabled",)),
)  # fmt: skip
