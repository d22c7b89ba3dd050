"""Writes rows as comma separated values (RFC 4180) that no spreadsheet takes for formulas. It must not choose the rows."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def safe(value: Any) -> Any:
    """A cell that is read as the text it is: free text out of images may begin like a formula. Numbers stay numbers."""
    if isinstance(value, list | dict):
        value = str(value)
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def write_sheet(file: TextIO, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Header and rows; how many rows. Missing values are empty cells."""
    writer, count = csv.writer(file, lineterminator="\r\n"), 0
    writer.writerow([safe(column) for column in columns])
    for row in rows:
        writer.writerow([safe(value) for value in row])
        count += 1
    return count
