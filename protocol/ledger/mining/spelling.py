"""Spells the forms of a ready query for one database, and says how its selection is written. Pure text; it asks nothing.

Local times are those of one zone: PostgreSQL knows zones, for SQLite `asking` brings a function of its own.
"""

from __future__ import annotations

import re
from typing import Any
from zoneinfo import ZoneInfo

from protocol.records import record
from protocol.typed import modalities

_LOCAL = {"day": ("YYYY-MM-DD", "%Y-%m-%d"), "hour": ("YYYY-MM-DD HH24:00", "%Y-%m-%d %H:00"), "month": ("YYYY-MM", "%Y-%m"),
          "clock": ("HH24", "%H"), "time": ("YYYY-MM-DD HH24:MI:SS", "%Y-%m-%d %H:%M:%S")}  # fmt: skip
_ZONE = re.compile(r"[A-Za-z0-9_+/-]{1,64}")


@record
class Selection:
    """What a query looks at: seconds since 1970 from `since`, before `until`; "" selects all scanners, modalities, nodes."""

    since: float
    until: float
    scanner: str = ""
    modality: str = ""
    node: str = ""

    def where(self) -> str:
        """The condition, with parameters of the names of the fields."""
        tests = [f"{name} = :{name}" for name in ("scanner", "node") if getattr(self, name)]
        if self.modality:
            tests.append("modality IN (:modality, :modality_cs)")
        return " AND ".join(["received >= :since", "received < :until", *tests])

    def parameters(self) -> dict[str, Any]:
        """The values of the parameters."""
        given = {name: value for name, value in vars(self).items() if value != ""}
        return {**given, "modality_cs": modalities(self.modality)[-1]} if self.modality else given


def spelled(sql: str, dialect: str, zone: str, selection: Selection) -> str:
    """The query as `dialect` (sqlite or postgresql) takes it. Raises ValueError for a zone that does not exist."""
    if not _ZONE.fullmatch(zone):
        raise ValueError(f"{zone!r} is no time zone")
    ZoneInfo(zone)
    forms = _forms(dialect, zone)
    sql = sql.replace("{where}", selection.where())
    while (start := max(sql.rfind("{" + name + "(") for name in forms)) >= 0:
        end = sql.index(")}", start)
        name, _, inner = sql[start + 1 : end].partition("(")
        sql = sql[:start] + forms[name].replace("?", inner) + sql[end + 2 :]
    return sql


def _forms(dialect: str, zone: str) -> dict[str, str]:
    """Each form with ? for what stands in it."""
    if dialect == "postgresql":
        local = {
            name: f"to_char(to_timestamp(?) AT TIME ZONE '{zone}', '{form}')" for name, (form, _) in _LOCAL.items()
        }
        median = "percentile_cont(0.5) WITHIN GROUP (ORDER BY ?)"
        return {**local, "median": median, "number": "CAST(? AS TEXT)"}
    local = {name: f"local_time(?, '{zone}', '{form}')" for name, (_, form) in _LOCAL.items()}
    return {**local, "median": "median(?)", "number": "printf('%g', ?)"}
