"""Lists as CSV for spreadsheets (RFC 4180), with cells that no spreadsheet takes for a formula. It must not know lists."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from aiohttp import hdrs, web

DANGEROUS = ("=", "+", "-", "@", "\t", "\r")
MOST_ROWS = 10_000
FIRST, PART = 100, 1000
"""Rows of the first part of a long file, which is there at once, and of every other part."""


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
    return lines([columns]) + lines(rows)


def lines(rows: Iterable[Sequence[Any]]) -> str:
    """Rows alone."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows([cell(value) for value in row] for row in rows)
    return out.getvalue()


async def stream(
    request: web.Request, name: str, columns: Sequence[str], parts: AsyncIterator[Iterable[Sequence[Any]]]
) -> web.StreamResponse:
    """A file to keep, sent as its rows are found: a long list begins at once and is never whole in memory.

    If finding them fails on the way, the connection breaks, so that nobody takes a part for the whole.
    """
    first: Iterable[Sequence[Any]] = await anext(parts, [])  # what fails at once is still answered as any page is
    headers = {hdrs.CONTENT_DISPOSITION: f'attachment; filename="{name}"', hdrs.CONTENT_TYPE: "text/csv; charset=utf-8"}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    if request.method != hdrs.METH_HEAD:
        await response.write(table(columns, first).encode())
        async for rows in parts:
            await response.write(lines(rows).encode())
    await response.write_eof()
    return response


def download(name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> web.Response:
    """A file to keep; `name` is ours."""
    headers = {hdrs.CONTENT_DISPOSITION: f'attachment; filename="{name}"'}
    return web.Response(text=table(columns, rows), content_type="text/csv", charset="utf-8", headers=headers)
