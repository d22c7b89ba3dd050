"""Tables as CSV files (RFC 4180) that a spreadsheet opens without running anything in them. It must not know what they hold."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from aiohttp import hdrs, web

_STARTS = ("=", "+", "-", "@", "\t", "\r")


def cell(value: Any) -> Any:
    """A value; a text that a spreadsheet would take for a formula gets an apostrophe before it."""
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return value
    text = str(value)
    return f"'{text}" if text.startswith(_STARTS) else text


def csv_answer(name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> web.Response:
    """The table as a file to keep."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    writer.writerows([cell(value) for value in row] for row in rows)
    disposition = f'attachment; filename="{name}"'
    return web.Response(text=out.getvalue(), content_type="text/csv", headers={hdrs.CONTENT_DISPOSITION: disposition})
