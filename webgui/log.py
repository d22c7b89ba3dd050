"""Log lines of the web page as the actors write theirs: one JSON object a line, with a fixed `action`.

It must not write what people typed, session tokens, or query strings (the setup token is in one).
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

from aiohttp.http_exceptions import HttpProcessingError

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "action"}


class JsonLines(logging.Formatter):
    """Formats a record as JSON; keys given as `extra` become fields."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        fault = record.exc_info[1] if record.exc_info else None
        if isinstance(fault, HttpProcessingError):
            return self.format(_unread(record, fault))
        line: dict[str, object] = {
            "action": getattr(record, "action", "webgui_log"),
            "actor": "webgui",
            "level": record.levelname.lower(),
            "time": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
            "text": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _OWN}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _unread(record: logging.LogRecord, fault: HttpProcessingError) -> logging.LogRecord:
    """What is said of a request that aiohttp cannot read: its exception quotes it, with the cookie or token that came along.

    It is no fault of ours, either; whoever reaches the port can send such all day.
    """
    told = {"name": record.name, "levelno": logging.WARNING, "levelname": "WARNING", "created": record.created}
    address = record.args[0] if isinstance(record.args, tuple) and record.args else ""
    text = f"a request could not be read ({type(fault).__name__})"
    return logging.makeLogRecord({**told, "msg": text, "action": "request_unreadable", "address": address})


def configure(stream: TextIO | None = None) -> None:
    """Send all logging of this process to stdout, which supervisord keeps in a file."""
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
