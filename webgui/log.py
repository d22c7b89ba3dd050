"""Log lines of the web page as the actors write theirs: one JSON object a line, with a fixed `action`.

It must not write what people typed, session tokens, or query strings (the setup token is in one).
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "action"}


class JsonLines(logging.Formatter):
    """Formats a record as JSON; keys given as `extra` become fields."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
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


def configure(stream: TextIO | None = None) -> None:
    """Send all logging of this process to stdout, which supervisord keeps in a file."""
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
