"""Lists as CSV for spreadsheets (RFC 4180), with cells that no spreadsheet takes for a formula. It must not know lists."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from aiohttp import hdrs, web

DANGEROUS = ("=", "+", "-", "@", "\t", "\r")
MOST_ROWS = 10_000


def cell(value: Any) -> str:
    """A value as text; what a spreadsheet would calculate gets a ' before it. Numbers stay numbers."""
    if value is None:
        return ""
    text = str(value)
    if isinstance(value, str) and text.startswith(DANGEROUS):
        return "'" + text
    return text


def when(seconds: float | None) -> str:
    """A moment in ISO 8601, UTC."""
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """The whole text."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([cell(value) for value in row] for row in rows)
    return out.getvalue()


def download(name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> web.Response:
    """A file to keep; `name` is ours."""
    headers = {hdrs.CONTENT_DISPOSITION: f'attachment; filename="{name}"'}
    return web.Response(text=table(columns, rows), content_type="text/csv", charset="utf-8", headers=headers)
